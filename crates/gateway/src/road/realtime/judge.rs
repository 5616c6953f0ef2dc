//! What becomes of a client's event: it goes on, perhaps changed, or it is answered here.

use std::sync::Arc;

use bytes::Bytes;
use pointsman_governance::Principal;
use pointsman_guard::{Guards, Placeholders, Stage};
use pointsman_wire::form::{Failure, FailureKind, Text};
use pointsman_wire::realtime::{self, ClientAsks, ClientEvent, Said, Session};
use serde_json::Value;

use super::super::{Arrival, alias, guard};
use super::meter::{Meter, Parties};
use crate::snapshot::Target;
use crate::worker::Worker;

/// Guardrails that are told of one session, at most.
const MAX_FLAGS: usize = 64;

/// Judges the events of one client.
pub struct Judge {
    arrival: Arc<Arrival>,
    caller: Arc<Principal>,
    model: String,
    target: Target,
    /// What is replaced, the same throughout the session.
    placeholders: Placeholders,
    /// What judges it.
    guards: Arc<Guards>,
    /// The way to whoever must be asked.
    worker: Arc<Worker>,
    /// What becomes of the texts of the event that comes.
    reviewed: Result<Vec<Option<String>>, Failure>,
    /// Guardrails that flagged something.
    pub flags: Vec<String>,
}

/// What becomes of an event.
pub enum Verdict {
    /// It goes on like this.
    Pass(Text),
    /// It does not, and the client is told why; the session goes on.
    Answer(Failure, Option<Text>),
    /// The session is over.
    End(Failure),
}

impl Judge {
    /// The judge of a session.
    pub fn new(parties: &Parties) -> Self {
        Self {
            arrival: Arc::clone(&parties.arrival),
            caller: Arc::clone(&parties.caller),
            model: parties.model.clone(),
            target: parties.target.clone(),
            placeholders: parties.guards.placeholders(),
            guards: Arc::clone(&parties.guards),
            worker: Arc::clone(&parties.worker),
            reviewed: Ok(Vec::new()),
            flags: Vec::new(),
        }
    }

    /// Shows the texts of an event that is to be judged next to the guardrails.
    pub async fn hear(&mut self, text: &str) {
        self.reviewed = Ok(Vec::new());
        if !self.is_guarded() {
            return;
        }
        // What is no event is refused when it is judged.
        let Ok(mut value) = serde_json::from_str::<Value>(text) else {
            return;
        };
        let mut texts = Vec::new();
        let _ = realtime::rewrite_texts(&mut value, &mut |stage, text| {
            texts.push(guard::shown(stage, text));
            None
        });
        let at = (&self.worker, &*self.arrival);
        let reviewed = guard::review(at, &self.guards, texts, &self.placeholders).await;
        let room = MAX_FLAGS.saturating_sub(self.flags.len());
        let flags = reviewed.flags.iter().map(|flag| flag.guard.clone());
        self.flags.extend(flags.take(room));
        self.worker.shared.judged(&reviewed.tally);
        self.reviewed = guard::fixed(reviewed);
    }

    /// Judges an event, and has the meter note what it costs.
    pub fn event(&mut self, text: Text, meter: &mut Meter) -> Verdict {
        let event = match ClientEvent::read(&text) {
            Ok(event) => event,
            Err(error) => {
                let message = format!("this is not an event: {}", error.message);
                let mut failure = Failure::new(FailureKind::InvalidRequest, message).coded("invalid_event");
                failure.param = error.param;
                return Verdict::Answer(failure, None);
            }
        };
        let shown = self.show(text, &event);
        let text = match shown.and_then(|text| self.name(text, &event.asks)) {
            Ok(text) => text,
            Err(failure) => return Verdict::Answer(failure, event.id),
        };
        let admitted = match event.asks {
            ClientAsks::Response(_) if !meter.has_room() => {
                let message = "too many answers are asked for at once; wait until one has begun";
                let failure = Failure::new(FailureKind::InvalidRequest, message);
                return Verdict::Answer(failure.coded("too_many_responses"), event.id);
            }
            ClientAsks::Response(output) => meter.asks(output, event.said),
            ClientAsks::Listen => meter.listens(event.said),
            ClientAsks::Session(_) => {
                // Under the provider's names.
                if let Ok(ClientEvent {
                    asks: ClientAsks::Session(session),
                    ..
                }) = ClientEvent::read(&text)
                {
                    meter.expects(*session);
                }
                meter.hears(event.said);
                Ok(())
            }
            ClientAsks::Item | ClientAsks::Other => {
                meter.hears(event.said);
                Ok(())
            }
        };
        match admitted {
            Ok(()) => Verdict::Pass(text),
            Err(failure) => Verdict::End(failure),
        }
    }

    /// Judges bytes that are no event: sound, for providers that take it so.
    pub fn bytes(&mut self, bytes: &Bytes, meter: &mut Meter) -> Option<Verdict> {
        if self.is_guarded() {
            return Some(Verdict::Answer(unheard(), None));
        }
        let said = Said {
            audio: bytes.len() as u64,
            tokens: 0,
        };
        meter.listens(said).err().map(Verdict::End)
    }

    fn is_guarded(&self) -> bool {
        [Stage::Input, Stage::ToolResult]
            .into_iter()
            .any(|stage| !self.guards.for_stage(stage).is_empty())
    }

    /// Shows the event to the guardrails.
    fn show(&mut self, text: Text, event: &ClientEvent) -> Result<Text, Failure> {
        if !self.is_guarded() {
            return Ok(text);
        }
        if event.asks == ClientAsks::Listen || event.said.audio > 0 {
            return Err(unheard());
        }
        let mut value: Value = serde_json::from_str(&text)
            .map_err(|error| Failure::new(FailureKind::InvalidRequest, error.to_string()))?;
        let mut rewritten = std::mem::replace(&mut self.reviewed, Ok(Vec::new()))?.into_iter();
        let looked = realtime::rewrite_texts(&mut value, &mut |_, _| rewritten.next().flatten());
        if looked.is_none() {
            let message = "this event is nested too deeply to be shown to the guardrails";
            return Err(Failure::new(FailureKind::InvalidRequest, message));
        }
        // What was seen is what goes on, also where a field stood there twice.
        Ok(value.to_string().into())
    }

    /// Puts the provider's names of models in place of ours.
    fn name(&self, text: Text, asks: &ClientAsks) -> Result<Text, Failure> {
        let ClientAsks::Session(session) = asks else {
            return Ok(text);
        };
        let mut body = text.into_bytes();
        for (path, name) in self.names(session)? {
            body = realtime::put(&body, path, &name)
                .map_err(|error| Failure::new(FailureKind::InvalidRequest, error.to_string()))?;
        }
        Text::try_from(body).map_err(|error| Failure::new(FailureKind::Internal, error.to_string()))
    }

    fn names(&self, session: &Session) -> Result<Vec<(&'static [&'static str], String)>, Failure> {
        let mut names = Vec::new();
        if let Some(model) = &session.model {
            if self.meant(model) != self.model {
                let message = format!(
                    "this session is with {:?}; for {model:?} open another one",
                    self.model
                );
                let failure = Failure::new(FailureKind::InvalidRequest, message);
                return Err(failure.at("session.model").coded("model_is_fixed"));
            }
            names.push((realtime::SESSION_MODEL, self.target.model.clone()));
        }
        if let Some((said, path)) = &session.transcriber {
            let model = self.meant(said);
            if !self.caller.allows_model(model) {
                let message = format!("this key may not use the model {model:?}");
                let failure = Failure::new(FailureKind::PermissionDenied, message);
                return Err(failure.at(path.join(".")));
            }
            names.extend(self.transcriber(model).map(|name| (*path, name)));
        }
        Ok(names)
    }

    /// What the client means by the name of a model.
    fn meant<'a>(&'a self, name: &'a str) -> &'a str {
        alias::meant(&self.arrival.snapshot, &self.caller, name)
    }

    /// What the provider of the session calls a model of ours.
    fn transcriber(&self, name: &str) -> Option<String> {
        let model = self.arrival.snapshot.models.get(name)?;
        let here = |target: &&Target| target.provider.name == self.target.provider.name;
        model.targets.iter().find(here).map(|target| target.model.clone())
    }
}

fn unheard() -> Failure {
    let message = "the guardrails of this gateway see texts, and this is sound, which cannot be shown to them; \
                   send text, or ask the operator";
    Failure::new(FailureKind::PermissionDenied, message).coded("guardrail_blocked")
}

//! A stream taken through the form: decoded, judged by output guardrails, encoded in the client's format.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use pointsman_catalog::ServiceTier;
use pointsman_guard::{Stage, StreamGuard};
use pointsman_wire::assemble::Assembler;
use pointsman_wire::form::{Failure, FailureKind, PartStart, StreamEvent, Text, Usage};
use pointsman_wire::format::{self, Format, StreamDecoder, StreamEncoder, StreamEncoderOptions};
use pointsman_wire::tokens;

use super::super::arrive::Asked;
use super::super::recall::{self, Place};
use super::super::{Arrival, Ticket};
use super::pipe::{Seen, counted, cut};
use crate::snapshot::Snapshot;

/// Decoder, guardrails and encoder of one stream.
pub struct Across {
    decoder: StreamDecoder,
    encoder: StreamEncoder,
    events: Vec<StreamEvent>,
    judges: Judges,
    memory: Option<Memory>,
    names: Names,
    /// The id the answer is told under.
    answer_id: Option<Text>,
    usage: Option<Usage>,
    tier: Option<ServiceTier>,
    prompt: u64,
    output: u64,
    ended: bool,
}

/// What the answer is called where its provider gives it no name.
struct Names {
    id: Text,
    model: Text,
}

/// The answer as it grows, to be remembered when it is whole.
struct Memory {
    assembler: Assembler,
    place: Arc<Place>,
}

/// One guardrail chain for each part of each answer.
struct Judges {
    snapshot: Arc<Snapshot>,
    active: bool,
    parts: HashMap<(u32, u32), StreamGuard>,
    flags: Vec<String>,
}

impl Across {
    /// For a provider that speaks `from` and knows the model as `model`.
    pub fn new(arrival: &Arrival, asked: &Asked, (from, model): (Format, &str), prompt: u64) -> Self {
        let snapshot = &arrival.snapshot;
        let options = StreamEncoderOptions {
            model: asked.request.model.clone(),
            include_usage: asked.request.stream.include_usage,
        };
        let memory = asked.place.as_ref().map(|place| Memory {
            assembler: Assembler::new(from),
            place: Arc::clone(place),
        });
        Self {
            decoder: format::stream_decoder(from),
            encoder: format::stream_encoder(asked.format, options).answering(&asked.request, from),
            events: Vec::new(),
            judges: Judges {
                snapshot: Arc::clone(snapshot),
                active: !snapshot.guards.for_stage(Stage::Output).is_empty(),
                parts: HashMap::new(),
                flags: Vec::new(),
            },
            memory,
            names: Names {
                id: arrival.id.as_str().into(),
                model: model.into(),
            },
            answer_id: asked.answer_id.clone(),
            usage: None,
            tier: None,
            prompt,
            output: 0,
            ended: false,
        }
    }

    /// Takes a chunk in.
    pub fn take(&mut self, data: &Bytes, out: &mut VecDeque<Bytes>) -> Result<Seen, Failure> {
        let mut events = std::mem::take(&mut self.events);
        let decoded = self.decoder.push(data, &mut events);
        let seen = self.pass(&mut events, out);
        self.events = events;
        decoded.map_err(|error| nonsense(&error))?;
        Ok(seen)
    }

    /// The provider has sent all it sends.
    pub fn finish(&mut self, out: &mut VecDeque<Bytes>) -> Result<(), Failure> {
        let mut events = std::mem::take(&mut self.events);
        let finished = self.decoder.finish(&mut events);
        let seen = self.pass(&mut events, out);
        if let Some(failure) = seen.failure {
            return Err(failure);
        }
        finished.map_err(|error| nonsense(&error))?;
        if self.ended { Ok(()) } else { Err(cut()) }
    }

    fn pass(&mut self, events: &mut Vec<StreamEvent>, out: &mut VecDeque<Bytes>) -> Seen {
        let mut seen = Seen::default();
        let mut bytes = BytesMut::new();
        for mut event in events.drain(..) {
            self.names.fill_in(&mut event);
            if let (StreamEvent::Start { id, .. }, Some(ours)) = (&mut event, &self.answer_id) {
                *id = ours.clone();
            }
            self.note(&event, &mut seen);
            if seen.failure.is_some() {
                break;
            }
            if let Err(failure) = self.judges.judge(event, |event| {
                if let Some(memory) = &mut self.memory {
                    memory.assembler.push(&event);
                }
                self.encoder.encode(&event, &mut bytes);
            }) {
                seen.failure = Some(failure);
                break;
            }
        }
        if !bytes.is_empty() {
            out.push_back(bytes.freeze());
        }
        seen
    }

    fn note(&mut self, event: &StreamEvent, seen: &mut Seen) {
        match event {
            StreamEvent::Delta { text, .. } => {
                seen.content |= !text.is_empty();
                self.output += tokens::estimate(text);
            }
            StreamEvent::PartStart { start, .. } => {
                seen.content |= matches!(start, PartStart::ToolCall { .. } | PartStart::RedactedThinking(_));
            }
            StreamEvent::Usage(usage) => self.usage = Some(*usage),
            StreamEvent::Tier(tier) => self.tier = Some(ServiceTier::said(Some(tier))),
            StreamEvent::Error(failure) => seen.failure = Some(failure.clone()),
            StreamEvent::End => {
                self.ended = true;
                seen.ended = true;
            }
            _ => {}
        }
    }

    /// What has been used.
    pub fn usage(&self) -> (Usage, bool) {
        counted(self.usage, self.prompt, self.output, self.ended)
    }

    /// The number of the event that would come next, in formats that number them.
    pub fn next_number(&self) -> u64 {
        self.encoder.next_number()
    }

    /// The service tier that the provider told.
    pub fn tier(&self) -> Option<ServiceTier> {
        self.tier
    }

    /// What the guardrails noted.
    pub fn take_flags(&mut self) -> Vec<String> {
        std::mem::take(&mut self.judges.flags)
    }

    /// Remembers a complete answer.
    pub fn remember(&mut self, ticket: &Ticket) {
        let Some(memory) = self.memory.take() else { return };
        let Some(mut response) = memory.assembler.finish() else {
            return;
        };
        response.usage = self.usage;
        let (usage, _) = self.usage();
        recall::keep(ticket, &memory.place, &response, &usage);
    }
}

impl Names {
    fn fill_in(&self, event: &mut StreamEvent) {
        if let StreamEvent::Start { id, model, .. } = event {
            if id.is_empty() {
                id.clone_from(&self.id);
            }
            if model.is_empty() {
                model.clone_from(&self.model);
            }
        }
    }
}

impl Judges {
    /// Hands `event` on as far as the guardrails let it.
    fn judge(&mut self, event: StreamEvent, mut on: impl FnMut(StreamEvent)) -> Result<(), Failure> {
        if !self.active {
            on(event);
            return Ok(());
        }
        match event {
            StreamEvent::Delta { choice, part, text } => {
                let guards = self.snapshot.guards.for_stage(Stage::Output);
                let guard = self
                    .parts
                    .entry((choice, part))
                    .or_insert_with(|| guards.stream());
                let step = guard.push(&text);
                self.flags.extend(step.flags.into_iter().map(|flag| flag.guard));
                if !step.release.is_empty() {
                    on(StreamEvent::Delta {
                        choice,
                        part,
                        text: Text::from(step.release),
                    });
                }
                step.blocked
                    .map_or(Ok(()), |block| Err(super::super::guard::refusal(&block)))
            }
            StreamEvent::PartEnd { choice, part } => {
                if let Some(mut guard) = self.parts.remove(&(choice, part)) {
                    let step = guard.finish();
                    self.flags.extend(step.flags.into_iter().map(|flag| flag.guard));
                    if !step.release.is_empty() {
                        on(StreamEvent::Delta {
                            choice,
                            part,
                            text: Text::from(step.release),
                        });
                    }
                    if let Some(block) = step.blocked {
                        return Err(super::super::guard::refusal(&block));
                    }
                }
                on(StreamEvent::PartEnd { choice, part });
                Ok(())
            }
            other => {
                on(other);
                Ok(())
            }
        }
    }
}

fn nonsense(error: &format::StreamError) -> Failure {
    Failure::new(
        FailureKind::Provider,
        format!("the provider's stream makes no sense: {error}"),
    )
    .coded("stream_broken")
}

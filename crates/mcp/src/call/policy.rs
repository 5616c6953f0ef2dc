//! What is held against the operator's rules on its way: arguments before a server sees them, what it says before a
//! client does, definitions before anybody may call what they define.

use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use futures_util::stream::{self, StreamExt};
use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::{Asker, Refused};
use crate::catalog::{Item, Kind};
use crate::check;
use crate::error::RpcError;
use crate::flows::Unit;
use crate::judge::{Blocked, Guarded, Judge, Verdict};
use crate::link::{Sink, Told};
use crate::message::{Object, Raw, Response};
use crate::server::Server;
use crate::shorten::fitted;
use crate::texts::{self, See, Sort, Text};
use crate::view::Found;

/// Definitions that are judged at once.
const AT_ONCE: usize = 16;

/// Shows texts to a judge, and puts in what they become.
///
/// # Errors
/// When they must not pass.
async fn judged(
    judge: &dyn Judge,
    guarded: Guarded<'_>,
    raw: &Raw,
    of: fn(&mut Value, See<'_>) -> bool,
) -> Result<Option<Raw>, Blocked> {
    let Ok(mut value) = serde_json::from_str::<Value>(raw.get()) else {
        return Ok(None);
    };
    let mut shown = Vec::new();
    of(&mut value, &mut |text, sort| {
        shown.push(Text {
            text: text.to_owned(),
            sort,
        });
        None
    });
    if shown.is_empty() {
        return Ok(None);
    }
    let mut each = judge.review(guarded, shown).await?.into_iter();
    let changed = of(&mut value, &mut |_, _| each.next().flatten());
    Ok(changed.then(|| serde_json::value::to_raw_value(&value).unwrap_or_default()))
}

impl Server {
    /// As a judge sees it.
    #[must_use]
    pub fn guarded(&self) -> Guarded<'_> {
        Guarded {
            named: &self.config.guardrails,
            defines: false,
        }
    }
}

/// What a caller sends, as a server may see it.
///
/// # Errors
/// When it must not.
pub async fn sent(judge: Option<&dyn Judge>, server: &Server, params: Object) -> Result<Object, Blocked> {
    let guarded = server.guarded();
    let Some(judge) = judge.filter(|judge| !judge.is_idle(&guarded, Sort::Arguments)) else {
        return Ok(params);
    };
    let changed = judged(judge, guarded, &params.raw(), texts::of_params).await?;
    Ok(changed
        .and_then(|raw| Object::parse(raw.get()).ok())
        .unwrap_or(params))
}

/// What a caller answers a question of a server with, as the server may see it.
///
/// # Errors
/// When it must not.
pub async fn replied(judge: Option<&dyn Judge>, server: &Server, answer: Raw) -> Result<Raw, Blocked> {
    let guarded = server.guarded();
    let Some(judge) = judge.filter(|judge| !judge.is_idle(&guarded, Sort::Arguments)) else {
        return Ok(answer);
    };
    Ok(judged(judge, guarded, &answer, texts::of_answer)
        .await?
        .unwrap_or(answer))
}

/// What a server says, as a client may see it.
///
/// # Errors
/// When it must not.
pub async fn said(judge: Option<&dyn Judge>, server: &Server, result: Raw) -> Result<Raw, Blocked> {
    let guarded = server.guarded();
    let Some(judge) = judge.filter(|judge| !judge.is_idle(&guarded, Sort::Words)) else {
        return Ok(result);
    };
    Ok(judged(judge, guarded, &result, texts::of_result)
        .await?
        .unwrap_or(result))
}

impl Asker {
    /// Whether a request may go to a server after what was asked before.
    ///
    /// # Errors
    /// When something could flow that may not.
    pub(super) async fn may_flow(&self, server: &Server) -> Result<(), RpcError> {
        let (hub, board) = (&self.hub, &self.hub.board);
        if hub.flows.is_empty() {
            return Ok(());
        }
        let unit = match &self.session {
            Some(session) => Unit::session(&session.id),
            None => Unit::key(self.caller.keys.first()),
        };
        let lasting = (board.shared(), hub.config.session_timeout.get());
        let asked = (&unit, server.name.as_str());
        board.asked.pass(&hub.flows, asked, hub.names(), lasting).await
    }

    pub(super) fn judge(&self) -> Option<&dyn Judge> {
        self.judge.as_deref()
    }

    /// The parameters of a request as its server may see them.
    ///
    /// # Errors
    /// When they are not what the tool takes, as tools tell their errors; when they must not pass.
    pub(super) async fn outgoing(
        &self,
        found: &Found,
        kind: Kind,
        params: Object,
    ) -> Result<Object, Outgoing> {
        for field in texts::ASKED {
            if let Some(said) = params.get(field) {
                check::unique(said).map_err(|why| Outgoing::Blocked(RpcError::params(why)))?;
            }
        }
        if kind == Kind::Tools
            && found.server.checks()
            && let Some(checker) = found.entry.as_ref().and_then(|entry| entry.item.checker())
            && let Err(why) = check::arguments(checker, params.get("arguments"))
        {
            return Err(Outgoing::Wrong(why));
        }
        sent(self.judge(), &found.server, params)
            .await
            .map_err(|blocked| Outgoing::Blocked(blocked.into()))
    }

    /// Asks a server; what it says meanwhile is judged as its result is.
    pub(super) async fn exchange(
        &self,
        found: &Found,
        method: &str,
        params: Object,
        sink: &Sink,
    ) -> Result<Raw, Refused> {
        let guarded = found.server.guarded();
        let Some(judge) = self.judge().filter(|judge| !judge.is_idle(&guarded, Sort::Words)) else {
            return self.exchanged(found, method, params, sink).await;
        };
        let (inner, mut told) = mpsc::channel(sink.max_capacity());
        let mut work = std::pin::pin!(self.exchanged(found, method, params, &inner));
        loop {
            tokio::select! {
                biased;
                Some(told) = told.recv() => self.pass(judge, &found.server, told, sink).await,
                result = &mut work => {
                    while let Ok(told) = told.try_recv() {
                        self.pass(judge, &found.server, told, sink).await;
                    }
                    return result;
                }
            }
        }
    }

    /// Passes on what a server says before its answer, if it may be said. A question that may not be asked is answered
    /// here.
    async fn pass(&self, judge: &dyn Judge, server: &Server, told: Told, sink: &Sink) {
        let told = match told {
            Told::Message(text) => self.message(judge, server, text).await.map(Told::Message),
            Told::Asked { text, id, question } => {
                let text = self.message(judge, server, text).await;
                text.map(|text| Told::Asked { text, id, question })
            }
            Told::Question { link, mut request } => {
                match judged(judge, server.guarded(), &request.params.raw(), texts::of_result).await {
                    Ok(changed) => {
                        let changed = changed.and_then(|raw| Object::parse(raw.get()).ok());
                        request.params = changed.unwrap_or(request.params);
                        Some(Told::Question { link, request })
                    }
                    Err(blocked) => {
                        let error = RpcError::from(blocked).raw();
                        if let Err(failed) = link.answer(&self.client, &request.id, Err(&error)).await {
                            tracing::debug!(server = server.name, error = %failed, "a refusal could not be passed on");
                        }
                        None
                    }
                }
            }
            other => Some(other),
        };
        if let Some(told) = told {
            // Whoever listens may be gone: the answer is still wanted by the ledger.
            let _ = sink.send(told).await;
        }
    }

    /// A message of a server that is ready to be sent.
    async fn message(&self, judge: &dyn Judge, server: &Server, text: String) -> Option<String> {
        let Ok(mut message) = Object::parse(&text) else {
            return Some(text);
        };
        let Some(params) = message.get("params").map(ToOwned::to_owned) else {
            return Some(text);
        };
        match judged(judge, server.guarded(), &params, texts::of_result).await {
            Ok(None) => Some(text),
            Ok(Some(params)) => {
                message.set("params", &params);
                Some(message.raw().get().to_owned())
            }
            Err(blocked) => {
                let id = message
                    .get("id")
                    .and_then(|id| serde_json::from_str(id.get()).ok());
                if let (Some(id), Some(session)) = (id, &self.session) {
                    let answer = Response {
                        id: Some(id),
                        outcome: Err(RpcError::from(blocked).raw()),
                    };
                    session.answered(&self.client, answer, None).await;
                }
                None
            }
        }
    }

    /// A result as the client may see it.
    ///
    /// # Errors
    /// When it must not pass.
    pub(super) async fn incoming(&self, server: &Server, result: Raw) -> Result<Raw, Refused> {
        let result = said(self.judge(), server, result)
            .await
            .map_err(|blocked| Refused::Here(blocked.into()))?;
        Ok(fitted(result, &server.config.tools))
    }

    /// What is said of a definition. What is hidden cannot be called either.
    pub(super) async fn verdict(&self, server: &Server, item: &Item) -> Verdict {
        let guarded = Guarded {
            defines: true,
            ..server.guarded()
        };
        let Some(judge) = self.judge().filter(|judge| !judge.is_idle(&guarded, Sort::Words)) else {
            return Verdict::Shown;
        };
        let which = judge.of_definitions(&guarded);
        if let Some(known) = item.verdict(which) {
            return known;
        }
        match review(judge, guarded, item).await {
            Ok(verdict) => {
                if matches!(verdict, Verdict::Hidden) {
                    tracing::warn!(
                        server = server.name,
                        name = item.name,
                        "a guardrail lets a definition not be changed as it would have to be: it is hidden"
                    );
                }
                item.keep_verdict(which, &verdict);
                verdict
            }
            Err(blocked) => {
                tracing::warn!(
                    server = server.name,
                    name = item.name,
                    why = blocked.message,
                    "a guardrail hides a definition"
                );
                if !blocked.unjudged {
                    item.keep_verdict(which, &Verdict::Hidden);
                }
                Verdict::Hidden
            }
        }
    }

    /// Judges what is listed; gives the texts of what may be seen, in their order.
    pub(super) async fn listed(&self, entries: Vec<Listed<'_>>) -> Vec<Raw> {
        if self.judge.is_none() {
            return entries.into_iter().map(|entry| entry.text.clone()).collect();
        }
        let each: Vec<BoxFuture<'_, Option<Raw>>> =
            entries.iter().map(|entry| self.seen(entry).boxed()).collect();
        let seen: Vec<Option<Raw>> = stream::iter(each).buffered(AT_ONCE).collect().await;
        seen.into_iter().flatten().collect()
    }

    /// An entry of a list, as it may be seen.
    async fn seen(&self, entry: &Listed<'_>) -> Option<Raw> {
        match self.verdict(entry.server, entry.item).await {
            Verdict::Shown => Some(entry.text.clone()),
            Verdict::Changed(words) => changed(entry.text, &words),
            Verdict::Hidden => None,
        }
    }
}

/// An entry of a list.
pub(super) struct Listed<'a> {
    /// Whose it is.
    pub(super) server: &'a Server,
    /// What it is.
    pub(super) item: &'a Item,
    /// As clients see it.
    pub(super) text: &'a Raw,
}

/// Why a request goes nowhere.
#[derive(Debug)]
pub(super) enum Outgoing {
    /// The arguments are not what the tool takes: a model may do better next time.
    Wrong(String),
    /// They must not pass.
    Blocked(RpcError),
}

impl Outgoing {
    /// As the client is told.
    pub(super) fn told(self) -> Result<Raw, Refused> {
        match self {
            Self::Wrong(why) => {
                let mut result = Object::default();
                let text = format!("Invalid arguments: {why}");
                result.set("content", &json!([{ "type": "text", "text": text }]));
                result.set("isError", &true);
                Ok(result.raw())
            }
            Self::Blocked(error) => Err(error.into()),
        }
    }
}

async fn review(judge: &dyn Judge, guarded: Guarded<'_>, item: &Item) -> Result<Verdict, Blocked> {
    let raw = item.object.raw();
    let Ok(mut value) = serde_json::from_str::<Value>(raw.get()) else {
        return Ok(Verdict::Hidden);
    };
    let mut shown = Vec::new();
    let _ = texts::of_definition(&mut value, &mut |text, sort| {
        shown.push(Text {
            text: text.to_owned(),
            sort,
        });
        None
    });
    let words = judge.review(guarded, shown).await?;
    let mut each = words.iter().cloned();
    Ok(
        match texts::of_definition(&mut value, &mut |_, _| each.next().flatten()) {
            None => Verdict::Hidden,
            Some(false) => Verdict::Shown,
            Some(true) => Verdict::Changed(Arc::new(words)),
        },
    )
}

/// A definition as clients see it, with other words in it.
fn changed(text: &Raw, words: &[Option<String>]) -> Option<Raw> {
    let mut value: Value = serde_json::from_str(text.get()).ok()?;
    let mut each = words.iter().cloned();
    texts::of_definition(&mut value, &mut |_, _| each.next().flatten())?;
    serde_json::value::to_raw_value(&value).ok()
}

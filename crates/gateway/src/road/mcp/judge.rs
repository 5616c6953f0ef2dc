//! Guardrails over what callers send servers, and over what servers say.
//!
//! Arguments are seen by guardrails of `input`, what servers say and what they say of their tools by those of
//! `tool_result`.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use parking_lot::Mutex;
use pointsman_governance::Principal;
use pointsman_guard::{Askable, Guards, Placeholders, Shown, Sort, Stage};
use pointsman_mcp::judge::{Become, Blocked, Guarded, Judge};
use pointsman_mcp::texts::{self, Text};
use pointsman_wire::form::Failure;

use super::Desk;
use crate::road::guard::{self, fixed};
use crate::snapshot::Snapshot;
use crate::worker::Worker;

/// Definitions are no request's: samples are drawn as if all were of one.
const NO_REQUEST: &str = "definition";

/// The guardrails of a request.
pub struct Guardrails {
    worker: Arc<Worker>,
    snapshot: Arc<Snapshot>,
    caller: Arc<Principal>,
    request: String,
    flags: Mutex<Vec<String>>,
}

impl Guardrails {
    /// Those of what is asked; none where there are none at all.
    ///
    /// # Errors
    /// 503 when the caller's key names one that there is not: without it nothing may pass.
    pub fn of(desk: &Desk<'_>) -> Result<Option<Arc<Self>>, Failure> {
        guard::of(desk.arrival, &desk.caller, "")?;
        let snapshot = &desk.arrival.snapshot;
        if snapshot.guards.is_none() {
            return Ok(None);
        }
        Ok(Some(Arc::new(Self {
            worker: Arc::clone(desk.worker),
            snapshot: Arc::clone(snapshot),
            caller: Arc::clone(&desk.caller),
            request: desk.arrival.id.clone(),
            flags: Mutex::default(),
        })))
    }

    /// What flagged something so far.
    pub fn flags(&self) -> Vec<String> {
        std::mem::take(&mut self.flags.lock())
    }

    fn guards(&self, server: &Guarded<'_>) -> Arc<Guards> {
        let named = self
            .caller
            .guardrails()
            .chain(server.named.iter().map(String::as_str));
        let request = if server.defines { NO_REQUEST } else { &self.request };
        self.snapshot.guards.of(named, request)
    }
}

/// The same, as the `mcp` crate knows them.
pub fn judging(guardrails: Option<&Arc<Guardrails>>) -> Option<Arc<dyn Judge>> {
    guardrails.map(|guardrails| {
        let judge: Arc<dyn Judge> = Arc::<Guardrails>::clone(guardrails);
        judge
    })
}

fn stage(sort: texts::Sort) -> Stage {
    match sort {
        texts::Sort::Arguments => Stage::Input,
        texts::Sort::Words | texts::Sort::Data => Stage::ToolResult,
    }
}

impl Judge for Guardrails {
    fn is_idle(&self, server: &Guarded<'_>, sort: texts::Sort) -> bool {
        self.guards(server).for_stage(stage(sort)).is_empty()
    }

    fn review<'a>(&'a self, server: Guarded<'a>, texts: Vec<Text>) -> BoxFuture<'a, Result<Become, Blocked>> {
        let guards = self.guards(&server);
        async move {
            let shown = texts.into_iter().map(|text| Shown {
                stage: stage(text.sort),
                sort: match text.sort {
                    texts::Sort::Words => Sort::Foreign,
                    texts::Sort::Arguments | texts::Sort::Data => Sort::Arguments,
                },
                text: text.text.into(),
            });
            let askable = Askable {
                understanding: &self.snapshot.understanding,
                client: &self.worker.client,
                // What goes to a tool and comes from it is no answer that it could be held against.
                grounds: None,
            };
            // What is replaced is not put back: a server's answer may be of another request's words.
            let placeholders = Placeholders::default();
            let reviewed = Box::pin(guards.review(shown.collect(), askable, &placeholders)).await;
            let flags = reviewed.flags.iter().map(|flag| flag.guard.clone());
            self.flags.lock().extend(flags);
            self.worker.shared.judged(&reviewed.tally);
            let unjudged = reviewed.blocked.as_ref().is_some_and(|block| block.unjudged);
            fixed(reviewed).map_err(|failure| Blocked {
                message: failure.message,
                unjudged,
            })
        }
        .boxed()
    }

    fn of_definitions(&self, server: &Guarded<'_>) -> u64 {
        let mut hasher = DefaultHasher::new();
        (self.snapshot.mcp.revision, self.guards(server).apart()).hash(&mut hasher);
        hasher.finish()
    }
}

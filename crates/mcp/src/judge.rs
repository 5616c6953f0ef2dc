//! Whoever judges what passes, as far as this crate knows them.

use std::sync::Arc;

use futures_util::future::BoxFuture;

use crate::error::RpcError;
use crate::texts::{Sort, Text};

/// Verdicts that are kept of a definition: of as many different guardrails.
const MAX_VERDICTS: usize = 8;

/// What texts become, in the order in which they were shown; none for those that stay.
pub type Become = Vec<Option<String>>;

/// Guardrails of one request.
pub trait Judge: Send + Sync {
    /// Whether nobody would look at texts of a sort that pass to or from a server.
    fn is_idle(&self, server: &Guarded<'_>, sort: Sort) -> bool;

    /// Judges texts.
    ///
    /// # Errors
    /// When they must not pass.
    fn review<'a>(&'a self, server: Guarded<'a>, texts: Vec<Text>) -> BoxFuture<'a, Result<Become, Blocked>>;

    /// Which guardrails look at definitions of a server: what they said of one holds as long as this is the same.
    fn of_definitions(&self, server: &Guarded<'_>) -> u64;
}

/// A server whose texts are judged.
#[derive(Debug, Clone, Copy)]
pub struct Guarded<'a> {
    /// Guardrails that it names beside those that always act.
    pub named: &'a [String],
    /// Whether it is about a definition: such texts are of no request.
    pub defines: bool,
}

/// Why texts must not pass.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Blocked {
    /// Why.
    pub message: String,
    /// They could not be judged: they may pass another time.
    pub unjudged: bool,
}

impl From<Blocked> for RpcError {
    fn from(blocked: Blocked) -> Self {
        Self::blocked(blocked.message)
    }
}

/// What was said of a definition.
#[derive(Debug, Clone)]
pub enum Verdict {
    /// It may be shown as it is.
    Shown,
    /// It may be shown with these words in it.
    Changed(Arc<Vec<Option<String>>>),
    /// It is not there.
    Hidden,
}

/// Verdicts of a definition, by the guardrails that gave them.
#[derive(Debug, Default)]
pub struct Verdicts(Vec<(u64, Verdict)>);

impl Verdicts {
    /// What these guardrails said.
    #[must_use]
    pub fn of(&self, which: u64) -> Option<Verdict> {
        let known = self.0.iter().find(|(other, _)| *other == which);
        known.map(|(_, verdict)| verdict.clone())
    }

    /// Keeps what they said; the oldest makes room.
    pub fn keep(&mut self, which: u64, verdict: &Verdict) {
        if self.0.len() >= MAX_VERDICTS {
            self.0.remove(0);
        }
        self.0.push((which, verdict.clone()));
    }
}

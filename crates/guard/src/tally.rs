//! What guardrails did with a request, and how long that took: for metrics, with nothing of any text.

use std::sync::Arc;
use std::time::Duration;

use crate::config::Stage;
use crate::remote::Unjudged;

/// What a guardrail did, from least to most.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Done {
    /// Nothing.
    Passed,
    /// It noted something.
    Flagged,
    /// It changed a text.
    Redacted,
    /// It lets another model answer.
    Routed,
    /// It could not judge a text, and let it pass.
    Unjudged,
    /// It let a text go no further.
    Blocked,
}

impl Done {
    /// All, in order.
    pub const ALL: [Self; 6] = [
        Self::Passed,
        Self::Flagged,
        Self::Redacted,
        Self::Routed,
        Self::Unjudged,
        Self::Blocked,
    ];

    /// As it is counted.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Flagged => "flagged",
            Self::Redacted => "redacted",
            Self::Routed => "routed",
            Self::Unjudged => "unjudged",
            Self::Blocked => "blocked",
        }
    }
}

/// What one guardrail did with the texts of one stage of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// Its name in the configuration.
    pub guard: Arc<str>,
    /// Whose texts.
    pub stage: Stage,
    /// The most that it did.
    pub done: Done,
    /// How long it took for all of them; of a service, from the first question to the last answer.
    pub time: Duration,
    /// Why texts were not judged.
    pub failures: Vec<Unjudged>,
}

/// Most failures that are told apart in one request.
const MOST_FAILURES: usize = 64;

/// The notes of a request.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tally(Vec<Note>);

impl Tally {
    fn of(&mut self, guard: &Arc<str>, stage: Stage) -> &mut Note {
        let known = self
            .0
            .iter()
            .position(|note| note.stage == stage && note.guard == *guard);
        let at = known.unwrap_or_else(|| {
            self.0.push(Note {
                guard: Arc::clone(guard),
                stage,
                done: Done::Passed,
                time: Duration::ZERO,
                failures: Vec::new(),
            });
            self.0.len() - 1
        });
        &mut self.0[at]
    }

    /// A guardrail has judged a text.
    pub(crate) fn note(&mut self, guard: &Arc<str>, stage: Stage, done: Done, time: Duration) {
        let note = self.of(guard, stage);
        note.done = note.done.max(done);
        note.time += time;
    }

    /// A guardrail could not judge a text.
    pub(crate) fn failed(&mut self, guard: &Arc<str>, stage: Stage, why: Unjudged) {
        let failures = &mut self.of(guard, stage).failures;
        if failures.len() < MOST_FAILURES {
            failures.push(why);
        }
    }

    /// What was noted.
    #[must_use]
    pub fn notes(&self) -> &[Note] {
        &self.0
    }

    /// Takes over what another has noted.
    pub fn add(&mut self, other: &Self) {
        for note in &other.0 {
            self.note(&note.guard, note.stage, note.done, note.time);
            for why in &note.failures {
                self.failed(&note.guard, note.stage, *why);
            }
        }
    }
}

//! A text that comes in pieces, on its way through the guardrails of a stage.

use std::sync::Arc;
use std::time::Instant;

use crate::config::{Action, Stage};
use crate::pii::PiiFlow;
use crate::regex::Flowing;
use crate::stage::{Block, Flag, Manner, PATTERN};
use crate::tally::{Done, Tally};

/// What may go on of a text that comes in pieces.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Step {
    /// The text that may.
    pub release: String,
    /// Nothing more may.
    pub blocked: Option<Block>,
    /// What was noted.
    pub flags: Vec<Flag>,
}

/// A guardrail on the way of a text in pieces.
#[derive(Debug)]
pub(crate) enum Link {
    Regex(Box<Flowing>, Arc<Manner>),
    Pii(Box<PiiFlow>, Arc<Manner>),
}

impl Link {
    fn manner(&self) -> &Arc<Manner> {
        match self {
            Self::Regex(_, manner) | Self::Pii(_, manner) => manner,
        }
    }

    /// Why it acts, once it does.
    fn reason(&self) -> Option<String> {
        match self {
            Self::Regex(flowing, _) => flowing.matched.then(|| PATTERN.to_owned()),
            Self::Pii(flow, _) => flow.found().reason(),
        }
    }

    /// Takes a piece in and gives what may go on; false when more would have to be held back than it may.
    fn push(&mut self, piece: &str, ended: bool, out: &mut String) -> bool {
        match self {
            Self::Regex(flowing, _) => {
                let pushed = flowing.push(piece, out).is_ok();
                if ended && pushed {
                    flowing.finish(out);
                }
                pushed
            }
            Self::Pii(flow, _) => {
                flow.push(piece, ended, out);
                true
            }
        }
    }
}

/// A text that comes in pieces, on its way through all guardrails of a stage.
#[derive(Debug)]
pub struct StreamGuard {
    chain: Vec<Link>,
    over: bool,
    tally: Tally,
}

impl StreamGuard {
    /// Through these, in order.
    pub(crate) fn new(chain: Vec<Link>) -> Self {
        Self {
            chain,
            over: false,
            tally: Tally::default(),
        }
    }

    /// Takes a piece in and says what may go on.
    pub fn push(&mut self, piece: &str) -> Step {
        self.flow(piece.to_owned(), false)
    }

    /// Whether something else than what came was put into the text.
    #[must_use]
    pub fn has_changed(&self) -> bool {
        let acted = |link: &Link| link.manner().action == Action::Redact && link.reason().is_some();
        self.chain.iter().any(acted)
    }

    /// What its guardrails did so far.
    #[must_use]
    pub fn tally(&self) -> &Tally {
        &self.tally
    }

    /// The text has ended: the rest may go on, or nothing more.
    pub fn finish(&mut self) -> Step {
        self.flow(String::new(), true)
    }

    fn flow(&mut self, piece: String, ended: bool) -> Step {
        let mut step = Step {
            release: piece,
            ..Step::default()
        };
        if self.over {
            step.release.clear();
            return step;
        }
        for link in &mut self.chain {
            let begun = Instant::now();
            let acted = link.reason().is_some();
            let mut out = String::new();
            let fits = link.push(&step.release, ended, &mut out);
            step.release = out;
            let reason = link.reason();
            let manner = Arc::clone(link.manner());
            let mut done = match (manner.action, &reason) {
                (Action::Redact, Some(_)) => Done::Redacted,
                (Action::Flag, Some(_)) => Done::Flagged,
                _ => Done::Passed,
            };
            let why = match (manner.action, reason) {
                (Action::Block, Some(reason)) if fits => Some(reason),
                (Action::Block | Action::Redact, _) if !fits => Some(HELD.to_owned()),
                (Action::Flag, Some(_)) if !acted => {
                    step.flags.push(manner.flagged());
                    None
                }
                _ => None,
            };
            if let Some(reason) = why {
                step.blocked = Some(manner.block(reason, false));
                step.release.clear();
                self.over = true;
                done = Done::Blocked;
            }
            self.tally
                .note(&manner.name, Stage::Output, done, begun.elapsed());
            if self.over {
                return step;
            }
        }
        step
    }
}

/// Why a text goes no further that would have to be held for too long.
const HELD: &str = "more text had to be held back than max_hold_bytes allows";

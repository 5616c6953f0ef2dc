//! Decisions, compiled: a tree of rules, and what follows.

use crate::plugin::Plugins;
use crate::selection::{Candidate, Selection};

/// A compiled decision.
pub(crate) struct Decision {
    pub(crate) name: String,
    pub(crate) priority: i64,
    pub(crate) tier: u32,
    pub(crate) rule: Rule,
    pub(crate) candidates: Vec<Candidate>,
    /// How one of them is picked; by weight when absent.
    pub(crate) selection: Option<Selection>,
    pub(crate) plugins: Plugins,
}

/// A compiled rule.
pub(crate) enum Rule {
    /// Holds always, with no confidence.
    Always,
    /// Holds when the signal matches.
    Signal(usize),
    /// Holds when the score lies in the range.
    Projection(usize),
    /// Holds when all hold.
    All(Vec<Rule>),
    /// Holds when one holds.
    Any(Vec<Rule>),
    /// Holds when the other does not.
    Not(Box<Rule>),
}

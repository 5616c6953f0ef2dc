//! Decisions, compiled: a tree of rules, and what follows.

use crate::loops::Loop;
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
    /// How several of them are asked for one answer.
    pub(crate) looped: Option<Loop>,
    pub(crate) plugins: Plugins,
    /// Guardrails that act on its requests.
    pub(crate) guardrails: Vec<String>,
    /// Whether what its models did is kept apart by what was asked about.
    pub(crate) by_domain: bool,
    /// A print of its models and algorithm.
    pub(crate) print: u32,
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
    All(Joined),
    /// Holds when one holds.
    Any(Joined),
    /// Holds when the other does not.
    Not(Box<Rule>),
}

/// Rules that are joined.
pub(crate) struct Joined {
    /// As they were written: confidences are summed up in this order.
    pub(crate) rules: Vec<Rule>,
    /// Their places, the cheapest to know first.
    by_cost: Vec<usize>,
}

impl Joined {
    /// Joins rules; `costs` has one for each.
    pub(crate) fn new(rules: Vec<Rule>, costs: &[u8]) -> Self {
        let mut by_cost: Vec<usize> = (0..rules.len()).collect();
        by_cost.sort_by_key(|place| costs.get(*place));
        Self { rules, by_cost }
    }

    /// The cheapest to know first.
    pub(crate) fn cheap_first(&self) -> impl Iterator<Item = &Rule> {
        self.by_cost.iter().filter_map(|place| self.rules.get(*place))
    }
}

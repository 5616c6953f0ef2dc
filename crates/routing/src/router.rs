//! The router: compiled once, asked for every request.

use crate::config::Strategy;
use crate::decision::Decision;
use crate::evaluation::{Evaluation, Settled, Want};
use crate::facts::Facts;
use crate::plugin::Plugins;
use crate::projection::{Output, Partition, Score};
use crate::selection::{Selected, draw};
use crate::signal::Signal;

/// A compiled routing configuration.
pub struct Router {
    pub(crate) names: Vec<String>,
    pub(crate) strategy: Strategy,
    pub(crate) default: Option<Selected>,
    pub(crate) signals: Vec<Signal>,
    pub(crate) partitions: Vec<Partition>,
    pub(crate) scores: Vec<Score>,
    pub(crate) outputs: Vec<Output>,
    /// In the order in which they are tried.
    pub(crate) decisions: Vec<Decision>,
}

/// What was decided for a request.
pub enum Outcome<'a> {
    /// A decision, or the default model.
    Matched(Decided<'a>),
    /// None.
    NoMatch,
}

/// A decision that was taken.
pub struct Decided<'a> {
    /// Its name; `default` when no decision matched and the default model answers.
    pub decision: &'a str,
    /// How surely its rules hold.
    pub confidence: f64,
    /// The model; none when the decision answers itself.
    pub selected: Option<&'a Selected>,
    /// The decision's other models, in order.
    pub fallbacks: Vec<&'a Selected>,
    /// What else is to be done.
    pub plugins: &'a Plugins,
}

static NO_PLUGINS: Plugins = Plugins {
    fast_response: None,
    system_prompt: None,
    request_params: None,
    headers: Vec::new(),
};

impl Router {
    /// Names of models that enter here.
    #[must_use]
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// Whether the model name enters here.
    #[must_use]
    pub fn enters(&self, model: &str) -> bool {
        self.names.iter().any(|name| name == model)
    }

    /// All models that a decision may choose.
    pub fn models(&self) -> impl Iterator<Item = &str> {
        let chosen = self
            .decisions
            .iter()
            .flat_map(|decision| &decision.candidates)
            .map(|candidate| &candidate.selected);
        chosen
            .chain(&self.default)
            .map(|selected| selected.model.as_str())
    }

    /// Decides at once. Signals that would have to be asked do not match; to have them answered, see [`Router::deciding`].
    /// `roll`, from 0 to 1, draws among a decision's models.
    #[must_use]
    pub fn decide<'a>(&'a self, facts: &Facts<'_>, roll: f64) -> Outcome<'a> {
        let mut deciding = self.deciding(*facts, Want::Confidence);
        deciding.fail_all();
        deciding.outcome(roll).unwrap_or(Outcome::NoMatch)
    }

    /// What was decided; none as long as it is not settled.
    pub(crate) fn outcome<'a>(&'a self, evaluation: &Evaluation<'_, '_>, roll: f64) -> Option<Outcome<'a>> {
        Some(match evaluation.settle(Want::Decision) {
            Settled::Open(..) => return None,
            Settled::Winner(index) => {
                let decision = &self.decisions[index];
                let drawn = draw(&decision.candidates, roll);
                let others = decision
                    .candidates
                    .iter()
                    .enumerate()
                    .filter(|(index, _)| Some(*index) != drawn);
                Outcome::Matched(Decided {
                    decision: &decision.name,
                    confidence: evaluation.sureness(&decision.rule).low,
                    selected: drawn.map(|index| &decision.candidates[index].selected),
                    fallbacks: others.map(|(_, candidate)| &candidate.selected).collect(),
                    plugins: &decision.plugins,
                })
            }
            Settled::Nobody => match &self.default {
                Some(selected) => Outcome::Matched(Decided {
                    decision: "default",
                    confidence: 0.0,
                    selected: Some(selected),
                    fallbacks: Vec::new(),
                    plugins: &NO_PLUGINS,
                }),
                None => Outcome::NoMatch,
            },
        })
    }

    /// The partition that a signal belongs to.
    pub(crate) fn partition_of(&self, signal: usize) -> Option<&Partition> {
        self.partitions
            .iter()
            .find(|partition| partition.members.contains(&signal))
    }

    /// Where the rank of a decision ends: the first decision of the next.
    pub(crate) fn rank_end(&self, from: usize) -> usize {
        let rank = self.rank(from);
        (from..self.decisions.len())
            .find(|at| self.rank(*at) != rank)
            .unwrap_or(self.decisions.len())
    }

    fn rank(&self, index: usize) -> (u32, i64) {
        let decision = &self.decisions[index];
        match self.strategy {
            Strategy::Priority => (decision.tier, decision.priority),
            Strategy::Confidence => (decision.tier, 0),
        }
    }
}

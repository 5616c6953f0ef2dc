//! The router: compiled once, asked for every request.

use crate::config::Strategy;
use crate::decision::Decision;
use crate::evaluation::{Evaluation, Settled, Want};
use crate::facts::Facts;
use crate::loops::Loop;
use crate::plugin::Plugins;
use crate::projection::{Output, Partition, Score};
use crate::selection::{self, Ranking, Selected, draw};
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
    /// Routing of other names of models; none of these has recipes in turn.
    pub(crate) recipes: Vec<Self>,
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
    /// How several models are asked for one answer; none where one of them is.
    pub looped: Option<&'a Loop>,
    /// What else is to be done.
    pub plugins: &'a Plugins,
    /// Why these models in this order, where an algorithm says so.
    pub ranking: Option<Ranking>,
}

static NO_PLUGINS: Plugins = Plugins {
    fast_response: None,
    system_prompt: None,
    request_params: None,
    headers: Vec::new(),
};

impl Router {
    /// Names of models that enter here, or one of the recipes.
    pub fn names(&self) -> impl Iterator<Item = &String> {
        self.all().flat_map(|router| &router.names)
    }

    /// Whether the model name enters here, or one of the recipes.
    #[must_use]
    pub fn enters(&self, model: &str) -> bool {
        self.entered(model).is_some()
    }

    /// The router that the model name enters: this one, or that of a recipe.
    #[must_use]
    pub fn entered(&self, model: &str) -> Option<&Self> {
        self.all()
            .find(|router| router.names.iter().any(|name| name == model))
    }

    /// All models that a decision may choose, those of recipes, too.
    pub fn models(&self) -> impl Iterator<Item = &str> {
        self.all().flat_map(|router| {
            let chosen = router
                .decisions
                .iter()
                .flat_map(|decision| &decision.candidates)
                .map(|candidate| &candidate.selected);
            let loops = router
                .decisions
                .iter()
                .filter_map(|decision| decision.looped.as_ref());
            chosen
                .chain(loops.flat_map(Loop::models))
                .chain(&router.default)
                .map(|selected| selected.model.as_str())
        })
    }

    pub(crate) fn all(&self) -> impl Iterator<Item = &Self> {
        std::iter::once(self).chain(&self.recipes)
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
                let (mut order, ranking) = decision.order(&evaluation.facts, roll);
                Outcome::Matched(Decided {
                    decision: &decision.name,
                    confidence: evaluation.sureness(&decision.rule).low,
                    selected: order.next(),
                    fallbacks: order.collect(),
                    looped: decision.looped.as_ref(),
                    plugins: &decision.plugins,
                    ranking,
                })
            }
            Settled::Nobody => match &self.default {
                Some(selected) => Outcome::Matched(Decided {
                    decision: "default",
                    confidence: 0.0,
                    selected: Some(selected),
                    fallbacks: Vec::new(),
                    looped: None,
                    plugins: &NO_PLUGINS,
                    ranking: None,
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

impl Decision {
    /// Whether the choice among its models goes by what the prompt means.
    pub(crate) fn reads_meaning(&self) -> bool {
        let selection = self.selection.as_ref();
        selection.is_some_and(|selection| selection.algorithm.reads_meaning())
    }

    /// Descriptions of its models, where the choice goes by them.
    pub(crate) fn descriptions(&self) -> impl Iterator<Item = &str> {
        let selection = self.selection.as_ref();
        let read = selection.is_some_and(|selection| selection.algorithm.reads_descriptions());
        let described = self.candidates.iter().filter(move |_| read);
        described.filter_map(|candidate| candidate.card.description.as_deref())
    }

    /// Its models, the choice first, and why in that order.
    fn order(&self, facts: &Facts<'_>, roll: f64) -> (std::vec::IntoIter<&Selected>, Option<Ranking>) {
        let chosen = |index: usize| &self.candidates[index].selected;
        if let Some(selection) = &self.selection {
            let ranking = selection::rank(selection, (&self.name, &self.candidates), facts, roll);
            let order: Vec<&Selected> = ranking.ranked.iter().map(|ranked| chosen(ranked.index)).collect();
            return (order.into_iter(), Some(ranking));
        }
        if self.looped.is_some() {
            let order: Vec<&Selected> = (0..self.candidates.len()).map(chosen).collect();
            return (order.into_iter(), None);
        }
        let drawn = draw(&self.candidates, roll);
        let others = (0..self.candidates.len()).filter(|index| Some(*index) != drawn);
        let order: Vec<&Selected> = drawn.into_iter().chain(others).map(chosen).collect();
        (order.into_iter(), None)
    }
}

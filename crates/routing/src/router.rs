//! The router: compiled once, asked for every request.

use crate::config::{LearningConfig, Strategy};
use crate::decision::Decision;
use crate::evaluation::{Evaluation, Settled, Want};
use crate::facts::Facts;
use crate::fallback::Fallback;
use crate::loops::Loop;
use crate::plugin::{Caching, Plugins, Rag, ResponseCache};
use crate::projection::{Output, Partition, Score};
use crate::selection::{self, Ranking, Selected, Selection, draw};
use crate::signal::Signal;

/// A compiled routing configuration.
pub struct Router {
    pub(crate) names: Vec<String>,
    pub(crate) strategy: Strategy,
    pub(crate) default: Option<Selected>,
    /// What is done where none matched.
    pub(crate) default_plugins: Plugins,
    pub(crate) signals: Vec<Signal>,
    pub(crate) partitions: Vec<Partition>,
    pub(crate) scores: Vec<Score>,
    pub(crate) outputs: Vec<Output>,
    /// In the order in which they are tried.
    pub(crate) decisions: Vec<Decision>,
    /// Routing of other names of models; none of these has recipes in turn.
    pub(crate) recipes: Vec<Self>,
    /// Signals that say what the user thinks of the answer before, and what each says.
    pub(crate) opinions: Vec<(usize, f64)>,
    /// Whether anything is kept of a session from turn to turn.
    pub(crate) follows: bool,
    /// What is learned of what really happened.
    pub(crate) learning: LearningConfig,
    /// What is done when a model fails.
    pub(crate) fallback: Option<Fallback>,
}

/// What was decided for a request.
#[expect(
    clippy::large_enum_variant,
    reason = "there is one for each request, on its way out of a function; a box would be an allocation"
)]
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
    /// Guardrails that act on the request, by name.
    pub guardrails: &'a [String],
    /// Why these models in this order, where an algorithm says so.
    pub ranking: Option<Ranking>,
    /// What is made of it afterwards.
    pub follow: Follow,
    /// A print of the decision's models and algorithm.
    pub print: u32,
    /// Tokens of prompt and answer that the model takes together, as its card says.
    pub window: Option<u64>,
    /// What is done when the model fails, where the recipe says so.
    pub fallback: Option<&'a Fallback>,
}

/// What is made of a decision once it is known what came of it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Follow {
    /// Its selection goes by outcomes.
    pub learns: bool,
    /// The domain under which outcomes are kept, where they are kept apart by it.
    pub domain: Option<String>,
    /// What the user thinks of the answer before, 0 to 1, where a signal that was needed says so.
    pub opinion: Option<f64>,
}

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

    /// All models that are asked together with others for one answer, those of recipes, too.
    pub fn looped_models(&self) -> impl Iterator<Item = &str> {
        let decisions = self.all().flat_map(|router| &router.decisions);
        let several = decisions.filter_map(|decision| Some((decision, decision.looped.as_ref()?)));
        several.flat_map(|(decision, looped)| {
            let chosen = decision.candidates.iter().map(|candidate| &candidate.selected);
            let all = chosen.chain(looped.models());
            all.map(|selected| selected.model.as_str()).collect::<Vec<_>>()
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
                let (order, ranking) = decision.order(&evaluation.facts, roll);
                let mut order = decision.kept(&evaluation.facts, order);
                let selected = order.next();
                Outcome::Matched(Decided {
                    decision: &decision.name,
                    confidence: evaluation.sureness(&decision.rule).low,
                    window: selected.and_then(|selected| decision.window(selected)),
                    selected,
                    fallbacks: order.collect(),
                    looped: decision.looped.as_ref(),
                    plugins: &decision.plugins,
                    guardrails: &decision.guardrails,
                    ranking,
                    follow: self.follow(decision, evaluation),
                    print: decision.print,
                    fallback: self.fallback.as_ref(),
                })
            }
            Settled::Nobody => match &self.default {
                Some(selected) => Outcome::Matched(Decided {
                    decision: "default",
                    confidence: 0.0,
                    selected: Some(selected),
                    fallbacks: Vec::new(),
                    plugins: &self.default_plugins,
                    guardrails: &[],
                    looped: None,
                    ranking: None,
                    follow: Follow {
                        opinion: self.opinion(evaluation),
                        ..Follow::default()
                    },
                    print: 0,
                    window: None,
                    fallback: self.fallback.as_ref(),
                }),
                None => Outcome::NoMatch,
            },
        })
    }

    fn follow(&self, decision: &Decision, evaluation: &Evaluation<'_, '_>) -> Follow {
        let read = evaluation.facts.meaning.filter(|_| decision.by_domain);
        let domains = read.and_then(|meaning| meaning.domains()).unwrap_or_default();
        let likeliest = domains
            .iter()
            .reduce(|best, next| if next.1 > best.1 { next } else { best });
        Follow {
            learns: decision.reads_outcomes(),
            domain: likeliest.map(|(name, _)| name.clone()),
            opinion: self.opinion(evaluation),
        }
    }

    /// The worst that signals say which were needed: nothing is read for it.
    fn opinion(&self, evaluation: &Evaluation<'_, '_>) -> Option<f64> {
        let said = |(index, worth): &(usize, f64)| {
            let reading = evaluation.quietly(|| evaluation.own(*index))?;
            reading.matched.then_some(*worth)
        };
        self.opinions.iter().filter_map(said).reduce(f64::min)
    }

    /// What is learned of what really happened.
    #[must_use]
    pub fn learning(&self) -> &LearningConfig {
        &self.learning
    }

    /// Whether any decision, of recipes, too, goes by what really happened.
    #[must_use]
    pub fn keeps_experience(&self) -> bool {
        let learns = |router: &Self| router.decisions.iter().any(Decision::reads_outcomes);
        self.all().any(|router| router.follows || learns(router))
    }

    /// Names of decisions, of recipes, too, that learn and may choose each of these models.
    pub fn learning_of<'r>(&'r self, models: &'r [&str]) -> impl Iterator<Item = &'r str> {
        let learns = |decision: &&Decision| decision.reads_outcomes();
        let has = |decision: &Decision, model: &str| {
            let mut all = decision.candidates.iter();
            all.any(|candidate| candidate.selected.model == model)
        };
        let decisions = self.all().flat_map(|router| &router.decisions).filter(learns);
        decisions
            .filter(move |decision| models.iter().all(|model| has(decision, model)))
            .map(|decision| decision.name.as_str())
    }

    /// Where decisions, those of recipes, too, look things up for the prompt, by the decision's name.
    pub fn lookups(&self) -> impl Iterator<Item = (&str, &Rag)> {
        let decisions = self.all().flat_map(|router| &router.decisions);
        decisions.filter_map(|decision| Some((decision.name.as_str(), decision.plugins.rag.as_ref()?)))
    }

    /// Whether any of its decisions, recipes aside, says how its answers are remembered: then that is known once it is
    /// decided.
    #[must_use]
    pub fn caches_by_decision(&self) -> bool {
        self.decisions
            .iter()
            .any(|decision| decision.plugins.caching.is_some())
    }

    /// Decisions, those of recipes, too, whose answers are remembered as their own plugin says.
    pub fn caches(&self) -> impl Iterator<Item = &ResponseCache> {
        let decisions = self.all().flat_map(|router| &router.decisions);
        decisions.filter_map(|decision| match &decision.plugins.caching {
            Some(Caching::On(cache)) => Some(cache),
            Some(Caching::Off) | None => None,
        })
    }

    /// Whether anything is kept of a session from turn to turn: its model, or what its user thought of the answers.
    #[must_use]
    pub fn follows_sessions(&self) -> bool {
        self.follows
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

/// What the user thinks of the answer before, by the signal that says so: 1 is content.
pub(crate) fn opinion_of(signal: &Signal) -> Option<f64> {
    match (signal.kind, signal.name.to_ascii_lowercase().as_str()) {
        ("user_feedback", "satisfied") => Some(1.0),
        ("user_feedback", "need_clarification") => Some(0.5),
        ("user_feedback", "want_different") | ("reask", _) => Some(0.25),
        ("user_feedback", "wrong_answer") => Some(0.0),
        _ => None,
    }
}

impl Decision {
    /// Whether the choice among its models goes by what came of earlier ones.
    pub(crate) fn reads_outcomes(&self) -> bool {
        let selection = self.selection.as_ref();
        selection.is_some_and(Selection::reads_outcomes)
    }

    /// Whether the choice goes by more than is recorded of a request.
    pub(crate) fn reads_more(&self, has_texts: bool) -> bool {
        let Some(selection) = &self.selection else {
            return self.holds_sessions();
        };
        // Vectors and domains would have to be asked for, words are there where texts were captured.
        let asks = selection.algorithm.reads_meaning() || self.by_domain;
        asks || (selection.reads_prompt() && !has_texts)
            || selection.algorithm.reads_pace()
            || self.holds_sessions()
            || selection.algorithm.helper().is_some()
    }

    /// The helper that picks among its models.
    pub(crate) fn helper(&self) -> Option<&selection::Prompt> {
        self.selection.as_ref()?.algorithm.helper()
    }

    /// Whether sessions stay with their model.
    pub(crate) fn holds_sessions(&self) -> bool {
        let selection = self.selection.as_ref();
        self.plugins.retention.keep_model || selection.is_some_and(Selection::holds_sessions)
    }

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

    /// Tokens that one of its models takes, as its card says.
    fn window(&self, selected: &Selected) -> Option<u64> {
        let mut candidates = self.candidates.iter();
        let own = candidates.find(|candidate| candidate.selected.model == selected.model)?;
        own.card.window
    }

    /// Its models, that of the session first where the decision stays with it.
    fn kept<'d>(
        &'d self,
        facts: &Facts<'_>,
        order: std::vec::IntoIter<&'d Selected>,
    ) -> std::vec::IntoIter<&'d Selected> {
        let previous = facts.previous.filter(|_| self.plugins.retention.keep_model);
        let Some(previous) = previous else {
            return order;
        };
        let mut order: Vec<&Selected> = order.collect();
        if let Some(at) = order.iter().position(|selected| selected.model == previous.model) {
            order[..=at].rotate_right(1);
        }
        order.into_iter()
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

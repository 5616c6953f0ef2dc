//! Why a request is routed as it is: everything that was weighed.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::decision::Rule;
use crate::evaluation::{Evaluation, Truth, Want};
use crate::facts::Facts;
use crate::loops::{Loop, LoopPlan};
use crate::router::{Decided, Outcome, Router};
use crate::selection::{Ranking, Selected};
use crate::signal::Signal;

/// A decision with all its reasons. Signals are named `type:name`.
#[derive(Debug, Clone, Serialize)]
pub struct Explanation {
    /// What was judged.
    pub original_text: String,
    /// The decision that was taken.
    pub decision_result: Option<DecisionResult>,
    /// Every decision with its rules.
    pub eval_trace: Vec<DecisionTrace>,
    /// Models the decision may choose.
    pub recommended_models: Vec<String>,
    /// The model that was chosen.
    pub selected_model: Option<Selected>,
    /// How: the algorithm's name, `weighted`, `static` (there is only one), `default` or `none`.
    pub selection_method: &'static str,
    /// Models in order, with what each scores and why, where an algorithm has ranked them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub selection: Option<Ranking>,
    /// Who would be asked in which order, where several models are asked for one answer.
    #[serde(skip_serializing_if = "Option::is_none", rename = "loop")]
    pub looped: Option<LoopPlan>,
    /// The decision's name.
    pub routing_decision: Option<String>,
    /// Signals that match, by type.
    pub matched_signals: BTreeMap<&'static str, Vec<String>>,
    /// How surely.
    pub signal_confidences: BTreeMap<String, f64>,
    /// The numbers behind them.
    pub signal_values: BTreeMap<String, f64>,
    /// Signals that were not computed, as nothing depends on them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub not_needed: Vec<String>,
    /// Signals that nobody could answer: they count as not matching.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub failed: Vec<String>,
    /// Microseconds each took.
    pub metrics: BTreeMap<String, SignalMetrics>,
    /// Scores.
    pub projection_scores: BTreeMap<String, f64>,
    /// Ranges that hold.
    pub projections: Vec<String>,
}

/// The decision that was taken.
#[derive(Debug, Clone, Serialize)]
pub struct DecisionResult {
    /// Its name.
    pub decision_name: String,
    /// How surely its rules hold.
    pub confidence: f64,
}

/// A decision and whether its rules hold.
#[derive(Debug, Clone, Serialize)]
pub struct DecisionTrace {
    /// Its name.
    pub decision: String,
    /// The higher wins.
    pub priority: i64,
    /// The lower wins.
    pub tier: u32,
    /// Whether its rules hold.
    pub matched: bool,
    /// Whether that was left open, as nothing depends on it.
    #[serde(skip_serializing_if = "is_false")]
    pub not_needed: bool,
    /// How surely.
    pub confidence: f64,
    /// The rules.
    pub rules: RuleTrace,
}

/// A rule and whether it holds.
#[derive(Debug, Clone, Serialize)]
pub struct RuleTrace {
    /// `AND`, `OR`, `NOT`, `ALWAYS`, or `type:name` of a signal.
    pub rule: String,
    /// Whether it holds.
    pub matched: bool,
    /// Whether that was left open, as nothing depends on it.
    #[serde(skip_serializing_if = "is_false")]
    pub not_needed: bool,
    /// How surely.
    pub confidence: f64,
    /// What it joins.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<RuleTrace>,
}

/// How a signal was computed.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct SignalMetrics {
    /// How long it took.
    pub execution_time_us: f64,
    /// How surely it matches.
    pub confidence: f64,
}

impl Router {
    /// Every decision with its rules, by what is known.
    pub(crate) fn traces(&self, evaluation: &Evaluation<'_, '_>) -> Vec<DecisionTrace> {
        let traces = self.decisions.iter();
        traces
            .map(|decision| trace_decision(evaluation, decision))
            .collect()
    }

    /// Decides as [`Router::decide`] does, computes every signal that needs nobody else, and tells all.
    #[must_use]
    pub fn explain(&self, facts: &Facts<'_>, roll: f64) -> Explanation {
        let mut deciding = self.deciding(*facts, Want::Everything);
        deciding.fail_all();
        deciding.explain(roll)
    }
}

impl Explanation {
    /// What is known, without reading more.
    pub(crate) fn of(evaluation: &Evaluation<'_, '_>, roll: f64) -> Self {
        evaluation.quietly(|| {
            let mut explanation = Self::read(evaluation);
            if let Some(Outcome::Matched(decided)) = evaluation.router.outcome(evaluation, roll) {
                explanation.tell(&decided, &evaluation.facts);
            }
            explanation
        })
    }

    fn tell(&mut self, decided: &Decided<'_>, facts: &Facts<'_>) {
        let all = decided
            .selected
            .into_iter()
            .chain(decided.fallbacks.iter().copied());
        self.recommended_models = all.map(|selected| selected.model.clone()).collect();
        self.selection_method = match (decided.decision, self.recommended_models.len()) {
            ("default", _) => "default",
            _ if decided.looped.is_some() => decided.looped.map_or("none", Loop::name),
            _ if decided.ranking.is_some() => {
                decided.ranking.as_ref().map_or("none", |ranking| ranking.method)
            }
            (_, 0) => "none",
            (_, 1) => "static",
            _ => "weighted",
        };
        self.selected_model = decided.selected.cloned();
        self.selection.clone_from(&decided.ranking);
        self.looped = decided
            .looped
            .map(|looped| looped.plan(&|model| price_of(facts, model)));
        self.routing_decision = Some(decided.decision.to_owned());
        self.decision_result = Some(DecisionResult {
            decision_name: decided.decision.to_owned(),
            confidence: decided.confidence,
        });
    }

    fn read(evaluation: &Evaluation<'_, '_>) -> Self {
        let router = evaluation.router;
        let failed = evaluation
            .failed()
            .iter()
            .filter_map(|index| router.signals.get(*index));
        let mut explanation = Self {
            original_text: evaluation.text().to_owned(),
            decision_result: None,
            eval_trace: router.traces(evaluation),
            recommended_models: Vec::new(),
            selected_model: None,
            selection_method: "none",
            selection: None,
            looped: None,
            routing_decision: None,
            matched_signals: BTreeMap::new(),
            signal_confidences: BTreeMap::new(),
            signal_values: BTreeMap::new(),
            not_needed: Vec::new(),
            failed: failed.map(full_name).collect(),
            metrics: BTreeMap::new(),
            projection_scores: BTreeMap::new(),
            projections: Vec::new(),
        };
        for (index, signal) in router.signals.iter().enumerate() {
            explanation.read_signal(evaluation, index, signal);
        }
        for (index, score) in router.scores.iter().enumerate() {
            let bounds = evaluation.score(index);
            if bounds.is_exact() {
                explanation
                    .projection_scores
                    .insert(score.name.clone(), bounds.low);
            }
        }
        let holding = router.outputs.iter();
        let holding = holding.filter(|output| evaluation.within(output) == Truth::Yes);
        explanation.projections = holding.map(|output| output.name.clone()).collect();
        explanation
    }

    fn read_signal(&mut self, evaluation: &Evaluation<'_, '_>, index: usize, signal: &Signal) {
        let name = full_name(signal);
        // A member of a partition may be known by itself, and yet not what becomes of it.
        let Some(reading) = evaluation.reading(index).or_else(|| evaluation.own(index)) else {
            self.not_needed.push(name);
            return;
        };
        if reading.matched {
            self.matched_signals
                .entry(signal.kind)
                .or_default()
                .push(signal.name.clone());
        }
        let metrics = SignalMetrics {
            execution_time_us: evaluation.time(index),
            confidence: reading.confidence,
        };
        self.metrics.insert(name.clone(), metrics);
        self.signal_confidences.insert(name.clone(), reading.confidence);
        self.signal_values.insert(name, reading.value);
    }
}

/// What a model's prompt tokens cost, as far as it is known.
#[allow(clippy::cast_precision_loss, reason = "prices are below 2^52 nano-dollars")]
fn price_of(facts: &Facts<'_>, model: &str) -> Option<f64> {
    let price = facts.models?.price(model)?;
    Some(price.input as f64)
}

fn full_name(signal: &Signal) -> String {
    format!("{}:{}", signal.kind, signal.name)
}

fn trace_decision(evaluation: &Evaluation<'_, '_>, decision: &crate::decision::Decision) -> DecisionTrace {
    let truth = evaluation.truth(&decision.rule);
    DecisionTrace {
        decision: decision.name.clone(),
        priority: decision.priority,
        tier: decision.tier,
        matched: truth == Truth::Yes,
        not_needed: truth == Truth::Open,
        confidence: confidence(evaluation, &decision.rule, truth),
        rules: trace_rule(evaluation, &decision.rule),
    }
}

/// How surely a rule holds, by what is known.
fn confidence(evaluation: &Evaluation<'_, '_>, rule: &Rule, truth: Truth) -> f64 {
    match truth {
        Truth::Yes => evaluation.sureness(rule).low,
        Truth::No | Truth::Open => 0.0,
    }
}

fn trace_rule(evaluation: &Evaluation<'_, '_>, rule: &Rule) -> RuleTrace {
    let router = evaluation.router;
    let (name, conditions): (String, &[Rule]) = match rule {
        Rule::Always => ("ALWAYS".to_owned(), &[]),
        Rule::Signal(index) => (full_name(&router.signals[*index]), &[]),
        Rule::Projection(index) => (format!("projection:{}", router.outputs[*index].name), &[]),
        Rule::All(joined) => ("AND".to_owned(), &joined.rules),
        Rule::Any(joined) => ("OR".to_owned(), &joined.rules),
        Rule::Not(rule) => ("NOT".to_owned(), std::slice::from_ref(rule)),
    };
    let truth = evaluation.truth(rule);
    RuleTrace {
        rule: name,
        matched: truth == Truth::Yes,
        not_needed: truth == Truth::Open,
        confidence: confidence(evaluation, rule, truth),
        conditions: conditions
            .iter()
            .map(|rule| trace_rule(evaluation, rule))
            .collect(),
    }
}

fn is_false(flag: &bool) -> bool {
    !flag
}

//! Why a request is routed as it is: everything that was weighed.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::decision::Rule;
use crate::evaluation::Evaluation;
use crate::facts::Facts;
use crate::router::{Outcome, Router};
use crate::selection::{Ranking, Selected};

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
    /// The decision's name.
    pub routing_decision: Option<String>,
    /// Signals that match, by type.
    pub matched_signals: BTreeMap<&'static str, Vec<String>>,
    /// How surely.
    pub signal_confidences: BTreeMap<String, f64>,
    /// The numbers behind them.
    pub signal_values: BTreeMap<String, f64>,
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
    /// Decides as [`Router::decide`] does, computes every signal, and tells all.
    #[must_use]
    pub fn explain(&self, facts: &Facts<'_>, roll: f64) -> Explanation {
        let evaluation = Evaluation::new(self, facts, true);
        let mut explanation = self.read_all(&evaluation, facts);
        if let Outcome::Matched(decided) = self.outcome(&evaluation, roll) {
            let all = decided
                .selected
                .into_iter()
                .chain(decided.fallbacks.iter().copied());
            explanation.recommended_models = all.map(|selected| selected.model.clone()).collect();
            explanation.selection_method = match (decided.decision, explanation.recommended_models.len()) {
                ("default", _) => "default",
                _ if decided.ranking.is_some() => {
                    decided.ranking.as_ref().map_or("none", |ranking| ranking.method)
                }
                (_, 0) => "none",
                (_, 1) => "static",
                _ => "weighted",
            };
            explanation.selected_model = decided.selected.cloned();
            explanation.selection.clone_from(&decided.ranking);
            explanation.routing_decision = Some(decided.decision.to_owned());
            explanation.decision_result = Some(DecisionResult {
                decision_name: decided.decision.to_owned(),
                confidence: decided.confidence,
            });
        }
        explanation
    }

    fn read_all(&self, evaluation: &Evaluation<'_>, facts: &Facts<'_>) -> Explanation {
        let mut explanation = Explanation {
            original_text: facts.user_text.to_owned(),
            decision_result: None,
            eval_trace: self
                .decisions
                .iter()
                .map(|decision| trace_decision(evaluation, decision))
                .collect(),
            recommended_models: Vec::new(),
            selected_model: None,
            selection_method: "none",
            selection: None,
            routing_decision: None,
            matched_signals: BTreeMap::new(),
            signal_confidences: BTreeMap::new(),
            signal_values: BTreeMap::new(),
            metrics: BTreeMap::new(),
            projection_scores: BTreeMap::new(),
            projections: Vec::new(),
        };
        for (index, signal) in self.signals.iter().enumerate() {
            let reading = evaluation.reading(index);
            let name = format!("{}:{}", signal.kind, signal.name);
            if reading.matched {
                explanation
                    .matched_signals
                    .entry(signal.kind)
                    .or_default()
                    .push(signal.name.clone());
            }
            let metrics = SignalMetrics {
                execution_time_us: evaluation.time(index),
                confidence: reading.confidence,
            };
            explanation.metrics.insert(name.clone(), metrics);
            explanation
                .signal_confidences
                .insert(name.clone(), reading.confidence);
            explanation.signal_values.insert(name, reading.value);
        }
        for (index, score) in self.scores.iter().enumerate() {
            explanation
                .projection_scores
                .insert(score.name.clone(), evaluation.score(index));
        }
        let holding = self
            .outputs
            .iter()
            .enumerate()
            .filter(|(index, _)| evaluation.output(*index));
        explanation.projections = holding.map(|(_, output)| output.name.clone()).collect();
        explanation
    }
}

fn trace_decision(evaluation: &Evaluation<'_>, decision: &crate::decision::Decision) -> DecisionTrace {
    DecisionTrace {
        decision: decision.name.clone(),
        priority: decision.priority,
        tier: decision.tier,
        matched: evaluation.holds(&decision.rule),
        confidence: evaluation.confidence(&decision.rule),
        rules: trace_rule(evaluation, &decision.rule),
    }
}

fn trace_rule(evaluation: &Evaluation<'_>, rule: &Rule) -> RuleTrace {
    let router = evaluation.router;
    let (name, conditions): (String, &[Rule]) = match rule {
        Rule::Always => ("ALWAYS".to_owned(), &[]),
        Rule::Signal(index) => (
            format!("{}:{}", router.signals[*index].kind, router.signals[*index].name),
            &[],
        ),
        Rule::Projection(index) => (format!("projection:{}", router.outputs[*index].name), &[]),
        Rule::All(rules) => ("AND".to_owned(), rules),
        Rule::Any(rules) => ("OR".to_owned(), rules),
        Rule::Not(rule) => ("NOT".to_owned(), std::slice::from_ref(rule)),
    };
    RuleTrace {
        rule: name,
        matched: evaluation.holds(rule),
        confidence: evaluation.confidence(rule),
        conditions: conditions
            .iter()
            .map(|rule| trace_rule(evaluation, rule))
            .collect(),
    }
}

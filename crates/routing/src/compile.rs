//! From the configuration to a router; everything that is wrong is told at once.

use std::collections::HashSet;

use crate::config::{DecisionConfig, ModelRef, Predicate, RoutingConfig, RuleNode};
use crate::decision::{Decision, Joined, Rule};
use crate::plugin::Plugins;
use crate::projection::{Input, Output, Partition, Score, ValueSource};
use crate::reasoning::switch;
use crate::router::Router;
use crate::selection::{Candidate, Selected};
use crate::signal::{self, AskedSignal, Signal, UNSUPPORTED};

/// Deepest nesting of rules.
const MAX_DEPTH: usize = 32;

/// Something wrong with the configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CompileError {
    /// Where, relative to `routing`, such as `decisions[0].modelRefs[1].model`.
    pub path: String,
    /// What.
    pub message: String,
    /// What may have been meant.
    pub suggestion: Option<String>,
}

impl Router {
    /// Compiles a configuration.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn compile(config: &RoutingConfig) -> Result<Self, Vec<CompileError>> {
        Self::compile_with(config, &[])
    }

    /// Compiles a configuration to which somebody answers these signals.
    ///
    /// # Errors
    /// As [`Router::compile`].
    pub fn compile_with(config: &RoutingConfig, asked: &[AskedSignal]) -> Result<Self, Vec<CompileError>> {
        let mut compiler = Compiler {
            config,
            asked,
            errors: Vec::new(),
            signals: Vec::new(),
            partitions: Vec::new(),
            scores: Vec::new(),
            outputs: Vec::new(),
        };
        compiler.signals();
        compiler.projections();
        let decisions = compiler.decisions();
        let default = config.default_model.as_ref().map(|model| Selected {
            model: model.clone(),
            lora_name: None,
            reasoning: None,
            use_reasoning: None,
        });
        if !compiler.errors.is_empty() {
            return Err(compiler.errors);
        }
        let names = if config.names.is_empty() {
            vec!["auto".to_owned()]
        } else {
            config.names.clone()
        };
        Ok(Self {
            names,
            strategy: config.strategy,
            default,
            signals: compiler.signals,
            partitions: compiler.partitions,
            scores: compiler.scores,
            outputs: compiler.outputs,
            decisions,
        })
    }
}

/// Signals of which one wins.
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct PartitionConfig {
    #[serde(rename = "name")]
    _name: String,
    #[serde(default)]
    semantics: String,
    temperature: Option<f64>,
    members: Vec<String>,
    default: Option<String>,
}

struct Compiler<'a> {
    config: &'a RoutingConfig,
    asked: &'a [AskedSignal],
    errors: Vec<CompileError>,
    signals: Vec<Signal>,
    partitions: Vec<Partition>,
    scores: Vec<Score>,
    outputs: Vec<Output>,
}

impl Compiler<'_> {
    fn wrong(&mut self, path: impl Into<String>, message: impl Into<String>) {
        self.errors.push(CompileError {
            path: path.into(),
            message: message.into(),
            suggestion: None,
        });
    }

    /// An unknown name, with the known one that looks most like it.
    fn unknown<'n>(&mut self, path: String, what: &str, name: &str, known: impl Iterator<Item = &'n str>) {
        let near = known
            .map(|known| (strsim::jaro_winkler(name, known), known))
            .filter(|(near, _)| *near > 0.75);
        let suggestion = near
            .max_by(|left, right| left.0.total_cmp(&right.0))
            .map(|(_, known)| known.to_owned());
        self.errors.push(CompileError {
            path,
            message: format!("there is no {what} {name:?}"),
            suggestion,
        });
    }

    fn unique<'n>(&mut self, what: &str, names: impl Iterator<Item = (String, &'n str)>) {
        let mut seen = HashSet::new();
        for (path, name) in names {
            if name.is_empty() {
                self.wrong(path, format!("this {what} needs a name"));
            } else if !seen.insert(name.to_owned()) {
                self.wrong(path, format!("there is another {what} named {name:?}"));
            }
        }
    }

    fn signals(&mut self) {
        let mut errors = Vec::new();
        self.signals = signal::compile(&self.config.signals, &mut errors);
        self.signals.extend(self.asked.iter().map(Signal::asked));
        for error in errors {
            self.wrong(error.path, error.message);
        }
        let names: Vec<(String, String)> = self
            .signals
            .iter()
            .map(|signal| {
                (
                    format!("signals.{}", collection(signal.kind)),
                    format!("{}:{}", signal.kind, signal.name),
                )
            })
            .collect();
        self.unique(
            "signal",
            names.iter().map(|(path, name)| (path.clone(), name.as_str())),
        );
        let config = self.config;
        let cards = config.model_cards.iter().enumerate();
        self.unique(
            "model card",
            cards.map(|(index, card)| (format!("modelCards[{index}].name"), card.name.as_str())),
        );
    }

    fn find_signal(&mut self, path: &str, kind: &str, name: &str) -> Option<usize> {
        if let Some(index) = self
            .signals
            .iter()
            .position(|signal| signal.kind == kind && signal.name == name)
        {
            return Some(index);
        }
        if UNSUPPORTED.iter().any(|(unsupported, _)| *unsupported == kind) {
            self.wrong(
                format!("{path}.type"),
                format!("signals of type {kind:?} are not supported in this version"),
            );
            return None;
        }
        let kinds = [
            "keyword",
            "context",
            "structure",
            "conversation",
            "metadata",
            "event",
            "authz",
            "language",
            "projection",
        ];
        if !kinds.contains(&kind) {
            self.unknown(format!("{path}.type"), "signal type", kind, kinds.into_iter());
            return None;
        }
        let known: Vec<String> = self
            .signals
            .iter()
            .filter(|signal| signal.kind == kind)
            .map(|signal| signal.name.clone())
            .collect();
        self.unknown(
            format!("{path}.name"),
            &format!("{kind} signal"),
            name,
            known.iter().map(String::as_str),
        );
        None
    }

    fn projections(&mut self) {
        let config = &self.config.projections;
        for (index, partition) in config.partitions.iter().enumerate() {
            self.partition(&format!("projections.partitions[{index}]"), partition);
        }
        for (index, score) in config.scores.iter().enumerate() {
            let path = format!("projections.scores[{index}]");
            if score
                .method
                .as_deref()
                .is_some_and(|method| method != "weighted_sum")
            {
                self.wrong(format!("{path}.method"), "unknown method; use weighted_sum");
            }
            let mut inputs = Vec::new();
            for (number, input) in score.inputs.iter().enumerate() {
                let path = format!("{path}.inputs[{number}]");
                let Some(signal) = self.find_signal(&path, &input.kind, &input.name) else {
                    continue;
                };
                let source = match input.value_source.as_deref() {
                    None | Some("binary") => ValueSource::Binary {
                        matched: input.on_match.unwrap_or(1.0),
                        missed: input.miss.unwrap_or(0.0),
                    },
                    Some("confidence" | "score") => ValueSource::Confidence,
                    Some("raw") => ValueSource::Raw,
                    Some(other) => {
                        let message =
                            format!("unknown value_source {other:?}; use binary, confidence, raw or score");
                        self.wrong(format!("{path}.value_source"), message);
                        continue;
                    }
                };
                inputs.push(Input {
                    signal,
                    weight: input.weight,
                    source,
                });
            }
            self.scores.push(Score {
                name: score.name.clone(),
                inputs,
            });
        }
        self.mappings();
    }

    /// A partition: its members are `domain` signals or `embedding` signals, by their names.
    fn partition(&mut self, path: &str, value: &serde_json::Value) {
        let config: PartitionConfig = match serde_json::from_value(value.clone()) {
            Ok(config) => config,
            Err(error) => return self.wrong(path, error.to_string()),
        };
        let temperature = match (config.semantics.as_str(), config.temperature) {
            ("" | "exclusive", _) => None,
            ("softmax_exclusive", Some(temperature)) if temperature > 0.0 => Some(temperature),
            ("softmax_exclusive", _) => {
                return self.wrong(
                    format!("{path}.temperature"),
                    "softmax_exclusive needs one above 0",
                );
            }
            (other, _) => {
                let message = format!("unknown semantics {other:?}; use exclusive or softmax_exclusive");
                return self.wrong(format!("{path}.semantics"), message);
            }
        };
        let of_kind = |kind: &str, name: &String| {
            let mut signals = self.signals.iter();
            signals.position(|signal| signal.kind == kind && signal.name == *name)
        };
        let members = ["domain", "embedding"].iter().find_map(|kind| {
            let members = config.members.iter().map(|name| of_kind(kind, name));
            members.collect::<Option<Vec<usize>>>()
        });
        let Some(members) = members.filter(|members| !members.is_empty()) else {
            let message =
                "names of domain signals, or names of embedding signals, are wanted; all must be declared";
            return self.wrong(format!("{path}.members"), message);
        };
        if members
            .iter()
            .any(|member| self.partitions.iter().any(|other| other.members.contains(member)))
        {
            return self.wrong(
                format!("{path}.members"),
                "a signal belongs to one partition at most",
            );
        }
        let mut default = None;
        if let Some(name) = &config.default {
            default = config
                .members
                .iter()
                .position(|member| member == name)
                .map(|place| members[place]);
            if default.is_none() {
                return self.wrong(format!("{path}.default"), "is none of the members");
            }
        }
        self.partitions.push(Partition {
            members,
            default,
            temperature,
        });
    }

    fn mappings(&mut self) {
        let config = self.config;
        for (index, mapping) in config.projections.mappings.iter().enumerate() {
            let path = format!("projections.mappings[{index}]");
            if mapping
                .method
                .as_deref()
                .is_some_and(|method| method != "threshold_bands")
            {
                self.wrong(format!("{path}.method"), "unknown method; use threshold_bands");
            }
            let Some(score) = self.scores.iter().position(|score| score.name == mapping.source) else {
                let known: Vec<String> = self.scores.iter().map(|score| score.name.clone()).collect();
                self.unknown(
                    format!("{path}.source"),
                    "score",
                    &mapping.source,
                    known.iter().map(String::as_str),
                );
                continue;
            };
            let mut before: Vec<Predicate> = Vec::new();
            for band in &mapping.outputs {
                let range = band.predicate();
                self.outputs.push(Output {
                    name: band.name.clone(),
                    score,
                    range,
                    before: before.clone(),
                });
                before.push(range);
            }
        }
    }

    fn decisions(&mut self) -> Vec<Decision> {
        let configs = self.joined();
        self.unique(
            "decision",
            configs
                .iter()
                .enumerate()
                .map(|(index, decision)| (format!("decisions[{index}].name"), decision.name.as_str())),
        );
        let mut decisions: Vec<Decision> = configs
            .iter()
            .enumerate()
            .map(|(index, config)| self.decision(&format!("decisions[{index}]"), config))
            .collect();
        // Stable: decisions of one rank stay in the order in which they were written.
        decisions.sort_by_key(|decision| (decision.tier, std::cmp::Reverse(decision.priority)));
        if self.config.strategy == crate::config::Strategy::Confidence {
            decisions.sort_by_key(|decision| decision.tier);
        }
        decisions
    }

    /// The decisions; rules and models printed beside the only one are its own.
    fn joined(&mut self) -> Vec<DecisionConfig> {
        let config = self.config;
        let mut decisions = config.decisions.clone();
        if config.rules.is_none() && config.model_refs.is_empty() {
            return decisions;
        }
        match decisions.as_mut_slice() {
            [only] => {
                only.rules = only.rules.take().or_else(|| config.rules.clone());
                if only.model_refs.is_empty() {
                    only.model_refs.clone_from(&config.model_refs);
                }
            }
            _ => {
                let path = if config.rules.is_some() {
                    "rules"
                } else {
                    "modelRefs"
                };
                self.wrong(
                    path,
                    "may stand beside decisions only where there is exactly one; put it inside its decision",
                );
            }
        }
        decisions
    }

    fn decision(&mut self, path: &str, config: &DecisionConfig) -> Decision {
        let rule = config
            .rules
            .as_ref()
            .map_or(Rule::Always, |rule| self.rule(&format!("{path}.rules"), rule, 0));
        let mut plugins = Plugins::default();
        for (index, plugin) in config.plugins.iter().enumerate() {
            if let Err(message) = plugins.add(plugin) {
                self.wrong(format!("{path}.plugins[{index}]"), message);
            }
        }
        if let Some(algorithm) = &config.algorithm {
            let kind = algorithm
                .get("type")
                .and_then(serde_json::Value::as_str)
                .or(algorithm.as_str());
            if kind != Some("static") {
                let message = format!(
                    "the algorithm {} is not supported in this version; use static",
                    kind.unwrap_or("given")
                );
                self.wrong(format!("{path}.algorithm"), message);
            }
        }
        if config.model_refs.is_empty() && plugins.fast_response.is_none() {
            self.wrong(path, "a decision needs modelRefs, or the plugin fast_response");
        }
        let references = config.model_refs.iter().enumerate();
        let candidates: Vec<Candidate> = references
            .filter_map(|(index, reference)| self.candidate(&format!("{path}.modelRefs[{index}]"), reference))
            .collect();
        if !config.model_refs.is_empty()
            && candidates.iter().map(|candidate| candidate.weight).sum::<f64>() <= 0.0
        {
            self.wrong(format!("{path}.modelRefs"), "all weights are zero");
        }
        Decision {
            name: config.name.clone(),
            priority: config.priority,
            tier: config.tier,
            rule,
            candidates,
            plugins,
        }
    }

    fn candidate(&mut self, path: &str, reference: &ModelRef) -> Option<Candidate> {
        let card = self
            .config
            .model_cards
            .iter()
            .find(|card| card.name == reference.model);
        if let Some(lora) = &reference.lora_name {
            let known = card.map(|card| card.loras.as_slice()).unwrap_or_default();
            if !known.iter().any(|known| known.name == *lora) {
                let names = known.iter().map(|known| known.name.as_str());
                self.unknown(
                    format!("{path}.lora_name"),
                    &format!("adapter of {:?}", reference.model),
                    lora,
                    names,
                );
                return None;
            }
        }
        let weight = reference.weight.unwrap_or(1.0);
        if weight.is_nan() || weight < 0.0 {
            self.wrong(format!("{path}.weight"), "a weight is not negative");
            return None;
        }
        let selected = Selected {
            model: reference.model.clone(),
            lora_name: reference.lora_name.clone(),
            reasoning: switch(reference, card),
            use_reasoning: reference.use_reasoning,
        };
        Some(Candidate { selected, weight })
    }

    fn rule(&mut self, path: &str, node: &RuleNode, depth: usize) -> Rule {
        if depth > MAX_DEPTH {
            self.wrong(path, format!("rules are nested deeper than {MAX_DEPTH}"));
            return Rule::Always;
        }
        if let Some(kind) = &node.kind {
            return self.leaf(path, kind, node.name.as_deref().unwrap_or_default());
        }
        let children = node.conditions.iter().enumerate();
        let rules: Vec<Rule> = children
            .map(|(index, child)| self.rule(&format!("{path}.conditions[{index}]"), child, depth + 1))
            .collect();
        match node.operator.as_deref().map(str::to_ascii_uppercase).as_deref() {
            None if rules.is_empty() => Rule::Always,
            _ if rules.is_empty() => Rule::Always,
            Some("AND") | None => Rule::All(self.joined_rules(rules)),
            Some("OR") => Rule::Any(self.joined_rules(rules)),
            Some("NOT") => {
                if rules.len() != 1 {
                    self.wrong(path, "NOT takes exactly one condition");
                }
                rules
                    .into_iter()
                    .next()
                    .map_or(Rule::Always, |rule| Rule::Not(Box::new(rule)))
            }
            Some(other) => {
                self.wrong(
                    format!("{path}.operator"),
                    format!("unknown operator {other:?}; use AND, OR or NOT"),
                );
                Rule::Always
            }
        }
    }

    fn joined_rules(&self, rules: Vec<Rule>) -> Joined {
        let costs: Vec<u8> = rules.iter().map(|rule| self.cost(rule)).collect();
        Joined::new(rules, &costs)
    }

    /// What it costs to know a rule: that of the dearest signal in it.
    fn cost(&self, rule: &Rule) -> u8 {
        let signal = |index: usize| self.signals.get(index).map_or(0, Signal::cost);
        match rule {
            Rule::Always => 0,
            Rule::Signal(index) => signal(*index),
            Rule::Projection(index) => {
                let score = self
                    .outputs
                    .get(*index)
                    .and_then(|output| self.scores.get(output.score));
                let inputs = score.map(|score| score.inputs.as_slice()).unwrap_or_default();
                inputs.iter().map(|input| signal(input.signal)).max().unwrap_or(0)
            }
            Rule::All(joined) | Rule::Any(joined) => {
                joined.rules.iter().map(|rule| self.cost(rule)).max().unwrap_or(0)
            }
            Rule::Not(rule) => self.cost(rule),
        }
    }

    fn leaf(&mut self, path: &str, kind: &str, name: &str) -> Rule {
        if kind != "projection" {
            return self
                .find_signal(path, kind, name)
                .map_or(Rule::Always, Rule::Signal);
        }
        if let Some(index) = self.outputs.iter().position(|output| output.name == name) {
            return Rule::Projection(index);
        }
        let known: Vec<String> = self.outputs.iter().map(|output| output.name.clone()).collect();
        self.unknown(
            format!("{path}.name"),
            "projection",
            name,
            known.iter().map(String::as_str),
        );
        Rule::Always
    }
}

fn collection(kind: &str) -> &str {
    match kind {
        "keyword" => "keywords",
        "event" => "events",
        "authz" => "role_bindings",
        other => other,
    }
}

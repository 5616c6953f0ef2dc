//! From the configuration to a router; everything that is wrong is told at once.

mod adapt;
mod projections;

use std::collections::HashSet;
use std::sync::Arc;

use crate::config::{DecisionConfig, ModelRef, RoutingConfig, RuleNode};
use crate::decision::{Decision, Joined, Rule};
use crate::declared::{declared, undeclared_domains};
use crate::fallback::Fallback;
use crate::knowledge::Knowledge;
use crate::loops::{self, LOOPS, Loop};
use crate::plugin::{Hallucination, Plugins, Replay, Retention};
use crate::projection::{Output, Partition, Score, Summand};
use crate::reasoning::{switch, wanted};
use crate::router::{Router, opinion_of};
use crate::selection::{self, Abilities, Candidate, Card, Selected, Selection};
use crate::signal::{self, AskedSignal, ClassRule, Classifier, Shelf, Signal};
use crate::support::{self, ALGORITHMS, SIGNALS};

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
    /// Compiles what stands beside the recipes.
    pub(crate) fn compile_one(
        config: &RoutingConfig,
        asked: &[AskedSignal],
    ) -> Result<Self, Vec<CompileError>> {
        let mut compiler = Compiler {
            config,
            asked,
            errors: support::refused(config, asked),
            shelves: Vec::new(),
            classifiers: Vec::new(),
            signals: Vec::new(),
            partitions: Vec::new(),
            scores: Vec::new(),
            outputs: Vec::new(),
        };
        compiler.signals();
        compiler.projections();
        let decisions = compiler.decisions();
        let fallback = compiler.fallback();
        let default = config.default_model.as_ref().map(|model| Selected {
            model: model.clone(),
            lora_name: None,
            reasoning: None,
            use_reasoning: None,
        });
        if !compiler.errors.is_empty() {
            return Err(compiler.errors);
        }
        let opinions: Vec<(usize, f64)> = compiler
            .signals
            .iter()
            .enumerate()
            .filter_map(|(index, signal)| Some((index, opinion_of(signal)?)))
            .collect();
        let holds = decisions.iter().any(Decision::holds_sessions);
        let learns = decisions.iter().any(Decision::reads_outcomes);
        let default_plugins = Plugins {
            replay: compiler.recorded(None),
            hallucination: Hallucination::noted(&config.signals.hallucination),
            ..Plugins::default()
        };
        let names = if config.names.is_empty() {
            vec!["auto".to_owned()]
        } else {
            config.names.clone()
        };
        Ok(Self {
            names,
            strategy: config.strategy,
            default,
            default_plugins,
            signals: compiler.signals,
            partitions: compiler.partitions,
            scores: compiler.scores,
            outputs: compiler.outputs,
            decisions,
            recipes: Vec::new(),
            follows: holds || (learns && !opinions.is_empty()),
            opinions,
            learning: config.learning.clone(),
            fallback,
        })
    }
}

struct Compiler<'c> {
    config: &'c RoutingConfig,
    asked: &'c [AskedSignal],
    errors: Vec<CompileError>,
    /// Knowledge bases with their examples.
    shelves: Vec<Arc<Shelf>>,
    /// Classifiers of one's own.
    classifiers: Vec<Arc<Classifier>>,
    signals: Vec<Signal>,
    partitions: Vec<Partition>,
    scores: Vec<Score>,
    outputs: Vec<Output>,
}

impl<'c> Compiler<'c> {
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
        let mut signals = self.config.signals.clone();
        signals.domains.extend(undeclared_domains(self.config));
        self.shelves = self.shelves();
        self.classifiers = self.classifiers();
        self.signals = signal::compile(&signals, &self.shelves, self.asked, &mut errors);
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
        let kinds = SIGNALS.iter().map(|known| known.name);
        if !SIGNALS.iter().any(|known| known.name == kind) {
            let kinds = kinds.chain(["projection"]);
            self.unknown(format!("{path}.type"), "signal type", kind, kinds);
            return None;
        }
        let known = declared(&self.config.signals).into_iter();
        let known: Vec<String> = known
            .filter(|signal| signal.kind == kind)
            .map(|signal| signal.name)
            .collect();
        // Declared, and not carried out: that is told once for all.
        if known.iter().any(|known| known == name) {
            return None;
        }
        // Domains need no declaration.
        let domains: &[&str] = match kind == "domain" && known.is_empty() {
            true => signal::domain_names(),
            false => &[],
        };
        self.unknown(
            format!("{path}.name"),
            &format!("{kind} signal"),
            name,
            known.iter().map(String::as_str).chain(domains.iter().copied()),
        );
        None
    }

    /// Classifiers of one's own, but for those that somebody else answers for.
    fn classifiers(&mut self) -> Vec<Arc<Classifier>> {
        let config = self.config;
        let mut all: Vec<Arc<Classifier>> = Vec::new();
        for (index, declared) in config.signals.classifiers.iter().enumerate() {
            let name = declared.name.as_str();
            let mut asked = self.asked.iter();
            if asked.any(|signal| signal.kind == signal::CLASSIFIER && signal.name == name) {
                continue;
            }
            let path = format!("signals.classifiers[{index}]");
            if name.is_empty() || all.iter().any(|known| known.name == name) {
                self.wrong(path, "a classifier needs a name that no other has");
                continue;
            }
            match Classifier::compile(declared) {
                Ok(classifier) => all.push(classifier),
                Err((field, message)) => self.wrong(format!("{path}.{field}"), message),
            }
        }
        all
    }

    /// Knowledge bases that any signal or score asks.
    fn shelves(&mut self) -> Vec<Arc<Shelf>> {
        let config = self.config;
        let asked = |name: &str| {
            let inputs = config.projections.scores.iter().flat_map(|score| &score.inputs);
            let mut inputs = inputs.filter(|input| input.kind == signal::KB_METRIC);
            config.signals.kb.iter().any(|signal| signal.kb == name)
                || inputs.any(|input| input.kb.as_deref() == Some(name))
        };
        let mut shelves = Vec::new();
        for (index, base) in config.knowledge_bases.iter().enumerate() {
            if !asked(&base.name) {
                continue;
            }
            match Knowledge::read(base) {
                Ok(known) => shelves.push(Shelf::new(&known)),
                Err((field, message)) => self.wrong(format!("knowledge_bases[{index}].{field}"), message),
            }
        }
        shelves
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
        match Retention::of(&config.emits) {
            Ok(retention) => plugins.retention = retention,
            Err((index, message)) => self.wrong(format!("{path}.emits[{index}]"), message),
        }
        let says_so = config.plugins.iter().any(|plugin| plugin.kind == "router_replay");
        if plugins.shadow.is_some() && !says_so {
            plugins.replay = Some(Replay::of_shadows());
        }
        plugins.replay = self.recorded(plugins.replay);
        let noted = || Hallucination::noted(&self.config.signals.hallucination);
        plugins.hallucination = plugins.hallucination.or_else(noted);
        let answers = plugins.fast_response.is_some() || plugins.image_gen.is_some();
        if config.model_refs.is_empty() && !answers {
            self.wrong(
                path,
                "a decision needs modelRefs, or the plugin fast_response or image_gen",
            );
        }
        let references = config.model_refs.iter().enumerate();
        let candidates: Vec<Candidate> = references
            .filter_map(|(index, reference)| self.candidate(&format!("{path}.modelRefs[{index}]"), reference))
            .collect();
        if !candidates.is_empty() && candidates.iter().map(|candidate| candidate.weight).sum::<f64>() <= 0.0 {
            self.wrong(format!("{path}.modelRefs"), "all weights are zero");
        }
        let looped = self.looped(path, config, &candidates);
        let selection = self.selection(path, config, &candidates);
        let beside = (candidates.as_slice(), looped.is_some());
        let selection = self.adapted(path, config, beside, selection);
        self.judged(path, &plugins, selection.as_ref());
        // Without a signal of domains nobody has to know them, and nobody is asked for this alone.
        let knows_domains = self.signals.iter().any(|signal| signal.kind == "domain");
        let by_domain = selection
            .as_ref()
            .is_some_and(|selection| selection.algorithm.reads_domains() && knows_domains);
        Decision {
            print: print(config),
            by_domain,
            name: config.name.clone(),
            priority: config.priority,
            tier: config.tier,
            rule,
            candidates,
            selection,
            looped,
            plugins,
            guardrails: config.guardrails.clone(),
        }
    }

    /// What is done when a model fails.
    fn fallback(&mut self) -> Option<Fallback> {
        match Fallback::of(self.config.fallback.as_ref()?) {
            Ok(fallback) => fallback,
            Err((field, message)) => {
                self.wrong(format!("fallback.{field}"), message);
                None
            }
        }
    }

    /// Answers are judged for selections that learn by it.
    fn judged(&mut self, path: &str, plugins: &Plugins, selection: Option<&Selection>) {
        if plugins.judge.is_some() && !selection.is_some_and(Selection::reads_outcomes) {
            self.wrong(
                format!("{path}.plugins"),
                "llm_judge has answers judged for a selection that goes by outcomes: thompson, elo or hybrid, a target, \
                 or adaptations.adaptation; this decision has none",
            );
        }
    }

    /// Whether and how a decision is recorded, by its plugin and by the policy of all.
    fn recorded(&self, plugin: Option<Replay>) -> Option<Replay> {
        let policy = self.config.data_policy.as_ref();
        match policy.and_then(|policy| policy.replay) {
            Some(true) => Some(plugin.filter(|plugin| !plugin.of_shadows).unwrap_or_default()),
            Some(false) => None,
            None => plugin,
        }
    }

    /// How one of the candidates is picked; none where they share by weight.
    fn selection(
        &mut self,
        path: &str,
        config: &DecisionConfig,
        candidates: &[Candidate],
    ) -> Option<Selection> {
        let algorithm = config.algorithm.as_ref()?;
        let kind = support::algorithm_kind(algorithm).unwrap_or_default();
        if LOOPS.contains(&kind) {
            return None;
        }
        match ALGORITHMS.iter().find(|(known, _)| *known == kind) {
            None => {
                let mut known = ALGORITHMS.iter().map(|(name, _)| *name);
                self.unknown(format!("{path}.algorithm.type"), "algorithm", kind, &mut known);
                None
            }
            // What is not carried out is told once for all.
            Some((_, false)) => None,
            Some((_, true)) => match selection::compile(algorithm, candidates) {
                Ok(selection) => Some(selection),
                Err(wrong) => {
                    for (place, message) in wrong {
                        let dot = if place.is_empty() { "" } else { "." };
                        self.wrong(format!("{path}.algorithm{dot}{place}"), message);
                    }
                    None
                }
            },
        }
    }

    /// How several of the candidates are asked for one answer.
    fn looped(&mut self, path: &str, config: &DecisionConfig, candidates: &[Candidate]) -> Option<Loop> {
        let algorithm = config.algorithm.as_ref();
        let kind = algorithm.and_then(support::algorithm_kind).unwrap_or_default();
        let algorithm = algorithm.filter(|_| LOOPS.contains(&kind));
        let Some(algorithm) = algorithm else {
            if config.output_contract_spec.is_some() {
                let message = "is checked of answers that several models give; this decision asks one";
                self.wrong(format!("{path}.output_contract_spec"), message);
            }
            return None;
        };
        let around = loops::Around {
            decision: config,
            candidates,
            cards: &self.config.model_cards,
            bounds: self.config.loops,
        };
        match loops::compile(algorithm, &around) {
            Ok(looped) => Some(looped),
            Err(wrong) => {
                for (place, message) in wrong {
                    self.wrong(format!("{path}.{place}"), message);
                }
                None
            }
        }
    }

    fn candidate(&mut self, path: &str, reference: &ModelRef) -> Option<Candidate> {
        let card = self
            .config
            .model_cards
            .iter()
            .find(|card| card.name == reference.model);
        // Of a model without a card nothing is known, its adapters neither.
        if let (Some(lora), Some(card)) = (&reference.lora_name, card) {
            let known = card.loras.as_slice();
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
        let modes = ["enabled", "disabled", "adaptive"];
        if let Some(mode) = reference.reasoning_mode.as_deref()
            && !modes.contains(&mode)
        {
            let path = format!("{path}.reasoning_mode");
            self.unknown(path, "reasoning_mode", mode, modes.into_iter());
            return None;
        }
        let selected = Selected {
            model: reference.model.clone(),
            lora_name: reference.lora_name.clone(),
            reasoning: switch(reference, card),
            use_reasoning: wanted(reference),
        };
        let card = card.map_or_else(Card::default, |card| Card {
            quality: card.quality_score.map(|quality| quality.clamp(0.0, 1.0)),
            window: card.context_window_size,
            can: Abilities::of(card),
            description: card
                .description
                .clone()
                .filter(|description| !description.trim().is_empty()),
        });
        Some(Candidate {
            selected,
            weight,
            card,
        })
    }

    fn rule(&mut self, path: &str, node: &RuleNode, depth: usize) -> Rule {
        if depth > MAX_DEPTH {
            self.wrong(path, format!("rules are nested deeper than {MAX_DEPTH}"));
            return Rule::Always;
        }
        if let Some(kind) = &node.kind {
            self.classified(path, kind, node);
            let name = node.name.as_deref().unwrap_or_default();
            let elsewhere = |signal: &&AskedSignal| signal.kind == kind.as_str() && signal.name == name;
            if kind == signal::CLASSIFIER && !self.asked.iter().any(|signal| elsewhere(&signal)) {
                return self.class_rule(path, name, node);
            }
            return self.leaf(path, kind, node.name.as_deref().unwrap_or_default(), depth);
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
                let output = self.outputs.get(*index);
                output.map_or(0, |output| self.cost_of_score(output.score))
            }
            Rule::All(joined) | Rule::Any(joined) => {
                joined.rules.iter().map(|rule| self.cost(rule)).max().unwrap_or(0)
            }
            Rule::Not(rule) => self.cost(rule),
        }
    }

    /// What it costs to know a score; no score depends on itself.
    fn cost_of_score(&self, score: usize) -> u8 {
        let inputs = self.scores.get(score).map(|score| score.inputs.as_slice());
        let costs = inputs.unwrap_or_default().iter().map(|input| match input.of {
            Summand::Signal(index) => self.signals.get(index).map_or(0, Signal::cost),
            Summand::Score(other) => self.cost_of_score(other),
            Summand::Range(range) => {
                let output = self.outputs.get(range);
                output.map_or(0, |output| self.cost_of_score(output.score))
            }
        });
        costs.max().unwrap_or(0)
    }

    /// The rule without which a signal of complexity does not hold, and where it stands.
    fn composer(&self, kind: &str, name: &str) -> Option<(String, &'c RuleNode)> {
        let config = self.config;
        let named = name.rsplit_once(':').map_or(name, |(name, _)| name);
        let mut all = config.signals.complexity.iter().enumerate();
        let (index, signal) = all.find(|(_, signal)| kind == "complexity" && signal.name == named)?;
        let composer = signal.composer.as_ref()?;
        Some((format!("signals.complexity[{index}].composer"), composer))
    }

    /// What only rules about classifiers say.
    fn classified(&mut self, path: &str, kind: &str, node: &RuleNode) {
        let said = [
            ("label", node.label.is_some()),
            ("predicate", node.predicate.is_some()),
            ("on_error", node.on_error.is_some()),
        ];
        for (field, _) in said.into_iter().filter(|(_, said)| *said && kind != "classifier") {
            let message = format!("is for signals of type \"classifier\", not {kind:?}");
            self.wrong(format!("{path}.{field}"), message);
        }
        // What cannot be told does not match: to say so changes nothing.
        if node.on_unknown.as_deref().is_some_and(|what| what != "no_match") {
            self.wrong(
                format!("{path}.on_unknown"),
                "is not supported in this version: a signal that cannot be told does not match",
            );
        }
    }

    /// A rule about a classifier of one's own: a signal for each label and bound.
    fn class_rule(&mut self, path: &str, name: &str, node: &RuleNode) -> Rule {
        let Some(classifier) = self.classifiers.iter().find(|known| known.name == name).cloned() else {
            let declared = self.config.signals.classifiers.iter();
            let known: Vec<&str> = declared.map(|known| known.name.as_str()).collect();
            // One that is wrong was told.
            if !known.contains(&name) {
                self.unknown(
                    format!("{path}.name"),
                    "classifier signal",
                    name,
                    known.into_iter(),
                );
            }
            return Rule::Always;
        };
        let rule = match ClassRule::compile(&classifier, node) {
            Ok(rule) => rule,
            Err((field, message)) => {
                self.wrong(format!("{path}.{field}"), message);
                return Rule::Always;
            }
        };
        let name = rule.name();
        let known = |signal: &Signal| signal.kind == signal::CLASSIFIER && signal.name == name;
        if let Some(index) = self.signals.iter().position(known) {
            return Rule::Signal(index);
        }
        self.signals.push(Signal::class_rule(rule));
        Rule::Signal(self.signals.len() - 1)
    }

    fn leaf(&mut self, path: &str, kind: &str, name: &str, depth: usize) -> Rule {
        if kind == "hallucination" {
            let message =
                "signals of type \"hallucination\" are read from the answer; no decision can depend on them";
            self.wrong(format!("{path}.type"), message);
            return Rule::Always;
        }
        if kind != "projection" {
            let signal = self
                .find_signal(path, kind, name)
                .map_or(Rule::Always, Rule::Signal);
            return match self.composer(kind, name) {
                None => signal,
                Some((place, composer)) => {
                    let composer = self.rule(&place, composer, depth + 1);
                    Rule::All(self.joined_rules(vec![signal, composer]))
                }
            };
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

/// A print of a decision's models and of how one of them is chosen.
fn print(config: &DecisionConfig) -> u32 {
    match &config.adaptations {
        None => signal::hash(&serde_json::json!([config.algorithm, config.model_refs])),
        Some(adaptations) => signal::hash(&serde_json::json!([
            config.algorithm,
            config.model_refs,
            adaptations
        ])),
    }
}

/// Where signals of a type are declared.
fn collection(kind: &str) -> &str {
    let known = SIGNALS.iter().find(|known| known.name == kind);
    known.map_or(kind, |known| known.collection)
}

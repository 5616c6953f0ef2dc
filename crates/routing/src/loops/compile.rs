//! From an `algorithm` block to a loop; everything that is wrong is told at once.

use std::time::Duration;

use super::confidence::{Confidence, Judge, Method, Order, Rung, millions};
use super::contract::{Check, Contract, Source};
use super::fusion::{Fusion, Panelist};
use super::remom::{self, Distribution, Remom};
use super::template::Template;
use super::workflows::{Last, Mode, Plan, Planner, Step, USUAL_STEP, Workflows};
use super::{LOOPS, Loop, LoopKind, OnError, Ratings, Rules, Terms};
use crate::config::{
    ConfidenceConfig, ContractConfig, DecisionConfig, FusionConfig, GroundingConfig, LoopBounds, LoopConfig,
    ModelCard, ModelRef, ReasoningKind, RemomConfig, WorkflowsConfig,
};
use crate::reasoning::switch;
use crate::selection::{Candidate, Selected};

/// Models of one stage, at most.
const MOST_AT_ONCE: u32 = 32;
/// Rounds or steps, at most.
const MOST_STAGES: u32 = 16;
/// Seconds of anything, at most.
const MOST_SECONDS: u64 = 24 * 3_600;
/// Tokens of an answer, at most.
const MOST_TOKENS: u32 = 10_000_000;

/// Where something is wrong, below the decision, and what.
type Wrong = (String, String);

/// What a loop is compiled for.
pub(crate) struct Around<'a> {
    /// The decision.
    pub(crate) decision: &'a DecisionConfig,
    /// Its models.
    pub(crate) candidates: &'a [Candidate],
    /// What is known of models.
    pub(crate) cards: &'a [ModelCard],
    /// How far every loop may go.
    pub(crate) bounds: LoopBounds,
}

/// Models that a decision's loop names beside `modelRefs`, with where it does.
pub(crate) fn named(decision: &DecisionConfig) -> Vec<(String, &str)> {
    let Some(algorithm) = &decision.algorithm else {
        return Vec::new();
    };
    let known = |name: &str| {
        let named =
            |reference: &ModelRef| reference.model == name || reference.lora_name.as_deref() == Some(name);
        decision.model_refs.iter().any(named)
    };
    let mut all = Vec::new();
    let at = |path: &[&str]| path.iter().try_fold(algorithm, |value, key| value.get(*key));
    for path in [
        ["fusion", "model"].as_slice(),
        ["workflows", "planner", "model"].as_slice(),
        ["remom", "synthesis_model"].as_slice(),
        ["prompt", "model"].as_slice(),
    ] {
        if let Some(name) = at(path)
            .and_then(serde_json::Value::as_str)
            .filter(|name| !known(name))
        {
            all.push((format!("algorithm.{}", path.join(".")), name));
        }
    }
    let panel = at(&["fusion", "analysis_models"]).and_then(serde_json::Value::as_array);
    for (index, name) in panel.into_iter().flatten().enumerate() {
        if let Some(name) = name.as_str().filter(|name| !known(name)) {
            all.push((format!("algorithm.fusion.analysis_models[{index}]"), name));
        }
    }
    all
}

/// Reads an `algorithm` block that asks several models.
pub(crate) fn compile(value: &serde_json::Value, around: &Around<'_>) -> Result<Loop, Vec<Wrong>> {
    let config: LoopConfig = match value.as_str() {
        Some(kind) => LoopConfig {
            kind: kind.to_owned(),
            ..LoopConfig::default()
        },
        None => serde_json::from_value(value.clone())
            .map_err(|error| vec![("algorithm".to_owned(), error.to_string())])?,
    };
    let mut builder = Builder {
        around,
        usual_error: config.on_error.clone(),
        wrong: Vec::new(),
    };
    builder.strangers(&config);
    let kind = builder.kind(&config);
    let contract = builder.contract(&config.kind);
    let Some(kind) = kind.filter(|_| builder.wrong.is_empty()) else {
        return Err(builder.wrong);
    };
    let built = Loop {
        kind,
        contract,
        bounds: around.bounds,
    };
    let (most, allowed) = (built.most_calls(), around.bounds.max_calls as usize);
    if most > allowed {
        let message = format!("asks up to {most} times for one answer; routing.loops.max_calls is {allowed}");
        return Err(vec![("algorithm".to_owned(), message)]);
    }
    Ok(built)
}

struct Builder<'a> {
    around: &'a Around<'a>,
    usual_error: Option<String>,
    wrong: Vec<Wrong>,
}

impl Builder<'_> {
    fn wrong(&mut self, place: &str, message: impl Into<String>) {
        self.wrong.push((place.to_owned(), message.into()));
    }

    /// Blocks that the type does not read.
    fn strangers(&mut self, config: &LoopConfig) {
        let there = [
            config.confidence.is_some(),
            config.ratings.is_some(),
            config.remom.is_some(),
            config.fusion.is_some(),
            config.workflows.is_some(),
        ];
        let blocks = LOOPS.iter().zip(there);
        for (name, _) in blocks.filter(|(name, there)| *there && **name != config.kind) {
            let message = format!(
                "is not read by type {:?}; take it out, or change the type",
                config.kind
            );
            self.wrong(&format!("algorithm.{name}"), message);
        }
        if self.around.candidates.is_empty() && self.around.decision.model_refs.is_empty() {
            self.wrong("modelRefs", format!("{} needs models to ask", config.kind));
        }
    }

    fn kind(&mut self, config: &LoopConfig) -> Option<LoopKind> {
        Some(match config.kind.as_str() {
            "confidence" => {
                let block = config.confidence.clone().unwrap_or_default();
                LoopKind::Confidence(self.confidence(&block))
            }
            "ratings" => {
                let block = config.ratings.clone().unwrap_or_default();
                let at_once = self.count("ratings.max_concurrent", block.max_concurrent, MOST_AT_ONCE);
                let on_error = self.on_error("ratings", block.on_error.as_deref(), OnError::Skip);
                let models = self.refs();
                self.bounded("modelRefs", models.len(), MOST_AT_ONCE, "models");
                LoopKind::Ratings(Ratings {
                    models,
                    rules: Rules {
                        at_once,
                        enough: None,
                        time: None,
                        on_error,
                    },
                })
            }
            "remom" => LoopKind::Remom(self.remom(config.remom.clone())?),
            "fusion" => {
                let block = config.fusion.clone().unwrap_or_default();
                LoopKind::Fusion(self.fusion(&block)?)
            }
            "workflows" => {
                let block = config.workflows.clone().unwrap_or_default();
                LoopKind::Workflows(self.workflows(&block)?)
            }
            _ => return None,
        })
    }

    /// The decision's models.
    fn refs(&self) -> Vec<Selected> {
        let candidates = self.around.candidates.iter();
        candidates.map(|candidate| candidate.selected.clone()).collect()
    }

    /// A model by its name: as `modelRefs` has it, or as it is.
    fn model(&self, name: &str) -> Selected {
        let known = self.around.candidates.iter().map(|candidate| &candidate.selected);
        let mut known = known.filter(|known| known.model == name || known.lora_name.as_deref() == Some(name));
        known.next().cloned().unwrap_or_else(|| Selected {
            model: name.to_owned(),
            lora_name: None,
            reasoning: None,
            use_reasoning: None,
        })
    }

    fn card(&self, model: &str) -> Option<&ModelCard> {
        self.around.cards.iter().find(|card| card.name == model)
    }

    /// A number; 0 stands for none, as the language has it.
    fn count(&mut self, place: &str, value: Option<u32>, most: u32) -> Option<usize> {
        let value = value.filter(|value| *value > 0)?;
        if value > most {
            self.wrong(&format!("algorithm.{place}"), format!("is at most {most}"));
        }
        Some(value as usize)
    }

    fn bounded(&mut self, place: &str, count: usize, most: u32, what: &str) {
        if count > most as usize {
            self.wrong(place, format!("has {count} {what}; a loop asks at most {most}"));
        }
    }

    fn seconds(&mut self, place: &str, value: Option<u64>) -> Option<Duration> {
        let value = value.filter(|value| *value > 0)?;
        if value > MOST_SECONDS {
            self.wrong(
                &format!("algorithm.{place}"),
                format!("is at most {MOST_SECONDS}"),
            );
        }
        Some(Duration::from_secs(value))
    }

    fn unit(&mut self, place: &str, value: Option<f64>) -> Option<f64> {
        if value.is_some_and(|value| !(0.0..=1.0).contains(&value)) {
            self.wrong(&format!("algorithm.{place}"), "is a number from 0 to 1");
        }
        value
    }

    fn temperature(&mut self, place: &str, value: Option<f64>) -> Option<f64> {
        if value.is_some_and(|value| !(0.0..=2.0).contains(&value)) {
            self.wrong(&format!("algorithm.{place}"), "is a number from 0 to 2");
        }
        value
    }

    fn terms(&mut self, block: &str, temperature: Option<f64>, tokens: Option<u32>) -> Terms {
        Terms {
            temperature: self.temperature(&format!("{block}.temperature"), temperature),
            max_tokens: self
                .count(&format!("{block}.max_completion_tokens"), tokens, MOST_TOKENS)
                .map(|tokens| tokens as u64),
        }
    }

    fn on_error(&mut self, block: &str, said: Option<&str>, usual: OnError) -> OnError {
        let said = said.map(str::to_owned).or_else(|| self.usual_error.clone());
        match said.as_deref() {
            None | Some("") => usual,
            Some("skip") => OnError::Skip,
            Some("fail") => OnError::Fail,
            Some(other) => {
                let message = format!("unknown on_error {other:?}; use skip or fail");
                self.wrong(&format!("algorithm.{block}.on_error"), message);
                usual
            }
        }
    }

    fn confidence(&mut self, config: &ConfidenceConfig) -> Confidence {
        let rungs: Vec<Rung> = self
            .refs()
            .into_iter()
            .map(|selected| {
                let card = self.card(&selected.model);
                let size = card.and_then(|card| card.param_size.as_deref());
                Rung {
                    millions: size.map(millions).unwrap_or_default(),
                    quality: card.and_then(|card| card.quality_score),
                    selected,
                }
            })
            .collect();
        self.bounded("modelRefs", rungs.len(), MOST_AT_ONCE, "models");
        let tradeoff = self.unit("confidence.cost_quality_tradeoff", config.cost_quality_tradeoff);
        let order = match config.escalation_order.as_deref() {
            None | Some("" | "size" | "small_to_large") => Order::Size,
            Some("declared") => Order::Declared,
            Some("cost") => Order::Cost,
            Some("automix") => Order::Automix(tradeoff.filter(|said| *said > 0.0).unwrap_or(0.3)),
            Some(other) => {
                let message = format!(
                    "unknown escalation_order {other:?}; use size, small_to_large, declared, cost or automix"
                );
                self.wrong("algorithm.confidence.escalation_order", message);
                Order::Size
            }
        };
        let judge = self.judge(config);
        Confidence {
            rungs,
            order,
            judge,
            on_error: self.on_error("confidence", config.on_error.as_deref(), OnError::Skip),
        }
    }

    fn judge(&mut self, config: &ConfidenceConfig) -> Judge {
        let threshold = self
            .unit("confidence.threshold", config.threshold)
            .filter(|said| *said > 0.0);
        let (method, usual) = match config.confidence_method.as_deref() {
            // Every answer whose tokens are known is taken.
            None | Some("" | "avg_logprob") => (Method::Logprob, -1.0),
            Some("margin") => (Method::Margin, 0.5),
            Some("hybrid") => (Method::Hybrid, 0.5),
            Some("self_verify") => (Method::SelfVerify, 0.7),
            Some(other) => {
                let message = match other {
                    "automix_entailment" => {
                        "automix_entailment is not supported in this version: no verifier's server \
                                             is asked; use self_verify"
                            .to_owned()
                    }
                    _ => format!(
                        "unknown confidence_method {other:?}; use avg_logprob, margin, hybrid or self_verify"
                    ),
                };
                self.wrong("algorithm.confidence.confidence_method", message);
                (Method::Logprob, -1.0)
            }
        };
        let verifier = config
            .verifier_server_url
            .as_deref()
            .is_some_and(|url| !url.is_empty())
            || config.verifier_timeout_seconds.is_some_and(|seconds| seconds > 0);
        if verifier && config.confidence_method.as_deref() != Some("automix_entailment") {
            self.wrong(
                "algorithm.confidence.verifier_server_url",
                "a verifier's server is for automix_entailment, which is not supported in this version",
            );
        }
        let arguments = match config.token_filter.as_deref() {
            None | Some("" | "all") => false,
            Some("tool_call_args") => true,
            Some(other) => {
                let message = format!("unknown token_filter {other:?}; use all or tool_call_args");
                self.wrong("algorithm.confidence.token_filter", message);
                false
            }
        };
        let weights = config.hybrid_weights.unwrap_or_default();
        let mut weight = |name: &str, said: Option<f64>| {
            let said = self.unit(&format!("confidence.hybrid_weights.{name}"), said);
            said.filter(|said| *said > 0.0).unwrap_or(0.5)
        };
        Judge {
            weights: (
                weight("logprob_weight", weights.logprob_weight),
                weight("margin_weight", weights.margin_weight),
            ),
            method,
            threshold: threshold.unwrap_or(usual),
            arguments,
        }
    }

    fn remom(&mut self, config: Option<RemomConfig>) -> Option<Remom> {
        // Without a block of its own, four answers and the last one.
        let config = config.unwrap_or_else(|| RemomConfig {
            breadth_schedule: vec![4],
            temperature: Some(1.0),
            shuffle_seed: Some(42),
            include_intermediate_responses: Some(true),
            ..RemomConfig::default()
        });
        self.schedule(&config.breadth_schedule);
        let distribution = self.distribution(config.model_distribution.as_deref());
        let compaction = self.compaction(&config);
        let synthesis = self.synthesis(config.synthesis_model.as_deref());
        let template = self.template(&config);
        let rules = Rules {
            at_once: self.count("remom.max_concurrent", config.max_concurrent, MOST_AT_ONCE),
            enough: self.count(
                "remom.min_successful_responses",
                config.min_successful_responses,
                u32::MAX,
            ),
            time: self.seconds("remom.round_timeout_seconds", config.round_timeout_seconds),
            on_error: self.on_error("remom", config.on_error.as_deref(), OnError::Skip),
        };
        let temperature = config.temperature.filter(|said| *said > 0.0);
        let candidates = self.around.candidates.iter();
        Some(Remom {
            models: candidates
                .map(|candidate| (candidate.selected.clone(), candidate.weight))
                .collect(),
            schedule: config
                .breadth_schedule
                .iter()
                .map(|breadth| *breadth as usize)
                .chain([1])
                .collect(),
            distribution,
            synthesis,
            template: template?,
            reasoning: config.include_reasoning,
            compaction,
            shown: self.count(
                "remom.max_responses_per_round",
                config.max_responses_per_round,
                u32::MAX,
            ),
            seed: config.shuffle_seed.unwrap_or(0).cast_unsigned(),
            show: config.include_intermediate_responses.unwrap_or(false),
            terms: self.terms("remom", temperature, config.max_completion_tokens),
            rules,
        })
    }

    fn distribution(&mut self, said: Option<&str>) -> Distribution {
        match said {
            None | Some("" | "weighted") => Distribution::Weighted,
            Some("equal") => Distribution::Equal,
            Some("round_robin") => Distribution::RoundRobin,
            Some("first_only") => Distribution::FirstOnly,
            Some(other) => {
                let message = format!(
                    "unknown model_distribution {other:?}; use weighted, equal, round_robin or first_only"
                );
                self.wrong("algorithm.remom.model_distribution", message);
                Distribution::Weighted
            }
        }
    }

    /// How many letters of an answer go on into the next round, where not all do.
    fn compaction(&mut self, config: &RemomConfig) -> Option<usize> {
        let tokens = config
            .compaction_tokens
            .filter(|tokens| *tokens > 0)
            .unwrap_or(1_000);
        match config.compaction_strategy.as_deref() {
            None | Some("" | "full") => None,
            Some("last_n_tokens") => Some(remom::letters(tokens)),
            Some(other) => {
                let message = format!("unknown compaction_strategy {other:?}; use full or last_n_tokens");
                self.wrong("algorithm.remom.compaction_strategy", message);
                None
            }
        }
    }

    fn synthesis(&mut self, said: Option<&str>) -> Option<Selected> {
        let said = said.filter(|name| !name.trim().is_empty());
        if let Some(name) = said
            && !self
                .around
                .decision
                .model_refs
                .iter()
                .any(|known| known.model == name)
        {
            let message = format!("{name:?} is none of modelRefs");
            self.wrong("algorithm.remom.synthesis_model", message);
        }
        said.map(|name| self.model(name))
    }

    fn schedule(&mut self, schedule: &[u32]) {
        let place = "algorithm.remom.breadth_schedule";
        if schedule.is_empty() {
            self.wrong(place, "says how many answers each round has, such as [4]");
        }
        if schedule.len() >= MOST_STAGES as usize {
            self.wrong(place, format!("has fewer than {MOST_STAGES} rounds"));
        }
        for breadth in schedule
            .iter()
            .filter(|breadth| !(1..=MOST_AT_ONCE).contains(*breadth))
        {
            self.wrong(place, format!("{breadth} is none of 1 to {MOST_AT_ONCE}"));
        }
    }

    fn template(&mut self, config: &RemomConfig) -> Option<Template> {
        let text = match config.synthesis_template.as_deref() {
            Some(text) if !text.trim().is_empty() => text,
            _ if config.include_reasoning => remom::USUAL_WITH_REASONING,
            _ => remom::USUAL,
        };
        Template::parse(text)
            .map_err(|error| self.wrong("algorithm.remom.synthesis_template", error))
            .ok()
    }

    fn fusion(&mut self, config: &FusionConfig) -> Option<Fusion> {
        if config
            .grounding
            .as_ref()
            .is_some_and(|grounding: &GroundingConfig| grounding.enabled)
        {
            self.wrong(
                "algorithm.fusion.grounding.enabled",
                "grounding of a panel is not supported in this version",
            );
        }
        let terms = self.terms("fusion", config.temperature, config.max_completion_tokens);
        let panel = self.panel(config, terms);
        let judge = match config.model.as_deref().filter(|name| !name.trim().is_empty()) {
            Some(name) => self.model(name),
            None => panel.first()?.selected.clone(),
        };
        let said = |text: &Option<String>| text.clone().filter(|text| !text.trim().is_empty());
        Some(Fusion {
            judge,
            panel,
            terms,
            rules: Rules {
                at_once: self.count("fusion.max_concurrent", config.max_concurrent, MOST_AT_ONCE),
                enough: self.count(
                    "fusion.min_successful_responses",
                    config.min_successful_responses,
                    u32::MAX,
                ),
                time: self.seconds("fusion.round_timeout_seconds", config.round_timeout_seconds),
                on_error: self.on_error("fusion", config.on_error.as_deref(), OnError::Skip),
            },
            show_analysis: config.include_analysis.unwrap_or(true),
            show: config.include_intermediate_responses.unwrap_or(true),
            analysis_template: said(&config.analysis_template),
            synthesis_template: said(&config.synthesis_template),
            version: said(&config.judge_prompt_version).unwrap_or_else(|| "fusion-v1".to_owned()),
        })
    }

    fn panel(&mut self, config: &FusionConfig, terms: Terms) -> Vec<Panelist> {
        let mut names: Vec<&str> = Vec::new();
        for name in &config.analysis_models {
            let name = name.trim();
            if !name.is_empty() && !names.contains(&name) {
                names.push(name);
            }
        }
        let panel = match names.is_empty() {
            true => self.refs(),
            false => names.into_iter().map(|name| self.model(name)).collect(),
        };
        let mut panel: Vec<Panelist> = panel
            .into_iter()
            .map(|selected| Panelist { selected, terms })
            .collect();
        for (index, other) in config.analysis_overrides.iter().enumerate() {
            let block = format!("fusion.analysis_overrides[{index}]");
            let own = self.terms(&block, other.temperature, other.max_completion_tokens);
            let named = |panelist: &&mut Panelist| super::name_of(&panelist.selected) == other.model;
            match panel.iter_mut().find(named) {
                Some(panelist) => {
                    panelist.terms.temperature = own.temperature.or(panelist.terms.temperature);
                    panelist.terms.max_tokens = own.max_tokens.or(panelist.terms.max_tokens);
                }
                None => {
                    let message = format!("{:?} is not on the panel", other.model);
                    self.wrong(&format!("algorithm.{block}.model"), message);
                }
            }
        }
        self.bounded(
            "algorithm.fusion.analysis_models",
            panel.len(),
            MOST_AT_ONCE,
            "models",
        );
        panel
    }

    fn workflows(&mut self, config: &WorkflowsConfig) -> Option<Workflows> {
        let said = |text: &Option<String>| {
            let text = text.as_deref().map(str::trim).filter(|text| !text.is_empty());
            text.map(str::to_owned)
        };
        let max_steps = self.count("workflows.max_steps", config.max_steps, MOST_STAGES);
        let max_parallel = self.count("workflows.max_parallel", config.max_parallel, MOST_AT_ONCE);
        let mut workflows = Workflows {
            workers: self.refs(),
            mode: Mode::Static(Plan::default()),
            template: said(&config.template).unwrap_or_else(|| "micro_agent".to_owned()),
            last: Last {
                model: said(&config.last.model),
                prompt: said(&config.last.prompt),
            },
            max_steps: max_steps.unwrap_or(3),
            max_parallel: max_parallel.unwrap_or(2),
            terms: self.terms("workflows", config.temperature, config.max_completion_tokens),
            rules: Rules {
                at_once: None,
                enough: self.count(
                    "workflows.min_successful_responses",
                    config.min_successful_responses,
                    u32::MAX,
                ),
                time: self.seconds("workflows.round_timeout_seconds", config.round_timeout_seconds),
                on_error: self.on_error("workflows", config.on_error.as_deref(), OnError::Fail),
            },
            show: config.include_intermediate_responses.unwrap_or(true),
        };
        match config.mode.as_deref() {
            None | Some("" | "static") => {
                let plan = self.roles(config)?;
                match workflows.checked(plan) {
                    Ok(plan) => workflows.mode = Mode::Static(plan),
                    Err(error) => self.wrong("algorithm.workflows.roles", error),
                }
            }
            Some("dynamic") => workflows.mode = Mode::Dynamic(self.planner(config)?),
            Some(other) => {
                let message = format!("unknown mode {other:?}; use static or dynamic");
                self.wrong("algorithm.workflows.mode", message);
            }
        }
        if let Some(model) = workflows.last.model.clone()
            && workflows.worker(&model).is_none()
        {
            let message = format!("{model:?} is none of modelRefs");
            self.wrong("algorithm.workflows.final.model", message);
        }
        Some(workflows)
    }

    fn roles(&mut self, config: &WorkflowsConfig) -> Option<Plan> {
        if config.roles.is_empty() {
            self.wrong("algorithm.workflows.roles", "says the steps of a static workflow");
            return None;
        }
        let mut steps = Vec::new();
        for (index, role) in config.roles.iter().enumerate() {
            let name = role.name.trim();
            if name.is_empty() {
                self.wrong(
                    &format!("algorithm.workflows.roles[{index}].name"),
                    "this role needs a name",
                );
            }
            let prompt = role
                .prompt
                .as_deref()
                .map(str::trim)
                .filter(|prompt| !prompt.is_empty());
            steps.push(Step {
                id: name.to_lowercase().replace([' ', '_'], "-"),
                role: name.to_owned(),
                models: role.models.iter().map(|model| model.trim().to_owned()).collect(),
                prompt: prompt.unwrap_or_else(|| usual_task(name)).to_owned(),
                access_list: role.access_list.clone(),
            });
        }
        Some(Plan {
            steps,
            last: Last::default(),
        })
    }

    fn planner(&mut self, config: &WorkflowsConfig) -> Option<Planner> {
        if !config.roles.is_empty() {
            self.wrong(
                "algorithm.workflows.roles",
                "are for the mode static: a planner says its own steps",
            );
        }
        let name = config
            .planner
            .model
            .as_deref()
            .map(str::trim)
            .filter(|name| !name.is_empty());
        let Some(name) = name else {
            self.wrong("algorithm.workflows.planner.model", "says who plans");
            return None;
        };
        let most = "workflows.planner.max_completion_tokens";
        let tokens = self.count(most, config.planner.max_completion_tokens, MOST_TOKENS);
        let mut selected = self.model(name);
        // A plan is no place to think at length, where thinking can be switched off.
        let quiet = ModelRef {
            model: selected.model.clone(),
            use_reasoning: Some(false),
            ..ModelRef::default()
        };
        let card = self.card(name);
        let switched = card.and_then(|card| card.reasoning_family.as_ref());
        if switched.is_none_or(|family| family.kind == ReasoningKind::ChatTemplateKwargs)
            && let Some(off @ crate::Reasoning::ChatTemplate { .. }) = switch(&quiet, card)
        {
            selected.reasoning = Some(off);
        }
        Some(Planner {
            selected,
            max_tokens: tokens.unwrap_or(2_048) as u64,
        })
    }

    fn contract(&mut self, kind: &str) -> Contract {
        let decision = self.around.decision;
        let check = decision.output_contract_spec.as_ref().and_then(|spec| {
            match serde_json::from_value::<ContractConfig>(spec.clone()) {
                Ok(spec) => self.check(kind, &spec),
                Err(error) => {
                    self.wrong("output_contract_spec", error.to_string());
                    None
                }
            }
        });
        Contract::new(decision.output_contract.as_deref(), check)
    }

    fn check(&mut self, kind: &str, spec: &ContractConfig) -> Option<Check> {
        let unsupported = [
            ("json_schema", spec.json_schema.is_some()),
            ("normalize", spec.normalize.is_some()),
            ("on_violation", spec.on_violation.is_some()),
        ];
        for (field, _) in unsupported.iter().filter(|(_, there)| *there) {
            let message = format!("{field} is not supported in this version");
            self.wrong(&format!("output_contract_spec.{field}"), message);
        }
        if !matches!(kind, "remom" | "fusion" | "workflows") {
            let message = format!("is for remom, fusion and workflows: {kind} gives answers as they are");
            self.wrong("output_contract_spec", message);
        }
        let sources = self.sources(spec);
        match spec.kind.trim() {
            "choice" => {
                let values = spec.choice_set.values.iter().map(|value| value.trim().to_owned());
                let values: Vec<String> = values.filter(|value| !value.is_empty()).collect();
                if values.is_empty() {
                    self.wrong(
                        "output_contract_spec.choice_set.values",
                        "says what may be chosen",
                    );
                }
                let template = spec.render.template.clone();
                let template = match spec.render.mode.as_deref() {
                    Some("template") => template,
                    _ => None,
                };
                Some(Check::Choice {
                    values,
                    template,
                    sources,
                })
            }
            "reference_selection" if kind == "remom" => self.reference(spec, sources),
            "reference_selection" => {
                self.wrong("output_contract_spec.type", "reference_selection is for remom");
                None
            }
            other => {
                let message = format!(
                    "{other:?} is not supported in this version; there are choice and reference_selection"
                );
                self.wrong("output_contract_spec.type", message);
                None
            }
        }
    }

    fn reference(&mut self, spec: &ContractConfig, sources: Vec<Source>) -> Option<Check> {
        let numbered = match spec.reference.id_format.as_deref() {
            None | Some("" | "index") => false,
            Some("reference_number") => true,
            Some(other) => {
                let message = format!("unknown id_format {other:?}; use index or reference_number");
                self.wrong("output_contract_spec.reference.id_format", message);
                false
            }
        };
        let named =
            |post: &crate::config::PostprocessConfig| post.kind.trim() == "dereference_selected_reference";
        if let Some(other) = spec.postprocess.iter().find(|post| !named(post)) {
            let message = format!("{:?} is not supported in this version", other.kind);
            self.wrong("output_contract_spec.postprocess", message);
        }
        // Unless it shall be put in its place, a number is an answer like any other.
        spec.postprocess
            .iter()
            .any(named)
            .then_some(Check::Reference { numbered, sources })
    }

    fn sources(&mut self, spec: &ContractConfig) -> Vec<Source> {
        if !matches!(spec.extract.mode.as_deref(), None | Some("" | "exact")) {
            self.wrong(
                "output_contract_spec.extract.mode",
                "only exact is supported in this version",
            );
        }
        let mut sources = Vec::new();
        for source in &spec.extract.sources {
            match source.trim() {
                "content" => sources.push(Source::Text),
                "reasoning_content" => sources.push(Source::Reasoning),
                other => {
                    let message = format!(
                        "{other:?} is not supported in this version; use content or reasoning_content"
                    );
                    self.wrong("output_contract_spec.extract.sources", message);
                }
            }
        }
        if sources.is_empty() {
            sources.push(Source::Text);
        }
        sources
    }
}

/// What a role is asked where the configuration says nothing but its name.
fn usual_task(role: &str) -> &'static str {
    match role.to_lowercase().as_str() {
        "thinker" | "plan" | "planner" => {
            "Take the request apart: what is asked, what limits the answer, what can go wrong, what is not said."
        }
        "worker" | "solver" => {
            "Answer the request on your own, with the reasoning, code or evidence that it needs."
        }
        "verifier" | "reviewer" | "critic" => {
            "Check the results so far against the request. Name what is wrong, and put it right."
        }
        _ => USUAL_STEP,
    }
}

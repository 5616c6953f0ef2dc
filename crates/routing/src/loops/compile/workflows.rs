//! The block `workflows`: roles or a planner, and what they are asked.

use super::super::workflows::{Last, Mode, Plan, Planner, Step, USUAL_STEP, Workflows};
use super::super::{OnError, Rules};
use super::{Builder, MOST_AT_ONCE, MOST_STAGES, MOST_TOKENS};
use crate::config::{ModelRef, ReasoningKind, WorkflowsConfig};
use crate::reasoning::switch;

impl Builder<'_> {
    pub(super) fn workflows(&mut self, config: &WorkflowsConfig) -> Option<Workflows> {
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

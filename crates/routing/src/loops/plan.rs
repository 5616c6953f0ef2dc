//! What a loop would do, for those who ask for an explanation.

use serde::Serialize;

use super::confidence::PriceOf;
use super::{Loop, LoopKind, Rules, name_of};
use crate::selection::Selected;

/// What a loop would do. Nobody is asked for it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LoopPlan {
    /// Its name in the configuration.
    pub kind: &'static str,
    /// `skip` or `fail`: what is done about a model that fails.
    pub on_error: &'static str,
    /// Calls, at most.
    pub most_calls: usize,
    /// In order.
    pub stages: Vec<LoopStage>,
}

/// Calls that belong together.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LoopStage {
    /// What it is, such as `panel`.
    pub name: String,
    /// Who is asked; of a step that a model plans, who may be.
    pub models: Vec<String>,
    /// How many are asked at once.
    pub at_once: usize,
    /// How many answers are enough.
    pub enough: usize,
}

impl LoopStage {
    fn new(name: impl Into<String>, models: Vec<String>, rules: &Rules) -> Self {
        Self {
            name: name.into(),
            at_once: rules.at_once(models.len()),
            enough: rules.enough(models.len()),
            models,
        }
    }

    fn alone(name: impl Into<String>, model: &Selected) -> Self {
        Self {
            name: name.into(),
            models: vec![name_of(model).to_owned()],
            at_once: 1,
            enough: 1,
        }
    }
}

fn names<'s>(models: impl IntoIterator<Item = &'s Selected>) -> Vec<String> {
    models
        .into_iter()
        .map(|model| name_of(model).to_owned())
        .collect()
}

impl Loop {
    /// What it would do, where models cost this much.
    #[must_use]
    pub fn plan(&self, price: PriceOf<'_>) -> LoopPlan {
        let (on_error, stages) = match &self.kind {
            LoopKind::Confidence(confidence) => {
                let ladder = confidence.ladder(price).into_iter();
                let rungs = ladder.enumerate();
                let rungs = rungs.map(|(at, model)| LoopStage::alone(format!("rung {}", at + 1), model));
                (confidence.on_error, rungs.collect())
            }
            LoopKind::Ratings(ratings) => {
                let stage = LoopStage::new("side by side", names(&ratings.models), &ratings.rules);
                (ratings.rules.on_error, vec![stage])
            }
            LoopKind::Remom(remom) => {
                let round = |at: usize| {
                    LoopStage::new(format!("round {}", at + 1), names(remom.calls(at)), &remom.rules)
                };
                let rounds = (0..remom.schedule().len()).map(round);
                (remom.rules.on_error, rounds.collect())
            }
            LoopKind::Fusion(fusion) => {
                let panel = names(fusion.panel.iter().map(|panelist| &panelist.selected));
                let stages = vec![
                    LoopStage::new("panel", panel, &fusion.rules),
                    LoopStage::alone("comparison", &fusion.judge),
                    LoopStage::alone("answer", &fusion.judge),
                ];
                (fusion.rules.on_error, stages)
            }
            LoopKind::Workflows(workflows) => (workflows.rules.on_error, workflows.stages()),
        };
        LoopPlan {
            kind: self.name(),
            on_error: on_error.name(),
            most_calls: self.most_calls(),
            stages,
        }
    }

    /// Calls, at most.
    #[must_use]
    pub fn most_calls(&self) -> usize {
        match &self.kind {
            LoopKind::Confidence(confidence) => {
                // A model is asked once more what it thinks of its answer.
                let each = if confidence.judge.top_logprobs().is_some() {
                    1
                } else {
                    2
                };
                confidence.models().count() * each
            }
            LoopKind::Ratings(ratings) => ratings.models.len(),
            LoopKind::Remom(remom) => remom.schedule().iter().sum(),
            LoopKind::Fusion(fusion) => fusion.panel.len() + 2,
            LoopKind::Workflows(workflows) => workflows.most_calls(),
        }
    }
}

impl super::Workflows {
    fn stages(&self) -> Vec<LoopStage> {
        let mut stages = Vec::new();
        let last = self.last_named();
        match &self.mode {
            super::workflows::Mode::Static(plan) => {
                let step = |step: &super::WorkflowStep| {
                    LoopStage::new(step.id.clone(), step.models.clone(), &self.rules)
                };
                stages.extend(plan.steps.iter().map(step));
            }
            super::workflows::Mode::Dynamic(planner) => {
                stages.push(LoopStage::alone("planner", &planner.selected));
                let mut planned = LoopStage::new(
                    format!("up to {} planned steps", self.max_steps),
                    names(&self.workers),
                    &self.rules,
                );
                planned.at_once = planned.at_once.min(self.max_parallel);
                planned.enough = planned.enough.min(self.max_parallel);
                stages.push(planned);
            }
        }
        stages.push(LoopStage {
            name: "answer".to_owned(),
            models: vec![last],
            at_once: 1,
            enough: 1,
        });
        stages
    }

    /// Who gives the last answer, as far as that is known before.
    fn last_named(&self) -> String {
        let named = match &self.mode {
            super::workflows::Mode::Static(plan) => plan.last.model.clone(),
            super::workflows::Mode::Dynamic(_) => self.last.model.clone(),
        };
        let planner = || self.planner().map(|(planner, _)| name_of(planner).to_owned());
        named
            .or_else(planner)
            .unwrap_or_else(|| "whoever answers first".to_owned())
    }

    fn most_calls(&self) -> usize {
        match &self.mode {
            super::workflows::Mode::Static(plan) => {
                plan.steps.iter().map(|step| step.models.len()).sum::<usize>() + 1
            }
            super::workflows::Mode::Dynamic(_) => self.max_steps * self.max_parallel + 2,
        }
    }
}

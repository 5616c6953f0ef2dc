//! Loops: several models for one answer.
//!
//! Everything here is pure: who is asked in which order, what they are asked, what is made of what they said. Whoever
//! holds the network asks, waits and pays. A new loop is a file, a block in `config/loops.rs` and an arm in `compile.rs`.

mod compile;
mod confidence;
mod contract;
mod evidence;
mod fusion;
mod loose;
mod plan;
mod remom;
mod template;
mod workflows;

use std::time::Duration;

pub(crate) use compile::{Around, compile, named};
pub use confidence::{Confidence, Judge, Verdict};
pub use contract::Contract;
pub use fusion::{Analysis, Fusion, FusionTrace, PanelAnswer, Panelist};
pub use plan::{LoopPlan, LoopStage};
pub use remom::{Remom, RoundAnswer, RoundTrace};
pub use workflows::{
    FlowTrace, Last as LastStep, Outcome as StepOutcome, Plan, Step as WorkflowStep, StepAnswer, StepTrace,
    Workflows,
};

use crate::config::LoopBounds;
use crate::selection::Selected;

/// Types of algorithms that ask several models.
pub(crate) const LOOPS: [&str; 5] = ["confidence", "ratings", "remom", "fusion", "workflows"];

/// How a decision asks several models for one answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Loop {
    /// Which way.
    pub kind: LoopKind,
    /// What the answer must be.
    pub contract: Contract,
    /// How far it may go.
    pub bounds: LoopBounds,
}

/// The ways.
#[derive(Debug, Clone, PartialEq)]
pub enum LoopKind {
    /// From small models to large ones, until one is sure.
    Confidence(Confidence),
    /// All side by side.
    Ratings(Ratings),
    /// Rounds, each made of the one before.
    Remom(Remom),
    /// A panel, a judge, one answer.
    Fusion(Fusion),
    /// Steps by a plan.
    Workflows(Workflows),
}

/// All models side by side: each gives an answer of its own.
#[derive(Debug, Clone, PartialEq)]
pub struct Ratings {
    /// The models.
    pub models: Vec<Selected>,
    /// How they are asked together.
    pub rules: Rules,
}

/// How calls that belong together are made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rules {
    /// Calls at once; all when none.
    pub at_once: Option<usize>,
    /// Answers that are enough: the others are given up; all when none.
    pub enough: Option<usize>,
    /// How long they may take together.
    pub time: Option<Duration>,
    /// What is done about one that fails.
    pub on_error: OnError,
}

impl Rules {
    /// Calls at once, of so many.
    #[must_use]
    pub fn at_once(&self, calls: usize) -> usize {
        self.at_once.unwrap_or(calls).clamp(1, calls.max(1))
    }

    /// Answers that are enough, of so many.
    #[must_use]
    pub fn enough(&self, calls: usize) -> usize {
        self.enough.unwrap_or(calls).clamp(1, calls.max(1))
    }
}

/// What is done about a model that fails.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum OnError {
    /// It goes on without.
    #[default]
    Skip,
    /// The loop fails.
    Fail,
}

impl OnError {
    /// Its name in the configuration.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Skip => "skip",
            Self::Fail => "fail",
        }
    }
}

/// What the calls of a loop change of the client's request.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Terms {
    /// Another temperature.
    pub temperature: Option<f64>,
    /// Another bound of the answer.
    pub max_tokens: Option<u64>,
}

/// What a model said.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Said {
    /// Which, as the configuration names it.
    pub model: String,
    /// Its answer.
    pub text: String,
    /// What it thought before, as far as it tells.
    pub reasoning: String,
}

impl Said {
    /// What others may make something of: the answer, or, where there is none, the thoughts.
    #[must_use]
    pub fn material(&self) -> &str {
        if self.text.trim().is_empty() {
            &self.reasoning
        } else {
            &self.text
        }
    }
}

/// A model that did not answer.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct FailedModel {
    /// Which.
    pub model: String,
    /// Why.
    pub error: String,
}

/// What a model is called: its adapter, where one is asked for.
#[must_use]
pub fn name_of(selected: &Selected) -> &str {
    selected.lora_name.as_deref().unwrap_or(&selected.model)
}

impl Loop {
    /// Its name in the configuration.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match &self.kind {
            LoopKind::Confidence(_) => "confidence",
            LoopKind::Ratings(_) => "ratings",
            LoopKind::Remom(_) => "remom",
            LoopKind::Fusion(_) => "fusion",
            LoopKind::Workflows(_) => "workflows",
        }
    }

    /// Every model that it may ask.
    #[must_use]
    pub fn models(&self) -> Vec<&Selected> {
        match &self.kind {
            LoopKind::Confidence(confidence) => confidence.models().collect(),
            LoopKind::Ratings(ratings) => ratings.models.iter().collect(),
            LoopKind::Remom(remom) => remom.models().collect(),
            LoopKind::Fusion(fusion) => fusion.models().collect(),
            LoopKind::Workflows(workflows) => workflows.models().collect(),
        }
    }

    /// How long a call may take, where nothing else is said.
    #[must_use]
    pub fn call_time(&self) -> Duration {
        Duration::from_secs(self.bounds.call_timeout_seconds)
    }

    /// How long all of it may take.
    #[must_use]
    pub fn whole_time(&self) -> Duration {
        Duration::from_secs(self.bounds.timeout_seconds)
    }
}

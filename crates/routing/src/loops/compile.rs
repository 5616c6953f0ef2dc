//! From an `algorithm` block to a loop; everything that is wrong is told at once.

mod confidence;
mod contract;
mod fusion;
mod remom;
mod workflows;

use std::time::Duration;

use super::{LOOPS, Loop, LoopKind, OnError, Ratings, Rules, Terms};
use crate::config::{DecisionConfig, LoopBounds, LoopConfig, ModelCard, ModelRef};
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
}

//! From a decision's `algorithm` to what selects its model: checks what of it the gateway feeds, and ranks.
//!
//! What an algorithm goes by must come from somewhere. What nobody measures or remembers yet is refused here, by its name:
//! where it is fed, its line goes.

use std::fmt::Debug;

use super::build::{Surroundings, Wrong};
use super::candidate::{CandidateFacts, Price, SelectionRequest};
use super::config::AlgorithmConfig;
use super::fitted::Fitted;
use super::ranking::Ranking;
use super::selector::Selection;
use super::{Candidate, Card};
use crate::facts::Facts;

/// What is known of models beyond the routing configuration.
pub trait KnownModels: Debug {
    /// What a model costs.
    fn price(&self, model: &str) -> Option<Price>;
}

/// Reads an `algorithm` block: none where models share by weight, as they do without one.
pub(crate) fn compile(value: &serde_json::Value, candidates: &[Candidate]) -> Result<Selection, Vec<Wrong>> {
    let config = match value.as_str() {
        Some(kind) => AlgorithmConfig {
            kind: kind.to_owned(),
            ..AlgorithmConfig::default()
        },
        None => {
            serde_json::from_value(value.clone()).map_err(|error| vec![(String::new(), error.to_string())])?
        }
    };
    if let Some(wrong) = unfed(&config) {
        return Err(vec![wrong]);
    }
    let names: Vec<(&str, bool)> = candidates
        .iter()
        .map(|candidate| (candidate.selected.model.as_str(), candidate.card.described))
        .collect();
    let surroundings = Surroundings {
        candidates: &names,
        fitted: &|path| Fitted::load(path),
    };
    Selection::build(&config, &surroundings)
}

/// What the configuration wants to go by and nobody tells.
fn unfed(config: &AlgorithmConfig) -> Option<Wrong> {
    let wrong = |path: &str, message: &str| Some((path.to_owned(), format!("{message} in this version")));
    let settings = &config.settings;
    if config.target.is_some() {
        return wrong("target", "what answers cost is not told to decisions");
    }
    if config.session.is_some() {
        return wrong("session", "sessions are not remembered by decisions");
    }
    match config.kind.as_str() {
        "latency_aware" => wrong(
            "type",
            "latencies are not told to decisions; latency_aware is not supported",
        ),
        "elo" => wrong("type", "comparisons are not recorded; elo is not supported"),
        "thompson" => wrong("type", "outcomes are not recorded; thompson is not supported"),
        "hybrid" => wrong(
            "type",
            "comparisons are not recorded and nothing embeds prompts; hybrid is not supported",
        ),
        "prompt" => wrong("type", "no helper is asked; prompt is not supported"),
        "router_dc"
            if settings
                .router_dc
                .as_ref()
                .is_none_or(|dc| dc.pretrained_path.is_none()) =>
        {
            wrong(
                "type",
                "nothing embeds prompts; router_dc is supported with a pretrained_path alone",
            )
        }
        "multi_factor" => {
            let config = settings.multi_factor.clone().unwrap_or_default();
            let weighs = config
                .weights
                .is_none_or(|weights| weights.latency > 0.0 || weights.load > 0.0);
            let slo = config.slo;
            let limits = slo.max_tpot_ms > 0.0 || slo.max_ttft_ms > 0.0 || slo.max_inflight > 0;
            (weighs || limits)
                .then(|| {
                    wrong(
                        "multi_factor",
                        "latency and load are not told to decisions; give weights of quality and cost alone, and no \
                         max_tpot_ms, max_ttft_ms or max_inflight: those are not supported",
                    )
                })
                .flatten()
        }
        _ => None,
    }
}

/// Ranks a decision's candidates for a request; `roll` is its chance.
pub(crate) fn rank(
    selection: &Selection,
    (decision, candidates): (&str, &[Candidate]),
    facts: &Facts<'_>,
    roll: f64,
) -> Ranking {
    let request = SelectionRequest {
        scope: decision,
        text: facts.user_text,
        prompt_tokens: facts.estimated_tokens,
        completion_tokens: facts.completion_tokens,
        seed: roll.to_bits(),
        ..SelectionRequest::default()
    };
    let known: Vec<CandidateFacts<'_>> = candidates
        .iter()
        .map(|candidate| {
            let Card { quality, window, .. } = candidate.card;
            let model = candidate.selected.model.as_str();
            CandidateFacts {
                model,
                weight: candidate.weight,
                price: facts.models.and_then(|models| models.price(model)),
                context_window: window,
                quality,
                ..CandidateFacts::default()
            }
        })
        .collect();
    selection.rank(&request, &known)
}

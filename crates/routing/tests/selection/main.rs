//! Selection and learning: each algorithm on a problem whose answer is known.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test says what it expects by failing"
)]

mod adapted;
mod algorithms;
mod around;
mod decisions;
mod fitted;
mod laws;
mod learning;
mod refusals;
mod regret;
mod shares;
mod sharing;

use std::sync::Arc;

use pointsman_routing::selection::{
    AlgorithmConfig, CandidateFacts, Fitted, Price, Ranking, Selection, SelectionRequest, Surroundings, Wrong,
};
use serde_json::Value;

/// Builds an `algorithm` block for some candidates.
pub fn try_build(
    config: Value,
    candidates: &[&str],
    fitted: Option<&Arc<Fitted>>,
) -> Result<Selection, Vec<Wrong>> {
    let config: AlgorithmConfig = serde_json::from_value(config).unwrap();
    let candidates: Vec<(&str, bool)> = candidates.iter().map(|name| (*name, true)).collect();
    let read = |path: &str| fitted.cloned().ok_or_else(|| format!("{path}: not there"));
    Selection::build(
        &config,
        &Surroundings {
            candidates: &candidates,
            fitted: &read,
        },
    )
}

/// A selection without models of its own or a fitted file, which must be right.
pub fn build(config: Value) -> Selection {
    try_build(config, &[], None).unwrap_or_else(|wrong| panic!("{wrong:?}"))
}

/// A candidate that costs so many dollars for a million tokens, both ways.
pub fn candidate(model: &str, dollars: u64, quality: f64) -> CandidateFacts<'_> {
    let price = Price {
        input: dollars * 1_000_000_000,
        cached_input: dollars * 100_000_000,
        output: dollars * 1_000_000_000,
    };
    CandidateFacts {
        model,
        weight: 1.0,
        price: Some(price),
        quality: Some(quality),
        ..CandidateFacts::default()
    }
}

/// A request of ordinary size in the scope `d`.
pub fn request<'a>() -> SelectionRequest<'a> {
    SelectionRequest {
        scope: "d",
        prompt_tokens: 500,
        completion_tokens: 500,
        ..SelectionRequest::default()
    }
}

/// The models, best first.
pub fn order(ranking: &Ranking) -> Vec<&str> {
    ranking
        .ranked
        .iter()
        .map(|ranked| ranked.model.as_str())
        .collect()
}

/// The best model.
pub fn first(ranking: &Ranking) -> &str {
    ranking.first().map_or("", |ranked| &ranked.model)
}

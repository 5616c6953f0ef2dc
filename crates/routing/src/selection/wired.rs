//! From a decision's `algorithm` to what selects its model: builds it, and ranks by what is known of the request.

use std::fmt::Debug;

use super::build::{Surroundings, Wrong};
use super::candidate::{CandidateFacts, Latency, Price, SelectionRequest};
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

    /// How fast a model was lately.
    fn latency(&self, _model: &str) -> Option<Latency> {
        None
    }

    /// Requests that a model works on now.
    fn in_flight(&self, _model: &str) -> Option<u32> {
        None
    }
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
    let names: Vec<(&str, bool)> = candidates
        .iter()
        .map(|candidate| {
            (
                candidate.selected.model.as_str(),
                candidate.card.description.is_some(),
            )
        })
        .collect();
    let surroundings = Surroundings {
        candidates: &names,
        fitted: &|path| Fitted::load(path),
    };
    Selection::build(&config, &surroundings)
}

/// Ranks a decision's candidates for a request; `roll` is its chance.
pub(crate) fn rank(
    selection: &Selection,
    (decision, candidates): (&str, &[Candidate]),
    facts: &Facts<'_>,
    roll: f64,
) -> Ranking {
    let domains = domains(facts);
    let request = SelectionRequest {
        scope: decision,
        text: facts.user_text,
        embedding: facts.meaning.and_then(|meaning| meaning.vector(facts.user_text)),
        domains: &domains,
        prompt_tokens: facts.estimated_tokens,
        completion_tokens: facts.completion_tokens,
        previous: facts.previous,
        learned: facts.learned,
        helper_answer: facts.helper,
        seed: roll.to_bits(),
        ..SelectionRequest::default()
    };
    // How fast a model is takes a look at all its latest times: only who goes by that has it.
    let pace = facts.models.filter(|_| selection.reads_pace());
    let latencies: Vec<Option<Latency>> = candidates
        .iter()
        .map(|candidate| pace?.latency(&candidate.selected.model))
        .collect();
    let known: Vec<CandidateFacts<'_>> = candidates
        .iter()
        .zip(&latencies)
        .map(|(candidate, latency)| {
            let Card {
                quality,
                window,
                description,
                can,
            } = &candidate.card;
            let model = candidate.selected.model.as_str();
            CandidateFacts {
                model,
                weight: candidate.weight,
                price: facts.models.and_then(|models| models.price(model)),
                context_window: *window,
                latency: latency.as_ref(),
                in_flight: pace.and_then(|models| models.in_flight(model)),
                quality: *quality,
                description: described(facts, description.as_deref()),
                excluded: selection.needs.capabilities.then(|| can.lacks(facts)).flatten(),
                ..CandidateFacts::default()
            }
        })
        .collect();
    selection.rank(&request, &known)
}

/// Domains of what the user said, where somebody has read it.
fn domains(facts: &Facts<'_>) -> Vec<(String, f64)> {
    let known = facts.meaning.and_then(|meaning| meaning.domains());
    let known = known.unwrap_or_default().iter();
    known
        .map(|(name, probability)| (name.clone(), f64::from(*probability)))
        .collect()
}

/// What a model's description means, where somebody has read it.
fn described<'f>(facts: &Facts<'f>, description: Option<&str>) -> Option<&'f [f32]> {
    facts.meaning?.vector(description?)
}

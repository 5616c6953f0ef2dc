//! What the response headers say of the road: model, provider, decision, cost, attempts.

use http::{HeaderMap, HeaderName, HeaderValue, header};
use pointsman_catalog::Money;
use pointsman_governance::{Principal, RateValue};

use super::super::Ticket;
use super::super::arrive::CONTEXT;
use super::super::hallucination::{SPANS, WARNINGS};
use super::super::suspect::Suspicion;

const MODEL: HeaderName = HeaderName::from_static("x-pointsman-model");
const PROVIDER: HeaderName = HeaderName::from_static("x-pointsman-provider");
const DECISION: HeaderName = HeaderName::from_static("x-pointsman-decision");
const CACHE: HeaderName = HeaderName::from_static("x-pointsman-cache");
const CACHE_KEY: HeaderName = HeaderName::from_static("x-pointsman-cache-key");
const SIMILARITY: HeaderName = HeaderName::from_static("x-pointsman-cache-similarity");
const COST: HeaderName = HeaderName::from_static("x-pointsman-cost-usd");
const SAVED: HeaderName = HeaderName::from_static("x-pointsman-saved-usd");
const OVERHEAD: HeaderName = HeaderName::from_static("x-pointsman-overhead-us");
const LOSSES: HeaderName = HeaderName::from_static("x-pointsman-losses");
/// Most bytes of the names of fields that were lost.
const MAX_LOSSES: usize = 240;
const LOOP: HeaderName = HeaderName::from_static("x-pointsman-loop");
const LOOP_MODELS: HeaderName = HeaderName::from_static("x-pointsman-loop-models");
const LOOP_CALLS: HeaderName = HeaderName::from_static("x-pointsman-loop-calls");
/// Most bytes of the names of models that a loop has asked.
const MAX_MODELS: usize = 1_024;
const SUSPICION: HeaderName = HeaderName::from_static("x-pointsman-response-jailbreak");
const MEMORIES: HeaderName = HeaderName::from_static("x-pointsman-memories");
const ATTEMPTS: HeaderName = HeaderName::from_static("x-pointsman-attempts");

/// Writes the headers; `cost` is known only of whole answers.
pub fn describe(headers: &mut HeaderMap, ticket: &Ticket, cost: Option<Money>) {
    let facts = &ticket.facts;
    // Room for all of them at once: growing step by step would hash each again.
    headers.reserve(16);
    if let Some(asked) = &facts.asked {
        text(headers, MODEL, &asked.model);
        text(headers, PROVIDER, &asked.provider);
    }
    if let Some(decision) = &facts.decision {
        text(headers, DECISION, decision);
    }
    headers.insert(CACHE, HeaderValue::from_static(facts.cache));
    if let Some(key) = &facts.cache_key {
        text(headers, CACHE_KEY, &key.hex());
    }
    headers.insert(ATTEMPTS, HeaderValue::from(facts.attempts));
    headers.insert(OVERHEAD, HeaderValue::from(ticket.overhead().as_micros() as u64));
    if let Some(looped) = &facts.looped {
        headers.insert(LOOP, HeaderValue::from_static(looped.kind));
        headers.insert(LOOP_CALLS, HeaderValue::from(looped.calls));
        text(headers, LOOP_MODELS, &listed(&looped.models, MAX_MODELS));
    }
    if let Some(context) = &facts.context {
        text(headers, CONTEXT, context);
    }
    if let Some(memories) = facts.memories {
        headers.insert(MEMORIES, HeaderValue::from(memories));
    }
    if !facts.warnings.is_empty() {
        text(headers, WARNINGS, &facts.warnings.join(", "));
    }
    if let Some(parts) = &facts.unsupported {
        text(headers, SPANS, parts);
    }
    match facts.suspicion {
        Some(Suspicion::Likely(probability)) => text(headers, SUSPICION, &format!("{probability:.2}")),
        Some(Suspicion::Unjudged) => text(headers, SUSPICION, "unjudged"),
        None => {}
    }
    if !facts.losses.is_empty() {
        text(headers, LOSSES, &listed(&facts.losses, MAX_LOSSES));
    }
    if let Some(asked) = facts.asked.as_ref().filter(|asked| asked.saved != Money::ZERO) {
        text(headers, SAVED, &asked.saved.usd_decimal());
    }
    if let Some((stored, similarity)) = facts.asked.as_ref().and_then(|asked| asked.recalled) {
        headers.insert(header::AGE, HeaderValue::from(stored.elapsed().as_secs()));
        if let Some(similarity) = similarity {
            text(headers, SIMILARITY, &format!("{similarity:.3}"));
        }
    }
    if let Some(cost) = cost {
        text(headers, COST, &cost.usd_decimal());
    }
    limits(headers, ticket.caller());
}

/// As many names as have room, and how many more there are.
fn listed(names: &[String], room: usize) -> String {
    let mut told = String::new();
    let mut count = 0;
    for name in names {
        if told.len() + name.len() > room {
            break;
        }
        if !told.is_empty() {
            told.push_str(", ");
        }
        told.push_str(name);
        count += 1;
    }
    if count < names.len() {
        told.push_str(&format!(" +{}", names.len() - count));
    }
    told.trim().to_owned()
}

/// OpenAI's rate-limit headers.
pub fn limits(headers: &mut HeaderMap, caller: &Principal) {
    let status = caller.rate_status(std::time::Instant::now());
    for (name, value) in status.headers() {
        let name = HeaderName::from_static(name);
        match value {
            RateValue::Count(count) => drop(headers.insert(name, HeaderValue::from(count))),
            RateValue::Seconds(0) => drop(headers.insert(name, HeaderValue::from_static("0s"))),
            RateValue::Seconds(wait) => text(headers, name, &format!("{wait}s")),
        }
    }
}

fn text(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}

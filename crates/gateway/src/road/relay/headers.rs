//! What the response headers say of the road: model, provider, decision, cost, attempts.

use http::{HeaderMap, HeaderName, HeaderValue, header};
use pointsman_catalog::Money;
use pointsman_governance::{Principal, RateValue};

use super::super::Ticket;

const MODEL: HeaderName = HeaderName::from_static("x-pointsman-model");
const PROVIDER: HeaderName = HeaderName::from_static("x-pointsman-provider");
const DECISION: HeaderName = HeaderName::from_static("x-pointsman-decision");
const CACHE: HeaderName = HeaderName::from_static("x-pointsman-cache");
const SIMILARITY: HeaderName = HeaderName::from_static("x-pointsman-cache-similarity");
const COST: HeaderName = HeaderName::from_static("x-pointsman-cost-usd");
const SAVED: HeaderName = HeaderName::from_static("x-pointsman-saved-usd");
const OVERHEAD: HeaderName = HeaderName::from_static("x-pointsman-overhead-us");
const LOSSES: HeaderName = HeaderName::from_static("x-pointsman-losses");
/// Most bytes of the names of fields that were lost.
const MAX_LOSSES: usize = 240;
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
    headers.insert(ATTEMPTS, HeaderValue::from(facts.attempts));
    headers.insert(OVERHEAD, HeaderValue::from(ticket.overhead().as_micros() as u64));
    if !facts.losses.is_empty() {
        losses(headers, &facts.losses);
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

/// The fields that could not be told exactly, as many as have room, and how many more there are.
fn losses(headers: &mut HeaderMap, losses: &[String]) {
    let mut told = String::new();
    let mut count = 0;
    for field in losses {
        if told.len() + field.len() > MAX_LOSSES {
            break;
        }
        if !told.is_empty() {
            told.push_str(", ");
        }
        told.push_str(field);
        count += 1;
    }
    if count < losses.len() {
        told.push_str(&format!(" +{}", losses.len() - count));
    }
    text(headers, LOSSES, told.trim());
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

//! What a request names beside its key: its end customer, the agent it comes from, its tags. Those that have limits or
//! budgets are charged with the key's holders; all are written down.

use std::sync::Arc;
use std::time::Duration;

use http::HeaderName;
use pointsman_governance::{LabelError, Labels, MAX_TAGS, Principal, Wanted, is_label};
use pointsman_wire::form::{ChatRequest, Failure, FailureKind};

use super::{Arrival, identify};
use crate::worker::Worker;

/// The end customer, before what the body says.
const CUSTOMER: HeaderName = HeaderName::from_static("x-pointsman-customer");
/// The agent that the request comes from.
const AGENT: HeaderName = HeaderName::from_static("x-pointsman-agent");
/// Tags, with commas between them.
const TAGS: HeaderName = HeaderName::from_static("x-pointsman-tags");
/// What OpenAI calls the end customer by now.
const SAFETY_IDENTIFIER: &str = "safety_identifier";

/// The caller, with what the headers name.
///
/// # Errors
/// 400 where they name what cannot be named, 403 for what is disabled, 503 where it would have to be looked up and cannot.
pub async fn of_headers(
    worker: &Arc<Worker>,
    arrival: &Arrival,
    caller: Arc<Principal>,
) -> Result<Arc<Principal>, Failure> {
    let headers = &arrival.headers;
    // Hardly any request does.
    if [CUSTOMER, AGENT, TAGS]
        .iter()
        .all(|name| !headers.contains_key(name))
    {
        return Ok(caller);
    }
    let labels = Labels {
        customer: one(arrival, &CUSTOMER)?,
        agent: one(arrival, &AGENT)?,
        tags: tags(arrival)?,
    };
    Box::pin(naming(worker, caller, labels)).await
}

/// The caller, with the end customer that a body names, where no header does. Programs write there what they like: what
/// can be no name is not written down.
///
/// # Errors
/// As [`of_headers`].
pub async fn of_body(
    worker: &Arc<Worker>,
    caller: Arc<Principal>,
    customer: Option<&str>,
) -> Result<Arc<Principal>, Failure> {
    let customer = customer.filter(|name| caller.labels.customer.is_none() && is_label(name));
    let Some(customer) = customer else {
        return Ok(caller);
    };
    let labels = Labels {
        customer: Some(customer.into()),
        ..caller.labels.clone()
    };
    Box::pin(naming(worker, caller, labels)).await
}

/// The end customer that a conversation names: OpenAI's `user` or `safety_identifier`, Anthropic's `metadata.user_id`.
pub fn customer(request: &ChatRequest) -> Option<String> {
    if let Some(user) = &request.user {
        return Some(user.to_string());
    }
    request.extra.get(SAFETY_IDENTIFIER)?.read().ok()
}

/// The owner of a batch, with what was named when it was made.
///
/// # Errors
/// As [`of_headers`].
pub async fn of_batch(
    worker: &Arc<Worker>,
    caller: Arc<Principal>,
    labels: &Labels,
) -> Result<Arc<Principal>, Failure> {
    if labels.is_empty() {
        return Ok(caller);
    }
    Box::pin(naming(worker, caller, labels.clone())).await
}

/// Whoever pays for what was answered already, with what was named: nobody is refused for it any more.
pub fn owing(
    worker: &Worker,
    payer: Arc<Principal>,
    labels: &Labels,
    customer: Option<&str>,
) -> Arc<Principal> {
    let customer = customer.filter(|name| labels.customer.is_none() && is_label(name));
    if labels.is_empty() && customer.is_none() {
        return payer;
    }
    let mut labels = labels.clone();
    labels.customer = customer.map(Into::into).or(labels.customer);
    Arc::new(worker.shared.keys.owing(&payer, labels))
}

async fn naming(
    worker: &Arc<Worker>,
    caller: Arc<Principal>,
    labels: Labels,
) -> Result<Arc<Principal>, Failure> {
    let keys = &worker.shared.keys;
    // Once for each that has to be looked up, and once more.
    for _ in 0..=2 * (MAX_TAGS + 2) {
        match keys.naming(&caller, labels.clone()) {
            Ok(named) => return Ok(Arc::new(named)),
            Err(LabelError::Closed { kind, name }) => {
                let message = format!("the {} {name:?} is disabled", kind.as_str());
                let code = format!("{}_disabled", kind.as_str());
                return Err(Failure::new(FailureKind::PermissionDenied, message).coded(code));
            }
            Err(LabelError::Unread { kind, id }) => {
                let looked = identify::look_up(worker, Wanted::Label(kind, id)).await;
                looked.map_err(|_| unreachable())?;
            }
        }
    }
    Err(unreachable())
}

/// What was spent is not known, so nobody can say whether there is room.
fn unreachable() -> Failure {
    let message = "what this request names has a budget, and the database that knows what is left cannot be asked now; try again in a moment";
    Failure::new(FailureKind::Unavailable, message)
        .coded("limits_unavailable")
        .retry_after(Duration::from_secs(1))
}

/// What a header names.
fn one(arrival: &Arrival, header: &HeaderName) -> Result<Option<Box<str>>, Failure> {
    let Some(said) = arrival.headers.get(header) else {
        return Ok(None);
    };
    let name = said.to_str().ok().map(str::trim).filter(|name| is_label(name));
    let name = name.ok_or_else(|| wrong(header, "must name one, in at most 256 characters of ASCII"))?;
    Ok(Some(name.into()))
}

fn tags(arrival: &Arrival) -> Result<Arc<[Box<str>]>, Failure> {
    let mut tags: Vec<Box<str>> = Vec::new();
    for said in arrival.headers.get_all(TAGS) {
        let said = said
            .to_str()
            .map_err(|_| wrong(&TAGS, "must be characters of ASCII"))?;
        for tag in said.split(',').map(str::trim).filter(|tag| !tag.is_empty()) {
            if !is_label(tag) {
                return Err(wrong(&TAGS, "a tag has at most 256 characters"));
            }
            if !tags.iter().any(|known| **known == *tag) {
                tags.push(tag.into());
            }
        }
    }
    if tags.len() > MAX_TAGS {
        return Err(wrong(&TAGS, &format!("a request bears at most {MAX_TAGS} tags")));
    }
    Ok(tags.into())
}

fn wrong(header: &HeaderName, why: &str) -> Failure {
    Failure::new(FailureKind::InvalidRequest, format!("{header}: {why}")).at(header.as_str())
}

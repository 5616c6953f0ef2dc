//! Features under test that Anthropic's clients ask for by name: told to a provider that has them, as it knows them.
//!
//! A cloud refuses names that it does not know. What a client asked of one provider must not fail at the next, so
//! these are left out there, and told as losses.

use std::borrow::Cow;

use http::{HeaderMap, HeaderName, HeaderValue};
use pointsman_wire::format::{Format, Loss};
use pointsman_wire::splice::Edits;

use super::super::Arrival;
use crate::snapshot::{Speech, Target};

/// The header that names them.
pub const HEADER: HeaderName = HeaderName::from_static("anthropic-beta");
const UNKNOWN: &str = "the provider does not have this feature under test, and would refuse its name";

/// The names that the client's header gives, in order.
fn asked(arrival: &Arrival) -> impl Iterator<Item = &str> {
    let said = arrival.headers.get_all(HEADER).into_iter();
    said.filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(str::trim)
        .filter(|beta| !beta.is_empty())
}

/// Those that the target's provider has, as it calls them; the others are told as losses.
fn known<'a>(arrival: &'a Arrival, target: &'a Target, losses: &mut Vec<Loss>) -> Vec<&'a str> {
    let Some(names) = &target.provider.speaks.betas else {
        return asked(arrival).collect();
    };
    let mut known: Vec<&str> = Vec::new();
    for beta in asked(arrival) {
        match names.iter().find(|(asked, _)| asked == beta) {
            Some((_, name)) if known.contains(&name.as_str()) => {}
            Some((_, name)) => known.push(name),
            None => losses.push(Loss {
                field: Cow::Owned(format!("anthropic-beta {beta}")),
                note: UNKNOWN,
            }),
        }
    }
    known
}

/// Puts them into the body, where that is the place for them.
pub fn enclose(
    edits: &mut Edits,
    arrival: &Arrival,
    (target, speech): (&Target, &Speech),
    losses: &mut Vec<Loss>,
) {
    let claude = || {
        ["anthropic.", "claude", "arn:"]
            .iter()
            .any(|name| target.model.contains(name))
    };
    let list = |betas: &[&str]| serde_json::json!(betas).to_string();
    match speech.format {
        Format::BedrockInvoke => {
            let betas = known(arrival, target, losses);
            // A client of Bedrock has said it in the body already.
            if !betas.is_empty() {
                edits.set("anthropic_beta", list(&betas));
            }
        }
        Format::BedrockConverse if claude() => {
            let betas = known(arrival, target, losses);
            if !betas.is_empty() {
                edits.set_nested("additionalModelRequestFields", "anthropic_beta", &list(&betas));
            }
        }
        // What stands in a header is told there; its losses are known before it is sent.
        Format::AnthropicMessages => drop(known(arrival, target, losses)),
        _ => {}
    }
}

/// Puts them into the headers, where that is the place for them.
pub fn forward(arrival: &Arrival, target: &Target, headers: &mut HeaderMap) {
    if target.provider.speaks.betas.is_none() {
        for beta in arrival.headers.get_all(HEADER) {
            headers.append(HEADER, beta.clone());
        }
        return;
    }
    let betas = known(arrival, target, &mut Vec::new());
    if let Ok(value) = HeaderValue::from_str(&betas.join(","))
        && !betas.is_empty()
    {
        headers.append(HEADER, value);
    }
}

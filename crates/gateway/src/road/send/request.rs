//! The request to a provider: the client's own bytes where both speak the same format, else written anew.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, header};
use pointsman_routing::Reasoning;
use pointsman_wire::form::{ChatRequest, Failure, FailureKind};
use pointsman_wire::format::{self, EncodeTarget, Format};
use pointsman_wire::seal;
use pointsman_wire::splice::Edits;

use super::super::Arrival;
use super::super::arrive::Asked;
use super::super::decide::Step;
use crate::snapshot::{Provider, Target};

/// Tokens of an answer where the format demands a limit, the client gave none and the catalog knows none.
const DEFAULT_MAX_TOKENS: u64 = 4096;
/// Client headers that mean something to a provider of the same format, beyond the body.
const FORWARDED: [&str; 3] = ["anthropic-version", "anthropic-beta", "openai-beta"];
const ANTHROPIC_VERSION: HeaderName = HeaderName::from_static("anthropic-version");

/// A body for the provider.
pub struct Outgoing {
    /// The bytes.
    pub body: Bytes,
    /// Whether usage in the stream was asked for on the gateway's own account.
    pub usage_forced: bool,
}

/// Writes the body for `target` in `format`.
///
/// # Errors
/// 400 when the request cannot be expressed in the provider's format; the field is named.
pub fn body(asked: &Asked, step: &Step, target: &Target, to: Format) -> Result<Outgoing, Failure> {
    let name = step.upstream_name.as_deref().unwrap_or(&target.model);
    let usage_forced = to != Format::AnthropicMessages
        && asked.request.stream.enabled
        && !asked.request.stream.include_usage;
    // What another provider signed may not pass as it came.
    if asked.format == to && !asked.edited && !seal::is_in(&asked.body) {
        return spliced(asked, step, name, usage_forced);
    }
    let mut request = asked.request.clone();
    request.stream.include_usage |= usage_forced;
    let speaks = &target.provider.speaks;
    let encode = EncodeTarget {
        model: name,
        default_max_tokens: target
            .max_output
            .unwrap_or(DEFAULT_MAX_TOKENS)
            .min(DEFAULT_MAX_TOKENS),
        max_tokens_name: speaks.max_tokens_name,
        developer_role: speaks.developer_role,
        stream_usage: true,
    };
    let encoded = format::encode_request(to, &request, &encode).map_err(|error| {
        Failure::new(
            FailureKind::InvalidRequest,
            format!(
                "{} cannot be sent to {}: {}",
                error.field,
                to.name(),
                error.message
            ),
        )
        .at(error.field)
    })?;
    for loss in &encoded.losses {
        tracing::debug!(field = %loss.field, note = %loss.note, "a field was mapped to the nearest thing");
    }
    let mut edits = Edits::new();
    reason(&mut edits, &request, step.reasoning.as_ref())?;
    let body = if edits.is_empty() {
        encoded.body
    } else {
        edits.apply(&encoded.body).map_err(unspliceable)?
    };
    Ok(Outgoing { body, usage_forced })
}

fn spliced(asked: &Asked, step: &Step, name: &str, usage_forced: bool) -> Result<Outgoing, Failure> {
    let mut edits = Edits::new();
    if asked.request.model != name {
        edits.set_string("model", name);
    }
    if usage_forced {
        edits.set_nested("stream_options", "include_usage", "true");
    }
    reason(&mut edits, &asked.request, step.reasoning.as_ref())?;
    let body = if edits.is_empty() {
        asked.body.clone()
    } else {
        edits.apply(&asked.body).map_err(unspliceable)?
    };
    Ok(Outgoing { body, usage_forced })
}

/// Switches reasoning as the decision says, in the way the model's family understands.
fn reason(edits: &mut Edits, request: &ChatRequest, reasoning: Option<&Reasoning>) -> Result<(), Failure> {
    let Some(reasoning) = reasoning else { return Ok(()) };
    match reasoning {
        Reasoning::ChatTemplate { parameter, enabled } => {
            edits.set_nested(
                "chat_template_kwargs",
                parameter,
                if *enabled { "true" } else { "false" },
            );
        }
        Reasoning::Effort { parameter, effort } => {
            // What the client asked for explicitly is the client's.
            if request.reasoning.is_none() {
                edits.set_string(parameter, effort);
            }
        }
    }
    Ok(())
}

fn unspliceable(error: impl std::fmt::Display) -> Failure {
    Failure::new(
        FailureKind::InvalidRequest,
        format!("the request body could not be edited: {error}"),
    )
}

/// The HTTP request for the provider: only headers that are meant for it, never the client's credential.
pub fn http(
    arrival: &Arrival,
    provider: &Provider,
    path: http::Uri,
    body: Bytes,
    edits: &[(HeaderName, Option<HeaderValue>)],
) -> Request<Bytes> {
    let mut headers = HeaderMap::with_capacity(12);
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    headers.insert(
        header::USER_AGENT,
        HeaderValue::from_static(concat!("pointsman/", env!("CARGO_PKG_VERSION"))),
    );
    for (name, value) in &provider.headers {
        headers.insert(name, value.clone());
    }
    for name in FORWARDED {
        for value in arrival.headers.get_all(name) {
            if name == ANTHROPIC_VERSION.as_str() {
                headers.insert(name, value.clone());
            } else {
                headers.append(name, value.clone());
            }
        }
    }
    if let Some(traceparent) = arrival.headers.get("traceparent") {
        headers.insert("traceparent", traceparent.clone());
    }
    for (name, value) in edits {
        match value {
            Some(value) => drop(headers.insert(name, value.clone())),
            None => drop(headers.remove(name)),
        }
    }
    provider.credential.apply(&mut headers);
    let mut request = Request::new(body);
    *request.method_mut() = Method::POST;
    *request.uri_mut() = path;
    *request.headers_mut() = headers;
    request
}

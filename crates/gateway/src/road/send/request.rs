//! The request to a provider: the client's own bytes where both speak the same format, else written anew.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, header};
use pointsman_config::Unsupported;
use pointsman_routing::Reasoning as Switch;
use pointsman_wire::form::{ChatRequest, Failure, FailureKind, Reasoning};
use pointsman_wire::format::{self, EncodeTarget, Encoded, Format, Loss};
use pointsman_wire::openai::request::effort_of;
use pointsman_wire::seal;
use pointsman_wire::splice::Edits;

use super::super::Arrival;
use super::super::arrive::Asked;
use super::super::decide::Step;
use super::super::tooled;
use super::{betas, marks};
use crate::parameters;
use crate::snapshot::{Envelope, Speech, Target, are_kin};

/// Tokens of an answer where the format demands a limit, the client gave none and the catalog knows none.
const DEFAULT_MAX_TOKENS: u64 = 4096;
const ANTHROPIC_VERSION: HeaderName = HeaderName::from_static("anthropic-version");
/// What Bedrock wants to be told of Anthropic's format.
const BEDROCK_VERSION: &str = "bedrock-2023-05-31";
/// What Vertex AI wants to be told of Anthropic's format.
const VERTEX_VERSION: &str = "vertex-2023-10-16";
const OPENAI_BETA: HeaderName = HeaderName::from_static("openai-beta");

/// A body for the provider.
pub struct Outgoing {
    /// The bytes.
    pub body: Bytes,
    /// Whether usage in the stream was asked for on the gateway's own account.
    pub usage_forced: bool,
    /// What the provider's format cannot express exactly.
    pub losses: Vec<Loss>,
}

/// What is said to a provider.
pub struct Said<'a> {
    /// What the client asks.
    pub asked: &'a Asked,
    /// The same with files in the place of their URLs, where they had to be fetched.
    pub fetched: Option<&'a ChatRequest>,
}

/// Writes the body for `target`, as `speech` has it.
///
/// # Errors
/// 400 when the request cannot be expressed in the provider's format; the field is named.
pub fn body(
    (arrival, said): (&Arrival, &Said<'_>),
    step: &Step,
    target: &Target,
    speech: &Speech,
) -> Result<Outgoing, Failure> {
    let to = speech.format;
    let asked = said.asked;
    let said = said.fetched.unwrap_or(&asked.request);
    tooled::check_foreign(said, to)?;
    let stream = &said.stream;
    let usage_forced = is_openai(to) && stream.enabled && !stream.include_usage;
    let reasons = step.reasoning.as_ref();
    let mut shaped = target.shape.request(said);
    if let Some(settings) = asked.marks {
        let plain = shaped.as_ref().unwrap_or(said);
        shaped = marks::marked(settings, plain, (step.name(target), target, to))?.or(shaped);
    }
    let mut edits = Edits::new();
    let mut losses = Vec::new();
    // What another provider signed may not pass as it came.
    let as_it_came = !asked.edited && shaped.is_none() && std::ptr::eq(said, &asked.request);
    let passes = as_it_came && !seal::is_in(said);
    let body = if are_kin(asked.format, to) && passes && (reasons.is_none() || is_openai(to)) {
        if asked.format != to {
            change_envelope(&mut edits, asked, to);
        }
        if speech.is_named_in_body() && (asked.request.model != step.name(target) || asked.format != to) {
            edits.set_string("model", step.name(target));
        }
        if usage_forced {
            edits.set_nested("stream_options", "include_usage", "true");
        }
        asked.body.clone()
    } else {
        let mut request = shaped.unwrap_or_else(|| said.clone());
        request.stream.include_usage |= usage_forced;
        if asked.request.sampling.max_tokens.is_none() || asked.bounded_here {
            // A limit that the client did not give has the name that the provider knows.
            request.sampling.max_tokens_name = target.provider.speaks.max_tokens_name;
        }
        if let Some(switch) = reasons.filter(|_| !is_openai(to)) {
            reason_by_form(&mut request, switch);
        }
        let encoded = encoded(&mut request, step.name(target), target, to)?;
        losses = encoded.losses;
        encoded.body
    };
    if let Some(switch) = reasons.filter(|_| is_openai(to)) {
        reason_by_field(&mut edits, &asked.request, switch);
    }
    if asked.marks.is_some() {
        marks::key(&mut edits, said, (target, to));
    }
    enclose(&mut edits, speech);
    betas::enclose(&mut edits, arrival, (target, speech), &mut losses);
    let body = if edits.is_empty() {
        body
    } else {
        edits.apply(&body).map_err(unspliceable)?
    };
    let body = target.shape.body(body).map_err(unspliceable)?;
    Ok(Outgoing {
        body,
        usage_forced,
        losses,
    })
}

/// Chat completions and text completions.
fn is_openai(format: Format) -> bool {
    matches!(format, Format::OpenAiChat | Format::OpenAiCompletions)
}

/// The request in the target's format. What it cannot express is treated as the target's configuration says.
fn encoded(request: &mut ChatRequest, name: &str, target: &Target, to: Format) -> Result<Encoded, Failure> {
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
    let mut dropped = Vec::new();
    loop {
        let error = match format::encode_request(to, request, &encode) {
            Ok(mut encoded) => {
                encoded.losses.append(&mut dropped);
                return strict(encoded, target, to);
            }
            Err(error) => error,
        };
        // Each time round a parameter is gone: there are not many.
        let can_go = target.shape.unsupported == Unsupported::Drop;
        if !can_go || !parameters::remove(request, &error.field) {
            return Err(inexpressible(&error.field, &error.message, to));
        }
        dropped.push(Loss {
            field: error.field.into(),
            note: "is not supported by the target and was left out",
        });
    }
}

/// The request, unless losses are to be refused and there is one.
fn strict(encoded: Encoded, target: &Target, to: Format) -> Result<Encoded, Failure> {
    match encoded.losses.first() {
        Some(loss) if target.shape.unsupported == Unsupported::Refuse => {
            Err(inexpressible(&loss.field, loss.note, to))
        }
        _ => Ok(encoded),
    }
}

fn inexpressible(field: &str, why: &str, to: Format) -> Failure {
    let message = format!("{field} cannot be sent to {}: {why}", to.name());
    Failure::new(FailureKind::InvalidRequest, message)
        .at(field)
        .coded("unsupported_parameter")
}

/// Takes Anthropic's body out of Bedrock's envelope, or puts it in.
fn change_envelope(edits: &mut Edits, asked: &Asked, to: Format) {
    if to == Format::BedrockInvoke {
        edits.remove("model");
        edits.remove("stream");
        edits.set_string("anthropic_version", BEDROCK_VERSION);
    } else {
        edits.remove("anthropic_version");
        edits.remove("anthropic_beta");
        if asked.request.stream.enabled {
            edits.set("stream", "true");
        }
    }
}

/// Puts around the body what a cloud wants: Google's path names the model, its body the version.
fn enclose(edits: &mut Edits, speech: &Speech) {
    if speech.envelope == Envelope::VertexRaw {
        edits.remove("model");
        edits.set_string("anthropic_version", VERTEX_VERSION);
    }
}

/// The betas that a body of Bedrock's InvokeModel asks for, where the header is the place for them.
pub fn betas_in_body(asked: &Asked, to: Format) -> Option<HeaderValue> {
    if to != Format::AnthropicMessages || asked.format != Format::BedrockInvoke {
        return None;
    }
    let betas: Vec<String> = asked.request.extra.get("anthropic_beta")?.read().ok()?;
    HeaderValue::from_str(&betas.join(",")).ok()
}

/// Switches reasoning as the decision says, in the fields that the model's family understands.
fn reason_by_field(edits: &mut Edits, request: &ChatRequest, switch: &Switch) {
    match switch {
        Switch::ChatTemplate { parameter, enabled } => {
            edits.set_nested(
                "chat_template_kwargs",
                parameter,
                if *enabled { "true" } else { "false" },
            );
        }
        Switch::Effort { parameter, effort } => {
            // What the client asked for explicitly is the client's.
            if request.reasoning.is_none() {
                edits.set_string(parameter, effort);
            }
        }
    }
}

/// Switches reasoning in formats that have their own way to say it; what the client asked for explicitly stays.
fn reason_by_form(request: &mut ChatRequest, switch: &Switch) {
    if request.reasoning.is_some() {
        return;
    }
    let (enabled, effort) = match switch {
        Switch::ChatTemplate { enabled, .. } => (Some(*enabled), None),
        Switch::Effort { effort, .. } => (None, effort_of(effort)),
    };
    request.reasoning = Some(Reasoning {
        enabled,
        budget_tokens: None,
        effort,
        native: None,
    });
}

fn unspliceable(error: impl std::fmt::Display) -> Failure {
    Failure::new(
        FailureKind::InvalidRequest,
        format!("the request body could not be edited: {error}"),
    )
}

/// The HTTP request for the provider: only headers that are meant for it, never the client's credential. `to` is the
/// chat format of the body, where it has one.
pub fn http(
    arrival: &Arrival,
    target: &Target,
    to: Option<Format>,
    path: http::Uri,
    body: Bytes,
) -> Request<Bytes> {
    let mut headers = HeaderMap::with_capacity(12);
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    headers.insert(
        header::USER_AGENT,
        HeaderValue::from_static(concat!("pointsman/", env!("CARGO_PKG_VERSION"))),
    );
    if to == Some(Format::AnthropicMessages) {
        headers.insert(ANTHROPIC_VERSION, HeaderValue::from_static("2023-06-01"));
    }
    for (name, value) in &target.provider.headers {
        headers.insert(name, value.clone());
    }
    forward(arrival, (target, to), &mut headers);
    if let Some(traceparent) = arrival.headers.get("traceparent") {
        headers.insert("traceparent", traceparent.clone());
    }
    // Keys, tokens and signatures are put on in `authorized`, when nothing changes any more.
    target
        .provider
        .credential
        .pass_through(&arrival.headers, &mut headers, |key| key.starts_with("pm-"));
    let mut request = Request::new(body);
    *request.method_mut() = Method::POST;
    *request.uri_mut() = path;
    *request.headers_mut() = headers;
    request
}

/// Client headers that mean something to a provider of the same format, beyond the body.
fn forward(arrival: &Arrival, (target, to): (&Target, Option<Format>), headers: &mut HeaderMap) {
    if to == Some(Format::AnthropicMessages) {
        if let Some(version) = arrival.headers.get(ANTHROPIC_VERSION) {
            headers.insert(ANTHROPIC_VERSION, version.clone());
        }
        betas::forward(arrival, target, headers);
    } else if to.is_none_or(|to| is_openai(to) || to == Format::OpenAiResponses) {
        for beta in arrival.headers.get_all(OPENAI_BETA) {
            headers.append(OPENAI_BETA, beta.clone());
        }
    }
}

/// Edits headers; none removes.
pub fn edit_headers(headers: &mut HeaderMap, edits: &[(HeaderName, Option<HeaderValue>)]) {
    for (name, value) in edits {
        match value {
            Some(value) => drop(headers.insert(name, value.clone())),
            None => drop(headers.remove(name)),
        }
    }
}

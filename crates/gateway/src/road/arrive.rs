//! Stage *surface*: the body is read and decoded; the client's format is remembered for the way back.

use std::sync::Arc;

use bytes::Bytes;
use http::HeaderName;
use hyper::body::Incoming;
use pointsman_cache::Controls;
use pointsman_governance::Principal;
use pointsman_guard::{Guards, Placeholders};
use pointsman_routing::{PromptCache, ResponseJailbreak, Tools};
use pointsman_wire::form::{ChatRequest, Failure, FailureKind, Text, Usage};
use pointsman_wire::form_data::FormDataError;
use pointsman_wire::format::{self, DecodeError, Format};
use pointsman_wire::json::Json;
use pointsman_wire::tokens;
use tokio::sync::OnceCell;

use super::hallucination::Check;
use super::identify::Claim;
use super::recall::Place;
use super::recover::Omitted;
use super::relay::Framing;
use super::transform::Transforming;
use super::{Arrival, Refusal};
use crate::incoming::{self, BodyBounds};
use crate::surface::{self, Delivery};

/// What the client wants of the cache, in our own words.
const CACHE_CONTROL: HeaderName = HeaderName::from_static("x-pointsman-cache-control");
/// What the client calls its answers, to have them deleted by.
const CACHE_TAGS: HeaderName = HeaderName::from_static("x-pointsman-cache-tags");

/// The context of an agent that a conversation is in: as the client names it, and as it is told.
pub const CONTEXT: HeaderName = HeaderName::from_static("x-pointsman-context");
/// Most bytes of its name.
const MAX_CONTEXT: usize = 256;

/// A decoded request: its bytes, its meaning, and whether the two still agree.
pub struct Asked {
    /// The client's format.
    pub format: Format,
    /// How a streamed answer is put on the wire.
    pub framing: Framing,
    /// The body as it came.
    pub body: Bytes,
    /// What it says.
    pub request: ChatRequest,
    /// About how many tokens it has: estimated once, when it arrives, and told to every stage.
    pub prompt_tokens: u64,
    /// True once a stage has changed `request`: then the body cannot be passed through any more.
    pub edited: bool,
    /// What the client wants of the cache.
    pub controls: Controls,
    /// Where its answer is remembered, if it may be.
    pub place: Option<Arc<Place>>,
    /// Something of the caller's own was put into it: memories, or findings that not everybody may see.
    pub personal: bool,
    /// How its answer is judged by what was decided.
    pub suspicion: Option<ResponseJailbreak>,
    /// Most bytes of the answer that are recorded with its decision, where any are.
    pub captures: Option<usize>,
    /// How its answer is looked at, where its decision wants that.
    pub check: Option<Arc<Check>>,
    /// What was left out of it and can be read again.
    pub omitted: Option<Arc<Omitted>>,
    /// What the provider shall cache of it, where its decision says so.
    pub marks: Option<PromptCache>,
    /// Which tools its decision shows, where it says so: of servers of the gateway, too, which are listed later.
    pub shown_tools: Option<Tools>,
    /// Most bytes of its answer, where that is less than of others.
    pub longest: Option<usize>,
    /// Models that rewrite what its user says last, or its answer, where there are any.
    pub transforming: Option<Arc<Transforming>>,
    /// Guardrails that its decision names.
    pub decided_guards: Vec<String>,
    /// The id that the answer is told under, where the gateway keeps it.
    pub answer_id: Option<Text>,
    /// The guardrails that judge it and its answer.
    pub guards: Arc<Guards>,
    /// The model that a guardrail lets answer in the place of the one that was asked for.
    pub rerouted: Option<String>,
    /// What guardrails have replaced in it, to be put back into its answer.
    pub placeholders: Placeholders,
    /// Its bound of the answer is the gateway's own: it goes under the name that the provider has for it.
    pub bounded_here: bool,
    /// What is told with its answer and is none of the answer's own.
    pub beside: Option<Arc<Beside>>,
    /// What it says, with files in the place of their URLs: once they were fetched for a provider that takes none.
    pub fetched: OnceCell<Box<ChatRequest>>,
    /// The context of an agent that the client goes on in, or begins.
    pub context: Option<String>,
    /// Headers the provider shall see in addition (from `header_mutation`); none removes.
    pub header_edits: Vec<(HeaderName, Option<http::HeaderValue>)>,
}

/// What is told with an answer that several calls were made for.
#[derive(Default)]
pub struct Beside {
    /// What the other calls have used.
    pub usage: Usage,
    /// A field for clients that speak OpenAI's chat completions.
    pub field: Option<(&'static str, Json)>,
}

impl Asked {
    /// Whether a model rewrites its answer before the client sees it.
    pub fn is_rewritten(&self) -> bool {
        let transforming = self.transforming.as_ref();
        transforming.is_some_and(|transforming| !transforming.response.is_empty())
    }

    /// The same, but for what is asked: `request`, whose answer is read as a whole before anybody sees it.
    pub fn instead(&self, mut request: ChatRequest) -> Self {
        request.stream.enabled = false;
        Self {
            format: self.format,
            framing: self.framing,
            body: self.body.clone(),
            prompt_tokens: tokens::estimate_request(&request),
            request,
            edited: true,
            controls: self.controls.clone(),
            place: self.place.clone(),
            personal: self.personal,
            suspicion: self.suspicion,
            captures: self.captures,
            check: self.check.clone(),
            omitted: self.omitted.clone(),
            marks: self.marks,
            shown_tools: self.shown_tools.clone(),
            longest: self.longest,
            transforming: self.transforming.clone(),
            decided_guards: self.decided_guards.clone(),
            answer_id: self.answer_id.clone(),
            guards: Arc::clone(&self.guards),
            rerouted: self.rerouted.clone(),
            placeholders: self.placeholders.clone(),
            bounded_here: self.bounded_here,
            beside: self.beside.clone(),
            fetched: OnceCell::new(),
            context: self.context.clone(),
            header_edits: self.header_edits.clone(),
        }
    }
}

/// Reads the body, and has the caller prove who they are where that takes the body.
pub async fn read(
    arrival: &Arrival,
    claim: Claim,
    body: Incoming,
) -> Result<(Arc<Principal>, Bytes), Refusal> {
    let bounds = &arrival.snapshot.bounds;
    let bounds = BodyBounds {
        limit: bounds.request_limit,
        timeout: bounds.request_timeout,
    };
    let sent = match incoming::read(&arrival.headers, body, bounds).await {
        Ok(sent) => sent,
        // Whose signature would have to be proved by the body is nobody yet.
        Err(failure) => return Err(claim.refuse(failure)),
    };
    let caller = claim.prove(arrival, &sent)?;
    match incoming::decode(&arrival.headers, sent, bounds.limit) {
        Ok(body) => Ok((caller, body)),
        Err(failure) => Err(Refusal::from(failure).of(&caller)),
    }
}

/// The context of an agent that a client names.
///
/// # Errors
/// When it is no name.
fn context(arrival: &Arrival) -> Result<Option<String>, Failure> {
    let Some(said) = arrival.headers.get(CONTEXT) else {
        return Ok(None);
    };
    let said = said.to_str().ok();
    let named = said.filter(|said| !said.is_empty() && said.len() <= MAX_CONTEXT);
    let named = named.ok_or_else(|| {
        let message = format!("a context is named by 1 to {MAX_CONTEXT} characters of ASCII");
        Failure::new(FailureKind::InvalidRequest, message).at(CONTEXT.as_str())
    })?;
    Ok(Some(named.to_owned()))
}

/// What a client wants of the cache.
///
/// # Errors
/// When it makes no sense.
pub fn controls(arrival: &Arrival) -> Result<Controls, Failure> {
    let texts = |name: HeaderName| {
        let values = arrival.headers.get_all(name).into_iter();
        values.map(|value| value.to_str().unwrap_or("what is no text"))
    };
    let mut controls = Controls::parse(texts(CACHE_CONTROL)).map_err(|error| {
        Failure::new(FailureKind::InvalidRequest, error.to_string()).at(CACHE_CONTROL.as_str())
    })?;
    controls.tags = pointsman_cache::tags(texts(CACHE_TAGS)).map_err(|error| {
        Failure::new(FailureKind::InvalidRequest, error.to_string()).at(CACHE_TAGS.as_str())
    })?;
    Ok(controls)
}

/// Decodes the body. What stands in the path (the model, whether to stream) is part of what the request says.
pub fn decode(
    arrival: &Arrival,
    (format, delivery): (Format, Delivery),
    body: Bytes,
) -> Result<Asked, Failure> {
    let mut request = format::decode_request(format, &body).map_err(malformed)?;
    if let Some(model) = &arrival.surface.model {
        request.model = model.as_str().into();
    }
    match delivery {
        Delivery::AsAsked => {}
        Delivery::Whole => request.stream.enabled = false,
        Delivery::Streamed => request.stream.enabled = true,
    }
    let controls = controls(arrival)?;
    let prompt_tokens = tokens::estimate_request(&request);
    Ok(Asked {
        format,
        framing: framing(arrival, format),
        body,
        request,
        prompt_tokens,
        edited: false,
        fetched: OnceCell::new(),
        controls,
        place: None,
        personal: false,
        suspicion: None,
        captures: None,
        check: None,
        omitted: None,
        marks: None,
        shown_tools: None,
        longest: None,
        transforming: None,
        decided_guards: Vec::new(),
        answer_id: None,
        guards: Arc::clone(arrival.snapshot.guards.always()),
        rerouted: None,
        placeholders: Placeholders::default(),
        bounded_here: false,
        beside: None,
        context: context(arrival)?,
        header_edits: Vec::new(),
    })
}

/// How a stream of `format` is put on the wire for this client.
fn framing(arrival: &Arrival, format: Format) -> Framing {
    match format {
        Format::BedrockConverse | Format::BedrockInvoke => Framing::Frames,
        Format::GeminiGenerate => {
            let alt = arrival
                .uri
                .query()
                .and_then(|query| surface::query_value(query, "alt"));
            if alt.as_deref() == Some("sse") {
                Framing::Events
            } else {
                Framing::Array
            }
        }
        _ => Framing::Events,
    }
}

/// A body that could not be decoded, as a failure.
pub fn malformed(error: DecodeError) -> Failure {
    let mut failure = Failure::new(FailureKind::InvalidRequest, error.message);
    failure.param = error.param;
    failure
}

/// A form that could not be read, as a failure.
pub fn damaged(error: FormDataError) -> Failure {
    Failure::new(FailureKind::InvalidRequest, error.to_string())
}

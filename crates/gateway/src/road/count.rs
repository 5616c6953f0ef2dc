//! The road of a token count: asked of the provider where it can count, else counted here.

use std::borrow::Cow;
use std::sync::Arc;

use bytes::Bytes;
use http::StatusCode;
use pointsman_catalog::ServiceTier;
use pointsman_governance::Principal;
use pointsman_semantics::tokens::{self, Vocabulary};
use pointsman_upstream::InFlight;
use pointsman_wire::form::{ChatRequest, Failure, FailureKind, Usage};
use pointsman_wire::format::Format;
use pointsman_wire::json::write::object;
use pointsman_wire::splice::Edits;
use pointsman_wire::{anthropic, bedrock, gemini, responses, text};
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::send::{self, Attempt, Call, Failed, Round};
use super::settle::Ending;
use super::{Arrival, Refusal, Ticket, admit, arrive};
use crate::reply::{self, Reply};
use crate::snapshot::{Envelope, Target};
use crate::worker::Worker;

/// Tokens that a message costs beyond its text (role and separators), as OpenAI documents it.
const PER_MESSAGE: u64 = 3;

/// Admitted, sent or counted, settled.
pub async fn travel(
    worker: &Arc<Worker>,
    arrival: &Arrival,
    caller: Arc<Principal>,
    body: Bytes,
) -> Result<Reply, Refusal> {
    let request = decode(arrival, &body)?;
    let wanted = admit::Wanted {
        model: &request.model,
        customer: None,
        usage: Usage::default(),
        tier: ServiceTier::Standard,
        price: &|target| target.price.clone(),
    };
    let mut ticket = admit::reserve(worker, arrival, caller, &wanted)
        .await
        .map_err(|failure| Refusal::from(failure).asking(&request.model))?;
    let counting = Counting {
        worker,
        arrival,
        request: &request,
        body: &body,
    };
    match answer(&counting, &mut ticket).await {
        Ok(body) => {
            let usage = Usage::default();
            let ending = Ending::complete(usage, false);
            ticket.settle(&ending)?;
            Ok(reply::json_bytes(StatusCode::OK, body))
        }
        Err(failure) => Err(ticket.refuse(failure)),
    }
}

/// Reads what is to be counted, in the shape of the path's dialect.
fn decode(arrival: &Arrival, body: &Bytes) -> Result<ChatRequest, Failure> {
    let request = match arrival.surface.dialect {
        Format::GeminiGenerate => gemini::count::decode_request(body),
        Format::OpenAiResponses => responses::request::decode(body),
        Format::BedrockConverse => bedrock::count::decode_request(body),
        _ => anthropic::count::decode_request(body),
    };
    let mut request = request.map_err(arrive::malformed)?;
    if let Some(model) = &arrival.surface.model {
        request.model = model.as_str().into();
    }
    Ok(request)
}

/// Writes a count made here.
fn encode(dialect: Format, tokens: u64) -> Bytes {
    match dialect {
        Format::GeminiGenerate => gemini::count::encode_response(tokens),
        Format::BedrockConverse => bedrock::count::encode_response(tokens),
        Format::OpenAiResponses => object(|body| {
            body.string("object", "response.input_tokens");
            body.count("input_tokens", tokens);
        })
        .into(),
        _ => anthropic::count::encode_response(tokens),
    }
}

/// Where `target` counts requests of this dialect; none when it does not.
fn path(dialect: Format, target: &Target) -> Option<Cow<'_, str>> {
    if dialect == Format::AnthropicMessages {
        return target.provider.speaks.count_tokens.as_deref().map(Cow::Borrowed);
    }
    let speech = target.speech(dialect)?;
    let own = speech.format == dialect && speech.envelope == Envelope::None;
    speech
        .counting_path(&target.model)
        .filter(|_| own)
        .map(Cow::Owned)
}

async fn answer(counting: &Counting<'_>, ticket: &mut Ticket) -> Result<Bytes, Failure> {
    let Counting { arrival, request, .. } = *counting;
    let dialect = arrival.surface.dialect;
    if arrival.snapshot.is_routed(&request.model) {
        return Ok(encode(dialect, count(request)));
    }
    let model = arrival.snapshot.resolve(&request.model)?;
    if !model.targets.iter().any(|target| path(dialect, target).is_some()) {
        return Ok(encode(dialect, count(request)));
    }
    let mut causes = Vec::new();
    let round = Round {
        model: &model,
        attempt: counting,
        barred: &[],
    };
    round
        .run(ticket, &mut causes)
        .await
        .map_err(|failed| send::exhausted(Some(failed), &causes))
}

struct Counting<'a> {
    worker: &'a Arc<Worker>,
    arrival: &'a Arrival,
    request: &'a ChatRequest,
    body: &'a Bytes,
}

impl Attempt for Counting<'_> {
    type Answer = Bytes;

    async fn run(
        &self,
        target: &Target,
        mut in_flight: InFlight,
        ticket: &mut Ticket,
    ) -> Result<Bytes, Failed> {
        let dialect = self.arrival.surface.dialect;
        let Some(path) = path(dialect, target) else {
            return Ok(encode(dialect, count(self.request)));
        };
        let unusable = |error: String| Failed::refused(Failure::new(FailureKind::InvalidRequest, error));
        let body = self.body_for(target).map_err(unusable)?;
        let uri = in_flight
            .endpoint()
            .uri(&path)
            .map_err(|error| unusable(error.to_string()))?;
        let request = send::http(self.arrival, target, Some(dialect), uri, body);
        // Counting is free of charge.
        let response = send::exchange(
            self.worker,
            target,
            &mut in_flight,
            ticket,
            Call {
                request,
                model: target.model.clone(),
                prompt: 0,
                answer: 0,
                timeouts: target.patience().exchange,
            },
        )
        .await?;
        if !response.status().is_success() {
            return Err(send::refused_by_provider(response, dialect, &mut in_flight).await);
        }
        let counted = send::collect(response, self.arrival.snapshot.bounds.response_limit).await?;
        send::tell(&mut in_flight, None, ticket);
        Ok(counted)
    }
}

impl Counting<'_> {
    /// The client's body with the provider's name of the model, where it names one.
    fn body_for(&self, target: &Target) -> Result<Bytes, String> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Outer {
            generate_content_request: Option<IgnoredAny>,
        }
        let mut edits = Edits::new();
        if self.arrival.surface.dialect == Format::AnthropicMessages {
            edits.set_string("model", &target.model);
        } else if serde_json::from_slice(self.body)
            .is_ok_and(|outer: Outer| outer.generate_content_request.is_some())
        {
            let model = target.model.strip_prefix("models/").unwrap_or(&target.model);
            let named = serde_json::Value::from(["models/", model].concat());
            edits.set_nested("generateContentRequest", "model", &named.to_string());
        }
        if edits.is_empty() {
            return Ok(self.body.clone());
        }
        edits.apply(self.body).map_err(|error| error.to_string())
    }
}

/// Counts with the vocabulary that models of other families come closest to.
fn count(request: &ChatRequest) -> u64 {
    let mut total = PER_MESSAGE * (request.messages.len() as u64 + 1);
    text::request_texts(request, |_, text| {
        total += tokens::count(text, Vocabulary::O200k) as u64;
    });
    for tool in &request.tools {
        if let pointsman_wire::form::ToolKind::Function {
            name,
            description,
            parameters,
            ..
        } = &tool.kind
        {
            let schema = parameters.as_ref().map_or("", |schema| schema.as_str());
            for part in [name.as_ref(), description.as_deref().unwrap_or(""), schema] {
                total += tokens::count(part, Vocabulary::O200k) as u64;
            }
        }
    }
    total
}

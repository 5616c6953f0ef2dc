//! One attempt: one request to one endpoint, up to an answer or to the first content of a stream.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, Response, StatusCode, header};
use http_body_util::BodyExt;
use pointsman_a2a::agent::Agent;
use pointsman_upstream::{Failure as Fault, InFlight, Outcome, Timeouts, UpstreamBody, parse_retry_after};
use pointsman_wire::coding;
use pointsman_wire::eventstream;
use pointsman_wire::failure::{self, FailureClass};
use pointsman_wire::form::{Failure, FailureKind};
use pointsman_wire::format::{self, Format};

use super::super::arrive::Asked;
use super::super::decide::Step;
use super::super::relay::{Pipe, Relay};
use super::super::{Arrival, Ticket, a2a, admit};
use super::authorized::{self, Unsent};
use super::round::Attempt;
use super::{Answer, Failed, betas, gate, media, request};
use crate::snapshot::{Speech, Target, are_kin};
use crate::worker::Worker;

/// Most bytes read of an error body.
const ERROR_BODY_LIMIT: usize = 64 * 1024;

/// A request on its way to one model.
pub struct Exchange<'a> {
    /// The worker.
    pub worker: &'a Arc<Worker>,
    /// How the request came in.
    pub arrival: &'a Arrival,
    /// What it asks.
    pub asked: &'a Asked,
    /// The model, and what the decision changes for it.
    pub step: &'a Step,
    /// Whether anybody looks at what a whole answer says.
    pub is_read: bool,
    /// The target that is asked first, where the conversation is one of its own.
    pub first: Option<usize>,
}

impl Attempt for Exchange<'_> {
    type Answer = Answer;

    const ASKS_AGENTS: bool = true;

    fn first(&self) -> Option<usize> {
        self.first
    }

    async fn run(&self, target: &Target, in_flight: InFlight, ticket: &mut Ticket) -> Result<Answer, Failed> {
        // Whoever was asked before may have its price.
        ticket.owe_fee();
        if let Some(agent) = &target.agent {
            return Box::pin(self.ask_agent(agent, in_flight, ticket)).await;
        }
        let speech = speaks(target, self.asked.format)?;
        match self.wanted(target, speech)? {
            None => self.ask((target, speech), in_flight, ticket).await,
            Some(wanted) => Box::pin(self.structured((target, speech), in_flight, ticket, &wanted)).await,
        }
    }
}

/// A stream whose head has come.
struct Opening<'a> {
    response: Response<UpstreamBody>,
    from: Format,
    /// The provider's name of the model.
    model: &'a str,
    usage_forced: bool,
    limit: Option<Duration>,
    in_flight: InFlight,
}

impl Exchange<'_> {
    /// Asks an agent, whose health is told as that of any server.
    async fn ask_agent(
        &self,
        agent: &Arc<Agent>,
        mut in_flight: InFlight,
        ticket: &mut Ticket,
    ) -> Result<Answer, Failed> {
        let asking = a2a::attempt((self.worker, self.arrival), self.asked, agent, ticket);
        let mut answer = asking.await;
        match &mut answer {
            Ok(Answer::Stream(relay)) => {
                tell(&mut in_flight, None, ticket);
                relay.hold(in_flight);
            }
            Ok(_) => tell(&mut in_flight, None, ticket),
            // An agent that refuses has answered.
            Err(failed) => tell(&mut in_flight, failed.fault.as_ref(), ticket),
        }
        answer
    }

    /// Asks once.
    pub async fn ask(
        &self,
        (target, speech): (&Target, &Speech),
        mut in_flight: InFlight,
        ticket: &mut Ticket,
    ) -> Result<Answer, Failed> {
        let fetched = media::brought(self.worker, self.arrival, self.asked, speech.format)
            .await
            .map_err(Failed::refused)?;
        let said = request::Said {
            asked: self.asked,
            fetched,
        };
        let outgoing =
            request::body((self.arrival, &said), self.step, target, speech).map_err(Failed::refused)?;
        ticket.lost(&outgoing.losses);
        let call = self.call(target, speech, outgoing.body, &in_flight)?;
        let response = exchange(self.worker, target, &mut in_flight, ticket, call).await?;
        if !response.status().is_success() {
            return Err(refused_by_provider(response, speech.format, &mut in_flight).await);
        }
        if self.asked.request.stream.enabled {
            self.open_stream(
                Opening {
                    response,
                    from: speech.format,
                    model: self.step.name(target),
                    usage_forced: outgoing.usage_forced,
                    limit: target.patience().first_token,
                    in_flight,
                },
                ticket,
            )
            .await
        } else {
            let whole = self
                .read_whole(response, (speech.format, self.step.name(target)), ticket)
                .await;
            tell(
                &mut in_flight,
                whole.as_ref().err().and_then(|failed| failed.fault.as_ref()),
                ticket,
            );
            whole
        }
    }

    /// The request, addressed.
    fn call(
        &self,
        target: &Target,
        speech: &Speech,
        body: Bytes,
        in_flight: &InFlight,
    ) -> Result<Call, Failed> {
        let model = self.step.name(target);
        let path = speech.path(model, self.asked.request.stream.enabled);
        let uri = in_flight.endpoint().uri(&path).map_err(|error| {
            let message = format!("the name of the model {model:?} cannot stand in a path: {error}");
            Failed::refused(Failure::new(FailureKind::InvalidRequest, message).at("model"))
        })?;
        let mut request = request::http(self.arrival, target, Some(speech.format), uri, body);
        if let Some(betas) = request::betas_in_body(self.asked, speech.format) {
            request.headers_mut().append(betas::HEADER, betas);
        }
        request::edit_headers(request.headers_mut(), &self.asked.header_edits);
        target.shape.headers(request.headers_mut());
        Ok(Call {
            request,
            model: model.to_owned(),
            prompt: self.asked.prompt_tokens,
            answer: admit::completion_bound(&self.arrival.snapshot, &self.asked.request),
            timeouts: target.patience().exchange,
        })
    }

    async fn read_whole(
        &self,
        response: Response<UpstreamBody>,
        (from, model): (Format, &str),
        ticket: &mut Ticket,
    ) -> Result<Answer, Failed> {
        let begun = Instant::now();
        let limit = self.arrival.snapshot.bounds.response_limit;
        let limit = self.asked.longest.map_or(limit, |longest| limit.min(longest));
        let bytes = collect(response, limit).await;
        ticket.waited(begun.elapsed());
        let bytes = bytes?;
        if !self.is_read
            && from == self.asked.format
            && let Some(skim) = format::skim_response(from, &bytes)
            && ticket.used(&skim.usage) == skim.usage
        {
            ticket.facts.first_content = Some(Instant::now());
            return Ok(Answer::Passing {
                bytes,
                skim: Box::new(skim),
            });
        }
        let mut response = format::decode_response(from, &bytes).map_err(|error| {
            // A provider may answer 200 and tell an error in the body.
            let told = failure::decode(from, StatusCode::BAD_GATEWAY, None, &bytes);
            let message = format!("the provider's answer makes no sense: {}", error.message);
            let failure = if told.code.is_some() {
                told
            } else {
                Failure::new(FailureKind::Provider, message)
            };
            Failed::broken(failure, Fault::Protocol)
        })?;
        ticket.facts.first_content = Some(Instant::now());
        // Some formats name neither their answers nor the model.
        if response.id.is_empty() {
            response.id = self.arrival.id.as_str().into();
        }
        if response.model.is_empty() {
            response.model = model.into();
        }
        let native = are_kin(from, self.asked.format).then_some(bytes);
        Ok(Answer::Whole {
            response: Box::new(response),
            native,
        })
    }

    async fn open_stream(&self, opening: Opening<'_>, ticket: &mut Ticket) -> Result<Answer, Failed> {
        let Opening {
            response,
            from,
            model,
            usage_forced,
            limit,
            mut in_flight,
        } = opening;
        if !is_stream(response.headers(), from) {
            let failed = not_a_stream(response, from).await;
            tell(&mut in_flight, failed.fault.as_ref(), ticket);
            return Err(failed);
        }
        let coding = response
            .headers()
            .get(header::CONTENT_ENCODING)
            .and_then(|value| value.to_str().ok());
        let decoder = coding
            .map(|coding| coding::Decoder::new(coding, usize::MAX))
            .transpose();
        let decoder = decoder.map_err(|error| {
            Failed::broken(
                Failure::new(FailureKind::Provider, error.to_string()),
                Fault::Protocol,
            )
        })?;
        let pipe = Pipe::new(self.arrival, self.asked, (from, model), usage_forced);
        let mut relay = Relay::new((self.arrival, self.asked), response.into_body(), decoder, pipe);
        let begun = Instant::now();
        let first = relay.until_content(limit).await;
        ticket.waited(begun.elapsed());
        match first {
            Ok(()) => {
                ticket.facts.first_content = Some(Instant::now());
                tell(&mut in_flight, None, ticket);
                relay.hold(in_flight);
                Ok(Answer::Stream(Box::new(relay)))
            }
            Err((failure, fault)) => {
                tell(&mut in_flight, Some(&fault), ticket);
                Err(Failed::broken(failure, fault))
            }
        }
    }
}

/// A request ready to be sent.
pub struct Call {
    /// The request.
    pub request: http::Request<Bytes>,
    /// The model it asks for, as the provider names it.
    pub model: String,
    /// About how many prompt tokens it has.
    pub prompt: u64,
    /// How many tokens its answer may have.
    pub answer: u64,
    /// How long is waited.
    pub timeouts: Timeouts,
}

/// Sends, and waits for the response head.
pub async fn exchange(
    worker: &Arc<Worker>,
    target: &Target,
    in_flight: &mut InFlight,
    ticket: &mut Ticket,
    call: Call,
) -> Result<Response<UpstreamBody>, Failed> {
    let size = (call.prompt, call.timeouts);
    let (tokens, tier) = ((call.prompt, call.answer), ticket.facts.tier);
    let sent = || admit::sent_to(target, tokens, tier);
    gate::enter(ticket, target, &call.model, sent).await?;
    ticket.asking(target, call.model, call.prompt);
    let endpoint = Arc::clone(in_flight.endpoint());
    let begun = Instant::now();
    let sent = authorized::send(worker, &target.provider, &endpoint, call.request, size).await;
    ticket.waited(begun.elapsed());
    sent.map_err(|error| unsent(error, in_flight, ticket))
}

/// Why no response head came, as what it means.
pub fn unsent(error: Unsent, in_flight: &mut InFlight, ticket: &Ticket) -> Failed {
    match error {
        Unsent::Credential(failed) => failed,
        Unsent::Network(error) => {
            let fault = error.failure();
            tell(in_flight, Some(&fault), ticket);
            Failed::broken(Failure::new(kind_of(&fault), error.to_string()), fault)
        }
    }
}

/// Tells the endpoint's health how it went; what does not speak against it is not told.
pub fn tell(in_flight: &mut InFlight, fault: Option<&Fault>, ticket: &Ticket) {
    match fault {
        None => in_flight.record(
            Outcome::Success {
                first_byte: ticket.facts.waited,
            },
            Instant::now(),
        ),
        Some(fault) if fault.is_endpoint_fault() => {
            in_flight.record(Outcome::Failure(*fault), Instant::now());
        }
        Some(_) => {}
    }
}

/// Reads a whole body, freed of its coding.
pub async fn collect(response: Response<UpstreamBody>, limit: usize) -> Result<Bytes, Failed> {
    let coding = response.headers().get(header::CONTENT_ENCODING).cloned();
    let mut body = response.into_body();
    let mut first: Option<Bytes> = None;
    let mut all = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| {
            let fault = Fault::from(&error);
            Failed::broken(Failure::new(kind_of(&fault), error.to_string()), fault)
        })?;
        let Ok(data) = frame.into_data() else { continue };
        if first.as_ref().map_or(0, Bytes::len) + all.len() + data.len() > limit {
            let message =
                format!("the provider's answer is larger than {limit} bytes; raise server.response_limit");
            return Err(Failed::broken(
                Failure::new(FailureKind::Provider, message),
                Fault::Protocol,
            ));
        }
        if first.is_none() && all.is_empty() {
            first = Some(data);
            continue;
        }
        if let Some(head) = first.take() {
            all.extend_from_slice(&head);
        }
        all.extend_from_slice(&data);
    }
    let bytes = first.unwrap_or_else(|| all.freeze());
    let Some(coding) = coding else { return Ok(bytes) };
    coding::decode_all(&bytes, coding.to_str().unwrap_or("?"), limit).map_err(|error| {
        Failed::broken(
            Failure::new(FailureKind::Provider, error.to_string()),
            Fault::Protocol,
        )
    })
}

/// A status that is not success, as what it means.
pub async fn refused_by_provider(
    response: Response<UpstreamBody>,
    from: Format,
    in_flight: &mut InFlight,
) -> Failed {
    // AWS tells the type of an error in a header.
    let (status, headers) = (response.status(), response.headers().clone());
    let body = collect(response, ERROR_BODY_LIMIT).await.unwrap_or_default();
    refusal((status, &headers, &body), from, in_flight)
}

/// The same, of a response whose body was read.
pub fn refusal(
    (status, headers, body): (StatusCode, &HeaderMap, &[u8]),
    from: Format,
    in_flight: &mut InFlight,
) -> Failed {
    let retry_after = parse_retry_after(headers, SystemTime::now());
    let mut failure = failure::decode_typed(from, status, headers, retry_after, body);
    let class = failure::classify(&failure);
    let fault = match class {
        Some(FailureClass::ContextWindow) => None,
        Some(FailureClass::ContentPolicy) => Some(Fault::ContentFilter),
        None => Some(Fault::Status(status)),
    };
    match fault {
        Some(Fault::Status(StatusCode::TOO_MANY_REQUESTS)) => {
            in_flight.record(Outcome::RateLimited { retry_after }, Instant::now());
        }
        Some(fault) if fault.is_endpoint_fault() => in_flight.record(Outcome::Failure(fault), Instant::now()),
        // The endpoint answered as it should.
        _ => in_flight.record(
            Outcome::Success {
                first_byte: Duration::ZERO,
            },
            Instant::now(),
        ),
    }
    // The operator's credential is at fault, not the client's: to the client that is a provider that failed.
    if failure.kind == FailureKind::Authentication {
        failure.kind = FailureKind::Provider;
        failure.message = format!("the provider did not accept the gateway's credential ({status})");
        failure.code = Some("provider_authentication".to_owned());
    }
    // The request itself is at fault: nobody else need be asked.
    let hopeless = matches!(status.as_u16(), 400 | 413 | 422) && class.is_none();
    Failed {
        failure,
        fault: fault.filter(|_| !hopeless),
        retry_after,
    }
}

/// How to speak to `target` for a client of `format`.
fn speaks(target: &Target, format: Format) -> Result<&Speech, Failed> {
    target.speech(format).ok_or_else(|| {
        let message = format!(
            "the provider {:?} cannot hold a conversation with {:?}",
            target.provider.name, target.model
        );
        Failed::refused(Failure::new(FailureKind::InvalidRequest, message))
    })
}

/// Whether the head announces a stream of `format`.
fn is_stream(headers: &HeaderMap, format: Format) -> bool {
    let expected = match format.framing() {
        format::Framing::EventStream => eventstream::CONTENT_TYPE,
        format::Framing::Sse => "text/event-stream",
    };
    let value = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .map(str::trim_start);
    value
        .and_then(|value| value.get(..expected.len()))
        .is_some_and(|start| start.eq_ignore_ascii_case(expected))
}

async fn not_a_stream(response: Response<UpstreamBody>, from: Format) -> Failed {
    let body = match collect(response, ERROR_BODY_LIMIT).await {
        Ok(body) => body,
        Err(failed) => return failed,
    };
    let told = failure::decode(from, StatusCode::BAD_GATEWAY, None, &body);
    let message = format!("a stream was asked for and something else came: {}", told.message);
    Failed::broken(Failure::new(FailureKind::Provider, message), Fault::Protocol)
}

/// The kind of failure a fault is for the client.
pub fn kind_of(fault: &Fault) -> FailureKind {
    match fault {
        Fault::Timeout(_) | Fault::SlowFirstToken => FailureKind::ProviderTimeout,
        _ => FailureKind::Provider,
    }
}

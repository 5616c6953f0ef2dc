//! Asking an instance: over JSON-RPC or HTTP+JSON, whole or event by event.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::BodyExt;
use pointsman_upstream::{Client, UpstreamBody};
use pointsman_wire::sse::{SseDecoder, SseEvent};

use crate::agent::{Binding, Instance, Way};
use crate::call::Call;
use crate::error::{A2aError, Kind};
use crate::grpc::Frames;
use crate::json::{self, Object, Raw};
use crate::operation::Operation;
use crate::proto::{self, schema};
use crate::version::Version;
use crate::{grpc, old, rest, rpc};

/// The version that is spoken.
pub const VERSION_HEADER: HeaderName = HeaderName::from_static("a2a-version");
/// Extensions that a client uses, and those that an agent does.
pub const EXTENSIONS_HEADER: HeaderName = HeaderName::from_static("a2a-extensions");
/// The same in 0.3.
pub const OLD_EXTENSIONS_HEADER: HeaderName = HeaderName::from_static("x-a2a-extensions");

/// Through how many agents a call has come.
pub const HOPS_HEADER: HeaderName = HeaderName::from_static("x-pointsman-hops");
/// Most agents that a call comes through: those that call each other in a circle are stopped here.
const MAX_HOPS: u8 = 8;

/// What is told in headers beside a call.
#[derive(Debug, Clone, Copy, Default)]
pub struct Beside<'a> {
    /// Extensions that the client uses.
    pub extensions: Option<&'a HeaderValue>,
    /// Through how many agents the call has come.
    pub hops: u8,
}

/// Whether a call that has come through so many agents may go to one more.
///
/// # Errors
/// When it may not.
pub fn may_go_on(hops: u8) -> Result<(), Failed> {
    if hops < MAX_HOPS {
        Ok(())
    } else {
        Err(Failed::Circle)
    }
}

/// Why an agent gave no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Failed {
    /// Nothing was sent to it.
    #[error("the agent cannot be reached: {0}")]
    Unreachable(String),
    /// It did not answer as it should.
    #[error("{0}")]
    Broken(String),
    /// It took too long.
    #[error("the agent did not answer in time")]
    Late,
    /// It has no card that can be used.
    #[error("the agent cannot be spoken to: {0}")]
    Card(String),
    /// It was not asked: the call has come through too many.
    #[error("the call has come through {MAX_HOPS} agents: they call each other in a circle")]
    Circle,
}

impl Failed {
    /// Whether it is certain that the agent has not seen the request.
    #[must_use]
    pub fn is_before_send(&self) -> bool {
        matches!(self, Self::Unreachable(_) | Self::Card(_))
    }
}

impl From<Failed> for A2aError {
    fn from(failed: Failed) -> Self {
        let kind = match failed {
            Failed::Broken(_) => Kind::InvalidAgentResponse,
            Failed::Unreachable(_) | Failed::Late | Failed::Card(_) | Failed::Circle => Kind::Internal,
        };
        Self::new(kind, failed.to_string())
    }
}

/// What an agent answers.
pub struct Answer {
    /// Extensions that it uses.
    pub extensions: Option<HeaderValue>,
    /// What it says.
    pub said: Said,
}

/// What an agent says.
pub enum Said {
    /// All of it.
    Whole(Result<Raw, A2aError>),
    /// Event by event.
    Stream(Box<Events>),
}

/// Asks an instance.
///
/// # Errors
/// When there is no answer.
pub async fn ask(
    instance: &Arc<Instance>,
    client: &Client,
    way: &Way,
    (call, beside): (Call, Beside<'_>),
) -> Result<Answer, Failed> {
    let mut call = call.translated(way.version);
    call.params.remove("tenant");
    let (operation, about_task) = (call.operation, call.task().is_some());
    let (path, mut request) = match written(way, call) {
        Ok(written) => written,
        Err(error) => {
            return Ok(Answer {
                extensions: None,
                said: Said::Whole(Err(error)),
            });
        }
    };
    say(way, operation, beside, request.headers_mut());
    let timeouts = instance.timeouts(operation.is_streamed());
    let response = instance
        .send(client, (&way.endpoint, &path), request, &timeouts)
        .await?;
    let status = response.status();
    if matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) {
        return Err(Failed::Broken(format!(
            "the agent refused the gateway's credential ({})",
            status.as_u16()
        )));
    }
    let said = response.headers().get(EXTENSIONS_HEADER);
    let extensions = said
        .or_else(|| response.headers().get(OLD_EXTENSIONS_HEADER))
        .cloned();
    let is_call = way.binding == Binding::Grpc;
    if status.is_success() && (is_call && operation.is_streamed() || is_stream(&response)) {
        let decoder = Decoder::of(way, operation, instance.limit);
        return Ok(Answer {
            extensions,
            said: Said::Stream(Box::new(Events::new(response, decoder))),
        });
    }
    let whole = match way.binding {
        Binding::Grpc => {
            let mut decoder = Decoder::of(way, operation, instance.limit);
            decoder.is_about_task = about_task;
            called(response, decoder).await?
        }
        Binding::Rpc => rpc_answer(&collect(response, instance.limit).await?, status)?,
        Binding::Rest => {
            let text = collect(response, instance.limit).await?;
            let answer = rest_answer(&text, status, (operation, about_task));
            match is_old(way) {
                true => answer.map(|told| old::result_up(operation, &told)),
                false => answer,
            }
        }
    };
    Ok(Answer {
        extensions,
        said: Said::Whole(whole),
    })
}

/// Says in headers what is spoken, and what is wanted back.
fn say(way: &Way, operation: Operation, beside: Beside<'_>, headers: &mut HeaderMap) {
    headers.insert(HOPS_HEADER, HeaderValue::from(u16::from(beside.hops) + 1));
    headers.insert(VERSION_HEADER, HeaderValue::from_static(way.version.name()));
    if way.binding != Binding::Grpc {
        let accept = if operation.is_streamed() {
            "text/event-stream, application/json"
        } else {
            "application/json, application/a2a+json"
        };
        headers.insert(header::ACCEPT, HeaderValue::from_static(accept));
    }
    if let Some(extensions) = beside.extensions {
        let name = match way.version {
            Version::V10 => EXTENSIONS_HEADER,
            Version::V03 => OLD_EXTENSIONS_HEADER,
        };
        headers.insert(name, extensions.clone());
    }
}

/// Whether a way is one of 0.3 that speaks in messages of its own.
fn is_old(way: &Way) -> bool {
    way.version == Version::V03 && way.binding != Binding::Rpc
}

fn written(way: &Way, mut call: Call) -> Result<(String, Request<Bytes>), A2aError> {
    if is_old(way) {
        return written_old(way, call);
    }
    let name = call.operation.name(way.version);
    if let (Some(tenant), Binding::Rpc | Binding::Grpc) = (&way.tenant, way.binding) {
        call.params.set("tenant", tenant);
    }
    if way.binding == Binding::Grpc {
        let path = [grpc::SERVICE, call.operation.label()].concat();
        return called_with(path, schema::of(call.operation).0, &call.params);
    }
    if way.binding == Binding::Rpc {
        let method = name.ok_or_else(|| {
            let why = format!(
                "the agent speaks A2A {}, which has no such operation",
                way.version.name()
            );
            A2aError::new(Kind::Unsupported, why)
        })?;
        let text = rpc::request(&json::raw(&1), method, &call.params);
        let mut request = Request::new(text.into());
        *request.method_mut() = Method::POST;
        request
            .headers_mut()
            .insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        return Ok((way.path.clone(), request));
    }
    let written = rest::write(call.operation, &call.params)?;
    let tenant = way.tenant.as_ref().map(|tenant| {
        let tenant = percent_encoding::utf8_percent_encode(tenant, percent_encoding::NON_ALPHANUMERIC);
        format!("/{tenant}")
    });
    let path = [&way.path, tenant.as_deref().unwrap_or_default(), &written.path].concat();
    Ok((path, by_rest(written)))
}

/// The same in the messages of 0.3.
fn written_old(way: &Way, mut call: Call) -> Result<(String, Request<Bytes>), A2aError> {
    let operation = call.operation;
    if way.binding == Binding::Rest {
        let written = old::rest::write(operation, &call.params)?;
        return Ok((
            [&way.path, &written.path].map(String::as_str).concat(),
            by_rest(written),
        ));
    }
    let path = old::path(operation).ok_or_else(|| {
        let why = "the agent speaks A2A 0.3, which has no such operation";
        A2aError::new(Kind::Unsupported, why)
    })?;
    old::params_down(operation, &mut call.params);
    called_with(path, old::schema::of(operation).0, &call.params)
}

fn by_rest(written: rest::Written) -> Request<Bytes> {
    let has_body = written.body.is_some();
    let body = written.body.map(|body| Bytes::from(body.get().to_owned()));
    let mut request = Request::new(body.unwrap_or_default());
    *request.method_mut() = written.method;
    if has_body {
        request
            .headers_mut()
            .insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    }
    request
}

/// A call of gRPC.
fn called_with(
    path: String,
    question: &schema::Message,
    params: &Object,
) -> Result<(String, Request<Bytes>), A2aError> {
    let value = serde_json::from_str(params.raw().get());
    let value = value.map_err(|error| A2aError::params(error.to_string()))?;
    let message = proto::encode(question, &value).map_err(|error| A2aError::params(error.to_string()))?;
    let mut request = Request::new(grpc::frame(&message));
    *request.method_mut() = Method::POST;
    let headers = request.headers_mut();
    headers.insert(header::CONTENT_TYPE, grpc::CONTENT_TYPE);
    headers.insert(header::TE, HeaderValue::from_static("trailers"));
    Ok((path, request))
}

/// The answer to a call of gRPC that has one.
async fn called(response: Response<UpstreamBody>, decoder: Decoder) -> Result<Result<Raw, A2aError>, Failed> {
    let status = response.status().as_u16();
    if status != 200 {
        return Err(Failed::Broken(format!("the agent answered {status}")));
    }
    let mut events = Events::new(response, decoder);
    let mut answer = None;
    while let Some(event) = events.next().await? {
        answer = Some(event);
    }
    answer.ok_or_else(|| Failed::Broken("the agent's call ended without an answer".to_owned()))
}

fn rpc_answer(text: &str, status: StatusCode) -> Result<Result<Raw, A2aError>, Failed> {
    match rpc::answer(text) {
        Err(error) if error.kind == Kind::InvalidAgentResponse && !status.is_success() => {
            Err(Failed::Broken(format!("the agent answered {}", status.as_u16())))
        }
        answer => Ok(answer),
    }
}

fn rest_answer(
    text: &str,
    status: StatusCode,
    (operation, about_task): (Operation, bool),
) -> Result<Raw, A2aError> {
    if !status.is_success() {
        return Err(A2aError::from_rest(status, text, about_task));
    }
    if operation == Operation::DeletePush {
        return Ok(Object::default().raw());
    }
    let none = |_| A2aError::new(Kind::InvalidAgentResponse, "the agent's answer is no JSON object");
    Object::read(text.as_bytes())
        .map(|object| object.raw())
        .map_err(none)
}

fn is_stream(response: &Response<UpstreamBody>) -> bool {
    let kind = response.headers().get(header::CONTENT_TYPE);
    kind.and_then(|kind| kind.to_str().ok()).is_some_and(|kind| {
        kind.trim_start()
            .to_ascii_lowercase()
            .starts_with("text/event-stream")
    })
}

/// The whole of a body.
///
/// # Errors
/// When it is too large, breaks off, or is no text.
pub async fn collect(response: Response<UpstreamBody>, limit: usize) -> Result<String, Failed> {
    let mut body = response.into_body();
    let mut bytes = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| Failed::Broken(error.to_string()))?;
        let Ok(data) = frame.into_data() else { continue };
        if bytes.len() + data.len() > limit {
            return Err(Failed::Broken(format!(
                "the agent's answer is larger than {limit} bytes"
            )));
        }
        bytes.extend_from_slice(&data);
    }
    String::from_utf8(bytes.into()).map_err(|_| Failed::Broken("the agent's answer is not UTF-8".to_owned()))
}

/// The events of an answer.
pub struct Events {
    body: UpstreamBody,
    decoder: Decoder,
    /// How a call of gRPC ended, once it has.
    ended: Option<HeaderMap>,
}

impl Events {
    fn new(response: Response<UpstreamBody>, decoder: Decoder) -> Self {
        // A call that ends at once says so in its headers.
        let ended = response
            .headers()
            .contains_key(grpc::STATUS)
            .then(|| response.headers().clone());
        Self {
            body: response.into_body(),
            decoder,
            ended,
        }
    }

    /// The next event, or the agent's error; nothing when the agent is done. Cancelled and asked again, nothing is lost.
    ///
    /// # Errors
    /// When the stream breaks off.
    pub async fn next(&mut self) -> Result<Option<Result<Raw, A2aError>>, Failed> {
        loop {
            if let Some(event) = self.decoder.next() {
                return Ok(Some(event));
            }
            let Some(frame) = self.body.frame().await else {
                return self.end();
            };
            let frame = frame.map_err(|error| Failed::Broken(error.to_string()))?;
            match frame.into_data() {
                Ok(data) => self.decoder.push(&data)?,
                Err(frame) => self.ended = frame.into_trailers().ok(),
            }
        }
    }

    fn end(&mut self) -> Result<Option<Result<Raw, A2aError>>, Failed> {
        if !matches!(self.decoder.cut, Cut::Frames(_)) {
            return Ok(None);
        }
        let Some(ended) = &mut self.ended else {
            return Err(Failed::Broken("the agent's call was cut short".to_owned()));
        };
        let outcome = grpc::outcome(ended, self.decoder.is_about_task);
        *ended = grpc::good();
        Ok(outcome.err().map(Err))
    }
}

/// How events are cut out of bytes.
enum Cut {
    /// As lines.
    Lines(SseDecoder),
    /// As frames of gRPC.
    Frames(Frames),
}

/// From bytes to events, however they are cut.
pub struct Decoder {
    cut: Cut,
    ready: VecDeque<Result<Raw, A2aError>>,
    is_rpc: bool,
    is_about_task: bool,
    message: &'static schema::Message,
    /// What was asked, where answers are messages of 0.3.
    old: Option<Operation>,
    limit: usize,
}

impl Decoder {
    /// For streams of a binding, with events of `limit` bytes at most.
    #[must_use]
    pub fn new(binding: Binding, limit: usize) -> Self {
        Self {
            cut: match binding {
                Binding::Grpc => Cut::Frames(Frames::new(limit)),
                Binding::Rpc | Binding::Rest => Cut::Lines(SseDecoder::default()),
            },
            ready: VecDeque::new(),
            is_rpc: binding == Binding::Rpc,
            is_about_task: false,
            message: schema::of(Operation::Stream).1,
            old: None,
            limit,
        }
    }

    /// For what is answered to an operation.
    fn of(way: &Way, operation: Operation, limit: usize) -> Self {
        let is_old = is_old(way);
        let message = if is_old {
            old::schema::of(operation).1
        } else {
            schema::of(operation).1
        };
        Self {
            message,
            old: is_old.then_some(operation),
            ..Self::new(way.binding, limit)
        }
    }

    /// Takes bytes in.
    ///
    /// # Errors
    /// When they are no events.
    pub fn push(&mut self, data: &Bytes) -> Result<(), Failed> {
        let mut events = Vec::new();
        match &mut self.cut {
            Cut::Frames(frames) => {
                frames.push(data);
                while let Some(message) = frames.take().map_err(|why| Failed::Broken(why.to_owned()))? {
                    let value = proto::decode(self.message, &message);
                    let value = value.map_err(|error| Failed::Broken(error.to_string()))?;
                    self.ready.push_back(Ok(json::raw(&value)));
                }
            }
            Cut::Lines(lines) => lines
                .push(data, &mut events)
                .map_err(|error| Failed::Broken(error.to_string()))?,
        }
        events.iter().try_for_each(|event| self.read(event))
    }

    fn read(&mut self, event: &SseEvent) -> Result<(), Failed> {
        if event.data.len() > self.limit {
            return Err(Failed::Broken(format!(
                "an event is larger than {} bytes",
                self.limit
            )));
        }
        if event.data.is_empty() {
            return Ok(());
        }
        let told = if self.is_rpc {
            rpc::answer(&event.data)
        } else {
            rest_event(&event.data, event.event.as_deref() == Some("error"))
        };
        self.ready.push_back(told);
        Ok(())
    }

    /// The next event that is whole.
    #[expect(clippy::should_implement_trait, reason = "more may come after there was none")]
    pub fn next(&mut self) -> Option<Result<Raw, A2aError>> {
        let told = self.ready.pop_front()?;
        let Some(operation) = self.old else {
            return Some(told);
        };
        Some(told.map(|told| match self.cut {
            Cut::Frames(_) => old::heard(operation, &told),
            Cut::Lines(_) => old::result_up(operation, &told),
        }))
    }
}

fn rest_event(text: &str, is_error: bool) -> Result<Raw, A2aError> {
    let none = |_| {
        A2aError::new(
            Kind::InvalidAgentResponse,
            "an event of the agent is no JSON object",
        )
    };
    let object = Object::read(text.as_bytes()).map_err(none)?;
    if is_error || object.get("error").is_some() {
        return Err(A2aError::from_rest(
            StatusCode::INTERNAL_SERVER_ERROR,
            text,
            false,
        ));
    }
    Ok(object.raw())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const STREAM: &str = ": hello\n\ndata: {\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{\"task\":{\"id\":\"t\u{e9}\"}}}\r\n\r\nevent: message\ndata: {\"jsonrpc\":\"2.0\",\"id\":1,\ndata: \"result\":{\"statusUpdate\":{}}}\n\nid: 7\ndata:{\"jsonrpc\":\"2.0\",\"id\":1,\"error\":{\"code\":-32001,\"message\":\"gone\"}}\n\n";

    fn told(decoder: &mut Decoder) -> Vec<String> {
        let mut told = Vec::new();
        while let Some(event) = decoder.next() {
            told.push(match event {
                Ok(raw) => raw.get().to_owned(),
                Err(error) => error.message,
            });
        }
        told
    }

    fn cut(text: &str, cuts: &[usize]) -> Vec<String> {
        let mut decoder = Decoder::new(Binding::Rpc, 10_000);
        let mut all = Vec::new();
        let mut rest = Bytes::from(text.to_owned());
        for cut in cuts {
            let piece = rest.split_to((*cut).min(rest.len()));
            decoder.push(&piece).unwrap();
            all.extend(told(&mut decoder));
        }
        decoder.push(&rest).unwrap();
        all.extend(told(&mut decoder));
        all
    }

    proptest! {
        #[test]
        fn events_are_the_same_however_they_are_cut(cuts in prop::collection::vec(0_usize..40, 0..12)) {
            let whole = cut(STREAM, &[]);
            prop_assert_eq!(whole.len(), 3);
            prop_assert_eq!(cut(STREAM, &cuts), whole);
        }
    }

    #[test]
    fn errors_of_a_stream_are_told_in_both_bindings() {
        let mut decoder = Decoder::new(Binding::Rest, 1_000);
        let error = A2aError::no_task().rest();
        let text = format!(
            "data: {{\"task\":{{}}}}\n\nevent: error\ndata: {error}\n\ndata: {error}\n\ndata: no\n\n"
        );
        decoder.push(&Bytes::from(text)).unwrap();
        assert!(decoder.next().unwrap().is_ok());
        for kind in [Kind::TaskNotFound, Kind::TaskNotFound, Kind::InvalidAgentResponse] {
            assert_eq!(decoder.next().unwrap().unwrap_err().kind, kind);
        }
    }

    #[test]
    fn an_event_that_is_too_large_ends_it() {
        let mut decoder = Decoder::new(Binding::Rest, 10);
        let pushed = decoder.push(&Bytes::from_static(b"data: {\"task\":\"aaaaaaaaaaaaa\"}\n\n"));
        assert!(matches!(pushed, Err(Failed::Broken(_))));
    }
}

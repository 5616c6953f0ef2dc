//! An exchange, the same in every format: what is asked is noted, refused or answered, and broken on purpose.

use std::sync::Arc;

use http::{HeaderName, HeaderValue, Response, StatusCode, header};
use serde_json::Value;

use crate::fault::Fault;
use crate::script::Question;
use crate::served::{Served, ServedDetails, ServedOutcome};
use crate::sim::{Asked, Coding};
use crate::stream::{Body, Ended, Event, Telling, coded, tell, whole};
use crate::tokens::Usage;

/// How a provider speaks besides its answers.
pub(crate) trait Tongue {
    /// The media type of streams.
    const STREAM: &'static str = "text/event-stream; charset=utf-8";
    /// Whether the line ends of a stream may be changed.
    const LINES: bool = true;
    /// The header that names a request.
    const REQUEST_ID: &'static str;

    /// A refusal as it is sent, without the headers all refusals share.
    fn refusal(refusal: &Refusal) -> Response<Body>;

    /// What a stream says when it breaks.
    fn error_event() -> Vec<u8>;

    /// A piece of a stream that nobody can read.
    fn malformed() -> Vec<u8> {
        b"data: {\"id\":\"broken\n\n".to_vec()
    }
}

/// Why a request is refused.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Refusal {
    pub(crate) status: u16,
    pub(crate) message: String,
    /// The field that is to blame.
    pub(crate) param: Option<String>,
    /// The format's name of the reason.
    pub(crate) code: Option<&'static str>,
}

impl Refusal {
    /// A refusal with a status and a message.
    pub(crate) fn new(status: u16, message: impl Into<String>) -> Self {
        Self {
            status,
            message: message.into(),
            ..Self::default()
        }
    }

    /// A malformed request.
    pub(crate) fn bad(message: impl Into<String>) -> Self {
        Self::new(400, message)
    }

    /// With the field that is to blame.
    pub(crate) fn at(mut self, param: impl Into<String>) -> Self {
        self.param = Some(param.into());
        self
    }

    /// With the name of the reason.
    pub(crate) fn coded(mut self, code: &'static str) -> Self {
        self.code = Some(code);
        self
    }
}

/// What is answered.
pub(crate) enum Reply {
    Whole(Value),
    /// Bytes that are no JSON, with their media type.
    Bytes(Vec<u8>, &'static str),
    Stream(Vec<Event>),
}

/// What is noted of an answer.
#[derive(Default)]
pub(crate) struct Bill {
    pub(crate) model: String,
    pub(crate) usage: Usage,
    /// The usage in the format's own words.
    pub(crate) told: Option<Value>,
}

impl Bill {
    /// The bill of a conversation.
    pub(crate) fn new(question: &Question, usage: Usage, told: &Value) -> Self {
        Self {
            model: question.model.clone(),
            usage,
            told: Some(told.clone()),
        }
    }
}

/// A JSON response.
pub(crate) fn json(status: u16, body: &Value) -> Response<Body> {
    respond(
        status,
        body.to_string().into_bytes(),
        "application/json",
        Coding::None,
    )
}

/// A response with a body of any type.
pub(crate) fn respond(status: u16, body: Vec<u8>, kind: &'static str, coding: Coding) -> Response<Body> {
    let mut response = Response::new(whole(coded(coding, body)));
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_REQUEST);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    if let Some(name) = coding.name() {
        headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static(name));
    }
    response
}

fn note(asked: &Asked, bill: Bill, outcome: ServedOutcome) -> usize {
    let headers = asked.headers.iter().map(|(name, value)| {
        (
            name.to_string(),
            String::from_utf8_lossy(value.as_bytes()).into_owned(),
        )
    });
    asked.state.note(Served {
        method: asked.method.to_string(),
        path: asked.path.clone(),
        query: asked.query.clone(),
        headers: headers.collect(),
        body: String::from_utf8_lossy(&asked.body).into_owned(),
        model: bill.model,
        input: bill.usage.input,
        cache_read: bill.usage.cache_read,
        cache_write: bill.usage.cache_write,
        output: 0,
        details: ServedDetails {
            image_input: bill.usage.image_input,
            audio_input: bill.usage.audio_input,
            reasoning: bill.usage.reasoning,
        },
        told: None,
        outcome,
    })
}

/// Notes an answer that reaches its asker by another road.
pub(crate) fn settle(asked: &Asked, bill: Bill) {
    let (output, told) = (bill.usage.output, bill.told.clone());
    let number = note(asked, bill, ServedOutcome::Open);
    asked.state.ended(number, ServedOutcome::Complete, (output, told));
}

/// Refuses.
pub(crate) fn refuse<T: Tongue>(asked: &Asked, refusal: &Refusal) -> Response<Body> {
    let number = note(asked, Bill::default(), ServedOutcome::Refused(refusal.status));
    let mut response = T::refusal(refusal);
    name_request::<T>(&mut response, number);
    response
}

/// What the faults make of a request that concern its head.
pub(crate) fn struck<T: Tongue>(asked: &Asked) -> Option<Response<Body>> {
    match asked.fault? {
        Fault::RateLimited(seconds) => {
            let mut response = refuse::<T>(asked, &Refusal::new(429, "Rate limit reached"));
            response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
            Some(response)
        }
        Fault::Status(529) => Some(refuse::<T>(asked, &Refusal::new(529, "Overloaded"))),
        Fault::Status(status) => Some(refuse::<T>(
            asked,
            &Refusal::new(status, "The server had an error"),
        )),
        _ => None,
    }
}

/// Answers.
pub(crate) fn send<T: Tongue>(asked: Asked, bill: Bill, reply: Reply) -> Response<Body> {
    let output = bill.usage.output;
    let told = bill.told.clone();
    let number = note(&asked, bill, ServedOutcome::Open);
    let mut response = match reply {
        Reply::Stream(events) => send_stream::<T>(asked, number, events),
        Reply::Whole(body) => send_whole::<T>(
            &asked,
            number,
            (body.to_string().into_bytes(), "application/json"),
            (output, told),
        ),
        Reply::Bytes(bytes, kind) => send_whole::<T>(&asked, number, (bytes, kind), (output, told)),
    };
    name_request::<T>(&mut response, number);
    response
}

fn name_request<T: Tongue>(response: &mut Response<Body>, number: usize) {
    if let Ok(value) = HeaderValue::from_str(&format!("req_{number:012}")) {
        response
            .headers_mut()
            .insert(HeaderName::from_static(T::REQUEST_ID), value);
    }
}

fn send_stream<T: Tongue>(asked: Asked, number: usize, events: Vec<Event>) -> Response<Body> {
    if let Some(Fault::TruncatedJson | Fault::HtmlPage | Fault::EmptyBody) = asked.fault {
        asked
            .state
            .ended(number, ServedOutcome::Faulted, Default::default());
        return replaced(&asked, b"{\"id\":\"half\"");
    }
    let state = Arc::clone(&asked.state);
    let options = asked.state.options.clone();
    let coding = options.coding;
    let mut response = Response::new(tell(Telling {
        events,
        fault: asked.fault,
        error_event: T::error_event(),
        malformed: T::malformed(),
        lines: T::LINES,
        options,
        reset: asked.reset,
        done: Box::new(move |ended: Ended| state.ended(number, ended.outcome, (ended.tokens, ended.told))),
    }));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(T::STREAM));
    if let Some(name) = coding.name() {
        headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static(name));
    }
    response
}

/// What some faults put in the place of a body.
fn replaced(asked: &Asked, body: &[u8]) -> Response<Body> {
    let coding = asked.state.options.coding;
    match asked.fault {
        Some(Fault::HtmlPage) => respond(
            200,
            b"<html><body>It works!</body></html>".to_vec(),
            "text/html",
            Coding::None,
        ),
        Some(Fault::EmptyBody) => respond(200, Vec::new(), "application/json", Coding::None),
        _ => respond(200, body[..body.len() / 2].to_vec(), "application/json", coding),
    }
}

fn send_whole<T: Tongue>(
    asked: &Asked,
    number: usize,
    (body, kind): (Vec<u8>, &'static str),
    (output, told): (u64, Option<Value>),
) -> Response<Body> {
    let faulted = || {
        asked
            .state
            .ended(number, ServedOutcome::Faulted, Default::default());
    };
    match asked.fault {
        Some(Fault::TruncatedJson | Fault::HtmlPage | Fault::EmptyBody) => {
            faulted();
            replaced(asked, &body)
        }
        Some(Fault::ErrorEvent) => {
            faulted();
            let mut response = T::refusal(&Refusal::new(500, "The server had an error"));
            *response.status_mut() = StatusCode::OK;
            response
        }
        Some(
            Fault::StallAfterHead
            | Fault::StallMidStream
            | Fault::CutClean
            | Fault::CutAbort
            | Fault::ResetMidStream
            | Fault::MalformedEvent
            | Fault::SlowFirstToken(_),
        ) => cut::<T>(asked, number, (body, kind), (output, told)),
        _ => {
            asked.state.ended(number, ServedOutcome::Complete, (output, told));
            respond(200, body, kind, asked.state.options.coding)
        }
    }
}

/// Faults of the body that whole answers share with streams: half of it, then the end.
fn cut<T: Tongue>(
    asked: &Asked,
    number: usize,
    (body, kind): (Vec<u8>, &'static str),
    (output, told): (u64, Option<Value>),
) -> Response<Body> {
    let slow = matches!(asked.fault, Some(Fault::SlowFirstToken(_)));
    let (half, rest) = body.split_at(body.len() / 2);
    let rest = if asked.fault == Some(Fault::MalformedEvent) {
        b"}}}}"
    } else {
        rest
    };
    let mut last = Event::new(rest, output);
    last.told = told;
    let state = Arc::clone(&asked.state);
    let mut options = asked.state.options.clone();
    options.coding = Coding::None;
    let mut response = Response::new(tell(Telling {
        events: vec![Event::new(half, 0), last],
        fault: asked.fault.filter(|fault| *fault != Fault::MalformedEvent),
        error_event: Vec::new(),
        malformed: Vec::new(),
        lines: false,
        options,
        reset: Arc::clone(&asked.reset),
        done: Box::new(move |ended: Ended| {
            let outcome = if slow {
                ended.outcome
            } else {
                ServedOutcome::Faulted
            };
            state.ended(number, outcome, (ended.tokens, ended.told));
        }),
    }));
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}

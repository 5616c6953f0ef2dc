//! Bedrock as a provider: conversations and the model's own body, whole and streamed, signed.

mod check;
pub(crate) mod frame;
mod invoke;
mod messages;
mod models;
mod reply;
mod shapes;
pub(crate) mod signature;

use http::{HeaderName, HeaderValue, Method, Response};
use serde_json::{Value, json};

use crate::exchange::{Bill, Refusal, Reply, Tongue, json as respond, refuse, send, struck};
use crate::media;
use crate::routes::{percent::decode, plain_model};
use crate::script::answer as scripted;
use crate::sim::Asked;
use crate::stream::Body;
use crate::tokens::{prompt_tokens, usage};

const METHODS: &[&str] = &[
    "converse",
    "converse-stream",
    "invoke",
    "invoke-with-response-stream",
    "count-tokens",
];

/// Bedrock.
struct Bedrock;

impl Tongue for Bedrock {
    const STREAM: &'static str = "application/vnd.amazon.eventstream";
    const LINES: bool = false;
    const REQUEST_ID: &'static str = "x-amzn-requestid";

    fn refusal(refusal: &Refusal) -> Response<Body> {
        let kind = refusal.code.unwrap_or(match refusal.status {
            400 => "ValidationException",
            401 | 403 => "AccessDeniedException",
            404 => "ResourceNotFoundException",
            408 => "ModelTimeoutException",
            424 => "ModelErrorException",
            429 => "ThrottlingException",
            503 | 529 => "ServiceUnavailableException",
            _ => "InternalServerException",
        });
        let mut response = respond(refusal.status, &json!({"message": refusal.message}));
        let value = format!("{kind}:http://internal.amazon.com/coral/com.amazon.bedrock/");
        if let Ok(value) = HeaderValue::from_str(&value) {
            response
                .headers_mut()
                .insert(HeaderName::from_static("x-amzn-errortype"), value);
        }
        response
    }

    fn error_event() -> Vec<u8> {
        frame::exception(
            "modelStreamErrorException",
            "The model has encountered an unexpected error during processing. Try your request again.",
        )
    }

    fn malformed() -> Vec<u8> {
        let mut frame = frame::event(
            "contentBlockDelta",
            &json!({"contentBlockIndex": 0, "delta": {"text": "x"}}),
        );
        if let Some(last) = frame.last_mut() {
            *last ^= 0xff;
        }
        frame
    }
}

/// The model and the method of a path.
pub(crate) fn route(path: &str) -> Option<(String, String)> {
    let (_, rest) = path.split_once("/model/")?;
    let (model, method) = rest.rsplit_once('/')?;
    METHODS
        .contains(&method)
        .then(|| (decode(model), method.to_owned()))
}

/// Answers a request.
pub(crate) fn answer(asked: Asked) -> Response<Body> {
    if let Err(refusal) = signature::authorize(&asked) {
        return refuse::<Bedrock>(&asked, &refusal);
    }
    if let Some(struck) = struck::<Bedrock>(&asked) {
        return struck;
    }
    let answered = match route(&asked.path) {
        Some((model, method)) if asked.method == Method::POST => generate(&asked, &model, &method),
        _ => Err(
            Refusal::new(404, "Unable to determine service/operation name to be authorized")
                .coded("UnknownOperationException"),
        ),
    };
    match answered {
        Ok((bill, reply)) => send::<Bedrock>(asked, bill, reply),
        Err(refusal) => refuse::<Bedrock>(&asked, &refusal),
    }
}

fn generate(asked: &Asked, model: &str, method: &str) -> Result<(Bill, Reply), Refusal> {
    let plain = plain_model(model);
    let good = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b':' | b'/');
    if plain.is_empty() || !plain.bytes().all(good) {
        return Err(Refusal::bad("The provided model identifier is invalid."));
    }
    let body: Value = serde_json::from_slice(&asked.body)
        .map_err(|_| Refusal::bad("Unable to parse the request body.").coded("SerializationException"))?;
    match method {
        "invoke" if models::is_one(model) => models::answer(&body, &plain),
        "invoke" => invoke::generate(&asked.state, &body, model, false),
        "invoke-with-response-stream" => invoke::generate(&asked.state, &body, model, true),
        "count-tokens" => count(&body, model),
        _ => {
            let question = check::read(&body, model, method == "converse-stream")?;
            let answer = scripted(&question);
            let usage = usage(&asked.state, &question, &answer);
            let told = reply::usage(&usage);
            let bill = Bill::new(&question, usage, &told);
            let reply = if question.stream {
                Reply::Stream(reply::events(&answer, &told))
            } else {
                Reply::Whole(reply::whole(&answer, &told))
            };
            Ok((bill, reply))
        }
    }
}

fn count(body: &Value, model: &str) -> Result<(Bill, Reply), Refusal> {
    crate::shape::check(body, &shapes::COUNT).map_err(|problem| check::said(&problem))?;
    let input = &body["input"];
    let question = match input["invokeModel"]["body"].as_str() {
        None => check::read(&input["converse"], model, false)?,
        Some(data) => {
            let bytes = media::decode(data).unwrap_or_default();
            let inner = serde_json::from_slice(&bytes)
                .map_err(|_| Refusal::bad("The body of invokeModel is not valid JSON."))?;
            invoke::read(&inner, model, false, true)?
        }
    };
    let reply = json!({"inputTokens": prompt_tokens(&question)});
    Ok((Bill::default(), Reply::Whole(reply)))
}

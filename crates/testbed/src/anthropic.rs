//! Anthropic as a provider: messages, token counting, models.

mod batches;
pub(crate) mod check;
mod messages;
pub(crate) mod reply;
mod schema;
mod shapes;
pub(crate) mod stream;

use http::{Method, Response};
use serde_json::{Value, json};

pub(crate) use self::batches::KeptBatch;
use crate::exchange::{Bill, Refusal, Reply, Tongue, json as respond, refuse, send, struck};
use crate::script::answer as scripted;
use crate::sim::{Asked, State};
use crate::stream::Body;
use crate::tokens::{prompt_tokens, usage};

/// Versions of the interface.
const VERSIONS: &[&str] = &[check::OLD, "2026-10-21"];

/// Anthropic.
pub(crate) struct Anthropic;

impl Tongue for Anthropic {
    const REQUEST_ID: &'static str = "request-id";

    fn refusal(refusal: &Refusal) -> Response<Body> {
        respond(refusal.status, &error(refusal))
    }

    fn error_event() -> Vec<u8> {
        let error = json!({"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}});
        format!("event: error\ndata: {error}\n\n").into_bytes()
    }

    fn malformed() -> Vec<u8> {
        b"event: content_block_delta\ndata: {\"type\":\"content_bl\n\n".to_vec()
    }
}

/// The error object.
pub(crate) fn error(refusal: &Refusal) -> Value {
    let kind = match refusal.status {
        400 => "invalid_request_error",
        401 => "authentication_error",
        403 => "permission_error",
        404 | 405 => "not_found_error",
        413 => "request_too_large",
        429 => "rate_limit_error",
        529 => "overloaded_error",
        _ => "api_error",
    };
    json!({"type": "error", "error": {"type": kind, "message": refusal.message}, "request_id": "req_sim"})
}

/// Answers a request.
pub(crate) fn answer(asked: Asked) -> Response<Body> {
    let version = match admit(&asked) {
        Ok(version) => version,
        Err(refusal) => return refuse::<Anthropic>(&asked, &refusal),
    };
    if let Some(struck) = struck::<Anthropic>(&asked) {
        return struck;
    }
    let path = asked.path.trim_end_matches('/');
    let answered = if let Some((_, rest)) = path.split_once("/messages/batches") {
        let parts: Vec<&str> = rest.split('/').filter(|part| !part.is_empty()).collect();
        batches::answer(&asked, &parts, version)
    } else if asked.method == Method::GET && path.ends_with("/models") {
        Ok((Bill::default(), Reply::Whole(models())))
    } else if asked.method != Method::POST {
        Err(Refusal::new(405, "Method Not Allowed"))
    } else if path.ends_with("/count_tokens") {
        read_body(&asked).and_then(|body| count(&body, version))
    } else if path.ends_with("/messages") {
        read_body(&asked).and_then(|body| generate(&asked.state, &body, version))
    } else {
        Err(Refusal::new(404, "Not found"))
    };
    match answered {
        Ok((bill, reply)) => send::<Anthropic>(asked, bill, reply),
        Err(refusal) => refuse::<Anthropic>(&asked, &refusal),
    }
}

fn admit(asked: &Asked) -> Result<&'static str, Refusal> {
    let said = |name: &str| asked.headers.get(name).and_then(|value| value.to_str().ok());
    let bearer = said("authorization").and_then(|value| value.strip_prefix("Bearer "));
    if !said("x-api-key")
        .or(bearer)
        .is_some_and(|key| key.starts_with("sk-"))
    {
        return Err(Refusal::new(401, "invalid x-api-key"));
    }
    let Some(version) = said("anthropic-version") else {
        return Err(Refusal::bad("anthropic-version: header is required"));
    };
    let known = VERSIONS.iter().find(|known| **known == version);
    known.copied().ok_or_else(|| {
        Refusal::bad(format!(
            "anthropic-version: \"{version}\" is not a valid version. Please refer to https://docs.claude.com/en/api/versioning for supported versions."
        ))
    })
}

fn read_body(asked: &Asked) -> Result<Value, Refusal> {
    serde_json::from_slice(&asked.body)
        .map_err(|error| Refusal::bad(format!("The request body is not valid JSON: {error}")))
}

fn count(body: &Value, version: &str) -> Result<(Bill, Reply), Refusal> {
    let question = check::read(body, version, true)?;
    let tokens = prompt_tokens(&question);
    Ok((Bill::default(), Reply::Whole(json!({"input_tokens": tokens}))))
}

/// What a body is answered with; a batch asks so too.
pub(crate) fn generate(state: &State, body: &Value, version: &str) -> Result<(Bill, Reply), Refusal> {
    let question = check::read(body, version, false)?;
    let answer = scripted(&question);
    let usage = usage(state, &question, &answer);
    let told = reply::usage(&usage, body);
    let bill = Bill::new(&question, usage, &told);
    let reply = if question.stream {
        Reply::Stream(stream::events(&answer, &question, body, &told))
    } else {
        Reply::Whole(reply::whole(&answer, &question, body, &told))
    };
    Ok((bill, reply))
}

fn models() -> Value {
    let model = |id: &str| json!({"type": "model", "id": id, "display_name": id, "created_at": "2026-01-01T00:00:00Z"});
    let all = ["claude-haiku-4-5", "claude-sim"];
    json!({"data": all.map(model), "has_more": false, "first_id": all[0], "last_id": all[1]})
}

//! Cohere as a provider: conversations, embeddings, rankings.

mod check;
pub(crate) mod rank;
mod reply;
mod shapes;

use http::{Response, header};
use serde_json::{Value, json};

use crate::exchange::{Bill, Refusal, Reply, Tongue, json as respond, refuse, send};
use crate::routes::wrong_method;
use crate::script::{answer as scripted, hash};
use crate::sim::Asked;
use crate::stream::Body;
use crate::tokens::usage;

/// Cohere.
struct Cohere;

impl Tongue for Cohere {
    const STREAM: &'static str = "text/event-stream";
    const REQUEST_ID: &'static str = "x-request-id";

    fn refusal(refusal: &Refusal) -> Response<Body> {
        let id = format!("{:016x}", hash(&refusal.message));
        respond(refusal.status, &json!({"id": id, "message": refusal.message}))
    }

    fn error_event() -> Vec<u8> {
        let end = json!({"type": "message-end", "delta": {"finish_reason": "ERROR", "error": "the model had an error"}});
        format!("event: message-end\ndata: {end}\n\n").into_bytes()
    }

    fn malformed() -> Vec<u8> {
        b"event: content-delta\ndata: {\"type\":\"content-de\n\n".to_vec()
    }
}

/// Answers a request.
pub(crate) fn answer(asked: Asked) -> Response<Body> {
    let key = asked.headers.get(header::AUTHORIZATION);
    let good = |start: &[u8]| key.is_some_and(|value| value.as_bytes().starts_with(start));
    if !good(b"Bearer sk-") && !good(b"Bearer co-") {
        let message = if key.is_some() {
            "invalid api token"
        } else {
            "no api key supplied"
        };
        return refuse::<Cohere>(&asked, &Refusal::new(401, message));
    }
    if let Some(response) = wrong_method::<Cohere>(&asked) {
        return response;
    }
    let body: Result<Value, Refusal> = serde_json::from_slice(&asked.body)
        .map_err(|error| Refusal::bad(format!("invalid request: body is not valid JSON: {error}")));
    let path = asked.path.trim_end_matches('/').to_owned();
    let answered = body.and_then(|body| match path.as_str() {
        path if path.ends_with("/embed") => rank::embed(&body),
        path if path.ends_with("/v1/rerank") => rank::rerank(&body, true),
        path if path.ends_with("/rerank") => rank::rerank(&body, false),
        _ => chat(&asked, &body),
    });
    match answered {
        Ok((bill, reply)) => send::<Cohere>(asked, bill, reply),
        Err(refusal) => refuse::<Cohere>(&asked, &refusal),
    }
}

fn chat(asked: &Asked, body: &Value) -> Result<(Bill, Reply), Refusal> {
    let question = check::read(body)?;
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

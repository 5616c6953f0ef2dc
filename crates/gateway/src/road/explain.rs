//! `/api/v1/eval`: how a prompt would be routed, with everything that was weighed.

use bytes::Bytes;
use http::StatusCode;
use pointsman_governance::Principal;
use pointsman_wire::form::{ChatRequest, Failure, FailureKind, Message, Role};
use pointsman_wire::format::{self, Format};
use pointsman_wire::tokens;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::{Arrival, arrive, decide};
use crate::reply::{self, Reply};

/// A prompt to explain: a plain text, or messages as in chat completions.
#[derive(Deserialize)]
struct Question<'a> {
    text: Option<String>,
    #[serde(borrow)]
    messages: Option<&'a RawValue>,
    model: Option<String>,
}

/// Explains.
///
/// # Errors
/// 400 without a prompt, 404 where nothing is configured to decide.
pub fn travel(arrival: &Arrival, caller: &Principal, body: &Bytes) -> Result<Reply, Failure> {
    let malformed = |message: String| Failure::new(FailureKind::InvalidRequest, message);
    let question: Question<'_> =
        serde_json::from_slice(body).map_err(|error| malformed(error.to_string()))?;
    let Some(router) = &arrival.snapshot.router else {
        return Err(Failure::new(
            FailureKind::NotFound,
            "no routing is configured: add a `routing` block",
        ));
    };
    let request = match (question.text, question.messages) {
        (Some(text), None) => prompt(question.model.as_deref(), &text)?,
        (None, Some(messages)) => conversation(question.model.as_deref(), messages.get())?,
        _ => return Err(malformed("give either `text` or `messages`".to_owned())),
    };
    let router = router.entered(&request.model).unwrap_or(router);
    let mut metadata = Vec::new();
    let known = decide::Known {
        caller,
        prompt_tokens: tokens::estimate_request(&request),
    };
    let prices = decide::Prices(&arrival.snapshot);
    let explanation = decide::with_facts(&request, &known, &mut metadata, |facts| {
        router.explain(&decide::weighed(facts, &prices, &request), rand::random())
    });
    Ok(reply::json(StatusCode::OK, &explanation))
}

fn prompt(model: Option<&str>, text: &str) -> Result<ChatRequest, Failure> {
    let mut request = conversation(model, "[]")?;
    request.messages.push(Message::text(Role::User, text.to_owned()));
    Ok(request)
}

fn conversation(model: Option<&str>, messages: &str) -> Result<ChatRequest, Failure> {
    let model = serde_json::Value::from(model.unwrap_or("auto"));
    let body = format!("{{\"model\":{model},\"messages\":{}}}", messages);
    format::decode_request(Format::OpenAiChat, &Bytes::from(body)).map_err(arrive::malformed)
}

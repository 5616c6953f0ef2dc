//! `/api/v1/eval`: what is understood of a prompt, and how it would be routed, with everything that was weighed.

use std::sync::Arc;

use bytes::Bytes;
use pointsman_governance::Principal;
use pointsman_routing::Explanation;
use pointsman_understanding::{Ask, SHIPPED};
use pointsman_wire::form::{ChatRequest, Failure, FailureKind, Message, Role, Usage};
use pointsman_wire::format::{self, Format};
use pointsman_wire::text;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::understand::{Here, Told};
use super::{Arrival, Refusal, arrive};
use crate::reply::Reply;
use crate::worker::Worker;

/// A prompt to explain: a plain text, or messages as in chat completions.
#[derive(Deserialize)]
struct Question<'a> {
    text: Option<String>,
    #[serde(borrow)]
    messages: Option<&'a RawValue>,
    model: Option<String>,
}

/// How a prompt is routed, and what is understood of it.
#[derive(Serialize)]
struct Explained {
    /// Nothing but the text where no routing is configured.
    #[serde(flatten)]
    routed: Routed,
    understanding: Told,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Routed {
    By(Box<Explanation>),
    Nowhere {
        original_text: String,
        routing_decision: (),
        recommended_models: [String; 0],
    },
}

/// Explains: admitted, read, settled.
///
/// # Errors
/// 400 without a prompt, 429 past a limit, 503 where too many prompts wait to be read.
pub async fn travel(
    worker: &Arc<Worker>,
    arrival: &Arrival,
    caller: Arc<Principal>,
    body: Bytes,
) -> Result<Reply, Refusal> {
    let request = asked(&body)?;
    let here = Here::admitted(worker, arrival, caller, (SHIPPED.name, 0)).await?;
    let explained = explained(&here, &request).await;
    here.settle(explained, Usage::default())
}

async fn explained(here: &Here<'_>, request: &ChatRequest) -> Result<Bytes, Failure> {
    let text: Arc<str> = text::user_text(request).as_ref().into();
    let routed = match &here.arrival().snapshot.router {
        None => Routed::Nowhere {
            original_text: text.to_string(),
            routing_decision: (),
            recommended_models: [],
        },
        Some(router) => {
            let router = router.entered(&request.model).unwrap_or(router);
            Routed::By(Box::new(here.explained(router, request).await))
        }
    };
    let ask = Ask {
        embedding: false,
        ..Ask::everything()
    };
    let read = here.read(&text, &ask).await?;
    let explained = Explained {
        routed,
        understanding: Told::new(&text, read),
    };
    serde_json::to_vec(&explained)
        .map(Bytes::from)
        .map_err(|error| Failure::new(FailureKind::Internal, error.to_string()))
}

/// What is to be explained.
fn asked(body: &Bytes) -> Result<ChatRequest, Failure> {
    let malformed = |message: String| Failure::new(FailureKind::InvalidRequest, message);
    let question: Question<'_> =
        serde_json::from_slice(body).map_err(|error| malformed(error.to_string()))?;
    let request = match (question.text, question.messages) {
        (Some(text), None) => prompt(question.model.as_deref(), &text)?,
        (None, Some(messages)) => conversation(question.model.as_deref(), messages.get())?,
        _ => return Err(malformed("give either `text` or `messages`".to_owned())),
    };
    Ok(request)
}

/// A conversation of one text.
pub fn prompt(model: Option<&str>, text: &str) -> Result<ChatRequest, Failure> {
    let mut request = conversation(model, "[]")?;
    request.messages.push(Message::text(Role::User, text.to_owned()));
    Ok(request)
}

/// A conversation of these messages.
pub fn conversation(model: Option<&str>, messages: &str) -> Result<ChatRequest, Failure> {
    let model = serde_json::Value::from(model.unwrap_or("auto"));
    let body = format!("{{\"model\":{model},\"messages\":{}}}", messages);
    format::decode_request(Format::OpenAiChat, &Bytes::from(body)).map_err(arrive::malformed)
}

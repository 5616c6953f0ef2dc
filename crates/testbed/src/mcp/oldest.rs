//! The transport of 2024-11-05: a stream of events, whose first one tells where messages are posted.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream;
use http::request::Parts;
use http::{Method, Response};
use http_body::Frame;
use http_body_util::StreamBody;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::{Body, QUEUE, State, Talk, error, events, legacy, result, whole};

/// Answers a request over HTTP.
pub fn answer(state: &Arc<State>, parts: &Parts, message: Value) -> Response<Body> {
    match (&parts.method, parts.uri.path()) {
        (&Method::GET, "/sse") => opened(state),
        (&Method::POST, "/messages") => took(state, parts, message),
        _ => whole(405, &Value::Null),
    }
}

fn opened(state: &Arc<State>) -> Response<Body> {
    let id = format!("s-{}", state.next.fetch_add(1, Ordering::Relaxed));
    let talk = Talk::new();
    let (sender, receiver) = mpsc::channel(QUEUE);
    *talk.unasked.lock() = Some(sender);
    state.sessions.lock().insert(id.clone(), talk);
    let place = state.elsewhere.lock().clone().unwrap_or_default();
    let first = format!("event: endpoint\ndata: {place}/messages?session={id}\n\n");
    let first = stream::iter([Ok(Frame::data(Bytes::from(first)))]);
    let (parts, rest) = events(receiver).into_parts();
    Response::from_parts(parts, StreamBody::new(first.chain(rest).boxed()))
}

fn took(state: &Arc<State>, parts: &Parts, message: Value) -> Response<Body> {
    let said = parts.uri.query().and_then(|query| query.strip_prefix("session="));
    let talk = said.and_then(|id| state.sessions.lock().get(id).cloned());
    let out = talk.as_ref().and_then(|talk| talk.unasked.lock().clone());
    let (Some(talk), Some(out)) = (talk, out) else {
        return whole(404, &error(&Value::Null, -32600, "unknown session"));
    };
    if message["method"] == "initialize" {
        let mut greeting = legacy::greeting(&message);
        greeting["protocolVersion"] = json!("2024-11-05");
        let _ = out.try_send(result(&message["id"], &greeting));
        return whole(202, &Value::Null);
    }
    let state = Arc::clone(state);
    tokio::spawn(async move { legacy::take(&state, &talk, out, message).await });
    whole(202, &Value::Null)
}

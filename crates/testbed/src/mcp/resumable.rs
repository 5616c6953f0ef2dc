//! Answers that can be taken up again: a tool that counts, whose events have ids and are kept.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream;
use http::request::Parts;
use http::{HeaderValue, Response, header};
use http_body::Frame;
use http_body_util::StreamBody;
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::sync::Notify;

use super::{Body, Talk, error, result, whole};

/// The events of an answer.
#[derive(Default)]
pub struct Log {
    events: Mutex<(Vec<Value>, bool)>,
    changed: Notify,
}

impl Log {
    fn push(&self, event: Value, last: bool) {
        let mut events = self.events.lock();
        events.0.push(event);
        events.1 |= last;
        drop(events);
        self.changed.notify_waiters();
    }

    /// The event at a place, once it is there; none behind the last one.
    async fn at(&self, at: usize) -> Option<Value> {
        loop {
            let changed = self.changed.notified();
            {
                let events = self.events.lock();
                if let Some(event) = events.0.get(at) {
                    return Some(event.clone());
                }
                if events.1 {
                    return None;
                }
            }
            changed.await;
        }
    }
}

/// Counts to `to`, with a notification for each number, whoever listens; and answers after a rest.
pub fn count(talk: &Arc<Talk>, message: &Value) -> Response<Body> {
    let name = format!("c{}", talk.next.fetch_add(1, Ordering::Relaxed));
    let log = Arc::new(Log::default());
    talk.logs.lock().insert(name.clone(), Arc::clone(&log));
    let (id, params) = (message["id"].clone(), message["params"].clone());
    let counting = Arc::clone(&log);
    tokio::spawn(async move {
        let arguments = &params["arguments"];
        let to = arguments["to"].as_u64().unwrap_or(3);
        let pause = Duration::from_millis(arguments["pause_ms"].as_u64().unwrap_or(20));
        let token = &params["_meta"]["progressToken"];
        for number in 1..=to {
            tokio::time::sleep(pause).await;
            let told = json!({ "progressToken": token, "progress": number, "total": to });
            counting.push(
                json!({ "jsonrpc": "2.0", "method": "notifications/progress", "params": told }),
                false,
            );
        }
        let rest = arguments["rest_ms"].as_u64().unwrap_or_default();
        tokio::time::sleep(Duration::from_millis(rest)).await;
        let said = json!({ "content": [{ "type": "text", "text": format!("counted to {to}") }] });
        counting.push(result(&id, &said), true);
    });
    events(name, log, 0)
}

/// Goes on behind an event.
pub fn resume(talk: &Arc<Talk>, parts: &Parts) -> Response<Body> {
    let said = parts.headers.get("last-event-id").and_then(|id| id.to_str().ok());
    let place = said.and_then(|id| id.rsplit_once('-'));
    let place = place.and_then(|(name, number)| Some((name, number.parse::<usize>().ok()?)));
    let Some((name, number)) = place else {
        return whole(400, &error(&Value::Null, -32600, "no such event"));
    };
    let Some(log) = talk.logs.lock().get(name).cloned() else {
        return whole(400, &error(&Value::Null, -32600, "no such stream"));
    };
    events(name.to_owned(), log, number)
}

fn events(name: String, log: Arc<Log>, after: usize) -> Response<Body> {
    let first = Bytes::from(format!("id: {name}-{after}\ndata:\n\n"));
    let body = stream::unfold((name, log, after), |(name, log, at)| async move {
        let event = log.at(at).await?;
        let text = format!("event: message\nid: {name}-{}\ndata: {event}\n\n", at + 1);
        Some((Ok(Frame::data(Bytes::from(text))), (name, log, at + 1)))
    });
    let first = stream::iter([Ok(Frame::data(first))]);
    let mut response = Response::new(StreamBody::new(first.chain(body).boxed()));
    let kind = HeaderValue::from_static("text/event-stream");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response
}

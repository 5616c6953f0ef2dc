//! Messages as server-sent events, with a sign of life while there are none.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::{self, BoxStream};
use http::{HeaderName, HeaderValue, header};

use crate::reply::{Reply, ReplyBody};
use crate::worker::Worker;

/// How long a stream is silent at most.
const SILENCE: Duration = Duration::from_secs(15);

/// What comes next on a stream.
pub enum Next {
    /// A message.
    Message(String),
    /// The last message.
    Last(String),
    /// A message that can be asked for again from here on.
    Event {
        /// Its id.
        id: String,
        /// The message.
        text: Arc<str>,
        /// Whether it is the last one.
        last: bool,
    },
    /// From where on messages can be asked for again.
    From(String),
    /// Where messages are posted, on a stream of the first transport.
    Place(String),
    /// Nothing any more.
    End,
}

/// Where the messages of a stream come from.
pub trait Source: Send + 'static {
    /// The next message. Cancelled and asked again, nothing is lost.
    fn next(&mut self) -> impl Future<Output = Next> + Send;

    /// What is said last when the gateway stops, if the stream ends with that.
    fn farewell(&mut self) -> Option<Option<String>> {
        None
    }
}

/// A stream of messages as a reply.
pub fn reply<S: Source>(worker: &Arc<Worker>, source: S) -> Reply {
    let mut reply = Reply::new(ReplyBody::Told(events(Arc::clone(worker), source)));
    let headers = reply.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("text/event-stream"),
    );
    headers.insert(
        header::CACHE_CONTROL,
        HeaderValue::from_static("no-cache, no-transform"),
    );
    headers.insert(
        HeaderName::from_static("x-accel-buffering"),
        HeaderValue::from_static("no"),
    );
    reply
}

fn events<S: Source>(worker: Arc<Worker>, source: S) -> BoxStream<'static, Bytes> {
    let state = (worker, source, false);
    stream::unfold(state, |(worker, mut source, over)| async move {
        if over {
            return None;
        }
        let next = tokio::select! {
            next = tokio::time::timeout(SILENCE, source.next()) => next,
            () = worker.stops() => {
                Ok(match source.farewell() {
                    Some(Some(text)) => Next::Last(text),
                    Some(None) => Next::End,
                    // A request that is under way is answered within the drain time.
                    None => return going_on(worker, source).await,
                })
            }
        };
        step(worker, source, next)
    })
    .boxed()
}

type State<S> = (Arc<Worker>, S, bool);

/// The same while the gateway stops.
async fn going_on<S: Source>(worker: Arc<Worker>, mut source: S) -> Option<(Bytes, State<S>)> {
    let next = tokio::time::timeout(SILENCE, source.next()).await;
    step(worker, source, next)
}

fn step<S: Source>(
    worker: Arc<Worker>,
    source: S,
    next: Result<Next, tokio::time::error::Elapsed>,
) -> Option<(Bytes, State<S>)> {
    match next {
        Ok(Next::Message(text)) => Some((event(None, &text), (worker, source, false))),
        Ok(Next::Last(text)) => Some((event(None, &text), (worker, source, true))),
        Ok(Next::Event { id, text, last }) => Some((event(Some(&id), &text), (worker, source, last))),
        Ok(Next::From(id)) => Some((format!("id: {id}\ndata:\n\n").into(), (worker, source, false))),
        Ok(Next::Place(place)) => Some((
            format!("event: endpoint\ndata: {place}\n\n").into(),
            (worker, source, false),
        )),
        Ok(Next::End) => None,
        Err(_) => Some((Bytes::from_static(b":\n\n"), (worker, source, false))),
    }
}

/// A message as an event. The JSON that is written here has no line breaks but those of texts that came with some.
fn event(id: Option<&str>, text: &str) -> Bytes {
    let mut event = String::with_capacity(text.len() + 64);
    event.push_str("event: message\n");
    if let Some(id) = id {
        event.push_str("id: ");
        event.push_str(id);
        event.push('\n');
    }
    for line in text.split(['\n', '\r']) {
        event.push_str("data: ");
        event.push_str(line);
        event.push('\n');
    }
    event.push('\n');
    event.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_one_event_whatever_its_lines() {
        assert_eq!(event(None, "{}"), "event: message\ndata: {}\n\n");
        assert_eq!(
            event(Some("p.1"), "{\r\n}"),
            "event: message\nid: p.1\ndata: {\ndata: \ndata: }\n\n"
        );
    }
}

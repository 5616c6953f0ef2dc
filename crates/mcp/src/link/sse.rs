//! A link over the transport of 2024-11-05: one stream brings all that the server says, and messages are posted to the
//! address that its first event tells.
//!
//! That address must be on the server's own origin: nothing that a server says sends the gateway elsewhere.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use bytes::Bytes;
use http::{Method, StatusCode};
use parking_lot::Mutex;
use pointsman_upstream::{Client, Timeouts};
use tokio::sync::oneshot;
use tokio::task::AbortHandle;
use url::Url;

use super::http_link::{self, Events, Head};
use super::{Failed, Link};
use crate::message::{Id, Message, Response};
use crate::server::Server;

/// How long posting a message may take.
const SEND_TIME: Duration = Duration::from_secs(30);
/// The event that tells where messages go.
const ENDPOINT: &str = "endpoint";

/// A stream, and where messages go.
#[derive(Debug)]
pub struct Sse {
    shared: Arc<Shared>,
    /// Path and query.
    place: String,
    reading: AbortHandle,
}

#[derive(Debug)]
struct Shared {
    waiting: Mutex<HashMap<u64, oneshot::Sender<Response>>>,
    link: Mutex<Option<Weak<Link>>>,
    alive: AtomicBool,
}

impl Drop for Sse {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Sse {
    /// Opens the stream of a server, and waits until it says where messages go.
    ///
    /// # Errors
    /// When it cannot be opened, or says nothing that can be used.
    pub async fn open(server: &Arc<Server>, client: &Client) -> Result<Self, Failed> {
        let Some(web) = server.web() else {
            return Err(Failed::Unreachable("the server has no URL".to_owned()));
        };
        let head = Head {
            version: None,
            session: None,
            more: &[],
        };
        let asked = (Method::GET, head);
        let patient = http_link::patient();
        let response = http_link::exchange(server, client, asked, Bytes::new(), &patient).await?;
        if !response.status().is_success() || !http_link::is_stream(&response) {
            return Err(Failed::Unreachable(format!(
                "the server opens no stream of events ({})",
                response.status().as_u16()
            )));
        }
        let mut events = Events::new(response, server.limit);
        let wrong = |error: &dyn std::fmt::Display| Failed::Unreachable(error.to_string());
        let path = web.endpoint.uri(&web.path).map_err(|error| wrong(&error))?;
        let server_url = Url::parse(web.endpoint.url()).map_err(|error| wrong(&error))?;
        let own = server_url
            .join(&path.to_string())
            .map_err(|error| wrong(&error))?;
        let place = loop {
            let Some(event) = events.next().await? else {
                return Err(Failed::Broken("the server's stream ended at once".to_owned()));
            };
            if event.kind.as_deref() == Some(ENDPOINT) {
                break below(own.as_str(), event.text.trim())?;
            }
        };
        let shared = Arc::new(Shared {
            waiting: Mutex::default(),
            link: Mutex::default(),
            alive: AtomicBool::new(true),
        });
        let reading = tokio::spawn(read(Arc::clone(&shared), client.clone(), events));
        Ok(Self {
            shared,
            place,
            reading: reading.abort_handle(),
        })
    }

    /// From now on its messages are heard by `link`.
    pub fn attach(&self, link: &Arc<Link>) {
        *self.shared.link.lock() = Some(Arc::downgrade(link));
    }

    /// Whether its stream is open.
    pub fn is_alive(&self) -> bool {
        self.shared.alive.load(Ordering::Acquire)
    }

    /// Listens no more.
    pub fn stop(&self) {
        self.reading.abort();
        self.shared.end();
    }

    /// Asks.
    ///
    /// # Errors
    /// When the stream ends before the answer.
    pub async fn ask(
        &self,
        server: &Server,
        client: &Client,
        (id, text): (u64, String),
    ) -> Result<Response, Failed> {
        let (sender, answer) = oneshot::channel();
        self.shared.waiting.lock().insert(id, sender);
        if let Err(failed) = self.send(server, client, text).await {
            self.forget(id);
            return Err(failed);
        }
        answer
            .await
            .map_err(|_| Failed::Broken("the server's stream ended".to_owned()))
    }

    /// An answer is not waited for any more.
    pub fn forget(&self, id: u64) {
        self.shared.waiting.lock().remove(&id);
    }

    /// Sends a message.
    ///
    /// # Errors
    /// When it is not taken.
    pub async fn send(&self, server: &Server, client: &Client, text: String) -> Result<(), Failed> {
        if !self.is_alive() {
            return Err(Failed::Lost);
        }
        let timeouts = Timeouts {
            first_byte: SEND_TIME,
            total: SEND_TIME,
            ..Timeouts::default()
        };
        let head = Head {
            version: None,
            session: None,
            more: &[],
        };
        let message = (Method::POST, head);
        let sent = http_link::exchange_at(server, client, &self.place, message, text.into(), &timeouts);
        let response = sent.await?;
        let status = response.status();
        let _ = http_link::collect(response, 64 * 1024).await;
        match status {
            status if status.is_success() => Ok(()),
            StatusCode::NOT_FOUND => Err(Failed::Lost),
            status => Err(Failed::Broken(format!("the server answered {}", status.as_u16()))),
        }
    }
}

impl Shared {
    /// Whoever waits hears that nothing comes any more.
    fn end(&self) {
        self.alive.store(false, Ordering::Release);
        self.waiting.lock().clear();
    }
}

/// Ends what waits, however reading ends.
struct Ending(Arc<Shared>);

impl Drop for Ending {
    fn drop(&mut self) {
        self.0.end();
    }
}

async fn read(shared: Arc<Shared>, client: Client, mut events: Events) {
    let _ending = Ending(Arc::clone(&shared));
    while let Ok(Some(event)) = events.next().await {
        let Ok(messages) = event.messages() else { continue };
        for message in messages {
            take(&shared, &client, message);
        }
    }
}

fn take(shared: &Shared, client: &Client, message: Message) {
    if let Message::Response(answer) = message {
        let Some(Id::Number(id)) = answer.id else { return };
        let id = u64::try_from(id).ok();
        let waiting = id.and_then(|id| shared.waiting.lock().remove(&id));
        if let Some(waiting) = waiting {
            // Whoever gave up misses it.
            let _ = waiting.send(answer);
        }
        return;
    }
    let Some(link) = shared.link.lock().clone().and_then(|link| link.upgrade()) else {
        return;
    };
    if let Some(answer) = link.hear(message, None) {
        let client = client.clone();
        tokio::spawn(async move {
            // A server that does not take an answer waits until its own patience ends.
            let _ = link.send(&client, answer).await;
        });
    }
}

/// Path and query of an address on the server's own origin.
fn below(own: &str, told: &str) -> Result<String, Failed> {
    let own = Url::parse(own).map_err(|error| Failed::Unreachable(error.to_string()))?;
    let place = own
        .join(told)
        .map_err(|_| Failed::Broken("the server says no address where messages go".to_owned()))?;
    if place.origin() != own.origin() {
        return Err(Failed::Broken(
            "the server wants messages to go to another host, which is refused".to_owned(),
        ));
    }
    Ok(place[url::Position::BeforePath..url::Position::AfterQuery].to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_go_to_the_servers_own_host() {
        let own = "http://127.0.0.1:8080/sse?key=1";
        for (told, place) in [
            ("/messages?session=1", "/messages?session=1"),
            ("messages", "/messages"),
            ("http://127.0.0.1:8080/m?s=2", "/m?s=2"),
        ] {
            assert_eq!(below(own, told).unwrap(), place, "{told}");
        }
        for told in [
            "http://127.0.0.1:8081/m",
            "https://127.0.0.1:8080/m",
            "//evil.example.com/m",
            "http://127.0.0.1:8080@evil.example.com/m",
            "\\\\evil.example.com/m",
            "file:///m",
        ] {
            assert!(below(own, told).is_err(), "{told}");
        }
    }
}

//! The provider's side of the handshake: one attempt at one endpoint.

use std::sync::Arc;
use std::time::Instant;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode, Uri, header};
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use pointsman_governance::{Sent, Tokens};
use pointsman_upstream::{Client, Endpoint, Failure as Fault, InFlight, SendError, Timeouts, Upgrade};
use pointsman_wire::form::{Failure, FailureKind};
use pointsman_wire::format::Format;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use super::super::send::{self, Attempt, Failed, Way};
use super::super::{Arrival, Ticket};
use crate::snapshot::Target;
use crate::worker::Worker;

/// The queries that name a model, in all versions.
const MODEL_QUERIES: [&str; 2] = ["model=", "deployment="];

/// How a provider is asked for a session.
pub struct Dial<'a> {
    /// The worker.
    pub worker: &'a Arc<Worker>,
    /// How the client came.
    pub arrival: &'a Arrival,
    /// Whether the session shall only write down what it hears: then the provider wants no model in the query.
    pub only_transcribes: bool,
}

/// A provider that speaks.
pub struct Dialed {
    /// The connection, after the handshake.
    pub io: TokioIo<Upgraded>,
    /// Who it is.
    pub target: Target,
    /// The place at its endpoint.
    pub in_flight: InFlight,
}

impl Attempt for Dial<'_> {
    type Answer = Dialed;

    async fn run(
        &self,
        target: &Target,
        mut in_flight: InFlight,
        ticket: &mut Ticket,
    ) -> Result<Dialed, Failed> {
        let unusable =
            |message: String| Failed::refused(Failure::new(FailureKind::InvalidRequest, message).at("model"));
        let Some(path) = &target.provider.speaks.realtime else {
            return Err(unusable(without_realtime(&[&target.provider.name])));
        };
        let path = path.fill(&target.model);
        let path = if self.only_transcribes {
            without_model(&path)
        } else {
            path.into_owned()
        };
        let endpoint = Arc::clone(in_flight.endpoint());
        let uri = endpoint.uri(&path).map_err(|error| unusable(error.to_string()))?;
        let key = new_key();
        let request = self.request(target, uri, &key);
        // Its answers are counted when they come.
        let sent = || Sent::one(Tokens::default());
        send::enter(ticket, target, &target.model, sent).await?;
        ticket.asking(target, target.model.clone(), 0);
        let begun = Instant::now();
        let size = (0, target.patience().exchange);
        let sent = send::send_by(&Switch, self.worker, (&target.provider, &endpoint), request, size).await;
        ticket.waited(begun.elapsed());
        ticket.nothing_at_stake();
        match sent {
            Err(error) => Err(send::unsent(error, &mut in_flight, ticket)),
            Ok(Upgrade::Refused(response)) => {
                let (parts, body) = response.into_parts();
                let said = (parts.status, &parts.headers, &body[..]);
                Err(send::refusal(said, Format::OpenAiChat, &mut in_flight))
            }
            Ok(Upgrade::Agreed(head, io)) => {
                let accepted = head.headers().get(header::SEC_WEBSOCKET_ACCEPT);
                if accepted.is_none_or(|accept| accept != derive_accept_key(key.as_bytes()).as_str()) {
                    let message = "the provider's handshake does not answer ours";
                    send::tell(&mut in_flight, Some(&Fault::Protocol), ticket);
                    return Err(Failed::broken(
                        Failure::new(FailureKind::Provider, message),
                        Fault::Protocol,
                    ));
                }
                send::tell(&mut in_flight, None, ticket);
                Ok(Dialed {
                    io,
                    target: target.clone(),
                    in_flight,
                })
            }
        }
    }
}

impl Dial<'_> {
    fn request(&self, target: &Target, uri: Uri, key: &str) -> Request<Bytes> {
        let mut request = send::http(self.arrival, target, None, uri, Bytes::new());
        *request.method_mut() = Method::GET;
        let headers = request.headers_mut();
        target.shape.headers(headers);
        for name in [header::CONTENT_TYPE, header::ACCEPT_ENCODING] {
            headers.remove(name);
        }
        headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
        headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
        headers.insert(header::SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
        if let Ok(key) = HeaderValue::from_str(key) {
            headers.insert(header::SEC_WEBSOCKET_KEY, key);
        }
        request
    }
}

/// A request for another protocol, on its last yard.
struct Switch;

impl Way for Switch {
    type Answer = Upgrade;

    async fn send(
        &self,
        client: &Client,
        endpoint: &Arc<Endpoint>,
        request: Request<Bytes>,
        timeouts: &Timeouts,
    ) -> Result<Upgrade, SendError> {
        client.upgrade(endpoint, request, timeouts).await
    }

    fn head(answer: &Upgrade) -> (StatusCode, &HeaderMap) {
        match answer {
            Upgrade::Agreed(head, _) => (head.status(), head.headers()),
            Upgrade::Refused(response) => (response.status(), response.headers()),
        }
    }
}

/// What is said of providers that have no realtime sessions.
pub fn without_realtime(providers: &[&str]) -> String {
    let (word, have) = if providers.len() == 1 {
        ("provider", "has")
    } else {
        ("providers", "have")
    };
    format!(
        "the {word} {} {have} no realtime sessions; ask for a model of one that has them",
        providers.join(", ")
    )
}

fn new_key() -> String {
    STANDARD.encode(rand::random::<[u8; 16]>())
}

fn without_model(path: &str) -> String {
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    let mut kept: Vec<&str> = query
        .split('&')
        .filter(|pair| !MODEL_QUERIES.iter().any(|name| pair.starts_with(name)))
        .collect();
    kept.push("intent=transcription");
    [path, "?", &kept.join("&")].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_that_writes_down_names_no_model() {
        for (path, expected) in [
            ("/realtime?model=m", "/realtime?intent=transcription"),
            (
                "/realtime?api-version=2024-10-01-preview&deployment=d",
                "/realtime?api-version=2024-10-01-preview&intent=transcription",
            ),
        ] {
            assert_eq!(without_model(path), expected);
        }
    }
}

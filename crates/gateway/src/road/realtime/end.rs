//! How a session ends, and what each side is told of it.

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use pointsman_store::Outcome;
use pointsman_wire::form::{Failure, FailureKind, Units, Usage};
use pointsman_wire::realtime;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::error::CapacityError;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::{Error, Message};

use super::super::Ticket;
use super::super::settle::Ending;

type Socket = WebSocketStream<TokioIo<Upgraded>>;

/// How a session ends.
pub struct End {
    /// In one word.
    pub outcome: Outcome,
    /// What the client is told before it is left; for the ledger's reader, too.
    failure: Option<Failure>,
    /// How the client is left; none where it has left itself.
    client: Option<CloseFrame>,
    /// How the provider is left; none where it has left itself.
    provider: Option<CloseFrame>,
}

impl End {
    /// The client has said goodbye.
    pub fn client_closed(frame: Option<CloseFrame>) -> Self {
        Self {
            outcome: Outcome::Complete,
            failure: None,
            client: None,
            provider: Some(passed_on(frame)),
        }
    }

    /// The client is gone without a word.
    pub fn client_left() -> Self {
        Self {
            outcome: Outcome::Cancelled,
            failure: None,
            client: None,
            provider: Some(frame(CloseCode::Away, "")),
        }
    }

    /// The client does not keep to the protocol.
    pub fn client_wrong(error: &Error, limit: usize) -> Self {
        let (failure, code) = match error {
            Error::Capacity(CapacityError::MessageTooLong { .. }) => (
                Failure::new(
                    FailureKind::TooLarge,
                    format!(
                        "the message is larger than {limit} bytes; send smaller ones, or raise server.realtime.message_limit"
                    ),
                ),
                CloseCode::Size,
            ),
            Error::Utf8(_) => (wrong("a text is not UTF-8"), CloseCode::Invalid),
            _ => (wrong("this is not the WebSocket protocol"), CloseCode::Protocol),
        };
        Self::here(Outcome::Refused, failure, code)
    }

    /// Limits, budget or rules do not let it go on.
    pub fn denied(failure: Failure) -> Self {
        Self::here(Outcome::Refused, failure, CloseCode::Policy)
    }

    /// Nobody has said anything for too long.
    pub fn idle(limit: Duration) -> Self {
        let message = format!(
            "nothing was said for {} seconds; open another session",
            limit.as_secs()
        );
        let failure = Failure::new(FailureKind::ClientTimeout, message).coded("idle_timeout");
        Self::here(Outcome::Complete, failure, CloseCode::Away)
    }

    /// The session has lasted long enough.
    pub fn expired(limit: Duration) -> Self {
        let message = format!(
            "the session has lasted {} seconds, the longest it may; open another one",
            limit.as_secs()
        );
        let failure = Failure::new(FailureKind::ClientTimeout, message).coded("session_expired");
        Self::here(Outcome::Complete, failure, CloseCode::Away)
    }

    /// The gateway stops.
    pub fn stopping() -> Self {
        let message = "the gateway is stopping; open another session";
        let failure = Failure::new(FailureKind::Unavailable, message).coded("gateway_stopping");
        Self::here(Outcome::Complete, failure, CloseCode::Away)
    }

    /// What the provider told cannot be handed on.
    pub fn told(failure: Failure) -> Self {
        match failure.kind {
            FailureKind::QuotaExceeded | FailureKind::RateLimited => Self::denied(failure),
            _ => Self::broken(failure),
        }
    }

    /// The session cannot go on.
    pub fn broken(failure: Failure) -> Self {
        Self::here(Outcome::ProviderFailed, failure, CloseCode::Error)
    }

    /// The provider is gone without a word.
    pub fn provider_broke(why: &str) -> Self {
        let failure = Failure::new(FailureKind::Provider, why);
        Self {
            provider: None,
            ..Self::broken(failure)
        }
    }

    /// The provider does not keep to the protocol, or its connection broke.
    pub fn provider_wrong(error: &Error, limit: usize) -> Self {
        match error {
            Error::Capacity(_) => {
                let message = format!(
                    "the provider's message is larger than {limit} bytes; raise server.realtime.message_limit"
                );
                Self::broken(Failure::new(FailureKind::Provider, message))
            }
            Error::Io(_) | Error::ConnectionClosed | Error::AlreadyClosed => {
                Self::provider_broke("the connection to the provider broke")
            }
            Error::Protocol(_) => {
                Self::provider_broke("the provider broke off, or left the WebSocket protocol")
            }
            _ => Self::broken(Failure::new(
                FailureKind::Provider,
                "the provider does not keep to the WebSocket protocol",
            )),
        }
    }

    /// The provider has said goodbye; `busy` says whether it still owed an answer.
    pub fn provider_closed(frame: Option<CloseFrame>, busy: bool) -> Self {
        let clean = frame.as_ref().is_none_or(|frame| frame.code == CloseCode::Normal);
        if clean && busy {
            return Self::provider_broke("the provider ended the session in the middle of an answer");
        }
        Self {
            outcome: if clean {
                Outcome::Complete
            } else {
                Outcome::ProviderFailed
            },
            failure: None,
            client: Some(passed_on(frame)),
            provider: None,
        }
    }

    /// Ended by the gateway.
    fn here(outcome: Outcome, failure: Failure, code: CloseCode) -> Self {
        let reason = failure
            .code
            .clone()
            .unwrap_or_else(|| failure.kind.name().to_owned());
        Self {
            outcome,
            failure: Some(failure),
            client: Some(frame(code, &reason)),
            provider: Some(frame(CloseCode::Away, "")),
        }
    }

    /// Settles the session as a whole: its answers are settled already, `unpaid` is the time of sound that none of
    /// them has paid for.
    pub fn settle(&self, mut ticket: Ticket, unpaid: u64) {
        // All of its time was the client's and the provider's.
        ticket.facts.waited = ticket.facts.started.elapsed();
        let units = Units {
            milliseconds_in: unpaid,
            ..Units::default()
        };
        let ending = Ending {
            outcome: self.outcome,
            status: 101,
            usage: Usage {
                units,
                ..Usage::default()
            },
            estimated: false,
            error: self.failure.clone(),
        };
        // Nobody is left to be told of a journal that cannot be written; it has been logged.
        drop(ticket.settle(&ending));
    }

    /// Tells the client, and waits until it has heard it.
    pub async fn tell_client(&self, mut client: Socket, event_id: &str) {
        if let Some(failure) = &self.failure {
            let event = realtime::error_event(failure, None, event_id);
            if client.send(Message::Text(event.into())).await.is_err() {
                return;
            }
        }
        part(client, self.client.clone()).await;
    }

    /// Tells the provider.
    pub async fn tell_provider(&self, provider: Socket) {
        part(provider, self.provider.clone()).await;
    }
}

/// Says goodbye, or answers one, and reads what is still on its way.
async fn part(mut socket: Socket, frame: Option<CloseFrame>) {
    let said = match frame {
        Some(frame) => socket.close(Some(frame)).await,
        None => socket.flush().await,
    };
    if said.is_ok() {
        while let Some(Ok(_)) = socket.next().await {}
    }
}

fn wrong(why: &str) -> Failure {
    Failure::new(FailureKind::InvalidRequest, why).coded("invalid_message")
}

fn frame(code: CloseCode, reason: &str) -> CloseFrame {
    CloseFrame {
        code,
        reason: reason.to_owned().into(),
    }
}

/// One side's goodbye, as it may be told to the other.
fn passed_on(said: Option<CloseFrame>) -> CloseFrame {
    said.filter(|frame| frame.code.is_allowed())
        .unwrap_or_else(|| frame(CloseCode::Normal, ""))
}

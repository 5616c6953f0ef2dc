//! A session under way: messages pass both ways until one side ends it, or its time is over.
//!
//! Each way is a pump of its own, so that a side that does not read holds up nothing but what goes to it. The first
//! pump that ends, ends the session; then what was used is settled, and only then both sides are told.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt, StreamExt};
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use pointsman_governance::Principal;
use pointsman_upstream::InFlight;
use pointsman_wire::form::{Failure, FailureKind, Text};
use pointsman_wire::realtime::{self, ServerEvent};
use tokio::time::{Interval, MissedTickBehavior, interval_at, timeout};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::error::ProtocolError;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error, Message, Utf8Bytes};

use super::super::Ticket;
use super::end::End;
use super::judge::{Judge, Verdict};
use super::meter::Meter;
use crate::snapshot::Bounds;
use crate::worker::Worker;

/// How often each side is asked whether it is still there.
const PING: Duration = Duration::from_secs(20);
/// How long a side may say nothing at all, not even that it is there.
const SILENCE: Duration = Duration::from_secs(65);
/// How often the clock is looked at.
const TICK: Duration = Duration::from_millis(250);
/// How long a goodbye may take.
const GOODBYE: Duration = Duration::from_secs(3);
/// How long before the end of the drain time a session that is still busy is ended.
const BEFORE_DRAIN_ENDS: Duration = Duration::from_millis(500);

type Socket = WebSocketStream<TokioIo<Upgraded>>;
type Sink = SplitSink<Socket, Message>;
type Source = SplitStream<Socket>;

/// A session whose provider has agreed.
pub struct Session {
    /// The worker.
    pub worker: Arc<Worker>,
    /// What the session as a whole is charged to.
    pub ticket: Ticket,
    /// What it uses.
    pub meter: Meter,
    /// What may be said.
    pub judge: Judge,
    /// Who the client is.
    pub caller: Arc<Principal>,
    /// The model as the client calls it.
    pub model: String,
    /// The event that sets it, where its key was made for one.
    pub settings: Option<Text>,
    /// The provider's end.
    pub provider: TokioIo<Upgraded>,
    /// The place at its endpoint.
    pub in_flight: InFlight,
    /// Sizes and times.
    pub bounds: Bounds,
}

/// What both pumps see.
struct Shared {
    worker: Arc<Worker>,
    caller: Arc<Principal>,
    meter: Mutex<Meter>,
    model: String,
    bounds: Bounds,
    begun: Instant,
    heard: Mutex<Heard>,
    /// Answers to the client from here.
    answers: tokio::sync::mpsc::Sender<String>,
}

/// When something was last heard.
#[derive(Clone, Copy)]
struct Heard {
    /// Of the client.
    client: Instant,
    /// Of the provider.
    provider: Instant,
    /// A message, of either.
    message: Instant,
}

/// Answers to the client that wait while it does not read.
const MAX_ANSWERS: usize = 16;

impl Session {
    /// Runs it to its end.
    pub async fn run(self, client: Upgraded) {
        let limit = self.bounds.realtime.message_limit;
        let config = WebSocketConfig::default()
            .max_message_size(Some(limit))
            .max_frame_size(Some(limit));
        let client = WebSocketStream::from_raw_socket(TokioIo::new(client), Role::Server, Some(config)).await;
        let provider = WebSocketStream::from_raw_socket(self.provider, Role::Client, Some(config)).await;
        let now = Instant::now();
        let (answers, mut told) = tokio::sync::mpsc::channel(MAX_ANSWERS);
        let shared = Shared {
            worker: self.worker,
            caller: self.caller,
            meter: Mutex::new(self.meter),
            model: self.model,
            bounds: self.bounds,
            begun: now,
            heard: Mutex::new(Heard {
                client: now,
                provider: now,
                message: now,
            }),
            answers,
        };
        let mut judge = self.judge;
        let (mut to_client, mut from_client) = client.split();
        let (mut to_provider, mut from_provider) = provider.split();
        let end = tokio::select! {
            end = async {
                match shared.set(self.settings, &mut to_provider, &mut judge).await {
                    None => shared.listen(&mut from_client, &mut to_provider, &mut judge).await,
                    Some(end) => end,
                }
            } => end,
            end = shared.speak(&mut from_provider, &mut to_client, &mut told) => end,
            end = shared.watch() => end,
        };
        let unpaid = shared.meter.lock().close(end.outcome);
        drop(self.in_flight);
        let mut ticket = self.ticket;
        ticket.facts.flags = judge.flags;
        end.settle(ticket, unpaid);
        let parting = async {
            let (client, provider) = (to_client.reunite(from_client), to_provider.reunite(from_provider));
            let id = shared.event_id();
            tokio::join!(
                async {
                    if let Ok(client) = client {
                        end.tell_client(client, &id).await;
                    }
                },
                async {
                    if let Ok(provider) = provider {
                        end.tell_provider(provider).await;
                    }
                }
            );
        };
        // Whoever does not listen any more misses it.
        let _ = timeout(GOODBYE, parting).await;
    }
}

impl Shared {
    /// Sets the session as it was asked for when its key was made.
    async fn set(&self, settings: Option<Text>, to: &mut Sink, judge: &mut Judge) -> Option<End> {
        let settings = settings?;
        judge.hear(&settings).await;
        self.prepare().await;
        let verdict = judge.event(settings, &mut self.meter.lock());
        match verdict {
            Verdict::Pass(text) => to
                .send(Message::Text(as_message(text)))
                .await
                .err()
                .map(|_| End::provider_broke("the connection to the provider broke")),
            Verdict::Answer(failure, _) | Verdict::End(failure) => Some(End::denied(failure)),
        }
    }

    /// Gets from other replicas what the next answer may need, before it is asked for.
    async fn prepare(&self) {
        let (caller, lacks) = {
            let meter = self.meter.lock();
            (meter.caller(), meter.lacks())
        };
        if let Some(lacks) = lacks {
            caller.prepare_part(lacks).await;
        }
    }

    /// From the client to the provider.
    async fn listen(&self, from: &mut Source, to: &mut Sink, judge: &mut Judge) -> End {
        let mut ping = pings();
        loop {
            let message = tokio::select! {
                message = from.next() => message,
                _ = ping.tick() => {
                    if to.send(Message::Ping(Bytes::new())).await.is_err() {
                        return End::provider_broke("the connection to the provider broke");
                    }
                    continue;
                }
            };
            self.heard.lock().client = Instant::now();
            let verdict = match message {
                None
                | Some(Err(
                    Error::ConnectionClosed
                    | Error::AlreadyClosed
                    | Error::Io(_)
                    | Error::Protocol(ProtocolError::ResetWithoutClosingHandshake),
                )) => return End::client_left(),
                Some(Err(error)) => return End::client_wrong(&error, self.bounds.realtime.message_limit),
                Some(Ok(Message::Close(frame))) => return End::client_closed(frame),
                Some(Ok(Message::Text(text))) => match Text::try_from(Bytes::from(text)) {
                    Ok(text) => {
                        judge.hear(&text).await;
                        self.prepare().await;
                        judge.event(text, &mut self.meter.lock())
                    }
                    Err(error) => return End::broken(Failure::new(FailureKind::Internal, error.to_string())),
                },
                Some(Ok(Message::Binary(bytes))) => {
                    self.prepare().await;
                    let judged = judge.bytes(&bytes, &mut self.meter.lock());
                    match judged {
                        Some(verdict) => verdict,
                        None => {
                            self.heard.lock().message = Instant::now();
                            if to.send(Message::Binary(bytes)).await.is_err() {
                                return End::provider_broke("the connection to the provider broke");
                            }
                            continue;
                        }
                    }
                }
                // Answered already, by whoever reads the connection.
                Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => continue,
            };
            self.heard.lock().message = Instant::now();
            match verdict {
                Verdict::Pass(text) => {
                    if to.send(Message::Text(as_message(text))).await.is_err() {
                        return End::provider_broke("the connection to the provider broke");
                    }
                }
                Verdict::Answer(failure, about) => {
                    let event = realtime::error_event(&failure, about.as_deref(), &self.event_id());
                    if self.answers.send(event).await.is_err() {
                        return End::client_left();
                    }
                }
                Verdict::End(failure) => return End::denied(failure),
            }
        }
    }

    /// From the provider, and from here, to the client.
    async fn speak(
        &self,
        from: &mut Source,
        to: &mut Sink,
        answers: &mut tokio::sync::mpsc::Receiver<String>,
    ) -> End {
        let mut ping = pings();
        loop {
            let message = tokio::select! {
                message = from.next() => message,
                Some(answer) = answers.recv() => {
                    if to.send(Message::Text(answer.into())).await.is_err() {
                        return End::client_left();
                    }
                    continue;
                }
                _ = ping.tick() => {
                    if to.send(Message::Ping(Bytes::new())).await.is_err() {
                        return End::client_left();
                    }
                    continue;
                }
            };
            self.heard.lock().provider = Instant::now();
            let message = match message {
                None => return End::provider_broke("the provider ended the connection"),
                Some(Err(error)) => return End::provider_wrong(&error, self.bounds.realtime.message_limit),
                Some(Ok(Message::Close(frame))) => {
                    return End::provider_closed(frame, self.meter.lock().is_busy());
                }
                Some(Ok(Message::Text(text))) => match self.told(text) {
                    Ok(text) => Message::Text(text),
                    Err(failure) => return End::told(failure),
                },
                Some(Ok(Message::Binary(bytes))) => Message::Binary(bytes),
                Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => continue,
            };
            self.heard.lock().message = Instant::now();
            if to.send(message).await.is_err() {
                return End::client_left();
            }
        }
    }

    /// Settles what an event tells of, and says how it goes on.
    fn told(&self, text: Utf8Bytes) -> Result<Utf8Bytes, Failure> {
        let internal = |error: String| Failure::new(FailureKind::Provider, error);
        let text = Text::try_from(Bytes::from(text)).map_err(|error| internal(error.to_string()))?;
        let event = ServerEvent::read(&text)
            .map_err(|error| internal(format!("the provider's event makes no sense: {}", error.message)))?;
        let named = matches!(&event, ServerEvent::Session(session) if session.model.is_some());
        self.meter.lock().told(event)?;
        if !named {
            return Ok(as_message(text));
        }
        let renamed = realtime::put(text.as_bytes(), realtime::SESSION_MODEL, &self.model)
            .map_err(|error| internal(error.to_string()))?;
        Utf8Bytes::try_from(renamed).map_err(|error| internal(error.to_string()))
    }

    /// Watches the time.
    async fn watch(&self) -> End {
        let times = self.bounds.realtime;
        let mut stopped: Option<Instant> = None;
        loop {
            tokio::time::sleep(TICK).await;
            let heard = *self.heard.lock();
            if heard.client.elapsed() > SILENCE {
                return End::client_left();
            }
            if heard.provider.elapsed() > SILENCE {
                return End::provider_broke("the provider does not say any more that it is there");
            }
            if heard.message.elapsed() > times.idle_timeout.get() {
                return End::idle(times.idle_timeout.get());
            }
            if self.begun.elapsed() > times.session_limit.get() {
                return End::expired(times.session_limit.get());
            }
            if let Some(key) = &self.caller.key
                && self.worker.shared.keys.claimed(key.as_str()).is_err()
            {
                return End::denied(disowned());
            }
            if self.worker.is_stopping() {
                let since = *stopped.get_or_insert_with(Instant::now);
                let left = self.bounds.drain.saturating_sub(BEFORE_DRAIN_ENDS);
                if !self.meter.lock().is_busy() || since.elapsed() >= left {
                    return End::stopping();
                }
            }
        }
    }

    fn event_id(&self) -> String {
        format!("event_{}", self.worker.next_id().trim_start_matches("req_"))
    }
}

fn disowned() -> Failure {
    let message = "this key was revoked or has expired; create one with `pointsman key create`";
    Failure::new(FailureKind::Authentication, message).coded("invalid_api_key")
}

/// When a side is asked whether it is still there.
fn pings() -> Interval {
    let mut pings = interval_at(tokio::time::Instant::now() + PING, PING);
    pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
    pings
}

/// A text as a message, without being copied.
fn as_message(text: Text) -> Utf8Bytes {
    // What was a text is one: this cannot fail.
    Utf8Bytes::try_from(text.into_bytes()).unwrap_or_default()
}

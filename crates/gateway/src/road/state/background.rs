//! Responses that run in the background: each on a task of its own, which ends it whatever happens.

use std::sync::Arc;

use futures_util::{StreamExt, stream};
use http::{HeaderValue, StatusCode, header};
use http_body_util::BodyExt;
use pointsman_store::KeptEvent;
use pointsman_wire::form::{Failure, FailureKind};
use pointsman_wire::sse::{SseDecoder, SseEvent};

use super::super::arrive::Asked;
use super::super::relay::Framing;
use super::super::{Arrival, Refusal, Ticket, converse};
use super::said::Said;
use super::told::{self, Told};
use super::turn::Turn;
use crate::reply::{self, Reply, ReplyBody};
use crate::state::{Keeper, Run, failed, unreadable};
use crate::worker::Worker;

/// Begins the run of a request that was admitted. Its client has the id only when the store has it.
///
/// # Errors
/// 429 when too many run, 503 when the store cannot be asked.
pub async fn begin(
    worker: &Arc<Worker>,
    arrival: &Arrival,
    (asked, ticket): (Asked, Ticket),
    turn: Turn,
    said: &Said<'_>,
) -> Result<Reply, Refusal> {
    let keeper = &worker.shared.keeper;
    let body = turn.queued(said);
    let Some(record) = turn.record(&body, Some(keeper.owner()), Vec::new()) else {
        let message = format!(
            "the input is larger than responses.max_bytes ({})",
            turn.max_bytes
        );
        return Err(ticket.refuse(Failure::new(FailureKind::TooLarge, message).at("input")));
    };
    let run = Arc::new(Run::new(&turn.id, &turn.tenant, body.clone(), said.stream));
    let limit = arrival.snapshot.responses.max_background;
    if !keeper.runs.begin(&run, limit) {
        let message = format!("{limit} responses run in the background already; wait for one, or cancel one");
        return Err(ticket
            .refuse(Failure::new(FailureKind::RateLimited, message).coded("too_many_background_responses")));
    }
    // From here on the run is ended by its owner, also when this client goes away.
    let mut running = Running {
        keeper: Arc::clone(keeper),
        run: Arc::clone(&run),
        turn,
        ended: false,
    };
    let begun = keeper
        .ask(move |store| store.keep(&record.response, &[], false))
        .await;
    if let Err(failure) = begun.and_then(|kept| kept.map_err(|error| unreadable(&error))) {
        running.abandon();
        return Err(ticket.refuse(failure));
    }
    tokio::spawn(drive(Arc::clone(worker), arrival.clone(), asked, ticket, running));
    if said.stream {
        Ok(follow(run, None))
    } else {
        Ok(reply::json_bytes(StatusCode::OK, body.into()))
    }
}

/// How a run ended.
enum End {
    /// With the event that says so.
    Told {
        name: String,
        data: String,
        response: String,
    },
    Failed(Failure),
    Cancelled,
}

async fn drive(worker: Arc<Worker>, arrival: Arrival, asked: Asked, ticket: Ticket, mut running: Running) {
    let _held = worker.hold();
    let mut stops = running.run.stops();
    let end = tokio::select! {
        biased;
        _ = stops.wait_for(|stop| *stop) => End::Cancelled,
        end = carry(&worker, &arrival, asked, ticket, &running) => end,
    };
    running.finish(end);
}

/// Sends the request down the road, and takes in what comes back.
async fn carry(
    worker: &Arc<Worker>,
    arrival: &Arrival,
    asked: Asked,
    ticket: Ticket,
    running: &Running,
) -> End {
    let reply = match Box::pin(converse::carry(worker, arrival, asked, ticket)).await {
        Ok(reply) => reply,
        Err(refusal) => return End::Failed(refusal.failure),
    };
    let mut body = reply.into_body();
    let mut decoder = SseDecoder::default();
    let mut events = Vec::new();
    let mut end = None;
    // To the very end, so that the provider's connection serves again.
    while let Some(Ok(frame)) = body.frame().await {
        let Ok(data) = frame.into_data() else { continue };
        if let Err(error) = decoder.push(&data, &mut events) {
            return End::Failed(Failure::new(FailureKind::Provider, error.to_string()));
        }
        for event in events.drain(..) {
            match running.take(&event) {
                Ok(told) => end = end.or(told),
                Err(failure) => return End::Failed(failure),
            }
        }
    }
    end.unwrap_or_else(|| {
        End::Failed(Failure::new(
            FailureKind::Provider,
            "the provider's stream ended before the response was complete",
        ))
    })
}

/// A run and its turn; a run that is dropped has failed.
struct Running {
    keeper: Arc<Keeper>,
    run: Arc<Run>,
    turn: Turn,
    ended: bool,
}

impl Running {
    /// Takes an event in; gives the end, if it is one.
    fn take(&self, event: &SseEvent) -> Result<Option<End>, Failure> {
        let Ok(read) = serde_json::from_str::<Told<'_>>(&event.data) else {
            return Ok(None);
        };
        if read.kind() == "error" {
            return Err(told::failure_of(&read));
        }
        let shaped = read
            .response
            .and_then(|response| self.turn.shape(response.get(), true));
        if read.is_end() {
            return Ok(Some(End::Told {
                name: read.kind().to_owned(),
                data: event.data.to_string(),
                response: shaped.unwrap_or_default(),
            }));
        }
        let number = self.number(read.sequence_number);
        let data = told::with(&event.data, shaped.as_deref(), Some(number));
        if let Some(shaped) = shaped {
            self.run.stands(shaped);
        }
        self.tell(number, event.event.as_deref(), &data)?;
        Ok(None)
    }

    /// Numbers only grow, whatever the provider says.
    fn number(&self, said: Option<u64>) -> u64 {
        let next = self.run.next_number();
        said.filter(|said| *said >= next).unwrap_or(next)
    }

    fn tell(&self, sequence: u64, name: Option<&str>, data: &str) -> Result<(), Failure> {
        let event = told::event(name, data);
        if self.run.tell(KeptEvent { sequence, event }) > self.turn.max_bytes {
            let message =
                "the response's events are larger than responses.max_bytes; run it without `stream`";
            return Err(Failure::new(FailureKind::TooLarge, message).coded("server_error"));
        }
        Ok(())
    }

    /// Ends the run: kept first, then told.
    fn finish(&mut self, end: End) {
        self.ended = true;
        let (name, data, mut response) = match end {
            End::Told { name, data, response } => (name, data, response),
            End::Failed(failure) => {
                let code = match failure.kind {
                    FailureKind::RateLimited | FailureKind::QuotaExceeded => "rate_limit_exceeded",
                    FailureKind::InvalidRequest => "invalid_prompt",
                    _ => "server_error",
                };
                let response = failed(&self.run.body(), "failed", Some((code, &failure.message)));
                ("response.failed".to_owned(), "{}".to_owned(), response)
            }
            // There is no event of that name.
            End::Cancelled => (
                "response.incomplete".to_owned(),
                "{}".to_owned(),
                failed(&self.run.body(), "cancelled", None),
            ),
        };
        if self.turn.record(&response, None, Vec::new()).is_none() {
            let message = "the response is larger than responses.max_bytes";
            response = failed(&self.run.body(), "failed", Some(("server_error", message)));
        }
        let number = self.number(None);
        let data = told::with(&data, Some(&response), Some(number));
        let data = with_type(&data, &name);
        // The last event is told whatever its size.
        let _ = self.tell(number, Some(&name), &data);
        let (events, _) = self.run.events(None);
        let record = self.turn.record(&response, None, events);
        if !record.is_some_and(|record| self.keeper.keep(record)) {
            tracing::error!(id = %self.turn.id, "the end of a background response could not be kept");
        }
        self.run.stands(response);
        self.run.end();
        self.keeper.runs.forget(&self.run.id);
    }

    /// Forgets a run that never began.
    fn abandon(&mut self) {
        self.ended = true;
        self.run.end();
        self.keeper.runs.forget(&self.run.id);
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if !self.ended {
            let message = "the gateway was stopped before the response was complete; ask again";
            self.finish(End::Failed(Failure::new(FailureKind::Unavailable, message)));
        }
    }
}

fn with_type(data: &str, name: &str) -> String {
    let mut edits = pointsman_wire::splice::Edits::new();
    edits.set_string("type", name);
    let edited = edits.apply(&bytes::Bytes::copy_from_slice(data.as_bytes()));
    let text = edited
        .ok()
        .and_then(|edited| String::from_utf8(edited.to_vec()).ok());
    text.unwrap_or_else(|| data.to_owned())
}

/// The events of a run behind `after`, as they come about.
pub fn follow(run: Arc<Run>, after: Option<u64>) -> Reply {
    let changes = run.changes();
    let events = stream::unfold(
        (run, changes, after, true),
        |(run, mut changes, mut after, more)| async move {
            if !more {
                return None;
            }
            loop {
                // Seen before it is looked, so that no change is slept through.
                changes.borrow_and_update();
                let (events, more) = run.events(after);
                if let Some(last) = events.last() {
                    after = Some(last.sequence);
                    let bytes: String = events.into_iter().map(|event| event.event).collect();
                    return Some((bytes.into(), (run, changes, after, more)));
                }
                if !more || changes.changed().await.is_err() {
                    return None;
                }
            }
        },
    );
    streamed(ReplyBody::Told(events.boxed()))
}

/// A reply that is a stream of events.
pub fn streamed(body: ReplyBody) -> Reply {
    let mut reply = Reply::new(body);
    Framing::Events.describe(reply.headers_mut());
    reply
        .headers_mut()
        .entry(header::CACHE_CONTROL)
        .or_insert(HeaderValue::from_static("no-cache"));
    reply
}

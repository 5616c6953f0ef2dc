//! Answers that are past their time and are still given: one of those who get one has it asked for anew, behind the scenes.
//!
//! What is asked for anew is a request of its own, with an id and a line in the ledger, on behalf of whoever met the old
//! answer. One at a time is under way for each key, and so many of all.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::{HeaderName, HeaderValue};
use http_body_util::BodyExt;
use pointsman_cache::{CacheKey, Flight, Joined};
use pointsman_governance::Principal;
use pointsman_wire::format::Format;

use super::super::arrive::Asked;
use super::super::{Arrival, Ticket, converse};
use super::Recalled;
use crate::surface::Delivery;
use crate::worker::Worker;

/// Requests of this sort at once.
const MOST: usize = 64;
const CONTROL: HeaderName = HeaderName::from_static("x-pointsman-cache-control");

/// What is asked anew.
struct Anew {
    key: CacheKey,
    caller: Arc<Principal>,
    format: Format,
    body: Bytes,
    flight: Flight<Recalled>,
    _room: Room,
}

/// A place among those that are under way; free again however it ends.
struct Room(Arc<Worker>);

impl Room {
    /// A place, if there is one.
    fn take(worker: &Arc<Worker>) -> Option<Self> {
        let refreshing = &worker.shared.cache.refreshing;
        let taken = Self(Arc::clone(worker));
        (refreshing.fetch_add(1, Ordering::Relaxed) < MOST).then_some(taken)
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        self.0.shared.cache.refreshing.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Has the answer under `key` asked for anew, unless that is under way. Must be called within a runtime.
pub fn start((worker, arrival): (&Arc<Worker>, &Arrival), asked: &Asked, ticket: &Ticket, key: CacheKey) {
    let cache = &worker.shared.cache;
    // What the gateway keeps of a conversation was put before this stage; it is not in the client's bytes.
    if asked.answer_id.is_some() || worker.is_stopping() {
        return;
    }
    let Joined::Leads(flight) = cache.flights.join(key) else {
        return;
    };
    let Some(room) = Room::take(worker) else {
        return;
    };
    let anew = Anew {
        key,
        caller: ticket.shared_caller(),
        format: asked.format,
        body: asked.body.clone(),
        flight,
        _room: room,
    };
    let mut arrival = arrival.clone();
    arrival.id = worker.next_id();
    arrival.started = Instant::now();
    arrival
        .headers
        .insert(CONTROL, HeaderValue::from_static("no-cache"));
    tracing::debug!(id = arrival.id, peer = %arrival.peer, "an answer past its time is asked for anew");
    tokio::spawn(run(Arc::clone(worker), arrival, anew));
}

/// Boxed, because the road that it takes is the one that it comes from.
fn run(worker: Arc<Worker>, arrival: Arrival, anew: Anew) -> BoxFuture<'static, ()> {
    Box::pin(async move {
        let _held = worker.hold();
        let began = Instant::now();
        let asked = (anew.format, Delivery::Whole);
        let reply = converse::travel(&worker, &arrival, anew.caller, asked, anew.body).await;
        if let Ok(reply) = reply {
            // To its end, where it is settled.
            let mut body = reply.into_body();
            while let Some(Ok(_)) = body.frame().await {}
        }
        let cache = &worker.shared.cache;
        let given = cache.exact.get_again(&anew.key, Instant::now());
        if let Some(answer) = given.as_ref().and_then(|kept| kept.answer())
            && answer.stored >= began
        {
            anew.flight.land(Recalled {
                answer: Arc::clone(answer),
                similarity: None,
            });
        }
    })
}

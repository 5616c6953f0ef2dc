//! Several models for one answer: the loops of decisions, between *decide* and *relay*.
//!
//! What is asked, and what is made of answers, is decided by `routing::loops`; here it is carried out. Every call is
//! admitted and settled by itself ([`ring`]): it has its own row in the ledger, under the request's id and its number. The
//! request's row has none of that again. Calls are parts of the request's own future: when its client goes away, they all
//! end, and each is charged what it had used.

pub(super) mod answer;
mod confidence;
mod fusion;
mod ratings;
mod remom;
mod request;
pub(super) mod ring;
mod together;
mod workflows;

use std::sync::Arc;
use std::time::Instant;

use pointsman_routing::loops::{Loop, LoopKind};
use pointsman_wire::form::Failure;

use super::arrive::Asked;
use super::send::Answer;
use super::{Arrival, Ticket, decide, guard, relay, send, settle};
use crate::worker::Worker;
use answer::Done;
use ring::Ring;

/// Asks as the loop says.
///
/// # Errors
/// What is left of a loop that nobody answered, or one of whose models failed where none may.
pub async fn run(
    worker: &Arc<Worker>,
    arrival: &Arrival,
    asked: &mut Asked,
    looped: &Loop,
    ticket: &mut Ticket,
) -> Result<Answer, Failure> {
    let begun = Instant::now();
    ticket.keep_place();
    let (done, tally) = {
        let ring = Ring::new((worker, arrival), asked, looped, ticket);
        let done = Box::pin(go(&ring, looped)).await;
        (done, ring.tally())
    };
    ticket.waited(begun.elapsed());
    tally.tell(looped.name(), ticket);
    done.map(|done| answer::given(done, asked, ticket))
}

async fn go(ring: &Ring<'_>, looped: &Loop) -> Result<Done, Failure> {
    match &looped.kind {
        LoopKind::Confidence(ladder) => confidence::run(ring, ladder).await,
        LoopKind::Ratings(ratings) => ratings::run(ring, ratings).await,
        LoopKind::Remom(rounds) => remom::run(ring, rounds, &looped.contract).await,
        LoopKind::Fusion(panel) => fusion::run(ring, panel, &looped.contract).await,
        LoopKind::Workflows(steps) => workflows::run(ring, steps, &looped.contract).await,
    }
}

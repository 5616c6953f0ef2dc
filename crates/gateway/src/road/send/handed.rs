//! The body of a line that goes to a provider in one of its own batches.

use std::sync::Arc;

use bytes::Bytes;
use pointsman_wire::form::Failure;

use super::super::arrive::Asked;
use super::super::decide::Step;
use super::super::{Arrival, Ticket};
use super::attempt::Exchange;
use super::request;
use crate::snapshot::{Speech, Target};
use crate::worker::Worker;

/// Writes the body for `target`; none where the answer might have to be asked for twice, which a batch cannot do.
///
/// # Errors
/// 400 when the request cannot be expressed in the provider's format; the field is named.
pub fn body(
    (worker, arrival): (&Arc<Worker>, &Arrival),
    (asked, step): (&Asked, &Step),
    (target, speech): (&Target, &Speech),
    ticket: &mut Ticket,
) -> Result<Option<Bytes>, Failure> {
    let exchange = Exchange {
        worker,
        arrival,
        asked,
        step,
        is_read: true,
        first: None,
    };
    let wanted = exchange.wanted(target, speech).map_err(|failed| failed.failure)?;
    if wanted.is_some() {
        return Ok(None);
    }
    // Who takes batches takes URLs.
    let fetched = None;
    let said = request::Said { asked, fetched };
    let outgoing = request::body((arrival, &said), step, target, speech)?;
    ticket.lost(&outgoing.losses);
    Ok(Some(outgoing.body))
}

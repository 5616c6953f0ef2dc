//! The gate of a provider: what all callers together may send to it is taken before it is sent anything.

use std::fmt::Write as _;

use futures_util::future::BoxFuture;
use pointsman_governance::{Denial, DenialKind, Sent};
use pointsman_upstream::Failure as Fault;

use super::super::{Ticket, admit};
use super::Failed;
use crate::snapshot::Target;

/// Takes what is sent to `target` for `model`, as the provider names it; the ticket settles it with what it used. Where the
/// provider has no limits, nobody asks what is sent.
///
/// # Errors
/// When a limit of the provider has no room: it is not asked, and another may be.
pub async fn enter(
    ticket: &mut Ticket,
    target: &Target,
    model: &str,
    sent: impl FnOnce() -> Sent,
) -> Result<(), Failed> {
    // What an attempt before this one has taken may be of the same provider.
    ticket.left();
    let gate = &target.provider.gate;
    if gate.is_open() {
        return Ok(());
    }
    let entering: BoxFuture<'_, _> = Box::pin(gate.enter(model, sent()));
    let entered = entering
        .await
        .map_err(|denial| full(&target.provider.name, denial))?;
    ticket.entered(entered);
    Ok(())
}

fn full(provider: &str, mut denial: Denial) -> Failed {
    // It is not the caller's money that is spent: how much there is, only the operator is told.
    if denial.kind == DenialKind::Budget {
        tracing::debug!(provider, reason = %denial.message, "a budget of a provider has no room");
        denial.kind = DenialKind::Quota;
        denial.message = format!("the provider {provider:?} has no budget left");
        // What is reserved may come back before the budget begins anew.
        if let Some(wait) = denial.retry_after {
            let _ = write!(denial.message, "; try again in {} seconds", wait.as_secs().max(1));
        }
    }
    let failure = admit::denied(denial);
    Failed {
        retry_after: failure.retry_after,
        failure,
        fault: Some(Fault::Full),
    }
}

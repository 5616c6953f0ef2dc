//! The gate of a provider: what all callers together may send to it, and what the holders of this one may use there, is
//! taken before it is sent anything.

use std::fmt::Write as _;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use pointsman_governance::{Denial, DenialKind, Principal, Reservation, Sent};
use pointsman_upstream::Failure as Fault;

use super::super::{Ticket, admit};
use super::Failed;
use crate::snapshot::Target;

/// Takes what is sent to `target` for `model`, as the provider names it; the ticket settles it with what it used. Where
/// nothing is limited there, nobody asks what is sent.
///
/// # Errors
/// When a limit of the provider, or of who asks there, has no room: it is not asked, and another may be.
pub async fn enter(
    ticket: &mut Ticket,
    target: &Target,
    model: &str,
    sent: impl FnOnce() -> Sent,
) -> Result<(), Failed> {
    // What an attempt before this one has taken may be of the same provider.
    ticket.left();
    let provider = &target.provider;
    if provider.gate.before(ticket.caller(), &provider.name).is_open() {
        return Ok(());
    }
    let entering: BoxFuture<'_, _> = Box::pin(take(ticket.shared_caller(), target, model, sent()));
    let entered = entering
        .await
        .map_err(|denial| full(&target.provider.name, denial))?;
    ticket.entered(entered);
    Ok(())
}

async fn take(
    caller: Arc<Principal>,
    target: &Target,
    model: &str,
    sent: Sent,
) -> Result<Option<Reservation>, Denial> {
    let provider = &target.provider;
    let entrance = provider.gate.before(&caller, &provider.name);
    entrance.enter(model, sent).await
}

fn full(provider: &str, mut denial: Denial) -> Failed {
    // It is not the caller's money that is spent: how much there is, only the operator is told.
    if denial.kind == DenialKind::Budget && denial.is_of_provider {
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

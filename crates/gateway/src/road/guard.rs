//! Stage *guard*: input guardrails over the one text view of the conversation.

use pointsman_guard::Stage;
use pointsman_wire::form::{Failure, FailureKind};
use pointsman_wire::text::{self, TextStage};

use super::arrive::Asked;
use super::{Arrival, Ticket};

/// Shows every text of the request to the guardrails of its stage.
///
/// # Errors
/// 403 when one of them blocks.
pub fn input(arrival: &Arrival, asked: &mut Asked, ticket: &mut Ticket) -> Result<(), Failure> {
    let guards = &arrival.snapshot.guards;
    if guards.for_stage(Stage::Input).is_empty() && guards.for_stage(Stage::ToolResult).is_empty() {
        return Ok(());
    }
    let mut blocked = None;
    let flags = &mut ticket.facts.flags;
    let edited = text::rewrite(&mut asked.request, |location, text| {
        if blocked.is_some() {
            return None;
        }
        let stage = if location.stage == TextStage::ToolResult {
            Stage::ToolResult
        } else {
            Stage::Input
        };
        let verdict = guards.for_stage(stage).inspect(text);
        flags.extend(verdict.flags.into_iter().map(|flag| flag.guard));
        blocked = verdict.blocked;
        verdict.rewritten
    });
    asked.edited |= edited;
    match blocked {
        Some(block) => Err(refusal(&block)),
        None => Ok(()),
    }
}

/// A block, as a failure.
pub fn refusal(block: &pointsman_guard::Block) -> Failure {
    Failure::new(
        FailureKind::PermissionDenied,
        format!("guardrail {:?} blocked this: {}", block.guard, block.reason),
    )
    .coded("guardrail_blocked")
}

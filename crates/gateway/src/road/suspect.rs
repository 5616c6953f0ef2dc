//! Within *relay*: does an answer show that the model was talked out of its instructions (`response_jailbreak`)?
//!
//! Only whole answers can be judged: a decision that wants it has its answers read whole, and told as a stream afterwards.

use std::sync::Arc;
use std::time::Duration;

use pointsman_routing::AnswerAction;
use pointsman_understanding::Ask;
use pointsman_wire::form::{ChatResponse, Failure, FailureKind};
use pointsman_wire::text;
use tokio::sync::Mutex;

use super::arrive::Asked;
use super::understand::Remote;
use super::{Arrival, Ticket};

/// The head that tells attacks, and its label for one.
const HEAD: &str = "jailbreak";
const ATTACK: &str = "attack";
/// How long all texts of an answer may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// When to come back where an answer could not be judged.
const COME_BACK: Duration = Duration::from_secs(1);

/// Judges a whole answer, where what was decided says so.
///
/// # Errors
/// 403 when it must not be given, 503 when it could not be judged and only what was judged may be given.
pub async fn judge(
    (arrival, asked): (&Arrival, &Asked),
    response: &ChatResponse,
    ticket: &mut Ticket,
) -> Result<(), Failure> {
    let Some(wanted) = asked.suspicion else {
        return Ok(());
    };
    let most = tokio::time::timeout(PATIENCE, worst(arrival, response, ticket)).await;
    let Some(probability) = most.ok().flatten() else {
        if wanted.action == AnswerAction::Block {
            let message = "response_jailbreak could not judge the answer";
            let mut failure = Failure::new(FailureKind::Unavailable, message).coded("guardrail_unavailable");
            failure.retry_after = Some(COME_BACK);
            return Err(failure);
        }
        ticket.facts.suspicion = Some(Suspicion::Unjudged);
        return Ok(());
    };
    if f64::from(probability) < wanted.threshold {
        return Ok(());
    }
    ticket.facts.flags.push("response_jailbreak".to_owned());
    match wanted.action {
        AnswerAction::Block => {
            let message = "response_jailbreak blocked this: the answer looks like the work of an attack";
            Err(Failure::new(FailureKind::PermissionDenied, message).coded("guardrail_blocked"))
        }
        AnswerAction::Header => {
            ticket.facts.suspicion = Some(Suspicion::Likely(probability));
            Ok(())
        }
        AnswerAction::Note => Ok(()),
    }
}

/// What is told of an answer in its head.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Suspicion {
    /// How probably it shows an attack.
    Likely(f32),
    /// Nobody could tell.
    Unjudged,
}

/// The greatest probability of any of its texts; none where one could not be read.
async fn worst(arrival: &Arrival, response: &ChatResponse, ticket: &mut Ticket) -> Option<f32> {
    let mut texts: Vec<Arc<str>> = Vec::new();
    text::response_texts(response, |_, text| {
        if !text.trim().is_empty() {
            texts.push(text.into());
        }
    });
    let worker = Arc::clone(ticket.worker());
    let lent = Mutex::new(&mut *ticket);
    let remote = Remote::new(&worker, arrival, &lent);
    let ask = Ask::head(HEAD);
    let mut most = 0.0_f32;
    for text in &texts {
        match arrival.snapshot.understanding.read(text, &ask, &remote).await {
            Ok(read) => most = most.max(read.head(HEAD)?.of(ATTACK)),
            Err(error) => {
                tracing::warn!(%error, "an answer could not be judged");
                return None;
            }
        }
    }
    Some(most)
}

//! Stage *guard*: guardrails over the one text view of the conversation, and what they replaced, put back into answers.

use std::sync::Arc;
use std::time::Duration;

use pointsman_governance::Principal;
use pointsman_guard::{
    Askable, Block, Grounds, Guards, Placeholders, Restorer, Reviewed, Shown, Sort, Stage,
};
use pointsman_wire::form::{ChatResponse, Failure, FailureKind};
use pointsman_wire::text::{self, TextStage};

use super::arrive::Asked;
use super::decide::Plan;
use super::{Arrival, Ticket};
use crate::worker::Worker;

/// When to come back where a text could not be judged.
const COME_BACK: Duration = Duration::from_secs(1);

/// The guardrails of a request for `model`: those that always act, and those that its caller or the model names.
///
/// # Errors
/// 503 when the caller's key names one that there is not: without it nothing may pass.
pub fn of(arrival: &Arrival, caller: &Principal, model: &str) -> Result<Arc<Guards>, Failure> {
    let snapshot = &arrival.snapshot;
    if let Some(missing) = caller.guardrails().find(|name| !snapshot.guards.has(name)) {
        let message = format!("guardrail {missing:?}, which this key or its holders name, is not configured");
        return Err(Failure::new(FailureKind::Unavailable, message).coded("guardrail_unavailable"));
    }
    if !snapshot.guards.varies() {
        return Ok(Arc::clone(snapshot.guards.always()));
    }
    let model = snapshot.resolve(model).ok();
    let named = model.iter().flat_map(|model| model.guardrails.iter());
    let named = caller.guardrails().chain(named.map(|name| &**name));
    Ok(snapshot.guards.of(named, &arrival.id))
}

/// Shows every text of the request to the guardrails of its stage.
///
/// # Errors
/// 403 when one of them blocks, 503 when one could not judge and may not let that pass.
pub async fn input(arrival: &Arrival, asked: &mut Asked, ticket: &mut Ticket) -> Result<(), Failure> {
    asked.guards = of(arrival, ticket.caller(), &asked.request.model)?;
    asked.placeholders = asked.guards.placeholders();
    let guards = Arc::clone(&asked.guards);
    show(&guards, (arrival, asked), ticket).await
}

/// Shows the request to its guardrails once more, after a model has rewritten a part of it. What they replaced stays so.
///
/// # Errors
/// As [`input`].
pub async fn again(arrival: &Arrival, asked: &mut Asked, ticket: &mut Ticket) -> Result<(), Failure> {
    let guards = Arc::clone(&asked.guards);
    show(&guards, (arrival, asked), ticket).await
}

/// Shows the request to those guardrails that only its decision, or the models which may answer it, name, once it is
/// decided which these are. Of a loop there is no plan: its models name none.
///
/// # Errors
/// As [`input`].
pub async fn decided(
    arrival: &Arrival,
    asked: &mut Asked,
    plan: Option<&Plan>,
    ticket: &mut Ticket,
) -> Result<(), Failure> {
    let guards = &arrival.snapshot.guards;
    if !guards.varies() {
        return Ok(());
    }
    let steps = plan.into_iter().flat_map(|plan| &plan.steps);
    let named = steps.flat_map(|step| step.model.guardrails.iter());
    let caller = ticket.caller().guardrails();
    let named = caller.chain(named.map(|name| &**name));
    let named = named.chain(asked.decided_guards.iter().map(String::as_str));
    let all = guards.of(named, &arrival.id);
    let before = std::mem::replace(&mut asked.guards, Arc::clone(&all));
    let Some(further) = guards.beyond(&before, &all) else {
        return Ok(());
    };
    if !asked.placeholders.is_open() {
        asked.placeholders = further.placeholders();
    }
    let earlier = asked.rerouted.clone();
    show(&further, (arrival, &mut *asked), ticket).await?;
    if asked.rerouted != earlier {
        let message =
            "a guardrail of the decision, or of the model that was decided on, wants another model to answer";
        return Err(Failure::new(FailureKind::PermissionDenied, message).coded("guardrail_blocked"));
    }
    Ok(())
}

async fn show(
    guards: &Guards,
    (arrival, asked): (&Arrival, &mut Asked),
    ticket: &mut Ticket,
) -> Result<(), Failure> {
    if [Stage::Input, Stage::ToolResult]
        .into_iter()
        .all(|stage| guards.for_stage(stage).is_empty())
    {
        return Ok(());
    }
    let mut texts = Vec::new();
    // Nothing is rewritten: this way no text can be judged that was not shown.
    text::rewrite(&mut asked.request, |location, text| {
        texts.push(shown(location.stage, text));
        None
    });
    let worker = Arc::clone(ticket.worker());
    let reviewed = review((&worker, arrival), guards, texts, &asked.placeholders).await;
    ticket.judged(&reviewed);
    let rewritten = allowed(reviewed).map(|(rewritten, rerouted)| {
        if let Some(model) = rerouted {
            asked.request.model = model.as_str().into();
            asked.rerouted = Some(model);
        }
        rewritten
    })?;
    let mut each = rewritten.into_iter();
    asked.edited |= text::rewrite(&mut asked.request, |_, _| each.next().flatten());
    Ok(())
}

/// Asks whoever must be asked, and judges.
pub async fn review(
    (worker, arrival): (&Arc<Worker>, &Arrival),
    guards: &Guards,
    texts: Vec<Shown>,
    placeholders: &Placeholders,
) -> Reviewed {
    review_answer((worker, arrival), guards, (texts, None), placeholders).await
}

/// The same of an answer, with what it may go by.
pub async fn review_answer(
    (worker, arrival): (&Arc<Worker>, &Arrival),
    guards: &Guards,
    (texts, grounds): (Vec<Shown>, Option<&Grounds>),
    placeholders: &Placeholders,
) -> Reviewed {
    let askable = Askable {
        understanding: &arrival.snapshot.understanding,
        client: &worker.client,
        grounds,
    };
    Box::pin(guards.review(texts, askable, placeholders)).await
}

/// What texts become, and who answers instead.
pub type Allowed = (Vec<Option<String>>, Option<String>);

/// What the guardrails let go on.
///
/// # Errors
/// When one of them blocks.
pub fn allowed(reviewed: Reviewed) -> Result<Allowed, Failure> {
    match reviewed.blocked {
        Some(block) => Err(refusal(&block)),
        None => Ok((reviewed.rewritten, reviewed.rerouted)),
    }
}

/// Where a request cannot be answered by another model than the one it names, a guardrail that wants another blocks.
///
/// # Errors
/// When one of them blocks, or wants another model.
pub fn fixed(reviewed: Reviewed) -> Result<Vec<Option<String>>, Failure> {
    match allowed(reviewed)? {
        (rewritten, None) => Ok(rewritten),
        (_, Some(_)) => {
            let message =
                "a guardrail wants another model to answer, and this can only be asked of the one it names";
            Err(Failure::new(FailureKind::PermissionDenied, message).coded("guardrail_blocked"))
        }
    }
}

/// A text of the view, as guardrails know it.
pub fn shown(stage: TextStage, text: &str) -> Shown {
    Shown {
        text: text.into(),
        sort: sort(stage),
        stage: match stage {
            TextStage::ToolResult => Stage::ToolResult,
            _ => Stage::Input,
        },
    }
}

/// What sort of text it is.
pub fn sort(stage: TextStage) -> Sort {
    match stage {
        TextStage::User | TextStage::ToolResult => Sort::Foreign,
        TextStage::Instruction => Sort::Instruction,
        TextStage::Assistant | TextStage::Thinking => Sort::Model,
        TextStage::ToolCall => Sort::Arguments,
        TextStage::ToolDefinition => Sort::Definition,
    }
}

/// Puts back into an answer what was replaced in the question; true when there was something.
pub fn restore(placeholders: &Placeholders, response: &mut ChatResponse) -> bool {
    if !placeholders.is_restorable() {
        return false;
    }
    text::rewrite_response(response, |location, text| {
        let json = match location.stage {
            // Its provider vouches for it as it is.
            TextStage::Thinking => return None,
            stage => stage == TextStage::ToolCall,
        };
        let restored = Restorer::whole(placeholders, text, json);
        (restored != text).then_some(restored)
    })
}

/// The same of a text that is shown beside an answer.
pub fn restored(placeholders: &Placeholders, text: &str) -> String {
    if placeholders.is_restorable() {
        Restorer::whole(placeholders, text, false)
    } else {
        text.to_owned()
    }
}

/// The same of arguments, which are JSON.
pub fn restored_arguments(placeholders: &Placeholders, arguments: &str) -> String {
    if placeholders.is_restorable() {
        Restorer::whole(placeholders, arguments, true)
    } else {
        arguments.to_owned()
    }
}

/// A block, as a failure.
pub fn refusal(block: &Block) -> Failure {
    if block.unjudged {
        let message = format!(
            "guardrail {:?} could not judge this: {}",
            block.guard, block.reason
        );
        let mut failure = Failure::new(FailureKind::Unavailable, message).coded("guardrail_unavailable");
        failure.retry_after = Some(COME_BACK);
        return failure;
    }
    Failure::new(
        FailureKind::PermissionDenied,
        format!("guardrail {:?} blocked this: {}", block.guard, block.reason),
    )
    .coded("guardrail_blocked")
}

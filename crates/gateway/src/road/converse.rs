//! The road of a conversation's next turn: all the stages, in order.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use pointsman_governance::Principal;
use pointsman_wire::form::{Failure, FailureKind};
use pointsman_wire::format::Format;

use super::arrive::Asked;
use super::{
    Arrival, Refusal, Ticket, a2a, admit, arrive, decide, guard, imagine, looped, prompt, recall, recover,
    relay, send, shadow, tooled, transform,
};
use crate::reply::Reply;
use crate::surface::Delivery;
use crate::worker::Worker;

/// Decoded, put in order, admitted, guarded, looked up, decided, sent, relayed, settled.
pub async fn travel(
    worker: &Arc<Worker>,
    arrival: &Arrival,
    caller: Arc<Principal>,
    (format, delivery): (Format, Delivery),
    body: Bytes,
) -> Result<Reply, Refusal> {
    let (asked, ticket) = admitted(worker, arrival, caller, (format, delivery), body).await?;
    carry(worker, arrival, asked, ticket).await
}

/// The stages that say whether there will be an answer: decoded and admitted.
pub async fn admitted(
    worker: &Arc<Worker>,
    arrival: &Arrival,
    caller: Arc<Principal>,
    (format, delivery): (Format, Delivery),
    body: Bytes,
) -> Result<(Asked, Ticket), Refusal> {
    let mut asked = arrive::decode(arrival, (format, delivery), body)?;
    prompt::prepare(&arrival.snapshot.prompts, &mut asked)?;
    let ticket = admit::admit(worker, arrival, caller, &asked)
        .await
        .map_err(|failure| Refusal::from(failure).asking(&asked.request.model))?;
    Ok((asked, ticket))
}

/// The stages that answer what was admitted.
pub async fn carry(
    worker: &Arc<Worker>,
    arrival: &Arrival,
    mut asked: Asked,
    mut ticket: Ticket,
) -> Result<Reply, Refusal> {
    match prepare_and_send(worker, arrival, &mut asked, &mut ticket).await {
        Ok(Way::Recalled(found)) => relay::replay(&asked, ticket, &found),
        Ok(Way::Spoken(answer)) => relay::speak(&asked, ticket, &answer),
        Ok(Way::Sent(answer)) => relay::relay(arrival, &asked, ticket, answer).await,
        Err(failure) => Err(ticket.refuse(failure)),
    }
}

/// Where the answer comes from.
enum Way {
    /// The cache.
    Recalled(recall::Recalled),
    /// The configuration itself (`fast_response`), or a model that makes images.
    Spoken(Box<pointsman_wire::form::ChatResponse>),
    /// A provider.
    Sent(send::Answer),
}

/// Why an agent is told of no tools.
const AGENTS_HAVE_THEIR_OWN: &str =
    "agents have tools of their own, and are told of no MCP servers; name a model, or leave the servers out";
/// Why several models are told of none.
const SEVERAL_CALL_NONE: &str = "the decision for this request asks several models, which call no MCP servers; name one model, or leave the servers out";

async fn prepare_and_send(
    worker: &Arc<Worker>,
    arrival: &Arrival,
    asked: &mut Asked,
    ticket: &mut Ticket,
) -> Result<Way, Failure> {
    let tooled = tooled::open(arrival, asked)?;
    guard::input(arrival, asked, ticket).await?;
    // An agent does things and remembers: what it said before is no answer now.
    if let Some(agent) = a2a::named(&arrival.snapshot, ticket.caller(), &asked.request.model) {
        let agent = Arc::clone(agent);
        for_agents(asked, tooled.is_some())?;
        let asking = a2a::ask((worker, arrival), asked, agent, ticket);
        return Box::pin(asking).await.map(Way::Sent);
    }
    // Nor is what tools have done.
    if tooled.is_none()
        && let Some(remembered) = recall::look_up(worker, arrival, asked, ticket).await?
    {
        return Ok(Way::Recalled(remembered));
    }
    if asked.transforming.is_some() {
        let rewriting: BoxFuture<'_, _> = Box::pin(transform::request((worker, arrival), asked, ticket));
        rewriting.await?;
    }
    let taken = decide::decide(worker, arrival, asked, ticket).await?;
    if tooled.is_none()
        && taken.is_asked()
        && let Some(remembered) =
            recall::look_up_decided(worker, arrival, asked, ticket, taken.caching).await?
    {
        return Ok(Way::Recalled(remembered));
    }
    let plan = match taken.decided {
        decide::Decided::Answer(answer) => return Ok(Way::Spoken(answer)),
        decide::Decided::Image(image) => {
            let imagined = Box::pin(imagine::imagine((worker, arrival), asked, image, ticket)).await?;
            return Ok(Way::Spoken(imagined));
        }
        // Models in between have no tools, and nobody would know whose calls are to be made.
        decide::Decided::Loop(_) if tooled.is_some() => return Err(untold(SEVERAL_CALL_NONE)),
        decide::Decided::Loop(several) => {
            guard::decided(arrival, asked, None, ticket).await?;
            if let Some(other) = taken.shadow {
                shadow::take(arrival, asked, other, ticket);
            }
            return Box::pin(looped::run(worker, arrival, asked, several, ticket))
                .await
                .map(Way::Sent);
        }
        decide::Decided::Send(plan) => plan,
    };
    if plan.has_agent() {
        for_agents(asked, tooled.is_some())?;
    }
    guard::decided(arrival, asked, Some(&plan), ticket).await?;
    // Nobody does twice what tools do.
    if let Some(tooled) = tooled {
        let running = tooled::run((worker, arrival), asked, tooled, plan, ticket);
        return Box::pin(running).await.map(Way::Sent);
    }
    if let Some(other) = taken.shadow {
        shadow::take(arrival, asked, other, ticket);
    }
    if let Some(judge) = taken.judge {
        shadow::judge::take(arrival, asked, judge, ticket);
    }
    sent(worker, arrival, asked, plan, ticket).await.map(Way::Sent)
}

/// What whoever is asked answers; a failure is remembered, too.
async fn sent(
    worker: &Arc<Worker>,
    arrival: &Arrival,
    asked: &Asked,
    plan: decide::Plan,
    ticket: &mut Ticket,
) -> Result<send::Answer, Failure> {
    let sending: BoxFuture<'_, _> = match asked.omitted {
        None => Box::pin(send::send(worker, arrival, asked, plan, ticket)),
        Some(_) => Box::pin(recover::send(worker, arrival, asked, plan, ticket)),
    };
    sending
        .await
        .inspect_err(|failure| recall::keep_failure(ticket, asked, failure))
}

/// What an agent does is not done again by telling its answer anew, it is told of no servers, and nobody puts words into
/// its mouth.
fn for_agents(asked: &mut Asked, is_tooled: bool) -> Result<(), Failure> {
    if is_tooled {
        return Err(untold(AGENTS_HAVE_THEIR_OWN));
    }
    asked.place = None;
    asked.transforming = None;
    Ok(())
}

/// Servers that nobody would call.
fn untold(why: &str) -> Failure {
    Failure::new(FailureKind::InvalidRequest, why).at("tools")
}

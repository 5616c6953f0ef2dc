//! An operation at work: admitted, checked against what is whose, guarded, led to an instance, and settled before its
//! answer is told.

use std::sync::Arc;

use http::HeaderValue;
use pointsman_a2a::agent::{Instance, Way};
use pointsman_a2a::book::{Holder, Place};
use pointsman_a2a::call::{self, Call};
use pointsman_a2a::error::{A2aError, Kind};
use pointsman_a2a::event::Event;
use pointsman_a2a::json::Raw;
use pointsman_a2a::link::{self, Answer, EXTENSIONS_HEADER, Events, Failed, OLD_EXTENSIONS_HEADER, Said};
use pointsman_a2a::operation::Operation;
use pointsman_a2a::version::Version;
use pointsman_catalog::Money;
use pointsman_governance::{Estimate, fits};
use pointsman_store::Outcome;
use pointsman_wire::form::{Failure, FailureKind, Usage};

use super::judge::Judge;
use super::speech::Speech;
use super::{Desk, cards, hidden, list, model, model_name, push, stream};
use crate::reply::Reply;
use crate::road::settle::Ending;
use crate::road::{Refusal, Ticket, admit, guard};

/// Why there is no answer.
pub enum Stopped {
    /// A guardrail did not let it pass.
    Guarded(Failure),
    /// It is told as the protocol does; the outcome is for the ledger.
    Told(A2aError, Outcome),
}

impl Stopped {
    /// Refused here.
    fn here(error: A2aError) -> Self {
        Self::Told(error, Outcome::Refused)
    }
}

impl From<Failed> for Stopped {
    fn from(failed: Failed) -> Self {
        Self::Told(failed.into(), Outcome::ProviderFailed)
    }
}

impl From<Failure> for Stopped {
    fn from(failure: Failure) -> Self {
        Self::Guarded(failure)
    }
}

/// An answer.
enum Carried {
    Whole(Raw, Option<HeaderValue>),
    Stream(Begun),
}

/// A stream that has begun.
pub struct Begun {
    /// What comes.
    pub events: Option<Box<Events>>,
    /// What came already.
    pub first: Option<Raw>,
    /// The version it comes in.
    pub from: Version,
    /// Where it comes from.
    pub instance: u64,
    /// Extensions that the agent uses.
    pub extensions: Option<HeaderValue>,
}

/// Answers an operation.
///
/// # Errors
/// What is refused as any request is: limits and guardrails.
pub async fn answer(desk: &Desk<'_>, speech: Speech, call: Call) -> Result<Reply, Refusal> {
    if let Some(spoken) = &desk.agent.config.model {
        return Box::pin(model::answer(desk, speech, call, spoken)).await;
    }
    let name = model_name(&desk.agent);
    let price = if call.operation.is_message() {
        desk.agent.price
    } else {
        Money::ZERO
    };
    let estimate = Estimate {
        cost: price,
        ..Estimate::default()
    };
    let asked = (name.as_str(), estimate);
    let admitted = admit::admit_any(desk.worker, desk.arrival, Arc::clone(&desk.caller), asked).await;
    let mut ticket = admitted.map_err(|failure| Refusal::from(failure).asking(&name))?;
    ticket.facts.streamed = call.operation.is_streamed();
    let operation = call.operation;
    let guards = match guard::of(desk.arrival, &desk.caller, &name) {
        Ok(guards) => guards,
        Err(failure) => return Err(ticket.refuse(failure)),
    };
    let mut judge = Judge::new(desk.worker, &desk.arrival.snapshot, guards);
    let carried = Box::pin(carry(desk, &speech, call, (&mut ticket, &mut judge))).await;
    match carried {
        Ok(Carried::Whole(result, extensions)) => {
            ticket.facts.flags.append(&mut judge.flags);
            settle(ticket, Outcome::Complete, None)?;
            Ok(extended(speech.whole(Ok(&result)), &speech, extensions))
        }
        Ok(Carried::Stream(mut begun)) => {
            let extensions = begun.extensions.take();
            let reply = stream::reply(desk, speech.clone(), (ticket, judge, operation), begun);
            Ok(extended(reply, &speech, extensions))
        }
        Err(Stopped::Guarded(failure)) => Err(ticket.refuse(failure)),
        Err(Stopped::Told(error, outcome)) => {
            settle(ticket, outcome, Some(&error))?;
            Ok(speech.whole(Err(&error)))
        }
    }
}

fn extended(mut reply: Reply, speech: &Speech, extensions: Option<HeaderValue>) -> Reply {
    if let Some(extensions) = extensions {
        let name = match speech.version() {
            Version::V10 => EXTENSIONS_HEADER,
            Version::V03 => OLD_EXTENSIONS_HEADER,
        };
        reply.headers_mut().insert(name, extensions);
    }
    reply
}

/// Settles an operation that is answered.
///
/// # Errors
/// When it cannot be recorded.
pub fn settle(ticket: Ticket, outcome: Outcome, error: Option<&A2aError>) -> Result<(), Refusal> {
    let kind = match outcome {
        Outcome::ProviderFailed => FailureKind::Provider,
        _ => FailureKind::InvalidRequest,
    };
    let ending = Ending {
        outcome,
        status: 200,
        usage: Usage::default(),
        estimated: false,
        error: error
            .filter(|_| outcome != Outcome::Complete)
            .map(|error| Failure::new(kind, error.message.clone())),
    };
    ticket.settle(&ending).map(drop)
}

async fn carry(
    desk: &Desk<'_>,
    speech: &Speech,
    mut call: Call,
    (ticket, judge): (&mut Ticket, &mut Judge),
) -> Result<Carried, Stopped> {
    let operation = call.operation;
    ticket.answered_by(&desk.agent.name, operation.label(), Money::ZERO);
    call.check().map_err(Stopped::here)?;
    may_use(desk, &call).map_err(Stopped::here)?;
    let instances = instances(desk, &call).await.map_err(Stopped::here)?;
    push::seal(desk, &mut call).await.map_err(Stopped::here)?;
    if operation.is_message() {
        judge.message(&mut call.params).await?;
    }
    if operation == Operation::List {
        let listed = Box::pin(list::answer(desk, speech, &call, judge)).await?;
        return Ok(Carried::Whole(listed, None));
    }
    let (instance, way, answer) = ask(desk, &instances, (speech, call), ticket).await?;
    if operation.is_message() {
        ticket.answered_by(&desk.agent.name, operation.label(), desk.agent.price);
    }
    let from = way.version;
    let begun = |events, first, extensions| {
        Carried::Stream(Begun {
            events,
            first,
            from,
            instance: instance.id,
            extensions,
        })
    };
    match answer.said {
        Said::Whole(Err(error)) => Err(Stopped::Told(error, Outcome::Complete)),
        Said::Whole(Ok(result)) if operation.is_streamed() => {
            Ok(begun(None, Some(result), answer.extensions))
        }
        Said::Whole(Ok(result)) => {
            let result = finish(
                desk,
                (operation, instance.id),
                result,
                (from, speech.version()),
                judge,
            )
            .await?;
            Ok(Carried::Whole(result, answer.extensions))
        }
        Said::Stream(events) if operation.is_streamed() => Ok(begun(Some(events), None, answer.extensions)),
        Said::Stream(_) => {
            let error = A2aError::new(Kind::InvalidAgentResponse, "the agent answered with a stream");
            Err(Stopped::Told(error, Outcome::ProviderFailed))
        }
    }
}

/// Whether the caller may use the skills that a message names. An agent chooses by itself where none is named, so whoever
/// may not use all of them must name one.
pub fn may_use(desk: &Desk<'_>, call: &Call) -> Result<(), A2aError> {
    let hidden = hidden(Some(&desk.caller), &desk.agent);
    if hidden.is_empty() || !call.operation.is_message() {
        return Ok(());
    }
    let named = call.skills();
    if named.is_empty() {
        return Err(A2aError::params(
            "`message.metadata.skillId` must say which skill of the agent's card is wanted",
        ));
    }
    match named
        .iter()
        .find(|skill| hidden.iter().any(|pattern| fits(pattern, skill)))
    {
        Some(skill) => Err(A2aError::params(format!("the agent has no skill {skill:?}"))),
        None => Ok(()),
    }
}

/// The instances that may answer, in the order in which they are tried. What is of somebody else is not there.
pub async fn instances(desk: &Desk<'_>, call: &Call) -> Result<Vec<Arc<Instance>>, A2aError> {
    let references = call.references();
    let tasks: Vec<String> = references.others.iter().cloned().chain(call.task()).collect();
    look_up(desk, (&tasks, references.context.as_deref())).await?;
    placed(desk, call)
}

/// Finds out about what another replica may have begun for the caller.
pub async fn look_up(desk: &Desk<'_>, named: (&[String], Option<&str>)) -> Result<(), A2aError> {
    let owner = desk.owner();
    let holder = Holder {
        owner: &owner,
        agent: &desk.agent.name,
    };
    let found = desk.lasting().book.look_up(holder, named, desk.keeping()).await;
    found.map_err(|error| {
        tracing::warn!(%error, "tasks of other replicas cannot be asked for");
        A2aError::new(
            Kind::Internal,
            "whose task this is cannot be asked now (`stores.shared`); come back soon",
        )
    })
}

fn placed(desk: &Desk<'_>, call: &Call) -> Result<Vec<Arc<Instance>>, A2aError> {
    let (owner, agent, book) = (desk.owner(), &desk.agent, &desk.lasting().book);
    let of_task = |id: &str| {
        let at = book.task(&owner, &agent.name, id).ok_or_else(A2aError::no_task)?;
        agent.instance(at).cloned().ok_or_else(A2aError::no_task)
    };
    let references = call.references();
    for other in &references.others {
        of_task(other)?;
    }
    let place = references
        .context
        .as_deref()
        .map_or(Place::Free, |context| book.context(&owner, &agent.name, context));
    if place == Place::Taken {
        return Err(A2aError::params("`message.contextId` is not a context of yours"));
    }
    if let Some(task) = call.task() {
        return Ok(vec![of_task(&task)?]);
    }
    if let Place::Own(at) = place
        && let Some(instance) = agent.instance(at)
    {
        return Ok(vec![Arc::clone(instance)]);
    }
    Ok(agent.in_turn())
}

/// Asks the first instance that can be reached. Once a request may have been seen, nobody else is asked.
pub async fn ask(
    desk: &Desk<'_>,
    instances: &[Arc<Instance>],
    (speech, call): (&Speech, Call),
    ticket: &mut Ticket,
) -> Result<(Arc<Instance>, Way, Answer), Failed> {
    link::may_go_on(desk.arrival.hops)?;
    let client = &desk.worker.client;
    let mut last = Failed::Unreachable("it has no instances".to_owned());
    for instance in instances {
        ticket.facts.attempts = ticket.facts.attempts.saturating_add(1);
        let began = std::time::Instant::now();
        let asked = async {
            let known = instance.known(client).await?;
            let way = known.way(call.version, speech.binding()).cloned();
            let way = way.ok_or_else(|| Failed::Card("its card names no way in".to_owned()))?;
            let question = (call.clone(), desk.beside());
            let answer = link::ask(instance, client, &way, question).await?;
            Ok((way, answer))
        };
        let asked: Result<(Way, Answer), Failed> = Box::pin(asked).await;
        ticket.waited(began.elapsed());
        match asked {
            Ok((way, answer)) => return Ok((Arc::clone(instance), way, answer)),
            Err(why) if why.is_before_send() => {
                instance.rest(&why);
                last = why;
            }
            Err(why) => return Err(why),
        }
    }
    Err(last)
}

/// Makes of what an agent answered what the client reads.
async fn finish(
    desk: &Desk<'_>,
    (operation, instance): (Operation, u64),
    result: Raw,
    (from, to): (Version, Version),
    judge: &mut Judge,
) -> Result<Raw, Stopped> {
    if operation == Operation::ExtendedCard {
        let told = |error| Stopped::Told(error, Outcome::ProviderFailed);
        return cards::extended(desk, &result, (from, to)).map_err(told);
    }
    if operation.is_push() {
        let own = push::unseal(desk, operation, &result, from);
        let own = own.map_err(|error| Stopped::Told(error, Outcome::Complete))?;
        return Ok(call::result(operation, &own, from, to));
    }
    let event = match operation {
        Operation::Send => Event::open(&result, from),
        _ => Event::task(&result).filter(|task| task.task_id().is_some()),
    };
    let event = event.ok_or_else(|| {
        let error = A2aError::new(
            Kind::InvalidAgentResponse,
            "the agent's answer is neither a task nor a message",
        );
        Stopped::Told(error, Outcome::ProviderFailed)
    })?;
    if operation == Operation::Send {
        keep(desk, &event, instance).await;
    }
    if judge.is_idle() {
        return Ok(call::result(operation, &result, from, to));
    }
    let judged = judge.whole(event).await?.close();
    Ok(call::result(operation, &judged, from, to))
}

/// Notes what was begun as the caller's.
async fn keep(desk: &Desk<'_>, event: &Event, instance: u64) {
    let owner = desk.owner();
    let holder = Holder {
        owner: &owner,
        agent: &desk.agent.name,
    };
    let (task, context) = (event.task_id(), event.context_id());
    let begun = (task.as_deref(), context.as_deref());
    desk.lasting()
        .book
        .begun(holder, begun, instance, desk.keeping())
        .await;
}

//! Agents as models: a chat becomes a message of an agent, and what the agent tells becomes the chat's answer.
//!
//! The chat takes its own road (`converse`), with its limits, guardrails and ledger; here the agent is asked in the place
//! of a provider. Its context is the client's to name (`x-pointsman-context`), and a task that waits to hear more goes on
//! with what is said next there. Whoever leaves has the task cancelled.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::stream::{self, BoxStream, StreamExt};
use parking_lot::Mutex;
use pointsman_a2a::agent::{Agent, Instance, Way};
use pointsman_a2a::book::{Holder, Keeping, Place};
use pointsman_a2a::call::{self, Call};
use pointsman_a2a::chat::{self, Ended, Heard, Listener, Untellable};
use pointsman_a2a::error::{A2aError, Kind};
use pointsman_a2a::event::Event;
use pointsman_a2a::json::{self, Object, Raw};
use pointsman_a2a::link::{self, Beside, Events, Failed as Lost, Said};
use pointsman_a2a::operation::Operation;
use pointsman_a2a::version::Version;
use pointsman_catalog::Money;
use pointsman_governance::Principal;
use pointsman_guard::Stage;
use pointsman_upstream::Failure as Fault;
use pointsman_wire::form::{Failure, FailureKind, Text};
use pointsman_wire::format::Format;
use serde_json::{Value, json};

use super::speech::Speech;
use super::{Desk, is_named, model_name, work};
use crate::road::arrive::Asked;
use crate::road::relay::{Broken, Pipe, Relay};
use crate::road::send::{Answer, Failed};
use crate::road::{Arrival, Ticket, decide};
use crate::snapshot::{Model, Snapshot};
use crate::worker::Worker;

/// Between two looks at a task whose agent does not stream.
const LOOKS: Duration = Duration::from_millis(500);
/// How long it may take to cancel the task of a client that is gone.
const CANCELLING: Duration = Duration::from_secs(10);
/// Most characters of what an agent says of a failure.
const MAX_REASON: usize = 2_000;

/// The agent that a caller means by the name of a model. A model in the place of an agent is asked by its own name.
pub fn named<'a>(snapshot: &'a Snapshot, caller: &Principal, model: &str) -> Option<&'a Arc<Agent>> {
    let agent = snapshot.agent(model)?;
    (agent.config.model.is_none() && may_answer(caller, agent)).then_some(agent)
}

/// Whether an agent lets a caller in, whoever has chosen it.
pub fn may_answer(caller: &Principal, agent: &Agent) -> bool {
    is_named(caller, &agent.config.allow)
}

/// The names of all that a caller may call.
pub fn names(snapshot: &Snapshot, caller: &Principal) -> Vec<String> {
    let names = snapshot.a2a.hub.agents().map(|agent| model_name(agent));
    names
        .filter(|name| named(snapshot, caller, name).is_some())
        .collect()
}

/// Asks an agent in the place of a provider.
///
/// # Errors
/// What cannot be told to it, and whatever keeps it from an answer.
pub async fn ask(
    (worker, arrival): (&Arc<Worker>, &Arrival),
    asked: &Asked,
    agent: Arc<Agent>,
    ticket: &mut Ticket,
) -> Result<Answer, Failure> {
    let desk = Desk {
        worker,
        arrival,
        caller: ticket.shared_caller(),
        hub: Arc::clone(&arrival.snapshot.a2a.hub),
        agent,
    };
    ticket.facts.losses = chat::losses(&asked.request)
        .map_err(untellable)?
        .into_iter()
        .map(str::to_owned)
        .collect();
    let mut talk = Box::pin(begin(&desk, asked, ticket)).await?;
    let waits = asked.guards.for_stage(Stage::Output).waits();
    if asked.request.stream.enabled && !waits {
        return streamed(&desk, asked, talk, ticket).await;
    }
    let began = Instant::now();
    let limit = arrival.snapshot.bounds.response_limit;
    let said = whole(&mut talk, limit).await;
    ticket.waited(began.elapsed());
    ticket.facts.context = talk.context.lock().clone();
    let said = said?;
    ticket.facts.first_content = Some(Instant::now());
    let mut response = decide::spoken(&asked.request, &said);
    response.id = Text::from(format!("chatcmpl-{}", arrival.id));
    // Agents do not tell what they used: it is counted.
    response.usage = None;
    Ok(Answer::Whole {
        response: Box::new(response),
        native: None,
    })
}

/// Asks an agent that a decision has chosen. Where it cannot answer, whoever is next may.
///
/// # Errors
/// As [`ask`].
pub async fn ask_chosen(
    (worker, arrival): (&Arc<Worker>, &Arrival),
    asked: &Asked,
    agent: &Arc<Agent>,
    (ticket, causes): (&mut Ticket, &mut Vec<String>),
) -> Result<Answer, Failed> {
    if !may_answer(ticket.caller(), agent) {
        let why = "this key may not call the agent that was decided on; ask whoever runs this gateway";
        return Err(Failed::refused(
            Failure::new(FailureKind::PermissionDenied, why).at("model"),
        ));
    }
    let answer = Box::pin(attempt((worker, arrival), asked, agent, ticket)).await;
    answer.inspect_err(|failed| {
        if let Some(fault) = &failed.fault {
            causes.push(format!("{}: {}", agent.name, failed.failure.message));
            ticket.failed(&agent.name, fault);
        }
    })
}

/// Asks an agent as one of those who may answer.
///
/// # Errors
/// As [`ask`]; what keeps it from an answer, and nobody else, is told as a fault.
pub async fn attempt(
    (worker, arrival): (&Arc<Worker>, &Arrival),
    asked: &Asked,
    agent: &Arc<Agent>,
    ticket: &mut Ticket,
) -> Result<Answer, Failed> {
    let answer = Box::pin(ask((worker, arrival), asked, Arc::clone(agent), ticket)).await;
    answer.map_err(|failure| {
        let fault = match failure.kind {
            FailureKind::Unavailable => Fault::Connect,
            FailureKind::ProviderTimeout => Fault::SlowFirstToken,
            FailureKind::Provider => Fault::Protocol,
            _ => return Failed::refused(failure),
        };
        Failed::broken(failure, fault)
    })
}

/// Whether an agent can be told what is asked.
pub fn can_be_told(asked: &Asked) -> bool {
    chat::losses(&asked.request).is_ok()
}

/// The target whose agent knows the context that a conversation goes on in: it remembers what was said there.
pub async fn knowing(
    (worker, arrival): (&Arc<Worker>, &Arrival),
    asked: &Asked,
    model: &Model,
    caller: &Arc<Principal>,
) -> Option<usize> {
    let context = asked.context.as_deref()?;
    for (at, target) in model.targets.iter().enumerate() {
        let Some(agent) = &target.agent else { continue };
        let desk = Desk {
            worker,
            arrival,
            caller: Arc::clone(caller),
            hub: Arc::clone(&arrival.snapshot.a2a.hub),
            agent: Arc::clone(agent),
        };
        // Where nobody can tell now, the agent that is picked says so.
        let _ = work::look_up(&desk, (&[], Some(context))).await;
        let place = desk.lasting().book.context(&desk.owner(), &agent.name, context);
        if matches!(place, Place::Own(_)) {
            return Some(at);
        }
    }
    None
}

async fn whole(talk: &mut Talk, limit: usize) -> Result<String, Failure> {
    let mut said = String::new();
    while let Some(heard) = talk.next().await? {
        if let Heard::Text(text) = heard {
            said.push_str(&text);
        }
        if said.len() > limit {
            let message =
                format!("the agent's answer is larger than {limit} bytes; raise server.response_limit");
            return Err(Failure::new(FailureKind::Provider, message));
        }
    }
    Ok(said)
}

async fn streamed(
    desk: &Desk<'_>,
    asked: &Asked,
    talk: Talk,
    ticket: &mut Ticket,
) -> Result<Answer, Failure> {
    let context = Arc::clone(&talk.context);
    let model: &str = &asked.request.model;
    let chunks = chunks(talk, &desk.arrival.id, model);
    let pipe = Pipe::new(desk.arrival, asked, (Format::OpenAiChat, model), false);
    let mut relay = Relay::new((desk.arrival, asked), chunks, None, pipe);
    let began = Instant::now();
    let first = relay.until_content(None).await;
    ticket.waited(began.elapsed());
    ticket.facts.context = context.lock().clone();
    first.map_err(|(failure, _)| failure)?;
    ticket.facts.first_content = Some(Instant::now());
    Ok(Answer::Stream(Box::new(relay)))
}

/// Tells the agent what is asked.
async fn begin(desk: &Desk<'_>, asked: &Asked, ticket: &mut Ticket) -> Result<Talk, Failure> {
    let (owner, agent) = (desk.owner(), &desk.agent);
    let message = Box::pin(message(desk, asked)).await?;
    let known = agent.known(&desk.worker.client).await.map_err(lost)?;
    let call = Call::of_message(&known.card, &message);
    let operation = call.operation;
    work::may_use(desk, &call).map_err(|error| refused(&error))?;
    let instances = work::instances(desk, &call).await;
    let instances = instances.map_err(|error| refused(&error))?;
    ticket.answered_by(&agent.name, operation.label(), Money::ZERO);
    let speech = Speech::rpc(None, Version::V10);
    let answered = Box::pin(work::ask(desk, &instances, (&speech, call), ticket)).await;
    let (instance, way, answer) = answered.map_err(lost)?;
    let (events, first) = match answer.said {
        Said::Stream(events) => (Some(events), None),
        Said::Whole(Ok(result)) => (None, Some(result)),
        Said::Whole(Err(error)) => return Err(refused(&error)),
    };
    // It has taken the message.
    ticket.answered_by(&agent.name, operation.label(), agent.price);
    Ok(Talk {
        until: Instant::now() + instance.timeout,
        worker: Arc::clone(desk.worker),
        owner,
        agent: agent.name.clone(),
        keeping: desk.keeping(),
        instance,
        way,
        events,
        first,
        listener: Listener::default(),
        ready: VecDeque::new(),
        context: Arc::default(),
        task: None,
        is_over: false,
    })
}

/// What is asked as a message: of a context that the agent knows what is new, for the task that waits for it.
async fn message(desk: &Desk<'_>, asked: &Asked) -> Result<Value, Failure> {
    let (owner, agent) = (desk.owner(), &desk.agent);
    let book = &desk.lasting().book;
    let context = asked.context.as_deref();
    let holder = Holder {
        owner: &owner,
        agent: &agent.name,
    };
    work::look_up(desk, (&[], context))
        .await
        .map_err(|error| refused(&error))?;
    let is_known =
        context.is_some_and(|context| matches!(book.context(&owner, &agent.name, context), Place::Own(_)));
    let mut message = json!({
        "messageId": desk.arrival.id,
        "role": "ROLE_USER",
        "parts": chat::parts(&asked.request, is_known).map_err(untellable)?,
    });
    if let Some(context) = context {
        message["contextId"] = context.into();
        if let Some(task) = book.waiting(holder, context).await {
            let named = std::slice::from_ref(&task);
            let found = work::look_up(desk, (named, None)).await;
            found.map_err(|error| refused(&error))?;
            if book.task(&owner, &agent.name, &task).is_some() {
                message["taskId"] = task.into();
            }
        }
    }
    if let Some(skill) = skill(asked) {
        message["metadata"] = json!({ "skillId": skill });
    }
    Ok(message)
}

/// The skill that a request names (`metadata.skillId`).
fn skill(asked: &Asked) -> Option<String> {
    let metadata = asked.request.extra.get("metadata")?.read::<Value>().ok()?;
    metadata["skillId"].as_str().map(str::to_owned)
}

/// What an agent tells, on its way to a chat. Dropped before its end, it has the agent's task cancelled.
struct Talk {
    worker: Arc<Worker>,
    owner: String,
    agent: String,
    keeping: Keeping,
    instance: Arc<Instance>,
    way: Way,
    events: Option<Box<Events>>,
    /// All of it, where it does not stream.
    first: Option<Raw>,
    listener: Listener,
    ready: VecDeque<Heard>,
    /// The context that the agent is in.
    context: Arc<Mutex<Option<String>>>,
    task: Option<String>,
    /// How long a task is looked after whose agent does not stream.
    until: Instant,
    is_over: bool,
}

impl Talk {
    /// The next piece of the answer; nothing at its end.
    async fn next(&mut self) -> Result<Option<Heard>, Failure> {
        loop {
            if let Some(heard) = self.ready.pop_front() {
                return Ok(Some(heard));
            }
            if let Some(ended) = self.listener.ended() {
                self.is_over = true;
                return over(ended);
            }
            let told = match self.first.take() {
                Some(whole) => call::result(Operation::Send, &whole, self.way.version, Version::V10),
                None => self.hear().await?,
            };
            self.take(&told).await;
        }
    }

    /// What the agent tells next, in the words of 1.0.
    async fn hear(&mut self) -> Result<Raw, Failure> {
        let Some(events) = &mut self.events else {
            return self.look().await;
        };
        match events.next().await {
            Ok(Some(Ok(told))) => Ok(call::result(
                Operation::Stream,
                &told,
                self.way.version,
                Version::V10,
            )),
            Ok(Some(Err(error))) => {
                self.is_over = true;
                Err(refused(&error))
            }
            Ok(None) => {
                let message = "the agent's stream ended before its task did";
                Err(Failure::new(FailureKind::Provider, message).coded("stream_cut"))
            }
            Err(failed) => Err(lost(failed)),
        }
    }

    /// Looks after a task of an agent that does not stream, and did not wait for its end.
    async fn look(&mut self) -> Result<Raw, Failure> {
        let Some(task) = &self.task else {
            let message = "the agent's answer is neither a task nor a message";
            return Err(Failure::new(FailureKind::Provider, message));
        };
        if Instant::now() >= self.until {
            return Err(lost(Lost::Late));
        }
        tokio::time::sleep(LOOKS).await;
        let call = of_task(Operation::Get, task);
        let asked = link::ask(
            &self.instance,
            &self.worker.client,
            &self.way,
            (call, Beside::default()),
        );
        match Box::pin(asked).await.map_err(lost)?.said {
            Said::Whole(Ok(task)) => {
                let task = call::result(Operation::Get, &task, self.way.version, Version::V10);
                Ok(Object::from([("task", task)]).raw())
            }
            Said::Whole(Err(error)) => Err(refused(&error)),
            Said::Stream(_) => Err(Failure::new(
                FailureKind::Provider,
                "the agent answered with a stream",
            )),
        }
    }

    async fn take(&mut self, told: &Raw) {
        // Of a later version, perhaps: it has no texts that are known.
        let Some(event) = Event::open(told, Version::V10) else {
            return;
        };
        let book = &self.worker.shared.lasting.a2a.book;
        let holder = Holder {
            owner: &self.owner,
            agent: &self.agent,
        };
        let task = event.task_id().filter(|task| self.task.as_ref() != Some(task));
        let known = self.context.lock().clone();
        let context = event
            .context_id()
            .filter(|context| known.as_ref() != Some(context));
        let begun = (task.as_deref(), context.as_deref());
        book.begun(holder, begun, self.instance.id, self.keeping).await;
        self.task = task.or(self.task.take());
        let context = context.or(known);
        self.context.lock().clone_from(&context);
        self.ready.extend(self.listener.hear(&event));
        if self.listener.ended() == Some(&Ended::Waits)
            && let (Some(context), Some(task)) = (&context, &self.task)
        {
            book.waits(holder, context, task).await;
        }
    }
}

impl Drop for Talk {
    fn drop(&mut self) {
        let Some(task) = self.task.take().filter(|_| !self.is_over) else {
            return;
        };
        let (worker, instance, way) = (
            Arc::clone(&self.worker),
            Arc::clone(&self.instance),
            self.way.clone(),
        );
        let Ok(runtime) = tokio::runtime::Handle::try_current() else {
            return;
        };
        runtime.spawn(tokio::time::timeout(CANCELLING, async move {
            let call = of_task(Operation::Cancel, &task);
            let asked = link::ask(&instance, &worker.client, &way, (call, Beside::default()));
            if let Err(why) = Box::pin(asked).await {
                tracing::debug!(%why, "a task that nobody waits for could not be cancelled");
            }
        }));
    }
}

fn of_task(operation: Operation, task: &str) -> Call {
    Call {
        operation,
        version: Version::V10,
        params: Object::from([("id", json::raw(task))]),
    }
}

/// What the end of a task is for a chat.
fn over(ended: &Ended) -> Result<Option<Heard>, Failure> {
    let failed = |kind, what: &str, why: &str, code: &str| {
        let why: String = why.chars().take(MAX_REASON).collect();
        let message = if why.is_empty() {
            what.to_owned()
        } else {
            format!("{what}: {why}")
        };
        Err(Failure::new(kind, message).coded(code))
    };
    match ended {
        Ended::Done | Ended::Waits => Ok(None),
        Ended::Failed(why) => failed(
            FailureKind::Provider,
            "the agent's task failed",
            why,
            "agent_task_failed",
        ),
        Ended::Rejected(why) => {
            let what = "the agent rejected the task";
            failed(FailureKind::Unprocessable, what, why, "agent_task_rejected")
        }
        Ended::Canceled => {
            let what = "the agent's task was cancelled";
            failed(FailureKind::Provider, what, "", "agent_task_canceled")
        }
    }
}

fn untellable((field, why): Untellable) -> Failure {
    Failure::new(FailureKind::InvalidRequest, why).at(field)
}

/// An agent's error, as a chat tells it.
fn refused(error: &A2aError) -> Failure {
    let kind = match error.kind {
        Kind::Params | Kind::Request | Kind::ContentType | Kind::Unsupported => FailureKind::InvalidRequest,
        _ => FailureKind::Provider,
    };
    let why: String = error.message.chars().take(MAX_REASON).collect();
    Failure::new(kind, format!("the agent refuses: {why}")).coded("agent_refused")
}

/// Why there is no answer of an agent.
fn lost(failed: Lost) -> Failure {
    let kind = match failed {
        Lost::Unreachable(_) => FailureKind::Unavailable,
        Lost::Late => FailureKind::ProviderTimeout,
        Lost::Broken(_) | Lost::Card(_) | Lost::Circle => FailureKind::Provider,
    };
    Failure::new(kind, failed.to_string())
}

/// How far a stream has come.
enum Step {
    Begins,
    Goes,
    Over,
}

/// What an agent tells as the stream of a chat completion, which every client's format is made of.
fn chunks(talk: Talk, id: &str, model: &str) -> BoxStream<'static, Result<Bytes, Broken>> {
    let head = json!({ "id": format!("chatcmpl-{id}"), "object": "chat.completion.chunk",
        "created": created(), "model": model });
    let state = (talk, Step::Begins, head);
    let told = stream::unfold(state, |(mut talk, step, head)| async move {
        match step {
            Step::Begins => {
                let begins = chunk(&head, &json!({ "role": "assistant", "content": "" }), None);
                Some((Ok(begins), (talk, Step::Goes, head)))
            }
            Step::Over => None,
            Step::Goes => match talk.next().await {
                Ok(Some(Heard::Text(text))) => {
                    let piece = chunk(&head, &json!({ "content": text }), None);
                    Some((Ok(piece), (talk, Step::Goes, head)))
                }
                Ok(Some(Heard::Thought(text))) => {
                    let piece = chunk(&head, &json!({ "reasoning_content": format!("{text}\n") }), None);
                    Some((Ok(piece), (talk, Step::Goes, head)))
                }
                Ok(None) => {
                    let mut last = chunk(&head, &json!({}), Some("stop")).to_vec();
                    last.extend_from_slice(b"data: [DONE]\n\n");
                    Some((Ok(last.into()), (talk, Step::Over, head)))
                }
                Err(failure) => {
                    let fault = match failure.kind {
                        FailureKind::ProviderTimeout => Fault::SlowFirstToken,
                        _ => Fault::Protocol,
                    };
                    Some((Err((failure, fault)), (talk, Step::Over, head)))
                }
            },
        }
    });
    told.boxed()
}

fn chunk(head: &Value, delta: &Value, finish: Option<&str>) -> Bytes {
    let mut chunk = head.clone();
    chunk["choices"] = json!([{ "index": 0, "delta": delta, "finish_reason": finish }]);
    format!("data: {chunk}\n\n").into()
}

fn created() -> u64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    now.map_or(0, |now| now.as_secs())
}

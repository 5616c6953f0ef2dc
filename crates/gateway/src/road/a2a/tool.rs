//! Agents as tools: a call becomes a message of the caller's own at the agent's address, with all that holds there, and
//! what is answered there becomes the result.
//!
//! Whoever gives a call up has the agent's task cancelled.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use http::{HeaderMap, Method, StatusCode, Uri, header};
use http_body_util::BodyExt;
use pointsman_a2a::Hub;
use pointsman_a2a::agent::{Agent, Binding};
use pointsman_a2a::call::Call;
use pointsman_a2a::error::{A2aError, Kind};
use pointsman_a2a::event::Event;
use pointsman_a2a::json::{self, Object, Raw};
use pointsman_a2a::link::{self, Beside, Decoder, Failed, Said};
use pointsman_a2a::operation::Operation;
use pointsman_a2a::tool::{self, Gathered};
use pointsman_a2a::version::Version;
use pointsman_governance::{Principal, fits};
use pointsman_mcp::agents::{Agents, Described};
use pointsman_mcp::link::Failed as Lost;
use pointsman_upstream::Client;
use pointsman_wire::form::{Failure, FailureKind};
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use super::judge::Judge;
use super::speech::Speech;
use super::{Desk, hidden, may_call, model_name, nothing, work};
use crate::reply::{Reply, ReplyBody};
use crate::road::{Arrival, guard};
use crate::surface;
use crate::worker::Worker;

/// Between two looks at a task whose agent does not stream.
const LOOKS: Duration = Duration::from_millis(500);
/// How long it may take to cancel the task of a call that was given up.
const CANCELLING: Duration = Duration::from_secs(10);

/// The agents of a configuration, as servers of tools.
pub struct Cards(pub Arc<Hub>);

impl Agents for Cards {
    fn describe<'a>(&'a self, client: &'a Client, agent: &'a str) -> BoxFuture<'a, Result<Described, Lost>> {
        async move {
            let agent = self.0.agent(agent);
            let agent = agent.ok_or_else(|| Lost::Unreachable("there is no such agent".to_owned()))?;
            let known = Box::pin(agent.known(client)).await;
            let card = &known.map_err(|why| Lost::Unreachable(why.to_string()))?.card;
            let (_, about) = card.title();
            let tools = tool::tools(card).into_iter().map(|tool| tool.definition);
            Ok(Described {
                about: Some(about).filter(|about| !about.is_empty()),
                tools: tools.collect(),
            })
        }
        .boxed()
    }
}

/// What is called.
pub struct Wanted<'a> {
    /// The agent.
    pub agent: &'a str,
    /// Its tool.
    pub tool: &'a str,
    /// With what.
    pub arguments: Option<&'a RawValue>,
    /// How long a task is looked after whose agent does not stream.
    pub timeout: Duration,
    /// Where that goes which it says of its work meanwhile.
    pub meanwhile: &'a (dyn Fn(&str) + Send + Sync),
}

/// Whether a caller may use a tool of an agent, as far as that is known without asking it.
pub fn may(arrival: &Arrival, caller: &Principal, (agent, tool): (&str, &str)) -> bool {
    let Some(agent) = arrival.snapshot.a2a.hub.agent(agent) else {
        return false;
    };
    if !may_call(caller, agent) {
        return false;
    }
    let hidden = hidden(Some(caller), agent);
    if hidden.is_empty() {
        return true;
    }
    let skill = agent
        .last_known()
        .and_then(|known| tool::skill(&known.card, tool));
    // Who may not use all of an agent's skills must name one.
    skill.is_some_and(|skill| !hidden.iter().any(|pattern| fits(pattern, &skill)))
}

/// Calls a tool of an agent on behalf of a caller, as a part of a request that was admitted. `id` is the call's own.
///
/// # Errors
/// What is refused as any request is, and what keeps the agent from an answer.
pub async fn call(
    (worker, arrival): (&Arc<Worker>, &Arrival),
    caller: Arc<Principal>,
    id: String,
    wanted: &Wanted<'_>,
) -> Result<Value, Failure> {
    let arrival = arrive(arrival, id, wanted.agent)?;
    let hub = Arc::clone(&arrival.snapshot.a2a.hub);
    let agent = hub.agent(wanted.agent).filter(|agent| may_call(&caller, agent));
    let agent = Arc::clone(agent.ok_or_else(|| nothing(&hub, &caller, wanted.agent))?);
    let known = Box::pin(agent.known(&worker.client)).await.map_err(lost)?;
    let tool = tool::tools(&known.card)
        .into_iter()
        .find(|tool| tool.name == wanted.tool)
        .ok_or_else(|| Failure::new(FailureKind::NotFound, "the agent has no such skill any more"))?;
    let message = match arguments(wanted).and_then(|said| tool::message(&tool, &said, &arrival.id)) {
        Ok(message) => message,
        // A model may do better next time.
        Err(why) => return Ok(wrong(&format!("Invalid arguments: {why}"))),
    };
    let call = Call::of_message(&known.card, &message);
    let desk = Desk {
        worker,
        arrival: &arrival,
        caller,
        hub: Arc::clone(&hub),
        agent,
    };
    let reply = Box::pin(work::answer(&desk, Speech::Rest, call)).await;
    let reply = reply.map_err(|refusal| refusal.failure)?;
    let mut talk = Talk::new(&desk, wanted);
    match Box::pin(talk.listen(reply)).await? {
        Some(told) => Ok(told),
        None => Box::pin(talk.look_after(&desk)).await,
    }
}

/// The call as a request at the agent's address.
fn arrive(arrival: &Arrival, id: String, agent: &str) -> Result<Arrival, Failure> {
    let uri = Uri::try_from(format!("/a2a/{agent}"));
    let uri = uri.map_err(|_| Failure::new(FailureKind::NotFound, "there is no such agent"))?;
    let surface = surface::find(&Method::POST, &uri, &HeaderMap::new()).map_err(|(failure, _)| failure)?;
    Ok(Arrival {
        id,
        started: Instant::now(),
        method: Method::POST,
        uri,
        surface,
        is_part: true,
        ..arrival.clone()
    })
}

fn arguments(wanted: &Wanted<'_>) -> Result<Map<String, Value>, String> {
    let Some(said) = wanted.arguments else {
        return Ok(Map::new());
    };
    serde_json::from_str(said.get()).map_err(|_| "they must be an object".to_owned())
}

fn wrong(why: &str) -> Value {
    json!({ "isError": true, "content": [{ "type": "text", "text": why }] })
}

/// An agent's error: of what was asked, for whoever asked; of the agent, for the ledger.
fn refused(error: &A2aError) -> Result<Value, Failure> {
    match error.kind {
        Kind::Params | Kind::Request | Kind::ContentType | Kind::Unsupported | Kind::TaskNotFound => {
            Ok(wrong(&format!("the agent refuses: {}", error.message)))
        }
        _ => Err(Failure::new(FailureKind::Provider, error.message.clone())),
    }
}

fn lost(failed: Failed) -> Failure {
    Failure::new(FailureKind::Provider, failed.to_string())
}

/// What an agent tells, on its way to a result. Dropped before its end, it has the agent's task cancelled.
struct Talk<'a> {
    wanted: &'a Wanted<'a>,
    worker: Arc<Worker>,
    agent: Arc<Agent>,
    owner: String,
    gathered: Gathered,
    is_over: bool,
}

impl<'a> Talk<'a> {
    fn new(desk: &Desk<'_>, wanted: &'a Wanted<'a>) -> Self {
        Self {
            wanted,
            worker: Arc::clone(desk.worker),
            agent: Arc::clone(&desk.agent),
            owner: desk.owner(),
            gathered: Gathered::default(),
            is_over: false,
        }
    }

    /// Hears all of a reply; nothing where its task goes on.
    async fn listen(&mut self, reply: Reply) -> Result<Option<Value>, Failure> {
        let (status, is_stream) = (reply.status(), is_stream(&reply));
        let mut body = reply.into_body();
        if !is_stream {
            let text = whole(body).await;
            if status != StatusCode::OK {
                self.is_over = true;
                let text = String::from_utf8_lossy(&text);
                return refused(&A2aError::from_rest(status, &text, true)).map(Some);
            }
            let told = serde_json::from_slice::<Raw>(&text);
            let told = told.map_err(|error| Failure::new(FailureKind::Provider, error.to_string()))?;
            self.take(&told)?;
            return Ok(self.end());
        }
        let mut decoder = Decoder::new(Binding::Rest, self.agent.limit);
        while let Some(frame) = body.frame().await {
            let Ok(frame) = frame;
            let Ok(data) = frame.into_data() else { continue };
            decoder.push(&data).map_err(lost)?;
            while let Some(told) = decoder.next() {
                match told {
                    Ok(told) => self.take(&told)?,
                    Err(error) => {
                        self.is_over = true;
                        return refused(&error).map(Some);
                    }
                }
            }
        }
        Ok(self.end())
    }

    fn take(&mut self, told: &Raw) -> Result<(), Failure> {
        // Of a later version, perhaps: it has no texts that are known.
        let Some(event) = Event::open(told, Version::V10) else {
            return Ok(());
        };
        let limit = self.agent.limit;
        let thought = self.gathered.hear(&event, limit).map_err(|_| {
            let message = format!("the agent's answer is larger than {limit} bytes (`a2a.message_limit`)");
            Failure::new(FailureKind::Provider, message)
        })?;
        if let Some(thought) = thought {
            (self.wanted.meanwhile)(&thought);
        }
        Ok(())
    }

    fn end(&mut self) -> Option<Value> {
        if !self.gathered.is_over() && self.gathered.task().is_some() {
            return None;
        }
        self.is_over = true;
        Some(std::mem::take(&mut self.gathered).result())
    }

    /// Looks after a task of an agent that did not wait for its end.
    async fn look_after(&mut self, desk: &Desk<'_>) -> Result<Value, Failure> {
        let guards = guard::of(desk.arrival, &desk.caller, &model_name(&desk.agent))?;
        let mut judge = Judge::new(desk.worker, &desk.arrival.snapshot, guards);
        let until = Instant::now() + self.wanted.timeout;
        while Instant::now() < until {
            tokio::time::sleep(LOOKS).await;
            let task = self.gathered.task().unwrap_or_default().to_owned();
            let asked = at(&self.worker, &self.agent, (&self.owner, &task), Operation::Get);
            let event = match Box::pin(asked).await.map_err(lost)? {
                Said::Whole(Ok(told)) => Event::open(&Object::from([("task", told)]).raw(), Version::V10),
                Said::Whole(Err(error)) => {
                    self.is_over = true;
                    return refused(&error);
                }
                Said::Stream(_) => None,
            };
            let Some(event) = event else {
                let message = "the agent's answer is no task";
                return Err(Failure::new(FailureKind::Provider, message));
            };
            let event = judge.whole(event).await?;
            self.take(&event.close())?;
            if let Some(told) = self.end() {
                return Ok(told);
            }
        }
        Err(lost(Failed::Late))
    }
}

impl Drop for Talk<'_> {
    fn drop(&mut self) {
        let Some(task) = self.gathered.task().filter(|_| !self.is_over) else {
            return;
        };
        let Ok(runtime) = tokio::runtime::Handle::try_current() else {
            return;
        };
        let (worker, agent) = (Arc::clone(&self.worker), Arc::clone(&self.agent));
        let (owner, task) = (self.owner.clone(), task.to_owned());
        runtime.spawn(tokio::time::timeout(CANCELLING, async move {
            let asked = at(&worker, &agent, (&owner, &task), Operation::Cancel);
            if let Err(why) = Box::pin(asked).await {
                tracing::debug!(%why, "a task that nobody waits for could not be cancelled");
            }
        }));
    }
}

/// Asks about a task where it is, in the words of 1.0.
async fn at(
    worker: &Worker,
    agent: &Agent,
    (owner, task): (&str, &str),
    operation: Operation,
) -> Result<Said, Failed> {
    let gone = || Failed::Broken("the agent's task is not known here any more".to_owned());
    let instance = worker.shared.lasting.a2a.book.task(owner, &agent.name, task);
    let instance = instance.and_then(|id| agent.instance(id)).ok_or_else(gone)?;
    let known = instance.known(&worker.client).await?;
    let way = known.way(Version::V10, Binding::Rest).ok_or_else(gone)?;
    let call = Call {
        operation,
        version: Version::V10,
        params: Object::from([("id", json::raw(task))]),
    };
    let answer = link::ask(instance, &worker.client, way, (call, Beside::default())).await?;
    Ok(match answer.said {
        Said::Whole(Ok(told)) => Said::Whole(Ok(pointsman_a2a::call::result(
            operation,
            &told,
            way.version,
            Version::V10,
        ))),
        said => said,
    })
}

fn is_stream(reply: &Reply) -> bool {
    let kind = reply.headers().get(header::CONTENT_TYPE);
    kind.is_some_and(|kind| kind.as_bytes().starts_with(b"text/event-stream"))
}

async fn whole(body: ReplyBody) -> bytes::Bytes {
    match body.collect().await {
        Ok(body) => body.to_bytes(),
        Err(never) => match never {},
    }
}

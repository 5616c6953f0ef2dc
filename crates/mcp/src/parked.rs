//! Requests of the stateless era whose server is of the old one and waits for an answer of the client: they go on with
//! the client's next request.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use pointsman_upstream::Client;
use tokio::sync::mpsc;
use tokio::task::AbortHandle;

use crate::call::replied;
use crate::error::RpcError;
use crate::judge::Judge;
use crate::link::{Link, Told};
use crate::message::{Id, Object, Raw, Request};
use crate::meta;

/// How long a request waits for the client to come back.
const PATIENCE: Duration = Duration::from_secs(5 * 60);
/// Requests that wait, at most.
const MAX_PARKED: usize = 1_000;
/// What the states that are ours begin with.
const OURS: &str = "pointsman:";

/// A request that is being answered; given up when nobody waits any more.
pub struct Running {
    /// What is said of it, the answer last.
    pub told: mpsc::Receiver<Told>,
    /// Who has it answered.
    pub task: AbortHandle,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// A request that waits for its client.
struct Parked {
    owner: String,
    method: String,
    running: Running,
    questions: Vec<Question>,
    /// What its client was told, to be told again.
    told: Raw,
    until: Instant,
}

/// What is asked of a client.
struct Question {
    key: String,
    link: Arc<Link>,
    id: Id,
}

/// What becomes of a request that was parked.
pub enum Resumed {
    /// It goes on.
    Running(Running),
    /// Not all was answered: its client is told once more what is wanted.
    Again(Raw),
}

/// Requests that wait for their clients.
#[derive(Default)]
pub struct Lot {
    parked: Mutex<HashMap<String, Parked>>,
}

/// The capability that a client needs to answer a question.
#[must_use]
pub fn needed(method: &str) -> Option<&'static str> {
    match method {
        "sampling/createMessage" => Some("sampling"),
        "elicitation/create" => Some("elicitation"),
        "roots/list" => Some("roots"),
        _ => None,
    }
}

/// Whether a client can answer a question, by what it says it can do.
#[must_use]
pub fn can_answer(params: &Object, method: &str) -> bool {
    let capabilities = meta::of(params)
        .object(meta::CLIENT_CAPABILITIES)
        .unwrap_or_default();
    needed(method).is_some_and(|needed| capabilities.get(needed).is_some())
}

/// A state that nobody can guess.
fn new_state() -> Result<String, RpcError> {
    let mut chance = [0_u8; 24];
    getrandom::fill(&mut chance).map_err(|error| RpcError::internal(format!("no randomness: {error}")))?;
    Ok(chance
        .iter()
        .fold(OURS.to_owned(), |state, byte| format!("{state}{byte:02x}")))
}

/// What a client is told that has to answer before there is a result.
fn wanted(state: &str, asked: &[(Arc<Link>, Request)]) -> Raw {
    let mut questions = Object::default();
    for (at, (_, asked)) in asked.iter().enumerate() {
        let mut question = Object::default();
        question.set("method", &asked.method);
        question.set("params", &asked.params);
        questions.set(&key_of(at), &question);
    }
    let mut result = Object::default();
    result.set("resultType", "input_required");
    result.set("inputRequests", &questions);
    result.set("requestState", state);
    result.raw()
}

/// Questions of the older era have no keys: these are ours.
fn key_of(at: usize) -> String {
    match at {
        0 => "input".to_owned(),
        at => format!("input-{}", at + 1),
    }
}

impl Lot {
    /// Parks a request; gives the result that its client gets for now.
    ///
    /// # Errors
    /// When too many wait, or the system has no randomness.
    pub fn park(
        &self,
        owner: &str,
        method: &str,
        running: Running,
        asked: Vec<(Arc<Link>, Request)>,
    ) -> Result<Raw, RpcError> {
        let state = new_state()?;
        let told = wanted(&state, &asked);
        let mut parked = self.parked.lock();
        let now = Instant::now();
        parked.retain(|_, other| now < other.until);
        if parked.len() >= MAX_PARKED {
            return Err(RpcError::internal("too many requests wait for input"));
        }
        let question = |(at, (link, asked)): (usize, (Arc<Link>, Request))| Question {
            key: key_of(at),
            link,
            id: asked.id,
        };
        let waiting = Parked {
            owner: owner.to_owned(),
            method: method.to_owned(),
            running,
            questions: asked.into_iter().enumerate().map(question).collect(),
            told: told.clone(),
            until: now + PATIENCE,
        };
        parked.insert(state, waiting);
        Ok(told)
    }

    /// Goes on with a request that was parked; none where the request is a new one.
    ///
    /// # Errors
    /// When its state is none of ours, or an answer is none.
    pub async fn resume(
        &self,
        owner: &str,
        request: &Request,
        (client, judge): (&Client, Option<&dyn Judge>),
    ) -> Option<Result<Resumed, RpcError>> {
        let state = request
            .params
            .text("requestState")
            .filter(|state| state.starts_with(OURS))?;
        let parked = {
            let mut parked = self.parked.lock();
            let fits = parked.get(&state).is_some_and(|parked| {
                parked.owner == owner && parked.method == request.method && Instant::now() < parked.until
            });
            if fits { parked.remove(&state) } else { None }
        };
        let Some(parked) = parked else {
            return Some(Err(RpcError::params(
                "`requestState` is not known, or not any more",
            )));
        };
        let responses = request.params.object("inputResponses").unwrap_or_default();
        let is_object = |key: &str| responses.get(key).is_some_and(|said| said.get().starts_with('{'));
        if !parked.questions.iter().all(|question| is_object(&question.key)) {
            let told = parked.told.clone();
            self.parked.lock().insert(state, parked);
            return Some(Ok(Resumed::Again(told)));
        }
        for Question { key, link, id } in &parked.questions {
            let Some(answer) = responses.get(key) else {
                continue;
            };
            let answer = replied(judge, &link.server, answer.to_owned())
                .await
                .map_err(|blocked| RpcError::from(blocked).raw());
            let answer = answer.as_deref().map_err(AsRef::as_ref);
            if let Err(failed) = link.answer(client, id, answer).await {
                return Some(Err(RpcError::internal(failed.to_string())));
            }
        }
        Some(Ok(Resumed::Running(parked.running)))
    }
}

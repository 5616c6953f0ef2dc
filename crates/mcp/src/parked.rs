//! Requests of the stateless era whose server is of the old one and waits for an answer of the client: they go on with
//! the client's next request.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use pointsman_upstream::Client;
use tokio::sync::mpsc;
use tokio::task::AbortHandle;

use crate::error::RpcError;
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
    question: (Arc<Link>, Id),
    until: Instant,
}

/// Requests that wait for their clients.
#[derive(Default)]
pub struct Lot {
    parked: Mutex<HashMap<String, Parked>>,
}

/// Whether a client can answer a question, by what it says it can do.
#[must_use]
pub fn can_answer(params: &Object, method: &str) -> bool {
    let capabilities = meta::of(params)
        .object(meta::CLIENT_CAPABILITIES)
        .unwrap_or_default();
    let needed = match method {
        "sampling/createMessage" => "sampling",
        "elicitation/create" => "elicitation",
        "roots/list" => "roots",
        _ => return false,
    };
    capabilities.get(needed).is_some()
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
        (link, asked): (Arc<Link>, Request),
    ) -> Result<Raw, RpcError> {
        let mut chance = [0_u8; 24];
        getrandom::fill(&mut chance)
            .map_err(|error| RpcError::internal(format!("no randomness: {error}")))?;
        let state = chance
            .iter()
            .fold(OURS.to_owned(), |state, byte| format!("{state}{byte:02x}"));
        let mut question = Object::default();
        question.set("method", &asked.method);
        question.set("params", &asked.params);
        let mut questions = Object::default();
        questions.set("input", &question);
        let mut result = Object::default();
        result.set("resultType", "input_required");
        result.set("inputRequests", &questions);
        result.set("requestState", &state);
        let mut parked = self.parked.lock();
        let now = Instant::now();
        parked.retain(|_, other| now < other.until);
        if parked.len() >= MAX_PARKED {
            return Err(RpcError::internal("too many requests wait for input"));
        }
        let waiting = Parked {
            owner: owner.to_owned(),
            method: method.to_owned(),
            running,
            question: (link, asked.id),
            until: now + PATIENCE,
        };
        parked.insert(state, waiting);
        Ok(result.raw())
    }

    /// Goes on with a request that was parked; none where the request is a new one.
    ///
    /// # Errors
    /// When its state is none of ours, or its answers are not there.
    pub async fn resume(
        &self,
        owner: &str,
        request: &Request,
        client: &Client,
    ) -> Option<Result<Running, RpcError>> {
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
        let Some(answer) = responses.get("input") else {
            self.parked.lock().insert(state, parked);
            return Some(Err(RpcError::params("`inputResponses.input` is missing")));
        };
        let (link, id) = &parked.question;
        if let Err(failed) = link.answer(client, id, Ok(answer)).await {
            return Some(Err(RpcError::internal(failed.to_string())));
        }
        Some(Ok(parked.running))
    }
}

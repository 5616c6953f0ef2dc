//! Questions that the gateway asks models on a request's behalf, beside the request: who shall answer it (`prompt`), of
//! which class it is (`classifier`), what a text shall say instead (`transform.rs`). Each is admitted, sent, read and settled
//! by itself, and has its own row in the ledger under the request's id.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use parking_lot::Mutex;
use pointsman_catalog::Money;
use pointsman_governance::Principal;
use pointsman_routing::Selected;
use pointsman_routing::selection::HelperQuestion;
use pointsman_wire::form::{ChatRequest, ChatResponse, Failure, FailureKind, FinishReason, PartKind, Usage};
use pointsman_wire::format::{self, Format};
use serde_json::json;

use super::arrive::Asked;
use super::settle::Ending;
use super::{Arrival, Ticket, admit, arrive, decide, relay, send};
use crate::signals::Helper;
use crate::worker::Worker;

/// What metrics and ledger call the surface of such a question.
const SURFACE: &str = "aside";
/// Most tokens of an answer.
const MOST: u64 = 256;

/// Asks on behalf of a request.
pub struct Aside<'a> {
    worker: &'a Arc<Worker>,
    arrival: &'a Arrival,
    asked: &'a Asked,
    caller: Arc<Principal>,
    id: String,
    /// What metrics and ledger call such a question, and how many of that name were asked for the request before.
    name: (&'static str, u32),
    used: Mutex<Used>,
}

/// What a model has said.
pub struct Said {
    /// Its text, without what it thought.
    pub text: String,
    /// Whether it would have gone on.
    pub is_cut: bool,
}

/// What all questions have come to.
#[derive(Default)]
struct Used {
    asked: u32,
    usage: Usage,
    cost: Money,
    causes: Vec<String>,
}

impl<'a> Aside<'a> {
    /// For a request with this ticket.
    pub fn new(worker: &'a Arc<Worker>, arrival: &'a Arrival, asked: &'a Asked, ticket: &Ticket) -> Self {
        Self::named((SURFACE, 0), (worker, arrival), asked, ticket)
    }

    /// The same under another name, by which so many were asked before.
    pub fn named(
        name: (&'static str, u32),
        (worker, arrival): (&'a Arc<Worker>, &'a Arrival),
        asked: &'a Asked,
        ticket: &Ticket,
    ) -> Self {
        Self {
            name,
            worker,
            arrival,
            asked,
            caller: ticket.shared_caller(),
            id: ticket.facts.id.clone(),
            used: Mutex::default(),
        }
    }

    /// Tells the request's own ticket what was used. How many were asked under the name until now.
    pub fn tell(self, ticket: &mut Ticket) -> u32 {
        let used = self.used.into_inner();
        let asked = self.name.1 + used.asked;
        if used.asked > 0 {
            ticket.charged_apart(&used.usage, used.cost);
            ticket.facts.causes.extend(used.causes);
        }
        asked
    }

    /// The answer to a question, of so many tokens at most.
    ///
    /// # Errors
    /// When nobody answers in time, or may.
    pub async fn answer(&self, question: HelperQuestion, most: u64) -> Result<Said, Failure> {
        let model = question.model.clone();
        let request = self.request(&question, most)?;
        let asked = self.of(request);
        let selected = Selected {
            model: model.clone(),
            lora_name: None,
            reasoning: None,
            use_reasoning: None,
        };
        let plan = decide::plan(self.arrival, &selected)?;
        let reservation = admit::part(&self.arrival.snapshot, &self.caller, &asked, &plan)?;
        let mut ticket = Ticket::new(self.worker, self.arrival, Arc::clone(&self.caller), reservation);
        let number = {
            let mut used = self.used.lock();
            used.asked += 1;
            self.name.1 + used.asked
        };
        let facts = &mut ticket.facts;
        facts.id = format!("{}.{}{number}", self.id, self.name.0);
        facts.started = std::time::Instant::now();
        facts.surface = self.name.0;
        facts.model_requested = model;
        let sending: BoxFuture<'_, _> =
            Box::pin(send::read(self.worker, self.arrival, &asked, plan, &mut ticket));
        let read = tokio::time::timeout(question.time, sending).await;
        match read {
            Ok(Ok(response)) => self.settle(ticket, &asked, &response),
            Ok(Err(failure)) => Err(ticket.refuse(failure).failure),
            // What its provider was given is charged as the ticket goes.
            Err(_) => Err(Failure::new(
                FailureKind::ProviderTimeout,
                "the helper did not answer in time",
            )),
        }
    }

    fn settle(&self, ticket: Ticket, asked: &Asked, response: &ChatResponse) -> Result<Said, Failure> {
        let usage = response.usage.unwrap_or_else(|| relay::count(asked, response));
        {
            let mut used = self.used.lock();
            used.usage = used.usage.and(&ticket.used(&usage));
            used.cost += ticket.cost(&usage);
            used.causes.extend(ticket.facts.causes.iter().cloned());
        }
        let ending = Ending::complete(usage, response.usage.is_none());
        ticket.settle(&ending).map_err(|refusal| refusal.failure)?;
        Ok(said(response))
    }

    fn request(&self, question: &HelperQuestion, most: u64) -> Result<ChatRequest, Failure> {
        let body = json!({
            "model": question.model,
            "temperature": 0,
            "max_tokens": most,
            "messages": [
                {"role": "system", "content": question.instructions},
                {"role": "user", "content": question.message},
            ],
        });
        format::decode_request(Format::OpenAiChat, &Bytes::from(body.to_string())).map_err(arrive::malformed)
    }

    /// The question, as the road knows requests: nobody remembers, judges or records its answer.
    fn of(&self, request: ChatRequest) -> Asked {
        let mut asked = self.asked.instead(request);
        asked.format = Format::OpenAiChat;
        asked.bounded_here = true;
        asked.place = None;
        asked.answer_id = None;
        asked.captures = None;
        asked.suspicion = None;
        asked.beside = None;
        asked.transforming = None;
        asked.marks = None;
        asked.header_edits.clear();
        asked
    }
}

/// What a model says first.
fn said(response: &ChatResponse) -> Said {
    let first = response.choices.first();
    let parts = first.map(|choice| choice.parts.as_slice()).unwrap_or_default();
    let texts = parts.iter().filter_map(|part| match &part.kind {
        PartKind::Text(text) => Some(&*text.text),
        _ => None,
    });
    let finish = first.and_then(|choice| choice.finish.as_ref());
    Said {
        text: texts.collect(),
        is_cut: matches!(finish, Some(FinishReason::Length | FinishReason::ContextWindow)),
    }
}

impl Helper for Aside<'_> {
    fn ask(&self, question: HelperQuestion) -> BoxFuture<'_, Option<String>> {
        Box::pin(async move {
            match self.answer(question, MOST).await {
                Ok(said) => Some(said.text),
                Err(failure) => {
                    tracing::warn!(error = %failure.message, "a helper that picks a model or tells classes could not be asked");
                    None
                }
            }
        })
    }
}

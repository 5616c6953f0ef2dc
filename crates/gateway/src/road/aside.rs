//! Questions that the gateway asks models on a request's behalf, beside the request: who shall answer it (`prompt`), of
//! which class it is (`classifier`). Each is
//! admitted, sent, read and settled by itself, and has its own row in the ledger under the request's id.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use parking_lot::Mutex;
use pointsman_catalog::Money;
use pointsman_governance::Principal;
use pointsman_routing::Selected;
use pointsman_routing::selection::HelperQuestion;
use pointsman_wire::form::{ChatRequest, ChatResponse, Failure, FailureKind, Usage};
use pointsman_wire::format::{self, Format};
use pointsman_wire::text;
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
    used: Mutex<Used>,
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
        Self {
            worker,
            arrival,
            asked,
            caller: ticket.shared_caller(),
            id: ticket.facts.id.clone(),
            used: Mutex::default(),
        }
    }

    /// Tells the request's own ticket what was used.
    pub fn tell(self, ticket: &mut Ticket) {
        let used = self.used.into_inner();
        if used.asked > 0 {
            ticket.charged_apart(&used.usage, used.cost);
            ticket.facts.causes.extend(used.causes);
        }
    }

    async fn answer(&self, question: HelperQuestion) -> Result<String, Failure> {
        let model = question.model.clone();
        let request = self.request(&question)?;
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
            used.asked
        };
        let facts = &mut ticket.facts;
        facts.id = format!("{}.aside{number}", self.id);
        facts.started = std::time::Instant::now();
        facts.surface = SURFACE;
        facts.model_requested = model;
        let sending = Box::pin(send::read(self.worker, self.arrival, &asked, plan, &mut ticket));
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

    fn settle(&self, ticket: Ticket, asked: &Asked, response: &ChatResponse) -> Result<String, Failure> {
        let usage = response.usage.unwrap_or_else(|| relay::count(asked, response));
        {
            let mut used = self.used.lock();
            used.usage = used.usage.and(&ticket.used(&usage));
            used.cost += ticket.cost(&usage);
            used.causes.extend(ticket.facts.causes.iter().cloned());
        }
        let ending = Ending::complete(usage, response.usage.is_none());
        ticket.settle(&ending).map_err(|refusal| refusal.failure)?;
        let mut said = String::new();
        text::response_texts(response, |_, text| said.push_str(text));
        Ok(said)
    }

    fn request(&self, question: &HelperQuestion) -> Result<ChatRequest, Failure> {
        let body = json!({
            "model": question.model,
            "temperature": 0,
            "max_tokens": MOST,
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
        asked.marks = None;
        asked.header_edits.clear();
        asked
    }
}

impl Helper for Aside<'_> {
    fn ask(&self, question: HelperQuestion) -> BoxFuture<'_, Option<String>> {
        Box::pin(async move {
            match self.answer(question).await {
                Ok(said) => Some(said),
                Err(failure) => {
                    tracing::warn!(error = %failure.message, "a helper that picks a model or tells classes could not be asked");
                    None
                }
            }
        })
    }
}

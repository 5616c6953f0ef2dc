//! One turn: what came before it is put into its input, its answer is told under the gateway's own id, and kept.

use std::sync::Arc;

use bytes::Bytes;
use http::StatusCode;
use pointsman_governance::Principal;
use pointsman_store::{HistoryError, KeptEvent, KeptResponse, MAX_CONVERSATION_ITEMS, StateItem, StateStore};
use pointsman_wire::form::{Failure, FailureKind};
use pointsman_wire::splice::Edits;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::super::Arrival;
use super::said::Said;
use super::{items, new_id, now, tenant};
use crate::reply::{Reply, ReplyBody};
use crate::state::{Keeper, Lock, Record, unreadable};
use crate::worker::Worker;

/// Room that a conversation must have for the items of an answer.
const MOST_OUTPUT: i64 = 1000;
/// What must come with an answer for its reasoning to be told again.
const PROOF: &str = "reasoning.encrypted_content";

/// One turn.
pub struct Turn {
    /// The id its response has.
    pub id: String,
    /// Whose it is.
    pub tenant: String,
    /// Unix milliseconds.
    pub created_at: i64,
    /// The response it goes on from.
    pub previous: Option<String>,
    /// The conversation it is a turn of.
    pub conversation: Option<InConversation>,
    /// Whether its response is kept.
    pub kept: bool,
    /// Whether it runs in the background.
    pub background: bool,
    /// Most bytes that are kept of it.
    pub max_bytes: usize,
    metadata: Option<String>,
    input: Vec<StateItem>,
}

/// A place in a conversation, which is this turn's alone.
pub struct InConversation {
    /// The conversation.
    pub id: String,
    /// Where the turn begins.
    turns: i64,
    _lock: Lock,
}

/// What stands before a turn.
struct Before {
    /// Items as they can be told to any provider, those of earlier turns first.
    told: Vec<String>,
    turns: i64,
    /// The turn's own items, references replaced.
    input: Vec<StateItem>,
}

impl Turn {
    /// Finds what came before, and gives the turn and the body that says all of it.
    ///
    /// # Errors
    /// 404 for what is not there or is another's, 400 for what cannot be gone on from, 503 when the store cannot be asked.
    pub async fn begin(
        worker: &Arc<Worker>,
        arrival: &Arrival,
        caller: &Principal,
        said: &Said<'_>,
        kept: bool,
        body: &Bytes,
    ) -> Result<(Self, Bytes), Failure> {
        let keeper = &worker.shared.keeper;
        let id = new_id("resp")?;
        if said.conversation.is_some() && !kept && arrival.surface.path == "/v1/responses" {
            return Err(super::needs_store("conversation"));
        }
        let input = items::read(said.field("input"), id.trim_start_matches("resp_"))?;
        let lock = match &said.conversation {
            Some(conversation) if kept => Some(keeper.lock(&tenant(caller), conversation).await?),
            _ => None,
        };
        let mut turn = Self {
            tenant: tenant(caller),
            created_at: now(),
            previous: said.previous.clone(),
            conversation: None,
            kept,
            background: said.background,
            max_bytes: arrival.snapshot.responses.max_bytes,
            metadata: said.field("metadata").map(str::to_owned),
            input,
            id,
        };
        let mut edits = Edits::new();
        if said.goes_on() {
            let limit = arrival.snapshot.bounds.request_limit;
            let before = turn.before(keeper, said, limit).await?;
            edits.set("input", format!("[{}]", before.told.join(",")));
            turn.input = before.input;
            if let (Some(conversation), Some(lock)) = (&said.conversation, lock) {
                turn.conversation = Some(InConversation {
                    id: conversation.clone(),
                    turns: before.turns,
                    _lock: lock,
                });
            }
        }
        for field in ["previous_response_id", "conversation", "background"] {
            if said.fields.contains_key(field) {
                edits.remove(field);
            }
        }
        // What the gateway keeps the provider need not.
        edits.set("store", "false");
        if said.background {
            edits.set("stream", "true");
        }
        if said.reasons {
            edits.set("include", with_proof(said)?);
        }
        let body = edits.apply(body).map_err(unspliceable)?;
        Ok((turn, body))
    }

    async fn before(&self, keeper: &Keeper, said: &Said<'_>, limit: usize) -> Result<Before, Failure> {
        let (tenant, own) = (self.tenant.clone(), self.input.clone());
        let (previous, conversation) = (said.previous.clone(), said.conversation.clone());
        let found = keeper.ask(move |store| {
            let (earlier, turns) = match (previous, conversation) {
                (Some(previous), _) => (store.history(&tenant, &previous, limit)?, 0),
                (None, Some(conversation)) => store.turns(&tenant, &conversation, limit)?,
                (None, None) => (Vec::new(), 0),
            };
            let input = resolved(store, &tenant, own)?;
            if turns + input.len() as i64 + MOST_OUTPUT > MAX_CONVERSATION_ITEMS {
                return Err(HistoryError::Full(MAX_CONVERSATION_ITEMS));
            }
            let told = earlier.iter().filter_map(|item| items::again(&item.json));
            Ok(Before {
                told: told.chain(input.iter().map(|item| item.json.clone())).collect(),
                turns,
                input,
            })
        });
        found.await?.map_err(gone)
    }

    /// The `response` object as the client is told it.
    pub fn shape(&self, response: &str, kept: bool) -> Option<String> {
        #[derive(Deserialize)]
        struct Told<'a> {
            #[serde(borrow)]
            metadata: Option<&'a RawValue>,
        }
        let told: Told<'_> = serde_json::from_str(response).ok()?;
        let mut edits = Edits::new();
        edits.set_string("id", &self.id);
        edits.set("store", if kept { "true" } else { "false" });
        edits.set("previous_response_id", json!(self.previous).to_string());
        if let Some(conversation) = &self.conversation {
            edits.set("conversation", json!({"id": conversation.id}).to_string());
        }
        if self.background {
            edits.set("background", "true");
            edits.set("created_at", (self.created_at / 1000).to_string());
        }
        if let Some(metadata) = &self.metadata
            && told
                .metadata
                .is_none_or(|told| matches!(told.get(), "{}" | "null"))
        {
            edits.set("metadata", metadata.clone());
        }
        let shaped = edits.apply(&Bytes::copy_from_slice(response.as_bytes())).ok()?;
        String::from_utf8(shaped.to_vec()).ok()
    }

    /// The record of a response that was shaped; none when there is more of it than is kept.
    pub fn record(&self, shaped: &str, owner: Option<String>, events: Vec<KeptEvent>) -> Option<Record> {
        #[derive(Deserialize)]
        struct Told<'a> {
            status: Option<String>,
            #[serde(borrow, default)]
            output: Vec<&'a RawValue>,
        }
        let told: Told<'_> = serde_json::from_str(shaped).ok()?;
        let seed = format!("{}o", self.id.trim_start_matches("resp_"));
        let output = told.output.iter().enumerate();
        let output = output
            .map(|(at, item)| items::named(item.get().to_owned(), &seed, at))
            .collect();
        let mut edits = Edits::new();
        edits.set("output", "[]");
        let body = edits.apply(&Bytes::copy_from_slice(shaped.as_bytes())).ok()?;
        let status = told.status.unwrap_or_else(|| "completed".to_owned());
        let appended = self.conversation.is_some() && matches!(status.as_str(), "completed" | "incomplete");
        let response = KeptResponse {
            id: self.id.clone(),
            tenant: self.tenant.clone(),
            created_at: self.created_at,
            previous: self.previous.clone(),
            conversation: self
                .conversation
                .as_ref()
                .map(|conversation| conversation.id.clone()),
            turns: self
                .conversation
                .as_ref()
                .map_or(0, |conversation| conversation.turns),
            status,
            owner,
            body: String::from_utf8(body.to_vec()).ok()?,
            input: self.input.clone(),
            output,
        };
        let items = response.input.iter().chain(&response.output);
        let bytes = response.body.len() + items.map(|item| item.json.len()).sum::<usize>();
        (bytes <= self.max_bytes).then_some(Record {
            response,
            events,
            appended,
        })
    }

    /// Keeps the end of a response, and gives it as the client is told it.
    ///
    /// # Errors
    /// When it belongs to a conversation and cannot be kept, which the conversation would not show.
    pub fn end(&self, worker: &Worker, response: &str) -> Result<String, Failure> {
        let nonsense = || Failure::new(FailureKind::Provider, "the provider's response makes no sense");
        if !self.kept {
            return self.shape(response, false).ok_or_else(nonsense);
        }
        let shaped = self.shape(response, true).ok_or_else(nonsense)?;
        let record = self.record(&shaped, None, Vec::new());
        if record.is_some_and(|record| worker.shared.keeper.keep(record)) {
            return Ok(shaped);
        }
        if self.conversation.is_some() {
            return Err(lost());
        }
        tracing::warn!(id = %self.id, "a response is not kept: it is too large, or too many wait for the database");
        self.shape(response, false).ok_or_else(nonsense)
    }

    /// Keeps a whole answer on its way to the client.
    ///
    /// # Errors
    /// As [`Self::end`].
    pub fn keep(&self, worker: &Worker, reply: Reply) -> Result<Reply, Failure> {
        let (parts, body) = reply.into_parts();
        let body = match body {
            ReplyBody::Whole(Some(body)) if parts.status == StatusCode::OK => {
                let text = std::str::from_utf8(&body).unwrap_or_default();
                ReplyBody::Whole(Some(self.end(worker, text)?.into()))
            }
            other => other,
        };
        Ok(Reply::from_parts(parts, body))
    }

    /// The `response` object of a run that has not begun.
    pub fn queued(&self, said: &Said<'_>) -> String {
        let told = |name: &str, unsaid: Value| {
            let value = said
                .field(name)
                .and_then(|value| serde_json::from_str(value).ok());
            value.unwrap_or(unsaid)
        };
        let response = json!({
            "id": self.id, "object": "response", "created_at": self.created_at / 1000, "status": "queued",
            "background": true, "error": null, "incomplete_details": null,
            "instructions": told("instructions", Value::Null),
            "max_output_tokens": told("max_output_tokens", Value::Null),
            "max_tool_calls": told("max_tool_calls", Value::Null),
            "model": told("model", json!("")), "metadata": told("metadata", json!({})), "output": [],
            "parallel_tool_calls": told("parallel_tool_calls", json!(true)),
            "previous_response_id": self.previous,
            "reasoning": told("reasoning", json!({"effort": null, "summary": null})),
            "store": true, "temperature": told("temperature", Value::Null),
            "text": told("text", json!({"format": {"type": "text"}})),
            "tool_choice": told("tool_choice", json!("auto")), "tools": told("tools", json!([])),
            "top_p": told("top_p", Value::Null), "truncation": told("truncation", json!("disabled")),
            "usage": null,
        });
        self.shape(&response.to_string(), true).unwrap_or_default()
    }
}

/// A body that could not be edited.
pub fn unspliceable(error: impl std::fmt::Display) -> Failure {
    Failure::new(
        FailureKind::InvalidRequest,
        format!("the request body could not be edited: {error}"),
    )
}

/// The turn's own items, with what references refer to in their place.
fn resolved(store: &StateStore, tenant: &str, own: Vec<StateItem>) -> Result<Vec<StateItem>, HistoryError> {
    let mut input = Vec::with_capacity(own.len());
    for item in own {
        let Some(id) = items::reference(&item.json) else {
            input.push(item);
            continue;
        };
        let found = store.item(tenant, &id)?.ok_or(HistoryError::NoItem(id))?;
        // What cannot be told again is left out, as it is of earlier turns.
        if let Some(json) = items::again(&found.json) {
            input.push(StateItem { id: found.id, json });
        }
    }
    Ok(input)
}

/// `include`, with the proof of reasoning in it.
fn with_proof(said: &Said<'_>) -> Result<String, Failure> {
    let wrong =
        |_| Failure::new(FailureKind::InvalidRequest, "include: expected a list of texts").at("include");
    let mut include: Vec<String> = match said.field("include") {
        Some(include) => serde_json::from_str(include).map_err(wrong)?,
        None => Vec::new(),
    };
    if !include.iter().any(|one| one == PROOF) {
        include.push(PROOF.to_owned());
    }
    Ok(json!(include).to_string())
}

/// Why what came before cannot be had, as a failure.
pub fn gone(error: HistoryError) -> Failure {
    let param = match &error {
        HistoryError::NoConversation(_) => "conversation",
        _ => "previous_response_id",
    };
    let message = match &error {
        HistoryError::NoResponse(id) => format!("Previous response with id '{id}' not found."),
        HistoryError::NoConversation(id) => format!("Conversation with id '{id}' not found."),
        HistoryError::NoItem(id) => format!("Item with id '{id}' not found."),
        HistoryError::Store(told) => return unreadable(told),
        other => format!("the response cannot be gone on from: {other}"),
    };
    let (kind, code, at) = match error {
        HistoryError::NoResponse(_) | HistoryError::Broken(_) => {
            (FailureKind::NotFound, "previous_response_not_found", param)
        }
        HistoryError::NoConversation(_) => (FailureKind::NotFound, "conversation_not_found", param),
        HistoryError::NoItem(_) => (FailureKind::NotFound, "item_not_found", "input"),
        HistoryError::TooLong(_) => (FailureKind::TooLarge, "history_too_large", param),
        HistoryError::Full(_) => (FailureKind::InvalidRequest, "conversation_full", "conversation"),
        HistoryError::NotEnded { .. } | HistoryError::Store(_) => (
            FailureKind::InvalidRequest,
            "previous_response_not_completed",
            param,
        ),
    };
    Failure::new(kind, message).coded(code).at(at)
}

/// A turn that its conversation would not show.
fn lost() -> Failure {
    Failure::new(
        FailureKind::Unavailable,
        "the response was made but could not be added to its conversation: it is larger than responses.max_bytes, or the store has too much to do",
    )
    .coded("state_unavailable")
}

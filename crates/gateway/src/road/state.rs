//! Responses that go back to what was said before: what the gateway keeps is put before the road and taken behind it.
//!
//! The road itself knows nothing of state. A request that goes on from a response or a conversation is made one that
//! says everything itself, so that any provider can answer it and another can take over; the answer is kept when it is
//! whole. Who says `store: false` and goes on from nothing travels as everybody else.

mod background;
mod conversations;
mod items;
mod page;
mod responses;
mod said;
mod told;
mod turn;

use std::sync::Arc;

use bytes::Bytes;
use pointsman_governance::Principal;
use pointsman_wire::form::{Failure, FailureKind};
use pointsman_wire::format::Format;
use pointsman_wire::splice::Edits;

use super::{Arrival, Refusal, converse};
use crate::reply::Reply;
use crate::surface::{Delivery, Kept};
use crate::worker::Worker;
use said::Said;
use turn::Turn;

const ASKED: (Format, Delivery) = (Format::OpenAiResponses, Delivery::AsAsked);

/// `POST /v1/responses`.
pub async fn travel(
    worker: &Arc<Worker>,
    arrival: &Arrival,
    caller: Arc<Principal>,
    body: Bytes,
) -> Result<Reply, Refusal> {
    let policy = arrival.snapshot.responses;
    if !policy.here {
        return converse::travel(worker, arrival, caller, ASKED, body).await;
    }
    let said = Said::read(&body)?;
    let kept = policy.store && said.store != Some(false);
    if said.background && !kept {
        return Err(needs_store("background").into());
    }
    if !kept && !said.goes_on() {
        let body = if said.store == Some(false) {
            body
        } else {
            // What is not kept here is not kept there, either.
            let mut edits = Edits::new();
            edits.set("store", "false");
            edits.apply(&body).map_err(turn::unspliceable)?
        };
        return converse::travel(worker, arrival, caller, ASKED, body).await;
    }
    let (turn, body) = Turn::begin(worker, arrival, &caller, &said, kept, &body).await?;
    let (mut asked, ticket) = converse::admitted(worker, arrival, caller, ASKED, body).await?;
    asked.answer_id = Some(turn.id.as_str().into());
    if asked.context.is_none() {
        asked.context = turn
            .conversation
            .as_ref()
            .map(|conversation| conversation.id.clone());
    }
    if said.background {
        return background::begin(worker, arrival, (asked, ticket), turn, &said).await;
    }
    let streamed = asked.request.stream.enabled;
    let reply = converse::carry(worker, arrival, asked, ticket).await?;
    if streamed {
        Ok(told::keep(worker, turn, reply))
    } else {
        Ok(turn.keep(worker, reply)?)
    }
}

/// `POST /v1/responses/input_tokens`: the request, with what came before in its input.
pub async fn expanded(
    worker: &Arc<Worker>,
    arrival: &Arrival,
    caller: &Principal,
    body: Bytes,
) -> Result<Bytes, Failure> {
    let said = Said::read(&body)?;
    if !arrival.snapshot.responses.here || !said.goes_on() {
        return Ok(body);
    }
    let (_, body) = Turn::begin(worker, arrival, caller, &said, false, &body).await?;
    Ok(body)
}

/// Everything that is asked of what was kept.
pub async fn answer(
    worker: &Arc<Worker>,
    arrival: &Arrival,
    caller: &Principal,
    asks: Kept,
    body: Bytes,
) -> Result<Reply, Refusal> {
    let policy = arrival.snapshot.responses;
    if !policy.here {
        return Err(Failure::new(
            FailureKind::NotFound,
            "responses are kept by the provider here (`responses.state`); ask it directly",
        )
        .into());
    }
    let desk = Desk {
        worker,
        arrival,
        tenant: tenant(caller),
        id: arrival.surface.model.clone().unwrap_or_default(),
    };
    let reply = match asks {
        Kept::Response => responses::find(&desk).await,
        Kept::DeleteResponse => responses::delete(&desk).await,
        Kept::CancelResponse => responses::cancel(&desk).await,
        Kept::InputItems => responses::input_items(&desk).await,
        Kept::NewConversation if !policy.store => Err(needs_store("conversations")),
        Kept::NewConversation => conversations::create(&desk, &body).await,
        Kept::Conversation => conversations::find(&desk).await,
        Kept::UpdateConversation => conversations::update(&desk, &body).await,
        Kept::DeleteConversation => conversations::delete(&desk).await,
        Kept::AddItems if !policy.store => Err(needs_store("conversations")),
        Kept::AddItems => conversations::add(&desk, &body).await,
        Kept::Items => conversations::list(&desk).await,
    };
    Ok(reply?)
}

/// What everybody at the desk of the keeper needs.
struct Desk<'a> {
    worker: &'a Arc<Worker>,
    arrival: &'a Arrival,
    tenant: String,
    /// What the path names.
    id: String,
}

/// Whose state it is: the team's, or of a key without a team its own.
fn tenant(caller: &Principal) -> String {
    match (&caller.team, &caller.key) {
        (Some(team), _) => format!("team:{}", team.as_str()),
        (None, Some(key)) => format!("key:{}", key.as_str()),
        (None, None) => "anonymous".to_owned(),
    }
}

/// An id that nobody can guess.
fn new_id(prefix: &str) -> Result<String, Failure> {
    let mut chance = [0_u8; 24];
    getrandom::fill(&mut chance).map_err(|error| {
        Failure::new(
            FailureKind::Internal,
            format!("the system has no randomness: {error}"),
        )
    })?;
    let mut id = String::with_capacity(prefix.len() + 1 + 2 * chance.len());
    id.push_str(prefix);
    id.push('_');
    for byte in chance {
        for half in [byte >> 4, byte & 15] {
            id.push(char::from_digit(u32::from(half), 16).unwrap_or('0'));
        }
    }
    Ok(id)
}

/// Unix milliseconds.
fn now() -> i64 {
    std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .map_or(0, |time| time.as_millis() as i64)
}

fn needs_store(what: &str) -> Failure {
    Failure::new(
        FailureKind::InvalidRequest,
        format!("`{what}` needs responses to be kept: leave `store` out or set it to true, and `responses.store` must not be off"),
    )
    .at(what)
}

#[cfg(test)]
mod tests;

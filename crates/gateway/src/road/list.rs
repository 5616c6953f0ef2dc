//! What there is: the models a caller may use, and whether the gateway is well.

mod card;
mod page;

use std::collections::BTreeSet;

use http::StatusCode;
use pointsman_governance::Principal;
use pointsman_wire::form::{Failure, FailureKind};
use pointsman_wire::format::Format;
use serde_json::json;

use self::card::Card;
use self::page::Page;
use super::{Arrival, a2a, alias};
use crate::reply::{self, Reply};
use crate::snapshot::Unresolved;
use crate::worker::Worker;

/// The process is alive.
pub fn alive() -> Reply {
    reply::json(
        StatusCode::OK,
        &json!({ "status": "ok", "version": env!("CARGO_PKG_VERSION") }),
    )
}

/// The process can serve.
///
/// # Errors
/// 503 while it is stopping.
pub fn ready(worker: &Worker) -> Result<Reply, Failure> {
    if worker.is_stopping() {
        return Err(Failure::new(FailureKind::Unavailable, "the gateway is stopping"));
    }
    Ok(alive())
}

/// The model that the caller calls so, if they may use it.
fn called<'a>(arrival: &'a Arrival, caller: &Principal, name: &str) -> Option<Card<'a>> {
    let snapshot = &arrival.snapshot;
    let model = alias::meant(snapshot, caller, name);
    let agent = a2a::named(snapshot, caller, model).map(|_| Card::agent(model));
    let card = agent.or_else(|| Card::of(snapshot, model));
    let card = card.filter(|card| caller.allows_model(card.id()))?;
    Some(if model == name { card } else { card.called(name) })
}

/// The models the caller may use, or one of them, in the client's own shape.
///
/// # Errors
/// 404 for a model that is not there, 400 for a page that makes no sense.
pub fn models(arrival: &Arrival, caller: &Principal) -> Result<Reply, Failure> {
    let dialect = arrival.surface.dialect;
    if let Some(name) = &arrival.surface.model {
        let card = called(arrival, caller, name);
        let card = card.ok_or_else(|| Unresolved {
            name: name.clone(),
            near: Vec::new(),
        })?;
        return Ok(reply::json(StatusCode::OK, &card.shaped(dialect)));
    }
    let mut cards = Card::all(&arrival.snapshot);
    cards.extend(
        a2a::names(&arrival.snapshot, caller)
            .iter()
            .map(|name| Card::agent(name)),
    );
    let aliases = || caller.aliases().keys().chain(arrival.snapshot.aliases.keys());
    let is_alias = |name: &str| aliases().any(|alias| alias == name);
    cards.retain(|card| caller.allows_model(card.id()) && !is_alias(card.id()));
    let named: BTreeSet<_> = aliases().collect();
    cards.extend(named.into_iter().filter_map(|name| called(arrival, caller, name)));
    let page = Page::asked(dialect, arrival.uri.query().unwrap_or_default())?.of(&cards);
    let shaped: Vec<_> = page.cards.iter().map(|card| card.shaped(dialect)).collect();
    let list = match dialect {
        Format::AnthropicMessages => json!({
            "data": shaped,
            "has_more": page.more,
            "first_id": page.cards.first().map(Card::id),
            "last_id": page.cards.last().map(Card::id),
        }),
        Format::GeminiGenerate => {
            let mut list = json!({ "models": shaped });
            if let Some(last) = page.cards.last().filter(|_| page.more) {
                list["nextPageToken"] = last.id().into();
            }
            list
        }
        _ => json!({ "object": "list", "data": shaped }),
    };
    Ok(reply::json(StatusCode::OK, &list))
}

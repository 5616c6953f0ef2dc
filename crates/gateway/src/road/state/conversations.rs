//! Conversations: begun, shown, described, ended, and their items.

use bytes::Bytes;
use http::StatusCode;
use pointsman_store::{Conversation, StateItem};
use pointsman_wire::form::{Failure, FailureKind};
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use super::page::{Page, list as listed};
use super::{Desk, items, new_id, now};
use crate::reply::{self, Reply};
use crate::state::unreadable;

/// Items that may come at once, as at OpenAI.
const AT_ONCE: usize = 20;
/// Pairs of metadata, and letters of their keys and values, as at OpenAI.
const METADATA: (usize, usize, usize) = (16, 64, 512);

#[derive(Deserialize, Default)]
struct Asked<'a> {
    #[serde(borrow)]
    items: Option<&'a RawValue>,
    metadata: Option<Map<String, Value>>,
}

impl<'a> Asked<'a> {
    fn read(body: &'a Bytes) -> Result<Self, Failure> {
        if body.iter().all(u8::is_ascii_whitespace) {
            return Ok(Self::default());
        }
        let asked: Self =
            serde_json::from_slice(body).map_err(|error| wrong("metadata", &format!("the body: {error}")))?;
        if let Some(metadata) = &asked.metadata {
            let (pairs, key, value) = METADATA;
            let fits = |(name, text): (&String, &Value)| {
                name.chars().count() <= key && text.as_str().is_some_and(|text| text.chars().count() <= value)
            };
            if metadata.len() > pairs || !metadata.iter().all(fits) {
                let message = format!(
                    "metadata: at most {pairs} texts of {value} letters, with names of {key} letters"
                );
                return Err(wrong("metadata", &message));
            }
        }
        Ok(asked)
    }

    fn metadata(&self) -> String {
        Value::Object(self.metadata.clone().unwrap_or_default()).to_string()
    }

    /// The items, each with an id.
    fn items(&self, limit: usize) -> Result<Vec<StateItem>, Failure> {
        let Some(given) = self.items.filter(|items| items.get() != "null") else {
            return Ok(Vec::new());
        };
        if !given.get().starts_with('[') {
            return Err(wrong("items", "items: expected a list of items"));
        }
        if given.get().len() > limit {
            let message = "items: more bytes than responses.max_bytes allows";
            return Err(Failure::new(FailureKind::TooLarge, message).at("items"));
        }
        let seed = new_id("seed")?;
        let items = items::read(Some(given.get()), seed.trim_start_matches("seed_"))?;
        if items.len() > AT_ONCE {
            return Err(wrong("items", &format!("items: at most {AT_ONCE} at once")));
        }
        // They must be items that a response could be asked with.
        let request = format!("{{\"model\":\"m\",\"input\":{}}}", given.get());
        pointsman_wire::responses::request::decode(&request.into())
            .map_err(super::super::arrive::malformed)?;
        Ok(items)
    }
}

/// `POST /v1/conversations`.
pub async fn create(desk: &Desk<'_>, body: &Bytes) -> Result<Reply, Failure> {
    let asked = Asked::read(body)?;
    let items = asked.items(desk.arrival.snapshot.responses.max_bytes)?;
    let conversation = Conversation {
        id: new_id("conv")?,
        tenant: desk.tenant.clone(),
        created_at: now(),
        metadata: asked.metadata(),
    };
    let reply = shown(&conversation);
    let begun = desk
        .worker
        .shared
        .keeper
        .ask(move |store| store.begin(&conversation, &items));
    begun.await?.map_err(|error| unreadable(&error))?;
    Ok(reply)
}

/// `GET /v1/conversations/{id}` and `…/items/{item}`.
pub async fn find(desk: &Desk<'_>) -> Result<Reply, Failure> {
    let Some((id, item)) = desk.id.split_once("/items/") else {
        return Ok(shown(&look_up(desk, &desk.id).await?));
    };
    let items = all(desk, id).await?;
    let found = items.iter().find(|found| found.id == item);
    let found = found.ok_or_else(|| no_item(item))?;
    Ok(reply::json(StatusCode::OK, &items::shown(found)))
}

/// `POST /v1/conversations/{id}`.
pub async fn update(desk: &Desk<'_>, body: &Bytes) -> Result<Reply, Failure> {
    let asked = Asked::read(body)?;
    if asked.metadata.is_none() {
        return Err(wrong("metadata", "metadata: is missing"));
    }
    look_up(desk, &desk.id).await?;
    let (tenant, id, metadata) = (desk.tenant.clone(), desk.id.clone(), asked.metadata());
    let described = desk
        .worker
        .shared
        .keeper
        .ask(move |store| store.describe(&tenant, &id, &metadata));
    described.await?.map_err(|error| unreadable(&error))?;
    Ok(shown(&look_up(desk, &desk.id).await?))
}

/// `DELETE /v1/conversations/{id}` and `…/items/{item}`.
pub async fn delete(desk: &Desk<'_>) -> Result<Reply, Failure> {
    let keeper = &desk.worker.shared.keeper;
    let tenant = desk.tenant.clone();
    let Some((id, item)) = desk.id.split_once("/items/") else {
        let id = desk.id.clone();
        let there = keeper.ask(move |store| store.end(&tenant, &id)).await?;
        if !there.map_err(|error| unreadable(&error))? {
            return Err(none(&desk.id));
        }
        let told = json!({"id": desk.id, "object": "conversation.deleted", "deleted": true});
        return Ok(reply::json(StatusCode::OK, &told));
    };
    let conversation = look_up(desk, id).await?;
    let (id, which) = (id.to_owned(), item.to_owned());
    let there = keeper
        .ask(move |store| store.take_out(&tenant, &id, &which))
        .await?;
    if !there.map_err(|error| unreadable(&error))? {
        return Err(no_item(item));
    }
    Ok(shown(&conversation))
}

/// `POST /v1/conversations/{id}/items`.
pub async fn add(desk: &Desk<'_>, body: &Bytes) -> Result<Reply, Failure> {
    let items = Asked::read(body)?.items(desk.arrival.snapshot.responses.max_bytes)?;
    if items.is_empty() {
        return Err(wrong("items", "items: is missing"));
    }
    look_up(desk, &desk.id).await?;
    let keeper = &desk.worker.shared.keeper;
    // Not into the middle of a turn.
    let _lock = keeper.lock(&desk.tenant, &desk.id).await?;
    let (tenant, id) = (desk.tenant.clone(), desk.id.clone());
    let added = keeper.ask(move |store| store.add(&tenant, &id, &items)).await?;
    let added = added.map_err(super::turn::gone)?;
    Ok(reply::json(StatusCode::OK, &listed(&added, false)))
}

/// `GET /v1/conversations/{id}/items`.
pub async fn list(desk: &Desk<'_>) -> Result<Reply, Failure> {
    let page = Page::read(desk.arrival)?;
    Ok(reply::json(StatusCode::OK, &page.of(all(desk, &desk.id).await?)?))
}

async fn all(desk: &Desk<'_>, id: &str) -> Result<Vec<StateItem>, Failure> {
    let (tenant, which) = (desk.tenant.clone(), id.to_owned());
    let limit = desk.arrival.snapshot.bounds.response_limit;
    let found = desk
        .worker
        .shared
        .keeper
        .ask(move |store| store.turns(&tenant, &which, limit));
    let (items, _) = found.await?.map_err(super::turn::gone)?;
    Ok(items)
}

async fn look_up(desk: &Desk<'_>, id: &str) -> Result<Conversation, Failure> {
    let (tenant, which) = (desk.tenant.clone(), id.to_owned());
    let found = desk
        .worker
        .shared
        .keeper
        .ask(move |store| store.conversation(&tenant, &which));
    found
        .await?
        .map_err(|error| unreadable(&error))?
        .ok_or_else(|| none(id))
}

fn shown(conversation: &Conversation) -> Reply {
    let metadata: Value = serde_json::from_str(&conversation.metadata).unwrap_or_default();
    let told = json!({
        "id": conversation.id, "object": "conversation", "created_at": conversation.created_at / 1000,
        "metadata": metadata,
    });
    reply::json(StatusCode::OK, &told)
}

fn none(id: &str) -> Failure {
    Failure::new(
        FailureKind::NotFound,
        format!("Conversation with id '{id}' not found."),
    )
}

fn no_item(id: &str) -> Failure {
    Failure::new(FailureKind::NotFound, format!("Item with id '{id}' not found."))
}

fn wrong(param: &str, message: &str) -> Failure {
    Failure::new(FailureKind::InvalidRequest, message).at(param)
}

//! Lists, page by page.

use pointsman_store::StateItem;
use pointsman_wire::form::{Failure, FailureKind};
use serde_json::{Value, json};

use super::super::Arrival;
use super::items;
use crate::surface::query_value;

const USUAL: usize = 20;
const MOST: usize = 100;

/// Which page of a list.
pub struct Page {
    after: Option<String>,
    limit: usize,
    newest_first: bool,
}

impl Page {
    /// Reads it from the query: `after`, `limit`, `order`.
    ///
    /// # Errors
    /// 400 for a limit or an order that there is not.
    pub fn read(arrival: &Arrival) -> Result<Self, Failure> {
        let query = arrival.uri.query().unwrap_or_default();
        let wrong = |name: &str, expected: &str| {
            Failure::new(
                FailureKind::InvalidRequest,
                format!("{name}: expected {expected}"),
            )
            .at(name)
        };
        let limit = match query_value(query, "limit") {
            None => USUAL,
            Some(limit) => limit
                .parse()
                .ok()
                .filter(|limit| (1..=MOST).contains(limit))
                .ok_or_else(|| wrong("limit", "a number from 1 to 100"))?,
        };
        let newest_first = match query_value(query, "order").as_deref() {
            None | Some("desc") => true,
            Some("asc") => false,
            Some(_) => return Err(wrong("order", "asc or desc")),
        };
        Ok(Self {
            after: query_value(query, "after").map(std::borrow::Cow::into_owned),
            limit,
            newest_first,
        })
    }

    /// The page of these items, the oldest of which comes first.
    ///
    /// # Errors
    /// 404 when the item to begin behind is not there.
    pub fn of(&self, mut all: Vec<StateItem>) -> Result<Value, Failure> {
        if self.newest_first {
            all.reverse();
        }
        let from = match &self.after {
            None => 0,
            Some(after) => {
                let at = all.iter().position(|item| item.id == *after);
                1 + at.ok_or_else(|| {
                    let message = format!("Item with id '{after}' not found.");
                    Failure::new(FailureKind::NotFound, message).at("after")
                })?
            }
        };
        let page = &all[from..all.len().min(from + self.limit)];
        Ok(list(page, from + page.len() < all.len()))
    }
}

/// A list as a client is shown it.
pub fn list(page: &[StateItem], has_more: bool) -> Value {
    json!({
        "object": "list",
        "data": page.iter().map(items::shown).collect::<Vec<_>>(),
        "first_id": page.first().map(|item| &item.id),
        "last_id": page.last().map(|item| &item.id),
        "has_more": has_more,
    })
}

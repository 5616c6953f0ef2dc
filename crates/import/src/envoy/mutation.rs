//! Mutations of headers and bodies, as a block `request`.

use super::Import;
use crate::source::Item;
use crate::variables::{is_secret_name, variable_name};
use crate::yaml::{Map, Yaml};

/// The block `request` of `headerMutation` and `bodyMutation` under `place`.
pub(super) fn request(import: &mut Import, place: &Item) -> Map {
    let mut request = Map::default();
    if let Some(mutation) = place.get("headerMutation") {
        headers(import, mutation, &mut request);
    }
    if let Some(mutation) = place.get("bodyMutation") {
        body(import, mutation, &mut request);
    }
    request
}

fn headers(import: &mut Import, mutation: &Item, request: &mut Map) {
    for name in mutation.get("remove").map(Item::items).unwrap_or_default() {
        if let Some(name) = name.text() {
            request.update("headers", |headers| headers.push("remove", Yaml::text(name)));
        }
    }
    for header in mutation.get("set").map(Item::items).unwrap_or_default() {
        let (Some(name), Some(value)) = (header.get("name").and_then(Item::text), header.get("value")) else {
            continue;
        };
        let value = if is_secret_name(name) {
            let draft = &mut import.draft;
            draft
                .variables
                .in_place_of(value, &variable_name(name), &mut draft.report)
        } else {
            match value.text() {
                Some(text) => Yaml::text(text),
                None => continue,
            }
        };
        request.update("headers", |headers| {
            headers.update("set", |all| all.set(name, value));
        });
    }
}

fn body(import: &mut Import, mutation: &Item, request: &mut Map) {
    for name in mutation.get("remove").map(Item::items).unwrap_or_default() {
        if let Some(name) = name.text() {
            request.update("body", |body| body.push("remove", Yaml::text(pointer(name))));
        }
    }
    for entry in mutation.get("set").map(Item::items).unwrap_or_default() {
        let (Some(path), Some(item)) = (entry.get("path").and_then(Item::text), entry.get("value")) else {
            continue;
        };
        let Some(text) = item.peek() else { continue };
        let Ok(value) = serde_json::from_str::<serde_json::Value>(text) else {
            import.draft.report.lost(
                item,
                "it is no JSON; a text stands in quotes of its own",
                "set it under request.body.set",
            );
            continue;
        };
        let value = if is_secret_name(path) && value.is_string() {
            let draft = &mut import.draft;
            draft
                .variables
                .in_place_of(item, &variable_name(path), &mut draft.report)
        } else {
            item.accept();
            Yaml::json(&value)
        };
        request.update("body", |body| {
            body.update("set", |all| all.set(&pointer(path), value));
        });
    }
}

/// A field of the body as a JSON pointer.
fn pointer(name: &str) -> String {
    format!("/{}", name.replace('~', "~0").replace('/', "~1"))
}

//! Resources of SCIM as they are answered: one, or filtered and page by page, with the attributes that are asked for (RFC 7644, sections 3.4.2 and 3.9).

use pointsman_store::{DirectoryEntry, DirectoryKind};
use serde_json::{Map, Value, json};

use super::error::{Scim, ScimType, wrong};
use super::filter::{Attribute, Filter, get};
use super::{MEDIA_TYPE, answer, entry, is_known, organization, resource};
use crate::call::{Answer, Call, Failed, Reply};

const SCHEMA: &str = "urn:ietf:params:scim:api:messages:2.0:ListResponse";
/// Resources of a page, at most, and when nobody says how many.
const MAX_PAGE: usize = 200;
/// Resources that a filter is asked of, at most: past that it must name one.
const MAX_SCAN: usize = 200_000;
/// Attributes that may be asked for.
const MAX_ATTRIBUTES: usize = 100;

/// What is shown of an entry beside what is kept of it.
pub type Completed = fn(&Call, &DirectoryEntry, &mut Map<String, Value>) -> Result<(), Failed>;

/// A page of a directory.
pub fn list(call: &Call, kind: DirectoryKind, complete: Completed) -> Answer {
    call.only(&[
        "filter",
        "startIndex",
        "count",
        "attributes",
        "excludedAttributes",
        // Sorting is not offered; who asks for it gets the order in which they were made.
        "sortBy",
        "sortOrder",
    ])?;
    let filter = filter(call, kind)?;
    let start = number(call, "startIndex")?.unwrap_or(1).max(1);
    let count = number(call, "count")?.map_or(MAX_PAGE, |count| count.clamp(0, MAX_PAGE as i64) as usize);
    let skip = usize::try_from(start - 1).unwrap_or(usize::MAX);
    let (found, total) = match named(call, kind, filter.as_ref())? {
        Some(one) => {
            let total = one.len();
            (one.into_iter().skip(skip).take(count).collect(), total)
        }
        None => scan(call, kind, filter.as_ref(), (skip, count))?,
    };
    let mut resources = Vec::new();
    for entry in &found {
        let mut shown = resource::shown(call, entry)?;
        complete(call, entry, &mut shown)?;
        resources.push(projected(call, &shown)?);
    }
    let mut reply = Reply::of(json!({
        "schemas": [SCHEMA],
        "totalResults": total,
        "startIndex": start,
        "itemsPerPage": resources.len(),
        "Resources": resources,
    }));
    reply.speaks(MEDIA_TYPE);
    Ok(reply)
}

/// One of a directory; only that it has not changed where the caller knows it.
pub fn show(call: &Call, kind: DirectoryKind, complete: Completed) -> Answer {
    let entry = entry(call, kind)?;
    if is_known(&call.headers, &entry) {
        return Ok(Reply::unchanged());
    }
    shown(call, &entry, false, complete)
}

/// An entry as it is answered; `made` where the request has made it.
pub fn shown(call: &Call, entry: &DirectoryEntry, made: bool, complete: Completed) -> Answer {
    let mut shown = resource::shown(call, entry)?;
    complete(call, entry, &mut shown)?;
    answer(call, entry, &shown, made)
}

fn number(call: &Call, name: &str) -> Result<Option<i64>, Scim> {
    let parse = |text: &str| {
        text.parse()
            .map_err(|_| wrong(ScimType::InvalidValue, format!("{name} is no number")))
    };
    call.parameter(name).map(parse).transpose()
}

fn filter(call: &Call, kind: DirectoryKind) -> Result<Option<Filter>, Scim> {
    let Some(text) = call.parameter("filter") else {
        return Ok(None);
    };
    let filter =
        Filter::read(text).ok_or_else(|| wrong(ScimType::InvalidFilter, "the filter cannot be read"))?;
    if kind == DirectoryKind::User && filter.asks("groups") {
        let message = "users are not filtered by groups: ask the groups for their members";
        return Err(wrong(ScimType::InvalidFilter, message));
    }
    Ok(Some(filter))
}

/// What a filter names by what is unique, found without looking at all.
fn named(
    call: &Call,
    kind: DirectoryKind,
    filter: Option<&Filter>,
) -> Result<Option<Vec<DirectoryEntry>>, Failed> {
    let Some(filter) = filter else { return Ok(None) };
    let name = match kind {
        DirectoryKind::User => "userName",
        DirectoryKind::Group => "displayName",
    };
    let (store, organization) = (call.store(), organization(call));
    if let Some(id) = filter.only("id") {
        let found = store.directory_entry(&organization, kind, id)?;
        return Ok(Some(found.into_iter().collect()));
    }
    if let Some(text) = filter.only(name) {
        let found = store.directory_find(&organization, kind, text)?;
        let is_named = |entry: &DirectoryEntry| entry.name == text.to_lowercase();
        return Ok(Some(found.into_iter().filter(is_named).collect()));
    }
    Ok(None)
}

/// Asks one after the other.
fn scan(
    call: &Call,
    kind: DirectoryKind,
    filter: Option<&Filter>,
    (skip, count): (usize, usize),
) -> Result<(Vec<DirectoryEntry>, usize), Failed> {
    let (mut found, mut total, mut seen, mut failed) = (Vec::new(), 0, 0, None);
    let each = |entry: DirectoryEntry| {
        seen += 1;
        let holds = match filter {
            None => true,
            Some(_) if seen > MAX_SCAN => {
                failed = Some(wrong(
                    ScimType::TooMany,
                    "there are too many: name one by its id or its name",
                ));
                return false;
            }
            Some(filter) => match resource::shown(call, &entry) {
                Ok(shown) => filter.holds(&shown),
                Err(error) => {
                    failed = Some(error);
                    return false;
                }
            },
        };
        if holds {
            if total >= skip && found.len() < count {
                found.push(entry);
            }
            total += 1;
        }
        true
    };
    call.store()
        .each_directory_entry(&organization(call), kind, each)?;
    match failed {
        Some(failed) => Err(failed),
        None => Ok((found, total)),
    }
}

/// A resource with the attributes that are asked for; what tells which one it is always stays.
pub fn projected(call: &Call, shown: &Map<String, Value>) -> Result<Value, Failed> {
    let read = |name: &str| {
        let names = call
            .parameter(name)
            .map(|names| names.split(',').map(str::trim).filter(|name| !name.is_empty()));
        let read = |name: &str| {
            Attribute::read(name)
                .ok_or_else(|| wrong(ScimType::InvalidValue, format!("{name:?} is no attribute")))
        };
        let read = names.map(|names| {
            names
                .take(MAX_ATTRIBUTES)
                .map(read)
                .collect::<Result<Vec<_>, _>>()
        });
        read.transpose()
    };
    let (only, without) = (read("attributes")?, read("excludedAttributes")?);
    if let Some(only) = only {
        let mut kept = Map::new();
        for name in ["schemas", "id"] {
            kept.extend(shown.get(name).map(|value| (name.to_owned(), value.clone())));
        }
        only.iter()
            .for_each(|attribute| copy(shown, attribute, &mut kept));
        return Ok(Value::Object(kept));
    }
    let mut kept = shown.clone();
    for attribute in without.into_iter().flatten() {
        let is_always = ["schemas", "id"]
            .iter()
            .any(|name| name.eq_ignore_ascii_case(&attribute.name));
        if !is_always {
            leave_out(&mut kept, &attribute);
        }
    }
    Ok(Value::Object(kept))
}

/// The fields that an attribute is looked for in, and its key there.
fn key<'m>(fields: &'m Map<String, Value>, attribute: &Attribute) -> Option<&'m str> {
    // An extension's attribute stands for the whole of it.
    let name = attribute.schema.as_ref().unwrap_or(&attribute.name);
    fields
        .keys()
        .find(|key| key.eq_ignore_ascii_case(name))
        .map(String::as_str)
}

fn copy(shown: &Map<String, Value>, attribute: &Attribute, kept: &mut Map<String, Value>) {
    let Some((key, value)) = key(shown, attribute).and_then(|key| shown.get_key_value(key)) else {
        return;
    };
    let part = |value: &Value, part: &str| {
        let found = get(value.as_object()?, part)?;
        Some(json!({ part: found }))
    };
    let value = match (&attribute.part, value) {
        (Some(name), Value::Array(all)) => Some(all.iter().filter_map(|one| part(one, name)).collect()),
        (Some(name), one) => part(one, name),
        (None, whole) => Some(whole.clone()),
    };
    match (kept.get_mut(key), value) {
        (Some(Value::Object(known)), Some(Value::Object(more))) => known.extend(more),
        (_, Some(value)) => {
            kept.insert(key.to_owned(), value);
        }
        (_, None) => {}
    }
}

fn leave_out(kept: &mut Map<String, Value>, attribute: &Attribute) {
    let Some(key) = key(kept, attribute).map(str::to_owned) else {
        return;
    };
    let Some(part) = &attribute.part else {
        kept.remove(&key);
        return;
    };
    let less = |value: &mut Value| {
        if let Value::Object(parts) = value {
            parts.retain(|name, _| !name.eq_ignore_ascii_case(part));
        }
    };
    match kept.get_mut(&key) {
        Some(Value::Array(all)) => all.iter_mut().for_each(less),
        Some(one) => less(one),
        None => {}
    }
}

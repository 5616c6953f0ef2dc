//! Organizations, teams, projects, users, and budgets that many share by name.

use pointsman_store::{Holder, HolderFilter, HolderKind, HolderSpec, Listing, StoreError};
use serde_json::{Value, json};

use crate::access::{may_change, may_make, may_touch, reads};
use crate::call::{Answer, Call, Failed, Reply, parse, value};
use crate::shapes::{HolderFields, beside, counted, dates, merge, spending};

/// A page of them.
pub fn list(call: &Call, kind: HolderKind) -> Answer {
    call.only(&["organization", "team", "name", "deleted", "after", "limit"])?;
    let own = |name: &str| call.parameter(name).map(str::to_owned);
    let deleted = match call.parameter("deleted") {
        None | Some("false") => false,
        Some("true") => true,
        Some(other) => {
            return Err(Failed::wrong(format!(
                "deleted must be true or false, not {other:?}"
            )));
        }
    };
    let filter = HolderFilter {
        organization: own("organization").map(Into::into),
        team: own("team").map(Into::into),
        name: own("name"),
        deleted,
        within: call.within(reads(kind)),
    };
    let listing = Listing {
        after: own("after"),
        limit: call.limit("limit")?,
        ..Listing::default()
    };
    let (page, total) = call.store().holders_page(kind, &filter, &listing)?;
    let next = page
        .more
        .then(|| page.items.last().map(|holder| holder.id.clone()));
    let data: Result<Vec<_>, _> = page.items.iter().map(|holder| view(call, holder)).collect();
    Ok(Reply::of(
        json!({ "data": data?, "total": total, "next": next.flatten() }),
    ))
}

/// One of them.
pub fn get(call: &Call, kind: HolderKind) -> Answer {
    let holder = find(call, kind, call.segment(0))?;
    Ok(Reply::of(view(call, &holder)?).versioned(holder.version))
}

/// Makes one.
pub fn create(call: &Call, kind: HolderKind) -> Answer {
    let mut object = call.object()?;
    let id = match object.remove("id") {
        None | Some(Value::Null) => None,
        Some(Value::String(id)) => Some(id),
        Some(_) => return Err(Failed::wrong("id must be a text")),
    };
    let fields: HolderFields = parse(Value::Object(object))?;
    let spec = fields.spec()?;
    may_make(call, kind, id.as_deref(), &spec)?;
    let holder = call.store().create_holder(&call.actor, kind, id, spec)?;
    call.take_over()?;
    Ok(Reply::made(view(call, &holder)?).versioned(holder.version))
}

/// Changes one, field by field.
pub fn patch(call: &Call, kind: HolderKind) -> Answer {
    let change = Value::Object(call.object()?);
    let id = call.segment(0);
    let mut expected = call.expected()?;
    if !call.caller.is_operator() {
        let before = find(call, kind, id)?;
        may_change(call, &before, &merged(&before.spec, change.clone())?)?;
        // What was looked at is what is changed, and nothing that came since.
        expected = expected.or(Some(before.version));
    }
    let mut failed = None;
    let changed = call
        .store()
        .update_holder(&call.actor, (kind, id), expected, |spec| {
            match merged(spec, change) {
                Ok(merged) => *spec = merged,
                Err(error) => {
                    failed = Some(error);
                    return Err(StoreError::Changed);
                }
            }
            Ok(())
        });
    if let Some(failed) = failed {
        return Err(failed);
    }
    let holder = changed?;
    call.take_over()?;
    Ok(Reply::of(view(call, &holder)?).versioned(holder.version))
}

/// A holder with a change.
fn merged(spec: &HolderSpec, change: Value) -> Result<HolderSpec, Failed> {
    let mut merged = value(HolderFields::of(spec))?;
    merge(&mut merged, change);
    parse::<HolderFields>(merged)?.spec()
}

/// Deletes one; its keys are refused from now on.
pub fn delete(call: &Call, kind: HolderKind) -> Answer {
    let (expected, id) = (call.expected()?, call.segment(0));
    if kind == HolderKind::User {
        may_touch(call, &id.into())?;
    }
    call.store().delete_holder(&call.actor, (kind, id), expected)?;
    call.take_over()?;
    Ok(Reply::done())
}

/// One that was not deleted.
pub fn find(call: &Call, kind: HolderKind, id: &str) -> Result<Holder, Failed> {
    let found = call.store().holder(kind, id)?;
    found
        .filter(|holder| holder.deleted_at.is_none())
        .ok_or_else(|| Failed::absent(format!("there is no {} {id:?}", kind.as_str())))
}

/// As it is shown: its fields, and how its budgets stand.
fn view(call: &Call, holder: &Holder) -> Result<Value, Failed> {
    let fields = value(HolderFields::of(&holder.spec))?;
    let mut more = dates(holder);
    if holder.kind != HolderKind::Plan {
        let standings = call.gateway.keys().standings(Some(holder.kind), &holder.id);
        more["spending"] = spending(&standings);
        let stood = call.gateway.keys().stood(Some(holder.kind), &holder.id);
        more["counted"] = counted(&stood);
    }
    Ok(beside(fields, more))
}

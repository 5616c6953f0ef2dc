//! `/budget/…`: limits and budgets that keys take over by name, each for itself.

use pointsman_store::{Holder, HolderFilter, HolderKind, HolderSpec};
use serde_json::{Value, json};

use super::fields::{Fields, list as texts, shown};
use super::teams::{change, every};
use crate::call::{Answer, Call, Reply};
use crate::holders::find;
use crate::shapes::{beside, time};

/// Makes one.
pub fn new(call: &Call) -> Answer {
    let mut fields = Fields::of(call)?;
    let id: Option<String> = fields.take("budget_id")?;
    let mut spec = HolderSpec::default();
    fields.terms(&mut spec.terms)?;
    fields.end()?;
    let made = call
        .store()
        .create_holder(&call.actor, HolderKind::Plan, id, spec)?;
    call.take_over()?;
    Ok(Reply::of(row(&made)))
}

/// Shows some, in a bare list.
pub fn info(call: &Call) -> Answer {
    let mut fields = Fields::of(call)?;
    let ids = texts(&mut fields, "budgets")?;
    fields.end()?;
    let rows: Result<Vec<_>, _> = ids
        .iter()
        .map(|id| find(call, HolderKind::Plan, id).map(|holder| row(&holder)))
        .collect();
    Ok(Reply::of(Value::Array(rows?)))
}

/// Changes one, for all keys that go by it.
pub fn update(call: &Call) -> Answer {
    let mut fields = Fields::of(call)?;
    let id: String = fields.need("budget_id")?;
    let holder = change(call, (HolderKind::Plan, &id), |spec| {
        fields.terms(&mut spec.terms)?;
        std::mem::replace(&mut fields, Fields::none()).end()
    })?;
    Ok(Reply::of(row(&holder)))
}

/// Deletes one that no key goes by.
pub fn delete(call: &Call) -> Answer {
    let mut fields = Fields::of(call)?;
    let id: String = fields.need("id")?;
    fields.end()?;
    let gone = call
        .store()
        .delete_holder(&call.actor, (HolderKind::Plan, &id), None)?;
    call.take_over()?;
    Ok(Reply::of(row(&gone)))
}

/// All, in a bare list.
pub fn list(call: &Call) -> Answer {
    call.only(&[])?;
    let all = every(call, HolderKind::Plan, &HolderFilter::default())?;
    Ok(Reply::of(all.iter().map(row).collect()))
}

fn row(holder: &Holder) -> Value {
    let own = json!({
        "budget_id": holder.id,
        "created_at": time(holder.created_at),
        "updated_at": time(holder.updated_at),
    });
    beside(own, shown(&holder.spec.terms, None))
}

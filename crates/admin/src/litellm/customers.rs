//! `/customer/…`, which LiteLLM also calls `/end_user/…`: end customers that belong to no organization, by their names.

use pointsman_store::{Holder, HolderFilter, HolderKind, HolderSpec};
use serde_json::{Value, json};

use super::fields::{Fields, list as texts};
use super::teams::{change, common, every};
use crate::call::{Answer, Call, Failed, Reply};
use crate::shapes::beside;

/// Notes under which an alias is kept: a customer's name is what requests call it by.
const ALIAS: &str = "alias";

/// Makes one.
pub fn new(call: &Call) -> Answer {
    let mut fields = Fields::of(call)?;
    let mut spec = HolderSpec {
        name: fields.need("user_id")?,
        ..HolderSpec::default()
    };
    apply(&mut fields, &mut spec)?;
    fields.end()?;
    let made = call
        .store()
        .create_holder(&call.actor, HolderKind::Customer, None, spec)?;
    call.take_over()?;
    Ok(Reply::of(row(call, &made)?))
}

/// Shows one.
pub fn info(call: &Call) -> Answer {
    call.only(&["end_user_id"])?;
    let Some(name) = call.parameter("end_user_id") else {
        return Err(Failed::wrong("end_user_id is missing"));
    };
    Ok(Reply::of(row(call, &named(call, name)?)?))
}

/// Changes one.
pub fn update(call: &Call) -> Answer {
    let mut fields = Fields::of(call)?;
    let name: String = fields.need("user_id")?;
    let id = named(call, &name)?.id;
    let holder = change(call, (HolderKind::Customer, &id), |spec| {
        apply(&mut fields, spec)?;
        std::mem::replace(&mut fields, Fields::none()).end()
    })?;
    Ok(Reply::of(row(call, &holder)?))
}

/// Deletes some: what they have does not count any more.
pub fn delete(call: &Call) -> Answer {
    let holders = several(call)?;
    for holder in &holders {
        call.store()
            .delete_holder(&call.actor, (HolderKind::Customer, &holder.id), None)?;
    }
    call.take_over()?;
    Ok(Reply::of(json!({ "deleted_customers": holders.len() })))
}

/// All, in a bare list.
pub fn list(call: &Call) -> Answer {
    call.only(&[])?;
    let all = every(call, HolderKind::Customer, &HolderFilter::default())?;
    let ours = all.iter().filter(|holder| holder.spec.organization.is_none());
    let rows: Result<Vec<_>, _> = ours.map(|holder| row(call, holder)).collect();
    Ok(Reply::of(Value::Array(rows?)))
}

/// Refuses requests that name some of them.
pub fn block(call: &Call) -> Answer {
    switch(call, true)
}

/// Lets requests that name some of them through again.
pub fn unblock(call: &Call) -> Answer {
    switch(call, false)
}

fn switch(call: &Call, blocked: bool) -> Answer {
    let mut rows = Vec::new();
    for holder in several(call)? {
        let holder = change(call, (HolderKind::Customer, &holder.id), |spec| {
            spec.disabled = blocked;
            Ok(())
        })?;
        rows.push(row(call, &holder)?);
    }
    Ok(Reply::of(json!({ "blocked_users": rows })))
}

/// Changes one by the fields that are there.
fn apply(fields: &mut Fields, spec: &mut HolderSpec) -> Result<(), Failed> {
    let alias: Option<String> = fields.take(ALIAS)?;
    if let Some(blocked) = fields.take("blocked")? {
        spec.disabled = blocked;
    }
    fields.terms(&mut spec.terms)?;
    fields.metadata(&mut spec.metadata)?;
    if let Some(alias) = alias {
        spec.metadata.insert(ALIAS.to_owned(), json!(alias));
    }
    Ok(())
}

/// Those that a body names, if all are there.
fn several(call: &Call) -> Result<Vec<Holder>, Failed> {
    let mut fields = Fields::of(call)?;
    let names = texts(&mut fields, "user_ids")?;
    fields.end()?;
    names.iter().map(|name| named(call, name)).collect()
}

/// The one of this name.
fn named(call: &Call, name: &str) -> Result<Holder, Failed> {
    let filter = HolderFilter {
        name: Some(name.to_owned()),
        ..HolderFilter::default()
    };
    let found = every(call, HolderKind::Customer, &filter)?;
    found
        .into_iter()
        .find(|holder| holder.spec.organization.is_none())
        .ok_or_else(|| Failed::absent(format!("there is no customer {name:?}")))
}

fn row(call: &Call, holder: &Holder) -> Result<Value, Failed> {
    let common = common(call, holder)?;
    let own = json!({
        "user_id": holder.spec.name,
        "alias": holder.spec.metadata.get(ALIAS),
        "litellm_budget_table": {
            "max_budget": common["max_budget"],
            "soft_budget": common["soft_budget"],
            "budget_duration": common["budget_duration"],
            "tpm_limit": common["tpm_limit"],
            "rpm_limit": common["rpm_limit"],
        },
    });
    Ok(beside(own, common))
}

//! Keys.

use jiff::Timestamp;
use pointsman_store::{
    KeyFilter, KeyId, KeyRecord, KeyStatus, Listing, Metadata, NewKey, Permission, StoreError,
};
use schemars::JsonSchema;
use secrecy::ExposeSecret;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::access::{may_change_key, may_make_key};
use crate::call::{Answer, Call, Failed, Reply, parse, value};
use crate::shapes::{KeyFields, beside, counted, merge, spending, status, time};

/// How a key gets a new secret.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RotateFields {
    /// For so many seconds the old secret stays good; thirty days at most.
    pub grace_seconds: u32,
}

/// A page of them.
pub fn list(call: &Call) -> Answer {
    call.only(&[
        "organization",
        "team",
        "project",
        "user",
        "budget",
        "name",
        "status",
        "after",
        "limit",
    ])?;
    let own = |name: &str| call.parameter(name).map(str::to_owned);
    let status = match call.parameter("status") {
        None => None,
        Some("active") => Some(KeyStatus::Active),
        Some("disabled") => Some(KeyStatus::Disabled),
        Some("expired") => Some(KeyStatus::Expired),
        Some("revoked") => Some(KeyStatus::Revoked),
        Some(other) => {
            return Err(Failed::wrong(format!(
                "status must be active, disabled, expired or revoked, not {other:?}"
            )));
        }
    };
    let filter = KeyFilter {
        organization: own("organization").map(Into::into),
        team: own("team").map(Into::into),
        project: own("project").map(Into::into),
        user: own("user").map(Into::into),
        plan: own("budget").map(Into::into),
        name: own("name"),
        hash: None,
        status,
        within: call.within(Permission::KeysRead),
    };
    let listing = Listing {
        after: own("after"),
        limit: call.limit("limit")?,
        ..Listing::default()
    };
    let (page, total) = call.store().keys_page(&filter, &listing)?;
    let last = page.items.last().map(|key| key.id.as_str().to_owned());
    let next = last.filter(|_| page.more);
    let data: Result<Vec<_>, _> = page.items.iter().map(|key| view(call, key)).collect();
    Ok(Reply::of(json!({ "data": data?, "total": total, "next": next })))
}

/// One of them.
pub fn get(call: &Call) -> Answer {
    let key = call.store().key(&id(call))?;
    Ok(Reply::of(view(call, &key)?).versioned(key.version))
}

/// Makes one; its secret is in the answer, and nowhere else.
pub fn create(call: &Call) -> Answer {
    let (grant, metadata, disabled) = call.read::<KeyFields>()?.grant()?;
    may_make_key(call, &grant)?;
    let (mut key, secret) = call.store().create_key_as(&call.actor, grant, metadata, None)?;
    if disabled {
        key = call.store().update_key(&call.actor, &key.id, None, |key| {
            key.disabled_at = Some(now());
            Ok(())
        })?;
    }
    call.take_over()?;
    let shown = beside(view(call, &key)?, json!({ "secret": secret.expose_secret() }));
    Ok(Reply::made(shown).versioned(key.version))
}

/// Changes one, field by field.
pub fn patch(call: &Call) -> Answer {
    let change = Value::Object(call.object()?);
    let (id, mut expected) = (id(call), call.expected()?);
    if !call.caller.is_operator() {
        let before = call.store().key(&id)?;
        let (grant, metadata, disabled) = merged(&before, change.clone())?;
        let more = metadata != before.metadata || disabled != before.disabled_at.is_some();
        may_change_key(call, &id, (&before.grant, &grant), more)?;
        // What was looked at is what is changed, and nothing that came since.
        expected = expected.or(Some(before.version));
    }
    let mut failed = None;
    let changed = call
        .store()
        .update_key(&call.actor, &id, expected, |key| match merged(key, change) {
            Ok((grant, metadata, disabled)) => {
                key.grant = grant;
                key.metadata = metadata;
                key.disabled_at = disabled.then(|| key.disabled_at.unwrap_or_else(now));
                Ok(())
            }
            Err(error) => {
                failed = Some(error);
                Err(StoreError::Changed)
            }
        });
    if let Some(failed) = failed {
        return Err(failed);
    }
    let key = changed?;
    call.take_over()?;
    Ok(Reply::of(view(call, &key)?).versioned(key.version))
}

/// A key with a change: what it may do, its notes, whether it is disabled.
fn merged(key: &KeyRecord, change: Value) -> Result<(NewKey, Metadata, bool), Failed> {
    let mut merged = value(KeyFields::of(key))?;
    merge(&mut merged, change);
    parse::<KeyFields>(merged)?.grant()
}

/// Revokes one, for good.
pub fn delete(call: &Call) -> Answer {
    call.store()
        .revoke_key_as(&call.actor, &id(call), call.expected()?)?;
    call.take_over()?;
    Ok(Reply::done())
}

/// Gives one a new secret.
pub fn rotate(call: &Call) -> Answer {
    let grace = i64::from(call.read::<RotateFields>()?.grace_seconds) * 1_000;
    let rotated = call
        .store()
        .rotate_key_as(&call.actor, &id(call), call.expected()?, grace)?;
    call.take_over()?;
    let secret = json!({ "secret": rotated.1.expose_secret() });
    let shown = beside(view(call, &rotated.0)?, secret);
    Ok(Reply::of(shown).versioned(rotated.0.version))
}

fn id(call: &Call) -> KeyId {
    KeyId::from(call.segment(0))
}

/// Unix milliseconds.
pub fn now() -> i64 {
    Timestamp::now().as_millisecond()
}

/// As it is shown: its fields, in which state it is, and how its budgets stand.
fn view(call: &Call, key: &KeyRecord) -> Result<Value, Failed> {
    let standings = call.gateway.keys().standings(None, key.id.as_str());
    let more = json!({
        "id": key.id.as_str(),
        "hint": key.hint,
        "status": status(key, now()),
        "created_at": time(key.created_at),
        "updated_at": time(key.updated_at),
        "revoked_at": key.revoked_at.map(time),
        "former_secret_until": key.former.map(|(_, until)| time(until)),
        "spending": spending(&standings),
        "counted": counted(&call.gateway.keys().stood(None, key.id.as_str())),
    });
    Ok(beside(value(KeyFields::of(key))?, more))
}

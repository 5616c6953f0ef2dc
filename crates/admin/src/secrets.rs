//! Secrets of the database: put, listed, wrapped anew, deleted; never given back.

use std::sync::Arc;

use http::{Method, StatusCode};
use pointsman_store::{MasterKeys, SecretFields as Fields, StoredSecret};
use pointsman_upstream::config::Secret;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::access::Needs;
use crate::call::{Answer, Call, Failed, Reply};
use crate::routes::{Route, Takes, get, with};
use crate::shapes::time;

/// What a secret holds. It is never told again.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct SecretFields {
    /// Its one value, as `${store:NAME}` gives it.
    pub value: Option<Secret>,
    /// Several, as `${store:NAME#FIELD}` gives them.
    pub fields: std::collections::BTreeMap<String, Secret>,
}

/// Their routes.
pub fn routes() -> [Route; 5] {
    let one = "/admin/v1/secrets/{name}";
    [
        get(
            "/admin/v1/secrets",
            Needs::Operator,
            "Lists secrets that are kept in the database: names and fields, no values.",
            list,
        )
        .sensitive(),
        get(
            one,
            Needs::Operator,
            "Shows what is known of a secret, which is nothing of its value.",
            show,
        )
        .sensitive(),
        with(
            (Method::PUT, one),
            Needs::Operator,
            Takes::Secret,
            "Keeps a secret, sealed, in place of the one before; `${store:NAME}` in the configuration names it.",
            put,
        ),
        with(
            (Method::DELETE, one),
            Needs::Operator,
            Takes::Nothing,
            "Deletes a secret.",
            delete,
        ),
        with(
            (Method::POST, "/admin/v1/secrets/rewrap"),
            Needs::Operator,
            Takes::Nothing,
            "Has the first master key wrap the keys of all secrets: then those before are not needed any more.",
            rewrap,
        ),
    ]
}

fn list(call: &Call) -> Answer {
    call.only(&["after", "limit"])?;
    let limit = call.limit("limit")?;
    let found = call
        .store()
        .secrets(call.parameter("after").unwrap_or_default(), limit)?;
    let next = found.last().filter(|_| found.len() == limit as usize);
    let next = next.map(|secret| secret.name.clone());
    let data: Vec<_> = found.iter().map(view).collect();
    Ok(Reply::of(json!({ "data": data, "next": next })))
}

fn show(call: &Call) -> Answer {
    let name = call.segment(0);
    let found = call.store().secret(name)?;
    let secret = found.ok_or_else(|| Failed::absent(format!("there is no secret {name:?}")))?;
    Ok(Reply::of(view(&secret)).versioned(secret.version))
}

fn put(call: &Call) -> Answer {
    let SecretFields { value, fields } = call.read()?;
    if value.is_some() != fields.is_empty() {
        return Err(Failed::wrong("say either value or fields"));
    }
    let value = value.map(|value| ("value".to_owned(), value));
    let fields: Fields = fields
        .into_iter()
        .chain(value)
        .map(|(field, value)| (field, value.expose().to_owned().into()))
        .collect();
    let (keys, expected) = (keys(call)?, call.expected()?);
    let kept = call
        .store()
        .put_secret(&call.actor, (call.segment(0), &fields), &keys, expected)?;
    Ok(Reply::of(view(&kept)).versioned(kept.version))
}

fn delete(call: &Call) -> Answer {
    let expected = call.expected()?;
    call.store()
        .delete_secret(&call.actor, call.segment(0), expected)?;
    Ok(Reply::done())
}

fn rewrap(call: &Call) -> Answer {
    let wrapped = call.store().rewrap_secrets(&call.actor, &*keys(call)?)?;
    Ok(Reply::of(json!({ "wrapped": wrapped })))
}

fn keys(call: &Call) -> Result<Arc<MasterKeys>, Failed> {
    let keys = call.gateway.snapshot().master_keys.clone();
    keys.ok_or_else(|| {
        Failed::new(
            StatusCode::CONFLICT,
            "there is no master key: set secrets.store.keys, or POINTSMAN_MASTER_KEY (`pointsman secret key` makes one)",
        )
    })
}

fn view(secret: &StoredSecret) -> Value {
    json!({
        "name": secret.name,
        "fields": secret.fields,
        "master_key": secret.master_key,
        "created_at": time(secret.created_at),
        "updated_at": time(secret.updated_at),
    })
}

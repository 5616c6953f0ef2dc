//! `/key/…`.

use pointsman_store::{
    Holder, HolderKind, HolderSpec, KeyFilter, KeyId, KeyRecord, KeyStatus, Listing, NewKey, StoreError,
    Terms,
};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};

use super::fields::{Fields, duration, list as texts, shown};
use crate::call::{Answer, Call, Failed, Reply};
use crate::keys::now;
use crate::shapes::{beside, status, time, usd};

/// Keys of a page, at most, as LiteLLM has it.
const MAX_SIZE: u32 = 100;

/// Makes a key.
pub fn generate(call: &Call) -> Answer {
    let mut fields = Fields::of(call)?;
    let made = make(call, &mut fields, NewKey::default())?;
    fields.end()?;
    let (grant, metadata, chosen, blocked) = made;
    let (mut key, secret) = call.store().create_key_as(&call.actor, grant, metadata, chosen)?;
    if blocked {
        key = set_blocked(call, &key.id, true)?;
    }
    call.take_over()?;
    told(call, &key, &secret)
}

/// Makes a key that is a team's and no user's, for a program.
pub fn service_account(call: &Call) -> Answer {
    let fields = Fields::of(call)?;
    if !fields.says("team_id") || fields.says("user_id") {
        return Err(Failed::wrong(
            "a service account is a key of a team (team_id), and of no user",
        ));
    }
    generate(call)
}

/// A new key with its secret, as both ways to get one answer.
fn told(call: &Call, key: &KeyRecord, secret: &SecretString) -> Answer {
    let token = hash(key);
    let more = json!({ "key": secret.expose_secret(), "token": token, "token_id": token });
    Ok(Reply::of(beside(row(call, key)?, more)))
}

type Made = (NewKey, pointsman_store::Metadata, Option<SecretString>, bool);

/// What the fields say of a key that is to be made.
pub fn make(call: &Call, fields: &mut Fields, mut grant: NewKey) -> Result<Made, Failed> {
    let chosen: Option<String> = fields.take("key")?;
    let mut metadata = pointsman_store::Metadata::new();
    let blocked = fields.take("blocked")?.unwrap_or(false);
    let kind: Option<String> = fields.take("key_type")?;
    if let Some(kind) = kind.filter(|kind| !["default", "llm_api"].contains(&kind.as_str())) {
        return Err(Failed::wrong(format!(
            "keys of the type {kind:?} are not made: keys are for models, and the admin token for all else"
        )));
    }
    // It asks for what happens here anyway.
    let _: Option<bool> = fields.take("send_invite_email")?;
    apply(fields, &mut grant, &mut metadata)?;
    if let Some(user) = &grant.user {
        ensure_user(call, user.as_str())?;
    }
    Ok((grant, metadata, chosen.map(SecretString::from), blocked))
}

/// LiteLLM makes the user with the first key.
fn ensure_user(call: &Call, id: &str) -> Result<(), Failed> {
    if call.store().holder(HolderKind::User, id)?.is_some() {
        return Ok(());
    }
    let (kind, id) = (HolderKind::User, Some(id.to_owned()));
    match call
        .store()
        .create_holder(&call.actor, kind, id, HolderSpec::default())
    {
        Ok(_) | Err(StoreError::Exists { .. }) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Changes a key by the fields that are there.
fn apply(
    fields: &mut Fields,
    grant: &mut NewKey,
    metadata: &mut pointsman_store::Metadata,
) -> Result<(), Failed> {
    if fields.has("key_alias") {
        grant.name = fields.take("key_alias")?.unwrap_or_default();
    }
    let mut text = |name: &str| -> Result<Option<Option<String>>, Failed> {
        let said = fields.has(name);
        Ok(fields.take(name)?.map(Some).or_else(|| said.then_some(None)))
    };
    if let Some(id) = text("organization_id")? {
        grant.organization = id.map(Into::into);
    }
    if let Some(id) = text("team_id")? {
        grant.team = id.map(Into::into);
    }
    if let Some(id) = text("project_id")? {
        grant.project = id.map(Into::into);
    }
    if let Some(id) = text("user_id")? {
        grant.user = id.map(Into::into);
    }
    if let Some(id) = text("budget_id")? {
        grant.plan = id.map(Into::into);
    }
    if let Some(length) = text("duration")? {
        let length = length.filter(|length| length != "-1");
        grant.expires_at = length
            .map(|length| duration(&length))
            .transpose()?
            .map(|length| now() + length);
    }
    if fields.has("aliases") {
        grant.aliases = fields.take("aliases")?.unwrap_or_default();
    }
    let mut terms = terms(grant);
    fields.terms(&mut terms)?;
    grant.models = terms.models;
    grant.requests_per_minute = terms.requests_per_minute;
    grant.tokens_per_minute = terms.tokens_per_minute;
    grant.concurrency = terms.concurrency;
    grant.budgets = terms.budgets;
    fields.notes(metadata, &mut grant.priority)
}

/// What a key itself says.
fn terms(grant: &NewKey) -> Terms {
    Terms {
        models: grant.models.clone(),
        providers: grant.providers.clone(),
        guardrails: grant.guardrails.clone(),
        surfaces: grant.surfaces.clone(),
        networks: grant.networks.clone(),
        requests_per_minute: grant.requests_per_minute,
        tokens_per_minute: grant.tokens_per_minute,
        concurrency: grant.concurrency,
        budgets: grant.budgets.clone(),
        ..Terms::default()
    }
}

/// Shows a key.
pub fn info(call: &Call) -> Answer {
    call.only(&["key"])?;
    let Some(presented) = call.parameter("key") else {
        return Err(Failed::wrong(
            "key is missing: the admin token is no key that could be shown",
        ));
    };
    let key = find(call, presented)?;
    Ok(Reply::of(json!({ "key": hash(&key), "info": row(call, &key)? })))
}

/// Changes a key.
pub fn update(call: &Call) -> Answer {
    let mut fields = Fields::of(call)?;
    let presented: String = fields.need("key")?;
    let blocked: Option<bool> = fields.take("blocked")?;
    let id = find(call, &presented)?.id;
    let mut failed = None;
    let changed = call.store().update_key(&call.actor, &id, None, |key| {
        let mut change = || {
            apply(&mut fields, &mut key.grant, &mut key.metadata)?;
            std::mem::replace(&mut fields, Fields::none()).end()
        };
        change().map_err(|error| {
            failed = Some(error);
            StoreError::Changed
        })?;
        if let Some(blocked) = blocked {
            key.disabled_at = blocked.then(now);
        }
        Ok(())
    });
    if let Some(failed) = failed {
        return Err(failed);
    }
    let key = changed?;
    call.take_over()?;
    Ok(Reply::of(beside(row(call, &key)?, json!({ "key": hash(&key) }))))
}

/// Revokes keys: all that are named, or none.
pub fn delete(call: &Call) -> Answer {
    let mut fields = Fields::of(call)?;
    // Clients send both names, and null for the one that they do not mean.
    let keys = if fields.says("key_aliases") {
        let aliases = texts(&mut fields, "key_aliases")?;
        let found = aliases.iter().map(|alias| Ok(call.store().find_key(alias)?));
        found.collect::<Result<Vec<_>, Failed>>()?
    } else {
        let keys = texts(&mut fields, "keys")?;
        let found = keys.iter().map(|key| find(call, key));
        found.collect::<Result<Vec<_>, _>>()?
    };
    fields.end()?;
    let mut deleted = Vec::new();
    for key in keys {
        call.store().revoke_key_as(&call.actor, &key.id, None)?;
        deleted.push(hash(&key));
    }
    call.take_over()?;
    Ok(Reply::of(json!({ "deleted_keys": deleted })))
}

/// A page of keys: their hashes, or all of them.
pub fn list(call: &Call) -> Answer {
    call.only(&[
        "page",
        "size",
        "user_id",
        "team_id",
        "organization_id",
        "project_id",
        "key_hash",
        "key_alias",
        "return_full_object",
        "include_team_keys",
        "include_created_by_keys",
        "sort_by",
        "sort_order",
        "status",
    ])?;
    let own = |name: &str| call.parameter(name).map(str::to_owned);
    let page = call.number("page")?.unwrap_or(1).max(1);
    let size = call.number("size")?.unwrap_or(10).clamp(1, MAX_SIZE);
    let hash_of = |text: &str| unhex(text).ok_or_else(|| Failed::wrong("key_hash is no SHA-256"));
    let filter = KeyFilter {
        organization: own("organization_id").map(Into::into),
        team: own("team_id").map(Into::into),
        project: own("project_id").map(Into::into),
        user: own("user_id").map(Into::into),
        plan: None,
        name: own("key_alias"),
        hash: call.parameter("key_hash").map(hash_of).transpose()?,
        status: match call.parameter("status") {
            Some("deleted" | "revoked") => Some(KeyStatus::Revoked),
            Some("expired") => Some(KeyStatus::Expired),
            _ => Some(KeyStatus::Active),
        },
        within: None,
    };
    let listing = Listing {
        skip: (page - 1).saturating_mul(size),
        limit: size,
        newest_first: call.parameter("sort_order") != Some("asc"),
        ..Listing::default()
    };
    let (found, total) = call.store().keys_page(&filter, &listing)?;
    let full = call
        .parameter("return_full_object")
        .is_some_and(|said| said.eq_ignore_ascii_case("true"));
    let shown = |key: &KeyRecord| {
        if full {
            Ok(beside(row(call, key)?, json!({ "token": hash(key) })))
        } else {
            Ok(Value::String(hash(key)))
        }
    };
    let keys: Result<Vec<_>, Failed> = found.items.iter().map(shown).collect();
    Ok(Reply::of(json!({
        "keys": keys?,
        "total_count": total,
        "current_page": page,
        "total_pages": total.div_ceil(u64::from(size)),
    })))
}

/// Refuses a key until it is unblocked.
pub fn block(call: &Call) -> Answer {
    switch(call, true)
}

/// Lets a key in again.
pub fn unblock(call: &Call) -> Answer {
    switch(call, false)
}

fn switch(call: &Call, blocked: bool) -> Answer {
    let mut fields = Fields::of(call)?;
    let presented: String = fields.need("key")?;
    fields.end()?;
    let id = find(call, &presented)?.id;
    let key = set_blocked(call, &id, blocked)?;
    call.take_over()?;
    Ok(Reply::of(beside(
        row(call, &key)?,
        json!({ "token": hash(&key) }),
    )))
}

fn set_blocked(call: &Call, id: &KeyId, blocked: bool) -> Result<KeyRecord, Failed> {
    let changed = call.store().update_key(&call.actor, id, None, |key| {
        key.disabled_at = blocked.then(now);
        Ok(())
    });
    Ok(changed?)
}

/// Gives a key a new secret.
pub fn regenerate(call: &Call) -> Answer {
    let mut fields = Fields::of(call)?;
    let said: Option<String> = fields.take("key")?;
    let presented = match call.segment(0) {
        "" => said.ok_or_else(|| Failed::wrong("key is missing"))?,
        segment => segment.to_owned(),
    };
    let grace: Option<String> = fields.take("grace_period")?;
    let grace = grace.map_or(Ok(0), |grace| duration(&grace))?;
    fields.end()?;
    let id = find(call, &presented)?.id;
    let (key, secret) = call.store().rotate_key_as(&call.actor, &id, None, grace)?;
    call.take_over()?;
    told(call, &key, &secret)
}

/// The key that somebody names: by itself, by its hash, or by its id.
pub fn find(call: &Call, presented: &str) -> Result<KeyRecord, Failed> {
    if presented.starts_with("key_") {
        return Ok(call.store().key(&KeyId::from(presented))?);
    }
    let filter = match unhex(presented) {
        Some(hash) => KeyFilter {
            hash: Some(hash),
            ..KeyFilter::default()
        },
        None => KeyFilter::secret(presented),
    };
    let one = Listing {
        limit: 1,
        ..Listing::default()
    };
    let (page, _) = call.store().keys_page(&filter, &one)?;
    // What was presented may be a secret: it is not repeated.
    let found = page.items.into_iter().next();
    found.ok_or_else(|| Failed::absent("there is no such key"))
}

/// The hash that stands for a key, as LiteLLM writes it.
pub fn hash(key: &KeyRecord) -> String {
    key.hash.iter().fold(String::with_capacity(64), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = std::fmt::Write::write_fmt(&mut text, format_args!("{byte:02x}"));
        text
    })
}

fn unhex(text: &str) -> Option<[u8; 32]> {
    let mut hash = [0; 32];
    if text.len() != 64 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    for (at, byte) in hash.iter_mut().enumerate() {
        *byte = u8::from_str_radix(text.get(2 * at..2 * at + 2)?, 16).ok()?;
    }
    Some(hash)
}

/// A key as LiteLLM shows it.
pub fn row(call: &Call, key: &KeyRecord) -> Result<Value, Failed> {
    let grant = &key.grant;
    let standings = call.gateway.keys().standings(None, key.id.as_str());
    let ends = standings.first().and_then(|standing| standing.ends);
    let said = |id: Option<&str>| id.map(str::to_owned);
    let own = json!({
        "key_name": key.hint,
        "key_alias": (!grant.name.is_empty()).then_some(&grant.name),
        "spend": usd(call.store().spent(&key.id, 0)?),
        "expires": grant.expires_at.map(time),
        "aliases": grant.aliases,
        "config": {},
        "permissions": {},
        "user_id": said(grant.user.as_ref().map(|id| id.as_str())),
        "team_id": said(grant.team.as_ref().map(|id| id.as_str())),
        "project_id": said(grant.project.as_ref().map(|id| id.as_str())),
        "organization_id": said(grant.organization.as_ref().map(|id| id.as_str())),
        "budget_id": said(grant.plan.as_ref().map(|id| id.as_str())),
        "metadata": key.metadata,
        "blocked": key.disabled_at.map(|_| true),
        "allowed_cache_controls": [],
        "created_at": time(key.created_at),
        "updated_at": time(key.updated_at),
        "status": status(key, now()),
        "litellm_budget_table": null,
    });
    Ok(beside(own, shown(&terms(grant), ends)))
}

/// How the first budget of a holder stands.
pub fn ends(call: &Call, holder: &Holder) -> Option<i64> {
    let standings = call.gateway.keys().standings(Some(holder.kind), &holder.id);
    standings.first().and_then(|standing| standing.ends)
}

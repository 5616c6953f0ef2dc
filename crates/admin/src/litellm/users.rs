//! `/user/…`.

use pointsman_store::{Holder, HolderFilter, HolderKind, HolderSpec, KeyFilter, Listing, NewKey};
use secrecy::ExposeSecret;
use serde_json::{Value, json};

use super::fields::{Fields, list as texts};
use super::keys::{hash, make, row as key_row};
use super::teams::{change, common, keys_of};
use crate::call::{Answer, Call, Failed, MAX_PAGE, Reply};
use crate::holders::find;
use crate::shapes::beside;

/// Notes under which a user's address is kept.
const EMAIL: &str = "user_email";

/// Makes a user, and a key of theirs unless that is not wanted.
pub fn new(call: &Call) -> Answer {
    let mut fields = Fields::of(call)?;
    let id: Option<String> = fields.take("user_id")?;
    let with_key = fields.take("auto_create_key")?.unwrap_or(true);
    let mut spec = HolderSpec::default();
    // The limits of a user are the user's, not the key's that is made with it.
    apply(&mut fields, &mut spec)?;
    let (grant, metadata, chosen, _) = make(call, &mut fields, NewKey::default())?;
    fields.end()?;
    spec.organization.clone_from(&grant.organization);
    let holder = call
        .store()
        .create_holder(&call.actor, HolderKind::User, id, spec)?;
    let mut shown = user(call, &holder)?;
    if with_key {
        let grant = NewKey {
            user: Some(holder.id.as_str().into()),
            ..grant
        };
        let (key, secret) = call.store().create_key_as(&call.actor, grant, metadata, chosen)?;
        let token = hash(&key);
        let told = json!({ "key": secret.expose_secret(), "token": token, "token_id": token });
        shown = beside(shown, beside(told, key_row(call, &key)?));
    }
    call.take_over()?;
    Ok(Reply::of(shown))
}

/// Changes a user by the fields that are there.
fn apply(fields: &mut Fields, spec: &mut HolderSpec) -> Result<(), Failed> {
    if fields.has("user_alias") {
        spec.name = fields.take("user_alias")?.unwrap_or_default();
    }
    let role: Option<String> = fields.take("user_role")?;
    if let Some(role) = role.filter(|role| !role.starts_with("internal_user")) {
        return Err(Failed::wrong(format!(
            "the role {role:?} is not given: users have no roles here, and the admin token is the only one that manages"
        )));
    }
    let email: Option<String> = fields.take(EMAIL)?;
    fields.terms(&mut spec.terms)?;
    fields.metadata(&mut spec.metadata)?;
    if let Some(email) = email {
        spec.metadata.insert(EMAIL.to_owned(), json!(email));
    }
    Ok(())
}

/// Changes a user.
pub fn update(call: &Call) -> Answer {
    let mut fields = Fields::of(call)?;
    let id: String = fields.need("user_id")?;
    let holder = change(call, (HolderKind::User, &id), |spec| {
        let email = spec.metadata.get(EMAIL).cloned();
        apply(&mut fields, spec)?;
        // Notes are replaced as a whole; the address is no note.
        if let Some(email) = email {
            spec.metadata.entry(EMAIL).or_insert(email);
        }
        std::mem::replace(&mut fields, Fields::none()).end()
    })?;
    Ok(Reply::of(json!({ "user_id": id, "data": user(call, &holder)? })))
}

/// Shows a user alone.
pub fn alone(call: &Call) -> Answer {
    call.only(&["user_id"])?;
    let Some(id) = call.parameter("user_id") else {
        return Err(Failed::wrong("user_id is missing"));
    };
    Ok(Reply::of(user(call, &find(call, HolderKind::User, id)?)?))
}

/// Shows a user with their keys.
pub fn info(call: &Call) -> Answer {
    call.only(&["user_id"])?;
    let Some(id) = call.parameter("user_id") else {
        return Err(Failed::wrong("user_id is missing"));
    };
    let holder = find(call, HolderKind::User, id)?;
    let filter = KeyFilter {
        user: Some(id.into()),
        ..KeyFilter::default()
    };
    Ok(Reply::of(json!({
        "user_id": id,
        "user_info": user(call, &holder)?,
        "keys": keys_of(call, &filter)?,
        "teams": [],
    })))
}

/// Users.
pub fn list(call: &Call) -> Answer {
    call.only(&["page", "page_size"])?;
    let page = call.number("page")?.unwrap_or(1).max(1);
    let size = call.number("page_size")?.unwrap_or(MAX_PAGE).clamp(1, MAX_PAGE);
    let listing = Listing {
        skip: (page - 1).saturating_mul(size),
        limit: size,
        ..Listing::default()
    };
    let (found, total) = call
        .store()
        .holders_page(HolderKind::User, &HolderFilter::default(), &listing)?;
    let shown: Result<Vec<_>, _> = found.items.iter().map(|holder| user(call, holder)).collect();
    Ok(Reply::of(json!({
        "users": shown?,
        "total": total,
        "page": page,
        "page_size": size,
        "total_pages": total.div_ceil(u64::from(size)),
    })))
}

/// Deletes users; their keys are refused from now on.
pub fn delete(call: &Call) -> Answer {
    let mut fields = Fields::of(call)?;
    let ids = texts(&mut fields, "user_ids")?;
    fields.end()?;
    for id in &ids {
        find(call, HolderKind::User, id)?;
    }
    for id in &ids {
        call.store()
            .delete_holder(&call.actor, (HolderKind::User, id), None)?;
    }
    call.take_over()?;
    Ok(Reply::of(json!({ "deleted_users": ids })))
}

fn user(call: &Call, holder: &Holder) -> Result<Value, Failed> {
    let own = json!({
        "user_id": holder.id,
        "user_alias": (!holder.spec.name.is_empty()).then_some(&holder.spec.name),
        "user_email": holder.spec.metadata.get(EMAIL),
        "user_role": "internal_user",
        "organization_id": holder.spec.organization.as_ref().map(|id| id.as_str()),
        "teams": [],
    });
    Ok(beside(own, common(call, holder)?))
}

//! `/team/…` and `/organization/…`.

use pointsman_store::{Holder, HolderFilter, HolderKind, HolderSpec, KeyFilter, Listing, StoreError};
use serde_json::{Value, json};

use super::fields::{Fields, list as texts, shown};
use super::keys::{ends, row as key_row};
use crate::call::{Answer, Call, Failed, MAX_PAGE, Reply};
use crate::holders::find;
use crate::shapes::{beside, time, usd};

/// Teams of a page, at most, as LiteLLM has it.
const MAX_TEAMS: u32 = 100;

/// Makes a team.
pub fn new(call: &Call) -> Answer {
    let mut fields = Fields::of(call)?;
    let id: Option<String> = fields.take("team_id")?;
    let holder = make(call, fields, HolderKind::Team, id)?;
    Ok(Reply::of(team(call, &holder)?))
}

/// Makes an organization.
pub fn new_organization(call: &Call) -> Answer {
    let mut fields = Fields::of(call)?;
    let id: Option<String> = fields.take("organization_id")?;
    let holder = make(call, fields, HolderKind::Organization, id)?;
    Ok(Reply::of(organization(call, &holder)?))
}

fn make(call: &Call, mut fields: Fields, kind: HolderKind, id: Option<String>) -> Result<Holder, Failed> {
    let mut spec = HolderSpec::default();
    apply(&mut fields, kind, &mut spec)?;
    fields.end()?;
    let holder = call.store().create_holder(&call.actor, kind, id, spec)?;
    call.take_over()?;
    Ok(holder)
}

/// Changes a holder by the fields that are there.
fn apply(fields: &mut Fields, kind: HolderKind, spec: &mut HolderSpec) -> Result<(), Failed> {
    let alias = if kind == HolderKind::Team {
        "team_alias"
    } else {
        "organization_alias"
    };
    if fields.has(alias) {
        spec.name = fields.take(alias)?.unwrap_or_default();
    }
    if kind == HolderKind::Team && fields.has("organization_id") {
        spec.organization = fields.take::<String>("organization_id")?.map(Into::into);
    }
    if let Some(blocked) = fields.take("blocked")? {
        spec.disabled = blocked;
    }
    fields.terms(&mut spec.terms)?;
    fields.notes(&mut spec.metadata, &mut spec.terms.priority)
}

/// Shows a team with its keys.
pub fn info(call: &Call) -> Answer {
    call.only(&["team_id"])?;
    let Some(id) = call.parameter("team_id") else {
        return Err(Failed::wrong("team_id is missing"));
    };
    let holder = find(call, HolderKind::Team, id)?;
    let filter = KeyFilter {
        team: Some(id.into()),
        ..KeyFilter::default()
    };
    Ok(Reply::of(json!({
        "team_id": id,
        "team_info": team(call, &holder)?,
        "keys": keys_of(call, &filter)?,
        "team_memberships": [],
    })))
}

/// The first keys of a holder.
pub fn keys_of(call: &Call, filter: &KeyFilter) -> Result<Vec<Value>, Failed> {
    let listing = Listing {
        limit: MAX_PAGE,
        ..Listing::default()
    };
    let (page, _) = call.store().keys_page(filter, &listing)?;
    page.items.iter().map(|key| key_row(call, key)).collect()
}

/// Changes a team.
pub fn update(call: &Call) -> Answer {
    let mut fields = Fields::of(call)?;
    let id: String = fields.need("team_id")?;
    let holder = change(call, (HolderKind::Team, &id), |spec| {
        apply(&mut fields, HolderKind::Team, spec)?;
        std::mem::replace(&mut fields, Fields::none()).end()
    })?;
    Ok(Reply::of(json!({ "team_id": id, "data": team(call, &holder)? })))
}

/// Changes a holder, unless the fields make no sense.
pub fn change(
    call: &Call,
    holder: (HolderKind, &str),
    change: impl FnOnce(&mut HolderSpec) -> Result<(), Failed>,
) -> Result<Holder, Failed> {
    let mut failed = None;
    let changed = call.store().update_holder(&call.actor, holder, None, |spec| {
        change(spec).map_err(|error| {
            failed = Some(error);
            StoreError::Changed
        })
    });
    match failed {
        Some(failed) => Err(failed),
        None => {
            let holder = changed?;
            call.take_over()?;
            Ok(holder)
        }
    }
}

/// Deletes teams; their keys are refused from now on.
pub fn delete(call: &Call) -> Answer {
    let mut fields = Fields::of(call)?;
    let ids = texts(&mut fields, "team_ids")?;
    fields.end()?;
    for id in &ids {
        find(call, HolderKind::Team, id)?;
    }
    for id in &ids {
        call.store()
            .delete_holder(&call.actor, (HolderKind::Team, id), None)?;
    }
    call.take_over()?;
    Ok(Reply::of(json!({ "deleted_teams": ids })))
}

/// Teams, in a bare list as LiteLLM has it.
pub fn list(call: &Call) -> Answer {
    call.only(&["organization_id", "user_id"])?;
    if call.parameter("user_id").is_some() {
        return Err(Failed::wrong("user_id: teams have no list of users here"));
    }
    let filter = HolderFilter {
        organization: call.parameter("organization_id").map(Into::into),
        ..HolderFilter::default()
    };
    let teams = every(call, HolderKind::Team, &filter)?;
    let shown: Result<Vec<_>, _> = teams.iter().map(|holder| team(call, holder)).collect();
    Ok(Reply::of(Value::Array(shown?)))
}

/// A page of teams.
pub fn page(call: &Call) -> Answer {
    call.only(&[
        "page",
        "page_size",
        "organization_id",
        "team_id",
        "team_alias",
        "sort_by",
        "sort_order",
    ])?;
    if let Some(by) = call.parameter("sort_by").filter(|by| *by != "created_at") {
        return Err(Failed::wrong(format!(
            "sort_by: teams are sorted by created_at, not by {by:?}"
        )));
    }
    let filter = HolderFilter {
        organization: call.parameter("organization_id").map(Into::into),
        name: call.parameter("team_alias").map(str::to_owned),
        ..HolderFilter::default()
    };
    let number = call.number("page")?.unwrap_or(1).max(1);
    let size = call.number("page_size")?.unwrap_or(10).clamp(1, MAX_TEAMS);
    let (teams, total) = match call.parameter("team_id") {
        Some(id) => {
            let one = call.store().holder(HolderKind::Team, id)?;
            let one: Vec<_> = one.filter(|team| team.deleted_at.is_none()).into_iter().collect();
            let total = one.len() as u64;
            (one, total)
        }
        None => {
            let listing = Listing {
                skip: (number - 1).saturating_mul(size),
                limit: size,
                newest_first: call.parameter("sort_order") == Some("desc"),
                ..Listing::default()
            };
            let (page, total) = call.store().holders_page(HolderKind::Team, &filter, &listing)?;
            (page.items, total)
        }
    };
    let shown: Result<Vec<_>, _> = teams.iter().map(|holder| team(call, holder)).collect();
    Ok(Reply::of(json!({
        "teams": shown?,
        "total": total,
        "page": number,
        "page_size": size,
        "total_pages": total.div_ceil(u64::from(size)),
    })))
}

/// Teams that anybody may join: there are none.
pub fn available(call: &Call) -> Answer {
    call.only(&[])?;
    Ok(Reply::of(json!([])))
}

/// The first holders of a kind.
pub fn every(call: &Call, kind: HolderKind, filter: &HolderFilter) -> Result<Vec<Holder>, Failed> {
    let listing = Listing {
        limit: MAX_PAGE,
        ..Listing::default()
    };
    Ok(call.store().holders_page(kind, filter, &listing)?.0.items)
}

/// Refuses the keys of a team until it is unblocked.
pub fn block(call: &Call) -> Answer {
    switch(call, true)
}

/// Lets the keys of a team in again.
pub fn unblock(call: &Call) -> Answer {
    switch(call, false)
}

fn switch(call: &Call, blocked: bool) -> Answer {
    let mut fields = Fields::of(call)?;
    let id: String = fields.need("team_id")?;
    fields.end()?;
    let holder = change(call, (HolderKind::Team, &id), |spec| {
        spec.disabled = blocked;
        Ok(())
    })?;
    Ok(Reply::of(team(call, &holder)?))
}

/// Shows an organization with its teams.
pub fn organization_info(call: &Call) -> Answer {
    call.only(&["organization_id"])?;
    let Some(id) = call.parameter("organization_id") else {
        return Err(Failed::wrong("organization_id is missing"));
    };
    let holder = find(call, HolderKind::Organization, id)?;
    let filter = HolderFilter {
        organization: Some(id.into()),
        ..HolderFilter::default()
    };
    let teams = every(call, HolderKind::Team, &filter)?;
    let teams: Result<Vec<_>, _> = teams.iter().map(|holder| team(call, holder)).collect();
    let more = json!({ "members": [], "users": [], "teams": teams? });
    Ok(Reply::of(beside(organization(call, &holder)?, more)))
}

/// Organizations, in a bare list.
pub fn organizations(call: &Call) -> Answer {
    call.only(&[])?;
    let all = every(call, HolderKind::Organization, &HolderFilter::default())?;
    let shown: Result<Vec<_>, _> = all.iter().map(|holder| organization(call, holder)).collect();
    Ok(Reply::of(Value::Array(shown?)))
}

/// What every holder shows.
pub fn common(call: &Call, holder: &Holder) -> Result<Value, Failed> {
    let terms = shown(&holder.spec.terms, ends(call, holder));
    let spend = call.store().spent_by(holder.kind, &holder.id, 0)?;
    let own = json!({
        "spend": usd(spend),
        "metadata": holder.spec.metadata,
        "blocked": holder.spec.disabled,
        "created_at": time(holder.created_at),
        "updated_at": time(holder.updated_at),
    });
    Ok(beside(own, terms))
}

fn team(call: &Call, holder: &Holder) -> Result<Value, Failed> {
    let own = json!({
        "team_id": holder.id,
        "team_alias": (!holder.spec.name.is_empty()).then_some(&holder.spec.name),
        "organization_id": holder.spec.organization.as_ref().map(|id| id.as_str()),
        "admins": [],
        "members": [],
        "members_with_roles": [],
        "model_id": null,
        "litellm_model_table": null,
    });
    Ok(beside(own, common(call, holder)?))
}

fn organization(call: &Call, holder: &Holder) -> Result<Value, Failed> {
    let own = json!({
        "organization_id": holder.id,
        "organization_alias": holder.spec.name,
        "budget_id": null,
        "litellm_budget_table": null,
    });
    Ok(beside(own, common(call, holder)?))
}

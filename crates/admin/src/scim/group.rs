//! `/Groups`: teams of an organization, as its directory makes them, and who is in them.

use std::collections::BTreeSet;

use pointsman_store::{
    DirectoryEntry, DirectoryKind, HolderKind, HolderSpec, Scope, Source, StoreError, UserId, built_in_role,
};
use serde_json::{Map, Value, json};

use super::error::{Scim, ScimType, wrong};
use super::resource::{self, GROUP, GROUP_ATTRIBUTES, check_schema, external_id, name, taken, values};
use super::user::end;
use super::{body, check_version, entry, kept, organization, page, patch as change};
use crate::access::{may_give, scope_place};
use crate::call::{Answer, Call, Failed, Reply};

const KIND: DirectoryKind = DirectoryKind::Group;
/// The role of whoever is in a group, in its team.
const ROLE: &str = "viewer";

/// A page of them.
pub fn list(call: &Call) -> Answer {
    page::list(call, KIND, complete)
}

/// One of them.
pub fn show(call: &Call) -> Answer {
    page::show(call, KIND, complete)
}

/// Where members are, and what they are.
fn complete(call: &Call, _: &DirectoryEntry, shown: &mut Map<String, Value>) -> Result<(), Failed> {
    if let Some(Value::Array(members)) = shown.get_mut("members") {
        for member in members.iter_mut().filter_map(Value::as_object_mut) {
            let id = member.get("value").and_then(Value::as_str).unwrap_or_default();
            let place = resource::location(call, DirectoryKind::User, id);
            member.insert("$ref".to_owned(), json!(place));
            member.insert("type".to_owned(), json!("User"));
        }
    }
    Ok(())
}

/// What a directory says of a group.
struct Said {
    display: String,
    external_id: Option<String>,
    members: BTreeSet<String>,
    resource: String,
}

impl Said {
    fn of(mut taken: Map<String, Value>) -> Result<Self, Scim> {
        let display = name(&taken, "displayName")?.to_owned();
        let all = taken.get("members").and_then(Value::as_array).map_or(0, Vec::len);
        let is_group = |member: &Value| {
            let kind = member.get("type").and_then(Value::as_str);
            kind.is_some_and(|kind| !kind.eq_ignore_ascii_case("user"))
        };
        let members = taken.get("members").and_then(Value::as_array);
        if members.is_some_and(|members| members.iter().any(is_group)) {
            return Err(wrong(
                ScimType::InvalidValue,
                "groups in groups are not supported in this version",
            ));
        }
        let members: BTreeSet<_> = values(&taken, "members").into_iter().map(str::to_owned).collect();
        if values(&taken, "members").len() < all {
            return Err(wrong(
                ScimType::InvalidValue,
                "a member has no value, which is the id of a user",
            ));
        }
        if members.is_empty() {
            taken.remove("members");
        } else {
            // By their ids alone: all else follows from them.
            let kept: Vec<_> = members.iter().map(|id| json!({ "value": id })).collect();
            taken.insert("members".to_owned(), Value::Array(kept));
        }
        Ok(Self {
            display,
            external_id: external_id(&taken).map(str::to_owned),
            members,
            resource: Value::Object(taken).to_string(),
        })
    }
}

/// Makes one.
pub fn create(call: &Call) -> Answer {
    let body = body(call)?;
    check_schema(&body, GROUP)?;
    let said = Said::of(taken(&body, &GROUP_ATTRIBUTES)?)?;
    let organization = organization(call);
    let found = call.store().directory_find(&organization, KIND, &said.display)?;
    if found.is_some_and(|found| found.name == said.display.to_lowercase()) {
        return Err(wrong(
            ScimType::Uniqueness,
            "there is a group of this displayName already",
        ));
    }
    check_members(call, said.members.iter())?;
    may_give_role(call, &Scope::Organization(organization.clone()))?;
    let spec = HolderSpec {
        name: said.display.clone(),
        organization: Some(organization.clone()),
        ..HolderSpec::default()
    };
    let holder = call
        .store()
        .create_holder(&call.actor, HolderKind::Team, None, spec)?;
    let (ids, what) = (
        (holder.id.as_str(), said.display.as_str()),
        (said.external_id.as_deref(), said.resource.as_str()),
    );
    let made = call
        .store()
        .create_directory_entry(&call.actor, (&organization, KIND), ids, what);
    let made = match made {
        Ok(made) => made,
        Err(error) => {
            // Another was faster: the team that nobody knows of goes again.
            call.store()
                .delete_holder(&call.actor, (HolderKind::Team, &holder.id), None)?;
            return Err(error.into());
        }
    };
    keep_members(call, &made.id, (&BTreeSet::new(), &said.members))?;
    call.take_over()?;
    page::shown(call, &made, true, complete)
}

/// Says all of one anew.
pub fn replace(call: &Call) -> Answer {
    let (entry, body) = (entry(call, KIND)?, body(call)?);
    check_schema(&body, GROUP)?;
    save(call, &entry, taken(&body, &GROUP_ATTRIBUTES)?)
}

/// Changes one, operation by operation.
pub fn patch(call: &Call) -> Answer {
    let entry = entry(call, KIND)?;
    let mut resource = kept(&entry)?;
    change::apply(&mut resource, Value::Object(body(call)?))?;
    save(call, &entry, taken(&resource, &GROUP_ATTRIBUTES)?)
}

fn save(call: &Call, before: &DirectoryEntry, taken: Map<String, Value>) -> Answer {
    check_version(call, before)?;
    let (old, said) = (members(before)?, Said::of(taken)?);
    check_members(call, said.members.difference(&old))?;
    may_give_role(call, &Scope::Team(before.id.as_str().into()))?;
    let what = (said.external_id.as_deref(), said.resource.as_str());
    let after = call
        .store()
        .update_directory_entry(&call.actor, before, &said.display, what)?;
    if kept(before)?.get("displayName").and_then(Value::as_str) != Some(&said.display) {
        call.store()
            .update_holder(&call.actor, (HolderKind::Team, &before.id), None, |spec| {
                spec.name.clone_from(&said.display);
                Ok(())
            })?;
    }
    keep_members(call, &before.id, (&old, &said.members))?;
    call.take_over()?;
    page::shown(call, &after, false, complete)
}

/// Deletes one: the team, whose keys are refused from now on.
pub fn delete(call: &Call) -> Answer {
    let entry = entry(call, KIND)?;
    check_version(call, &entry)?;
    keep_members(call, &entry.id, (&members(&entry)?, &BTreeSet::new()))?;
    match call
        .store()
        .delete_holder(&call.actor, (HolderKind::Team, &entry.id), None)
    {
        // Somebody has deleted the team by the admin API before.
        Ok(_) | Err(StoreError::NoSuchHolder { .. }) => {}
        Err(error) => return Err(error.into()),
    }
    call.store().delete_directory_entry(&call.actor, &entry)?;
    call.take_over()?;
    Ok(Reply::done())
}

fn members(entry: &DirectoryEntry) -> Result<BTreeSet<String>, Failed> {
    let kept = kept(entry)?;
    Ok(values(&kept, "members").into_iter().map(str::to_owned).collect())
}

/// Whether new members are users of this directory.
fn check_members<'m>(call: &Call, members: impl Iterator<Item = &'m String>) -> Result<(), Failed> {
    let organization = organization(call);
    for id in members {
        if call
            .store()
            .directory_entry(&organization, DirectoryKind::User, id)?
            .is_none()
        {
            let message = format!("there is no user {id:?} in this directory");
            return Err(wrong(ScimType::InvalidValue, message));
        }
    }
    Ok(())
}

/// Whether the directory may give the role that comes with a group.
fn may_give_role(call: &Call, scope: &Scope) -> Result<(), Failed> {
    let place = scope_place(call.store(), scope)?;
    may_give(call, &place, built_in_role(ROLE).unwrap_or_default())
}

/// Gives the role to who has come, and takes it from who has gone. What others have given stays.
fn keep_members(
    call: &Call,
    team: &str,
    (before, after): (&BTreeSet<String>, &BTreeSet<String>),
) -> Result<(), Failed> {
    let scope = Scope::Team(team.into());
    for id in after.difference(before) {
        let user = UserId::from(id.as_str());
        if call.store().membership(&user, &scope)?.is_none() {
            let what = (ROLE, Source::Directory);
            call.store()
                .set_membership(&call.actor, (&user, &scope), what, None)?;
        }
    }
    for id in before.difference(after) {
        let membership = call.store().membership(&UserId::from(id.as_str()), &scope)?;
        if let Some(membership) = membership.filter(|membership| membership.source == Source::Directory) {
            end(call, &membership)?;
        }
    }
    Ok(())
}

/// The groups that a user is in, as the user's resource shows them.
pub fn of_user(call: &Call, user: &str) -> Result<Vec<Value>, Failed> {
    let organization = organization(call);
    let mut groups = Vec::new();
    for (membership, _) in call.store().grants_of(&UserId::from(user))? {
        let Scope::Team(team) = &membership.scope else {
            continue;
        };
        let entry = call.store().directory_entry(&organization, KIND, team.as_str())?;
        let Some(entry) = entry else { continue };
        let kept = kept(&entry)?;
        if values(&kept, "members").contains(&user) {
            groups.push(json!({
                "value": entry.id,
                "$ref": resource::location(call, KIND, &entry.id),
                "display": kept.get("displayName"),
                "type": "direct",
            }));
        }
    }
    Ok(groups)
}

/// Takes a user out of all groups.
pub fn leave_all(call: &Call, user: &str) -> Result<(), Failed> {
    for group in of_user(call, user)? {
        let id = group["value"].as_str().unwrap_or_default();
        let entry = call.store().directory_entry(&organization(call), KIND, id)?;
        let Some(entry) = entry else { continue };
        let mut kept = kept(&entry)?;
        if let Some(Value::Array(members)) = kept.get_mut("members") {
            members.retain(|member| member["value"] != user);
        }
        let said = Said::of(kept)?;
        let what = (said.external_id.as_deref(), said.resource.as_str());
        call.store()
            .update_directory_entry(&call.actor, &entry, &said.display, what)?;
        keep_members(call, id, (&BTreeSet::from([user.to_owned()]), &BTreeSet::new()))?;
    }
    Ok(())
}

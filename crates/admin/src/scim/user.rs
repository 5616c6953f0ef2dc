//! `/Users`: users of an organization, as its directory makes them.

use pointsman_store::{
    DirectoryEntry, DirectoryKind, HolderKind, HolderSpec, Membership, Scope, Source, StoreError, UserId,
};
use serde_json::{Map, Value, json};

use super::error::{Scim, ScimType, wrong};
use super::resource::{USER, USER_ATTRIBUTES, check_schema, external_id, name, taken, values};
use super::{body, check_version, entry, group, kept, organization, page, patch as change};
use crate::access::{may_give, may_touch, scope_place};
use crate::call::{Answer, Call, Failed, Reply};

const KIND: DirectoryKind = DirectoryKind::User;

/// A page of them.
pub fn list(call: &Call) -> Answer {
    page::list(call, KIND, complete)
}

/// One of them.
pub fn show(call: &Call) -> Answer {
    page::show(call, KIND, complete)
}

/// The groups that somebody is in.
fn complete(call: &Call, entry: &DirectoryEntry, shown: &mut Map<String, Value>) -> Result<(), Failed> {
    let groups = group::of_user(call, &entry.id)?;
    if !groups.is_empty() {
        shown.insert("groups".to_owned(), Value::Array(groups));
    }
    Ok(())
}

/// What a directory says of a user.
struct Said {
    user_name: String,
    display: String,
    external_id: Option<String>,
    active: bool,
    /// What the directory calls roles: the first that is one of the organization's is the user's there.
    roles: Vec<String>,
    resource: String,
}

impl Said {
    fn of(mut taken: Map<String, Value>) -> Result<Self, Scim> {
        let user_name = name(&taken, "userName")?.to_owned();
        let text = |value: Option<&Value>| {
            let text = value
                .and_then(Value::as_str)
                .map(str::trim)
                .filter(|text| !text.is_empty());
            text.filter(|text| text.chars().count() <= 200 && !text.chars().any(char::is_control))
                .map(str::to_owned)
        };
        let formatted = taken.get("name").and_then(|name| name.get("formatted"));
        let display = text(taken.get("displayName")).or_else(|| text(formatted));
        let active = taken.get("active").and_then(Value::as_bool).unwrap_or(true);
        taken.insert("active".to_owned(), json!(active));
        let roles = values(&taken, "roles");
        let roles = roles.into_iter().map(str::to_owned).collect();
        Ok(Self {
            display: display.unwrap_or_else(|| user_name.clone()),
            user_name,
            external_id: external_id(&taken).map(str::to_owned),
            active,
            roles,
            resource: Value::Object(taken).to_string(),
        })
    }

    fn spec(&self, spec: &mut HolderSpec) {
        spec.name.clone_from(&self.display);
        spec.disabled = !self.active;
    }
}

/// Makes one.
pub fn create(call: &Call) -> Answer {
    let body = body(call)?;
    check_schema(&body, USER)?;
    let said = Said::of(taken(&body, &USER_ATTRIBUTES)?)?;
    let organization = organization(call);
    // Looked at before anything is made: most that come twice are found here.
    let found = call
        .store()
        .directory_find(&organization, KIND, &said.user_name)?;
    if found.is_some_and(|found| found.name == said.user_name.to_lowercase()) {
        return Err(taken_name());
    }
    let role = given(call, &said.roles)?;
    let mut spec = HolderSpec {
        organization: Some(organization.clone()),
        ..HolderSpec::default()
    };
    said.spec(&mut spec);
    let holder = call
        .store()
        .create_holder(&call.actor, HolderKind::User, None, spec)?;
    let (ids, what) = (
        (holder.id.as_str(), said.user_name.as_str()),
        (said.external_id.as_deref(), said.resource.as_str()),
    );
    let made = call
        .store()
        .create_directory_entry(&call.actor, (&organization, KIND), ids, what);
    let made = match made {
        Ok(made) => made,
        Err(error) => {
            // Another was faster: the user that nobody knows of goes again.
            call.store()
                .delete_holder(&call.actor, (HolderKind::User, &holder.id), None)?;
            return Err(error.into());
        }
    };
    keep_role(call, &made.id, role)?;
    call.take_over()?;
    page::shown(call, &made, true, complete)
}

fn taken_name() -> Scim {
    wrong(ScimType::Uniqueness, "there is a user of this userName already")
}

/// Says all of one anew.
pub fn replace(call: &Call) -> Answer {
    let (entry, body) = (entry(call, KIND)?, body(call)?);
    check_schema(&body, USER)?;
    save(call, &entry, taken(&body, &USER_ATTRIBUTES)?)
}

/// Changes one, operation by operation.
pub fn patch(call: &Call) -> Answer {
    let entry = entry(call, KIND)?;
    let mut resource = kept(&entry)?;
    change::apply(&mut resource, Value::Object(body(call)?))?;
    save(call, &entry, taken(&resource, &USER_ATTRIBUTES)?)
}

fn save(call: &Call, before: &DirectoryEntry, taken: Map<String, Value>) -> Answer {
    check_version(call, before)?;
    let said = Said::of(taken)?;
    let user = UserId::from(before.id.as_str());
    may_touch(call, &user)?;
    let role = given(call, &said.roles)?;
    let what = (said.external_id.as_deref(), said.resource.as_str());
    let after = call
        .store()
        .update_directory_entry(&call.actor, before, &said.user_name, what)?;
    call.store()
        .update_holder(&call.actor, (HolderKind::User, &before.id), None, |spec| {
            said.spec(spec);
            Ok(())
        })?;
    keep_role(call, &before.id, role)?;
    call.take_over()?;
    page::shown(call, &after, false, complete)
}

/// Deletes one: their keys, tokens and sessions are refused from now on, for good.
pub fn delete(call: &Call) -> Answer {
    let entry = entry(call, KIND)?;
    check_version(call, &entry)?;
    let user = UserId::from(entry.id.as_str());
    may_touch(call, &user)?;
    group::leave_all(call, &entry.id)?;
    match call
        .store()
        .delete_holder(&call.actor, (HolderKind::User, &entry.id), None)
    {
        // Somebody has deleted the user by the admin API before.
        Ok(_) | Err(StoreError::NoSuchHolder { .. }) => {}
        Err(error) => return Err(error.into()),
    }
    for (membership, _) in call.store().grants_of(&user)? {
        end(call, &membership)?;
    }
    call.store().delete_directory_entry(&call.actor, &entry)?;
    call.take_over()?;
    Ok(Reply::done())
}

fn scope(call: &Call) -> Scope {
    Scope::Organization(organization(call))
}

/// The role that is given by what a directory calls roles, if the directory may give it. What no role of the organization
/// is called is kept, and gives nothing.
fn given<'r>(call: &Call, roles: &'r [String]) -> Result<Option<&'r str>, Failed> {
    let scope = scope(call);
    for role in roles {
        if let Some(permissions) = call.store().role_permissions(&scope, role)? {
            may_give(call, &scope_place(call.store(), &scope)?, permissions)?;
            return Ok(Some(role));
        }
    }
    Ok(None)
}

/// Gives the role that the directory says, and takes the one that it said before. What others have given stays.
fn keep_role(call: &Call, id: &str, role: Option<&str>) -> Result<(), Failed> {
    let (user, scope) = (UserId::from(id), scope(call));
    let had = call.store().membership(&user, &scope)?;
    let had = match had {
        Some(had) if had.source != Source::Directory => return Ok(()),
        had => had,
    };
    match (role, had) {
        (Some(role), had) if had.as_ref().is_none_or(|had| had.role != role) => {
            let what = (role, Source::Directory);
            call.store()
                .set_membership(&call.actor, (&user, &scope), what, None)?;
        }
        (None, Some(had)) => end(call, &had)?,
        _ => {}
    }
    Ok(())
}

/// Takes a role away, if nobody was faster.
pub fn end(call: &Call, membership: &Membership) -> Result<(), Failed> {
    let (user, scope) = (&membership.user, &membership.scope);
    match call.store().end_membership(&call.actor, user, scope, None) {
        Ok(_) | Err(StoreError::NoSuchHolder { .. }) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

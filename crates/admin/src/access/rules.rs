//! Whether a call may go on: the one place where permissions are compared with what is asked for.
//!
//! What belongs to nobody of the caller's is not there for them: 404, as for what really is not. What is theirs to know
//! of but not to do is 403. Limits and allow-lists of a holder are set by whoever is above it, never by itself; and
//! nobody gives what they do not have.

use http::StatusCode;
use pointsman_store::{
    Amounts, Holder, HolderKind, HolderSpec, KeyId, NewKey, OrganizationId, Permission, Permissions, Place,
    ProjectId, Scope, Store, StoreError, UserId,
};

use super::caller::Caller;
use crate::call::{Call, Failed};

/// What a route demands of its caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Needs {
    /// Nothing: who somebody is comes of it.
    Nothing,
    /// Somebody who is known, whatever they may do.
    SomeoneKnown,
    /// Somebody who has signed in, and not a program that has a token of theirs.
    Session,
    /// The operator's token.
    Operator,
    /// One of these, at the place of what the path names first.
    At(Object, &'static [Permission]),
    /// This, at the place above what the path names first.
    Above(Object, Permission),
    /// This, anywhere: what is shown, or where something is made, is bounded by where.
    Somewhere(Permission),
}

/// What a path names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Object {
    /// A holder.
    Holder(HolderKind),
    /// A key.
    Key,
}

impl Object {
    /// Its kind in one word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Holder(kind) => kind.as_str(),
            Self::Key => "key",
        }
    }
}

/// Lets a call go on, or not.
pub fn admit(caller: &Caller, store: &Store, needs: Needs, named: &str) -> Result<(), Failed> {
    let one;
    let (object, any, is_above) = match needs {
        Needs::Nothing => return Ok(()),
        Needs::SomeoneKnown if !matches!(caller, Caller::Nobody) => return Ok(()),
        Needs::SomeoneKnown => return Err(forbidden("this takes somebody who is known")),
        Needs::Session if caller.session().is_some() => return Ok(()),
        Needs::Session => return Err(forbidden("this takes a session: sign in")),
        Needs::Operator if caller.is_operator() => return Ok(()),
        Needs::Operator => return Err(forbidden("only the operator's token may do this")),
        Needs::Somewhere(permission) if caller.has_somewhere(permission) => return Ok(()),
        Needs::Somewhere(permission) => return Err(lacks(&[permission])),
        Needs::At(object, any) => (object, any, false),
        Needs::Above(object, permission) => {
            one = [permission];
            (object, &one[..], true)
        }
    };
    if caller.is_operator() {
        return Ok(());
    }
    let (own, above) = match object {
        Object::Key => {
            let place = store.place_of_key(&KeyId::from(named))?;
            (place.clone(), place)
        }
        Object::Holder(kind) => {
            let holder = store.holder(kind, named)?.ok_or_else(|| no_such(kind, named))?;
            let place = store.place_of(&holder)?;
            (place.clone(), above(kind, place))
        }
    };
    if caller.permissions_at(&own).is_none() {
        return Err(match object {
            Object::Key => StoreError::NoSuchKey(named.to_owned()).into(),
            Object::Holder(kind) => no_such(kind, named).into(),
        });
    }
    demand(caller, if is_above { &above } else { &own }, any)
}

/// Where whoever decides about a holder stands.
fn above(kind: HolderKind, own: Place) -> Place {
    match kind {
        HolderKind::Team => Place { team: None, ..own },
        HolderKind::Organization | HolderKind::Plan => Place::default(),
        HolderKind::Project
        | HolderKind::User
        | HolderKind::Customer
        | HolderKind::Agent
        | HolderKind::Tag => own,
    }
}

fn demand(caller: &Caller, place: &Place, any: &[Permission]) -> Result<(), Failed> {
    let permissions = caller.permissions_at(place).unwrap_or_default();
    if any.iter().any(|permission| permissions.has(*permission)) {
        Ok(())
    } else {
        Err(lacks(any))
    }
}

fn lacks(any: &[Permission]) -> Failed {
    let names: Vec<_> = any.iter().map(|permission| permission.as_str()).collect();
    forbidden(format!(
        "your roles do not allow this here; it takes {}",
        names.join(" or ")
    ))
}

fn forbidden(message: impl Into<String>) -> Failed {
    Failed::new(StatusCode::FORBIDDEN, message)
}

fn no_such(kind: HolderKind, id: &str) -> StoreError {
    StoreError::NoSuchHolder {
        kind: kind.as_str(),
        id: id.to_owned(),
    }
}

/// What it takes to change holders of this kind.
pub const fn writes(kind: HolderKind) -> Permission {
    match kind {
        HolderKind::Organization | HolderKind::Plan => Permission::OrganizationsWrite,
        HolderKind::Team => Permission::TeamsWrite,
        HolderKind::Project => Permission::ProjectsWrite,
        HolderKind::User => Permission::UsersWrite,
        HolderKind::Customer | HolderKind::Agent | HolderKind::Tag => Permission::BudgetsWrite,
    }
}

/// What it takes to see holders of this kind.
pub const fn reads(kind: HolderKind) -> Permission {
    match kind {
        HolderKind::Organization | HolderKind::Plan => Permission::OrganizationsRead,
        HolderKind::Team => Permission::TeamsRead,
        HolderKind::Project => Permission::ProjectsRead,
        HolderKind::User => Permission::UsersRead,
        HolderKind::Customer | HolderKind::Agent | HolderKind::Tag => Permission::UsageRead,
    }
}

/// Whether a holder may be made so, with an id of the caller's choice or not.
pub fn may_make(call: &Call, kind: HolderKind, id: Option<&str>, spec: &HolderSpec) -> Result<(), Failed> {
    if call.caller.is_operator() {
        return Ok(());
    }
    if id.is_some() {
        // Ids are everybody's: one that is taken would tell of somebody else's.
        return Err(forbidden(
            "only the operator's token chooses ids; leave it out and one is made",
        ));
    }
    same_priority(None, spec.terms.priority.as_deref())?;
    let place = place_for(call, kind, spec)?;
    demand(&call.caller, &place, &[writes(kind)])?;
    if has_amounts(spec) {
        demand(&call.caller, &place, &[Permission::BudgetsWrite])?;
    }
    Ok(())
}

/// Where a holder would belong, if that is the caller's to know of.
fn place_for(call: &Call, kind: HolderKind, spec: &HolderSpec) -> Result<Place, Failed> {
    let (organization, team) = (spec.organization.as_ref(), spec.team.as_ref());
    if let Some(team) = team {
        let place = call.store().place_in(None, Some(team))?;
        if call.caller.permissions_at(&place).is_none() {
            return Err(no_such(HolderKind::Team, team.as_str()).into());
        }
    }
    if let Some(organization) = organization {
        sees_organization(call, organization)?;
    }
    if organization.is_none() && team.is_none() {
        let name = kind.as_str();
        return Err(forbidden(format!(
            "say where this {name} belongs: only the operator's token makes one that belongs nowhere"
        )));
    }
    Ok(call.store().place_in(organization, team)?)
}

fn sees_organization(call: &Call, organization: &OrganizationId) -> Result<(), Failed> {
    let place = Place {
        organization: Some(organization.clone()),
        team: None,
    };
    match call.caller.permissions_at(&place) {
        Some(_) => Ok(()),
        None => Err(no_such(HolderKind::Organization, organization.as_str()).into()),
    }
}

fn has_amounts(spec: &HolderSpec) -> bool {
    spec.terms.amounts() != Amounts::default()
}

/// Whether a holder may be changed so.
pub fn may_change(call: &Call, before: &Holder, after: &HolderSpec) -> Result<(), Failed> {
    if call.caller.is_operator() {
        return Ok(());
    }
    let (kind, old) = (before.kind, &before.spec);
    same_priority(old.terms.priority.as_deref(), after.terms.priority.as_deref())?;
    let own = call.store().place_of(before)?;
    let above = above(kind, own.clone());
    let write = [writes(kind)];
    if (&old.name, &old.metadata) != (&after.name, &after.metadata) {
        demand(&call.caller, &own, &write)?;
    }
    if (&old.organization, &old.team) != (&after.organization, &after.team) {
        demand(&call.caller, &above, &write)?;
        let target = place_for(call, kind, after)?;
        demand(&call.caller, &target, &write)?;
    }
    if old.terms.amounts() != after.terms.amounts() {
        demand(&call.caller, &above, &[Permission::BudgetsWrite])?;
    }
    let lists = |spec: &HolderSpec| {
        let terms = &spec.terms;
        [
            &terms.models,
            &terms.providers,
            &terms.guardrails,
            &terms.surfaces,
            &terms.networks,
        ]
        .map(Clone::clone)
    };
    if lists(old) != lists(after) || old.disabled != after.disabled {
        demand(&call.caller, &above, &write)?;
    }
    if kind == HolderKind::User {
        may_touch(call, &UserId::from(before.id.as_str()))?;
    }
    Ok(())
}

/// Whether a user may be changed or ended: nobody does that to whoever may do more than they.
pub fn may_touch(call: &Call, user: &UserId) -> Result<(), Failed> {
    if call.caller.is_operator() {
        return Ok(());
    }
    for (membership, permissions) in call.store().grants_of(user)? {
        let place = scope_place(call.store(), &membership.scope)?;
        if let Some(own) = call.caller.permissions_at(&place)
            && !own.covers(permissions)
        {
            return Err(forbidden("this user has a role that may do more than yours"));
        }
    }
    Ok(())
}

/// Where a scope is.
pub fn scope_place(store: &Store, scope: &Scope) -> Result<Place, Failed> {
    Ok(match scope {
        Scope::Organization(id) => store.place_in(Some(id), None)?,
        Scope::Team(id) => store.place_in(None, Some(id))?,
    })
}

/// Whether a role that may do this may be given, taken or made at a place.
pub fn may_give(call: &Call, place: &Place, permissions: Permissions) -> Result<(), Failed> {
    let own = call.caller.permissions_at(place).unwrap_or_default();
    if own.covers(permissions) {
        return Ok(());
    }
    let more: Vec<_> = permissions.without(own).iter().map(Permission::as_str).collect();
    Err(forbidden(format!(
        "nobody gives or takes a role that may do more than their own: it may {}",
        more.join(", ")
    )))
}

/// Whether a user is the caller's to know of: of an organization of theirs, or with a role where they have one.
pub fn sees_user(call: &Call, user: &UserId) -> Result<(), Failed> {
    if call.caller.is_operator() {
        return Ok(());
    }
    let hidden = || no_such(HolderKind::User, user.as_str());
    let holder = call
        .store()
        .holder(HolderKind::User, user.as_str())?
        .filter(|holder| holder.deleted_at.is_none())
        .ok_or_else(hidden)?;
    if call
        .caller
        .permissions_at(&call.store().place_of(&holder)?)
        .is_some()
    {
        return Ok(());
    }
    let own = call.caller.scopes();
    for (membership, _) in call.store().grants_of(user)? {
        if own.contains_key(&membership.scope) {
            return Ok(());
        }
    }
    Err(hidden().into())
}

/// Whether a key may be made so.
pub fn may_make_key(call: &Call, grant: &NewKey) -> Result<(), Failed> {
    if call.caller.is_operator() {
        return Ok(());
    }
    let place = key_place(call, grant, &NewKey::default())?;
    demand(&call.caller, &place, &[Permission::KeysWrite])?;
    if grant.amounts() != Amounts::default() {
        demand(&call.caller, &place, &[Permission::BudgetsWrite])?;
    }
    Ok(())
}

/// Whether a key may be changed so: `more` says that more than its grant is changed.
pub fn may_change_key(
    call: &Call,
    id: &KeyId,
    (before, after): (&NewKey, &NewKey),
    more: bool,
) -> Result<(), Failed> {
    if call.caller.is_operator() {
        return Ok(());
    }
    let own = call.store().place_of_key(id)?;
    if before.amounts() != after.amounts() {
        demand(&call.caller, &own, &[Permission::BudgetsWrite])?;
    }
    if more || before.without_amounts() != after.without_amounts() {
        demand(&call.caller, &own, &[Permission::KeysWrite])?;
        let target = key_place(call, after, before)?;
        demand(&call.caller, &target, &[Permission::KeysWrite])?;
    }
    Ok(())
}

/// What is reserved for a priority is taken from everybody else, other tenants included: nobody gives it to themselves.
fn same_priority(before: Option<&str>, after: Option<&str>) -> Result<(), Failed> {
    if before == after {
        return Ok(());
    }
    Err(forbidden(
        "only the operator's token says which priority somebody has",
    ))
}

/// A key that names a user goes by the priority that the user has been given, if none of its own: that is the user's alone.
fn unreserved(call: &Call, user: &UserId) -> Result<(), Failed> {
    if matches!(&call.caller, Caller::Person(person) if person.user == *user) {
        return Ok(());
    }
    let holder = call.store().holder(HolderKind::User, user.as_str())?;
    let priority = holder.and_then(|holder| holder.spec.terms.priority);
    same_priority(None, priority.as_deref())
}

/// Where a key would belong, if all that it newly names is the caller's to know of.
fn key_place(call: &Call, grant: &NewKey, before: &NewKey) -> Result<Place, Failed> {
    if grant.plan != before.plan && grant.plan.is_some() {
        return Err(forbidden("only the operator's token gives keys a named budget"));
    }
    same_priority(before.priority.as_deref(), grant.priority.as_deref())?;
    let user = grant.user.as_ref().filter(|_| grant.user != before.user);
    if let Some(user) = user {
        sees_user(call, user)?;
        unreserved(call, user)?;
    }
    if let Some(organization) = grant
        .organization
        .as_ref()
        .filter(|_| grant.organization != before.organization)
    {
        sees_organization(call, organization)?;
    }
    let mut place = Place::default();
    if let Some(project) = &grant.project {
        place = project_place(call, project)?;
    }
    if let Some(team) = grant.team.as_ref().filter(|_| place.team.is_none()) {
        let of_team = call.store().place_in(place.organization.as_ref(), Some(team))?;
        if call.caller.permissions_at(&of_team).is_none() {
            return Err(no_such(HolderKind::Team, team.as_str()).into());
        }
        place = of_team;
    }
    place.organization = place.organization.or_else(|| grant.organization.clone());
    if place.organization.is_none()
        && let Some(user) = &grant.user
        && let Some(holder) = call.store().holder(HolderKind::User, user.as_str())?
    {
        place.organization = holder.spec.organization;
    }
    if place == Place::default() {
        return Err(forbidden(
            "say to which team, project or organization this key belongs: only the operator's token makes one that belongs nowhere",
        ));
    }
    Ok(place)
}

fn project_place(call: &Call, project: &ProjectId) -> Result<Place, Failed> {
    let hidden = || no_such(HolderKind::Project, project.as_str());
    let holder = call.store().holder(HolderKind::Project, project.as_str())?;
    let place = call.store().place_of(&holder.ok_or_else(hidden)?)?;
    match call.caller.permissions_at(&place) {
        Some(_) => Ok(place),
        None => Err(hidden().into()),
    }
}

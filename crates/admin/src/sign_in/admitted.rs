//! Whether somebody who has signed in may come in, with which roles, and the session that they get.

use std::time::Duration;

use http::StatusCode;
use pointsman_governance::oidc::{ProviderConfig, SignedIn};
use pointsman_store::{
    Actor, CredentialKind, DirectoryKind, Holder, HolderKind, HolderSpec, Scope, Source, StoreError, UserId,
};
use secrecy::SecretString;

use super::now;
use crate::call::{Call, Failed};

/// Takes somebody up, gives and takes the roles that their groups say, and makes a session.
pub(super) fn session(
    call: &Call,
    (name, provider): (&str, &ProviderConfig),
    person: &SignedIn,
    length: Duration,
) -> Result<SecretString, Failed> {
    let roles = provider.roles_of(&person.groups);
    let user = whose(call, provider, person)?;
    let actor = Actor {
        name: format!("user:{}", user.as_str()),
        source: call.actor.source.clone(),
    };
    let known = call.store().holder(HolderKind::User, user.as_str())?;
    match known {
        Some(holder) => check(&holder, provider)?,
        // Whoever has no role is not taken up either.
        None if roles.is_empty() => return Err(nobody()),
        None => make(call, &actor, &user, (provider, person))?,
    }
    keep_up(call, &actor, &user, &roles)?;
    if call.store().grants_of(&user)?.is_empty() {
        return Err(nobody());
    }
    let ends = now().saturating_add(length.as_millis() as i64);
    let what = (CredentialKind::Session, name);
    let (_, secret) = call.store().create_credential(&actor, &user, what, Some(ends))?;
    Ok(secret)
}

fn nobody() -> Failed {
    Failed::new(
        StatusCode::FORBIDDEN,
        "you have no role here: none of your groups gives one, and nobody has given you one",
    )
}

/// The user that somebody is: whom the directory knows by their name or number, or by their own.
fn whose(call: &Call, provider: &ProviderConfig, person: &SignedIn) -> Result<UserId, Failed> {
    if provider.claims.directory.is_none() {
        return Ok(person.user.clone());
    }
    let unknown = || Failed::new(StatusCode::FORBIDDEN, "the directory does not know you");
    let (Some(organization), Some(name)) = (&provider.organization, &person.directory) else {
        return Err(unknown());
    };
    let organization = organization.as_str().into();
    let found = call
        .store()
        .directory_find(&organization, DirectoryKind::User, name)?;
    found.map(|entry| UserId::from(entry.id)).ok_or_else(unknown)
}

/// Whether a user who is known may come in by this provider.
fn check(holder: &Holder, provider: &ProviderConfig) -> Result<(), Failed> {
    if holder.is_closed() {
        return Err(Failed::new(
            StatusCode::FORBIDDEN,
            "this user is disabled or deleted",
        ));
    }
    let own = holder.spec.organization.as_ref().map(|id| id.as_str());
    // A user of one organization does not become another's because a provider says so; nor does one of none, who may have
    // roles anywhere.
    if own != provider.organization.as_deref() {
        return Err(Failed::new(
            StatusCode::FORBIDDEN,
            "this user is not of the organization that this identity provider is for",
        ));
    }
    Ok(())
}

fn make(
    call: &Call,
    actor: &Actor,
    user: &UserId,
    (provider, person): (&ProviderConfig, &SignedIn),
) -> Result<(), Failed> {
    let spec = HolderSpec {
        name: person.name.clone(),
        organization: provider.organization.as_deref().map(Into::into),
        ..HolderSpec::default()
    };
    let made = call
        .store()
        .create_holder(actor, HolderKind::User, Some(user.as_str().to_owned()), spec);
    match made {
        // Another replica was faster.
        Ok(_) | Err(StoreError::Exists { .. }) => Ok(call.take_over()?),
        Err(error) => Err(error.into()),
    }
}

/// Gives the roles that groups say, and takes those that groups gave before. What others have given stays as it is.
fn keep_up(call: &Call, actor: &Actor, user: &UserId, roles: &[(Scope, &str)]) -> Result<(), Failed> {
    let store = call.store();
    let before = store.grants_of(user)?;
    for (membership, _) in &before {
        let goes_on = roles.iter().any(|(scope, _)| *scope == membership.scope);
        if membership.source == Source::SignIn && !goes_on {
            match store.end_membership(actor, user, &membership.scope, None) {
                Ok(_) | Err(StoreError::NoSuchHolder { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
    for (scope, role) in roles {
        let had = before.iter().find(|(membership, _)| membership.scope == *scope);
        let is_so = had.is_some_and(|(had, _)| had.source != Source::SignIn || had.role == *role);
        if is_so {
            continue;
        }
        if let Err(error) = store.set_membership(actor, (user, scope), (role, Source::SignIn), None) {
            // What is configured may be gone by now: whoever signs in has the rest.
            let (kind, id) = scope.parts();
            tracing::warn!(%error, kind, id, role, "a role that a group gives cannot be given");
        }
    }
    Ok(())
}

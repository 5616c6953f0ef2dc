//! Who has which role in an organization or a team.

use http::Method;
use pointsman_store::{HolderKind, Membership, Permission, Permissions, Scope, Source, StoreError, UserId};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::access::{Needs, Object, may_give, scope_place, sees_user};
use crate::call::{Answer, Call, Failed, Reply, value};
use crate::routes::{Route, Takes, get, with};
use crate::shapes::{beside, time};

/// Which role somebody gets.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MembershipFields {
    /// `owner`, `admin`, `billing`, `viewer`, or the name of a role that the organization has made.
    pub role: String,
}

const fn see(kind: HolderKind) -> Needs {
    Needs::At(Object::Holder(kind), &[Permission::MembersRead])
}

const fn change(kind: HolderKind) -> Needs {
    Needs::At(Object::Holder(kind), &[Permission::MembersWrite])
}

macro_rules! member_routes {
    ($kind:ident, $all:literal, $one:literal) => {
        [
            get(
                $all,
                see(HolderKind::$kind),
                "Lists who has a role here, page by page.",
                |call| list(call, &Scope::$kind(call.segment(0).into())),
            ),
            get(
                $one,
                see(HolderKind::$kind),
                "Shows the role of a user here.",
                |call| show(call, &Scope::$kind(call.segment(0).into())),
            ),
            with(
                (Method::PUT, $one),
                change(HolderKind::$kind),
                Takes::Membership,
                "Gives a user a role here: none that may do more than one's own.",
                |call| set(call, &Scope::$kind(call.segment(0).into())),
            ),
            with(
                (Method::DELETE, $one),
                change(HolderKind::$kind),
                Takes::Nothing,
                "Takes the role of a user here away.",
                |call| end(call, &Scope::$kind(call.segment(0).into())),
            ),
        ]
    };
}

/// Their paths.
pub fn routes() -> Vec<Route> {
    let mut routes = Vec::new();
    routes.extend(member_routes!(
        Organization,
        "/admin/v1/organizations/{id}/members",
        "/admin/v1/organizations/{id}/members/{user}"
    ));
    routes.extend(member_routes!(
        Team,
        "/admin/v1/teams/{id}/members",
        "/admin/v1/teams/{id}/members/{user}"
    ));
    routes
}

fn list(call: &Call, scope: &Scope) -> Answer {
    call.only(&["after", "limit"])?;
    let limit = call.limit("limit")?;
    let page = call.store().members(scope, call.parameter("after"), limit)?;
    let last = page
        .items
        .last()
        .map(|membership| membership.user.as_str().to_owned());
    let data: Result<Vec<_>, _> = page.items.iter().map(view).collect();
    Ok(Reply::of(
        json!({ "data": data?, "next": last.filter(|_| page.more) }),
    ))
}

fn show(call: &Call, scope: &Scope) -> Answer {
    let membership = find(call, scope)?;
    Ok(Reply::of(view(&membership)?).versioned(membership.version))
}

fn set(call: &Call, scope: &Scope) -> Answer {
    let fields: MembershipFields = call.read()?;
    let user = user(call);
    let before = call.store().membership(&user, scope)?;
    if before.is_none() {
        sees_user(call, &user)?;
    }
    let permissions = call.store().role_permissions(scope, &fields.role)?;
    let permissions =
        permissions.ok_or_else(|| Failed::wrong(format!("there is no role {:?} here", fields.role)))?;
    may_replace(call, scope, before.as_ref(), permissions)?;
    let expected = call.expected()?.or_else(|| before.map(|before| before.version));
    let (whose, what) = ((&user, scope), (fields.role.as_str(), Source::Admin));
    let made = call.store().set_membership(&call.actor, whose, what, expected)?;
    Ok(Reply::of(view(&made)?).versioned(made.version))
}

fn end(call: &Call, scope: &Scope) -> Answer {
    let before = find(call, scope)?;
    may_replace(call, scope, Some(&before), Permissions::NONE)?;
    let expected = call.expected()?.unwrap_or(before.version);
    call.store()
        .end_membership(&call.actor, &before.user, scope, Some(expected))?;
    Ok(Reply::done())
}

/// Whether the role that somebody has may be taken, and another given.
fn may_replace(
    call: &Call,
    scope: &Scope,
    before: Option<&Membership>,
    after: Permissions,
) -> Result<(), Failed> {
    let place = scope_place(call.store(), scope)?;
    if let Some(before) = before {
        let had = call.store().role_permissions(scope, &before.role)?;
        may_give(call, &place, had.unwrap_or_default())?;
    }
    may_give(call, &place, after)
}

fn user(call: &Call) -> UserId {
    UserId::from(call.segment(1))
}

fn find(call: &Call, scope: &Scope) -> Result<Membership, Failed> {
    let user = user(call);
    let found = call.store().membership(&user, scope)?;
    found.ok_or_else(|| {
        let (kind, id) = ("member", user.as_str().to_owned());
        StoreError::NoSuchHolder { kind, id }.into()
    })
}

fn view(membership: &Membership) -> Result<Value, Failed> {
    let (kind, id) = membership.scope.parts();
    let own = json!({
        kind: id,
        "user": membership.user,
        "role": membership.role,
        "created_at": time(membership.created_at),
        "updated_at": time(membership.updated_at),
    });
    Ok(beside(json!({ "source": value(membership.source)? }), own))
}

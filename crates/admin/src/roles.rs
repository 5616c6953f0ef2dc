//! Roles: those that are always there, and those that an organization makes of permissions.

use http::Method;
use pointsman_store::{
    BUILT_IN_ROLES, CustomRole, HolderKind, OrganizationId, Permission, Permissions, Scope, StoreError,
    built_in_role,
};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::access::{Needs, Object, may_give, scope_place};
use crate::call::{Answer, Call, Failed, Reply};
use crate::routes::{Route, Takes, get, with};
use crate::shapes::time;

/// What a role may do.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RoleFields {
    /// Permissions by their names, such as `keys.read`.
    #[schemars(with = "Vec<String>")]
    pub permissions: Permissions,
}

const SEE: Needs = Needs::At(
    Object::Holder(HolderKind::Organization),
    &[Permission::MembersRead],
);
const CHANGE: Needs = Needs::At(
    Object::Holder(HolderKind::Organization),
    &[Permission::RolesWrite],
);

/// Their paths.
pub fn routes() -> [Route; 4] {
    let one = "/admin/v1/organizations/{id}/roles/{role}";
    [
        get(
            "/admin/v1/organizations/{id}/roles",
            SEE,
            "Lists the roles that can be given here, and what each may do.",
            list,
        ),
        get(one, SEE, "Shows what a role may do.", show),
        with(
            (Method::PUT, one),
            CHANGE,
            Takes::Role,
            "Makes a role, or changes what it may do: nothing that one may not do oneself.",
            set,
        ),
        with(
            (Method::DELETE, one),
            CHANGE,
            Takes::Nothing,
            "Takes a role away that nobody has.",
            delete,
        ),
    ]
}

fn organization(call: &Call) -> OrganizationId {
    OrganizationId::from(call.segment(0))
}

fn list(call: &Call) -> Answer {
    call.only(&[])?;
    let built_in = BUILT_IN_ROLES.iter().filter_map(|name| {
        let permissions = built_in_role(name)?;
        Some(json!({ "name": name, "permissions": permissions, "built_in": true }))
    });
    let own = call.store().custom_roles(&organization(call))?;
    let data: Vec<_> = built_in.chain(own.iter().map(view)).collect();
    Ok(Reply::of(json!({ "data": data })))
}

fn show(call: &Call) -> Answer {
    let role = find(call)?;
    Ok(Reply::of(view(&role)).versioned(role.version))
}

fn set(call: &Call) -> Answer {
    let fields: RoleFields = call.read()?;
    let (organization, name) = (organization(call), call.segment(1));
    let before = call.store().custom_role(&organization, name)?;
    let place = scope_place(call.store(), &Scope::Organization(organization.clone()))?;
    may_give(call, &place, fields.permissions)?;
    if let Some(before) = &before {
        may_give(call, &place, before.permissions)?;
    }
    let expected = call.expected()?.or_else(|| before.map(|before| before.version));
    let role = (&organization, name);
    let made = call
        .store()
        .set_custom_role(&call.actor, role, fields.permissions, expected)?;
    Ok(Reply::of(view(&made)).versioned(made.version))
}

fn delete(call: &Call) -> Answer {
    let role = find(call)?;
    if call.expected()?.is_some_and(|expected| expected != role.version) {
        return Err(StoreError::Changed.into());
    }
    call.store()
        .delete_custom_role(&call.actor, &role.organization, &role.name)?;
    Ok(Reply::done())
}

fn find(call: &Call) -> Result<CustomRole, Failed> {
    let name = call.segment(1);
    let found = call.store().custom_role(&organization(call), name)?;
    found.ok_or_else(|| {
        let (kind, id) = ("role", name.to_owned());
        StoreError::NoSuchHolder { kind, id }.into()
    })
}

fn view(role: &CustomRole) -> Value {
    json!({
        "name": role.name,
        "permissions": role.permissions,
        "built_in": false,
        "created_at": time(role.created_at),
        "updated_at": time(role.updated_at),
    })
}

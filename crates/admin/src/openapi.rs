//! The admin API as OpenAPI describes it: made of the routes and of the types of their bodies, so that it cannot say
//! what is not so.

use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

use crate::access::Needs;
use crate::call::{Answer, Call, Reply};
use crate::keys::RotateFields;
use crate::members::MembershipFields;
use crate::people::TokenFields;
use crate::repeat;
use crate::roles::RoleFields;
use crate::routes::{self, Route, Takes};
use crate::scim;
use crate::secrets::SecretFields;
use crate::shapes::{HolderFields, KeyFields};

/// Where it is.
pub const PATH: &str = "/admin/openapi.json";

/// The description.
pub fn answer(_: &Call) -> Answer {
    Ok(Reply::of(document(&routes::all())))
}

/// The description of these routes.
pub fn document(routes: &[Route]) -> Value {
    let settings = SchemaSettings::draft2020_12().with(|settings| {
        settings.definitions_path = "/components/schemas".into();
    });
    let mut schemas = settings.into_generator();
    let holder = schemas.subschema_for::<HolderFields>();
    let key = schemas.subschema_for::<KeyFields>();
    let rotation = schemas.subschema_for::<RotateFields>();
    let membership = schemas.subschema_for::<MembershipFields>();
    let role = schemas.subschema_for::<RoleFields>();
    let token = schemas.subschema_for::<TokenFields>();
    let secret = schemas.subschema_for::<SecretFields>();
    let body = |takes: Takes| {
        let schema = match takes {
            Takes::Nothing => return None,
            Takes::Holder => json!(holder),
            Takes::Key => json!(key),
            Takes::Rotation => json!(rotation),
            Takes::Membership => json!(membership),
            Takes::Role => json!(role),
            Takes::Token => json!(token),
            Takes::Secret => json!(secret),
            Takes::Litellm | Takes::Scim => json!({ "type": "object" }),
        };
        let kind = if takes == Takes::Scim {
            scim::MEDIA_TYPE
        } else {
            "application/json"
        };
        Some(json!({ "content": { kind: { "schema": schema } } }))
    };
    let mut paths = Map::new();
    for route in routes {
        let operations = paths.entry(route.path.to_owned()).or_insert_with(|| json!({}));
        operations[route.method.as_str().to_ascii_lowercase()] = operation(route, body(route.takes));
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Pointsman admin API",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "Organizations, teams, projects, users, keys, budgets, usage. Paths outside of /admin take and give what LiteLLM's do.",
        },
        "security": [ { "token": [] } ],
        "paths": paths,
        "components": {
            "securitySchemes": { "token": { "type": "http", "scheme": "bearer" } },
            "schemas": schemas.take_definitions(true),
        },
    })
}

fn operation(route: &Route, body: Option<Value>) -> Value {
    let named = route
        .path
        .split('/')
        .filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
    let mut parameters: Vec<_> = named
        .map(|name| json!({ "name": name, "in": "path", "required": true, "schema": { "type": "string" } }))
        .collect();
    let mut operation = json!({
        "summary": route.summary,
        "x-pointsman-needs": needs(route.needs),
        "responses": {
            "2XX": { "description": "Done." },
            "4XX": { "description": "Refused; `error.message` says why." },
        },
    });
    if repeat::may_repeat(route) {
        parameters.push(
            json!({ "name": "Idempotency-Key", "in": "header", "required": false,
            "schema": { "type": "string", "minLength": 16, "maxLength": 255 },
            "description": "Carried out once for this key, and answered again as it was for a day." }),
        );
    }
    if !parameters.is_empty() {
        operation["parameters"] = Value::Array(parameters);
    }
    if let Some(body) = body {
        operation["requestBody"] = body;
    }
    operation
}

/// What a route demands of its caller: `by` is `nobody`, `anybody`, `session`, `operator` or `role`; a role's permissions are any of
/// `permissions`, at (or `above`) the `object` that the path names first, or anywhere.
fn needs(needs: Needs) -> Value {
    let at = |object: &str, permissions: Vec<&str>, above: bool| json!({ "by": "role", "object": object, "permissions": permissions, "above": above });
    match needs {
        Needs::Nothing => json!({ "by": "nobody" }),
        Needs::SomeoneKnown => json!({ "by": "anybody" }),
        Needs::Session => json!({ "by": "session" }),
        Needs::Operator => json!({ "by": "operator" }),
        Needs::Somewhere(permission) => json!({ "by": "role", "permissions": [permission.as_str()] }),
        Needs::At(object, any) => {
            let names = any.iter().map(|permission| permission.as_str()).collect();
            at(object.as_str(), names, false)
        }
        Needs::Above(object, permission) => at(object.as_str(), vec![permission.as_str()], true),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_description_has_every_route_and_nothing_else() {
        let routes = routes::all();
        let document = document(&routes);
        let mut told = 0;
        for (path, operations) in document["paths"].as_object().unwrap() {
            for method in operations.as_object().unwrap().keys() {
                let is =
                    |route: &Route| route.path == path && route.method.as_str().eq_ignore_ascii_case(method);
                assert!(routes.iter().any(is), "{method} {path}");
                told += 1;
            }
        }
        assert_eq!(told, routes.len());
        let text = document.to_string();
        for reference in text.split("\"$ref\":\"#").skip(1) {
            let pointer = reference.split('"').next().unwrap();
            assert!(document.pointer(pointer).is_some(), "{pointer}");
        }
        for schema in ["HolderFields", "KeyFields", "BudgetFields"] {
            let fields = &document["components"]["schemas"][schema]["properties"];
            assert!(
                fields.as_object().is_some_and(|fields| fields.len() > 2),
                "{schema}"
            );
        }
    }
}

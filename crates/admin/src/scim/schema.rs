//! What this service offers, and what its resources are made of (RFC 7643, sections 5 to 7).

use serde_json::{Value, json};

use super::resource::{ENTERPRISE, GROUP, GROUP_ATTRIBUTES, Holds, USER, USER_ATTRIBUTES};
use super::{MEDIA_TYPE, PROVISION};
use crate::call::{Answer, Call, Failed, Reply};
use crate::routes::{Route, get};

const LIST: &str = "urn:ietf:params:scim:api:messages:2.0:ListResponse";

/// Their paths.
pub fn routes() -> [Route; 5] {
    [
        get(
            "/scim/v2/{organization}/ServiceProviderConfig",
            PROVISION,
            "What of SCIM is offered.",
            |call| {
                call.only(&[])?;
                Ok(scim(offered()))
            },
        ),
        get(
            "/scim/v2/{organization}/ResourceTypes",
            PROVISION,
            "Users and groups.",
            |call| {
                call.only(&[])?;
                Ok(scim(listed(types())))
            },
        ),
        get(
            "/scim/v2/{organization}/ResourceTypes/{resource}",
            PROVISION,
            "One of both.",
            |call| one(call, types()),
        ),
        get(
            "/scim/v2/{organization}/Schemas",
            PROVISION,
            "What resources are made of.",
            |call| {
                call.only(&[])?;
                Ok(scim(listed(schemas())))
            },
        ),
        get(
            "/scim/v2/{organization}/Schemas/{resource}",
            PROVISION,
            "What one kind of resource is made of.",
            |call| one(call, schemas()),
        ),
    ]
}

fn scim(value: Value) -> Reply {
    let mut reply = Reply::of(value);
    reply.speaks(MEDIA_TYPE);
    reply
}

fn listed(all: Vec<Value>) -> Value {
    json!({
        "schemas": [LIST], "totalResults": all.len(), "startIndex": 1, "itemsPerPage": all.len(), "Resources": all,
    })
}

fn one(call: &Call, all: Vec<Value>) -> Answer {
    call.only(&[])?;
    let id = call.segment(1);
    let found = all.into_iter().find(|one| one["id"] == id);
    found
        .map(scim)
        .ok_or_else(|| Failed::absent(format!("there is no {id:?} here")))
}

fn offered() -> Value {
    let not = json!({ "supported": false });
    json!({
        "schemas": ["urn:ietf:params:scim:schemas:core:2.0:ServiceProviderConfig"],
        "patch": { "supported": true },
        "bulk": { "supported": false, "maxOperations": 0, "maxPayloadSize": 0 },
        "filter": { "supported": true, "maxResults": 200 },
        "changePassword": not,
        "sort": not,
        "etag": { "supported": true },
        "authenticationSchemes": [ {
            "type": "oauthbearertoken",
            "name": "Bearer token",
            "description": "A token of a user who may provision this organization.",
            "primary": true,
        } ],
    })
}

fn types() -> Vec<Value> {
    let kind = |name: &str, place: &str, schema: &str, extensions: Value| {
        json!({
            "schemas": ["urn:ietf:params:scim:schemas:core:2.0:ResourceType"],
            "id": name,
            "name": name,
            "endpoint": place,
            "schema": schema,
            "schemaExtensions": extensions,
        })
    };
    let enterprise = json!([ { "schema": ENTERPRISE, "required": false } ]);
    vec![
        kind("User", "/Users", USER, enterprise),
        kind("Group", "/Groups", GROUP, json!([])),
    ]
}

/// Attributes that every resource of a kind has.
const REQUIRED: [(&str, &str); 2] = [(USER, "userName"), (GROUP, "displayName")];

fn attribute((schema, name): (&str, &str), holds: Holds) -> Value {
    let (kind, several) = match holds {
        Holds::Text => ("string", false),
        Holds::Flag => ("boolean", false),
        Holds::Parts => ("complex", false),
        Holds::Several => ("complex", true),
    };
    let mut attribute = json!({
        "name": name,
        "type": kind,
        "multiValued": several,
        "description": "",
        "required": REQUIRED.contains(&(schema, name)),
        "caseExact": name == "externalId",
        "mutability": "readWrite",
        "returned": "default",
        "uniqueness": if REQUIRED.contains(&(schema, name)) { "server" } else { "none" },
    });
    let parts = parts(name, holds);
    if !parts.is_empty() {
        attribute["subAttributes"] = parts.iter().map(|part| self::part(name, part)).collect();
    }
    attribute
}

/// What an attribute consists of.
fn parts(name: &str, holds: Holds) -> &'static [&'static str] {
    match (name, holds) {
        ("name", _) => &[
            "formatted",
            "familyName",
            "givenName",
            "middleName",
            "honorificPrefix",
            "honorificSuffix",
        ],
        ("members", _) => &["value", "$ref", "type"],
        ("manager", _) => &["value", "$ref", "displayName"],
        ("addresses", _) => &[
            "formatted",
            "streetAddress",
            "locality",
            "region",
            "postalCode",
            "country",
            "type",
        ],
        (_, Holds::Several) => &["value", "display", "type", "primary"],
        _ => &[],
    }
}

fn part(of: &str, name: &str) -> Value {
    let holds = if name == "primary" {
        Holds::Flag
    } else {
        Holds::Text
    };
    let mut part = attribute(("", name), holds);
    match (of, name) {
        // Users alone are in groups, and above others.
        (_, "$ref") => {
            part["type"] = json!("reference");
            part["referenceTypes"] = json!(["User"]);
            part["mutability"] = json!("readOnly");
        }
        ("members", "type") => {
            part["canonicalValues"] = json!(["User"]);
            part["mutability"] = json!("readOnly");
        }
        ("members", "value") => part["required"] = json!(true),
        _ => {}
    }
    part
}

fn schemas() -> Vec<Value> {
    let schema = |id: &str, name: &str, attributes: Vec<Value>| {
        json!({
            "schemas": ["urn:ietf:params:scim:schemas:core:2.0:Schema"],
            "id": id,
            "name": name,
            "description": "",
            "attributes": attributes,
        })
    };
    // An extension is a schema of its own, and what is common to all resources is in none.
    let own = |schema: &str, attributes: &[(&str, Holds)]| {
        let own = attributes
            .iter()
            .filter(|(name, _)| !["externalId", ENTERPRISE].contains(name));
        own.map(|(name, holds)| attribute((schema, name), *holds))
            .collect()
    };
    let enterprise = [
        "employeeNumber",
        "costCenter",
        "organization",
        "division",
        "department",
    ];
    let mut enterprise: Vec<_> = enterprise
        .iter()
        .map(|name| attribute((ENTERPRISE, name), Holds::Text))
        .collect();
    enterprise.push(attribute((ENTERPRISE, "manager"), Holds::Parts));
    vec![
        schema(USER, "User", own(USER, &USER_ATTRIBUTES)),
        schema(GROUP, "Group", own(GROUP, &GROUP_ATTRIBUTES)),
        schema(ENTERPRISE, "EnterpriseUser", enterprise),
    ]
}

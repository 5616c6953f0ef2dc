//! Users and groups as SCIM writes them (RFC 7643): what is taken of what a directory says, and how it is shown.

use pointsman_store::{DirectoryEntry, DirectoryKind};
use serde_json::{Map, Value, json};

use super::error::{Scim, ScimType, wrong};
use super::filter::get;
use super::tag;
use crate::call::{Call, Failed};
use crate::shapes::time;

/// Of users.
pub const USER: &str = "urn:ietf:params:scim:schemas:core:2.0:User";
/// Of groups.
pub const GROUP: &str = "urn:ietf:params:scim:schemas:core:2.0:Group";
/// Of users in a company.
pub const ENTERPRISE: &str = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";
/// Members of a group, at most.
const MAX_MEMBERS: usize = 10_000;
/// Values of any other attribute, at most.
const MAX_VALUES: usize = 100;
/// Letters of a name.
const MAX_NAME: usize = 200;

/// What the value of an attribute is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Holds {
    /// A text.
    Text,
    /// True or false.
    Flag,
    /// Parts with names.
    Parts,
    /// Several values with parts.
    Several,
}

/// The attributes of a user that are kept.
pub const USER_ATTRIBUTES: [(&str, Holds); 21] = [
    ("userName", Holds::Text),
    ("externalId", Holds::Text),
    ("name", Holds::Parts),
    ("displayName", Holds::Text),
    ("nickName", Holds::Text),
    ("profileUrl", Holds::Text),
    ("title", Holds::Text),
    ("userType", Holds::Text),
    ("preferredLanguage", Holds::Text),
    ("locale", Holds::Text),
    ("timezone", Holds::Text),
    ("active", Holds::Flag),
    ("emails", Holds::Several),
    ("phoneNumbers", Holds::Several),
    ("ims", Holds::Several),
    ("photos", Holds::Several),
    ("addresses", Holds::Several),
    ("entitlements", Holds::Several),
    ("roles", Holds::Several),
    ("x509Certificates", Holds::Several),
    (ENTERPRISE, Holds::Parts),
];

/// The attributes of a group.
pub const GROUP_ATTRIBUTES: [(&str, Holds); 3] = [
    ("displayName", Holds::Text),
    ("externalId", Holds::Text),
    ("members", Holds::Several),
];

/// What is taken of a resource: attributes that are known, by their proper names. Passwords are not among them.
pub fn taken(said: &Map<String, Value>, attributes: &[(&str, Holds)]) -> Result<Map<String, Value>, Scim> {
    let mut taken = Map::new();
    for (name, holds) in attributes {
        let Some(value) = get(said, name).filter(|value| !value.is_null()) else {
            continue;
        };
        let not = |what: &str| wrong(ScimType::InvalidValue, format!("{name} is not {what}"));
        let value = match (holds, value) {
            (Holds::Text, Value::String(_))
            | (Holds::Parts, Value::Object(_))
            | (Holds::Flag, Value::Bool(_)) => value.clone(),
            // Entra writes it so.
            (Holds::Flag, Value::String(text)) if text.eq_ignore_ascii_case("true") => json!(true),
            (Holds::Flag, Value::String(text)) if text.eq_ignore_ascii_case("false") => json!(false),
            (Holds::Several, Value::Array(all)) => several(name, all)?,
            (Holds::Several, one @ Value::Object(_)) => json!([one]),
            (Holds::Text, _) => return Err(not("a text")),
            (Holds::Flag, _) => return Err(not("true or false")),
            (Holds::Parts, _) => return Err(not("an object")),
            (Holds::Several, _) => return Err(not("a list")),
        };
        taken.insert((*name).to_owned(), value);
    }
    Ok(taken)
}

fn several(name: &str, all: &[Value]) -> Result<Value, Scim> {
    let most = if name == "members" {
        MAX_MEMBERS
    } else {
        MAX_VALUES
    };
    if all.len() > most {
        return Err(wrong(
            ScimType::TooMany,
            format!("{name} has {most} values at most"),
        ));
    }
    let whole = |value: &Value| match value {
        // A role by its name alone.
        Value::String(text) => Ok(json!({ "value": text })),
        Value::Object(_) => Ok(value.clone()),
        _ => Err(wrong(
            ScimType::InvalidValue,
            format!("{name} is not a list of objects"),
        )),
    };
    all.iter().map(whole).collect()
}

/// A text that must be there.
pub fn name<'r>(taken: &'r Map<String, Value>, attribute: &str) -> Result<&'r str, Scim> {
    let said = taken.get(attribute).and_then(Value::as_str).unwrap_or_default();
    if said.trim().is_empty() {
        return Err(wrong(ScimType::InvalidValue, format!("{attribute} is missing")));
    }
    if said.chars().count() > MAX_NAME || said.chars().any(char::is_control) {
        let message = format!("{attribute} has {MAX_NAME} letters at most, and no control characters");
        return Err(wrong(ScimType::InvalidValue, message));
    }
    Ok(said)
}

/// The directory's own id, which may be missing.
pub fn external_id(taken: &Map<String, Value>) -> Option<&str> {
    taken.get("externalId").and_then(Value::as_str)
}

/// The `value` of each of several values.
pub fn values<'r>(taken: &'r Map<String, Value>, attribute: &str) -> Vec<&'r str> {
    let all = taken.get(attribute).and_then(Value::as_array);
    all.into_iter()
        .flatten()
        .filter_map(|one| one.get("value")?.as_str())
        .collect()
}

/// Whether a resource says that it is what it should be.
pub fn check_schema(said: &Map<String, Value>, schema: &str) -> Result<(), Scim> {
    let all = get(said, "schemas").and_then(Value::as_array);
    let is_said = all.is_some_and(|all| {
        let mut names = all.iter().filter_map(Value::as_str);
        names.any(|name| name.eq_ignore_ascii_case(schema))
    });
    if is_said {
        Ok(())
    } else {
        Err(wrong(
            ScimType::InvalidSyntax,
            format!("schemas does not have {schema}"),
        ))
    }
}

/// Where a resource is: by the address that is configured, never by one that a request says.
pub fn location(call: &Call, kind: DirectoryKind, id: &str) -> String {
    let config = call.gateway.snapshot().sign_in.clone();
    let base = config
        .as_ref()
        .map_or("", |config| config.public_url.trim_end_matches('/'));
    let (organization, place) = (call.segment(0), place(kind));
    format!("{base}/scim/v2/{organization}/{place}/{id}")
}

/// The last part of the path of resources of a kind.
pub fn place(kind: DirectoryKind) -> &'static str {
    match kind {
        DirectoryKind::User => "Users",
        DirectoryKind::Group => "Groups",
    }
}

/// A resource as it is shown, but for what follows from others.
pub fn shown(call: &Call, entry: &DirectoryEntry) -> Result<Map<String, Value>, Failed> {
    let kept = super::kept(entry)?;
    let (kind, mut schemas) = match entry.kind {
        DirectoryKind::User => ("User", vec![USER]),
        DirectoryKind::Group => ("Group", vec![GROUP]),
    };
    if kept.contains_key(ENTERPRISE) {
        schemas.push(ENTERPRISE);
    }
    let mut shown = Map::new();
    shown.insert("schemas".to_owned(), json!(schemas));
    shown.insert("id".to_owned(), json!(entry.id));
    shown.extend(kept);
    let meta = json!({
        "resourceType": kind,
        "created": time(entry.created_at),
        "lastModified": time(entry.updated_at),
        "version": tag(entry),
        "location": location(call, entry.kind, &entry.id),
    });
    shown.insert("meta".to_owned(), meta);
    Ok(shown)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_known_is_taken_and_nothing_else() {
        let said = json!({
            "schemas": [USER], "id": "mine", "USERNAME": "kim", "password": "secret", "active": "False", "shoeSize": 40,
            "roles": ["viewer"], "emails": {"value": "k@x"}, "groups": [{"value": "t"}], "meta": {"version": "1"},
        });
        let taken = taken(said.as_object().unwrap(), &USER_ATTRIBUTES).unwrap();
        let expected = json!({
            "userName": "kim", "active": false, "emails": [{"value": "k@x"}], "roles": [{"value": "viewer"}],
        });
        assert_eq!(Value::Object(taken.clone()), expected);
        assert_eq!(values(&taken, "roles"), ["viewer"]);
        for (attribute, value) in [
            ("userName", json!(7)),
            ("active", json!("perhaps")),
            ("name", json!("Kim")),
            ("emails", json!("k@x")),
            ("emails", json!([7])),
        ] {
            let said = Map::from_iter([(attribute.to_owned(), value)]);
            assert!(super::taken(&said, &USER_ATTRIBUTES).is_err(), "{attribute}");
        }
    }
}

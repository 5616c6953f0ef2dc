//! Changes of SCIM (RFC 7644, section 3.5.2): operations, one after the other, on a resource as it is kept.

use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value, json};

use super::error::{Scim, ScimType, wrong};
use super::filter::{Attribute, Filter, Operator};
use super::resource::ENTERPRISE;

/// What a change says it is.
pub const SCHEMA: &str = "urn:ietf:params:scim:api:messages:2.0:PatchOp";
/// Operations of one change.
const MAX_OPERATIONS: usize = 1_000;
/// Attributes that have several values.
const SEVERAL: [&str; 10] = [
    "emails",
    "phoneNumbers",
    "ims",
    "photos",
    "addresses",
    "groups",
    "entitlements",
    "roles",
    "x509Certificates",
    "members",
];
/// Attributes that clients do not change.
const READ_ONLY: [&str; 4] = ["id", "meta", "groups", "schemas"];

#[derive(Deserialize)]
struct Change {
    #[serde(default)]
    schemas: Vec<String>,
    #[serde(rename = "Operations", alias = "operations")]
    operations: Vec<Operation>,
}

#[derive(Deserialize)]
struct Operation {
    op: String,
    path: Option<String>,
    #[serde(default, deserialize_with = "said")]
    value: Option<Value>,
}

/// A value that is there, be it null: that takes an attribute away.
fn said<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(deserializer).map(Some)
}

/// What a path leads to: an attribute, the values of it that fulfil a filter, a part of each.
#[derive(Debug, PartialEq)]
struct Path {
    attribute: Attribute,
    filter: Option<Filter>,
}

impl Path {
    fn read(text: &str) -> Option<Self> {
        let Some((name, rest)) = text.split_once('[') else {
            return Some(Self {
                attribute: Attribute::read(text)?,
                filter: None,
            });
        };
        let (filter, part) = rest.rsplit_once(']')?;
        let mut attribute = Attribute::read(name)?;
        if attribute.part.is_some() {
            return None;
        }
        attribute.part = match part {
            "" => None,
            part => Some(Attribute::read(part.strip_prefix('.')?)?.name),
        };
        Some(Self {
            attribute,
            filter: Some(Filter::read(filter)?),
        })
    }
}

/// Carries a change out.
///
/// # Errors
/// When it is none, or leads nowhere; then the resource may be changed in part, and is to be thrown away.
pub fn apply(resource: &mut Map<String, Value>, change: Value) -> Result<(), Scim> {
    let change: Change =
        serde_json::from_value(change).map_err(|_| wrong(ScimType::InvalidSyntax, "this is no change"))?;
    if !change
        .schemas
        .iter()
        .any(|schema| schema.eq_ignore_ascii_case(SCHEMA))
    {
        return Err(wrong(
            ScimType::InvalidSyntax,
            format!("schemas does not have {SCHEMA}"),
        ));
    }
    if change.operations.is_empty() || change.operations.len() > MAX_OPERATIONS {
        let message = format!("a change has between 1 and {MAX_OPERATIONS} operations");
        return Err(wrong(ScimType::InvalidSyntax, message));
    }
    change
        .operations
        .into_iter()
        .try_for_each(|operation| carry_out(resource, operation))
}

/// What is done.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Deed {
    Add,
    Replace,
    Remove,
}

fn carry_out(resource: &mut Map<String, Value>, operation: Operation) -> Result<(), Scim> {
    // Some clients write them in capitals.
    let deed = match operation.op.to_ascii_lowercase().as_str() {
        "add" => Deed::Add,
        "replace" => Deed::Replace,
        "remove" => Deed::Remove,
        _ => return Err(wrong(ScimType::InvalidSyntax, "op is add, replace or remove")),
    };
    let Some(path) = operation.path.filter(|path| !path.is_empty()) else {
        return match (deed, operation.value) {
            (Deed::Remove, _) => Err(wrong(ScimType::NoTarget, "what is removed needs a path")),
            (_, Some(Value::Object(fields))) => fields
                .into_iter()
                // Clients send what they have been shown along.
                .filter(|(name, _)| !is_read_only(name))
                .try_for_each(|(name, value)| at(resource, deed, &name, Some(value))),
            _ => Err(wrong(
                ScimType::InvalidValue,
                "without a path, the value is an object",
            )),
        };
    };
    at(resource, deed, &path, operation.value)
}

fn is_read_only(name: &str) -> bool {
    READ_ONLY.iter().any(|known| known.eq_ignore_ascii_case(name))
}

fn at(resource: &mut Map<String, Value>, deed: Deed, path: &str, value: Option<Value>) -> Result<(), Scim> {
    // An extension as a whole.
    if path.eq_ignore_ascii_case(ENTERPRISE) {
        return on(resource, deed, ENTERPRISE, None, value);
    }
    let read =
        Path::read(path).ok_or_else(|| wrong(ScimType::InvalidPath, format!("{path:?} is no path")))?;
    let Path { attribute, filter } = read;
    if attribute.schema.is_none() && is_read_only(&attribute.name) {
        return Err(wrong(
            ScimType::Mutability,
            format!("{} is not changed", attribute.name),
        ));
    }
    let fields = match &attribute.schema {
        Some(schema) => {
            let key = key_of(resource, schema);
            let extension = resource.entry(key).or_insert_with(|| json!({}));
            let extension = extension.as_object_mut();
            extension.ok_or_else(|| wrong(ScimType::InvalidPath, format!("{schema} is no extension")))?
        }
        None => resource,
    };
    match filter {
        None => on(fields, deed, &attribute.name, attribute.part.as_deref(), value),
        Some(filter) => on_some(fields, deed, (&attribute, &filter), value),
    }
}

/// The key of a field that is there in letters of another size.
fn key_of(fields: &Map<String, Value>, name: &str) -> String {
    let known = fields.keys().find(|key| key.eq_ignore_ascii_case(name));
    let several = SEVERAL.iter().find(|several| several.eq_ignore_ascii_case(name));
    known
        .cloned()
        .unwrap_or_else(|| several.map_or_else(|| name.to_owned(), |several| (*several).to_owned()))
}

/// Does something to an attribute, or a part of it.
fn on(
    fields: &mut Map<String, Value>,
    deed: Deed,
    name: &str,
    part: Option<&str>,
    value: Option<Value>,
) -> Result<(), Scim> {
    let key = key_of(fields, name);
    if let Some(part) = part {
        return match (fields.get_mut(&key), deed) {
            (Some(Value::Object(parts)), _) => on(parts, deed, part, None, value),
            (Some(Value::Array(all)), _) => all
                .iter_mut()
                .filter_map(Value::as_object_mut)
                .try_for_each(|parts| on(parts, deed, part, None, value.clone())),
            (_, Deed::Remove) => Ok(()),
            (_, Deed::Add | Deed::Replace) => {
                let mut parts = Map::new();
                on(&mut parts, deed, part, None, value)?;
                fields.insert(key, Value::Object(parts));
                Ok(())
            }
        };
    }
    if deed == Deed::Remove {
        return remove(fields, &key, value);
    }
    let value = value.ok_or_else(|| wrong(ScimType::InvalidValue, "value is missing"))?;
    let is_several = SEVERAL.contains(&key.as_str());
    match (deed, fields.get_mut(&key)) {
        (_, _) if value.is_null() => {
            fields.remove(&key);
        }
        (Deed::Add, Some(Value::Array(all))) => {
            for one in listed(value) {
                if !all.contains(&one) {
                    keep_one_primary(all, &one);
                    all.push(one);
                }
            }
        }
        (_, Some(Value::Object(parts))) if value.is_object() => {
            // Of a whole that is replaced, parts that are not said stay (section 3.5.2.3).
            if let Value::Object(more) = value {
                for (name, value) in more {
                    on(parts, deed, &name, None, Some(value))?;
                }
            }
        }
        _ if is_several => {
            fields.insert(key, Value::Array(listed(value)));
        }
        _ => {
            fields.insert(key, value);
        }
    }
    Ok(())
}

/// Of several values, at most one is the primary: the one that comes last.
fn keep_one_primary(all: &mut [Value], new: &Value) {
    if new["primary"] == true {
        for old in all.iter_mut().filter(|old| old["primary"] == true) {
            old["primary"] = json!(false);
        }
    }
}

fn listed(value: Value) -> Vec<Value> {
    match value {
        Value::Array(all) => all,
        one => vec![one],
    }
}

/// Takes an attribute away; with a value, only what of it has the same `value`, as Entra asks.
fn remove(fields: &mut Map<String, Value>, key: &str, value: Option<Value>) -> Result<(), Scim> {
    let Some(value) = value.filter(|value| !value.is_null()) else {
        fields.remove(key);
        return Ok(());
    };
    let Some(Value::Array(all)) = fields.get_mut(key) else {
        fields.remove(key);
        return Ok(());
    };
    let named: Vec<Value> = listed(value);
    let is_named = |one: &Value| {
        named
            .iter()
            .any(|named| named == one || (one["value"].is_string() && named["value"] == one["value"]))
    };
    all.retain(|one| !is_named(one));
    if all.is_empty() {
        fields.remove(key);
    }
    Ok(())
}

/// Does something to those of several values that fulfil a filter.
fn on_some(
    fields: &mut Map<String, Value>,
    deed: Deed,
    (attribute, filter): (&Attribute, &Filter),
    value: Option<Value>,
) -> Result<(), Scim> {
    let key = key_of(fields, &attribute.name);
    let part = attribute.part.as_deref();
    let fits = |one: &Value| one.as_object().is_some_and(|one| filter.holds(one));
    let all = fields.get_mut(&key).and_then(Value::as_array_mut);
    let found = all.as_ref().is_some_and(|all| all.iter().any(fits));
    if !found {
        return match (deed, filter) {
            // What is to be there with a part, and is not there, begins with what tells it from the others.
            (Deed::Add, Filter::Compare(named, Operator::Equal, said)) if named.part.is_none() => {
                let mut one = Map::from_iter([(named.name.clone(), said.clone())]);
                match (part, value) {
                    (Some(part), value) => on(&mut one, deed, part, None, value)?,
                    (None, Some(Value::Object(more))) => one.extend(more),
                    _ => return Err(wrong(ScimType::InvalidValue, "the value is an object")),
                }
                on(
                    fields,
                    Deed::Add,
                    &key,
                    None,
                    Some(Value::Array(vec![Value::Object(one)])),
                )
            }
            _ => Err(wrong(
                ScimType::NoTarget,
                "nothing fulfils the filter of the path",
            )),
        };
    }
    let Some(all) = all else { return Ok(()) };
    if deed == Deed::Remove && part.is_none() {
        all.retain(|one| !fits(one));
        if all.is_empty() {
            fields.remove(&key);
        }
        return Ok(());
    }
    for one in all.iter_mut().filter(|one| fits(one)) {
        let Some(parts) = one.as_object_mut() else {
            continue;
        };
        match (part, &value) {
            (Some(part), value) => on(parts, deed, part, None, value.clone())?,
            (None, Some(Value::Object(new))) if deed == Deed::Replace => parts.clone_from(new),
            (None, Some(Value::Object(new))) => parts.extend(new.clone()),
            _ => return Err(wrong(ScimType::InvalidValue, "the value is an object")),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn patched(resource: &Value, operations: Value) -> Result<Value, Scim> {
        let mut resource = resource.as_object().unwrap().clone();
        let change = json!({"schemas": [SCHEMA], "Operations": operations});
        apply(&mut resource, change).map(|()| Value::Object(resource))
    }

    /// What is there, what is asked, and what is there then.
    #[expect(clippy::too_many_lines, reason = "a table of cases")]
    #[test]
    fn operations_do_what_the_standard_says() {
        let work = json!({"type": "work", "value": "w@x", "primary": true});
        let home = json!({"type": "home", "value": "h@x"});
        let enterprise = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";
        for (before, operations, after) in [
            // Section 3.5.2.1: add.
            (
                json!({}),
                json!([{"op": "add", "value": {"nickName": "Babs", "emails": [home]}}]),
                json!({"nickName": "Babs", "emails": [home]}),
            ),
            (
                json!({"members": [{"value": "a"}]}),
                json!([{"op": "add", "path": "members", "value": [{"value": "b"}]}]),
                json!({"members": [{"value": "a"}, {"value": "b"}]}),
            ),
            (
                json!({"members": [{"value": "a"}]}),
                json!([{"op": "add", "path": "members", "value": [{"value": "a"}]}]),
                json!({"members": [{"value": "a"}]}),
            ),
            (
                json!({}),
                json!([{"op": "add", "path": "members", "value": {"value": "a"}}]),
                json!({"members": [{"value": "a"}]}),
            ),
            (
                json!({"emails": [work]}),
                json!([{"op": "add", "path": "emails", "value": [{"type": "home", "value": "h@x", "primary": true}]}]),
                json!({"emails": [{"type": "work", "value": "w@x", "primary": false}, {"type": "home", "value": "h@x", "primary": true}]}),
            ),
            (
                json!({"name": {"givenName": "A"}}),
                json!([{"op": "add", "path": "name", "value": {"familyName": "B"}}]),
                json!({"name": {"givenName": "A", "familyName": "B"}}),
            ),
            (
                json!({}),
                json!([{"op": "add", "path": "name.familyName", "value": "B"}]),
                json!({"name": {"familyName": "B"}}),
            ),
            (
                json!({}),
                json!([{"op": "add", "path": "emails[type eq \"work\"].value", "value": "w@x"}]),
                json!({"emails": [{"type": "work", "value": "w@x"}]}),
            ),
            // Section 3.5.2.2: remove.
            (
                json!({"members": [{"value": "a"}, {"value": "b"}]}),
                json!([{"op": "remove", "path": "members"}]),
                json!({}),
            ),
            (
                json!({"members": [{"value": "a"}, {"value": "b"}]}),
                json!([{"op": "remove", "path": "members[value eq \"a\"]"}]),
                json!({"members": [{"value": "b"}]}),
            ),
            (
                json!({"emails": [work, home]}),
                json!([{"op": "remove", "path": "emails[type eq \"work\" and value ew \"x\"]"}]),
                json!({"emails": [home]}),
            ),
            (
                json!({"emails": [work]}),
                json!([{"op": "remove", "path": "emails[type eq \"work\"].primary"}]),
                json!({"emails": [{"type": "work", "value": "w@x"}]}),
            ),
            (
                json!({"name": {"givenName": "A", "familyName": "B"}}),
                json!([{"op": "remove", "path": "name.givenName"}]),
                json!({"name": {"familyName": "B"}}),
            ),
            (
                json!({"members": [{"value": "a"}, {"value": "b"}]}),
                json!([{"op": "Remove", "path": "members", "value": [{"value": "a"}]}]),
                json!({"members": [{"value": "b"}]}),
            ),
            (
                json!({}),
                json!([{"op": "remove", "path": "nickName"}]),
                json!({}),
            ),
            // Section 3.5.2.3: replace.
            (
                json!({"members": [{"value": "a"}]}),
                json!([{"op": "replace", "path": "members", "value": [{"value": "b"}]}]),
                json!({"members": [{"value": "b"}]}),
            ),
            (
                json!({"emails": [work]}),
                json!([{"op": "replace", "path": "emails[type eq \"work\"]", "value": {"type": "work", "value": "n@x"}}]),
                json!({"emails": [{"type": "work", "value": "n@x"}]}),
            ),
            (
                json!({"emails": [work]}),
                json!([{"op": "replace", "path": "emails[type eq \"work\"].value", "value": "n@x"}]),
                json!({"emails": [{"type": "work", "value": "n@x", "primary": true}]}),
            ),
            (
                json!({"active": true}),
                json!([{"op": "Replace", "path": "ACTIVE", "value": false}]),
                json!({"active": false}),
            ),
            (
                json!({"name": {"givenName": "A", "familyName": "B"}}),
                json!([{"op": "replace", "value": {"name": {"givenName": "C"}, "id": "x", "schemas": []}}]),
                json!({"name": {"givenName": "C", "familyName": "B"}}),
            ),
            (
                json!({}),
                json!([{"op": "replace", "value": {"name.givenName": "C"}}]),
                json!({"name": {"givenName": "C"}}),
            ),
            (
                json!({}),
                json!([{"op": "replace", "path": "nickName", "value": "N"}]),
                json!({"nickName": "N"}),
            ),
            (
                json!({"nickName": "N"}),
                json!([{"op": "replace", "path": "nickName", "value": null}]),
                json!({}),
            ),
            // Extensions, by their names.
            (
                json!({}),
                json!([{"op": "add", "path": format!("{enterprise}:department"), "value": "D"}]),
                json!({enterprise: {"department": "D"}}),
            ),
            (
                json!({enterprise: {"department": "D"}}),
                json!([{"op": "remove", "path": enterprise}]),
                json!({}),
            ),
            (
                json!({"userName": "k"}),
                json!([{"op": "replace", "path": "urn:ietf:params:scim:schemas:core:2.0:User:userName", "value": "l"}]),
                json!({"userName": "l"}),
            ),
            (
                json!({}),
                json!([{"op": "add", "path": enterprise, "value": {"department": "D"}}]),
                json!({enterprise: {"department": "D"}}),
            ),
            (
                json!({enterprise: {"department": "D", "division": "V"}}),
                json!([{"op": "replace", "value": {enterprise: {"department": "E"}}}]),
                json!({enterprise: {"department": "E", "division": "V"}}),
            ),
            // One after the other.
            (
                json!({}),
                json!([{"op": "add", "path": "nickName", "value": "A"}, {"op": "replace", "path": "nickName", "value": "B"}]),
                json!({"nickName": "B"}),
            ),
        ] {
            let done = patched(&before, operations.clone());
            assert_eq!(
                done.unwrap_or_else(|error| panic!("{operations}: {error:?}")),
                after,
                "{operations}"
            );
        }
    }

    #[test]
    fn what_leads_nowhere_says_so() {
        let before = json!({"userName": "k", "emails": [{"type": "work", "value": "w@x"}]});
        for (operations, kind) in [
            (json!([]), ScimType::InvalidSyntax),
            (
                json!([{"op": "move", "path": "userName"}]),
                ScimType::InvalidSyntax,
            ),
            (json!([{"path": "userName"}]), ScimType::InvalidSyntax),
            (json!([{"op": "remove"}]), ScimType::NoTarget),
            (json!([{"op": "add", "value": "x"}]), ScimType::InvalidValue),
            (json!([{"op": "add", "path": "userName"}]), ScimType::InvalidValue),
            (
                json!([{"op": "add", "path": "user name", "value": 1}]),
                ScimType::InvalidPath,
            ),
            (
                json!([{"op": "add", "path": "emails[type]", "value": 1}]),
                ScimType::InvalidPath,
            ),
            (
                json!([{"op": "add", "path": "emails[type eq \"work\"]value", "value": 1}]),
                ScimType::InvalidPath,
            ),
            (
                json!([{"op": "replace", "path": "emails[type eq \"home\"].value", "value": "x"}]),
                ScimType::NoTarget,
            ),
            (
                json!([{"op": "remove", "path": "emails[type eq \"home\"]"}]),
                ScimType::NoTarget,
            ),
            (
                json!([{"op": "replace", "path": "id", "value": "x"}]),
                ScimType::Mutability,
            ),
            (
                json!([{"op": "add", "path": "groups", "value": [{"value": "x"}]}]),
                ScimType::Mutability,
            ),
            (
                json!([{"op": "replace", "path": "meta.version", "value": "x"}]),
                ScimType::Mutability,
            ),
        ] {
            let refused = patched(&before, operations.clone()).unwrap_err();
            assert_eq!(refused.kind(), Some(kind), "{operations}");
        }
        let without = apply(
            &mut Map::new(),
            json!({"Operations": [{"op": "remove", "path": "a"}]}),
        );
        assert_eq!(without.unwrap_err().kind(), Some(ScimType::InvalidSyntax));
    }
}

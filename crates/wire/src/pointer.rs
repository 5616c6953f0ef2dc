//! Editing a body at places named by JSON pointers (RFC 6901); every value that is not edited stays byte for byte.

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

/// A place in a body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pointer(Vec<String>);

/// What is done at a place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// The value becomes this JSON text; objects on the way there are made.
    Set(String),
    /// The same, but only where nothing is there.
    Default(String),
    /// What is there goes.
    Remove,
}

/// Why a body could not be edited.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PointerError {
    /// The pointer does not begin with `/`.
    #[error("a JSON pointer begins with /, such as /metadata/tenant")]
    Malformed,
    /// On the way there is neither object nor list, or a list without that place.
    #[error("there is nothing at {0:?} that could be edited")]
    Nowhere(String),
}

impl Pointer {
    /// Reads a pointer.
    ///
    /// # Errors
    /// When it does not begin with `/`: the body as a whole is not edited.
    pub fn parse(text: &str) -> Result<Self, PointerError> {
        let rest = text.strip_prefix('/').ok_or(PointerError::Malformed)?;
        let unescape = |token: &str| token.replace("~1", "/").replace("~0", "~");
        Ok(Self(rest.split('/').map(unescape).collect()))
    }

    /// `json` with the change made.
    ///
    /// # Errors
    /// When the way leads nowhere.
    pub fn apply(&self, json: &str, change: &Change) -> Result<String, PointerError> {
        edit(json, &self.0, change)
    }
}

fn edit(json: &str, path: &[String], change: &Change) -> Result<String, PointerError> {
    let Some((name, rest)) = path.split_first() else {
        return Ok(json.to_owned());
    };
    let nowhere = || PointerError::Nowhere(name.clone());
    if json.trim_start().starts_with('[') {
        let items: Vec<&RawValue> = serde_json::from_str(json).map_err(|_| nowhere())?;
        let mut items: Vec<String> = items.into_iter().map(|item| item.get().to_owned()).collect();
        edit_list(&mut items, name, rest, change)?;
        return Ok(["[", &items.join(","), "]"].concat());
    }
    let object: Object<'_> = serde_json::from_str(json).map_err(|_| nowhere())?;
    let mut fields: Vec<(String, String)> = object
        .0
        .into_iter()
        .map(|(key, value)| (key, value.get().to_owned()))
        .collect();
    let at = fields.iter().position(|(key, _)| key == name);
    match (at, rest.is_empty(), change) {
        (Some(at), true, Change::Set(value)) => fields[at].1.clone_from(value),
        (None, true, Change::Set(value) | Change::Default(value)) => {
            fields.push((name.clone(), value.clone()));
        }
        (Some(at), true, Change::Remove) => drop(fields.remove(at)),
        (Some(_), true, Change::Default(_)) | (None, _, Change::Remove) => {}
        (Some(at), false, _) => {
            let inner = edit(&fields[at].1, rest, change)?;
            fields[at].1 = inner;
        }
        (None, false, _) => fields.push((name.clone(), edit("{}", rest, change)?)),
    }
    let written = fields.iter().map(|(key, value)| {
        let mut field = Vec::with_capacity(key.len() + value.len() + 3);
        crate::json::quoted::string_into(&mut field, key);
        field.push(b':');
        field.extend_from_slice(value.as_bytes());
        String::from_utf8(field).unwrap_or_default()
    });
    Ok(["{", &written.collect::<Vec<_>>().join(","), "}"].concat())
}

fn edit_list(
    items: &mut Vec<String>,
    name: &str,
    rest: &[String],
    change: &Change,
) -> Result<(), PointerError> {
    if name == "-" && rest.is_empty() {
        if let Change::Set(value) | Change::Default(value) = change {
            items.push(value.clone());
        }
        return Ok(());
    }
    let at = name.parse().ok().filter(|at: &usize| *at < items.len());
    let at = at.ok_or_else(|| PointerError::Nowhere(name.to_owned()))?;
    match (rest.is_empty(), change) {
        (false, _) => items[at] = edit(&items[at], rest, change)?,
        (true, Change::Set(value)) => items[at].clone_from(value),
        (true, Change::Remove) => drop(items.remove(at)),
        (true, Change::Default(_)) => {}
    }
    Ok(())
}

/// An object's fields, in order, values as they stand.
struct Object<'a>(Vec<(String, &'a RawValue)>);

impl<'de> Deserialize<'de> for Object<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Collect;
        impl<'de> Visitor<'de> for Collect {
            type Value = Vec<(String, &'de RawValue)>;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a JSON object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut fields = Vec::new();
                while let Some(field) = map.next_entry()? {
                    fields.push(field);
                }
                Ok(fields)
            }
        }
        deserializer.deserialize_map(Collect).map(Object)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_set_defaulted_and_removed() {
        let body = r#"{"a":1.0,"b":{"c":[10,{"d":12345678901234567890}]},"e/f":null}"#;
        for (pointer, change, expected) in [
            (
                "/a",
                Change::Set("2".into()),
                Ok(r#"{"a":2,"b":{"c":[10,{"d":12345678901234567890}]},"e/f":null}"#),
            ),
            ("/a", Change::Default("2".into()), Ok(body)),
            (
                "/b/c/1/d",
                Change::Remove,
                Ok(r#"{"a":1.0,"b":{"c":[10,{}]},"e/f":null}"#),
            ),
            (
                "/e~1f",
                Change::Remove,
                Ok(r#"{"a":1.0,"b":{"c":[10,{"d":12345678901234567890}]}}"#),
            ),
            (
                "/b/c/-",
                Change::Set("\"x\"".into()),
                Ok(r#"{"a":1.0,"b":{"c":[10,{"d":12345678901234567890},"x"]},"e/f":null}"#),
            ),
            (
                "/n/m",
                Change::Default("true".into()),
                Ok(r#"{"a":1.0,"b":{"c":[10,{"d":12345678901234567890}]},"e/f":null,"n":{"m":true}}"#),
            ),
            ("/x/y", Change::Remove, Ok(body)),
            ("/a/b", Change::Set("1".into()), Err(())),
            ("/b/c/7", Change::Set("1".into()), Err(())),
        ] {
            let edited = Pointer::parse(pointer).unwrap().apply(body, &change);
            assert_eq!(
                edited.as_deref().map_err(|_| ()),
                expected,
                "{pointer} {change:?}"
            );
        }
        assert_eq!(Pointer::parse("a"), Err(PointerError::Malformed));
        assert_eq!(Pointer::parse(""), Err(PointerError::Malformed));
    }
}

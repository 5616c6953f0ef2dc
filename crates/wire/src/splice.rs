//! Editing the few fields the gateway owns, and leaving every other byte of a body alone.

use std::fmt;

use bytes::Bytes;
use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;
use smallvec::SmallVec;

/// Why a body could not be edited.
#[derive(Debug, thiserror::Error)]
pub enum SpliceError {
    /// It is not a JSON object.
    #[error("the body is not a JSON object: {0}")]
    NotAnObject(#[from] serde_json::Error),
}

/// Edits of an object's top-level fields.
#[derive(Debug, Default)]
pub struct Edits {
    edits: SmallVec<[Edit; 4]>,
}

#[derive(Debug)]
struct Edit {
    key: String,
    change: Change,
}

#[derive(Debug)]
enum Change {
    /// The value becomes this JSON text.
    Set(String),
    /// The value becomes an object with this field set; what else it holds stays.
    Nested(String, String),
    /// The field goes.
    Remove,
}

impl Edits {
    /// No edits.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether there is nothing to do.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.edits.is_empty()
    }

    /// Sets `key` to `json`, which must be JSON text.
    pub fn set(&mut self, key: &str, json: impl Into<String>) {
        self.edits.push(Edit {
            key: key.to_owned(),
            change: Change::Set(json.into()),
        });
    }

    /// Sets `key` to a string.
    pub fn set_string(&mut self, key: &str, value: &str) {
        let mut json = Vec::with_capacity(value.len() + 2);
        crate::json::write::string_into(&mut json, value);
        self.set(key, String::from_utf8(json).unwrap_or_default());
    }

    /// Sets `inner` inside the object at `key` to `json`, making the object if it is not there.
    pub fn set_nested(&mut self, key: &str, inner: &str, json: &str) {
        self.edits.push(Edit {
            key: key.to_owned(),
            change: Change::Nested(inner.to_owned(), json.to_owned()),
        });
    }

    /// Removes `key`.
    pub fn remove(&mut self, key: &str) {
        self.edits.push(Edit {
            key: key.to_owned(),
            change: Change::Remove,
        });
    }

    /// The body with the edits made.
    ///
    /// # Errors
    /// When the body is not a JSON object.
    pub fn apply(&self, body: &Bytes) -> Result<Bytes, SpliceError> {
        let mut body = body.clone();
        for edit in &self.edits {
            body = apply_one(&body, edit)?;
        }
        Ok(body)
    }
}

fn apply_one(body: &Bytes, edit: &Edit) -> Result<Bytes, SpliceError> {
    let outline: Outline<'_> = serde_json::from_slice(body)?;
    let base = body.as_ptr() as usize;
    let range = |text: &str| {
        let start = text.as_ptr() as usize - base;
        start..start + text.len()
    };
    let mut found = outline.0.iter().filter(|(key, _)| *key == edit.key).peekable();
    if found.peek().is_none() {
        let Some(json) = edit.change.value(None)? else {
            return Ok(body.clone());
        };
        return Ok(insert(body, &edit.key, &json, outline.0.is_empty()));
    }
    if matches!(edit.change, Change::Remove) {
        return Ok(remove(body, &edit.key, &outline));
    }
    let mut out = Vec::with_capacity(body.len() + 64);
    let mut copied = 0;
    for (_, raw) in found {
        let at = range(raw.get());
        out.extend_from_slice(&body[copied..at.start]);
        out.extend_from_slice(edit.change.value(Some(raw.get()))?.unwrap_or_default().as_bytes());
        copied = at.end;
    }
    out.extend_from_slice(&body[copied..]);
    Ok(out.into())
}

impl Change {
    /// The new JSON text, given the old one; none when there is nothing to put in.
    fn value(&self, old: Option<&str>) -> Result<Option<String>, SpliceError> {
        match self {
            Self::Set(json) => Ok(Some(json.clone())),
            Self::Remove => Ok(None),
            Self::Nested(inner, json) => {
                let object = old.filter(|old| old.starts_with('{')).unwrap_or("{}");
                let edit = Edit {
                    key: inner.clone(),
                    change: Self::Set(json.clone()),
                };
                let edited = apply_one(&Bytes::copy_from_slice(object.as_bytes()), &edit)?;
                Ok(Some(String::from_utf8_lossy(&edited).into_owned()))
            }
        }
    }
}

fn insert(body: &Bytes, key: &str, json: &str, empty: bool) -> Bytes {
    // The outline was read, so there is a closing brace.
    let end = memchr::memrchr(b'}', body).unwrap_or(body.len());
    let mut out = Vec::with_capacity(body.len() + key.len() + json.len() + 4);
    out.extend_from_slice(&body[..end]);
    if !empty {
        out.push(b',');
    }
    crate::json::write::string_into(&mut out, key);
    out.push(b':');
    out.extend_from_slice(json.as_bytes());
    out.extend_from_slice(&body[end..]);
    out.into()
}

/// Writes the object anew without `key`; its other values stay byte for byte.
fn remove(body: &Bytes, key: &str, outline: &Outline<'_>) -> Bytes {
    let mut out = Vec::with_capacity(body.len());
    out.push(b'{');
    for (name, raw) in outline.0.iter().filter(|(name, _)| name != key) {
        if out.len() > 1 {
            out.push(b',');
        }
        crate::json::write::string_into(&mut out, name);
        out.push(b':');
        out.extend_from_slice(raw.get().as_bytes());
    }
    out.push(b'}');
    out.into()
}

/// An object's keys, unescaped, and its values as they stand in the body.
struct Outline<'a>(SmallVec<[(String, &'a RawValue); 16]>);

impl<'de> Deserialize<'de> for Outline<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Collect;
        impl<'de> Visitor<'de> for Collect {
            type Value = SmallVec<[(String, &'de RawValue); 16]>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JSON object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut entries = SmallVec::new();
                while let Some(entry) = map.next_entry()? {
                    entries.push(entry);
                }
                Ok(entries)
            }
        }
        deserializer.deserialize_map(Collect).map(Outline)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Map, Value, json};

    use super::*;

    fn edited(body: &str, edits: &Edits) -> String {
        String::from_utf8(
            edits
                .apply(&Bytes::copy_from_slice(body.as_bytes()))
                .unwrap()
                .to_vec(),
        )
        .unwrap()
    }

    #[test]
    fn only_the_value_changes() {
        let mut edits = Edits::new();
        edits.set_string("model", "b");
        assert_eq!(
            edited(r#"{ "x" : 1.0, "model" :  "a" , "y":[ ] }"#, &edits),
            r#"{ "x" : 1.0, "model" :  "b" , "y":[ ] }"#
        );
        assert_eq!(
            edited(r#"{"mod\u0065l":"a","model":"c"}"#, &edits),
            r#"{"mod\u0065l":"b","model":"b"}"#
        );
        assert_eq!(edited("{}", &edits), r#"{"model":"b"}"#);
        assert_eq!(
            edited(r#"{"a":{"model":1}}"#, &edits),
            r#"{"a":{"model":1},"model":"b"}"#
        );
    }

    #[test]
    fn nested_fields_are_set_and_others_stay() {
        let mut edits = Edits::new();
        edits.set_nested("stream_options", "include_usage", "true");
        assert_eq!(
            edited(r#"{"stream_options":{"x": 1,"include_usage":false}}"#, &edits),
            r#"{"stream_options":{"x": 1,"include_usage":true}}"#
        );
        assert_eq!(
            edited(r#"{"stream_options":null}"#, &edits),
            r#"{"stream_options":{"include_usage":true}}"#
        );
        assert_eq!(
            edited(r#"{"a":1}"#, &edits),
            r#"{"a":1,"stream_options":{"include_usage":true}}"#
        );
    }

    #[test]
    fn what_is_no_object_is_refused() {
        let mut edits = Edits::new();
        edits.remove("a");
        assert!(edits.apply(&Bytes::from_static(b"[1]")).is_err());
        assert!(edits.apply(&Bytes::from_static(b"{\"a\":")).is_err());
    }

    proptest! {
        #[test]
        fn an_edit_is_the_same_before_and_after_parsing(
            keys in proptest::collection::vec("[a-c\"\\\\é]{1,2}", 0..6),
            key in "[a-c\"\\\\é]{1,2}",
            remove in any::<bool>(),
        ) {
            let mut object = Map::new();
            for (index, name) in keys.iter().enumerate() {
                object.insert(name.clone(), json!([index, {"a": "}"}]));
            }
            let body = Bytes::from(serde_json::to_vec(&object).unwrap());
            let mut edits = Edits::new();
            if remove {
                edits.remove(&key);
                object.shift_remove(&key);
            } else {
                edits.set_string(&key, "n\"w");
                object.insert(key, json!("n\"w"));
            }
            let edited: Value = serde_json::from_slice(&edits.apply(&body).unwrap()).unwrap();
            prop_assert_eq!(edited, Value::Object(object));
        }
    }
}

//! Editing the few fields the gateway owns, and leaving every other byte of a body alone.

use std::borrow::Cow;
use std::ops::Range;

use bytes::Bytes;
use smallvec::SmallVec;

use crate::json::outline::{NotJson, Outline};

/// Why a body could not be edited.
#[derive(Debug, thiserror::Error)]
pub enum SpliceError {
    /// It is not JSON.
    #[error("the body is not a JSON object: {0}")]
    NotJson(#[from] NotJson),
    /// It is not text.
    #[error("the body is not UTF-8")]
    NotText(#[from] std::str::Utf8Error),
    /// It is a list, a string or a number.
    #[error("the body is not a JSON object")]
    NotAnObject,
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
        crate::json::quoted::string_into(&mut json, value);
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

    /// The body with the edits made, all of them in one pass; of two edits of one field the later counts.
    ///
    /// # Errors
    /// When the body is not a JSON object.
    pub fn apply(&self, body: &Bytes) -> Result<Bytes, SpliceError> {
        let text = std::str::from_utf8(body)?;
        let object = TopLevel::of(text, |key| {
            let last = self.edits.iter().rfind(|edit| edit.key == key);
            last.is_some_and(|edit| matches!(edit.change, Change::Remove))
        })?;
        let mut patches: SmallVec<[Patch; 8]> = SmallVec::new();
        for (index, edit) in self.edits.iter().enumerate() {
            if self.edits[index + 1..].iter().any(|later| later.key == edit.key) {
                continue;
            }
            object.patch(edit, &mut patches)?;
        }
        patches.sort_by_key(|patch| patch.range.start);
        if patches.is_empty() {
            return Ok(body.clone());
        }
        let added: usize = patches.iter().map(|patch| patch.text.len()).sum();
        let mut out = Vec::with_capacity(body.len() + added);
        let mut copied = 0;
        for patch in &patches {
            out.extend_from_slice(&body[copied..patch.range.start]);
            out.extend_from_slice(&patch.text);
            copied = patch.range.end;
        }
        out.extend_from_slice(&body[copied..]);
        Ok(out.into())
    }
}

/// Bytes that take the place of others.
struct Patch {
    range: Range<usize>,
    text: Vec<u8>,
}

/// An object's fields, where they stand.
struct TopLevel<'a> {
    text: &'a str,
    fields: SmallVec<[Field<'a>; 16]>,
}

struct Field<'a> {
    key: Cow<'a, str>,
    /// From the key's opening quote to the value's end.
    whole: Range<usize>,
    value: Range<usize>,
    /// Whether it is still there when all edits are made.
    stays: bool,
}

impl<'a> TopLevel<'a> {
    fn of(text: &'a str, goes: impl Fn(&str) -> bool) -> Result<Self, SpliceError> {
        let outline = Outline::of(text)?;
        if !outline.text(text, Outline::ROOT).starts_with('{') {
            return Err(SpliceError::NotAnObject);
        }
        let mut fields = SmallVec::new();
        let mut nodes = outline.children(Outline::ROOT);
        while let (Some(key), Some(value)) = (nodes.next(), nodes.next()) {
            let (quoted, value) = (outline.range(key), outline.range(value));
            // A key that cannot be unescaped is none of ours.
            let key = outline.string(text, key).unwrap_or_default();
            fields.push(Field {
                stays: !goes(&key),
                key,
                whole: quoted.start..value.end,
                value,
            });
        }
        Ok(Self { text, fields })
    }

    fn patch(&self, edit: &Edit, patches: &mut SmallVec<[Patch; 8]>) -> Result<(), SpliceError> {
        let mut found = false;
        for (index, field) in self.fields.iter().enumerate() {
            if field.key != edit.key {
                continue;
            }
            found = true;
            let patch = match edit.change.value(Some(&self.text[field.value.clone()]))? {
                Some(text) => Patch {
                    range: field.value.clone(),
                    text: text.into(),
                },
                None => self.removal(index),
            };
            patches.push(patch);
        }
        if !found && let Some(json) = edit.change.value(None)? {
            patches.push(self.addition(&edit.key, &json, patches));
        }
        Ok(())
    }

    /// A field goes with the comma before it, or with the one behind it where nothing before it stays.
    fn removal(&self, index: usize) -> Patch {
        let whole = &self.fields[index].whole;
        let (before, after) = (&self.fields[..index], self.fields.get(index + 1));
        let range = match (before.last(), after) {
            (Some(last), _) if before.iter().any(|field| field.stays) => last.whole.end..whole.end,
            (_, Some(after)) => whole.start..after.whole.start,
            _ => whole.clone(),
        };
        Patch {
            range,
            text: Vec::new(),
        }
    }

    /// A new field, last of all.
    fn addition(&self, key: &str, json: &str, patches: &[Patch]) -> Patch {
        // The outline was read, so there is a closing brace.
        let end = memchr::memrchr(b'}', self.text.as_bytes()).unwrap_or(self.text.len());
        let added = patches.iter().any(|patch| patch.range == (end..end));
        let mut text = Vec::with_capacity(key.len() + json.len() + 4);
        if added || self.fields.iter().any(|field| field.stays) {
            text.push(b',');
        }
        crate::json::quoted::string_into(&mut text, key);
        text.push(b':');
        text.extend_from_slice(json.as_bytes());
        Patch {
            range: end..end,
            text,
        }
    }
}

impl Change {
    /// The new JSON text, given the old one; none when there is nothing to put in.
    fn value(&self, old: Option<&str>) -> Result<Option<String>, SpliceError> {
        match self {
            Self::Set(json) => Ok(Some(json.clone())),
            Self::Remove => Ok(None),
            Self::Nested(inner, json) => {
                let object = old.filter(|old| old.starts_with('{')).unwrap_or("{}");
                let mut edits = Edits::new();
                edits.set(inner, json.clone());
                let edited = edits.apply(&Bytes::copy_from_slice(object.as_bytes()))?;
                Ok(Some(String::from_utf8_lossy(&edited).into_owned()))
            }
        }
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
        fn edits_are_the_same_before_and_after_parsing(
            keys in proptest::collection::vec("[a-c\"\\\\é]{1,2}", 0..6),
            wanted in proptest::collection::vec(("[a-c\"\\\\é]{1,2}", any::<bool>()), 1..4),
        ) {
            let mut object = Map::new();
            for (index, name) in keys.iter().enumerate() {
                object.insert(name.clone(), json!([index, {"a": "}"}]));
            }
            let body = Bytes::from(serde_json::to_vec(&object).unwrap());
            let mut edits = Edits::new();
            for (key, remove) in wanted {
                if remove {
                    edits.remove(&key);
                    object.shift_remove(&key);
                } else {
                    edits.set_string(&key, "n\"w");
                    object.insert(key, json!("n\"w"));
                }
            }
            let edited: Value = serde_json::from_slice(&edits.apply(&body).unwrap()).unwrap();
            prop_assert_eq!(edited, Value::Object(object));
        }
    }

    #[test]
    fn a_field_that_stands_twice_goes_twice() {
        let mut edits = Edits::new();
        edits.remove("a");
        assert_eq!(edited(r#"{"a":1,"a":2}"#, &edits), "{}");
        assert_eq!(edited(r#"{"a":1, "b":3,"a":2}"#, &edits), r#"{"b":3}"#);
        edits.set("c", "1");
        assert_eq!(edited(r#"{"a":1,"a":2}"#, &edits), r#"{"c":1}"#);
    }
}

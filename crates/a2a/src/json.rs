//! JSON as it came: objects are taken apart one level at a time, and what is not looked at stays the text it was.

use std::fmt;

use indexmap::IndexMap;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;

/// Most levels that a document may be nested.
pub const MAX_DEPTH: usize = 128;

/// A JSON text as it came.
pub type Raw = Box<RawValue>;

/// What is no JSON that is read here.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JsonError {
    /// It is no JSON, or not UTF-8.
    #[error("{0}")]
    Syntax(String),
    /// It is JSON, but no object, or an object that has a field twice.
    #[error("{0}")]
    Shape(String),
}

impl From<serde_json::Error> for JsonError {
    fn from(error: serde_json::Error) -> Self {
        if error.is_data() {
            Self::Shape(error.to_string())
        } else {
            Self::Syntax(error.to_string())
        }
    }
}

/// An object whose values stay as they came, in their order. A field that comes twice is an error: the two sides of a
/// gateway might not agree on which one counts.
#[derive(Debug, Clone, Default, Serialize)]
#[serde(transparent)]
pub struct Object(IndexMap<String, Raw>);

impl<'de> Deserialize<'de> for Object {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Fields;

        impl<'de> Visitor<'de> for Fields {
            type Value = Object;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Object, A::Error> {
                let mut fields = IndexMap::new();
                while let Some((name, value)) = map.next_entry::<String, Raw>()? {
                    if fields.contains_key(&name) {
                        return Err(serde::de::Error::custom(format!(
                            "the field {name:?} comes twice"
                        )));
                    }
                    fields.insert(name, value);
                }
                Ok(Object(fields))
            }
        }

        deserializer.deserialize_map(Fields)
    }
}

impl Object {
    /// Reads a document from the network.
    ///
    /// # Errors
    /// When it is no object, or nested too deeply.
    pub fn read(bytes: &[u8]) -> Result<Self, JsonError> {
        if depth(bytes) > MAX_DEPTH {
            return Err(JsonError::Syntax(format!(
                "nested more than {MAX_DEPTH} levels deep"
            )));
        }
        let text = std::str::from_utf8(bytes).map_err(|_| JsonError::Syntax("not UTF-8".to_owned()))?;
        Ok(serde_json::from_str(text)?)
    }

    /// Reads an object out of a document that was read.
    #[must_use]
    pub fn of(raw: &RawValue) -> Option<Self> {
        serde_json::from_str(raw.get()).ok()
    }

    /// The value of a field. `null` is as good as nothing, as in ProtoJSON.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&RawValue> {
        self.0
            .get(name)
            .map(AsRef::as_ref)
            .filter(|raw| raw.get() != "null")
    }

    /// A field that is a text.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<String> {
        serde_json::from_str(self.get(name)?.get()).ok()
    }

    /// A field that is a text with something in it.
    #[must_use]
    pub fn filled(&self, name: &str) -> Option<String> {
        self.text(name).filter(|text| !text.is_empty())
    }

    /// A field that is `true` or `false`.
    #[must_use]
    pub fn flag(&self, name: &str) -> Option<bool> {
        serde_json::from_str(self.get(name)?.get()).ok()
    }

    /// A field that is a whole number.
    #[must_use]
    pub fn number(&self, name: &str) -> Option<i64> {
        serde_json::from_str(self.get(name)?.get()).ok()
    }

    /// A field that is an object.
    #[must_use]
    pub fn object(&self, name: &str) -> Option<Self> {
        Self::of(self.get(name)?)
    }

    /// A field that is a list.
    #[must_use]
    pub fn list(&self, name: &str) -> Option<Vec<Raw>> {
        serde_json::from_str(self.get(name)?.get()).ok()
    }

    /// Puts a field in, in its place where it was there.
    pub fn set<T: Serialize + ?Sized>(&mut self, name: &str, value: &T) {
        self.0.insert(name.to_owned(), raw(value));
    }

    /// Takes a field out.
    pub fn remove(&mut self, name: &str) -> Option<Raw> {
        self.0.shift_remove(name)
    }

    /// Calls a field something else.
    pub fn rename(&mut self, from: &str, to: &str) {
        if let Some(value) = self.remove(from) {
            self.0.insert(to.to_owned(), value);
        }
    }

    /// Makes something else of a field, where it is there and `change` can.
    pub fn change(&mut self, name: &str, change: impl FnOnce(&RawValue) -> Option<Raw>) {
        if let Some(changed) = self.get(name).and_then(change)
            && let Some(value) = self.0.get_mut(name)
        {
            *value = changed;
        }
    }

    /// Makes something else of a field that is an object.
    pub fn within(&mut self, name: &str, change: impl FnOnce(&mut Self)) {
        self.change(name, |value| {
            let mut object = Self::of(value)?;
            change(&mut object);
            Some(object.raw())
        });
    }

    /// Makes something else of each object of a list.
    pub fn each(&mut self, name: &str, mut change: impl FnMut(&mut Self)) {
        self.change(name, |value| {
            let list: Vec<Raw> = serde_json::from_str(value.get()).ok()?;
            let changed: Vec<Raw> = list
                .into_iter()
                .map(|one| match Self::of(&one) {
                    Some(mut object) => {
                        change(&mut object);
                        object.raw()
                    }
                    None => one,
                })
                .collect();
            Some(raw(&changed))
        });
    }

    /// Whether it has no fields.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Its fields.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &RawValue)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_ref()))
    }

    /// Its text.
    #[must_use]
    pub fn raw(&self) -> Raw {
        raw(self)
    }
}

impl<const N: usize> From<[(&str, Raw); N]> for Object {
    fn from(fields: [(&str, Raw); N]) -> Self {
        let owned = fields.into_iter().map(|(name, value)| (name.to_owned(), value));
        Self(owned.collect())
    }
}

/// A value as JSON.
#[must_use]
pub fn raw<T: Serialize + ?Sized>(value: &T) -> Raw {
    serde_json::value::to_raw_value(value).unwrap_or_default()
}

/// How deeply a text is nested, whether or not it is JSON.
#[must_use]
pub fn depth(bytes: &[u8]) -> usize {
    let (mut open, mut deepest, mut quoted, mut escaped) = (0_usize, 0, false, false);
    for byte in bytes {
        match (quoted, *byte) {
            (true, _) if escaped => escaped = false,
            (true, b'\\') => escaped = true,
            (true, b'"') => quoted = false,
            (true, _) => {}
            (false, b'"') => quoted = true,
            (false, b'{' | b'[') => {
                open += 1;
                deepest = deepest.max(open);
            }
            (false, b'}' | b']') => open = open.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_not_looked_at_stays_as_it_was() {
        let text = r#"{"a":123456789012345678901234567890,"b":{"z":1.0,"a":null},"c":"\u00e9"}"#;
        let mut object = Object::read(text.as_bytes()).unwrap();
        assert_eq!(object.raw().get(), text);
        object.within("b", |inner| inner.set("z", &2));
        assert_eq!(object.raw().get(), text.replace("1.0", "2"));
    }

    #[test]
    fn what_means_two_things_is_refused() {
        assert!(matches!(
            Object::read(br#"{"taskId":"a","taskId":"b"}"#),
            Err(JsonError::Shape(_))
        ));
        assert!(matches!(Object::read(b"[1]"), Err(JsonError::Shape(_))));
        assert!(matches!(Object::read(b"{"), Err(JsonError::Syntax(_))));
        assert!(matches!(
            Object::read("[".repeat(200).as_bytes()),
            Err(JsonError::Syntax(_))
        ));
    }

    proptest! {
        #[test]
        fn no_bytes_break_it(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            if let Ok(object) = Object::read(&bytes) {
                let text = object.raw();
                let again = Object::read(text.get().as_bytes()).unwrap().raw();
                prop_assert_eq!(again.get(), text.get());
            }
        }
    }
}

//! A JSON value kept as the text it was written in.

pub mod fields;
pub mod object;
pub mod outline;
pub(crate) mod quoted;
pub mod write;

use std::borrow::Cow;
use std::fmt;
use std::hash::{Hash, Hasher};

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;

use crate::form::Text;
use outline::Outline;

/// A JSON value, byte for byte as it came. Number spelling, key order and white space survive; what was found in a
/// body is a slice of it.
#[derive(Clone)]
pub struct Json(Text);

impl Json {
    /// Parses nothing but the outline: checks that `text` is one JSON value.
    ///
    /// # Errors
    /// When `text` is not JSON.
    pub fn parse(text: impl Into<Text>) -> Result<Self, outline::NotJson> {
        let text = text.into();
        let outline = Outline::of(&text)?;
        Ok(Self(text.slice_ref(outline.text(&text, Outline::ROOT))))
    }

    /// The same in memory of its own.
    pub(crate) fn copied(&self) -> Self {
        Self(self.as_str().to_owned().into())
    }

    /// A value that an outline has found.
    fn found(text: Text) -> Self {
        Self(text)
    }

    /// Writes `value` as JSON.
    ///
    /// # Errors
    /// When `value` cannot be written as JSON (a map with keys that are not strings, for example).
    pub fn of<T: Serialize + ?Sized>(value: &T) -> Result<Self, serde_json::Error> {
        serde_json::to_string(value).map(|text| Self(text.into()))
    }

    /// An object.
    #[must_use]
    pub fn object(write: impl FnOnce(&mut write::Object<'_>)) -> Self {
        // What the writer writes is JSON.
        let written = String::from_utf8(write::object(write)).ok();
        written
            .and_then(|text| Self::parse(text).ok())
            .unwrap_or_else(Self::null)
    }

    /// The value `null`.
    #[must_use]
    pub fn null() -> Self {
        Self(Text::from_static("null"))
    }

    /// What it says, if it is a string.
    #[must_use]
    pub fn string(&self) -> Option<Cow<'_, str>> {
        let is_string = self.0.starts_with('"');
        quoted::unquoted(&self.0).ok().filter(|_| is_string)
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Reads the value as a `T`.
    ///
    /// # Errors
    /// When the value has another shape.
    pub fn read<'a, T: Deserialize<'a>>(&'a self) -> Result<T, serde_json::Error> {
        serde_json::from_str(&self.0)
    }
}

impl From<&RawValue> for Json {
    fn from(raw: &RawValue) -> Self {
        Self(raw.get().into())
    }
}

impl Hash for Json {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_str().hash(state);
    }
}

impl PartialEq for Json {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Eq for Json {}

impl fmt::Debug for Json {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for Json {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let raw: &RawValue = serde_json::from_str(&self.0).map_err(serde::ser::Error::custom)?;
        raw.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = Box::<RawValue>::deserialize(deserializer)?;
        Ok(Self(String::from(Box::<str>::from(raw)).into()))
    }
}

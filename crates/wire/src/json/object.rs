//! Text that should be a JSON object, and often is.

use std::borrow::Cow;
use std::collections::BTreeMap;

use super::Json;
use super::outline::Outline;
use super::write::object;

/// The fields of an object, by name; none when it is something else.
#[must_use]
pub fn fields_of(object: &Json) -> BTreeMap<String, Json> {
    object.read().unwrap_or_default()
}

/// Whether `text` is a JSON object.
#[must_use]
pub fn is_object(text: &str) -> bool {
    let text = text.trim();
    text.starts_with('{') && Outline::of(text).is_ok()
}

/// The object that `text` is; an empty one for no text; else an object that holds the text under `key`.
#[must_use]
pub fn object_or<'t>(text: &'t str, key: &str) -> Cow<'t, str> {
    let trimmed = text.trim();
    if trimmed.is_empty() {
        return Cow::Borrowed("{}");
    }
    if is_object(trimmed) {
        return Cow::Borrowed(trimmed);
    }
    let wrapped = object(|object| object.string(key, text));
    Cow::Owned(String::from_utf8(wrapped).unwrap_or_default())
}

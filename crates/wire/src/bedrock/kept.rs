//! What the form has no place for, level by level: Converse nests objects that the form has flat, and what is left of
//! an inner object is kept under that object's own name.

use crate::form::{Extra, Text};
use crate::json::Json;
use crate::json::fields::{Fields, parse};
use crate::json::write::{Object, object};

/// Keeps what has not been taken of the object `name`. An object of which nothing was taken is kept, too: it was there.
pub fn keep(extra: &mut Extra, name: &'static str, fields: Fields<'_>, taken: bool) {
    keep_extra(extra, name, &fields.rest(), taken);
}

/// The same for fields that were collected already.
pub fn keep_extra(extra: &mut Extra, name: &'static str, left: &Extra, taken: bool) {
    if left.is_empty() && taken {
        return;
    }
    let json = object(|object| object.extra(left));
    if let Ok(json) = Json::parse(String::from_utf8(json).unwrap_or_default()) {
        extra.set(name, json);
    }
}

/// What was kept of the object `name`.
#[must_use]
pub fn of(extra: &Extra, name: &str) -> Extra {
    extra.get(name).map(fields_of).unwrap_or_default()
}

/// The fields of a JSON object; none if it is none.
#[must_use]
pub fn fields_of(json: &Json) -> Extra {
    let text = Text::from(json.as_str());
    let read = parse(&text).and_then(|value| Ok(value.fields()?.rest()));
    read.unwrap_or_default()
}

/// Writes what was kept, but for the objects in `inner`, which are written where they belong.
pub fn write(object: &mut Object<'_>, extra: &Extra, inner: &[&str]) {
    for (name, json) in &extra.0 {
        if !inner.contains(&name.as_ref()) {
            object.raw(name, json.as_str());
        }
    }
}

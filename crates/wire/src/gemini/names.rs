//! Google's two spellings of a field, and its liberties with numbers and lists.

use crate::form::Text;
use crate::format::DecodeError;
use crate::json::fields::{Fields, Value};

/// The fields of an object; those of `known` that came in snake case are there under their camel-case names.
pub(super) fn fields<'v>(value: &'v Value<'_>, known: &[&'static str]) -> Result<Fields<'v>, DecodeError> {
    let mut fields = value.fields()?;
    fields.rename(|key| {
        let is_snake = key.as_bytes().contains(&b'_');
        let mut names = known.iter().copied().filter(|_| is_snake);
        names.find(|name| is_snake_of(key, name))
    });
    Ok(fields)
}

/// Whether `key` is the camel-case `name` in snake case.
fn is_snake_of(key: &str, name: &str) -> bool {
    let mut key = key.bytes();
    let same = name.bytes().all(|letter| {
        if letter.is_ascii_uppercase() {
            key.next() == Some(b'_') && key.next() == Some(letter.to_ascii_lowercase())
        } else {
            key.next() == Some(letter)
        }
    });
    same && key.next().is_none()
}

/// A list, or one item that stands for a list of one.
pub(super) fn list<T>(
    value: &Value<'_>,
    mut read: impl FnMut(Value<'_>) -> Result<T, DecodeError>,
) -> Result<Vec<T>, DecodeError> {
    if value.is_list() {
        value.list(read)
    } else {
        Ok(vec![read(value.clone())?])
    }
}

/// A whole number, also as `40.0` or `"40"`.
pub(super) fn count(value: Value<'_>) -> Result<u64, DecodeError> {
    whole(&value)
        .and_then(|text| text.parse().ok())
        .map_or_else(|| value.count(), Ok)
}

/// As [`count`], also below zero.
pub(super) fn integer(value: Value<'_>) -> Result<i64, DecodeError> {
    whole(&value)
        .and_then(|text| text.parse().ok())
        .map_or_else(|| value.integer(), Ok)
}

/// The digits of a whole number in one of its other spellings.
fn whole<'v>(value: &Value<'v>) -> Option<&'v str> {
    let text = value.text();
    if let Some(quoted) = text.strip_prefix('"') {
        return quoted.strip_suffix('"');
    }
    let (digits, fraction) = text.split_once('.')?;
    fraction.bytes().all(|digit| digit == b'0').then_some(digits)
}

/// A string.
pub(super) fn text(value: Value<'_>) -> Result<Text, DecodeError> {
    value.string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::fields::parse;

    #[test]
    fn both_spellings_are_one_field() {
        for (key, name, same) in [
            ("max_output_tokens", "maxOutputTokens", true),
            ("maxOutputTokens", "maxOutputTokens", false),
            ("max_output_token", "maxOutputTokens", false),
            ("max_output_tokens_", "maxOutputTokens", false),
            ("top_k", "topK", true),
        ] {
            assert_eq!(is_snake_of(key, name), same, "{key}");
        }
    }

    #[test]
    fn numbers_in_all_spellings() {
        for (text, number) in [
            ("40", Some(40)),
            ("40.0", Some(40)),
            ("\"40\"", Some(40)),
            ("40.5", None),
            ("-1", None),
        ] {
            let body = Text::from(text.to_owned());
            assert_eq!(count(parse(&body).unwrap()).ok(), number, "{text}");
        }
    }
}

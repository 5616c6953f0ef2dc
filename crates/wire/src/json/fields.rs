//! Reading JSON objects field by field: known fields are taken out, what is left is kept as it came.

use std::borrow::Cow;
use std::fmt;
use std::rc::Rc;

use smallvec::SmallVec;

use super::Json;
use super::outline::Outline;
use crate::form::{Extra, Text};
use crate::format::DecodeError;

/// A JSON value inside a body, where it is, and the body it is part of.
#[derive(Clone)]
pub struct Value<'a> {
    body: &'a Text,
    outline: Rc<Outline>,
    node: u32,
    path: Path<'a>,
}

/// Where a value is, told only when something is wrong with it.
#[derive(Clone, Copy)]
pub enum Path<'a> {
    /// The body itself.
    Root,
    /// A field of the object at the path before.
    Field(&'a Path<'a>, &'a str),
    /// An item of the list at the path before.
    Item(&'a Path<'a>, usize),
}

impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Root => Ok(()),
            Self::Field(Self::Root, name) => f.write_str(name),
            Self::Field(before, name) => write!(f, "{before}.{name}"),
            Self::Item(before, index) => write!(f, "{before}[{index}]"),
        }
    }
}

/// Reads a body as one JSON value.
///
/// # Errors
/// When it is not UTF-8 or not JSON.
pub fn parse(body: &Text) -> Result<Value<'_>, DecodeError> {
    let outline =
        Outline::of(body).map_err(|error| DecodeError::plain(format!("not valid JSON: {error}")))?;
    Ok(Value {
        body,
        outline: Rc::new(outline),
        node: Outline::ROOT,
        path: Path::Root,
    })
}

impl<'a> Value<'a> {
    /// The value's text.
    #[must_use]
    pub fn text(&self) -> &'a str {
        self.outline.text(self.body, self.node)
    }

    /// Whether it is `null`.
    #[must_use]
    pub fn is_null(&self) -> bool {
        self.text() == "null"
    }

    /// Whether it is a string.
    #[must_use]
    pub fn is_string(&self) -> bool {
        self.text().starts_with('"')
    }

    /// Whether it is an object.
    #[must_use]
    pub fn is_object(&self) -> bool {
        self.text().starts_with('{')
    }

    /// Whether it is a list.
    #[must_use]
    pub fn is_list(&self) -> bool {
        self.text().starts_with('[')
    }

    /// The value as it came.
    #[must_use]
    pub fn json(&self) -> Json {
        json_at(self.body, &self.outline, self.node)
    }

    /// The value's text, to be kept: a slice of the body.
    #[must_use]
    pub fn kept_text(&self) -> Text {
        self.body.slice_ref(self.text())
    }

    /// An error at this value.
    #[must_use]
    pub fn error(&self, message: impl Into<String>) -> DecodeError {
        let path = self.path.to_string();
        DecodeError {
            message: message.into(),
            param: (!path.is_empty()).then_some(path),
        }
    }

    fn expected(&self, what: &str) -> DecodeError {
        let found = match self.text().as_bytes().first() {
            Some(b'"') => "a string",
            Some(b'{') => "an object",
            Some(b'[') => "a list",
            Some(b't' | b'f') => "a boolean",
            Some(b'n') => "null",
            _ => "a number",
        };
        let path = self.path.to_string();
        let at = if path.is_empty() {
            "the body".to_owned()
        } else {
            path
        };
        self.error(format!("{at}: expected {what}, found {found}"))
    }

    /// The value as a string; a slice of the body unless it holds escapes.
    pub fn string(&self) -> Result<Text, DecodeError> {
        Ok(match self.said()? {
            Cow::Borrowed(text) => self.body.slice_ref(text),
            Cow::Owned(text) => text.into(),
        })
    }

    /// The same for a string that is looked at and not kept.
    pub fn said(&self) -> Result<Cow<'a, str>, DecodeError> {
        if !self.is_string() {
            return Err(self.expected("a string"));
        }
        let said = self.outline.string(self.body, self.node);
        said.map_err(|error| self.error(error.to_string()))
    }

    /// The value as a whole number that is not negative.
    pub fn count(&self) -> Result<u64, DecodeError> {
        self.text().parse().map_err(|_| self.expected("a whole number"))
    }

    /// The value as a whole number.
    pub fn integer(&self) -> Result<i64, DecodeError> {
        serde_json::from_str(self.text()).map_err(|_| self.expected("a whole number"))
    }

    /// The value as a number.
    pub fn number(&self) -> Result<serde_json::Number, DecodeError> {
        serde_json::from_str(self.text()).map_err(|_| self.expected("a number"))
    }

    /// The value as a boolean.
    pub fn boolean(&self) -> Result<bool, DecodeError> {
        match self.text() {
            "true" => Ok(true),
            "false" => Ok(false),
            _ => Err(self.expected("a boolean")),
        }
    }

    /// Calls `read` for each item of a list.
    pub fn list<T>(
        &self,
        mut read: impl FnMut(Value<'_>) -> Result<T, DecodeError>,
    ) -> Result<Vec<T>, DecodeError> {
        if !self.is_list() {
            return Err(self.expected("a list"));
        }
        let nodes = self.outline.children(self.node);
        let mut items = Vec::with_capacity(nodes.clone().count());
        for (index, node) in nodes.enumerate() {
            items.push(read(Value {
                body: self.body,
                outline: Rc::clone(&self.outline),
                node,
                path: Path::Item(&self.path, index),
            })?);
        }
        Ok(items)
    }

    /// The fields of an object.
    pub fn fields(&self) -> Result<Fields<'_>, DecodeError> {
        if !self.is_object() {
            return Err(self.expected("an object"));
        }
        let mut entries = SmallVec::new();
        let mut nodes = self.outline.children(self.node);
        while let (Some(key), Some(node)) = (nodes.next(), nodes.next()) {
            let key = self.outline.string(self.body, key);
            let key = key.map_err(|error| self.error(error.to_string()))?;
            entries.push((key, node));
        }
        Ok(Fields {
            body: self.body,
            outline: Rc::clone(&self.outline),
            entries,
            path: &self.path,
        })
    }
}

/// The fields of an object that have not been taken out yet.
pub struct Fields<'a> {
    body: &'a Text,
    outline: Rc<Outline>,
    entries: SmallVec<[(Cow<'a, str>, u32); 8]>,
    path: &'a Path<'a>,
}

fn json_at(body: &Text, outline: &Outline, node: u32) -> Json {
    Json::found(body.slice_ref(outline.text(body, node)))
}

impl<'a> Fields<'a> {
    /// Takes a field out and reads it; `null` is the same as absent.
    pub fn take<T>(
        &mut self,
        name: &str,
        read: impl FnOnce(Value<'_>) -> Result<T, DecodeError>,
    ) -> Result<Option<T>, DecodeError> {
        match self.take_nullable(name, read)? {
            Some(value) => Ok(value),
            None => Ok(None),
        }
    }

    /// Takes a field out and reads it: none when absent, some none when `null`.
    pub fn take_nullable<T>(
        &mut self,
        name: &str,
        read: impl FnOnce(Value<'_>) -> Result<T, DecodeError>,
    ) -> Result<Option<Option<T>>, DecodeError> {
        // Of several fields of one name the last counts, as everywhere.
        let Some(at) = self.entries.iter().rposition(|(key, _)| key == name) else {
            return Ok(None);
        };
        let (_, node) = self.entries.remove(at);
        if self.entries[..at].iter().any(|(key, _)| key == name) {
            self.entries.retain(|(key, _)| key != name);
        }
        let value = Value {
            body: self.body,
            outline: Rc::clone(&self.outline),
            node,
            path: Path::Field(self.path, name),
        };
        if value.is_null() {
            return Ok(Some(None));
        }
        read(value).map(|value| Some(Some(value)))
    }

    /// Takes a field that must be there.
    pub fn need<T>(
        &mut self,
        name: &str,
        read: impl FnOnce(Value<'_>) -> Result<T, DecodeError>,
    ) -> Result<T, DecodeError> {
        self.take(name, read)?.ok_or_else(|| {
            let path = Path::Field(self.path, name).to_string();
            DecodeError {
                message: format!("{path} is missing"),
                param: Some(path),
            }
        })
    }

    /// Gives fields that came under another spelling the names by which they are taken.
    pub fn rename(&mut self, name_of: impl Fn(&str) -> Option<&'static str>) {
        for (key, _) in &mut self.entries {
            if let Some(name) = name_of(key) {
                *key = Cow::Owned(name.to_owned());
            }
        }
    }

    /// Whether a field is there, not counting `null`.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.entries
            .iter()
            .any(|(key, node)| key == name && self.outline.text(self.body, *node) != "null")
    }

    /// The text of a field, without taking it out.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<&'a str> {
        let field = self.entries.iter().rfind(|(key, _)| key == name);
        field.map(|(_, node)| self.outline.text(self.body, *node))
    }

    /// A field as it came, without taking it out.
    #[must_use]
    pub fn peek(&self, name: &str) -> Option<Json> {
        self.entries
            .iter()
            .rfind(|(key, _)| key == name)
            .map(|(_, node)| json_at(self.body, &self.outline, *node))
    }

    /// What has not been taken.
    #[must_use]
    pub fn rest(self) -> Extra {
        let (body, outline) = (self.body, self.outline);
        let keep = |(key, node): (Cow<'a, str>, u32)| {
            let key = match key {
                Cow::Borrowed(key) => body.slice_ref(key),
                Cow::Owned(key) => key.into(),
            };
            (key, json_at(body, &outline, node))
        };
        Extra(self.entries.into_iter().map(keep).collect())
    }

    /// An error at this object.
    #[must_use]
    pub fn error(&self, message: impl Into<String>) -> DecodeError {
        let path = self.path.to_string();
        DecodeError {
            message: message.into(),
            param: (!path.is_empty()).then_some(path),
        }
    }
}

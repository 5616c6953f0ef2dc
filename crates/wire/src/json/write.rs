//! Writing JSON objects and lists straight into bytes.

use super::quoted::string_into;
use crate::form::Extra;
use crate::json::Json;

/// An object being written.
pub struct Object<'a> {
    out: &'a mut Vec<u8>,
    first: bool,
}

/// A list being written.
pub struct List<'a> {
    out: &'a mut Vec<u8>,
    first: bool,
}

/// Writes an object.
#[must_use]
pub fn object(write: impl FnOnce(&mut Object<'_>)) -> Vec<u8> {
    let mut out = Vec::with_capacity(512);
    object_into(&mut out, write);
    out
}

/// Writes the object that a whole body is, unless something in it is refused.
///
/// # Errors
/// What `write` refuses.
pub fn body<E>(write: impl FnOnce(&mut Object<'_>) -> Result<(), E>) -> Result<Vec<u8>, E> {
    // Conversations are long: growing from little would copy what is written again and again.
    let mut out = Vec::with_capacity(4_096);
    let mut refused = None;
    object_into(&mut out, |object| refused = write(object).err());
    refused.map_or(Ok(out), Err)
}

/// Writes an object to the end of `out`.
pub fn object_into(out: &mut Vec<u8>, write: impl FnOnce(&mut Object<'_>)) {
    out.push(b'{');
    write(&mut Object { out, first: true });
    out.push(b'}');
}

impl Object<'_> {
    fn key(&mut self, name: &str) {
        if !std::mem::replace(&mut self.first, false) {
            self.out.push(b',');
        }
        string_into(self.out, name);
        self.out.push(b':');
    }

    /// A string.
    pub fn string(&mut self, name: &str, value: &str) {
        self.key(name);
        string_into(self.out, value);
    }

    /// A string, if there is one.
    pub fn maybe_string(&mut self, name: &str, value: Option<&str>) {
        if let Some(value) = value {
            self.string(name, value);
        }
    }

    /// Anything that is JSON already: a number, a boolean, `null`, a whole value.
    pub fn raw(&mut self, name: &str, value: &str) {
        self.key(name);
        self.out.extend_from_slice(value.as_bytes());
    }

    /// A value kept as it came, if there is one.
    pub fn maybe_json(&mut self, name: &str, value: Option<&Json>) {
        if let Some(value) = value {
            self.raw(name, value.as_str());
        }
    }

    /// A whole number.
    pub fn count(&mut self, name: &str, value: u64) {
        self.raw(name, itoa::Buffer::new().format(value));
    }

    /// A whole number, if there is one.
    pub fn maybe_count(&mut self, name: &str, value: Option<u64>) {
        if let Some(value) = value {
            self.count(name, value);
        }
    }

    /// A number, if there is one.
    pub fn maybe_number(&mut self, name: &str, value: Option<&serde_json::Number>) {
        if let Some(value) = value {
            self.raw(name, &value.to_string());
        }
    }

    /// A boolean.
    pub fn boolean(&mut self, name: &str, value: bool) {
        self.raw(name, if value { "true" } else { "false" });
    }

    /// A boolean, if there is one.
    pub fn maybe_boolean(&mut self, name: &str, value: Option<bool>) {
        if let Some(value) = value {
            self.boolean(name, value);
        }
    }

    /// An object.
    pub fn object(&mut self, name: &str, write: impl FnOnce(&mut Object<'_>)) {
        self.key(name);
        object_into(self.out, write);
    }

    /// A list.
    pub fn list(&mut self, name: &str, write: impl FnOnce(&mut List<'_>)) {
        self.key(name);
        self.out.push(b'[');
        write(&mut List {
            out: self.out,
            first: true,
        });
        self.out.push(b']');
    }

    /// Fields kept as they came.
    pub fn extra(&mut self, extra: &Extra) {
        for (name, value) in extra.fields() {
            self.raw(name, value.as_str());
        }
    }
}

impl List<'_> {
    fn separate(&mut self) {
        if !std::mem::replace(&mut self.first, false) {
            self.out.push(b',');
        }
    }

    /// A string.
    pub fn string(&mut self, value: &str) {
        self.separate();
        string_into(self.out, value);
    }

    /// Anything that is JSON already.
    pub fn raw(&mut self, value: &str) {
        self.separate();
        self.out.extend_from_slice(value.as_bytes());
    }

    /// An object.
    pub fn object(&mut self, write: impl FnOnce(&mut Object<'_>)) {
        self.separate();
        object_into(self.out, write);
    }
}

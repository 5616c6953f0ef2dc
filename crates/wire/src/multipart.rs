//! Forms of several parts (RFC 7578), read where they stand: files are never copied, and of a form only the field that
//! the gateway owns is written anew.

use std::ops::Range;

use bytes::Bytes;
use memchr::memmem;

use crate::format::DecodeError;

/// Most parts of a form; more is an attack.
const MAX_PARTS: usize = 256;

/// A form, and where its parts are.
#[derive(Debug)]
pub struct Form {
    body: Bytes,
    boundary: String,
    parts: Vec<Part>,
}

#[derive(Debug)]
struct Part {
    name: String,
    is_file: bool,
    data: Range<usize>,
}

impl Form {
    /// Reads a body of this `Content-Type`.
    ///
    /// # Errors
    /// When it is not a form of several parts.
    pub fn read(content_type: &str, body: &Bytes) -> Result<Self, DecodeError> {
        let boundary = boundary(content_type).ok_or_else(|| {
            DecodeError::plain("the Content-Type must be multipart/form-data, with a boundary")
        })?;
        let broken = || DecodeError::plain("the body is not a form with the boundary of its Content-Type");
        let opening = format!("--{boundary}");
        let closing = format!("\r\n--{boundary}");
        let finder = memmem::Finder::new(&closing);
        let mut at = if body.starts_with(opening.as_bytes()) {
            opening.len()
        } else {
            finder.find(body).ok_or_else(broken)? + closing.len()
        };
        let mut parts = Vec::new();
        loop {
            let rest = body.get(at..).ok_or_else(broken)?;
            if rest.starts_with(b"--") {
                break;
            }
            if parts.len() == MAX_PARTS {
                return Err(DecodeError::plain(format!(
                    "the form has more than {MAX_PARTS} parts"
                )));
            }
            // White space may stand behind a boundary.
            let head = memmem::find(rest, b"\r\n").ok_or_else(broken)?;
            let head_end = memmem::find(&rest[head..], b"\r\n\r\n").ok_or_else(broken)? + head;
            let data = at + head_end + 4;
            let end = data
                + finder
                    .find(body.get(data..).ok_or_else(broken)?)
                    .ok_or_else(broken)?;
            let text = String::from_utf8_lossy(&rest[head..head_end]);
            parts.push(Part {
                name: disposition(&text, "name").ok_or_else(broken)?,
                is_file: disposition(&text, "filename").is_some(),
                data: data..end,
            });
            at = end + closing.len();
        }
        Ok(Self {
            body: body.clone(),
            boundary: boundary.to_owned(),
            parts,
        })
    }

    /// The text of a field.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<&str> {
        let part = self
            .parts
            .iter()
            .find(|part| part.name == name && !part.is_file)?;
        std::str::from_utf8(&self.body[part.data.clone()]).ok()
    }

    /// Refuses a field that is given more than once.
    ///
    /// # Errors
    /// When it is.
    pub fn once(&self, name: &str) -> Result<(), DecodeError> {
        if self.parts.iter().filter(|part| part.name == name).count() < 2 {
            return Ok(());
        }
        Err(DecodeError {
            param: Some(name.to_owned()),
            ..DecodeError::plain(format!("{name} is given more than once"))
        })
    }

    /// The files of a field, `name` or `name[]`.
    pub fn files<'a>(&'a self, name: &'a str) -> impl Iterator<Item = Bytes> + 'a {
        let named = move |part: &&Part| part.is_file && part.name.trim_end_matches("[]") == name;
        self.parts
            .iter()
            .filter(named)
            .map(|part| self.body.slice(part.data.clone()))
    }

    /// The body with this field changed, or put before all others where it is not there.
    #[must_use]
    pub fn with(&self, name: &str, value: &str) -> Bytes {
        let found = self.parts.iter().find(|part| part.name == name && !part.is_file);
        let Some(part) = found else {
            let added = format!(
                "--{}\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n",
                self.boundary
            );
            return [added.as_bytes(), &self.body].concat().into();
        };
        let (before, after) = (&self.body[..part.data.start], &self.body[part.data.end..]);
        [before, value.as_bytes(), after].concat().into()
    }
}

/// The boundary that a content type names.
fn boundary(content_type: &str) -> Option<&str> {
    let mut fields = content_type.split(';').map(str::trim);
    if !fields.next()?.eq_ignore_ascii_case("multipart/form-data") {
        return None;
    }
    let value = fields.find_map(|field| {
        let (name, value) = field.split_once('=')?;
        name.trim().eq_ignore_ascii_case("boundary").then(|| value.trim())
    })?;
    let value = value.trim_matches('"');
    (!value.is_empty() && value.len() <= 200).then_some(value)
}

/// A parameter of a part's `Content-Disposition`.
fn disposition(head: &str, name: &str) -> Option<String> {
    let line = head.split("\r\n").find(|line| {
        line.get(..20)
            .is_some_and(|start| start.eq_ignore_ascii_case("content-disposition:"))
    })?;
    line.split(';').find_map(|field| {
        let (key, value) = field.trim().split_once('=')?;
        key.eq_ignore_ascii_case(name)
            .then(|| value.trim_matches('"').to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const KIND: &str = "multipart/form-data; boundary=b";
    const BODY: &[u8] = b"--b\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\nmine\r\n--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.wav\"\r\nContent-Type: audio/wav\r\n\r\n\x00\xff\r\n--x\r\n--b--\r\n";

    #[test]
    fn only_the_owned_field_changes() {
        let form = Form::read(KIND, &Bytes::from_static(BODY)).unwrap();
        assert_eq!(form.text("model"), Some("mine"));
        assert_eq!(form.text("file"), None);
        let files: Vec<Bytes> = form.files("file").collect();
        assert_eq!(files, [Bytes::from_static(b"\x00\xff\r\n--x")]);
        let changed = form.with("model", "whisper-1");
        assert_eq!(changed.len(), BODY.len() + 5);
        let again = Form::read(KIND, &changed).unwrap();
        assert_eq!(again.text("model"), Some("whisper-1"));
        assert_eq!(again.files("file").next().unwrap(), files[0]);
    }

    #[test]
    fn a_field_that_is_not_there_is_added() {
        let form = Form::read(KIND, &Bytes::from_static(BODY)).unwrap();
        let changed = form.with("language", "en");
        let again = Form::read("Multipart/Form-Data; charset=x; boundary=\"b\"", &changed).unwrap();
        assert_eq!(
            (again.text("language"), again.text("model")),
            (Some("en"), Some("mine"))
        );
    }

    #[test]
    fn what_is_given_twice_can_be_refused() {
        let twice = [
            &b"--b\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\nother\r\n"[..],
            BODY,
        ]
        .concat();
        let form = Form::read(KIND, &twice.into()).unwrap();
        assert_eq!(form.once("model").unwrap_err().param.as_deref(), Some("model"));
        assert!(form.once("file").is_ok() && form.once("prompt").is_ok());
    }

    #[test]
    fn what_is_no_form_is_refused() {
        for (kind, body) in [
            ("application/json", BODY),
            ("multipart/form-data", BODY),
            ("multipart/form-data; boundary=c", BODY),
            (KIND, &BODY[..60]),
            (KIND, b"--b\r\n"),
            (KIND, b""),
        ] {
            assert!(Form::read(kind, &Bytes::from_static(body)).is_err(), "{kind}");
        }
        let many = b"--b\r\nContent-Disposition: form-data; name=a\r\n\r\n\r\n".repeat(300);
        assert!(Form::read(KIND, &many.into()).is_err());
    }
}

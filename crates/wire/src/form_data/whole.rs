//! Forms that are there as a whole, read where they stand: files are never copied, and of a form only the field that
//! the gateway owns is written anew.

use std::ops::Range;

use bytes::Bytes;
use memchr::memmem;

use super::{FormDataError, HEAD_LIMIT, PartHead, boundary, delimiter};

/// Most parts of a form; more is an attack.
pub(super) const MAX_PARTS: usize = 256;

/// A form, and where its parts are.
#[derive(Debug)]
pub struct Form {
    body: Bytes,
    boundary: String,
    /// Where the first boundary is: what stands before belongs to no part.
    opening: usize,
    parts: Vec<Part>,
}

#[derive(Debug)]
struct Part {
    head: PartHead,
    data: Range<usize>,
}

impl Form {
    /// Reads a body of this `Content-Type`.
    ///
    /// # Errors
    /// When it is not a form of several parts, or a damaged one.
    pub fn read(content_type: &str, body: &Bytes) -> Result<Self, FormDataError> {
        let boundary = boundary(content_type)?;
        let delimiter = delimiter(&boundary);
        let finder = memmem::Finder::new(&delimiter);
        let next = |from: usize| {
            let found = body.get(from..).and_then(|rest| finder.find(rest));
            found.map(|at| from + at).ok_or(FormDataError::Cut)
        };
        // The first boundary needs no line break before it.
        let first = &delimiter[2..];
        let mut at = if body.starts_with(first) {
            first.len()
        } else {
            next(0)? + delimiter.len()
        };
        let opening = at - first.len();
        let mut parts = Vec::new();
        loop {
            match body.get(at..at + 2) {
                Some(b"--") => break,
                Some(b"\r\n") if parts.len() < MAX_PARTS => {}
                Some(b"\r\n") => return Err(FormDataError::Parts),
                Some(_) => return Err(FormDataError::Boundary),
                None => return Err(FormDataError::Cut),
            }
            let end_of_head = memmem::find(&body[at..], b"\r\n\r\n");
            let head = end_of_head
                .filter(|end| *end <= HEAD_LIMIT)
                .ok_or(FormDataError::Head)?;
            let start = at + head + 4;
            let end = next(start)?;
            parts.push(Part {
                head: PartHead::read(&body[at..start])?,
                data: start..end,
            });
            at = end + delimiter.len();
        }
        Ok(Self {
            body: body.clone(),
            boundary,
            opening,
            parts,
        })
    }

    /// Its parts, in their order.
    pub fn parts(&self) -> impl Iterator<Item = (&PartHead, Bytes)> {
        self.parts
            .iter()
            .map(|part| (&part.head, self.body.slice(part.data.clone())))
    }

    /// The text of a field.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<&str> {
        let part = self.field(name)?;
        std::str::from_utf8(&self.body[part.data.clone()]).ok()
    }

    fn field(&self, name: &str) -> Option<&Part> {
        let is_it = |part: &&Part| part.head.name == name && part.head.filename.is_none();
        self.parts.iter().find(is_it)
    }

    /// Whether a field is given more than once.
    #[must_use]
    pub fn repeats(&self, name: &str) -> bool {
        let named = self.parts.iter().filter(|part| part.head.name == name);
        named.count() > 1
    }

    /// The files of a field, `name` or `name[]`.
    pub fn files<'a>(&'a self, name: &'a str) -> impl Iterator<Item = Bytes> + 'a {
        let files = self.parts().filter(|(head, _)| head.filename.is_some());
        files
            .filter(move |(head, _)| head.name.trim_end_matches("[]") == name)
            .map(|(_, bytes)| bytes)
    }

    /// The body with this field changed, or put before all others where it is not there.
    #[must_use]
    pub fn with(&self, name: &str, value: &str) -> Bytes {
        let Some(part) = self.field(name) else {
            let added = format!(
                "--{}\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n",
                self.boundary
            );
            return [added.as_bytes(), &self.body[self.opening..]].concat().into();
        };
        let (before, after) = (&self.body[..part.data.start], &self.body[part.data.end..]);
        [before, value.as_bytes(), after].concat().into()
    }
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
        // What stands before the first boundary must not become part of it.
        let body = [b"before\r\n", BODY].concat();
        let form = Form::read(KIND, &body.into()).unwrap();
        let changed = form.with("language", "en");
        let again = Form::read("Multipart/Form-Data; charset=x; boundary=\"b\"", &changed).unwrap();
        assert_eq!(
            (again.text("language"), again.text("model")),
            (Some("en"), Some("mine"))
        );
    }

    #[test]
    fn what_is_given_twice_is_known() {
        let twice = [
            &b"--b\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\nother\r\n"[..],
            BODY,
        ]
        .concat();
        let form = Form::read(KIND, &twice.into()).unwrap();
        assert!(form.repeats("model") && !form.repeats("file") && !form.repeats("prompt"));
    }

    #[test]
    fn what_is_no_form_is_refused() {
        use FormDataError::{Boundary, Cut, Head, NotAForm, Parts};
        for (kind, body, error) in [
            ("application/json", BODY, NotAForm),
            ("multipart/form-data", BODY, NotAForm),
            ("multipart/form-data; boundary=c", BODY, Cut),
            (KIND, &BODY[..60], Cut),
            (KIND, b"--b\r\n", Head),
            (KIND, b"--bxy", Boundary),
            (KIND, b"", Cut),
        ] {
            let read = Form::read(kind, &Bytes::from_static(body));
            assert_eq!(read.err(), Some(error), "{kind} {body:?}");
        }
        let many = b"--b\r\nContent-Disposition: form-data; name=a\r\n\r\n\r\n".repeat(MAX_PARTS + 1);
        assert_eq!(Form::read(KIND, &many.into()).err(), Some(Parts));
    }
}

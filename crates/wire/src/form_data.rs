//! Forms of several parts (`multipart/form-data`), read piece by piece as their bytes come, or [as a whole](Form).

mod whole;

use bytes::{Bytes, BytesMut};
use memchr::memmem;

pub use whole::Form;

/// Most bytes of a part's head.
const HEAD_LIMIT: usize = 16 * 1024;
/// Longest boundary (RFC 2046).
const BOUNDARY_LIMIT: usize = 70;

/// What is wrong with a form.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FormDataError {
    /// It is not such a form at all.
    #[error("the body must be multipart/form-data with a boundary of 1 to 70 letters")]
    NotAForm,
    /// A part's head makes no sense.
    #[error("a part of the form has a head without a name, or one larger than 16 KiB")]
    Head,
    /// After a boundary stands something else than a part or the end.
    #[error("a boundary of the form is damaged")]
    Boundary,
    /// It ends before its last boundary.
    #[error("the form breaks off before its last boundary, or has another one than the Content-Type says")]
    Cut,
    /// It has too many parts.
    #[error("the form has more than {} parts", whole::MAX_PARTS)]
    Parts,
}

/// The next thing in a form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece {
    /// A part begins.
    Part(PartHead),
    /// Bytes of the part that began last.
    Data(Bytes),
    /// The form is over.
    End,
    /// More bytes are needed to say.
    More,
}

/// The head of a part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartHead {
    /// The name of the field.
    pub name: String,
    /// The name of the file, if it is one.
    pub filename: Option<String>,
}

/// A form on its way in.
#[derive(Debug)]
pub struct FormData {
    /// What ends a part: a line break, two hyphens, the boundary.
    delimiter: Vec<u8>,
    buffer: BytesMut,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Preamble,
    AfterBoundary,
    Head,
    Data,
    End,
}

impl FormData {
    /// A form whose `Content-Type` is this.
    ///
    /// # Errors
    /// When that is not a form's.
    pub fn new(content_type: &str) -> Result<Self, FormDataError> {
        Ok(Self {
            delimiter: delimiter(&boundary(content_type)?),
            // The first boundary needs no line break before it: it is as if there were one.
            buffer: BytesMut::from(&b"\r\n"[..]),
            state: State::Preamble,
        })
    }

    /// Takes bytes. Nothing is kept of what [`next`](Self::next_piece) has given.
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// The next thing.
    ///
    /// # Errors
    /// When the form is damaged.
    pub fn next_piece(&mut self) -> Result<Piece, FormDataError> {
        loop {
            match self.state {
                State::Preamble => match self.until_boundary() {
                    Some(_) => {}
                    None => return Ok(Piece::More),
                },
                State::Data => {
                    return Ok(match self.until_boundary() {
                        Some(data) if data.is_empty() => continue,
                        Some(data) => Piece::Data(data),
                        None => Piece::More,
                    });
                }
                State::AfterBoundary => match self.buffer.get(..2) {
                    None => return Ok(Piece::More),
                    Some(b"--") => self.state = State::End,
                    Some(b"\r\n") => {
                        // Its line break may end an empty head, so it stays.
                        self.state = State::Head;
                    }
                    Some(_) => return Err(FormDataError::Boundary),
                },
                State::Head => return self.head(),
                State::End => {
                    self.buffer.clear();
                    return Ok(Piece::End);
                }
            }
        }
    }

    /// What stands before the next boundary, as far as it has come; goes past the boundary once all of that was given.
    fn until_boundary(&mut self) -> Option<Bytes> {
        match memmem::find(&self.buffer, &self.delimiter) {
            Some(at) => {
                let before = self.buffer.split_to(at).freeze();
                if before.is_empty() || self.state == State::Preamble {
                    let _ = self.buffer.split_to(self.delimiter.len());
                    self.state = State::AfterBoundary;
                }
                Some(before)
            }
            None => {
                // The end may be the beginning of a boundary.
                let safe = self.buffer.len().saturating_sub(self.delimiter.len() - 1);
                let before = self.buffer.split_to(safe).freeze();
                (!before.is_empty() && self.state == State::Data).then_some(before)
            }
        }
    }

    fn head(&mut self) -> Result<Piece, FormDataError> {
        let Some(end) = memmem::find(&self.buffer, b"\r\n\r\n") else {
            // Its end may have come but for its last bytes.
            return if self.buffer.len() > HEAD_LIMIT + 3 {
                Err(FormDataError::Head)
            } else {
                Ok(Piece::More)
            };
        };
        if end > HEAD_LIMIT {
            return Err(FormDataError::Head);
        }
        let head = self.buffer.split_to(end + 4);
        let head = PartHead::read(&head)?;
        self.state = State::Data;
        Ok(Piece::Part(head))
    }
}

impl PartHead {
    /// Reads the lines of a head.
    fn read(head: &[u8]) -> Result<Self, FormDataError> {
        let head = String::from_utf8_lossy(head);
        let disposition = head.lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.trim()
                .eq_ignore_ascii_case("content-disposition")
                .then_some(value)
        });
        let parameters = disposition
            .and_then(|value| value.split_once(';'))
            .map(|(_, parameters)| parameters)
            .ok_or(FormDataError::Head)?;
        Ok(Self {
            name: parameter(parameters, "name").ok_or(FormDataError::Head)?,
            filename: parameter(parameters, "filename"),
        })
    }
}

/// The boundary that a `Content-Type` names.
fn boundary(content_type: &str) -> Result<String, FormDataError> {
    let (kind, parameters) = content_type.split_once(';').ok_or(FormDataError::NotAForm)?;
    if !kind.trim().eq_ignore_ascii_case("multipart/form-data") {
        return Err(FormDataError::NotAForm);
    }
    parameter(parameters, "boundary")
        .filter(|boundary| (1..=BOUNDARY_LIMIT).contains(&boundary.len()))
        .ok_or(FormDataError::NotAForm)
}

/// What ends a part.
fn delimiter(boundary: &str) -> Vec<u8> {
    [b"\r\n--", boundary.as_bytes()].concat()
}

/// A parameter of a header: `a=b; c="d \" e"`.
fn parameter(text: &str, wanted: &str) -> Option<String> {
    let mut rest = text;
    loop {
        let (name, after) = rest.split_once('=')?;
        let (value, behind) = value(after.trim_start());
        if name
            .trim()
            .trim_start_matches(';')
            .trim()
            .eq_ignore_ascii_case(wanted)
        {
            return Some(value);
        }
        rest = behind;
    }
}

/// The value that `text` begins with, and what follows it.
fn value(text: &str) -> (String, &str) {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find(';').unwrap_or(text.len());
        return (text[..end].trim().to_owned(), &text[end..]);
    };
    let mut value = String::new();
    let mut letters = quoted.char_indices();
    while let Some((at, letter)) = letters.next() {
        match letter {
            '"' => return (value, &quoted[at + 1..]),
            // Only a quotation mark is escaped; a backslash of a path is itself.
            '\\' if quoted[at + 1..].starts_with('"') => {
                value.push('"');
                letters.next();
            }
            letter => value.push(letter),
        }
    }
    (value, "")
}

#[cfg(test)]
mod tests {
    use super::*;

    const FORM: &[u8] = b"--b-1\r\nContent-Disposition: form-data; name=\"purpose\"\r\n\r\nbatch\r\n--b-1\r\ncontent-disposition: form-data; filename=\"a;\\\"b\\\".jsonl\"; name=file\r\nContent-Type: x/y\r\n\r\none\r\n--b-\r\ntwo\r\n\r\n--b-1\r\nContent-Disposition: form-data; name=\"empty\"\r\n\r\n\r\n--b-1--\r\nepilogue";
    const TYPE: &str = "Multipart/Form-Data; charset=utf-8; boundary=\"b-1\"";

    /// Parts with all their bytes; the form coming in pieces of `size`.
    fn read(bytes: &[u8], size: usize) -> Result<Vec<(PartHead, Vec<u8>)>, Option<FormDataError>> {
        let mut form = FormData::new(TYPE).unwrap();
        let mut parts: Vec<(PartHead, Vec<u8>)> = Vec::new();
        let mut chunks = bytes.chunks(size);
        loop {
            match form.next_piece().map_err(Some)? {
                Piece::Part(head) => parts.push((head, Vec::new())),
                Piece::Data(data) => parts.last_mut().unwrap().1.extend_from_slice(&data),
                Piece::End => return Ok(parts),
                Piece::More => form.push(chunks.next().ok_or(None)?),
            }
        }
    }

    #[test]
    fn a_form_is_the_same_however_it_is_cut() {
        let part = |name: &str, filename: Option<&str>, data: &[u8]| {
            let head = PartHead {
                name: name.to_owned(),
                filename: filename.map(str::to_owned),
            };
            (head, data.to_vec())
        };
        let expected = vec![
            part("purpose", None, b"batch"),
            part("file", Some("a;\"b\".jsonl"), b"one\r\n--b-\r\ntwo\r\n"),
            part("empty", None, b""),
        ];
        for size in 1..=FORM.len() {
            assert_eq!(read(FORM, size), Ok(expected.clone()), "pieces of {size}");
        }
    }

    #[test]
    fn a_form_that_breaks_off_never_ends() {
        let end = FORM.len() - b"--\r\nepilogue".len();
        for cut in 0..end {
            assert_eq!(read(&FORM[..cut], 7), Err(None), "cut at {cut}");
        }
    }

    #[test]
    fn what_is_not_a_form_is_refused() {
        for kind in [
            "",
            "application/json",
            "multipart/form-data",
            "multipart/form-data; boundary=",
            "multipart/mixed; boundary=b",
        ] {
            assert_eq!(FormData::new(kind).err(), Some(FormDataError::NotAForm), "{kind}");
        }
        assert_eq!(read(b"--b-1\r\nX: y\r\n\r\n", 9), Err(Some(FormDataError::Head)));
        assert_eq!(read(b"--b-1\r\n\r\n\r\nx", 9), Err(Some(FormDataError::Head)));
        assert_eq!(read(b"--b-1xy", 9), Err(Some(FormDataError::Boundary)));
        let endless = [&b"--b-1\r\n"[..], &[b'x'; 2 * HEAD_LIMIT]].concat();
        assert_eq!(read(&endless, 999), Err(Some(FormDataError::Head)));
    }
}

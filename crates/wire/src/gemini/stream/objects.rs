//! JSON objects out of a list of them, or out of bytes in which one follows another, in any chunking.

use bytes::{Bytes, BytesMut};

use crate::form::Text;
use crate::format::StreamError;
use crate::sse::{MAX_EVENT, SseError};

/// Cuts objects out.
#[derive(Debug, Default)]
pub(super) struct Objects {
    /// The beginning of an object whose end has not come.
    partial: BytesMut,
    depth: usize,
    in_string: bool,
    escaped: bool,
    in_list: bool,
    closed: bool,
}

impl Objects {
    /// Takes a chunk in and puts the objects it completes into `out`.
    pub(super) fn push(&mut self, chunk: &Bytes, out: &mut Vec<Text>) -> Result<(), StreamError> {
        let mut from = 0;
        for (at, byte) in chunk.iter().enumerate() {
            if self.depth == 0 {
                from = at;
                self.between(*byte)?;
            } else if self.inside(*byte) {
                self.partial.extend_from_slice(&chunk[from..=at]);
                let whole = Text::try_from(self.partial.split().freeze());
                out.push(whole.map_err(|_| SseError::NotUtf8)?);
            }
        }
        if self.depth > 0 {
            self.partial.extend_from_slice(&chunk[from..]);
        }
        if self.partial.len() > MAX_EVENT {
            return Err(SseError::TooLarge.into());
        }
        Ok(())
    }

    /// Whether nothing is missing: no object is open, and no list.
    pub(super) fn is_whole(&self) -> bool {
        self.depth == 0 && (!self.in_list || self.closed)
    }

    fn between(&mut self, byte: u8) -> Result<(), StreamError> {
        match byte {
            b'{' if !self.closed => self.depth = 1,
            b'[' if !self.in_list => self.in_list = true,
            b']' if self.in_list && !self.closed => self.closed = true,
            b',' if !self.closed => {}
            byte if byte.is_ascii_whitespace() => {}
            byte => {
                let found = char::from(byte).escape_default();
                return Err(StreamError::Malformed(format!(
                    "expected an object, found '{found}'"
                )));
            }
        }
        Ok(())
    }

    /// Goes one byte on inside an object; true when it was its last.
    fn inside(&mut self, byte: u8) -> bool {
        if self.in_string {
            match byte {
                _ if self.escaped => self.escaped = false,
                b'\\' => self.escaped = true,
                b'"' => self.in_string = false,
                _ => {}
            }
            return false;
        }
        match byte {
            b'"' => self.in_string = true,
            b'{' | b'[' => self.depth += 1,
            b'}' | b']' => self.depth -= 1,
            _ => {}
        }
        self.depth == 0
    }
}

//! AWS event streams (`application/vnd.amazon.eventstream`), decoded from bytes in any chunking, and written.
//!
//! A message is a prelude (its length, the length of its headers, a checksum of both), typed headers, a payload, and
//! a checksum of everything before. All numbers are big endian, the checksums are CRC-32 as in gzip.

use bytes::{Buf, BufMut, Bytes, BytesMut};

use crate::form::Text;

/// The media type of such a stream.
pub const CONTENT_TYPE: &str = "application/vnd.amazon.eventstream";

/// Most bytes of one message, framing included.
pub const MAX_MESSAGE: usize = 16 * 1024 * 1024;

/// Most bytes of the headers of one message.
pub const MAX_HEADERS: usize = 128 * 1024;

/// Two lengths and their checksum.
const PRELUDE: usize = 12;

/// What a message has at least: the prelude and the checksum at its end.
const FRAMING: usize = PRELUDE + 4;

/// One message.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Message {
    /// The headers, in the order in which they stand.
    pub headers: Vec<(Text, HeaderValue)>,
    /// The payload; a slice of the bytes it came in.
    pub payload: Bytes,
}

/// The value of a header, in one of the types that there are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HeaderValue {
    /// A truth.
    Boolean(bool),
    /// Eight bits.
    Byte(i8),
    /// Sixteen bits.
    Short(i16),
    /// Thirty-two bits.
    Integer(i32),
    /// Sixty-four bits.
    Long(i64),
    /// Any bytes.
    Bytes(Bytes),
    /// Text.
    String(Text),
    /// Milliseconds since 1970.
    Timestamp(i64),
    /// A UUID.
    Uuid([u8; 16]),
}

/// What is wrong with a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EventStreamError {
    /// A length does not fit: larger than allowed, or the headers larger than the message.
    #[error("a message has an impossible length, or is larger than {MAX_MESSAGE} bytes")]
    Length,
    /// A checksum is not that of the bytes.
    #[error("a message's checksum does not match")]
    Checksum,
    /// The headers make no sense.
    #[error("a message's headers are malformed")]
    Headers,
}

impl Message {
    /// The text of header `name`; none if it is not there or no text.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(key, _)| key == name)
            .and_then(|(_, value)| match value {
                HeaderValue::String(text) => Some(&**text),
                _ => None,
            })
    }
}

/// How long the message is with which `bytes` begin; none when its end has not come.
///
/// # Errors
/// When the prelude makes no sense. It is judged as soon as it is there, so that a wrong length is never waited for.
pub fn message_end(bytes: &[u8]) -> Result<Option<usize>, EventStreamError> {
    let Some((mut prelude, _)) = bytes
        .split_first_chunk::<PRELUDE>()
        .map(|(head, rest)| (&head[..], rest))
    else {
        return Ok(None);
    };
    let checksum = crc32fast::hash(&prelude[..8]);
    let (total, headers) = (prelude.get_u32() as usize, prelude.get_u32() as usize);
    if prelude.get_u32() != checksum {
        return Err(EventStreamError::Checksum);
    }
    if !(FRAMING..=MAX_MESSAGE).contains(&total) || headers > MAX_HEADERS || headers > total - FRAMING {
        return Err(EventStreamError::Length);
    }
    Ok((bytes.len() >= total).then_some(total))
}

/// Reads one whole message, as [`message_end`] measures it.
///
/// # Errors
/// When it is not whole, or its checksum or headers are wrong.
pub fn read_message(bytes: &Bytes) -> Result<Message, EventStreamError> {
    if message_end(bytes)? != Some(bytes.len()) {
        return Err(EventStreamError::Length);
    }
    let end = bytes.len() - 4;
    if (&bytes[end..]).get_u32() != crc32fast::hash(&bytes[..end]) {
        return Err(EventStreamError::Checksum);
    }
    let payload = PRELUDE + (&bytes[4..8]).get_u32() as usize;
    Ok(Message {
        headers: read_headers(bytes.slice(PRELUDE..payload))?,
        payload: bytes.slice(payload..end),
    })
}

fn read_headers(mut bytes: Bytes) -> Result<Vec<(Text, HeaderValue)>, EventStreamError> {
    let mut headers: Vec<(Text, HeaderValue)> = Vec::new();
    while !bytes.is_empty() {
        let length = usize::from(bytes.get_u8());
        let name = text(take(&mut bytes, length)?)?;
        if name.is_empty() || headers.iter().any(|(before, _)| *before == name) {
            return Err(EventStreamError::Headers);
        }
        let value = read_value(&mut bytes)?;
        headers.push((name, value));
    }
    Ok(headers)
}

fn read_value(bytes: &mut Bytes) -> Result<HeaderValue, EventStreamError> {
    let kind = take(bytes, 1)?[0];
    Ok(match kind {
        0 => HeaderValue::Boolean(true),
        1 => HeaderValue::Boolean(false),
        2 => HeaderValue::Byte(take(bytes, 1)?.get_i8()),
        3 => HeaderValue::Short(take(bytes, 2)?.get_i16()),
        4 => HeaderValue::Integer(take(bytes, 4)?.get_i32()),
        5 => HeaderValue::Long(take(bytes, 8)?.get_i64()),
        6 | 7 => {
            let length = usize::from(take(bytes, 2)?.get_u16());
            let value = take(bytes, length)?;
            if kind == 6 {
                HeaderValue::Bytes(value)
            } else {
                HeaderValue::String(text(value)?)
            }
        }
        8 => HeaderValue::Timestamp(take(bytes, 8)?.get_i64()),
        9 => {
            let mut uuid = [0; 16];
            take(bytes, 16)?.copy_to_slice(&mut uuid);
            HeaderValue::Uuid(uuid)
        }
        _ => return Err(EventStreamError::Headers),
    })
}

fn take(bytes: &mut Bytes, length: usize) -> Result<Bytes, EventStreamError> {
    if bytes.len() < length {
        return Err(EventStreamError::Headers);
    }
    Ok(bytes.split_to(length))
}

fn text(bytes: Bytes) -> Result<Text, EventStreamError> {
    Text::try_from(bytes).map_err(|_| EventStreamError::Headers)
}

/// Decodes messages as they come.
#[derive(Debug, Default)]
pub struct EventStreamDecoder {
    /// The beginning of a message whose end has not come.
    partial: BytesMut,
}

impl EventStreamDecoder {
    /// Takes a chunk in and puts the messages it completes into `out`.
    ///
    /// # Errors
    /// When a message is broken; the decoder is of no use afterwards.
    pub fn push(&mut self, chunk: &Bytes, out: &mut Vec<Message>) -> Result<(), EventStreamError> {
        let mut rest = chunk.clone();
        if !self.partial.is_empty() {
            self.partial.extend_from_slice(chunk);
            if message_end(&self.partial)?.is_none() {
                return Ok(());
            }
            rest = self.partial.split().freeze();
        }
        while let Some(end) = message_end(&rest)? {
            out.push(read_message(&rest.split_to(end))?);
        }
        self.partial.extend_from_slice(&rest);
        Ok(())
    }

    /// Whether the bytes so far end between two messages.
    #[must_use]
    pub fn is_between_messages(&self) -> bool {
        self.partial.is_empty()
    }
}

/// Writes a message to the end of `out`.
///
/// # Errors
/// When it would be larger than a message may be, or a header cannot be written; `out` is then as it was.
pub fn write_message(
    headers: &[(&str, HeaderValue)],
    payload: &[u8],
    out: &mut BytesMut,
) -> Result<(), EventStreamError> {
    let mut written = BytesMut::with_capacity(96);
    for (name, value) in headers {
        let length = u8::try_from(name.len()).map_err(|_| EventStreamError::Headers)?;
        written.put_u8(length);
        written.put_slice(name.as_bytes());
        write_value(value, &mut written)?;
    }
    let total = FRAMING + written.len() + payload.len();
    if written.len() > MAX_HEADERS || total > MAX_MESSAGE {
        return Err(EventStreamError::Length);
    }
    let start = out.len();
    out.reserve(total);
    // Both are far below four gigabytes.
    out.put_u32(total as u32);
    out.put_u32(written.len() as u32);
    out.put_u32(crc32fast::hash(&out[start..]));
    out.put_slice(&written);
    out.put_slice(payload);
    out.put_u32(crc32fast::hash(&out[start..]));
    Ok(())
}

fn write_value(value: &HeaderValue, out: &mut BytesMut) -> Result<(), EventStreamError> {
    let mut sized = |kind: u8, bytes: &[u8]| {
        // The length is a signed number to some readers.
        let length = i16::try_from(bytes.len()).map_err(|_| EventStreamError::Headers)?;
        out.put_u8(kind);
        out.put_i16(length);
        out.put_slice(bytes);
        Ok(())
    };
    match value {
        HeaderValue::Bytes(bytes) => return sized(6, bytes),
        HeaderValue::String(text) => return sized(7, text.as_bytes()),
        HeaderValue::Boolean(truth) => out.put_u8(u8::from(!truth)),
        HeaderValue::Byte(number) => {
            out.put_u8(2);
            out.put_i8(*number);
        }
        HeaderValue::Short(number) => {
            out.put_u8(3);
            out.put_i16(*number);
        }
        HeaderValue::Integer(number) => {
            out.put_u8(4);
            out.put_i32(*number);
        }
        HeaderValue::Long(number) => {
            out.put_u8(5);
            out.put_i64(*number);
        }
        HeaderValue::Timestamp(number) => {
            out.put_u8(8);
            out.put_i64(*number);
        }
        HeaderValue::Uuid(uuid) => {
            out.put_u8(9);
            out.put_slice(uuid);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;

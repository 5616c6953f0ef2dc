//! Server-sent events, decoded from bytes in any chunking (WHATWG HTML, section 9.2, "event stream").

use bytes::{Buf, Bytes, BytesMut};
use memchr::memchr2;

use crate::form::Text;

/// Most bytes of one event. A 1 MB image inside an event is real; ten times that is not.
pub const MAX_EVENT: usize = 16 * 1024 * 1024;

/// One event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SseEvent {
    /// The `event` field; none when it was absent or empty.
    pub event: Option<Text>,
    /// The `data` lines, joined by line feeds.
    pub data: Text,
}

/// What is wrong with a stream.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SseError {
    /// An event is larger than [`MAX_EVENT`].
    #[error("an event is larger than {MAX_EVENT} bytes")]
    TooLarge,
    /// A line is not UTF-8.
    #[error("an event is not valid UTF-8")]
    NotUtf8,
}

/// Decodes events as they come.
#[derive(Debug, Default)]
pub struct SseDecoder {
    /// The beginning of a line whose end has not come.
    partial: BytesMut,
    event: Option<Text>,
    data: Option<Text>,
    id: Option<Text>,
    last_id: Option<Text>,
    retry: Option<u64>,
    started: bool,
    /// The last line ended in CR: an LF that follows belongs to it.
    after_cr: bool,
}

impl SseDecoder {
    /// Takes a chunk in and puts the events it completes into `out`.
    ///
    /// # Errors
    /// When an event is too large or not UTF-8; the decoder is of no use afterwards.
    pub fn push(&mut self, chunk: &Bytes, out: &mut Vec<SseEvent>) -> Result<(), SseError> {
        let mut rest = chunk.clone();
        while !rest.is_empty() {
            if self.after_cr {
                self.after_cr = false;
                if rest[0] == b'\n' {
                    rest.advance(1);
                    continue;
                }
            }
            let Some(end) = memchr2(b'\n', b'\r', &rest) else {
                if self.partial.len() + rest.len() > MAX_EVENT {
                    return Err(SseError::TooLarge);
                }
                self.partial.extend_from_slice(&rest);
                return Ok(());
            };
            self.after_cr = rest[end] == b'\r';
            let line = rest.split_to(end);
            rest.advance(1);
            let line = if self.partial.is_empty() {
                line
            } else {
                self.partial.extend_from_slice(&line);
                self.partial.split().freeze()
            };
            self.line(line, out)?;
        }
        Ok(())
    }

    /// The `id` that the stream had last: from there on it can be asked for again.
    #[must_use]
    pub fn last_id(&self) -> Option<&str> {
        self.last_id.as_deref().filter(|id| !id.is_empty())
    }

    /// After how many milliseconds it wants to be asked for again.
    #[must_use]
    pub fn retry(&self) -> Option<u64> {
        self.retry
    }

    /// Whether the bytes so far end between two events.
    #[must_use]
    pub fn is_between_events(&self) -> bool {
        self.partial.is_empty() && self.data.is_none() && self.event.is_none()
    }

    fn line(&mut self, line: Bytes, out: &mut Vec<SseEvent>) -> Result<(), SseError> {
        let mut line = Text::try_from(line).map_err(|_| SseError::NotUtf8)?;
        if !std::mem::replace(&mut self.started, true)
            && let Some(rest) = line.strip_prefix('\u{feff}')
        {
            line = line.slice_ref(rest);
        }
        if line.is_empty() {
            let event = self.event.take();
            if let Some(id) = self.id.take() {
                self.last_id = Some(id);
            }
            if let Some(data) = self.data.take() {
                out.push(SseEvent { event, data });
            }
            return Ok(());
        }
        let (field, value) = line.split_once(':').unwrap_or((&line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "data" => {
                let value = line.slice_ref(value);
                self.data = Some(match self.data.take() {
                    None => value,
                    Some(data) if data.len() + value.len() > MAX_EVENT => return Err(SseError::TooLarge),
                    Some(data) => format!("{data}\n{value}").into(),
                });
            }
            "event" => self.event = (!value.is_empty()).then(|| line.slice_ref(value)),
            "id" if !value.contains('\0') => self.id = Some(line.slice_ref(value)),
            "retry" if value.bytes().all(|byte| byte.is_ascii_digit()) => {
                self.retry = value.parse().ok().or(self.retry);
            }
            // Comments: an empty field.
            _ => {}
        }
        Ok(())
    }
}

/// Where the first event of `bytes` ends: behind the blank line that closes it.
pub(crate) fn event_end(bytes: &[u8]) -> Option<usize> {
    let mut from = 0;
    while let Some(at) = memchr2(b'\n', b'\r', &bytes[from..]) {
        let at = from + at;
        let line_end = if bytes[at] == b'\r' {
            // Whether an LF follows is not known yet.
            match bytes.get(at + 1) {
                None => return None,
                Some(b'\n') => at + 2,
                Some(_) => at + 1,
            }
        } else {
            at + 1
        };
        match bytes.get(line_end) {
            Some(b'\n') => return Some(line_end + 1),
            Some(b'\r') => {
                let lf = bytes.get(line_end + 1)?;
                return Some(line_end + 1 + usize::from(*lf == b'\n'));
            }
            Some(_) => from = line_end,
            None => return None,
        }
    }
    None
}

/// The `event` and the first `data` line of an event; none for comments.
pub(crate) fn event_fields(event: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut name: &[u8] = b"";
    let mut data = None;
    let mut rest = event;
    while !rest.is_empty() {
        let end = memchr2(b'\n', b'\r', rest).unwrap_or(rest.len());
        let line = &rest[..end];
        rest = rest.get(end + 1..).unwrap_or_default();
        if let Some(value) = line.strip_prefix(b"data:") {
            data = data.or(Some(value.strip_prefix(b" ").unwrap_or(value)));
        } else if let Some(value) = line.strip_prefix(b"event:") {
            name = value.strip_prefix(b" ").unwrap_or(value);
        }
    }
    data.map(|data| (name, data))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn decode(pieces: &[&[u8]]) -> Vec<SseEvent> {
        let mut decoder = SseDecoder::default();
        let mut events = Vec::new();
        for piece in pieces {
            decoder.push(&Bytes::copy_from_slice(piece), &mut events).unwrap();
        }
        events
    }

    fn event(name: Option<&'static str>, data: &'static str) -> SseEvent {
        SseEvent {
            event: name.map(Text::from_static),
            data: Text::from_static(data),
        }
    }

    #[test]
    fn the_grammar_of_the_standard() {
        let stream = "\u{feff}: hello\n\ndata: a\ndata:b\ndata\n\nevent: x\r\ndata:  two\r\n\r\nevent: lost\n\nid: 1\rdata: c\r\rdata: unfinished";
        let expected = [event(None, "a\nb\n"), event(Some("x"), " two"), event(None, "c")];
        assert_eq!(decode(&[stream.as_bytes()]), expected);
    }

    #[test]
    fn where_a_stream_can_be_taken_up_again_is_known_with_each_whole_event() {
        let mut decoder = SseDecoder::default();
        let mut events = Vec::new();
        let pieces = ["id: 7\nretry: 500\ndata: \n\n", "id: 8\nretry: soon\ndata: a"];
        for piece in pieces {
            decoder.push(&Bytes::from(piece), &mut events).unwrap();
        }
        assert_eq!((decoder.last_id(), decoder.retry()), (Some("7"), Some(500)));
        decoder
            .push(&Bytes::from("\n\nid\ndata: b\n\n"), &mut events)
            .unwrap();
        assert_eq!((decoder.last_id(), events.len()), (None, 3));
    }

    #[test]
    fn an_endless_line_is_refused() {
        let mut decoder = SseDecoder::default();
        let chunk = Bytes::from(vec![b'a'; 1 << 20]);
        let pushed: Result<(), SseError> = (0..17).try_for_each(|_| decoder.push(&chunk, &mut Vec::new()));
        assert_eq!(pushed, Err(SseError::TooLarge));
    }

    proptest! {
        #[test]
        fn any_cutting_gives_the_same_events(
            lines in proptest::collection::vec("(data: ?[a-zé]{0,5}|event: [a-z]{0,2}|:[a-z]{0,3}|id: 1|)(\n|\r|\r\n)", 0..20),
            cuts in proptest::collection::vec(any::<prop::sample::Index>(), 0..8),
        ) {
            let stream = lines.concat().into_bytes();
            let mut at: Vec<usize> = cuts.iter().map(|cut| cut.index(stream.len() + 1)).collect();
            at.extend([0, stream.len()]);
            at.sort_unstable();
            let pieces: Vec<&[u8]> = at.windows(2).map(|pair| &stream[pair[0]..pair[1]]).collect();
            prop_assert_eq!(decode(&pieces), decode(&[&stream]));
        }
    }
}

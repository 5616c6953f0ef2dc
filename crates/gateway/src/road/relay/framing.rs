//! How a stream is put on the wire: server-sent events, Google's JSON array, AWS's frames.
//!
//! The writers of `wire` write events (Bedrock's: frames). What a client wants otherwise is framed anew here, behind
//! everything else, so that nothing before need know.

use bytes::{BufMut, Bytes, BytesMut};
use http::{HeaderMap, HeaderValue, header};
use pointsman_wire::sse::{SseDecoder, SseEvent};

/// How a stream is put on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// Server-sent events.
    Events,
    /// One JSON array, piece by piece (Gemini without `alt=sse`).
    Array,
    /// AWS's event stream.
    Frames,
}

impl Framing {
    /// The headers that say so.
    pub fn describe(self, headers: &mut HeaderMap) {
        let kind = match self {
            Self::Events => "text/event-stream; charset=utf-8",
            Self::Array => "application/json; charset=utf-8",
            Self::Frames => "application/vnd.amazon.eventstream",
        };
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
        if self == Self::Frames {
            headers.insert(
                "x-amzn-bedrock-content-type",
                HeaderValue::from_static("application/json"),
            );
        }
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        // Tells nginx and others in front of us not to collect events.
        headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    }

    /// What frames one stream.
    pub fn framer(self) -> Framer {
        match self {
            Self::Events | Self::Frames => Framer::Passing,
            Self::Array => Framer::Array(Box::default()),
        }
    }

    /// A whole stream at once.
    pub fn whole(self, stream: Bytes) -> Bytes {
        let mut framer = self.framer();
        let framed = framer.frame(stream);
        match framer.close() {
            None => framed,
            Some(end) => [framed, end].concat().into(),
        }
    }
}

/// Frames one stream.
pub enum Framer {
    /// It is framed as it must be.
    Passing,
    /// Events become elements of an array.
    Array(Box<Array>),
}

/// An array on its way.
#[derive(Default)]
pub struct Array {
    decoder: SseDecoder,
    events: Vec<SseEvent>,
    begun: bool,
    closed: bool,
}

impl Framer {
    /// Frames what may go to the client; whole events come in, and perhaps nothing goes out.
    pub fn frame(&mut self, bytes: Bytes) -> Bytes {
        match self {
            Self::Passing => bytes,
            Self::Array(array) => array.elements(&bytes),
        }
    }

    /// What ends the stream; none when that has been said, or needs no saying.
    pub fn close(&mut self) -> Option<Bytes> {
        match self {
            Self::Passing => None,
            Self::Array(array) => array.close(),
        }
    }
}

impl Array {
    fn elements(&mut self, bytes: &Bytes) -> Bytes {
        // Events have been read or written here before: they are well-formed.
        if self.decoder.push(bytes, &mut self.events).is_err() {
            return Bytes::new();
        }
        let mut out = BytesMut::with_capacity(bytes.len());
        for event in self.events.drain(..) {
            out.put_slice(if self.begun { b",\r\n" } else { b"[" });
            self.begun = true;
            out.put_slice(event.data.as_bytes());
        }
        out.freeze()
    }

    fn close(&mut self) -> Option<Bytes> {
        if self.closed {
            return None;
        }
        self.closed = true;
        Some(Bytes::from_static(if self.begun { b"]" } else { b"[]" }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_become_an_array_however_they_are_cut() {
        let stream = "data: {\"a\":1}\n\n: ping\n\ndata: {\"b\":[2]}\n\n";
        for cut in 0..=stream.len() {
            let mut framer = Framing::Array.framer();
            let mut out = Vec::new();
            for piece in [&stream[..cut], &stream[cut..]] {
                out.extend(framer.frame(Bytes::copy_from_slice(piece.as_bytes())));
            }
            out.extend(framer.close().unwrap());
            assert!(framer.close().is_none());
            let value: serde_json::Value = serde_json::from_slice(&out).unwrap();
            assert_eq!(value, serde_json::json!([{"a": 1}, {"b": [2]}]), "cut at {cut}");
        }
    }

    #[test]
    fn a_stream_of_nothing_is_an_empty_array() {
        assert_eq!(Framing::Array.whole(Bytes::new()), "[]");
        assert_eq!(
            Framing::Events.whole(Bytes::from_static(b"data: 1\n\n")),
            "data: 1\n\n"
        );
    }
}

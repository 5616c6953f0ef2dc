//! InvokeModel for Claude: Anthropic's messages in Bedrock's envelope. The version stands in the body, features under
//! test do, too; model and streaming do not; streams carry Anthropic's events base64-encoded in `chunk` messages.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::{Bytes, BytesMut};

use super::failure;
use super::response::json_of;
use super::stream::write_event;
use crate::anthropic;
use crate::eventstream::{EventStreamDecoder, Message};
use crate::form::{ChatRequest, ChatResponse, Failure, FailureKind, StreamEvent, Text, Usage};
use crate::format::{
    DecodeError, EncodeError, EncodeTarget, Encoded, Format, StreamEncoderOptions, StreamError,
};
use crate::json::fields::parse;
use crate::json::write::object;
use crate::splice::Edits;
use crate::sse::{SseDecoder, SseEvent};
use crate::watch::{Said, StreamWatcher};

/// Reads a request.
///
/// # Errors
/// When it does not say what the format demands; the field is named.
pub fn decode_request(body: &Bytes) -> Result<ChatRequest, DecodeError> {
    anthropic::request::decode_enveloped(body)
}

/// Writes a request.
///
/// # Errors
/// When it holds something the format has no counterpart for; the field is named.
pub fn encode_request(request: &ChatRequest, target: &EncodeTarget<'_>) -> Result<Encoded, EncodeError> {
    anthropic::request::encode_enveloped(request, target)
}

/// Reads a whole answer.
///
/// # Errors
/// When it is not one.
pub fn decode_response(body: &Bytes) -> Result<ChatResponse, DecodeError> {
    let mut response = anthropic::response::decode(body)?;
    response.format = Format::BedrockInvoke;
    Ok(response)
}

/// Reads a stream.
#[derive(Debug, Default)]
pub struct Decoder {
    frames: EventStreamDecoder,
    inner: anthropic::stream::Decoder,
    failed: bool,
}

impl Decoder {
    /// Takes a chunk in.
    ///
    /// # Errors
    /// When an event is not what the format demands.
    pub fn push(&mut self, chunk: &Bytes, out: &mut Vec<StreamEvent>) -> Result<(), StreamError> {
        let mut messages = Vec::new();
        let read = self.frames.push(chunk, &mut messages);
        for message in messages {
            if self.failed {
                break;
            }
            if let Some(failure) = failure::of_message(&message) {
                self.failed = true;
                out.push(StreamEvent::Error(failure));
            } else if let Some(event) = unwrap(&message)? {
                self.inner.take(&event, out)?;
            }
        }
        Ok(read?)
    }

    /// The bytes have ended.
    ///
    /// # Errors
    /// When the answer was not complete.
    pub fn finish(&mut self) -> Result<(), StreamError> {
        if self.failed {
            return Ok(());
        }
        self.inner.finish()
    }
}

/// The event inside a `chunk`; none for messages that hold none.
fn unwrap(message: &Message) -> Result<Option<SseEvent>, StreamError> {
    if message.header(":event-type") != Some("chunk") {
        return Ok(None);
    }
    let outer = Text::try_from(message.payload.clone()).map_err(|_| broken())?;
    let value = parse(&outer)?;
    let Some(encoded) = value.fields()?.take("bytes", |bytes| bytes.string())? else {
        return Ok(None);
    };
    let decoded = STANDARD.decode(encoded.as_bytes()).map_err(|_| broken())?;
    let data = Text::try_from(Bytes::from(decoded)).map_err(|_| broken())?;
    let event = parse(&data)?.fields()?.take("type", |kind| kind.string())?;
    Ok(Some(SseEvent { event, data }))
}

fn broken() -> StreamError {
    StreamError::Malformed("a chunk is not base64-encoded text".to_owned())
}

/// Writes a stream.
#[derive(Debug)]
pub struct Encoder {
    inner: anthropic::stream::Encoder,
    usage: Usage,
    broken: bool,
}

impl Encoder {
    /// A writer for one stream.
    #[must_use]
    pub fn new(options: StreamEncoderOptions) -> Self {
        Self {
            inner: anthropic::stream::Encoder::new(options),
            usage: Usage::default(),
            broken: false,
        }
    }

    /// Writes `event` to the end of `out`.
    pub fn encode(&mut self, event: &StreamEvent, out: &mut BytesMut) {
        match event {
            StreamEvent::Error(failure) => return failure::render_event(failure, "", out),
            StreamEvent::Usage(usage) => self.usage = *usage,
            // Bedrock's streams have no signs of life.
            StreamEvent::Ping => return,
            _ => {}
        }
        let mut plain = BytesMut::new();
        self.inner.encode(event, &mut plain);
        let mut events = Vec::new();
        // What our own writer wrote is well-formed.
        let _ = SseDecoder::default().push(&plain.freeze(), &mut events);
        for event in events {
            self.chunk(&event, out);
        }
    }

    fn chunk(&mut self, event: &SseEvent, out: &mut BytesMut) {
        if self.broken {
            return;
        }
        let data = if event.event.as_deref() == Some("message_stop") {
            self.with_metrics(&event.data)
        } else {
            event.data.clone().into_bytes()
        };
        let payload = object(|chunk| chunk.string("bytes", &STANDARD.encode(&data)));
        if write_event("chunk", &payload, out).is_err() {
            self.broken = true;
            let failure = Failure::new(FailureKind::Provider, "an event is too large for an event stream");
            failure::render_event(&failure, "", out);
        }
    }

    /// The last event tells what was used once more, by Bedrock's own names.
    fn with_metrics(&self, data: &Text) -> Bytes {
        let metrics = object(|metrics| {
            metrics.count("inputTokenCount", self.usage.uncached_input());
            metrics.count("outputTokenCount", self.usage.output);
            metrics.count("cacheReadInputTokenCount", self.usage.cache_read);
            let written = self.usage.cache_write.saturating_add(self.usage.cache_write_1h);
            metrics.count("cacheWriteInputTokenCount", written);
        });
        let mut edits = Edits::new();
        let metrics = String::from_utf8(metrics).unwrap_or_default();
        edits.set("amazon-bedrock-invocationMetrics", json_of(&metrics).as_str());
        edits
            .apply(data.as_bytes())
            .unwrap_or_else(|_| data.clone().into_bytes())
    }
}

/// Looks at a message of a passing stream.
pub(crate) fn event(watcher: &mut StreamWatcher, message: &Message) -> Said {
    if let Some(failure) = failure::of_message(message) {
        return Said {
            failure: Some(failure),
            ..Said::default()
        };
    }
    match unwrap(message) {
        Ok(Some(event)) => {
            let name = event.event.as_deref().unwrap_or_default();
            anthropic::watch::event(watcher, name.as_bytes(), event.data.as_bytes())
        }
        Ok(None) => Said::default(),
        Err(error) => Said::failed(&error.to_string()),
    }
}

//! Watching a stream that passes in its own format: where its content begins, what it used, how it ends.
//!
//! Whole events are forwarded as they come, byte for byte; the beginning of an event whose end has not come waits, so
//! that a stream that breaks in the middle of one can still be ended with an error that clients understand. Every
//! event is checked to be JSON, few are read: which, is found by searching for the names of the fields that matter.

use std::sync::LazyLock;

use bytes::{Bytes, BytesMut};
use memchr::memmem::{self, Finder};
use serde::de::IgnoredAny;
use smallvec::SmallVec;

use crate::anthropic::watch as anthropic;
use crate::form::{Failure, FailureKind, Text, Usage};
use crate::format::{Format, Framing, stream_failure};
use crate::json::fields::parse;
use crate::openai::read_usage;
use crate::sse::{MAX_EVENT, event_end, event_fields};
use crate::{bedrock, cohere, eventstream, gemini, responses};

/// What was seen in a chunk.
#[derive(Debug, Default)]
pub struct Seen {
    /// Content: the provider has begun to answer.
    pub content: bool,
    /// The terminator.
    pub ended: bool,
    /// The provider's error event, or an event that makes no sense; nothing after it was forwarded.
    pub failure: Option<Failure>,
}

/// How to watch.
#[derive(Debug, Clone, Copy, Default)]
pub struct WatchOptions {
    /// Leave out the usage chunk: we asked for it, the client did not (OpenAI).
    pub strip_usage: bool,
}

/// What one event says.
#[derive(Debug, Default)]
pub(crate) struct Said {
    pub(crate) content: bool,
    pub(crate) ended: bool,
    pub(crate) failure: Option<Failure>,
    pub(crate) drop: bool,
}

impl Said {
    /// The event makes no sense.
    pub(crate) fn failed(message: &str) -> Self {
        Self {
            failure: Some(malformed(message)),
            ..Self::default()
        }
    }
}

/// Watches one stream.
#[derive(Debug)]
pub struct StreamWatcher {
    format: Format,
    options: WatchOptions,
    /// The beginning of an event whose end has not come.
    partial: BytesMut,
    pub(crate) usage: Option<Usage>,
    /// Searches that were done (responses): the end need not tell of them.
    pub(crate) searches: u64,
    /// The number that the next event would have (responses).
    pub(crate) next_number: u64,
    /// The service tier that the provider told last.
    pub(crate) tier: Option<Text>,
    /// Bytes of content so far, from which tokens are estimated if the provider never tells.
    pub(crate) content_bytes: u64,
    pub(crate) ended: bool,
    /// A choice said why it ended: the answer is whole even if the terminator is missing.
    pub(crate) finished: bool,
    /// What the candidates have done so far (Gemini).
    pub(crate) candidates: gemini::watch::Candidates,
}

/// A watcher for streams of `format`.
#[must_use]
pub fn stream_watcher(format: Format, options: WatchOptions) -> StreamWatcher {
    StreamWatcher {
        format,
        options,
        partial: BytesMut::new(),
        usage: None,
        searches: 0,
        next_number: 0,
        tier: None,
        content_bytes: 0,
        ended: false,
        finished: false,
        candidates: gemini::watch::Candidates::default(),
    }
}

impl StreamWatcher {
    /// Takes a chunk in; what may go on is put into `forward`.
    pub fn push(&mut self, chunk: Bytes, forward: &mut SmallVec<[Bytes; 2]>) -> Seen {
        let mut seen = Seen::default();
        if self.ended {
            // What stands behind the end is not part of the answer.
            return seen;
        }
        let chunk = if self.partial.is_empty() {
            chunk
        } else {
            self.partial.extend_from_slice(&chunk);
            if let Ok(None) = self.frame_end(&self.partial) {
                seen.failure = self.too_large(self.partial.len());
                return seen;
            }
            self.partial.split().freeze()
        };
        let mut from = 0;
        let mut kept = 0;
        loop {
            let end = match self.frame_end(&chunk[from..]) {
                Ok(Some(end)) => end,
                Ok(None) => break,
                Err(failure) => {
                    seen.failure = Some(failure);
                    push_piece(forward, chunk.slice(kept..from));
                    return seen;
                }
            };
            let event = from..from + end;
            let said = match self.format.framing() {
                Framing::Sse => self.event(&chunk[event.clone()]),
                Framing::EventStream => self.message(&chunk.slice(event.clone())),
            };
            seen.content |= said.content;
            if said.failure.is_some() {
                seen.failure = said.failure;
                push_piece(forward, chunk.slice(kept..event.start));
                return seen;
            }
            if said.drop {
                push_piece(forward, chunk.slice(kept..event.start));
                kept = event.end;
            }
            from = event.end;
            if said.ended {
                self.ended = true;
                seen.ended = true;
                break;
            }
        }
        push_piece(forward, chunk.slice(kept..from));
        if !self.ended {
            seen.failure = self.too_large(chunk.len() - from);
            if seen.failure.is_none() {
                self.partial.extend_from_slice(&chunk[from..]);
            }
        }
        seen
    }

    /// Where the first event of `bytes` ends; none when its end has not come.
    fn frame_end(&self, bytes: &[u8]) -> Result<Option<usize>, Failure> {
        match self.format.framing() {
            Framing::Sse => Ok(event_end(bytes)),
            Framing::EventStream => {
                eventstream::message_end(bytes).map_err(|error| malformed(&error.to_string()))
            }
        }
    }

    fn too_large(&self, waiting: usize) -> Option<Failure> {
        (waiting > MAX_EVENT).then(|| malformed("an event is too large"))
    }

    /// The bytes have ended; true when the answer was whole. A terminator the provider left out is put into
    /// `forward`.
    pub fn finish(&mut self, forward: &mut SmallVec<[Bytes; 2]>) -> bool {
        if self.ended {
            return true;
        }
        if self.format.framing() == Framing::EventStream {
            // The answer is whole without what it used; there is no terminator to put in.
            self.ended = self.finished && self.partial.is_empty();
            return self.ended;
        }
        let whole = self.finished
            && self.format != Format::AnthropicMessages
            && self.partial.iter().all(u8::is_ascii_whitespace);
        if whole {
            self.ended = true;
            // Gemini's streams end where the bytes do.
            if self.format != Format::GeminiGenerate {
                forward.push(Bytes::from_static(b"data: [DONE]\n\n"));
            }
        }
        whole
    }

    /// What the provider has told so far.
    #[must_use]
    pub fn usage(&self) -> Option<Usage> {
        self.usage
    }

    /// The service tier that the provider told.
    #[must_use]
    pub fn tier(&self) -> Option<&str> {
        self.tier.as_deref()
    }

    /// The number of the event that would come next, in formats that number them.
    #[must_use]
    pub fn next_number(&self) -> u64 {
        self.next_number
    }

    /// About how many tokens of content have passed.
    #[must_use]
    pub fn output_estimate(&self) -> u64 {
        self.content_bytes.div_ceil(4)
    }

    /// Whether the end has been seen.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.ended
    }

    fn message(&mut self, bytes: &Bytes) -> Said {
        let message = match eventstream::read_message(bytes) {
            Ok(message) => message,
            Err(error) => return Said::failed(&error.to_string()),
        };
        if !message.payload.is_empty() && serde_json::from_slice::<IgnoredAny>(&message.payload).is_err() {
            return Said::failed("the provider sent an event that is not JSON");
        }
        match self.format {
            Format::BedrockInvoke => bedrock::invoke::event(self, &message),
            _ => bedrock::watch::event(self, &message),
        }
    }

    fn event(&mut self, event: &[u8]) -> Said {
        let Some((name, data)) = event_fields(event) else {
            return Said::default();
        };
        if self.format != Format::AnthropicMessages && data.trim_ascii() == b"[DONE]" {
            return Said {
                // Where another event ends the answer, this one says nothing.
                ended: !matches!(self.format, Format::OpenAiResponses | Format::CohereChat),
                ..Said::default()
            };
        }
        if serde_json::from_slice::<IgnoredAny>(data).is_err() {
            return Said::failed("the provider sent an event that is not JSON");
        }
        match self.format {
            Format::AnthropicMessages => anthropic::event(self, name, data),
            Format::OpenAiChat | Format::OpenAiCompletions => self.openai(data),
            Format::OpenAiResponses => responses::watch::event(self, name, data),
            Format::GeminiGenerate => gemini::watch::event(self, name, data),
            // Their streams are no server-sent events.
            Format::BedrockConverse | Format::BedrockInvoke => Said::default(),
            Format::CohereChat => cohere::watch::event(self, name, data),
        }
    }

    fn openai(&mut self, data: &[u8]) -> Said {
        let mut said = Said::default();
        let names = &*NAMES;
        if names.error.find(data).is_some()
            && let Some(failure) = self.error(data)
        {
            said.failure = Some(failure);
            return said;
        }
        if let Some(bytes) = content_after(data) {
            said.content = true;
            self.content_bytes += bytes;
        }
        self.finished |= is_finished(data);
        if names.usage.find(data).is_some() && has(data, b"_tokens\"") {
            said.drop = self.read_usage(data) && self.options.strip_usage;
        }
        said
    }

    /// Reads usage; true when the chunk holds nothing else.
    fn read_usage(&mut self, data: &[u8]) -> bool {
        let Ok(text) = Text::try_from(data) else {
            return false;
        };
        let Ok(value) = parse(&text) else { return false };
        let Ok(mut fields) = value.fields() else {
            return false;
        };
        if let Ok(Some(usage)) = fields.take("usage", |usage| read_usage(&usage)) {
            self.usage = Some(usage);
        }
        if let Ok(Some(tier)) = fields.take("service_tier", |tier| tier.string()) {
            self.tier = Some(tier);
        }
        let choices = fields.take("choices", |choices| choices.list(|_| Ok(())));
        choices.is_ok_and(|choices| choices.is_none_or(|choices| choices.is_empty()))
    }

    fn error(&self, data: &[u8]) -> Option<Failure> {
        let text = Text::try_from(data).ok()?;
        let value = parse(&text).ok()?;
        value
            .fields()
            .ok()?
            .has("error")
            .then(|| stream_failure(self.format, &text))
    }
}

pub(crate) fn malformed(message: &str) -> Failure {
    Failure::new(FailureKind::Provider, message).coded("stream_broken")
}

fn push_piece(forward: &mut SmallVec<[Bytes; 2]>, piece: Bytes) {
    if !piece.is_empty() {
        forward.push(piece);
    }
}

pub(crate) fn has(data: &[u8], what: &[u8]) -> bool {
    memmem::find(data, what).is_some()
}

/// What is looked for in every chunk of OpenAI's: made ready once, because that costs more than looking.
struct Names {
    error: Finder<'static>,
    content: [Finder<'static>; 6],
    finish_reason: Finder<'static>,
    usage: Finder<'static>,
}

static NAMES: LazyLock<Names> = LazyLock::new(|| Names {
    error: Finder::new(b"\"error\""),
    content: [
        &b"\"content\":"[..],
        b"\"text\":",
        b"\"reasoning_content\":",
        b"\"reasoning\":",
        b"\"refusal\":",
        b"\"arguments\":",
    ]
    .map(Finder::new),
    finish_reason: Finder::new(b"\"finish_reason\""),
    usage: Finder::new(b"\"usage\""),
});

/// Whether an OpenAI chunk tells why its choices have ended.
fn is_finished(data: &[u8]) -> bool {
    let name = &NAMES.finish_reason;
    let mut told = false;
    for at in name.find_iter(data) {
        let rest = data[at + name.needle().len()..].trim_ascii_start();
        let Some(value) = rest.strip_prefix(b":") else {
            continue;
        };
        if value.trim_ascii_start().starts_with(b"null") {
            return false;
        }
        told = true;
    }
    told
}

/// About how many bytes of content an OpenAI chunk carries; none when it carries none.
fn content_after(data: &[u8]) -> Option<u64> {
    for field in &NAMES.content {
        for at in field.find_iter(data) {
            let value = data[at + field.needle().len()..].trim_ascii_start();
            if let Some(text) = value.strip_prefix(b"\"")
                && text.first() != Some(&b'"')
            {
                return Some(memchr::memchr(b'"', text).unwrap_or(text.len()) as u64);
            }
        }
    }
    has(data, b"\"tool_calls\"").then_some(0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const OPENAI: &str = concat!(
        ": hello\n\n",
        "data: {\"id\":\"1\",\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"\"},\"finish_reason\":null}]}\n\n",
        "data: {\"id\":\"1\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"Hi\"},\"finish_reason\":null}]}\r\n\r\n",
        "data: {\"id\":\"1\",\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n",
        "data: {\"id\":\"1\",\"choices\":[],\"usage\":{\"prompt_tokens\":7,\"completion_tokens\":2,\"total_tokens\":9}}\n\n",
        "data: [DONE]\n\n",
    );

    fn watch(pieces: &[&[u8]], strip_usage: bool) -> (Vec<u8>, StreamWatcher, bool, bool) {
        let mut watcher = stream_watcher(Format::OpenAiChat, WatchOptions { strip_usage });
        let (mut out, mut content, mut failed) = (Vec::new(), false, false);
        for piece in pieces {
            let mut forward = SmallVec::new();
            let seen = watcher.push(Bytes::copy_from_slice(piece), &mut forward);
            content |= seen.content;
            failed |= seen.failure.is_some();
            forward.iter().for_each(|piece| out.extend_from_slice(piece));
        }
        (out, watcher, content, failed)
    }

    #[test]
    fn a_stream_passes_and_its_usage_is_known() {
        let (out, watcher, content, failed) = watch(&[OPENAI.as_bytes()], false);
        assert_eq!(out, OPENAI.as_bytes());
        assert!(content && watcher.is_complete() && !failed);
        assert_eq!(
            watcher.usage(),
            Some(Usage {
                input: 7,
                output: 2,
                ..Usage::default()
            })
        );
    }

    #[test]
    fn the_tier_is_known_in_every_format_that_tells_it() {
        let chunk =
            r#"data: {"choices":[],"service_tier":"flex","usage":{"prompt_tokens":7,"completion_tokens":2}}"#;
        let responses = r#"data: {"type":"response.completed","response":{"service_tier":"flex","usage":{"input_tokens":7,"output_tokens":2}}}"#;
        for (format, event) in [(Format::OpenAiChat, chunk), (Format::OpenAiResponses, responses)] {
            let mut watcher = stream_watcher(format, WatchOptions::default());
            watcher.push(format!("{event}\n\n").into(), &mut SmallVec::new());
            assert_eq!(
                (watcher.tier(), watcher.usage().map(|usage| usage.total())),
                (Some("flex"), Some(9)),
                "{format:?}"
            );
        }
    }

    #[test]
    fn a_role_alone_is_not_content() {
        let first: usize = OPENAI
            .find("data: {\"id\":\"1\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"Hi")
            .unwrap();
        assert!(!watch(&[&OPENAI.as_bytes()[..first]], false).2);
    }

    #[test]
    fn what_is_not_json_is_not_forwarded() {
        let (out, watcher, _, failed) = watch(
            &[b"data: {\"choices\":[]}\n\ndata: {\"cho\n\ndata: [DONE]\n\n"],
            false,
        );
        assert_eq!(out, b"data: {\"choices\":[]}\n\n");
        assert!(failed && !watcher.is_complete());
    }

    #[test]
    fn a_missing_terminator_is_put_in_only_after_a_finish_reason() {
        let done = OPENAI.find("data: [DONE]").unwrap();
        let (_, mut watcher, ..) = watch(&[&OPENAI.as_bytes()[..done]], false);
        let mut forward = SmallVec::new();
        assert!(watcher.finish(&mut forward));
        assert_eq!(forward[0], "data: [DONE]\n\n");
        let (_, mut cut, ..) = watch(&[&OPENAI.as_bytes()[..200]], false);
        assert!(!cut.finish(&mut SmallVec::new()));
    }

    proptest! {
        #[test]
        fn any_cutting_forwards_the_same_bytes(cuts in proptest::collection::vec(0..OPENAI.len(), 0..9), strip in any::<bool>()) {
            let mut at = cuts;
            at.extend([0, OPENAI.len()]);
            at.sort_unstable();
            let pieces: Vec<&[u8]> = at.windows(2).map(|pair| &OPENAI.as_bytes()[pair[0]..pair[1]]).collect();
            let (out, watcher, content, failed) = watch(&pieces, strip);
            let expected = if strip {
                let usage = OPENAI.find("data: {\"id\":\"1\",\"choices\":[],").unwrap();
                let done = OPENAI.find("data: [DONE]").unwrap();
                format!("{}{}", &OPENAI[..usage], &OPENAI[done..])
            } else {
                OPENAI.to_owned()
            };
            prop_assert_eq!(String::from_utf8(out).unwrap(), expected);
            prop_assert!(content && !failed && watcher.is_complete());
            prop_assert_eq!(watcher.usage().unwrap().total(), 9);
        }
    }
}

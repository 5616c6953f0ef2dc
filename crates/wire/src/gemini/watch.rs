//! What one event of a passing stream says.

use std::borrow::Cow;

use serde::Deserialize;
use serde::de::IgnoredAny;

use super::usage::read_usage;
use crate::form::Text;
use crate::format::{Format, stream_failure};
use crate::json::Json;
use crate::json::fields::parse;
use crate::watch::{Said, StreamWatcher};

/// Which candidates have spoken, and which have said why they ended. There are never more than eight.
#[derive(Debug, Default)]
pub(crate) struct Candidates {
    seen: u64,
    done: u64,
}

/// As much of an event as matters here.
#[derive(Deserialize)]
struct Piece<'a> {
    error: Option<IgnoredAny>,
    #[serde(borrow, default)]
    candidates: Option<Vec<Candidate<'a>>>,
    #[serde(alias = "prompt_feedback", rename = "promptFeedback")]
    feedback: Option<Feedback>,
    #[serde(alias = "usage_metadata", rename = "usageMetadata")]
    usage: Option<Json>,
}

#[derive(Deserialize)]
struct Candidate<'a> {
    #[serde(default)]
    index: u64,
    #[serde(borrow)]
    content: Option<Content<'a>>,
    #[serde(alias = "finish_reason", rename = "finishReason")]
    finish: Option<IgnoredAny>,
}

#[derive(Deserialize)]
struct Content<'a> {
    #[serde(borrow, default)]
    parts: Option<Vec<Part<'a>>>,
}

#[derive(Deserialize)]
struct Part<'a> {
    #[serde(borrow)]
    text: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
struct Feedback {
    #[serde(alias = "block_reason", rename = "blockReason")]
    reason: Option<IgnoredAny>,
}

/// Looks at one event.
pub(crate) fn event(watcher: &mut StreamWatcher, _name: &[u8], data: &[u8]) -> Said {
    let mut said = Said::default();
    let Ok(piece) = serde_json::from_slice::<Piece<'_>>(data) else {
        return said;
    };
    if piece.error.is_some() {
        let text = Text::try_from(data).unwrap_or_default();
        said.failure = Some(stream_failure(Format::GeminiGenerate, &text));
        return said;
    }
    for candidate in piece.candidates.iter().flatten() {
        let bit = 1_u64
            .checked_shl(u32::try_from(candidate.index).unwrap_or(63))
            .unwrap_or(1 << 63);
        watcher.candidates.seen |= bit;
        if candidate.finish.is_some() {
            watcher.candidates.done |= bit;
        }
        for part in candidate
            .content
            .iter()
            .flat_map(|content| content.parts.iter().flatten())
        {
            // What is not text (a call, an image) is content as well.
            let bytes = part.text.as_ref().map_or(1, |text| text.len());
            said.content |= bytes > 0;
            watcher.content_bytes += bytes as u64;
        }
    }
    let blocked = piece.feedback.is_some_and(|feedback| feedback.reason.is_some());
    let Candidates { seen, done } = watcher.candidates;
    watcher.finished = (watcher.finished && seen == 0) || blocked || (seen != 0 && seen == done);
    if let Some(usage) = piece.usage {
        let text = Text::from(usage.as_str().to_owned());
        let read = parse(&text).and_then(|value| read_usage(&value));
        watcher.usage = read.ok().or(watcher.usage);
    }
    said
}

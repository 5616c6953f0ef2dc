//! What answers with pictures and sound used: as they tell it, or as it can be counted.

mod duration;

use bytes::Bytes;
use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::form::{Units, Usage};
use crate::format::DecodeError;

pub use duration::milliseconds;

/// What an answer is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Medium {
    /// Images are made.
    Image,
    /// Sound is made.
    Speech,
    /// Sound is heard.
    Transcript,
    /// Text alone.
    Text,
}

/// What an answer tells.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Told {
    usage: Option<ToldUsage>,
    /// Seconds of sound (`verbose_json`).
    duration: Option<f64>,
    /// Images.
    data: Option<Vec<IgnoredAny>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct ToldUsage {
    #[serde(alias = "prompt_tokens")]
    input_tokens: Option<u64>,
    #[serde(alias = "completion_tokens")]
    output_tokens: Option<u64>,
    total_tokens: Option<u64>,
    #[serde(alias = "prompt_audio_seconds")]
    seconds: Option<f64>,
    #[serde(alias = "input_token_details", alias = "prompt_tokens_details")]
    input_tokens_details: Option<Details>,
    #[serde(alias = "output_token_details", alias = "completion_tokens_details")]
    output_tokens_details: Option<Details>,
}

#[derive(Debug, Default, Clone, Copy, Deserialize)]
#[serde(default)]
struct Details {
    image_tokens: Option<u64>,
    audio_tokens: Option<u64>,
    cached_tokens: Option<u64>,
    text_tokens: Option<u64>,
}

/// What an event of a stream tells.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct ToldEvent {
    #[serde(rename = "type")]
    kind: Option<String>,
    error: Option<IgnoredAny>,
    usage: Option<ToldUsage>,
}

/// What a JSON answer tells of its usage, and how many images it has; none when it tells nothing.
#[must_use]
pub fn told(medium: Medium, body: &[u8]) -> (Option<Usage>, u64) {
    let Ok(told) = serde_json::from_slice::<Told>(body) else {
        return (None, 0);
    };
    let images = told.data.as_ref().map_or(0, |data| data.len() as u64);
    let mut usage = told.usage.as_ref().and_then(|told| usage_of(medium, told));
    if let (Medium::Transcript, Some(seconds)) = (medium, told.duration) {
        let usage = usage.get_or_insert_default();
        if usage.units.milliseconds_in == 0 {
            usage.units.milliseconds_in = in_milliseconds(seconds);
        }
    }
    (usage, images)
}

fn in_milliseconds(seconds: f64) -> u64 {
    // Times that are no times are none; anything longer than a year is not either.
    (seconds.clamp(0.0, 31_536_000.0) * 1000.0).round() as u64
}

fn usage_of(medium: Medium, told: &ToldUsage) -> Option<Usage> {
    let input = told
        .input_tokens
        .or(told.total_tokens.filter(|_| told.output_tokens.is_none()));
    if input.is_none() && told.output_tokens.is_none() && told.seconds.is_none() {
        return None;
    }
    let given = told.input_tokens_details.unwrap_or_default();
    let made = told.output_tokens_details;
    let output = told.output_tokens.unwrap_or(0);
    let mut usage = Usage {
        input: input.unwrap_or(0),
        output,
        image_input: given.image_tokens.unwrap_or(0),
        audio_input: given.audio_tokens.unwrap_or(0),
        cache_read: given.cached_tokens.unwrap_or(0),
        units: Units {
            milliseconds_in: told.seconds.map_or(0, in_milliseconds),
            ..Units::default()
        },
        ..Usage::default()
    };
    // Where the kinds are not told, all of it is what was asked for.
    let rest = |made: Details| output.saturating_sub(made.text_tokens.unwrap_or(0));
    match medium {
        Medium::Image => {
            let told = made.map_or(output, |made| made.image_tokens.unwrap_or_else(|| rest(made)));
            usage.image_output = told;
        }
        Medium::Speech => {
            let told = made.map_or(output, |made| made.audio_tokens.unwrap_or_else(|| rest(made)));
            usage.audio_output = told;
        }
        Medium::Transcript | Medium::Text => {}
    }
    Some(usage)
}

/// Pixels of `count` images of a size such as `1024x1536`; none when it is no size.
#[must_use]
pub fn pixels(size: &str, count: u64) -> Option<u64> {
    let (width, height) = size.split_once('x')?;
    let side = |text: &str| text.parse::<u64>().ok().filter(|side| *side <= 65_536);
    Some((side(width)? * side(height)?).saturating_mul(count))
}

/// A stream of events, watched for what it tells at its end. Its bytes are not changed.
#[derive(Debug)]
pub struct EventWatcher {
    medium: Medium,
    decoder: crate::sse::SseDecoder,
    events: Vec<crate::sse::SseEvent>,
    /// What it told.
    pub usage: Option<Usage>,
    /// Whether its last event was seen.
    pub ended: bool,
    /// Whether it told an error.
    pub failed: bool,
}

impl EventWatcher {
    /// A watcher for a stream of `medium`.
    #[must_use]
    pub fn new(medium: Medium) -> Self {
        Self {
            medium,
            decoder: crate::sse::SseDecoder::default(),
            events: Vec::new(),
            usage: None,
            ended: false,
            failed: false,
        }
    }

    /// Looks at a chunk; says whether it held an event.
    ///
    /// # Errors
    /// When the stream is none of events, or one of them is not JSON.
    pub fn see(&mut self, chunk: &Bytes) -> Result<bool, DecodeError> {
        self.decoder
            .push(chunk, &mut self.events)
            .map_err(|error| DecodeError::plain(error.to_string()))?;
        let seen = !self.events.is_empty();
        for event in std::mem::take(&mut self.events) {
            self.hear(event.event.as_deref(), &event.data)?;
        }
        Ok(seen)
    }

    fn hear(&mut self, name: Option<&str>, data: &str) -> Result<(), DecodeError> {
        if data == "[DONE]" {
            self.ended = true;
            return Ok(());
        }
        let told: ToldEvent =
            serde_json::from_str(data).map_err(|error| DecodeError::plain(error.to_string()))?;
        let kind = name.or(told.kind.as_deref()).unwrap_or_default();
        self.ended |= kind.ends_with(".completed") || kind.ends_with(".done");
        self.failed |= kind == "error" || told.error.is_some();
        if let Some(usage) = told.usage.and_then(|told| usage_of(self.medium, &told)) {
            self.usage = Some(usage);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_tell_their_tokens_by_kind() {
        let body = br#"{"created":1,"data":[{"b64_json":"x"},{"b64_json":"y"}],"usage":{"input_tokens":30,"output_tokens":544,
            "input_tokens_details":{"text_tokens":10,"image_tokens":20},"output_tokens_details":{"text_tokens":4,"image_tokens":540}}}"#;
        let (usage, images) = told(Medium::Image, body);
        let usage = usage.unwrap();
        assert_eq!((images, usage.input, usage.image_input), (2, 30, 20));
        assert_eq!((usage.output, usage.image_output), (544, 540));
        let (usage, _) = told(
            Medium::Image,
            br#"{"data":[],"usage":{"input_tokens":3,"output_tokens":5,"total_tokens":8}}"#,
        );
        assert_eq!(usage.unwrap().image_output, 5);
    }

    #[test]
    fn transcripts_tell_tokens_or_time() {
        let (usage, _) = told(
            Medium::Transcript,
            br#"{"text":"x","usage":{"type":"duration","seconds":9}}"#,
        );
        assert_eq!(usage.unwrap().units.milliseconds_in, 9000);
        let (usage, _) = told(Medium::Transcript, br#"{"text":"x","duration":1.25}"#);
        assert_eq!(usage.unwrap().units.milliseconds_in, 1250);
        let (usage, _) = told(
            Medium::Transcript,
            br#"{"text":"x","usage":{"type":"tokens","input_tokens":7,"output_tokens":2,"input_token_details":{"audio_tokens":7}}}"#,
        );
        let usage = usage.unwrap();
        assert_eq!((usage.input, usage.audio_input, usage.output), (7, 7, 2));
        assert_eq!(told(Medium::Transcript, br#"{"text":"x"}"#).0, None);
        assert_eq!(told(Medium::Transcript, b"plain text").0, None);
    }

    #[test]
    fn sizes_are_pixels() {
        assert_eq!(pixels("1024x1536", 2), Some(3_145_728));
        for wrong in ["auto", "1024", "x", "99999999x2", "-1x2"] {
            assert_eq!(pixels(wrong, 1), None);
        }
    }

    #[test]
    fn streams_are_watched_to_their_last_event() {
        let mut watcher = EventWatcher::new(Medium::Speech);
        let first = Bytes::from_static(b"data: {\"type\":\"speech.audio.delta\",\"audio\":\"AA\"}\n\n");
        assert!(watcher.see(&first).unwrap() && !watcher.ended);
        let last =
            b"data: {\"type\":\"speech.audio.done\",\"usage\":{\"input_tokens\":4,\"output_tokens\":40}}\n\n";
        assert!(watcher.see(&Bytes::from_static(last)).unwrap());
        assert!(watcher.ended && !watcher.failed);
        assert_eq!(watcher.usage.unwrap().audio_output, 40);
    }

    #[test]
    fn errors_of_a_stream_are_seen_and_what_is_no_event_is_refused() {
        for told in [
            "event: error\ndata: {\"error\":{\"message\":\"x\"}}\n\n",
            "data: { \"error\": {\"message\":\"x\"}}\n\n",
            "data: {\"type\":\"error\"}\n\n",
        ] {
            let mut watcher = EventWatcher::new(Medium::Image);
            assert!(watcher.see(&Bytes::from(told)).unwrap());
            assert!(watcher.failed && !watcher.ended, "{told}");
        }
        let mut watcher = EventWatcher::new(Medium::Image);
        assert!(watcher.see(&Bytes::from_static(b"data: {\"type\":\n\n")).is_err());
    }
}

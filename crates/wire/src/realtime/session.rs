//! What an event says of a session: its model, its ear and its tongue.

use super::at;
use crate::form::Text;
use crate::json::fields::Value;

/// What is said of a session; absent is what was not said.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Session {
    /// The model.
    pub model: Option<Text>,
    /// The model that writes down what is heard, and where it stands in the event.
    pub transcriber: Option<(Text, &'static [&'static str])>,
    /// Whether the session only writes down.
    pub only_transcribes: Option<bool>,
    /// What answers may be.
    pub output: Output,
    /// Bytes of a second of the sound that comes in.
    pub bytes_per_second: Option<u64>,
}

/// What an answer may be; absent is what was not said.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Output {
    /// Its longest.
    pub ceiling: Option<Ceiling>,
    /// Whether it may be sound.
    pub audio: Option<bool>,
}

/// The longest answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ceiling {
    /// So many tokens.
    Tokens(u64),
    /// What the model can.
    Model,
}

const TRANSCRIBERS: [&[&str]; 2] = [
    &["session", "audio", "input", "transcription", "model"],
    &["session", "input_audio_transcription", "model"],
];
/// Sixteen bits, 24,000 times a second.
const PCM: u64 = 48_000;
/// Eight bits, 8,000 times a second (G.711).
const G711: u64 = 8_000;

impl Session {
    /// Reads the `session` of an event.
    pub(super) fn of(event: &Value<'_>) -> Self {
        let string = |path: &[&str]| at(event, path, &mut |value| value.string().ok());
        let transcriber = TRANSCRIBERS
            .into_iter()
            .find_map(|path| Some((string(path)?, path)));
        Self {
            model: string(super::SESSION_MODEL),
            transcriber,
            only_transcribes: string(&["session", "type"]).map(|kind| kind == "transcription"),
            output: at(event, &["session"], &mut |session| Some(Output::of(session))).unwrap_or_default(),
            bytes_per_second: format(event, &string),
        }
    }

    /// Takes over what is said now of what was said before.
    pub fn update(&mut self, said: Self) {
        let before = std::mem::take(self);
        *self = Self {
            model: said.model.or(before.model),
            transcriber: said.transcriber.or(before.transcriber),
            only_transcribes: said.only_transcribes.or(before.only_transcribes),
            output: said.output.or(before.output),
            bytes_per_second: said.bytes_per_second.or(before.bytes_per_second),
        };
    }
}

impl Output {
    /// Reads what a session or a response says of it.
    pub(super) fn of(value: &Value<'_>) -> Self {
        let ceiling = |name: &str| {
            at(value, &[name], &mut |value| match value.count() {
                Ok(tokens) => Some(Ceiling::Tokens(tokens)),
                Err(_) => (value.text() == "\"inf\"").then_some(Ceiling::Model),
            })
        };
        let audio = |name: &str| {
            at(value, &[name], &mut |value| {
                let kinds = value.list(|kind| kind.string()).ok()?;
                Some(kinds.iter().any(|kind| kind == "audio"))
            })
        };
        Self {
            ceiling: ["max_output_tokens", "max_response_output_tokens"]
                .into_iter()
                .find_map(ceiling),
            audio: ["output_modalities", "modalities"].into_iter().find_map(audio),
        }
    }

    /// What is said here, else there.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        Self {
            ceiling: self.ceiling.or(other.ceiling),
            audio: self.audio.or(other.audio),
        }
    }
}

fn format(event: &Value<'_>, string: &impl Fn(&[&str]) -> Option<Text>) -> Option<u64> {
    let rate = at(
        event,
        &["session", "audio", "input", "format", "rate"],
        &mut |rate| rate.count().ok(),
    );
    let name = string(&["session", "audio", "input", "format", "type"])
        .or_else(|| string(&["session", "input_audio_format"]))?;
    match &*name {
        "audio/pcmu" | "audio/pcma" | "g711_ulaw" | "g711_alaw" => Some(G711),
        "audio/pcm" | "pcm16" => Some(rate.map_or(PCM, |rate| rate.saturating_mul(2)).max(G711)),
        _ => None,
    }
}

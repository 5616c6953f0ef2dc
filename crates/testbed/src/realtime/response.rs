//! An answer: its words, its events, and what it costs.

use std::collections::VecDeque;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::exchange::Bill;
use crate::media;
use crate::script::{Question, answer};
use crate::tokens::{Usage, count, pieces};

/// Tokens of sound for each of its words.
const SOUND_PER_PIECE: u64 = 2;
/// Bytes of sound for each: a tenth of a second.
const BYTES_PER_PIECE: usize = 4_800;

/// Tokens, by kind.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Counted {
    pub(super) text: u64,
    pub(super) audio: u64,
}

impl Counted {
    pub(super) fn and(self, other: Self) -> Self {
        Self {
            text: self.text + other.text,
            audio: self.audio + other.audio,
        }
    }

    /// As much of it as there is of another.
    pub(super) fn within(self, other: Self) -> Self {
        Self {
            text: self.text.min(other.text),
            audio: self.audio.min(other.audio),
        }
    }

    fn total(self) -> u64 {
        self.text + self.audio
    }
}

/// What an item costs when it is read.
pub(super) fn count_item(item: &Value) -> Counted {
    let mut counted = Counted { text: 3, audio: 0 };
    for name in ["output", "arguments", "name"] {
        counted.text += item[name].as_str().map_or(0, count);
    }
    for part in item["content"].as_array().into_iter().flatten() {
        counted.text += part["text"].as_str().map_or(0, count);
        let bytes = part["audio"].as_str().and_then(media::decode).unwrap_or_default();
        counted.audio += (bytes.len() as u64).div_ceil(4_800);
    }
    counted
}

/// What is read before every answer.
pub(super) fn count_set(set: &Value) -> Counted {
    Counted {
        text: set["instructions"].as_str().map_or(0, count)
            + 5 * set["tools"].as_array().map_or(0, Vec::len) as u64,
        audio: 0,
    }
}

/// What is noted of a usage.
pub(super) fn bill(model: &str, told: &Value) -> Bill {
    let number = |value: &Value| value.as_u64().unwrap_or(0);
    let details = &told["input_token_details"];
    Bill {
        model: model.to_owned(),
        usage: Usage {
            input: number(&told["input_tokens"]),
            cache_read: number(&details["cached_tokens"]),
            audio_input: number(&details["audio_tokens"]),
            output: number(&told["output_tokens"]),
            ..Usage::default()
        },
        told: Some(told.clone()),
    }
}

/// An answer.
pub(super) struct Response {
    id: String,
    item_id: String,
    conversation: Option<String>,
    pieces: Vec<String>,
    aloud: bool,
    most: Value,
    status: String,
    pub(super) prompt: Counted,
    cached: Counted,
    pub(super) said: Counted,
}

impl Response {
    /// The answer to what was said.
    pub(super) fn new(
        (id, item_id): (String, String),
        (model, set): (&str, &Value),
        items: &[Value],
        (prompt, cached): (Counted, Counted),
        conversation: Option<String>,
    ) -> Self {
        let texts: Vec<String> = items
            .iter()
            .flat_map(|item| item["content"].as_array().into_iter().flatten())
            .filter_map(|part| part["text"].as_str().map(str::to_owned))
            .collect();
        let question = Question {
            format: "realtime",
            model: model.to_owned(),
            last_text: texts.last().cloned().unwrap_or_default(),
            texts,
            choices: 1,
            ..Question::default()
        };
        let aloud = set["output_modalities"] == json!(["audio"]);
        let each = if aloud { 1 + SOUND_PER_PIECE } else { 1 };
        let mut all = pieces(&answer(&question).text);
        let most = set["max_output_tokens"].clone();
        let room = most.as_u64().map_or(usize::MAX, |most| (most / each) as usize);
        let status = if all.len() > room {
            "incomplete"
        } else {
            "completed"
        };
        all.truncate(room);
        let mut response = Self {
            id,
            item_id,
            conversation,
            pieces: all,
            aloud,
            most,
            status: status.to_owned(),
            prompt,
            cached,
            said: Counted::default(),
        };
        response.count(response.pieces.len());
        response
    }

    fn count(&mut self, said: usize) {
        let said = said as u64;
        self.said = Counted {
            text: said,
            audio: if self.aloud { said * SOUND_PER_PIECE } else { 0 },
        };
    }

    /// It ends after so many pieces.
    pub(super) fn cut(&mut self, deltas: u64, status: &str) {
        let said = if self.aloud { deltas.div_ceil(2) } else { deltas };
        self.pieces.truncate(said as usize);
        self.count(self.pieces.len());
        status.clone_into(&mut self.status);
    }

    /// Whether it becomes part of the conversation.
    pub(super) fn is_kept(&self) -> bool {
        self.conversation.is_some()
    }

    fn text(&self) -> String {
        self.pieces.concat()
    }

    fn part(&self, text: &str) -> Value {
        if self.aloud {
            json!({"type": "audio", "transcript": text})
        } else {
            json!({"type": "text", "text": text})
        }
    }

    /// As an item of the conversation.
    pub(super) fn item(&self) -> Value {
        let part = if self.aloud {
            json!({"type": "output_audio", "transcript": self.text()})
        } else {
            json!({"type": "output_text", "text": self.text()})
        };
        json!({"id": self.item_id, "object": "realtime.item", "type": "message", "status": "completed", "role": "assistant", "content": [part]})
    }

    fn told(&self, status: &str, usage: &Value) -> Value {
        let output = if status == "in_progress" {
            json!([])
        } else {
            json!([self.item()])
        };
        let details = match status {
            "in_progress" | "completed" => Value::Null,
            "incomplete" => json!({"type": "incomplete", "reason": "max_output_tokens"}),
            "cancelled" => json!({"type": "cancelled", "reason": "client_cancelled"}),
            _ => json!({"type": "failed", "error": {"type": "server_error", "code": "server_error"}}),
        };
        let kinds = if self.aloud {
            json!(["audio"])
        } else {
            json!(["text"])
        };
        json!({"object": "realtime.response", "id": self.id, "status": status, "status_details": details, "output": output,
            "conversation_id": self.conversation, "output_modalities": kinds, "max_output_tokens": self.most,
            "usage": usage, "metadata": null})
    }

    /// Its last event.
    pub(super) fn done(&self) -> Value {
        let (prompt, cached, said) = (self.prompt, self.cached, self.said);
        let usage = json!({
            "total_tokens": prompt.total() + said.total(), "input_tokens": prompt.total(), "output_tokens": said.total(),
            "input_token_details": {"text_tokens": prompt.text, "audio_tokens": prompt.audio, "image_tokens": 0,
                "cached_tokens": cached.total(),
                "cached_tokens_details": {"text_tokens": cached.text, "audio_tokens": cached.audio, "image_tokens": 0}},
            "output_token_details": {"text_tokens": said.text, "audio_tokens": said.audio}});
        json!({"type": "response.done", "response": self.told(&self.status, &usage)})
    }

    /// All its events.
    pub(super) fn events(&self) -> VecDeque<Value> {
        let at =
            json!({"response_id": self.id, "item_id": self.item_id, "output_index": 0, "content_index": 0});
        let with = |kind: &str, more: Value| {
            let mut event = at.clone();
            event["type"] = json!(kind);
            for (name, value) in more.as_object().into_iter().flatten() {
                event[name] = value.clone();
            }
            event
        };
        let empty = json!({"id": self.item_id, "object": "realtime.item", "type": "message", "status": "in_progress", "role": "assistant", "content": []});
        let mut events = vec![
            json!({"type": "response.created", "response": self.told("in_progress", &Value::Null)}),
            json!({"type": "response.output_item.added", "response_id": self.id, "output_index": 0, "item": empty}),
        ];
        if self.is_kept() {
            events.push(json!({"type": "conversation.item.added", "previous_item_id": null, "item": empty}));
        }
        events.push(with(
            "response.content_part.added",
            json!({"part": self.part("")}),
        ));
        let sound = STANDARD.encode(vec![7_u8; BYTES_PER_PIECE]);
        for piece in &self.pieces {
            if self.aloud {
                events.push(with(
                    "response.output_audio_transcript.delta",
                    json!({"delta": piece}),
                ));
                events.push(with("response.output_audio.delta", json!({"delta": sound})));
            } else {
                events.push(with("response.output_text.delta", json!({"delta": piece})));
            }
        }
        let text = self.text();
        if self.aloud {
            events.push(with("response.output_audio.done", json!({})));
            events.push(with(
                "response.output_audio_transcript.done",
                json!({"transcript": text}),
            ));
        } else {
            events.push(with("response.output_text.done", json!({"text": text})));
        }
        events.push(with(
            "response.content_part.done",
            json!({"part": self.part(&text)}),
        ));
        events.push(json!({"type": "response.output_item.done", "response_id": self.id, "output_index": 0, "item": self.item()}));
        if self.is_kept() {
            events.push(
                json!({"type": "conversation.item.done", "previous_item_id": null, "item": self.item()}),
            );
        }
        events.push(self.done());
        events.push(json!({"type": "rate_limits.updated", "rate_limits": [{"name": "tokens", "limit": 100_000, "remaining": 99_000, "reset_seconds": 1.0}]}));
        events.into()
    }
}

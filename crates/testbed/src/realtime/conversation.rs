//! A session: what it is set to, what was said, and what is being answered.

use std::collections::VecDeque;

use serde_json::{Value, json};

use super::check::{self, error};
use super::response::{self, Counted};
use crate::exchange::Bill;
use crate::media;

/// Bytes of a second: 16 bits, 24,000 times.
const BYTES_PER_SECOND: u64 = 48_000;
/// The least sound that can be committed, in milliseconds.
const LEAST_MS: u64 = 100;

/// A session.
pub(super) struct Conversation {
    id: String,
    pub(super) model: String,
    /// The session as it is told.
    session: Value,
    /// Items, as they are told, and what each costs.
    items: Vec<(Value, Counted)>,
    /// Milliseconds of sound that was not committed.
    buffered: u64,
    /// What is still to be said of the answer.
    pending: VecDeque<Value>,
    answering: Option<response::Response>,
    /// Pieces of it that were said.
    pub(super) spoken: u64,
    /// The prompt of the last answer: what of the next is cached.
    cached: Counted,
    /// What is to be paid.
    pub(super) bills: Vec<Bill>,
    numbers: u64,
}

impl Conversation {
    pub(super) fn new(model: &str) -> Self {
        let id = format!("sess_{:016x}", rand::random::<u64>());
        let kind = if model.is_empty() {
            "transcription"
        } else {
            "realtime"
        };
        let session = json!({
            "type": kind, "object": "realtime.session", "id": id, "model": model, "instructions": "",
            "output_modalities": ["audio"], "max_output_tokens": "inf", "tools": [], "tool_choice": "auto",
            "audio": {
                "input": {"format": {"type": "audio/pcm", "rate": 24_000}, "transcription": null, "noise_reduction": null,
                    "turn_detection": {"type": "server_vad", "create_response": true, "interrupt_response": true}},
                "output": {"format": {"type": "audio/pcm", "rate": 24_000}, "voice": "marin", "speed": 1.0}},
        });
        Self {
            id,
            model: model.to_owned(),
            session,
            items: Vec::new(),
            buffered: 0,
            pending: VecDeque::new(),
            answering: None,
            spoken: 0,
            cached: Counted::default(),
            bills: Vec::new(),
            numbers: 0,
        }
    }

    /// A new id.
    pub(super) fn number(&mut self, kind: &str) -> String {
        self.numbers += 1;
        format!(
            "{kind}_{}{:06}",
            self.id.trim_start_matches("sess_"),
            self.numbers
        )
    }

    pub(super) fn greet(&mut self) -> Vec<Value> {
        vec![json!({"type": "session.created", "session": self.session})]
    }

    pub(super) fn is_answering(&self) -> bool {
        !self.pending.is_empty()
    }

    /// What is answered to an event.
    pub(super) fn hear(&mut self, text: &str) -> Vec<Value> {
        let event = match check::read(text) {
            Ok(event) => event,
            Err(wrong) => return vec![wrong],
        };
        let about = event.get("event_id").cloned().unwrap_or_default();
        let told = match event["type"].as_str().unwrap_or_default() {
            "session.update" => self.update(&event["session"]),
            "input_audio_buffer.append" => self.append(&event["audio"]),
            "input_audio_buffer.commit" => self.commit(),
            "input_audio_buffer.clear" => {
                self.buffered = 0;
                Ok(vec![json!({"type": "input_audio_buffer.cleared"})])
            }
            "conversation.item.create" => Ok(self.add(event["item"].clone())),
            "conversation.item.retrieve" => self.retrieve(&event["item_id"]),
            "conversation.item.delete" => self.delete(&event["item_id"]),
            "conversation.item.truncate" => Ok(vec![json!({
                "type": "conversation.item.truncated", "item_id": event["item_id"],
                "content_index": event["content_index"], "audio_end_ms": event["audio_end_ms"]})]),
            "response.create" => self.answer(&event["response"]),
            _ => self.cancel(),
        };
        told.unwrap_or_else(|(message, code)| vec![error(message, code, &about)])
    }

    fn update(&mut self, said: &Value) -> Told {
        if !said["model"].is_null() && said["model"] != self.session["model"] {
            return Err(("The model of a session cannot be changed.", "invalid_value"));
        }
        merge(&mut self.session, said);
        Ok(vec![json!({"type": "session.updated", "session": self.session})])
    }

    fn append(&mut self, audio: &Value) -> Told {
        let Some(bytes) = audio.as_str().and_then(media::decode) else {
            return Err(("Invalid 'audio': expected base64.", "invalid_base64"));
        };
        let ms = bytes.len() as u64 * 1_000 / BYTES_PER_SECOND;
        let silent = bytes.iter().all(|byte| *byte == 0);
        let detects = !self.session["audio"]["input"]["turn_detection"].is_null();
        // Whoever falls silent after having said something has said it all.
        if detects && silent && ms >= LEAST_MS && self.buffered >= LEAST_MS {
            let id = self.number("item");
            let mut told = vec![
                json!({"type": "input_audio_buffer.speech_stopped", "audio_end_ms": self.buffered, "item_id": id}),
            ];
            told.extend(self.commit()?);
            let answers = self.session["audio"]["input"]["turn_detection"]["create_response"] != false;
            if answers && self.session["type"] == "realtime" {
                told.extend(self.answer(&Value::Null)?);
            }
            return Ok(told);
        }
        let begun = self.buffered < LEAST_MS && self.buffered + ms >= LEAST_MS && !silent;
        if !silent || !detects {
            self.buffered += ms;
        }
        if begun && detects {
            return Ok(vec![
                json!({"type": "input_audio_buffer.speech_started", "audio_start_ms": 0, "item_id": "item_heard"}),
            ]);
        }
        Ok(Vec::new())
    }

    fn commit(&mut self) -> Told {
        if self.buffered < LEAST_MS {
            return Err((
                "Error committing input audio buffer: buffer too small.",
                "input_audio_buffer_commit_empty",
            ));
        }
        let ms = std::mem::take(&mut self.buffered);
        let id = self.number("item");
        let item = json!({"id": id, "object": "realtime.item", "type": "message", "status": "completed", "role": "user",
            "content": [{"type": "input_audio", "transcript": null}]});
        let mut told =
            vec![json!({"type": "input_audio_buffer.committed", "previous_item_id": null, "item_id": id})];
        told.extend(self.keep(
            item,
            Counted {
                text: 3,
                audio: ms.div_ceil(100),
            },
        ));
        told.extend(self.transcribe(&id, ms));
        Ok(told)
    }

    fn transcribe(&mut self, id: &str, ms: u64) -> Option<Value> {
        let model = self.session["audio"]["input"]["transcription"]["model"]
            .as_str()?
            .to_owned();
        let usage = if model.starts_with("whisper") {
            json!({"type": "duration", "seconds": ms as f64 / 1_000.0})
        } else {
            let audio = ms.div_ceil(100);
            json!({"type": "tokens", "input_tokens": audio, "output_tokens": 4, "total_tokens": audio + 4,
                "input_token_details": {"text_tokens": 0, "audio_tokens": audio}})
        };
        self.bills.push(response::bill(&model, &usage));
        Some(
            json!({"type": "conversation.item.input_audio_transcription.completed", "item_id": id, "content_index": 0,
            "transcript": "what was said", "usage": usage}),
        )
    }

    fn add(&mut self, mut item: Value) -> Vec<Value> {
        if item["id"].is_null() {
            item["id"] = json!(self.number("item"));
        }
        item["object"] = json!("realtime.item");
        item["status"] = json!("completed");
        let counted = response::count_item(&item);
        self.keep(item, counted)
    }

    fn keep(&mut self, item: Value, counted: Counted) -> Vec<Value> {
        let previous = self
            .items
            .last()
            .map_or(Value::Null, |(item, _)| item["id"].clone());
        let told = ["conversation.item.added", "conversation.item.done"]
            .map(|kind| json!({"type": kind, "previous_item_id": previous, "item": item}));
        self.items.push((item, counted));
        told.to_vec()
    }

    fn retrieve(&self, id: &Value) -> Told {
        match self.items.iter().find(|(item, _)| item["id"] == *id) {
            Some((item, _)) => Ok(vec![json!({"type": "conversation.item.retrieved", "item": item})]),
            None => Err((
                "Item with that id does not exist.",
                "item_retrieve_invalid_item_id",
            )),
        }
    }

    fn delete(&mut self, id: &Value) -> Told {
        let before = self.items.len();
        self.items.retain(|(item, _)| item["id"] != *id);
        if self.items.len() == before {
            return Err(("Item with that id does not exist.", "item_delete_invalid_item_id"));
        }
        Ok(vec![json!({"type": "conversation.item.deleted", "item_id": id})])
    }

    fn answer(&mut self, asked: &Value) -> Told {
        if self.session["type"] != "realtime" {
            return Err(("Transcription sessions give no answers.", "invalid_request"));
        }
        if self.answering.is_some() {
            return Err((
                "Conversation already has an active response in progress.",
                "conversation_already_has_active_response",
            ));
        }
        let mut set = self.session.clone();
        if !asked.is_null() {
            merge(&mut set, asked);
        }
        let nowhere = asked["conversation"] == "none";
        let own: Option<Vec<Value>> = asked["input"].as_array().cloned();
        let (items, prompt): (Vec<Value>, Counted) = match own {
            Some(items) => {
                let prompt = items
                    .iter()
                    .map(response::count_item)
                    .fold(Counted::default(), Counted::and);
                (items, prompt)
            }
            None => {
                let prompt = self
                    .items
                    .iter()
                    .map(|(_, counted)| *counted)
                    .fold(Counted::default(), Counted::and);
                (self.items.iter().map(|(item, _)| item.clone()).collect(), prompt)
            }
        };
        let prompt = prompt.and(response::count_set(&set));
        let cached = self.cached.within(prompt);
        let ids = (self.number("resp"), self.number("item"));
        let conversation = (!nowhere).then(|| format!("conv_{}", self.id));
        let answer =
            response::Response::new(ids, (&self.model, &set), &items, (prompt, cached), conversation);
        self.spoken = 0;
        self.pending = answer.events();
        self.answering = Some(answer);
        Ok(Vec::new())
    }

    fn cancel(&mut self) -> Told {
        if self.answering.is_none() {
            return Err((
                "Cancellation failed: no active response found.",
                "response_cancel_not_active",
            ));
        }
        self.finish("cancelled");
        Ok(Vec::new())
    }

    /// The answer fails here.
    pub(super) fn fail(&mut self) {
        self.finish("failed");
    }

    /// The answer ends here: what was said of it is paid.
    fn finish(&mut self, status: &str) {
        self.pending.clear();
        if let Some(answer) = &mut self.answering {
            answer.cut(self.spoken, status);
            self.pending.push_back(answer.done());
        }
    }

    /// The next of the answer. With its end it becomes part of the conversation, and is paid.
    pub(super) fn next(&mut self) -> Option<Value> {
        let event = self.pending.pop_front()?;
        let kind = event["type"].as_str().unwrap_or_default();
        if kind.ends_with(".delta") {
            self.spoken += 1;
        }
        if kind == "response.done"
            && let Some(answer) = self.answering.take()
        {
            self.bills
                .push(response::bill(&self.model, &event["response"]["usage"]));
            if answer.is_kept() {
                self.cached = answer.prompt;
                self.items.push((answer.item(), answer.said));
            }
        }
        Some(event)
    }
}

type Told = Result<Vec<Value>, (&'static str, &'static str)>;

/// Puts what is said over what there is, field by field.
fn merge(there: &mut Value, said: &Value) {
    match (there, said) {
        (Value::Object(there), Value::Object(said)) => {
            for (name, said) in said {
                merge(there.entry(name.clone()).or_insert(Value::Null), said);
            }
        }
        (there, said) => *there = said.clone(),
    }
}

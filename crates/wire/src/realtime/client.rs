//! What a client's event asks for.

use super::session::{Output, Session};
use super::{at, decoded_length};
use crate::form::Text;
use crate::format::DecodeError;
use crate::json::fields::{self, Value};
use crate::tokens;

/// A client's event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientEvent {
    /// The id that the client gave it.
    pub id: Option<Text>,
    /// What it asks for.
    pub asks: ClientAsks,
    /// What it adds to what the model must read.
    pub said: Said,
}

/// What an event asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClientAsks {
    /// That the session becomes so.
    Session(Box<Session>),
    /// That something is put into the conversation.
    Item,
    /// An answer like this.
    Response(Output),
    /// That sound is heard: an answer may come of it.
    Listen,
    /// Something that costs nothing.
    Other,
}

/// What the model must read, roughly.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Said {
    /// Tokens of text and pictures.
    pub tokens: u64,
    /// Bytes of sound.
    pub audio: u64,
}

/// A picture, as providers bill it.
const PER_IMAGE: u64 = 1_500;
/// What an item costs beside its content.
const PER_ITEM: u64 = 8;

impl ClientEvent {
    /// Reads an event.
    ///
    /// # Errors
    /// When it is not a JSON object with a `type`.
    pub fn read(event: &Text) -> Result<Self, DecodeError> {
        let value = fields::parse(event)?;
        let mut fields = value.fields()?;
        let kind = fields.need("type", |kind| kind.string())?;
        let id = fields.take("event_id", |id| Ok(id.string().ok()))?.flatten();
        let mut said = Said::default();
        let asks = match &*kind {
            "session.update" | "transcription_session.update" => {
                said.tokens = tokens::estimate(value.text());
                ClientAsks::Session(Box::new(Session::of(&value)))
            }
            "conversation.item.create" => {
                fields.take("item", |item| {
                    said.item(&item);
                    Ok(())
                })?;
                ClientAsks::Item
            }
            "response.create" => {
                let response = at(&value, &["response"], &mut |response| {
                    said.response(response);
                    Some(Output::of(response))
                });
                ClientAsks::Response(response.unwrap_or_default())
            }
            "input_audio_buffer.append" => {
                said.audio = fields
                    .take("audio", |audio| Ok(decoded_length(&audio)))?
                    .unwrap_or(0);
                ClientAsks::Listen
            }
            "input_audio_buffer.commit" => ClientAsks::Listen,
            _ => ClientAsks::Other,
        };
        Ok(Self { id, asks, said })
    }
}

impl Said {
    fn item(&mut self, item: &Value<'_>) {
        self.tokens += PER_ITEM;
        let parts = at(item, &["content"], &mut |content| {
            let parts = content.list(|part| {
                self.part(&part);
                Ok(())
            });
            parts.ok()
        });
        if parts.is_none() {
            self.tokens += tokens::estimate(item.text());
        }
    }

    fn part(&mut self, part: &Value<'_>) {
        let audio = at(part, &["audio"], &mut |audio| Some(decoded_length(audio)));
        let image = at(part, &["image_url"], &mut |_| Some(()));
        match (audio, image) {
            (Some(audio), _) => self.audio += audio,
            (None, Some(())) => self.tokens += PER_IMAGE,
            (None, None) => self.tokens += tokens::estimate(part.text()),
        }
    }

    fn response(&mut self, response: &Value<'_>) {
        for name in ["instructions", "tools", "prompt"] {
            let said = at(response, &[name], &mut |value| {
                Some(tokens::estimate(value.text()))
            });
            self.tokens += said.unwrap_or(0);
        }
        let items = at(response, &["input"], &mut |input| {
            let items = input.list(|item| {
                self.item(&item);
                Ok(())
            });
            items.ok()
        });
        drop(items);
    }
}

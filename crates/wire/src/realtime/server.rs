//! What a provider's event tells.

use super::session::{Output, Session};
use super::usage::{read_transcription, read_usage};
use super::{at, decoded_length};
use crate::form::{Text, Usage};
use crate::format::DecodeError;
use crate::json::fields::{self, Value};
use crate::tokens;

/// A provider's event, as far as it matters.
#[derive(Debug, Clone, PartialEq)]
pub enum ServerEvent {
    /// The session is so.
    Session(Box<Session>),
    /// An answer has begun.
    ResponseCreated {
        /// Its id.
        id: Text,
        /// What it may be.
        output: Output,
    },
    /// An answer has ended.
    ResponseDone {
        /// Its id.
        id: Text,
        /// How: `completed`, `cancelled`, `failed`, `incomplete`.
        status: Option<Text>,
        /// What it used, where that is told.
        usage: Option<Usage>,
        /// Whether it is part of the conversation from now on.
        kept: bool,
    },
    /// A piece of an answer.
    Delta {
        /// The answer's id.
        response: Text,
        /// How much.
        spoken: Spoken,
    },
    /// What was heard is written down.
    Transcribed {
        /// The item, and which of its parts.
        item: (Text, u64),
        /// What that used, where it is told.
        usage: Option<Usage>,
    },
    /// Something the client asked for was refused, or went wrong.
    Error,
    /// Something else.
    Other,
}

/// A piece of an answer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Spoken {
    /// About how many tokens of text.
    pub tokens: u64,
    /// Bytes of sound.
    pub audio: u64,
}

impl ServerEvent {
    /// Reads an event.
    ///
    /// # Errors
    /// When it is not a JSON object with a `type`, or tells of an answer without saying which.
    pub fn read(event: &Text) -> Result<Self, DecodeError> {
        let value = fields::parse(event)?;
        let mut fields = value.fields()?;
        let kind = fields.need("type", |kind| kind.string())?;
        Ok(match &*kind {
            "session.created"
            | "session.updated"
            | "transcription_session.created"
            | "transcription_session.updated" => Self::Session(Box::new(Session::of(&value))),
            "response.created" => fields.need("response", |response| {
                Ok(Self::ResponseCreated {
                    id: id(&response)?,
                    output: Output::of(&response),
                })
            })?,
            "response.done" => fields.need("response", done)?,
            "conversation.item.input_audio_transcription.completed" => Self::Transcribed {
                item: (
                    fields.need("item_id", |id| id.string())?,
                    fields
                        .take("content_index", |index| Ok(index.count().unwrap_or(0)))?
                        .unwrap_or(0),
                ),
                usage: fields
                    .take("usage", |usage| Ok(read_transcription(&usage).ok()))?
                    .flatten(),
            },
            "error" => Self::Error,
            kind if kind.starts_with("response.") && kind.ends_with(".delta") => {
                let sound = kind.ends_with("audio.delta");
                let spoken = fields.take("delta", |delta| Ok(Spoken::of(&delta, sound)))?;
                match fields.take("response_id", |id| Ok(id.string().ok()))?.flatten() {
                    Some(response) => Self::Delta {
                        response,
                        spoken: spoken.unwrap_or_default(),
                    },
                    None => Self::Other,
                }
            }
            _ => Self::Other,
        })
    }
}

impl Spoken {
    fn of(delta: &Value<'_>, sound: bool) -> Self {
        if sound {
            return Self {
                tokens: 0,
                audio: decoded_length(delta),
            };
        }
        Self {
            tokens: tokens::estimate(delta.text()),
            audio: 0,
        }
    }
}

fn id(response: &Value<'_>) -> Result<Text, DecodeError> {
    response.fields()?.need("id", |id| id.string())
}

fn done(response: Value<'_>) -> Result<ServerEvent, DecodeError> {
    let nowhere = at(&response, &[], &mut |response| {
        // `null` is what is told of an answer outside the conversation; beta versions tell nothing.
        let conversation = response
            .fields()
            .ok()?
            .take_nullable("conversation_id", |_| Ok(()));
        Some(conversation.ok()? == Some(None))
    });
    Ok(ServerEvent::ResponseDone {
        id: id(&response)?,
        status: at(&response, &["status"], &mut |status| status.string().ok()),
        usage: at(&response, &["usage"], &mut |usage| read_usage(usage).ok()),
        kept: nowhere != Some(true),
    })
}

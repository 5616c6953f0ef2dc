//! What a request for a response says of state, and what its answer repeats of it.

use std::borrow::Cow;
use std::collections::HashMap;

use bytes::Bytes;
use pointsman_wire::form::{Failure, FailureKind};
use pointsman_wire::format::{self, Format};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::super::arrive;

/// The fields of a request, as they came.
type Fields<'a> = HashMap<Cow<'a, str>, &'a RawValue>;

/// The fields of a request that state has to do with.
pub struct Said<'a> {
    /// Whether it shall be kept; none when it does not say.
    pub store: Option<bool>,
    /// Whether it runs in the background.
    pub background: bool,
    /// Whether it is streamed.
    pub stream: bool,
    /// The response it goes on from.
    pub previous: Option<String>,
    /// The conversation it is a turn of.
    pub conversation: Option<String>,
    /// Whether reasoning is asked for, whose proof must come with the answer to be told again.
    pub reasons: bool,
    /// All fields, as they came.
    pub fields: Fields<'a>,
}

impl<'a> Said<'a> {
    /// Reads them.
    ///
    /// # Errors
    /// 400 for a field of the wrong type, or two that exclude each other.
    pub fn read(body: &'a Bytes) -> Result<Self, Failure> {
        let Ok(fields) = serde_json::from_slice::<Fields<'a>>(body) else {
            // The reader of the format knows best what is wrong with it.
            let error = format::decode_request(Format::OpenAiResponses, body).err();
            return Err(error.map_or_else(
                || wrong("input", "the body is not a JSON object"),
                arrive::malformed,
            ));
        };
        let said = Self {
            store: read(&fields, "store", "true or false")?,
            background: read(&fields, "background", "true or false")?.unwrap_or(false),
            stream: read(&fields, "stream", "true or false")?.unwrap_or(false),
            previous: read(&fields, "previous_response_id", "the id of a response")?,
            conversation: read::<Conversation<'_>>(&fields, "conversation", "the id of a conversation")?
                .map(Conversation::id),
            reasons: fields
                .get("reasoning")
                .is_some_and(|reasoning| reasoning.get() != "null"),
            fields,
        };
        if said.previous.is_some() && said.conversation.is_some() {
            return Err(wrong(
                "previous_response_id",
                "a response goes on from `previous_response_id` or from `conversation`, not from both",
            ));
        }
        Ok(said)
    }

    /// Whether it goes on from anything that was kept.
    pub fn goes_on(&self) -> bool {
        // A reference may stand anywhere in the input; the word alone costs a closer look only.
        let refers = |input: &&RawValue| input.get().contains("item_reference");
        self.previous.is_some() || self.conversation.is_some() || self.fields.get("input").is_some_and(refers)
    }

    /// A field as it came; none when it says nothing.
    pub fn field(&self, name: &str) -> Option<&'a str> {
        let value = self.fields.get(name)?.get();
        (value != "null").then_some(value)
    }
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Conversation<'a> {
    Id(#[serde(borrow)] Cow<'a, str>),
    Object {
        #[serde(borrow)]
        id: Cow<'a, str>,
    },
}

impl Conversation<'_> {
    fn id(self) -> String {
        match self {
            Self::Id(id) | Self::Object { id } => id.into_owned(),
        }
    }
}

fn read<'a, T: Deserialize<'a>>(
    fields: &Fields<'a>,
    name: &str,
    expected: &str,
) -> Result<Option<T>, Failure> {
    let Some(value) = fields.get(name) else {
        return Ok(None);
    };
    serde_json::from_str(value.get()).map_err(|_| wrong(name, &format!("{name}: expected {expected}")))
}

fn wrong(param: &str, message: &str) -> Failure {
    Failure::new(FailureKind::InvalidRequest, message).at(param)
}

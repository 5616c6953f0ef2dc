//! JSON-RPC 2.0 as MCP uses it: messages are taken apart as far as the gateway must look, and no further.
//!
//! Parameters and results stay the text that they came as: what is passed on has every field, known or not.

use std::fmt;

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::error::RpcError;

/// Most levels that a message may be nested.
pub const MAX_DEPTH: usize = 128;
/// Most messages of a batch.
pub const MAX_BATCH: usize = 64;

/// The id of a request: a whole number or a text.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Id {
    /// A number.
    Number(i64),
    /// A text.
    Text(String),
}

impl From<u64> for Id {
    fn from(number: u64) -> Self {
        Self::Number(number.cast_signed())
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => write!(f, "{number}"),
            Self::Text(text) => f.write_str(text),
        }
    }
}

/// A JSON text as it came.
pub type Raw = Box<RawValue>;

/// Something that is asked and wants an answer.
#[derive(Debug, Clone)]
pub struct Request {
    /// Its id.
    pub id: Id,
    /// What is asked.
    pub method: String,
    /// With what.
    pub params: Object,
}

/// Something that is told.
#[derive(Debug, Clone)]
pub struct Notification {
    /// What is told.
    pub method: String,
    /// With what.
    pub params: Object,
}

/// An answer.
#[derive(Debug, Clone)]
pub struct Response {
    /// The id of what was asked; none where that could not be read.
    pub id: Option<Id>,
    /// The result, or the error as it came.
    pub outcome: Result<Raw, Raw>,
}

/// A message.
#[derive(Debug, Clone)]
pub enum Message {
    /// Something that is asked.
    Request(Request),
    /// Something that is told.
    Notification(Notification),
    /// An answer.
    Response(Response),
}

/// What came in one piece.
#[derive(Debug, Clone)]
pub enum Incoming {
    /// One message.
    One(Message),
    /// Several; what is wrong with one of them is told for it alone.
    Batch(Vec<Result<Message, RpcError>>),
}

/// A JSON object whose values stay as they came, in their order.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Object(IndexMap<String, Raw>);

impl Object {
    /// Reads an object.
    ///
    /// # Errors
    /// When the text is something else.
    pub fn parse(text: &str) -> Result<Self, serde_json::Error> {
        serde_json::from_str(text)
    }

    /// The value of a field.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&RawValue> {
        self.0.get(name).map(AsRef::as_ref)
    }

    /// A field that is a text.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<String> {
        serde_json::from_str(self.get(name)?.get()).ok()
    }

    /// A field that is an object.
    #[must_use]
    pub fn object(&self, name: &str) -> Option<Self> {
        Self::parse(self.get(name)?.get()).ok()
    }

    /// A field that is a list.
    #[must_use]
    pub fn list(&self, name: &str) -> Option<Vec<Raw>> {
        serde_json::from_str(self.get(name)?.get()).ok()
    }

    /// Puts a field in, in its place where it was there.
    pub fn set<T: Serialize + ?Sized>(&mut self, name: &str, value: &T) {
        if let Ok(raw) = serde_json::value::to_raw_value(value) {
            self.0.insert(name.to_owned(), raw);
        }
    }

    /// Takes a field out.
    pub fn remove(&mut self, name: &str) -> Option<Raw> {
        self.0.shift_remove(name)
    }

    /// Whether it has no fields.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Its fields.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &RawValue)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_ref()))
    }

    /// Its text.
    #[must_use]
    pub fn raw(&self) -> Raw {
        serde_json::value::to_raw_value(self).unwrap_or_default()
    }
}

/// The fields of any message. A field that comes twice is an error: the two sides of a gateway might not agree on which
/// one counts.
#[derive(Deserialize)]
struct Fields {
    jsonrpc: Option<String>,
    #[serde(default, deserialize_with = "there")]
    id: Option<Raw>,
    method: Option<String>,
    #[serde(default, deserialize_with = "there")]
    params: Option<Raw>,
    #[serde(default, deserialize_with = "there")]
    result: Option<Raw>,
    #[serde(default, deserialize_with = "there")]
    error: Option<Raw>,
}

/// `null` is there, too.
fn there<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Raw>, D::Error> {
    Raw::deserialize(deserializer).map(Some)
}

/// Takes apart what came in one piece.
///
/// # Errors
/// When it is no JSON, nested too deeply, or no message.
pub fn decode(text: &str) -> Result<Incoming, RpcError> {
    if depth(text.as_bytes()) > MAX_DEPTH {
        return Err(RpcError::parse(format!(
            "nested more than {MAX_DEPTH} levels deep"
        )));
    }
    if !text.trim_start().starts_with('[') {
        return message(text).map(Incoming::One);
    }
    let pieces: Vec<&RawValue> =
        serde_json::from_str(text).map_err(|error| RpcError::parse(error.to_string()))?;
    if pieces.is_empty() || pieces.len() > MAX_BATCH {
        return Err(RpcError::request(format!(
            "a batch has 1 to {MAX_BATCH} messages"
        )));
    }
    Ok(Incoming::Batch(
        pieces.iter().map(|piece| message(piece.get())).collect(),
    ))
}

/// Takes one message apart.
///
/// # Errors
/// As [`decode`]; a batch is an error here.
pub fn decode_one(text: &str) -> Result<Message, RpcError> {
    match decode(text)? {
        Incoming::One(message) => Ok(message),
        Incoming::Batch(_) => Err(RpcError::request("batches are not spoken here")),
    }
}

fn message(text: &str) -> Result<Message, RpcError> {
    let fields: Fields = serde_json::from_str(text).map_err(|error| {
        if error.is_data() {
            RpcError::request(error.to_string())
        } else {
            RpcError::parse(error.to_string())
        }
    })?;
    let id = fields.id.map(|id| serde_json::from_str::<Id>(id.get()));
    if fields.jsonrpc.as_deref() != Some("2.0") {
        return Err(RpcError::request("`jsonrpc` must be \"2.0\""));
    }
    match (fields.method, id, fields.result, fields.error) {
        (Some(method), None, None, None) => Ok(Message::Notification(Notification {
            method,
            params: params(fields.params.as_deref())?,
        })),
        (Some(method), Some(Ok(id)), None, None) => Ok(Message::Request(Request {
            params: params(fields.params.as_deref()).map_err(|error| error.of(&id))?,
            id,
            method,
        })),
        (Some(_), Some(Err(_)), None, None) => {
            Err(RpcError::request("`id` must be a whole number or a text"))
        }
        (None, id, Some(result), None) => Ok(Message::Response(Response {
            id: id.and_then(Result::ok),
            outcome: Ok(result),
        })),
        (None, id, None, Some(error)) => Ok(Message::Response(Response {
            id: id.and_then(Result::ok),
            outcome: Err(error),
        })),
        _ => Err(RpcError::request(
            "a message has a `method`, or else either a `result` or an `error`",
        )),
    }
}

fn params(raw: Option<&RawValue>) -> Result<Object, RpcError> {
    let Some(raw) = raw else {
        return Ok(Object::default());
    };
    Object::parse(raw.get()).map_err(|_| RpcError::params("`params` must be an object"))
}

/// How deeply a text is nested, whether or not it is JSON.
fn depth(bytes: &[u8]) -> usize {
    let (mut open, mut deepest, mut quoted, mut escaped) = (0_usize, 0, false, false);
    for byte in bytes {
        match (quoted, *byte) {
            (true, _) if escaped => escaped = false,
            (true, b'\\') => escaped = true,
            (true, b'"') => quoted = false,
            (true, _) => {}
            (false, b'"') => quoted = true,
            (false, b'{' | b'[') => {
                open += 1;
                deepest = deepest.max(open);
            }
            (false, b'}' | b']') => open = open.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

#[derive(Serialize)]
struct Written<'a> {
    jsonrpc: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a Id>,
    #[serde(skip_serializing_if = "Option::is_none")]
    method: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    params: Option<&'a Object>,
    #[serde(skip_serializing_if = "Option::is_none")]
    result: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a RawValue>,
}

fn write(written: &Written<'_>) -> String {
    serde_json::to_string(written).unwrap_or_default()
}

/// The text of a request.
#[must_use]
pub fn request(id: &Id, method: &str, params: &Object) -> String {
    write(&Written {
        jsonrpc: "2.0",
        id: Some(id),
        method: Some(method),
        params: Some(params),
        result: None,
        error: None,
    })
}

/// The text of a notification.
#[must_use]
pub fn notification(method: &str, params: &Object) -> String {
    write(&Written {
        jsonrpc: "2.0",
        id: None,
        method: Some(method),
        params: (!params.is_empty()).then_some(params),
        result: None,
        error: None,
    })
}

/// The text of an answer.
#[must_use]
pub fn response(id: Option<&Id>, outcome: Result<&RawValue, &RawValue>) -> String {
    write(&Written {
        jsonrpc: "2.0",
        id,
        method: None,
        params: None,
        result: outcome.ok(),
        error: outcome.err(),
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn code(text: &str) -> i64 {
        decode(text).unwrap_err().code
    }

    #[test]
    fn messages_are_told_apart() {
        assert!(matches!(
            decode(r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#),
            Ok(Incoming::One(Message::Request(_)))
        ));
        assert!(matches!(
            decode(r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#),
            Ok(Incoming::One(Message::Notification(_)))
        ));
        for answer in [
            r#"{"jsonrpc":"2.0","id":"a","result":{}}"#,
            r#"{"jsonrpc":"2.0","id":null,"error":{"code":1}}"#,
        ] {
            assert!(matches!(decode(answer), Ok(Incoming::One(Message::Response(_)))));
        }
        let Ok(Incoming::Batch(batch)) = decode(r#"[{"jsonrpc":"2.0","id":1,"method":"a"},{"x":1}]"#) else {
            unreachable!()
        };
        assert!(batch[0].is_ok() && batch[1].is_err());
    }

    #[test]
    fn what_is_no_message_is_refused_with_its_code() {
        for (text, expected) in [
            ("", -32700),
            ("{", -32700),
            ("1", -32600),
            ("[]", -32600),
            ("{}", -32600),
            (r#"{"jsonrpc":"1.0","id":1,"method":"a"}"#, -32600),
            (r#"{"jsonrpc":"2.0","id":null,"method":"a"}"#, -32600),
            (r#"{"jsonrpc":"2.0","id":1.5,"method":"a"}"#, -32600),
            (r#"{"jsonrpc":"2.0","id":1,"method":"a","method":"b"}"#, -32600),
            (r#"{"jsonrpc":"2.0","id":1,"method":"a","result":{}}"#, -32600),
            (r#"{"jsonrpc":"2.0","id":1,"method":"a","params":[1]}"#, -32602),
        ] {
            assert_eq!(code(text), expected, "{text}");
        }
    }

    #[test]
    fn deeply_nested_json_is_refused_before_it_is_read() {
        let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
        let asked = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"ping","params":{{"a":{deep}}}}}"#);
        assert_eq!(code(&asked), -32700);
        assert_eq!(depth(br#"{"a":"[[[[\"[[","b":[{}]}"#), 3);
    }

    #[test]
    fn what_is_not_looked_at_passes_as_it_came() {
        let params = r#"{"name":"x","arguments":{"n":123456789012345678901234567890,"z":1.0},"new":null}"#;
        let text = format!(r#"{{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{params}}}"#);
        let Ok(Incoming::One(Message::Request(asked))) = decode(&text) else {
            unreachable!()
        };
        assert_eq!(request(&asked.id, &asked.method, &asked.params), text);
    }

    proptest! {
        #[test]
        fn no_bytes_break_the_decoder(text in ".{0,200}") {
            let _ = decode(&text);
        }
    }
}

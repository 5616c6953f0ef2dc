//! JSON-RPC 2.0 as agents speak it: one request, one answer, or a stream of answers with the same id.

use serde::Serialize;
use serde_json::value::RawValue;

use crate::error::{A2aError, Kind};
use crate::json::{JsonError, Object, Raw};

/// A request.
#[derive(Debug, Clone)]
pub struct Request {
    /// Its id: a text, a whole number, or `null`.
    pub id: Raw,
    /// What is asked.
    pub method: String,
    /// With what.
    pub params: Object,
}

/// Why something is no request, with its id where that could be read.
#[derive(Debug, Clone)]
pub struct NoRequest {
    /// The id.
    pub id: Option<Raw>,
    /// Why.
    pub error: A2aError,
}

/// Takes a request apart.
///
/// # Errors
/// When it is none.
pub fn decode(body: &[u8]) -> Result<Request, Box<NoRequest>> {
    let without = |kind, message: String| {
        Box::new(NoRequest {
            id: None,
            error: A2aError::new(kind, message),
        })
    };
    if body.trim_ascii_start().starts_with(b"[") && serde_json::from_slice::<&RawValue>(body).is_ok() {
        return Err(without(Kind::Request, "batches are not spoken here".to_owned()));
    }
    let object = Object::read(body).map_err(|error| match error {
        JsonError::Syntax(why) => without(Kind::Parse, format!("Invalid JSON payload: {why}")),
        JsonError::Shape(why) => without(Kind::Request, format!("Invalid request: {why}")),
    })?;
    let id = object.get("id").map(ToOwned::to_owned);
    let id_fits = id.as_deref().is_none_or(is_id);
    let wrong = |kind, message: &str| {
        Box::new(NoRequest {
            id: id.clone().filter(|_| id_fits),
            error: A2aError::new(kind, message),
        })
    };
    if object.text("jsonrpc").as_deref() != Some("2.0") {
        return Err(wrong(Kind::Request, "`jsonrpc` must be \"2.0\""));
    }
    if !id_fits {
        return Err(wrong(Kind::Request, "`id` must be a text or a whole number"));
    }
    let Some(method) = object.filled("method") else {
        return Err(wrong(Kind::Request, "`method` must be a text"));
    };
    let params = match object.get("params") {
        None => Object::default(),
        Some(raw) => Object::of(raw).ok_or_else(|| wrong(Kind::Params, "`params` must be an object"))?,
    };
    Ok(Request {
        id: id.clone().unwrap_or_default(),
        method,
        params,
    })
}

fn is_id(raw: &RawValue) -> bool {
    let text = raw.get();
    text.starts_with('"') || text.parse::<i64>().is_ok()
}

/// The answer in a text.
///
/// # Errors
/// The agent's error, or that it is no answer.
pub fn answer(text: &str) -> Result<Raw, A2aError> {
    let none = |why: &str| A2aError::new(Kind::InvalidAgentResponse, format!("the agent's answer is {why}"));
    let object = Object::read(text.as_bytes()).map_err(|_| none("no JSON object"))?;
    if let Some(error) = object.get("error") {
        return Err(A2aError::from_rpc(error));
    }
    // What is deleted is answered with `null`.
    let result = object.iter().find(|(name, _)| *name == "result");
    result
        .map(|(_, result)| result.to_owned())
        .ok_or_else(|| none("neither a result nor an error"))
}

#[derive(Serialize)]
struct Written<'a> {
    jsonrpc: &'static str,
    id: &'a RawValue,
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
pub fn request(id: &RawValue, method: &str, params: &Object) -> String {
    write(&Written {
        jsonrpc: "2.0",
        id,
        method: Some(method),
        params: Some(params),
        result: None,
        error: None,
    })
}

/// The text of an answer.
#[must_use]
pub fn response(id: &RawValue, outcome: Result<&RawValue, &RawValue>) -> String {
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
    use super::*;

    #[test]
    fn what_is_no_request_is_told_with_its_code() {
        for (text, expected) in [
            ("", Kind::Parse),
            ("{", Kind::Parse),
            ("[]", Kind::Request),
            ("[{}]", Kind::Request),
            ("1", Kind::Request),
            ("{}", Kind::Request),
            (r#"{"jsonrpc":"1.0","id":1,"method":"a"}"#, Kind::Request),
            (r#"{"jsonrpc":"2.0","id":{},"method":"a"}"#, Kind::Request),
            (r#"{"jsonrpc":"2.0","id":1.5,"method":"a"}"#, Kind::Request),
            (r#"{"jsonrpc":"2.0","id":true,"method":"a"}"#, Kind::Request),
            (r#"{"jsonrpc":"2.0","id":1,"method":5}"#, Kind::Request),
            (
                r#"{"jsonrpc":"2.0","id":1,"method":"a","method":"b"}"#,
                Kind::Request,
            ),
            (
                r#"{"jsonrpc":"2.0","id":1,"method":"a","params":[1]}"#,
                Kind::Params,
            ),
            (
                r#"{"jsonrpc":"2.0","id":1,"method":"a","params":{"x":1,"x":2}}"#,
                Kind::Params,
            ),
        ] {
            assert_eq!(
                decode(text.as_bytes()).unwrap_err().error.kind,
                expected,
                "{text}"
            );
        }
    }

    #[test]
    fn ids_come_back_as_they_were() {
        for id in ["1", "\"a\\u00e9\"", "null"] {
            let text = format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"GetTask","params":{{"id":"t"}}}}"#);
            let asked = decode(text.as_bytes()).unwrap();
            assert_eq!(asked.id.get(), id);
            assert_eq!(request(&asked.id, &asked.method, &asked.params), text);
        }
    }

    #[test]
    fn an_answer_is_a_result_or_an_error() {
        assert_eq!(
            answer(r#"{"jsonrpc":"2.0","id":1,"result":null}"#).unwrap().get(),
            "null"
        );
        let error = answer(r#"{"id":1,"error":{"code":-32001,"message":"no"}}"#).unwrap_err();
        assert_eq!(error.kind, Kind::TaskNotFound);
        for text in ["", "[]", "{}", r#"{"id":1}"#] {
            assert_eq!(
                answer(text).unwrap_err().kind,
                Kind::InvalidAgentResponse,
                "{text}"
            );
        }
    }
}

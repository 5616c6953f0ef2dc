//! OpenAI's errors, and what it says of a field that is wrong.

use http::Response;
use serde_json::{Value, json};

use crate::exchange::{Refusal, Tongue, json as respond};
use crate::shape::{Problem, What, type_of};
use crate::sim::Asked;
use crate::stream::Body;

/// OpenAI, but for the events of responses.
pub(crate) struct OpenAi;

impl Tongue for OpenAi {
    const REQUEST_ID: &'static str = "x-request-id";

    fn refusal(refusal: &Refusal) -> Response<Body> {
        respond(refusal.status, &json!({"error": error(refusal)}))
    }

    fn error_event() -> Vec<u8> {
        let error = error(&Refusal::new(500, "The server had an error"));
        format!("data: {}\n\n", json!({"error": error})).into_bytes()
    }
}

/// The error object.
pub(crate) fn error(refusal: &Refusal) -> Value {
    let (kind, code) = match refusal.status {
        401 => ("invalid_request_error", Some("invalid_api_key")),
        429 => ("requests", Some("rate_limit_exceeded")),
        500.. => ("server_error", None),
        _ => ("invalid_request_error", None),
    };
    json!({"message": refusal.message, "type": kind, "param": refusal.param, "code": refusal.code.or(code)})
}

/// Refuses whoever has no key.
pub(crate) fn authorize(asked: &Asked) -> Result<(), Refusal> {
    let said = asked.headers.get(http::header::AUTHORIZATION);
    // The realtime interface takes the key of a browser as a subprotocol.
    let good = said.is_some_and(|value| value.as_bytes().starts_with(b"Bearer sk-"));
    if good {
        Ok(())
    } else if said.is_none() {
        Err(Refusal::new(
            401,
            "You didn't provide an API key. You need to provide your API key in an Authorization header using Bearer auth.",
        ))
    } else {
        Err(Refusal::new(
            401,
            "Incorrect API key provided: sk-wrong-key-0123456789.",
        ))
    }
}

/// The JSON of a body.
pub(crate) fn body(asked: &Asked) -> Result<Value, Refusal> {
    let body: Value = serde_json::from_slice(&asked.body).map_err(|error| {
        Refusal::bad(format!(
            "We could not parse the JSON body of your request: {error}"
        ))
    })?;
    if body.is_object() {
        Ok(body)
    } else {
        Err(Refusal::bad("The body must be a JSON object."))
    }
}

fn article(noun: &str) -> String {
    let vowel = noun.starts_with(['a', 'e', 'i', 'o', 'u']);
    format!("{} {noun}", if vowel { "an" } else { "a" })
}

fn quoted(words: &[&str]) -> String {
    let words: Vec<String> = words.iter().map(|word| format!("'{word}'")).collect();
    match words.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} and {last}", rest.join(", ")),
        _ => words.concat(),
    }
}

/// What is said of a problem. Chat completions have another sentence for unknown fields than the rest.
pub(crate) fn said(problem: &Problem, chat: bool) -> Refusal {
    let path = problem.bracketed();
    let found = &*problem.found;
    match &problem.what {
        What::Unknown if chat && problem.path.len() == 1 => {
            return Refusal::bad(format!("Unrecognized request argument supplied: {path}"));
        }
        What::Unknown => Refusal::bad(format!("Unknown parameter: '{path}'.")).coded("unknown_parameter"),
        What::Missing if path == "model" => {
            return Refusal::bad("you must provide a model parameter");
        }
        What::Missing => {
            Refusal::bad(format!("Missing required parameter: '{path}'.")).coded("missing_required_parameter")
        }
        What::Type(expected) => Refusal::bad(format!(
            "Invalid type for '{path}': expected {}, but got {} instead.",
            article(expected),
            article(type_of(found))
        ))
        .coded("invalid_type"),
        What::Choice(words) => invalid_value(found, words),
        What::Tag(_, words) => invalid_value(found, words),
        What::Below(least) => Refusal::bad(format!(
            "Invalid '{path}': {} below minimum value. Expected a value >= {least}, but got {found} instead.",
            type_of(found)
        ))
        .coded(if found.is_f64() {
            "decimal_below_min_value"
        } else {
            "integer_below_min_value"
        }),
        What::Above(most) => Refusal::bad(format!(
            "Invalid '{path}': {} above maximum value. Expected a value <= {most}, but got {found} instead.",
            type_of(found)
        ))
        .coded(if found.is_f64() {
            "decimal_above_max_value"
        } else {
            "integer_above_max_value"
        }),
        What::NotBase64 => Refusal::bad(format!("Invalid '{path}': expected a base64-encoded value."))
            .coded("invalid_base64"),
        What::Union => Refusal::bad(format!("Invalid '{path}': exactly one field is expected.")),
    }
    .at(path)
}

fn invalid_value(found: &Value, words: &[&str]) -> Refusal {
    let found = found.as_str().map_or_else(|| found.to_string(), str::to_owned);
    Refusal::bad(format!(
        "Invalid value: '{found}'. Supported values are: {}.",
        quoted(words)
    ))
    .coded("invalid_value")
}

//! Google's errors, and what it says of a field that is wrong.

use http::Response;
use serde_json::{Value, json};

use crate::exchange::{Refusal, Tongue, json as respond};
use crate::shape::{Problem, What};
use crate::stream::Body;

/// Gemini, with streams as server-sent events.
pub(super) struct Gemini;

impl Tongue for Gemini {
    const STREAM: &'static str = "text/event-stream";
    const REQUEST_ID: &'static str = "x-request-id";

    fn refusal(refusal: &Refusal) -> Response<Body> {
        respond(refusal.status, &json!({"error": error(refusal)}))
    }

    fn error_event() -> Vec<u8> {
        let error = error(&Refusal::new(
            503,
            "The model is overloaded. Please try again later.",
        ));
        // As it is: no event, but a document of its own.
        format!("{}\n\n", json!({"error": error})).into_bytes()
    }

    fn malformed() -> Vec<u8> {
        b"data: {\"candidates\": [{\"con\n\n".to_vec()
    }
}

/// Gemini, with streams as one array.
pub(super) struct GeminiArray;

impl Tongue for GeminiArray {
    const STREAM: &'static str = "application/json; charset=UTF-8";
    const REQUEST_ID: &'static str = Gemini::REQUEST_ID;

    fn refusal(refusal: &Refusal) -> Response<Body> {
        // A stream that is refused is an array as well.
        respond(refusal.status, &json!([{"error": error(refusal)}]))
    }

    fn error_event() -> Vec<u8> {
        let error = error(&Refusal::new(
            503,
            "The model is overloaded. Please try again later.",
        ));
        format!(",\r\n{}]", json!({"error": error})).into_bytes()
    }

    fn malformed() -> Vec<u8> {
        b",\r\n{\"candidates\": [{\"con".to_vec()
    }
}

/// The error object.
fn error(refusal: &Refusal) -> Value {
    let status = match refusal.status {
        400 => "INVALID_ARGUMENT",
        401 => "UNAUTHENTICATED",
        403 => "PERMISSION_DENIED",
        404 => "NOT_FOUND",
        429 => "RESOURCE_EXHAUSTED",
        503 | 529 => "UNAVAILABLE",
        504 => "DEADLINE_EXCEEDED",
        _ => "INTERNAL",
    };
    let mut error = json!({"code": refusal.status, "message": refusal.message, "status": status});
    if refusal.code == Some("API_KEY_INVALID") {
        error["details"] = json!([{"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "API_KEY_INVALID",
            "domain": "googleapis.com", "metadata": {"service": "generativelanguage.googleapis.com"}}]);
    } else if let Some(field) = &refusal.param {
        error["details"] = json!([{"@type": "type.googleapis.com/google.rpc.BadRequest",
            "fieldViolations": [{"field": field, "description": refusal.message}]}]);
    } else if refusal.status == 429 {
        error["details"] = json!([{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "1s"}]);
    }
    error
}

/// A name as protocol buffers spell it.
pub(super) fn snake(name: &str) -> String {
    let mut out = String::new();
    for letter in name.chars() {
        if letter.is_ascii_uppercase() {
            out.push('_');
        }
        out.push(letter.to_ascii_lowercase());
    }
    out
}

/// A name as JSON spells it.
pub(super) fn camel(name: &str) -> String {
    let mut out = String::new();
    let mut up = false;
    for letter in name.chars() {
        if letter == '_' {
            up = true;
        } else if std::mem::take(&mut up) {
            out.push(letter.to_ascii_uppercase());
        } else {
            out.push(letter);
        }
    }
    out
}

/// What is said of a problem.
pub(super) fn said(problem: &Problem) -> Refusal {
    let path = snake(&problem.bracketed());
    let found = &*problem.found;
    let (message, field) = match &problem.what {
        What::Unknown => {
            let name = problem.name();
            let parent = path
                .rsplit_once('.')
                .map_or(String::new(), |(parent, _)| parent.to_owned());
            let at = if parent.is_empty() {
                String::new()
            } else {
                format!(" at '{parent}'")
            };
            (
                format!("Invalid JSON payload received. Unknown name \"{name}\"{at}: Cannot find field."),
                parent,
            )
        }
        What::Missing => (
            format!("* GenerateContentRequest.{path}: is required but was not set"),
            path,
        ),
        What::Type("string") => (format!("Invalid value at '{path}' (TYPE_STRING), {found}"), path),
        What::Type("integer") => (format!("Invalid value at '{path}' (TYPE_INT32), {found}"), path),
        What::Type("number") => (format!("Invalid value at '{path}' (TYPE_FLOAT), {found}"), path),
        What::Type("boolean") => (format!("Invalid value at '{path}' (TYPE_BOOL), {found}"), path),
        What::Type("array") => (
            format!(
                "Invalid JSON payload received. Unknown name \"{}\" at '{path}': Proto field is repeating, expected a list.",
                problem.name()
            ),
            path,
        ),
        What::Type(_) | What::Union => (format!("Invalid value at '{path}' (Object), {found}"), path),
        What::Choice(_) | What::Tag(..) => (
            format!(
                "Invalid value at '{path}' (type.googleapis.com/google.ai.generativelanguage.v1beta.{}), {found}",
                type_name(problem.name())
            ),
            path,
        ),
        What::NotBase64 => (
            format!("Invalid value at '{path}' (TYPE_BYTES), Base64 decoding failed for {found}"),
            path,
        ),
        What::Below(least) => (
            format!(
                "* GenerateContentRequest.{path}: {} must be at least {least}",
                problem.name()
            ),
            path,
        ),
        What::Above(most) => (
            format!(
                "Unable to submit request because it has a {} value of {found} but the supported range is up to {most} inclusive.",
                problem.name()
            ),
            path,
        ),
    };
    Refusal::bad(message).at(field)
}

fn type_name(field: &str) -> &'static str {
    match field {
        "type" => "Type",
        "mode" => "FunctionCallingConfig.Mode",
        "category" => "HarmCategory",
        "threshold" => "SafetySetting.HarmBlockThreshold",
        "thinkingLevel" => "ThinkingConfig.ThinkingLevel",
        _ => "Enum",
    }
}

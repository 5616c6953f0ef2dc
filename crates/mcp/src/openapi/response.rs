//! Answers of an API as results of a tool.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::StatusCode;
use serde_json::{Value, json};

use super::body::is_json;

/// Most letters of an error's body that callers are told.
const MAX_ERROR: usize = 8_192;

/// An answer of an API.
#[derive(Debug, Clone, Copy)]
pub struct Answer<'a> {
    /// Its status.
    pub status: StatusCode,
    /// Its content type.
    pub kind: &'a str,
    /// Where the next page of a list is, as the answer says.
    pub next: Option<&'a str>,
    /// Its body.
    pub body: &'a [u8],
}

/// How structured content is shaped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// What was answered.
    Whole,
    /// What was answered in a field `result`: structured content is an object.
    InResult,
    /// There is none: nothing is known of it.
    Unknown,
}

impl Answer<'_> {
    /// The result of the tool.
    #[must_use]
    pub fn result(&self, operation: &str, shape: Shape) -> Value {
        if !self.status.is_success() {
            return self.error();
        }
        if self.body.is_empty() {
            let text = format!("{}: no content", self.status);
            return json!({ "content": [{ "type": "text", "text": text }] });
        }
        let mut result = if is_json(self.kind) {
            self.structured(shape)
        } else {
            json!({ "content": [self.content(operation)] })
        };
        if let (Some(next), Some(content)) = (self.next, result["content"].as_array_mut()) {
            content
                .push(json!({ "type": "text", "text": format!("There is more: the next page is {next}") }));
        }
        result
    }

    fn structured(&self, shape: Shape) -> Value {
        let Ok(value) = serde_json::from_slice::<Value>(self.body) else {
            let text = format!("{}: the API said JSON and sent something else", self.status);
            return json!({ "isError": true, "content": [{ "type": "text", "text": text }] });
        };
        let text = String::from_utf8_lossy(self.body).into_owned();
        let mut result = json!({ "content": [{ "type": "text", "text": text }] });
        let structured = match shape {
            Shape::InResult => Some(json!({ "result": value })),
            _ if value.is_object() => Some(value),
            _ => None,
        };
        if let Some(structured) = structured {
            result["structuredContent"] = structured;
        }
        result
    }

    fn content(&self, operation: &str) -> Value {
        let kind = self.kind.split(';').next().unwrap_or_default().trim();
        let text = std::str::from_utf8(self.body);
        match (kind.split('/').next(), text) {
            (Some("image" | "audio"), _) if kind != "image/svg+xml" => {
                let sort = kind.split('/').next().unwrap_or_default();
                json!({ "type": sort, "data": STANDARD.encode(self.body), "mimeType": kind })
            }
            (_, Ok(text)) => json!({ "type": "text", "text": text }),
            (_, Err(_)) => {
                let uri = format!("openapi://{operation}");
                let blob = STANDARD.encode(self.body);
                json!({ "type": "resource", "resource": { "uri": uri, "mimeType": kind, "blob": blob } })
            }
        }
    }

    /// What went wrong, for who called.
    fn error(&self) -> Value {
        let said: String = String::from_utf8_lossy(self.body)
            .chars()
            .take(MAX_ERROR)
            .collect();
        let text = if self.status.is_redirection() {
            format!("{}: the API leads elsewhere, which is not followed", self.status)
        } else if said.is_empty() {
            self.status.to_string()
        } else {
            format!("{}: {said}", self.status)
        };
        json!({ "isError": true, "content": [{ "type": "text", "text": text }] })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn result(status: u16, kind: &str, body: &[u8], shape: Shape) -> Value {
        let answer = Answer {
            status: StatusCode::from_u16(status).unwrap(),
            kind,
            next: None,
            body,
        };
        answer.result("op", shape)
    }

    #[test]
    fn answers_become_results() {
        let object = result(200, "application/json; charset=utf-8", b"{\"a\":1}", Shape::Whole);
        assert_eq!(object["structuredContent"], json!({ "a": 1 }));
        assert_eq!(object["content"][0]["text"], "{\"a\":1}");
        let list = result(200, "application/json", b"[1]", Shape::InResult);
        assert_eq!(list["structuredContent"], json!({ "result": [1] }));
        let image = result(200, "image/png", b"\x89PNG", Shape::Unknown);
        assert_eq!(image["content"][0]["type"], "image");
        let bytes = result(200, "application/pdf", b"\xff\xfe", Shape::Unknown);
        assert_eq!(bytes["content"][0]["resource"]["mimeType"], "application/pdf");
        assert_eq!(
            result(200, "text/csv", b"a,b", Shape::Unknown)["content"][0]["text"],
            "a,b"
        );
        assert!(result(204, "", b"", Shape::Whole).get("isError").is_none());
    }

    #[test]
    fn errors_are_errors_of_the_tool() {
        for (status, body, expected) in [
            (404, "no such pet", "404 Not Found: no such pet"),
            (500, "", "500 Internal Server Error"),
            (
                302,
                "",
                "302 Found: the API leads elsewhere, which is not followed",
            ),
        ] {
            let result = result(status, "application/json", body.as_bytes(), Shape::Whole);
            assert_eq!(result["isError"], true);
            assert_eq!(result["content"][0]["text"], expected);
            assert!(result.get("structuredContent").is_none());
        }
        let broken = result(200, "application/json", b"{", Shape::Whole);
        assert_eq!(broken["isError"], true);
    }
}

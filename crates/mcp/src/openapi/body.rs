//! What is sent with a call: JSON, a form, a form with files, a text, or bytes.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::HeaderValue;
use percent_encoding::utf8_percent_encode;
use serde_json::{Map, Value};

use super::style::{Style, Way, plain};

/// The kinds of bodies that are sent, the best first.
const KINDS: [fn(&str) -> bool; 5] = [
    is_json,
    |kind| kind == "application/x-www-form-urlencoded",
    |kind| kind == "multipart/form-data",
    |kind| kind.starts_with("text/"),
    |_| true,
];

/// How the body of an operation is written.
#[derive(Debug, Clone)]
pub struct Body {
    /// The content type.
    kind: String,
    /// How fields of a form are written that are not written as usual.
    encodings: Map<String, Value>,
    /// The schema of the body, as callers see it.
    schema: Value,
}

/// Whether a content type is JSON.
#[must_use]
pub fn is_json(kind: &str) -> bool {
    let kind = kind.split(';').next().unwrap_or_default().trim();
    kind.eq_ignore_ascii_case("application/json") || kind.to_ascii_lowercase().ends_with("+json")
}

/// The content type that is used of those that an operation takes.
#[must_use]
pub fn chosen(content: &Map<String, Value>) -> Option<(&String, &Value)> {
    KINDS
        .iter()
        .find_map(|fits| content.iter().find(|(kind, _)| fits(&kind.to_ascii_lowercase())))
}

impl Body {
    /// The body of this content type, with the schema that callers see.
    #[must_use]
    pub fn new(kind: &str, media: &Value, schema: Value) -> Self {
        let encodings = media.get("encoding").and_then(Value::as_object).cloned();
        Self {
            kind: kind.to_owned(),
            encodings: encodings.unwrap_or_default(),
            schema,
        }
    }

    /// Whether it is bytes: what callers give is base64.
    #[must_use]
    pub fn is_binary(&self) -> bool {
        !is_json(&self.kind)
            && !self.kind.starts_with("text/")
            && !self.kind.starts_with("multipart/")
            && self.kind != "application/x-www-form-urlencoded"
    }

    /// Writes it.
    ///
    /// # Errors
    /// When the value cannot be written so.
    pub fn write(&self, value: &Value) -> Result<(HeaderValue, Bytes), String> {
        let (kind, bytes) = if is_json(&self.kind) {
            (self.kind.clone(), value.to_string().into_bytes())
        } else if self.kind == "application/x-www-form-urlencoded" {
            (self.kind.clone(), self.form(value)?.into_bytes())
        } else if self.kind.starts_with("multipart/") {
            let boundary = boundary()?;
            let kind = format!("{}; boundary={boundary}", self.kind);
            (kind, self.parts(value, &boundary)?)
        } else if self.kind.starts_with("text/") {
            (self.kind.clone(), plain(value).into_bytes())
        } else {
            let kind = self.kind.replace("*/*", "application/octet-stream");
            (kind, bytes_of("body", value)?)
        };
        let kind = HeaderValue::try_from(kind).map_err(|_| "its content type cannot be sent".to_owned())?;
        Ok((kind, bytes.into()))
    }

    fn fields(value: &Value) -> Result<&Map<String, Value>, String> {
        value
            .as_object()
            .ok_or_else(|| "`body` must be an object".to_owned())
    }

    fn form(&self, value: &Value) -> Result<String, String> {
        let mut parts = Vec::new();
        for (name, value) in Self::fields(value)? {
            let encoding = self.encodings.get(name);
            let said = |field: &str| encoding.and_then(|encoding| encoding.get(field));
            let style = said("style").and_then(Value::as_str).and_then(Style::of);
            // Objects are JSON unless something else is said of them.
            if value.is_object() && style.is_none() {
                let json = Value::String(value.to_string());
                parts.extend(usual().in_query(name, &json));
                continue;
            }
            let style = style.unwrap_or(Style::Form);
            let way = Way {
                style,
                explode: said("explode")
                    .and_then(Value::as_bool)
                    .unwrap_or(style == Style::Form),
                reserved: false,
            };
            parts.extend(way.in_query(name, value));
        }
        // A form has `+` for a space.
        Ok(parts.join("&").replace("%20", "+"))
    }

    fn parts(&self, value: &Value, boundary: &str) -> Result<Vec<u8>, String> {
        let mut bytes = Vec::new();
        for (name, value) in Self::fields(value)? {
            let each: Vec<&Value> = match value {
                Value::Array(list) if !list.iter().any(Value::is_object) => list.iter().collect(),
                one => vec![one],
            };
            for one in each {
                self.part(&mut bytes, (name, one), boundary)?;
            }
        }
        bytes.extend_from_slice(format!("--{boundary}--\r\n").as_bytes());
        Ok(bytes)
    }

    fn part(&self, bytes: &mut Vec<u8>, (name, value): (&str, &Value), boundary: &str) -> Result<(), String> {
        let said = self
            .encodings
            .get(name)
            .and_then(|encoding| encoding.get("contentType"));
        let said = said
            .and_then(Value::as_str)
            .and_then(|kinds| kinds.split(',').next());
        let said = said.map(str::trim).filter(|kind| !kind.contains('*'));
        let is_file = self.is_file(name);
        let kind = match (said, value) {
            (Some(kind), _) => Some(kind),
            (None, _) if is_file => Some("application/octet-stream"),
            (None, Value::Object(_) | Value::Array(_)) => Some("application/json"),
            _ => None,
        };
        if kind.is_some_and(|kind| kind.contains(['\r', '\n'])) {
            return Err(format!("the content type of {name:?} cannot be sent"));
        }
        // As browsers write them: what would end the name is encoded.
        let quoted = utf8_percent_encode(name, QUOTED).to_string();
        let mut head = format!("--{boundary}\r\nContent-Disposition: form-data; name=\"{quoted}\"");
        if is_file {
            head.push_str(&format!("; filename=\"{quoted}\""));
        }
        if let Some(kind) = kind {
            head.push_str(&format!("\r\nContent-Type: {kind}"));
        }
        head.push_str("\r\n\r\n");
        bytes.extend_from_slice(head.as_bytes());
        if is_file {
            bytes.extend_from_slice(&bytes_of(name, value)?);
        } else {
            bytes.extend_from_slice(plain(value).as_bytes());
        }
        bytes.extend_from_slice(b"\r\n");
        Ok(())
    }

    /// Whether a field is a file, or a list of files.
    fn is_file(&self, name: &str) -> bool {
        let schema = self.schema.get("properties").and_then(|all| all.get(name));
        let schema = schema.map(|schema| schema.get("items").unwrap_or(schema));
        schema
            .and_then(|schema| schema.get("contentEncoding"))
            .is_some_and(|encoding| encoding == "base64")
    }
}

/// What must not stand in a quoted name.
const QUOTED: &percent_encoding::AsciiSet = &percent_encoding::CONTROLS.add(b'"');

fn usual() -> Way {
    Way {
        style: Style::Form,
        explode: true,
        reserved: false,
    }
}

fn bytes_of(name: &str, value: &Value) -> Result<Vec<u8>, String> {
    let text = value.as_str().unwrap_or_default();
    STANDARD
        .decode(text)
        .map_err(|_| format!("`{name}` must be base64 of its bytes"))
}

/// What stands between parts: by chance, so that no part has it.
fn boundary() -> Result<String, String> {
    let mut chance = [0_u8; 16];
    getrandom::fill(&mut chance).map_err(|error| format!("no randomness: {error}"))?;
    Ok(chance
        .iter()
        .fold("pointsman-".to_owned(), |text, byte| format!("{text}{byte:02x}")))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn written(kind: &str, media: &Value, schema: Value, value: &Value) -> (String, String) {
        let (kind, bytes) = Body::new(kind, media, schema).write(value).unwrap();
        let bytes = String::from_utf8(bytes.to_vec()).unwrap();
        (kind.to_str().unwrap().to_owned(), bytes)
    }

    #[test]
    fn forms() {
        let media = json!({ "encoding": { "csv": { "explode": false }, "deep": { "style": "deepObject", "explode": true } } });
        let value = json!({ "a": "1 & 2", "list": ["x", "y"], "csv": ["x", "y"], "deep": { "k": 1 }, "o": { "k": 1 } });
        let (_, form) = written("application/x-www-form-urlencoded", &media, json!({}), &value);
        assert_eq!(
            form,
            "a=1+%26+2&list=x&list=y&csv=x,y&deep%5Bk%5D=1&o=%7B%22k%22%3A1%7D"
        );
    }

    #[test]
    fn parts_of_a_form_with_files() {
        let schema = json!({ "properties": { "file": { "contentEncoding": "base64" } } });
        let value = json!({ "file": "aGVsbG8=", "note\"\r\n": "x", "about": { "k": 1 }, "tags": ["a", "b"] });
        let (kind, text) = written("multipart/form-data", &json!({}), schema, &value);
        let boundary = kind.split_once("boundary=").unwrap().1.to_owned();
        let expected = format!(
            "--{boundary}\r\nContent-Disposition: form-data; name=\"file\"; filename=\"file\"\r\nContent-Type: application/octet-stream\r\n\r\nhello\r\n\
             --{boundary}\r\nContent-Disposition: form-data; name=\"note%22%0D%0A\"\r\n\r\nx\r\n\
             --{boundary}\r\nContent-Disposition: form-data; name=\"about\"\r\nContent-Type: application/json\r\n\r\n{{\"k\":1}}\r\n\
             --{boundary}\r\nContent-Disposition: form-data; name=\"tags\"\r\n\r\na\r\n\
             --{boundary}\r\nContent-Disposition: form-data; name=\"tags\"\r\n\r\nb\r\n--{boundary}--\r\n"
        );
        assert_eq!(text, expected);
    }

    #[test]
    fn the_best_content_type_is_chosen() {
        for (kinds, expected) in [
            (vec!["application/xml", "application/json"], "application/json"),
            (
                vec!["multipart/form-data", "application/vnd.x+json"],
                "application/vnd.x+json",
            ),
            (vec!["application/octet-stream", "text/plain"], "text/plain"),
            (vec!["image/png"], "image/png"),
        ] {
            let content = kinds.iter().map(|kind| ((*kind).to_owned(), json!({}))).collect();
            assert_eq!(chosen(&content).unwrap().0, expected);
        }
        assert!(
            Body::new("image/png", &json!({}), json!({}))
                .write(&json!("no base64"))
                .is_err()
        );
    }
}

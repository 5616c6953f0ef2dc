//! What is changed of requests on their way to a target: headers, body, parameters, and what cannot be expressed.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, header};
use pointsman_config::{RequestConfig, StructuredOutput, Unsupported};
use pointsman_wire::form::ChatRequest;
use pointsman_wire::format::{self, Format};
use pointsman_wire::pointer::{Change, Pointer, PointerError};
use serde_json::Value;

use crate::parameters;

/// Headers that belong to the connection or the body: editing them would break the request.
const OWNED: [HeaderName; 4] = [
    header::HOST,
    header::CONTENT_LENGTH,
    header::TRANSFER_ENCODING,
    header::CONNECTION,
];

/// What is changed, in the order in which it was written: the provider's block, the model's, the target's.
#[derive(Debug, Default)]
pub struct Shape {
    headers: Vec<HeaderEdit>,
    body: Vec<(Pointer, Change)>,
    parameters: Vec<ParameterEdit>,
    /// What becomes of what the target's format cannot express.
    pub unsupported: Unsupported,
    /// How an answer that must follow a schema is had, where a block says so.
    pub structured: Option<StructuredOutput>,
}

#[derive(Debug)]
enum HeaderEdit {
    Remove(HeaderName),
    Set(HeaderName, HeaderValue),
    Add(HeaderName, HeaderValue),
}

#[derive(Debug)]
enum ParameterEdit {
    Drop(String),
    Default(String, Value),
    Override(String, Value),
}

/// What is wrong with a block: where in it, and what.
pub type Wrong = (String, String);

impl Shape {
    /// Adds a block to those before it.
    pub fn add(&mut self, block: &RequestConfig, wrong: &mut Vec<Wrong>) {
        for name in &block.headers.remove {
            self.headers
                .extend(header_name("remove", name, wrong).map(HeaderEdit::Remove));
        }
        for (name, value) in &block.headers.set {
            let edit = header_of("set", name, value, wrong);
            self.headers
                .extend(edit.map(|(name, value)| HeaderEdit::Set(name, value)));
        }
        for (name, value) in &block.headers.add {
            let edit = header_of("add", name, value, wrong);
            self.headers
                .extend(edit.map(|(name, value)| HeaderEdit::Add(name, value)));
        }
        let body = &block.body;
        let removed = body.remove.iter().map(|at| ("remove", at, Change::Remove));
        let defaults = body
            .default
            .iter()
            .map(|(at, value)| ("default", at, Change::Default(value.to_string())));
        let set = body
            .set
            .iter()
            .map(|(at, value)| ("set", at, Change::Set(value.to_string())));
        for (list, at, change) in removed.chain(defaults).chain(set) {
            match Pointer::parse(at) {
                Ok(pointer) => self.body.push((pointer, change)),
                Err(error) => wrong.push((format!("body.{list}.{at}"), error.to_string())),
            }
        }
        let given = &block.parameters;
        let dropped = given.drop.iter().cloned().map(ParameterEdit::Drop);
        self.parameters.extend(dropped);
        for (name, value) in &given.default {
            if check("default", name, value, wrong) {
                self.parameters
                    .push(ParameterEdit::Default(name.clone(), value.clone()));
            }
        }
        for (name, value) in &given.r#override {
            if check("override", name, value, wrong) {
                self.parameters
                    .push(ParameterEdit::Override(name.clone(), value.clone()));
            }
        }
        if let Some(unsupported) = block.unsupported_params {
            self.unsupported = unsupported;
        }
        self.structured = block.structured_output.or(self.structured);
    }

    /// The request with its parameters edited; none when nothing changes.
    pub fn request(&self, request: &ChatRequest) -> Option<ChatRequest> {
        if self.parameters.is_empty() {
            return None;
        }
        let mut edited = request.clone();
        for edit in &self.parameters {
            match edit {
                ParameterEdit::Drop(name) => drop(parameters::remove(&mut edited, name)),
                // Values were checked when the configuration was compiled.
                ParameterEdit::Default(name, value) => {
                    if !parameters::has(&edited, name) {
                        let _ = parameters::set(&mut edited, name, value);
                    }
                }
                ParameterEdit::Override(name, value) => {
                    let _ = parameters::set(&mut edited, name, value);
                }
            }
        }
        (edited != *request).then_some(edited)
    }

    /// The body, edited.
    ///
    /// # Errors
    /// When a place is not there.
    pub fn body(&self, body: Bytes) -> Result<Bytes, PointerError> {
        if self.body.is_empty() {
            return Ok(body);
        }
        let mut text = String::from_utf8_lossy(&body).into_owned();
        for (pointer, change) in &self.body {
            text = pointer.apply(&text, change)?;
        }
        Ok(text.into())
    }

    /// Edits the headers.
    pub fn headers(&self, headers: &mut HeaderMap) {
        for edit in &self.headers {
            match edit {
                HeaderEdit::Remove(name) => drop(headers.remove(name)),
                HeaderEdit::Set(name, value) => drop(headers.insert(name, value.clone())),
                HeaderEdit::Add(name, value) => drop(headers.append(name, value.clone())),
            }
        }
    }
}

fn header_name(list: &str, name: &str, wrong: &mut Vec<Wrong>) -> Option<HeaderName> {
    let parsed = HeaderName::try_from(name)
        .ok()
        .filter(|name| !OWNED.contains(name));
    if parsed.is_none() {
        let message = "is not the name of a header that can be edited";
        wrong.push((format!("headers.{list}.{name}"), message.to_owned()));
    }
    parsed
}

fn header_of(
    list: &str,
    name: &str,
    value: &str,
    wrong: &mut Vec<Wrong>,
) -> Option<(HeaderName, HeaderValue)> {
    let name = header_name(list, name, wrong)?;
    match HeaderValue::from_str(value) {
        Ok(value) => Some((name, value)),
        Err(_) => {
            wrong.push((
                format!("headers.{list}.{name}"),
                "holds what cannot stand in a header".to_owned(),
            ));
            None
        }
    }
}

/// Whether a parameter is known and takes such a value.
fn check(list: &str, name: &str, value: &Value, wrong: &mut Vec<Wrong>) -> bool {
    let blank = Bytes::from_static(b"{\"model\":\"\",\"messages\":[]}");
    let Ok(mut blank) = format::decode_request(Format::OpenAiChat, &blank) else {
        return false;
    };
    match parameters::set(&mut blank, name, value) {
        Ok(()) => true,
        Err(message) => {
            wrong.push((format!("parameters.{list}.{name}"), message.to_owned()));
            false
        }
    }
}

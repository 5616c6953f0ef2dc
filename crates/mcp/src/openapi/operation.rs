//! Operations of a document: which tool each becomes, and which request a call of it becomes.

use std::collections::HashSet;
use std::sync::OnceLock;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use jsonschema::{PatternOptions, Validator};
use percent_encoding::percent_decode_str;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use super::body::{self, Body};
use super::document::{Document, Scheme};
use super::response::{Answer, Shape};
use super::schema::{self, standalone};
use super::style::{Style, Way, encoded};
use super::swagger;

/// Methods that are operations.
const METHODS: [&str; 8] = [
    "get", "put", "post", "delete", "options", "head", "patch", "trace",
];
/// Most operations of a document.
const MAX_OPERATIONS: usize = 5_000;
/// Most letters of a tool's name, and of its description.
const MAX_NAME: usize = 64;
const MAX_DESCRIPTION: usize = 4_096;
/// How often a path is read as one who decodes it would.
const DECODED: usize = 4;
/// Headers that are the gateway's, the connection's or the credential's, not a caller's.
const OWN_HEADERS: [&str; 14] = [
    "accept",
    "content-type",
    "content-length",
    "authorization",
    "proxy-authorization",
    "cookie",
    "host",
    "connection",
    "keep-alive",
    "transfer-encoding",
    "te",
    "trailer",
    "upgrade",
    "expect",
];

/// An operation.
#[derive(Debug)]
pub struct Operation {
    /// The name of its tool.
    pub name: String,
    /// The definition of its tool.
    pub definition: Value,
    method: Method,
    path: Vec<Piece>,
    parameters: Vec<Parameter>,
    body: Option<(String, Body)>,
    shape: Shape,
    checker: OnceLock<Option<Validator>>,
}

/// A call as a request.
#[derive(Debug)]
pub struct Asked {
    /// The method.
    pub method: Method,
    /// Path and query behind the base of the API.
    pub path: String,
    /// Headers that callers set.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
}

/// A piece of a path.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Text(String),
    Parameter(String),
}

/// Where a parameter goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Path,
    Query,
    Header,
    Cookie,
}

#[derive(Debug)]
struct Parameter {
    /// What callers call it.
    argument: String,
    name: String,
    place: Place,
    way: Way,
    /// Whether it is JSON in one text.
    is_json: bool,
    required: bool,
    schema: Value,
}

/// What is sent with a call, beside parameters.
struct Sent {
    /// What callers call it.
    argument: String,
    body: Body,
    /// Its schema, as callers see it.
    shown: Value,
    required: bool,
}

/// All operations of a document, with what is wrong with those that are left out.
#[must_use]
pub fn operations(document: &Document) -> (Vec<Operation>, Vec<String>) {
    let (mut operations, mut wrong) = (Vec::new(), Vec::new());
    let mut names = HashSet::new();
    let schemes = document.schemes();
    let paths = document.get("paths").and_then(Value::as_object);
    for (path, item) in paths
        .into_iter()
        .flatten()
        .filter(|(path, _)| path.starts_with('/'))
    {
        let item = document.resolve(item).unwrap_or(item);
        for (method, operation) in item.as_object().into_iter().flatten() {
            if !METHODS.contains(&method.as_str()) {
                continue;
            }
            if operations.len() >= MAX_OPERATIONS {
                wrong.push(format!("there are more than {MAX_OPERATIONS} operations"));
                return (operations, wrong);
            }
            let about = About {
                document,
                schemes: &schemes,
                item,
                path,
                method,
            };
            match about.compile(operation, &mut names) {
                Ok(operation) => operations.push(operation),
                Err(why) => wrong.push(format!("{} {path}: {why}", method.to_uppercase())),
            }
        }
    }
    (operations, wrong)
}

/// An operation in its document.
struct About<'a> {
    document: &'a Document,
    schemes: &'a [Scheme],
    item: &'a Value,
    path: &'a str,
    method: &'a str,
}

impl About<'_> {
    fn compile(&self, operation: &Value, names: &mut HashSet<String>) -> Result<Operation, String> {
        let said = self.parameters(operation)?;
        let (operation, said) = if self.document.is_swagger() {
            let said: Vec<&Value> = said.iter().collect();
            swagger::operation(self.document, operation, &said)
        } else {
            (operation.clone(), said)
        };
        let mut arguments = HashSet::new();
        let mut parameters = Vec::new();
        for one in &said {
            parameters.extend(self.parameter(one, &mut arguments)?);
        }
        let path = pieces(self.path);
        for piece in &path {
            if let Piece::Parameter(name) = piece
                && !parameters
                    .iter()
                    .any(|one| one.place == Place::Path && one.name == *name)
            {
                return Err(format!("the parameter {name:?} of its path is not described"));
            }
        }
        let sent = self.body(&operation, &mut arguments)?;
        let (shape, output) = self.output(&operation);
        let name = self.name(&operation, names);
        let mut definition = json!({
            "name": name,
            "description": self.description(&operation),
            "inputSchema": input(&parameters, sent.as_ref()),
            "annotations": self.annotations(),
        });
        if let Some(title) = operation.get("summary").and_then(Value::as_str) {
            definition["title"] = json!(title);
        }
        if let Some(output) = output {
            definition["outputSchema"] = output;
        }
        Ok(Operation {
            name,
            definition,
            method: Method::from_bytes(self.method.to_uppercase().as_bytes()).map_err(|e| e.to_string())?,
            path,
            parameters,
            body: sent.map(|sent| (sent.argument, sent.body)),
            shape,
            checker: OnceLock::new(),
        })
    }

    /// The parameters of the path and of the operation; the operation's own count for more.
    fn parameters(&self, operation: &Value) -> Result<Vec<Value>, String> {
        let mut all: Vec<Value> = Vec::new();
        let listed = |holder: &'_ Value| -> Vec<Value> {
            let list = holder.get("parameters").and_then(Value::as_array);
            list.cloned().unwrap_or_default()
        };
        for said in listed(self.item).into_iter().chain(listed(operation)) {
            let parameter = self.document.resolve(&said)?.clone();
            let key = |one: &Value| (one.get("name").cloned(), one.get("in").cloned());
            all.retain(|before| key(before) != key(&parameter));
            all.push(parameter);
        }
        Ok(all)
    }

    /// A parameter; none for what callers do not set.
    fn parameter(&self, said: &Value, arguments: &mut HashSet<String>) -> Result<Option<Parameter>, String> {
        let text = |field: &str| said.get(field).and_then(Value::as_str).unwrap_or_default();
        let name = text("name").to_owned();
        let place = match text("in") {
            "path" => Place::Path,
            "query" => Place::Query,
            "header" => Place::Header,
            "cookie" => Place::Cookie,
            other => {
                return Err(format!(
                    "the parameter {name:?} is in {other:?}, which is not supported"
                ));
            }
        };
        let is_own = place == Place::Header
            && (OWN_HEADERS.contains(&name.to_ascii_lowercase().as_str())
                || HeaderName::try_from(name.as_str()).is_err());
        if is_own || self.is_credential(&name, place) {
            return Ok(None);
        }
        let usual = match place {
            Place::Path | Place::Header => Style::Simple,
            Place::Query | Place::Cookie => Style::Form,
        };
        let style = match text("style") {
            "" => usual,
            style => {
                Style::of(style).ok_or_else(|| format!("the style {style:?} of {name:?} is not supported"))?
            }
        };
        let flag = |field: &str| said.get(field).and_then(Value::as_bool);
        let content = said
            .get("content")
            .and_then(Value::as_object)
            .and_then(|content| content.values().next());
        let schema = content.unwrap_or(said).get("schema");
        let mut schema = schema.map_or_else(
            || json!({}),
            |schema| standalone(self.document, schema, schema::Way::In),
        );
        if let (Some(fields), Some(described)) = (schema.as_object_mut(), said.get("description")) {
            fields.insert("description".to_owned(), described.clone());
        }
        let mut argument = name.clone();
        if !arguments.insert(argument.clone()) {
            argument = format!("{name}_{}", text("in"));
            arguments.insert(argument.clone());
        }
        Ok(Some(Parameter {
            argument,
            name,
            place,
            way: Way {
                style,
                explode: flag("explode").unwrap_or(style == Style::Form),
                reserved: flag("allowReserved").unwrap_or(false),
            },
            is_json: content.is_some(),
            required: place == Place::Path || flag("required").unwrap_or(false),
            schema,
        }))
    }

    /// Whether a parameter is where the API wants its key: that is the gateway's to bring.
    fn is_credential(&self, name: &str, place: Place) -> bool {
        self.schemes.iter().any(|scheme| match (scheme, place) {
            (Scheme::Header(key), Place::Header) => key.eq_ignore_ascii_case(name),
            (Scheme::Query(key), Place::Query) | (Scheme::Cookie(key), Place::Cookie) => key == name,
            _ => false,
        })
    }

    /// The body, if there is any.
    fn body(&self, operation: &Value, arguments: &mut HashSet<String>) -> Result<Option<Sent>, String> {
        let Some(said) = operation.get("requestBody") else {
            return Ok(None);
        };
        let said = self.document.resolve(said)?;
        let content = said.get("content").and_then(Value::as_object);
        let Some((kind, media)) = content.and_then(body::chosen) else {
            return Ok(None);
        };
        let schema = media.get("schema").map_or_else(
            || json!({}),
            |schema| standalone(self.document, schema, schema::Way::In),
        );
        let body = Body::new(kind, media, schema.clone());
        let mut shown = schema;
        if body.is_binary() {
            shown = json!({ "type": "string", "contentEncoding": "base64", "description": format!("The bytes ({kind}) in base64.") });
        } else if let (Some(fields), Some(described)) = (
            shown.as_object_mut(),
            said.get("description").filter(|said| said.is_string()),
        ) {
            fields.entry("description").or_insert_with(|| described.clone());
        }
        let argument = if arguments.insert("body".to_owned()) {
            "body"
        } else {
            "request_body"
        };
        Ok(Some(Sent {
            argument: argument.to_owned(),
            body,
            shown,
            required: said.get("required").and_then(Value::as_bool).unwrap_or(false),
        }))
    }

    /// What is known of successful answers, where all of them are JSON of one schema.
    fn output(&self, operation: &Value) -> (Shape, Option<Value>) {
        let responses = operation.get("responses").and_then(Value::as_object);
        let successes = responses
            .into_iter()
            .flatten()
            .filter(|(status, _)| status.starts_with('2'));
        let mut found = None;
        for (_, response) in successes {
            let response = self.document.resolve(response).unwrap_or(response);
            let content = response.get("content").and_then(Value::as_object);
            let Some((kind, media)) = content.and_then(body::chosen) else {
                return (Shape::Unknown, None);
            };
            let (true, Some(schema)) = (body::is_json(kind), media.get("schema")) else {
                return (Shape::Unknown, None);
            };
            if found.as_ref().is_some_and(|before| before != schema) {
                return (Shape::Unknown, None);
            }
            found = Some(schema.clone());
        }
        let Some(schema) = found else {
            return (Shape::Unknown, None);
        };
        let mut schema = standalone(self.document, &schema, schema::Way::Out);
        let is_object = match schema.get("type") {
            Some(kind) => kind == "object",
            None => schema.get("properties").is_some(),
        };
        if is_object {
            schema["type"] = json!("object");
            return (Shape::Whole, Some(schema));
        }
        let whole = json!({ "type": "object", "properties": { "result": schema }, "required": ["result"] });
        (Shape::InResult, Some(whole))
    }

    /// A name that no other tool of the document has.
    fn name(&self, operation: &Value, names: &mut HashSet<String>) -> String {
        let said = operation.get("operationId").and_then(Value::as_str);
        let said = said.map_or_else(|| format!("{}_{}", self.method, self.path), str::to_owned);
        let mut name = String::new();
        for letter in said.chars() {
            if letter.is_ascii_alphanumeric() || letter == '-' {
                name.push(letter);
            } else if !name.ends_with('_') && !name.is_empty() {
                name.push('_');
            }
        }
        let name = name.trim_matches('_');
        let name = if name.is_empty() { "operation" } else { name };
        let whole = if name.len() > MAX_NAME {
            let hash = Sha256::digest(said.as_bytes());
            format!(
                "{}_{:02x}{:02x}{:02x}{:02x}",
                &name[..MAX_NAME - 9],
                hash[0],
                hash[1],
                hash[2],
                hash[3]
            )
        } else {
            name.to_owned()
        };
        let mut unique = whole.clone();
        let mut number = 2;
        while !names.insert(unique.clone()) {
            unique = format!("{whole}_{number}");
            number += 1;
        }
        unique
    }

    fn description(&self, operation: &Value) -> String {
        let said = ["summary", "description"].map(|field| operation.get(field).and_then(Value::as_str));
        let mut said: Vec<&str> = said
            .into_iter()
            .flatten()
            .filter(|said| !said.is_empty())
            .collect();
        said.dedup();
        let described = if said.is_empty() {
            format!("{} {}", self.method.to_uppercase(), self.path)
        } else {
            said.join("\n\n")
        };
        described.chars().take(MAX_DESCRIPTION).collect()
    }

    fn annotations(&self) -> Value {
        let reads = matches!(self.method, "get" | "head" | "options" | "trace");
        let mut annotations = json!({ "readOnlyHint": reads, "openWorldHint": true });
        if !reads {
            annotations["destructiveHint"] = json!(matches!(self.method, "delete" | "put" | "patch"));
            annotations["idempotentHint"] = json!(matches!(self.method, "delete" | "put"));
        }
        annotations
    }
}

/// The schema of a tool's arguments.
fn input(parameters: &[Parameter], sent: Option<&Sent>) -> Value {
    let mut properties = Map::new();
    let mut required = Vec::new();
    for one in parameters {
        properties.insert(one.argument.clone(), one.schema.clone());
        if one.required {
            required.push(one.argument.clone());
        }
    }
    if let Some(sent) = sent {
        properties.insert(sent.argument.clone(), sent.shown.clone());
        if sent.required {
            required.push(sent.argument.clone());
        }
    }
    let mut schema = json!({ "type": "object", "properties": properties, "additionalProperties": false });
    if !required.is_empty() {
        schema["required"] = json!(required);
    }
    schema
}

fn pieces(path: &str) -> Vec<Piece> {
    let mut pieces = Vec::new();
    let mut rest = path;
    while let Some((before, after)) = rest.split_once('{') {
        let Some((name, behind)) = after.split_once('}') else {
            break;
        };
        pieces.push(Piece::Text(before.to_owned()));
        pieces.push(Piece::Parameter(name.to_owned()));
        rest = behind;
    }
    pieces.push(Piece::Text(rest.to_owned()));
    pieces
}

impl Operation {
    /// A call as a request.
    ///
    /// # Errors
    /// What is wrong with the arguments.
    pub fn ask(&self, arguments: &Map<String, Value>) -> Result<Asked, String> {
        self.check(arguments)?;
        let mut path = String::new();
        for piece in &self.path {
            match piece {
                Piece::Text(text) => path.push_str(text),
                Piece::Parameter(name) => {
                    path.push_str(&self.in_path(name, arguments)?);
                }
            }
        }
        stays_in_place(&path)?;
        let query = self.query(arguments);
        if !query.is_empty() {
            path = format!("{path}?{}", query.join("&"));
        }
        let mut headers = self.headers(arguments)?;
        let mut body = Bytes::new();
        if let Some((argument, written)) = &self.body
            && let Some(value) = arguments.get(argument)
        {
            let (kind, bytes) = written.write(value)?;
            headers.insert(header::CONTENT_TYPE, kind);
            body = bytes;
        }
        Ok(Asked {
            method: self.method.clone(),
            path,
            headers,
            body,
        })
    }

    /// The result of the tool for an answer.
    #[must_use]
    pub fn result(&self, answer: &Answer<'_>) -> Value {
        answer.result(&self.name, self.shape)
    }

    /// Holds arguments against the schema.
    fn check(&self, arguments: &Map<String, Value>) -> Result<(), String> {
        let checker = self.checker.get_or_init(|| {
            let checking = jsonschema::options().with_pattern_options(PatternOptions::regex());
            checking.build(&self.definition["inputSchema"]).ok()
        });
        let Some(checker) = checker else { return Ok(()) };
        let value = Value::Object(arguments.clone());
        let wrong = checker.iter_errors(&value).next();
        wrong.map_or(Ok(()), |error| {
            let at = error.instance_path().to_string();
            let at = if at.is_empty() { "the arguments" } else { &at };
            // The error names the values: they are the caller's own.
            let said: String = error.to_string().chars().take(500).collect();
            Err(format!("{at}: {said}"))
        })
    }

    fn of(&self, place: Place) -> impl Iterator<Item = &Parameter> {
        self.parameters.iter().filter(move |one| one.place == place)
    }

    fn in_path(&self, name: &str, arguments: &Map<String, Value>) -> Result<String, String> {
        let parameter = self
            .of(Place::Path)
            .find(|one| one.name == name)
            .ok_or("a parameter of its path is not described")?;
        let value = arguments
            .get(&parameter.argument)
            .ok_or_else(|| format!("`{}` is missing", parameter.argument))?;
        let written = if parameter.is_json {
            encoded(&value.to_string())
        } else {
            parameter.way.in_path(name, value)
        };
        if written.is_empty() {
            return Err(format!("`{}` is empty", parameter.argument));
        }
        Ok(written)
    }

    fn query(&self, arguments: &Map<String, Value>) -> Vec<String> {
        let mut parts = Vec::new();
        for one in self.of(Place::Query) {
            match arguments.get(&one.argument) {
                None | Some(Value::Null) => {}
                Some(value) if one.is_json => {
                    parts.push(format!("{}={}", encoded(&one.name), encoded(&value.to_string())));
                }
                Some(value) => parts.extend(one.way.in_query(&one.name, value)),
            }
        }
        parts
    }

    fn headers(&self, arguments: &Map<String, Value>) -> Result<HeaderMap, String> {
        let mut headers = HeaderMap::new();
        let mut cookies = Vec::new();
        for one in &self.parameters {
            let Some(value) = arguments.get(&one.argument).filter(|value| !value.is_null()) else {
                continue;
            };
            match one.place {
                Place::Header => {
                    let written = if one.is_json {
                        value.to_string()
                    } else {
                        one.way.in_header(value)
                    };
                    let name = HeaderName::try_from(one.name.as_str());
                    let value = HeaderValue::try_from(written);
                    let (Ok(name), Ok(value)) = (name, value) else {
                        return Err(format!("`{}` cannot be sent in a header", one.argument));
                    };
                    headers.insert(name, value);
                }
                Place::Cookie if one.is_json => {
                    cookies.push(format!("{}={}", encoded(&one.name), encoded(&value.to_string())));
                }
                Place::Cookie => cookies.extend(one.way.in_cookie(&one.name, value)),
                Place::Path | Place::Query => {}
            }
        }
        if !cookies.is_empty() {
            let value = HeaderValue::try_from(cookies.join("; "));
            headers.insert(header::COOKIE, value.map_err(|_| "a cookie cannot be sent")?);
        }
        Ok(headers)
    }
}

/// Whether a path leads where its template does: no value may hold a step up, however it is written. Servers decode what
/// is sent, some of them twice, and some take `\\` for `/` or drop what is behind a `;`.
fn stays_in_place(path: &str) -> Result<(), String> {
    let is_step = |segment: &str| {
        let name = segment.split(';').next().unwrap_or_default();
        matches!(name, "." | "..")
    };
    let mut text = path.to_owned();
    for _ in 0..DECODED {
        if text.split(['/', '\\']).any(is_step) {
            return Err("a parameter of the path may not be or hold `.` or `..` as a step".to_owned());
        }
        text = percent_decode_str(&text).decode_utf8_lossy().into_owned();
    }
    Ok(())
}

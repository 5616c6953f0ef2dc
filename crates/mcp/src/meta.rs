//! What the stateless protocol says in each request: metadata in the body, and headers that must agree with it.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use serde_json::Value;

use crate::error::RpcError;
use crate::message::{Object, Request};
use crate::version::{MODERN, Version};

/// The version a request is made in.
pub const PROTOCOL_VERSION: &str = "io.modelcontextprotocol/protocolVersion";
/// What the client can do.
pub const CLIENT_CAPABILITIES: &str = "io.modelcontextprotocol/clientCapabilities";
/// What the client is.
pub const CLIENT_INFO: &str = "io.modelcontextprotocol/clientInfo";
/// What the server is.
pub const SERVER_INFO: &str = "io.modelcontextprotocol/serverInfo";
/// From which level on logs are sent.
pub const LOG_LEVEL: &str = "io.modelcontextprotocol/logLevel";
/// To which subscription a notification belongs.
pub const SUBSCRIPTION_ID: &str = "io.modelcontextprotocol/subscriptionId";

/// The header of the version.
pub const VERSION_HEADER: HeaderName = HeaderName::from_static("mcp-protocol-version");
/// The header of the method.
pub const METHOD_HEADER: HeaderName = HeaderName::from_static("mcp-method");
/// The header of the name or URI.
pub const NAME_HEADER: HeaderName = HeaderName::from_static("mcp-name");
/// The header of the session, in versions that have any.
pub const SESSION_HEADER: HeaderName = HeaderName::from_static("mcp-session-id");

/// The field of the parameters that `Mcp-Name` repeats.
#[must_use]
pub fn named_by(method: &str) -> Option<&'static str> {
    match method {
        "tools/call" | "prompts/get" => Some("name"),
        "resources/read" => Some("uri"),
        "tasks/get" | "tasks/update" | "tasks/cancel" => Some("taskId"),
        _ => None,
    }
}

/// The metadata of a request's parameters.
#[must_use]
pub fn of(params: &Object) -> Object {
    params.object("_meta").unwrap_or_default()
}

/// Whether a request says its version itself.
#[must_use]
pub fn is_modern(params: &Object) -> bool {
    of(params).get(PROTOCOL_VERSION).is_some()
}

/// Checks that metadata are there, and that the headers say the same as the body.
///
/// # Errors
/// What is missing, not supported or not the same.
pub fn check(request: &Request, headers: &HeaderMap) -> Result<(), RpcError> {
    let meta = of(&request.params);
    let Some(version) = meta.text(PROTOCOL_VERSION) else {
        return Err(missing(PROTOCOL_VERSION));
    };
    let said = header(headers, &VERSION_HEADER)?
        .ok_or_else(|| RpcError::headers("the header MCP-Protocol-Version is missing"))?;
    if said != version {
        return Err(mismatch("MCP-Protocol-Version", &said, &version));
    }
    if !Version::from_name(&version).is_some_and(Version::is_modern) {
        return Err(RpcError::version(&version, &[MODERN.name()]));
    }
    if meta.object(CLIENT_CAPABILITIES).is_none() {
        return Err(missing(CLIENT_CAPABILITIES));
    }
    match header(headers, &METHOD_HEADER)? {
        Some(said) if said == request.method => {}
        Some(said) => return Err(mismatch("Mcp-Method", &said, &request.method)),
        None => return Err(RpcError::headers("the header Mcp-Method is missing")),
    }
    let Some(field) = named_by(&request.method) else {
        return Ok(());
    };
    let Some(name) = request.params.text(field) else {
        return Err(RpcError::params(format!("`{field}` is missing")).with(StatusCode::BAD_REQUEST));
    };
    match header(headers, &NAME_HEADER)? {
        Some(said) if decoded(&said)? == name => Ok(()),
        Some(said) => Err(mismatch("Mcp-Name", &said, &name)),
        None => Err(RpcError::headers("the header Mcp-Name is missing")),
    }
}

fn missing(key: &str) -> RpcError {
    RpcError::params(format!("`_meta` has no {key}")).with(StatusCode::BAD_REQUEST)
}

fn mismatch(name: &str, header: &str, body: &str) -> RpcError {
    RpcError::headers(format!("the header {name} says {header:?}, the body {body:?}"))
}

fn header(headers: &HeaderMap, name: &HeaderName) -> Result<Option<String>, RpcError> {
    let mut values = headers.get_all(name).iter();
    let Some(value) = values.next() else {
        return Ok(None);
    };
    if values.next().is_some() {
        return Err(RpcError::headers(format!("the header {name} comes twice")));
    }
    match value.to_str() {
        Ok(text) => Ok(Some(text.trim().to_owned())),
        Err(_) => Err(RpcError::headers(format!(
            "the header {name} holds characters that it cannot; encode them"
        ))),
    }
}

const ENCODED: (&str, &str) = ("=?base64?", "?=");

fn decoded(value: &str) -> Result<String, RpcError> {
    let inner = value
        .strip_prefix(ENCODED.0)
        .and_then(|rest| rest.strip_suffix(ENCODED.1));
    let Some(inner) = inner else {
        return Ok(value.to_owned());
    };
    let bytes = STANDARD.decode(inner).ok();
    bytes
        .and_then(|bytes| String::from_utf8(bytes).ok())
        .ok_or_else(|| RpcError::headers(format!("{value:?} is not base64 of UTF-8")))
}

/// A value as a header may have it.
#[must_use]
pub fn encoded(value: &str) -> Option<HeaderValue> {
    let plain = value.bytes().all(|byte| matches!(byte, b' '..=b'~' | b'\t'))
        && value.trim() == value
        && !(value.starts_with(ENCODED.0) && value.ends_with(ENCODED.1));
    if plain {
        return HeaderValue::try_from(value).ok();
    }
    let inner = STANDARD.encode(value);
    HeaderValue::try_from(format!("{}{inner}{}", ENCODED.0, ENCODED.1)).ok()
}

/// A parameter of a tool that is repeated in a header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mirrored {
    /// The header.
    pub header: HeaderName,
    /// The way to the parameter through the arguments.
    pub path: Vec<String>,
}

/// The parameters of a schema that are repeated in headers.
///
/// # Errors
/// Why what the schema says of them breaks the rules: such a tool must not be shown.
pub fn mirrored(schema: &Value) -> Result<Vec<Mirrored>, String> {
    let mut found = Vec::new();
    walk(schema, &mut Vec::new(), true, &mut found)?;
    for (at, one) in found.iter().enumerate() {
        if found[..at].iter().any(|other| other.header == one.header) {
            return Err(format!("{} is the header of two parameters", one.header));
        }
    }
    Ok(found)
}

fn walk(
    schema: &Value,
    path: &mut Vec<String>,
    reachable: bool,
    found: &mut Vec<Mirrored>,
) -> Result<(), String> {
    let Some(fields) = schema.as_object() else {
        if let Some(list) = schema.as_array() {
            return list.iter().try_for_each(|one| walk(one, path, false, found));
        }
        return Ok(());
    };
    if let Some(name) = fields.get("x-mcp-header") {
        let name = name
            .as_str()
            .filter(|name| !name.is_empty())
            .ok_or("x-mcp-header is empty")?;
        if !reachable || path.is_empty() {
            return Err(format!(
                "x-mcp-header {name:?} stands where no parameter can be read"
            ));
        }
        let kind = fields.get("type").and_then(Value::as_str);
        if !matches!(kind, Some("string" | "integer" | "boolean")) {
            return Err(format!(
                "x-mcp-header {name:?} is not on a text, whole number or boolean"
            ));
        }
        let header = HeaderName::try_from(format!("mcp-param-{name}").to_ascii_lowercase())
            .map_err(|_| format!("x-mcp-header {name:?} is not the name of a header"))?;
        found.push(Mirrored {
            header,
            path: path.clone(),
        });
    }
    for (key, value) in fields {
        if key == "properties" && reachable {
            for (name, inner) in value.as_object().into_iter().flatten() {
                path.push(name.clone());
                walk(inner, path, true, found)?;
                path.pop();
            }
        } else if !matches!(key.as_str(), "default" | "const" | "enum" | "examples") {
            walk(value, path, false, found)?;
        }
    }
    Ok(())
}

impl Mirrored {
    /// What the arguments of a call have for it, as a header says it.
    #[must_use]
    pub fn value(&self, arguments: &Value) -> Option<String> {
        let mut at = arguments;
        for step in &self.path {
            at = at.get(step)?;
        }
        match at {
            Value::String(text) => Some(text.clone()),
            Value::Bool(truth) => Some(truth.to_string()),
            Value::Number(number) => Some(number.to_string()),
            _ => None,
        }
    }

    /// Checks the header of a call against its arguments.
    ///
    /// # Errors
    /// When they do not say the same.
    pub fn check(&self, headers: &HeaderMap, arguments: &Value) -> Result<(), RpcError> {
        let said = header(headers, &self.header)?
            .map(|said| decoded(&said))
            .transpose()?;
        let meant = self.value(arguments);
        let same = match (&said, &meant) {
            (Some(said), Some(meant)) => {
                said == meant
                    || said
                        .parse::<f64>()
                        .is_ok_and(|a| meant.parse::<f64>().is_ok_and(|b| a == b))
            }
            (None, None) => true,
            _ => false,
        };
        if same {
            return Ok(());
        }
        let name = self.header.as_str();
        Err(mismatch(
            name,
            said.as_deref().unwrap_or("nothing"),
            meant.as_deref().unwrap_or("nothing"),
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::Id;

    fn request(method: &str, params: &str) -> Request {
        Request {
            id: Id::Number(1),
            method: method.to_owned(),
            params: Object::parse(params).unwrap(),
        }
    }

    fn headers(list: &[(&'static str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in list {
            headers.append(*name, HeaderValue::try_from(*value).unwrap());
        }
        headers
    }

    const META: &str = r#""_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}"#;

    fn judged(method: &str, params: &str, list: &[(&'static str, &str)]) -> Result<(), i64> {
        let version = ("mcp-protocol-version", "2026-07-28");
        let list = [&[version], list].concat();
        check(&request(method, &format!("{{{params}{META}}}")), &headers(&list)).map_err(|error| error.code)
    }

    #[test]
    fn headers_and_body_must_agree() {
        let list = ("mcp-method", "tools/list");
        let call = ("mcp-method", "tools/call");
        assert_eq!(judged("tools/list", "", &[list]), Ok(()));
        assert_eq!(judged("tools/list", "", &[]), Err(-32020));
        assert_eq!(judged("tools/list", "", &[call]), Err(-32020));
        assert_eq!(judged("tools/list", "", &[list, list]), Err(-32020));
        let named = r#""name":"a é","#;
        assert_eq!(judged("tools/call", named, &[call]), Err(-32020));
        assert_eq!(
            judged("tools/call", named, &[call, ("mcp-name", "=?base64?YSDDqQ==?=")]),
            Ok(())
        );
        assert_eq!(
            judged("tools/call", named, &[call, ("mcp-name", "=?base64?*?=")]),
            Err(-32020)
        );
        assert_eq!(
            judged("tools/call", named, &[call, ("mcp-name", "a")]),
            Err(-32020)
        );
    }

    #[test]
    fn metadata_must_be_there_in_a_version_that_is_spoken() {
        let with = |meta: &str, version| {
            let list = [("mcp-protocol-version", version), ("mcp-method", "ping")];
            let error = check(
                &request("ping", &format!(r#"{{"_meta":{meta}}}"#)),
                &headers(&list),
            )
            .unwrap_err();
            (error.code, error.status.as_u16())
        };
        assert_eq!(with("{}", "2026-07-28"), (-32602, 400));
        assert_eq!(
            with(
                r#"{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}"#,
                "2026-07-28"
            ),
            (-32602, 400)
        );
        assert_eq!(
            with(
                r#"{"io.modelcontextprotocol/protocolVersion":"1900-01-01"}"#,
                "1900-01-01"
            ),
            (-32022, 400)
        );
        assert_eq!(
            with(
                r#"{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}"#,
                "2025-11-25"
            ),
            (-32020, 400)
        );
    }

    #[test]
    fn values_are_encoded_where_headers_cannot_hold_them() {
        for (value, expected) in [
            ("us-west1", "us-west1"),
            (" padded ", "=?base64?IHBhZGRlZCA=?="),
            ("line1\nline2", "=?base64?bGluZTEKbGluZTI=?="),
            ("=?base64?literal?=", "=?base64?PT9iYXNlNjQ/bGl0ZXJhbD89?="),
        ] {
            let header = encoded(value).unwrap();
            assert_eq!(header.to_str().unwrap(), expected);
            assert_eq!(decoded(header.to_str().unwrap()).unwrap(), value);
        }
    }

    #[test]
    fn parameters_in_headers_stand_where_they_can_be_read() {
        let schema = serde_json::json!({"type": "object", "properties": {
            "region": {"type": "string", "x-mcp-header": "Region"},
            "deep": {"type": "object", "properties": {"n": {"type": "integer", "x-mcp-header": "N"}}},
        }});
        let found = mirrored(&schema).unwrap();
        let arguments = serde_json::json!({"region": "eu", "deep": {"n": 42}});
        let ok = headers(&[("mcp-param-region", "eu"), ("mcp-param-n", "42.0")]);
        assert!(found.iter().all(|one| one.check(&ok, &arguments).is_ok()));
        assert!(
            found
                .iter()
                .any(|one| one.check(&headers(&[]), &arguments).is_err())
        );
        for bad in [
            serde_json::json!({"properties": {"a": {"type": "number", "x-mcp-header": "A"}}}),
            serde_json::json!({"properties": {"a": {"type": "string", "x-mcp-header": ""}}}),
            serde_json::json!({"properties": {"a": {"type": "string", "x-mcp-header": "a b"}}}),
            serde_json::json!({"properties": {"a": {"items": {"type": "string", "x-mcp-header": "A"}}}}),
            serde_json::json!({"properties": {"a": {"type": "string", "x-mcp-header": "A"}, "b": {"type": "string", "x-mcp-header": "a"}}}),
        ] {
            assert!(mirrored(&bad).is_err(), "{bad}");
        }
    }
}

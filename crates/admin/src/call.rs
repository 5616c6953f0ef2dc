//! One call of the admin API: what is asked, and what is answered.

use std::borrow::Cow;
use std::sync::Arc;

use bytes::Bytes;
use http::header::HeaderName;
use http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use http_body_util::Full;
use percent_encoding::percent_decode_str;
use pointsman_gateway::Gateway;
use pointsman_store::{Actor, Permission, Store, StoreError, Within};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use crate::access::Caller;
use crate::configuration::Configuration;
use crate::scim::{self, ScimType};
use crate::sign_in::Descriptions;

/// Items of a page, when nobody says how many.
pub const PAGE: u32 = 50;
/// What most bodies are.
const JSON: &str = "application/json";
/// Items of a page, at most.
pub const MAX_PAGE: u32 = 1_000;

/// What is asked.
pub struct Call {
    /// Whose keys it is about.
    pub gateway: Arc<Gateway>,
    /// What it was configured to be.
    pub configuration: Arc<Configuration>,
    /// Who asks.
    pub caller: Caller,
    /// Who asks, for the audit log.
    pub actor: Actor,
    /// What identity providers tell of themselves.
    pub descriptions: Arc<Descriptions>,
    /// What stands in the path where the route has a name in braces.
    pub segments: Vec<String>,
    /// After the question mark, decoded.
    pub query: Vec<(String, String)>,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body.
    pub body: Bytes,
}

/// What is answered.
pub type Answer = Result<Reply, Failed>;

/// An answer with a body.
#[derive(Debug)]
pub struct Reply {
    status: StatusCode,
    body: Option<Value>,
    version: Option<i64>,
    more: Vec<(HeaderName, HeaderValue)>,
    media: &'static str,
}

/// Why there is none.
#[derive(Debug)]
pub struct Failed {
    status: StatusCode,
    message: String,
    /// Which of SCIM's reasons it is.
    kind: Option<ScimType>,
}

impl Failed {
    /// With this status.
    pub fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self {
            status,
            message: message.into(),
            kind: None,
        }
    }

    /// For one of SCIM's reasons.
    pub fn of_kind(self, kind: ScimType) -> Self {
        Self {
            kind: Some(kind),
            ..self
        }
    }

    /// Which of SCIM's reasons it is.
    #[cfg(test)]
    pub fn kind(&self) -> Option<ScimType> {
        self.kind
    }

    /// What is asked for makes no sense.
    pub fn wrong(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, message)
    }

    /// What it is about is not there.
    pub fn absent(message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, message)
    }

    fn class(&self) -> &'static str {
        match self.status.as_u16() {
            400 | 422 => "bad_request_error",
            401 => "auth_error",
            403 => "permission_error",
            404 => "not_found_error",
            409 | 412 => "conflict_error",
            413 | 415 => "validation_error",
            _ => "internal_server_error",
        }
    }

    /// As an answer; the code is a text, as scripts for LiteLLM expect it.
    pub fn reply(self) -> Response<Full<Bytes>> {
        let error = json!({ "error": {
            "message": self.message,
            "type": self.class(),
            "param": null,
            "code": self.status.as_str(),
        }});
        self.refused(&error, JSON)
    }

    /// As an answer of SCIM (RFC 7644, section 3.12); its status is a text, too.
    pub fn into_scim(self) -> Response<Full<Bytes>> {
        let of_status = (self.status == StatusCode::CONFLICT).then_some(ScimType::Uniqueness);
        let mut error = json!({
            "schemas": ["urn:ietf:params:scim:api:messages:2.0:Error"],
            "status": self.status.as_str(),
            "detail": self.message,
        });
        if let Some(kind) = self.kind.or(of_status) {
            error["scimType"] = json!(kind.as_str());
        }
        self.refused(&error, scim::MEDIA_TYPE)
    }

    fn refused(&self, error: &Value, media: &'static str) -> Response<Full<Bytes>> {
        let mut reply = whole(self.status, (Some(error), media));
        if self.status == StatusCode::UNAUTHORIZED {
            let bearer = HeaderValue::from_static("Bearer");
            reply.headers_mut().insert(header::WWW_AUTHENTICATE, bearer);
        }
        reply
    }
}

impl From<StoreError> for Failed {
    fn from(error: StoreError) -> Self {
        let status = match &error {
            StoreError::NoSuchKey(_) | StoreError::NoSuchHolder { .. } => StatusCode::NOT_FOUND,
            StoreError::Exists { .. } | StoreError::InUse(_) => StatusCode::CONFLICT,
            StoreError::Changed => StatusCode::PRECONDITION_FAILED,
            StoreError::Invalid(_) => StatusCode::BAD_REQUEST,
            StoreError::Unreachable(_) => {
                tracing::warn!(%error, "the admin API could not ask the database");
                let message = "the database cannot be reached now; try again in a moment";
                return Self::new(StatusCode::SERVICE_UNAVAILABLE, message);
            }
            _ => {
                tracing::error!(%error, "the admin API could not use the database");
                let message = "the database cannot be used; the log says why";
                return Self::new(StatusCode::INTERNAL_SERVER_ERROR, message);
            }
        };
        Self::new(status, error.to_string())
    }
}

impl Reply {
    /// An answer.
    pub fn of(body: Value) -> Self {
        Self {
            status: StatusCode::OK,
            body: Some(body),
            version: None,
            more: Vec::new(),
            media: JSON,
        }
    }

    /// Something was made.
    pub fn made(body: Value) -> Self {
        Self {
            status: StatusCode::CREATED,
            ..Self::of(body)
        }
    }

    /// Done, and nothing to say.
    pub fn done() -> Self {
        Self {
            status: StatusCode::NO_CONTENT,
            body: None,
            version: None,
            more: Vec::new(),
            media: JSON,
        }
    }

    /// The client has it already.
    pub fn unchanged() -> Self {
        Self {
            status: StatusCode::NOT_MODIFIED,
            ..Self::done()
        }
    }

    /// What its body is, where that is not just JSON.
    pub fn speaks(&mut self, media: &'static str) {
        self.media = media;
    }

    /// To be found elsewhere, by GET.
    pub fn to(location: HeaderValue) -> Self {
        Self {
            status: StatusCode::SEE_OTHER,
            ..Self::done()
        }
        .with(header::LOCATION, location)
    }

    /// With this header.
    pub fn with(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.more.push((name, value));
        self
    }

    /// With the version of what it is about, to be sent back as `If-Match`.
    pub fn versioned(mut self, version: i64) -> Self {
        self.version = Some(version);
        self
    }

    /// As it goes out.
    pub fn reply(self) -> Response<Full<Bytes>> {
        let mut reply = whole(self.status, (self.body.as_ref(), self.media));
        if let Some(tag) = self
            .version
            .and_then(|version| HeaderValue::from_str(&format!("\"{version}\"")).ok())
        {
            reply.headers_mut().insert(header::ETAG, tag);
        }
        for (name, value) in self.more {
            reply.headers_mut().append(name, value);
        }
        reply
    }
}

fn whole(status: StatusCode, (body, media): (Option<&Value>, &'static str)) -> Response<Full<Bytes>> {
    let text = body.map(|body| body.to_string() + "\n").unwrap_or_default();
    let mut reply = Response::new(Full::new(text.into()));
    *reply.status_mut() = status;
    let headers = reply.headers_mut();
    if body.is_some() {
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(media));
    }
    // What is told here is for this one reader, and is a page of nobody's.
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    );
    reply
}

impl Call {
    /// Keys and ledger.
    pub fn store(&self) -> &Store {
        self.gateway.store()
    }

    /// To what belongs where the caller may do this: what lists show, and nothing else.
    pub fn within(&self, permission: Permission) -> Option<Within> {
        self.caller.within(permission)
    }

    /// The value at this place of the path.
    pub fn segment(&self, at: usize) -> &str {
        self.segments.get(at).map_or("", String::as_str)
    }

    /// The version that the client has seen, if it says so.
    pub fn expected(&self) -> Result<Option<i64>, Failed> {
        let Some(tag) = self.headers.get(header::IF_MATCH) else {
            return Ok(None);
        };
        let tag = tag.to_str().unwrap_or_default().trim();
        if tag == "*" {
            return Ok(None);
        }
        let version = tag.trim_start_matches("W/").trim_matches('"').parse();
        version.map(Some).map_err(|_| {
            Failed::new(
                StatusCode::PRECONDITION_FAILED,
                "If-Match is no version; read it again",
            )
        })
    }

    /// The body as an object; an empty one is one without fields.
    pub fn object(&self) -> Result<Map<String, Value>, Failed> {
        if self.body.is_empty() {
            return Ok(Map::new());
        }
        serde_json::from_slice(&self.body)
            .map_err(|error| Failed::wrong(format!("the body is no JSON object: {error}")))
    }

    /// The body as what it must be.
    pub fn read<T: DeserializeOwned>(&self) -> Result<T, Failed> {
        parse(Value::Object(self.object()?))
    }

    /// The value of a parameter.
    pub fn parameter(&self, name: &str) -> Option<&str> {
        let found = self.query.iter().find(|(key, _)| key == name);
        found
            .map(|(_, value)| value.as_str())
            .filter(|value| !value.is_empty())
    }

    /// Refuses parameters that nothing is known of: a filter that is not understood would show too much.
    pub fn only(&self, known: &[&str]) -> Result<(), Failed> {
        match self.query.iter().find(|(key, _)| !known.contains(&key.as_str())) {
            None => Ok(()),
            Some((key, _)) => Err(Failed::wrong(format!(
                "there is no parameter {key:?} here; there is {}",
                known.join(", ")
            ))),
        }
    }

    /// A parameter that is a number.
    pub fn number(&self, name: &str) -> Result<Option<u32>, Failed> {
        let Some(text) = self.parameter(name) else {
            return Ok(None);
        };
        text.parse()
            .map(Some)
            .map_err(|_| Failed::wrong(format!("{name} must be a number, not {text:?}")))
    }

    /// How many items a page shall have.
    pub fn limit(&self, name: &str) -> Result<u32, Failed> {
        match self.number(name)? {
            None => Ok(PAGE),
            Some(limit @ 1..=MAX_PAGE) => Ok(limit),
            Some(_) => Err(Failed::wrong(format!("{name} must be between 1 and {MAX_PAGE}"))),
        }
    }

    /// Puts what has been changed into force.
    pub fn take_over(&self) -> Result<(), Failed> {
        Ok(self.gateway.refresh_keys()?)
    }
}

/// A value as what it must be.
pub fn parse<T: DeserializeOwned>(value: Value) -> Result<T, Failed> {
    serde_json::from_value(value).map_err(|error| Failed::wrong(error.to_string()))
}

/// Something as JSON.
pub fn value(of: impl Serialize) -> Result<Value, Failed> {
    serde_json::to_value(of).map_err(|error| {
        tracing::error!(%error, "the admin API could not write an answer");
        Failed::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "the answer could not be written",
        )
    })
}

/// A part of a path or query, decoded; nothing where it is no text.
pub fn decoded(text: &str) -> Option<Cow<'_, str>> {
    percent_decode_str(text).decode_utf8().ok()
}

/// The parameters of a query, decoded.
pub fn query(text: &str) -> Result<Vec<(String, String)>, Failed> {
    let read = |pair: &str| {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        let [key, value] = [key, value].map(|part| {
            let spaced = part.replace('+', " ");
            decoded(&spaced).map(Cow::into_owned)
        });
        key.zip(value)
            .ok_or_else(|| Failed::wrong("the query is not UTF-8"))
    };
    text.split('&')
        .filter(|pair| !pair.is_empty())
        .map(read)
        .collect()
}

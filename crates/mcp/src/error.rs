//! Errors of JSON-RPC and of MCP, with the HTTP status they are told with.

use http::StatusCode;
use serde::Serialize;
use serde_json::Value;
use serde_json::value::to_raw_value;

use crate::message::{self, Id, Raw};

/// An error for the other side.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RpcError {
    /// Its code.
    pub code: i64,
    /// What is wrong and what to do.
    pub message: String,
    /// More of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data: Option<Box<Value>>,
    /// The request it is about, where that could be read.
    #[serde(skip)]
    pub id: Option<Id>,
    /// The status it is told with over HTTP.
    #[serde(skip)]
    pub status: StatusCode,
}

impl RpcError {
    /// The code of a request that needs what its client cannot do.
    pub const LACKS_CAPABILITY: i64 = -32021;
    /// The code of what a token does not allow.
    pub const LACKS_SCOPE: i64 = -32011;
    /// The code of what wants a page to be opened first (2025-11-25, elicitation by URL).
    pub const WANTS_PAGE: i64 = -32042;
    /// The code of what a guardrail does not let pass.
    pub const BLOCKED: i64 = -32010;

    fn new(code: i64, status: StatusCode, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            data: None,
            id: None,
            status,
        }
    }

    /// It is no JSON.
    pub fn parse(message: impl Into<String>) -> Self {
        Self::new(-32700, StatusCode::BAD_REQUEST, message)
    }

    /// It is no message, or not now.
    pub fn request(message: impl Into<String>) -> Self {
        Self::new(-32600, StatusCode::BAD_REQUEST, message)
    }

    /// There is no such method.
    #[must_use]
    pub fn method(method: &str) -> Self {
        Self::new(-32601, StatusCode::OK, format!("Method not found: {method}"))
    }

    /// The parameters are wrong.
    pub fn params(message: impl Into<String>) -> Self {
        Self::new(-32602, StatusCode::OK, message)
    }

    /// The server behind the gateway did not answer as it should.
    pub fn internal(message: impl Into<String>) -> Self {
        Self::new(-32603, StatusCode::OK, message)
    }

    /// A guardrail does not let it pass.
    pub fn blocked(message: impl Into<String>) -> Self {
        let mut error = Self::new(Self::BLOCKED, StatusCode::OK, message);
        error.data = Some(Box::new(serde_json::json!({ "code": "guardrail_blocked" })));
        error
    }

    /// Data may not flow where it would.
    pub fn flow(message: impl Into<String>) -> Self {
        let mut error = Self::new(Self::BLOCKED, StatusCode::OK, message);
        error.data = Some(Box::new(serde_json::json!({ "code": "flow_forbidden" })));
        error
    }

    /// The access rules do not let the caller do it with these arguments.
    #[must_use]
    pub fn arguments_denied(name: &str) -> Self {
        let message = format!("the access rules do not let this caller use {name} with these arguments");
        let mut error = Self::new(Self::BLOCKED, StatusCode::OK, message);
        error.data = Some(Box::new(serde_json::json!({ "code": "access_denied" })));
        error
    }

    /// The token lacks scopes; the client is told all that it needs.
    #[must_use]
    pub fn scopes(needed: &[String]) -> Self {
        let message = format!("the token lacks a scope: {} are needed", needed.join(" "));
        let mut error = Self::new(Self::LACKS_SCOPE, StatusCode::FORBIDDEN, message);
        error.data = Some(Box::new(
            serde_json::json!({ "code": "insufficient_scope", "requiredScopes": needed }),
        ));
        error
    }

    /// A user has to open a page first.
    #[must_use]
    pub fn consent(server: &str, url: &str) -> Self {
        let message = format!("{server} wants to be let in: open {url}");
        let mut error = Self::new(Self::WANTS_PAGE, StatusCode::OK, message);
        let id = url.rsplit('=').next().unwrap_or_default();
        let id: String = id.chars().take(24).collect();
        let asked = serde_json::json!({
            "mode": "url", "elicitationId": id, "url": url, "message": format!("Connect to {server}"),
        });
        error.data = Some(Box::new(serde_json::json!({ "elicitations": [asked] })));
        error
    }

    /// The headers do not say what the body says.
    pub fn headers(message: impl Into<String>) -> Self {
        Self::new(-32020, StatusCode::BAD_REQUEST, message)
    }

    /// The version is not spoken here.
    #[must_use]
    pub fn version(requested: &str, supported: &[&str]) -> Self {
        let mut error = Self::new(
            -32022,
            StatusCode::BAD_REQUEST,
            format!("Unsupported protocol version {requested:?}"),
        );
        error.data = Some(Box::new(
            serde_json::json!({ "supported": supported, "requested": requested }),
        ));
        error
    }

    /// The client lacks a capability that the request needs.
    #[must_use]
    pub fn capability(name: &str) -> Self {
        let message = format!("the client does not declare the capability {name}");
        let mut error = Self::new(Self::LACKS_CAPABILITY, StatusCode::BAD_REQUEST, message);
        let mut needed = serde_json::Map::new();
        needed.insert(name.to_owned(), serde_json::json!({}));
        error.data = Some(Box::new(serde_json::json!({ "requiredCapabilities": needed })));
        error
    }

    /// The client does not declare an extension that the request needs.
    #[must_use]
    pub fn extension(name: &str) -> Self {
        let message = format!("the client does not declare the extension {name}");
        let mut error = Self::new(Self::LACKS_CAPABILITY, StatusCode::BAD_REQUEST, message);
        let mut needed = serde_json::Map::new();
        needed.insert(name.to_owned(), serde_json::json!({}));
        error.data = Some(Box::new(
            serde_json::json!({ "requiredCapabilities": { "extensions": needed } }),
        ));
        error
    }

    /// The same with another status.
    #[must_use]
    pub fn with(mut self, status: StatusCode) -> Self {
        self.status = status;
        self
    }

    /// The same, of this request.
    #[must_use]
    pub fn of(mut self, id: &Id) -> Self {
        self.id = Some(id.clone());
        self
    }

    /// The error object.
    #[must_use]
    pub fn raw(&self) -> Raw {
        to_raw_value(self).unwrap_or_default()
    }

    /// The text of an answer to `id`, or to the request it knows.
    #[must_use]
    pub fn answer(&self, id: Option<&Id>) -> String {
        message::response(id.or(self.id.as_ref()), Err(&self.raw()))
    }
}

//! Errors of the protocol, as each binding and each version tells them.

use http::StatusCode;
use serde_json::json;
use serde_json::value::RawValue;

use crate::json::{self, Object, Raw};
use crate::version::Version;

/// The domain of reasons.
const DOMAIN: &str = "a2a-protocol.org";
const ERROR_INFO: &str = "type.googleapis.com/google.rpc.ErrorInfo";
/// Most characters of a message that are handed on.
const MAX_MESSAGE: usize = 4_096;

/// What is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// There is no such task, or it is somebody else's.
    TaskNotFound,
    /// The task has ended.
    TaskNotCancelable,
    /// Events are told to no addresses.
    PushNotSupported,
    /// The agent does not do this.
    Unsupported,
    /// A media type is not taken.
    ContentType,
    /// The agent's answer is none.
    InvalidAgentResponse,
    /// There is no card for those who are known.
    ExtendedCardNotConfigured,
    /// The client must support an extension.
    ExtensionRequired,
    /// The version is not spoken.
    VersionNotSupported,
    /// It is no JSON.
    Parse,
    /// It is no request.
    Request,
    /// There is no such method.
    Method,
    /// The parameters are wrong.
    Params,
    /// Something broke.
    Internal,
    /// A code of the agent's own.
    Other(i64),
}

/// Kinds with their code of JSON-RPC, status of HTTP, status of gRPC, and reason.
const TABLE: [(Kind, i64, u16, &str, &str); 14] = [
    (Kind::TaskNotFound, -32001, 404, "NOT_FOUND", "TASK_NOT_FOUND"),
    (
        Kind::TaskNotCancelable,
        -32002,
        400,
        "FAILED_PRECONDITION",
        "TASK_NOT_CANCELABLE",
    ),
    (
        Kind::PushNotSupported,
        -32003,
        400,
        "FAILED_PRECONDITION",
        "PUSH_NOTIFICATION_NOT_SUPPORTED",
    ),
    (
        Kind::Unsupported,
        -32004,
        400,
        "FAILED_PRECONDITION",
        "UNSUPPORTED_OPERATION",
    ),
    (
        Kind::ContentType,
        -32005,
        400,
        "INVALID_ARGUMENT",
        "CONTENT_TYPE_NOT_SUPPORTED",
    ),
    (
        Kind::InvalidAgentResponse,
        -32006,
        500,
        "INTERNAL",
        "INVALID_AGENT_RESPONSE",
    ),
    (
        Kind::ExtendedCardNotConfigured,
        -32007,
        400,
        "FAILED_PRECONDITION",
        "EXTENDED_AGENT_CARD_NOT_CONFIGURED",
    ),
    (
        Kind::ExtensionRequired,
        -32008,
        400,
        "FAILED_PRECONDITION",
        "EXTENSION_SUPPORT_REQUIRED",
    ),
    (
        Kind::VersionNotSupported,
        -32009,
        400,
        "FAILED_PRECONDITION",
        "VERSION_NOT_SUPPORTED",
    ),
    (Kind::Parse, -32700, 400, "INVALID_ARGUMENT", "INVALID_REQUEST"),
    (Kind::Request, -32600, 400, "INVALID_ARGUMENT", "INVALID_REQUEST"),
    (Kind::Method, -32601, 404, "NOT_FOUND", "METHOD_NOT_FOUND"),
    (Kind::Params, -32602, 400, "INVALID_ARGUMENT", "INVALID_PARAMS"),
    (Kind::Internal, -32603, 500, "INTERNAL", "INTERNAL_ERROR"),
];

/// What 0.3 calls kinds over HTTP+JSON and gRPC, where its errors have no reasons.
const NAMES: [(Kind, &str); 12] = [
    (Kind::TaskNotFound, "TaskNotFoundError"),
    (Kind::TaskNotCancelable, "TaskNotCancelableError"),
    (Kind::PushNotSupported, "PushNotificationNotSupportedError"),
    (Kind::Unsupported, "UnsupportedOperationError"),
    (Kind::ContentType, "ContentTypeNotSupportedError"),
    (Kind::InvalidAgentResponse, "InvalidAgentResponseError"),
    (
        Kind::ExtendedCardNotConfigured,
        "AuthenticatedExtendedCardNotConfiguredError",
    ),
    (Kind::Parse, "JSONParseError"),
    (Kind::Request, "InvalidRequestError"),
    (Kind::Method, "MethodNotFoundError"),
    (Kind::Params, "InvalidParamsError"),
    (Kind::Internal, "InternalError"),
];

impl Kind {
    /// What 0.3 calls it; what came later is told as what it is near.
    fn old_name(self) -> &'static str {
        let near = match self {
            Self::ExtensionRequired | Self::VersionNotSupported => Self::Request,
            Self::Other(_) => Self::Internal,
            known => known,
        };
        let row = NAMES.iter().find(|(kind, _)| *kind == near);
        row.map_or("InternalError", |(_, name)| name)
    }

    fn of_old_name(name: &str) -> Option<Self> {
        let row = NAMES.iter().find(|(_, known)| *known == name);
        row.map(|(kind, _)| *kind)
    }

    fn row(self) -> (i64, u16, &'static str, &'static str) {
        let row = TABLE.iter().find(|(kind, ..)| *kind == self);
        match (self, row) {
            (_, Some((_, code, http, grpc, reason))) => (*code, *http, grpc, reason),
            (Self::Other(code), None) => (code, 500, "UNKNOWN", "UNKNOWN_ERROR"),
            (_, None) => (-32603, 500, "INTERNAL", "INTERNAL_ERROR"),
        }
    }

    /// The kind of a code of JSON-RPC.
    #[must_use]
    pub fn of_code(code: i64) -> Self {
        let row = TABLE.iter().find(|(_, other, ..)| *other == code);
        row.map_or(Self::Other(code), |(kind, ..)| *kind)
    }

    fn of_reason(reason: &str) -> Option<Self> {
        let mut rows = TABLE.iter().filter(|(kind, ..)| *kind != Kind::Parse);
        rows.find(|(.., other)| *other == reason).map(|(kind, ..)| *kind)
    }
}

/// An error for the other side.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{message}")]
pub struct A2aError {
    /// What is wrong.
    pub kind: Kind,
    /// What is wrong and what to do.
    pub message: String,
    /// More of it, as it came.
    pub data: Option<Raw>,
}

impl A2aError {
    /// An error.
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            data: None,
        }
    }

    /// There is no such task.
    #[must_use]
    pub fn no_task() -> Self {
        Self::new(Kind::TaskNotFound, "Task not found")
    }

    /// The parameters are wrong.
    pub fn params(message: impl Into<String>) -> Self {
        Self::new(Kind::Params, message)
    }

    /// The version is not spoken here.
    #[must_use]
    pub fn version(said: &str) -> Self {
        let said: String = said.chars().take(32).collect();
        Self::new(
            Kind::VersionNotSupported,
            format!("A2A version {said:?} is not supported; 1.0 and 0.3 are"),
        )
    }

    /// An error of JSON-RPC, as an agent told it.
    #[must_use]
    pub fn from_rpc(raw: &RawValue) -> Self {
        let object = Object::of(raw).unwrap_or_default();
        let code = object.number("code").unwrap_or(-32603);
        let message = object
            .filled("message")
            .unwrap_or_else(|| "Internal error".to_owned());
        Self {
            kind: Kind::of_code(code),
            message: message.chars().take(MAX_MESSAGE).collect(),
            data: object.get("data").map(ToOwned::to_owned),
        }
    }

    /// An error of HTTP+JSON, as an agent told it; `about_task` where it was asked about a task.
    #[must_use]
    pub fn from_rest(status: StatusCode, body: &str, about_task: bool) -> Self {
        let body = Object::read(body.as_bytes()).unwrap_or_default();
        let Some(error) = body.object("error") else {
            let message = format!("the agent answered {}", status.as_u16());
            // As 0.3 has it.
            let named = body.filled("type").and_then(|name| Kind::of_old_name(&name));
            let said = body.filled("message").filter(|_| named.is_some());
            let kind = named.unwrap_or_else(|| of_status(status, about_task));
            let message: String = said.unwrap_or(message).chars().take(MAX_MESSAGE).collect();
            return Self::new(kind, message);
        };
        let details = error.list("details").unwrap_or_default();
        let kind = reason(&details).unwrap_or_else(|| of_status(status, about_task));
        let message = error
            .filled("message")
            .unwrap_or_else(|| "Internal error".to_owned());
        Self {
            kind,
            message: message.chars().take(MAX_MESSAGE).collect(),
            data: error.get("details").map(ToOwned::to_owned),
        }
    }

    /// An error with details of 1.0, as an agent told it: their reason says what it is, if they have one.
    #[must_use]
    pub fn told(kind: Kind, message: &str, details: Raw) -> Self {
        let list: Vec<Raw> = serde_json::from_str(details.get()).unwrap_or_default();
        Self {
            kind: reason(&list).unwrap_or(kind),
            message: message.chars().take(MAX_MESSAGE).collect(),
            data: Some(details),
        }
    }

    /// The same over gRPC of 0.3, whose messages begin with what it is.
    #[must_use]
    pub fn named(&self) -> Self {
        Self {
            message: format!("{}: {}", self.kind.old_name(), self.message),
            ..self.clone()
        }
    }

    /// What a message of 0.3 says that it is.
    #[must_use]
    pub fn from_named(kind: Kind, message: &str) -> Self {
        let told = message.split_once(": ");
        let told = told.and_then(|(name, rest)| Some((Kind::of_old_name(name)?, rest)));
        let (kind, message) = told.unwrap_or((kind, message));
        Self::new(kind, message.chars().take(MAX_MESSAGE).collect::<String>())
    }

    /// The body of HTTP+JSON of 0.3, which has what 1.0 says beside it.
    #[must_use]
    pub fn rest_named(&self) -> Raw {
        let mut body = Object::of(&self.rest()).unwrap_or_default();
        body.set("type", self.kind.old_name());
        body.set("message", &self.message);
        body.raw()
    }

    /// The name of its status in gRPC.
    #[must_use]
    pub fn grpc(&self) -> &'static str {
        let (_, _, grpc, _) = self.kind.row();
        grpc
    }

    /// The details of 1.0: what the agent gave, with the reason among them.
    #[must_use]
    pub fn details(&self) -> Vec<Raw> {
        let given: Vec<Raw> = self
            .data
            .as_ref()
            .and_then(|data| serde_json::from_str(data.get()).ok())
            .unwrap_or_default();
        let typed = |detail: &Raw| Object::of(detail).is_some_and(|detail| detail.get("@type").is_some());
        let mut details: Vec<Raw> = given.into_iter().filter(typed).collect();
        let is_info = |detail: &Raw| {
            Object::of(detail).is_some_and(|detail| detail.text("@type").as_deref() == Some(ERROR_INFO))
        };
        if !details.iter().any(is_info) {
            let (.., reason) = self.kind.row();
            let info = json!({ "@type": ERROR_INFO, "reason": reason, "domain": DOMAIN, "metadata": {} });
            details.insert(0, json::raw(&info));
        }
        details
    }

    /// The error object of JSON-RPC.
    #[must_use]
    pub fn rpc(&self, version: Version) -> Raw {
        let (code, ..) = self.kind.row();
        let mut object = Object::default();
        match version {
            Version::V10 => {
                object.set("code", &code);
                object.set("message", &self.message);
                object.set("data", &self.details());
            }
            Version::V03 => {
                // What came later is told as what it is near.
                let known = !matches!(self.kind, Kind::ExtensionRequired | Kind::VersionNotSupported);
                object.set("code", &if known { code } else { -32600 });
                object.set("message", &self.message);
                if let Some(data) = &self.data {
                    object.set("data", data);
                }
            }
        }
        object.raw()
    }

    /// The status it is told with over HTTP+JSON.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        let (_, http, ..) = self.kind.row();
        StatusCode::from_u16(http).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    /// The body of HTTP+JSON: a `google.rpc.Status`.
    #[must_use]
    pub fn rest(&self) -> Raw {
        let (_, http, grpc, _) = self.kind.row();
        let mut error = Object::default();
        error.set("code", &http);
        error.set("status", grpc);
        error.set("message", &self.message);
        error.set("details", &self.details());
        Object::from([("error", error.raw())]).raw()
    }
}

/// What the details of an error say that it is.
fn reason(details: &[Raw]) -> Option<Kind> {
    details.iter().find_map(|detail| {
        let detail = Object::of(detail)?;
        let reason = detail.text("reason");
        let reason = reason.filter(|_| detail.text("domain").as_deref() == Some(DOMAIN))?;
        Kind::of_reason(&reason)
    })
}

/// What a status means that says nothing else.
fn of_status(status: StatusCode, about_task: bool) -> Kind {
    match status {
        StatusCode::NOT_FOUND if about_task => Kind::TaskNotFound,
        StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED | StatusCode::NOT_IMPLEMENTED => {
            Kind::Unsupported
        }
        StatusCode::UNSUPPORTED_MEDIA_TYPE => Kind::ContentType,
        StatusCode::BAD_REQUEST | StatusCode::UNPROCESSABLE_ENTITY => Kind::Params,
        _ => Kind::Internal,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    #[test]
    fn every_kind_survives_both_bindings() {
        for (kind, code, http, ..) in TABLE {
            let error = A2aError::new(kind, "m");
            assert_eq!(A2aError::from_rpc(&error.rpc(Version::V10)).kind, kind, "{code}");
            let told = error.rest();
            assert_eq!(error.status().as_u16(), http);
            let back = A2aError::from_rest(error.status(), told.get(), true).kind;
            // Over HTTP, what is no JSON is a wrong request.
            let expected = if kind == Kind::Parse { Kind::Request } else { kind };
            assert_eq!(back, expected, "{}", told.get());
        }
    }

    #[test]
    fn details_go_from_one_binding_to_the_other() {
        let told = r#"{"code":-32602,"message":"Invalid","data":[{"@type":"type.googleapis.com/google.rpc.BadRequest","fieldViolations":[{"field":"message.parts"}]}]}"#;
        let raw: Raw = serde_json::from_str(told).unwrap();
        let rest: Value = serde_json::from_str(A2aError::from_rpc(&raw).rest().get()).unwrap();
        let details = rest["error"]["details"].as_array().unwrap();
        assert_eq!(details[0]["reason"], "INVALID_PARAMS");
        assert_eq!(details[1]["fieldViolations"][0]["field"], "message.parts");
    }

    #[test]
    fn what_the_old_version_does_not_know_is_told_as_what_it_knows() {
        let told = A2aError::version("9.9").rpc(Version::V03);
        let told: Value = serde_json::from_str(told.get()).unwrap();
        assert_eq!(told["code"], -32600);
        assert!(told["message"].as_str().unwrap().contains("9.9"));
    }

    #[test]
    fn a_status_alone_is_understood() {
        for (status, about_task, expected) in [
            (404, true, Kind::TaskNotFound),
            (404, false, Kind::Unsupported),
            (415, false, Kind::ContentType),
            (401, false, Kind::Internal),
            (502, true, Kind::Internal),
        ] {
            let status = StatusCode::from_u16(status).unwrap();
            assert_eq!(A2aError::from_rest(status, "<html>", about_task).kind, expected);
        }
    }
}

//! The messages of `lf.a2a.v1` as data: field numbers, JSON names and types, from the published `a2a.proto`.

use crate::operation::Operation;

/// A message.
#[derive(Debug)]
pub struct Message {
    /// Its name.
    pub name: &'static str,
    /// Its fields.
    pub fields: &'static [Field],
}

/// A field.
#[derive(Debug, Clone, Copy)]
pub struct Field {
    /// Its number on the wire.
    pub number: u32,
    /// Its name in JSON.
    pub name: &'static str,
    /// What it is.
    pub kind: Kind,
    /// How often it is there.
    pub rule: Rule,
}

/// What a field is.
#[derive(Debug, Clone, Copy)]
pub enum Kind {
    /// A text.
    Text,
    /// Bytes; base64 in JSON.
    Bytes,
    /// A flag.
    Bool,
    /// A number.
    Int32,
    /// One of these names, by its place among them.
    Enum(&'static [&'static str]),
    /// A message.
    Message(&'static Message),
    /// Any JSON object.
    Struct,
    /// Any JSON.
    Value,
    /// A time; RFC 3339 in JSON.
    Timestamp,
}

/// How often a field is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rule {
    /// Once, and not written where it is what it usually is.
    One,
    /// Once, and there or not, whatever it is: optional ones, and those of which one is chosen.
    Maybe,
    /// Any number of times.
    Many,
    /// By keys, which are texts.
    Map,
}

pub(crate) const fn field(number: u32, name: &'static str, kind: Kind, rule: Rule) -> Field {
    Field {
        number,
        name,
        kind,
        rule,
    }
}

pub(crate) const fn text(number: u32, name: &'static str) -> Field {
    field(number, name, Kind::Text, Rule::One)
}

pub(crate) const fn texts(number: u32, name: &'static str) -> Field {
    field(number, name, Kind::Text, Rule::Many)
}

pub(crate) const fn flag(number: u32, name: &'static str) -> Field {
    field(number, name, Kind::Bool, Rule::One)
}

pub(crate) const fn one(number: u32, name: &'static str, message: &'static Message) -> Field {
    field(number, name, Kind::Message(message), Rule::Maybe)
}

pub(crate) const fn many(number: u32, name: &'static str, message: &'static Message) -> Field {
    field(number, name, Kind::Message(message), Rule::Many)
}

pub(crate) const fn object(number: u32, name: &'static str) -> Field {
    field(number, name, Kind::Struct, Rule::Maybe)
}

pub(crate) const fn count(number: u32, name: &'static str, rule: Rule) -> Field {
    field(number, name, Kind::Int32, rule)
}

pub(crate) const fn message(name: &'static str, fields: &'static [Field]) -> Message {
    Message { name, fields }
}

const STATES: &[&str] = &[
    "TASK_STATE_UNSPECIFIED",
    "TASK_STATE_SUBMITTED",
    "TASK_STATE_WORKING",
    "TASK_STATE_COMPLETED",
    "TASK_STATE_FAILED",
    "TASK_STATE_CANCELED",
    "TASK_STATE_INPUT_REQUIRED",
    "TASK_STATE_REJECTED",
    "TASK_STATE_AUTH_REQUIRED",
];
pub(crate) const ROLES: &[&str] = &["ROLE_UNSPECIFIED", "ROLE_USER", "ROLE_AGENT"];

static PART: Message = message(
    "Part",
    &[
        field(1, "text", Kind::Text, Rule::Maybe),
        field(2, "raw", Kind::Bytes, Rule::Maybe),
        field(3, "url", Kind::Text, Rule::Maybe),
        field(4, "data", Kind::Value, Rule::Maybe),
        object(5, "metadata"),
        text(6, "filename"),
        text(7, "mediaType"),
    ],
);
static SAID: Message = message(
    "Message",
    &[
        text(1, "messageId"),
        text(2, "contextId"),
        text(3, "taskId"),
        field(4, "role", Kind::Enum(ROLES), Rule::One),
        many(5, "parts", &PART),
        object(6, "metadata"),
        texts(7, "extensions"),
        texts(8, "referenceTaskIds"),
    ],
);
static ARTIFACT: Message = message(
    "Artifact",
    &[
        text(1, "artifactId"),
        text(2, "name"),
        text(3, "description"),
        many(4, "parts", &PART),
        object(5, "metadata"),
        texts(6, "extensions"),
    ],
);
static STATUS: Message = message(
    "TaskStatus",
    &[
        field(1, "state", Kind::Enum(STATES), Rule::One),
        one(2, "message", &SAID),
        field(3, "timestamp", Kind::Timestamp, Rule::Maybe),
    ],
);
static TASK: Message = message(
    "Task",
    &[
        text(1, "id"),
        text(2, "contextId"),
        one(3, "status", &STATUS),
        many(4, "artifacts", &ARTIFACT),
        many(5, "history", &SAID),
        object(6, "metadata"),
    ],
);
static STATUS_UPDATE: Message = message(
    "TaskStatusUpdateEvent",
    &[
        text(1, "taskId"),
        text(2, "contextId"),
        one(3, "status", &STATUS),
        object(4, "metadata"),
    ],
);
static ARTIFACT_UPDATE: Message = message(
    "TaskArtifactUpdateEvent",
    &[
        text(1, "taskId"),
        text(2, "contextId"),
        one(3, "artifact", &ARTIFACT),
        flag(4, "append"),
        flag(5, "lastChunk"),
        object(6, "metadata"),
    ],
);
static AUTHENTICATION: Message = message("AuthenticationInfo", &[text(1, "scheme"), text(2, "credentials")]);
static PUSH: Message = message(
    "TaskPushNotificationConfig",
    &[
        text(1, "tenant"),
        text(2, "id"),
        text(3, "taskId"),
        text(4, "url"),
        text(5, "token"),
        one(6, "authentication", &AUTHENTICATION),
    ],
);
static CONFIGURATION: Message = message(
    "SendMessageConfiguration",
    &[
        texts(1, "acceptedOutputModes"),
        one(2, "taskPushNotificationConfig", &PUSH),
        count(3, "historyLength", Rule::Maybe),
        flag(4, "returnImmediately"),
    ],
);
static SEND: Message = message(
    "SendMessageRequest",
    &[
        text(1, "tenant"),
        one(2, "message", &SAID),
        one(3, "configuration", &CONFIGURATION),
        object(4, "metadata"),
    ],
);
static GET: Message = message(
    "GetTaskRequest",
    &[
        text(1, "tenant"),
        text(2, "id"),
        count(3, "historyLength", Rule::Maybe),
    ],
);
static LIST: Message = message(
    "ListTasksRequest",
    &[
        text(1, "tenant"),
        text(2, "contextId"),
        field(3, "status", Kind::Enum(STATES), Rule::One),
        count(4, "pageSize", Rule::Maybe),
        text(5, "pageToken"),
        count(6, "historyLength", Rule::Maybe),
        field(7, "statusTimestampAfter", Kind::Timestamp, Rule::Maybe),
        field(8, "includeArtifacts", Kind::Bool, Rule::Maybe),
    ],
);
static LISTED: Message = message(
    "ListTasksResponse",
    &[
        many(1, "tasks", &TASK),
        text(2, "nextPageToken"),
        count(3, "pageSize", Rule::One),
        count(4, "totalSize", Rule::One),
    ],
);
static CANCEL: Message = message(
    "CancelTaskRequest",
    &[text(1, "tenant"), text(2, "id"), object(3, "metadata")],
);
static SUBSCRIBE: Message = message("SubscribeToTaskRequest", &[text(1, "tenant"), text(2, "id")]);
static ONE_PUSH: Message = message(
    "GetTaskPushNotificationConfigRequest",
    &[text(1, "tenant"), text(2, "taskId"), text(3, "id")],
);
static LIST_PUSH: Message = message(
    "ListTaskPushNotificationConfigsRequest",
    &[
        text(1, "taskId"),
        count(2, "pageSize", Rule::One),
        text(3, "pageToken"),
        text(4, "tenant"),
    ],
);
static LISTED_PUSH: Message = message(
    "ListTaskPushNotificationConfigsResponse",
    &[many(1, "configs", &PUSH), text(2, "nextPageToken")],
);
static EXTENDED: Message = message("GetExtendedAgentCardRequest", &[text(1, "tenant")]);
pub(crate) static EMPTY: Message = message("Empty", &[]);
static SENT: Message = message(
    "SendMessageResponse",
    &[one(1, "task", &TASK), one(2, "message", &SAID)],
);
static EVENT: Message = message(
    "StreamResponse",
    &[
        one(1, "task", &TASK),
        one(2, "message", &SAID),
        one(3, "statusUpdate", &STATUS_UPDATE),
        one(4, "artifactUpdate", &ARTIFACT_UPDATE),
    ],
);

static STRINGS: Message = message("StringList", &[texts(1, "list")]);
pub(crate) static REQUIREMENT: Message = message(
    "SecurityRequirement",
    &[field(1, "schemes", Kind::Message(&STRINGS), Rule::Map)],
);
pub(crate) static API_KEY: Message = message(
    "APIKeySecurityScheme",
    &[text(1, "description"), text(2, "location"), text(3, "name")],
);
pub(crate) static HTTP_AUTH: Message = message(
    "HTTPAuthSecurityScheme",
    &[text(1, "description"), text(2, "scheme"), text(3, "bearerFormat")],
);
static FLOW_CODE: Message = message(
    "AuthorizationCodeOAuthFlow",
    &[
        text(1, "authorizationUrl"),
        text(2, "tokenUrl"),
        text(3, "refreshUrl"),
        field(4, "scopes", Kind::Text, Rule::Map),
        flag(5, "pkceRequired"),
    ],
);
static FLOW_CLIENT: Message = message(
    "ClientCredentialsOAuthFlow",
    &[
        text(1, "tokenUrl"),
        text(2, "refreshUrl"),
        field(3, "scopes", Kind::Text, Rule::Map),
    ],
);
static FLOW_IMPLICIT: Message = message(
    "ImplicitOAuthFlow",
    &[
        text(1, "authorizationUrl"),
        text(2, "refreshUrl"),
        field(3, "scopes", Kind::Text, Rule::Map),
    ],
);
static FLOW_PASSWORD: Message = message(
    "PasswordOAuthFlow",
    &[
        text(1, "tokenUrl"),
        text(2, "refreshUrl"),
        field(3, "scopes", Kind::Text, Rule::Map),
    ],
);
static FLOW_DEVICE: Message = message(
    "DeviceCodeOAuthFlow",
    &[
        text(1, "deviceAuthorizationUrl"),
        text(2, "tokenUrl"),
        text(3, "refreshUrl"),
        field(4, "scopes", Kind::Text, Rule::Map),
    ],
);
static FLOWS: Message = message(
    "OAuthFlows",
    &[
        one(1, "authorizationCode", &FLOW_CODE),
        one(2, "clientCredentials", &FLOW_CLIENT),
        one(3, "implicit", &FLOW_IMPLICIT),
        one(4, "password", &FLOW_PASSWORD),
        one(5, "deviceCode", &FLOW_DEVICE),
    ],
);
static OAUTH2: Message = message(
    "OAuth2SecurityScheme",
    &[
        text(1, "description"),
        one(2, "flows", &FLOWS),
        text(3, "oauth2MetadataUrl"),
    ],
);
pub(crate) static OPEN_ID: Message = message(
    "OpenIdConnectSecurityScheme",
    &[text(1, "description"), text(2, "openIdConnectUrl")],
);
pub(crate) static MTLS: Message = message("MutualTlsSecurityScheme", &[text(1, "description")]);
static SCHEME: Message = message(
    "SecurityScheme",
    &[
        one(1, "apiKeySecurityScheme", &API_KEY),
        one(2, "httpAuthSecurityScheme", &HTTP_AUTH),
        one(3, "oauth2SecurityScheme", &OAUTH2),
        one(4, "openIdConnectSecurityScheme", &OPEN_ID),
        one(5, "mtlsSecurityScheme", &MTLS),
    ],
);
static INTERFACE: Message = message(
    "AgentInterface",
    &[
        text(1, "url"),
        text(2, "protocolBinding"),
        text(3, "tenant"),
        text(4, "protocolVersion"),
    ],
);
pub(crate) static PROVIDER: Message = message("AgentProvider", &[text(1, "url"), text(2, "organization")]);
pub(crate) static EXTENSION: Message = message(
    "AgentExtension",
    &[
        text(1, "uri"),
        text(2, "description"),
        flag(3, "required"),
        object(4, "params"),
    ],
);
static CAPABILITIES: Message = message(
    "AgentCapabilities",
    &[
        field(1, "streaming", Kind::Bool, Rule::Maybe),
        field(2, "pushNotifications", Kind::Bool, Rule::Maybe),
        many(3, "extensions", &EXTENSION),
        field(4, "extendedAgentCard", Kind::Bool, Rule::Maybe),
    ],
);
static SKILL: Message = message(
    "AgentSkill",
    &[
        text(1, "id"),
        text(2, "name"),
        text(3, "description"),
        texts(4, "tags"),
        texts(5, "examples"),
        texts(6, "inputModes"),
        texts(7, "outputModes"),
        many(8, "securityRequirements", &REQUIREMENT),
    ],
);
pub(crate) static SIGNATURE: Message = message(
    "AgentCardSignature",
    &[text(1, "protected"), text(2, "signature"), object(3, "header")],
);
static CARD: Message = message(
    "AgentCard",
    &[
        text(1, "name"),
        text(2, "description"),
        many(3, "supportedInterfaces", &INTERFACE),
        one(4, "provider", &PROVIDER),
        text(5, "version"),
        field(6, "documentationUrl", Kind::Text, Rule::Maybe),
        one(7, "capabilities", &CAPABILITIES),
        field(8, "securitySchemes", Kind::Message(&SCHEME), Rule::Map),
        many(9, "securityRequirements", &REQUIREMENT),
        texts(10, "defaultInputModes"),
        texts(11, "defaultOutputModes"),
        many(12, "skills", &SKILL),
        many(13, "signatures", &SIGNATURE),
        field(14, "iconUrl", Kind::Text, Rule::Maybe),
    ],
);

/// What an operation is asked with, and what it is answered with.
#[must_use]
pub fn of(operation: Operation) -> (&'static Message, &'static Message) {
    match operation {
        Operation::Send => (&SEND, &SENT),
        Operation::Stream => (&SEND, &EVENT),
        Operation::Get => (&GET, &TASK),
        Operation::List => (&LIST, &LISTED),
        Operation::Cancel => (&CANCEL, &TASK),
        Operation::Subscribe => (&SUBSCRIBE, &EVENT),
        Operation::CreatePush => (&PUSH, &PUSH),
        Operation::GetPush => (&ONE_PUSH, &PUSH),
        Operation::ListPush => (&LIST_PUSH, &LISTED_PUSH),
        Operation::DeletePush => (&ONE_PUSH, &EMPTY),
        Operation::ExtendedCard => (&EXTENDED, &CARD),
    }
}

static ANY: Message = message(
    "Any",
    &[text(1, "typeUrl"), field(2, "value", Kind::Bytes, Rule::One)],
);
/// `google.rpc.Status`.
pub static STATUS_RPC: Message = message(
    "Status",
    &[
        count(1, "code", Rule::One),
        text(2, "message"),
        many(3, "details", &ANY),
    ],
);
static ERROR_INFO: Message = message(
    "ErrorInfo",
    &[
        text(1, "reason"),
        text(2, "domain"),
        field(3, "metadata", Kind::Text, Rule::Map),
    ],
);
static VIOLATION: Message = message("FieldViolation", &[text(1, "field"), text(2, "description")]);
static BAD_REQUEST: Message = message("BadRequest", &[many(1, "fieldViolations", &VIOLATION)]);

/// The message of a detail of an error, by the name of its type.
#[must_use]
pub fn detail(name: &str) -> Option<&'static Message> {
    match name.rsplit('/').next()? {
        "google.rpc.ErrorInfo" => Some(&ERROR_INFO),
        "google.rpc.BadRequest" => Some(&BAD_REQUEST),
        _ => None,
    }
}

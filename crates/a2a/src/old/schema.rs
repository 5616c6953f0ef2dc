//! The messages of `a2a.v1` as data, from the published `a2a.proto` of 0.3.0 and of its SDKs, which have some fields more.

use crate::operation::Operation;
use crate::proto::schema::{
    API_KEY, EMPTY, EXTENSION, HTTP_AUTH, MTLS, OPEN_ID, PROVIDER, REQUIREMENT, SIGNATURE,
};
use crate::proto::schema::{
    Field, Kind, Message, ROLES, Rule, count, field, flag, many, message, object, one, text, texts,
};

const STATES: &[&str] = &[
    "TASK_STATE_UNSPECIFIED",
    "TASK_STATE_SUBMITTED",
    "TASK_STATE_WORKING",
    "TASK_STATE_COMPLETED",
    "TASK_STATE_FAILED",
    "TASK_STATE_CANCELLED",
    "TASK_STATE_INPUT_REQUIRED",
    "TASK_STATE_REJECTED",
    "TASK_STATE_AUTH_REQUIRED",
];

const fn maybe(number: u32, name: &'static str, kind: Kind) -> Field {
    field(number, name, kind, Rule::Maybe)
}

static FILE: Message = message(
    "FilePart",
    &[
        maybe(1, "fileWithUri", Kind::Text),
        maybe(2, "fileWithBytes", Kind::Bytes),
        text(3, "mimeType"),
        text(4, "name"),
    ],
);
static DATA: Message = message("DataPart", &[object(1, "data")]);
static PART: Message = message(
    "Part",
    &[
        maybe(1, "text", Kind::Text),
        one(2, "file", &FILE),
        one(3, "data", &DATA),
        object(4, "metadata"),
    ],
);
static SAID: Message = message(
    "Message",
    &[
        text(1, "messageId"),
        text(2, "contextId"),
        text(3, "taskId"),
        field(4, "role", Kind::Enum(ROLES), Rule::One),
        many(5, "content", &PART),
        object(6, "metadata"),
        texts(7, "extensions"),
    ],
);
static ARTIFACT: Message = message(
    "Artifact",
    &[
        text(1, "artifactId"),
        text(3, "name"),
        text(4, "description"),
        many(5, "parts", &PART),
        object(6, "metadata"),
        texts(7, "extensions"),
    ],
);
static STATUS: Message = message(
    "TaskStatus",
    &[
        field(1, "state", Kind::Enum(STATES), Rule::One),
        one(2, "message", &SAID),
        maybe(3, "timestamp", Kind::Timestamp),
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
        flag(4, "final"),
        object(5, "metadata"),
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
static AUTHENTICATION: Message = message(
    "AuthenticationInfo",
    &[texts(1, "schemes"), text(2, "credentials")],
);
static INNER_PUSH: Message = message(
    "PushNotificationConfig",
    &[
        text(1, "id"),
        text(2, "url"),
        text(3, "token"),
        one(4, "authentication", &AUTHENTICATION),
    ],
);
static PUSH: Message = message(
    "TaskPushNotificationConfig",
    &[text(1, "name"), one(2, "pushNotificationConfig", &INNER_PUSH)],
);
static CONFIGURATION: Message = message(
    "SendMessageConfiguration",
    &[
        texts(1, "acceptedOutputModes"),
        one(2, "pushNotification", &INNER_PUSH),
        count(3, "historyLength", Rule::One),
        flag(4, "blocking"),
    ],
);
static SEND: Message = message(
    "SendMessageRequest",
    &[
        one(1, "message", &SAID),
        one(2, "configuration", &CONFIGURATION),
        object(3, "metadata"),
    ],
);
static GET: Message = message(
    "GetTaskRequest",
    &[text(1, "name"), count(2, "historyLength", Rule::One)],
);
static NAME: Message = message("CancelTaskRequest", &[text(1, "name")]);
static CREATE_PUSH: Message = message(
    "CreateTaskPushNotificationConfigRequest",
    &[text(1, "parent"), text(2, "configId"), one(3, "config", &PUSH)],
);
static LIST_PUSH: Message = message(
    "ListTaskPushNotificationConfigRequest",
    &[
        text(1, "parent"),
        count(2, "pageSize", Rule::One),
        text(3, "pageToken"),
    ],
);
static LISTED_PUSH: Message = message(
    "ListTaskPushNotificationConfigResponse",
    &[many(1, "configs", &PUSH), text(2, "nextPageToken")],
);
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

static FLOW_CODE: Message = message(
    "AuthorizationCodeOAuthFlow",
    &[
        text(1, "authorizationUrl"),
        text(2, "tokenUrl"),
        text(3, "refreshUrl"),
        field(4, "scopes", Kind::Text, Rule::Map),
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
static FLOWS: Message = message(
    "OAuthFlows",
    &[
        one(1, "authorizationCode", &FLOW_CODE),
        one(2, "clientCredentials", &FLOW_CLIENT),
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
static INTERFACE: Message = message("AgentInterface", &[text(1, "url"), text(2, "transport")]);
static CAPABILITIES: Message = message(
    "AgentCapabilities",
    &[
        flag(1, "streaming"),
        flag(2, "pushNotifications"),
        many(3, "extensions", &EXTENSION),
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
        many(8, "security", &REQUIREMENT),
    ],
);
static CARD: Message = message(
    "AgentCard",
    &[
        text(1, "name"),
        text(2, "description"),
        text(3, "url"),
        one(4, "provider", &PROVIDER),
        text(5, "version"),
        text(6, "documentationUrl"),
        one(7, "capabilities", &CAPABILITIES),
        field(8, "securitySchemes", Kind::Message(&SCHEME), Rule::Map),
        many(9, "security", &REQUIREMENT),
        texts(10, "defaultInputModes"),
        texts(11, "defaultOutputModes"),
        many(12, "skills", &SKILL),
        flag(13, "supportsAuthenticatedExtendedCard"),
        text(14, "preferredTransport"),
        many(15, "additionalInterfaces", &INTERFACE),
        text(16, "protocolVersion"),
        many(17, "signatures", &SIGNATURE),
        text(18, "iconUrl"),
    ],
);

/// What an operation is asked with, and what it is answered with.
#[must_use]
pub fn of(operation: Operation) -> (&'static Message, &'static Message) {
    match operation {
        Operation::Send => (&SEND, &SENT),
        Operation::Stream => (&SEND, &EVENT),
        Operation::Get => (&GET, &TASK),
        Operation::Cancel => (&NAME, &TASK),
        Operation::Subscribe => (&NAME, &EVENT),
        Operation::CreatePush => (&CREATE_PUSH, &PUSH),
        Operation::GetPush => (&NAME, &PUSH),
        Operation::ListPush => (&LIST_PUSH, &LISTED_PUSH),
        Operation::DeletePush => (&NAME, &EMPTY),
        Operation::ExtendedCard => (&EMPTY, &CARD),
        // 0.3 has no such operation.
        Operation::List => (&EMPTY, &EMPTY),
    }
}

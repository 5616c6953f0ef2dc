//! The fields of Bedrock Converse.

use crate::shape::{Kind, Shape, opt, req};

static S3: Shape = Shape(&[req("uri", Kind::Text), opt("bucketOwner", Kind::Text)]);
static BYTES: Shape = Shape(&[opt("bytes", Kind::Base64), opt("s3Location", Kind::Object(&S3))]);
static IMAGE: Shape = Shape(&[
    req("format", Kind::OneOf(&["png", "jpeg", "gif", "webp"])),
    req("source", Kind::Union(&BYTES)),
]);
static SAID: Shape = Shape(&[opt("text", Kind::Text)]);
static DOCUMENT_SOURCE: Shape = Shape(&[
    opt("bytes", Kind::Base64),
    opt("s3Location", Kind::Object(&S3)),
    opt("text", Kind::Text),
    opt("content", Kind::List(&Kind::Union(&SAID))),
]);
static CITATIONS: Shape = Shape(&[req("enabled", Kind::Bool)]);
static DOCUMENT: Shape = Shape(&[
    opt(
        "format",
        Kind::OneOf(&["pdf", "csv", "doc", "docx", "xls", "xlsx", "html", "txt", "md"]),
    ),
    req("name", Kind::Text),
    req("source", Kind::Union(&DOCUMENT_SOURCE)),
    opt("context", Kind::Text),
    opt("citations", Kind::Object(&CITATIONS)),
]);
static VIDEO: Shape = Shape(&[
    req(
        "format",
        Kind::OneOf(&[
            "mkv", "mov", "mp4", "webm", "flv", "mpeg", "mpg", "wmv", "three_gp",
        ]),
    ),
    req("source", Kind::Union(&BYTES)),
]);
static AUDIO: Shape = Shape(&[
    req(
        "format",
        Kind::OneOf(&[
            "mp3", "opus", "wav", "aac", "flac", "mp4", "ogg", "mkv", "mka", "x-aac", "m4a", "mpeg", "mpga",
            "pcm", "webm",
        ]),
    ),
    req("source", Kind::Union(&BYTES)),
]);
static TOOL_USE: Shape = Shape(&[
    req("toolUseId", Kind::Text),
    req("name", Kind::Text),
    req("input", Kind::Any),
    opt("type", Kind::OneOf(&["server_tool_use"])),
]);
static RESULT: Shape = Shape(&[
    opt("json", Kind::Any),
    opt("text", Kind::Text),
    opt("image", Kind::Object(&IMAGE)),
    opt("document", Kind::Object(&DOCUMENT)),
    opt("video", Kind::Object(&VIDEO)),
    opt("searchResult", Kind::Map),
]);
static TOOL_RESULT: Shape = Shape(&[
    req("toolUseId", Kind::Text),
    req("content", Kind::List(&Kind::Union(&RESULT))),
    opt("status", Kind::OneOf(&["success", "error"])),
    opt("type", Kind::Text),
]);
static CACHE_POINT: Shape = Shape(&[
    req("type", Kind::OneOf(&["default"])),
    opt("ttl", Kind::OneOf(&["5m", "1h"])),
]);
static REASONING_TEXT: Shape = Shape(&[req("text", Kind::Text), opt("signature", Kind::Text)]);
static REASONING: Shape = Shape(&[
    opt("reasoningText", Kind::Object(&REASONING_TEXT)),
    opt("redactedContent", Kind::Base64),
]);
static BLOCK: Shape = Shape(&[
    opt("text", Kind::Text),
    opt("image", Kind::Object(&IMAGE)),
    opt("document", Kind::Object(&DOCUMENT)),
    opt("video", Kind::Object(&VIDEO)),
    opt("audio", Kind::Object(&AUDIO)),
    opt("toolUse", Kind::Object(&TOOL_USE)),
    opt("toolResult", Kind::Object(&TOOL_RESULT)),
    opt("guardContent", Kind::Map),
    opt("cachePoint", Kind::Object(&CACHE_POINT)),
    opt("reasoningContent", Kind::Union(&REASONING)),
    opt("citationsContent", Kind::Map),
    opt("searchResult", Kind::Map),
]);
static MESSAGE: Shape = Shape(&[
    req("role", Kind::OneOf(&["user", "assistant"])),
    req("content", Kind::List(&Kind::Union(&BLOCK))),
]);
static SYSTEM: Shape = Shape(&[
    opt("text", Kind::Text),
    opt("guardContent", Kind::Map),
    opt("cachePoint", Kind::Object(&CACHE_POINT)),
]);
static INFERENCE: Shape = Shape(&[
    opt("maxTokens", Kind::AtLeast(1)),
    opt("temperature", Kind::Within(0.0, 1.0)),
    opt("topP", Kind::Within(0.0, 1.0)),
    opt("stopSequences", Kind::List(&Kind::Text)),
]);
static INPUT_SCHEMA: Shape = Shape(&[opt("json", Kind::Map)]);
static TOOL_SPEC: Shape = Shape(&[
    req("name", Kind::Text),
    opt("description", Kind::Text),
    req("inputSchema", Kind::Union(&INPUT_SCHEMA)),
    opt("strict", Kind::Bool),
]);
static SYSTEM_TOOL: Shape = Shape(&[req("name", Kind::Text)]);
static TOOL: Shape = Shape(&[
    opt("toolSpec", Kind::Object(&TOOL_SPEC)),
    opt("systemTool", Kind::Object(&SYSTEM_TOOL)),
    opt("cachePoint", Kind::Object(&CACHE_POINT)),
]);
static CHOICE: Shape = Shape(&[
    opt("auto", Kind::Object(&NOTHING)),
    opt("any", Kind::Object(&NOTHING)),
    opt("tool", Kind::Object(&SYSTEM_TOOL)),
]);
static NOTHING: Shape = Shape(&[]);
static TOOL_CONFIG: Shape = Shape(&[
    req("tools", Kind::List(&Kind::Union(&TOOL))),
    opt("toolChoice", Kind::Union(&CHOICE)),
]);
static JSON_SCHEMA: Shape = Shape(&[
    req("schema", Kind::Text),
    opt("name", Kind::Text),
    opt("description", Kind::Text),
]);
static STRUCTURE: Shape = Shape(&[opt("jsonSchema", Kind::Object(&JSON_SCHEMA))]);
static TEXT_FORMAT: Shape = Shape(&[
    req("type", Kind::OneOf(&["json_schema"])),
    req("structure", Kind::Union(&STRUCTURE)),
]);
static OUTPUT: Shape = Shape(&[
    opt("textFormat", Kind::Object(&TEXT_FORMAT)),
    opt("effort", Kind::OneOf(&["low", "medium", "high", "xhigh", "max"])),
]);
static LATENCY: Shape = Shape(&[opt("latency", Kind::OneOf(&["standard", "optimized"]))]);
static TIER: Shape = Shape(&[req(
    "type",
    Kind::OneOf(&["default", "flex", "priority", "reserved"]),
)]);

/// A conversation; the same whole and streamed.
pub(super) static CONVERSE: Kind = Kind::Object(&CONVERSE_SHAPE);
static CONVERSE_SHAPE: Shape = Shape(&[
    opt("messages", Kind::List(&Kind::Object(&MESSAGE))),
    opt("system", Kind::List(&Kind::Union(&SYSTEM))),
    opt("inferenceConfig", Kind::Object(&INFERENCE)),
    opt("toolConfig", Kind::Object(&TOOL_CONFIG)),
    opt("guardrailConfig", Kind::Map),
    opt("additionalModelRequestFields", Kind::Map),
    opt("additionalModelResponseFieldPaths", Kind::List(&Kind::Text)),
    opt("promptVariables", Kind::Map),
    opt("requestMetadata", Kind::Each(&Kind::Text)),
    opt("performanceConfig", Kind::Object(&LATENCY)),
    opt("serviceTier", Kind::Object(&TIER)),
    opt("outputConfig", Kind::Object(&OUTPUT)),
]);
static COUNT_CONVERSE: Shape = Shape(&[
    opt("messages", Kind::List(&Kind::Object(&MESSAGE))),
    opt("system", Kind::List(&Kind::Union(&SYSTEM))),
    opt("toolConfig", Kind::Object(&TOOL_CONFIG)),
    opt("additionalModelRequestFields", Kind::Map),
]);
static COUNT_INVOKE: Shape = Shape(&[req("body", Kind::Base64)]);
static COUNTED: Shape = Shape(&[
    opt("converse", Kind::Object(&COUNT_CONVERSE)),
    opt("invokeModel", Kind::Object(&COUNT_INVOKE)),
]);
/// A count.
pub(super) static COUNT: Kind = Kind::Object(&Shape(&[req("input", Kind::Union(&COUNTED))]));

//! The fields of Gemini's requests.

use crate::shape::{Kind, Shape, opt, req};

pub(super) const TYPES: &[&str] = &[
    "TYPE_UNSPECIFIED",
    "STRING",
    "NUMBER",
    "INTEGER",
    "BOOLEAN",
    "ARRAY",
    "OBJECT",
    "NULL",
    "string",
    "number",
    "integer",
    "boolean",
    "array",
    "object",
    "null",
];

static BLOB: Shape = Shape(&[
    req("mimeType", Kind::Text),
    req("data", Kind::Base64),
    opt("displayName", Kind::Text),
]);
static FILE: Shape = Shape(&[
    req("fileUri", Kind::Text),
    opt("mimeType", Kind::Text),
    opt("displayName", Kind::Text),
]);
static CALL: Shape = Shape(&[
    req("name", Kind::Text),
    opt("args", Kind::Map),
    opt("id", Kind::Text),
]);
static RESPONSE_PART: Shape = Shape(&[
    opt("inlineData", Kind::Object(&BLOB)),
    opt("fileData", Kind::Object(&FILE)),
]);
static RESPONSE: Shape = Shape(&[
    req("name", Kind::Text),
    req("response", Kind::Map),
    opt("id", Kind::Text),
    opt("parts", Kind::List(&Kind::Object(&RESPONSE_PART))),
    opt("willContinue", Kind::Bool),
    opt(
        "scheduling",
        Kind::OneOf(&["SCHEDULING_UNSPECIFIED", "SILENT", "WHEN_IDLE", "INTERRUPT"]),
    ),
]);
static CODE: Shape = Shape(&[
    opt("language", Kind::Text),
    req("code", Kind::Text),
    opt("id", Kind::Text),
]);
static CODE_RESULT: Shape = Shape(&[
    req("outcome", Kind::Text),
    opt("output", Kind::Text),
    opt("id", Kind::Text),
]);
static PART: Shape = Shape(&[
    opt("text", Kind::Text),
    opt("inlineData", Kind::Object(&BLOB)),
    opt("fileData", Kind::Object(&FILE)),
    opt("functionCall", Kind::Object(&CALL)),
    opt("functionResponse", Kind::Object(&RESPONSE)),
    opt("executableCode", Kind::Object(&CODE)),
    opt("codeExecutionResult", Kind::Object(&CODE_RESULT)),
    opt("thought", Kind::Bool),
    opt("thoughtSignature", Kind::Base64),
    opt("videoMetadata", Kind::Map),
    opt("mediaResolution", Kind::Any),
    opt("partMetadata", Kind::Map),
]);
static CONTENT: Shape = Shape(&[
    opt("role", Kind::Text),
    req("parts", Kind::List(&Kind::Object(&PART))),
]);

/// Google's subset of schemas.
static SCHEMA: Shape = Shape(&[
    opt("type", Kind::OneOf(TYPES)),
    opt("format", Kind::Text),
    opt("title", Kind::Text),
    opt("description", Kind::Text),
    opt("nullable", Kind::Bool),
    opt("enum", Kind::List(&Kind::Text)),
    opt("properties", Kind::Each(&Kind::Object(&SCHEMA))),
    opt("required", Kind::List(&Kind::Text)),
    opt("propertyOrdering", Kind::List(&Kind::Text)),
    opt("items", Kind::Object(&SCHEMA)),
    opt("anyOf", Kind::List(&Kind::Object(&SCHEMA))),
    opt("minItems", Kind::TextOr(&Kind::Int)),
    opt("maxItems", Kind::TextOr(&Kind::Int)),
    opt("minLength", Kind::TextOr(&Kind::Int)),
    opt("maxLength", Kind::TextOr(&Kind::Int)),
    opt("minProperties", Kind::TextOr(&Kind::Int)),
    opt("maxProperties", Kind::TextOr(&Kind::Int)),
    opt("minimum", Kind::Number),
    opt("maximum", Kind::Number),
    opt("pattern", Kind::Text),
    opt("example", Kind::Any),
    opt("default", Kind::Any),
    opt("additionalProperties", Kind::Any),
]);
static FUNCTION: Shape = Shape(&[
    req("name", Kind::Text),
    opt("description", Kind::Text),
    opt("parameters", Kind::Object(&SCHEMA)),
    opt("parametersJsonSchema", Kind::Map),
    opt("response", Kind::Object(&SCHEMA)),
    opt("responseJsonSchema", Kind::Map),
    opt(
        "behavior",
        Kind::OneOf(&["UNSPECIFIED", "BLOCKING", "NON_BLOCKING"]),
    ),
]);
static TOOL: Shape = Shape(&[
    opt("functionDeclarations", Kind::List(&Kind::Object(&FUNCTION))),
    opt("googleSearch", Kind::Map),
    opt("googleSearchRetrieval", Kind::Map),
    opt("codeExecution", Kind::Map),
    opt("urlContext", Kind::Map),
    opt("googleMaps", Kind::Map),
    opt("fileSearch", Kind::Map),
    opt("computerUse", Kind::Map),
]);
static CALLING: Shape = Shape(&[
    opt(
        "mode",
        Kind::OneOf(&["MODE_UNSPECIFIED", "AUTO", "ANY", "NONE", "VALIDATED"]),
    ),
    opt("allowedFunctionNames", Kind::List(&Kind::Text)),
]);
static TOOL_CONFIG: Shape = Shape(&[
    opt("functionCallingConfig", Kind::Object(&CALLING)),
    opt("retrievalConfig", Kind::Map),
    opt("includeServerSideToolInvocations", Kind::Bool),
]);
static SAFETY: Shape = Shape(&[
    req(
        "category",
        Kind::OneOf(&[
            "HARM_CATEGORY_UNSPECIFIED",
            "HARM_CATEGORY_HARASSMENT",
            "HARM_CATEGORY_HATE_SPEECH",
            "HARM_CATEGORY_SEXUALLY_EXPLICIT",
            "HARM_CATEGORY_DANGEROUS_CONTENT",
            "HARM_CATEGORY_CIVIC_INTEGRITY",
        ]),
    ),
    req(
        "threshold",
        Kind::OneOf(&[
            "HARM_BLOCK_THRESHOLD_UNSPECIFIED",
            "BLOCK_LOW_AND_ABOVE",
            "BLOCK_MEDIUM_AND_ABOVE",
            "BLOCK_ONLY_HIGH",
            "BLOCK_NONE",
            "OFF",
        ]),
    ),
]);
static THINKING: Shape = Shape(&[
    opt("includeThoughts", Kind::Bool),
    opt("thinkingBudget", Kind::Within(-1.0, 65_536.0)),
    opt(
        "thinkingLevel",
        Kind::OneOf(&[
            "THINKING_LEVEL_UNSPECIFIED",
            "MINIMAL",
            "LOW",
            "MEDIUM",
            "HIGH",
            "XHIGH",
            "minimal",
            "low",
            "medium",
            "high",
            "xhigh",
        ]),
    ),
]);
static GENERATION: Shape = Shape(&[
    opt("temperature", Kind::Within(0.0, 2.0)),
    opt("topP", Kind::Within(0.0, 1.0)),
    opt("topK", Kind::AtLeast(1)),
    opt("candidateCount", Kind::Within(1.0, 8.0)),
    opt("maxOutputTokens", Kind::AtLeast(1)),
    opt("stopSequences", Kind::List(&Kind::Text)),
    opt("responseMimeType", Kind::Text),
    opt("responseSchema", Kind::Object(&SCHEMA)),
    opt("responseJsonSchema", Kind::Map),
    opt(
        "responseModalities",
        Kind::List(&Kind::OneOf(&["MODALITY_UNSPECIFIED", "TEXT", "IMAGE", "AUDIO"])),
    ),
    opt("responseLogprobs", Kind::Bool),
    opt("logprobs", Kind::Within(0.0, 20.0)),
    opt("presencePenalty", Kind::Within(-2.0, 2.0)),
    opt("frequencyPenalty", Kind::Within(-2.0, 2.0)),
    opt("seed", Kind::Int),
    opt("speechConfig", Kind::Map),
    opt("mediaResolution", Kind::Text),
    opt("imageConfig", Kind::Map),
    opt("enableEnhancedCivicAnswers", Kind::Bool),
    opt("thinkingConfig", Kind::Object(&THINKING)),
]);

/// `generateContent`.
pub(super) static GENERATE: Kind = Kind::Object(&GENERATE_SHAPE);
static GENERATE_SHAPE: Shape = Shape(&[
    req("contents", Kind::List(&Kind::Object(&CONTENT))),
    opt("model", Kind::Text),
    opt("systemInstruction", Kind::Object(&CONTENT)),
    opt("tools", Kind::List(&Kind::Object(&TOOL))),
    opt("toolConfig", Kind::Object(&TOOL_CONFIG)),
    opt("safetySettings", Kind::List(&Kind::Object(&SAFETY))),
    opt("generationConfig", Kind::Object(&GENERATION)),
    opt("cachedContent", Kind::Text),
    opt("labels", Kind::Each(&Kind::Text)),
    opt("serviceTier", Kind::Text),
    opt("store", Kind::Bool),
]);
/// `countTokens`: contents, or a whole request.
pub(super) static COUNT: Kind = Kind::Object(&Shape(&[
    opt("contents", Kind::List(&Kind::Object(&CONTENT))),
    opt("generateContentRequest", Kind::Object(&GENERATE_SHAPE)),
]));

static EMBED_CONFIG: Shape = Shape(&[
    opt("taskType", Kind::Text),
    opt("title", Kind::Text),
    opt("outputDimensionality", Kind::AtLeast(1)),
    opt("autoTruncate", Kind::Bool),
    opt("documentOcr", Kind::Bool),
    opt("audioTrackExtraction", Kind::Bool),
]);
static EMBED_SHAPE: Shape = Shape(&[
    req("content", Kind::Object(&CONTENT)),
    opt("model", Kind::Text),
    opt("taskType", Kind::Text),
    opt("title", Kind::Text),
    opt("outputDimensionality", Kind::AtLeast(1)),
    opt("embedContentConfig", Kind::Object(&EMBED_CONFIG)),
]);
/// `embedContent`.
pub(super) static EMBED: Kind = Kind::Object(&EMBED_SHAPE);
/// `batchEmbedContents`.
pub(super) static EMBED_BATCH: Kind = Kind::Object(&Shape(&[req(
    "requests",
    Kind::List(&Kind::Object(&EMBED_SHAPE)),
)]));

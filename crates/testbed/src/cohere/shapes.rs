//! The fields of Cohere's requests.

use crate::shape::{Kind, Shape, opt, req};

static TEXT: Shape = Shape(&[req("text", Kind::Text)]);
static URL: Shape = Shape(&[
    req("url", Kind::Text),
    opt("detail", Kind::OneOf(&["auto", "low", "high"])),
]);
static IMAGE: Shape = Shape(&[req("image_url", Kind::Object(&URL))]);
static THINKING: Shape = Shape(&[req("thinking", Kind::Text)]);
static DOCUMENT: Shape = Shape(&[req("data", Kind::Map), opt("id", Kind::Text)]);
static DOCUMENT_PART: Shape = Shape(&[req("document", Kind::Object(&DOCUMENT))]);
static FUNCTION_CALL: Shape = Shape(&[req("name", Kind::Text), req("arguments", Kind::Text)]);
static CALL: Shape = Shape(&[
    req("id", Kind::Text),
    req("function", Kind::Object(&FUNCTION_CALL)),
]);

static USER: Shape = Shape(&[req(
    "content",
    Kind::TextOr(&Kind::List(&Kind::Tagged(
        "type",
        &[("text", &TEXT), ("image_url", &IMAGE)],
    ))),
)]);
static SYSTEM: Shape = Shape(&[req(
    "content",
    Kind::TextOr(&Kind::List(&Kind::Tagged("type", &[("text", &TEXT)]))),
)]);
static ASSISTANT: Shape = Shape(&[
    opt(
        "content",
        Kind::TextOr(&Kind::List(&Kind::Tagged(
            "type",
            &[("text", &TEXT), ("thinking", &THINKING)],
        ))),
    ),
    opt(
        "tool_calls",
        Kind::List(&Kind::Tagged("type", &[("function", &CALL)])),
    ),
    opt("tool_plan", Kind::Text),
    opt("citations", Kind::List(&Kind::Map)),
]);
static TOOL_MESSAGE: Shape = Shape(&[
    req("tool_call_id", Kind::Text),
    req(
        "content",
        Kind::TextOr(&Kind::List(&Kind::Tagged(
            "type",
            &[("text", &TEXT), ("document", &DOCUMENT_PART)],
        ))),
    ),
]);
static FUNCTION: Shape = Shape(&[
    req("name", Kind::Text),
    opt("description", Kind::Text),
    req("parameters", Kind::Map),
]);
static TOOL: Shape = Shape(&[req("function", Kind::Object(&FUNCTION))]);
static PLAIN: Shape = Shape(&[]);
static JSON_OBJECT: Shape = Shape(&[opt("json_schema", Kind::Map), opt("schema", Kind::Map)]);
static THOUGHT: Shape = Shape(&[
    req("type", Kind::OneOf(&["enabled", "disabled"])),
    opt("token_budget", Kind::AtLeast(1)),
]);
static CITATION_OPTIONS: Shape = Shape(&[opt(
    "mode",
    Kind::OneOf(&[
        "ENABLED", "DISABLED", "FAST", "ACCURATE", "OFF", "enabled", "disabled", "fast", "accurate", "off",
    ]),
)]);

/// A conversation.
pub(super) static CHAT: Kind = Kind::Object(&Shape(&[
    req("model", Kind::Text),
    req(
        "messages",
        Kind::List(&Kind::Tagged(
            "role",
            &[
                ("user", &USER),
                ("assistant", &ASSISTANT),
                ("system", &SYSTEM),
                ("tool", &TOOL_MESSAGE),
            ],
        )),
    ),
    opt("stream", Kind::Bool),
    opt("tools", Kind::List(&Kind::Tagged("type", &[("function", &TOOL)]))),
    opt("strict_tools", Kind::Bool),
    opt("tool_choice", Kind::OneOf(&["REQUIRED", "NONE"])),
    opt("documents", Kind::List(&Kind::TextOr(&Kind::Object(&DOCUMENT)))),
    opt("citation_options", Kind::Object(&CITATION_OPTIONS)),
    opt(
        "response_format",
        Kind::Tagged("type", &[("text", &PLAIN), ("json_object", &JSON_OBJECT)]),
    ),
    opt("safety_mode", Kind::OneOf(&["CONTEXTUAL", "STRICT", "OFF"])),
    opt("max_tokens", Kind::AtLeast(1)),
    opt("stop_sequences", Kind::List(&Kind::Text)),
    opt("temperature", Kind::Within(0.0, 1.0)),
    opt("seed", Kind::AtLeast(0)),
    opt("frequency_penalty", Kind::Within(0.0, 1.0)),
    opt("presence_penalty", Kind::Within(0.0, 1.0)),
    opt("k", Kind::Within(0.0, 500.0)),
    opt("p", Kind::Within(0.01, 0.99)),
    opt("logprobs", Kind::Bool),
    opt("thinking", Kind::Object(&THOUGHT)),
    opt("priority", Kind::Within(0.0, 999.0)),
]));

static INPUT: Shape = Shape(&[req(
    "content",
    Kind::List(&Kind::Tagged("type", &[("text", &TEXT), ("image_url", &IMAGE)])),
)]);
/// Embeddings.
pub(super) static EMBED: Kind = Kind::Object(&Shape(&[
    req("model", Kind::Text),
    req(
        "input_type",
        Kind::OneOf(&[
            "search_document",
            "search_query",
            "classification",
            "clustering",
            "image",
        ]),
    ),
    opt("texts", Kind::List(&Kind::Text)),
    opt("images", Kind::List(&Kind::Text)),
    opt("inputs", Kind::List(&Kind::Object(&INPUT))),
    opt("max_tokens", Kind::AtLeast(1)),
    opt("output_dimension", Kind::AtLeast(1)),
    opt(
        "embedding_types",
        Kind::List(&Kind::OneOf(&[
            "float", "int8", "uint8", "binary", "ubinary", "base64",
        ])),
    ),
    opt("truncate", Kind::OneOf(&["NONE", "START", "END"])),
    opt("priority", Kind::Within(0.0, 999.0)),
]));
/// A ranking, version 2.
pub(super) static RERANK: Kind = Kind::Object(&Shape(&[
    req("model", Kind::Text),
    req("query", Kind::Text),
    req("documents", Kind::List(&Kind::Text)),
    opt("top_n", Kind::AtLeast(1)),
    opt("max_tokens_per_doc", Kind::AtLeast(1)),
    opt("relevant_spans", Kind::Any),
    opt("priority", Kind::Within(0.0, 999.0)),
]));
/// A ranking, version 1.
pub(super) static OLD_RERANK: Kind = Kind::Object(&Shape(&[
    opt("model", Kind::Text),
    req("query", Kind::Text),
    req("documents", Kind::List(&Kind::TextOr(&Kind::Map))),
    opt("top_n", Kind::AtLeast(1)),
    opt("rank_fields", Kind::List(&Kind::Text)),
    opt("return_documents", Kind::Bool),
    opt("max_chunks_per_doc", Kind::AtLeast(1)),
]));

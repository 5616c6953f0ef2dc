//! The table of paths.

use http::Method;
use pointsman_wire::format::Format;
use pointsman_wire::{embeddings, rerank};

use super::asks::{
    Asks, BatchCall, CollectionCall, Delivery, Endpoint, FileCall, Judge, Kept, MemoryCall, Understand,
};

use Format::{
    AnthropicMessages as Anthropic, BedrockConverse as Bedrock, BedrockInvoke as Invoke,
    CohereChat as Cohere, GeminiGenerate as Gemini, OpenAiChat as OpenAi, OpenAiCompletions as Completions,
    OpenAiResponses as Responses,
};

/// A line of the table.
pub(super) struct Path {
    pub(super) method: Method,
    pub(super) pattern: &'static str,
    pub(super) asks: Asks,
    pub(super) dialect: Format,
}

const fn post(pattern: &'static str, asks: Asks, dialect: Format) -> Path {
    Path {
        method: Method::POST,
        pattern,
        asks,
        dialect,
    }
}

const fn delete(pattern: &'static str, asks: Asks, dialect: Format) -> Path {
    Path {
        method: Method::DELETE,
        pattern,
        asks,
        dialect,
    }
}

const fn get(pattern: &'static str, asks: Asks, dialect: Format) -> Path {
    Path {
        method: Method::GET,
        pattern,
        asks,
        dialect,
    }
}

/// A conversation whose body says whether to stream, with errors in its own format.
const fn chat(pattern: &'static str, format: Format) -> Path {
    post(pattern, Asks::Chat(format, Delivery::AsAsked), format)
}

/// A conversation whose path says that the answer is whole.
const fn whole(pattern: &'static str, format: Format) -> Path {
    post(pattern, Asks::Chat(format, Delivery::Whole), format)
}

/// A conversation whose path says that the answer is streamed.
const fn streamed(pattern: &'static str, format: Format) -> Path {
    post(pattern, Asks::Chat(format, Delivery::Streamed), format)
}

/// Vectors, with errors in this dialect.
const fn embeds(pattern: &'static str, shape: embeddings::Shape, dialect: Format) -> Path {
    post(pattern, Asks::Embeddings(shape), dialect)
}

/// What is asked about prompts.
const fn understands(pattern: &'static str, what: Understand) -> Path {
    post(pattern, Asks::Understand(what), OpenAi)
}

/// What is passed on.
const fn passes(pattern: &'static str, endpoint: Endpoint) -> Path {
    post(pattern, Asks::Endpoint(endpoint), OpenAi)
}

/// Every path, once. A new surface adds its lines here. `{model}` and `{agent}` may hold slashes, `{id}` may not; in a path
/// that belongs to two lines the first one has it.
pub(super) static PATHS: &[Path] = &[
    chat("/v1/chat/completions", OpenAi),
    chat("/v1/messages", Anthropic),
    chat("/v1/responses", Responses),
    post(
        "/v1/completions",
        Asks::Chat(Completions, Delivery::AsAsked),
        OpenAi,
    ),
    embeds("/v1/embeddings", embeddings::Shape::OpenAi, OpenAi),
    embeds("/v2/embed", embeddings::Shape::Cohere, Cohere),
    embeds("/v1/embed", embeddings::Shape::CohereOld, Cohere),
    embeds(
        "/v1beta/models/{model}:embedContent",
        embeddings::Shape::Gemini,
        Gemini,
    ),
    embeds(
        "/v1/models/{model}:embedContent",
        embeddings::Shape::Gemini,
        Gemini,
    ),
    embeds(
        "/v1beta/models/{model}:batchEmbedContents",
        embeddings::Shape::GeminiBatch,
        Gemini,
    ),
    embeds(
        "/v1/models/{model}:batchEmbedContents",
        embeddings::Shape::GeminiBatch,
        Gemini,
    ),
    post("/v2/rerank", Asks::Rerank(rerank::Shape::Cohere), Cohere),
    post("/v1/rerank", Asks::Rerank(rerank::Shape::CohereOld), Cohere),
    post("/rerank", Asks::Rerank(rerank::Shape::Jina), OpenAi),
    passes("/v1/moderations", Endpoint::Moderations),
    passes("/score", Endpoint::Score),
    passes("/v1/score", Endpoint::Score),
    passes("/pooling", Endpoint::Pooling),
    passes("/v1/images/generations", Endpoint::Images),
    passes("/v1/images/edits", Endpoint::ImageEdits),
    passes("/v1/images/variations", Endpoint::ImageVariations),
    passes("/v1/audio/speech", Endpoint::Speech),
    passes("/v1/audio/transcriptions", Endpoint::Transcriptions),
    passes("/v1/audio/translations", Endpoint::Translations),
    passes("/tokenize", Endpoint::Tokenize),
    passes("/detokenize", Endpoint::Detokenize),
    post("/v1/messages/count_tokens", Asks::CountTokens, Anthropic),
    // Responses and conversations; an item's id stands behind `/items/` in what is called the model.
    post("/v1/responses/input_tokens", Asks::CountTokens, Responses),
    post("/v1/responses/compact", Asks::Compact, Responses),
    post(
        "/v1/responses/{model}/cancel",
        Asks::State(Kept::CancelResponse),
        Responses,
    ),
    get(
        "/v1/responses/{model}/input_items",
        Asks::State(Kept::InputItems),
        Responses,
    ),
    get("/v1/responses/{model}", Asks::State(Kept::Response), Responses),
    delete(
        "/v1/responses/{model}",
        Asks::State(Kept::DeleteResponse),
        Responses,
    ),
    post("/v1/conversations", Asks::State(Kept::NewConversation), Responses),
    post(
        "/v1/conversations/{model}/items",
        Asks::State(Kept::AddItems),
        Responses,
    ),
    get(
        "/v1/conversations/{model}/items",
        Asks::State(Kept::Items),
        Responses,
    ),
    post(
        "/v1/conversations/{model}",
        Asks::State(Kept::UpdateConversation),
        Responses,
    ),
    get(
        "/v1/conversations/{model}",
        Asks::State(Kept::Conversation),
        Responses,
    ),
    delete(
        "/v1/conversations/{model}",
        Asks::State(Kept::DeleteConversation),
        Responses,
    ),
    post("/v1/files", Asks::Files(FileCall::Upload), OpenAi),
    get("/v1/files", Asks::Files(FileCall::List), OpenAi),
    get("/v1/files/{id}/content", Asks::Files(FileCall::Content), OpenAi),
    get("/v1/files/{id}", Asks::Files(FileCall::Retrieve), OpenAi),
    delete("/v1/files/{id}", Asks::Files(FileCall::Delete), OpenAi),
    post(
        "/v1/vector_stores",
        Asks::Collections(CollectionCall::Create),
        OpenAi,
    ),
    get(
        "/v1/vector_stores",
        Asks::Collections(CollectionCall::List),
        OpenAi,
    ),
    post(
        "/v1/vector_stores/{model}/search",
        Asks::Collections(CollectionCall::Search),
        OpenAi,
    ),
    post(
        "/v1/vector_stores/{model}/files",
        Asks::Collections(CollectionCall::AddFile),
        OpenAi,
    ),
    get(
        "/v1/vector_stores/{model}/files",
        Asks::Collections(CollectionCall::Files),
        OpenAi,
    ),
    get(
        "/v1/vector_stores/{model}",
        Asks::Collections(CollectionCall::Show),
        OpenAi,
    ),
    post(
        "/v1/vector_stores/{model}",
        Asks::Collections(CollectionCall::Change),
        OpenAi,
    ),
    delete(
        "/v1/vector_stores/{model}",
        Asks::Collections(CollectionCall::Delete),
        OpenAi,
    ),
    post("/v1/batches", Asks::Batches(BatchCall::Create), OpenAi),
    get("/v1/batches", Asks::Batches(BatchCall::List), OpenAi),
    get("/v1/batches/{id}", Asks::Batches(BatchCall::Retrieve), OpenAi),
    post(
        "/v1/batches/{id}/cancel",
        Asks::Batches(BatchCall::Cancel),
        OpenAi,
    ),
    post(
        "/v1/messages/batches",
        Asks::Batches(BatchCall::Create),
        Anthropic,
    ),
    get("/v1/messages/batches", Asks::Batches(BatchCall::List), Anthropic),
    get(
        "/v1/messages/batches/{id}/results",
        Asks::Batches(BatchCall::Results),
        Anthropic,
    ),
    get(
        "/v1/messages/batches/{id}",
        Asks::Batches(BatchCall::Retrieve),
        Anthropic,
    ),
    post(
        "/v1/messages/batches/{id}/cancel",
        Asks::Batches(BatchCall::Cancel),
        Anthropic,
    ),
    delete(
        "/v1/messages/batches/{id}",
        Asks::Batches(BatchCall::Delete),
        Anthropic,
    ),
    get("/v1/realtime", Asks::Realtime, OpenAi),
    post("/v1/realtime/client_secrets", Asks::RealtimeSecret, OpenAi),
    post("/v1/realtime/sessions", Asks::RealtimeAside, OpenAi),
    post("/v1/realtime/transcription_sessions", Asks::RealtimeAside, OpenAi),
    post("/v1/realtime/calls", Asks::RealtimeAside, OpenAi),
    // Gemini: the newer SDKs use /v1 as well as /v1beta.
    whole("/v1beta/models/{model}:generateContent", Gemini),
    whole("/v1/models/{model}:generateContent", Gemini),
    streamed("/v1beta/models/{model}:streamGenerateContent", Gemini),
    streamed("/v1/models/{model}:streamGenerateContent", Gemini),
    post("/v1beta/models/{model}:countTokens", Asks::CountTokens, Gemini),
    post("/v1/models/{model}:countTokens", Asks::CountTokens, Gemini),
    get("/v1beta/models", Asks::Models, Gemini),
    get("/v1beta/models/{model}", Asks::Models, Gemini),
    chat("/v2/chat", Cohere),
    // Bedrock: the id may be an ARN.
    whole("/model/{model}/converse", Bedrock),
    streamed("/model/{model}/converse-stream", Bedrock),
    whole("/model/{model}/invoke", Invoke),
    streamed("/model/{model}/invoke-with-response-stream", Invoke),
    post("/model/{model}/count-tokens", Asks::CountTokens, Bedrock),
    // Told apart by what the client says.
    get("/v1/models", Asks::Models, OpenAi),
    get("/v1/models/{model}", Asks::Models, OpenAi),
    post("/api/v1/eval", Asks::Explain, OpenAi),
    post("/api/v1/feedback", Asks::Judge(Judge::Feedback), OpenAi),
    get("/api/v1/ratings", Asks::Judge(Judge::Ratings), OpenAi),
    get("/v1/memory", Asks::Memory(MemoryCall::List), OpenAi),
    delete("/v1/memory", Asks::Memory(MemoryCall::ForgetAll), OpenAi),
    delete("/v1/memory/{id}", Asks::Memory(MemoryCall::Forget), OpenAi),
    post("/v1/memory/consent", Asks::Memory(MemoryCall::Consent), OpenAi),
    post("/v1/router/outcomes", Asks::Judge(Judge::Outcome), OpenAi),
    understands("/api/v1/classify/intent", Understand::Intent),
    understands("/api/v1/classify/pii", Understand::Pii),
    understands("/api/v1/classify/security", Understand::Security),
    understands("/api/v1/classify/fact-check", Understand::FactCheck),
    understands("/api/v1/classify/user-feedback", Understand::UserFeedback),
    understands("/api/v1/classify/combined", Understand::Combined),
    understands("/api/v1/classify/batch", Understand::Batch),
    understands("/api/v1/embeddings", Understand::Embeddings),
    understands("/api/v1/similarity", Understand::Similarity),
    understands("/api/v1/similarity/batch", Understand::Similarities),
    post("/mcp", Asks::Mcp, OpenAi),
    get("/mcp", Asks::Mcp, OpenAi),
    delete("/mcp", Asks::Mcp, OpenAi),
    get("/sse", Asks::Mcp, OpenAi),
    post("/sse", Asks::Mcp, OpenAi),
    get("/sse/{id}", Asks::Mcp, OpenAi),
    post("/sse/{id}", Asks::Mcp, OpenAi),
    post("/mcp/{id}", Asks::Mcp, OpenAi),
    get("/mcp/{id}", Asks::Mcp, OpenAi),
    delete("/mcp/{id}", Asks::Mcp, OpenAi),
    get(
        "/.well-known/oauth-protected-resource",
        Asks::McpDescribed,
        OpenAi,
    ),
    get(
        "/.well-known/oauth-protected-resource/mcp",
        Asks::McpDescribed,
        OpenAi,
    ),
    get(
        "/.well-known/oauth-protected-resource/mcp/{id}",
        Asks::McpDescribed,
        OpenAi,
    ),
    get(
        "/.well-known/oauth-authorization-server",
        Asks::McpDescribed,
        OpenAi,
    ),
    get("/.well-known/openid-configuration", Asks::McpDescribed, OpenAi),
    get("/oauth/mcp/{id}", Asks::McpConsent, OpenAi),
    post("/oauth/mcp/{id}", Asks::McpConsent, OpenAi),
    get("/oauth/callback/mcp", Asks::McpConsent, OpenAi),
    get("/oauth/client/mcp", Asks::McpConsent, OpenAi),
    get("/oauth/grants/mcp", Asks::McpGrants, OpenAi),
    delete("/oauth/grants/mcp/{id}", Asks::McpGrants, OpenAi),
    get("/a2a", Asks::A2a, OpenAi),
    post("/a2a/{agent}", Asks::A2a, OpenAi),
    get("/a2a/{agent}", Asks::A2a, OpenAi),
    delete("/a2a/{agent}", Asks::A2a, OpenAi),
    get("/.well-known/agent-card.json", Asks::A2a, OpenAi),
    post("/lf.a2a.v1.A2AService/{agent}", Asks::A2a, OpenAi),
    post("/a2a.v1.A2AService/{agent}", Asks::A2a, OpenAi),
    get("/health", Asks::Live, OpenAi),
    get("/health/live", Asks::Live, OpenAi),
    get("/health/ready", Asks::Ready, OpenAi),
];

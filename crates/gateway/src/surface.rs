//! Surfaces: which path speaks which format, and in which format its errors are told.

mod path;

use http::{HeaderMap, Method, Uri};
use pointsman_wire::form::{Failure, FailureKind};
use pointsman_wire::format::Format;
use pointsman_wire::{embeddings, rerank};

pub use path::query_value;

/// What a path of the API listener asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asks {
    /// The next turn of a conversation, in this format.
    Chat(Format, Delivery),
    /// Vectors, in this shape.
    Embeddings(embeddings::Shape),
    /// A ranking of documents, in this shape.
    Rerank(rerank::Shape),
    /// Something else that is passed on as it is.
    Endpoint(Endpoint),
    /// A conversation made shorter, in OpenAI's Responses.
    Compact,
    /// How many tokens a request has, in the shape of the path's dialect.
    CountTokens,
    /// Something of a response or a conversation that is kept.
    State(Kept),
    /// The models there are.
    Models,
    /// Something of a file.
    Files(FileCall),
    /// Something of what is remembered of the caller.
    Memory(MemoryCall),
    /// Something of a collection of documents.
    Collections(CollectionCall),
    /// Something of a batch; whose shapes it has is said by the dialect.
    Batches(BatchCall),
    /// How a prompt would be routed.
    Explain,
    /// What is understood of prompts.
    Understand(Understand),
    /// How good answers were.
    Judge(Judge),
    /// Something of MCP servers; which one the path may say.
    Mcp,
    /// How clients of MCP servers get a token.
    McpDescribed,
    /// Pages on which users let the gateway in at MCP servers.
    McpConsent,
    /// What a user has let the gateway do at MCP servers, and taking it back.
    McpGrants,
    /// Something of A2A agents; which one, and what, the path says.
    A2a,
    /// A realtime session, over a WebSocket.
    Realtime,
    /// A short-lived key for realtime sessions.
    RealtimeSecret,
    /// A way into realtime sessions that would lead around the gateway.
    RealtimeAside,
    /// Whether the process is alive.
    Live,
    /// Whether it can serve.
    Ready,
}

/// What is passed on in the one shape that there is of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Endpoint {
    /// Whether content is harmful.
    Moderations,
    /// How well texts fit together.
    Score,
    /// What a pooling model makes of texts.
    Pooling,
    /// Images of a description.
    Images,
    /// Images changed by a description.
    ImageEdits,
    /// Images like an image.
    ImageVariations,
    /// Text as sound.
    Speech,
    /// Sound as text.
    Transcriptions,
    /// Sound as English text.
    Translations,
    /// Texts as token ids.
    Tokenize,
    /// Token ids as texts.
    Detokenize,
}

impl Endpoint {
    /// The catalog's name of it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Moderations => "moderations",
            Self::Score => "score",
            Self::Pooling => "pooling",
            Self::Images => "images",
            Self::ImageEdits => "image_edits",
            Self::ImageVariations => "image_variations",
            Self::Speech => "speech",
            Self::Transcriptions => "transcriptions",
            Self::Translations => "translations",
            Self::Tokenize => "tokenize",
            Self::Detokenize => "detokenize",
        }
    }
}

/// What is asked of a response or a conversation that is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kept {
    /// The response.
    Response,
    /// That it goes.
    DeleteResponse,
    /// That it stops.
    CancelResponse,
    /// What was asked by it.
    InputItems,
    /// A new conversation.
    NewConversation,
    /// The conversation, or one of its items.
    Conversation,
    /// Other metadata for it.
    UpdateConversation,
    /// That it, or one of its items, goes.
    DeleteConversation,
    /// New items for it.
    AddItems,
    /// Its items.
    Items,
}

/// What is asked about prompts, in the shapes of the semantic router's own API.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Understand {
    /// What it is about.
    Intent,
    /// Personal data in it.
    Pii,
    /// Whether it is an attack.
    Security,
    /// Whether its answer needs to be checked.
    FactCheck,
    /// What a user thinks of the answer before.
    UserFeedback,
    /// Several of these.
    Combined,
    /// One of these, for several prompts.
    Batch,
    /// Vectors.
    Embeddings,
    /// How alike two texts are.
    Similarity,
    /// Which of several texts are most like one.
    Similarities,
}

/// How it is told how good answers were, in the shapes of the semantic router's own API.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Judge {
    /// A judgement of a request, or of two models.
    Feedback,
    /// What came of a request.
    Outcome,
    /// How models stand.
    Ratings,
}

/// What is asked of files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileCall {
    /// Keep this one.
    Upload,
    /// Which there are.
    List,
    /// What is known of one.
    Retrieve,
    /// Its bytes.
    Content,
    /// Forget it.
    Delete,
}

/// What is asked of what is remembered of the caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MemoryCall {
    /// What it is.
    List,
    /// That one of it goes.
    Forget,
    /// That all of it goes.
    ForgetAll,
    /// Whether they agree to it.
    Consent,
}

/// What is asked of collections of documents; what of one stands behind its id in what is called the model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CollectionCall {
    /// Make this one.
    Create,
    /// Which there are.
    List,
    /// What is known of one, or of a file of it.
    Show,
    /// Another name, other words, other readers; or several files for it.
    Change,
    /// That it, or a file of it, goes.
    Delete,
    /// A file for it.
    AddFile,
    /// Its files.
    Files,
    /// What in it answers a question.
    Search,
}

/// What is asked of batches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BatchCall {
    /// Run this one.
    Create,
    /// Which there are.
    List,
    /// How far one is.
    Retrieve,
    /// Send no more lines.
    Cancel,
    /// What came of its lines.
    Results,
    /// Forget it.
    Delete,
}

/// Where it stands whether the answer is streamed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delivery {
    /// In the body.
    AsAsked,
    /// In the path: it is whole.
    Whole,
    /// In the path: it is streamed.
    Streamed,
}

/// A path that was recognised.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Surface {
    /// What is asked for.
    pub asks: Asks,
    /// The format its errors are told in.
    pub dialect: Format,
    /// The path as the table has it: what the ledger, the log and the metrics call the surface, so that no name a
    /// client makes up becomes a label.
    pub path: &'static str,
    /// The model, file or batch that the path names.
    pub model: Option<String>,
}

/// The surface of what no path of the table knows.
pub const UNKNOWN: &str = "unknown";

struct Path {
    method: Method,
    pattern: &'static str,
    asks: Asks,
    dialect: Format,
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

use Format::{
    AnthropicMessages as Anthropic, BedrockConverse as Bedrock, BedrockInvoke as Invoke,
    CohereChat as Cohere, GeminiGenerate as Gemini, OpenAiChat as OpenAi, OpenAiCompletions as Completions,
    OpenAiResponses as Responses,
};

/// Every path, once. A new surface adds its lines here. `{model}` and `{agent}` may hold slashes, `{id}` may not; in a path
/// that belongs to two lines the first one has it.
static PATHS: &[Path] = &[
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

/// Every path of the API listener with its method; what stands in braces may be anything.
pub fn paths() -> impl Iterator<Item = (&'static Method, &'static str)> {
    PATHS.iter().map(|path| (&path.method, path.pattern))
}

/// Prefixes that name a format, so that an SDK's base URL can.
const PREFIXES: [(&str, Format); 5] = [
    ("/openai", OpenAi),
    ("/anthropic", Anthropic),
    ("/genai", Gemini),
    ("/cohere", Cohere),
    ("/bedrock", Bedrock),
];

/// Finds the surface of a path.
///
/// # Errors
/// 404 for an unknown path, 405 for a known one asked with another method, each with the dialect to tell it in.
pub fn find(method: &Method, uri: &Uri, headers: &HeaderMap) -> Result<Surface, (Failure, Format)> {
    let full = uri.path();
    let (rest, prefixed) = strip_prefix(full);
    let path = path::normalize(rest);
    let said = prefixed.or_else(|| said_by(uri, headers));
    let mut other_method = None;
    for known in PATHS {
        let Some(model) = path::matches(known.pattern, &path) else {
            continue;
        };
        // Shared paths are told apart by what the client says.
        let shared = known.asks == Asks::Models && known.dialect == OpenAi;
        let dialect = said.filter(|_| shared).unwrap_or(known.dialect);
        if known.method == *method || (*method == Method::HEAD && known.method == Method::GET) {
            return Ok(Surface {
                asks: known.asks,
                dialect,
                path: known.pattern,
                model: model.map(path::decode),
            });
        }
        // `model:method` is a method that is not there, not a model asked for in a wrong way.
        if !model.is_some_and(|model| model.contains(':')) {
            other_method = other_method.or(Some((known, dialect)));
        }
    }
    Err(match other_method {
        Some((known, dialect)) => {
            let message = format!("{method} is not allowed on {full}; use {}", known.method);
            (Failure::new(FailureKind::MethodNotAllowed, message), dialect)
        }
        None => {
            let message = format!("there is nothing at {method} {full}");
            let dialect = said.unwrap_or_else(|| dialect_of(&path));
            (Failure::new(FailureKind::NotFound, message), dialect)
        }
    })
}

/// The format that a client speaks, as far as its headers and query tell.
fn said_by(uri: &Uri, headers: &HeaderMap) -> Option<Format> {
    if headers.contains_key("anthropic-version") {
        return Some(Anthropic);
    }
    let gemini = headers.contains_key("x-goog-api-key") || uri.query().is_some_and(path::has_key);
    gemini.then_some(Gemini)
}

/// The format that a path without a surface looks like.
fn dialect_of(path: &str) -> Format {
    [("/v1beta/", Gemini), ("/v2/", Cohere), ("/model/", Bedrock)]
        .into_iter()
        .find(|(start, _)| path.starts_with(start))
        .map_or(OpenAi, |(_, dialect)| dialect)
}

fn strip_prefix(path: &str) -> (&str, Option<Format>) {
    for (prefix, format) in PREFIXES {
        if let Some(rest) = path.strip_prefix(prefix)
            && rest.starts_with('/')
        {
            return (rest, Some(format));
        }
    }
    (path, None)
}

#[cfg(test)]
mod tests;

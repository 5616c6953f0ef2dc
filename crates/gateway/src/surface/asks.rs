//! What paths ask for.

use pointsman_wire::format::Format;
use pointsman_wire::{embeddings, rerank};

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

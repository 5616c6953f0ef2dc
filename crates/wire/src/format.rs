//! The formats by name, and the way from a name to its reader and writer.

use std::borrow::Cow;

use bytes::{Bytes, BytesMut};

use crate::eventstream::EventStreamError;
use crate::form::{ChatRequest, ChatResponse, Failure, MaxTokensName, StreamEvent, Text, Usage};
use crate::rules::Rule;
use crate::sse::SseError;
use crate::{anthropic, bedrock, cohere, completions, gemini, hosted, openai, responses, seal};

pub use crate::watch::{Seen, StreamWatcher, WatchOptions, stream_watcher};

/// A wire format of chat requests and answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Format {
    /// OpenAI chat completions.
    OpenAiChat,
    /// OpenAI (text) completions.
    OpenAiCompletions,
    /// OpenAI responses.
    OpenAiResponses,
    /// Anthropic messages.
    AnthropicMessages,
    /// Gemini `generateContent`. The model and whether to stream stand in the path.
    GeminiGenerate,
    /// Amazon Bedrock Converse. The model and whether to stream stand in the path.
    BedrockConverse,
    /// Amazon Bedrock InvokeModel with Anthropic's messages in it. The model and whether to stream stand in the path.
    BedrockInvoke,
    /// Cohere chat, version 2.
    CohereChat,
}

impl Format {
    /// Every format, in the order of the documentation.
    pub const ALL: [Self; 8] = [
        Self::OpenAiChat,
        Self::OpenAiResponses,
        Self::AnthropicMessages,
        Self::GeminiGenerate,
        Self::BedrockConverse,
        Self::BedrockInvoke,
        Self::CohereChat,
        Self::OpenAiCompletions,
    ];

    /// The name used in configuration, the catalog, metrics and documentation.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::OpenAiChat => "openai-chat",
            Self::OpenAiCompletions => "openai-completions",
            Self::OpenAiResponses => "openai-responses",
            Self::AnthropicMessages => "anthropic-messages",
            Self::GeminiGenerate => "gemini",
            Self::BedrockConverse => "bedrock-converse",
            Self::BedrockInvoke => "bedrock-invoke",
            Self::CohereChat => "cohere-chat",
        }
    }

    /// How its streams are framed.
    #[must_use]
    pub fn framing(self) -> Framing {
        match self {
            Self::BedrockConverse | Self::BedrockInvoke => Framing::EventStream,
            Self::OpenAiChat
            | Self::OpenAiCompletions
            | Self::OpenAiResponses
            | Self::AnthropicMessages
            | Self::GeminiGenerate
            | Self::CohereChat => Framing::Sse,
        }
    }

    /// The format of a name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|format| format.name() == name)
    }
}

/// How the events of a stream are told apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Framing {
    /// Server-sent events.
    Sse,
    /// Messages of an AWS event stream.
    EventStream,
}

impl Framing {
    /// The `Content-Type` of such a stream.
    #[must_use]
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Sse => "text/event-stream; charset=utf-8",
            Self::EventStream => crate::eventstream::CONTENT_TYPE,
        }
    }
}

/// A body that does not say what its format demands.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct DecodeError {
    /// What is wrong.
    pub message: String,
    /// Where, such as `messages[2].content[0].type`.
    pub param: Option<String>,
}

impl DecodeError {
    /// An error of the whole body.
    #[must_use]
    pub fn plain(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            param: None,
        }
    }
}

/// What the writer must know of the target.
#[derive(Debug, Clone, Copy)]
pub struct EncodeTarget<'a> {
    /// The provider's name of the model.
    pub model: &'a str,
    /// The limit of an answer for formats that demand one.
    pub default_max_tokens: u64,
    /// Under which name an OpenAI-compatible server takes the limit.
    pub max_tokens_name: MaxTokensName,
    /// Whether it knows the role `developer`.
    pub developer_role: bool,
    /// Whether it knows `stream_options`.
    pub stream_usage: bool,
}

/// A written request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Encoded {
    /// The body.
    pub body: Bytes,
    /// What was mapped to the nearest thing.
    pub losses: Vec<Loss>,
}

/// Something the target cannot express exactly.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loss {
    /// The field, as the client's format names it.
    pub field: Cow<'static, str>,
    /// What became of it.
    pub note: &'static str,
}

impl Loss {
    /// The rule was applied.
    #[must_use]
    pub const fn by(rule: &'static Rule) -> Self {
        Self {
            field: Cow::Borrowed(rule.field),
            note: rule.note,
        }
    }
}

/// Something the target cannot express at all.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {message}")]
pub struct EncodeError {
    /// The field, as the client's format names it.
    pub field: String,
    /// Why not.
    pub message: String,
}

impl EncodeError {
    /// Field `field` cannot be expressed.
    #[must_use]
    pub fn at(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            field: field.into(),
            message: message.into(),
        }
    }
}

/// A stream that is not what its format demands.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StreamError {
    /// It ended before its terminator.
    #[error("it ended before the answer was complete")]
    Cut,
    /// An event is not what the format demands.
    #[error("an event is malformed: {0}")]
    Malformed(String),
    /// The event stream itself is broken.
    #[error(transparent)]
    Sse(#[from] SseError),
    /// The event stream of AWS is broken.
    #[error(transparent)]
    EventStream(#[from] EventStreamError),
}

impl From<DecodeError> for StreamError {
    fn from(error: DecodeError) -> Self {
        Self::Malformed(error.message)
    }
}

/// Reads a request.
///
/// # Errors
/// When it does not say what its format demands.
pub fn decode_request(format: Format, body: &Bytes) -> Result<ChatRequest, DecodeError> {
    match format {
        Format::OpenAiChat => openai::request::decode(body),
        Format::OpenAiCompletions => completions::request::decode(body),
        Format::AnthropicMessages => anthropic::request::decode(body),
        Format::OpenAiResponses => responses::request::decode(body),
        Format::GeminiGenerate => gemini::request::decode(body),
        Format::BedrockConverse => bedrock::request::decode(body),
        Format::BedrockInvoke => bedrock::invoke::decode_request(body),
        Format::CohereChat => cohere::request::decode(body),
    }
}

/// Writes a request.
///
/// # Errors
/// When the format cannot express it.
pub fn encode_request(
    format: Format,
    request: &ChatRequest,
    target: &EncodeTarget<'_>,
) -> Result<Encoded, EncodeError> {
    if request.format != format {
        responses::request::must_stand_alone(request)?;
    }
    let seal::Opened {
        request: mut opened,
        lost,
    } = seal::opened(request, format);
    let mut unthought = None;
    // What the client wrote for its own provider goes as it is, but for a turn that has just lost its reasoning.
    if lost
        && seal::is_claude(format)
        && seal::same_maker(opened.format, format)
        && anthropic::thinking::goes_on_without_thought(&opened.messages)
    {
        unthought = opened.to_mut().reasoning.take();
    }
    let mut told = Vec::new();
    let opened = responses::flattened(opened, format, &mut told);
    let opened = hosted::adapted(opened, format, &mut told);
    let request = &*opened;
    let mut encoded = match format {
        Format::OpenAiChat => openai::request::encode(request, target),
        Format::OpenAiCompletions => completions::request::encode(request, target),
        Format::AnthropicMessages => anthropic::request::encode(request, target),
        Format::OpenAiResponses => responses::request::encode(request, target),
        Format::GeminiGenerate => gemini::request::encode(request, target),
        Format::BedrockConverse => bedrock::request::encode(request, target),
        Format::BedrockInvoke => bedrock::invoke::encode_request(request, target),
        Format::CohereChat => cohere::request::encode(request, target),
    }?;
    encoded.losses.append(&mut told);
    if unthought.is_some() {
        encoded.losses.push(Loss::by(&anthropic::rules::UNTHOUGHT));
    }
    if lost {
        encoded.losses.push(Loss::by(&seal::FOREIGN));
    }
    Ok(encoded)
}

/// Reads a whole answer.
///
/// # Errors
/// When it is not one.
pub fn decode_response(format: Format, body: &Bytes) -> Result<ChatResponse, DecodeError> {
    match format {
        Format::OpenAiChat => openai::response::decode(body),
        Format::OpenAiCompletions => completions::response::decode(body),
        Format::AnthropicMessages => anthropic::response::decode(body),
        Format::OpenAiResponses => responses::response::decode(body),
        Format::GeminiGenerate => gemini::response::decode(body),
        Format::BedrockConverse => bedrock::response::decode(body),
        Format::BedrockInvoke => bedrock::invoke::decode_response(body),
        Format::CohereChat => cohere::response::decode(body),
    }
}

/// What is known of an answer that passes as it came and whose texts nobody looks at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Skim {
    /// What it used.
    pub usage: Usage,
    /// The service tier that the provider gave.
    pub service_tier: Option<Text>,
}

/// Reads of a whole answer only what it used; none for one that must be read in full, be it for its format or for
/// what is odd about it.
#[must_use]
pub fn skim_response(format: Format, body: &Bytes) -> Option<Skim> {
    match format {
        Format::OpenAiChat => openai::response::skim(body),
        _ => None,
    }
}

/// Writes the answer to `request`, which some formats repeat. Where the provider does not say which model answered, it
/// is the one that was asked.
#[must_use]
pub fn encode_answer(format: Format, response: &ChatResponse, request: &ChatRequest) -> Bytes {
    if response.model.is_empty() && response.format != format {
        let named = ChatResponse {
            model: request.model.clone(),
            ..response.clone()
        };
        if !named.model.is_empty() {
            return encode_answer(format, &named, request);
        }
    }
    if format == Format::OpenAiResponses && response.format != format {
        let echo = responses::Echo::of(request);
        return responses::response::encode_for(&seal::answer(response, format), &echo);
    }
    encode_response(format, response)
}

/// Writes a whole answer, whose request is not known.
#[must_use]
pub fn encode_response(format: Format, response: &ChatResponse) -> Bytes {
    let response = &*seal::answer(response, format);
    match format {
        Format::OpenAiChat => openai::response::encode(response),
        Format::OpenAiCompletions => completions::response::encode(response),
        Format::AnthropicMessages => anthropic::response::encode(response),
        Format::OpenAiResponses => responses::response::encode(response),
        Format::GeminiGenerate => gemini::response::encode(response),
        Format::BedrockConverse => bedrock::response::encode(response),
        Format::BedrockInvoke => anthropic::response::encode(response),
        Format::CohereChat => cohere::response::encode(response),
    }
}

/// Reads a stream.
#[derive(Debug)]
pub enum StreamDecoder {
    /// OpenAI chat completions.
    OpenAiChat(openai::stream::Decoder),
    /// OpenAI completions.
    OpenAiCompletions(completions::stream::Decoder),
    /// Anthropic messages.
    AnthropicMessages(anthropic::stream::Decoder),
    /// OpenAI responses.
    OpenAiResponses(responses::stream::Decoder),
    /// Gemini generateContent.
    GeminiGenerate(gemini::stream::Decoder),
    /// Bedrock Converse.
    BedrockConverse(bedrock::stream::Decoder),
    /// Bedrock InvokeModel.
    BedrockInvoke(bedrock::invoke::Decoder),
    /// Cohere v2 chat.
    CohereChat(cohere::stream::Decoder),
}

/// A reader for streams of `format`.
#[must_use]
pub fn stream_decoder(format: Format) -> StreamDecoder {
    match format {
        Format::OpenAiChat => StreamDecoder::OpenAiChat(openai::stream::Decoder::default()),
        Format::OpenAiCompletions => {
            StreamDecoder::OpenAiCompletions(completions::stream::Decoder::default())
        }
        Format::AnthropicMessages => StreamDecoder::AnthropicMessages(anthropic::stream::Decoder::default()),
        Format::OpenAiResponses => StreamDecoder::OpenAiResponses(responses::stream::Decoder::default()),
        Format::GeminiGenerate => StreamDecoder::GeminiGenerate(gemini::stream::Decoder::default()),
        Format::BedrockConverse => StreamDecoder::BedrockConverse(bedrock::stream::Decoder::default()),
        Format::BedrockInvoke => StreamDecoder::BedrockInvoke(bedrock::invoke::Decoder::default()),
        Format::CohereChat => StreamDecoder::CohereChat(cohere::stream::Decoder::default()),
    }
}

impl StreamDecoder {
    /// Takes a chunk in and puts the events it completes into `out`.
    ///
    /// # Errors
    /// When the stream is broken; what came before is in `out`.
    pub fn push(&mut self, chunk: &Bytes, out: &mut Vec<StreamEvent>) -> Result<(), StreamError> {
        match self {
            Self::OpenAiChat(decoder) => decoder.push(chunk, out),
            Self::OpenAiCompletions(decoder) => decoder.push(chunk, out),
            Self::AnthropicMessages(decoder) => decoder.push(chunk, out),
            Self::OpenAiResponses(decoder) => decoder.push(chunk, out),
            Self::GeminiGenerate(decoder) => decoder.push(chunk, out),
            Self::BedrockConverse(decoder) => decoder.push(chunk, out),
            Self::BedrockInvoke(decoder) => decoder.push(chunk, out),
            Self::CohereChat(decoder) => decoder.push(chunk, out),
        }
    }

    /// The bytes have ended.
    ///
    /// # Errors
    /// When the answer was not complete.
    pub fn finish(&mut self, out: &mut Vec<StreamEvent>) -> Result<(), StreamError> {
        match self {
            Self::OpenAiChat(decoder) => decoder.finish(out),
            Self::OpenAiCompletions(decoder) => decoder.finish(out),
            Self::AnthropicMessages(decoder) => decoder.finish(),
            Self::OpenAiResponses(decoder) => decoder.finish(out),
            Self::GeminiGenerate(decoder) => decoder.finish(out),
            Self::BedrockConverse(decoder) => decoder.finish(out),
            Self::BedrockInvoke(decoder) => decoder.finish(),
            Self::CohereChat(decoder) => decoder.finish(out),
        }
    }
}

/// What the stream writer must know of the client's request.
#[derive(Debug, Clone)]
pub struct StreamEncoderOptions {
    /// The name the client asked for, where the provider does not tell one.
    pub model: Text,
    /// Whether the client asked for usage in the stream (OpenAI).
    pub include_usage: bool,
}

/// Writes a stream.
#[derive(Debug)]
pub struct StreamEncoder {
    client: Format,
    sealer: seal::Sealer,
    writer: Writer,
}

#[derive(Debug)]
enum Writer {
    OpenAiChat(openai::stream::Encoder),
    OpenAiCompletions(completions::stream::Encoder),
    AnthropicMessages(anthropic::stream::Encoder),
    OpenAiResponses(Box<responses::stream::Encoder>),
    GeminiGenerate(gemini::stream::Encoder),
    BedrockConverse(bedrock::stream::Encoder),
    BedrockInvoke(bedrock::invoke::Encoder),
    CohereChat(cohere::stream::Encoder),
}

/// A writer for streams of `format`.
#[must_use]
pub fn stream_encoder(format: Format, options: StreamEncoderOptions) -> StreamEncoder {
    let writer = match format {
        Format::OpenAiChat => Writer::OpenAiChat(openai::stream::Encoder::new(options)),
        Format::OpenAiCompletions => Writer::OpenAiCompletions(completions::stream::Encoder::new(options)),
        Format::AnthropicMessages => Writer::AnthropicMessages(anthropic::stream::Encoder::new(options)),
        Format::OpenAiResponses => {
            Writer::OpenAiResponses(Box::new(responses::stream::Encoder::new(options)))
        }
        Format::GeminiGenerate => Writer::GeminiGenerate(gemini::stream::Encoder::new(options)),
        Format::BedrockConverse => Writer::BedrockConverse(bedrock::stream::Encoder::new(options)),
        Format::BedrockInvoke => Writer::BedrockInvoke(bedrock::invoke::Encoder::new(options)),
        Format::CohereChat => Writer::CohereChat(cohere::stream::Encoder::new(options)),
    };
    StreamEncoder {
        client: format,
        // Until it is known whose format the answer comes in, it is the client's own.
        sealer: seal::Sealer::new(format, format),
        writer,
    }
}

impl From<gemini::stream::Encoder> for StreamEncoder {
    /// Gemini's streams have two shapes.
    fn from(encoder: gemini::stream::Encoder) -> Self {
        let client = Format::GeminiGenerate;
        Self {
            client,
            sealer: seal::Sealer::new(client, client),
            writer: Writer::GeminiGenerate(encoder),
        }
    }
}

impl StreamEncoder {
    /// Says what is answered, which some formats repeat, and in whose format the answer comes, whose proofs are sealed.
    #[must_use]
    pub fn answering(mut self, request: &ChatRequest, from: Format) -> Self {
        self.sealer = seal::Sealer::new(self.client, from);
        if let Writer::OpenAiResponses(encoder) = &mut self.writer {
            encoder.answers(responses::Echo::of(request));
        }
        self
    }

    /// The number of the event that would come next, in formats that number them.
    #[must_use]
    pub fn next_number(&self) -> u64 {
        match &self.writer {
            Writer::OpenAiResponses(encoder) => encoder.next_number(),
            _ => 0,
        }
    }

    /// Writes `event` to the end of `out`.
    pub fn encode(&mut self, event: &StreamEvent, out: &mut BytesMut) {
        let writer = &mut self.writer;
        self.sealer.take(event, &mut |event| writer.encode(event, out));
    }
}

impl Writer {
    fn encode(&mut self, event: &StreamEvent, out: &mut BytesMut) {
        match self {
            Self::OpenAiChat(encoder) => encoder.encode(event, out),
            Self::OpenAiCompletions(encoder) => encoder.encode(event, out),
            Self::AnthropicMessages(encoder) => encoder.encode(event, out),
            Self::OpenAiResponses(encoder) => encoder.encode(event, out),
            Self::GeminiGenerate(encoder) => encoder.encode(event, out),
            Self::BedrockConverse(encoder) => encoder.encode(event, out),
            Self::BedrockInvoke(encoder) => encoder.encode(event, out),
            Self::CohereChat(encoder) => encoder.encode(event, out),
        }
    }
}

/// A failure told inside a stream, read from a JSON object with an `error` field.
#[must_use]
pub fn stream_failure(format: Format, data: &str) -> Failure {
    crate::failure::decode(format, http::StatusCode::BAD_GATEWAY, None, data.as_bytes())
}

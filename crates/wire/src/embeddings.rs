//! Embeddings: requests and answers of every format, by way of one form. Between two of the same format vectors are
//! never decoded; between others a list of numbers passes as it was written.

mod bedrock;
mod cohere;
mod gemini;
mod losses;
mod openai;
mod tei;
mod vector;
mod vertex;

use bytes::Bytes;
use http::HeaderMap;

use crate::form::{EmbeddingInput, EmbeddingRequest, EmbeddingResponse, Encoding, Text, Usage};
use crate::format::{DecodeError, EncodeError};
use crate::json::fields::{Value, parse};

pub use losses::losses;
pub(crate) use losses::lost_by_name;
pub use vector::vectors;

/// A format of embedding requests and answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Shape {
    /// OpenAI's `/v1/embeddings`.
    OpenAi,
    /// Cohere's `/v2/embed`.
    Cohere,
    /// Cohere's `/v1/embed`.
    CohereOld,
    /// Gemini's `embedContent`. The model stands in the path.
    Gemini,
    /// Gemini's `batchEmbedContents`. The model stands in the path.
    GeminiBatch,
    /// Amazon Titan in Bedrock's InvokeModel. The model stands in the path.
    Titan,
    /// Cohere in Bedrock's InvokeModel. The model stands in the path.
    BedrockCohere,
    /// Vertex AI's `predict`. The model stands in the path.
    Vertex,
    /// `/embed` of text-embeddings-inference, which serves one model.
    Tei,
}

impl Shape {
    /// Most inputs of one call, as the providers document it.
    #[must_use]
    pub fn most_inputs(self) -> usize {
        match self {
            Self::OpenAi => 2048,
            Self::Cohere | Self::CohereOld | Self::BedrockCohere => 96,
            Self::GeminiBatch => 100,
            Self::Gemini | Self::Titan => 1,
            Self::Vertex => 250,
            Self::Tei => 32,
        }
    }

    /// Whether the model is named in the body.
    #[must_use]
    pub fn is_named_in_body(self) -> bool {
        matches!(self, Self::OpenAi | Self::Cohere | Self::CohereOld)
    }
}

/// Inputs of one call, and what else is asked.
#[derive(Debug, Clone, Copy)]
pub struct Batch<'a> {
    /// What is asked.
    pub request: &'a EmbeddingRequest,
    /// The inputs of this call.
    pub inputs: &'a [EmbeddingInput],
    /// The provider's name of the model.
    pub model: &'a str,
    /// The format it was asked in: what only that one knows is told to nobody else.
    pub from: Shape,
}

/// Reads a request.
///
/// # Errors
/// When it does not say what its format demands, or the format is none that clients speak.
pub fn decode_request(shape: Shape, body: &Bytes) -> Result<EmbeddingRequest, DecodeError> {
    read(body, |value| match shape {
        Shape::OpenAi => openai::decode_request(value),
        Shape::Cohere | Shape::CohereOld => cohere::decode_request(value),
        Shape::Gemini => gemini::decode_request(value),
        Shape::GeminiBatch => gemini::decode_batch(value),
        Shape::Titan | Shape::BedrockCohere | Shape::Vertex | Shape::Tei => {
            Err(DecodeError::plain("this format is not spoken to clients"))
        }
    })
}

/// Writes a request.
///
/// # Errors
/// When the format cannot express it.
pub fn encode_request(shape: Shape, batch: Batch<'_>) -> Result<Bytes, EncodeError> {
    if shape != Shape::OpenAi && batch.request.extra.get("encoding_format").is_some() {
        return Err(EncodeError::at(
            "encoding_format",
            "only float and base64 can be given for this model",
        ));
    }
    match shape {
        Shape::OpenAi => openai::encode_request(batch),
        Shape::Cohere => cohere::encode_request(batch, cohere::Place::New),
        Shape::CohereOld => cohere::encode_request(batch, cohere::Place::Old),
        Shape::BedrockCohere => cohere::encode_request(batch, cohere::Place::Bedrock),
        Shape::Gemini => gemini::encode_request(batch),
        Shape::GeminiBatch => gemini::encode_batch(batch),
        Shape::Titan => bedrock::encode_request(batch),
        Shape::Vertex => vertex::encode_request(batch),
        Shape::Tei => tei::encode_request(batch),
    }
}

/// Reads an answer; what was used may stand in its headers.
///
/// # Errors
/// When it is not one.
pub fn decode_response(
    shape: Shape,
    headers: &HeaderMap,
    body: &Bytes,
) -> Result<EmbeddingResponse, DecodeError> {
    let mut response = read(body, |value| match shape {
        Shape::OpenAi => openai::decode_response(value),
        Shape::Cohere | Shape::CohereOld | Shape::BedrockCohere => cohere::decode_response(value),
        Shape::Gemini => gemini::decode_response(value),
        Shape::GeminiBatch => gemini::decode_batch_response(value),
        Shape::Titan => bedrock::decode_response(value),
        Shape::Vertex => vertex::decode_response(value),
        Shape::Tei => tei::decode_response(value),
    })?;
    response.usage = response.usage.or_else(|| usage_in(headers));
    Ok(response)
}

/// Writes an answer for a client.
///
/// # Errors
/// When the vectors are not written as the client asked for.
pub fn encode_response(
    shape: Shape,
    request: &EmbeddingRequest,
    response: &EmbeddingResponse,
    model: &str,
) -> Result<Bytes, EncodeError> {
    match shape {
        Shape::Cohere => cohere::encode_response(request, response, false),
        Shape::CohereOld => cohere::encode_response(request, response, true),
        Shape::Gemini => gemini::encode_response(response, false),
        Shape::GeminiBatch => gemini::encode_response(response, true),
        _ => openai::encode_response(request, response, model),
    }
}

/// The answers of several calls as one, in their order.
#[must_use]
pub fn join(answers: Vec<EmbeddingResponse>) -> EmbeddingResponse {
    let mut answers = answers.into_iter();
    let Some(mut all) = answers.next() else {
        return EmbeddingResponse::default();
    };
    for answer in answers {
        for (encoding, vectors) in answer.sets {
            match all.sets.iter_mut().find(|(known, _)| *known == encoding) {
                Some((_, known)) => known.extend(vectors),
                None => all.sets.push((encoding, vectors)),
            }
        }
        // One call that does not tell leaves the sum untold.
        all.usage = match (all.usage, answer.usage) {
            (Some(so_far), Some(more)) => Some(add(so_far, more)),
            _ => None,
        };
    }
    all
}

fn add(mut all: Usage, more: Usage) -> Usage {
    all.input += more.input;
    all.image_input += more.image_input;
    all.units.images_in += more.units.images_in;
    all
}

/// What an answer used; none when it does not say.
///
/// # Errors
/// When it is not an embedding answer.
pub fn response_usage(shape: Shape, headers: &HeaderMap, body: &Bytes) -> Result<Option<Usage>, DecodeError> {
    decode_response(shape, headers, body).map(|response| response.usage)
}

/// Tokens that the head of an answer tells: Bedrock's, and those of text-embeddings-inference.
pub(crate) fn usage_in(headers: &HeaderMap) -> Option<Usage> {
    let told = ["x-amzn-bedrock-input-token-count", "x-compute-tokens"];
    let count = told.iter().find_map(|name| headers.get(*name))?;
    Some(Usage {
        input: count.to_str().ok()?.parse().ok()?,
        ..Usage::default()
    })
}

fn read<T>(body: &Bytes, read: impl FnOnce(&Value<'_>) -> Result<T, DecodeError>) -> Result<T, DecodeError> {
    let body = Text::try_from(body.clone()).map_err(|_| DecodeError::plain("the body is not UTF-8"))?;
    let value = parse(&body)?;
    read(&value)
}

/// A text that must be one: tokens and images are refused by name.
fn text_of<'a>(input: &'a EmbeddingInput, model: &str) -> Result<&'a Text, EncodeError> {
    match input {
        EmbeddingInput::Text(text) => Ok(text),
        EmbeddingInput::Tokens(_) => Err(EncodeError::at(
            "input",
            format!("{model} takes texts, not token ids; send the text"),
        )),
        EmbeddingInput::Native(native) => Err(EncodeError::at(
            native.field,
            format!("{model} takes texts only here; images and mixed parts cannot be sent to it"),
        )),
    }
}

/// Refuses encodings that only some providers have: numbers can be written as floats or base64, nothing else.
fn only_floats(request: &EmbeddingRequest, model: &str) -> Result<(), EncodeError> {
    let exotic = |encoding: &&Encoding| !matches!(encoding, Encoding::Float | Encoding::Base64);
    match request.encodings.iter().find(exotic) {
        None => Ok(()),
        Some(encoding) => Err(EncodeError::at(
            "embedding_types",
            format!(
                "{model} cannot give {}; ask for float or base64",
                vector::name(*encoding)
            ),
        )),
    }
}

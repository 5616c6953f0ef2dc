//! Rankings: documents in the order in which they answer a query, in the shapes of those who offer it.

mod request;
mod response;

use bytes::Bytes;
use http::HeaderMap;
use serde_json::Number;

use crate::embeddings::lost_by_name;
use crate::form::{Extra, Text, Usage};
use crate::format::{DecodeError, EncodeError, Loss};
use crate::json::Json;
use crate::json::fields::parse;

/// A format of ranking requests and answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Shape {
    /// Cohere's `/v2/rerank`.
    Cohere,
    /// Cohere's `/v1/rerank`.
    CohereOld,
    /// Jina's, which vLLM, Together and others copied.
    Jina,
    /// Voyage's.
    Voyage,
    /// Mixedbread's.
    Mixedbread,
    /// That of text-embeddings-inference, which serves one model.
    Tei,
    /// In Bedrock's InvokeModel. The model stands in the path.
    Bedrock,
}

impl Shape {
    /// Whether the model is named in the body.
    #[must_use]
    pub fn is_named_in_body(self) -> bool {
        !matches!(self, Self::Tei | Self::Bedrock)
    }
}

/// A request to rank documents.
#[derive(Debug, Clone, PartialEq)]
pub struct RerankRequest {
    /// The model's name as the client wrote it.
    pub model: Text,
    /// What is searched for.
    pub query: Text,
    /// What is ranked.
    pub documents: Vec<Document>,
    /// How many of the best are wanted.
    pub top: Option<u64>,
    /// Whether the documents shall stand in the answer.
    pub show: bool,
    /// Fields the form has no place for.
    pub extra: Extra,
}

/// A document to be ranked.
#[derive(Debug, Clone, PartialEq)]
pub struct Document {
    /// Its text.
    pub text: Text,
    /// What it is, where it is more than a text.
    pub object: Option<Json>,
}

/// A ranking.
#[derive(Debug, Clone, PartialEq)]
pub struct RerankResponse {
    /// The provider's name of the answer.
    pub id: Option<Text>,
    /// Documents, the best first.
    pub results: Vec<Ranked>,
    /// What was used; none when it was not told.
    pub usage: Option<Usage>,
}

/// A place in a ranking.
#[derive(Debug, Clone, PartialEq)]
pub struct Ranked {
    /// Which document.
    pub index: u64,
    /// How well it answers.
    pub score: Number,
}

/// Reads a request. That of text-embeddings-inference is known by its `texts`, whatever the shape.
///
/// # Errors
/// When it does not say what the format demands.
pub fn decode_request(shape: Shape, body: &Bytes) -> Result<(Shape, RerankRequest), DecodeError> {
    let body = Text::try_from(body.clone()).map_err(|_| DecodeError::plain("the body is not UTF-8"))?;
    request::decode(shape, &parse(&body)?)
}

/// Writes a request for the provider's `model`.
///
/// # Errors
/// When the format cannot express it.
pub fn encode_request(shape: Shape, request: &RerankRequest, model: &str) -> Result<Bytes, EncodeError> {
    request::encode(shape, request, model)
}

/// The fields of a request that the format has no words for.
#[must_use]
pub fn losses(shape: Shape, request: &RerankRequest) -> Vec<Loss> {
    let unknown = request
        .extra
        .fields()
        .filter(|(name, _)| !request::writes(shape, name));
    unknown
        .map(|(name, _)| lost_by_name(name.to_string().into()))
        .collect()
}

/// Reads an answer; what was used may stand in its headers.
///
/// # Errors
/// When it is not one.
pub fn decode_response(
    shape: Shape,
    headers: &HeaderMap,
    body: &Bytes,
) -> Result<RerankResponse, DecodeError> {
    let body = Text::try_from(body.clone()).map_err(|_| DecodeError::plain("the body is not UTF-8"))?;
    let mut response = response::decode(shape, &parse(&body)?)?;
    response.usage = response.usage.or_else(|| crate::embeddings::usage_in(headers));
    Ok(response)
}

/// Writes an answer for a client.
#[must_use]
pub fn encode_response(
    shape: Shape,
    request: &RerankRequest,
    response: &RerankResponse,
    model: &str,
) -> Bytes {
    response::encode(shape, request, response, model)
}

//! OpenAI embeddings (API reference, "Embeddings"). Vectors are never decoded: an answer passes as it came.

use bytes::Bytes;

use crate::form::{EmbeddingInput, EmbeddingRequest, Text, Usage};
use crate::format::DecodeError;
use crate::json::fields::{Value, parse};
use crate::json::write::object;
use crate::openai::read_usage;

/// Reads a request.
///
/// # Errors
/// When it does not say what the format demands.
pub fn decode_request(body: &Bytes) -> Result<EmbeddingRequest, DecodeError> {
    let body = Text::try_from(body.clone()).map_err(|_| DecodeError::plain("the body is not UTF-8"))?;
    let value = parse(&body)?;
    let mut fields = value.fields()?;
    Ok(EmbeddingRequest {
        model: fields.need("model", |model| model.string())?,
        input: fields.need("input", |input| read_input(&input))?,
        dimensions: fields.take("dimensions", |count| count.count())?,
        encoding_format: fields.take("encoding_format", |format| format.string())?,
        user: fields.take("user", |user| user.string())?,
        extra: fields.rest(),
    })
}

fn read_input(value: &Value<'_>) -> Result<EmbeddingInput, DecodeError> {
    if value.is_string() {
        return value.string().map(EmbeddingInput::Text);
    }
    let token = |value: Value<'_>| u32::try_from(value.count()?).map_err(|_| value.error("not a token id"));
    let mut texts = Vec::new();
    let mut tokens = Vec::new();
    let mut lists = Vec::new();
    let items = value.list(|item| {
        if item.is_string() {
            texts.push(item.string()?);
        } else if item.is_list() {
            lists.push(item.list(token)?);
        } else {
            tokens.push(token(item)?);
        }
        Ok(())
    })?;
    match items.len() {
        0 => Err(value.error("input is empty")),
        count if count == texts.len() => Ok(EmbeddingInput::Texts(texts)),
        count if count == tokens.len() => Ok(EmbeddingInput::Tokens(tokens)),
        count if count == lists.len() => Ok(EmbeddingInput::TokenLists(lists)),
        _ => Err(value.error("input mixes texts and token ids")),
    }
}

/// Writes a request for the provider's `model`.
#[must_use]
pub fn encode_request(request: &EmbeddingRequest, model: &str) -> Bytes {
    object(|body| {
        body.string("model", model);
        match &request.input {
            EmbeddingInput::Text(text) => body.string("input", text),
            EmbeddingInput::Texts(texts) => {
                body.list("input", |list| texts.iter().for_each(|text| list.string(text)));
            }
            EmbeddingInput::Tokens(tokens) => body.raw("input", &numbers(tokens)),
            EmbeddingInput::TokenLists(lists) => {
                body.list("input", |list| {
                    lists.iter().for_each(|tokens| list.raw(&numbers(tokens)));
                });
            }
        }
        body.maybe_count("dimensions", request.dimensions);
        body.maybe_string("encoding_format", request.encoding_format.as_deref());
        body.maybe_string("user", request.user.as_deref());
        body.extra(&request.extra);
    })
    .into()
}

fn numbers(tokens: &[u32]) -> String {
    let all: Vec<String> = tokens.iter().map(ToString::to_string).collect();
    format!("[{}]", all.join(","))
}

/// What an answer used; none when it does not say.
///
/// # Errors
/// When it is not an embedding answer.
pub fn response_usage(body: &Bytes) -> Result<Option<Usage>, DecodeError> {
    let body = Text::try_from(body.clone()).map_err(|_| DecodeError::plain("the body is not UTF-8"))?;
    let value = parse(&body)?;
    let mut fields = value.fields()?;
    if !fields.has("data") {
        return Err(DecodeError::plain("data is missing"));
    }
    fields.take("usage", |usage| read_usage(&usage))
}

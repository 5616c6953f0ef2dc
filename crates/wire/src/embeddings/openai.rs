//! OpenAI's embeddings (API reference, "Embeddings"), and those of everybody who copied them.

use bytes::Bytes;

use super::{Batch, Shape, only_floats, vector};
use crate::form::{EmbeddingInput, EmbeddingRequest, EmbeddingResponse, Encoding, Purpose};
use crate::format::{DecodeError, EncodeError};
use crate::json::fields::Value;
use crate::json::write::object;
use crate::openai::read_usage;

pub(super) fn decode_request(value: &Value<'_>) -> Result<EmbeddingRequest, DecodeError> {
    let mut fields = value.fields()?;
    let model = fields.need("model", |model| model.string())?;
    let (inputs, single) = fields.need("input", |input| read_input(&input))?;
    // What only some servers know stays among the other fields.
    let said = fields.peek("encoding_format");
    let encoding = said.and_then(|said| vector::named(&said.read::<String>().ok()?));
    if encoding.is_some_and(|encoding| matches!(encoding, Encoding::Float | Encoding::Base64)) {
        fields.take("encoding_format", |_| Ok(()))?;
    }
    let encodings: Vec<Encoding> = encoding.into_iter().collect();
    // Not OpenAI's, but of many servers with its format.
    let said = fields.peek("input_type");
    let purpose = said.and_then(|said| purpose(&said.read::<String>().ok()?));
    Ok(EmbeddingRequest {
        model,
        inputs,
        single,
        purpose,
        title: None,
        dimensions: fields.take("dimensions", |count| count.count())?,
        encodings,
        truncate: None,
        user: fields.take("user", |user| user.string())?,
        extra: fields.rest(),
    })
}

fn purpose(said: &str) -> Option<Purpose> {
    match said {
        "query" | "search_query" => Some(Purpose::Query),
        "document" | "passage" | "search_document" => Some(Purpose::Document),
        "classification" => Some(Purpose::Classification),
        "clustering" => Some(Purpose::Clustering),
        _ => None,
    }
}

fn read_input(value: &Value<'_>) -> Result<(Vec<EmbeddingInput>, bool), DecodeError> {
    if value.is_string() {
        return Ok((vec![EmbeddingInput::Text(value.string()?)], true));
    }
    let token = |value: Value<'_>| u32::try_from(value.count()?).map_err(|_| value.error("not a token id"));
    let mut inputs = Vec::new();
    let mut tokens = Vec::new();
    let items = value.list(|item| {
        if item.is_string() {
            inputs.push(EmbeddingInput::Text(item.string()?));
        } else if item.is_list() {
            inputs.push(EmbeddingInput::Tokens(item.list(token)?));
        } else {
            tokens.push(token(item)?);
        }
        Ok(())
    })?;
    match (items.len(), inputs.len()) {
        (0, _) => Err(value.error("input is empty")),
        (_, 0) => Ok((vec![EmbeddingInput::Tokens(tokens)], true)),
        (all, found) if all == found && is_of_one_kind(&inputs) => Ok((inputs, false)),
        _ => Err(value.error("input mixes texts and token ids")),
    }
}

fn is_of_one_kind(inputs: &[EmbeddingInput]) -> bool {
    let is_text = |input: &EmbeddingInput| matches!(input, EmbeddingInput::Text(_));
    inputs.iter().all(is_text) || !inputs.iter().any(is_text)
}

pub(super) fn encode_request(batch: Batch<'_>) -> Result<Bytes, EncodeError> {
    let Batch {
        request,
        inputs,
        model,
        from,
    } = batch;
    only_floats(request, model)?;
    let mut written = Vec::with_capacity(inputs.len());
    for input in inputs {
        let mut text = Vec::new();
        match input {
            EmbeddingInput::Tokens(tokens) => text.extend_from_slice(numbers(tokens).as_bytes()),
            _ => crate::json::quoted::string_into(&mut text, super::text_of(input, model)?),
        }
        written.push(String::from_utf8(text).unwrap_or_default());
    }
    Ok(object(|body| {
        body.string("model", model);
        match written.as_slice() {
            [only] if request.single => body.raw("input", only),
            _ => body.list("input", |list| written.iter().for_each(|input| list.raw(input))),
        }
        body.maybe_count("dimensions", request.dimensions);
        match request.encodings.as_slice() {
            [] => {}
            [Encoding::Base64] => body.string("encoding_format", "base64"),
            _ => body.string("encoding_format", "float"),
        }
        body.maybe_string("user", request.user.as_deref());
        if from == Shape::OpenAi {
            body.extra(&request.extra);
        }
    })
    .into())
}

fn numbers(tokens: &[u32]) -> String {
    let all: Vec<String> = tokens.iter().map(ToString::to_string).collect();
    format!("[{}]", all.join(","))
}

pub(super) fn decode_response(value: &Value<'_>) -> Result<EmbeddingResponse, DecodeError> {
    let mut fields = value.fields()?;
    let mut all = fields.need("data", |data| {
        data.list(|item| {
            let mut item = item.fields()?;
            let index = item.take("index", |index| index.count())?;
            Ok((index, item.need("embedding", |vector| vector::read(&vector))?))
        })
    })?;
    // In the order of the inputs, whatever the order of the answer.
    if all.iter().all(|(index, _)| index.is_some()) {
        all.sort_by_key(|(index, _)| *index);
    }
    let is_text = all
        .first()
        .is_some_and(|(_, vector)| vector.as_str().starts_with('"'));
    let encoding = if is_text {
        Encoding::Base64
    } else {
        Encoding::Float
    };
    Ok(EmbeddingResponse {
        sets: vec![(encoding, all.into_iter().map(|(_, vector)| vector).collect())],
        usage: fields.take("usage", |usage| read_usage(&usage))?,
    })
}

pub(super) fn encode_response(
    request: &EmbeddingRequest,
    response: &EmbeddingResponse,
    model: &str,
) -> Result<Bytes, EncodeError> {
    let wanted = request.encodings.first().copied().unwrap_or(Encoding::Float);
    let vectors = vector::vectors(response, wanted)?;
    Ok(object(|body| {
        body.string("object", "list");
        body.list("data", |list| {
            for (index, vector) in vectors.iter().enumerate() {
                list.object(|item| {
                    item.string("object", "embedding");
                    item.count("index", index as u64);
                    item.raw("embedding", vector.as_str());
                });
            }
        });
        body.string("model", model);
        let used = response.usage.unwrap_or_default().input;
        body.object("usage", |usage| {
            usage.count("prompt_tokens", used);
            usage.count("total_tokens", used);
        });
    })
    .into())
}

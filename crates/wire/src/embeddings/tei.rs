//! `/embed` of text-embeddings-inference: texts in, lists out; what was used stands in the head of the answer.

use bytes::Bytes;

use super::{Batch, only_floats, vector};
use crate::form::{EmbeddingInput, EmbeddingResponse, Encoding, Truncate};
use crate::format::{DecodeError, EncodeError};
use crate::json::fields::Value;
use crate::json::quoted::string_into;
use crate::json::write::object;

pub(super) fn encode_request(batch: Batch<'_>) -> Result<Bytes, EncodeError> {
    let Batch {
        request,
        inputs,
        model,
        ..
    } = batch;
    only_floats(request, model)?;
    let mut written = Vec::with_capacity(inputs.len());
    for input in inputs {
        let mut out = Vec::new();
        match input {
            EmbeddingInput::Tokens(tokens) => {
                let all: Vec<String> = tokens.iter().map(ToString::to_string).collect();
                out.extend_from_slice(format!("[{}]", all.join(",")).as_bytes());
            }
            other => string_into(&mut out, super::text_of(other, model)?),
        }
        written.push(String::from_utf8(out).unwrap_or_default());
    }
    Ok(object(|body| {
        body.list("inputs", |list| written.iter().for_each(|input| list.raw(input)));
        match request.truncate {
            None => {}
            Some(Truncate::Never) => body.boolean("truncate", false),
            Some(Truncate::Start) => {
                body.boolean("truncate", true);
                body.string("truncation_direction", "Left");
            }
            Some(Truncate::End) => {
                body.boolean("truncate", true);
                body.string("truncation_direction", "Right");
            }
        }
        body.maybe_count("dimensions", request.dimensions);
    })
    .into())
}

pub(super) fn decode_response(value: &Value<'_>) -> Result<EmbeddingResponse, DecodeError> {
    Ok(EmbeddingResponse {
        sets: vec![(Encoding::Float, vector::read_all(value)?)],
        usage: None,
    })
}

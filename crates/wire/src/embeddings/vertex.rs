//! Vertex AI's embeddings by `predict` ("Text embeddings API").

use bytes::Bytes;

use super::{Batch, gemini, only_floats, vector};
use crate::form::{EmbeddingResponse, Encoding, Truncate, Usage};
use crate::format::{DecodeError, EncodeError};
use crate::json::fields::Value;
use crate::json::write::object;

pub(super) fn encode_request(batch: Batch<'_>) -> Result<Bytes, EncodeError> {
    let Batch {
        request,
        inputs,
        model,
        ..
    } = batch;
    only_floats(request, model)?;
    let task = request.purpose.as_ref().map(gemini::task).transpose()?;
    let mut texts = Vec::with_capacity(inputs.len());
    for input in inputs {
        texts.push(super::text_of(input, model)?);
    }
    Ok(object(|body| {
        body.list("instances", |list| {
            for text in texts {
                list.object(|instance| {
                    instance.string("content", text);
                    instance.maybe_string("task_type", task);
                    instance.maybe_string("title", request.title.as_deref());
                });
            }
        });
        let cut = request.truncate.map(|truncate| truncate != Truncate::Never);
        if cut.is_some() || request.dimensions.is_some() {
            body.object("parameters", |parameters| {
                parameters.maybe_boolean("autoTruncate", cut);
                parameters.maybe_count("outputDimensionality", request.dimensions);
            });
        }
    })
    .into())
}

pub(super) fn decode_response(value: &Value<'_>) -> Result<EmbeddingResponse, DecodeError> {
    let mut tokens = Some(0);
    let vectors = value.fields()?.need("predictions", |predictions| {
        predictions.list(|prediction| {
            prediction.fields()?.need("embeddings", |embeddings| {
                let mut embeddings = embeddings.fields()?;
                let count = embeddings.take("statistics", |statistics| {
                    // Written as a number with a point by some versions.
                    statistics.fields()?.take("token_count", |count| count.number())
                })?;
                let count = count.flatten().and_then(|count| count.as_f64());
                tokens = tokens
                    .zip(count)
                    .map(|(so_far, count)| so_far + count.max(0.0) as u64);
                embeddings.need("values", |values| vector::read(&values))
            })
        })
    })?;
    Ok(EmbeddingResponse {
        sets: vec![(Encoding::Float, vectors)],
        usage: tokens.map(|input| Usage {
            input,
            ..Usage::default()
        }),
    })
}

//! Amazon Titan's embeddings in Bedrock's InvokeModel: one text a call.

use bytes::Bytes;

use super::{Batch, only_floats, vector};
use crate::form::{EmbeddingResponse, Encoding, Usage};
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
    let [input] = inputs else {
        return Err(EncodeError::at(
            "input",
            format!("{model} takes one text at a time"),
        ));
    };
    let text = super::text_of(input, model)?;
    let of_images = model.contains("titan-embed-image");
    let chooses = of_images || model.contains("titan-embed-text-v2");
    if request.dimensions.is_some() && !chooses {
        return Err(EncodeError::at(
            "dimensions",
            format!("the length of the vectors of {model} cannot be chosen"),
        ));
    }
    Ok(object(|body| {
        body.string("inputText", text);
        match request.dimensions {
            Some(count) if of_images => {
                body.object("embeddingConfig", |config| {
                    config.count("outputEmbeddingLength", count);
                });
            }
            count => body.maybe_count("dimensions", count),
        }
    })
    .into())
}

pub(super) fn decode_response(value: &Value<'_>) -> Result<EmbeddingResponse, DecodeError> {
    let mut fields = value.fields()?;
    let vector = fields.need("embedding", |embedding| vector::read(&embedding))?;
    let tokens = fields.take("inputTextTokenCount", |count| count.count())?;
    Ok(EmbeddingResponse {
        sets: vec![(Encoding::Float, vec![vector])],
        usage: tokens.map(|input| Usage {
            input,
            ..Usage::default()
        }),
    })
}

//! Gemini's embeddings (API reference, "Embeddings"): one content, or many.

use bytes::Bytes;

use super::{Batch, only_floats, vector};
use crate::form::{
    EmbeddingInput, EmbeddingRequest, EmbeddingResponse, Encoding, Extra, NativeInput, Purpose, Text,
    Truncate, Usage,
};
use crate::format::{DecodeError, EncodeError};
use crate::json::fields::{Fields, Value};
use crate::json::write::{Object, object, object_into};

/// Names as protocol buffers spell them, which Google takes, too.
fn respell(name: &str) -> Option<&'static str> {
    match name {
        "task_type" => Some("taskType"),
        "output_dimensionality" => Some("outputDimensionality"),
        "embed_content_config" => Some("embedContentConfig"),
        "auto_truncate" => Some("autoTruncate"),
        "prompt_token_count" => Some("promptTokenCount"),
        _ => None,
    }
}

pub(super) fn decode_request(value: &Value<'_>) -> Result<EmbeddingRequest, DecodeError> {
    let mut request = read_one(value)?;
    request.single = true;
    Ok(request)
}

pub(super) fn decode_batch(value: &Value<'_>) -> Result<EmbeddingRequest, DecodeError> {
    let mut fields = value.fields()?;
    let mut all: Option<EmbeddingRequest> = None;
    fields.need("requests", |requests| {
        requests.list(|item| {
            let one = read_one(&item)?;
            match &mut all {
                None => all = Some(one),
                Some(all) => {
                    let same = all.purpose == one.purpose
                        && all.dimensions == one.dimensions
                        && all.title == one.title
                        && all.truncate == one.truncate;
                    if !same {
                        return Err(item.error(
                            "taskType, title, autoTruncate and outputDimensionality must be the same in all requests of a batch here; send one batch for each",
                        ));
                    }
                    all.inputs.extend(one.inputs);
                }
            }
            Ok(())
        })
    })?;
    all.ok_or_else(|| value.error("requests is empty"))
}

fn read_one(value: &Value<'_>) -> Result<EmbeddingRequest, DecodeError> {
    let mut fields = value.fields()?;
    fields.rename(respell);
    let input = fields.need("content", |content| read_content(&content))?;
    let mut request = EmbeddingRequest {
        model: fields.take("model", |model| model.string())?.unwrap_or_default(),
        inputs: vec![input],
        single: false,
        purpose: None,
        title: None,
        dimensions: None,
        encodings: Vec::new(),
        truncate: None,
        user: None,
        extra: Extra::default(),
    };
    fields.take("embedContentConfig", |config| {
        let mut config = config.fields()?;
        config.rename(respell);
        read_options(&mut config, &mut request)
    })?;
    read_options(&mut fields, &mut request)?;
    request.extra = fields.rest();
    Ok(request)
}

fn read_options(fields: &mut Fields<'_>, request: &mut EmbeddingRequest) -> Result<(), DecodeError> {
    if let Some(kind) = fields.take("taskType", |kind| kind.string())? {
        request.purpose = purpose(kind);
    }
    if let Some(title) = fields.take("title", |title| title.string())? {
        request.title = Some(title);
    }
    if let Some(count) = fields.take("outputDimensionality", |count| count.count())? {
        request.dimensions = Some(count);
    }
    if let Some(cut) = fields.take("autoTruncate", |cut| cut.boolean())? {
        request.truncate = Some(if cut { Truncate::End } else { Truncate::Never });
    }
    Ok(())
}

/// One part of text is a text; anything else stays as it came.
fn read_content(value: &Value<'_>) -> Result<EmbeddingInput, DecodeError> {
    let mut texts: Vec<Text> = Vec::new();
    let mut fields = value.fields()?;
    let parts = fields.need("parts", |parts| {
        let mut read = |part: Value<'_>| {
            let mut part = part.fields()?;
            if let Some(text) = part.take("text", |text| text.string())? {
                texts.push(text);
            }
            Ok(())
        };
        // A single part may stand without a list.
        if parts.is_object() {
            return read(parts).map(|()| 1);
        }
        parts.list(read).map(|parts| parts.len())
    })?;
    match (parts, texts.as_slice()) {
        (0, _) => Err(value.error("content has no parts")),
        (1, [only]) => Ok(EmbeddingInput::Text(only.clone())),
        _ => {
            let all: Vec<&str> = texts.iter().map(AsRef::as_ref).collect();
            Ok(EmbeddingInput::Native(NativeInput {
                field: "content",
                json: value.json(),
                text: all.join("\n").into(),
            }))
        }
    }
}

fn purpose(said: Text) -> Option<Purpose> {
    Some(match said.as_ref() {
        "TASK_TYPE_UNSPECIFIED" => return None,
        "RETRIEVAL_DOCUMENT" => Purpose::Document,
        "RETRIEVAL_QUERY" => Purpose::Query,
        "CLASSIFICATION" => Purpose::Classification,
        "CLUSTERING" => Purpose::Clustering,
        "SEMANTIC_SIMILARITY" => Purpose::Similarity,
        _ => Purpose::Other(said),
    })
}

/// The task of a purpose.
pub(super) fn task(purpose: &Purpose) -> Result<&str, EncodeError> {
    Ok(match purpose {
        Purpose::Document => "RETRIEVAL_DOCUMENT",
        Purpose::Query => "RETRIEVAL_QUERY",
        Purpose::Classification => "CLASSIFICATION",
        Purpose::Clustering => "CLUSTERING",
        Purpose::Similarity => "SEMANTIC_SIMILARITY",
        Purpose::Other(said)
            if said
                .chars()
                .all(|letter| letter.is_ascii_uppercase() || letter == '_') =>
        {
            said
        }
        Purpose::Other(said) => {
            return Err(EncodeError::at(
                "input_type",
                format!("{said} is not something Google's models know"),
            ));
        }
    })
}

fn write_one(
    body: &mut Object<'_>,
    input: &EmbeddingInput,
    batch: Batch<'_>,
    task: Option<&str>,
) -> Result<(), EncodeError> {
    match input {
        EmbeddingInput::Native(native) if native.field == "content" => {
            body.raw("content", native.json.as_str());
        }
        other => {
            let text = super::text_of(other, batch.model)?;
            body.object("content", |content| {
                content.list("parts", |parts| parts.object(|part| part.string("text", text)));
            });
        }
    }
    body.maybe_string("taskType", task);
    body.maybe_string("title", batch.request.title.as_deref());
    body.maybe_count("outputDimensionality", batch.request.dimensions);
    Ok(())
}

pub(super) fn encode_request(batch: Batch<'_>) -> Result<Bytes, EncodeError> {
    only_floats(batch.request, batch.model)?;
    let task = batch.request.purpose.as_ref().map(task).transpose()?;
    let [input] = batch.inputs else {
        return Err(EncodeError::at(
            "input",
            "only one content can be embedded at a time",
        ));
    };
    let mut written = Ok(());
    let body = object(|body| written = write_one(body, input, batch, task));
    written.map(|()| body.into())
}

pub(super) fn encode_batch(batch: Batch<'_>) -> Result<Bytes, EncodeError> {
    only_floats(batch.request, batch.model)?;
    let task = batch.request.purpose.as_ref().map(task).transpose()?;
    let name = batch.model.strip_prefix("models/").unwrap_or(batch.model);
    let name = ["models/", name].concat();
    let mut requests = Vec::with_capacity(batch.inputs.len());
    for input in batch.inputs {
        let mut written = Ok(());
        let mut out = Vec::new();
        object_into(&mut out, |body| {
            body.string("model", &name);
            written = write_one(body, input, batch, task);
        });
        written?;
        requests.push(String::from_utf8(out).unwrap_or_default());
    }
    Ok(object(|body| {
        body.list("requests", |list| {
            requests.iter().for_each(|request| list.raw(request));
        });
    })
    .into())
}

fn values(value: &Value<'_>) -> Result<crate::json::Json, DecodeError> {
    value.fields()?.need("values", |values| vector::read(&values))
}

fn usage(fields: &mut Fields<'_>) -> Result<Option<Usage>, DecodeError> {
    let told = fields.take("usageMetadata", |told| {
        let mut told = told.fields()?;
        told.rename(respell);
        told.take("promptTokenCount", |count| count.count())
    })?;
    Ok(told.flatten().map(|input| Usage {
        input,
        ..Usage::default()
    }))
}

pub(super) fn decode_response(value: &Value<'_>) -> Result<EmbeddingResponse, DecodeError> {
    let mut fields = value.fields()?;
    let vector = fields.need("embedding", |embedding| values(&embedding))?;
    Ok(EmbeddingResponse {
        sets: vec![(Encoding::Float, vec![vector])],
        usage: usage(&mut fields)?,
    })
}

pub(super) fn decode_batch_response(value: &Value<'_>) -> Result<EmbeddingResponse, DecodeError> {
    let mut fields = value.fields()?;
    let vectors = fields.need("embeddings", |all| all.list(|embedding| values(&embedding)))?;
    Ok(EmbeddingResponse {
        sets: vec![(Encoding::Float, vectors)],
        usage: usage(&mut fields)?,
    })
}

pub(super) fn encode_response(response: &EmbeddingResponse, batch: bool) -> Result<Bytes, EncodeError> {
    let vectors = vector::vectors(response, Encoding::Float)?;
    Ok(object(|body| {
        if batch {
            body.list("embeddings", |list| {
                for vector in &vectors {
                    list.object(|embedding| embedding.raw("values", vector.as_str()));
                }
            });
        } else {
            body.object("embedding", |embedding| {
                let first = vectors.first().map_or("[]", |vector| vector.as_str());
                embedding.raw("values", first);
            });
        }
        if let Some(usage) = response.usage {
            body.object("usageMetadata", |told| {
                told.count("promptTokenCount", usage.input);
            });
        }
    })
    .into())
}

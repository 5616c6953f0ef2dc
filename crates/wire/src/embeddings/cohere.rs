//! Cohere's embeddings (API reference, "Embed"): version 2, version 1, and in Bedrock's InvokeModel.

use bytes::Bytes;

use super::{Batch, vector};
use crate::form::{
    EmbeddingInput, EmbeddingRequest, EmbeddingResponse, Encoding, NativeInput, Purpose, Text, Truncate,
    Units, Usage,
};
use crate::format::{DecodeError, EncodeError};
use crate::json::fields::Value;
use crate::json::write::object;

/// Where a request goes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// `/v2/embed`.
    New,
    /// `/v1/embed`.
    Old,
    /// Bedrock.
    Bedrock,
}

pub(super) fn decode_request(value: &Value<'_>) -> Result<EmbeddingRequest, DecodeError> {
    let mut fields = value.fields()?;
    let model = fields.need("model", |model| model.string())?;
    let mut inputs = Vec::new();
    fields.take("texts", |texts| {
        inputs.extend(texts.list(|text| text.string().map(EmbeddingInput::Text))?);
        Ok(())
    })?;
    fields.take("images", |images| {
        inputs.extend(images.list(|image| Ok(native("images", &image, Text::new())))?);
        Ok(())
    })?;
    fields.take("inputs", |all| {
        inputs.extend(all.list(|input| read_input(&input))?);
        Ok(())
    })?;
    if inputs.is_empty() {
        return Err(value.error("texts is missing: say in texts, images or inputs what to embed"));
    }
    let encodings = fields.take("embedding_types", |types| {
        types.list(|kind| {
            vector::named(&kind.string()?).ok_or_else(|| {
                kind.error("not an embedding type: use float, int8, uint8, binary, ubinary or base64")
            })
        })
    })?;
    let truncate = fields.take("truncate", |truncate| match truncate.string()?.as_ref() {
        "NONE" => Ok(Truncate::Never),
        "START" => Ok(Truncate::Start),
        "END" => Ok(Truncate::End),
        _ => Err(truncate.error("truncate must be NONE, START or END")),
    })?;
    Ok(EmbeddingRequest {
        model,
        inputs,
        single: false,
        purpose: fields.take("input_type", |kind| Ok(purpose(kind.string()?)))?,
        title: None,
        dimensions: fields.take("output_dimension", |count| count.count())?,
        encodings: encodings.unwrap_or_default(),
        truncate,
        user: None,
        extra: fields.rest(),
    })
}

fn native(field: &'static str, value: &Value<'_>, text: Text) -> EmbeddingInput {
    EmbeddingInput::Native(NativeInput {
        field,
        json: value.json(),
        text,
    })
}

/// An input of parts: one text is a text, anything else stays as it came.
fn read_input(value: &Value<'_>) -> Result<EmbeddingInput, DecodeError> {
    let mut texts: Vec<Text> = Vec::new();
    let mut fields = value.fields()?;
    let parts = fields.need("content", |content| {
        content.list(|part| {
            let mut part = part.fields()?;
            if let Some(text) = part.take("text", |text| text.string())? {
                texts.push(text);
            }
            Ok(())
        })
    })?;
    match (parts.len(), texts.as_slice()) {
        (1, [only]) => Ok(EmbeddingInput::Text(only.clone())),
        _ => {
            let all: Vec<&str> = texts.iter().map(AsRef::as_ref).collect();
            Ok(native("inputs", value, all.join("\n").into()))
        }
    }
}

fn purpose(said: Text) -> Purpose {
    match said.as_ref() {
        "search_document" => Purpose::Document,
        "search_query" => Purpose::Query,
        "classification" => Purpose::Classification,
        "clustering" => Purpose::Clustering,
        _ => Purpose::Other(said),
    }
}

fn purpose_name(purpose: Option<&Purpose>) -> Result<&str, EncodeError> {
    Ok(match purpose {
        None | Some(Purpose::Document) => "search_document",
        Some(Purpose::Query) => "search_query",
        Some(Purpose::Classification) => "classification",
        // The nearest thing: both compare texts with each other.
        Some(Purpose::Clustering | Purpose::Similarity) => "clustering",
        Some(Purpose::Other(said)) if **said == *"image" => "image",
        Some(Purpose::Other(said)) => {
            return Err(EncodeError::at(
                "taskType",
                format!("{said} is not something Cohere's models know"),
            ));
        }
    })
}

/// Where the inputs stand: one field for all of them.
fn field_of(inputs: &[EmbeddingInput], model: &str) -> Result<&'static str, EncodeError> {
    let field = |input: &EmbeddingInput| match input {
        EmbeddingInput::Native(native) if matches!(native.field, "images" | "inputs") => Ok(native.field),
        other => super::text_of(other, model).map(|_| "texts"),
    };
    let mut fields = inputs.iter().map(field);
    let first = fields.next().unwrap_or(Ok("texts"))?;
    for other in fields {
        match (first, other?) {
            (one, other) if one == other => {}
            // Texts that came as inputs may stand beside inputs.
            ("inputs" | "texts", "inputs" | "texts") => return Ok("inputs"),
            (_, other) => {
                return Err(EncodeError::at(
                    other,
                    "exactly one of texts, images and inputs may be given",
                ));
            }
        }
    }
    Ok(first)
}

/// The types to ask for. Base64 is made here: not every place knows it.
fn asked_types(request: &EmbeddingRequest) -> impl Iterator<Item = &'static str> {
    let mut asked: Vec<&'static str> = Vec::new();
    for encoding in request
        .encodings
        .iter()
        .chain(request.encodings.is_empty().then_some(&Encoding::Float))
    {
        let encoding = match encoding {
            Encoding::Base64 => Encoding::Float,
            other => *other,
        };
        let name = vector::name(encoding);
        if !asked.contains(&name) {
            asked.push(name);
        }
    }
    asked.into_iter()
}

pub(super) fn encode_request(batch: Batch<'_>, place: Place) -> Result<Bytes, EncodeError> {
    let Batch {
        request,
        inputs,
        model,
        ..
    } = batch;
    let input_type = purpose_name(request.purpose.as_ref())?;
    let field = field_of(inputs, model)?;
    let chooses = place == Place::New || (place == Place::Bedrock && model.contains("embed-v4"));
    if request.dimensions.is_some() && !chooses {
        return Err(EncodeError::at(
            "dimensions",
            format!("the length of the vectors of {model} cannot be chosen"),
        ));
    }
    Ok(object(|body| {
        if place != Place::Bedrock {
            body.string("model", model);
        }
        body.list(field, |list| {
            for input in inputs {
                match input {
                    EmbeddingInput::Native(native) => list.raw(native.json.as_str()),
                    EmbeddingInput::Text(text) if field == "inputs" => list.object(|input| {
                        input.list("content", |content| {
                            content.object(|part| {
                                part.string("type", "text");
                                part.string("text", text);
                            });
                        });
                    }),
                    EmbeddingInput::Text(text) => list.string(text),
                    EmbeddingInput::Tokens(_) => {}
                }
            }
        });
        body.string("input_type", input_type);
        body.maybe_count("output_dimension", request.dimensions);
        body.list("embedding_types", |list| {
            asked_types(request).for_each(|name| list.string(name));
        });
        match request.truncate {
            None => {}
            Some(Truncate::Never) => body.string("truncate", "NONE"),
            Some(Truncate::Start) => body.string("truncate", "START"),
            Some(Truncate::End) => body.string("truncate", "END"),
        }
        if let Some(most) = request.extra.get("max_tokens") {
            body.raw("max_tokens", most.as_str());
        }
    })
    .into())
}

pub(super) fn decode_response(value: &Value<'_>) -> Result<EmbeddingResponse, DecodeError> {
    let mut fields = value.fields()?;
    let sets = fields.need("embeddings", |embeddings| {
        if embeddings.is_list() {
            return Ok(vec![(Encoding::Float, vector::read_all(&embeddings)?)]);
        }
        let mut by_type = embeddings.fields()?;
        let mut sets = Vec::new();
        for encoding in [
            Encoding::Float,
            Encoding::Base64,
            Encoding::Int8,
            Encoding::Uint8,
            Encoding::Binary,
            Encoding::Ubinary,
        ] {
            let name = vector::name(encoding);
            if let Some(vectors) = by_type.take(name, |vectors| vector::read_all(&vectors))? {
                sets.push((encoding, vectors));
            }
        }
        Ok(sets)
    })?;
    let usage = fields.take("meta", |meta| {
        let mut meta = meta.fields()?;
        meta.take("billed_units", |units| read_units(&units))
    })?;
    Ok(EmbeddingResponse {
        sets,
        usage: usage.flatten(),
    })
}

fn read_units(value: &Value<'_>) -> Result<Usage, DecodeError> {
    // Cohere writes some counts as `3.0`.
    let count = |value: Value<'_>| Ok(value.number()?.as_f64().unwrap_or(0.0).max(0.0) as u64);
    let mut units = value.fields()?;
    let image_tokens = units.take("image_tokens", count)?.unwrap_or(0);
    Ok(Usage {
        input: units.take("input_tokens", count)?.unwrap_or(0) + image_tokens,
        image_input: image_tokens,
        units: Units {
            images_in: units.take("images", count)?.unwrap_or(0),
            ..Units::default()
        },
        ..Usage::default()
    })
}

pub(super) fn encode_response(
    request: &EmbeddingRequest,
    response: &EmbeddingResponse,
    old: bool,
) -> Result<Bytes, EncodeError> {
    let plain = old && request.encodings.is_empty();
    let asked = if request.encodings.is_empty() {
        &[Encoding::Float][..]
    } else {
        &request.encodings
    };
    let mut sets = Vec::with_capacity(asked.len());
    for encoding in asked {
        sets.push((*encoding, vector::vectors(response, *encoding)?));
    }
    let used = response.usage.unwrap_or_default();
    Ok(object(|body| {
        body.string("id", "embed-0");
        body.string(
            "response_type",
            if plain {
                "embeddings_floats"
            } else {
                "embeddings_by_type"
            },
        );
        if plain {
            body.list("embeddings", |list| {
                sets.iter()
                    .flat_map(|(_, all)| all)
                    .for_each(|vector| list.raw(vector.as_str()));
            });
        } else {
            body.object("embeddings", |by_type| {
                for (encoding, vectors) in &sets {
                    by_type.list(vector::name(*encoding), |list| {
                        vectors.iter().for_each(|vector| list.raw(vector.as_str()));
                    });
                }
            });
        }
        body.list("texts", |list| {
            for input in &request.inputs {
                if let EmbeddingInput::Text(text) = input {
                    list.string(text);
                }
            }
        });
        body.object("meta", |meta| {
            meta.object("api_version", |version| {
                version.string("version", if old { "1" } else { "2" });
            });
            meta.object("billed_units", |units| units.count("input_tokens", used.input));
        });
    })
    .into())
}

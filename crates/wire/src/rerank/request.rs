//! Requests to rank.

use bytes::Bytes;

use super::{Document, RerankRequest, Shape};
use crate::format::{DecodeError, EncodeError};
use crate::json::fields::{Fields, Value};
use crate::json::write::{List, object};

pub(super) fn decode(shape: Shape, value: &Value<'_>) -> Result<(Shape, RerankRequest), DecodeError> {
    let mut fields = value.fields()?;
    let shape = if fields.has("texts") && !fields.has("documents") {
        Shape::Tei
    } else {
        shape
    };
    let name = if shape == Shape::Tei { "texts" } else { "documents" };
    let model = fields.need("model", |model| model.string())?;
    let query = fields.need("query", |query| query.string())?;
    let documents = fields.need(name, |all| all.list(|document| read_document(&document)))?;
    if documents.is_empty() {
        return Err(fields.error(format!("{name} is empty")));
    }
    let show = shown(&mut fields)?;
    let request = RerankRequest {
        model,
        query,
        documents,
        top: match fields.take("top_n", |count| count.count())? {
            Some(count) => Some(count),
            None => fields.take("top_k", |count| count.count())?,
        },
        show,
        extra: fields.rest(),
    };
    Ok((shape, request))
}

fn shown(fields: &mut Fields<'_>) -> Result<bool, DecodeError> {
    let mut shown = false;
    for name in ["return_documents", "return_text", "return_input"] {
        shown |= fields.take(name, |said| said.boolean())?.unwrap_or(false);
    }
    Ok(shown)
}

fn read_document(value: &Value<'_>) -> Result<Document, DecodeError> {
    if value.is_string() {
        return Ok(Document {
            text: value.string()?,
            object: None,
        });
    }
    let mut fields = value.fields()?;
    let text = fields.take("text", |text| text.string())?;
    Ok(Document {
        text: text.unwrap_or_else(|| value.text().into()),
        object: Some(value.json()),
    })
}

/// Refuses documents that are not texts and have none.
fn only_texts(request: &RerankRequest, model: &str) -> Result<(), EncodeError> {
    let is_opaque = |document: &Document| {
        document
            .object
            .as_ref()
            .is_some_and(|object| object.as_str() == &*document.text)
    };
    match request.documents.iter().position(is_opaque) {
        None => Ok(()),
        Some(at) => Err(EncodeError::at(
            format!("documents[{at}]"),
            format!("{model} ranks texts only; give the document as a text, or with a field text"),
        )),
    }
}

/// Whether a field that the form has no place for is written as it came.
pub(super) fn writes(shape: Shape, name: &str) -> bool {
    match shape {
        Shape::CohereOld | Shape::Jina => true,
        Shape::Cohere => matches!(name, "max_tokens_per_doc" | "priority"),
        Shape::Voyage => name == "truncation",
        Shape::Tei => matches!(name, "truncate" | "raw_scores"),
        Shape::Mixedbread | Shape::Bedrock => false,
    }
}

pub(super) fn encode(shape: Shape, request: &RerankRequest, model: &str) -> Result<Bytes, EncodeError> {
    let objects = matches!(shape, Shape::CohereOld | Shape::Jina);
    if !objects {
        only_texts(request, model)?;
    }
    let documents = |list: &mut List<'_>| {
        for document in &request.documents {
            match &document.object {
                Some(object) if objects => list.raw(object.as_str()),
                _ => list.string(&document.text),
            }
        }
    };
    Ok(object(|body| {
        if shape.is_named_in_body() {
            body.string("model", model);
        }
        body.string("query", &request.query);
        match shape {
            Shape::Tei => body.list("texts", documents),
            Shape::Mixedbread => {
                body.list("input", documents);
                body.maybe_count("top_k", request.top);
            }
            Shape::Voyage => {
                body.list("documents", documents);
                body.maybe_count("top_k", request.top);
            }
            Shape::Bedrock => {
                body.list("documents", documents);
                body.maybe_count("top_n", request.top);
                if model.contains("cohere.") {
                    body.count("api_version", 2);
                }
            }
            Shape::Cohere | Shape::CohereOld | Shape::Jina => {
                body.list("documents", documents);
                body.maybe_count("top_n", request.top);
            }
        }
        for (name, json) in request.extra.fields().filter(|(name, _)| writes(shape, name)) {
            body.raw(name, json.as_str());
        }
    })
    .into())
}

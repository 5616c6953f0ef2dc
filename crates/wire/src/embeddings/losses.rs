//! What of a request is lost on the way to another format.

use std::borrow::Cow;

use super::Shape;
use crate::form::EmbeddingRequest;
use crate::format::Loss;
use crate::rules;

/// The fields of a client's request that `to` has no words for, as the client's format names them.
#[must_use]
pub fn losses(from: Shape, to: Shape, request: &EmbeddingRequest) -> Vec<Loss> {
    let of_google = |shape| matches!(shape, Shape::Gemini | Shape::GeminiBatch | Shape::Vertex);
    let of_cohere = matches!(to, Shape::Cohere | Shape::CohereOld | Shape::BedrockCohere);
    let cuts = of_cohere || matches!(to, Shape::Vertex | Shape::Tei);
    let (purpose, truncate) = if of_google(from) {
        ("taskType", "autoTruncate")
    } else {
        ("input_type", "truncate")
    };
    let known = [
        (request.purpose.is_some() && !of_google(to) && !of_cohere, purpose),
        (request.title.is_some() && !of_google(to), "title"),
        (request.truncate.is_some() && !cuts, truncate),
        (request.user.is_some() && to != Shape::OpenAi, "user"),
    ];
    let lost = known.into_iter().filter(|(lost, _)| *lost);
    let mut all: Vec<Loss> = lost.map(|(_, field)| lost_by_name(field.into())).collect();
    let is_written = |name: &str| match to {
        Shape::OpenAi => from == Shape::OpenAi,
        // What some servers with OpenAI's format know as `input_type` is a purpose.
        _ => (of_cohere && name == "max_tokens") || (name == purpose && request.purpose.is_some()),
    };
    let fields = request.extra.fields().filter(|(name, _)| !is_written(name));
    all.extend(fields.map(|(name, _)| lost_by_name(name.to_string().into())));
    all
}

/// A field that the target's format has no counterpart for.
pub(crate) fn lost_by_name(field: Cow<'static, str>) -> Loss {
    Loss {
        field,
        note: rules::UNKNOWN.note,
    }
}

//! How vectors are written: lists of numbers, or base64.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::form::{EmbeddingResponse, Encoding};
use crate::format::{DecodeError, EncodeError};
use crate::json::Json;
use crate::json::fields::Value;

/// The name by which encodings are asked for.
pub(super) fn name(encoding: Encoding) -> &'static str {
    match encoding {
        Encoding::Float => "float",
        Encoding::Base64 => "base64",
        Encoding::Int8 => "int8",
        Encoding::Uint8 => "uint8",
        Encoding::Binary => "binary",
        Encoding::Ubinary => "ubinary",
    }
}

/// The encoding of a name.
pub(super) fn named(text: &str) -> Option<Encoding> {
    [
        Encoding::Float,
        Encoding::Base64,
        Encoding::Int8,
        Encoding::Uint8,
        Encoding::Binary,
        Encoding::Ubinary,
    ]
    .into_iter()
    .find(|encoding| name(*encoding) == text)
}

/// A list of lists of numbers, or of texts, as they came.
pub(super) fn read_all(value: &Value<'_>) -> Result<Vec<Json>, DecodeError> {
    value.list(|vector| read(&vector))
}

/// A vector as it came.
pub(super) fn read(value: &Value<'_>) -> Result<Json, DecodeError> {
    if value.is_list() || value.is_string() {
        Ok(value.json())
    } else {
        Err(value.error("not a vector"))
    }
}

/// The vectors of an answer, written as `wanted`.
///
/// # Errors
/// When they are not there and cannot be made from what is.
pub fn vectors(response: &EmbeddingResponse, wanted: Encoding) -> Result<Vec<Json>, EncodeError> {
    let find = |encoding| response.sets.iter().find(|(known, _)| *known == encoding);
    if let Some((_, vectors)) = find(wanted) {
        return Ok(vectors.clone());
    }
    let made = match wanted {
        Encoding::Float => {
            find(Encoding::Base64).map(|(_, vectors)| vectors.iter().map(to_numbers).collect())
        }
        Encoding::Base64 => find(Encoding::Float).map(|(_, vectors)| vectors.iter().map(to_base64).collect()),
        _ => None,
    };
    let made: Option<Vec<Json>> = made.and_then(|made: Option<Vec<Json>>| made);
    made.ok_or_else(|| {
        EncodeError::at(
            "embedding_types",
            format!("the provider did not give vectors as {}", name(wanted)),
        )
    })
}

fn to_numbers(base64: &Json) -> Option<Json> {
    let text: String = base64.read().ok()?;
    let bytes = STANDARD.decode(text).ok()?;
    let numbers: Vec<f32> = bytes
        .as_chunks::<4>()
        .0
        .iter()
        .map(|bytes| f32::from_le_bytes(*bytes))
        .collect();
    Json::of(&numbers).ok()
}

fn to_base64(numbers: &Json) -> Option<Json> {
    let numbers: Vec<f32> = numbers.read().ok()?;
    let mut bytes = Vec::with_capacity(numbers.len() * 4);
    for number in numbers {
        bytes.extend_from_slice(&number.to_le_bytes());
    }
    Json::of(&STANDARD.encode(bytes)).ok()
}

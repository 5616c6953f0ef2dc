//! Embeddings of OpenAI.

use serde_json::{Value, json};

use super::error::said;
use super::shapes;
use crate::exchange::{Bill, Refusal, Reply};
use crate::shape::check;
use crate::tokens::{Usage, count};

/// Dimensions where none are asked for.
const USUAL: usize = 8;

/// Numbers that depend on a text alone.
pub(crate) fn vector(text: &str, dimensions: usize) -> Vec<f32> {
    (0..dimensions)
        .map(|at| f32::from(text.bytes().fold(at as u8, u8::wrapping_add)) / 255.0)
        .collect()
}

/// Embeds.
pub(super) fn embed(body: &Value) -> Result<(Bill, Reply), Refusal> {
    check(body, &shapes::EMBEDDINGS).map_err(|problem| said(&problem, false))?;
    let texts = texts(&body["input"])?;
    let tokens: u64 = texts.iter().map(|text| count(text)).sum();
    let dimensions = body["dimensions"]
        .as_u64()
        .and_then(|count| usize::try_from(count).ok())
        .unwrap_or(USUAL)
        .min(4096);
    let told = json!({"prompt_tokens": tokens, "total_tokens": tokens});
    let base64 = body["encoding_format"] == "base64";
    let data: Vec<Value> = texts
        .iter()
        .enumerate()
        .map(|(index, text)| {
            let numbers = vector(text, dimensions);
            let embedding = if base64 {
                let bytes: Vec<u8> = numbers.iter().flat_map(|number| number.to_le_bytes()).collect();
                json!(crate::media::encode(&bytes))
            } else {
                json!(numbers)
            };
            json!({"object": "embedding", "index": index, "embedding": embedding})
        })
        .collect();
    let bill = Bill {
        model: body["model"].as_str().unwrap_or_default().to_owned(),
        usage: Usage {
            input: tokens,
            ..Usage::default()
        },
        told: Some(told.clone()),
    };
    let reply = json!({"object": "list", "data": data, "model": body["model"], "usage": told});
    Ok((bill, Reply::Whole(reply)))
}

/// A text, texts, tokens, or lists of tokens.
fn texts(input: &Value) -> Result<Vec<String>, Refusal> {
    let all = match input {
        Value::String(text) => vec![text.clone()],
        Value::Array(all) if all.iter().all(Value::is_u64) => vec![input.to_string()],
        Value::Array(all) => all
            .iter()
            .map(|text| text.as_str().map_or_else(|| text.to_string(), str::to_owned))
            .collect(),
        _ => Vec::new(),
    };
    if input.as_array().is_some_and(Vec::is_empty) || all.iter().any(String::is_empty) {
        return Err(Refusal::bad("Invalid 'input': input cannot be an empty string.").at("input"));
    }
    if all.len() > 2048 {
        return Err(Refusal::bad("Invalid 'input': maximum array size is 2048.").at("input"));
    }
    Ok(all)
}

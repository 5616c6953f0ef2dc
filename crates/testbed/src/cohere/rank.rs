//! Cohere's embeddings and rankings.

use serde_json::{Value, json};

use super::check::said;
use super::shapes;
use crate::exchange::{Bill, Refusal, Reply};
use crate::media::{data_url, encode, image};
use crate::openai::vector;
use crate::shape::check;
use crate::tokens::{Usage, count};

fn bill(body: &Value, tokens: u64, told: &Value) -> Bill {
    Bill {
        model: body["model"].as_str().unwrap_or_default().to_owned(),
        usage: Usage {
            input: tokens,
            ..Usage::default()
        },
        told: Some(told.clone()),
    }
}

/// Embeds.
pub(crate) fn embed(body: &Value) -> Result<(Bill, Reply), Refusal> {
    check(body, &shapes::EMBED).map_err(|problem| said(&problem))?;
    let list = |name: &str| body[name].as_array().cloned().unwrap_or_default();
    let sources = ["texts", "images", "inputs"];
    let given = sources.iter().filter(|name| !body[**name].is_null()).count();
    if given != 1 {
        return Err(Refusal::bad(
            "invalid request: exactly one of texts, images or inputs must be provided",
        ));
    }
    let mut all: Vec<String> = Vec::new();
    all.extend(list("texts").iter().filter_map(Value::as_str).map(str::to_owned));
    for url in list("images") {
        let url = url.as_str().unwrap_or_default();
        let good = data_url(url).is_some_and(|(mime, data)| image(mime, data).is_ok());
        if !good {
            return Err(Refusal::bad("invalid request: images must be base64 data URLs"));
        }
        all.push(url.to_owned());
    }
    all.extend(list("inputs").iter().map(|input| {
        let parts = input["content"].as_array().into_iter().flatten();
        parts
            .filter_map(|part| part["text"].as_str().or(part["image_url"]["url"].as_str()))
            .collect::<String>()
    }));
    if all.is_empty() || all.len() > 96 {
        return Err(Refusal::bad(format!(
            "invalid request: total number of inputs must be at least 1 and at most 96 - received {}",
            all.len()
        )));
    }
    let dimensions = body["output_dimension"]
        .as_u64()
        .and_then(|count| usize::try_from(count).ok())
        .unwrap_or(8)
        .min(4096);
    let mut types = list("embedding_types");
    if types.is_empty() {
        types.push(json!("float"));
    }
    let mut embeddings = json!({});
    for kind in types.iter().filter_map(Value::as_str) {
        embeddings[kind] = all
            .iter()
            .map(|text| embedding(kind, &vector(text, dimensions)))
            .collect();
    }
    let tokens: u64 = all.iter().map(|text| count(text)).sum();
    let told = json!({"api_version": {"version": "2"}, "billed_units": {"input_tokens": tokens}});
    let reply = json!({"id": "embed-sim", "response_type": "embeddings_by_type", "embeddings": embeddings,
                       "texts": list("texts"), "meta": told});
    Ok((bill(body, tokens, &told), Reply::Whole(reply)))
}

fn embedding(kind: &str, numbers: &[f32]) -> Value {
    // From nought to one, onto the range of the type.
    let bytes = |shift: i64| -> Value {
        numbers
            .iter()
            .map(|number| json!((f64::from(*number) * 255.0) as i64 - shift))
            .collect()
    };
    let bits: Vec<i64> = numbers
        .chunks(8)
        .map(|eight| {
            eight
                .iter()
                .fold(0, |all, number| all << 1 | i64::from(*number > 0.5))
        })
        .collect();
    match kind {
        "int8" => bytes(128),
        "uint8" => bytes(0),
        "binary" => json!(bits.iter().map(|byte| byte - 128).collect::<Vec<_>>()),
        "ubinary" => json!(bits),
        "base64" => {
            let bytes: Vec<u8> = numbers.iter().flat_map(|number| number.to_le_bytes()).collect();
            json!(encode(&bytes))
        }
        _ => json!(numbers),
    }
}

/// How well a document answers: the share of the query's words that it has.
pub(crate) fn relevance(query: &str, document: &str) -> f64 {
    let words = |text: &str| -> Vec<String> {
        text.to_lowercase()
            .split(|letter: char| !letter.is_alphanumeric())
            .filter(|word| !word.is_empty())
            .map(str::to_owned)
            .collect()
    };
    let (asked, there) = (words(query), words(document));
    let found = asked.iter().filter(|word| there.contains(word)).count();
    found as f64 / asked.len().max(1) as f64
}

/// The places and scores of documents, best first.
pub(crate) fn ranked(query: &str, documents: &[String], most: Option<u64>) -> Vec<(usize, f64)> {
    let mut all: Vec<(usize, f64)> = documents
        .iter()
        .enumerate()
        .map(|(at, document)| (at, relevance(query, document)))
        .collect();
    all.sort_by(|one, other| other.1.total_cmp(&one.1));
    all.truncate(
        most.and_then(|most| usize::try_from(most).ok())
            .unwrap_or(usize::MAX),
    );
    all
}

/// Ranks.
pub(super) fn rerank(body: &Value, old: bool) -> Result<(Bill, Reply), Refusal> {
    let shape = if old { &shapes::OLD_RERANK } else { &shapes::RERANK };
    check(body, shape).map_err(|problem| said(&problem))?;
    let given = body["documents"].as_array().cloned().unwrap_or_default();
    let query = body["query"].as_str().unwrap_or_default();
    if given.is_empty() || query.trim().is_empty() {
        return Err(Refusal::bad(
            "invalid request: query and documents must not be empty",
        ));
    }
    let text = |document: &Value| {
        let text = document.as_str().or(document["text"].as_str());
        text.map_or_else(|| document.to_string(), str::to_owned)
    };
    let documents: Vec<String> = given.iter().map(text).collect();
    let shown = body["return_documents"] == true;
    let results: Vec<Value> = ranked(query, &documents, body["top_n"].as_u64())
        .into_iter()
        .map(|(index, score)| {
            let mut result = json!({"index": index, "relevance_score": score});
            if shown {
                result["document"] = json!({"text": documents[index]});
            }
            result
        })
        .collect();
    // A search of up to a hundred documents is one unit.
    let units = documents.len().div_ceil(100);
    let version = if old { "1" } else { "2" };
    let told = json!({"api_version": {"version": version}, "billed_units": {"search_units": units}});
    let tokens: u64 = documents
        .iter()
        .map(|document| count(document) + count(query))
        .sum();
    let reply = json!({"id": "rerank-sim", "results": results, "meta": told});
    Ok((bill(body, tokens, &told), Reply::Whole(reply)))
}

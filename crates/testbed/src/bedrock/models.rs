//! Models of Bedrock that do not converse: embeddings and rankings, each with the body of its maker.

use serde_json::{Value, json};

use crate::cohere::rank::{embed, ranked};
use crate::exchange::{Bill, Refusal, Reply};
use crate::openai::vector;
use crate::tokens::{Usage, count};

/// Whether a model is one of these.
pub(super) fn is_one(model: &str) -> bool {
    ["titan-embed", "cohere.embed", "rerank"]
        .iter()
        .any(|name| model.contains(name))
}

fn malformed(text: &str) -> Refusal {
    Refusal::bad(format!(
        "Malformed input request: #: {text}, please reformat your input and try again."
    ))
}

/// Answers.
pub(super) fn answer(body: &Value, model: &str) -> Result<(Bill, Reply), Refusal> {
    if !body["model"].is_null() {
        return Err(malformed("extraneous key [model] is not permitted"));
    }
    if model.contains("titan-embed") {
        return titan(body, model);
    }
    if model.contains("cohere.embed") {
        if !body["output_dimension"].is_null() && !model.contains("embed-v4") {
            return Err(malformed("extraneous key [output_dimension] is not permitted"));
        }
        let mut body = body.clone();
        body["model"] = json!(model);
        return embed(&body);
    }
    rerank(body, model)
}

fn titan(body: &Value, model: &str) -> Result<(Bill, Reply), Refusal> {
    let text = body["inputText"]
        .as_str()
        .ok_or_else(|| malformed("required key [inputText] not found"))?;
    let dimensions = match body["dimensions"].as_u64() {
        Some(_) if !model.contains("text-v2") => {
            return Err(malformed("extraneous key [dimensions] is not permitted"));
        }
        Some(count @ (256 | 512 | 1024)) => usize::try_from(count).unwrap_or_default(),
        Some(_) => return Err(malformed("#/dimensions: not a valid enum value")),
        None => 8,
    };
    let tokens = count(text);
    let told = json!({"inputTextTokenCount": tokens});
    let reply = json!({"embedding": vector(text, dimensions), "inputTextTokenCount": tokens});
    let bill = Bill {
        model: model.to_owned(),
        usage: Usage {
            input: tokens,
            ..Usage::default()
        },
        told: Some(told),
    };
    Ok((bill, Reply::Whole(reply)))
}

fn rerank(body: &Value, model: &str) -> Result<(Bill, Reply), Refusal> {
    let query = body["query"]
        .as_str()
        .ok_or_else(|| malformed("required key [query] not found"))?;
    if model.contains("cohere.") && body["api_version"] != 2 {
        return Err(malformed("required key [api_version] not found"));
    }
    let documents: Vec<String> = body["documents"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|document| document.as_str().map(str::to_owned))
        .collect();
    if documents.is_empty() {
        return Err(malformed("required key [documents] not found"));
    }
    let results: Vec<Value> = ranked(query, &documents, body["top_n"].as_u64())
        .into_iter()
        .map(|(index, score)| json!({"index": index, "relevance_score": score}))
        .collect();
    let bill = Bill {
        model: model.to_owned(),
        ..Bill::default()
    };
    Ok((bill, Reply::Whole(json!({"results": results}))))
}

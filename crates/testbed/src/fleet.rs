//! Model servers (vLLM, text-embeddings-inference): what they have besides OpenAI's format. They live under `/fleet/`,
//! and at those paths that nobody else has.

use serde_json::{Value, json};

use crate::cohere::rank::{ranked, relevance};
use crate::exchange::{Bill, Refusal, Reply};
use crate::openai::vector;
use crate::sim::State;
use crate::tokens::{Usage, count, pieces};

/// Words that are remembered, for those who want them back.
const MOST_WORDS: usize = 100_000;

/// Answers at the last name of a path; none where it is not one of these.
pub(crate) fn answer(state: &State, name: &str, body: &Value) -> Option<Result<(Bill, Reply), Refusal>> {
    Some(match name {
        "tokenize" => tokenize(state, body),
        "detokenize" | "decode" => detokenize(state, body),
        "embed" => embed(body),
        "score" => score(body),
        "pooling" => pooling(body),
        "rerank" => rerank(body),
        _ => return None,
    })
}

fn needs(name: &str) -> Refusal {
    Refusal::bad(format!(
        "[{{'type': 'missing', 'loc': ('body', '{name}'), 'msg': 'Field required'}}]"
    ))
    .at(name)
}

fn texts(value: &Value) -> Vec<String> {
    match value {
        Value::String(text) => vec![text.clone()],
        Value::Array(all) => all.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
        _ => Vec::new(),
    }
}

/// A bill whose input is these tokens, and the usage as it is told.
fn bill(body: &Value, tokens: u64) -> (Bill, Value) {
    let told = json!({"prompt_tokens": tokens, "total_tokens": tokens, "completion_tokens": 0, "prompt_tokens_details": null});
    let bill = Bill {
        model: body["model"].as_str().unwrap_or("served-model").to_owned(),
        usage: Usage {
            input: tokens,
            ..Usage::default()
        },
        told: Some(told.clone()),
    };
    (bill, told)
}

/// The number of a piece of a text.
fn token(state: &State, piece: &str) -> usize {
    let mut words = state.store.words.lock();
    if let Some(at) = words.iter().position(|word| word == piece) {
        return at;
    }
    if words.len() >= MOST_WORDS {
        words.clear();
    }
    words.push(piece.to_owned());
    words.len() - 1
}

fn tokenize(state: &State, body: &Value) -> Result<(Bill, Reply), Refusal> {
    if !body["inputs"].is_null() {
        let all: Vec<Value> = texts(&body["inputs"])
            .iter()
            .map(|text| {
                let mut start = 0;
                let tokens = pieces(text).into_iter().map(|piece| {
                    let stop = start + piece.chars().count();
                    let told = json!({"id": token(state, &piece), "text": piece, "special": false, "start": start, "stop": stop});
                    start = stop;
                    told
                });
                tokens.collect()
            })
            .collect();
        return Ok((Bill::default(), Reply::Whole(json!(all))));
    }
    let said = match &body["messages"] {
        Value::Array(messages) => messages
            .iter()
            .filter_map(|message| message["content"].as_str())
            .collect::<Vec<_>>()
            .join(" "),
        _ => body["prompt"].as_str().ok_or_else(|| needs("prompt"))?.to_owned(),
    };
    let all = pieces(&said);
    let tokens: Vec<usize> = all.iter().map(|piece| token(state, piece)).collect();
    let words = (body["return_token_strs"] == true).then_some(&all);
    let reply =
        json!({"count": tokens.len(), "max_model_len": 32_768, "tokens": tokens, "token_strs": words});
    Ok((Bill::default(), Reply::Whole(reply)))
}

fn detokenize(state: &State, body: &Value) -> Result<(Bill, Reply), Refusal> {
    let words = state.store.words.lock();
    let text = |ids: &Value| -> Result<String, Refusal> {
        let ids = ids.as_array().ok_or_else(|| needs("tokens"))?;
        ids.iter()
            .map(|id| {
                let at = id.as_u64().and_then(|id| usize::try_from(id).ok());
                at.and_then(|at| words.get(at).cloned()).ok_or_else(|| {
                    Refusal::bad(format!("token id {id} is out of the vocabulary")).at("tokens")
                })
            })
            .collect()
    };
    let reply = match &body["ids"] {
        Value::Null => json!({"prompt": text(&body["tokens"])?}),
        Value::Array(all) if all.first().is_some_and(Value::is_array) => {
            json!(all.iter().map(text).collect::<Result<Vec<_>, _>>()?)
        }
        ids => json!([text(ids)?]),
    };
    Ok((Bill::default(), Reply::Whole(reply)))
}

fn score(body: &Value) -> Result<(Bill, Reply), Refusal> {
    let either = |one: &str, other: &str| {
        let given = if body[one].is_null() {
            &body[other]
        } else {
            &body[one]
        };
        Some(texts(given))
            .filter(|texts| !texts.is_empty())
            .ok_or_else(|| needs(one))
    };
    let (queries, documents) = (either("text_1", "queries")?, either("text_2", "documents")?);
    if queries.len() != 1 && queries.len() != documents.len() {
        return Err(Refusal::bad("Input lengths must be either 1:1, 1:N or N:N"));
    }
    let pair = |at: usize| queries.get(at).or(queries.first()).map_or("", String::as_str);
    let data: Vec<Value> = documents
        .iter()
        .enumerate()
        .map(|(at, document)| json!({"index": at, "object": "score", "score": relevance(pair(at), document)}))
        .collect();
    let tokens = documents
        .iter()
        .enumerate()
        .map(|(at, document)| count(document) + count(pair(at)))
        .sum();
    let (bill, told) = bill(body, tokens);
    let reply = json!({"id": "score-sim", "object": "list", "created": 1_700_000_000, "model": body["model"], "data": data, "usage": told});
    Ok((bill, Reply::Whole(reply)))
}

fn pooling(body: &Value) -> Result<(Bill, Reply), Refusal> {
    let all = Some(texts(&body["input"]))
        .filter(|all| !all.is_empty())
        .ok_or_else(|| needs("input"))?;
    let data: Vec<Value> = all
        .iter()
        .enumerate()
        .map(|(at, text)| json!({"index": at, "object": "pooling", "data": vector(text, 8)}))
        .collect();
    let (bill, told) = bill(body, all.iter().map(|text| count(text)).sum());
    let reply = json!({"id": "pool-sim", "object": "list", "created": 1_700_000_000, "model": body["model"], "data": data, "usage": told});
    Ok((bill, Reply::Whole(reply)))
}

/// Most inputs of text-embeddings-inference at once, as it is usually started.
const MOST_INPUTS: usize = 32;

fn embed(body: &Value) -> Result<(Bill, Reply), Refusal> {
    let all = Some(texts(&body["inputs"]))
        .filter(|all| !all.is_empty())
        .ok_or_else(|| needs("inputs"))?;
    if all.len() > MOST_INPUTS {
        return Err(Refusal::new(
            413,
            format!(
                "batch size {} > maximum allowed batch size {MOST_INPUTS}",
                all.len()
            ),
        ));
    }
    let dimensions = body["dimensions"]
        .as_u64()
        .and_then(|count| usize::try_from(count).ok());
    let (mut bill, _) = bill(body, all.iter().map(|text| count(text)).sum());
    // What was used stands in no body.
    bill.told = None;
    let vectors = all
        .iter()
        .map(|text| json!(vector(text, dimensions.unwrap_or(8).min(4096))));
    Ok((bill, Reply::Whole(vectors.collect())))
}

fn rerank(body: &Value) -> Result<(Bill, Reply), Refusal> {
    let query = body["query"].as_str().ok_or_else(|| needs("query"))?;
    let small = !body["texts"].is_null();
    let documents = texts(&body[if small { "texts" } else { "documents" }]);
    if documents.is_empty() {
        return Err(needs(if small { "texts" } else { "documents" }));
    }
    let tokens = documents
        .iter()
        .map(|document| count(document) + count(query))
        .sum();
    let (mut bill, _) = bill(body, tokens);
    let ranked = ranked(query, &documents, body["top_n"].as_u64());
    if small {
        let shown = body["return_text"] == true;
        let results = ranked.into_iter().map(|(index, score)| {
            let mut result = json!({"index": index, "score": score});
            if shown {
                result["text"] = json!(documents[index]);
            }
            result
        });
        bill.told = None;
        return Ok((bill, Reply::Whole(results.collect())));
    }
    let told = json!({"total_tokens": tokens});
    let results: Vec<Value> = ranked
        .into_iter()
        .map(|(index, score)| json!({"index": index, "document": {"text": documents[index]}, "relevance_score": score}))
        .collect();
    bill.told = Some(told.clone());
    let reply = json!({"id": "rerank-sim", "model": body["model"], "usage": told, "results": results});
    Ok((bill, Reply::Whole(reply)))
}

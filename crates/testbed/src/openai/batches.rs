//! Batches of OpenAI: they really run, line by line, and say how far they are.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use bytes::Bytes;
use http::{HeaderMap, Method};
use serde_json::{Value, json};

use super::error::{error, said};
use super::files::{KeptFile, keep};
use crate::exchange::{Bill, Refusal, Reply, settle};
use crate::shape::{Kind, Shape, check, opt, req};
use crate::sim::{Asked, State};
use crate::store::page;

const ENDPOINTS: &[&str] = &[
    "/v1/responses",
    "/v1/chat/completions",
    "/v1/embeddings",
    "/v1/completions",
    "/v1/moderations",
];

static REQUEST: Kind = Kind::Object(&Shape(&[
    req("input_file_id", Kind::Text),
    req("endpoint", Kind::OneOf(ENDPOINTS)),
    req("completion_window", Kind::OneOf(&["24h"])),
    opt("metadata", Kind::Each(&Kind::Text)),
    opt("output_expires_after", Kind::Map),
]));
static LINE: Kind = Kind::Object(&Shape(&[
    req("custom_id", Kind::Text),
    req("method", Kind::OneOf(&["POST"])),
    req("url", Kind::Text),
    req("body", Kind::Map),
]));

/// Answers what is asked under `/batches`.
pub(super) fn answer(asked: &Asked, parts: &[&str]) -> Result<(Bill, Reply), Refusal> {
    let batches = &asked.state.store.batches;
    let one = |id: &str| {
        batches
            .get(id)
            .ok_or_else(|| Refusal::new(404, format!("No batch found with id '{id}'.")))
    };
    let reply = match (&asked.method, parts) {
        (&Method::POST, []) => create(asked, &super::error::body(asked)?)?,
        (&Method::GET, []) => {
            let (data, more) = page(batches.all(), &asked.query);
            json!({"object": "list", "data": data, "has_more": more,
                   "first_id": data.first().map(|one| &one["id"]), "last_id": data.last().map(|one| &one["id"])})
        }
        (&Method::GET, [id]) => one(id)?,
        (&Method::POST, [id, "cancel"]) => {
            let status = one(id)?["status"].as_str().unwrap_or_default().to_owned();
            if !["validating", "in_progress", "finalizing"].contains(&status.as_str()) {
                return Err(Refusal::new(
                    409,
                    format!("Cannot cancel a batch with status '{status}'."),
                ));
            }
            batches.change(id, |batch| {
                batch["status"] = json!("cancelling");
                batch["cancelling_at"] = json!(1_700_000_002);
            });
            one(id)?
        }
        _ => return Err(Refusal::new(404, "Invalid URL")),
    };
    Ok((Bill::default(), Reply::Whole(reply)))
}

/// Begins a batch.
pub(super) fn create(asked: &Asked, body: &Value) -> Result<Value, Refusal> {
    check(body, &REQUEST).map_err(|problem| said(&problem, false))?;
    let state = &asked.state;
    let file = body["input_file_id"].as_str().unwrap_or_default();
    let Some(KeptFile { about, bytes }) = state.store.files.get(file) else {
        return Err(Refusal::bad(format!(
            "Invalid 'input_file_id': no file with id '{file}' was found."
        ))
        .at("input_file_id"));
    };
    if about["purpose"] != "batch" {
        return Err(Refusal::bad("The input file must have the purpose 'batch'.").at("input_file_id"));
    }
    let id = format!("batch_{:024x}", state.store.batches.number());
    let batch = json!({"id": id, "object": "batch", "endpoint": body["endpoint"], "errors": null, "input_file_id": file,
        "completion_window": "24h", "status": "validating", "output_file_id": null, "error_file_id": null,
        "created_at": 1_700_000_000, "in_progress_at": null, "expires_at": 1_700_086_400, "finalizing_at": null,
        "completed_at": null, "failed_at": null, "expired_at": null, "cancelling_at": null, "cancelled_at": null,
        "request_counts": {"total": 0, "completed": 0, "failed": 0}, "metadata": body["metadata"]});
    state.store.batches.put(&id, batch.clone());
    tokio::spawn(run(
        Arc::clone(state),
        id,
        body["endpoint"].as_str().unwrap_or_default().to_owned(),
        bytes,
    ));
    Ok(batch)
}

/// What is wrong with a line, counted from 0.
fn bad(code: &str, message: String, line: usize) -> Value {
    json!({"object": "list", "data": [{"code": code, "message": message, "param": null, "line": line + 1}]})
}

/// The lines of a file, or what is wrong with the first bad one.
fn lines(bytes: &[u8], endpoint: &str) -> Result<Vec<Value>, Value> {
    let text = String::from_utf8_lossy(bytes);
    let mut all: Vec<Value> = Vec::new();
    for (at, line) in text.lines().filter(|line| !line.trim().is_empty()).enumerate() {
        let line: Value = serde_json::from_str(line).map_err(|_| {
            bad(
                "invalid_json_line",
                "This line is not parseable as valid JSON.".to_owned(),
                at,
            )
        })?;
        check(&line, &LINE).map_err(|problem| bad("invalid_request", said(&problem, false).message, at))?;
        if line["url"] != endpoint {
            let message = "The URL provided for this request does not match the batch endpoint.".to_owned();
            return Err(bad("mismatched_endpoint", message, at));
        }
        if all.iter().any(|known| known["custom_id"] == line["custom_id"]) {
            let message = format!(
                "The custom_id for this request is a duplicate of another request: {}",
                line["custom_id"]
            );
            return Err(bad("duplicate_custom_id", message, at));
        }
        all.push(line);
    }
    if all.is_empty() {
        return Err(bad("empty_file", "The batch input file is empty.".to_owned(), 0));
    }
    Ok(all)
}

async fn run(state: Arc<State>, id: String, endpoint: String, bytes: Vec<u8>) {
    let batches = &state.store.batches;
    let read = lines(&bytes, &endpoint).and_then(|lines| match state.options.batches.fail {
        false => Ok(lines),
        true => Err(bad(
            "invalid_request",
            "The model does not support batches.".to_owned(),
            0,
        )),
    });
    let lines = match read {
        Ok(lines) => lines,
        Err(errors) => {
            batches.change(&id, |batch| {
                batch["status"] = json!("failed");
                batch["failed_at"] = json!(1_700_000_001);
                batch["errors"] = errors;
            });
            return;
        }
    };
    tokio::time::sleep(state.options.batches.pace).await;
    batches.change(&id, |batch| {
        if batch["status"] == "validating" {
            batch["status"] = json!("in_progress");
        }
        batch["in_progress_at"] = json!(1_700_000_001);
        batch["request_counts"]["total"] = json!(lines.len());
    });
    let results = work(&state, (&id, &endpoint), &lines).await;
    batches.change(&id, |batch| {
        if batch["status"] == "in_progress" {
            batch["status"] = json!("finalizing");
        }
    });
    tokio::time::sleep(state.options.batches.pace).await;
    finish(&state, &id, &results);
}

/// What came of the lines of a batch.
#[derive(Default)]
struct Results {
    good: Vec<String>,
    bad: Vec<String>,
    expired: bool,
}

/// Line by line, until the batch is cancelled or its time is over.
async fn work(state: &Arc<State>, (id, endpoint): (&str, &str), lines: &[Value]) -> Results {
    let (batches, options) = (&state.store.batches, state.options.batches);
    let mut results = Results::default();
    for (at, line) in lines.iter().enumerate() {
        let name = format!("batch_req_{at:012}");
        results.expired |= options.expire_after.is_some_and(|most| at >= most);
        if results.expired {
            let error = json!({"code": "batch_expired", "message": "This request could not be executed before the completion window expired."});
            let told = json!({"id": name, "custom_id": line["custom_id"], "response": null, "error": error});
            results.bad.push(told.to_string());
            continue;
        }
        if batches
            .get(id)
            .is_none_or(|batch| batch["status"] == "cancelling")
        {
            break;
        }
        let (status, answer) = once(state, endpoint, &line["body"]);
        let told = json!({"id": name, "custom_id": line["custom_id"],
            "response": {"status_code": status, "request_id": format!("req_{at:012}"), "body": answer}, "error": null});
        let side = if status == 200 {
            &mut results.good
        } else {
            &mut results.bad
        };
        side.push(told.to_string());
        let counts = (results.good.len(), results.bad.len());
        batches.change(id, |batch| {
            batch["request_counts"]["completed"] = json!(counts.0);
            batch["request_counts"]["failed"] = json!(counts.1);
        });
        tokio::time::sleep(options.pace).await;
    }
    results
}

/// Writes the files of a batch, and ends it.
fn finish(state: &State, id: &str, results: &Results) {
    let file = |lines: &[String], name: &str| {
        let name = format!("{id}_{name}.jsonl");
        let bytes = (lines.join("\n") + "\n").into_bytes();
        (!lines.is_empty()).then(|| keep(state, &name, "batch_output", bytes)["id"].clone())
    };
    let files = (file(&results.good, "output"), file(&results.bad, "error"));
    state.store.batches.change(id, |batch| {
        let (status, time) = if batch["status"] == "cancelling" {
            ("cancelled", "cancelled_at")
        } else if results.expired {
            ("expired", "expired_at")
        } else {
            ("completed", "completed_at")
        };
        batch["output_file_id"] = json!(files.0);
        batch["error_file_id"] = json!(files.1);
        batch["finalizing_at"] = json!(1_700_000_003);
        batch[time] = json!(1_700_000_004);
        batch["status"] = json!(status);
    });
}

/// A line, as if it were a request: also in the record.
fn once(state: &Arc<State>, endpoint: &str, body: &Value) -> (u16, Value) {
    let answered = if body["stream"] == true {
        Err(Refusal::bad("Streaming is not supported in the Batch API.").at("stream"))
    } else if endpoint.ends_with("/responses") {
        crate::responses::create(state, body)
    } else if endpoint.ends_with("/moderations") {
        super::moderations::moderate(body)
    } else {
        super::generate(state, endpoint, body)
    };
    match answered {
        Ok((bill, Reply::Whole(answer))) => {
            settle(&as_asked(state, endpoint, body), bill);
            (200, answer)
        }
        Ok(_) => (500, Value::Null),
        Err(refusal) => (refusal.status, json!({"error": error(&refusal)})),
    }
}

/// A line as a request.
pub(crate) fn as_asked(state: &Arc<State>, path: &str, body: &Value) -> Asked {
    Asked {
        method: Method::POST,
        path: path.to_owned(),
        query: String::new(),
        headers: HeaderMap::new(),
        body: Bytes::from(body.to_string()),
        fault: None,
        reset: Arc::new(AtomicBool::new(false)),
        state: Arc::clone(state),
    }
}

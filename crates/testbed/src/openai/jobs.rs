//! Batches in Mistral's shapes, run as OpenAI's are: files of bodies without method and place, read and written by jobs.

use http::Method;
use serde_json::{Value, json};

use super::error::said;
use super::files::{KeptFile, keep};
use super::{batches, error};
use crate::exchange::{Bill, Refusal, Reply};
use crate::routes::query;
use crate::shape::{Kind, Shape, check, opt, req};
use crate::sim::Asked;

static JOB: Kind = Kind::Object(&Shape(&[
    req("input_files", Kind::List(&Kind::Text)),
    req("endpoint", Kind::Text),
    req("model", Kind::Text),
    opt("timeout_hours", Kind::Any),
    opt("metadata", Kind::Each(&Kind::Text)),
]));
static LINE: Kind = Kind::Object(&Shape(&[req("custom_id", Kind::Text), req("body", Kind::Map)]));

/// Answers what is asked under `/batch/jobs`.
pub(super) fn answer(asked: &Asked, parts: &[&str]) -> Result<(Bill, Reply), Refusal> {
    let all = &asked.state.store.batches;
    let one = |id: &str| all.get(id).ok_or_else(|| Refusal::new(404, "Job not found"));
    let reply = match (&asked.method, parts) {
        (&Method::POST, []) => job(&create(asked, &error::body(asked)?)?),
        (&Method::GET, []) => {
            let number = |name: &str| query(&asked.query, name).and_then(|value| value.parse::<usize>().ok());
            let (page, size) = (number("page").unwrap_or(0), number("page_size").unwrap_or(100));
            let jobs: Vec<Value> = all.all().iter().map(job).collect();
            let data: Vec<&Value> = jobs.iter().skip(page * size).take(size).collect();
            json!({"object": "list", "data": data, "total": jobs.len()})
        }
        (&Method::GET, [id]) => job(&one(id)?),
        (&Method::POST, [id, "cancel"]) => {
            one(id)?;
            all.change(id, |batch| {
                if batch["status"] == "in_progress" {
                    batch["status"] = json!("cancelling");
                }
            });
            job(&one(id)?)
        }
        _ => return Err(Refusal::new(404, "Not found")),
    };
    Ok((Bill::default(), Reply::Whole(reply)))
}

/// Begins a job: its file, with method and place in each line, becomes a batch.
fn create(asked: &Asked, body: &Value) -> Result<Value, Refusal> {
    check(body, &JOB).map_err(|problem| said(&problem, false))?;
    let [file] = body["input_files"]
        .as_array()
        .map(Vec::as_slice)
        .unwrap_or_default()
    else {
        return Err(Refusal::new(422, "exactly one input file is read here"));
    };
    let name = file.as_str().unwrap_or_default();
    let Some(KeptFile { bytes, .. }) = asked.state.store.files.get(name) else {
        return Err(Refusal::new(404, format!("File {name} not found")));
    };
    let mut lines = String::new();
    for line in String::from_utf8_lossy(&bytes).lines() {
        let mut line: Value = serde_json::from_str(line).map_err(|error| Refusal::bad(error.to_string()))?;
        check(&line, &LINE).map_err(|problem| said(&problem, false))?;
        line["method"] = json!("POST");
        line["url"] = body["endpoint"].clone();
        lines.push_str(&format!("{line}\n"));
    }
    let read = keep(&asked.state, "read.jsonl", "batch", lines.into_bytes());
    let batch = json!({"input_file_id": read["id"], "endpoint": body["endpoint"], "completion_window": "24h",
                       "metadata": body["metadata"]});
    let mut begun = batches::create(asked, &batch)?;
    let id = begun["id"].as_str().unwrap_or_default().to_owned();
    asked.state.store.batches.change(&id, |batch| {
        batch["model"] = body["model"].clone();
        batch["input_files"] = json!([file]);
        begun = batch.clone();
    });
    Ok(begun)
}

/// A batch as Mistral tells of it.
fn job(batch: &Value) -> Value {
    let counts = &batch["request_counts"];
    let (good, bad) = (
        counts["completed"].as_u64().unwrap_or(0),
        counts["failed"].as_u64().unwrap_or(0),
    );
    let status = match batch["status"].as_str().unwrap_or_default() {
        "validating" => "QUEUED",
        "cancelling" => "CANCELLATION_REQUESTED",
        "cancelled" => "CANCELLED",
        "expired" => "TIMEOUT_EXCEEDED",
        "failed" => "FAILED",
        "completed" => "SUCCESS",
        _ => "RUNNING",
    };
    let errors = batch["errors"]["data"].as_array().into_iter().flatten();
    let errors: Vec<Value> = errors
        .map(|error| json!({"message": error["message"], "count": 1}))
        .collect();
    json!({"id": batch["id"], "object": "batch", "input_files": batch["input_files"], "metadata": batch["metadata"],
        "endpoint": batch["endpoint"], "model": batch["model"], "output_file": batch["output_file_id"],
        "error_file": batch["error_file_id"], "errors": errors, "status": status, "created_at": batch["created_at"],
        "total_requests": counts["total"], "completed_requests": good + bad, "succeeded_requests": good,
        "failed_requests": bad, "started_at": batch["in_progress_at"], "completed_at": batch["completed_at"]})
}

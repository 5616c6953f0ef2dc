//! Batches of Anthropic: they really run, request by request, and say how far they are.

use std::sync::Arc;

use http::Method;
use serde_json::{Value, json};

use super::{error, generate};
use crate::exchange::{Bill, Refusal, Reply, settle};
use crate::openai::batches::as_asked;
use crate::openai::schema::is_name;
use crate::sim::{Asked, State};
use crate::store::page;

/// A batch that is kept, and its results so far.
#[derive(Clone, Default)]
pub(crate) struct KeptBatch {
    pub(crate) about: Value,
    results: Vec<Value>,
}

/// Answers what is asked under `/messages/batches`.
pub(super) fn answer(asked: &Asked, parts: &[&str], version: &'static str) -> Result<(Bill, Reply), Refusal> {
    let batches = &asked.state.store.message_batches;
    let one = |id: &str| {
        batches
            .get(id)
            .ok_or_else(|| Refusal::new(404, "Batch not found"))
    };
    let reply = match (&asked.method, parts) {
        (&Method::POST, []) => Reply::Whole(create(asked, version)?),
        (&Method::GET, []) => {
            let all = batches.all().into_iter().map(|kept| kept.about).collect();
            let (data, more) = page(all, &asked.query);
            Reply::Whole(
                json!({"data": data, "has_more": more, "first_id": data.first().map(|one| &one["id"]),
                                "last_id": data.last().map(|one| &one["id"])}),
            )
        }
        (&Method::GET, [id]) => Reply::Whole(one(id)?.about),
        (&Method::GET, [id, "results"]) => {
            let kept = one(id)?;
            if kept.about["processing_status"] != "ended" {
                return Err(Refusal::new(
                    404,
                    "Batch has no available results, because it is still processing.",
                ));
            }
            let lines: String = kept.results.iter().map(|result| format!("{result}\n")).collect();
            Reply::Bytes(lines.into_bytes(), "application/x-jsonl")
        }
        (&Method::POST, [id, "cancel"]) => {
            one(id)?;
            batches.change(id, |kept| {
                if kept.about["processing_status"] == "in_progress" {
                    kept.about["processing_status"] = json!("canceling");
                    kept.about["cancel_initiated_at"] = json!(time(0));
                }
            });
            Reply::Whole(one(id)?.about)
        }
        (&Method::DELETE, [id]) => {
            if one(id)?.about["processing_status"] != "ended" {
                return Err(Refusal::bad(
                    "Batch cannot be deleted while it is in progress; cancel it first.",
                ));
            }
            batches.remove(id);
            Reply::Whole(json!({"id": id, "type": "message_batch_deleted"}))
        }
        _ => return Err(Refusal::new(404, "Not found")),
    };
    Ok((Bill::default(), reply))
}

/// So many hours from now.
fn time(hours: i64) -> String {
    let now = jiff::Timestamp::now();
    now.checked_add(jiff::SignedDuration::from_hours(hours))
        .unwrap_or(now)
        .to_string()
}

fn create(asked: &Asked, version: &'static str) -> Result<Value, Refusal> {
    let body = super::read_body(asked)?;
    let requests = body["requests"].as_array().cloned().unwrap_or_default();
    if requests.is_empty() {
        return Err(Refusal::bad(
            "requests: List should have at least 1 item after validation, not 0",
        ));
    }
    let mut seen: Vec<&str> = Vec::new();
    for (at, request) in requests.iter().enumerate() {
        let id = request["custom_id"].as_str().unwrap_or_default();
        if !is_name(id, 64) {
            return Err(Refusal::bad(format!(
                "requests.{at}.custom_id: String should match pattern '^[a-zA-Z0-9_-]{{1,64}}$'"
            )));
        }
        if seen.contains(&id) {
            return Err(Refusal::bad(format!(
                "requests.{at}.custom_id: custom_id must be unique: {id}"
            )));
        }
        if !request["params"].is_object() {
            return Err(Refusal::bad(format!("requests.{at}.params: Field required")));
        }
        seen.push(id);
    }
    let state = &asked.state;
    let id = format!("msgbatch_{:024x}", state.store.message_batches.number());
    let about = json!({"id": id, "type": "message_batch", "processing_status": "in_progress",
        "request_counts": {"processing": requests.len(), "succeeded": 0, "errored": 0, "canceled": 0, "expired": 0},
        "ended_at": null, "created_at": time(0), "expires_at": time(24), "archived_at": null,
        "cancel_initiated_at": null, "results_url": null});
    let kept = KeptBatch {
        about: about.clone(),
        results: Vec::new(),
    };
    state.store.message_batches.put(&id, kept);
    let host = asked.headers.get(http::header::HOST);
    let host = host.and_then(|host| host.to_str().ok()).unwrap_or_default();
    let url = format!("http://{host}/v1/messages/batches/{id}/results");
    tokio::spawn(run(Arc::clone(state), (id, url), requests, version));
    Ok(about)
}

async fn run(state: Arc<State>, (id, url): (String, String), requests: Vec<Value>, version: &'static str) {
    let batches = &state.store.message_batches;
    let options = state.options.batches;
    for (at, request) in requests.iter().enumerate() {
        let expired = options.expire_after.is_some_and(|most| at >= most);
        tokio::time::sleep(options.pace).await;
        let going = batches
            .get(&id)
            .is_some_and(|kept| kept.about["processing_status"] == "in_progress");
        let (kind, result) = if expired {
            ("expired", json!({"type": "expired"}))
        } else if going {
            once(&state, &request["params"], version)
        } else {
            ("canceled", json!({"type": "canceled"}))
        };
        let line = json!({"custom_id": request["custom_id"], "result": result});
        batches.change(&id, |kept| {
            kept.results.push(line);
            let counts = &mut kept.about["request_counts"];
            counts[kind] = json!(counts[kind].as_u64().unwrap_or(0) + 1);
            counts["processing"] = json!(counts["processing"].as_u64().unwrap_or(1) - 1);
        });
    }
    batches.change(&id, |kept| {
        kept.about["processing_status"] = json!("ended");
        kept.about["ended_at"] = json!(time(0));
        kept.about["results_url"] = json!(url);
    });
}

/// A request of a batch: also in the record.
fn once(state: &Arc<State>, params: &Value, version: &str) -> (&'static str, Value) {
    let answered = if params["stream"] == true {
        Err(Refusal::bad("stream: streaming is not supported in batches"))
    } else {
        generate(state, params, version)
    };
    match answered {
        Ok((mut bill, Reply::Whole(mut message))) => {
            message["usage"]["service_tier"] = json!("batch");
            bill.told = Some(message["usage"].clone());
            settle(&as_asked(state, "/v1/messages", params), bill);
            ("succeeded", json!({"type": "succeeded", "message": message}))
        }
        Ok(_) => (
            "errored",
            json!({"type": "errored", "error": error(&Refusal::new(500, "Internal server error"))}),
        ),
        Err(refusal) => ("errored", json!({"type": "errored", "error": error(&refusal)})),
    }
}

//! Batches in Anthropic's shapes: requests go in with the body, a stream of results comes out.

use std::borrow::Cow;
use std::path::Path;

use bytes::Bytes;
use http::{Method, StatusCode};
use http_body_util::BodyExt;
use pointsman_store::{BatchStatus, Counts};
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::{About, Found, Line, PAGES, Remote, Trouble, encoded, passing};
use crate::batch::hand::Handed;
use crate::road::handed::Told;

/// Seconds by which the provider's clock may be behind ours.
const SKEW: i64 = 300;
/// Bytes of results that are read to find the name of the first line.
const FIRST: usize = 64 * 1024;

/// A request of the batch.
pub(super) fn line(name: &str, body: &[u8]) -> Vec<u8> {
    let before = format!(r#"{{"custom_id":{},"params":"#, json!(name));
    [before.as_bytes(), body, b"}"].concat()
}

/// Makes the batch. Its requests are in memory as a whole for so long: one batch at a time, and of a bounded size.
pub(super) async fn create(remote: &Remote<'_>, path: &Path) -> Result<String, Trouble> {
    let lines = tokio::fs::read(path).await.map_err(|error| passing(&error))?;
    let mut body = Vec::with_capacity(lines.len() + 16);
    body.extend_from_slice(b"{\"requests\":[");
    // A line break is nowhere but at the end of a line.
    for (at, line) in lines
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty())
        .enumerate()
    {
        if at > 0 {
            body.push(b',');
        }
        body.extend_from_slice(line);
    }
    body.extend_from_slice(b"]}");
    drop(lines);
    let told = remote
        .json(Method::POST, &remote.path(""), Some(body.into()))
        .await?;
    let id = told["id"].as_str().map(str::to_owned);
    id.ok_or_else(|| Trouble::Passing("the provider's answer names no id".to_owned(), None))
}

/// Looks for our batch. A batch has no name of ours, but its results have; until it has ended, one that was made since
/// and has as many requests may be it.
pub(super) async fn look_for(
    remote: &Remote<'_>,
    handed: &Handed,
    taken: &[String],
) -> Result<Found, Trouble> {
    let (mut after, mut perhaps) = (String::new(), false);
    for _ in 0..PAGES {
        let page = remote.path(&format!("?limit=100{after}"));
        let list = remote.json(Method::GET, &page, None).await?;
        let data = list["data"].as_array().map(Vec::as_slice).unwrap_or_default();
        for batch in data {
            let Some(id) = batch["id"].as_str() else { continue };
            if !is_like(batch, handed) || taken.iter().any(|other| other == id) {
                continue;
            }
            match first_name(remote, id, batch).await? {
                Some(name) if is_ours(remote, &name) => return Ok(Found::Batch(id.to_owned())),
                Some(_) => {}
                None => perhaps = true,
            }
        }
        let last = data.last().and_then(|last| last["id"].as_str());
        match last.filter(|_| list["has_more"] == true) {
            Some(last) => after = format!("&after_id={}", encoded(last)),
            None => break,
        }
    }
    Ok(if perhaps { Found::Perhaps } else { Found::None })
}

/// Whether a batch may be the one that was made: since then, with as many requests.
fn is_like(batch: &Value, handed: &Handed) -> bool {
    let counts = ["processing", "succeeded", "errored", "canceled", "expired"];
    let counts = counts
        .iter()
        .map(|name| batch["request_counts"][*name].as_u64().unwrap_or(0));
    let created = batch["created_at"].as_str().unwrap_or_default();
    // What cannot be read may be any time.
    let created = created
        .parse::<jiff::Timestamp>()
        .map_or(i64::MAX, jiff::Timestamp::as_second);
    counts.sum::<u64>() == handed.lines && created >= handed.since - SKEW
}

fn is_ours(remote: &Remote<'_>, name: &str) -> bool {
    let rest = name.strip_prefix(remote.batch.id.as_str());
    rest.is_some_and(|rest| rest.starts_with('-'))
}

/// The name of the first line of a batch's results; none while there are none.
async fn first_name(remote: &Remote<'_>, id: &str, batch: &Value) -> Result<Option<String>, Trouble> {
    if batch["processing_status"] != "ended" {
        return Ok(None);
    }
    let response = remote.send(Method::GET, &results(remote, id), None).await?;
    let mut body = response.into_body();
    let mut head = Vec::new();
    // The names stand before what came of them.
    while head.len() < FIRST && !head.contains(&b'\n') {
        match body.frame().await {
            Some(frame) => {
                if let Ok(data) = frame.map_err(|error| passing(&error))?.into_data() {
                    head.extend_from_slice(&data);
                }
            }
            None => break,
        }
    }
    let text = String::from_utf8_lossy(&head);
    let name = text
        .split_once("\"custom_id\"")
        .and_then(|(_, rest)| rest.split('"').nth(1))
        .unwrap_or_default();
    Ok(Some(name.to_owned()))
}

fn results(remote: &Remote<'_>, id: &str) -> String {
    remote.path(&format!("/{}/results", encoded(id)))
}

/// How far the batch is. Whether it was cancelled or its time was over is told line by line.
pub(super) fn about(remote: &Remote<'_>, id: &str, told: &Value) -> Result<About, Trouble> {
    let Some(status) = told["processing_status"].as_str() else {
        return Err(Trouble::Passing(
            "the provider's batch has no status".to_owned(),
            None,
        ));
    };
    let count = |name: &str| told["request_counts"][name].as_u64().unwrap_or(0);
    let (completed, failed) = (count("succeeded"), count("errored"));
    let rest = count("processing") + count("canceled") + count("expired");
    let ended = (status == "ended").then(|| match (count("canceled"), count("expired")) {
        (0, 0) => BatchStatus::Completed,
        (0, _) => BatchStatus::Expired,
        _ => BatchStatus::Cancelled,
    });
    Ok(About {
        results: if ended.is_some() {
            vec![results(remote, id)]
        } else {
            Vec::new()
        },
        ended,
        counts: Counts {
            total: completed + failed + rest,
            completed,
            failed,
        },
        errors: None,
    })
}

#[derive(Deserialize)]
struct Entry<'a> {
    #[serde(borrow)]
    custom_id: Cow<'a, str>,
    #[serde(borrow)]
    result: Outcome<'a>,
}

#[derive(Deserialize)]
struct Outcome<'a> {
    #[serde(rename = "type", borrow)]
    kind: Cow<'a, str>,
    #[serde(borrow)]
    message: Option<&'a RawValue>,
    #[serde(borrow)]
    error: Option<&'a RawValue>,
}

/// What a line of the results says.
pub(super) fn told(line: &[u8]) -> Option<(String, Line)> {
    let told: Entry<'_> = serde_json::from_slice(line).ok()?;
    let copy = |json: &RawValue| Bytes::copy_from_slice(json.get().as_bytes());
    let nothing = || Told::Nothing("the provider gave neither an answer nor a reason".to_owned());
    let line = match told.result.kind.as_ref() {
        "succeeded" => Line::Told(
            told.result
                .message
                .map_or_else(nothing, |json| Told::Answer(copy(json))),
        ),
        "errored" => Line::Told(
            told.result
                .error
                .map_or_else(nothing, |json| Told::Error(status_of(json.get()), copy(json))),
        ),
        "canceled" => Line::Unsent(BatchStatus::Cancelled),
        "expired" => Line::Unsent(BatchStatus::Expired),
        _ => Line::Told(nothing()),
    };
    Some((told.custom_id.into_owned(), line))
}

/// The status that an error would have come with.
fn status_of(error: &str) -> StatusCode {
    let told: Value = serde_json::from_str(error).unwrap_or_default();
    match told["error"]["type"].as_str() {
        Some("invalid_request_error") => StatusCode::BAD_REQUEST,
        Some("authentication_error") => StatusCode::UNAUTHORIZED,
        Some("permission_error") => StatusCode::FORBIDDEN,
        Some("not_found_error") => StatusCode::NOT_FOUND,
        Some("request_too_large") => StatusCode::PAYLOAD_TOO_LARGE,
        Some("rate_limit_error") => StatusCode::TOO_MANY_REQUESTS,
        Some("overloaded_error") => StatusCode::SERVICE_UNAVAILABLE,
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_line_of_the_results_says_what_came_of_it() {
        let kind = |result: Value| {
            let line = json!({"custom_id": "a", "result": result});
            match told(line.to_string().as_bytes()).unwrap().1 {
                Line::Told(Told::Answer(body)) => format!("answer {}", body.len()),
                Line::Told(Told::Error(status, _)) => format!("error {}", status.as_u16()),
                Line::Told(Told::Nothing(_)) => "nothing".to_owned(),
                Line::Unsent(status) => status.as_str().to_owned(),
            }
        };
        let error = json!({"type": "error", "error": {"type": "not_found_error", "message": "m"}});
        for (result, expected) in [
            (json!({"type": "succeeded", "message": {"a": 1}}), "answer 7"),
            (json!({"type": "errored", "error": error}), "error 404"),
            (json!({"type": "canceled"}), "cancelled"),
            (json!({"type": "expired"}), "expired"),
            (json!({"type": "succeeded"}), "nothing"),
            (json!({"type": "new"}), "nothing"),
        ] {
            assert_eq!(kind(result), expected);
        }
        assert!(told(b"{}").is_none());
    }

    #[test]
    fn only_a_batch_of_then_with_as_many_requests_may_be_ours() {
        let batch = |created: &str, ended: u64| json!({"created_at": created, "request_counts": {"processing": 1, "succeeded": ended}});
        let mut handed: Handed = serde_json::from_value(json!({"provider": "a", "model": "m", "name": "n",
            "stage": "creating", "file": null, "batch": null, "since": 1_767_225_600, "reserved": 0, "lines": 3,
            "before": [0, 0], "cancelled": false}))
        .unwrap();
        assert!(is_like(&batch("2026-01-01T00:00:00Z", 2), &handed));
        assert!(!is_like(&batch("2026-01-01T00:00:00Z", 1), &handed));
        handed.since += SKEW + 1;
        assert!(!is_like(&batch("2026-01-01T00:00:00Z", 2), &handed));
    }
}

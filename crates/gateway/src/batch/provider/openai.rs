//! Batches in OpenAI's shapes: a file of lines goes in, a file of answers and one of errors come out.

use std::borrow::Cow;
use std::path::Path;

use bytes::Bytes;
use http::{HeaderValue, Method, StatusCode};
use pointsman_catalog::BatchInterface;
use pointsman_store::{BatchStatus, Counts};
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::{About, Found, Line, PAGES, Remote, Trouble, Turning, encoded, mistral, own_batches, passing};
use crate::batch::hand::{self, Handed};
use crate::road::handed::{Destination, Told};

/// Where our batches have the name of the batch they are.
pub(super) const METADATA: &str = "pointsman_batch";
const BOUNDARY: &str = "pointsman-5d1f0c2e7a914b7c";

/// The `url` of every line.
pub(super) fn url(to: &Destination) -> String {
    let prefix = own_batches(&to.target).map_or("", |batches| &batches.facts.url_prefix);
    format!("{prefix}{}", hand::url(&to.speaking))
}

/// A line of the file.
pub(super) fn line(to: &Destination, name: &str, body: &[u8]) -> Vec<u8> {
    let before = format!(
        r#"{{"custom_id":{},"method":"POST","url":{},"body":"#,
        json!(name),
        json!(url(to))
    );
    [before.as_bytes(), body, b"}"].concat()
}

/// What the file of the lines is called.
fn file_name(remote: &Remote<'_>) -> String {
    format!("pointsman-{}.jsonl", remote.batch.id.as_str())
}

/// Sends the file of the lines. It is in memory as a whole for so long: one at a time, and of a bounded size.
pub(super) async fn upload(remote: &Remote<'_>, path: &Path) -> Result<String, Trouble> {
    let lines = tokio::fs::read(path).await.map_err(|error| passing(&error))?;
    let before = format!(
        "--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"purpose\"\r\n\r\nbatch\r\n--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"file\"; filename=\"{}\"\r\nContent-Type: application/jsonl\r\n\r\n",
        file_name(remote)
    );
    let after = format!("\r\n--{BOUNDARY}--\r\n");
    let mut form = Vec::with_capacity(before.len() + lines.len() + after.len());
    form.extend_from_slice(before.as_bytes());
    form.extend_from_slice(&lines);
    form.extend_from_slice(after.as_bytes());
    drop(lines);
    let kind = format!("multipart/form-data; boundary={BOUNDARY}");
    let kind = HeaderValue::try_from(kind).map_err(|error| passing(&error))?;
    let path = remote.files("");
    let response = remote
        .send(Method::POST, &path, Some((kind, form.into())))
        .await?;
    let told = super::read(response, super::ABOUT).await?;
    let told: Value = serde_json::from_slice(&told).map_err(|error| passing(&error))?;
    id_of(&told)
}

/// The id of what the provider has made.
pub(super) fn id_of(told: &Value) -> Result<String, Trouble> {
    let id = told["id"].as_str().filter(|id| !id.is_empty());
    id.map(str::to_owned)
        .ok_or_else(|| Trouble::Passing("the provider's answer names no id".to_owned(), None))
}

/// A file of the lines that the provider has already, whole.
pub(super) async fn uploaded(remote: &Remote<'_>, bytes: u64) -> Result<Option<String>, Trouble> {
    let name = file_name(remote);
    let is_it = |file: &Value| file["filename"] == name.as_str() && file["bytes"].as_u64() == Some(bytes);
    let (turning, size) = match remote.interface() {
        BatchInterface::Mistral => (mistral::TURNING, "page_size=100"),
        _ => (Turning::After, "limit=1000"),
    };
    let page = |next: &str| remote.files(&format!("?purpose=batch&{size}{next}"));
    find(remote, turning, page, is_it).await
}

/// Looks through the pages of a list, the newest first, for the first thing that is it.
pub(super) async fn find(
    remote: &Remote<'_>,
    turning: Turning,
    page: impl Fn(&str) -> String,
    is_it: impl Fn(&Value) -> bool,
) -> Result<Option<String>, Trouble> {
    let mut next = String::new();
    for number in 0..PAGES {
        let list = remote.json(Method::GET, &page(&next), None).await?;
        let data = list["data"].as_array().map(Vec::as_slice).unwrap_or_default();
        if let Some(found) = data.iter().find(|one| is_it(one)) {
            return id_of(found).map(Some);
        }
        match turning.next(number, &list) {
            Some(behind) => next = behind,
            None => break,
        }
    }
    Ok(None)
}

/// Makes the batch.
pub(super) async fn create(remote: &Remote<'_>, handed: &Handed) -> Result<String, Trouble> {
    let body = json!({
        "input_file_id": handed.file,
        "endpoint": url(remote.to),
        "completion_window": "24h",
        "metadata": { METADATA: remote.batch.id.as_str() },
    });
    let body = Bytes::from(body.to_string());
    id_of(&remote.json(Method::POST, &remote.path(""), Some(body)).await?)
}

/// Looks for the batch of our file: no other has it.
pub(super) async fn look_for(remote: &Remote<'_>, handed: &Handed) -> Result<Found, Trouble> {
    let is_it = |batch: &Value| {
        let own = batch["metadata"][METADATA] == remote.batch.id.as_str();
        own || (handed.file.is_some() && batch["input_file_id"].as_str() == handed.file.as_deref())
    };
    let page = |next: &str| remote.path(&format!("?limit=100{next}"));
    let found = find(remote, Turning::After, page, is_it).await?;
    Ok(found.map_or(Found::None, Found::Batch))
}

/// How far the batch is.
pub(super) fn about(remote: &Remote<'_>, told: &Value) -> Result<About, Trouble> {
    let ended = match told["status"].as_str() {
        Some("completed") => Some(BatchStatus::Completed),
        Some("failed") => Some(BatchStatus::Failed),
        Some("expired") => Some(BatchStatus::Expired),
        Some("cancelled") => Some(BatchStatus::Cancelled),
        Some(_) => None,
        None => {
            return Err(Trouble::Passing(
                "the provider's batch has no status".to_owned(),
                None,
            ));
        }
    };
    let count = |name: &str| told["request_counts"][name].as_u64().unwrap_or(0);
    let files = ["output_file_id", "error_file_id"];
    let files = files.iter().filter_map(|name| told[*name].as_str());
    Ok(About {
        ended,
        counts: Counts {
            total: count("total"),
            completed: count("completed"),
            failed: count("failed"),
        },
        results: files
            .map(|id| remote.files(&format!("/{}/content", encoded(id))))
            .collect(),
        errors: Some(told["errors"]["data"].clone()).filter(Value::is_array),
    })
}

#[derive(Deserialize)]
struct Entry<'a> {
    #[serde(borrow)]
    custom_id: Cow<'a, str>,
    #[serde(borrow)]
    response: Option<Response<'a>>,
    error: Option<Value>,
}

#[derive(Deserialize)]
struct Response<'a> {
    status_code: u16,
    #[serde(borrow)]
    body: Option<&'a RawValue>,
}

/// What a line of a file of results says.
pub(super) fn told(line: &[u8]) -> Option<(String, Line)> {
    let result: Entry<'_> = serde_json::from_slice(line).ok()?;
    let name = result.custom_id.into_owned();
    if let Some(response) = result.response {
        let status = StatusCode::from_u16(response.status_code).unwrap_or(StatusCode::BAD_GATEWAY);
        let body = response
            .body
            .map(|body| Bytes::copy_from_slice(body.get().as_bytes()));
        let body = body.unwrap_or_default();
        let told = if status.is_success() {
            Told::Answer(body)
        } else {
            Told::Error(status, body)
        };
        return Some((name, Line::Told(told)));
    }
    let error = result.error.unwrap_or_default();
    let unsent = match error["code"].as_str() {
        Some("batch_expired") => Some(BatchStatus::Expired),
        Some("batch_cancelled") => Some(BatchStatus::Cancelled),
        _ => None,
    };
    if let Some(status) = unsent {
        return Some((name, Line::Unsent(status)));
    }
    let message = error["message"].as_str().or_else(|| error.as_str());
    let message = message.unwrap_or("the provider gave neither an answer nor a reason");
    Some((name, Line::Told(Told::Nothing(message.to_owned()))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_line_of_the_results_says_what_came_of_it() {
        let kind = |line: &Value| match told(line.to_string().as_bytes()).unwrap() {
            (name, Line::Told(Told::Answer(body))) => format!("{name} answer {}", body.len()),
            (name, Line::Told(Told::Error(status, _))) => format!("{name} error {status}"),
            (name, Line::Told(Told::Nothing(why))) => format!("{name} nothing {why}"),
            (name, Line::Unsent(status)) => format!("{name} {}", status.as_str()),
        };
        let response = |status: u16| json!({"status_code": status, "body": {"a": 1}});
        for (line, expected) in [
            (
                json!({"custom_id": "a", "response": response(200), "error": null}),
                "a answer 7",
            ),
            (
                json!({"custom_id": "a", "response": response(429)}),
                "a error 429 Too Many Requests",
            ),
            (
                json!({"custom_id": "a", "response": null, "error": {"code": "batch_expired"}}),
                "a expired",
            ),
            (
                json!({"custom_id": "a", "error": {"code": "batch_cancelled"}}),
                "a cancelled",
            ),
            (
                json!({"custom_id": "a", "error": {"code": "x", "message": "m"}}),
                "a nothing m",
            ),
            (json!({"custom_id": "a", "error": "m"}), "a nothing m"),
        ] {
            assert_eq!(kind(&line), expected);
        }
        assert!(told(b"{}").is_none() && told(b"no json").is_none());
    }
}

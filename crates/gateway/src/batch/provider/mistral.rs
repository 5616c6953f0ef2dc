//! Batches in Mistral's shapes: files as OpenAI's, and jobs that read and write them.

use bytes::Bytes;
use http::Method;
use pointsman_store::{BatchStatus, Counts};
use serde_json::{Value, json};

use super::openai::{METADATA, find, id_of, url};
use super::{About, Found, Remote, Trouble, Turning, encoded};
use crate::batch::hand::Handed;

/// How its lists are turned.
pub(super) const TURNING: Turning = Turning::Number(100);
/// How long a job may take.
const HOURS: u64 = 24;

/// A line of the file.
pub(super) fn line(name: &str, body: &[u8]) -> Vec<u8> {
    let before = format!(r#"{{"custom_id":{},"body":"#, json!(name));
    [before.as_bytes(), body, b"}"].concat()
}

/// Makes the job.
pub(super) async fn create(remote: &Remote<'_>, handed: &Handed) -> Result<String, Trouble> {
    let body = json!({
        "input_files": [handed.file],
        "endpoint": url(remote.to),
        "model": handed.model,
        "timeout_hours": HOURS,
        "metadata": { METADATA: remote.batch.id.as_str() },
    });
    let body = Bytes::from(body.to_string());
    id_of(&remote.json(Method::POST, &remote.path(""), Some(body)).await?)
}

/// Looks for the job of our file: no other has it.
pub(super) async fn look_for(remote: &Remote<'_>, handed: &Handed) -> Result<Found, Trouble> {
    let is_it = |job: &Value| {
        let own = job["metadata"][METADATA] == remote.batch.id.as_str();
        own || (handed.file.is_some() && job["input_files"][0].as_str() == handed.file.as_deref())
    };
    let page = |next: &str| remote.path(&format!("?page_size=100{next}"));
    let found = find(remote, TURNING, page, is_it).await?;
    Ok(found.map_or(Found::None, Found::Batch))
}

/// How far the job is.
pub(super) fn about(remote: &Remote<'_>, told: &Value) -> Result<About, Trouble> {
    let ended = match told["status"].as_str() {
        Some("SUCCESS") => Some(BatchStatus::Completed),
        Some("FAILED") => Some(BatchStatus::Failed),
        Some("TIMEOUT_EXCEEDED") => Some(BatchStatus::Expired),
        Some("CANCELLED") => Some(BatchStatus::Cancelled),
        Some(_) => None,
        None => {
            return Err(Trouble::Passing(
                "the provider's job has no status".to_owned(),
                None,
            ));
        }
    };
    let count = |name: &str| told[name].as_u64().unwrap_or(0);
    let files = ["output_file", "error_file"];
    let files = files.iter().filter_map(|name| told[*name].as_str());
    let errors = told["errors"].as_array().filter(|errors| !errors.is_empty());
    Ok(About {
        ended,
        counts: Counts {
            total: count("total_requests"),
            completed: count("succeeded_requests"),
            failed: count("failed_requests"),
        },
        results: files
            .map(|id| remote.files(&format!("/{}/content", encoded(id))))
            .collect(),
        errors: errors.map(|errors| errors.iter().map(problem).collect()),
    })
}

/// What is wrong with a job, as OpenAI would say it.
fn problem(error: &Value) -> Value {
    json!({ "code": "provider_error", "message": error["message"], "param": null, "line": null })
}

//! What came of a batch, as its client reads it: a result for each line, and the files at the end.

use std::io;

use http::StatusCode;
use pointsman_store::blob::{BlobError, Staged};
use pointsman_store::{Batch, BatchApi, BatchStatus, Ended, FileId, NewFile, Results};
use serde_json::json;

use super::lines::Lines;
use super::one_line;
use crate::kept::{KeepError, Kept, now};
use crate::worker::Worker;

/// Bytes that are written to the disk at once.
const PIECE: usize = 256 * 1024;

/// A line's result in its batch's shape: one line of JSON, and whether it is an answer.
pub(super) fn result(
    batch: &Batch,
    (line, custom_id): (usize, &str),
    status: StatusCode,
    body: &[u8],
) -> (Vec<u8>, bool) {
    let good = status.is_success();
    let body = one_line(body);
    // An answer that is no JSON is told as a text.
    let body = if serde_json::from_slice::<serde::de::IgnoredAny>(&body).is_ok() {
        body
    } else {
        json!(String::from_utf8_lossy(&body))
            .to_string()
            .into_bytes()
            .into()
    };
    let custom_id = json!(custom_id);
    let (before, after) = match batch.asked.api {
        BatchApi::OpenAi => (
            format!(
                r#"{{"id":"{}","custom_id":{custom_id},"response":{{"status_code":{},"request_id":"{}","body":"#,
                line_id(batch, line),
                status.as_u16(),
                batch.request_id(line as u64 + 1).as_str(),
            ),
            r#"},"error":null}"#,
        ),
        BatchApi::Anthropic if good => (
            format!(r#"{{"custom_id":{custom_id},"result":{{"type":"succeeded","message":"#),
            "}}",
        ),
        BatchApi::Anthropic => (
            format!(r#"{{"custom_id":{custom_id},"result":{{"type":"errored","error":"#),
            "}}",
        ),
    };
    ([before.as_bytes(), &body, after.as_bytes()].concat(), good)
}

/// The result of a line that was never sent.
fn unsent(batch: &Batch, (line, custom_id): (usize, &str), status: BatchStatus) -> String {
    let cancelled = status == BatchStatus::Cancelled;
    match batch.asked.api {
        BatchApi::OpenAi => {
            let (code, message) = if cancelled {
                (
                    "batch_cancelled",
                    "This request was not sent before the batch was cancelled.",
                )
            } else {
                (
                    "batch_expired",
                    "This request could not be sent before the completion window expired.",
                )
            };
            json!({ "id": line_id(batch, line), "custom_id": custom_id, "response": null,
                    "error": { "code": code, "message": message } })
            .to_string()
        }
        BatchApi::Anthropic => {
            let kind = if cancelled { "canceled" } else { "expired" };
            json!({ "custom_id": custom_id, "result": { "type": kind } }).to_string()
        }
    }
}

fn line_id(batch: &Batch, line: usize) -> String {
    let id = batch.id.as_str();
    let own = id.split_once('_').map_or(id, |(_, own)| own);
    format!("batch_req_{own}{:06}", line + 1)
}

/// A file of lines that is being written.
struct Writing {
    staged: Staged,
    piece: Vec<u8>,
}

impl Writing {
    async fn begin(kept: &Kept) -> io::Result<Self> {
        Ok(Self {
            staged: Staged::create(&kept.staging()).await?,
            piece: Vec::with_capacity(PIECE * 2),
        })
    }

    async fn line(&mut self, json: &[u8]) -> io::Result<()> {
        self.piece.extend_from_slice(json);
        self.piece.push(b'\n');
        if self.piece.len() >= PIECE {
            self.flush().await?;
        }
        Ok(())
    }

    async fn flush(&mut self) -> io::Result<()> {
        self.staged.write(&self.piece).await?;
        self.piece.clear();
        Ok(())
    }
}

/// Writes a batch's files, in the order of its lines, and puts them where they belong; they are seen when the batch
/// is ended with them. Done twice, they are the same files.
pub(super) async fn write(
    worker: &Worker,
    batch: &Batch,
    (lines, results): (&Lines, &Results),
    status: BatchStatus,
) -> Result<Ended, KeepError> {
    let kept = &worker.shared.kept;
    let files = collect(kept, batch, (lines, results), status).await;
    let (output, errors) = files.map_err(BlobError::from)?;
    Ok(Ended {
        output: put(worker, batch, output, "output").await?,
        errors: put(worker, batch, errors, "error").await?,
        problems: None,
    })
}

async fn collect(
    kept: &Kept,
    batch: &Batch,
    (lines, results): (&Lines, &Results),
    status: BatchStatus,
) -> io::Result<(Writing, Writing)> {
    let mut output = Writing::begin(kept).await?;
    let mut errors = Writing::begin(kept).await?;
    let together = batch.asked.api == BatchApi::Anthropic;
    for line in 0..lines.count() {
        let (json, good) = match results.of(line) {
            Some(recorded) => (results.read(recorded)?, recorded.good),
            None => {
                let custom_id = lines.read(line)?.custom_id;
                (unsent(batch, (line, &custom_id), status).into_bytes(), false)
            }
        };
        let file = if good || together {
            &mut output
        } else {
            &mut errors
        };
        file.line(&json).await?;
        // Others of this thread have their turn, too.
        if line % 256 == 255 {
            tokio::task::yield_now().await;
        }
    }
    output.flush().await?;
    errors.flush().await?;
    Ok((output, errors))
}

async fn put(
    worker: &Worker,
    batch: &Batch,
    writing: Writing,
    what: &str,
) -> Result<Option<FileId>, KeepError> {
    let bytes = writing.staged.written();
    if bytes == 0 {
        return Ok(None);
    }
    let id = batch.id.as_str();
    let own = id.split_once('_').map_or(id, |(_, own)| own);
    let created_at = now();
    let file = NewFile {
        id: Some(FileId::from(format!("file-{own}-{what}"))),
        tenant: batch.asked.tenant.clone(),
        name: format!("{id}_{what}.jsonl"),
        purpose: "batch_output".to_owned(),
        bytes,
        created_at,
        expires_at: Some(created_at + batch.asked.keep),
        hidden: batch.asked.api == BatchApi::Anthropic,
    };
    let record = worker
        .shared
        .kept
        .put(&worker.client, (file, None), writing.staged)
        .await?;
    Ok(Some(record.id))
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::batch::sample::batch;

    fn told(api: BatchApi, status: u16, body: &str) -> (Value, bool) {
        let status = StatusCode::from_u16(status).unwrap();
        let (json, good) = result(&batch(api, None), (1, "a \"b\"\n"), status, body.as_bytes());
        assert!(!json.contains(&b'\n'));
        (serde_json::from_slice(&json).unwrap(), good)
    }

    #[test]
    fn a_result_is_one_line_of_json_whatever_the_body() {
        for body in ["{\"a\":\r\n 1.50}", "no json", "", "\"half", "[1,\n2]"] {
            for api in [BatchApi::OpenAi, BatchApi::Anthropic] {
                for status in [200, 500] {
                    let (line, good) = told(api, status, body);
                    assert_eq!(line["custom_id"], "a \"b\"\n");
                    assert_eq!(good, status == 200);
                }
            }
        }
        let (line, _) = told(BatchApi::OpenAi, 200, "{\"a\":\n1}");
        let expected = json!({"id": "batch_req_abc000002", "custom_id": "a \"b\"\n", "error": null,
            "response": {"status_code": 200, "request_id": "batch_abc-000002", "body": {"a": 1}}});
        assert_eq!(line, expected);
        let (line, _) = told(BatchApi::Anthropic, 529, "{\"type\":\"error\"}");
        assert_eq!(
            line["result"],
            json!({"type": "errored", "error": {"type": "error"}})
        );
    }

    #[test]
    fn what_was_not_sent_says_why() {
        for (api, status, expected) in [
            (BatchApi::OpenAi, BatchStatus::Cancelled, "batch_cancelled"),
            (BatchApi::OpenAi, BatchStatus::Expired, "batch_expired"),
            (BatchApi::Anthropic, BatchStatus::Cancelled, "\"canceled\""),
            (BatchApi::Anthropic, BatchStatus::Expired, "\"expired\""),
        ] {
            let line = unsent(&batch(api, None), (0, "a"), status);
            assert!(line.contains(expected) && !line.contains('\n'), "{line}");
        }
    }
}

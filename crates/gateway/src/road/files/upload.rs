//! A file on its way in: from the connection to the disk, piece by piece, within its bounds.

use std::sync::Arc;
use std::time::Duration;

use http::{StatusCode, header};
use http_body::Body;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use pointsman_governance::Principal;
use pointsman_store::NewFile;
use pointsman_store::blob::{BlobError, Staged};
use pointsman_wire::form::{Failure, FailureKind};
use pointsman_wire::form_data::{FormData, Piece};

use super::shaped;
use crate::incoming;
use crate::kept::{KeepError, now, refused, tenant};
use crate::reply::{self, Reply};
use crate::road::{Arrival, arrive};
use crate::worker::Worker;

const PURPOSES: [&str; 6] = ["assistants", "batch", "fine-tune", "vision", "user_data", "evals"];
/// Most bytes of a field that is not the file.
const FIELD_LIMIT: usize = 4_096;
const MAX_FIELDS: usize = 16;
/// Most characters of a file's name.
const NAME_LIMIT: usize = 512;
/// Seconds after which a file may expire, as OpenAI has them.
const EXPIRY: std::ops::RangeInclusive<i64> = 3_600..=2_592_000;
/// Longest time for the whole of a file.
const WHOLE: Duration = Duration::from_secs(3_600);

/// Takes a file.
///
/// # Errors
/// 400 for a form that makes no sense, 413 past a bound, 503 when too many come at once.
pub async fn upload(
    worker: &Arc<Worker>,
    arrival: &Arrival,
    caller: &Principal,
    mut body: Incoming,
) -> Result<Reply, Failure> {
    let taken = tokio::time::timeout(WHOLE, take(worker, arrival, caller, &mut body)).await;
    let taken = taken.unwrap_or_else(|_| Err(slow()));
    if taken.is_err() {
        incoming::leave(&arrival.headers, body);
    }
    taken
}

async fn take(
    worker: &Arc<Worker>,
    arrival: &Arrival,
    caller: &Principal,
    body: &mut Incoming,
) -> Result<Reply, Failure> {
    let (kept, bounds) = (&worker.shared.kept, &arrival.snapshot.keeping.files);
    let Ok(_room) = kept.uploads.try_acquire() else {
        return Err(Failure::new(
            FailureKind::Unavailable,
            "too many files are being received; send it again in a moment",
        )
        .retry_after(Duration::from_secs(1)));
    };
    if arrival.headers.contains_key(header::CONTENT_ENCODING) {
        return Err(Failure::new(
            FailureKind::UnsupportedMediaType,
            "send files without a content coding",
        ));
    }
    // What is too large by its own word is not read.
    let announced = body.size_hint().lower();
    if announced > bounds.max_size.saturating_add(64 * 1024) {
        return Err(too_large(bounds.max_size));
    }
    let owner = tenant(caller);
    let of = owner.clone();
    let there = kept
        .ask(move |store| store.kept_bytes(&of))
        .await
        .map_err(refused)?;
    if there.saturating_add(announced.saturating_sub(64 * 1024)) > bounds.max_total {
        return Err(refused(pointsman_store::StoreError::Full(there + announced)));
    }
    let form = receive(worker, arrival, body).await?;
    let created_at = now();
    let usual = bounds
        .expires_after
        .map(|after| after.get().as_secs().cast_signed());
    let file = NewFile {
        id: None,
        tenant: owner,
        purpose: form.purpose()?,
        expires_at: form.expires_after()?.or(usual).map(|after| created_at + after),
        name: form.name.chars().take(NAME_LIMIT).collect(),
        bytes: form.staged.written(),
        created_at,
        hidden: false,
    };
    let record = kept
        .put(&worker.client, (file, Some(bounds.max_total)), form.staged)
        .await?;
    let id = record.id.clone();
    kept.ask(move |store| store.file_ready(&id))
        .await
        .map_err(refused)?;
    Ok(reply::json(StatusCode::OK, &shaped(&record)))
}

/// A form whose file is on the disk.
struct Form {
    fields: Vec<(String, String)>,
    name: String,
    staged: Staged,
}

impl Form {
    fn field(&self, name: &str) -> Option<&str> {
        let field = self.fields.iter().find(|(known, _)| known == name);
        field.map(|(_, value)| value.as_str())
    }

    fn purpose(&self) -> Result<String, Failure> {
        let purpose = self.field("purpose").ok_or_else(|| missing("purpose"))?;
        if PURPOSES.contains(&purpose) {
            return Ok(purpose.to_owned());
        }
        Err(wrong(
            "purpose",
            format!("purpose must be one of {}", PURPOSES.join(", ")),
        ))
    }

    /// Seconds, if the client says.
    fn expires_after(&self) -> Result<Option<i64>, Failure> {
        let anchor = self.field("expires_after[anchor]");
        if anchor.is_some_and(|anchor| anchor != "created_at") {
            return Err(wrong("expires_after.anchor", "the anchor must be created_at"));
        }
        let Some(seconds) = self.field("expires_after[seconds]") else {
            return match anchor {
                None => Ok(None),
                Some(_) => Err(missing("expires_after.seconds")),
            };
        };
        expiry(seconds.parse().ok()).map(Some)
    }
}

/// Seconds after which something may expire.
///
/// # Errors
/// 400 when they are not.
pub fn expiry(seconds: Option<i64>) -> Result<i64, Failure> {
    seconds.filter(|seconds| EXPIRY.contains(seconds)).ok_or_else(|| {
        wrong(
            "expires_after.seconds",
            format!("seconds must be from {} to {}", EXPIRY.start(), EXPIRY.end()),
        )
    })
}

fn wrong(param: &str, message: impl Into<String>) -> Failure {
    Failure::new(FailureKind::InvalidRequest, message).at(param)
}

fn missing(param: &str) -> Failure {
    wrong(param, format!("the form has no field {param:?}")).coded("missing_required_parameter")
}

fn slow() -> Failure {
    Failure::new(
        FailureKind::ClientTimeout,
        "the file did not arrive in time; send it faster or raise server.request_timeout",
    )
}

fn too_large(limit: u64) -> Failure {
    Failure::new(
        FailureKind::TooLarge,
        format!("the file is larger than {limit} bytes; raise files.max_size if it must be"),
    )
    .at("file")
}

/// Reads the form; its file goes to the disk as it comes.
async fn receive(worker: &Worker, arrival: &Arrival, body: &mut Incoming) -> Result<Form, Failure> {
    let kind = arrival.headers.get(header::CONTENT_TYPE);
    let kind = kind.and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let mut form = FormData::new(kind).map_err(arrive::damaged)?;
    let mut fields: Vec<(String, String)> = Vec::new();
    let mut file: Option<(String, Staged)> = None;
    let mut in_file = false;
    loop {
        match form.next_piece().map_err(arrive::damaged)? {
            Piece::More => match next(arrival, body).await? {
                Some(bytes) => form.push(&bytes),
                None => return Err(wrong("file", "the form breaks off before its end")),
            },
            Piece::Part(head) => {
                in_file = head.filename.is_some() && head.name == "file";
                if in_file && file.is_none() {
                    let staged = Staged::create(&worker.shared.kept.staging()).await;
                    let staged = staged.map_err(|error| KeepError::from(BlobError::from(error)))?;
                    file = Some((head.filename.unwrap_or_default(), staged));
                } else if in_file || fields.len() == MAX_FIELDS {
                    return Err(wrong(&head.name, "the form must have one file and few fields"));
                } else {
                    fields.push((head.name, String::new()));
                }
            }
            Piece::Data(bytes) => match (&mut file, fields.last_mut()) {
                (Some((_, staged)), _) if in_file => {
                    let limit = arrival.snapshot.keeping.files.max_size;
                    if staged.written() + bytes.len() as u64 > limit {
                        return Err(too_large(limit));
                    }
                    let written = staged.write(&bytes).await;
                    written.map_err(|error| KeepError::from(BlobError::from(error)))?;
                }
                (_, Some((name, value))) => {
                    if value.len() + bytes.len() > FIELD_LIMIT {
                        return Err(wrong(name, format!("is larger than {FIELD_LIMIT} bytes")));
                    }
                    value.push_str(&String::from_utf8_lossy(&bytes));
                }
                _ => {}
            },
            Piece::End => break,
        }
    }
    let (name, staged) = file.ok_or_else(|| missing("file"))?;
    if staged.written() == 0 {
        return Err(wrong("file", "the file is empty"));
    }
    Ok(Form { fields, name, staged })
}

/// The next bytes of the body; none at its end.
async fn next(arrival: &Arrival, body: &mut Incoming) -> Result<Option<bytes::Bytes>, Failure> {
    let limit = arrival.snapshot.bounds.request_timeout;
    loop {
        let frame = tokio::time::timeout(limit, body.frame())
            .await
            .map_err(|_| slow())?;
        let frame = match frame {
            None => return Ok(None),
            Some(Ok(frame)) => frame,
            Some(Err(error)) => {
                return Err(wrong("file", format!("the request body broke off: {error}")));
            }
        };
        if let Ok(data) = frame.into_data() {
            return Ok(Some(data));
        }
    }
}

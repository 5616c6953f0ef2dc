//! Files of OpenAI: kept, listed, told again, forgotten.

use http::Method;
use serde_json::{Value, json};

use crate::exchange::{Bill, Refusal, Reply};
use crate::multipart::Form;
use crate::routes::query;
use crate::sim::{Asked, State};
use crate::store::page;

const PURPOSES: &[&str] = &["assistants", "batch", "fine-tune", "vision", "user_data", "evals"];

/// A file that is kept.
#[derive(Clone, Default)]
pub(crate) struct KeptFile {
    pub(crate) about: Value,
    pub(crate) bytes: Vec<u8>,
}

/// Keeps a file and says what is known of it.
pub(crate) fn keep(state: &State, name: &str, purpose: &str, bytes: Vec<u8>) -> Value {
    let id = format!("file-{:024x}", state.store.files.number());
    let about = json!({"id": id, "object": "file", "bytes": bytes.len(), "created_at": 1_700_000_000, "filename": name,
                       "purpose": purpose, "status": "processed", "status_details": null, "expires_at": null});
    let kept = KeptFile {
        about: about.clone(),
        bytes,
    };
    state.store.files.put(&id, kept);
    about
}

fn kept(state: &State, id: &str) -> Result<KeptFile, Refusal> {
    state
        .store
        .files
        .get(id)
        .ok_or_else(|| Refusal::new(404, format!("No such File object: {id}")).at("id"))
}

/// Answers what is asked under `/files`.
pub(super) fn answer(asked: &Asked, parts: &[&str]) -> Result<(Bill, Reply), Refusal> {
    let state = &asked.state;
    let reply = match (&asked.method, parts) {
        (&Method::POST, []) => {
            let form = Form::read(asked, &["file", "purpose", "expires_after"])?;
            let purpose = form.needed("purpose")?;
            if !PURPOSES.contains(&purpose.as_str()) {
                return Err(
                    Refusal::bad(format!("'{purpose}' is not one of {PURPOSES:?} - 'purpose'")).at("purpose"),
                );
            }
            let file = form.file("file")?;
            if file.data.is_empty() {
                return Err(Refusal::bad("File is empty.").at("file"));
            }
            let name = file.filename.clone().unwrap_or_default();
            Reply::Whole(keep(state, &name, &purpose, file.data.clone()))
        }
        (&Method::GET, []) => {
            let purpose = query(&asked.query, "purpose");
            let all = state.store.files.all().into_iter().map(|file| file.about);
            let wanted = all.filter(|about| {
                purpose
                    .as_deref()
                    .is_none_or(|purpose| about["purpose"] == purpose)
            });
            let (data, more) = page(wanted.collect(), &asked.query);
            Reply::Whole(json!({"object": "list", "data": data, "has_more": more,
                                "first_id": data.first().map(|one| &one["id"]), "last_id": data.last().map(|one| &one["id"])}))
        }
        (&Method::GET, [id]) => Reply::Whole(kept(state, id)?.about),
        (&Method::GET, [id, "content"]) => Reply::Bytes(kept(state, id)?.bytes, "application/octet-stream"),
        (&Method::DELETE, [id]) => {
            kept(state, id)?;
            state.store.files.remove(id);
            Reply::Whole(json!({"id": id, "object": "file", "deleted": true}))
        }
        _ => return Err(Refusal::new(404, "Invalid URL")),
    };
    Ok((Bill::default(), reply))
}

//! Log probabilities: here they stand at each text, in chat completions and in the form at the whole answer.

use serde::de::IgnoredAny;

use crate::form::Part;
use crate::json::Json;
use crate::splice::Edits;

/// The log probabilities of all texts in the shape of chat completions.
pub(super) fn logprobs_of(all: &[Part]) -> Option<Json> {
    let told = all.iter().filter_map(|part| part.extra.get("logprobs"));
    let entries: Vec<Json> = told
        .flat_map(|json| json.read::<Vec<Json>>().unwrap_or_default())
        .collect();
    (!entries.is_empty()).then(|| {
        Json::object(|chat| {
            chat.list("content", |list| {
                entries.iter().for_each(|entry| list.raw(entry.as_str()));
            });
            chat.raw("refusal", "null");
        })
    })
}

/// The entries of log probabilities in the shape of chat completions.
pub(super) fn entries_of(logprobs: &Json) -> Vec<Json> {
    #[derive(serde::Deserialize)]
    struct Chat {
        content: Option<Vec<Json>>,
    }
    let told = logprobs.read::<Chat>().ok().and_then(|chat| chat.content);
    told.unwrap_or_default().iter().map(with_bytes).collect()
}

/// An entry with the bytes of its token, which chat completions may leave out.
fn with_bytes(entry: &Json) -> Json {
    #[derive(serde::Deserialize)]
    struct Entry {
        token: String,
        bytes: Option<IgnoredAny>,
        top_logprobs: Option<Vec<Json>>,
    }
    let Ok(told) = entry.read::<Entry>() else {
        return entry.clone();
    };
    let mut edits = Edits::new();
    if told.bytes.is_none() {
        edits.set("bytes", format!("{:?}", told.token.as_bytes()));
    }
    if let Some(others) = told.top_logprobs.filter(|others| !others.is_empty()) {
        let others: Vec<Json> = others.iter().map(with_bytes).collect();
        edits.set(
            "top_logprobs",
            Json::of(&others).map_or_else(|_| "[]".to_owned(), |json| json.as_str().to_owned()),
        );
    }
    let edited = edits.apply(&entry.as_str().to_owned().into()).ok();
    let edited = edited.and_then(|edited| String::from_utf8(edited.to_vec()).ok());
    edited
        .and_then(|edited| Json::parse(edited).ok())
        .unwrap_or_else(|| entry.clone())
}

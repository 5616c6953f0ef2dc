//! What is remembered of a user, asked by that user: what it is, that one or all of it goes, and whether they agree.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use pointsman_governance::Principal;
use pointsman_wire::form::{Failure, FailureKind};
use serde::Deserialize;
use serde_json::{Value, json};

use super::Arrival;
use crate::experience::now;
use crate::kept::refused;
use crate::reply::{self, Reply};
use crate::surface::MemoryCall;
use crate::worker::Worker;

/// What a client wants of memory, for one request.
const HEADER: &str = "x-pointsman-memory";
/// The same in words of the semantic router: `true` switches it off.
const SWITCHED_OFF: &str = "x-disable-router-memory";
/// Most memories that are listed.
const MOST: u32 = 2_000;

/// What of memory a request wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wish {
    /// What is remembered is used, and what is said is remembered.
    All,
    /// What is remembered is used.
    Read,
    /// Neither.
    Off,
}

impl Wish {
    /// As the headers say.
    ///
    /// # Errors
    /// 400 for a word that means nothing: who wants not to be remembered is not, by a misspelt word, either.
    pub fn of(headers: &HeaderMap) -> Result<Self, Failure> {
        let value = |name: &str| headers.get(name).map(http::HeaderValue::as_bytes);
        if value(SWITCHED_OFF).is_some_and(|word| word.eq_ignore_ascii_case(b"true")) {
            return Ok(Self::Off);
        }
        match value(HEADER) {
            None => Ok(Self::All),
            Some(word) if word.eq_ignore_ascii_case(b"on") => Ok(Self::All),
            Some(word) if word.eq_ignore_ascii_case(b"read") => Ok(Self::Read),
            Some(word) if word.eq_ignore_ascii_case(b"off") => Ok(Self::Off),
            Some(_) => Err(Failure::new(
                FailureKind::InvalidRequest,
                format!("the header {HEADER} is on, read or off"),
            )
            .at(HEADER)),
        }
    }
}

/// Whose memories a caller's are: the user's, or of a key without a user its own. Nobody's of those without a key.
pub fn owner(caller: &Principal) -> Option<String> {
    match (&caller.user, &caller.key) {
        (Some(user), _) => Some(format!("user:{}", user.as_str())),
        (None, Some(key)) => Some(format!("key:{}", key.as_str())),
        (None, None) => None,
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Consent {
    granted: bool,
}

/// Answers everything that is asked of memories.
///
/// # Errors
/// 401 without a key, 404 for a memory that is not there, or not the caller's.
pub async fn travel(
    worker: &Arc<Worker>,
    arrival: &Arrival,
    caller: &Principal,
    (call, body): (MemoryCall, Bytes),
) -> Result<Reply, Failure> {
    let Some(owner) = owner(caller) else {
        return Err(Failure::new(
            FailureKind::Authentication,
            "nothing is remembered of callers without a key",
        ));
    };
    let kept = &worker.shared.kept;
    let told = match call {
        MemoryCall::List => {
            let listed = kept.ask(move |store| store.memories(&owner, now(), MOST));
            let (agrees, all) = listed.await.map_err(refused)?;
            let data: Vec<Value> = all.iter().map(shaped).collect();
            json!({"object": "list", "data": data, "consent": agrees})
        }
        MemoryCall::Forget => {
            let id = arrival.surface.model.clone().unwrap_or_default();
            let wanted = id.clone();
            let gone = kept.ask(move |store| store.forget_memory(&owner, &wanted));
            if !gone.await.map_err(refused)? {
                let message = format!("there is no memory {id:?}");
                return Err(Failure::new(FailureKind::NotFound, message).at("id"));
            }
            json!({"object": "memory", "id": id, "deleted": true})
        }
        MemoryCall::ForgetAll => {
            let gone = kept.ask(move |store| store.forget_memories(&owner));
            json!({"object": "memory", "deleted": gone.await.map_err(refused)?})
        }
        MemoryCall::Consent => {
            let said: Consent = serde_json::from_slice(&body).map_err(|error| {
                Failure::new(
                    FailureKind::InvalidRequest,
                    format!("expected {{\"granted\": true or false}}: {error}"),
                )
            })?;
            let noted = kept.ask(move |store| store.agree_to_memory(&owner, said.granted, now()));
            json!({"object": "memory.consent", "granted": said.granted, "deleted": noted.await.map_err(refused)?})
        }
    };
    Ok(reply::json(StatusCode::OK, &told))
}

fn shaped(memory: &pointsman_store::Memory) -> Value {
    json!({
        "object": "memory", "id": memory.id, "text": memory.text, "created_at": memory.at / 1_000,
        "expires_at": memory.expires_at.map(|at| at / 1_000)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_does_not_want_to_be_remembered_is_not() {
        let wish = |name: &'static str, word: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(name, word.parse().unwrap());
            Wish::of(&headers)
        };
        assert_eq!(Wish::of(&HeaderMap::new()).unwrap(), Wish::All);
        assert_eq!(wish(HEADER, "Off").unwrap(), Wish::Off);
        assert_eq!(wish(HEADER, "read").unwrap(), Wish::Read);
        assert_eq!(wish(SWITCHED_OFF, "true").unwrap(), Wish::Off);
        assert!(wish(HEADER, "of").is_err());
    }
}

//! Short-lived keys (client secrets): what an application makes with its own key and hands to a browser.
//!
//! They are the gateway's own, never a provider's, so that what is done with them is metered like everything else: on
//! the key that made them. One opens sessions with the model and the settings it was made for, until it ends.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use http::StatusCode;
use parking_lot::Mutex;
use pointsman_governance::Principal;
use pointsman_store::{KeyId, hash_key};
use pointsman_wire::form::{Failure, FailureKind, Text};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::super::{Arrival, alias, guard, identify};
use crate::reply::{self, Reply};
use crate::worker::Worker;

/// How a key of this sort begins.
const PREFIX: &str = "ek_";
/// Most of them at once.
const MAX_SECRETS: usize = 10_000;
/// Most bytes of the settings of all of them.
const MAX_BYTES: usize = 64 * 1024 * 1024;
/// Seconds that one may last, and does unless it is said.
const LIFE: std::ops::RangeInclusive<u64> = 10..=7_200;
const USUAL_LIFE: u64 = 600;

/// The keys that are out, by the hash of their secret.
#[derive(Default)]
pub struct Secrets(Mutex<HashMap<[u8; 32], Minted>>);

/// What a key was made for.
#[derive(Clone)]
pub struct Minted {
    /// Whose key made it; none for callers without one.
    owner: Option<KeyId>,
    /// The model.
    pub model: String,
    /// Whether its sessions only write down what they hear.
    pub only_transcribes: bool,
    /// The event that sets a session as it was asked for.
    pub settings: Text,
    ends: Instant,
}

/// What is asked for.
#[derive(Deserialize)]
struct Asked {
    #[serde(default)]
    expires_after: Option<ExpiresAfter>,
    session: Map<String, Value>,
}

#[derive(Deserialize)]
struct ExpiresAfter {
    #[serde(default)]
    anchor: Option<String>,
    #[serde(default)]
    seconds: Option<u64>,
}

impl Secrets {
    /// Keeps one; false when there are too many.
    fn keep(&self, hash: [u8; 32], minted: Minted) -> bool {
        let now = Instant::now();
        let mut secrets = self.0.lock();
        let full = |secrets: &HashMap<[u8; 32], Minted>| {
            let bytes: usize = secrets.values().map(|minted| minted.settings.len()).sum();
            secrets.len() >= MAX_SECRETS || bytes + minted.settings.len() > MAX_BYTES
        };
        if full(&secrets) {
            secrets.retain(|_, minted| minted.ends > now);
            if full(&secrets) {
                return false;
            }
        }
        secrets.insert(hash, minted);
        true
    }

    fn find(&self, presented: &str) -> Option<Minted> {
        let found = self.0.lock().get(&hash_key(presented)).cloned();
        found.filter(|minted| minted.ends > Instant::now())
    }
}

/// Who comes with such a key, and what it was made for; nothing where somebody comes with another.
///
/// # Errors
/// 401 when it is not known, has ended, or whoever made it may not come any more.
pub fn redeem(worker: &Worker, arrival: &Arrival) -> Option<Result<(Arc<Principal>, Minted), Failure>> {
    let presented = identify::presented(&arrival.headers).filter(|key| key.starts_with(PREFIX))?;
    let gone = || {
        let message = "this client secret is not known here or has expired; make another one at \
                       /v1/realtime/client_secrets";
        Failure::new(FailureKind::Authentication, message).coded("invalid_api_key")
    };
    let Some(minted) = worker.shared.secrets.find(presented) else {
        return Some(Err(gone()));
    };
    let owner = match &minted.owner {
        Some(key) => worker
            .shared
            .keys
            .claimed(key.as_str())
            .ok()
            .map(|(owner, _)| owner),
        None => arrival.snapshot.anonymous.clone(),
    };
    Some(owner.map(|owner| (owner, minted)).ok_or_else(gone))
}

/// Makes a key for a session with these settings.
///
/// # Errors
/// 400 when it cannot be understood, 403 and 404 when there could be no such session, 429 when too many are out.
pub fn mint(worker: &Worker, arrival: &Arrival, caller: &Principal, body: &Bytes) -> Result<Reply, Failure> {
    let asked: Asked = serde_json::from_slice(body).map_err(|error| {
        Failure::new(
            FailureKind::InvalidRequest,
            format!("the body makes no sense: {error}"),
        )
    })?;
    let seconds = life(asked.expires_after.as_ref())?;
    let mut session = asked.session;
    let (said, only_transcribes) = model(&session)?;
    let model = alias::meant(&arrival.snapshot, caller, &said).to_owned();
    if !caller.allows_model(&model) {
        let message = format!("this key may not use the model {model:?}");
        return Err(Failure::new(FailureKind::PermissionDenied, message).at("session.model"));
    }
    let guards = guard::of(arrival, caller, &model)?;
    super::models(arrival, &model, &guards)?;
    let settings = json!({"type": "session.update", "session": session}).to_string();
    let secret = new_secret()?;
    let minted = Minted {
        owner: caller.key.clone(),
        model,
        only_transcribes,
        settings: settings.into(),
        ends: Instant::now() + Duration::from_secs(seconds),
    };
    if !worker.shared.secrets.keep(hash_key(&secret), minted) {
        let message = "too many client secrets are out; wait until some have ended";
        let failure = Failure::new(FailureKind::RateLimited, message).coded("rate_limit_exceeded");
        return Err(failure.retry_after(Duration::from_secs(10)));
    }
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    session.insert("id".to_owned(), json!(arrival.id.replacen("req_", "sess_", 1)));
    let object = if only_transcribes {
        "realtime.transcription_session"
    } else {
        "realtime.session"
    };
    session.insert("object".to_owned(), json!(object));
    let told = json!({"value": secret, "expires_at": now.as_secs() + seconds, "session": session});
    Ok(reply::json(StatusCode::OK, &told))
}

fn life(asked: Option<&ExpiresAfter>) -> Result<u64, Failure> {
    let Some(asked) = asked else { return Ok(USUAL_LIFE) };
    let wrong = |at: &str, message: String| {
        Failure::new(FailureKind::InvalidRequest, message).at(format!("expires_after.{at}"))
    };
    if let Some(anchor) = asked.anchor.as_ref().filter(|anchor| *anchor != "created_at") {
        return Err(wrong(
            "anchor",
            format!("the anchor is created_at, not {anchor:?}"),
        ));
    }
    let seconds = asked.seconds.unwrap_or(USUAL_LIFE);
    if LIFE.contains(&seconds) {
        return Ok(seconds);
    }
    let message = format!("a client secret lasts {} to {} seconds", LIFE.start(), LIFE.end());
    Err(wrong("seconds", message))
}

/// The model of a session, and whether it only writes down.
fn model(session: &Map<String, Value>) -> Result<(String, bool), Failure> {
    let kind = session.get("type").and_then(Value::as_str);
    let (found, at, only_transcribes) = match kind {
        Some("realtime") => (session.get("model"), "session.model", false),
        Some("transcription") => (
            session
                .get("audio")
                .and_then(|audio| audio.pointer("/input/transcription/model")),
            "session.audio.input.transcription.model",
            true,
        ),
        _ => {
            let message = "session.type is realtime or transcription";
            return Err(Failure::new(FailureKind::InvalidRequest, message).at("session.type"));
        }
    };
    let found = found.and_then(Value::as_str).filter(|model| !model.is_empty());
    let Some(found) = found else {
        let message = format!("say which model the session is with: {at}");
        return Err(Failure::new(FailureKind::InvalidRequest, message).at(at));
    };
    Ok((found.to_owned(), only_transcribes))
}

fn new_secret() -> Result<String, Failure> {
    let mut bytes = [0_u8; 32];
    getrandom::fill(&mut bytes).map_err(|error| Failure::new(FailureKind::Internal, error.to_string()))?;
    Ok(format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(bytes)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn minted(ends_in: Duration, bytes: usize) -> Minted {
        Minted {
            owner: None,
            model: "m".to_owned(),
            only_transcribes: false,
            settings: "x".repeat(bytes).into(),
            ends: Instant::now() + ends_in,
        }
    }

    #[test]
    fn a_secret_is_found_until_it_ends() {
        let secrets = Secrets::default();
        assert!(secrets.keep(hash_key("ek_1"), minted(Duration::from_secs(60), 1)));
        assert!(secrets.keep(hash_key("ek_2"), minted(Duration::ZERO, 1)));
        assert!(secrets.find("ek_1").is_some());
        assert!(secrets.find("ek_2").is_none());
        assert!(secrets.find("ek_3").is_none());
    }

    #[test]
    fn there_are_never_too_many_and_those_that_ended_make_room() {
        let secrets = Secrets::default();
        let long = Duration::from_secs(60);
        assert!(secrets.keep([0; 32], minted(long, MAX_BYTES - 10)));
        assert!(!secrets.keep([1; 32], minted(long, 11)));
        assert!(secrets.keep([1; 32], minted(Duration::ZERO, 10)));
        assert!(secrets.keep([2; 32], minted(long, 10)));
        assert!(!secrets.keep([3; 32], minted(long, 10)));
    }

    #[test]
    fn a_life_is_bounded() {
        let asked = |seconds| ExpiresAfter {
            anchor: Some("created_at".to_owned()),
            seconds: Some(seconds),
        };
        assert_eq!(life(None), Ok(USUAL_LIFE));
        assert_eq!(life(Some(&asked(10))), Ok(10));
        for wrong in [0, 9, 7_201] {
            assert!(life(Some(&asked(wrong))).is_err(), "{wrong}");
        }
    }
}

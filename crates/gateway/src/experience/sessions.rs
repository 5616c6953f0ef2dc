//! The latest turn of each session, for the next one. In many parts, each with a lock of its own; bounded, the oldest goes.

use std::collections::HashMap;

use http::HeaderMap;
use parking_lot::Mutex;
use pointsman_routing::LearningConfig;
use pointsman_routing::selection::Previous;
use pointsman_store::hash_key;
use serde::{Deserialize, Serialize};

/// Parts.
const PARTS: usize = 64;
/// Sessions of a part.
const PART: usize = 1_024;
/// Bytes of a name that a client gives a session.
const LONGEST: usize = 512;

/// A turn of a session.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Turn {
    /// The request.
    pub request: String,
    /// The decision.
    pub scope: String,
    /// The model that answered.
    pub model: String,
    /// Turns that it has answered without a break.
    pub turns: u32,
    /// Tokens that it has read and written.
    pub tokens: u64,
    /// Whether anybody learns from what is said of the answer.
    pub learns: bool,
    /// When the answer was complete, Unix milliseconds.
    pub at: i64,
}

impl Turn {
    /// As a selection sees it.
    pub fn previous(&self, now: i64, in_tool_loop: bool) -> Previous<'_> {
        Previous {
            model: &self.model,
            warm_tokens: self.tokens,
            turns: self.turns,
            idle_seconds: u64::try_from(now.saturating_sub(self.at) / 1_000).unwrap_or(0),
            in_tool_loop,
        }
    }
}

/// Sessions by their ids.
pub struct Sessions(Vec<Mutex<HashMap<String, Turn>>>);

impl Default for Sessions {
    fn default() -> Self {
        Self((0..PARTS).map(|_| Mutex::default()).collect())
    }
}

impl Sessions {
    fn part(&self, id: &str) -> Option<&Mutex<HashMap<String, Turn>>> {
        // Ids are hashes: two letters of them are as good as any.
        let part = usize::from_str_radix(id.get(..2)?, 16).ok()? % PARTS;
        self.0.get(part)
    }

    /// The latest turn.
    pub fn find(&self, id: &str) -> Option<Turn> {
        self.part(id)?.lock().get(id).cloned()
    }

    /// Notes a turn, unless a later one is known.
    pub fn put(&self, id: &str, turn: Turn) {
        let Some(part) = self.part(id) else { return };
        let mut part = part.lock();
        if part.get(id).is_some_and(|known| known.at > turn.at) {
            return;
        }
        if part.len() >= PART && !part.contains_key(id) {
            let oldest = part.iter().min_by_key(|(_, turn)| turn.at);
            if let Some(oldest) = oldest.map(|(id, _)| id.clone()) {
                part.remove(&oldest);
            }
        }
        part.insert(id.to_owned(), turn);
    }
}

/// The session that a request belongs to: what its headers name, as a hash, and apart for each tenant. None without.
pub fn session_id(config: &LearningConfig, headers: &HeaderMap, tenant: &str) -> Option<String> {
    let read = |name: &Option<String>, usual: &str| {
        let value = headers
            .get(name.as_deref().unwrap_or(usual))?
            .to_str()
            .ok()?
            .trim();
        (!value.is_empty() && value.len() <= LONGEST).then(|| value.to_owned())
    };
    let session = read(&config.session_header, "x-session-id");
    let conversation = read(&config.conversation_header, "x-conversation-id");
    if session.is_none() && conversation.is_none() {
        return None;
    }
    let parts = [Some(tenant.to_owned()), session, conversation];
    // What no header can hold keeps the parts apart.
    let named = parts.map(Option::unwrap_or_default).join("\n");
    let hash = hash_key(&named);
    Some(hash[..16].iter().map(|byte| format!("{byte:02x}")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sessions_are_apart_by_tenant_and_conversation() {
        let config = LearningConfig::default();
        let id = |tenant: &str, pairs: &[(&'static str, &str)]| {
            let mut headers = HeaderMap::new();
            for (name, value) in pairs {
                headers.insert(*name, value.parse().unwrap());
            }
            session_id(&config, &headers, tenant)
        };
        let own = id("team:a", &[("x-session-id", "s")]);
        assert_eq!(own, id("team:a", &[("x-session-id", " s ")]));
        assert_ne!(own, id("team:b", &[("x-session-id", "s")]));
        assert_ne!(own, id("team:a", &[("x-conversation-id", "s")]));
        assert_ne!(
            own,
            id("team:a", &[("x-session-id", "s"), ("x-conversation-id", "c")])
        );
        assert_eq!(id("team:a", &[("x-session-id", "")]), None);
        assert_eq!(id("team:a", &[("x-session-id", &"s".repeat(513))]), None);
        assert_eq!(own.map(|id| id.len()), Some(32));
    }

    #[test]
    fn the_latest_turn_stays_and_the_oldest_session_goes() {
        let sessions = Sessions::default();
        let turn = |at, model: &str| Turn {
            at,
            model: model.to_owned(),
            ..Turn::default()
        };
        sessions.put("00a", turn(5, "new"));
        sessions.put("00a", turn(4, "old"));
        assert_eq!(
            sessions.find("00a").map(|turn| turn.model),
            Some("new".to_owned())
        );
        for at in 0..PART {
            sessions.put(&format!("00{at:04x}"), turn(10 + at as i64, "m"));
        }
        assert_eq!(sessions.find("00a"), None);
        assert!(sessions.find("000001").is_some());
        assert_eq!(sessions.find("no id"), None);
    }
}

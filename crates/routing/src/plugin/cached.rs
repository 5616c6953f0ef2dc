//! The plugin `response_cache`: how answers of a decision are remembered, in the place of what holds for all.

use std::time::Duration;

use crate::config::plugins::{RequestControls, ResponseCacheSettings};

/// The header that clients say their wishes in, where none is named.
const CONTROL_HEADER: &str = "x-vsr-cache-control";

/// What a decision says of remembering its answers.
#[derive(Debug, Clone, PartialEq)]
pub enum Caching {
    /// They are not remembered.
    Off,
    /// They are, and like this.
    On(ResponseCache),
}

/// How answers of a decision are remembered; what is absent is as it is for all.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ResponseCache {
    /// Whether questions that ask the same in other words have the same answer.
    pub semantic: bool,
    /// How like such questions must be at least, by the cosine of their vectors.
    pub least: Option<f32>,
    /// Whose answers are given.
    pub scope: Option<CacheScope>,
    /// How long an answer is good.
    pub ttl: Option<Duration>,
    /// What clients may wish for by a header of the decision's own.
    pub controls: Option<CacheControls>,
    /// Whether answers to requests into which something of the caller's own was put are remembered; only for requests that
    /// are the same to the letter.
    pub personalized: bool,
    /// What answers depend on beside the request.
    pub revision: Vec<String>,
}

/// Who may see whose answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CacheScope {
    /// The key alone.
    Key,
    /// Keys of the same user.
    User,
    /// Keys of the same team.
    Team,
    /// Keys of the same organization.
    Organization,
    /// Everybody.
    Shared,
}

/// What clients may wish for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CacheControls {
    /// The header, in lower case.
    pub header: String,
    /// The words of it that count; others are passed over.
    pub allowed: Vec<String>,
    /// The longest time that may be wished for.
    pub most: Option<Duration>,
}

/// Words of a control header.
const WISHES: [&str; 6] = [
    "no-cache",
    "no-store",
    "bypass",
    "max-age",
    "ttl",
    "only-if-cached",
];

impl Caching {
    pub(super) fn of(form: ResponseCacheSettings) -> Result<Self, String> {
        let cache = ResponseCache::of(&form)?;
        let remembers = form.enabled && form.ttl_seconds != Some(0);
        Ok(if remembers { Self::On(cache) } else { Self::Off })
    }
}

impl ResponseCache {
    fn of(form: &ResponseCacheSettings) -> Result<Self, String> {
        let semantic = match form.mode.as_deref().map(str::trim) {
            None | Some("" | "semantic" | "exact_then_semantic") => true,
            Some("exact") => false,
            Some(other) => {
                return Err(format!(
                    "response_cache.mode: unknown mode {other:?}; use exact, semantic or exact_then_semantic"
                ));
            }
        };
        let likeness = form
            .semantic
            .as_ref()
            .and_then(|semantic| semantic.similarity_threshold);
        let least = likeness.or(form.similarity_threshold);
        if least.is_some_and(|least| !(0.0..=1.0).contains(&least)) {
            return Err("response_cache.similarity_threshold is a number from 0 to 1".to_owned());
        }
        let personalized = match form.personalized.as_ref().and_then(|own| own.mode.as_deref()) {
            None | Some("" | "disabled") => false,
            Some("exact") => true,
            Some(other) => {
                return Err(format!(
                    "response_cache.personalized.mode: unknown mode {other:?}; use disabled or exact"
                ));
            }
        };
        Ok(Self {
            semantic,
            least: least.map(|least| least as f32),
            scope: form.scope.as_deref().map(scope).transpose()?,
            ttl: form.ttl_seconds.map(Duration::from_secs),
            controls: controls(form)?,
            personalized,
            revision: revision(form),
        })
    }
}

fn scope(name: &str) -> Result<CacheScope, String> {
    Ok(match name.trim() {
        "key" => CacheScope::Key,
        "" | "user" => CacheScope::User,
        "team" => CacheScope::Team,
        "tenant" | "organization" => CacheScope::Organization,
        "global" | "shared" => CacheScope::Shared,
        other => {
            return Err(format!(
                "response_cache.scope: unknown scope {other:?}; use key, user, team, tenant (organization) or global (shared)"
            ));
        }
    })
}

fn controls(form: &ResponseCacheSettings) -> Result<Option<CacheControls>, String> {
    let older = RequestControls {
        enabled: form.allow_request_controls,
        header: form.control_header.clone(),
        ..RequestControls::default()
    };
    let controls = form.request_controls.as_ref().unwrap_or(&older);
    let header = controls
        .header
        .as_deref()
        .unwrap_or(CONTROL_HEADER)
        .trim()
        .to_ascii_lowercase();
    let is_name = |letter: u8| letter.is_ascii_alphanumeric() || matches!(letter, b'-' | b'_');
    if header.is_empty() || !header.bytes().all(is_name) {
        return Err(format!(
            "response_cache.request_controls.header: {header:?} is not a name of a header"
        ));
    }
    if let Some(unknown) = controls
        .allowed
        .iter()
        .find(|word| !WISHES.contains(&word.as_str()))
    {
        return Err(format!(
            "response_cache.request_controls.allowed: unknown word {unknown:?}; use {}",
            WISHES.join(", ")
        ));
    }
    let allowed = match controls.allowed.is_empty() {
        true => WISHES.map(str::to_owned).to_vec(),
        false => controls.allowed.clone(),
    };
    Ok(controls.enabled.then_some(CacheControls {
        header,
        allowed,
        most: controls.max_ttl_seconds.map(Duration::from_secs),
    }))
}

fn revision(form: &ResponseCacheSettings) -> Vec<String> {
    let Some(revision) = &form.revision else {
        return Vec::new();
    };
    let parts = [
        ("cache", &revision.cache_epoch),
        ("model", &revision.model_revision),
        ("prompt", &revision.prompt_revision),
        ("policy", &revision.policy_revision),
    ];
    let given = parts
        .iter()
        .filter_map(|(name, part)| part.as_ref().map(|part| format!("{name}={part}")));
    given.collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn of(settings: serde_json::Value) -> Result<Caching, String> {
        Caching::of(serde_json::from_value(settings).unwrap())
    }

    #[test]
    fn both_forms_say_the_same() {
        let new = of(json!({
            "enabled": true, "mode": "exact_then_semantic", "scope": "tenant",
            "semantic": {"similarity_threshold": 0.9}, "ttl_seconds": 60,
            "request_controls": {"enabled": true, "header": "X-Mine", "allowed": ["ttl"], "max_ttl_seconds": 9}
        }));
        let Ok(Caching::On(cache)) = new else {
            panic!("{new:?}");
        };
        assert_eq!((cache.semantic, cache.least), (true, Some(0.9)));
        assert_eq!(
            (cache.scope, cache.ttl),
            (Some(CacheScope::Organization), Some(Duration::from_secs(60)))
        );
        assert_eq!(
            cache.controls,
            Some(CacheControls {
                header: "x-mine".to_owned(),
                allowed: vec!["ttl".to_owned()],
                most: Some(Duration::from_secs(9)),
            })
        );
        let old = of(json!({"enabled": true, "similarity_threshold": 0.9, "allow_request_controls": true}));
        let Ok(Caching::On(cache)) = old else {
            panic!("{old:?}");
        };
        assert_eq!((cache.least, cache.scope), (Some(0.9), None));
        assert_eq!(
            cache.controls.map(|controls| controls.header).as_deref(),
            Some(CONTROL_HEADER)
        );
    }

    #[test]
    fn off_is_off_and_nonsense_is_told() {
        assert_eq!(of(json!({"enabled": false})), Ok(Caching::Off));
        assert_eq!(of(json!({"enabled": true, "ttl_seconds": 0})), Ok(Caching::Off));
        for nonsense in [
            json!({"enabled": true, "mode": "fuzzy"}),
            json!({"enabled": true, "scope": "galaxy"}),
            json!({"enabled": true, "similarity_threshold": 1.5}),
            json!({"enabled": true, "personalized": {"mode": "always"}}),
            json!({"enabled": true, "request_controls": {"enabled": true, "allowed": ["please"]}}),
            json!({"enabled": true, "request_controls": {"enabled": true, "header": "a b"}}),
        ] {
            assert!(of(nonsense.clone()).is_err(), "{nonsense}");
        }
    }
}

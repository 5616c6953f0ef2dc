//! The plugin `shadow_dispatch`: a copy of the request goes to another model, behind the answer, and what comes of it is
//! compared with what the client got.

use crate::config::plugins::ShadowSettings;

/// Copies at once, where nothing is said.
const AT_ONCE: u64 = 2;
/// Copies that wait, where nothing is said.
const WAITING: u64 = 8;
/// Seconds that a copy may take, where nothing is said.
const SECONDS: u64 = 30;
/// Bytes of an answer, where nothing is said.
const LONGEST: u64 = 1 << 20;
/// Bytes of an answer that are kept, where nothing is said.
const CAPTURED: u64 = 4_096;

/// Headers that hold credentials: no copy carries them.
const CREDENTIALS: [&str; 6] = [
    "authorization",
    "proxy-authorization",
    "cookie",
    "x-api-key",
    "api-key",
    "x-goog-api-key",
];

/// Where copies go, and how many.
#[derive(Debug, Clone, PartialEq)]
pub struct Shadow {
    /// The gateway's model that gets them.
    pub model: String,
    /// The share of requests, 0 to 1.
    pub share: f64,
    /// Most under way at once.
    pub at_once: usize,
    /// Most that wait.
    pub waiting: usize,
    /// Seconds that one may take.
    pub seconds: u64,
    /// Most bytes of an answer.
    pub longest: usize,
    /// How often one that fails is sent again.
    pub retries: u32,
    /// Most bytes of an answer that are kept with the comparison; none of it where absent.
    pub captured: Option<usize>,
    /// Headers of the decision's own (`header_mutation`) that go with it, in small letters.
    pub headers: Vec<String>,
    /// The key that pays; the caller's own where absent.
    pub payer: Option<String>,
}

impl Shadow {
    pub(super) fn of(form: ShadowSettings) -> Result<Option<Self>, String> {
        if !form.enabled {
            return Ok(None);
        }
        let Some(model) = form.model.filter(|model| !model.trim().is_empty()) else {
            return Err("shadow_dispatch.model names the model that gets the copies".to_owned());
        };
        let share = form.sample_rate.unwrap_or(1.0);
        if !(0.0..=1.0).contains(&share) {
            return Err("shadow_dispatch.sample_rate is a number from 0 to 1".to_owned());
        }
        if form.tls_skip_verify {
            return Err(
                "shadow_dispatch.tls_skip_verify is not supported in this version; give the provider the authority \
                 that it is to be trusted by"
                    .to_owned(),
            );
        }
        let captured = size("max_capture_bytes", form.max_capture_bytes, CAPTURED, 1 << 20)?;
        Ok(Some(Self {
            model,
            share,
            at_once: size("max_concurrency", form.max_concurrency, AT_ONCE, 256)?,
            waiting: size("max_queue_depth", form.max_queue_depth, WAITING, 1_024)?,
            seconds: bounded("timeout_seconds", form.timeout_seconds, SECONDS, 600)?,
            longest: size("max_response_bytes", form.max_response_bytes, LONGEST, 64 << 20)?,
            retries: retries(form.max_retries)?,
            captured: form.capture_response_body.then_some(captured),
            headers: headers(form.forward_headers)?,
            payer: payer(form.charge_to)?,
        }))
    }

    /// Whether a copy is made of the request for which this chance, 0 to 1, was drawn.
    #[must_use]
    pub fn takes(&self, chance: f64) -> bool {
        chance < self.share
    }
}

/// A number up to `most`; as it is published, 0 is what holds where nothing is said.
fn bounded(field: &str, value: Option<u64>, usual: u64, most: u64) -> Result<u64, String> {
    let value = value.filter(|value| *value > 0).unwrap_or(usual);
    if value > most {
        return Err(format!("shadow_dispatch.{field} is at most {most}"));
    }
    Ok(value)
}

fn size(field: &str, value: Option<u64>, usual: u64, most: u64) -> Result<usize, String> {
    let value = bounded(field, value, usual, most)?;
    usize::try_from(value).map_err(|_| format!("shadow_dispatch.{field} is too large"))
}

fn retries(value: Option<u64>) -> Result<u32, String> {
    match value.unwrap_or(0) {
        few @ 0..=3 => Ok(few as u32),
        _ => Err("shadow_dispatch.max_retries is at most 3".to_owned()),
    }
}

fn headers(names: Vec<String>) -> Result<Vec<String>, String> {
    let mut all = Vec::new();
    for name in names {
        let name = name.trim().to_ascii_lowercase();
        let is_users = name.starts_with("x-user-") && name.ends_with("-key");
        if name.is_empty() || name.starts_with(':') {
            return Err(format!(
                "shadow_dispatch.forward_headers: {name:?} is no header's name"
            ));
        }
        if is_users || CREDENTIALS.contains(&name.as_str()) {
            return Err(format!(
                "shadow_dispatch.forward_headers: {name} holds a credential, which no copy carries"
            ));
        }
        all.push(name);
    }
    Ok(all)
}

fn payer(named: Option<String>) -> Result<Option<String>, String> {
    match named.as_deref() {
        None | Some("caller") => Ok(None),
        Some(id) if id.starts_with("key_") => Ok(named),
        Some(other) => Err(format!(
            "shadow_dispatch.charge_to: {other:?} is neither caller nor the id of a key (key_…)"
        )),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn of(settings: Value) -> Result<Option<Shadow>, String> {
        Shadow::of(serde_json::from_value(settings).unwrap())
    }

    #[test]
    fn what_is_not_said_is_as_published() {
        let known = of(json!({"enabled": true, "model": "m", "max_queue_depth": 0}))
            .unwrap()
            .unwrap();
        assert_eq!((known.at_once, known.waiting, known.seconds), (2, 8, 30));
        assert_eq!((known.longest, known.retries, known.captured), (1 << 20, 0, None));
        assert_eq!(known.payer, None);
        assert!(known.takes(0.999));
        let some = of(json!({
            "enabled": true, "model": "m", "sample_rate": 0.25, "capture_response_body": true, "charge_to": "key_1",
            "forward_headers": [" X-Tenant "]
        }))
        .unwrap()
        .unwrap();
        assert!(some.takes(0.2) && !some.takes(0.25));
        assert_eq!(
            (some.captured, some.headers.as_slice()),
            (Some(4_096), &["x-tenant".to_owned()][..])
        );
        assert_eq!(some.payer.as_deref(), Some("key_1"));
        assert_eq!(of(json!({"enabled": false})), Ok(None));
    }

    #[test]
    fn what_makes_no_sense_is_told() {
        for (field, wrong) in [
            ("model", json!({"enabled": true})),
            (
                "sample_rate",
                json!({"enabled": true, "model": "m", "sample_rate": 1.5}),
            ),
            (
                "max_concurrency",
                json!({"enabled": true, "model": "m", "max_concurrency": 1_000}),
            ),
            (
                "timeout_seconds",
                json!({"enabled": true, "model": "m", "timeout_seconds": 10_000}),
            ),
            (
                "max_retries",
                json!({"enabled": true, "model": "m", "max_retries": 4}),
            ),
            (
                "tls_skip_verify",
                json!({"enabled": true, "model": "m", "tls_skip_verify": true}),
            ),
            (
                "forward_headers",
                json!({"enabled": true, "model": "m", "forward_headers": ["Authorization"]}),
            ),
            (
                "forward_headers",
                json!({"enabled": true, "model": "m", "forward_headers": ["x-user-openai-key"]}),
            ),
            (
                "forward_headers",
                json!({"enabled": true, "model": "m", "forward_headers": [" "]}),
            ),
            (
                "charge_to",
                json!({"enabled": true, "model": "m", "charge_to": "somebody"}),
            ),
        ] {
            let told = of(wrong).unwrap_err();
            assert!(told.contains(field), "{told}");
        }
    }
}

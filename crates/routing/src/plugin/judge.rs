//! The plugin `llm_judge`: a model says behind the answer how good it was, and selections that learn go by that.

use super::Shadow;
use crate::config::plugins::{JudgeSettings, ShadowSettings};

/// Bytes of the conversation, and of the answer, that are shown, where nothing is said.
const SHOWN: u64 = 8_192;
/// Most bytes of either.
const MOST_SHOWN: u64 = 256 * 1024;
/// Most bytes of a rubric.
const LONGEST_RUBRIC: usize = 16 * 1024;
/// Bytes of what the judge says: a score, and some words.
const VERDICT: u64 = 64 * 1024;

/// Who judges, and by what.
#[derive(Debug, Clone, PartialEq)]
pub struct LlmJudge {
    /// The model that is asked, how often, and who pays.
    pub sending: Shadow,
    /// What a good answer is.
    pub rubric: String,
    /// Most bytes of the conversation, and of the answer, that it is shown.
    pub shown: usize,
}

impl LlmJudge {
    pub(super) fn of(form: JudgeSettings) -> Result<Option<Self>, String> {
        if !form.enabled {
            return Ok(None);
        }
        let rubric = form.rubric.trim();
        if rubric.is_empty() || rubric.len() > LONGEST_RUBRIC {
            return Err(format!(
                "llm_judge.rubric says in words what a good answer is, in at most {LONGEST_RUBRIC} bytes"
            ));
        }
        let shown = form.max_shown_bytes.filter(|bytes| *bytes > 0).unwrap_or(SHOWN);
        if shown > MOST_SHOWN {
            return Err(format!("llm_judge.max_shown_bytes is at most {MOST_SHOWN}"));
        }
        let sending = ShadowSettings {
            enabled: true,
            model: form.model,
            sample_rate: form.sample_rate,
            max_concurrency: form.max_concurrency,
            max_queue_depth: form.max_queue_depth,
            timeout_seconds: form.timeout_seconds,
            max_response_bytes: Some(VERDICT),
            charge_to: form.charge_to,
            ..ShadowSettings::default()
        };
        // They are sent as copies are; what is wrong with them is told by their own name.
        let sending = Shadow::of(sending).map_err(|told| {
            let told = told.replace("shadow_dispatch", "llm_judge");
            told.replace("that gets the copies", "that judges")
        })?;
        Ok(sending.map(|sending| Self {
            sending,
            rubric: rubric.to_owned(),
            shown: usize::try_from(shown).unwrap_or(usize::MAX),
        }))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn of(settings: Value) -> Result<Option<LlmJudge>, String> {
        let mut all = json!({"enabled": true, "model": "m", "rubric": " Correct and short. "});
        all.as_object_mut()
            .unwrap()
            .extend(settings.as_object().unwrap().clone());
        LlmJudge::of(serde_json::from_value(all).unwrap())
    }

    #[test]
    fn what_is_not_said_is_as_for_copies() {
        let judge = of(json!({})).unwrap().unwrap();
        assert_eq!(
            (judge.rubric.as_str(), judge.shown),
            ("Correct and short.", 8_192)
        );
        let sending = &judge.sending;
        assert_eq!((sending.at_once, sending.waiting, sending.seconds), (2, 8, 30));
        assert!(sending.takes(0.999) && sending.payer.is_none() && sending.retries == 0);
        assert_eq!(of(json!({"enabled": false})), Ok(None));
    }

    #[test]
    fn what_makes_no_sense_is_told_by_its_name() {
        for (field, wrong) in [
            (
                "llm_judge.model names the model that judges",
                json!({"model": null}),
            ),
            ("llm_judge.rubric", json!({"rubric": "  "})),
            ("llm_judge.sample_rate", json!({"sample_rate": 1.5})),
            ("llm_judge.max_concurrency", json!({"max_concurrency": 1_000})),
            ("llm_judge.timeout_seconds", json!({"timeout_seconds": 10_000})),
            ("llm_judge.max_shown_bytes", json!({"max_shown_bytes": 1 << 30})),
            ("llm_judge.charge_to", json!({"charge_to": "somebody"})),
        ] {
            let told = of(wrong).unwrap_err();
            assert!(told.contains(field), "{told}");
        }
    }
}

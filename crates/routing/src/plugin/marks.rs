//! The plugin `prompt_cache`: marks for the provider's own cache, on what stays the same from turn to turn.

use crate::config::plugins::PromptCacheSettings;

/// What is marked, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PromptCache {
    /// Tools.
    pub tools: bool,
    /// Instructions.
    pub instructions: bool,
    /// What was said before the user's last turn.
    pub history: bool,
    /// It is kept for an hour.
    pub hour: bool,
    /// A provider that knows no marks is not asked.
    pub reject: bool,
}

impl PromptCache {
    pub(super) fn of(form: &PromptCacheSettings) -> Result<Option<Self>, String> {
        let hour = match form.ttl.as_deref() {
            None | Some("5m") => false,
            Some("1h") => true,
            Some(other) => return Err(format!("prompt_cache.ttl: {other:?} is neither 5m nor 1h")),
        };
        let reject = match form.on_unsupported.as_deref() {
            None | Some("skip") => false,
            Some("reject") => true,
            Some(other) => {
                return Err(format!(
                    "prompt_cache.on_unsupported: unknown value {other:?}; use skip or reject"
                ));
            }
        };
        let mut all = Self {
            tools: form.targets.is_empty(),
            instructions: form.targets.is_empty(),
            history: false,
            hour,
            reject,
        };
        for target in &form.targets {
            let marked = match target.as_str() {
                "tools" => &mut all.tools,
                "instructions" => &mut all.instructions,
                "history" => &mut all.history,
                other => {
                    return Err(format!(
                        "prompt_cache.targets: unknown target {other:?}; use instructions, tools or history"
                    ));
                }
            };
            if std::mem::replace(marked, true) {
                return Err(format!("prompt_cache.targets: {target} stands there twice"));
            }
        }
        Ok(form.enabled.then_some(all))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn of(settings: Value) -> Result<Option<PromptCache>, String> {
        PromptCache::of(&serde_json::from_value(settings).unwrap())
    }

    #[test]
    fn what_is_not_said_is_as_published() {
        let usual = of(json!({"enabled": true})).unwrap().unwrap();
        assert!(usual.tools && usual.instructions && !usual.history && !usual.hour && !usual.reject);
        let own = json!({"enabled": true, "targets": ["history"], "ttl": "1h", "on_unsupported": "reject"});
        let own = of(own).unwrap().unwrap();
        assert!(!own.tools && !own.instructions && own.history && own.hour && own.reject);
        assert_eq!(of(json!({})), Ok(None));
        for wrong in [
            json!({"ttl": "2h"}),
            json!({"targets": ["user"]}),
            json!({"targets": ["tools", "tools"]}),
            json!({"on_unsupported": "warn"}),
        ] {
            assert!(of(wrong.clone()).is_err(), "{wrong}");
        }
    }
}

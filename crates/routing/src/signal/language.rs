//! In which language the user writes.

use pointsman_semantics::language;

use super::Reading;
use crate::config::LanguageConfig;

pub(crate) struct Language {
    code: String,
    threshold: f64,
}

impl Language {
    pub(crate) fn new(config: &LanguageConfig) -> Self {
        Self {
            code: config.name.to_ascii_lowercase(),
            threshold: config.threshold.unwrap_or(0.3),
        }
    }

    pub(crate) fn read(&self, text: &str) -> Reading {
        let Some(detected) = language::detect(text).filter(|detected| detected.code == self.code) else {
            return Reading::default();
        };
        self.judge(detected.confidence)
    }

    /// What it says of a text that is in its language with this confidence; 0 where it is in another.
    pub(crate) fn judge(&self, sure: f64) -> Reading {
        let matched = sure > 0.0 && sure >= self.threshold;
        Reading {
            matched,
            confidence: if matched { sure } else { 0.0 },
            value: sure,
        }
    }
}

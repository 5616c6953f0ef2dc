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
        let matched = detected.confidence >= self.threshold;
        Reading {
            matched,
            confidence: if matched { detected.confidence } else { 0.0 },
            value: detected.confidence,
        }
    }
}

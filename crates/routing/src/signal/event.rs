//! Events that the user's text reports: their type, severity, codes, and haste.

use regex::RegexSet;

use super::Reading;
use crate::config::EventConfig;

/// Severities that are known as such.
const SEVERITIES: [&str; 4] = ["critical", "high", "medium", "low"];
/// Words of haste, as patterns.
const HASTE: [&str; 7] = [
    "urgent",
    "immediate",
    "asap",
    "deadline",
    "time.sensitive",
    "now",
    "critical.window",
];

pub(crate) struct Event {
    /// What is asked for: of each, one must be found.
    asked: Vec<RegexSet>,
}

impl Event {
    pub(crate) fn compile(config: &EventConfig) -> Result<Self, String> {
        let plain = |words: &[String]| -> Vec<String> {
            let words = words.iter().map(|word| word.trim());
            words.filter(|word| !word.is_empty()).map(regex::escape).collect()
        };
        let severities: Vec<String> = config
            .severities
            .iter()
            .map(|severity| severity.trim().to_ascii_lowercase())
            .collect();
        if let Some(other) = severities
            .iter()
            .find(|severity| !SEVERITIES.contains(&severity.as_str()))
        {
            return Err(format!(
                "unknown severity {other:?}; use {}",
                SEVERITIES.join(", ")
            ));
        }
        let haste = if config.temporal {
            HASTE.map(str::to_owned).to_vec()
        } else {
            Vec::new()
        };
        let lists = [
            plain(&config.event_types),
            severities,
            plain(&config.action_codes),
            haste,
        ];
        let asked: Result<Vec<RegexSet>, regex::Error> = lists
            .iter()
            .filter(|list| !list.is_empty())
            .map(|list| RegexSet::new(list.iter().map(|word| format!(r"(?i)(?-u:\b){word}(?-u:\b)"))))
            .collect();
        let asked = asked.map_err(|error| error.to_string())?;
        if asked.is_empty() {
            return Err("an event signal needs event_types, severities, action_codes or temporal".to_owned());
        }
        Ok(Self { asked })
    }

    /// One of what is asked for is enough; the share that is found makes the confidence.
    pub(crate) fn read(&self, text: &str) -> Reading {
        let found = self.asked.iter().filter(|words| words.is_match(text)).count() as f64;
        let matched = found > 0.0;
        let share = found / self.asked.len() as f64;
        Reading {
            matched,
            confidence: if matched { 0.5 + 0.5 * share } else { 0.0 },
            value: found,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_found_makes_the_confidence() {
        let config = r#"{"name":"e","event_types":["payment_failed"],"severities":["Critical"],"temporal":true,"action_codes":["TXN-1"]}"#;
        let event = Event::compile(&serde_json::from_str(config).unwrap()).unwrap();
        for (text, confidence) in [
            ("Payment_Failed, critical, TXN-1, look NOW", 1.0),
            ("severity=critical TXN-1", 0.75),
            ("TXN-12 of the highway", 0.0),
            ("time-sensitive", 0.625),
            ("", 0.0),
        ] {
            let reading = event.read(text);
            assert_eq!(
                (reading.matched, reading.confidence),
                (confidence > 0.0, confidence),
                "{text}"
            );
        }
        assert!(Event::compile(&EventConfig::default()).is_err());
    }
}

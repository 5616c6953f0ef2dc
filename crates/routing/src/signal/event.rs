//! Events that the caller reports in the request's metadata.

use regex::Regex;

use super::Reading;
use crate::config::EventConfig;

pub(crate) struct Event {
    lists: [(&'static str, Vec<String>); 3],
    temporal: Option<Regex>,
}

impl Event {
    pub(crate) fn compile(config: &EventConfig) -> Result<Self, String> {
        let temporal = config
            .temporal
            .as_deref()
            .map(Regex::new)
            .transpose()
            .map_err(|error| error.to_string())?;
        Ok(Self {
            lists: [
                ("event_type", config.event_types.clone()),
                ("severity", config.severities.clone()),
                ("action_code", config.action_codes.clone()),
            ],
            temporal,
        })
    }

    /// Everything that is asked for must hold; of what is asked for, the share that holds makes the confidence.
    pub(crate) fn read(&self, metadata: &[(String, String)]) -> Reading {
        let value = |key: &str| {
            metadata
                .iter()
                .find(|(known, _)| known == key)
                .map(|(_, value)| value)
        };
        let mut asked = 0.0;
        let mut held = 0.0;
        for (key, list) in self.lists.iter().filter(|(_, list)| !list.is_empty()) {
            asked += 1.0;
            held += f64::from(u8::from(value(key).is_some_and(|value| list.contains(value))));
        }
        if let Some(pattern) = &self.temporal {
            asked += 1.0;
            held += f64::from(u8::from(
                value("timestamp").is_some_and(|value| pattern.is_match(value)),
            ));
        }
        let matched = asked > 0.0 && held >= asked;
        Reading {
            matched,
            confidence: if matched { 0.5 + 0.5 * held / asked } else { 0.0 },
            value: held,
        }
    }
}

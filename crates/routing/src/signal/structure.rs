//! Patterns in the user's text, and their number.

use regex::Regex;

use super::Reading;
use super::words::word_pattern;
use crate::config::{Predicate, Source, StructureConfig};

pub(crate) struct Structure {
    measure: Measure,
    /// One or none, in place of how many.
    exists: bool,
    /// Per unit of text instead of in all.
    density: bool,
    /// Its bounds; there must be one when absent.
    predicate: Option<Predicate>,
}

enum Measure {
    Patterns(Vec<Regex>),
    /// Words that must follow one another.
    Sequences(Vec<Vec<Regex>>),
    Bytes,
}

impl Structure {
    pub(crate) fn compile(config: &StructureConfig) -> Result<Self, String> {
        let kind = config.feature.kind.as_str();
        if !["exists", "count", "density", "sequence"].contains(&kind) {
            return Err(format!(
                "unknown feature type {kind:?}; use exists, count, density or sequence"
            ));
        }
        Ok(Self {
            measure: measure(&config.feature.source)?,
            exists: kind == "exists" || kind == "sequence",
            density: kind == "density",
            predicate: config.predicate,
        })
    }

    pub(crate) fn read(&self, text: &str) -> Reading {
        let mut value = match &self.measure {
            Measure::Patterns(patterns) => patterns
                .iter()
                .map(|pattern| pattern.find_iter(text).count())
                .sum::<usize>() as f64,
            Measure::Sequences(all) => {
                f64::from(u8::from(all.iter().any(|sequence| in_order(sequence, text))))
            }
            Measure::Bytes => text.len() as f64,
        };
        if self.exists {
            value = value.min(1.0);
        }
        if self.density {
            value /= (units(text).max(1)) as f64;
        }
        self.judge(value)
    }

    /// What it says of a number.
    pub(crate) fn judge(&self, value: f64) -> Reading {
        let matched = self
            .predicate
            .map_or(value > 0.0, |predicate| predicate.holds(value));
        let sure = self
            .predicate
            .map_or(1.0, |predicate| sureness(&predicate, value));
        let confidence = if matched { sure } else { 0.0 };
        Reading {
            matched,
            confidence,
            value,
        }
    }
}

/// The farther from the first of its bounds, the surer; sure without bounds.
fn sureness(predicate: &Predicate, value: f64) -> f64 {
    let bounds = [predicate.gt, predicate.gte, predicate.lt, predicate.lte];
    let distance = bounds
        .into_iter()
        .flatten()
        .next()
        .map(|bound| (value - bound).abs());
    distance.map_or(1.0, |distance| (1.0 / (1.0 + (-4.0 * distance).exp())).max(0.5))
}

fn measure(source: &Source) -> Result<Measure, String> {
    let word = |keyword: &String| {
        Regex::new(&word_pattern(keyword, source.case_sensitive)).map_err(|error| error.to_string())
    };
    match source.kind.as_str() {
        "regex" => {
            let pattern = source
                .pattern
                .as_deref()
                .ok_or("a regex source needs a pattern")?;
            let case = if source.case_sensitive { "" } else { "(?i)" };
            let pattern = Regex::new(&format!("{case}{pattern}"));
            Ok(Measure::Patterns(vec![
                pattern.map_err(|error| error.to_string())?,
            ]))
        }
        "keyword_set" => source
            .keywords
            .iter()
            .map(word)
            .collect::<Result<_, _>>()
            .map(Measure::Patterns),
        "sequence" => {
            let part = |part: &String| {
                let case = if source.case_sensitive { "" } else { "(?i)" };
                Regex::new(&format!("{case}{}", regex::escape(part))).map_err(|error| error.to_string())
            };
            let sequence = |words: &Vec<String>| words.iter().map(part).collect::<Result<Vec<_>, _>>();
            source
                .sequences
                .iter()
                .map(sequence)
                .collect::<Result<_, _>>()
                .map(Measure::Sequences)
        }
        "text_bytes" => Ok(Measure::Bytes),
        other => Err(format!(
            "unknown source type {other:?}; use regex, keyword_set, sequence or text_bytes"
        )),
    }
}

fn in_order(sequence: &[Regex], text: &str) -> bool {
    let mut at = 0;
    sequence.iter().all(|word| match word.find_at(text, at) {
        Some(found) => {
            at = found.end();
            true
        }
        None => false,
    })
}

/// Units of a text: runs of letters, and single characters of scripts that do not separate words.
fn units(text: &str) -> usize {
    let mut units = 0;
    let mut inside = false;
    for letter in text.chars() {
        let alone = matches!(letter as u32, 0x2e80..=0x9fff | 0xac00..=0xd7af | 0xf900..=0xfaff);
        let word = letter.is_alphanumeric() && !alone;
        units += usize::from(alone || (word && !inside));
        inside = word;
    }
    units
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str, text: &str) -> (bool, f64) {
        let reading = Structure::compile(&serde_json::from_str(json).unwrap())
            .unwrap()
            .read(text);
        (reading.matched, reading.value)
    }

    #[test]
    fn patterns_are_counted() {
        let questions = r#"{"name":"q","feature":{"type":"count","source":{"type":"regex","pattern":"\\?"}},"predicate":{"gte":2}}"#;
        assert_eq!(read(questions, "why? how?"), (true, 2.0));
        assert_eq!(read(questions, "why?"), (false, 1.0));
        let steps = r#"{"name":"s","feature":{"type":"sequence","source":{"type":"sequence","sequences":[["first","then"]]}}}"#;
        assert!(read(steps, "First wash, then dry").0);
        assert!(!read(steps, "then wash, first dry").0);
        let dense = r#"{"name":"d","feature":{"type":"density","source":{"type":"keyword_set","keywords":["must"]}},"predicate":{"gt":0.2}}"#;
        assert_eq!(read(dense, "must be must"), (true, 2.0 / 3.0));
        let long =
            r#"{"name":"l","feature":{"type":"count","source":{"type":"text_bytes"}},"predicate":{"gt":5}}"#;
        assert_eq!(read(long, "äää"), (true, 6.0));
    }

    #[test]
    fn units_are_words_or_characters() {
        assert_eq!(units("two words"), 2);
        assert_eq!(units("日本 語x"), 4);
    }
}

//! Labelled prompts, line by line.

use std::collections::{BTreeSet, HashMap};
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

use flate2::read::MultiGzDecoder;
use serde::Deserialize;
use serde_json::Value;

/// Bytes of a line, at most.
const MAX_LINE: u64 = 16 << 20;
/// Lines, at most.
const MAX_LINES: usize = 2_000_000;
/// Labels that say that nothing holds.
const NOTHING: [&str; 6] = ["benign", "safe", "none", "no", "false", "0"];

/// A labelled prompt.
#[derive(Debug, Deserialize)]
pub(super) struct Row {
    #[serde(skip)]
    pub(super) line: usize,
    #[serde(alias = "prompt", alias = "question")]
    pub(super) text: String,
    head: Option<String>,
    label: Option<Value>,
    /// In bytes once it was read.
    pub(super) spans: Option<Vec<Labelled>>,
    #[serde(default)]
    pub(super) decision: Option<String>,
    /// Heads by name, among what else there is.
    #[serde(flatten)]
    others: HashMap<String, Value>,
}

/// A stretch that is personal data.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(super) struct Labelled {
    pub(super) start: usize,
    pub(super) end: usize,
    #[serde(rename = "type", alias = "kind", alias = "label", alias = "entity_type")]
    pub(super) kind: String,
}

/// Whether a label says that nothing holds.
pub(super) fn is_nothing(label: &str) -> bool {
    NOTHING.contains(&label.to_ascii_lowercase().as_str())
}

fn told(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Bool(_) | Value::Number(_) => Some(value.to_string()),
        _ => None,
    }
}

impl Row {
    /// Its label for a head, where it has one; `labelled` is the head that `label` is about.
    pub(super) fn label_of(&self, head: &str, labelled: Option<&str>) -> Option<String> {
        let about = self.head.as_deref().or(labelled);
        let own = self.label.as_ref().filter(|_| about == Some(head)).and_then(told);
        own.or_else(|| self.others.get(head).and_then(told))
    }

    /// Places in characters become places in bytes.
    fn in_bytes(&mut self) -> Result<(), String> {
        let Some(spans) = &mut self.spans else {
            return Ok(());
        };
        let places: Vec<usize> = self.text.char_indices().map(|(place, _)| place).collect();
        let whole = self.text.len();
        let place = |character: usize| {
            places
                .get(character)
                .copied()
                .or((character == places.len()).then_some(whole))
        };
        for span in spans {
            match (place(span.start), place(span.end)) {
                (Some(start), Some(end)) if start < end => (span.start, span.end) = (start, end),
                _ => {
                    return Err(format!(
                        "a span from {} to {} is not in the text",
                        span.start, span.end
                    ));
                }
            }
        }
        Ok(())
    }
}

/// Reads all lines.
///
/// # Errors
///
/// If the file can't be read, or a line is no labelled prompt.
pub(super) fn read(path: &Path) -> Result<Vec<Row>, String> {
    let file = File::open(path).map_err(|error| error.to_string())?;
    let zipped = path.extension().is_some_and(|extension| extension == "gz");
    let mut reader: BufReader<Box<dyn Read>> = BufReader::new(match zipped {
        true => Box::new(MultiGzDecoder::new(file)),
        false => Box::new(file),
    });
    let mut rows = Vec::new();
    let mut line = String::new();
    for number in 1.. {
        line.clear();
        let count = (&mut reader)
            .take(MAX_LINE)
            .read_line(&mut line)
            .map_err(|error| format!("line {number}: {error}"))?;
        if count == 0 {
            break;
        }
        if count as u64 == MAX_LINE || rows.len() == MAX_LINES {
            return Err(format!("line {number}: more than is read"));
        }
        if line.trim().is_empty() {
            continue;
        }
        let bad = |problem: String| format!("line {number}: {problem}");
        let mut row: Row = serde_json::from_str(&line).map_err(|error| bad(error.to_string()))?;
        row.line = number;
        row.in_bytes().map_err(bad)?;
        rows.push(row);
    }
    if rows.is_empty() {
        return Err("it has no lines".to_owned());
    }
    Ok(rows)
}

/// The head that `label` is about: the one that is named, or the only one that knows all labels of the file.
///
/// # Errors
///
/// If there is no such head, or there are several.
pub(super) fn head_of_labels(
    rows: &[Row],
    named: Option<&str>,
    heads: &[(&str, &[String])],
) -> Result<Option<String>, String> {
    let known = || heads.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ");
    let exists = |name: &str| heads.iter().any(|(head, _)| *head == name);
    if let Some(name) = named {
        return match exists(name) {
            true => Ok(Some(name.to_owned())),
            false => Err(format!("there is no head {name:?}; there are {}", known())),
        };
    }
    let labels: BTreeSet<String> = rows
        .iter()
        .filter(|row| row.head.is_none())
        .filter_map(|row| row.label.as_ref().and_then(told))
        .collect();
    if labels.is_empty() {
        return Ok(None);
    }
    let fits = |own: &[String]| {
        labels
            .iter()
            .all(|label| own.contains(label) || is_nothing(label) || label == "true" || label == "1")
    };
    let mut fitting = heads.iter().filter(|(_, own)| fits(own));
    match (fitting.next(), fitting.next()) {
        (Some((name, _)), None) => Ok(Some((*name).to_owned())),
        _ => Err(format!(
            "say with --head what the labels are about; there are {}",
            known()
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(json: &str) -> Row {
        let mut row: Row = serde_json::from_str(json).unwrap();
        row.in_bytes().unwrap();
        row
    }

    #[test]
    fn places_in_characters_become_bytes() {
        let row = row(
            r#"{"text":"Zoë has é","spans":[{"start":0,"end":3,"type":"PERSON"},{"start":8,"end":9,"type":"X"}]}"#,
        );
        let spans = row.spans.unwrap();
        assert_eq!(&row.text[spans[0].start..spans[0].end], "Zoë");
        assert_eq!(&row.text[spans[1].start..spans[1].end], "é");
        let mut wrong: Row =
            serde_json::from_str(r#"{"text":"a","spans":[{"start":0,"end":9,"type":"X"}]}"#).unwrap();
        assert!(wrong.in_bytes().is_err());
    }

    #[test]
    fn the_head_of_labels_is_the_one_that_knows_them() {
        let domain = ["math".to_owned(), "law".to_owned()];
        let attack = ["attack".to_owned(), "injection".to_owned()];
        let heads: [(&str, &[String]); 2] = [("domain", &domain), ("jailbreak", &attack)];
        let rows = [
            row(r#"{"text":"a","label":"injection"}"#),
            row(r#"{"text":"b","label":"benign"}"#),
        ];
        assert_eq!(
            head_of_labels(&rows, None, &heads).unwrap().as_deref(),
            Some("jailbreak")
        );
        let rows = [row(r#"{"text":"a","label":"chess"}"#)];
        assert!(head_of_labels(&rows, None, &heads).is_err());
        assert!(head_of_labels(&rows, Some("nothing"), &heads).is_err());
        let rows = [row(r#"{"prompt":"a","domain":"math"}"#)];
        assert_eq!(head_of_labels(&rows, None, &heads).unwrap(), None);
        assert_eq!(rows[0].label_of("domain", None).as_deref(), Some("math"));
    }
}

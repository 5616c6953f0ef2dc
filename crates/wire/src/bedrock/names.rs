//! Names and ids that Bedrock limits to a few letters.

use std::collections::BTreeSet;

use crate::form::Text;

/// Most letters of a tool's name and of the id of a call.
const MAX_ID: usize = 64;
/// Most letters of a document's name.
const MAX_NAME: usize = 200;

/// Whether a tool may have this name, or a call this id.
#[must_use]
pub fn is_fit(name: &str) -> bool {
    (1..=MAX_ID).contains(&name.len()) && name.bytes().all(is_plain)
}

fn is_plain(letter: u8) -> bool {
    letter.is_ascii_alphanumeric() || matches!(letter, b'_' | b'-')
}

/// The id of a call as Bedrock takes it. The same id becomes the same one wherever it stands, and two that differ stay
/// different: what was cut off lives on in a checksum.
#[must_use]
pub fn call_id(id: &Text) -> Text {
    if is_fit(id) {
        return id.clone();
    }
    let plain: String = id
        .bytes()
        .map(|letter| if is_plain(letter) { char::from(letter) } else { '_' })
        .take(MAX_ID - 17)
        .collect();
    format!("{plain}-{:016x}", crate::hash::fnv1a(id.bytes())).into()
}

/// Names of the documents of one request: letters Bedrock takes, each name once.
#[derive(Debug, Default)]
pub struct DocumentNames {
    given: BTreeSet<String>,
}

impl DocumentNames {
    /// The name of a document called `title`; its ending goes, where it only repeats the format.
    pub fn name(&mut self, title: Option<&str>, format: &str) -> String {
        let title = title.unwrap_or("document");
        let stem = title
            .rsplit_once('.')
            .filter(|(_, ending)| ending.eq_ignore_ascii_case(format))
            .map_or(title, |(stem, _)| stem);
        let mut name = String::with_capacity(stem.len());
        for letter in stem.chars() {
            let letter = match letter {
                letter if letter.is_ascii_alphanumeric() => letter,
                '-' | '(' | ')' | '[' | ']' => letter,
                letter if letter.is_whitespace() => ' ',
                _ => '-',
            };
            if !(letter == ' ' && name.ends_with(' ')) {
                name.push(letter);
            }
        }
        name.truncate(MAX_NAME - 8);
        let name = match name.trim() {
            "" => "document",
            name => name,
        };
        let mut unique = name.to_owned();
        let mut number = 1;
        while !self.given.insert(unique.clone()) {
            number += 1;
            unique = format!("{name} ({number})");
        }
        unique
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_of_other_providers_become_stable_ones() {
        for fit in ["call_1", "toolu_01A-b", &"x".repeat(64)] {
            assert_eq!(call_id(&fit.into()), fit);
        }
        let mut seen = BTreeSet::new();
        for foreign in [
            "",
            "functions.weather:0",
            "functions.weather:1",
            &"x".repeat(65),
            &"x".repeat(66),
            "ö",
        ] {
            let id = call_id(&foreign.into());
            assert!(is_fit(&id), "{id}");
            assert_eq!(id, call_id(&foreign.into()));
            assert!(seen.insert(id), "{foreign}");
        }
    }

    #[test]
    fn documents_get_names_that_are_taken() {
        let mut names = DocumentNames::default();
        assert_eq!(names.name(Some("Q3 report_final.pdf"), "pdf"), "Q3 report-final");
        assert_eq!(names.name(Some("Q3  report.final"), "pdf"), "Q3 report-final (2)");
        assert_eq!(names.name(None, "txt"), "document");
        assert_eq!(names.name(Some(" "), "txt"), "document (2)");
        assert!(names.name(Some(&"a".repeat(999)), "txt").len() <= MAX_NAME);
    }
}

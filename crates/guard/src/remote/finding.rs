//! What a service finds in a text.

use std::ops::Range;

/// What a service finds in a text. Holds parts of the text: nothing of it is told but kinds.
#[derive(Default, Clone, PartialEq, Eq)]
pub(crate) struct Finding {
    /// Places, by kind: in order, and none within another.
    pub(crate) spans: Vec<Span>,
    /// The text as the service would have it, where it names no places.
    pub(crate) rewritten: Option<String>,
    /// Why the text as a whole must not pass; words of ours, with nothing of the text or the service's in them.
    pub(crate) whole: Option<String>,
}

impl std::fmt::Debug for Finding {
    /// Tells no text.
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Finding")
            .field("spans", &self.spans)
            .field("rewritten", &self.rewritten.is_some())
            .field("whole", &self.whole)
            .finish()
    }
}

/// A place in a text, in bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Span {
    /// What it is: letters, digits and underscores.
    pub(crate) kind: String,
    pub(crate) start: usize,
    pub(crate) end: usize,
}

/// The service's answer is not what its description says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Unreadable(pub(crate) &'static str);

/// Most letters of a kind that a service names.
const LONGEST_KIND: usize = 40;

impl Finding {
    /// Nothing.
    pub(crate) fn is_clean(&self) -> bool {
        self.spans.is_empty() && self.rewritten.is_none() && self.whole.is_none()
    }

    /// These places: put in order, and of two that overlap the longer one, widened by nothing.
    pub(crate) fn of_spans(mut spans: Vec<Span>) -> Self {
        spans.sort_by_key(|span| (span.start, std::cmp::Reverse(span.end)));
        let mut kept: Vec<Span> = Vec::with_capacity(spans.len());
        for span in spans {
            match kept.last_mut() {
                // What overlaps is replaced as one: no part of either may be left.
                Some(last) if span.start < last.end => last.end = last.end.max(span.end),
                _ => kept.push(span),
            }
        }
        Self {
            spans: kept,
            ..Self::default()
        }
    }

    /// Why it acts; none where it found nothing.
    pub(crate) fn reason(&self) -> Option<String> {
        if let Some(whole) = &self.whole {
            return Some(whole.clone());
        }
        if !self.spans.is_empty() {
            let kinds: std::collections::BTreeSet<&str> =
                self.spans.iter().map(|span| span.kind.as_str()).collect();
            let kinds: Vec<&str> = kinds.into_iter().collect();
            return Some(format!("it occurs: {}", kinds.join(", ")));
        }
        self.rewritten
            .is_some()
            .then(|| "the service would have it changed".to_owned())
    }
}

/// A service's name for something, as a kind of ours: capital letters, digits, underscores.
pub(crate) fn kind(name: &str) -> String {
    let kept: String = name
        .chars()
        .take(LONGEST_KIND)
        .map(|letter| {
            if letter.is_ascii_alphanumeric() {
                letter.to_ascii_uppercase()
            } else {
                '_'
            }
        })
        .collect();
    let kept = kept.trim_matches('_');
    if kept.is_empty() {
        "ENTITY".to_owned()
    } else {
        kept.to_owned()
    }
}

/// Names that a service gives its findings, for people: a few, and only letters that names have.
pub(crate) fn names<'a>(all: impl IntoIterator<Item = &'a str>) -> String {
    const MOST: usize = 8;
    let mut told: Vec<String> = Vec::new();
    for name in all {
        let name: String = name
            .chars()
            .filter(|letter| letter.is_ascii_alphanumeric() || "-_/. ".contains(*letter))
            .take(LONGEST_KIND)
            .collect();
        if !name.is_empty() && !told.contains(&name) && told.len() < MOST {
            told.push(name);
        }
    }
    told.join(", ")
}

/// A range of letters (Unicode code points), in bytes; none where the text is shorter.
pub(crate) fn bytes_of(text: &str, letters: Range<usize>) -> Option<Range<usize>> {
    if letters.start > letters.end {
        return None;
    }
    let mut at = text.char_indices().map(|(at, _)| at).chain([text.len()]);
    let start = at.nth(letters.start)?;
    if letters.start == letters.end {
        return Some(start..start);
    }
    let end = at.nth(letters.end - letters.start - 1)?;
    Some(start..end)
}

/// Every place where `value` stands in a text.
pub(crate) fn places(text: &str, value: &str, kind: &str, spans: &mut Vec<Span>) {
    if value.is_empty() {
        return;
    }
    spans.extend(text.match_indices(value).map(|(start, found)| Span {
        kind: kind.to_owned(),
        start,
        end: start + found.len(),
    }));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(kind: &str, start: usize, end: usize) -> Span {
        Span {
            kind: kind.to_owned(),
            start,
            end,
        }
    }

    #[test]
    fn places_that_overlap_are_one_and_lose_no_end() {
        let all = vec![
            span("B", 4, 9),
            span("A", 0, 5),
            span("C", 9, 12),
            span("A", 0, 3),
        ];
        assert_eq!(Finding::of_spans(all).spans, [span("A", 0, 9), span("C", 9, 12)]);
    }

    #[test]
    fn letters_are_counted_not_bytes() {
        let text = "né 🙂 x";
        assert_eq!(bytes_of(text, 3..4), Some(4..8));
        assert_eq!(bytes_of(text, 0..6), Some(0..text.len()));
        assert_eq!(bytes_of(text, 2..2), Some(3..3));
        assert_eq!(bytes_of(text, 0..7), None);
        #[allow(clippy::reversed_empty_ranges, reason = "a service may say anything")]
        let reversed = bytes_of(text, 3..2);
        assert_eq!(reversed, None);
    }

    #[test]
    fn what_a_service_calls_things_is_told_in_plain_letters() {
        assert_eq!(kind("pii/credit card"), "PII_CREDIT_CARD");
        assert_eq!(kind("]["), "ENTITY");
        assert_eq!(names(["a\nb", "a\u{202e}b", "Hate"]), "ab, Hate");
    }
}

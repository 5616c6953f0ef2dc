//! What clients are told of parts that nothing supports: headers, words in the answer, a field of a stream.

use http::HeaderName;
use pointsman_routing::Warning;
use pointsman_wire::form::{ChatResponse, PartKind};
use serde_json::{Value, json};

use super::{Check, Code, Finding, Ticket, What};

/// What the answer needs to be read with, by codes.
pub const WARNINGS: HeaderName = HeaderName::from_static("x-pointsman-warnings");
/// Which parts nothing supports.
pub const SPANS: HeaderName = HeaderName::from_static("x-pointsman-unsupported");
/// Bytes of the header that says which parts.
const MOST_HEADER: usize = 1_024;
/// Parts that words in the answer repeat.
const MOST_QUOTED: usize = 5;
/// Characters of a part that are repeated.
const MOST_QUOTE: usize = 120;

impl Check {
    /// Puts what was found among the headers.
    pub(super) fn head(&self, found: &[Finding], ticket: &mut Ticket) {
        ticket.facts.warnings.push(Code::Hallucination.name());
        if self.settings.details {
            ticket.facts.unsupported = Some(self.listed(found));
        }
    }

    /// `choice:start-end;confidence;standing`, part by part.
    fn listed(&self, found: &[Finding]) -> String {
        let mut told = String::new();
        for finding in found {
            for span in &finding.spans {
                let one = format!(
                    "{}:{}-{};{:.2};{}",
                    finding.choice,
                    span.start,
                    span.end,
                    span.confidence,
                    self.standing(span)
                );
                if told.len() + one.len() + 2 > MOST_HEADER {
                    return told;
                }
                if !told.is_empty() {
                    told.push_str(", ");
                }
                told.push_str(&one);
            }
        }
        told
    }

    /// Puts words before the texts of choices that need them; true when there was one.
    pub(super) fn put_before(&self, found: &[Finding], response: &mut ChatResponse) -> bool {
        let mut changed = false;
        for choice in &mut response.choices {
            let finding = found.iter().find(|finding| finding.choice == choice.index);
            let says = choice
                .parts
                .iter()
                .position(|part| matches!(part.kind, PartKind::Text(_)));
            if let (Some(words), Some(at)) = (self.words(finding), says)
                && let PartKind::Text(text) = &mut choice.parts[at].kind
            {
                text.text = format!("{words}\n\n{}", text.text).into();
                changed = true;
            }
        }
        changed
    }

    /// Words of warning; none where none are wanted.
    pub(super) fn words(&self, finding: Option<&Finding>) -> Option<String> {
        if matches!(self.given, What::Unverified) && self.settings.unverified == Warning::Body {
            return Some(UNVERIFIED.to_owned());
        }
        let finding = finding.filter(|_| self.settings.found == Warning::Body)?;
        let mut words = FOUND.to_owned();
        if self.settings.details {
            for span in finding.spans.iter().take(MOST_QUOTED) {
                let quote: String = span.text.chars().take(MOST_QUOTE).collect();
                let cut = if quote.len() < span.text.len() { "…" } else { "" };
                let why = match self.standing(span) {
                    "contradiction" => "the sources say something else",
                    _ => "not in the sources",
                };
                words.push_str(&format!("\n- \"{quote}{cut}\" ({why})"));
            }
            if finding.spans.len() > MOST_QUOTED {
                words.push_str(&format!("\n- and {} more", finding.spans.len() - MOST_QUOTED));
            }
        }
        Some(words)
    }

    /// What a stream of OpenAI's chat completions is told before its end.
    pub(super) fn field(&self, found: &[Finding]) -> Value {
        let spans = |finding: &Finding| -> Vec<Value> {
            let each = finding.spans.iter().filter(|_| self.settings.details);
            each.map(|span| {
                json!({
                    "choice": finding.choice, "start": span.start, "end": span.end,
                    "confidence": (f64::from(span.confidence) * 1_000.0).round() / 1_000.0,
                    "standing": self.standing(span),
                })
            })
            .collect()
        };
        json!({
            "warnings": [Code::Hallucination.name()],
            "unsupported": found.iter().flat_map(spans).collect::<Vec<_>>(),
        })
    }
}

const FOUND: &str =
    "[Warning: parts of this answer are not supported by the sources it was given. Please check them.]";
const UNVERIFIED: &str =
    "[Warning: this answer states facts, and no sources were given that it could be checked against.]";

//! What each service is asked and what its answers mean, case by case from the files in `tests/services`.

use proptest::prelude::*;
use serde::Deserialize;
use serde_json::Value;

use super::service::{Service, Shown};
use super::{Finding, service_of};
use crate::config::{GuardrailConfig, Stage};
use crate::texts::Sort;

/// A question about texts, and answers to it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    config: Value,
    #[serde(default)]
    number: usize,
    stage: Stage,
    #[serde(default)]
    model: bool,
    texts: Vec<String>,
    path: String,
    body: Value,
    answers: Vec<Told>,
}

/// An answer, and what it means for each text; none where it means nothing.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Told {
    answer: Value,
    findings: Option<Vec<Expected>>,
}

#[derive(Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Expected {
    /// Kind and words.
    spans: Vec<(String, String)>,
    rewritten: Option<String>,
    whole: Option<String>,
}

fn expected(finding: &Finding, text: &str) -> Expected {
    let spans = finding.spans.iter();
    Expected {
        spans: spans
            .map(|span| (span.kind.clone(), text[span.start..span.end].to_owned()))
            .collect(),
        rewritten: finding.rewritten.clone(),
        whole: finding.whole.clone(),
    }
}

fn shown(case: &Case) -> Vec<Shown<'_>> {
    let each = case.texts.iter();
    each.map(|text| Shown {
        text,
        sort: if case.model { Sort::Model } else { Sort::Foreign },
        stage: case.stage,
    })
    .collect()
}

fn check(service: &dyn Service, case: &Case, at: &str) {
    let shown = shown(case);
    let question = service.ask(case.number, &shown);
    assert_eq!(question.path, case.path, "{at}");
    assert_eq!(question.body, case.body, "{at}");
    for told in &case.answers {
        let answer = told.answer.to_string();
        let read = service.read(case.number, &shown, answer.as_bytes()).ok();
        let read: Option<Vec<Expected>> = read.map(|findings| {
            let each = findings.iter().zip(&case.texts);
            each.map(|(finding, text)| expected(finding, text)).collect()
        });
        assert_eq!(read, told.findings, "{at}: {answer}");
    }
}

#[test]
fn services_are_asked_and_understood_as_their_descriptions_say() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/services");
    let mut files = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let text = std::fs::read_to_string(&path).unwrap();
        let cases: Vec<Case> =
            serde_json::from_str(&text).unwrap_or_else(|error| panic!("{path:?}: {error}"));
        files += 1;
        for (number, case) in cases.iter().enumerate() {
            let at = format!("{} {number}", path.display());
            let config: GuardrailConfig =
                serde_json::from_value(case.config.clone()).unwrap_or_else(|error| panic!("{at}: {error}"));
            check(service_of(&config).unwrap().as_ref(), case, &at);
        }
    }
    assert_eq!(files, 10, "one file for each service");
}

#[test]
fn answers_that_are_none_are_no_verdict() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/services");
    for entry in std::fs::read_dir(folder).unwrap() {
        let text = std::fs::read_to_string(entry.unwrap().path()).unwrap();
        let cases: Vec<Case> = serde_json::from_str(&text).unwrap();
        for case in &cases {
            let config: GuardrailConfig = serde_json::from_value(case.config.clone()).unwrap();
            let service = service_of(&config).unwrap();
            for answer in [
                "",
                "null",
                "{}",
                "\"ok\"",
                "[[]]",
                "{\"error\": \"x\"}",
                "[1]",
                "<html>",
            ] {
                let read = service.read(case.number, &shown(case), answer.as_bytes());
                assert!(read.is_err(), "{} says {answer:?}: {read:?}", case.config);
            }
        }
    }
}

/// All cases, each with its service.
fn all() -> &'static [(Case, Box<dyn Service>)] {
    static ALL: std::sync::OnceLock<Vec<(Case, Box<dyn Service>)>> = std::sync::OnceLock::new();
    ALL.get_or_init(|| {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/services");
        let files = std::fs::read_dir(folder).unwrap();
        let cases = files.flat_map(|entry| {
            let text = std::fs::read_to_string(entry.unwrap().path()).unwrap();
            serde_json::from_str::<Vec<Case>>(&text).unwrap()
        });
        let with_service = |case: Case| {
            let config: GuardrailConfig = serde_json::from_value(case.config.clone()).unwrap();
            (case, service_of(&config).unwrap())
        };
        cases.map(with_service).collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    /// Whatever a service answers, what is taken from it lies in the text, in order, on borders of letters.
    #[test]
    fn no_answer_leads_out_of_the_text(
        which in any::<prop::sample::Index>(),
        answer in any::<prop::sample::Index>(),
        edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..8),
        digits in "[0-9]{1,20}",
    ) {
        let (case, service) = which.get(all());
        let mut bytes = answer.get(&case.answers).answer.to_string().into_bytes();
        for (at, byte) in edits {
            let at = at.index(bytes.len());
            // Numbers are where places come from.
            if bytes[at].is_ascii_digit() {
                drop(bytes.splice(at..=at, digits.bytes()));
            } else {
                bytes[at] = byte;
            }
        }
        if let Ok(findings) = service.read(case.number, &shown(case), &bytes) {
            prop_assert_eq!(findings.len(), case.texts.len());
            for (finding, text) in findings.iter().zip(&case.texts) {
                let mut end = 0;
                for span in &finding.spans {
                    prop_assert!(span.start >= end && span.start < span.end);
                    prop_assert!(text.get(span.start..span.end).is_some());
                    prop_assert!(span.kind.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_'));
                    end = span.end;
                }
            }
        }
    }
}

//! Recognisers over written examples and over whatever text there may be.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test says what it expects by failing"
)]

use std::fmt::Write as _;

use pointsman_guard::recognise::{RecogniserError, Recognisers, read, shipped};
use proptest::prelude::*;

fn all() -> &'static Recognisers {
    static ALL: std::sync::OnceLock<Recognisers> = std::sync::OnceLock::new();
    ALL.get_or_init(|| Recognisers::compile(shipped().unwrap()).unwrap())
}

/// The text with what is found of an entity in brackets.
fn bracketed(text: &str, entity: &str) -> String {
    let mut out = String::new();
    let mut from = 0;
    for one in all().find(text, 0.5) {
        if all().definition(&one).entity == entity {
            write!(out, "{}[[{}]]", &text[from..one.start], &text[one.start..one.end]).unwrap();
            from = one.end;
        }
    }
    out + &text[from..]
}

#[test]
fn examples_are_found_and_near_misses_are_not() {
    let mut wrong = Vec::new();
    for line in include_str!("recognised.txt")
        .lines()
        .filter(|line| !line.starts_with('#'))
    {
        let (entity, text) = line.split_once(" | ").unwrap();
        let found = bracketed(&text.replace("[[", "").replace("]]", ""), entity);
        if found != text {
            wrong.push(format!("{entity}: wanted {text}\n      found {found}"));
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn every_named_country_and_issuer_is_there() {
    let all = shipped().unwrap();
    let checked: std::collections::BTreeSet<_> = all
        .iter()
        .filter(|one| one.entity == "NATIONAL_ID" && one.has_checks())
        .filter_map(|one| one.region.clone())
        .collect();
    assert!(checked.len() >= 25, "{checked:?}");
    let issuers: std::collections::BTreeSet<_> = all.iter().filter_map(|one| one.issuer.clone()).collect();
    assert!(issuers.len() >= 60, "{issuers:?}");
}

/// A text for a pattern: what `regex_syntax` says it is made of, always the first and the least.
fn least(hir: &regex_syntax::hir::Hir) -> String {
    use regex_syntax::hir::{Class, HirKind};
    match hir.kind() {
        HirKind::Empty | HirKind::Look(_) => String::new(),
        HirKind::Literal(literal) => String::from_utf8(literal.0.to_vec()).unwrap(),
        HirKind::Class(Class::Unicode(class)) => {
            let ranges = class.ranges();
            // Letters and digits in turn, so that it looks drawn.
            let liked = ranges.iter().find(|range| range.start().is_ascii_alphanumeric());
            liked.or(ranges.first()).unwrap().start().to_string()
        }
        HirKind::Class(Class::Bytes(class)) => char::from(class.ranges()[0].start()).to_string(),
        HirKind::Repetition(repeated) => least(&repeated.sub).repeat(repeated.min as usize),
        HirKind::Capture(capture) => least(&capture.sub),
        HirKind::Concat(parts) => parts.iter().map(least).collect(),
        HirKind::Alternation(parts) => least(&parts[0]),
    }
}

#[test]
fn a_credential_of_every_issuer_is_found() {
    let mut missed = Vec::new();
    for one in shipped()
        .unwrap()
        .iter()
        .filter(|one| one.issuer.is_some() && !one.has_checks())
    {
        let mut token = least(&regex_syntax::parse(&one.pattern).unwrap());
        if token.contains("sig=") {
            token = token.replace("sig=", "x&sig=");
        }
        let word = one.words().first().cloned().unwrap_or_default();
        let text = format!("{word} {token} ");
        let at = text.find(&token).unwrap();
        let found = all().find(&text, 0.5);
        let hit = found.iter().any(|hit| {
            all().definition(hit).entity == "CREDENTIAL" && hit.start < at + token.len() && at < hit.end
        });
        if !hit {
            missed.push(format!("{}: {text:?}", one.name));
        }
    }
    assert!(missed.is_empty(), "{missed:#?}");
}

#[test]
fn a_bad_file_is_refused_by_name() {
    assert!(matches!(read("{}"), Err(RecogniserError::File(_))));
    let one = r#"{"name": "a", "entity": "X", "pattern": "("}"#;
    let error = Recognisers::compile(read(&format!("[{one}]")).unwrap()).unwrap_err();
    assert!(error.to_string().contains("\"a\""), "{error}");
    let good = r#"{"name": "a", "entity": "X", "pattern": "b"}"#;
    let twice = Recognisers::compile(read(&format!("[{good},{good}]")).unwrap());
    assert!(matches!(twice, Err(RecogniserError::Twice(_))));
    assert!(read(r#"[{"name": "a", "entity": "X", "pattern": "b", "chekcs": []}]"#).is_err());
    assert!(read(r#"[{"name": "a", "entity": "X", "pattern": "b", "checks": ["lunh"]}]"#).is_err());
}

proptest! {
    #[test]
    fn finds_lie_in_the_text_in_order_and_apart(text in "(?s).{0,200}", pieces in prop::collection::vec(
        prop_oneof![Just("DE89 3704 0044 0532 0130 00"), Just("é1"), Just("名"), Just("+49 30 901820"), Just("-"), Just("4111111111111111")], 0..8)) {
        let text = pieces.iter().fold(text, |text, piece| text + piece);
        let mut end = 0;
        for one in all().find(&text, 0.0) {
            prop_assert!(one.start >= end && one.start < one.end);
            prop_assert!(text.is_char_boundary(one.start) && text.is_char_boundary(one.end));
            end = one.end;
        }
    }
}

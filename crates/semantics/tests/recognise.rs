//! Recognisers over written examples and over whatever text there may be.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test says what it expects by failing"
)]

use std::fmt::Write as _;

use pointsman_semantics::recognise::{RecogniserError, Recognisers, read, shipped};
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

mod flowing {
    use std::sync::{Arc, OnceLock};

    use pointsman_semantics::recognise::flow::{Flow, Flowing, Piece, WINDOW};

    use super::*;

    fn flowing() -> Arc<Flowing> {
        static FLOWING: OnceLock<Arc<Flowing>> = OnceLock::new();
        let new =
            || Arc::new(Flowing::new(Arc::new(Recognisers::compile(shipped().unwrap()).unwrap())).unwrap());
        Arc::clone(FLOWING.get_or_init(new))
    }

    /// The text in these pieces with what is found in brackets, and the most that was held back.
    fn streamed(pieces: &[&str]) -> (String, usize) {
        let mut flow = Flow::new(flowing(), 0.5);
        let (mut out, mut held) = (String::new(), 0);
        let mut each = |piece: Piece<'_>| match piece {
            Piece::Plain(text) => out.push_str(text),
            Piece::Found(text, of) => {
                write!(out, "[[{of}:{text}]]").unwrap();
            }
        };
        for piece in pieces {
            flow.push(piece, &mut each);
            held = held.max(flow.held());
        }
        flow.finish(&mut each);
        (out, held)
    }

    fn whole(text: &str) -> String {
        let (mut out, mut from) = (String::new(), 0);
        for one in flowing().recognisers().find(text, 0.5) {
            write!(
                out,
                "{}[[{}:{}]]",
                &text[from..one.start],
                one.recogniser,
                &text[one.start..one.end]
            )
            .unwrap();
            from = one.end;
        }
        out + &text[from..]
    }

    /// Where the last of `pieces` holds.
    fn cut<'t>(text: &'t str, cuts: &[usize]) -> Vec<&'t str> {
        let mut cuts: Vec<usize> = cuts
            .iter()
            .map(|cut| cut % (text.len() + 1))
            .filter(|at| text.is_char_boundary(*at))
            .collect();
        cuts.sort_unstable();
        cuts.push(text.len());
        let mut from = 0;
        cuts.into_iter()
            .map(|to| &text[std::mem::replace(&mut from, to)..to])
            .collect()
    }

    const PIECES: &[&str] = &[
        "DE89 3704 0044 0532 0130 00",
        "jane@example.com",
        "4111 1111 1111 1111",
        "the password is hunter22!",
        "my ",
        "12",
        "-",
        "3.",
        " ",
        "Passwort: ",
        "é",
        "名前",
        "AKIAIOSFODNN7EXAMPLE",
        "ssn 078-05-1120",
        "on 12 May 2024, ",
        "x@y",
        "+49 30 901820",
        "192.168.0.1",
        "https://example.com/a?b=c",
        "token ",
        "aB3aB3aB3aB3aB3aB3aB3aB3aB3",
        "\n",
        "IBAN",
    ];

    #[test]
    fn what_is_recognised_does_not_depend_on_the_pieces() {
        for line in include_str!("recognised.txt")
            .lines()
            .filter(|line| !line.starts_with('#'))
        {
            let text = line
                .split_once(" | ")
                .unwrap()
                .1
                .replace("[[", "")
                .replace("]]", "");
            let letters: Vec<&str> = text.split_inclusive(|_| true).collect();
            assert_eq!(streamed(&letters).0, whole(&text));
        }
    }

    #[test]
    fn prose_goes_on_word_by_word() {
        let prose =
            "It was the best of times, it was the worst of times, it was the age of wisdom. ".repeat(20);
        let pieces: Vec<&str> = prose.split_inclusive(' ').collect();
        let (out, held) = streamed(&pieces);
        assert_eq!(out, prose);
        assert!(held <= 48, "{held}");
    }

    #[test]
    fn a_private_key_is_held_and_what_never_ends_is_not() {
        let key = format!(
            "x -----BEGIN RSA PRIVATE KEY-----\n{}\n-----END RSA PRIVATE KEY----- y",
            "MIIEpAIBAAKCAQEA\n".repeat(150)
        );
        let pieces = cut(&key, &(0..key.len()).step_by(7).collect::<Vec<_>>());
        let (out, held) = streamed(&pieces);
        assert_eq!(out, whole(&key));
        assert!(
            held < WINDOW && out.starts_with("x [[") && out.ends_with("]] y"),
            "{held}"
        );
        let endless = "a".repeat(40_000);
        let pieces = cut(&endless, &(0..endless.len()).step_by(100).collect::<Vec<_>>());
        let (out, held) = streamed(&pieces);
        assert!(out == endless && held <= WINDOW + 356, "{held}");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]

        #[test]
        fn streamed_and_whole_agree(
            pieces in prop::collection::vec(prop_oneof![4 => prop::sample::select(PIECES).prop_map(str::to_owned), 1 => "(?s).{0,12}"], 0..14),
            cuts in prop::collection::vec(0_usize..100_000, 0..20)) {
            let text = pieces.concat();
            let (out, _) = streamed(&cut(&text, &cuts));
            prop_assert_eq!(&out, &streamed(&[&text]).0);
            prop_assert_eq!(out, whole(&text));
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(40))]

        #[test]
        fn long_texts_are_the_same_in_any_pieces(
            runs in prop::collection::vec((prop::sample::select(&["a", "aB3", "4 ", "[x", "=", "token aB3", "-----BEGIN PRIVATE KEY-----\nMIIEpAIBAAKCAQEA"][..]), 1_usize..1500), 1..5),
            cuts in prop::collection::vec(0_usize..100_000, 0..20)) {
            let text: String = runs.iter().map(|(run, count)| run.repeat((*count).min(9000 / run.len()))).collect();
            prop_assert_eq!(streamed(&cut(&text, &cuts)).0, streamed(&[&text]).0);
        }
    }
}

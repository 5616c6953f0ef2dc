//! The same question or not: pairs written for this test and never fitted on, by kind; texts of any kind and length.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test says what it expects by failing"
)]

use std::collections::BTreeMap;
use std::sync::LazyLock;
use std::time::Instant;

use pointsman_semantics::similar::{Conflict, LONGEST, Point, Verdict, Verifier};
use proptest::prelude::*;
use serde::Deserialize;

static VERIFIER: LazyLock<Verifier> = LazyLock::new(|| Verifier::shipped().unwrap());

fn verify(a: &str, b: &str) -> Verdict {
    let (a, b) = (VERIFIER.read(a), VERIFIER.read(b));
    VERIFIER.verify(&a, &b, None, Point::Precise)
}

fn conflict(a: &str, b: &str) -> Option<Conflict> {
    let (a, b) = (VERIFIER.read(a), VERIFIER.read(b));
    VERIFIER.compare(&a, &b).conflict
}

#[derive(Deserialize)]
struct Row {
    a: String,
    b: String,
    label: u8,
    kind: String,
    lang: String,
}

#[test]
fn what_surely_differs_is_named() {
    for (a, b, wanted) in [
        ("Divide 84 by 7", "Divide 84 by twelve", Conflict::Number),
        ("turn on dark mode", "don't turn on dark mode", Conflict::Negation),
        ("turn on dark mode", "turn off dark mode", Conflict::Opposite),
        (
            "the weather on Monday",
            "the weather on Sunday",
            Conflict::Opposite,
        ),
        (
            "flights from Rome to Oslo",
            "flights from Oslo to Rome",
            Conflict::Order,
        ),
        (
            "How much is 100 euros in won?",
            "100 won in euros?",
            Conflict::Order,
        ),
        (
            "Did Brutus kill Caesar?",
            "Did Caesar kill Brutus?",
            Conflict::Order,
        ),
        (
            "Did Rome attack Carthage?",
            "Was Rome attacked by Carthage?",
            Conflict::Order,
        ),
        ("explain fooBar in our code", "explain the code", Conflict::Code),
        (
            "what does \"go\" mean?",
            "what does \"set\" mean?",
            Conflict::Quote,
        ),
        (
            "What is the capital of the country?",
            "¿Cuál es la capital del país?",
            Conflict::Language,
        ),
        (
            "Wo ist der Zug von Köln nach Bremen?",
            "Wo ist der Zug von Bremen nach Köln?",
            Conflict::Order,
        ),
        (
            "서울에서 부산까지 얼마나 걸려?",
            "부산에서 서울까지 얼마나 걸려?",
            Conflict::Order,
        ),
        ("東京から京都まで", "京都から東京まで", Conflict::Order),
    ] {
        assert_eq!(conflict(a, b), Some(wanted), "{a} | {b}");
        assert_eq!(conflict(b, a), Some(wanted), "{b} | {a}");
    }
}

#[test]
fn what_only_looks_different_is_the_same() {
    for (a, b) in [
        (
            "How do I reset my password?",
            "hi, can you tell me how do I reset my password please",
        ),
        ("How do I reset my password?", "How do I reset my pasword?"),
        (
            "Recommend three books about Rome",
            "recommend 3 books about Rome!",
        ),
        (
            "What's the difference between TCP and UDP?",
            "What is the difference between UDP and TCP?",
        ),
        ("I'd like to cancel my order", "I would like to cancel my order"),
    ] {
        assert!(verify(a, b).is_same(), "{a} | {b}: {:?}", verify(a, b));
        assert!(verify(b, a).is_same(), "{b} | {a}: {:?}", verify(b, a));
    }
}

/// Pairs of our own, never fitted on: without the encoder. Floors lie under what was measured, so that
/// another list may move a row.
#[test]
fn own_pairs_by_kind() {
    let rows: Vec<Row> = include_str!("similar/pairs.jsonl")
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert!(rows.len() >= 300);
    let mut kinds: BTreeMap<(u8, &str), (usize, usize)> = BTreeMap::new();
    let mut totals = [(0, 0); 2];
    for row in &rows {
        let same = verify(&row.a, &row.b).is_same();
        let tally = kinds.entry((row.label, &row.kind)).or_default();
        tally.0 += usize::from(same);
        tally.1 += 1;
        let total = &mut totals[usize::from(row.label)];
        total.0 += usize::from(same);
        total.1 += 1;
        if same != (row.label == 1) {
            println!("{} {} {} | {} | {}", row.label, row.kind, row.lang, row.a, row.b);
        }
    }
    println!("{kinds:?} {totals:?}");
    let share = |(part, all): (usize, usize)| part as f64 / all as f64;
    assert!(share(totals[0]) <= 0.02, "near misses that pass: {:?}", totals[0]);
    assert!(
        share(totals[1]) >= 0.5,
        "true pairs that are kept: {:?}",
        totals[1]
    );
}

#[test]
fn time_is_linear_and_what_is_too_long_is_refused() {
    let time = |text: &str| {
        let start = Instant::now();
        let prompt = VERIFIER.read(text);
        let found = VERIFIER.compare(&prompt, &prompt);
        (start.elapsed(), found.conflict, prompt.bytes())
    };
    for unit in [
        "word ",
        "a",
        "'",
        "not ",
        "\u{301}",
        "5,",
        "\"",
        "日本",
        "가나 ",
        "-> ",
        "`x_y` ",
        "😀",
        "no, I mean ",
    ] {
        let (_, _, bytes) = time(&unit.repeat((4 << 20) / unit.len()));
        assert!(bytes < 4 << 20, "{unit:?} {bytes}");
    }
    let long = "every word is here ".repeat(LONGEST);
    assert_eq!(time(&long).1, Some(Conflict::Length));
    // Ten times the text takes about ten times as long; twenty-five leaves room for a busy machine.
    let text: String = (0..1_900).map(|number| format!("w{number} ")).collect();
    let part: String = (0..190).map(|number| format!("w{number} ")).collect();
    let least = |text: &str| (0..20).map(|_| time(text).0).min().unwrap();
    assert!(least(&text) < least(&part) * 25);
    assert_eq!(time(&text).1, None);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn any_two_texts_are_compared(a in "\\PC{0,60}", b in "\\PC{0,60}") {
        let (first, second) = (VERIFIER.read(&a), VERIFIER.read(&b));
        let found = VERIFIER.compare(&first, &second);
        prop_assert!(found.features.iter().all(|value| value.is_finite()));
    }

    #[test]
    fn a_text_is_the_same_as_itself(words in prop::collection::vec("[a-z]{2,9}", 2..12)) {
        let text = words.join(" ");
        prop_assert_eq!(conflict(&text, &text), None);
    }

    #[test]
    fn another_number_is_never_the_same(a in 2_u32..100_000, b in 2_u32..100_000) {
        prop_assume!(a != b);
        let (one, two) = (format!("convert {a} miles to km"), format!("convert {b} miles to km"));
        prop_assert_eq!(conflict(&one, &two), Some(Conflict::Number));
    }
}

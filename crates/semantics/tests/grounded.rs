//! What is reported of answers, on rows written by hand that nothing was fitted to, and what is not.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::cast_precision_loss,
    reason = "a test says what it expects by failing"
)]

use std::time::{Duration, Instant};

use pointsman_semantics::grounded::{Detector, FEATURES, Judged, Point, Standing};
use proptest::prelude::*;
use serde::Deserialize;

#[derive(Debug, Deserialize)]
struct Row {
    context: String,
    question: String,
    answer: String,
    spans: Vec<(usize, usize)>,
}

fn rows() -> Vec<Row> {
    let lines = include_str!("grounded/rows.jsonl").lines();
    lines.map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn judge(context: &str, question: &str, answer: &str, point: Point) -> Judged {
    let detector = Detector::shipped().unwrap();
    let context = detector.read([context]);
    let question = detector.read([question]);
    detector.judge(&context, &question, answer, point)
}

fn quotes<'a>(answer: &'a str, judged: &Judged) -> Vec<&'a str> {
    judged.spans.iter().map(|span| &answer[span.at.clone()]).collect()
}

/// Characters of spans, and answers.
#[derive(Debug, Default)]
struct Score {
    both: usize,
    told: usize,
    there: usize,
    alarms: usize,
    grounded: usize,
}

#[test]
fn rows_by_hand_are_judged_about_as_the_card_says() {
    let mut score = Score::default();
    let detector = Detector::shipped().unwrap();
    let (mut reading, mut judging) = (Duration::ZERO, Duration::ZERO);
    let rows = rows();
    for row in &rows {
        let begun = Instant::now();
        let (context, question) = (
            detector.read([row.context.as_str()]),
            detector.read([row.question.as_str()]),
        );
        reading += begun.elapsed();
        let begun = Instant::now();
        let judged = detector.judge(&context, &question, &row.answer, Point::ThreeInHundred);
        judging += begun.elapsed();
        let place = |at: usize| row.answer[..at].chars().count();
        let mine: Vec<(usize, usize)> = judged
            .spans
            .iter()
            .map(|span| (place(span.at.start), place(span.at.end)))
            .collect();
        let of = |spans: &[(usize, usize)], at: usize| spans.iter().any(|(a, b)| (*a..*b).contains(&at));
        for at in 0..row.answer.chars().count() {
            let (one, two) = (of(&mine, at), of(&row.spans, at));
            score.both += usize::from(one && two);
            score.told += usize::from(one);
            score.there += usize::from(two);
        }
        if row.spans.is_empty() {
            score.grounded += 1;
            if !mine.is_empty() {
                score.alarms += 1;
                println!("alarm: {:?} in {:?}", quotes(&row.answer, &judged), row.answer);
            }
        } else if !mine
            .iter()
            .any(|(a, b)| row.spans.iter().any(|(c, d)| a < d && c < b))
        {
            println!("missed: {:?}", row.answer);
        }
    }
    let (precision, recall) = (
        score.both as f64 / score.told as f64,
        score.both as f64 / score.there as f64,
    );
    let f1 = 2.0 * precision * recall / (precision + recall);
    let count = u32::try_from(rows.len()).unwrap();
    println!(
        "read in {:?}, judged in {:?} on average",
        reading / count,
        judging / count
    );
    println!("{score:?}: precision {precision:.3}, recall {recall:.3}, F1 {f1:.3}");
    assert!(f1 > 0.5, "{f1}");
    assert!(score.alarms * 15 <= score.grounded, "{score:?}");
}

const MUSEUM: &str = "The Kunsthaus in Bern opens at 10:00 and closes at 18:00. Tickets cost 14 francs; children under six \
                      are free. The garden is not open in winter. Anna Keller has directed it since 2011.";

#[test]
fn what_is_said_is_supported_in_other_forms() {
    for answer in [
        "The Kunsthaus opens at 10:00.",
        "Tickets cost fourteen francs, and children under six are free.",
        "The garden isn't open in winter.",
        "Since 2011, Anna Keller has directed the Kunsthaus in Bern.",
        "It opens at 10 am and closes at 6 pm.",
    ] {
        let judged = judge(MUSEUM, "When does it open?", answer, Point::ThreeInHundred);
        assert!(judged.is_grounded(), "{answer}: {:?}", quotes(answer, &judged));
    }
}

#[test]
fn what_is_not_said_is_found_where_it_stands() {
    for (answer, wanted) in [
        ("Tickets cost 19 francs.", "19"),
        ("The Kunsthaus closes at 8 pm.", "8"),
        ("Anna Keller has directed it since 2017.", "2017"),
        (
            "Tickets cost 14 francs. The restaurant on the roof serves lunch from Tuesday on.",
            "restaurant",
        ),
    ] {
        let judged = judge(MUSEUM, "", answer, Point::ThreeInHundred);
        let found = quotes(answer, &judged);
        assert!(
            found.iter().any(|quote| quote.contains(wanted)),
            "{answer}: {found:?}"
        );
        assert!(judged.confidence() > 0.5);
    }
    let judged = judge(MUSEUM, "", "Tickets cost 19 francs.", Point::ThreeInHundred);
    assert_eq!(judged.spans[0].standing, Standing::Contradicted);
}

#[test]
fn points_are_ordered_and_nothing_is_told_of_nothing() {
    let mut before = 0;
    for point in Point::ALL {
        assert_eq!(Point::named(point.name()), Some(point));
        let all = rows();
        let found = all
            .iter()
            .filter(|row| !judge(&row.context, &row.question, &row.answer, point).is_grounded());
        let found = found.count();
        assert!(found >= before, "{point:?}: {found} after {before}");
        before = found;
    }
    assert!(Point::named("balanced").is_none());
    assert!(judge("", "", "Anything at all.", Point::TenInHundred).is_grounded());
    assert!(judge(MUSEUM, "", "", Point::TenInHundred).is_grounded());
}

#[test]
fn texts_are_bounded_in_time_and_length() {
    let detector = Detector::shipped().unwrap();
    let long = "Every seventh word differs from number 1234 in some way. ".repeat(20_000);
    let begun = Instant::now();
    let context = detector.read([long.as_str()]);
    assert!(context.is_cut() && context.words() <= 65_536);
    let judged = detector.judge(&context, &detector.read([""]), &long, Point::ThreeInHundred);
    assert!(judged.cut);
    // A minute would be quadratic.
    assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
}

#[test]
fn damaged_weights_are_refused() {
    let shipped = include_bytes!("../src/grounded/data/grounded.weights");
    assert!(Detector::with("copy", shipped).is_ok());
    let mut flipped = shipped.to_vec();
    let last = flipped.len() - 70;
    flipped[last] ^= 1;
    assert!(Detector::with("flipped", &flipped).is_err());
    assert!(Detector::with("short", &shipped[..shipped.len() / 2]).is_err());
    assert_eq!(FEATURES.len(), 52);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn spans_lie_within_the_answer(context in ".{0,200}", question in ".{0,40}", answer in ".{0,200}") {
        for point in Point::ALL {
            let judged = judge(&context, &question, &answer, point);
            let mut end = 0;
            for span in &judged.spans {
                prop_assert!(span.at.start >= end && span.at.end > span.at.start);
                prop_assert!(answer.get(span.at.clone()).is_some());
                prop_assert!((0.0..=1.0).contains(&span.confidence));
                end = span.at.end;
            }
        }
    }
}

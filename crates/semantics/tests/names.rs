//! Names by lists and grammar: written examples in nine languages, and whatever text there may be.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test says what it expects by failing"
)]

use std::fmt::Write as _;

use pointsman_semantics::names;
use proptest::prelude::*;

/// The text with what is found in braces.
fn braced(text: &str) -> String {
    let mut out = String::new();
    let mut from = 0;
    for one in names::find(text) {
        let sure = if one.sure { "" } else { "?" };
        let (before, value) = (&text[from..one.start], &text[one.start..one.end]);
        write!(out, "{before}{{{}{sure}:{value}}}", one.kind.entity()).unwrap();
        from = one.end;
    }
    out + &text[from..]
}

/// The text without its braces.
fn bare(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, behind)) = rest.split_once('{') {
        let (inside, after) = behind.split_once('}').unwrap();
        out += before;
        out += inside.split_once(':').unwrap().1;
        rest = after;
    }
    out + rest
}

#[test]
fn names_are_found_in_every_language_and_near_misses_are_not() {
    let mut wrong = Vec::new();
    for line in include_str!("named.txt")
        .lines()
        .filter(|line| !line.starts_with('#'))
    {
        let found = braced(&bare(line));
        if found != line {
            wrong.push(format!("wanted {line}\n found {found}"));
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn ordinary_texts_have_nobody_for_sure() {
    let mut wrong = Vec::new();
    for line in include_str!("nobody.txt")
        .lines()
        .filter(|line| !line.starts_with('#'))
    {
        if names::find(line).iter().any(|one| one.sure) {
            wrong.push(braced(line));
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

/// A long text may have tens of thousands of places where a name could begin: a reader that goes on to the end from each
/// takes the square of its length.
#[test]
fn a_text_of_beginnings_is_read_in_one_go() {
    const BYTES: usize = 512 << 10;
    let of = |piece: &str| piece.repeat(BYTES / piece.len());
    // Only the last parts of all are somebody's.
    let foreign = of("ア・") + "ア・アさん";
    assert_eq!(names::find(&foreign).len(), 1);
    let polite = names::find(&of("ジョン・スミスさん "));
    assert!(polite.len() > 15_000 && polite.iter().all(|one| one.kind == names::Kind::Person));
    let companies = names::find(&of("가나주식회사"));
    assert!(companies.iter().all(|one| one.end - one.start < 100));
    let piece = "김민준, 서울특별시 강남구 테헤란로 152, ";
    let addressed = names::find(&of(piece));
    let count = |kind| addressed.iter().filter(|one| one.kind == kind).count();
    let pieces = BYTES / piece.len();
    assert_eq!(count(names::Kind::Address), pieces);
    assert_eq!(count(names::Kind::Person), pieces);
}

proptest! {
    #[test]
    fn finds_lie_in_the_text_in_order_and_apart(pieces in prop::collection::vec(prop_oneof![
        prop::sample::select(&[
            "Frau Dr. ", "Müller", "Ana García", "calle ", "Calle Mayor 5", ", 28004 ", "İ", "ı", "佐藤", "翔太", "さん", "株式会社",
            "東京都", "1丁目", "김", "민준", " 씨", "주식회사 ", "서울특별시 ", "氏名：", "이름: ", "Name: ", "'", "-", ". ", "No: 5", "\u{307}", "・",
        ][..]).prop_map(str::to_owned),
        "(?s).{0,6}",
    ], 0..14)) {
        let text = pieces.concat();
        let mut end = 0;
        for one in names::find(&text) {
            prop_assert!(one.start >= end && one.start < one.end, "{text:?}");
            prop_assert!(text.is_char_boundary(one.start) && text.is_char_boundary(one.end));
            end = one.end;
        }
    }
}

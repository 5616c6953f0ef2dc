//! Personal data in answers: the same in any pieces, and no more held back than is said.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test says what it expects by failing"
)]

use std::sync::OnceLock;

use pointsman_guard::{Action, GuardrailConfig, Guards, Heard, PiiConfig, Placeholders, RegexConfig, Stage};
use proptest::prelude::*;

fn guards(action: Action) -> &'static Guards {
    static ALL: [OnceLock<Guards>; 3] = [const { OnceLock::new() }; 3];
    ALL[action as usize].get_or_init(|| {
        let pii = PiiConfig {
            name: "pii".to_owned(),
            on: vec![Stage::Output],
            action,
            ..PiiConfig::default()
        };
        let words = RegexConfig {
            name: "words".to_owned(),
            on: vec![Stage::Output],
            action: Action::Redact,
            deny: vec!["falcon|fal con".to_owned()],
            ..RegexConfig::default()
        };
        Guards::compile(&[GuardrailConfig::Regex(words), GuardrailConfig::Pii(pii)]).unwrap()
    })
}

/// What a client sees of a text in these pieces, whether it was blocked, and what was flagged.
fn streamed(guards: &Guards, pieces: &[&str]) -> (String, bool, usize) {
    let mut stream = guards.for_stage(Stage::Output).stream(&Placeholders::new());
    let (mut out, mut blocked, mut flags) = (String::new(), false, 0);
    let steps: Vec<_> = pieces.iter().map(|piece| stream.push(piece)).collect();
    for step in steps.into_iter().chain([stream.finish()]) {
        out.push_str(&step.release);
        blocked |= step.blocked.is_some();
        flags += step.flags.len();
    }
    (out, blocked, flags)
}

const WORDS: &[&str] = &[
    "jane.roe@example.com",
    "4111 1111 1111 1111",
    "DE89 3704 0044 0532 0130 00",
    "the password is hunter22!",
    "falcon",
    "fal",
    "con",
    "on 12 May 2024",
    "192.168.0.1",
    "名前はé",
    "ssn 078-05-1120",
    "just words",
    "sk-ant-api03-aaaaaaaaaaaaaaaaaaaaaaaaaaaa",
    "AKIAIOSFODNN7EXAMPLE",
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn streamed_and_whole_agree(
        words in prop::collection::vec((prop::sample::select(WORDS), prop::sample::select(&[" ", "", ", ", "\n", "-"][..])), 0..10),
        cuts in prop::collection::vec(0_usize..400, 0..24),
        action in prop_oneof![Just(Action::Block), Just(Action::Redact), Just(Action::Flag)],
    ) {
        let text: String = words.iter().flat_map(|(word, between)| [*word, *between]).collect();
        let guards = guards(action);
        let verdict = guards.for_stage(Stage::Output).inspect(&text, &Heard::default(), &Placeholders::new());
        let mut cuts: Vec<usize> = cuts.into_iter().filter(|at| *at <= text.len() && text.is_char_boundary(*at)).collect();
        cuts.sort_unstable();
        cuts.push(text.len());
        let mut from = 0;
        let pieces: Vec<&str> = cuts.into_iter().map(|to| &text[std::mem::replace(&mut from, to)..to]).collect();
        let (out, blocked, flags) = streamed(guards, &pieces);
        prop_assert_eq!(blocked, verdict.blocked.is_some());
        if !blocked {
            prop_assert_eq!(out, verdict.rewritten.unwrap_or(text));
            prop_assert_eq!(flags, verdict.flags.len());
        }
    }
}

#[test]
fn what_is_found_in_pieces_is_replaced() {
    let pieces = [
        "Write to jane.",
        "roe@exam",
        "ple.com or fal",
        "con, card 4111 1111",
        " 1111 1111 today, and so on for a while",
    ];
    assert_eq!(
        streamed(guards(Action::Redact), &pieces).0,
        "Write to [EMAIL_ADDRESS_1] or [REDACTED:words], card [CREDIT_CARD_1] today, and so on for a while"
    );
    assert!(streamed(guards(Action::Block), &pieces).1);
    assert_eq!(streamed(guards(Action::Flag), &pieces).2, 1);
}

//! Streamed or whole, a text gets the same verdict.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test says what it expects by failing"
)]

use pointsman_guard::{Action, GuardrailConfig, Guards, Heard, Placeholders, RegexConfig, Stage};
use proptest::prelude::*;

fn guards(rules: &[(&str, Action)]) -> Guards {
    let configs: Vec<GuardrailConfig> = rules
        .iter()
        .enumerate()
        .map(|(number, (pattern, action))| {
            GuardrailConfig::Regex(RegexConfig {
                name: format!("g{number}"),
                on: vec![Stage::Output],
                action: *action,
                deny: vec![(*pattern).to_owned()],
                ..RegexConfig::default()
            })
        })
        .collect();
    Guards::compile(&configs).unwrap()
}

/// What a client sees of a text in these pieces: the text, or nothing more after a block.
fn streamed(guards: &Guards, pieces: &[&str]) -> (String, bool, usize) {
    let mut guard = guards.for_stage(Stage::Output).stream(&Placeholders::default());
    let (mut out, mut blocked, mut flags) = (String::new(), false, 0);
    for step in pieces
        .iter()
        .map(|piece| guard.push(piece))
        .collect::<Vec<_>>()
        .into_iter()
        .chain([guard.finish()])
    {
        out.push_str(&step.release);
        blocked |= step.blocked.is_some();
        flags += step.flags.len();
    }
    (out, blocked, flags)
}

#[test]
fn text_is_held_only_while_a_match_could_form() {
    let guards = guards(&[("(?i)project falcon", Action::Block)]);
    let mut guard = guards.for_stage(Stage::Output).stream(&Placeholders::default());
    assert_eq!(guard.push("The pro").release, "The ");
    assert_eq!(guard.push("cess of ").release, "process of ");
    assert_eq!(guard.push("PROJECT fal").release, "");
    let step = guard.push("con is");
    assert!(step.blocked.is_some() && step.release.is_empty());
    assert_eq!(guard.push("more").release, "");
}

#[test]
fn redaction_works_across_pieces() {
    let guards = guards(&[(r"\b\d{3}-\d{4}\b", Action::Redact)]);
    assert_eq!(
        streamed(&guards, &["call 55", "5-12", "34 now"]).0,
        "call [REDACTED:g0] now"
    );
    assert_eq!(streamed(&guards, &["call 555-1234"]).0, "call [REDACTED:g0]");
    assert_eq!(streamed(&guards, &["call 555-12345"]).0, "call 555-12345");
}

#[test]
fn an_escaped_backslash_is_no_boundary() {
    let guards = guards(&[(r"C:\\bin", Action::Redact)]);
    assert_eq!(
        streamed(&guards, &[r"in C:\b", "in now"]).0,
        "in [REDACTED:g0] now"
    );
}

#[test]
fn what_would_be_held_for_ever_is_blocked() {
    let guards = guards(&[("(?s)BEGIN.*END", Action::Redact)]);
    let (out, blocked, _) = streamed(&guards, &["x BEGIN ", &"y".repeat(20_000)]);
    assert!(blocked);
    assert_eq!(out, "x ");
}

#[test]
fn guardrails_without_what_they_need_are_named() {
    let json = r#"[{"type":"presidio","name":"p","on":["input"]},{"type":"regex","name":"r","on":["input"],"deny":["("]},{"type":"regex","name":"e","deny":["a"]}]"#;
    let configs: Vec<GuardrailConfig> = serde_json::from_str(json).unwrap();
    let errors = Guards::compile(&configs).unwrap_err();
    assert_eq!(errors.len(), 3);
    assert_eq!((errors[0].index, errors[0].field), (0, "url"));
    assert_eq!((errors[1].index, errors[1].field), (1, "deny"));
    assert!(
        Guards::compile(
            &serde_json::from_str::<Vec<_>>(r#"[{"type":"regex","name":"n","on":["input"],"deny":["a*"]}]"#)
                .unwrap()
        )
        .is_err()
    );
    assert_eq!((errors[2].index, errors[2].field), (2, "on"));
}

const PATTERNS: &[&str] = &[
    "ab", "a+b", "(?i)aB|b", "a|ab", "ab|a", "aa*b?", "b{2,3}", r"\bab\b", r"a\b", "^a", "b$", "é+", "[^b]b",
    "a.b", "(a|b)+é", "x?a",
];

fn action() -> impl Strategy<Value = Action> {
    prop_oneof![Just(Action::Block), Just(Action::Redact), Just(Action::Flag)]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3_000))]

    #[test]
    fn streamed_and_whole_agree(
        rules in proptest::collection::vec((proptest::sample::select(PATTERNS), action()), 1..3),
        pieces in proptest::collection::vec("[abé x]{0,4}", 0..7),
    ) {
        let guards = guards(&rules);
        let whole: String = pieces.concat();
        let verdict = guards.for_stage(Stage::Output).inspect(&whole, &Heard::default(), &Placeholders::default());
        let pieces: Vec<&str> = pieces.iter().map(String::as_str).collect();
        let (out, blocked, flags) = streamed(&guards, &pieces);
        prop_assert_eq!(blocked, verdict.blocked.is_some(), "blocked: {:?} {:?}", rules, pieces);
        if !blocked {
            prop_assert_eq!(out, verdict.rewritten.unwrap_or(whole), "text: {:?} {:?}", rules, pieces);
            prop_assert_eq!(flags, verdict.flags.len());
        }
    }
}

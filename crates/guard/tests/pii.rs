//! The guardrail of personal data: what it finds, what it puts in its place, and how that comes back.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test says what it expects by failing"
)]

use pointsman_guard::{
    Action, Asked, GuardrailConfig, Guards, Heard, PiiConfig, Placeholders, Replace, Restorer, Stage,
};
use proptest::prelude::*;

fn config(action: Action, entities: &[&str]) -> PiiConfig {
    PiiConfig {
        name: "pii".to_owned(),
        on: vec![Stage::Input],
        action,
        entities: entities.iter().map(|entity| (*entity).to_owned()).collect(),
        restore: action == Action::Redact,
        model: Asked::Never,
        ..PiiConfig::default()
    }
}

fn guards(config: PiiConfig) -> Guards {
    Guards::compile(&[GuardrailConfig::Pii(config)]).unwrap()
}

const LETTER: &str =
    "Jane (jane@example.com, card 4111 1111 1111 1111) wrote; answer jane@example.com or tom@example.com.";

#[test]
fn a_value_has_one_placeholder_and_comes_back() {
    let guards = guards(config(Action::Redact, &["EMAIL_ADDRESS", "CREDIT_CARD"]));
    let book = guards.placeholders();
    let verdict = guards
        .for_stage(Stage::Input)
        .inspect(LETTER, &Heard::default(), &book);
    let redacted = verdict.rewritten.unwrap();
    assert_eq!(
        redacted,
        "Jane ([EMAIL_ADDRESS_1], card [CREDIT_CARD_1]) wrote; answer [EMAIL_ADDRESS_1] or [EMAIL_ADDRESS_2]."
    );
    assert_eq!(Restorer::whole(&book, &redacted, false), LETTER);
    // The next text of the same conversation goes on counting.
    let next =
        guards
            .for_stage(Stage::Input)
            .inspect("sue@example.com, tom@example.com", &Heard::default(), &book);
    assert_eq!(next.rewritten.unwrap(), "[EMAIL_ADDRESS_3], [EMAIL_ADDRESS_2]");
    // Another request knows nothing of it.
    let other = guards.placeholders();
    assert_eq!(Restorer::whole(&other, &redacted, false), redacted);
}

fn synthetic() -> Guards {
    guards(PiiConfig {
        replace: Replace::Synthetic,
        ..config(Action::Redact, &["EMAIL_ADDRESS", "CREDIT_CARD"])
    })
}

#[test]
fn a_made_up_value_keeps_the_form_and_comes_back_to_whoever_said_it() {
    let guards = synthetic();
    let book = guards.placeholders();
    let taken = "what is user0@mail0.example?";
    book.spare(LETTER);
    book.spare(taken);
    let inspect = |text: &str| {
        let verdict = guards
            .for_stage(Stage::Input)
            .inspect(text, &Heard::default(), &book);
        verdict.rewritten.unwrap()
    };
    let redacted = inspect(LETTER);
    // Somebody has said the first of all made-up addresses: it stands for nothing else.
    assert!(!redacted.contains("jane") && !redacted.contains("4111") && !redacted.contains("user0@"));
    assert_eq!(redacted.matches("user1@mail1.example").count(), 2, "{redacted}");
    assert_eq!(redacted.matches("user2@mail2.example").count(), 1, "{redacted}");
    let card = redacted.split("card ").nth(1).unwrap().split(')').next().unwrap();
    assert_eq!(
        card.replace(|letter: char| letter.is_ascii_digit(), "0"),
        "0000 0000 0000 0000"
    );
    assert_eq!(Restorer::whole(&book, &redacted, false), LETTER);
    // What the model says of it comes back, also at the end and before a point; what only begins so does not.
    let told =
        "Ask user2@mail2.example. Not user2@mail2.examples or xuser2@mail2.example, but user1@mail1.example";
    assert_eq!(
        Restorer::whole(&book, told, false),
        "Ask tom@example.com. Not user2@mail2.examples or xuser2@mail2.example, but jane@example.com"
    );
    // The same conversation, sent again: the same values. Another request knows nothing of it.
    let again = guards.placeholders();
    again.spare(LETTER);
    again.spare(taken);
    let verdict = guards
        .for_stage(Stage::Input)
        .inspect(LETTER, &Heard::default(), &again);
    assert_eq!(verdict.rewritten.unwrap(), redacted);
    assert_eq!(
        Restorer::whole(&guards.placeholders(), &redacted, false),
        redacted
    );
}

#[test]
fn only_what_is_asked_for_is_looked_for() {
    let guards = guards(config(Action::Redact, &["CREDIT_CARD"]));
    let verdict = guards
        .for_stage(Stage::Input)
        .inspect(LETTER, &Heard::default(), &Placeholders::default());
    let redacted = verdict.rewritten.unwrap();
    assert!(
        redacted.contains("jane@example.com") && redacted.contains("[CREDIT_CARD]"),
        "{redacted}"
    );
}

#[test]
fn a_block_says_what_occurs_and_a_flag_lets_pass() {
    let block = guards(config(Action::Block, &[]))
        .for_stage(Stage::Input)
        .inspect(LETTER, &Heard::default(), &Placeholders::default());
    let reason = block.blocked.unwrap().reason;
    assert!(
        reason.contains("CREDIT_CARD, EMAIL_ADDRESS") && !reason.contains("jane"),
        "{reason}"
    );
    let flag = guards(config(Action::Flag, &[])).for_stage(Stage::Input).inspect(
        LETTER,
        &Heard::default(),
        &Placeholders::default(),
    );
    assert!(flag.blocked.is_none() && flag.rewritten.is_none() && flag.flags.len() == 1);
}

#[test]
fn what_it_cannot_do_is_refused() {
    let wrong = |config: PiiConfig| {
        let errors = Guards::compile(&[GuardrailConfig::Pii(config)]).unwrap_err();
        format!("{}: {}", errors[0].field, errors[0].message)
    };
    let mut answers = config(Action::Redact, &["PERSON"]);
    answers.model = Asked::Auto;
    answers.on.push(Stage::Output);
    assert!(wrong(answers).contains("\"PERSON\""));
    assert!(wrong(config(Action::Redact, &["PERSON"])).contains("model: never"));
    assert!(wrong(config(Action::Block, &["EMIAL"])).contains("EMAIL_ADDRESS"));
    let mut restoring = config(Action::Block, &[]);
    restoring.restore = true;
    assert!(wrong(restoring).starts_with("restore: "));
    let mut blocking = config(Action::Block, &[]);
    blocking.replace = Replace::Synthetic;
    assert!(wrong(blocking).starts_with("replace: "));
    let mut answering = config(Action::Redact, &["EMAIL_ADDRESS"]);
    answering.replace = Replace::Synthetic;
    answering.on.push(Stage::Output);
    assert!(wrong(answering).contains("true ones"));
    let mut nowhere = config(Action::Block, &[]);
    nowhere.on.clear();
    assert!(wrong(nowhere).starts_with("on: "));
}

#[test]
fn a_value_in_json_stays_a_string() {
    let guards = guards(config(Action::Redact, &["CREDENTIAL"]));
    let book = guards.placeholders();
    let verdict = guards
        .for_stage(Stage::Input)
        .inspect(r"password: ab\c9\n!x", &Heard::default(), &book);
    assert!(verdict.rewritten.is_some());
    let back = Restorer::whole(&book, r#"{"p":"[CREDENTIAL_1]"}"#, true);
    let value: serde_json::Value = serde_json::from_str(&back).unwrap();
    assert_eq!(value["p"], r"ab\c9\n!x", "{back}");
}

/// Texts of one conversation.
fn conversation() -> impl Strategy<Value = Vec<String>> {
    let word = prop_oneof![
        Just("jane@example.com".to_owned()),
        "[a-d]{1,2}@example\\.(com|org)",
        Just("4111 1111 1111 1111".to_owned()),
        Just("[EMAIL_ADDRESS_9]".to_owned()),
        Just("[[x] [A".to_owned()),
        Just("é名".to_owned()),
        "[a-z\\[\\]_]{0,6}"
    ];
    let text = prop::collection::vec(word, 0..8).prop_map(|words| words.join(" "));
    prop::collection::vec(text, 1..4)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(10_000))]

    #[test]
    fn what_comes_back_is_what_was_said_in_any_pieces(
        texts in conversation(),
        cuts in prop::collection::vec(0_usize..200, 0..12),
        made_up in any::<bool>(),
    ) {
        static GUARDS: std::sync::OnceLock<Guards> = std::sync::OnceLock::new();
        static MAKING_UP: std::sync::OnceLock<Guards> = std::sync::OnceLock::new();
        let guards = if made_up {
            MAKING_UP.get_or_init(synthetic)
        } else {
            GUARDS.get_or_init(|| guards(config(Action::Redact, &["EMAIL_ADDRESS", "CREDIT_CARD"])))
        };
        let book = guards.placeholders();
        for text in &texts {
            book.spare(text);
        }
        for text in texts {
            let verdict = guards.for_stage(Stage::Input).inspect(&text, &Heard::default(), &book);
            let redacted = verdict.rewritten.unwrap_or_else(|| text.clone());
            prop_assert!(!redacted.contains("@example") && !redacted.contains("4111"));
            let mut cuts: Vec<usize> = cuts.iter().copied().filter(|at| *at < redacted.len() && redacted.is_char_boundary(*at)).collect();
            cuts.sort_unstable();
            let mut restorer = Restorer::new(&book, false);
            let mut out = String::new();
            let mut from = 0;
            for cut in cuts {
                out.push_str(&restorer.push(&redacted[from..cut]));
                from = cut;
            }
            out.push_str(&restorer.push(&redacted[from..]));
            out.push_str(&restorer.finish());
            prop_assert_eq!(out, text);
        }
    }
}

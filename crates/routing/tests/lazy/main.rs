//! Lazy evaluation against a naive one that reads everything: the same decision, the same confidence, whatever is asked
//! first and in whatever order answers come.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test says what it expects by failing"
)]

mod naive;

use std::collections::BTreeSet;
use std::time::Duration;

use naive::{Case, case};
use pointsman_routing::{
    About, AskedSignal, Call, Deciding, Facts, Need, Outcome, Reading, Router, RoutingConfig, Step, Want,
};
use proptest::prelude::*;
use serde_json::{Value, json};

fn compile(config: &Value, asked: &[AskedSignal]) -> Router {
    let config: RoutingConfig = serde_json::from_value(config.clone()).unwrap();
    Router::compile_with(&config, asked).unwrap_or_else(|errors| panic!("{errors:?}"))
}

fn facts(text: &str) -> Facts<'_> {
    Facts {
        user_text: text,
        ..Facts::default()
    }
}

fn decided(outcome: Option<Outcome<'_>>) -> Option<(String, f64)> {
    match outcome.expect("settled") {
        Outcome::Matched(decided) => Some((decided.decision.to_owned(), decided.confidence)),
        Outcome::NoMatch => None,
    }
}

/// Answers what is asked as the case says, in an order that `chance` picks, often only a part of it, some of it twice.
/// Tells which signals were asked.
fn answer_all(deciding: &mut Deciding<'_, '_>, case: &Case, chance: &mut u64) -> BTreeSet<usize> {
    let mut asked = BTreeSet::new();
    let mut next = || {
        *chance = chance
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (*chance >> 33) as usize
    };
    for _ in 0..1_000 {
        let Step::Ask(calls) = deciding.step() else {
            return asked;
        };
        for call in &calls {
            assert!(call.need.is_asked() && !call.signals.is_empty());
        }
        let mut signals: Vec<usize> = calls.into_iter().flat_map(|call| call.signals).collect();
        asked.extend(&signals);
        let shift = next() % signals.len();
        signals.rotate_left(shift);
        if next() % 2 == 0 {
            signals.reverse();
        }
        if next() % 3 == 0 {
            signals.truncate(1 + next() % signals.len());
        }
        for signal in &signals {
            deciding.answer(*signal, case.answer(*signal), Duration::ZERO);
        }
        // The first answer stands.
        let again = Reading {
            matched: true,
            confidence: 0.77,
            value: 3.0,
        };
        deciding.answer(signals[0], again, Duration::ZERO);
    }
    panic!("it asks and asks");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 250, ..ProptestConfig::default() })]

    #[test]
    fn lazy_decides_as_naive_does(case in case(), seed in any::<u64>()) {
        let router = compile(&case.config, &case.asked);
        let naive = case.decide();
        let mut chance = seed;

        let mut lazy = router.deciding(facts(&case.text), Want::Confidence);
        answer_all(&mut lazy, &case, &mut chance);
        prop_assert_eq!(&decided(lazy.outcome(0.0)), &naive.winner);

        // What it says of rules is true; of what it left open it says nothing.
        let told = lazy.explain(0.0);
        for trace in &told.eval_trace {
            let (matched, confidence) = naive.decisions[&trace.decision];
            prop_assert!(trace.not_needed || trace.matched == matched, "{}", trace.decision);
            if let Some((winner, _)) = naive.winner.as_ref().filter(|(winner, _)| *winner == trace.decision) {
                prop_assert!(trace.matched && trace.confidence == confidence, "{}", winner);
            }
        }
        prop_assert_eq!(told.metrics.len() + told.not_needed.len(), case.signals.len());

        // Only the decision.
        let mut short = router.deciding(facts(&case.text), Want::Decision);
        answer_all(&mut short, &case, &mut chance);
        let name = |winner: Option<(String, f64)>| winner.map(|(name, _)| name);
        prop_assert_eq!(name(decided(short.outcome(0.0))), name(naive.winner.clone()));

        // Everything: every rule of every decision is as the naive evaluation has it.
        let mut all = router.deciding(facts(&case.text), Want::Everything);
        let everything = answer_all(&mut all, &case, &mut chance);
        prop_assert_eq!(everything.len(), case.asked.len());
        prop_assert_eq!(&decided(all.outcome(0.0)), &naive.winner);
        let told = all.explain(0.0);
        prop_assert!(told.not_needed.is_empty());
        for trace in &told.eval_trace {
            prop_assert_eq!((trace.matched, trace.confidence), naive.decisions[&trace.decision], "{}", trace.decision);
            prop_assert!(!trace.not_needed);
        }

        // What is known already, needed or not, changes nothing.
        let mut first = router.deciding(facts(&case.text), Want::Decision);
        for signal in case.asked_numbers() {
            if (chance >> (signal % 60)) & 1 == 1 {
                first.answer(signal, case.answer(signal), Duration::ZERO);
            }
        }
        let mut resumed = router.resume(facts(&case.text), Want::Confidence, first.pause());
        answer_all(&mut resumed, &case, &mut chance);
        prop_assert_eq!(&decided(resumed.outcome(0.0)), &naive.winner);

        // Nobody answers: as if nothing that is asked matched.
        let silent = case.silenced();
        let alone = match router.decide(&facts(&case.text), 0.0) {
            Outcome::Matched(decided) => Some((decided.decision.to_owned(), decided.confidence)),
            Outcome::NoMatch => None,
        };
        prop_assert_eq!(alone, silent.decide().winner);
    }

    /// It is settled only when no answer to what is open could change the decision: all completions are tried.
    #[test]
    fn what_was_not_asked_could_not_have_mattered(case in case(), seed in any::<u64>()) {
        let router = compile(&case.config, &case.asked);
        let mut chance = seed;
        let mut lazy = router.deciding(facts(&case.text), Want::Confidence);
        let asked = answer_all(&mut lazy, &case, &mut chance);
        let winner = decided(lazy.outcome(0.0));
        let open: Vec<usize> = case.asked_numbers().filter(|signal| !asked.contains(signal)).collect();
        for round in 0..16_u64 {
            let other = case.with_others(&open, seed ^ round.wrapping_mul(0x9E37_79B9_7F4A_7C15));
            prop_assert_eq!(other.decide().winner, winner.clone());
        }
    }
}

fn asked(kind: &'static str, name: &str, need: Need) -> AskedSignal {
    AskedSignal {
        kind,
        name: name.to_owned(),
        need,
    }
}

fn models() -> Vec<AskedSignal> {
    vec![
        asked("domain", "math", Need::Heads(About::User)),
        asked("domain", "law", Need::Heads(About::User)),
        asked("jailbreak", "guard", Need::Heads(About::User)),
        asked("pii", "history", Need::Heads(About::Conversation)),
        asked("embedding", "refund", Need::Embedding(About::User)),
        asked("preference", "far", Need::Remote(About::User, "tei".to_owned())),
    ]
}

fn leaf(signal: &str) -> Value {
    let (kind, name) = signal.split_once(':').unwrap();
    json!({"type": kind, "name": name})
}

fn all(signals: &[&str]) -> Value {
    json!({"operator": "AND", "conditions": signals.iter().map(|signal| leaf(signal)).collect::<Vec<_>>()})
}

fn any_of(signals: &[&str]) -> Value {
    json!({"operator": "OR", "conditions": signals.iter().map(|signal| leaf(signal)).collect::<Vec<_>>()})
}

fn decision(name: &str, priority: i64, rules: &Value) -> Value {
    json!({"name": name, "priority": priority, "rules": rules, "modelRefs": [{"model": name}]})
}

fn configured(decisions: &[Value]) -> Router {
    let config = json!({
        "signals": {"keywords": [{"name": "sum", "keywords": ["sum"]}, {"name": "both", "keywords": ["sum", "proof"]}]},
        "projections": {
            "scores": [{"name": "hard", "inputs": [
                {"type": "keyword", "name": "sum", "weight": 0.6},
                {"type": "domain", "name": "math", "weight": 0.3, "value_source": "confidence"},
            ]}],
            "mappings": [{"name": "band", "source": "hard", "outputs": [{"name": "easy", "lt": 0.5}, {"name": "difficult", "gte": 0.5}]}],
        },
        "decisions": decisions,
    });
    compile(&config, &models())
}

/// The calls that are asked until it is settled, each answered by "no".
fn calls(router: &Router, text: &str, want: Want) -> Vec<Vec<(Need, Vec<String>)>> {
    let mut deciding = router.deciding(facts(text), want);
    let mut rounds = Vec::new();
    while let Step::Ask(calls) = deciding.step() {
        let told = calls.iter().map(|call: &Call| {
            let names = call
                .signals
                .iter()
                .map(|signal| router.signal(*signal).unwrap().1.to_owned());
            (call.need.clone(), names.collect())
        });
        rounds.push(told.collect());
        for signal in calls.into_iter().flat_map(|call| call.signals) {
            deciding.answer(signal, Reading::default(), Duration::ZERO);
        }
    }
    rounds
}

#[test]
fn a_model_is_not_asked_when_the_outcome_is_settled_without_it() {
    // A keyword is missing: the model beside it can't help.
    let router = configured(&[
        decision("a", 2, &all(&["domain:math", "keyword:sum"])),
        decision("b", 1, &any_of(&["keyword:sum"])),
    ]);
    assert!(calls(&router, "nothing", Want::Confidence).is_empty());
    assert_eq!(calls(&router, "sum", Want::Confidence).len(), 1);
    // A higher decision holds: a lower one is not looked at.
    let router = configured(&[
        decision("a", 2, &any_of(&["keyword:sum"])),
        decision("b", 1, &any_of(&["domain:math"])),
    ]);
    assert!(calls(&router, "sum", Want::Confidence).is_empty());
    // One of several is enough for the decision; for how sure it is, only if it could be surer.
    let router = configured(&[decision("a", 2, &any_of(&["domain:math", "keyword:sum"]))]);
    assert!(calls(&router, "sum", Want::Confidence).is_empty());
    let router = configured(&[decision("a", 2, &any_of(&["domain:math", "keyword:both"]))]);
    assert!(calls(&router, "sum", Want::Decision).is_empty());
    assert_eq!(calls(&router, "sum", Want::Confidence).len(), 1);
    // Of equals in rank, one that is as sure as can be is not to be beaten by a later one.
    let router = configured(&[
        decision("a", 1, &any_of(&["keyword:sum"])),
        decision("b", 1, &any_of(&["domain:math"])),
    ]);
    assert!(calls(&router, "sum", Want::Confidence).is_empty());
    // A score can't leave its band any more.
    let router = configured(&[
        decision("a", 2, &any_of(&["projection:difficult"])),
        decision("b", 1, &any_of(&["projection:easy"])),
    ]);
    for text in ["sum", "nothing"] {
        assert!(calls(&router, text, Want::Decision).is_empty(), "{text}");
    }
}

#[test]
fn calls_are_grouped_by_what_answers_them_and_the_cheap_come_first() {
    let router = configured(&[
        decision(
            "far",
            5,
            &all(&["preference:far", "embedding:refund", "domain:math"]),
        ),
        decision("law", 4, &all(&["domain:law", "pii:history"])),
        decision(
            "safe",
            3,
            &json!({"operator": "NOT", "conditions": [leaf("jailbreak:guard")]}),
        ),
    ]);
    let found = calls(&router, "text", Want::Confidence);
    // One pass answers every head that may yet be needed, also those of lower decisions. The other text would be a call of
    // its own, and turns out not to be needed, as do the embedding and the far one.
    let names = ["math", "law", "guard"].map(str::to_owned).to_vec();
    assert_eq!(found, [[(Need::Heads(About::User), names)]]);
    // Everything is asked at once.
    let found = calls(&router, "text", Want::Everything);
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].len(), 4);
}

#[test]
fn the_trace_lists_what_was_not_needed_and_what_failed() {
    let router = configured(&[
        decision("a", 2, &any_of(&["keyword:sum"])),
        decision("b", 1, &any_of(&["domain:math"])),
    ]);
    let mut deciding = router.deciding(facts("sum"), Want::Confidence);
    assert_eq!(deciding.step(), Step::Settled);
    let told = deciding.explain(0.0);
    assert_eq!(told.routing_decision.as_deref(), Some("a"));
    assert!(told.not_needed.contains(&"domain:math".to_owned()) && told.metrics.contains_key("keyword:sum"));
    assert_eq!(told.metrics.len() + told.not_needed.len(), 8);
    assert!(told.eval_trace[1].not_needed && told.eval_trace[1].rules.conditions[0].not_needed);
    let text = serde_json::to_value(&told).unwrap();
    assert!(text["eval_trace"][0].get("not_needed").is_none());
    // Whoever wants all gets all, and what nobody answers is told.
    deciding = router.deciding(facts("sum"), Want::Everything);
    deciding.fail_all();
    let told = deciding.explain(0.0);
    assert!(told.not_needed.is_empty());
    assert_eq!(told.failed.len(), 6);
}

#[test]
fn answers_that_are_no_numbers_or_not_asked_for_do_no_harm() {
    let router = configured(&[decision("a", 2, &all(&["domain:math", "projection:difficult"]))]);
    let mut deciding = router.deciding(facts("sum"), Want::Confidence);
    for signal in 0..20 {
        let odd = Reading {
            matched: true,
            confidence: f64::NAN,
            value: f64::INFINITY,
        };
        deciding.answer(signal, odd, Duration::ZERO);
    }
    let (decision, confidence) = decided(deciding.outcome(0.0)).unwrap();
    // Half of what the range says: the score of 0.6 is 0.1 beyond its bound.
    assert!(
        decision == "a" && (confidence - 0.5 / (1.0 + (-1.2_f64).exp())).abs() < 1e-9,
        "{confidence}"
    );
    // Readings of another router are none of this one's.
    let other = configured(&[]);
    let small = compile(&json!({"decisions": []}), &[]);
    let resumed = small.resume(
        facts(""),
        Want::Everything,
        other.deciding(facts(""), Want::Decision).pause(),
    );
    assert_eq!(resumed.step(), Step::Settled);
}

#[test]
fn partitions_that_do_not_fit_are_told() {
    let partition = |value: Value| {
        let config = json!({"projections": {"partitions": [value]}, "decisions": []});
        let config: RoutingConfig = serde_json::from_value(config).unwrap();
        let errors = Router::compile_with(&config, &models()).err().unwrap_or_default();
        errors
            .into_iter()
            .map(|error| format!("{}: {}", error.path, error.message))
            .collect::<Vec<_>>()
    };
    assert!(partition(json!({"name": "p", "members": ["math", "law"], "default": "law"})).is_empty());
    for (value, told) in [
        (
            json!({"name": "p", "members": ["math", "refund"]}),
            "members: names of domain signals",
        ),
        (json!({"name": "p", "members": []}), "members: "),
        (
            json!({"name": "p", "members": ["math"], "default": "law"}),
            "default: is none",
        ),
        (
            json!({"name": "p", "members": ["math"], "semantics": "odd"}),
            "unknown semantics",
        ),
        (
            json!({"name": "p", "members": ["math"], "semantics": "softmax_exclusive"}),
            "temperature: ",
        ),
    ] {
        let errors = partition(value.clone());
        assert!(
            errors.len() == 1 && errors[0].contains(told),
            "{value}: {errors:?}"
        );
    }
}

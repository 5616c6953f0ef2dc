//! The signal and the plugin `hallucination`: what a configuration may say, and what is decided.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test says what it expects by failing"
)]

use pointsman_routing::{Facts, Hallucination, Outcome, Router, RoutingConfig, Warning};
use serde_json::{Value, json};

fn config(signals: &Value, decision: Value) -> RoutingConfig {
    let mut decision = decision;
    decision["name"] = json!("facts");
    decision["modelRefs"] = json!([{"model": "m"}]);
    let all = json!({"default_model": "m", "signals": signals, "decisions": [decision]});
    serde_json::from_value(all).unwrap()
}

fn decided(config: &RoutingConfig) -> Option<Hallucination> {
    let router = Router::compile(config).unwrap();
    match router.decide(&Facts::default(), 0.0) {
        Outcome::Matched(decided) => decided.plugins.hallucination.clone(),
        Outcome::NoMatch => panic!("no decision"),
    }
}

#[test]
fn a_decision_says_what_is_done_with_answers() {
    let settings = json!({"enabled": true, "hallucination_action": "body", "use_nli": true});
    let plugin = json!({"plugins": [{"type": "hallucination", "configuration": settings}]});
    let found = decided(&config(&json!({}), plugin)).unwrap();
    assert_eq!(
        (found.found, found.unverified, found.contradictions),
        (Warning::Body, Warning::Header, true)
    );
    let off = json!({"plugins": [{"type": "hallucination", "configuration": {"enabled": false}}]});
    assert_eq!(decided(&config(&json!({}), off)), None);
}

#[test]
fn a_declared_signal_is_read_and_changes_no_answer() {
    let signals = json!({"hallucination": [{"name": "made_up", "use_nli": true}]});
    let found = decided(&config(&signals, json!({}))).unwrap();
    assert_eq!(
        (found.found, found.unverified, found.contradictions),
        (Warning::Silent, Warning::Silent, true)
    );
}

#[test]
fn no_rule_can_depend_on_an_answer() {
    let signals = json!({"hallucination": [{"name": "made_up"}]});
    let rules = json!({"rules": {"type": "hallucination", "name": "made_up"}});
    let errors = Router::compile(&config(&signals, rules)).err().unwrap();
    assert_eq!(errors.len(), 1, "{errors:?}");
    assert_eq!(errors[0].path, "decisions[0].rules.type");
    assert!(errors[0].message.contains("no decision can depend on them"));
}

#[test]
fn a_decision_names_guardrails() {
    let config = config(&json!({}), json!({"guardrails": ["wall"]}));
    let router = Router::compile(&config).unwrap();
    match router.decide(&Facts::default(), 0.0) {
        Outcome::Matched(decided) => assert_eq!(decided.guardrails, ["wall".to_owned()]),
        Outcome::NoMatch => panic!("no decision"),
    }
}

//! The shape in which a route is explained, as the documentation prints it: who changes it breaks programs.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test says what it expects by failing"
)]

use pointsman_routing::{Facts, MessageFacts, Router};
use serde_json::{Value, json};

const PAGE: &str = include_str!("../../../docs/routing.md");

/// The first block of a language behind the heading.
fn block(language: &str) -> Value {
    let section = PAGE
        .split("## What `pointsman route --json` tells")
        .nth(1)
        .unwrap();
    let block = section.split(&format!("```{language}\n")).nth(1).unwrap();
    serde_json::from_str(block.split("```").next().unwrap()).unwrap()
}

#[test]
fn what_the_documentation_prints_is_what_is_told() {
    let router = Router::compile(&serde_json::from_value(block("yaml")["routing"].clone()).unwrap());
    let router = router.unwrap_or_else(|wrong| panic!("{wrong:?}"));
    let messages = [MessageFacts {
        role: "user",
        text: "some algebra",
        ..MessageFacts::default()
    }];
    let facts = Facts {
        user_text: "some algebra",
        messages: &messages,
        estimated_tokens: 3,
        ..Facts::default()
    };
    let mut told = json!(router.explain(&facts, 0.0));
    for metrics in told["metrics"].as_object_mut().unwrap().values_mut() {
        assert!(metrics["execution_time_us"].is_number());
        metrics["execution_time_us"] = json!(0.4);
    }
    assert_eq!(
        told,
        block("json"),
        "{}",
        serde_json::to_string_pretty(&told).unwrap()
    );
}

//! The shape in which a route is explained, as the documentation prints it: who changes it breaks programs.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test says what it expects by failing"
)]

use std::collections::BTreeSet;

use pointsman_routing::{Facts, Router};
use serde_json::json;

const PAGE: &str = include_str!("../../../docs/routing.md");
/// Fields that are only there where there is something to tell.
const SOMETIMES: [&str; 3] = ["selection", "not_needed", "failed"];

/// The fields that the page names in the first column of its table.
fn documented() -> BTreeSet<&'static str> {
    let section = PAGE
        .split("## What `pointsman route --json` tells")
        .nth(1)
        .unwrap();
    let section = section.split("\n## ").next().unwrap();
    let rows = section.lines().filter(|line| line.starts_with("| `"));
    let fields = rows.flat_map(|row| row.split('|').nth(1).unwrap().split('`').skip(1).step_by(2));
    fields.collect()
}

#[test]
fn what_the_documentation_names_is_what_is_told() {
    let config = json!({
        "modelCards": [{"name": "large", "quality_score": 0.9}, {"name": "small", "quality_score": 0.6}],
        "signals": {"keywords": [{"name": "maths", "operator": "OR", "keywords": ["algebra"]}]},
        "decisions": [{"name": "hard", "rules": {"type": "keyword", "name": "maths"}, "algorithm": {"type": "automix"},
                       "modelRefs": [{"model": "small"}, {"model": "large"}]}]
    });
    let router = Router::compile(&serde_json::from_value(config).unwrap());
    let router = router.unwrap_or_else(|wrong| panic!("{wrong:?}"));
    let facts = Facts {
        user_text: "some algebra",
        ..Facts::default()
    };
    let told = json!(router.explain(&facts, 0.0));
    let told: BTreeSet<&str> = told.as_object().unwrap().keys().map(String::as_str).collect();
    let documented = documented();
    assert!(
        told.contains("selection") && documented.len() > 12,
        "{documented:?}"
    );
    assert_eq!(told.difference(&documented).count(), 0, "{told:?} {documented:?}");
    let missing = documented
        .difference(&told)
        .filter(|field| !SOMETIMES.contains(field));
    assert_eq!(missing.count(), 0, "{told:?} {documented:?}");
}

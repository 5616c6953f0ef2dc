//! What is told of a configuration is so: tried with random configurations and random requests against an evaluator
//! that knows nothing of the router.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test says what it expects by failing"
)]

use std::cell::Cell;
use std::collections::HashMap;

use pointsman_routing::{ConflictKind, Facts, Outcome, Router, RoutingConfig, conflicts};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::{Value, json};

fn config(value: Value) -> RoutingConfig {
    serde_json::from_value(value).unwrap()
}

/// What is told, as `path: message`.
fn told(value: Value) -> Vec<String> {
    let conflicts = conflicts(&config(value));
    conflicts
        .into_iter()
        .map(|conflict| format!("{}: {}", conflict.path, conflict.message))
        .collect()
}

fn decision(name: &str, priority: i64, rules: Value) -> Value {
    json!({"name": name, "priority": priority, "rules": rules, "modelRefs": [{"model": "m"}]})
}

fn all(conditions: Vec<Value>) -> Value {
    json!({"operator": "AND", "conditions": conditions})
}

fn any(conditions: Vec<Value>) -> Value {
    json!({"operator": "OR", "conditions": conditions})
}

fn not(condition: Value) -> Value {
    json!({"operator": "NOT", "conditions": [condition]})
}

fn leaf(kind: &str, name: &str) -> Value {
    json!({"type": kind, "name": name})
}

/// Signals of every kind that is bound to others of its kind.
fn signals() -> Value {
    json!({
        "keywords": [{"name": "a", "keywords": ["aa"]}, {"name": "not_a", "operator": "NOR", "keywords": ["aa"]},
                     {"name": "b", "keywords": ["bb"]}],
        "context": [{"name": "short", "max_tokens": 99}, {"name": "long", "min_tokens": 100}, {"name": "huge", "min_tokens": "1K"}],
        "structure": [
            {"name": "asks", "feature": {"type": "count", "source": {"type": "regex", "pattern": "\\?"}}, "predicate": {"gte": 1}},
            {"name": "asks_much", "feature": {"type": "count", "source": {"type": "regex", "pattern": "\\?"}}, "predicate": {"gte": 3}},
            {"name": "tells", "feature": {"type": "count", "source": {"type": "regex", "pattern": "\\?"}}, "predicate": {"lt": 1}}],
        "metadata": [{"name": "gold", "key": "plan", "predicate": {"equals": "gold"}},
                     {"name": "paid", "key": "plan", "predicate": {"in": ["gold", "silver"]}},
                     {"name": "free", "key": "plan", "predicate": {"exists": false}}]
    })
}

/// A score from 0 to 3, in three bands.
fn projections() -> Value {
    json!({
        "scores": [{"name": "s", "inputs": [{"type": "keyword", "name": "a", "weight": 1}, {"type": "keyword", "name": "b", "weight": 2}]}],
        "mappings": [{"name": "m", "source": "s", "outputs": [{"name": "low", "lt": 1}, {"name": "mid", "gte": 1, "lt": 2.5}, {"name": "high", "gte": 2.5}]}]
    })
}

/// Every signal that `signals` and `projections` declare.
const LEAVES: [(&str, &str); 15] = [
    ("keyword", "a"),
    ("keyword", "not_a"),
    ("keyword", "b"),
    ("context", "short"),
    ("context", "long"),
    ("context", "huge"),
    ("structure", "asks"),
    ("structure", "asks_much"),
    ("structure", "tells"),
    ("metadata", "gold"),
    ("metadata", "paid"),
    ("metadata", "free"),
    ("projection", "low"),
    ("projection", "mid"),
    ("projection", "high"),
];

#[test]
fn each_conflict_is_told_with_what_to_do() {
    let decisions = vec![
        decision(
            "both",
            90,
            all(vec![leaf("context", "short"), any(vec![leaf("context", "huge")])]),
        ),
        decision(
            "bands",
            89,
            all(vec![
                leaf("projection", "low"),
                leaf("keyword", "b"),
                leaf("projection", "high"),
            ]),
        ),
        decision(
            "branch",
            88,
            any(vec![
                leaf("keyword", "a"),
                all(vec![leaf("metadata", "gold"), leaf("metadata", "free")]),
            ]),
        ),
        decision("paying", 50, leaf("metadata", "paid")),
        decision(
            "golden",
            40,
            all(vec![leaf("metadata", "gold"), leaf("keyword", "b")]),
        ),
        decision("long", 30, leaf("context", "long")),
        decision("short", 29, leaf("context", "short")),
        decision("rest", 10, json!({})),
        decision("asking", 60, leaf("structure", "asks")),
    ];
    let found = told(json!({
        "modelCards": [{"name": "other"}], "signals": signals(), "projections": projections(), "decisions": decisions
    }));
    for expected in [
        "decisions[0].rules: \"both\" can never match: context:short and context:huge exclude each other; change its rules, or take it out",
        "decisions[1].rules: \"bands\" can never match: projection:low and projection:high exclude each other",
        "decisions[2].rules.conditions[1]: this alternative can never match: metadata:gold and metadata:free exclude each other",
        "decisions[4]: \"golden\" is never taken: whenever it matches, \"paying\", which matches too, goes first; give it a higher priority",
        "decisions[7]: \"rest\" is never taken: whenever it matches, \"long\" or \"short\", which match too, goes first",
        "signals.keywords[1]: no rule and no score looks at the keyword signal \"not_a\"; use it, or take it out",
        "signals.structure[1]: no rule and no score looks at the structure signal \"asks_much\"",
        "signals.structure[2]: no rule and no score looks at the structure signal \"tells\"",
        "decisions[0].modelRefs[0].model: there is no model card \"m\"; add one under modelCards",
    ] {
        assert!(
            found.iter().any(|told| told.starts_with(expected)),
            "{expected}\nnot in {found:#?}"
        );
    }
    let cards = found.iter().filter(|told| told.contains("no model card")).count();
    assert_eq!(found.len(), 8 + cards, "{found:#?}");
}

#[test]
fn bands_are_looked_at() {
    let outputs = |bands: Value| {
        let mut projections = projections();
        projections["mappings"][0]["outputs"] = bands;
        let rules = leaf("projection", "x");
        told(
            json!({"signals": {"keywords": [{"name": "a", "keywords": ["a"]}, {"name": "b", "keywords": ["b"]}]},
            "projections": projections, "decisions": [decision("d", 1, rules)]}),
        )
    };
    for (bands, expected) in [
        (json!([{"name": "x", "lt": 1}, {"name": "y", "gte": 1}]), ""),
        (
            json!([{"name": "x", "lt": 1}, {"name": "y", "lt": 2}, {"name": "z"}]),
            "",
        ),
        (
            json!([{"name": "x", "lt": 1}, {"name": "y", "gt": 1}]),
            "mappings[0]: \"m\" has a gap: no output holds for 1;",
        ),
        (
            json!([{"name": "x", "lt": 1}, {"name": "y", "gte": 2}]),
            "mappings[0]: \"m\" has a gap: no output holds for 1;",
        ),
        (
            json!([{"name": "x", "lt": 1}, {"name": "y", "gte": 0.5}]),
            "outputs[1]: \"y\" overlaps \"x\", which counts where both hold",
        ),
        (
            json!([{"name": "x", "lt": 2}, {"name": "y", "lt": 1}]),
            "outputs[1]: \"y\" never counts: those before it hold",
        ),
        (
            json!([{"name": "x", "lt": 5}, {"name": "y", "gte": 5}]),
            "outputs[1]: \"y\" is out of reach: the score goes from 0 to 3;",
        ),
        (
            json!([{"name": "x", "lt": 1, "gt": 2}]),
            "outputs[0]: \"x\" holds for no number;",
        ),
    ] {
        let found = outputs(bands.clone());
        let found: Vec<&String> = found
            .iter()
            .filter(|told| told.starts_with("projections"))
            .collect();
        if expected.is_empty() {
            assert!(found.is_empty(), "{bands}: {found:?}");
        } else {
            assert!(
                found.iter().any(|told| told.contains(expected)),
                "{bands}: {expected} not in {found:?}"
            );
        }
    }
}

#[test]
fn partitions_are_looked_at() {
    let partition = |name: &str, members: Vec<&str>, default: Option<&str>| json!({"name": name, "semantics": "exclusive", "members": members, "default": default});
    let found = told(json!({
        "signals": {"domains": [{"name": "law"}, {"name": "math"}, {"name": "art"}]},
        "projections": {"partitions": [partition("one", vec!["law", "math"], Some("law")),
            partition("two", vec!["math", "art"], None), partition("three", vec!["x", "x"], Some("y"))]},
        "decisions": [decision("d", 2, all(vec![leaf("domain", "law"), leaf("domain", "math")]))]
    }));
    for expected in [
        "projections.partitions[1].members[0]: \"math\" is a member of \"one\", too",
        "projections.partitions[1]: \"two\" has a gap: nothing wins when no member matches; give a default",
        "projections.partitions[2].members[1]: \"x\" stands here twice",
        "projections.partitions[2].default: the default \"y\" is no member",
        "projections.partitions[2]: no rule and no score looks at any member of \"three\"",
        "decisions[0].rules: \"d\" can never match: domain:law and domain:math exclude each other",
    ] {
        assert!(
            found.iter().any(|told| told.starts_with(expected)),
            "{expected}\nnot in {found:#?}"
        );
    }
}

#[test]
fn recipes_are_looked_at_each_by_itself() {
    let found = told(json!({
        "signals": {"keywords": [{"name": "a", "keywords": ["a"]}]},
        "decisions": [decision("d", 1, leaf("keyword", "a"))],
        "recipes": [
            {"name": "r", "routing": {"signals": {"keywords": [{"name": "a", "keywords": ["a"]}]},
             "decisions": [decision("e", 1, all(vec![leaf("keyword", "a"), not(leaf("keyword", "a"))]))]}},
            {"name": "s", "routing": {"decisions": [decision("f", 1, json!({}))]}}],
        "entrypoints": [{"model_names": ["v"], "recipe": "r"}]
    }));
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(found[0].starts_with("recipes[0].routing.decisions[0].rules: \"e\" can never match"));
    assert!(found[1].starts_with("recipes[1]: no entrypoint leads to the recipe \"s\""));
}

/// Rules over all signals.
fn rule() -> impl Strategy<Value = Value> {
    let one = (0..LEAVES.len()).prop_map(|at| leaf(LEAVES[at].0, LEAVES[at].1));
    one.prop_recursive(4, 20, 3, |inner| {
        prop_oneof![
            2 => proptest::collection::vec(inner.clone(), 1..4).prop_map(all),
            1 => proptest::collection::vec(inner.clone(), 1..4).prop_map(any),
            1 => inner.prop_map(not),
        ]
    })
}

/// A request, as the test itself understands it.
#[derive(Debug, Clone)]
struct Request {
    a: bool,
    b: bool,
    questions: usize,
    tokens: u64,
    plan: Option<&'static str>,
}

fn request() -> impl Strategy<Value = Request> {
    let tokens = prop_oneof![Just(0), Just(99), Just(100), Just(999), Just(1_000), 0..2_000_u64];
    let plan = prop_oneof![
        Just(None),
        Just(Some("gold")),
        Just(Some("silver")),
        Just(Some("tin"))
    ];
    (any_bool(), any_bool(), 0..5_usize, tokens, plan).prop_map(|(a, b, questions, tokens, plan)| Request {
        a,
        b,
        questions,
        tokens,
        plan,
    })
}

fn any_bool() -> impl Strategy<Value = bool> {
    proptest::bool::ANY
}

impl Request {
    fn says(&self, kind: &str, name: &str) -> bool {
        let score = f64::from(u8::from(self.a)) + 2.0 * f64::from(u8::from(self.b));
        match (kind, name) {
            (_, "a") => self.a,
            (_, "not_a") => !self.a,
            (_, "b") => self.b,
            (_, "short") => self.tokens <= 99,
            (_, "long") => self.tokens >= 100,
            (_, "huge") => self.tokens >= 1_000,
            (_, "asks") => self.questions >= 1,
            (_, "asks_much") => self.questions >= 3,
            (_, "tells") => self.questions == 0,
            (_, "gold") => self.plan == Some("gold"),
            (_, "paid") => matches!(self.plan, Some("gold" | "silver")),
            (_, "free") => self.plan.is_none(),
            (_, "low") => score < 1.0,
            (_, "mid") => (1.0..2.5).contains(&score),
            (_, "high") => score >= 2.5,
            other => panic!("{other:?}"),
        }
    }

    fn holds(&self, rule: &Value) -> bool {
        if let Some(kind) = rule["type"].as_str() {
            return self.says(kind, rule["name"].as_str().unwrap());
        }
        let mut conditions = rule["conditions"].as_array().unwrap().iter();
        match rule["operator"].as_str().unwrap() {
            "AND" => conditions.all(|rule| self.holds(rule)),
            "OR" => conditions.any(|rule| self.holds(rule)),
            _ => !conditions.all(|rule| self.holds(rule)),
        }
    }
}

#[test]
#[expect(clippy::too_many_lines, reason = "one law, with the world it is tried in")]
fn what_is_told_never_to_match_is_never_taken() {
    let cases = (
        proptest::collection::vec((rule(), 0_i64..4, 0_u32..2), 1..7),
        proptest::collection::vec(request(), 30),
        any_bool(),
    );
    let (never, shadowed, silent) = (Cell::new(0), Cell::new(0), Cell::new(0));
    let mut runner = TestRunner::new(Config::with_cases(500));
    let run = runner.run(&cases, |(decisions, requests, tiered)| {
        let decisions: Vec<Value> = decisions
            .iter()
            .enumerate()
            .map(|(number, (rules, priority, tier))| {
                let mut decision = decision(&format!("d{number}"), *priority, rules.clone());
                decision["tier"] = json!(if tiered { *tier } else { 0 });
                decision
            })
            .collect();
        let routing =
            config(json!({"signals": signals(), "projections": projections(), "decisions": decisions}));
        let mut told: HashMap<usize, ConflictKind> = HashMap::new();
        for conflict in conflicts(&routing) {
            let whole = conflict.path.strip_suffix(".rules").unwrap_or(&conflict.path);
            let number = whole
                .strip_prefix("decisions[")
                .and_then(|rest| rest.strip_suffix(']'));
            if let Some(number) = number.and_then(|number| number.parse().ok()) {
                told.insert(number, conflict.kind);
            }
        }
        let router = Router::compile(&routing).unwrap();
        for request in &requests {
            let text = format!(
                "{}{}{}",
                if request.a { "aa " } else { "" },
                if request.b { "bb " } else { "" },
                "?".repeat(request.questions)
            );
            let metadata: Vec<(String, String)> = request
                .plan
                .iter()
                .map(|plan| ("plan".to_owned(), (*plan).to_owned()))
                .collect();
            let facts = Facts {
                user_text: &text,
                estimated_tokens: request.tokens,
                metadata: &metadata,
                ..Facts::default()
            };
            let taken = match router.decide(&facts, 0.0) {
                Outcome::Matched(decided) => decided.decision[1..].parse().ok(),
                Outcome::NoMatch => None,
            };
            prop_assert!(
                taken.is_none_or(|number: usize| !told.contains_key(&number)),
                "{taken:?} {told:?} {request:?}"
            );
            for (number, kind) in &told {
                if *kind == ConflictKind::NeverMatches {
                    prop_assert!(
                        !request.holds(&decisions[*number]["rules"]),
                        "{number} {request:?}"
                    );
                }
            }
            // The test's own understanding is the router's.
            let matching = decisions.iter().any(|decision| request.holds(&decision["rules"]));
            prop_assert_eq!(matching, taken.is_some());
        }
        let count = |kind| told.values().filter(|told| **told == kind).count();
        never.set(never.get() + count(ConflictKind::NeverMatches));
        shadowed.set(shadowed.get() + count(ConflictKind::Shadowed));
        silent.set(silent.get() + decisions.len() - told.len());
        Ok(())
    });
    run.unwrap_or_else(|error| panic!("{error}"));
    // The test would be idle if nothing were told, or everything.
    assert!(
        never.get() > 50 && shadowed.get() > 50 && silent.get() > 200,
        "{never:?} {shadowed:?} {silent:?}"
    );
}

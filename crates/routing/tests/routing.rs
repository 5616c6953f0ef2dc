//! The routing language: what is printed works, what is lazy is the same, what is wrong is named.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test says what it expects by failing"
)]

use pointsman_routing::{Facts, MessageFacts, Outcome, Reasoning, Router, RoutingConfig};
use proptest::prelude::*;
use serde_json::{Value, json};

fn compile(config: Value) -> Router {
    let config: RoutingConfig = serde_json::from_value(config).unwrap();
    Router::compile(&config).unwrap_or_else(|errors| panic!("{errors:?}"))
}

fn errors(config: Value) -> Vec<(String, String, Option<String>)> {
    let config: RoutingConfig = serde_json::from_value(config).unwrap();
    let errors = Router::compile(&config).err().unwrap();
    errors
        .into_iter()
        .map(|error| (error.path, error.message, error.suggestion))
        .collect()
}

fn ask<'a>(router: &'a Router, text: &str) -> Option<(&'a str, &'a str)> {
    match router.decide(
        &Facts {
            user_text: text,
            ..Facts::default()
        },
        0.0,
    ) {
        Outcome::Matched(decided) => Some((
            decided.decision,
            decided.selected.map_or("", |selected| &selected.model),
        )),
        Outcome::NoMatch => None,
    }
}

fn printed_in_the_contract() -> Value {
    json!({
        "modelCards": [{"name": "qwen3-8b", "modality": "text", "capabilities": ["chat", "reasoning"],
                        "loras": [{"name": "math-adapter", "description": "…"}]}],
        "signals": {"keywords": [{"name": "math_terms", "operator": "OR", "keywords": ["algebra", "calculus"]}]},
        "decisions": [{
            "name": "math_route", "description": "Route math requests", "priority": 100,
            "rules": {"operator": "AND", "conditions": [{"type": "keyword", "name": "math_terms"}]},
            "modelRefs": [{"model": "qwen3-8b", "use_reasoning": true, "lora_name": "math-adapter"}]
        }]
    })
}

#[test]
fn both_printed_forms_route_algebra_to_the_adapter_with_reasoning() {
    let inside = printed_in_the_contract();
    let mut beside = inside.clone();
    let decision = beside["decisions"][0].as_object_mut().unwrap();
    let (rules, models) = (
        decision.remove("rules").unwrap(),
        decision.remove("modelRefs").unwrap(),
    );
    beside["rules"] = rules;
    beside["modelRefs"] = models;
    for config in [inside, beside] {
        let router = compile(config);
        assert!(router.enters("auto"));
        let facts = Facts {
            user_text: "solve this algebra problem",
            ..Facts::default()
        };
        let Outcome::Matched(decided) = router.decide(&facts, 0.5) else {
            panic!("no match")
        };
        let selected = decided.selected.unwrap();
        assert_eq!(
            (decided.decision, selected.model.as_str()),
            ("math_route", "qwen3-8b")
        );
        assert_eq!(selected.lora_name.as_deref(), Some("math-adapter"));
        assert_eq!(
            selected.reasoning,
            Some(Reasoning::ChatTemplate {
                parameter: "enable_thinking".to_owned(),
                enabled: true
            })
        );
        assert!(ask(&router, "write a poem").is_none());
    }
}

#[test]
fn rank_tier_and_confidence_decide() {
    let decision = |name: &str, priority: i64, tier: u32, keyword: &str| {
        json!({"name": name, "priority": priority, "tier": tier, "modelRefs": [{"model": name}],
               "rules": {"operator": "OR", "conditions": [{"type": "keyword", "name": keyword}]}})
    };
    let signals =
        json!({"keywords": [{"name": "a", "keywords": ["a", "x"]}, {"name": "b", "keywords": ["b"]}]});
    let low_high =
        json!({"signals": signals, "decisions": [decision("low", 1, 0, "a"), decision("high", 2, 0, "b")]});
    assert_eq!(ask(&compile(low_high), "a b"), Some(("high", "high")));
    let equal =
        json!({"signals": signals, "decisions": [decision("half", 1, 0, "a"), decision("full", 1, 0, "b")]});
    assert_eq!(
        ask(&compile(equal), "a b"),
        Some(("full", "full")),
        "of equals the surer"
    );
    let tiers = json!({"signals": signals, "decisions": [decision("second", 9, 2, "a"), decision("first", 1, 1, "b")]});
    assert_eq!(ask(&compile(tiers), "a b"), Some(("first", "first")));
    let sure = json!({"strategy": "confidence", "signals": signals, "default_model": "d",
                      "decisions": [decision("half", 9, 0, "a"), decision("full", 1, 0, "b")]});
    let router = compile(sure);
    assert_eq!(ask(&router, "a b"), Some(("full", "full")));
    assert_eq!(ask(&router, "nothing"), Some(("default", "d")));
}

#[test]
fn weights_share_the_traffic_and_the_others_stand_by() {
    let router = compile(
        json!({"decisions": [{"name": "d", "modelRefs": [{"model": "m", "weight": 3}, {"model": "n", "weight": 1}]}]}),
    );
    let facts = Facts::default();
    let drawn = |roll: f64| match router.decide(&facts, roll) {
        Outcome::Matched(decided) => (
            decided.selected.unwrap().model.clone(),
            decided.fallbacks[0].model.clone(),
        ),
        Outcome::NoMatch => panic!(),
    };
    assert_eq!(drawn(0.74), ("m".to_owned(), "n".to_owned()));
    assert_eq!(drawn(0.76), ("n".to_owned(), "m".to_owned()));
}

static METADATA: std::sync::LazyLock<Vec<(String, String)>> = std::sync::LazyLock::new(|| {
    [("plan", "gold")]
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .to_vec()
});
const SAID: MessageFacts<'static> = MessageFacts {
    role: "user",
    text: "",
    has_image: false,
    has_audio: false,
    has_video: false,
    tool_calls: 0,
    is_tool_result: false,
};
static TOOL: [MessageFacts<'static>; 3] = [
    SAID,
    SAID,
    MessageFacts {
        role: "tool",
        is_tool_result: true,
        ..SAID
    },
];

#[test]
fn the_other_signals_see_their_facts() {
    let signals = json!({
        "context": [{"name": "long", "min_tokens": "32K"}],
        "conversation": [{"name": "loop", "feature": {"type": "exists", "source": {"type": "active_tool_loop"}}},
                         {"name": "turns", "feature": {"type": "count", "source": {"type": "message", "role": "user"}}, "predicate": {"gte": 2}}],
        "metadata": [{"name": "gold", "key": "plan", "predicate": {"in": ["gold"]}}],
        "events": [{"name": "alarm", "event_types": ["alarm"], "severities": ["high"]}],
        "role_bindings": [{"role": "admin", "subjects": [{"kind": "Team", "name": "core"}]}],
        "language": [{"name": "de"}]
    });
    let facts = |change: fn(&mut Facts<'static>)| {
        let mut facts = Facts::default();
        change(&mut facts);
        facts
    };
    for (kind, name, facts) in [
        ("context", "long", facts(|facts| facts.estimated_tokens = 32_000)),
        ("conversation", "loop", facts(|facts| facts.messages = &TOOL)),
        ("conversation", "turns", facts(|facts| facts.messages = &TOOL)),
        ("metadata", "gold", facts(|facts| facts.metadata = &METADATA)),
        (
            "event",
            "alarm",
            facts(|facts| facts.user_text = "an alarm went off"),
        ),
        ("authz", "admin", facts(|facts| facts.caller.team = Some("core"))),
        (
            "language",
            "de",
            facts(|facts| facts.user_text = "Wo ist bitte der nächste Bahnhof, und wann fährt der Zug?"),
        ),
    ] {
        let router = compile(json!({"signals": signals, "decisions": [
            {"name": "d", "modelRefs": [{"model": "m"}], "rules": {"type": kind, "name": name}}]}));
        assert!(
            matches!(router.decide(&facts, 0.0), Outcome::Matched(_)),
            "{kind}:{name}"
        );
        assert!(
            matches!(router.decide(&Facts::default(), 0.0), Outcome::NoMatch),
            "{kind}:{name} without"
        );
    }
}

#[test]
fn scores_make_bands() {
    let router = compile(json!({
        "signals": {"keywords": [{"name": "a", "keywords": ["a"]}, {"name": "b", "keywords": ["b"]}]},
        "projections": {
            "scores": [{"name": "hardness", "method": "weighted_sum", "inputs": [
                {"type": "keyword", "name": "a", "weight": 0.4}, {"type": "keyword", "name": "b", "weight": 0.6}]}],
            "mappings": [{"name": "m", "source": "hardness", "method": "threshold_bands",
                          "outputs": [{"name": "easy", "lt": 0.5}, {"name": "hard", "gte": 0.5}]}]
        },
        "decisions": [{"name": "hard", "priority": 2, "modelRefs": [{"model": "big"}], "rules": {"type": "projection", "name": "hard"}},
                      {"name": "easy", "priority": 1, "modelRefs": [{"model": "small"}], "rules": {"type": "projection", "name": "easy"}}]
    }));
    assert_eq!(ask(&router, "a"), Some(("easy", "small")));
    assert_eq!(ask(&router, "b"), Some(("hard", "big")));
}

#[test]
fn plugins_are_compiled() {
    let router = compile(json!({"decisions": [{"name": "d", "plugins": [
        {"type": "fast_response", "configuration": {"message": "no"}},
        {"type": "system_prompt", "configuration": {"system_prompt": "be brief", "mode": "replace"}},
        {"type": "header_mutation", "configuration": {"add": [{"name": "x-a", "value": "1"}], "delete": ["x-b"]}},
        {"type": "request_params", "configuration": {"max_tokens_limit": 9, "blocked_params": ["seed"]}}]}]}));
    let Outcome::Matched(decided) = router.decide(&Facts::default(), 0.0) else {
        panic!()
    };
    assert_eq!(decided.plugins.fast_response.as_ref().unwrap().message, "no");
    assert!(decided.plugins.system_prompt.as_ref().unwrap().replace);
    assert_eq!(decided.plugins.headers.len(), 2);
    assert_eq!(
        decided.plugins.request_params.as_ref().unwrap().max_tokens,
        Some(9)
    );
    assert!(decided.selected.is_none());
}

#[test]
fn everything_wrong_is_named_at_once() {
    let found = errors(json!({
        "modelCards": [{"name": "m", "loras": [{"name": "math-adapter"}]}, {"name": "m"}],
        "signals": {"keywords": [{"name": "math_terms", "keywords": ["a"]}], "domains": [{"name": "maths"}], "classifiers": [{"name": "k"}]},
        "decisions": [
            {"name": "d", "rules": {"type": "keyword", "name": "math_term"}, "modelRefs": [{"model": "m", "lora_name": "math-adaptor"}]},
            {"name": "d", "rules": {"type": "domain", "name": "maths"}, "modelRefs": [{"model": "m"}]},
            {"name": "e", "rules": {"type": "keywrd", "name": "x"}, "modelRefs": [{"model": "m"}], "algorithm": {"type": "fusion", "remom": {}}},
            {"name": "f", "plugins": [{"type": "shadow_dispatch", "configuration": {"enabled": true}}, {"type": "fast_respons"}]}
        ]
    }));
    let has = |path: &str, message: &str, suggestion: Option<&str>| {
        assert!(
            found.iter().any(|(at, what, meant)| at == path
                && what.contains(message)
                && meant.as_deref() == suggestion),
            "{path}: {message} ({suggestion:?}) not in {found:#?}"
        );
    };
    has("modelCards[1].name", "another model card", None);
    has("signals.domains[0]", "there is no domain \"maths\"", None);
    has("signals.classifiers[0].labels", "at least two labels", None);
    has(
        "decisions[0].rules.name",
        "no keyword signal \"math_term\"",
        Some("math_terms"),
    );
    has(
        "decisions[0].modelRefs[0].lora_name",
        "no adapter",
        Some("math-adapter"),
    );
    has("decisions[1].name", "another decision", None);
    has(
        "decisions[2].rules.type",
        "no signal type \"keywrd\"",
        Some("keyword"),
    );
    has("decisions[2].algorithm.remom", "is not read by type", None);
    has(
        "decisions[3].plugins[0]",
        "shadow_dispatch.model names the model",
        None,
    );
    has("decisions[3].plugins[1]", "unknown plugin", None);
    has("decisions[3]", "needs modelRefs", None);
}

/// A rule over signals `s0` to `s3`.
fn rule() -> impl Strategy<Value = Value> {
    let leaf = (0..4_usize).prop_map(|number| json!({"type": "keyword", "name": format!("s{number}")}));
    leaf.prop_recursive(4, 24, 3, |inner| {
        prop_oneof![
            (
                prop_oneof![Just("AND"), Just("OR")],
                proptest::collection::vec(inner.clone(), 1..4)
            )
                .prop_map(|(operator, conditions)| json!({"operator": operator, "conditions": conditions})),
            inner.prop_map(|rule| json!({"operator": "NOT", "conditions": [rule]})),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn lazy_and_complete_evaluation_decide_the_same(
        rules in proptest::collection::vec((rule(), 0_i64..3, 0_u32..2), 1..6),
        confidence in any::<bool>(),
        text in "[a-d ]{0,6}",
    ) {
        let keywords: Vec<Value> =
            ["a", "b", "c", "d"].iter().enumerate().map(|(number, word)| json!({"name": format!("s{number}"), "keywords": [word, "zz"]})).collect();
        let decisions: Vec<Value> = rules.iter().enumerate().map(|(number, (rule, priority, tier))| {
            json!({"name": format!("d{number}"), "priority": priority, "tier": tier, "rules": rule, "modelRefs": [{"model": "m"}]})
        }).collect();
        let strategy = if confidence { "confidence" } else { "priority" };
        let router = compile(json!({"strategy": strategy, "signals": {"keywords": keywords}, "decisions": decisions}));
        let text: String = text.chars().flat_map(|letter| [letter, ' ']).collect();
        let facts = Facts { user_text: &text, ..Facts::default() };
        let lazy = match router.decide(&facts, 0.0) {
            Outcome::Matched(decided) => Some(decided.decision.to_owned()),
            Outcome::NoMatch => None,
        };
        let explained = router.explain(&facts, 0.0);
        // Chosen anew from the complete trace: the best rank, then the surest, then the first.
        let mut best: Option<(u32, i64, f64, usize)> = None;
        for trace in explained.eval_trace.iter().filter(|trace| trace.matched) {
            let number: usize = trace.decision[1..].parse().unwrap();
            let priority = if confidence { 0 } else { -trace.priority };
            let rank = if confidence { trace.priority } else { 0 };
            let candidate = (trace.tier, priority, -trace.confidence, number);
            let _ = rank;
            let better = best.is_none_or(|best| {
                (candidate.0, candidate.1).cmp(&(best.0, best.1)).then(candidate.2.total_cmp(&best.2)).is_lt()
            });
            if better { best = Some(candidate); }
        }
        prop_assert_eq!(&lazy, &best.map(|(.., number)| format!("d{number}")));
        prop_assert_eq!(lazy, explained.routing_decision);
    }
}

#[test]
fn a_decision_may_stay_with_the_sessions_model() {
    let keeps = |keeps: bool| {
        compile(json!({
            "decisions": [{
                "name": "d", "modelRefs": [{"model": "a"}, {"model": "b"}],
                "emits": [{"kind": "retention", "retention": {"keep_current_model": keeps}}]
            }]
        }))
    };
    let chosen = |router: &Router, model: &str| {
        let previous = pointsman_routing::selection::Previous {
            model,
            warm_tokens: 0,
            turns: 1,
            idle_seconds: 1,
            in_tool_loop: false,
        };
        let facts = Facts {
            previous: Some(previous),
            ..Facts::default()
        };
        match router.decide(&facts, 0.0) {
            Outcome::Matched(decided) => (decided.selected.unwrap().model.clone(), decided.fallbacks.len()),
            Outcome::NoMatch => panic!("nothing matches"),
        }
    };
    let (keeping, drawing) = (keeps(true), keeps(false));
    assert!(keeping.follows_sessions() && !drawing.follows_sessions());
    assert_eq!(chosen(&keeping, "b"), ("b".to_owned(), 1));
    assert_eq!(chosen(&drawing, "b"), ("a".to_owned(), 1));
    // One that the decision does not have is none of its.
    assert_eq!(chosen(&keeping, "z"), ("a".to_owned(), 1));
}

//! Signals that models answer: what is asked, and what is made of the answers.

#![allow(clippy::unwrap_used, reason = "a test says what it expects by failing")]

use std::collections::HashMap;
use std::fmt;
use std::time::Duration;

use pointsman_routing::{
    Answers, Asks, Explanation, Facts, Meaning, MessageFacts, Outcome, Router, RoutingConfig, Step, Want,
};
use serde_json::{Value, json};

/// Answers from tables.
#[derive(Default)]
struct Told {
    heads: HashMap<&'static str, Vec<(String, f32)>>,
    entities: Vec<(&'static str, f32)>,
    vectors: HashMap<&'static str, [f32; 2]>,
}

impl Told {
    fn head(mut self, head: &'static str, labels: &[(&str, f32)]) -> Self {
        let labels = labels
            .iter()
            .map(|(label, probability)| ((*label).to_owned(), *probability));
        self.heads.insert(head, labels.collect());
        self
    }

    /// A text that points this many degrees away from the first axis.
    fn vector(mut self, text: &'static str, degrees: f32) -> Self {
        let angle = degrees.to_radians();
        self.vectors.insert(text, [angle.cos(), angle.sin()]);
        self
    }
}

impl fmt::Debug for Told {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Told")
    }
}

impl Meaning for Told {
    fn vector(&self, text: &str) -> Option<&[f32]> {
        Answers::vector(self, text)
    }
}

impl Answers for Told {
    fn labels(&self, head: &str) -> Option<&[(String, f32)]> {
        self.heads.get(head).map(Vec::as_slice)
    }

    fn point(&self, head: &str, name: &str) -> Option<(&str, f32)> {
        (head != "domain" && name == "fpr_1pct").then_some(("yes", 0.8))
    }

    fn entities(&self) -> Vec<(&str, f32)> {
        self.entities.clone()
    }

    fn vector(&self, text: &str) -> Option<&[f32]> {
        self.vectors.get(text).map(<[f32; 2]>::as_slice)
    }
}

fn compile(signals: &Value, rules: &Value) -> Result<Router, Vec<String>> {
    let config: RoutingConfig = serde_json::from_value(json!({
        "signals": signals,
        "default_model": "usual",
        "decisions": [{"name": "taken", "rules": rules, "modelRefs": [{"model": "m"}]}]
    }))
    .unwrap();
    Router::compile(&config).map_err(|errors| {
        let told = |error: pointsman_routing::CompileError| format!("{}: {}", error.path, error.message);
        errors.into_iter().map(told).collect()
    })
}

fn said<'a>(role: &'a str, text: &'a str) -> MessageFacts<'a> {
    MessageFacts {
        role,
        text,
        ..MessageFacts::default()
    }
}

/// Decides with these answers; what was asked on the way, and what came of it.
fn judged(router: &Router, messages: &[MessageFacts<'_>], told: &Told) -> (Vec<Asks>, Explanation) {
    let user_text = messages
        .iter()
        .rfind(|message| message.role == "user")
        .map_or("", |message| message.text);
    let facts = Facts {
        user_text,
        messages,
        ..Facts::default()
    };
    let mut deciding = router.deciding(facts, Want::Everything);
    let mut asked = Vec::new();
    while let Step::Ask(calls) = deciding.step() {
        for call in calls {
            asked.push(deciding.asks(&call));
            deciding.answered(&call, told, Duration::ZERO);
        }
    }
    let explained = deciding.explain(0.0);
    (asked, explained)
}

/// The signals that match in a conversation of one prompt.
fn matching(signals: &Value, rules: &Value, told: &Told) -> Vec<String> {
    let router = compile(signals, rules).unwrap();
    let (_, explained) = judged(&router, &[said("user", "the prompt")], told);
    names(&explained)
}

fn names(explained: &Explanation) -> Vec<String> {
    assert_eq!(explained.failed, Vec::<String>::new());
    explained.matched_signals.values().flatten().cloned().collect()
}

fn leaf(kind: &str, name: &str) -> Value {
    json!({"type": kind, "name": name})
}

#[test]
fn a_domain_is_the_sum_of_what_counts_as_it() {
    let signals = json!({"domains": [
        {"name": "science", "mmlu_categories": ["physics", "computer_science"]},
        {"name": "law"},
        {"name": "other", "threshold": 0.6},
    ]});
    let rules = leaf("domain", "science");
    let told = |physics, computers, law| {
        Told::default().head(
            "domain",
            &[
                ("physics", physics),
                ("computer science", computers),
                ("law", law),
                ("other", 0.05),
            ],
        )
    };
    assert_eq!(
        matching(&signals, &rules, &told(0.3, 0.3, 0.3)),
        ["science", "other"]
    );
    assert_eq!(matching(&signals, &rules, &told(0.05, 0.1, 0.8)), ["law"]);
    // Nobody is sure of anything.
    assert_eq!(matching(&signals, &rules, &told(0.2, 0.2, 0.2)), ["other"]);
}

#[test]
fn a_domain_that_the_model_does_not_know_never_matches_and_is_told() {
    let config: RoutingConfig = serde_json::from_value(json!({
        "signals": {"domains": [{"name": "spam filters"}, {"name": "numbers", "mmlu_categories": ["math", "sports news"]}]},
        "default_model": "usual",
        "modelCards": [{"name": "m"}],
        "decisions": [
            {"name": "a", "rules": leaf("domain", "spam filters"), "modelRefs": [{"model": "m"}]},
            {"name": "b", "rules": leaf("domain", "numbers"), "modelRefs": [{"model": "m"}]},
        ]
    }))
    .unwrap();
    let router = Router::compile(&config).unwrap();
    let told = Told::default().head("domain", &[("math", 0.9)]);
    let (_, explained) = judged(&router, &[said("user", "1 + 1")], &told);
    assert_eq!(names(&explained), ["numbers"]);
    let conflicts = pointsman_routing::conflicts(&config);
    let paths: Vec<&str> = conflicts.iter().map(|conflict| conflict.path.as_str()).collect();
    assert_eq!(paths, ["signals.domains[0]"], "{conflicts:?}");
}

#[test]
fn domains_need_no_declaration() {
    let router = compile(&json!({}), &leaf("domain", "math")).unwrap();
    let told = Told::default().head("domain", &[("math", 0.9)]);
    let (asked, explained) = judged(&router, &[said("user", "1 + 1")], &told);
    assert_eq!(asked.len(), 1);
    assert_eq!(asked[0].heads, ["domain"]);
    assert!(!asked[0].vectors && !asked[0].entities);
    assert_eq!(explained.routing_decision.as_deref(), Some("taken"));
    let wrong = compile(&json!({}), &leaf("domain", "maths")).err().unwrap();
    assert_eq!(
        wrong,
        ["decisions[0].rules.name: there is no domain signal \"maths\""]
    );
}

#[test]
fn classes_need_the_probability_of_the_language() {
    let signals = json!({
        "fact_check": [{"name": "needs_fact_check"}, {"name": "no_fact_check_needed", "threshold": 0.3}],
        "modality": [{"name": "AR"}, {"name": "DIFFUSION"}],
    });
    let told = |needed, text| {
        Told::default()
            .head(
                "fact_check",
                &[
                    ("fact_check_needed", needed),
                    ("no_fact_check_needed", 1.0 - needed),
                ],
            )
            .head("modality", &[("text", text), ("image", 1.0 - text)])
    };
    let rules = leaf("fact_check", "needs_fact_check");
    assert_eq!(
        matching(&signals, &rules, &told(0.65, 0.75)),
        ["needs_fact_check", "no_fact_check_needed", "AR"]
    );
    assert_eq!(
        matching(&signals, &rules, &told(0.55, 0.2)),
        ["no_fact_check_needed", "DIFFUSION"]
    );
}

#[test]
fn feedback_is_only_given_on_an_answer() {
    let signals = json!({"user_feedbacks": [{"name": "wrong_answer"}]});
    let router = compile(&signals, &leaf("user_feedback", "wrong_answer")).unwrap();
    let told = Told::default().head("feedback", &[("wrong_answer", 0.9)]);
    let (_, first) = judged(&router, &[said("user", "that is wrong")], &told);
    assert_eq!(names(&first), Vec::<String>::new());
    let later = [
        said("user", "2 + 2?"),
        said("assistant", "5"),
        said("user", "that is wrong"),
    ];
    let (_, later) = judged(&router, &later, &told);
    assert_eq!(names(&later), ["wrong_answer"]);
}

#[test]
fn attacks_are_told_by_the_operating_point_by_examples_or_by_both() {
    let patterns = json!(["ignore your rules"]);
    let signals = json!({"jailbreak": [
        {"name": "usual"},
        {"name": "strict", "threshold": 0.3},
        {"name": "like", "method": "contrastive", "threshold": 0.2, "jailbreak_patterns": patterns, "benign_patterns": ["hello"]},
        {"name": "either", "method": "hybrid", "jailbreak_patterns": patterns, "benign_patterns": ["hello"]},
    ]});
    let rules = leaf("jailbreak", "usual");
    let told = |probability, degrees| {
        Told::default()
            .head("jailbreak", &[("attack", probability)])
            .vector("ignore your rules", 0.0)
            .vector("hello", 90.0)
            .vector("the prompt", degrees)
    };
    assert_eq!(matching(&signals, &rules, &told(0.5, 80.0)), ["strict"]);
    assert_eq!(
        matching(&signals, &rules, &told(0.85, 80.0)),
        ["usual", "strict", "either"]
    );
    assert_eq!(matching(&signals, &rules, &told(0.1, 10.0)), ["like", "either"]);
}

#[test]
fn attacks_are_looked_for_in_earlier_turns_where_that_is_asked() {
    let signals = json!({"jailbreak": [{"name": "all", "include_history": true}, {"name": "last"}]});
    let router = compile(&signals, &leaf("jailbreak", "all")).unwrap();
    let told = Told::default().head("jailbreak", &[("attack", 0.9)]);
    let turns = [
        said("system", "be kind"),
        said("user", "one"),
        said("assistant", "two"),
        said("user", "three"),
    ];
    let (asked, _) = judged(&router, &turns, &told);
    let mut texts: Vec<&str> = asked
        .iter()
        .flat_map(|asks| &asks.texts)
        .map(|text| text.trim())
        .collect();
    texts.sort_unstable();
    assert_eq!(texts, ["one\n\ntwo\n\nthree", "three"]);
}

#[test]
fn harm_is_of_the_kinds_that_count() {
    let signals = json!({"safety": [
        {"name": "any"},
        {"name": "arms", "hazard": {"categories": ["weapons"], "threshold": 0.4}},
    ]});
    let rules = leaf("safety", "any");
    let told =
        |harm, arms| Told::default().head("harmful", &[("harmful", harm), ("weapons", arms), ("hate", 0.9)]);
    assert_eq!(matching(&signals, &rules, &told(0.9, 0.5)), ["any", "arms"]);
    assert_eq!(matching(&signals, &rules, &told(0.9, 0.1)), ["any"]);
    assert_eq!(matching(&signals, &rules, &told(0.2, 0.9)), Vec::<String>::new());
}

#[test]
fn personal_data_that_is_allowed_is_none() {
    let signals =
        json!({"pii": [{"name": "strict"}, {"name": "mail", "pii_types_allowed": ["email_address"]}]});
    let rules = leaf("pii", "strict");
    let told = |entities: &[(&'static str, f32)]| Told {
        entities: entities.to_vec(),
        ..Told::default()
    };
    assert_eq!(
        matching(&signals, &rules, &told(&[("EMAIL_ADDRESS", 0.9)])),
        ["strict"]
    );
    assert_eq!(
        matching(
            &signals,
            &rules,
            &told(&[("EMAIL_ADDRESS", 0.9), ("PERSON", 0.6)])
        ),
        ["strict", "mail"]
    );
    assert_eq!(
        matching(&signals, &rules, &told(&[("PERSON", 0.4)])),
        Vec::<String>::new()
    );
}

#[test]
fn likeness_is_that_to_the_best_and_the_next() {
    let signals = json!({"embeddings": [
        {"name": "near", "candidates": ["a", "b"], "threshold": 0.86},
        {"name": "far", "candidates": ["a", "b"], "threshold": 0.88},
        {"name": "mean", "candidates": ["a", "b"], "threshold": 0.76, "aggregation_method": "mean"},
        {"name": "not", "candidates": ["a"], "negative_candidates": ["c"], "threshold": 0.1},
    ]});
    // To `a` 1.0, to `b` 0.5: 0.75 of the best and a quarter of the mean are 0.9375; alone the mean is 0.75.
    let told = Told::default()
        .vector("a", 0.0)
        .vector("b", 60.0)
        .vector("c", 20.0)
        .vector("the prompt", 0.0);
    let rules = leaf("embedding", "near");
    assert_eq!(matching(&signals, &rules, &told), ["near", "far", "not"]);
    // To `a` 0.94, to `b` 0.77: 0.90; to `c` it is the same text.
    let told = told.vector("the prompt", 20.0);
    assert_eq!(matching(&signals, &rules, &told), ["near", "far", "mean"]);
}

#[test]
fn near_examples_count_as_one() {
    let copies: Vec<&str> = vec!["a", "b"];
    let signals = |enabled: bool| {
        json!({"embeddings": [{"name": "like", "candidates": copies, "threshold": 0.6, "aggregation_method": "mean",
                               "prototype_scoring": {"enabled": enabled}},
                              {"name": "other", "candidates": ["a", "b", "c"], "threshold": 0.6, "aggregation_method": "mean",
                               "prototype_scoring": {"enabled": enabled}}]})
    };
    // `a` and `b` are nearly the same; the mean of the three is 0.65, that of the two that stand for them 0.48.
    let told = Told::default()
        .vector("a", 0.0)
        .vector("b", 4.0)
        .vector("c", 90.0)
        .vector("the prompt", 2.0);
    let rules = leaf("embedding", "like");
    assert_eq!(matching(&signals(false), &rules, &told), ["like", "other"]);
    assert_eq!(matching(&signals(true), &rules, &told), ["like"]);
}

#[test]
fn one_preference_is_the_likest() {
    let signals = json!({"preferences": [
        {"name": "short", "examples": ["be brief"], "threshold": 0.5},
        {"name": "long", "examples": ["explain in depth"], "threshold": 0.5},
    ]});
    let rules = leaf("preference", "short");
    let told = |degrees| {
        Told::default()
            .vector("be brief", 0.0)
            .vector("explain in depth", 60.0)
            .vector("the prompt", degrees)
    };
    assert_eq!(matching(&signals, &rules, &told(10.0)), ["short"]);
    assert_eq!(matching(&signals, &rules, &told(45.0)), ["long"]);
    assert_eq!(matching(&signals, &rules, &told(170.0)), Vec::<String>::new());
}

#[test]
fn complexity_is_a_lead_of_hard_over_easy_or_what_the_head_says() {
    let by_examples = json!({"complexity": [{"name": "c", "threshold": 0.2,
        "hard": {"candidates": ["prove"]}, "easy": {"candidates": ["hi"]}}]});
    let rules = leaf("complexity", "c:hard");
    let told = |degrees| {
        Told::default()
            .vector("prove", 0.0)
            .vector("hi", 90.0)
            .vector("the prompt", degrees)
    };
    assert_eq!(matching(&by_examples, &rules, &told(10.0)), ["c:hard"]);
    assert_eq!(matching(&by_examples, &rules, &told(45.0)), ["c:medium"]);
    assert_eq!(matching(&by_examples, &rules, &told(80.0)), ["c:easy"]);
    let by_head = json!({"complexity": [{"name": "c"}]});
    let told = Told::default().head("difficulty", &[("easy", 0.2), ("hard", 0.3), ("beyond", 0.5)]);
    assert_eq!(matching(&by_head, &rules, &told), ["c:hard"]);
}

#[test]
fn a_composer_must_hold_too() {
    let signals = json!({
        "keywords": [{"name": "code", "keywords": ["code"]}],
        "complexity": [{"name": "c", "composer": {"type": "keyword", "name": "code"}}],
    });
    let router = compile(&signals, &leaf("complexity", "c:hard")).unwrap();
    let told = Told::default().head("difficulty", &[("beyond", 0.9)]);
    for (text, decision) in [("some code", "taken"), ("some prose", "default")] {
        let (_, explained) = judged(&router, &[said("user", text)], &told);
        assert_eq!(explained.routing_decision.as_deref(), Some(decision), "{text}");
    }
}

#[test]
fn asking_again_is_a_row_of_like_turns() {
    let signals = json!({"reasks": [{"name": "once"}, {"name": "twice", "lookback_turns": 2}]});
    let router = compile(&signals, &leaf("reask", "once")).unwrap();
    let told = Told::default()
        .vector("how?", 0.0)
        .vector("how so?", 20.0)
        .vector("why?", 80.0);
    let conversation = |turns: &[&'static str]| -> Vec<String> {
        let messages: Vec<MessageFacts<'_>> = turns
            .iter()
            .flat_map(|turn| [said("user", turn), said("assistant", "because")])
            .take(2 * turns.len() - 1)
            .collect();
        let told = Told {
            vectors: told
                .vectors
                .iter()
                .map(|(text, vector)| (*text, *vector))
                .chain([("because", [0.0, 1.0])])
                .collect(),
            ..Told::default()
        };
        names(&judged(&router, &messages, &told).1)
    };
    assert_eq!(conversation(&["how?"]), Vec::<String>::new());
    assert_eq!(conversation(&["how?", "how so?"]), ["once"]);
    assert_eq!(conversation(&["how?", "how so?", "how?"]), ["once", "twice"]);
    assert_eq!(conversation(&["how?", "why?", "how?"]), Vec::<String>::new());
}

#[test]
fn kinds_of_content_are_seen_without_a_model() {
    let signals = json!({"input_modality": [{"name": "seen", "modality": "image"}, {"name": "heard", "modality": "audio"}]});
    let router = compile(&signals, &leaf("input_modality", "seen")).unwrap();
    let image = MessageFacts {
        has_image: true,
        ..said("user", "what is this?")
    };
    let (asked, explained) = judged(&router, &[image], &Told::default());
    assert!(asked.is_empty());
    assert_eq!(names(&explained), ["seen"]);
}

#[test]
fn who_cannot_answer_is_told_and_does_not_match() {
    let signals = json!({"domains": [{"name": "law"}], "embeddings": [{"name": "e", "candidates": ["a"]}]});
    let router = compile(&signals, &leaf("domain", "law")).unwrap();
    let (_, explained) = judged(&router, &[said("user", "the prompt")], &Told::default());
    assert_eq!(explained.failed, ["domain:law", "embedding:e"]);
    assert_eq!(explained.routing_decision.as_deref(), Some("default"));
}

#[test]
fn a_choice_by_descriptions_says_what_must_be_read() {
    let config: RoutingConfig = serde_json::from_value(json!({
        "modelCards": [{"name": "coder", "description": "writes code"}, {"name": "poet", "description": "writes verse"}],
        "decisions": [
            {"name": "by_meaning", "priority": 1, "rules": {"type": "domain", "name": "other"}, "algorithm": {"type": "router_dc"},
             "modelRefs": [{"model": "coder"}, {"model": "poet"}]},
            {"name": "by_weight", "modelRefs": [{"model": "coder"}, {"model": "poet"}]},
        ]
    }))
    .unwrap();
    let router = Router::compile(&config).unwrap();
    assert_eq!(router.examples(), ["writes code", "writes verse"]);
    let told = Told::default()
        .vector("writes code", 0.0)
        .vector("writes verse", 90.0)
        .vector("a sonnet", 70.0);
    let facts = Facts {
        user_text: "a sonnet",
        meaning: Some(&told),
        ..Facts::default()
    };
    for (other, decision, texts, chosen) in [
        (0.9, "by_meaning", vec!["a sonnet"], Some("poet")),
        (0.1, "by_weight", Vec::new(), None),
    ] {
        let answers = Told::default().head("domain", &[("other", other), ("math", 1.0 - other)]);
        let mut deciding = router.deciding(facts, Want::Decision);
        while let Step::Ask(calls) = deciding.step() {
            calls
                .iter()
                .for_each(|call| deciding.answered(call, &answers, Duration::ZERO));
        }
        let asked = deciding.meaning();
        assert_eq!(asked.texts.iter().map(|text| &**text).collect::<Vec<_>>(), texts);
        let Some(Outcome::Matched(decided)) = deciding.outcome(0.5) else {
            unreachable!("{decision}")
        };
        assert_eq!(decided.decision, decision);
        if let Some(chosen) = chosen {
            assert_eq!(decided.selected.unwrap().model, chosen);
        }
    }
}

#[test]
fn what_makes_no_sense_is_told_where_it_stands() {
    let cases = [
        (
            json!({"domains": [{"name": "maths"}]}),
            "signals.domains[0]: there is no domain \"maths\"; is \"math\" meant?",
        ),
        (
            json!({"user_feedbacks": [{"name": "wrong_anser"}]}),
            "signals.user_feedbacks[0]: there is no class \"wrong_anser\"",
        ),
        (
            json!({"jailbreak": [{"name": "j", "method": "contrastive"}]}),
            "jailbreak_patterns is empty",
        ),
        (
            json!({"jailbreak": [{"name": "j", "method": "guess"}]}),
            "method \"guess\" is not supported",
        ),
        (
            json!({"jailbreak": [{"name": "j", "direction": "response"}]}),
            "direction: response is not supported",
        ),
        (
            json!({"safety": [{"name": "s", "hazard": {"categories": ["weapon"]}}]}),
            "is \"weapons\" meant?",
        ),
        (json!({"embeddings": [{"name": "e"}]}), "candidates is empty"),
        (
            json!({"embeddings": [{"name": "e", "candidates": ["a"], "image_candidates": ["b"]}]}),
            "reads text",
        ),
        (json!({"preferences": [{"name": "p"}]}), "examples is empty"),
        (
            json!({"complexity": [{"name": "c", "hard": {"candidates": ["a"]}}]}),
            "of both hard and easy prompts",
        ),
        (
            json!({"complexity": [{"name": "c", "threshold": 0.1}]}),
            "without examples the head of difficulty decides",
        ),
        (
            json!({"input_modality": [{"name": "i", "modality": "smell"}]}),
            "unknown modality \"smell\"",
        ),
    ];
    for (signals, expected) in cases {
        let errors = compile(&signals, &json!({})).err().unwrap_or_default();
        assert!(
            errors.iter().any(|error| error.contains(expected)),
            "{expected}: {errors:?}"
        );
    }
}

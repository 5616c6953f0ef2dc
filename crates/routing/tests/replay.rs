//! Decisions that were recorded, taken again by other configurations.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test says what it expects by failing"
)]

use std::fmt;

use pointsman_routing::selection::{KnownModels, Price};
use pointsman_routing::{
    Again, Answers, Facts, MessageFacts, Outcome, Recorded, Replay, Replayed, Route, Router, Step, Want, why,
};
use serde_json::{Value, json};

#[derive(Debug)]
struct NoPrices;

impl KnownModels for NoPrices {
    fn price(&self, _: &str) -> Option<Price> {
        None
    }
}

/// Says that everything is about maths, by 0.7.
struct Maths(Vec<(String, f32)>);

impl Maths {
    fn new() -> Self {
        Self(vec![("math".to_owned(), 0.7), ("law".to_owned(), 0.2)])
    }
}

impl fmt::Debug for Maths {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Maths")
    }
}

impl Answers for Maths {
    fn labels(&self, _: &str) -> Option<&[(String, f32)]> {
        Some(&self.0)
    }

    fn point(&self, _: &str, _: &str) -> Option<(&str, f32)> {
        None
    }

    fn entities(&self) -> Vec<(&str, f32)> {
        Vec::new()
    }

    fn vector(&self, _: &str) -> Option<&[f32]> {
        None
    }
}

fn base() -> Value {
    json!({
        "default_model": "usual",
        "signals": {
            "keywords": [{"name": "sums", "operator": "OR", "keywords": ["algebra"]}],
            "context": [{"name": "long", "min_tokens": "1K", "max_tokens": "100K"}],
            "domains": [{"name": "maths", "mmlu_categories": ["math"], "threshold": 0.6}]
        },
        "decisions": [
            {"name": "algebra", "priority": 9, "rules": {"type": "keyword", "name": "sums"}, "modelRefs": [{"model": "large"}],
             "plugins": [{"type": "router_replay", "configuration": {"enabled": true}}]},
            {"name": "proofs", "priority": 5, "rules": {"type": "domain", "name": "maths"}, "modelRefs": [{"model": "mid"}],
             "plugins": [{"type": "router_replay", "configuration": {"enabled": true}}]}
        ]
    })
}

fn router(config: Value) -> Router {
    Router::compile(&serde_json::from_value(config).unwrap()).unwrap_or_else(|wrong| panic!("{wrong:?}"))
}

/// What a router decides and records of a prompt.
fn recorded(router: &Router, text: &str, replay: Option<Replay>) -> Recorded {
    let messages = [MessageFacts {
        role: "user",
        text,
        ..MessageFacts::default()
    }];
    let facts = Facts {
        user_text: text,
        messages: &messages,
        estimated_tokens: 50,
        ..Facts::default()
    };
    let mut deciding = router.deciding(facts, Want::Decision);
    while let Step::Ask(calls) = deciding.step() {
        for call in calls {
            deciding.answered(&call, &Maths::new(), std::time::Duration::ZERO);
        }
    }
    let Some(Outcome::Matched(decided)) = deciding.outcome(0.3) else {
        panic!("nothing was decided");
    };
    let replay = replay.or(decided.plugins.replay).unwrap_or_default();
    let recorded = deciding.recorded(&replay).taken("auto", &decided, 0.3);
    // As it is stored and read again.
    serde_json::from_str(&serde_json::to_string(&recorded).unwrap()).unwrap()
}

fn again(router: &Router, recorded: &Recorded) -> Replayed {
    let again = Again {
        models: &NoPrices,
        learned: None,
    };
    router.replay(recorded, again, true)
}

fn decided(route: &Route) -> (&str, &str) {
    match route {
        Route::Decided { decision, model } => (decision, model.as_ref().map_or("", |model| &model.model)),
        other => panic!("{other:?}"),
    }
}

/// The configuration with a change.
fn changed(change: impl FnOnce(&mut Value)) -> Router {
    let mut config = base();
    change(&mut config);
    router(config)
}

#[test]
fn the_same_configuration_decides_the_same_and_no_text_is_kept() {
    let router = router(base());
    for text in ["some algebra that is secret", "prove it, secretly"] {
        let recorded = recorded(&router, text, None);
        assert!(!serde_json::to_string(&recorded).unwrap().contains("secret"));
        let replayed = again(&router, &recorded);
        assert_eq!(decided(&replayed.route).0, recorded.decision);
        assert_eq!(Some(decided(&replayed.route).1), recorded.model.as_deref());
    }
}

#[test]
fn a_decision_that_comes_first_now_is_told_with_its_rule() {
    let before = router(base());
    let recorded = recorded(&before, "some algebra", None);
    let now = changed(|config| {
        config["decisions"].as_array_mut().unwrap().push(json!(
            {"name": "short", "priority": 20, "rules": {"operator": "NOT", "conditions": [{"type": "context", "name": "long"}]},
             "modelRefs": [{"model": "small"}]}
        ));
    });
    let replayed = again(&now, &recorded);
    assert_eq!(decided(&replayed.route), ("short", "small"));
    let reasons = why(&recorded, Some(&again(&before, &recorded)), &replayed);
    assert_eq!(
        reasons,
        [
            "short comes before algebra (priority 20 before priority 9)",
            "short holds: ✓ NOT(✗ context:long)",
            "short is new",
        ]
    );
}

#[test]
fn a_threshold_is_judged_again_by_the_number_that_was_recorded() {
    let before = router(base());
    let recorded = recorded(&before, "prove it", None);
    assert_eq!(recorded.decision, "proofs");
    let stricter = changed(|config| config["signals"]["domains"][0]["threshold"] = json!(0.8));
    let replayed = again(&stricter, &recorded);
    assert_eq!(decided(&replayed.route), ("default", "usual"));
    let reasons = why(&recorded, Some(&again(&before, &recorded)), &replayed);
    assert_eq!(
        reasons,
        [
            "proofs does not hold: ✗ domain:maths",
            "no decision holds: the default model answers",
            "domain:maths, of proofs, matched and now does not match",
        ]
    );
    let looser = changed(|config| config["signals"]["domains"][0]["threshold"] = json!(0.5));
    assert_eq!(decided(&again(&looser, &recorded).route), ("proofs", "mid"));
}

#[test]
fn what_was_not_recorded_is_not_guessed() {
    let before = router(base());
    let other_words = |config: &mut Value| config["signals"]["keywords"][0]["keywords"] = json!(["geometry"]);
    // The keyword was another: whether it is there now, the record does not say.
    let recorded_ = recorded(&before, "prove it", None);
    let replayed = again(&changed(other_words), &recorded_);
    assert_eq!(
        replayed.route,
        Route::Unknown {
            signals: vec!["keyword:sums".to_owned()]
        }
    );
    assert_eq!(
        why(&recorded_, None, &replayed),
        ["it depends on what was not recorded: keyword:sums"]
    );
    // With the texts it does.
    let capture = Replay {
        request_bytes: Some(1_000),
        ..Replay::default()
    };
    let captured = recorded(&before, "prove it by geometry", Some(capture));
    assert_eq!(
        decided(&again(&changed(other_words), &captured).route),
        ("algebra", "large")
    );
    // Of a text that was cut, nothing is known.
    let cut = Replay {
        request_bytes: Some(5),
        ..Replay::default()
    };
    let cut = recorded(&before, "prove it by geometry", Some(cut));
    assert!(matches!(
        again(&changed(other_words), &cut).route,
        Route::Unknown { .. }
    ));
}

#[test]
fn signals_that_nobody_needed_are_recorded_unless_that_is_not_wanted() {
    // What comes first settles it: the length is not looked at.
    let before = router(base());
    let by_length = |config: &mut Value| {
        config["decisions"][0]["rules"] = json!({"type": "context", "name": "long"});
    };
    let told = recorded(&before, "more algebra", None);
    assert!(told.signals.contains_key("context:long"), "{told:?}");
    // Of what is known nothing is missing: it is a model that was not asked.
    let Route::Unknown { signals } = again(&changed(by_length), &told).route else {
        panic!("the domain was not asked");
    };
    assert_eq!(signals, ["domain:maths"]);
    let needed = Replay {
        all_signals: false,
        ..Replay::default()
    };
    let told = recorded(&before, "more algebra", Some(needed));
    let names: Vec<&String> = told.signals.keys().collect();
    assert_eq!(names, ["keyword:sums"]);
}

#[test]
fn other_words_of_those_that_were_looked_for_are_known_without_texts() {
    let two = |config: &mut Value| {
        config["signals"]["keywords"] = json!([
            {"name": "sums", "keywords": ["algebra", "calculus"]},
            {"name": "law", "keywords": ["contract"]}
        ]);
    };
    let before = changed(two);
    let recorded_ = recorded(&before, "a contract about calculus that is secret", None);
    assert!(!serde_json::to_string(&recorded_).unwrap().contains("secret"));
    assert_eq!(recorded_.decision, "algebra");
    let moved = |first: Value| {
        changed(|config| {
            two(config);
            config["signals"]["keywords"][0]["keywords"] = first;
        })
    };
    for (words, expected) in [
        (json!(["contract"]), Some("algebra")),
        (json!(["algebra"]), Some("default")),
        (json!(["algebra", "contract"]), Some("algebra")),
        (json!(["geometry"]), None),
    ] {
        let now = again(&moved(words.clone()), &recorded_).route;
        match expected {
            Some("algebra") => assert_eq!(decided(&now).0, "algebra", "{words}"),
            // Nobody was asked what it is about: that is not known.
            Some(_) => assert_eq!(
                now,
                Route::Unknown {
                    signals: vec!["domain:maths".to_owned()]
                },
                "{words}"
            ),
            None => assert_eq!(
                now,
                Route::Unknown {
                    signals: vec!["keyword:sums".to_owned()]
                },
                "{words}"
            ),
        }
    }
    // Compared in another way, it is another keyword.
    let exact = changed(|config| {
        two(config);
        config["signals"]["keywords"][0] =
            json!({"name": "sums", "keywords": ["contract"], "case_sensitive": true});
    });
    assert!(matches!(again(&exact, &recorded_).route, Route::Unknown { .. }));
}

#[test]
fn bounds_of_a_count_are_judged_again() {
    let counted = |least: u32| {
        changed(|config| {
            config["signals"]["structure"] = json!([{
                "name": "many", "feature": {"type": "count", "source": {"type": "regex", "pattern": "[?]"}},
                "predicate": {"gte": least}
            }]);
            config["decisions"][0]["rules"] = json!({"type": "structure", "name": "many"});
        })
    };
    let recorded_ = recorded(&counted(2), "what? why?", None);
    assert_eq!(recorded_.decision, "algebra");
    assert_eq!(decided(&again(&counted(1), &recorded_).route).0, "algebra");
    assert!(matches!(
        again(&counted(3), &recorded_).route,
        Route::Unknown { .. }
    ));
}

#[test]
fn a_choice_that_goes_by_what_is_gone_is_one_of_several() {
    let before = router(base());
    let recorded = recorded(&before, "some algebra", None);
    let now = changed(|config| {
        config["decisions"][0]["modelRefs"] = json!([{"model": "large"}, {"model": "small"}]);
        config["decisions"][0]["algorithm"] =
            json!({"type": "latency_aware", "latency_aware": {"ttft_percentile": 50}});
    });
    assert_eq!(
        again(&now, &recorded).route,
        Route::Among {
            decision: "algebra".to_owned(),
            models: vec!["large".to_owned(), "small".to_owned()]
        }
    );
    // By weight, the recorded chance decides.
    let shared = changed(|config| {
        config["decisions"][0]["modelRefs"] =
            json!([{"model": "small", "weight": 1}, {"model": "large", "weight": 9}]);
    });
    assert_eq!(decided(&again(&shared, &recorded).route), ("algebra", "large"));
}

#[test]
fn the_policy_of_all_records_all_or_nothing() {
    let all = changed(|config| {
        config["data_policy"] = json!({"replay": true});
        config["decisions"][0]["plugins"] = json!([]);
    });
    let none = changed(|config| config["data_policy"] = json!({"replay": false}));
    let replay = |router: &Router, text: &str| {
        let facts = Facts {
            user_text: text,
            ..Facts::default()
        };
        match router.decide(&facts, 0.5) {
            Outcome::Matched(decided) => decided.plugins.replay,
            Outcome::NoMatch => panic!("nothing matched"),
        }
    };
    for text in ["algebra", "nothing of that"] {
        assert_eq!(replay(&all, text), Some(Replay::default()));
        assert_eq!(replay(&none, text), None);
    }
}

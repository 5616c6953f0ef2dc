//! What a decision says of the choice among its models beside its algorithm: `adaptations`, `candidate_requirements`,
//! `candidateIterations`, `fallback`.

use pointsman_routing::learning::{Learner, LearnerConfig, Outcome as Came};
use pointsman_routing::selection::Previous;
use pointsman_routing::{Facts, MessageFacts, Outcome, Router, RoutingConfig};
use serde_json::{Value, json};

fn compile(beside: Value, decision: Value) -> Result<Router, Vec<(String, String)>> {
    let mut whole = json!({"name": "d", "modelRefs": [{"model": "large"}, {"model": "small"}]});
    whole
        .as_object_mut()
        .unwrap()
        .extend(decision.as_object().unwrap().clone());
    let mut config = json!({
        "modelCards": [
            {"name": "large", "context_window_size": 100_000, "capabilities": ["chat", "Function Calling"], "modalities": {"input": ["text", "image"]}},
            {"name": "small", "context_window_size": 8_000, "capabilities": ["chat"]}
        ],
        "decisions": [whole]
    });
    config
        .as_object_mut()
        .unwrap()
        .extend(beside.as_object().unwrap().clone());
    let config: RoutingConfig = serde_json::from_value(config).unwrap();
    Router::compile(&config).map_err(|errors| {
        errors
            .into_iter()
            .map(|error| (error.path, error.message))
            .collect()
    })
}

/// Models in order, and what is noted of it.
fn decide(router: &Router, facts: Facts<'_>) -> (Vec<String>, Vec<&'static str>) {
    let Outcome::Matched(decided) = router.decide(&facts, 0.3) else {
        panic!("no match")
    };
    let names = decided.selected.into_iter().chain(decided.fallbacks);
    let notes = decided.ranking.map(|ranking| ranking.notes).unwrap_or_default();
    (names.map(|selected| selected.model.clone()).collect(), notes)
}

/// A frozen learner, to whom so many outcomes of each model came.
fn learned(outcomes: &[(&str, f64, usize)]) -> Learner {
    let mut learner = Learner::new(LearnerConfig {
        replica: "r".to_owned(),
        half_life_seconds: None,
        ..LearnerConfig::default()
    });
    for (model, reward, count) in outcomes {
        for at in 0..*count {
            let came = Came {
                scope: "d",
                model,
                domain: None,
                reward: Some(*reward),
                cost: None,
                latency_ms: None,
                failed: false,
                at: at as u64,
            };
            learner.record(&came).unwrap();
        }
    }
    learner.freeze(true);
    learner
}

#[test]
fn outcomes_weigh_against_what_the_algorithm_believes() {
    let applied = |algorithm: Value, mode: &str| {
        let adaptations = json!({"adaptation": {"mode": mode}});
        compile(
            json!({}),
            json!({"algorithm": algorithm, "adaptations": adaptations}),
        )
        .unwrap()
    };
    let first = |router: &Router, learner: &Learner| {
        let facts = Facts {
            user_text: "hi",
            learned: Some(learner),
            ..Facts::default()
        };
        let (order, notes) = decide(router, facts);
        (order[0].clone(), notes)
    };
    let router = applied(json!("static"), "apply");
    assert!(router.keeps_experience());
    // Nothing is known: as declared. A few outcomes do not outweigh that, many do.
    assert_eq!(first(&router, &learned(&[])).0, "large");
    assert_eq!(
        first(&router, &learned(&[("small", 1.0, 1), ("large", 1.0, 1)])).0,
        "large"
    );
    let clear = learned(&[("small", 1.0, 20), ("large", 0.2, 20)]);
    assert_eq!(first(&router, &clear).0, "small");
    // Observed, the choice stays, and it is told.
    let (stays, notes) = first(&applied(json!("static"), "observe"), &clear);
    assert!(
        stays == "large" && notes.iter().any(|note| note.contains("observed")),
        "{notes:?}"
    );
    let (stays, notes) = first(&applied(json!("static"), "bypass"), &clear);
    assert!(stays == "large" && notes.is_empty(), "{notes:?}");
    // Who learns by itself goes on as it does; without an algorithm the share is what is believed.
    assert_eq!(
        first(&applied(json!({"type": "thompson"}), "apply"), &clear).0,
        "small"
    );
    let shared = compile(json!({}), json!({"adaptations": {"mode": "apply"}})).unwrap();
    assert_eq!(first(&shared, &clear).0, "small");
    assert!(shared.follows_sessions() && !router.follows_sessions());
}

#[test]
fn sessions_stay_as_the_decision_says() {
    let first = |protection: Value| {
        let algorithm = json!({"type": "multi_factor", "multi_factor": {"weights": {"quality": 1.0}}});
        let decision = json!({"algorithm": algorithm, "adaptations": {"protection": protection}});
        let cards = json!({"modelCards": [{"name": "large", "quality_score": 0.9}, {"name": "small", "quality_score": 0.5}]});
        let router = compile(cards, decision).unwrap();
        let previous = Previous {
            model: "small",
            warm_tokens: 400,
            turns: 3,
            idle_seconds: 5,
            in_tool_loop: false,
        };
        let facts = Facts {
            user_text: "hi",
            estimated_tokens: 500,
            previous: Some(previous),
            ..Facts::default()
        };
        let (order, notes) = decide(&router, facts);
        (order[0].clone(), notes)
    };
    // The other one scores 1 more.
    assert_eq!(first(json!({"mode": "apply", "switch_margin": 1.5})).0, "small");
    assert_eq!(first(json!({"switch_margin": 0.5})).0, "large");
    assert_eq!(first(json!({"mode": "bypass"})).0, "large");
    let (stays, notes) = first(json!({"mode": "observe", "switch_margin": 1.5}));
    assert!(
        stays == "large" && notes.iter().any(|note| note.contains("observed")),
        "{notes:?}"
    );
}

#[test]
fn models_must_be_able_to_do_what_a_request_brings() {
    let needs = json!({"candidate_requirements": {"capabilities": "declared", "context": "known_limits"}});
    let image = [MessageFacts {
        role: "user",
        has_image: true,
        ..MessageFacts::default()
    }];
    let sound = [MessageFacts {
        role: "user",
        has_audio: true,
        ..MessageFacts::default()
    }];
    let plain = Facts {
        user_text: "hi",
        ..Facts::default()
    };
    for decision in [json!({}), json!({"algorithm": "static"})] {
        let router = compile(needs.clone(), decision.clone()).unwrap();
        let order = |facts: Facts<'_>| decide(&router, facts).0;
        assert_eq!(order(plain).len(), 2);
        assert_eq!(
            order(Facts {
                tools_defined: 1,
                ..plain
            }),
            ["large"]
        );
        assert_eq!(
            order(Facts {
                messages: &image,
                ..plain
            }),
            ["large"]
        );
        assert!(
            order(Facts {
                messages: &sound,
                ..plain
            })
            .is_empty()
        );
        assert_eq!(
            order(Facts {
                estimated_tokens: 9_000,
                ..plain
            }),
            ["large"]
        );
        let free = compile(json!({}), decision).unwrap();
        assert_eq!(
            decide(
                &free,
                Facts {
                    messages: &sound,
                    ..plain
                }
            )
            .0
            .len(),
            2
        );
    }
}

#[test]
fn what_is_done_when_a_model_fails_comes_with_the_decision() {
    let policy = json!({"enabled": true, "max_attempts": 2, "per_attempt_timeout": "5s", "retryable_status_codes": [503]});
    let router = compile(json!({"fallback": policy}), json!({})).unwrap();
    let Outcome::Matched(decided) = router.decide(&Facts::default(), 0.0) else {
        panic!("no match")
    };
    let fallback = decided.fallback.unwrap();
    assert_eq!(
        (fallback.most, fallback.statuses.as_slice()),
        (2, [503].as_slice())
    );
    let router = compile(json!({"fallback": {"enabled": false}}), json!({})).unwrap();
    let Outcome::Matched(decided) = router.decide(&Facts::default(), 0.0) else {
        panic!("no match")
    };
    assert!(decided.fallback.is_none());
}

/// What is wrong is told at its place, in words that hold these.
fn refused(beside: Value, decision: &Value, place: &str, part: &str) {
    let errors = compile(beside, decision.clone()).err().unwrap_or_default();
    let told = errors
        .iter()
        .any(|(path, message)| path == place && message.contains(part));
    assert!(told, "{decision}: {errors:?}");
}

#[test]
fn what_makes_no_sense_of_learning_is_told_where_it_stands() {
    let at = "decisions[0].adaptations";
    for (adaptations, place, part) in [
        (json!({"mode": "aply"}), "mode", "no mode"),
        (
            json!({"mode": "observe", "adaptation": {"mode": "apply"}}),
            "adaptation.mode",
            "more than",
        ),
        (
            json!({"adaptation": {"candidate_set": "tier"}}),
            "adaptation.candidate_set",
            "not supported",
        ),
        (
            json!({"protection": {"stability_weight": -1}}),
            "protection.stability_weight",
            "0 to 1000",
        ),
    ] {
        let decision = json!({"algorithm": "static", "adaptations": adaptations});
        refused(json!({}), &decision, &format!("{at}.{place}"), part);
    }
    let learns = json!({"algorithm": {"type": "elo"}, "adaptations": {"mode": "bypass"}});
    refused(
        json!({}),
        &learns,
        &format!("{at}.adaptation.mode"),
        "learns by itself",
    );
    let looped = |mode: &str| json!({"algorithm": {"type": "ratings"}, "adaptations": {"mode": mode}});
    refused(json!({}), &looped("apply"), at, "asks several models");
    assert!(compile(json!({}), looped("bypass")).is_ok());
}

#[test]
fn what_makes_no_sense_of_models_is_told_where_it_stands() {
    let needs = json!({"candidate_requirements": {"capabilities": "guessed"}});
    refused(
        needs,
        &json!({}),
        "candidate_requirements.capabilities",
        "use declared",
    );
    let policy = json!({"fallback": {"enabled": true, "max_attempts": 9}});
    refused(policy, &json!({}), "fallback.max_attempts", "1 to 8");
    let list = |iteration: Value| json!({"candidateIterations": [iteration]});
    let models = json!({"variable": "m", "source": "models", "models": [{"model": "small"}],
        "outputs": [{"type": "model", "value": "m"}]});
    assert!(compile(json!({}), list(models)).is_ok());
    assert!(
        compile(
            json!({}),
            list(json!({"variable": "m", "source": "decision.candidates"}))
        )
        .is_ok()
    );
    for (iteration, place, part) in [
        (
            json!({"variable": "m", "source": "models", "models": [{"model": "other"}]}),
            "models[0].model",
            "none of the decision's modelRefs",
        ),
        (json!({"variable": "m", "source": "all"}), "source", "no source"),
        (
            json!({"variable": "m", "source": "decision.candidates", "outputs": [{"type": "model", "value": "n"}]}),
            "outputs[0].value",
            "the variable",
        ),
    ] {
        refused(
            json!({}),
            &list(iteration),
            &format!("decisions[0].candidateIterations[0].{place}"),
            part,
        );
    }
}

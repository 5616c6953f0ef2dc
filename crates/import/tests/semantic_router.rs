//! Files of the vLLM Semantic Router, each with what it becomes, what is told of it and what of it is not carried out
//! yet. `UPDATE_GOLDEN=1` writes them anew.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test says what it expects by failing"
)]

use std::path::{Path, PathBuf};

use pointsman_config::Environment;
use pointsman_import::{Fate, Imported, semantic_router};
use pointsman_routing::{Facts, MessageFacts, Outcome, Router, conflicts};

const FOLDER: &str = "tests/data/semantic_router";

fn sources() -> Vec<PathBuf> {
    let entries = std::fs::read_dir(FOLDER)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let mut files: Vec<PathBuf> = entries
        .filter(|path| {
            let name = path.to_string_lossy();
            name.ends_with(".yaml") && !name.ends_with(".out.yaml")
        })
        .collect();
    files.sort();
    files
}

fn import(path: &Path) -> Imported {
    semantic_router(path).unwrap_or_else(|problems| panic!("{}: {problems:?}", path.display()))
}

fn problems(imported: &Imported) -> String {
    let lines = imported
        .problems
        .iter()
        .map(|problem| format!("{}: {}\n", problem.path, problem.message));
    lines.collect()
}

#[test]
fn files_become_what_they_should() {
    let files = sources();
    assert!(files.len() >= 8, "{files:?}");
    for file in files {
        let imported = import(&file);
        for problem in &imported.problems {
            assert!(
                ["not supported in this version", "is none of the backend"]
                    .iter()
                    .any(|known| problem.message.contains(known)),
                "{}: {problem}\n{}",
                file.display(),
                imported.yaml
            );
        }
        for (ending, text) in [
            ("out.yaml", imported.yaml.clone()),
            ("report.txt", imported.report.text()),
            ("problems.txt", problems(&imported)),
        ] {
            let expected = file.with_extension(ending);
            if std::env::var_os("UPDATE_GOLDEN").is_some() {
                std::fs::write(&expected, &text).unwrap();
            }
            let known = std::fs::read_to_string(&expected).unwrap_or_default();
            assert_eq!(text, known, "{}", expected.display());
        }
    }
}

#[test]
fn no_secret_is_copied_and_nothing_of_the_routing_is_lost() {
    for file in sources() {
        let imported = import(&file);
        for secret in ["sk-clear-text", "search-secret"] {
            assert!(!imported.yaml.contains(secret), "{}", file.display());
            assert!(!imported.report.text().contains(secret), "{}", file.display());
        }
        let blocks = ["routing", "recipes", "entrypoints"];
        let lost = imported.report.lines.iter().filter(|line| {
            line.fate == Fate::NotCarried && blocks.iter().any(|block| line.key.starts_with(block))
        });
        let lost: Vec<&str> = lost.map(|line| line.key.as_str()).collect();
        let misspelt = file.ends_with("configmap.yaml");
        let expected: &[&str] = if misspelt {
            &["routing.decisions[0].misspelt"]
        } else if file.ends_with("learned.yaml") {
            // Learning is switched off there, and on by this alone here.
            &["routing.decisions[1].adaptations"]
        } else {
            &[]
        };
        assert_eq!(lost, expected, "{}", file.display());
    }
}

#[test]
fn a_file_without_such_a_configuration_is_told() {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in [
        ("a.yaml", "host: localhost\nport: 6379\n"),
        ("b.yaml", "kind: ConfigMap\ndata: { a.yaml: \"b: 1\" }\n"),
        ("c.yaml", "vllm_endpoints: []\nmodel_config: {}\n"),
    ] {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        let problems = semantic_router(&path).unwrap_err();
        assert!(
            problems[0].message.contains("there is no configuration"),
            "{name}: {problems:?}"
        );
    }
}

/// The router that a file becomes.
fn router(name: &str) -> Router {
    let imported = import(&Path::new(FOLDER).join(name));
    assert!(imported.problems.is_empty(), "{:?}", imported.problems);
    let values: Vec<(&str, &str)> = imported
        .report
        .variables
        .iter()
        .map(|name| (name.as_str(), "something"))
        .collect();
    let loaded = pointsman_config::parse(&imported.yaml, "out", &Environment::of(&values));
    let routing = loaded.unwrap().config.routing.unwrap();
    assert!(conflicts(&routing).is_empty(), "{:?}", conflicts(&routing));
    Router::compile(&routing).unwrap()
}

/// A request of which only the text is known.
fn says(user_text: &str) -> Facts<'_> {
    Facts {
        user_text,
        ..Facts::default()
    }
}

/// The decision and the model of a request.
fn decided(router: &Router, model: &str, facts: &Facts<'_>) -> (String, Option<String>) {
    match router.entered(model).expect(model).decide(facts, 0.0) {
        Outcome::Matched(decided) => {
            let model = decided.selected.map(|selected| selected.model.clone());
            (decided.decision.to_owned(), model)
        }
        Outcome::NoMatch => panic!("no match"),
    }
}

#[test]
fn keywords_length_and_roles_decide_as_described() {
    let router = router("keywords.yaml");
    assert!(router.enters("vllm-sr/auto") && router.enters("auto") && !router.enters("MoM"));
    let groups = ["employees".to_owned()];
    let mut staff = says("needed urgently");
    staff.caller.groups = &groups;
    let mut long_law = says("read this contract");
    long_law.estimated_tokens = 20_000;
    let mut too_long = says("read it");
    too_long.estimated_tokens = 1_000_001;
    for (facts, expected) in [
        (says("Is this CONTRACT valid?"), ("law", Some("small"))),
        (says("what does § 5 say?"), ("law", Some("small"))),
        (says("contractual matters"), ("rest", Some("small"))),
        (long_law, ("long", Some("large"))),
        (too_long, ("rest", Some("small"))),
        (says("2026 total"), ("long", Some("large"))),
        (says("2026 Total"), ("rest", Some("small"))),
        (staff, ("staff_in_a_hurry", None)),
        (says("needed urgently"), ("rest", Some("small"))),
    ] {
        let (decision, model) = decided(&router, "auto", &facts);
        assert_eq!(
            (decision.as_str(), model.as_deref()),
            expected,
            "{:?}",
            facts.user_text
        );
    }
}

#[test]
fn each_recipe_decides_for_its_own_names() {
    let router = router("recipes.yaml");
    let names: Vec<&String> = router.names().collect();
    assert_eq!(
        names,
        [
            "vllm-sr/auto",
            "auto",
            "MoM",
            "house/fast",
            "house/quick",
            "house/incident"
        ]
    );
    let metadata = [("plan".to_owned(), "silver".to_owned())];
    let paying = Facts {
        metadata: &metadata,
        ..Facts::default()
    };
    let result = [
        MessageFacts {
            role: "user",
            ..MessageFacts::default()
        },
        MessageFacts {
            role: "assistant",
            tool_calls: 1,
            ..MessageFacts::default()
        },
        MessageFacts {
            role: "tool",
            is_tool_result: true,
            ..MessageFacts::default()
        },
    ];
    let looping = Facts {
        messages: &result,
        ..Facts::default()
    };
    for (model, facts, decision) in [
        ("house/fast", paying, "paid"),
        ("house/quick", Facts::default(), "unpaid"),
        (
            "house/incident",
            says("payment_failed, critical: look now"),
            "alarm",
        ),
        ("house/incident", says("Do this:\n 1. wash\n 2. dry"), "working"),
        ("house/incident", looping, "working"),
        (
            "house/incident",
            says("critical payment_failed TXN_DECLINE now:\n1. call"),
            "alarm",
        ),
        ("house/incident", says("hello"), "default"),
        ("auto", says("payment_failed"), "default"),
    ] {
        assert_eq!(
            decided(&router, model, &facts).0,
            decision,
            "{model} {:?}",
            facts.user_text
        );
    }
}

//! Files of other gateways, each with what it becomes and what is told of it. `UPDATE_GOLDEN=1` writes both anew.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test says what it expects by failing"
)]

use std::path::{Path, PathBuf};

use pointsman_config::{Config, Environment};
use pointsman_import::{Imported, envoy_ai_gateway, litellm};

fn sources(kind: &str) -> Vec<PathBuf> {
    let folder = Path::new("tests/data").join(kind);
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| {
            let name = path.to_string_lossy();
            name.ends_with(".yaml") && !name.ends_with(".out.yaml")
        })
        .collect();
    files.sort();
    files
}

fn import(path: &Path) -> Imported {
    let imported = if path.starts_with("tests/data/envoy") {
        envoy_ai_gateway(path)
    } else {
        litellm(path)
    };
    imported.unwrap_or_else(|problems| panic!("{}: {problems:?}", path.display()))
}

/// The result as a configuration, with something in each of its variables.
fn config(imported: &Imported) -> Config {
    let values: Vec<(&str, &str)> = imported
        .report
        .variables
        .iter()
        .map(|name| {
            let account =
                r#"{"type":"authorized_user","client_id":"a","client_secret":"b","refresh_token":"c"}"#;
            let value = match name.as_str() {
                name if name.contains("API_BASE") => "https://somewhere.invalid",
                name if name.contains("CREDENTIALS") || name.contains("SERVICE_ACCOUNT") => account,
                _ => "something",
            };
            (name.as_str(), value)
        })
        .collect();
    let loaded = pointsman_config::parse(&imported.yaml, "out", &Environment::of(&values));
    loaded
        .unwrap_or_else(|problems| panic!("{problems:?} in\n{}", imported.yaml))
        .config
}

fn golden(kind: &str, least: usize) {
    let files = sources(kind);
    assert!(files.len() >= least, "{files:?}");
    for file in files {
        let imported = import(&file);
        assert!(
            imported.problems.is_empty(),
            "{}: {:?}\n{}",
            file.display(),
            imported.problems,
            imported.yaml
        );
        config(&imported);
        for (ending, text) in [
            ("out.yaml", &imported.yaml),
            ("report.txt", &imported.report.text()),
        ] {
            let expected = file.with_extension(ending);
            if std::env::var_os("UPDATE_GOLDEN").is_some() {
                std::fs::write(&expected, text).unwrap();
            }
            let known = std::fs::read_to_string(&expected).unwrap_or_default();
            assert_eq!(*text, known, "{}", expected.display());
        }
    }
}

#[test]
fn litellm_files_become_what_they_should() {
    golden("litellm", 12);
}

#[test]
fn envoy_files_become_what_they_should() {
    golden("envoy", 8);
}

#[test]
fn no_secret_is_copied() {
    let mut secrets = 0;
    for file in [sources("litellm"), sources("envoy")].concat() {
        let source = std::fs::read_to_string(&file).unwrap();
        secrets += source.matches("CLEARTEXT").count();
        let imported = import(&file);
        let all = [
            imported.yaml.clone(),
            imported.report.text(),
            imported.report.json(),
            imported.report.markdown(),
        ];
        for text in all {
            assert!(!text.contains("CLEARTEXT"), "{}: {text}", file.display());
            assert!(!text.contains("Q0xFQVJURVhU"), "{}: {text}", file.display());
        }
    }
    assert!(secrets > 20, "{secrets}");
}

#[test]
fn prices_and_shares_are_exact() {
    let prices = config(&import(Path::new("tests/data/litellm/prices.yaml")));
    let price = |model: &str| serde_json::to_value(prices.models[model].price.as_ref().unwrap()).unwrap();
    assert_eq!(
        price("tuned"),
        serde_json::json!({"cache_read": "0.15", "input": "0.3", "output": "1.2"})
    );
    assert_eq!(price("long")["above"]["200000"]["output"], "15");
    assert_eq!(price("long")["per_request"], "0.0001");
    assert_eq!(price("long")["priority"]["above"]["200000"]["input"], "3");
    let house = prices.catalog.build();
    let house = house.model("openai-compatible", "house-a").unwrap();
    let house = serde_json::to_value(house.price.as_ref().unwrap()).unwrap();
    assert_eq!(house, serde_json::json!({"input": "0.1", "output": "0.2"}));
    let weights = |file: &str, model: &str| -> Vec<u32> {
        let config = config(&import(Path::new(file)));
        config.models[model]
            .targets
            .iter()
            .map(|target| target.weight)
            .collect()
    };
    assert_eq!(weights("tests/data/litellm/own_servers.yaml", "llama"), [3, 1]);
    assert_eq!(weights("tests/data/litellm/routing.yaml", "gpt-4o"), [3, 1, 0]);
    assert_eq!(weights("tests/data/litellm/strategies.yaml", "m")[3], 1);
    assert_eq!(weights("tests/data/envoy/compatible.yaml", "llama"), [80, 20]);
}

#[test]
fn a_deployment_costs_what_its_base_model_costs() {
    let config = config(&import(Path::new("tests/data/litellm/clouds.yaml")));
    let catalog = config.catalog.build();
    for deployment in ["gpt-4o-eu", "gpt-4o-us"] {
        let model = catalog.model("azure-openai", deployment).unwrap();
        assert!(model.is_priced(), "{deployment}");
    }
}

#[test]
fn files_that_cannot_be_read_are_told() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    };
    let told = |result: Result<Imported, Vec<pointsman_config::Problem>>| result.unwrap_err()[0].to_string();
    let cases = [
        ("a.yaml", "", "nothing in it"),
        ("b.yaml", "- 1\n", "is no mapping"),
        ("c.yaml", "a: 1\n---\nb: 1\n", "only one document"),
        ("d.yaml", "a: [1\n", "not valid YAML"),
        ("e.yaml", "include: [missing.yaml]\n", "cannot be read"),
        ("f.yaml", "a: 1\na: 2\n", "a second time"),
    ];
    for (name, text, expected) in cases {
        let message = told(litellm(&write(name, text)));
        assert!(message.contains(expected), "{name}: {message}");
    }
    let message = told(envoy_ai_gateway(&write("g.yaml", "kind: Gateway\n")));
    assert!(message.contains("no AIGatewayRoute"), "{message}");
}

#[test]
fn reports_say_the_same_in_every_form() {
    let report = import(Path::new("tests/data/litellm/admin.yaml")).report;
    let json: serde_json::Value = serde_json::from_str(&report.json()).unwrap();
    assert_eq!(json["lines"].as_array().unwrap().len(), report.lines.len());
    assert_eq!(json["lines"][0]["fate"].as_str(), Some("not_carried"));
    for line in &report.lines {
        assert!(
            report.markdown().contains(&format!("| `{}` |", line.key)),
            "{line:?}"
        );
        assert!(line.line > 0 && !line.why.is_empty(), "{line:?}");
    }
}

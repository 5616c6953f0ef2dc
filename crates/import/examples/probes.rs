//! Whether recipes decide as their own probes say: `cargo run -p pointsman-import --example probes -- FOLDER`.
//!
//! Give it a checkout of vllm-project/semantic-router. Each folder with a `config.yaml` and a `probes.yaml` whose
//! signals need no model is tried: every probe is decided by the recipe's signals and rules, and the decision is
//! compared with the one that the probe expects. How a decision's model is then picked is left out.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "an example prints")]

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use pointsman_config::{Node, Value, read_documents};
use pointsman_import::semantic_router;
use pointsman_routing::{Facts, Outcome, Router, RoutingConfig};
use serde_json::Value as Json;

fn main() -> ExitCode {
    let Some(folder) = std::env::args_os().nth(1).map(PathBuf::from) else {
        eprintln!("give a folder");
        return ExitCode::FAILURE;
    };
    let mut failed = false;
    let mut folders = vec![folder];
    while let Some(folder) = folders.pop() {
        let entries = std::fs::read_dir(&folder).into_iter().flatten().flatten();
        folders.extend(entries.map(|entry| entry.path()).filter(|path| path.is_dir()));
        if folder.join("probes.yaml").is_file() {
            failed |= !tried(&folder);
        }
    }
    if failed {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    }
}

/// Tries a recipe; whether all of its probes are decided as they should be, or none can be.
fn tried(folder: &Path) -> bool {
    let name = folder.display();
    let Some(router) = router(&folder.join("config.yaml")) else {
        println!("{name}: its signals need a model");
        return true;
    };
    let Some(probes) = json(&folder.join("probes.yaml")) else {
        println!("{name}: no probes");
        return true;
    };
    let (mut all, mut good) = (0, 0);
    for decision in probes["decisions"].as_array().into_iter().flatten() {
        let expected = decision["expected_decision"].as_str().unwrap_or_default();
        for probe in decision["variants"].as_array().into_iter().flatten() {
            let Some(query) = probe["query"].as_str() else {
                continue;
            };
            let times = probe["repeat"].as_u64().unwrap_or(1);
            let text = vec![query; usize::try_from(times).unwrap_or(1)].join(" ");
            let facts = Facts {
                user_text: &text,
                estimated_tokens: text.len() as u64 / 4,
                tools_defined: probe["tools"].as_array().map_or(0, Vec::len),
                ..Facts::default()
            };
            let decided = match router.decide(&facts, 0.0) {
                Outcome::Matched(decided) => decided.decision,
                Outcome::NoMatch => "none",
            };
            all += 1;
            good += usize::from(decided == expected);
            if decided != expected {
                println!("{name}: {}: {decided}, not {expected}", probe["id"]);
            }
        }
    }
    println!("{name}: {good} of {all} probes as expected");
    good == all
}

/// The router of a file, without what picks models; none where its signals need a model.
fn router(file: &Path) -> Option<Router> {
    let imported = semantic_router(file).ok()?;
    let documents = read_documents(&imported.yaml, "result").ok()?;
    let mut routing: RoutingConfig =
        serde_json::from_value(to_json(documents.first()?)["routing"].take()).ok()?;
    for decision in &mut routing.decisions {
        decision.algorithm = None;
        decision.plugins.clear();
    }
    Router::compile(&routing).ok()
}

fn json(file: &Path) -> Option<Json> {
    let text = std::fs::read_to_string(file).ok()?;
    read_documents(&text, "probes").ok()?.first().map(to_json)
}

fn to_json(node: &Node) -> Json {
    match &node.value {
        Value::Null => Json::Null,
        Value::Bool(value) => (*value).into(),
        Value::Number(number, _) => number.clone().into(),
        Value::Text { text, .. } => text.clone().into(),
        Value::List(items) => items.iter().map(to_json).collect(),
        Value::Map(entries) => entries
            .iter()
            .map(|(key, _, node)| (key.clone(), to_json(node)))
            .collect(),
    }
}

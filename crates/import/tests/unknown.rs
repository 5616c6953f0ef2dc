//! A key that nobody has heard of, put anywhere into any of the files: it is always told.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test says what it expects by failing"
)]

use std::path::{Path, PathBuf};

use pointsman_config::{Node, Value, read_documents};
use pointsman_import::{envoy_ai_gateway, litellm, semantic_router};

/// Mappings in block style whose keys are settings: the line of their first key, and how far it is indented.
fn places(text: &str) -> Vec<(usize, usize)> {
    let lines: Vec<&str> = text.lines().collect();
    let mut places = Vec::new();
    for (at, line) in lines.iter().enumerate() {
        let rest = line.trim_start_matches([' ', '-']);
        let indent = line.len() - rest.len();
        let is_key = rest.split_once(':').is_some_and(|(key, after)| {
            !key.is_empty()
                && !key.starts_with(['#', '"', '\'', '{', '['])
                && (after.is_empty() || after.starts_with(' '))
        });
        let inside_text = lines[..at]
            .iter()
            .rev()
            .find(|before| before.len() - before.trim_start().len() < indent && !before.trim().is_empty())
            .is_some_and(|before| before.trim_end().ends_with('|'));
        let in_flow = line.starts_with("---") || rest.starts_with('<');
        if is_key && !inside_text && !in_flow && !line.trim_start().starts_with('#') {
            places.push((at, indent));
        }
    }
    places
}

/// The text with one more key before or behind a key's own line.
fn with_key(text: &str, at: usize, indent: usize) -> String {
    let mut out = String::new();
    for (number, line) in text.lines().enumerate() {
        // Before a key that is not the first of an item; an item's first key is moved down.
        if number == at {
            if let Some(dash) = line.find("- ").filter(|dash| line[..*dash].trim().is_empty()) {
                out.push_str(&format!("{}- never_heard_of_this: 1\n", &line[..dash]));
                out.push_str(&format!("{}{}\n", " ".repeat(indent), &line[indent..]));
                continue;
            }
            out.push_str(&format!("{}never_heard_of_this: 1\n", " ".repeat(indent)));
        }
        out.push_str(line);
        out.push('\n');
    }
    out
}

fn sources(kind: &str) -> Vec<PathBuf> {
    let folder = Path::new("tests/data").join(kind);
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| {
            let name = path.to_string_lossy();
            name.ends_with(".yaml") && !name.ends_with(".out.yaml") && !name.ends_with("includes.yaml")
        })
        .collect();
    files.sort();
    files
}

/// The path of the key that was put in, as reports have it.
fn path_of(text: &str, line: usize) -> String {
    let documents = read_documents(text, "x").unwrap();
    let found = documents.iter().find_map(|node| find(node, root(node), line));
    found.unwrap_or_else(|| panic!("line {line} of {text}"))
}

/// What the paths of a document begin with: a resource's kind and name.
fn root(node: &Node) -> String {
    let text = |node: &Node| match &node.value {
        Value::Text { text, .. } => text.clone(),
        _ => String::new(),
    };
    let field = |node: &Node, name: &str| match &node.value {
        Value::Map(entries) => entries
            .iter()
            .find(|(key, ..)| key == name)
            .map(|(.., node)| node.clone()),
        _ => None,
    };
    match field(node, "kind") {
        Some(kind) => {
            let name = field(node, "metadata").and_then(|metadata| field(&metadata, "name"));
            format!(
                "{}/{}",
                text(&kind),
                name.map(|name| text(&name)).unwrap_or_default()
            )
        }
        None if ["model_list", "credential_list", "routing"]
            .iter()
            .any(|block| field(node, block).is_some()) =>
        {
            String::new()
        }
        None => "document".to_owned(),
    }
}

fn find(node: &Node, path: String, line: usize) -> Option<String> {
    match &node.value {
        Value::Map(entries) => entries.iter().find_map(|(key, place, node)| {
            let inner = if path.is_empty() {
                key.clone()
            } else {
                format!("{path}.{key}")
            };
            if place.line == line && key == "never_heard_of_this" {
                // What a list of resources says of itself is a document of nobody's.
                return Some(inner.replace("List/.never", "document.never"));
            }
            match &node.value {
                Value::List(items) if inner == "List/.items" => {
                    items.iter().find_map(|item| find(item, root(item), line))
                }
                _ => find(node, inner, line),
            }
        }),
        Value::List(items) => items
            .iter()
            .enumerate()
            .find_map(|(index, item)| find(item, format!("{path}[{index}]"), line)),
        _ => None,
    }
}

/// Whether a file holds a configuration inside of something else, whose keys mean nothing to it.
fn is_wrapped(file: &Path) -> bool {
    let text = std::fs::read_to_string(file).unwrap();
    file.starts_with("tests/data/semantic_router") && !text.lines().any(|line| line == "routing:")
}

/// Every place of every file, one after another.
fn check(kind: &str, least: usize) {
    let folder = tempfile::tempdir().unwrap();
    let mut tried = 0;
    for file in sources(kind).iter().filter(|file| !is_wrapped(file)) {
        let text = std::fs::read_to_string(file).unwrap();
        for (at, indent) in places(&text) {
            let changed = with_key(&text, at, indent);
            let path = folder.path().join("changed.yaml");
            std::fs::write(&path, &changed).unwrap();
            let imported = match kind {
                "litellm" => litellm(&path),
                "envoy" => envoy_ai_gateway(&path),
                _ => semantic_router(&path),
            };
            let imported = imported
                .unwrap_or_else(|problems| panic!("{}:{at}: {problems:?}\n{changed}", file.display()));
            let path = path_of(&changed, at + 1);
            // Its own line, or one for all that it stands in; or it became a name of the operator's own (a header, a
            // model, an alias) in the result.
            let told = imported.report.lines.iter().any(|line| {
                path.strip_prefix(&line.key)
                    .is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
            });
            let written = imported.yaml.contains("never_heard_of_this");
            assert!(
                told || written,
                "{}:{}: {path}: {}",
                file.display(),
                at + 1,
                imported.report.text()
            );
            let exact = imported
                .report
                .lines
                .iter()
                .any(|line| line.key.ends_with("never_heard_of_this") && line.line == at + 1);
            tried += usize::from(exact);
        }
    }
    assert!(tried >= least, "only {tried} were told by their own line");
}

#[test]
fn keys_of_litellm_that_nobody_knows_are_told() {
    check("litellm", 100);
}

#[test]
fn keys_of_envoy_that_nobody_knows_are_told() {
    check("envoy", 100);
}

#[test]
fn keys_of_the_semantic_router_that_nobody_knows_are_told() {
    check("semantic_router", 100);
}

//! A key that nobody has heard of, put anywhere into any of the files: it is always told.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test says what it expects by failing"
)]

use std::path::{Path, PathBuf};

use pointsman_import::{envoy_ai_gateway, litellm};

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

/// Every place of every file, one after another.
fn check(kind: &str, least: usize) {
    let folder = tempfile::tempdir().unwrap();
    let mut tried = 0;
    for file in sources(kind) {
        let text = std::fs::read_to_string(&file).unwrap();
        for (at, indent) in places(&text) {
            let changed = with_key(&text, at, indent);
            let path = folder.path().join("changed.yaml");
            std::fs::write(&path, &changed).unwrap();
            let imported = if kind == "litellm" {
                litellm(&path)
            } else {
                envoy_ai_gateway(&path)
            };
            let imported = imported
                .unwrap_or_else(|problems| panic!("{}:{at}: {problems:?}\n{changed}", file.display()));
            // Its own line, or one for all that it stands in; or it became a name of the operator's own (a header, a
            // model, an alias) in the result.
            let own = |key: &str| {
                key.rsplit('.').next() == Some("never_heard_of_this") || {
                    let line = imported.report.lines.iter().find(|line| line.key == key);
                    line.is_some_and(|line| line.line <= at + 1 && !key.is_empty())
                }
            };
            let told = imported.report.lines.iter().any(|line| own(&line.key));
            let written = imported.yaml.contains("never_heard_of_this");
            assert!(
                told || written,
                "{}:{}: {}",
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

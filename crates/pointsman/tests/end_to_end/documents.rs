//! What the documents show works as shown: examples are good configurations, commands exist, the README's own run.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn pointsman(folder: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_pointsman"))
        .args(arguments)
        .current_dir(folder)
        .env("OPENAI_API_KEY", "sk-example-one")
        .env("ANTHROPIC_API_KEY", "sk-example-two")
        .env("REDIS_URL", "redis://:secret@127.0.0.1:6379/1")
        .env("OKTA_SECRET", "secret-example")
        .env("PLANNER_TOKEN", "token-example")
        .env("SEARCH_TOKEN", "token-example")
        .env("SLACK_WEBHOOK_URL", "https://hooks.example.com/services/example")
        .env("POINTSMAN_SIGNING_SECRET", "0123456789abcdef0123456789abcdef")
        .output()
        .unwrap()
}

fn said(output: &Output) -> String {
    [&output.stdout, &output.stderr]
        .map(|text| String::from_utf8_lossy(text).into_owned())
        .concat()
}

#[test]
fn every_example_is_a_good_configuration() {
    let mut count = 0;
    for file in std::fs::read_dir(root().join("examples")).unwrap() {
        let file = file.unwrap().path();
        if file.extension().is_some_and(|ending| ending == "yaml") {
            let output = pointsman(&root(), &["check", file.to_str().unwrap()]);
            assert!(output.status.success(), "{}", said(&output));
            let first = std::fs::read_to_string(&file).unwrap();
            assert!(first.starts_with("# "), "{} says what it shows", file.display());
            count += 1;
        }
    }
    assert!(count >= 3, "only {count} examples");
}

/// Fenced blocks of a language.
fn blocks(text: &str, language: &str) -> Vec<String> {
    let fence = format!("```{language}\n");
    text.split(&fence)
        .skip(1)
        .map(|rest| rest.split("\n```").next().unwrap().to_owned())
        .collect()
}

/// Words of a command line; quotes hold words together, a comment ends it.
fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut quoted = false;
    let mut word = String::new();
    for letter in line.chars() {
        match letter {
            '"' | '\'' => quoted = !quoted,
            '#' if !quoted && word.is_empty() => break,
            ' ' if !quoted => words.extend((!word.is_empty()).then(|| std::mem::take(&mut word))),
            other => word.push(other),
        }
    }
    words.extend((!word.is_empty()).then_some(word));
    words
}

/// Every command of ours that a document shows, as the arguments of the binary.
fn commands(text: &str) -> Vec<Vec<String>> {
    let lines = blocks(text, "sh").join("\n");
    let lines = lines.lines().map(words);
    let ours = lines.filter_map(|words| {
        let at = words
            .iter()
            .position(|word| word == "pointsman" || word == "cargo")?;
        if words[at] == "pointsman" {
            return Some(words[at + 1..].to_vec());
        }
        // Others than `run` give what comes behind the dashes to a benchmark or a test.
        let own = words.iter().position(|word| word == "--")?;
        if words[at + 1] != "run" {
            return None;
        }
        Some(words[own + 1..].to_vec())
    });
    ours.filter(|words| !words.is_empty()).collect()
}

#[test]
fn every_command_and_flag_in_the_documents_exists() {
    let mut seen = 0;
    for document in [
        "README.md",
        "CONTRIBUTING.md",
        "docs/performance.md",
        "docs/requests.md",
    ] {
        let text = std::fs::read_to_string(root().join(document)).unwrap();
        for command in commands(&text) {
            let mut path: Vec<&str> = vec![&command[0]];
            if command[0] == "key" {
                path.push(&command[1]);
            }
            path.push("--help");
            let output = pointsman(&root(), &path);
            let help = said(&output);
            assert!(output.status.success(), "{document}: {command:?}: {help}");
            for flag in command.iter().filter(|word| word.starts_with('-')) {
                let flag = flag.split('=').next().unwrap();
                let known = help.split([' ', ',', '\n']).any(|word| word == flag);
                assert!(known, "{document}: {command:?}: {flag} is not in {help}");
            }
            seen += 1;
        }
    }
    assert!(seen >= 6, "only {seen} commands found");
}

#[test]
fn the_readmes_commands_work_on_its_own_file() {
    let text = std::fs::read_to_string(root().join("README.md")).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let config = blocks(&text, "yaml").into_iter().next().unwrap();
    std::fs::write(folder.path().join("pointsman.yaml"), config).unwrap();
    std::fs::create_dir(folder.path().join("examples")).unwrap();
    let example = root().join("examples/routing.yaml");
    std::fs::copy(example, folder.path().join("examples/routing.yaml")).unwrap();
    let mut ran = Vec::new();
    for command in commands(&text) {
        // What stays up is started by other tests.
        if ["check", "key", "route"].contains(&command[0].as_str()) {
            let arguments: Vec<&str> = command.iter().map(String::as_str).collect();
            let output = pointsman(folder.path(), &arguments);
            assert!(output.status.success(), "{command:?}: {}", said(&output));
            ran.push(command[0].clone());
        }
    }
    assert_eq!(ran, ["check", "key", "route"]);
}

#[test]
fn the_test_command_has_the_parts_that_the_documents_name() {
    let script = std::fs::read_to_string(root().join("test")).unwrap();
    for document in ["README.md", "CONTRIBUTING.md"] {
        let text = std::fs::read_to_string(root().join(document)).unwrap();
        for part in text.split("./test ").skip(1) {
            let word: String = part.chars().take_while(char::is_ascii_lowercase).collect();
            let named = word.is_empty() || part.starts_with(&format!("{word}`"));
            assert!(
                !named || word.is_empty() || script.contains(&format!("  {word})")),
                "{document}: ./test {word}"
            );
        }
    }
}

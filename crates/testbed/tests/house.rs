//! The plan of the house as tests: what `docs/architecture.md` and `CONTRIBUTING.md` say of crates and files is so.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test says what it expects by failing"
)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../..")
        .canonicalize()
        .unwrap()
}

fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap()
}

/// What cargo knows of the workspace; with all dependencies when `deep`.
fn metadata(deep: bool) -> Value {
    let mut command = Command::new(env!("CARGO"));
    command.args(["metadata", "--format-version", "1", "--offline", "--locked"]);
    if deep {
        // What other systems need is not here to be looked at.
        command.args(["--filter-platform", &host()]);
    } else {
        command.arg("--no-deps");
    }
    let output = command.current_dir(root()).output().unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    serde_json::from_slice(&output.stdout).unwrap()
}

/// The system that is built for.
fn host() -> String {
    let output = Command::new("rustc").arg("-vV").output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let host = text.lines().find_map(|line| line.strip_prefix("host: "));
    host.unwrap().to_owned()
}

/// The crates of the house in the order of the plan, lowest first, and those of the workshop.
fn plan() -> (Vec<String>, Vec<String>) {
    let text = read("docs/architecture.md");
    let floors = text.split("## The floors").nth(1).unwrap();
    let floors = floors.split("**Invariants").next().unwrap();
    let (house, workshop) = floors.split_once("Workshop").unwrap();
    let named = |text: &str| text.split('`').skip(1).step_by(2).map(str::to_owned).collect();
    (named(house), named(workshop))
}

fn short(name: &str) -> String {
    name.strip_prefix("pointsman-").unwrap_or(name).to_owned()
}

/// Crates and what they import of the house, tests left out.
fn imports() -> BTreeMap<String, Vec<String>> {
    let metadata = metadata(false);
    let of = |package: &Value| {
        let imported = package["dependencies"].as_array().unwrap().iter();
        imported
            .filter(|other| other["kind"].as_str() != Some("dev") && other["path"].is_string())
            .map(|other| short(other["name"].as_str().unwrap()))
            .collect()
    };
    let crates = root().join("crates");
    // What fuzzes the house stands before its door.
    let packages = metadata["packages"].as_array().unwrap().iter();
    packages
        .filter(|package| Path::new(package["manifest_path"].as_str().unwrap()).starts_with(&crates))
        .map(|package| (short(package["name"].as_str().unwrap()), of(package)))
        .collect()
}

#[test]
fn every_crate_has_its_place_in_the_plan() {
    let (house, workshop) = plan();
    let mut planned = [house, workshop].concat();
    planned.sort();
    assert_eq!(planned, imports().into_keys().collect::<Vec<_>>());
}

#[test]
fn imports_point_down() {
    let (house, workshop) = plan();
    for (name, imported) in imports() {
        let Some(floor) = house.iter().position(|other| *other == name) else {
            assert!(imported.is_empty(), "{name} of the workshop imports {imported:?}");
            continue;
        };
        let is_roof = floor + 1 == house.len();
        for other in imported {
            assert!(
                house[..floor].contains(&other) || is_roof && workshop.contains(&other),
                "{name} imports {other}, which does not stand before it in docs/architecture.md"
            );
        }
    }
}

/// Files of the project with this ending, what is built left out.
fn files(ending: &str) -> Vec<String> {
    const MADE: [&str; 5] = ["target", "corpus", "artifacts", "node_modules", "__pycache__"];
    let mut found = Vec::new();
    let mut folders = vec![root()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if path.is_dir() && !name.starts_with('.') && !MADE.contains(&name.as_str()) {
                folders.push(path);
            } else if path.is_file() && name.ends_with(ending) {
                let inside = path.strip_prefix(root()).unwrap();
                found.push(inside.to_string_lossy().into_owned());
            }
        }
    }
    found.sort();
    found
}

#[test]
fn files_say_what_they_are_and_stay_readable() {
    let sources = files(".rs");
    assert!(sources.len() > 100, "{sources:?}");
    for file in &sources {
        let text = read(file);
        let first = text.lines().next().unwrap_or_default();
        assert!(
            first.starts_with("//! "),
            "{file}: the first line says what the file is about: `//! …`"
        );
        assert!(
            !file.ends_with("/mod.rs"),
            "{file}: a module is a file of its name beside its folder"
        );
        let lines = text.lines().count();
        assert!(
            lines <= 1_000,
            "{file} has {lines} lines: it is about more than one thing"
        );
    }
    for file in files(".py") {
        let text = read(&file);
        let after = text
            .strip_prefix("#!")
            .and_then(|rest| rest.split_once('\n'))
            .map_or(text.as_str(), |(_, rest)| rest);
        assert!(
            after.starts_with("\"\"\""),
            "{file}: the first line says what the file is about"
        );
    }
}

#[test]
fn there_are_no_rooms_for_leftovers() {
    for file in files(".rs") {
        for part in Path::new(&file).with_extension("").components() {
            let name = part.as_os_str().to_string_lossy().into_owned();
            assert!(
                !["utils", "util", "helpers", "common", "misc"].contains(&name.as_str()),
                "{file}: name it after what it is about"
            );
        }
    }
}

#[test]
fn manifests_take_lints_and_versions_from_the_workspace() {
    for file in files("Cargo.toml")
        .into_iter()
        .filter(|file| file.starts_with("crates/"))
    {
        let text = read(&file);
        assert!(text.contains("[lints]\nworkspace = true"), "{file}: lints");
        let mut inside = false;
        for line in text.lines().map(str::trim) {
            if line.starts_with('[') {
                inside = line.ends_with("dependencies]");
            } else if inside && !line.is_empty() && !line.starts_with('#') {
                assert!(
                    line.contains("workspace = true"),
                    "{file}: {line:?} is pinned in the workspace"
                );
            }
        }
    }
}

/// An SPDX expression, judged: `OR` needs one side, `AND` both.
struct Expression<'a> {
    words: Vec<String>,
    at: usize,
    allow: &'a [String],
}

impl<'a> Expression<'a> {
    fn is_allowed(text: &str, allow: &'a [String]) -> bool {
        let spaced = text.replace('(', " ( ").replace(')', " ) ").replace('/', " OR ");
        let mut expression = Self {
            words: spaced.split_whitespace().map(str::to_owned).collect(),
            at: 0,
            allow,
        };
        let judged = expression.either();
        assert_eq!(
            expression.at,
            expression.words.len(),
            "{text:?} is not understood"
        );
        judged
    }

    fn takes(&mut self, word: &str) -> bool {
        let there = self.words.get(self.at).is_some_and(|next| next == word);
        self.at += usize::from(there);
        there
    }

    fn either(&mut self) -> bool {
        let mut judged = self.both();
        while self.takes("OR") {
            judged |= self.both();
        }
        judged
    }

    fn both(&mut self) -> bool {
        let mut judged = self.one();
        while self.takes("AND") {
            judged &= self.one();
        }
        judged
    }

    fn one(&mut self) -> bool {
        if self.takes("(") {
            let judged = self.either();
            return self.takes(")") && judged;
        }
        let judged = self
            .words
            .get(self.at)
            .is_some_and(|word| self.allow.contains(word));
        self.at += 1;
        if self.takes("WITH") {
            // An exception only ever allows more.
            self.at += 1;
        }
        judged
    }
}

#[test]
fn licence_expressions_are_judged() {
    let allow = ["MIT".to_owned(), "ISC".to_owned()];
    for (expression, good) in [
        ("MIT", true),
        ("GPL-3.0", false),
        ("GPL-3.0 OR MIT", true),
        ("GPL-3.0/MIT", true),
        ("MIT AND GPL-3.0", false),
        ("(GPL-3.0 OR MIT) AND ISC", true),
        ("MIT AND (GPL-3.0 OR BSD)", false),
        ("MIT WITH LLVM-exception", true),
    ] {
        assert_eq!(Expression::is_allowed(expression, &allow), good, "{expression}");
    }
}

#[test]
fn what_comes_into_the_house_may() {
    let rules = read("deny.toml");
    let allow = rules.split("\nallow = [").nth(1).unwrap();
    let allow = allow.split(']').next().unwrap();
    let allow: Vec<String> = allow.split('"').skip(1).step_by(2).map(str::to_owned).collect();
    assert!(allow.contains(&"Apache-2.0".to_owned()) && !allow.iter().any(|license| license.contains("GPL")));
    let metadata = metadata(true);
    let packages = metadata["packages"].as_array().unwrap();
    assert!(packages.len() > 100);
    for package in packages {
        let name = package["name"].as_str().unwrap();
        let license = package["license"].as_str().unwrap_or_default();
        assert!(
            Expression::is_allowed(license, &allow),
            "{name}: {license:?} is not allowed by deny.toml"
        );
        assert!(
            !["openssl", "openssl-sys", "native-tls"].contains(&name),
            "{name}: TLS is rustls"
        );
        let source = package["source"].as_str();
        assert!(
            source.is_none_or(|source| source == "registry+https://github.com/rust-lang/crates.io-index"),
            "{name} comes from {source:?}"
        );
    }
}

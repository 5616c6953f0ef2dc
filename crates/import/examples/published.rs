//! What becomes of the configurations in a folder: `cargo run -p pointsman-import --example published -- FOLDER`.
//!
//! Give it a checkout of vllm-project/semantic-router. Every YAML file of it in which there is a configuration, or a
//! fragment of one, is a line of the table that is printed: whether all of its routing is taken over, whether it loads,
//! and which parts of it this version does not carry out.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "an example prints")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use pointsman_import::{Fate, Imported, semantic_router};

const UNSUPPORTED: &str = "not supported in this version";

/// What else is no fault of the file: a file of weights is to be fitted anew, and what this version cannot feed.
const MISSING: [&str; 2] = [": pointsman train", " in this version"];

fn main() -> ExitCode {
    let Some(folder) = std::env::args_os().nth(1).map(PathBuf::from) else {
        eprintln!("give a folder");
        return ExitCode::FAILURE;
    };
    let mut files = Vec::new();
    collect(&folder, &mut files);
    files.sort();
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    println!(
        "| File | Routing taken over | Loads | What is not carried out yet, or wrong |\n| --- | --- | --- | --- |"
    );
    for file in &files {
        let Ok(imported) = semantic_router(file) else {
            continue;
        };
        let name = file.strip_prefix(&folder).unwrap_or(file).display();
        let lost = lost(&imported);
        let (whole, loads, parts) = judged(&imported, &lost);
        println!(
            "| `{name}` | {whole} | {loads} | {} |",
            parts.join("; ").replace('|', "\\|")
        );
        *counts.entry("files").or_default() += 1;
        *counts
            .entry(if whole == "whole" {
                "taken over whole"
            } else {
                "taken over in part"
            })
            .or_default() += 1;
        *counts
            .entry(if loads == "yes" { "load" } else { "do not load" })
            .or_default() += 1;
    }
    println!();
    for (what, count) in counts {
        println!("{count} {what}");
    }
    ExitCode::SUCCESS
}

/// Keys of the routing that are not in the result.
fn lost(imported: &Imported) -> Vec<String> {
    let of_routing = ["routing", "recipes", "entrypoints"];
    let lines = imported.report.lines.iter();
    lines
        .filter(|line| line.fate == Fate::NotCarried)
        .filter(|line| of_routing.iter().any(|block| line.key.starts_with(block)))
        .map(|line| format!("{}: {}", line.key, line.why))
        .collect()
}

fn judged(imported: &Imported, lost: &[String]) -> (&'static str, &'static str, Vec<String>) {
    let (refused, wrong): (Vec<_>, Vec<_>) = imported
        .problems
        .iter()
        .partition(|problem| MISSING.iter().any(|missing| problem.message.contains(missing)));
    let mut parts: Vec<String> = refused
        .iter()
        .map(|problem| {
            let part = problem.message.split(UNSUPPORTED).next().unwrap_or_default();
            let part = MISSING
                .iter()
                .fold(part, |part, end| part.split(end).next().unwrap_or_default());
            part.trim()
                .trim_end_matches(" are")
                .trim_end_matches(" is")
                .to_owned()
        })
        .collect();
    parts.sort();
    parts.dedup();
    parts.extend(
        wrong
            .iter()
            .map(|problem| format!("**{}: {}**", problem.path, problem.message)),
    );
    parts.extend(lost.iter().map(|lost| format!("**{lost}**")));
    let whole = if lost.is_empty() && wrong.is_empty() {
        "whole"
    } else {
        "in part"
    };
    let loads = if imported.problems.is_empty() { "yes" } else { "no" };
    (whole, loads, parts)
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return;
    };
    for path in entries.flatten().map(|entry| entry.path()) {
        let name = path
            .file_name()
            .map(|name| name.to_string_lossy().into_owned())
            .unwrap_or_default();
        if path.is_dir() && !name.starts_with('.') {
            collect(&path, files);
        } else if name.ends_with(".yaml") || name.ends_with(".yml") {
            files.push(path);
        }
    }
}

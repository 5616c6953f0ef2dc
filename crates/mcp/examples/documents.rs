//! What becomes of OpenAPI documents: `cargo run -p pointsman-mcp --example documents -- FOLDER`.
//!
//! Each file is a document; a line for each says how many tools it has, how large the largest definition is, how many
//! schemas are not valid, and what could not be carried over.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "an example that stops where something is wrong"
)]

use std::time::Instant;

use pointsman_mcp::openapi::{Document, Operation, operations};

/// What is wrong with a tool's schema.
fn fault(schema: &serde_json::Value) -> Option<String> {
    if schema.is_null() {
        return None;
    }
    if schema["type"] != "object" || schema.to_string().contains("\"$ref\"") {
        return Some("no object that stands alone".to_owned());
    }
    if let Err(error) = jsonschema::meta::validate(schema) {
        return Some(error.to_string());
    }
    jsonschema::validator_for(schema)
        .err()
        .map(|error| error.to_string())
}

fn main() {
    let folder = std::env::args().nth(1).unwrap();
    let mut files: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|file| file.unwrap().path())
        .collect();
    files.sort();
    let (mut tools, mut partly, mut refused, mut bad) = (0, 0, 0, 0);
    for file in &files {
        let name = file.file_name().unwrap_or_default().display().to_string();
        let begun = Instant::now();
        let read = Document::read(&std::fs::read_to_string(file).unwrap());
        let (all, wrong): (Vec<Operation>, _) = match &read {
            Ok(document) => operations(document),
            Err(error) => {
                println!("{name}: refused: {error}");
                refused += 1;
                continue;
            }
        };
        let fault = |one: &Operation| {
            let tool = &one.definition;
            let fault = fault(&tool["inputSchema"]).or_else(|| fault(&tool["outputSchema"]))?;
            let fault: String = fault.chars().take(120).collect();
            Some(format!("{}: {fault}", one.name))
        };
        let invalid: Vec<_> = all.iter().filter_map(fault).collect();
        let largest = all
            .iter()
            .map(|one| one.definition.to_string().len())
            .max()
            .unwrap_or(0);
        println!(
            "{name}: {} tools, the largest of {largest} bytes, {} ms; not valid: {invalid:?}; not carried over: {wrong:?}",
            all.len(),
            begun.elapsed().as_millis(),
        );
        tools += all.len();
        bad += invalid.len();
        partly += usize::from(!wrong.is_empty());
    }
    println!(
        "{} documents: {tools} tools; {refused} documents refused, {partly} carried over in part; {bad} tools with schemas that are not valid",
        files.len()
    );
}

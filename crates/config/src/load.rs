//! From a file to a configuration.

use std::path::{Path, PathBuf};

use crate::catalog;
use crate::check::{check, coerce};
use crate::cross;
use crate::document;
use crate::interpolate::{Environment, Found, interpolate};
use crate::node::{File, Place};
use crate::problem::Problem;
use crate::types::Config;

/// A configuration, and the files it was made of.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// The configuration.
    pub config: Config,
    /// The file itself, and those it takes values from.
    pub files: Vec<PathBuf>,
    /// What works today but will not for ever.
    pub warnings: Vec<Problem>,
}

/// Reads a file.
///
/// # Errors
/// Everything that is wrong with it.
pub fn load(path: &Path, environment: &Environment<'_>) -> Result<Loaded, Vec<Problem>> {
    let name = path.display().to_string();
    let text = std::fs::read_to_string(path).map_err(|error| {
        let file = File { name: &name };
        vec![file.problem(
            Place { line: 1, column: 1 },
            "",
            format!("cannot be read: {error}"),
        )]
    })?;
    let mut loaded = parse(&text, &name, environment)?;
    loaded.files.insert(0, path.to_owned());
    Ok(loaded)
}

/// Reads a text.
///
/// # Errors
/// Everything that is wrong with it.
pub fn parse(text: &str, name: &str, environment: &Environment<'_>) -> Result<Loaded, Vec<Problem>> {
    let file = File { name };
    let mut root = document::read(text, file)?;
    let mut found = Found::default();
    interpolate(&mut root, environment, file, "", &mut found);
    let schema = schema();
    coerce(&mut root, &schema, &schema);
    let mut problems = std::mem::take(&mut found.problems);
    problems.extend(check(&root, &schema, file));
    if !problems.is_empty() {
        problems.sort_by_key(|problem| (problem.line, problem.column));
        return Err(problems);
    }
    let mut config: Config = serde_path_to_error::deserialize(root.json()).map_err(|error| {
        let path = error.path().to_string();
        vec![file.problem(root.place_of(&path), path, error.inner().to_string())]
    })?;
    catalog::read_files(&mut config, &root, file, environment, &mut found);
    let mut problems = std::mem::take(&mut found.problems);
    if problems.is_empty() {
        problems = cross::check(&config, &root, file);
    }
    if problems.is_empty() {
        let warnings = catalog::warnings(&config, &root, file);
        return Ok(Loaded {
            config,
            files: found.files,
            warnings,
        });
    }
    problems.sort_by_key(|problem| (problem.line, problem.column));
    Err(problems)
}

/// The JSON Schema of pointsman.yaml.
#[must_use]
pub fn schema() -> serde_json::Value {
    schemars::schema_for!(Config).to_value()
}

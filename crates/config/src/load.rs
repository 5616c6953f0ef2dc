//! From a file to a configuration.

use std::path::{Path, PathBuf};

use crate::catalog;
use crate::check::{check, coerce};
use crate::cross;
use crate::document;
use crate::interpolate::{Environment, Found, interpolate_all};
use crate::mask::Mask;
use crate::node::{File, Node, Place};
use crate::problem::Problem;
use crate::shown::shown;
use crate::types::Config;

/// A configuration, and the files it was made of.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// The configuration.
    pub config: Config,
    /// The file itself, those it takes values from, and those it names: certificates.
    pub files: Vec<PathBuf>,
    /// What works today but will not for ever.
    pub warnings: Vec<Problem>,
    /// Hides what came from variables: for messages of those who go on to compile it.
    pub mask: Mask,
    /// The file as people may see it: variables by their names, and without secrets.
    pub shown: serde_json::Value,
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
    let schema = schema();
    let shown = shown(&root, &schema);
    let mut found = Found::default();
    interpolate_all(&mut root, environment, file, &mut found);
    let read = understand(&mut root, &schema, (file, environment), &mut found);
    let Found {
        mut problems,
        mut files,
        mask,
        secrets,
    } = found;
    if let (Some((config, warnings)), true) = (read, problems.is_empty()) {
        if let Some(tls) = &config.listeners.api.tls {
            files.extend([tls.cert.clone(), tls.key.clone()]);
            files.extend(tls.client_ca.clone());
        }
        if let Some(secrets) = secrets {
            secrets.keep();
        }
        return Ok(Loaded {
            config,
            files,
            warnings,
            mask,
            shown,
        });
    }
    problems.sort_by_key(|problem| (problem.line, problem.column));
    for problem in &mut problems {
        problem.message = mask.apply(&problem.message);
    }
    Err(problems)
}

/// From the tree to the configuration and what is to be warned of; what is wrong goes to `found`.
fn understand(
    root: &mut Node,
    schema: &serde_json::Value,
    (file, environment): (File<'_>, &Environment<'_>),
    found: &mut Found<'_>,
) -> Option<(Config, Vec<Problem>)> {
    coerce(root, schema, schema);
    found.problems.extend(check(root, schema, file));
    if !found.problems.is_empty() {
        return None;
    }
    let mut config: Config = match serde_path_to_error::deserialize(root.json()) {
        Ok(config) => config,
        Err(error) => {
            let path = error.path().to_string();
            let message = error.inner().to_string();
            found
                .problems
                .push(file.problem(root.place_of(&path), path, message));
            return None;
        }
    };
    catalog::read_files(&mut config, root, file, environment, found);
    if found.problems.is_empty() {
        found.problems = cross::check(&config, root, file);
    }
    let mut warnings = catalog::warnings(&config, root, file);
    warnings.extend(cross::conflicts(&config, root, file));
    warnings.sort_by_key(|warning| (warning.line, warning.column));
    Some((config, warnings))
}

/// The JSON Schema of pointsman.yaml.
#[must_use]
pub fn schema() -> serde_json::Value {
    schemars::schema_for!(Config).to_value()
}

//! The configuration in force, as people may see it: what the file says, without what only it should know.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::RwLock;
use serde_json::{Value, json};

use crate::call::{Answer, Call, Reply};
use crate::shapes::time;

/// Problems of a refused file that are kept, at most.
const MAX_PROBLEMS: usize = 100;

/// The configuration in force. Whoever reads files says which it is.
#[derive(Debug, Default)]
pub struct Configuration(RwLock<Arc<InForce>>);

/// What is known of it.
#[derive(Debug, Clone, Default)]
pub struct InForce {
    /// Its file; none where there is none.
    pub file: Option<PathBuf>,
    /// Since when, Unix milliseconds.
    pub since: i64,
    /// What it says, without secrets; nothing where there is no file.
    pub shown: Value,
    /// What works today but will not for ever.
    pub warnings: Vec<String>,
    /// A newer one that could not be taken over.
    pub refused: Option<Refused>,
}

/// A file that could not be taken over: the one before it stays.
#[derive(Debug, Clone)]
pub struct Refused {
    /// When, Unix milliseconds.
    pub at: i64,
    /// Why.
    pub problems: Vec<String>,
}

impl Configuration {
    /// Another one is in force.
    pub fn replace(&self, file: Option<&Path>, shown: Value, warnings: Vec<String>) {
        *self.0.write() = Arc::new(InForce {
            file: file.map(Path::to_owned),
            since: now(),
            shown,
            warnings,
            refused: None,
        });
    }

    /// Another one could not be taken over.
    pub fn refuse(&self, mut problems: Vec<String>) {
        problems.truncate(MAX_PROBLEMS);
        let mut in_force = self.0.write();
        Arc::make_mut(&mut in_force).refused = Some(Refused { at: now(), problems });
    }

    /// The one in force.
    #[must_use]
    pub fn in_force(&self) -> Arc<InForce> {
        Arc::clone(&self.0.read())
    }
}

impl InForce {
    /// What it says of something: the block with this name in the mapping that a path leads to.
    pub fn block(&self, path: &[&str], name: &str) -> Value {
        let found = path.iter().try_fold(&self.shown, |at, step| at.get(step));
        found
            .and_then(|block| block.get(name))
            .cloned()
            .unwrap_or_default()
    }
}

/// Shows it.
pub fn show(call: &Call) -> Answer {
    call.only(&[])?;
    let now = call.configuration.in_force();
    let refused = |refused: &Refused| json!({ "at": time(refused.at), "problems": refused.problems });
    Ok(Reply::of(json!({
        "file": now.file.as_ref().map(|file| file.display().to_string()),
        "in_force_since": time(now.since),
        "configuration": now.shown,
        "warnings": now.warnings,
        "refused": now.refused.as_ref().map(refused),
    })))
}

fn now() -> i64 {
    jiff::Timestamp::now().as_millisecond()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_that_is_refused_leaves_the_one_in_force() {
        let configuration = Configuration::default();
        configuration.replace(
            Some(Path::new("p.yaml")),
            json!({ "mcp": { "servers": { "files": { "url": "https://a.example" } } } }),
            Vec::new(),
        );
        configuration.refuse(vec!["p.yaml:1:1: x: unknown key".to_owned(); MAX_PROBLEMS + 1]);
        let now = configuration.in_force();
        assert_eq!(
            now.block(&["mcp", "servers"], "files"),
            json!({ "url": "https://a.example" })
        );
        assert_eq!(now.block(&["mcp", "servers"], "other"), Value::Null);
        assert_eq!(
            now.refused.as_ref().map(|refused| refused.problems.len()),
            Some(MAX_PROBLEMS)
        );
        configuration.replace(None, Value::Null, Vec::new());
        assert!(configuration.in_force().refused.is_none());
    }
}

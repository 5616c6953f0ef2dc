//! Environment variables and files, as credentials look for them.

use std::collections::HashMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::error::CredentialError;

/// Most bytes of a file that holds a credential.
const FILE_LIMIT: u64 = 1024 * 1024;

type Lookup = dyn Fn(&str) -> Option<String> + Send + Sync;

/// Where environment variables are looked up: this process's own, or a table.
#[derive(Clone)]
pub struct Environment(Arc<Lookup>);

impl Environment {
    /// The variables of this process.
    #[must_use]
    pub fn process() -> Self {
        Self(Arc::new(|name| std::env::var(name).ok()))
    }

    /// These variables and no others.
    #[must_use]
    pub fn of<N: Into<String>, V: Into<String>>(variables: impl IntoIterator<Item = (N, V)>) -> Self {
        let table: HashMap<String, String> = variables
            .into_iter()
            .map(|(name, value)| (name.into(), value.into()))
            .collect();
        Self(Arc::new(move |name| table.get(name).cloned()))
    }

    /// A variable that is set to something.
    pub(crate) fn get(&self, name: &str) -> Option<String> {
        (self.0)(name).filter(|value| !value.trim().is_empty())
    }

    /// The first of several variables that is set.
    pub fn first(&self, names: &[&str]) -> Option<String> {
        names.iter().find_map(|name| self.get(name))
    }

    /// The user's folder.
    pub(crate) fn home(&self) -> Option<PathBuf> {
        self.first(&["HOME", "USERPROFILE"]).map(PathBuf::from)
    }
}

impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Environment")
    }
}

/// Reads a file that holds (part of) a credential. Its content never appears in an error.
pub(crate) async fn read(path: &Path, what: &str) -> Result<String, CredentialError> {
    let wrong = |problem: String| {
        CredentialError::invalid(format!("{what} could not be read"))
            .because(format!("`{}`: {problem}", path.display()))
    };
    let metadata = tokio::fs::metadata(path)
        .await
        .map_err(|error| wrong(error.to_string()))?;
    if metadata.len() > FILE_LIMIT {
        return Err(wrong(format!("is larger than {FILE_LIMIT} bytes")));
    }
    tokio::fs::read_to_string(path)
        .await
        .map_err(|error| wrong(error.to_string()))
}

/// Reads a file that holds a token and nothing else.
pub(crate) async fn read_token(path: &Path, what: &str) -> Result<String, CredentialError> {
    let token = read(path, what).await?.trim().to_owned();
    if token.is_empty() || token.contains(['\r', '\n']) {
        let problem = format!("`{}` does not hold one token", path.display());
        return Err(CredentialError::invalid(format!("{what} holds no token")).because(problem));
    }
    Ok(token)
}

//! What can be wrong with a model or with what is asked of it.

use std::path::PathBuf;

/// Why a model can't be loaded. Names the file, and the tensor or key in it.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// A file can't be read.
    #[error("{path}: {source}")]
    Read {
        /// Which file.
        path: PathBuf,
        /// What the operating system says.
        source: std::io::Error,
    },
    /// A file is not what its name says.
    #[error("{file}: {problem}")]
    Malformed {
        /// Which file.
        file: String,
        /// What is wrong with it.
        problem: String,
    },
    /// A key of a configuration has a value that this engine has no way to honour.
    #[error("{file}: `{key}` {problem}")]
    Unsupported {
        /// Which file.
        file: String,
        /// Which key.
        key: String,
        /// What it says, and what could be done.
        problem: String,
    },
    /// A tensor that the architecture needs is not there.
    #[error("tensor `{name}` is missing; the file has {count} tensors{near}")]
    Missing {
        /// Which tensor.
        name: String,
        /// How many there are.
        count: usize,
        /// One whose name is alike, if there is one.
        near: String,
    },
    /// A tensor has another shape than the configuration says.
    #[error("tensor `{name}` has shape {found:?}, but the configuration asks for {expected:?}")]
    Shape {
        /// Which tensor.
        name: String,
        /// The shape in the file.
        found: Vec<usize>,
        /// The shape that is wanted.
        expected: Vec<usize>,
    },
}

impl LoadError {
    /// A file that is not what its name says.
    pub(crate) fn malformed(file: impl Into<String>, problem: impl Into<String>) -> Self {
        Self::Malformed {
            file: file.into(),
            problem: problem.into(),
        }
    }

    /// A key whose value can't be honoured.
    pub(crate) fn unsupported(
        file: impl Into<String>,
        key: impl Into<String>,
        problem: impl Into<String>,
    ) -> Self {
        Self::Unsupported {
            file: file.into(),
            key: key.into(),
            problem: problem.into(),
        }
    }
}

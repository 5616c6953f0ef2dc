//! Why there is no answer.

use pointsman_semantics::error::LoadError;
use pointsman_semantics::load::AskError;
use pointsman_semantics::service::Refused;

/// Why there is no answer.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Failed {
    /// The model can't be loaded.
    #[error("the model {name:?} can't be loaded: {problem}")]
    Load {
        /// Its name.
        name: String,
        /// What is wrong with it.
        problem: String,
    },
    /// The text was not read: as many wait as may, it is too long, or its time is over.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// The model can't answer what was asked.
    #[error("the model {name:?}: {problem}")]
    Ask {
        /// Its name.
        name: String,
        /// Why not.
        problem: String,
    },
    /// There is no such head or model.
    #[error("there is no {what} {name:?}; there are {known}")]
    Unknown {
        /// What was asked for.
        what: &'static str,
        /// Its name.
        name: String,
        /// Those there are.
        known: String,
    },
    /// Somebody at a provider was asked and gave no answer.
    #[error("{message}")]
    Provider {
        /// What happened.
        message: String,
        /// Whether it may be otherwise later.
        transient: bool,
    },
}

impl Failed {
    /// A model that can't be loaded.
    pub(crate) fn load(name: &str, error: &LoadError) -> Self {
        Self::Load {
            name: name.to_owned(),
            problem: error.to_string(),
        }
    }

    /// A model that can't answer.
    pub(crate) fn ask(name: &str, error: &AskError) -> Self {
        Self::Ask {
            name: name.to_owned(),
            problem: error.to_string(),
        }
    }

    /// A name that nothing answers to.
    pub(crate) fn unknown<'n>(what: &'static str, name: &str, known: impl Iterator<Item = &'n str>) -> Self {
        Self::Unknown {
            what,
            name: name.to_owned(),
            known: known.collect::<Vec<_>>().join(", "),
        }
    }
}

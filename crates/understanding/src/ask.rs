//! What is asked of a text, by name.

/// Which heads are asked.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Wanted {
    /// None.
    #[default]
    None,
    /// Every one.
    All,
    /// These.
    Named(Vec<String>),
}

/// What is asked of a text.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Ask {
    /// Which heads.
    pub heads: Wanted,
    /// Personal data is looked for.
    pub entities: bool,
    /// It is what the model and the lists of names tell, without recognisers.
    pub unaided: bool,
    /// The vector is wanted.
    pub embedding: bool,
    /// The encoder reads it, however sure the first stage is.
    pub thorough: bool,
}

impl Ask {
    /// One head.
    #[must_use]
    pub fn head(name: &str) -> Self {
        Self::heads(&[name])
    }

    /// Some heads.
    #[must_use]
    pub fn heads(names: &[&str]) -> Self {
        Self {
            heads: Wanted::Named(names.iter().map(|name| (*name).to_owned()).collect()),
            ..Self::default()
        }
    }

    /// Personal data.
    #[must_use]
    pub fn entities() -> Self {
        Self {
            entities: true,
            ..Self::default()
        }
    }

    /// The vector.
    #[must_use]
    pub fn embedding() -> Self {
        Self {
            embedding: true,
            ..Self::default()
        }
    }

    /// Every head, personal data and the vector.
    #[must_use]
    pub fn everything() -> Self {
        Self {
            heads: Wanted::All,
            entities: true,
            embedding: true,
            ..Self::default()
        }
    }
}

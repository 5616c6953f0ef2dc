//! Which versions of the protocol are spoken, and what differs between them.

/// A version of the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Version {
    /// 2025-03-26: sessions, and batches.
    V2025March,
    /// 2025-06-18: structured results, elicitation, no batches.
    V2025June,
    /// 2025-11-25: icons, elicitation by URL.
    V2025November,
    /// 2026-07-28: no sessions; each request says everything itself.
    V2026July,
}

/// The newest version that begins with `initialize`.
pub const NEWEST_LEGACY: Version = Version::V2025November;
/// The newest version.
pub const MODERN: Version = Version::V2026July;

/// All of them, the newest first.
pub const ALL: [Version; 4] = [
    Version::V2026July,
    Version::V2025November,
    Version::V2025June,
    Version::V2025March,
];

impl Version {
    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::V2025March => "2025-03-26",
            Self::V2025June => "2025-06-18",
            Self::V2025November => "2025-11-25",
            Self::V2026July => "2026-07-28",
        }
    }

    /// The version of this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        ALL.into_iter().find(|version| version.name() == name)
    }

    /// Whether each request says everything itself.
    #[must_use]
    pub fn is_modern(self) -> bool {
        self == Self::V2026July
    }

    /// Whether several messages may come as one.
    #[must_use]
    pub fn has_batches(self) -> bool {
        self == Self::V2025March
    }

    /// What `initialize` is answered with: what was asked for, or else the newest that begins this way.
    #[must_use]
    pub fn agreed(requested: &str) -> Self {
        Self::from_name(requested)
            .filter(|version| !version.is_modern())
            .unwrap_or(NEWEST_LEGACY)
    }

    /// The names of all.
    #[must_use]
    pub fn names() -> [&'static str; 4] {
        ALL.map(Self::name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_known_becomes_the_newest_with_sessions() {
        assert_eq!(Version::agreed("2025-06-18"), Version::V2025June);
        assert_eq!(Version::agreed("2024-11-05"), NEWEST_LEGACY);
        assert_eq!(Version::agreed("2026-07-28"), NEWEST_LEGACY);
        assert!(Version::V2025March.has_batches() && !Version::V2025June.has_batches());
    }
}

//! Versions of the protocol, as `Major.Minor`.

/// A version that is spoken here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Version {
    /// The 0.3 line: `message/send`, members told apart by `kind`.
    V03,
    /// 1.0: `SendMessage`, members told apart by their names.
    V10,
}

impl Version {
    /// The version that a header, a card or a query names; what says nothing is 0.3.
    #[must_use]
    pub fn said(text: &str) -> Option<Self> {
        let text = text.trim();
        if text.is_empty() {
            return Some(Self::V03);
        }
        let mut parts = text.split('.').map(str::parse::<u32>);
        let (major, minor) = (parts.next()?.ok()?, parts.next().unwrap_or(Ok(0)).ok()?);
        // Patches change nothing.
        if parts.any(|part| part.is_err()) {
            return None;
        }
        match (major, minor) {
            (0, 3) => Some(Self::V03),
            (1, 0) => Some(Self::V10),
            _ => None,
        }
    }

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::V03 => "0.3",
            Self::V10 => "1.0",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patches_change_nothing_and_nothing_is_the_old_one() {
        for (text, expected) in [
            ("", Some(Version::V03)),
            ("0.3", Some(Version::V03)),
            ("0.3.0", Some(Version::V03)),
            ("1.0", Some(Version::V10)),
            ("1", Some(Version::V10)),
            ("1.0.1", Some(Version::V10)),
            ("1.1", None),
            ("0.2.5", None),
            ("99.0", None),
            ("1.0.x", None),
            ("one", None),
        ] {
            assert_eq!(Version::said(text), expected, "{text}");
        }
    }
}

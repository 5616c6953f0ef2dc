//! What is known of keys that have no counterpart: why they have none, and what to do instead.

/// Keys by their shape, each with why it is not carried over and what to do instead. A key that ends in `*` stands for
/// all that begin so.
pub(crate) struct Hints {
    pub(crate) known: &'static [(&'static str, &'static str, &'static str)],
    /// What is said of keys that are not known.
    pub(crate) unknown: (&'static str, &'static str),
}

impl Hints {
    /// Why a key has no counterpart, and what to do instead: as the longest shape that fits says.
    pub(crate) fn of(&self, shape: &str) -> (&'static str, &'static str) {
        self.known
            .iter()
            .filter(|(known, ..)| fits(known, shape))
            .max_by_key(|(known, ..)| known.len())
            .map_or(self.unknown, |(_, why, instead)| (*why, *instead))
    }
}

fn fits(known: &str, shape: &str) -> bool {
    match known.strip_suffix('*') {
        Some(start) => shape.starts_with(start),
        None => shape
            .strip_prefix(known)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '['])),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_shape_says_why() {
        let hints = Hints {
            known: &[("a", "1", ""), ("a.b", "2", ""), ("a.r_*", "3", "")],
            unknown: ("?", ""),
        };
        for (shape, why) in [
            ("a", "1"),
            ("a.c", "1"),
            ("a[].c", "1"),
            ("a.b.c", "2"),
            ("a.r_x", "3"),
            ("ab", "?"),
            ("a.bc", "1"),
        ] {
            assert_eq!(hints.of(shape).0, why, "{shape}");
        }
    }
}

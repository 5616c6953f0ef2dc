//! What variables hold may be a secret: messages tell of it without showing it.

use std::fmt;

/// Shorter values are no secrets, and would tear holes into any message.
const SHORTEST: usize = 6;
const MASKED: &str = "[from a variable]";

/// Values that no message may show.
#[derive(Clone, Default)]
pub struct Mask {
    /// The longest first: one may be part of another.
    values: Vec<String>,
}

impl fmt::Debug for Mask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Mask({} values)", self.values.len())
    }
}

impl Mask {
    /// Hides a value from now on, also where a message writes it with escapes.
    pub(crate) fn hide(&mut self, value: &str) {
        let value = value.trim();
        if value.len() < SHORTEST {
            return;
        }
        self.values.push(value.to_owned());
        let escaped = value.escape_debug().to_string();
        if escaped != value {
            self.values.push(escaped);
        }
        self.values.sort_by_key(|value| std::cmp::Reverse(value.len()));
    }

    /// The text without the values.
    #[must_use]
    pub fn apply(&self, text: &str) -> String {
        let hide = |text: String, value: &String| text.replace(value.as_str(), MASKED);
        self.values.iter().fold(text.to_owned(), hide)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_hidden_also_within_each_other_and_escaped() {
        let mut mask = Mask::default();
        mask.hide("sk-one");
        mask.hide("sk-one-and-two");
        mask.hide("line\none");
        mask.hide("x");
        assert_eq!(mask.apply("`sk-one-and-two`"), "`[from a variable]`");
        assert_eq!(mask.apply("sk-one x"), "[from a variable] x");
        assert_eq!(mask.apply(&format!("{:?}", "line\none")), "\"[from a variable]\"");
        assert_eq!(format!("{mask:?}"), "Mask(4 values)");
    }
}

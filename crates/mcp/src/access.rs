//! Which tools of a server there are for callers: patterns that allow and patterns that deny. Deny wins.

use pointsman_governance::fits;

/// What is let through.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rules {
    allow: Vec<String>,
    deny: Vec<String>,
}

impl Rules {
    /// Rules of patterns, in which `*` stands for any run of letters. No pattern that allows: everything is allowed.
    #[must_use]
    pub fn new(allow: &[String], deny: &[String]) -> Self {
        Self {
            allow: allow.to_vec(),
            deny: deny.to_vec(),
        }
    }

    /// Whether `name`, as its server calls it, is let through.
    #[must_use]
    pub fn allows(&self, name: &str) -> bool {
        let names = |pattern: &String| fits(pattern, name);
        !self.deny.iter().any(names) && (self.allow.is_empty() || self.allow.iter().any(names))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(allow: &[&str], deny: &[&str]) -> Rules {
        let owned = |list: &[&str]| list.iter().map(|one| (*one).to_owned()).collect::<Vec<_>>();
        Rules::new(&owned(allow), &owned(deny))
    }

    #[test]
    fn deny_wins() {
        let rules = rules(&["search_*", "delete_own"], &["*_own", "search_secret"]);
        for (name, expected) in [
            ("search_web", true),
            ("search_secret", false),
            ("delete_own", false),
            ("create", false),
            ("Search_web", false),
        ] {
            assert_eq!(rules.allows(name), expected, "{name}");
        }
    }

    #[test]
    fn without_patterns_everything_is_allowed() {
        assert!(rules(&[], &[]).allows("anything"));
        assert!(!rules(&[], &["*"]).allows("anything"));
    }
}

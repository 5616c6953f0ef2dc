//! Which tools of a server there are for callers: patterns that allow and patterns that deny. Deny wins.

use pointsman_governance::fits;

use crate::config::AccessRule;
use crate::when::{Called, When};

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

/// Who calls, as far as rules look.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Caller {
    /// Their key, by its id and by its name.
    pub keys: Vec<String>,
    /// Their team.
    pub team: Option<String>,
    /// Their roles.
    pub roles: Vec<String>,
    /// Their groups.
    pub groups: Vec<String>,
    /// What their token is allowed; nothing is asked of whoever comes without one.
    pub scopes: Option<Vec<String>>,
}

/// Who may use what. What no rule covers is for all; every rule that covers something must let its caller in.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Gates(Vec<Gate>);

/// A rule, and its condition, read.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Gate {
    rule: AccessRule,
    when: Option<When>,
}

impl Gates {
    /// Gates of rules.
    #[must_use]
    pub fn new(rules: &[AccessRule]) -> Self {
        let gate = |rule: &AccessRule| Gate {
            rule: rule.clone(),
            // What is no expression was told when the configuration was read.
            when: rule.when.as_deref().and_then(|source| When::new(source).ok()),
        };
        Self(rules.iter().map(gate).collect())
    }

    /// Whether a caller may use something of a server: a tool, or else its prompts and resources.
    #[must_use]
    pub fn allow(&self, caller: &Caller, server: &str, tool: Option<&str>) -> bool {
        let plain = self.0.iter().filter(|gate| gate.rule.when.is_none());
        let mut covering = plain.filter(|gate| gate.rule.covers(server, tool));
        covering.all(|gate| gate.rule.admits(caller))
    }

    /// Whether a caller may call something with these arguments, as far as rules with conditions say.
    #[must_use]
    pub fn allow_call(&self, caller: &Caller, called: &Called<'_>) -> bool {
        let tool = (called.kind == "tool").then_some(called.name);
        let holds = |gate: &&Gate| {
            let when = gate.when.as_ref();
            when.is_none_or(|when| when.holds(called, caller))
        };
        let conditional = self.0.iter().filter(|gate| gate.rule.when.is_some());
        let mut covering = conditional
            .filter(|gate| gate.rule.covers(called.server, tool))
            .filter(holds);
        covering.all(|gate| gate.rule.admits(caller))
    }
}

fn any_fits(patterns: &[String], text: &str) -> bool {
    patterns.iter().any(|pattern| fits(pattern, text))
}

impl AccessRule {
    /// Rules about tools say nothing of prompts and resources.
    fn covers(&self, server: &str, tool: Option<&str>) -> bool {
        let servers = self.servers.is_empty() || any_fits(&self.servers, server);
        let tools = self.tools.is_empty() || tool.is_some_and(|tool| any_fits(&self.tools, tool));
        servers && tools
    }

    fn admits(&self, caller: &Caller) -> bool {
        let has = |list: &[String], theirs: &[String]| theirs.iter().any(|one| list.contains(one));
        has(&self.keys, &caller.keys)
            || caller.team.as_ref().is_some_and(|team| self.teams.contains(team))
            || has(&self.roles, &caller.roles)
            || has(&self.groups, &caller.groups)
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

    #[test]
    fn every_rule_that_covers_something_must_let_its_caller_in() {
        let rules = serde_json::json!([
            { "servers": ["files"], "tools": ["delete_*"], "roles": ["admin"] },
            { "servers": ["pay*"], "teams": ["finance"], "keys": ["k1"] },
            { "tools": ["*_all"], "groups": ["ops"] },
        ]);
        let rules: Vec<AccessRule> = serde_json::from_value(rules).unwrap();
        let gates = Gates::new(&rules);
        let of = |keys: &[&str], team: Option<&str>, roles: &[&str], groups: &[&str]| Caller {
            keys: keys.iter().map(|one| (*one).to_owned()).collect(),
            team: team.map(str::to_owned),
            roles: roles.iter().map(|one| (*one).to_owned()).collect(),
            groups: groups.iter().map(|one| (*one).to_owned()).collect(),
            scopes: None,
        };
        let nobody = Caller::default();
        let admin = of(&[], None, &["admin"], &[]);
        for (caller, server, tool, expected) in [
            (&nobody, "files", Some("read"), true),
            (&nobody, "files", Some("delete_one"), false),
            (&admin, "files", Some("delete_one"), true),
            // Two rules cover it: one is not enough.
            (&admin, "files", Some("delete_all"), false),
            (
                &of(&[], None, &["admin"], &["ops"]),
                "files",
                Some("delete_all"),
                true,
            ),
            (&admin, "payments", Some("charge"), false),
            (&admin, "payments", None, false),
            (&of(&["k1"], None, &[], &[]), "payments", None, true),
            (
                &of(&[], Some("finance"), &[], &[]),
                "payments",
                Some("charge"),
                true,
            ),
            (&nobody, "files", None, true),
        ] {
            assert_eq!(
                gates.allow(caller, server, tool),
                expected,
                "{caller:?} {server} {tool:?}"
            );
        }
    }
}

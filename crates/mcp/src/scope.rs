//! What a token of an identity provider must be allowed, for what.

use pointsman_governance::fits;
use schemars::JsonSchema;
use serde::Deserialize;

/// The gateway as a resource server of OAuth 2.1: what tokens are for, where they are to be had, and what they must be
/// allowed. Keys of the gateway know no scopes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct AuthorizationConfig {
    /// The address by which clients know `/mcp` (`https://gateway.example.com/mcp`). A token must be for it, or for
    /// `/mcp/{server}` where that is called.
    pub resource: String,
    /// Authorization servers that issue such tokens; the issuers of `identity.jwt` when empty.
    pub servers: Vec<String>,
    /// Which scopes tokens need.
    pub scopes: Vec<ScopeRule>,
}

/// A scope, and what it is needed for: everything, where neither servers nor tools are named.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ScopeRule {
    /// The scope.
    pub scope: String,
    /// Servers that it is needed for, `*` standing for any run of letters; all when empty.
    pub servers: Vec<String>,
    /// Tools that it is needed for, as their server calls them; all, and prompts and resources, when empty.
    pub tools: Vec<String>,
}

impl ScopeRule {
    fn is_for_all(&self) -> bool {
        self.servers.is_empty() && self.tools.is_empty()
    }

    fn is_for(&self, server: &str, tool: Option<&str>) -> bool {
        let any = |patterns: &[String], text: &str| patterns.iter().any(|pattern| fits(pattern, text));
        let servers = self.servers.is_empty() || any(&self.servers, server);
        servers && (self.tools.is_empty() || tool.is_some_and(|tool| any(&self.tools, tool)))
    }
}

impl AuthorizationConfig {
    /// The address of all servers, or of one.
    #[must_use]
    pub fn resource_of(&self, server: Option<&str>) -> String {
        let all = self.resource.trim_end_matches('/');
        server.map_or_else(|| all.to_owned(), |server| format!("{all}/{server}"))
    }

    /// Scopes that every token needs.
    pub fn always(&self) -> impl Iterator<Item = &str> {
        self.scopes
            .iter()
            .filter(|rule| rule.is_for_all())
            .map(|rule| rule.scope.as_str())
    }

    /// All scopes that are known, each once.
    #[must_use]
    pub fn all(&self) -> Vec<&str> {
        let mut all: Vec<&str> = self.scopes.iter().map(|rule| rule.scope.as_str()).collect();
        let mut seen = std::collections::HashSet::new();
        all.retain(|scope| seen.insert(*scope));
        all
    }

    /// Scopes that something of a server needs and a token with these lacks; with all that are needed, since what a
    /// client asks for next replaces what it has.
    #[must_use]
    pub fn lacking(&self, has: &[String], server: &str, tool: Option<&str>) -> Option<Vec<String>> {
        let needed = self.scopes.iter().filter(|rule| rule.is_for(server, tool));
        let needed: Vec<String> = needed.map(|rule| rule.scope.clone()).collect();
        if needed.iter().all(|scope| has.contains(scope)) {
            return None;
        }
        let mut wanted = needed;
        let more: Vec<String> = has
            .iter()
            .filter(|scope| !wanted.contains(scope))
            .cloned()
            .collect();
        wanted.extend(more);
        Some(wanted)
    }

    /// What is wrong with it: a field, and what to do.
    #[must_use]
    pub fn problems(&self) -> Vec<(String, String)> {
        let mut problems = Vec::new();
        let url = url::Url::parse(&self.resource).ok();
        let is_resource = url.is_some_and(|url| {
            matches!(url.scheme(), "http" | "https")
                && url.has_host()
                && url.fragment().is_none()
                && url.query().is_none()
                && url.path().trim_end_matches('/').ends_with("/mcp")
        });
        if !is_resource {
            let message = "is not the address of /mcp; write it like https://gateway.example.com/mcp";
            problems.push(("resource".to_owned(), message.to_owned()));
        }
        for (at, server) in self.servers.iter().enumerate() {
            if !url::Url::parse(server)
                .is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
            {
                problems.push((format!("servers[{at}]"), "is no http or https URL".to_owned()));
            }
        }
        for (at, rule) in self.scopes.iter().enumerate() {
            // RFC 6749, section 3.3.
            let is_scope = !rule.scope.is_empty()
                && rule
                    .scope
                    .bytes()
                    .all(|byte| matches!(byte, b'!' | b'#'..=b'[' | b']'..=b'~'));
            if !is_scope {
                let message = "is no scope: letters, digits and signs, without spaces, `\"` and `\\`";
                problems.push((format!("scopes[{at}].scope"), message.to_owned()));
            }
        }
        problems
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config() -> AuthorizationConfig {
        serde_json::from_value(
            serde_json::json!({ "resource": "https://g.example.com/mcp/", "scopes": [
            { "scope": "tools" },
            { "scope": "files:write", "servers": ["files"], "tools": ["write_*"] },
            { "scope": "files", "servers": ["files"] },
        ] }),
        )
        .unwrap()
    }

    #[test]
    fn a_token_is_told_all_it_will_need() {
        let config = config();
        assert!(config.problems().is_empty());
        assert_eq!(
            config.resource_of(Some("files")),
            "https://g.example.com/mcp/files"
        );
        let has = |scopes: &[&str]| scopes.iter().map(|scope| (*scope).to_owned()).collect::<Vec<_>>();
        for (scopes, server, tool, lacks) in [
            (&["tools"][..], "web", Some("write_x"), None),
            (&["tools", "files"], "files", Some("read"), None),
            (&["tools", "files"], "files", None, None),
            (
                &["tools", "files", "x"],
                "files",
                Some("write_x"),
                Some("tools files:write files x"),
            ),
            (
                &["files", "files:write"],
                "files",
                Some("write_x"),
                Some("tools files:write files"),
            ),
        ] {
            let lacking = config.lacking(&has(scopes), server, tool);
            assert_eq!(
                lacking.map(|all| all.join(" ")).as_deref(),
                lacks,
                "{scopes:?} {server} {tool:?}"
            );
        }
    }

    #[test]
    fn what_is_no_resource_or_scope_is_told() {
        let wrong: AuthorizationConfig = serde_json::from_value(serde_json::json!({
            "resource": "gateway/mcp", "servers": ["x"], "scopes": [{ "scope": "a b" }, { "scope": "" }],
        }))
        .unwrap();
        let fields: Vec<String> = wrong.problems().into_iter().map(|(field, _)| field).collect();
        assert_eq!(
            fields,
            ["resource", "servers[0]", "scopes[0].scope", "scopes[1].scope"]
        );
    }
}

//! The `mcp` block of the configuration.

mod server;

use std::collections::{BTreeMap, HashSet};
use std::path::PathBuf;

use pointsman_catalog::Money;
use pointsman_governance::fits;
use pointsman_upstream::HumanDuration;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::model_tools::ModelTools;
use crate::scope::AuthorizationConfig;
use crate::when::When;

pub use server::{ServerConfig, Speaks, ToolRules};

/// MCP servers, and how they are shown to clients at `/mcp` and `/mcp/{server}`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct McpConfig {
    /// The servers, by name. A name has letters, digits and `-`, and begins with a letter.
    pub servers: BTreeMap<String, ServerConfig>,
    /// Whether names at `/mcp` are prefixed with that of their server.
    pub prefix: Prefix,
    /// Whether `/mcp` lists two tools in the place of all, one that finds tools by what they are for and one that calls
    /// them: for catalogs that no model should read as a whole.
    pub search: bool,
    /// Views of servers with names of their own, at `/mcp/{name}`.
    #[serde(rename = "virtual")]
    pub virtuals: BTreeMap<String, VirtualConfig>,
    /// A file with the definitions of tools that were approved, as `pointsman mcp pin` writes it: what of a server that is
    /// in it is new or other is changed, also after a start (`on_change`).
    pub pins: Option<PathBuf>,
    /// Who may use what: what no rule covers is for all, and every rule that covers something must let its caller in.
    pub access: Vec<AccessRule>,
    /// Which way data may not flow in one session: once one of `from` has been asked, none of `to` is.
    pub flows: Vec<FlowRule>,
    /// How clients get tokens of an identity provider (`identity.jwt`), and what those must be allowed.
    pub authorization: Option<AuthorizationConfig>,
    /// Hosts (`mcp.example.com`, with a port if it has one) by which clients may call a gateway that listens on a
    /// loopback address, beside the loopback names: for reverse proxies on the same machine.
    pub allowed_hosts: Vec<String>,
    /// Origins (`https://chat.example.com`) of web pages that may call, beside those on loopback names.
    pub allowed_origins: Vec<String>,
    /// Where browsers reach the gateway (`https://gateway.example.com`): users who let it in at a server (`oauth`) come
    /// back there. The listener's own address when absent and clients can only come from this machine.
    pub public_url: Option<String>,
    /// How long a server is waited for when lists are put together; its last list stands in for one that is late.
    pub list_timeout: HumanDuration,
    /// How long a list is good for when its server says nothing of changes.
    pub list_ttl: HumanDuration,
    /// Entries of one page of a list.
    #[schemars(range(min = 1, max = 100_000))]
    pub page_size: usize,
    /// Most sessions of clients.
    #[schemars(range(min = 1))]
    pub max_sessions: usize,
    /// How long a session that nobody uses lasts.
    pub session_timeout: HumanDuration,
    /// Most bytes of one message, either way.
    #[schemars(range(min = 1024))]
    pub message_limit: usize,
    /// How far it goes when a request for a model names servers as its tools, and the gateway calls them.
    pub model_tools: ModelTools,
}

impl Default for McpConfig {
    fn default() -> Self {
        Self {
            servers: BTreeMap::new(),
            prefix: Prefix::default(),
            search: false,
            virtuals: BTreeMap::new(),
            pins: None,
            access: Vec::new(),
            flows: Vec::new(),
            authorization: None,
            allowed_hosts: Vec::new(),
            allowed_origins: Vec::new(),
            public_url: None,
            list_timeout: HumanDuration::from_secs(5),
            list_ttl: HumanDuration::from_secs(300),
            page_size: 1_000,
            max_sessions: 10_000,
            session_timeout: HumanDuration::from_secs(30 * 60),
            message_limit: 16 * 1024 * 1024,
            model_tools: ModelTools::default(),
        }
    }
}

/// What some callers alone may use. What is denied is not listed, and is not there for whoever calls it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct AccessRule {
    /// Servers that it covers, `*` standing for any run of letters; all when empty.
    pub servers: Vec<String>,
    /// Tools that it covers, as their server calls them; all, and prompts and resources, when empty.
    pub tools: Vec<String>,
    /// Keys that may, by id or name.
    pub keys: Vec<String>,
    /// Teams that may, by id.
    pub teams: Vec<String>,
    /// Roles that may.
    pub roles: Vec<String>,
    /// Groups that may.
    pub groups: Vec<String>,
    /// Covers a call only where this holds: an expression (CEL) over `args`, `kind` (`tool`, `prompt`, `resource`), `server`,
    /// `name` and `caller` (`keys`, `team`, `roles`, `groups`). What cannot be told counts as if it held. Such a rule hides
    /// nothing from lists, and may let nobody in.
    pub when: Option<String>,
}

/// Servers that keep secrets, and servers that must not hear them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct FlowRule {
    /// Servers whose data is held together, `*` standing for any run of letters.
    pub from: Vec<String>,
    /// Servers that are not asked any more in a session that has asked one of these.
    pub to: Vec<String>,
}

/// Some tools of some servers, under names of their own.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct VirtualConfig {
    /// Servers that are in it, `*` standing for any run of letters; all when empty.
    pub servers: Vec<String>,
    /// Tools that are in it, as `server_tool`, `*` standing for any run of letters; all when empty.
    pub tools: Vec<String>,
    /// What tools are called, by `server_tool`; the others as `prefix` says.
    pub rename: BTreeMap<String, String>,
    /// Whether names are prefixed with that of their server.
    pub prefix: Prefix,
    /// Whether two tools are listed in the place of all, one that finds tools by what they are for and one that calls
    /// them.
    pub search: bool,
}

/// US dollars, as a number or a text.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Dollars {
    /// As a number.
    Number(serde_json::Number),
    /// As a text.
    Text(String),
}

impl Dollars {
    /// The amount.
    ///
    /// # Errors
    /// Why it is none that can be charged.
    pub fn money(&self) -> Result<Money, String> {
        let text = match self {
            Self::Number(number) => number.to_string(),
            Self::Text(text) => text.clone(),
        };
        Money::parse(&text).map_err(|error| error.to_string())
    }
}

/// When names are prefixed: `server_tool`, and `server+uri`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Prefix {
    /// All names.
    #[default]
    Always,
    /// Names that several servers have.
    Clash,
    /// None; of servers that have the same name, the first one has it, in the order of their own names.
    Never,
}

/// What becomes of a tool whose definition changes while the gateway runs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnChange {
    /// The log tells what changed.
    #[default]
    Report,
    /// The tool is hidden, too, until its definition is the old one or the gateway is started anew.
    Quarantine,
}

impl McpConfig {
    /// What is wrong with it: the path of a field under `mcp`, and what to do.
    #[must_use]
    pub fn problems(&self) -> Vec<(String, String)> {
        let mut problems = Vec::new();
        for origin in &self.allowed_origins {
            if !url::Url::parse(origin).is_ok_and(|url| url.has_host()) {
                problems.push((
                    "allowed_origins".to_owned(),
                    format!("{origin:?} is no origin; write it like https://chat.example.com"),
                ));
            }
        }
        if let Some(url) = &self.public_url
            && !is_url(url)
        {
            problems.push(("public_url".to_owned(), "is no http or https URL".to_owned()));
        }
        if let Some(authorization) = &self.authorization {
            let wrong = authorization.problems().into_iter();
            problems.extend(wrong.map(|(field, why)| (format!("authorization.{field}"), why)));
        }
        for (at, rule) in self.access.iter().enumerate() {
            if let Some(Err(why)) = rule.when.as_deref().map(When::new) {
                problems.push((format!("access[{at}].when"), why));
            }
            let all = [&rule.keys, &rule.teams, &rule.roles, &rule.groups];
            if rule.when.is_none() && all.iter().all(|list| list.is_empty()) {
                let message = "lets nobody in: name `keys`, `teams`, `roles` or `groups`; what nobody may use is denied by `tools.deny`";
                problems.push((format!("access[{at}]"), message.to_owned()));
            }
        }
        for (at, rule) in self.flows.iter().enumerate() {
            for (field, patterns) in [("from", &rule.from), ("to", &rule.to)] {
                let at = format!("flows[{at}].{field}");
                if patterns.is_empty() {
                    problems.push((at.clone(), "names no server".to_owned()));
                }
                for pattern in patterns {
                    if !self.servers.keys().any(|server| fits(pattern, server)) {
                        problems.push((at.clone(), format!("{pattern:?} is the name of no server")));
                    }
                }
            }
        }
        let wrong = self.model_tools.problems();
        problems
            .extend(wrong.map(|field| (format!("model_tools.{field}"), "must be more than 0".to_owned())));
        self.virtual_problems(&mut problems);
        for (name, server) in &self.servers {
            let mut wrong = |field: &str, message: &str| {
                let dot = if field.is_empty() { "" } else { "." };
                problems.push((format!("servers.{name}{dot}{field}"), message.to_owned()));
            };
            if !is_name(name) {
                wrong(
                    "",
                    "is no name: letters, digits and `-`, a letter first, 64 at most",
                );
            }
            server.problems(&mut wrong);
        }
        problems
    }

    fn virtual_problems(&self, problems: &mut Vec<(String, String)>) {
        for (name, view) in &self.virtuals {
            let mut wrong = |field: &str, message: String| {
                problems.push((format!("virtual.{name}{field}"), message));
            };
            if !is_name(name) {
                let message = "is no name: letters, digits and `-`, a letter first, 64 at most";
                wrong("", message.to_owned());
            }
            if self.servers.contains_key(name) {
                wrong("", "is the name of a server".to_owned());
            }
            for pattern in &view.servers {
                if !self.servers.keys().any(|server| fits(pattern, server)) {
                    wrong(".servers", format!("{pattern:?} is the name of no server"));
                }
            }
            let mut taken = HashSet::new();
            for (tool, called) in &view.rename {
                let server = tool.split_once('_').map(|(server, _)| server);
                if !server.is_some_and(|server| self.servers.contains_key(server)) {
                    let message = "begins with the name of no server: write `server_tool`";
                    wrong(&format!(".rename.{tool}"), message.to_owned());
                }
                if !is_tool_name(called) {
                    let message = "is no name of a tool: letters, digits, `_`, `-` and `.`, 128 at most";
                    wrong(&format!(".rename.{tool}"), message.to_owned());
                }
                if !taken.insert(called) {
                    wrong(
                        &format!(".rename.{tool}"),
                        format!("{called:?} is the name of another"),
                    );
                }
            }
        }
    }
}

fn is_url(text: &str) -> bool {
    url::Url::parse(text).is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
}

/// Whether a server may be called this. Without `_`, which ends the prefix of a tool's name.
fn is_name(name: &str) -> bool {
    name.len() <= 64
        && name.starts_with(|first: char| first.is_ascii_alphabetic())
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

/// Whether a tool may be called this (2025-11-25, "Tool Names").
fn is_tool_name(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= 128
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flows_are_between_servers_that_there_are() {
        let found = |flow: serde_json::Value| {
            problems(serde_json::json!({
                "servers": { "crm": { "url": "https://a/mcp" } }, "flows": [flow],
            }))
        };
        assert!(found(serde_json::json!({ "from": ["crm"], "to": ["*"] })).is_empty());
        for (flow, field) in [
            (serde_json::json!({ "from": ["crm"] }), "flows[0].to"),
            (
                serde_json::json!({ "from": ["cmr"], "to": ["*"] }),
                "flows[0].from",
            ),
        ] {
            let found = found(flow);
            assert_eq!((found.len(), found[0].0.as_str()), (1, field));
        }
    }

    #[test]
    fn a_virtual_server_is_of_servers_that_there_are() {
        let found = |view: serde_json::Value| {
            problems(serde_json::json!({
                "servers": { "files": { "url": "https://a/mcp" } }, "virtual": view,
            }))
        };
        assert!(
            found(serde_json::json!({ "office": { "servers": ["fi*"], "rename": { "files_read": "read" }, "search": true } }))
                .is_empty()
        );
        for (view, field) in [
            (serde_json::json!({ "files": {} }), "virtual.files"),
            (serde_json::json!({ "a_b": {} }), "virtual.a_b"),
            (
                serde_json::json!({ "a": { "servers": ["mail"] } }),
                "virtual.a.servers",
            ),
            (
                serde_json::json!({ "a": { "rename": { "mail_send": "send" } } }),
                "virtual.a.rename.mail_send",
            ),
            (
                serde_json::json!({ "a": { "rename": { "files_read": "re ad" } } }),
                "virtual.a.rename.files_read",
            ),
            (
                serde_json::json!({ "a": { "rename": { "files_read": "x", "files_write": "x" } } }),
                "virtual.a.rename.files_write",
            ),
        ] {
            let found = found(view);
            assert_eq!((found.len(), found[0].0.as_str()), (1, field));
        }
    }

    fn problems(json: serde_json::Value) -> Vec<(String, String)> {
        serde_json::from_value::<McpConfig>(json).unwrap().problems()
    }

    #[test]
    fn an_api_is_described_and_has_its_place() {
        let found =
            |server: serde_json::Value| problems(serde_json::json!({ "servers": { "pets": server } }));
        assert!(found(serde_json::json!({"openapi": "./p.yaml", "base_url": "https://p"})).is_empty());
        for (server, field) in [
            (
                serde_json::json!({"openapi": "./p.yaml", "base_url": "p"}),
                "servers.pets.base_url",
            ),
            (
                serde_json::json!({"url": "https://a/mcp", "base_url": "https://p"}),
                "servers.pets.base_url",
            ),
            (
                serde_json::json!({"openapi": "./p.yaml", "url": "https://a/mcp"}),
                "servers.pets",
            ),
        ] {
            let found = found(server);
            assert_eq!((found.len(), found[0].0.as_str()), (1, field));
        }
    }

    #[test]
    fn a_callers_credential_cannot_be_passed_on() {
        let found = problems(
            serde_json::json!({"servers": {"a": {"url": "https://a/mcp", "auth": {"passthrough": true}}}}),
        );
        assert_eq!(found[0].0, "servers.a.auth.passthrough");
    }

    #[test]
    fn a_server_is_one_thing_with_a_fitting_name() {
        for server in [
            serde_json::json!({"a_b": {"url": "https://a/mcp"}}),
            serde_json::json!({"a": {}}),
            serde_json::json!({"a": {"url": "https://a", "command": ["b"]}}),
            serde_json::json!({"a": {"url": "ftp://a"}}),
            serde_json::json!({"a": {"url": "https://a", "headers": {"Mcp-Session-Id": "1"}}}),
        ] {
            assert_eq!(
                problems(serde_json::json!({ "servers": server })).len(),
                1,
                "{server}"
            );
        }
    }
}

//! Which servers of the gateway a request names, in the words of OpenAI's Responses or of Anthropic's Messages.
//!
//! A server is the gateway's own by its name, or by an address of the gateway: nothing at any other address is ever asked
//! from here.

use std::collections::HashMap;

use http::header;
use pointsman_wire::form::{ChatRequest, Failure, FailureKind, ToolKind};
use pointsman_wire::format::Format;
use pointsman_wire::json::Json;
use serde::Deserialize;
use serde_json::{Value, json};
use url::Url;

use super::super::{Arrival, mcp};

/// A server that a request names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Named {
    /// What the request calls it.
    pub label: String,
    /// What it is here: a server or a virtual one; all of them where there is none.
    pub scope: Option<String>,
    /// Which of its tools the model may see.
    pub allowed: Allowed,
    /// Which calls wait for somebody's approval.
    pub approval: Approval,
}

/// Tools that the model may see.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Allowed {
    /// Those of which nothing is said.
    others: bool,
    named: HashMap<String, bool>,
    /// Only those that say that they change nothing, or only the others.
    reads: Option<bool>,
}

/// Calls that wait for approval.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Approval {
    /// None.
    Never,
    /// All.
    Always,
    /// All but those of some tools.
    But(Filter),
}

/// Some tools.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub struct Filter {
    #[serde(default)]
    tool_names: Option<Vec<String>>,
    #[serde(default)]
    read_only: Option<bool>,
}

impl Filter {
    fn fits(&self, name: &str, reads: bool) -> bool {
        if self.tool_names.is_none() && self.read_only.is_none() {
            return false;
        }
        let named = self.tool_names.as_ref();
        named.is_none_or(|names| names.iter().any(|one| one == name))
            && self.read_only.is_none_or(|wanted| wanted == reads)
    }
}

impl Allowed {
    fn all() -> Self {
        Self {
            others: true,
            named: HashMap::new(),
            reads: None,
        }
    }

    fn only(names: Vec<String>) -> Self {
        Self {
            others: false,
            named: names.into_iter().map(|name| (name, true)).collect(),
            reads: None,
        }
    }

    /// Whether the model may see a tool.
    pub fn has(&self, name: &str, reads: bool) -> bool {
        self.named.get(name).copied().unwrap_or(self.others)
            && self.reads.is_none_or(|wanted| wanted == reads)
    }
}

impl Approval {
    /// Whether a call waits.
    pub fn is_needed(&self, name: &str, reads: bool) -> bool {
        match self {
            Self::Never => false,
            Self::Always => true,
            Self::But(filter) => !filter.fits(name, reads),
        }
    }
}

/// What a request names.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Names {
    /// The gateway's own.
    pub own: Vec<Named>,
    /// What it calls those that are somebody else's.
    pub foreign: Vec<String>,
}

/// Finds the servers that a request names. What is said of the gateway's own that nobody else should read again, tokens and
/// headers, is taken out.
///
/// # Errors
/// 400 for what cannot be read, and for names of no server.
pub fn find(arrival: &Arrival, request: &mut ChatRequest) -> Result<Names, Failure> {
    match request.format {
        Format::OpenAiResponses => of_responses(arrival, request),
        Format::AnthropicMessages => of_messages(arrival, request),
        _ => Ok(Names::default()),
    }
}

/// A server as OpenAI's Responses name it.
#[derive(Deserialize)]
struct Told {
    server_label: String,
    #[serde(default)]
    server_url: Option<String>,
    #[serde(default)]
    connector_id: Option<String>,
    #[serde(default)]
    tunnel_id: Option<String>,
    #[serde(default)]
    allowed_tools: Option<Which>,
    #[serde(default)]
    require_approval: Option<When>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Which {
    Names(Vec<String>),
    Filter(Filter),
}

#[derive(Deserialize)]
#[serde(untagged)]
enum When {
    Said(String),
    By {
        #[serde(default)]
        never: Option<Filter>,
    },
}

fn of_responses(arrival: &Arrival, request: &mut ChatRequest) -> Result<Names, Failure> {
    let mut names = Names::default();
    for (at, tool) in request.tools.iter_mut().enumerate() {
        let ToolKind::Opaque {
            format: Format::OpenAiResponses,
            kind,
            json,
        } = &mut tool.kind
        else {
            continue;
        };
        if &**kind != "mcp" {
            continue;
        }
        let wrong = |why: String| wrong(&format!("tools[{at}]"), &why);
        let told: Told = json.read().map_err(|error| wrong(error.to_string()))?;
        let elsewhere = told.connector_id.is_some() || told.tunnel_id.is_some();
        let scope = match &told.server_url {
            Some(url) => place(arrival, url),
            None if elsewhere => None,
            None => Some(Some(told.server_label.clone())),
        };
        let Some(scope) = scope else {
            names.foreign.push(told.server_label);
            continue;
        };
        check(arrival, scope.as_deref()).map_err(wrong)?;
        let approval = match told.require_approval {
            None => Approval::Always,
            Some(When::Said(said)) => match said.as_str() {
                "always" => Approval::Always,
                "never" => Approval::Never,
                other => {
                    return Err(wrong(format!(
                        "require_approval is always or never, not {other:?}"
                    )));
                }
            },
            Some(When::By { never }) => Approval::But(never.unwrap_or_default()),
        };
        let allowed = match told.allowed_tools {
            None => Allowed::all(),
            Some(Which::Names(names)) => Allowed::only(names),
            Some(Which::Filter(filter)) => Allowed {
                reads: filter.read_only,
                ..filter.tool_names.map_or_else(Allowed::all, Allowed::only)
            },
        };
        *json = without(json, &["authorization", "headers"]);
        names.own.push(Named {
            label: told.server_label,
            scope,
            allowed,
            approval,
        });
    }
    unique(&names)?;
    Ok(names)
}

/// A server as Anthropic's Messages name it.
#[derive(Deserialize)]
struct Server {
    name: String,
    #[serde(default)]
    url: Option<String>,
    #[serde(default)]
    tool_configuration: Option<Configuration>,
}

#[derive(Deserialize)]
struct Configuration {
    #[serde(default)]
    enabled: Option<bool>,
    #[serde(default)]
    allowed_tools: Option<Vec<String>>,
}

#[derive(Deserialize)]
struct Toolset {
    mcp_server_name: String,
    #[serde(default)]
    default_config: Option<Enabled>,
    #[serde(default)]
    configs: Option<HashMap<String, Enabled>>,
}

#[derive(Deserialize)]
struct Enabled {
    #[serde(default)]
    enabled: Option<bool>,
}

fn of_messages(arrival: &Arrival, request: &mut ChatRequest) -> Result<Names, Failure> {
    let mut names = Names::default();
    let Some(json) = request.extra.get("mcp_servers") else {
        return Ok(names);
    };
    let bad = |error: serde_json::Error| wrong("mcp_servers", &error.to_string());
    let all: Vec<Value> = json.read().map_err(bad)?;
    let mut foreign = Vec::new();
    for (at, value) in all.into_iter().enumerate() {
        let server: Server = serde_json::from_value(value.clone()).map_err(bad)?;
        let scope = match &server.url {
            Some(url) => place(arrival, url),
            None => Some(Some(server.name.clone())),
        };
        let Some(scope) = scope else {
            names.foreign.push(server.name);
            foreign.push(value);
            continue;
        };
        check(arrival, scope.as_deref()).map_err(|why| wrong(&format!("mcp_servers[{at}]"), &why))?;
        let allowed = match server.tool_configuration {
            Some(Configuration {
                enabled: Some(false), ..
            }) => Allowed::only(Vec::new()),
            Some(Configuration {
                allowed_tools: Some(names),
                ..
            }) => Allowed::only(names),
            _ => Allowed::all(),
        };
        names.own.push(Named {
            label: server.name,
            scope,
            allowed,
            approval: Approval::Never,
        });
    }
    unique(&names)?;
    toolsets(request, &mut names)?;
    match foreign.is_empty() {
        true => drop(request.extra.remove("mcp_servers")),
        false => request.extra.set("mcp_servers", written(&json!(foreign))),
    }
    Ok(names)
}

/// Which tools a request wants of the gateway's own servers; those of others stay where they are.
fn toolsets(request: &mut ChatRequest, names: &mut Names) -> Result<(), Failure> {
    let mut failed = None;
    request.tools.retain(|tool| {
        let ToolKind::Opaque { kind, json, .. } = &tool.kind else {
            return true;
        };
        if &**kind != "mcp_toolset" {
            return true;
        }
        let set: Toolset = match json.read() {
            Ok(set) => set,
            Err(error) => {
                failed = Some(wrong("tools", &error.to_string()));
                return true;
            }
        };
        let own = names
            .own
            .iter_mut()
            .find(|named| named.label == set.mcp_server_name);
        let Some(named) = own else { return true };
        let enabled = |config: &Enabled| config.enabled.unwrap_or(true);
        let configs = set.configs.unwrap_or_default();
        named.allowed = Allowed {
            others: set.default_config.as_ref().is_none_or(enabled),
            named: configs
                .iter()
                .map(|(name, config)| (name.clone(), enabled(config)))
                .collect(),
            reads: None,
        };
        false
    });
    failed.map_or(Ok(()), Err)
}

fn unique(names: &Names) -> Result<(), Failure> {
    let mut seen = std::collections::HashSet::new();
    let labels = names.own.iter().map(|named| &named.label).chain(&names.foreign);
    for label in labels {
        if !seen.insert(label) {
            return Err(wrong("tools", &format!("two MCP servers are called {label:?}")));
        }
    }
    Ok(())
}

fn check(arrival: &Arrival, scope: Option<&str>) -> Result<(), String> {
    let hub = &arrival.snapshot.mcp.hub;
    match scope {
        Some(name) if !mcp::is_known(hub, name) => {
            let names: Vec<&str> = hub.names().collect();
            let there = if names.is_empty() {
                "none are configured".to_owned()
            } else {
                format!("there are {}", names.join(", "))
            };
            Err(format!("{name:?} is no MCP server of this gateway; {there}"))
        }
        _ => Ok(()),
    }
}

/// What stands at an address, if it is one of the gateway's.
#[expect(clippy::option_option, reason = "one for whose it is, one for which it is")]
fn place(arrival: &Arrival, url: &str) -> Option<Option<String>> {
    if url.starts_with('/') && !url.starts_with("//") {
        return below(url);
    }
    let url = Url::parse(url).ok()?;
    if !matches!(url.scheme(), "http" | "https") {
        return None;
    }
    let config = &arrival.snapshot.mcp.hub.config;
    if let Some(own) = &config.public_url
        && let Some(rest) = url.as_str().strip_prefix(own.trim_end_matches('/'))
        && rest.starts_with('/')
    {
        return below(rest);
    }
    let host = authority(&url)?;
    let came = arrival
        .headers
        .get(header::HOST)
        .and_then(|host| host.to_str().ok());
    let came = came.or_else(|| arrival.uri.authority().map(http::uri::Authority::as_str));
    let same = |other: &str| other.eq_ignore_ascii_case(&host) || is_here(other, &host);
    if came.is_some_and(same) || config.allowed_hosts.iter().any(|allowed| same(allowed)) {
        return below(url.path());
    }
    None
}

/// Host and port, as a client writes them.
fn authority(url: &Url) -> Option<String> {
    let host = url.host_str()?;
    Some(match url.port() {
        Some(port) => format!("{host}:{port}"),
        None => host.to_owned(),
    })
}

/// Whether two authorities are the same port of this machine, by whichever of its loopback names.
fn is_here(one: &str, other: &str) -> bool {
    let local = |authority: &str| {
        let (name, port) = authority.rsplit_once(':')?;
        let is_local = matches!(name, "localhost" | "127.0.0.1" | "[::1]");
        is_local.then(|| port.to_owned())
    };
    matches!((local(one), local(other)), (Some(left), Some(right)) if left == right)
}

#[expect(clippy::option_option, reason = "one for whose it is, one for which it is")]
fn below(path: &str) -> Option<Option<String>> {
    let rest = path.strip_prefix("/mcp")?;
    match rest.trim_end_matches('/') {
        "" => Some(None),
        rest => {
            let name = rest.strip_prefix('/')?;
            (!name.contains('/')).then(|| Some(name.to_owned()))
        }
    }
}

fn without(json: &Json, fields: &[&str]) -> Json {
    let Ok(mut value) = json.read::<Value>() else {
        return json.clone();
    };
    if let Some(object) = value.as_object_mut() {
        for field in fields {
            object.shift_remove(*field);
        }
    }
    written(&value)
}

fn written(value: &Value) -> Json {
    Json::of(value).unwrap_or_else(|_| Json::null())
}

fn wrong(at: &str, why: &str) -> Failure {
    Failure::new(FailureKind::InvalidRequest, format!("{at}: {why}")).at(at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_lead_to_servers() {
        assert_eq!(below("/mcp"), Some(None));
        assert_eq!(below("/mcp/"), Some(None));
        assert_eq!(below("/mcp/files"), Some(Some("files".to_owned())));
        for path in ["/mcpx", "/", "/mcp/a/b", "/v1/models", ""] {
            assert_eq!(below(path), None, "{path}");
        }
        assert!(is_here("localhost:8080", "127.0.0.1:8080"));
        for (one, other) in [
            ("localhost:8080", "127.0.0.1:8081"),
            ("localhost.evil.example:8080", "127.0.0.1:8080"),
            ("localhost", "127.0.0.1"),
        ] {
            assert!(!is_here(one, other), "{one} {other}");
        }
    }

    #[test]
    fn what_is_not_said_to_need_none_waits_for_approval() {
        let read: When =
            serde_json::from_str(r#"{"never": {"tool_names": ["look"]}, "always": {"tool_names": ["x"]}}"#)
                .unwrap();
        let When::By { never } = read else {
            panic!("a filter was read as a word");
        };
        let approval = Approval::But(never.unwrap());
        assert!(!approval.is_needed("look", false));
        assert!(approval.is_needed("write", false));
        let reads = Approval::But(Filter {
            read_only: Some(true),
            tool_names: None,
        });
        assert!(!reads.is_needed("look", true) && reads.is_needed("write", false));
        assert!(Approval::But(Filter::default()).is_needed("look", true));
    }

    #[test]
    fn tools_are_allowed_by_name_or_by_what_they_say() {
        let only = Allowed::only(vec!["look".to_owned()]);
        assert!(only.has("look", false) && !only.has("write", true));
        let reads = Allowed {
            reads: Some(true),
            ..Allowed::all()
        };
        assert!(reads.has("look", true) && !reads.has("write", false));
    }
}

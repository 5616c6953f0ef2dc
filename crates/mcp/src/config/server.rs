//! A server of the configuration: where it is, how it is spoken to, and which of its tools there are.

use std::collections::BTreeMap;
use std::path::PathBuf;

use pointsman_upstream::config::Secret;
use pointsman_upstream::{AuthConfig, HumanDuration, LetIn};
use schemars::JsonSchema;
use serde::Deserialize;

use super::{Dollars, OnChange, is_url};
use crate::oauth::OAuthConfig;

/// How a server at a `url` speaks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Speaks {
    /// Streamable HTTP.
    #[default]
    Http,
    /// The transport of 2024-11-05: a stream of events at `url`, and messages posted where that says.
    Sse,
}

/// A server: at a `url`, a `command` that is run, an API with a document, or an agent.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ServerConfig {
    /// Where it speaks streamable HTTP, or has its stream (`transport: sse`).
    pub url: Option<String>,
    /// How it speaks there.
    pub transport: Speaks,
    /// How to be let in. A caller's own credential is never passed on.
    pub auth: AuthConfig,
    /// How to get tokens from the authorization server that the server itself names; in place of `auth`.
    pub oauth: Option<OAuthConfig>,
    /// Headers that go with every request.
    pub headers: BTreeMap<String, Secret>,
    /// A program and its arguments; it speaks over its standard input and output.
    pub command: Vec<String>,
    /// Environment of the program. Of the gateway's own it has `PATH`, `HOME`, `USER`, `LANG`, `LC_ALL`, `TZ` and `TMPDIR`.
    pub env: BTreeMap<String, Secret>,
    /// Folder that the program starts in.
    pub folder: Option<PathBuf>,
    /// Most processes of the program: one for lists, and one for each session that calls it.
    #[schemars(range(min = 1))]
    pub max_processes: Option<usize>,
    /// An OpenAPI document (3.1, 3.0 or Swagger 2.0; JSON or YAML), as a file or `https` URL: its operations are tools.
    pub openapi: Option<String>,
    /// Where the API of `openapi` is. Needed for a file; a document on the web may leave it out if its API is on the
    /// same host.
    pub base_url: Option<String>,
    /// An agent (`a2a.agents`): each of its skills is a tool.
    pub agent: Option<String>,
    /// Which of its tools there are for clients.
    pub tools: ToolRules,
    /// Guardrails that see what passes to and from it, beside those that always act.
    pub guardrails: Vec<String>,
    /// What becomes of a tool whose definition changes.
    pub on_change: OnChange,
    /// What becomes of a tool whose definition holds what a reader does not see (characters without width, tags, changes of
    /// direction, control characters), or whose name has letters beyond ASCII.
    pub on_suspect: OnChange,
    /// How long one call may take.
    pub timeout: Option<HumanDuration>,
}

/// Patterns over the names of tools, as their server calls them; `*` stands for any run of letters.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ToolRules {
    /// Only these; all when empty.
    pub allow: Vec<String>,
    /// Not these, even if allowed.
    pub deny: Vec<String>,
    /// What a call costs in US dollars, by pattern; of several patterns that fit the longest counts.
    pub price: BTreeMap<String, Dollars>,
    /// Whether arguments are held against the schema of their tool before its server sees them; they are when absent.
    pub check_arguments: Option<bool>,
    /// Whether results are told in fewer bytes first: JSON in texts without its blanks, other texts without blanks at the
    /// ends of lines and without more than one empty line together. Nothing that is said is left out.
    pub compress: bool,
    /// Most bytes of a result; what is more is cut, and a text says so.
    #[schemars(range(min = 256))]
    pub max_result: Option<usize>,
}

impl ServerConfig {
    /// It is at a URL, or a program, or an API with a document.
    fn one_kind(&self, wrong: &mut impl FnMut(&str, &str)) {
        let kinds = [
            self.url.is_some(),
            !self.command.is_empty(),
            self.openapi.is_some(),
            self.agent.is_some(),
        ];
        match kinds.into_iter().filter(|is| *is).count() {
            0 => wrong("", "needs a `url`, a `command`, an `openapi` or an `agent`"),
            1 => {}
            _ => wrong(
                "",
                "is one of `url`, `command`, `openapi` and `agent`, not several",
            ),
        }
        if self.openapi.is_none() && self.base_url.is_some() {
            wrong("base_url", "goes with `openapi`");
        }
        if self.agent.is_some() && (self.auth != AuthConfig::default() || !self.headers.is_empty()) {
            wrong(
                "",
                "`auth` and `headers` of an agent stand with the agent (`a2a.agents`)",
            );
        }
    }

    /// How tokens for it are got, if they are.
    fn how_let_in(&self, wrong: &mut impl FnMut(&str, &str)) {
        let Some(oauth) = &self.oauth else { return };
        if self.url.is_none() {
            wrong("oauth", "goes with a `url`");
        }
        if self.auth != AuthConfig::default() {
            wrong(
                "auth",
                "cannot be combined with `oauth`: a request carries one credential",
            );
        }
        oauth.problems(wrong);
    }

    pub(super) fn problems(&self, wrong: &mut impl FnMut(&str, &str)) {
        self.one_kind(wrong);
        for (pattern, price) in &self.tools.price {
            if let Err(why) = price.money() {
                wrong(&format!("tools.price.{pattern}"), &why);
            }
        }
        if let Some(base) = &self.base_url
            && !is_url(base)
        {
            wrong("base_url", "is no http or https URL");
        }
        match (&self.url, self.command.first()) {
            (None, None) | (Some(_), Some(_)) => {}
            (Some(url), None) => {
                if !is_url(url) {
                    wrong("url", "is no http or https URL");
                }
                if !self.env.is_empty() || self.folder.is_some() || self.max_processes.is_some() {
                    wrong("", "`env`, `folder` and `max_processes` go with a `command`");
                }
            }
            (None, Some(program)) => {
                if program.is_empty() {
                    wrong("command", "names no program");
                }
                if self.auth != AuthConfig::default() || !self.headers.is_empty() {
                    wrong(
                        "",
                        "`auth` and `headers` go with a `url`; give a program what it needs in `env`",
                    );
                }
            }
        }
        if self.transport == Speaks::Sse && self.url.is_none() {
            wrong("transport", "goes with a `url`");
        }
        self.how_let_in(wrong);
        let let_in = LetIn {
            auth: &self.auth,
            headers: &self.headers,
            whom: "a server",
            protocol: &["mcp-"],
        };
        let_in.problems(wrong);
    }
}

//! Addresses that show some tools of some servers, under names of their own; and those at which tools are searched for.
//!
//! At an address of the second sort two tools are listed. What `call_tool` asks is read as the call it stands for before
//! anything else looks at it ([`unwrapped`]): it is admitted, charged, checked and judged as that.

use std::sync::Arc;

use pointsman_governance::fits;
use serde_json::{Value, json};

use crate::catalog::{self, Kind, List};
use crate::check;
use crate::config::VirtualConfig;
use crate::error::RpcError;
use crate::message::{Object, Request};
use crate::view::View;

/// The tool that finds tools.
pub const FIND: &str = "find_tools";
/// The tool that calls what was found.
pub const CALL: &str = "call_tool";
/// How such an address wants to be used.
pub const INSTRUCTIONS: &str = "There are more tools than are listed. Say to find_tools what should be done and to what, \
    as in \"refund a card payment\"; it gives the tools that fit best, with their parameters. Call them by call_tool.";
/// Most tools that are found at once, and how many unless the request says.
pub const MOST: usize = 20;
const USUAL: usize = 5;
/// Most bytes of what is searched for.
const LONGEST: usize = 2_000;

/// Which tools of servers there are, and what they are called.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Picked {
    tools: Vec<String>,
    renamed: Vec<(String, String)>,
}

impl Picked {
    /// As it is configured.
    #[must_use]
    pub fn new(config: &VirtualConfig) -> Self {
        let renamed = config.rename.iter();
        Self {
            tools: config.tools.clone(),
            renamed: renamed.map(|(tool, name)| (tool.clone(), name.clone())).collect(),
        }
    }

    /// What is left of a server's list.
    #[must_use]
    pub fn of(&self, kind: Kind, server: &str, list: List) -> List {
        if kind != Kind::Tools || self.tools.is_empty() {
            return list;
        }
        let picked = list.iter().filter(|item| {
            let name = catalog::prefixed(kind, server, &item.name);
            self.tools.iter().any(|pattern| fits(pattern, &name))
        });
        Arc::new(picked.cloned().collect())
    }

    /// What a tool is called that has a name of its own here.
    #[must_use]
    pub fn called(&self, kind: Kind, server: &str, name: &str) -> Option<&str> {
        if kind != Kind::Tools || self.renamed.is_empty() {
            return None;
        }
        let name = catalog::prefixed(kind, server, name);
        let renamed = self.renamed.iter().find(|(tool, _)| *tool == name)?;
        Some(&renamed.1)
    }
}

impl VirtualConfig {
    /// Whether a server is in it.
    #[must_use]
    pub fn has(&self, server: &str) -> bool {
        self.servers.is_empty() || self.servers.iter().any(|pattern| fits(pattern, server))
    }
}

/// The two tools of an address at which tools are searched for.
#[must_use]
pub fn listed() -> [Value; 2] {
    [
        json!({
            "name": FIND,
            "description": "Finds tools by what they are for. Say what should be done and to what, in a few plain words.",
            "inputSchema": {
                "type": "object",
                "properties": {
                    "query": { "type": "string", "description": "What should be done, as in \"refund a card payment\"" },
                    "limit": { "type": "integer", "minimum": 1, "maximum": MOST, "description": "Most tools that are given; 5 when absent" },
                },
                "required": ["query"],
            },
            "outputSchema": {
                "type": "object",
                "properties": { "tools": { "type": "array", "items": { "type": "object" } } },
                "required": ["tools"],
            },
            "annotations": { "readOnlyHint": true, "openWorldHint": false },
        }),
        json!({
            "name": CALL,
            "description": "Calls a tool that find_tools has found.",
            "inputSchema": {
                "type": "object",
                "properties": {
                    "name": { "type": "string", "description": "The tool's name" },
                    "arguments": { "type": "object", "description": "What its inputSchema asks for" },
                },
                "required": ["name"],
            },
        }),
    ]
}

/// The call that a request stands for, where it is one of `call_tool`; else the request as it is.
///
/// # Errors
/// When it does not say which tool, or what with.
pub fn unwrapped(view: &View, mut request: Request) -> Result<Request, RpcError> {
    let is_wrapped = view.is_searched()
        && request.method == "tools/call"
        && request.params.text("name").as_deref() == Some(CALL);
    if !is_wrapped {
        return Ok(request);
    }
    let wrong = |why: &str| RpcError::params(format!("{CALL}: {why}"));
    let Some(said) = request.params.get("arguments") else {
        return Err(wrong(
            "`arguments` are missing: `name`, and the `arguments` of that tool",
        ));
    };
    check::unique(said).map_err(|why| wrong(&why))?;
    let said = Object::parse(said.get()).map_err(|_| wrong("`arguments` must be an object"))?;
    let Some(name) = said.text("name") else {
        return Err(wrong("`arguments.name` says no tool"));
    };
    // It leads to tools alone: not to itself, and to no search that would be charged as something else.
    if name == CALL || name == FIND {
        return Err(RpcError::params(format!("Unknown tool: {name}")));
    }
    request.params.set("name", &name);
    match said.get("arguments").filter(|said| said.get() != "null") {
        Some(arguments) => request.params.set("arguments", arguments),
        None => drop(request.params.remove("arguments")),
    }
    Ok(request)
}

/// What is searched for.
#[derive(Debug, PartialEq, Eq)]
pub struct Wish {
    /// In words.
    pub query: String,
    /// Most tools that are wanted.
    pub limit: usize,
}

impl Wish {
    /// Reads the arguments of `find_tools`.
    ///
    /// # Errors
    /// What is wrong with them.
    pub fn read(params: &Object) -> Result<Self, String> {
        let said = params.object("arguments").unwrap_or_default();
        let query = said.text("query").filter(|query| !query.trim().is_empty());
        let query = query.ok_or("`query` must say what should be done")?;
        if query.len() > LONGEST {
            return Err(format!("`query` is longer than {LONGEST} bytes"));
        }
        let limit = match said.get("limit").filter(|limit| limit.get() != "null") {
            None => USUAL,
            Some(limit) => limit
                .get()
                .parse()
                .ok()
                .filter(|limit| (1..=MOST).contains(limit))
                .ok_or_else(|| format!("`limit` must be a whole number from 1 to {MOST}"))?,
        };
        Ok(Self { query, limit })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Prefix;
    use crate::message::Id;

    fn called(arguments: Value) -> Result<Request, RpcError> {
        let view = View::new(Vec::new(), Prefix::Always, false).searched(true);
        let params = json!({ "name": CALL, "arguments": arguments, "_meta": { "a": 1 } });
        let request = Request {
            id: Id::Number(1),
            method: "tools/call".to_owned(),
            params: Object::parse(&params.to_string()).unwrap(),
        };
        unwrapped(&view, request)
    }

    #[test]
    fn a_call_is_read_as_what_it_stands_for() {
        let request = called(json!({ "name": "files_read", "arguments": { "path": "a" } })).unwrap();
        assert_eq!(
            request.params.raw().get(),
            r#"{"name":"files_read","arguments":{"path":"a"},"_meta":{"a":1}}"#
        );
        let request = called(json!({ "name": "files_read" })).unwrap();
        assert!(request.params.get("arguments").is_none());
        for wrong in [
            json!(null),
            json!("files_read"),
            json!({ "arguments": {} }),
            json!({ "name": "call_tool", "arguments": { "name": "files_read" } }),
            json!({ "name": "find_tools", "arguments": { "query": "x" } }),
        ] {
            assert_eq!(called(wrong.clone()).unwrap_err().code, -32602, "{wrong}");
        }
    }

    #[test]
    fn wishes_are_bounded() {
        let wish = |arguments: Value| {
            let mut params = Object::default();
            params.set("arguments", &arguments);
            Wish::read(&params)
        };
        let found = wish(json!({ "query": "pay", "limit": 20 })).unwrap();
        assert_eq!((found.query.as_str(), found.limit), ("pay", 20));
        assert_eq!(wish(json!({ "query": "pay" })).unwrap().limit, USUAL);
        for wrong in [
            json!({}),
            json!({ "query": " " }),
            json!({ "query": "x".repeat(2_001) }),
            json!({ "query": "x", "limit": 21 }),
            json!({ "query": "x", "limit": 0 }),
            json!({ "query": "x", "limit": "5" }),
        ] {
            assert!(wish(wrong.clone()).is_err(), "{wrong}");
        }
    }
}

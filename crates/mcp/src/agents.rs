//! Agents that are servers, as far as this crate knows them: each of their skills is a tool.
//!
//! What an agent can do is the same for everybody, and listed as any server's tools are. It is asked on behalf of one
//! caller, whose rules for that agent hold beside those for the tool.

use std::time::Duration;

use futures_util::future::BoxFuture;
use pointsman_upstream::Client;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::error::RpcError;
use crate::link::Failed;
use crate::message::Raw;

/// All agents that there are.
pub trait Agents: Send + Sync {
    /// What an agent says of itself, and its tools as they are listed.
    fn describe<'a>(&'a self, client: &'a Client, agent: &'a str)
    -> BoxFuture<'a, Result<Described, Failed>>;
}

/// An agent as a server.
#[derive(Debug, Clone, Default)]
pub struct Described {
    /// What it says of itself.
    pub about: Option<String>,
    /// Its tools.
    pub tools: Vec<Value>,
}

/// Whoever asks agents on behalf of a caller.
pub trait Deputy: Send + Sync {
    /// Whether the caller may use a tool of an agent.
    fn may(&self, agent: &str, tool: &str) -> bool;

    /// Calls a tool of an agent. Given up, it has the agent stop.
    fn call<'a>(&'a self, called: Called<'a>) -> BoxFuture<'a, Result<Raw, RpcError>>;
}

/// What is called.
pub struct Called<'a> {
    /// The agent.
    pub agent: &'a str,
    /// Its tool.
    pub tool: &'a str,
    /// With what.
    pub arguments: Option<&'a RawValue>,
    /// How long it may take.
    pub timeout: Duration,
    /// Where that goes which it says of its work meanwhile.
    pub meanwhile: &'a (dyn Fn(&str) + Send + Sync),
}

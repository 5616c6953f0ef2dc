//! A link to an agent: its skills are listed here as tools. Calls do not come this way, but by whoever asks agents on
//! behalf of their caller.

use pointsman_upstream::Client;
use serde_json::json;
use serde_json::value::to_raw_value;

use super::{Ask, Failed, Greeting};
use crate::agents::Described;
use crate::error::RpcError;
use crate::message::{Object, Response};
use crate::server::Server;

/// Asks an agent's card what there is.
async fn describe(server: &Server, client: &Client, agent: &str) -> Result<Described, Failed> {
    let agents = server.agents();
    let agents =
        agents.ok_or_else(|| Failed::Unreachable("agents are asked by a gateway that runs".to_owned()))?;
    agents.describe(client, agent).await
}

/// What an agent says of itself.
///
/// # Errors
/// When its card cannot be had.
pub async fn greeting(server: &Server, client: &Client, agent: &str) -> Result<Greeting, Failed> {
    let mut capabilities = Object::default();
    capabilities.set("tools", &json!({}));
    Ok(Greeting {
        capabilities,
        info: None,
        instructions: describe(server, client, agent).await?.about,
    })
}

/// Lists the tools of an agent.
///
/// # Errors
/// When its card cannot be had.
pub async fn ask(server: &Server, client: &Client, agent: &str, ask: &Ask) -> Result<Response, Failed> {
    let outcome = if ask.method == "tools/list" {
        let tools = describe(server, client, agent).await?.tools;
        Ok(to_raw_value(&json!({ "tools": tools })).unwrap_or_default())
    } else {
        Err(RpcError::method(&ask.method).raw())
    };
    Ok(Response { id: None, outcome })
}

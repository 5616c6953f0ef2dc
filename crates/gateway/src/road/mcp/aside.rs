//! A tool that is called on behalf of a request that was admitted as something else: its texts are the answer.

use std::sync::Arc;

use pointsman_catalog::Money;
use pointsman_governance::Principal;
use pointsman_mcp::call::Refused;
use pointsman_mcp::error::RpcError;
use pointsman_mcp::message::{Id, Object, Request};
use pointsman_wire::form::{Failure, FailureKind};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::judge::{Guardrails, judging};
use super::{Desk, consent, stateless};
use crate::road::Arrival;
use crate::worker::Worker;

/// Calls a tool of a server as this caller may, and gives what it says and what that costs.
///
/// # Errors
/// When there is no such server or tool for this caller, or it does not answer.
pub async fn call(
    worker: &Arc<Worker>,
    arrival: &Arrival,
    caller: Arc<Principal>,
    (server, tool, arguments): (&str, &str, &Map<String, Value>),
) -> Result<(Vec<String>, Money), Failure> {
    let hub = Arc::clone(&arrival.snapshot.mcp.hub);
    let view = hub.view_of(Some(server), &consent::owner(&caller));
    let view = view.ok_or_else(|| unavailable(format!("there is no MCP server {server:?}")))?;
    let desk = Desk {
        worker,
        arrival,
        caller,
        // The operator has the tool called, not the caller's token.
        scopes: None,
        hub,
        view,
    };
    let guardrails = Guardrails::of(&desk)?;
    let asker = desk.asker(judging(guardrails.as_ref()));
    let mut params = Object::default();
    params.set("name", tool);
    params.set("arguments", arguments);
    let request = Request {
        id: Id::from(1),
        method: "tools/call".to_owned(),
        params,
    };
    let answered = Box::pin(stateless::alone(&asker, &request)).await;
    match &answered.outcome {
        Ok(result) => said(result.get()).map(|texts| (texts, answered.cost)),
        Err(Refused::Here(error)) if error.code == RpcError::BLOCKED => {
            Err(Failure::new(FailureKind::PermissionDenied, error.message.clone()))
        }
        Err(refused) => Err(unavailable(format!(
            "the tool {tool:?} of the MCP server {server:?} cannot be called: {}",
            refused.raw().get()
        ))),
    }
}

fn unavailable(message: String) -> Failure {
    Failure::new(FailureKind::Unavailable, message)
}

/// What a tool's result says.
#[derive(Deserialize)]
struct Outcome {
    #[serde(default)]
    content: Vec<Content>,
    #[serde(default, rename = "isError")]
    is_error: bool,
}

#[derive(Deserialize)]
struct Content {
    text: Option<String>,
    resource: Option<Resource>,
}

#[derive(Deserialize)]
struct Resource {
    text: Option<String>,
}

fn said(result: &str) -> Result<Vec<String>, Failure> {
    let outcome: Outcome = serde_json::from_str(result).map_err(|error| {
        Failure::new(
            FailureKind::Provider,
            format!("the tool's answer makes no sense: {error}"),
        )
    })?;
    let text = |one: Content| one.text.or(one.resource.and_then(|resource| resource.text));
    let texts: Vec<String> = outcome.content.into_iter().filter_map(text).collect();
    match outcome.is_error {
        true => Err(unavailable(format!("the tool failed: {}", texts.join(" ")))),
        false => Ok(texts),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_of_a_result_are_read_and_its_failure_is_told() {
        let told = r#"{"content": [{"type": "text", "text": "a"}, {"type": "image", "data": "…"},
            {"type": "resource", "resource": {"uri": "x", "text": "b"}}]}"#;
        assert_eq!(said(told).unwrap(), ["a", "b"]);
        assert!(said("{}").unwrap().is_empty());
        let failed = said(r#"{"isError": true, "content": [{"type": "text", "text": "no index"}]}"#);
        assert!(failed.unwrap_err().message.contains("no index"));
        assert!(said("7").is_err());
    }
}

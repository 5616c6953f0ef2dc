//! Agents that are servers, asked on behalf of whoever calls.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use pointsman_governance::Principal;
use pointsman_mcp::agents::{Called, Deputy};
use pointsman_mcp::error::RpcError;
use pointsman_mcp::message::Raw;
use pointsman_wire::form::{Failure, FailureKind};
use serde_json::value::to_raw_value;

use super::Desk;
use crate::road::{Arrival, a2a};
use crate::worker::Worker;

/// On behalf of whom, and within what.
struct OnBehalf {
    worker: Arc<Worker>,
    arrival: Arrival,
    caller: Arc<Principal>,
    /// Calls so far of the whole request: each is its own in the ledger.
    calls: Arc<AtomicU32>,
}

/// Whoever asks agents for this caller; nobody where no server is one.
pub fn deputy(desk: &Desk<'_>) -> Option<Arc<dyn Deputy>> {
    let mut servers = desk.view.servers().iter();
    servers.find(|server| server.config.agent.is_some())?;
    Some(Arc::new(OnBehalf {
        worker: Arc::clone(desk.worker),
        arrival: desk.arrival.clone(),
        caller: Arc::clone(&desk.caller),
        calls: desk.arrival.agent_calls.counter(),
    }))
}

impl Deputy for OnBehalf {
    fn may(&self, agent: &str, tool: &str) -> bool {
        a2a::may_call_tool(&self.arrival, &self.caller, (agent, tool))
    }

    fn call<'a>(&'a self, called: Called<'a>) -> BoxFuture<'a, Result<Raw, RpcError>> {
        async move {
            let number = self.calls.fetch_add(1, Ordering::Relaxed) + 1;
            let wanted = a2a::Wanted {
                agent: called.agent,
                tool: called.tool,
                arguments: called.arguments,
                timeout: called.timeout,
                meanwhile: called.meanwhile,
            };
            let calling = a2a::call_tool(
                (&self.worker, &self.arrival),
                Arc::clone(&self.caller),
                format!("{}.agent{number}", self.arrival.id),
                &wanted,
            );
            match tokio::time::timeout(called.timeout, Box::pin(calling)).await {
                Ok(Ok(told)) => Ok(to_raw_value(&told).unwrap_or_default()),
                Ok(Err(failure)) => Err(refused(failure)),
                Err(_) => Err(RpcError::internal("the agent did not answer in time")),
            }
        }
        .boxed()
    }
}

fn refused(failure: Failure) -> RpcError {
    match failure.kind {
        FailureKind::PermissionDenied => RpcError::blocked(failure.message),
        _ => RpcError::internal(failure.message),
    }
}

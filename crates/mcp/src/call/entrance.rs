//! Servers that want a user's consent first: who asks is told where to give it.

use std::sync::Arc;

use serde_json::json;

use super::{Asker, Refused};
use crate::error::RpcError;
use crate::link::Failed;
use crate::message::{Object, Raw};
use crate::oauth::{Needed, Ticket, now};
use crate::server::Server;

/// For what tickets are sealed.
pub const TICKET: &str = "mcp consent ticket";

impl Asker {
    /// Why a server has not answered.
    pub(super) fn failure(&self, server: &Server, failed: Failed) -> Refused {
        tracing::debug!(server = server.name, error = %failed, "an MCP server gave no answer");
        match failed {
            Failed::Consent(needed) => self.consent(server, *needed).into(),
            failed => RpcError::internal(format!("{}: {failed}", server.name)).into(),
        }
    }

    /// Where a user lets the gateway in.
    fn page(&self, needed: Needed) -> Result<String, RpcError> {
        let Some(base) = &self.base else {
            return Err(RpcError::internal(format!(
                "{} wants a user's consent, and nobody has said where browsers reach this gateway (`mcp.public_url`)",
                needed.server
            )));
        };
        let server = needed.server.clone();
        let ticket = Ticket { needed, at: now() };
        let sealed = self.hub.board.vault().seal(TICKET, &ticket);
        let sealed = sealed.ok_or_else(|| RpcError::internal("no randomness"))?;
        Ok(format!("{base}/oauth/mcp/{server}?ticket={sealed}"))
    }

    /// The error that clients show as a page to be opened.
    fn consent(&self, server: &Server, needed: Needed) -> RpcError {
        match self.page(needed) {
            Ok(url) => RpcError::consent(&server.name, &url),
            Err(error) => error,
        }
    }

    /// What the gateway's own tool says, which stands in for those of a server that wants consent.
    pub(super) async fn entrance(&self, server: &Arc<Server>) -> Result<Raw, Refused> {
        let needed = match server.house(&self.client).await {
            Err(Failed::Consent(needed)) => *needed,
            Err(failed) => return Err(self.failure(server, failed)),
            Ok(_) => {
                server.granted().await;
                let mut result = Object::default();
                let text = format!("{} is connected: list the tools again.", server.name);
                result.set("content", &json!([{ "type": "text", "text": text }]));
                return Ok(result.raw());
            }
        };
        let url = self.page(needed)?;
        let mut result = Object::default();
        let text = format!(
            "Open {url} to connect to {}. The page is good for ten minutes.",
            server.name
        );
        result.set("content", &json!([{ "type": "text", "text": text }]));
        result.set("structuredContent", &json!({ "url": url }));
        Ok(result.raw())
    }
}

//! Tools that are skills of an agent.

use std::sync::atomic::{AtomicU64, Ordering};

use super::{Asker, Refused};
use crate::agents::Called;
use crate::error::RpcError;
use crate::link::{Sink, Told};
use crate::message::{self, Object, Raw};
use crate::meta;
use crate::server::Server;
use crate::view::Found;

impl Asker {
    /// Whether the caller may use a tool, where it is an agent's.
    pub(super) fn may_ask(&self, server: &Server, tool: Option<&str>) -> bool {
        let Some(agent) = &server.config.agent else {
            return true;
        };
        let deputy = self.agents.as_ref();
        tool.is_none_or(|tool| deputy.is_some_and(|deputy| deputy.may(agent, tool)))
    }

    /// Calls a tool of an agent on behalf of the caller. What it says meanwhile is progress.
    pub(super) async fn ask_agent(
        &self,
        (found, agent): (&Found, &str),
        method: &str,
        params: &Object,
        sink: &Sink,
    ) -> Result<Raw, Refused> {
        let deputy = self.agents.as_ref().filter(|_| method == "tools/call");
        let deputy = deputy.ok_or_else(|| RpcError::method(method))?;
        let server = &found.server;
        // An agent cannot be asked for the rest of what another replica has begun.
        self.resume(found, method)
            .map_err(|failed| self.failure(server, failed))?;
        if let Some(trail) = &self.trail {
            trail.dispatching(&server.name, 0).await;
        }
        let (token, steps) = (meta::of(params).remove("progressToken"), AtomicU64::new(0));
        let meanwhile = |said: &str| {
            let Some(token) = &token else { return };
            let mut told = Object::default();
            told.set("progressToken", token);
            told.set("progress", &(steps.fetch_add(1, Ordering::Relaxed) + 1));
            told.set("message", said);
            let text = message::notification("notifications/progress", &told);
            // A client that does not read misses progress, not answers.
            let _ = sink.try_send(Told::Message(text));
        };
        let called = Called {
            agent,
            tool: &found.name,
            arguments: params.get("arguments"),
            timeout: server.timeout,
            meanwhile: &meanwhile,
        };
        Ok(deputy.call(called).await?)
    }
}

//! What a user has let the gateway do at MCP servers: shown to them, and taken back by them.

use std::sync::Arc;

use http::{Method, StatusCode};
use pointsman_governance::Principal;
use pointsman_mcp::oauth::TakenBack;
use pointsman_store::Actor;
use pointsman_wire::form::{Failure, FailureKind};
use serde_json::json;

use super::{consent, door};
use crate::granted;
use crate::reply::{self, Reply};
use crate::road::Arrival;
use crate::worker::Worker;

/// Answers `GET /oauth/grants/mcp` and `DELETE /oauth/grants/mcp/{server}`.
///
/// # Errors
/// 404 where nothing was granted, 403 where it is not the caller's alone, 503 where nobody can say.
pub async fn answer(worker: &Arc<Worker>, arrival: &Arrival, caller: &Principal) -> Result<Reply, Failure> {
    let policy = &arrival.snapshot.mcp;
    if let Err(error) = door::check_host(&arrival.headers, arrival.uri.authority(), policy) {
        return Ok(super::told(&error, None));
    }
    let (hub, owner) = (&policy.hub, consent::owner(caller));
    if arrival.method != Method::DELETE {
        let mut shown = Vec::new();
        for name in hub.names() {
            let server = hub.server_of(name, &owner).filter(|server| server.is_personal());
            if let Some(account) = server.as_ref().and_then(|server| server.account()) {
                shown.extend(account.shown().await);
            }
        }
        return Ok(reply::json(StatusCode::OK, &json!({ "grants": shown })));
    }
    if owner == "anonymous" {
        let message = "what everybody shares is the operator's to take back (`/admin/v1/mcp/grants`)";
        return Err(Failure::new(FailureKind::PermissionDenied, message));
    }
    let server = arrival.surface.model.as_deref().unwrap_or_default();
    record(worker, &owner, server).await?;
    let taken = granted::take_back(hub, &worker.client, (server, &owner)).await;
    let taken = taken.map_err(|why| {
        tracing::warn!(server, why, "a grant could not be taken back");
        unavailable()
    })?;
    let taken: TakenBack = taken.ok_or_else(|| {
        let message =
            format!("nothing was granted to you at {server:?}; GET /oauth/grants/mcp lists what was");
        Failure::new(FailureKind::NotFound, message)
    })?;
    Ok(reply::json(StatusCode::OK, &json!(taken)))
}

fn unavailable() -> Failure {
    let message = "the grant could not be taken back now; it is as it was, so try again";
    Failure::new(FailureKind::Unavailable, message)
}

/// Written down first: nothing is taken back that nobody has asked for.
async fn record(worker: &Worker, owner: &str, server: &str) -> Result<(), Failure> {
    let store = Arc::clone(&worker.shared.kept.store);
    let actor = Actor {
        name: owner.to_owned(),
        source: "api".to_owned(),
    };
    let how = json!({ "server": server, "owner": owner });
    let object = format!("{server}/{owner}");
    let recorded = tokio::task::spawn_blocking(move || {
        store.record_act(&actor, ("take_back", "mcp_grant", &object), &how)
    });
    match recorded.await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => {
            tracing::warn!(%error, "the audit log could not be written");
            Err(unavailable())
        }
        Err(_) => Err(unavailable()),
    }
}

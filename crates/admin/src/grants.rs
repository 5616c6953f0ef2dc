//! What users have let the gateway do at MCP servers: listed, and taken back. No token is shown.

use http::StatusCode;
use serde_json::json;
use tokio::runtime::Handle;

use crate::call::{Answer, Call, Failed, MAX_PAGE, Reply, value};

/// Lists them, or those of one server.
pub fn list(call: &Call) -> Answer {
    call.only(&["server", "after"])?;
    let after = call.parameter("after").unwrap_or_default();
    let page = (after, MAX_PAGE as usize);
    let listed = Handle::current().block_on(call.gateway.grants(call.parameter("server"), page));
    let (grants, next) = listed.map_err(|why| silent(&why))?;
    Ok(Reply::of(json!({ "grants": value(&grants)?, "next": next })))
}

/// Takes one back. Written down first: nothing is taken back that nobody has asked for.
pub fn take_back(call: &Call) -> Answer {
    call.only(&[])?;
    let (server, owner) = (call.segment(0), call.segment(1));
    let how = json!({ "server": server, "owner": owner });
    let object = format!("{server}/{owner}");
    call.store()
        .record_act(&call.actor, ("take_back", "mcp_grant", &object), &how)?;
    let taken = Handle::current().block_on(call.gateway.take_grant_back(server, owner));
    let taken = taken.map_err(|why| silent(&why))?;
    let taken = taken.ok_or_else(|| Failed::absent("there is no such grant"))?;
    Ok(Reply::of(value(&taken)?))
}

fn silent(why: &str) -> Failed {
    tracing::warn!(why, "the admin API could not ask for grants");
    Failed::new(
        StatusCode::SERVICE_UNAVAILABLE,
        "the grants cannot be reached now; they are as they were, so try again",
    )
}

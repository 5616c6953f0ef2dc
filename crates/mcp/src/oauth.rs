//! The gateway as a client of OAuth 2.1 at the servers behind it: whom it asks, as whom, on whose behalf, and what it was
//! granted.
//!
//! `discover` finds the authorization server of an MCP server, `register` who the gateway is there, `vault` keeps what was
//! granted, sealed; an [`Account`] puts it on requests, renews it, and says when somebody has to consent.
//!
//! This must not know how a page is served: whoever does has a [`Ticket`] from here, and brings back what the
//! authorization server has said.

mod account;
mod config;
mod consent;
mod discover;
mod register;
mod taken;
mod vault;

use serde::{Deserialize, Serialize};

pub use account::Account;
pub use config::{GrantKind, OAuthConfig};
pub use consent::{Begun, Returned};
pub use discover::{is_same, places};
pub use register::metadata_document;
pub use taken::{Revocation, ShownGrant, TakenBack, forget, list};
pub use vault::{Grants, Vault};

/// How long a ticket, and the way through the authorization server, is good.
pub const CONSENT_SECS: u64 = 10 * 60;

/// That somebody has to let the gateway in, and where.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Needed {
    /// The MCP server.
    pub server: String,
    /// Whose consent it is.
    pub owner: String,
    /// The scopes that were asked for before, and those that are missing.
    pub scopes: Vec<String>,
    /// Where the server says that it describes itself.
    pub metadata: Option<String>,
}

/// The way to the page of consent: readable by the gateway alone.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Ticket {
    /// What is to be consented to.
    pub needed: Needed,
    /// When it was made, in seconds since 1970.
    pub at: u64,
}

/// What a grant says, to be kept sealed: no more of it than what is needed to use and to renew it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Grant {
    /// Who granted it.
    issuer: String,
    /// Where it is renewed.
    token_endpoint: String,
    /// Who the gateway is there.
    client: register::Registered,
    /// For what it is, as the server calls itself.
    resource: String,
    /// Scopes that were asked for.
    asked: Vec<String>,
    #[serde(serialize_with = "vault::exposed")]
    access_token: pointsman_upstream::config::Secret,
    #[serde(serialize_with = "vault::exposed_some")]
    refresh_token: Option<pointsman_upstream::config::Secret>,
    /// In seconds since 1970.
    expires_at: Option<u64>,
}

/// Seconds since 1970.
#[must_use]
pub fn now() -> u64 {
    std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap_or_default()
        .as_secs()
}

/// Scopes of both, each once, in their order.
fn union(one: &[String], other: &[String]) -> Vec<String> {
    crate::session::once(one.iter().chain(other).cloned().collect())
}

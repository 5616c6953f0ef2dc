//! Grants as they are shown to whom they belong, and taken back: forgotten here first, and then by the authorization
//! server, where it says how (RFC 7009).

use std::sync::Arc;

use pointsman_upstream::{Client, TokenRequest, revoke_token};
use serde::Serialize;

use super::discover::{discover, revocation_endpoint};
use super::{Account, Grant, Vault};

/// What the names of grants begin with.
pub(super) const GRANTS: &str = "mcp_grant/";

/// What may be told of a grant: nothing that could be used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ShownGrant {
    /// The MCP server.
    pub server: String,
    /// Whose it is: `user:…`, `key:…`, or `anonymous`.
    pub owner: String,
    /// The authorization server that gave it.
    pub issuer: String,
    /// The scopes that were asked for.
    pub scopes: Vec<String>,
    /// When its token ends, in seconds since 1970, as far as that is known.
    pub expires_at: Option<u64>,
    /// Whether the gateway can have it renewed.
    pub is_renewable: bool,
}

impl ShownGrant {
    fn of(grant: &Grant, server: &str, owner: &str) -> Self {
        Self {
            server: server.to_owned(),
            owner: owner.to_owned(),
            issuer: grant.issuer.clone(),
            scopes: grant.asked.clone(),
            expires_at: grant.expires_at,
            is_renewable: grant.refresh_token.is_some(),
        }
    }
}

/// What the authorization server knows of it that a grant was taken back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "outcome", content = "why", rename_all = "snake_case")]
pub enum Revocation {
    /// It has revoked the tokens.
    Done,
    /// It names no place to revoke them, or nobody knows any more who it is: they end by themselves.
    NotOffered,
    /// It could not be asked, or refused: they may be good until they end.
    Failed(String),
}

/// A grant that was taken back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TakenBack {
    /// What it was.
    pub grant: ShownGrant,
    /// What the authorization server has said.
    pub revocation: Revocation,
}

/// Grants that are kept, by server and owner, after a name: some of them, and the name of the last one looked at.
///
/// # Errors
/// When nobody can say which there are.
pub async fn list(
    vault: &Vault,
    server: Option<&str>,
    (after, most): (&str, usize),
) -> Result<(Vec<ShownGrant>, Option<String>), String> {
    let prefix = match server {
        Some(server) => format!("{GRANTS}{server}/"),
        None => GRANTS.to_owned(),
    };
    let names = vault.names(&prefix, after, most).await?;
    let last = names.last().filter(|_| names.len() == most).cloned();
    let mut shown = Vec::new();
    for name in &names {
        let place = name.strip_prefix(GRANTS).and_then(|rest| rest.split_once('/'));
        if let (Some((server, owner)), Some(grant)) = (place, vault.load::<Grant>(name).await) {
            shown.push(ShownGrant::of(&grant, server, owner));
        }
    }
    Ok((shown, last))
}

/// Takes a grant back at a server that is not configured any more; none where there is no such grant.
///
/// # Errors
/// When it could not be forgotten.
pub async fn forget(vault: &Vault, server: &str, owner: &str) -> Result<Option<TakenBack>, String> {
    let name = format!("{GRANTS}{server}/{owner}");
    let Some(grant) = vault.load::<Grant>(&name).await else {
        return Ok(None);
    };
    vault.forget(&name).await?;
    Ok(Some(TakenBack {
        grant: ShownGrant::of(&grant, server, owner),
        revocation: Revocation::NotOffered,
    }))
}

impl Account {
    /// What was granted to its owner, if anything was.
    pub async fn shown(&self) -> Option<ShownGrant> {
        let grant = self.kept().await?;
        Some(ShownGrant::of(&grant, &self.server, &self.owner))
    }

    /// The grant as it is kept; in memory where that is all there is.
    async fn kept(&self) -> Option<Arc<Grant>> {
        match self.vault.load::<Grant>(&self.name()).await {
            Some(grant) => Some(Arc::new(grant)),
            None => self.held(),
        }
    }

    /// Takes the grant back; none where there is none. From here on it is not used any more, whatever the authorization
    /// server says.
    ///
    /// # Errors
    /// When it could not be forgotten: then it is as it was.
    pub async fn take_back(&self, client: &Client) -> Result<Option<TakenBack>, String> {
        let _turn = self.turn().await;
        let Some(grant) = self.kept().await else {
            return Ok(None);
        };
        self.vault.forget(&self.name()).await?;
        self.let_go();
        let revocation = match self.revoke(client, &grant).await {
            Ok(true) => Revocation::Done,
            Ok(false) => Revocation::NotOffered,
            Err(why) => {
                tracing::warn!(
                    server = self.server,
                    why,
                    "a grant was taken back, and could not be revoked"
                );
                Revocation::Failed(why)
            }
        };
        Ok(Some(TakenBack {
            grant: ShownGrant::of(&grant, &self.server, &self.owner),
            revocation,
        }))
    }

    /// Has the tokens revoked, where the authorization server that gave them says how; the one that renews first.
    async fn revoke(&self, client: &Client, grant: &Grant) -> Result<bool, String> {
        let found = discover(client, (&self.url, None), &self.config).await?;
        // Nobody else is told what somebody has given.
        if found.server.issuer != grant.issuer {
            return Ok(false);
        }
        let Some(endpoint) = revocation_endpoint(client, (&self.url, &self.config), &found.server).await?
        else {
            return Ok(false);
        };
        let tokens = [
            ("refresh_token", grant.refresh_token.as_ref()),
            ("access_token", Some(&grant.access_token)),
        ];
        for (hint, token) in tokens {
            let Some(token) = token else { continue };
            let request = TokenRequest {
                url: endpoint,
                client_id: Some(&grant.client.id),
                proof: grant.client.proof(&self.config, &grant.issuer),
                fields: vec![("token_type_hint", hint)],
                secrets: vec![("token", token.expose())],
            };
            let who = format!("the authorization server {}", grant.issuer);
            let revoked = revoke_token(client, &who, &request).await;
            revoked.map_err(|error| error.to_string())?;
        }
        Ok(true)
    }
}

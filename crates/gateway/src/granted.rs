//! Where what MCP servers have granted lasts: in the database, sealed before it comes here; and how it is shown and taken
//! back.

use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use pointsman_mcp::Hub;
use pointsman_mcp::oauth::{self, Grants, ShownGrant, TakenBack};
use pointsman_store::{Store, StoreError};
use pointsman_upstream::Client;

use crate::server::Gateway;

/// The database, asked beside the requests.
pub struct Granted(pub Arc<Store>);

impl Granted {
    fn ask<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Store) -> Result<T, StoreError> + Send + 'static,
    ) -> BoxFuture<'static, Result<T, String>> {
        let store = Arc::clone(&self.0);
        async move {
            let asked = tokio::task::spawn_blocking(move || work(&store)).await;
            let answer = asked.map_err(|error| error.to_string())?;
            answer.map_err(|error| error.to_string())
        }
        .boxed()
    }
}

impl Grants for Granted {
    fn load(&self, name: String) -> BoxFuture<'static, Result<Option<Vec<u8>>, String>> {
        self.ask(move |store| store.sealed(&name))
    }

    fn save(&self, name: String, sealed: Vec<u8>) -> BoxFuture<'static, Result<(), String>> {
        self.ask(move |store| store.keep_sealed(&name, &sealed))
    }

    fn names(
        &self,
        prefix: String,
        after: String,
        most: usize,
    ) -> BoxFuture<'static, Result<Vec<String>, String>> {
        self.ask(move |store| store.sealed_names(&prefix, &after, most))
    }

    fn remove(&self, name: String) -> BoxFuture<'static, Result<(), String>> {
        self.ask(move |store| store.forget_sealed(&name))
    }
}

/// Takes a grant back, at the server and here; none where there is no such grant.
///
/// # Errors
/// When it could not be forgotten.
pub async fn take_back(
    hub: &Hub,
    client: &Client,
    (server, owner): (&str, &str),
) -> Result<Option<TakenBack>, String> {
    let found = hub.server_of(server, owner);
    let account = found.as_ref().and_then(|found| Some((found, found.account()?)));
    // A server that is gone has left what it granted.
    let Some((found, account)) = account.filter(|(found, _)| found.is_personal()) else {
        return oauth::forget(hub.board.vault(), server, owner).await;
    };
    let taken = account.take_back(client).await?;
    if taken.is_some() {
        found.granted().await;
    }
    Ok(taken)
}

impl Gateway {
    /// What users have granted at MCP servers, or at one: `most` after a name, and the name that the next ones come after.
    ///
    /// # Errors
    /// When nobody can say.
    pub async fn grants(
        &self,
        server: Option<&str>,
        (after, most): (&str, usize),
    ) -> Result<(Vec<ShownGrant>, Option<String>), String> {
        let hub = Arc::clone(&self.snapshot().mcp.hub);
        oauth::list(hub.board.vault(), server, (after, most)).await
    }

    /// Takes a grant back; none where there is no such grant.
    ///
    /// # Errors
    /// When it could not be forgotten.
    pub async fn take_grant_back(&self, server: &str, owner: &str) -> Result<Option<TakenBack>, String> {
        let hub = Arc::clone(&self.snapshot().mcp.hub);
        take_back(&hub, &self.client(), (server, owner)).await
    }
}

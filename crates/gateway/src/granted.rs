//! Where what MCP servers have granted lasts: in the database, sealed before it comes here.

use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use pointsman_mcp::oauth::Grants;
use pointsman_store::{Store, StoreError};

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

    fn remove(&self, name: String) -> BoxFuture<'static, Result<(), String>> {
        self.ask(move |store| store.forget_sealed(&name))
    }
}

//! A server of PostgreSQL for others of the house, who bring statements of their own: found by the same URLs, and spoken
//! to over the same TLS.

use std::fmt;
use std::sync::Arc;

use tokio_postgres::Client;

use super::address::{self, Address};
use super::connection::unconnected;
use crate::store::StoreError;

/// Where a database is.
#[derive(Clone)]
pub struct PostgresAddress(Arc<Address>);

impl fmt::Debug for PostgresAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PostgresAddress")
    }
}

impl PostgresAddress {
    /// Reads a URL, as `stores.database` has them.
    ///
    /// # Errors
    /// With what is wrong with it, and without its password.
    pub fn read(url: &str) -> Result<Self, StoreError> {
        address::read(url).map(|address| Self(Arc::new(address)))
    }

    /// Connects. Must be called within a Tokio runtime, which drives the connection until the client is dropped.
    ///
    /// # Errors
    /// When the server cannot be reached, or says no.
    pub async fn connect(&self) -> Result<Client, StoreError> {
        let connected = self.0.config.connect(self.0.tls.clone()).await;
        let (client, connection) = connected.map_err(unconnected)?;
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a connection to PostgreSQL ended");
            }
        });
        Ok(client)
    }
}

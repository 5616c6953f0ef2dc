//! Tokens of somebody else that are exchanged for our own: from a file, or from an OAuth server.

use std::path::{Path, PathBuf};

use super::bearer::Token;
use super::environment;
use super::error::CredentialError;
use super::oauth2::OAuth2;
use crate::client::Client;
use crate::config::{ConfigError, OAuth2Config};

/// Where a token comes from that is exchanged.
pub(crate) enum Subject {
    /// A file that somebody keeps fresh (Kubernetes does); read anew each time.
    File(PathBuf),
    /// An OAuth server.
    Server(Box<OAuth2>),
    /// As configured.
    Fixed(Token),
}

impl Subject {
    /// From the two fields of a configuration block, of which one must be given.
    pub(crate) fn compile(
        block: &str,
        file: Option<&PathBuf>,
        oidc: Option<&OAuth2Config>,
    ) -> Result<Self, ConfigError> {
        match (file, oidc) {
            (Some(file), None) => Ok(Self::File(file.clone())),
            (None, Some(oidc)) => {
                OAuth2::compile(oidc, &format!("{block}.oidc")).map(|server| Self::Server(Box::new(server)))
            }
            (Some(_), Some(_)) => Err(ConfigError::new(block, "give either `token_file` or `oidc`")),
            (None, None) => Err(ConfigError::new(
                block,
                "needs `token_file` or `oidc`: where the token comes from",
            )),
        }
    }

    pub(crate) fn file(path: &Path) -> Self {
        Self::File(path.to_owned())
    }

    /// The token as it is now.
    pub(crate) async fn token(&self, client: &Client) -> Result<Token, CredentialError> {
        match self {
            Self::File(path) => Ok(environment::read_token(path, "the file of the federated token")
                .await?
                .into()),
            Self::Server(server) => {
                // Boxed: an OAuth server may itself take the token of another.
                let issued = Box::pin(server.ask(client)).await;
                Ok(issued.map_err(|error| error.within("the federated token"))?.token)
            }
            Self::Fixed(token) => Ok(token.clone()),
        }
    }
}

//! Whoever issues tokens that are simply carried, as one source.

use http::header::{AUTHORIZATION, HeaderName};

use super::bearer::Bearer;
use super::cache::{Fetching, Issued, Source};
use super::entra::Entra;
use super::environment::Environment;
use super::error::CredentialError;
use super::gcp::Gcp;
use super::oauth2::OAuth2;
use crate::client::Client;
use crate::config::{AuthConfig, ConfigError};

/// An issuer, and where its tokens go.
pub(super) struct TokenSource {
    issuer: Issuer,
    header: HeaderName,
    prefix: String,
}

enum Issuer {
    Entra(Box<Entra>),
    Gcp(Box<Gcp>),
    OAuth2(Box<OAuth2>),
}

impl TokenSource {
    /// The issuer that the configuration names, if it names one.
    pub(super) fn compile(
        config: &AuthConfig,
        environment: &Environment,
    ) -> Result<Option<Self>, ConfigError> {
        let issuer = if let Some(entra) = &config.entra {
            Issuer::Entra(Box::new(Entra::compile(entra, environment)?))
        } else if let Some(gcp) = &config.gcp {
            Issuer::Gcp(Box::new(Gcp::compile(gcp, environment)?))
        } else if let Some(oauth2) = &config.oauth2 {
            Issuer::OAuth2(Box::new(OAuth2::compile(oauth2, "auth.oauth2")?))
        } else {
            return Ok(None);
        };
        // A token is a bearer token, whatever header the format has for its keys.
        let (header, prefix) = match &config.header {
            None => (AUTHORIZATION, "Bearer ".to_owned()),
            Some(name) => {
                let name = HeaderName::try_from(name)
                    .map_err(|_| ConfigError::new("auth.header", format!("`{name}` is not a header name")))?;
                (name, config.prefix.clone().unwrap_or_default())
            }
        };
        Ok(Some(Self {
            issuer,
            header,
            prefix,
        }))
    }

    pub(super) fn header(&self) -> &HeaderName {
        &self.header
    }

    pub(super) fn who(&self) -> &str {
        match &self.issuer {
            Issuer::Entra(entra) => entra.who(),
            Issuer::Gcp(_) => "Google Cloud",
            Issuer::OAuth2(server) => server.who(),
        }
    }

    async fn ask(&self, client: &Client) -> Result<Issued<Bearer>, CredentialError> {
        let (issued, extra) = match &self.issuer {
            Issuer::Entra(entra) => (entra.ask(client).await?, None),
            Issuer::OAuth2(server) => (server.ask(client).await?, None),
            Issuer::Gcp(gcp) => {
                let issued = gcp.ask(client).await?;
                let extra = issued.token.quota_project.clone();
                (issued.map(|issued| issued.token), extra)
            }
        };
        let bearer = Bearer::new(&self.prefix, &issued.token, extra)?;
        Ok(issued.map(|_| bearer))
    }
}

impl Source for TokenSource {
    type Token = Bearer;

    fn name(&self) -> &str {
        self.who()
    }

    fn fetch<'a>(&'a self, client: &'a Client) -> Fetching<'a, Bearer> {
        Box::pin(self.ask(client))
    }
}

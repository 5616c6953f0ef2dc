//! `oauth` of a server: how the gateway comes by tokens for it.

use std::path::PathBuf;

use pointsman_upstream::config::{ClientAuth, PrivateKeyConfig, Secret};
use schemars::JsonSchema;
use serde::Deserialize;
use url::Url;

/// Tokens for a server that says itself where they are issued (MCP authorization): its authorization server is found,
/// and asked.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct OAuthConfig {
    /// What is exchanged for a token.
    pub grant: GrantKind,
    /// What the authorization server calls the gateway; without, the gateway registers itself.
    pub client_id: Option<String>,
    /// Client secret.
    pub client_secret: Option<Secret>,
    /// How the gateway proves who it is; what the server takes when absent.
    pub client_auth: Option<ClientAuth>,
    /// Key that signs assertions about the gateway, for `private_key_jwt`.
    pub private_key: Option<PrivateKeyConfig>,
    /// `https` URL of a document that describes the gateway as a client, which is its id where servers take such; its own
    /// (`/oauth/client/mcp`) when absent and the gateway has a public `https` address.
    pub client_metadata: Option<String>,
    /// The assertion of the grant `jwt_bearer`.
    pub assertion: Option<Secret>,
    /// File that holds that assertion; read anew each time.
    pub assertion_file: Option<PathBuf>,
    /// Scopes to ask for where the server names none that it needs.
    pub scopes: Vec<String>,
    /// The only authorization server that is asked. Without, the first one that the server names is the only one that
    /// hears a `client_secret`, `private_key` or `assertion`.
    pub issuer: Option<String>,
    /// Hosts of authorization servers that may have addresses which are not public, beside the server's own host.
    pub hosts: Vec<String>,
}

/// What is exchanged for a token.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum GrantKind {
    /// The consent of each user, given on a page.
    #[default]
    AuthorizationCode,
    /// The gateway's own authentication: one token for all.
    ClientCredentials,
    /// A signed assertion (RFC 7523): one token for all.
    JwtBearer,
}

impl OAuthConfig {
    /// Whether each user has their own grant.
    #[must_use]
    pub fn is_personal(&self) -> bool {
        self.grant == GrantKind::AuthorizationCode
    }

    /// Whether something secret is told to the authorization server that nobody else must hear.
    pub(crate) fn has_secret(&self) -> bool {
        self.client_secret.is_some() || self.private_key.is_some() || self.assertion().is_some()
    }

    fn assertion(&self) -> Option<()> {
        (self.assertion.is_some() || self.assertion_file.is_some()).then_some(())
    }

    /// What is wrong with it: a field, and what to do.
    pub(crate) fn problems(&self, wrong: &mut impl FnMut(&str, &str)) {
        let proves = self.client_secret.is_some() || self.private_key.is_some();
        if proves && self.client_id.is_none() {
            wrong(
                "oauth.client_id",
                "is missing: a secret or key is that of a client",
            );
        }
        if self.grant == GrantKind::ClientCredentials && !proves {
            let message = "is missing: client credentials need a `client_secret` or a `private_key`";
            wrong("oauth.client_secret", message);
        }
        match (self.grant == GrantKind::JwtBearer, self.assertion()) {
            (true, None) => wrong(
                "oauth.assertion_file",
                "is missing: what is exchanged for a token",
            ),
            (false, Some(())) => wrong("oauth.assertion", "goes with `grant: jwt_bearer`"),
            _ => {}
        }
        let lacks = |auth: ClientAuth| match auth {
            ClientAuth::Basic | ClientAuth::Post => self.client_secret.is_none(),
            ClientAuth::PrivateKeyJwt => self.private_key.is_none(),
            ClientAuth::None => false,
        };
        if self.client_auth.is_some_and(lacks) {
            wrong(
                "oauth.client_auth",
                "needs the `client_secret` or `private_key` that it asks for",
            );
        }
        if let Some(key) = &self.private_key
            && key.file.is_some() == key.pem.is_some()
        {
            wrong("oauth.private_key", "give either `file` or `pem`");
        }
        for (field, url) in [
            ("oauth.client_metadata", &self.client_metadata),
            ("oauth.issuer", &self.issuer),
        ] {
            let is_good = |url: &String| {
                Url::parse(url).is_ok_and(|url| {
                    url.has_host()
                        && (url.scheme() == "https" || (field == "oauth.issuer" && url.scheme() == "http"))
                })
            };
            if url.as_ref().is_some_and(|url| !is_good(url)) {
                wrong(field, "is no https URL");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::config::McpConfig;

    #[test]
    fn what_cannot_be_asked_for_is_told_by_its_field() {
        for (oauth, field) in [
            (json!({}), None),
            (json!({"client_id": "c", "client_secret": "s"}), None),
            (json!({"client_secret": "s"}), Some("oauth.client_id")),
            (
                json!({"grant": "client_credentials", "client_id": "c"}),
                Some("oauth.client_secret"),
            ),
            (json!({"grant": "jwt_bearer"}), Some("oauth.assertion_file")),
            (json!({"assertion": "a"}), Some("oauth.assertion")),
            (json!({"client_auth": "post"}), Some("oauth.client_auth")),
            (
                json!({"client_metadata": "http://c/d"}),
                Some("oauth.client_metadata"),
            ),
            (json!({"issuer": "login"}), Some("oauth.issuer")),
            (
                json!({"client_id": "c", "private_key": {}}),
                Some("oauth.private_key"),
            ),
        ] {
            let config = json!({"servers": {"a": {"url": "https://a/mcp", "oauth": oauth}}});
            let config: McpConfig = serde_json::from_value(config).unwrap();
            let found: Vec<String> = config.problems().into_iter().map(|(field, _)| field).collect();
            let expected: Vec<String> = field.iter().map(|field| format!("servers.a.{field}")).collect();
            assert_eq!(found, expected, "{oauth}");
        }
        let both = json!({"servers": {"a": {"url": "https://a/mcp", "oauth": {}, "auth": {"api_key": "k"}}}});
        let both: McpConfig = serde_json::from_value(both).unwrap();
        assert_eq!(both.problems()[0].0, "servers.a.auth");
    }
}

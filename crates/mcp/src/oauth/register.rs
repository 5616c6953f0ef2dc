//! Who the gateway is at an authorization server: as the operator says, by a document that describes it, or registered
//! there (RFC 7591).

use pointsman_upstream::config::{ClientAuth, Secret};
use pointsman_upstream::{Client, Proof, register_client};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use url::Url;

use super::discover::Metadata;
use super::{OAuthConfig, Vault, vault};

/// The gateway as a client of an authorization server.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Registered {
    /// What the server calls it.
    pub(crate) id: String,
    /// What it proves itself with, unless the configuration has that.
    #[serde(serialize_with = "vault::exposed_some")]
    secret: Option<Secret>,
    /// How it proves itself (RFC 7591's names).
    method: String,
}

impl Registered {
    /// How the gateway says who it is, to a server that calls itself `issuer`.
    pub(crate) fn proof<'a>(&'a self, config: &'a OAuthConfig, issuer: &'a str) -> Proof<'a> {
        let secret = self.secret.as_ref().or(config.client_secret.as_ref());
        match (self.method.as_str(), secret, &config.private_key) {
            ("private_key_jwt", _, Some(key)) => Proof::Key(key, issuer),
            ("client_secret_basic", Some(secret), _) => Proof::Basic(secret),
            ("client_secret_post", Some(secret), _) => Proof::Post(secret),
            _ => Proof::None,
        }
    }
}

/// Finds out who the gateway is there, and registers it if it is nobody yet. What is registered is kept for that issuer
/// alone. Answers of the server come to `redirect`; `own` is where the gateway describes itself.
///
/// # Errors
/// Why it cannot be anybody there.
pub(crate) async fn registered(
    client: &Client,
    (config, server): (&OAuthConfig, &Metadata),
    (redirect, own): (&str, Option<&str>),
    vault: &Vault,
) -> Result<Registered, String> {
    if config.client_id.is_some() {
        return Ok(known(config, server));
    }
    let document = config.client_metadata.as_deref().or(own);
    if let Some(id) = document.filter(|_| server.client_id_metadata_document_supported) {
        return Ok(Registered {
            id: id.to_owned(),
            secret: None,
            method: "none".to_owned(),
        });
    }
    let Some(endpoint) = &server.registration_endpoint else {
        return Err(format!(
            "{} takes no clients that it does not know: register the gateway there, and set `oauth.client_id`",
            server.issuer
        ));
    };
    let name = format!("mcp_client/{}/{redirect}", server.issuer);
    if let Some(known) = vault.load::<Registered>(&name).await {
        return Ok(known);
    }
    let asked = method(server, true);
    let document = metadata(redirect, asked);
    let who = format!("the registration of {}", server.issuer);
    let answer = register_client(client, &who, (endpoint, &document)).await;
    let answer = answer.map_err(|error| error.to_string())?;
    let text = |name: &str| answer.get(name).and_then(Value::as_str).map(str::to_owned);
    let id = text("client_id").ok_or_else(|| format!("{who} gave no `client_id`"))?;
    let secret = text("client_secret");
    let told = text("token_endpoint_auth_method");
    let method = told.unwrap_or_else(|| if secret.is_some() { asked } else { "none" }.to_owned());
    let registered = Registered {
        id,
        secret: secret.map(Secret::from),
        method,
    };
    vault.save(&name, &registered).await;
    Ok(registered)
}

/// The gateway as the operator says.
pub(crate) fn known(config: &OAuthConfig, server: &Metadata) -> Registered {
    let method = match config.client_auth {
        Some(ClientAuth::Basic) => "client_secret_basic",
        Some(ClientAuth::Post) => "client_secret_post",
        Some(ClientAuth::PrivateKeyJwt) => "private_key_jwt",
        Some(ClientAuth::None) => "none",
        None if config.client_secret.is_some() => method(server, true),
        None if config.private_key.is_some() => "private_key_jwt",
        None => "none",
    };
    // A server that names none takes the header (RFC 8414); a secret is of no use otherwise.
    let method = if config.client_secret.is_some() && config.client_auth.is_none() && method == "none" {
        "client_secret_basic"
    } else {
        method
    };
    Registered {
        id: config.client_id.clone().unwrap_or_default(),
        secret: None,
        method: method.to_owned(),
    }
}

/// How a server wants clients to prove who they are.
fn method(server: &Metadata, has_secret: bool) -> &'static str {
    let Some(methods) = &server.token_endpoint_auth_methods_supported else {
        return "client_secret_basic";
    };
    let takes = |method: &str| methods.iter().any(|one| one == method);
    ["client_secret_basic", "client_secret_post"]
        .into_iter()
        .find(|method| has_secret && takes(method))
        .unwrap_or("none")
}

/// The gateway as a server is told of it that it registers with.
fn metadata(redirect: &str, method: &str) -> Value {
    // Tokens come back to this machine or to a place on the web.
    let is_here = Url::parse(redirect).is_ok_and(|url| url.scheme() == "http");
    json!({
        "client_name": "Pointsman",
        "redirect_uris": [redirect],
        "grant_types": ["authorization_code", "refresh_token"],
        "response_types": ["code"],
        "token_endpoint_auth_method": method,
        "application_type": if is_here { "native" } else { "web" },
    })
}

/// The document whose address, `id`, is the gateway's id where servers take such.
#[must_use]
pub fn metadata_document(id: &str, redirect: &str) -> Value {
    let mut document = metadata(redirect, "none");
    document["client_id"] = json!(id);
    document
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(methods: Option<&[&str]>) -> Metadata {
        Metadata {
            token_endpoint_auth_methods_supported: methods
                .map(|methods| methods.iter().map(|method| (*method).to_owned()).collect()),
            ..Metadata::default()
        }
    }

    #[test]
    fn a_client_proves_itself_as_its_server_wants() {
        let config = OAuthConfig {
            client_id: Some("c".to_owned()),
            client_secret: Some("s".into()),
            ..OAuthConfig::default()
        };
        for (methods, expected) in [
            (None, "client_secret_basic"),
            (
                Some(&["client_secret_post", "client_secret_basic"][..]),
                "client_secret_basic",
            ),
            (Some(&["client_secret_post", "none"]), "client_secret_post"),
            (Some(&["none"]), "client_secret_basic"),
        ] {
            assert_eq!(known(&config, &server(methods)).method, expected, "{methods:?}");
        }
        let public = OAuthConfig {
            client_id: Some("c".to_owned()),
            ..OAuthConfig::default()
        };
        assert_eq!(known(&public, &server(None)).method, "none");
    }
}

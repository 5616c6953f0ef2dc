//! The way of a user through the authorization server: where they are sent, and what they come back with.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use pointsman_upstream::config::Secret;
use pointsman_upstream::{Client, TokenRequest, request_token};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use url::Url;

use super::account::token_endpoint;
use super::discover::{Discovered, Metadata, discover};
use super::register::{Registered, registered};
use super::{Account, CONSENT_SECS, Needed, Vault, now, vault};

/// For what states are sealed.
const STATE: &str = "mcp consent state";
/// The scope that lets a grant be renewed.
const OFFLINE: &str = "offline_access";

/// What the gateway has to know when a user comes back: sealed into the `state` that they carry.
#[derive(Serialize, Deserialize)]
struct State {
    server: String,
    owner: String,
    at: u64,
    issuer: String,
    /// Whether the authorization server says that it names itself when it answers (RFC 9207).
    names_itself: bool,
    token_endpoint: String,
    client: Registered,
    resource: String,
    redirect: String,
    asked: Vec<String>,
    #[serde(serialize_with = "vault::exposed")]
    verifier: Secret,
    /// What the user's browser shows that it began here, hashed.
    browser: String,
}

/// A way that begins.
pub struct Begun {
    /// Where the user is sent.
    pub url: String,
    /// What their browser has to bring back.
    pub browser: String,
}

/// What a user comes back with.
#[derive(Debug, Default)]
pub struct Returned {
    /// The state.
    pub state: String,
    /// The code.
    pub code: Option<String>,
    /// Who says that it answers.
    pub issuer: Option<String>,
    /// Why there is no code.
    pub error: Option<String>,
    /// What the browser has brought back.
    pub browser: Option<String>,
}

impl Returned {
    /// Which server it is about, and whose consent it is; none where the state is not ours, or too old.
    #[must_use]
    pub fn whose(&self, vault: &Vault) -> Option<(String, String)> {
        let state = self.open(vault)?;
        Some((state.server, state.owner))
    }

    fn open(&self, vault: &Vault) -> Option<State> {
        let state = vault.open::<State>(STATE, &self.state)?;
        (now() <= state.at + CONSENT_SECS).then_some(state)
    }
}

impl Account {
    /// Begins the way of a user. They come back to `redirect`; `own` is where the gateway describes itself as a client.
    ///
    /// # Errors
    /// Why nobody can be asked.
    pub async fn begin(
        &self,
        client: &Client,
        needed: &Needed,
        (redirect, own): (&str, Option<&str>),
    ) -> Result<Begun, String> {
        let found = discover(client, (&self.url, needed.metadata.as_deref()), &self.config).await?;
        self.is_trusted(&found).await?;
        let server = &found.server;
        let place = server.authorization_endpoint.as_deref();
        let place = place.ok_or_else(|| format!("{} has no `authorization_endpoint`", server.issuer))?;
        let mut url = Url::parse(place).map_err(|error| error.to_string())?;
        // OAuth 2.1: without it, whoever sees the code can use it.
        let challenges = server
            .code_challenge_methods_supported
            .as_deref()
            .unwrap_or_default();
        if !challenges.iter().any(|method| method == "S256") {
            return Err(format!(
                "{} does not say that it takes S256 (PKCE)",
                server.issuer
            ));
        }
        let who = registered(client, (&self.config, server), (redirect, own), &self.vault).await?;
        let mut asked = self.scopes(needed.scopes.clone(), &found);
        if is_offered(server, OFFLINE) && !asked.iter().any(|scope| scope == OFFLINE) {
            asked.push(OFFLINE.to_owned());
        }
        let chance = || vault::random::<32>().map(|bytes| URL_SAFE_NO_PAD.encode(bytes));
        let (Some(verifier), Some(browser)) = (chance(), chance()) else {
            return Err("no randomness".to_owned());
        };
        let state = State {
            server: self.server.clone(),
            owner: self.owner.clone(),
            at: now(),
            issuer: server.issuer.clone(),
            names_itself: server.authorization_response_iss_parameter_supported,
            token_endpoint: token_endpoint(&found)?.to_owned(),
            client: who.clone(),
            resource: found.resource.clone(),
            redirect: redirect.to_owned(),
            asked: asked.clone(),
            verifier: verifier.as_str().into(),
            browser: hashed(&browser),
        };
        let sealed = self.vault.seal(STATE, &state).ok_or("no randomness")?;
        let mut query = url.query_pairs_mut();
        query
            .append_pair("response_type", "code")
            .append_pair("client_id", &who.id)
            .append_pair("redirect_uri", redirect)
            .append_pair("state", &sealed)
            .append_pair("code_challenge", &hashed(&verifier))
            .append_pair("code_challenge_method", "S256")
            .append_pair("resource", &found.resource);
        if !asked.is_empty() {
            query.append_pair("scope", &asked.join(" "));
        }
        if asked.iter().any(|scope| scope == OFFLINE) {
            // OpenID Connect: without, it is ignored.
            query.append_pair("prompt", "consent");
        }
        drop(query);
        Ok(Begun {
            url: url.to_string(),
            browser,
        })
    }

    /// Ends it: the code becomes a grant.
    ///
    /// # Errors
    /// Why nothing was granted.
    pub async fn finish(&self, client: &Client, returned: &Returned) -> Result<(), String> {
        let state = returned
            .open(&self.vault)
            .ok_or("this is no way that began here, or it began too long ago")?;
        if state.server != self.server || state.owner != self.owner {
            return Err("this way began for somebody else".to_owned());
        }
        let browser = returned.browser.as_deref().map(hashed).unwrap_or_default();
        if !bool::from(browser.as_bytes().ct_eq(state.browser.as_bytes())) {
            return Err("this way began in another browser".to_owned());
        }
        // RFC 9207: compared as it is, before anything else that was said is believed.
        match &returned.issuer {
            Some(issuer) if *issuer != state.issuer => {
                return Err(format!(
                    "{issuer:?} has answered, and {:?} was asked",
                    state.issuer
                ));
            }
            None if state.names_itself => {
                return Err(format!(
                    "the answer does not say that it is from {}",
                    state.issuer
                ));
            }
            _ => {}
        }
        if let Some(error) = &returned.error {
            return Err(format!("{} says: {error}", state.issuer));
        }
        let code = returned.code.as_deref().ok_or("there is no code")?;
        let request = TokenRequest {
            url: &state.token_endpoint,
            client_id: Some(&state.client.id),
            proof: state.client.proof(&self.config, &state.issuer),
            fields: vec![
                ("grant_type", "authorization_code"),
                ("redirect_uri", &state.redirect),
                ("resource", &state.resource),
            ],
            secrets: vec![("code", code), ("code_verifier", state.verifier.expose())],
        };
        let who = format!("the authorization server {}", state.issuer);
        let answer = match request_token(client, &who, &request).await {
            Ok(answer) => answer,
            Err(error) => {
                // It may not know this client any more: the next one registers anew.
                let name = format!("mcp_client/{}/{}", state.issuer, state.redirect);
                self.vault.remove(&name).await;
                return Err(error.to_string());
            }
        };
        let found = Discovered {
            resource: state.resource,
            scopes: None,
            server: Metadata {
                issuer: state.issuer,
                token_endpoint: Some(state.token_endpoint),
                ..Metadata::default()
            },
        };
        let grant = self.granted(&answer, &found, state.client, state.asked)?;
        self.keep(grant).await;
        Ok(())
    }
}

fn is_offered(server: &Metadata, scope: &str) -> bool {
    let scopes = server.scopes_supported.as_deref().unwrap_or_default();
    scopes.iter().any(|one| one == scope)
}

fn hashed(text: &str) -> String {
    URL_SAFE_NO_PAD.encode(Sha256::digest(text.as_bytes()))
}

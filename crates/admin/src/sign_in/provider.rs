//! What an identity provider is asked, and who it says that somebody is.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::StatusCode;
use parking_lot::Mutex;
use pointsman_gateway::Gateway;
use pointsman_governance::oidc::{
    Description, ProviderConfig, SignInError, SignedIn, github_api, id_token, with_userinfo,
};
use pointsman_store::SignIn;
use pointsman_upstream::{Client, CredentialError, Redeemed, fetch_document, fetch_with_token, redeem_code};
use serde_json::{Map, Value, json};

use super::{At, now, provider_failed};
use crate::call::Failed;

/// What errors call it.
const WHO: &str = "the identity provider";
/// How long what a provider tells of itself is believed.
const FRESH: Duration = Duration::from_secs(600);

/// What providers have told of themselves, by issuer: as many as are configured.
#[derive(Default)]
pub struct Descriptions(Mutex<HashMap<String, (Instant, Arc<Description>)>>);

impl Descriptions {
    /// The description of a provider. Nobody waits for another's provider.
    pub async fn of(&self, gateway: &Gateway, provider: &ProviderConfig) -> Result<Arc<Description>, Failed> {
        let issuer = provider.issuer();
        if !provider.is_openid() {
            return Ok(Arc::new(Description::github(issuer)));
        }
        if let Some(known) = self.known(issuer) {
            return Ok(known);
        }
        let client = gateway.client();
        let text = fetch_document(&client, WHO, &Description::place(issuer)).await;
        let text = text.map_err(|error| unreachable(&error))?;
        let read = Description::read(&text, provider).map_err(|error| provider_failed(&error))?;
        let read = Arc::new(read);
        let mut known = self.0.lock();
        known.retain(|_, (read, _)| read.elapsed() < FRESH);
        known.insert(issuer.to_owned(), (Instant::now(), Arc::clone(&read)));
        Ok(read)
    }

    fn known(&self, issuer: &str) -> Option<Arc<Description>> {
        let known = self.0.lock();
        let (read, description) = known.get(issuer)?;
        (read.elapsed() < FRESH).then(|| Arc::clone(description))
    }
}

fn unreachable(error: &CredentialError) -> Failed {
    tracing::warn!(%error, "somebody could not be signed in");
    Failed::new(
        StatusCode::BAD_GATEWAY,
        "the identity provider cannot be asked, or refuses; the log says why",
    )
}

/// Who somebody is, by the code that they have come back with.
pub(super) async fn person(
    gateway: &Gateway,
    (at, description): (&At<'_>, &Description),
    code: &str,
    sign_in: &SignIn,
) -> Result<SignedIn, Failed> {
    let (client, provider) = (gateway.client(), at.provider);
    let redeemed = Redeemed {
        url: &description.token_endpoint,
        code,
        redirect_uri: &at.redirect_uri,
        verifier: &sign_in.verifier,
        client_id: &provider.client_id,
        secret: provider
            .client_secret
            .as_ref()
            .map(|secret| (secret, description.takes_basic())),
    };
    let answer = redeem_code(&client, WHO, &redeemed).await;
    let answer = answer.map_err(|error| unreachable(&error))?;
    let text = |name: &str| answer.get(name).and_then(Value::as_str);
    let claims = if provider.is_openid() {
        let token =
            text("id_token").ok_or_else(|| provider_failed(&SignInError::Lacks("who it is (id_token)")))?;
        openid(
            &client,
            (provider, description),
            (token, &sign_in.nonce),
            text("access_token"),
        )
        .await?
    } else {
        let token = text("access_token");
        let token = token.ok_or_else(|| provider_failed(&SignInError::Lacks("who it is (access_token)")))?;
        github(&client, provider.issuer(), token).await?
    };
    provider.person(&claims).map_err(|error| match error {
        SignInError::Required(claim) => Failed::new(
            StatusCode::FORBIDDEN,
            format!("this account may not sign in here: the claim {claim:?} does not say what it must"),
        ),
        other => provider_failed(&other),
    })
}

/// The claims of an ID token, and what is told beside it.
async fn openid(
    client: &Client,
    (provider, description): (&ProviderConfig, &Description),
    (token, nonce): (&str, &str),
    access: Option<&str>,
) -> Result<Map<String, Value>, Failed> {
    let place = description.jwks_uri.as_deref().unwrap_or_default();
    let keys = fetch_document(client, WHO, place)
        .await
        .map_err(|error| unreachable(&error))?;
    let claims = id_token(provider, &keys, (token, nonce), now()).map_err(|error| provider_failed(&error))?;
    let (Some(place), Some(access)) = (&description.userinfo_endpoint, access) else {
        return Ok(claims);
    };
    let more = fetch_with_token(client, WHO, (place, access)).await;
    let more = more.map_err(|error| unreachable(&error))?;
    let more = serde_json::from_slice(&more)
        .map_err(|_| provider_failed(&SignInError::Lacks("anything that makes sense (userinfo)")))?;
    with_userinfo(claims, more).map_err(|error| provider_failed(&error))
}

/// Somebody's number, name, organizations and teams at GitHub, as if they were claims.
async fn github(client: &Client, issuer: &str, token: &str) -> Result<Map<String, Value>, Failed> {
    let api = github_api(issuer);
    let read = async |path: &str| {
        let url = format!("{api}{path}");
        let body = fetch_with_token(client, WHO, (&url, token))
            .await
            .map_err(|error| unreachable(&error))?;
        serde_json::from_slice::<Value>(&body)
            .map_err(|_| provider_failed(&SignInError::Lacks("anything that makes sense (API)")))
    };
    let user = read("/user").await?;
    let id = user["id"].as_u64();
    let id = id.ok_or_else(|| provider_failed(&SignInError::Lacks("who it is (id)")))?;
    let organizations = read("/user/orgs?per_page=100").await?;
    let teams = read("/user/teams?per_page=100").await?;
    let login = |organization: &Value| organization["login"].as_str().map(str::to_owned);
    let mut groups: Vec<_> = organizations
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(login)
        .collect();
    groups.extend(teams.as_array().into_iter().flatten().filter_map(|team| {
        Some(format!(
            "{}/{}",
            login(&team["organization"])?,
            team["slug"].as_str()?
        ))
    }));
    let name = user["name"].as_str().or_else(|| user["login"].as_str());
    let claims = json!({ "sub": id.to_string(), "name": name, "login": user["login"], "groups": groups });
    match claims {
        Value::Object(claims) => Ok(claims),
        _ => Ok(Map::new()),
    }
}

//! IAM Identity Center: the token that `aws sso login` left behind, renewed where it can be, and keys for it.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use http::header::HeaderName;
use ring::digest;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{AccessKeys, IssuedKeys, domain};
use crate::client::Client;
use crate::config::Secret;
use crate::credential::cache::Issued;
use crate::credential::environment::{self, Environment};
use crate::credential::error::CredentialError;
use crate::credential::fetch::Ask;
use crate::credential::sigv4::hex;
use crate::credential::skew;
use url::form_urlencoded::byte_serialize;

const BEARER: HeaderName = HeaderName::from_static("x-amz-sso_bearer_token");
/// A token that has less than this left is renewed first.
const RENEW_BEFORE_SECS: i64 = 300;

/// What a profile says of single sign-on.
pub(super) struct Session {
    /// What the cached token is filed under: the session's name, or the start URL.
    pub(super) cache_name: String,
    pub(super) region: String,
    pub(super) account: String,
    pub(super) role: String,
    /// Whether the token can be renewed: sessions can, the older form cannot.
    pub(super) renewable: bool,
}

/// The file of a cached token; the rest of it is kept as it is.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Cached {
    access_token: Secret,
    expires_at: String,
    #[serde(default)]
    refresh_token: Option<Secret>,
    #[serde(default)]
    client_id: Option<String>,
    #[serde(default)]
    client_secret: Option<Secret>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Renewed {
    access_token: Secret,
    expires_in: i64,
    #[serde(default)]
    refresh_token: Option<Secret>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RoleAnswer {
    role_credentials: RoleKeys,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RoleKeys {
    access_key_id: String,
    secret_access_key: Secret,
    session_token: Option<Secret>,
    /// Milliseconds since 1970.
    expiration: i64,
}

/// Keys for the role that a profile names.
pub(super) async fn keys(
    client: &Client,
    environment: &Environment,
    session: &Session,
) -> Result<IssuedKeys, CredentialError> {
    let token = token(client, environment, session).await?;
    let encode = |text: &str| byte_serialize(text.as_bytes()).collect::<String>();
    let base = environment.first(&["AWS_ENDPOINT_URL_SSO"]).unwrap_or_else(|| {
        format!(
            "https://portal.sso.{}.{}",
            session.region,
            domain(&session.region)
        )
    });
    let url = format!(
        "{}/federation/credentials?role_name={}&account_id={}",
        base.trim_end_matches('/'),
        encode(&session.role),
        encode(&session.account)
    );
    let ask = Ask::get("AWS single sign-on", url).secret(BEARER, token.expose())?;
    let reply = ask.send(client).await?;
    let answer: RoleAnswer = reply.json()?;
    let keys = answer.role_credentials;
    Ok(Issued::lasting(
        AccessKeys {
            id: keys.access_key_id,
            secret: keys.secret_access_key.expose().into(),
            session_token: keys.session_token.map(|token| token.expose().into()),
        },
        skew::until(keys.expiration / 1000, Some(&reply.headers)),
    ))
}

async fn token(
    client: &Client,
    environment: &Environment,
    session: &Session,
) -> Result<Secret, CredentialError> {
    let path = file(environment, session)
        .ok_or_else(|| CredentialError::missing("AWS single sign-on: HOME is not set"))?;
    let sign_in = || {
        CredentialError::missing(format!(
            "AWS single sign-on: there is no valid token for {:?}; run `aws sso login`",
            session.cache_name
        ))
    };
    if tokio::fs::metadata(&path).await.is_err() {
        return Err(sign_in());
    }
    let text = environment::read(&path, "the cached token of AWS single sign-on").await?;
    let cached: Cached = serde_json::from_str(&text)
        .map_err(|_| CredentialError::invalid("the cached token of AWS single sign-on makes no sense"))?;
    let left = skew::parse_timestamp(&cached.expires_at).unwrap_or(0) - skew::unix_secs(SystemTime::now());
    if left > RENEW_BEFORE_SECS {
        return Ok(cached.access_token);
    }
    let renewed = match (&cached.refresh_token, &cached.client_id, &cached.client_secret) {
        (Some(refresh), Some(id), Some(secret)) if session.renewable => {
            renew(client, environment, session, (refresh, id, secret)).await
        }
        _ => Err(sign_in()),
    };
    match renewed {
        Ok(renewed) => {
            keep(&path, &text, &renewed).await;
            Ok(renewed.access_token)
        }
        // What is left of the old one is better than nothing.
        Err(_) if left > 0 => Ok(cached.access_token),
        Err(error) => Err(error),
    }
}

async fn renew(
    client: &Client,
    environment: &Environment,
    session: &Session,
    (refresh, id, secret): (&Secret, &str, &Secret),
) -> Result<Renewed, CredentialError> {
    let base = environment
        .first(&["AWS_ENDPOINT_URL_SSO_OIDC"])
        .unwrap_or_else(|| format!("https://oidc.{}.{}", session.region, domain(&session.region)));
    let body = json!({
        "clientId": id,
        "clientSecret": secret.expose(),
        "grantType": "refresh_token",
        "refreshToken": refresh.expose(),
    });
    let mut ask = Ask::json(
        "AWS single sign-on",
        format!("{}/token", base.trim_end_matches('/')),
        &body,
    );
    ask.keep_secret(secret.expose());
    ask.keep_secret(refresh.expose());
    ask.send(client).await?.json()
}

/// Files the renewed token for the next process: the refresh token may have changed. Failing that, this process goes
/// on with what it has.
async fn keep(path: &Path, before: &str, renewed: &Renewed) {
    let mut file: Map<String, Value> = serde_json::from_str(before).unwrap_or_default();
    let expires = SystemTime::now() + Duration::from_secs(u64::try_from(renewed.expires_in).unwrap_or(0));
    let at = jiff::Timestamp::from_second(skew::unix_secs(expires)).unwrap_or_default();
    file.insert("accessToken".to_owned(), json!(renewed.access_token.expose()));
    file.insert(
        "expiresAt".to_owned(),
        json!(at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()),
    );
    if let Some(refresh) = &renewed.refresh_token {
        file.insert("refreshToken".to_owned(), json!(refresh.expose()));
    }
    let text = Value::Object(file).to_string();
    if let Err(error) = replace(path, &text).await {
        tracing::warn!(%error, "the renewed token of AWS single sign-on could not be filed");
    }
}

/// Writes beside the file and renames, so that nobody reads half a file; only the user may read it.
async fn replace(path: &Path, text: &str) -> std::io::Result<()> {
    use tokio::io::AsyncWriteExt;
    let beside = path.with_extension(format!("{}.tmp", std::process::id()));
    let mut options = tokio::fs::OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    options.mode(0o600);
    let mut file = options.open(&beside).await?;
    file.write_all(text.as_bytes()).await?;
    file.flush().await?;
    tokio::fs::rename(&beside, path).await
}

fn file(environment: &Environment, session: &Session) -> Option<PathBuf> {
    let name = digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, session.cache_name.as_bytes());
    let folder = environment.home()?.join(".aws").join("sso").join("cache");
    Some(folder.join(format!("{}.json", hex(name.as_ref()))))
}

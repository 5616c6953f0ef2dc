//! Keys of an EC2 instance, from its metadata service (version 2, with a session token).

use http::header::HeaderName;

use super::IssuedKeys;
use super::document::Document;
use crate::client::Client;
use crate::credential::environment::Environment;
use crate::credential::error::{CredentialError, CredentialErrorKind};
use crate::credential::fetch::Ask;

const WHO: &str = "the metadata service of the EC2 instance";
const TOKEN: HeaderName = HeaderName::from_static("x-aws-ec2-metadata-token");
const TOKEN_TTL: HeaderName = HeaderName::from_static("x-aws-ec2-metadata-token-ttl-seconds");
const KEYS: &str = "latest/meta-data/iam/security-credentials/";

/// The keys of the instance's role; `None` where there is no such service, or it is turned off.
pub(super) async fn keys(
    client: &Client,
    environment: &Environment,
) -> Result<Option<IssuedKeys>, CredentialError> {
    let base = base(environment);
    let Some(token) = token(client, environment).await? else {
        return Ok(None);
    };
    let get = |path: String| {
        let ask = Ask::get(WHO, path).nearby().secret(TOKEN, &token);
        async move { ask?.send(client).await }
    };
    let roles = get(format!("{base}/{KEYS}")).await?;
    if roles.status == http::StatusCode::NOT_FOUND {
        return Err(CredentialError::missing("the EC2 instance has no role"));
    }
    let roles = roles.text()?;
    let role = roles
        .lines()
        .next()
        .map(str::trim)
        .filter(|role| !role.is_empty())
        .ok_or_else(|| CredentialError::missing("the EC2 instance has no role"))?;
    let reply = get(format!("{base}/{KEYS}{role}")).await?;
    let document: Document = reply.json()?;
    document.keys(WHO, Some(&reply.headers), true).map(Some)
}

/// A token for questions to the service; `None` where there is no such service, or it is turned off.
pub(crate) async fn token(
    client: &Client,
    environment: &Environment,
) -> Result<Option<String>, CredentialError> {
    let off = environment.get("AWS_EC2_METADATA_DISABLED");
    if off.is_some_and(|off| off.trim().eq_ignore_ascii_case("true")) {
        return Ok(None);
    }
    let ask = Ask::put(WHO, format!("{}/latest/api/token", base(environment)))
        .plain(TOKEN_TTL, "21600")
        .probing();
    match ask.send(client).await {
        Ok(reply) => Ok(Some(reply.text()?.trim().to_owned())),
        Err(error) if error.kind() == CredentialErrorKind::Unreachable => Ok(None),
        Err(error) => Err(error),
    }
}

fn base(environment: &Environment) -> String {
    if let Some(url) = environment.get("AWS_EC2_METADATA_SERVICE_ENDPOINT") {
        return url.trim_end_matches('/').to_owned();
    }
    let mode = environment.get("AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE");
    if mode.is_some_and(|mode| mode.trim().eq_ignore_ascii_case("ipv6")) {
        "http://[fd00:ec2::254]".to_owned()
    } else {
        "http://169.254.169.254".to_owned()
    }
}

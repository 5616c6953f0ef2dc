//! Keys of a container: ECS task roles and EKS pod identity.

use std::net::IpAddr;
use std::path::Path;

use http::header::AUTHORIZATION;
use url::{Host, Url};

use super::IssuedKeys;
use super::document::Document;
use crate::client::Client;
use crate::credential::environment::{self, Environment};
use crate::credential::error::CredentialError;
use crate::credential::fetch::Ask;

const WHO: &str = "the credentials service of the AWS container";
const ECS: &str = "http://169.254.170.2";
/// Where plain HTTP may go beside loopback: ECS and EKS.
const ALLOWED: [&str; 3] = ["169.254.170.2", "169.254.170.23", "fd00:ec2::23"];

/// The keys, if the environment names a service.
pub(super) async fn keys(
    client: &Client,
    environment: &Environment,
) -> Result<Option<IssuedKeys>, CredentialError> {
    let url = if let Some(path) = environment.get("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI") {
        format!("{ECS}/{}", path.trim_start_matches('/'))
    } else if let Some(url) = environment.get("AWS_CONTAINER_CREDENTIALS_FULL_URI") {
        allow(&url)?;
        url
    } else {
        return Ok(None);
    };
    let mut ask = Ask::get(WHO, url).nearby();
    // A token in a file is renewed there: it is read each time.
    if let Some(file) = environment.get("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE") {
        let token = environment::read_token(Path::new(&file), "the token of the AWS container").await?;
        ask = ask.secret(AUTHORIZATION, &token)?;
    } else if let Some(token) = environment.get("AWS_CONTAINER_AUTHORIZATION_TOKEN") {
        ask = ask.secret(AUTHORIZATION, token.trim())?;
    }
    let reply = ask.send(client).await?;
    let document: Document = reply.json()?;
    document.keys(WHO, Some(&reply.headers), false).map(Some)
}

/// Keys are only taken from this machine, or over TLS.
fn allow(url: &str) -> Result<(), CredentialError> {
    let refused = || {
        CredentialError::invalid(
            "AWS_CONTAINER_CREDENTIALS_FULL_URI is not allowed: it must be https, or http to loopback or to the \
             container's own service",
        )
    };
    let url = Url::parse(url).map_err(|_| refused())?;
    if url.scheme() == "https" {
        return Ok(());
    }
    let address: Option<IpAddr> = match url.host() {
        Some(Host::Ipv4(address)) => Some(address.into()),
        Some(Host::Ipv6(address)) => Some(address.into()),
        Some(Host::Domain("localhost")) => return Ok(()),
        _ => None,
    };
    let allowed = address.is_some_and(|address| {
        address.is_loopback() || ALLOWED.iter().any(|known| known.parse() == Ok(address))
    });
    if url.scheme() == "http" && allowed {
        Ok(())
    } else {
        Err(refused())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_taken_from_this_machine_or_over_tls() {
        for url in [
            "http://127.0.0.1:80/x",
            "http://localhost/x",
            "http://[::1]/x",
            "http://169.254.170.2/x",
            "http://169.254.170.23/v1/credentials",
            "http://[fd00:ec2::23]/v1/credentials",
            "https://credentials.example.com/",
        ] {
            assert!(allow(url).is_ok(), "{url}");
        }
        for url in [
            "http://169.254.169.254/latest",
            "http://example.com/",
            "http://localhost.example.com/",
            "http://10.0.0.1/",
            "ftp://127.0.0.1/",
            "nonsense",
        ] {
            assert!(allow(url).is_err(), "{url}");
        }
    }
}

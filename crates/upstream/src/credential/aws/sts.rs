//! The Security Token Service: roles assumed with keys or with a web identity.

use http::header::ACCEPT;

use super::{AccessKeys, IssuedKeys, domain};
use crate::client::Client;
use crate::config::{HumanDuration, RoleConfig, Secret};
use crate::credential::cache::Issued;
use crate::credential::error::CredentialError;
use crate::credential::fetch::{Ask, Form, Reply, xml};
use crate::credential::sigv4::{self, Payload, Scope};
use crate::credential::skew::{self, ServerClock};

const WHO: &str = "the AWS Security Token Service";
const SESSION_NAME: &str = "pointsman";

/// The service of a region.
pub(super) struct Sts {
    url: String,
    region: String,
    clock: ServerClock,
}

/// A role that a web identity is exchanged for.
pub(super) struct WebRole<'a> {
    pub(super) role_arn: &'a str,
    pub(super) session_name: Option<&'a str>,
    pub(super) duration: Option<HumanDuration>,
}

impl Sts {
    pub(super) fn new(url: Option<String>, region: String) -> Self {
        let url = url.unwrap_or_else(|| format!("https://sts.{region}.{}/", domain(&region)));
        Self {
            url,
            region,
            clock: ServerClock::default(),
        }
    }

    /// Assumes a role with keys.
    pub(super) async fn assume(
        &self,
        client: &Client,
        keys: &AccessKeys,
        role: &RoleConfig,
    ) -> Result<IssuedKeys, CredentialError> {
        let reply = self.ask_for_role(client, keys, role).await?;
        if !reply.status.is_success() && self.clock.correct(&reply.headers) {
            return parse(&self.ask_for_role(client, keys, role).await?);
        }
        parse(&reply)
    }

    async fn ask_for_role(
        &self,
        client: &Client,
        keys: &AccessKeys,
        role: &RoleConfig,
    ) -> Result<Reply, CredentialError> {
        let mut form = form(
            "AssumeRole",
            &role.role_arn,
            role.session_name.as_deref(),
            role.duration,
        );
        form.set_some("ExternalId", role.external_id.as_deref());
        let ask = Ask::form(WHO, self.url.as_str(), form).plain(ACCEPT, "text/xml");
        let (mut request, host) = ask.request()?;
        let scope = Scope {
            region: &self.region,
            service: "sts",
        };
        sigv4::sign(
            &mut request,
            &host,
            (keys, scope),
            Payload::Signed,
            self.clock.now_secs(),
        )?;
        ask.with_headers_of(&request).send(client).await
    }

    /// Exchanges a token for a role; nothing is signed.
    pub(super) async fn assume_with_web_identity(
        &self,
        client: &Client,
        role: &WebRole<'_>,
        token: &Secret,
    ) -> Result<IssuedKeys, CredentialError> {
        let mut form = form(
            "AssumeRoleWithWebIdentity",
            role.role_arn,
            role.session_name,
            role.duration,
        );
        form.set_secret("WebIdentityToken", token.expose());
        let ask = Ask::form(WHO, self.url.as_str(), form).plain(ACCEPT, "text/xml");
        parse(&ask.send(client).await?).map_err(|error| error.within(&format!("the role {}", role.role_arn)))
    }
}

fn form(action: &str, arn: &str, name: Option<&str>, duration: Option<HumanDuration>) -> Form {
    let mut form = Form::default();
    form.set("Action", action)
        .set("Version", "2011-06-15")
        .set("RoleArn", arn)
        .set("RoleSessionName", name.unwrap_or(SESSION_NAME));
    if let Some(duration) = duration {
        form.set("DurationSeconds", duration.get().as_secs().to_string());
    }
    form
}

fn parse(reply: &Reply) -> Result<IssuedKeys, CredentialError> {
    let text = reply.text()?;
    let wrong = || CredentialError::invalid(format!("the answer of {WHO} makes no sense"));
    let field = |name: &str| xml(&text, name).filter(|value| !value.is_empty());
    let expiration = field("Expiration")
        .and_then(|text| skew::parse_timestamp(&text))
        .ok_or_else(wrong)?;
    let keys = AccessKeys {
        id: field("AccessKeyId").ok_or_else(wrong)?,
        secret: field("SecretAccessKey").ok_or_else(wrong)?.into(),
        session_token: field("SessionToken").map(Into::into),
    };
    Ok(Issued::lasting(
        keys,
        skew::until(expiration, Some(&reply.headers)),
    ))
}

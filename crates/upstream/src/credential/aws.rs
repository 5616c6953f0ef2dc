//! AWS: where keys come from, and requests signed with them.

mod chain;
mod container;
mod document;
mod imds;
mod process;
mod profile;
mod roles;
mod sso;
mod sts;

use std::sync::Arc;

use bytes::Bytes;
use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderValue, Request, StatusCode};

pub(crate) use chain::Chain;
pub(crate) use imds::token as instance_token;

use super::cache::{Fetching, Held, Issued, Patience, Source, TokenCache};
use super::environment::Environment;
use super::error::CredentialError;
use super::keys::sensitive;
use super::sigv4::{self, AccessKeys, Payload, Scope};
use super::skew::ServerClock;
use super::subject::Subject;
use crate::client::Client;
use crate::config::{AssumeRoles, AwsConfig, ConfigError, RoleConfig, Secret, WebIdentityConfig};
use crate::endpoint::Endpoint;

const SERVICE: &str = "bedrock";
const REGION_VARIABLES: [&str; 2] = ["AWS_REGION", "AWS_DEFAULT_REGION"];
/// The Security Token Service answers for every region under the first one's name.
const STS_REGION: &str = "us-east-1";
/// What an error is called that new keys, or a right clock, would mend.
const MENDABLE: [&str; 7] = [
    "ExpiredToken",
    "InvalidClientTokenId",
    "UnrecognizedClient",
    "InvalidSignature",
    "SignatureDoesNotMatch",
    "RequestExpired",
    "RequestTimeTooSkewed",
];

/// What AWS requests are let in with.
pub(crate) enum Identity {
    /// Keys that sign.
    Keys(AccessKeys),
    /// A Bedrock API key.
    Bearer(HeaderValue),
}

/// The AWS credential of a provider.
pub(super) struct Aws {
    cache: Arc<TokenCache<Chain>>,
    service: String,
    payload: Payload,
    clock: ServerClock,
}

impl Aws {
    pub(super) fn compile(
        config: &AwsConfig,
        environment: &Environment,
        patience: Patience,
    ) -> Result<Self, ConfigError> {
        let service = config.service.clone().unwrap_or_else(|| SERVICE.to_owned());
        let given = given(config, &service, environment)?;
        let settings = Settings::compile(config, environment)?;
        let fixed = given.is_some() && settings.roles.is_empty() && settings.web_identity.is_none();
        let (token, base) = match given {
            Some(identity) if fixed => (Some(identity), None),
            Some(Identity::Keys(keys)) => (None, Some(keys)),
            Some(Identity::Bearer(_)) | None => (None, None),
        };
        let chain = Chain::new(settings, base, environment.clone());
        let cache = match token {
            Some(token) => TokenCache::fixed(chain, token),
            None => TokenCache::new(chain, patience),
        };
        Ok(Self {
            cache,
            payload: match (config.unsigned_payload, service.as_str()) {
                (true, _) => Payload::Unsigned,
                (false, "s3") => Payload::Declared,
                (false, _) => Payload::Signed,
            },
            service,
            clock: ServerClock::default(),
        })
    }

    /// Signs with the keys at hand; `None` when there are none.
    pub(super) fn authorize(
        &self,
        client: &Client,
        endpoint: &Endpoint,
        request: &mut Request<Bytes>,
    ) -> Option<Result<u64, CredentialError>> {
        self.cache.peek(client, |held: &Held<Identity>| {
            match &held.token {
                Identity::Keys(keys) => {
                    let region = self.region(endpoint)?;
                    let scope = Scope {
                        region: &region,
                        service: &self.service,
                    };
                    let host = endpoint.authority().as_str();
                    sigv4::sign(request, host, (keys, scope), self.payload, self.clock.now_secs())?;
                }
                Identity::Bearer(value) => {
                    request.headers_mut().insert(AUTHORIZATION, value.clone());
                }
            }
            Ok(held.generation)
        })
    }

    pub(super) async fn wait(&self, client: &Client) -> Result<(), CredentialError> {
        self.cache.wait(client).await
    }

    /// Whether a request that was answered like this would fare better if it were signed anew.
    pub(super) fn answered(&self, generation: u64, status: StatusCode, headers: &HeaderMap) -> bool {
        if !matches!(status.as_u16(), 400 | 401 | 403) {
            return false;
        }
        let kind = headers
            .get("x-amzn-errortype")
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default();
        let mendable = MENDABLE.iter().any(|known| kind.starts_with(known));
        if !mendable && status != StatusCode::UNAUTHORIZED {
            return false;
        }
        self.clock.correct(headers) || self.cache.refused(generation)
    }

    fn region(&self, endpoint: &Endpoint) -> Result<String, CredentialError> {
        let chain = self.cache.source();
        chain
            .settings()
            .region
            .clone()
            .or_else(|| region_of_host(endpoint.origin().host()))
            .or_else(|| chain.region())
            .ok_or_else(|| {
                CredentialError::missing("no AWS region is known: set `auth.aws.region`, or AWS_REGION")
            })
    }
}

/// What the configuration says, compiled.
pub(crate) struct Settings {
    pub(crate) region: Option<String>,
    pub(crate) profile: Option<String>,
    pub(crate) roles: Vec<RoleConfig>,
    pub(crate) web_identity: Option<(WebIdentityConfig, Subject)>,
    pub(crate) sts_endpoint: Option<String>,
}

impl Settings {
    fn compile(config: &AwsConfig, environment: &Environment) -> Result<Self, ConfigError> {
        let roles = config.assume_role.as_ref().map_or(&[][..], AssumeRoles::as_slice);
        for (index, role) in roles.iter().enumerate() {
            if !role.role_arn.starts_with("arn:") {
                let field = match &config.assume_role {
                    Some(AssumeRoles::Chain(_)) => format!("auth.aws.assume_role[{index}].role_arn"),
                    _ => "auth.aws.assume_role.role_arn".to_owned(),
                };
                return Err(ConfigError::new(field, "is not an ARN (arn:aws:iam::…:role/…)"));
            }
        }
        if let Some(url) = &config.sts_endpoint
            && super::oauth2::host(url).is_none()
        {
            return Err(ConfigError::new(
                "auth.aws.sts_endpoint",
                "is not an http or https URL",
            ));
        }
        let web_identity = match &config.web_identity {
            None => None,
            Some(web) => {
                let block = "auth.aws.web_identity";
                let subject = Subject::compile(block, web.token_file.as_ref(), web.oidc.as_deref())?;
                Some((web.clone(), subject))
            }
        };
        Ok(Self {
            region: config.region.clone(),
            profile: config.profile.clone(),
            roles: roles.to_vec(),
            web_identity,
            sts_endpoint: config
                .sts_endpoint
                .clone()
                .or_else(|| environment.first(&["AWS_ENDPOINT_URL_STS", "AWS_ENDPOINT_URL"])),
        })
    }
}

/// A credential that stands in the configuration itself.
fn given(
    config: &AwsConfig,
    service: &str,
    environment: &Environment,
) -> Result<Option<Identity>, ConfigError> {
    let unsendable =
        |field: &str| ConfigError::new(field, "holds characters that cannot be sent in a header");
    match (&config.access_key_id, &config.secret_access_key) {
        (Some(id), Some(secret)) => {
            let field = "auth.aws.session_token";
            let token = config.session_token.as_ref().map(Secret::expose);
            if token.is_some_and(|token| HeaderValue::from_str(token).is_err()) {
                return Err(unsendable(field));
            }
            if id.expose().is_empty() || HeaderValue::from_str(id.expose()).is_err() {
                return Err(ConfigError::new(
                    "auth.aws.access_key_id",
                    "is not an access key id",
                ));
            }
            return Ok(Some(Identity::Keys(AccessKeys {
                id: id.expose().to_owned(),
                secret: secret.expose().into(),
                session_token: token.map(Into::into),
            })));
        }
        (None, None) => {}
        (Some(_), None) => {
            return Err(ConfigError::new(
                "auth.aws.secret_access_key",
                "is missing beside `access_key_id`",
            ));
        }
        (None, Some(_)) => {
            return Err(ConfigError::new(
                "auth.aws.access_key_id",
                "is missing beside `secret_access_key`",
            ));
        }
    }
    // A profile or a role that somebody chose goes before a key that lies about in the environment.
    let chosen = config.profile.is_some() || config.assume_role.is_some() || config.web_identity.is_some();
    let token = config.bearer_token.clone().or_else(|| {
        let found = (service == SERVICE && !chosen).then(|| environment.get("AWS_BEARER_TOKEN_BEDROCK"));
        found.flatten().map(Secret::from)
    });
    let Some(token) = token else { return Ok(None) };
    if chosen {
        let problem = "cannot be combined with `profile`, `assume_role` or `web_identity`";
        return Err(ConfigError::new("auth.aws.bearer_token", problem));
    }
    let value = sensitive("Bearer ", token.expose()).ok_or_else(|| unsendable("auth.aws.bearer_token"))?;
    Ok(Some(Identity::Bearer(value)))
}

/// The region in a host name of AWS: `bedrock-runtime.eu-west-1.amazonaws.com`, private endpoints included.
fn region_of_host(host: &str) -> Option<String> {
    let rest = host
        .strip_suffix(".amazonaws.com")
        .or_else(|| host.strip_suffix(".amazonaws.com.cn"))
        .or_else(|| host.strip_suffix(".api.aws"))?;
    let is_region = |label: &&str| {
        let mut parts = label.split('-');
        let area = parts.next().is_some_and(|area| (2..=3).contains(&area.len()));
        area && label.split('-').count() >= 3
            && label
                .rsplit('-')
                .next()
                .is_some_and(|number| !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()))
    };
    rest.split('.').rev().find(is_region).map(str::to_owned)
}

/// The domain of a region's services.
fn domain(region: &str) -> &'static str {
    if region.starts_with("cn-") {
        "amazonaws.com.cn"
    } else {
        "amazonaws.com"
    }
}

/// Keys as most sources give them, for as long as they say.
pub(crate) type IssuedKeys = Issued<AccessKeys>;

impl Source for Chain {
    type Token = Identity;

    fn name(&self) -> &str {
        "AWS credentials"
    }

    fn fetch<'a>(&'a self, client: &'a Client) -> Fetching<'a, Identity> {
        Box::pin(async move { Ok(self.keys(client).await?.map(Identity::Keys)) })
    }
}

#[cfg(test)]
mod tests;

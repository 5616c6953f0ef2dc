//! What proves to a provider who pays: keys, signatures, tokens. Secrets go into requests, marked as sensitive, and
//! nowhere else.
//!
//! [`Credential::authorize`] puts what is at hand on a request, without waiting. Tokens are fetched once for all
//! requests and renewed ahead of their end (`cache`); only a request that finds no valid one waits. What the provider
//! answers is told to [`Credential::answered`], which drops what was refused and says whether another try makes sense.

mod aws;
mod bearer;
mod cache;
mod entra;
pub(crate) mod environment;
mod error;
pub(crate) mod fetch;
mod gcp;
mod granted;
mod jwt;
mod keys;
mod let_in;
mod oauth2;
mod passthrough;
mod quota;
mod redeem;
mod registry;
pub(crate) mod sigv4;
mod skew;
mod subject;
mod token;

pub use environment::Environment;
pub use error::{CredentialError, CredentialErrorKind};
pub use fetch::fetch_document;
pub use granted::{Proof, TokenRequest, register_client, request_token, revoke_token};
pub use let_in::LetIn;
pub use redeem::{Redeemed, fetch_with_token, introspect, redeem_code};
pub use registry::CredentialRegistry;
pub use sigv4::{PresentedSignature, SignatureError, SignedRequest};

use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

use bytes::Bytes;
use http::header::{AUTHORIZATION, HeaderMap, HeaderName};
use http::{Request, StatusCode};

use crate::client::{Client, ClientIdentity};
use crate::config::{AuthConfig, ConfigError};
use crate::endpoint::Endpoint;
use crate::retry::parse_retry_after;
use aws::Aws;
use cache::{Patience, TokenCache};
use keys::{Carrier, KeyRing};
use passthrough::Passing;
use token::TokenSource;

/// What a provider's requests carry to be let in.
pub struct Credential(Kind);

enum Kind {
    None,
    Keys(KeyRing),
    Aws(Box<Aws>),
    Token(Arc<TokenCache<TokenSource>>),
    Passing(Passing),
}

/// How a format carries its key unless the configuration says otherwise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AuthStyle {
    /// `Authorization: Bearer <key>`.
    Bearer,
    /// The key alone in this header, such as `x-api-key`.
    Header(HeaderName),
}

/// With what a request was let out: told back to [`Credential::answered`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Authorized(With);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum With {
    Nothing,
    Key(u32),
    Generation(u64),
}

impl Credential {
    /// No credential.
    #[must_use]
    pub const fn none() -> Self {
        Self(Kind::None)
    }

    /// Compiles the configuration, with the environment of this process. `style` is how the provider's format carries
    /// a key. Nothing is fetched yet.
    ///
    /// # Errors
    ///
    /// When fields contradict each other or one is missing, or a key or header name cannot be sent.
    pub fn compile(config: &AuthConfig, style: &AuthStyle) -> Result<Self, ConfigError> {
        Self::compile_with(config, style, &Environment::process())
    }

    /// As [`compile`](Self::compile), with the environment to look into.
    ///
    /// # Errors
    ///
    /// As [`compile`](Self::compile).
    pub fn compile_with(
        config: &AuthConfig,
        style: &AuthStyle,
        environment: &Environment,
    ) -> Result<Self, ConfigError> {
        Self::compile_patiently(config, style, environment, Patience::default())
    }

    fn compile_patiently(
        config: &AuthConfig,
        style: &AuthStyle,
        environment: &Environment,
        patience: Patience,
    ) -> Result<Self, ConfigError> {
        only_one(config)?;
        if let Some(certificate) = &config.client_certificate {
            ClientIdentity::check(certificate)?;
        }
        let carrier = carrier(config, style)?;
        if let Some(keys) = &config.api_key {
            return KeyRing::compile(keys, carrier).map(|keys| Self(Kind::Keys(keys)));
        }
        if let Some(aws) = &config.aws {
            refuse_carrier(config, "aws")?;
            return Aws::compile(aws, environment, patience).map(|aws| Self(Kind::Aws(Box::new(aws))));
        }
        if let Some(passthrough) = &config.passthrough {
            refuse_carrier(config, "passthrough")?;
            let passing = Passing::compile(passthrough, style)?;
            return Ok(Self(passing.map_or(Kind::None, Kind::Passing)));
        }
        match TokenSource::compile(config, environment)? {
            Some(source) => Ok(Self(Kind::Token(TokenCache::new(source, patience)))),
            None => Ok(Self::none()),
        }
    }

    /// Puts the credential on a request that goes to `endpoint`, in place of what is there: the last thing before it
    /// is sent, because a signature covers all of it. `tokens` is about how many prompt tokens it has.
    ///
    /// # Errors
    ///
    /// When there is no credential to be had, or all keys rest.
    pub async fn authorize(
        &self,
        client: &Client,
        endpoint: &Endpoint,
        request: &mut Request<Bytes>,
        tokens: u64,
    ) -> Result<Authorized, CredentialError> {
        if let Some(done) = self.authorize_now(client, endpoint, request, tokens) {
            return done;
        }
        // Boxed: waiting is rare, and must not make every request's future large.
        Box::pin(self.wait(client)).await?;
        self.authorize_now(client, endpoint, request, tokens)
            .unwrap_or_else(|| {
                Err(CredentialError::invalid(
                    "the credential ended before it could be used",
                ))
            })
    }

    /// The same with what is at hand; `None` when something must be fetched first.
    fn authorize_now(
        &self,
        client: &Client,
        endpoint: &Endpoint,
        request: &mut Request<Bytes>,
        tokens: u64,
    ) -> Option<Result<Authorized, CredentialError>> {
        match &self.0 {
            Kind::None => Some(Ok(Authorized(With::Nothing))),
            Kind::Keys(keys) => Some(keys.put(request, tokens).map(|key| Authorized(With::Key(key)))),
            Kind::Aws(aws) => aws
                .authorize(client, endpoint, request)
                .map(|signed| signed.map(|generation| Authorized(With::Generation(generation)))),
            Kind::Token(cache) => cache.peek(client, |held| {
                held.token.put(cache.source().header(), request.headers_mut());
                Ok(Authorized(With::Generation(held.generation)))
            }),
            Kind::Passing(passing) => Some(passing.check(request).map(|()| Authorized(With::Nothing))),
        }
    }

    async fn wait(&self, client: &Client) -> Result<(), CredentialError> {
        match &self.0 {
            Kind::Aws(aws) => aws.wait(client).await,
            Kind::Token(cache) => cache.wait(client).await,
            Kind::None | Kind::Keys(_) | Kind::Passing(_) => Ok(()),
        }
    }

    /// Takes over the caller's own credential, if this one passes it through. `is_ours` says which keys are the
    /// gateway's own: these are for nobody else's eyes.
    pub fn pass_through(&self, caller: &HeaderMap, headers: &mut HeaderMap, is_ours: impl Fn(&str) -> bool) {
        if let Kind::Passing(passing) = &self.0 {
            passing.take(caller, headers, is_ours);
        }
    }

    /// Whether a request may be worth sending again with another key or token, so that a copy should be kept.
    #[must_use]
    pub fn is_renewable(&self) -> bool {
        match &self.0 {
            Kind::None | Kind::Passing(_) => false,
            Kind::Keys(keys) => keys.count() > 1,
            Kind::Aws(_) | Kind::Token(_) => true,
        }
    }

    /// Takes note of how the provider answered: a key that is refused or limited rests, a token that is refused is
    /// dropped. Whether the request, authorized anew, could fare better at once; ask no more often than there are
    /// [keys](Self::count), and at least once.
    #[must_use]
    pub fn answered(&self, with: Authorized, status: StatusCode, headers: &HeaderMap) -> bool {
        match (&self.0, with.0) {
            (Kind::Keys(keys), With::Key(index)) => {
                let retry_after = || parse_retry_after(headers, SystemTime::now());
                keys.answered(index, status, retry_after)
            }
            (Kind::Aws(aws), With::Generation(generation)) => aws.answered(generation, status, headers),
            (Kind::Token(cache), With::Generation(generation)) => {
                status == StatusCode::UNAUTHORIZED && cache.refused(generation)
            }
            _ => false,
        }
    }

    /// The header that carries the credential, if there is one.
    #[must_use]
    pub fn header_name(&self) -> Option<&HeaderName> {
        match &self.0 {
            Kind::None => None,
            Kind::Keys(keys) => match keys.carrier() {
                Carrier::Header(name, _) => Some(name),
                Carrier::Query(_) => None,
            },
            Kind::Aws(_) => Some(&AUTHORIZATION),
            Kind::Token(cache) => Some(cache.source().header()),
            Kind::Passing(passing) => Some(passing.header()),
        }
    }

    /// How many keys take turns; 1 for anything else that is a credential.
    #[must_use]
    pub fn count(&self) -> usize {
        match &self.0 {
            Kind::None => 0,
            Kind::Keys(keys) => keys.count(),
            Kind::Aws(_) | Kind::Token(_) | Kind::Passing(_) => 1,
        }
    }
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.0, self.header_name()) {
            (Kind::None, _) => f.write_str("Credential(none)"),
            (Kind::Aws(_), _) => f.write_str("Credential(aws)"),
            (Kind::Token(cache), Some(name)) => write!(f, "Credential({name}: {})", cache.source().who()),
            (Kind::Passing(_), Some(name)) => write!(f, "Credential({name}: the caller's)"),
            (_, Some(name)) => write!(f, "Credential({name}: [secret] × {})", self.count()),
            (_, None) => write!(f, "Credential(query: [secret] × {})", self.count()),
        }
    }
}

fn only_one(config: &AuthConfig) -> Result<(), ConfigError> {
    let given = [
        ("api_key", config.api_key.is_some()),
        ("aws", config.aws.is_some()),
        ("entra", config.entra.is_some()),
        ("gcp", config.gcp.is_some()),
        ("oauth2", config.oauth2.is_some()),
        ("passthrough", config.passthrough.is_some()),
    ];
    let mut given = given.iter().filter(|(_, is_given)| *is_given);
    match (given.next(), given.next()) {
        (Some((first, _)), Some((second, _))) => Err(ConfigError::new(
            format!("auth.{second}"),
            format!("cannot be combined with `{first}`: a request carries one credential"),
        )),
        _ => Ok(()),
    }
}

/// AWS and pass-through have places of their own.
fn refuse_carrier(config: &AuthConfig, with: &str) -> Result<(), ConfigError> {
    let given = [
        ("header", config.header.is_some()),
        ("query", config.query.is_some()),
    ];
    match given.into_iter().find(|(_, is_given)| *is_given) {
        Some((field, _)) => Err(ConfigError::new(
            format!("auth.{field}"),
            format!("has no meaning with `{with}`"),
        )),
        None => Ok(()),
    }
}

/// Where the key goes, and what goes before it.
fn carrier(config: &AuthConfig, style: &AuthStyle) -> Result<Carrier, ConfigError> {
    if let Some(name) = &config.query {
        if config.header.is_some() || config.prefix.is_some() {
            return Err(ConfigError::new(
                "auth.query",
                "cannot be combined with `header` or `prefix`",
            ));
        }
        if name.is_empty() || config.api_key.is_none() {
            let problem = "needs a name, and an `api_key` to carry";
            return Err(ConfigError::new("auth.query", problem));
        }
        return Ok(Carrier::Query(name.clone()));
    }
    if let Some(name) = &config.header {
        let name = HeaderName::try_from(name)
            .map_err(|_| ConfigError::new("auth.header", format!("`{name}` is not a header name")))?;
        return Ok(Carrier::Header(name, config.prefix.clone().unwrap_or_default()));
    }
    if config.prefix.is_some() {
        return Err(ConfigError::new(
            "auth.prefix",
            "needs `header`: the header that it goes into",
        ));
    }
    Ok(match style {
        AuthStyle::Bearer => Carrier::Header(AUTHORIZATION, "Bearer ".to_owned()),
        AuthStyle::Header(name) => Carrier::Header(name.clone(), String::new()),
    })
}

#[cfg(test)]
pub(crate) mod tests;

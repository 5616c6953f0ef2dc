//! The `identity.jwt` block of the configuration.

use std::collections::HashSet;
use std::path::PathBuf;
use std::time::Duration;

use pointsman_upstream::HumanDuration;
use schemars::JsonSchema;
use serde::Deserialize;

use super::algorithm::Algorithm;

/// By how much clocks may differ, at most.
const MAX_LEEWAY: Duration = Duration::from_secs(600);

/// An identity provider whose tokens are accepted.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct JwtConfig {
    /// The claim `iss` of its tokens, letter by letter.
    pub issuer: String,
    /// What the claim `aud` of a token must hold one of.
    pub audience: Vec<String>,
    /// Its public keys.
    pub jwks: JwksConfig,
    /// How its tokens may be signed.
    #[serde(default = "algorithms")]
    pub algorithms: Vec<Algorithm>,
    /// By how much its clock may differ.
    #[serde(default = "leeway")]
    pub leeway: HumanDuration,
    /// Which claims say what.
    #[serde(default)]
    pub claims: ClaimsConfig,
    /// The organization of all its users, where no claim says it.
    #[serde(default)]
    pub organization: Option<String>,
    /// The team of all its users, where no claim says it.
    #[serde(default)]
    pub team: Option<String>,
    /// What stands before its users' ids here: users of two issuers are never the same.
    #[serde(default)]
    pub user_prefix: String,
    /// The named budget that each of its users has.
    #[serde(default)]
    pub plan: Option<String>,
}

/// Where public keys are: one of both.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct JwksConfig {
    /// A URL, `https://` unless it is on this machine.
    pub url: Option<String>,
    /// A file.
    pub file: Option<PathBuf>,
    /// How often they are read again. A key that is not known is looked for at once.
    pub refresh: Option<HumanDuration>,
}

/// Which claims say what: names of claims, or JSON pointers such as `/realm_access/roles`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ClaimsConfig {
    /// The user. One that is not known is made.
    pub user: String,
    /// The organization; it must be known.
    pub organization: Option<String>,
    /// The team; it must be known.
    pub team: Option<String>,
    /// A name for people.
    pub name: Option<String>,
    /// Roles, for routing by authorization: a list, or texts with spaces between.
    pub roles: Option<String>,
    /// Groups, for routing by authorization.
    pub groups: Option<String>,
}

impl Default for ClaimsConfig {
    fn default() -> Self {
        Self {
            user: "sub".to_owned(),
            organization: None,
            team: None,
            name: None,
            roles: None,
            groups: None,
        }
    }
}

fn algorithms() -> Vec<Algorithm> {
    vec![
        Algorithm::Rs256,
        Algorithm::Ps256,
        Algorithm::Es256,
        Algorithm::Es384,
        Algorithm::EdDsa,
    ]
}

fn leeway() -> HumanDuration {
    HumanDuration::from_secs(30)
}

impl JwtConfig {
    /// What is wrong with a list of them: where, and what.
    #[must_use]
    pub fn problems(all: &[Self]) -> Vec<(String, String)> {
        let mut problems = Vec::new();
        let mut issuers = HashSet::new();
        let mut prefixes = HashSet::new();
        for (index, config) in all.iter().enumerate() {
            let mut wrong =
                |at: &str, message: &str| problems.push((format!("[{index}].{at}"), message.to_owned()));
            if config.issuer.is_empty() || !issuers.insert(&config.issuer) {
                wrong("issuer", "is empty, or the same as another's");
            }
            if config.audience.is_empty() {
                wrong(
                    "audience",
                    "names nobody: a token for anybody else would be accepted",
                );
            }
            if config.algorithms.is_empty() {
                wrong("algorithms", "names none");
            }
            if config.leeway.get() > MAX_LEEWAY {
                wrong("leeway", "is at most 10m");
            }
            if !prefixes.insert(&config.user_prefix) {
                wrong(
                    "user_prefix",
                    "is the same as another's: their users would be the same",
                );
            }
            match (&config.jwks.url, &config.jwks.file) {
                (Some(url), None) if !is_safe(url) => {
                    wrong("jwks.url", "is not https:// (http:// is for this machine alone)");
                }
                (Some(_), None) | (None, Some(_)) => {}
                _ => wrong("jwks", "has either a url or a file"),
            }
        }
        problems
    }
}

/// Whether nobody on the way can give other keys.
pub(crate) fn is_safe(url: &str) -> bool {
    let Ok(url) = url::Url::parse(url) else {
        return false;
    };
    let is_local = match url.host() {
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        Some(url::Host::Domain(name)) => name == "localhost",
        None => false,
    };
    url.scheme() == "https" || url.scheme() == "http" && is_local
}

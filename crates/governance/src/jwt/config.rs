//! The `identity.jwt` block of the configuration.

use std::borrow::Cow;
use std::collections::HashSet;
use std::path::PathBuf;
use std::time::Duration;

use pointsman_upstream::HumanDuration;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::algorithm::Algorithm;
use crate::expression::Expression;

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

/// What expressions know the claims by.
const CLAIMS: &str = "claims";
/// How often an expression may walk through a list, and how long lists may be that it walks through.
const MAX_WALKS: usize = 2;
const MAX_WALKED: usize = 256;

/// Where something is said.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Claim {
    /// By a claim: its name, or a JSON pointer such as `/realm_access/roles`.
    At(String),
    /// By what is made of the claims.
    Of(Made),
}

/// What is made of the claims.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Made {
    /// An expression of the Common Expression Language over `claims`: `claims.email.split('@')[0]`.
    pub cel: String,
}

impl From<&str> for Claim {
    fn from(name: &str) -> Self {
        Self::At(name.to_owned())
    }
}

impl Claim {
    /// What is said, if it is.
    pub(crate) fn value<'a>(&self, claims: &'a Map<String, Value>) -> Option<Cow<'a, Value>> {
        let source = match self {
            Self::At(path) => return super::find(claims, path).map(Cow::Borrowed),
            Self::Of(made) => &made.cel,
        };
        // Read anew for each token, which is read once: what is found out of it is remembered.
        let expression = Expression::new(source, &[CLAIMS]).ok()?;
        let claims = Value::Object(claims.clone());
        if expression.walks() > 0 && !is_short(&claims) {
            return None;
        }
        expression.evaluate(&[(CLAIMS, &claims)]).map(Cow::Owned)
    }

    /// Why it is none.
    fn problem(&self) -> Option<String> {
        let Self::Of(made) = self else { return None };
        match Expression::new(&made.cel, &[CLAIMS]) {
            Ok(expression) if expression.walks() > MAX_WALKS => Some(format!(
                "walks through lists more than {MAX_WALKS} times (all, exists, exists_one, filter, map)"
            )),
            Ok(_) => None,
            Err(why) => Some(why),
        }
    }
}

/// Whether all lists are short enough to be walked through.
fn is_short(value: &Value) -> bool {
    match value {
        Value::Array(list) => list.len() <= MAX_WALKED && list.iter().all(is_short),
        Value::Object(fields) => fields.len() <= MAX_WALKED && fields.values().all(is_short),
        _ => true,
    }
}

/// Which claims say what: names of claims, JSON pointers such as `/realm_access/roles`, or expressions.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ClaimsConfig {
    /// The user. One that is not known is made.
    pub user: Claim,
    /// The organization; it must be known.
    pub organization: Option<Claim>,
    /// The team; it must be known.
    pub team: Option<Claim>,
    /// A name for people.
    pub name: Option<Claim>,
    /// Roles, for routing by authorization: a list, or texts with spaces between.
    pub roles: Option<Claim>,
    /// Groups, for routing by authorization.
    pub groups: Option<Claim>,
}

impl Default for ClaimsConfig {
    fn default() -> Self {
        Self {
            user: "sub".into(),
            organization: None,
            team: None,
            name: None,
            roles: None,
            groups: None,
        }
    }
}

impl ClaimsConfig {
    /// What of it is wrong: where, and what.
    pub(crate) fn problems(&self) -> Vec<(&'static str, String)> {
        let all = [
            ("claims.user", Some(&self.user)),
            ("claims.organization", self.organization.as_ref()),
            ("claims.team", self.team.as_ref()),
            ("claims.name", self.name.as_ref()),
            ("claims.roles", self.roles.as_ref()),
            ("claims.groups", self.groups.as_ref()),
        ];
        let wrong = all
            .into_iter()
            .filter_map(|(at, claim)| Some((at, claim?.problem()?)));
        wrong.collect()
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
            for (at, message) in config.claims.problems() {
                wrong(at, &message);
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

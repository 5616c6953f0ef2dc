//! Credentials that somebody else vouches for: tokens that only their issuer can read (RFC 7662), callers that a proxy has
//! identified, and client certificates. Nothing here asks anybody: what was answered, and what headers say, comes from whoever uses it.

use pointsman_upstream::HumanDuration;
use pointsman_upstream::config::Secret;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::jwt::{Claim, ClaimsConfig, Mapping, Subject, TokenError, is_for, is_safe, seconds};

/// How long what a proxy says of somebody is believed without being looked at again, milliseconds.
const PROXY_FRESH: i64 = 60_000;
/// The longest time for which an answer may be believed, seconds.
const MAX_CACHE: u64 = 3_600;

/// A server that is asked about tokens which nobody else can read.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct IntrospectionConfig {
    /// Its introspection endpoint, `https://` unless it is on this machine.
    pub url: String,
    /// What it calls this gateway.
    pub client_id: String,
    /// What it knows this gateway by.
    pub client_secret: Secret,
    /// What its tokens begin with. It is asked about everything that is no key of this gateway where nothing is said.
    #[serde(default)]
    pub prefix: String,
    /// What the claim `aud` of a token must hold one of; it is not looked at where nobody is named.
    #[serde(default)]
    pub audience: Vec<String>,
    /// How long an answer is believed: a token that is taken back is good for as long.
    #[serde(default = "cache")]
    pub cache: HumanDuration,
    /// Which members of its answer say what.
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

fn cache() -> HumanDuration {
    HumanDuration::from_secs(60)
}

/// Headers in which proxies of `server.trusted_proxies` say whom they have let in.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ProxyConfig {
    /// The user, such as `x-auth-request-email`.
    pub user: String,
    /// The organization; it must be known.
    #[serde(default)]
    pub organization_header: Option<String>,
    /// The team; it must be known.
    #[serde(default)]
    pub team_header: Option<String>,
    /// Groups, with commas between, for routing by authorization.
    #[serde(default)]
    pub groups_header: Option<String>,
    /// The organization of all users, where no header says it.
    #[serde(default)]
    pub organization: Option<String>,
    /// The team of all users, where no header says it.
    #[serde(default)]
    pub team: Option<String>,
    /// What stands before its users' ids here.
    #[serde(default)]
    pub user_prefix: String,
    /// The named budget that each of its users has.
    #[serde(default)]
    pub plan: Option<String>,
}

/// Callers without a key who come with a client certificate that `client_ca` of the listener has signed.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CertificateConfig {
    /// Which of its names says who they are. A certificate that has none of this kind, or several, says nothing.
    pub user: CertificateName,
    /// The organization of all of them.
    #[serde(default)]
    pub organization: Option<String>,
    /// The team of all of them.
    #[serde(default)]
    pub team: Option<String>,
    /// What stands before their ids here.
    #[serde(default)]
    pub user_prefix: String,
    /// The named budget that each of them has.
    #[serde(default)]
    pub plan: Option<String>,
}

/// A kind of name in a certificate (subject alternative names).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum CertificateName {
    /// A URI, such as SPIFFE's `spiffe://example.org/app`.
    Uri,
    /// A name of the DNS.
    Dns,
}

impl CertificateConfig {
    /// Who comes with a certificate of this name, `now`, Unix milliseconds.
    ///
    /// # Errors
    /// When it cannot be a name.
    pub fn subject(&self, name: &str, now: i64) -> Result<Subject, TokenError> {
        let claims = Map::from_iter([("name".to_owned(), Value::from(name))]);
        let names = ClaimsConfig {
            user: "name".into(),
            ..ClaimsConfig::default()
        };
        let mapping = Mapping {
            issuer: "certificate",
            claims: &names,
            organization: self.organization.as_ref(),
            team: self.team.as_ref(),
            plan: self.plan.as_ref(),
            user_prefix: &self.user_prefix,
        };
        mapping.subject(&claims, now.saturating_add(PROXY_FRESH))
    }
}

impl IntrospectionConfig {
    /// Whom a token is for, by what was answered `now`, Unix milliseconds.
    ///
    /// # Errors
    /// When it is not good, not for this gateway, or its answer lacks something.
    pub fn subject(&self, answer: &Map<String, Value>, now: i64) -> Result<Subject, TokenError> {
        if answer.get("active") != Some(&Value::Bool(true)) {
            return Err(TokenError::Inactive);
        }
        if !self.audience.is_empty() && !is_for(answer.get("aud"), &self.audience) {
            return Err(TokenError::Audience);
        }
        let time = |name: &str| match answer.get(name) {
            None => Ok(None),
            Some(value) => seconds(value)
                .map(|seconds| Some(seconds.saturating_mul(1_000)))
                .ok_or(TokenError::Malformed),
        };
        let fresh = i64::try_from(self.cache.get().as_millis()).unwrap_or(i64::MAX);
        let ends = time("exp")?.unwrap_or(i64::MAX).min(now.saturating_add(fresh));
        if ends <= now {
            return Err(TokenError::Expired);
        }
        if time("nbf")?.is_some_and(|begins| now < begins) {
            return Err(TokenError::Early);
        }
        let mapping = Mapping {
            issuer: &self.url,
            claims: &self.claims,
            organization: self.organization.as_ref(),
            team: self.team.as_ref(),
            plan: self.plan.as_ref(),
            user_prefix: &self.user_prefix,
        };
        mapping.subject(answer, ends)
    }

    /// What is wrong with a list of them: where, and what.
    #[must_use]
    pub fn problems(all: &[Self]) -> Vec<(String, String)> {
        let mut problems = Vec::new();
        for (index, config) in all.iter().enumerate() {
            let mut wrong =
                |at: &str, message: &str| problems.push((format!("[{index}].{at}"), message.to_owned()));
            if !is_safe(&config.url) {
                wrong("url", "is not https:// (http:// is for this machine alone)");
            }
            if config.prefix.starts_with("pm-") {
                wrong("prefix", "is that of the gateway's own keys");
            }
            if !(1..=MAX_CACHE).contains(&config.cache.get().as_secs()) {
                wrong("cache", "is between 1s and 1h");
            }
            if all[..index].iter().any(|other| other.prefix == config.prefix) {
                wrong(
                    "prefix",
                    "is the same as another's: this one would never be asked",
                );
            }
            if all[..index]
                .iter()
                .any(|other| other.user_prefix == config.user_prefix)
            {
                wrong(
                    "user_prefix",
                    "is the same as another's: their users would be the same",
                );
            }
            for (at, message) in config.claims.problems() {
                wrong(at, &message);
            }
        }
        problems
    }
}

impl ProxyConfig {
    /// The headers that are read.
    pub fn headers(&self) -> impl Iterator<Item = &str> {
        let more = [&self.organization_header, &self.team_header, &self.groups_header];
        std::iter::once(self.user.as_str()).chain(more.into_iter().flatten().map(String::as_str))
    }

    /// Whom a proxy has let in, by what its headers say `now`, Unix milliseconds.
    ///
    /// # Errors
    /// When a header is missing.
    pub fn subject(&self, said: impl Fn(&str) -> Option<String>, now: i64) -> Result<Subject, TokenError> {
        let named = |header: &Option<String>, as_list: bool| {
            let text = said(header.as_ref()?)?;
            Some(if as_list {
                let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
                Value::from(parts.map(str::to_owned).collect::<Vec<_>>())
            } else {
                Value::from(text)
            })
        };
        let claims: Map<String, Value> = [
            ("user", said(&self.user).map(Value::from)),
            ("organization", named(&self.organization_header, false)),
            ("team", named(&self.team_header, false)),
            ("groups", named(&self.groups_header, true)),
        ]
        .into_iter()
        .filter_map(|(name, value)| Some((name.to_owned(), value?)))
        .collect();
        let claim = |header: &Option<String>, name: &str| header.as_ref().map(|_| Claim::from(name));
        let names = ClaimsConfig {
            user: "user".into(),
            organization: claim(&self.organization_header, "organization"),
            team: claim(&self.team_header, "team"),
            groups: claim(&self.groups_header, "groups"),
            ..ClaimsConfig::default()
        };
        let mapping = Mapping {
            issuer: "proxy",
            claims: &names,
            organization: self.organization.as_ref(),
            team: self.team.as_ref(),
            plan: self.plan.as_ref(),
            user_prefix: &self.user_prefix,
        };
        mapping.subject(&claims, now.saturating_add(PROXY_FRESH))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const NOW: i64 = 1_700_000_000_000;

    fn config(more: Value) -> IntrospectionConfig {
        let mut all = json!({"url": "https://login.example/introspect", "client_id": "pointsman", "client_secret": "s"});
        for (name, value) in more.as_object().unwrap() {
            all[name] = value.clone();
        }
        serde_json::from_value(all).unwrap()
    }

    fn subject(config: &IntrospectionConfig, answer: &Value) -> Result<Subject, TokenError> {
        config.subject(answer.as_object().unwrap(), NOW)
    }

    #[test]
    fn a_token_is_what_its_issuer_says_and_not_longer_than_it_may_be_believed() {
        let plain = config(json!({"claims": {"groups": "scope"}, "user_prefix": "ex:"}));
        let good = json!({"active": true, "sub": "kim", "scope": "a b", "exp": 1_700_000_030});
        let told = subject(&plain, &good).unwrap();
        assert_eq!((told.user.as_str(), told.ends), ("ex:kim", NOW + 30_000));
        assert_eq!(told.groups, ["a", "b"]);
        let lasting = json!({"active": true, "sub": "kim"});
        assert_eq!(subject(&plain, &lasting).unwrap().ends, NOW + 60_000);
        let ours = config(json!({"audience": ["pointsman"]}));
        for (config, answer, expected) in [
            (
                &plain,
                json!({"active": false, "sub": "kim"}),
                TokenError::Inactive,
            ),
            (
                &plain,
                json!({"active": "true", "sub": "kim"}),
                TokenError::Inactive,
            ),
            (&plain, json!({"sub": "kim"}), TokenError::Inactive),
            (
                &plain,
                json!({"active": true}),
                TokenError::Lacks("who it is for"),
            ),
            (
                &plain,
                json!({"active": true, "sub": "kim", "exp": 1_700_000_000}),
                TokenError::Expired,
            ),
            (
                &plain,
                json!({"active": true, "sub": "kim", "exp": "soon"}),
                TokenError::Malformed,
            ),
            (
                &plain,
                json!({"active": true, "sub": "kim", "nbf": 1_700_000_001}),
                TokenError::Early,
            ),
            (
                &ours,
                json!({"active": true, "sub": "kim", "aud": "other"}),
                TokenError::Audience,
            ),
            (&ours, json!({"active": true, "sub": "kim"}), TokenError::Audience),
        ] {
            assert_eq!(subject(config, &answer), Err(expected), "{answer}");
        }
        let ours = subject(
            &ours,
            &json!({"active": true, "sub": "kim", "aud": ["x", "pointsman"]}),
        );
        assert!(ours.is_ok());
    }

    #[test]
    fn what_makes_no_sense_is_told() {
        let bad = [
            config(json!({"url": "http://login.example/introspect", "cache": "2h"})),
            config(json!({"prefix": "pm-x"})),
            config(json!({"user_prefix": "b:"})),
        ];
        let told: Vec<_> = IntrospectionConfig::problems(&bad)
            .into_iter()
            .map(|(at, _)| at)
            .collect();
        assert_eq!(
            told,
            [
                "[0].url",
                "[0].cache",
                "[1].prefix",
                "[1].user_prefix",
                "[2].prefix"
            ]
        );
    }

    #[test]
    fn headers_say_who_was_let_in() {
        let config: ProxyConfig = serde_json::from_value(json!({
            "user": "x-user", "team_header": "x-team", "groups_header": "x-groups", "organization": "acme"
        }))
        .unwrap();
        let said = |name: &str| match name {
            "x-user" => Some("kim@example.com".to_owned()),
            "x-team" => Some("research".to_owned()),
            "x-groups" => Some("a, b,".to_owned()),
            _ => None,
        };
        let told = config.subject(said, NOW).unwrap();
        assert_eq!(told.user.as_str(), "kim@example.com");
        assert_eq!(told.team.unwrap().as_str(), "research");
        assert_eq!(told.organization.unwrap().as_str(), "acme");
        assert_eq!(told.groups, ["a", "b"]);
        let nobody = config.subject(|name| (name != "x-team").then(|| "x".to_owned()), NOW);
        assert_eq!(nobody, Err(TokenError::Lacks("which team it is of")));
        assert_eq!(
            config.headers().collect::<Vec<_>>(),
            ["x-user", "x-team", "x-groups"]
        );
    }
}

//! People who sign in at an identity provider (OpenID Connect Core 1.0, RFC 6749, RFC 7636): what they are sent to it
//! with, what it must answer, and who they are by that.
//!
//! Nothing here asks anybody: documents and tokens come from whoever uses it.

mod config;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use pointsman_store::{Scope, UserId};
use serde::Deserialize;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

pub use config::{GroupRole, OidcConfig, Preset, ProviderConfig, SignInClaims};

use crate::jwt::{Issuer, JwksConfig, JwtConfig, TokenError, as_id, is_safe, text, texts};
use crate::pattern::fits;

/// Why somebody is not signed in.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SignInError {
    /// The provider's description is not that of the issuer, or lacks something.
    #[error("the identity provider's description {0}")]
    Description(&'static str),
    /// Its token is not what is expected.
    #[error("the identity provider's token: {0}")]
    Token(#[from] TokenError),
    /// Its token answers another sign-in.
    #[error("the identity provider's token answers another sign-in")]
    Nonce,
    /// Two of its answers are about different people.
    #[error("the identity provider's answers are about different people")]
    Subject,
    /// A claim does not say what it must.
    #[error("the claim {0:?} does not say what it must")]
    Required(String),
    /// A claim is missing.
    #[error("the identity provider does not say {0}")]
    Lacks(&'static str),
}

/// What an OpenID provider tells of itself (OpenID Connect Discovery 1.0, section 3).
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Description {
    /// Who it is.
    pub issuer: String,
    /// Where people are sent.
    pub authorization_endpoint: String,
    /// Where codes are redeemed.
    pub token_endpoint: String,
    /// Where claims that are not in the token are.
    #[serde(default)]
    pub userinfo_endpoint: Option<String>,
    /// Its public keys.
    #[serde(default)]
    pub jwks_uri: Option<String>,
    /// Where its own session is ended.
    #[serde(default)]
    pub end_session_endpoint: Option<String>,
    /// How it knows its clients.
    #[serde(default)]
    pub token_endpoint_auth_methods_supported: Option<Vec<String>>,
    /// Whether its answers say who it is (RFC 9207).
    #[serde(default)]
    pub authorization_response_iss_parameter_supported: bool,
}

impl Description {
    /// Where the description of an issuer is.
    #[must_use]
    pub fn place(issuer: &str) -> String {
        format!(
            "{}/.well-known/openid-configuration",
            issuer.trim_end_matches('/')
        )
    }

    /// Reads the description of a provider.
    ///
    /// # Errors
    /// When it is that of another issuer, or names a place that anybody on the way could change.
    pub fn read(text: &[u8], provider: &ProviderConfig) -> Result<Self, SignInError> {
        let read: Self =
            serde_json::from_slice(text).map_err(|_| SignInError::Description("makes no sense"))?;
        if read.issuer != provider.issuer() {
            return Err(SignInError::Description("is that of another issuer"));
        }
        if read.jwks_uri.is_none() {
            return Err(SignInError::Description("names no keys (jwks_uri)"));
        }
        let places = [&read.authorization_endpoint, &read.token_endpoint];
        let more = [
            &read.userinfo_endpoint,
            &read.jwks_uri,
            &read.end_session_endpoint,
        ];
        let all = places.into_iter().chain(more.into_iter().flatten());
        if !all.into_iter().all(|place| is_safe(place)) {
            return Err(SignInError::Description("names a place that is not https://"));
        }
        Ok(read)
    }

    /// What is known of GitHub, or of a GitHub Enterprise server.
    #[must_use]
    pub fn github(issuer: &str) -> Self {
        let base = issuer.trim_end_matches('/');
        Self {
            issuer: issuer.to_owned(),
            authorization_endpoint: format!("{base}/login/oauth/authorize"),
            token_endpoint: format!("{base}/login/oauth/access_token"),
            userinfo_endpoint: None,
            jwks_uri: None,
            end_session_endpoint: None,
            token_endpoint_auth_methods_supported: Some(vec!["client_secret_post".to_owned()]),
            authorization_response_iss_parameter_supported: false,
        }
    }

    /// Whether the client's secret goes into a header, which is what a provider takes that does not say what it takes.
    #[must_use]
    pub fn takes_basic(&self) -> bool {
        let methods = self.token_endpoint_auth_methods_supported.as_ref();
        methods.is_none_or(|methods| methods.iter().any(|method| method == "client_secret_basic"))
    }
}

/// Where GitHub's API is.
#[must_use]
pub fn github_api(issuer: &str) -> String {
    match issuer.trim_end_matches('/') {
        "https://github.com" => "https://api.github.com".to_owned(),
        enterprise => format!("{enterprise}/api/v3"),
    }
}

/// What a verifier is shown as before it is told (RFC 7636, section 4.2, `S256`).
#[must_use]
pub fn challenge(verifier: &str) -> String {
    URL_SAFE_NO_PAD.encode(Sha256::digest(verifier.as_bytes()))
}

/// The claims of an ID token (OpenID Connect Core 1.0, section 3.1.3.7).
///
/// # Errors
/// When it is not signed by one of the provider's keys, for this client, now, as the answer to this sign-in.
pub fn id_token(
    provider: &ProviderConfig,
    keys: &[u8],
    (token, nonce): (&str, &str),
    now: i64,
) -> Result<Map<String, Value>, SignInError> {
    let issuer = Issuer::new(JwtConfig {
        issuer: provider.issuer().to_owned(),
        audience: vec![provider.client_id.clone()],
        jwks: JwksConfig::default(),
        algorithms: provider.algorithms.clone(),
        leeway: pointsman_upstream::HumanDuration::from_secs(30),
        claims: crate::jwt::ClaimsConfig::default(),
        organization: None,
        team: None,
        user_prefix: String::new(),
        plan: None,
    });
    issuer
        .learn(keys)
        .map_err(|_| SignInError::Description("leads to keys that are none"))?;
    let claims = issuer.claims(token, now)?;
    let said = claims.get("nonce").and_then(Value::as_str).unwrap_or_default();
    if !bool::from(said.as_bytes().ct_eq(nonce.as_bytes())) {
        return Err(SignInError::Nonce);
    }
    let has_many = claims
        .get("aud")
        .and_then(Value::as_array)
        .is_some_and(|all| all.len() > 1);
    let party = claims.get("azp").map(|party| party.as_str().unwrap_or_default());
    if party.is_some_and(|party| party != provider.client_id) || has_many && party.is_none() {
        return Err(SignInError::Token(TokenError::Audience));
    }
    Ok(claims)
}

/// The claims of a token with what the provider tells beside it, which must be about the same person (section 5.3.2).
///
/// # Errors
/// When it is not.
pub fn with_userinfo(
    claims: Map<String, Value>,
    more: Map<String, Value>,
) -> Result<Map<String, Value>, SignInError> {
    if claims.get("sub").is_none() || claims.get("sub") != more.get("sub") {
        return Err(SignInError::Subject);
    }
    // What is signed counts more.
    let mut all = more;
    all.extend(claims);
    Ok(all)
}

/// Somebody, as an identity provider knows them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedIn {
    /// Their id here, unless a directory knows them by another.
    pub user: UserId,
    /// A name for people.
    pub name: String,
    /// What a directory calls them, where that is asked for.
    pub directory: Option<String>,
    /// Their groups.
    pub groups: Vec<String>,
}

impl ProviderConfig {
    /// Who somebody is, by their claims.
    ///
    /// # Errors
    /// When the claims do not say it, or not what they must.
    pub fn person(&self, claims: &Map<String, Value>) -> Result<SignedIn, SignInError> {
        for (claim, expected) in &self.require {
            if text(claims, claim).as_ref() != Some(expected) {
                return Err(SignInError::Required(claim.clone()));
            }
        }
        let user = text(claims, &self.claims.user).ok_or(SignInError::Lacks("who it is"))?;
        let name = text(claims, &self.claims.name);
        let directory = match &self.claims.directory {
            // An address that nobody has checked may be anybody's.
            Some(claim) if claim == "email" && claims.get("email_verified") != Some(&Value::Bool(true)) => {
                return Err(SignInError::Lacks("that the e-mail address is verified"));
            }
            Some(claim) => text(claims, claim),
            None => None,
        };
        Ok(SignedIn {
            name: name.unwrap_or_else(|| user.clone()),
            user: UserId::from(format!("{}{}", self.user_prefix, as_id(&user))),
            directory,
            groups: texts(claims, &self.claims.groups),
        })
    }

    /// The roles that groups give, one for each place.
    #[must_use]
    pub fn roles_of(&self, groups: &[String]) -> Vec<(Scope, &str)> {
        let mut roles: Vec<(Scope, &str)> = Vec::new();
        for given in &self.roles {
            let scope = match (&given.organization, &given.team) {
                (Some(organization), None) => Scope::Organization(organization.as_str().into()),
                (None, Some(team)) => Scope::Team(team.as_str().into()),
                _ => continue,
            };
            let has = groups.iter().any(|group| fits(&given.group, group));
            if has && !roles.iter().any(|(known, _)| *known == scope) {
                roles.push((scope, &given.role));
            }
        }
        roles
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn provider(more: Value) -> ProviderConfig {
        let mut all = json!({"client_id": "pointsman", "issuer": "https://login.example"});
        for (name, value) in more.as_object().unwrap() {
            all[name] = value.clone();
        }
        serde_json::from_value(all).unwrap()
    }

    fn claims(of: Value) -> Map<String, Value> {
        of.as_object().unwrap().clone()
    }

    #[test]
    fn a_challenge_is_what_the_standard_says() {
        // RFC 7636, appendix B.
        let verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
        assert_eq!(challenge(verifier), "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM");
    }

    #[test]
    fn a_description_is_that_of_its_issuer_and_leads_to_safe_places() {
        let good = json!({
            "issuer": "https://login.example", "authorization_endpoint": "https://login.example/a",
            "token_endpoint": "https://login.example/t", "jwks_uri": "https://login.example/k",
        });
        let read = |change: (&str, Value)| {
            let mut all = good.clone();
            all[change.0] = change.1;
            Description::read(all.to_string().as_bytes(), &provider(json!({})))
        };
        assert!(read(("more", json!(1))).unwrap().takes_basic());
        for wrong in [
            ("issuer", json!("https://login.example/")),
            ("issuer", json!("https://evil.example")),
            ("token_endpoint", json!("http://login.example/t")),
            ("jwks_uri", json!("http://169.254.169.254/keys")),
            ("jwks_uri", Value::Null),
            ("userinfo_endpoint", json!("ftp://login.example")),
        ] {
            assert!(read(wrong.clone()).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn groups_give_the_first_role_of_each_place() {
        let provider = provider(json!({"roles": [
            {"group": "ops", "organization": "acme", "role": "owner"},
            {"group": "acme-*", "organization": "acme", "role": "viewer"},
            {"group": "acme-ml", "team": "ml", "role": "admin"},
        ]}));
        let roles = |groups: &[&str]| {
            let groups: Vec<_> = groups.iter().map(|group| (*group).to_owned()).collect();
            provider
                .roles_of(&groups)
                .into_iter()
                .map(|(scope, role)| (scope.parts().1.to_owned(), role.to_owned()))
                .collect::<Vec<_>>()
        };
        let own = |scope: &str, role: &str| (scope.to_owned(), role.to_owned());
        assert_eq!(roles(&["acme-ml"]), [own("acme", "viewer"), own("ml", "admin")]);
        assert_eq!(roles(&["acme-x", "ops"]), [own("acme", "owner")]);
        assert!(roles(&["OPS", "xacme-ml", ""]).is_empty());
    }

    #[test]
    fn people_are_who_their_claims_say_and_what_is_required() {
        let provider = provider(json!({
            "user_prefix": "g:", "require": {"hd": "acme.example"}, "claims": {"directory": "email"}
        }));
        let kim = json!({"sub": "a|7", "hd": "acme.example", "email": "kim@acme.example", "email_verified": true, "groups": ["x"]});
        let person = provider.person(&claims(kim.clone())).unwrap();
        assert_eq!(person.user.as_str(), "g:a+7C7");
        assert_eq!(person.directory.as_deref(), Some("kim@acme.example"));
        for (claim, value) in [
            ("hd", json!("evil.example")),
            ("hd", Value::Null),
            ("email_verified", json!("true")),
            ("sub", json!(7)),
        ] {
            let mut other = kim.clone();
            other[claim] = value;
            assert!(provider.person(&claims(other)).is_err(), "{claim}");
        }
    }

    #[test]
    fn what_is_told_beside_a_token_is_about_the_same_person() {
        let token = || claims(json!({"sub": "a", "groups": ["signed"]}));
        let more = claims(json!({"sub": "a", "groups": ["told"], "name": "A"}));
        let all = with_userinfo(token(), more).unwrap();
        assert_eq!((&all["groups"][0], &all["name"]), (&json!("signed"), &json!("A")));
        for other in [json!({"sub": "b"}), json!({})] {
            assert_eq!(with_userinfo(token(), claims(other)), Err(SignInError::Subject));
        }
    }

    #[test]
    fn what_is_configured_wrong_is_told() {
        let config = |change: (&str, Value), of_provider: bool| {
            let mut provider = json!({"issuer": "https://login.example", "client_id": "c"});
            let mut all = json!({"public_url": "https://p.example"});
            let into = if of_provider { &mut provider } else { &mut all };
            into[change.0] = change.1;
            all["providers"] = json!({"a": provider});
            serde_json::from_value::<OidcConfig>(all).unwrap().problems()
        };
        assert!(config(("session", json!("1h")), false).is_empty());
        for (change, of_provider) in [
            (("public_url", json!("http://p.example")), false),
            (("public_url", json!("https://p.example/?x")), false),
            (("session", json!("400d")), false),
            (("issuer", json!("http://login.example")), true),
            (("issuer", Value::Null), true),
            (("client_id", json!("")), true),
            (("scopes", json!(["email"])), true),
            (("roles", json!([{"group": "g", "role": "owner"}])), true),
        ] {
            assert_eq!(config(change.clone(), of_provider).len(), 1, "{change:?}");
        }
    }
}

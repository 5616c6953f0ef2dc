//! The `identity.oidc` block of the configuration: where people sign in to the admin API.

use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use pointsman_upstream::HumanDuration;
use pointsman_upstream::config::Secret;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::jwt::{Algorithm, is_safe};

/// The longest session.
const MAX_SESSION: Duration = Duration::from_secs(30 * 24 * 3_600);

/// Where people sign in to the admin API.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OidcConfig {
    /// How browsers reach the admin listener, such as `https://pointsman.example.com`; never taken from a request.
    /// `https://`, unless it is on this machine.
    pub public_url: String,
    /// How long a session is good.
    #[serde(default = "session")]
    pub session: HumanDuration,
    /// Identity providers, each by a name of its own: people sign in at `/admin/auth/NAME`, and the provider sends them
    /// back to `PUBLIC_URL/admin/auth/NAME/callback`.
    pub providers: BTreeMap<String, ProviderConfig>,
}

/// An identity provider.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ProviderConfig {
    /// What is known of providers of this kind.
    #[serde(default)]
    pub preset: Option<Preset>,
    /// The provider's issuer, letter by letter; of `google` and `github` it is known, of `entra` it is
    /// `https://login.microsoftonline.com/TENANT/v2.0`.
    #[serde(default)]
    pub issuer: Option<String>,
    /// What the provider calls this gateway.
    pub client_id: String,
    /// What the provider knows this gateway by; absent for public clients.
    #[serde(default)]
    pub client_secret: Option<Secret>,
    /// What is asked for.
    #[serde(default)]
    pub scopes: Option<Vec<String>>,
    /// How the provider may sign.
    #[serde(default = "algorithms")]
    pub algorithms: Vec<Algorithm>,
    /// Which claims say what.
    #[serde(default)]
    pub claims: SignInClaims,
    /// What claims must say, word for word, such as `hd: example.com`.
    #[serde(default)]
    pub require: BTreeMap<String, String>,
    /// What stands before its users' ids here: that of `identity.jwt`, where it is the same provider.
    #[serde(default)]
    pub user_prefix: String,
    /// The organization of all its users.
    #[serde(default)]
    pub organization: Option<String>,
    /// Which groups give which roles. Of several roles for one place, the first counts.
    #[serde(default)]
    pub roles: Vec<GroupRole>,
}

/// Which claims say what: names of claims, or JSON pointers such as `/realm_access/roles`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct SignInClaims {
    /// The user: what never changes and is never given to another.
    pub user: String,
    /// A name for people.
    pub name: String,
    /// Groups.
    pub groups: String,
    /// What a directory (SCIM) calls the user: its `userName` or `externalId`. Absent, users of a directory are not
    /// looked for.
    pub directory: Option<String>,
}

impl Default for SignInClaims {
    fn default() -> Self {
        Self {
            user: "sub".to_owned(),
            name: "name".to_owned(),
            groups: "groups".to_owned(),
            directory: None,
        }
    }
}

/// A role that comes with a group.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GroupRole {
    /// The group, `*` standing for any run of letters.
    pub group: String,
    /// The role.
    pub role: String,
    /// The organization where it holds; this or a team.
    #[serde(default)]
    pub organization: Option<String>,
    /// The team where it holds.
    #[serde(default)]
    pub team: Option<String>,
}

/// Providers of which something is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Preset {
    /// Google: knows no groups; say in `require` whose accounts are meant.
    Google,
    /// Microsoft Entra ID: groups are told by their object ids, where the application is set up to tell them.
    Entra,
    /// Okta.
    Okta,
    /// Keycloak: groups are told where a mapper puts them into the token.
    Keycloak,
    /// GitHub, which is no OpenID provider: users by their number, groups are `ORGANIZATION` and `ORGANIZATION/TEAM`.
    Github,
}

fn session() -> HumanDuration {
    HumanDuration::from_secs(8 * 3_600)
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

impl ProviderConfig {
    /// The issuer, said or known.
    #[must_use]
    pub fn issuer(&self) -> &str {
        let known = match self.preset {
            Some(Preset::Google) => "https://accounts.google.com",
            Some(Preset::Github) => "https://github.com",
            _ => "",
        };
        self.issuer.as_deref().unwrap_or(known)
    }

    /// Whether it speaks OpenID Connect, and not OAuth 2.0 with an API of its own.
    #[must_use]
    pub fn is_openid(&self) -> bool {
        self.preset != Some(Preset::Github)
    }

    /// What is asked for, with spaces between.
    #[must_use]
    pub fn scope(&self) -> String {
        match (&self.scopes, self.preset) {
            (Some(scopes), _) => scopes.join(" "),
            (None, Some(Preset::Github)) => "read:user read:org".to_owned(),
            (None, Some(Preset::Okta)) => "openid profile email groups".to_owned(),
            (None, _) => "openid profile email".to_owned(),
        }
    }
}

impl OidcConfig {
    /// What is wrong with it: where, and what.
    #[must_use]
    pub fn problems(&self) -> Vec<(String, String)> {
        let mut problems = Vec::new();
        let mut prefixes = HashSet::new();
        if !is_safe(&self.public_url) || self.public_url.contains(['?', '#']) {
            let message = "is not https://HOST (http:// is for this machine alone)";
            problems.push((".public_url".to_owned(), message.to_owned()));
        }
        if self.session.get() > MAX_SESSION || self.session.get() < Duration::from_secs(60) {
            problems.push((".session".to_owned(), "is between 1m and 30d".to_owned()));
        }
        for (name, provider) in &self.providers {
            let mut wrong = |at: &str, message: &str| {
                problems.push((format!(".providers.{name}{at}"), message.to_owned()));
            };
            let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
            if name.is_empty() || !name.bytes().all(allowed) {
                wrong("", "is called by small letters, digits and - alone");
            }
            if provider.issuer().is_empty() {
                wrong(".issuer", "is missing");
            } else if !is_safe(provider.issuer()) {
                wrong(".issuer", "is not https:// (http:// is for this machine alone)");
            }
            if provider.client_id.is_empty() {
                wrong(".client_id", "is empty");
            }
            if provider.algorithms.is_empty() {
                wrong(".algorithms", "names none");
            }
            if !prefixes.insert(&provider.user_prefix) {
                wrong(
                    ".user_prefix",
                    "is the same as another's: their users would be the same",
                );
            }
            let scopes = provider.scopes.as_ref();
            if provider.is_openid()
                && scopes.is_some_and(|scopes| !scopes.iter().any(|scope| scope == "openid"))
            {
                wrong(".scopes", "does not have openid");
            }
            for (at, role) in provider.roles.iter().enumerate() {
                if role.organization.is_some() == role.team.is_some() {
                    wrong(&format!(".roles[{at}]"), "has either an organization or a team");
                }
            }
        }
        problems
    }
}

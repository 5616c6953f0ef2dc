//! Tokens of identity providers (JWT): who is trusted, what is expected of a token, and who it says that asks.
//!
//! A token is checked before anything in it is believed: signed by a key of its issuer, in a way that is configured,
//! for this gateway, now. Keys come from where the configuration says, never from where a token says.

mod algorithm;
mod config;
mod token;

use std::fmt::Write;
use std::sync::Arc;

use arc_swap::ArcSwap;
use pointsman_store::{KeyId, OrganizationId, PlanId, TeamId, UserId};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

pub use algorithm::{Algorithm, KeySet, Unsigned};
pub(crate) use config::is_safe;
pub use config::{Claim, ClaimsConfig, JwksConfig, JwtConfig, Made};
pub use token::TokenError;
pub(crate) use token::{is_for, seconds};

use token::{Expected, Token};

/// Entries of a list that a claim gives, at most.
const MAX_LIST: usize = 64;
/// Bytes of a text that a claim gives, at most.
const MAX_TEXT: usize = 200;

/// An issuer that is trusted, with its keys as they were read last.
pub struct Issuer {
    config: JwtConfig,
    keys: ArcSwap<KeySet>,
}

/// Whom a token is for, by what it says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subject {
    /// The same for every token of the same user: what is counted for it.
    pub id: KeyId,
    /// A name for people.
    pub name: String,
    /// The user.
    pub user: UserId,
    /// Its organization.
    pub organization: Option<OrganizationId>,
    /// Its team.
    pub team: Option<TeamId>,
    /// The named budget that holds for it.
    pub plan: Option<PlanId>,
    /// For routing by authorization.
    pub roles: Vec<String>,
    /// For routing by authorization.
    pub groups: Vec<String>,
    /// When the token ends, Unix milliseconds.
    pub ends: i64,
}

/// Whether a credential looks like a token: three parts, the first an object in Base64.
#[must_use]
pub fn is_token(text: &str) -> bool {
    text.starts_with("ey") && text.bytes().filter(|byte| *byte == b'.').count() == 2
}

/// What a token says of itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Said {
    /// Whom it is for (`aud`).
    pub audience: Vec<String>,
    /// What it allows (`scope`, or `scp`).
    pub scopes: Vec<String>,
}

/// What a token says that was verified before; of another nothing of it is true.
///
/// # Errors
/// When it is none.
pub fn said(text: &str) -> Result<Said, TokenError> {
    let token = Token::read(text)?;
    let claims = token.claims();
    let mut scopes = texts(claims, "scope");
    if scopes.is_empty() {
        scopes = texts(claims, "scp");
    }
    let audience = match claims.get("aud") {
        Some(Value::String(one)) => vec![one.clone()],
        _ => texts(claims, "aud"),
    };
    Ok(Said { audience, scopes })
}

/// Who says that it has issued a token. Nothing is checked yet.
///
/// # Errors
/// When it is none.
pub fn said_issuer(text: &str) -> Result<String, TokenError> {
    let token = Token::read(text)?;
    token.issuer().map(str::to_owned).ok_or(TokenError::Issuer)
}

impl Issuer {
    /// An issuer without keys.
    #[must_use]
    pub fn new(config: JwtConfig) -> Self {
        Self {
            config,
            keys: ArcSwap::default(),
        }
    }

    /// How it is configured.
    #[must_use]
    pub fn config(&self) -> &JwtConfig {
        &self.config
    }

    /// Takes over the keys of a JWK set; says how many can be used. Those before are forgotten.
    ///
    /// # Errors
    /// When it is none; then the keys stay as they were.
    pub fn learn(&self, text: &[u8]) -> Result<usize, serde_json::Error> {
        let keys = KeySet::read(text)?;
        let count = keys.len();
        self.keys.store(Arc::new(keys));
        Ok(count)
    }

    /// The claims of a token that is what is expected, whoever it is for.
    ///
    /// # Errors
    /// As [`verify`](Self::verify).
    pub fn claims(&self, text: &str, now: i64) -> Result<Map<String, Value>, TokenError> {
        Ok(self.checked(text, now)?.0)
    }

    /// Whom a token is for.
    ///
    /// # Errors
    /// When it is not what is expected. [`TokenError::NoKey`] may mean that the keys are old.
    pub fn verify(&self, text: &str, now: i64) -> Result<Subject, TokenError> {
        let (claims, ends) = self.checked(text, now)?;
        self.subject(&claims, ends)
    }

    /// Its claims, and when it ends, Unix milliseconds.
    fn checked(&self, text: &str, now: i64) -> Result<(Map<String, Value>, i64), TokenError> {
        let expected = Expected {
            issuer: &self.config.issuer,
            audience: &self.config.audience,
            algorithms: &self.config.algorithms,
            leeway: i64::try_from(self.config.leeway.get().as_secs()).unwrap_or(0),
            now: now.div_euclid(1_000),
        };
        let (claims, ends) = Token::read(text)?.verify(&self.keys.load(), &expected)?;
        Ok((claims, ends.saturating_add(expected.leeway).saturating_mul(1_000)))
    }

    fn subject(&self, claims: &Map<String, Value>, ends: i64) -> Result<Subject, TokenError> {
        let mapping = Mapping {
            issuer: &self.config.issuer,
            claims: &self.config.claims,
            organization: self.config.organization.as_ref(),
            team: self.config.team.as_ref(),
            plan: self.config.plan.as_ref(),
            user_prefix: &self.config.user_prefix,
        };
        mapping.subject(claims, ends)
    }
}

/// What becomes of what is said of somebody.
pub(crate) struct Mapping<'a> {
    /// Who says it.
    pub(crate) issuer: &'a str,
    /// Which claims say what.
    pub(crate) claims: &'a ClaimsConfig,
    /// Where no claim says it.
    pub(crate) organization: Option<&'a String>,
    /// Where no claim says it.
    pub(crate) team: Option<&'a String>,
    pub(crate) plan: Option<&'a String>,
    pub(crate) user_prefix: &'a str,
}

impl Mapping<'_> {
    /// Whom it is said of, until `ends`, Unix milliseconds.
    pub(crate) fn subject(&self, claims: &Map<String, Value>, ends: i64) -> Result<Subject, TokenError> {
        let said = self.claims;
        let text = |claim: &Claim| text_of(&*claim.value(claims)?);
        let user = text(&said.user).ok_or(TokenError::Lacks("who it is for"))?;
        let holder = |claim: &Option<Claim>, fixed: Option<&String>, what| match claim {
            Some(claim) => text(claim).map(Some).ok_or(TokenError::Lacks(what)),
            None => Ok(fixed.cloned()),
        };
        let organization = holder(
            &said.organization,
            self.organization,
            "which organization it is of",
        )?;
        let team = holder(&said.team, self.team, "which team it is of")?;
        let list = |claim: &Option<Claim>| {
            let said = claim.as_ref().and_then(|claim| claim.value(claims));
            said.map(|said| texts_of(&said)).unwrap_or_default()
        };
        let mut digest = Sha256::new();
        digest.update(self.issuer.as_bytes());
        digest.update([0]);
        digest.update(user.as_bytes());
        let hex: String = digest
            .finalize()
            .iter()
            .take(16)
            .map(|byte| format!("{byte:02x}"))
            .collect();
        Ok(Subject {
            id: KeyId::from(format!("jwt_{hex}")),
            name: said.name.as_ref().and_then(text).unwrap_or_else(|| user.clone()),
            user: UserId::from(format!("{}{}", self.user_prefix, as_id(&user))),
            organization: organization.map(OrganizationId::from),
            team: team.map(TeamId::from),
            plan: self.plan.cloned().map(PlanId::from),
            roles: list(&said.roles),
            groups: list(&said.groups),
            ends,
        })
    }
}

/// A text as an id: letters that no id may have are written as `+` and two hexadecimal digits for each byte, as is `+`
/// itself, so that different users never become the same.
pub(crate) fn as_id(text: &str) -> String {
    let mut id = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"_-.:@".contains(&byte) {
            id.push(char::from(byte));
        } else {
            // Writing to a string cannot fail.
            let _ = write!(id, "+{byte:02X}");
        }
    }
    id
}

/// A claim by its name, or by a JSON pointer (`/realm_access/roles`).
fn find<'a>(claims: &'a Map<String, Value>, path: &str) -> Option<&'a Value> {
    let Some(pointer) = path.strip_prefix('/') else {
        return claims.get(path);
    };
    let (first, rest) = pointer
        .split_once('/')
        .map_or((pointer, None), |(first, rest)| (first, Some(rest)));
    let value = claims.get(&first.replace("~1", "/").replace("~0", "~"))?;
    match rest {
        Some(rest) => value.pointer(&format!("/{rest}")),
        None => Some(value),
    }
}

/// One text; a list of one is one, too.
pub(crate) fn text(claims: &Map<String, Value>, path: &str) -> Option<String> {
    text_of(find(claims, path)?)
}

fn text_of(value: &Value) -> Option<String> {
    let value = match value.as_array().map(Vec::as_slice) {
        Some([one]) => one,
        Some(_) => return None,
        None => value,
    };
    let text = value.as_str()?;
    let fits = !text.is_empty() && text.len() <= MAX_TEXT && !text.chars().any(char::is_control);
    fits.then(|| text.to_owned())
}

/// A list of texts, or one with spaces between (`scope`).
pub(crate) fn texts(claims: &Map<String, Value>, path: &str) -> Vec<String> {
    find(claims, path).map(texts_of).unwrap_or_default()
}

fn texts_of(value: &Value) -> Vec<String> {
    let fits = |text: &&str| !text.is_empty() && text.len() <= MAX_TEXT;
    match value {
        Value::Array(all) => all
            .iter()
            .filter_map(Value::as_str)
            .filter(fits)
            .take(MAX_LIST)
            .map(str::to_owned)
            .collect(),
        Value::String(one) => one
            .split(' ')
            .filter(fits)
            .take(MAX_LIST)
            .map(str::to_owned)
            .collect(),
        _ => Vec::new(),
    }
}

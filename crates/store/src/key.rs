//! Virtual keys: hashed at rest, shown once.

use std::collections::BTreeMap;
use std::fmt::Write;

use ring::hmac;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::id::{KeyId, OrganizationId, PlanId, ProjectId, TeamId, UserId};
use crate::store::StoreError;
use crate::terms::{
    Amounts, Budget, Metadata, Quota, check_budgets, check_list, check_networks, check_priority,
    check_quotas, check_text, invalid,
};

/// Letters of a key: digits, capitals, small letters.
const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
/// 43 letters of 62 are more than 256 bits.
const LENGTH: usize = 43;
/// Letters of a key that somebody else has made: what other gateways demand, too.
const SHORTEST: usize = 16;

/// Names of its own that one key has for models, at most.
const MAX_ALIASES: usize = 64;

/// Names of one's own for models, each with the model that it stands for.
pub type Aliases = BTreeMap<String, String>;

/// Whether names can stand for models. They are not followed twice: what stands for something is no model's.
///
/// # Errors
/// When there are too many, or one stands for itself or another one.
pub fn check_aliases(aliases: &Aliases) -> Result<(), String> {
    if aliases.len() > MAX_ALIASES {
        return Err(format!("has more than {MAX_ALIASES} entries"));
    }
    for (alias, model) in aliases {
        for name in [alias, model] {
            check_text("a name", name).map_err(|error| error.to_string())?;
        }
        if aliases.contains_key(model) {
            return Err(format!(
                "has {alias:?} stand for {model:?}, which is an alias itself: name the model"
            ));
        }
    }
    Ok(())
}

/// What a new key may do.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct NewKey {
    /// A name for people.
    pub name: String,
    /// The organization it belongs to.
    pub organization: Option<OrganizationId>,
    /// The team it belongs to.
    pub team: Option<TeamId>,
    /// The project it belongs to.
    pub project: Option<ProjectId>,
    /// The user it belongs to.
    pub user: Option<UserId>,
    /// Models it may use, `*` standing for any run of letters; empty means all.
    pub models: Vec<String>,
    /// Providers that may answer it, by their names in the configuration; empty means all.
    pub providers: Vec<String>,
    /// Guardrails that act on its requests beside those that always do, by their names in the configuration.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub guardrails: Vec<String>,
    /// Surfaces it may ask, by their paths, `*` as above; empty means all.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub surfaces: Vec<String>,
    /// Networks that it may be used from; empty means any.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub networks: Vec<String>,
    /// Requests in any minute.
    pub requests_per_minute: Option<u64>,
    /// Tokens in any minute, prompt and answer together.
    pub tokens_per_minute: Option<u64>,
    /// Tokens of prompts in any minute.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub input_tokens_per_minute: Option<u64>,
    /// Tokens of answers in any minute.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output_tokens_per_minute: Option<u64>,
    /// Requests at once.
    pub concurrency: Option<u64>,
    /// Money. All of them hold at once.
    pub budgets: Vec<Budget>,
    /// Requests and tokens in windows, or of some models. All of them hold at once.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub quotas: Vec<Quota>,
    /// The plan whose terms hold where the key has none of its own.
    pub plan: Option<PlanId>,
    /// Unix milliseconds after which it is refused.
    pub expires_at: Option<i64>,
    /// Roles, for routing by authorization.
    pub roles: Vec<String>,
    /// Groups, for routing by authorization.
    pub groups: Vec<String>,
    /// Names of its own for models. What is allowed is said of the models that they stand for.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub aliases: Aliases,
    /// Its priority; that of its holders where it has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub priority: Option<String>,
}

/// A key that somebody else has made and whose secret nobody here has seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AdoptedKey {
    /// Its id.
    pub id: KeyId,
    /// What it may do.
    pub grant: NewKey,
    /// SHA-256 of the key.
    pub hash: [u8; 32],
    /// What it is recognised by; nothing that would help to guess it.
    pub hint: String,
    /// SHA-256 of the secret that it had before, and until when, Unix milliseconds, that one is good.
    pub former: Option<([u8; 32], i64)>,
    /// Refused until it is enabled.
    pub disabled: bool,
    /// Notes.
    pub metadata: Metadata,
}

/// A key as it is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyRecord {
    /// Its id.
    pub id: KeyId,
    /// What it may do.
    #[serde(flatten)]
    pub grant: NewKey,
    /// Its first letters, to be recognised by.
    pub hint: String,
    /// SHA-256 of the key.
    #[serde(skip)]
    pub hash: [u8; 32],
    /// Unix milliseconds.
    pub created_at: i64,
    /// Unix milliseconds.
    pub revoked_at: Option<i64>,
    /// Unix milliseconds; refused until it is enabled again.
    pub disabled_at: Option<i64>,
    /// Hash of the secret that it had before, and until when, Unix milliseconds, that one is good.
    #[serde(skip)]
    pub former: Option<([u8; 32], i64)>,
    /// Notes.
    pub metadata: Metadata,
    /// Unix milliseconds.
    pub updated_at: i64,
    /// Changes with every change.
    pub version: i64,
}

impl NewKey {
    /// Whether it can be kept.
    pub(crate) fn check(&self) -> Result<(), StoreError> {
        if !self.name.is_empty() {
            check_text("name", &self.name)?;
        }
        check_list("models", &self.models)?;
        check_list("providers", &self.providers)?;
        check_list("guardrails", &self.guardrails)?;
        check_list("surfaces", &self.surfaces)?;
        check_networks(&self.networks)?;
        check_list("roles", &self.roles)?;
        check_list("groups", &self.groups)?;
        check_budgets(&self.budgets)?;
        check_quotas(&self.quotas)?;
        check_aliases(&self.aliases).map_err(|why| invalid(format!("aliases {why}")))?;
        check_priority(self.priority.as_deref())
    }

    /// How fast, and for how much.
    #[must_use]
    pub fn amounts(&self) -> Amounts<'_> {
        let rates = [
            self.requests_per_minute,
            self.tokens_per_minute,
            self.input_tokens_per_minute,
            self.output_tokens_per_minute,
            self.concurrency,
        ];
        Amounts::new(rates, &self.budgets, &self.quotas)
    }

    /// The same without limits and budgets.
    #[must_use]
    pub fn without_amounts(&self) -> Self {
        Self {
            requests_per_minute: None,
            tokens_per_minute: None,
            input_tokens_per_minute: None,
            output_tokens_per_minute: None,
            concurrency: None,
            budgets: Vec::new(),
            quotas: Vec::new(),
            ..self.clone()
        }
    }
}

/// The hash under which a key is kept. Keys have 256 bits of chance, so a slow hash would only slow requests down.
#[must_use]
pub fn hash_key(key: &str) -> [u8; 32] {
    Sha256::digest(key.as_bytes()).into()
}

/// The AWS secret access key that belongs to a key: what a Bedrock SDK signs with, its access key id being the key's id.
///
/// A signature can only be checked with the secret itself, which a hash does not give. So it is not kept but made anew
/// from the operator's signing secret, which is not in the database, and the key's hash: who has only the one or only
/// the other can sign nothing, and a key that is rotated has another one.
#[must_use]
pub fn aws_secret(signing: &SecretString, key: &KeyId, hash: &[u8; 32]) -> SecretString {
    let signing = hmac::Key::new(hmac::HMAC_SHA256, signing.expose_secret().as_bytes());
    let mut context = hmac::Context::with_key(&signing);
    context.update(b"pointsman aws secret access key v1\0");
    context.update(key.as_str().as_bytes());
    context.update(b"\0");
    context.update(hash);
    let mut secret = String::with_capacity(64);
    for byte in context.sign().as_ref() {
        // Writing to a string cannot fail.
        let _ = write!(secret, "{byte:02x}");
    }
    SecretString::from(secret)
}

/// A new key: the secret, its hash and its hint.
pub(crate) fn generate() -> Result<(SecretString, [u8; 32], String), getrandom::Error> {
    let key = format!("pm-{}", random_text(LENGTH)?);
    let hash = hash_key(&key);
    let hint = format!("{}…", &key[..7]);
    Ok((SecretString::from(key), hash, hint))
}

/// Hash and hint of a secret that somebody has chosen.
pub(crate) fn chosen(secret: &SecretString) -> Result<([u8; 32], String), StoreError> {
    let text = secret.expose_secret();
    let plain = |byte: u8| byte.is_ascii_graphic();
    if text.len() < SHORTEST || text.len() > 256 || !text.bytes().all(plain) {
        return Err(invalid(format!(
            "a key of your own must have between {SHORTEST} and 256 letters, digits and signs, without spaces"
        )));
    }
    Ok((hash_key(text), format!("{}…", &text[..4])))
}

/// A new id.
pub(crate) fn generate_id() -> Result<KeyId, getrandom::Error> {
    Ok(KeyId::from(format!("key_{}", random_text(16)?)))
}

/// Letters of chance: 43 have more than 256 bits of it.
///
/// # Errors
/// When the system has none.
pub fn random_text(length: usize) -> Result<String, getrandom::Error> {
    let mut text = String::with_capacity(length);
    let mut bytes = [0_u8; 64];
    while text.len() < length {
        getrandom::fill(&mut bytes)?;
        // 248 is the largest multiple of 62 in a byte: what is above would favour some letters.
        let letters = bytes
            .iter()
            .filter(|byte| **byte < 248)
            .map(|byte| ALPHABET[usize::from(byte % 62)] as char);
        text.extend(letters.take(length - text.len()));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_keys_aws_secret_needs_both_halves() {
        let secret = |signing: &str, id: &str, hash: u8| {
            aws_secret(&signing.into(), &KeyId::from(id.to_owned()), &[hash; 32])
                .expose_secret()
                .to_owned()
        };
        let one = secret("signing", "key_1", 1);
        assert_eq!(one.len(), 64);
        assert_eq!(one, secret("signing", "key_1", 1));
        for other in [
            secret("other", "key_1", 1),
            secret("signing", "key_2", 1),
            secret("signing", "key_1", 2),
        ] {
            assert_ne!(one, other);
        }
    }

    #[test]
    fn aliases_stand_for_models_and_for_nothing_else() {
        let check = |aliases: &[(&str, &str)]| {
            let aliases = aliases
                .iter()
                .map(|(name, model)| ((*name).to_owned(), (*model).to_owned()));
            check_aliases(&aliases.collect())
        };
        check(&[("fast", "gpt-5-mini"), ("gpt-4", "gpt-5")]).unwrap();
        for wrong in [
            &[("fast", "fast")][..],
            &[("fast", "faster"), ("faster", "gpt-5")],
            &[("", "gpt-5")],
            &[("fast", "")],
            &[("fast", "a\nb")],
        ] {
            assert!(check(wrong).is_err(), "{wrong:?}");
        }
        let many = (0..=MAX_ALIASES).map(|number| (number.to_string(), "m".to_owned()));
        assert!(check_aliases(&many.collect()).is_err());
    }

    #[test]
    fn keys_look_like_keys_and_never_repeat() {
        let (first, hash, hint) = generate().unwrap();
        let (second, ..) = generate().unwrap();
        let text = first.expose_secret();
        assert_eq!(text.len(), 46);
        assert!(text.starts_with("pm-") && text[3..].bytes().all(|byte| byte.is_ascii_alphanumeric()));
        assert_ne!(text, second.expose_secret());
        assert_eq!(hash, hash_key(text));
        assert!(hint.len() < 12);
    }
}

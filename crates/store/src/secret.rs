//! Secrets that are kept in the database: sealed by a key of their own, which a master key wraps.
//!
//! The database holds no master key. Who has only the database can read nothing; who changes a row, or puts one in the
//! place of another, is found out. Master keys are changed without anything being sealed anew: only the keys of secrets
//! are wrapped again.

use std::collections::BTreeMap;
use std::fmt;
use std::fmt::Write;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use pointsman_upstream::config::SecretsConfig;
use pointsman_upstream::secrets::{is_wrapped_key, unwrap_key};
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use secrecy::zeroize::Zeroizing;
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};

use crate::store::StoreError;
use crate::terms::invalid;

/// Where master keys are, when the configuration does not say.
const VARIABLE: &str = "POINTSMAN_MASTER_KEY";
/// Bytes of a key.
const KEY: usize = 32;
/// Master keys at once: the one in use, and those before.
const MOST: usize = 8;
/// Bytes of all fields of a secret.
const LONGEST: usize = 64 * 1024;
/// Fields of a secret.
const FIELDS: usize = 64;

/// Fields of a secret, by their names.
pub type SecretFields = BTreeMap<String, SecretString>;

/// Master keys: the first wraps, all unwrap.
pub struct MasterKeys(Vec<MasterKey>);

struct MasterKey {
    /// What it is known by; nothing that would help to guess it.
    id: String,
    key: LessSafeKey,
}

/// A secret as the database has it.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Sealed {
    /// The id of the master key that wraps its own.
    pub(crate) master: String,
    pub(crate) wrapped: Vec<u8>,
    pub(crate) sealed: Vec<u8>,
}

/// What is told of a secret, which is nothing of its value.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct StoredSecret {
    /// Its name, as in `${store:NAME}`.
    pub name: String,
    /// The names of its fields.
    pub fields: Vec<String>,
    /// The id of the master key that wraps its own.
    pub master_key: String,
    /// Unix milliseconds.
    pub created_at: i64,
    /// Unix milliseconds.
    pub updated_at: i64,
    /// Changes with every change.
    pub version: i64,
}

impl fmt::Debug for MasterKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ids = self.0.iter().map(|key| key.id.as_str());
        f.debug_list().entries(ids).finish()
    }
}

impl MasterKeys {
    /// Those that a configuration names; or those of the environment, with commas between them. None where there are none.
    /// A service that has wrapped one is asked for it and waited for, once in the life of a process.
    ///
    /// # Errors
    /// When a file cannot be read, a service does not unwrap a key, or a key is none, in words that hold nothing of it.
    pub fn read(managers: &SecretsConfig) -> Result<Option<Self>, String> {
        let config = &managers.store;
        let mut texts: Vec<Zeroizing<String>> = Vec::new();
        for key in &config.keys {
            texts.push(Zeroizing::new(key.expose().to_owned()));
        }
        for path in &config.key_files {
            let text = std::fs::read_to_string(path)
                .map_err(|error| format!("the file {} cannot be read: {error}", path.display()))?;
            texts.push(Zeroizing::new(text));
        }
        if texts.is_empty() {
            let found = Zeroizing::new(std::env::var(VARIABLE).unwrap_or_default());
            let parts = found.split(',').filter(|part| !part.trim().is_empty());
            texts.extend(parts.map(|part| Zeroizing::new(part.to_owned())));
        }
        if texts.is_empty() {
            return Ok(None);
        }
        if texts.len() > MOST {
            return Err(format!("there may be {MOST} master keys at once"));
        }
        let keys = texts.iter().enumerate().map(|(at, text)| {
            let text = text.trim();
            let found = if is_wrapped_key(text) {
                let key = unwrap_key(text, managers).map_err(|why| format!("master key {at}: {why}"))?;
                MasterKey::of(key.expose_secret())
            } else {
                MasterKey::of(text)
            };
            found.ok_or_else(|| {
                format!("master key {at} is none: it must be 32 bytes in hexadecimal or base64, as `pointsman secret key` makes them")
            })
        });
        keys.collect::<Result<Vec<_>, _>>().map(|keys| Some(Self(keys)))
    }

    /// A new key, as text.
    ///
    /// # Errors
    /// When the system has no chance.
    pub fn generate() -> Result<SecretString, StoreError> {
        let bytes = random::<KEY>()?;
        Ok(STANDARD.encode(*bytes).into())
    }

    /// Seals fields under a name.
    pub(crate) fn seal(&self, name: &str, fields: &SecretFields) -> Result<Sealed, StoreError> {
        let own = random::<KEY>()?;
        let plain: BTreeMap<&str, &str> = fields
            .iter()
            .map(|(field, value)| (field.as_str(), value.expose_secret()))
            .collect();
        let plain = Zeroizing::new(serde_json::to_vec(&plain)?);
        let sealed = encrypt(&cipher(&own[..])?, ("secret", name), &plain)?;
        let (master, wrapped) = self.wrap(name, &own[..])?;
        Ok(Sealed {
            master,
            wrapped,
            sealed,
        })
    }

    /// The fields that were sealed under a name.
    pub(crate) fn open(&self, name: &str, sealed: &Sealed) -> Result<SecretFields, StoreError> {
        let own = self.unwrap(name, sealed)?;
        let plain = decrypt(&cipher(&own)?, ("secret", name), &sealed.sealed).ok_or_else(|| damaged(name))?;
        let fields: BTreeMap<String, String> = serde_json::from_slice(&plain).map_err(|_| damaged(name))?;
        let fields = fields.into_iter();
        Ok(fields.map(|(field, value)| (field, value.into())).collect())
    }

    /// The same with its key wrapped by the first master key; nothing where it is already.
    pub(crate) fn rewrap(&self, name: &str, sealed: &Sealed) -> Result<Option<Sealed>, StoreError> {
        if self.0.first().is_some_and(|first| first.id == sealed.master) {
            return Ok(None);
        }
        let own = self.unwrap(name, sealed)?;
        let (master, wrapped) = self.wrap(name, &own)?;
        Ok(Some(Sealed {
            master,
            wrapped,
            sealed: sealed.sealed.clone(),
        }))
    }

    fn wrap(&self, name: &str, own: &[u8]) -> Result<(String, Vec<u8>), StoreError> {
        let first = self
            .0
            .first()
            .ok_or_else(|| invalid("there is no master key".to_owned()))?;
        Ok((first.id.clone(), encrypt(&first.key, ("key", name), own)?))
    }

    fn unwrap(&self, name: &str, sealed: &Sealed) -> Result<Zeroizing<Vec<u8>>, StoreError> {
        let master = self.0.iter().find(|key| key.id == sealed.master).ok_or_else(|| {
            invalid(format!(
                "the secret {name:?} is sealed by the master key {}, which is not among those that are configured",
                sealed.master
            ))
        })?;
        decrypt(&master.key, ("key", name), &sealed.wrapped).ok_or_else(|| damaged(name))
    }
}

impl MasterKey {
    fn of(text: &str) -> Option<Self> {
        let bytes = Zeroizing::new(decode(text)?);
        if bytes.len() != KEY {
            return None;
        }
        let digest = Sha256::new()
            .chain_update(b"pointsman master key\0")
            .chain_update(&bytes[..])
            .finalize();
        let mut id = String::with_capacity(16);
        for byte in &digest[..8] {
            // Writing to a string cannot fail.
            let _ = write!(id, "{byte:02x}");
        }
        let key = cipher(&bytes).ok()?;
        Some(Self { id, key })
    }
}

/// Bytes in hexadecimal, or in either base64.
fn decode(text: &str) -> Option<Vec<u8>> {
    if text.len() == 2 * KEY && text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        let pairs = (0..KEY).map(|at| u8::from_str_radix(&text[2 * at..2 * at + 2], 16).ok());
        return pairs.collect();
    }
    let plain = STANDARD.decode(text).ok();
    plain.or_else(|| URL_SAFE_NO_PAD.decode(text.trim_end_matches('=')).ok())
}

/// Whether a secret can be kept so.
pub(crate) fn check_secret(name: &str, fields: &SecretFields) -> Result<(), StoreError> {
    crate::holder::check_id(name)?;
    if fields.is_empty() || fields.len() > FIELDS {
        return Err(invalid(format!("a secret has between 1 and {FIELDS} fields")));
    }
    let bytes: usize = fields
        .iter()
        .map(|(field, value)| field.len() + value.expose_secret().len())
        .sum();
    if bytes > LONGEST {
        return Err(invalid(format!("a secret has at most {LONGEST} bytes")));
    }
    for (field, value) in fields {
        crate::holder::check_id(field)?;
        if value.expose_secret().is_empty() {
            return Err(invalid(format!("the field {field:?} of a secret is empty")));
        }
    }
    Ok(())
}

fn damaged(name: &str) -> StoreError {
    invalid(format!("the secret {name:?} is not as it was written"))
}

fn random<const N: usize>() -> Result<Zeroizing<[u8; N]>, StoreError> {
    let mut bytes = Zeroizing::new([0_u8; N]);
    getrandom::fill(&mut bytes[..])?;
    Ok(bytes)
}

pub(crate) fn cipher(key: &[u8]) -> Result<LessSafeKey, StoreError> {
    let key = UnboundKey::new(&AES_256_GCM, key);
    key.map(LessSafeKey::new)
        .map_err(|_| invalid("a key of a secret has another length".to_owned()))
}

/// What a text is bound to: what it is for, and the name of the secret.
fn bound((what, name): (&str, &str)) -> Aad<Vec<u8>> {
    Aad::from(["pointsman ", what, "\0", name].concat().into_bytes())
}

/// The nonce, and what is sealed.
pub(crate) fn encrypt(key: &LessSafeKey, of: (&str, &str), plain: &[u8]) -> Result<Vec<u8>, StoreError> {
    let nonce = random::<NONCE_LEN>()?;
    let mut text = plain.to_vec();
    let failed = |_| invalid("a secret could not be sealed".to_owned());
    key.seal_in_place_append_tag(Nonce::assume_unique_for_key(*nonce), bound(of), &mut text)
        .map_err(failed)?;
    Ok([&nonce[..], &text].concat())
}

pub(crate) fn decrypt(key: &LessSafeKey, of: (&str, &str), sealed: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let (nonce, text) = sealed.split_at_checked(NONCE_LEN)?;
    let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
    let mut text = Zeroizing::new(text.to_vec());
    let length = key.open_in_place(nonce, bound(of), &mut text).ok()?.len();
    text.truncate(length);
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(texts: &[&str]) -> MasterKeys {
        let mut config = SecretsConfig::default();
        config.store.keys = texts.iter().map(|text| (*text).into()).collect();
        MasterKeys::read(&config).unwrap().unwrap()
    }

    fn fields(value: &str) -> SecretFields {
        BTreeMap::from([("api_key".to_owned(), value.into())])
    }

    #[test]
    fn what_is_sealed_is_opened_by_its_name_and_key_alone() {
        let (one, other) = ("11".repeat(32), "22".repeat(32));
        let own = keys(&[&one]);
        let sealed = own.seal("openai", &fields("sk-1")).unwrap();
        let again = own.seal("openai", &fields("sk-1")).unwrap();
        assert!(sealed.sealed != again.sealed && sealed.wrapped != again.wrapped);
        let opened = own.open("openai", &sealed).unwrap();
        assert_eq!(opened["api_key"].expose_secret(), "sk-1");
        assert!(
            own.open("anthropic", &sealed).is_err(),
            "a row in the place of another"
        );
        let told = keys(&[&other]).open("openai", &sealed).unwrap_err().to_string();
        assert!(told.contains("not among those"), "{told}");
        for damage in [
            |sealed: &mut Sealed| sealed.sealed[20] ^= 1,
            |sealed: &mut Sealed| sealed.wrapped[20] ^= 1,
            |sealed: &mut Sealed| sealed.sealed.truncate(5),
        ] {
            let mut damaged = sealed.clone();
            damage(&mut damaged);
            assert!(own.open("openai", &damaged).is_err());
        }
        assert!(!format!("{own:?}").contains("1111"));
    }

    #[test]
    fn a_master_key_is_changed_while_both_are_known() {
        let (old, new) = ("11".repeat(32), STANDARD.encode([7_u8; 32]));
        let sealed = keys(&[&old]).seal("s", &fields("v")).unwrap();
        let both = keys(&[&new, &old]);
        assert_eq!(both.open("s", &sealed).unwrap()["api_key"].expose_secret(), "v");
        let moved = both.rewrap("s", &sealed).unwrap().unwrap();
        assert_eq!(both.rewrap("s", &moved).unwrap(), None);
        let alone = keys(&[&new]);
        assert_eq!(alone.open("s", &moved).unwrap()["api_key"].expose_secret(), "v");
        assert!(alone.open("s", &sealed).is_err());
    }

    #[test]
    fn what_is_no_key_is_said_without_being_shown() {
        for text in [
            "",
            "short",
            &"g".repeat(64),
            &"1".repeat(62),
            &STANDARD.encode([1; 31]),
        ] {
            let mut config = SecretsConfig::default();
            config.store.keys = vec![text.into()];
            let told = MasterKeys::read(&config).unwrap_err();
            assert!(told.contains("master key 0 is none"), "{told}");
            assert!(text.is_empty() || !told.contains(text), "{told}");
        }
        let made = MasterKeys::generate().unwrap();
        keys(&[made.expose_secret()]);
    }

    impl fmt::Debug for Sealed {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(f, "Sealed({})", self.master)
        }
    }
}

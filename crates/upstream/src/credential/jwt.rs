//! Signed assertions (JSON Web Tokens, RFC 7519): keys from PEM, RS256, PS256 and ES256.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, RSA_PKCS1_SHA256, RSA_PSS_SHA256, RsaKeyPair,
};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::{Map, Value, json};

use super::error::CredentialError;
use super::skew::ServerClock;
use crate::config::Secret;

/// Assertions are valid from this long ago: their clock may be behind.
const BACKDATED_SECS: i64 = 10;

/// How an assertion is signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Algorithm {
    Rs256,
    Ps256,
    Es256,
}

impl Algorithm {
    pub(crate) fn parse(name: &str) -> Option<Self> {
        match name {
            "RS256" => Some(Self::Rs256),
            "PS256" => Some(Self::Ps256),
            "ES256" => Some(Self::Es256),
            _ => None,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Rs256 => "RS256",
            Self::Ps256 => "PS256",
            Self::Es256 => "ES256",
        }
    }
}

/// A private key and how it signs.
pub(crate) struct Signer {
    key: Key,
    algorithm: Algorithm,
}

enum Key {
    Rsa(Box<RsaKeyPair>),
    Ec(Box<EcdsaKeyPair>),
}

impl Signer {
    /// Reads the first private key of a PEM text. Without an algorithm, the kind of key decides.
    pub(crate) fn from_pem(
        pem: &str,
        algorithm: Option<Algorithm>,
        what: &str,
    ) -> Result<Self, CredentialError> {
        let wrong = |problem: &str| CredentialError::invalid(format!("{what}: {problem}"));
        let der = PrivateKeyDer::from_pem_slice(pem.as_bytes())
            .map_err(|_| wrong("holds no private key in PEM format (encrypted keys cannot be read)"))?;
        let key = match &der {
            PrivateKeyDer::Pkcs1(der) => RsaKeyPair::from_der(der.secret_pkcs1_der())
                .map(|key| Key::Rsa(Box::new(key)))
                .map_err(|_| wrong("the RSA key cannot be used; it must have at least 2048 bits"))?,
            PrivateKeyDer::Pkcs8(der) => Self::pkcs8(der.secret_pkcs8_der())
                .ok_or_else(|| wrong("is neither an RSA key of at least 2048 bits nor an EC key on P-256"))?,
            _ => {
                return Err(wrong(
                    "is an EC key in its old form; convert it with `openssl pkcs8 -topk8 -nocrypt`",
                ));
            }
        };
        let own = match &key {
            Key::Rsa(_) => Algorithm::Rs256,
            Key::Ec(_) => Algorithm::Es256,
        };
        let algorithm = algorithm.unwrap_or(own);
        if (own == Algorithm::Es256) != (algorithm == Algorithm::Es256) {
            return Err(wrong(&format!(
                "is not a key that signs with {}",
                algorithm.name()
            )));
        }
        Ok(Self { key, algorithm })
    }

    fn pkcs8(der: &[u8]) -> Option<Key> {
        if let Ok(key) = RsaKeyPair::from_pkcs8(der) {
            return Some(Key::Rsa(Box::new(key)));
        }
        EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, der, &SystemRandom::new())
            .ok()
            .map(|key| Key::Ec(Box::new(key)))
    }

    /// The compact form of a token with these claims. `header` is completed with type and algorithm.
    pub(crate) fn sign(
        &self,
        mut header: Map<String, Value>,
        claims: &Map<String, Value>,
    ) -> Result<Secret, CredentialError> {
        header.insert("typ".to_owned(), json!("JWT"));
        header.insert("alg".to_owned(), json!(self.algorithm.name()));
        let encode = |part: &Map<String, Value>| {
            URL_SAFE_NO_PAD.encode(serde_json::to_string(part).unwrap_or_default())
        };
        let mut token = [encode(&header), encode(claims)].join(".");
        let signature = self
            .signature(token.as_bytes())
            .map_err(|_| CredentialError::invalid("an assertion could not be signed"))?;
        token.push('.');
        URL_SAFE_NO_PAD.encode_string(signature, &mut token);
        Ok(token.into())
    }

    fn signature(&self, message: &[u8]) -> Result<Vec<u8>, ring::error::Unspecified> {
        let random = SystemRandom::new();
        match &self.key {
            Key::Rsa(key) => {
                let mut signature = vec![0; key.public().modulus_len()];
                match self.algorithm {
                    Algorithm::Ps256 => key.sign(&RSA_PSS_SHA256, &random, message, &mut signature)?,
                    _ => key.sign(&RSA_PKCS1_SHA256, &random, message, &mut signature)?,
                }
                Ok(signature)
            }
            Key::Ec(key) => Ok(key.sign(&random, message)?.as_ref().to_vec()),
        }
    }
}

/// Who says what to whom.
pub(crate) struct Claims<'a> {
    pub(crate) issuer: &'a str,
    pub(crate) subject: Option<&'a str>,
    pub(crate) audience: &'a str,
    pub(crate) lifetime_secs: i64,
}

impl Claims<'_> {
    /// The claims of an assertion made now, by their clock.
    pub(crate) fn now(&self, clock: &ServerClock) -> Map<String, Value> {
        let now = clock.now_secs();
        let mut claims = Map::new();
        claims.insert("iss".to_owned(), json!(self.issuer));
        if let Some(subject) = self.subject {
            claims.insert("sub".to_owned(), json!(subject));
        }
        claims.insert("aud".to_owned(), json!(self.audience));
        claims.insert("iat".to_owned(), json!(now - BACKDATED_SECS));
        claims.insert("exp".to_owned(), json!(now - BACKDATED_SECS + self.lifetime_secs));
        claims
    }
}

/// An id that is not used twice (`jti`).
pub(crate) fn unique() -> String {
    format!("{:032x}", rand::random::<u128>())
}

/// The certificates of a PEM text.
pub(crate) fn certificates(pem: &str, what: &str) -> Result<Vec<CertificateDer<'static>>, CredentialError> {
    let found: Vec<_> = CertificateDer::pem_slice_iter(pem.as_bytes())
        .collect::<Result<_, _>>()
        .map_err(|_| CredentialError::invalid(format!("{what} is not valid PEM")))?;
    if found.is_empty() {
        return Err(CredentialError::invalid(format!("{what} holds no certificate")));
    }
    Ok(found)
}

//! How tokens may be signed, and the keys that check them (RFC 7517, RFC 7518, RFC 8037). Nothing symmetric, no `none`.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::signature::{
    self, ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ED25519, RSA_PKCS1_2048_8192_SHA256,
    RSA_PKCS1_2048_8192_SHA384, RSA_PKCS1_2048_8192_SHA512, RSA_PSS_2048_8192_SHA256,
    RSA_PSS_2048_8192_SHA384, RSA_PSS_2048_8192_SHA512, RsaPublicKeyComponents, UnparsedPublicKey,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Keys of one set, at most: more are not read.
const MAX_KEYS: usize = 64;
/// Bytes of an RSA modulus: 2048 bits at least, and none that takes long to check.
const RSA_BYTES: std::ops::RangeInclusive<usize> = 256..=1024;

/// How a token is signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum Algorithm {
    /// RSA with PKCS #1 v1.5 and SHA-256.
    Rs256,
    /// The same with SHA-384.
    Rs384,
    /// The same with SHA-512.
    Rs512,
    /// RSA-PSS with SHA-256.
    Ps256,
    /// The same with SHA-384.
    Ps384,
    /// The same with SHA-512.
    Ps512,
    /// ECDSA on P-256 with SHA-256.
    Es256,
    /// ECDSA on P-384 with SHA-384.
    Es384,
    /// Ed25519.
    #[serde(rename = "EdDSA")]
    EdDsa,
}

/// What kind of key an algorithm takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Rsa,
    P256,
    P384,
    Ed25519,
}

impl Algorithm {
    /// By its name in a header; none for whatever is not signed with a private key.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Some(match name {
            "RS256" => Self::Rs256,
            "RS384" => Self::Rs384,
            "RS512" => Self::Rs512,
            "PS256" => Self::Ps256,
            "PS384" => Self::Ps384,
            "PS512" => Self::Ps512,
            "ES256" => Self::Es256,
            "ES384" => Self::Es384,
            "EdDSA" | "Ed25519" => Self::EdDsa,
            _ => return None,
        })
    }

    fn kind(self) -> Kind {
        match self {
            Self::Rs256 | Self::Rs384 | Self::Rs512 | Self::Ps256 | Self::Ps384 | Self::Ps512 => Kind::Rsa,
            Self::Es256 => Kind::P256,
            Self::Es384 => Kind::P384,
            Self::EdDsa => Kind::Ed25519,
        }
    }
}

/// A JSON Web Key, as far as it matters here.
#[derive(Debug, Deserialize)]
struct Jwk {
    kty: String,
    kid: Option<String>,
    #[serde(rename = "use")]
    purpose: Option<String>,
    key_ops: Option<Vec<String>>,
    alg: Option<String>,
    crv: Option<String>,
    n: Option<String>,
    e: Option<String>,
    x: Option<String>,
    y: Option<String>,
}

#[derive(Deserialize)]
struct Set {
    keys: Vec<serde_json::Value>,
}

enum Material {
    Rsa { modulus: Vec<u8>, exponent: Vec<u8> },
    Point(Vec<u8>),
}

/// A public key of an issuer.
struct Key {
    id: Option<String>,
    kind: Kind,
    /// The only algorithm it is for, where it says so.
    only: Option<Algorithm>,
    material: Material,
}

/// The public keys of an issuer.
#[derive(Default)]
pub struct KeySet(Vec<Key>);

/// Why no key of a set says yes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unsigned {
    /// None of this id that fits to the algorithm: the set may be old.
    NoKey,
    /// The signature is not that of the key.
    Wrong,
}

impl KeySet {
    /// Reads a JWK set; keys that are not for checking signatures, or of kinds that are not known, are left out.
    ///
    /// # Errors
    /// When it is no JWK set.
    pub fn read(text: &[u8]) -> Result<Self, serde_json::Error> {
        let set: Set = serde_json::from_slice(text)?;
        let keys = set.keys.into_iter().take(MAX_KEYS);
        let keys = keys.filter_map(|key| Key::of(serde_json::from_value(key).ok()?));
        Ok(Self(keys.collect()))
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether `signature` over `message` is by the key of this id; without one, by the only key that fits.
    ///
    /// # Errors
    /// When there is no such key, or it says no.
    pub fn verify(
        &self,
        (algorithm, id): (Algorithm, Option<&str>),
        message: &[u8],
        signature: &[u8],
    ) -> Result<(), Unsigned> {
        let mut fitting = self.0.iter().filter(|key| {
            key.kind == algorithm.kind()
                && key.only.is_none_or(|only| only == algorithm)
                && id.is_none_or(|id| key.id.as_deref() == Some(id))
        });
        let key = fitting.next().ok_or(Unsigned::NoKey)?;
        // Two that fit: which one it is must be said.
        if fitting.next().is_some() {
            return Err(Unsigned::NoKey);
        }
        key.verify(algorithm, message, signature)
            .map_err(|ring::error::Unspecified| Unsigned::Wrong)
    }
}

impl Key {
    fn of(jwk: Jwk) -> Option<Self> {
        let is_for_signatures = jwk.purpose.as_deref().is_none_or(|purpose| purpose == "sig")
            && jwk
                .key_ops
                .as_ref()
                .is_none_or(|operations| operations.iter().any(|operation| operation == "verify"));
        if !is_for_signatures {
            return None;
        }
        let bytes = |text: &Option<String>| URL_SAFE_NO_PAD.decode(text.as_deref()?).ok();
        let (kind, material) = match (jwk.kty.as_str(), jwk.crv.as_deref()) {
            ("RSA", _) => {
                let (modulus, exponent) = (bytes(&jwk.n)?, bytes(&jwk.e)?);
                if !RSA_BYTES.contains(&modulus.len()) {
                    return None;
                }
                (Kind::Rsa, Material::Rsa { modulus, exponent })
            }
            ("EC", Some("P-256")) => (Kind::P256, point(&bytes(&jwk.x)?, &bytes(&jwk.y)?, 32)?),
            ("EC", Some("P-384")) => (Kind::P384, point(&bytes(&jwk.x)?, &bytes(&jwk.y)?, 48)?),
            ("OKP", Some("Ed25519")) => (Kind::Ed25519, Material::Point(bytes(&jwk.x)?)),
            _ => return None,
        };
        let only = match &jwk.alg {
            // For an algorithm that is not known here: for none.
            Some(name) => Some(Algorithm::named(name)?),
            None => None,
        };
        Some(Self {
            id: jwk.kid,
            kind,
            only,
            material,
        })
    }

    fn verify(
        &self,
        algorithm: Algorithm,
        message: &[u8],
        signature: &[u8],
    ) -> Result<(), ring::error::Unspecified> {
        match &self.material {
            Material::Rsa { modulus, exponent } => {
                let parameters: &signature::RsaParameters = match algorithm {
                    Algorithm::Rs256 => &RSA_PKCS1_2048_8192_SHA256,
                    Algorithm::Rs384 => &RSA_PKCS1_2048_8192_SHA384,
                    Algorithm::Rs512 => &RSA_PKCS1_2048_8192_SHA512,
                    Algorithm::Ps256 => &RSA_PSS_2048_8192_SHA256,
                    Algorithm::Ps384 => &RSA_PSS_2048_8192_SHA384,
                    Algorithm::Ps512 => &RSA_PSS_2048_8192_SHA512,
                    _ => return Err(ring::error::Unspecified),
                };
                let key = RsaPublicKeyComponents {
                    n: modulus,
                    e: exponent,
                };
                key.verify(parameters, message, signature)
            }
            Material::Point(point) => {
                let way: &dyn signature::VerificationAlgorithm = match algorithm {
                    Algorithm::Es256 => &ECDSA_P256_SHA256_FIXED,
                    Algorithm::Es384 => &ECDSA_P384_SHA384_FIXED,
                    Algorithm::EdDsa => &ED25519,
                    _ => return Err(ring::error::Unspecified),
                };
                UnparsedPublicKey::new(way, point).verify(message, signature)
            }
        }
    }
}

/// A point of a curve, uncompressed; none where a coordinate is not as long as the curve says.
fn point(x: &[u8], y: &[u8], length: usize) -> Option<Material> {
    let fits = x.len() == length && y.len() == length;
    fits.then(|| Material::Point([&[4], x, y].concat()))
}

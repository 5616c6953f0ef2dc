//! A token as it comes (RFC 7519, RFC 8725): taken apart within bounds, checked, and only then read.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::algorithm::{Algorithm, KeySet, Unsigned};

/// Bytes of a token, at most.
pub(crate) const MAX_TOKEN: usize = 16 * 1024;
/// Bytes of a key's id, at most.
const MAX_KID: usize = 256;

/// Why a token is not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// It is none.
    #[error("the token cannot be read")]
    Malformed,
    /// Nobody that is trusted here has issued it.
    #[error("the issuer of the token is not trusted here")]
    Issuer,
    /// It is signed in a way that is not accepted.
    #[error("the token is signed in a way that is not accepted here")]
    Algorithm,
    /// It brings a key of its own, or demands what is not known.
    #[error("the token brings keys or demands of its own")]
    Demands,
    /// Its issuer has no such key.
    #[error("the key of the token is not one of its issuer")]
    NoKey,
    /// It was changed, or never signed by its issuer.
    #[error("the signature of the token is wrong")]
    Signature,
    /// It is for somebody else.
    #[error("the token is not for this gateway")]
    Audience,
    /// Whoever issued it says so.
    #[error("the token is not good: whoever issued it says so")]
    Inactive,
    /// Its time is over.
    #[error("the token has expired")]
    Expired,
    /// Its time has not come.
    #[error("the token is not valid yet")]
    Early,
    /// It does not say who it is for.
    #[error("the token does not say {0}")]
    Lacks(&'static str),
    /// What it says does not fit together with what is known here.
    #[error(
        "the token names a team or an organization that is not known here, or that do not belong together"
    )]
    Holders,
    /// Who it is for, or what they belong to, is disabled or deleted.
    #[error("whoever the token is for is disabled or deleted")]
    Closed,
    /// Who it is for cannot be made known.
    #[error("the user of the token cannot be taken up at the moment")]
    Unavailable,
}

/// A header. What is not here is not heeded.
#[derive(Deserialize)]
struct Header {
    alg: String,
    kid: Option<String>,
    typ: Option<String>,
    crit: Option<Value>,
    jku: Option<Value>,
    x5u: Option<Value>,
    jwk: Option<Value>,
    b64: Option<Value>,
    zip: Option<Value>,
}

/// A token, taken apart. Nothing of it is true before it is verified.
pub(crate) struct Token<'a> {
    algorithm: Algorithm,
    kid: Option<String>,
    /// What is signed.
    message: &'a str,
    claims: Map<String, Value>,
    signature: Vec<u8>,
}

/// What is expected of a token's claims.
pub(crate) struct Expected<'a> {
    pub(crate) issuer: &'a str,
    pub(crate) audience: &'a [String],
    pub(crate) algorithms: &'a [Algorithm],
    /// Seconds by which clocks may differ.
    pub(crate) leeway: i64,
    /// Unix seconds.
    pub(crate) now: i64,
}

impl<'a> Token<'a> {
    /// Takes it apart.
    pub(crate) fn read(text: &'a str) -> Result<Self, TokenError> {
        if text.len() > MAX_TOKEN {
            return Err(TokenError::Malformed);
        }
        let (message, signature) = text.rsplit_once('.').ok_or(TokenError::Malformed)?;
        let (header, payload) = message.split_once('.').ok_or(TokenError::Malformed)?;
        let decode = |part: &str| URL_SAFE_NO_PAD.decode(part).map_err(|_| TokenError::Malformed);
        let header: Header = serde_json::from_slice(&decode(header)?).map_err(|_| TokenError::Malformed)?;
        let algorithm = Algorithm::named(&header.alg).ok_or(TokenError::Algorithm)?;
        // A key in the token itself, or where the token says, would be whoever wrote the token's.
        let demands = [
            &header.crit,
            &header.jku,
            &header.x5u,
            &header.jwk,
            &header.b64,
            &header.zip,
        ];
        if demands.iter().any(|demand| demand.is_some()) {
            return Err(TokenError::Demands);
        }
        let is_of_type = |typ: &str| typ.eq_ignore_ascii_case("JWT") || typ.eq_ignore_ascii_case("at+jwt");
        if header
            .typ
            .is_some_and(|typ| !is_of_type(typ.trim_start_matches("application/")))
        {
            return Err(TokenError::Malformed);
        }
        if header.kid.as_ref().is_some_and(|kid| kid.len() > MAX_KID) {
            return Err(TokenError::Malformed);
        }
        let claims = serde_json::from_slice(&decode(payload)?).map_err(|_| TokenError::Malformed)?;
        Ok(Self {
            algorithm,
            kid: header.kid,
            message,
            claims,
            signature: decode(signature)?,
        })
    }

    /// Its claims, as it has them.
    pub(crate) fn claims(&self) -> &Map<String, Value> {
        &self.claims
    }

    /// Who is said to have issued it: only for finding the keys that it is checked with.
    pub(crate) fn issuer(&self) -> Option<&str> {
        self.claims.get("iss")?.as_str()
    }

    /// Its claims, when it is what is expected; and when it ends, Unix seconds.
    pub(crate) fn verify(
        self,
        keys: &KeySet,
        expected: &Expected<'_>,
    ) -> Result<(Map<String, Value>, i64), TokenError> {
        if !expected.algorithms.contains(&self.algorithm) {
            return Err(TokenError::Algorithm);
        }
        let by = (self.algorithm, self.kid.as_deref());
        keys.verify(by, self.message.as_bytes(), &self.signature)
            .map_err(|unsigned| match unsigned {
                Unsigned::NoKey => TokenError::NoKey,
                Unsigned::Wrong => TokenError::Signature,
            })?;
        if self.issuer() != Some(expected.issuer) {
            return Err(TokenError::Issuer);
        }
        if !is_for(self.claims.get("aud"), expected.audience) {
            return Err(TokenError::Audience);
        }
        let time = |name: &str| match self.claims.get(name) {
            None => Ok(None),
            Some(value) => seconds(value).map(Some).ok_or(TokenError::Malformed),
        };
        let ends = time("exp")?.ok_or(TokenError::Lacks("when it ends (exp)"))?;
        if expected.now >= ends.saturating_add(expected.leeway) {
            return Err(TokenError::Expired);
        }
        let begins = time("nbf")?.unwrap_or(i64::MIN);
        if expected.now.saturating_add(expected.leeway) < begins {
            return Err(TokenError::Early);
        }
        Ok((self.claims, ends))
    }
}

/// Whether one of those it is for is one of ours.
pub(crate) fn is_for(said: Option<&Value>, ours: &[String]) -> bool {
    let is_ours = |value: &Value| {
        value
            .as_str()
            .is_some_and(|text| ours.iter().any(|our| our == text))
    };
    match said {
        Some(Value::Array(all)) => all.iter().any(is_ours),
        Some(one) => is_ours(one),
        None => false,
    }
}

/// Unix seconds; fractions are cut off.
pub(crate) fn seconds(value: &Value) -> Option<i64> {
    let whole = value.as_i64();
    whole.or_else(|| {
        let number = value.as_f64().filter(|number| number.abs() < 1e15)?;
        Some(number as i64)
    })
}

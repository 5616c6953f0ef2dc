//! AWS Signature Version 4: the signature of a request in its headers.
//!
//! What is signed is what is sent: the path as it goes over the wire is encoded once more (but for S3), the host is
//! the endpoint's own, so private endpoints work like public ones.

mod canonical;
mod verify;

pub use verify::{PresentedSignature, SignatureError, SignedRequest};

use std::fmt::Write;

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HeaderName};
use http::{HeaderMap, HeaderValue, Request};
use ring::{digest, hmac};
use secrecy::{ExposeSecret, SecretString};

use super::error::CredentialError;

const AMZ_DATE: HeaderName = HeaderName::from_static("x-amz-date");
const AMZ_TOKEN: HeaderName = HeaderName::from_static("x-amz-security-token");
const AMZ_CONTENT: HeaderName = HeaderName::from_static("x-amz-content-sha256");
const UNSIGNED: &str = "UNSIGNED-PAYLOAD";

/// AWS access keys.
pub(crate) struct AccessKeys {
    pub(crate) id: String,
    pub(crate) secret: SecretString,
    pub(crate) session_token: Option<SecretString>,
}

/// What a signature is good for.
#[derive(Clone, Copy)]
pub(crate) struct Scope<'a> {
    pub(crate) region: &'a str,
    pub(crate) service: &'a str,
}

/// How the body takes part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Payload {
    /// Its hash is signed.
    Signed,
    /// Its hash is signed and sent.
    Declared,
    /// It is not signed, and the request says so.
    Unsigned,
}

/// Signs `request` for `host` at `now` (seconds since 1970). Replaces an earlier signature.
pub(crate) fn sign(
    request: &mut Request<Bytes>,
    host: &str,
    (keys, scope): (&AccessKeys, Scope<'_>),
    payload: Payload,
    now: i64,
) -> Result<(), CredentialError> {
    let time = jiff::Timestamp::from_second(now)
        .map_err(|_| CredentialError::invalid("the clock shows no time that can be signed"))?
        .strftime("%Y%m%dT%H%M%SZ")
        .to_string();
    let unsendable = |_| CredentialError::invalid("AWS credentials hold characters that cannot be sent");
    let hash = match payload {
        Payload::Unsigned => UNSIGNED.to_owned(),
        Payload::Signed | Payload::Declared => sha256_hex(request.body()),
    };
    let date = HeaderValue::from_str(&time).map_err(unsendable)?;
    let declared = (payload != Payload::Signed)
        .then(|| HeaderValue::from_str(&hash))
        .transpose()
        .map_err(unsendable)?;
    let token = keys
        .session_token
        .as_ref()
        .map(|token| HeaderValue::from_str(token.expose_secret()))
        .transpose()
        .map_err(unsendable)?;
    let headers = request.headers_mut();
    headers.remove(AUTHORIZATION);
    headers.insert(AMZ_DATE, date);
    set(headers, AMZ_CONTENT, declared);
    set(
        headers,
        AMZ_TOKEN,
        token.map(|mut token| {
            token.set_sensitive(true);
            token
        }),
    );
    let target = canonical::Target {
        method: request.method().as_str(),
        path: request.uri().path(),
        query: request.uri().query().unwrap_or_default(),
        is_s3: scope.service == "s3",
    };
    let signed = canonical::headers(host, request.headers(), is_signed);
    let canonical = canonical::request(&target, &signed, &hash);
    let (authorization, _) = authorization(keys, scope, &time, (&canonical, &signed.names));
    let mut value = HeaderValue::from_str(&authorization).map_err(unsendable)?;
    value.set_sensitive(true);
    request.headers_mut().insert(AUTHORIZATION, value);
    Ok(())
}

fn set(headers: &mut HeaderMap, name: HeaderName, value: Option<HeaderValue>) {
    match value {
        Some(value) => drop(headers.insert(name, value)),
        None => drop(headers.remove(name)),
    }
}

/// Headers that are part of the signature. Others may be changed on the way, by a proxy or by the connection.
fn is_signed(name: &HeaderName) -> bool {
    name == CONTENT_TYPE || name.as_str().starts_with("x-amz-") || name.as_str().starts_with("x-goog-")
}

/// The value of `Authorization`, and the string that was signed.
fn authorization(
    keys: &AccessKeys,
    scope: Scope<'_>,
    time: &str,
    (canonical, names): (&str, &str),
) -> (String, String) {
    let date = time.get(..8).unwrap_or(time);
    let Scope { region, service } = scope;
    let place = format!("{date}/{region}/{service}/aws4_request");
    let to_sign = format!(
        "AWS4-HMAC-SHA256\n{time}\n{place}\n{}",
        sha256_hex(canonical.as_bytes())
    );
    let secret = SecretString::from(["AWS4", keys.secret.expose_secret()].concat());
    let mut key = mac(secret.expose_secret().as_bytes(), date);
    for part in [region, service, "aws4_request"] {
        key = mac(key.as_ref(), part);
    }
    let signature = hex(mac(key.as_ref(), &to_sign).as_ref());
    let authorization = format!(
        "AWS4-HMAC-SHA256 Credential={}/{place}, SignedHeaders={names}, Signature={signature}",
        keys.id
    );
    (authorization, to_sign)
}

fn mac(key: &[u8], text: &str) -> hmac::Tag {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), text.as_bytes())
}

fn sha256_hex(bytes: &[u8]) -> String {
    hex(digest::digest(&digest::SHA256, bytes).as_ref())
}

/// Lower-case hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

#[cfg(test)]
mod tests;

//! Signatures of AWS, version 4: read from a request, and computed anew.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::HeaderMap;
use sha2::{Digest, Sha256};

use crate::exchange::Refusal;
use crate::sim::{Asked, AwsAccount};

/// How far clocks may differ.
const SKEW: Duration = Duration::from_secs(300);
const ALGORITHM: &str = "AWS4-HMAC-SHA256";

pub(crate) fn sha256(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A keyed checksum.
pub(crate) fn hmac(key: &[u8], text: &str) -> [u8; 32] {
    let mut block = [0_u8; 64];
    if key.len() > 64 {
        block[..32].copy_from_slice(&sha256(key));
    } else {
        block[..key.len()].copy_from_slice(key);
    }
    let pad = |with: u8| block.map(|byte| byte ^ with);
    let inner = sha256(&[&pad(0x36)[..], text.as_bytes()].concat());
    sha256(&[&pad(0x5c)[..], &inner[..]].concat())
}

/// What an authorization header says.
struct Said<'a> {
    access_key: &'a str,
    /// Day, region, service and the word at the end.
    scope: Vec<&'a str>,
    headers: Vec<&'a str>,
    signature: &'a str,
}

fn refuse(code: &'static str, message: impl Into<String>) -> Refusal {
    Refusal::new(403, message).coded(code)
}

fn parse(text: &str) -> Option<Said<'_>> {
    let fields: Vec<(&str, &str)> = text
        .strip_prefix(ALGORITHM)?
        .split(',')
        .filter_map(|field| field.trim().split_once('='))
        .collect();
    let field = |name: &str| {
        fields
            .iter()
            .find(|(known, _)| *known == name)
            .map(|(_, value)| *value)
    };
    let mut credential = field("Credential")?.split('/');
    Some(Said {
        access_key: credential.next()?,
        scope: credential.collect(),
        headers: field("SignedHeaders")?.split(';').collect(),
        signature: field("Signature")?,
    })
}

fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

/// Refuses whoever has not signed, or not well; a bearer's key is as good.
pub(super) fn authorize(asked: &Asked) -> Result<(), Refusal> {
    let Some(text) = header(&asked.headers, "authorization") else {
        return Err(refuse(
            "MissingAuthenticationTokenException",
            "Missing Authentication Token",
        ));
    };
    if let Some(key) = text.strip_prefix("Bearer ") {
        if key.starts_with("ABSK") || key.starts_with("sk-") || key.starts_with("bedrock-api-key-") {
            return Ok(());
        }
        return Err(refuse(
            "AccessDeniedException",
            "Authentication failed: Please make sure your API Key is valid.",
        ));
    }
    let incomplete = || {
        refuse(
            "IncompleteSignatureException",
            "Authorization header requires 'Credential' parameter. Authorization header requires 'Signature' parameter. Authorization header requires 'SignedHeaders' parameter.",
        )
    };
    let said = parse(text).ok_or_else(incomplete)?;
    let [day, region, service, end] = said.scope.as_slice() else {
        return Err(incomplete());
    };
    let dated = header(&asked.headers, "x-amz-date").unwrap_or_default();
    if *service != "bedrock" || *end != "aws4_request" || region.is_empty() {
        return Err(refuse(
            "InvalidSignatureException",
            format!("Credential should be scoped to correct service: 'bedrock'. Got '{service}'."),
        ));
    }
    if !dated.starts_with(*day) || !fresh(dated) {
        return Err(refuse(
            "InvalidSignatureException",
            format!("Signature expired: {dated} is not within 5 minutes of the time of the server"),
        ));
    }
    signs_enough(asked, &said.headers)?;
    let hash = hex(&sha256(&asked.body));
    if header(&asked.headers, "x-amz-content-sha256").is_some_and(|said| said != hash) {
        return Err(refuse(
            "InvalidSignatureException",
            "The provided 'x-amz-content-sha256' header does not match what was computed.",
        ));
    }
    if said.signature.len() != 64 || !said.signature.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err(incomplete());
    }
    match &asked.state.options.aws {
        Some(account) => verify(asked, &said, (dated, &hash), account),
        None => Ok(()),
    }
}

/// Some headers have to be signed.
fn signs_enough(asked: &Asked, signed: &[&str]) -> Result<(), Refusal> {
    for needed in ["host", "x-amz-date"] {
        if !signed.contains(&needed) {
            return Err(refuse(
                "InvalidSignatureException",
                format!("'{needed}' must be a 'SignedHeader' in the AWS Authorization."),
            ));
        }
    }
    let token = asked.headers.contains_key("x-amz-security-token");
    if token && !signed.contains(&"x-amz-security-token") {
        return Err(refuse(
            "InvalidSignatureException",
            "'X-Amz-Security-Token' must be a 'SignedHeader' in the AWS Authorization.",
        ));
    }
    Ok(())
}

fn verify(
    asked: &Asked,
    said: &Said,
    (dated, hash): (&str, &str),
    account: &AwsAccount,
) -> Result<(), Refusal> {
    if said.access_key != account.access_key {
        return Err(refuse(
            "UnrecognizedClientException",
            "The security token included in the request is invalid.",
        ));
    }
    let canonical = canonical(asked, &said.headers, hash);
    let to_sign = format!(
        "{ALGORITHM}\n{dated}\n{}\n{}",
        said.scope.join("/"),
        hex(&sha256(canonical.as_bytes()))
    );
    let mut key = format!("AWS4{}", account.secret_key).into_bytes();
    for part in &said.scope {
        key = hmac(&key, part).to_vec();
    }
    if hex(&hmac(&key, &to_sign)) == said.signature {
        return Ok(());
    }
    Err(refuse(
        "InvalidSignatureException",
        format!(
            "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key and signing method. Consult the service documentation for details.\n\nThe Canonical String for this request should have been\n'{canonical}'\n"
        ),
    ))
}

/// The request in the form that is signed.
fn canonical(asked: &Asked, signed: &[&str], hash: &str) -> String {
    let mut pairs: Vec<&str> = asked.query.split('&').filter(|pair| !pair.is_empty()).collect();
    pairs.sort_unstable();
    let headers: String = signed
        .iter()
        .map(|name| {
            let values: Vec<String> = asked
                .headers
                .get_all(*name)
                .iter()
                .map(|value| {
                    let text = String::from_utf8_lossy(value.as_bytes()).into_owned();
                    text.split_whitespace().collect::<Vec<_>>().join(" ")
                })
                .collect();
            format!("{name}:{}\n", values.join(","))
        })
        .collect();
    format!(
        "{}\n{}\n{}\n{headers}\n{}\n{hash}",
        asked.method,
        encode_path(&asked.path),
        pairs.join("&"),
        signed.join(";")
    )
}

/// The path, encoded once more than it was sent.
fn encode_path(path: &str) -> String {
    let mut out = String::new();
    for byte in path.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~' | b'/') {
            out.push(byte as char);
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

/// Whether a time such as `20260102T030405Z` is now.
fn fresh(dated: &str) -> bool {
    let number = |range: std::ops::Range<usize>| dated.get(range)?.parse::<i64>().ok();
    let parts = (
        number(0..4),
        number(4..6),
        number(6..8),
        number(9..11),
        number(11..13),
        number(13..15),
    );
    let (Some(year), Some(month), Some(day), Some(hour), Some(minute), Some(second)) = parts else {
        return false;
    };
    // Days since 1970, with years that begin in March.
    let shifted = if month > 2 { year } else { year - 1 };
    let era = shifted.div_euclid(400);
    let of_era = shifted.rem_euclid(400);
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let days = era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468;
    let then = days * 86_400 + hour * 3_600 + minute * 60 + second;
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs());
    now.cast_signed().abs_diff(then) <= SKEW.as_secs()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keyed_checksums_are_those_of_the_standard() {
        // RFC 4231, test case 2, and a key that is longer than a block (test case 6).
        assert_eq!(
            hex(&hmac(b"Jefe", "what do ya want for nothing?")),
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
        );
        assert_eq!(
            hex(&hmac(
                &[0xaa; 131],
                "Test Using Larger Than Block-Size Key - Hash Key First"
            )),
            "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54"
        );
    }

    #[test]
    fn old_signatures_are_not_fresh() {
        assert!(!fresh("20150830T123600Z"));
        assert!(!fresh("soon"));
    }
}

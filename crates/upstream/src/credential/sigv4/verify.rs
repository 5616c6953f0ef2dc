//! Signatures of requests that come in: whose they say they are, and whether they were made with their secret.

use http::HeaderMap;
use secrecy::SecretString;
use subtle::ConstantTimeEq;

use super::{AMZ_CONTENT, AMZ_DATE, AccessKeys, Scope, authorization, canonical, sha256_hex};

/// Most seconds between a request's clock and ours.
const MAX_SKEW: i64 = 300;
const ALGORITHM: &str = "AWS4-HMAC-SHA256 ";

/// Why a signature is not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// Not a signature of version 4, or not for this service.
    #[error(
        "the signature is malformed: it must be AWS4-HMAC-SHA256 for the service bedrock, with host and x-amz-date signed"
    )]
    Malformed,
    /// It was made too long ago, or in the future.
    #[error("the signature's time is more than five minutes from this server's: check the clocks")]
    Skewed,
    /// The body is not what was signed, or was not signed.
    #[error("the body is not the one that was signed")]
    Body,
    /// It was made with another secret, or for another request.
    #[error(
        "the signature does not match the request: check the secret access key, and that no proxy changes path or headers"
    )]
    Mismatch,
}

/// The `Authorization` header of a signed request, taken apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PresentedSignature<'a> {
    /// The access key id.
    pub key: &'a str,
    date: &'a str,
    region: &'a str,
    service: &'a str,
    names: &'a str,
    signature: &'a str,
}

/// A request as it came in.
#[derive(Debug, Clone, Copy)]
pub struct SignedRequest<'a> {
    /// Its method.
    pub method: &'a str,
    /// Its path, as sent.
    pub path: &'a str,
    /// Its query, as sent.
    pub query: &'a str,
    /// The host it was sent to.
    pub host: &'a str,
    /// Its headers.
    pub headers: &'a HeaderMap,
    /// Its body, as sent.
    pub body: &'a [u8],
}

impl<'a> PresentedSignature<'a> {
    /// Whether a header is meant to be a signature.
    #[must_use]
    pub fn is_meant(authorization: &str) -> bool {
        authorization.starts_with(ALGORITHM.trim_end())
    }

    /// Takes the header apart.
    ///
    /// # Errors
    /// When it is not a signature of version 4 for Bedrock.
    pub fn parse(authorization: &'a str) -> Result<Self, SignatureError> {
        let fields = authorization
            .strip_prefix(ALGORITHM)
            .ok_or(SignatureError::Malformed)?;
        let field = |name: &str| {
            fields
                .split(',')
                .find_map(|field| field.trim().strip_prefix(name)?.strip_prefix('='))
                .ok_or(SignatureError::Malformed)
        };
        let mut place = field("Credential")?.split('/');
        let mut next = || place.next().ok_or(SignatureError::Malformed);
        let (key, date, region, service, end) = (next()?, next()?, next()?, next()?, next()?);
        let presented = Self {
            key,
            date,
            region,
            service,
            names: field("SignedHeaders")?,
            signature: field("Signature")?,
        };
        let signed = |wanted: &str| presented.names.split(';').any(|name| name == wanted);
        let sound =
            service == "bedrock" && end == "aws4_request" && signed("host") && signed(AMZ_DATE.as_str());
        sound.then_some(presented).ok_or(SignatureError::Malformed)
    }

    /// Whether the request was signed with `secret`, at about `now` (seconds since 1970).
    ///
    /// # Errors
    /// When it was not.
    pub fn verify(
        &self,
        request: &SignedRequest<'_>,
        secret: SecretString,
        now: i64,
    ) -> Result<(), SignatureError> {
        let header = |name| {
            request
                .headers
                .get(name)
                .and_then(|value: &http::HeaderValue| value.to_str().ok())
        };
        let time = header(AMZ_DATE).ok_or(SignatureError::Malformed)?;
        let at = seconds(time).ok_or(SignatureError::Malformed)?;
        if now.abs_diff(at) > MAX_SKEW.unsigned_abs() {
            return Err(SignatureError::Skewed);
        }
        if time.get(..8) != Some(self.date) {
            return Err(SignatureError::Malformed);
        }
        let hash = sha256_hex(request.body);
        if header(AMZ_CONTENT).is_some_and(|declared| declared != hash) {
            return Err(SignatureError::Body);
        }
        let target = canonical::Target {
            method: request.method,
            path: request.path,
            query: request.query,
            is_s3: false,
        };
        let signed = canonical::headers(request.host, request.headers, |name| {
            self.names.split(';').any(|signed| signed == name.as_str())
        });
        if signed.names != self.names {
            return Err(SignatureError::Mismatch);
        }
        let keys = AccessKeys {
            id: self.key.to_owned(),
            secret,
            session_token: None,
        };
        let scope = Scope {
            region: self.region,
            service: self.service,
        };
        let canonical = canonical::request(&target, &signed, &hash);
        let (expected, _) = authorization(&keys, scope, time, (&canonical, &signed.names));
        let expected = expected.rsplit('=').next().unwrap_or_default();
        if bool::from(expected.as_bytes().ct_eq(self.signature.as_bytes())) {
            Ok(())
        } else {
            Err(SignatureError::Mismatch)
        }
    }
}

/// `20261126T104700Z` as seconds since 1970.
fn seconds(time: &str) -> Option<i64> {
    let time = [time.strip_suffix('Z')?, "+0000"].concat();
    let time = jiff::Timestamp::strptime("%Y%m%dT%H%M%S%z", time).ok()?;
    Some(time.as_second())
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http::{Request, header};

    use super::super::{Payload, sign};
    use super::*;

    const NOW: i64 = 1_795_000_000;
    const SECRET: &str = "wJalrXUtnFEMI";
    const PATH: &str =
        "/bedrock/model/arn%3Aaws%3Abedrock%3Aeu-west-1%3A1%3Ainference-profile%2Feu.x/converse";

    fn signed(payload: Payload) -> Request<Bytes> {
        let mut request = Request::post(PATH)
            .header(header::CONTENT_TYPE, "application/json")
            .body(Bytes::from_static(b"{}"))
            .unwrap();
        let keys = AccessKeys {
            id: "key_1".to_owned(),
            secret: SECRET.into(),
            session_token: None,
        };
        let scope = Scope {
            region: "eu-west-1",
            service: "bedrock",
        };
        sign(&mut request, "localhost:8080", (&keys, scope), payload, NOW).unwrap();
        request
    }

    fn judge(request: &Request<Bytes>, secret: &str, now: i64) -> Result<(), SignatureError> {
        let authorization = request.headers()[header::AUTHORIZATION].to_str().unwrap();
        let received = SignedRequest {
            method: request.method().as_str(),
            path: request.uri().path(),
            query: request.uri().query().unwrap_or_default(),
            host: "localhost:8080",
            headers: request.headers(),
            body: request.body(),
        };
        PresentedSignature::parse(authorization)?.verify(&received, secret.into(), now)
    }

    #[test]
    fn what_was_signed_is_accepted_for_five_minutes() {
        for payload in [Payload::Signed, Payload::Declared] {
            let request = signed(payload);
            assert_eq!(judge(&request, SECRET, NOW), Ok(()));
            assert_eq!(judge(&request, SECRET, NOW + 299), Ok(()));
            assert_eq!(judge(&request, SECRET, NOW + 301), Err(SignatureError::Skewed));
            assert_eq!(judge(&request, SECRET, NOW - 301), Err(SignatureError::Skewed));
        }
    }

    #[test]
    fn whatever_is_changed_is_noticed() {
        assert_eq!(
            judge(&signed(Payload::Signed), "another", NOW),
            Err(SignatureError::Mismatch)
        );
        let mut body = signed(Payload::Signed);
        *body.body_mut() = Bytes::from_static(b"{ }");
        assert_eq!(judge(&body, SECRET, NOW), Err(SignatureError::Mismatch));
        let mut declared = signed(Payload::Declared);
        *declared.body_mut() = Bytes::from_static(b"{ }");
        assert_eq!(judge(&declared, SECRET, NOW), Err(SignatureError::Body));
        assert_eq!(
            judge(&signed(Payload::Unsigned), SECRET, NOW),
            Err(SignatureError::Body)
        );
        let mut path = signed(Payload::Signed);
        *path.uri_mut() = "/model/other/converse".parse().unwrap();
        assert_eq!(judge(&path, SECRET, NOW), Err(SignatureError::Mismatch));
        let mut query = signed(Payload::Signed);
        *query.uri_mut() = format!("{PATH}?x=1").parse().unwrap();
        assert_eq!(judge(&query, SECRET, NOW), Err(SignatureError::Mismatch));
        let mut kind = signed(Payload::Signed);
        kind.headers_mut()
            .insert(header::CONTENT_TYPE, "text/plain".parse().unwrap());
        assert_eq!(judge(&kind, SECRET, NOW), Err(SignatureError::Mismatch));
    }

    #[test]
    fn what_is_no_signature_is_malformed() {
        for text in [
            "AWS4-HMAC-SHA256 ",
            "AWS4-HMAC-SHA256 Credential=a/b, SignedHeaders=host, Signature=c",
            "AWS4-HMAC-SHA256 Credential=k/20261126/r/s3/aws4_request, SignedHeaders=host;x-amz-date, Signature=c",
            "AWS4-HMAC-SHA256 Credential=k/20261126/r/bedrock/aws4_request, SignedHeaders=host, Signature=c",
            "Bearer x",
        ] {
            assert_eq!(
                PresentedSignature::parse(text),
                Err(SignatureError::Malformed),
                "{text}"
            );
        }
    }
}

//! An identity provider on loopback: takes requests down, checks what is signed, answers as the test says.

use std::convert::Infallible;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::UNIX_EPOCH;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use http::Response;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use ring::signature::{self, KeyPair, RsaKeyPair, UnparsedPublicKey};
use rustls_pki_types::PrivateKeyDer;
use rustls_pki_types::pem::PemObject;
use serde_json::{Value, json};
use url::form_urlencoded;

use super::super::sigv4::{self, AccessKeys, Payload, Scope};
use super::*;

pub(crate) const RSA_1: &str = include_str!("../../../tests/data/client-1.key.pem");
pub(crate) const RSA_1_PKCS1: &str = include_str!("../../../tests/data/client-1.pkcs1.pem");
pub(crate) const RSA_2: &str = include_str!("../../../tests/data/client-2.key.pem");
pub(crate) const CERT_1: &str = include_str!("../../../tests/data/client-1.cert.pem");
pub(crate) const CERT_2: &str = include_str!("../../../tests/data/client-2.cert.pem");

/// A request as it came.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) method: String,
    pub(crate) path: String,
    query: String,
    headers: HeaderMap,
    body: Bytes,
}

/// What is answered.
pub(crate) struct Answer {
    status: u16,
    body: String,
    headers: Vec<(String, String)>,
}

pub(crate) struct Idp {
    pub(crate) url: String,
    calls: Arc<Mutex<Vec<Call>>>,
}

impl Call {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    pub(crate) fn form(&self, name: &str) -> String {
        pair(&self.body, name)
    }

    pub(crate) fn parameter(&self, name: &str) -> String {
        pair(self.query.as_bytes(), name)
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    /// Id and secret of basic authentication.
    pub(crate) fn basic(&self) -> String {
        let encoded = self
            .header("authorization")
            .strip_prefix("Basic ")
            .unwrap_or_default();
        String::from_utf8(STANDARD.decode(encoded).unwrap()).unwrap()
    }

    /// Whether the request is signed by whoever holds these keys.
    pub(crate) fn is_signed(&self, keys: &AccessKeys, scope: Scope<'_>) -> bool {
        let target = format!("{}?{}", self.path, self.query);
        let mut again = Request::post(target.trim_end_matches('?'))
            .body(self.body.clone())
            .unwrap();
        for (name, value) in &self.headers {
            again.headers_mut().append(name, value.clone());
        }
        let date = self.header("x-amz-date");
        let Ok(time) = jiff::civil::DateTime::strptime("%Y%m%dT%H%M%SZ", date) else {
            return false;
        };
        let now = jiff::tz::TimeZone::UTC.to_timestamp(time).unwrap().as_second();
        let age = now_secs() - now;
        sigv4::sign(
            &mut again,
            self.header("host"),
            (keys, scope),
            Payload::Signed,
            now,
        )
        .unwrap();
        age.abs() < 300 && again.headers()["authorization"] == self.header("authorization")
    }
}

fn pair(encoded: &[u8], name: &str) -> String {
    form_urlencoded::parse(encoded)
        .find(|(key, _)| key == name)
        .map(|(_, value)| value.into_owned())
        .unwrap_or_default()
}

impl Answer {
    pub(crate) fn json(body: &Value) -> Self {
        Self::text(200, body.to_string())
    }

    pub(crate) fn text(status: u16, body: impl Into<String>) -> Self {
        Self {
            status,
            body: body.into(),
            headers: Vec::new(),
        }
    }

    /// An OAuth token.
    pub(crate) fn token(token: &str, lifetime_secs: u64) -> Self {
        Self::json(&json!({ "access_token": token, "token_type": "Bearer", "expires_in": lifetime_secs }))
    }

    /// An OAuth error.
    pub(crate) fn error(status: u16, code: &str, description: &str) -> Self {
        Self::text(
            status,
            json!({ "error": code, "error_description": description }).to_string(),
        )
    }

    /// The keys of a role, as the Security Token Service writes them.
    pub(crate) fn role(action: &str, id: &str, lifetime_secs: i64) -> Self {
        Self::text(
            200,
            format!(
                "<{action}Response xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><{action}Result><Credentials>\
                 <AccessKeyId>{id}</AccessKeyId><SecretAccessKey>secret-of-{id}</SecretAccessKey>\
                 <SessionToken>session&amp;of-{id}</SessionToken><Expiration>{}</Expiration></Credentials>\
                 </{action}Result></{action}Response>",
                in_secs(lifetime_secs)
            ),
        )
    }

    pub(crate) fn with(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }
}

impl Idp {
    pub(crate) async fn start(answer: impl Fn(&Call) -> Answer + Send + Sync + 'static) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let calls: Arc<Mutex<Vec<Call>>> = Arc::default();
        let (answer, seen) = (Arc::new(answer), Arc::clone(&calls));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (answer, seen) = (Arc::clone(&answer), Arc::clone(&seen));
                let service = service_fn(move |request: Request<Incoming>| {
                    let (answer, seen) = (Arc::clone(&answer), Arc::clone(&seen));
                    async move {
                        let (parts, body) = request.into_parts();
                        let call = Call {
                            method: parts.method.to_string(),
                            path: parts.uri.path().to_owned(),
                            query: parts.uri.query().unwrap_or_default().to_owned(),
                            headers: parts.headers,
                            body: body.collect().await.unwrap().to_bytes(),
                        };
                        seen.lock().push(call.clone());
                        let answer = (*answer)(&call);
                        let mut response = Response::builder().status(answer.status);
                        for (name, value) in answer.headers {
                            response = response.header(name, value);
                        }
                        Ok::<_, Infallible>(response.body(Full::new(Bytes::from(answer.body))).unwrap())
                    }
                });
                tokio::spawn(
                    hyper::server::conn::http1::Builder::new()
                        .serve_connection(TokioIo::new(stream), service),
                );
            }
        });
        Self { url, calls }
    }

    /// One that numbers the tokens it gives: `token-1`, `token-2`, …
    pub(crate) async fn numbering(lifetime_secs: u64) -> Self {
        let issued = AtomicU64::new(0);
        Self::start(move |_| {
            let number = issued.fetch_add(1, Ordering::SeqCst) + 1;
            Answer::token(&format!("token-{number}"), lifetime_secs)
        })
        .await
    }

    pub(crate) fn at(&self, path: &str) -> String {
        format!("{}{path}", self.url)
    }

    pub(crate) fn calls(&self) -> Vec<Call> {
        self.calls.lock().clone()
    }

    pub(crate) fn count(&self) -> usize {
        self.calls.lock().len()
    }
}

/// What a signed assertion must be.
pub(crate) struct Expected<'a> {
    pub(crate) key: &'a str,
    pub(crate) algorithm: &'a str,
    pub(crate) issuer: &'a str,
    pub(crate) audience: &'a str,
    /// By whose clock.
    pub(crate) now: i64,
}

/// Header and claims of an assertion that is signed, in time, and by and for whom it should be; else why not.
pub(crate) fn verified(token: &str, expected: &Expected<'_>) -> Result<(Value, Value), String> {
    let (signed, signature) = token.rsplit_once('.').ok_or("no token")?;
    let (header, claims) = signed.split_once('.').ok_or("no token")?;
    let decode = |part: &str| URL_SAFE_NO_PAD.decode(part).map_err(|error| error.to_string());
    let parse = |part: &str| -> Result<Value, String> {
        serde_json::from_slice(&decode(part)?).map_err(|error| error.to_string())
    };
    let (header, claims) = (parse(header)?, parse(claims)?);
    if header["alg"] != expected.algorithm || header["typ"] != "JWT" {
        return Err(format!("signed in another way: {header}"));
    }
    let signature = decode(signature)?;
    let (algorithm, key): (&dyn signature::VerificationAlgorithm, _) = match expected.algorithm {
        "RS256" => (&signature::RSA_PKCS1_2048_8192_SHA256, rsa_public(expected.key)),
        "PS256" => (&signature::RSA_PSS_2048_8192_SHA256, rsa_public(expected.key)),
        _ => (&signature::ECDSA_P256_SHA256_FIXED, ec_public(expected.key)),
    };
    UnparsedPublicKey::new(algorithm, key)
        .verify(signed.as_bytes(), &signature)
        .map_err(|_| "the signature is not of that key".to_owned())?;
    let at = |name: &str| claims[name].as_i64().unwrap_or_default();
    if at("iat") > expected.now + 5 || at("exp") <= expected.now || at("exp") - at("iat") > 3600 {
        return Err(format!("not valid now: {claims}"));
    }
    if claims["iss"] != expected.issuer || claims["aud"] != expected.audience {
        return Err(format!("by or for somebody else: {claims}"));
    }
    Ok((header, claims))
}

fn rsa_public(pem: &str) -> Vec<u8> {
    let PrivateKeyDer::Pkcs8(der) = PrivateKeyDer::from_pem_slice(pem.as_bytes()).unwrap() else {
        panic!("not PKCS#8");
    };
    let pair = RsaKeyPair::from_pkcs8(der.secret_pkcs8_der()).unwrap();
    pair.public_key().as_ref().to_vec()
}

fn ec_public(pem: &str) -> Vec<u8> {
    let key = rcgen::KeyPair::from_pem(pem).unwrap();
    rcgen::PublicKeyData::der_bytes(&key).to_vec()
}

pub(crate) fn now_secs() -> i64 {
    i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()).unwrap()
}

/// The time in so many seconds, as services write it.
pub(crate) fn in_secs(secs: i64) -> String {
    let time = jiff::Timestamp::from_second(now_secs() + secs).unwrap();
    time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// The `Date` header of a server whose clock is so many seconds ahead.
pub(crate) fn date_ahead(secs: i64) -> String {
    let time = jiff::Timestamp::from_second(now_secs() + secs).unwrap();
    time.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()
}

/// What `Authorization` holds after a request was authorized.
pub(crate) async fn bearer(credential: &Credential) -> Result<String, CredentialError> {
    let (request, _) = authorized(credential).await?;
    Ok(request.headers()["authorization"].to_str().unwrap().to_owned())
}

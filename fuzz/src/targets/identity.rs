//! Tokens of identity providers and their key sets: nothing that nobody signed is ever accepted.

use std::sync::LazyLock;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use pointsman_governance::jwt::{self, Issuer};

pub const TOKENS: &[&str] = &[
    "{\"alg\":\"EdDSA\",\"kid\":\"k\",\"typ\":\"JWT\"}\n{\"iss\":\"i\",\"aud\":[\"a\"],\"sub\":\"s\",\"exp\":4000000000,\"nbf\":1,\"roles\":[\"r\"]}\nAAAA",
    "{\"alg\":\"none\"}\n{\"iss\":\"i\",\"aud\":\"a\",\"sub\":\"s\",\"exp\":4e9}\n",
    "{\"keys\":[{\"kty\":\"RSA\",\"n\":\"AQAB\",\"e\":\"AQAB\"},{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"AA\",\"y\":\"AA\",\"use\":\"sig\",\"key_ops\":[\"verify\"],\"alg\":\"ES256\"}]}",
];

/// An issuer whose key nobody has.
static ISSUER: LazyLock<Issuer> = LazyLock::new(|| {
    let config = serde_json::json!({"issuer": "i", "audience": ["a"], "jwks": {"url": "https://i/keys"},
        "claims": {"roles": "/roles", "organization": "o"}});
    let issuer = Issuer::new(serde_json::from_value(config).unwrap());
    let key = serde_json::json!({"keys": [{"kty": "OKP", "crv": "Ed25519", "kid": "k",
        "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]});
    assert_eq!(issuer.learn(key.to_string().as_bytes()).unwrap(), 1);
    issuer
});

pub fn token(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else {
        return;
    };
    assert!(ISSUER.verify(text, 0).is_err(), "{text}");
    let parts: Vec<String> = text
        .split('\n')
        .map(|part| URL_SAFE_NO_PAD.encode(part))
        .collect();
    let token = parts.join(".");
    let _ = jwt::said_issuer(&token);
    assert!(ISSUER.verify(&token, 1_000).is_err(), "{text}");
}

pub fn keys(input: &[u8]) {
    let config = ISSUER.config().clone();
    let _ = Issuer::new(config).learn(input);
}

//! Tokens of identity providers: what is accepted, and every known way of getting in without being whom one says.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test says what it expects by failing"
)]

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use pointsman_governance::jwt::{Issuer, JwtConfig, TokenError, is_token};
use pointsman_governance::{KeyRing, Limits};
use pointsman_store::{Actor, HolderKind, HolderSpec, Store};
use proptest::prelude::*;
use ring::hmac;
use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair, RSA_PKCS1_SHA256, RSA_PSS_SHA256,
    RsaEncoding, RsaKeyPair,
};
use serde_json::{Value, json};

const NOW: i64 = 1_800_000_000;

/// A key of a test's issuer.
enum Signer {
    Rsa(Box<RsaKeyPair>),
    Ec(Box<EcdsaKeyPair>),
    Ed(Box<Ed25519KeyPair>),
}

fn encode(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

impl Signer {
    fn rsa() -> Self {
        // Of these tests alone.
        let der = include_bytes!("data/rsa.pk8");
        Self::Rsa(Box::new(RsaKeyPair::from_pkcs8(der).unwrap()))
    }

    fn ec() -> Self {
        let random = SystemRandom::new();
        let way = &ECDSA_P256_SHA256_FIXED_SIGNING;
        let made = EcdsaKeyPair::generate_pkcs8(way, &random).unwrap();
        Self::Ec(Box::new(
            EcdsaKeyPair::from_pkcs8(way, made.as_ref(), &random).unwrap(),
        ))
    }

    fn ed() -> Self {
        let made = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).unwrap();
        Self::Ed(Box::new(Ed25519KeyPair::from_pkcs8(made.as_ref()).unwrap()))
    }

    fn jwk(&self, kid: &str) -> Value {
        match self {
            Self::Rsa(key) => {
                let (modulus, exponent) = modulus(key.public_key().as_ref());
                json!({"kty": "RSA", "kid": kid, "use": "sig", "n": encode(modulus), "e": encode(exponent)})
            }
            Self::Ec(key) => {
                let point = key.public_key().as_ref();
                json!({"kty": "EC", "crv": "P-256", "kid": kid, "x": encode(&point[1..33]), "y": encode(&point[33..])})
            }
            Self::Ed(key) => {
                json!({"kty": "OKP", "crv": "Ed25519", "kid": kid, "alg": "EdDSA", "x": encode(key.public_key())})
            }
        }
    }

    fn sign(&self, algorithm: &str, message: &[u8]) -> Vec<u8> {
        let random = SystemRandom::new();
        match self {
            Self::Rsa(key) => {
                let way: &dyn RsaEncoding = if algorithm.starts_with('P') {
                    &RSA_PSS_SHA256
                } else {
                    &RSA_PKCS1_SHA256
                };
                let mut signature = vec![0; key.public().modulus_len()];
                key.sign(way, &random, message, &mut signature).unwrap();
                signature
            }
            Self::Ec(key) => key.sign(&random, message).unwrap().as_ref().to_vec(),
            Self::Ed(key) => key.sign(message).as_ref().to_vec(),
        }
    }

    fn token(&self, header: &Value, claims: &Value) -> String {
        let message = format!("{}.{}", encode(header.to_string()), encode(claims.to_string()));
        let algorithm = header["alg"].as_str().unwrap_or_default();
        format!("{message}.{}", encode(self.sign(algorithm, message.as_bytes())))
    }
}

/// Modulus and exponent of an RSA key in DER: a sequence of two numbers.
fn modulus(der: &[u8]) -> (Vec<u8>, Vec<u8>) {
    fn item(der: &[u8]) -> (&[u8], &[u8]) {
        let (length, start) = match der[1] {
            0x81 => (usize::from(der[2]), 3),
            0x82 => (usize::from(der[2]) << 8 | usize::from(der[3]), 4),
            short => (usize::from(short), 2),
        };
        (&der[start..start + length], &der[start + length..])
    }
    let (sequence, _) = item(der);
    let (first, rest) = item(sequence);
    let (second, _) = item(rest);
    let trimmed = |number: &[u8]| number.iter().copied().skip_while(|byte| *byte == 0).collect();
    (trimmed(first), trimmed(second))
}

fn config(more: Value) -> JwtConfig {
    let mut all = json!({
        "issuer": "https://login.example/", "audience": ["pointsman"], "jwks": {"url": "https://login.example/keys"},
    });
    for (name, value) in more.as_object().unwrap() {
        all[name] = value.clone();
    }
    serde_json::from_value(all).unwrap()
}

fn issuer(more: Value, keys: &[Value]) -> Issuer {
    let issuer = Issuer::new(config(more));
    assert_eq!(
        issuer
            .learn(json!({"keys": keys}).to_string().as_bytes())
            .unwrap(),
        keys.len()
    );
    issuer
}

fn claims() -> Value {
    json!({"iss": "https://login.example/", "aud": "pointsman", "sub": "alice", "exp": NOW + 60})
}

fn verify(issuer: &Issuer, token: &str) -> Result<String, TokenError> {
    issuer
        .verify(token, NOW * 1_000)
        .map(|subject| subject.user.as_str().to_owned())
}

#[test]
fn every_algorithm_that_is_configured_is_accepted() {
    let signers = [
        (Signer::rsa(), "RS256"),
        (Signer::rsa(), "PS256"),
        (Signer::ec(), "ES256"),
        (Signer::ed(), "EdDSA"),
    ];
    for (signer, algorithm) in &signers {
        let issuer = issuer(json!({}), &[signer.jwk("k")]);
        let token = signer.token(&json!({"alg": algorithm, "kid": "k", "typ": "JWT"}), &claims());
        assert!(is_token(&token));
        assert_eq!(verify(&issuer, &token).as_deref(), Ok("alice"), "{algorithm}");
        let only = Issuer::new(config(json!({"algorithms": ["ES384"]})));
        only.learn(json!({"keys": [signer.jwk("k")]}).to_string().as_bytes())
            .unwrap();
        assert_eq!(verify(&only, &token), Err(TokenError::Algorithm), "{algorithm}");
    }
}

#[test]
fn a_token_that_is_not_signed_by_its_issuer_is_refused() {
    let signer = Signer::rsa();
    let issuer = issuer(json!({}), &[signer.jwk("k")]);
    let good = signer.token(&json!({"alg": "RS256", "kid": "k"}), &claims());
    let (message, signature) = good.rsplit_once('.').unwrap();
    let unsigned = |alg: &str| {
        format!(
            "{}.{}.",
            encode(json!({"alg": alg}).to_string()),
            encode(claims().to_string())
        )
    };
    for alg in ["none", "None", "NONE", ""] {
        assert_eq!(
            verify(&issuer, &unsigned(alg)),
            Err(TokenError::Algorithm),
            "{alg:?}"
        );
    }
    // The public key as the secret of a symmetric signature.
    for secret in [
        signer.jwk("k").to_string(),
        signer.jwk("k")["n"].as_str().unwrap().to_owned(),
    ] {
        let header = encode(json!({"alg": "HS256", "kid": "k"}).to_string());
        let message = format!("{header}.{}", encode(claims().to_string()));
        let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
        let token = format!("{message}.{}", encode(hmac::sign(&key, message.as_bytes())));
        assert_eq!(verify(&issuer, &token), Err(TokenError::Algorithm));
    }
    // Another key, the same name.
    let other = Signer::ec().token(&json!({"alg": "ES256", "kid": "k"}), &claims());
    assert_eq!(verify(&issuer, &other), Err(TokenError::NoKey));
    // One algorithm's signature under another's name.
    let pss = Signer::rsa().token(&json!({"alg": "PS256", "kid": "k"}), &claims());
    let swapped = encode(json!({"alg": "RS256", "kid": "k"}).to_string());
    let (_, rest) = pss.split_once('.').unwrap();
    assert_eq!(
        verify(&issuer, &format!("{swapped}.{rest}")),
        Err(TokenError::Signature)
    );
    // Other claims under a good signature.
    let mut forged = claims();
    forged["sub"] = json!("admin");
    let (header, _) = message.split_once('.').unwrap();
    let token = format!("{header}.{}.{signature}", encode(forged.to_string()));
    assert_eq!(verify(&issuer, &token), Err(TokenError::Signature));
    assert_eq!(
        verify(&issuer, &format!("{message}.")),
        Err(TokenError::Signature)
    );
}

#[test]
fn a_token_brings_no_keys_and_no_demands() {
    let attacker = Signer::ec();
    let issuer = issuer(json!({}), &[Signer::rsa().jwk("k")]);
    for (name, value) in [
        ("jwk", attacker.jwk("k")),
        ("jku", json!("https://evil.example/keys")),
        ("x5u", json!("https://evil.example/chain")),
        ("crit", json!(["exp"])),
        ("b64", json!(false)),
        ("zip", json!("DEF")),
    ] {
        let mut header = json!({"alg": "ES256", "kid": "k"});
        header[name] = value;
        let token = attacker.token(&header, &claims());
        assert_eq!(verify(&issuer, &token), Err(TokenError::Demands), "{name}");
    }
    for kid in [
        "../../dev/null",
        "k' OR '1'='1",
        "k\0",
        "/etc/passwd",
        "$(id)",
        "http://evil.example/",
    ] {
        let token = attacker.token(&json!({"alg": "ES256", "kid": kid}), &claims());
        assert_eq!(verify(&issuer, &token), Err(TokenError::NoKey), "{kid:?}");
    }
    let long = attacker.token(&json!({"alg": "ES256", "kid": "k".repeat(300)}), &claims());
    assert_eq!(verify(&issuer, &long), Err(TokenError::Malformed));
    let kind = attacker.token(&json!({"alg": "ES256", "typ": "JWE"}), &claims());
    assert_eq!(verify(&issuer, &kind), Err(TokenError::Malformed));
}

#[test]
fn issuer_audience_and_times_are_as_expected() {
    let signer = Signer::ec();
    let issuer = issuer(json!({}), &[signer.jwk("k")]);
    let with = |name: &str, value: Value| {
        let mut claims = claims();
        if value.is_null() {
            claims.as_object_mut().unwrap().remove(name);
        } else {
            claims[name] = value;
        }
        verify(
            &issuer,
            &signer.token(&json!({"alg": "ES256", "kid": "k"}), &claims),
        )
    };
    for (name, value, expected) in [
        ("iss", json!("https://login.example"), Err(TokenError::Issuer)),
        ("iss", Value::Null, Err(TokenError::Issuer)),
        ("aud", json!("another"), Err(TokenError::Audience)),
        ("aud", json!(["another"]), Err(TokenError::Audience)),
        ("aud", json!([]), Err(TokenError::Audience)),
        ("aud", Value::Null, Err(TokenError::Audience)),
        ("aud", json!(["another", "pointsman"]), Ok("alice".to_owned())),
        ("exp", Value::Null, Err(TokenError::Lacks("when it ends (exp)"))),
        ("exp", json!("soon"), Err(TokenError::Malformed)),
        ("exp", json!(NOW - 29), Ok("alice".to_owned())),
        ("exp", json!(NOW - 30), Err(TokenError::Expired)),
        ("nbf", json!(NOW + 30), Ok("alice".to_owned())),
        ("nbf", json!(NOW + 31), Err(TokenError::Early)),
        ("exp", json!(1.8e9 + 0.5), Ok("alice".to_owned())),
        ("sub", Value::Null, Err(TokenError::Lacks("who it is for"))),
        ("sub", json!(""), Err(TokenError::Lacks("who it is for"))),
        ("sub", json!({"$ne": 1}), Err(TokenError::Lacks("who it is for"))),
    ] {
        assert_eq!(with(name, value.clone()), expected, "{name} {value}");
    }
}

#[test]
fn keys_rotate_and_what_is_gone_is_gone() {
    let [old, new] = [Signer::ec(), Signer::ec()];
    let issuer = issuer(json!({}), &[old.jwk("old")]);
    let of = |signer: &Signer, kid: &str| signer.token(&json!({"alg": "ES256", "kid": kid}), &claims());
    assert_eq!(
        verify(&issuer, &of(&new, "new")),
        Err(TokenError::NoKey),
        "then the keys are read again"
    );
    issuer
        .learn(
            json!({"keys": [old.jwk("old"), new.jwk("new")]})
                .to_string()
                .as_bytes(),
        )
        .unwrap();
    for (signer, kid) in [(&old, "old"), (&new, "new")] {
        assert!(verify(&issuer, &of(signer, kid)).is_ok());
    }
    let unnamed = new.token(&json!({"alg": "ES256"}), &claims());
    assert_eq!(
        verify(&issuer, &unnamed),
        Err(TokenError::NoKey),
        "two keys fit, and it does not say which"
    );
    issuer
        .learn(json!({"keys": [new.jwk("new")]}).to_string().as_bytes())
        .unwrap();
    assert_eq!(verify(&issuer, &of(&old, "old")), Err(TokenError::NoKey));
    assert!(verify(&issuer, &unnamed).is_ok());
    for nonsense in ["", "{}", "[]", "<html>", "{\"keys\": 1}"] {
        assert!(issuer.learn(nonsense.as_bytes()).is_err(), "{nonsense}");
    }
    assert!(verify(&issuer, &of(&new, "new")).is_ok(), "the keys before stay");
    // Keys that are for something else, or of a kind that is not for signatures.
    let mut encryption = new.jwk("new");
    encryption["use"] = json!("enc");
    let set = json!({"keys": [encryption, {"kty": "oct", "kid": "new", "k": "AAAA"}, {"kty": "RSA", "n": "AQAB", "e": "AQAB"}]});
    assert_eq!(issuer.learn(set.to_string().as_bytes()).unwrap(), 0);
}

#[test]
fn claims_say_who_it_is() {
    let signer = Signer::ec();
    let issuer = issuer(
        json!({"user_prefix": "kc:", "plan": "small", "claims": {
            "user": "preferred_username", "organization": "org", "team": "/teams/0", "name": "name",
            "roles": "/realm_access/roles", "groups": "scope"}}),
        &[signer.jwk("k")],
    );
    let mut claims = claims();
    for (name, value) in [
        ("preferred_username", json!("auth0|al+ice")),
        ("org", json!(["acme"])),
        ("teams", json!(["red", "blue"])),
        ("name", json!("Alice")),
        ("realm_access", json!({"roles": ["dev", 7, "ops"]})),
        ("scope", json!("a  b")),
    ] {
        claims[name] = value;
    }
    let token = signer.token(&json!({"alg": "ES256", "kid": "k"}), &claims);
    let subject = issuer.verify(&token, NOW * 1_000).unwrap();
    // Letters that no id may have are written out, so that no two users become the same.
    assert_eq!(subject.user.as_str(), "kc:auth0+7Cal+2Bice");
    assert_eq!(subject.organization.unwrap().as_str(), "acme");
    assert_eq!(subject.team.unwrap().as_str(), "red");
    assert_eq!(subject.plan.unwrap().as_str(), "small");
    assert_eq!(
        (subject.name.as_str(), subject.roles, subject.groups),
        (
            "Alice",
            vec!["dev".to_owned(), "ops".to_owned()],
            vec!["a".to_owned(), "b".to_owned()]
        )
    );
    assert!(subject.id.as_str().starts_with("jwt_"));
    claims.as_object_mut().unwrap().remove("org");
    let token = signer.token(&json!({"alg": "ES256", "kid": "k"}), &claims);
    assert!(matches!(
        issuer.verify(&token, NOW * 1_000),
        Err(TokenError::Lacks(_))
    ));
}

#[test]
fn expressions_make_of_claims_who_it_is() {
    let signer = Signer::ec();
    let mapping = json!({"claims": {
        "user": {"cel": "claims.email.lowerAscii()"},
        "organization": {"cel": "claims.email.endsWith('@acme.example') ? 'acme' : null"},
        "team": {"cel": "claims.groups.filter(g, g.startsWith('team-')).map(g, g.substring(5))"},
        "roles": {"cel": "claims.level >= 3 ? ['admin', claims.job] : [claims.job]"},
        "groups": "groups"}});
    let issuer = issuer(mapping, &[signer.jwk("k")]);
    let verify = |more: Value| {
        let mut claims = claims();
        for (name, value) in more.as_object().unwrap() {
            claims[name] = value.clone();
        }
        let token = signer.token(&json!({"alg": "ES256", "kid": "k"}), &claims);
        issuer.verify(&token, NOW * 1_000)
    };
    let kim = json!({"email": "Kim@acme.example", "groups": ["all", "team-red"], "level": 3, "job": "dev"});
    let subject = verify(kim.clone()).unwrap();
    assert_eq!(subject.user.as_str(), "kim@acme.example");
    assert_eq!(subject.organization.unwrap().as_str(), "acme");
    assert_eq!(subject.team.unwrap().as_str(), "red");
    assert_eq!(subject.roles, ["admin", "dev"]);
    assert_eq!(subject.groups, ["all", "team-red"]);
    let many: Vec<String> = (0..300).map(|number| format!("team-{number}")).collect();
    for (claim, value) in [
        ("email", json!("kim@other.example")),
        ("email", json!(7)),
        // One team, or none.
        ("groups", json!(["team-red", "team-blue"])),
        ("groups", json!([])),
        ("groups", json!(many)),
        ("groups", json!(null)),
    ] {
        let mut other = kim.clone();
        other[claim] = value;
        assert!(
            matches!(verify(other.clone()), Err(TokenError::Lacks(_))),
            "{other}"
        );
    }
    // Of what is not told nothing follows.
    let mut low = kim;
    low["level"] = json!("high");
    assert_eq!(verify(low).unwrap().roles, [""; 0]);
}

#[test]
fn expressions_that_are_none_are_told_with_their_place() {
    for (cel, says) in [
        ("claims.", ""),
        ("token.sub", "knows no \"token\"; there are claims"),
        (
            "claims.a.all(x, claims.b.all(y, claims.c.all(z, x == y && y == z)))",
            "more than 2 times",
        ),
    ] {
        let wrong = config(json!({"claims": {"roles": {"cel": cel}}}));
        let problems = JwtConfig::problems(&[wrong]);
        let found = problems.iter().find(|(at, _)| at == "[0].claims.roles");
        assert!(
            found.is_some_and(|(_, why)| why.contains(says)),
            "{cel}: {problems:?}"
        );
    }
}

/// Two organizations, and a team of one.
fn known_holders() -> Arc<Store> {
    let store = Arc::new(Store::open("sqlite::memory:").unwrap());
    for (kind, id, organization) in [
        (HolderKind::Organization, "acme", None),
        (HolderKind::Organization, "evil", None),
        (HolderKind::Team, "red", Some("acme")),
    ] {
        let spec = HolderSpec {
            organization: organization.map(Into::into),
            ..HolderSpec::default()
        };
        store
            .create_holder(&Actor::local(), kind, Some(id.to_owned()), spec)
            .unwrap();
    }
    store
}

#[test]
fn users_are_made_when_they_first_come_and_never_change_hands() {
    let (store, actor) = (known_holders(), Actor::local());
    let limits = Limits {
        requests_per_minute: Some(2),
        ..Limits::default()
    };
    let ring = KeyRing::load(Arc::clone(&store), limits).unwrap();
    let signer = Signer::ec();
    let issuer = issuer(json!({"claims": {"organization": "org"}}), &[signer.jwk("k")]);
    let subject = |user: &str, organization: &str| {
        let mut claims = claims();
        claims["sub"] = json!(user);
        claims["org"] = json!(organization);
        let token = signer.token(&json!({"alg": "ES256", "kid": "k"}), &claims);
        issuer.verify(&token, NOW * 1_000).unwrap()
    };
    let alice = ring.take_up(&subject("alice", "acme"), [1; 32]).unwrap();
    assert_eq!(alice.user.as_ref().unwrap().as_str(), "alice");
    assert_eq!(alice.organization.as_ref().unwrap().as_str(), "acme");
    assert!(store.holder(HolderKind::User, "alice").unwrap().is_some());
    // Another token of hers is she again: what she has used counts.
    let again = ring.take_up(&subject("alice", "acme"), [2; 32]).unwrap();
    let now = std::time::Instant::now();
    for who in [&alice, &again] {
        drop(who.admit(pointsman_governance::Estimate::default(), now).unwrap());
    }
    assert!(
        alice
            .admit(pointsman_governance::Estimate::default(), now)
            .is_err()
    );
    assert_eq!(
        ring.take_up(&subject("alice", "evil"), [3; 32]).unwrap_err(),
        TokenError::Holders
    );
    assert_eq!(
        ring.take_up(&subject("bob", "nobody"), [4; 32]).unwrap_err(),
        TokenError::Holders
    );
    assert!(store.holder(HolderKind::User, "bob").unwrap().is_none());
    // Somebody else's first token leaves hers as it was found out.
    ring.take_up(&subject("carol", "acme"), [5; 32]).unwrap();
    let remembered = ring.remembered(&[1; 32]).unwrap().unwrap();
    assert!(Arc::ptr_eq(&remembered, &alice));
    // Disabled users do not come in, whatever their token says.
    let disable = |spec: &mut HolderSpec| {
        spec.disabled = true;
        Ok(())
    };
    store
        .update_holder(&actor, (HolderKind::User, "alice"), None, disable)
        .unwrap();
    ring.refresh().unwrap();
    assert!(
        ring.remembered(&[1; 32]).is_none(),
        "what was found out before does not count"
    );
    assert_eq!(
        ring.take_up(&subject("alice", "acme"), [1; 32]).unwrap_err(),
        TokenError::Closed
    );
}

proptest! {
    #[test]
    fn nothing_that_is_no_token_is_one(text in "[ -~]{0,200}") {
        let issuer = issuer(json!({}), &[Signer::ec().jwk("k")]);
        prop_assert!(issuer.verify(&text, NOW * 1_000).is_err());
    }
}

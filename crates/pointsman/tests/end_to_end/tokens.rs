//! Tokens of an identity provider in the place of keys: keys that rotate, users that are made, ledgers that know them.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use pointsman_store::{Actor, HolderKind, HolderSpec, Terms};
use pointsman_testbed::{SimOptions, SimServer};
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use serde_json::{Value, json};

use crate::harness::{House, entry, folder, post, store};

/// A key of the identity provider.
pub struct Key {
    id: &'static str,
    pair: EcdsaKeyPair,
}

impl Key {
    /// A new one.
    pub fn new(id: &'static str) -> Self {
        let (way, random) = (&ECDSA_P256_SHA256_FIXED_SIGNING, SystemRandom::new());
        let made = EcdsaKeyPair::generate_pkcs8(way, &random).unwrap();
        let pair = EcdsaKeyPair::from_pkcs8(way, made.as_ref(), &random).unwrap();
        Self { id, pair }
    }

    fn jwk(&self) -> Value {
        let point = self.pair.public_key().as_ref();
        let coordinate = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        json!({"kty": "EC", "crv": "P-256", "use": "sig", "kid": self.id,
               "x": coordinate(&point[1..33]), "y": coordinate(&point[33..])})
    }

    /// A token with these claims.
    pub fn token(&self, claims: &Value) -> String {
        let encode = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let header = json!({"alg": "ES256", "kid": self.id, "typ": "JWT"});
        let message = format!("{}.{}", encode(&header), encode(claims));
        let signature = self.pair.sign(&SystemRandom::new(), message.as_bytes()).unwrap();
        format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature))
    }
}

/// Serves a key set, and counts who asks.
pub struct Provider {
    address: std::net::SocketAddr,
    set: Arc<Mutex<String>>,
    asked: Arc<AtomicUsize>,
}

impl Provider {
    /// Starts one with these keys.
    pub fn start(keys: &[&Key]) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let set = Arc::new(Mutex::new(String::new()));
        let asked = Arc::new(AtomicUsize::new(0));
        let (own, count) = (Arc::clone(&set), Arc::clone(&asked));
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let mut head = [0; 4096];
                let _ = stream.read(&mut head);
                count.fetch_add(1, Ordering::Relaxed);
                let body = own.lock().unwrap().clone();
                let _ = write!(
                    stream,
                    "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
                    body.len()
                );
            }
        });
        let provider = Self { address, set, asked };
        provider.has(keys);
        provider
    }

    /// Where it is.
    pub fn address(&self) -> std::net::SocketAddr {
        self.address
    }

    /// How often it was asked.
    pub fn asked(&self) -> usize {
        self.asked.load(Ordering::Relaxed)
    }

    /// Says this to whoever asks, whatever they ask for.
    pub fn says(&self, document: &Value) {
        *self.set.lock().unwrap() = document.to_string();
    }

    fn has(&self, keys: &[&Key]) {
        let keys: Vec<Value> = keys.iter().map(|key| key.jwk()).collect();
        *self.set.lock().unwrap() = json!({ "keys": keys }).to_string();
    }
}

fn claims(user: &str) -> Value {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    json!({"iss": "https://login.example/", "aud": "pointsman", "sub": user, "org": "acme", "exp": now + 300})
}

#[expect(clippy::too_many_lines, reason = "one story, told from beginning to end")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tokens_come_in_as_long_as_their_key_is_the_issuers_and_their_user_may() {
    let sim = SimServer::local(SimOptions::default()).await.unwrap();
    let [old, new, foreign] = ["old", "new", "old"].map(Key::new);
    let provider = Provider::start(&[&old]);
    let folder = folder(&format!(
        "providers: {{ o: {{ kind: openai, base_url: \"http://{}/v1\", auth: {{ api_key: sk-sim }} }} }}\n\
         identity:\n  jwt:\n    - issuer: https://login.example/\n      audience: [pointsman]\n      \
         jwks: {{ url: \"http://{}/keys\", refresh: 1s }}\n      claims: {{ organization: org }}\n",
        sim.address(),
        provider.address
    ));
    let spec = HolderSpec {
        terms: Terms {
            models: vec!["o/gpt-5-mini".to_owned()],
            ..Terms::default()
        },
        ..HolderSpec::default()
    };
    let actor = Actor::local();
    store(folder.path())
        .create_holder(&actor, HolderKind::Organization, Some("acme".to_owned()), spec)
        .unwrap();
    let house = House::open(folder.path());
    let address = house.address;
    let ask = |token: String, model: &'static str| async move {
        let body = json!({"model": model, "messages": [{"role": "user", "content": "hello"}]});
        post(address, "/v1/chat/completions", &token, &body)
            .await
            .unwrap()
    };
    let answer = ask(old.token(&claims("alice")), "o/gpt-5-mini").await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let entry = entry(folder.path(), answer.header("x-request-id"));
    assert_eq!(entry.user.unwrap().as_str(), "alice");
    assert_eq!(entry.organization.unwrap().as_str(), "acme");
    let made = store(folder.path())
        .holder(HolderKind::User, "alice")
        .unwrap()
        .unwrap();
    assert_eq!(made.spec.organization.unwrap().as_str(), "acme");
    // What the organization may not use, nor may its users.
    assert_eq!(ask(old.token(&claims("alice")), "o/gpt-5").await.status, 403);
    // Many requests with the same token ask the identity provider no more.
    let asked = provider.asked.load(Ordering::Relaxed);
    let token = old.token(&claims("alice"));
    for _ in 0..5 {
        assert_eq!(ask(token.clone(), "o/gpt-5-mini").await.status, 200);
    }
    assert!(
        provider.asked.load(Ordering::Relaxed) <= asked + 3,
        "once a second at most"
    );
    for (wrong, what) in [
        (foreign.token(&claims("alice")), "signature"),
        (
            old.token(
                &json!({"iss": "https://login.example/", "aud": "pointsman", "sub": "alice", "exp": 1}),
            ),
            "expired",
        ),
        (
            old.token(&json!({"iss": "https://evil.example/", "aud": "pointsman", "sub": "alice", "exp": 1})),
            "issuer",
        ),
    ] {
        let answer = ask(wrong, "o/gpt-5-mini").await;
        assert_eq!(answer.status, 401);
        assert_eq!(answer.json()["error"]["code"], "invalid_token");
        assert!(answer.text().contains(what), "{}", answer.text());
    }
    // Rotated: the new key is found, and what the old one has signed is good no more.
    provider.has(&[&new]);
    let until = Instant::now() + Duration::from_secs(20);
    while ask(new.token(&claims("alice")), "o/gpt-5-mini").await.status != 200 {
        assert!(Instant::now() < until, "the new key is not found");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    assert_eq!(ask(token, "o/gpt-5-mini").await.status, 401);
    // Disabled: whatever the token says.
    let disable = |spec: &mut HolderSpec| {
        spec.disabled = true;
        Ok(())
    };
    store(folder.path())
        .update_holder(&actor, (HolderKind::User, "alice"), None, disable)
        .unwrap();
    while ask(new.token(&claims("alice")), "o/gpt-5-mini").await.status != 401 {
        assert!(Instant::now() < until, "a disabled user comes in");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let said = house.said();
    assert!(!said.contains("eyJ"), "no token is logged: {said}");
}

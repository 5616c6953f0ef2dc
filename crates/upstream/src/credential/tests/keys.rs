//! Several keys: turns, weights, rests, limits.

use std::collections::HashMap;

use super::*;
use crate::config::{ApiKey, LimitedKey};

fn plain(keys: &[&str]) -> AuthConfig {
    many(keys.iter().map(|key| ApiKey::Plain(Secret::from(*key))).collect())
}

fn many(keys: Vec<ApiKey>) -> AuthConfig {
    AuthConfig {
        api_key: Some(ApiKeys::Many(keys)),
        ..AuthConfig::default()
    }
}

fn limited(key: &str, weight: u32, requests: Option<u64>, tokens: Option<u64>) -> ApiKey {
    ApiKey::Limited(LimitedKey {
        key: key.into(),
        weight,
        requests_per_minute: requests,
        tokens_per_minute: tokens,
    })
}

/// The key of the next request, and what to tell about its answer.
async fn next(credential: &Credential, tokens: u64) -> Result<(String, Authorized), CredentialError> {
    let mut request = request();
    let with = credential
        .authorize(&client(), &endpoint("http://a"), &mut request, tokens)
        .await?;
    let value = request.headers()["authorization"].to_str().unwrap();
    Ok((value.strip_prefix("Bearer ").unwrap().to_owned(), with))
}

async fn some(credential: &Credential, count: usize) -> Vec<String> {
    let mut seen = Vec::new();
    for _ in 0..count {
        seen.push(next(credential, 0).await.unwrap().0);
    }
    seen
}

#[tokio::test]
async fn several_keys_take_turns() {
    let credential = compiled(&plain(&["a", "b", "c"]));
    let seen = some(&credential, 6).await;
    assert_eq!(seen[..3], ["a", "b", "c"]);
    assert_eq!(seen[..3], seen[3..]);
}

#[tokio::test]
async fn turns_follow_the_weights_and_are_spread() {
    let credential = compiled(&many(vec![
        limited("a", 30, None, None),
        limited("b", 10, None, None),
    ]));
    let seen = some(&credential, 400).await;
    let mut counts: HashMap<&str, usize> = HashMap::new();
    for key in &seen {
        *counts.entry(key).or_default() += 1;
    }
    assert_eq!(counts["a"], 300);
    assert!(seen.windows(2).all(|pair| pair != ["b", "b"]));
}

#[tokio::test]
async fn a_limited_key_rests_and_the_next_takes_over() {
    let credential = compiled(&plain(&["a", "b"]));
    let (key, with) = next(&credential, 0).await.unwrap();
    assert_eq!(key, "a");
    let mut headers = HeaderMap::new();
    headers.insert("retry-after", "120".parse().unwrap());
    assert!(
        credential.answered(with, StatusCode::TOO_MANY_REQUESTS, &headers),
        "b can take over"
    );
    assert!(some(&credential, 5).await.iter().all(|key| key == "b"));
    let (_, with) = next(&credential, 0).await.unwrap();
    assert!(
        !credential.answered(with, StatusCode::TOO_MANY_REQUESTS, &headers),
        "nobody is left"
    );
    let error = next(&credential, 0).await.unwrap_err();
    assert_eq!(error.kind(), CredentialErrorKind::Resting);
    let wait = error.retry_after().unwrap().as_secs();
    assert!((110..=120).contains(&wait), "{wait}");
    assert_eq!(
        error.to_string(),
        "all 2 API keys rest: refused, or at their limits"
    );
}

#[tokio::test]
async fn a_refused_key_rests_and_other_answers_do_no_harm() {
    let credential = compiled(&plain(&["a", "b"]));
    for status in [200, 400, 403, 404, 500] {
        let (_, with) = next(&credential, 0).await.unwrap();
        assert!(!credential.answered(with, StatusCode::from_u16(status).unwrap(), &HeaderMap::new()));
    }
    for status in [401, 402] {
        let credential = compiled(&plain(&["a", "b"]));
        let (_, with) = next(&credential, 0).await.unwrap();
        assert!(credential.answered(with, StatusCode::from_u16(status).unwrap(), &HeaderMap::new()));
        assert_eq!(some(&credential, 3).await, ["b", "b", "b"]);
    }
}

#[tokio::test]
async fn a_single_key_never_rests() {
    let credential = compiled(&one());
    for _ in 0..3 {
        let (_, with) = next(&credential, 0).await.unwrap();
        assert!(!credential.answered(with, StatusCode::UNAUTHORIZED, &HeaderMap::new()));
        assert!(!credential.answered(with, StatusCode::TOO_MANY_REQUESTS, &HeaderMap::new()));
    }
    assert!(!credential.is_renewable());
}

#[tokio::test]
async fn limits_of_requests_and_tokens_are_kept_by_moving_on() {
    let credential = compiled(&many(vec![
        limited("a", 1, Some(2), None),
        limited("b", 1, None, Some(100)),
    ]));
    let mut seen = Vec::new();
    let error = loop {
        match next(&credential, 40).await {
            Ok((key, _)) => seen.push(key),
            Err(error) => break error,
        }
    };
    seen.sort();
    assert_eq!(
        seen,
        ["a", "a", "b", "b"],
        "two requests; two times 40 of 100 tokens"
    );
    assert!(error.retry_after().unwrap().as_secs() > 30);
    assert_eq!(
        next(&credential, 20).await.unwrap().0,
        "b",
        "what still fits goes"
    );
}

#[test]
fn lists_that_make_no_sense_are_refused() {
    for config in [
        many(vec![]),
        plain(&["ok", " "]),
        plain(&["ok", "sk-\nsecret"]),
        many(vec![limited("a", 0, None, None)]),
        many(vec![limited("a", 1001, None, None)]),
        many(vec![limited("a", 1, Some(0), None)]),
    ] {
        let error = Credential::compile_with(&config, &AuthStyle::Bearer, &nothing()).unwrap_err();
        assert_eq!(error.field, "auth.api_key");
        assert!(!error.to_string().contains("sk-"), "{error}");
    }
}

#[tokio::test]
async fn no_crowd_takes_more_than_the_limit() {
    let config = many(vec![
        limited("a", 1, Some(50), None),
        limited("b", 1, Some(50), None),
    ]);
    let credential = Arc::new(compiled(&config));
    let threads: Vec<_> = (0..8)
        .map(|_| {
            let credential = Arc::clone(&credential);
            std::thread::spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread()
                    .enable_all()
                    .build()
                    .unwrap();
                runtime.block_on(async {
                    let mut taken = 0;
                    for _ in 0..50 {
                        taken += usize::from(next(&credential, 0).await.is_ok());
                    }
                    taken
                })
            })
        })
        .collect();
    let taken: usize = threads.into_iter().map(|thread| thread.join().unwrap()).sum();
    assert_eq!(taken, 100);
}

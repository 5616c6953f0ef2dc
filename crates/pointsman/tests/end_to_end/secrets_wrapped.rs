//! A master key that a key management service wraps: never seen, unwrapped once at the start, and told of where it cannot be.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use pointsman_store::NewKey;
use serde_json::{Value, json};

use crate::credentials::{ask, bearer, completion, config, server, server_of_bodies};
use crate::harness::{House, folder, key, post, run, write};

const KEY: &str = "vault-transit:transit/pointsman";

/// Vault's engine `transit`, which turns texts around.
fn transit(head: &str, body: &str) -> (u16, String) {
    if !head.contains("\r\nx-vault-token: t0ken\r\n") {
        return (403, json!({ "errors": ["permission denied"] }).to_string());
    }
    let body: Value = serde_json::from_str(body).unwrap_or_default();
    let turned = |text: &str| text.chars().rev().collect::<String>();
    let data = if head.starts_with("post /v1/transit/encrypt/pointsman ") {
        let text = turned(body["plaintext"].as_str().unwrap());
        json!({ "ciphertext": format!("vault:v1:{text}") })
    } else if head.starts_with("post /v1/transit/decrypt/pointsman ") {
        let text = body["ciphertext"].as_str().unwrap();
        json!({ "plaintext": turned(text.strip_prefix("vault:v1:").unwrap()) })
    } else {
        json!({ "renewable": false })
    };
    (200, json!({ "data": data }).to_string())
}

fn database(folder: &Path) -> String {
    format!("sqlite://{}/p.db", folder.display())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_master_key_that_vault_wraps_is_unwrapped_once_and_seals_what_is_kept() {
    let (unwrapped, is_down) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
    let (count, down) = (Arc::clone(&unwrapped), Arc::clone(&is_down));
    let vault = server_of_bodies(move |head, body| {
        count.fetch_add(usize::from(head.contains("/decrypt/")), Ordering::SeqCst);
        if down.load(Ordering::SeqCst) {
            return (503, json!({ "errors": ["Vault is sealed"] }).to_string());
        }
        transit(head, body)
    })
    .await;
    // It answers with the key that it was shown.
    let provider = server(|head| completion(bearer(head))).await;
    let text = config(provider, "{ api_key: \"${store:openai}\" }");
    let folder = folder(&text);
    let address = format!("http://{vault}");
    let way = [("VAULT_ADDR", address.as_str()), ("VAULT_TOKEN", "t0ken")];
    let (wrapped, is_made) = run(&["secret", "key", "--wrapped-by", KEY], &way, "");
    assert!(
        is_made && wrapped.starts_with(&format!("{KEY}:vault:v1:")),
        "{wrapped}"
    );
    let environment = [way[0], way[1], ("POINTSMAN_MASTER_KEY", wrapped.as_str())];
    let database = database(folder.path());
    let set = ["secret", "set", "openai", "--database", &database];
    let (told, is_kept) = run(&set, &environment, "sk-wrapped-1");
    assert!(is_kept, "{told}");
    let caller = key(folder.path(), NewKey::default());
    let before = unwrapped.load(Ordering::SeqCst);
    let house = House::open_with(folder.path(), &environment);
    let shown = || async {
        let answer = post(house.address, "/v1/chat/completions", &caller, &ask())
            .await
            .unwrap();
        answer.json()["choices"][0]["message"]["content"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    assert_eq!(shown().await, "sk-wrapped-1");
    assert_eq!(
        unwrapped.load(Ordering::SeqCst),
        before + 1,
        "one question is enough"
    );
    // Once it is known it may be away, also for a file that changes.
    is_down.store(true, Ordering::SeqCst);
    write(folder.path(), &format!("{text}# changed\n"));
    house.hears("the new configuration is in force");
    assert_eq!(shown().await, "sk-wrapped-1");
    house.stop();
    // Who comes now cannot have it, and is told why.
    let file = folder.path().join("pointsman.yaml");
    let file = file.to_str().unwrap();
    let (told, is_good) = run(&["serve", "-c", file], &environment, "");
    assert!(
        !is_good && told.contains(&format!("{KEY}: Vault refused (503)")),
        "{told}"
    );
    assert!(
        told.contains("Vault is sealed") && !told.contains("sk-wrapped"),
        "{told}"
    );
    is_down.store(false, Ordering::SeqCst);
    let wrong = [way[0], ("VAULT_TOKEN", "another"), environment[2]];
    let (told, is_good) = run(&set, &wrong, "sk-wrapped-2");
    assert!(
        !is_good && told.contains("Vault refused (403): permission denied"),
        "{told}"
    );
}

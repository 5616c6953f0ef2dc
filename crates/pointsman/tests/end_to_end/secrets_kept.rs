//! Secrets that a manager keeps: read at the start, taken over when they change, kept as they were while it does not answer.

use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use pointsman_store::NewKey;
use serde_json::json;

use crate::credentials::{ask, bearer, completion, config, server};
use crate::harness::{House, folder, get, key, post, write};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[expect(clippy::too_many_lines, reason = "one story, from beginning to end")]
async fn a_secret_of_vault_is_used_renewed_and_kept_while_vault_is_down() {
    let (version, is_down) = (Arc::new(AtomicUsize::new(1)), Arc::new(AtomicBool::new(false)));
    let (current, down) = (Arc::clone(&version), Arc::clone(&is_down));
    let vault = server(move |head| {
        if down.load(Ordering::SeqCst) {
            return (503, json!({ "errors": ["Vault is sealed"] }).to_string());
        }
        let is_let_in = head.contains("\r\nx-vault-token: t0ken\r\n");
        if head.starts_with("get /v1/kv/openai ") && is_let_in {
            let api_key = format!("sk-vault-{}", current.load(Ordering::SeqCst));
            return (200, json!({ "data": { "api_key": api_key } }).to_string());
        }
        (403, json!({ "errors": ["permission denied"] }).to_string())
    })
    .await;
    // It answers with the key that it was shown.
    let provider = server(|head| completion(bearer(head))).await;
    let text = config(provider, "{ api_key: \"${vault:kv/openai#api_key}\" }")
        + &format!(
            "secrets: {{ refresh: 1s, vault: {{ address: \"http://{vault}\", kv_version: 1, auth: {{ token: \"${{TOKEN_OF_VAULT}}\" }} }} }}\n"
        );
    let folder = folder(&text);
    let caller = key(folder.path(), NewKey::default());
    let environment = [("TOKEN_OF_VAULT", "t0ken")];
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
    assert_eq!(shown().await, "sk-vault-1");
    // While it is down the key is good, also for a file that changes meanwhile.
    is_down.store(true, Ordering::SeqCst);
    house.hears("it stays as it was");
    write(folder.path(), &format!("{text}# changed\n"));
    house.hears("the new configuration is in force");
    assert_eq!(shown().await, "sk-vault-1");
    let metrics = get(house.admin, "/metrics").await.unwrap();
    let line = metrics
        .text()
        .lines()
        .find(|line| line.starts_with("pointsman_secret_reads_total{manager=\"vault\",outcome=\"failed\"}"));
    let failures: u64 = line.unwrap().rsplit(' ').next().unwrap().parse().unwrap();
    assert!(failures >= 1, "{line:?}");
    // Whoever begins now cannot, and is told what and why.
    let checked = Command::new(env!("CARGO_BIN_EXE_pointsman"))
        .arg("check")
        .arg(folder.path().join("pointsman.yaml"))
        .envs(environment)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&[checked.stdout, checked.stderr].concat()).into_owned();
    assert!(!checked.status.success(), "{said}");
    assert!(
        said.contains("providers.o.auth.api_key: vault:kv/openai#api_key: Vault refused (503)"),
        "{said}"
    );
    // A new one is taken over without anybody's doing.
    version.store(2, Ordering::SeqCst);
    is_down.store(false, Ordering::SeqCst);
    let until = Instant::now() + Duration::from_secs(40);
    while shown().await != "sk-vault-2" {
        assert!(Instant::now() < until, "{}", house.said());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let told = house.said();
    house.stop();
    for secret in ["sk-vault", "t0ken"] {
        assert!(!told.contains(secret) && !said.contains(secret), "{told}{said}");
    }
}

//! Callers who sign their requests as AWS's SDKs do: here another gateway, whose provider we are.

use std::process::Command;

use pointsman_store::{Store, aws_secret};
use pointsman_testbed::{SimOptions, SimServer};
use secrecy::ExposeSecret;
use serde_json::json;

use crate::harness::{House, folder, key, post, store};

const SIGNING: &str = "0123456789abcdef0123456789abcdef";

fn aws_pair(store: &Store, name: &str) -> (String, String) {
    let record = store.find_key(name).unwrap();
    let secret = aws_secret(&SIGNING.into(), &record.id, &record.hash);
    (record.id.as_str().to_owned(), secret.expose_secret().to_owned())
}

fn client(at: &str, (id, secret): &(String, String)) -> String {
    format!(
        "providers: {{ b: {{ kind: aws-bedrock, region: eu-west-1, base_url: \"http://{at}/bedrock\", retry: {{ attempts: 1 }}, \
         auth: {{ aws: {{ access_key_id: \"{id}\", secret_access_key: \"{secret}\" }} }} }} }}\n\
         models: {{ far: {{ targets: [ {{ provider: b, model: \"arn:aws:bedrock:eu-west-1:1:inference-profile/near\" }} ] }} }}\n\
         identity: {{ anonymous: allow }}\n"
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_signature_with_a_keys_aws_secret_lets_in_and_another_does_not() {
    let sim = SimServer::local(SimOptions::default()).await.unwrap();
    let near = folder(&format!(
        "providers: {{ o: {{ kind: openai, base_url: \"http://{}/v1\", auth: {{ api_key: sk-sim }} }} }}\n\
         models: {{ \"*/near\": {{ targets: [ {{ provider: o, model: gpt-5-mini }} ] }} }}\n\
         identity: {{ signing_secret: \"{SIGNING}\" }}\n",
        sim.address()
    ));
    let grant = pointsman_store::NewKey {
        name: "sdk".to_owned(),
        ..Default::default()
    };
    key(near.path(), grant);
    let house = House::open(near.path());
    let pair = aws_pair(&store(near.path()), "sdk");
    // The command line shows the same pair.
    let shown = Command::new(env!("CARGO_BIN_EXE_pointsman"))
        .args(["key", "aws", "sdk", "-c"])
        .arg(near.path().join("pointsman.yaml"))
        .output()
        .unwrap();
    let shown = String::from_utf8(shown.stdout).unwrap();
    assert!(shown.contains(&pair.0) && shown.contains(&pair.1), "{shown}");

    let at = house.address.to_string();
    for (pair, stream, expected) in [
        (pair.clone(), false, 200),
        (pair.clone(), true, 200),
        ((pair.0.clone(), "wrong".repeat(8)), false, 403),
        (("key_unknown".to_owned(), pair.1.clone()), false, 403),
    ] {
        let far = folder(&client(&at, &pair));
        let caller = House::open(far.path());
        let body = json!({ "model": "far", "stream": stream, "messages": [ { "role": "user", "content": "repeat 3 words" } ] });
        let answer = post(caller.address, "/v1/chat/completions", "any", &body)
            .await
            .unwrap();
        assert_eq!(answer.status, expected, "{}", answer.text());
    }
}

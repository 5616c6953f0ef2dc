//! Priorities with reserved shares: of the limits of a model, and of those of a team.

use std::path::Path;
use std::process::Command;

use http::Method;
use serde_json::{Value, json};

use crate::admin::Site;
use crate::harness::Answer;

fn code(answer: &Answer) -> (u16, Value) {
    (answer.status.as_u16(), answer.json()["error"]["code"].clone())
}

async fn key(site: &Site, body: Value) -> String {
    let key = site.does(Method::POST, "/admin/v1/keys", body).await;
    key["secret"].as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_share_of_a_models_limit_stays_there_for_its_priority() {
    let site = Site::with(
        "limits:\n  models: { \"bo*\": { requests_per_minute: 5, tokens_per_minute: 100000 } }\n  \
         shares: { interactive: 40 }\n",
    )
    .await;
    let other = key(&site, json!({"name": "nightly", "priority": "batch"})).await;
    let interactive = key(&site, json!({"name": "people", "priority": "interactive"})).await;
    for _ in 0..3 {
        let answer = site.chat(&other, "both").await;
        assert_eq!(answer.status, 200, "{}", answer.text());
    }
    let denied = site.chat(&other, "both").await;
    assert_eq!(
        code(&denied),
        (429, json!("rate_limit_exceeded")),
        "{}",
        denied.text()
    );
    assert!(
        denied.text().contains("beside what is reserved for interactive"),
        "{}",
        denied.text()
    );
    assert!(denied.header("retry-after").parse::<u64>().unwrap() >= 1);
    // Of another model there is no such limit, and of this one the share is there.
    assert_eq!(site.chat(&other, "m").await.status, 200);
    let answer = site.chat(&interactive, "both").await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.header("x-ratelimit-limit-requests"), "5");
    assert_eq!(site.chat(&interactive, "both").await.status, 200);
    assert_eq!(
        code(&site.chat(&interactive, "both").await),
        (429, json!("rate_limit_exceeded"))
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_team_reserves_shares_of_its_limits_and_its_keys_have_the_priority_of_their_user() {
    let site = Site::open().await;
    let team = json!({"id": "t", "limits": {"requests_per_minute": 4}, "shares": {"interactive": 50}});
    let made = site.does(Method::POST, "/admin/v1/teams", team).await;
    assert_eq!(made["shares"], json!({"interactive": 50}));
    site.does(
        Method::POST,
        "/admin/v1/users",
        json!({"id": "kim", "priority": "interactive"}),
    )
    .await;
    let other = key(&site, json!({"team": "t"})).await;
    let kim = key(&site, json!({"team": "t", "user": "kim"})).await;
    for _ in 0..2 {
        assert_eq!(site.chat(&other, "m").await.status, 200);
    }
    assert_eq!(
        code(&site.chat(&other, "m").await),
        (429, json!("rate_limit_exceeded"))
    );
    for _ in 0..2 {
        let answer = site.chat(&kim, "m").await;
        assert_eq!(answer.status, 200, "{}", answer.text());
    }
    assert_eq!(site.chat(&kim, "m").await.status, 429);
    for wrong in [
        json!({"shares": {"interactive": 60, "batch": 50}}),
        json!({"shares": {"interactive": 0}}),
        json!({"priority": "two words"}),
    ] {
        let answer = site.call(Method::PATCH, "/admin/v1/teams/t", wrong).await;
        assert_eq!(answer.status, 400, "{}", answer.text());
    }
    let label = json!({"name": "alice", "shares": {"interactive": 10}});
    assert_eq!(
        site.call(Method::POST, "/admin/v1/customers", label).await.status,
        400
    );
    let plan = json!({"id": "p", "shares": {"interactive": 10}});
    assert_eq!(
        site.call(Method::POST, "/admin/v1/budgets", plan).await.status,
        400
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_command_line_makes_teams_with_shares_and_keys_with_a_priority() {
    let site = Site::open().await;
    let run = |arguments: &[&str]| command(site.folder.path(), arguments);
    let (ok, _) = run(&[
        "team",
        "create",
        "t",
        "--rpm",
        "10",
        "--share",
        "interactive=50",
        "--priority",
        "batch",
    ]);
    assert!(ok);
    let (ok, said) = run(&["team", "create", "u", "--share", "interactive"]);
    assert!(!ok && said.contains("interactive=40"), "{said}");
    let (ok, said) = run(&["team", "create", "u", "--share", "interactive=101"]);
    assert!(!ok && said.contains("between 1 and 100"), "{said}");
    let (ok, _) = run(&[
        "key",
        "create",
        "--name",
        "k",
        "--team",
        "t",
        "--priority",
        "interactive",
    ]);
    assert!(ok);
    let team = site.does(Method::GET, "/admin/v1/teams/t", Value::Null).await;
    assert_eq!(
        (&team["shares"], &team["priority"]),
        (&json!({"interactive": 50}), &json!("batch"))
    );
    // As LiteLLM's scripts say it.
    let made = json!({"key_alias": "l", "metadata": {"priority": "interactive"}});
    site.does(Method::POST, "/key/generate", made).await;
    for name in ["k", "l"] {
        let path = format!("/admin/v1/keys?name={name}");
        let keys = site.does(Method::GET, &path, Value::Null).await;
        assert_eq!(keys["data"][0]["priority"], "interactive", "{name}");
    }
}

/// Whether a command did what it should, and what it said.
pub fn command(folder: &Path, arguments: &[&str]) -> (bool, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_pointsman"))
        .args(arguments)
        .arg("-c")
        .arg(folder.join("pointsman.yaml"))
        .output()
        .unwrap();
    let said =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    (output.status.success(), said)
}

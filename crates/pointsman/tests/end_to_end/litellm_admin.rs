//! LiteLLM's management paths, as scripts use them.

use http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::admin::Site;

#[expect(clippy::too_many_lines, reason = "one script, from beginning to end")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_script_makes_teams_and_keys_and_reads_what_they_spend() {
    let site = Site::open().await;
    let post = |path: &'static str, body: Value| site.does(Method::POST, path, body);
    let get = |path: String| {
        let site = &site;
        async move { site.does(Method::GET, &path, Value::Null).await }
    };
    let team = post(
        "/team/new",
        json!({"team_alias": "research", "max_budget": 5, "budget_duration": "30d", "models": ["m"], "members_with_roles": []}),
    )
    .await;
    let team_id = team["team_id"].as_str().unwrap();
    assert_eq!(
        (&team["max_budget"], &team["budget_duration"]),
        (&json!(5.0), &json!("30d"))
    );
    let made = post(
        "/key/generate",
        json!({"team_id": team_id, "user_id": "kim", "key_alias": "notebook", "duration": "30d", "max_budget": 1,
               "rpm_limit": 60, "metadata": {"a": 1}, "tags": ["x"], "models": [], "aliases": {}, "send_invite_email": false}),
    )
    .await;
    let key = made["key"].as_str().unwrap();
    let token = made["token"].as_str().unwrap();
    assert_eq!(
        (&made["rpm_limit"], &made["metadata"]["tags"]),
        (&json!(60), &json!(["x"]))
    );
    assert!(made["expires"].is_string() && token.len() == 64);
    let answer = site.chat(key, "m").await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
    assert_eq!(
        site.chat(key, "both").await.status,
        StatusCode::FORBIDDEN,
        "the team's models"
    );
    // By the key itself, by its hash, by its id: everywhere.
    site.ledger_has(1).await;
    for name in [key, token] {
        let info = get(format!("/key/info?key={name}")).await;
        assert_eq!(info["info"]["key_alias"], "notebook");
        assert!(info["info"]["spend"].as_f64().unwrap() > 0.0);
        assert!(!info.to_string().contains(key));
    }
    let updated = post(
        "/key/update",
        json!({"key": key, "max_budget": 2, "budget_duration": "1d"}),
    )
    .await;
    assert_eq!(
        (&updated["max_budget"], &updated["rpm_limit"]),
        (&json!(2.0), &json!(60)),
        "the rest stays"
    );
    let listed = get(format!(
        "/key/list?team_id={team_id}&return_full_object=true&size=100"
    ))
    .await;
    assert_eq!(
        (&listed["total_count"], &listed["keys"][0]["token"]),
        (&json!(1), &json!(token))
    );
    let bare = get("/key/list?page=1&size=10".to_owned()).await;
    assert_eq!(bare["keys"], json!([token]));
    let info = get(format!("/team/info?team_id={team_id}")).await;
    assert_eq!(info["keys"][0]["user_id"], "kim");
    assert!(info["team_info"]["spend"].as_f64().unwrap() > 0.0);
    let teams = get("/team/list".to_owned()).await;
    assert_eq!(teams[0]["team_alias"], "research", "a bare list");
    // Blocked, unblocked, regenerated, deleted.
    for (path, expected) in [
        ("/key/block", StatusCode::UNAUTHORIZED),
        ("/key/unblock", StatusCode::OK),
    ] {
        post(path, json!({"key": token})).await;
        assert_eq!(site.chat(key, "m").await.status, expected, "{path}");
    }
    let again = post("/key/regenerate", json!({"key": key, "grace_period": "60s"})).await;
    let newer = again["key"].as_str().unwrap();
    assert_eq!(site.chat(newer, "m").await.status, StatusCode::OK);
    assert_eq!(
        site.chat(key, "m").await.status,
        StatusCode::OK,
        "within its grace"
    );
    let logs = get(format!("/spend/logs?api_key={newer}")).await;
    assert_eq!(logs[0]["team_id"], team_id);
    assert_eq!(logs[0]["cache_hit"], "False", "a text");
    let day = json!(logs[0]["endTime"].as_str().unwrap()[..10]);
    let day = day.as_str().unwrap();
    let days = get(format!("/spend/logs?start_date={day}&end_date={day}")).await;
    assert!(days[0]["spend"].as_f64().unwrap() > 0.0 && days[0]["users"]["kim"].is_number());
    let global = get("/global/spend".to_owned()).await;
    assert!(global["spend"].as_f64().unwrap() > 0.0);
    let models = get("/v1/model/info".to_owned()).await;
    let m = models["data"]
        .as_array()
        .unwrap()
        .iter()
        .find(|model| model["model_name"] == "m")
        .unwrap();
    assert_eq!(m["model_info"]["input_cost_per_token"], json!(0.001));
    assert!(!models.to_string().contains("sk-sim"));
    let deleted = post("/key/delete", json!({"keys": [newer]})).await;
    assert_eq!(deleted["deleted_keys"].as_array().unwrap().len(), 1);
    assert_eq!(site.chat(newer, "m").await.status, StatusCode::UNAUTHORIZED);
    post("/team/delete", json!({"team_ids": [team_id]})).await;
    let gone = format!("/team/info?team_id={team_id}");
    assert_eq!(
        site.call(Method::GET, &gone, Value::Null).await.status,
        StatusCode::NOT_FOUND
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn users_budgets_and_organizations_have_their_names() {
    let site = Site::open().await;
    let post = |path: &'static str, body: Value| site.does(Method::POST, path, body);
    let budget = post(
        "/budget/new",
        json!({"budget_id": "small", "max_budget": 0.01, "rpm_limit": 5}),
    )
    .await;
    assert_eq!(
        (&budget["budget_id"], &budget["max_budget"]),
        (&json!("small"), &json!(0.01))
    );
    let info = post("/budget/info", json!({"budgets": ["small"]})).await;
    assert_eq!(info[0]["rpm_limit"], 5);
    let organization = post(
        "/organization/new",
        json!({"organization_alias": "Acme", "tpm_limit": 1000}),
    )
    .await;
    let id = organization["organization_id"].clone();
    let user = post(
        "/user/new",
        json!({"user_email": "kim@acme.example", "organization_id": id, "max_budget": 10, "budget_id": "small"}),
    )
    .await;
    let key = user["key"].as_str().unwrap();
    assert_eq!(user["user_email"], "kim@acme.example");
    let answer = site.chat(key, "m").await;
    assert_eq!(
        answer.status,
        StatusCode::TOO_MANY_REQUESTS,
        "a cent is not enough: {}",
        answer.text()
    );
    post("/budget/update", json!({"budget_id": "small", "max_budget": 1})).await;
    let answer = site.chat(key, "m").await;
    assert_eq!(
        (answer.status, answer.header("x-ratelimit-limit-requests")),
        (StatusCode::OK, "5")
    );
    let shown = site
        .does(
            Method::GET,
            &format!("/user/info?user_id={}", user["user_id"].as_str().unwrap()),
            Value::Null,
        )
        .await;
    assert_eq!(shown["keys"][0]["budget_id"], "small");
    assert_eq!(shown["user_info"]["max_budget"], 10.0);
    let none = post("/user/new", json!({"user_id": "lee", "auto_create_key": false})).await;
    assert!(none.get("key").is_none());
    let in_use = site
        .call(Method::POST, "/budget/delete", json!({"id": "small"}))
        .await;
    assert_eq!(in_use.status, StatusCode::CONFLICT);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_has_no_meaning_here_is_refused_by_name() {
    let site = Site::open().await;
    for (path, body) in [
        ("/key/generate", json!({"guardrails": ["pii"]})),
        ("/key/generate", json!({"spend": 100})),
        ("/key/generate", json!({"key_type": "management"})),
        ("/key/generate", json!({"team_id": "none"})),
        ("/key/generate", json!({"key": "short"})),
        ("/key/generate", json!({"duration": "soon"})),
        ("/key/generate", json!({"max_budget": -1})),
        (
            "/key/update",
            json!({"key": "sk-unknown-0123456789", "rpm_limit": 1}),
        ),
        ("/key/delete", json!({"keys": []})),
        (
            "/team/new",
            json!({"members_with_roles": [{"role": "admin", "user_id": "x"}]}),
        ),
        ("/user/new", json!({"user_role": "proxy_admin"})),
    ] {
        let answer = site.call(Method::POST, path, body.clone()).await;
        assert!(
            answer.status.is_client_error(),
            "{path} {body}: {}",
            answer.text()
        );
        let error = &answer.json()["error"];
        assert!(error["code"].is_string() && error["message"].is_string());
    }
    let listed = site.does(Method::GET, "/key/list", Value::Null).await;
    assert_eq!(listed["total_count"], 0);
    // A key that an application has already.
    let own = "sk-an-old-key-of-the-application";
    site.does(Method::POST, "/key/generate", json!({"key": own}))
        .await;
    assert_eq!(site.chat(own, "m").await.status, StatusCode::OK);
    let twice = site
        .call(Method::POST, "/key/generate", json!({"key": own}))
        .await;
    assert_eq!(twice.status, StatusCode::BAD_REQUEST);
}

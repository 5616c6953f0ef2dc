//! Limits and budgets of tools, where a model calls them.

use pointsman_catalog::Money;
use pointsman_store::{Budget, BudgetWindow, Counted, Quota};

use super::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn limits_of_a_tool_hold_where_a_model_calls_it() {
    let scene = Scene::usual().await;
    let quota = Quota {
        of: Counted::Requests,
        amount: 1,
        window: BudgetWindow::Total,
        zone: None,
        models: vec!["mcp/a/test_simple_text".to_owned()],
        providers: Vec::new(),
        cel: None,
        unit: None,
    };
    let budget = Budget {
        models: vec!["mcp/a/*".to_owned()],
        // One call costs 0.01.
        ..Budget::of(Money::parse("0.015").unwrap(), BudgetWindow::Total)
    };
    let limited = NewKey {
        quotas: vec![quota],
        ..named("limited")
    };
    let poor = NewKey {
        budgets: vec![budget],
        ..named("poor")
    };
    let keys = [limited, poor].map(|grant| key(scene.folder.path(), grant));
    tokio::time::sleep(Duration::from_secs(1)).await;
    for key in &keys {
        let before = scene.called().len();
        for (turn, status) in ["completed", "failed", "failed"].into_iter().enumerate() {
            let body = responses("chat", &server(json!({})));
            let answer = post(scene.house.address, "/v1/responses", key, &body)
                .await
                .unwrap();
            assert_eq!(answer.status, 200, "{turn}: {}", answer.text());
            let answer = answer.json();
            // The model goes on without the tool.
            assert_eq!(
                kinds(&answer["output"]),
                ["mcp_list_tools", "mcp_call", "message"],
                "{turn}: {answer}"
            );
            assert_eq!(answer["output"][1]["status"], status, "{turn}: {answer}");
        }
        assert_eq!(scene.called().len() - before, 1);
        // The same at the tool's own address, under another name.
        let mut client = Client::new(&scene.house, key);
        client.begin().await;
        let denied = client.send(Method::POST, &call("a_test_simple_text"), &[]).await;
        assert_eq!(denied.status, 429, "{}", denied.text());
        // Another tool of the same server is none of the quota's business, but costs money, too.
        let other = client
            .send(Method::POST, &call("a_test_custom_header"), &[])
            .await;
        let expected = if key == &keys[0] { 200 } else { 429 };
        assert_eq!(other.status, expected, "{}", other.text());
    }
    let Scene { folder, house, .. } = scene;
    house.stop();
    let paid = ledger(folder.path()).into_iter();
    let paid = paid.filter(|one| one.model_requested == "mcp/a/test_simple_text" && one.cost > Money::ZERO);
    assert_eq!(paid.count(), 2);
}

fn call(tool: &str) -> String {
    json!({ "jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": { "name": tool, "arguments": {} } })
        .to_string()
}

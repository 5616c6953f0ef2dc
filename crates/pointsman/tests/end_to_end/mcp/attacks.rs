//! What attackers try, each of which would come through without the gateway's defence.

use super::*;

/// Names of tools that reached a server.
fn called(server: &McpServer) -> Vec<String> {
    let served = server.served().into_iter().map(|served| served.body);
    let calls = served.filter(|body| body["method"] == "tools/call");
    calls
        .map(|body| body["params"]["name"].as_str().unwrap().to_owned())
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_denied_tool_cannot_be_called_however_it_is_named() {
    for era in [McpEra::Legacy, McpEra::Modern] {
        let server = McpServer::local(era).await.unwrap();
        let rules = "tools: { deny: [\"delete_*\"] }";
        let (_folder, house, key) = open(&format!("servers: {{ a: {{ {}, {rules} }} }}", at(&server)));
        for path in ["/mcp", "/mcp/a"] {
            let mut client = Client::new(&house, &key);
            client.path = path;
            client.begin().await;
            for name in [
                "a_delete_everything",
                "delete_everything",
                "a_DELETE_everything",
                " a_delete_everything",
                "a_a_delete_everything",
            ] {
                let answer = client.call(name).await;
                assert!(answer["error"].is_object(), "{path} {name}: {answer}");
            }
            // Of two names one alone counts, here and there.
            let allowed = if path == "/mcp" {
                "a_test_simple_text"
            } else {
                "test_simple_text"
            };
            let twice = format!(
                r#"{{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{{"name":"a_delete_everything","name":"{allowed}","arguments":{{}}}}}}"#
            );
            client.send(Method::POST, &twice, &[]).await;
        }
        assert!(
            called(&server).iter().all(|name| name == "test_simple_text"),
            "{:?}",
            called(&server)
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn arguments_that_two_readers_read_differently_are_refused() {
    let server = McpServer::local(McpEra::Legacy).await.unwrap();
    let (_folder, house, key) = open(&format!("servers: {{ a: {{ {} }} }}", at(&server)));
    let mut client = Client::new(&house, &key);
    client.begin().await;
    for arguments in [
        r#"{"text":"hidden","text":"shown"}"#,
        r#"{"text":"hidden","t\u0065xt":"shown"}"#,
        r#"{"text":{"a":1,"a":2}}"#,
    ] {
        let body = format!(
            r#"{{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{{"name":"a_test_echo","arguments":{arguments}}}}}"#
        );
        let answer = last(&client.send(Method::POST, &body, &[]).await);
        assert_eq!(answer["error"]["code"], -32602, "{arguments}: {answer}");
    }
    assert!(called(&server).is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_program_that_hangs_holds_up_nobody() {
    let server = McpServer::local(McpEra::Legacy).await.unwrap();
    let servers = format!(
        "servers: {{ a: {{ {} }}, hangs: {{ command: [sh, -c, \"cat >/dev/null\"], timeout: 2s }} }}, list_timeout: 1s",
        at(&server)
    );
    let (_folder, house, key) = open(&servers);
    let mut client = Client::new(&house, &key);
    let started = Instant::now();
    client.begin().await;
    assert!(client.tools().await.contains(&"a_test_simple_text".to_owned()));
    assert!(client.call("a_test_simple_text").await["result"].is_object());
    assert!(
        started.elapsed() < Duration::from_secs(8),
        "{:?}",
        started.elapsed()
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_reader_does_not_see_is_told_and_can_be_quarantined() {
    for (on_suspect, stays) in [("report", true), ("quarantine", false)] {
        let server = McpServer::local(McpEra::Legacy).await.unwrap();
        server.change("Adds.\u{e0069}\u{e0067}\u{e006e}\u{e006f}\u{e0072}\u{e0065}");
        let servers = format!(
            "servers: {{ a: {{ {}, on_suspect: {on_suspect} }} }}",
            at(&server)
        );
        let (_folder, house, key) = open(&servers);
        let mut client = Client::new(&house, &key);
        client.begin().await;
        assert_eq!(
            client.tools().await.contains(&"a_test_changing".to_owned()),
            stays
        );
        assert_eq!(
            client.call("a_test_changing").await["result"].is_object(),
            stays,
            "{on_suspect}"
        );
        assert!(client.call("a_test_simple_text").await["result"].is_object());
        house.hears("the definition of a tool is suspect");
    }
}

//! Servers of 2024-11-05: a stream of events, and an address for messages.

use super::*;

fn old(server: &McpServer) -> String {
    format!(
        "url: \"http://{}/sse\", transport: sse, timeout: 5s",
        server.address()
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_of_the_first_transport_is_asked_by_clients_of_any() {
    let server = McpServer::local(McpEra::Oldest).await.unwrap();
    let (_folder, house, key) = open(&format!("servers: {{ a: {{ {} }} }}", old(&server)));
    let mut client = Client::new(&house, &key);
    client.begin().await;
    assert!(client.tools().await.contains(&"a_test_echo".to_owned()));
    let said = client
        .ask(
            "tools/call",
            json!({ "name": "a_test_echo", "arguments": { "text": "hello" } }),
        )
        .await;
    assert_eq!(said["result"]["content"][0]["text"], "hello", "{said}");
    let read = client
        .ask("resources/read", json!({ "uri": "a+test://static-text" }))
        .await;
    assert!(read["result"]["contents"][0]["text"].is_string(), "{read}");
    // Many at once, each with its own answer.
    let calls = (0..20).map(|at| {
        let text = format!("number {at}");
        let client = &client;
        async move {
            let call = json!({ "jsonrpc": "2.0", "id": 100 + at, "method": "tools/call",
                "params": { "name": "a_test_echo", "arguments": { "text": text } } });
            let said = last(&client.send(Method::POST, &call.to_string(), &[]).await);
            assert_eq!(said["result"]["content"][0]["text"], text, "{said}");
        }
    });
    futures_util::future::join_all(calls).await;
    let meta = json!({ "io.modelcontextprotocol/protocolVersion": "2026-07-28", "io.modelcontextprotocol/clientInfo": { "name": "t", "version": "1" }, "io.modelcontextprotocol/clientCapabilities": {} });
    let modern = json!({ "jsonrpc": "2.0", "id": 3, "method": "tools/call",
        "params": { "name": "a_test_echo", "arguments": { "text": "hi" }, "_meta": meta } });
    let alone = Client::new(&house, &key);
    let more = [
        ("mcp-protocol-version", "2026-07-28"),
        ("mcp-method", "tools/call"),
        ("mcp-name", "a_test_echo"),
    ];
    let answer = last(&alone.send(Method::POST, &modern.to_string(), &more).await);
    assert_eq!(answer["result"]["content"][0]["text"], "hi", "{answer}");
    // Its stream ends, as it does when a server is started anew: the next call opens another.
    server.forget();
    tokio::time::sleep(Duration::from_millis(200)).await;
    let again = client.call("a_test_simple_text").await;
    assert!(again["result"].is_object(), "{again}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn its_messages_go_to_no_other_host() {
    let (server, other) = (
        McpServer::local(McpEra::Oldest).await.unwrap(),
        McpServer::local(McpEra::Oldest).await.unwrap(),
    );
    server.point(&format!("http://{}", other.address()));
    let (_folder, house, key) = open(&format!("servers: {{ a: {{ {} }} }}", old(&server)));
    let mut client = Client::new(&house, &key);
    client.begin().await;
    assert!(client.tools().await.is_empty());
    let called = client.call("a_test_simple_text").await;
    assert!(called["error"].is_object(), "{called}");
    assert!(other.served().is_empty(), "a message went where a server sent it");
}

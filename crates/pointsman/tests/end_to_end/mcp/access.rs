//! Access rules with conditions: what may be called with which arguments.

use super::*;

async fn echo(client: &Client, text: &str) -> Value {
    client
        .ask(
            "tools/call",
            json!({ "name": "a_test_echo", "arguments": { "text": text } }),
        )
        .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rules_look_at_arguments() {
    for era in [McpEra::Legacy, McpEra::Modern] {
        let server = McpServer::local(era).await.unwrap();
        let rules = "[ { tools: [test_echo], when: \"!args.text.startsWith('/tmp/')\", keys: [trusted] }, \
                       { tools: [test_echo], when: \"args.text.contains('..')\" } ]";
        let (folder, house, agent) = open(&format!(
            "servers: {{ a: {{ {} }} }}, search: false, access: {rules}",
            at(&server)
        ));
        let trusted = key(folder.path(), named("trusted"));
        tokio::time::sleep(Duration::from_secs(1)).await;
        let (mut one, mut other) = (Client::new(&house, &agent), Client::new(&house, &trusted));
        one.begin().await;
        other.begin().await;
        // It is there for both.
        assert!(one.tools().await.contains(&"a_test_echo".to_owned()));
        assert_eq!(
            echo(&one, "/tmp/a").await["result"]["content"][0]["text"],
            "/tmp/a"
        );
        for (client, text) in [
            (&one, "/etc/passwd"),
            (&one, "/tmp/../etc"),
            (&other, "/srv/../etc"),
        ] {
            let denied = echo(client, text).await;
            assert_eq!(denied["error"]["code"], -32010, "{text}: {denied}");
            assert_eq!(denied["error"]["data"]["code"], "access_denied");
        }
        assert!(echo(&other, "/etc/hosts").await["result"].is_object());
        // Nor by leaving it out, by another type, or by saying it twice.
        for arguments in [
            "{}",
            r#"{"text":["/tmp/"]}"#,
            r#"{"text":"/etc/passwd","text":"/tmp/a"}"#,
            r#"{"text":"\u002fetc/passwd"}"#,
        ] {
            let body = format!(
                r#"{{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{{"name":"a_test_echo","arguments":{arguments}}}}}"#
            );
            let answer = last(&one.send(Method::POST, &body, &[]).await);
            assert!(answer["error"].is_object(), "{arguments}: {answer}");
        }
        let reached = server.served().into_iter().map(|served| served.body);
        let reached: Vec<String> = reached
            .filter(|body| body["method"] == "tools/call")
            .map(|body| body["params"]["arguments"]["text"].to_string())
            .collect();
        assert_eq!(reached, ["\"/tmp/a\"", "\"/etc/hosts\""]);
    }
}

#[test]
fn what_is_no_condition_is_told_when_the_configuration_is_read() {
    for (when, says) in [("args.", "access[0].when"), ("arguments.x == 1", "knows no")] {
        let folder = folder(&format!(
            "mcp: {{ servers: {{ a: {{ url: \"http://127.0.0.1:9/mcp\" }} }}, access: [ {{ when: \"{when}\" }} ] }}\n"
        ));
        let checked = std::process::Command::new(env!("CARGO_BIN_EXE_pointsman"))
            .arg("check")
            .arg(folder.path().join("pointsman.yaml"))
            .output()
            .unwrap();
        let said = [checked.stdout, checked.stderr].concat();
        let said = String::from_utf8_lossy(&said);
        assert!(!checked.status.success() && said.contains(says), "{said}");
    }
}

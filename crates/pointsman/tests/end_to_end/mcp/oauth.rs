//! Tokens of identity providers at `/mcp`: how clients learn where to get them, and which are good here.

use std::time::{SystemTime, UNIX_EPOCH};

use super::*;
use crate::harness::store;
use crate::tokens::{Key, Provider};

const RESOURCE: &str = "https://gateway.example.com/mcp";

fn token(key: &Key, audience: &Value, scope: &str) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    key.token(&json!({ "iss": "https://login.example/", "aud": audience, "sub": "alice", "exp": now + 300, "scope": scope }))
}

fn open(server: &McpServer, provider: &Provider, servers: &str) -> (TempDir, House) {
    let folder = folder(&format!(
        "identity:\n  jwt:\n    - issuer: https://login.example/\n      audience: [pointsman, \"{RESOURCE}\", \"{RESOURCE}/a\"]\n      \
         jwks: {{ url: \"http://{}/keys\" }}\n\
         mcp:\n  servers: {{ a: {{ {} }} }}\n  authorization:\n    resource: {RESOURCE}\n    servers: {servers}\n    scopes:\n      \
         - {{ scope: tools }}\n      - {{ scope: echo, servers: [a], tools: [test_echo] }}\n",
        provider.address(),
        at(server)
    ));
    drop(store(folder.path()));
    let house = House::open(folder.path());
    (folder, house)
}

fn challenge(answer: &Answer) -> String {
    answer.header("www-authenticate").to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tokens_are_for_this_resource_and_step_up_where_they_must() {
    let server = McpServer::local(McpEra::Legacy).await.unwrap();
    let key = Key::new("one");
    let provider = Provider::start(&[&key]);
    let (_folder, house) = open(&server, &provider, "[]");
    let place = "resource_metadata=\"https://gateway.example.com/.well-known/oauth-protected-resource/mcp\"";

    // Whoever has none is told where to get one; so is whoever has a wrong one.
    let none = exchange(house.address, Method::POST, "/mcp", HeaderMap::new(), "{}".into())
        .await
        .unwrap();
    assert_eq!(none.status, 401);
    assert_eq!(challenge(&none), format!("Bearer {place}, scope=\"tools\""));
    for wrong in [
        "ey.ey.ey".to_owned(),
        // Of another resource, though of the same issuer: what it allows there, it does not allow here.
        token(&key, &json!("pointsman"), "tools echo"),
        token(&key, &json!("https://other.example.com/mcp"), "tools echo"),
        token(&key, &json!([format!("{RESOURCE}/a")]), "tools echo"),
    ] {
        let mut client = Client::new(&house, &wrong);
        let refused = client.begin().await;
        assert_eq!(refused.status, 401, "{wrong}");
        assert!(
            challenge(&refused).contains("error=\"invalid_token\"") && challenge(&refused).contains(place)
        );
    }
    let lacks = Client::new(&house, &token(&key, &json!(RESOURCE), "other"))
        .send(Method::POST, &initialize("2025-11-25"), &[])
        .await;
    assert_eq!(lacks.status, 403);
    assert_eq!(
        challenge(&lacks),
        format!("Bearer {place}, error=\"insufficient_scope\", scope=\"tools\"")
    );

    // One that has what every token needs sees all, and is told what more it needs when it does.
    let mut client = Client::new(&house, &token(&key, &json!([RESOURCE]), "tools more"));
    assert_eq!(client.begin().await.status, 200);
    assert!(client.tools().await.contains(&"a_test_echo".to_owned()));
    assert!(client.call("a_test_simple_text").await["result"].is_object());
    let call = json!({ "jsonrpc": "2.0", "id": 9, "method": "tools/call",
        "params": { "name": "a_test_echo", "arguments": { "text": "x" } } });
    let refused = client.send(Method::POST, &call.to_string(), &[]).await;
    assert_eq!(refused.status, 403, "{}", refused.text());
    assert_eq!(
        challenge(&refused),
        format!("Bearer {place}, error=\"insufficient_scope\", scope=\"tools echo more\"")
    );
    let stepped = token(&key, &json!(RESOURCE), "tools echo more");
    client.key = stepped.clone();
    assert_eq!(
        client.send(Method::POST, &call.to_string(), &[]).await.status,
        200
    );
    // At the address of one server a token for that address is good, too.
    let mut alone = Client::new(&house, &token(&key, &json!(format!("{RESOURCE}/a")), "tools"));
    alone.path = "/mcp/a";
    assert_eq!(alone.begin().await.status, 200);
    // No token reaches a server.
    for one in &server.served() {
        assert!(
            one.headers.get(header::AUTHORIZATION).is_none(),
            "{:?}",
            one.headers
        );
        assert!(!one.body.to_string().contains(&stepped));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_resource_and_its_authorization_server_are_described() {
    let server = McpServer::local(McpEra::Legacy).await.unwrap();
    let key = Key::new("one");
    let provider = Provider::start(&[&key]);
    let issuer = format!("http://{}", provider.address());
    let (_folder, house) = open(&server, &provider, &format!("[\"{issuer}\"]"));
    let get = |path: &'static str| exchange(house.address, Method::GET, path, HeaderMap::new(), "".into());
    for (path, resource) in [
        ("/.well-known/oauth-protected-resource", RESOURCE.to_owned()),
        ("/.well-known/oauth-protected-resource/mcp", RESOURCE.to_owned()),
        (
            "/.well-known/oauth-protected-resource/mcp/a",
            format!("{RESOURCE}/a"),
        ),
    ] {
        let described = get(path).await.unwrap();
        assert_eq!(described.status, 200, "{path}");
        let said = described.json();
        assert_eq!(said["resource"], resource);
        assert_eq!(said["authorization_servers"], json!([issuer]));
        assert_eq!(said["scopes_supported"], json!(["tools", "echo"]));
        assert_eq!(said["bearer_methods_supported"], json!(["header"]));
    }
    assert_eq!(
        get("/.well-known/oauth-protected-resource/mcp/none")
            .await
            .unwrap()
            .status,
        404
    );
    // Its keys are no description: it is not believed.
    assert_eq!(
        get("/.well-known/oauth-authorization-server")
            .await
            .unwrap()
            .status,
        502
    );
    provider.says(
        &json!({ "issuer": "https://evil.example.com", "token_endpoint": "https://evil.example.com/t" }),
    );
    assert_eq!(
        get("/.well-known/oauth-authorization-server")
            .await
            .unwrap()
            .status,
        502
    );
    let own = json!({ "issuer": issuer, "token_endpoint": format!("{issuer}/token"), "code_challenge_methods_supported": ["S256"] });
    provider.says(&own);
    let said = get("/.well-known/oauth-authorization-server").await.unwrap();
    assert_eq!((said.status.as_u16(), said.json()), (200, own));
}

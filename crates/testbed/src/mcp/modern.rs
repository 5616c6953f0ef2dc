//! The era without sessions.

use std::sync::Arc;
use std::time::Duration;

use http::request::Parts;
use http::{Method, Response};
use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::{Body, QUEUE, State, error, events, legacy, result, things, whole};

const VERSION: &str = "2026-07-28";

/// Answers a request over HTTP.
pub fn answer(state: &Arc<State>, parts: &Parts, message: Value) -> Response<Body> {
    if parts.method != Method::POST {
        return whole(405, &Value::Null);
    }
    let id = message["id"].clone();
    let header = |name: &str| {
        parts
            .headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
    };
    let (method, params) = (message["method"].as_str().unwrap_or_default(), &message["params"]);
    let meta = &params["_meta"];
    if header("mcp-protocol-version") != VERSION || meta["io.modelcontextprotocol/protocolVersion"] != VERSION
    {
        let mut refused = error(&id, -32022, "Unsupported protocol version");
        refused["error"]["data"] =
            json!({ "supported": [VERSION], "requested": header("mcp-protocol-version") });
        return whole(400, &refused);
    }
    if meta["io.modelcontextprotocol/clientCapabilities"].is_null() {
        return whole(400, &error(&id, -32602, "no capabilities"));
    }
    let named = params["name"]
        .as_str()
        .or(params["uri"].as_str())
        .unwrap_or_default();
    let wants_name = matches!(method, "tools/call" | "prompts/get" | "resources/read");
    if header("mcp-method") != method || (wants_name && header("mcp-name") != named) {
        return whole(400, &error(&id, -32020, "Header mismatch"));
    }
    match method {
        "server/discover" => whole(
            200,
            &result(
                &id,
                &json!({
                    "resultType": "complete", "supportedVersions": [VERSION], "ttlMs": 0, "cacheScope": "public",
                    "capabilities": { "tools": { "listChanged": true }, "resources": { "subscribe": true, "listChanged": true }, "prompts": { "listChanged": true }, "completions": {} },
                }),
            ),
        ),
        "subscriptions/listen" => {
            let (sender, receiver) = mpsc::channel(QUEUE);
            let belongs = json!({ "io.modelcontextprotocol/subscriptionId": id });
            let told = json!({ "notifications": params["notifications"], "_meta": belongs });
            let _ = sender.try_send(json!({ "jsonrpc": "2.0", "method": "notifications/subscriptions/acknowledged", "params": told }));
            state.listeners.lock().push((id, sender));
            events(receiver)
        }
        "tools/call" => call(parts, &id, params),
        _ => match legacy::listed(state, method, params) {
            Ok(mut value) => {
                value["resultType"] = json!("complete");
                value["ttlMs"] = json!(60_000);
                value["cacheScope"] = json!("public");
                whole(200, &result(&id, &value))
            }
            Err((-32601, why)) => whole(404, &error(&id, -32601, why)),
            Err((_, why)) => whole(200, &error(&id, -32602, why)),
        },
    }
}

fn call(parts: &Parts, id: &Value, params: &Value) -> Response<Body> {
    let name = params["name"].as_str().unwrap_or_default();
    let text =
        |text: String| json!({ "resultType": "complete", "content": [{ "type": "text", "text": text }] });
    let wants = |method: &str, asked: Value| {
        let state = format!("state-of-{name}");
        json!({ "resultType": "input_required", "requestState": state, "inputRequests": { "it": { "method": method, "params": asked } } })
    };
    let input = &params["inputResponses"]["it"];
    let is_back = !input.is_null() && params["requestState"] == format!("state-of-{name}");
    let value = match name {
        "test_elicitation" if is_back => text(format!(
            "User response: action={}",
            input["action"].as_str().unwrap_or("none")
        )),
        "test_elicitation" => wants(
            "elicitation/create",
            json!({ "mode": "form", "message": params["arguments"]["message"], "requestedSchema": { "type": "object", "properties": {} } }),
        ),
        "test_sampling" if is_back => text(format!(
            "LLM response: {}",
            input["content"]["text"].as_str().unwrap_or("none")
        )),
        "test_sampling" => wants(
            "sampling/createMessage",
            json!({ "maxTokens": 10, "messages": [{ "role": "user", "content": { "type": "text", "text": params["arguments"]["prompt"] } }] }),
        ),
        "test_custom_header" => {
            let said = parts
                .headers
                .get("mcp-param-region")
                .and_then(|value| value.to_str().ok());
            if said != params["arguments"]["region"].as_str() {
                return whole(400, &error(id, -32020, "Header mismatch"));
            }
            text(format!("region {}", said.unwrap_or("none")))
        }
        "test_echo" => {
            let mut value = things::echo(&params["arguments"]);
            value["resultType"] = json!("complete");
            value
        }
        "test_tool_with_progress" => return progress(id, &params["_meta"]["progressToken"]),
        _ => match things::call(name) {
            Some(mut value) => {
                value["resultType"] = json!("complete");
                value
            }
            None => return whole(200, &error(id, -32602, "no such tool")),
        },
    };
    whole(200, &result(id, &value))
}

fn progress(id: &Value, token: &Value) -> Response<Body> {
    let (sender, receiver) = mpsc::channel(QUEUE);
    let (id, token) = (id.clone(), token.clone());
    tokio::spawn(async move {
        for step in [0, 50, 100] {
            if !token.is_null() {
                let told = json!({ "progressToken": token, "progress": step, "total": 100 });
                let _ = sender.try_send(
                    json!({ "jsonrpc": "2.0", "method": "notifications/progress", "params": told }),
                );
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let done =
            json!({ "resultType": "complete", "content": [{ "type": "text", "text": "progress done" }] });
        let _ = sender.try_send(result(&id, &done));
    });
    events(receiver)
}

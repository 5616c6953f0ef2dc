//! The era with sessions.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use http::request::Parts;
use http::{HeaderValue, Method, Response};
use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::{Body, QUEUE, State, Talk, error, events, result, resumable, things, whole};

const SESSION: &str = "mcp-session-id";
/// Between two messages of a tool that says several.
const PAUSE: Duration = Duration::from_millis(50);

/// Answers a request over HTTP.
pub fn answer(state: &Arc<State>, parts: &Parts, message: Value) -> Response<Body> {
    let said = parts.headers.get(SESSION).and_then(|id| id.to_str().ok());
    if message["method"] == "initialize" {
        let id = format!("s-{}", state.next.fetch_add(1, Ordering::Relaxed));
        state.sessions.lock().insert(id.clone(), Talk::new());
        let mut response = whole(200, &result(&message["id"], &greeting(&message)));
        if let Ok(value) = HeaderValue::from_str(&id) {
            response.headers_mut().insert(SESSION, value);
        }
        return response;
    }
    let Some(said) = said else {
        return whole(400, &error(&Value::Null, -32600, "no session"));
    };
    let Some(talk) = state.sessions.lock().get(said).cloned() else {
        return whole(404, &error(&Value::Null, -32600, "unknown session"));
    };
    match parts.method {
        Method::GET if parts.headers.contains_key("last-event-id") => resumable::resume(&talk, parts),
        Method::GET => {
            let (sender, receiver) = mpsc::channel(QUEUE);
            *talk.unasked.lock() = Some(sender);
            events(receiver)
        }
        Method::DELETE => {
            state.sessions.lock().remove(said);
            whole(204, &Value::Null)
        }
        _ if message["params"]["name"] == "test_count" => resumable::count(&talk, &message),
        _ if message.get("method").is_some() && message.get("id").is_some() => {
            let (out, receiver) = mpsc::channel(QUEUE);
            let state = Arc::clone(state);
            tokio::spawn(async move { take(&state, &talk, out, message).await });
            events(receiver)
        }
        _ => {
            let state = Arc::clone(state);
            let (out, _) = mpsc::channel(QUEUE);
            tokio::spawn(async move { take(&state, &talk, out, message).await });
            whole(202, &Value::Null)
        }
    }
}

/// What a server says of itself.
pub fn greeting(message: &Value) -> Value {
    let asked = message["params"]["protocolVersion"].as_str().unwrap_or_default();
    let known = ["2025-03-26", "2025-06-18", "2025-11-25"];
    let version = known
        .into_iter()
        .find(|version| *version == asked)
        .unwrap_or("2025-11-25");
    json!({
        "protocolVersion": version,
        "capabilities": {
            "tools": { "listChanged": true }, "resources": { "subscribe": true, "listChanged": true },
            "prompts": { "listChanged": true }, "completions": {}, "logging": {},
        },
        "serverInfo": { "name": "simulated", "version": "1.0.0" },
        "instructions": "Call one tool at a time.",
    })
}

/// Takes a message, and sends what comes of it.
pub async fn take(state: &Arc<State>, talk: &Arc<Talk>, out: mpsc::Sender<Value>, message: Value) {
    let id = message["id"].clone();
    let Some(method) = message["method"].as_str() else {
        talk.answered(&message);
        return;
    };
    if id.is_null() {
        if method == "notifications/cancelled" {
            talk.cancelled.lock().push(message["params"]["requestId"].clone());
        }
        return;
    }
    let params = &message["params"];
    let answer = match method {
        "initialize" => result(&id, &greeting(&message)),
        "tools/call" => match call(talk, &out, &id, params).await {
            Some(answer) => answer,
            None => return,
        },
        _ => match listed(state, method, params) {
            Ok(value) => result(&id, &value),
            Err((code, why)) => error(&id, code, why),
        },
    };
    let _ = out.try_send(answer);
}

/// What needs nobody but the server.
pub fn listed(state: &State, method: &str, params: &Value) -> Result<Value, (i64, &'static str)> {
    let name = |field: &str| params[field].as_str().unwrap_or_default();
    Ok(match method {
        "ping" | "logging/setLevel" | "resources/subscribe" | "resources/unsubscribe" => json!({}),
        "tools/list" => paged("tools", &things::tools(&state.description.lock()), params),
        "resources/list" => json!({ "resources": things::resources() }),
        "resources/templates/list" => json!({ "resourceTemplates": things::templates() }),
        "prompts/list" => json!({ "prompts": things::prompts() }),
        "resources/read" => things::read(name("uri")).ok_or((-32002, "Resource not found"))?,
        "prompts/get" => {
            things::prompt(name("name"), &params["arguments"]).ok_or((-32602, "no such prompt"))?
        }
        "completion/complete" => things::complete(params),
        _ => return Err((-32601, "Method not found")),
    })
}

/// Ten entries a page, so that clients must turn pages.
fn paged(field: &str, all: &[Value], params: &Value) -> Value {
    let from = params["cursor"]
        .as_str()
        .and_then(|cursor| cursor.parse().ok())
        .unwrap_or(0_usize);
    let page: Vec<&Value> = all.iter().skip(from).take(10).collect();
    let mut result = json!({ field: page });
    if from + 10 < all.len() {
        result["nextCursor"] = json!((from + 10).to_string());
    }
    result
}

async fn call(talk: &Arc<Talk>, out: &mpsc::Sender<Value>, id: &Value, params: &Value) -> Option<Value> {
    let name = params["name"].as_str().unwrap_or_default();
    let arguments = &params["arguments"];
    let text = |text: String| json!({ "content": [{ "type": "text", "text": text }] });
    let tell = |method: &str, params: Value| {
        let _ = out.try_send(json!({ "jsonrpc": "2.0", "method": method, "params": params }));
    };
    let value = match name {
        "test_tool_with_progress" => {
            let token = &params["_meta"]["progressToken"];
            for step in [0, 50, 100] {
                if !token.is_null() {
                    tell(
                        "notifications/progress",
                        json!({ "progressToken": token, "progress": step, "total": 100 }),
                    );
                }
                tokio::time::sleep(PAUSE).await;
            }
            text("progress done".to_owned())
        }
        "test_tool_with_logging" => {
            for step in [
                "Tool execution started",
                "Tool processing data",
                "Tool execution completed",
            ] {
                tell(
                    "notifications/message",
                    json!({ "level": "info", "logger": "sim", "data": step }),
                );
                tokio::time::sleep(PAUSE).await;
            }
            text("logged".to_owned())
        }
        "test_slow" => {
            for _ in 0..200 {
                tokio::time::sleep(PAUSE).await;
                if talk.cancelled.lock().contains(id) {
                    return None;
                }
            }
            text("slow".to_owned())
        }
        "test_echo" => things::echo(arguments),
        "test_sampling" | "test_roots" => text(asked(talk, out, name, arguments).await),
        name if name.starts_with("test_elicitation") => text(elicited(talk, out, name, arguments).await),
        _ => match things::call(name) {
            Some(value) => value,
            None => return Some(error(id, -32602, "no such tool")),
        },
    };
    Some(result(id, &value))
}

/// What a client's model or roots are, as it tells when it is asked.
async fn asked(talk: &Arc<Talk>, out: &mpsc::Sender<Value>, name: &str, arguments: &Value) -> String {
    if name == "test_roots" {
        let answer = talk.ask(out, "roots/list", json!({})).await;
        return format!("roots: {}", answer["result"]["roots"]);
    }
    let message = json!({ "role": "user", "content": { "type": "text", "text": arguments["prompt"] } });
    let asked = json!({ "messages": [message], "maxTokens": 100 });
    let answer = talk.ask(out, "sampling/createMessage", asked).await;
    let said = answer["result"]["content"]["text"].as_str();
    format!("LLM response: {}", said.unwrap_or("none"))
}

/// What a user answers to a form.
async fn elicited(talk: &Arc<Talk>, out: &mpsc::Sender<Value>, name: &str, arguments: &Value) -> String {
    let schema = match name {
        "test_elicitation" => json!({ "type": "object", "properties": {
            "username": { "type": "string", "description": "User's response" },
            "email": { "type": "string", "description": "User's email address" },
        }, "required": ["username", "email"] }),
        "test_elicitation_sep1034_defaults" => things::defaults(),
        _ => things::choices(),
    };
    let message = arguments["message"].as_str().unwrap_or("Please fill in");
    let asked = json!({ "message": message, "requestedSchema": schema });
    let answer = talk.ask(out, "elicitation/create", asked).await;
    let (action, content) = (&answer["result"]["action"], &answer["result"]["content"]);
    format!(
        "User response: action={}, content={content}",
        action.as_str().unwrap_or("none")
    )
}

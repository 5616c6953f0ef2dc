//! The simulated agent's words in 0.3.

use serde_json::{Value, json};

/// What 1.0 calls a method.
pub fn name(method: &str) -> &'static str {
    match method {
        "message/send" => "SendMessage",
        "message/stream" => "SendStreamingMessage",
        "tasks/get" => "GetTask",
        "tasks/cancel" => "CancelTask",
        "tasks/resubscribe" => "SubscribeToTask",
        "tasks/pushNotificationConfig/set" => "CreateTaskPushNotificationConfig",
        "tasks/pushNotificationConfig/list" => "ListTaskPushNotificationConfigs",
        "agent/getAuthenticatedExtendedCard" => "GetExtendedAgentCard",
        _ => "",
    }
}

/// Parameters as 1.0 has them.
pub fn up(method: &str, mut params: Value) -> Value {
    match method {
        "message/send" | "message/stream" => {
            let configuration = &mut params["configuration"];
            if let Some(config) = configuration.get("pushNotificationConfig").cloned() {
                configuration["taskPushNotificationConfig"] = flat(config);
            }
            if configuration["blocking"] == false {
                configuration["returnImmediately"] = json!(true);
            }
            params
        }
        "tasks/pushNotificationConfig/set" => {
            let mut config = flat(params["pushNotificationConfig"].clone());
            config["taskId"] = params["taskId"].clone();
            config
        }
        "tasks/pushNotificationConfig/list" => json!({ "taskId": params["id"] }),
        _ => params,
    }
}

fn flat(mut config: Value) -> Value {
    let scheme = config["authentication"]["schemes"][0].clone();
    if !scheme.is_null() {
        config["authentication"]["scheme"] = scheme;
    }
    config
}

/// A result or an event as 0.3 has it.
pub fn down(value: Value) -> Value {
    let kinds = [
        ("task", "task"),
        ("message", "message"),
        ("statusUpdate", "status-update"),
        ("artifactUpdate", "artifact-update"),
    ];
    for (field, kind) in kinds {
        if let Some(inner) = value.get(field).filter(|inner| inner.is_object()) {
            let mut inner = words(inner.clone());
            inner["kind"] = json!(kind);
            if kind == "status-update" {
                inner["final"] = json!(inner["status"]["state"] != "working");
            }
            return inner;
        }
    }
    if let Some(configs) = value.get("configs") {
        let nest = |config: &Value| json!({ "taskId": config["taskId"], "pushNotificationConfig": config });
        return configs
            .as_array()
            .map(|all| all.iter().map(nest).collect())
            .unwrap_or_default();
    }
    if value.get("status").is_some() {
        let mut task = words(value);
        task["kind"] = json!("task");
        return task;
    }
    if value.get("url").is_some() && value.get("taskId").is_some() {
        return json!({ "taskId": value["taskId"], "pushNotificationConfig": value });
    }
    value
}

/// States, roles and parts in the words of 0.3.
fn words(value: Value) -> Value {
    match value {
        Value::String(text) => match text.as_str() {
            "ROLE_USER" => json!("user"),
            "ROLE_AGENT" => json!("agent"),
            _ => match text.strip_prefix("TASK_STATE_") {
                Some(state) => json!(state.to_lowercase().replace('_', "-")),
                None => Value::String(text),
            },
        },
        Value::Array(list) => list.into_iter().map(words).collect(),
        Value::Object(fields) => {
            let mut fields: serde_json::Map<String, Value> = fields
                .into_iter()
                .map(|(name, value)| (name, words(value)))
                .collect();
            if fields.contains_key("text") && !fields.contains_key("kind") {
                fields.insert("kind".to_owned(), json!("text"));
            }
            if fields.contains_key("messageId") && !fields.contains_key("kind") {
                fields.insert("kind".to_owned(), json!("message"));
            }
            Value::Object(fields)
        }
        other => other,
    }
}

//! HTTP+JSON and gRPC of the 0.3 line: both speak in the messages of `a2a.v1`, which are not those of 0.3 over JSON-RPC. Here
//! is the way from the ones to the others; from there on everything is 0.3.
//!
//! In `a2a.v1` parts of a message are its `content`, files and data stand in objects of their own, tasks are named by paths,
//! and nothing has a `kind`.

pub mod rest;
pub mod schema;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::value::RawValue;

use crate::error::A2aError;
use crate::json::{self, Object, Raw};
use crate::operation::Operation;
use crate::proto;
use crate::spelling;
use crate::translate;

/// The path that all methods of gRPC begin with.
pub const SERVICE: &str = "/a2a.v1.A2AService/";
/// What is before the id of a task, and before that of an address, in names.
const TASKS: &str = "tasks/";
const CONFIGS: &str = "/pushNotificationConfigs/";

/// Operations by the names that gRPC has for them.
const METHODS: [(Operation, &str); 10] = [
    (Operation::Send, "SendMessage"),
    (Operation::Stream, "SendStreamingMessage"),
    (Operation::Get, "GetTask"),
    (Operation::Cancel, "CancelTask"),
    (Operation::Subscribe, "TaskSubscription"),
    (Operation::CreatePush, "CreateTaskPushNotificationConfig"),
    (Operation::GetPush, "GetTaskPushNotificationConfig"),
    (Operation::ListPush, "ListTaskPushNotificationConfig"),
    (Operation::DeletePush, "DeleteTaskPushNotificationConfig"),
    (Operation::ExtendedCard, "GetAgentCard"),
];
/// States: of JSON-RPC, and of the messages.
const STATES: [(&str, &str); 9] = [
    ("unknown", "TASK_STATE_UNSPECIFIED"),
    ("submitted", "TASK_STATE_SUBMITTED"),
    ("working", "TASK_STATE_WORKING"),
    ("completed", "TASK_STATE_COMPLETED"),
    ("failed", "TASK_STATE_FAILED"),
    ("canceled", "TASK_STATE_CANCELLED"),
    ("input-required", "TASK_STATE_INPUT_REQUIRED"),
    ("rejected", "TASK_STATE_REJECTED"),
    ("auth-required", "TASK_STATE_AUTH_REQUIRED"),
];
const ROLES: [(&str, &str); 2] = [("user", "ROLE_USER"), ("agent", "ROLE_AGENT")];
/// Events: their `kind`, and the field that holds them.
const EVENTS: [(&str, &str); 4] = [
    ("task", "task"),
    ("message", "message"),
    ("status-update", "statusUpdate"),
    ("artifact-update", "artifactUpdate"),
];

/// The operation of a path of gRPC.
#[must_use]
pub fn operation(path: &str) -> Option<Operation> {
    let method = path.strip_prefix(SERVICE)?;
    let mut all = METHODS.iter();
    all.find(|(_, name)| *name == method)
        .map(|(operation, _)| *operation)
}

/// The path of an operation over gRPC; none where 0.3 does not have it.
#[must_use]
pub fn path(operation: Operation) -> Option<String> {
    let mut all = METHODS.iter();
    let (_, name) = all.find(|(other, _)| *other == operation)?;
    Some([SERVICE, name].concat())
}

/// A question over gRPC, in the words of 0.3.
///
/// # Errors
/// When it is no such message.
pub fn asked(operation: Operation, message: &[u8]) -> Result<Object, A2aError> {
    let value = proto::decode(schema::of(operation).0, message);
    let value = value.map_err(|error| A2aError::params(error.to_string()))?;
    let mut params = Object::of(&json::raw(&value)).unwrap_or_default();
    params_up(operation, &mut params);
    Ok(params)
}

/// An answer as it is told over gRPC.
#[must_use]
pub fn told(operation: Operation, result: &RawValue) -> Raw {
    match operation {
        Operation::ExtendedCard => card_down(result),
        _ => result_down(operation, result),
    }
}

/// An answer as it was told over gRPC.
#[must_use]
pub fn heard(operation: Operation, result: &RawValue) -> Raw {
    match operation {
        Operation::ExtendedCard => card_up(result),
        _ => result_up(operation, result),
    }
}

/// Parameters in the words of JSON-RPC.
pub fn params_up(operation: Operation, params: &mut Object) {
    match operation {
        Operation::Send | Operation::Stream => {
            params.within("message", message_up);
            params.within("configuration", |configuration| {
                configuration.rename("pushNotification", "pushNotificationConfig");
                // What is not said is `false` in messages.
                if configuration.get("blocking").is_none() {
                    configuration.set("blocking", &false);
                }
            });
        }
        Operation::Get | Operation::Cancel | Operation::Subscribe => {
            let (task, _) = named(params, "name");
            params.set("id", &task);
        }
        Operation::GetPush | Operation::DeletePush => {
            let (task, config) = named(params, "name");
            params.set("id", &task);
            if let Some(config) = config {
                params.set("pushNotificationConfigId", &config);
            }
        }
        Operation::ListPush => {
            let (task, _) = named(params, "parent");
            params.set("id", &task);
        }
        Operation::CreatePush => {
            let (task, _) = named(params, "parent");
            let config = params.object("config").unwrap_or_default();
            let mut inner = config.object("pushNotificationConfig").unwrap_or_default();
            if let Some(id) = params.filled("configId").filter(|_| inner.filled("id").is_none()) {
                inner.set("id", &id);
            }
            *params = Object::default();
            params.set("taskId", &task);
            params.set("pushNotificationConfig", &inner);
        }
        Operation::List | Operation::ExtendedCard => {}
    }
}

/// Parameters in the words of `a2a.v1`.
pub fn params_down(operation: Operation, params: &mut Object) {
    match operation {
        Operation::Send | Operation::Stream => {
            // Names of these messages that were there before are nobody's whom the gateway has checked.
            spelling::strip(params);
            params.within("message", message_down);
            params.within("configuration", |configuration| {
                spelling::strip(configuration);
                configuration.rename("pushNotificationConfig", "pushNotification");
            });
        }
        Operation::Get | Operation::Cancel | Operation::Subscribe => {
            let task = taken(params, "id");
            params.set("name", &[TASKS, &task].concat());
        }
        Operation::GetPush | Operation::DeletePush => {
            let (task, config) = (taken(params, "id"), taken(params, "pushNotificationConfigId"));
            params.set("name", &name(&task, &config));
        }
        Operation::ListPush => {
            let task = taken(params, "id");
            params.set("parent", &[TASKS, &task].concat());
        }
        Operation::CreatePush => {
            let inner = params.object("pushNotificationConfig").unwrap_or_default();
            let (task, id) = (taken(params, "taskId"), inner.filled("id").unwrap_or_default());
            let config = Object::from([
                ("name", json::raw(&name(&task, &id))),
                ("pushNotificationConfig", inner.raw()),
            ]);
            *params = Object::from([
                ("parent", json::raw(&[TASKS, &task].concat())),
                ("configId", json::raw(&id)),
                ("config", config.raw()),
            ]);
        }
        Operation::List | Operation::ExtendedCard => {}
    }
}

/// What is told of an address of a task.
fn name(task: &str, config: &str) -> String {
    [TASKS, task, CONFIGS, config].concat()
}

/// The ids of a task and of an address in a name, which is taken out.
fn named(params: &mut Object, field: &str) -> (String, Option<String>) {
    let name = taken(params, field);
    let name = name.strip_prefix(TASKS).unwrap_or(&name);
    match name.split_once(CONFIGS) {
        Some((task, config)) => (task.to_owned(), Some(config.to_owned())),
        None => (name.trim_end_matches("/pushNotificationConfigs").to_owned(), None),
    }
}

fn taken(params: &mut Object, field: &str) -> String {
    let text = params.filled(field).unwrap_or_default();
    params.remove(field);
    text
}

/// An answer in the words of JSON-RPC.
#[must_use]
pub fn result_up(operation: Operation, result: &RawValue) -> Raw {
    if operation == Operation::DeletePush {
        return json::raw(&());
    }
    let Some(mut object) = Object::of(result) else {
        return result.to_owned();
    };
    match operation {
        Operation::Send | Operation::Stream | Operation::Subscribe => return event_up(&object),
        Operation::Get | Operation::Cancel => task_up(&mut object),
        Operation::CreatePush | Operation::GetPush => push_up(&mut object),
        Operation::ListPush => {
            object.each("configs", push_up);
            let none = || json::raw(&[(); 0]);
            return object.get("configs").map_or_else(none, ToOwned::to_owned);
        }
        Operation::List | Operation::DeletePush | Operation::ExtendedCard => {}
    }
    object.raw()
}

/// An answer in the words of `a2a.v1`.
#[must_use]
pub fn result_down(operation: Operation, result: &RawValue) -> Raw {
    match operation {
        Operation::DeletePush => return Object::default().raw(),
        Operation::ListPush => {
            let mut all = Object::from([("configs", result.to_owned())]);
            all.each("configs", push_down);
            return all.raw();
        }
        _ => {}
    }
    let Some(mut object) = Object::of(result) else {
        return result.to_owned();
    };
    match operation {
        Operation::Send | Operation::Stream | Operation::Subscribe => return event_down(object),
        Operation::Get | Operation::Cancel => task_down(&mut object),
        Operation::CreatePush | Operation::GetPush => push_down(&mut object),
        Operation::List | Operation::ListPush | Operation::DeletePush | Operation::ExtendedCard => {}
    }
    object.raw()
}

fn event_up(event: &Object) -> Raw {
    let found = EVENTS
        .iter()
        .find_map(|(kind, field)| event.object(field).map(|inner| (*kind, inner)));
    let Some((kind, mut inner)) = found else {
        return event.raw();
    };
    match kind {
        "task" => task_up(&mut inner),
        "message" => message_up(&mut inner),
        "status-update" => {
            inner.within("status", status_up);
            inner.set("kind", kind);
            if inner.get("final").is_none() {
                inner.set("final", &false);
            }
        }
        _ => {
            inner.within("artifact", artifact_up);
            inner.set("kind", kind);
        }
    }
    inner.raw()
}

fn event_down(mut event: Object) -> Raw {
    let kind = event.text("kind").unwrap_or_default();
    let Some((_, field)) = EVENTS.iter().find(|(known, _)| *known == kind) else {
        return event.raw();
    };
    match *field {
        "task" => task_down(&mut event),
        "message" => message_down(&mut event),
        "statusUpdate" => {
            event.remove("kind");
            event.within("status", status_down);
        }
        _ => {
            event.remove("kind");
            event.within("artifact", artifact_down);
        }
    }
    Object::from([(*field, event.raw())]).raw()
}

fn push_up(config: &mut Object) {
    let (task, id) = named(config, "name");
    config.set("taskId", &task);
    config.within("pushNotificationConfig", |inner| {
        if let Some(id) = id.filter(|id| !id.is_empty() && inner.filled("id").is_none()) {
            inner.set("id", &id);
        }
    });
}

fn push_down(config: &mut Object) {
    let inner = config.object("pushNotificationConfig").unwrap_or_default();
    let task = taken(config, "taskId");
    config.set("name", &name(&task, &inner.filled("id").unwrap_or_default()));
}

fn renamed(object: &mut Object, field: &str, names: &[(&str, &str)], up: bool) {
    let said = object.text(field).unwrap_or_default();
    let mut names = names
        .iter()
        .map(|(rpc, message)| if up { (*message, *rpc) } else { (*rpc, *message) });
    if let Some((_, to)) = names.find(|(from, _)| *from == said) {
        object.set(field, to);
    }
}

fn task_up(task: &mut Object) {
    task.within("status", status_up);
    task.each("history", message_up);
    task.each("artifacts", artifact_up);
    task.set("kind", "task");
}

fn task_down(task: &mut Object) {
    task.remove("kind");
    task.within("status", status_down);
    task.each("history", message_down);
    task.each("artifacts", artifact_down);
}

fn status_up(status: &mut Object) {
    if status.get("state").is_none() {
        status.set("state", "unknown");
    }
    renamed(status, "state", &STATES, true);
    status.within("message", message_up);
}

fn status_down(status: &mut Object) {
    renamed(status, "state", &STATES, false);
    status.within("message", message_down);
}

fn message_up(message: &mut Object) {
    renamed(message, "role", &ROLES, true);
    message.rename("content", "parts");
    message.each("parts", part_up);
    message.set("kind", "message");
}

fn message_down(message: &mut Object) {
    message.remove("kind");
    renamed(message, "role", &ROLES, false);
    message.each("parts", part_down);
    message.rename("parts", "content");
}

fn artifact_up(artifact: &mut Object) {
    artifact.each("parts", part_up);
}

fn artifact_down(artifact: &mut Object) {
    artifact.each("parts", part_down);
}

fn part_up(part: &mut Object) {
    let kind = if let Some(mut file) = part.object("file") {
        file.rename("fileWithUri", "uri");
        if let Some(bytes) = file.text("fileWithBytes") {
            file.remove("fileWithBytes");
            file.set("bytes", &bytes_up(bytes));
        }
        part.set("file", &file);
        "file"
    } else if let Some(data) = part.object("data") {
        let inner = data.object("data").unwrap_or_default();
        part.set("data", &inner);
        "data"
    } else {
        "text"
    };
    part.set("kind", kind);
}

fn part_down(part: &mut Object) {
    part.remove("kind");
    if part.get("file").is_some() {
        part.within("file", |file| {
            spelling::strip(file);
            file.rename("uri", "fileWithUri");
            if let Some(bytes) = file.text("bytes") {
                file.remove("bytes");
                file.set("fileWithBytes", &STANDARD.encode(bytes));
            }
        });
    } else if let Some(data) = part.remove("data") {
        part.set("data", &Object::from([("data", data)]));
    }
}

/// The official SDKs put the base64 of a file into the bytes of a message as they are, as a text; others put in the file.
fn bytes_up(bytes: String) -> String {
    let inner = STANDARD.decode(&bytes).ok();
    let inner = inner.and_then(|inner| String::from_utf8(inner).ok());
    inner
        .filter(|text| !text.is_empty() && STANDARD.decode(text).is_ok())
        .unwrap_or(bytes)
}

/// Fields of a card that both have.
const OF_CARDS: [&str; 5] = [
    "url",
    "preferredTransport",
    "additionalInterfaces",
    "protocolVersion",
    "supportsAuthenticatedExtendedCard",
];

/// A card as a message: its schemes and what it requires are told as in 1.0.
fn card_down(card: &RawValue) -> Raw {
    let Some(old) = Object::of(card) else {
        return card.to_owned();
    };
    let mut card = old.clone();
    translate::card::up(&mut card);
    card.remove("supportedInterfaces");
    card.rename("securityRequirements", "security");
    card.each("skills", |skill| skill.rename("securityRequirements", "security"));
    for field in OF_CARDS {
        if let Some(value) = old.get(field) {
            card.set(field, value);
        }
    }
    card.raw()
}

fn card_up(card: &RawValue) -> Raw {
    let Some(mut card) = Object::of(card) else {
        return card.to_owned();
    };
    card.rename("security", "securityRequirements");
    card.each("skills", |skill| skill.rename("security", "securityRequirements"));
    translate::card::down(&mut card);
    card.raw()
}

#[cfg(test)]
mod tests;

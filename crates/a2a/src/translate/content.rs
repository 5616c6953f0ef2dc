//! Tasks, messages, parts and artifacts from one version to the other.

use crate::json::{self, Object};

/// States: of 1.0, and of 0.3.
const STATES: [(&str, &str); 9] = [
    ("TASK_STATE_UNSPECIFIED", "unknown"),
    ("TASK_STATE_SUBMITTED", "submitted"),
    ("TASK_STATE_WORKING", "working"),
    ("TASK_STATE_COMPLETED", "completed"),
    ("TASK_STATE_FAILED", "failed"),
    ("TASK_STATE_CANCELED", "canceled"),
    ("TASK_STATE_INPUT_REQUIRED", "input-required"),
    ("TASK_STATE_REJECTED", "rejected"),
    ("TASK_STATE_AUTH_REQUIRED", "auth-required"),
];
const ROLES: [(&str, &str); 2] = [("ROLE_USER", "user"), ("ROLE_AGENT", "agent")];
/// Where 0.3 says that data was no object: its data always is one.
const BOXED: &str = "data_part_compat";

/// Whether nothing follows a state in its stream.
pub fn is_last(state: &str) -> bool {
    matches!(
        state,
        "TASK_STATE_COMPLETED"
            | "TASK_STATE_FAILED"
            | "TASK_STATE_CANCELED"
            | "TASK_STATE_REJECTED"
            | "TASK_STATE_INPUT_REQUIRED"
            | "TASK_STATE_AUTH_REQUIRED"
    )
}

fn name_up(object: &mut Object, field: &str, names: &[(&str, &str)]) {
    let said = object.text(field).unwrap_or_default();
    if let Some((new, _)) = names.iter().find(|(_, old)| *old == said) {
        object.set(field, new);
    }
}

fn name_down(object: &mut Object, field: &str, names: &[(&str, &str)]) {
    let said = object.text(field).unwrap_or_default();
    if let Some((_, old)) = names.iter().find(|(new, _)| *new == said) {
        object.set(field, old);
    }
}

pub fn task_up(task: &mut Object) {
    task.remove("kind");
    task.within("status", status_up);
    task.each("history", message_up);
    task.each("artifacts", artifact_up);
}

pub fn task_down(task: &mut Object) {
    task.within("status", status_down);
    task.each("history", message_down);
    task.each("artifacts", artifact_down);
    task.set("kind", "task");
}

pub fn status_up(status: &mut Object) {
    name_up(status, "state", &STATES);
    status.within("message", message_up);
}

pub fn status_down(status: &mut Object) {
    name_down(status, "state", &STATES);
    status.within("message", message_down);
}

pub fn message_up(message: &mut Object) {
    message.remove("kind");
    name_up(message, "role", &ROLES);
    message.each("parts", part_up);
}

pub fn message_down(message: &mut Object) {
    name_down(message, "role", &ROLES);
    message.each("parts", part_down);
    message.set("kind", "message");
}

pub fn artifact_up(artifact: &mut Object) {
    artifact.each("parts", part_up);
}

pub fn artifact_down(artifact: &mut Object) {
    artifact.each("parts", part_down);
}

fn part_up(part: &mut Object) {
    part.remove("kind");
    if let Some(file) = part.object("file") {
        part.remove("file");
        for (name, value) in file.iter() {
            let new = match name {
                "bytes" => "raw",
                "uri" => "url",
                "mimeType" => "mediaType",
                "name" => "filename",
                other => other,
            };
            part.set(new, value);
        }
    }
    let boxed = part.object("metadata").and_then(|metadata| metadata.flag(BOXED));
    if boxed == Some(true)
        && let Some(data) = part.object("data")
    {
        let value = data.iter().find(|(name, _)| *name == "value");
        let value = value.map_or_else(|| json::raw(&()), |(_, value)| value.to_owned());
        part.set("data", &value);
        part.within("metadata", |metadata| {
            metadata.remove(BOXED);
        });
        if part
            .object("metadata")
            .is_some_and(|metadata| metadata.is_empty())
        {
            part.remove("metadata");
        }
    }
}

fn part_down(part: &mut Object) {
    let has = |part: &Object, name: &str| part.iter().any(|(field, _)| field == name);
    if has(part, "raw") || has(part, "url") {
        let mut file = Object::default();
        for (new, old) in [
            ("raw", "bytes"),
            ("url", "uri"),
            ("mediaType", "mimeType"),
            ("filename", "name"),
        ] {
            if let Some(value) = part.remove(new) {
                file.set(old, &value);
            }
        }
        part.set("file", &file);
        part.set("kind", "file");
    } else if has(part, "data") {
        let data = part.remove("data").unwrap_or_default();
        if Object::of(&data).is_some() {
            part.set("data", &data);
        } else {
            part.set("data", &Object::from([("value", data)]));
            let mut metadata = part.object("metadata").unwrap_or_default();
            metadata.set(BOXED, &true);
            part.set("metadata", &metadata);
        }
        part.set("kind", "data");
    } else {
        part.set("kind", "text");
    }
}

//! What an agent tells: tasks, messages and updates, opened as far as the gateway must look.

use serde_json::Value;
use serde_json::value::RawValue;

use crate::json::{self, Object, Raw};
use crate::version::Version;

/// What is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventKind {
    /// A task as it is.
    Task,
    /// A message.
    Message,
    /// That a task has another status.
    Status,
    /// A piece of an artifact.
    Artifact,
}

/// The kinds, the field of 1.0, and the `kind` of 0.3.
const KINDS: [(EventKind, &str, &str); 4] = [
    (EventKind::Task, "task", "task"),
    (EventKind::Message, "message", "message"),
    (EventKind::Status, "statusUpdate", "status-update"),
    (EventKind::Artifact, "artifactUpdate", "artifact-update"),
];

/// States that nothing follows, in both versions.
const LAST: [&str; 12] = [
    "TASK_STATE_COMPLETED",
    "TASK_STATE_FAILED",
    "TASK_STATE_CANCELED",
    "TASK_STATE_REJECTED",
    "TASK_STATE_INPUT_REQUIRED",
    "TASK_STATE_AUTH_REQUIRED",
    "completed",
    "failed",
    "canceled",
    "rejected",
    "input-required",
    "auth-required",
];

/// Something that is told.
#[derive(Debug, Clone)]
pub struct Event {
    /// What.
    pub kind: EventKind,
    /// It.
    pub inner: Object,
    version: Version,
    /// All of it, for what stands beside in 1.0.
    outer: Object,
}

impl Event {
    /// Opens what is told; nothing where it is not known.
    #[must_use]
    pub fn open(raw: &RawValue, version: Version) -> Option<Self> {
        let outer = Object::of(raw)?;
        match version {
            Version::V10 => KINDS.iter().find_map(|(kind, field, _)| {
                Some(Self {
                    kind: *kind,
                    inner: outer.object(field)?,
                    version,
                    outer: outer.clone(),
                })
            }),
            Version::V03 => {
                let said = outer.text("kind")?;
                let (kind, ..) = KINDS.iter().find(|(.., old)| *old == said)?;
                Some(Self {
                    kind: *kind,
                    inner: outer.clone(),
                    version,
                    outer,
                })
            }
        }
    }

    /// A task on its own, as it is answered when it is asked for.
    #[must_use]
    pub fn task(raw: &RawValue) -> Option<Self> {
        Some(Self {
            kind: EventKind::Task,
            inner: Object::of(raw)?,
            version: Version::V03,
            outer: Object::default(),
        })
    }

    /// Its text.
    #[must_use]
    pub fn close(mut self) -> Raw {
        match self.version {
            Version::V03 => self.inner.raw(),
            Version::V10 => {
                let field = KINDS.iter().find(|(kind, ..)| *kind == self.kind);
                if let Some((_, field, _)) = field {
                    self.outer.set(field, &self.inner);
                }
                self.outer.raw()
            }
        }
    }

    /// The task it is about.
    #[must_use]
    pub fn task_id(&self) -> Option<String> {
        let field = if self.kind == EventKind::Task {
            "id"
        } else {
            "taskId"
        };
        self.inner.filled(field)
    }

    /// The context it is in.
    #[must_use]
    pub fn context_id(&self) -> Option<String> {
        self.inner.filled("contextId")
    }

    /// Whether nothing follows.
    #[must_use]
    pub fn is_last(&self) -> bool {
        match self.kind {
            EventKind::Message => true,
            EventKind::Artifact => false,
            EventKind::Task | EventKind::Status => {
                let state = self
                    .inner
                    .object("status")
                    .and_then(|status| status.text("state"));
                state.is_some_and(|state| LAST.contains(&state.as_str()))
            }
        }
    }

    /// Shows every text of it, and puts in what `see` makes of one; true when something was put in.
    pub fn rewrite(&mut self, see: &mut impl FnMut(&str) -> Option<String>) -> bool {
        let mut changed = false;
        let inner = &mut self.inner;
        match self.kind {
            EventKind::Message => rewrite_parts(inner, see, &mut changed),
            EventKind::Status => inner.within("status", |status| {
                status.within("message", |message| rewrite_parts(message, see, &mut changed));
            }),
            EventKind::Artifact => {
                inner.within("artifact", |artifact| rewrite_parts(artifact, see, &mut changed));
            }
            EventKind::Task => {
                inner.within("status", |status| {
                    status.within("message", |message| rewrite_parts(message, see, &mut changed));
                });
                inner.each("artifacts", |artifact| rewrite_parts(artifact, see, &mut changed));
                inner.each("history", |message| rewrite_parts(message, see, &mut changed));
            }
        }
        changed
    }
}

/// Shows every text of a message or an artifact: of its parts those that are texts, and those within data.
pub fn rewrite_parts(holder: &mut Object, see: &mut impl FnMut(&str) -> Option<String>, changed: &mut bool) {
    holder.each("parts", |part| {
        if let Some(text) = part.text("text")
            && let Some(rewritten) = see(&text)
        {
            part.set("text", &rewritten);
            *changed = true;
        }
        part.change("data", |data| {
            let mut value: Value = serde_json::from_str(data.get()).ok()?;
            let touched = rewrite_value(&mut value, see);
            *changed |= touched;
            touched.then(|| json::raw(&value))
        });
    });
}

fn rewrite_value(value: &mut Value, see: &mut impl FnMut(&str) -> Option<String>) -> bool {
    match value {
        Value::String(text) => match see(text) {
            Some(rewritten) => {
                *text = rewritten;
                true
            }
            None => false,
        },
        Value::Array(list) => list
            .iter_mut()
            .fold(false, |changed, one| rewrite_value(one, see) | changed),
        Value::Object(fields) => fields
            .values_mut()
            .fold(false, |changed, one| rewrite_value(one, see) | changed),
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn both_versions_are_opened_and_closed() {
        for (version, event, last) in [
            (
                Version::V10,
                json!({ "statusUpdate": { "taskId": "t", "contextId": "c", "status": { "state": "TASK_STATE_WORKING" } }, "x": 1 }),
                false,
            ),
            (
                Version::V10,
                json!({ "task": { "id": "t", "contextId": "c", "status": { "state": "TASK_STATE_COMPLETED" } } }),
                true,
            ),
            (
                Version::V03,
                json!({ "kind": "task", "id": "t", "contextId": "c", "status": { "state": "input-required" } }),
                true,
            ),
            (
                Version::V03,
                json!({ "kind": "artifact-update", "taskId": "t", "contextId": "c", "artifact": {} }),
                false,
            ),
        ] {
            let raw = json::raw(&event);
            let opened = Event::open(&raw, version).unwrap();
            assert_eq!(opened.task_id().as_deref(), Some("t"));
            assert_eq!(opened.context_id().as_deref(), Some("c"));
            assert_eq!(opened.is_last(), last);
            assert_eq!(opened.close().get(), raw.get());
        }
        assert!(Event::open(&json::raw(&json!({ "poem": {} })), Version::V10).is_none());
    }

    #[test]
    fn every_text_is_shown() {
        let part = |text: &str| json!([{ "text": text }, { "data": { "a": [text, 1] } }, { "raw": "AAAA" }]);
        let task = json!({ "task": {
            "id": "t", "status": { "state": "s", "message": { "parts": part("one") } },
            "artifacts": [{ "parts": part("two") }], "history": [{ "parts": part("three") }],
        } });
        let mut event = Event::open(&json::raw(&task), Version::V10).unwrap();
        let mut seen = Vec::new();
        let changed = event.rewrite(&mut |text| {
            seen.push(text.to_owned());
            (text == "two").then(|| "2".to_owned())
        });
        assert!(changed);
        assert_eq!(seen, ["one", "one", "two", "two", "three", "three"]);
        let closed: Value = serde_json::from_str(event.close().get()).unwrap();
        assert_eq!(closed["task"]["artifacts"][0]["parts"], part("2"));
        assert_eq!(closed["task"]["history"][0]["parts"], part("three"));
    }
}

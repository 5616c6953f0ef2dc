//! What an agent tells, gathered as the result of a tool.

use serde_json::{Map, Value, json};

use crate::event::{Event, EventKind};
use crate::json::Object;

/// Between pieces that are not one text.
const APART: &str = "\n\n";
/// What a task is called in 1.0 before its state.
const STATE: &str = "TASK_STATE_";
/// What a message is that is no task's.
const DONE: &str = "completed";

/// The agent tells more than is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooLarge;

/// What was told so far.
#[derive(Debug, Default)]
pub struct Gathered {
    task: Option<String>,
    context: Option<String>,
    state: Option<String>,
    /// What it said with its last state, or as a message.
    last: Vec<Value>,
    artifacts: Vec<Artifact>,
    bytes: usize,
    over: bool,
}

/// An artifact: its pieces put together.
#[derive(Debug)]
struct Artifact {
    id: String,
    said: Map<String, Value>,
    parts: Vec<Value>,
}

impl Gathered {
    /// The task that was begun.
    #[must_use]
    pub fn task(&self) -> Option<&str> {
        self.task.as_deref()
    }

    /// Whether nothing follows.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.over
    }

    /// Takes in an event in the words of 1.0; what the agent says of its work meanwhile is for whoever waits.
    ///
    /// # Errors
    /// When all together is larger than `limit`.
    pub fn hear(&mut self, event: &Event, limit: usize) -> Result<Option<String>, TooLarge> {
        self.bytes += event.inner.raw().get().len();
        if self.bytes > limit {
            return Err(TooLarge);
        }
        self.task = event.task_id().or(self.task.take());
        self.context = event.context_id().or(self.context.take());
        self.over |= event.is_last();
        match event.kind {
            EventKind::Message => {
                self.last = parts(&event.inner);
                self.state.get_or_insert_with(|| DONE.to_owned());
                Ok(None)
            }
            EventKind::Artifact => {
                let artifact = event.inner.object("artifact").unwrap_or_default();
                self.add(&artifact, event.inner.flag("append").unwrap_or(false));
                Ok(None)
            }
            EventKind::Task => {
                for artifact in event.inner.list("artifacts").unwrap_or_default() {
                    // The whole of it: what was told piece by piece is in it.
                    self.add(&Object::of(&artifact).unwrap_or_default(), false);
                }
                Ok(self.status(event))
            }
            EventKind::Status => Ok(self.status(event)),
        }
    }

    fn status(&mut self, event: &Event) -> Option<String> {
        let status = event.inner.object("status").unwrap_or_default();
        let state = status.text("state").unwrap_or_default();
        let state = state.strip_prefix(STATE).unwrap_or(&state);
        self.state = Some(state.to_lowercase().replace('_', "-"));
        let said = status.object("message").map(|message| parts(&message));
        let said = said.unwrap_or_default();
        if event.is_last() {
            self.last = said;
            return None;
        }
        let thought = words(&said);
        (!thought.is_empty()).then_some(thought)
    }

    fn add(&mut self, artifact: &Object, goes_on: bool) {
        let id = artifact.text("artifactId").unwrap_or_default();
        let more = parts(artifact);
        let known = self.artifacts.iter_mut().find(|known| known.id == id);
        match known {
            Some(known) if goes_on => more.into_iter().for_each(|part| known.go_on(part)),
            Some(known) => known.parts = more,
            None => {
                let mut said = Map::new();
                for name in ["artifactId", "name", "description"] {
                    if let Some(text) = artifact.filled(name) {
                        said.insert(name.to_owned(), text.into());
                    }
                }
                self.artifacts.push(Artifact {
                    id,
                    said,
                    parts: more,
                });
            }
        }
    }

    /// The result: texts and files as content, and all of it but the bytes of files as structured content.
    #[must_use]
    pub fn result(self) -> Value {
        let state = self.state.unwrap_or_else(|| "unknown".to_owned());
        let is_error = matches!(state.as_str(), "failed" | "rejected" | "canceled");
        let mut all: Vec<Value> = self
            .artifacts
            .iter()
            .flat_map(|artifact| artifact.parts.iter().cloned())
            .collect();
        all.extend(self.last.iter().cloned());
        let mut text = words(&all);
        if text.is_empty() && is_error {
            text = format!("the agent's task is {state}");
        }
        let artifacts: Vec<Value> = self.artifacts.into_iter().map(Artifact::told).collect();
        let mut structured = json!({ "text": text, "state": state, "artifacts": artifacts });
        let mut left = json!({ "state": state });
        for (name, id) in [("contextId", self.context), ("taskId", self.task)] {
            if let Some(id) = id {
                structured[name] = id.clone().into();
                left[name] = id.into();
            }
        }
        let mut content = Vec::new();
        if !text.is_empty() {
            content.push(json!({ "type": "text", "text": text }));
        }
        content.extend(all.iter().filter_map(file));
        // Whoever reads texts alone can go on, too.
        content.push(json!({ "type": "text", "text": left.to_string() }));
        json!({ "content": content, "structuredContent": structured, "isError": is_error })
    }
}

impl Artifact {
    /// Adds a piece: texts that are told one behind the other are one.
    fn go_on(&mut self, part: Value) {
        let last = self.parts.last_mut().and_then(|last| last.get_mut("text"));
        match (last, part.get("text").and_then(Value::as_str)) {
            (Some(Value::String(last)), Some(more)) => last.push_str(more),
            _ => self.parts.push(part),
        }
    }

    /// As structured content has it. Bytes stand in the content, once.
    fn told(self) -> Value {
        let parts = self.parts.into_iter().map(|mut part| {
            if let Some(fields) = part.as_object_mut() {
                fields.remove("raw");
            }
            part
        });
        let parts: Vec<Value> = parts.collect();
        let mut said = self.said;
        said.insert("parts".to_owned(), parts.into());
        Value::Object(said)
    }
}

fn parts(holder: &Object) -> Vec<Value> {
    let parts = holder.list("parts").unwrap_or_default();
    let read = parts.iter().map(|part| serde_json::from_str(part.get()));
    read.filter_map(Result::ok).filter(Value::is_object).collect()
}

/// Texts as they are, data as the text that they are.
fn words(parts: &[Value]) -> String {
    let words = parts.iter().filter_map(|part| match part.get("text") {
        Some(Value::String(text)) => Some(text.clone()),
        _ => part.get("data").map(Value::to_string),
    });
    let words: Vec<String> = words.filter(|text| !text.is_empty()).collect();
    words.join(APART)
}

/// A file as content of a result.
fn file(part: &Value) -> Option<Value> {
    let text = |name: &str| part.get(name).and_then(Value::as_str);
    let kind = text("mediaType").unwrap_or("application/octet-stream");
    let name = text("filename").unwrap_or("file");
    if let Some(url) = text("url") {
        return Some(json!({ "type": "resource_link", "uri": url, "name": name, "mimeType": kind }));
    }
    let raw = text("raw")?;
    Some(match kind.split('/').next() {
        Some("image") => json!({ "type": "image", "data": raw, "mimeType": kind }),
        Some("audio") => json!({ "type": "audio", "data": raw, "mimeType": kind }),
        _ => {
            let name = percent_encoding::utf8_percent_encode(name, percent_encoding::NON_ALPHANUMERIC);
            json!({ "type": "resource", "resource": { "uri": format!("artifact:{name}"), "mimeType": kind, "blob": raw } })
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json;
    use crate::version::Version;

    fn told(events: &[Value]) -> (Gathered, Vec<String>) {
        let (mut gathered, mut thoughts) = (Gathered::default(), Vec::new());
        for event in events {
            let event = Event::open(&json::raw(event), Version::V10).unwrap();
            thoughts.extend(gathered.hear(&event, 100_000).unwrap());
        }
        (gathered, thoughts)
    }

    fn status(state: &str, text: &str) -> Value {
        json!({ "statusUpdate": { "taskId": "t", "contextId": "c",
            "status": { "state": state, "message": { "parts": [{ "text": text }] } } } })
    }

    fn piece(id: &str, text: &str, append: bool) -> Value {
        json!({ "artifactUpdate": { "taskId": "t", "contextId": "c", "append": append,
            "artifact": { "artifactId": id, "name": "plan", "parts": [{ "text": text }] } } })
    }

    #[test]
    fn pieces_are_put_together_and_thoughts_are_told_meanwhile() {
        let (gathered, thoughts) = told(&[
            json!({ "task": { "id": "t", "contextId": "c", "status": { "state": "TASK_STATE_SUBMITTED" } } }),
            status("TASK_STATE_WORKING", "looking"),
            piece("a", "one", false),
            piece("a", "two", true),
            status("TASK_STATE_COMPLETED", "done"),
        ]);
        assert_eq!(thoughts, ["looking"]);
        assert!(gathered.is_over());
        let result = gathered.result();
        assert_eq!(result["isError"], false);
        let structured = &result["structuredContent"];
        assert_eq!(structured["text"], "onetwo\n\ndone");
        assert_eq!(
            (&structured["state"], &structured["taskId"]),
            (&json!("completed"), &json!("t"))
        );
        assert_eq!(structured["artifacts"][0]["name"], "plan");
        assert_eq!(structured["artifacts"][0]["parts"], json!([{ "text": "onetwo" }]));
        let last = result["content"][1]["text"].as_str().unwrap();
        assert_eq!(
            serde_json::from_str::<Value>(last).unwrap(),
            json!({ "state": "completed", "contextId": "c", "taskId": "t" })
        );
    }

    #[test]
    fn a_task_that_waits_is_no_error_and_one_that_failed_is() {
        let (waits, _) = told(&[status("TASK_STATE_INPUT_REQUIRED", "where to?")]);
        let waits = waits.result();
        assert_eq!(waits["isError"], false);
        assert_eq!(waits["structuredContent"]["state"], "input-required");
        assert_eq!(waits["content"][0]["text"], "where to?");
        for state in ["TASK_STATE_FAILED", "TASK_STATE_REJECTED", "TASK_STATE_CANCELED"] {
            let (failed, _) = told(&[status(state, "")]);
            let failed = failed.result();
            assert_eq!(failed["isError"], true, "{state}");
            assert!(
                failed["content"][0]["text"]
                    .as_str()
                    .unwrap()
                    .contains("the agent's task")
            );
        }
    }

    #[test]
    fn files_are_content_and_their_bytes_are_told_once() {
        let message = json!({ "task": { "id": "t", "status": { "state": "TASK_STATE_COMPLETED" }, "artifacts": [{
            "artifactId": "a", "parts": [
                { "raw": "AAAA", "mediaType": "image/png" },
                { "raw": "BBBB", "mediaType": "text/csv", "filename": "a b.csv" },
                { "url": "https://a/b", "filename": "b" },
                { "data": { "x": 1 } },
            ] }] } });
        let (gathered, _) = told(&[message]);
        let result = gathered.result();
        let content = result["content"].as_array().unwrap();
        let kinds: Vec<&str> = content.iter().map(|one| one["type"].as_str().unwrap()).collect();
        assert_eq!(kinds, ["text", "image", "resource", "resource_link", "text"]);
        assert_eq!(content[2]["resource"]["uri"], "artifact:a%20b%2Ecsv");
        assert_eq!(result["structuredContent"]["text"], "{\"x\":1}");
        assert_eq!(result.to_string().matches("AAAA").count(), 1);
    }

    #[test]
    fn a_message_is_all_of_an_answer_and_too_much_is_not_read() {
        let message =
            json!({ "message": { "messageId": "m", "contextId": "c", "parts": [{ "text": "hello" }] } });
        let (gathered, _) = told(std::slice::from_ref(&message));
        assert!(gathered.is_over());
        assert_eq!(gathered.result()["structuredContent"]["state"], "completed");
        let event = Event::open(&json::raw(&message), Version::V10).unwrap();
        assert_eq!(Gathered::default().hear(&event, 10), Err(TooLarge));
    }
}

//! Agents as models: a conversation becomes a message, and what the agent tells becomes an answer.
//!
//! An agent remembers its own contexts. One that has not heard the conversation is told all of it; one that has, what is
//! new. These are functions over data; who asks an agent is not known here.

use std::collections::HashSet;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use pointsman_wire::form::{ChatRequest, Message, Part, PartKind, Role, Source, ToolChoice};
use pointsman_wire::text;
use serde_json::{Value, json};

use crate::event::{Event, EventKind};
use crate::json::Object;

/// Between pieces that are not one text.
const APART: &str = "\n\n";

/// Why a conversation cannot be told to an agent: the field at fault, and what is wrong.
pub type Untellable = (&'static str, String);

/// The parts of the message that a conversation is. `is_known` says that the agent has heard what came before.
///
/// # Errors
/// When something in it cannot be told.
pub fn parts(request: &ChatRequest, is_known: bool) -> Result<Vec<Value>, Untellable> {
    let last = request
        .messages
        .iter()
        .rposition(|message| message.role == Role::Assistant);
    let (before, now) = request.messages.split_at(last.map_or(0, |at| at + 1));
    let mut told = Vec::new();
    if !is_known {
        let rules = before.iter().chain(now).filter(|message| is_rule(message));
        let rules = rules.map(|message| text::message_text(message));
        told.extend(
            rules
                .filter(|rule| !rule.is_empty())
                .map(|rule| json!({ "text": rule })),
        );
        let earlier: Vec<String> = before.iter().filter_map(spoken).collect();
        if !earlier.is_empty() {
            told.push(json!({ "text": format!("What was said before:{APART}{}", earlier.join(APART)) }));
        }
    }
    for message in now.iter().filter(|message| !is_rule(message)) {
        for part in &message.parts {
            say(part, &mut told)?;
        }
    }
    if told.is_empty() {
        return Err((
            "messages",
            "there is nothing that the agent could be told".to_owned(),
        ));
    }
    Ok(told)
}

fn is_rule(message: &Message) -> bool {
    matches!(message.role, Role::System | Role::Developer)
}

/// What somebody has said earlier.
fn spoken(message: &Message) -> Option<String> {
    let who = match message.role {
        Role::User => "User",
        Role::Assistant => "Agent",
        Role::Tool => "Tool",
        Role::System | Role::Developer => return None,
    };
    let said = text::message_text(message);
    (!said.is_empty()).then(|| format!("{who}: {said}"))
}

fn say(part: &Part, told: &mut Vec<Value>) -> Result<(), Untellable> {
    match &part.kind {
        PartKind::Text(text) => told.push(json!({ "text": text.text.as_ref() as &str })),
        PartKind::Refusal(text) => told.push(json!({ "text": text.as_ref() as &str })),
        PartKind::Image(image) => file(&image.source, None, told)?,
        PartKind::Video(video) => file(&video.source, None, told)?,
        PartKind::Document(document) => file(&document.source, document.title.as_deref(), told)?,
        PartKind::Audio(audio) if !audio.data.is_empty() => {
            let data: &str = &audio.data;
            told.push(json!({ "raw": data, "mediaType": format!("audio/{}", audio.format) }));
        }
        PartKind::ToolResult(result) => {
            for part in &result.content {
                say(part, told)?;
            }
        }
        // What a model has thought and called is its own.
        PartKind::ToolCall(_) | PartKind::Thinking(_) | PartKind::RedactedThinking(_) => {}
        PartKind::Audio(_) => return Err(missing("recorded answers that are named by their id")),
        PartKind::Opaque { kind, .. } => {
            return Err((
                "messages",
                format!("an agent cannot be told a part of the type {kind:?}"),
            ));
        }
    }
    Ok(())
}

fn missing(what: &str) -> Untellable {
    (
        "messages",
        format!("an agent cannot be told {what}: send the content itself"),
    )
}

fn file(source: &Source, name: Option<&str>, told: &mut Vec<Value>) -> Result<(), Untellable> {
    let mut part = match source {
        Source::Base64 { media_type, data } => {
            json!({ "raw": data.as_ref() as &str, "mediaType": media_type.as_ref() as &str })
        }
        Source::Url(url) => json!({ "url": url.as_ref() as &str }),
        Source::PlainText { media_type, data } => {
            json!({ "raw": STANDARD.encode(data.as_bytes()), "mediaType": media_type.as_ref() as &str })
        }
        Source::Parts { parts, .. } => return parts.iter().try_for_each(|part| say(part, told)),
        Source::FileId(_) => return Err(missing("files that were uploaded before")),
    };
    if let Some(name) = name {
        part["filename"] = name.into();
    }
    told.push(part);
    Ok(())
}

/// Fields of a request that no agent can be told, as far as they are there.
///
/// # Errors
/// Where the client insists on something that an agent does not do.
pub fn losses(request: &ChatRequest) -> Result<Vec<&'static str>, Untellable> {
    let sampling = &request.sampling;
    if sampling.n.is_some_and(|n| n > 1) {
        return Err(("n", "an agent gives one answer".to_owned()));
    }
    if matches!(
        request.tool_choice,
        Some(ToolChoice::Required | ToolChoice::Function(_))
    ) {
        let why = "an agent calls no tools of its client; leave `tool_choice` out, or call a model";
        return Err(("tool_choice", why.to_owned()));
    }
    let there = [
        ("tools", !request.tools.is_empty()),
        ("max_tokens", sampling.max_tokens.is_some()),
        ("temperature", sampling.temperature.is_some()),
        ("top_p", sampling.top_p.is_some()),
        ("top_k", sampling.top_k.is_some()),
        ("frequency_penalty", sampling.frequency_penalty.is_some()),
        ("presence_penalty", sampling.presence_penalty.is_some()),
        ("seed", sampling.seed.is_some()),
        ("stop", !sampling.stop.is_empty()),
        ("logprobs", sampling.logprobs == Some(true)),
        ("reasoning", request.reasoning.is_some()),
        ("response_format", request.response_format.is_some()),
    ];
    Ok(there
        .into_iter()
        .filter_map(|(field, is)| is.then_some(field))
        .collect())
}

/// A piece of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Heard {
    /// A part of the answer.
    Text(String),
    /// What the agent says of its work meanwhile.
    Thought(String),
}

/// How an agent left its work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ended {
    /// It is done.
    Done,
    /// It wants to hear more before it goes on.
    Waits,
    /// It could not do it, and says why.
    Failed(String),
    /// It does not want to do it, and says why.
    Rejected(String),
    /// Somebody has stopped it.
    Canceled,
}

/// Listens to an agent.
#[derive(Debug, Default)]
pub struct Listener {
    /// Artifacts of which something was told.
    told: HashSet<String>,
    /// Whether anything was.
    has_spoken: bool,
    ended: Option<Ended>,
}

impl Listener {
    /// How it ended; nothing as long as it has not.
    #[must_use]
    pub fn ended(&self) -> Option<&Ended> {
        self.ended.as_ref()
    }

    /// What an event in the words of 1.0 adds.
    pub fn hear(&mut self, event: &Event) -> Vec<Heard> {
        let mut heard = Vec::new();
        match event.kind {
            EventKind::Message => {
                self.add(told(&event.inner), &mut heard);
                self.ended = Some(Ended::Done);
            }
            EventKind::Artifact => {
                let artifact = event.inner.object("artifact").unwrap_or_default();
                let id = artifact.text("artifactId").unwrap_or_default();
                let goes_on = event.inner.flag("append").unwrap_or(false) && self.told.contains(&id);
                self.told.insert(id);
                if goes_on {
                    heard.push(Heard::Text(told(&artifact)));
                } else {
                    self.add(told(&artifact), &mut heard);
                }
            }
            // What a task was before its end is told by its updates.
            EventKind::Task if !event.is_last() => {}
            EventKind::Task => {
                for artifact in event.inner.list("artifacts").unwrap_or_default() {
                    let artifact = Object::of(&artifact).unwrap_or_default();
                    if self.told.insert(artifact.text("artifactId").unwrap_or_default()) {
                        self.add(told(&artifact), &mut heard);
                    }
                }
                self.status(event, &mut heard);
            }
            EventKind::Status => self.status(event, &mut heard),
        }
        heard.retain(|one| !matches!(one, Heard::Text(text) | Heard::Thought(text) if text.is_empty()));
        heard
    }

    /// Adds a text that stands by itself.
    fn add(&mut self, text: String, heard: &mut Vec<Heard>) {
        if text.is_empty() {
            return;
        }
        let text = if self.has_spoken {
            format!("{APART}{text}")
        } else {
            text
        };
        self.has_spoken = true;
        heard.push(Heard::Text(text));
    }

    fn status(&mut self, event: &Event, heard: &mut Vec<Heard>) {
        let status = event.inner.object("status").unwrap_or_default();
        let said = status
            .object("message")
            .map(|message| told(&message))
            .unwrap_or_default();
        let or = |usual: &str| {
            if said.is_empty() {
                usual.to_owned()
            } else {
                said.clone()
            }
        };
        self.ended = Some(match status.text("state").unwrap_or_default().as_str() {
            "TASK_STATE_COMPLETED" => {
                self.add(said, heard);
                Ended::Done
            }
            "TASK_STATE_INPUT_REQUIRED" => {
                self.add(or("The agent needs to know more to go on."), heard);
                Ended::Waits
            }
            "TASK_STATE_AUTH_REQUIRED" => {
                self.add(or("The agent must be let in somewhere to go on."), heard);
                Ended::Waits
            }
            "TASK_STATE_FAILED" => Ended::Failed(said),
            "TASK_STATE_REJECTED" => Ended::Rejected(said),
            "TASK_STATE_CANCELED" => Ended::Canceled,
            _ => {
                heard.push(Heard::Thought(said));
                return;
            }
        });
    }
}

/// What a message or an artifact says: texts as they are, data as the text that they are, files in Markdown, which every
/// format can carry.
fn told(holder: &Object) -> String {
    let parts = holder.list("parts").unwrap_or_default();
    let parts = parts.iter().filter_map(|part| {
        let part = Object::of(part)?;
        if let Some(text) = part.text("text") {
            return Some(text);
        }
        if let Some(data) = part.get("data") {
            return Some(data.get().to_owned());
        }
        let kind = part
            .text("mediaType")
            .unwrap_or_else(|| "application/octet-stream".to_owned());
        let address = match (part.text("raw"), part.text("url")) {
            (Some(raw), _) => format!("data:{kind};base64,{raw}"),
            (None, Some(url)) if !url.contains([')', ' ', '\n']) => url,
            _ => return None,
        };
        let name = part.filled("filename").unwrap_or_else(|| "file".to_owned());
        let name = name.replace(['[', ']', '\n', '\r'], " ");
        let mark = if kind.starts_with("image/") { "!" } else { "" };
        Some(format!("{mark}[{name}]({address})"))
    });
    parts.collect::<Vec<_>>().join(APART)
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use pointsman_wire::format::{self, Format};

    use super::*;
    use crate::json;
    use crate::version::Version;

    fn request(body: &Value) -> ChatRequest {
        format::decode_request(Format::OpenAiChat, &Bytes::from(body.to_string())).unwrap()
    }

    fn event(value: Value) -> Event {
        Event::open(&json::raw(&value), Version::V10).unwrap()
    }

    #[test]
    fn an_agent_is_told_all_of_a_conversation_or_what_is_new() {
        let request = request(&json!({ "model": "a2a/a", "messages": [
            { "role": "system", "content": "Be brief." },
            { "role": "user", "content": "hi" },
            { "role": "assistant", "content": "hello" },
            { "role": "user", "content": [
                { "type": "text", "text": "what is it?" },
                { "type": "image_url", "image_url": { "url": "data:image/png;base64,AAAA" } },
                { "type": "image_url", "image_url": { "url": "https://example.com/a.png" } } ] } ] }));
        let new = json!([
            { "text": "what is it?" },
            { "raw": "AAAA", "mediaType": "image/png" },
            { "url": "https://example.com/a.png" },
        ]);
        assert_eq!(json!(parts(&request, true).unwrap()), new);
        let all = parts(&request, false).unwrap();
        assert_eq!(all[0], json!({ "text": "Be brief." }));
        assert_eq!(
            all[1],
            json!({ "text": "What was said before:\n\nUser: hi\n\nAgent: hello" })
        );
        assert_eq!(json!(all[2..]), new);
    }

    #[test]
    fn what_an_agent_cannot_be_told_is_said() {
        let with = |field: &str, value: Value| {
            let mut body = json!({ "model": "a2a/a", "messages": [{ "role": "user", "content": "hi" }] });
            body[field] = value;
            request(&body)
        };
        assert_eq!(losses(&with("temperature", json!(0.5))).unwrap(), ["temperature"]);
        assert!(losses(&with("user", json!("u"))).unwrap().is_empty());
        assert_eq!(losses(&with("n", json!(2))).unwrap_err().0, "n");
        let tools = json!([{ "type": "function", "function": { "name": "f", "parameters": {} } }]);
        let mut must = with("tools", tools);
        assert_eq!(losses(&must).unwrap(), ["tools"]);
        must.tool_choice = Some(ToolChoice::Required);
        assert_eq!(losses(&must).unwrap_err().0, "tool_choice");
        let uploaded = with(
            "messages",
            json!([{ "role": "user", "content": [{ "type": "file", "file": { "file_id": "file-1" } }] }]),
        );
        assert_eq!(parts(&uploaded, false).unwrap_err().0, "messages");
    }

    #[test]
    fn pieces_of_an_artifact_are_one_text_and_what_follows_stands_apart() {
        let piece = |text: &str, append: bool| {
            event(json!({ "artifactUpdate": { "taskId": "t", "append": append,
                "artifact": { "artifactId": "a", "parts": [{ "text": text }] } } }))
        };
        let status = |state: &str, text: &str| {
            event(
                json!({ "statusUpdate": { "taskId": "t", "status": { "state": state,
                "message": { "parts": [{ "text": text }] } } } }),
            )
        };
        let mut listener = Listener::default();
        let working = listener.hear(&status("TASK_STATE_WORKING", "looking"));
        assert_eq!(working, [Heard::Thought("looking".to_owned())]);
        assert_eq!(
            listener.hear(&piece("one ", false)),
            [Heard::Text("one ".to_owned())]
        );
        assert_eq!(
            listener.hear(&piece("two", true)),
            [Heard::Text("two".to_owned())]
        );
        assert!(listener.ended().is_none());
        let last = event(
            json!({ "task": { "id": "t", "status": { "state": "TASK_STATE_COMPLETED" },
            "artifacts": [{ "artifactId": "a", "parts": [{ "text": "one two" }] },
                { "artifactId": "b", "parts": [{ "raw": "AAAA", "mediaType": "image/png", "filename": "x" }] }] } }),
        );
        assert_eq!(
            listener.hear(&last),
            [Heard::Text("\n\n![x](data:image/png;base64,AAAA)".to_owned())]
        );
        assert_eq!(listener.ended(), Some(&Ended::Done));
    }

    #[test]
    fn every_end_is_told_as_what_it_is() {
        for (state, ended) in [
            ("TASK_STATE_COMPLETED", Ended::Done),
            ("TASK_STATE_INPUT_REQUIRED", Ended::Waits),
            ("TASK_STATE_AUTH_REQUIRED", Ended::Waits),
            ("TASK_STATE_FAILED", Ended::Failed("why".to_owned())),
            ("TASK_STATE_REJECTED", Ended::Rejected("why".to_owned())),
            ("TASK_STATE_CANCELED", Ended::Canceled),
        ] {
            let mut listener = Listener::default();
            let heard = listener.hear(&event(json!({ "task": { "id": "t", "status": { "state": state,
                "message": { "parts": [{ "text": "why" }] } } } })));
            let is_answer = matches!(ended, Ended::Done | Ended::Waits);
            assert_eq!(heard.len(), usize::from(is_answer), "{state}");
            assert_eq!(listener.ended(), Some(&ended));
        }
    }
}

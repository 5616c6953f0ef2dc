//! The rules of a conversation with Anthropic.

use serde_json::Value;

use super::check::OLD;
use crate::exchange::Refusal;
use crate::media::{ImageProblem, Kind, Media, decode};
use crate::script::{Question, signed};

/// Reads system and messages.
pub(super) fn messages(body: &Value, version: &str, question: &mut Question) -> Result<(), Refusal> {
    let mut reader = Reader {
        question,
        open: Vec::new(),
        used: Vec::new(),
        later: version != OLD,
    };
    let system = reader.content(&body["system"], "system")?;
    if !system.is_empty() {
        reader.question.texts.push(system);
    }
    let all = body["messages"].as_array().cloned().unwrap_or_default();
    if all.is_empty() {
        return Err(Refusal::bad("messages: at least one message is required"));
    }
    if all.first().is_some_and(|first| first["role"] == "assistant") {
        return Err(Refusal::bad("messages: first message must use the \"user\" role"));
    }
    let merged = merge(&all);
    for (at, message) in merged.iter().enumerate() {
        reader.message(message, at, at + 1 == merged.len())?;
    }
    if let Some(id) = reader.open.first() {
        return Err(without_result(merged.len(), id));
    }
    reads_thinking(body, &merged)?;
    let tools = body["tools"].as_array().is_some_and(|tools| !tools.is_empty());
    if !reader.used.is_empty() && !tools {
        return Err(Refusal::bad(
            "Requests which have `tool_use` or `tool_result` blocks in messages must define tools",
        ));
    }
    Ok(())
}

/// Consecutive messages of a role are one.
fn merge(all: &[Value]) -> Vec<(String, Vec<Value>)> {
    let mut merged: Vec<(String, Vec<Value>)> = Vec::new();
    for message in all {
        let role = message["role"].as_str().unwrap_or_default();
        let blocks = match &message["content"] {
            Value::Array(blocks) => blocks.clone(),
            text => vec![serde_json::json!({"type": "text", "text": text})],
        };
        match merged.last_mut() {
            Some((last, content)) if last == role => content.extend(blocks),
            _ => merged.push((role.to_owned(), blocks)),
        }
    }
    merged
}

fn without_result(at: usize, id: &str) -> Refusal {
    Refusal::bad(format!(
        "messages.{at}: `tool_use` ids were found without `tool_result` blocks immediately after: {id}. Each `tool_use` block must have a corresponding `tool_result` block in the next message."
    ))
}

/// With thinking on, a turn that goes on after tools begins with its thoughts.
fn reads_thinking(body: &Value, merged: &[(String, Vec<Value>)]) -> Result<(), Refusal> {
    let goes_on = merged
        .last()
        .is_some_and(|(_, blocks)| blocks.iter().any(|block| block["type"] == "tool_result"));
    if body["thinking"]["type"] != "enabled" || !goes_on {
        return Ok(());
    }
    let Some(at) = merged.iter().rposition(|(role, _)| role == "assistant") else {
        return Ok(());
    };
    let first = merged[at].1.first().map_or(&Value::Null, |block| &block["type"]);
    if first == "thinking" || first == "redacted_thinking" {
        return Ok(());
    }
    Err(Refusal::bad(format!(
        "messages.{at}.content.0.type: Expected `thinking` or `redacted_thinking`, but found `{}`. When `thinking` is enabled, a final `assistant` message must start with a thinking block (preceeding the lastmost set of `tool_use` and `tool_result` blocks). We recommend you include thinking blocks from previous turns. To avoid this requirement, disable `thinking`. Please consult our documentation at https://docs.claude.com/en/docs/build-with-claude/extended-thinking",
        first.as_str().unwrap_or_default()
    )))
}

struct Reader<'a> {
    question: &'a mut Question,
    /// Calls of the message before.
    open: Vec<String>,
    /// All calls so far.
    used: Vec<String>,
    later: bool,
}

impl Reader<'_> {
    fn message(
        &mut self,
        (role, blocks): &(String, Vec<Value>),
        at: usize,
        last: bool,
    ) -> Result<(), Refusal> {
        if blocks.is_empty() && !(last && role == "assistant") {
            return Err(Refusal::bad(format!(
                "messages.{at}: all messages must have non-empty content except for the optional final assistant message"
            )));
        }
        self.results(role, blocks, at)?;
        if role == "user" {
            self.question.last_media = self.question.media.len();
            self.question.tool_results.clear();
        }
        let text = self.blocks(blocks, role, &format!("messages.{at}.content"))?;
        match role.as_str() {
            "assistant" => {
                if last && text.ends_with(char::is_whitespace) {
                    return Err(Refusal::bad(
                        "messages: final assistant content cannot end with trailing whitespace",
                    ));
                }
                self.open = self.calls(blocks, at)?;
            }
            "user" => self.question.last_text.clone_from(&text),
            _ => {}
        }
        self.question.texts.push(text);
        Ok(())
    }

    /// Results answer the calls of the message before: all of them, and first of all.
    fn results(&mut self, role: &str, blocks: &[Value], at: usize) -> Result<(), Refusal> {
        let is_result = |block: &Value| block["type"] == "tool_result";
        let first = blocks.iter().take_while(|block| is_result(block)).count();
        let mut ids: Vec<&str> = Vec::new();
        for (number, block) in blocks.iter().enumerate().filter(|(_, block)| is_result(block)) {
            let id = block["tool_use_id"].as_str().unwrap_or_default();
            if role != "user" || !self.open.iter().any(|open| open == id) {
                return Err(Refusal::bad(format!(
                    "messages.{at}.content.{number}: unexpected `tool_use_id` found in `tool_result` blocks: {id}. Each `tool_result` block must have a corresponding `tool_use` block in the previous message."
                )));
            }
            if ids.contains(&id) {
                return Err(Refusal::bad(format!(
                    "messages.{at}.content.{number}: each tool_use must have a single result. Found multiple `tool_result` blocks with id: {id}"
                )));
            }
            if number >= first {
                return Err(without_result(at.saturating_sub(1), id));
            }
            ids.push(id);
        }
        match self.open.iter().find(|open| !ids.contains(&open.as_str())) {
            Some(id) => Err(without_result(at.saturating_sub(1), id)),
            None => {
                self.open.clear();
                Ok(())
            }
        }
    }

    fn calls(&mut self, blocks: &[Value], at: usize) -> Result<Vec<String>, Refusal> {
        let mut ids = Vec::new();
        for (number, block) in blocks.iter().enumerate() {
            if block["type"] != "tool_use" {
                continue;
            }
            let path = format!("messages.{at}.content.{number}.tool_use");
            let id = block["id"].as_str().unwrap_or_default();
            let good = |text: &str, most: usize| crate::openai::schema::is_name(text, most);
            if !good(id, 512) {
                return Err(Refusal::bad(format!(
                    "{path}.id: String should match pattern '^[a-zA-Z0-9_-]+$'"
                )));
            }
            if !good(block["name"].as_str().unwrap_or_default(), 200) {
                return Err(Refusal::bad(format!(
                    "{path}.name: String should match pattern '^[a-zA-Z0-9_-]{{1,200}}$'"
                )));
            }
            if self.used.iter().any(|used| used == id) {
                return Err(Refusal::bad("messages: `tool_use` ids must be unique"));
            }
            self.used.push(id.to_owned());
            ids.push(id.to_owned());
        }
        Ok(ids)
    }

    fn content(&mut self, content: &Value, path: &str) -> Result<String, Refusal> {
        match content {
            Value::String(text) => Ok(text.clone()),
            Value::Array(blocks) => self.blocks(blocks, "system", path),
            _ => Ok(String::new()),
        }
    }

    fn blocks(&mut self, blocks: &[Value], role: &str, path: &str) -> Result<String, Refusal> {
        let mut all = String::new();
        for (at, block) in blocks.iter().enumerate() {
            let path = format!("{path}.{at}");
            let kind = block["type"].as_str().unwrap_or_default();
            let own: &[&str] = match role {
                "assistant" if self.later => &["text", "tool_use", "thinking", "redacted_thinking"],
                "assistant" => &[
                    "text",
                    "tool_use",
                    "thinking",
                    "redacted_thinking",
                    "document",
                    "image",
                ],
                "user" => &["text", "image", "document", "search_result", "tool_result"],
                _ => &["text"],
            };
            if !own.contains(&kind) {
                return Err(Refusal::bad(format!(
                    "{path}: `{kind}` blocks are not permitted in `{role}` messages"
                )));
            }
            match kind {
                "text" => all.push_str(self.text(block, role, &path)?),
                "image" => {
                    let image = image(&block["source"], &path)?;
                    self.question.media.push(image);
                }
                "document" => self.question.media.push(document(&block["source"])),
                "thinking" => thought(block, &path)?,
                "redacted_thinking" if signed(block["data"].as_str().unwrap_or_default()).is_none() => {
                    return Err(Refusal::bad(format!(
                        "{path}: Invalid `data` in `redacted_thinking` block"
                    )));
                }
                "tool_use" => self.question.texts.push(block["input"].to_string()),
                "tool_result" => self.result(block, &path)?,
                _ => {}
            }
        }
        Ok(all)
    }

    fn text<'b>(&self, block: &'b Value, role: &str, path: &str) -> Result<&'b str, Refusal> {
        let text = block["text"].as_str().unwrap_or_default();
        if text.is_empty() {
            return Err(Refusal::bad("messages: text content blocks must be non-empty"));
        }
        if text.trim().is_empty() {
            return Err(Refusal::bad(
                "messages: text content blocks must contain non-whitespace text",
            ));
        }
        let cited = block["citations"].as_array().is_some_and(|all| !all.is_empty());
        if self.later && role == "user" && cited {
            return Err(Refusal::bad(format!(
                "{path}.citations: citations are not permitted on user text blocks"
            )));
        }
        Ok(text)
    }

    fn result(&mut self, block: &Value, path: &str) -> Result<(), Refusal> {
        let said = match &block["content"] {
            Value::Array(blocks) => self.blocks(blocks, "user", &format!("{path}.content"))?,
            text => text.as_str().unwrap_or_default().to_owned(),
        };
        self.question.texts.push(said.clone());
        self.question.tool_results.push(said);
        Ok(())
    }
}

fn image(source: &Value, path: &str) -> Result<Media, Refusal> {
    let text = |name: &str| source[name].as_str().unwrap_or_default();
    if source["type"] != "base64" {
        let url = source["url"].as_str().or(source["file_id"].as_str());
        return Ok(Media::linked(Kind::Image, url.unwrap_or_default()));
    }
    let path = format!("{path}.image.source.base64");
    crate::media::image(text("media_type"), text("data")).map_err(|problem| {
        Refusal::bad(match problem {
            ImageProblem::Type(_) => format!("{path}.media_type: Input should be 'image/jpeg', 'image/png', 'image/gif' or 'image/webp'"),
            ImageProblem::Base64 => format!("{path}.data: Invalid base64 data"),
            ImageProblem::Bytes => format!("{path}: Could not process image"),
            ImageProblem::Mismatch(real) => format!(
                "{path}: The image was specified using the {} media type, but the image appears to be a {real} image",
                text("media_type")
            ),
        })
    })
}

fn document(source: &Value) -> Media {
    let data = source["data"].as_str();
    match (source["type"].as_str(), data) {
        (Some("base64"), Some(data)) => Media {
            kind: Kind::Document,
            mime: "application/pdf".to_owned(),
            size: decode(data).map_or(0, |bytes| bytes.len()),
        },
        (Some("text"), Some(data)) => Media {
            kind: Kind::Document,
            mime: "text/plain".to_owned(),
            size: data.len(),
        },
        _ => {
            let said = source["url"].as_str().or(source["file_id"].as_str());
            let said = said.map_or_else(|| source["content"].to_string(), str::to_owned);
            Media::linked(Kind::Document, &said)
        }
    }
}

/// A thought is ours, and as it was; of one that was not shown, the signature is enough.
fn thought(block: &Value, path: &str) -> Result<(), Refusal> {
    let text = block["thinking"].as_str().unwrap_or_default();
    let known = signed(block["signature"].as_str().unwrap_or_default());
    if known.is_some_and(|known| known == text || text.is_empty()) {
        Ok(())
    } else {
        Err(Refusal::bad(format!(
            "{path}: Invalid `signature` in `thinking` block"
        )))
    }
}

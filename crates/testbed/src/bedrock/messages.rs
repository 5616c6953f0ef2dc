//! The rules of a conversation with Bedrock.

use serde_json::Value;

use super::check::constraint;
use crate::exchange::Refusal;
use crate::media::{Kind, Media, decode, sniff};
use crate::script::{Question, signed};

/// Reads system and messages.
pub(super) fn messages(body: &Value, question: &mut Question) -> Result<(), Refusal> {
    for block in body["system"].as_array().into_iter().flatten() {
        if let Some(text) = block["text"].as_str() {
            if text.trim().is_empty() {
                return Err(Refusal::bad(
                    "The text field in the system content block is blank. Add text to the text field, and try again.",
                ));
            }
            question.texts.push(text.to_owned());
        }
    }
    let all = body["messages"].as_array().cloned().unwrap_or_default();
    if all.first().is_none_or(|first| first["role"] != "user") {
        return Err(Refusal::bad(
            "A conversation must start with a user message. Try again with a conversation that starts with a user message.",
        ));
    }
    let mut reader = Reader {
        question,
        open: Vec::new(),
        documents: Vec::new(),
        tools: false,
    };
    let mut role = "";
    for (at, message) in all.iter().enumerate() {
        let now = message["role"].as_str().unwrap_or_default();
        if now == role {
            return Err(Refusal::bad(
                "A conversation must alternate between user and assistant roles. Make sure the conversation alternates between user and assistant roles and try again.",
            ));
        }
        role = now;
        reader.message(message, at)?;
    }
    if !reader.open.is_empty() {
        return Err(expected(all.len(), &reader.open));
    }
    if reader.tools && body["toolConfig"].is_null() {
        return Err(Refusal::bad(
            "The toolConfig field must be defined when using toolUse and toolResult content blocks.",
        ));
    }
    Ok(())
}

fn expected(at: usize, open: &[String]) -> Refusal {
    Refusal::bad(format!(
        "Expected toolResult blocks at messages.{at}.content for the following Ids: {}",
        open.join(", ")
    ))
}

struct Reader<'a> {
    question: &'a mut Question,
    /// Calls of the message before.
    open: Vec<String>,
    documents: Vec<String>,
    /// There were tool blocks.
    tools: bool,
}

impl Reader<'_> {
    fn message(&mut self, message: &Value, at: usize) -> Result<(), Refusal> {
        let role = message["role"].as_str().unwrap_or_default();
        let blocks = message["content"].as_array().cloned().unwrap_or_default();
        if blocks.is_empty() {
            return Err(Refusal::bad(format!(
                "The content field in the Message object at messages.{at} is empty. Add a ContentBlock object to the content field and try again."
            )));
        }
        self.results(&blocks, at)?;
        if role == "user" {
            self.question.last_media = self.question.media.len();
            self.question.tool_results.clear();
        }
        let mut text = String::new();
        for (number, block) in blocks.iter().enumerate() {
            self.block(block, role, &mut text, (at, number))?;
        }
        if role == "user" {
            if !text.is_empty() || self.question.tool_results.is_empty() {
                self.question.last_text.clone_from(&text);
            }
            let documents = blocks.iter().any(|block| !block["document"].is_null());
            if documents && text.is_empty() {
                return Err(Refusal::bad(
                    "A text block is required when a document is in the message. Add a text block and try again.",
                ));
            }
        }
        self.question.texts.push(text);
        Ok(())
    }

    fn results(&mut self, blocks: &[Value], at: usize) -> Result<(), Refusal> {
        let ids: Vec<&str> = blocks
            .iter()
            .filter_map(|block| block["toolResult"]["toolUseId"].as_str())
            .collect();
        let missing: Vec<String> = self
            .open
            .iter()
            .filter(|open| !ids.contains(&open.as_str()))
            .cloned()
            .collect();
        if !missing.is_empty() {
            return Err(expected(at, &missing));
        }
        if ids.len() > self.open.len() {
            return Err(Refusal::bad(format!(
                "The number of toolResult blocks at messages.{at}.content exceeds the number of toolUse blocks of previous turn."
            )));
        }
        self.open.clear();
        Ok(())
    }

    fn block(
        &mut self,
        block: &Value,
        role: &str,
        text: &mut String,
        (at, number): (usize, usize),
    ) -> Result<(), Refusal> {
        let path = format!("messages.{at}.content.{number}");
        if let Some(said) = block["text"].as_str() {
            if said.trim().is_empty() {
                return Err(Refusal::bad(format!(
                    "The text field in the ContentBlock object at {path} is blank. Add text to the text field, and try again."
                )));
            }
            text.push_str(said);
        }
        let wrong = |what: &str| {
            Err(Refusal::bad(format!(
                "The {what} content block at {path} is not allowed in a message of the role {role}."
            )))
        };
        let theirs = ["toolResult", "image", "document", "audio", "video"];
        let ours = ["toolUse", "reasoningContent"];
        let odd = if role == "user" { &ours[..] } else { &theirs[..] };
        if let Some(what) = odd.iter().find(|what| !block[**what].is_null()) {
            return wrong(what);
        }
        self.media(block, &path)?;
        if !block["toolUse"].is_null() {
            self.call(&block["toolUse"], (at, number))?;
        }
        if !block["toolResult"].is_null() {
            self.result(&block["toolResult"], (at, number))?;
        }
        if !block["reasoningContent"].is_null() {
            thought(&block["reasoningContent"], &path)?;
        }
        Ok(())
    }

    fn media(&mut self, block: &Value, path: &str) -> Result<(), Refusal> {
        if let Some(name) = block["document"]["name"].as_str() {
            self.document_name(name)?;
        }
        for (field, kind) in [
            ("image", Kind::Image),
            ("audio", Kind::Audio),
            ("document", Kind::Document),
            ("video", Kind::Document),
        ] {
            let medium = &block[field];
            if medium.is_null() {
                continue;
            }
            let format = medium["format"].as_str().unwrap_or("txt");
            let source = &medium["source"];
            let size = match source["bytes"].as_str() {
                Some(data) => {
                    let bytes = decode(data).unwrap_or_default();
                    let real = sniff(&bytes);
                    if kind == Kind::Image && real != Some(format!("image/{format}").as_str()) {
                        return Err(Refusal::bad(format!(
                            "The model returned the following errors: {path}.image.source.base64: The image was specified using the image/{format} media type, but could not be processed as one"
                        )));
                    }
                    bytes.len()
                }
                None => source["text"]
                    .as_str()
                    .map_or_else(|| source.to_string().len(), str::len),
            };
            let mime = match kind {
                Kind::Image => format!("image/{format}"),
                Kind::Audio => format!("audio/{format}"),
                Kind::Document if format == "pdf" => "application/pdf".to_owned(),
                Kind::Document => format!("text/{}", if format == "txt" { "plain" } else { format }),
            };
            self.question.media.push(Media { kind, mime, size });
        }
        Ok(())
    }

    fn document_name(&mut self, name: &str) -> Result<(), Refusal> {
        let good = |letter: char| {
            letter.is_ascii_alphanumeric()
                || letter.is_whitespace()
                || matches!(letter, '-' | '(' | ')' | '[' | ']')
        };
        if name.is_empty() || name.len() > 200 || !name.chars().all(good) || name.contains("  ") {
            return Err(Refusal::bad(
                "The document file name can only contain alphanumeric characters, whitespace characters, hyphens, parentheses, and square brackets. The name can't contain more than one consecutive whitespace character. Edit the document file name and try again.",
            ));
        }
        if self.documents.iter().any(|known| known == name) {
            return Err(Refusal::bad(
                "The documents in the conversation must have unique names. Edit the document file names and try again.",
            ));
        }
        self.documents.push(name.to_owned());
        Ok(())
    }

    fn id(id: &str, path: &str) -> Result<(), Refusal> {
        let good = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b':' | b'-');
        if !id.is_empty() && id.len() <= 64 && id.bytes().all(good) {
            return Ok(());
        }
        Err(constraint(
            path,
            &format!("'{id}'"),
            "Member must satisfy regular expression pattern: [a-zA-Z0-9_.:-]+, with a length of 1 to 64",
        ))
    }

    fn call(&mut self, call: &Value, (at, number): (usize, usize)) -> Result<(), Refusal> {
        let path = format!("messages.{}.member.content.{}.member.toolUse", at + 1, number + 1);
        let id = call["toolUseId"].as_str().unwrap_or_default();
        Self::id(id, &format!("{path}.toolUseId"))?;
        let name = call["name"].as_str().unwrap_or_default();
        if !crate::openai::schema::is_name(name, 64) {
            return Err(constraint(
                &format!("{path}.name"),
                &format!("'{name}'"),
                "Member must satisfy regular expression pattern: [a-zA-Z0-9_-]+",
            ));
        }
        if !call["input"].is_object() {
            return Err(Refusal::bad(format!(
                "The format of the value at messages.{at}.content.{number}.toolUse.input is invalid. Provide a json object for the field and try again."
            )));
        }
        if self.open.iter().any(|open| open == id) {
            return Err(Refusal::bad(format!(
                "The toolUse block at messages.{at}.content.{number} has a duplicate Id: {id}"
            )));
        }
        self.question.texts.push(call["input"].to_string());
        self.open.push(id.to_owned());
        self.tools = true;
        Ok(())
    }

    fn result(&mut self, result: &Value, (at, number): (usize, usize)) -> Result<(), Refusal> {
        let path = format!(
            "messages.{}.member.content.{}.member.toolResult",
            at + 1,
            number + 1
        );
        Self::id(
            result["toolUseId"].as_str().unwrap_or_default(),
            &format!("{path}.toolUseId"),
        )?;
        let mut said = String::new();
        for (inner, block) in result["content"].as_array().into_iter().flatten().enumerate() {
            if block["text"].as_str().is_some_and(|text| text.trim().is_empty()) {
                return Err(Refusal::bad(format!(
                    "The text field in the ContentBlock object at messages.{at}.content.{number}.toolResult.content.{inner} is blank. Add text to the text field, and try again."
                )));
            }
            said.push_str(block["text"].as_str().unwrap_or_default());
            if let Some(json) = block.get("json") {
                if !json.is_object() {
                    return Err(Refusal::bad(format!(
                        "The format of the value at messages.{at}.content.{number}.toolResult.content.{inner}.json is invalid. Provide a json object for the field and try again."
                    )));
                }
                said.push_str(&json.to_string());
            }
            self.media(block, &path)?;
        }
        self.question.texts.push(said.clone());
        self.question.tool_results.push(said);
        self.tools = true;
        Ok(())
    }
}

/// A thought is ours, and as it was.
fn thought(content: &Value, path: &str) -> Result<(), Refusal> {
    let text = &content["reasoningText"];
    let good = match text["text"].as_str() {
        Some(thinking) => {
            let known = signed(text["signature"].as_str().unwrap_or_default());
            known.is_some_and(|known| known == thinking)
        }
        None => signed(content["redactedContent"].as_str().unwrap_or_default()).is_some(),
    };
    if good {
        return Ok(());
    }
    Err(Refusal::bad(format!(
        "The model returned the following errors: {path}: Invalid `signature` in `thinking` block"
    )))
}

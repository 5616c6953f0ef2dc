//! The one text view of a conversation: what guardrails, signals, cache keys and token counts see.
//!
//! There is one, so that no format and no part of a message can escape one of them and not the others.

use std::borrow::Cow;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};

use crate::form::{ChatRequest, ChatResponse, Message, Part, PartKind, Role, Source, Text, ToolKind};
use crate::json::Json;

/// What sort of text it is, for guardrails that judge them differently.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TextStage {
    /// The operator's instructions.
    Instruction,
    /// What the user says, documents included.
    User,
    /// What the model said.
    Assistant,
    /// What the model thought before it said something.
    Thinking,
    /// Arguments of a tool call.
    ToolCall,
    /// What a tool answered.
    ToolResult,
    /// What a tool does, and what it takes.
    ToolDefinition,
}

/// Where a text is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Location {
    /// Which message (or which answer, in a response).
    pub message: usize,
    /// What sort of text.
    pub stage: TextStage,
}

/// Where a text stands that an answer may go by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Given {
    /// A tool has answered it.
    ToolResult,
    /// A document that came along.
    Document,
    /// The operator's instructions.
    Instruction,
    /// What the user said.
    User,
}

/// Shows the texts of a request that an answer may go by: all but what the model itself said and thought.
pub fn given_texts(request: &ChatRequest, mut see: impl FnMut(Given, &str)) {
    for message in &request.messages {
        let given = match message.role {
            Role::System | Role::Developer => Given::Instruction,
            Role::User => Given::User,
            Role::Tool => Given::ToolResult,
            Role::Assistant => continue,
        };
        for part in &message.parts {
            given_part(part, given, &mut see);
        }
    }
}

fn given_part(part: &Part, given: Given, see: &mut impl FnMut(Given, &str)) {
    let location = Location {
        message: 0,
        stage: TextStage::User,
    };
    match &part.kind {
        PartKind::ToolResult(result) => {
            for part in &result.content {
                given_part(part, Given::ToolResult, see);
            }
        }
        PartKind::Document(document) => {
            let given = if given == Given::ToolResult {
                given
            } else {
                Given::Document
            };
            part_texts(part, location, &mut |_, text| see(given, text));
            if let Source::Base64 { media_type, data } = &document.source
                && let Some(text) = plain(media_type, data)
            {
                see(given, &text);
            }
        }
        PartKind::Text(text) => see(given, &text.text),
        // What only its own format understands holds search results and the like.
        PartKind::Opaque { json, .. } => see(given, json.as_str()),
        _ => {}
    }
}

/// Shows every text of a request.
pub fn request_texts(request: &ChatRequest, mut see: impl FnMut(&Location, &str)) {
    for (index, message) in request.messages.iter().enumerate() {
        let location = Location {
            message: index,
            stage: stage(message.role),
        };
        for part in &message.parts {
            part_texts(part, location, &mut see);
        }
    }
}

/// Shows every text of an answer.
pub fn response_texts(response: &ChatResponse, mut see: impl FnMut(&Location, &str)) {
    for (index, choice) in response.choices.iter().enumerate() {
        let location = Location {
            message: index,
            stage: TextStage::Assistant,
        };
        for part in &choice.parts {
            part_texts(part, location, &mut see);
        }
    }
}

/// Shows every text of a request, tools included, and replaces those for which there is another; true when one was replaced.
pub fn rewrite(request: &mut ChatRequest, mut edit: impl FnMut(&Location, &str) -> Option<String>) -> bool {
    let mut edited = false;
    for (index, message) in request.messages.iter_mut().enumerate() {
        let location = Location {
            message: index,
            stage: stage(message.role),
        };
        for part in &mut message.parts {
            edited |= rewrite_part(part, location, &mut edit);
        }
    }
    for tool in &mut request.tools {
        edited |= rewrite_tool(&mut tool.kind, &mut edit);
    }
    edited
}

/// The same for an answer.
pub fn rewrite_response(
    response: &mut ChatResponse,
    mut edit: impl FnMut(&Location, &str) -> Option<String>,
) -> bool {
    let mut edited = false;
    for (index, choice) in response.choices.iter_mut().enumerate() {
        let location = Location {
            message: index,
            stage: TextStage::Assistant,
        };
        for part in &mut choice.parts {
            edited |= rewrite_part(part, location, &mut edit);
        }
    }
    edited
}

/// The texts of a message, joined by line feeds.
#[must_use]
pub fn message_text(message: &Message) -> Cow<'_, str> {
    // Nearly every message is one text: it is not copied.
    if let [
        Part {
            kind: PartKind::Text(text),
            ..
        },
    ] = message.parts.as_slice()
    {
        return Cow::Borrowed(&text.text);
    }
    let mut all = String::new();
    let location = Location {
        message: 0,
        stage: stage(message.role),
    };
    for part in &message.parts {
        part_texts(part, location, &mut |_, text| append(&mut all, text));
    }
    Cow::Owned(all)
}

/// What the user said last: the texts of the latest user message that is more than tool results.
#[must_use]
pub fn user_text(request: &ChatRequest) -> Cow<'_, str> {
    let mut said = Cow::Borrowed("");
    for message in request
        .messages
        .iter()
        .rev()
        .filter(|message| message.role == Role::User)
    {
        for part in &message.parts {
            if let PartKind::Text(text) = &part.kind {
                if said.is_empty() {
                    said = Cow::Borrowed(&text.text);
                } else {
                    append(said.to_mut(), &text.text);
                }
            }
        }
        if !said.is_empty() {
            break;
        }
    }
    said
}

fn append(all: &mut String, text: &str) {
    if !all.is_empty() {
        all.push('\n');
    }
    all.push_str(text);
}

fn stage(role: Role) -> TextStage {
    match role {
        Role::System | Role::Developer => TextStage::Instruction,
        Role::User => TextStage::User,
        Role::Assistant => TextStage::Assistant,
        Role::Tool => TextStage::ToolResult,
    }
}

fn part_texts(part: &Part, location: Location, see: &mut impl FnMut(&Location, &str)) {
    match &part.kind {
        PartKind::Text(text) => see(&location, &text.text),
        PartKind::Thinking(thinking) => see(
            &Location {
                stage: TextStage::Thinking,
                ..location
            },
            &thinking.text,
        ),
        PartKind::Refusal(text) => see(&location, text),
        PartKind::ToolCall(call) => see(
            &Location {
                stage: TextStage::ToolCall,
                ..location
            },
            &call.arguments,
        ),
        PartKind::ToolResult(result) => {
            let location = Location {
                stage: TextStage::ToolResult,
                ..location
            };
            result
                .content
                .iter()
                .for_each(|part| part_texts(part, location, see));
        }
        PartKind::Document(document) => {
            for text in [&document.title, &document.context].into_iter().flatten() {
                see(&location, text);
            }
            match &document.source {
                Source::PlainText { data, .. } => see(&location, data),
                Source::Parts { parts, .. } => parts.iter().for_each(|part| part_texts(part, location, see)),
                Source::Base64 { .. } | Source::Url(_) | Source::FileId(_) => {}
            }
        }
        // What only its own format understands is still text to those who look for something in it.
        PartKind::Opaque { json, .. } => see(&location, json.as_str()),
        PartKind::Image(_) | PartKind::Audio(_) | PartKind::Video(_) | PartKind::RedactedThinking(_) => {}
    }
}

fn rewrite_tool(tool: &mut ToolKind, edit: &mut impl FnMut(&Location, &str) -> Option<String>) -> bool {
    let location = Location {
        message: 0,
        stage: TextStage::ToolDefinition,
    };
    match tool {
        ToolKind::Function {
            description,
            parameters,
            ..
        } => {
            let described = description
                .as_mut()
                .is_some_and(|text| replace(text, location, edit));
            let taken = parameters
                .as_mut()
                .is_some_and(|json| replace_json(json, location, edit));
            described | taken
        }
        ToolKind::Opaque { json, .. } => replace_json(json, location, edit),
    }
}

fn rewrite_part(
    part: &mut Part,
    location: Location,
    edit: &mut impl FnMut(&Location, &str) -> Option<String>,
) -> bool {
    match &mut part.kind {
        PartKind::Text(text) => replace(&mut text.text, location, edit),
        // A signature vouches for the text as it is: thinking that was changed goes on without one.
        PartKind::Thinking(thinking) => {
            let location = Location {
                stage: TextStage::Thinking,
                ..location
            };
            let edited = replace(&mut thinking.text, location, edit);
            if edited {
                thinking.signature = None;
            }
            edited
        }
        PartKind::Refusal(text) => replace(text, location, edit),
        PartKind::ToolCall(call) => replace(
            &mut call.arguments,
            Location {
                stage: TextStage::ToolCall,
                ..location
            },
            edit,
        ),
        PartKind::ToolResult(result) => {
            let location = Location {
                stage: TextStage::ToolResult,
                ..location
            };
            result
                .content
                .iter_mut()
                .fold(false, |edited, part| rewrite_part(part, location, edit) | edited)
        }
        PartKind::Document(document) => {
            let mut edited = false;
            for text in [&mut document.title, &mut document.context].into_iter().flatten() {
                edited |= replace(text, location, edit);
            }
            match &mut document.source {
                Source::PlainText { data, .. } => edited |= replace(data, location, edit),
                Source::Parts { parts, .. } => {
                    for part in parts {
                        edited |= rewrite_part(part, location, edit);
                    }
                }
                Source::Base64 { media_type, data } => {
                    edited |= replace_base64((media_type, data), location, edit);
                }
                Source::Url(_) | Source::FileId(_) => {}
            }
            edited
        }
        PartKind::Opaque { json, .. } => replace_json(json, location, edit),
        PartKind::Image(_) | PartKind::Audio(_) | PartKind::Video(_) | PartKind::RedactedThinking(_) => false,
    }
}

/// A document that is a text, though it comes in base 64.
fn replace_base64(
    (media_type, data): (&str, &mut Text),
    location: Location,
    edit: &mut impl FnMut(&Location, &str) -> Option<String>,
) -> bool {
    let Some(edited) = plain(media_type, data).and_then(|text| edit(&location, &text)) else {
        return false;
    };
    *data = STANDARD.encode(edited).into();
    true
}

/// The text of a document in base 64; none where it is something else.
fn plain(media_type: &str, data: &str) -> Option<String> {
    let kind = media_type
        .split(';')
        .next()
        .unwrap_or_default()
        .trim()
        .to_ascii_lowercase();
    let is_text = kind.starts_with("text/")
        || ["json", "xml", "yaml", "csv", "markdown", "javascript"]
            .iter()
            .any(|name| kind.ends_with(name));
    if !is_text {
        return None;
    }
    let packed: Vec<u8> = data.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
    let packed = packed
        .strip_suffix(b"==")
        .or(packed.strip_suffix(b"="))
        .unwrap_or(&packed);
    let bytes = STANDARD_NO_PAD.decode(packed).ok()?;
    String::from_utf8(bytes).ok()
}

fn replace_json(
    json: &mut Json,
    location: Location,
    edit: &mut impl FnMut(&Location, &str) -> Option<String>,
) -> bool {
    let Some(text) = edit(&location, json.as_str()) else {
        return false;
    };
    // A change that breaks the JSON cannot be carried out on something whose meaning is not known: it is emptied.
    *json = Json::parse(text).unwrap_or_else(|_| Json::null());
    true
}

fn replace(
    text: &mut Text,
    location: Location,
    edit: &mut impl FnMut(&Location, &str) -> Option<String>,
) -> bool {
    match edit(&location, text) {
        Some(edited) => {
            *text = edited.into();
            true
        }
        None => false,
    }
}

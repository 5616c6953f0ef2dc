//! Messages, written: those of this format as they came, those of others as this one has them.

use std::fmt::Display;

use super::{documents, parts, rules};
use crate::form::{ContentShape, Document, Message, Part, PartKind, Role, ToolCall, ToolResult};
use crate::format::EncodeError;
use crate::json::Json;
use crate::json::write::{List, Object};
use crate::rules::Losses;

/// Writes `messages`, and `documents` where there are some.
pub(super) fn write_own(body: &mut Object<'_>, all: &[Message]) -> Result<(), EncodeError> {
    let mut refused = None;
    body.list("messages", |list| {
        let spoken = all.iter().filter(|message| !documents::holds_documents(message));
        for (index, message) in spoken.enumerate() {
            let at = format_args!("messages[{index}]");
            list.object(|object| {
                refused = refused.take().or(write_message(object, message, &at).err());
            });
        }
    });
    if let Some(error) = refused {
        return Err(error);
    }
    if let Some(message) = all.iter().find(|message| documents::holds_documents(message)) {
        body.list("documents", |list| {
            message.parts.iter().for_each(|part| documents::write(list, part));
        });
    }
    Ok(())
}

fn write_message(object: &mut Object<'_>, message: &Message, at: &dyn Display) -> Result<(), EncodeError> {
    object.string("role", role_name(message.role));
    if let [
        Part {
            kind: PartKind::ToolResult(result),
            ..
        },
    ] = message.parts.as_slice()
    {
        object.string("tool_call_id", &result.call_id);
        let content: Vec<&Part> = result.content.iter().collect();
        write_content(object, &content, result.shape, at)?;
    } else {
        write_said(object, &message.parts, message.shape, at)?;
    }
    object.extra(&message.extra);
    Ok(())
}

/// Writes content, plan and calls of a message of this format.
pub(super) fn write_said(
    object: &mut Object<'_>,
    all: &[Part],
    shape: ContentShape,
    at: &dyn Display,
) -> Result<(), EncodeError> {
    let in_content = |part: &&Part| !parts::is_plan(part) && !matches!(part.kind, PartKind::ToolCall(_));
    let content: Vec<&Part> = all.iter().filter(in_content).collect();
    write_content(object, &content, shape, at)?;
    for part in all.iter().filter(|part| parts::is_plan(part)) {
        if let PartKind::Text(plan) = &part.kind {
            object.string("tool_plan", &plan.text);
        }
    }
    write_calls(object, all, true);
    Ok(())
}

fn write_content(
    object: &mut Object<'_>,
    content: &[&Part],
    shape: ContentShape,
    at: &dyn Display,
) -> Result<(), EncodeError> {
    match (shape, content) {
        (ContentShape::Absent, []) => return Ok(()),
        (ContentShape::Null, []) => {
            object.raw("content", "null");
            return Ok(());
        }
        (
            ContentShape::Text,
            [
                Part {
                    kind: PartKind::Text(text),
                    ..
                },
            ],
        ) => {
            object.string("content", &text.text);
            return Ok(());
        }
        _ => {}
    }
    let mut refused = None;
    object.list("content", |list| {
        for (index, part) in content.iter().enumerate() {
            let at = format_args!("{at}.content[{index}]");
            refused = refused.take().or(parts::write_part(list, part, &at, true).err());
        }
    });
    refused.map_or(Ok(()), Err)
}

/// Writes `tool_calls`, if there are any.
pub(super) fn write_calls(object: &mut Object<'_>, all: &[Part], own: bool) {
    if !all.iter().any(|part| matches!(part.kind, PartKind::ToolCall(_))) {
        return;
    }
    object.list("tool_calls", |list| {
        for part in all {
            if let PartKind::ToolCall(call) = &part.kind {
                list.object(|object| write_call(object, part, call, own));
            }
        }
    });
}

fn write_call(object: &mut Object<'_>, part: &Part, call: &ToolCall, own: bool) {
    object.string("id", &call.id);
    object.string("type", "function");
    object.object("function", |function| {
        function.string("name", &call.name);
        if own {
            function.string("arguments", &call.arguments);
            function.extra(&call.extra);
        } else {
            function.string("arguments", &call.arguments_object());
        }
    });
    if own {
        object.extra(&part.extra);
    }
}

fn role_name(role: Role) -> &'static str {
    match role {
        Role::System | Role::Developer => "system",
        Role::User => "user",
        Role::Assistant => "assistant",
        Role::Tool => "tool",
    }
}

/// Writes messages of another format; documents to be cited are put into `cited`.
pub(super) fn write_foreign(
    list: &mut List<'_>,
    all: &[Message],
    cited: &mut Vec<Json>,
    losses: &mut Losses,
) -> Result<(), EncodeError> {
    let mut writer = Foreign {
        cited,
        losses,
        shown: Vec::new(),
    };
    for (index, message) in all.iter().enumerate() {
        let at = format_args!("messages[{index}]");
        writer.message(list, message, &at)?;
    }
    writer.show(list, &"messages")
}

struct Foreign<'a> {
    cited: &'a mut Vec<Json>,
    losses: &'a mut Losses,
    /// What tools gave back beside text: shown as the user's once all results are told.
    shown: Vec<Part>,
}

impl Foreign<'_> {
    fn message(
        &mut self,
        list: &mut List<'_>,
        message: &Message,
        at: &dyn Display,
    ) -> Result<(), EncodeError> {
        if message.name.is_some() {
            self.losses.by(&rules::NAMES);
        }
        let mut rest: Vec<Part> = Vec::new();
        for part in &message.parts {
            match &part.kind {
                PartKind::ToolResult(result) => self.result(list, result, at)?,
                _ => rest.push(part.clone()),
            }
        }
        if rest.is_empty()
            && message
                .parts
                .iter()
                .any(|part| matches!(part.kind, PartKind::ToolResult(_)))
        {
            return Ok(());
        }
        if message.role == Role::User && !self.shown.is_empty() {
            let mut all = std::mem::take(&mut self.shown);
            all.append(&mut rest);
            return self.user(list, &all, ContentShape::Parts, at);
        }
        self.show(list, at)?;
        match message.role {
            Role::Assistant => self.assistant(list, &rest, at),
            Role::User | Role::Tool => self.user(list, &rest, message.shape, at),
            Role::System | Role::Developer => self.system(list, &rest, message.shape, at),
        }
    }

    /// Shows what tools gave back beside text.
    fn show(&mut self, list: &mut List<'_>, at: &dyn Display) -> Result<(), EncodeError> {
        let shown = std::mem::take(&mut self.shown);
        if shown.is_empty() {
            return Ok(());
        }
        self.user(list, &shown, ContentShape::Parts, at)
    }

    fn result(
        &mut self,
        list: &mut List<'_>,
        result: &ToolResult,
        at: &dyn Display,
    ) -> Result<(), EncodeError> {
        let mut texts: Vec<String> = Vec::new();
        if result.is_error == Some(true) {
            self.losses.by(&rules::IS_ERROR);
        }
        for part in &result.content {
            match &part.kind {
                PartKind::Text(text) => texts.push(text.text.to_string()),
                PartKind::Document(document) if parts::document_text(&document.source).is_some() => {
                    let title = document.title.as_deref().map(|title| format!("{title}\n\n"));
                    let text = parts::document_text(&document.source).unwrap_or_default();
                    texts.push(format!("{}{text}", title.unwrap_or_default()));
                }
                PartKind::Image(_) => {
                    self.losses.by(&rules::RESULT_MEDIA);
                    self.shown.push(part.clone());
                }
                PartKind::Document(_) => return Err(rules::DOCUMENT_SOURCE.refuse_at(at)),
                PartKind::Audio(_) => return Err(rules::AUDIO.refuse_at(at)),
                PartKind::Video(_) => return Err(rules::VIDEO.refuse_at(at)),
                PartKind::Opaque { kind, .. } => {
                    return Err(rules::OPAQUE_PART.refuse_at(format!("{at} of type {kind}")));
                }
                _ => return Err(rules::MISPLACED.refuse_at(at)),
            }
        }
        if result.is_error == Some(true) {
            match texts.first_mut() {
                Some(first) => first.insert_str(0, "Error: "),
                None => texts.push("Error".to_owned()),
            }
        }
        list.object(|object| {
            object.string("role", "tool");
            object.string("tool_call_id", &result.call_id);
            match texts.as_slice() {
                [] => object.string("content", ""),
                [only] => object.string("content", only),
                all => object.list("content", |list| {
                    all.iter().for_each(|text| write_text(list, text));
                }),
            }
        });
        Ok(())
    }

    fn system(
        &mut self,
        list: &mut List<'_>,
        all: &[Part],
        shape: ContentShape,
        at: &dyn Display,
    ) -> Result<(), EncodeError> {
        if let Some(part) = all.iter().find(|part| !matches!(part.kind, PartKind::Text(_))) {
            return Err(match &part.kind {
                PartKind::Opaque { kind, .. } => rules::OPAQUE_PART.refuse_at(format!("{at} of type {kind}")),
                _ => rules::MISPLACED.refuse_at(at),
            });
        }
        write_plain(list, "system", all, shape, at)
    }

    fn user(
        &mut self,
        list: &mut List<'_>,
        all: &[Part],
        shape: ContentShape,
        at: &dyn Display,
    ) -> Result<(), EncodeError> {
        let mut content = Vec::with_capacity(all.len());
        for part in all {
            match &part.kind {
                PartKind::Document(document) if is_cited(document) => {
                    let text = parts::document_text(&document.source)
                        .ok_or_else(|| rules::DOCUMENT_SOURCE.refuse_at(at))?;
                    self.cited.push(documents::of_foreign(document, &text));
                    self.losses.by(&rules::CITED_DOCUMENT);
                }
                PartKind::Thinking(_) => return Err(rules::MISPLACED.refuse_at(at)),
                _ => content.push(part.clone()),
            }
        }
        // A message of nothing but documents goes with them.
        if content.is_empty() && !all.is_empty() {
            return Ok(());
        }
        write_plain(list, "user", &content, shape, at)
    }

    fn assistant(&mut self, list: &mut List<'_>, all: &[Part], at: &dyn Display) -> Result<(), EncodeError> {
        let calls = all.iter().any(|part| matches!(part.kind, PartKind::ToolCall(_)));
        let mut plan: Vec<&str> = Vec::new();
        let mut content: Vec<&Part> = Vec::new();
        for part in all {
            match &part.kind {
                PartKind::ToolCall(call) => {
                    if !call.has_object() {
                        self.losses.by(&rules::ARGUMENTS);
                    }
                }
                // Another provider's, and none of Cohere's business.
                PartKind::RedactedThinking(_) => {}
                PartKind::Thinking(thinking) if thinking.text.is_empty() => {}
                // What is said in front of calls is the plan of them.
                PartKind::Text(text) if calls => plan.push(&text.text),
                PartKind::Text(text) if text.text.is_empty() => {}
                PartKind::Image(_) | PartKind::Document(_) => return Err(rules::MISPLACED.refuse_at(at)),
                _ => content.push(part),
            }
        }
        if content.is_empty() && !calls {
            return Ok(());
        }
        let mut refused = None;
        list.object(|object| {
            object.string("role", "assistant");
            let plan: Vec<&str> = plan.into_iter().filter(|text| !text.is_empty()).collect();
            if !plan.is_empty() {
                object.string("tool_plan", &plan.join("\n\n"));
            }
            if let [
                Part {
                    kind: PartKind::Text(text),
                    ..
                },
            ] = content.as_slice()
            {
                object.string("content", &text.text);
            } else if !content.is_empty() {
                object.list("content", |list| {
                    for part in &content {
                        refused = refused.take().or(parts::write_part(list, part, at, false).err());
                    }
                });
            }
            write_calls(object, all, false);
        });
        refused.map_or(Ok(()), Err)
    }
}

/// Whether the answer shall cite the document.
fn is_cited(document: &Document) -> bool {
    #[derive(serde::Deserialize)]
    struct Citations {
        enabled: bool,
    }
    let citations = document.citations.as_ref();
    citations.is_some_and(|json| json.read::<Citations>().is_ok_and(|citations| citations.enabled))
}

fn write_text(list: &mut List<'_>, text: &str) {
    list.object(|object| {
        object.string("type", "text");
        object.string("text", text);
    });
}

/// Writes a message that is content alone.
fn write_plain(
    list: &mut List<'_>,
    role: &str,
    content: &[Part],
    shape: ContentShape,
    at: &dyn Display,
) -> Result<(), EncodeError> {
    let mut refused = None;
    list.object(|object| {
        object.string("role", role);
        match content {
            [
                Part {
                    kind: PartKind::Text(text),
                    ..
                },
            ] if shape != ContentShape::Parts => object.string("content", &text.text),
            all => object.list("content", |list| {
                for (index, part) in all.iter().enumerate() {
                    let at = format_args!("{at}.content[{index}]");
                    refused = refused.take().or(parts::write_part(list, part, &at, false).err());
                }
            }),
        }
    });
    refused.map_or(Ok(()), Err)
}

//! Writing chat completion requests, also those that came in another format.

use std::fmt::Display;

use crate::form::{
    ChatRequest, ContentShape, MaxTokensName, Message, Part, PartKind, Reasoning, ReasoningEffort,
    ResponseFormat, Role, Sampling, Tool, ToolChoice, ToolKind, ToolResult, turns,
};
use crate::format::{EncodeError, EncodeTarget, Encoded, Format};
use crate::json::write::{self, List, Object};
use crate::responses::{choice_to_chat, tool_to_chat};
use crate::rules::{Losses, UNKNOWN};
use crate::schema::{UNBOUND, can_bind, loses_bond};

use super::markers;
use super::parts;
use super::request::effort_name;
use super::rules;
use super::thinking;

/// Writes a request.
///
/// # Errors
/// When it holds something the format has no counterpart for; the field is named.
pub fn encode(request: &ChatRequest, target: &EncodeTarget<'_>) -> Result<Encoded, EncodeError> {
    let mut losses = Losses::default();
    let request = &*markers::for_server(request, target, &mut losses);
    let mut writer = Writer {
        request,
        target,
        losses,
    };
    let body = write::body(|body| writer.body(body))?;
    Ok(Encoded {
        body: body.into(),
        losses: writer.losses.into_vec(),
    })
}

/// Writes the parameters that chat completions and completions share.
pub fn write_sampling(body: &mut Object<'_>, sampling: &Sampling, max_tokens: &str) {
    body.maybe_count(max_tokens, sampling.max_tokens);
    body.maybe_number("temperature", sampling.temperature.as_ref());
    body.maybe_number("top_p", sampling.top_p.as_ref());
    body.maybe_count("top_k", sampling.top_k);
    body.maybe_number("frequency_penalty", sampling.frequency_penalty.as_ref());
    body.maybe_number("presence_penalty", sampling.presence_penalty.as_ref());
    if let Some(seed) = sampling.seed {
        body.raw("seed", &seed.to_string());
    }
    match sampling.stop.as_slice() {
        [] => {}
        [only] if sampling.stop_is_string => body.string("stop", only),
        all => body.list("stop", |list| all.iter().for_each(|stop| list.string(stop))),
    }
    body.maybe_count("n", sampling.n);
    body.maybe_boolean("logprobs", sampling.logprobs);
    body.maybe_count("top_logprobs", sampling.top_logprobs);
    body.maybe_json("logit_bias", sampling.logit_bias.as_ref());
}

/// Writes `stream` and `stream_options`.
pub fn write_stream(body: &mut Object<'_>, request: &ChatRequest, target: &EncodeTarget<'_>) {
    if request.stream.enabled || request.stream.explicit {
        body.boolean("stream", request.stream.enabled);
    }
    if !request.stream.enabled {
        return;
    }
    match &request.stream.options {
        Some(options) if request.format != Format::AnthropicMessages => {
            let mut edits = crate::splice::Edits::new();
            if request.stream.include_usage {
                edits.set("include_usage", "true");
            }
            let edited = edits.apply(&options.as_str().to_owned().into());
            let edited = edited
                .ok()
                .and_then(|edited| String::from_utf8(edited.to_vec()).ok());
            body.raw("stream_options", edited.as_deref().unwrap_or(options.as_str()));
        }
        _ if request.stream.include_usage && target.stream_usage => {
            body.object("stream_options", |options| options.boolean("include_usage", true));
        }
        _ => {}
    }
}

struct Writer<'a> {
    request: &'a ChatRequest,
    target: &'a EncodeTarget<'a>,
    losses: Losses,
}

impl Writer<'_> {
    fn own(&self) -> bool {
        self.request.format == Format::OpenAiChat
    }

    fn body(&mut self, body: &mut Object<'_>) -> Result<(), EncodeError> {
        let request = self.request;
        body.string("model", self.target.model);
        let mut refused = None;
        body.list("messages", |list| refused = self.messages(list).err());
        if let Some(error) = refused {
            return Err(error);
        }
        self.tools(body)?;
        self.sampling(body)?;
        self.reasoning(body);
        self.response_format(body)?;
        write_stream(body, request, self.target);
        body.maybe_string("user", request.user.as_deref());
        if let Some(tier) = &request.service_tier {
            if self.own() {
                body.string("service_tier", tier);
            } else {
                self.losses.by(&rules::SERVICE_TIER);
            }
        }
        // Marks on parts and tools are told where they are taken off.
        if request.cache_control.is_some() {
            self.losses.by(&rules::CACHE_CONTROL);
        }
        if self.own() {
            body.extra(&request.extra);
        } else {
            for (name, _) in &request.extra.0 {
                self.losses.at(name.to_string(), &UNKNOWN);
            }
        }
        Ok(())
    }

    fn messages(&mut self, list: &mut List<'_>) -> Result<(), EncodeError> {
        let mut messages = self.request.messages.as_slice();
        let joined;
        if !self.own() {
            // Results must follow the message with their calls: what a model said in pieces is one message. Fields that
            // only the client's format knows are left out, and told.
            let joins = |role| (role == Role::Assistant).then_some(Role::Assistant);
            joined = turns::join(messages.iter().cloned(), joins, &mut self.losses);
            messages = &joined;
        }
        for (index, message) in messages.iter().enumerate() {
            let at = format_args!("messages[{index}]");
            match message.role {
                Role::User => self.user(list, message, &at)?,
                Role::Tool => {
                    for part in &message.parts {
                        if let PartKind::ToolResult(result) = &part.kind {
                            self.tool_result(list, message, result, &at)?;
                        }
                    }
                }
                Role::Assistant => assistant(list, message, &at)?,
                Role::System | Role::Developer => {
                    let developer = message.role == Role::Developer && self.target.developer_role;
                    write_message(list, if developer { "developer" } else { "system" }, message, &at)?;
                }
            }
        }
        Ok(())
    }

    /// A user's message; tool results in it become tool messages, which must follow the calls at once.
    fn user(&mut self, list: &mut List<'_>, message: &Message, at: &dyn Display) -> Result<(), EncodeError> {
        let is_result = |part: &&Part| matches!(part.kind, PartKind::ToolResult(_));
        if !message.parts.iter().any(|part| is_result(&part)) {
            return write_message(list, "user", message, at);
        }
        let mut rest = Vec::new();
        for part in &message.parts {
            match &part.kind {
                PartKind::ToolResult(result) => {
                    self.tool_result(list, message, result, at)?;
                    // Tool messages hold text only: what else came back is shown as the user's.
                    rest.extend(result.content.iter().filter(|part| !is_text(part)).cloned());
                }
                _ => rest.push(part.clone()),
            }
        }
        if rest.is_empty() {
            return Ok(());
        }
        let rest = Message {
            parts: rest,
            shape: ContentShape::Parts,
            ..message.clone()
        };
        write_message(list, "user", &rest, at)
    }

    fn tool_result(
        &mut self,
        list: &mut List<'_>,
        message: &Message,
        result: &ToolResult,
        at: &dyn Display,
    ) -> Result<(), EncodeError> {
        if result.is_error == Some(true) {
            self.losses.by(&rules::IS_ERROR);
        }
        let mut refused = None;
        list.object(|object| {
            object.string("role", "tool");
            object.string("tool_call_id", &result.call_id);
            refused = write_result(object, result, at).err();
            if message.role == Role::Tool {
                object.maybe_string("name", message.name.as_deref());
                object.extra(&message.extra);
            }
        });
        refused.map_or(Ok(()), Err)
    }

    fn tools(&mut self, body: &mut Object<'_>) -> Result<(), EncodeError> {
        let request = self.request;
        if loses_bond(request) {
            self.losses.by(&UNBOUND);
        }
        let mut refused = None;
        if !request.tools.is_empty() {
            body.list("tools", |list| {
                for (index, tool) in request.tools.iter().enumerate() {
                    refused = refused.take().or(self.tool(list, tool, index).err());
                }
            });
        }
        if let Some(error) = refused {
            return Err(error);
        }
        match &request.tool_choice {
            None => {}
            Some(ToolChoice::Auto) => body.string("tool_choice", "auto"),
            Some(ToolChoice::None) => body.string("tool_choice", "none"),
            Some(ToolChoice::Required) => body.string("tool_choice", "required"),
            Some(ToolChoice::Function(name)) => body.object("tool_choice", |choice| {
                choice.string("type", "function");
                choice.object("function", |function| function.string("name", name));
            }),
            Some(ToolChoice::Opaque {
                format: Format::OpenAiChat,
                json,
            }) => body.raw("tool_choice", json.as_str()),
            Some(ToolChoice::Opaque { format, json }) => {
                let said = (*format == Format::OpenAiResponses).then(|| choice_to_chat(json));
                let choice = said.flatten().ok_or_else(|| rules::OPAQUE_CHOICE.refuse())?;
                body.raw("tool_choice", choice.as_str());
            }
        }
        body.maybe_boolean("parallel_tool_calls", request.parallel_tool_calls);
        Ok(())
    }

    fn tool(&self, list: &mut List<'_>, tool: &Tool, index: usize) -> Result<(), EncodeError> {
        // Others bind to schemas that OpenAI would refuse to bind to.
        let same = matches!(self.request.format, Format::OpenAiChat | Format::OpenAiResponses);
        match &tool.kind {
            ToolKind::Opaque {
                format: Format::OpenAiChat,
                json,
                ..
            } => list.raw(json.as_str()),
            ToolKind::Opaque { format, kind, json } => {
                let place = || format!("tools[{index}].type {kind}");
                let said = (*format == Format::OpenAiResponses).then(|| tool_to_chat(json));
                let tool = said
                    .flatten()
                    .ok_or_else(|| rules::OPAQUE_TOOL.refuse_at(place()))?;
                list.raw(tool.as_str());
            }
            ToolKind::Function {
                name,
                description,
                parameters,
                strict,
                extra,
            } => list.object(|object| {
                object.string("type", "function");
                object.object("function", |function| {
                    function.string("name", name);
                    function.maybe_string("description", description.as_deref());
                    function.maybe_json("parameters", parameters.as_ref());
                    let strict =
                        strict.map(|strict| strict && (same || parameters.as_ref().is_none_or(can_bind)));
                    function.maybe_boolean("strict", strict);
                    if self.own() {
                        function.extra(extra);
                    }
                });
                parts::write_cache_control(object, tool.cache_control.as_ref());
                if self.own() {
                    object.extra(&tool.extra);
                }
            }),
        }
        Ok(())
    }

    fn sampling(&mut self, body: &mut Object<'_>) -> Result<(), EncodeError> {
        let mut sampling = self.request.sampling.clone();
        if !self.own() && sampling.stop.len() > 4 {
            return Err(rules::STOPS.refuse());
        }
        let name = if self.own() {
            sampling.max_tokens_name
        } else {
            self.target.max_tokens_name
        };
        if !self.own() && sampling.top_k.take().is_some() {
            self.losses.by(&rules::TOP_K);
        }
        let name = match name {
            MaxTokensName::MaxTokens => "max_tokens",
            MaxTokensName::MaxCompletionTokens => "max_completion_tokens",
        };
        write_sampling(body, &sampling, name);
        Ok(())
    }

    fn reasoning(&mut self, body: &mut Object<'_>) {
        let Some(reasoning) = &self.request.reasoning else {
            return;
        };
        if let Some(effort) = effort_nearest(reasoning) {
            body.string("reasoning_effort", effort_name(effort));
            if reasoning.effort.is_none() {
                self.losses.by(&rules::BUDGET);
            }
        }
    }

    fn response_format(&mut self, body: &mut Object<'_>) -> Result<(), EncodeError> {
        match &self.request.response_format {
            None => {}
            Some(ResponseFormat::Text) => {
                body.object("response_format", |format| format.string("type", "text"));
            }
            Some(ResponseFormat::JsonObject) => {
                body.object("response_format", |format| format.string("type", "json_object"));
            }
            Some(ResponseFormat::JsonSchema {
                name,
                description,
                schema,
                strict,
                extra,
            }) => {
                body.object("response_format", |format| {
                    format.string("type", "json_schema");
                    format.object("json_schema", |inner| {
                        inner.string("name", name.as_deref().unwrap_or("answer"));
                        inner.maybe_string("description", description.as_deref());
                        inner.raw("schema", schema.as_str());
                        // What comes from a format whose schemas always bind must bind here, too, where it can.
                        let binds = || (!self.own()).then(|| can_bind(schema));
                        inner.maybe_boolean("strict", strict.or_else(binds));
                        if self.own() {
                            inner.extra(extra);
                        }
                    });
                });
            }
            Some(ResponseFormat::Opaque {
                format: Format::OpenAiChat,
                json,
            }) => body.raw("response_format", json.as_str()),
            Some(ResponseFormat::Opaque { .. }) => {
                return Err(rules::OPAQUE_FORMAT.refuse());
            }
        }
        Ok(())
    }
}

/// The effort that comes closest to what was asked for.
#[must_use]
pub fn effort_nearest(reasoning: &Reasoning) -> Option<ReasoningEffort> {
    if let Some(effort) = reasoning.effort {
        return Some(effort);
    }
    match (reasoning.enabled, reasoning.budget_tokens) {
        // Models that cannot help thinking refuse `none`; the least they all take is `low`.
        (Some(false), _) | (None, None) => None,
        (_, Some(0..=4_096)) => Some(ReasoningEffort::Low),
        (_, Some(4_097..=16_384)) | (Some(true), None) => Some(ReasoningEffort::Medium),
        (_, Some(_)) => Some(ReasoningEffort::High),
    }
}

fn is_text(part: &Part) -> bool {
    matches!(part.kind, PartKind::Text(_))
}

fn write_result(object: &mut Object<'_>, result: &ToolResult, at: &dyn Display) -> Result<(), EncodeError> {
    let failed = result.is_error == Some(true);
    let texts: Vec<&Part> = result.content.iter().filter(|part| is_text(part)).collect();
    if !failed && result.shape == ContentShape::Parts && !texts.is_empty() {
        let mut refused = None;
        object.list("content", |list| {
            for part in texts {
                refused = refused.take().or(parts::write_part(list, part, at).err());
            }
        });
        return refused.map_or(Ok(()), Err);
    }
    let mut all = if failed {
        "Error: ".to_owned()
    } else {
        String::new()
    };
    for part in texts {
        if let PartKind::Text(text) = &part.kind {
            all.push_str(&text.text);
        }
    }
    object.string("content", &all);
    Ok(())
}

fn write_message(
    list: &mut List<'_>,
    role: &str,
    message: &Message,
    at: &dyn Display,
) -> Result<(), EncodeError> {
    let mut refused = None;
    list.object(|object| {
        object.string("role", role);
        refused = write_content(
            object,
            &message.parts.iter().collect::<Vec<_>>(),
            message.shape,
            at,
        )
        .err();
        object.maybe_string("name", message.name.as_deref());
        object.extra(&message.extra);
    });
    refused.map_or(Ok(()), Err)
}

fn write_content(
    object: &mut Object<'_>,
    parts: &[&Part],
    shape: ContentShape,
    at: &dyn Display,
) -> Result<(), EncodeError> {
    if let (
        ContentShape::Text,
        [
            Part {
                kind: PartKind::Text(text),
                cache_control: None,
                ..
            },
        ],
    ) = (shape, parts)
    {
        object.string("content", &text.text);
        return Ok(());
    }
    let mut refused = None;
    object.list("content", |list| {
        for part in parts {
            refused = refused
                .take()
                .or(parts::write_part(list, part, &format_args!("{at}.content")).err());
        }
    });
    refused.map_or(Ok(()), Err)
}

/// Where `content` of an assistant's message ends and other fields begin.
fn assistant(list: &mut List<'_>, message: &Message, at: &dyn Display) -> Result<(), EncodeError> {
    let mut refused = None;
    list.object(|object| {
        object.string("role", "assistant");
        let in_content = |part: &&Part| {
            matches!(
                part.kind,
                PartKind::Text(_)
                    | PartKind::Image(_)
                    | PartKind::Video(_)
                    | PartKind::Document(_)
                    | PartKind::Opaque { .. }
            ) || matches!(&part.kind, PartKind::Audio(audio) if audio.id.is_none())
        };
        let content: Vec<&Part> = message.parts.iter().filter(in_content).collect();
        match (content.is_empty(), message.shape) {
            (false, shape) => refused = write_content(object, &content, shape, at).err(),
            (true, ContentShape::Absent) => {}
            (true, ContentShape::Text) => object.string("content", ""),
            (true, ContentShape::Null | ContentShape::Parts) => object.raw("content", "null"),
        }
        write_reasoning(object, &message.parts);
        write_beside_content(object, &message.parts);
        object.maybe_string("name", message.name.as_deref());
        object.extra(&message.extra);
    });
    refused.map_or(Ok(()), Err)
}

/// Reasoning: plain as `reasoning_content`; signed or encrypted as `thinking_blocks`, so that it can be replayed.
pub fn write_reasoning(object: &mut Object<'_>, parts: &[Part]) {
    let mut plain = String::new();
    let mut signed = false;
    for part in parts {
        match &part.kind {
            PartKind::Thinking(thinking) => {
                plain.push_str(&thinking.text);
                signed |= thinking.signature.is_some();
            }
            PartKind::RedactedThinking(_) => signed = true,
            _ => {}
        }
    }
    if !plain.is_empty() {
        object.string("reasoning_content", &plain);
    }
    if signed {
        thinking::write_blocks(object, parts);
    }
}

/// Refusal, audio and tool calls.
fn write_beside_content(object: &mut Object<'_>, all: &[Part]) {
    for part in all {
        match &part.kind {
            PartKind::Refusal(refusal) => object.string("refusal", refusal),
            PartKind::Audio(audio) => {
                if let Some(id) = &audio.id {
                    object.object("audio", |inner| inner.string("id", id));
                }
            }
            _ => {}
        }
    }
    if all.iter().any(|part| matches!(part.kind, PartKind::ToolCall(_))) {
        object.list("tool_calls", |list| {
            for part in all {
                if let PartKind::ToolCall(call) = &part.kind {
                    parts::write_tool_call(list, part, call, true);
                }
            }
        });
    }
}

//! Writing requests for responses, also those that came in another format.

use super::{parts, rules};
use crate::form::{
    ChatRequest, ContentShape, Message, Part, PartKind, ResponseFormat, Role, Thinking, ToolCall,
    ToolCallKind, ToolChoice, ToolKind, ToolResult, turns,
};
use crate::format::{EncodeError, EncodeTarget, Encoded, Format};
use crate::json::write::{List, Object, object};
use crate::openai::request::{effort_name, effort_nearest};
use crate::rules::{Losses, Rule, UNKNOWN};

/// Fewer tokens than these the API refuses.
const LEAST_TOKENS: u64 = 16;
/// Fields that chat completions have under the same name, with the same meaning.
const SHARED: [&str; 5] = [
    "metadata",
    "prompt_cache_key",
    "prompt_cache_retention",
    "safety_identifier",
    "store",
];

/// Writes a request.
///
/// # Errors
/// When it holds something the format has no counterpart for; the field is named.
pub fn encode(request: &ChatRequest, target: &EncodeTarget<'_>) -> Result<Encoded, EncodeError> {
    let mut writer = Writer {
        request,
        target,
        own: request.format == Format::OpenAiResponses,
        losses: Losses::default(),
    };
    let mut refused = None;
    let body = object(|body| refused = writer.body(body).err());
    match refused {
        Some(error) => Err(error),
        None => Ok(Encoded {
            body: body.into(),
            losses: writer.losses.into_vec(),
        }),
    }
}

struct Writer<'a> {
    request: &'a ChatRequest,
    target: &'a EncodeTarget<'a>,
    own: bool,
    losses: Losses,
}

impl Writer<'_> {
    fn body(&mut self, body: &mut Object<'_>) -> Result<(), EncodeError> {
        let request = self.request;
        if !(self.own && self.target.model.is_empty()) {
            body.string("model", self.target.model);
        }
        self.messages(body)?;
        self.tools(body)?;
        self.sampling(body)?;
        self.reasoning(body);
        self.response_format(body)?;
        if request.stream.enabled || request.stream.explicit {
            body.boolean("stream", request.stream.enabled);
        }
        body.maybe_boolean("parallel_tool_calls", request.parallel_tool_calls);
        body.maybe_string("user", request.user.as_deref());
        let same_tiers = matches!(request.format, Format::OpenAiChat | Format::OpenAiCompletions);
        match &request.service_tier {
            Some(tier) if self.own || same_tiers => body.string("service_tier", tier),
            Some(_) => self.losses.by(&rules::SERVICE_TIER),
            None => {}
        }
        if request.cache_control.is_some() {
            self.losses.by(&rules::CACHE_CONTROL);
        }
        self.extra(body);
        Ok(())
    }

    fn extra(&mut self, body: &mut Object<'_>) {
        let request = self.request;
        if self.own {
            body.maybe_json("stream_options", request.stream.options.as_ref());
            for (name, json) in &request.extra.0 {
                if name != "text" {
                    body.raw(name, json.as_str());
                }
            }
            return;
        }
        let shared = |name: &str| same_tongue(request.format) && SHARED.contains(&name);
        if !(same_tongue(request.format) && request.extra.get("store").is_some()) {
            // Chat formats keep nothing at the provider.
            body.boolean("store", false);
        }
        for (name, json) in &request.extra.0 {
            if shared(name) {
                body.raw(name, json.as_str());
            } else if !(same_tongue(request.format) && name == "verbosity") {
                self.losses.at(name.to_string(), &UNKNOWN);
            }
        }
    }

    fn messages(&mut self, body: &mut Object<'_>) -> Result<(), EncodeError> {
        let mut messages = self.request.messages.as_slice();
        let joined;
        if !self.own {
            joined = turns::join(messages, |_| None, &mut self.losses);
            messages = &joined;
        }
        if self.own
            && let [first, rest @ ..] = messages
            && first.role == Role::System
            && first.shape == ContentShape::Absent
        {
            body.string("instructions", only_text(first));
            messages = rest;
        }
        if self.own
            && let [only] = messages
            && only.role == Role::User
            && only.shape == ContentShape::Absent
        {
            body.string("input", only_text(only));
            return Ok(());
        }
        let mut refused = None;
        body.list("input", |list| {
            for (index, message) in messages.iter().enumerate() {
                let at = format!("messages[{index}]");
                refused = self.items(list, message, &at).err();
                if refused.is_some() {
                    return;
                }
            }
        });
        refused.map_or(Ok(()), Err)
    }

    /// A message as items: calls, results and reasoning are items of their own, what stands between them is a message.
    fn items(&mut self, list: &mut List<'_>, message: &Message, at: &str) -> Result<(), EncodeError> {
        if message.name.is_some() {
            self.losses.by(&rules::NAMES);
        }
        if self.own && message.shape == ContentShape::Text {
            write_message(list, message, &message.parts, at, true)?;
            return Ok(());
        }
        let mut content: Vec<Part> = Vec::new();
        for part in &message.parts {
            let in_content = match &part.kind {
                PartKind::Opaque { format, .. } => {
                    // Items of this format stand alone, its content parts do not.
                    *format != Format::OpenAiResponses || message.role != Role::Assistant
                }
                kind => !matches!(
                    kind,
                    PartKind::ToolCall(_)
                        | PartKind::ToolResult(_)
                        | PartKind::Thinking(_)
                        | PartKind::RedactedThinking(_)
                ),
            };
            if in_content {
                content.push(part.clone());
                continue;
            }
            flush(list, message, &mut content, at, self.own)?;
            self.item(list, part, at)?;
        }
        if self.own && message.parts.is_empty() {
            return write_message(list, message, &[], at, true);
        }
        flush(list, message, &mut content, at, self.own)
    }

    fn item(&mut self, list: &mut List<'_>, part: &Part, at: &str) -> Result<(), EncodeError> {
        match &part.kind {
            PartKind::ToolCall(call) => self.call(list, part, call),
            PartKind::ToolResult(result) => return self.result(list, part, result, at),
            PartKind::Thinking(thinking) => self.thinking(list, part, thinking),
            PartKind::Opaque { json, .. } => list.raw(json.as_str()),
            _ => self.losses.by(&rules::REDACTED),
        }
        Ok(())
    }

    fn call(&self, list: &mut List<'_>, part: &Part, call: &ToolCall) {
        let (kind, field) = match call.kind {
            ToolCallKind::Function => ("function_call", "arguments"),
            ToolCallKind::Custom => ("custom_tool_call", "input"),
        };
        list.object(|object| {
            object.string("type", kind);
            object.string("call_id", &call.id);
            object.string("name", &call.name);
            object.string(field, &call.arguments);
            if self.own {
                object.extra(&part.extra);
            }
        });
    }

    fn thinking(&mut self, list: &mut List<'_>, part: &Part, thinking: &Thinking) {
        let own = |signature: &str| !crate::gemini::signature::is_gemini(signature);
        if !thinking.signature.as_deref().is_some_and(own) && !self.own {
            self.losses.by(&rules::UNSIGNED);
            return;
        }
        list.object(|object| {
            object.string("type", "reasoning");
            if self.own {
                object.extra(&part.extra);
            }
            if !(self.own && part.extra.get("summary").is_some()) {
                object.list("summary", |list| {
                    if !thinking.text.is_empty() {
                        list.object(|piece| {
                            piece.string("type", "summary_text");
                            piece.string("text", &thinking.text);
                        });
                    }
                });
            }
            object.maybe_string("encrypted_content", thinking.signature.as_deref());
        });
    }

    fn result(
        &mut self,
        list: &mut List<'_>,
        part: &Part,
        result: &ToolResult,
        at: &str,
    ) -> Result<(), EncodeError> {
        let failed = result.is_error == Some(true);
        if failed {
            self.losses.by(&rules::IS_ERROR);
        }
        let own = self.own;
        let mut refused = None;
        list.object(|object| {
            match part.extra.get("type").filter(|_| own) {
                Some(kind) => object.raw("type", kind.as_str()),
                None => object.string("type", "function_call_output"),
            }
            object.string("call_id", &result.call_id);
            refused = write_output(object, result, failed, at, own).err();
            if own {
                part.extra
                    .0
                    .iter()
                    .filter(|(name, _)| name != "type")
                    .for_each(|(name, json)| object.raw(name, json.as_str()));
            }
        });
        refused.map_or(Ok(()), Err)
    }

    fn tools(&mut self, body: &mut Object<'_>) -> Result<(), EncodeError> {
        let request = self.request;
        let own = self.own;
        let mut refused = None;
        if !request.tools.is_empty() {
            body.list("tools", |list| {
                for (index, tool) in request.tools.iter().enumerate() {
                    match &tool.kind {
                        ToolKind::Opaque {
                            format: Format::OpenAiResponses,
                            json,
                            ..
                        } => list.raw(json.as_str()),
                        ToolKind::Opaque { kind, .. } => {
                            let place = format!("tools[{index}].type {kind}");
                            refused.get_or_insert(rules::OPAQUE_TOOL.refuse_at(place));
                        }
                        ToolKind::Function {
                            name,
                            description,
                            parameters,
                            strict,
                            ..
                        } => list.object(|object| {
                            object.string("type", "function");
                            object.string("name", name);
                            object.maybe_string("description", description.as_deref());
                            object.maybe_json("parameters", parameters.as_ref());
                            // Left out it would mean true here, and false where the tool comes from.
                            object.maybe_boolean("strict", strict.or((!own).then_some(false)));
                            if own {
                                object.extra(&tool.extra);
                            }
                        }),
                    }
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
                choice.string("name", name);
            }),
            Some(ToolChoice::Opaque {
                format: Format::OpenAiResponses,
                json,
            }) => body.raw("tool_choice", json.as_str()),
            Some(ToolChoice::Opaque { .. }) => return Err(rules::OPAQUE_CHOICE.refuse()),
        }
        Ok(())
    }

    fn sampling(&mut self, body: &mut Object<'_>) -> Result<(), EncodeError> {
        let sampling = &self.request.sampling;
        let refusals: [(bool, &'static Rule); 3] = [
            (!sampling.stop.is_empty(), &rules::STOPS),
            (sampling.n.is_some_and(|n| n > 1), &rules::CHOICES),
            (sampling.logit_bias.is_some(), &rules::LOGIT_BIAS),
        ];
        if let Some((_, rule)) = refusals.into_iter().find(|(there, _)| *there) {
            return Err(rule.refuse());
        }
        let left_out: [(bool, &'static Rule); 4] = [
            (sampling.frequency_penalty.is_some(), &rules::FREQUENCY),
            (sampling.presence_penalty.is_some(), &rules::PRESENCE),
            (sampling.seed.is_some(), &rules::SEED),
            (sampling.top_k.is_some(), &rules::TOP_K),
        ];
        for (_, rule) in left_out.into_iter().filter(|(there, _)| *there) {
            self.losses.by(rule);
        }
        if sampling.max_tokens.is_some_and(|max| max < LEAST_TOKENS) && !self.own {
            self.losses.by(&rules::FEW_TOKENS);
        }
        let least = if self.own { 0 } else { LEAST_TOKENS };
        body.maybe_count("max_output_tokens", sampling.max_tokens.map(|max| max.max(least)));
        body.maybe_number("temperature", sampling.temperature.as_ref());
        body.maybe_number("top_p", sampling.top_p.as_ref());
        body.maybe_count("top_logprobs", sampling.top_logprobs);
        Ok(())
    }

    /// `reasoning`, and what must come with the answer so that it can be replayed.
    fn reasoning(&mut self, body: &mut Object<'_>) {
        let request = self.request;
        if let Some(native) = request
            .reasoning
            .as_ref()
            .and_then(|reasoning| reasoning.native.as_ref().filter(|_| self.own))
        {
            body.raw("reasoning", native.as_str());
        }
        if self.own {
            return;
        }
        let mut include = Vec::new();
        if let Some(reasoning) = &request.reasoning {
            let effort = effort_nearest(reasoning);
            let readable = reasoning.enabled == Some(true);
            if effort.is_some() || readable {
                include.push("reasoning.encrypted_content");
                body.object("reasoning", |object| {
                    object.maybe_string("effort", effort.map(effort_name));
                    if readable {
                        object.string("summary", "auto");
                    }
                });
            }
            if effort.is_some() && reasoning.effort.is_none() {
                self.losses.by(&rules::BUDGET);
            }
        }
        if request.sampling.logprobs == Some(true) {
            include.push("message.output_text.logprobs");
        }
        if !include.is_empty() {
            body.list("include", |list| {
                include.iter().for_each(|item| list.string(item));
            });
        }
    }

    fn response_format(&mut self, body: &mut Object<'_>) -> Result<(), EncodeError> {
        let request = self.request;
        if let Some(text) = request.extra.get("text").filter(|_| self.own) {
            body.raw("text", text.as_str());
            return Ok(());
        }
        let verbosity = request
            .extra
            .get("verbosity")
            .filter(|_| same_tongue(request.format) && !self.own);
        if matches!(
            &request.response_format,
            Some(ResponseFormat::Opaque { format, .. }) if *format != Format::OpenAiResponses
        ) {
            return Err(rules::OPAQUE_FORMAT.refuse());
        }
        if request.response_format.is_none() && verbosity.is_none() {
            return Ok(());
        }
        body.object("text", |text| {
            if let Some(format) = &request.response_format {
                write_format(text, format, self.own);
            }
            text.maybe_json("verbosity", verbosity);
        });
        Ok(())
    }
}

/// Formats of the same maker: fields of one name mean the same.
fn same_tongue(format: Format) -> bool {
    matches!(format, Format::OpenAiChat | Format::OpenAiCompletions)
}

fn only_text(message: &Message) -> &str {
    match message.parts.first().map(|part| &part.kind) {
        Some(PartKind::Text(text)) => &text.text,
        _ => "",
    }
}

fn flush(
    list: &mut List<'_>,
    message: &Message,
    content: &mut Vec<Part>,
    at: &str,
    own: bool,
) -> Result<(), EncodeError> {
    let content = std::mem::take(content);
    if content.is_empty() {
        return Ok(());
    }
    write_message(list, message, &content, at, own)
}

fn write_message(
    list: &mut List<'_>,
    message: &Message,
    content: &[Part],
    at: &str,
    own: bool,
) -> Result<(), EncodeError> {
    let role = match message.role {
        Role::System => "system",
        Role::Developer => "developer",
        Role::User | Role::Tool => "user",
        Role::Assistant => "assistant",
    };
    let mut refused = None;
    list.object(|object| {
        if !own {
            object.string("type", "message");
        }
        object.string("role", role);
        match (message.shape, content) {
            (
                ContentShape::Text,
                [
                    Part {
                        kind: PartKind::Text(text),
                        ..
                    },
                ],
            ) => object.string("content", &text.text),
            _ => object.list("content", |list| {
                for (index, part) in content.iter().enumerate() {
                    let at = format!("{at}.content[{index}]");
                    let written = parts::write_part(list, part, message.role, &at, own);
                    refused = refused.take().or(written.err());
                }
            }),
        }
        if own {
            object.extra(&message.extra);
        }
    });
    refused.map_or(Ok(()), Err)
}

/// The output of a tool: a string where it is text alone, else a list of parts.
fn write_output(
    object: &mut Object<'_>,
    result: &ToolResult,
    failed: bool,
    at: &str,
    own: bool,
) -> Result<(), EncodeError> {
    let text_alone = result
        .content
        .iter()
        .all(|part| matches!(part.kind, PartKind::Text(_)));
    if text_alone && !(own && result.shape == ContentShape::Parts) {
        let mut all = if failed {
            "Error: ".to_owned()
        } else {
            String::new()
        };
        for part in &result.content {
            if let PartKind::Text(text) = &part.kind {
                all.push_str(&text.text);
            }
        }
        object.string("output", &all);
        return Ok(());
    }
    let mut refused = None;
    object.list("output", |list| {
        if failed {
            list.object(|note| {
                note.string("type", "input_text");
                note.string("text", "Error:");
            });
        }
        for (index, part) in result.content.iter().enumerate() {
            let at = format!("{at}.output[{index}]");
            let written = parts::write_part(list, part, Role::Tool, &at, own);
            refused = refused.take().or(written.err());
        }
    });
    refused.map_or(Ok(()), Err)
}

fn write_format(text: &mut Object<'_>, format: &ResponseFormat, own: bool) {
    if let ResponseFormat::Opaque { json, .. } = format {
        text.raw("format", json.as_str());
        return;
    }
    text.object("format", |object| match format {
        ResponseFormat::Text | ResponseFormat::Opaque { .. } => object.string("type", "text"),
        ResponseFormat::JsonObject => object.string("type", "json_object"),
        ResponseFormat::JsonSchema {
            name,
            description,
            schema,
            strict,
            extra,
        } => {
            object.string("type", "json_schema");
            object.string("name", name.as_deref().unwrap_or("answer"));
            object.maybe_string("description", description.as_deref());
            object.raw("schema", schema.as_str());
            // What comes from a format whose schemas always bind must bind here, too.
            object.maybe_boolean("strict", strict.or((!own).then_some(true)));
            if own {
                object.extra(extra);
            }
        }
    });
}

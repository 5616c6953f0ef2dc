//! Writing messages requests, also those that came in another format.

use std::borrow::Cow;
use std::fmt::Display;

use super::{blocks, rules, thinking};
use crate::form::{
    ChatRequest, ContentShape, Extra, Message, Part, PartKind, Reasoning, ReasoningEffort, ResponseFormat,
    Role, TextPart, ToolChoice, ToolKind, turns,
};
use crate::format::{EncodeError, EncodeTarget, Encoded, Format};
use crate::json::write::{self, List, Object};
use crate::openai::request::effort_name;
use crate::rules::{Losses, Rule, UNKNOWN};
use crate::schema::closed;

/// Where Bedrock's envelope tells the version of the format, and which it is.
const VERSION_FIELD: &str = "anthropic_version";
const BEDROCK_VERSION: &str = "bedrock-2023-05-31";

/// The least budget of thinking that the API takes.
const MIN_BUDGET: u64 = 1_024;

/// Writes a request.
///
/// # Errors
/// When it holds something the format has no counterpart for; the field is named.
pub fn encode(request: &ChatRequest, target: &EncodeTarget<'_>) -> Result<Encoded, EncodeError> {
    write(request, target, false)
}

/// Writes a request in Bedrock's envelope: with a version, without model and `stream`.
///
/// # Errors
/// As [`encode`].
pub fn encode_enveloped(request: &ChatRequest, target: &EncodeTarget<'_>) -> Result<Encoded, EncodeError> {
    write(request, target, true)
}

fn write(request: &ChatRequest, target: &EncodeTarget<'_>, enveloped: bool) -> Result<Encoded, EncodeError> {
    let own = super::is_own(request.format);
    let mut losses = Losses::default();
    let request = if own {
        Cow::Borrowed(request)
    } else {
        let max = request.sampling.max_tokens.unwrap_or(target.default_max_tokens);
        thinking::fitted(request, Some(max), &mut losses)
    };
    let mut writer = Writer {
        request: &request,
        target,
        own,
        enveloped,
        losses,
    };
    let body = write::body(|body| writer.body(body))?;
    Ok(Encoded {
        body: body.into(),
        losses: writer.losses.into_vec(),
    })
}

struct Writer<'a> {
    request: &'a ChatRequest,
    target: &'a EncodeTarget<'a>,
    own: bool,
    /// For Bedrock's InvokeModel.
    enveloped: bool,
    losses: Losses,
}

impl Writer<'_> {
    fn body(&mut self, body: &mut Object<'_>) -> Result<(), EncodeError> {
        let request = self.request;
        if self.enveloped {
            if !self.keeps(VERSION_FIELD) {
                body.string(VERSION_FIELD, BEDROCK_VERSION);
            }
        } else {
            body.string("model", self.target.model);
        }
        if let Some(max) = request
            .sampling
            .max_tokens
            .or((!self.own).then_some(self.target.default_max_tokens))
        {
            body.count("max_tokens", max);
        }
        self.system(body)?;
        let mut refused = None;
        body.list("messages", |list| refused = self.messages(list).err());
        if let Some(error) = refused {
            return Err(error);
        }
        self.sampling(body)?;
        self.tools(body)?;
        self.output(body)?;
        if !self.enveloped && (request.stream.enabled || request.stream.explicit) {
            body.boolean("stream", request.stream.enabled);
        }
        if let Some(user) = request.user.as_ref().filter(|_| !self.keeps("metadata")) {
            body.object("metadata", |metadata| metadata.string("user_id", user));
        }
        crate::openai::request::write_cache_control(body, request.cache_control.as_ref());
        if self.own {
            body.maybe_string("service_tier", request.service_tier.as_deref());
            self.extra(body);
        } else {
            if request.service_tier.is_some() {
                self.losses.by(&rules::SERVICE_TIER);
            }
            for (name, _) in &request.extra.0 {
                self.losses.at(name.to_string(), &UNKNOWN);
            }
        }
        Ok(())
    }

    /// What only this format knows; the envelope stays behind where there is none.
    fn extra(&mut self, body: &mut Object<'_>) {
        let opened = self.request.format == Format::BedrockInvoke && !self.enveloped;
        for (name, json) in &self.request.extra.0 {
            match name.as_ref() {
                VERSION_FIELD if opened => {}
                "anthropic_beta" if opened => self.losses.by(&rules::BETA),
                name => body.raw(name, json.as_str()),
            }
        }
    }

    /// Whether the object `name` is written whole, as it came.
    fn keeps(&self, name: &str) -> bool {
        self.own && self.request.extra.get(name).is_some()
    }

    /// Leading instructions; later ones stay in place as turns of the role `system`.
    fn system(&mut self, body: &mut Object<'_>) -> Result<(), EncodeError> {
        let leading: Vec<&Message> = self.leading().collect();
        let mut refused = None;
        match leading.as_slice() {
            [] => {}
            [
                Message {
                    shape: ContentShape::Text,
                    parts,
                    ..
                },
            ] if parts.len() == 1 && parts[0].cache_control.is_none() => {
                if let PartKind::Text(text) = &parts[0].kind {
                    body.string("system", &text.text);
                }
            }
            all => body.list("system", |list| {
                for part in all.iter().flat_map(|message| &message.parts) {
                    refused = refused
                        .take()
                        .or(blocks::write_block(list, part, &"system", self.own).err());
                }
            }),
        }
        refused.map_or(Ok(()), Err)
    }

    fn leading(&self) -> impl Iterator<Item = &Message> {
        let own = self.own;
        self.request.messages.iter().take_while(move |message| {
            message.role == Role::System || (!own && message.role == Role::Developer)
        })
    }

    fn messages(&mut self, list: &mut List<'_>) -> Result<(), EncodeError> {
        let skip = self.leading().count();
        if self.own {
            for (index, message) in self.request.messages.iter().enumerate().skip(skip) {
                write_turn(
                    list,
                    role_name(message.role),
                    message,
                    &format!("messages[{index}]"),
                    true,
                )?;
            }
            return Ok(());
        }
        let mut turns: Vec<Message> = Vec::new();
        for message in &self.request.messages[skip..] {
            self.add_turn(&mut turns, message);
        }
        if let Some(last) = turns.last_mut().filter(|last| last.role == Role::Assistant) {
            trim_end(last);
        }
        for (index, turn) in turns
            .iter()
            .enumerate()
            .filter(|(_, turn)| !turn.parts.is_empty())
        {
            write_turn(
                list,
                role_name(turn.role),
                turn,
                &format!("messages[{index}]"),
                false,
            )?;
        }
        Ok(())
    }

    /// Adds a message to the turns: neighbours of one role are one turn, tool results go first in theirs.
    fn add_turn(&mut self, turns: &mut Vec<Message>, message: &Message) {
        let role = match message.role {
            Role::Tool | Role::User => Role::User,
            Role::Assistant => Role::Assistant,
            Role::System | Role::Developer => {
                self.losses.by(&rules::INSTRUCTIONS_LATER);
                Role::User
            }
        };
        if message.name.is_some() {
            self.losses.by(&rules::NAMES);
        }
        for part in &message.parts {
            if let PartKind::ToolCall(call) = &part.kind
                && !call.has_object()
            {
                self.losses.by(&rules::ARGUMENTS);
            }
        }
        // Unsigned reasoning cannot be replayed: the API demands its own signature.
        let unsigned = |part: &&Part| match &part.kind {
            PartKind::Thinking(thinking) => thinking.signature.is_none(),
            _ => false,
        };
        if message.parts.iter().any(|part| unsigned(&part)) {
            self.losses.by(&rules::UNSIGNED);
        }
        let empty =
            |part: &&Part| matches!(&part.kind, PartKind::Text(TextPart { text, .. }) if text.is_empty());
        let mut parts = message.parts.clone();
        parts.retain(|part| !unsigned(&part) && !empty(&part));
        if role == Role::Assistant && !self.own {
            parts = turns::gather_texts(parts);
        }
        match turns.last_mut() {
            Some(last) if last.role == role => {
                let results = |part: &Part| matches!(part.kind, PartKind::ToolResult(_));
                if parts.iter().any(results) {
                    let at = last.parts.iter().rposition(results).map_or(0, |at| at + 1);
                    last.parts.splice(at..at, parts);
                } else {
                    last.parts.extend(parts);
                }
            }
            _ => turns.push(Message {
                role,
                parts,
                shape: ContentShape::Parts,
                name: None,
                extra: Extra::default(),
            }),
        }
    }

    fn sampling(&mut self, body: &mut Object<'_>) -> Result<(), EncodeError> {
        let sampling = &self.request.sampling;
        if !self.own {
            let refusals: [(bool, &'static Rule); 3] = [
                (sampling.n.is_some_and(|n| n > 1), &rules::CHOICES),
                (sampling.logprobs == Some(true), &rules::LOGPROBS),
                (sampling.logit_bias.is_some(), &rules::LOGIT_BIAS),
            ];
            if let Some((_, rule)) = refusals.into_iter().find(|(there, _)| *there) {
                return Err(rule.refuse());
            }
            let left_out: [(bool, &'static Rule); 3] = [
                (sampling.frequency_penalty.is_some(), &rules::FREQUENCY),
                (sampling.presence_penalty.is_some(), &rules::PRESENCE),
                (sampling.seed.is_some(), &rules::SEED),
            ];
            for (_, rule) in left_out.into_iter().filter(|(there, _)| *there) {
                self.losses.by(rule);
            }
        }
        let sampling = &self.request.sampling;
        match sampling.temperature.as_ref().and_then(serde_json::Number::as_f64) {
            Some(temperature) if temperature > 1.0 && !self.own => {
                body.raw("temperature", "1");
                self.losses.by(&rules::TEMPERATURE);
            }
            _ => body.maybe_number("temperature", sampling.temperature.as_ref()),
        }
        let both = !self.own && sampling.temperature.is_some() && sampling.top_p.is_some();
        if both {
            self.losses.by(&rules::TOP_P);
        }
        body.maybe_number("top_p", sampling.top_p.as_ref().filter(|_| !both));
        body.maybe_count("top_k", sampling.top_k);
        let blank = |stop: &str| !self.own && stop.trim().is_empty();
        let stops: Vec<&str> = sampling
            .stop
            .iter()
            .map(AsRef::as_ref)
            .filter(|stop: &&str| !blank(stop))
            .collect();
        if !stops.is_empty() {
            body.list("stop_sequences", |list| {
                stops.iter().for_each(|stop| list.string(stop));
            });
        }
        if stops.len() < sampling.stop.len() {
            self.losses.by(&rules::BLANK_STOPS);
        }
        Ok(())
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
                            format: Format::AnthropicMessages,
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
                            extra,
                        } => list.object(|object| {
                            object.string("name", name);
                            object.maybe_string("description", description.as_deref());
                            let none = r#"{"type":"object","properties":{}}"#;
                            object.raw(
                                "input_schema",
                                parameters.as_ref().map_or(none, |schema| schema.as_str()),
                            );
                            // Models without strict tools refuse the field, whatever it says.
                            object.maybe_boolean("strict", strict.filter(|strict| own || *strict));
                            crate::openai::request::write_cache_control(object, tool.cache_control.as_ref());
                            if own {
                                object.extra(extra);
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
        self.tool_choice(body)
    }

    fn tool_choice(&mut self, body: &mut Object<'_>) -> Result<(), EncodeError> {
        let parallel = self.request.parallel_tool_calls;
        let choice = match (&self.request.tool_choice, parallel) {
            (None, Some(false)) if !self.request.tools.is_empty() => &ToolChoice::Auto,
            (None, _) => return Ok(()),
            (Some(choice), _) => choice,
        };
        let kind = match choice {
            ToolChoice::Auto => "auto",
            ToolChoice::None => "none",
            ToolChoice::Required => "any",
            ToolChoice::Function(_) => "tool",
            ToolChoice::Opaque {
                format: Format::AnthropicMessages,
                json,
            } => {
                body.raw("tool_choice", json.as_str());
                return Ok(());
            }
            ToolChoice::Opaque { .. } => {
                return Err(rules::OPAQUE_CHOICE.refuse());
            }
        };
        body.object("tool_choice", |object| {
            object.string("type", kind);
            if let ToolChoice::Function(name) = choice {
                object.string("name", name);
            }
            if let Some(parallel) = parallel.filter(|_| !matches!(choice, ToolChoice::None)) {
                object.boolean("disable_parallel_tool_use", !parallel);
            }
        });
        Ok(())
    }

    /// `thinking` and `output_config`.
    fn output(&mut self, body: &mut Object<'_>) -> Result<(), EncodeError> {
        let request = self.request;
        let mut effort = None;
        if let Some(reasoning) = &request.reasoning {
            effort = reasoning.effort.filter(|_| self.own);
            self.thinking(body, reasoning);
        }
        let schema = match &request.response_format {
            None | Some(ResponseFormat::Text) => None,
            Some(ResponseFormat::JsonSchema { schema, extra, .. }) => Some((schema, extra)),
            Some(ResponseFormat::JsonObject) => {
                return Err(rules::JSON_OBJECT.refuse());
            }
            Some(ResponseFormat::Opaque {
                format: Format::AnthropicMessages,
                json,
            }) => {
                body.object("output_config", |config| config.raw("format", json.as_str()));
                return Ok(());
            }
            Some(ResponseFormat::Opaque { .. }) => {
                return Err(rules::OPAQUE_FORMAT.refuse());
            }
        };
        if (effort.is_none() && schema.is_none()) || self.keeps("output_config") {
            return Ok(());
        }
        body.object("output_config", |config| {
            if let Some(effort) = effort {
                config.string("effort", effort_name(effort));
            }
            if let Some((schema, extra)) = schema {
                config.object("format", |format| {
                    format.string("type", "json_schema");
                    let schema = if self.own {
                        Cow::Borrowed(schema)
                    } else {
                        closed(schema)
                    };
                    if matches!(schema, Cow::Owned(_)) {
                        self.losses.by(&rules::CLOSED);
                    }
                    format.raw("schema", schema.as_str());
                    if self.own {
                        format.extra(extra);
                    }
                });
            }
        });
        Ok(())
    }

    fn thinking(&mut self, body: &mut Object<'_>, reasoning: &Reasoning) {
        if let Some(native) = reasoning.native.as_ref().filter(|_| self.own) {
            body.raw("thinking", native.as_str());
            return;
        }
        if self.own {
            return;
        }
        let max = self
            .request
            .sampling
            .max_tokens
            .unwrap_or(self.target.default_max_tokens);
        match thinking_budget(reasoning, Some(max)) {
            Some(Some(budget)) => {
                body.object("thinking", |thinking| {
                    thinking.string("type", "enabled");
                    thinking.count("budget_tokens", budget);
                });
                self.losses.by(&rules::EFFORT);
            }
            Some(None) => self.losses.by(&rules::NO_ROOM),
            None => {}
        }
    }
}

/// The budget of thinking that was asked for, as an answer of at most `max` tokens can have it: none of it when
/// there is no room for thinking at all.
#[must_use]
pub fn thinking_budget(reasoning: &Reasoning, max: Option<u64>) -> Option<Option<u64>> {
    let most = max.map_or(u64::MAX, |max| max.saturating_sub(1));
    let budget = match (reasoning.budget_tokens, reasoning.effort) {
        (Some(budget), _) => budget,
        // Who names a level alone has not measured it: the answer must have room beside it.
        (None, Some(effort)) => budget_of(effort)?.min(max.map_or(u64::MAX, |max| max / 2)),
        (None, None) => return None,
    };
    Some((most >= MIN_BUDGET).then(|| budget.clamp(MIN_BUDGET, most)))
}

/// About as many tokens as the level spends at OpenAI.
fn budget_of(effort: ReasoningEffort) -> Option<u64> {
    Some(match effort {
        ReasoningEffort::None | ReasoningEffort::Minimal => return None,
        ReasoningEffort::Low => 2_048,
        ReasoningEffort::Medium => 8_192,
        ReasoningEffort::High => 24_576,
        ReasoningEffort::XHigh | ReasoningEffort::Max => 32_768,
    })
}

fn role_name(role: Role) -> &'static str {
    match role {
        Role::Assistant => "assistant",
        Role::System | Role::Developer => "system",
        Role::User | Role::Tool => "user",
    }
}

/// The API refuses an answer to be continued that ends in white space.
fn trim_end(message: &mut Message) {
    if let Some(Part {
        kind: PartKind::Text(text),
        ..
    }) = message.parts.last_mut()
    {
        text.text = text.text.slice_ref(text.text.trim_end());
    }
}

fn write_turn(
    list: &mut List<'_>,
    role: &str,
    message: &Message,
    at: &dyn Display,
    own: bool,
) -> Result<(), EncodeError> {
    let mut refused = None;
    list.object(|object| {
        object.string("role", role);
        match (message.shape, message.parts.as_slice()) {
            (
                ContentShape::Text,
                [
                    Part {
                        kind: PartKind::Text(text),
                        cache_control: None,
                        ..
                    },
                ],
            ) => {
                object.string("content", &text.text);
            }
            (_, parts) => object.list("content", |list| {
                for (index, part) in parts.iter().enumerate() {
                    let at = format_args!("{at}.content[{index}]");
                    refused = refused.take().or(blocks::write_block(list, part, &at, own).err());
                }
            }),
        }
        if own {
            object.extra(&message.extra);
        }
    });
    refused.map_or(Ok(()), Err)
}

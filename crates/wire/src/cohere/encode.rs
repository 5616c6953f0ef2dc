//! Writing chat requests, also those that came in another format.

use super::{messages, rules};
use crate::form::{
    ChatRequest, Message, Reasoning, ReasoningEffort, ResponseFormat, Role, Tool, ToolChoice, ToolKind, turns,
};
use crate::format::{EncodeError, EncodeTarget, Encoded, Format};
use crate::json::write::{self, List, Object};
use crate::rules::{Losses, Rule, UNKNOWN};

/// Most stop sequences.
const MAX_STOPS: usize = 5;
/// As many tokens Cohere recommends to leave for the answer.
const ANSWER: u64 = 1_000;
/// The largest `k`.
const MAX_TOP_K: u64 = 500;

/// Writes a request.
///
/// # Errors
/// When it holds something the format has no counterpart for; the field is named.
pub fn encode(request: &ChatRequest, target: &EncodeTarget<'_>) -> Result<Encoded, EncodeError> {
    let mut writer = Writer {
        request,
        target,
        own: request.format == Format::CohereChat,
        losses: Losses::default(),
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
    losses: Losses,
}

impl Writer<'_> {
    fn body(&mut self, body: &mut Object<'_>) -> Result<(), EncodeError> {
        let request = self.request;
        body.string("model", self.target.model);
        if self.own {
            messages::write_own(body, &request.messages)?;
        } else {
            self.foreign_messages(body)?;
        }
        self.tools(body)?;
        self.sampling(body)?;
        self.penalties(body);
        self.reasoning(body);
        self.response_format(body)?;
        if request.stream.enabled || request.stream.explicit {
            body.boolean("stream", request.stream.enabled);
        }
        if self.own {
            body.extra(&request.extra);
        } else {
            self.unsaid();
        }
        Ok(())
    }

    fn foreign_messages(&mut self, body: &mut Object<'_>) -> Result<(), EncodeError> {
        let joins = |role| (role == Role::Assistant).then_some(Role::Assistant);
        let joined: Vec<Message> =
            turns::join(self.request.messages.iter().cloned(), joins, &mut self.losses);
        let mut cited = Vec::new();
        let mut refused = None;
        body.list("messages", |list| {
            refused = messages::write_foreign(list, &joined, &mut cited, &mut self.losses).err();
        });
        if !cited.is_empty() {
            body.list("documents", |list| {
                cited.iter().for_each(|document| list.raw(document.as_str()));
            });
        }
        refused.map_or(Ok(()), Err)
    }

    /// What other formats say and this one does not.
    fn unsaid(&mut self) {
        let request = self.request;
        let left_out: [(bool, &'static Rule); 4] = [
            (request.marks_cache(), &rules::CACHE_CONTROL),
            (request.user.is_some(), &rules::USER),
            (request.service_tier.is_some(), &rules::SERVICE_TIER),
            (request.parallel_tool_calls == Some(false), &rules::PARALLEL),
        ];
        for (_, rule) in left_out.into_iter().filter(|(there, _)| *there) {
            self.losses.by(rule);
        }
        for (name, _) in &request.extra.0 {
            self.losses.at(name.to_string(), &UNKNOWN);
        }
    }

    fn tools(&mut self, body: &mut Object<'_>) -> Result<(), EncodeError> {
        let request = self.request;
        let mut refused = None;
        if !request.tools.is_empty() {
            body.list("tools", |list| {
                for (index, tool) in request.tools.iter().enumerate() {
                    if self.is_offered(tool) {
                        refused = refused.take().or(self.tool(list, tool, index).err());
                    }
                }
            });
        }
        if let Some(error) = refused {
            return Err(error);
        }
        self.strictness(body);
        self.tool_choice(body)
    }

    fn tool(&self, list: &mut List<'_>, tool: &Tool, index: usize) -> Result<(), EncodeError> {
        let own = self.own;
        match &tool.kind {
            ToolKind::Opaque {
                format: Format::CohereChat,
                json,
                ..
            } => list.raw(json.as_str()),
            ToolKind::Opaque { kind, .. } => {
                return Err(rules::OPAQUE_TOOL.refuse_at(format!("tools[{index}].type {kind}")));
            }
            ToolKind::Function {
                name,
                description,
                parameters,
                extra,
                ..
            } => list.object(|object| {
                object.string("type", "function");
                object.object("function", |function| {
                    function.string("name", name);
                    function.maybe_string("description", description.as_deref());
                    match parameters {
                        Some(schema) => function.raw("parameters", schema.as_str()),
                        None if own => {}
                        None => function.raw("parameters", r#"{"type":"object","properties":{}}"#),
                    }
                    if own {
                        function.extra(extra);
                    }
                });
                if own {
                    object.extra(&tool.extra);
                }
            }),
        }
        Ok(())
    }

    /// Whether a tool is offered: to call one by its name is to be offered no other, and to have to call.
    fn is_offered(&self, tool: &Tool) -> bool {
        match (&self.request.tool_choice, &tool.kind) {
            (Some(ToolChoice::Function(only)), ToolKind::Function { name, .. }) => only == name,
            _ => true,
        }
    }

    /// `strict_tools`, which binds all tools to their schemas or none.
    fn strictness(&mut self, body: &mut Object<'_>) {
        let said = |tool: &Tool| match &tool.kind {
            ToolKind::Function { strict, .. } => Some(*strict),
            ToolKind::Opaque { .. } => None,
        };
        let offered = self.request.tools.iter().filter(|tool| self.is_offered(tool));
        let mut all = offered.filter_map(said);
        if self.own {
            body.maybe_boolean("strict_tools", all.find_map(|strict| strict));
            return;
        }
        let strict = all.clone().any(|strict| strict == Some(true));
        if strict {
            body.boolean("strict_tools", true);
            if all.any(|strict| strict != Some(true)) {
                self.losses.by(&rules::STRICT);
            }
        }
    }

    fn tool_choice(&mut self, body: &mut Object<'_>) -> Result<(), EncodeError> {
        match &self.request.tool_choice {
            // Left out, it means as the model likes.
            None | Some(ToolChoice::Auto) => {}
            Some(ToolChoice::None) => body.string("tool_choice", "NONE"),
            Some(ToolChoice::Required) => body.string("tool_choice", "REQUIRED"),
            Some(ToolChoice::Function(_)) => {
                body.string("tool_choice", "REQUIRED");
                if self.request.tools.len() > 1 {
                    self.losses.by(&rules::NAMED_TOOL);
                }
            }
            Some(ToolChoice::Opaque { .. }) => return Err(rules::OPAQUE_CHOICE.refuse()),
        }
        Ok(())
    }

    fn sampling(&mut self, body: &mut Object<'_>) -> Result<(), EncodeError> {
        let sampling = &self.request.sampling;
        if !self.own {
            let refusals: [(bool, &'static Rule); 3] = [
                (sampling.n.is_some_and(|n| n > 1), &rules::CHOICES),
                (sampling.logit_bias.is_some(), &rules::LOGIT_BIAS),
                (sampling.stop.len() > MAX_STOPS, &rules::STOPS),
            ];
            if let Some((_, rule)) = refusals.into_iter().find(|(there, _)| *there) {
                return Err(rule.refuse());
            }
            if sampling.top_logprobs.is_some_and(|top| top > 0) {
                self.losses.by(&rules::TOP_LOGPROBS);
            }
        }
        body.maybe_count("max_tokens", sampling.max_tokens);
        body.maybe_number("temperature", sampling.temperature.as_ref());
        match sampling.top_k {
            Some(k) if k > MAX_TOP_K && !self.own => {
                body.count("k", MAX_TOP_K);
                self.losses.by(&rules::TOP_K);
            }
            k => body.maybe_count("k", k),
        }
        match sampling.seed {
            Some(seed) if seed < 0 && !self.own => {
                body.count("seed", seed.unsigned_abs());
                self.losses.by(&rules::SEED);
            }
            Some(seed) => body.raw("seed", itoa::Buffer::new().format(seed)),
            None => {}
        }
        if !sampling.stop.is_empty() {
            body.list("stop_sequences", |list| {
                sampling.stop.iter().for_each(|stop| list.string(stop));
            });
        }
        body.maybe_boolean("logprobs", sampling.logprobs);
        Ok(())
    }

    /// Numbers that Cohere takes within narrower bounds.
    fn penalties(&mut self, body: &mut Object<'_>) {
        let sampling = &self.request.sampling;
        let bounded: [(&str, Option<&serde_json::Number>, f64, f64, &'static Rule); 3] = [
            ("p", sampling.top_p.as_ref(), 0.01, 0.99, &rules::TOP_P),
            (
                "frequency_penalty",
                sampling.frequency_penalty.as_ref(),
                0.0,
                1.0,
                &rules::FREQUENCY,
            ),
            (
                "presence_penalty",
                sampling.presence_penalty.as_ref(),
                0.0,
                1.0,
                &rules::PRESENCE,
            ),
        ];
        for (name, number, least, most, rule) in bounded {
            let told = number.and_then(serde_json::Number::as_f64);
            match told.map(|told| told.clamp(least, most)) {
                Some(nearest) if !self.own && told != Some(nearest) => {
                    body.raw(name, &nearest.to_string());
                    self.losses.by(rule);
                }
                _ => body.maybe_number(name, number),
            }
        }
    }

    fn reasoning(&mut self, body: &mut Object<'_>) {
        let Some(reasoning) = &self.request.reasoning else {
            return;
        };
        if let Some(native) = reasoning.native.as_ref().filter(|_| self.own) {
            body.raw("thinking", native.as_str());
            return;
        }
        let (enabled, mut budget) = asked(reasoning);
        let Some(enabled) = enabled else { return };
        if reasoning.budget_tokens.is_none() && budget.is_some() {
            self.losses.by(&rules::EFFORT);
        }
        // Thinking counts as output: a budget that takes all of it leaves no answer.
        let max = self.request.sampling.max_tokens;
        let room = max.map(|max| max.saturating_sub(ANSWER).max(max / 2).max(1));
        if let (Some(asked), Some(room)) = (budget, room)
            && asked > room
        {
            budget = Some(room);
            self.losses.by(&rules::BUDGET);
        }
        body.object("thinking", |thinking| {
            thinking.string("type", if enabled { "enabled" } else { "disabled" });
            thinking.maybe_count("token_budget", budget.filter(|_| enabled));
        });
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
                description,
                schema,
                extra,
                ..
            }) => {
                if description.is_some() {
                    self.losses.by(&rules::SCHEMA_NOTE);
                }
                body.object("response_format", |format| {
                    format.string("type", "json_object");
                    if !(self.own && extra.get(super::request::OLD_SCHEMA).is_some()) {
                        format.raw("json_schema", schema.as_str());
                    }
                    if self.own {
                        format.extra(extra);
                    }
                });
            }
            Some(ResponseFormat::Opaque {
                format: Format::CohereChat,
                json,
            }) => body.raw("response_format", json.as_str()),
            Some(ResponseFormat::Opaque { .. }) => return Err(rules::OPAQUE_FORMAT.refuse()),
        }
        Ok(())
    }
}

/// Whether to think, and how much at most.
fn asked(reasoning: &Reasoning) -> (Option<bool>, Option<u64>) {
    let by_effort = match reasoning.effort {
        None => None,
        Some(ReasoningEffort::None) => return (Some(false), None),
        Some(ReasoningEffort::Minimal | ReasoningEffort::Low) => Some(2_048),
        Some(ReasoningEffort::Medium) => Some(8_192),
        // Without a budget it thinks as much as it finds right.
        Some(ReasoningEffort::High | ReasoningEffort::XHigh | ReasoningEffort::Max) => None,
    };
    let budget = reasoning.budget_tokens.or(by_effort);
    let wanted = reasoning.effort.is_some() || budget.is_some();
    (reasoning.enabled.or(wanted.then_some(true)), budget)
}

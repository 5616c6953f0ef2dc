//! Writing requests for responses, also those that came in another format.

use super::{rules, tongue};
use crate::form::{ChatRequest, ResponseFormat, Tool, ToolChoice, ToolKind};
use crate::format::{EncodeError, EncodeTarget, Encoded, Format};
use crate::json::write::{self, List, Object};
use crate::openai::request::{effort_name, effort_nearest};
use crate::rules::{Losses, Rule, UNKNOWN};
use crate::schema::{UNBOUND, can_bind, loses_bond};

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
        if !(self.own && self.target.model.is_empty()) {
            body.string("model", self.target.model);
        }
        super::input::write(body, request, &mut self.losses)?;
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
        if request.marks_cache() {
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
                choice.string("name", name);
            }),
            Some(ToolChoice::Opaque {
                format: Format::OpenAiResponses,
                json,
            }) => body.raw("tool_choice", json.as_str()),
            Some(ToolChoice::Opaque { format, json }) => {
                let said = (*format == Format::OpenAiChat).then(|| tongue::choice_of_chat(json));
                let choice = said.flatten().ok_or_else(|| rules::OPAQUE_CHOICE.refuse())?;
                body.raw("tool_choice", choice.as_str());
            }
        }
        Ok(())
    }

    fn tool(&self, list: &mut List<'_>, tool: &Tool, index: usize) -> Result<(), EncodeError> {
        let own = self.own;
        match &tool.kind {
            ToolKind::Opaque {
                format: Format::OpenAiResponses,
                json,
                ..
            } => list.raw(json.as_str()),
            ToolKind::Opaque { format, kind, json } => {
                let place = || format!("tools[{index}].type {kind}");
                let said = (*format == Format::OpenAiChat).then(|| tongue::tool_of_chat(json));
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
                object.string("name", name);
                object.maybe_string("description", description.as_deref());
                object.maybe_json("parameters", parameters.as_ref());
                // Left out it would mean true here, and false where the tool comes from. Others bind to schemas that
                // OpenAI would refuse to bind to.
                let same = own || same_tongue(self.request.format);
                let strict =
                    strict.map(|strict| strict && (same || parameters.as_ref().is_none_or(can_bind)));
                object.maybe_boolean("strict", strict.or((!own).then_some(false)));
                if own {
                    object.extra(extra);
                    object.extra(&tool.extra);
                }
            }),
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
        let native = request
            .reasoning
            .as_ref()
            .and_then(|reasoning| reasoning.native.as_ref());
        if let Some(native) = native.filter(|_| self.own) {
            body.raw("reasoning", native.as_str());
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
        // Of its own requests it is the client who says what shall come.
        if !include.is_empty() && !self.own {
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
            // What comes from a format whose schemas always bind must bind here, too, where it can.
            object.maybe_boolean("strict", strict.or_else(|| (!own).then(|| can_bind(schema))));
            if own {
                object.extra(extra);
            }
        }
    });
}

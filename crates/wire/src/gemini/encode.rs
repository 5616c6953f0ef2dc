//! Writing `generateContent` requests, also those that came in another format.

use super::generation::{self, Told};
use super::request::CONFIG;
use super::write::Contents;
use super::{rules, tools};
use crate::form::{ChatRequest, Message, Reasoning, ResponseFormat, Role, turns};
use crate::format::{EncodeError, EncodeTarget, Encoded, Format};
use crate::json::object::fields_of;
use crate::json::write::{self, Object, object_into};
use crate::rules::{Losses, UNKNOWN};

/// Most stop sequences.
const MAX_STOPS: usize = 5;
/// Most answers at a time.
const MAX_CHOICES: u64 = 8;

/// Writes a request.
///
/// # Errors
/// When it holds something the format has no counterpart for; the field is named.
pub fn encode(request: &ChatRequest, target: &EncodeTarget<'_>) -> Result<Encoded, EncodeError> {
    let mut writer = Writer {
        request,
        target,
        own: request.format == Format::GeminiGenerate,
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
        self.messages(body)?;
        if self.own {
            if !request.tools.is_empty() {
                tools::write_own(body, &request.tools)?;
            } else if request.extra.has_note("tools") {
                body.list("tools", |_| {});
            }
        } else {
            tools::write(body, &request.tools, &mut self.losses)?;
        }
        if let Some(choice) = &request.tool_choice
            && !self.keeps("toolConfig")
        {
            tools::write_choice(body, choice)?;
        }
        self.config(body)?;
        self.rest(body);
        Ok(())
    }

    /// Whether the object `name` is written whole, as it came.
    fn keeps(&self, name: &str) -> bool {
        self.own && self.request.extra.get(name).is_some()
    }

    fn rest(&mut self, body: &mut Object<'_>) {
        let request = self.request;
        if self.own {
            body.maybe_string("serviceTier", request.service_tier.as_deref());
            for (name, json) in request.extra.fields() {
                if !name.starts_with(CONFIG) {
                    body.raw(name, json.as_str());
                }
            }
            return;
        }
        let told = [
            (request.parallel_tool_calls == Some(false), &rules::PARALLEL),
            (request.user.is_some(), &rules::USER),
            (request.cache_control.is_some(), &rules::CACHE_CONTROL),
            (request.service_tier.is_some(), &rules::SERVICE_TIER),
        ];
        for (_, rule) in told.into_iter().filter(|(there, _)| *there) {
            self.losses.by(rule);
        }
        for (name, _) in request.extra.fields() {
            self.losses.at(name.to_string(), &UNKNOWN);
        }
    }

    fn messages(&mut self, body: &mut Object<'_>) -> Result<(), EncodeError> {
        let messages = self.request.messages.as_slice();
        let is_instruction = |message: &&Message| matches!(message.role, Role::System | Role::Developer);
        let mut leading = messages.iter().take_while(is_instruction).count();
        if leading == messages.len() && leading > 0 && !self.own {
            self.losses.by(&rules::ONLY_INSTRUCTIONS);
            leading = 0;
        }
        let (system, said) = messages.split_at(leading);
        let joined;
        let (system, said) = if self.own {
            (system.to_vec(), said)
        } else {
            if said.iter().any(|message| is_instruction(&message)) && leading > 0 {
                self.losses.by(&rules::INSTRUCTIONS_LATER);
            }
            joined = turns::join(said.iter().cloned(), role_of, &mut self.losses);
            (
                turns::join(system.iter().cloned(), |_| Some(Role::System), &mut self.losses),
                joined.as_slice(),
            )
        };
        if messages.iter().any(|message| message.name.is_some()) {
            self.losses.by(&rules::NAMES);
        }
        let generation = generation::of(self.target.model);
        let mut contents = Contents::for_provider(self.own, generation, &mut self.losses);
        contents.system(body, &system)?;
        let mut refused = None;
        body.list("contents", |list| {
            for (index, message) in said.iter().enumerate() {
                let at = format_args!("messages[{}]", index + leading);
                refused = refused.take().or(contents.turn(list, message, &at).err());
            }
        });
        refused.map_or(Ok(()), Err)
    }

    fn config(&mut self, body: &mut Object<'_>) -> Result<(), EncodeError> {
        let mut refused = None;
        let mut config = Vec::new();
        object_into(&mut config, |config| {
            refused = self
                .sampling(config)
                .and_then(|()| self.response_format(config))
                .err();
            self.reasoning(config);
            if self.own {
                for (name, json) in self.request.extra.fields() {
                    if let Some(name) = name.strip_prefix(CONFIG) {
                        config.raw(name, json.as_str());
                    }
                }
            }
        });
        if let Some(error) = refused {
            return Err(error);
        }
        let empty = config == b"{}";
        if !empty || (self.own && self.request.extra.has_note("generationConfig")) {
            body.raw("generationConfig", &String::from_utf8_lossy(&config));
        }
        Ok(())
    }

    fn sampling(&mut self, config: &mut Object<'_>) -> Result<(), EncodeError> {
        let sampling = &self.request.sampling;
        if !self.own {
            let refusals = [
                (sampling.stop.len() > MAX_STOPS, &rules::STOPS),
                (sampling.n.is_some_and(|n| n > MAX_CHOICES), &rules::CHOICES),
                (sampling.logit_bias.is_some(), &rules::LOGIT_BIAS),
            ];
            if let Some((_, rule)) = refusals.into_iter().find(|(there, _)| *there) {
                return Err(rule.refuse());
            }
        }
        config.maybe_number("temperature", sampling.temperature.as_ref());
        config.maybe_number("topP", sampling.top_p.as_ref());
        config.maybe_count("topK", sampling.top_k);
        config.maybe_count("candidateCount", sampling.n);
        config.maybe_count("maxOutputTokens", sampling.max_tokens);
        if !sampling.stop.is_empty() {
            config.list("stopSequences", |list| {
                sampling.stop.iter().for_each(|stop| list.string(stop));
            });
        }
        config.maybe_number("presencePenalty", sampling.presence_penalty.as_ref());
        config.maybe_number("frequencyPenalty", sampling.frequency_penalty.as_ref());
        if let Some(seed) = sampling.seed {
            let lower = i32::from_le_bytes([0, 1, 2, 3].map(|at| seed.to_le_bytes()[at]));
            if !self.own && i64::from(lower) != seed {
                self.losses.by(&rules::SEED);
                config.raw("seed", &lower.to_string());
            } else {
                config.raw("seed", &seed.to_string());
            }
        }
        config.maybe_boolean("responseLogprobs", sampling.logprobs);
        config.maybe_count("logprobs", sampling.top_logprobs);
        Ok(())
    }

    fn response_format(&mut self, config: &mut Object<'_>) -> Result<(), EncodeError> {
        let Some(format) = &self.request.response_format else {
            return Ok(());
        };
        let structured = !matches!(format, ResponseFormat::Text | ResponseFormat::Opaque { .. });
        let older = generation::of(self.target.model).is_some_and(|(major, _)| major < 3);
        if structured && older && !self.own && !self.request.tools.is_empty() {
            return Err(rules::FORMAT_AND_TOOLS.refuse());
        }
        match format {
            ResponseFormat::Text => config.string("responseMimeType", "text/plain"),
            ResponseFormat::JsonObject => config.string("responseMimeType", "application/json"),
            ResponseFormat::JsonSchema {
                description,
                schema,
                extra,
                ..
            } => {
                if !(self.own && extra.has_note("responseMimeType")) {
                    config.string("responseMimeType", "application/json");
                }
                if self.own && extra.get("responseSchema").is_some() {
                    config.extra(extra);
                } else {
                    config.raw("responseJsonSchema", schema.as_str());
                }
                if description.is_some() {
                    self.losses.by(&rules::SCHEMA_DESCRIPTION);
                }
            }
            ResponseFormat::Opaque {
                format: Format::GeminiGenerate,
                json,
            } => {
                for (name, json) in fields_of(json) {
                    config.raw(&name, json.as_str());
                }
            }
            ResponseFormat::Opaque { .. } => return Err(rules::OPAQUE_FORMAT.refuse()),
        }
        Ok(())
    }

    fn reasoning(&mut self, config: &mut Object<'_>) {
        let Some(reasoning) = &self.request.reasoning else {
            return;
        };
        if let Some(native) = reasoning.native.as_ref().filter(|_| self.own) {
            config.raw("thinkingConfig", native.as_str());
            return;
        }
        let (told, rule) = generation::think(self.target.model, reasoning);
        if let Some(rule) = rule {
            self.losses.by(rule);
        }
        write_thinking(config, reasoning, &told);
    }
}

fn role_of(role: Role) -> Option<Role> {
    Some(match role {
        Role::Assistant => Role::Assistant,
        Role::User | Role::Tool | Role::System | Role::Developer => Role::User,
    })
}

/// Thoughts are shown to clients that asked for thinking: their formats have a place for them.
fn write_thinking(config: &mut Object<'_>, reasoning: &Reasoning, told: &Told) {
    let shown = match told {
        Told::Budget(0) => false,
        Told::Nothing => reasoning.enabled == Some(true),
        Told::Budget(_) | Told::Level(_) => true,
    };
    if *told == Told::Nothing && !shown {
        return;
    }
    config.object("thinkingConfig", |thinking| {
        match told {
            Told::Level(level) => thinking.string("thinkingLevel", level),
            Told::Budget(budget) => thinking.count("thinkingBudget", *budget),
            Told::Nothing => {}
        }
        if shown {
            thinking.boolean("includeThoughts", true);
        }
    });
}

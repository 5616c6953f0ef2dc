//! Answers of a given structure from models that have no way of their own to give them: asked for with a tool or in
//! words, checked here, and mended once (`send/structured.rs`). Where the provider has a way, nothing here is done.

mod bounds;
mod check;
mod read;
mod words;

use pointsman_catalog::Feature;
use pointsman_config::StructuredOutput;
use pointsman_wire::form::{ChatRequest, ChatResponse, Failure, FailureKind, ResponseFormat, Text};
use pointsman_wire::format::Format;
use pointsman_wire::json::Json;

use crate::snapshot::{Speech, Target, are_kin};

pub use check::{Checker, Flaw};

/// A structure that is asked for by other means than the provider's own.
pub struct Wanted {
    means: Means,
    schema: Option<Schema>,
    checker: Checker,
}

/// How it is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Means {
    /// By a tool that must be called.
    Tool,
    /// In the instructions.
    Words,
}

/// The schema, as the client told of it.
struct Schema {
    /// A name that every provider takes for a tool.
    name: Text,
    description: Option<Text>,
    json: Json,
}

impl Wanted {
    /// What must be done to have the answer of `request` from `target`; none when the target has its own way, or no
    /// structure is asked for. `thinks` tells that the model is made to think.
    ///
    /// # Errors
    /// 400 when the schema cannot be checked.
    pub fn find(
        request: &ChatRequest,
        (target, speech): (&Target, &Speech),
        thinks: bool,
    ) -> Result<Option<Self>, Failure> {
        match &request.response_format {
            Some(ResponseFormat::JsonObject) if !has_objects(target, speech.format) => Ok(Some(Self {
                means: Means::Words,
                schema: None,
                checker: Checker::any_object(),
            })),
            Some(ResponseFormat::JsonSchema {
                name,
                description,
                schema,
                ..
            }) => {
                let Some(means) = means(target, (request.format, speech.format), !request.tools.is_empty())
                else {
                    return Ok(None);
                };
                let checker = Checker::new(schema).map_err(uncheckable)?;
                // A tool takes an object, must not be the only one that may be called, and no thinking goes before it.
                let free = request.tools.is_empty() && !thinks && request.reasoning.is_none();
                let means = if free && checker.is_of_objects() {
                    means
                } else {
                    Means::Words
                };
                let schema = Schema {
                    name: words::tool_name(name.as_deref()),
                    description: description.clone(),
                    json: schema.clone(),
                };
                Ok(Some(Self {
                    means,
                    schema: Some(schema),
                    checker,
                }))
            }
            _ => Ok(None),
        }
    }

    /// The request that asks for it.
    pub fn ask(&self, request: &ChatRequest) -> ChatRequest {
        let mut asking = request.clone();
        asking.response_format = None;
        match (&self.schema, self.means) {
            (Some(schema), Means::Tool) => words::with_tool(&mut asking, schema),
            (Some(schema), Means::Words) => words::instruct(&mut asking, Some(&schema.json)),
            (None, _) => words::instruct(&mut asking, None),
        }
        asking
    }

    /// Checks what was answered, and makes it the text of the answer.
    ///
    /// # Errors
    /// What is wrong with the first choice that does not follow.
    pub fn take(&self, response: &mut ChatResponse) -> Result<(), Flaw> {
        let tool = match (&self.schema, self.means) {
            (Some(schema), Means::Tool) => Some(&schema.name),
            _ => None,
        };
        for choice in &mut response.choices {
            let Some(said) = read::said(choice, tool) else {
                continue;
            };
            let document = self.checker.check(&said)?;
            read::put(choice, document);
        }
        // The provider's own words told of the tool.
        response.usage_native = None;
        Ok(())
    }

    /// Puts the answer that does not follow and what is wrong with it behind the conversation.
    pub fn mend(&self, request: &mut ChatRequest, flaw: &Flaw) {
        words::mend(request, flaw);
    }
}

/// Whether `json_object` is known there.
fn has_objects(target: &Target, format: Format) -> bool {
    let without = matches!(
        format,
        Format::AnthropicMessages | Format::BedrockInvoke | Format::BedrockConverse
    );
    !without && !matches!(target.shape.structured, Some(StructuredOutput::Instruct))
}

/// How an answer with a schema is had from a target that is spoken to in `to`; none where it has its own way.
fn means(target: &Target, (client, to): (Format, Format), tools: bool) -> Option<Means> {
    match target.shape.structured {
        Some(StructuredOutput::Native) => return None,
        Some(StructuredOutput::Tool) => return Some(Means::Tool),
        Some(StructuredOutput::Instruct) => return Some(Means::Words),
        None => {}
    }
    if !target.provider.speaks.schemas {
        return Some(Means::Words);
    }
    // Cohere gives answers by a schema or calls tools, not both.
    if to == Format::CohereChat && tools && client != to {
        return Some(Means::Words);
    }
    // What passes through is the provider's to judge, and so is what nobody knows anything of.
    if are_kin(client, to) || target.features.is_empty() {
        return None;
    }
    let features = &target.features;
    let native = match to {
        Format::AnthropicMessages | Format::BedrockInvoke | Format::BedrockConverse => {
            features.has(Feature::NativeStructuredOutput)
                || features.has(Feature::BedrockNativeStructuredOutput)
        }
        _ => features.has(Feature::ResponseSchema) || features.has(Feature::NativeStructuredOutput),
    };
    let forced = features.has(Feature::ToolChoice) || features.has(Feature::ForcedToolUse);
    match (native, forced) {
        (true, _) => None,
        (false, true) => Some(Means::Tool),
        (false, false) => Some(Means::Words),
    }
}

fn uncheckable(why: String) -> Failure {
    Failure::new(
        FailureKind::InvalidRequest,
        format!("the schema of the answer cannot be used: {why}"),
    )
    .at("response_format")
    .coded("invalid_json_schema")
}

//! `generationConfig`: sampling, thinking and the format of the answer, read into the form.

use super::{names, schema};
use crate::form::{Extra, MaxTokensName, Reasoning, ResponseFormat, Sampling, Text};
use crate::format::{DecodeError, Format};
use crate::json::Json;
use crate::json::fields::{Fields, Value};
use crate::openai::request::effort_of;

const KNOWN: [&str; 14] = [
    "topP",
    "topK",
    "maxOutputTokens",
    "stopSequences",
    "candidateCount",
    "presencePenalty",
    "frequencyPenalty",
    "responseLogprobs",
    "responseMimeType",
    "responseSchema",
    "responseJsonSchema",
    "thinkingConfig",
    "responseModalities",
    "speechConfig",
];

/// What `generationConfig` says.
#[derive(Debug, Default)]
pub(super) struct Config {
    pub(super) sampling: Sampling,
    pub(super) reasoning: Option<Reasoning>,
    pub(super) response_format: Option<ResponseFormat>,
    pub(super) rest: Extra,
}

impl Config {
    /// Whether it says nothing.
    pub(super) fn is_empty(&self) -> bool {
        self.sampling == Sampling::default()
            && self.reasoning.is_none()
            && self.response_format.is_none()
            && self.rest.is_empty()
    }
}

/// Reads `generationConfig`.
pub(super) fn read(value: &Value<'_>) -> Result<Config, DecodeError> {
    let mut fields = names::fields(value, &KNOWN)?;
    Ok(Config {
        sampling: read_sampling(&mut fields)?,
        reasoning: fields.take("thinkingConfig", |thinking| read_thinking(&thinking))?,
        response_format: read_format(&mut fields)?,
        rest: fields.rest(),
    })
}

fn read_sampling(fields: &mut Fields<'_>) -> Result<Sampling, DecodeError> {
    let number = |value: Value<'_>| value.number();
    Ok(Sampling {
        max_tokens: fields.take("maxOutputTokens", names::count)?,
        max_tokens_name: MaxTokensName::MaxTokens,
        temperature: fields.take("temperature", number)?,
        top_p: fields.take("topP", number)?,
        top_k: fields.take("topK", names::count)?,
        frequency_penalty: fields.take("frequencyPenalty", number)?,
        presence_penalty: fields.take("presencePenalty", number)?,
        seed: fields.take("seed", names::integer)?,
        stop: fields
            .take("stopSequences", |stops| names::list(&stops, names::text))?
            .unwrap_or_default(),
        stop_is_string: false,
        n: fields.take("candidateCount", names::count)?,
        logprobs: fields.take("responseLogprobs", |value| value.boolean())?,
        top_logprobs: fields.take("logprobs", names::count)?,
        logit_bias: None,
    })
}

fn read_thinking(value: &Value<'_>) -> Result<Reasoning, DecodeError> {
    let known = ["thinkingBudget", "thinkingLevel", "includeThoughts"];
    let mut fields = names::fields(value, &known)?;
    let budget = fields.take("thinkingBudget", names::integer)?;
    let level = fields.take("thinkingLevel", names::text)?;
    let effort = level
        .as_deref()
        .and_then(|level| effort_of(&level.to_ascii_lowercase()));
    Ok(Reasoning {
        enabled: match budget {
            Some(0) => Some(false),
            Some(_) => Some(true),
            None => None,
        },
        // Below zero the model decides.
        budget_tokens: budget
            .and_then(|budget| u64::try_from(budget).ok())
            .filter(|budget| *budget > 0),
        effort,
        native: Some(value.json()),
    })
}

/// `responseMimeType` with one of the two schemas. What was written otherwise than the writer would write it is kept
/// beside the schema.
fn read_format(fields: &mut Fields<'_>) -> Result<Option<ResponseFormat>, DecodeError> {
    let json = |value: Value<'_>| Ok(value.json());
    let mime = fields.take("responseMimeType", names::text)?;
    let openapi = fields.take("responseSchema", json)?;
    let schema = fields.take("responseJsonSchema", json)?;
    let is_json = mime.as_deref().is_none_or(|mime| mime == "application/json");
    if !is_json && (openapi.is_some() || schema.is_some() || mime.as_deref() != Some("text/plain")) {
        return Ok(Some(opaque(mime, openapi, schema)));
    }
    Ok(match (openapi, schema) {
        (None, None) => mime.map(|mime| {
            if mime == "text/plain" {
                ResponseFormat::Text
            } else {
                ResponseFormat::JsonObject
            }
        }),
        (openapi, schema) => {
            let mut extra = Extra::default();
            if mime.is_none() {
                extra.note("responseMimeType");
            }
            let as_json_schema = openapi.as_ref().map(schema::to_json_schema);
            if let Some(openapi) = openapi {
                if let Some(schema) = &schema {
                    extra.set("responseJsonSchema", schema.clone());
                }
                extra.set("responseSchema", openapi);
            }
            Some(ResponseFormat::JsonSchema {
                name: None,
                description: None,
                schema: schema.or(as_json_schema).unwrap_or_else(Json::null),
                strict: None,
                extra,
            })
        }
    })
}

fn opaque(mime: Option<Text>, openapi: Option<Json>, schema: Option<Json>) -> ResponseFormat {
    let json = Json::object(|format| {
        format.maybe_string("responseMimeType", mime.as_deref());
        format.maybe_json("responseSchema", openapi.as_ref());
        format.maybe_json("responseJsonSchema", schema.as_ref());
    });
    ResponseFormat::Opaque {
        format: Format::GeminiGenerate,
        json,
    }
}

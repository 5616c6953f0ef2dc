//! How much a model shall think. Converse leaves that to each family's own parameters:
//!
//! | family | parameter in `additionalModelRequestFields` |
//! | --- | --- |
//! | Claude | `thinking` with a budget of tokens; what an Anthropic client wrote goes as it is |
//! | Nova | `reasoningConfig` with `maxReasoningEffort` |
//! | gpt-oss | `reasoning_effort` |
//! | others | none |

use super::model::Family;
use super::rules;
use super::write::Pen;
use crate::form::{ChatRequest, Extra, Reasoning, ReasoningEffort};
use crate::format::Format;
use crate::json::Json;
use crate::json::write::{Object, object};
use crate::openai::request::{effort_name, effort_nearest, effort_of};

/// The parameters of all families.
pub const FIELDS: [&str; 4] = [
    "thinking",
    "reasoning_config",
    "reasoningConfig",
    "reasoning_effort",
];

/// Where the effort in `outputConfig` is kept, beside those.
pub const OUTPUT_EFFORT: &str = "outputConfig.effort";

/// What the parameters say.
#[must_use]
pub fn read(native: &Extra) -> Reasoning {
    let text = |json: &Json| json.read::<String>().ok();
    let mut effort = native
        .get("reasoning_effort")
        .or(native.get(OUTPUT_EFFORT))
        .and_then(text);
    let mut enabled = None;
    let mut budget_tokens = None;
    for name in ["thinking", "reasoning_config", "reasoningConfig"] {
        let Some(config) = native.get(name).map(super::kept::fields_of) else {
            continue;
        };
        if let Some(kind) = config.get("type").and_then(text) {
            enabled = Some(kind != "disabled");
        }
        budget_tokens = config
            .get("budget_tokens")
            .and_then(|json| json.read().ok())
            .or(budget_tokens);
        effort = config.get("maxReasoningEffort").and_then(text).or(effort);
    }
    let whole = object(|object| object.extra(native));
    Reasoning {
        enabled,
        budget_tokens,
        effort: effort.as_deref().and_then(effort_of),
        native: Json::parse(String::from_utf8(whole).unwrap_or_default()).ok(),
    }
}

/// What is written of it: the fields of `additionalModelRequestFields`, and the effort in `outputConfig`.
#[derive(Debug, Default)]
pub struct Written {
    /// Fields for the model.
    pub fields: Vec<(&'static str, String)>,
    /// `outputConfig.effort`, as JSON.
    pub effort: Option<String>,
}

/// How the target's family is told.
#[must_use]
pub fn tell(request: &ChatRequest, pen: &mut Pen<'_>) -> Written {
    let mut written = Written::default();
    let Some(reasoning) = &request.reasoning else {
        return written;
    };
    if pen.own {
        let native = reasoning
            .native
            .as_ref()
            .map(super::kept::fields_of)
            .unwrap_or_default();
        for name in FIELDS {
            if let Some(json) = native.get(name) {
                written.fields.push((name, json.as_str().to_owned()));
            }
        }
        written.effort = native.get(OUTPUT_EFFORT).map(|json| json.as_str().to_owned());
        return written;
    }
    match pen.family {
        Family::Claude => claude(request, reasoning, pen, &mut written),
        Family::Nova => nova(request, reasoning, pen, &mut written),
        Family::GptOss => {
            if let Some(effort) = effort_nearest(reasoning) {
                let level = level(effort);
                if level != effort_name(effort) || reasoning.effort.is_none() {
                    pen.losses.by(&rules::EFFORT);
                }
                written.fields.push(("reasoning_effort", format!("\"{level}\"")));
            } else if reasoning.enabled == Some(false) {
                // It cannot be switched off.
                pen.losses.by(&rules::EFFORT);
                written.fields.push(("reasoning_effort", r#""low""#.to_owned()));
            }
        }
        Family::Other => pen.losses.by(&rules::NO_REASONING),
    }
    written
}

/// The three levels that Nova and gpt-oss know.
fn level(effort: ReasoningEffort) -> &'static str {
    match effort {
        ReasoningEffort::None | ReasoningEffort::Minimal | ReasoningEffort::Low => "low",
        ReasoningEffort::Medium => "medium",
        ReasoningEffort::High | ReasoningEffort::XHigh | ReasoningEffort::Max => "high",
    }
}

fn claude(request: &ChatRequest, reasoning: &Reasoning, pen: &mut Pen<'_>, written: &mut Written) {
    let same_maker = matches!(request.format, Format::AnthropicMessages | Format::BedrockInvoke);
    if same_maker {
        if let Some(native) = &reasoning.native {
            written.fields.push(("thinking", native.as_str().to_owned()));
        }
        written.effort = reasoning
            .effort
            .map(|effort| format!("\"{}\"", effort_name(effort)));
        return;
    }
    match crate::anthropic::request::thinking_budget(reasoning, request.sampling.max_tokens) {
        Some(Some(budget)) => {
            if reasoning.budget_tokens != Some(budget) {
                pen.losses.by(&rules::EFFORT);
            }
            written.fields.push((
                "thinking",
                format!("{{\"type\":\"enabled\",\"budget_tokens\":{budget}}}"),
            ));
        }
        Some(None) => pen.losses.by(&rules::NO_ROOM),
        None if reasoning.effort == Some(ReasoningEffort::Minimal) => pen.losses.by(&rules::EFFORT),
        None => {}
    }
}

fn nova(request: &ChatRequest, reasoning: &Reasoning, pen: &mut Pen<'_>, written: &mut Written) {
    let off = reasoning.enabled == Some(false) || reasoning.effort == Some(ReasoningEffort::None);
    if off {
        written
            .fields
            .push(("reasoningConfig", r#"{"type":"disabled"}"#.to_owned()));
        return;
    }
    let Some(effort) = effort_nearest(reasoning) else {
        return;
    };
    let sampling = &request.sampling;
    let bound = sampling.max_tokens.is_some() || sampling.temperature.is_some() || sampling.top_p.is_some();
    // At its highest level Nova takes neither a limit nor chance.
    let level = match level(effort) {
        "high" if bound => "medium",
        level => level,
    };
    if level != effort_name(effort) || reasoning.effort.is_none() {
        pen.losses.by(&rules::EFFORT);
    }
    written.fields.push((
        "reasoningConfig",
        format!("{{\"type\":\"enabled\",\"maxReasoningEffort\":\"{level}\"}}"),
    ));
}

/// Writes `additionalModelRequestFields`.
pub fn write_fields(
    body: &mut Object<'_>,
    request: &ChatRequest,
    fields: &[(&'static str, String)],
    pen: &mut Pen<'_>,
) {
    const NAME: &str = "additionalModelRequestFields";
    let mut fields: Vec<(&str, String)> = fields.to_vec();
    let mut kept = Extra::default();
    let mut there = false;
    if let Some(json) = request.extra.get(NAME).filter(|_| pen.own) {
        if !json.as_str().starts_with('{') {
            body.raw(NAME, json.as_str());
            return;
        }
        there = true;
        kept = super::kept::fields_of(json);
    }
    if let Some(top_k) = request.sampling.top_k {
        match pen.family {
            _ if pen.own => fields.push(("top_k", top_k.to_string())),
            Family::Claude => fields.push(("top_k", top_k.to_string())),
            Family::Nova => fields.push(("inferenceConfig", format!("{{\"topK\":{top_k}}}"))),
            Family::GptOss | Family::Other => pen.losses.by(&rules::TOP_K),
        }
    }
    if let Some(beta) = request
        .extra
        .get("anthropic_beta")
        .filter(|_| takes_beta(request, pen.family))
    {
        fields.push(("anthropic_beta", beta.as_str().to_owned()));
    }
    if !there && fields.is_empty() {
        return;
    }
    body.object(NAME, |object| {
        for (name, json) in &fields {
            object.raw(name, json);
        }
        object.extra(&kept);
    });
}

/// Whether features under test that an InvokeModel client names reach the same model here.
pub fn takes_beta(request: &ChatRequest, family: Family) -> bool {
    request.format == Format::BedrockInvoke && family == Family::Claude
}

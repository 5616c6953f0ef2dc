//! How reasoning is switched, by the family of the model.

use crate::config::{ModelCard, ModelRef, ReasoningFamily, ReasoningKind};

/// A switch for reasoning, as the provider understands it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reasoning {
    /// A boolean in `chat_template_kwargs`.
    ChatTemplate {
        /// Its name.
        parameter: String,
        /// On or off.
        enabled: bool,
    },
    /// An effort.
    Effort {
        /// Its top-level name.
        parameter: String,
        /// How much.
        effort: String,
    },
}

/// Families by the beginning of a model's name, the longest first.
const FAMILIES: [(&str, ReasoningKind, &str); 9] = [
    ("deepseek", ReasoningKind::ChatTemplateKwargs, "thinking"),
    ("gpt-oss", ReasoningKind::ReasoningEffort, "reasoning_effort"),
    ("granite", ReasoningKind::ChatTemplateKwargs, "thinking"),
    ("gpt-5", ReasoningKind::ReasoningEffort, "reasoning_effort"),
    ("qwen3", ReasoningKind::ChatTemplateKwargs, "enable_thinking"),
    ("glm", ReasoningKind::ChatTemplateKwargs, "enable_thinking"),
    ("o1", ReasoningKind::ReasoningEffort, "reasoning_effort"),
    ("o3", ReasoningKind::ReasoningEffort, "reasoning_effort"),
    ("o4", ReasoningKind::ReasoningEffort, "reasoning_effort"),
];

/// The switch for a model reference; none when it says nothing, or the model has no known switch.
pub(crate) fn switch(reference: &ModelRef, card: Option<&ModelCard>) -> Option<Reasoning> {
    let enabled = wanted(reference)?;
    let family = card
        .and_then(|card| card.reasoning_family.clone())
        .or_else(|| family_of(&reference.model))?;
    match family.kind {
        ReasoningKind::ChatTemplateKwargs => Some(Reasoning::ChatTemplate {
            parameter: family.parameter,
            enabled,
        }),
        ReasoningKind::ReasoningEffort | ReasoningKind::TopLevelReasoningEffort => {
            let effort = match (enabled, &reference.reasoning_effort) {
                (true, effort) => effort.clone().unwrap_or_else(|| "medium".to_owned()),
                // Without a way to turn it off, the least there is.
                (false, _) => "low".to_owned(),
            };
            Some(Reasoning::Effort {
                parameter: family.parameter,
                effort,
            })
        }
    }
}

/// Whether a model reference asks for reasoning; none when it leaves that to the client or the model.
pub(crate) fn wanted(reference: &ModelRef) -> Option<bool> {
    match reference.reasoning_mode.as_deref() {
        Some("enabled") => Some(true),
        Some("disabled") => Some(false),
        Some(_) => None,
        None => reference
            .use_reasoning
            .or(reference.reasoning_effort.is_some().then_some(true)),
    }
}

fn family_of(model: &str) -> Option<ReasoningFamily> {
    let name = model.rsplit('/').next().unwrap_or(model).to_ascii_lowercase();
    let (_, kind, parameter) = FAMILIES.iter().find(|(prefix, ..)| name.starts_with(prefix))?;
    Some(ReasoningFamily {
        kind: *kind,
        parameter: (*parameter).to_owned(),
    })
}

//! Generations of Gemini models, as far as their names tell, and how each is told to think.

use super::rules;
use crate::form::{Reasoning, ReasoningEffort};
use crate::rules::Rule;

/// A generation: major and minor number; none for names that tell none (tuned models, endpoints).
pub(super) type Generation = Option<(u32, u32)>;

/// The generation of the model of this name.
pub(super) fn of(model: &str) -> Generation {
    let name = &model[model.find("gemini-")? + "gemini-".len()..];
    let (number, _) = name.split_once('-').unwrap_or((name, ""));
    let (major, minor) = number.split_once('.').unwrap_or((number, "0"));
    match (major.parse(), minor.parse()) {
        (Ok(major), Ok(minor)) => Some((major, minor)),
        // `gemini-flash-latest`: whatever is newest.
        _ if name.ends_with("-latest") => Some((u32::MAX, 0)),
        _ => None,
    }
}

/// Whether function calls need signatures, results of functions may hold media, and so on.
pub(super) fn is_third_or_later(generation: Generation) -> bool {
    generation.is_some_and(|(major, _)| major >= 3)
}

/// How a model is told to think.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Told {
    /// `thinkingLevel`.
    Level(&'static str),
    /// `thinkingBudget`.
    Budget(u64),
    /// Nothing.
    Nothing,
}

/// What to tell `model`, and by which rule if that is not exactly what was asked for.
pub(super) fn think(model: &str, reasoning: &Reasoning) -> (Told, Option<&'static Rule>) {
    let generation = of(model);
    match generation {
        Some((major, minor)) if (major, minor) < (2, 5) => match wish(reasoning) {
            Wish::Off | Wish::AsItLikes => (Told::Nothing, None),
            _ => (Told::Nothing, Some(&rules::NO_THINKING)),
        },
        Some((major, _)) if major >= 3 => level(model, &wish(reasoning)),
        _ => budget(model, generation, &wish(reasoning)),
    }
}

/// What the client wishes.
enum Wish {
    Off,
    AsItLikes,
    Effort(ReasoningEffort),
    Budget(u64),
}

fn wish(reasoning: &Reasoning) -> Wish {
    match (reasoning.enabled, reasoning.effort, reasoning.budget_tokens) {
        (Some(false), _, _) | (_, Some(ReasoningEffort::None), _) | (_, None, Some(0)) => Wish::Off,
        (_, _, Some(budget)) => Wish::Budget(budget),
        (_, Some(effort), None) => Wish::Effort(effort),
        (_, None, None) => Wish::AsItLikes,
    }
}

fn level(model: &str, wish: &Wish) -> (Told, Option<&'static Rule>) {
    let flash = model.contains("flash");
    let least = if flash { "MINIMAL" } else { "LOW" };
    // The first of its generation knows two levels only.
    let middle = if model.contains("gemini-3-pro") {
        "HIGH"
    } else {
        "MEDIUM"
    };
    match wish {
        Wish::Off => (Told::Level(least), Some(&rules::ALWAYS_THINKS)),
        Wish::AsItLikes => (Told::Nothing, None),
        Wish::Effort(ReasoningEffort::None | ReasoningEffort::Minimal) => {
            (Told::Level(least), (!flash).then_some(&rules::LEVEL))
        }
        Wish::Effort(ReasoningEffort::Low) => (Told::Level("LOW"), None),
        Wish::Effort(ReasoningEffort::Medium) => {
            (Told::Level(middle), (middle == "HIGH").then_some(&rules::LEVEL))
        }
        Wish::Effort(ReasoningEffort::High) => (Told::Level("HIGH"), None),
        Wish::Effort(ReasoningEffort::XHigh | ReasoningEffort::Max) => {
            (Told::Level("HIGH"), Some(&rules::LEVEL))
        }
        Wish::Budget(budget) => {
            let level = match budget {
                0..=4_096 => "LOW",
                4_097..=16_384 => middle,
                _ => "HIGH",
            };
            (Told::Level(level), Some(&rules::BUDGET))
        }
    }
}

/// The least and the most tokens of thinking that models with budgets take.
fn bounds(model: &str, generation: Generation) -> (u64, u64) {
    if generation.is_none() {
        (0, u64::MAX)
    } else if model.contains("flash-lite") {
        (512, 24_576)
    } else if model.contains("flash") {
        (0, 24_576)
    } else {
        (128, 32_768)
    }
}

fn budget(model: &str, generation: Generation, wish: &Wish) -> (Told, Option<&'static Rule>) {
    let (least, most) = bounds(model, generation);
    match wish {
        Wish::Off if least == 128 => (Told::Budget(least), Some(&rules::ALWAYS_THINKS)),
        Wish::Off => (Told::Budget(0), None),
        Wish::AsItLikes => (Told::Nothing, None),
        Wish::Effort(effort) => {
            let budget = match effort {
                ReasoningEffort::None | ReasoningEffort::Minimal => 512,
                ReasoningEffort::Low => 1_024,
                ReasoningEffort::Medium => 8_192,
                ReasoningEffort::High => 24_576,
                ReasoningEffort::XHigh | ReasoningEffort::Max => 32_768,
            };
            (Told::Budget(budget.clamp(least, most)), Some(&rules::EFFORT))
        }
        Wish::Budget(budget) => {
            let told = (*budget).clamp(least, most);
            (Told::Budget(told), (told != *budget).then_some(&rules::BOUNDS))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn effort(effort: ReasoningEffort) -> Reasoning {
        Reasoning {
            enabled: None,
            budget_tokens: None,
            effort: Some(effort),
            native: None,
        }
    }

    #[test]
    fn names_tell_generations() {
        for (model, generation) in [
            ("gemini-2.5-flash", Some((2, 5))),
            ("models/gemini-3-pro-preview", Some((3, 0))),
            ("gemini-3.1-flash-lite", Some((3, 1))),
            ("gemini-flash-latest", Some((u32::MAX, 0))),
            ("gemini-embedding-001", None),
            ("projects/p/locations/l/endpoints/7", None),
        ] {
            assert_eq!(of(model), generation, "{model}");
        }
    }

    #[test]
    fn none_is_a_budget_of_zero_where_thinking_can_be_stopped() {
        let none = effort(ReasoningEffort::None);
        assert_eq!(think("gemini-2.5-flash", &none), (Told::Budget(0), None));
        assert_eq!(
            think("gemini-2.5-pro", &none),
            (Told::Budget(128), Some(&rules::ALWAYS_THINKS))
        );
        assert_eq!(
            think("gemini-3-flash-preview", &none),
            (Told::Level("MINIMAL"), Some(&rules::ALWAYS_THINKS))
        );
        assert_eq!(think("gemini-2.0-flash", &none), (Told::Nothing, None));
    }

    #[test]
    fn efforts_become_levels_or_budgets() {
        for (model, asked, told) in [
            (
                "gemini-3.1-pro-preview",
                ReasoningEffort::Medium,
                Told::Level("MEDIUM"),
            ),
            (
                "gemini-3-pro-preview",
                ReasoningEffort::Medium,
                Told::Level("HIGH"),
            ),
            ("gemini-3-flash", ReasoningEffort::Minimal, Told::Level("MINIMAL")),
            ("gemini-2.5-flash", ReasoningEffort::Medium, Told::Budget(8_192)),
            ("gemini-2.5-flash", ReasoningEffort::Max, Told::Budget(24_576)),
            ("gemini-2.5-pro", ReasoningEffort::Max, Told::Budget(32_768)),
            ("my-tuned-model", ReasoningEffort::Low, Told::Budget(1_024)),
            ("gemini-1.5-pro", ReasoningEffort::High, Told::Nothing),
        ] {
            assert_eq!(think(model, &effort(asked)).0, told, "{model} {asked:?}");
        }
    }
}

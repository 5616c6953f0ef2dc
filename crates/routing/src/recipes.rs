//! Recipes: a router for each, entered by names of its own.

use std::collections::BTreeMap;

use crate::compile::CompileError;
use crate::config::{Entrypoint, RecipeConfig, RoutingConfig};
use crate::router::Router;
use crate::signal::AskedSignal;

/// The recipe that stands beside the others: what `routing` itself holds.
const DEFAULT: &str = "default";

impl Router {
    /// Compiles a configuration with all its recipes.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn compile(config: &RoutingConfig) -> Result<Self, Vec<CompileError>> {
        Self::compile_with(config, &[])
    }

    /// Compiles a configuration to which somebody answers these signals.
    ///
    /// # Errors
    /// As [`Router::compile`].
    pub fn compile_with(config: &RoutingConfig, asked: &[AskedSignal]) -> Result<Self, Vec<CompileError>> {
        let mut errors = wrong(config);
        let mut main = None;
        let mut recipes = Vec::new();
        for part in parts(config) {
            match Self::compile_one(&part.config, asked) {
                Ok(mut router) => {
                    router.names = names(config, part.recipe);
                    if part.recipe == DEFAULT {
                        main = Some(router);
                    } else {
                        recipes.push(router);
                    }
                }
                Err(wrong) => errors.extend(wrong.into_iter().map(|error| CompileError {
                    path: format!("{}{}", part.path, error.path),
                    ..error
                })),
            }
        }
        match main {
            Some(mut main) if errors.is_empty() => {
                main.recipes = recipes;
                Ok(main)
            }
            _ => Err(errors),
        }
    }
}

/// The routing of one recipe, with what it shares with the others.
pub(crate) struct Part<'a> {
    /// The recipe's name.
    pub(crate) recipe: &'a str,
    /// What its paths begin with.
    pub(crate) path: String,
    /// The routing.
    pub(crate) config: RoutingConfig,
}

/// All recipes, that beside them first.
pub(crate) fn parts(config: &RoutingConfig) -> Vec<Part<'_>> {
    let mut parts = Vec::new();
    if !config.recipes.iter().any(|recipe| recipe.name == DEFAULT) {
        parts.push(Part {
            recipe: DEFAULT,
            path: String::new(),
            config: RoutingConfig {
                recipes: Vec::new(),
                entrypoints: Vec::new(),
                ..config.clone()
            },
        });
    }
    for (index, recipe) in config.recipes.iter().enumerate() {
        parts.push(Part {
            recipe: &recipe.name,
            path: format!("recipes[{index}].routing."),
            config: whole(config, recipe),
        });
    }
    parts
}

fn whole(config: &RoutingConfig, recipe: &RecipeConfig) -> RoutingConfig {
    let routing = recipe.routing.clone();
    RoutingConfig {
        names: Vec::new(),
        strategy: routing.strategy.unwrap_or(config.strategy),
        default_model: config.default_model.clone(),
        model_cards: config.model_cards.clone(),
        signals: routing.signals,
        projections: routing.projections,
        decisions: routing.decisions,
        knowledge_bases: config.knowledge_bases.clone(),
        recipes: Vec::new(),
        entrypoints: Vec::new(),
        candidate_requirements: routing.candidate_requirements,
        data_policy: routing.data_policy,
        model_bindings: routing.model_bindings,
        fallback: routing.fallback,
        learning: config.learning.clone(),
        loops: config.loops,
        rules: None,
        model_refs: Vec::new(),
    }
}

/// Names of models that enter a recipe.
fn names(config: &RoutingConfig, recipe: &str) -> Vec<String> {
    let mut names = match recipe {
        DEFAULT if config.names.is_empty() => vec!["auto".to_owned()],
        DEFAULT => config.names.clone(),
        _ => Vec::new(),
    };
    let own = config.entrypoints.iter().filter(|entry| entry.recipe == recipe);
    names.extend(own.flat_map(|entry| entry.model_names.iter().cloned()));
    names
}

/// What is wrong with the names of recipes and entrypoints.
fn wrong(config: &RoutingConfig) -> Vec<CompileError> {
    let mut errors = Vec::new();
    let mut wrong = |path: String, message: String, suggestion: Option<String>| {
        errors.push(CompileError {
            path,
            message,
            suggestion,
        });
    };
    bounds(config, &mut wrong);
    for (index, recipe) in config.recipes.iter().enumerate() {
        let path = format!("recipes[{index}].name");
        if recipe.name.is_empty() {
            wrong(path, "this recipe needs a name".to_owned(), None);
        } else if config.recipes[..index]
            .iter()
            .any(|other| other.name == recipe.name)
        {
            wrong(
                path,
                format!("there is another recipe named {:?}", recipe.name),
                None,
            );
        } else if recipe.name == DEFAULT && has_routing(config) {
            let message = "routing has signals or decisions of its own: they are the recipe \"default\"";
            wrong(path, message.to_owned(), None);
        }
    }
    let mut taken: BTreeMap<&str, usize> = BTreeMap::new();
    for (index, entry) in config.entrypoints.iter().enumerate() {
        if entry.recipe != DEFAULT && !config.recipes.iter().any(|recipe| recipe.name == entry.recipe) {
            let known = config.recipes.iter().map(|recipe| recipe.name.as_str());
            let near = near(&entry.recipe, known);
            let message = format!("there is no recipe {:?}", entry.recipe);
            wrong(format!("entrypoints[{index}].recipe"), message, near);
        }
        if entry.model_names.is_empty() {
            let path = format!("entrypoints[{index}].model_names");
            wrong(path, "an entrypoint needs model_names".to_owned(), None);
        }
        for (number, name) in entry.model_names.iter().enumerate() {
            let path = format!("entrypoints[{index}].model_names[{number}]");
            if let Some(first) = taken.insert(name, index)
                && first != index
            {
                let message = format!("{name:?} enters another recipe, too (entrypoints[{first}])");
                wrong(path, message, None);
            } else if let Some(what) = meant(config, entry, name) {
                wrong(path, format!("{name:?} is {what}; take a new name"), None);
            }
        }
    }
    errors
}

/// What is wrong with the bounds of loops.
fn bounds(config: &RoutingConfig, wrong: &mut impl FnMut(String, String, Option<String>)) {
    let loops = config.loops;
    if !(1..=256).contains(&loops.max_calls) {
        wrong(
            "loops.max_calls".to_owned(),
            "is a number from 1 to 256".to_owned(),
            None,
        );
    }
    for (name, seconds) in [
        ("call_timeout_seconds", loops.call_timeout_seconds),
        ("timeout_seconds", loops.timeout_seconds),
    ] {
        if !(1..=86_400).contains(&seconds) {
            let message = "is a time from 1 second to a day";
            wrong(format!("loops.{name}"), message.to_owned(), None);
        }
    }
}

/// What a name means beside an entrypoint.
fn meant(config: &RoutingConfig, entry: &Entrypoint, name: &str) -> Option<&'static str> {
    let cards = &config.model_cards;
    if cards.iter().any(|card| card.name == name) {
        return Some("a model of modelCards");
    }
    if cards
        .iter()
        .flat_map(|card| &card.loras)
        .any(|lora| lora.name == name)
    {
        return Some("an adapter of modelCards");
    }
    let enters = names(config, DEFAULT).iter().any(|known| known == name);
    (entry.recipe != DEFAULT && enters).then_some("a name of routing itself")
}

fn has_routing(config: &RoutingConfig) -> bool {
    !config.decisions.is_empty()
        || config.signals != crate::config::SignalsConfig::default()
        || config.projections != crate::config::ProjectionsConfig::default()
}

fn near<'n>(name: &str, known: impl Iterator<Item = &'n str>) -> Option<String> {
    let near = known.map(|known| (strsim::jaro_winkler(name, known), known));
    near.filter(|(near, _)| *near > 0.75)
        .max_by(|left, right| left.0.total_cmp(&right.0))
        .map(|(_, known)| known.to_owned())
}

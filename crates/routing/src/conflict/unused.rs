//! What nothing refers to, and candidates of which nothing is known.

use std::collections::HashSet;

use super::{Conflict, ConflictKind, tell};
use crate::config::{RoutingConfig, RuleNode};
use crate::declared::declared;
use crate::signal::{is_unknown_domain, unknown_classes};

pub(super) fn check(config: &RoutingConfig, found: &mut Vec<Conflict>) {
    let mut used = HashSet::new();
    for decision in &config.decisions {
        decision.rules.iter().for_each(|rules| collect(rules, &mut used));
    }
    config.rules.iter().for_each(|rules| collect(rules, &mut used));
    let composers = config
        .signals
        .complexity
        .iter()
        .filter_map(|signal| signal.composer.as_ref());
    composers.for_each(|rules| collect(rules, &mut used));
    let projections = &config.projections;
    for input in projections.scores.iter().flat_map(|score| &score.inputs) {
        used.insert((input.kind.clone(), input.name.clone()));
        if let Some(kb) = &input.kb {
            used.insert(("kb_metric".to_owned(), kb.clone()));
        }
    }
    // Members of a partition compete: one that nothing names may still win over one that is named.
    for member in projections
        .partitions
        .iter()
        .flat_map(|partition| &partition.members)
    {
        used.insert(("domain".to_owned(), member.clone()));
        used.insert(("embedding".to_owned(), member.clone()));
    }
    signals(config, &used, found);
    derived(config, &used, found);
    cards(config, found);
    domains(config, found);
}

/// Domains that the model does not know by their names and that name none of its own, and classes that it does not know.
fn domains(config: &RoutingConfig, found: &mut Vec<Conflict>) {
    for (index, domain) in config.signals.domains.iter().enumerate() {
        if is_unknown_domain(domain) {
            let message = format!(
                "the model knows no domain {:?}, so that it never matches; name those that are meant in mmlu_categories",
                domain.name
            );
            let path = format!("signals.domains[{index}]");
            tell(found, ConflictKind::NeverMatches, path, message);
        }
    }
    for (collection, index, name) in unknown_classes(&config.signals) {
        let message = format!("the model knows no class {name:?}, so that it never matches");
        let path = format!("signals.{collection}[{index}]");
        tell(found, ConflictKind::NeverMatches, path, message);
    }
}

fn collect(node: &RuleNode, used: &mut HashSet<(String, String)>) {
    if let Some(kind) = &node.kind {
        used.insert((kind.clone(), node.name.clone().unwrap_or_default()));
    }
    node.conditions.iter().for_each(|child| collect(child, used));
}

fn signals(config: &RoutingConfig, used: &HashSet<(String, String)>, found: &mut Vec<Conflict>) {
    let all = declared(&config.signals);
    for signal in &all {
        // Looked at on the way back, whatever the decision.
        if signal.kind == "hallucination" {
            continue;
        }
        let of_one = all.iter().filter(|other| other.path == signal.path);
        let is_used = |kind: &str, name: &str| used.contains(&(kind.to_owned(), name.to_owned()));
        let first = all.iter().find(|other| other.path == signal.path) == Some(signal);
        if first && !of_one.clone().any(|signal| is_used(signal.kind, &signal.name)) {
            let name = signal
                .name
                .split(':')
                .next()
                .filter(|_| signal.kind == "complexity");
            let message = format!(
                "no rule and no score looks at the {} signal {:?}; use it, or take it out",
                signal.kind,
                name.unwrap_or(&signal.name)
            );
            tell(found, ConflictKind::Unused, signal.path.clone(), message);
        }
    }
}

fn derived(config: &RoutingConfig, used: &HashSet<(String, String)>, found: &mut Vec<Conflict>) {
    let projections = &config.projections;
    let is_used = |name: &str| used.contains(&("projection".to_owned(), name.to_owned()));
    for (index, score) in projections.scores.iter().enumerate() {
        let mapped = projections
            .mappings
            .iter()
            .any(|mapping| mapping.source == score.name);
        if !mapped && !is_used(&score.name) {
            let message = format!(
                "no mapping makes anything of the score {:?}; add one, or take it out",
                score.name
            );
            tell(
                found,
                ConflictKind::Unused,
                format!("projections.scores[{index}]"),
                message,
            );
        }
    }
    for (index, mapping) in projections.mappings.iter().enumerate() {
        if !mapping.outputs.iter().any(|band| is_used(&band.name)) {
            let message = format!(
                "no rule looks at any output of {:?}; use one, or take it out",
                mapping.name
            );
            tell(
                found,
                ConflictKind::Unused,
                format!("projections.mappings[{index}]"),
                message,
            );
        }
    }
    for (index, partition) in projections.partitions.iter().enumerate() {
        let named = |member: &String| {
            let rules = config
                .decisions
                .iter()
                .filter_map(|decision| decision.rules.as_ref());
            let inputs = projections.scores.iter().flat_map(|score| &score.inputs);
            rules.into_iter().any(|rules| names(rules, member))
                || inputs.into_iter().any(|input| input.name == *member)
        };
        if !partition.members.iter().any(named) {
            let message = format!(
                "no rule and no score looks at any member of {:?}; use one, or take it out",
                partition.name
            );
            tell(
                found,
                ConflictKind::Unused,
                format!("projections.partitions[{index}]"),
                message,
            );
        }
    }
}

fn names(node: &RuleNode, member: &str) -> bool {
    node.name.as_deref() == Some(member) || node.conditions.iter().any(|child| names(child, member))
}

/// Candidates without a card, where there are cards.
fn cards(config: &RoutingConfig, found: &mut Vec<Conflict>) {
    let cards = &config.model_cards;
    if cards.is_empty() {
        return;
    }
    for (index, decision) in config.decisions.iter().enumerate() {
        for (number, reference) in decision.model_refs.iter().enumerate() {
            let known = cards.iter().any(|card| {
                card.name == reference.model || card.loras.iter().any(|lora| lora.name == reference.model)
            });
            if !known {
                let message = format!(
                    "there is no model card {:?}; add one under modelCards",
                    reference.model
                );
                let path = format!("decisions[{index}].modelRefs[{number}].model");
                tell(found, ConflictKind::NoCard, path, message);
            }
        }
    }
}

/// Recipes that nothing enters, and knowledge bases that nothing asks.
pub(super) fn recipes(config: &RoutingConfig, found: &mut Vec<Conflict>) {
    for (index, recipe) in config.recipes.iter().enumerate() {
        let entered = config.entrypoints.iter().any(|entry| entry.recipe == recipe.name);
        if !entered && recipe.name != "default" {
            let message = format!(
                "no entrypoint leads to the recipe {:?}; add one, or take it out",
                recipe.name
            );
            tell(found, ConflictKind::Unused, format!("recipes[{index}]"), message);
        }
    }
    let own = std::iter::once((&config.signals, &config.projections));
    let theirs = config
        .recipes
        .iter()
        .map(|recipe| (&recipe.routing.signals, &recipe.routing.projections));
    let asked: HashSet<&str> = own
        .chain(theirs)
        .flat_map(|(signals, projections)| {
            let signals = signals.kb.iter().map(|signal| signal.kb.as_str());
            let inputs = projections.scores.iter().flat_map(|score| &score.inputs);
            signals.chain(inputs.filter_map(|input| input.kb.as_deref()))
        })
        .collect();
    for (index, base) in config.knowledge_bases.iter().enumerate() {
        if !asked.contains(base.name.as_str()) {
            let message = format!(
                "no signal and no score asks {:?}; use it, or take it out",
                base.name
            );
            tell(
                found,
                ConflictKind::Unused,
                format!("knowledge_bases[{index}]"),
                message,
            );
        }
    }
}

//! Decisions that are never taken: their rules never hold, or a decision before them always holds, too.

use super::solve::{Formula, can_hold};
use super::world::World;
use super::{Conflict, ConflictKind, tell};
use crate::config::{DecisionConfig, RoutingConfig, RuleNode, Strategy};

pub(super) fn check(config: &RoutingConfig, found: &mut Vec<Conflict>) {
    let mut world = World::new(config);
    let decisions = joined(config);
    let formulas: Vec<Formula> = decisions
        .iter()
        .map(|decision| match &decision.rules {
            Some(rules) => world.formula(rules),
            None => Formula::All(Vec::new()),
        })
        .collect();
    let tiered = decisions.iter().any(|decision| decision.tier > 0);
    for (index, decision) in decisions.iter().enumerate() {
        let path = format!("decisions[{index}]");
        if can_hold(&formulas[index], &world.dimensions) == Some(false) {
            let why = decision.rules.as_ref().and_then(|rules| pair(&mut world, rules));
            let why = why.unwrap_or_else(|| "its conditions exclude one another".to_owned());
            let message = format!(
                "{:?} can never match: {why}; change its rules, or take it out",
                decision.name
            );
            tell(
                found,
                ConflictKind::NeverMatches,
                format!("{path}.rules"),
                message,
            );
            continue;
        }
        if let Some(rules) = &decision.rules {
            branches(&mut world, rules, &format!("{path}.rules"), found);
        }
        let before = |other: &usize| ranks_before(config.strategy, tiered, decisions[*other], decision);
        let earlier: Vec<usize> = (0..decisions.len()).filter(before).collect();
        if let Some(others) = shadow(&formulas, index, &earlier, &world) {
            let names: Vec<String> = others
                .iter()
                .map(|other| format!("{:?}", decisions[*other].name))
                .collect();
            let (verb, them) = match names.len() {
                1 => ("matches", "its rules"),
                _ => ("match", "their rules"),
            };
            let message = format!(
                "{:?} is never taken: whenever it matches, {}, which {verb} too, goes first; give it a higher priority, or narrow {them}",
                decision.name,
                names.join(" or ")
            );
            tell(found, ConflictKind::Shadowed, path, message);
        }
    }
}

/// The decisions; rules that are printed beside the only one are its own.
fn joined(config: &RoutingConfig) -> Vec<&DecisionConfig> {
    // Rules beside a decision are of one without any: it can't be shadowed.
    if config.rules.is_some() {
        return Vec::new();
    }
    config.decisions.iter().collect()
}

/// Whether one decision goes before another whatever their confidence.
fn ranks_before(strategy: Strategy, tiered: bool, one: &DecisionConfig, other: &DecisionConfig) -> bool {
    match strategy {
        // Within a tier confidence may count for more.
        _ if tiered => one.tier < other.tier,
        Strategy::Priority => one.priority > other.priority,
        Strategy::Confidence => false,
    }
}

/// The earlier decisions of which one always holds when this one does: a single one, if it is enough.
fn shadow(formulas: &[Formula], index: usize, earlier: &[usize], world: &World) -> Option<Vec<usize>> {
    let never = |others: &[usize]| {
        let mut parts = vec![formulas[index].clone()];
        parts.extend(others.iter().map(|other| formulas[*other].clone().not()));
        can_hold(&Formula::All(parts), &world.dimensions) == Some(false)
    };
    if earlier.is_empty() {
        return None;
    }
    if let Some(one) = earlier.iter().find(|other| never(&[**other])) {
        return Some(vec![*one]);
    }
    if earlier.len() == 1 || !never(earlier) {
        return None;
    }
    // Those that are not needed are left out.
    let mut needed = earlier.to_vec();
    let mut at = 0;
    while at < needed.len() {
        let mut fewer = needed.clone();
        fewer.remove(at);
        if never(&fewer) {
            needed = fewer;
        } else {
            at += 1;
        }
    }
    Some(needed)
}

/// Alternatives that never hold, of rules that can.
fn branches(world: &mut World, node: &RuleNode, path: &str, found: &mut Vec<Conflict>) {
    let either = node
        .operator
        .as_deref()
        .is_some_and(|operator| operator.eq_ignore_ascii_case("or"));
    for (index, child) in node.conditions.iter().enumerate() {
        let path = format!("{path}.conditions[{index}]");
        if either && never(world, child) {
            let why = pair(world, child).unwrap_or_else(|| "its conditions exclude one another".to_owned());
            let message = format!("this alternative can never match: {why}; change it, or take it out");
            tell(found, ConflictKind::NeverMatches, path, message);
        } else {
            branches(world, child, &path, found);
        }
    }
}

fn never(world: &mut World, node: &RuleNode) -> bool {
    let formula = world.formula(node);
    can_hold(&formula, &world.dimensions) == Some(false)
}

/// A condition, or two of them, that can't hold, of those that all must.
fn pair(world: &mut World, node: &RuleNode) -> Option<String> {
    let mut all = Vec::new();
    conjuncts(node, &mut all);
    for (at, one) in all.iter().enumerate() {
        if never(world, one) {
            return Some(match one.conditions.is_empty() {
                true => format!("{} never holds", name(one)),
                false => "one of its conditions never holds".to_owned(),
            });
        }
        for other in &all[..at] {
            let both = RuleNode {
                operator: Some("AND".to_owned()),
                conditions: vec![(*one).clone(), (*other).clone()],
                ..RuleNode::default()
            };
            if never(world, &both) {
                return Some(format!("{} and {} exclude each other", name(other), name(one)));
            }
        }
    }
    None
}

/// Conditions that all must hold.
fn conjuncts<'a>(node: &'a RuleNode, all: &mut Vec<&'a RuleNode>) {
    let operator = node.operator.as_deref().unwrap_or("AND");
    let joins = operator.eq_ignore_ascii_case("and")
        || (operator.eq_ignore_ascii_case("or") && node.conditions.len() == 1);
    if node.kind.is_none() && joins {
        node.conditions.iter().for_each(|child| conjuncts(child, all));
    } else {
        all.push(node);
    }
}

/// A rule in few words.
fn name(node: &RuleNode) -> String {
    if let Some(kind) = &node.kind {
        return format!("{kind}:{}", node.name.as_deref().unwrap_or_default());
    }
    let operator = node.operator.as_deref().unwrap_or("AND").to_ascii_uppercase();
    let names: Vec<String> = node.conditions.iter().take(4).map(name).collect();
    let more = if node.conditions.len() > 4 { ", …" } else { "" };
    format!("{operator}({}{more})", names.join(", "))
}

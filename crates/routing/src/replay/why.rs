//! Why a request is decided otherwise than it was: what of the rules is different.

use super::{Line, Replayed, Route};
use crate::explain::{DecisionTrace, RuleTrace};
use crate::recorded::Recorded;

/// Reasons that are told, at most.
const MOST: usize = 8;

/// Why a recorded decision comes out as it now does; nothing where it is the same. `before` is the same request by the
/// configuration that took it, where that is at hand: then what has changed of each rule is told, too.
#[must_use]
pub fn why(recorded: &Recorded, before: Option<&Replayed>, now: &Replayed) -> Vec<String> {
    let find = |name: &str| now.decisions.iter().find(|trace| trace.decision == name);
    let old = recorded.decision.as_str();
    let mut reasons = Vec::new();
    match &now.route {
        Route::Unknown { signals } => {
            reasons.push(format!(
                "it depends on what was not recorded: {}",
                signals.join(", ")
            ));
            return reasons;
        }
        Route::Decided { decision, .. } | Route::Among { decision, .. } if decision == old => {
            reasons.push(format!("the models of {old} are chosen in another way"));
            return reasons;
        }
        _ => {}
    }
    let new = match &now.route {
        Route::Decided { decision, .. } | Route::Among { decision, .. } => Some(decision.as_str()),
        Route::Nowhere | Route::Unknown { .. } => None,
    };
    match find(old) {
        None if old != "default" => reasons.push(format!("{old} is not there any more")),
        None => {}
        Some(trace) if trace.matched => {
            if let Some(winner) = new.and_then(find) {
                reasons.push(format!(
                    "{} comes before {old} ({} before {})",
                    winner.decision,
                    rank(winner),
                    rank(trace)
                ));
            }
        }
        Some(trace) => reasons.push(format!("{old} does not hold: {}", Line::of(&trace.rules).0)),
    }
    if let Some(winner) = new.and_then(find) {
        reasons.push(format!(
            "{} holds: {}",
            winner.decision,
            Line::of(&winner.rules).0
        ));
    }
    if new == Some("default") {
        reasons.push("no decision holds: the default model answers".to_owned());
    }
    if new.is_none() {
        reasons.push("no decision holds, and there is no default model".to_owned());
    }
    if let Some(before) = before {
        for name in [Some(old), new].into_iter().flatten() {
            let was = before.decisions.iter().find(|trace| trace.decision == name);
            match (was, find(name)) {
                (Some(was), Some(is)) => differences(name, &was.rules, &is.rules, &mut reasons),
                (None, Some(_)) => reasons.push(format!("{name} is new")),
                _ => {}
            }
        }
    }
    reasons.truncate(MOST);
    reasons
}

fn rank(trace: &DecisionTrace) -> String {
    match trace.tier {
        0 => format!("priority {}", trace.priority),
        tier => format!("tier {tier}, priority {}", trace.priority),
    }
}

/// Parts that are only in one of two rules, and parts that hold in only one.
fn differences(name: &str, was: &RuleTrace, is: &RuleTrace, reasons: &mut Vec<String>) {
    let shape = |rule: &RuleTrace| (rule.rule.clone(), rule.conditions.len());
    if shape(was) != shape(is) {
        let (was, is) = (Line::of(was).0, Line::of(is).0);
        reasons.push(format!("the rule of {name} was {was} and is {is}"));
        return;
    }
    if was.conditions.is_empty() && was.matched != is.matched {
        let said = |rule: &RuleTrace| if rule.matched { "matched" } else { "did not match" };
        let says = if is.matched { "matches" } else { "does not match" };
        reasons.push(format!("{}, of {name}, {} and now {says}", is.rule, said(was)));
    }
    for (was, is) in was.conditions.iter().zip(&is.conditions) {
        differences(name, was, is, reasons);
    }
}

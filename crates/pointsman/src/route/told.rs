//! What is understood and decided, for people to read.

use std::fmt::Write as _;

use pointsman_routing::Explanation;
use pointsman_routing::loops::LoopPlan;
use pointsman_understanding::{HeadAnswer, Source};

use super::survey::{Survey, TimedHead};
use crate::console;

/// Labels that are told of a head with many, at most.
const LABELS: usize = 3;
/// Characters of a prompt that are told.
const SHOWN: usize = 100;

/// Tells what is understood of a prompt.
pub(super) fn survey(prompt: &str, survey: &Survey) {
    let mut shown: String = prompt.chars().take(SHOWN).collect();
    if shown.len() < prompt.len() {
        shown.push('…');
    }
    console::say(format!("prompt     {shown:?}"));
    let language = survey.language.as_ref().map_or_else(String::new, |language| {
        format!(", language {} {:.2}", language.code, language.confidence)
    });
    let cut = if survey.cut { " (more was left out)" } else { "" };
    console::say(format!("           {} tokens{cut}{language}", survey.tokens));
    console::say(format!(
        "model      {}, loaded in {}, {} MiB",
        survey.model.name,
        time(survey.model.loaded_us),
        survey.model.bytes >> 20
    ));
    console::say("understood");
    survey.heads.iter().for_each(head);
    let found = &survey.entities.found;
    let mut line = if found.is_empty() {
        "none".to_owned()
    } else {
        String::new()
    };
    for entity in found {
        let text = prompt.get(entity.start..entity.end).unwrap_or_default();
        let gap = if line.is_empty() { "" } else { ", " };
        let _ = write!(line, "{gap}{} {text:?} {:.2}", entity.kind, entity.probability);
    }
    row("pii", &line, Source::Encoder, survey.entities.took_us);
    let embedding = format!("{} dimensions", survey.embedding.found.dimensions);
    row("embedding", &embedding, Source::Encoder, survey.embedding.took_us);
    console::say(format!(
        "together   {} (one pass of the encoder answers all; above, each is asked alone)",
        time(survey.together_us)
    ));
}

fn head(timed: &TimedHead) {
    let answer = &timed.answer;
    let mut labels: Vec<&(String, f32)> = answer.probabilities.iter().collect();
    labels.sort_by(|left, right| right.1.total_cmp(&left.1));
    // Of a head that says yes or no of several things, first whether it says yes at all.
    if let Some(yes) = answer.point("fpr_1pct").filter(|_| answer.independent) {
        labels.sort_by_key(|(label, _)| *label != yes.label);
    }
    let shown = labels.iter().take(LABELS);
    let mut line = shown
        .map(|(label, probability)| format!("{label} {probability:.3}"))
        .collect::<Vec<_>>()
        .join("  ");
    if labels.len() > LABELS {
        let _ = write!(line, "  (+{})", labels.len() - LABELS);
    }
    row(&answer.head, &line, answer.stage, timed.took_us);
    if let Some(points) = points(answer) {
        console::say(format!("               {points}"));
    }
}

/// Thresholds with names, where they say more than "the most probable".
fn points(answer: &HeadAnswer) -> Option<String> {
    let named = answer.points.iter().filter(|point| point.name != "balanced");
    let told: Vec<String> = named
        .map(|point| {
            let holds = if point.holds { "yes" } else { "no" };
            format!(
                "{} {holds} ({} ≥ {:.3})",
                point.name, point.label, point.threshold
            )
        })
        .collect();
    (!told.is_empty()).then(|| told.join("  "))
}

fn row(name: &str, line: &str, source: Source, took_us: u64) {
    console::say(format!(
        "  {name:<12} {line:<64} {:<8} {:>9}",
        source.name(),
        time(took_us)
    ));
}

#[allow(clippy::cast_precision_loss, reason = "for reading")]
fn time(micros: u64) -> String {
    if micros < 1_000 {
        format!("{micros} µs")
    } else {
        format!("{:.1} ms", micros as f64 / 1_000.0)
    }
}

/// Tells how it is routed.
pub(super) fn routing(explanation: &Explanation) {
    console::say("signals");
    for (name, confidence) in &explanation.signal_confidences {
        let metrics = &explanation.metrics[name];
        let value = explanation.signal_values.get(name).copied().unwrap_or(0.0);
        let mark = if *confidence > 0.0 { "✓" } else { "·" };
        console::say(format!(
            "  {mark} {name:<40} confidence {confidence:.3}  value {value:.3}  {:.1} µs",
            metrics.execution_time_us
        ));
    }
    for (name, score) in &explanation.projection_scores {
        console::say(format!("  = {name:<40} {score:.3}"));
    }
    for name in &explanation.projections {
        console::say(format!("  ✓ projection:{name}"));
    }
    console::say("decisions");
    for trace in &explanation.eval_trace {
        let mark = if trace.matched { "✓" } else { "·" };
        console::say(format!(
            "  {mark} {:<40} priority {}  tier {}  confidence {:.3}",
            trace.decision, trace.priority, trace.tier, trace.confidence
        ));
    }
    console::say(format!(
        "decision   {}",
        explanation.routing_decision.as_deref().unwrap_or("none")
    ));
    match &explanation.looped {
        Some(looped) => several(looped),
        None => selected(explanation),
    }
    console::say(format!(
        "candidates {}",
        explanation.recommended_models.join(", ")
    ));
}

/// Who would be asked for one answer, stage by stage.
fn several(looped: &LoopPlan) {
    console::say(format!(
        "loop       {}, up to {} calls; where a model fails: {}",
        looped.kind, looped.most_calls, looped.on_error
    ));
    for stage in &looped.stages {
        let models = stage.models.join(", ");
        let mut together = String::new();
        if stage.models.len() > 1 {
            together = format!("  ({} at once, {} are enough)", stage.at_once, stage.enough);
        }
        console::say(format!("  {:<24} {models}{together}", stage.name));
    }
}

fn selected(explanation: &Explanation) {
    let Some(selected) = &explanation.selected_model else {
        console::say("model      none");
        return;
    };
    let lora = selected
        .lora_name
        .as_ref()
        .map(|lora| format!(", adapter {lora}"))
        .unwrap_or_default();
    let reasoning = match selected.use_reasoning {
        Some(true) => ", reasoning on",
        Some(false) => ", reasoning off",
        None => "",
    };
    console::say(format!(
        "model      {}{lora}{reasoning} ({})",
        selected.model, explanation.selection_method
    ));
}

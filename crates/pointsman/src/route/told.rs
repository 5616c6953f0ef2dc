//! What is understood and decided, for people to read.

use std::fmt::Write as _;

use pointsman_routing::loops::LoopPlan;
use pointsman_routing::selection::{Ranked, Ranking};
use pointsman_routing::{Explanation, Line};
use pointsman_understanding::{HeadAnswer, Source};

use super::columns::{WIDE, left, listed, right, wrapped};
use super::survey::{Survey, TimedHead};
use crate::console;

/// Labels that are told of a head with many, at most.
const LABELS: usize = 3;
/// Characters of a prompt that are told.
const SHOWN: usize = 86;

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
    points(answer).iter().for_each(console::say);
}

/// Thresholds with names, where they say more than "the most probable".
fn points(answer: &HeadAnswer) -> Vec<String> {
    let named = answer.points.iter().filter(|point| point.name != "balanced");
    let told = named.map(|point| {
        let holds = if point.holds { "yes" } else { "no" };
        format!(
            "{} {holds} ({} ≥ {:.3})",
            point.name, point.label, point.threshold
        )
    });
    listed(told, 15)
}

fn row(name: &str, line: &str, source: Source, took_us: u64) {
    console::say(format!(
        "  {} {} {} {}",
        left(name, 12),
        left(line, 64),
        left(source.name(), 8),
        right(&time(took_us), 9)
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

fn brief(micros: f64) -> String {
    if micros < 1_000.0 {
        format!("{micros:.1} µs")
    } else {
        format!("{:.1} ms", micros / 1_000.0)
    }
}

/// Tells how it is routed.
pub(super) fn routing(explanation: &Explanation) {
    lines(explanation).iter().for_each(console::say);
}

/// How it is routed, line by line.
fn lines(explanation: &Explanation) -> Vec<String> {
    let mut lines = signals(explanation);
    lines.extend(decisions(explanation));
    if let Some(ranking) = &explanation.selection {
        lines.extend(candidates(ranking));
    }
    match &explanation.looped {
        Some(looped) => lines.extend(several(looped)),
        None => lines.push(selected(explanation)),
    }
    let others = explanation.recommended_models.get(1..).unwrap_or_default();
    if !others.is_empty() {
        let others = format!("then       {}", others.join(", "));
        lines.extend(wrapped(&others, 0));
    }
    lines
}

fn signals(explanation: &Explanation) -> Vec<String> {
    let mut lines = vec![format!(
        "{} {:>10} {:>10} {:>12}",
        left("signals", 64),
        "confidence",
        "value",
        "time"
    )];
    for (name, confidence) in &explanation.signal_confidences {
        let took = explanation
            .metrics
            .get(name)
            .map_or(0.0, |metrics| metrics.execution_time_us);
        let value = explanation.signal_values.get(name).copied().unwrap_or(0.0);
        let (kind, own) = name.split_once(':').unwrap_or(("", name));
        let matching = explanation.matched_signals.get(kind);
        let matches = matching.is_some_and(|names| names.iter().any(|matching| matching == own));
        let mark = if matches { '✓' } else { '·' };
        lines.push(format!(
            "  {mark} {} {confidence:>10.3} {} {:>12}",
            left(name, 60),
            right(&format!("{value:.3}"), 10),
            right(&brief(took), 12)
        ));
    }
    for name in &explanation.failed {
        lines.push(format!(
            "  ! {} nobody could answer: it does not match",
            left(name, 56)
        ));
    }
    for (name, score) in &explanation.projection_scores {
        lines.push(format!(
            "  = {} {:>10} {}",
            left(name, 60),
            "",
            right(&format!("{score:.3}"), 10)
        ));
    }
    for name in &explanation.projections {
        lines.push(format!(
            "  ✓ {}",
            left(&format!("projection:{name}"), 60).trim_end()
        ));
    }
    lines
}

fn decisions(explanation: &Explanation) -> Vec<String> {
    let mut lines = vec![format!(
        "{} {:>10} {:>10} {:>12}",
        left("decisions", 64),
        "confidence",
        "priority",
        "tier"
    )];
    for trace in &explanation.eval_trace {
        let taken = explanation.routing_decision.as_deref() == Some(trace.decision.as_str());
        let mark = match (taken, trace.matched) {
            (true, _) => '→',
            (false, true) => '✓',
            (false, false) => '·',
        };
        lines.push(format!(
            "  {mark} {} {:>10.3} {:>10} {:>12}",
            left(&trace.decision, 60),
            trace.confidence,
            trace.priority,
            trace.tier
        ));
        lines.extend(wrapped(&Line::of(&trace.rules).0, 6));
    }
    let taken = explanation.routing_decision.as_deref().unwrap_or("none");
    lines.push(format!("decision   {}", left(taken, WIDE - 11).trim_end()));
    lines
}

fn candidates(ranking: &Ranking) -> Vec<String> {
    let heading = format!("candidates by {}", ranking.method);
    let mut lines = vec![format!(
        "{} {:>10} {:>10} {:>12}",
        left(&heading, 64),
        "score",
        "quality",
        "cost $"
    )];
    let number = |number: Option<f64>| number.map_or_else(|| "-".to_owned(), |number| format!("{number:.3}"));
    for (place, ranked) in ranking.ranked.iter().enumerate() {
        let Ranked { score, quality, .. } = ranked;
        #[allow(clippy::cast_precision_loss, reason = "for reading")]
        let cost = ranked
            .cost
            .map_or_else(|| "-".to_owned(), |cost| format!("{:.6}", cost as f64 / 1e9));
        lines.push(format!(
            "  {} {} {} {} {}",
            if place == 0 { '→' } else { '·' },
            left(&ranked.model, 60),
            right(&number(*score), 10),
            right(&number(*quality), 10),
            right(&cost, 12)
        ));
        let parts = ranked
            .parts
            .iter()
            .map(|(name, value)| format!("{name} {value:.3}"));
        let parts: Vec<String> = parts.collect();
        if !parts.is_empty() {
            lines.extend(wrapped(&parts.join(", "), 6));
        }
    }
    for unfit in &ranking.unfit {
        lines.push(format!(
            "  ✗ {} {}",
            left(&unfit.model, 30),
            left(unfit.reason, 60).trim_end()
        ));
    }
    for note in &ranking.notes {
        lines.extend(wrapped(note, 6));
    }
    lines
}

/// Who would be asked for one answer, stage by stage.
fn several(looped: &LoopPlan) -> Vec<String> {
    let head = format!(
        "loop       {}, up to {} calls; where a model fails: {}",
        looped.kind, looped.most_calls, looped.on_error
    );
    let mut lines = wrapped(&head, 0);
    for stage in &looped.stages {
        let models = stage.models.join(", ");
        let mut together = String::new();
        if stage.models.len() > 1 {
            together = format!(" ({} at once, {} are enough)", stage.at_once, stage.enough);
        }
        lines.extend(wrapped(&format!("{:<24} {models}{together}", stage.name), 2));
    }
    lines
}

fn selected(explanation: &Explanation) -> String {
    let Some(selected) = &explanation.selected_model else {
        return "model      none".to_owned();
    };
    let mut line = format!("model      {}", selected.model);
    if let Some(lora) = &selected.lora_name {
        let _ = write!(line, ", adapter {lora}");
    }
    match selected.use_reasoning {
        Some(true) => line.push_str(", reasoning on"),
        Some(false) => line.push_str(", reasoning off"),
        None => {}
    }
    let _ = write!(line, " ({})", explanation.selection_method);
    left(&line, WIDE).trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use pointsman_routing::{Facts, Router};
    use serde_json::json;

    use super::super::columns::WIDE;
    use super::lines;

    #[test]
    fn what_is_told_fits_a_terminal_and_stands_in_columns() {
        let long = "a_decision_with_a_name_that_is_longer_than_any_column_has_room_for_and_then_some_more";
        let config = json!({
            "modelCards": [{"name": "large", "quality_score": 0.9}, {"name": "small", "quality_score": 0.4}],
            "signals": {
                "keywords": [
                    {"name": "sums", "operator": "OR", "keywords": ["algebra"]},
                    {"name": long, "operator": "OR", "keywords": ["geometry"]}
                ],
                "context": [{"name": "long", "min_tokens": "1K", "max_tokens": "100K"}]
            },
            "projections": {
                "scores": [{"name": "hardness", "inputs": [{"type": "keyword", "name": "sums", "weight": 0.75}]}],
                "mappings": [{"name": "bands", "source": "hardness", "outputs": [{"name": "hard", "gte": 0.5}]}]
            },
            "decisions": [
                {"name": long, "priority": 200, "modelRefs": [{"model": "large"}], "rules": {"operator": "AND", "conditions": [
                    {"type": "keyword", "name": long}, {"type": "context", "name": "long"}, {"type": "projection", "name": "hard"}]}},
                {"name": "maths", "priority": 9, "rules": {"type": "projection", "name": "hard"},
                 "algorithm": {"type": "thompson"}, "modelRefs": [{"model": "large"}, {"model": "small"}]}
            ]
        });
        let router = Router::compile(&serde_json::from_value(config).unwrap()).unwrap();
        let facts = Facts {
            user_text: "some algebra",
            ..Facts::default()
        };
        let told = lines(&router.explain(&facts, 0.5));
        let text = told.join("\n");
        for line in &told {
            assert!(line.chars().count() <= WIDE, "{line}");
            assert_eq!(line.trim_end(), line);
        }
        // Tables end at one edge.
        let edges = ["signals ", "decisions ", "candidates by"].map(|heading| {
            let line = told.iter().find(|line| line.starts_with(heading));
            line.map(|line| line.chars().count())
        });
        assert!(
            edges.iter().all(|edge| *edge == edges[0] && edge.is_some()),
            "{edges:?}\n{text}"
        );
        for expected in [
            "  ✓ keyword:sums ",
            "  → maths ",
            "      ✓ projection:hard",
            "      ✗ AND(✗",
            "  → large ",
            "decision   maths",
            "model      large (thompson)",
            "then       small",
        ] {
            assert!(
                told.iter().any(|line| line.starts_with(expected)),
                "{expected}\n{text}"
            );
        }
    }
}

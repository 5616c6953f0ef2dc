//! `pointsman eval`: labelled prompts in, accuracy, confusion, calibration and latency out.

mod classes;
mod rows;
mod spans;
mod told;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use pointsman_gateway::signals::{Examples, Models};
use pointsman_routing::Router;
use pointsman_understanding::{Ask, Nobody, Understanding, UnderstandingConfig};
use serde::Serialize;

use crate::console;
use crate::route::{Prompt, configuration, explain};
use classes::{Classes, Measured};
use rows::Row;
use spans::{MeasuredSpans, Spans};

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// JSON lines, gzip'd or not: {"text": …} with "label" (of the head that knows all labels of the file, or of --head),
    /// or a head's name as key ("domain": "math"); "spans" of {"start", "end", "type"} in characters for personal data;
    /// "decision" for routing.
    file: PathBuf,
    /// The head that "label" is about.
    #[arg(long)]
    head: Option<String>,
    /// The operating point at which heads that say yes or no are judged.
    #[arg(long, default_value = "fpr_1pct")]
    point: String,
    /// The encoder reads every prompt, however sure the first stage is.
    #[arg(long)]
    thorough: bool,
    /// The configuration; ./pointsman.yaml where there is one.
    #[arg(short, long)]
    config: Option<PathBuf>,
    /// As JSON.
    #[arg(long)]
    json: bool,
}

/// What came out.
#[derive(Default, Serialize)]
pub(crate) struct Report {
    /// Prompts.
    prompts: usize,
    /// By head, and `decision` for routing.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    heads: BTreeMap<String, Measured>,
    /// Personal data.
    #[serde(skip_serializing_if = "Option::is_none")]
    spans: Option<MeasuredSpans>,
}

/// Times of answers, and where they came from.
#[derive(Default)]
struct Times {
    all: Vec<Duration>,
    stages: BTreeMap<&'static str, usize>,
}

/// Times, told.
#[derive(Serialize)]
struct Latency {
    p50_us: u64,
    p99_us: u64,
    /// Share of answers that each stage gave.
    stages: BTreeMap<&'static str, f64>,
}

impl Times {
    fn add(&mut self, took: Duration, stage: &'static str) {
        self.all.push(took);
        *self.stages.entry(stage).or_default() += 1;
    }

    #[allow(clippy::cast_precision_loss, reason = "shares for reading")]
    fn told(mut self) -> Latency {
        self.all.sort_unstable();
        let at = |share: usize| {
            let place = (self.all.len() * share / 100).min(self.all.len().saturating_sub(1));
            let time = self.all.get(place).copied().unwrap_or_default();
            u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
        };
        let count = self.all.len().max(1) as f64;
        Latency {
            p50_us: at(50),
            p99_us: at(99),
            stages: self
                .stages
                .iter()
                .map(|(stage, number)| (*stage, *number as f64 / count))
                .collect(),
        }
    }
}

pub(crate) async fn run(arguments: &Arguments) -> ExitCode {
    let config = match configuration(arguments.config.as_deref()) {
        Ok(config) => config,
        Err(code) => return code,
    };
    let router = match config.routing.as_ref().map(Router::compile).transpose() {
        Ok(router) => router,
        Err(errors) => return console::fail(&format!("routing: {errors:?}")),
    };
    // What is kept would be told with the time that looking it up takes.
    let understanding = Understanding::new(&UnderstandingConfig {
        kept: 0,
        ..config.understanding
    });
    let measured = match rows::read(&arguments.file) {
        Ok(rows) => measure(arguments, &rows, &understanding, router.as_ref()).await,
        Err(problem) => Err(problem),
    };
    match measured {
        Ok(report) if arguments.json => {
            console::say(serde_json::to_string_pretty(&report).unwrap_or_default());
            ExitCode::SUCCESS
        }
        Ok(report) => {
            told::report(&report);
            ExitCode::SUCCESS
        }
        Err(problem) => console::fail(&format!("{}: {problem}", arguments.file.display())),
    }
}

async fn measure(
    arguments: &Arguments,
    rows: &[Row],
    understanding: &Understanding,
    router: Option<&Router>,
) -> Result<Report, String> {
    let (engine, _) = understanding.warm().await.map_err(|error| error.to_string())?;
    let heads: Vec<(&str, &[String])> = engine
        .heads()
        .iter()
        .map(|(head, _)| (head.name.as_str(), head.labels.as_slice()))
        .collect();
    let labelled = rows::head_of_labels(rows, arguments.head.as_deref(), &heads)?;
    let mut report = Report {
        prompts: rows.len(),
        ..Report::default()
    };
    for (name, _) in &heads {
        let wanted = rows
            .iter()
            .filter_map(|row| Some((row, row.label_of(name, labelled.as_deref())?)))
            .collect::<Vec<_>>();
        if !wanted.is_empty() {
            let measured = head(arguments, name, &wanted, understanding).await?;
            report.heads.insert((*name).to_owned(), measured);
        }
    }
    if rows.iter().any(|row| row.decision.is_some()) {
        let router =
            router.ok_or("it has decisions, but no routing is configured: name a configuration with -c")?;
        report.heads.insert(
            "decision".to_owned(),
            decisions(rows, router, understanding).await,
        );
    }
    if rows.iter().any(|row| row.spans.is_some()) {
        report.spans = Some(personal(rows, understanding).await?);
    }
    if report.heads.is_empty() && report.spans.is_none() {
        return Err("no line has a label, spans or a decision".to_owned());
    }
    Ok(report)
}

/// One head over all prompts that are labelled for it.
async fn head(
    arguments: &Arguments,
    name: &str,
    rows: &[(&Row, String)],
    understanding: &Understanding,
) -> Result<Measured, String> {
    let ask = Ask {
        thorough: arguments.thorough,
        ..Ask::head(name)
    };
    let (mut classes, mut times) = (Classes::default(), Times::default());
    for (row, label) in rows {
        let text: Arc<str> = row.text.as_str().into();
        let read = understanding.read(&text, &ask, &Nobody).await;
        let read = read.map_err(|error| format!("line {}: {error}", row.line))?;
        if let Some(answer) = read.head(name) {
            classes.add(label, answer, &arguments.point);
            times.add(read.took, answer.stage.name());
        }
    }
    Ok(classes.measured(times.told()))
}

/// Routing over all prompts that have a decision.
async fn decisions(rows: &[Row], router: &Router, understanding: &Understanding) -> Measured {
    let (mut classes, mut times) = (Classes::default(), Times::default());
    let examples = Examples::of(router);
    let models = Models {
        understanding,
        remotes: &Nobody,
        examples: &examples,
        helper: None,
    };
    for row in rows {
        let Some(expected) = &row.decision else { continue };
        let begun = std::time::Instant::now();
        let prompt = Prompt {
            text: &row.text,
            prices: None,
        };
        let explained = explain(router, &models, &prompt).await;
        times.add(begun.elapsed(), "router");
        classes.decided(expected, explained.routing_decision.as_deref().unwrap_or("none"));
    }
    classes.measured(times.told())
}

/// Personal data over all prompts that have spans, also none.
async fn personal(rows: &[Row], understanding: &Understanding) -> Result<MeasuredSpans, String> {
    let (mut spans, mut times) = (Spans::default(), Times::default());
    let ask = Ask::entities();
    for row in rows {
        let Some(expected) = &row.spans else { continue };
        let text: Arc<str> = row.text.as_str().into();
        let read = understanding.read(&text, &ask, &Nobody).await;
        let read = read.map_err(|error| format!("line {}: {error}", row.line))?;
        times.add(read.took, "encoder");
        spans.add(expected, &read.entities);
    }
    Ok(spans.measured(times.told()))
}

//! One thing of several texts.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use futures_util::stream::{self, StreamExt, TryStreamExt};
use pointsman_understanding::{Ask, Understood};
use pointsman_wire::form::{Failure, FailureKind};

use super::Here;
use super::classify::{fact_check, feedback, is_sure, ms, pii, probabilities, security};
use super::shapes::{
    Batch, BatchAsked, BatchResult, IntentOptions, PiiOptions, SecurityOptions, Statistics, ThresholdOptions,
};

/// Texts of one batch, at most.
const MAX_TEXTS: usize = 256;
/// Texts of one batch that are read at a time: the rest of the queue is for others.
const AT_ONCE: usize = 16;

/// What is asked of each text.
#[derive(Clone, Copy)]
enum Task {
    Intent,
    Pii,
    Security,
    FactCheck,
    Feedback,
}

impl Task {
    fn named(name: Option<&str>) -> Result<Self, Failure> {
        match name.unwrap_or("intent") {
            "" | "intent" | "all" => Ok(Self::Intent),
            "pii" => Ok(Self::Pii),
            "security" => Ok(Self::Security),
            "fact_check" | "fact-check" => Ok(Self::FactCheck),
            "user_feedback" | "user-feedback" => Ok(Self::Feedback),
            other => {
                let message = format!(
                    "there is no task {other:?}; there are intent, pii, security, fact_check, user_feedback"
                );
                Err(Failure::new(FailureKind::InvalidRequest, message).at("task_type"))
            }
        }
    }

    fn ask(self) -> Ask {
        match self {
            Self::Intent => Ask::head("domain"),
            Self::Pii => Ask::entities(),
            Self::Security => Ask::head("jailbreak"),
            Self::FactCheck => Ask::head("fact_check"),
            Self::Feedback => Ask::head("feedback"),
        }
    }

    /// The category of a text, and how surely.
    fn category(self, text: &str, read: &Understood) -> Result<(String, f32), Failure> {
        Ok(match self {
            Self::Intent => read
                .head("domain")
                .map(|answer| (answer.label.clone(), answer.probability))
                .unwrap_or_default(),
            Self::Pii => {
                let found = pii(text, read, &PiiOptions::default());
                let best = found
                    .entities
                    .into_iter()
                    .max_by(|left, right| left.confidence.total_cmp(&right.confidence));
                best.map_or_else(
                    || ("no_pii".to_owned(), 1.0),
                    |entity| (entity.kind, entity.confidence),
                )
            }
            Self::Security => {
                let told = security(read, &SecurityOptions::default())?;
                let category = if told.is_jailbreak { "jailbreak" } else { "safe" };
                (category.to_owned(), told.confidence)
            }
            Self::FactCheck => {
                let told = fact_check(read, &ThresholdOptions::default())?;
                (told.label, told.confidence)
            }
            Self::Feedback => {
                let told = feedback(read, &ThresholdOptions::default())?;
                (told.label, told.confidence)
            }
        })
    }
}

/// Answers for each text.
pub async fn answer(here: &Here<'_>, asked: BatchAsked) -> Result<Bytes, Failure> {
    let begun = Instant::now();
    let wrong = |message: String| Failure::new(FailureKind::InvalidRequest, message).at("texts");
    if asked.texts.is_empty() {
        return Err(wrong("texts array cannot be empty".to_owned()));
    }
    if asked.texts.len() > MAX_TEXTS {
        return Err(wrong(format!(
            "at most {MAX_TEXTS} texts can be asked about at once; send fewer"
        )));
    }
    let task = Task::named(asked.task_type.as_deref())?;
    let texts: Vec<Arc<str>> = asked
        .texts
        .iter()
        .map(|text| super::some_text(text, "texts"))
        .collect::<Result<_, _>>()?;
    let ask = task.ask();
    let mut each = Vec::with_capacity(texts.len());
    for text in &texts {
        each.push(here.read(text, &ask));
    }
    let read: Vec<Understood> = stream::iter(each).buffered(AT_ONCE).try_collect().await?;
    let results = texts
        .iter()
        .zip(&read)
        .map(|(text, read)| result(task, text, read, &asked.options))
        .collect::<Result<Vec<_>, _>>()?;
    super::written(&Batch {
        total_count: results.len(),
        statistics: statistics(&results, &asked.options),
        processing_time_ms: ms(begun.elapsed()),
        results,
    })
}

fn result(
    task: Task,
    text: &str,
    read: &Understood,
    options: &IntentOptions,
) -> Result<BatchResult, Failure> {
    let (category, confidence) = task.category(text, read)?;
    let answer = read.heads.first().filter(|_| options.return_probabilities);
    Ok(BatchResult {
        category,
        confidence,
        processing_time_ms: ms(read.took),
        probabilities: answer.map(probabilities),
    })
}

#[allow(clippy::cast_precision_loss, reason = "batches are small")]
fn statistics(results: &[BatchResult], options: &IntentOptions) -> Statistics {
    let mut category_distribution = BTreeMap::new();
    for result in results {
        *category_distribution.entry(result.category.clone()).or_default() += 1;
    }
    let sum: f32 = results.iter().map(|result| result.confidence).sum();
    let unsure = results
        .iter()
        .filter(|result| !is_sure(result.confidence, options));
    Statistics {
        category_distribution,
        avg_confidence: sum / results.len().max(1) as f32,
        low_confidence_count: unsure.count(),
    }
}

//! Classes of one text: what it is about, personal data, attacks, whether to check, what the user thinks.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use pointsman_understanding::{Ask, Entity, HeadAnswer, Understood, Wanted};
use pointsman_wire::form::{Failure, FailureKind};
use serde::de::DeserializeOwned;

use super::Here;
use super::shapes::{
    Asked, Classification, Combined, CombinedAsked, FactCheck, Feedback, Intent, IntentOptions, Pii,
    PiiEntity, PiiOptions, Security, SecurityOptions, ThresholdOptions,
};
use crate::road::explain;
use crate::surface::Understand;

/// Names of the heads.
const DOMAIN: &str = "domain";
const JAILBREAK: &str = "jailbreak";
const FACT_CHECK: &str = "fact_check";
const FEEDBACK: &str = "feedback";
/// Below this a category is not sure, unless the client says otherwise.
const SURE: f32 = 0.7;
/// What the head of feedback says of a text that is none.
const NO_FEEDBACK: &str = "none";

/// Answers what is asked of one text, or of a batch.
pub async fn answer(here: &Here<'_>, what: Understand, body: &Bytes) -> Result<Bytes, Failure> {
    match what {
        Understand::Intent => {
            let (text, options) = asked::<IntentOptions>(body)?;
            let read = here.read(&text, &Ask::head(DOMAIN)).await?;
            super::written(&intent(here, &text, &read, &options).await?)
        }
        Understand::Pii => {
            let (text, options) = asked::<PiiOptions>(body)?;
            let read = here.read(&text, &Ask::entities()).await?;
            super::written(&pii(&text, &read, &options))
        }
        Understand::Security => {
            let (text, options) = asked::<SecurityOptions>(body)?;
            let read = here.read(&text, &Ask::head(JAILBREAK)).await?;
            super::written(&security(&read, &options)?)
        }
        Understand::FactCheck => {
            let (text, options) = asked::<ThresholdOptions>(body)?;
            let read = here.read(&text, &Ask::head(FACT_CHECK)).await?;
            super::written(&fact_check(&read, &options)?)
        }
        Understand::UserFeedback => {
            let (text, options) = asked::<ThresholdOptions>(body)?;
            let read = here.read(&text, &Ask::head(FEEDBACK)).await?;
            super::written(&feedback(&read, &options)?)
        }
        Understand::Combined => combined(here, super::read(body)?).await,
        Understand::Batch => super::batch::answer(here, super::read(body)?).await,
        Understand::Embeddings | Understand::Similarity | Understand::Similarities => {
            Err(Failure::new(FailureKind::Internal, "it is answered elsewhere"))
        }
    }
}

/// The text that is asked about, and how.
fn asked<O: DeserializeOwned + Default>(body: &Bytes) -> Result<(Arc<str>, O), Failure> {
    let asked: Asked<O> = super::read(body)?;
    let text = match &asked.messages {
        Some(messages) => {
            let said = super::last_said(messages)?;
            if said.is_empty() {
                asked.text.as_str().into()
            } else {
                said
            }
        }
        None => asked.text.as_str().into(),
    };
    Ok((
        super::some_text(&text, "text")?,
        asked.options.unwrap_or_default(),
    ))
}

/// What a head says.
fn head<'r>(read: &'r Understood, name: &str) -> Result<&'r HeadAnswer, Failure> {
    read.head(name).ok_or_else(|| {
        Failure::new(
            FailureKind::Unavailable,
            format!("the model has no head {name:?}"),
        )
    })
}

pub(super) fn ms(took: Duration) -> u64 {
    u64::try_from(took.as_millis()).unwrap_or(u64::MAX)
}

pub(super) fn probabilities(answer: &HeadAnswer) -> BTreeMap<String, f32> {
    answer.probabilities.iter().cloned().collect()
}

/// Whether a category is sure.
pub(super) fn is_sure(confidence: f32, options: &IntentOptions) -> bool {
    confidence
        >= options
            .confidence_threshold
            .filter(|least| *least > 0.0)
            .unwrap_or(SURE)
}

async fn intent(
    here: &Here<'_>,
    text: &str,
    read: &Understood,
    options: &IntentOptions,
) -> Result<Intent, Failure> {
    let answer = head(read, DOMAIN)?;
    let mut intent = Intent {
        classification: Classification {
            category: answer.label.clone(),
            confidence: answer.probability,
            processing_time_ms: ms(read.took),
        },
        probabilities: options.return_probabilities.then(|| probabilities(answer)),
        recommended_model: None,
        routing_decision: match is_sure(answer.probability, options) {
            true => "high_confidence_specialized".to_owned(),
            false => "low_confidence_general".to_owned(),
        },
        matched_signals: BTreeMap::new(),
        stage: answer.stage.name(),
    };
    if let Some(router) = &here.arrival().snapshot.router {
        let request = explain::prompt(None, text)?;
        let explained = here.explained(router, &request).await;
        intent.recommended_model = explained.selected_model.map(|selected| selected.model);
        intent.matched_signals = explained.matched_signals;
        if let Some(decision) = explained.routing_decision {
            intent.routing_decision = decision;
        }
    }
    Ok(intent)
}

/// Whether a kind is one of those that are asked for: by its name, by a part of it (`EMAIL`), or as a place.
fn is_wanted(kind: &str, wanted: &[String]) -> bool {
    wanted.is_empty()
        || wanted.iter().any(|name| {
            let name = name.to_ascii_uppercase();
            name == "ALL"
                || name == kind
                || kind.split('_').any(|part| part == name)
                || (name == "LOCATION" && matches!(kind, "GPE" | "STREET_ADDRESS" | "ZIP_CODE"))
        })
}

pub(super) fn pii(text: &str, read: &Understood, options: &PiiOptions) -> Pii {
    let least = options.confidence_threshold.unwrap_or(0.0);
    let found: Vec<&Entity> = read
        .entities
        .iter()
        .filter(|entity| entity.probability >= least && is_wanted(&entity.kind, &options.entity_types))
        .collect();
    // The same value has the same mask, wherever it stands.
    let mut masks: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    let mut masked = String::new();
    let mut behind = 0;
    let mut entities = Vec::with_capacity(found.len());
    for entity in &found {
        let value = text.get(entity.start..entity.end).unwrap_or_default();
        let known = masks.entry(&entity.kind).or_default();
        let number = known.iter().position(|other| *other == value).unwrap_or_else(|| {
            known.push(value);
            known.len() - 1
        });
        let mask = format!("[{}_{number}]", entity.kind);
        if entity.start >= behind {
            masked.push_str(text.get(behind..entity.start).unwrap_or_default());
            masked.push_str(&mask);
            behind = entity.end;
        }
        let characters = |place: usize| text.get(..place).map(|before| before.chars().count());
        entities.push(PiiEntity {
            kind: entity.kind.clone(),
            value: match options.reveal_entity_text {
                true => value.to_owned(),
                false => "[DETECTED]".to_owned(),
            },
            confidence: entity.probability,
            start_position: characters(entity.start).filter(|_| options.return_positions),
            end_position: characters(entity.end).filter(|_| options.return_positions),
            masked_value: options.mask_entities.then_some(mask),
        });
    }
    masked.push_str(text.get(behind..).unwrap_or_default());
    Pii {
        has_pii: !entities.is_empty(),
        masked_text: (options.mask_entities && !entities.is_empty()).then_some(masked),
        security_recommendation: if entities.is_empty() { "allow" } else { "block" },
        entities,
        processing_time_ms: ms(read.took),
    }
}

pub(super) fn security(read: &Understood, options: &SecurityOptions) -> Result<Security, Failure> {
    let point = match options.sensitivity.as_deref() {
        Some("low") => "fpr_0.1pct",
        Some("high") => "fpr_3pct",
        None | Some("" | "medium") => "fpr_1pct",
        Some(other) => {
            let message = format!("sensitivity {other:?} is none of low, medium and high");
            return Err(Failure::new(FailureKind::InvalidRequest, message).at("options.sensitivity"));
        }
    };
    let answer = head(read, JAILBREAK)?;
    let point = answer.point(point);
    let (label, holds) = match point {
        Some(point) => (point.label.as_str(), point.holds),
        None => (answer.label.as_str(), answer.probability >= 0.5),
    };
    let risk = answer.of(label);
    let kinds = match holds {
        true => attack_kinds(answer, label),
        false => Vec::new(),
    };
    let reasoning = options.include_reasoning.then(|| {
        let is = if holds { "reaches" } else { "stays below" };
        let threshold = point.map_or(0.5, |point| point.threshold);
        let name = point.map_or("balanced", |point| point.name.as_str());
        format!("{label} at {risk:.3} {is} {threshold:.3}, the threshold of {name}")
    });
    Ok(Security {
        is_jailbreak: holds,
        risk_score: risk,
        patterns_detected: kinds.clone(),
        detection_types: kinds,
        confidence: if holds { risk } else { 1.0 - risk },
        recommendation: if holds { "block" } else { "allow" },
        reasoning,
        operating_point: point.map(|point| point.name.clone()),
        threshold: point.map(|point| point.threshold),
        processing_time_ms: ms(read.took),
    })
}

/// Which kinds of attack it is: those that hold by themselves, or the most probable one.
fn attack_kinds(answer: &HeadAnswer, attack: &str) -> Vec<String> {
    if !answer.independent {
        return vec![attack.to_owned()];
    }
    let kinds = answer.probabilities.iter().filter(|(label, _)| label != attack);
    let holding: Vec<String> = kinds
        .clone()
        .filter(|(_, probability)| *probability >= 0.5)
        .map(|(label, _)| label.clone())
        .collect();
    if !holding.is_empty() {
        return holding;
    }
    let likeliest = kinds.max_by(|left, right| left.1.total_cmp(&right.1));
    vec![likeliest.map_or_else(|| attack.to_owned(), |(label, _)| label.clone())]
}

pub(super) fn fact_check(read: &Understood, options: &ThresholdOptions) -> Result<FactCheck, Failure> {
    let answer = head(read, FACT_CHECK)?;
    let yes = answer
        .point("fpr_1pct")
        .map_or(answer.label.as_str(), |point| point.label.as_str());
    let probability = answer.of(yes);
    let needed = probability >= options.confidence_threshold.unwrap_or(0.5);
    Ok(FactCheck {
        needs_fact_check: needed,
        label: if needed {
            "FACT_CHECK_NEEDED"
        } else {
            "NO_FACT_CHECK_NEEDED"
        }
        .to_owned(),
        confidence: if needed { probability } else { 1.0 - probability },
        processing_time_ms: ms(read.took),
    })
}

pub(super) fn feedback(read: &Understood, options: &ThresholdOptions) -> Result<Feedback, Failure> {
    let answer = head(read, FEEDBACK)?;
    let unsure = options
        .confidence_threshold
        .is_some_and(|least| answer.probability < least);
    Ok(Feedback {
        abstained: unsure || answer.label == NO_FEEDBACK,
        feedback_type: answer.label.clone(),
        label: answer.label.clone(),
        confidence: answer.probability,
        processing_time_ms: ms(read.took),
    })
}

/// All in one pass.
async fn combined(here: &Here<'_>, asked: CombinedAsked) -> Result<Bytes, Failure> {
    let begun = Instant::now();
    let text = super::some_text(&asked.text, "text")?;
    let mut ask = Ask::default();
    let mut heads = Vec::new();
    for task in &asked.tasks {
        match task.as_str() {
            "intent" => heads.push(DOMAIN.to_owned()),
            "security" => heads.push(JAILBREAK.to_owned()),
            "fact_check" | "fact-check" => heads.push(FACT_CHECK.to_owned()),
            "user_feedback" | "user-feedback" => heads.push(FEEDBACK.to_owned()),
            "pii" => ask.entities = true,
            other => {
                let message = format!(
                    "there is no task {other:?}; there are intent, pii, security, fact_check, user_feedback"
                );
                return Err(Failure::new(FailureKind::InvalidRequest, message).at("tasks"));
            }
        }
    }
    heads.dedup();
    ask.heads = Wanted::Named(heads);
    let read = here.read(&text, &ask).await?;
    let has = |name: &str| read.head(name).is_some();
    let intent_options = asked.intent_options.or(asked.options.intent).unwrap_or_default();
    let pii_options = asked.pii_options.or(asked.options.pii).unwrap_or_default();
    let security_options = asked
        .security_options
        .or(asked.options.security)
        .unwrap_or_default();
    let mut told = Combined {
        intent: match has(DOMAIN) {
            true => Some(intent(here, &text, &read, &intent_options).await?),
            false => None,
        },
        pii: ask.entities.then(|| pii(&text, &read, &pii_options)),
        security: has(JAILBREAK)
            .then(|| security(&read, &security_options))
            .transpose()?,
        fact_check: has(FACT_CHECK)
            .then(|| fact_check(&read, &ThresholdOptions::default()))
            .transpose()?,
        user_feedback: has(FEEDBACK)
            .then(|| feedback(&read, &ThresholdOptions::default()))
            .transpose()?,
        ..Combined::default()
    };
    told.processing_time_ms = ms(begun.elapsed());
    told.total_processing_time_ms = told.processing_time_ms;
    super::written(&told)
}

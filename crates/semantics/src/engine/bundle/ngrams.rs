//! N-grams of a file of weights: those of the first stage and those beside both.

use serde::Deserialize;

use super::told;
use crate::classify::{Across, Calibration, NgramHead, NgramModel, OperatingPoint};
use crate::container::Container;
use crate::engine::beside::{Beside, BesideSettings};
use crate::error::LoadError;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NgramSettings {
    bits: u32,
    runs: Vec<usize>,
    /// Bytes of a stretch, at most, where it is not the usual.
    stretch: Option<usize>,
    columns: usize,
    heads: Vec<NgramHeadSettings>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NgramHeadSettings {
    name: String,
    labels: Vec<String>,
    first_column: usize,
    across: Across,
    calibration: Calibration,
    #[serde(default)]
    points: Vec<OperatingPoint>,
}

/// The place of the head of n-grams that says the same, at the stage of this name.
pub(super) fn counterpart(
    (stage, model): (&str, Option<&NgramModel>),
    name: Option<&String>,
    labels: &[String],
) -> Result<Option<usize>, String> {
    let Some(name) = name else { return Ok(None) };
    let heads = model.map(NgramModel::heads).unwrap_or_default();
    let place = heads.iter().position(|head| head.name == *name);
    let place = place.ok_or_else(|| format!("the {stage} has no head `{name}`"))?;
    if heads[place].labels != labels {
        return Err(format!("labels are not those of the {stage}"));
    }
    Ok(Some(place))
}

/// How a head of these labels listens to n-grams beside it.
pub(super) fn beside_of(
    named: &BesideSettings,
    model: Option<&NgramModel>,
    (labels, calibration): (&[String], &Calibration),
) -> Result<Beside, String> {
    let missing = |name: &str| format!("the stage beside has no head `{name}`");
    let stage = ("stage beside", model);
    let head = counterpart(stage, Some(&named.head), labels)?.ok_or_else(|| missing(&named.head))?;
    let heads = model.map(NgramModel::heads).unwrap_or_default();
    let tongue = heads.iter().position(|head| head.name == named.tongue);
    let tongue = tongue.ok_or_else(|| missing(&named.tongue))?;
    if heads[tongue].labels.len() != 2 {
        return Err(format!("`{}` has other than two labels", named.tongue));
    }
    if matches!(calibration, Calibration::Temperature(_)) {
        return Err("`beside` is for labels that hold each by itself".to_owned());
    }
    if !(0.0..=1.0).contains(&named.calm) || !(0.0..=20.0).contains(&named.doubt) {
        return Err("`calm` is no probability, or `doubt` is not between 0 and 20".to_owned());
    }
    Ok(Beside {
        head,
        tongue,
        calm: named.calm,
        doubt: named.doubt,
    })
}

/// The table of this name.
pub(super) fn ngrams(
    container: &Container<'_>,
    settings: NgramSettings,
    name: &str,
) -> Result<NgramModel, LoadError> {
    if !(8..=24).contains(&settings.bits) {
        return Err(LoadError::malformed(
            container.file(),
            format!("settings: `{name}.bits` is not between 8 and 24"),
        ));
    }
    let weights = (
        container.signed(name, &[1 << settings.bits, settings.columns])?,
        container.floats(&format!("{name}.scale"), &[settings.columns])?,
        container.floats(&format!("{name}.bias"), &[settings.columns])?,
    );
    let heads = settings.heads.into_iter().map(|head| NgramHead {
        columns: head.first_column..head.first_column.saturating_add(head.labels.len()),
        name: head.name,
        labels: head.labels,
        across: head.across,
        calibration: head.calibration,
        points: head.points,
    });
    let model = NgramModel::new(settings.bits, &settings.runs, weights, heads.collect())
        .map_err(|error| told(container, &error))?;
    match settings.stretch {
        Some(bytes) => model.in_stretches(bytes).map_err(|error| told(container, &error)),
        None => Ok(model),
    }
}

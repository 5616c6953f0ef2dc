//! Ranges of scores that leave gaps, overlap, stand in the wrong order or out of reach; partitions that share members.

use super::world::{reach, samples};
use super::{Conflict, ConflictKind, tell};
use crate::config::{Band, MappingConfig, Predicate, RoutingConfig};

pub(super) fn check(config: &RoutingConfig, found: &mut Vec<Conflict>) {
    for (index, mapping) in config.projections.mappings.iter().enumerate() {
        let path = format!("projections.mappings[{index}]");
        let score = config
            .projections
            .scores
            .iter()
            .find(|score| score.name == mapping.source);
        let (least, most) = score.map_or((None, None), reach);
        check_mapping(mapping, &path, (least, most), found);
    }
    partitions(config, found);
}

fn check_mapping(
    mapping: &MappingConfig,
    path: &str,
    reach: (Option<f64>, Option<f64>),
    found: &mut Vec<Conflict>,
) {
    let every = mapping.method.as_deref() == Some("multi_emit");
    let cuts = cuts(mapping, reach);
    let samples = reached(&cuts, reach);
    for (number, band) in mapping.outputs.iter().enumerate() {
        let path = format!("{path}.outputs[{number}]");
        let range = band.predicate();
        let own: Vec<f64> = samples
            .iter()
            .copied()
            .filter(|value| range.holds(*value))
            .collect();
        let free = |value: &&f64| {
            !mapping.outputs[..number]
                .iter()
                .any(|other| other.predicate().holds(**value))
        };
        if own.is_empty() {
            let message = if is_empty(&range) {
                format!(
                    "{:?} holds for no number; its bounds exclude one another",
                    band.name
                )
            } else {
                format!(
                    "{:?} is out of reach: {}; change its bounds, or the weights",
                    band.name,
                    in_words(reach)
                )
            };
            tell(found, ConflictKind::Ranges, path, message);
        } else if every {
            // All that hold count: overlaps are meant.
        } else if own.iter().filter(free).count() == 0 {
            let message = format!(
                "{:?} never counts: those before it hold wherever it does; put it before them, or narrow them",
                band.name
            );
            tell(found, ConflictKind::Ranges, path, message);
        } else if let Some(other) = overlapped(mapping, number, &own) {
            let message = format!(
                "{:?} overlaps {:?}, which counts where both hold; let one end where the other begins",
                band.name, other.name
            );
            tell(found, ConflictKind::Ranges, path, message);
        }
    }
    let held = |value: &&f64| mapping.outputs.iter().any(|band| band.predicate().holds(**value));
    let inner = |value: &&f64| {
        cuts.first().is_some_and(|first| **value >= *first)
            && cuts.last().is_some_and(|last| **value <= *last)
    };
    // A gap between bands; none below the first or above the last: to say nothing there may be meant.
    let mut seen = false;
    for value in &samples {
        let covered = held(&value);
        let later = samples.iter().any(|other| other > value && held(&other));
        if !covered && seen && later && !every && inner(&value) {
            let message = format!(
                "{:?} has a gap: no output holds for {value}; let one of them begin where the one before ends",
                mapping.name
            );
            tell(found, ConflictKind::Ranges, path.to_owned(), message);
            break;
        }
        seen |= covered;
    }
}

/// The band before this one that holds where it does, if any.
fn overlapped<'a>(mapping: &'a MappingConfig, number: usize, own: &[f64]) -> Option<&'a Band> {
    let before = mapping.outputs[..number].iter();
    let mut before = before.filter(|other| own.iter().any(|value| other.predicate().holds(*value)));
    // A ladder of bounds on one side, such as lt 1, lt 2, lt 3: the first that holds is meant.
    let other = before.next()?;
    let band = &mapping.outputs[number];
    (!is_ladder(other, band)).then_some(other)
}

/// Whether two bands are bounded on the same side only: steps of one ladder.
fn is_ladder(one: &Band, other: &Band) -> bool {
    let below = |band: &Band| band.gt.or(band.gte).is_none();
    let above = |band: &Band| band.lt.or(band.lte).is_none();
    (below(one) && below(other)) || (above(one) && above(other))
}

fn is_empty(range: &Predicate) -> bool {
    let bounds = [range.gt, range.gte, range.lt, range.lte];
    let mut cuts: Vec<f64> = bounds.into_iter().flatten().collect();
    cuts.sort_unstable_by(f64::total_cmp);
    !samples(&cuts, false).into_iter().any(|value| range.holds(value))
}

fn cuts(mapping: &MappingConfig, reach: (Option<f64>, Option<f64>)) -> Vec<f64> {
    let bounds = mapping
        .outputs
        .iter()
        .flat_map(|band| [band.gt, band.gte, band.lt, band.lte]);
    let mut cuts: Vec<f64> = bounds
        .chain([reach.0, reach.1])
        .flatten()
        .filter(|cut| cut.is_finite())
        .collect();
    cuts.sort_unstable_by(f64::total_cmp);
    cuts.dedup();
    cuts
}

/// Numbers that stand for all that the score reaches.
fn reached(cuts: &[f64], reach: (Option<f64>, Option<f64>)) -> Vec<f64> {
    let inside = |value: &f64| {
        reach.0.is_none_or(|least| *value >= least) && reach.1.is_none_or(|most| *value <= most)
    };
    samples(cuts, false).into_iter().filter(inside).collect()
}

fn in_words(reach: (Option<f64>, Option<f64>)) -> String {
    // Zero is added, for there is a zero below zero.
    let round = |value: f64| (value * 1e6).round() / 1e6 + 0.0;
    match reach {
        (Some(least), Some(most)) => format!("the score goes from {} to {}", round(least), round(most)),
        _ => "no score goes there".to_owned(),
    }
}

fn partitions(config: &RoutingConfig, found: &mut Vec<Conflict>) {
    let partitions = &config.projections.partitions;
    for (index, partition) in partitions.iter().enumerate() {
        let path = format!("projections.partitions[{index}]");
        for (number, member) in partition.members.iter().enumerate() {
            let earlier = partitions[..index]
                .iter()
                .find(|other| other.members.contains(member));
            if let Some(other) = earlier {
                let message = format!(
                    "{member:?} is a member of {:?}, too: it can lose in one what it wins in the other; leave it in one",
                    other.name
                );
                tell(
                    found,
                    ConflictKind::Ranges,
                    format!("{path}.members[{number}]"),
                    message,
                );
            } else if partition.members[..number].contains(member) {
                let message = format!("{member:?} stands here twice; leave it once");
                tell(
                    found,
                    ConflictKind::Ranges,
                    format!("{path}.members[{number}]"),
                    message,
                );
            }
        }
        match &partition.default {
            None => {
                let message = format!(
                    "{:?} has a gap: nothing wins when no member matches; give a default",
                    partition.name
                );
                tell(found, ConflictKind::Ranges, path, message);
            }
            Some(default) if !partition.members.contains(default) => {
                let message = format!("the default {default:?} is no member; add it to members");
                tell(found, ConflictKind::Ranges, format!("{path}.default"), message);
            }
            Some(_) => {}
        }
    }
}

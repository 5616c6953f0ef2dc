//! Projections: partitions, scores and ranges, compiled over the signals that are there.

use super::Compiler;
use crate::config::{MappingConfig, PartitionConfig, Predicate, ScoreInput};
use crate::projection::{Input, Output, Partition, Score, Summand, ValueSource};
use crate::signal::{self, KbMetric, Signal};

/// How steeply a range grows surer, where nothing is said.
const SLOPE: f64 = 12.0;

impl Compiler<'_> {
    /// The signal that is a number of a knowledge base.
    fn metric(&mut self, path: &str, input: &ScoreInput) -> Option<usize> {
        let base = input.kb.as_deref().unwrap_or_default();
        let metric = input.metric.as_deref().unwrap_or_default();
        let name = format!("{base}.{metric}");
        let known = |signal: &Signal| signal.kind == signal::KB_METRIC && signal.name == name;
        if let Some(index) = self.signals.iter().position(known) {
            return Some(index);
        }
        let Some(shelf) = self.shelves.iter().find(|shelf| shelf.name() == base).cloned() else {
            let declared = self.config.knowledge_bases.iter().map(|base| base.name.as_str());
            // One that cannot be read was told.
            if !declared.clone().any(|known| known == base) {
                self.unknown(format!("{path}.kb"), "knowledge base", base, declared);
            }
            return None;
        };
        let Some(found) = shelf.known().metric(metric) else {
            let metrics = shelf
                .known()
                .config
                .metrics
                .iter()
                .map(|metric| metric.name.as_str());
            let metrics = metrics.chain(["best_score", "best_matched_score"]);
            self.unknown(
                format!("{path}.metric"),
                &format!("number of {base:?}"),
                metric,
                metrics,
            );
            return None;
        };
        self.signals
            .push(Signal::metric(name, KbMetric::new(&shelf, found)));
        Some(self.signals.len() - 1)
    }

    /// What of a signal counts in a score.
    fn value_source(&mut self, path: &str, input: &ScoreInput) -> Option<ValueSource> {
        match input.value_source.as_deref() {
            None | Some("binary") => Some(ValueSource::Binary {
                matched: input.on_match.unwrap_or(1.0),
                missed: input.miss.unwrap_or(0.0),
            }),
            Some("confidence" | "score") => Some(ValueSource::Confidence),
            Some("raw") => Some(ValueSource::Raw),
            Some(other) => {
                let message = format!("unknown value_source {other:?}; use binary, confidence, raw or score");
                self.wrong(format!("{path}.value_source"), message);
                None
            }
        }
    }

    pub(super) fn projections(&mut self) {
        let config = &self.config.projections;
        for (index, partition) in config.partitions.iter().enumerate() {
            self.partition(&format!("projections.partitions[{index}]"), partition);
        }
        for (index, score) in config.scores.iter().enumerate() {
            let path = format!("projections.scores[{index}]");
            if score
                .method
                .as_deref()
                .is_some_and(|method| method != "weighted_sum")
            {
                self.wrong(format!("{path}.method"), "unknown method; use weighted_sum");
            }
            let mut inputs = Vec::new();
            for (number, input) in score.inputs.iter().enumerate() {
                inputs.extend(self.input(index, &format!("{path}.inputs[{number}]"), input));
            }
            self.scores.push(Score {
                name: score.name.clone(),
                inputs,
            });
        }
        self.mappings();
    }

    /// A summand of score number `score`.
    fn input(&mut self, score: usize, path: &str, input: &ScoreInput) -> Option<Input> {
        let plain = |of: Summand| Input {
            of,
            gate: None,
            weight: input.weight,
            source: ValueSource::Raw,
        };
        if input.kind == "projection" {
            return self.projected(score, path, input).map(plain);
        }
        if input.kind == signal::KB_METRIC {
            return self.metric(path, input).map(Summand::Signal).map(plain);
        }
        if input.kind == signal::CLASSIFIER {
            let message = "scores take no classifiers: rules say which label, and how likely it must be";
            self.wrong(format!("{path}.type"), message);
            return None;
        }
        let signal = self.find_signal(path, &input.kind, &input.name)?;
        let source = self.value_source(path, input)?;
        let composer = self.composer(&input.kind, &input.name);
        let gate = composer.map(|(place, composer)| self.rule(&place, composer, 1));
        Some(Input {
            of: Summand::Signal(signal),
            gate,
            weight: input.weight,
            source,
        })
    }

    /// Another score, or a range of one, as a summand of score number `score`: none that depends on it in turn.
    fn projected(&mut self, score: usize, path: &str, input: &ScoreInput) -> Option<Summand> {
        let config = &self.config.projections;
        let (summand, whose) = match input.value_source.as_deref() {
            None | Some("" | "score") => {
                let mut scores = config.scores.iter();
                let found = scores.position(|known| known.name == input.name);
                (found.map(Summand::Score), found)
            }
            Some("confidence") => {
                let ranges = config.mappings.iter().flat_map(|mapping| {
                    let ranges = mapping.outputs.iter();
                    ranges.map(|range| (range.name.as_str(), mapping.source.as_str()))
                });
                let found = ranges.enumerate().find(|(_, (name, _))| *name == input.name);
                let source = found.map(|(_, (_, source))| source);
                let whose = config
                    .scores
                    .iter()
                    .position(|known| Some(known.name.as_str()) == source);
                (found.map(|(number, _)| Summand::Range(number)), whose)
            }
            Some(other) => {
                let message = format!(
                    "unknown value_source {other:?} of another score; use score, or confidence of one of its ranges"
                );
                self.wrong(format!("{path}.value_source"), message);
                return None;
            }
        };
        let Some(whose) = whose else {
            let known = config.scores.iter().map(|known| known.name.as_str());
            let ranges = config.mappings.iter().flat_map(|mapping| &mapping.outputs);
            let known: Vec<&str> = known.chain(ranges.map(|range| range.name.as_str())).collect();
            self.unknown(
                format!("{path}.name"),
                "score or range",
                &input.name,
                known.into_iter(),
            );
            return None;
        };
        if self.leads(whose, score, &mut Vec::new()) {
            let message = format!("{:?} depends on this score in turn", input.name);
            self.wrong(format!("{path}.name"), message);
            return None;
        }
        summand
    }

    /// Whether score number `from` is, or depends on, score number `to`.
    fn leads(&self, from: usize, to: usize, seen: &mut Vec<usize>) -> bool {
        if from == to {
            return true;
        }
        if seen.contains(&from) {
            return false;
        }
        seen.push(from);
        let config = &self.config.projections;
        let inputs = config.scores[from]
            .inputs
            .iter()
            .filter(|input| input.kind == "projection");
        let mut whose = inputs.filter_map(|input| {
            let of_range = || {
                let mut mappings = config.mappings.iter();
                let has =
                    |mapping: &&MappingConfig| mapping.outputs.iter().any(|range| range.name == input.name);
                mappings.find(has).map(|mapping| mapping.source.as_str())
            };
            let source = match input.value_source.as_deref() {
                Some("confidence") => of_range()?,
                _ => input.name.as_str(),
            };
            config.scores.iter().position(|known| known.name == source)
        });
        whose.any(|next| self.leads(next, to, seen))
    }

    /// A partition: its members are `domain` signals or `embedding` signals, by their names.
    fn partition(&mut self, path: &str, config: &PartitionConfig) {
        let temperature = match (config.semantics.as_str(), config.temperature) {
            ("" | "exclusive", _) => None,
            ("softmax_exclusive", Some(temperature)) if temperature > 0.0 => Some(temperature),
            ("softmax_exclusive", _) => {
                return self.wrong(
                    format!("{path}.temperature"),
                    "softmax_exclusive needs one above 0",
                );
            }
            (other, _) => {
                let message = format!("unknown semantics {other:?}; use exclusive or softmax_exclusive");
                return self.wrong(format!("{path}.semantics"), message);
            }
        };
        let of_kind = |kind: &str, name: &String| {
            let mut signals = self.signals.iter();
            signals.position(|signal| signal.kind == kind && signal.name == *name)
        };
        let members = ["domain", "embedding"].iter().find_map(|kind| {
            let members = config.members.iter().map(|name| of_kind(kind, name));
            members.collect::<Option<Vec<usize>>>()
        });
        let Some(members) = members.filter(|members| !members.is_empty()) else {
            let message =
                "names of domain signals, or names of embedding signals, are wanted; all must be declared";
            return self.wrong(format!("{path}.members"), message);
        };
        if members
            .iter()
            .any(|member| self.partitions.iter().any(|other| other.members.contains(member)))
        {
            return self.wrong(
                format!("{path}.members"),
                "a signal belongs to one partition at most",
            );
        }
        let mut default = None;
        if let Some(name) = &config.default {
            default = config
                .members
                .iter()
                .position(|member| member == name)
                .map(|place| members[place]);
            if default.is_none() {
                return self.wrong(format!("{path}.default"), "is none of the members");
            }
        }
        self.partitions.push(Partition {
            members,
            default,
            temperature,
        });
    }

    fn mappings(&mut self) {
        let config = self.config;
        for (index, mapping) in config.projections.mappings.iter().enumerate() {
            let path = format!("projections.mappings[{index}]");
            let every = mapping.method.as_deref() == Some("multi_emit");
            if !every
                && mapping
                    .method
                    .as_deref()
                    .is_some_and(|method| method != "threshold_bands")
            {
                self.wrong(
                    format!("{path}.method"),
                    "unknown method; use threshold_bands or multi_emit",
                );
            }
            let calibration = mapping.calibration.as_ref();
            let calibrated = calibration.and_then(|calibration| calibration.method.as_deref());
            if calibrated.is_some_and(|method| method != "sigmoid_distance") {
                self.wrong(
                    format!("{path}.calibration.method"),
                    "unknown method; use sigmoid_distance",
                );
            }
            let slope = calibration.and_then(|calibration| calibration.slope);
            let Some(score) = self.scores.iter().position(|score| score.name == mapping.source) else {
                let known: Vec<String> = self.scores.iter().map(|score| score.name.clone()).collect();
                self.unknown(
                    format!("{path}.source"),
                    "score",
                    &mapping.source,
                    known.iter().map(String::as_str),
                );
                continue;
            };
            let mut before: Vec<Predicate> = Vec::new();
            for band in &mapping.outputs {
                let range = band.predicate();
                self.outputs.push(Output {
                    name: band.name.clone(),
                    score,
                    range,
                    before: before.clone(),
                    slope: slope.filter(|slope| *slope > 0.0).unwrap_or(SLOPE),
                });
                if !every {
                    before.push(range);
                }
            }
        }
    }
}

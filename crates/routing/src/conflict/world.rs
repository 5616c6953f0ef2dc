//! What signals can say at once: dimensions, of which each has one value at a time.
//!
//! A signal is true for some values of one dimension. Most have a dimension of their own, true or false; some share one:
//! ranges of the same number, words under `OR` and `NOR`, entries of the metadata, levels, members of a partition.
//! Too many values for one dimension, and its signals are free of one another: more seems possible, never less.

use std::collections::{BTreeMap, HashMap};

use super::solve::Formula;
use crate::config::{
    Feature, KeywordConfig, MetadataConfig, Operator, Predicate, RoutingConfig, RuleNode, ScoreConfig,
    StructureConfig,
};
use crate::declared::LEVELS;

/// Most values of a dimension.
const VALUES: usize = 64;

/// Where a signal is true.
#[derive(Clone, Copy)]
struct Atom {
    dimension: usize,
    values: u64,
}

/// Dimensions, and where each signal is true.
#[derive(Default)]
pub(super) struct World {
    /// The values of each dimension.
    pub(super) dimensions: Vec<u64>,
    atoms: HashMap<(String, String), Atom>,
}

impl World {
    pub(super) fn new(config: &RoutingConfig) -> Self {
        let mut world = Self::default();
        let signals = &config.signals;
        world.keywords(&signals.keywords);
        let tokens = signals.context.iter().map(|signal| {
            let most = signal.max_tokens.map(|most| most.0 as f64);
            let range = Predicate {
                gte: Some(signal.min_tokens.0 as f64),
                lte: most,
                ..Predicate::default()
            };
            (signal.name.as_str(), vec![range], Vec::new())
        });
        let tokens = Number {
            names: tokens.collect(),
            least: Some(0.0),
            most: None,
            whole: true,
        };
        world.ranges("context", tokens);
        world.measured("structure", &signals.structure);
        world.measured("conversation", &signals.conversation);
        world.metadata(&signals.metadata);
        for signal in &signals.complexity {
            let names = LEVELS.map(|level| format!("{}:{level}", signal.name));
            world.one_of(
                "complexity",
                &names.iter().map(String::as_str).collect::<Vec<_>>(),
            );
        }
        for partition in &config.projections.partitions {
            let members: Vec<&str> = partition.members.iter().map(String::as_str).collect();
            // A domain that counts others as itself may hold beside them.
            let mut own = signals
                .domains
                .iter()
                .filter(|domain| partition.members.contains(&domain.name));
            let mixed = |domain: &crate::config::DomainConfig| {
                let others = domain
                    .mmlu_categories
                    .iter()
                    .filter(|other| **other != domain.name);
                others.into_iter().any(|other| partition.members.contains(other))
            };
            if own.any(mixed) {
                continue;
            }
            for kind in ["domain", "embedding"] {
                world.one_of(kind, &members);
            }
        }
        for score in &config.projections.scores {
            world.score(config, score);
        }
        world
    }

    /// A rule as a formula.
    pub(super) fn formula(&mut self, node: &RuleNode) -> Formula {
        if let Some(kind) = &node.kind {
            let mut name = node.name.clone().unwrap_or_default();
            if node.label.is_some() || node.predicate.is_some() {
                name = format!("{name} {:?} {:?}", node.label, node.predicate);
            }
            let atom = self.atom(kind, &name);
            return Formula::In(atom.dimension, atom.values);
        }
        let parts: Vec<Formula> = node.conditions.iter().map(|child| self.formula(child)).collect();
        match node.operator.as_deref().map(str::to_ascii_uppercase).as_deref() {
            _ if parts.is_empty() => Formula::All(parts),
            Some("OR") => Formula::Any(parts),
            Some("NOT") => Formula::All(parts).not(),
            _ => Formula::All(parts),
        }
    }

    /// Where a signal is true; one that nothing binds has a dimension of its own.
    fn atom(&mut self, kind: &str, name: &str) -> Atom {
        let key = (kind.to_owned(), name.to_owned());
        if let Some(atom) = self.atoms.get(&key) {
            return *atom;
        }
        let dimension = self.dimension(2);
        self.put(kind, name, dimension, 0b10)
    }

    fn dimension(&mut self, values: usize) -> usize {
        self.dimensions.push(if values >= VALUES {
            u64::MAX
        } else {
            (1 << values) - 1
        });
        self.dimensions.len() - 1
    }

    fn put(&mut self, kind: &str, name: &str, dimension: usize, values: u64) -> Atom {
        let atom = Atom { dimension, values };
        // The first of a name counts, as it does where rules are compiled.
        *self
            .atoms
            .entry((kind.to_owned(), name.to_owned()))
            .or_insert(atom)
    }

    /// At most one of these is true.
    fn one_of(&mut self, kind: &str, names: &[&str]) {
        let taken = |name: &&str| self.atoms.contains_key(&(kind.to_owned(), (*name).to_owned()));
        if names.len() >= VALUES || names.iter().any(taken) {
            return;
        }
        let dimension = self.dimension(names.len() + 1);
        for (value, name) in names.iter().enumerate() {
            self.put(kind, name, dimension, 1 << value);
        }
    }

    /// Signals that look for the same words say the same; under `NOR` the opposite.
    fn keywords(&mut self, signals: &[KeywordConfig]) {
        let mut known: BTreeMap<String, usize> = BTreeMap::new();
        for signal in signals {
            let alike = KeywordConfig {
                name: String::new(),
                description: None,
                operator: Operator::Or,
                ..signal.clone()
            };
            let all = signal.operator == Operator::And && signal.keywords.len() > 1;
            let key = format!("{all} {alike:?}");
            let dimension = match known.get(&key) {
                Some(dimension) => *dimension,
                None => self.dimension(2),
            };
            known.insert(key, dimension);
            let none = signal.operator == Operator::Nor;
            self.put("keyword", &signal.name, dimension, if none { 0b01 } else { 0b10 });
        }
    }

    /// Ranges of numbers that are measured the same way.
    fn measured(&mut self, kind: &'static str, signals: &[StructureConfig]) {
        let mut features: Vec<&Feature> = Vec::new();
        for signal in signals {
            if !features.contains(&&signal.feature) {
                features.push(&signal.feature);
            }
        }
        for feature in features {
            let least_one = Predicate {
                gt: Some(0.0),
                ..Predicate::default()
            };
            let range = |signal: &StructureConfig| match (kind, feature.kind.as_str()) {
                ("conversation", "exists") => least_one,
                ("conversation", _) => signal.predicate.unwrap_or_default(),
                _ => signal.predicate.unwrap_or(least_one),
            };
            let ranges = signals
                .iter()
                .filter(|signal| signal.feature == *feature)
                .map(|signal| (signal.name.as_str(), vec![range(signal)], Vec::new()));
            let one = ["exists", "sequence"]
                .contains(&feature.kind.as_str())
                .then_some(1.0);
            let number = Number {
                names: ranges.collect(),
                least: Some(0.0),
                most: one,
                whole: feature.kind != "density",
            };
            self.ranges(kind, number);
        }
    }

    fn ranges(&mut self, kind: &str, number: Number<'_>) {
        let Number {
            names,
            least,
            most,
            whole,
        } = number;
        let all = names
            .iter()
            .flat_map(|(_, within, without)| within.iter().chain(without));
        let mut cuts: Vec<f64> = all
            .flat_map(|range| [range.gt, range.gte, range.lt, range.lte])
            .chain([least, most])
            .flatten()
            .filter(|cut| cut.is_finite())
            .collect();
        cuts.sort_unstable_by(f64::total_cmp);
        cuts.dedup();
        if 2 * cuts.len() + 1 > VALUES || names.is_empty() {
            return;
        }
        let inside =
            |value: &f64| least.is_none_or(|least| *value >= least) && most.is_none_or(|most| *value <= most);
        let there_is = |value: &f64| !whole || value.fract() == 0.0;
        let samples = samples(&cuts, whole).into_iter();
        let samples: Vec<f64> = samples.filter(inside).filter(there_is).collect();
        let dimension = self.dimension(samples.len());
        for (name, within, without) in names {
            let holds = |value: &f64| {
                within.iter().all(|range| range.holds(*value))
                    && !without.iter().any(|range| range.holds(*value))
            };
            let values = samples.iter().enumerate().filter(|(_, value)| holds(value));
            let values = values.fold(0, |values, (at, _)| values | 1_u64 << at);
            self.put(kind, name, dimension, values);
        }
    }

    /// An entry of the metadata is one thing, or not there.
    fn metadata(&mut self, signals: &[MetadataConfig]) {
        let mut keys: Vec<&str> = signals.iter().map(|signal| signal.key.as_str()).collect();
        keys.sort_unstable();
        keys.dedup();
        for key in keys {
            let own: Vec<&MetadataConfig> = signals.iter().filter(|signal| signal.key == key).collect();
            let named = |signal: &&MetadataConfig| -> Vec<String> {
                let predicate = &signal.predicate;
                predicate
                    .equals
                    .iter()
                    .chain(&predicate.one_of)
                    .cloned()
                    .collect()
            };
            let mut words: Vec<String> = own.iter().flat_map(named).collect();
            words.sort_unstable();
            words.dedup();
            if words.len() + 2 > VALUES {
                continue;
            }
            // Not there, something else, and every word that is named.
            let dimension = self.dimension(words.len() + 2);
            for signal in own {
                let predicate = &signal.predicate;
                let of = |wanted: &dyn Fn(&String) -> bool| {
                    let found = words.iter().enumerate().filter(|(_, word)| wanted(word));
                    found.fold(0, |values, (at, _)| values | 1_u64 << (at + 2))
                };
                let there = !1 & self.dimensions[dimension];
                let values = if let Some(equals) = &predicate.equals {
                    of(&|word| word == equals)
                } else if !predicate.one_of.is_empty() {
                    of(&|word| predicate.one_of.contains(word))
                } else if predicate.exists.unwrap_or(true) {
                    there
                } else {
                    1
                };
                self.put("metadata", &signal.name, dimension, values);
            }
        }
    }

    /// The ranges of a score, as far as its inputs can take it.
    fn score(&mut self, config: &RoutingConfig, score: &ScoreConfig) {
        let mut names = Vec::new();
        for mapping in config
            .projections
            .mappings
            .iter()
            .filter(|mapping| mapping.source == score.name)
        {
            let mut before = Vec::new();
            for band in &mapping.outputs {
                let range = band.predicate();
                names.push((band.name.as_str(), vec![range], before.clone()));
                if mapping.method.as_deref() != Some("multi_emit") {
                    before.push(range);
                }
            }
        }
        let (least, most) = reach(score);
        let number = Number {
            names,
            least,
            most,
            whole: false,
        };
        self.ranges("projection", number);
    }
}

/// One number, and the names of ranges of it: each is true within all of the first ranges and outside of all of the
/// others.
struct Number<'a> {
    names: Vec<(&'a str, Vec<Predicate>, Vec<Predicate>)>,
    least: Option<f64>,
    most: Option<f64>,
    /// Whether it is whole.
    whole: bool,
}

/// A number of each interval that the cuts make, a whole one where there is, and each cut itself.
pub(super) fn samples(cuts: &[f64], whole: bool) -> Vec<f64> {
    let mut samples = vec![cuts.first().map_or(0.0, |first| first.floor() - 1.0)];
    for (at, cut) in cuts.iter().enumerate() {
        samples.push(*cut);
        samples.push(match cuts.get(at + 1) {
            None => cut.floor() + 1.0,
            Some(next) if whole && cut.floor() + 1.0 < *next => cut.floor() + 1.0,
            Some(next) => cut + (next - cut) / 2.0,
        });
    }
    samples
}

/// The least and the most that a score can be; none where nothing bounds it.
pub(super) fn reach(score: &ScoreConfig) -> (Option<f64>, Option<f64>) {
    let (mut least, mut most) = (0.0, 0.0);
    for input in &score.inputs {
        let own = ["projection", "kb_metric"].contains(&input.kind.as_str());
        let (low, high) = match input.value_source.as_deref() {
            _ if own => return (None, None),
            None | Some("binary") => {
                let (hit, miss) = (input.on_match.unwrap_or(1.0), input.miss.unwrap_or(0.0));
                (hit.min(miss), hit.max(miss))
            }
            Some("confidence" | "score") => (0.0, 1.0),
            _ => return (None, None),
        };
        let ends = [low * input.weight, high * input.weight];
        least += ends[0].min(ends[1]);
        most += ends[0].max(ends[1]);
    }
    // Sums of fractions are not exact.
    let slack = 1e-9 * (1.0 + f64::abs(least) + f64::abs(most));
    (Some(least - slack), Some(most + slack))
}

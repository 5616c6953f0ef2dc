//! Random routing configurations, and what comes of them when everything is read: written from the language's description,
//! without a line of the router.

#![allow(
    dead_code,
    clippy::unwrap_used,
    reason = "a test says what it expects by failing; a module of other tests, which use parts of it"
)]

use std::collections::BTreeMap;

use pointsman_routing::{About, AskedSignal, Need, Reading};
use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::{Value, json};

/// A configuration with a text and the answers of models.
#[derive(Debug, Clone)]
pub struct Case {
    pub config: Value,
    pub asked: Vec<AskedSignal>,
    pub text: String,
    /// `type:name` of each signal, in the order of their numbers.
    pub signals: Vec<String>,
    pub readings: Vec<Reading>,
}

/// What the naive evaluation says.
pub struct Naive {
    pub winner: Option<(String, f64)>,
    pub decisions: BTreeMap<String, (bool, f64)>,
}

const WORDS: [&str; 5] = ["apple", "brick", "cloud", "delta", "eagle"];
/// Keyword signals: a word, or two of which one must occur.
const KEYWORDS: [(&str, &[&str]); 6] = [
    ("k0", &["apple"]),
    ("k1", &["brick"]),
    ("k2", &["cloud", "delta"]),
    ("k3", &["eagle", "apple"]),
    ("k4", &["delta"]),
    ("k5", &["brick", "eagle", "cloud"]),
];
const ASKED: [(&str, &str); 10] = [
    ("domain", "d0"),
    ("domain", "d1"),
    ("domain", "d2"),
    ("jailbreak", "j0"),
    ("pii", "p0"),
    ("embedding", "e0"),
    ("embedding", "e1"),
    ("embedding", "e2"),
    ("preference", "c0"),
    ("safety", "s0"),
];
const BANDS: [&str; 6] = ["b0", "b1", "b2", "b3", "b4", "b5"];

fn asked() -> Vec<AskedSignal> {
    let need = |kind: &str, name: &str| match kind {
        "pii" => Need::Heads(About::Conversation),
        "embedding" => Need::Embedding(About::User),
        "preference" => Need::Remote(About::User, name.to_owned()),
        _ => Need::Heads(About::User),
    };
    let each = |(kind, name): (&'static str, &str)| AskedSignal {
        kind,
        name: name.to_owned(),
        need: need(kind, name),
    };
    ASKED.into_iter().map(each).collect()
}

fn keyword(words: &[&str], text: &str) -> Reading {
    let hits = words
        .iter()
        .filter(|word| text.split(' ').any(|other| other == **word))
        .count() as f64;
    Reading {
        matched: hits > 0.0,
        confidence: if hits > 0.0 {
            0.5 + 0.5 * (hits / words.len() as f64)
        } else {
            0.0
        },
        value: hits,
    }
}

fn any_signal() -> BoxedStrategy<Value> {
    let asked =
        prop::sample::select(ASKED.to_vec()).prop_map(|(kind, name)| json!({"type": kind, "name": name}));
    let words = (0..KEYWORDS.len()).prop_map(|index| json!({"type": "keyword", "name": KEYWORDS[index].0}));
    prop_oneof![asked, words].boxed()
}

fn rule() -> BoxedStrategy<Value> {
    let band =
        prop::sample::select(BANDS.to_vec()).prop_map(|name| json!({"type": "projection", "name": name}));
    let leaf = prop_oneof![5 => any_signal(), 2 => band, 1 => Just(json!({}))];
    let tree = leaf.prop_recursive(3, 14, 4, |inner| {
        let joined = |operator: &'static str| {
            move |conditions: Vec<Value>| json!({"operator": operator, "conditions": conditions})
        };
        prop_oneof![
            3 => vec(inner.clone(), 1..4).prop_map(joined("AND")),
            3 => vec(inner.clone(), 1..4).prop_map(joined("OR")),
            1 => inner.prop_map(|condition| json!({"operator": "NOT", "conditions": [condition]})),
        ]
    });
    tree.boxed()
}

/// Numbers that meet often: ties and bounds that are hit exactly are where mistakes are.
fn number() -> BoxedStrategy<f64> {
    prop::sample::select(vec![-1.0, -0.5, 0.0, 0.1, 0.25, 0.3, 0.5, 0.7, 1.0, 2.0]).boxed()
}

fn confidence() -> BoxedStrategy<f64> {
    prop::sample::select(vec![0.0, 0.1, 0.25, 0.5, 0.75, 0.9, 1.0]).boxed()
}

/// The second score, which may take the first, and ranges of it.
fn score_of_scores(name: &'static str) -> BoxedStrategy<Value> {
    let other = (0..4_usize, number()).prop_map(|(which, weight)| match which {
        0 => json!({"type": "projection", "name": "s0", "weight": weight}),
        1 => json!({"type": "projection", "name": "s0", "weight": weight, "value_source": "score"}),
        _ => {
            let range = ["b0", "b1", "b2"][which % 3];
            json!({"type": "projection", "name": range, "weight": weight, "value_source": "confidence"})
        }
    });
    (score(name), vec((any::<bool>(), other), 0..3))
        .prop_map(|(mut score, others)| {
            let inputs = score["inputs"].as_array_mut().unwrap();
            for (first, other) in others {
                let at = if first { 0 } else { inputs.len() };
                inputs.insert(at, other);
            }
            score
        })
        .boxed()
}

fn score(name: &'static str) -> BoxedStrategy<Value> {
    let input = (any_signal(), number(), 0..4_u8, number(), number()).prop_map(
        |(signal, weight, source, on, off)| {
            let mut input = signal;
            input["weight"] = json!(weight);
            match source {
                0 => {}
                1 => {
                    input["match"] = json!(on);
                    input["miss"] = json!(off);
                }
                2 => input["value_source"] = json!("confidence"),
                _ => input["value_source"] = json!("raw"),
            }
            input
        },
    );
    vec(input, 1..5)
        .prop_map(move |inputs| json!({"name": name, "inputs": inputs}))
        .boxed()
}

fn mapping(name: &'static str, source: &'static str, bands: [&'static str; 3]) -> BoxedStrategy<Value> {
    (number(), number(), any::<bool>())
        .prop_map(move |(one, other, closed)| {
            let (upper, lower) = if closed { ("lte", "gt") } else { ("lt", "gte") };
            json!({"name": name, "source": source, "outputs": [
                {"name": bands[0], upper: one}, {"name": bands[1], upper: other}, {"name": bands[2], lower: other},
            ]})
        })
        .boxed()
}

fn partitions() -> BoxedStrategy<Value> {
    let one = |name: &'static str, members: [&'static str; 3]| {
        (0..3_u8, prop::option::of(0..3_usize)).prop_map(move |(kind, default)| {
            let mut partition = json!({"name": name, "members": members});
            match kind {
                0 => return Value::Null,
                1 => partition["semantics"] = json!("exclusive"),
                _ => {
                    partition["semantics"] = json!("softmax_exclusive");
                    partition["temperature"] = json!(0.25);
                }
            }
            if let Some(default) = default {
                partition["default"] = json!(members[default]);
            }
            partition
        })
    };
    (one("p0", ["d0", "d1", "d2"]), one("p1", ["e0", "e1", "e2"]))
        .prop_map(|(first, second)| {
            [first, second]
                .into_iter()
                .filter(|value| !value.is_null())
                .collect()
        })
        .boxed()
}

/// A random case.
pub fn case() -> BoxedStrategy<Case> {
    let projections = (
        partitions(),
        score("s0"),
        score_of_scores("s1"),
        mapping("m0", "s0", ["b0", "b1", "b2"]),
        mapping("m1", "s1", ["b3", "b4", "b5"]),
    );
    let decisions = vec((rule(), 0..3_i64, 0..3_u32), 1..7);
    let text = vec(prop::sample::select(WORDS.to_vec()), 0..5);
    let answers = vec((any::<bool>(), confidence(), number()), ASKED.len());
    (projections, decisions, text, answers, any::<bool>(), any::<bool>())
        .prop_map(|(projections, decisions, text, answers, by_confidence, default)| {
            let (partitions, s0, s1, m0, m1) = projections;
            let keywords = KEYWORDS.map(|(name, words)| json!({"name": name, "keywords": words}));
            let decisions = decisions.into_iter().enumerate().map(|(index, (rules, priority, tier))| {
                json!({"name": format!("decision-{index}"), "priority": priority, "tier": tier, "rules": rules,
                    "modelRefs": [{"model": "m"}]})
            });
            let mut config = json!({
                "signals": {"keywords": keywords},
                "projections": {"partitions": partitions, "scores": [s0, s1], "mappings": [m0, m1]},
                "decisions": decisions.collect::<Vec<_>>(),
            });
            if by_confidence {
                config["strategy"] = json!("confidence");
            }
            if default {
                config["default_model"] = json!("m");
            }
            let text = text.join(" ");
            let mut signals: Vec<String> = KEYWORDS.iter().map(|(name, _)| format!("keyword:{name}")).collect();
            signals.extend(ASKED.iter().map(|(kind, name)| format!("{kind}:{name}")));
            let mut readings: Vec<Reading> = KEYWORDS.iter().map(|(_, words)| keyword(words, &text)).collect();
            readings.extend(answers.into_iter().map(|(matched, confidence, value)| Reading {
                matched,
                confidence: if matched { confidence } else { confidence / 2.0 },
                value,
            }));
            Case {
                config,
                asked: asked(),
                text,
                signals,
                readings,
            }
        })
        .boxed()
}

impl Case {
    pub fn answer(&self, signal: usize) -> Reading {
        self.readings[signal]
    }

    pub fn asked_numbers(&self) -> std::ops::Range<usize> {
        KEYWORDS.len()..self.signals.len()
    }

    /// The same, but nobody answers.
    pub fn silenced(&self) -> Self {
        let mut other = self.clone();
        self.asked_numbers()
            .for_each(|signal| other.readings[signal] = Reading::default());
        other
    }

    /// The same, but these signals answer otherwise.
    pub fn with_others(&self, signals: &[usize], seed: u64) -> Self {
        let mut other = self.clone();
        let mut state = seed | 1;
        for signal in signals {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            other.readings[*signal] = Reading {
                matched: state >> 62 & 1 == 1,
                confidence: [0.0, 0.25, 0.5, 0.75, 1.0][(state >> 40) as usize % 5],
                value: [-3.0, 0.0, 0.5, 1.0, 7.0][(state >> 48) as usize % 5],
            };
        }
        other
    }

    fn own(&self, kind: &str, name: &str) -> Reading {
        let full = format!("{kind}:{name}");
        let place = self.signals.iter().position(|known| *known == full).unwrap();
        self.readings[place]
    }

    /// What a signal says once its partition has picked a winner.
    fn reading(&self, kind: &str, name: &str) -> Reading {
        let own = self.own(kind, name);
        let partitions = self.config["projections"]["partitions"].as_array().unwrap();
        let of_kind = |partition: &&Value| {
            let members = partition["members"].as_array().unwrap();
            members.iter().any(|member| member == name)
        };
        let Some(partition) = partitions.iter().find(of_kind) else {
            return own;
        };
        let members: Vec<&str> = partition["members"]
            .as_array()
            .unwrap()
            .iter()
            .map(|name| name.as_str().unwrap())
            .collect();
        let matching: Vec<&str> = members
            .iter()
            .copied()
            .filter(|member| self.own(kind, member).matched)
            .collect();
        let sure = |member: &&str| self.own(kind, member).confidence;
        let winner = matching
            .iter()
            .copied()
            .reduce(|best, next| if sure(&next) > sure(&best) { next } else { best });
        let lost = Reading {
            matched: false,
            confidence: 0.0,
            value: own.value,
        };
        match winner {
            Some(winner) if winner == name => match partition["temperature"].as_f64() {
                None => own,
                Some(temperature) => {
                    let shares = matching
                        .iter()
                        .map(|member| ((sure(member) - own.confidence) / temperature).exp());
                    Reading {
                        confidence: 1.0 / shares.fold(0.0, |sum, share| sum + share),
                        ..own
                    }
                }
            },
            None if partition["default"] == name => Reading { matched: true, ..own },
            _ => lost,
        }
    }

    fn score(&self, name: &str) -> f64 {
        let scores = self.config["projections"]["scores"].as_array().unwrap();
        let score = scores.iter().find(|score| score["name"] == name).unwrap();
        let mut sum = 0.0;
        for input in score["inputs"].as_array().unwrap() {
            if input["type"] == "projection" {
                let name = input["name"].as_str().unwrap();
                let value = match input["value_source"] == "confidence" {
                    true => self.band(name).unwrap_or(0.0),
                    false => self.score(name),
                };
                sum += input["weight"].as_f64().unwrap() * value;
                continue;
            }
            let reading = self.reading(input["type"].as_str().unwrap(), input["name"].as_str().unwrap());
            let value = match input.get("value_source").and_then(Value::as_str) {
                Some("confidence") => reading.confidence,
                Some("raw") => reading.value,
                _ if reading.matched => input.get("match").and_then(Value::as_f64).unwrap_or(1.0),
                _ => input.get("miss").and_then(Value::as_f64).unwrap_or(0.0),
            };
            sum += input["weight"].as_f64().unwrap() * value;
        }
        sum
    }

    /// How surely a band holds, if it does: the farther the score is from its bounds, the surer.
    fn band(&self, name: &str) -> Option<f64> {
        for mapping in self.config["projections"]["mappings"].as_array().unwrap() {
            // A score may look at a range of another: only that one is computed.
            let mut own = mapping["outputs"].as_array().unwrap().iter();
            if !own.any(|band| band["name"] == name) {
                continue;
            }
            let score = self.score(mapping["source"].as_str().unwrap());
            let holds = |band: &&Value| {
                let bound = |key: &str| band.get(key).and_then(Value::as_f64);
                bound("lt").is_none_or(|bound| score < bound)
                    && bound("lte").is_none_or(|bound| score <= bound)
                    && bound("gt").is_none_or(|bound| score > bound)
                    && bound("gte").is_none_or(|bound| score >= bound)
            };
            let found = mapping["outputs"].as_array().unwrap().iter().find(holds);
            if let Some(band) = found.filter(|band| band["name"] == name) {
                let bounds = ["gt", "gte", "lt", "lte"].map(|key| band.get(key).and_then(Value::as_f64));
                let nearest = bounds.into_iter().flatten().map(|bound| (score - bound).abs());
                let distance = nearest.fold(f64::INFINITY, f64::min);
                return Some(1.0 / (1.0 + (-12.0 * distance).exp()));
            }
        }
        None
    }

    /// Whether a rule holds, and how surely.
    fn rule(&self, rule: &Value) -> (bool, f64) {
        if let Some(kind) = rule.get("type").and_then(Value::as_str) {
            let name = rule["name"].as_str().unwrap();
            if kind == "projection" {
                let sure = self.band(name);
                return (sure.is_some(), sure.unwrap_or(0.0));
            }
            let reading = self.reading(kind, name);
            return (
                reading.matched,
                if reading.matched { reading.confidence } else { 0.0 },
            );
        }
        let Some(conditions) = rule.get("conditions").and_then(Value::as_array) else {
            return (true, 0.0);
        };
        let found: Vec<(bool, f64)> = conditions.iter().map(|condition| self.rule(condition)).collect();
        let (holds, confidence) = match rule["operator"].as_str().unwrap() {
            "AND" => {
                let mut sum = 0.0;
                found.iter().for_each(|(_, confidence)| sum += confidence);
                (found.iter().all(|(holds, _)| *holds), sum / found.len() as f64)
            }
            "OR" => {
                let most = found
                    .iter()
                    .fold(0.0, |most: f64, (_, confidence)| most.max(*confidence));
                (found.iter().any(|(holds, _)| *holds), most)
            }
            _ => (!found[0].0, 1.0),
        };
        (holds, if holds { confidence } else { 0.0 })
    }

    /// Everything, read and compared.
    pub fn decide(&self) -> Naive {
        let by_confidence = self.config.get("strategy").is_some();
        let mut decisions = BTreeMap::new();
        let mut best: Option<((i64, i64), f64, String)> = None;
        // Of equals the one of higher priority wins, and of those the one that was written first.
        let mut ordered: Vec<&Value> = self.config["decisions"].as_array().unwrap().iter().collect();
        ordered.sort_by_key(|decision| std::cmp::Reverse(decision["priority"].as_i64()));
        for decision in ordered {
            let name = decision["name"].as_str().unwrap().to_owned();
            let (holds, confidence) = self.rule(&decision["rules"]);
            decisions.insert(name.clone(), (holds, confidence));
            if !holds {
                continue;
            }
            let priority = if by_confidence {
                0
            } else {
                decision["priority"].as_i64().unwrap()
            };
            let rank = (decision["tier"].as_i64().unwrap(), -priority);
            let better = best
                .as_ref()
                .is_none_or(|(known, sure, _)| rank < *known || (rank == *known && confidence > *sure));
            if better {
                best = Some((rank, confidence, name));
            }
        }
        let default = self
            .config
            .get("default_model")
            .map(|_| ("default".to_owned(), 0.0));
        Naive {
            winner: best.map(|(_, confidence, name)| (name, confidence)).or(default),
            decisions,
        }
    }
}

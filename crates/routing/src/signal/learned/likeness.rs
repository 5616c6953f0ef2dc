//! Signals of likeness in meaning: to examples, to what users like, to hard and easy prompts, to what was asked before.

use std::sync::Arc;

use super::super::Reading;
use super::bank::{Bank, dot};
use super::{Answers, reading, turns};
use crate::config::{ComplexityConfig, EmbeddingConfig, PreferenceConfig, ReaskConfig};
use crate::facts::Facts;

/// Least likeness to examples, where nothing is said.
const LIKE: f64 = 0.5;
/// Least likeness to what was asked before, where nothing is said.
const SAME: f64 = 0.8;
/// How far hard and easy must lie apart, where nothing is said.
const APART: f64 = 0.1;

/// Likeness to examples.
pub(super) struct Embedding {
    meant: Bank,
    /// Examples of what is not meant: to these a text must be less like.
    other: Bank,
    least: f64,
}

impl Embedding {
    pub(super) fn compile(config: &EmbeddingConfig) -> Result<Self, String> {
        if !config.image_candidates.is_empty() || !config.negative_image_candidates.is_empty() {
            return Err(
                "image_candidates are not supported in this version: the model that ships reads text"
                    .to_owned(),
            );
        }
        let scoring = config.prototype_scoring.as_ref();
        let meant = Bank::new(&config.candidates, scoring).aggregated(config.aggregation_method);
        if meant.is_empty() {
            return Err("candidates is empty: there is nothing to be like".to_owned());
        }
        Ok(Self {
            meant,
            other: Bank::new(&config.negative_candidates, scoring),
            least: config.threshold.filter(|least| *least > 0.0).unwrap_or(LIKE),
        })
    }

    pub(super) fn examples(&self) -> Vec<&str> {
        self.meant.examples().chain(self.other.examples()).collect()
    }

    /// The least likeness; none where what it must not be like counts, too.
    pub(super) fn threshold(&self) -> Option<f64> {
        self.other.is_empty().then_some(self.least)
    }

    pub(super) fn judge(&self, text: &[f32], answers: &dyn Answers) -> Option<Reading> {
        let like = self.meant.score(text, answers)?;
        let mut read = reading(like, self.least);
        if !self.other.is_empty() {
            read.matched &= self.other.score(text, answers)? < like;
        }
        Some(read)
    }
}

impl Embedding {
    /// The likest of several; nothing is like where there are none.
    pub(super) fn judge_all(&self, all: &[Arc<str>], answers: &dyn Answers) -> Option<Reading> {
        let mut best = Reading::default();
        for one in all {
            let read = self.judge(answers.vector(one)?, answers)?;
            let is_better = (read.matched, read.value) > (best.matched, best.value);
            if is_better {
                best = read;
            }
        }
        Some(best)
    }
}

/// All preferences, of which a text has one at most.
pub(super) struct Preferences(Vec<Bank>);

impl Preferences {
    pub(super) fn new(configs: &[PreferenceConfig]) -> Arc<Self> {
        let bank = |config: &PreferenceConfig| {
            let described = config.description.iter().filter(|_| !config.examples.is_empty());
            let examples: Vec<String> = described.chain(&config.examples).cloned().collect();
            Bank::new(&examples, None)
        };
        Arc::new(Self(configs.iter().map(bank).collect()))
    }
}

/// What the user likes: matches where it is the likest of all.
pub(super) struct Preference {
    all: Arc<Preferences>,
    own: usize,
    least: f64,
}

impl Preference {
    pub(super) fn compile(
        all: &Arc<Preferences>,
        own: usize,
        config: &PreferenceConfig,
    ) -> Result<Self, String> {
        if config.examples.is_empty() {
            return Err(
                "examples is empty: preferences that a model at a provider tells apart are not supported in \
                        this version; give some examples"
                    .to_owned(),
            );
        }
        Ok(Self {
            all: Arc::clone(all),
            own,
            least: config.threshold.filter(|least| *least > 0.0).unwrap_or(LIKE),
        })
    }

    pub(super) fn examples(&self) -> Vec<&str> {
        self.all.0[self.own].examples().collect()
    }

    pub(super) fn judge(&self, text: &[f32], answers: &dyn Answers) -> Option<Reading> {
        let own = self.all.0[self.own].score(text, answers)?;
        let mut read = reading(own, self.least);
        for (index, other) in self.all.0.iter().enumerate() {
            if index != self.own && !other.is_empty() {
                let other = other.score(text, answers)?;
                // Of two that are alike the first stands.
                read.matched &= own > other || (own >= other && self.own < index);
            }
        }
        Some(read)
    }
}

/// Hard and easy examples.
pub(super) struct Contrast {
    hard: Bank,
    easy: Bank,
}

impl Contrast {
    /// None without examples.
    pub(super) fn of(config: &ComplexityConfig) -> Option<Arc<Self>> {
        let scoring = config.prototype_scoring.as_ref();
        let hard = Bank::new(&config.hard.candidates, scoring);
        let easy = Bank::new(&config.easy.candidates, scoring);
        (!hard.is_empty() || !easy.is_empty()).then(|| Arc::new(Self { hard, easy }))
    }
}

/// From where on a prompt is hard, and up to where it is easy.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    hard_above: f64,
    easy_below: f64,
}

impl Bounds {
    pub(super) fn compile(config: &ComplexityConfig) -> Result<Self, String> {
        if !config.hard.image_candidates.is_empty() || !config.easy.image_candidates.is_empty() {
            return Err(
                "image_candidates are not supported in this version: the model that ships reads text"
                    .to_owned(),
            );
        }
        if config.hard_below.is_some() || config.easy_above.is_some() {
            return Err("hard_below and easy_above are bounds of a number that falls with difficulty; likeness to hard \
                        examples rises with it: use hard_above and easy_below"
                .to_owned());
        }
        if config.hard.candidates.is_empty() != config.easy.candidates.is_empty() {
            return Err("examples of both hard and easy prompts are wanted, or none of either".to_owned());
        }
        let apart = config.threshold.unwrap_or(APART);
        let bounds = Self {
            hard_above: config.hard_above.unwrap_or(apart),
            easy_below: config.easy_below.unwrap_or(-apart),
        };
        match bounds.easy_below > bounds.hard_above {
            true => Err("easy_below is above hard_above: a prompt would be both".to_owned()),
            false => Ok(bounds),
        }
    }
}

/// Whether a prompt is of this level.
pub(super) struct Complexity {
    examples: Arc<Contrast>,
    bounds: Bounds,
    level: &'static str,
}

impl Complexity {
    pub(super) fn new(examples: Arc<Contrast>, bounds: Bounds, level: &'static str) -> Self {
        Self {
            examples,
            bounds,
            level,
        }
    }

    pub(super) fn examples(&self) -> Vec<&str> {
        self.examples
            .hard
            .examples()
            .chain(self.examples.easy.examples())
            .collect()
    }

    pub(super) fn judge(&self, text: &[f32], answers: &dyn Answers) -> Option<Reading> {
        let hard = self.examples.hard.score(text, answers)?;
        let margin = hard - self.examples.easy.score(text, answers)?;
        let level = if margin > self.bounds.hard_above {
            "hard"
        } else if margin < self.bounds.easy_below {
            "easy"
        } else {
            "medium"
        };
        Some(Reading {
            matched: level == self.level,
            confidence: if level == self.level { margin.abs() } else { 0.0 },
            value: margin,
        })
    }
}

/// The user asks again what was asked before.
pub(super) struct Reask {
    least: f64,
    turns: usize,
}

impl Reask {
    pub(super) fn new(config: &ReaskConfig) -> Self {
        let turns = config.lookback_turns.unwrap_or(1).max(1);
        Self {
            least: config.threshold.filter(|least| *least > 0.0).unwrap_or(SAME),
            turns: usize::try_from(turns).unwrap_or(usize::MAX),
        }
    }

    /// So many of the user's last turns in a row are like this one.
    pub(super) fn judge(&self, facts: &Facts<'_>, answers: &dyn Answers) -> Option<Reading> {
        let now = answers.vector(facts.user_text)?;
        let said = turns(facts).into_iter().rev().filter(|turn| turn.role == "user");
        let mut least = 1.0_f64;
        let mut row = 0;
        for turn in said.skip(1).take(self.turns) {
            least = least.min(dot(now, answers.vector(turn.text)?));
            row += 1;
        }
        Some(match row < self.turns {
            true => Reading::default(),
            false => reading(least, self.least),
        })
    }
}

//! Candidates in order, with the reason for each place.

use serde::Serialize;
use serde::ser::SerializeMap;

/// Most numbers that a score is told by.
const MAX_PARTS: usize = 6;

/// What a score is made of, for the trace: names and numbers, without an allocation.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Parts {
    parts: [(&'static str, f64); MAX_PARTS],
    count: usize,
}

/// None.
pub(crate) const NO_PARTS: Parts = Parts {
    parts: [("", 0.0); MAX_PARTS],
    count: 0,
};

impl Parts {
    /// With one more; what is beyond six, or no number, is left out.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: f64) -> Self {
        if value.is_finite()
            && let Some(free) = self.parts.get_mut(self.count)
        {
            *free = (name, value);
            self.count += 1;
        }
        self
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, f64)> {
        self.parts.iter().take(self.count).copied()
    }
}

impl Serialize for Parts {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.count))?;
        for (name, value) in self.iter() {
            map.serialize_entry(name, &value)?;
        }
        map.end()
    }
}

/// What an algorithm makes of a candidate.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Score {
    /// The higher the better; none when the algorithm has nothing to go by, which ranks last.
    pub value: Option<f64>,
    /// The chance of a good answer, 0 to 1, where the algorithm estimates it: what targets steer by.
    pub quality: Option<f64>,
    /// What it is made of.
    pub parts: Parts,
}

impl Score {
    /// A score.
    #[must_use]
    pub fn of(value: f64) -> Self {
        Self {
            value: value.is_finite().then_some(value),
            ..Self::default()
        }
    }

    /// A score that is a chance of a good answer.
    #[must_use]
    pub fn quality(quality: f64) -> Self {
        Self {
            quality: quality.is_finite().then_some(quality),
            ..Self::of(quality)
        }
        .part("quality", quality)
    }

    /// With one more number of what it is made of.
    #[must_use]
    pub fn part(mut self, name: &'static str, value: f64) -> Self {
        self.parts = self.parts.with(name, value);
        self
    }
}

/// Scores of all candidates that fit, in their order.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Scores {
    /// One for each.
    pub each: Vec<Score>,
    /// Why the algorithm could not go by what it usually goes by.
    pub note: Option<&'static str>,
}

impl Scores {
    /// As declared: nothing else is to go by.
    #[must_use]
    pub fn none(count: usize, note: &'static str) -> Self {
        Self {
            each: vec![Score::default(); count],
            note: Some(note),
        }
    }
}

impl From<Vec<Score>> for Scores {
    fn from(each: Vec<Score>) -> Self {
        Self { each, note: None }
    }
}

/// A candidate in its place.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Ranked {
    /// Its number among the candidates.
    pub index: usize,
    /// The model.
    pub model: String,
    /// What it scores; none when nothing was to go by.
    pub score: Option<f64>,
    /// The chance of a good answer, where it is estimated.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quality: Option<f64>,
    /// What the request would cost, in nano-dollars, where prices are known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cost: Option<u64>,
    /// What the score is made of.
    pub parts: Parts,
}

/// A candidate that must not be taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Unfit {
    /// Its number among the candidates.
    pub index: usize,
    /// The model.
    pub model: String,
    /// Why.
    pub reason: &'static str,
}

/// Candidates in order, the choice first.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Ranking {
    /// The algorithm.
    pub method: &'static str,
    /// Those that fit.
    pub ranked: Vec<Ranked>,
    /// Those that must not be taken.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub unfit: Vec<Unfit>,
    /// Why the order is another than the scores alone would give, or why there are none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<&'static str>,
}

impl Ranking {
    /// The choice.
    #[must_use]
    pub fn first(&self) -> Option<&Ranked> {
        self.ranked.first()
    }
}

/// Orders by score, the best first; without one last; of equals, as declared.
pub(crate) fn order(left: &Ranked, right: &Ranked) -> std::cmp::Ordering {
    let value = |ranked: &Ranked| ranked.score.unwrap_or(f64::NEG_INFINITY);
    value(right)
        .total_cmp(&value(left))
        .then(left.index.cmp(&right.index))
}

/// Each value's place between the least (0) and the most (1); 0.5 where all are alike, as nothing tells them apart.
pub(crate) fn normalised(values: &[Option<f64>]) -> Vec<Option<f64>> {
    let known = || values.iter().flatten().copied();
    let (low, high) = (
        known().fold(f64::INFINITY, f64::min),
        known().fold(f64::NEG_INFINITY, f64::max),
    );
    let place = |value: f64| {
        if high > low {
            (value - low) / (high - low)
        } else {
            0.5
        }
    };
    values.iter().map(|value| value.map(place)).collect()
}

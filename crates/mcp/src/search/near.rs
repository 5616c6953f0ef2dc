//! Which words of things are near those of a request: what is said of a thing, word by word.

use std::collections::BTreeMap;

use super::vectors::Text;
use super::words;

/// Words that are less alike than this are not near at all.
const LEAST_NEAR: f32 = 0.45;
/// Most words of a request that are compared with those of tools.
const MAX_WORDS: usize = 32;

/// The words of a request that are compared with those of tools, each once: without their endings, and with them.
#[must_use]
pub fn asked_words(request: &str) -> Vec<(String, String)> {
    let mut words: Vec<(String, String)> = Vec::new();
    for word in words::whole(request) {
        if words.len() < MAX_WORDS && !words.iter().any(|(stem, _)| *stem == word.0) {
            words.push(word);
        }
    }
    words
}

/// What of an index is understood: texts of its tools and servers, and its words.
#[derive(Debug)]
pub struct Texts {
    /// Of each tool.
    pub tools: Vec<Text>,
    /// The name of each, with that of its server.
    pub named: Vec<Text>,
    /// Of each server that says something of itself.
    pub servers: Vec<Option<Text>>,
    /// Each word.
    pub words: Vec<Text>,
}

impl Texts {
    /// All of them; single words come last, because tools are found without.
    pub fn all(&self) -> impl Iterator<Item = &Text> {
        let servers = self.servers.iter().flatten();
        let tools = self.tools.iter().chain(servers);
        tools.chain(&self.named).chain(&self.words)
    }
}

/// The words that are said of things and their servers.
#[derive(Debug, Default)]
pub(super) struct Vocabulary {
    /// Without their endings, each with its place.
    places: BTreeMap<String, usize>,
    /// As they stood when they first came.
    whole: Vec<String>,
    /// Those of each thing, and of its server.
    of_things: Vec<Vec<usize>>,
}

impl Vocabulary {
    /// Of so many things.
    pub(super) fn of(things: usize) -> Self {
        Self {
            of_things: vec![Vec::new(); things],
            ..Self::default()
        }
    }

    /// Whether nothing is said of a thing yet.
    pub(super) fn is_empty(&self, thing: usize) -> bool {
        self.of_things[thing].is_empty()
    }

    /// Its words.
    pub(super) fn texts(&self) -> Vec<Text> {
        self.whole.iter().map(|word| Text::new(word)).collect()
    }

    /// How near the words of a request are to those that are said of each thing: a share, the rare ones count for more.
    pub(super) fn near(
        &self,
        asked: &[(String, String)],
        likeness: &[Option<Vec<f32>>],
        rarity: impl Fn(&str) -> f32,
    ) -> Vec<f32> {
        let mut scores = vec![0.0; self.of_things.len()];
        let mut total = 0.0;
        for (at, (stem, _)) in asked.iter().enumerate() {
            let weight = rarity(stem);
            total += weight;
            let same = self.places.get(stem);
            let known = likeness.get(at).and_then(Option::as_ref);
            let near = |place: &usize| match known {
                _ if same == Some(place) => 1.0,
                Some(likeness) => ((likeness[*place] - LEAST_NEAR) / (1.0 - LEAST_NEAR)).clamp(0.0, 1.0),
                None => 0.0,
            };
            for (score, places) in scores.iter_mut().zip(&self.of_things) {
                *score += weight * places.iter().map(near).fold(0.0, f32::max);
            }
        }
        if total > 0.0 {
            scores.iter_mut().for_each(|score| *score /= total);
        }
        scores
    }

    /// Takes in what is said of a thing.
    pub(super) fn add(&mut self, thing: usize, text: &str) {
        for (stem, word) in words::whole(text) {
            let next = self.whole.len();
            let place = *self.places.entry(stem).or_insert(next);
            if place == next {
                self.whole.push(word);
            }
            let own = &mut self.of_things[thing];
            if !own.contains(&place) {
                own.push(place);
            }
        }
    }
}

//! Which tools are for what a request says: what is alike in meaning, and which words both have.
//!
//! Here are functions over texts and vectors; who makes vectors of texts is not known here. Tools are ranked by
//!
//! - how like their text is to the request in meaning, and that of the likeliest tool about the same thing (a server has
//!   five tools for an issue; a request that is like one of them is about issues);
//! - how like its name is, said together with that of its server;
//! - how like what their server says of itself is, in meaning and in words;
//! - the words that the request has in common with all that is said of that thing, the rare ones more (BM25): which of its
//!   tools is meant is seldom said with the words of one;
//! - how near, in meaning, each word of the request is to the nearest one that is said of the thing or its server: people
//!   and tools seldom have the same words for the same;
//! - whether they do what the request wants, by the signs of that: a wish that takes nothing away is seldom for a tool that
//!   does.
//!
//! The weights of the parts are those with which the right tools of 300 requests are the likeliest (a quarter of
//! `tests/tools/requests.txt`, and `drawn.txt` and `further.txt` beside it); none is below zero, because who asks by a
//! tool's own name must not be told another.

mod near;
pub mod vectors;
pub mod words;

use std::collections::HashMap;

use near::Vocabulary;
use vectors::Text;
use words::{Deed, Sign};

pub use near::{Texts, asked_words};

/// Bytes of a description, or of what a server says of itself, that are read.
const LONGEST: usize = 2_000;

/// How the parts of a score are weighed.
mod weight {
    pub const OWN: f32 = 0.41;
    pub const THING: f32 = 0.4;
    /// Of its name, with that of its server.
    pub const NAMED: f32 = 0.06;
    pub const SERVER: f32 = 0.29;
    pub const WORDS: f32 = 0.13;
    pub const SERVER_WORDS: f32 = 0.1;
    /// Of words that are near one another.
    pub const NEAR: f32 = 0.45;
    /// Where nothing is known but words: how much those of the thing count, and how much the tool's own.
    pub const THING_ALONE: f32 = 0.7;
    pub const OWN_ALONE: f32 = 0.3;
    pub const DEED_ALONE: f32 = 0.7;
    /// Words of a name count for as much.
    pub const NAME: f32 = 2.0;
    pub const PARAMETER: f32 = 0.5;
}

/// What a sign says for tools that read, create, update, delete, or do something of their own.
const SIGNS: [(Sign, [f32; 5]); 10] = [
    (Sign::Asks, [0.08, -0.08, -0.05, -0.02, 0.06]),
    (Sign::Reads, [0.01, -0.02, -0.04, 0.0, 0.05]),
    (Sign::Creates, [-0.1, 0.11, -0.04, -0.02, 0.06]),
    (Sign::Updates, [-0.1, -0.08, 0.14, 0.0, 0.05]),
    (Sign::Deletes, [-0.04, -0.03, -0.02, 0.1, 0.0]),
    (Sign::Gone, [-0.05, -0.04, -0.03, 0.11, 0.01]),
    (Sign::Changes, [-0.08, -0.02, 0.07, 0.01, 0.02]),
    (Sign::Sentence, [-0.01, -0.06, 0.04, 0.01, 0.02]),
    (Sign::Named, [0.01, -0.01, 0.02, 0.0, -0.01]),
    (Sign::Other, [-0.05, -0.05, -0.04, 0.04, 0.1]),
];

/// What each further tool of a server loses: where no server is named, the first ones come from several.
const FURTHER: f32 = 0.03;

/// How soon a word that comes again counts less, and how much long texts are held against.
const SATURATION: f32 = 1.2;
const LENGTH: f32 = 0.5;
/// A few words in common are not much, however much more they are than others have.
const FEW: f32 = 8.0;
const FEW_OF_SERVER: f32 = 3.0;

/// A tool as it is searched for.
#[derive(Debug, Clone, Default)]
pub struct Described {
    /// The place of its server.
    pub server: usize,
    /// What its server calls it.
    pub name: String,
    /// What is said of it.
    pub description: String,
    /// The names of its parameters.
    pub parameters: Vec<String>,
}

impl Described {
    /// What is understood of it.
    #[must_use]
    pub fn text(&self) -> String {
        format!("{}: {}", words::apart(&self.name).trim(), cut(&self.description))
    }

    /// Its name, with that of its server.
    #[must_use]
    pub fn named(&self, server: &str) -> String {
        format!("{server}: {}", words::apart(&self.name).trim())
    }
}

fn cut(text: &str) -> &str {
    let mut end = LONGEST.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

/// A server as it is searched for.
#[derive(Debug, Clone, Default)]
pub struct Source {
    /// Its name.
    pub name: String,
    /// What it says of itself.
    pub says: String,
}

impl Source {
    /// What is understood of it; nothing where it says nothing.
    #[must_use]
    pub fn text(&self) -> Option<String> {
        let says = cut(self.says.trim());
        (!says.is_empty()).then(|| says.to_owned())
    }
}

/// How like a request is to tools and servers in meaning; none for those of which nothing is known yet.
#[derive(Debug, Clone, Default)]
pub struct Likeness {
    /// To each tool.
    pub tools: Vec<Option<f32>>,
    /// To the name of each, with that of its server.
    pub named: Vec<Option<f32>>,
    /// To each server.
    pub servers: Vec<Option<f32>>,
    /// Of each word of the request ([`asked_words`]) to each word of the index; nothing where it is not known.
    pub words: Vec<Option<Vec<f32>>>,
}

impl Likeness {
    /// Of one that is not known it is not said that it is unlike.
    fn filled(known: &[Option<f32>], count: usize) -> Vec<f32> {
        let there: Vec<f32> = known.iter().flatten().copied().collect();
        #[expect(clippy::cast_precision_loss, reason = "a count of tools")]
        let usual = if there.is_empty() {
            0.0
        } else {
            there.iter().sum::<f32>() / there.len() as f32
        };
        (0..count)
            .map(|at| known.get(at).copied().flatten().unwrap_or(usual))
            .collect()
    }
}

/// Tools and servers, ready to be searched.
#[derive(Debug)]
pub struct Index {
    tools: Vec<Described>,
    servers: Vec<Source>,
    deeds: Vec<Deed>,
    /// Which thing each tool is about.
    things: Vec<usize>,
    words: Words,
    thing_words: Words,
    server_words: Words,
    vocabulary: Vocabulary,
    texts: Texts,
}

impl Index {
    /// Reads tools and servers.
    #[must_use]
    pub fn new(tools: Vec<Described>, servers: Vec<Source>) -> Self {
        let things = things(&tools);
        let mut words = Words::default();
        let count = things.iter().max().map_or(0, |most| most + 1);
        let mut of_things = vec![Bag::default(); count];
        let mut vocabulary = Vocabulary::of(count);
        for (tool, thing) in tools.iter().zip(&things) {
            let place = servers.get(tool.server);
            let is_first = vocabulary.is_empty(*thing);
            for text in [&*tool.name, cut(&tool.description)]
                .into_iter()
                .chain(tool.parameters.iter().map(String::as_str))
            {
                vocabulary.add(*thing, text);
            }
            if let Some(place) = place.filter(|_| is_first) {
                vocabulary.add(*thing, &place.name);
                vocabulary.add(*thing, cut(&place.says));
            }
            let mut bag = Bag::default();
            bag.add(&tool.name, weight::NAME);
            bag.add(place.map_or("", |place| &place.name), 1.0);
            bag.add(cut(&tool.description), 1.0);
            for parameter in &tool.parameters {
                bag.add(parameter, weight::PARAMETER);
            }
            of_things[*thing].widen(&bag);
            words.push(bag);
        }
        let mut thing_words = Words::default();
        of_things.into_iter().for_each(|bag| thing_words.push(bag));
        let mut server_words = Words::default();
        for place in &servers {
            let mut bag = Bag::default();
            bag.add(cut(&place.says), 1.0);
            server_words.push(bag);
        }
        Self {
            texts: texts(&tools, &servers, &vocabulary),
            deeds: tools.iter().map(|tool| words::deed(&tool.name)).collect(),
            things,
            tools,
            servers,
            words,
            thing_words,
            server_words,
            vocabulary,
        }
    }

    /// What of it is understood.
    #[must_use]
    pub fn texts(&self) -> &Texts {
        &self.texts
    }

    /// The tools, in the order in which they are scored.
    #[must_use]
    pub fn tools(&self) -> &[Described] {
        &self.tools
    }

    /// The servers.
    #[must_use]
    pub fn servers(&self) -> &[Source] {
        &self.servers
    }

    /// How much each tool is for what a request says; without a likeness, by words alone.
    #[must_use]
    pub fn scores(&self, request: &str, likeness: Option<&Likeness>) -> Vec<f32> {
        let terms = words::telling(request);
        let of_things = by_most(self.thing_words.shared(&terms), FEW);
        let of_servers = by_most(self.server_words.present(&terms), FEW_OF_SERVER);
        let deeds = wanted(request);
        let (own, servers) = match likeness {
            Some(likeness) => (
                Likeness::filled(&likeness.tools, self.tools.len()),
                Likeness::filled(&likeness.servers, self.servers.len()),
            ),
            None => (vec![0.0; self.tools.len()], vec![0.0; self.servers.len()]),
        };
        let own_words = match likeness {
            Some(_) => Vec::new(),
            None => by_most(self.words.shared(&terms), FEW),
        };
        let (by_words, by_deed) = match likeness {
            Some(_) => (weight::WORDS, 1.0),
            None => (weight::THING_ALONE, weight::DEED_ALONE),
        };
        let near = likeness.map_or_else(Vec::new, |likeness| self.near(request, &likeness.words));
        let named = likeness.map_or_else(Vec::new, |likeness| {
            Likeness::filled(&likeness.named, self.tools.len())
        });
        let mut best = vec![f32::MIN; self.tools.len()];
        for (thing, own) in self.things.iter().zip(&own) {
            best[*thing] = best[*thing].max(*own);
        }
        let place = |scores: &[f32], at: usize| scores.get(at).copied().unwrap_or(0.0);
        (0..self.tools.len())
            .map(|at| {
                let server = self.tools[at].server;
                weight::OWN * own[at]
                    + weight::THING * best[self.things[at]]
                    + weight::NAMED * place(&named, at)
                    + weight::SERVER * place(&servers, server)
                    + by_words * of_things[self.things[at]]
                    + weight::OWN_ALONE * place(&own_words, at)
                    + weight::SERVER_WORDS * place(&of_servers, server)
                    + weight::NEAR * place(&near, self.things[at])
                    + by_deed * deeds[self.deeds[at] as usize]
            })
            .collect()
    }

    fn near(&self, request: &str, likeness: &[Option<Vec<f32>>]) -> Vec<f32> {
        let rarity = |stem: &str| {
            let with = self.thing_words.texts_with.get(stem);
            self.thing_words.rarity(with.map_or(0, Vec::len))
        };
        self.vocabulary.near(&asked_words(request), likeness, rarity)
    }

    /// The places of tools, those that fit best first: of those that are there for whoever asks.
    #[must_use]
    pub fn order(&self, scores: &[f32], is_there: impl Fn(usize) -> bool) -> Vec<usize> {
        let mut fitting: Vec<(f32, usize)> = scores
            .iter()
            .enumerate()
            .filter(|(at, _)| is_there(*at))
            .map(|(at, score)| (*score, at))
            .collect();
        let by_score = |left: &(f32, usize), right: &(f32, usize)| right.0.total_cmp(&left.0);
        fitting.sort_by(by_score);
        let mut before: HashMap<usize, f32> = HashMap::new();
        for (score, at) in &mut fitting {
            let others = before.entry(self.tools[*at].server).or_default();
            *score -= FURTHER * *others;
            *others += 1.0;
        }
        fitting.sort_by(by_score);
        fitting.into_iter().map(|(_, at)| at).collect()
    }
}

fn texts(tools: &[Described], servers: &[Source], vocabulary: &Vocabulary) -> Texts {
    let named = tools.iter().map(|tool| {
        let server = servers.get(tool.server);
        Text::new(&tool.named(server.map_or("", |place| &place.name)))
    });
    let named = named.collect();
    let servers = servers.iter().map(|place| place.text());
    Texts {
        tools: tools.iter().map(|tool| Text::new(&tool.text())).collect(),
        named,
        servers: servers.map(|text| text.map(|text| Text::new(&text))).collect(),
        words: vocabulary.texts(),
    }
}

/// How much a request wants what each tool does, by the places of [`Deed`].
fn wanted(request: &str) -> [f32; 5] {
    let mut deeds = [0.0; 5];
    for sign in words::signs(request) {
        let says = SIGNS.iter().filter(|(known, _)| *known == sign);
        for (deed, said) in says.flat_map(|(_, says)| says.iter().enumerate()) {
            deeds[deed] += said;
        }
    }
    deeds
}

/// Tools of a server whose names are the same but for the first or the last word are about the same thing: by the one of
/// both that more of them have. Things are numbered as they come.
fn things(tools: &[Described]) -> Vec<usize> {
    let about: Vec<[String; 2]> = tools.iter().map(|tool| words::things(&tool.name)).collect();
    let mut counts: HashMap<(usize, &str), usize> = HashMap::new();
    for (tool, about) in tools.iter().zip(&about) {
        for thing in about.iter().filter(|thing| !thing.is_empty()) {
            *counts.entry((tool.server, thing)).or_default() += 1;
        }
    }
    let mut first: HashMap<(usize, &str), usize> = HashMap::new();
    let mut places = Vec::with_capacity(tools.len());
    let mut next = 0;
    for (tool, about) in tools.iter().zip(&about) {
        let count = |thing: &str| counts.get(&(tool.server, thing)).copied().unwrap_or(0);
        let [without_first, without_last] = about;
        let thing = if count(without_last) > count(without_first) {
            without_last
        } else {
            without_first
        };
        let number = if thing.is_empty() {
            next
        } else {
            *first.entry((tool.server, thing)).or_insert(next)
        };
        next += usize::from(number == next);
        places.push(number);
    }
    places
}

/// Scores as shares of the greatest.
fn by_most(mut scores: Vec<f32>, few: f32) -> Vec<f32> {
    let most = scores.iter().copied().fold(0.0, f32::max) + few;
    scores.iter_mut().for_each(|score| *score /= most);
    scores
}

/// The words of one text, with how much each counts.
#[derive(Debug, Clone, Default)]
struct Bag(HashMap<String, f32>);

impl Bag {
    fn add(&mut self, text: &str, weight: f32) {
        for word in words::telling(text) {
            *self.0.entry(word).or_default() += weight;
        }
    }

    /// Takes in the words of another; each counts as much as where it counts most.
    fn widen(&mut self, other: &Self) {
        for (word, count) in &other.0 {
            let own = self.0.entry(word.clone()).or_default();
            *own = own.max(*count);
        }
    }
}

/// Which texts have which words.
#[derive(Debug, Default)]
struct Words {
    lengths: Vec<f32>,
    total: f32,
    texts_with: HashMap<String, Vec<(usize, f32)>>,
}

impl Words {
    fn push(&mut self, bag: Bag) {
        let at = self.lengths.len();
        let length: f32 = bag.0.values().sum();
        self.lengths.push(length);
        self.total += length;
        for (word, count) in bag.0 {
            self.texts_with.entry(word).or_default().push((at, count));
        }
    }

    /// The rarer, the more it tells.
    #[expect(clippy::cast_precision_loss, reason = "counts of texts")]
    fn rarity(&self, texts: usize) -> f32 {
        let (all, with) = (self.lengths.len() as f32, texts as f32);
        (1.0 + (all - with + 0.5) / (with + 0.5)).ln()
    }

    fn each(&self, terms: &[String], score: impl Fn(usize, f32) -> f32) -> Vec<f32> {
        let mut scores = vec![0.0; self.lengths.len()];
        for (at, term) in terms.iter().enumerate() {
            if terms[..at].contains(term) {
                continue;
            }
            for (text, count) in self.texts_with.get(term).into_iter().flatten() {
                let rarity = self.rarity(self.texts_with[term].len());
                scores[*text] += rarity * score(*text, *count);
            }
        }
        scores
    }

    /// What BM25 says.
    #[expect(clippy::cast_precision_loss, reason = "a count of texts")]
    fn shared(&self, terms: &[String]) -> Vec<f32> {
        let usual = (self.total / self.lengths.len().max(1) as f32).max(1.0);
        self.each(terms, |text, count| {
            let long = 1.0 - LENGTH + LENGTH * self.lengths[text] / usual;
            count * (SATURATION + 1.0) / (count + SATURATION * long)
        })
    }

    /// Whether they are there, and no more.
    fn present(&self, terms: &[String]) -> Vec<f32> {
        self.each(terms, |_, _| 1.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn index() -> Index {
        let tool = |server: usize, name: &str, description: &str| Described {
            server,
            name: name.to_owned(),
            description: description.to_owned(),
            parameters: vec!["id".to_owned()],
        };
        let place = |name: &str, says: &str| Source {
            name: name.to_owned(),
            says: says.to_owned(),
        };
        Index::new(
            vec![
                tool(0, "list_issues", "Lists issues of a repository"),
                tool(0, "create_issue", "Files something"),
                tool(0, "delete_issue", "Removes an issue"),
                tool(1, "parcelTrack", "Tells where a parcel is"),
                tool(1, "x", "Something else"),
            ],
            vec![
                place("repos", "Source code and bugs"),
                place("shipping", "Packages"),
            ],
        )
    }

    fn first(scores: &[f32]) -> usize {
        index().order(scores, |_| true)[0]
    }

    #[test]
    fn the_first_tools_come_from_several_servers() {
        let index = index();
        let scores = [0.9, 0.89, 0.88, 0.85, 0.5];
        assert_eq!(index.order(&scores, |_| true), [0, 1, 3, 2, 4]);
        // What is not there for whoever asks takes nobody's place.
        assert_eq!(index.order(&scores, |at| at > 1), [2, 3, 4]);
        assert_eq!(index.order(&[0.5, 0.2, 0.5, 0.0, 0.0], |_| true)[..2], [0, 2]);
    }

    #[test]
    fn words_find_tools_without_any_vector() {
        let index = index();
        assert_eq!(first(&index.scores("tracking a parcel", None)), 3);
        assert_eq!(first(&index.scores("show issues", None)), 0);
        assert_eq!(first(&index.scores("create issue", None)), 1);
        // Nothing is taken away that nobody wants gone.
        let scores = index.scores("an issue", None);
        assert!(scores[2] < scores[0], "{scores:?}");
        let scores = index.scores("remove an issue", None);
        assert_eq!(first(&scores), 2);
    }

    #[test]
    fn a_likeness_to_one_tool_is_one_to_what_it_is_about() {
        let index = index();
        let likeness = Likeness {
            tools: vec![Some(0.2), Some(0.2), Some(0.8), Some(0.3), Some(0.3)],
            ..Likeness::default()
        };
        let scores = index.scores("file something", Some(&likeness));
        assert!(scores[1] > scores[3], "{scores:?}");
    }

    #[test]
    fn a_word_that_is_near_one_of_a_thing_counts_as_that() {
        let index = index();
        let words = &index.texts().words;
        let parcel = words.iter().position(|word| word.says() == "parcel").unwrap();
        let near = |likeness: f32| {
            let mut all = vec![0.3; words.len()];
            all[parcel] = likeness;
            index.near("luggage", &[Some(all)])[index.things[3]]
        };
        assert!(near(1.0) > 0.99 && near(0.4) < 0.01);
        assert!(near(0.8) > near(0.6) && near(0.6) > near(0.4));
        // What is the same is as near as can be, whatever is known.
        assert!(index.near("parcels", &[])[index.things[3]] > 0.99);
    }

    #[test]
    fn tools_that_are_not_read_yet_are_neither_like_nor_unlike() {
        let likeness = Likeness {
            tools: vec![Some(0.9), Some(0.1), Some(0.1), Some(0.1), None],
            servers: vec![None, None],
            ..Likeness::default()
        };
        assert_eq!(
            Likeness::filled(&likeness.tools, 5)[4],
            (0.9 + 0.1 + 0.1 + 0.1) / 4.0
        );
        assert_eq!(index().scores("anything", Some(&likeness)).len(), 5);
        assert!(Index::new(Vec::new(), Vec::new()).scores("x", None).is_empty());
    }
}

//! Words in the user's text: as patterns, by BM25, by n-grams, by edit distance.

use std::collections::HashSet;

use regex::RegexSet;

use super::Reading;
use super::plain::Plain;
use super::print::hash;
use super::words::{word_pattern, words};
use crate::config::{KeywordConfig, KeywordMethod, Operator};

/// BM25's saturation of repeated terms and its weight of length (Robertson and Zaragoza, 2009).
const K1: f64 = 1.2;
const B: f64 = 0.75;
/// Length of an ordinary prompt, in words.
const ORDINARY_LENGTH: f64 = 50.0;

pub(crate) struct Keyword {
    operator: Operator,
    method: Method,
    exact: bool,
    /// Of each keyword, and how it is compared.
    prints: Vec<u32>,
}

enum Method {
    Regex {
        set: RegexSet,
        /// The same for texts of ASCII, in a fraction of the time, where no keyword could mean a pattern.
        plain: Option<Plain>,
    },
    Bm25 {
        terms: Vec<Vec<String>>,
        threshold: f64,
    },
    Ngram {
        terms: Vec<(usize, HashSet<String>)>,
        arity: usize,
        threshold: f64,
    },
    Fuzzy {
        terms: Vec<Vec<String>>,
        threshold: f64,
    },
}

impl Keyword {
    pub(crate) fn compile(config: &KeywordConfig) -> Result<Self, String> {
        if config.keywords.is_empty() {
            return Err("a keyword signal needs keywords".to_owned());
        }
        let exact = config.case_sensitive;
        let terms = || {
            config
                .keywords
                .iter()
                .map(|keyword| words(keyword, exact))
                .collect::<Vec<_>>()
        };
        let kind = if config.fuzzy_match {
            Some(KeywordMethod::Fuzzy)
        } else {
            config.method
        };
        let method = match kind {
            None | Some(KeywordMethod::Regex) => {
                let words = config.keywords.iter();
                let patterns: Vec<String> = match kind {
                    None => words.map(|keyword| word_pattern(keyword, exact)).collect(),
                    Some(_) if exact => words.cloned().collect(),
                    Some(_) => words.map(|pattern| format!("(?i){pattern}")).collect(),
                };
                Method::Regex {
                    set: RegexSet::new(patterns).map_err(|error| error.to_string())?,
                    plain: Plain::compile(&config.keywords, exact, kind.is_none()),
                }
            }
            Some(KeywordMethod::Bm25) => Method::Bm25 {
                terms: terms(),
                threshold: config.bm25_threshold.unwrap_or(0.1),
            },
            Some(KeywordMethod::Ngram) => {
                let arity = config.ngram_arity.unwrap_or(3).max(1);
                let grams = |term: Vec<String>| (term.len().max(1), grams(&term.join(" "), arity));
                Method::Ngram {
                    terms: terms().into_iter().map(grams).collect(),
                    arity,
                    threshold: config.ngram_threshold.unwrap_or(0.4),
                }
            }
            Some(KeywordMethod::Fuzzy) => Method::Fuzzy {
                terms: terms(),
                threshold: f64::from(config.fuzzy_threshold.unwrap_or(80)) / 100.0,
            },
        };
        Ok(Self {
            operator: config.operator,
            method,
            exact,
            prints: prints(config),
        })
    }

    /// Whether one look at the text is enough.
    pub(crate) fn is_quick(&self) -> bool {
        matches!(self.method, Method::Regex { .. })
    }

    pub(crate) fn read(&self, text: &str) -> Reading {
        match &self.method {
            // By far the most: counted without a list of all.
            Method::Regex { set, plain } => self.judge(match Self::at_once(plain.as_ref(), text) {
                Some(plain) => plain.found(text).len(),
                None => set.matches(text).iter().count(),
            }),
            _ => self.judge(self.hits(text).into_iter().filter(|hit| *hit).count()),
        }
    }

    /// Words that are looked for together. Other letters than those of ASCII have some of ASCII among their small or
    /// capital forms.
    fn at_once<'p>(plain: Option<&'p Plain>, text: &str) -> Option<&'p Plain> {
        plain.filter(|_| text.is_ascii())
    }

    /// Its keywords by their prints, and whether they are there.
    pub(crate) fn looked_for(&self, text: &str) -> Vec<(u32, bool)> {
        self.prints.iter().copied().zip(self.hits(text)).collect()
    }

    /// What it says where it is known of all its keywords whether they were there.
    pub(crate) fn of_words(&self, had: &dyn Fn(u32) -> Option<bool>) -> Option<Reading> {
        let hits: Vec<bool> = self
            .prints
            .iter()
            .map(|print| had(*print))
            .collect::<Option<_>>()?;
        Some(self.judge(hits.into_iter().filter(|hit| *hit).count()))
    }

    /// Which keywords are there, in their order.
    fn hits(&self, text: &str) -> Vec<bool> {
        match &self.method {
            Method::Regex { set, plain } => {
                let mut hits = vec![false; self.prints.len()];
                match Self::at_once(plain.as_ref(), text) {
                    Some(plain) => plain.found(text).into_iter().for_each(|place| hits[place] = true),
                    None => set.matches(text).iter().for_each(|place| hits[place] = true),
                }
                hits
            }
            Method::Bm25 { terms, threshold } => {
                let text = words(text, self.exact);
                terms.iter().map(|term| bm25(term, &text) >= *threshold).collect()
            }
            Method::Ngram {
                terms,
                arity,
                threshold,
            } => {
                let text = words(text, self.exact);
                let near = |(length, term): &(usize, HashSet<String>)| {
                    windows(&text, *length).any(|window| shared(term, &grams(&window, *arity)) >= *threshold)
                };
                terms.iter().map(near).collect()
            }
            Method::Fuzzy { terms, threshold } => {
                let text = words(text, self.exact);
                let near = |term: &Vec<String>| {
                    let joined = term.join(" ");
                    windows(&text, term.len().max(1))
                        .any(|window| strsim::normalized_levenshtein(&joined, &window) >= *threshold)
                };
                terms.iter().map(near).collect()
            }
        }
    }

    /// What so many of its keywords say.
    fn judge(&self, hits: usize) -> Reading {
        let count = self.prints.len();
        let matched = match self.operator {
            Operator::Or => hits > 0,
            Operator::And => hits == count,
            Operator::Nor => hits == 0,
        };
        let share = if self.operator == Operator::Nor {
            1.0
        } else {
            hits as f64 / count as f64
        };
        let confidence = if matched { 0.5 + 0.5 * share } else { 0.0 };
        Reading {
            matched,
            confidence,
            value: hits as f64,
        }
    }
}

/// Prints of the keywords, each with how it is compared.
fn prints(config: &KeywordConfig) -> Vec<u32> {
    let how = serde_json::json!([
        config.method,
        config.fuzzy_match,
        config.case_sensitive,
        config.bm25_threshold,
        config.ngram_threshold,
        config.ngram_arity,
        config.fuzzy_threshold
    ]);
    let keywords = config.keywords.iter();
    keywords
        .map(|keyword| hash(&serde_json::json!([how, keyword])))
        .collect()
}

/// BM25 of a term in a text, from 0 to 1: the least of its words'.
fn bm25(term: &[String], text: &[String]) -> f64 {
    let length = text.len() as f64 / ORDINARY_LENGTH;
    let score = |word: &String| {
        let times = text.iter().filter(|other| *other == word).count() as f64;
        times / (times + K1 * (1.0 - B + B * length))
    };
    term.iter().map(score).reduce(f64::min).unwrap_or(0.0)
}

/// Runs of `length` words.
fn windows(text: &[String], length: usize) -> impl Iterator<Item = String> {
    text.windows(length).map(|window| window.join(" "))
}

fn grams(text: &str, arity: usize) -> HashSet<String> {
    let letters: Vec<char> = text.chars().collect();
    if letters.len() <= arity {
        return HashSet::from([text.to_owned()]);
    }
    letters
        .windows(arity)
        .map(|window| window.iter().collect())
        .collect()
}

/// Jaccard's coefficient: what two sets share of what they have.
fn shared(left: &HashSet<String>, right: &HashSet<String>) -> f64 {
    let both = left.intersection(right).count();
    let all = left.len() + right.len() - both;
    if all == 0 { 0.0 } else { both as f64 / all as f64 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str, text: &str) -> Reading {
        Keyword::compile(&serde_json::from_str(json).unwrap())
            .unwrap()
            .read(text)
    }

    #[test]
    fn each_method_finds_what_it_should() {
        for (signal, text, matched) in [
            (
                r#"{"keywords":["algebra","calculus"]}"#,
                "solve this Algebra problem",
                true,
            ),
            (r#"{"keywords":["algebra"]}"#, "algebraic", false),
            (r#"{"keywords":["kelvin"]}"#, "0 \u{212a}elvin", true),
            (
                r#"{"keywords":["algebra"],"case_sensitive":true}"#,
                "Algebra",
                false,
            ),
            (r#"{"keywords":["c++"]}"#, "write C++ code", true),
            (r#"{"keywords":["integral(s)?"]}"#, "two integrals", false),
            (
                r#"{"keywords":["\\bintegral(s)?\\b"],"method":"regex"}"#,
                "two Integrals",
                true,
            ),
            (r#"{"keywords":["node.js"]}"#, "nodexjs", false),
            (r#"{"keywords":["python"]}"#, "用Python写", true),
            (r#"{"keywords":["AI分析"]}"#, "用AI分析数据", true),
            (r#"{"keywords":["代数"]}"#, "这道代数题怎么做", true),
            (r#"{"operator":"AND","keywords":["a","b"]}"#, "a c", false),
            (r#"{"operator":"AND","keywords":["a","b"]}"#, "b and a", true),
            (r#"{"operator":"NOR","keywords":["a","b"]}"#, "c", true),
            (r#"{"operator":"NOR","keywords":["a","b"]}"#, "c a", false),
            (
                r#"{"method":"bm25","keywords":["kernel panic"]}"#,
                "a kernel had a panic",
                true,
            ),
            (
                r#"{"method":"bm25","keywords":["kernel panic"]}"#,
                "no kernel here",
                false,
            ),
            (
                r#"{"method":"ngram","keywords":["kubernetes"]}"#,
                "my kuberntes cluster",
                true,
            ),
            (
                r#"{"method":"ngram","keywords":["kubernetes"]}"#,
                "my cluster",
                false,
            ),
            (
                r#"{"method":"fuzzy","keywords":["algebra"]}"#,
                "algbra homework",
                true,
            ),
            (
                r#"{"method":"fuzzy","keywords":["algebra"]}"#,
                "zebra homework",
                false,
            ),
            (
                r#"{"fuzzy_match":true,"fuzzy_threshold":95,"keywords":["algebra"]}"#,
                "algbra",
                false,
            ),
        ] {
            assert_eq!(read(signal, text).matched, matched, "{signal} {text:?}");
        }
    }

    #[test]
    fn confidence_grows_with_the_share_of_words() {
        let signal = r#"{"keywords":["a","b","c","d"]}"#;
        assert!((read(signal, "a").confidence - 0.625).abs() < 1e-9);
        assert!((read(signal, "a b c d").confidence - 1.0).abs() < 1e-9);
        assert!(read(signal, "x").confidence.abs() < 1e-9);
    }
}

//! One model, whose reasoning is switched on or off for each question.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::sync::Arc;

use flate2::read::GzDecoder;
use pointsman_routing::selection::{
    Algorithm, AlgorithmConfig, CandidateFacts, Chance, Embedder, FitOptions, Fitted, HashedNgrams, Price,
    Questions, Row, Selection, SelectionRequest, Surroundings, fit,
};

use super::{PRICES, WIDTH};

/// The two, as the file calls them, the cheap one first.
pub const MODES: [&str; 2] = ["off", "on"];

/// Seconds to the first token, and tokens a second behind it: assumed.
pub const SPEED: (f64, f64) = (0.3, 60.0);

/// What may be spent, of the tokens of always reasoning: what the published figures leave.
pub const GOAL: f64 = 1.0 - 0.485;

/// Parts that questions are divided into; each is judged by what was fitted to the others.
const FOLDS: usize = 5;

#[derive(serde::Deserialize)]
struct Line {
    label_domain: String,
    tokens: std::collections::HashMap<String, u64>,
    #[serde(flatten)]
    row: Row,
}

/// Questions that were asked both ways.
#[derive(Clone, Default)]
pub struct Asked {
    rows: Vec<Row>,
    pub subjects: Vec<String>,
    /// Without reasoning and with it: 0 or 1.
    pub right: Vec<[f64; 2]>,
    /// Of thought and answer together.
    pub tokens: Vec<[u64; 2]>,
}

/// What came of switching.
#[derive(Clone, Copy)]
pub struct Came {
    pub accuracy: f64,
    /// Tokens of an answer.
    pub tokens: f64,
    /// Those, as a share of always reasoning.
    pub share: f64,
    /// How often it was switched on.
    pub on: f64,
}

impl Came {
    pub fn seconds(&self) -> f64 {
        SPEED.0 + self.tokens / SPEED.1
    }
}

impl Asked {
    pub fn read(path: &Path) -> Self {
        let mut asked = Self::default();
        for line in BufReader::new(GzDecoder::new(File::open(path).unwrap())).lines() {
            asked.add(&line.unwrap());
        }
        asked
    }

    fn add(&mut self, line: &str) {
        let line: Line = serde_json::from_str(line).unwrap();
        self.right.push(MODES.map(|mode| line.row.correct[mode]));
        self.tokens.push(MODES.map(|mode| line.tokens[mode]));
        self.subjects.push(line.label_domain);
        self.rows.push(line.row);
    }

    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// The same with at most so many tokens for an answer: what was longer is cut off, and so not right.
    pub fn within(&self, most: u64) -> Self {
        let mut cut = self.clone();
        for (at, tokens) in cut.tokens.iter_mut().enumerate() {
            for (mode, tokens) in tokens.iter_mut().enumerate() {
                if *tokens > most {
                    *tokens = most;
                    cut.right[at][mode] = 0.0;
                    cut.rows[at].correct[MODES[mode]] = 0.0;
                }
            }
        }
        cut
    }

    /// Places of all but every `FOLDS`-th question, or of those.
    fn places(&self, fold: usize, held: bool) -> Vec<usize> {
        (0..self.len())
            .filter(|at| (at % FOLDS == fold) == held)
            .collect()
    }

    fn part(&self, places: &[usize]) -> Self {
        Self {
            rows: places.iter().map(|at| self.rows[*at].clone()).collect(),
            subjects: places.iter().map(|at| self.subjects[*at].clone()).collect(),
            right: places.iter().map(|at| self.right[*at]).collect(),
            tokens: places.iter().map(|at| self.tokens[*at]).collect(),
        }
    }

    /// Tokens of an answer without reasoning and with it, on average: what is known of costs before a question is asked.
    fn lengths(&self) -> [f64; 2] {
        [0, 1]
            .map(|mode| self.tokens.iter().map(|tokens| tokens[mode] as f64).sum::<f64>() / self.len() as f64)
    }

    pub fn came(&self, picks: &[usize]) -> Came {
        let places: Vec<usize> = (0..self.len()).collect();
        self.came_at(picks, &places)
    }

    /// What came of it at some places, which may occur more than once.
    fn came_at(&self, picks: &[usize], places: &[usize]) -> Came {
        let count = places.len() as f64;
        let sum = |of: &dyn Fn(usize) -> f64| places.iter().map(|at| of(*at)).sum::<f64>();
        let spent = sum(&|at| self.tokens[at][picks[at]] as f64);
        Came {
            accuracy: sum(&|at| self.right[at][picks[at]]) / count,
            tokens: spent / count,
            share: spent / sum(&|at| self.tokens[at][1] as f64),
            on: sum(&|at| picks[at] as f64) / count,
        }
    }

    /// A measure of these picks, and its bounds over 2,000 draws of questions, 19 in 20.
    pub fn bounds(&self, picks: &[usize], of: impl Fn(&Came, [&Came; 2]) -> f64) -> (f64, f64, f64) {
        let always = [0, 1].map(|mode| vec![mode; self.len()]);
        let measure = |places: &[usize]| {
            let [off, on] = [0, 1].map(|mode: usize| self.came_at(&always[mode], places));
            of(&self.came_at(picks, places), [&off, &on])
        };
        let mut chance = Chance::new(7);
        let mut drawn: Vec<f64> = (0..2_000)
            .map(|_| {
                let places: Vec<usize> = (0..self.len()).map(|_| chance.below(self.len())).collect();
                measure(&places)
            })
            .collect();
        drawn.sort_by(f64::total_cmp);
        let all: Vec<usize> = (0..self.len()).collect();
        (measure(&all), drawn[50], drawn[1_949])
    }

    /// Who knew the outcomes: reasoning where it alone is right.
    pub fn oracle(&self) -> Vec<usize> {
        self.right
            .iter()
            .map(|right| usize::from(right[1] > right[0]))
            .collect()
    }

    /// Reasoning for one subject and for no other.
    pub fn only(&self, subject: &str) -> Vec<usize> {
        self.subjects
            .iter()
            .map(|of| usize::from(of == subject))
            .collect()
    }

    fn fitted(&self, algorithm: Algorithm) -> Fitted {
        let embedder = HashedNgrams::new(WIDTH);
        let questions = Questions::new(&self.rows, &MODES.map(str::to_owned), &embedder).unwrap();
        fit(&questions, &embedder, &FitOptions::new(algorithm)).unwrap()
    }

    fn chances(&self, fitted: &Fitted) -> Vec<Vec<f64>> {
        let embedder = HashedNgrams::new(WIDTH);
        let prompts = self.rows.iter().map(Row::prompt);
        prompts
            .map(|prompt| fitted.chances(&embedder.read(&prompt)))
            .collect()
    }

    /// Each question's chances, by what was fitted to the other parts.
    fn unseen(&self, algorithm: Algorithm) -> Vec<Vec<f64>> {
        let mut chances = vec![Vec::new(); self.len()];
        for fold in 0..FOLDS {
            let fitted = self.part(&self.places(fold, false)).fitted(algorithm);
            let judged = self.places(fold, true);
            for (at, told) in judged.iter().zip(self.part(&judged).chances(&fitted)) {
                chances[*at] = told;
            }
        }
        chances
    }

    /// The price of tokens that does best by what may be spent, on questions that what was fitted had not seen.
    fn price(&self, algorithm: Algorithm) -> f64 {
        let (chances, lengths) = (self.unseen(algorithm), self.lengths());
        let came = PRICES.map(|price| (self.came(&picks(&chances, lengths, price)), price));
        let within = came.iter().filter(|(came, _)| came.share <= GOAL);
        within
            .max_by(|(left, high), (right, higher)| {
                left.accuracy
                    .total_cmp(&right.accuracy)
                    .then(higher.total_cmp(high))
            })
            .map_or(1.0, |(_, price)| *price)
    }
}

/// Reasoning where its chance is better by more than what its tokens are worth.
fn picks(chances: &[Vec<f64>], lengths: [f64; 2], price: f64) -> Vec<usize> {
    let worth =
        |chances: &[f64], mode: usize| chances[mode] - price * lengths[mode] / lengths[1].max(lengths[0]);
    chances
        .iter()
        .map(|chances| usize::from(worth(chances, 1) > worth(chances, 0)))
        .collect()
}

/// What one algorithm did on questions it was not fitted to.
pub struct Switched {
    pub algorithm: Algorithm,
    /// At each price.
    pub curve: Vec<Came>,
    /// As the selection itself picked, at prices that were chosen before.
    pub picks: Vec<usize>,
}

pub fn switched(asked: &Asked, algorithm: Algorithm) -> Switched {
    let mut chosen = vec![0; asked.len()];
    let mut curve = vec![vec![0; asked.len()]; PRICES.len()];
    for fold in 0..FOLDS {
        let (rest, judged) = (asked.part(&asked.places(fold, false)), asked.places(fold, true));
        let price = rest.price(algorithm);
        let (fitted, lengths) = (Arc::new(rest.fitted(algorithm)), rest.lengths());
        let part = asked.part(&judged);
        let chances = part.chances(&fitted);
        for (along, price) in curve.iter_mut().zip(PRICES) {
            for (at, pick) in judged.iter().zip(picks(&chances, lengths, price)) {
                along[*at] = pick;
            }
        }
        for (at, pick) in judged.iter().zip(part.selected(&fitted, lengths, price)) {
            chosen[*at] = pick;
        }
    }
    Switched {
        algorithm,
        curve: curve.iter().map(|picks| asked.came(picks)).collect(),
        picks: chosen,
    }
}

impl Asked {
    /// What the selection itself picks, as the gateway would ask it: two candidates, of which one costs more tokens.
    fn selected(&self, fitted: &Arc<Fitted>, lengths: [f64; 2], price: f64) -> Vec<usize> {
        let name = fitted.algorithm().name();
        if name == "router_dc" {
            // It goes by nearness alone: its price is added here.
            return picks(&self.chances(fitted), lengths, price);
        }
        let block =
            serde_json::json!({"type": name, name: {"pretrained_path": "f", "efficiency_weight": price}});
        let config: AlgorithmConfig = serde_json::from_value(block).unwrap();
        let names = MODES.map(|mode| (mode, true));
        let around = Surroundings {
            candidates: &names,
            fitted: &|_| Ok(Arc::clone(fitted)),
        };
        let selection = Selection::build(&config, &around).unwrap_or_else(|wrong| panic!("{wrong:?}"));
        let candidates = [0, 1].map(|mode| CandidateFacts {
            model: MODES[mode],
            price: Some(Price {
                input: 0,
                cached_input: 0,
                output: (lengths[mode] * 1e6) as u64,
            }),
            ..CandidateFacts::default()
        });
        let prompts = self.rows.iter().map(Row::prompt);
        prompts
            .map(|prompt| {
                let request = SelectionRequest {
                    scope: "reasoning",
                    text: &prompt,
                    completion_tokens: 1_000,
                    ..SelectionRequest::default()
                };
                selection.rank(&request, &candidates).first().unwrap().index
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sums, which are solved by reasoning alone, and greetings, which need none.
    fn asked() -> Asked {
        let mut asked = Asked::default();
        for at in 0..400 {
            let (text, off) = if at % 2 == 0 {
                (format!("What is {at} times {} plus seventeen?", at + 3), 0)
            } else {
                (format!("Please greet guest {at} of our hotel kindly"), 1)
            };
            asked.add(&format!(
                r#"{{"text": "{text}", "label_domain": "{}", "correct": {{"off": {off}, "on": 1}},
                    "tokens": {{"off": 100, "on": {}}}}}"#,
                if off == 0 { "math" } else { "other" },
                1_000 + at
            ));
        }
        asked
    }

    #[test]
    fn reasoning_is_switched_on_where_it_alone_is_right() {
        let asked = asked();
        let svm = switched(&asked, Algorithm::Svm);
        let came = asked.came(&svm.picks);
        // Half of the questions, and so a little more than half of the tokens, which is more than may be spent.
        let oracle = asked.came(&asked.oracle());
        assert!((oracle.on - 0.5).abs() < 1e-9 && oracle.accuracy == 1.0 && oracle.share > GOAL);
        let free = &svm.curve[8];
        assert!(
            free.accuracy > 0.97 && (free.on - 0.5).abs() < 0.03,
            "{} {}",
            free.accuracy,
            free.on
        );
        assert!(came.share <= GOAL + 0.05 && came.accuracy >= 0.5);
    }

    #[test]
    fn what_is_cut_off_is_not_right() {
        let cut = asked().within(1_200);
        let on = cut.came(&vec![1; cut.len()]);
        assert!((on.accuracy - 201.0 / 400.0).abs() < 1e-9, "{}", on.accuracy);
        assert!(cut.tokens.iter().all(|tokens| tokens[1] <= 1_200));
        assert_eq!(cut.rows[399].correct["on"], 0.0);
    }

    #[test]
    fn bounds_hold_what_was_measured() {
        let asked = asked();
        let (mean, low, high) =
            asked.bounds(&asked.only("math"), |came, [_, on]| came.accuracy - on.accuracy);
        assert_eq!((mean, low, high), (0.0, 0.0, 0.0));
        let (mean, low, high) = asked.bounds(&asked.oracle(), |came, [off, _]| came.accuracy - off.accuracy);
        assert!(low < mean && mean < high && (mean - 0.5).abs() < 1e-9);
    }
}

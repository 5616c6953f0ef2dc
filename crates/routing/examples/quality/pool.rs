//! Three models to choose from, and the questions that all three were asked.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::sync::Arc;

use flate2::read::GzDecoder;
use pointsman_routing::selection::{
    AlgorithmConfig, CandidateFacts, Chance, Embedder, Fitted, HashedNgrams, Price, Questions, Row,
    Selection, SelectionRequest, Surroundings,
};

use super::WIDTH;
use super::curve::Point;

/// Models in the order of their price, with dollars for a million tokens of prompt and of answer, and tokens a second.
pub struct Pool {
    pub name: &'static str,
    /// What the questions are.
    pub about: &'static str,
    /// What sources of questions begin with.
    pub source: &'static str,
    pub models: [(&'static str, f64, f64, f64); 3],
    /// Tokens of an answer.
    pub answer: u64,
}

pub const POOLS: [Pool; 2] = [
    Pool {
        name: "exams",
        about: "exam questions of 14 subjects with up to ten options (MMLU-Pro)",
        source: "mmlu-pro",
        models: [
            ("Meta-Llama-3_1-8B-Instruct", 0.05, 0.08, 150.0),
            ("gemini-1.5-flash-002", 0.075, 0.30, 120.0),
            ("gemini-1.5-pro-002", 1.25, 5.0, 50.0),
        ],
        answer: 300,
    },
    Pool {
        name: "tasks",
        about: "13 kinds of tasks, from arithmetic to code, common sense and trivia (the set of LLMRouter)",
        source: "llmrouter",
        models: [
            ("llama-3.1-8b-instruct", 0.05, 0.08, 150.0),
            ("gemma-2-9b-it", 0.20, 0.20, 100.0),
            ("llama-3.1-nemotron-51b-instruct", 0.90, 0.90, 40.0),
        ],
        answer: 300,
    },
];

impl Pool {
    pub fn names(&self) -> Vec<String> {
        self.models.iter().map(|(name, ..)| (*name).to_owned()).collect()
    }

    pub fn candidates(&self) -> Vec<CandidateFacts<'_>> {
        let candidate = |(model, input, output, _): &(&'static str, f64, f64, f64)| CandidateFacts {
            model,
            price: Some(Price {
                input: (input * 1e9) as u64,
                cached_input: (input * 1e9) as u64,
                output: (output * 1e9) as u64,
            }),
            ..CandidateFacts::default()
        };
        self.models.iter().map(candidate).collect()
    }
}

/// Questions of one side, what each model made of them and what it cost.
#[derive(Clone)]
pub struct Side {
    pub rows: Vec<Row>,
    /// What is asked, with its options.
    pub prompts: Vec<String>,
    /// By question and model: 0 or 1.
    pub right: Vec<[f64; 3]>,
    /// By question and model, in nano-dollars.
    pub costs: Vec<[u64; 3]>,
    /// By model, in seconds for an answer.
    pub seconds: [f64; 3],
}

#[derive(serde::Deserialize)]
struct Line {
    source: String,
    #[serde(flatten)]
    row: Row,
}

impl Side {
    pub fn read(path: &Path, pool: &Pool) -> Self {
        let lines = BufReader::new(GzDecoder::new(File::open(path).unwrap())).lines();
        let mut side = Self {
            rows: Vec::new(),
            prompts: Vec::new(),
            right: Vec::new(),
            costs: Vec::new(),
            seconds: [0, 1, 2].map(|at| pool.answer as f64 / pool.models[at].3),
        };
        for line in lines {
            let line: Line = serde_json::from_str(&line.unwrap()).unwrap();
            let known: Option<Vec<f64>> = pool
                .models
                .iter()
                .map(|(name, ..)| line.row.correct.get(*name).copied())
                .collect();
            let Some(known) = known.filter(|_| line.source.starts_with(pool.source)) else {
                continue;
            };
            let prompt = line.row.prompt();
            let request = request(pool, &prompt);
            let candidates = pool.candidates();
            side.right.push([known[0], known[1], known[2]]);
            side.costs
                .push([0, 1, 2].map(|at| candidates[at].cost(&request).unwrap()));
            side.prompts.push(prompt);
            side.rows.push(line.row);
        }
        side
    }

    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// All but every `folds`-th question, and those.
    pub fn split(&self, folds: usize, fold: usize) -> (Self, Self) {
        let part = |held: bool| {
            let chosen = || (0..self.len()).filter(move |at| (at % folds == fold) == held);
            Self {
                rows: chosen().map(|at| self.rows[at].clone()).collect(),
                prompts: chosen().map(|at| self.prompts[at].clone()).collect(),
                right: chosen().map(|at| self.right[at]).collect(),
                costs: chosen().map(|at| self.costs[at]).collect(),
                seconds: self.seconds,
            }
        };
        (part(false), part(true))
    }

    pub fn questions(&self, pool: &Pool, embedder: &HashedNgrams) -> Questions {
        Questions::new(&self.rows, &pool.names(), embedder).unwrap()
    }

    pub fn chances(&self, fitted: &Fitted) -> Vec<Vec<f64>> {
        let embedder = HashedNgrams::new(WIDTH);
        self.prompts
            .iter()
            .map(|prompt| fitted.chances(&embedder.read(prompt)))
            .collect()
    }

    /// Whom the selection itself picks, as the gateway would ask it.
    pub fn picks(&self, pool: &Pool, fitted: Fitted, price: f64) -> Vec<usize> {
        let name = fitted.algorithm().name();
        let fitted = Arc::new(fitted);
        let mut block =
            serde_json::json!({"type": name, name: {"pretrained_path": "f", "efficiency_weight": price}});
        if name == "router_dc" {
            // It goes by nearness alone: its price is added here.
            block = serde_json::json!({"type": name, name: {"pretrained_path": "f"}});
        }
        let selection = build(pool, block, &fitted);
        let candidates = pool.candidates();
        self.prompts
            .iter()
            .zip(&self.costs)
            .map(|(prompt, costs)| {
                let ranking = selection.rank(&request(pool, prompt), &candidates);
                if name == "router_dc" {
                    let chances: Vec<f64> = (0..3)
                        .map(|at| {
                            ranking
                                .ranked
                                .iter()
                                .find(|ranked| ranked.index == at)
                                .unwrap()
                                .quality
                                .unwrap()
                        })
                        .collect();
                    return best(&chances, costs, price);
                }
                ranking.first().unwrap().index
            })
            .collect()
    }

    pub fn point(&self, picks: &[usize]) -> Point {
        let count = self.len() as f64;
        let large: u64 = self.costs.iter().map(|costs| costs[2]).sum();
        let spent: u64 = self
            .costs
            .iter()
            .zip(picks)
            .map(|(costs, pick)| costs[*pick])
            .sum();
        let share = |model| picks.iter().filter(|pick| **pick == model).count() as f64 / count;
        Point {
            cost: spent as f64 / large as f64,
            accuracy: self
                .right
                .iter()
                .zip(picks)
                .map(|(right, pick)| right[*pick])
                .sum::<f64>()
                / count,
            shares: [share(0), share(1), share(2)],
            seconds: picks.iter().map(|pick| self.seconds[*pick]).sum::<f64>() / count,
            dollars: spent as f64 / count / 1e6,
        }
    }

    /// Accuracy less the large model's, and its bounds over questions drawn anew.
    pub fn difference(&self, picks: &[usize]) -> (f64, f64, f64) {
        let each: Vec<f64> = self
            .right
            .iter()
            .zip(picks)
            .map(|(right, pick)| right[*pick] - right[2])
            .collect();
        let mean = |values: &mut dyn Iterator<Item = f64>| values.sum::<f64>() / each.len() as f64;
        let mut chance = Chance::new(7);
        let mut drawn: Vec<f64> = (0..2_000)
            .map(|_| mean(&mut (0..each.len()).map(|_| each[chance.below(each.len())])))
            .collect();
        drawn.sort_by(f64::total_cmp);
        (mean(&mut each.iter().copied()), drawn[50], drawn[1_949])
    }
}

/// The best by chance less the price of cost, the first of equals.
pub fn best(chances: &[f64], costs: &[u64; 3], price: f64) -> usize {
    let dearest = costs.iter().copied().max().unwrap().max(1) as f64;
    let worth = |at: usize| chances[at] - price * costs[at] as f64 / dearest;
    (1..3).fold(
        0,
        |best, next| if worth(next) > worth(best) { next } else { best },
    )
}

pub fn build(pool: &Pool, block: serde_json::Value, fitted: &Arc<Fitted>) -> Selection {
    let config: AlgorithmConfig = serde_json::from_value(block).unwrap();
    let names = pool.models.map(|(name, ..)| (name, true));
    let around = Surroundings {
        candidates: &names,
        fitted: &|_| Ok(Arc::clone(fitted)),
    };
    Selection::build(&config, &around).unwrap_or_else(|wrong| panic!("{wrong:?}"))
}

/// What is asked, as the gateway sees it. Tokens are a quarter of the bytes.
pub fn request<'a>(pool: &Pool, prompt: &'a str) -> SelectionRequest<'a> {
    SelectionRequest {
        scope: pool.name,
        text: prompt,
        prompt_tokens: (prompt.len() as u64).div_ceil(4),
        completion_tokens: pool.answer,
        ..SelectionRequest::default()
    }
}

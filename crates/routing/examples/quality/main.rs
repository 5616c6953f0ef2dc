//! Measures what selection is worth: writes `routing-quality.md` and its curve.
//!
//! `cargo run -p pointsman-routing --example quality -- DATA DOCS`, where DATA holds `train.jsonl.gz` and `dev.jsonl.gz`
//! with a question and which models solved it on each line, and may hold `reasoning.jsonl.gz`: questions that one model was
//! asked with reasoning and without (`training/pointsman_training/reasoning.py` makes that file).

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a report that can't be made shall not be made"
)]

mod curve;
mod draw;
mod page;
mod pool;
mod reasoning;
mod report;
mod stream;
mod switching;

use std::path::Path;

use pointsman_routing::selection::{Algorithm, FitOptions, Fitted, HashedNgrams, fit};

use curve::{Curve, Point};
use draw::Picture;
use pool::{POOLS, Pool, Side};
use reasoning::{Asked, Switched};

/// Columns that words are hashed to.
const WIDTH: usize = 4_096;

/// What a price of cost is tried at: from none to where everything goes to the cheapest.
pub const PRICES: [f64; 31] = [
    0.0, 0.005, 0.01, 0.015, 0.02, 0.025, 0.03, 0.035, 0.04, 0.045, 0.05, 0.055, 0.06, 0.065, 0.07, 0.075,
    0.08, 0.09, 0.1, 0.11, 0.12, 0.13, 0.15, 0.17, 0.2, 0.25, 0.3, 0.4, 0.5, 0.7, 1.0,
];

/// What one algorithm did on questions it was not fitted to.
pub struct Result {
    /// Which one.
    pub algorithm: Algorithm,
    /// At each price.
    pub curve: Curve,
    /// The price that was chosen before those questions were seen.
    pub price: f64,
    /// At that price.
    pub chosen: Point,
    /// How far its accuracy is from the large model's, and between which bounds, 19 times in 20.
    pub difference: (f64, f64, f64),
    /// How large its file is.
    pub bytes: usize,
}

fn fitted(side: &Side, pool: &Pool, algorithm: Algorithm) -> Fitted {
    let embedder = HashedNgrams::new(WIDTH);
    let questions = side.questions(pool, &embedder);
    fit(&questions, &embedder, &FitOptions::new(algorithm)).unwrap()
}

/// The price that does best by half of what always asking the large model costs, on questions of the training set that
/// were not fitted to.
fn price(train: &Side, pool: &Pool, algorithm: Algorithm) -> f64 {
    let (rest, held) = train.split(5, 0);
    let chances = held.chances(&fitted(&rest, pool, algorithm));
    let curve = Curve::of(&held, &chances);
    let cheap = curve
        .points
        .iter()
        .zip(PRICES)
        .filter(|(point, _)| point.cost <= 0.48);
    cheap
        .max_by(|left, right| {
            left.0
                .accuracy
                .total_cmp(&right.0.accuracy)
                .then(right.1.total_cmp(&left.1))
        })
        .map_or(1.0, |(_, price)| price)
}

fn measure(train: &Side, dev: &Side, pool: &Pool, algorithm: Algorithm) -> Result {
    let price = price(train, pool, algorithm);
    let fitted = fitted(train, pool, algorithm);
    let chances = dev.chances(&fitted);
    let bytes = fitted.write().unwrap().len();
    let picks = dev.picks(pool, fitted, price);
    Result {
        algorithm,
        curve: Curve::of(dev, &chances),
        price,
        chosen: dev.point(&picks),
        difference: dev.difference(&picks),
        bytes,
    }
}

fn main() {
    let mut arguments = std::env::args().skip(1);
    let (Some(data), Some(docs)) = (arguments.next(), arguments.next()) else {
        panic!("usage: quality DATA DOCS");
    };
    let (data, docs) = (Path::new(&data), Path::new(&docs));
    let mut sections = Vec::new();
    for pool in &POOLS {
        let (train, dev) = (
            Side::read(&data.join("train.jsonl.gz"), pool),
            Side::read(&data.join("dev.jsonl.gz"), pool),
        );
        let results: Vec<Result> = Algorithm::ALL
            .into_iter()
            .map(|algorithm| measure(&train, &dev, pool, algorithm))
            .collect();
        write_picture(docs, pool.name, draw::models(pool, &dev, &results));
        let streamed = stream::targets(&train, &dev, pool);
        sections.push(report::section(pool, (&train, &dev), &results, &streamed));
    }
    sections.push(switched(&data.join("reasoning.jsonl.gz"), docs));
    std::fs::write(docs.join("routing-quality.md"), report::page(&sections)).unwrap();
}

fn switched(path: &Path, docs: &Path) -> String {
    if !path.exists() {
        return switching::ABSENT.to_owned();
    }
    let asked = Asked::read(path);
    let results: Vec<Switched> = Algorithm::ALL
        .into_iter()
        .map(|algorithm| reasoning::switched(&asked, algorithm))
        .collect();
    write_picture(docs, "reasoning", switching::picture(&asked, &results));
    switching::section(&asked, &results)
}

fn write_picture(docs: &Path, name: &str, picture: Picture) {
    let page = picture.page();
    std::fs::write(docs.join(format!("routing-quality-{name}.svg")), page.svg()).unwrap();
    std::fs::write(docs.join(format!("routing-quality-{name}.png")), page.png()).unwrap();
}

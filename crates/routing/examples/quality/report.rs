//! The page.

use std::fmt::Write;

use super::Result;
use super::curve::{Curve, Point, area, height, hull, single};
use super::pool::{Pool, Side};
use super::stream::Streamed;

const HEAD: &str = "# What selection is worth

Written by `cargo run -p pointsman-routing --example quality -- DATA docs`, where DATA is a folder with `train.jsonl.gz` \
and `dev.jsonl.gz`: questions, and which of real models solved them. No number here comes from a provider's own account.

How it is measured:

- Three models of different price, speed and skill. Which of them solves which question is recorded; prices are list \
prices for a million tokens, and an answer has 300 tokens, whoever gives it. Speeds are assumed.
- Selectors are fitted to `train` alone, and judged on `dev`, whose questions they never saw. What cost is worth to them \
(`efficiency_weight`) was chosen on a fifth of `train` that was held back: the best accuracy for at most 48 % of what \
always asking the large model costs.
- Prompts are read by hashed n-grams (4,096 columns): no encoder is asked.
- The best fixed mix is allowed to know the outcomes: it is the best line between models on `dev` itself. So is the \
oracle, which asks the cheapest model that is right.
- Differences to the large model are over the same questions; bounds are those of 2,000 draws of questions, 19 in 20.

The goal: an accuracy of at least the large model's less one point, at no more than half its cost.

Reasoning switched on and off is measured in the last section, in the same way. Not measured here: what self-verifying \
loops add; an encoder in place of n-grams.
";

pub fn page(sections: &[String]) -> String {
    format!("{HEAD}\n{}", sections.join("\n"))
}

fn row(name: &str, point: &Point, more: &str) -> String {
    format!(
        "| {name} | {:.1} % | {:.1} % | ${:.4} | {:.1} s | {} |{more}\n",
        point.accuracy * 100.0,
        point.cost * 100.0,
        point.dollars,
        point.seconds,
        point
            .shares
            .map(|share| format!("{:.0}", share * 100.0))
            .join(" / ")
    )
}

pub fn section(
    pool: &Pool,
    (train, dev): (&Side, &Side),
    results: &[Result],
    streamed: &[Streamed],
) -> String {
    let mut page = format!(
        "## {}\n\n{} questions fitted to, {} judged: {}.\n\n![Accuracy against cost](routing-quality-{}.png)\n\n",
        pool.name,
        train.len(),
        dev.len(),
        pool.about,
        pool.name
    );
    page += "| | accuracy | cost, of the large model's | for a thousand | seconds an answer | small / middle / large, % |\n";
    page += "| --- | --- | --- | --- | --- | --- |\n";
    let single = single(dev);
    for (point, (name, input, output, _)) in single.iter().zip(&pool.models) {
        page += &row(&format!("always {name} (${input} / ${output})"), point, "");
    }
    let mean = |of: fn(&Point) -> f64| single.iter().map(of).sum::<f64>() / 3.0;
    let random = Point {
        cost: mean(|point| point.cost),
        accuracy: mean(|point| point.accuracy),
        shares: [1.0 / 3.0; 3],
        seconds: mean(|point| point.seconds),
        dollars: mean(|point| point.dollars),
    };
    page += &row("random", &random, "");
    for result in results {
        page += &row(&format!("**{}**", result.algorithm.name()), &result.chosen, "");
    }
    let oracle = Curve::oracle(dev);
    page += &row("oracle", &oracle.points[1], "");
    page += &gains(dev, results, &single);
    page += &targets(streamed);
    page += &curve(results);
    page
}

/// What each selector gains over the best fixed mix.
fn gains(dev: &Side, results: &[Result], single: &[Point; 3]) -> String {
    let mix = hull(single.iter().map(|point| (point.cost, point.accuracy)).collect());
    let oracle = Curve::oracle(dev).hull(single);
    let from = single[0].cost;
    let room = area(&oracle, from) - area(&mix, from);
    let mut page = "\n| | against the large model | goal met | best fixed mix at that cost | gained over it | of the area between \
                    mix and oracle | weight of cost | file |\n| --- | --- | --- | --- | --- | --- | --- | --- |\n"
        .to_owned();
    for result in results {
        let (difference, low, high) = result.difference;
        let met = difference >= -0.01 && result.chosen.cost <= 0.5;
        let mixed = height(&mix, result.chosen.cost);
        let won = (area(&result.curve.hull(single), from) - area(&mix, from)) / room;
        writeln!(
            page,
            "| {} | {:+.1} points ({:+.1} to {:+.1}) | {} | {:.1} % | {:+.1} points | {:.0} % | {} | {} kB |",
            result.algorithm.name(),
            difference * 100.0,
            low * 100.0,
            high * 100.0,
            if met { "yes" } else { "no" },
            mixed * 100.0,
            (result.chosen.accuracy - mixed) * 100.0,
            won * 100.0,
            result.price,
            result.bytes / 1_000
        )
        .unwrap();
    }
    page
}

fn targets(streamed: &[Streamed]) -> String {
    let mut page = "\nTargets, met question by question over the stream of `dev` (`svm` with `target`), each outcome told before the \
                    next question. Questions come in the order of the file, subject after subject, not \
                    mixed as traffic is:\n\n| target | accuracy | cost, of the large model's | for a thousand | seconds an answer | small / \
                    middle / large, % |\n| --- | --- | --- | --- | --- | --- |\n"
        .to_owned();
    for streamed in streamed {
        page += &row(&streamed.target, &streamed.point, "");
    }
    page
}

/// The whole curve of every selector.
fn curve(results: &[Result]) -> String {
    let mut page = "\nThe whole curve: accuracy at a share of the large model's cost, by the weight of cost.\n\n| weight |".to_owned();
    for result in results {
        write!(page, " {} |", result.algorithm.name()).unwrap();
    }
    page += "\n| --- |";
    page += &" --- |".repeat(results.len());
    page.push('\n');
    for (at, price) in super::PRICES.iter().enumerate().step_by(3) {
        write!(page, "| {price} |").unwrap();
        for result in results {
            let point = &result.curve.points[at];
            write!(
                page,
                " {:.1} % at {:.0} % |",
                point.accuracy * 100.0,
                point.cost * 100.0
            )
            .unwrap();
        }
        page.push('\n');
    }
    page
}

//! What it costs to understand a text, everything included: tokens, first stage, encoder, all heads, spans, the embedding.
//!
//! `cargo bench -p pointsman-semantics --bench engine -- [quick] [FILE]`: with the weights of a file, or with random ones of
//! the same shape. Then 64 requests at once through the service, next to one at a time.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a benchmark says what it expects by failing, and prints"
)]

#[path = "support/clock.rs"]
mod clock;
#[path = "support/weights.rs"]
mod weights;

use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use clock::{measured, ms};
use pointsman_semantics::container::Container;
use pointsman_semantics::engine::{Engine, EngineRoom, Question};
use pointsman_semantics::kernels::Machine;
use pointsman_semantics::service::{Service, Settings};

/// Pieces of a text, the goals in milliseconds where the encoder is asked, and where the first stage is sure.
const GOALS: [(usize, f64, f64); 5] = [
    (16, 2.0, 0.2),
    (128, 6.0, 0.3),
    (512, 22.0, 0.6),
    (2_048, 90.0, 1.5),
    (8_192, 350.0, 5.0),
];

/// Texts of a round of the service.
const AT_ONCE: usize = 64;

/// Words of the vocabulary that are pieces by themselves.
fn words(file: &[u8]) -> Vec<String> {
    let container = Container::read("weights", file).unwrap();
    let vocabulary = container.text("vocabulary").unwrap();
    vocabulary
        .lines()
        .filter(|word| word.len() > 2 && word.bytes().all(|byte| byte.is_ascii_lowercase()))
        .map(str::to_owned)
        .collect()
}

/// So many pieces: words, every twelfth of them followed by a full stop.
fn text(words: &[String], pieces: usize, seed: usize) -> String {
    let mut text = String::new();
    for index in 0..pieces {
        if index % 12 == 11 {
            text.push('.');
            continue;
        }
        // Common words stand in front, and are what texts are mostly made of.
        let far = (index + seed).wrapping_mul(7_919) % words.len();
        let place = if index % 3 == 0 { far } else { far % 1_000 };
        text.push(' ');
        text.push_str(&words[place.min(words.len() - 1)]);
    }
    text
}

fn row(name: &str, times: impl Iterator<Item = (f64, f64, f64)>) {
    print!("| {name} |");
    for (median, least, goal) in times {
        let over = if median > goal { " !" } else { "" };
        print!(" {median:.3} ({least:.3}){over} |");
    }
    println!();
}

fn heading(what: &str) {
    println!("\n{what}, ms of CPU, median (least); `!` where a goal is missed\n");
    print!("| pieces |");
    GOALS.iter().for_each(|goal| print!(" {} |", goal.0));
    println!("\n| --- | --- | --- | --- | --- | --- |");
}

/// Slow machines are measured on short texts only, where asked quickly.
fn table(engine: &mut Engine, texts: &[String], question: &Question, (quick, sure): (bool, bool)) {
    heading(if sure {
        "The first stage is sure"
    } else {
        "The encoder is asked, everything is answered"
    });
    let all = Machine::available().into_iter().rev();
    let machines: Vec<Machine> = all.take(if quick || sure { 1 } else { usize::MAX }).collect();
    for machine in machines {
        engine.use_machine(machine);
        let mut room = EngineRoom::default();
        let slow = machine == Machine::portable();
        let measures = texts.iter().zip(GOALS).map(|(text, (pieces, asked, first))| {
            if slow && pieces > 512 {
                return (f64::NAN, f64::NAN, f64::INFINITY);
            }
            let patience = Duration::from_millis(if quick { 400 } else { 1_500 });
            let (median, least) = measured(patience, || {
                let reading = black_box(engine.read(&[(text, question)], &mut room));
                assert_eq!(reading[0].tokens, if sure { 0 } else { pieces });
            });
            (ms(median), ms(least), if sure { first } else { asked })
        });
        row(machine.name(), measures);
    }
    engine.use_machine(Machine::detect());
}

/// Texts for each second, one at a time and all at once.
fn rates(service: &Arc<Service<Engine>>, texts: &[Arc<str>], question: &Question) -> (f64, f64) {
    let patience = Duration::from_secs(60);
    let count = texts.len() as f64;
    let start = Instant::now();
    for text in texts {
        let reading = service.read_blocking(Arc::clone(text), question.clone(), patience);
        black_box(reading.unwrap());
    }
    let alone = count / start.elapsed().as_secs_f64();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let start = Instant::now();
    runtime.block_on(async {
        let each = texts.iter().map(|text| {
            let (service, text, question) = (Arc::clone(service), Arc::clone(text), question.clone());
            tokio::spawn(async move { service.read(text, question, patience).await.unwrap() })
        });
        for task in each.collect::<Vec<_>>() {
            black_box(task.await.unwrap());
        }
    });
    (alone, count / start.elapsed().as_secs_f64())
}

fn at_once(engine: Engine, words: &[String], question: &Question) {
    let settings = Settings {
        threads: 2,
        kept: 0,
        ..Settings::default()
    };
    let service = Arc::new(Service::start(engine, settings).unwrap());
    println!("\n{AT_ONCE} requests at once, two threads\n");
    println!(
        "| pieces of each | one at a time, texts/s | at once, texts/s | ratio: median (least to most) of 9 |"
    );
    println!("| --- | --- | --- | --- |");
    for (name, sizes) in [
        ("16", &[16_usize][..]),
        ("128", &[128]),
        ("8 to 512", &[8, 20, 32, 48, 64, 100, 200, 512]),
    ] {
        let texts: Vec<Arc<str>> = (0..AT_ONCE)
            .map(|number| text(words, sizes[number % sizes.len()], number * 31).into())
            .collect();
        let mut rounds: Vec<(f64, f64)> = (0..10).map(|_| rates(&service, &texts, question)).collect();
        // The first warms up.
        rounds.remove(0);
        let median = |mut values: Vec<f64>| {
            values.sort_by(f64::total_cmp);
            (values[values.len() / 2], values[0], values[values.len() - 1])
        };
        let alone = median(rounds.iter().map(|round| round.0).collect()).0;
        let together = median(rounds.iter().map(|round| round.1).collect()).0;
        let (ratio, least, most) = median(rounds.iter().map(|round| round.1 / round.0).collect());
        println!("| {name} | {alone:.0} | {together:.0} | {ratio:.2} ({least:.2} to {most:.2}) |");
    }
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments.iter().any(|argument| argument == "--test") {
        return;
    }
    let quick = arguments.iter().any(|argument| argument == "quick");
    let given = arguments.iter().find(|argument| Path::new(argument).is_file());
    let file = given.map_or_else(weights::random, |path| std::fs::read(path).unwrap());
    println!("weights: {}", given.map_or("random", String::as_str));
    let words = words(&file);
    let texts: Vec<String> = GOALS.iter().map(|goal| text(&words, goal.0, 0)).collect();

    let load = measured(Duration::from_secs(1), || {
        black_box(Engine::from_file("weights", &file).unwrap());
    });
    let mut engine = Engine::from_file("weights", &file).unwrap();
    println!(
        "{:.1} MB; loaded in {:.0} ms ({:.0}); {:.1} MB of weights in memory",
        file.len() as f64 / 1e6,
        ms(load.0),
        ms(load.1),
        engine.bytes() as f64 / 1e6
    );
    let everything = Question {
        thorough: true,
        ..engine.everything()
    };
    table(&mut engine, &texts, &everything, (quick, false));

    let sure = weights::always_sure(&file);
    let mut sure = Engine::from_file("weights", &sure).unwrap();
    let heads = sure.heads().iter().enumerate();
    let question = Question {
        heads: heads
            .filter(|(_, (_, cascade))| cascade.first.is_some())
            .map(|(place, _)| place)
            .collect(),
        spans: false,
        embedding: false,
        thorough: false,
    };
    table(&mut sure, &texts, &question, (quick, true));
    at_once(engine, &words, &everything);
}

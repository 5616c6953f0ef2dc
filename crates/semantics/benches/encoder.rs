//! What it costs to read a text: an encoder of MiniLM's size (384 wide, 12 heads, inner layer 1536) with random weights, in
//! windows of 128 tokens, on one core.
//!
//! `cargo bench -p pointsman-semantics`. Times are those that the processor spent on the thread, so that other programs on
//! the machine disturb little: the median, and the least, of many runs.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a benchmark says what it expects by failing, and prints"
)]

#[path = "support/clock.rs"]
mod clock;

use std::hint::black_box;
use std::time::Duration;

use clock::{measured, ms};
use pointsman_semantics::encoder::{
    Activation, Attention, Block, Embeddings, Encoder, Heads, Mlp, Normaliser, Norms, Span,
};
use pointsman_semantics::kernels::{Machine, Norm};
use pointsman_semantics::linear::{Linear, Precision, Table};
use pointsman_semantics::passage::{self, Cut, Room, Wanted};
use pointsman_semantics::tokenize::{Frame, Token, WordPiece, WordPieceOptions};

/// How long one line of the table may take.
const PATIENCE: Duration = Duration::from_secs(2);

const WIDTH: usize = 384;
const INNER: usize = 1_536;
const VOCABULARY: usize = 30_522;

fn floats(seed: &mut u64, count: usize, scale: f32) -> Vec<f32> {
    (0..count)
        .map(|_| {
            *seed ^= *seed << 13;
            *seed ^= *seed >> 7;
            *seed ^= *seed << 17;
            ((*seed >> 40) as f32 / (1 << 23) as f32 - 1.0) * scale
        })
        .collect()
}

fn linear(seed: &mut u64, inputs: usize, outputs: usize) -> Linear {
    let weights = floats(seed, inputs * outputs, 0.08);
    Linear::new(&weights, &floats(seed, outputs, 0.1), inputs, Precision::Int8).unwrap()
}

fn norm() -> Normaliser {
    Normaliser::Layer(Norm {
        weight: vec![1.0; WIDTH],
        bias: vec![0.0; WIDTH],
        epsilon: 1e-12,
    })
}

fn encoder(layers: usize) -> Encoder {
    let seed = &mut 42;
    let blocks = (0..layers)
        .map(|_| Block {
            norms: Norms {
                attention_sum: Some(norm()),
                mlp_sum: Some(norm()),
                ..Norms::default()
            },
            attention: Attention {
                inputs: linear(seed, WIDTH, 3 * WIDTH),
                output: linear(seed, WIDTH, WIDTH),
                query_norm: None,
                key_norm: None,
                rotary: None,
                span: Span::default(),
                relative: None,
            },
            mlp: Mlp {
                up: linear(seed, WIDTH, INNER),
                down: linear(seed, INNER, WIDTH),
                activation: Activation::Gelu,
                gated: false,
            },
        })
        .collect();
    Encoder {
        embeddings: Embeddings {
            words: Table::new(floats(seed, VOCABULARY * WIDTH, 0.1), WIDTH, Precision::Int8),
            positions: Some(Table::new(
                floats(seed, 512 * WIDTH, 0.1),
                WIDTH,
                Precision::Float,
            )),
            first_position: 0,
            constant: None,
            second: None,
            scale: 1.0,
            project: None,
            norm: Some(norm()),
        },
        blocks,
        last_norm: None,
        heads: Heads {
            queries: 12,
            keys: 12,
            width: 32,
            scale: 1.0 / 32_f32.sqrt(),
        },
        rotaries: Vec::new(),
        width: WIDTH,
        longest: 512,
    }
}

fn tell(name: &str, (median, least): (Duration, Duration)) {
    println!(
        "{name:<44} median {:>9.3} ms   least {:>9.3} ms",
        ms(median),
        ms(least)
    );
}

fn read(encoder: &Encoder, machine: Machine, tokens: usize, cut: Cut) -> (Duration, Duration) {
    let frame = Frame {
        before: vec![101],
        after: vec![102],
        between: Vec::new(),
        marks_second: false,
    };
    let text: Vec<Token> = (0..tokens as u32)
        .map(|index| Token {
            id: index.wrapping_mul(7_919) % VOCABULARY as u32,
            start: 0,
            end: 0,
        })
        .collect();
    let exits = [encoder.blocks.len()];
    let wanted = Wanted {
        exits: &exits,
        machine,
    };
    let mut room = Room::default();
    measured(PATIENCE, || {
        passage::encode(
            encoder,
            &frame,
            &[&text],
            (cut, wanted),
            &mut room,
            |window, _, rows| {
                black_box((window, rows));
            },
        );
    })
}

fn tokenizer() {
    let mut words: Vec<String> = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"].map(str::to_owned).to_vec();
    for first in 'a'..='z' {
        words.extend([first.to_string(), format!("##{first}")]);
        words.extend(
            ('a'..='z').flat_map(|second| [format!("{first}{second}"), format!("##{first}{second}")]),
        );
    }
    let tokenizer =
        WordPiece::from_vocabulary("vocab.txt", &words.join("\n"), WordPieceOptions::default()).unwrap();
    let text = "The quick brown fox jumps over the lazy dog, naïvely. ".repeat(680);
    let count = tokenizer.pieces(&text, usize::MAX).tokens.len();
    let times = measured(PATIENCE, || {
        black_box(tokenizer.pieces(black_box(&text), usize::MAX));
    });
    tell(
        &format!("WordPiece, {} KB, {count} pieces", text.len() / 1_024),
        times,
    );
}

fn main() {
    if std::env::args().any(|argument| argument == "--test") {
        return;
    }
    // `cargo bench -p pointsman-semantics -- quick`: what this machine is best at, no more.
    let quick = std::env::args().any(|argument| argument == "quick");
    tokenizer();
    let whole = Cut {
        size: 512,
        ..Cut::default()
    };
    for layers in [6, 3] {
        let encoder = encoder(layers);
        println!("{layers} layers, {:.1} MB", encoder.bytes() as f64 / 1e6);
        for machine in Machine::available()
            .into_iter()
            .rev()
            .take(if quick { 1 } else { usize::MAX })
        {
            for tokens in [14, 126, 512, 2_048, 8_192] {
                if (machine == Machine::portable() || machine.name() == "avx2")
                    && (tokens > 512 || layers == 3)
                {
                    continue;
                }
                let name = format!("{layers} layers, {}, {tokens} tokens", machine.name());
                tell(&name, read(&encoder, machine, tokens, Cut::default()));
            }
        }
        if quick {
            continue;
        }
        let machine = Machine::detect();
        tell(
            &format!("{layers} layers, 510 tokens in one window"),
            read(&encoder, machine, 510, whole),
        );
        for group in [128, 512, 1_024] {
            let cut = Cut {
                group,
                ..Cut::default()
            };
            tell(
                &format!("{layers} layers, 8192 tokens, {group} at a time"),
                read(&encoder, machine, 8_192, cut),
            );
        }
    }
}

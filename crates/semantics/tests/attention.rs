//! Encoders whose attention is in bytes: near those in floats, alike on every machine, and the same for a text whatever it is
//! packed with.

#![allow(clippy::unwrap_used, reason = "a test says what it expects by failing")]

use pointsman_semantics::encoder::{
    Activation, Asked, Attention, Block, Embeddings, Encoder, Heads, Mlp, Normaliser, Norms, Scratch, Span,
    States,
};
use pointsman_semantics::kernels::{Machine, Norm};
use pointsman_semantics::linear::{Linear, Precision, Table};

const WIDTH: usize = 64;
const WORDS: usize = 50;

struct Numbers(u64);

impl Numbers {
    fn floats(&mut self, count: usize, scale: f32) -> Vec<f32> {
        (0..count)
            .map(|_| {
                self.0 ^= self.0 << 13;
                self.0 ^= self.0 >> 7;
                self.0 ^= self.0 << 17;
                ((self.0 >> 40) as f32 / (1 << 23) as f32 - 1.0) * scale
            })
            .collect()
    }

    fn linear(&mut self, inputs: usize, outputs: usize, precision: Precision) -> Linear {
        let weights = self.floats(inputs * outputs, 0.3);
        Linear::new(&weights, &self.floats(outputs, 0.1), inputs, precision).unwrap()
    }
}

fn norm() -> Option<Normaliser> {
    Some(Normaliser::Layer(Norm {
        weight: vec![1.0; WIDTH],
        bias: vec![0.0; WIDTH],
        epsilon: 1e-12,
    }))
}

/// Two blocks; keys may be shared by several heads of queries.
fn encoder(heads: (usize, usize, usize), precision: Precision) -> Encoder {
    let (queries, keys, width) = heads;
    let mut numbers = Numbers(5);
    let blocks = (0..2)
        .map(|_| Block {
            norms: Norms {
                attention_sum: norm(),
                mlp_sum: norm(),
                ..Norms::default()
            },
            attention: Attention {
                inputs: numbers.linear(WIDTH, (queries + 2 * keys) * width, precision),
                output: numbers.linear(queries * width, WIDTH, precision),
                query_norm: None,
                key_norm: None,
                rotary: None,
                span: Span::default(),
                relative: None,
            },
            mlp: Mlp {
                up: numbers.linear(WIDTH, 96, precision),
                down: numbers.linear(96, WIDTH, precision),
                activation: Activation::Gelu,
                gated: false,
            },
        })
        .collect();
    Encoder {
        embeddings: Embeddings {
            words: Table::new(numbers.floats(WORDS * WIDTH, 1.0), WIDTH, Precision::Float),
            positions: Some(Table::new(
                numbers.floats(400 * WIDTH, 0.5),
                WIDTH,
                Precision::Float,
            )),
            second: None,
            first_position: 0,
            constant: None,
            scale: 1.0,
            project: None,
            norm: norm(),
        },
        blocks,
        last_norm: None,
        heads: Heads {
            queries,
            keys,
            width,
            scale: 1.0 / (width as f32).sqrt(),
        },
        rotaries: Vec::new(),
        width: WIDTH,
        longest: 400,
    }
}

fn text(length: usize) -> Vec<u32> {
    (0..length)
        .map(|index| ((index * index + 7 * index + length) % WORDS) as u32)
        .collect()
}

fn states(encoder: &Encoder, texts: &[&[u32]], machine: Machine) -> States {
    let asked = Asked {
        machine,
        ..Asked::default()
    };
    let mut states = States::default();
    encoder.encode(texts, asked, &mut Scratch::default(), &mut states);
    states
}

/// How far rows are from others, next to their size.
fn distance(expected: &[f32], found: &[f32]) -> f32 {
    let size = |values: &mut dyn Iterator<Item = f32>| values.map(|x| x * x).sum::<f32>().sqrt();
    let apart = size(&mut expected.iter().zip(found).map(|(a, b)| a - b));
    apart / size(&mut expected.iter().copied())
}

const HEADS: [(usize, usize, usize); 4] = [(2, 2, 32), (4, 4, 16), (4, 2, 32), (1, 1, 80)];
const LENGTHS: [usize; 9] = [1, 2, 15, 16, 33, 64, 128, 129, 300];

#[test]
fn attention_in_bytes_is_near_that_in_floats() {
    for heads in HEADS {
        let (floats, bytes) = (encoder(heads, Precision::Float), encoder(heads, Precision::Int8));
        for length in LENGTHS {
            let text = text(length);
            let exact = states(&floats, &[&text], Machine::portable());
            let portable = states(&bytes, &[&text], Machine::portable());
            for machine in Machine::available() {
                let found = states(&bytes, &[&text], machine);
                let name = format!("{heads:?}, {length} tokens, {}", machine.name());
                let far = distance(exact.rows(0), found.rows(0));
                assert!(far < 0.05, "{name}: {far} from floats");
                let apart = distance(portable.rows(0), found.rows(0));
                assert!(apart < 0.02, "{name}: {apart} from the portable machine");
            }
        }
    }
}

#[test]
fn company_changes_nothing() {
    for heads in HEADS {
        let bytes = encoder(heads, Precision::Int8);
        let texts = LENGTHS.map(text);
        let all: Vec<&[u32]> = texts.iter().map(Vec::as_slice).collect();
        for machine in Machine::available() {
            let together = states(&bytes, &all, machine);
            for (index, text) in texts.iter().enumerate() {
                let alone = states(&bytes, &[text], machine);
                assert_eq!(alone.rows(0), together.rows(index), "{}", machine.name());
            }
            // Room that was used by others says nothing of them.
            let asked = Asked {
                machine,
                ..Asked::default()
            };
            let (mut scratch, mut states) = (Scratch::default(), States::default());
            for index in [8, 0, 4, 1, 7] {
                bytes.encode(&[all[index]], asked, &mut scratch, &mut states);
                assert_eq!(states.rows(0), together.rows(index), "{}", machine.name());
            }
        }
    }
}

//! New inputs from old ones.

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

/// Largest input.
const MAX: usize = 4_096;

/// Pieces that parsers trip over.
const PIECES: [&[u8]; 24] = [
    b"{",
    b"}",
    b"[",
    b"]",
    b"\"",
    b"\\",
    b"\\u0000",
    b"\\ud800",
    b"null",
    b"-1",
    b"1e400",
    b"\n\n",
    b"\r\n",
    b"\r",
    b"data:",
    b"event:",
    b"[DONE]",
    b"\xff",
    b"\xc3\xa9",
    b"18446744073709551616",
    b"true",
    b",",
    b":",
    b"\xef\xbb\xbf",
];

/// Makes inputs.
pub struct Mutator {
    seeds: Vec<Vec<u8>>,
    rng: StdRng,
}

impl Mutator {
    /// From these seeds; the same inputs again for the same `chance`.
    pub fn new(seeds: &[&str], chance: u64) -> Self {
        Self {
            seeds: seeds.iter().map(|seed| seed.as_bytes().to_vec()).collect(),
            rng: StdRng::seed_from_u64(chance),
        }
    }

    /// The next input.
    pub fn next(&mut self) -> Vec<u8> {
        let pick = self.rng.random_range(0..self.seeds.len());
        let mut input = self.seeds[pick].clone();
        for _ in 0..self.rng.random_range(0..6) {
            self.change(&mut input);
        }
        input.truncate(MAX);
        input
    }

    fn change(&mut self, input: &mut Vec<u8>) {
        let at = self.rng.random_range(0..=input.len());
        let to = (at + self.rng.random_range(0..16)).min(input.len());
        match self.rng.random_range(0..6) {
            0 => drop(input.drain(at..to)),
            1 => {
                let piece = PIECES[self.rng.random_range(0..PIECES.len())];
                drop(input.splice(at..at, piece.iter().copied()));
            }
            2 if at < input.len() => input[at] ^= 1 << self.rng.random_range(0..8),
            3 => {
                let copy = input[at..to].to_vec();
                drop(input.splice(at..at, copy));
            }
            4 => {
                let other = self.rng.random_range(0..self.seeds.len());
                let other = self.seeds[other].clone();
                let from = self.rng.random_range(0..=other.len());
                drop(input.splice(at..to, other[from..].iter().copied().take(64)));
            }
            _ => input.truncate(at.max(1)),
        }
    }
}

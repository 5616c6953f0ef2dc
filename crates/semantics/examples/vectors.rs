//! Measures the index: how much of the exact answer the graph finds, and how long puts and lookups take.
//!
//! `vectors COUNT [FILE]`: vectors of 384 columns, made in clusters, or from a file of little-endian f32.

#![allow(clippy::print_stdout, reason = "a measurement is printed")]

use std::error::Error;
use std::time::{Duration, Instant};

use pointsman_semantics::vectors::{Limits, VectorIndex};

const WIDTH: usize = 384;
/// Directions along which made vectors differ within a cluster: those of sentences have about as many.
const FREE: usize = 24;

fn random(state: &mut u64) -> f32 {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    (*state >> 40) as f32 / (1 << 23) as f32 - 1.0
}

fn made(count: usize) -> Vec<Vec<f32>> {
    let mut state = 88_172_645_463_325_252;
    let mut draw = |count: usize| -> Vec<f32> { (0..count).map(|_| random(&mut state)).collect() };
    let axes: Vec<Vec<f32>> = (0..FREE).map(|_| draw(WIDTH)).collect();
    let centres: Vec<Vec<f32>> = (0..500).map(|_| draw(WIDTH)).collect();
    (0..count)
        .map(|number| {
            let mut vector = centres[number % centres.len()].clone();
            for (axis, much) in axes.iter().zip(draw(FREE)) {
                vector
                    .iter_mut()
                    .zip(axis)
                    .for_each(|(value, along)| *value += 0.6 * much * along);
            }
            vector
                .iter_mut()
                .zip(draw(WIDTH))
                .for_each(|(value, noise)| *value += 0.3 * noise);
            vector
        })
        .collect()
}

fn read(file: &str, count: usize) -> Result<Vec<Vec<f32>>, Box<dyn Error>> {
    let bytes = std::fs::read(file)?;
    let values = bytes
        .as_chunks::<4>()
        .0
        .iter()
        .map(|four| f32::from_le_bytes(*four));
    let values: Vec<f32> = values.take(count * WIDTH).collect();
    Ok(values.chunks_exact(WIDTH).map(<[f32]>::to_vec).collect())
}

fn told(name: &str, mut times: Vec<Duration>) {
    times.sort_unstable();
    let at = |share: f64| times[((times.len() - 1) as f64 * share) as usize];
    println!(
        "{name}: median {:?}, p99 {:?}, most {:?}",
        at(0.5),
        at(0.99),
        at(1.0)
    );
}

/// Time that this thread was on a core, which a busy machine does not change; none where the system does not tell.
fn on_core() -> Option<Duration> {
    let told = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    told.split(' ').next()?.parse().ok().map(Duration::from_nanos)
}

fn main() -> Result<(), Box<dyn Error>> {
    let given: Vec<String> = std::env::args().skip(1).collect();
    let count: usize = given.first().map_or(Ok(200_000), |count| count.parse())?;
    let mut vectors = match given.get(1) {
        Some(file) => read(file, count + 500)?,
        None => made(count + 500),
    };
    let queries = vectors.split_off(vectors.len() - 500);
    for exact in [usize::MAX / 4, 20_000] {
        let limits = Limits {
            vectors: usize::MAX,
            bytes: usize::MAX / 4,
            exact,
        };
        let index = VectorIndex::new(WIDTH, limits);
        let start = Instant::now();
        let mut puts = Vec::with_capacity(vectors.len());
        for (id, vector) in (0..).zip(&vectors) {
            let one = Instant::now();
            index.put(1, id, vector)?;
            puts.push(one.elapsed());
        }
        println!(
            "\n{} vectors, graph above {exact}, linked: {}",
            vectors.len(),
            index.linked(1)
        );
        println!(
            "filled in {:?}, {} MiB, {} bytes each",
            start.elapsed(),
            index.bytes() >> 20,
            index.bytes() / vectors.len()
        );
        told("put", puts.split_off(puts.len() / 2));
        let before = on_core();
        for query in &queries {
            index.nearest(1, query, 10, -1.0)?;
        }
        if let (Some(before), Some(after)) = (before, on_core()) {
            println!(
                "lookup of ten, on a core: {:?} on average",
                (after - before) / u32::try_from(queries.len())?
            );
        }
        let (mut found, mut times) = (0, Vec::new());
        for query in &queries {
            let one = Instant::now();
            let near = index.nearest(1, query, 10, -1.0)?;
            times.push(one.elapsed());
            let right = index.nearest_exact(1, query, 10, -1.0)?;
            found += right
                .iter()
                .filter(|one| near.iter().any(|other| other.id == one.id))
                .count();
        }
        told("lookup of ten", times);
        println!("recall at ten: {:.4}", found as f64 / (10 * queries.len()) as f64);
    }
    Ok(())
}

//! Mutates seeds and feeds them to every decoder that meets the network and whatever reads texts and models, each for the given number of seconds:
//! `pointsman-fuzz SECONDS [TARGET]`. With `FUZZ_SEED` in the environment the inputs are the same every time.
//!
//! Beside not panicking, a target checks what must hold: a stream cut anywhere decodes the same; what was decoded can
//! be encoded and decoded again to the same. Runs on the stable toolchain; a failing input is printed with its target.

mod mutate;
mod targets;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::time::{Duration, Instant};

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let seconds = arguments.next().and_then(|text| text.parse().ok()).unwrap_or(60);
    let only = arguments.next();
    if let Some(only) = only
        .as_ref()
        .filter(|only| targets::ALL.iter().all(|target| target.name != **only))
    {
        println!("there is no target {only:?}");
        return ExitCode::FAILURE;
    }
    let seed = std::env::var("FUZZ_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed = seed.unwrap_or_else(rand::random::<u64>);
    println!("FUZZ_SEED={seed}");
    for target in targets::ALL
        .iter()
        .filter(|target| only.as_ref().is_none_or(|only| only == target.name))
    {
        let until = Instant::now() + Duration::from_secs(seconds);
        let mut mutator = mutate::Mutator::new(target.seeds, seed);
        let mut runs = 0_u64;
        while Instant::now() < until {
            for _ in 0..64 {
                let input = mutator.next();
                runs += 1;
                if catch_unwind(AssertUnwindSafe(|| (target.run)(&input))).is_err() {
                    println!("{} fails on: {:?}", target.name, String::from_utf8_lossy(&input));
                    return ExitCode::FAILURE;
                }
            }
        }
        println!("{:<20} {runs} inputs", target.name);
    }
    ExitCode::SUCCESS
}

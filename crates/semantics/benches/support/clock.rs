//! The time that the processor spends on a thread, so that other programs on the machine disturb little.

use std::time::{Duration, Instant};

/// The time that this thread has run.
#[allow(unsafe_code, reason = "the standard library does not tell this time")]
pub fn spent() -> Duration {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: the call writes one `timespec`, which is there.
    unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut time) };
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// Median and least time of a run, of up to 300 within about `patience`.
pub fn measured(patience: Duration, mut run: impl FnMut()) -> (Duration, Duration) {
    run();
    let mut times = Vec::new();
    let start = Instant::now();
    while times.len() < 5 || (times.len() < 300 && start.elapsed() < patience) {
        let before = spent();
        run();
        times.push(spent() - before);
    }
    times.sort();
    (times[times.len() / 2], times[0])
}

/// Milliseconds.
pub fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

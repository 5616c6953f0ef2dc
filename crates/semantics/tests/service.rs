//! The service under load: bounded, in time, together; what was read is kept.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test says what it expects by failing"
)]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use pointsman_semantics::service::{Reader, Refused, Service, Settings};

/// Says how long a text is, after a while.
struct Slow {
    pause: Duration,
    largest: Arc<AtomicUsize>,
}

impl Reader for Slow {
    type Question = u8;
    type Reading = usize;
    type Room = ();

    fn read(&self, texts: &[(&str, &u8)], _room: &mut ()) -> Vec<usize> {
        self.largest.fetch_max(texts.len(), Ordering::Relaxed);
        thread::sleep(self.pause);
        texts
            .iter()
            .map(|(text, question)| text.len() * usize::from(**question))
            .collect()
    }
}

fn service(pause: u64, settings: Settings) -> (Service<Slow>, Arc<AtomicUsize>) {
    let largest = Arc::new(AtomicUsize::new(0));
    let reader = Slow {
        pause: Duration::from_millis(pause),
        largest: Arc::clone(&largest),
    };
    (Service::start(reader, settings).unwrap(), largest)
}

const PATIENT: Duration = Duration::from_secs(30);

#[test]
fn requests_that_wait_are_read_together() {
    let (service, largest) = service(20, Settings::default());
    thread::scope(|scope| {
        for number in 0..64_usize {
            let service = &service;
            scope.spawn(move || {
                let text: Arc<str> = "x".repeat(number).into();
                assert_eq!(*service.read_blocking(text, 2, PATIENT).unwrap(), 2 * number);
            });
        }
    });
    let counts = service.counts();
    assert_eq!(counts.read, 64);
    assert!(counts.batches < 40, "{counts:?}");
    assert!(largest.load(Ordering::Relaxed) <= Settings::default().batch);
}

#[test]
fn a_full_queue_says_so_at_once() {
    let settings = Settings {
        queue: 2,
        batch: 1,
        kept: 0,
        ..Settings::default()
    };
    let (service, _) = service(200, settings);
    let start = Instant::now();
    thread::scope(|scope| {
        let answers: Vec<_> = (0..20)
            .map(|_| scope.spawn(|| service.read_blocking("text".into(), 1, PATIENT)))
            .collect();
        let answers: Vec<_> = answers.into_iter().map(|answer| answer.join().unwrap()).collect();
        let full = answers
            .iter()
            .filter(|answer| **answer == Err(Refused::Full))
            .count();
        assert!(full >= 16, "{full}");
        assert_eq!(service.counts().full as usize, full);
    });
    assert!(start.elapsed() < Duration::from_secs(5));
}

#[test]
fn what_waits_too_long_is_not_read() {
    let settings = Settings {
        batch: 1,
        ..Settings::default()
    };
    let (service, _) = service(150, settings);
    thread::scope(|scope| {
        let first = scope.spawn(|| service.read_blocking("first".into(), 1, PATIENT));
        thread::sleep(Duration::from_millis(50));
        let late = service.read_blocking("second".into(), 1, Duration::from_millis(10));
        assert_eq!(late, Err(Refused::Late));
        assert_eq!(*first.join().unwrap().unwrap(), 5);
    });
    let counts = service.counts();
    assert_eq!((counts.read, counts.late), (1, 1));
}

#[test]
fn what_was_read_is_kept() {
    let (service, _) = service(0, Settings::default());
    for _ in 0..5 {
        assert_eq!(*service.read_blocking("same".into(), 1, PATIENT).unwrap(), 4);
    }
    assert_eq!(*service.read_blocking("same".into(), 3, PATIENT).unwrap(), 12);
    let counts = service.counts();
    assert_eq!((counts.read, counts.kept), (2, 4));
}

#[test]
fn a_text_beyond_the_bound_is_refused() {
    let settings = Settings {
        longest: 10,
        ..Settings::default()
    };
    let (service, _) = service(0, settings);
    assert_eq!(
        service.read_blocking("01234567890".into(), 1, PATIENT),
        Err(Refused::Long(10))
    );
    assert!(service.read_blocking("0123456789".into(), 1, PATIENT).is_ok());
}

#[test]
fn who_waits_as_a_task_gets_an_answer_and_may_go_away() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap();
    let settings = Settings {
        batch: 1,
        ..Settings::default()
    };
    let (service, _) = service(50, settings);
    runtime.block_on(async {
        assert_eq!(*service.read("four".into(), 1, PATIENT).await.unwrap(), 4);
        let gone =
            tokio::time::timeout(Duration::from_millis(5), service.read("gone".into(), 1, PATIENT)).await;
        assert!(gone.is_err());
        assert_eq!(*service.read("three".into(), 1, PATIENT).await.unwrap(), 5);
    });
}

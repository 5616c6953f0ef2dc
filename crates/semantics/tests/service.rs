//! The service under load: bounded, in time, together; what was read is kept.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test says what it expects by failing"
)]

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex};
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
    // The caller is told in time; the thread comes to it when it is done with the first.
    while service.counts().late == 0 {
        thread::yield_now();
    }
    assert_eq!(service.counts().read, 1);
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

/// Falls over texts with a `!`, and says of others how long they are. Its room notes how it was left.
struct Fragile {
    alone: AtomicUsize,
}

impl Reader for Fragile {
    type Question = ();
    type Reading = usize;
    type Room = bool;

    fn read(&self, texts: &[(&str, &())], dirty: &mut bool) -> Vec<usize> {
        assert!(!*dirty, "the room is one that a panic left");
        *dirty = true;
        thread::sleep(Duration::from_millis(2));
        if texts.len() == 1 {
            self.alone.fetch_add(1, Ordering::Relaxed);
        }
        assert!(
            texts.iter().all(|(text, ())| !text.contains('!')),
            "a text that can't be read"
        );
        *dirty = false;
        texts
            .iter()
            .map(|(text, ())| text.len())
            .filter(|length| *length != 13)
            .collect()
    }
}

fn fragile(threads: usize) -> Service<Fragile> {
    let settings = Settings {
        threads,
        kept: 0,
        ..Settings::default()
    };
    Service::start(
        Fragile {
            alone: AtomicUsize::new(0),
        },
        settings,
    )
    .unwrap()
}

#[test]
fn a_text_that_panics_is_refused_and_nobody_else_waits_in_vain() {
    let service = fragile(1);
    for round in 0..3 {
        thread::scope(|scope| {
            for number in 0..48_usize {
                let service = &service;
                scope.spawn(move || {
                    let bad = number % 7 == 3;
                    let text = format!("{}{}", "x".repeat(20 + number), if bad { "!" } else { "" });
                    let answer = service.read_blocking(text.as_str().into(), (), PATIENT);
                    if bad {
                        assert_eq!(answer, Err(Refused::Failed), "round {round}");
                    } else {
                        assert_eq!(*answer.unwrap(), text.len(), "round {round}");
                    }
                });
            }
        });
    }
    let counts = service.counts();
    assert_eq!(counts.failed, 3 * 7);
    assert_eq!(counts.read, 3 * 41);
}

#[test]
fn a_reader_that_leaves_a_text_out_gives_nobody_anothers_reading() {
    let service = fragile(2);
    thread::scope(|scope| {
        for length in 1..30_usize {
            let service = &service;
            scope.spawn(move || {
                let answer = service.read_blocking("x".repeat(length).into(), (), PATIENT);
                let expected = if length == 13 {
                    Err(Refused::Failed)
                } else {
                    Ok(length)
                };
                assert_eq!(answer.map(|length| *length), expected);
            });
        }
    });
}

/// Falls over some readings once they are there: beside its work.
struct Sharp;

impl Reader for Sharp {
    type Question = ();
    type Reading = bool;
    type Room = ();

    fn read(&self, texts: &[(&str, &())], _room: &mut ()) -> Vec<bool> {
        texts.iter().map(|(text, ())| *text == "sharp").collect()
    }

    fn bytes(&self, sharp: &bool) -> usize {
        assert!(!sharp, "counting falls over this one");
        0
    }
}

#[test]
fn a_thread_that_falls_beside_its_work_begins_anew() {
    let service = Service::start(Sharp, Settings::default()).unwrap();
    for round in 0..3 {
        let sharp = service.read_blocking("sharp".into(), (), PATIENT);
        assert_eq!(sharp.err(), Some(Refused::Failed), "round {round}");
        assert!(!*service.read_blocking("blunt".into(), (), PATIENT).unwrap());
    }
}

/// Reads when it is told to.
struct Held {
    begun: Arc<AtomicUsize>,
    go: Mutex<Receiver<()>>,
    read: Arc<Mutex<Vec<String>>>,
}

impl Reader for Held {
    type Question = ();
    type Reading = usize;
    type Room = ();

    fn read(&self, texts: &[(&str, &())], _room: &mut ()) -> Vec<usize> {
        self.begun.fetch_add(1, Ordering::SeqCst);
        self.go.lock().unwrap().recv().unwrap();
        let mut read = self.read.lock().unwrap();
        read.extend(texts.iter().map(|(text, ())| (*text).to_owned()));
        texts.iter().map(|(text, ())| text.len()).collect()
    }
}

struct Reins {
    service: Service<Held>,
    begun: Arc<AtomicUsize>,
    go: SyncSender<()>,
    read: Arc<Mutex<Vec<String>>>,
}

fn held(settings: Settings) -> Reins {
    let (go, receiver) = sync_channel(64);
    let (begun, read) = (Arc::default(), Arc::default());
    let reader = Held {
        begun: Arc::clone(&begun),
        go: Mutex::new(receiver),
        read: Arc::clone(&read),
    };
    let service = Service::start(reader, settings).unwrap();
    Reins {
        service,
        begun,
        go,
        read,
    }
}

impl Reins {
    fn wait_until_begun(&self, times: usize) {
        while self.begun.load(Ordering::SeqCst) < times {
            thread::yield_now();
        }
    }
}

#[test]
fn a_deadline_is_met_while_the_text_is_read() {
    let reins = held(Settings::default());
    let start = Instant::now();
    let soon = Duration::from_millis(300);
    assert_eq!(
        reins.service.read_blocking("slow".into(), (), soon),
        Err(Refused::Late)
    );
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap();
    let late = runtime.block_on(reins.service.read("slower".into(), (), soon));
    assert_eq!(late, Err(Refused::Late));
    // The reader has not even come back: without deadlines, both would wait for ever.
    assert_eq!(reins.begun.load(Ordering::SeqCst), 1);
    assert!(start.elapsed() >= 2 * soon);
    for _ in 0..4 {
        reins.go.send(()).unwrap();
    }
    // The first was read in the end, and is kept; the second was late in the queue and never was.
    assert_eq!(
        *reins.service.read_blocking("last".into(), (), PATIENT).unwrap(),
        4
    );
    assert_eq!(
        *reins.service.read_blocking("slow".into(), (), PATIENT).unwrap(),
        4
    );
    assert_eq!(*reins.read.lock().unwrap(), ["slow", "last"]);
    assert_eq!(reins.service.counts().late, 1);
}

#[test]
fn what_nobody_waits_for_any_more_is_not_read() {
    let reins = held(Settings {
        batch: 1,
        ..Settings::default()
    });
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap();
    thread::scope(|scope| {
        let first = scope.spawn(|| reins.service.read_blocking("first".into(), (), PATIENT));
        reins.wait_until_begun(1);
        // Each is put into the queue, and given up while the first is read.
        for text in ["gone", "gone too"] {
            let asked = reins.service.read(text.into(), (), PATIENT);
            let given_up =
                runtime.block_on(async { tokio::time::timeout(Duration::from_millis(1), asked).await });
            assert!(given_up.is_err());
        }
        for _ in 0..8 {
            reins.go.send(()).unwrap();
        }
        assert_eq!(*first.join().unwrap().unwrap(), 5);
    });
    assert_eq!(
        *reins.service.read_blocking("here".into(), (), PATIENT).unwrap(),
        4
    );
    assert_eq!(*reins.read.lock().unwrap(), ["first", "here"]);
}

#[test]
fn bytes_that_wait_are_bounded() {
    let reins = held(Settings {
        batch: 1,
        queue_bytes: 1_000,
        ..Settings::default()
    });
    thread::scope(|scope| {
        let reins = &reins;
        // One text is always taken; it counts until it is read.
        let large = scope.spawn(|| reins.service.read_blocking("x".repeat(5_000).into(), (), PATIENT));
        reins.wait_until_begun(1);
        assert_eq!(
            reins.service.read_blocking("small".into(), (), PATIENT),
            Err(Refused::Full)
        );
        reins.go.send(()).unwrap();
        assert_eq!(*large.join().unwrap().unwrap(), 5_000);
        // Its bytes are given back a moment after its answer is there.
        let next = (0..1_000_000).find_map(|_| {
            let asked = scope.spawn(|| reins.service.read_blocking("y".repeat(900).into(), (), PATIENT));
            while !asked.is_finished() && reins.begun.load(Ordering::SeqCst) < 2 {
                thread::yield_now();
            }
            (!asked.is_finished()).then_some(asked)
        });
        assert_eq!(
            reins.service.read_blocking("z".repeat(101).into(), (), PATIENT),
            Err(Refused::Full)
        );
        reins.go.send(()).unwrap();
        assert_eq!(*next.unwrap().join().unwrap().unwrap(), 900);
    });
    assert!(reins.service.counts().full >= 2);
}

#[test]
fn no_patience_is_too_long() {
    let (service, _) = service(0, Settings::default());
    assert_eq!(
        *service.read_blocking("text".into(), 1, Duration::MAX).unwrap(),
        4
    );
    assert_eq!(
        service.read_blocking("other".into(), 1, Duration::ZERO),
        Err(Refused::Late)
    );
}

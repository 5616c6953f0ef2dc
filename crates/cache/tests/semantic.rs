//! The semantic cache by itself: bounds, owners, ages. Vectors are made up; what is compared is real.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test says what it expects by failing"
)]

use std::sync::Arc;
use std::time::{Duration, Instant};

use pointsman_cache::{CacheKey, KeyBuilder, Lookup, SemanticCache};
use pointsman_semantics::similar::Point;

const HOUR: Duration = Duration::from_secs(3_600);
const PRECISE: Lookup = Lookup {
    point: Point::Precise,
    max_age: None,
};

fn key(name: &str) -> CacheKey {
    let mut key = KeyBuilder::new();
    key.field("name", name.as_bytes());
    key.finish()
}

/// Of a text that stands alone: near nothing else.
fn alone(number: usize) -> Vec<f32> {
    let mut seed = number as u64 + 1;
    let next = |_| {
        seed = seed
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (seed >> 40) as f32 / 16_777_216.0 - 0.5
    };
    (0..64).map(next).collect()
}

fn cache(max_bytes: usize) -> SemanticCache<String> {
    let cache = SemanticCache::new(max_bytes);
    assert!(
        cache
            .question((key("p"), key("o")), "not yet", alone(0))
            .is_none()
    );
    cache.prepare().unwrap();
    cache
}

struct Asked<'a>(&'a SemanticCache<String>, Instant);

impl Asked<'_> {
    fn put(&self, (partition, owner): (&str, &str), text: &str, vector: usize) {
        let question = self.0.question((key(partition), key(owner)), text, alone(vector));
        let value = Arc::new(format!("answer to {text}"));
        self.0.put(question.unwrap(), value, 200, HOUR, self.1);
    }

    fn find(&self, partition: &str, text: &str, vector: usize) -> Option<String> {
        self.find_within(partition, text, vector, PRECISE)
    }

    fn find_within(&self, partition: &str, text: &str, vector: usize, lookup: Lookup) -> Option<String> {
        let question = self.0.question((key(partition), key("o")), text, alone(vector));
        let found = self.0.find(&question.unwrap(), lookup, self.1)?;
        Some(found.value.to_string())
    }
}

#[test]
fn nearness_alone_is_no_answer() {
    let cache = cache(1 << 20);
    let asked = Asked(&cache, Instant::now());
    // All of these have the very same vector.
    asked.put(("p", "o"), "Turn on dark mode", 1);
    asked.put(("p", "o"), "What is 2+2?", 1);
    asked.put(("p", "o"), "Who wrote Hamlet?", 1);
    for near in ["Turn off dark mode", "What is 2+3?", "Who did not write Hamlet?"] {
        assert_eq!(asked.find("p", near, 1), None, "{near}");
    }
    let found = asked.find("p", "Can you tell me who wrote Hamlet?", 1);
    assert_eq!(found.as_deref(), Some("answer to Who wrote Hamlet?"));
    assert_eq!(asked.find("q", "Who wrote Hamlet?", 1), None, "another partition");
    assert_eq!(asked.find("p", "Who wrote Hamlet?", 2), None, "far away");
    let stats = cache.stats();
    assert_eq!((stats.hits, stats.misses, stats.entries), (1, 5, 3));
}

#[test]
fn time_bounds_it() {
    let cache = cache(1 << 20);
    let asked = Asked(&cache, Instant::now());
    asked.put(("p", "o"), "Who wrote Hamlet?", 1);
    let later = Asked(&cache, asked.1 + Duration::from_secs(60));
    let within = |seconds| Lookup {
        max_age: Some(Duration::from_secs(seconds)),
        ..PRECISE
    };
    let text = "who wrote hamlet";
    assert!(later.find_within("p", text, 1, within(60)).is_some());
    assert!(later.find_within("p", text, 1, within(59)).is_none());
    assert!(later.find("p", text, 1).is_some());
    let after = Asked(&cache, asked.1 + HOUR);
    assert!(after.find("p", text, 1).is_none());
    assert_eq!(cache.stats().entries, 0, "what is over is gone");
}

#[test]
fn the_same_text_is_there_once() {
    let cache = cache(1 << 20);
    for number in 0..50 {
        let asked = Asked(&cache, Instant::now() + Duration::from_secs(number));
        asked.put(("p", "o"), "Who wrote Hamlet?", 1);
    }
    assert_eq!(cache.stats().entries, 1);
    let asked = Asked(&cache, Instant::now());
    asked.put(("q", "o"), "Who wrote Hamlet?", 1);
    assert_eq!(cache.stats().entries, 2, "in another partition");
}

#[test]
fn memory_stays_bounded_while_entries_stream_in() {
    let max_bytes = 2 << 20;
    let cache = cache(max_bytes);
    let asked = Asked(&cache, Instant::now());
    let mut most = 0;
    for number in 0..12_000 {
        // Some share a partition, most have one of their own.
        let partition = if number % 3 == 0 {
            "shared".to_owned()
        } else {
            number.to_string()
        };
        asked.put(
            (&partition, "o"),
            &format!("Who wrote volume {number} of the atlas?"),
            number,
        );
        let bytes = cache.stats().bytes;
        assert!(bytes <= max_bytes, "{bytes}");
        most = most.max(bytes);
    }
    let stats = cache.stats();
    assert!(most > max_bytes / 2 && stats.entries > 500, "{stats:?}");
    assert_eq!(stats.entries as u64 + stats.evictions, 12_000);
    let last = "Who wrote volume 11999 of the atlas?";
    assert!(asked.find("shared", last, 11_999).is_some() || asked.find("11999", last, 11_999).is_some());
    cache.reconfigure(max_bytes / 8);
    assert!(cache.stats().bytes <= max_bytes / 8);
    cache.reconfigure(0);
    assert_eq!((cache.stats().entries, cache.stats().bytes), (0, 0));
}

#[test]
fn who_floods_pushes_out_their_own() {
    let cache = cache(1 << 20);
    let asked = Asked(&cache, Instant::now());
    for number in 0..20 {
        asked.put(("quiet", "quiet"), &format!("Who wrote volume {number}?"), number);
    }
    for number in 20..4_000 {
        asked.put(("loud", "loud"), &format!("Who wrote volume {number}?"), number);
    }
    assert!(cache.stats().evictions > 100);
    for number in 0..20 {
        assert!(
            asked
                .find("quiet", &format!("Who wrote volume {number}?"), number)
                .is_some(),
            "{number}"
        );
    }
}

#[test]
fn vectors_of_another_model_meet_none_of_the_old() {
    let cache = cache(1 << 20);
    let asked = Asked(&cache, Instant::now());
    asked.put(("p", "o"), "Who wrote Hamlet?", 1);
    let wide = |text: &str| {
        let vector = [alone(1), alone(2)].concat();
        cache.question((key("p"), key("o")), text, vector).unwrap()
    };
    assert!(cache.find(&wide("Who wrote Hamlet?"), PRECISE, asked.1).is_none());
    cache.put(
        wide("Who wrote Hamlet?"),
        Arc::new("new".to_owned()),
        9,
        HOUR,
        asked.1,
    );
    assert!(asked.find("p", "Who wrote Hamlet?", 1).is_none());
    let found = cache.find(&wide("who wrote Hamlet"), PRECISE, asked.1).unwrap();
    assert_eq!((found.value.as_str(), cache.stats().entries), ("new", 1));
    assert!(found.similarity > 0.99);
}

#[test]
fn many_read_while_one_writes() {
    let cache = cache(256 << 10);
    let now = Instant::now();
    std::thread::scope(|scope| {
        for reader in 0..3_usize {
            let cache = &cache;
            scope.spawn(move || {
                let asked = Asked(cache, now);
                for number in 0..600 {
                    let number = (number * 7 + reader) % 600;
                    let text = format!("Who wrote volume {number}?");
                    if let Some(found) = asked.find("p", &text, number) {
                        assert_eq!(found, format!("answer to {text}"));
                    }
                }
            });
        }
        let asked = Asked(&cache, now);
        for number in 0..600 {
            asked.put(("p", "o"), &format!("Who wrote volume {number}?"), number);
        }
    });
    assert!(cache.stats().bytes <= 256 << 10);
}

/// The same question in other words.
const SAME: [(&str, &str); 16] = [
    ("Who wrote Hamlet?", "Can you tell me who wrote Hamlet?"),
    (
        "What is the boiling point of water?",
        "what's the boiling point of water",
    ),
    ("How do I bake bread?", "How can I bake bread?"),
    ("Explain how vaccines work", "Please explain how vaccines work."),
    (
        "How many planets are there?",
        "How many planets are there, please?",
    ),
    (
        "What does DNS stand for?",
        "Could you tell me what DNS stands for?",
    ),
    (
        "Wer hat Faust geschrieben?",
        "Kannst du mir sagen, wer Faust geschrieben hat?",
    ),
    (
        "¿Quién pintó el Guernica?",
        "¿Me puedes decir quién pintó el Guernica?",
    ),
    (
        "Quelle est la capitale du Pérou ?",
        "quelle est la capitale du perou",
    ),
    ("What is the capital of Peru?", "Tell me the capital of Peru"),
    (
        "How do I reverse a list in Python?",
        "how to reverse a list in Python?",
    ),
    ("Why is the sky blue?", "Why is the sky blue?!"),
    (
        "Give me a recipe for pancakes",
        "Can you give me a recipe for pancakes?",
    ),
    ("What are the symptoms of flu?", "what are symptoms of the flu"),
    ("Define entropy", "Please define entropy."),
    (
        "What's the difference between TCP and UDP?",
        "What is the difference between TCP and UDP",
    ),
];

/// Another question that looks alike.
const OTHER: [(&str, &str); 18] = [
    ("Is aspirin safe for dogs?", "Is aspirin safe for cats?"),
    ("Convert 5 miles to kilometers", "Convert 5 kilometers to miles"),
    ("What is 12% of 80?", "What is 12% of 90?"),
    (
        "How do I enable two-factor login?",
        "How do I disable two-factor login?",
    ),
    ("Which foods are high in iron?", "Which foods are low in iron?"),
    ("What happened in May 1968?", "What happened in May 1986?"),
    (
        "When did Germany invade Poland?",
        "When did Poland invade Germany?",
    ),
    ("Name a book by Jane Austen", "Name a book by Charlotte Brontë"),
    (
        "Translate \"good morning\" into French",
        "Translate \"good night\" into French",
    ),
    (
        "Is it legal to fly a drone at night?",
        "Is it illegal to fly a drone at night?",
    ),
    ("Why do cats purr?", "Why don't cats purr?"),
    ("How do I add a column in SQL?", "How do I drop a column in SQL?"),
    ("What is the capital of Iran?", "What is the capital of Iraq?"),
    ("Wie hoch ist die Zugspitze?", "Wie hoch ist der Großglockner?"),
    ("¿Cuánto mide el Teide?", "¿Cuánto mide el Everest?"),
    (
        "How do I sort a list ascending?",
        "How do I sort a list descending?",
    ),
    (
        "Can I take ibuprofen before surgery?",
        "Can I take ibuprofen after surgery?",
    ),
    (
        "What is the maximum dose of paracetamol?",
        "What is the minimum dose of paracetamol?",
    ),
];

#[test]
fn paraphrases_are_answered_and_near_misses_are_not_however_near() {
    let cache = cache(1 << 20);
    let asked = Asked(&cache, Instant::now());
    let answered = |pairs: &[(&'static str, &'static str)]| -> Vec<&str> {
        let found = |(first, second): &(&str, &str)| {
            // A partition for each, and one vector for both.
            asked.put((first, "o"), first, 1);
            asked.find(first, second, 1).is_some()
        };
        pairs
            .iter()
            .filter(|pair| found(pair))
            .map(|(_, second)| *second)
            .collect()
    };
    assert_eq!(answered(&OTHER), Vec::<&str>::new());
    let same = answered(&SAME);
    assert!(same.len() * 100 >= SAME.len() * 55, "{same:?}");
}

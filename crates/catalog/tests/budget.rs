//! What the catalog costs the process: bytes and allocations are counted, times are only told.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test says what it expects by failing"
)]

use std::time::Instant;

use allocation_counter::measure;
use pointsman_catalog::{Catalog, ServiceTier};
use pointsman_wire::form::Usage;

const MIB: u64 = 1024 * 1024;

/// One test: what is counted is what the process does first.
#[test]
fn reading_is_lazy_and_small_and_looking_up_allocates_nothing() {
    let (started, mut catalog) = (Instant::now(), None);
    let first = measure(|| catalog = Some(Catalog::embedded()));
    let catalog = catalog.unwrap();
    println!(
        "providers: {:?}, {} KiB kept, {} KiB at most",
        started.elapsed(),
        first.bytes_current / 1024,
        first.bytes_max / 1024
    );
    // Providers only: no models file has been read.
    assert!(first.bytes_max < MIB, "{} bytes", first.bytes_max);

    let started = Instant::now();
    let one = measure(|| {
        assert!(catalog.model("openai", "gpt-5-mini").is_some());
    });
    println!(
        "openai's models: {:?}, {} KiB kept",
        started.elapsed(),
        one.bytes_current / 1024
    );
    let again = measure(|| {
        let usage = Usage {
            input: 300_000,
            output: 10,
            ..Usage::default()
        };
        for name in [
            "gpt-5-mini",
            "gpt-5-mini-2031-08-07",
            "openai/gpt-5",
            "ft:gpt-3.5-turbo-1106:a:b:c",
            "none",
        ] {
            let model = catalog.model("openai", name);
            let price = model.and_then(|model| model.price.as_ref());
            let cost = price.map(|price| price.cost(&usage, ServiceTier::Flex));
            assert!(cost.is_some() || name == "none");
        }
        assert!(catalog.model_in("openai", "eu", "gpt-5").is_some());
        assert!(
            catalog
                .image("openai", "gpt-image-1", "high", "1024x1536")
                .is_some()
        );
        assert!(catalog.provider("bedrock").is_some());
    });
    assert_eq!(again.count_total, 0, "looking up and pricing allocates");

    let started = Instant::now();
    let mut models = 0;
    let all = measure(|| {
        models = catalog
            .providers()
            .map(|provider| catalog.models_of(&provider.id).count())
            .sum();
    });
    let kept = first.bytes_current + one.bytes_current + all.bytes_current;
    println!(
        "all {models} models: {:?}, {} KiB kept",
        started.elapsed(),
        kept / 1024
    );
    assert!(kept < 8 * MIB as i64, "{kept} bytes for the whole catalog");
    assert!(all.bytes_max < 15 * MIB, "{} bytes while reading", all.bytes_max);
}

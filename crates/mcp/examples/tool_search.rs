//! How often a search puts the right one of 2,000 tools among the first five:
//! `cargo run --release -p pointsman-mcp --example tool_search`.
//!
//! `tests/tools/` has the tools and what is asked for. The weights were chosen on the first of each four requests and on
//! those that were drawn, and further ones; of the others only the shares were looked at, never which ones are missed
//! (`--missed` tells of the first ones alone). Nothing was chosen on those that are unseen.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "an example that stops where something is wrong"
)]

#[path = "../tests/tools/read.rs"]
mod read;

use std::sync::Arc;
use std::time::Instant;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use pointsman_mcp::search::Index;
use pointsman_mcp::search::vectors::{Reader, Vectors};
use pointsman_understanding::{Nobody, SHIPPED, Understanding, UnderstandingConfig};
use read::{Catalog, Request, Set, place};

struct Shipped(Understanding);

impl Reader for Shipped {
    fn read(&self, texts: Vec<Arc<str>>) -> BoxFuture<'_, Option<Vec<Vec<f32>>>> {
        async move {
            let read = self.0.embed(SHIPPED.name, texts, None, &Nobody).await;
            read.ok().map(|read| read.vectors)
        }
        .boxed()
    }
}

fn told(what: &str, places: &[(&Request, usize)]) {
    if places.is_empty() {
        return;
    }
    let share = |most: usize| {
        let there = places.iter().filter(|(_, place)| *place < most).count();
        format!("{:.1} %", 100.0 * there as f64 / places.len() as f64)
    };
    println!(
        "{what} ({}): first {}, of the first three {}, of the first five {}, of the first ten {}",
        places.len(),
        share(1),
        share(3),
        share(5),
        share(10)
    );
}

#[tokio::main]
async fn main() {
    let catalog = Catalog::read();
    println!(
        "{} tools of {} servers",
        catalog.tools.len(),
        catalog.servers.len()
    );
    let index = Index::new(catalog.tools.clone(), catalog.servers.clone());
    let config: UnderstandingConfig = serde_json::from_str("{}").unwrap();
    let reader: Arc<dyn Reader> = Arc::new(Shipped(Understanding::new(&config)));
    let vectors = Arc::new(Vectors::default());
    let began = Instant::now();
    while !vectors.has(&index) {
        vectors.likeness(&reader, &index, "anything").await;
    }
    println!("read in {:.1} s", began.elapsed().as_secs_f64());
    for (name, set) in [
        ("requests", Set::Requests),
        ("drawn", Set::Drawn),
        ("further", Set::Further),
        ("wishes", Set::Wishes),
        ("unseen", Set::Unseen),
    ] {
        let requests = catalog.requests(set);
        let mut found = Vec::new();
        let began = Instant::now();
        for request in &requests {
            let likeness = vectors.likeness(&reader, &index, &request.text).await;
            let scores = index.scores(&request.text, likeness.as_ref());
            found.push((request, place(&index, &scores, request.right)));
        }
        let took = began.elapsed().as_secs_f64() * 1e3 / requests.len() as f64;
        let of = |tuned: bool| -> Vec<(&Request, usize)> {
            found
                .iter()
                .filter(|(request, _)| request.tuned == tuned)
                .copied()
                .collect()
        };
        println!("{name}: {took:.1} ms each");
        told("  all", &found);
        told("  those that weights were chosen on", &of(true));
        told("  the others", &of(false));
        let words: Vec<(&Request, usize)> = requests
            .iter()
            .map(|request| {
                let scores = index.scores(&request.text, None);
                (request, place(&index, &scores, request.right))
            })
            .collect();
        told("  by words alone", &words);
        if std::env::args().any(|argument| argument == "--missed") {
            for (request, place) in found
                .iter()
                .filter(|(request, place)| request.tuned && *place >= 5)
            {
                println!(
                    "    {place:5}  {}  <-  {}",
                    catalog.ids[request.right], request.text
                );
            }
        }
    }
}

//! Tools found by what they are for: of a part of the catalog in `tests/tools`, with the model that ships.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "tests stop where something is wrong"
)]

#[path = "tools/read.rs"]
mod read;

use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use pointsman_mcp::search::Index;
use pointsman_mcp::search::vectors::{Reader, Vectors};
use pointsman_understanding::{Nobody, SHIPPED, Understanding, UnderstandingConfig};
use read::{Catalog, Set, place};

/// Servers of which all tools are there.
const SERVERS: usize = 10;

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

#[test]
fn every_request_names_a_tool() {
    let catalog = Catalog::read();
    for (set, all, tuned) in [
        (Set::Requests, 200, 50),
        (Set::Drawn, 100, 100),
        (Set::Further, 150, 150),
        (Set::Wishes, 200, 50),
        (Set::Unseen, 100, 0),
    ] {
        let requests = catalog.requests(set);
        let on = requests.iter().filter(|request| request.tuned).count();
        assert_eq!((requests.len(), on), (all, tuned));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_right_tool_is_among_the_first_five() {
    let mut catalog = Catalog::read();
    assert_eq!((catalog.tools.len(), catalog.servers.len()), (2_000, 50));
    let requests: Vec<_> = catalog
        .requests(Set::Requests)
        .into_iter()
        .filter(|request| catalog.tools[request.right].server < SERVERS)
        .collect();
    catalog.tools.retain(|tool| tool.server < SERVERS);
    catalog.servers.truncate(SERVERS);
    let config: UnderstandingConfig =
        serde_json::from_value(serde_json::json!({ "deadline": "60s" })).unwrap();
    let reader: Arc<dyn Reader> = Arc::new(Shipped(Understanding::new(&config)));
    let index = Index::new(catalog.tools.clone(), catalog.servers.clone());
    let vectors = Arc::new(Vectors::default());
    while !vectors.has(&index) {
        vectors.likeness(&reader, &index, "anything").await;
    }
    let (mut by_meaning, mut by_words) = (0, 0);
    for request in &requests {
        let likeness = vectors.likeness(&reader, &index, &request.text).await;
        let scores = index.scores(&request.text, likeness.as_ref());
        by_meaning += usize::from(place(&index, &scores, request.right) < 5);
        let scores = index.scores(&request.text, None);
        by_words += usize::from(place(&index, &scores, request.right) < 5);
    }
    assert_eq!(requests.len(), 4 * SERVERS);
    assert!(
        by_meaning * 10 >= requests.len() * 9,
        "{by_meaning} of {}",
        requests.len()
    );
    // Without vectors it is worse, and of use.
    assert!(
        by_words < by_meaning && by_words * 3 >= requests.len(),
        "{by_words}"
    );
}

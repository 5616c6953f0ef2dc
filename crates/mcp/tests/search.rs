//! Tools found by what they are for: of a part of the catalog in `tests/tools`, with the model that ships.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "tests stop where something is wrong"
)]

#[path = "tools/read.rs"]
mod read;

use std::sync::Arc;

use pointsman_mcp::search::{Index, Likeness};
use pointsman_understanding::{Nobody, SHIPPED, Understanding, UnderstandingConfig};
use read::{Catalog, Set, place};

/// Servers of which all tools are there.
const SERVERS: usize = 10;

async fn read(understanding: &Understanding, texts: &[String]) -> Vec<Vec<f32>> {
    let mut vectors = Vec::new();
    for some in texts.chunks(32) {
        let some = some.iter().map(|text| Arc::from(text.as_str())).collect();
        let read = understanding.embed(SHIPPED.name, some, None, &Nobody).await;
        vectors.extend(read.unwrap().vectors);
    }
    vectors
}

fn likeness(asked: &[f32], to: &[Vec<f32>]) -> Vec<Option<f32>> {
    let cosine = |other: &Vec<f32>| asked.iter().zip(other).map(|(left, right)| left * right).sum();
    to.iter().map(|other| Some(cosine(other))).collect()
}

#[test]
fn every_request_names_a_tool() {
    let catalog = Catalog::read();
    for (set, all, tuned) in [
        (Set::Requests, 200, 50),
        (Set::Drawn, 100, 100),
        (Set::Wishes, 200, 50),
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
    let understanding = Understanding::new(&config);
    let texts: Vec<String> = catalog.tools.iter().map(|tool| tool.text()).collect();
    let tools = read(&understanding, &texts).await;
    let texts: Vec<String> = catalog
        .servers
        .iter()
        .map(|server| server.text().unwrap())
        .collect();
    let servers = read(&understanding, &texts).await;
    let texts: Vec<String> = requests.iter().map(|request| request.text.clone()).collect();
    let asked = read(&understanding, &texts).await;
    let index = Index::new(catalog.tools.clone(), catalog.servers.clone());
    let (mut by_meaning, mut by_words) = (0, 0);
    for (request, asked) in requests.iter().zip(&asked) {
        let likeness = Likeness {
            tools: likeness(asked, &tools),
            servers: likeness(asked, &servers),
        };
        let scores = index.scores(&request.text, Some(&likeness));
        by_meaning += usize::from(place(&scores, request.right) < 5);
        let scores = index.scores(&request.text, None);
        by_words += usize::from(place(&scores, request.right) < 5);
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

//! One fetch for all, in time, and nobody waits without need.

use std::sync::atomic::{AtomicBool, AtomicU32};

use futures_util::future::join_all;

use super::*;
use crate::credential::tests::client;

/// A source that counts, takes its time, and fails when told to.
struct Counting {
    fetched: AtomicU32,
    running: AtomicU32,
    together: AtomicBool,
    takes: Duration,
    lifetime: Duration,
    fails: AtomicBool,
}

impl Counting {
    fn new(takes_ms: u64, lifetime_ms: u64) -> Self {
        Self {
            fetched: AtomicU32::new(0),
            running: AtomicU32::new(0),
            together: AtomicBool::new(false),
            takes: Duration::from_millis(takes_ms),
            lifetime: Duration::from_millis(lifetime_ms),
            fails: AtomicBool::new(false),
        }
    }
}

impl Source for Counting {
    type Token = u32;

    fn name(&self) -> &str {
        "the test"
    }

    fn fetch<'a>(&'a self, _: &'a Client) -> Fetching<'a, u32> {
        Box::pin(async move {
            if self.running.fetch_add(1, Ordering::SeqCst) > 0 {
                self.together.store(true, Ordering::SeqCst);
            }
            tokio::time::sleep(self.takes).await;
            self.running.fetch_sub(1, Ordering::SeqCst);
            let number = self.fetched.fetch_add(1, Ordering::SeqCst) + 1;
            if self.fails.load(Ordering::SeqCst) {
                return Err(CredentialError::new(CredentialErrorKind::Refused, "no"));
            }
            Ok(Issued::lasting(number, self.lifetime))
        })
    }
}

type Cache = Arc<TokenCache<Counting>>;

fn cache(source: Counting) -> Cache {
    patient(source, 10_000)
}

fn patient(source: Counting, wait_ms: u64) -> Cache {
    let patience = Patience {
        wait: Duration::from_millis(wait_ms),
        fetch: Duration::from_secs(10),
        min_age: Duration::from_millis(100),
    };
    TokenCache::new(source, patience)
}

/// The token, and whether it had to be waited for.
async fn get(cache: &Cache, client: &Client) -> Result<(u32, bool), CredentialError> {
    if let Some(token) = cache.peek(client, |held| held.token) {
        return Ok((token, false));
    }
    cache.wait(client).await?;
    let token = cache.peek(client, |held| held.token);
    Ok((token.ok_or_else(|| CredentialError::invalid("gone"))?, true))
}

fn fetched(cache: &Cache) -> u32 {
    cache.source.fetched.load(Ordering::SeqCst)
}

#[tokio::test]
async fn a_crowd_without_a_token_fetches_once() {
    let (cache, client) = (cache(Counting::new(50, 60_000)), client());
    let all = join_all((0..500).map(|_| get(&cache, &client))).await;
    assert!(all.iter().all(|got| got.as_ref().unwrap().0 == 1));
    assert_eq!(fetched(&cache), 1);
}

#[tokio::test]
async fn one_that_looked_before_a_fetch_ended_does_not_begin_another() {
    let (cache, client) = (cache(Counting::new(0, 60_000)), client());
    // What a worker does that found no token, was set aside, and goes on after the fetch of another has ended.
    assert!(cache.peek(&client, |held| held.token).is_none());
    assert_eq!(get(&cache, &client).await.unwrap(), (1, true));
    assert!(matches!(cache.start(&client), Start::Needless));
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!(fetched(&cache), 1);
}

#[test]
fn workers_share_one_fetch() {
    let cache = cache(Counting::new(100, 60_000));
    let threads: Vec<_> = (0..4)
        .map(|_| {
            let cache = Arc::clone(&cache);
            std::thread::spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread()
                    .enable_all()
                    .build()
                    .unwrap();
                runtime.block_on(async move {
                    let client = client();
                    join_all((0..50).map(|_| get(&cache, &client))).await.len()
                })
            })
        })
        .collect();
    assert_eq!(
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .sum::<usize>(),
        200
    );
    assert_eq!(fetched(&cache), 1);
}

/// Tokens end again and again under load: nobody fails, nobody but the first waits, one fetch at a time.
#[tokio::test]
async fn tokens_that_end_under_load_are_renewed_ahead() {
    let (cache, client) = (cache(Counting::new(50, 4_000)), client());
    get(&cache, &client).await.unwrap();
    let until = Instant::now() + Duration::from_secs(9);
    let load = (0..40).map(|_| async {
        let (mut waited, mut last) = (0, 0);
        while Instant::now() < until {
            let (token, has_waited) = get(&cache, &client).await.unwrap();
            assert!(token >= last, "never an older one");
            last = token;
            waited += u32::from(has_waited);
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        (waited, last)
    });
    let all = join_all(load).await;
    assert!(all.iter().all(|(waited, _)| *waited == 0), "{all:?}");
    assert!(all[0].1 >= 3, "it was renewed: {all:?}");
    assert!(fetched(&cache) <= 5, "{}", fetched(&cache));
    assert!(!cache.source.together.load(Ordering::SeqCst));
}

#[tokio::test]
async fn a_renewal_that_fails_leaves_the_valid_token_in_use() {
    let (cache, client) = (cache(Counting::new(1, 3_000)), client());
    get(&cache, &client).await.unwrap();
    cache.source.fails.store(true, Ordering::SeqCst);
    let until = Instant::now() + Duration::from_millis(2_600);
    while Instant::now() < until {
        assert_eq!(get(&cache, &client).await.unwrap(), (1, false));
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let tries = fetched(&cache) - 1;
    assert!(
        (1..=2).contains(&tries),
        "tried, and not with every request: {tries}"
    );
}

#[tokio::test]
async fn after_a_failure_the_source_is_left_alone_and_everybody_is_told() {
    let (cache, client) = (cache(Counting::new(20, 60_000)), client());
    cache.source.fails.store(true, Ordering::SeqCst);
    let all = join_all((0..100).map(|_| get(&cache, &client))).await;
    assert!(
        all.iter()
            .all(|got| got.as_ref().unwrap_err().to_string() == "no")
    );
    for _ in 0..50 {
        let begun = Instant::now();
        let error = get(&cache, &client).await.unwrap_err();
        assert_eq!(error.kind(), CredentialErrorKind::Refused);
        assert!(
            error
                .retry_after()
                .is_some_and(|wait| wait < Duration::from_secs(2))
        );
        assert!(begun.elapsed() < Duration::from_millis(500));
    }
    assert_eq!(fetched(&cache), 1);
    cache.source.fails.store(false, Ordering::SeqCst);
    tokio::time::sleep(Duration::from_millis(1_400)).await;
    assert_eq!(get(&cache, &client).await.unwrap().0, 2);
}

#[tokio::test]
async fn a_wait_has_an_end() {
    let (cache, client) = (patient(Counting::new(5_000, 60_000), 100), client());
    let error = get(&cache, &client).await.unwrap_err();
    assert_eq!(error.kind(), CredentialErrorKind::Unreachable);
    assert_eq!(error.to_string(), "the test gave no token within 100ms");
}

#[tokio::test]
async fn a_request_that_is_given_up_takes_nothing_from_the_others() {
    let (cache, client) = (cache(Counting::new(150, 60_000)), client());
    let first = tokio::time::timeout(Duration::from_millis(20), get(&cache, &client)).await;
    assert!(first.is_err());
    assert_eq!(get(&cache, &client).await.unwrap(), (1, true));
    assert_eq!(fetched(&cache), 1);
}

#[test]
fn a_worker_that_stops_in_the_middle_of_a_fetch_leaves_it_to_another() {
    let cache = cache(Counting::new(60_000, 60_000));
    let runtime = || {
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap()
    };
    let stopped = runtime();
    stopped.block_on(async {
        let gone = tokio::time::timeout(Duration::from_millis(20), get(&cache, &client())).await;
        assert!(gone.is_err());
    });
    assert!(cache.flight.lock().flying);
    drop(stopped);
    assert!(!cache.flight.lock().flying);
    runtime().block_on(async {
        let gone = tokio::time::timeout(Duration::from_millis(20), get(&cache, &client())).await;
        assert!(gone.is_err());
        assert!(cache.flight.lock().flying, "another fetch is under way");
    });
}

#[tokio::test]
async fn a_refused_token_is_dropped_once_and_not_when_it_is_new() {
    let (cache, client) = (cache(Counting::new(1, 60_000)), client());
    get(&cache, &client).await.unwrap();
    let generation = cache.peek(&client, |held| held.generation).unwrap();
    assert!(!cache.refused(generation), "another would fare no better");
    assert_eq!(get(&cache, &client).await.unwrap(), (1, false));
    tokio::time::sleep(Duration::from_millis(150)).await;
    assert!(cache.refused(generation));
    assert!(
        cache.refused(generation),
        "a second request with the same token may try again as well"
    );
    assert_eq!(get(&cache, &client).await.unwrap(), (2, true));
    assert!(cache.refused(generation), "the new one stays");
    assert_eq!(get(&cache, &client).await.unwrap(), (2, false));
    assert_eq!(fetched(&cache), 2);
}

#[tokio::test]
async fn a_token_that_has_ended_already_is_an_error() {
    let (cache, client) = (cache(Counting::new(1, 100)), client());
    let error = get(&cache, &client).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "the test gave a credential that has ended already; check the clock"
    );
}

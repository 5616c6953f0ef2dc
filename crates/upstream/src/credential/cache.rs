//! One token, fetched once for all: by one task at a time, ahead of its end, behind the back of the requests.
//!
//! While a token is valid no request waits: one of those that come near its end starts the fetch of the next and goes
//! on with what there is. Only without a valid token do requests wait, all of them for the same fetch. A fetch is a
//! task of its own, so that a client that goes away takes nothing from the others. After a failure the source is left
//! alone for a while; until then requests are told at once what went wrong.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};

use arc_swap::ArcSwapOption;
use parking_lot::Mutex;
use tokio::sync::watch;

use super::error::{CredentialError, CredentialErrorKind};
use crate::client::Client;
use crate::clock::{Epoch, micros};

/// A token is renewed when this share of its life is left, but not earlier than `MAX_LEAD` before its end.
const LEAD_SHARE: f64 = 0.25;
const MAX_LEAD: Duration = Duration::from_secs(5 * 60);
/// Processes that got their tokens together do not renew them together.
const JITTER_SHARE: f64 = 0.2;
/// A token is no longer used this long before its end: it must still be valid when it arrives, by their clock.
const MARGIN_SHARE: f64 = 0.05;
const MAX_MARGIN: Duration = Duration::from_secs(30);
const FIRST_BACKOFF: Duration = Duration::from_secs(1);
const MAX_BACKOFF: Duration = Duration::from_secs(60);
/// What is told before a fetch has ended that nobody finished.
const NEVER: u64 = u64::MAX;

/// The future of a fetch.
pub(crate) type Fetching<'a, T> =
    Pin<Box<dyn Future<Output = Result<Issued<T>, CredentialError>> + Send + 'a>>;

/// Where tokens come from.
pub(crate) trait Source: Send + Sync + 'static {
    /// What it issues.
    type Token: Send + Sync + 'static;

    /// What logs and errors call it.
    fn name(&self) -> &str;

    /// Gets a new token.
    fn fetch<'a>(&'a self, client: &'a Client) -> Fetching<'a, Self::Token>;
}

/// A new token.
pub(crate) struct Issued<T> {
    pub(crate) token: T,
    /// How long it is valid; for ever when absent.
    pub(crate) lifetime: Option<Duration>,
    /// When to look for another although this one does not end.
    pub(crate) look_again: Option<Duration>,
}

impl<T> Issued<T> {
    pub(crate) fn lasting(token: T, lifetime: Duration) -> Self {
        Self {
            token,
            lifetime: Some(lifetime),
            look_again: None,
        }
    }

    pub(crate) fn map<U>(self, change: impl FnOnce(T) -> U) -> Issued<U> {
        Issued {
            token: change(self.token),
            lifetime: self.lifetime,
            look_again: self.look_again,
        }
    }
}

/// How long is waited for what.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Patience {
    /// For a request without a valid token.
    pub(crate) wait: Duration,
    /// For a fetch as a whole.
    pub(crate) fetch: Duration,
    /// A token younger than this that is refused is not replaced: another would fare no better.
    pub(crate) min_age: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            wait: Duration::from_secs(15),
            fetch: Duration::from_secs(45),
            min_age: Duration::from_secs(5),
        }
    }
}

/// The token of one credential.
pub(crate) struct TokenCache<S: Source> {
    source: S,
    patience: Patience,
    /// Whether the token is the only one there will ever be.
    is_fixed: bool,
    epoch: Epoch,
    current: ArcSwapOption<Held<S::Token>>,
    /// When the next fetch may begin on a valid token's account, in microseconds of `epoch`.
    next_fetch: AtomicU64,
    flight: Mutex<Flight>,
    /// Fetches that have ended.
    rounds: watch::Sender<u64>,
}

#[derive(Default)]
struct Flight {
    flying: bool,
    generation: u64,
    failures: u32,
    failed: Option<(CredentialError, Instant)>,
}

/// A token in use.
pub(crate) struct Held<T> {
    pub(crate) token: T,
    pub(crate) generation: u64,
    fetched: Instant,
    renew: Option<Moment>,
    ends: Option<Moment>,
}

/// A point in time by both clocks: the steady one stands still while a machine sleeps, the other may be set back.
#[derive(Clone, Copy)]
struct Moment(Instant, SystemTime);

impl Moment {
    fn after(wait: Duration) -> Self {
        Self(Instant::now() + wait, SystemTime::now() + wait)
    }

    fn is_past(&self) -> bool {
        Instant::now() >= self.0 || SystemTime::now() >= self.1
    }
}

impl<T> Held<T> {
    fn is_valid(&self) -> bool {
        self.ends.as_ref().is_none_or(|ends| !ends.is_past())
    }

    fn is_due(&self) -> bool {
        self.renew.as_ref().is_some_and(Moment::is_past)
    }
}

enum Start {
    Started,
    Flying,
    /// There is a fresh token already.
    Needless,
    Resting(CredentialError),
}

impl<S: Source> TokenCache<S> {
    pub(crate) fn new(source: S, patience: Patience) -> Arc<Self> {
        Arc::new(Self::empty(source, patience, false))
    }

    fn empty(source: S, patience: Patience, is_fixed: bool) -> Self {
        Self {
            source,
            patience,
            is_fixed,
            epoch: Epoch::now(),
            current: ArcSwapOption::empty(),
            next_fetch: AtomicU64::new(0),
            flight: Mutex::default(),
            rounds: watch::Sender::new(0),
        }
    }

    /// A cache whose token is known and never ends.
    pub(crate) fn fixed(source: S, token: S::Token) -> Arc<Self> {
        let cache = Self::empty(source, Patience::default(), true);
        cache.keep(Issued {
            token,
            lifetime: None,
            look_again: None,
        });
        Arc::new(cache)
    }

    pub(crate) fn source(&self) -> &S {
        &self.source
    }

    /// Shows the token if there is a valid one, and has it renewed if it is time. Never waits.
    pub(crate) fn peek<R>(
        self: &Arc<Self>,
        client: &Client,
        show: impl FnOnce(&Held<S::Token>) -> R,
    ) -> Option<R> {
        let current = self.current.load();
        let held = current.as_ref().filter(|held| held.is_valid())?;
        if held.is_due() && self.epoch.micros(Instant::now()) >= self.next_fetch.load(Ordering::Relaxed) {
            self.start(client);
        }
        Some(show(held))
    }

    /// Waits until there is a valid token.
    pub(crate) async fn wait(self: &Arc<Self>, client: &Client) -> Result<(), CredentialError> {
        let deadline = tokio::time::Instant::now() + self.patience.wait;
        let mut rounds = self.rounds.subscribe();
        loop {
            rounds.borrow_and_update();
            if self.current.load().as_ref().is_some_and(|held| held.is_valid()) {
                return Ok(());
            }
            match self.start(client) {
                Start::Started | Start::Flying => {}
                Start::Needless => continue,
                Start::Resting(error) => return Err(error),
            }
            match tokio::time::timeout_at(deadline, rounds.changed()).await {
                Ok(Ok(())) => {}
                Ok(Err(_)) | Err(_) => return Err(self.too_slow()),
            }
        }
    }

    fn too_slow(&self) -> CredentialError {
        let message = format!(
            "{} gave no token within {:?}",
            self.source.name(),
            self.patience.wait
        );
        CredentialError::new(CredentialErrorKind::Unreachable, message)
    }

    /// The provider refused the token of this generation. Whether another is, or will be, there in its place.
    pub(crate) fn refused(&self, generation: u64) -> bool {
        let current = self.current.load();
        let Some(held) = current.as_ref() else { return true };
        if held.generation != generation {
            return true;
        }
        if self.is_fixed {
            return false;
        }
        if held.fetched.elapsed() < self.patience.min_age {
            return false;
        }
        // Another worker may have replaced it a moment ago: that one stays.
        let before = self.current.compare_and_swap(&current, None);
        let dropped = before.as_ref().is_some_and(|before| Arc::ptr_eq(before, held));
        if dropped {
            tracing::warn!(
                source = self.source.name(),
                "the provider refused a token before its end; it is fetched anew"
            );
        }
        true
    }

    /// Starts a fetch unless one is under way, has just brought a token, or the source rests after a failure.
    fn start(self: &Arc<Self>, client: &Client) -> Start {
        let mut flight = self.flight.lock();
        if flight.flying {
            return Start::Flying;
        }
        // A fetch may have ended between the look that found no token and this lock, under which tokens are kept.
        let current = self.current.load();
        if current
            .as_ref()
            .is_some_and(|held| held.is_valid() && !held.is_due())
        {
            return Start::Needless;
        }
        if let Some((error, until)) = &flight.failed {
            let left = until.saturating_duration_since(Instant::now());
            if !left.is_zero() {
                return Start::Resting(error.clone().after(left));
            }
        }
        flight.flying = true;
        self.next_fetch.store(NEVER, Ordering::Relaxed);
        drop(flight);
        let landing = Landing {
            cache: Arc::clone(self),
            outcome: None,
        };
        tokio::spawn(fly(landing, client.clone()));
        Start::Started
    }

    fn keep(&self, issued: Issued<S::Token>) {
        let mut flight = self.flight.lock();
        flight.generation += 1;
        flight.failures = 0;
        flight.failed = None;
        let ends = issued.lifetime.map(|lifetime| {
            let margin = lifetime.mul_f64(MARGIN_SHARE).min(MAX_MARGIN);
            Moment::after(lifetime.saturating_sub(margin))
        });
        let renew = match (issued.lifetime, issued.look_again) {
            (Some(lifetime), None) => {
                let lead = lifetime.mul_f64(LEAD_SHARE).min(MAX_LEAD);
                Some(lifetime.saturating_sub(lead.mul_f64(1.0 + JITTER_SHARE * rand::random::<f64>())))
            }
            (_, look_again) => look_again,
        };
        self.current.store(Some(Arc::new(Held {
            token: issued.token,
            generation: flight.generation,
            fetched: Instant::now(),
            renew: renew.map(Moment::after),
            ends,
        })));
        self.next_fetch.store(0, Ordering::Relaxed);
    }

    fn note_failure(&self, error: CredentialError) {
        let mut flight = self.flight.lock();
        let doubled = FIRST_BACKOFF.saturating_mul(1 << flight.failures.min(6));
        let pause = doubled
            .min(MAX_BACKOFF)
            .max(error.retry_after().unwrap_or_default().min(MAX_BACKOFF))
            .mul_f64(0.75 + 0.5 * rand::random::<f64>());
        flight.failures = flight.failures.saturating_add(1);
        tracing::warn!(
            source = self.source.name(),
            %error,
            told = error.detail(),
            failures = flight.failures,
            next_try = ?pause,
            "no new credential"
        );
        let until = Instant::now() + pause;
        flight.failed = Some((error, until));
        let at = self.epoch.micros(Instant::now()).saturating_add(micros(pause));
        self.next_fetch.store(at, Ordering::Relaxed);
    }
}

async fn fly<S: Source>(mut landing: Landing<S>, client: Client) {
    let cache = Arc::clone(&landing.cache);
    let fetched = tokio::time::timeout(cache.patience.fetch, cache.source.fetch(&client)).await;
    landing.outcome = Some(match fetched {
        Ok(Ok(issued))
            if issued
                .lifetime
                .is_some_and(|lifetime| lifetime < Duration::from_millis(500)) =>
        {
            let message = format!(
                "{} gave a credential that has ended already; check the clock",
                cache.source.name()
            );
            Err(CredentialError::invalid(message))
        }
        Ok(outcome) => outcome,
        Err(_) => Err(CredentialError::new(
            CredentialErrorKind::Unreachable,
            format!(
                "{} took longer than {:?}",
                cache.source.name(),
                cache.patience.fetch
            ),
        )),
    });
}

/// The end of a fetch, also of one that nobody finishes because its worker stops.
struct Landing<S: Source> {
    cache: Arc<TokenCache<S>>,
    outcome: Option<Result<Issued<S::Token>, CredentialError>>,
}

impl<S: Source> Drop for Landing<S> {
    fn drop(&mut self) {
        let cache = &self.cache;
        match self.outcome.take() {
            Some(Ok(issued)) => cache.keep(issued),
            Some(Err(error)) => cache.note_failure(error),
            None => cache.next_fetch.store(0, Ordering::Relaxed),
        }
        cache.flight.lock().flying = false;
        cache
            .rounds
            .send_modify(|rounds| *rounds = rounds.wrapping_add(1));
    }
}

#[cfg(test)]
mod tests;

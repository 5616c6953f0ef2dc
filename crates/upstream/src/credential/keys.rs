//! API keys: one, or several that take turns by weight. A key that is refused or limited rests while the next takes
//! over.

use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::header::{HeaderName, HeaderValue};
use http::{Request, StatusCode, Uri};
use parking_lot::Mutex;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use secrecy::{ExposeSecret, SecretString};

use super::error::{CredentialError, CredentialErrorKind};
use super::quota::Quota;
use crate::clock::{Epoch, micros};
use crate::config::{ApiKey, ApiKeys, ConfigError, Secret};

/// Most turns of a round: weights beyond that are too fine.
const MAX_TURNS: usize = 10_000;
const MAX_WEIGHT: u32 = 1_000;
/// Rest of a key that was limited without being told for how long.
const LIMITED_REST: Duration = Duration::from_secs(10);
const MAX_LIMITED_REST: Duration = Duration::from_secs(15 * 60);
/// Rest of a key that was refused; doubled each time in a row.
const REFUSED_REST: Duration = Duration::from_secs(60);
const MAX_REFUSED_REST: Duration = Duration::from_secs(30 * 60);

/// Where a key is put.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Carrier {
    /// A header, with what goes before the key.
    Header(HeaderName, String),
    /// A query parameter.
    Query(String),
}

/// The API keys of a provider.
pub(super) struct KeyRing {
    carrier: Carrier,
    keys: Vec<Key>,
    /// Whose turn it is: indices of keys, each as often as it weighs.
    turns: Vec<u16>,
    turn: AtomicUsize,
    epoch: Epoch,
}

struct Key {
    carried: Carried,
    /// In microseconds of the ring's epoch.
    rests_until: AtomicU64,
    refusals: AtomicU32,
    quotas: Option<Mutex<Quotas>>,
}

struct Quotas {
    requests: Option<Quota>,
    tokens: Option<Quota>,
}

enum Carried {
    Header(HeaderValue),
    /// `name=key`, encoded.
    Query(SecretString),
}

impl KeyRing {
    pub(super) fn compile(config: &ApiKeys, carrier: Carrier) -> Result<Self, ConfigError> {
        let mut keys = Vec::new();
        let mut weights = Vec::new();
        let mut add = |key: &Secret, weight: u32, quotas| {
            keys.push(Key {
                carried: carry(&carrier, key)?,
                rests_until: AtomicU64::new(0),
                refusals: AtomicU32::new(0),
                quotas,
            });
            weights.push(weight);
            Ok::<_, ConfigError>(())
        };
        match config {
            ApiKeys::One(key) => add(key, 1, None)?,
            ApiKeys::Many(several) => {
                for key in several {
                    match key {
                        ApiKey::Plain(key) => add(key, 1, None)?,
                        ApiKey::Limited(limited) => {
                            let requests = quota(limited.requests_per_minute, "requests_per_minute")?;
                            let tokens = quota(limited.tokens_per_minute, "tokens_per_minute")?;
                            let limits = requests.is_some() || tokens.is_some();
                            let quotas = limits.then(|| Mutex::new(Quotas { requests, tokens }));
                            add(&limited.key, limited.weight, quotas)?;
                        }
                    }
                }
            }
        }
        if keys.is_empty() {
            return Err(ConfigError::new("auth.api_key", "the list is empty"));
        }
        Ok(Self {
            carrier,
            turns: turns(&weights)?,
            keys,
            turn: AtomicUsize::new(0),
            epoch: Epoch::now(),
        })
    }

    pub(super) fn carrier(&self) -> &Carrier {
        &self.carrier
    }

    pub(super) fn count(&self) -> usize {
        self.keys.len()
    }

    /// Puts the key whose turn it is on a request of about `tokens` prompt tokens; says which.
    pub(super) fn put(&self, request: &mut Request<Bytes>, tokens: u64) -> Result<u32, CredentialError> {
        let index = match self.keys.as_slice() {
            [only] if only.quotas.is_none() => 0,
            _ => self.choose(tokens)?,
        };
        match &self.keys[index].carried {
            Carried::Header(value) => {
                if let Carrier::Header(name, _) = &self.carrier {
                    request.headers_mut().insert(name, value.clone());
                }
            }
            Carried::Query(pair) => {
                *request.uri_mut() = with_parameter(request.uri(), pair.expose_secret())?;
            }
        }
        Ok(u32::try_from(index).unwrap_or(0))
    }

    /// The next in turn that neither rests nor is at its limit.
    fn choose(&self, tokens: u64) -> Result<usize, CredentialError> {
        let now = self.epoch.micros(Instant::now());
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        let first = usize::from(self.turns[turn % self.turns.len()]);
        let mut soonest = u64::MAX;
        for step in 0..self.keys.len() {
            let index = (first + step) % self.keys.len();
            match self.keys[index].wait(tokens, now) {
                0 => return Ok(index),
                wait => soonest = soonest.min(wait),
            }
        }
        let wait = Duration::from_micros(soonest);
        let message = match self.keys.len() {
            1 => "the API key rests: it was refused, or is at its limit".to_owned(),
            several => format!("all {several} API keys rest: refused, or at their limits"),
        };
        Err(CredentialError::new(CredentialErrorKind::Resting, message).after(wait))
    }

    /// Takes note of how the provider answered to key `index`. Whether another key could do better now.
    pub(super) fn answered(
        &self,
        index: u32,
        status: StatusCode,
        retry_after: impl FnOnce() -> Option<Duration>,
    ) -> bool {
        let Some(key) = usize::try_from(index).ok().and_then(|index| self.keys.get(index)) else {
            return false;
        };
        // With one key there is nobody to take over: the provider decides each time.
        if self.keys.len() < 2 {
            return false;
        }
        let rest = match status.as_u16() {
            429 => retry_after().unwrap_or(LIMITED_REST).min(MAX_LIMITED_REST),
            401 | 402 => {
                let before = key.refusals.fetch_add(1, Ordering::Relaxed);
                let rest = REFUSED_REST
                    .saturating_mul(1 << before.min(8))
                    .min(MAX_REFUSED_REST);
                tracing::warn!(
                    key = index + 1,
                    of = self.keys.len(),
                    status = status.as_u16(),
                    ?rest,
                    "the provider refused an API key; it rests"
                );
                rest
            }
            _ => {
                if status.is_success() && key.refusals.load(Ordering::Relaxed) > 0 {
                    key.refusals.store(0, Ordering::Relaxed);
                }
                return false;
            }
        };
        let now = self.epoch.micros(Instant::now());
        let until = now.saturating_add(micros(rest));
        key.rests_until.fetch_max(until, Ordering::Relaxed);
        self.keys
            .iter()
            .any(|key| key.rests_until.load(Ordering::Relaxed) <= now)
    }
}

impl Key {
    /// Microseconds until it can be used for this much; 0 takes it.
    fn wait(&self, tokens: u64, now: u64) -> u64 {
        let rest = self.rests_until.load(Ordering::Relaxed).saturating_sub(now);
        if rest > 0 {
            return rest;
        }
        let Some(quotas) = &self.quotas else { return 0 };
        let mut quotas = quotas.lock();
        let Quotas {
            requests,
            tokens: spent,
        } = &mut *quotas;
        let both = [(requests, 1), (spent, tokens)];
        let mut both = both.map(|(quota, amount)| (quota.as_mut(), amount));
        let wait = both
            .iter_mut()
            .filter_map(|(quota, amount)| Some(quota.as_mut()?.wait(*amount, now)))
            .max()
            .unwrap_or(0);
        if wait == 0 {
            for (quota, amount) in both {
                if let Some(quota) = quota {
                    quota.take(amount, now);
                }
            }
        }
        wait
    }
}

fn quota(limit: Option<u64>, name: &str) -> Result<Option<Quota>, ConfigError> {
    match limit {
        Some(0) => Err(ConfigError::new(
            "auth.api_key",
            format!("`{name}` must be at least 1; leave the key out to stop using it"),
        )),
        limit => Ok(limit.map(Quota::new)),
    }
}

/// A round in which each key has as many turns as it weighs, spread evenly.
fn turns(weights: &[u32]) -> Result<Vec<u16>, ConfigError> {
    let wrong = |problem: String| ConfigError::new("auth.api_key", problem);
    if weights.iter().any(|weight| *weight == 0 || *weight > MAX_WEIGHT) {
        return Err(wrong(format!("`weight` must be from 1 to {MAX_WEIGHT}")));
    }
    let common = weights.iter().copied().fold(0, gcd).max(1);
    let total: u32 = weights.iter().map(|weight| weight / common).sum();
    if weights.len() > usize::from(u16::MAX) || total as usize > MAX_TURNS {
        return Err(wrong(format!(
            "too many keys, or weights too fine: they must add up to at most {MAX_TURNS}"
        )));
    }
    let mut credit: Vec<i64> = vec![0; weights.len()];
    let mut round = Vec::with_capacity(total as usize);
    for _ in 0..total {
        let mut best = 0;
        for (index, weight) in weights.iter().enumerate() {
            credit[index] += i64::from(weight / common);
            if credit[index] > credit[best] {
                best = index;
            }
        }
        credit[best] -= i64::from(total);
        round.push(u16::try_from(best).unwrap_or(0));
    }
    Ok(round)
}

fn gcd(left: u32, right: u32) -> u32 {
    if right == 0 {
        left
    } else {
        gcd(right, left % right)
    }
}

fn carry(carrier: &Carrier, key: &Secret) -> Result<Carried, ConfigError> {
    if key.expose().trim().is_empty() {
        return Err(ConfigError::new("auth.api_key", "is empty"));
    }
    Ok(match carrier {
        Carrier::Header(_, prefix) => Carried::Header(sensitive(prefix, key.expose()).ok_or_else(|| {
            ConfigError::new("auth.api_key", "holds characters that cannot be sent in a header")
        })?),
        Carrier::Query(name) => {
            let encode = |text| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
            Carried::Query(format!("{}={}", encode(name), encode(key.expose())).into())
        }
    })
}

/// A header value that is not printed, not even by debug output, and not indexed by HTTP/2's compression.
pub(super) fn sensitive(prefix: &str, secret: &str) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_str(&[prefix, secret].concat()).ok()?;
    value.set_sensitive(true);
    Some(value)
}

/// The target with the parameter in place of any of the same name.
fn with_parameter(uri: &Uri, pair: &str) -> Result<Uri, CredentialError> {
    let name = pair.split('=').next().unwrap_or(pair);
    let others = uri.query().unwrap_or_default().split('&');
    let others = others.filter(|part| !part.is_empty() && part.split('=').next() != Some(name));
    let query: Vec<&str> = others.chain([pair]).collect();
    let mut parts = uri.clone().into_parts();
    let target = format!("{}?{}", uri.path(), query.join("&"));
    let unsendable = || CredentialError::invalid("the API key cannot be put into the request's query");
    parts.path_and_query = Some(target.try_into().map_err(|_| unsendable())?);
    Uri::from_parts(parts).map_err(|_| unsendable())
}

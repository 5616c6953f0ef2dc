//! What a client wants of the cache: `x-pointsman-cache-control`.
//!
//! Only our own header: `cache-control` means the caches of HTTP, and clients send it unasked.

use std::time::Duration;

/// A client's wishes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Controls {
    /// Do not answer from the cache.
    pub no_cache: bool,
    /// Do not remember the answer.
    pub no_store: bool,
    /// Answer only from the cache.
    pub only_if_cached: bool,
    /// Nothing older than this.
    pub max_age: Option<Duration>,
    /// Remember no longer than this.
    pub ttl: Option<Duration>,
    /// What the client calls the answer, to have it deleted by (`x-pointsman-cache-tags`).
    pub tags: Vec<String>,
}

/// A wish that makes no sense.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "x-pointsman-cache-control: {0:?} is not understood; use no-cache, no-store, only-if-cached, max-age=SECONDS or ttl=SECONDS"
)]
pub struct ControlError(pub String);

impl Controls {
    /// Reads the wishes from the header's values.
    ///
    /// # Errors
    /// When one of them is unknown.
    pub fn parse<'a>(values: impl Iterator<Item = &'a str>) -> Result<Self, ControlError> {
        let mut controls = Self::default();
        for directive in values.flat_map(|value| value.split(',')).map(str::trim) {
            if !directive.is_empty() && !controls.read(directive) {
                return Err(ControlError(directive.chars().take(60).collect()));
            }
        }
        Ok(controls)
    }

    /// Whether an answer of this age may be given.
    #[must_use]
    pub fn allow(&self, age: Duration) -> bool {
        self.max_age.is_none_or(|most| age <= most)
    }

    fn read(&mut self, directive: &str) -> bool {
        let (name, value) = directive
            .split_once('=')
            .map_or((directive, None), |(name, value)| (name.trim(), Some(value)));
        let seconds = || {
            value?
                .trim()
                .trim_matches('"')
                .parse()
                .ok()
                .map(Duration::from_secs)
        };
        match (name.to_ascii_lowercase().as_str(), value.is_some()) {
            ("no-cache", false) => self.no_cache = true,
            ("no-store", false) => self.no_store = true,
            ("only-if-cached", false) => self.only_if_cached = true,
            ("max-age", true) => return seconds().inspect(|age| self.max_age = Some(*age)).is_some(),
            ("ttl", true) => return seconds().inspect(|ttl| self.ttl = Some(*ttl)).is_some(),
            _ => return false,
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wishes_are_understood() {
        let read = |value| Controls::parse(std::iter::once(value));
        let controls = read(" No-Store, max-age = 60 ,ttl=\"5\"").unwrap();
        assert!(controls.no_store && !controls.no_cache);
        assert_eq!(
            (controls.max_age, controls.ttl),
            (Some(Duration::from_secs(60)), Some(Duration::from_secs(5)))
        );
        assert!(controls.allow(Duration::from_secs(60)) && !controls.allow(Duration::from_secs(61)));
        for nonsense in ["max-age=soon", "nostore", "no-cache=1", "ttl", "max-age=-1"] {
            assert!(read(nonsense).is_err(), "{nonsense}");
        }
        let both = Controls::parse(["no-cache", "", "only-if-cached,"].into_iter()).unwrap();
        assert!(both.no_cache && both.only_if_cached);
    }
}

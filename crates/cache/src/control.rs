//! What a client wants of the cache: `x-pointsman-cache-control`, and `cache-control` as RFC 9111 has it.

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
}

/// A wish that makes no sense.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "x-pointsman-cache-control: {0:?} is not understood; use no-cache, no-store, only-if-cached, max-age=SECONDS or ttl=SECONDS"
)]
pub struct ControlError(pub String);

impl Controls {
    /// Reads the wishes from headers. Ours is strict; the standard one may hold directives for others.
    ///
    /// # Errors
    /// When our own header holds something unknown.
    pub fn parse<'a>(headers: impl Iterator<Item = (&'a str, &'a str)>) -> Result<Self, ControlError> {
        let mut controls = Self::default();
        for (name, value) in headers {
            let strict = name.eq_ignore_ascii_case("x-pointsman-cache-control");
            if !strict && !name.eq_ignore_ascii_case("cache-control") {
                continue;
            }
            for directive in value
                .split(',')
                .map(str::trim)
                .filter(|directive| !directive.is_empty())
            {
                if !controls.read(directive) && strict {
                    return Err(ControlError(directive.chars().take(60).collect()));
                }
            }
        }
        Ok(controls)
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
        let read = |name, value| Controls::parse(std::iter::once((name, value)));
        let controls = read("X-Pointsman-Cache-Control", " No-Store, max-age = 60 ,ttl=\"5\"").unwrap();
        assert!(controls.no_store && !controls.no_cache);
        assert_eq!(
            (controls.max_age, controls.ttl),
            (Some(Duration::from_secs(60)), Some(Duration::from_secs(5)))
        );
        assert!(
            read("cache-control", "no-cache, must-understand, max-stale=3")
                .unwrap()
                .no_cache
        );
        assert!(read("x-pointsman-cache-control", "max-age=soon").is_err());
        assert!(read("x-pointsman-cache-control", "nostore").is_err());
        assert_eq!(read("accept", "no-cache").unwrap(), Controls::default());
    }
}

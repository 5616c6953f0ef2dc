//! What an entry begins with where it lies as a file or an object: a line of JSON, with all that is known of it without
//! reading it, and a checksum of what follows.

use std::io;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use super::{Described, NewEntry};
use crate::labels::Labels;

/// The version of what follows.
const VERSION: u32 = 1;
/// Most bytes of a head: labels are few and short.
pub const LONGEST_HEAD: usize = 64 * 1024;

/// What an entry begins with.
#[derive(Debug, Serialize, Deserialize)]
pub struct Head {
    version: u32,
    /// Unix milliseconds.
    pub expires: u64,
    /// Bytes of the value.
    pub bytes: u64,
    checksum: u32,
    pub labels: Labels,
}

impl Head {
    /// The head of an entry that is put at `now`, in Unix milliseconds.
    pub fn of(entry: &NewEntry, now: u64) -> Self {
        let ttl = u64::try_from(entry.ttl.as_millis()).unwrap_or(u64::MAX);
        Self {
            version: VERSION,
            expires: now.saturating_add(ttl),
            bytes: entry.value.len() as u64,
            checksum: crc32fast::hash(&entry.value),
            labels: entry.labels.clone(),
        }
    }

    /// The line.
    pub fn written(&self) -> io::Result<Vec<u8>> {
        let mut line = serde_json::to_vec(self)?;
        line.push(b'\n');
        Ok(line)
    }

    /// The head of a line; none where another version has written it, or nobody.
    pub fn read(line: &[u8]) -> Option<Self> {
        let head: Self = serde_json::from_slice(line).ok()?;
        (head.version == VERSION).then_some(head)
    }

    /// Whether a value is what was put.
    pub fn fits(&self, value: &[u8]) -> bool {
        value.len() as u64 == self.bytes && crc32fast::hash(value) == self.checksum
    }

    /// Whether its time is over.
    pub fn is_over(&self) -> bool {
        self.expires <= now()
    }

    /// What it says of its entry.
    pub fn described(self) -> Described {
        Described {
            bytes: self.bytes,
            left: Duration::from_millis(self.expires.saturating_sub(now())),
            labels: self.labels,
        }
    }
}

/// Unix milliseconds.
pub fn now() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(now.as_millis()).unwrap_or(u64::MAX)
}

//! Counters that several processes share: what each may use of them, agreed upon in one exchange.
//!
//! A counter is a number of places, an amount in any minute or in any time of another length, or a budget. Each replica has a *ceiling* of its own for
//! it: what it may use without asking. The sum of what is used and of what replicas may still use never passes the
//! limit, so that none of them needs to ask for every request, and all of them together never pass it. Everything that
//! is told is absolute (what was used in all, up to where), so that what is told twice counts once.

mod link;
mod redis;
mod redis_sessions;
pub mod sessions;

use std::fmt;
use std::time::Duration;

use futures_util::future::BoxFuture;

pub use self::redis::{Patience, RedisCounters};
pub use self::redis_sessions::RedisSessions;
pub use self::sessions::SharedSessions;

/// What a counter counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CounterKind {
    /// Places: taken, and free again.
    Places,
    /// An amount in any sixty seconds.
    Minute,
    /// Money, requests or tokens in any time of this length, wherever it begins: settled when they are told, and never
    /// corrected.
    Sliding {
        /// Milliseconds.
        length: i64,
        /// How finely it is counted, milliseconds.
        width: i64,
    },
    /// Money in a window; what was used stays used.
    Budget,
}

/// What a replica tells of a counter, and what it wants of it. Amounts are absolute: `used` is everything that this
/// process has used, a ceiling is up to where `used` may grow.
#[derive(Debug, Clone)]
pub struct Ask {
    /// Which counter. What stands between `{` and `}` decides on which server of a cluster it is.
    pub key: String,
    /// What it counts.
    pub kind: CounterKind,
    /// What all replicas together may use; nothing bounds it when absent.
    pub limit: Option<i64>,
    /// Used by this process.
    pub used: i64,
    /// The `used` that was answered last.
    pub acknowledged: i64,
    /// Used in the last minute: counts where the server does not know the counter any more.
    pub recent: i64,
    /// The ceiling that this process goes by until it is answered.
    pub hold: i64,
    /// The ceiling that it needs; refused where that is too much. Not above `hold` where it only tells.
    pub need: i64,
    /// The ceiling with which all would be served that ask at the moment.
    pub asked: i64,
    /// The ceiling with which it would not have to ask again soon. Below `used` it gives everything back; at
    /// [`ENDS`](Self::ENDS) because its process ends.
    pub want: i64,
    /// The version of the last answer.
    pub version: u64,
    /// Corrections of earlier seconds, Unix seconds of the server and amounts; counted once for each number.
    pub corrections: (u64, Vec<(i64, i64)>),
    /// What the ledger knows of a budget, replica by replica; for a counter that the server does not know. Of a sliding one
    /// bucket by bucket; or under no name what an earlier process of this replica has used since the server heard of it.
    pub ledger: Option<Vec<(String, i64)>>,
    /// How long the server remembers the counter when nobody tells of it.
    pub lifetime: Duration,
}

impl Ask {
    /// What a process wants that ends and has told everything: it is forgotten.
    pub const ENDS: i64 = i64::MIN;
}

/// What came of one counter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// There is room, or nothing was needed.
    Granted,
    /// There is none.
    Refused,
    /// The server does not know the budget, or what an earlier process has used of it: tell what the ledger knows.
    Unknown,
    /// The server has lost the counter, and others may still have to tell what they hold.
    Settling,
}

/// The answer for one counter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Told {
    /// What came of it.
    pub verdict: Verdict,
    /// Up to where this process may use it.
    pub ceiling: i64,
    /// Grows with each answer: an older one is not to be heeded.
    pub version: u64,
    /// Used by all, this process included.
    pub total: i64,
    /// Not used, but held for use by all, this process included.
    pub held: i64,
    /// How much a replica may hold in advance, as little as is left.
    pub fair: i64,
    /// Of what was refused: seconds until there is room. Of what is unknown: since when the ledger is to tell what this
    /// replica has used, Unix milliseconds; all of it where it is 0.
    pub wait: i64,
    /// Used by this replica, earlier processes of it included.
    pub own: i64,
}

/// All answers of an exchange.
#[derive(Debug, Clone, Default)]
pub struct Answers {
    /// The server's time, Unix milliseconds.
    pub now: i64,
    /// One for each ask, in their order.
    pub told: Vec<Told>,
}

/// Why an exchange came to nothing.
#[derive(Debug, thiserror::Error)]
pub enum SharedError {
    /// The URL.
    #[error("the URL of the shared counters is none: {0}")]
    Url(&'static str),
    /// It took too long.
    #[error("no answer within {0:?}")]
    Slow(Duration),
    /// The server or the way to it. Its words hold no password: those are not part of commands.
    #[error("{0}")]
    Server(String),
}

/// Counters that several processes share.
pub trait SharedCounters: Send + Sync + fmt::Debug {
    /// Tells and asks, all in one: where one of the asks has no room, none is given anything.
    fn exchange<'a>(
        &'a self,
        asks: &'a [Ask],
        within: Duration,
    ) -> BoxFuture<'a, Result<Answers, SharedError>>;
}

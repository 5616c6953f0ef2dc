//! What decisions leave behind: which request went where, how sessions stand, and decisions as they were taken.

use serde::{Deserialize, Serialize};

use crate::store::Within;

/// A request that a decision sent to a model, to be judged by its id.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RoutedRequest {
    /// Its id.
    pub request: String,
    /// When it was settled, Unix milliseconds.
    pub at: i64,
    /// Whose it is: nobody else may judge it.
    pub tenant: String,
    /// The decision.
    pub scope: String,
    /// The model that answered.
    pub model: String,
    /// What it was about.
    pub domain: Option<String>,
    /// The decision's other models.
    pub others: Vec<String>,
}

/// What became of a judgement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Judged {
    /// It is the first of this request.
    First(RoutedRequest),
    /// The request was judged before.
    Again,
    /// There is no such request of this tenant, or it is too long ago.
    Unknown,
}

/// The last turn of a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionTurn {
    /// The session, as a hash of whose it is and of what it is called.
    pub id: String,
    /// When its answer was complete, Unix milliseconds.
    pub at: i64,
    /// The turn, as JSON.
    pub turn: String,
}

/// A decision as it was taken.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DecisionRow {
    /// Its place among all that are recorded; given by the database.
    #[serde(default)]
    pub number: i64,
    /// When the request was settled, Unix milliseconds.
    pub at: i64,
    /// The request's id.
    pub request: String,
    /// Whose key asked.
    pub key: Option<String>,
    /// The key's team.
    pub team: Option<String>,
    /// The key's user.
    pub user: Option<String>,
    /// The decision.
    pub decision: String,
    /// The model that was asked last.
    pub model: Option<String>,
    /// How the request ended.
    pub outcome: String,
    /// What it went by and what came of it, as JSON.
    pub record: String,
}

/// Which recorded decisions.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DecisionFilter {
    /// Of this decision.
    pub decision: Option<String>,
    /// For this model.
    pub model: Option<String>,
    /// Of this key.
    pub key: Option<String>,
    /// Of this team.
    pub team: Option<String>,
    /// Of this user.
    pub user: Option<String>,
    /// Of this request.
    pub request: Option<String>,
    /// Whose request ended in this way.
    pub outcome: Option<String>,
    /// From this time on, Unix milliseconds.
    pub since: i64,
    /// Before this time.
    pub until: Option<i64>,
    /// Only those of teams that belong to these.
    pub within: Option<Within>,
    /// Only what comes after the one of this number.
    pub after: Option<i64>,
    /// The oldest first, instead of the newest.
    pub oldest_first: bool,
    /// At most so many.
    pub limit: u32,
}

/// What is written down of several requests at once.
#[derive(Debug, Clone, Default)]
pub struct RoutedBatch {
    /// Requests that may be judged.
    pub requests: Vec<RoutedRequest>,
    /// Turns of sessions; of one session the latest stays.
    pub turns: Vec<SessionTurn>,
    /// Decisions, each with how many of its name are kept at most.
    pub decisions: Vec<(DecisionRow, u32)>,
}

impl RoutedBatch {
    /// Whether there is nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.requests.is_empty() && self.turns.is_empty() && self.decisions.is_empty()
    }
}

//! What is told.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Serialize, Serializer};

/// What it is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Somebody has spent more than a soft budget says.
    SoftBudget,
    /// Somebody will have spent a budget before its window ends, if they go on as they do.
    BudgetForecast,
    /// A key will end soon.
    KeyExpiry,
    /// No server of a provider is well.
    ProviderDown,
    /// A provider fails more often than it should.
    ErrorRate,
    /// A model of a provider takes longer than it used to.
    Latency,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::SoftBudget,
        Self::BudgetForecast,
        Self::KeyExpiry,
        Self::ProviderDown,
        Self::ErrorRate,
        Self::Latency,
    ];

    /// In one word, as the configuration has it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::SoftBudget => "soft_budget",
            Self::BudgetForecast => "budget_forecast",
            Self::KeyExpiry => "key_expiry",
            Self::ProviderDown => "provider_down",
            Self::ErrorRate => "error_rate",
            Self::Latency => "latency",
        }
    }

    /// Whether it is told when it is over: what goes wrong is; a window that begins anew, or a key that has ended, is
    /// nothing that anybody would wait for.
    #[must_use]
    pub fn ends(self) -> bool {
        matches!(self, Self::ProviderDown | Self::ErrorRate | Self::Latency)
    }
}

/// Whether it has begun or is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// It holds.
    Firing,
    /// It does not hold any more.
    Resolved,
}

/// Something that holds now. Nothing in it may be a prompt or a secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Condition {
    /// What it is about.
    pub kind: Kind,
    /// Of whom or what, such as `team/research`: the same for as long as it is the same.
    pub subject: String,
    /// Which time that it holds, where it can hold again while the last time is remembered: another is told anew.
    pub episode: String,
    /// In a sentence.
    pub text: String,
    /// For programs.
    pub facts: BTreeMap<&'static str, String>,
}

/// What is told of a condition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Alert {
    /// What it is about.
    pub kind: Kind,
    /// Whether it has begun or is over.
    pub state: State,
    /// Of whom or what.
    pub subject: String,
    /// In a sentence.
    pub text: String,
    /// For programs.
    pub facts: BTreeMap<&'static str, String>,
    /// When it was found, RFC 3339.
    #[serde(serialize_with = "as_text")]
    pub at: Timestamp,
    /// Which time that it holds.
    #[serde(skip)]
    pub episode: String,
}

fn as_text<S: Serializer>(at: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(at)
}

impl Alert {
    /// The same for all that tell of the same thing, so that one of many replicas tells it.
    #[must_use]
    pub fn name(&self) -> String {
        format!("{}:{}:{}", self.kind.as_str(), self.subject, self.episode)
    }

    /// In one line, for where there is no more room.
    #[must_use]
    pub fn title(&self) -> String {
        let state = match self.state {
            State::Firing => "",
            State::Resolved => "resolved: ",
        };
        format!("[pointsman] {state}{}: {}", self.kind.as_str(), self.subject)
    }
}

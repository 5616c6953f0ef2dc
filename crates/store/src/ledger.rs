//! The ledger: what each request used and cost.

use pointsman_catalog::Money;
use pointsman_wire::form::Usage;
use serde::{Deserialize, Serialize};

use crate::id::{KeyId, OrganizationId, ProjectId, RequestId, TeamId, UserId};

/// A settled request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LedgerEntry {
    /// Unique: an entry that comes twice is written once.
    pub id: RequestId,
    /// When it was settled, Unix milliseconds.
    pub at: i64,
    /// Whose key; none for anonymous callers.
    pub key: Option<KeyId>,
    /// The key's team.
    pub team: Option<TeamId>,
    /// The key's user.
    pub user: Option<UserId>,
    /// Path of the surface.
    pub surface: String,
    /// The name the client asked for.
    pub model_requested: String,
    /// Who was asked last.
    pub provider: Option<String>,
    /// The provider's name of the model.
    pub model: Option<String>,
    /// The routing decision.
    pub decision: Option<String>,
    /// How it ended.
    pub outcome: Outcome,
    /// Tokens.
    pub usage: Usage,
    /// We counted, because the provider did not say.
    pub usage_estimated: bool,
    /// Money.
    pub cost: Money,
    /// How many times a provider was asked.
    pub attempts: u16,
    /// Whether the answer was streamed.
    pub streamed: bool,
    /// The status the client saw.
    pub status: u16,
    /// From request to settlement.
    pub latency_us: u64,
    /// From request to the first content.
    pub ttft_us: Option<u64>,
    /// `miss`, `exact`, `semantic` or `bypass`.
    pub cache: String,
    /// The key's organization.
    #[serde(default)]
    pub organization: Option<OrganizationId>,
    /// The key's project.
    #[serde(default)]
    pub project: Option<ProjectId>,
    /// What the answer would have cost, had it not been remembered.
    #[serde(default)]
    pub saved: Money,
    /// The end customer that it named.
    #[serde(default)]
    pub customer: Option<String>,
    /// The agent that it said it comes from.
    #[serde(default)]
    pub agent: Option<String>,
    /// The tags that it bore, each once.
    #[serde(default)]
    pub tags: Vec<String>,
}

/// How a request ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The client has its answer.
    Complete,
    /// The answer came from the cache.
    Cached,
    /// The client went away.
    Cancelled,
    /// A guardrail or an access rule held it back.
    Blocked,
    /// The request itself was at fault.
    Refused,
    /// No provider could answer, or one broke off.
    ProviderFailed,
}

impl Outcome {
    /// In one word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Complete => "complete",
            Self::Cached => "cached",
            Self::Cancelled => "cancelled",
            Self::Blocked => "blocked",
            Self::Refused => "refused",
            Self::ProviderFailed => "provider_failed",
        }
    }
}

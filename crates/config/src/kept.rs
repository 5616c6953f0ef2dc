//! The blocks `files` and `batches`: what clients may leave here, and how it is worked off.

use pointsman_upstream::HumanDuration;
use schemars::JsonSchema;
use serde::Deserialize;

/// Files that clients keep here.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct FilesConfig {
    /// Most bytes of a file.
    #[schemars(range(min = 1))]
    pub max_size: u64,
    /// Most bytes of all files of a team, or of a key without one: uploads past that are refused. Results of batches
    /// count, but are never refused.
    #[schemars(range(min = 1))]
    pub max_total: u64,
    /// How long a file is kept when its client does not say (`expires_after`); for ever when absent.
    pub expires_after: Option<HumanDuration>,
}

impl Default for FilesConfig {
    fn default() -> Self {
        Self {
            max_size: 512 * 1024 * 1024,
            max_total: 10 * 1024 * 1024 * 1024,
            expires_after: None,
        }
    }
}

/// Batches: many requests in one file, answered within a day.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct BatchesConfig {
    /// Who runs them.
    pub mode: BatchMode,
    /// Lines sent at once, all batches together, while nobody else waits for an answer.
    #[schemars(range(min = 1, max = 4096))]
    pub concurrency: usize,
    /// Lines sent at once while other requests are in flight; 0 stops all batches for so long.
    #[schemars(range(max = 4096))]
    pub busy_concurrency: usize,
    /// Time after which no line of a batch is begun.
    pub window: HumanDuration,
    /// Most lines of a batch.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub max_lines: usize,
    /// Batches of a team, or of a key without one, that have not ended.
    #[schemars(range(min = 1))]
    pub max_open: u64,
    /// How long results are kept when the client does not say (`output_expires_after`).
    pub keep: HumanDuration,
}

impl Default for BatchesConfig {
    fn default() -> Self {
        Self {
            mode: BatchMode::Own,
            concurrency: 16,
            busy_concurrency: 2,
            window: HumanDuration::from_secs(24 * 3600),
            max_lines: 100_000,
            max_open: 100,
            keep: HumanDuration::from_secs(30 * 24 * 3600),
        }
    }
}

/// Who runs batches.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum BatchMode {
    /// The gateway: line by line, with any model, at the standard price.
    #[default]
    Own,
    /// The provider, in its own batches and at their price, where all lines go to one target whose provider has
    /// batches; else the gateway.
    Auto,
}

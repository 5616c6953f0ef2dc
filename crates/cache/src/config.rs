//! The `cache` block of the configuration.

use std::borrow::Cow;

use pointsman_semantics::similar::Point;
use pointsman_upstream::config::Secret;
use pointsman_upstream::{AuthConfig, HumanDuration};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::backend;

/// Whether answers are remembered. Nothing is, unless `exact` is there.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct CacheConfig {
    /// Answers to requests that are the same to the letter.
    pub exact: Option<ExactConfig>,
    /// Who may see whose answers.
    pub scope: Scope,
    /// Answers to requests that ask the same in other words; looked for where `exact` has none.
    pub semantic: Option<SemanticConfig>,
    /// Where answers are kept beside this process: they outlast it, and replicas share them.
    pub backend: Option<BackendConfig>,
}

/// Where answers are kept beside this process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BackendConfig {
    /// `redis://[USER:PASSWORD@]HOST[:PORT][/DATABASE]` or `rediss://` for TLS (Redis, Valkey);
    /// `postgres://USER:PASSWORD@HOST/NAME`, as `stores.database` has it; `qdrant://HOST[:PORT][/COLLECTION]` or `qdrants://`
    /// for TLS; `s3://BUCKET/PREFIX?region=REGION`, `gs://BUCKET/PREFIX` or `az://ACCOUNT/CONTAINER/PREFIX`, each with
    /// `endpoint=URL` where it is elsewhere; or `file://FOLDER`, for one machine.
    #[serde(skip_serializing)]
    pub url: Secret,
    /// Who asks, as providers have it: for Qdrant its `api_key`; for buckets the usual credentials of their cloud when absent.
    #[serde(default, skip_serializing)]
    pub auth: AuthConfig,
    /// Questions in other words are found there, rather than in the memory of each replica: Redis with vector sets (8.0) or the
    /// search module, PostgreSQL with pgvector. Qdrant always finds them.
    #[serde(default)]
    pub search: bool,
    /// How long a request waits for it, at most.
    #[serde(default = "timeout")]
    pub timeout: HumanDuration,
    /// Most bytes of all answers in a folder or a database; Redis has a bound of its own (`maxmemory`), and buckets and
    /// Qdrant have none.
    #[serde(default = "max_bytes")]
    pub max_bytes: u64,
}

fn timeout() -> HumanDuration {
    HumanDuration::from_millis(50)
}

fn max_bytes() -> u64 {
    4 * 1024 * 1024 * 1024
}

/// The exact cache.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ExactConfig {
    /// How long an answer is remembered, such as `1h`, `30m` or `45s`.
    pub ttl: HumanDuration,
    /// Most bytes of all answers together.
    pub max_bytes: usize,
    /// Most bytes of one answer.
    pub max_entry_bytes: usize,
    /// How long a request waits for the answer to one that is the same and came before it; `0s`: each is sent.
    pub wait: HumanDuration,
    /// How long past its `ttl` an answer is still given, while it is asked for anew; `0s`: never.
    pub stale: HumanDuration,
    /// How long it is remembered that a provider has refused a request as wrong; `0s`: not at all.
    pub errors: HumanDuration,
}

impl Default for ExactConfig {
    fn default() -> Self {
        Self {
            ttl: HumanDuration::from_secs(3_600),
            max_bytes: 256 * 1024 * 1024,
            max_entry_bytes: 4 * 1024 * 1024,
            wait: HumanDuration::from_secs(30),
            stale: HumanDuration::from_secs(0),
            errors: HumanDuration::from_secs(0),
        }
    }
}

/// The semantic cache.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct SemanticConfig {
    /// How long an answer is remembered.
    pub ttl: HumanDuration,
    /// How sure it must be that both ask the same.
    pub operating_point: OperatingPoint,
    /// Only count what would have been answered.
    pub shadow: bool,
    /// Most bytes of all questions and answers together.
    pub max_bytes: usize,
    /// Most bytes of a question; longer ones are not looked up.
    pub longest: usize,
    /// How long a request waits for the vector of its question.
    pub deadline: HumanDuration,
}

impl Default for SemanticConfig {
    fn default() -> Self {
        Self {
            ttl: HumanDuration::from_secs(3_600),
            operating_point: OperatingPoint::default(),
            shadow: false,
            max_bytes: 128 * 1024 * 1024,
            longest: 2_000,
            deadline: HumanDuration::from_millis(100),
        }
    }
}

/// How sure it must be that two questions are the same.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum OperatingPoint {
    /// About one near miss in two hundred passes.
    #[default]
    Precise,
    /// About one near miss in a hundred passes; more is answered.
    Balanced,
}

impl From<OperatingPoint> for Point {
    fn from(point: OperatingPoint) -> Self {
        match point {
            OperatingPoint::Precise => Self::Precise,
            OperatingPoint::Balanced => Self::Balanced,
        }
    }
}

/// Who may see whose answers. What a key does not have (a team, a user) narrows the scope to the key.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// Keys of the same user. End users that requests name are kept apart.
    User,
    /// The key alone. End users that requests name are kept apart.
    #[default]
    Key,
    /// Keys of the same team.
    Team,
    /// Keys of the same organization; of the same team where a key has no organization.
    Organization,
    /// Everybody.
    Shared,
}

impl Scope {
    /// Whether several people may see the same answer.
    #[must_use]
    pub fn is_of_many(self) -> bool {
        matches!(self, Self::Team | Self::Organization | Self::Shared)
    }
}

impl CacheConfig {
    /// What does not fit together, each with its place in the block.
    #[must_use]
    pub fn problems(&self) -> Vec<(&'static str, Cow<'static, str>)> {
        let mut problems = self
            .backend
            .as_ref()
            .map_or_else(Vec::new, BackendConfig::problems);
        if self.backend.is_some() && self.exact.is_none() {
            problems.push((
                "backend",
                "keeps what `exact` remembers: add `exact: { ttl: 1h }` beside it".into(),
            ));
        }
        let none = |duration: HumanDuration| duration.get().is_zero();
        if self.exact.as_ref().is_some_and(|exact| none(exact.ttl)) {
            problems.push((
                "exact.ttl",
                "remembers nothing; leave `exact` out to switch it off".into(),
            ));
        }
        let Some(semantic) = &self.semantic else {
            return problems;
        };
        if self.exact.is_none() {
            problems.push((
                "semantic",
                "is looked at only where `exact` has no answer: add `exact: { ttl: 1h }` beside it".into(),
            ));
        }
        if none(semantic.ttl) {
            problems.push((
                "semantic.ttl",
                "remembers nothing; leave `semantic` out to switch it off".into(),
            ));
        }
        if none(semantic.deadline) {
            problems.push((
                "semantic.deadline",
                "leaves no time to understand a question; write it like 100ms".into(),
            ));
        }
        problems
    }
}

impl BackendConfig {
    fn problems(&self) -> Vec<(&'static str, Cow<'static, str>)> {
        let mut problems = Vec::new();
        if let Err(error) = backend::check(self.url.expose(), &self.auth) {
            problems.push(("backend.url", error.to_string().into()));
        }
        if self.search && !backend::can_search(self.url.expose()) {
            problems.push((
                "backend.search",
                "needs redis://… with vector sets or the search module, postgres://… with pgvector, or qdrant://…; elsewhere each replica finds questions in its own memory"
                    .into(),
            ));
        }
        if self.timeout.get().is_zero() {
            problems.push((
                "backend.timeout",
                "leaves no time to answer; write it like 50ms".into(),
            ));
        }
        if self.max_bytes == 0 {
            problems.push((
                "backend.max_bytes",
                "keeps nothing; leave `backend` out to switch it off".into(),
            ));
        }
        problems
    }
}

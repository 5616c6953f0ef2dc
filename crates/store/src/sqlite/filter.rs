//! What is listed: conditions as text that is written here alone, and what they are compared with as parameters.

use rusqlite::types::{ToSql, Value};

use crate::id::{OrganizationId, PlanId, ProjectId, TeamId, UserId};
use crate::key::hash_key;

/// Which stretch of a list of keys or holders, in the order in which they were made.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Listing {
    /// Only what comes after this id.
    pub after: Option<String>,
    /// So many are left out.
    pub skip: u32,
    /// At most so many.
    pub limit: u32,
    /// The newest first.
    pub newest_first: bool,
}

/// Which keys.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KeyFilter {
    /// Of this organization.
    pub organization: Option<OrganizationId>,
    /// Of this team.
    pub team: Option<TeamId>,
    /// Of this project.
    pub project: Option<ProjectId>,
    /// Of this user.
    pub user: Option<UserId>,
    /// Of this plan.
    pub plan: Option<PlanId>,
    /// Of this name.
    pub name: Option<String>,
    /// With this SHA-256.
    pub hash: Option<[u8; 32]>,
    /// In this state.
    pub status: Option<KeyStatus>,
}

/// In which state a key is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyStatus {
    /// It may be used.
    Active,
    /// Its time is over.
    Expired,
    /// It is refused until it is enabled.
    Disabled,
    /// It is refused for good.
    Revoked,
}

/// Which holders.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HolderFilter {
    /// Of this organization.
    pub organization: Option<OrganizationId>,
    /// Of this team.
    pub team: Option<TeamId>,
    /// Of this name.
    pub name: Option<String>,
    /// Deleted ones, too.
    pub deleted: bool,
}

/// Conditions, and their parameters in the same order.
#[derive(Debug, Default)]
pub(super) struct Conditions {
    sql: String,
    values: Vec<Value>,
}

impl Conditions {
    /// Demands `condition`, in which each `?` stands for one of `values`.
    pub(super) fn and(&mut self, condition: &'static str, values: impl IntoIterator<Item = Value>) {
        self.sql
            .push_str(if self.sql.is_empty() { " WHERE " } else { " AND " });
        self.sql.push_str(condition);
        self.values.extend(values);
    }

    /// Demands `condition` of a text, if there is one.
    pub(super) fn text(&mut self, condition: &'static str, text: Option<&str>) {
        if let Some(text) = text {
            self.and(condition, [Value::Text(text.to_owned())]);
        }
    }

    /// The conditions as SQL.
    pub(super) fn sql(&self) -> &str {
        &self.sql
    }

    /// Their parameters, and more of them.
    pub(super) fn parameters<'a>(&'a self, more: &[&'a dyn ToSql]) -> Vec<&'a dyn ToSql> {
        let own = self.values.iter().map(|value| value as &dyn ToSql);
        own.chain(more.iter().copied()).collect()
    }
}

impl KeyFilter {
    /// The key with this secret.
    #[must_use]
    pub fn secret(secret: &str) -> Self {
        Self {
            hash: Some(hash_key(secret)),
            ..Self::default()
        }
    }

    pub(super) fn conditions(&self, now: i64) -> Conditions {
        let mut all = Conditions::default();
        all.text(
            "organization = ?",
            self.organization.as_ref().map(OrganizationId::as_str),
        );
        all.text("team = ?", self.team.as_ref().map(TeamId::as_str));
        all.text("project = ?", self.project.as_ref().map(ProjectId::as_str));
        all.text("user = ?", self.user.as_ref().map(UserId::as_str));
        all.text("plan = ?", self.plan.as_ref().map(PlanId::as_str));
        all.text("name = ?", self.name.as_deref());
        if let Some(hash) = self.hash {
            all.and("hash = ?", [Value::Blob(hash.to_vec())]);
        }
        let (status, values) = match self.status {
            None => return all,
            Some(KeyStatus::Revoked) => ("revoked_at IS NOT NULL", vec![]),
            Some(KeyStatus::Disabled) => ("revoked_at IS NULL AND disabled_at IS NOT NULL", vec![]),
            Some(KeyStatus::Expired) => (
                "revoked_at IS NULL AND grant_json ->> '$.expires_at' <= ?",
                vec![Value::Integer(now)],
            ),
            Some(KeyStatus::Active) => (
                "revoked_at IS NULL AND disabled_at IS NULL
                 AND (grant_json ->> '$.expires_at' IS NULL OR grant_json ->> '$.expires_at' > ?)",
                vec![Value::Integer(now)],
            ),
        };
        all.and(status, values);
        all
    }
}

impl HolderFilter {
    pub(super) fn conditions(&self, kind: &'static str) -> Conditions {
        let mut all = Conditions::default();
        all.text("kind = ?", Some(kind));
        all.text(
            "organization = ?",
            self.organization.as_ref().map(OrganizationId::as_str),
        );
        all.text("team = ?", self.team.as_ref().map(TeamId::as_str));
        all.text("name = ?", self.name.as_deref());
        if !self.deleted {
            all.and("deleted_at IS NULL", []);
        }
        all
    }
}

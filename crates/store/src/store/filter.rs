//! What is listed: conditions as text that is written here alone, and what they are compared with as parameters.

use super::{Dialect, Value, Within};
use crate::holder::HolderKind;
use crate::id::{OrganizationId, PlanId, ProjectId, TeamId, UserId};
use crate::key::hash_key;

/// Rows of a list are counted up to here: a page must not take the time of a million.
pub(super) const MAX_COUNT: u32 = 100_000;

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

impl Listing {
    /// How the number of what comes after a row compares with that row's, and in which order.
    pub(super) fn direction(&self) -> (&'static str, &'static str) {
        if self.newest_first {
            ("<", "DESC")
        } else {
            (">", "ASC")
        }
    }

    /// The end of a statement that gives this stretch and, if there is more, one item of it.
    pub(super) fn bounds(&self, conditions: &mut Conditions) -> String {
        let limit = conditions.value(i64::from(self.limit) + 1);
        let skip = conditions.value(i64::from(self.skip));
        format!(" LIMIT {limit} OFFSET {skip}")
    }
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
    /// Only what belongs to these.
    pub within: Option<Within>,
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
    /// Only what belongs to these.
    pub within: Option<Within>,
}

/// Conditions, and their parameters in the same order.
#[derive(Debug, Default)]
pub(crate) struct Conditions {
    sql: String,
    values: Vec<Value>,
}

impl Conditions {
    /// Demands `condition`, in which each `?` stands for one of `values`.
    pub(crate) fn and(&mut self, condition: &str, values: impl IntoIterator<Item = Value>) {
        self.sql
            .push_str(if self.sql.is_empty() { " WHERE " } else { " AND " });
        let mut parts = condition.split('?');
        self.sql.push_str(parts.next().unwrap_or_default());
        for (part, value) in parts.zip(values) {
            let place = self.value(value);
            self.sql.push_str(&place);
            self.sql.push_str(part);
        }
    }

    /// Adds a value that is no condition's, and says what stands for it.
    pub(crate) fn value(&mut self, value: impl Into<Value>) -> String {
        self.values.push(value.into());
        format!("?{}", self.values.len())
    }

    /// Demands `condition` of a text, if there is one.
    pub(crate) fn text(&mut self, condition: &str, text: Option<&str>) {
        if let Some(text) = text {
            self.and(condition, [Value::Text(text.to_owned())]);
        }
    }

    /// The conditions as SQL; others may follow, whose values come after theirs.
    pub(crate) fn take(&mut self) -> String {
        std::mem::take(&mut self.sql)
    }

    /// The conditions as SQL.
    pub(crate) fn sql(&self) -> &str {
        &self.sql
    }

    /// What they are compared with.
    pub(crate) fn values(&self) -> &[Value] {
        &self.values
    }
}

/// A statement that counts rows, up to [`MAX_COUNT`].
pub(super) fn counted(table: &str, conditions: &Conditions) -> String {
    format!(
        "SELECT COUNT(*) FROM (SELECT 1 FROM {table}{} LIMIT {MAX_COUNT}) AS counted",
        conditions.sql()
    )
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

    pub(super) fn conditions(&self, now: i64, dialect: &Dialect) -> Conditions {
        let mut all = Conditions::default();
        all.text(
            "organization = ?",
            self.organization.as_ref().map(OrganizationId::as_str),
        );
        all.text("team = ?", self.team.as_ref().map(TeamId::as_str));
        all.text("project = ?", self.project.as_ref().map(ProjectId::as_str));
        all.text("\"user\" = ?", self.user.as_ref().map(UserId::as_str));
        all.text("plan = ?", self.plan.as_ref().map(PlanId::as_str));
        all.text("name = ?", self.name.as_deref());
        if let Some(hash) = self.hash {
            all.and("hash = ?", [Value::Blob(hash.to_vec())]);
        }
        if let Some(within) = &self.within {
            within.keys(&mut all, dialect);
        }
        let expires = dialect.key_expires;
        let (status, values) = match self.status {
            None => return all,
            Some(KeyStatus::Revoked) => ("revoked_at IS NOT NULL".to_owned(), vec![]),
            Some(KeyStatus::Disabled) => {
                let disabled = "revoked_at IS NULL AND disabled_at IS NOT NULL";
                (disabled.to_owned(), vec![])
            }
            Some(KeyStatus::Expired) => (
                format!("revoked_at IS NULL AND {expires} <= ?"),
                vec![Value::Integer(now)],
            ),
            Some(KeyStatus::Active) => (
                format!(
                    "revoked_at IS NULL AND disabled_at IS NULL AND ({expires} IS NULL OR {expires} > ?)"
                ),
                vec![Value::Integer(now)],
            ),
        };
        all.and(&status, values);
        all
    }
}

impl HolderFilter {
    pub(super) fn conditions(&self, kind: HolderKind, dialect: &Dialect) -> Conditions {
        let mut all = Conditions::default();
        all.text("kind = ?", Some(kind.as_str()));
        all.text(
            "organization = ?",
            self.organization.as_ref().map(OrganizationId::as_str),
        );
        all.text("team = ?", self.team.as_ref().map(TeamId::as_str));
        all.text("name = ?", self.name.as_deref());
        if let Some(within) = &self.within {
            within.holders(kind, &mut all, dialect);
        }
        if !self.deleted {
            all.and("deleted_at IS NULL", []);
        }
        all
    }
}

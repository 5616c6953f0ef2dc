//! The ledger as it is read: entry by entry, and summed up.

use pointsman_catalog::Money;
use pointsman_wire::form::Usage;
use rusqlite::types::Value;
use rusqlite::{Row, params};
use serde::Serialize;

use super::filter::Conditions;
use super::{Store, StoreError};
use crate::holder::HolderKind;
use crate::id::KeyId;
use crate::ledger::{LedgerEntry, Outcome};
use crate::page::Paged;

/// Rows of a report, at most.
const MAX_ROWS: u32 = 100_000;

/// Which entries of the ledger.
#[derive(Debug, Clone, Default)]
pub struct LedgerFilter {
    /// Of this key.
    pub key: Option<KeyId>,
    /// Of what, when and how.
    pub of: UsageFilter,
    /// From this time on, Unix milliseconds.
    pub since: i64,
    /// Only those older than this entry, by its time and id.
    pub before: Option<(i64, String)>,
    /// At most so many, the newest first.
    pub limit: u32,
}

/// Which usage, beside that of a key.
#[derive(Debug, Clone, Default)]
pub struct UsageFilter {
    /// Of this organization.
    pub organization: Option<String>,
    /// Of this team.
    pub team: Option<String>,
    /// Of this project.
    pub project: Option<String>,
    /// Of this user.
    pub user: Option<String>,
    /// Of this model, by the provider's name.
    pub model: Option<String>,
    /// Of this provider.
    pub provider: Option<String>,
    /// Ended in this way.
    pub outcome: Option<Outcome>,
    /// The request with this id.
    pub request: Option<String>,
    /// Before this time, Unix milliseconds.
    pub until: Option<i64>,
}

/// What usage is summed up by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UsageGroup {
    /// Key.
    Key,
    /// User.
    User,
    /// Project.
    Project,
    /// Team.
    Team,
    /// Organization.
    Organization,
    /// The provider's name of the model.
    Model,
    /// Provider.
    Provider,
    /// Day in UTC, as `2026-11-24`.
    Day,
}

impl UsageGroup {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Key,
        Self::User,
        Self::Project,
        Self::Team,
        Self::Organization,
        Self::Model,
        Self::Provider,
        Self::Day,
    ];

    /// In one word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Key => "key",
            Self::User => "user",
            Self::Project => "project",
            Self::Team => "team",
            Self::Organization => "organization",
            Self::Model => "model",
            Self::Provider => "provider",
            Self::Day => "day",
        }
    }

    fn column(self) -> &'static str {
        match self {
            Self::Day => "date(at / 1000, 'unixepoch')",
            other => other.as_str(),
        }
    }
}

/// Usage of a group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct UsageRow {
    /// What it was summed up by, in the order in which that was asked for.
    pub group: Vec<Option<String>>,
    /// Requests.
    pub requests: u64,
    /// Those that were not answered.
    pub failed: u64,
    /// Prompt tokens.
    pub input: u64,
    /// Generated tokens.
    pub output: u64,
    /// Money.
    pub cost: Money,
}

impl LedgerFilter {
    fn conditions(&self) -> Conditions {
        let mut all = Conditions::default();
        all.and("at >= ?", [Value::Integer(self.since)]);
        let of = &self.of;
        if let Some(until) = of.until {
            all.and("at < ?", [Value::Integer(until)]);
        }
        all.text("key = ?", self.key.as_ref().map(KeyId::as_str));
        all.text("organization = ?", of.organization.as_deref());
        all.text("team = ?", of.team.as_deref());
        all.text("project = ?", of.project.as_deref());
        all.text("user = ?", of.user.as_deref());
        all.text("model = ?", of.model.as_deref());
        all.text("provider = ?", of.provider.as_deref());
        all.text("outcome = ?", of.outcome.map(Outcome::as_str));
        all.text("id = ?", of.request.as_deref());
        if let Some((at, id)) = &self.before {
            let (at, id) = (Value::Integer(*at), Value::Text(id.clone()));
            // Of the same time, those with a higher id come later in the list.
            all.and("(at < ? OR (at = ? AND id > ?))", [at.clone(), at, id]);
        }
        all
    }
}

impl Store {
    /// What a key has spent since a time, Unix milliseconds.
    ///
    /// # Errors
    /// When the database refuses.
    pub fn spent(&self, key: &KeyId, since: i64) -> Result<Money, StoreError> {
        self.spent_since("key", key.as_str(), since)
    }

    /// What a holder has spent since a time, Unix milliseconds.
    ///
    /// # Errors
    /// When the database refuses.
    pub fn spent_by(&self, kind: HolderKind, id: &str, since: i64) -> Result<Money, StoreError> {
        self.spent_since(kind.as_str(), id, since)
    }

    /// `column` is one of the ledger's: a text of this program's own.
    fn spent_since(&self, column: &'static str, id: &str, since: i64) -> Result<Money, StoreError> {
        if column == HolderKind::Plan.as_str() {
            return Ok(Money::ZERO);
        }
        let connection = self.connection.lock();
        let sql = format!("SELECT COALESCE(SUM(cost), 0) FROM ledger WHERE {column} = ?1 AND at >= ?2");
        let sum: i64 = connection
            .prepare_cached(&sql)?
            .query_row(params![id, since], |row| row.get(0))?;
        Ok(Money::from_nanodollars(sum))
    }

    /// Entries of the ledger, the newest first.
    ///
    /// # Errors
    /// When the database refuses.
    pub fn ledger(&self, filter: &LedgerFilter) -> Result<Vec<LedgerEntry>, StoreError> {
        let connection = self.connection.lock();
        let conditions = filter.conditions();
        let sql = format!(
            "SELECT id, at, key, team, user, surface, model_requested, provider, model, decision, outcome, usage_json,
                    estimated, cost, attempts, streamed, status, latency_us, ttft_us, cache, organization, project
             FROM ledger{} ORDER BY at DESC, id LIMIT ?",
            conditions.sql()
        );
        let mut query = connection.prepare_cached(&sql)?;
        let mut rows = query.query(&conditions.parameters(&[&filter.limit])[..])?;
        let mut entries = Vec::new();
        while let Some(row) = rows.next()? {
            entries.push(read_entry(row)?);
        }
        Ok(entries)
    }

    /// A page of the ledger.
    ///
    /// # Errors
    /// When the database refuses.
    pub fn ledger_page(&self, filter: &LedgerFilter) -> Result<Paged<LedgerEntry>, StoreError> {
        let limit = filter.limit;
        let mut items = self.ledger(&LedgerFilter {
            limit: limit.saturating_add(1),
            ..filter.clone()
        })?;
        let more = items.len() > limit as usize;
        items.truncate(limit as usize);
        Ok(Paged { items, more })
    }

    /// Usage summed up by `groups`, the dearest first; in the order of days, where these are the first group.
    ///
    /// # Errors
    /// When the database refuses.
    pub fn usage(&self, filter: &LedgerFilter, groups: &[UsageGroup]) -> Result<Vec<UsageRow>, StoreError> {
        let connection = self.connection.lock();
        let conditions = filter.conditions();
        let columns: Vec<_> = groups.iter().map(|group| group.column()).collect();
        let mut sql = String::from("SELECT ");
        for column in &columns {
            sql.push_str(column);
            sql.push_str(", ");
        }
        sql.push_str(
            "COUNT(*), SUM(outcome IN ('blocked', 'refused', 'provider_failed')), SUM(input), SUM(output), SUM(cost)
             FROM ledger",
        );
        sql.push_str(conditions.sql());
        if !columns.is_empty() {
            sql.push_str(" GROUP BY ");
            sql.push_str(&columns.join(", "));
        }
        let by_day = groups.first() == Some(&UsageGroup::Day);
        sql.push_str(if by_day {
            " ORDER BY 1"
        } else {
            " ORDER BY SUM(cost) DESC"
        });
        sql.push_str(" LIMIT ?");
        let limit = filter.limit.min(MAX_ROWS);
        let mut query = connection.prepare_cached(&sql)?;
        let mut rows = query.query(&conditions.parameters(&[&limit])[..])?;
        let mut found = Vec::new();
        while let Some(row) = rows.next()? {
            found.push(read_usage(row, groups.len())?);
        }
        Ok(found)
    }
}

fn read_usage(row: &Row<'_>, groups: usize) -> Result<UsageRow, StoreError> {
    let count = |at: usize| {
        let sum: Option<i64> = row.get(groups + at)?;
        Ok::<_, StoreError>(sum.unwrap_or(0).max(0).cast_unsigned())
    };
    Ok(UsageRow {
        group: (0..groups).map(|at| row.get(at)).collect::<Result<_, _>>()?,
        requests: count(0)?,
        failed: count(1)?,
        input: count(2)?,
        output: count(3)?,
        cost: Money::from_nanodollars(row.get::<_, Option<i64>>(groups + 4)?.unwrap_or(0)),
    })
}

fn read_entry(row: &Row<'_>) -> Result<LedgerEntry, StoreError> {
    let text = |at: usize| row.get::<_, Option<String>>(at);
    let usage: Usage = serde_json::from_str(&row.get::<_, String>(11)?)?;
    Ok(LedgerEntry {
        id: row.get::<_, String>(0)?.into(),
        at: row.get(1)?,
        key: text(2)?.map(Into::into),
        team: text(3)?.map(Into::into),
        user: text(4)?.map(Into::into),
        surface: row.get(5)?,
        model_requested: row.get(6)?,
        provider: text(7)?,
        model: text(8)?,
        decision: text(9)?,
        outcome: serde_json::from_value(row.get::<_, String>(10)?.into())?,
        usage,
        usage_estimated: row.get(12)?,
        cost: Money::from_nanodollars(row.get(13)?),
        attempts: row.get(14)?,
        streamed: row.get(15)?,
        status: row.get(16)?,
        latency_us: row.get::<_, i64>(17)? as u64,
        ttft_us: row.get::<_, Option<i64>>(18)?.map(|ttft| ttft as u64),
        cache: row.get(19)?,
        organization: text(20)?.map(Into::into),
        project: text(21)?.map(Into::into),
    })
}

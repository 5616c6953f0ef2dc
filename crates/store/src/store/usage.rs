//! The ledger as it is read: entry by entry, and summed up.

use std::fmt::Write as _;

use jiff::ToSpan;
use pointsman_catalog::Money;
use pointsman_wire::form::Usage;
use serde::Serialize;

use super::rollups::{Found, report};
use super::{Conditions, Dialect, Row, Session, Store, StoreError, Within, values};
use crate::holder::HolderKind;
use crate::id::KeyId;
use crate::ledger::{LedgerEntry, Outcome};
use crate::page::Paged;
use crate::postgres;
use crate::sqlite;

/// Rows of a report, at most.
const MAX_ROWS: u32 = 100_000;
/// Rows of a report that are few beside all groups there may be.
const FEW: u32 = 5_000;

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
    /// Of this end customer, by the name that requests call it by.
    pub customer: Option<String>,
    /// Of this agent, by the name that requests call it by.
    pub agent: Option<String>,
    /// With this tag.
    pub tag: Option<String>,
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
    /// Only what belongs to these.
    pub within: Option<Within>,
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
    /// The end customer that was named.
    Customer,
    /// The agent that was named.
    Agent,
    /// Tag; what bears several is counted with each of them.
    Tag,
    /// The provider's name of the model.
    Model,
    /// Provider.
    Provider,
    /// Day in UTC, as `2026-11-24`.
    Day,
}

impl UsageGroup {
    /// All of them.
    pub const ALL: [Self; 11] = [
        Self::Key,
        Self::User,
        Self::Project,
        Self::Team,
        Self::Organization,
        Self::Customer,
        Self::Agent,
        Self::Tag,
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
            Self::Customer => "customer",
            Self::Agent => "agent",
            Self::Tag => "tag",
            Self::Model => "model",
            Self::Provider => "provider",
            Self::Day => "day",
        }
    }

    /// Its column of the ledger; days have none.
    pub(crate) fn column(self) -> &'static str {
        match self {
            Self::User => "\"user\"",
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
    /// Requests whose answers were remembered.
    pub cached: u64,
    /// Tokens of those, in and out; they are among `input` and `output`.
    pub cached_tokens: u64,
    /// What was saved because answers were remembered.
    pub saved: Money,
}

impl LedgerFilter {
    /// Whether it asks for those with one name: that of a customer, an agent or a tag.
    pub(crate) fn names(&self, label: UsageGroup) -> bool {
        match label {
            UsageGroup::Customer => self.of.customer.is_some(),
            UsageGroup::Agent => self.of.agent.is_some(),
            UsageGroup::Tag => self.of.tag.is_some(),
            _ => false,
        }
    }

    /// Demands it of rows; `when` is left out where somebody else asks for a time. `bears_tag` is how a tag is asked for.
    pub(crate) fn apply(&self, all: &mut Conditions, when: bool, bears_tag: &str) {
        let of = &self.of;
        if when {
            all.and("at >= ?", [self.since.into()]);
        }
        if let Some(until) = of.until.filter(|_| when) {
            all.and("at < ?", [until.into()]);
        }
        all.text("key = ?", self.key.as_ref().map(KeyId::as_str));
        all.text("organization = ?", of.organization.as_deref());
        all.text("team = ?", of.team.as_deref());
        all.text("project = ?", of.project.as_deref());
        all.text("\"user\" = ?", of.user.as_deref());
        all.text("customer = ?", of.customer.as_deref());
        all.text("agent = ?", of.agent.as_deref());
        all.text(bears_tag, of.tag.as_deref());
        all.text("model = ?", of.model.as_deref());
        all.text("provider = ?", of.provider.as_deref());
        all.text("outcome = ?", of.outcome.map(Outcome::as_str));
        all.text("id = ?", of.request.as_deref());
        if let Some(within) = &of.within {
            within.rows(all);
        }
        if let Some((at, id)) = &self.before {
            // Of the same time, those with a higher id come later in the list.
            all.and("(at < ? OR (at = ? AND id > ?))", values![*at, *at, id]);
        }
    }
}

impl Store {
    /// What a key has spent since a time, Unix milliseconds.
    ///
    /// # Errors
    /// When the database refuses.
    pub fn spent(&self, key: &KeyId, since: i64) -> Result<Money, StoreError> {
        let key = Some(key.clone());
        self.spent_of(LedgerFilter {
            key,
            since,
            ..LedgerFilter::default()
        })
    }

    /// What a holder has spent since a time, Unix milliseconds.
    ///
    /// # Errors
    /// When the database refuses.
    pub fn spent_by(&self, kind: HolderKind, id: &str, since: i64) -> Result<Money, StoreError> {
        match self.entries_of(Some(kind), id)? {
            Some(filter) => self.spent_of(LedgerFilter { since, ..filter }),
            None => Ok(Money::ZERO),
        }
    }

    /// Which entries are a holder's; a key's, where no kind is given. A plan has none.
    pub(super) fn entries_of(
        &self,
        kind: Option<HolderKind>,
        id: &str,
    ) -> Result<Option<LedgerFilter>, StoreError> {
        let mut filter = LedgerFilter::default();
        let Some(kind) = kind else {
            filter.key = Some(KeyId::from(id));
            return Ok(Some(filter));
        };
        let of = &mut filter.of;
        let mut named = id.to_owned();
        if kind.is_label() {
            let Some(holder) = self.holder(kind, id)? else {
                return Ok(None);
            };
            named = holder.spec.name;
            of.organization = holder.spec.organization.map(|id| id.as_str().to_owned());
        }
        let whose = match kind {
            HolderKind::Organization => &mut of.organization,
            HolderKind::Team => &mut of.team,
            HolderKind::Project => &mut of.project,
            HolderKind::User => &mut of.user,
            HolderKind::Customer => &mut of.customer,
            HolderKind::Agent => &mut of.agent,
            HolderKind::Tag => &mut of.tag,
            HolderKind::Plan => return Ok(None),
        };
        *whose = Some(named);
        Ok(Some(filter))
    }

    pub(super) fn spent_of(&self, filter: LedgerFilter) -> Result<Money, StoreError> {
        let sums = self.usage(&LedgerFilter { limit: 1, ..filter }, &[])?;
        Ok(sums.iter().map(|row| row.cost).sum())
    }

    /// Entries of the ledger, the newest first.
    ///
    /// # Errors
    /// When the database refuses.
    pub fn ledger(&self, filter: &LedgerFilter) -> Result<Vec<LedgerEntry>, StoreError> {
        let mut conditions = Conditions::default();
        filter.apply(&mut conditions, true, self.dialect().bears_tag);
        let limit = conditions.value(i64::from(filter.limit));
        let sql = format!(
            "SELECT id, at, key, team, \"user\", surface, model_requested, provider, model, decision, outcome, usage_json,
                    estimated, cost, attempts, streamed, status, latency_us, ttft_us, cache, organization, project, saved,
                    customer, agent, tags
             FROM ledger{} ORDER BY at DESC, id LIMIT {limit}",
            conditions.sql()
        );
        self.read_much(|session| session.all(&sql, conditions.values(), read_entry))
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
        let dialect = self.dialect();
        match &self.shared {
            // What is counted grows meanwhile, and must not while it is asked.
            None => self.local.read_still(|session| {
                let counted = sqlite::counted(session)?;
                summed(session, filter, groups, (counted, dialect))
            }),
            Some(postgres) => postgres.read(postgres::REPORT, |session| {
                summed(session, filter, groups, (i64::MAX, dialect))
            }),
        }
    }
}

/// Usage by `groups`, where the sums know all entries before a time.
fn summed(
    session: &mut dyn Session,
    filter: &LedgerFilter,
    groups: &[UsageGroup],
    (counted, dialect): (i64, &Dialect),
) -> Result<Vec<UsageRow>, StoreError> {
    let mut conditions = Conditions::default();
    let found = report(filter, groups, counted, dialect, &mut conditions);
    let limit = filter.limit.min(MAX_ROWS);
    let place = conditions.value(i64::from(limit));
    let sql = statement(&found, groups, &place, dialect.sums_are_dear && limit <= FEW);
    session.all(&sql, conditions.values(), |row| read_usage(row, groups))
}

/// The statement of a report with this limit. Where there may be many groups and few are asked for, `dearest_first` finds out
/// which these are by their cost alone, and sums up the rest for them.
fn statement(found: &Found, groups: &[UsageGroup], limit: &str, dearest_first: bool) -> String {
    let names: Vec<_> = (0..groups.len()).map(|at| format!("g{at}")).collect();
    let by_day = groups.first() == Some(&UsageGroup::Day);
    let many = [
        UsageGroup::Key,
        UsageGroup::User,
        UsageGroup::Customer,
        UsageGroup::Team,
    ];
    let mut sql = format!("WITH parts AS NOT MATERIALIZED ({})", found.table);
    let in_groups = if names.is_empty() {
        String::new()
    } else {
        let having = if found.takes_away {
            " HAVING SUM(requests) <> 0"
        } else {
            ""
        };
        format!(" GROUP BY {}{having}", names.join(", "))
    };
    let mut from = "parts";
    // Writing to a string cannot fail.
    if dearest_first && !by_day && groups.iter().any(|group| many.contains(group)) {
        let names = names.join(", ");
        let _ = write!(
            sql,
            ", dearest AS (SELECT {names}, SUM(cost) AS most FROM parts{in_groups} ORDER BY most DESC LIMIT {limit})"
        );
        sql.push_str(", shown AS (SELECT parts.* FROM parts JOIN dearest USING (");
        let _ = write!(sql, "{names}))");
        from = "shown";
    }
    sql.push_str(" SELECT ");
    for (name, group) in names.iter().zip(groups) {
        let _ = match group {
            UsageGroup::Day => write!(sql, "{name}, "),
            _ => write!(sql, "NULLIF({name}, ''), "),
        };
    }
    let _ = write!(
        sql,
        "CAST(SUM(requests) AS BIGINT), CAST(SUM(failed) AS BIGINT), CAST(SUM(input) AS BIGINT),
         CAST(SUM(output) AS BIGINT), CAST(SUM(cost) AS BIGINT) AS spent, CAST(SUM(cached) AS BIGINT),
         CAST(SUM(cached_tokens) AS BIGINT), CAST(SUM(saved) AS BIGINT) FROM {from}{in_groups}
         ORDER BY {} LIMIT {limit}",
        if by_day { "1" } else { "spent DESC" }
    );
    sql
}

/// What is summed up of an entry of the ledger, as columns.
pub(super) const MEASURES: &str = "CAST(1 AS BIGINT) AS requests,
    CASE WHEN outcome IN ('blocked', 'refused', 'provider_failed') THEN CAST(1 AS BIGINT) ELSE 0 END AS failed,
    input, output, cost, CASE WHEN outcome = 'cached' THEN CAST(1 AS BIGINT) ELSE 0 END AS cached,
    CASE WHEN outcome = 'cached' THEN input + output ELSE 0 END AS cached_tokens, saved";

/// Rows of the ledger, as a report sums them up: the columns `g0` and so on of its groups, in which an empty text is none,
/// `requests`, `failed`, `input`, `output`, `cost`, `cached`, `cached_tokens` and `saved`.
pub(super) fn rows(groups: &[UsageGroup], conditions: &str, dialect: &Dialect) -> String {
    let columns = columns(groups, |group| match group {
        UsageGroup::Day => "at / 86400000".to_owned(),
        other => format!("COALESCE({}, '')", other.column()),
    });
    let from = if groups.contains(&UsageGroup::Tag) {
        dialect.by_tag
    } else {
        "ledger"
    };
    format!("SELECT {columns}{MEASURES} FROM {from}{conditions}")
}

/// What is summed up by, as the columns `g0` and so on.
pub(super) fn columns(groups: &[UsageGroup], column: impl Fn(UsageGroup) -> String) -> String {
    let named = groups.iter().enumerate();
    named
        .map(|(at, group)| format!("{} AS g{at}, ", column(*group)))
        .collect()
}

fn read_usage(row: &Row<'_>, groups: &[UsageGroup]) -> Result<UsageRow, StoreError> {
    let sum = |at: usize| Ok::<_, StoreError>(row.maybe_integer(groups.len() + at)?.unwrap_or(0));
    let count = |at: usize| Ok::<_, StoreError>(sum(at)?.max(0).cast_unsigned());
    let name = |(at, group): (usize, &UsageGroup)| match group {
        UsageGroup::Day => Ok(row.maybe_integer(at)?.map(date)),
        _ => row.maybe_text(at),
    };
    Ok(UsageRow {
        group: groups.iter().enumerate().map(name).collect::<Result<_, _>>()?,
        requests: count(0)?,
        failed: count(1)?,
        input: count(2)?,
        output: count(3)?,
        cost: Money::from_nanodollars(sum(4)?),
        cached: count(5)?,
        cached_tokens: count(6)?,
        saved: Money::from_nanodollars(sum(7)?),
    })
}

/// A day, counted from the beginning of 1970, as `2026-11-24`.
fn date(day: i64) -> String {
    let days = day.clamp(0, 2_932_896).days();
    jiff::civil::date(1970, 1, 1).saturating_add(days).to_string()
}

fn read_entry(row: &Row<'_>) -> Result<LedgerEntry, StoreError> {
    let usage: Usage = serde_json::from_str(&row.text(11)?)?;
    let small = |at: usize| Ok::<_, StoreError>(u16::try_from(row.integer(at)?).unwrap_or(u16::MAX));
    Ok(LedgerEntry {
        id: row.text(0)?.into(),
        at: row.integer(1)?,
        key: row.maybe_text(2)?.map(Into::into),
        team: row.maybe_text(3)?.map(Into::into),
        user: row.maybe_text(4)?.map(Into::into),
        surface: row.text(5)?,
        model_requested: row.text(6)?,
        provider: row.maybe_text(7)?,
        model: row.maybe_text(8)?,
        decision: row.maybe_text(9)?,
        outcome: serde_json::from_value(row.text(10)?.into())?,
        usage,
        usage_estimated: row.flag(12)?,
        cost: Money::from_nanodollars(row.integer(13)?),
        attempts: small(14)?,
        streamed: row.flag(15)?,
        status: small(16)?,
        latency_us: row.integer(17)?.cast_unsigned(),
        ttft_us: row.maybe_integer(18)?.map(i64::cast_unsigned),
        cache: row.text(19)?,
        organization: row.maybe_text(20)?.map(Into::into),
        project: row.maybe_text(21)?.map(Into::into),
        saved: Money::from_nanodollars(row.integer(22)?),
        customer: row.maybe_text(23)?,
        agent: row.maybe_text(24)?,
        tags: match row.maybe_text(25)? {
            Some(tags) => serde_json::from_str(&tags)?,
            None => Vec::new(),
        },
    })
}

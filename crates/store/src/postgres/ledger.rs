//! The ledger as it is written: many entries with one statement, each once, and what they sum up to with them.
//!
//! An entry is known by its time and id. What is put in is counted into the roll-ups by the same statement, and what is
//! there already is not: so both agree, whatever comes twice. Lines of batches may come again at another time; theirs are
//! known by their ids alone, which `ledger_lines` has.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use jiff::civil::Date;
use jiff::{Timestamp, ToSpan, tz::TimeZone};
use parking_lot::Mutex;
use tokio_postgres::types::ToSql;

use super::connection::{Connection, clean};
use super::{DIALECT, PATIENCE, Postgres, SCHEMA_LOCK};
use crate::ledger::LedgerEntry;
use crate::store::rollups::{self, ROLL_UPS};
use crate::store::{StoreError, now};

/// Data that the database cannot hold (SQLSTATE class 22): the entry is at fault, and would be for ever.
const DATA: &str = "22";
/// A row that no partition takes (`check_violation`).
const NO_PARTITION: &str = "23514";
/// The end of what an entry may be dated, Unix milliseconds: the year 9999.
const END: i64 = 253_402_300_800_000;

/// What is put in, and what of it was not there.
const PUT: &str = r#"
WITH given AS MATERIALIZED (
    SELECT * FROM unnest(?1::text[], ?2::bigint[], ?3::text[], ?4::text[], ?5::text[], ?6::text[], ?7::text[],
        ?8::text[], ?9::text[], ?10::text[], ?11::text[], ?12::text[], ?13::bigint[], ?14::bigint[], ?15::boolean[],
        ?16::bigint[], ?17::bigint[], ?18::boolean[], ?19::bigint[], ?20::bigint[], ?21::bigint[], ?22::text[],
        ?23::text[], ?24::text[], ?25::bigint[], ?26::text[], ?27::text[], ?28::text[])
    AS given (id, at, key, team, "user", surface, model_requested, provider, model, decision, outcome, usage_json, input,
        output, estimated, cost, attempts, streamed, status, latency_us, ttft_us, cache, organization, project, saved,
        customer, agent, tags)
), lines AS (
    INSERT INTO ledger_lines (id, at)
        SELECT DISTINCT ON (id COLLATE "C") id, at FROM given WHERE id NOT LIKE 'req\_%' ORDER BY id COLLATE "C", at
    ON CONFLICT (id) DO NOTHING RETURNING id, at
), put AS (
    INSERT INTO ledger
        SELECT given.* FROM given
        WHERE id LIKE 'req\_%' OR EXISTS (SELECT 1 FROM lines WHERE lines.id = given.id COLLATE "C" AND lines.at = given.at)
    ON CONFLICT (at, id) DO NOTHING RETURNING *
)"#;

/// One statement, one round trip, all of it or nothing. Rows of the roll-ups are locked in one order by everybody.
static INSERT: LazyLock<String> = LazyLock::new(|| {
    let mut sql = format!(
        "{PUT}, parts AS MATERIALIZED ({})",
        rollups::parts("put", &DIALECT)
    );
    for (at, sums) in ROLL_UPS.iter().enumerate() {
        let count = sums.count("parts", &DIALECT);
        // Writing to a string cannot fail.
        let _ = write!(sql, ", counted{at} AS ({count})");
    }
    sql + " SELECT 1"
});

/// Entries, column by column.
#[derive(Default)]
struct Columns<'a> {
    id: Vec<String>,
    at: Vec<i64>,
    holders: [Vec<Option<&'a str>>; 5],
    surface: Vec<String>,
    model_requested: Vec<String>,
    names: [Vec<Option<String>>; 3],
    outcome: Vec<&'a str>,
    usage: Vec<String>,
    tokens: [Vec<i64>; 2],
    estimated: Vec<bool>,
    cost: Vec<i64>,
    attempts: Vec<i64>,
    streamed: Vec<bool>,
    status: Vec<i64>,
    latency: Vec<i64>,
    ttft: Vec<Option<i64>>,
    cache: Vec<String>,
    saved: Vec<i64>,
    labels: [Vec<Option<String>>; 3],
}

/// What the database cannot count is as much as it can.
fn count(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

impl<'a> Columns<'a> {
    fn push(&mut self, entry: &'a LedgerEntry) -> Result<(), StoreError> {
        let own = |text: &str| clean(text).into_owned();
        self.id.push(own(entry.id.as_str()));
        self.at.push(entry.at);
        let holders = [
            entry.key.as_ref().map(AsRef::as_ref),
            entry.team.as_ref().map(AsRef::as_ref),
            entry.user.as_ref().map(AsRef::as_ref),
            entry.organization.as_ref().map(AsRef::as_ref),
            entry.project.as_ref().map(AsRef::as_ref),
        ];
        for (column, holder) in self.holders.iter_mut().zip(holders) {
            column.push(holder);
        }
        self.surface.push(own(&entry.surface));
        self.model_requested.push(own(&entry.model_requested));
        let names = [&entry.provider, &entry.model, &entry.decision];
        for (column, name) in self.names.iter_mut().zip(names) {
            column.push(name.as_deref().map(own));
        }
        self.outcome.push(entry.outcome.as_str());
        self.usage.push(serde_json::to_string(&entry.usage)?);
        self.tokens[0].push(count(entry.usage.input));
        self.tokens[1].push(count(entry.usage.output));
        self.estimated.push(entry.usage_estimated);
        self.cost.push(entry.cost.nanodollars());
        self.attempts.push(i64::from(entry.attempts));
        self.streamed.push(entry.streamed);
        self.status.push(i64::from(entry.status));
        self.latency.push(count(entry.latency_us));
        self.ttft.push(entry.ttft_us.map(count));
        self.cache.push(own(&entry.cache));
        self.saved.push(entry.saved.nanodollars());
        let tags = match entry.tags.as_slice() {
            [] => None,
            tags => Some(serde_json::to_string(tags)?),
        };
        let [customer, agent, all] = &mut self.labels;
        customer.push(entry.customer.as_deref().map(own));
        agent.push(entry.agent.as_deref().map(own));
        all.push(tags);
        Ok(())
    }

    /// In the order of [`PUT`].
    fn values(&self) -> [&(dyn ToSql + Sync); 28] {
        let ([key, team, user, organization, project], [provider, model, decision]) =
            (&self.holders, &self.names);
        let [input, output] = &self.tokens;
        let [customer, agent, tags] = &self.labels;
        [
            &self.id,
            &self.at,
            key,
            team,
            user,
            &self.surface,
            &self.model_requested,
            provider,
            model,
            decision,
            &self.outcome,
            &self.usage,
            input,
            output,
            &self.estimated,
            &self.cost,
            &self.attempts,
            &self.streamed,
            &self.status,
            &self.latency,
            &self.ttft,
            &self.cache,
            organization,
            project,
            &self.saved,
            customer,
            agent,
            tags,
        ]
    }
}

impl Postgres {
    /// Writes entries as the journal has them; those that are there already are left as they are. Says how many are none.
    pub(crate) fn insert_lines<'a>(&self, lines: impl Iterator<Item = &'a str>) -> Result<usize, StoreError> {
        let (mut entries, mut damaged) = (Vec::new(), 0);
        for line in lines {
            match serde_json::from_str::<LedgerEntry>(line) {
                Ok(entry) if (0..END).contains(&entry.at) => entries.push(entry),
                _ => damaged += 1,
            }
        }
        let mut rest = entries.as_slice();
        while !rest.is_empty() {
            let (some, others) = rest.split_at(self.pace.at_once().min(rest.len()));
            let begun = Instant::now();
            let put = self.pool.with(PATIENCE, |connection| self.put(connection, some));
            self.pace.learn(begun.elapsed());
            damaged += put?;
            rest = others;
        }
        Ok(damaged)
    }

    /// Writes entries, all or none; says how many the database cannot hold.
    fn put(&self, connection: &mut Connection, entries: &[LedgerEntry]) -> Result<usize, StoreError> {
        let times = || entries.iter().map(|entry| entry.at);
        self.partitions.make(connection, times())?;
        match insert(connection, entries) {
            // Another replica has dropped a month that these belong to.
            Err(StoreError::Postgres { code, .. }) if code == NO_PARTITION => {
                self.partitions.0.lock().clear();
                self.partitions.make(connection, times())?;
                insert(connection, entries)
            }
            put => put,
        }
    }

    /// Makes the ledger ready for this month and the next, and drops months that ended before the last `keep` began; the
    /// roll-ups keep what they summed up to.
    pub(crate) fn tend(&self, keep: Option<u32>) -> Result<(), StoreError> {
        self.pool.with(super::REPORT, |connection| {
            let today = date_of(now());
            let next = today.last_of_month().saturating_add(1.day());
            self.partitions
                .make(connection, [now(), begin_of(next)].into_iter())?;
            let Some(keep) = keep else {
                return Ok(());
            };
            let first = today.first_of_month().saturating_sub(i64::from(keep).months());
            drop_before(connection, first)
        })
    }
}

/// Puts entries in; says how many the database cannot hold.
fn insert(connection: &mut Connection, entries: &[LedgerEntry]) -> Result<usize, StoreError> {
    let mut columns = Columns::default();
    entries.iter().try_for_each(|entry| columns.push(entry))?;
    match connection.execute_with(&INSERT, &columns.values()) {
        Ok(_) => Ok(0),
        // One of them is at fault: the others must not wait behind it for ever.
        Err(StoreError::Postgres { code, message }) if code.starts_with(DATA) => {
            if let [entry] = entries {
                tracing::error!(id = entry.id.as_str(), %message, "the database cannot hold an entry of the ledger");
                return Ok(1);
            }
            let (one, other) = entries.split_at(entries.len() / 2);
            Ok(insert(connection, one)? + insert(connection, other)?)
        }
        Err(error) => Err(error),
    }
}

/// How many entries are written at once: fewer where the database is so slow that they would not be written in time, and are
/// tried again for ever.
pub(super) struct Pace(AtomicUsize);

impl Pace {
    const MOST: usize = 8_000;
    const FEWEST: usize = 100;

    fn at_once(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }

    /// It took so long to write so many, or to give up.
    fn learn(&self, took: Duration) {
        let so_many = self.at_once();
        let next = if took > PATIENCE / 4 {
            so_many / 2
        } else if took < PATIENCE / 16 {
            so_many * 2
        } else {
            so_many
        };
        self.0
            .store(next.clamp(Self::FEWEST, Self::MOST), Ordering::Relaxed);
    }
}

impl Default for Pace {
    fn default() -> Self {
        Self(AtomicUsize::new(Self::MOST))
    }
}

/// Which months the ledger has a partition for, as far as this process knows.
#[derive(Default)]
pub(super) struct Partitions(Mutex<BTreeSet<Date>>);

impl Partitions {
    /// Makes the partitions for entries of these times.
    fn make(&self, connection: &mut Connection, times: impl Iterator<Item = i64>) -> Result<(), StoreError> {
        let mut months: BTreeSet<Date> = times.map(|at| date_of(at).first_of_month()).collect();
        months.retain(|month| !self.0.lock().contains(month));
        for month in months {
            let (name, next) = (name_of(month), month.saturating_add(1.month()));
            let (from, to) = (begin_of(month), begin_of(next));
            // A table that is attached locks out neither those who read the ledger nor those who write it.
            connection.locked(SCHEMA_LOCK, |connection| {
                let there = format!("SELECT 1 WHERE to_regclass('{name}') IS NOT NULL");
                if !connection.names(&there)?.is_empty() {
                    return Ok(());
                }
                connection.batch(&format!(
                    "CREATE TABLE {name} (LIKE ledger INCLUDING ALL);
                     ALTER TABLE ledger ATTACH PARTITION {name} FOR VALUES FROM ({from}) TO ({to})"
                ))
            })?;
            self.0.lock().insert(month);
        }
        Ok(())
    }
}

/// Drops the partitions of months before `first`.
fn drop_before(connection: &mut Connection, first: Date) -> Result<(), StoreError> {
    let partitions = "SELECT child.relname FROM pg_inherits JOIN pg_class child ON child.oid = inhrelid
        WHERE inhparent = to_regclass('ledger') ORDER BY 1";
    let before = name_of(first);
    for name in connection.names(partitions)? {
        // Names of the same length, in the order of time.
        if name < before && name.len() == before.len() {
            connection.locked(SCHEMA_LOCK, |connection| {
                connection.batch(&format!(
                    "ALTER TABLE ledger DETACH PARTITION {name}; DROP TABLE {name}"
                ))
            })?;
            tracing::info!(partition = name, "a month of the ledger has been dropped");
        }
    }
    let end = begin_of(first);
    connection.batch(&format!("DELETE FROM ledger_lines WHERE at < {end}"))
}

fn date_of(at: i64) -> Date {
    let time = Timestamp::from_millisecond(at).unwrap_or(Timestamp::UNIX_EPOCH);
    TimeZone::UTC.to_datetime(time).date()
}

/// When a day begins, Unix milliseconds.
fn begin_of(date: Date) -> i64 {
    let zoned = date.to_zoned_datetime(TimeZone::UTC);
    zoned.map_or(END, |zoned| zoned.timestamp().as_millisecond())
}

/// The partition of a month.
fn name_of(month: Date) -> String {
    format!("ledger_{:04}_{:02}", month.year(), month.month())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fewer_are_written_at_once_where_they_take_too_long() {
        let pace = Pace::default();
        pace.learn(PATIENCE);
        assert_eq!(pace.at_once(), Pace::MOST / 2);
        pace.learn(PATIENCE / 8);
        assert_eq!(pace.at_once(), Pace::MOST / 2);
        (0..20).for_each(|_| pace.learn(PATIENCE));
        assert_eq!(pace.at_once(), Pace::FEWEST);
        (0..20).for_each(|_| pace.learn(Duration::ZERO));
        assert_eq!(pace.at_once(), Pace::MOST);
    }
}

//! What each replica has charged, as the ledger tells it: by the ids that replicas give to requests.

use pointsman_catalog::Money;
use pointsman_wire::form::Usage;

use super::{Conditions, LedgerFilter, Store, StoreError, now};
use crate::holder::HolderKind;
use crate::terms::Counted;

/// `req_`, eight digits of the replica, twenty-six of the request.
const REPLICA: &str =
    "CASE WHEN length(id) = 38 AND substr(id, 1, 4) = 'req_' THEN substr(id, 5, 8) ELSE '' END";

/// Who was asked, where that was a provider: not where an answer was remembered, a model on this machine gave it for
/// nothing, or a server of MCP or an agent did under paths of theirs.
const PROVIDER: &str = "CASE WHEN outcome = 'cached' OR (provider = 'pointsman' AND cost = 0)
         OR surface LIKE '/mcp%' OR surface LIKE '%a2a%' THEN ''
     ELSE COALESCE(provider, '') END";

/// What a replica has charged for a model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UsedRow {
    /// The replica; empty where the id tells of none.
    pub replica: String,
    /// The name that clients asked for.
    pub model: String,
    /// Who was asked last; empty where that is not told apart.
    pub provider: String,
    /// In nano-dollars, requests or tokens.
    pub amount: i64,
}

/// What is told apart of what was used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ToldApart {
    /// The names that clients asked for.
    pub models: bool,
    /// Who was asked last. What was remembered, or was none of a provider's, was asked of nobody.
    pub providers: bool,
}

impl ToldApart {
    /// The columns, each with its name.
    fn columns(self) -> String {
        let model = if self.models { "model_requested" } else { "''" };
        let provider = if self.providers { PROVIDER } else { "''" };
        format!("{model} AS model, {provider} AS provider")
    }
}

/// What was used in a bucket of time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UsedBucket {
    /// The time of its entries, divided by the width of buckets.
    pub bucket: i64,
    /// The name that clients asked for; empty where that is not told apart.
    pub model: String,
    /// Who was asked last; empty where that is not told apart.
    pub provider: String,
    /// In nano-dollars, requests or tokens.
    pub amount: i64,
}

/// Which entries of the ledger count.
#[derive(Debug, Clone, Copy)]
pub struct Entries<'a> {
    /// Those of such a holder; of a key where there is no kind.
    pub kind: Option<HolderKind>,
    /// Its id.
    pub id: &'a str,
    /// Those at the provider of this name in the place of a holder's.
    pub is_provider: bool,
    /// Since a time, Unix milliseconds.
    pub since: i64,
}

/// What a request has used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UsedRequest {
    /// When it was settled, Unix milliseconds.
    pub at: i64,
    /// The replica; empty where the id tells of none.
    pub replica: String,
    /// The name that the client asked for.
    pub model: String,
    /// Who was asked last; empty where nobody was.
    pub provider: String,
    /// Tokens.
    pub usage: Usage,
    /// Money.
    pub cost: Money,
}

impl Store {
    /// What a holder (a key, where no kind is given) has spent since a time, Unix milliseconds, replica by replica.
    /// What was not charged under an id of a replica, or of which only sums are kept, comes under the empty name.
    ///
    /// # Errors
    /// When the database refuses.
    pub fn spent_by_replica(
        &self,
        kind: Option<HolderKind>,
        id: &str,
        since: i64,
    ) -> Result<Vec<(String, Money)>, StoreError> {
        match self.entries_of(kind, id)? {
            Some(filter) => self.by_replica(LedgerFilter { since, ..filter }),
            None => Ok(Vec::new()),
        }
    }

    /// What was spent at a provider since a time, Unix milliseconds, replica by replica.
    ///
    /// # Errors
    /// When the database refuses.
    pub fn spent_at(&self, provider: &str, since: i64) -> Result<Vec<(String, Money)>, StoreError> {
        let mut filter = LedgerFilter {
            since,
            ..LedgerFilter::default()
        };
        filter.of.provider = Some(provider.to_owned());
        self.by_replica(filter)
    }

    fn by_replica(&self, filter: LedgerFilter) -> Result<Vec<(String, Money)>, StoreError> {
        let mut conditions = Conditions::default();
        filter.apply(&mut conditions, true, self.dialect().bears_tag);
        let sql = format!(
            "SELECT {REPLICA} AS replica, CAST(SUM(cost) AS BIGINT) FROM ledger{} GROUP BY 1",
            conditions.sql()
        );
        // Of what is written down between the two readings nothing is taken for a month that is gone: this comes first.
        let all = if self.is_shared() {
            self.spent_of(filter)?
        } else {
            Money::ZERO
        };
        let mut spent = self.read_much(|session| {
            session.all(&sql, conditions.values(), |row| {
                Ok((row.text(0)?, Money::from_nanodollars(row.integer(1)?)))
            })
        })?;
        // Months that are gone have left their sums.
        let told: Money = spent.iter().map(|(_, money)| *money).sum();
        if all > told {
            spent.push((String::new(), all - told));
        }
        Ok(spent)
    }

    /// What a holder (a key, where no kind is given) has used since a time, Unix milliseconds, by replica and model, and by
    /// provider where that is asked for: money where nothing else is counted. Replicas come one after the other.
    ///
    /// # Errors
    /// When the database refuses.
    pub fn used_by_model(
        &self,
        (kind, id): (Option<HolderKind>, &str),
        counted: Option<Counted>,
        (since, by_provider): (i64, bool),
    ) -> Result<Vec<UsedRow>, StoreError> {
        let Some(filter) = self.entries_of(kind, id)? else {
            return Ok(Vec::new());
        };
        let mut conditions = Conditions::default();
        LedgerFilter { since, ..filter }.apply(&mut conditions, true, self.dialect().bears_tag);
        let amount = amount_of(counted);
        let apart = ToldApart {
            models: true,
            providers: by_provider,
        };
        let sql = format!(
            "SELECT {REPLICA} AS replica, {}, CAST(SUM({amount}) AS BIGINT) FROM ledger{}
             GROUP BY 1, 2, 3 ORDER BY 1, 2, 3",
            apart.columns(),
            conditions.sql()
        );
        self.read_much(|session| {
            session.all(&sql, conditions.values(), |row| {
                Ok(UsedRow {
                    replica: row.text(0)?,
                    model: row.text(1)?,
                    provider: row.text(2)?,
                    amount: row.integer(3)?,
                })
            })
        })
    }

    /// What was used, in buckets of so many milliseconds, the oldest first, with what is told apart: money where nothing else is counted. Of months of which only sums are kept, money is known that is not told apart: it
    /// counts as spent when the first of the rest was, or now where nothing else is left.
    ///
    /// # Errors
    /// When the database refuses.
    pub fn used_in_buckets(
        &self,
        entries: Entries<'_>,
        counted: Option<Counted>,
        (width, apart): (i64, ToldApart),
    ) -> Result<Vec<UsedBucket>, StoreError> {
        let found = if entries.is_provider {
            let mut filter = LedgerFilter::default();
            filter.of.provider = Some(entries.id.to_owned());
            Some(filter)
        } else {
            self.entries_of(entries.kind, entries.id)?
        };
        let Some(filter) = found else {
            return Ok(Vec::new());
        };
        let since = entries.since;
        let filter = LedgerFilter { since, ..filter };
        let mut conditions = Conditions::default();
        filter.apply(&mut conditions, true, self.dialect().bears_tag);
        let (amount, width) = (amount_of(counted), width.max(1));
        // Of what is written down between the two readings nothing is taken for a month that is gone: this comes first.
        let keeps_sums = self.is_shared() && counted.is_none() && apart == ToldApart::default();
        let all = if keeps_sums {
            self.spent_of(filter)?.nanodollars()
        } else {
            0
        };
        let sql = format!(
            "SELECT at / {width} AS bucket, {}, CAST(SUM({amount}) AS BIGINT) FROM ledger{}
             GROUP BY 1, 2, 3 ORDER BY 1, 2, 3",
            apart.columns(),
            conditions.sql()
        );
        let mut used = self.read_much(|session| {
            session.all(&sql, conditions.values(), |row| {
                Ok(UsedBucket {
                    bucket: row.integer(0)?,
                    model: row.text(1)?,
                    provider: row.text(2)?,
                    amount: row.integer(3)?,
                })
            })
        })?;
        let told = used.iter().fold(0_i64, |sum, row| sum.saturating_add(row.amount));
        let more = all.saturating_sub(told);
        if keeps_sums && more > 0 {
            let bucket = used.first().map_or(now() / width, |row| row.bucket);
            let row = UsedBucket {
                bucket,
                model: String::new(),
                provider: String::new(),
                amount: more,
            };
            used.insert(0, row);
        }
        Ok(used)
    }

    /// Tells what each request of a holder (a key, where no kind is given) has used since a time, Unix milliseconds, one
    /// after the other: there may be millions. What was remembered has used nothing, and is not told.
    ///
    /// # Errors
    /// When the database refuses.
    pub fn each_used(
        &self,
        (kind, id): (Option<HolderKind>, &str),
        since: i64,
        each: &mut dyn FnMut(UsedRequest),
    ) -> Result<(), StoreError> {
        let Some(filter) = self.entries_of(kind, id)? else {
            return Ok(());
        };
        let mut conditions = Conditions::default();
        LedgerFilter { since, ..filter }.apply(&mut conditions, true, self.dialect().bears_tag);
        let sql = format!(
            "SELECT {REPLICA} AS replica, model_requested, cost, usage_json, outcome, at, {PROVIDER} FROM ledger{}",
            conditions.sql()
        );
        self.read_much(|session| {
            session.each(&sql, conditions.values(), &mut |row| {
                if row.text(4)? != "cached" {
                    each(UsedRequest {
                        at: row.integer(5)?,
                        provider: row.text(6)?,
                        replica: row.text(0)?,
                        model: row.text(1)?,
                        cost: Money::from_nanodollars(row.integer(2)?),
                        usage: serde_json::from_str(&row.text(3)?)?,
                    });
                }
                Ok(true)
            })
        })
    }
}

/// What is summed up of an entry, as a column. What was remembered has used nothing but its request.
fn amount_of(counted: Option<Counted>) -> &'static str {
    match counted {
        None => "cost",
        Some(Counted::Requests) => "CAST(1 AS BIGINT)",
        Some(Counted::Tokens) => "CASE WHEN outcome = 'cached' THEN 0 ELSE input + output END",
        Some(Counted::InputTokens) => "CASE WHEN outcome = 'cached' THEN 0 ELSE input END",
        Some(Counted::OutputTokens) => "CASE WHEN outcome = 'cached' THEN 0 ELSE output END",
        // The database knows no expressions: those ask for each request.
        Some(Counted::Custom) => "CAST(0 AS BIGINT)",
    }
}

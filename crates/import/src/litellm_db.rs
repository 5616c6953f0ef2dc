//! LiteLLM's database, carried over: organizations, teams, projects, users, keys by their hashes, budgets and what was
//! spent of them. It is read at one moment, and never changed.

mod apply;
mod plan;
mod row;
mod table;
mod terms;
mod told;

use std::time::{SystemTime, UNIX_EPOCH};

use pointsman_store::{AdoptedKey, ForeignDatabase, HolderKind, HolderSpec, Snapshot, StoreError};
use serde::de::DeserializeOwned;
use serde_json::json;

pub use apply::Applied;
pub use told::Told;

use plan::{Balance, Plan};

/// Parameters that Prisma takes in a URL and nobody else does.
const PRISMA: [&str; 9] = [
    "connection_limit",
    "pool_timeout",
    "pgbouncer",
    "statement_cache_size",
    "socket_timeout",
    "sslaccept",
    "sslidentity",
    "sslpassword",
    "schema",
];
/// The schema, where the URL does not say.
const SCHEMA: &str = "public";

/// What becomes of a database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Migration {
    /// Holders, in the order in which they can be made.
    holders: Vec<(HolderKind, String, HolderSpec)>,
    keys: Vec<AdoptedKey>,
    balances: Vec<Balance>,
    /// What is not carried over as it was.
    told: Vec<Told>,
}

/// Reads the database of a URL, as LiteLLM's `DATABASE_URL` has it.
///
/// # Errors
/// When it cannot be read, or is not LiteLLM's. No error holds a password.
pub fn litellm_db(url: &str) -> Result<Migration, StoreError> {
    let (url, schema) = without_prisma(url);
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |time| i64::try_from(time.as_millis()).unwrap_or(i64::MAX));
    ForeignDatabase::new(&url)?.at_once(&schema, |snapshot| read(snapshot, now))
}

fn read(snapshot: &mut Snapshot<'_>, now: i64) -> Result<Migration, StoreError> {
    let tables = snapshot.tables(table::PREFIX)?;
    let has = |name: &str| tables.iter().any(|table| table == name);
    if !has(table::KEYS) {
        return Err(StoreError::Invalid(format!(
            "it is not LiteLLM's database: it has no table {}",
            table::KEYS
        )));
    }
    let mut plan = Plan::new(now);
    // In the order in which one refers to another.
    each(snapshot, &tables, table::BUDGETS, |row| plan.budget(row))?;
    each(snapshot, &tables, table::ORGANIZATIONS, |row| {
        plan.organization(row);
    })?;
    each(snapshot, &tables, table::TEAMS, |row| plan.team(row))?;
    each(snapshot, &tables, table::PROJECTS, |row| plan.project(row))?;
    each(snapshot, &tables, table::USERS, |row| plan.user(row))?;
    each(snapshot, &tables, table::KEYS, |row| plan.key(row))?;
    each(snapshot, &tables, table::FORMER, |row| plan.former(&row))?;
    plan.finish();
    for name in tables.iter().filter(|name| !table::READ.contains(&name.as_str())) {
        if let Some(why) = table::why(name)
            && snapshot.has_rows(name)?
        {
            plan.told.lost(name, why, "");
        }
    }
    Ok(Migration {
        holders: plan.holders,
        keys: plan.keys,
        balances: plan.balances,
        told: plan.told.into_list(),
    })
}

/// Reads the rows of a table, where this version of LiteLLM has it.
fn each<T: DeserializeOwned>(
    snapshot: &mut Snapshot<'_>,
    tables: &[String],
    table: &str,
    mut take: impl FnMut(T),
) -> Result<(), StoreError> {
    if !tables.iter().any(|name| name == table) {
        return Ok(());
    }
    snapshot.each_row(table, |json| {
        // What serde says of a row may quote it: a row may hold secrets.
        let row = serde_json::from_str(json).map_err(|error| {
            StoreError::Invalid(format!(
                "a row of {table} is not as LiteLLM's schema has it ({:?} error at byte {})",
                error.classify(),
                error.column()
            ))
        })?;
        take(row);
        Ok(())
    })
}

/// A URL without what only Prisma knows, and the schema that it names.
fn without_prisma(url: &str) -> (String, String) {
    let Some((place, query)) = url.split_once('?') else {
        return (url.to_owned(), SCHEMA.to_owned());
    };
    let name = |pair: &str| pair.split('=').next().unwrap_or_default().to_owned();
    let pairs: Vec<&str> = query.split('&').filter(|pair| !pair.is_empty()).collect();
    let schema = pairs.iter().find_map(|pair| pair.strip_prefix("schema="));
    let rest: Vec<&str> = pairs
        .iter()
        .copied()
        .filter(|pair| !PRISMA.contains(&name(pair).as_str()))
        .collect();
    let url = if rest.is_empty() {
        place.to_owned()
    } else {
        format!("{place}?{}", rest.join("&"))
    };
    (url, schema.unwrap_or(SCHEMA).to_owned())
}

impl Migration {
    /// What would be made, in words.
    #[must_use]
    pub fn summary(&self) -> String {
        let kinds = [
            (HolderKind::Organization, "organization(s)"),
            (HolderKind::Team, "team(s)"),
            (HolderKind::Project, "project(s)"),
            (HolderKind::User, "user(s)"),
            (HolderKind::Plan, "named budget(s)"),
        ];
        let count = |kind| self.holders.iter().filter(|(of, ..)| *of == kind).count();
        let holders = kinds.map(|(kind, name)| format!("{} {name}", count(kind)));
        format!(
            "{}, {} key(s); {} of all these have spent something",
            holders.join(", "),
            self.keys.len(),
            self.balances.len()
        )
    }

    /// What is not carried over as it was.
    #[must_use]
    pub fn told(&self) -> &[Told] {
        &self.told
    }

    /// The same for a terminal, a line each.
    #[must_use]
    pub fn text(&self) -> String {
        told::text(&self.told)
    }

    /// For people: what would be made, and a table of what is not as it was.
    #[must_use]
    pub fn markdown(&self) -> String {
        format!(
            "# LiteLLM's database\n\n{}.\n\n{}",
            self.summary(),
            told::markdown(&self.told)
        )
    }

    /// For programs.
    #[must_use]
    pub fn json(&self) -> String {
        let all = json!({ "summary": self.summary(), "told": self.told });
        let mut text = serde_json::to_string_pretty(&all).unwrap_or_default();
        text.push('\n');
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_only_prisma_knows_is_taken_out_of_the_url() {
        let both = |url: &str| {
            let (url, schema) = without_prisma(url);
            format!("{url} {schema}")
        };
        assert_eq!(both("postgres://u@h/l"), "postgres://u@h/l public");
        assert_eq!(
            both("postgresql://u:p@h/l?schema=llm&connection_limit=5&sslmode=disable"),
            "postgresql://u:p@h/l?sslmode=disable llm"
        );
        assert_eq!(both("postgres://u@h/l?pgbouncer=true"), "postgres://u@h/l public");
    }
}

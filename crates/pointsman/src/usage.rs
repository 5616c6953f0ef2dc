//! `pointsman usage`: what was used and what it cost, for people, and for programs as CSV or JSON.

use std::io::{self, BufWriter, Write};
use std::process::ExitCode;

use clap::{Subcommand, ValueEnum};
use pointsman_catalog::Money;
use pointsman_store::{LedgerEntry, LedgerFilter, Store, StoreError, UsageGroup, UsageRow};
use serde_json::{Map, Value, json};

use crate::console;
use crate::holders::Database;

/// Rows of a report.
const MAX_ROWS: u32 = 100_000;
/// Rows of the ledger that are read at once.
const PAGE: u32 = 5_000;
/// Milliseconds of a day.
const DAY: i64 = 86_400_000;

#[derive(clap::Args)]
pub(crate) struct Usage {
    #[command(flatten)]
    database: Database,
    /// What it is summed up by; may be given several times.
    #[arg(long, value_enum, global = true, default_values_t = [Group::Team, Group::Model])]
    by: Vec<Group>,
    /// For so many days.
    #[arg(long, global = true, default_value_t = 30)]
    days: u32,
    #[command(subcommand)]
    action: Option<Action>,
}

#[derive(Subcommand)]
enum Action {
    /// Writes it to standard output for other programs.
    Export {
        /// How it is written.
        #[arg(long, value_enum, default_value_t = Format::Csv)]
        format: Format,
        /// Request by request, the newest first, instead of summed up.
        #[arg(long)]
        requests: bool,
    },
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// A line of names, then a line for each row (RFC 4180).
    Csv,
    /// A JSON object in each line.
    Json,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Group {
    Key,
    User,
    Project,
    Team,
    Organization,
    Model,
    Provider,
    Day,
}

impl Group {
    fn group(self) -> UsageGroup {
        match self {
            Self::Key => UsageGroup::Key,
            Self::User => UsageGroup::User,
            Self::Project => UsageGroup::Project,
            Self::Team => UsageGroup::Team,
            Self::Organization => UsageGroup::Organization,
            Self::Model => UsageGroup::Model,
            Self::Provider => UsageGroup::Provider,
            Self::Day => UsageGroup::Day,
        }
    }
}

/// What went wrong on the way out.
#[derive(Debug, thiserror::Error)]
enum Broken {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Json(#[from] serde_json::Error),
    #[error("standard output: {0}")]
    Output(#[from] io::Error),
}

/// Shows what was used and what it cost.
pub(crate) fn run(arguments: Usage) -> ExitCode {
    let mut groups: Vec<UsageGroup> = Vec::new();
    for group in arguments.by.iter().map(|group| group.group()) {
        if !groups.contains(&group) {
            groups.push(group);
        }
    }
    let since = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .map_or(0, |now| now.as_millis() as i64)
        - i64::from(arguments.days) * DAY;
    let filter = LedgerFilter {
        since,
        limit: MAX_ROWS,
        ..LedgerFilter::default()
    };
    let store = match arguments.database.open() {
        Ok(store) => store,
        Err(message) => return console::fail(&message),
    };
    let told = match arguments.action {
        None => show(&store, &filter, &groups),
        Some(Action::Export { format, requests }) => {
            let mut out = BufWriter::new(io::stdout().lock());
            let written = if requests {
                export_requests(&store, filter, format, &mut out)
            } else {
                export_sums(&store, &filter, (&groups, format), &mut out)
            };
            written.and_then(|()| Ok(out.flush()?))
        }
    };
    match told {
        Ok(()) => ExitCode::SUCCESS,
        // Whoever reads has seen enough.
        Err(Broken::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => console::fail(&error.to_string()),
    }
}

fn show(store: &Store, filter: &LedgerFilter, groups: &[UsageGroup]) -> Result<(), Broken> {
    for row in store.usage(filter, groups)? {
        let group: Vec<_> = row
            .group
            .iter()
            .map(|name| name.as_deref().unwrap_or("-"))
            .collect();
        let saved = if row.cached == 0 && row.saved == Money::ZERO {
            String::new()
        } else {
            format!("  ({} remembered, saved {})", row.cached, row.saved)
        };
        console::say(format!(
            "{:<48} {:>9} requests {:>12} tokens in {:>12} out  {}{saved}",
            group.join("  "),
            row.requests,
            row.input,
            row.output,
            row.cost
        ));
    }
    Ok(())
}

fn export_sums(
    store: &Store,
    filter: &LedgerFilter,
    (groups, format): (&[UsageGroup], Format),
    out: &mut impl Write,
) -> Result<(), Broken> {
    let rows = store.usage(filter, groups)?;
    let mut first = true;
    for row in &rows {
        write(out, format, &sum(row, groups), &mut first)?;
    }
    if rows.len() == MAX_ROWS as usize {
        console::complain(format!(
            "these are the first {MAX_ROWS} rows; ask for fewer days, or by less"
        ));
    }
    Ok(())
}

fn export_requests(
    store: &Store,
    mut filter: LedgerFilter,
    format: Format,
    out: &mut impl Write,
) -> Result<(), Broken> {
    filter.limit = PAGE;
    let mut first = true;
    loop {
        let page = store.ledger_page(&filter)?;
        for entry in &page.items {
            write(out, format, &request(entry)?, &mut first)?;
        }
        match page.items.last().filter(|_| page.more) {
            None => return Ok(()),
            Some(last) => filter.before = Some((last.at, last.id.as_str().to_owned())),
        }
    }
}

/// Money is told in whole nano-dollars: nothing is rounded on the way.
fn sum(row: &UsageRow, groups: &[UsageGroup]) -> Map<String, Value> {
    let names = groups.iter().map(|group| group.as_str().to_owned());
    let mut fields: Map<_, _> = names.zip(row.group.iter().map(|name| json!(name))).collect();
    for (name, value) in [
        ("requests", json!(row.requests)),
        ("failed", json!(row.failed)),
        ("input_tokens", json!(row.input)),
        ("output_tokens", json!(row.output)),
        ("cost_nanodollars", json!(row.cost.nanodollars())),
        ("cached", json!(row.cached)),
        ("cached_tokens", json!(row.cached_tokens)),
        ("saved_nanodollars", json!(row.saved.nanodollars())),
    ] {
        fields.insert(name.to_owned(), value);
    }
    fields
}

fn request(entry: &LedgerEntry) -> Result<Map<String, Value>, Broken> {
    let Value::Object(mut fields) = serde_json::to_value(entry)? else {
        return Ok(Map::new());
    };
    fields.remove("cost");
    fields.remove("usage");
    fields.remove("saved");
    fields.insert("input_tokens".to_owned(), json!(entry.usage.input));
    fields.insert("output_tokens".to_owned(), json!(entry.usage.output));
    fields.insert("cost_nanodollars".to_owned(), json!(entry.cost.nanodollars()));
    fields.insert("saved_nanodollars".to_owned(), json!(entry.saved.nanodollars()));
    Ok(fields)
}

fn write(
    out: &mut impl Write,
    format: Format,
    fields: &Map<String, Value>,
    first: &mut bool,
) -> Result<(), Broken> {
    if format == Format::Json {
        serde_json::to_writer(&mut *out, fields)?;
        return Ok(out.write_all(b"\n")?);
    }
    if std::mem::take(first) {
        let names: Vec<_> = fields.keys().map(String::as_str).collect();
        write!(out, "{}\r\n", names.join(","))?;
    }
    let cells: Vec<_> = fields.values().map(cell).collect();
    write!(out, "{}\r\n", cells.join(","))?;
    Ok(())
}

/// A value as a cell. A text that a spreadsheet would take for a formula gets an apostrophe before it: clients choose
/// names of models.
fn cell(value: &Value) -> String {
    let text = match value {
        Value::Null => return String::new(),
        Value::String(text) if text.starts_with(['=', '+', '-', '@', '\t', '\r']) => format!("'{text}"),
        Value::String(text) => text.clone(),
        other => return other.to_string(),
    };
    if text.contains(['"', ',', '\n', '\r']) {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_read_as_they_were_meant() {
        for (value, expected) in [
            (json!(null), ""),
            (json!(7), "7"),
            (json!(true), "true"),
            (json!("plain"), "plain"),
            (json!("a,b"), "\"a,b\""),
            (json!("say \"x\"\n"), "\"say \"\"x\"\"\n\""),
            (json!("=HYPERLINK(\"evil\")"), "\"'=HYPERLINK(\"\"evil\"\")\""),
            (json!("-1+1"), "'-1+1"),
        ] {
            assert_eq!(cell(&value), expected);
        }
    }
}

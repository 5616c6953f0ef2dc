//! `pointsman usage`: what was used and what it cost, for people, and for programs as CSV, JSON or Parquet.

mod parquet;

use std::io::{self, BufWriter, Stdout, Write};
use std::process::ExitCode;

use clap::{Subcommand, ValueEnum};
use pointsman_catalog::Money;
use pointsman_store::{LedgerEntry, LedgerFilter, Store, UsageGroup, UsageRow};
use serde_json::{Map, Value, json};

use self::parquet::Table;
use crate::console;
use crate::exported::{self, Broken};
use crate::holders::Database;

/// Rows of a report.
const MAX_ROWS: u32 = 100_000;
/// Rows of the ledger that are read at once.
const PAGE: u32 = 5_000;
/// What is told of a sum.
const SUMS: [&str; 8] = [
    "requests",
    "failed",
    "input_tokens",
    "output_tokens",
    "cost_nanodollars",
    "cached",
    "cached_tokens",
    "saved_nanodollars",
];
/// What is told of a request.
const REQUEST: [&str; 27] = [
    "id",
    "at",
    "key",
    "team",
    "user",
    "surface",
    "model_requested",
    "provider",
    "model",
    "decision",
    "outcome",
    "usage_estimated",
    "attempts",
    "streamed",
    "status",
    "latency_us",
    "ttft_us",
    "cache",
    "organization",
    "project",
    "customer",
    "agent",
    "tags",
    "input_tokens",
    "output_tokens",
    "cost_nanodollars",
    "saved_nanodollars",
];
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
    /// Parquet: columns with types, not compressed.
    Parquet,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Group {
    Key,
    User,
    Project,
    Team,
    Organization,
    Customer,
    Agent,
    Tag,
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
            Self::Customer => UsageGroup::Customer,
            Self::Agent => UsageGroup::Agent,
            Self::Tag => UsageGroup::Tag,
            Self::Model => UsageGroup::Model,
            Self::Provider => UsageGroup::Provider,
            Self::Day => UsageGroup::Day,
        }
    }
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
            let names = if requests {
                REQUEST.to_vec()
            } else {
                sum_names(&groups)
            };
            Sink::open(format, &names).and_then(|mut out| {
                if requests {
                    export_requests(&store, filter, &mut out)?;
                } else {
                    export_sums(&store, &filter, &groups, &mut out)?;
                }
                out.finish()
            })
        }
    };
    exported::ended(told)
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

/// Where rows go.
enum Sink {
    Csv {
        out: BufWriter<Stdout>,
        /// Whether the line of names is still to come.
        is_new: bool,
    },
    Json(BufWriter<Stdout>),
    Parquet(Box<Table<BufWriter<Stdout>>>),
}

impl Sink {
    /// Standard output; rows will have these fields.
    fn open(format: Format, names: &[&str]) -> Result<Self, Broken> {
        let out = BufWriter::new(io::stdout());
        Ok(match format {
            Format::Csv => Self::Csv { out, is_new: true },
            Format::Json => Self::Json(out),
            Format::Parquet => Self::Parquet(Box::new(Table::new(out, names)?)),
        })
    }

    fn add(&mut self, fields: Map<String, Value>) -> Result<(), Broken> {
        match self {
            Self::Csv { out, is_new } => {
                if std::mem::take(is_new) {
                    let names: Vec<_> = fields.keys().map(String::as_str).collect();
                    write!(out, "{}\r\n", names.join(","))?;
                }
                let cells: Vec<_> = fields.values().map(cell).collect();
                write!(out, "{}\r\n", cells.join(","))?;
            }
            Self::Json(out) => {
                serde_json::to_writer(&mut *out, &fields)?;
                out.write_all(b"\n")?;
            }
            Self::Parquet(table) => table.add(fields)?,
        }
        Ok(())
    }

    fn finish(self) -> Result<(), Broken> {
        match self {
            Self::Csv { mut out, .. } | Self::Json(mut out) => Ok(out.flush()?),
            Self::Parquet(table) => Ok(table.finish()?),
        }
    }
}

fn export_sums(
    store: &Store,
    filter: &LedgerFilter,
    groups: &[UsageGroup],
    out: &mut Sink,
) -> Result<(), Broken> {
    let rows = store.usage(filter, groups)?;
    for row in &rows {
        out.add(sum(row, groups))?;
    }
    if rows.len() == MAX_ROWS as usize {
        console::complain(format!(
            "these are the first {MAX_ROWS} rows; ask for fewer days, or by less"
        ));
    }
    Ok(())
}

fn export_requests(store: &Store, mut filter: LedgerFilter, out: &mut Sink) -> Result<(), Broken> {
    filter.limit = PAGE;
    loop {
        let page = store.ledger_page(&filter)?;
        for entry in &page.items {
            out.add(request(entry)?)?;
        }
        match page.items.last().filter(|_| page.more) {
            None => return Ok(()),
            Some(last) => filter.before = Some((last.at, last.id.as_str().to_owned())),
        }
    }
}

/// Fields of a sum.
fn sum_names(groups: &[UsageGroup]) -> Vec<&'static str> {
    let names = groups.iter().map(|group| group.as_str());
    names.chain(SUMS).collect()
}

/// Money is told in whole nano-dollars: nothing is rounded on the way.
fn sum(row: &UsageRow, groups: &[UsageGroup]) -> Map<String, Value> {
    let names = groups.iter().map(|group| group.as_str().to_owned());
    let mut fields: Map<_, _> = names.zip(row.group.iter().map(|name| json!(name))).collect();
    let values = [
        json!(row.requests),
        json!(row.failed),
        json!(row.input),
        json!(row.output),
        json!(row.cost.nanodollars()),
        json!(row.cached),
        json!(row.cached_tokens),
        json!(row.saved.nanodollars()),
    ];
    fields.extend(SUMS.map(str::to_owned).into_iter().zip(values));
    fields
}

fn request(entry: &LedgerEntry) -> Result<Map<String, Value>, Broken> {
    let Value::Object(mut fields) = serde_json::to_value(entry)? else {
        return Ok(Map::new());
    };
    // The others keep their order.
    for name in ["cost", "usage", "saved"] {
        fields.shift_remove(name);
    }
    // A cell is one text.
    fields.insert("tags".to_owned(), json!(entry.tags.join(",")));
    fields.insert("input_tokens".to_owned(), json!(entry.usage.input));
    fields.insert("output_tokens".to_owned(), json!(entry.usage.output));
    fields.insert("cost_nanodollars".to_owned(), json!(entry.cost.nanodollars()));
    fields.insert("saved_nanodollars".to_owned(), json!(entry.saved.nanodollars()));
    Ok(fields)
}

/// A value as a cell. A text that a spreadsheet would take for a formula gets an apostrophe before it: clients choose
/// names of models.
pub(crate) fn cell(value: &Value) -> String {
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
    fn columns_are_what_rows_have() {
        let entry = json!({
            "id": "r", "at": 1, "key": null, "team": null, "user": null, "surface": "s", "model_requested": "m",
            "provider": null, "model": null, "decision": null, "outcome": "complete", "usage": {},
            "usage_estimated": false, "cost": 7, "attempts": 1, "streamed": false, "status": 200, "latency_us": 1,
            "ttft_us": null, "cache": "miss",
        });
        let fields = request(&serde_json::from_value(entry).unwrap()).unwrap();
        assert_eq!(fields.keys().collect::<Vec<_>>(), REQUEST);
        assert_eq!(sum_names(&[UsageGroup::Team])[..2], ["team", "requests"]);
    }

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

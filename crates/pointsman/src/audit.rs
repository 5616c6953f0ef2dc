//! `pointsman audit`: whether the audit log is as it was written, what is in it, and how long it is kept.

use std::io::{self, BufWriter, Write};
use std::process::ExitCode;

use clap::{Subcommand, ValueEnum};
use pointsman_store::{Actor, Audited, Store};
use serde_json::{Map, Value};

use crate::console;
use crate::exported::{self, Broken};
use crate::holders::Database;
use crate::usage::cell;

/// Rows that are read at once.
const PAGE: u32 = 1_000;
/// Milliseconds of a day.
const DAY: i64 = 86_400_000;

#[derive(clap::Args)]
pub(crate) struct Audit {
    #[command(flatten)]
    database: Database,
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    /// Checks that nobody has changed it.
    Verify {
        /// The head that an earlier check has shown, hexadecimal: it must still be in the log.
        #[arg(long)]
        head: Option<String>,
    },
    /// Writes it to standard output, the oldest first.
    Export {
        /// How it is written.
        #[arg(long, value_enum, default_value_t = Format::Json)]
        format: Format,
        /// Rows after the one of this number.
        #[arg(long, default_value_t = 0)]
        after: i64,
    },
    /// Takes out what is older than so many days, and writes down that it did. Export it first.
    Trim {
        /// How long rows are kept.
        #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
        days: u32,
    },
}

#[derive(Clone, Copy, ValueEnum)]
enum Format {
    /// A line of names, then a line for each row (RFC 4180).
    Csv,
    /// A JSON object in each line.
    Json,
}

/// Looks at the audit log, or shortens it.
pub(crate) fn run(arguments: Audit) -> ExitCode {
    let store = match arguments.database.open() {
        Ok(store) => store,
        Err(message) => return console::fail(&message),
    };
    match arguments.action {
        Action::Verify { head } => verify(&store, head.as_deref()),
        Action::Export { format, after } => exported::ended(export(&store, format, after)),
        Action::Trim { days } => trim(&store, days),
    }
}

fn verify(store: &Store, head: Option<&str>) -> ExitCode {
    let known = head.map(|head| store.has_audited(head)).transpose();
    let verified = match known.and_then(|known| Ok((store.verify_audit()?, known))) {
        Ok(verified) => verified,
        Err(error) => return console::fail(&error.to_string()),
    };
    match verified {
        (verified, _) if verified.broken.is_some() => console::fail(&format!(
            "row {} does not fit to the one before: the audit log has been changed",
            verified.broken.unwrap_or_default()
        )),
        (_, Some(false)) => {
            console::fail("the head is not in the audit log: rows have been taken from its end, or trimmed")
        }
        (verified, _) => {
            let trimmed = match verified.trimmed {
                0 => String::new(),
                count => format!(" ({count} before them were trimmed)"),
            };
            console::say(format!("{} rows{trimmed}, head {}", verified.rows, verified.head));
            ExitCode::SUCCESS
        }
    }
}

fn trim(store: &Store, days: u32) -> ExitCode {
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .map_or(0, |now| now.as_millis() as i64);
    match store.trim_audit(&Actor::local(), now - i64::from(days) * DAY) {
        Ok(None) => console::say("nothing is older"),
        Ok(Some(trimmed)) => console::say(format!(
            "{} rows are taken out; the hash of the last is {}",
            trimmed.rows, trimmed.head
        )),
        Err(error) => return console::fail(&error.to_string()),
    }
    ExitCode::SUCCESS
}

fn export(store: &Store, format: Format, mut after: i64) -> Result<(), Broken> {
    let mut out = BufWriter::new(io::stdout().lock());
    let mut is_first = true;
    loop {
        let rows = store.audit(after, PAGE)?;
        for row in &rows {
            let fields = fields(row)?;
            match format {
                Format::Json => {
                    serde_json::to_writer(&mut out, &fields)?;
                    out.write_all(b"\n")?;
                }
                Format::Csv => {
                    if std::mem::take(&mut is_first) {
                        let names: Vec<_> = fields.keys().map(String::as_str).collect();
                        write!(out, "{}\r\n", names.join(","))?;
                    }
                    let cells: Vec<_> = fields.values().map(as_cell).collect();
                    write!(out, "{}\r\n", cells.join(","))?;
                }
            }
        }
        match rows.last() {
            Some(last) if rows.len() == PAGE as usize => after = last.number,
            _ => return Ok(out.flush()?),
        }
    }
}

fn fields(row: &Audited) -> Result<Map<String, Value>, Broken> {
    Ok(match serde_json::to_value(row)? {
        Value::Object(fields) => fields,
        _ => Map::new(),
    })
}

/// What is no single value is JSON in its cell.
fn as_cell(value: &Value) -> String {
    match value {
        Value::Object(_) | Value::Array(_) => cell(&Value::String(value.to_string())),
        other => cell(other),
    }
}

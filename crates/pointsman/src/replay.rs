//! `pointsman replay`: recorded decisions, taken again by a configuration before it goes live.

mod told;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use pointsman_config::{Config, Environment};
use pointsman_gateway::again::{Change, Retaken, Retaker};
use pointsman_gateway::snapshot::{self, Lasting, Snapshot};
use pointsman_store::{DecisionFilter, Store};

use crate::console;
use told::Summary;

/// Records that are read at once.
const PAGE: u32 = 1_000;

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// The configuration that is tried.
    #[arg(short, long)]
    config: PathBuf,
    /// The configuration that took the decisions: then what has changed of each rule is told, too.
    #[arg(long)]
    current: Option<PathBuf>,
    /// Only decisions from then on: a time (2026-11-24T12:00:00Z), a day (2026-11-24) or an age (90m, 24h, 7d).
    #[arg(long)]
    since: Option<String>,
    /// Only those of this decision.
    #[arg(long)]
    decision: Option<String>,
    /// At most so many changed requests are told one by one; all of them as JSON.
    #[arg(long, default_value_t = 20)]
    limit: usize,
    /// A line of JSON for each request that changes, and one for all together.
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(arguments: &Arguments) -> ExitCode {
    match replayed(arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => console::fail(&message),
    }
}

fn replayed(arguments: &Arguments) -> Result<(), String> {
    let (config, now) = compiled(&arguments.config)?;
    let before = arguments.current.as_deref().map(compiled).transpose()?;
    let store = Store::open(&config.stores.database).map_err(|error| error.to_string())?;
    let mut retaker = Retaker::new(now, before.map(|(_, snapshot)| snapshot));
    retaker.learn(&store).map_err(|error| error.to_string())?;
    let since = arguments.since.as_deref().map(since).transpose()?;
    let begun = Instant::now();
    let mut summary = Summary::default();
    let mut filter = DecisionFilter {
        decision: arguments.decision.clone(),
        since: since.unwrap_or(0),
        oldest_first: true,
        limit: PAGE,
        ..DecisionFilter::default()
    };
    let mut shown: Vec<Retaken> = Vec::new();
    loop {
        let page = store.decisions(&filter).map_err(|error| error.to_string())?;
        for row in &page.items {
            let retaken = retaker
                .retake(row)
                .map_err(|error| format!("{}: {error}", row.request))?;
            summary.count(&retaken);
            if retaken.change == Change::Same {
                continue;
            }
            if arguments.json {
                console::say(told::line(&retaken));
            } else if shown.len() < arguments.limit {
                shown.push(retaken);
            }
        }
        filter.after = page.items.last().map(|row| row.number);
        if !page.more {
            break;
        }
    }
    summary.took = begun.elapsed();
    match arguments.json {
        true => console::say(told::summary_line(&summary)),
        false => told::people(&summary, &shown).lines().for_each(console::say),
    }
    Ok(())
}

fn compiled(path: &Path) -> Result<(Config, Snapshot), String> {
    let loaded = pointsman_config::load(path, &Environment::process()).map_err(|problems| {
        let all: Vec<String> = problems.iter().map(ToString::to_string).collect();
        all.join("\n")
    })?;
    let snapshot = snapshot::compile(&loaded.config, &Lasting::default()).map_err(|problems| {
        let all: Vec<String> = problems.iter().map(ToString::to_string).collect();
        loaded.mask.apply(&all.join("\n"))
    })?;
    Ok((loaded.config, snapshot))
}

/// A time, a day or an age, as Unix milliseconds.
fn since(text: &str) -> Result<i64, String> {
    let day = || format!("{text}T00:00:00Z").parse::<jiff::Timestamp>();
    if let Ok(time) = text.parse::<jiff::Timestamp>().or_else(|_| day()) {
        return Ok(time.as_millisecond());
    }
    let age = text.find(|letter: char| !letter.is_ascii_digit()).and_then(|at| {
        let (number, unit) = text.split_at(at);
        let unit: i64 = match unit {
            "s" => 1_000,
            "m" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            _ => return None,
        };
        number.parse::<i64>().ok()?.checked_mul(unit)
    });
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let now = i64::try_from(now.as_millis()).unwrap_or(i64::MAX);
    age.map(|age| now - age).ok_or_else(|| {
        format!("--since {text:?} is no time, day or age: 2026-11-24T12:00:00Z, 2026-11-24, 24h")
    })
}

#[cfg(test)]
mod tests {
    use super::since;

    #[test]
    fn times_days_and_ages() {
        assert_eq!(since("1970-01-02").unwrap(), 86_400_000);
        assert_eq!(since("1970-01-01T00:00:01Z").unwrap(), 1_000);
        assert!(since("2h").unwrap() > since("1d").unwrap());
        for wrong in ["", "h", "2w", "yesterday", "99999999999999999999d"] {
            assert!(since(wrong).is_err(), "{wrong}");
        }
    }
}

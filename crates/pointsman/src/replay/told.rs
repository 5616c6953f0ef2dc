//! What a replay has found, for people and for programs.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use pointsman_gateway::again::{Change, Place, Retaken};
use serde_json::{Value, json};

/// Ways that are told, at most.
const WAYS: usize = 20;

/// All decisions together.
#[derive(Debug, Default)]
pub(super) struct Summary {
    pub(super) same: u64,
    pub(super) changed: u64,
    pub(super) unknown: u64,
    /// Of those that change and whose cost is known either way, in nano-dollars.
    pub(super) before: i64,
    pub(super) after: i64,
    /// Of all.
    pub(super) spent: i64,
    /// Changed requests whose new cost is not known.
    pub(super) unpriced: u64,
    /// The first and the last request.
    pub(super) times: Option<(i64, i64)>,
    pub(super) ways: BTreeMap<(String, String), Way>,
    pub(super) took: Duration,
}

/// Requests that go the same way.
#[derive(Debug, Default, Clone)]
pub(super) struct Way {
    requests: u64,
    before: i64,
    after: i64,
    /// The first of them, and why.
    example: String,
    why: Vec<String>,
}

impl Summary {
    pub(super) fn count(&mut self, retaken: &Retaken) {
        let cost = retaken.from.cost.unwrap_or(0);
        self.spent += cost;
        self.times = Some(self.times.map_or((retaken.at, retaken.at), |(first, last)| {
            (first.min(retaken.at), last.max(retaken.at))
        }));
        match retaken.change {
            Change::Same => self.same += 1,
            Change::Unknown => self.unknown += 1,
            Change::Changed => {
                self.changed += 1;
                let way = self
                    .ways
                    .entry((place(&retaken.from), place(&retaken.to)))
                    .or_insert_with(|| Way {
                        example: retaken.request.clone(),
                        why: retaken.why.clone(),
                        ..Way::default()
                    });
                way.requests += 1;
                match retaken.to.cost {
                    Some(after) => {
                        way.before += cost;
                        way.after += after;
                        self.before += cost;
                        self.after += after;
                    }
                    None => self.unpriced += 1,
                }
            }
        }
    }

    fn all(&self) -> u64 {
        self.same + self.changed + self.unknown
    }

    /// The ways, those of most requests first.
    fn ways(&self) -> Vec<(&(String, String), &Way)> {
        let mut ways: Vec<_> = self.ways.iter().collect();
        ways.sort_by_key(|(_, way)| std::cmp::Reverse(way.requests));
        ways
    }
}

/// A decision and its model in one word.
fn place(place: &Place) -> String {
    match (&place.decision, &place.model) {
        (None, _) => "nowhere".to_owned(),
        (Some(decision), None) => decision.clone(),
        (Some(decision), Some(model)) => format!("{decision} ({model})"),
    }
}

/// A request that changes, as a line of JSON.
pub(super) fn line(retaken: &Retaken) -> String {
    let mut line = json!(retaken);
    if let Value::Object(line) = &mut line {
        line.insert("at".to_owned(), json!(time(retaken.at)));
        for side in ["from", "to"] {
            let cost = line.get_mut(side).and_then(|side| side.as_object_mut());
            if let Some(side) = cost {
                let cost = side.remove("cost").and_then(|cost| cost.as_i64());
                side.insert("cost_usd".to_owned(), json!(cost.map(usd)));
            }
        }
    }
    line.to_string()
}

/// All together, as a line of JSON.
pub(super) fn summary_line(summary: &Summary) -> String {
    let ways: Vec<Value> = summary
        .ways()
        .into_iter()
        .map(|((from, to), way)| {
            json!({
                "from": from,
                "to": to,
                "requests": way.requests,
                "cost_before_usd": usd(way.before),
                "cost_after_usd": usd(way.after),
            })
        })
        .collect();
    json!({ "summary": {
        "decisions": summary.all(),
        "same": summary.same,
        "changed": summary.changed,
        "unknown": summary.unknown,
        "unpriced": summary.unpriced,
        "spent_usd": usd(summary.spent),
        "would_spend_usd": usd(summary.spent - summary.before + summary.after),
        "saved_usd": usd(summary.before - summary.after),
        "ways": ways,
        "seconds": summary.took.as_secs_f64(),
    }})
    .to_string()
}

/// For people.
pub(super) fn people(summary: &Summary, shown: &[Retaken]) -> String {
    let mut out = String::new();
    let all = summary.all();
    let (first, last) = summary.times.unwrap_or_default();
    let _ = writeln!(
        out,
        "replayed   {all} decisions in {:.1} s{}",
        summary.took.as_secs_f64(),
        if all == 0 {
            ": none is recorded; give decisions the plugin router_replay".to_owned()
        } else {
            format!(", {} to {}", time(first), time(last))
        }
    );
    for (name, count, note) in [
        ("same", summary.same, ""),
        ("changed", summary.changed, ""),
        ("unknown", summary.unknown, "depends on what was not recorded"),
    ] {
        let share = 100.0 * count as f64 / all.max(1) as f64;
        let line = format!("{name:<10} {count:>9}  {share:>5.1} %  {note}");
        let _ = writeln!(out, "{}", line.trim_end());
    }
    let would = summary.spent - summary.before + summary.after;
    let share = 100.0 * (would - summary.spent) as f64 / summary.spent.max(1) as f64;
    let _ = writeln!(
        out,
        "cost       ${} now, ${} then ({share:+.1} %)",
        usd(summary.spent),
        usd(would)
    );
    if summary.unpriced > 0 {
        let _ = writeln!(
            out,
            "           {} changed requests have no known price there",
            summary.unpriced
        );
    }
    ways(summary, &mut out);
    requests(summary, shown, &mut out);
    out
}

fn ways(summary: &Summary, out: &mut String) {
    let ways = summary.ways();
    if ways.is_empty() {
        return;
    }
    let _ = writeln!(out, "ways       requests        now $       then $");
    for ((from, to), way) in ways.iter().take(WAYS) {
        let _ = writeln!(
            out,
            "  {:>17} {:>12} {:>12}  {from} → {to}",
            way.requests,
            usd(way.before),
            usd(way.after)
        );
        let _ = writeln!(out, "           such as {}", way.example);
        for why in &way.why {
            let _ = writeln!(out, "           - {why}");
        }
    }
    if ways.len() > WAYS {
        let _ = writeln!(out, "  … and {} more; --json tells all", ways.len() - WAYS);
    }
}

fn requests(summary: &Summary, shown: &[Retaken], out: &mut String) {
    if shown.is_empty() {
        return;
    }
    let _ = writeln!(out, "requests");
    for retaken in shown {
        let (from, to) = (place(&retaken.from), place(&retaken.to));
        let to = match retaken.change {
            Change::Unknown => "?".to_owned(),
            _ => to,
        };
        let _ = writeln!(out, "  {}  {}  {from} → {to}", time(retaken.at), retaken.request);
        for why in &retaken.why {
            let _ = writeln!(out, "           - {why}");
        }
    }
    let rest = summary.changed + summary.unknown - shown.len() as u64;
    if rest > 0 {
        let _ = writeln!(out, "  … and {rest} more; --limit tells more, --json all");
    }
}

fn time(millis: i64) -> String {
    jiff::Timestamp::from_millisecond(millis).map_or_else(
        |_| millis.to_string(),
        |time| time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
    )
}

/// Nano-dollars as dollars.
fn usd(nanodollars: i64) -> String {
    let sign = if nanodollars < 0 { "-" } else { "" };
    let whole = nanodollars.unsigned_abs();
    format!(
        "{sign}{}.{:06}",
        whole / 1_000_000_000,
        whole % 1_000_000_000 / 1_000
    )
}

//! What was used and what it cost, and who changed what.

use pointsman_store::{LedgerEntry, LedgerFilter, Outcome, Permission, UsageFilter, UsageGroup, UsageRow};
use serde_json::{Map, Value, json};

use crate::call::{Answer, Call, Failed, Reply, parse, value};
use crate::shapes::{instant, time, usd};

/// What usage and ledger can be narrowed by.
const FILTERS: [&str; 14] = [
    "key",
    "user",
    "project",
    "team",
    "organization",
    "customer",
    "agent",
    "tag",
    "model",
    "provider",
    "outcome",
    "request",
    "since",
    "until",
];

/// Usage, summed up.
pub fn usage(call: &Call) -> Answer {
    call.only(&[&FILTERS[..], &["by", "limit"]].concat())?;
    let mut groups = Vec::new();
    for name in call.parameter("by").unwrap_or_default().split(',') {
        let name = name.trim();
        let found = UsageGroup::ALL.into_iter().find(|group| group.as_str() == name);
        match found {
            Some(group) if !groups.contains(&group) => groups.push(group),
            Some(_) => {}
            None if name.is_empty() => {}
            None => {
                let known = UsageGroup::ALL.map(UsageGroup::as_str).join(", ");
                return Err(Failed::wrong(format!("by has {name:?}; there is {known}")));
            }
        }
    }
    let filter = LedgerFilter {
        limit: call.limit("limit")?,
        ..filter(call)?
    };
    let rows = call.store().usage(&filter, &groups)?;
    let data: Vec<_> = rows.iter().map(|row| row_view(row, &groups)).collect();
    Ok(Reply::of(json!({ "data": data })))
}

/// The ledger, the newest first.
pub fn ledger(call: &Call) -> Answer {
    call.only(&[&FILTERS[..], &["after", "limit"]].concat())?;
    let before = call.parameter("after").map(cursor).transpose()?;
    let filter = LedgerFilter {
        before,
        limit: call.limit("limit")?,
        ..filter(call)?
    };
    let page = call.store().ledger_page(&filter)?;
    let last = page.items.last().filter(|_| page.more);
    let next = last.map(|entry| format!("{}:{}", entry.at, entry.id.as_str()));
    let data: Result<Vec<_>, _> = page.items.iter().map(entry_view).collect();
    Ok(Reply::of(json!({ "data": data?, "next": next })))
}

/// The audit log, the oldest first.
pub fn audit(call: &Call) -> Answer {
    call.only(&["after", "limit"])?;
    let after = call.number("after")?.unwrap_or(0);
    let limit = call.limit("limit")?;
    let rows = call.store().audit(i64::from(after), limit)?;
    let next = rows
        .last()
        .filter(|_| rows.len() == limit as usize)
        .map(|row| row.number);
    Ok(Reply::of(json!({ "data": value(&rows)?, "next": next })))
}

/// Whether the audit log is as it was written.
pub fn verify(call: &Call) -> Answer {
    let verified = call.store().verify_audit()?;
    Ok(Reply::of(json!({
        "rows": verified.rows,
        "trimmed": verified.trimmed,
        "broken_at": verified.broken,
        "head": verified.head,
    })))
}

fn cursor(text: &str) -> Result<(i64, String), Failed> {
    let parts = text.split_once(':');
    let read = parts.and_then(|(at, id)| Some((at.parse().ok()?, id.to_owned())));
    read.ok_or_else(|| Failed::wrong("after is not what `next` has said"))
}

fn filter(call: &Call) -> Result<LedgerFilter, Failed> {
    let own = |name: &str| call.parameter(name).map(str::to_owned);
    let outcome = own("outcome").map(|text| parse::<Outcome>(Value::String(text)));
    Ok(LedgerFilter {
        key: own("key").map(Into::into),
        of: UsageFilter {
            organization: own("organization"),
            team: own("team"),
            project: own("project"),
            user: own("user"),
            customer: own("customer"),
            agent: own("agent"),
            tag: own("tag"),
            model: own("model"),
            provider: own("provider"),
            outcome: outcome.transpose()?,
            request: own("request"),
            until: call.parameter("until").map(instant).transpose()?,
            within: call.within(Permission::UsageRead),
        },
        since: call.parameter("since").map(instant).transpose()?.unwrap_or(0),
        ..LedgerFilter::default()
    })
}

fn row_view(row: &UsageRow, groups: &[UsageGroup]) -> Value {
    let mut view = Map::new();
    for (group, name) in groups.iter().zip(&row.group) {
        view.insert(group.as_str().to_owned(), json!(name));
    }
    view.insert("requests".to_owned(), json!(row.requests));
    view.insert("failed".to_owned(), json!(row.failed));
    view.insert("input_tokens".to_owned(), json!(row.input));
    view.insert("output_tokens".to_owned(), json!(row.output));
    view.insert("cost_usd".to_owned(), usd(row.cost));
    view.insert("cached".to_owned(), json!(row.cached));
    view.insert("cached_tokens".to_owned(), json!(row.cached_tokens));
    view.insert("saved_usd".to_owned(), usd(row.saved));
    Value::Object(view)
}

fn entry_view(entry: &LedgerEntry) -> Result<Value, Failed> {
    let mut view = value(entry)?;
    view["at"] = json!(time(entry.at));
    if let Value::Object(view) = &mut view {
        view.remove("cost");
        view.remove("saved");
        view.insert("cost_usd".to_owned(), usd(entry.cost));
        view.insert("saved_usd".to_owned(), usd(entry.saved));
    }
    Ok(view)
}

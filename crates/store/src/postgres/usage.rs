//! Reports: whole days from the roll-ups, what is left of the first and the last from the ledger.

use super::DIALECT;
use crate::store::{Conditions, LedgerFilter, UsageGroup, columns, rows};

/// Milliseconds of a day.
const DAY: i64 = 86_400_000;

/// Where a report finds what it sums up, as a table with the columns `g0` and so on of its groups, `requests`, `failed`,
/// `input`, `output`, `cost`, `cached`, `cached_tokens` and `saved`.
pub(crate) fn report(filter: &LedgerFilter, groups: &[UsageGroup], conditions: &mut Conditions) -> String {
    let first = filter.since.max(0).saturating_add(DAY - 1) / DAY;
    let last = filter.of.until.map(|until| until.max(0) / DAY);
    let whole = last.is_none_or(|last| first < last);
    let of = &filter.of;
    // The roll-ups do not know one request from the other, and nothing of what requests name.
    let labels = [UsageGroup::Customer, UsageGroup::Agent, UsageGroup::Tag];
    let names = of.customer.is_some() || of.agent.is_some() || of.tag.is_some();
    let named = names || groups.iter().any(|group| labels.contains(group));
    if !whole || named || of.outcome.is_some() || of.request.is_some() || filter.before.is_some() {
        filter.apply(conditions, true, &DIALECT);
        return rows(groups, &conditions.take(), &DIALECT);
    }
    let mut parts = Vec::new();
    if filter.since < first * DAY {
        conditions.and("at >= ?", [filter.since.into()]);
        conditions.and("at < ?", [(first * DAY).into()]);
        filter.apply(conditions, false, &DIALECT);
        parts.push(rows(groups, &conditions.take(), &DIALECT));
    }
    if let (Some(last), Some(until)) = (last, of.until)
        && last * DAY < until
    {
        conditions.and("at >= ?", [(last * DAY).into()]);
        conditions.and("at < ?", [until.into()]);
        filter.apply(conditions, false, &DIALECT);
        parts.push(rows(groups, &conditions.take(), &DIALECT));
    }
    conditions.and("day >= ?", [first.into()]);
    if let Some(last) = last {
        conditions.and("day < ?", [last.into()]);
    }
    filter.apply(conditions, false, &DIALECT);
    parts.push(days(filter, groups, &conditions.take()));
    parts.join(" UNION ALL ")
}

/// Rows of the roll-up that knows what is asked for; the smaller one, where it does.
fn days(filter: &LedgerFilter, groups: &[UsageGroup], conditions: &str) -> String {
    let of = &filter.of;
    let by_key = [UsageGroup::Key, UsageGroup::User, UsageGroup::Project];
    let needs_keys = filter.key.is_some()
        || of.user.is_some()
        || of.project.is_some()
        || groups.iter().any(|group| by_key.contains(group));
    let table = if needs_keys {
        "usage_by_key"
    } else {
        "usage_by_team"
    };
    // What a request had none of is an empty text there.
    let columns = columns(groups, |group| match group {
        UsageGroup::Day => "day".to_owned(),
        other => format!("NULLIF({}, '')", other.column()),
    });
    format!(
        "SELECT {columns}requests, failed, input, output, cost, cached, cached_tokens, saved FROM {table}{conditions}"
    )
}

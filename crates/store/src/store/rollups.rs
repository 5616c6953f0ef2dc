//! What the ledger sums up to, by days and by months: which sums there are, how entries are counted into them, and which of
//! them a report reads. What no sums know is read from the ledger itself.

use std::fmt::Write as _;

use jiff::civil::Date;
use jiff::{Timestamp, ToSpan, tz::TimeZone};

use super::usage::{MEASURES, columns, rows};
use super::{Conditions, Dialect, LedgerFilter, UsageGroup};

/// Milliseconds of a day.
const DAY: i64 = 86_400_000;
/// No month that a report needs begins later, Unix milliseconds: the year 9999.
const END: i64 = 253_370_764_800_000;

/// Sums of the ledger, in a table of their own. What a request had none of is an empty text there.
///
/// Those by what requests name know nothing of requests that name nothing, so that these cost nothing. Under the empty text
/// they have what all those that name something sum up to, as less than nothing: with what all requests sum up to, that is
/// what those without a name do, which bear no name, one, or several.
pub(crate) struct RollUp {
    table: &'static str,
    /// A row is of a month, and bears the day on which that begins; else it is of a day.
    is_monthly: bool,
    /// What is kept apart.
    by: &'static [UsageGroup],
}

/// What is summed up, as columns.
const SUMS: [&str; 8] = [
    "requests",
    "failed",
    "input",
    "output",
    "cost",
    "cached",
    "cached_tokens",
    "saved",
];

const fn of(table: &'static str, is_monthly: bool, by: &'static [UsageGroup]) -> RollUp {
    RollUp {
        table,
        is_monthly,
        by,
    }
}

const TEAM: [UsageGroup; 4] = [
    UsageGroup::Team,
    UsageGroup::Organization,
    UsageGroup::Provider,
    UsageGroup::Model,
];
const KEY: [UsageGroup; 7] = [
    UsageGroup::Key,
    UsageGroup::User,
    UsageGroup::Project,
    UsageGroup::Team,
    UsageGroup::Organization,
    UsageGroup::Provider,
    UsageGroup::Model,
];
const CUSTOMER: [UsageGroup; 5] = labelled(UsageGroup::Customer);
const AGENT: [UsageGroup; 5] = labelled(UsageGroup::Agent);
const TAG: [UsageGroup; 5] = labelled(UsageGroup::Tag);

const LABELS: [UsageGroup; 3] = [UsageGroup::Customer, UsageGroup::Agent, UsageGroup::Tag];

const fn labelled(label: UsageGroup) -> [UsageGroup; 5] {
    let [team, organization, provider, model] = TEAM;
    [label, team, organization, provider, model]
}

/// All of them, of the same stretch the smaller first.
pub(crate) static ROLL_UPS: [RollUp; 7] = [
    of("usage_by_team_day", false, &TEAM),
    of("usage_by_key_day", false, &KEY),
    of("usage_by_team_month", true, &TEAM),
    of("usage_by_key_month", true, &KEY),
    of("usage_of_customer_month", true, &CUSTOMER),
    of("usage_of_agent_month", true, &AGENT),
    of("usage_of_tag_month", true, &TAG),
];

/// What all requests of a month sum up to, by all that those by names have beside the name.
const WHOLE: RollUp = of("usage_by_team_month", true, &TEAM);

impl RollUp {
    /// Counts entries into it, each table's rows in the same order whoever does. `parts` names what [`parts`] gives.
    pub(crate) fn count(&self, parts: &str, dialect: &Dialect) -> String {
        let names = join(self.by.iter().map(|group| group.column().to_owned()));
        let period = if self.is_monthly { "month" } else { "day" };
        let sums = join(SUMS.iter().map(|sum| format!("SUM({sum})")));
        let added = join(
            SUMS.iter()
                .map(|sum| format!("{sum} = old.{sum} + excluded.{sum}")),
        );
        let places = join((1..=self.by.len() + 1).map(|place| place.to_string()));
        let from = match self.label() {
            Some(label) => named(label, parts, dialect),
            None => parts.to_owned(),
        };
        format!(
            "INSERT INTO {} AS old (day, {names}, {}) SELECT {period}, {names}, {sums} FROM {from}
             GROUP BY {places} ORDER BY {places} ON CONFLICT (day, {names}) DO UPDATE SET {added}",
            self.table,
            SUMS.join(", ")
        )
    }

    /// What requests name, where that is what is kept apart.
    fn label(&self) -> Option<UsageGroup> {
        let first = self.by.first().copied();
        first.filter(|group| LABELS.contains(group))
    }

    /// The name of its table.
    pub(crate) fn table(&self) -> &'static str {
        self.table
    }

    fn knows(&self, group: UsageGroup) -> bool {
        self.by.contains(&group) || (group == UsageGroup::Day && !self.is_monthly)
    }

    /// When the stretch begins in which a time is.
    fn begin(&self, at: i64) -> i64 {
        let at = at.clamp(0, END);
        if self.is_monthly {
            begin_of(date_of(at).first_of_month())
        } else {
            at - at % DAY
        }
    }

    /// When the first stretch begins that begins no sooner than a time.
    fn next(&self, at: i64) -> i64 {
        let begin = self.begin(at);
        if begin >= at {
            begin
        } else if at > END {
            i64::MAX
        } else if self.is_monthly {
            begin_of(date_of(begin).saturating_add(1.month()))
        } else {
            begin + DAY
        }
    }
}

/// The entries of a table with the ledger's columns, a row for each, as they are counted.
pub(crate) fn parts(from: &str, dialect: &Dialect) -> String {
    let named = KEY.iter().chain([&UsageGroup::Customer, &UsageGroup::Agent]);
    let names = join(named.map(|group| format!("COALESCE({0}, '') AS {0}", group.column())));
    format!(
        "SELECT at / {DAY} AS day, {} AS month, {names}, tags, {MEASURES} FROM {from}",
        dialect.month
    )
}

/// The parts that bear a label, each under it, and once more under none, as less than nothing.
fn named(label: UsageGroup, parts: &str, dialect: &Dialect) -> String {
    let column = label.column();
    let rest = join(TEAM.iter().map(|group| group.column().to_owned()));
    let (sums, less) = (SUMS.join(", "), join(SUMS.iter().map(|sum| format!("-{sum}"))));
    let (bearing, has) = if label == UsageGroup::Tag {
        (
            dialect.tags_of.replace("{}", parts),
            "tags IS NOT NULL".to_owned(),
        )
    } else {
        let has = format!("{column} <> ''");
        (format!("{parts} AS bearing WHERE {has}"), has)
    };
    format!(
        "(SELECT month, {column}, {rest}, {sums} FROM {bearing}
          UNION ALL SELECT month, '', {rest}, {less} FROM {parts} AS parts WHERE {has}) AS named"
    )
}

fn join(parts: impl Iterator<Item = String>) -> String {
    parts.collect::<Vec<_>>().join(", ")
}

fn date_of(at: i64) -> Date {
    let time = Timestamp::from_millisecond(at).unwrap_or(Timestamp::UNIX_EPOCH);
    TimeZone::UTC.to_datetime(time).date()
}

fn begin_of(date: Date) -> i64 {
    let zoned = date.to_zoned_datetime(TimeZone::UTC);
    zoned.map_or(END, |zoned| zoned.timestamp().as_millisecond())
}

/// The sums that know all that is asked for, those of the longest stretch first.
fn known(filter: &LedgerFilter, groups: &[UsageGroup]) -> Vec<&'static RollUp> {
    let of = &filter.of;
    let is_single = of.outcome.is_some() || of.request.is_some() || filter.before.is_some();
    // The row of a tag does not know which others there were.
    if is_single || (of.tag.is_some() && groups.contains(&UsageGroup::Tag)) {
        return Vec::new();
    }
    let narrowed = [
        (filter.key.is_some(), UsageGroup::Key),
        (of.user.is_some(), UsageGroup::User),
        (of.project.is_some(), UsageGroup::Project),
        (of.customer.is_some(), UsageGroup::Customer),
        (of.agent.is_some(), UsageGroup::Agent),
        (of.tag.is_some(), UsageGroup::Tag),
    ];
    let narrowed = narrowed.iter().filter(|(is, _)| *is).map(|(_, group)| *group);
    let asked: Vec<_> = groups.iter().copied().chain(narrowed).collect();
    let of_length = |is_monthly| {
        let mut them = ROLL_UPS.iter().filter(move |sums| sums.is_monthly == is_monthly);
        them.find(|sums| asked.iter().all(|group| sums.knows(*group)))
    };
    [true, false].into_iter().filter_map(of_length).collect()
}

/// Where a report finds what it sums up.
pub(crate) struct Found {
    /// As a table, with the columns `g0` and so on of its groups, in which an empty text is none, and those of [`SUMS`].
    pub(crate) table: String,
    /// Some of it is taken away from the rest: what sums up to no requests is not there.
    pub(crate) takes_away: bool,
}

/// Where a report finds what it sums up. The sums know all entries before `counted`, and no others.
pub(crate) fn report(
    filter: &LedgerFilter,
    groups: &[UsageGroup],
    counted: i64,
    dialect: &Dialect,
    conditions: &mut Conditions,
) -> Found {
    let mut report = Report {
        filter,
        groups,
        counted,
        dialect,
        conditions,
        parts: String::new(),
        is_less: false,
        takes_away: false,
    };
    let until = filter.of.until.unwrap_or(i64::MAX);
    report.stretch(filter.since, until, &known(filter, groups));
    if report.parts.is_empty() {
        report.entries(filter.since, until);
    }
    Found {
        table: report.parts,
        takes_away: report.takes_away,
    }
}

struct Report<'a> {
    filter: &'a LedgerFilter,
    groups: &'a [UsageGroup],
    counted: i64,
    dialect: &'a Dialect,
    conditions: &'a mut Conditions,
    parts: String,
    /// What is added now is taken away.
    is_less: bool,
    /// Something is.
    takes_away: bool,
}

impl Report<'_> {
    /// What is whole from the first of these sums, what is left at both ends from the next; and less of these, where an end
    /// is most of a month.
    fn stretch(&mut self, from: i64, until: i64, sums: &[&RollUp]) {
        if from >= until {
            return;
        }
        let Some((longest, shorter)) = sums.split_first() else {
            return self.entries(from, until);
        };
        let (first, last) = self.whole(from, until, longest, !shorter.is_empty());
        if first >= last {
            return self.stretch(from, until, shorter);
        }
        self.stretch(from, first, shorter);
        self.sums(longest, first, last);
        self.stretch(last, until, shorter);
        self.is_less = !self.is_less;
        self.stretch(first, from, shorter);
        self.stretch(until, last, shorter);
        self.is_less = !self.is_less;
    }

    /// From when to when sums are read: what is whole within a stretch; or around it, where less is to be taken away from
    /// that than to be added to what is within. Only where there are sums of days: entries may have been dropped that the
    /// month knows, and be missing when they are to be taken away.
    fn whole(&self, from: i64, until: i64, sums: &RollUp, has_days: bool) -> (i64, i64) {
        let (begin, first) = (sums.begin(from), sums.next(from));
        if until >= self.counted {
            // What has begun and is not over is known as far as it is counted.
            let end = first.min(self.counted);
            let is_most = has_days && begin < from && from - begin < end - from;
            return (if is_most { begin } else { first }, self.counted);
        }
        let (last, end) = (sums.begin(until), sums.next(until).min(self.counted));
        if !has_days || begin > from {
            return (first, last);
        }
        if begin == last {
            let is_most = (from - begin) + (end - until) < until - from;
            return if is_most { (begin, end) } else { (first, last) };
        }
        let early = from - begin < first - from;
        let late = end - until < until - last;
        (if early { begin } else { first }, if late { end } else { last })
    }

    fn sums(&mut self, sums: &RollUp, first: i64, last: i64) {
        self.rows_of(sums, first, last);
        // What those without a name sum up to is what is left of all.
        let label = sums.label().filter(|label| self.groups.contains(label));
        if label.is_some_and(|label| !self.filter.names(label)) {
            self.takes_away = true;
            self.rows_of(&WHOLE, first, last);
        }
    }

    fn rows_of(&mut self, sums: &RollUp, first: i64, last: i64) {
        self.conditions.and("day >= ?", [(first / DAY).into()]);
        if last < i64::MAX {
            let days = last.saturating_add(DAY - 1) / DAY;
            self.conditions.and("day < ?", [days.into()]);
        }
        self.filter.apply(self.conditions, false, "tag = ?");
        let columns = columns(self.groups, |group| match group {
            UsageGroup::Day => "day".to_owned(),
            other if sums.knows(other) => other.column().to_owned(),
            _ => "''".to_owned(),
        });
        let from = format!("{}{}", sums.table, self.conditions.take());
        self.add(&columns, &from);
    }

    fn entries(&mut self, from: i64, until: i64) {
        self.conditions.and("at >= ?", [from.into()]);
        if until < i64::MAX {
            self.conditions.and("at < ?", [until.into()]);
        }
        self.filter.apply(self.conditions, false, self.dialect.bears_tag);
        let rows = rows(self.groups, &self.conditions.take(), self.dialect);
        let columns: String = (0..self.groups.len()).map(|at| format!("g{at}, ")).collect();
        self.add(&columns, &format!("({rows}) AS entries"));
    }

    fn add(&mut self, columns: &str, from: &str) {
        let and = if self.parts.is_empty() { "" } else { " UNION ALL " };
        let sums = if self.is_less {
            self.takes_away = true;
            join(SUMS.iter().map(|sum| format!("-{sum} AS {sum}")))
        } else {
            SUMS.join(", ")
        };
        // Writing to a string cannot fail.
        let _ = write!(self.parts, "{and}SELECT {columns}{sums} FROM {from}");
    }
}

#[cfg(test)]
pub(crate) mod tests;

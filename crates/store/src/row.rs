//! A line of the journal on its way into the ledger: its fields go into their columns as they were written.
//!
//! No entry is built on the way: of its fields, each is looked at once and copied once, by the database.

use pointsman_wire::form::Usage;
use pointsman_wire::json::outline::Outline;
use rusqlite::Statement;

/// Puts a row in; one that is there already stays as it is.
pub(crate) const INSERT: &str = "INSERT OR IGNORE INTO ledger VALUES
    (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21, ?22, ?23, ?24, ?25, ?26,
     ?27, ?28)";

/// What a field of a line holds.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Holds {
    Text,
    MaybeText,
    Count,
    MaybeCount,
    /// Nothing, in lines of versions that did not know it yet.
    LateCount,
    Flag,
    /// Texts, as they were written; nothing where there are none, and in lines of versions that did not know them.
    LateTexts,
    /// Three columns: as it was written, prompt tokens, generated tokens.
    Usage,
}

/// The fields of a [`LedgerEntry`](crate::LedgerEntry) in the order of the columns, which is that of its lines.
const FIELDS: [(&str, Holds); 26] = [
    ("id", Holds::Text),
    ("at", Holds::Count),
    ("key", Holds::MaybeText),
    ("team", Holds::MaybeText),
    ("user", Holds::MaybeText),
    ("surface", Holds::Text),
    ("model_requested", Holds::Text),
    ("provider", Holds::MaybeText),
    ("model", Holds::MaybeText),
    ("decision", Holds::MaybeText),
    ("outcome", Holds::Text),
    ("usage", Holds::Usage),
    ("usage_estimated", Holds::Flag),
    ("cost", Holds::Count),
    ("attempts", Holds::Count),
    ("streamed", Holds::Flag),
    ("status", Holds::Count),
    ("latency_us", Holds::Count),
    ("ttft_us", Holds::MaybeCount),
    ("cache", Holds::Text),
    ("organization", Holds::MaybeText),
    ("project", Holds::MaybeText),
    ("saved", Holds::LateCount),
    ("customer", Holds::MaybeText),
    ("agent", Holds::MaybeText),
    ("tags", Holds::LateTexts),
];

/// Why a line did not become a row.
pub(crate) enum Misfit {
    /// It is not an entry.
    Line,
    /// The database does not take it.
    Database(rusqlite::Error),
}

impl From<rusqlite::Error> for Misfit {
    fn from(error: rusqlite::Error) -> Self {
        Self::Database(error)
    }
}

/// Inserts the entry of a line with a statement made of [`INSERT`]; tells its time and id, if it was not there and is dated
/// before `counted`.
pub(crate) fn insert(
    line: &str,
    statement: &mut Statement<'_>,
    counted: i64,
) -> Result<Option<(i64, String)>, Misfit> {
    let outline = Outline::of(line).map_err(|_| Misfit::Line)?;
    let found = find(line, &outline);
    let mut column = 1;
    for ((_, holds), node) in FIELDS.iter().zip(found) {
        let text = node
            .map(|node| outline.text(line, node))
            .filter(|text| *text != "null");
        match (holds, text.zip(node)) {
            (Holds::MaybeText | Holds::MaybeCount | Holds::LateTexts, None) => {
                statement.raw_bind_parameter(column, rusqlite::types::Null)?;
            }
            (Holds::LateCount, None) => statement.raw_bind_parameter(column, 0_i64)?,
            (_, None) => return Err(Misfit::Line),
            (Holds::Text | Holds::MaybeText, Some((text, node))) => {
                let said = outline.string(line, node).map_err(|_| Misfit::Line)?;
                if !text.starts_with('"') {
                    return Err(Misfit::Line);
                }
                statement.raw_bind_parameter(column, &*said)?;
            }
            (Holds::Count | Holds::MaybeCount | Holds::LateCount, Some((text, _))) => {
                statement.raw_bind_parameter(column, count(text)?)?;
            }
            (Holds::Flag, Some((text, _))) => {
                let flag: bool = text.parse().map_err(|_| Misfit::Line)?;
                statement.raw_bind_parameter(column, flag)?;
            }
            (Holds::LateTexts, Some(("[]", _))) => {
                statement.raw_bind_parameter(column, rusqlite::types::Null)?;
            }
            (Holds::LateTexts, Some((text, _))) => {
                // What is grouped by must be texts.
                serde_json::from_str::<Vec<String>>(text).map_err(|_| Misfit::Line)?;
                statement.raw_bind_parameter(column, text)?;
            }
            (Holds::Usage, Some((text, node))) => {
                let (input, output) = totals(line, &outline, (text, node))?;
                statement.raw_bind_parameter(column, text)?;
                statement.raw_bind_parameter(column + 1, input)?;
                statement.raw_bind_parameter(column + 2, output)?;
                column += 2;
            }
        }
        column += 1;
    }
    let is_new = statement.raw_execute()? > 0;
    let [Some(id), Some(at), ..] = found else {
        return Err(Misfit::Line);
    };
    let at = count(outline.text(line, at))?;
    if !is_new || !(0..counted).contains(&at) {
        return Ok(None);
    }
    let id = outline.string(line, id).map_err(|_| Misfit::Line)?;
    Ok(Some((at, id.into_owned())))
}

/// Where the values of the fields are; a line that this version wrote has them in order.
fn find(line: &str, outline: &Outline) -> [Option<u32>; FIELDS.len()] {
    let mut found = [None; FIELDS.len()];
    let mut nodes = outline.children(Outline::ROOT);
    let mut expected = 0;
    while let (Some(key), Some(value)) = (nodes.next(), nodes.next()) {
        let quoted = outline.text(line, key);
        let name = quoted.get(1..quoted.len() - 1).unwrap_or_default();
        let is = |at: usize| FIELDS.get(at).is_some_and(|(field, _)| *field == name);
        let at = if is(expected) {
            Some(expected)
        } else {
            (0..FIELDS.len()).find(|at| is(*at))
        };
        if let Some(at) = at {
            found[at] = Some(value);
            expected = at + 1;
        }
    }
    found
}

/// Prompt and generated tokens of a usage; it must be one that can be read again.
fn totals(line: &str, outline: &Outline, (text, node): (&str, u32)) -> Result<(i64, i64), Misfit> {
    let (mut input, mut output, mut plain) = (0, 0, text.starts_with('{'));
    let mut nodes = outline.children(node);
    while let (Some(key), Some(value)) = (nodes.next(), nodes.next()) {
        let value = outline.text(line, value);
        match outline.text(line, key) {
            "\"input\"" => (input, plain) = (count(value)?, plain && is_count(value)),
            "\"output\"" => (output, plain) = (count(value)?, plain && is_count(value)),
            _ => plain &= is_count(value),
        }
    }
    if !plain {
        serde_json::from_str::<Usage>(text).map_err(|_| Misfit::Line)?;
    }
    Ok((input, output))
}

fn is_count(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit())
}

/// What the database cannot count is as much as it can.
fn count(text: &str) -> Result<i64, Misfit> {
    let more = |_| text.parse::<u64>().map(|_| i64::MAX);
    text.parse().or_else(more).map_err(|_| Misfit::Line)
}

//! What of the database is not carried over as it was, summed up: a database has more rows than anybody reads lines.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde::Serialize;
use serde_json::Value;

use super::row::Columns;
use crate::report::Fate;

/// Rows that are named where many have the same fate.
const EXAMPLES: usize = 3;

/// What became of a column, or of whole rows, of a table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Told {
    /// The table.
    pub table: String,
    /// The column; whole rows when empty.
    pub column: String,
    /// What became of it.
    pub fate: Fate,
    /// Why.
    pub why: String,
    /// Of so many rows.
    pub rows: u64,
    /// Some of these rows, by what people call them.
    pub examples: Vec<String>,
}

/// Everything that is told, by table.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Teller {
    told: BTreeMap<(String, String, String), Told>,
}

impl Teller {
    /// Tells of one row; `row` is what people call it, and must be no secret.
    pub(super) fn tell(&mut self, (table, column): (&str, &str), fate: Fate, why: &str, row: &str) {
        let at = (table.to_owned(), column.to_owned(), why.to_owned());
        let told = self.told.entry(at).or_insert_with(|| Told {
            table: table.to_owned(),
            column: column.to_owned(),
            fate,
            why: why.to_owned(),
            rows: 0,
            examples: Vec::new(),
        });
        told.rows += 1;
        if told.examples.len() < EXAMPLES && !row.is_empty() {
            told.examples.push(row.to_owned());
        }
    }

    /// Rows that are not carried over.
    pub(super) fn lost(&mut self, table: &str, why: &str, row: &str) {
        self.tell((table, ""), Fate::NotCarried, why, row);
    }

    /// Tells of the columns that nobody has read and that say something.
    pub(super) fn rest(&mut self, table: &str, rest: &Columns, row: &str) {
        for (column, value) in rest {
            if says(value) && !QUIET.contains(&column.as_str()) {
                let fate = if SECRET.contains(&column.as_str()) {
                    Fate::Secret
                } else {
                    Fate::NotCarried
                };
                self.tell((table, column), fate, why(column), row);
            }
        }
    }

    pub(super) fn into_list(self) -> Vec<Told> {
        self.told.into_values().collect()
    }
}

/// Columns that say when, by whom and how often, or what others already say.
const QUIET: [&str; 18] = [
    "created_at",
    "created_by",
    "updated_at",
    "updated_by",
    "settings_updated_at",
    "last_active",
    "last_rotation_at",
    "last_breach_check_at",
    "rotation_count",
    "soft_budget_cooldown",
    "total_spend",
    "model_spend",
    "key_type",
    // Who is in a team is what keys say.
    "members",
    "teams",
    "team_id",
    "auto_rotate",
    "key_rotation_at",
];

/// Columns with secrets.
const SECRET: [&str; 1] = ["password"];

/// Why a column has no counterpart.
fn why(column: &str) -> &'static str {
    match column {
        "password" => "passwords of the dashboard are not taken over",
        "admins" | "members_with_roles" | "user_role" | "team_member_permissions" => {
            "roles are given anew here; nobody manages anything by what LiteLLM let them"
        }
        "model_max_budget" | "budget_limits" | "budget_fallbacks" => {
            "budgets for single models are not known here: the holder's own budget holds for all of them together"
        }
        "tpd_limit" => "tokens a day are not limited here; tokens a minute and budgets are",
        "model_id" => "names of models are the configuration's or a key's here, not a team's",
        "config" | "router_settings" => "settings of single keys and teams are not known here",
        "permissions" | "allowed_cache_controls" => "it decides nothing here",
        "object_permission_id" | "access_group_ids" | "policies" => {
            "groups of permissions are not known here: give the allow-lists themselves"
        }
        "agent_id" => "agents hold no keys here",
        "rotation_interval" => "keys are rotated when you ask for it (`pointsman key rotate`)",
        "allowed_models" | "default_team_member_models" => {
            "members of a team have no lists of models of their own here; users and keys have"
        }
        "temp_budget_increase" | "temp_budget_expiry" => "budgets are not raised for a while here",
        "model_rpm_limit" | "model_tpm_limit" => "limits for single models are not known here",
        "sso_user_id" | "password_reset_required" => "signing in is set up anew here",
        _ => "it has no counterpart here",
    }
}

/// Whether a value says anything.
pub(super) fn says(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => false,
        Value::Bool(true) => true,
        Value::Number(number) => number.as_f64() != Some(0.0),
        Value::String(text) => !text.is_empty(),
        Value::Array(items) => !items.is_empty(),
        Value::Object(fields) => fields.values().any(says),
    }
}

/// For a terminal: a line each.
pub(super) fn text(all: &[Told]) -> String {
    let mut out = String::new();
    for told in all {
        let column = if told.column.is_empty() {
            String::new()
        } else {
            format!(".{}", told.column)
        };
        let _ = write!(
            out,
            "{}{column}: {}: {}: {} row(s)",
            told.table,
            told.fate.name(),
            told.why,
            told.rows
        );
        if !told.examples.is_empty() {
            let _ = write!(out, ", such as {}", told.examples.join(", "));
        }
        out.push('\n');
    }
    out
}

/// For people: a table.
pub(super) fn markdown(all: &[Told]) -> String {
    let cell = |text: &str| text.replace('|', "\\|").replace(['\n', '\r'], " ");
    let mut out = String::from(
        "| Table | Column | What became of it | Why | Rows | Such as |\n| --- | --- | --- | --- | --- | --- |\n",
    );
    for told in all {
        let _ = writeln!(
            out,
            "| `{}` | {} | {} | {} | {} | {} |",
            cell(&told.table),
            cell(&told.column),
            told.fate.name(),
            cell(&told.why),
            told.rows,
            cell(&told.examples.join(", "))
        );
    }
    out
}

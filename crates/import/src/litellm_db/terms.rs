//! LiteLLM's limits, budgets, lists of models and notes, as Pointsman has them.

use std::fmt::Write as _;

use pointsman_store::{Aliases, Budget, BudgetWindow, Metadata, Terms, check_aliases};
use serde_json::Value;

use super::row::Limits;
use super::told::{Teller, says};
use crate::report::Fate;

/// Lists that mean what an empty one means here: whatever is above allows.
const ALL_MODELS: [&str; 3] = ["all-team-models", "all-proxy-models", "all-org-models"];
/// Notes that LiteLLM acts on. What is only noted is carried over.
const ACTED_ON: [&str; 32] = [
    "model_rpm_limit",
    "model_tpm_limit",
    "model_itpm_limit",
    "model_otpm_limit",
    "default_estimated_output_tokens",
    "default_estimated_output_tokens_per_model",
    "mcp_rpm_limit",
    "tag_rpm_limit",
    "rpm_limit_type",
    "tpm_limit_type",
    "enforced_params",
    "temp_budget_increase",
    "temp_budget_expiry",
    "allowed_vector_store_indexes",
    "enforced_batch_output_expires_after",
    "enforced_file_expires_after",
    "throttle_on_budget_exceeded",
    "enable_prompt_caching",
    "end_user_budget_id",
    "require_trace_id",
    "disable_global_guardrails",
    "guardrails",
    "policies",
    "team_member_key_duration",
    "team_member_budget_id",
    "prompts",
    "secret_manager_settings",
    "allowed_passthrough_routes",
    "denied_passthrough_routes",
    "soft_budget_alerting_emails",
    "callback_settings",
    "model_max_budget",
];
/// Notes that hold credentials.
const SECRET: [&str; 2] = ["logging", "callback_settings"];

/// Where something stands, to be told.
#[derive(Clone, Copy)]
pub(super) struct Place<'a> {
    pub(super) table: &'a str,
    pub(super) row: &'a str,
}

/// Limits, a budget and a list of models.
pub(super) fn terms(limits: &Limits, models: Option<Vec<String>>, told: &mut Teller, at: Place<'_>) -> Terms {
    let mut count = |column: &str, limit: Option<i64>| match limit {
        Some(limit) if limit < 0 => {
            let why = "a limit below nothing is none";
            told.tell((at.table, column), Fate::NotCarried, why, at.row);
            None
        }
        limit => limit.map(i64::cast_unsigned),
    };
    let (requests, tokens, places) = (
        count("rpm_limit", limits.rpm_limit),
        count("tpm_limit", limits.tpm_limit),
        count("max_parallel_requests", limits.max_parallel_requests),
    );
    Terms {
        models: list(models),
        requests_per_minute: requests,
        tokens_per_minute: tokens,
        concurrency: places,
        budgets: budget(limits, told, at).into_iter().collect(),
        ..Terms::default()
    }
}

fn budget(limits: &Limits, told: &mut Teller, at: Place<'_>) -> Option<Budget> {
    let amount = limits.max_budget.map(|dollars| dollars.0);
    let soft = limits.soft_budget.map(|dollars| dollars.0);
    if amount.is_none() && soft.is_none() {
        return None;
    }
    let window = match limits.budget_duration.as_deref().filter(|text| !text.is_empty()) {
        None => BudgetWindow::Total,
        Some(text) => window(text).unwrap_or_else(|| {
            let why = "it is no duration that is known here; the budget never begins anew";
            told.tell((at.table, "budget_duration"), Fate::Nearest, why, at.row);
            BudgetWindow::Total
        }),
    };
    Some(Budget {
        amount,
        soft,
        window,
        zone: None,
        models: Vec::new(),
        providers: Vec::new(),
    })
}

/// When a budget begins anew: as in LiteLLM a day ends at midnight, seven days on Monday, thirty days or a month on the
/// first; other times begin anew every so often.
pub(super) fn window(text: &str) -> Option<BudgetWindow> {
    Some(match text {
        "1d" | "24h" => BudgetWindow::Day,
        "7d" | "1w" => BudgetWindow::Week,
        "30d" | "1mo" => BudgetWindow::Month,
        _ => {
            let digits = text.bytes().take_while(u8::is_ascii_digit).count();
            let (count, unit) = text.split_at(digits);
            let seconds: u64 = match unit {
                "s" => 1,
                "m" => 60,
                "h" => 3_600,
                "d" => 86_400,
                "w" => 7 * 86_400,
                "mo" => 30 * 86_400,
                _ => return None,
            };
            let seconds = count.parse::<u64>().ok()?.checked_mul(seconds)?;
            let ten_years = 10 * 366 * 86_400;
            return (1..=ten_years)
                .contains(&seconds)
                .then_some(BudgetWindow::Seconds(seconds));
        }
    })
}

/// A list of models; one that allows all is an empty one here.
pub(super) fn list(models: Option<Vec<String>>) -> Vec<String> {
    let mut models = models.unwrap_or_default();
    if models.iter().any(|model| ALL_MODELS.contains(&model.as_str())) {
        models.clear();
    }
    models
}

/// Names of a key's own for models.
pub(super) fn aliases(said: Option<Value>, told: &mut Teller, at: Place<'_>) -> Aliases {
    let Some(said) = said.filter(says) else {
        return Aliases::new();
    };
    let read = serde_json::from_value(said).ok();
    read.filter(|aliases| check_aliases(aliases).is_ok())
        .unwrap_or_else(|| {
            let why = "names for models that are too many, or stand for one another, cannot be kept";
            told.tell((at.table, "aliases"), Fate::NotCarried, why, at.row);
            Aliases::new()
        })
}

/// Notes, without what LiteLLM acts on: here it would do nothing and look as if it did.
pub(super) fn notes(metadata: Option<Value>, told: &mut Teller, at: Place<'_>) -> Metadata {
    let Some(Value::Object(mut notes)) = metadata else {
        return Metadata::new();
    };
    notes.retain(|name, value| {
        let (is_secret, is_acted_on) = (SECRET.contains(&name.as_str()), ACTED_ON.contains(&name.as_str()));
        if (is_secret || is_acted_on) && says(value) {
            let (fate, why) = if is_secret {
                (
                    Fate::Secret,
                    "where requests are logged to is the configuration's here (telemetry)",
                )
            } else {
                (
                    Fate::NotCarried,
                    "LiteLLM acts on this note, and nothing here does",
                )
            };
            told.tell((at.table, &format!("metadata.{name}")), fate, why, at.row);
        }
        !is_secret && !is_acted_on
    });
    notes
}

/// An id as ids are here: letters that none may have are written as `+` and two hexadecimal digits for each byte, as is
/// `+` itself; nothing where it is too long.
pub(super) fn as_id(text: &str) -> Option<String> {
    let mut id = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"_-.:@".contains(&byte) {
            id.push(char::from(byte));
        } else {
            // Writing to a string cannot fail.
            let _ = write!(id, "+{byte:02X}");
        }
    }
    (1..=128).contains(&id.len()).then_some(id)
}

/// A name as names are here: nothing that cannot be shown, and not endless.
pub(super) fn as_name(text: Option<&str>) -> String {
    let mut name: String = text
        .unwrap_or_default()
        .chars()
        .filter(|sign| !sign.is_control())
        .collect();
    while name.len() > 256 {
        name.pop();
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_are_litellms() {
        for (text, expected) in [
            ("1d", Some(BudgetWindow::Day)),
            ("7d", Some(BudgetWindow::Week)),
            ("30d", Some(BudgetWindow::Month)),
            ("1mo", Some(BudgetWindow::Month)),
            ("90d", Some(BudgetWindow::Seconds(90 * 86_400))),
            ("45s", Some(BudgetWindow::Seconds(45))),
            ("0d", None),
            ("d", None),
            ("soon", None),
            ("99999999999999999999d", None),
        ] {
            assert_eq!(window(text), expected, "{text}");
        }
    }

    #[test]
    fn ids_stay_different() {
        assert_eq!(as_id("me@example.com").as_deref(), Some("me@example.com"));
        assert_eq!(as_id("auth0|7").as_deref(), Some("auth0+7C7"));
        assert_eq!(as_id("a+b").as_deref(), Some("a+2Bb"));
        assert_eq!(as_id(""), None);
        assert_eq!(as_id(&"x".repeat(129)), None);
    }

    #[test]
    fn a_list_that_allows_nothing_is_not_made_one_that_allows_all() {
        let models = |names: &[&str]| list(Some(names.iter().map(|name| (*name).to_owned()).collect()));
        assert_eq!(models(&["all-team-models", "gpt-4o"]), Vec::<String>::new());
        assert_eq!(models(&["no-default-models"]), ["no-default-models"]);
    }
}

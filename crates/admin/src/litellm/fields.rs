//! LiteLLM's fields: read out of a body one by one, so that what is left over is known.

use pointsman_store::{Budget, BudgetWindow, Metadata, Terms};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use crate::call::{Call, Failed, parse};
use crate::shapes::{Dollars, time, usd};

/// Milliseconds of a second.
const SECOND: i64 = 1_000;

/// Fields of a body that have not been read yet.
pub struct Fields(Map<String, Value>);

impl Fields {
    /// Those of a call.
    pub fn of(call: &Call) -> Result<Self, Failed> {
        Ok(Self(call.object()?))
    }

    /// None at all.
    pub fn none() -> Self {
        Self(Map::new())
    }

    /// Takes a field out; nothing where it is null or missing.
    pub fn take<T: DeserializeOwned>(&mut self, name: &str) -> Result<Option<T>, Failed> {
        match self.0.remove(name) {
            None | Some(Value::Null) => Ok(None),
            Some(value) => serde_json::from_value(value)
                .map(Some)
                .map_err(|error| Failed::wrong(format!("{name}: {error}"))),
        }
    }

    /// Whether a field is there, be it null.
    pub fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// Whether a field is there and not null.
    pub fn says(&self, name: &str) -> bool {
        self.0.get(name).is_some_and(|value| !value.is_null())
    }

    /// A field that must be there.
    pub fn need<T: DeserializeOwned>(&mut self, name: &str) -> Result<T, Failed> {
        self.take(name)?
            .ok_or_else(|| Failed::wrong(format!("{name} is missing")))
    }

    /// Refuses what is left, but for what says nothing.
    pub fn end(self) -> Result<(), Failed> {
        let says = |value: &Value| match value {
            Value::Null | Value::Bool(false) => false,
            Value::String(text) => !text.is_empty(),
            Value::Array(items) => !items.is_empty(),
            Value::Object(fields) => !fields.is_empty(),
            Value::Number(number) => number.as_f64() != Some(0.0),
            Value::Bool(true) => true,
        };
        let left: Vec<_> = self.0.iter().filter(|(_, value)| says(value)).collect();
        match left.first() {
            None => Ok(()),
            Some((name, _)) => Err(Failed::wrong(format!(
                "the field {name:?} has no meaning here; leave it out"
            ))),
        }
    }

    /// Changes the terms by the fields that are there.
    pub fn terms(&mut self, terms: &mut Terms) -> Result<(), Failed> {
        if self.has("models") {
            terms.models = models(self.take("models")?);
        }
        for (name, limit) in [
            ("rpm_limit", &mut terms.requests_per_minute),
            ("tpm_limit", &mut terms.tokens_per_minute),
            ("max_parallel_requests", &mut terms.concurrency),
        ] {
            if self.has(name) {
                *limit = self.take(name)?;
            }
        }
        self.budget(&mut terms.budgets)
    }

    /// Changes the first budget by the fields that are there; LiteLLM knows of one.
    fn budget(&mut self, budgets: &mut Vec<Budget>) -> Result<(), Failed> {
        const NAMES: [&str; 3] = ["max_budget", "soft_budget", "budget_duration"];
        if !NAMES.iter().any(|name| self.has(name)) {
            return Ok(());
        }
        let old = (!budgets.is_empty()).then(|| budgets.remove(0));
        let mut budget = old.unwrap_or(Budget {
            amount: None,
            soft: None,
            window: BudgetWindow::Total,
            zone: None,
            models: Vec::new(),
            providers: Vec::new(),
        });
        if self.has("max_budget") {
            budget.amount = self.take::<Dollars>("max_budget")?.map(|dollars| dollars.0);
        }
        if self.has("soft_budget") {
            budget.soft = self.take::<Dollars>("soft_budget")?.map(|dollars| dollars.0);
        }
        if self.has("budget_duration") {
            let text: Option<String> = self.take("budget_duration")?;
            budget.window = text.as_deref().map_or(Ok(BudgetWindow::Total), window)?;
        }
        // A window of nothing is no budget.
        if budget.amount.is_some() || budget.soft.is_some() {
            budgets.insert(0, budget);
        }
        Ok(())
    }

    /// Changes the notes, and the priority that LiteLLM reads out of them.
    pub fn notes(&mut self, metadata: &mut Metadata, priority: &mut Option<String>) -> Result<(), Failed> {
        let is_said = self.says("metadata");
        self.metadata(metadata)?;
        let said = metadata.get("priority").and_then(Value::as_str);
        if let Some(said) = said.filter(|_| is_said) {
            *priority = Some(said.to_owned());
        }
        Ok(())
    }

    /// Changes the notes by the fields that are there; tags are notes, too.
    pub fn metadata(&mut self, metadata: &mut Metadata) -> Result<(), Failed> {
        if self.has("metadata") {
            *metadata = self.take("metadata")?.unwrap_or_default();
        }
        if let Some(tags) = self.take::<Vec<String>>("tags")?
            && !tags.is_empty()
        {
            metadata.insert("tags".to_owned(), json!(tags));
        }
        Ok(())
    }
}

/// `all-team-models` and its kin mean what an empty list means here: whatever is above allows.
fn models(list: Option<Vec<String>>) -> Vec<String> {
    let mut list = list.unwrap_or_default();
    let all = ["all-team-models", "all-proxy-models", "all-org-models"];
    if list.iter().any(|model| all.contains(&model.as_str())) {
        list.clear();
    }
    list
}

/// Reads `30s`, `30m`, `30h`, `30d`, `2w` or `1mo`, in milliseconds.
pub fn duration(text: &str) -> Result<i64, Failed> {
    let wrong = || {
        Failed::wrong(format!(
            "{text:?} is no duration: it is 30s, 30m, 30h, 30d, 2w or 1mo"
        ))
    };
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (count, unit) = text.split_at(digits);
    let count: i64 = count.parse().map_err(|_| wrong())?;
    let seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3_600,
        "d" => 86_400,
        "w" => 7 * 86_400,
        "mo" => 30 * 86_400,
        _ => return Err(wrong()),
    };
    count
        .checked_mul(seconds * SECOND)
        .filter(|time| (1..=100 * 366 * 86_400 * SECOND).contains(time))
        .ok_or_else(wrong)
}

/// The window of a budget. As in LiteLLM a day ends at midnight, seven days on Monday, thirty days or a month on the
/// first; other times begin anew every so often.
pub fn window(text: &str) -> Result<BudgetWindow, Failed> {
    Ok(match text {
        "1d" | "24h" => BudgetWindow::Day,
        "7d" | "1w" => BudgetWindow::Week,
        "30d" | "1mo" => BudgetWindow::Month,
        _ => BudgetWindow::Seconds((duration(text)? / SECOND).cast_unsigned()),
    })
}

/// The window as LiteLLM writes it.
fn window_text(window: BudgetWindow) -> Option<String> {
    match window {
        BudgetWindow::Total => None,
        BudgetWindow::Day => Some("1d".to_owned()),
        BudgetWindow::Week => Some("7d".to_owned()),
        BudgetWindow::Month => Some("30d".to_owned()),
        // It knows no windows that slide: that is how long this one is.
        BudgetWindow::Seconds(seconds) | BudgetWindow::Sliding(seconds) => {
            let units = [(86_400, "d"), (3_600, "h"), (60, "m"), (1, "s")];
            let unit = units
                .into_iter()
                .find(|(length, _)| seconds.is_multiple_of(*length));
            unit.map(|(length, name)| format!("{}{name}", seconds / length))
        }
    }
}

/// What LiteLLM shows of limits and budgets.
pub fn shown(terms: &Terms, ends: Option<i64>) -> Value {
    let budget = terms.budgets.first();
    json!({
        "models": terms.models,
        "rpm_limit": terms.requests_per_minute,
        "tpm_limit": terms.tokens_per_minute,
        "max_parallel_requests": terms.concurrency,
        "max_budget": budget.and_then(|budget| budget.amount).map(usd),
        "soft_budget": budget.and_then(|budget| budget.soft).map(usd),
        "budget_duration": budget.and_then(|budget| window_text(budget.window)),
        "budget_reset_at": ends.map(time),
        "model_max_budget": {},
        "model_spend": {},
    })
}

/// A list of texts under a name, which must have something in it.
pub fn list(fields: &mut Fields, name: &str) -> Result<Vec<String>, Failed> {
    let list: Vec<String> = parse(fields.need(name)?)?;
    if list.is_empty() || list.len() > 1_000 {
        return Err(Failed::wrong(format!(
            "{name} must have between 1 and 1000 entries"
        )));
    }
    Ok(list)
}

#[cfg(test)]
mod tests {
    use pointsman_catalog::Money;

    use super::*;

    #[test]
    fn durations_read_as_litellm_writes_them() {
        for (text, seconds) in [
            ("30s", 30),
            ("2m", 120),
            ("1h", 3_600),
            ("30d", 2_592_000),
            ("1mo", 2_592_000),
        ] {
            assert_eq!(duration(text).unwrap(), seconds * SECOND, "{text}");
        }
        for text in [
            "",
            "d",
            "30",
            "-1d",
            "0s",
            "1y",
            "99999999999999999999d",
            "9999999999d",
        ] {
            assert!(duration(text).is_err(), "{text}");
        }
        for text in ["1d", "7d", "30d", "36h", "45s", "90d"] {
            assert_eq!(window_text(window(text).unwrap()).as_deref(), Some(text));
        }
    }

    #[test]
    fn what_says_nothing_is_let_pass_and_the_rest_is_refused_by_name() {
        let fields = |value: Value| Fields(value.as_object().unwrap().clone());
        fields(json!({"guardrails": null, "tags": [], "permissions": {}, "blocked": false, "spend": 0}))
            .end()
            .unwrap();
        for (name, value) in [
            ("guardrails", json!(["pii"])),
            ("spend", json!(5)),
            ("is_admin", json!(true)),
        ] {
            assert!(fields(json!({name: value})).end().is_err(), "{name}");
        }
    }

    #[test]
    fn one_budget_is_changed_field_by_field() {
        let mut terms = Terms::default();
        let mut change = |value: Value| {
            Fields(value.as_object().unwrap().clone())
                .terms(&mut terms)
                .unwrap();
            terms.budgets.clone()
        };
        let made = change(json!({"max_budget": 10, "budget_duration": "30d"}));
        assert_eq!(
            made,
            [Budget::of(Money::parse("10").unwrap(), BudgetWindow::Month)]
        );
        let raised = change(json!({"max_budget": 12.5}));
        assert_eq!(
            raised,
            [Budget::of(Money::parse("12.5").unwrap(), BudgetWindow::Month)]
        );
        assert_eq!(change(json!({"models": ["all-team-models"]})), raised);
        assert_eq!(change(json!({"max_budget": null})), []);
    }
}

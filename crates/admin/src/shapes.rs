//! What the admin API takes and gives, as JSON.

use jiff::Timestamp;
use pointsman_catalog::Money;
use pointsman_governance::{Standing, Stood, check_unit};
use pointsman_store::{
    Aliases, Budget, BudgetWindow, Counted, Holder, HolderSpec, KeyRecord, Metadata, NewKey, Quota, Shares,
    Terms, WINDOWS,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::call::Failed;

/// How much, how fast. What is absent is not limited.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct LimitFields {
    /// Requests in any minute.
    pub requests_per_minute: Option<u64>,
    /// Tokens in any minute, prompt and answer together.
    pub tokens_per_minute: Option<u64>,
    /// Tokens of prompts in any minute.
    pub input_tokens_per_minute: Option<u64>,
    /// Tokens of answers in any minute.
    pub output_tokens_per_minute: Option<u64>,
    /// Requests at once.
    pub concurrency: Option<u64>,
}

/// Money in a window.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BudgetFields {
    /// US dollars, with at most nine digits after the point; nothing more is admitted. Absent: only `soft_usd`.
    #[serde(default)]
    pub amount_usd: Option<Dollars>,
    /// US dollars, past which the log and a metric tell.
    #[serde(default)]
    pub soft_usd: Option<Dollars>,
    /// `total`, `day`, `week`, `month`, or so many seconds, such as `3600s`; or one that slides, such as `sliding 30d`: any
    /// thirty days, wherever they begin.
    #[serde(default = "total")]
    pub window: String,
    /// In which days begin, such as `Europe/Berlin`; UTC when absent.
    #[serde(default)]
    pub time_zone: Option<String>,
    /// Only what is asked of these models, by the names that clients ask for, `*` standing for any run of letters; of all,
    /// when empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub models: Vec<String>,
    /// Only what is asked at these providers, by their names in the configuration, `*` as above; at all, when empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub providers: Vec<String>,
}

/// Requests, tokens or units of one's own in a window.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct QuotaFields {
    /// What is counted.
    pub of: CountedField,
    /// No more than so many.
    pub amount: u64,
    /// `total`, `day`, `week`, `month`, or so many seconds, such as `1s` or `3600s`; or one that slides, such as `sliding 5h`:
    /// any five hours, wherever they begin.
    #[serde(default = "total")]
    pub window: String,
    /// In which days begin, such as `Europe/Berlin`; UTC when absent.
    #[serde(default)]
    pub time_zone: Option<String>,
    /// Only what is asked of these models, by the names that clients ask for, `*` standing for any run of letters; of all,
    /// when empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub models: Vec<String>,
    /// Only what is asked at these providers, by their names in the configuration, `*` as above; at all, when empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub providers: Vec<String>,
    /// With `of: custom`: how many units a request is, an expression (CEL) over `input_tokens`, `cached_input_tokens`,
    /// `cache_creation_input_tokens`, `output_tokens`, `reasoning_tokens`, `total_tokens`, `cost_nanodollars` and `model`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cel: Option<String>,
    /// What these units are called, in errors.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
}

/// What a quota counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CountedField {
    /// Requests.
    Requests,
    /// Tokens, prompt and answer together.
    Tokens,
    /// Tokens of prompts.
    InputTokens,
    /// Tokens of answers.
    OutputTokens,
    /// What `cel` says.
    Custom,
}

impl From<CountedField> for Counted {
    fn from(field: CountedField) -> Self {
        match field {
            CountedField::Requests => Self::Requests,
            CountedField::Tokens => Self::Tokens,
            CountedField::InputTokens => Self::InputTokens,
            CountedField::OutputTokens => Self::OutputTokens,
            CountedField::Custom => Self::Custom,
        }
    }
}

impl From<Counted> for CountedField {
    fn from(counted: Counted) -> Self {
        match counted {
            Counted::Requests => Self::Requests,
            Counted::Tokens => Self::Tokens,
            Counted::InputTokens => Self::InputTokens,
            Counted::OutputTokens => Self::OutputTokens,
            Counted::Custom => Self::Custom,
        }
    }
}

fn total() -> String {
    "total".to_owned()
}

/// An amount of US dollars: a number, or the same as a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dollars(pub Money);

impl Serialize for Dollars {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        usd(self.0).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Dollars {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = match Value::deserialize(deserializer)? {
            Value::Number(number) => plain(&number),
            Value::String(text) => text,
            other => {
                return Err(serde::de::Error::custom(format!(
                    "{other} is no amount of dollars"
                )));
            }
        };
        Money::parse(&text).map(Self).map_err(serde::de::Error::custom)
    }
}

/// A number without exponent.
fn plain(number: &serde_json::Number) -> String {
    match number.as_f64().filter(|_| !number.is_i64() && !number.is_u64()) {
        Some(float) => format!("{float}"),
        None => number.to_string(),
    }
}

impl JsonSchema for Dollars {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Dollars".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": ["number", "string"], "minimum": 0, "description": "US dollars." })
    }
}

/// Dollars as a number: exact up to eight million.
pub fn usd(money: Money) -> Value {
    // Read from its digits, the number is the nearest there is, which a division would not promise.
    json!(money.usd_decimal().parse::<f64>().unwrap_or_default())
}

/// An organization, a team, a project, a user, or a budget that many share by name.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct HolderFields {
    /// A name for people.
    pub name: String,
    /// The organization that it belongs to, by its id.
    pub organization: Option<String>,
    /// The team that a project belongs to, by its id.
    pub team: Option<String>,
    /// Models that may be used, `*` standing for any run of letters; empty means all that is above allows.
    pub models: Vec<String>,
    /// Providers that may answer, by their names in the configuration.
    pub providers: Vec<String>,
    /// Guardrails that act beside those that always do, by their names in the configuration.
    pub guardrails: Vec<String>,
    /// Surfaces that may be asked, by their paths such as `/v1/chat/completions` or `/mcp*`; empty means all.
    pub surfaces: Vec<String>,
    /// Networks that requests may come from, such as `10.0.0.0/8`; empty means any.
    pub networks: Vec<String>,
    /// Rates.
    pub limits: LimitFields,
    /// Money; all of them hold at once.
    pub budgets: Vec<BudgetFields>,
    /// Requests and tokens in windows, or of some models; all of them hold at once.
    pub quotas: Vec<QuotaFields>,
    /// The priority of its keys that have none of their own; the operator says it.
    pub priority: Option<String>,
    /// Hundredths of its rates that stay reserved for keys of a priority.
    pub shares: Shares,
    /// Notes.
    #[schemars(with = "serde_json::Map<String, serde_json::Value>")]
    pub metadata: Metadata,
    /// Its keys are refused while it is.
    pub disabled: bool,
}

/// A key.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct KeyFields {
    /// A name for people.
    pub name: String,
    /// Who holds it.
    #[serde(flatten)]
    pub held: HeldFields,
    /// Models it may use, `*` standing for any run of letters; empty means all that its holders may.
    pub models: Vec<String>,
    /// Providers that may answer it, by their names in the configuration.
    pub providers: Vec<String>,
    /// Guardrails that act beside those that always do, by their names in the configuration.
    pub guardrails: Vec<String>,
    /// Surfaces that may be asked, by their paths such as `/v1/chat/completions` or `/mcp*`; empty means all.
    pub surfaces: Vec<String>,
    /// Networks that requests may come from, such as `10.0.0.0/8`; empty means any.
    pub networks: Vec<String>,
    /// Rates.
    pub limits: LimitFields,
    /// Money; all of them hold at once.
    pub budgets: Vec<BudgetFields>,
    /// Requests and tokens in windows, or of some models; all of them hold at once.
    pub quotas: Vec<QuotaFields>,
    /// When it ends, such as `2027-01-01T00:00:00Z`.
    pub expires_at: Option<String>,
    /// Roles, for routing by authorization.
    pub roles: Vec<String>,
    /// Groups, for routing by authorization.
    pub groups: Vec<String>,
    /// Names of its own for models, each with the model that it stands for; what is allowed is said of that.
    pub aliases: Aliases,
    /// Its priority, for shares of limits that are reserved; that of its holders where it has none. The operator says it.
    pub priority: Option<String>,
    /// Notes.
    #[schemars(with = "serde_json::Map<String, serde_json::Value>")]
    pub metadata: Metadata,
    /// It is refused while it is.
    pub disabled: bool,
}

/// Who holds a key, each by its id.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct HeldFields {
    /// The organization.
    pub organization: Option<String>,
    /// The team.
    pub team: Option<String>,
    /// The project.
    pub project: Option<String>,
    /// The user.
    pub user: Option<String>,
    /// The named budget, whose terms hold where the key has none of its own.
    pub budget: Option<String>,
}

/// Reads a window.
pub fn window(text: &str) -> Result<BudgetWindow, Failed> {
    BudgetWindow::read(text)
        .ok_or_else(|| Failed::wrong(format!("the window {text:?} is none: it is {WINDOWS}")))
}

fn budgets(fields: Vec<BudgetFields>) -> Result<Vec<Budget>, Failed> {
    let read = |fields: BudgetFields| {
        Ok(Budget {
            amount: fields.amount_usd.map(|dollars| dollars.0),
            soft: fields.soft_usd.map(|dollars| dollars.0),
            window: window(&fields.window)?,
            zone: fields.time_zone,
            models: fields.models,
            providers: fields.providers,
        })
    };
    fields.into_iter().map(read).collect()
}

fn budget_fields(budgets: &[Budget]) -> Vec<BudgetFields> {
    let write = |budget: &Budget| BudgetFields {
        amount_usd: budget.amount.map(Dollars),
        soft_usd: budget.soft.map(Dollars),
        window: budget.window.to_string(),
        time_zone: budget.zone.clone(),
        models: budget.models.clone(),
        providers: budget.providers.clone(),
    };
    budgets.iter().map(write).collect()
}

fn quotas(fields: Vec<QuotaFields>) -> Result<Vec<Quota>, Failed> {
    let read = |fields: QuotaFields| {
        if let Some(cel) = &fields.cel {
            check_unit(cel).map_err(|why| Failed::wrong(format!("the cel of a quota {why}")))?;
        }
        Ok(Quota {
            of: fields.of.into(),
            amount: fields.amount,
            window: window(&fields.window)?,
            zone: fields.time_zone,
            models: fields.models,
            providers: fields.providers,
            cel: fields.cel,
            unit: fields.unit,
        })
    };
    fields.into_iter().map(read).collect()
}

fn quota_fields(quotas: &[Quota]) -> Vec<QuotaFields> {
    let write = |quota: &Quota| QuotaFields {
        of: quota.of.into(),
        amount: quota.amount,
        window: quota.window.to_string(),
        time_zone: quota.zone.clone(),
        models: quota.models.clone(),
        providers: quota.providers.clone(),
        cel: quota.cel.clone(),
        unit: quota.unit.clone(),
    };
    quotas.iter().map(write).collect()
}

impl HolderFields {
    /// What is kept of them.
    pub fn spec(self) -> Result<HolderSpec, Failed> {
        Ok(HolderSpec {
            name: self.name,
            organization: self.organization.map(Into::into),
            team: self.team.map(Into::into),
            terms: Terms {
                models: self.models,
                providers: self.providers,
                guardrails: self.guardrails,
                surfaces: self.surfaces,
                networks: self.networks,
                requests_per_minute: self.limits.requests_per_minute,
                tokens_per_minute: self.limits.tokens_per_minute,
                input_tokens_per_minute: self.limits.input_tokens_per_minute,
                output_tokens_per_minute: self.limits.output_tokens_per_minute,
                concurrency: self.limits.concurrency,
                budgets: budgets(self.budgets)?,
                quotas: quotas(self.quotas)?,
                priority: self.priority,
                shares: self.shares,
            },
            metadata: self.metadata,
            disabled: self.disabled,
        })
    }

    /// Of what is kept.
    pub fn of(spec: &HolderSpec) -> Self {
        let terms = &spec.terms;
        Self {
            name: spec.name.clone(),
            organization: spec.organization.as_ref().map(|id| id.as_str().to_owned()),
            team: spec.team.as_ref().map(|id| id.as_str().to_owned()),
            models: terms.models.clone(),
            providers: terms.providers.clone(),
            guardrails: terms.guardrails.clone(),
            surfaces: terms.surfaces.clone(),
            networks: terms.networks.clone(),
            limits: LimitFields {
                requests_per_minute: terms.requests_per_minute,
                tokens_per_minute: terms.tokens_per_minute,
                input_tokens_per_minute: terms.input_tokens_per_minute,
                output_tokens_per_minute: terms.output_tokens_per_minute,
                concurrency: terms.concurrency,
            },
            budgets: budget_fields(&terms.budgets),
            quotas: quota_fields(&terms.quotas),
            priority: terms.priority.clone(),
            shares: terms.shares.clone(),
            metadata: spec.metadata.clone(),
            disabled: spec.disabled,
        }
    }
}

impl KeyFields {
    /// What is kept of them: what it may do, its notes, whether it is disabled.
    pub fn grant(self) -> Result<(NewKey, Metadata, bool), Failed> {
        let expires_at = self.expires_at.as_deref().map(instant).transpose()?;
        let grant = NewKey {
            name: self.name,
            organization: self.held.organization.map(Into::into),
            team: self.held.team.map(Into::into),
            project: self.held.project.map(Into::into),
            user: self.held.user.map(Into::into),
            models: self.models,
            providers: self.providers,
            guardrails: self.guardrails,
            surfaces: self.surfaces,
            networks: self.networks,
            requests_per_minute: self.limits.requests_per_minute,
            tokens_per_minute: self.limits.tokens_per_minute,
            input_tokens_per_minute: self.limits.input_tokens_per_minute,
            output_tokens_per_minute: self.limits.output_tokens_per_minute,
            concurrency: self.limits.concurrency,
            budgets: budgets(self.budgets)?,
            quotas: quotas(self.quotas)?,
            plan: self.held.budget.map(Into::into),
            expires_at,
            roles: self.roles,
            groups: self.groups,
            aliases: self.aliases,
            priority: self.priority,
        };
        Ok((grant, self.metadata, self.disabled))
    }

    /// Of what is kept.
    pub fn of(key: &KeyRecord) -> Self {
        let grant = &key.grant;
        Self {
            name: grant.name.clone(),
            held: HeldFields {
                organization: grant.organization.as_ref().map(|id| id.as_str().to_owned()),
                team: grant.team.as_ref().map(|id| id.as_str().to_owned()),
                project: grant.project.as_ref().map(|id| id.as_str().to_owned()),
                user: grant.user.as_ref().map(|id| id.as_str().to_owned()),
                budget: grant.plan.as_ref().map(|id| id.as_str().to_owned()),
            },
            models: grant.models.clone(),
            providers: grant.providers.clone(),
            guardrails: grant.guardrails.clone(),
            surfaces: grant.surfaces.clone(),
            networks: grant.networks.clone(),
            limits: LimitFields {
                requests_per_minute: grant.requests_per_minute,
                tokens_per_minute: grant.tokens_per_minute,
                input_tokens_per_minute: grant.input_tokens_per_minute,
                output_tokens_per_minute: grant.output_tokens_per_minute,
                concurrency: grant.concurrency,
            },
            budgets: budget_fields(&grant.budgets),
            quotas: quota_fields(&grant.quotas),
            expires_at: grant.expires_at.map(time),
            roles: grant.roles.clone(),
            groups: grant.groups.clone(),
            aliases: grant.aliases.clone(),
            priority: grant.priority.clone(),
            metadata: key.metadata.clone(),
            disabled: key.disabled_at.is_some(),
        }
    }
}

/// Unix milliseconds as people read them.
pub fn time(at: i64) -> String {
    Timestamp::from_millisecond(at).map_or_else(|_| at.to_string(), |at| at.to_string())
}

/// A time as people write it, in Unix milliseconds; a day is its beginning in UTC.
pub fn instant(text: &str) -> Result<i64, Failed> {
    let day = || format!("{text}T00:00:00Z").parse::<Timestamp>();
    let found = text.parse::<Timestamp>().or_else(|_| day());
    found.map(Timestamp::as_millisecond).map_err(|_| {
        Failed::wrong(format!(
            "{text:?} is no time: write it like 2026-11-24T12:00:00Z or 2026-11-24"
        ))
    })
}

/// In which state a key is.
pub fn status(key: &KeyRecord, now: i64) -> &'static str {
    if key.revoked_at.is_some() {
        "revoked"
    } else if key.disabled_at.is_some() {
        "disabled"
    } else if key.grant.expires_at.is_some_and(|expires| now >= expires) {
        "expired"
    } else {
        "active"
    }
}

/// Budgets as they stand.
pub fn spending(standings: &[Standing]) -> Value {
    let one = |standing: &Standing| {
        let left = standing.budget.amount.map(|amount| {
            let left = amount - standing.spent - standing.reserved;
            usd(left.max(Money::ZERO))
        });
        json!({
            "window": standing.budget.window.to_string(),
            "time_zone": standing.budget.zone,
            "models": standing.budget.models,
            "providers": standing.budget.providers,
            "amount_usd": standing.budget.amount.map(usd),
            "spent_usd": usd(standing.spent),
            "reserved_usd": usd(standing.reserved),
            "remaining_usd": left,
            "resets_at": standing.ends.map(time),
            "frees_at": standing.frees.map(time),
        })
    };
    standings.iter().map(one).collect()
}

/// Quotas as they stand.
pub fn counted(stood: &[Stood]) -> Value {
    let one = |stood: &Stood| {
        let quota = &stood.quota;
        json!({
            "of": quota.of.as_str(),
            "window": quota.window.to_string(),
            "time_zone": quota.zone,
            "models": quota.models,
            "providers": quota.providers,
            "cel": quota.cel,
            "unit": quota.unit,
            "amount": quota.amount,
            "used": stood.used,
            "reserved": stood.reserved,
            "remaining": quota.amount.saturating_sub(stood.used).saturating_sub(stood.reserved),
            "resets_at": stood.ends.map(time),
            "frees_at": stood.frees.map(time),
        })
    };
    stood.iter().map(one).collect()
}

/// Fields and what is known beside them, in one object.
pub fn beside(fields: Value, more: Value) -> Value {
    let mut all = Map::new();
    for part in [more, fields] {
        if let Value::Object(part) = part {
            all.extend(part);
        }
    }
    Value::Object(all)
}

/// Merges a change into what there is, field by field, null taking a field away (RFC 7396).
pub fn merge(into: &mut Value, change: Value) {
    let Value::Object(change) = change else {
        *into = change;
        return;
    };
    if !into.is_object() {
        *into = Value::Object(Map::new());
    }
    if let Value::Object(own) = into {
        for (key, value) in change {
            if value.is_null() {
                own.remove(&key);
            } else {
                merge(own.entry(key).or_insert(Value::Null), value);
            }
        }
    }
}

/// When a holder was made and changed.
pub fn dates(holder: &Holder) -> Value {
    json!({
        "id": holder.id,
        "created_at": time(holder.created_at),
        "updated_at": time(holder.updated_at),
        "deleted_at": holder.deleted_at.map(time),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dollars_survive_being_numbers() {
        for nano in [0, 1, 10, 123_456_789, 1_000_000_000, 7_999_999_123_456_789] {
            let shown = usd(Money::from_nanodollars(nano)).to_string();
            let read: Dollars = serde_json::from_str(&shown).unwrap();
            assert_eq!(read.0.nanodollars(), nano, "{shown}");
        }
        for text in ["\"0.25\"", "0.25", "2.5e-1"] {
            let read: Dollars = serde_json::from_str(text).unwrap();
            assert_eq!(read.0.nanodollars(), 250_000_000);
        }
        for text in ["-1", "\"1e3\"", "null", "[]", "0.0000000001"] {
            assert!(serde_json::from_str::<Dollars>(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_merge_changes_what_it_names_and_no_more() {
        let mut into = json!({"a": 1, "b": {"c": 2, "d": 3}, "e": [1]});
        merge(&mut into, json!({"a": null, "b": {"c": 4}, "e": [2]}));
        assert_eq!(into, json!({"b": {"c": 4, "d": 3}, "e": [2]}));
    }

    #[test]
    fn windows_read_as_they_are_written() {
        for text in ["total", "day", "week", "month", "90s", "sliding 5h"] {
            assert_eq!(window(text).unwrap().to_string(), text);
        }
        assert!(window("fortnight").is_err() && window("-1s").is_err());
    }
}

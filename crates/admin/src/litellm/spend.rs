//! `/spend/logs`, `/global/spend`, `/model/info`.

use std::collections::BTreeMap;

use pointsman_catalog::{Money, ServiceTier};
use pointsman_gateway::snapshot::Model;
use pointsman_store::{LedgerEntry, LedgerFilter, Outcome, UsageFilter, UsageGroup};
use pointsman_wire::form::Usage;
use serde_json::{Map, Value, json};

use super::keys::find;
use crate::call::{Answer, Call, Failed, Reply};
use crate::shapes::{instant, time, usd};

/// Rows at once, as LiteLLM has it.
const MAX_ROWS: u32 = 10_000;
/// Milliseconds of a day.
const DAY: i64 = 86_400_000;

/// Requests one by one, or their costs day by day.
pub fn logs(call: &Call) -> Answer {
    call.only(&[
        "api_key",
        "user_id",
        "request_id",
        "start_date",
        "end_date",
        "summarize",
    ])?;
    let key = call.parameter("api_key").map(|key| find(call, key)).transpose()?;
    let end = call.parameter("end_date").map(instant).transpose()?;
    let filter = LedgerFilter {
        key: key.map(|key| key.id),
        of: UsageFilter {
            user: call.parameter("user_id").map(str::to_owned),
            request: call.parameter("request_id").map(str::to_owned),
            // The last day is meant as a whole.
            until: end.map(|end| end.saturating_add(DAY)),
            ..UsageFilter::default()
        },
        since: call
            .parameter("start_date")
            .map(instant)
            .transpose()?
            .unwrap_or(0),
        limit: MAX_ROWS,
        ..LedgerFilter::default()
    };
    let raw = call
        .parameter("summarize")
        .is_some_and(|said| said.eq_ignore_ascii_case("false"));
    if end.is_none() || raw {
        let entries = call.store().ledger(&filter)?;
        return Ok(Reply::of(entries.iter().map(row).collect()));
    }
    by_day(call, &filter)
}

/// What a day has cost, and for whom and by which model.
#[derive(Default)]
struct Day {
    cost: Money,
    users: Map<String, Value>,
    models: Map<String, Value>,
}

/// What each day has cost, and for whom and by which model.
fn by_day(call: &Call, filter: &LedgerFilter) -> Answer {
    let groups = [UsageGroup::Day, UsageGroup::User, UsageGroup::Model];
    let mut days: BTreeMap<String, Day> = BTreeMap::new();
    let mut sums: BTreeMap<(String, bool, String), Money> = BTreeMap::new();
    for usage in call.store().usage(filter, &groups)? {
        let [day, user, model] = &usage.group[..] else {
            continue;
        };
        let day = day.clone().unwrap_or_default();
        days.entry(day.clone()).or_default().cost += usage.cost;
        for (is_user, name) in [(true, user), (false, model)] {
            let name = name.clone().unwrap_or_default();
            *sums.entry((day.clone(), is_user, name)).or_default() += usage.cost;
        }
    }
    for ((day, is_user, name), cost) in sums {
        let of = days.entry(day).or_default();
        let into = if is_user { &mut of.users } else { &mut of.models };
        into.insert(name, usd(cost));
    }
    let told = |(day, of): (String, Day)| json!({ "startTime": day, "spend": usd(of.cost), "users": of.users, "models": of.models });
    Ok(Reply::of(days.into_iter().map(told).collect()))
}

/// A request as LiteLLM shows it.
fn row(entry: &LedgerEntry) -> Value {
    let milliseconds = i64::try_from(entry.latency_us / 1_000).unwrap_or(i64::MAX);
    // A text, as there.
    let hit = if entry.outcome == Outcome::Cached {
        "True"
    } else {
        "False"
    };
    let answered = matches!(entry.outcome, Outcome::Complete | Outcome::Cached);
    json!({
        "request_id": entry.id.as_str(),
        "call_type": entry.surface,
        "api_key": entry.key.as_ref().map(|key| key.as_str()),
        "spend": usd(entry.cost),
        "total_tokens": entry.usage.total(),
        "prompt_tokens": entry.usage.input,
        "completion_tokens": entry.usage.output,
        "startTime": time(entry.at.saturating_sub(milliseconds)),
        "endTime": time(entry.at),
        "request_duration_ms": milliseconds,
        "model": entry.model,
        "model_group": entry.model_requested,
        "custom_llm_provider": entry.provider,
        "user": entry.user.as_ref().map(|user| user.as_str()),
        "team_id": entry.team.as_ref().map(|team| team.as_str()),
        "organization_id": entry.organization.as_ref().map(|organization| organization.as_str()),
        "cache_hit": hit,
        "metadata": {},
        "request_tags": [],
        "end_user": "",
        "status": if answered { "success" } else { "failure" },
    })
}

/// What everything has cost.
pub fn global(call: &Call) -> Answer {
    call.only(&[])?;
    let all = LedgerFilter {
        limit: 1,
        ..LedgerFilter::default()
    };
    let rows = call.store().usage(&all, &[])?;
    let spend: Money = rows.iter().map(|row| row.cost).sum();
    Ok(Reply::of(json!({ "spend": usd(spend), "max_budget": 0.0 })))
}

/// The models that clients can ask for, and their targets; without anything secret.
pub fn models(call: &Call) -> Answer {
    call.only(&["litellm_model_id"])?;
    let snapshot = call.gateway.snapshot();
    let mut models: Vec<_> = snapshot.models.values().collect();
    models.sort_by(|one, other| one.name.cmp(&other.name));
    let mut data: Vec<_> = models.into_iter().flat_map(|model| deployments(model)).collect();
    if let Some(id) = call.parameter("litellm_model_id") {
        data.retain(|deployment| deployment["model_info"]["id"] == id);
        if data.is_empty() {
            return Err(Failed::absent(format!("there is no deployment {id:?}")));
        }
    }
    Ok(Reply::of(json!({ "data": data })))
}

fn deployments(model: &Model) -> Vec<Value> {
    let deployment = |(at, target): (usize, &pointsman_gateway::snapshot::Target)| {
        let million = |usage: Usage| {
            let price = target.price.as_ref()?;
            let cost = price.cost(&usage, ServiceTier::Standard);
            Some(cost.nanodollars() as f64 / 1e15)
        };
        let input = Usage {
            input: 1_000_000,
            ..Usage::default()
        };
        let output = Usage {
            output: 1_000_000,
            ..Usage::default()
        };
        json!({
            "model_name": model.name,
            "litellm_params": { "model": format!("{}/{}", target.provider.kind, target.model) },
            "model_info": {
                "id": format!("{}/{at}", model.name),
                "db_model": false,
                "litellm_provider": target.provider.name,
                "key": target.model,
                "max_output_tokens": target.max_output,
                "input_cost_per_token": million(input),
                "output_cost_per_token": million(output),
            },
        })
    };
    model.targets.iter().enumerate().map(deployment).collect()
}

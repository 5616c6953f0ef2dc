//! Recorded decisions, and what was learned of models.

use pointsman_routing::learning::Contribution;
use pointsman_store::{DecisionFilter, DecisionRow, Permission};
use serde_json::{Value, json};

use crate::call::{Answer, Call, Failed, Reply, value};
use crate::shapes::{instant, time};

/// What decisions can be narrowed by.
const FILTERS: [&str; 9] = [
    "decision", "model", "key", "team", "user", "request", "outcome", "since", "until",
];

/// Recorded decisions, the newest first.
pub fn list(call: &Call) -> Answer {
    call.only(&[&FILTERS[..], &["after", "limit"]].concat())?;
    let own = |name: &str| call.parameter(name).map(str::to_owned);
    let number = |text: &str| {
        text.parse()
            .map_err(|_| Failed::wrong("after is not what `next` has said"))
    };
    let filter = DecisionFilter {
        decision: own("decision"),
        model: own("model"),
        key: own("key"),
        team: own("team"),
        user: own("user"),
        request: own("request"),
        outcome: own("outcome"),
        since: call.parameter("since").map(instant).transpose()?.unwrap_or(0),
        until: call.parameter("until").map(instant).transpose()?,
        after: call.parameter("after").map(number).transpose()?,
        oldest_first: false,
        within: call.within(Permission::DecisionsRead),
        limit: call.limit("limit")?,
    };
    let page = call.store().decisions(&filter)?;
    let next = page
        .items
        .last()
        .filter(|_| page.more)
        .map(|row| row.number.to_string());
    let data: Result<Vec<_>, _> = page.items.iter().map(view).collect();
    Ok(Reply::of(json!({ "data": data?, "next": next })))
}

/// One recorded decision, by its request.
pub fn get(call: &Call) -> Answer {
    call.only(&[])?;
    let request = call.segment(0);
    let filter = DecisionFilter {
        request: Some(request.to_owned()),
        within: call.within(Permission::DecisionsRead),
        limit: 1,
        ..DecisionFilter::default()
    };
    let page = call.store().decisions(&filter)?;
    let row = page.items.first();
    let row =
        row.ok_or_else(|| Failed::absent(format!("no decision of the request {request:?} is recorded")))?;
    Ok(Reply::of(view(row)?))
}

/// What was learned of models, by decision and domain, and who was preferred to whom.
pub fn learned(call: &Call) -> Answer {
    call.only(&[])?;
    let all = match call.store().learned_after(0)? {
        None => Contribution::default(),
        Some((_, bytes)) => Contribution::stored(&bytes).map_err(|error| {
            tracing::error!(%error, "what was learned cannot be read");
            Failed::new(http::StatusCode::INTERNAL_SERVER_ERROR, error.to_string())
        })?,
    };
    Ok(Reply::of(json!({
        "frozen": call.gateway.learner().is_frozen(),
        "models": value(&all.arms)?,
        "preferences": value(&all.duels)?,
    })))
}

fn view(row: &DecisionRow) -> Result<Value, Failed> {
    let record: Value = serde_json::from_str(&row.record).map_err(|error| {
        tracing::error!(%error, request = row.request, "a recorded decision cannot be read");
        Failed::new(http::StatusCode::INTERNAL_SERVER_ERROR, "a record cannot be read")
    })?;
    Ok(json!({
        "request": row.request,
        "at": time(row.at),
        "key": row.key,
        "team": row.team,
        "user": row.user,
        "decision": row.decision,
        "model": row.model,
        "outcome": row.outcome,
        "record": record,
    }))
}

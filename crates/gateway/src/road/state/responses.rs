//! Responses that are kept: shown, followed, cancelled, deleted.

use std::time::Duration;

use http::StatusCode;
use pointsman_store::KeptResponse;
use pointsman_wire::form::{Failure, FailureKind};
use pointsman_wire::splice::Edits;
use serde_json::{Value, json};

use super::page::Page;
use super::turn::gone;
use super::{Desk, background, told};
use crate::reply::{self, Reply, ReplyBody};
use crate::state::unreadable;
use crate::surface::query_value;

/// How long is waited for a run that was cancelled to end.
const CANCELLING: Duration = Duration::from_secs(5);

/// `GET /v1/responses/{id}`.
pub async fn find(desk: &Desk<'_>) -> Result<Reply, Failure> {
    let query = desk.arrival.uri.query().unwrap_or_default();
    if query_value(query, "stream").as_deref() == Some("true") {
        return follow(desk, query).await;
    }
    if let Some(run) = desk.worker.shared.keeper.runs.find(&desk.tenant, &desk.id) {
        return Ok(reply::json_bytes(StatusCode::OK, run.body().into()));
    }
    let response = desk.worker.shared.keeper.find(&desk.tenant, &desk.id).await?;
    Ok(reply::json_bytes(StatusCode::OK, whole(&response).into()))
}

/// Its events, from where the client stopped.
async fn follow(desk: &Desk<'_>, query: &str) -> Result<Reply, Failure> {
    let after = match query_value(query, "starting_after") {
        None => None,
        Some(after) => Some(after.parse().map_err(|_| {
            Failure::new(FailureKind::InvalidRequest, "starting_after: expected a number")
                .at("starting_after")
        })?),
    };
    let keeper = &desk.worker.shared.keeper;
    if let Some(run) = keeper.runs.find(&desk.tenant, &desk.id) {
        return if run.is_streamed() {
            Ok(background::follow(run, after))
        } else {
            Err(no_events())
        };
    }
    let response = keeper.find(&desk.tenant, &desk.id).await?;
    let id = desk.id.clone();
    let all = keeper
        .ask(move |store| Ok((store.events(&id, None)?, store.events(&id, after)?)))
        .await?;
    let (all, rest): (Vec<_>, Vec<_>) =
        all.map_err(|error: pointsman_store::StoreError| unreadable(&error))?;
    let text: String = if !all.is_empty() {
        rest.into_iter().map(|event| event.event).collect()
    } else if response.status == "failed" && is_background(&response) {
        // The process that had its events is dead: all there is to tell is that it failed.
        let told =
            json!({"type": "response.failed", "sequence_number": after.map_or(0, |after: u64| after + 1)});
        told::event(
            Some("response.failed"),
            &told::with(&told.to_string(), Some(&whole(&response)), None),
        )
    } else {
        return Err(no_events());
    };
    Ok(background::streamed(ReplyBody::Whole(
        (!text.is_empty()).then(|| text.into()),
    )))
}

/// `DELETE /v1/responses/{id}`. One that runs is stopped first.
pub async fn delete(desk: &Desk<'_>) -> Result<Reply, Failure> {
    let keeper = &desk.worker.shared.keeper;
    if keeper.runs.find(&desk.tenant, &desk.id).is_some() {
        stop(desk).await;
    }
    keeper.find(&desk.tenant, &desk.id).await?;
    let (tenant, id) = (desk.tenant.clone(), desk.id.clone());
    let deleted = keeper.ask(move |store| store.delete(&tenant, &id)).await?;
    deleted.map_err(|error| unreadable(&error))?;
    let told = json!({"id": desk.id, "object": "response", "deleted": true});
    Ok(reply::json(StatusCode::OK, &told))
}

/// `POST /v1/responses/{id}/cancel`. One that has ended stays as it is.
pub async fn cancel(desk: &Desk<'_>) -> Result<Reply, Failure> {
    let keeper = &desk.worker.shared.keeper;
    if keeper.runs.find(&desk.tenant, &desk.id).is_some() {
        stop(desk).await;
    }
    let response = keeper.find(&desk.tenant, &desk.id).await?;
    if !is_background(&response) {
        return Err(Failure::new(
            FailureKind::InvalidRequest,
            "only responses that were made with `background: true` can be cancelled",
        ));
    }
    if response.owner.is_some() {
        return Err(Failure::new(
            FailureKind::Unavailable,
            "another process of the gateway runs this response; only that one can cancel it",
        ));
    }
    Ok(reply::json_bytes(StatusCode::OK, whole(&response).into()))
}

/// Stops a run and waits until it has.
async fn stop(desk: &Desk<'_>) {
    let Some(run) = desk.worker.shared.keeper.runs.find(&desk.tenant, &desk.id) else {
        return;
    };
    let mut changes = run.changes();
    run.cancel();
    let ended = async { while !run.is_over() && changes.changed().await.is_ok() {} };
    // One that does not stop in time is told as it stands.
    let _ = tokio::time::timeout(CANCELLING, ended).await;
}

/// `GET /v1/responses/{id}/input_items`.
pub async fn input_items(desk: &Desk<'_>) -> Result<Reply, Failure> {
    let page = Page::read(desk.arrival)?;
    let keeper = &desk.worker.shared.keeper;
    let response = keeper.find(&desk.tenant, &desk.id).await?;
    let limit = desk.arrival.snapshot.bounds.request_limit;
    let items = keeper.ask(move |store| store.input(&response, limit)).await?;
    let items = items.map_err(gone)?;
    Ok(reply::json(StatusCode::OK, &page.of(items)?))
}

/// A kept response as it was told.
fn whole(response: &KeptResponse) -> String {
    let output: Vec<&str> = response.output.iter().map(|item| item.json.as_str()).collect();
    let mut edits = Edits::new();
    edits.set("output", format!("[{}]", output.join(",")));
    let edited = edits.apply(&bytes::Bytes::copy_from_slice(response.body.as_bytes()));
    let text = edited
        .ok()
        .and_then(|edited| String::from_utf8(edited.to_vec()).ok());
    text.unwrap_or_else(|| response.body.clone())
}

fn is_background(response: &KeptResponse) -> bool {
    let body: Value = serde_json::from_str(&response.body).unwrap_or_default();
    body["background"] == true
}

fn no_events() -> Failure {
    Failure::new(
        FailureKind::InvalidRequest,
        "only responses that were made with `background: true` and `stream: true` can be streamed again",
    )
    .at("stream")
}

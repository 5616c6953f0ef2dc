//! Batches: created, watched, cancelled; in OpenAI's shapes or in Anthropic's. They are run by `batch`.

mod anthropic;
pub mod named;
mod openai;

use std::sync::Arc;

use bytes::Bytes;
use http::StatusCode;
use pointsman_governance::Principal;
use pointsman_store::{Batch, BatchApi, BatchId, Page};
use pointsman_wire::form::{Failure, FailureKind};
use pointsman_wire::format::Format;
use serde_json::Value;

use super::Arrival;
use crate::batch::RunBy;
use crate::kept::{now, refused, tenant};
use crate::reply::{self, Reply};
use crate::surface::BatchCall;
use crate::worker::Worker;

/// Who asks for what, and how.
struct Asking<'a> {
    worker: &'a Arc<Worker>,
    arrival: &'a Arrival,
    caller: &'a Principal,
    api: BatchApi,
}

/// Answers all that is asked of batches.
///
/// # Errors
/// 404 for a batch that is not there, or not the caller's.
pub async fn travel(
    worker: &Arc<Worker>,
    arrival: &Arrival,
    caller: &Principal,
    (call, body): (BatchCall, Bytes),
) -> Result<Reply, Failure> {
    let asking = Asking {
        worker,
        arrival,
        caller,
        api: match arrival.surface.dialect {
            Format::AnthropicMessages => BatchApi::Anthropic,
            _ => BatchApi::OpenAi,
        },
    };
    match call {
        BatchCall::Create => {
            let batch = match asking.api {
                BatchApi::OpenAi => openai::create(&asking, &body).await?,
                BatchApi::Anthropic => anthropic::create(&asking, &body).await?,
            };
            worker.shared.kept.begun.notify_one();
            Ok(asking.tell(&batch))
        }
        BatchCall::List => asking.list().await,
        BatchCall::Retrieve => Ok(asking.tell(&asking.find().await?)),
        BatchCall::Cancel => asking.cancel().await,
        BatchCall::Results => anthropic::results(&asking).await,
        BatchCall::Delete => anthropic::delete(&asking).await,
    }
}

/// Where a batch's metadata say who runs it, once that is decided and could have been somebody else.
const RUN_BY: &str = "pointsman_run_by";

/// The metadata of a batch as its owner wrote them, and who runs it.
fn metadata(batch: &Batch) -> Value {
    let (written, _) = named::read(batch);
    let run_by = RunBy::of(batch).ok().flatten();
    if written.is_none() && run_by.is_none() {
        return Value::Null;
    }
    let mut metadata = written.unwrap_or_default();
    if let Some(run_by) = run_by {
        metadata.insert(RUN_BY.to_owned(), run_by.name().into());
    }
    Value::Object(metadata)
}

impl Asking<'_> {
    fn id(&self) -> BatchId {
        BatchId::from(self.arrival.surface.model.as_deref().unwrap_or_default())
    }

    fn shaped(&self, batch: &Batch) -> Value {
        match self.api {
            BatchApi::OpenAi => openai::shaped(batch),
            BatchApi::Anthropic => anthropic::shaped(batch, self.arrival),
        }
    }

    fn tell(&self, batch: &Batch) -> Reply {
        reply::json(StatusCode::OK, &self.shaped(batch))
    }

    async fn find(&self) -> Result<Batch, Failure> {
        let (id, tenant, api) = (self.id(), tenant(self.caller), self.api);
        let found = self
            .worker
            .shared
            .kept
            .ask(move |store| store.batch(&tenant, api, &id));
        found.await.map_err(refused)?.ok_or_else(|| self.missing())
    }

    fn missing(&self) -> Failure {
        let id = self.id();
        Failure::new(
            FailureKind::NotFound,
            format!("there is no batch {:?}", id.as_str()),
        )
        .at("id")
    }

    async fn cancel(&self) -> Result<Reply, Failure> {
        let (id, tenant, api) = (self.id(), tenant(self.caller), self.api);
        let cancelled = self
            .worker
            .shared
            .kept
            .ask(move |store| store.cancel_batch(&tenant, api, &id, now()));
        let batch = cancelled.await.map_err(refused)?.ok_or_else(|| self.missing())?;
        self.worker.shared.kept.begun.notify_one();
        if batch.status.is_ended() && self.api == BatchApi::OpenAi {
            let message = format!("a batch that is {} cannot be cancelled", batch.status.as_str());
            return Err(Failure::new(FailureKind::InvalidRequest, message).coded("batch_ended"));
        }
        Ok(self.tell(&batch))
    }

    async fn list(&self) -> Result<Reply, Failure> {
        let query = self.arrival.uri.query().unwrap_or_default();
        let page: Page = match self.api {
            BatchApi::OpenAi => super::files::openai_page(query, 20, 100)?,
            BatchApi::Anthropic => anthropic::page(query)?,
        };
        let (tenant, api) = (tenant(self.caller), self.api);
        let read = self
            .worker
            .shared
            .kept
            .ask(move |store| store.batches(&tenant, api, &page));
        let read = read.await.map_err(refused)?;
        let items: Vec<Value> = read.items.iter().map(|batch| self.shaped(batch)).collect();
        let mut list = super::files::listed(items, read.more);
        if let (BatchApi::Anthropic, Some(list)) = (self.api, list.as_object_mut()) {
            list.shift_remove("object");
        }
        Ok(reply::json(StatusCode::OK, &list))
    }
}

//! Tasks of servers of the older era, as clients of the newer one know them: one request tells what there two do, and what
//! a task wants stands in what is told of it, where there the server asks on the stream of its result.
//!
//! So a task that wants something is waited for beside its client, and what its server asks is kept until the client
//! answers. That is at one replica: the one that first told its client of it.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use serde_json::json;
use tokio::sync::mpsc;
use tokio::task::AbortHandle;

use super::{Asker, Refused, replied};
use crate::error::RpcError;
use crate::link::{Link, Sink, Told};
use crate::message::{Id, Object, Raw, Request};
use crate::server::Server;
use crate::task;
use crate::view::Found;

/// Tasks that are waited for, at most.
const MAX_WAITED: usize = 1_000;
/// How long one is kept that nobody asks after.
const KEPT: Duration = Duration::from_secs(10 * 60);
/// How long the questions of a task are waited for that says it has some.
const ASKING: Duration = Duration::from_secs(1);
const STEP: Duration = Duration::from_millis(20);
/// Messages of a task on their way.
const QUEUE: usize = 64;

/// Tasks of one server that are waited for, by what it calls them.
#[derive(Default)]
pub struct Waits(Mutex<HashMap<String, Arc<Wait>>>);

/// A task that is waited for.
struct Wait {
    /// What it has asked, by our keys.
    asked: Mutex<BTreeMap<String, Question>>,
    /// How it has ended.
    end: Mutex<Option<Result<Raw, Raw>>>,
    used: Mutex<Instant>,
    work: AbortHandle,
    listening: AbortHandle,
}

struct Question {
    link: Arc<Link>,
    id: Id,
    told: Object,
}

impl Drop for Wait {
    fn drop(&mut self) {
        self.work.abort();
        self.listening.abort();
    }
}

impl Waits {
    fn get(&self, id: &str) -> Option<Arc<Wait>> {
        let wait = self.0.lock().get(id).cloned()?;
        *wait.used.lock() = Instant::now();
        Some(wait)
    }

    fn keep(&self, id: &str, wait: Arc<Wait>) -> Result<(), RpcError> {
        let mut waits = self.0.lock();
        waits.retain(|_, wait| wait.used.lock().elapsed() < KEPT);
        if waits.len() >= MAX_WAITED {
            return Err(RpcError::internal("too many tasks wait for input"));
        }
        waits.insert(id.to_owned(), wait);
        Ok(())
    }

    fn forget(&self, id: &str) {
        self.0.lock().remove(id);
    }
}

impl Wait {
    /// What is asked and not answered yet, as its client is told.
    fn wanted(&self) -> Object {
        let mut wanted = Object::default();
        for (key, question) in self.asked.lock().iter() {
            wanted.set(key, &question.told);
        }
        wanted
    }
}

/// A task as the newer era tells it.
fn told(task: &Object) -> Object {
    let mut told = task.clone();
    for (old, new) in [("ttl", "ttlMs"), ("pollInterval", "pollIntervalMs")] {
        if let Some(said) = told.remove(old) {
            told.set(new, &said);
        }
    }
    if told.get("ttlMs").is_none() {
        told.set("ttlMs", &json!(null));
    }
    told
}

/// What the newer era says of a task that has begun.
pub(super) fn begun(result: Raw) -> Raw {
    let task = Object::parse(result.get())
        .ok()
        .and_then(|result| result.object("task"));
    let Some(task) = task else { return result };
    let mut told = told(&task);
    told.set("resultType", "task");
    told.raw()
}

impl Asker {
    /// Something of a task of a server of the older era.
    pub(super) async fn of_older(
        &self,
        (found, request): (&Found, &Request),
        params: Object,
        sink: &Sink,
    ) -> Result<Raw, Refused> {
        let (server, id) = (&found.server, found.name.as_str());
        match request.method.as_str() {
            "tasks/update" => {
                self.answer_older(server, id, &params).await;
                Ok(Object::default().raw())
            }
            "tasks/cancel" => {
                server.waits().forget(id);
                let cancelled = self.exchange(found, "tasks/cancel", params, sink).await;
                match cancelled {
                    // One that has ended cannot be cancelled there; here that is no error.
                    Ok(_) | Err(Refused::There(_)) => Ok(Object::default().raw()),
                    Err(refused) => Err(refused),
                }
            }
            _ => self.get_older(found, params, sink).await,
        }
    }

    async fn get_older(&self, found: &Found, params: Object, sink: &Sink) -> Result<Raw, Refused> {
        let (server, id) = (&found.server, found.name.as_str());
        let task = self.exchange(found, "tasks/get", params.clone(), sink).await?;
        let mut told = told(&Object::parse(task.get()).unwrap_or_default());
        match told.text("status").as_deref() {
            Some("completed" | "failed") => {
                let ended = server.waits().get(id).and_then(|wait| {
                    let end = wait.end.lock();
                    end.as_ref().map(|end| match end {
                        Ok(result) => Ok(result.clone()),
                        Err(error) => Err(error.clone()),
                    })
                });
                let ended = match ended {
                    Some(ended) => ended,
                    None => match self.exchange(found, "tasks/result", params, sink).await {
                        Ok(result) => Ok(result),
                        Err(Refused::There(error)) => Err(error),
                        Err(refused) => return Err(refused),
                    },
                };
                match ended {
                    Ok(result) => {
                        let mut result = Object::parse(task::unrelated(result).get()).unwrap_or_default();
                        result.set("resultType", "complete");
                        // What a tool says of its own failing is a result in the newer era.
                        told.set("status", "completed");
                        told.set("result", &result);
                    }
                    Err(error) => {
                        told.set("status", "failed");
                        told.set("error", &error);
                    }
                }
            }
            Some("input_required") => {
                let wanted = self.wanted(found).await?;
                if wanted.is_empty() {
                    // All of it is answered, and its server has not gone on yet.
                    told.set("status", "working");
                } else {
                    told.set("inputRequests", &wanted);
                }
            }
            _ => {}
        }
        Ok(told.raw())
    }

    /// What a task wants: it is waited for from now on, since that is how its server asks.
    async fn wanted(&self, found: &Found) -> Result<Object, Refused> {
        let waits = found.server.waits();
        if let Some(wait) = waits.get(&found.name)
            && !wait.work.is_finished()
        {
            return Ok(wait.wanted());
        }
        let wait = self.wait(found);
        waits.keep(&found.name, Arc::clone(&wait))?;
        let patience = Instant::now() + ASKING;
        let mut before = 0;
        loop {
            tokio::time::sleep(STEP).await;
            let asked = wait.asked.lock().len();
            // Those that come together are told together.
            if (asked > 0 && asked == before) || Instant::now() > patience {
                return Ok(wait.wanted());
            }
            before = asked;
        }
    }

    /// Waits for a task, and keeps what its server asks.
    fn wait(&self, found: &Found) -> Arc<Wait> {
        let (sink, mut heard) = mpsc::channel(QUEUE);
        let (end, ended) = tokio::sync::oneshot::channel();
        let (asker, of) = (self.clone(), found.clone());
        let work = tokio::spawn(async move {
            let mut params = Object::default();
            params.set("taskId", &of.name);
            let result = Box::pin(asker.exchange(&of, "tasks/result", params, &sink)).await;
            let _ = end.send(result);
        });
        Arc::new_cyclic(|this: &std::sync::Weak<Wait>| {
            let this = this.clone();
            let listening = tokio::spawn(async move {
                let mut number = 0_u64;
                while let Some(said) = heard.recv().await {
                    let (Told::Question { link, request }, Some(wait)) = (said, this.upgrade()) else {
                        continue;
                    };
                    number += 1;
                    wait.ask(number, link, request);
                }
                let (Ok(result), Some(wait)) = (ended.await, this.upgrade()) else {
                    return;
                };
                *wait.end.lock() = match result {
                    Ok(result) => Some(Ok(result)),
                    Err(Refused::There(error)) => Some(Err(error)),
                    // It is asked for once more.
                    Err(Refused::Here(_)) => None,
                };
            });
            Wait {
                asked: Mutex::default(),
                end: Mutex::default(),
                used: Mutex::new(Instant::now()),
                work: work.abort_handle(),
                listening: listening.abort_handle(),
            }
        })
    }

    /// What a client answers, for those questions that are still asked.
    async fn answer_older(&self, server: &Server, id: &str, params: &Object) {
        let Some(wait) = server.waits().get(id) else {
            return;
        };
        for (key, answer) in params.object("inputResponses").unwrap_or_default().iter() {
            let question = wait.asked.lock().remove(key);
            let Some(question) = question else { continue };
            let answer = replied(self.judge(), server, answer.to_owned())
                .await
                .map_err(|blocked| RpcError::from(blocked).raw());
            let answer = answer.as_deref().map_err(AsRef::as_ref);
            if let Err(error) = question.link.answer(&self.client, &question.id, answer).await {
                tracing::debug!(server = server.name, %error, "an answer could not be passed on");
            }
        }
    }
}

impl Wait {
    fn ask(&self, number: u64, link: Arc<Link>, request: Request) {
        let mut told = Object::default();
        told.set("method", &request.method);
        // It belongs to the task that it is told in.
        let params = Object::parse(task::unrelated(request.params.raw()).get()).unwrap_or_default();
        told.set("params", &params);
        let id = request.id;
        let question = Question { link, id, told };
        self.asked.lock().insert(format!("input-{number}"), question);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_task_of_the_older_era_is_told_as_the_newer_one_does() {
        let raw = |text: &str| serde_json::value::RawValue::from_string(text.to_owned()).unwrap();
        let result = raw(r#"{"task":{"taskId":"t","status":"working","ttl":60000,"pollInterval":100}}"#);
        assert_eq!(
            begun(result).get(),
            r#"{"taskId":"t","status":"working","ttlMs":60000,"pollIntervalMs":100,"resultType":"task"}"#
        );
        let other = raw(r#"{"content":[]}"#);
        assert_eq!(begun(other).get(), r#"{"content":[]}"#);
        let lasting = Object::parse(r#"{"taskId":"t"}"#).unwrap();
        assert_eq!(told(&lasting).raw().get(), r#"{"taskId":"t","ttlMs":null}"#);
    }
}

//! The era without sessions: each request says everything itself, and closing its stream cancels it.

use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use pointsman_mcp::call::{Answered, Asker, Refused};
use pointsman_mcp::error::RpcError;
use pointsman_mcp::link::{Link, Told};
use pointsman_mcp::message::{self, Incoming, Message, Request};
use pointsman_mcp::meta;
use pointsman_mcp::parked::{self, Resumed, Running};
use pointsman_mcp::virtuals::unwrapped;
use pointsman_upstream::Client;
use tokio::sync::mpsc;

use super::judge::{Guardrails, judging};
use super::stream::{self, Next, Source};
use super::{Desk, accepted, listen, oauth, work};
use crate::reply::{self, Reply};
use crate::road::Refusal;
use crate::worker::Worker;

/// How long an answer is waited for before its stream begins.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long more questions are waited for after one: servers that ask several at once have them answered at once.
const TOGETHER: Duration = Duration::from_millis(25);
/// How notifications of the log begin, as they are written here.
const LOG: &str = r#"{"jsonrpc":"2.0","method":"notifications/message""#;

/// Takes a message of this era.
///
/// # Errors
/// Outside what is refused as any request is, inside what is refused as MCP does.
pub async fn answer(desk: &Desk<'_>, incoming: Incoming) -> Result<Result<Reply, RpcError>, Refusal> {
    let request = match incoming {
        Incoming::One(Message::Request(request)) => request,
        Incoming::One(Message::Notification(_)) => return Ok(Ok(accepted())),
        Incoming::One(Message::Response(_)) => {
            return Ok(Err(RpcError::request(
                "answers go into the next request in this version",
            )));
        }
        Incoming::Batch(_) => return Ok(Err(RpcError::request("there are no batches in this version"))),
    };
    let guardrails = Guardrails::of(desk)?;
    let asker = desk.asker(judging(guardrails.as_ref()));
    if let Err(error) = check(desk, &asker, &request).await {
        return Ok(Err(error.of(&request.id)));
    }
    let id = request.id.clone();
    let request = match unwrapped(&desk.view, request) {
        Ok(request) => request,
        Err(error) => return Ok(Err(error.of(&id))),
    };
    if request.method == "subscriptions/listen" {
        let id = request.id.clone();
        let listening = listen::subscribe(desk, asker, request).await;
        return Ok(listening.map_err(|error| error.of(&id)));
    }
    let (owner, lot) = (desk.owner(), &desk.worker.shared.lasting.lot);
    let resumed = lot.resume(&owner, &request, (&asker.client, asker.judge.as_deref()));
    let running = match resumed.await {
        Some(Ok(Resumed::Running(running))) => running,
        Some(Ok(Resumed::Again(told))) => {
            let text = message::response(Some(&request.id), Ok(&told));
            return Ok(Ok(reply::json_bytes(StatusCode::OK, text.into())));
        }
        Some(Err(error)) => return Ok(Err(error.of(&request.id))),
        None => {
            let ticket = work::admit(desk, &request).await?;
            let (sink, told) = mpsc::channel(work::QUEUE);
            let task = work::start((asker, guardrails), request.clone(), ticket, sink, None);
            Running { told, task }
        }
    };
    let answer = Answer {
        worker: Arc::clone(desk.worker),
        owner,
        wants_log: meta::of(&request.params).get(meta::LOG_LEVEL).is_some(),
        request,
        running: Some(running),
        questions: Vec::new(),
        first: None,
    };
    Ok(Ok(hand_out(desk, answer).await))
}

async fn check(desk: &Desk<'_>, asker: &Asker, request: &Request) -> Result<(), RpcError> {
    let headers = &desk.arrival.headers;
    meta::check(request, headers)?;
    asker.check_headers(request, headers).await
}

/// Whole where the answer is all there is to say, as a stream where it is not.
async fn hand_out(desk: &Desk<'_>, mut answer: Answer) -> Reply {
    match tokio::time::timeout(PATIENCE, answer.heard()).await {
        Ok(Heard::End(text, status)) => {
            let reply = reply::json_bytes(status, text.clone().into());
            oauth::step_up(desk.arrival, reply, &text)
        }
        Ok(Heard::Message(text)) => {
            answer.first = Some(text);
            stream::reply(desk.worker, answer)
        }
        Err(_) => stream::reply(desk.worker, answer),
    }
}

/// A request that is being answered.
struct Answer {
    worker: Arc<Worker>,
    owner: String,
    wants_log: bool,
    request: Request,
    /// Gone once it is parked.
    running: Option<Running>,
    /// What its server has asked so far.
    questions: Vec<(Arc<Link>, Request)>,
    first: Option<String>,
}

/// What is heard of it.
enum Heard {
    Message(String),
    End(String, StatusCode),
}

impl Answer {
    async fn heard(&mut self) -> Heard {
        loop {
            let told = match &mut self.running {
                None => None,
                Some(running) if self.questions.is_empty() => running.told.recv().await,
                Some(running) => match tokio::time::timeout(TOGETHER, running.told.recv()).await {
                    Ok(told) => told,
                    Err(_) => return self.park(),
                },
            };
            match told {
                Some(Told::Message(text)) if !self.wants_log && text.starts_with(LOG) => {}
                Some(Told::Message(text)) => return Heard::Message(text),
                Some(Told::End(_, answered)) => return self.end(&answered),
                Some(Told::Question { link, request }) => self.asked(link, request),
                // Of sessions alone.
                Some(Told::Asked { .. } | Told::At(_)) => {}
                None => {
                    let error = RpcError::internal("the request ended without an answer");
                    return Heard::End(error.answer(Some(&self.request.id)), StatusCode::OK);
                }
            }
        }
    }

    fn end(&self, answered: &Answered) -> Heard {
        let status = answered
            .outcome
            .as_ref()
            .map_or_else(Refused::stateless_status, |_| StatusCode::OK);
        Heard::End(answered.text(&self.request.id), status)
    }

    /// A server of the other era asks something; declined at once where the client could not answer.
    fn asked(&mut self, link: Arc<Link>, asked: Request) {
        if parked::can_answer(&self.request.params, &asked.method) {
            self.questions.push((link, asked));
        } else {
            decline(self.worker.client.clone(), link, asked);
        }
    }

    /// The client is told to come back with the answers.
    fn park(&mut self) -> Heard {
        let questions = std::mem::take(&mut self.questions);
        let parked = match self.running.take() {
            Some(running) => {
                let lot = &self.worker.shared.lasting.lot;
                lot.park(&self.owner, &self.request.method, running, questions)
            }
            None => Err(RpcError::internal("the request is over")),
        };
        let text = match parked {
            Ok(result) => message::response(Some(&self.request.id), Ok(&result)),
            Err(error) => error.answer(Some(&self.request.id)),
        };
        Heard::End(text, StatusCode::OK)
    }
}

/// Asks where nobody is there to be told anything meanwhile, or to be asked.
pub async fn alone(asker: &Asker, request: &Request) -> Answered {
    let (sink, mut told) = mpsc::channel(work::QUEUE);
    let mut answering = std::pin::pin!(asker.answer(request, &sink));
    loop {
        tokio::select! {
            answered = &mut answering => return answered,
            Some(said) = told.recv() => if let Told::Question { link, request } = said {
                decline(asker.client.clone(), link, request);
            },
        }
    }
}

/// Tells a server that nobody answers what it asks.
pub fn decline(client: Client, link: Arc<Link>, asked: Request) {
    tokio::spawn(async move {
        let error = match parked::needed(&asked.method) {
            Some(capability) => RpcError::capability(capability),
            None => RpcError::method(&asked.method),
        };
        let _ = link.answer(&client, &asked.id, Err(&error.raw())).await;
    });
}

impl Source for Answer {
    async fn next(&mut self) -> Next {
        if let Some(first) = self.first.take() {
            return Next::Message(first);
        }
        match self.heard().await {
            Heard::Message(text) => Next::Message(text),
            Heard::End(text, _) => Next::Last(text),
        }
    }
}

//! Streams that are taken up again: here, or at a replica that has them from another.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::StatusCode;
use pointsman_governance::Principal;
use pointsman_mcp::call::Asker;
use pointsman_mcp::error::RpcError;
use pointsman_mcp::message::{self, Message, Request};
use pointsman_mcp::replay::{Reader, Step, Stream, event_id};
use pointsman_mcp::run::Run;
use pointsman_mcp::session::Session;
use pointsman_mcp::trail::{Record, Resume, Shelf, Trail};
use pointsman_mcp::version::Version;
use pointsman_store::sessions::Log;
use tokio::sync::mpsc;

use super::consent;
use super::judge::{Guardrails, judging};
use super::sessions::Found;
use super::stream::{self, Next, Source};
use super::{Desk, work};
use crate::reply::Reply;
use crate::road::Arrival;
use crate::worker::Worker;

/// How often a log that another replica writes is looked at: at first, and at last.
const SOON: Duration = Duration::from_millis(20);
const LATER: Duration = Duration::from_millis(250);
/// How often it is asked whether that replica is still there.
const ASK: Duration = Duration::from_secs(1);
/// How long a log is followed that nobody reads any more.
const UNREAD: Duration = Duration::from_secs(10);

/// A stream of a session, with the ids of its events.
pub struct Replayed {
    reader: Reader,
    name: String,
    /// From where it can be taken up again, before there is an event.
    from: Option<String>,
    /// Whether it is the one of what servers say unasked, which ends with the gateway.
    is_news: bool,
}

impl Replayed {
    /// What servers say unasked.
    pub fn news(reader: Reader, session: &Session) -> Self {
        let after = reader.stream().read();
        Self {
            is_news: true,
            ..Self::new(reader, after, session)
        }
    }

    /// Answers, from behind an event on; none where some of what is behind it is not kept any more.
    pub fn answers(stream: &Arc<Stream>, after: u64, session: &Session) -> Option<Self> {
        Some(Self::new(stream.reader(after)?, after, session))
    }

    fn new(reader: Reader, after: u64, session: &Session) -> Self {
        let name = reader.stream().name.clone();
        // Older clients take an event without data for a broken message.
        let is_told = session.version >= Version::V2025November;
        Self {
            from: is_told.then(|| event_id(&name, after)),
            reader,
            name,
            is_news: false,
        }
    }
}

impl Source for Replayed {
    async fn next(&mut self) -> Next {
        if let Some(from) = self.from.take() {
            return Next::From(from);
        }
        match self.reader.next().await {
            Step::Event { number, text, last } => Next::Event {
                id: event_id(&self.name, number),
                text,
                last,
            },
            Step::Over => Next::End,
        }
    }

    fn farewell(&mut self) -> Option<Option<String>> {
        self.is_news.then_some(None)
    }
}

/// The answer to who asks for what is not there.
pub fn unknown() -> RpcError {
    RpcError::request("there is nothing behind this Last-Event-ID, or not any more")
}

/// A name for a stream: events of one are never taken for another's.
///
/// # Errors
/// When the system has no randomness.
pub fn name() -> Result<String, pointsman_wire::form::Failure> {
    let mut chance = [0_u8; 8];
    getrandom::fill(&mut chance).map_err(|error| {
        let message = format!("no randomness: {error}");
        pointsman_wire::form::Failure::new(pointsman_wire::form::FailureKind::Internal, message)
    })?;
    Ok(chance
        .iter()
        .fold("p".to_owned(), |name, byte| format!("{name}{byte:02x}")))
}

/// A stream that answers requests, taken up again behind an event.
///
/// # Errors
/// When it is not there, or what is behind the event is not kept any more.
pub async fn attach(
    desk: &Desk<'_>,
    session: &Arc<Session>,
    log: &str,
    after: u64,
) -> Result<Reply, RpcError> {
    let here = session
        .stream(log)
        .and_then(|stream| Replayed::answers(&stream, after, session));
    let replayed = match (here, session.shelf()) {
        (Some(replayed), _) => Some(replayed),
        (None, None) => None,
        // What is here may lag behind what its client has heard elsewhere.
        (None, Some(shelf)) => follow(desk, session, (shelf, log, after)).await?,
    };
    let replayed = replayed.ok_or_else(unknown)?;
    Ok(stream::reply(desk.worker, replayed))
}

/// A request that comes again because its client does not know what became of it: it is answered by what is under way.
/// None where it is a new one.
pub async fn again(desk: &Desk<'_>, found: &Found, request: &Request) -> Option<Result<Reply, RpcError>> {
    let log = found.fields.get(&format!("q:{}", request.id))?;
    let record: Record = serde_json::from_str(found.fields.get(&format!("r:{log}"))?).ok()?;
    let same = record.request == message::request(&request.id, &request.method, &request.params);
    if !same {
        return None;
    }
    attach(desk, &found.session, log, 0).await.ok().map(Ok)
}

/// Whoever goes on with what a dead replica has left.
struct Heir {
    worker: Arc<Worker>,
    arrival: Arrival,
    caller: Arc<Principal>,
    scopes: Option<Vec<String>>,
    session: Arc<Session>,
    shelf: Shelf,
    stream: Arc<Stream>,
}

/// Follows a log that another replica writes; none where there is none, or no more of it.
///
/// # Errors
/// 503 where it cannot be asked for now: it may be there.
async fn follow(
    desk: &Desk<'_>,
    session: &Arc<Session>,
    (shelf, log, after): (&Shelf, &str, u64),
) -> Result<Option<Replayed>, RpcError> {
    match shelf.sessions.events(&shelf.key, log, after).await {
        Ok(Log::Events(_)) => {}
        Ok(Log::Unknown | Log::Gone) => return Ok(None),
        Err(error) => {
            tracing::warn!(%error, "a stream of another replica cannot be asked for");
            let error =
                RpcError::internal("streams cannot be asked for now (`stores.shared`); come back soon");
            return Err(error.with(StatusCode::SERVICE_UNAVAILABLE));
        }
    }
    let stream = Stream::new(log, after);
    let replayed = Replayed::answers(&stream, after, session);
    session.keep_stream(&stream);
    let heir = Heir {
        worker: Arc::clone(desk.worker),
        arrival: desk.arrival.clone(),
        caller: Arc::clone(&desk.caller),
        scopes: desk.scopes.clone(),
        session: Arc::clone(session),
        shelf: shelf.clone(),
        stream,
    };
    tokio::spawn(heir.follow(after));
    Ok(replayed)
}

impl Heir {
    /// Copies the log, until it is over, nobody reads it, or it has to be gone on with here.
    async fn follow(self, mut after: u64) {
        let (mut pause, mut asked, mut read) = (SOON, Instant::now(), Instant::now());
        let log = self.stream.name.clone();
        loop {
            if self.stream.is_read() {
                read = Instant::now();
            }
            if read.elapsed() > UNREAD {
                break;
            }
            let mut holder = None;
            match self.shelf.sessions.events(&self.shelf.key, &log, after).await {
                Ok(Log::Events(found)) => {
                    let is_more = !found.events.is_empty();
                    for (number, text) in found.events {
                        self.stream.push(Some(number), &text).await;
                        after = number;
                    }
                    if found.over {
                        break;
                    }
                    if is_more {
                        pause = SOON;
                        continue;
                    }
                    holder = found.holder;
                }
                Ok(Log::Unknown | Log::Gone) => break,
                Err(error) => tracing::debug!(%error, "a stream of another replica cannot be asked for"),
            }
            if let Some(holder) = holder
                && asked.elapsed() > ASK
            {
                asked = Instant::now();
                if matches!(self.shelf.sessions.is_alive(&holder).await, Ok(false)) {
                    let held = self
                        .shelf
                        .sessions
                        .hold(&self.shelf.key, &log, Some(&holder))
                        .await;
                    if matches!(held, Ok(true)) {
                        // What it wrote between the last look and its death.
                        return self.inherit(after).await;
                    }
                }
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LATER);
        }
        self.stream.finish();
        self.session.drop_stream(&log);
    }

    /// Goes on with a request. Nobody else writes its log any more.
    async fn inherit(self, mut after: u64) {
        let log = self.stream.name.clone();
        while let Ok(Log::Events(found)) = self.shelf.sessions.events(&self.shelf.key, &log, after).await {
            if found.events.is_empty() {
                break;
            }
            for (number, text) in found.events {
                self.stream.push(Some(number), &text).await;
                after = number;
            }
        }
        let fields = self.shelf.sessions.fields(&self.shelf.key, self.shelf.life).await;
        let left = fields.ok().flatten().and_then(|fields| left(&log, &fields));
        let Some((request, resume)) = left else {
            return self.stream.finish();
        };
        let trail = Trail::resumed(self.shelf.clone(), &log, &request, resume);
        if let Err(error) = Box::pin(self.go_on(&request, &trail)).await {
            let answer = error.answer(Some(&request.id));
            let number = trail.append(&answer, None, true).await.ok().flatten();
            self.stream.push(number, &answer).await;
            self.stream.finish();
        }
    }

    async fn go_on(&self, request: &Request, trail: &Arc<Trail>) -> Result<(), RpcError> {
        let hub = Arc::clone(&self.arrival.snapshot.mcp.hub);
        let owner = consent::owner(&self.caller);
        let view = hub
            .view_of(self.session.scope.as_deref(), &owner)
            .ok_or_else(unknown)?;
        let desk = Desk {
            worker: &self.worker,
            arrival: &self.arrival,
            caller: Arc::clone(&self.caller),
            scopes: self.scopes.clone(),
            hub,
            view,
        };
        let refused = |failure: pointsman_wire::form::Failure| RpcError::internal(failure.message);
        let ticket = work::admit(&desk, request)
            .await
            .map_err(|refusal| refused(refusal.failure))?;
        let guardrails = Guardrails::of(&desk).map_err(refused)?;
        let under_way = self.session.begin_request(&request.id)?;
        let asker = Asker {
            session: Some(Arc::clone(&self.session)),
            trail: Some(Arc::clone(trail)),
            ..desk.asker(judging(guardrails.as_ref()))
        };
        let (sink, told) = mpsc::channel(work::QUEUE);
        let task = work::start(
            (asker, guardrails),
            request.clone(),
            ticket,
            sink,
            Some(under_way),
        );
        let run = Run {
            session: Arc::clone(&self.session),
            told,
            left: 1,
            stream: Arc::clone(&self.stream),
            trail: Some(Arc::clone(trail)),
            work: vec![task],
        };
        // Nobody waits for how it begins: it has begun.
        run.pump(None).await;
        Ok(())
    }
}

/// What a dead replica has left of a request.
fn left(log: &str, fields: &HashMap<String, String>) -> Option<(Request, Option<Resume>)> {
    let record: Record = serde_json::from_str(fields.get(&format!("r:{log}"))?).ok()?;
    let Ok(Message::Request(request)) = message::decode_one(&record.request) else {
        return None;
    };
    let from = fields
        .get(&format!("c:{log}"))
        .filter(|from| !from.is_empty())
        .cloned();
    let resume = record.server.zip(record.upstream);
    let resume = resume.map(|(server, id)| Resume { server, id, from });
    Some((request, resume))
}

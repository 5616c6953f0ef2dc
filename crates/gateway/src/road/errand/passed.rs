//! A stream of events that passes as it comes, watched for its usage and its end.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use http::{Response, header};
use http_body::Body;
use pointsman_store::Outcome;
use pointsman_upstream::{Failure as Fault, InFlight, UpstreamBody};
use pointsman_wire::coding;
use pointsman_wire::failure;
use pointsman_wire::form::{Failure, FailureKind, Usage};
use pointsman_wire::format::Format;
use pointsman_wire::metered::{EventWatcher, Medium};

use super::super::send::{self, Failed};
use super::super::settle::Ending;
use super::super::{Arrival, Ticket};

const TOLD_AN_ERROR: &str = "the provider's stream told an error";

/// Events between provider and client. Ends with the stream's own last event, or with an error event.
pub struct Passed {
    body: Option<UpstreamBody>,
    coding: Option<coding::Decoder>,
    watcher: EventWatcher,
    ready: VecDeque<Bytes>,
    ticket: Option<Ticket>,
    in_flight: Option<InFlight>,
    /// What is charged where the stream does not tell.
    estimate: Usage,
    /// Most bytes that may come behind the last event.
    limit: usize,
    behind: usize,
    /// Whether what came last ends in the middle of a line.
    in_line: bool,
    dialect: Format,
    request_id: String,
}

impl Passed {
    /// The stream of a response whose head has come.
    pub(super) fn new(
        arrival: &Arrival,
        response: Response<UpstreamBody>,
        medium: Medium,
        estimate: Usage,
    ) -> Result<Self, Failed> {
        let coding = response
            .headers()
            .get(header::CONTENT_ENCODING)
            .and_then(|value| value.to_str().ok())
            .map(|coding| coding::Decoder::new(coding, usize::MAX))
            .transpose()
            .map_err(|error| {
                let failure = Failure::new(FailureKind::Provider, error.to_string());
                Failed::broken(failure, Fault::Protocol)
            })?;
        Ok(Self {
            body: Some(response.into_body()),
            coding,
            watcher: EventWatcher::new(medium),
            ready: VecDeque::new(),
            ticket: None,
            in_flight: None,
            estimate,
            limit: arrival.snapshot.bounds.response_limit,
            behind: 0,
            in_line: false,
            dialect: arrival.surface.dialect,
            request_id: arrival.id.clone(),
        })
    }

    /// Reads up to the first event: until then, and where that is an error, somebody else can be asked.
    pub(super) async fn until_first(&mut self, limit: Option<Duration>) -> Result<(), Failed> {
        let reading = poll_fn(|context| {
            loop {
                match ready!(self.poll_step(context)) {
                    Ok(true) if self.watcher.failed => {
                        let failure = Failure::new(FailureKind::Provider, TOLD_AN_ERROR);
                        return Poll::Ready(Err(Failed::broken(failure, Fault::Protocol)));
                    }
                    Ok(true) => return Poll::Ready(Ok(())),
                    Ok(false) => {}
                    Err((failure, fault)) => return Poll::Ready(Err(Failed::broken(failure, fault))),
                }
            }
        });
        match limit {
            None => reading.await,
            Some(limit) => tokio::time::timeout(limit, reading).await.unwrap_or_else(|_| {
                let message = "the provider's first event did not come in time";
                let failure = Failure::new(FailureKind::ProviderTimeout, message);
                Err(Failed::broken(failure, Fault::SlowFirstToken))
            }),
        }
    }

    /// Counts as load of the endpoint until the stream ends.
    pub(super) fn hold(&mut self, in_flight: InFlight) {
        self.in_flight = Some(in_flight);
    }

    /// Settles the stream from now on.
    pub(super) fn take_over(&mut self, ticket: Ticket) {
        self.ticket = Some(ticket);
    }

    /// Reads a chunk into `ready`; says whether it held an event.
    fn poll_step(&mut self, context: &mut Context<'_>) -> Poll<Result<bool, (Failure, Fault)>> {
        let cut = || {
            let message = "the provider's stream ended before its last event";
            (Failure::new(FailureKind::Provider, message), Fault::Cut)
        };
        let Some(body) = &mut self.body else {
            return Poll::Ready(Err(cut()));
        };
        Poll::Ready(match ready!(Pin::new(body).poll_frame(context)) {
            Some(Ok(frame)) => match frame.into_data() {
                Ok(data) => self.take(&data),
                Err(_) => Ok(false),
            },
            Some(Err(error)) => {
                let fault = Fault::from(&error);
                let message = format!("the provider's stream broke: {error}");
                Err((Failure::new(send::kind_of(&fault), message), fault))
            }
            None => Err(cut()),
        })
    }

    fn take(&mut self, data: &Bytes) -> Result<bool, (Failure, Fault)> {
        let malformed = |error: String| {
            let message = format!("the provider's stream is malformed: {error}");
            (Failure::new(FailureKind::Provider, message), Fault::Protocol)
        };
        let data = match &mut self.coding {
            None => data.clone(),
            Some(coding) => coding.push(data).map_err(|error| malformed(error.to_string()))?,
        };
        if self.is_over() {
            // Held back until the end: it must not grow without bound.
            self.behind += data.len();
            if self.behind > self.limit {
                return Err(malformed("it goes on after its last event".to_owned()));
            }
        }
        let seen = self
            .watcher
            .see(&data)
            .map_err(|error| malformed(error.message))?;
        self.in_line = data.last().map_or(self.in_line, |last| *last != b'\n');
        self.ready.push_back(data);
        Ok(seen)
    }

    /// The next bytes for the client.
    pub fn poll_chunk(&mut self, context: &mut Context<'_>) -> Poll<Option<Bytes>> {
        loop {
            let over = self.is_over();
            // The end is held back until nothing more comes and all of it has been settled.
            if !over || self.body.is_none() {
                match self.ready.pop_front() {
                    Some(bytes) if bytes.is_empty() => continue,
                    Some(bytes) => return Poll::Ready(Some(bytes)),
                    None if self.body.is_none() => return Poll::Ready(None),
                    None => {}
                }
            }
            match ready!(self.poll_step(context)) {
                Ok(_) => {}
                // What comes after the last event is of no account.
                Err(_) if over => {
                    self.close();
                    self.settle_end();
                }
                Err((failure, fault)) => {
                    self.close_broken(&failure, fault);
                    self.tell(&failure);
                }
            }
        }
    }

    fn is_over(&self) -> bool {
        self.watcher.ended || self.watcher.failed
    }

    fn close(&mut self) {
        self.body = None;
        self.in_flight = None;
    }

    fn ending(&self, outcome: Outcome, status: u16, error: Option<Failure>) -> Ending {
        Ending {
            outcome,
            status,
            usage: self.watcher.usage.unwrap_or(self.estimate),
            estimated: self.watcher.usage.is_none(),
            error,
        }
    }

    /// Settles before the end can be seen. If it cannot be recorded, the end is taken back.
    fn settle_end(&mut self) {
        let Some(ticket) = self.ticket.take() else { return };
        let ending = if self.watcher.failed {
            let failure = Failure::new(FailureKind::Provider, TOLD_AN_ERROR);
            self.ending(Outcome::ProviderFailed, 200, Some(failure))
        } else {
            self.ending(Outcome::Complete, 200, None)
        };
        if let Err(refusal) = ticket.settle(&ending) {
            self.ready.clear();
            self.tell(&refusal.failure);
        }
    }

    fn close_broken(&mut self, failure: &Failure, fault: Fault) {
        if let Some(in_flight) = self.in_flight.as_mut().filter(|_| fault.is_endpoint_fault()) {
            in_flight.record(pointsman_upstream::Outcome::Failure(fault), Instant::now());
        }
        self.close();
        if let Some(ticket) = self.ticket.take() {
            let ending = self.ending(Outcome::ProviderFailed, 200, Some(failure.clone()));
            // The client is told of a failure either way.
            let _ = ticket.settle(&ending);
        }
    }

    fn tell(&mut self, failure: &Failure) {
        let mut event = BytesMut::new();
        if std::mem::take(&mut self.in_line) {
            event.extend_from_slice(b"\n\n");
        }
        failure::render_event(self.dialect, failure, &self.request_id, &mut event);
        self.ready.push_back(event.freeze());
    }
}

impl Drop for Passed {
    fn drop(&mut self) {
        // The client went away in the middle: what it was given is charged.
        if let Some(ticket) = self.ticket.take() {
            let _ = ticket.settle(&self.ending(Outcome::Cancelled, 499, None));
        }
    }
}

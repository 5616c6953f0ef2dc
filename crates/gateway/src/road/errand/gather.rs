//! The requests of an errand, a few at a time, and their answers in order.

use std::sync::Arc;

use futures_util::stream::{self, StreamExt, TryStreamExt};
use http::{Response, Uri, header};
use pointsman_catalog::{Money, Price, ServiceTier};
use pointsman_governance::Sent;
use pointsman_upstream::{InFlight, SendError, UpstreamBody};
use pointsman_wire::form::{Failure, FailureKind, Usage};
use pointsman_wire::format::Format;
use pointsman_wire::metered::Medium;

use super::super::send::{self, Failed, Unsent};
use super::super::{Ticket, admit};
use super::{Errand, Outgoing, Try, Whole};
use crate::snapshot::Target;

/// Requests of one errand that are under way at the same time.
const LANES: usize = 4;

/// What of so many requests, that may use this much together, is sent.
pub(super) fn sent(calls: usize, usage: &Usage, price: Option<&Price>) -> Sent {
    let number = |calls: usize| u32::try_from(calls).unwrap_or(u32::MAX);
    Sent {
        requests: number(calls),
        places: number(calls.min(LANES)),
        tokens: admit::tokens_of(usage),
        cost: price.map_or(Money::ZERO, |price| price.cost(usage, ServiceTier::Standard)),
    }
}

/// What the requests brought.
pub(super) enum Gathered {
    /// All answers, in the order of the requests.
    Whole(Vec<Whole>),
    /// The head of a stream of events.
    Stream(Box<Response<UpstreamBody>>, Medium),
}

/// Why they brought nothing.
pub(super) enum Broken {
    Failed(Failed),
    Network(SendError),
    Refused(Response<UpstreamBody>, Format),
}

impl Broken {
    /// As a failure, told to the endpoint's health.
    pub(super) async fn told(self, in_flight: &mut InFlight, ticket: &Ticket) -> Failed {
        match self {
            Self::Failed(failed) => {
                if let Some(fault) = &failed.fault {
                    send::tell(in_flight, Some(fault), ticket);
                }
                failed
            }
            Self::Network(error) => {
                let fault = error.failure();
                send::tell(in_flight, Some(&fault), ticket);
                Failed::broken(Failure::new(send::kind_of(&fault), error.to_string()), fault)
            }
            Self::Refused(response, format) => send::refused_by_provider(response, format, in_flight).await,
        }
    }
}

/// Answers that were had before an attempt broke: the same model at the same provider is asked for the rest alone.
#[derive(Default)]
pub(super) struct Kept {
    of: Option<(String, String)>,
    answers: Vec<Option<Whole>>,
}

impl Kept {
    /// The target whose answers these are.
    pub(super) fn of_any<'t>(&self, targets: &'t [Target]) -> Option<&'t Target> {
        let (provider, model) = self.of.as_ref()?;
        let is_it = |target: &&Target| target.provider.name == *provider && target.model == *model;
        targets.iter().find(is_it)
    }

    /// Those that have come, in the order of the requests.
    pub(super) fn answers(&self) -> Vec<Whole> {
        self.answers.iter().flatten().cloned().collect()
    }

    /// Makes room for the answers of a target, and forgets those of another.
    fn turn_to(&mut self, target: &Target, calls: usize) {
        let of = (target.provider.name.clone(), target.model.clone());
        if self.of.as_ref() != Some(&of) || self.answers.len() != calls {
            self.of = Some(of);
            self.answers = vec![None; calls];
        }
    }
}

impl<E: Errand> Try<'_, E> {
    /// Sends what has not been answered yet.
    pub(super) async fn gather(
        &self,
        target: &Target,
        in_flight: &InFlight,
        mut calls: Vec<Outgoing>,
    ) -> Result<Gathered, Broken> {
        if let (Some(medium), 1) = (self.errand.streamed(), calls.len())
            && let Some(call) = calls.pop()
        {
            let response = self.send(target, in_flight, call).await?;
            if is_stream(&response) {
                return Ok(Gathered::Stream(Box::new(response), medium));
            }
            return Ok(Gathered::Whole(vec![self.whole(response).await?]));
        }
        self.kept.lock().turn_to(target, calls.len());
        let missing: Vec<(usize, Outgoing)> = {
            let kept = self.kept.lock();
            let all = calls.into_iter().enumerate();
            all.filter(|(at, _)| kept.answers.get(*at).is_some_and(Option::is_none))
                .collect()
        };
        let lanes = missing.into_iter().map(|(at, call)| async move {
            let response = self.send(target, in_flight, call).await?;
            let whole = self.whole(response).await?;
            if let Some(place) = self.kept.lock().answers.get_mut(at) {
                *place = Some(whole);
            }
            Ok::<(), Broken>(())
        });
        stream::iter(lanes)
            .buffer_unordered(LANES)
            .try_collect::<()>()
            .await?;
        Ok(Gathered::Whole(self.kept.lock().answers()))
    }

    async fn send(
        &self,
        target: &Target,
        in_flight: &InFlight,
        call: Outgoing,
    ) -> Result<Response<UpstreamBody>, Broken> {
        let endpoint = Arc::clone(in_flight.endpoint());
        let uri = address(&call.path, |path| endpoint.uri(path).ok()).ok_or_else(|| {
            let message = format!("the name of the model {:?} cannot stand in a path", target.model);
            Broken::Failed(Failed::refused(
                Failure::new(FailureKind::InvalidRequest, message).at("model"),
            ))
        })?;
        let mut request = send::http(self.arrival, target, Some(call.format), uri, call.body);
        if let Some(kind) = call.content_type {
            request.headers_mut().insert(header::CONTENT_TYPE, kind);
        }
        target.shape.headers(request.headers_mut());
        let size = (self.errand.estimate().input, target.patience().exchange);
        let response = send::dispatch(self.worker, &target.provider, &endpoint, request, size)
            .await
            .map_err(|unsent| match unsent {
                Unsent::Credential(failed) => Broken::Failed(failed),
                Unsent::Network(error) => Broken::Network(error),
            })?;
        if response.status().is_success() {
            Ok(response)
        } else {
            Err(Broken::Refused(response, call.format))
        }
    }

    async fn whole(&self, response: Response<UpstreamBody>) -> Result<Whole, Broken> {
        let headers = response.headers().clone();
        let body = send::collect(response, self.arrival.snapshot.bounds.response_limit)
            .await
            .map_err(Broken::Failed)?;
        Ok(Whole { headers, body })
    }
}

fn is_stream(response: &Response<UpstreamBody>) -> bool {
    let kind = response.headers().get(header::CONTENT_TYPE);
    kind.and_then(|kind| kind.to_str().ok())
        .is_some_and(|kind| kind.trim_start().starts_with("text/event-stream"))
}

/// The address of a path. One that begins with `/../` stands beside the last segment of the base URL: model servers
/// have some endpoints outside of `/v1`.
fn address(path: &str, under: impl Fn(&str) -> Option<Uri>) -> Option<Uri> {
    let Some(beside) = path.strip_prefix("/..") else {
        return under(path);
    };
    let joined = under(beside)?;
    let all = joined.path_and_query()?.as_str();
    let base = all.strip_suffix(beside)?;
    let kept = base.rfind('/').map_or("", |at| &base[..at]);
    let mut parts = joined.clone().into_parts();
    parts.path_and_query = Some([kept, beside].concat().parse().ok()?);
    Uri::from_parts(parts).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn some_paths_stand_beside_the_base() {
        let at = |base: &'static str| move |path: &str| [base, path].concat().parse::<Uri>().ok();
        let told = |uri: Option<Uri>| uri.unwrap().to_string();
        assert_eq!(
            told(address("/score", at("http://x:1/v1"))),
            "http://x:1/v1/score"
        );
        assert_eq!(
            told(address("/../tokenize", at("http://x:1/v1"))),
            "http://x:1/tokenize"
        );
        assert_eq!(
            told(address("/../tokenize", at("http://x:1/a/v1"))),
            "http://x:1/a/tokenize"
        );
        assert_eq!(
            told(address("/../tokenize", at("http://x:1"))),
            "http://x:1/tokenize"
        );
    }
}

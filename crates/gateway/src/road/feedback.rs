//! How good answers were, as clients tell it: by the id of a request, or by two models. In the shapes of the semantic
//! router's own API, and ours beside.

mod shapes;

use std::sync::Arc;

use bytes::Bytes;
use pointsman_governance::Principal;
use pointsman_routing::{FeedbackFrom, Router};
use pointsman_wire::form::{Failure, FailureKind, Usage};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::understand::Here;
use super::{Arrival, Refusal};
use crate::experience::{Experience, Judgement, Preference, Verdict};
use crate::kept;
use crate::reply::Reply;
use crate::surface::{self, Judge};
use crate::worker::Worker;
use shapes::{Feedback, Judged, Outcome, OutcomeTold, Rating, Ratings, Told};

/// What the ledger calls it.
const NAME: &str = "feedback";
/// Where ratings begin, as they are told.
const INITIAL: f64 = 1_500.0;

/// Judges, or tells how models stand.
///
/// # Errors
/// 400 for what makes no sense, 404 for requests that are not the caller's, 429 past a limit, 503 when too much waits.
pub async fn travel(
    worker: &Arc<Worker>,
    arrival: &Arrival,
    caller: Arc<Principal>,
    (what, body): (Judge, Bytes),
) -> Result<Reply, Refusal> {
    let tenant = kept::tenant(&caller).as_str().to_owned();
    let here = Here::admitted(worker, arrival, caller, (NAME, 0)).await?;
    let asked = Asked {
        experience: &worker.shared.experience,
        router: arrival.snapshot.router.as_ref(),
        tenant,
    };
    let answered = match what {
        Judge::Feedback => asked.feedback(&body).await,
        Judge::Outcome => asked.outcome(&body).await,
        Judge::Ratings => asked.ratings(arrival.uri.query().unwrap_or_default()),
    };
    here.settle(answered, Usage::default())
}

struct Asked<'a> {
    experience: &'a Experience,
    router: Option<&'a Router>,
    tenant: String,
}

impl Asked<'_> {
    async fn feedback(&self, body: &Bytes) -> Result<Bytes, Failure> {
        let feedback: Feedback = read(body)?;
        match &feedback.request_id {
            Some(request) => {
                let reward = feedback.reward()?;
                let verdict = self.judge(request, reward).await?;
                written(&Told::of(verdict, request)?)
            }
            None => self.compare(&feedback).await,
        }
    }

    async fn judge(&self, request: &str, reward: f64) -> Result<Verdict, Failure> {
        let judgement = Judgement {
            tenant: self.tenant.clone(),
            request: request.to_owned(),
            reward,
        };
        self.experience.judge(judgement).await
    }

    /// One of two models is preferred, whatever they were asked.
    async fn compare(&self, feedback: &Feedback) -> Result<Bytes, Failure> {
        let (winner, loser) = feedback.compared()?;
        let router = self
            .router
            .ok_or_else(|| wrong("no routing is configured", None))?;
        if router.learning().feedback != FeedbackFrom::Any {
            let message = "give the request_id of a request of yours; models by themselves are compared only where \
                           routing.learning.feedback is any";
            return Err(wrong(message, Some("request_id")));
        }
        let models: Vec<&str> = [winner, loser].into_iter().flatten().collect();
        let named = feedback.decision_name.as_deref().or(feedback.category.as_deref());
        let all: Vec<String> = router.learning_of(&models).map(str::to_owned).collect();
        let scopes: Vec<String> = match named.filter(|name| all.iter().any(|scope| scope == name)) {
            Some(name) => vec![name.to_owned()],
            None if feedback.decision_name.is_none() => all,
            None => Vec::new(),
        };
        if scopes.is_empty() {
            let message = format!("no decision that learns may choose {}", models.join(" and "));
            return Err(Failure::new(FailureKind::NotFound, message).at("winner_model"));
        }
        // A category that is no decision is what it was about.
        let domain = feedback
            .category
            .as_ref()
            .filter(|category| !scopes.contains(category));
        let own = |model: Option<&str>| model.map(str::to_owned);
        let preference = Preference {
            domain: domain.cloned(),
            winner: own(winner),
            loser: own(loser),
            tie: feedback.tie,
            weight: feedback.weight()?,
            scopes: scopes.clone(),
        };
        let verdict = self.experience.prefer(preference).await?;
        let learner = self.experience.learner();
        let rated = scopes
            .first()
            .map(|scope| learner.rated(scope, domain.map(String::as_str), INITIAL))
            .unwrap_or_default();
        let rating = |model: Option<&str>| rated.get(model?).map(|(rating, _)| *rating);
        let told = Told::of(verdict, "")?.rated(rating(winner), rating(loser));
        written(&told)
    }

    async fn outcome(&self, body: &Bytes) -> Result<Bytes, Failure> {
        let outcome: Outcome = read(body)?;
        let told = match outcome.judged()? {
            Judged::Elsewhere => OutcomeTold::of(0, false),
            Judged::Model(reward) => match self.judge(&outcome.replay_id, reward).await? {
                Verdict::Learned { .. } => OutcomeTold::of(1, false),
                Verdict::Again => OutcomeTold::of(0, true),
                Verdict::Unknown => return Err(shapes::unknown(&outcome.replay_id)),
                Verdict::Refused(reason) => return Err(wrong(reason, None)),
            },
        };
        written(&told)
    }

    fn ratings(&self, query: &str) -> Result<Bytes, Failure> {
        let category = surface::query_value(query, "category").map(std::borrow::Cow::into_owned);
        let learner = self.experience.learner();
        let router = self.router;
        let mut scopes: Vec<&str> = router.iter().flat_map(|router| router.learning_of(&[])).collect();
        scopes.dedup();
        let named = category.as_deref().filter(|category| scopes.contains(category));
        let domain = category.as_deref().filter(|_| named.is_none());
        let mut ratings = Vec::new();
        for scope in scopes
            .iter()
            .filter(|scope| named.is_none_or(|named| named == **scope))
        {
            for standing in learner.standings(scope, domain, INITIAL) {
                ratings.push(Rating {
                    decision: (*scope).to_owned(),
                    games: standing.games.round() as u64,
                    rating: standing.rating,
                    outcomes: standing.arm.count,
                    failed: standing.arm.failed,
                    mean_reward: standing.arm.mean(),
                    model: standing.model,
                });
            }
        }
        written(&Ratings {
            category: category.unwrap_or_default(),
            ratings,
        })
    }
}

/// A body as one of the shapes.
fn read<T: DeserializeOwned>(body: &Bytes) -> Result<T, Failure> {
    serde_json::from_slice(body).map_err(|error| wrong(error.to_string(), None))
}

fn written<T: Serialize>(value: &T) -> Result<Bytes, Failure> {
    serde_json::to_vec(value)
        .map(Bytes::from)
        .map_err(|error| Failure::new(FailureKind::Internal, error.to_string()))
}

/// What was asked makes no sense.
fn wrong(message: impl Into<String>, at: Option<&str>) -> Failure {
    let failure = Failure::new(FailureKind::InvalidRequest, message.into());
    match at {
        Some(at) => failure.at(at),
        None => failure,
    }
}

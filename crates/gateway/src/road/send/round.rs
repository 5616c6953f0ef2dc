//! The attempts at one model: which target, which endpoint, and whether to begin again.
//!
//! Targets are tried by the model's balancing policy, a target's endpoints by the provider's. A failure moves on to
//! what has not been tried; when all has been tried and attempts are left, everything is tried again after a pause.

use std::sync::Arc;
use std::time::{Duration, Instant};

use pointsman_governance::Principal;
use pointsman_upstream::balance::Candidate;
use pointsman_upstream::{Backoff, Endpoint, Failure as Fault, InFlight, RetryPolicy, TriedSet, balance};
use pointsman_wire::form::{Failure, FailureKind};

use super::super::{Ticket, a2a};
use super::Failed;
use crate::snapshot::{Model, Target};

/// One try at one endpoint.
pub trait Attempt: Sync {
    /// What it brings.
    type Answer: Send;

    /// Whether agents among the targets can be asked: they hold conversations, and nothing else.
    const ASKS_AGENTS: bool = false;

    /// The target that is asked first if it can be, wherever the balance lies.
    fn first(&self) -> Option<usize> {
        None
    }

    /// Asks `target` at the endpoint that `in_flight` stands for, and tells it how it went.
    fn run(
        &self,
        target: &Target,
        in_flight: InFlight,
        ticket: &mut Ticket,
    ) -> impl Future<Output = Result<Self::Answer, Failed>> + Send;
}

/// The attempts at one model.
pub struct Round<'a, A> {
    /// The model.
    pub model: &'a Model,
    /// How one attempt is made.
    pub attempt: &'a A,
    /// Servers that are not asked, by the number of their target.
    pub barred: &'a [(usize, Arc<Endpoint>)],
}

impl<A: Attempt> Round<'_, A> {
    /// Tries until there is an answer or no sense in trying; `causes` collects what went wrong.
    pub async fn run(&self, ticket: &mut Ticket, causes: &mut Vec<String>) -> Result<A::Answer, Failed> {
        let mut tried = Tried::default();
        let caller = ticket.shared_caller();
        if !may_answer(&caller, self.model) {
            return Err(Failed::refused(not_allowed(self.model)));
        }
        if !A::ASKS_AGENTS && self.model.has_only_agents() {
            return Err(Failed::refused(only_converses(self.model)));
        }
        let mut attempts = 0;
        // Of these, those before everything was tried again last.
        let mut before = 0;
        let (mut last, mut full): (Option<Failed>, Option<Failed>) = (None, None);
        if let Some(target) = self.model.targets.first() {
            target.provider.retry_budget.deposit(Instant::now());
        }
        loop {
            let Some((index, endpoint)) = self.pick(&tried, &caller) else {
                let Some(failed) = last.take() else {
                    return Err(full.unwrap_or_else(|| nothing_healthy(self.model)));
                };
                let was_full = full.take().is_some() && attempts == before;
                let nobody = self.model.has_only_agents();
                if nobody || was_full || !self.begins_again(&failed, attempts).await {
                    return Err(failed);
                }
                before = attempts;
                // Who was resting and has not been asked comes first; only then everybody again.
                if self.pick(&tried, &caller).is_none() {
                    tried = tried.of_agents(self.model);
                }
                if self.pick(&tried, &caller).is_none() {
                    return Err(failed);
                }
                last = Some(failed);
                continue;
            };
            let target = &self.model.targets[index];
            // Another request has taken the one trial that a resting endpoint gives.
            let Some(in_flight) = endpoint.begin(Instant::now()) else {
                tried.add(index, endpoint);
                continue;
            };
            let failed = match self.attempt.run(target, in_flight, ticket).await {
                Ok(answer) => return Ok(answer),
                Err(failed) => failed,
            };
            note(&failed, target, ticket, causes);
            // It was not asked: as where its servers rest.
            if failed.fault == Some(Fault::Full) {
                tried.add_all(index, target);
                full = Some(sooner(full, failed));
                continue;
            }
            attempts += 1;
            let elsewhere = is_targets_own(&failed);
            let moves_on = elsewhere || self.moves_on(&failed, target);
            if attempts >= self.policy(target).attempts() || !moves_on {
                return Err(failed);
            }
            ticket.left();
            if elsewhere {
                tried.add_all(index, target);
            }
            tried.add(index, endpoint);
            last = Some(failed);
        }
    }

    /// The next target and endpoint that have not been tried.
    fn pick(&self, tried: &Tried, caller: &Principal) -> Option<(usize, Arc<Endpoint>)> {
        let model = self.model;
        let now = Instant::now();
        let mut used_up = TriedSet::default();
        for (at, target) in model.targets.iter().enumerate() {
            let is_unfit = target.agent.is_some() && !A::ASKS_AGENTS;
            if is_unfit || !lets(caller, target) {
                used_up.insert(at);
            }
        }
        let mut first = self.attempt.first().filter(|at| {
            let target = model.targets.get(*at);
            target.is_some_and(|target| lets(caller, target) && target.available(now))
        });
        loop {
            let index = match first.take() {
                Some(first) => first,
                None => balance::pick(&model.balance, &model.targets, &used_up, now, &mut rand::rng())?,
            };
            let endpoints = &model.targets[index].provider.endpoints;
            let mut passed = TriedSet::default();
            for (at, endpoint) in endpoints.iter().enumerate() {
                if tried.has(index, endpoint) || is_among(self.barred, index, endpoint) {
                    passed.insert(at);
                }
            }
            let provider = &model.targets[index].provider;
            match balance::pick(&provider.balance, endpoints, &passed, now, &mut rand::rng()) {
                Some(at) => return Some((index, Arc::clone(&endpoints[at]))),
                None => used_up.insert(index),
            }
        }
    }

    fn policy<'p>(&'p self, target: &'p Target) -> &'p RetryPolicy {
        self.model.retry.as_deref().unwrap_or(&target.provider.retry)
    }

    fn moves_on(&self, failed: &Failed, target: &Target) -> bool {
        failed
            .fault
            .as_ref()
            .is_some_and(|fault| self.policy(target).may_retry(fault))
    }

    /// Waits before everything is tried again; false when it is not to be.
    async fn begins_again(&self, failed: &Failed, attempts: u32) -> bool {
        let Some(target) = self.model.targets.first() else {
            return false;
        };
        if !self.moves_on(failed, target) || !target.provider.retry_budget.withdraw(Instant::now()) {
            return false;
        }
        let backoff = self
            .policy(target)
            .backoff(attempts, failed.retry_after, &mut rand::rng());
        match backoff {
            Backoff::Wait(pause) => {
                tokio::time::sleep(pause).await;
                true
            }
            Backoff::NextTarget => false,
        }
    }
}

/// What has been tried: targets whose endpoints are all used up, and endpoints of targets that have others.
#[derive(Default)]
struct Tried {
    endpoints: Vec<(usize, Arc<Endpoint>)>,
}

impl Tried {
    fn add(&mut self, target: usize, endpoint: Arc<Endpoint>) {
        self.endpoints.push((target, endpoint));
    }

    /// Of a target, all endpoints.
    fn add_all(&mut self, index: usize, target: &Target) {
        let all = target.provider.endpoints.iter();
        self.endpoints
            .extend(all.map(|endpoint| (index, Arc::clone(endpoint))));
    }

    fn has(&self, target: usize, endpoint: &Arc<Endpoint>) -> bool {
        is_among(&self.endpoints, target, endpoint)
    }

    /// Those that are not tried again when everything else is: what agents have done is not undone.
    fn of_agents(mut self, model: &Model) -> Self {
        let is_agent = |index: usize| {
            model
                .targets
                .get(index)
                .is_some_and(|target| target.agent.is_some())
        };
        self.endpoints.retain(|(index, _)| is_agent(*index));
        self
    }
}

fn is_among(all: &[(usize, Arc<Endpoint>)], target: usize, endpoint: &Arc<Endpoint>) -> bool {
    all.iter()
        .any(|(of, other)| *of == target && Arc::ptr_eq(other, endpoint))
}

/// Notes why an attempt brought nothing.
fn note(failed: &Failed, target: &Target, ticket: &mut Ticket, causes: &mut Vec<String>) {
    ticket.nothing_at_stake();
    let provider = &target.provider.name;
    causes.push(format!("{provider}: {}", failed.failure.message));
    if let Some(fault) = &failed.fault {
        ticket.failed(provider, fault);
    }
}

/// Of two that have no room, the one that has some sooner.
fn sooner(one: Option<Failed>, other: Failed) -> Failed {
    let wait = |failed: &Failed| failed.retry_after.unwrap_or(Duration::MAX);
    match one {
        Some(one) if wait(&one) <= wait(&other) => one,
        _ => other,
    }
}

/// The provider does not accept the gateway's credential, or does not know the model: asking it again is of no use, but
/// another target may do.
fn is_targets_own(failed: &Failed) -> bool {
    matches!(&failed.fault, Some(Fault::Status(status)) if matches!(status.as_u16(), 401 | 403 | 404))
}

/// Whether the caller's lists of providers, or the agent, let anybody answer for a model. Of one without targets, nobody says so.
pub fn may_answer(caller: &Principal, model: &Model) -> bool {
    if let Some(agent) = &model.agent {
        return a2a::may_answer(caller, agent);
    }
    let mut targets = model.targets.iter();
    model.targets.is_empty() || targets.any(|target| lets(caller, target))
}

/// Whether a caller may be answered by a target: providers are for those whose lists name them, agents for those whom they
/// let in.
fn lets(caller: &Principal, target: &Target) -> bool {
    match &target.agent {
        Some(agent) => a2a::may_answer(caller, agent),
        None => caller.allows_provider(&target.provider.name),
    }
}

/// All who could answer hold conversations, and this is none.
fn only_converses(model: &Model) -> Failure {
    let message = format!(
        "{:?} is answered by agents, which hold conversations and do nothing else that models do",
        model.name
    );
    Failure::new(FailureKind::InvalidRequest, message)
        .at("model")
        .coded("unsupported_endpoint")
}

/// Nobody who could answer may.
fn not_allowed(model: &Model) -> Failure {
    let whom = if model.meets_agents {
        "providers or agents"
    } else {
        "providers"
    };
    Failure::new(
        FailureKind::PermissionDenied,
        format!(
            "this key may not use any of the {whom} of {:?}; ask whoever runs this gateway",
            model.name
        ),
    )
    .at("model")
}

fn nothing_healthy(model: &Model) -> Failed {
    let failure = Failure::new(
        FailureKind::Unavailable,
        format!(
            "no healthy target for {:?}: all of its endpoints are resting after failures",
            model.name
        ),
    )
    .coded("no_healthy_target")
    .retry_after(Duration::from_secs(1));
    Failed::broken(failure, Fault::Connect)
}

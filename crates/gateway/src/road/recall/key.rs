//! What makes two requests the same: everything that changes the answer, and who may see it.

use std::hash::{Hash, Hasher};

use pointsman_cache::{CacheKey, KeyBuilder, Scope};
use pointsman_governance::Principal;
use pointsman_wire::form::{ChatRequest, Message, PartKind, Role};

use super::super::arrive::Asked;
use super::super::{Arrival, Ticket};
use crate::snapshot::CachePolicy;

/// Headers by which a client asks its provider for more than the body says.
const MEANING: [&str; 2] = ["anthropic-beta", "openai-beta"];

/// The keys of a request.
pub struct Keys {
    /// Of all that it says.
    pub exact: CacheKey,
    /// Of all but the words of its question.
    pub partition: CacheKey,
    /// Of those who may see its answer.
    pub owner: CacheKey,
    /// Several people may see it. Callers without a key are one caller, and may be many people.
    pub of_many: bool,
}

/// The keys of a request.
pub fn of(policy: &CachePolicy, arrival: &Arrival, asked: &Asked, ticket: &Ticket) -> Keys {
    let mut key = KeyBuilder::new();
    scope(policy, ticket.caller(), asked.request.user.as_deref(), &mut key);
    let owner = key.clone().finish();
    key.field("revision", policy.revision.as_bytes());
    for part in &policy.apart {
        key.field("decided", part.as_bytes());
    }
    router_facts(policy, arrival, (ticket.caller(), &asked.request), &mut key);
    headers(policy, arrival, &mut key);
    // What one caller's guardrails let pass is not for those whose guardrails are others.
    for name in asked.guards.apart() {
        key.field("guardrail", name.as_bytes());
    }
    meaning(&asked.request, &mut key);
    let mut rest = key.clone();
    if let Some(last) = asked.request.messages.last() {
        put(&mut key, "question", last);
        put(&mut rest, "around the question", Unsaid(last));
    }
    Keys {
        exact: key.finish(),
        partition: rest.finish(),
        owner,
        of_many: policy.scope.is_of_many() || ticket.caller().key.is_none(),
    }
}

/// What the keys of an errand begin with.
pub fn of_errand(
    policy: &CachePolicy,
    arrival: &Arrival,
    caller: &Principal,
    user: Option<&str>,
) -> KeyBuilder {
    let mut key = KeyBuilder::new();
    scope(policy, caller, user, &mut key);
    key.field("revision", policy.revision.as_bytes());
    headers(policy, arrival, &mut key);
    key
}

/// Headers that change the answer.
fn headers(policy: &CachePolicy, arrival: &Arrival, key: &mut KeyBuilder) {
    for name in MEANING {
        for value in arrival.headers.get_all(name) {
            key.field(name, value.as_bytes());
        }
    }
    for name in &policy.credentials {
        for value in arrival.headers.get_all(name) {
            key.field(name.as_str(), value.as_bytes());
        }
    }
}

/// Who may see the answer. What a caller does not have narrows the scope.
fn scope(policy: &CachePolicy, caller: &Principal, end_user: Option<&str>, key: &mut KeyBuilder) {
    let organization = || Some(("organization", caller.organization.as_ref()?.as_str()));
    let team = || Some(("team", caller.team.as_ref()?.as_str()));
    let user = || Some(("user", caller.user.as_ref()?.as_str()));
    let own = || ("key", caller.key.as_ref().map_or("anonymous", |id| id.as_str()));
    let (kind, name) = match policy.scope {
        Scope::Shared => ("shared", ""),
        Scope::Organization => organization().or_else(team).unwrap_or_else(own),
        Scope::Team => team().unwrap_or_else(own),
        Scope::User => user().unwrap_or_else(own),
        Scope::Key => own(),
    };
    key.field(kind, name.as_bytes());
    // Two organizations may have a team or a user of the same name.
    if let Some((kind, name)) = organization().filter(|_| matches!(kind, "team" | "user")) {
        key.field(kind, name.as_bytes());
    }
    if let Some(user) = end_user.filter(|_| matches!(kind, "key" | "user")) {
        key.field("end user", user.as_bytes());
    }
    // Nobody is given the answer of a provider that may not answer them.
    for list in caller.provider_lists() {
        key.field("providers", b"");
        for pattern in list {
            key.field("provider", pattern.as_bytes());
        }
    }
}

/// Where decisions look at who asks, callers who are told apart get answers of their own.
fn router_facts(
    policy: &CachePolicy,
    arrival: &Arrival,
    (caller, request): (&Principal, &ChatRequest),
    key: &mut KeyBuilder,
) {
    let routed = || {
        let router = arrival.snapshot.router.as_ref();
        router.is_some_and(|router| router.enters(&request.model))
    };
    if !policy.routes_by_caller || !routed() {
        return;
    }
    let ids = [
        ("routed user", caller.user.as_ref().map(|user| user.as_str())),
        ("routed team", caller.team.as_ref().map(|team| team.as_str())),
    ];
    for (name, id) in ids {
        key.field(name, id.unwrap_or_default().as_bytes());
    }
    for (name, all) in [("role", &caller.roles), ("group", &caller.groups)] {
        for one in all {
            key.field(name, one.as_bytes());
        }
    }
}

/// Everything that changes the answer, but for the last message; and nothing that does not. Taken apart field by field,
/// so that one that is added cannot be forgotten.
fn meaning(request: &ChatRequest, key: &mut KeyBuilder) {
    let ChatRequest {
        format,
        model,
        messages,
        tools,
        tool_choice,
        parallel_tool_calls,
        sampling,
        reasoning,
        response_format,
        // How it is told changes nothing of what is told.
        stream: _,
        // Part of the scope.
        user: _,
        // Where a provider caches.
        cache_control: _,
        service_tier,
        extra,
    } = request;
    let history = messages.len().saturating_sub(1);
    put(key, "format", format);
    put(key, "model", model);
    put(key, "history", &messages[..history]);
    put(key, "tools", (tools, tool_choice, parallel_tool_calls));
    put(key, "sampling", sampling);
    put(key, "reasoning", reasoning);
    put(key, "response_format", response_format);
    put(key, "service_tier", service_tier);
    put(key, "extra", extra);
}

/// A message without its words.
struct Unsaid<'a>(&'a Message);

impl Hash for Unsaid<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let Message {
            role,
            parts,
            shape,
            name,
            extra,
        } = self.0;
        (role, shape, name, extra, parts.len()).hash(state);
        for part in parts {
            (&part.cache_control, &part.extra).hash(state);
            match &part.kind {
                PartKind::Text(text) => text.citations.hash(state),
                other => other.hash(state),
            }
        }
    }
}

/// Adds a value by what `Hash` writes of it, which delimits itself.
fn put(key: &mut KeyBuilder, name: &str, value: impl Hash) {
    struct Fields<'a>(&'a mut KeyBuilder);
    impl Hasher for Fields<'_> {
        fn finish(&self) -> u64 {
            0
        }
        fn write(&mut self, bytes: &[u8]) {
            self.0.raw(bytes);
        }
    }
    key.field(name, b"");
    value.hash(&mut Fields(key));
}

/// The words of the question: of a last message that the user says in one text.
pub fn question(request: &ChatRequest) -> Option<&str> {
    let last = request.messages.last().filter(|last| last.role == Role::User)?;
    match last.parts.as_slice() {
        [part] => match &part.kind {
            PartKind::Text(text) if !text.text.trim().is_empty() => Some(&text.text),
            _ => None,
        },
        _ => None,
    }
}

//! Who asks.

use std::sync::Arc;
use std::time::Instant;

use pointsman_catalog::Money;
use pointsman_store::{KeyId, KeyRecord, OrganizationId, ProjectId, TeamId, UserId};

use crate::config::Limits;
use crate::limits::{Denial, Estimate, KeyState, RateStatus, Reservation, SetAside, Standing};

/// Whoever a credential belongs to, and what they may do.
#[derive(Debug)]
pub struct Principal {
    /// The key; none for anonymous callers.
    pub key: Option<KeyId>,
    /// A name for people.
    pub name: String,
    /// The key's organization.
    pub organization: Option<OrganizationId>,
    /// The key's team.
    pub team: Option<TeamId>,
    /// The key's project.
    pub project: Option<ProjectId>,
    /// The key's user.
    pub user: Option<UserId>,
    /// Roles.
    pub roles: Vec<String>,
    /// Groups.
    pub groups: Vec<String>,
    models: Vec<String>,
    pub(crate) expires_at: Option<i64>,
    pub(crate) revoked: bool,
    pub(crate) state: Arc<KeyState>,
}

impl Principal {
    /// Callers without a key.
    #[must_use]
    pub fn anonymous(limits: Limits) -> Self {
        Self {
            key: None,
            name: "anonymous".to_owned(),
            organization: None,
            team: None,
            project: None,
            user: None,
            roles: Vec::new(),
            groups: Vec::new(),
            models: Vec::new(),
            expires_at: None,
            revoked: false,
            state: Arc::new(KeyState::new(limits, None, Instant::now())),
        }
    }

    pub(crate) fn new(record: &KeyRecord, state: Arc<KeyState>) -> Self {
        let grant = &record.grant;
        Self {
            key: Some(record.id.clone()),
            name: if grant.name.is_empty() {
                record.hint.clone()
            } else {
                grant.name.clone()
            },
            organization: grant.organization.clone(),
            team: grant.team.clone(),
            project: grant.project.clone(),
            user: grant.user.clone(),
            roles: grant.roles.clone(),
            groups: grant.groups.clone(),
            models: grant.models.clone(),
            expires_at: grant.expires_at,
            revoked: record.revoked_at.is_some(),
            state,
        }
    }

    /// Changes its limits and keeps what was used. For anonymous callers; keys have theirs from the store.
    pub fn set_limits(&self, limits: Limits) {
        self.state.configure(limits, None);
    }

    /// Whether it may ask for `model`.
    #[must_use]
    pub fn allows_model(&self, model: &str) -> bool {
        self.models.is_empty() || self.models.iter().any(|pattern| matches(pattern, model))
    }

    /// Reserves the estimate, all of it or nothing.
    ///
    /// # Errors
    /// When a limit or the budget has no room for it.
    pub fn admit(&self, estimate: Estimate, now: Instant) -> Result<Reservation, Denial> {
        self.state.admit(estimate, now)
    }

    /// Sets money aside whether or not there is room: for what is under way elsewhere already.
    #[must_use]
    pub fn set_aside(&self, cost: Money) -> SetAside {
        SetAside::new(&self.state, cost)
    }

    /// Reserves the estimate for a part of a request that was admitted and has its place: as [`admit`](Self::admit),
    /// without taking another.
    ///
    /// # Errors
    /// When a limit or the budget has no room for it.
    pub fn admit_part(&self, estimate: Estimate, now: Instant) -> Result<Reservation, Denial> {
        self.state.reserve(estimate, Standing::Within, now)
    }

    /// A reservation of nothing, to charge what was used before anybody could ask. No limit denies it; the ones that
    /// come after it see what it was charged.
    #[must_use]
    pub fn owe(&self, now: Instant) -> Reservation {
        self.state.owe(now)
    }

    /// Where it stands.
    #[must_use]
    pub fn rate_status(&self, now: Instant) -> RateStatus {
        self.state.status(now)
    }
}

/// Whether `text` is what `pattern` says, `*` standing for any run of letters.
fn matches(pattern: &str, text: &str) -> bool {
    let mut pieces = pattern.split('*');
    let Some(mut rest) = pieces.next().and_then(|first| text.strip_prefix(first)) else {
        return false;
    };
    let mut last = None;
    for piece in pieces {
        if let Some(middle) = last.replace(piece) {
            match rest.find(middle) {
                Some(at) => rest = &rest[at + middle.len()..],
                None => return false,
            }
        }
    }
    last.map_or(rest.is_empty(), |last| rest.ends_with(last))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_runs_of_letters() {
        for (pattern, text, expected) in [
            ("gpt-5", "gpt-5", true),
            ("gpt-5", "gpt-5-mini", false),
            ("gpt-*", "gpt-5-mini", true),
            ("*", "", true),
            ("*mini*", "gpt-5-mini", true),
            ("a*b*c", "aXbYc", true),
            ("a*b*c", "ac", false),
            ("a*a", "a", false),
        ] {
            assert_eq!(matches(pattern, text), expected, "{pattern} {text}");
        }
    }
}

//! Whoever comes with a token instead of a key: taken up when first seen, with counters of their own as a key has.

use std::collections::HashSet;
use std::sync::Arc;

use papaya::HashMap;
use pointsman_store::{
    Actor, HolderKind, HolderSpec, KeyRecord, Metadata, NewKey, OrganizationId, PlanId, StoreError,
};

use super::KeyRing;
use super::uses::Named;
use crate::account::unix_ms;
use crate::jwt::{Subject, TokenError};
use crate::principal::Principal;

/// Tokens that are remembered as checked, at most; past that all are forgotten, and checked again.
const MAX_TOKENS: usize = 65_536;

/// A token that was checked, and when it ends, Unix milliseconds.
struct Known {
    principal: Arc<Principal>,
    /// The named budget that holds for it.
    plan: Option<PlanId>,
    ends: i64,
}

impl Known {
    /// Whether what is known of it depends on one of these.
    fn depends_on(&self, holders: &HashSet<Named>) -> bool {
        let of = &self.principal;
        let named = [
            (HolderKind::User, of.user.as_ref().map(AsRef::as_ref)),
            (HolderKind::Team, of.team.as_ref().map(AsRef::as_ref)),
            (
                HolderKind::Organization,
                of.organization.as_ref().map(AsRef::as_ref),
            ),
            (HolderKind::Plan, self.plan.as_ref().map(AsRef::<str>::as_ref)),
        ];
        let named = named
            .into_iter()
            .filter_map(|(kind, id)| Some((kind, id?.to_owned())));
        named.into_iter().any(|holder| holders.contains(&holder))
    }
}

/// Tokens that were checked, by their digests.
#[derive(Default)]
pub(super) struct Subjects {
    known: HashMap<[u8; 32], Known>,
}

impl Subjects {
    /// Nothing that was found out before counts any more.
    pub(super) fn forget(&self) {
        self.known.pin().clear();
    }

    /// Nothing that depends on one of these counts any more.
    pub(super) fn forget_of(&self, holders: &HashSet<Named>) {
        if !holders.is_empty() {
            self.known.pin().retain(|_, known| !known.depends_on(holders));
        }
    }
}

impl KeyRing {
    /// Whose token it is, where it was checked before and is still good.
    ///
    /// # Errors
    /// When its time is over.
    pub fn remembered(&self, digest: &[u8; 32]) -> Option<Result<Arc<Principal>, TokenError>> {
        let known = self.subjects.known.pin();
        let found = known.get(digest)?;
        if unix_ms() >= found.ends {
            known.remove(digest);
            return Some(Err(TokenError::Expired));
        }
        Some(Ok(Arc::clone(&found.principal)))
    }

    /// Forgets which tokens were checked: for keys of an issuer that are not its keys any more.
    pub fn forget_tokens(&self) {
        self.subjects.forget();
    }

    /// Takes up whoever a checked token is for, and remembers it under the token's digest. A user that is not known is
    /// made. Blocks on the database: not for a worker's thread.
    ///
    /// # Errors
    /// When a holder is not known or belongs to another than the token says, or the database refuses.
    pub fn take_up(&self, subject: &Subject, digest: [u8; 32]) -> Result<Arc<Principal>, TokenError> {
        let organization = self.known_user(subject)?;
        let record = record(subject, organization);
        // Under the lock: what is changed after this is seen by the next refresh, which finds the token remembered.
        let mut states = self.states.lock();
        let principal =
            Principal::of(&record, &mut states.directory).map_err(|error| refused(subject, &error))?;
        if principal.closed.is_some() {
            return Err(TokenError::Closed);
        }
        let principal = Arc::new(principal);
        let known = self.subjects.known.pin();
        if known.len() >= MAX_TOKENS {
            known.clear();
        }
        known.insert(
            digest,
            Known {
                principal: Arc::clone(&principal),
                plan: subject.plan.clone(),
                ends: subject.ends,
            },
        );
        Ok(principal)
    }

    /// Sees to it that the user of a token is known, and says of which organization it is.
    fn known_user(&self, subject: &Subject) -> Result<Option<OrganizationId>, TokenError> {
        let refused = |error: StoreError| refused(subject, &error);
        self.refresh().map_err(refused)?;
        let organization = self.states.lock().directory.place_of(subject)?;
        let user = subject.user.as_str();
        let known = self.store.holder(HolderKind::User, user).map_err(refused)?;
        let Some(holder) = known else {
            let spec = HolderSpec {
                name: subject.name.clone(),
                organization: organization.clone(),
                ..HolderSpec::default()
            };
            let made =
                self.store
                    .create_holder(&Actor::token(), HolderKind::User, Some(user.to_owned()), spec);
            match made {
                // Another replica was faster.
                Ok(_) | Err(StoreError::Exists { .. }) => {}
                Err(StoreError::Invalid(_)) => return Err(TokenError::Holders),
                Err(error) => return Err(refused(error)),
            }
            self.refresh().map_err(refused)?;
            return Ok(organization);
        };
        // A user of one organization does not become another's because a token says so.
        if holder.spec.organization.is_some() && holder.spec.organization != organization {
            return Err(TokenError::Holders);
        }
        Ok(organization)
    }
}

fn refused(subject: &Subject, error: &StoreError) -> TokenError {
    tracing::warn!(%error, user = %subject.user.as_str(), "whoever a token is for cannot be taken up");
    TokenError::Unavailable
}

/// A token's user as a key would be kept.
fn record(subject: &Subject, organization: Option<OrganizationId>) -> KeyRecord {
    let now = unix_ms();
    KeyRecord {
        id: subject.id.clone(),
        grant: NewKey {
            name: subject.name.clone(),
            organization,
            team: subject.team.clone(),
            user: Some(subject.user.clone()),
            plan: subject.plan.clone(),
            roles: subject.roles.clone(),
            groups: subject.groups.clone(),
            ..NewKey::default()
        },
        hint: String::new(),
        hash: [0; 32],
        created_at: now,
        revoked_at: None,
        disabled_at: None,
        former: None,
        metadata: Metadata::new(),
        updated_at: now,
        version: 0,
    }
}

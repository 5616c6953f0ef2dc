//! What a server has granted, and the same server on behalf of users who have grants of their own.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{NOBODY, Server};
use crate::call::Waits;
use crate::catalog::KINDS;
use crate::oauth::{Account, Vault};

/// Users whose own grants at one server are at hand, at most.
const MAX_PERSONAL: usize = 10_000;
/// How long those of a user are at hand that does not come back.
const PERSONAL: Duration = Duration::from_secs(30 * 60);

impl Server {
    /// What was granted there.
    pub fn account(&self) -> Option<&Account> {
        self.account.as_ref()
    }

    /// What seals what is said of it.
    #[must_use]
    pub fn vault(&self) -> &Vault {
        self.board.vault()
    }

    /// Its tasks that wait for input of clients of the newer era.
    pub fn waits(&self) -> &Waits {
        &self.waits
    }

    /// Whether each user has a grant of their own.
    #[must_use]
    pub fn is_personal(&self) -> bool {
        self.config
            .oauth
            .as_ref()
            .is_some_and(|oauth| oauth.is_personal())
    }

    /// The same server with what was granted on behalf of `owner`: what it lists for one is not told to another.
    #[must_use]
    pub fn of(self: &Arc<Self>, owner: &str) -> Arc<Self> {
        if !self.is_personal() || owner == NOBODY {
            return Arc::clone(self);
        }
        let mut personal = self.personal.lock();
        let now = Instant::now();
        if let Some((server, used)) = personal.get_mut(owner) {
            *used = now;
            return Arc::clone(server);
        }
        let idle = |used: &Instant| now.saturating_duration_since(*used) > PERSONAL;
        for (_, (server, _)) in personal.extract_if(|_, (_, used)| idle(used)) {
            server.shut();
        }
        if personal.len() >= MAX_PERSONAL {
            let oldest = personal.iter().min_by_key(|(_, (_, used))| *used);
            if let Some(oldest) = oldest.map(|(owner, _)| owner.clone())
                && let Some((server, _)) = personal.remove(&oldest)
            {
                server.shut();
            }
        }
        let bounds = ((self.limit, self.lists_for), self.approved.as_ref());
        // What has been compiled once is compiled again.
        let made = Self::made(&self.name, &self.config, bounds, (&self.board, owner));
        let made = made.unwrap_or_else(|_| Arc::clone(self));
        personal.insert(owner.to_owned(), (Arc::clone(&made), now));
        made
    }

    /// Somebody has let the gateway in, or shut it out: what it lists is asked for anew.
    pub async fn granted(&self) {
        *self.resting.lock() = None;
        let house = self.house.lock().await.take();
        if let Some(house) = house {
            house.shut();
        }
        self.invalidate(&KINDS);
        for kind in KINDS {
            if let Some(method) = kind.changes() {
                self.board.changed(&self.name, method);
            }
        }
    }
}

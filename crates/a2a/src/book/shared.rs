//! What all replicas know of tasks and contexts: whose they are, and at which instance.
//!
//! Each is a record of its own. What is found there is noted here, too: it never changes. So a replica asks once for a task
//! that another has begun. Records of contexts are asked for with each message, so that they last as long as they are used:
//! a context whose record is gone would be anybody's.

use std::collections::HashMap;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use futures_util::stream::{self, StreamExt};
use pointsman_store::SharedError;

use super::{Book, Place};

/// How much is remembered, and for how long.
#[derive(Debug, Clone, Copy)]
pub struct Keeping {
    /// Most tasks of an owner that this process remembers.
    pub most: usize,
    /// How long other replicas know of something.
    pub life: Duration,
}

/// Whose something is, and of which agent.
#[derive(Debug, Clone, Copy)]
pub struct Holder<'a> {
    /// The owner.
    pub owner: &'a str,
    /// The agent.
    pub agent: &'a str,
}

/// Records that are asked for at once.
const AT_ONCE: usize = 32;
const KIND: &str = "kind";
/// Whose something is, and where.
type Held = (String, u64);
/// A task, and whose it is and where, if it is anybody's.
type Asked<'a> = (&'a str, Option<Held>);

/// The instance and the owner in one field: nobody ever finds one without the other.
const HELD: &str = "held";
const WAITING: &str = "waits";

/// What a record is called. Ids are the agents' and their clients' own, and may be anything.
fn key(kind: &str, agent: &str, id: &str) -> String {
    let named = format!("{kind}\n{agent}\n{id}");
    let digest = ring::digest::digest(&ring::digest::SHA256, named.as_bytes());
    let digest = digest.as_ref().iter().take(16);
    let hex: String = digest.map(|byte| format!("{byte:02x}")).collect();
    format!("a2a:{hex}")
}

/// Whose a record says that something is, and where.
fn held_by(fields: Option<HashMap<String, String>>) -> Option<Held> {
    let fields = fields?;
    let (instance, owner) = fields.get(HELD)?.split_once(' ')?;
    Some((owner.to_owned(), instance.parse().ok()?))
}

impl Book {
    /// Notes what an owner has begun: a task, and the context that it is in.
    pub async fn begun(
        &self,
        holder: Holder<'_>,
        (task, context): (Option<&str>, Option<&str>),
        instance: u64,
        keeping: Keeping,
    ) {
        let Holder { owner, agent } = holder;
        if let Some(task) = task {
            let is_new = self.task(owner, agent, task).is_none();
            self.keep_task(owner, agent, task, instance, keeping.most);
            if is_new {
                self.share("t", holder, task, (instance, keeping.life)).await;
            }
        }
        let Some(context) = context else { return };
        let mut held = (owner.to_owned(), instance);
        if self.context(owner, agent, context) == Place::Free {
            // Somebody may have been first at another replica: then it is theirs here, too.
            let first = self.share("c", holder, context, (instance, keeping.life)).await;
            held = first.unwrap_or(held);
        }
        self.keep_context(&held.0, agent, context, held.1, keeping.most);
    }

    /// Tells other replicas of something, unless it is somebody's already; whose, if it is not the holder's.
    async fn share(
        &self,
        kind: &str,
        holder: Holder<'_>,
        id: &str,
        (instance, life): (u64, Duration),
    ) -> Option<Held> {
        let shared = self.shared.as_ref()?;
        let key = key(kind, holder.agent, id);
        let sharing = async {
            shared
                .create(&key, &[(KIND.to_owned(), kind.to_owned())], life)
                .await?;
            // Whoever is first has it.
            let held = format!("{instance} {}", holder.owner);
            if shared.swap(&key, HELD, None, Some(&held)).await? {
                return Ok(None);
            }
            shared.fields(&key, life).await.map(held_by)
        };
        match sharing.await {
            Ok(held) => held.filter(|(owner, _)| owner != holder.owner),
            Err(error) => {
                let error: SharedError = error;
                tracing::warn!(%error, "a task of an agent could not be told to other replicas: they will not know it");
                None
            }
        }
    }

    /// Lets the record of a context of the holder's own last on, or makes it anew.
    async fn last(&self, holder: Holder<'_>, context: &str, (instance, life): (u64, Duration)) {
        let Some(shared) = &self.shared else { return };
        let key = key("c", holder.agent, context);
        // Without an answer each replica goes on with what it knows.
        if !matches!(shared.fields(&key, life).await, Ok(None)) {
            return;
        }
        self.share("c", holder, context, (instance, life)).await;
        if let Some(task) = self.peek_waiting(holder.owner, holder.agent, context) {
            let fields = [(WAITING.to_owned(), task)];
            if let Err(error) = shared.set(&key, &fields).await {
                tracing::debug!(%error, "that a task waits could not be told to other replicas");
            }
        }
    }

    /// Finds out about tasks and a context that another replica may have begun.
    ///
    /// # Errors
    /// When nobody can say.
    pub async fn look_up(
        &self,
        holder: Holder<'_>,
        (tasks, context): (&[String], Option<&str>),
        keeping: Keeping,
    ) -> Result<(), SharedError> {
        if self.shared.is_none() {
            return Ok(());
        }
        let Holder { owner, agent } = holder;
        let unknown = tasks
            .iter()
            .filter(|task| self.task(owner, agent, task).is_none());
        let asked: Vec<BoxFuture<'_, Result<Asked<'_>, SharedError>>> = unknown
            .map(|task| self.asked(agent, task, keeping).boxed())
            .collect();
        let mut asked = stream::iter(asked).buffer_unordered(AT_ONCE);
        let mut found = Vec::new();
        while let Some(one) = asked.next().await {
            found.push(one?);
        }
        drop(asked);
        for (task, (known, instance)) in found.into_iter().filter_map(|(task, found)| Some((task, found?))) {
            if known == owner {
                self.keep_task(owner, agent, task, instance, keeping.most);
            }
        }
        let Some(context) = context else { return Ok(()) };
        match self.context(owner, agent, context) {
            Place::Free => {
                let found = self.found("c", (agent, context), keeping).await?;
                if let Some((known, instance)) = found {
                    // Somebody else's, perhaps: that is known here, too, from now on.
                    self.keep_context(&known, agent, context, instance, keeping.most);
                }
            }
            Place::Own(instance) => self.last(holder, context, (instance, keeping.life)).await,
            Place::Taken => {}
        }
        Ok(())
    }

    async fn asked<'a>(
        &self,
        agent: &str,
        task: &'a str,
        keeping: Keeping,
    ) -> Result<Asked<'a>, SharedError> {
        Ok((task, self.found("t", (agent, task), keeping).await?))
    }

    async fn found(
        &self,
        kind: &str,
        (agent, id): (&str, &str),
        keeping: Keeping,
    ) -> Result<Option<Held>, SharedError> {
        let Some(shared) = &self.shared else {
            return Ok(None);
        };
        let fields = shared.fields(&key(kind, agent, id), keeping.life).await?;
        Ok(held_by(fields))
    }

    /// Notes which task of a context waits to hear more.
    pub async fn waits(&self, holder: Holder<'_>, context: &str, task: &str) {
        self.keep_waiting(holder.owner, holder.agent, context, task);
        if let Some(shared) = &self.shared
            && matches!(self.context(holder.owner, holder.agent, context), Place::Own(_))
        {
            let fields = [(WAITING.to_owned(), task.to_owned())];
            if let Err(error) = shared.set(&key("c", holder.agent, context), &fields).await {
                tracing::debug!(%error, "that a task waits could not be told to other replicas");
            }
        }
    }

    /// The task of a context that waits to hear more, which is told now; by whichever replica is first.
    pub async fn waiting(&self, holder: Holder<'_>, context: &str) -> Option<String> {
        let Holder { owner, agent } = holder;
        let here = self.take_waiting(owner, agent, context);
        let Some(shared) = &self.shared else { return here };
        if !matches!(self.context(owner, agent, context), Place::Own(_)) {
            return None;
        }
        match shared.take(&key("c", agent, context), WAITING).await {
            Ok(waiting) => waiting,
            Err(error) => {
                tracing::debug!(%error, "whether a task waits could not be asked of other replicas");
                here
            }
        }
    }
}

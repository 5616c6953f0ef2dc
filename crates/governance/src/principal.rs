//! Who asks.

use std::net::IpAddr;
use std::ops::Deref;
use std::sync::Arc;
use std::time::Instant;

use pointsman_catalog::Money;
use pointsman_store::{
    Aliases, KeyId, KeyRecord, Network, OrganizationId, ProjectId, StoreError, TeamId, UserId,
};

use crate::account::{Account, Place};
use crate::aside::SetAside;
use crate::config::Limits;
use crate::denial::Denial;
use crate::directory::Directory;
use crate::identity::IdentifyError;
use crate::labels::Labels;
use crate::model_limits::ModelLimits;
use crate::pattern::fits;
use crate::rate::RateStatus;
use crate::reservation::{self, Accounts, Estimate, Reservation, Standing};
use crate::sharing::{self, Sharing};
use crate::wanted::Wanted;

/// Whoever a credential belongs to, what they may do, and what the request names beside it.
#[derive(Debug)]
pub struct Principal {
    known: Arc<Known>,
    /// What the request names: its end customer, its agent, its tags.
    pub labels: Labels,
    accounts: Accounts,
}

/// What is known of whoever a credential belongs to.
#[derive(Debug)]
pub struct Known {
    /// The key; none for anonymous callers.
    pub key: Option<KeyId>,
    /// A name for people.
    pub name: String,
    /// The key's organization: its own, or that of its team, project or user.
    pub organization: Option<OrganizationId>,
    /// The key's team: its own, or that of its project.
    pub team: Option<TeamId>,
    /// The key's project.
    pub project: Option<ProjectId>,
    /// The key's user.
    pub user: Option<UserId>,
    /// Roles.
    pub roles: Vec<String>,
    /// Groups.
    pub groups: Vec<String>,
    /// For which of the shares that are reserved it asks.
    pub priority: Option<String>,
    /// Names of its key's own for models.
    aliases: Aliases,
    /// Of models, and of providers: what is used must be in each list.
    models: Vec<Vec<String>>,
    providers: Vec<Vec<String>>,
    /// Of paths that may be asked, and of networks that it may come from: as above.
    surfaces: Vec<Vec<String>>,
    networks: Vec<Vec<Network>>,
    /// What its key and all its holders name.
    guardrails: Vec<String>,
    pub(crate) expires_at: Option<i64>,
    /// Why it is refused whatever it is used for.
    pub(crate) closed: Option<IdentifyError>,
}

impl Deref for Principal {
    type Target = Known;

    fn deref(&self) -> &Known {
        &self.known
    }
}

impl Principal {
    /// Callers without a key.
    #[must_use]
    pub fn anonymous(limits: Limits) -> Self {
        Self::anonymous_shared(limits, None)
    }

    /// The same with other facts, as long as nobody else has it: to try what follows from them.
    #[must_use]
    pub fn known_as(mut self, change: impl FnOnce(&mut Known)) -> Self {
        if let Some(known) = Arc::get_mut(&mut self.known) {
            change(known);
        }
        self
    }

    /// Callers without a key, whose limits are counted together with other replicas.
    #[must_use]
    pub fn anonymous_shared(limits: Limits, sharing: Option<&Arc<Sharing>>) -> Self {
        // No key has an id without letters.
        let place = sharing.map(|sharing| Place::new(sharing, None, ""));
        let known = Known {
            key: None,
            name: "anonymous".to_owned(),
            organization: None,
            team: None,
            project: None,
            user: None,
            roles: Vec::new(),
            groups: Vec::new(),
            priority: None,
            aliases: Aliases::new(),
            models: Vec::new(),
            providers: Vec::new(),
            surfaces: Vec::new(),
            networks: Vec::new(),
            guardrails: Vec::new(),
            expires_at: None,
            closed: None,
        };
        Self {
            known: Arc::new(known),
            labels: Labels::default(),
            accounts: Accounts::new(Arc::from([Arc::new(Account::new(
                "callers without a key",
                limits,
                place,
            ))])),
        }
    }

    /// Whoever has the key of this record.
    pub(crate) fn of(record: &KeyRecord, directory: &mut Directory) -> Result<Self, StoreError> {
        let grant = &record.grant;
        let own = directory.account(record)?;
        let chain = directory.chain(record);
        let narrowed = |own: &[String], mut lists: Vec<Vec<String>>| {
            if !own.is_empty() {
                lists.push(own.to_vec());
            }
            lists
        };
        let models = directory.lists(record, &chain, |terms| &terms.models);
        let providers = directory.lists(record, &chain, |terms| &terms.providers);
        let surfaces = directory.lists(record, &chain, |terms| &terms.surfaces);
        let networks = directory.lists(record, &chain, |terms| &terms.networks);
        let mut guardrails = directory
            .lists(record, &chain, |terms| &terms.guardrails)
            .concat();
        guardrails.extend(grant.guardrails.iter().cloned());
        guardrails.sort_unstable();
        guardrails.dedup();
        let mut accounts = vec![own];
        let priority = directory.priority(record, &chain);
        accounts.extend(directory.accounts(&chain, priority.as_deref())?);
        let known = Known {
            key: Some(record.id.clone()),
            name: if grant.name.is_empty() {
                record.hint.clone()
            } else {
                grant.name.clone()
            },
            closed: directory.closed(record, &chain),
            organization: chain.organization,
            team: chain.team,
            project: chain.project,
            user: chain.user,
            roles: grant.roles.clone(),
            groups: grant.groups.clone(),
            priority,
            aliases: grant.aliases.clone(),
            models: narrowed(&grant.models, models),
            providers: narrowed(&grant.providers, providers),
            surfaces: narrowed(&grant.surfaces, surfaces),
            networks: narrowed(&grant.networks, networks)
                .iter()
                .map(|list| read(list))
                .collect(),
            guardrails,
            expires_at: grant.expires_at,
        };
        Ok(Self {
            known: Arc::new(known),
            labels: Labels::default(),
            accounts: Accounts::new(accounts.into()),
        })
    }

    /// Its counters.
    pub(crate) fn accounts(&self) -> &Accounts {
        &self.accounts
    }

    /// The same, for a request that names `labels`, whose counters are these.
    pub(crate) fn naming(&self, labels: Labels, named: &[Arc<Account>]) -> Self {
        let accounts = match (named, self.accounts.own().split_first()) {
            ([], _) | (_, None) => self.accounts.clone(),
            // Whoever asks comes first, and what is shared by most last.
            (named, Some((own, above))) => {
                // What was named before is named again: counted twice, a request would wait for itself.
                let again = |account: &&Arc<Account>| named.iter().any(|one| Arc::ptr_eq(one, account));
                let above = above.iter().filter(|account| !again(account));
                let all = std::iter::once(own).chain(named).chain(above);
                Accounts::new(all.map(Arc::clone).collect())
            }
        };
        Self {
            known: Arc::clone(&self.known),
            labels,
            accounts,
        }
    }

    /// The same, to ask for a model that may have limits of its own; nothing where no limit or budget is about some models
    /// alone.
    #[must_use]
    pub fn asking(&self, model: &str, limits: &ModelLimits) -> Option<Self> {
        let of_model = limits.of(model, self.priority.as_deref());
        Some(Self {
            accounts: self.accounts.asking(model, &of_model)?,
            known: Arc::clone(&self.known),
            labels: self.labels.clone(),
        })
    }

    /// Changes its limits and keeps what was used. For anonymous callers; keys have theirs from the store.
    pub fn set_limits(&self, limits: Limits) {
        if let Some(own) = self.accounts.first() {
            own.configure(limits, &[], &[]);
        }
    }

    /// Names of its key's own for models, each with the model that it stands for.
    #[must_use]
    pub fn aliases(&self) -> &Aliases {
        &self.aliases
    }

    /// Whether it may ask for `model`.
    #[must_use]
    pub fn allows_model(&self, model: &str) -> bool {
        in_all(&self.models, model)
    }

    /// Whether `provider`, by its name in the configuration, may answer it.
    #[must_use]
    pub fn allows_provider(&self, provider: &str) -> bool {
        in_all(&self.providers, provider)
    }

    /// Whether it may ask for what is at `path`, as the table of surfaces has it.
    #[must_use]
    pub fn allows_surface(&self, path: &str) -> bool {
        in_all(&self.surfaces, path)
    }

    /// Whether it may come from `address`.
    #[must_use]
    pub fn allows_address(&self, address: IpAddr) -> bool {
        let mut lists = self.networks.iter();
        lists.all(|list| list.iter().any(|network| network.contains(address)))
    }

    /// The lists of providers that may answer it: whoever has the same may be answered by the same.
    #[must_use]
    pub fn provider_lists(&self) -> &[Vec<String>] {
        &self.providers
    }

    /// Guardrails that act on its requests beside those that always do.
    pub fn guardrails(&self) -> impl Iterator<Item = &str> {
        self.guardrails.iter().map(String::as_str)
    }

    /// Whether any provider may answer it.
    #[must_use]
    pub fn allows_all_providers(&self) -> bool {
        self.providers.is_empty()
    }

    /// Reserves the estimate at all its holders, all of it or nothing; asks other replicas only where there is no room
    /// here.
    ///
    /// # Errors
    /// When a limit or a budget of one of them has no room for it.
    pub async fn admit_shared(&self, estimate: Estimate, now: Instant) -> Result<Reservation, Denial> {
        reservation::reserve_shared(&self.accounts, estimate, Standing::Apart, now).await
    }

    /// Reserves the estimate for another attempt at a request whose last one was settled: as
    /// [`admit_shared`](Self::admit_shared), without counting another request.
    ///
    /// # Errors
    /// When a limit or a budget of one of them has no room for it.
    pub async fn admit_again(&self, estimate: Estimate, now: Instant) -> Result<Reservation, Denial> {
        reservation::reserve_shared(&self.accounts, estimate, Standing::Again, now).await
    }

    /// Gets from other replicas what [`admit_part`](Self::admit_part) of `estimate` needs, where it is not here.
    pub async fn prepare_part(&self, estimate: Estimate) {
        let wanted = Wanted::new(estimate, Standing::Within, self.accounts.model());
        sharing::prepare(&self.accounts, &wanted).await;
    }

    /// Reserves the estimate at all its holders, all of it or nothing, without asking anybody.
    ///
    /// # Errors
    /// When a limit or a budget of one of them has no room for it, or other replicas would have to be asked.
    pub fn admit(&self, estimate: Estimate, now: Instant) -> Result<Reservation, Denial> {
        reservation::reserve(&self.accounts, estimate, Standing::Apart, now)
    }

    /// Sets money aside whether or not there is room: for what is under way elsewhere already.
    #[must_use]
    pub fn set_aside(&self, cost: Money) -> SetAside {
        SetAside::new(&self.accounts, cost)
    }

    /// Reserves the estimate for a part of a request that was admitted and has its place: as [`admit`](Self::admit),
    /// without taking another.
    ///
    /// # Errors
    /// When a limit or a budget has no room for it.
    pub fn admit_part(&self, estimate: Estimate, now: Instant) -> Result<Reservation, Denial> {
        reservation::reserve(&self.accounts, estimate, Standing::Within, now)
    }

    /// Reserves the estimate for another attempt at such a part: as [`admit_part`](Self::admit_part), without counting another
    /// request.
    ///
    /// # Errors
    /// When a limit or a budget has no room for it.
    pub fn admit_part_again(&self, estimate: Estimate, now: Instant) -> Result<Reservation, Denial> {
        reservation::reserve(&self.accounts, estimate, Standing::WithinAgain, now)
    }

    /// A reservation of nothing, to charge what was used before anybody could ask. No limit denies it; the ones that
    /// come after it see what it was charged.
    #[must_use]
    pub fn owe(&self, now: Instant) -> Reservation {
        reservation::owe(&self.accounts, now)
    }

    /// Where it stands.
    #[must_use]
    pub fn rate_status(&self, now: Instant) -> RateStatus {
        let mut status = RateStatus::default();
        for account in self.accounts.iter() {
            status.tighten(account.status(account.moment(now)));
        }
        status
    }
}

/// Networks as they are kept. What is none was never let in, and lets nobody in.
fn read(list: &[String]) -> Vec<Network> {
    list.iter().filter_map(|text| text.parse().ok()).collect()
}

/// Whether `name` fits to a pattern of each list.
fn in_all(lists: &[Vec<String>], name: &str) -> bool {
    lists
        .iter()
        .all(|list| list.iter().any(|pattern| fits(pattern, name)))
}

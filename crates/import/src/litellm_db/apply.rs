//! Putting what was read into Pointsman's database. What is there already is left as it is, so that a run that broke off
//! is simply done again.

use pointsman_catalog::Money;
use pointsman_store::{
    Actor, HolderKind, LedgerEntry, LedgerFilter, Outcome, Store, StoreError, UsageFilter, hash_key,
};

use super::Migration;
use super::plan::Balance;

/// What entries of the ledger name in the place of a path and a model.
const SURFACE: &str = "litellm-db";

/// What was put in.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Applied {
    /// Holders that were made.
    pub holders: u64,
    /// Keys that were made.
    pub keys: u64,
    /// What holders and keys have spent, as entries of the ledger.
    pub balances: u64,
    /// What was there already.
    pub there: u64,
    /// What the database refused, and why. Nothing of it is a secret.
    pub refused: Vec<String>,
}

impl Migration {
    /// Puts everything in. What was spent comes first: a gateway that runs reads it when it hears of a holder.
    ///
    /// # Errors
    /// When the database cannot be reached any more.
    pub fn apply(&self, store: &Store) -> Result<Applied, StoreError> {
        let actor = Actor {
            name: "import".to_owned(),
            source: SURFACE.to_owned(),
        };
        let mut applied = Applied::default();
        let mut entries = Vec::new();
        for balance in &self.balances {
            let entry = entry(balance);
            if is_there(store, balance, &entry)? {
                applied.there += 1;
            } else {
                entries.push(entry);
            }
        }
        for some in entries.chunks(1_000) {
            store.insert_ledger(some)?;
            applied.balances += some.len() as u64;
        }
        for (kind, id, spec) in &self.holders {
            let made = store.create_holder(&actor, *kind, Some(id.clone()), spec.clone());
            let what = || format!("{} {id}", kind.as_str());
            applied.holders += applied.count(made.map(drop), what)?;
        }
        for key in &self.keys {
            if store.key_by_hash(key.hash)?.is_some() {
                applied.there += 1;
                continue;
            }
            let made = store.adopt_key(&actor, key.clone());
            let what = || format!("key {} {}", key.id.as_str(), key.grant.name);
            applied.keys += applied.count(made.map(drop), what)?;
        }
        Ok(applied)
    }
}

impl Applied {
    /// One where something was made; what cannot be is noted, and the rest goes on.
    fn count(&mut self, made: Result<(), StoreError>, what: impl Fn() -> String) -> Result<u64, StoreError> {
        match made {
            Ok(()) => return Ok(1),
            Err(StoreError::Exists { .. }) => self.there += 1,
            Err(error @ (StoreError::Invalid(_) | StoreError::NoSuchHolder { .. })) => {
                self.refused.push(format!("{}: {error}", what()));
            }
            Err(error) => return Err(error),
        }
        Ok(0)
    }
}

/// Whether a balance was written before, at whatever time that was.
fn is_there(store: &Store, balance: &Balance, entry: &LedgerEntry) -> Result<bool, StoreError> {
    let mut filter = LedgerFilter {
        of: UsageFilter {
            request: Some(entry.id.as_str().to_owned()),
            ..UsageFilter::default()
        },
        limit: 1,
        ..LedgerFilter::default()
    };
    // By its holder, for which there is an index.
    let id = balance.id.clone();
    match balance.kind {
        None => filter.key = Some(id.into()),
        Some(HolderKind::Organization) => filter.of.organization = Some(id),
        Some(HolderKind::Team) => filter.of.team = Some(id),
        Some(HolderKind::Project) => filter.of.project = Some(id),
        Some(HolderKind::User) => filter.of.user = Some(id),
        Some(HolderKind::Plan | HolderKind::Customer | HolderKind::Agent | HolderKind::Tag) => {
            return Ok(true);
        }
    }
    Ok(!store.ledger(&filter)?.is_empty())
}

/// What was spent, as an entry of this one holder alone: in LiteLLM each counts by itself, and begins anew at its own
/// times.
fn entry(balance: &Balance) -> LedgerEntry {
    let kind = balance.kind.map_or("key", HolderKind::as_str);
    let hash = hash_key(&format!("{kind} {}", balance.id));
    let digits: String = hash[..10].iter().map(|byte| format!("{byte:02x}")).collect();
    let of = |wanted: HolderKind| (balance.kind == Some(wanted)).then(|| balance.id.clone());
    LedgerEntry {
        id: format!("litellm-{digits}").into(),
        at: balance.at,
        key: balance.kind.is_none().then(|| balance.id.clone().into()),
        team: of(HolderKind::Team).map(Into::into),
        user: of(HolderKind::User).map(Into::into),
        surface: SURFACE.to_owned(),
        model_requested: SURFACE.to_owned(),
        provider: None,
        model: None,
        decision: None,
        outcome: Outcome::Complete,
        usage: Default::default(),
        usage_estimated: false,
        cost: balance.spent,
        attempts: 0,
        streamed: false,
        status: 200,
        latency_us: 0,
        ttft_us: None,
        cache: "bypass".to_owned(),
        organization: of(HolderKind::Organization).map(Into::into),
        project: of(HolderKind::Project).map(Into::into),
        saved: Money::ZERO,
        customer: None,
        agent: None,
        tags: Vec::new(),
    }
}

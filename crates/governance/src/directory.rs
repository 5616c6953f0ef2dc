//! Who holds which key, and what each of them has used: kept while keys, holders and configuration change.

use std::collections::HashMap;
use std::sync::Arc;

use pointsman_catalog::Money;
use pointsman_store::{
    Budget, Holder, HolderKind, KeyId, KeyRecord, OrganizationId, ProjectId, Quota, Store, StoreError,
    TeamId, Terms, UserId,
};

use crate::account::{Account, Place, unix_ms};
use crate::budget::{Before, Purse, Rule};
use crate::config::Limits;
use crate::identity::IdentifyError;
use crate::jwt::{Subject, TokenError};
use crate::lanes::Lanes;
use crate::ledger::{Apart, Question, before};
use crate::sharing::Sharing;

/// How a budget stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// The budget.
    pub budget: Budget,
    /// Spent since its window began.
    pub spent: Money,
    /// Set aside for what is under way.
    pub reserved: Money,
    /// When it begins anew, Unix milliseconds; never for a total one, and one that slides.
    pub ends: Option<i64>,
    /// When the first of what is spent leaves a window that slides, Unix milliseconds.
    pub frees: Option<i64>,
}

/// How a quota stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stood {
    /// The quota.
    pub quota: Quota,
    /// Used since its window began.
    pub used: u64,
    /// Set aside for what is under way.
    pub reserved: u64,
    /// When it begins anew, Unix milliseconds; never for a total one, and one that slides.
    pub ends: Option<i64>,
    /// When the first of what is used leaves a window that slides, Unix milliseconds.
    pub frees: Option<i64>,
}

/// Somebody who has spent more than a soft budget says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BeyondSoft {
    /// What kind of holder; a key where there is none.
    pub kind: Option<HolderKind>,
    /// Its id.
    pub id: String,
    /// The soft amount.
    pub soft: Money,
    /// What is never passed, if there is such.
    pub amount: Option<Money>,
    /// Spent since the window began.
    pub spent: Money,
    /// When the budget begins anew, Unix milliseconds; never for a total one.
    pub ends: Option<i64>,
    /// Which of the holder's budgets it is, in a word that stays.
    pub of: String,
}

/// Somebody who will have spent more than a budget says when it begins anew, if they go on as they do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outlook {
    /// What kind of holder; a key where there is none.
    pub kind: Option<HolderKind>,
    /// Its id.
    pub id: String,
    /// What is to last: the amount, or the soft amount where there is no other.
    pub amount: Money,
    /// Spent since the window began.
    pub spent: Money,
    /// What will be spent at its end.
    pub expected: Money,
    /// When the budget begins anew, Unix milliseconds.
    pub ends: i64,
    /// Which of the holder's budgets it is, in a word that stays.
    pub of: String,
}

/// The organization, team, project and user of a key, whichever it has.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Chain {
    pub(crate) organization: Option<OrganizationId>,
    pub(crate) team: Option<TeamId>,
    pub(crate) project: Option<ProjectId>,
    pub(crate) user: Option<UserId>,
}

/// A holder with its counters.
struct Held {
    holder: Holder,
    account: Arc<Account>,
    /// What of its limits is reserved for whom.
    lanes: Lanes,
    /// Whether its counters have their settings, and what was spent before: from the first key on that it has.
    is_ready: bool,
}

/// All holders, and the counters of all keys.
pub(crate) struct Directory {
    store: Arc<Store>,
    /// With whom is counted together, where this process is not alone.
    sharing: Option<Arc<Sharing>>,
    pub(crate) defaults: Limits,
    holders: HashMap<(HolderKind, String), Held>,
    keys: HashMap<KeyId, Arc<Account>>,
}

impl Directory {
    pub(crate) fn new(store: Arc<Store>, defaults: Limits, sharing: Option<Arc<Sharing>>) -> Self {
        Self {
            store,
            sharing,
            defaults,
            holders: HashMap::new(),
            keys: HashMap::new(),
        }
    }

    /// Takes over how a holder is now.
    pub(crate) fn learn(&mut self, holder: Holder) -> Result<(), StoreError> {
        let (kind, id) = (holder.kind, holder.id.clone());
        let called = if kind.is_label() { &holder.spec.name } else { &id };
        let name = format!("{} {called:?}", kind.as_str());
        let key = (kind, id);
        let known = self.holders.get(&key).map(|held| Arc::clone(&held.account));
        let place = || self.place(Some(kind), &key.1);
        let account = known.unwrap_or_else(|| Arc::new(Account::new(&name, Limits::default(), place())));
        let is_ready = self.holders.get(&key).is_some_and(|held| held.is_ready);
        let before = self.holders.get_mut(&key);
        let held = Held {
            holder,
            account,
            lanes: before
                .map(|held| std::mem::take(&mut held.lanes))
                .unwrap_or_default(),
            is_ready: false,
        };
        // Where nothing can have been spent, nothing has to be looked up.
        let is_free = kind.is_label()
            && rules(&held.holder.spec.terms.budgets, &held.holder.spec.terms.quotas)
                .next()
                .is_none();
        self.holders.insert(key.clone(), held);
        if is_ready || is_free {
            self.ready(kind, &key.1)?;
        }
        Ok(())
    }

    /// Something that requests name, with its counters, and whether these have their settings.
    pub(crate) fn labelled(&self, kind: HolderKind, id: &str) -> Option<(&Holder, &Arc<Account>, bool)> {
        let held = self.find(kind, id)?;
        Some((&held.holder, &held.account, held.is_ready))
    }

    /// Gives the counters of a holder their settings. What was spent is summed up for those that are used: of ten
    /// thousand teams, few are.
    pub(crate) fn ready(&mut self, kind: HolderKind, id: &str) -> Result<(), StoreError> {
        let key = (kind, id.to_owned());
        let Some(held) = self.holders.get(&key) else {
            return Ok(());
        };
        // A plan has no counters of its own: what it says is counted for each of its keys.
        if kind != HolderKind::Plan && !held.is_ready {
            let terms = &held.holder.spec.terms;
            let rules: Vec<_> = rules(&terms.budgets, &terms.quotas).collect();
            self.configure(&held.account, limits_of(terms), &rules, (Some(kind), id))?;
        }
        self.reserve_shares(&key);
        if let Some(held) = self.holders.get_mut(&key) {
            held.is_ready = true;
        }
        Ok(())
    }

    /// Gives the counters of what a holder reserves their settings.
    fn reserve_shares(&mut self, key: &(HolderKind, String)) {
        let sharing = self.sharing.as_ref();
        let Some(held) = self
            .holders
            .get_mut(key)
            .filter(|held| held.holder.kind != HolderKind::Plan)
        else {
            return;
        };
        let (kind, terms) = (held.holder.kind, &held.holder.spec.terms);
        held.lanes.set(&terms.shares, limits_of(terms), |lane, more| {
            let place = sharing.map(|sharing| Place::new(sharing, Some(kind), &format!("{}{lane}", key.1)));
            let name = format!("{} {:?}{more}", kind.as_str(), key.1);
            Arc::new(Account::new(&name, Limits::default(), place))
        });
    }

    /// The counters of a key, with its settings as they are now.
    pub(crate) fn account(&mut self, record: &KeyRecord) -> Result<Arc<Account>, StoreError> {
        let grant = &record.grant;
        let plan = grant
            .plan
            .as_ref()
            .and_then(|plan| self.find(HolderKind::Plan, plan.as_str()));
        let plan = plan
            .map(|held| held.holder.spec.terms.clone())
            .unwrap_or_default();
        let defaults = self.defaults;
        let limits = Limits {
            requests_per_minute: grant
                .requests_per_minute
                .or(plan.requests_per_minute)
                .or(defaults.requests_per_minute),
            tokens_per_minute: grant
                .tokens_per_minute
                .or(plan.tokens_per_minute)
                .or(defaults.tokens_per_minute),
            input_tokens_per_minute: grant
                .input_tokens_per_minute
                .or(plan.input_tokens_per_minute)
                .or(defaults.input_tokens_per_minute),
            output_tokens_per_minute: grant
                .output_tokens_per_minute
                .or(plan.output_tokens_per_minute)
                .or(defaults.output_tokens_per_minute),
            concurrency: grant.concurrency.or(plan.concurrency).or(defaults.concurrency),
        };
        let quotas = if grant.quotas.is_empty() {
            &plan.quotas
        } else {
            &grant.quotas
        };
        let budgets = if grant.budgets.is_empty() {
            &plan.budgets
        } else {
            &grant.budgets
        };
        let known = self.keys.get(&record.id).map(Arc::clone);
        let account = known.unwrap_or_else(|| {
            let place = self.place(None, record.id.as_str());
            Arc::new(Account::new("this key", limits, place))
        });
        let rules: Vec<_> = rules(budgets, quotas).collect();
        self.configure(&account, limits, &rules, (None, record.id.as_str()))?;
        self.keys.insert(record.id.clone(), Arc::clone(&account));
        Ok(account)
    }

    fn place(&self, kind: Option<HolderKind>, id: &str) -> Option<Place> {
        let sharing = self.sharing.as_ref()?;
        Some(Place::new(sharing, kind, id))
    }

    /// What a holder, or a key, has used of a rule since a time.
    fn used(
        &self,
        (kind, id): (Option<HolderKind>, &str),
        rule: &Rule,
        since: i64,
    ) -> Result<Before, StoreError> {
        let is_plain = rule.counted().is_none()
            && rule.models().is_empty()
            && rule.providers().is_empty()
            && rule.grain().is_none();
        if self.sharing.is_none() && is_plain {
            let all = match kind {
                Some(kind) => self.store.spent_by(kind, id, since)?,
                None => self.store.spent(&KeyId::from(id), since)?,
            };
            return Ok(Before {
                used: [all.nanodollars(), 0],
                ..Before::default()
            });
        }
        let question = Question {
            kind,
            is_provider: false,
            id: id.to_owned(),
            rule: rule.clone(),
            since,
            apart: Apart::of(rule),
        };
        let own = self.sharing.as_ref().map(|sharing| sharing.replica());
        before(&self.store, &question, own)
    }

    /// Gives an account its settings; what was used of new rules is summed up, which is not cheap.
    fn configure(
        &self,
        account: &Account,
        limits: Limits,
        rules: &[Rule],
        whose: (Option<HolderKind>, &str),
    ) -> Result<(), StoreError> {
        let now = unix_ms();
        let mut known = Vec::new();
        for rule in account.unknown(rules) {
            let since = rule.since(now);
            known.push((rule, self.used(whose, rule, since)?));
        }
        account.configure(limits, rules, &known);
        Ok(())
    }

    /// Who holds a key: what it says itself, and what follows from that.
    pub(crate) fn chain(&self, record: &KeyRecord) -> Chain {
        let grant = &record.grant;
        let project = self.spec(HolderKind::Project, grant.project.as_ref());
        let of_project = project.map(|project| &project.spec);
        let team = of_project
            .and_then(|project| project.team.clone())
            .or_else(|| grant.team.clone());
        let of_team = self.spec(HolderKind::Team, team.as_ref()).map(|team| &team.spec);
        let of_user = self
            .spec(HolderKind::User, grant.user.as_ref())
            .map(|user| &user.spec);
        let organization = [of_team, of_project]
            .into_iter()
            .flatten()
            .find_map(|spec| spec.organization.clone())
            .or_else(|| grant.organization.clone())
            .or_else(|| of_user.and_then(|user| user.organization.clone()));
        Chain {
            organization,
            team,
            project: grant.project.clone(),
            user: grant.user.clone(),
        }
    }

    /// The organization of whoever a token is for: what the token names must be known, and belong together.
    pub(crate) fn place_of(&self, subject: &Subject) -> Result<Option<OrganizationId>, TokenError> {
        let known = |kind, id: &str| self.find(kind, id).ok_or(TokenError::Holders);
        let of_team = match &subject.team {
            Some(team) => known(HolderKind::Team, team.as_str())?
                .holder
                .spec
                .organization
                .clone(),
            None => None,
        };
        let Some(organization) = &subject.organization else {
            return Ok(of_team);
        };
        known(HolderKind::Organization, organization.as_str())?;
        if of_team.is_some_and(|of_team| of_team != *organization) {
            return Err(TokenError::Holders);
        }
        Ok(Some(organization.clone()))
    }

    /// The priority of a key: its own, that of its named budget, or that of the lowest holder which has one.
    pub(crate) fn priority(&self, record: &KeyRecord, chain: &Chain) -> Option<String> {
        let grant = &record.grant;
        let plan = grant.plan.as_ref();
        let plan = plan.and_then(|plan| self.find(HolderKind::Plan, plan.as_str()));
        let held = plan
            .into_iter()
            .chain(self.held(chain).filter_map(|(_, held)| held));
        let mut held = held.filter_map(|held| held.holder.spec.terms.priority.clone());
        grant.priority.clone().or_else(|| held.next())
    }

    /// Their counters, the lower before the higher, for a caller of this priority.
    pub(crate) fn accounts(
        &mut self,
        chain: &Chain,
        priority: Option<&str>,
    ) -> Result<Vec<Arc<Account>>, StoreError> {
        let held = self.held(chain).filter_map(|(_, held)| held);
        let fresh: Vec<_> = held
            .filter(|held| !held.is_ready)
            .map(|held| (held.holder.kind, held.holder.id.clone()))
            .collect();
        for (kind, id) in fresh {
            self.ready(kind, &id)?;
        }
        let held = self.held(chain).filter_map(|(_, held)| held);
        let counted = held.flat_map(|held| std::iter::once(&held.account).chain(held.lanes.of(priority)));
        Ok(counted.map(Arc::clone).collect())
    }

    /// What they, and the key's plan, allow: each list narrows what the others leave.
    pub(crate) fn lists(
        &self,
        record: &KeyRecord,
        chain: &Chain,
        of: fn(&Terms) -> &[String],
    ) -> Vec<Vec<String>> {
        let plan = record.grant.plan.as_ref();
        let plan = plan.and_then(|plan| self.find(HolderKind::Plan, plan.as_str()));
        let held = self.held(chain).filter_map(|(_, held)| held);
        held.chain(plan)
            .map(|held| of(&held.holder.spec.terms).to_vec())
            .filter(|list| !list.is_empty())
            .collect()
    }

    /// Why a key is refused whatever it is used for.
    pub(crate) fn closed(&self, record: &KeyRecord, chain: &Chain) -> Option<IdentifyError> {
        if record.revoked_at.is_some() {
            return Some(IdentifyError::Revoked);
        }
        if record.disabled_at.is_some() {
            return Some(IdentifyError::Disabled);
        }
        // What is not known cannot be said to be open.
        let closed = |held: Option<&Held>| held.is_none_or(|held| held.holder.is_closed());
        self.held(chain)
            .find(|(_, held)| closed(*held))
            .map(|(kind, _)| IdentifyError::Closed(kind))
    }

    /// How the budgets of a holder stand.
    pub(crate) fn standings(&mut self, kind: Option<HolderKind>, id: &str) -> (Vec<Standing>, Vec<Stood>) {
        if let Some(kind) = kind
            && let Err(error) = self.ready(kind, id)
        {
            tracing::warn!(%error, "what a holder has spent could not be read");
        }
        let account = match kind {
            Some(kind) => self.find(kind, id).map(|held| &held.account),
            None => self.keys.get(&KeyId::from(id)),
        };
        let purses = account.map(|account| account.purses()).unwrap_or_default();
        let (mut budgets, mut quotas) = (Vec::new(), Vec::new());
        for purse in purses {
            let (used, reserved, ends) = (purse.total(), purse.reserved, purse.ends);
            let frees = purse.frees();
            match purse.rule {
                Rule::Budget(budget) => budgets.push(Standing {
                    budget,
                    spent: Money::from_nanodollars(used),
                    reserved: Money::from_nanodollars(reserved),
                    ends,
                    frees,
                }),
                Rule::Quota(quota) => quotas.push(Stood {
                    quota,
                    used: used.max(0).unsigned_abs(),
                    reserved: reserved.max(0).unsigned_abs(),
                    ends,
                    frees,
                }),
            }
        }
        (budgets, quotas)
    }

    /// How many keys, and how many holders of each kind, have spent more than a soft budget says.
    pub(crate) fn past_soft(&self) -> Vec<(&'static str, usize)> {
        let mut past = vec![("key", self.keys.values().filter(|key| key.is_past_soft()).count())];
        for kind in HolderKind::ALL {
            if kind == HolderKind::Plan {
                continue;
            }
            let of_kind = self.holders.values().filter(|held| held.holder.kind == kind);
            let count = of_kind.filter(|held| held.account.is_past_soft()).count();
            past.push((kind.as_str(), count));
        }
        past
    }

    /// Everybody who has spent more than a soft budget says.
    pub(crate) fn beyond_soft(&self) -> Vec<BeyondSoft> {
        let mut all = Vec::new();
        let mut look = |kind: Option<HolderKind>, id: &str, account: &Account| {
            if !account.is_past_soft() {
                return;
            }
            for purse in account.purses().into_iter().filter(Purse::is_past_soft) {
                let Some(budget) = purse.budget() else {
                    continue;
                };
                all.extend(budget.soft.map(|soft| BeyondSoft {
                    kind,
                    id: id.to_owned(),
                    soft,
                    amount: budget.amount,
                    spent: purse.money(),
                    ends: purse.ends,
                    of: purse.rule.named(),
                }));
            }
        };
        for (id, account) in &self.keys {
            look(None, id.as_str(), account);
        }
        for ((kind, id), held) in &self.holders {
            look(Some(*kind), id, &held.account);
        }
        all
    }

    /// Everybody who will have spent more than `percent` of a budget when its window ends; those whose window has not run for
    /// `after` of a hundred parts left out.
    pub(crate) fn outlooks(&self, (percent, after): (u16, u8), now: i64) -> Vec<Outlook> {
        let mut all = Vec::new();
        let mut look = |kind: Option<HolderKind>, id: &str, account: &Account| {
            for purse in account.purses() {
                let amount = purse.budget().and_then(|budget| budget.amount.or(budget.soft));
                let (Some(amount), Some(ends)) = (amount, purse.ends) else {
                    continue;
                };
                let Some(expected) = purse.forecast(after, now) else {
                    continue;
                };
                let parts = |money: Money, parts: u16| i128::from(money.nanodollars()) * i128::from(parts);
                if parts(expected, 100) > parts(amount, percent) {
                    all.push(Outlook {
                        kind,
                        id: id.to_owned(),
                        amount,
                        spent: purse.money(),
                        expected,
                        ends,
                        of: purse.rule.named(),
                    });
                }
            }
        };
        for (id, account) in &self.keys {
            look(None, id.as_str(), account);
        }
        for ((kind, id), held) in &self.holders {
            look(Some(*kind), id, &held.account);
        }
        all
    }

    /// The holders of a chain, lowest first; with nothing where one is not known.
    fn held(&self, chain: &Chain) -> impl Iterator<Item = (HolderKind, Option<&Held>)> {
        let named = [
            (HolderKind::User, chain.user.as_ref().map(UserId::as_str)),
            (HolderKind::Project, chain.project.as_ref().map(ProjectId::as_str)),
            (HolderKind::Team, chain.team.as_ref().map(TeamId::as_str)),
            (
                HolderKind::Organization,
                chain.organization.as_ref().map(OrganizationId::as_str),
            ),
        ];
        named
            .into_iter()
            .filter_map(|(kind, id)| Some((kind, self.find(kind, id?))))
    }

    fn spec(&self, kind: HolderKind, id: Option<&impl AsRef<str>>) -> Option<&Holder> {
        self.find(kind, id?.as_ref()).map(|held| &held.holder)
    }

    fn find(&self, kind: HolderKind, id: &str) -> Option<&Held> {
        self.holders.get(&(kind, id.to_owned()))
    }
}

fn limits_of(terms: &Terms) -> Limits {
    Limits {
        requests_per_minute: terms.requests_per_minute,
        tokens_per_minute: terms.tokens_per_minute,
        input_tokens_per_minute: terms.input_tokens_per_minute,
        output_tokens_per_minute: terms.output_tokens_per_minute,
        concurrency: terms.concurrency,
    }
}

/// Budgets and quotas.
fn rules<'a>(budgets: &'a [Budget], quotas: &'a [Quota]) -> impl Iterator<Item = Rule> + 'a {
    let budgets = budgets.iter().cloned().map(Rule::Budget);
    budgets.chain(quotas.iter().cloned().map(Rule::Quota))
}

//! What becomes of LiteLLM's rows: holders, keys and what they have spent, in the order in which they can be made.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use pointsman_catalog::Money;
use pointsman_store::{AdoptedKey, HolderKind, HolderSpec, KeyId, NewKey, OrganizationId, TeamId, hash_key};
use serde_json::json;

use super::row::{
    BudgetRow, Dollars, FormerRow, KeyRow, Limits, OrganizationRow, ProjectRow, TeamRow, Time, UserRow,
};
use super::table;
use super::terms::{Place, aliases, as_id, as_name, notes, terms};
use super::told::Teller;
use crate::report::Fate;

/// The team of sessions of LiteLLM's dashboard.
const DASHBOARD: &str = "litellm-dashboard";
/// What a key may do that may do everything that models do.
const MODEL_ROUTES: &str = "llm_api_routes";
const NARROW: &str = "it may ask only some paths (allowed_routes), and one of them is none that keys can ask here: make it anew where that may be";
/// Paths that LiteLLM answers without `/v1` as well.
const WITHOUT_VERSION: [&str; 14] = [
    "/chat/",
    "/completions",
    "/embeddings",
    "/images/",
    "/audio/",
    "/moderations",
    "/responses",
    "/messages",
    "/files",
    "/batches",
    "/rerank",
    "/models",
    "/realtime",
    "/conversations",
];
/// What paths that keys can ask begin with.
const ASKED: [&str; 6] = ["/v1/", "/v2/", "/v1beta/", "/mcp", "/a2a", "/model/"];
const NO_ID: &str = "its id cannot be one here: it is empty, or too long";
const NO_ORGANIZATION: &str = "its organization is not carried over, or not there";
const NO_TEAM: &str = "its team is not carried over, or not there";
const NO_BUDGET: &str = "the budget that it names is not there";

/// What a holder, or a key where there is no kind, has spent in its window so far.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Balance {
    pub(super) kind: Option<HolderKind>,
    pub(super) id: String,
    pub(super) spent: Money,
    /// Unix milliseconds.
    pub(super) at: i64,
}

/// A team or a project, and where it belongs.
#[derive(Debug, Clone, Default)]
struct Known {
    id: String,
    organization: Option<OrganizationId>,
    team: Option<TeamId>,
}

/// A user who is still being looked at: where they belong depends on their keys.
#[derive(Debug, Default)]
struct User {
    id: String,
    spec: HolderSpec,
    /// Organizations of their keys.
    organizations: BTreeSet<Option<String>>,
}

/// All that is read so far.
#[derive(Debug, Default)]
pub(super) struct Plan {
    /// Unix milliseconds.
    now: i64,
    pub(super) told: Teller,
    pub(super) holders: Vec<(HolderKind, String, HolderSpec)>,
    pub(super) keys: Vec<AdoptedKey>,
    pub(super) balances: Vec<Balance>,
    /// By the ids that LiteLLM gives, as all below.
    budgets: HashMap<String, BudgetRow>,
    organizations: HashMap<String, String>,
    teams: HashMap<String, Known>,
    projects: HashMap<String, Known>,
    users: BTreeMap<String, User>,
    plans: BTreeSet<String>,
    /// Where the key of a hash is in `keys`.
    places: HashMap<String, usize>,
}

impl Plan {
    pub(super) fn new(now: i64) -> Self {
        Self {
            now,
            ..Self::default()
        }
    }

    pub(super) fn budget(&mut self, row: BudgetRow) {
        self.budgets.insert(row.budget_id.clone(), row);
    }

    /// Where a row stands, and what its id is here; nothing where it cannot have one.
    fn begun<'a>(&mut self, table: &'static str, row: &'a str) -> Option<(Place<'a>, String)> {
        let id = as_id(row);
        if id.is_none() {
            self.told.lost(table, NO_ID, row);
        }
        Some((Place { table, row }, id?))
    }

    /// Takes a holder over, with what it has spent.
    fn hold(
        &mut self,
        (kind, id): (HolderKind, &str),
        spec: HolderSpec,
        (spend, limits): (Option<Dollars>, &Limits),
    ) {
        self.balance(Some(kind), id, spend, limits);
        self.holders.push((kind, id.to_owned(), spec));
    }

    pub(super) fn organization(&mut self, row: OrganizationRow) {
        let Some((at, id)) = self.begun(table::ORGANIZATIONS, &row.organization_id) else {
            return;
        };
        self.told.rest(at.table, &row.rest, at.row);
        let limits = self.shared(row.budget_id.as_deref(), at);
        let spec = HolderSpec {
            name: as_name(row.organization_alias.as_deref()),
            terms: terms(&limits, row.models, &mut self.told, at),
            metadata: notes(row.metadata, &mut self.told, at),
            ..HolderSpec::default()
        };
        self.hold((HolderKind::Organization, &id), spec, (row.spend, &limits));
        self.organizations.insert(row.organization_id, id);
    }

    pub(super) fn team(&mut self, row: TeamRow) {
        let Some((at, id)) = self.begun(table::TEAMS, &row.team_id) else {
            return;
        };
        if row.team_id == DASHBOARD {
            return;
        }
        let Ok(organization) = self.organization_of(row.organization_id.as_deref()) else {
            return self.told.lost(at.table, NO_ORGANIZATION, at.row);
        };
        self.told.rest(at.table, &row.rest, at.row);
        let spec = HolderSpec {
            name: as_name(row.team_alias.as_deref()),
            organization: organization.clone(),
            terms: terms(&row.limits, row.models, &mut self.told, at),
            metadata: notes(row.metadata, &mut self.told, at),
            disabled: row.blocked == Some(true),
            ..HolderSpec::default()
        };
        self.hold((HolderKind::Team, &id), spec, (row.spend, &row.limits));
        let known = Known {
            id,
            organization,
            team: None,
        };
        self.teams.insert(row.team_id, known);
    }

    pub(super) fn project(&mut self, row: ProjectRow) {
        let Some((at, id)) = self.begun(table::PROJECTS, &row.project_id) else {
            return;
        };
        let Ok(team) = self.team_of(row.team_id.as_deref()) else {
            return self.told.lost(at.table, NO_TEAM, at.row);
        };
        self.told.rest(at.table, &row.rest, at.row);
        let limits = self.shared(row.budget_id.as_deref(), at);
        let mut metadata = notes(row.metadata, &mut self.told, at);
        if let Some(description) = row.description.filter(|text| !text.is_empty()) {
            metadata.insert("description".to_owned(), json!(description));
        }
        let spec = HolderSpec {
            name: as_name(row.project_alias.as_deref()),
            organization: team.as_ref().and_then(|team| team.organization.clone()),
            team: team.as_ref().map(|team| team.id.as_str().into()),
            terms: terms(&limits, row.models, &mut self.told, at),
            metadata,
            disabled: row.blocked == Some(true),
        };
        let known = Known {
            id: id.clone(),
            organization: spec.organization.clone(),
            team: spec.team.clone(),
        };
        self.hold((HolderKind::Project, &id), spec, (row.spend, &limits));
        self.projects.insert(row.project_id, known);
    }

    pub(super) fn user(&mut self, row: UserRow) {
        let Some((at, id)) = self.begun(table::USERS, &row.user_id) else {
            return;
        };
        let organization = self.organization_of(row.organization_id.as_deref());
        let organization = organization.unwrap_or_else(|()| {
            let column = (at.table, "organization_id");
            self.told.tell(column, Fate::NotCarried, NO_ORGANIZATION, at.row);
            None
        });
        if row
            .user_role
            .as_deref()
            .is_some_and(|role| role.contains("admin"))
        {
            let why = "roles are given anew here; nobody manages anything by what LiteLLM let them";
            self.told
                .tell((at.table, "user_role"), Fate::NotCarried, why, at.row);
        }
        self.told.rest(at.table, &row.rest, at.row);
        let mut metadata = notes(row.metadata, &mut self.told, at);
        if let Some(email) = row.user_email.as_deref().filter(|text| !text.is_empty()) {
            metadata.insert("user_email".to_owned(), json!(email));
        }
        let spec = HolderSpec {
            name: as_name(row.user_alias.as_deref().or(row.user_email.as_deref())),
            organization,
            terms: terms(&row.limits, row.models, &mut self.told, at),
            metadata,
            ..HolderSpec::default()
        };
        self.balance(Some(HolderKind::User), &id, row.spend, &row.limits);
        let user = User {
            id,
            spec,
            organizations: BTreeSet::new(),
        };
        self.users.insert(row.user_id, user);
    }

    pub(super) fn key(&mut self, row: KeyRow) {
        let name = label(&row);
        if let Err(why) = self.take_key(row, &name) {
            self.told.lost(table::KEYS, why, &name);
        }
    }

    fn take_key(&mut self, row: KeyRow, name: &str) -> Result<(), &'static str> {
        let at = Place {
            table: table::KEYS,
            row: name,
        };
        if row.team_id.as_deref() == Some(DASHBOARD) {
            return Err("it is a session of LiteLLM's dashboard");
        }
        let hash =
            hash_of(&row.token).ok_or("what is kept of it is no SHA-256: nobody can be recognised by it")?;
        // Taken over without them, it would open more than it did.
        let surfaces = surfaces(&row.allowed_routes.unwrap_or_default()).ok_or(NARROW)?;
        let team = self.team_of(row.team_id.as_deref()).map_err(|()| NO_TEAM)?;
        let organization = self
            .organization_of(row.organization_id.as_deref())
            .map_err(|()| NO_ORGANIZATION)?;
        let project = match row.project_id.as_deref() {
            None => None,
            Some(id) => {
                let known = self.projects.get(id).cloned();
                Some(known.ok_or("its project is not carried over, or not there")?)
            }
        };
        let place = agreed(organization, team.as_ref(), project.as_ref())
            .ok_or("its organization, team and project do not belong together")?;
        let user = self.user_of(row.user_id.as_deref(), place.organization.as_ref())?;
        let plan = self.plan_of(row.budget_id.as_deref(), at);
        self.told.rest(at.table, &row.rest, at.row);
        let terms = terms(&row.limits, row.models, &mut self.told, at);
        let grant = NewKey {
            name: as_name(row.key_alias.as_deref()),
            organization: place.organization,
            team: place.team,
            project: project.map(|project| project.id.as_str().into()),
            user: user.map(Into::into),
            models: terms.models,
            surfaces,
            requests_per_minute: terms.requests_per_minute,
            tokens_per_minute: terms.tokens_per_minute,
            concurrency: terms.concurrency,
            budgets: terms.budgets,
            aliases: aliases(row.aliases, &mut self.told, at),
            plan: plan.map(Into::into),
            expires_at: row.expires.map(|time| time.0).filter(|time| *time != i64::MAX),
            ..NewKey::default()
        };
        let id = key_id(&hash);
        self.balance(None, id.as_str(), row.spend, &row.limits);
        self.places.insert(row.token.clone(), self.keys.len());
        self.keys.push(AdoptedKey {
            id,
            grant,
            hash,
            hint: hint(row.key_name.as_deref()),
            former: None,
            disabled: row.blocked == Some(true),
            metadata: notes(row.metadata, &mut self.told, at),
        });
        Ok(())
    }

    /// What a key was before it was rotated, for as long as that is good.
    pub(super) fn former(&mut self, row: &FormerRow) {
        let Some(Time(until)) = row.revoke_at.filter(|until| until.0 > self.now) else {
            return;
        };
        let key = self
            .places
            .get(&row.active_token_id)
            .and_then(|at| self.keys.get_mut(*at));
        let (Some(hash), Some(key)) = (hash_of(&row.token), key) else {
            return;
        };
        let is_later = key.former.is_none_or(|(_, other)| other < until);
        if key.former.is_some() {
            let why = "a key has one secret before its own here: the one that is good the longest";
            self.told.lost(table::FORMER, why, &key.grant.name);
        }
        if is_later {
            key.former = Some((hash, until));
        }
    }

    /// Puts what had to wait for the rest into its place: everything is in the order in which it can be made after.
    pub(super) fn finish(&mut self) {
        let mut plans = Vec::new();
        for id in std::mem::take(&mut self.plans) {
            let Some(row) = self.budgets.remove(&id) else {
                continue;
            };
            let at = Place {
                table: table::BUDGETS,
                row: &id,
            };
            self.told.rest(at.table, &row.rest, at.row);
            let spec = HolderSpec {
                terms: terms(&row.limits, None, &mut self.told, at),
                ..HolderSpec::default()
            };
            plans.extend(as_id(&id).map(|id| (HolderKind::Plan, id, spec)));
        }
        self.holders.splice(0..0, plans);
        for (raw, mut user) in std::mem::take(&mut self.users) {
            let own = user.spec.organization.as_ref().map(|id| id.as_str().to_owned());
            if own.is_some() && user.organizations.iter().any(|of_key| *of_key != own) {
                let why = "it has keys of other organizations, or of none, and is a user of none here";
                let column = (table::USERS, "organization_id");
                self.told.tell(column, Fate::Nearest, why, &raw);
                user.spec.organization = None;
            }
            self.holders.push((HolderKind::User, user.id, user.spec));
        }
    }

    /// The limits of a budget by its id; none where there is no such budget.
    fn shared(&mut self, id: Option<&str>, at: Place<'_>) -> Limits {
        let Some(id) = id.filter(|id| !id.is_empty()) else {
            return Limits::default();
        };
        match self.budgets.get(id) {
            Some(row) => {
                self.told.rest(table::BUDGETS, &row.rest, id);
                row.limits.clone()
            }
            None => {
                self.told
                    .tell((at.table, "budget_id"), Fate::NotCarried, NO_BUDGET, at.row);
                Limits::default()
            }
        }
    }

    /// The budget that a key goes by where it has no terms of its own.
    fn plan_of(&mut self, id: Option<&str>, at: Place<'_>) -> Option<String> {
        let id = id.filter(|id| !id.is_empty())?;
        if !self.budgets.contains_key(id) {
            self.told
                .tell((at.table, "budget_id"), Fate::NotCarried, NO_BUDGET, at.row);
            return None;
        }
        self.plans.insert(id.to_owned());
        as_id(id)
    }

    fn organization_of(&self, id: Option<&str>) -> Result<Option<OrganizationId>, ()> {
        match id.filter(|id| !id.is_empty()) {
            None => Ok(None),
            Some(id) => self
                .organizations
                .get(id)
                .map(|id| Some(id.as_str().into()))
                .ok_or(()),
        }
    }

    fn team_of(&self, id: Option<&str>) -> Result<Option<Known>, ()> {
        match id.filter(|id| !id.is_empty()) {
            None => Ok(None),
            Some(id) => self.teams.get(id).cloned().map(Some).ok_or(()),
        }
    }

    /// The user of a key, who is made where LiteLLM knows only the name.
    fn user_of(
        &mut self,
        raw: Option<&str>,
        organization: Option<&OrganizationId>,
    ) -> Result<Option<String>, &'static str> {
        let Some(raw) = raw.filter(|id| !id.is_empty()) else {
            return Ok(None);
        };
        let id = as_id(raw).ok_or("the id of its user cannot be one here")?;
        let user = self.users.entry(raw.to_owned()).or_insert_with(|| User {
            id: id.clone(),
            ..User::default()
        });
        user.organizations
            .insert(organization.map(|id| id.as_str().to_owned()));
        Ok(Some(id))
    }

    fn balance(&mut self, kind: Option<HolderKind>, id: &str, spend: Option<Dollars>, limits: &Limits) {
        let Some(Dollars(spent)) = spend.filter(|spend| spend.0 > Money::ZERO) else {
            return;
        };
        // A window that is over, and that LiteLLM has not begun anew yet.
        let over = limits.budget_reset_at.filter(|reset| reset.0 <= self.now);
        let at = match (over, &limits.budget_duration) {
            (Some(reset), Some(_)) => (reset.0 - 1).max(0),
            _ => self.now,
        };
        let id = id.to_owned();
        self.balances.push(Balance { kind, id, spent, at });
    }
}

/// Where a key belongs, when what is said of it agrees.
struct Belongs {
    organization: Option<OrganizationId>,
    team: Option<TeamId>,
}

fn agreed(
    organization: Option<OrganizationId>,
    team: Option<&Known>,
    project: Option<&Known>,
) -> Option<Belongs> {
    let said: Option<TeamId> = team.map(|team| team.id.as_str().into());
    let of_project = project.and_then(|project| project.team.clone());
    let team_id = one(said, of_project)?;
    let mut all = organization;
    for known in [team, project].into_iter().flatten() {
        all = one(all, known.organization.clone())?;
    }
    Some(Belongs {
        organization: all,
        team: team_id,
    })
}

/// The one of two that is said; nothing where they differ.
fn one<T: PartialEq>(first: Option<T>, second: Option<T>) -> Option<Option<T>> {
    match (first, second) {
        (Some(first), Some(second)) if first != second => None,
        (first, second) => Some(first.or(second)),
    }
}

/// Paths that a key may ask, as surfaces here; nothing where one of them is none.
fn surfaces(routes: &[String]) -> Option<Vec<String>> {
    if routes.iter().any(|route| route == MODEL_ROUTES) {
        return Some(Vec::new());
    }
    let surface = |route: &String| {
        let path = if WITHOUT_VERSION.iter().any(|with| route.starts_with(*with)) {
            format!("/v1{route}")
        } else {
            ASKED
                .iter()
                .any(|with| route.starts_with(*with))
                .then(|| route.clone())?
        };
        // Names of parameters are others here.
        let mut pattern = String::new();
        let mut rest = path.as_str();
        while let Some((before, after)) = rest.split_once('{') {
            pattern.push_str(before);
            pattern.push('*');
            rest = after.split_once('}').map_or("", |(_, after)| after);
        }
        pattern.push_str(rest);
        Some(pattern)
    };
    routes.iter().map(surface).collect()
}

/// The hash of a key, which old versions of LiteLLM kept in clear text.
fn hash_of(token: &str) -> Option<[u8; 32]> {
    if token.starts_with("sk-") {
        return Some(hash_key(token));
    }
    if token.len() != 64 {
        return None;
    }
    let mut hash = [0; 32];
    for (byte, digits) in hash.iter_mut().zip(token.as_bytes().chunks_exact(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?;
    }
    Some(hash)
}

/// The id of a key: always the same for the same key, so that what is carried over twice is carried over once.
fn key_id(hash: &[u8; 32]) -> KeyId {
    let digits: String = hash[..8].iter().map(|byte| format!("{byte:02x}")).collect();
    KeyId::from(format!("key_{digits}"))
}

/// What a key is recognised by: its last letters, as LiteLLM shows them.
fn hint(name: Option<&str>) -> String {
    let shown = name.filter(|name| name.starts_with("sk-...") && name.len() <= 16);
    shown.unwrap_or("sk-…").to_owned()
}

/// What people call a key; nothing that is secret.
fn label(row: &KeyRow) -> String {
    let alias = row.key_alias.as_deref().filter(|alias| !alias.is_empty());
    alias.map_or_else(|| hint(row.key_name.as_deref()), |alias| as_name(Some(alias)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_become_surfaces_or_the_key_is_not_taken() {
        for (routes, expected) in [
            (&[][..], Some(&[][..])),
            (&["llm_api_routes"], Some(&[])),
            (&["info_routes", "llm_api_routes"], Some(&[])),
            (
                &["/chat/completions", "/v1/embeddings", "/v1/chat/*"],
                Some(&["/v1/chat/completions", "/v1/embeddings", "/v1/chat/*"]),
            ),
            (
                &["/v1/batches/{batch_id}/cancel"],
                Some(&["/v1/batches/*/cancel"]),
            ),
            (&["/v1/files", "/key/generate"], None),
            (&["info_routes"], None),
            (&["*"], None),
        ] {
            let routes: Vec<String> = routes.iter().map(|route| (*route).to_owned()).collect();
            let expected = expected.map(|all| all.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>());
            assert_eq!(surfaces(&routes), expected, "{routes:?}");
        }
    }
}

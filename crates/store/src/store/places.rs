//! Where holders and keys belong, and what of them somebody sees.

use super::{Conditions, Dialect, Store, StoreError, Value, values};
use crate::holder::{Holder, HolderKind};
use crate::id::{KeyId, OrganizationId, TeamId};
use crate::role::Place;

/// The organization of a row of `holders`: its team's before its own.
fn holder_organization(plain: &str) -> String {
    format!(
        "COALESCE((SELECT t.organization FROM holders AS t WHERE t.kind = 'team' AND t.id = holders.team{plain}),
            holders.organization)"
    )
}

/// The team of a key: its project's before its own.
fn key_team(plain: &str) -> String {
    format!(
        "COALESCE((SELECT p.team FROM holders AS p WHERE p.kind = 'project' AND p.id = keys.project{plain}), keys.team)"
    )
}

/// The organization of a key: its team's before its project's, its own, its user's.
fn key_organization(plain: &str) -> String {
    let team = key_team(plain);
    format!(
        "COALESCE((SELECT t.organization FROM holders AS t WHERE t.kind = 'team' AND t.id = {team}{plain}),
            (SELECT p.organization FROM holders AS p WHERE p.kind = 'project' AND p.id = keys.project{plain}),
            keys.organization,
            (SELECT u.organization FROM holders AS u WHERE u.kind = 'user' AND u.id = keys.\"user\"{plain}))"
    )
}

/// What somebody sees: what belongs to any of these, and nothing else.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Within {
    /// Organizations, and all that belongs to them.
    pub organizations: Vec<OrganizationId>,
    /// Teams, and all that belongs to them.
    pub teams: Vec<TeamId>,
}

impl Within {
    fn organizations(&self) -> impl Iterator<Item = Value> {
        self.organizations.iter().map(|id| Value::from(id.as_str()))
    }

    fn teams(&self) -> impl Iterator<Item = Value> {
        self.teams.iter().map(|id| Value::from(id.as_str()))
    }

    /// Demands it of holders of a kind; a plan belongs to nobody.
    pub(super) fn holders(&self, kind: HolderKind, all: &mut Conditions, dialect: &Dialect) {
        let (organizations, teams) = (marks(self.organizations.len()), marks(self.teams.len()));
        match kind {
            HolderKind::Organization => all.and(&format!("id IN ({organizations})"), self.organizations()),
            HolderKind::Team => all.and(
                &format!("(organization IN ({organizations}) OR id IN ({teams}))"),
                self.organizations().chain(self.teams()),
            ),
            HolderKind::Project => {
                let organization = holder_organization(dialect.plain);
                all.and(
                    &format!("({organization} IN ({organizations}) OR team IN ({teams}))"),
                    self.organizations().chain(self.teams()),
                );
            }
            HolderKind::User | HolderKind::Customer | HolderKind::Agent | HolderKind::Tag => all.and(
                &format!("organization IN ({organizations})"),
                self.organizations(),
            ),
            HolderKind::Plan => all.and("1 = 0", []),
        }
    }

    /// Demands it of keys. What is found by an index narrows what the exact condition is asked of.
    pub(super) fn keys(&self, all: &mut Conditions, dialect: &Dialect) {
        let plain = dialect.plain;
        let (organizations, teams) = (marks(self.organizations.len()), marks(self.teams.len()));
        let named = |kind: &str, of: &str| format!("SELECT id FROM holders WHERE kind = '{kind}' AND {of}");
        let of_organization = format!("organization IN ({organizations})");
        let of_teams = named("team", &of_organization);
        let users = named("user", &of_organization);
        let in_organization = named("project", &of_organization);
        let in_teams = named("project", &format!("team IN ({teams})"));
        let in_theirs = named("project", &format!("team{plain} IN ({of_teams})"));
        let near = format!(
            "(organization IN ({organizations}) OR team IN ({teams}) OR team{plain} IN ({of_teams})
              OR \"user\"{plain} IN ({users}) OR project{plain} IN ({in_organization})
              OR project{plain} IN ({in_teams}) OR project{plain} IN ({in_theirs}))"
        );
        let values = self
            .organizations()
            .chain(self.teams())
            .chain(self.organizations())
            .chain(self.organizations())
            .chain(self.organizations())
            .chain(self.teams())
            .chain(self.organizations());
        all.and(&near, values);
        let (organization, team) = (key_organization(plain), key_team(plain));
        all.and(
            &format!("({organization} IN ({organizations}) OR {team} IN ({teams}))"),
            self.organizations().chain(self.teams()),
        );
    }

    /// Demands it of rows that bear their organization and team: ledger and roll-ups.
    pub(crate) fn rows(&self, all: &mut Conditions) {
        let (organizations, teams) = (marks(self.organizations.len()), marks(self.teams.len()));
        all.and(
            &format!("(organization IN ({organizations}) OR team IN ({teams}))"),
            self.organizations().chain(self.teams()),
        );
    }

    /// Demands it of recorded decisions, which bear their team alone.
    pub(super) fn decisions(&self, all: &mut Conditions) {
        let (organizations, teams) = (marks(self.organizations.len()), marks(self.teams.len()));
        all.and(
            &format!(
                "(team IN ({teams}) OR team IN (SELECT id FROM holders WHERE kind = 'team' AND organization IN ({organizations})))"
            ),
            self.teams().chain(self.organizations()),
        );
    }
}

/// So many places for values; none matches nothing.
fn marks(count: usize) -> String {
    if count == 0 {
        "NULL".to_owned()
    } else {
        vec!["?"; count].join(", ")
    }
}

impl Store {
    /// Where a holder belongs. A plan belongs nowhere.
    ///
    /// # Errors
    /// When the database refuses.
    pub fn place_of(&self, holder: &Holder) -> Result<Place, StoreError> {
        let (id, spec) = (holder.id.as_str(), &holder.spec);
        Ok(match holder.kind {
            HolderKind::Organization => Place {
                organization: Some(id.into()),
                team: None,
            },
            HolderKind::Team => Place {
                organization: spec.organization.clone(),
                team: Some(id.into()),
            },
            HolderKind::User | HolderKind::Customer | HolderKind::Agent | HolderKind::Tag => Place {
                organization: spec.organization.clone(),
                team: None,
            },
            HolderKind::Project => self.place_in(spec.organization.as_ref(), spec.team.as_ref())?,
            HolderKind::Plan => Place::default(),
        })
    }

    /// Where something belongs that is said to belong to these.
    ///
    /// # Errors
    /// When the database refuses.
    pub fn place_in(
        &self,
        organization: Option<&OrganizationId>,
        team: Option<&TeamId>,
    ) -> Result<Place, StoreError> {
        let of_team = match team {
            Some(team) => self.holder(HolderKind::Team, team.as_str())?,
            None => None,
        };
        let of_team = of_team.and_then(|team| team.spec.organization);
        Ok(Place {
            organization: of_team.or_else(|| organization.cloned()),
            team: team.cloned(),
        })
    }

    /// Where a key belongs, revoked ones included.
    ///
    /// # Errors
    /// When there is no such key, or the database refuses.
    pub fn place_of_key(&self, id: &KeyId) -> Result<Place, StoreError> {
        let found = self.read(|session| {
            let plain = session.dialect().plain;
            let (organization, team) = (key_organization(plain), key_team(plain));
            let sql = format!("SELECT {organization}, {team} FROM keys WHERE id = ?1");
            session.one(&sql, &values![id.as_str()], |row| {
                Ok(Place {
                    organization: row.maybe_text(0)?.map(Into::into),
                    team: row.maybe_text(1)?.map(Into::into),
                })
            })
        })?;
        found.ok_or_else(|| StoreError::NoSuchKey(id.as_str().to_owned()))
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::holder::{Actor, HolderSpec};
    use crate::key::NewKey;
    use crate::store::{HolderFilter, KeyFilter, Listing};

    /// Two organizations of the same shape, each with a team, a project in it, a project beside it, and a user; and a
    /// key for each way of belonging to them.
    fn fill(store: &Store) {
        let make = |kind, id: String, organization: Option<&str>, team: Option<String>| {
            let spec = HolderSpec {
                organization: organization.map(Into::into),
                team: team.map(Into::into),
                ..HolderSpec::default()
            };
            store
                .create_holder(&Actor::local(), kind, Some(id), spec)
                .unwrap();
        };
        for name in ["a", "b"] {
            make(HolderKind::Organization, name.to_owned(), None, None);
            make(HolderKind::Team, format!("team-{name}"), Some(name), None);
            make(
                HolderKind::Project,
                format!("in-{name}"),
                None,
                Some(format!("team-{name}")),
            );
            make(HolderKind::Project, format!("by-{name}"), Some(name), None);
            make(HolderKind::User, format!("user-{name}"), Some(name), None);
            for grant in [
                NewKey {
                    organization: Some(name.into()),
                    ..NewKey::default()
                },
                NewKey {
                    team: Some(format!("team-{name}").into()),
                    ..NewKey::default()
                },
                NewKey {
                    project: Some(format!("in-{name}").into()),
                    ..NewKey::default()
                },
                NewKey {
                    project: Some(format!("by-{name}").into()),
                    ..NewKey::default()
                },
                NewKey {
                    user: Some(format!("user-{name}").into()),
                    ..NewKey::default()
                },
            ] {
                store.create_key(grant).unwrap();
            }
        }
        store.create_key(NewKey::default()).unwrap();
    }

    fn keys(store: &Store, within: &Within) -> Vec<KeyId> {
        let filter = KeyFilter {
            within: Some(within.clone()),
            ..KeyFilter::default()
        };
        let listing = Listing {
            limit: 100,
            ..Listing::default()
        };
        let (page, total) = store.keys_page(&filter, &listing).unwrap();
        assert_eq!(total, page.items.len() as u64);
        page.items.into_iter().map(|key| key.id).collect()
    }

    #[test]
    fn what_is_seen_is_what_belongs_to_somebody() {
        check(&Store::open("sqlite::memory:").unwrap());
    }

    /// Fills an empty database and looks at it from everywhere.
    pub(crate) fn check(store: &Store) {
        fill(store);
        holders_are_seen_by_whatever_they_belong_to(store);
        keys_are_seen_by_whatever_they_belong_to(store);
    }

    fn keys_are_seen_by_whatever_they_belong_to(store: &Store) {
        let organization = Within {
            organizations: vec!["a".into()],
            teams: vec![],
        };
        let found = keys(store, &organization);
        assert_eq!(found.len(), 5);
        for id in &found {
            assert_eq!(store.place_of_key(id).unwrap().organization, Some("a".into()));
        }
        let team = Within {
            organizations: vec![],
            teams: vec!["team-a".into()],
        };
        let found = keys(store, &team);
        assert_eq!(found.len(), 2);
        for id in &found {
            assert_eq!(store.place_of_key(id).unwrap().team, Some("team-a".into()));
        }
        assert!(keys(store, &Within::default()).is_empty());
        // A project that moves to another organization takes its keys along, whatever else they say.
        let moved = |spec: &mut HolderSpec| {
            spec.team = Some("team-b".into());
            Ok(())
        };
        store
            .update_holder(&Actor::local(), (HolderKind::Project, "in-a"), None, moved)
            .unwrap();
        assert_eq!(keys(store, &organization).len(), 4);
        assert_eq!(keys(store, &team).len(), 1);
    }

    fn holders_are_seen_by_whatever_they_belong_to(store: &Store) {
        let ids = |within: &Within, kind| {
            let filter = HolderFilter {
                within: Some(within.clone()),
                ..HolderFilter::default()
            };
            let listing = Listing {
                limit: 100,
                ..Listing::default()
            };
            let (page, _) = store.holders_page(kind, &filter, &listing).unwrap();
            page.items.into_iter().map(|holder| holder.id).collect::<Vec<_>>()
        };
        let organization = Within {
            organizations: vec!["a".into()],
            teams: vec![],
        };
        let team = Within {
            organizations: vec![],
            teams: vec!["team-a".into()],
        };
        let none: &[&str] = &[];
        for (kind, of_organization, of_team) in [
            (HolderKind::Organization, &["a"][..], none),
            (HolderKind::Team, &["team-a"], &["team-a"]),
            (HolderKind::Project, &["in-a", "by-a"], &["in-a"]),
            (HolderKind::User, &["user-a"], none),
            (HolderKind::Plan, none, none),
        ] {
            assert_eq!(ids(&organization, kind), of_organization, "{kind:?}");
            assert_eq!(ids(&team, kind), of_team, "{kind:?}");
            assert!(ids(&Within::default(), kind).is_empty());
        }
    }
}

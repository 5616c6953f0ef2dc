//! Who has which role where, and the roles that organizations make.

use super::audit::Change;
use super::holders::find_live;
use super::{Row, Session, Store, StoreError, next_version, now, values};
use crate::holder::{Actor, HolderKind};
use crate::id::{OrganizationId, TeamId, UserId};
use crate::page::Paged;
use crate::role::{CustomRole, Membership, Permissions, Scope, Source, built_in_role, check_role_name};
use crate::terms::invalid;

const COLUMNS: &str = "\"user\", kind, scope, role, source, created_at, updated_at, changed";
const ROLE_COLUMNS: &str = "organization, name, permissions_json, created_at, updated_at, changed";
/// Roles of one user, at most: all of them are read with every request of theirs.
const MAX_OF_USER: i64 = 256;
/// Roles that an organization may make.
const MAX_ROLES: i64 = 100;

impl Store {
    /// The roles of a user, and what each may do; nothing of deleted organizations and teams.
    ///
    /// # Errors
    /// When the database refuses.
    pub fn grants_of(&self, user: &UserId) -> Result<Vec<(Membership, Permissions)>, StoreError> {
        let sql = format!(
            "SELECT {COLUMNS} FROM memberships WHERE \"user\" = ?1 AND EXISTS (SELECT 1 FROM holders
                WHERE holders.kind = memberships.kind AND holders.id = memberships.scope AND deleted_at IS NULL)
             ORDER BY kind, scope"
        );
        self.read(|session| {
            let all = session.all(&sql, &values![user.as_str()], read_membership)?;
            let with = |membership: Membership| {
                let permissions = permissions_of(session, &membership.scope, &membership.role)?;
                // A role that is gone may do nothing.
                Ok((membership, permissions.unwrap_or_default()))
            };
            all.into_iter().map(with).collect()
        })
    }

    /// What a role may do in a scope, if there is one of this name.
    ///
    /// # Errors
    /// When the database refuses.
    pub fn role_permissions(&self, scope: &Scope, role: &str) -> Result<Option<Permissions>, StoreError> {
        self.read(|session| permissions_of(session, scope, role))
    }

    /// The role of a user in a scope.
    ///
    /// # Errors
    /// When the database refuses.
    pub fn membership(&self, user: &UserId, scope: &Scope) -> Result<Option<Membership>, StoreError> {
        self.read(|session| find(session, user, scope))
    }

    /// A page of whoever has a role in a scope, in the order of their ids.
    ///
    /// # Errors
    /// When the database refuses.
    pub fn members(
        &self,
        scope: &Scope,
        after: Option<&str>,
        limit: u32,
    ) -> Result<Paged<Membership>, StoreError> {
        let (kind, id) = scope.parts();
        let sql = format!(
            "SELECT {COLUMNS} FROM memberships WHERE kind = ?1 AND scope = ?2 AND \"user\" > ?3
             ORDER BY \"user\" LIMIT ?4"
        );
        let values = values![kind, id, after.unwrap_or_default(), i64::from(limit) + 1];
        let mut items = self.read(|session| session.all(&sql, &values, read_membership))?;
        let more = items.len() > limit as usize;
        items.truncate(limit as usize);
        Ok(Paged { items, more })
    }

    /// Gives a user a role in a scope, in the place of the one that they had there.
    ///
    /// # Errors
    /// When the user, the scope or the role is not there, the user has too many, or the database refuses; with
    /// `expected`, also when that is not the version of what they had.
    pub fn set_membership(
        &self,
        actor: &Actor,
        (user, scope): (&UserId, &Scope),
        (role, source): (&str, Source),
        expected: Option<i64>,
    ) -> Result<Membership, StoreError> {
        self.change(actor, |session| {
            find_live(session, HolderKind::User, user.as_str())?;
            let (kind, id) = scope.parts();
            find_live(session, holder_kind(scope), id)?;
            if permissions_of(session, scope, role)?.is_none() {
                return Err(invalid(format!("there is no role {role:?} in the {kind} {id:?}")));
            }
            let before = find(session, user, scope)?;
            if expected.is_some_and(|expected| before.as_ref().map(|before| before.version) != Some(expected)) {
                return Err(StoreError::Changed);
            }
            let count = "SELECT COUNT(*) FROM memberships WHERE \"user\" = ?1";
            let count = session.one(count, &values![user.as_str()], |row| row.integer(0))?;
            if before.is_none() && count.unwrap_or(0) >= MAX_OF_USER {
                return Err(invalid(format!("a user has roles in {MAX_OF_USER} places at most")));
            }
            let at = now();
            let made = Membership {
                user: user.clone(),
                scope: scope.clone(),
                role: role.to_owned(),
                source,
                created_at: before.as_ref().map_or(at, |before| before.created_at),
                updated_at: at,
                version: next_version(session)?,
            };
            session.execute(
                "INSERT INTO memberships (\"user\", kind, scope, role, source, created_at, updated_at, changed)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
                 ON CONFLICT (\"user\", kind, scope) DO UPDATE SET role = ?4, source = ?5, updated_at = ?7, changed = ?8",
                &values![
                    user.as_str(),
                    kind,
                    id,
                    role,
                    source.as_str(),
                    made.created_at,
                    at,
                    made.version
                ],
            )?;
            let action = if before.is_some() { "update" } else { "create" };
            let told = told(action, before.as_ref(), Some(&made))?;
            Ok((made, told))
        })
    }

    /// Takes the role of a user in a scope away.
    ///
    /// # Errors
    /// When they have none there, or the database refuses; with `expected`, also when that is not its version.
    pub fn end_membership(
        &self,
        actor: &Actor,
        user: &UserId,
        scope: &Scope,
        expected: Option<i64>,
    ) -> Result<Membership, StoreError> {
        self.change(actor, |session| {
            let before = find(session, user, scope)?.ok_or_else(|| StoreError::NoSuchHolder {
                kind: "member",
                id: user.as_str().to_owned(),
            })?;
            if expected.is_some_and(|expected| expected != before.version) {
                return Err(StoreError::Changed);
            }
            let (kind, id) = scope.parts();
            let sql = "DELETE FROM memberships WHERE \"user\" = ?1 AND kind = ?2 AND scope = ?3";
            session.execute(sql, &values![user.as_str(), kind, id])?;
            next_version(session)?;
            let told = told("delete", Some(&before), None)?;
            Ok((before, told))
        })
    }

    /// The roles that an organization has made.
    ///
    /// # Errors
    /// When the database refuses.
    pub fn custom_roles(&self, organization: &OrganizationId) -> Result<Vec<CustomRole>, StoreError> {
        let sql = format!("SELECT {ROLE_COLUMNS} FROM admin_roles WHERE organization = ?1 ORDER BY name");
        self.read(|session| session.all(&sql, &values![organization.as_str()], read_role))
    }

    /// A role that an organization has made.
    ///
    /// # Errors
    /// When the database refuses.
    pub fn custom_role(
        &self,
        organization: &OrganizationId,
        name: &str,
    ) -> Result<Option<CustomRole>, StoreError> {
        self.read(|session| find_role(session, organization, name))
    }

    /// Makes a role of an organization, or changes what it may do.
    ///
    /// # Errors
    /// When the organization is not there, the name can be none, there are too many, or the database refuses; with
    /// `expected`, also when that is not its version.
    pub fn set_custom_role(
        &self,
        actor: &Actor,
        (organization, name): (&OrganizationId, &str),
        permissions: Permissions,
        expected: Option<i64>,
    ) -> Result<CustomRole, StoreError> {
        check_role_name(name)?;
        self.change(actor, |session| {
            find_live(session, HolderKind::Organization, organization.as_str())?;
            let before = find_role(session, organization, name)?;
            if expected.is_some_and(|expected| before.as_ref().map(|before| before.version) != Some(expected)) {
                return Err(StoreError::Changed);
            }
            let count = "SELECT COUNT(*) FROM admin_roles WHERE organization = ?1";
            let count = session.one(count, &values![organization.as_str()], |row| row.integer(0))?;
            if before.is_none() && count.unwrap_or(0) >= MAX_ROLES {
                return Err(invalid(format!("an organization has {MAX_ROLES} roles at most")));
            }
            let at = now();
            let made = CustomRole {
                organization: organization.clone(),
                name: name.to_owned(),
                permissions,
                created_at: before.as_ref().map_or(at, |before| before.created_at),
                updated_at: at,
                version: next_version(session)?,
            };
            session.execute(
                "INSERT INTO admin_roles (organization, name, permissions_json, created_at, updated_at, changed)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6)
                 ON CONFLICT (organization, name) DO UPDATE SET permissions_json = ?3, updated_at = ?5, changed = ?6",
                &values![
                    organization.as_str(),
                    name,
                    serde_json::to_string(&permissions)?,
                    made.created_at,
                    at,
                    made.version
                ],
            )?;
            let action = if before.is_some() { "update" } else { "create" };
            let told = role_told(action, before.as_ref(), Some(&made))?;
            Ok((made, told))
        })
    }

    /// Takes a role of an organization away, unless somebody has it.
    ///
    /// # Errors
    /// When there is none, somebody has it, or the database refuses.
    pub fn delete_custom_role(
        &self,
        actor: &Actor,
        organization: &OrganizationId,
        name: &str,
    ) -> Result<(), StoreError> {
        self.change(actor, |session| {
            let before = find_role(session, organization, name)?.ok_or_else(|| StoreError::NoSuchHolder {
                kind: "role",
                id: name.to_owned(),
            })?;
            let used = "SELECT 1 FROM memberships WHERE role = ?2 AND (kind = 'organization' AND scope = ?1
                OR kind = 'team' AND scope IN (SELECT id FROM holders WHERE kind = 'team' AND organization = ?1)) LIMIT 1";
            if session.exists(used, &values![organization.as_str(), name])? {
                return Err(StoreError::InUse(format!("somebody has the role {name:?}; give them another one first")));
            }
            let sql = "DELETE FROM admin_roles WHERE organization = ?1 AND name = ?2";
            session.execute(sql, &values![organization.as_str(), name])?;
            next_version(session)?;
            let told = role_told("delete", Some(&before), None)?;
            Ok(((), told))
        })
    }
}

fn holder_kind(scope: &Scope) -> HolderKind {
    match scope {
        Scope::Organization(_) => HolderKind::Organization,
        Scope::Team(_) => HolderKind::Team,
    }
}

/// What a role may do in a scope: one that is always there, or one of the scope's organization.
fn permissions_of(
    session: &mut dyn Session,
    scope: &Scope,
    role: &str,
) -> Result<Option<Permissions>, StoreError> {
    if let Some(permissions) = built_in_role(role) {
        return Ok(Some(permissions));
    }
    let organization = match scope {
        Scope::Organization(id) => Some(id.clone()),
        Scope::Team(id) => organization_of(session, id)?,
    };
    let Some(organization) = organization else {
        return Ok(None);
    };
    Ok(find_role(session, &organization, role)?.map(|role| role.permissions))
}

fn organization_of(session: &mut dyn Session, team: &TeamId) -> Result<Option<OrganizationId>, StoreError> {
    let sql = "SELECT organization FROM holders WHERE kind = 'team' AND id = ?1";
    let found = session.one(sql, &values![team.as_str()], |row| row.maybe_text(0))?;
    Ok(found.flatten().map(Into::into))
}

fn find(session: &mut dyn Session, user: &UserId, scope: &Scope) -> Result<Option<Membership>, StoreError> {
    let (kind, id) = scope.parts();
    let sql = format!("SELECT {COLUMNS} FROM memberships WHERE \"user\" = ?1 AND kind = ?2 AND scope = ?3");
    session.one(&sql, &values![user.as_str(), kind, id], read_membership)
}

fn find_role(
    session: &mut dyn Session,
    organization: &OrganizationId,
    name: &str,
) -> Result<Option<CustomRole>, StoreError> {
    let sql = format!("SELECT {ROLE_COLUMNS} FROM admin_roles WHERE organization = ?1 AND name = ?2");
    session.one(&sql, &values![organization.as_str(), name], read_role)
}

fn read_membership(row: &Row<'_>) -> Result<Membership, StoreError> {
    Ok(Membership {
        user: row.text(0)?.into(),
        scope: Scope::of(&row.text(1)?, row.text(2)?)?,
        role: row.text(3)?,
        source: Source::named(&row.text(4)?)?,
        created_at: row.integer(5)?,
        updated_at: row.integer(6)?,
        version: row.integer(7)?,
    })
}

fn read_role(row: &Row<'_>) -> Result<CustomRole, StoreError> {
    Ok(CustomRole {
        organization: row.text(0)?.into(),
        name: row.text(1)?,
        permissions: serde_json::from_str(&row.text(2)?)?,
        created_at: row.integer(3)?,
        updated_at: row.integer(4)?,
        version: row.integer(5)?,
    })
}

fn told(
    action: &'static str,
    before: Option<&Membership>,
    after: Option<&Membership>,
) -> Result<Change, StoreError> {
    let object = after.or(before).map(|membership| {
        let (kind, id) = membership.scope.parts();
        format!("{kind}/{id}/{}", membership.user.as_str())
    });
    Ok(Change {
        action,
        kind: "membership",
        object: object.unwrap_or_default(),
        before: before.map(serde_json::to_string).transpose()?,
        after: after.map(serde_json::to_string).transpose()?,
    })
}

fn role_told(
    action: &'static str,
    before: Option<&CustomRole>,
    after: Option<&CustomRole>,
) -> Result<Change, StoreError> {
    let object = after
        .or(before)
        .map(|role| format!("{}/{}", role.organization.as_str(), role.name));
    Ok(Change {
        action,
        kind: "role",
        object: object.unwrap_or_default(),
        before: before.map(serde_json::to_string).transpose()?,
        after: after.map(serde_json::to_string).transpose()?,
    })
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::holder::HolderSpec;
    use crate::role::Permission;

    fn fill(store: &Store) {
        for (kind, id, organization) in [
            (HolderKind::Organization, "a", None),
            (HolderKind::Organization, "b", None),
            (HolderKind::Team, "t", Some("a")),
            (HolderKind::Team, "alone", None),
            (HolderKind::User, "kim", Some("a")),
        ] {
            let spec = HolderSpec {
                organization: organization.map(Into::into),
                ..HolderSpec::default()
            };
            store
                .create_holder(&Actor::local(), kind, Some(id.to_owned()), spec)
                .unwrap();
        }
    }

    #[test]
    fn roles_hold_where_they_are_given() {
        check(&Store::open("sqlite::memory:").unwrap());
    }

    /// Fills an empty database and gives roles in it.
    pub(crate) fn check(store: &Store) {
        fill(store);
        a_role_of_an_organization_holds_there_and_in_its_teams_alone(store);
        a_role_is_changed_by_one_at_a_time_and_ends_with_its_team(store);
    }

    fn a_role_of_an_organization_holds_there_and_in_its_teams_alone(store: &Store) {
        let (actor, kim) = (Actor::local(), UserId::from("kim"));
        let (a, b) = (OrganizationId::from("a"), OrganizationId::from("b"));
        let permissions = Permissions::of(&[Permission::KeysRead]);
        for taken in ["owner", "viewer", "", "a b"] {
            assert!(
                store
                    .set_custom_role(&actor, (&a, taken), permissions, None)
                    .is_err()
            );
        }
        let role = store
            .set_custom_role(&actor, (&a, "auditor"), permissions, None)
            .unwrap();
        assert_eq!(store.custom_role(&a, "auditor").unwrap(), Some(role));
        let give = |scope: &Scope, role: &str| {
            store.set_membership(&actor, (&kim, scope), (role, Source::Admin), None)
        };
        give(&Scope::Team("t".into()), "auditor").unwrap();
        for elsewhere in [Scope::Organization(b), Scope::Team("alone".into())] {
            assert!(matches!(give(&elsewhere, "auditor"), Err(StoreError::Invalid(_))));
        }
        assert!(matches!(
            give(&Scope::Team("none".into()), "viewer"),
            Err(StoreError::NoSuchHolder { .. })
        ));
        let grants = store.grants_of(&kim).unwrap();
        assert_eq!((grants.len(), grants[0].1), (1, permissions));
        assert!(matches!(
            store.delete_custom_role(&actor, &a, "auditor"),
            Err(StoreError::InUse(_))
        ));
        store
            .end_membership(&actor, &kim, &Scope::Team("t".into()), None)
            .unwrap();
        store.delete_custom_role(&actor, &a, "auditor").unwrap();
        assert!(store.grants_of(&kim).unwrap().is_empty());
        assert_eq!(store.verify_audit().unwrap().broken, None);
    }

    fn a_role_is_changed_by_one_at_a_time_and_ends_with_its_team(store: &Store) {
        let (actor, kim, team) = (Actor::local(), UserId::from("kim"), Scope::Team("t".into()));
        let give = |role: &str, expected| {
            store.set_membership(&actor, (&kim, &team), (role, Source::Admin), expected)
        };
        let first = give("viewer", None).unwrap();
        let second = give("admin", Some(first.version)).unwrap();
        assert_eq!(second.created_at, first.created_at);
        assert!(matches!(
            give("owner", Some(first.version)),
            Err(StoreError::Changed)
        ));
        assert_eq!(store.members(&team, None, 10).unwrap().items, [second]);
        store
            .delete_holder(&actor, (HolderKind::Team, "t"), None)
            .unwrap();
        assert!(store.grants_of(&kim).unwrap().is_empty());
    }
}

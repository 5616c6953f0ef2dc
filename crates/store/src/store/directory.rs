//! What directories say of users and groups.

use super::audit::Change;
use super::{Row, Session, Store, StoreError, next_version, now, values};
use crate::directory::{DirectoryEntry, DirectoryKind};
use crate::holder::Actor;
use crate::id::OrganizationId;

const COLUMNS: &str =
    "id, organization, kind, name, external_id, resource_json, created_at, updated_at, changed";

impl Store {
    /// What a directory says of the user or group of this id.
    ///
    /// # Errors
    /// When the database refuses.
    pub fn directory_entry(
        &self,
        organization: &OrganizationId,
        kind: DirectoryKind,
        id: &str,
    ) -> Result<Option<DirectoryEntry>, StoreError> {
        self.read(|session| find(session, organization, kind, id))
    }

    /// The user or group that a directory calls so: by its name, in letters of any size, or else by the directory's own
    /// id.
    ///
    /// # Errors
    /// When the database refuses.
    pub fn directory_find(
        &self,
        organization: &OrganizationId,
        kind: DirectoryKind,
        called: &str,
    ) -> Result<Option<DirectoryEntry>, StoreError> {
        let by = |column: &str| {
            format!(
                "SELECT {COLUMNS} FROM directory WHERE organization = ?1 AND kind = ?2 AND {column} = ?3 ORDER BY number LIMIT 1"
            )
        };
        let values = |called: &str| values![organization.as_str(), kind.as_str(), called];
        self.read(|session| {
            let named = session.one(&by("name"), &values(&called.to_lowercase()), read_entry)?;
            match named {
                Some(entry) => Ok(Some(entry)),
                None => session.one(&by("external_id"), &values(called), read_entry),
            }
        })
    }

    /// Calls `each` with what a directory says of one after the other, in the order in which they were made, until it
    /// says no.
    ///
    /// # Errors
    /// When the database refuses.
    pub fn each_directory_entry(
        &self,
        organization: &OrganizationId,
        kind: DirectoryKind,
        mut each: impl FnMut(DirectoryEntry) -> bool,
    ) -> Result<(), StoreError> {
        let sql =
            format!("SELECT {COLUMNS} FROM directory WHERE organization = ?1 AND kind = ?2 ORDER BY number");
        let values = values![organization.as_str(), kind.as_str()];
        self.read_much(|session| session.each(&sql, &values, &mut |row| Ok(each(read_entry(row)?))))
    }

    /// Keeps what a directory says of a user or group of this id for the first time.
    ///
    /// # Errors
    /// When another of this directory is called so, or the database refuses.
    pub fn create_directory_entry(
        &self,
        actor: &Actor,
        (organization, kind): (&OrganizationId, DirectoryKind),
        (id, name): (&str, &str),
        (external_id, resource): (Option<&str>, &str),
    ) -> Result<DirectoryEntry, StoreError> {
        let name = name.to_lowercase();
        self.change(actor, |session| {
            check_name(session, (organization, kind), (id, &name))?;
            let at = now();
            let entry = DirectoryEntry {
                id: id.to_owned(),
                organization: organization.clone(),
                kind,
                name,
                external_id: external_id.map(str::to_owned),
                resource: resource.to_owned(),
                created_at: at,
                updated_at: at,
                version: next_version(session)?,
            };
            session.execute(
                "INSERT INTO directory (id, organization, kind, name, external_id, resource_json, created_at, updated_at, changed)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
                &values![
                    id,
                    organization.as_str(),
                    kind.as_str(),
                    &entry.name,
                    external_id,
                    resource,
                    at,
                    at,
                    entry.version
                ],
            )?;
            let told = told("create", None, Some(&entry));
            Ok((entry, told))
        })
    }

    /// Changes what a directory says of a user or group, if `expected` is its version.
    ///
    /// # Errors
    /// When there is none, it has been changed meanwhile, another is called so, or the database refuses.
    pub fn update_directory_entry(
        &self,
        actor: &Actor,
        before: &DirectoryEntry,
        name: &str,
        (external_id, resource): (Option<&str>, &str),
    ) -> Result<DirectoryEntry, StoreError> {
        let name = name.to_lowercase();
        let place = (&before.organization, before.kind);
        self.change(actor, |session| {
            let known = find(session, &before.organization, before.kind, &before.id)?;
            let known = known.ok_or_else(|| no_such(before.kind, &before.id))?;
            if known.version != before.version {
                return Err(StoreError::Changed);
            }
            check_name(session, place, (&before.id, &name))?;
            let entry = DirectoryEntry {
                name,
                external_id: external_id.map(str::to_owned),
                resource: resource.to_owned(),
                updated_at: now(),
                version: next_version(session)?,
                ..known
            };
            session.execute(
                "UPDATE directory SET name = ?3, external_id = ?4, resource_json = ?5, updated_at = ?6, changed = ?7
                 WHERE kind = ?1 AND id = ?2",
                &values![
                    entry.kind.as_str(),
                    &entry.id,
                    &entry.name,
                    external_id,
                    resource,
                    entry.updated_at,
                    entry.version
                ],
            )?;
            let told = told("update", Some(before), Some(&entry));
            Ok((entry, told))
        })
    }

    /// Forgets what a directory says of a user or group.
    ///
    /// # Errors
    /// When there is none, or the database refuses.
    pub fn delete_directory_entry(&self, actor: &Actor, before: &DirectoryEntry) -> Result<(), StoreError> {
        self.change(actor, |session| {
            let sql = "DELETE FROM directory WHERE organization = ?1 AND kind = ?2 AND id = ?3";
            let values = values![before.organization.as_str(), before.kind.as_str(), &before.id];
            if session.execute(sql, &values)? == 0 {
                return Err(no_such(before.kind, &before.id));
            }
            next_version(session)?;
            Ok(((), told("delete", Some(before), None)))
        })
    }
}

fn no_such(kind: DirectoryKind, id: &str) -> StoreError {
    StoreError::NoSuchHolder {
        kind: kind.as_str(),
        id: id.to_owned(),
    }
}

/// Whether no other of a directory is called so.
fn check_name(
    session: &mut dyn Session,
    (organization, kind): (&OrganizationId, DirectoryKind),
    (id, name): (&str, &str),
) -> Result<(), StoreError> {
    let sql = "SELECT 1 FROM directory WHERE organization = ?1 AND kind = ?2 AND name = ?3 AND id <> ?4";
    if session.exists(sql, &values![organization.as_str(), kind.as_str(), name, id])? {
        let (kind, id) = (kind.as_str(), name.to_owned());
        return Err(StoreError::Exists { kind, id });
    }
    Ok(())
}

fn find(
    session: &mut dyn Session,
    organization: &OrganizationId,
    kind: DirectoryKind,
    id: &str,
) -> Result<Option<DirectoryEntry>, StoreError> {
    let sql = format!("SELECT {COLUMNS} FROM directory WHERE organization = ?1 AND kind = ?2 AND id = ?3");
    session.one(
        &sql,
        &values![organization.as_str(), kind.as_str(), id],
        read_entry,
    )
}

fn read_entry(row: &Row<'_>) -> Result<DirectoryEntry, StoreError> {
    let kind = row.text(2)?;
    Ok(DirectoryEntry {
        id: row.text(0)?,
        organization: row.text(1)?.into(),
        kind: if kind == "user" {
            DirectoryKind::User
        } else {
            DirectoryKind::Group
        },
        name: row.text(3)?,
        external_id: row.maybe_text(4)?,
        resource: row.text(5)?,
        created_at: row.integer(6)?,
        updated_at: row.integer(7)?,
        version: row.integer(8)?,
    })
}

fn told(action: &'static str, before: Option<&DirectoryEntry>, after: Option<&DirectoryEntry>) -> Change {
    let object = after.or(before).map(|entry| {
        format!(
            "{}/{}/{}",
            entry.organization.as_str(),
            entry.kind.as_str(),
            entry.id
        )
    });
    // As the directory has said it, which is JSON already.
    let resource = |entry: Option<&DirectoryEntry>| entry.map(|entry| entry.resource.clone());
    Change {
        action,
        kind: "directory",
        object: object.unwrap_or_default(),
        before: resource(before),
        after: resource(after),
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    #[test]
    fn a_directory_knows_its_own() {
        check(&Store::open("sqlite::memory:").unwrap());
    }

    /// Fills an empty database and asks two directories.
    pub(crate) fn check(store: &Store) {
        let actor = Actor::local();
        let (a, b) = (OrganizationId::from("a"), OrganizationId::from("b"));
        let user = DirectoryKind::User;
        let make = |organization, id, name| {
            store.create_directory_entry(&actor, (organization, user), (id, name), (Some("X1"), "{}"))
        };
        let kim = make(&a, "user_1", "Kim@Acme.example").unwrap();
        assert!(matches!(
            make(&a, "user_2", "kim@acme.EXAMPLE"),
            Err(StoreError::Exists { .. })
        ));
        make(&b, "user_3", "kim@acme.example").unwrap();
        let found = |organization, called: &str| {
            let found = store.directory_find(organization, user, called).unwrap();
            found.map(|entry| entry.id)
        };
        assert_eq!(found(&a, "KIM@acme.example").as_deref(), Some("user_1"));
        assert_eq!(found(&b, "X1").as_deref(), Some("user_3"));
        assert_eq!(
            found(&a, "x1"),
            None,
            "a directory's own ids are letter by letter"
        );
        assert!(store.directory_entry(&b, user, "user_1").unwrap().is_none());
        assert!(
            store
                .directory_entry(&a, DirectoryKind::Group, "user_1")
                .unwrap()
                .is_none()
        );
        let changed = store
            .update_directory_entry(&actor, &kim, "kim", (None, "{\"active\":false}"))
            .unwrap();
        assert!(changed.version > kim.version && changed.external_id.is_none());
        assert!(matches!(
            store.update_directory_entry(&actor, &kim, "kim", (None, "{}")),
            Err(StoreError::Changed)
        ));
        let mut names = Vec::new();
        let all = |entry: DirectoryEntry| {
            names.push(entry.name);
            true
        };
        store.each_directory_entry(&a, user, all).unwrap();
        assert_eq!(names, ["kim"]);
        store.delete_directory_entry(&actor, &changed).unwrap();
        assert!(store.delete_directory_entry(&actor, &changed).is_err());
        assert_eq!(store.verify_audit().unwrap().broken, None);
    }
}

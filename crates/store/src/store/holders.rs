//! Organizations, teams, projects, users and plans: made, listed, changed, deleted.

use std::fmt::Display;

use super::audit::Change;
use super::filter::{HolderFilter, Listing, counted};
use super::{Row, Session, Store, StoreError, next_version, now, values};
use crate::holder::{Actor, Holder, HolderKind, HolderSpec, check_id};
use crate::key::random_text;
use crate::page::Paged;

const COLUMNS: &str =
    "kind, id, name, organization, team, terms_json, metadata_json, created_at, updated_at, disabled_at,
    deleted_at, changed";

impl Store {
    /// Makes a holder; its id is generated, unless it is given.
    ///
    /// # Errors
    /// When there is or was one with this id, what it belongs to is not there, or it cannot be so.
    pub fn create_holder(
        &self,
        actor: &Actor,
        kind: HolderKind,
        id: Option<String>,
        spec: HolderSpec,
    ) -> Result<Holder, StoreError> {
        spec.check(kind)?;
        let id = match id {
            Some(id) => id,
            None => format!("{}{}", kind.prefix(), random_text(16)?),
        };
        check_id(&id)?;
        let at = now();
        self.change(actor, |session| {
            check_parents(session, &spec)?;
            check_name(session, kind, &spec)?;
            if find(session, kind, &id)?.is_some() {
                let kind = kind.as_str();
                return Err(StoreError::Exists { kind, id });
            }
            let holder = Holder {
                id,
                kind,
                spec,
                created_at: at,
                updated_at: at,
                deleted_at: None,
                version: next_version(session)?,
            };
            write(session, &holder)?;
            let told = told("create", None, &holder)?;
            Ok((holder, told))
        })
    }

    /// A holder, deleted ones included.
    ///
    /// # Errors
    /// When the database refuses.
    pub fn holder(&self, kind: HolderKind, id: &str) -> Result<Option<Holder>, StoreError> {
        self.read(|session| find(session, kind, id))
    }

    /// Holders that were changed after a change of this number, deleted ones included.
    ///
    /// # Errors
    /// When the database refuses.
    pub fn holders_since(&self, change: i64) -> Result<Vec<Holder>, StoreError> {
        let sql = format!("SELECT {COLUMNS} FROM holders WHERE changed > ?1 ORDER BY number");
        self.read_much(|session| session.all(&sql, &values![change], read_holder))
    }

    /// A page of holders, and how many there are in all.
    ///
    /// # Errors
    /// When the database refuses.
    pub fn holders_page(
        &self,
        kind: HolderKind,
        filter: &HolderFilter,
        listing: &Listing,
    ) -> Result<(Paged<Holder>, u64), StoreError> {
        let (total, mut items) = self.read(|session| {
            let mut conditions = filter.conditions(kind, session.dialect());
            let count = counted("holders", &conditions);
            let total = session.one(&count, conditions.values(), |row| row.integer(0))?;
            let (sign, order) = listing.direction();
            if let Some(after) = &listing.after {
                let condition =
                    format!("number {sign} (SELECT number FROM holders WHERE kind = ? AND id = ?)");
                conditions.and(&condition, values![kind.as_str(), after]);
            }
            let bounds = listing.bounds(&mut conditions);
            let sql = format!(
                "SELECT {COLUMNS} FROM holders{} ORDER BY number {order}{bounds}",
                conditions.sql()
            );
            Ok((total, session.all(&sql, conditions.values(), read_holder)?))
        })?;
        let more = items.len() > listing.limit as usize;
        items.truncate(listing.limit as usize);
        Ok((Paged { items, more }, total.unwrap_or_default().cast_unsigned()))
    }

    /// Changes a holder; with `expected`, only if that is its version.
    ///
    /// # Errors
    /// When there is none or it has been changed meanwhile, what it belongs to is not there, or it cannot be so.
    pub fn update_holder(
        &self,
        actor: &Actor,
        (kind, id): (HolderKind, &str),
        expected: Option<i64>,
        change: impl FnOnce(&mut HolderSpec) -> Result<(), StoreError>,
    ) -> Result<Holder, StoreError> {
        self.change(actor, |session| {
            let before = find_live(session, kind, id)?;
            if expected.is_some_and(|expected| expected != before.version) {
                return Err(StoreError::Changed);
            }
            let mut holder = before.clone();
            change(&mut holder.spec)?;
            let of = |spec: &HolderSpec| (spec.name.clone(), spec.organization.clone());
            if kind.is_label() && of(&holder.spec) != of(&before.spec) {
                // What was spent is known by the name in the ledger.
                return Err(StoreError::Invalid(format!(
                    "the name and the organization of a {} cannot be changed; make another one",
                    kind.as_str()
                )));
            }
            holder.spec.check(kind)?;
            check_parents(session, &holder.spec)?;
            holder.updated_at = now();
            holder.version = next_version(session)?;
            write(session, &holder)?;
            let told = told("update", Some(&before), &holder)?;
            Ok((holder, told))
        })
    }

    /// Deletes a holder: its keys, and those of whatever belongs to it, are refused from now on. Its id is not given
    /// again, because keys and ledger go on naming it.
    ///
    /// # Errors
    /// When there is none or it has been changed meanwhile; of a plan, when keys go by it.
    pub fn delete_holder(
        &self,
        actor: &Actor,
        (kind, id): (HolderKind, &str),
        expected: Option<i64>,
    ) -> Result<Holder, StoreError> {
        self.change(actor, |session| {
            let before = find_live(session, kind, id)?;
            if expected.is_some_and(|expected| expected != before.version) {
                return Err(StoreError::Changed);
            }
            let plans = "SELECT 1 FROM keys WHERE plan = ?1 AND revoked_at IS NULL LIMIT 1";
            if kind == HolderKind::Plan && session.exists(plans, &values![id])? {
                return Err(StoreError::InUse(format!(
                    "keys go by the budget {id:?}; give them another one first"
                )));
            }
            let mut holder = before.clone();
            holder.deleted_at = Some(now());
            holder.updated_at = now();
            holder.version = next_version(session)?;
            write(session, &holder)?;
            if kind == HolderKind::User {
                super::memories::forget_user(session, id)?;
            }
            let told = told("delete", Some(&before), &holder)?;
            Ok((holder, told))
        })
    }
}

/// Whether what a holder belongs to is there and belongs together.
fn check_parents(session: &mut dyn Session, spec: &HolderSpec) -> Result<(), StoreError> {
    if let Some(team) = &spec.team {
        let kind = HolderKind::Team;
        let holder = find_live(session, kind, team.as_str())?;
        let organization = holder.spec.organization.as_ref();
        check_place(
            (kind, team.as_str()),
            "organization",
            organization,
            spec.organization.as_ref(),
        )?;
    }
    if let Some(organization) = &spec.organization {
        find_live(session, HolderKind::Organization, organization.as_str())?;
    }
    Ok(())
}

/// Whether requests can tell what they name from all others of its organization.
fn check_name(session: &mut dyn Session, kind: HolderKind, spec: &HolderSpec) -> Result<(), StoreError> {
    if !kind.is_label() {
        return Ok(());
    }
    let organization = spec.organization.as_ref().map_or("", |id| id.as_str());
    let same = "SELECT id FROM holders WHERE kind = ?1 AND name = ?2 AND COALESCE(organization, '') = ?3
        AND deleted_at IS NULL LIMIT 1";
    let found = session.one(same, &values![kind.as_str(), &spec.name, organization], |row| {
        row.text(0)
    })?;
    match found {
        None => Ok(()),
        Some(id) => Err(StoreError::Exists {
            kind: kind.as_str(),
            id: format!("{id} named {}", spec.name),
        }),
    }
}

/// Whether what is said of the place of a holder is what the holder itself says.
pub(super) fn check_place<T: PartialEq + AsRef<str>>(
    (kind, id): (HolderKind, &str),
    what: &str,
    own: Option<&T>,
    said: Option<&T>,
) -> Result<(), StoreError> {
    match (own, said) {
        (Some(own), Some(said)) if own != said => Err(StoreError::Invalid(format!(
            "the {} {id:?} belongs to the {what} {:?}, not to {:?}",
            kind.as_str(),
            own.as_ref(),
            said.as_ref()
        ))),
        _ => Ok(()),
    }
}

fn find(session: &mut dyn Session, kind: HolderKind, id: &str) -> Result<Option<Holder>, StoreError> {
    let sql = format!("SELECT {COLUMNS} FROM holders WHERE kind = ?1 AND id = ?2");
    session.one(&sql, &values![kind.as_str(), id], read_holder)
}

/// A holder that was not deleted.
pub(super) fn find_live(session: &mut dyn Session, kind: HolderKind, id: &str) -> Result<Holder, StoreError> {
    find(session, kind, id)?
        .filter(|holder| holder.deleted_at.is_none())
        .ok_or_else(|| no_such(kind.as_str(), id))
}

fn no_such(kind: &'static str, id: impl Display) -> StoreError {
    let id = id.to_string();
    StoreError::NoSuchHolder { kind, id }
}

fn write(session: &mut dyn Session, holder: &Holder) -> Result<(), StoreError> {
    let spec = &holder.spec;
    session.execute(
        "INSERT INTO holders (kind, id, name, organization, team, terms_json, metadata_json, created_at, updated_at,
            disabled_at, deleted_at, changed)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)
         ON CONFLICT (kind, id) DO UPDATE SET name = ?3, organization = ?4, team = ?5, terms_json = ?6,
            metadata_json = ?7, updated_at = ?9, disabled_at = ?10, deleted_at = ?11, changed = ?12",
        &values![
            holder.kind.as_str(),
            &holder.id,
            &spec.name,
            spec.organization.as_ref().map(|id| id.as_str()),
            spec.team.as_ref().map(|id| id.as_str()),
            serde_json::to_string(&spec.terms)?,
            serde_json::to_string(&spec.metadata)?,
            holder.created_at,
            holder.updated_at,
            spec.disabled.then_some(holder.updated_at),
            holder.deleted_at,
            holder.version
        ],
    )?;
    Ok(())
}

fn told(action: &'static str, before: Option<&Holder>, after: &Holder) -> Result<Change, StoreError> {
    Ok(Change {
        action,
        kind: after.kind.as_str(),
        object: after.id.clone(),
        before: before.map(serde_json::to_string).transpose()?,
        after: Some(serde_json::to_string(after)?),
    })
}

fn read_holder(row: &Row<'_>) -> Result<Holder, StoreError> {
    let kind = row.text(0)?;
    let kind = HolderKind::of(&kind)
        .ok_or_else(|| StoreError::Invalid(format!("the database holds a {kind:?}, which is no holder")))?;
    Ok(Holder {
        id: row.text(1)?,
        kind,
        spec: HolderSpec {
            name: row.text(2)?,
            organization: row.maybe_text(3)?.map(Into::into),
            team: row.maybe_text(4)?.map(Into::into),
            terms: serde_json::from_str(&row.text(5)?)?,
            metadata: serde_json::from_str(&row.text(6)?)?,
            disabled: row.maybe_integer(9)?.is_some(),
        },
        created_at: row.integer(7)?,
        updated_at: row.integer(8)?,
        deleted_at: row.maybe_integer(10)?,
        version: row.integer(11)?,
    })
}

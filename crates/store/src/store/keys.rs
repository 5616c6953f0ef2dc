//! Keys: made, listed, changed, revoked.

use secrecy::SecretString;

use super::audit::Change;
use super::filter::{KeyFilter, Listing, counted};
use super::holders::{check_place, find_live};
use super::{Row, Session, Store, StoreError, next_version, now, values};
use crate::holder::{Actor, HolderKind, HolderSpec};
use crate::id::{KeyId, TeamId};
use crate::key::{self, AdoptedKey, KeyRecord, NewKey};
use crate::page::Paged;
use crate::terms::{Metadata, check_metadata, check_text, invalid};

pub(super) const COLUMNS: &str =
    "id, hash, hint, grant_json, created_at, revoked_at, disabled_at, old_hash, old_until, metadata_json,
    updated_at, changed";
/// The longest time for which a secret is good beside the one that follows it: thirty days.
const MAX_GRACE: i64 = 30 * 24 * 3_600_000;

impl Store {
    /// Makes a key. The secret is returned once and kept nowhere. A team or user that it names and that is not there is
    /// made with it.
    ///
    /// # Errors
    /// When the database refuses, or another holder is not there.
    pub fn create_key(&self, grant: NewKey) -> Result<(KeyRecord, SecretString), StoreError> {
        let actor = Actor::local();
        let alone = [HolderKind::Team, HolderKind::User];
        for (kind, id) in grant.holders().filter(|(kind, _)| alone.contains(kind)) {
            if self.holder(kind, id)?.is_none() {
                match self.create_holder(&actor, kind, Some(id.to_owned()), HolderSpec::default()) {
                    Ok(_) | Err(StoreError::Exists { .. }) => {}
                    Err(error) => return Err(error),
                }
            }
        }
        self.create_key_as(&actor, grant, Metadata::new(), None)
    }

    /// Makes a key, with a secret of the caller's choice if there is one.
    ///
    /// # Errors
    /// When the database refuses, a holder is not there, or what is asked for cannot be.
    pub fn create_key_as(
        &self,
        actor: &Actor,
        grant: NewKey,
        metadata: Metadata,
        chosen: Option<SecretString>,
    ) -> Result<(KeyRecord, SecretString), StoreError> {
        grant.check()?;
        check_metadata(&metadata)?;
        let (secret, hash, hint) = match chosen {
            Some(secret) => {
                let (hash, hint) = key::chosen(&secret)?;
                (secret, hash, hint)
            }
            None => key::generate()?,
        };
        let at = now();
        let mut record = KeyRecord {
            id: key::generate_id()?,
            grant,
            hint,
            hash,
            created_at: at,
            revoked_at: None,
            disabled_at: None,
            former: None,
            metadata,
            updated_at: at,
            version: 0,
        };
        record.version = self.put_key(actor, &record)?;
        Ok((record, secret))
    }

    /// Takes over a key that somebody else has made, by its hash: whoever has its secret goes on using it.
    ///
    /// # Errors
    /// When the database refuses, a holder is not there, the key or its id is there already, or it cannot be so.
    pub fn adopt_key(&self, actor: &Actor, key: AdoptedKey) -> Result<KeyRecord, StoreError> {
        key.grant.check()?;
        check_metadata(&key.metadata)?;
        check_text("hint", &key.hint)?;
        let at = now();
        let mut record = KeyRecord {
            id: key.id,
            grant: key.grant,
            hint: key.hint,
            hash: key.hash,
            created_at: at,
            revoked_at: None,
            disabled_at: key.disabled.then_some(at),
            former: key.former,
            metadata: key.metadata,
            updated_at: at,
            version: 0,
        };
        record.version = self.put_key(actor, &record)?;
        Ok(record)
    }

    /// Puts a new key in; says its version.
    fn put_key(&self, actor: &Actor, record: &KeyRecord) -> Result<i64, StoreError> {
        self.change(actor, |session| {
            check_holders(session, &record.grant)?;
            check_hash(session, record)?;
            let version = next_version(session)?;
            let (old_hash, old_until) = record.former.unzip();
            session.execute(
                "INSERT INTO keys (id, hash, hint, grant_json, created_at, metadata_json, updated_at, changed,
                    disabled_at, old_hash, old_until)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?5, ?7, ?8, ?9, ?10)",
                &values![
                    record.id.as_str(),
                    record.hash,
                    &record.hint,
                    serde_json::to_string(&record.grant)?,
                    record.created_at,
                    serde_json::to_string(&record.metadata)?,
                    version,
                    record.disabled_at,
                    old_hash,
                    old_until
                ],
            )?;
            let mut made = record.clone();
            made.version = version;
            Ok((version, told("create", None, Some(&made))?))
        })
    }

    /// All keys, revoked ones included, the oldest first.
    ///
    /// # Errors
    /// When the database refuses.
    pub fn keys(&self) -> Result<Vec<KeyRecord>, StoreError> {
        let mut keys = Vec::new();
        self.each_key_since(0, |key| keys.push(key))?;
        Ok(keys)
    }

    /// Calls `each` with one key after the other that was changed after a change of this number, revoked ones included,
    /// the oldest first.
    ///
    /// # Errors
    /// When the database refuses.
    pub fn each_key_since(&self, change: i64, mut each: impl FnMut(KeyRecord)) -> Result<(), StoreError> {
        let sql = format!("SELECT {COLUMNS} FROM keys WHERE changed > ?1 ORDER BY created_at, id");
        self.read_much(|session| {
            session.each(&sql, &values![change], &mut |row| {
                each(read_key(row)?);
                Ok(true)
            })
        })
    }

    /// Whether there are more keys than this, revoked ones included.
    ///
    /// # Errors
    /// When the database refuses.
    pub fn has_more_keys_than(&self, count: u32) -> Result<bool, StoreError> {
        let sql = "SELECT 1 FROM keys LIMIT 1 OFFSET ?1";
        self.read(|session| session.exists(sql, &values![i64::from(count)]))
    }

    /// The key that has this hash, or had it before it was rotated, revoked ones included.
    ///
    /// # Errors
    /// When the database refuses.
    pub fn key_by_hash(&self, hash: [u8; 32]) -> Result<Option<KeyRecord>, StoreError> {
        let sql = format!("SELECT {COLUMNS} FROM keys WHERE hash = ?1 OR old_hash = ?1");
        self.read(|session| session.one(&sql, &values![hash], read_key))
    }

    /// The same, with the number of the last change of anything, as [`changes`](Self::changes) gives it.
    ///
    /// # Errors
    /// When the database refuses.
    pub fn key_and_change(&self, hash: [u8; 32]) -> Result<Option<(KeyRecord, i64)>, StoreError> {
        let sql = format!(
            "SELECT {COLUMNS}, (SELECT value FROM sequence) FROM keys WHERE hash = ?1 OR old_hash = ?1"
        );
        self.read(|session| session.one(&sql, &values![hash], |row| Ok((read_key(row)?, row.integer(12)?))))
    }

    /// A page of keys, and how many there are in all, up to a hundred thousand.
    ///
    /// # Errors
    /// When the database refuses.
    pub fn keys_page(
        &self,
        filter: &KeyFilter,
        listing: &Listing,
    ) -> Result<(Paged<KeyRecord>, u64), StoreError> {
        let (total, mut items) = self.read(|session| {
            let dialect = session.dialect();
            let mut conditions = filter.conditions(now(), dialect);
            let count = counted("keys", &conditions);
            let total = session.one(&count, conditions.values(), |row| row.integer(0))?;
            let ((sign, order), number) = (listing.direction(), dialect.key_number);
            if let Some(after) = &listing.after {
                let condition = format!("{number} {sign} (SELECT {number} FROM keys WHERE id = ?)");
                conditions.and(&condition, values![after]);
            }
            let bounds = listing.bounds(&mut conditions);
            let sql = format!(
                "SELECT {COLUMNS} FROM keys{} ORDER BY {number} {order}{bounds}",
                conditions.sql()
            );
            Ok((total, session.all(&sql, conditions.values(), read_key)?))
        })?;
        let more = items.len() > listing.limit as usize;
        items.truncate(listing.limit as usize);
        Ok((Paged { items, more }, total.unwrap_or_default().cast_unsigned()))
    }

    /// The key with this id, revoked ones included.
    ///
    /// # Errors
    /// When there is none.
    pub fn key(&self, id: &KeyId) -> Result<KeyRecord, StoreError> {
        let sql = format!("SELECT {COLUMNS} FROM keys WHERE id = ?1");
        let found = self.read(|session| session.one(&sql, &values![id.as_str()], read_key))?;
        found.ok_or_else(|| no_such(id))
    }

    /// The key with this id or name, revoked ones left out.
    ///
    /// # Errors
    /// When there is none.
    pub fn find_key(&self, id_or_name: &str) -> Result<KeyRecord, StoreError> {
        let sql = format!(
            "SELECT {COLUMNS} FROM keys WHERE (id = ?1 OR name = ?1) AND revoked_at IS NULL
             ORDER BY created_at DESC LIMIT 1"
        );
        let found = self.read(|session| session.one(&sql, &values![id_or_name], read_key))?;
        found.ok_or_else(|| StoreError::NoSuchKey(id_or_name.to_owned()))
    }

    /// Changes what a key may do, its notes, or whether it is disabled; with `expected`, only if that is its version.
    ///
    /// # Errors
    /// When there is no such key, it was revoked or has been changed meanwhile, or what is asked for cannot be.
    pub fn update_key(
        &self,
        actor: &Actor,
        id: &KeyId,
        expected: Option<i64>,
        change: impl FnOnce(&mut KeyRecord) -> Result<(), StoreError>,
    ) -> Result<KeyRecord, StoreError> {
        self.alter_key(actor, ("update", id, expected), |session, key| {
            let before = key.grant.clone();
            change(key)?;
            key.grant.check()?;
            check_metadata(&key.metadata)?;
            if before != key.grant {
                check_holders(session, &key.grant)?;
            }
            Ok(())
        })
    }

    /// Revokes a key, for good.
    ///
    /// # Errors
    /// When there is no such key, or it is revoked already.
    pub fn revoke_key(&self, id: &KeyId) -> Result<(), StoreError> {
        self.revoke_key_as(&Actor::local(), id, None).map(drop)
    }

    /// Revokes a key, for good; with `expected`, only if that is its version.
    ///
    /// # Errors
    /// As [`update_key`](Self::update_key).
    pub fn revoke_key_as(
        &self,
        actor: &Actor,
        id: &KeyId,
        expected: Option<i64>,
    ) -> Result<KeyRecord, StoreError> {
        self.alter_key(actor, ("delete", id, expected), |_, key| {
            key.revoked_at = Some(now());
            key.former = None;
            Ok(())
        })
    }

    /// Gives a key a new secret; the old one is refused at once.
    ///
    /// # Errors
    /// When there is no such key.
    pub fn rotate_key(&self, id: &KeyId) -> Result<SecretString, StoreError> {
        let rotated = self.rotate_key_as(&Actor::local(), id, None, 0)?;
        Ok(rotated.1)
    }

    /// Gives a key a new secret; the old one stays good for `grace` milliseconds.
    ///
    /// # Errors
    /// As [`update_key`](Self::update_key).
    pub fn rotate_key_as(
        &self,
        actor: &Actor,
        id: &KeyId,
        expected: Option<i64>,
        grace: i64,
    ) -> Result<(KeyRecord, SecretString), StoreError> {
        if !(0..=MAX_GRACE).contains(&grace) {
            return Err(invalid(
                "a former secret stays good for thirty days at most".to_owned(),
            ));
        }
        let (secret, hash, hint) = key::generate()?;
        let record = self.alter_key(actor, ("rotate", id, expected), |_, key| {
            key.former = (grace > 0).then(|| (key.hash, now() + grace));
            key.hash = hash;
            key.hint = hint;
            Ok(())
        })?;
        Ok((record, secret))
    }

    fn alter_key(
        &self,
        actor: &Actor,
        (action, id, expected): (&'static str, &KeyId, Option<i64>),
        change: impl FnOnce(&mut dyn Session, &mut KeyRecord) -> Result<(), StoreError>,
    ) -> Result<KeyRecord, StoreError> {
        self.change(actor, |session| {
            let sql = format!("SELECT {COLUMNS} FROM keys WHERE id = ?1 AND revoked_at IS NULL");
            let found = session.one(&sql, &values![id.as_str()], read_key)?;
            let before = found.ok_or_else(|| no_such(id))?;
            if expected.is_some_and(|expected| expected != before.version) {
                return Err(StoreError::Changed);
            }
            let mut key = before.clone();
            change(session, &mut key)?;
            key.updated_at = now();
            key.version = next_version(session)?;
            let (old_hash, old_until) = key.former.unzip();
            session.execute(
                "UPDATE keys SET hash = ?2, hint = ?3, grant_json = ?4, revoked_at = ?5, disabled_at = ?6,
                    old_hash = ?7, old_until = ?8, metadata_json = ?9, updated_at = ?10, changed = ?11
                 WHERE id = ?1",
                &values![
                    id.as_str(),
                    key.hash,
                    &key.hint,
                    serde_json::to_string(&key.grant)?,
                    key.revoked_at,
                    key.disabled_at,
                    old_hash,
                    old_until,
                    serde_json::to_string(&key.metadata)?,
                    key.updated_at,
                    key.version
                ],
            )?;
            let told = told(action, Some(&before), Some(&key))?;
            Ok((key, told))
        })
    }
}

impl NewKey {
    /// The holders that it names.
    fn holders(&self) -> impl Iterator<Item = (HolderKind, &str)> {
        let named = [
            (
                HolderKind::Organization,
                self.organization.as_ref().map(|id| id.as_str()),
            ),
            (HolderKind::Team, self.team.as_ref().map(|id| id.as_str())),
            (HolderKind::Project, self.project.as_ref().map(|id| id.as_str())),
            (HolderKind::User, self.user.as_ref().map(|id| id.as_str())),
            (HolderKind::Plan, self.plan.as_ref().map(|id| id.as_str())),
        ];
        named.into_iter().filter_map(|(kind, id)| Some((kind, id?)))
    }
}

/// Whether the holders of a key are there and belong together.
fn check_holders(session: &mut dyn Session, grant: &NewKey) -> Result<(), StoreError> {
    let (mut organization, mut team) = (grant.organization.clone(), grant.team.clone());
    let mut check = |kind: HolderKind, id: &str, team: &mut Option<TeamId>| {
        let own = find_live(session, kind, id)?.spec;
        check_place(
            (kind, id),
            "organization",
            own.organization.as_ref(),
            organization.as_ref(),
        )?;
        check_place((kind, id), "team", own.team.as_ref(), team.as_ref())?;
        organization = organization.take().or(own.organization);
        *team = team.take().or(own.team);
        Ok::<_, StoreError>(())
    };
    for (kind, id) in grant.holders() {
        check(kind, id, &mut team)?;
    }
    // The team of its project has an organization, too.
    match team.take() {
        Some(of_project) if grant.team.is_none() => check(HolderKind::Team, of_project.as_str(), &mut team),
        _ => Ok(()),
    }
}

/// Whether nobody has this secret.
fn check_hash(session: &mut dyn Session, record: &KeyRecord) -> Result<(), StoreError> {
    let sql = "SELECT 1 FROM keys WHERE hash = ?1";
    if session.exists(sql, &values![record.hash])? {
        return Err(invalid("this key is taken; choose another".to_owned()));
    }
    Ok(())
}

fn told(
    action: &'static str,
    before: Option<&KeyRecord>,
    after: Option<&KeyRecord>,
) -> Result<Change, StoreError> {
    let id = after.or(before).map_or("", |key| key.id.as_str());
    Ok(Change {
        action,
        kind: "key",
        object: id.to_owned(),
        before: before.map(serde_json::to_string).transpose()?,
        after: after.map(serde_json::to_string).transpose()?,
    })
}

fn no_such(id: &KeyId) -> StoreError {
    StoreError::NoSuchKey(id.as_str().to_owned())
}

pub(super) fn read_key(row: &Row<'_>) -> Result<KeyRecord, StoreError> {
    let former = (row.maybe_hash(7)?, row.maybe_integer(8)?);
    Ok(KeyRecord {
        id: KeyId::from(row.text(0)?),
        hash: row.maybe_hash(1)?.unwrap_or_default(),
        hint: row.text(2)?,
        grant: serde_json::from_str(&row.text(3)?)?,
        created_at: row.integer(4)?,
        revoked_at: row.maybe_integer(5)?,
        disabled_at: row.maybe_integer(6)?,
        former: former.0.zip(former.1),
        metadata: serde_json::from_str(&row.text(9)?)?,
        updated_at: row.integer(10)?,
        version: row.integer(11)?,
    })
}

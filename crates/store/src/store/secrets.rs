//! Secrets of the database: put, told of, opened, wrapped anew, deleted.

use std::sync::Arc;

use pointsman_upstream::credential::{CredentialError, CredentialErrorKind};
use pointsman_upstream::secrets::{Document, Reading, SecretSource};

use super::audit::Change;
use super::{Row, Session, Store, StoreError, next_version, now, values};
use crate::holder::Actor;
use crate::secret::{MasterKeys, Sealed, SecretFields, StoredSecret, check_secret};

const COLUMNS: &str = "name, fields_json, master_key, created_at, updated_at, changed";
/// Secrets of a database, at most.
const MOST: i64 = 10_000;

impl Store {
    /// Keeps a secret in place of the one before of its name.
    ///
    /// # Errors
    /// When it cannot be kept so, it has been changed meanwhile, or the database refuses.
    pub fn put_secret(
        &self,
        actor: &Actor,
        (name, fields): (&str, &SecretFields),
        keys: &MasterKeys,
        expected: Option<i64>,
    ) -> Result<StoredSecret, StoreError> {
        check_secret(name, fields)?;
        let sealed = keys.seal(name, fields)?;
        self.change(actor, |session| {
            let before = find(session, name)?;
            let version = before.as_ref().map(|secret| secret.version);
            if expected.is_some_and(|expected| version != Some(expected)) {
                return Err(StoreError::Changed);
            }
            let count = session.one("SELECT COUNT(*) FROM secrets", &[], |row| row.integer(0))?;
            if before.is_none() && count.unwrap_or_default() >= MOST {
                return Err(StoreError::Invalid(format!(
                    "there are {MOST} secrets, which is the most"
                )));
            }
            let after = StoredSecret {
                name: name.to_owned(),
                fields: fields.keys().cloned().collect(),
                master_key: sealed.master.clone(),
                created_at: before.as_ref().map_or_else(now, |secret| secret.created_at),
                updated_at: now(),
                version: next_version(session)?,
            };
            write(session, &after, &sealed)?;
            let action = if before.is_some() { "update" } else { "create" };
            let told = told(action, before.as_ref(), Some(&after))?;
            Ok((after, told))
        })
    }

    /// What is told of a secret.
    ///
    /// # Errors
    /// When the database refuses.
    pub fn secret(&self, name: &str) -> Result<Option<StoredSecret>, StoreError> {
        self.read(|session| find(session, name))
    }

    /// What is told of secrets whose names come after `after`, in their order; `limit` of them.
    ///
    /// # Errors
    /// When the database refuses.
    pub fn secrets(&self, after: &str, limit: u32) -> Result<Vec<StoredSecret>, StoreError> {
        let sql = format!("SELECT {COLUMNS} FROM secrets WHERE name > ?1 ORDER BY name LIMIT ?2");
        self.read(|session| session.all(&sql, &values![after, i64::from(limit)], read))
    }

    /// A number that changes whenever a secret does.
    ///
    /// # Errors
    /// When the database refuses.
    pub fn secrets_version(&self) -> Result<(i64, i64), StoreError> {
        let sql = "SELECT COALESCE(MAX(changed), 0), COUNT(*) FROM secrets";
        let found =
            self.read(|session| session.one(sql, &[], |row| Ok((row.integer(0)?, row.integer(1)?))))?;
        Ok(found.unwrap_or_default())
    }

    /// The fields of a secret.
    ///
    /// # Errors
    /// When it is sealed by another master key or is not as it was written, or the database refuses.
    pub fn open_secret(&self, name: &str, keys: &MasterKeys) -> Result<Option<SecretFields>, StoreError> {
        let sql = "SELECT name, master_key, wrapped, sealed FROM secrets WHERE name = ?1";
        let found = self.read(|session| session.one(sql, &values![name], read_sealed))?;
        found.map(|(name, sealed)| keys.open(&name, &sealed)).transpose()
    }

    /// Has the first of `keys` wrap the keys of all secrets; says of how many it did not before. All of them, or none.
    ///
    /// # Errors
    /// When one is sealed by a master key that is not among them, or the database refuses.
    pub fn rewrap_secrets(&self, actor: &Actor, keys: &MasterKeys) -> Result<u64, StoreError> {
        self.change(actor, |session| {
            let sql = "SELECT name, master_key, wrapped, sealed FROM secrets ORDER BY name";
            let mut count = 0;
            for (name, sealed) in session.all(sql, &[], read_sealed)? {
                let Some(moved) = keys.rewrap(&name, &sealed)? else {
                    continue;
                };
                let sql = "UPDATE secrets SET master_key = ?2, wrapped = ?3 WHERE name = ?1";
                session.execute(
                    sql,
                    &[
                        name.into(),
                        moved.master.into(),
                        super::Value::Blob(moved.wrapped),
                    ],
                )?;
                count += 1;
            }
            let told = Change {
                action: "rewrap",
                kind: "secret",
                object: "all".to_owned(),
                before: None,
                after: Some(format!("{{\"wrapped\":{count}}}")),
            };
            Ok((count, told))
        })
    }

    /// Deletes a secret.
    ///
    /// # Errors
    /// When there is none or it has been changed meanwhile, or the database refuses.
    pub fn delete_secret(&self, actor: &Actor, name: &str, expected: Option<i64>) -> Result<(), StoreError> {
        self.change(actor, |session| {
            let before = find(session, name)?.ok_or_else(|| StoreError::NoSuchHolder {
                kind: "secret",
                id: name.to_owned(),
            })?;
            if expected.is_some_and(|expected| expected != before.version) {
                return Err(StoreError::Changed);
            }
            session.execute("DELETE FROM secrets WHERE name = ?1", &values![name])?;
            // Others see by the number that something is gone.
            next_version(session)?;
            Ok(((), told("delete", Some(&before), None)?))
        })
    }
}

fn find(session: &mut dyn Session, name: &str) -> Result<Option<StoredSecret>, StoreError> {
    let sql = format!("SELECT {COLUMNS} FROM secrets WHERE name = ?1");
    session.one(&sql, &values![name], read)
}

fn write(session: &mut dyn Session, secret: &StoredSecret, sealed: &Sealed) -> Result<(), StoreError> {
    session.execute(
        "INSERT INTO secrets (name, fields_json, master_key, wrapped, sealed, created_at, updated_at, changed)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
         ON CONFLICT (name) DO UPDATE SET fields_json = ?2, master_key = ?3, wrapped = ?4, sealed = ?5, updated_at = ?7,
            changed = ?8",
        &[
            secret.name.as_str().into(),
            serde_json::to_string(&secret.fields)?.into(),
            sealed.master.as_str().into(),
            super::Value::Blob(sealed.wrapped.clone()),
            super::Value::Blob(sealed.sealed.clone()),
            secret.created_at.into(),
            secret.updated_at.into(),
            secret.version.into(),
        ],
    )?;
    Ok(())
}

fn read(row: &Row<'_>) -> Result<StoredSecret, StoreError> {
    Ok(StoredSecret {
        name: row.text(0)?,
        fields: serde_json::from_str(&row.text(1)?)?,
        master_key: row.text(2)?,
        created_at: row.integer(3)?,
        updated_at: row.integer(4)?,
        version: row.integer(5)?,
    })
}

fn read_sealed(row: &Row<'_>) -> Result<(String, Sealed), StoreError> {
    let sealed = Sealed {
        master: row.text(1)?,
        wrapped: row.blob(2)?,
        sealed: row.blob(3)?,
    };
    Ok((row.text(0)?, sealed))
}

/// Of its fields only the names: the log may be read by more than may have the secret.
fn told(
    action: &'static str,
    before: Option<&StoredSecret>,
    after: Option<&StoredSecret>,
) -> Result<Change, StoreError> {
    let object = before.or(after).map(|secret| secret.name.clone());
    Ok(Change {
        action,
        kind: "secret",
        object: object.unwrap_or_default(),
        before: before.map(serde_json::to_string).transpose()?,
        after: after.map(serde_json::to_string).transpose()?,
    })
}

/// Secrets of a database, as a manager that a configuration refers to.
pub struct StoredSecrets {
    store: Arc<Store>,
    keys: Arc<MasterKeys>,
}

impl StoredSecrets {
    /// Those of the database at a URL. A file that is not there is not made.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub fn open(url: &str, keys: MasterKeys) -> Result<Self, StoreError> {
        let file = url.strip_prefix("sqlite://");
        if let Some(file) = file.filter(|file| !std::path::Path::new(file).exists()) {
            return Err(StoreError::Invalid(format!("there is no database {file} yet")));
        }
        Ok(Self {
            store: Arc::new(Store::open(url)?),
            keys: Arc::new(keys),
        })
    }
}

impl SecretSource for StoredSecrets {
    fn read<'a>(&'a self, path: &'a str) -> Reading<'a> {
        let (store, keys, name) = (Arc::clone(&self.store), Arc::clone(&self.keys), path.to_owned());
        Box::pin(async move {
            let opened = tokio::task::spawn_blocking(move || store.open_secret(&name, &keys));
            let failed = |kind, why: String| CredentialError::new(kind, why);
            match opened.await {
                Ok(Ok(Some(fields))) => Ok(Document::fields(fields)),
                Ok(Ok(None)) => Err(failed(
                    CredentialErrorKind::Missing,
                    "there is no such secret in the database; `pointsman secret set` makes it".to_owned(),
                )),
                Ok(Err(StoreError::Invalid(why))) => Err(failed(CredentialErrorKind::Invalid, why)),
                Ok(Err(error)) => Err(failed(CredentialErrorKind::Unreachable, error.to_string())),
                Err(error) => Err(failed(CredentialErrorKind::Unreachable, error.to_string())),
            }
        })
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use secrecy::ExposeSecret;

    use super::*;

    fn keys(texts: &[&str]) -> MasterKeys {
        let mut config = pointsman_upstream::config::SecretsConfig::default();
        config.store.keys = texts.iter().map(|text| (*text).into()).collect();
        MasterKeys::read(&config).unwrap().unwrap()
    }

    #[test]
    fn secrets_are_kept_sealed_and_moved_to_another_master_key() {
        check(&Store::open("sqlite::memory:").unwrap());
    }

    /// The life of two secrets in an empty database.
    pub(crate) fn check(store: &Store) {
        let (old, new) = ("11".repeat(32), "22".repeat(32));
        let actor = Actor::local();
        let fields = |value: &str| SecretFields::from([("api_key".to_owned(), value.into())]);
        let first = keys(&[&old]);
        let before = store.secrets_version().unwrap();
        let made = store
            .put_secret(&actor, ("openai", &fields("sk-1")), &first, None)
            .unwrap();
        store
            .put_secret(&actor, ("other", &fields("sk-2")), &first, None)
            .unwrap();
        assert_ne!(store.secrets_version().unwrap(), before);
        let stale = store.put_secret(
            &actor,
            ("openai", &fields("sk-3")),
            &first,
            Some(made.version - 1),
        );
        assert!(matches!(stale, Err(StoreError::Changed)));
        let opened = |keys: &MasterKeys, name: &str| {
            let fields = store.open_secret(name, keys)?;
            Ok::<_, StoreError>(fields.map(|fields| fields["api_key"].expose_secret().to_owned()))
        };
        assert_eq!(opened(&first, "openai").unwrap().as_deref(), Some("sk-1"));
        assert_eq!(opened(&first, "nothing").unwrap(), None);
        assert!(opened(&keys(&[&new]), "openai").is_err());
        assert!(
            store.rewrap_secrets(&actor, &keys(&[&new])).is_err(),
            "nothing is lost on the way"
        );
        let both = keys(&[&new, &old]);
        assert_eq!(store.rewrap_secrets(&actor, &both).unwrap(), 2);
        assert_eq!(store.rewrap_secrets(&actor, &both).unwrap(), 0);
        assert_eq!(opened(&keys(&[&new]), "other").unwrap().as_deref(), Some("sk-2"));
        let names: Vec<_> = store
            .secrets("", 9)
            .unwrap()
            .into_iter()
            .map(|secret| secret.name)
            .collect();
        assert_eq!(names, ["openai", "other"]);
        store.delete_secret(&actor, "other", None).unwrap();
        assert_eq!(opened(&both, "other").unwrap(), None);
        let told = format!("{:?}", store.audit(0, 100).unwrap());
        assert!(
            told.contains("rewrap") && told.contains("api_key") && !told.contains("sk-"),
            "{told}"
        );
        assert_eq!(store.verify_audit().unwrap().broken, None);
    }
}

//! What the gateway itself has to remember, such as the hash of the operator's password.

use secrecy::SecretString;

use super::audit::Change;
use super::session::Value;
use super::{Store, StoreError, values};
use crate::holder::Actor;
use crate::key;

/// What the names of sealed texts begin with: none of them is the name of anything else.
const SEALED: &str = "sealed/";
/// The name under which the password's hash is kept.
const ADMIN_PASSWORD: &str = "admin_password";

impl Store {
    /// The hash of the operator's password, if there is one.
    ///
    /// # Errors
    /// When the database refuses.
    pub fn admin_password(&self) -> Result<Option<[u8; 32]>, StoreError> {
        let sql = "SELECT value FROM settings WHERE name = ?1";
        let found =
            self.read(|session| session.one(sql, &values![ADMIN_PASSWORD], |row| row.maybe_hash(0)))?;
        Ok(found.flatten())
    }

    /// A text that whoever keeps it here has sealed.
    ///
    /// # Errors
    /// When the database refuses.
    pub fn sealed(&self, name: &str) -> Result<Option<Vec<u8>>, StoreError> {
        let (sql, name) = (
            "SELECT value FROM settings WHERE name = ?1",
            [SEALED, name].concat(),
        );
        self.read(|session| session.one(sql, &values![name], |row| row.blob(0)))
    }

    /// Keeps such a text in place of the one before.
    ///
    /// # Errors
    /// When the database refuses.
    pub fn keep_sealed(&self, name: &str, sealed: &[u8]) -> Result<(), StoreError> {
        let sql = "INSERT INTO settings (name, value) VALUES (?1, ?2) ON CONFLICT (name) DO UPDATE SET value = excluded.value";
        let values = [[SEALED, name].concat().into(), Value::Blob(sealed.to_vec())];
        self.keep(|session| session.execute(sql, &values)).map(|_| ())
    }

    /// The names of such texts that begin with `prefix` and come after `after`, in their order; `most` of them.
    ///
    /// # Errors
    /// When the database refuses.
    pub fn sealed_names(&self, prefix: &str, after: &str, most: usize) -> Result<Vec<String>, StoreError> {
        let prefix = [SEALED, prefix].concat();
        let sql = format!(
            "SELECT name FROM settings WHERE substr(name, 1, {}) = ?1 AND name > ?2 ORDER BY name LIMIT {most}",
            prefix.chars().count()
        );
        let mut names = Vec::new();
        self.read(|session| {
            session.each(&sql, &values![prefix, [SEALED, after].concat()], &mut |row| {
                let name = row.text(0)?;
                names.push(name.strip_prefix(SEALED).unwrap_or(&name).to_owned());
                Ok(true)
            })
        })?;
        Ok(names)
    }

    /// Forgets such a text.
    ///
    /// # Errors
    /// When the database refuses.
    pub fn forget_sealed(&self, name: &str) -> Result<(), StoreError> {
        let (sql, name) = ("DELETE FROM settings WHERE name = ?1", [SEALED, name].concat());
        self.keep(|session| session.execute(sql, &values![name]))
            .map(|_| ())
    }

    /// Makes a password for the operator, which ends the one before; given once and kept nowhere, only its hash is. It
    /// has 256 bits of chance, as keys have, so that a slow hash would protect nothing more.
    ///
    /// # Errors
    /// When the database refuses; with `only_first`, when there is one already.
    pub fn make_admin_password(&self, actor: &Actor, only_first: bool) -> Result<SecretString, StoreError> {
        let password = format!("pma-{}", key::random_text(43)?);
        let hash = key::hash_key(&password);
        self.change(actor, |session| {
            let sql = if only_first {
                "INSERT INTO settings (name, value) VALUES (?1, ?2) ON CONFLICT (name) DO NOTHING"
            } else {
                "INSERT INTO settings (name, value) VALUES (?1, ?2) ON CONFLICT (name) DO UPDATE SET value = excluded.value"
            };
            if session.execute(sql, &values![ADMIN_PASSWORD, hash])? == 0 {
                let (kind, id) = ("admin password", String::new());
                return Err(StoreError::Exists { kind, id });
            }
            let told = Change {
                action: "create",
                kind: "admin_password",
                object: ADMIN_PASSWORD.to_owned(),
                before: None,
                after: None,
            };
            Ok(((), told))
        })?;
        Ok(SecretString::from(password))
    }
}

//! What the gateway itself has to remember, such as the hash of the operator's password.

use secrecy::SecretString;

use super::audit::Change;
use super::{Store, StoreError, values};
use crate::holder::Actor;
use crate::key;

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

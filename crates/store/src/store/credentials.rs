//! Tokens and sessions of people, and sign-ins that have begun.

use secrecy::SecretString;

use super::audit::Change;
use super::holders::find_live;
use super::{Row, Store, StoreError, now, values};
use crate::credential::{Credential, CredentialKind, SignIn};
use crate::holder::{Actor, HolderKind};
use crate::id::UserId;
use crate::key::{hash_key, random_text};
use crate::terms::{check_text, invalid};

const COLUMNS: &str = "id, \"user\", kind, name, created_at, expires_at";
/// 43 letters of 62 are more than 256 bits: a slower hash would protect nothing more.
const LENGTH: usize = 43;
/// Tokens, and sessions, of one user.
const MAX_OF_USER: i64 = 50;
/// Sign-ins that have begun and not ended.
const MAX_SIGN_INS: i64 = 10_000;

impl Store {
    /// Makes a credential of a user. The secret is returned once and kept nowhere. Of too many sessions, the oldest
    /// ends.
    ///
    /// # Errors
    /// When the user is not there, or has too many tokens, or the database refuses.
    pub fn create_credential(
        &self,
        actor: &Actor,
        user: &UserId,
        (kind, name): (CredentialKind, &str),
        expires_at: Option<i64>,
    ) -> Result<(Credential, SecretString), StoreError> {
        if !name.is_empty() {
            check_text("name", name)?;
        }
        let secret = format!("{}{}", kind.prefix(), random_text(LENGTH)?);
        let made = Credential {
            id: format!("cred_{}", random_text(16)?),
            user: user.clone(),
            kind,
            name: name.to_owned(),
            created_at: now(),
            expires_at,
        };
        if expires_at.is_some_and(|at| at <= made.created_at) {
            return Err(invalid("it would end before it begins".to_owned()));
        }
        let made = self.change(actor, |session| {
            find_live(session, HolderKind::User, user.as_str())?;
            let over = "DELETE FROM credentials WHERE expires_at <= ?1";
            session.execute(over, &values![made.created_at])?;
            let count = "SELECT COUNT(*) FROM credentials WHERE \"user\" = ?1 AND kind = ?2";
            let count = session.one(count, &values![user.as_str(), kind.as_str()], |row| {
                row.integer(0)
            })?;
            if count.unwrap_or(0) >= MAX_OF_USER {
                if kind == CredentialKind::Token {
                    return Err(invalid(format!("a user has {MAX_OF_USER} tokens at most")));
                }
                let oldest = "DELETE FROM credentials WHERE id = (SELECT id FROM credentials
                    WHERE \"user\" = ?1 AND kind = ?2 ORDER BY created_at, id LIMIT 1)";
                session.execute(oldest, &values![user.as_str(), kind.as_str()])?;
            }
            session.execute(
                "INSERT INTO credentials (hash, id, \"user\", kind, name, created_at, expires_at)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
                &values![
                    hash_key(&secret),
                    &made.id,
                    user.as_str(),
                    kind.as_str(),
                    name,
                    made.created_at,
                    expires_at
                ],
            )?;
            let told = told("create", None, Some(&made))?;
            Ok((made, told))
        })?;
        Ok((made, SecretString::from(secret)))
    }

    /// Whose secret of this kind it is; nobody's where its time is over, or its user is disabled or deleted.
    ///
    /// # Errors
    /// When the database refuses.
    pub fn credential(&self, kind: CredentialKind, secret: &str) -> Result<Option<Credential>, StoreError> {
        if !secret.starts_with(kind.prefix()) {
            return Ok(None);
        }
        // Found by the digest, which says nothing of the secret: there is no comparison whose time could be measured.
        let sql = format!(
            "SELECT {COLUMNS} FROM credentials WHERE hash = ?1 AND kind = ?2 AND (expires_at IS NULL OR expires_at > ?3)
                AND EXISTS (SELECT 1 FROM holders WHERE holders.kind = 'user' AND holders.id = credentials.\"user\"
                    AND holders.disabled_at IS NULL AND holders.deleted_at IS NULL)"
        );
        let values = values![hash_key(secret), kind.as_str(), now()];
        self.read(|session| session.one(&sql, &values, read_credential))
    }

    /// The credentials of a user, the oldest first.
    ///
    /// # Errors
    /// When the database refuses.
    pub fn credentials_of(&self, user: &UserId) -> Result<Vec<Credential>, StoreError> {
        let sql = format!(
            "SELECT {COLUMNS} FROM credentials WHERE \"user\" = ?1 AND (expires_at IS NULL OR expires_at > ?2)
             ORDER BY created_at, id"
        );
        self.read(|session| session.all(&sql, &values![user.as_str(), now()], read_credential))
    }

    /// Ends a credential of a user.
    ///
    /// # Errors
    /// When the user has none of this id, or the database refuses.
    pub fn end_credential(&self, actor: &Actor, user: &UserId, id: &str) -> Result<(), StoreError> {
        self.change(actor, |session| {
            let sql = format!("SELECT {COLUMNS} FROM credentials WHERE \"user\" = ?1 AND id = ?2");
            let before = session.one(&sql, &values![user.as_str(), id], read_credential)?;
            let before = before.ok_or_else(|| StoreError::NoSuchHolder {
                kind: "token",
                id: id.to_owned(),
            })?;
            session.execute("DELETE FROM credentials WHERE id = ?1", &values![id])?;
            let told = told("delete", Some(&before), None)?;
            Ok(((), told))
        })
    }

    /// Keeps that a sign-in has begun, under its state, until it ends. Of too many, the oldest is forgotten.
    ///
    /// # Errors
    /// When the database refuses.
    pub fn begin_sign_in(&self, state: &str, sign_in: &SignIn) -> Result<(), StoreError> {
        self.keep(|session| {
            session.execute("DELETE FROM sign_ins WHERE expires_at <= ?1", &values![now()])?;
            let count = session.one("SELECT COUNT(*) FROM sign_ins", &[], |row| row.integer(0))?;
            if count.unwrap_or(0) >= MAX_SIGN_INS {
                // Whoever floods it keeps nobody out for longer than it takes to begin again.
                let oldest = "DELETE FROM sign_ins WHERE state = (SELECT state FROM sign_ins ORDER BY expires_at LIMIT 1)";
                session.execute(oldest, &[])?;
            }
            session.execute(
                "INSERT INTO sign_ins (state, provider, browser, nonce, verifier, back, expires_at)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
                &values![
                    hash_key(state),
                    &sign_in.provider,
                    sign_in.browser,
                    &sign_in.nonce,
                    &sign_in.verifier,
                    &sign_in.back,
                    sign_in.expires_at
                ],
            )?;
            Ok(())
        })
    }

    /// Gives the sign-in of a state back, once: whoever comes second finds nothing.
    ///
    /// # Errors
    /// When the database refuses.
    pub fn take_sign_in(&self, state: &str) -> Result<Option<SignIn>, StoreError> {
        let sql = "DELETE FROM sign_ins WHERE state = ?1
             RETURNING provider, browser, nonce, verifier, back, expires_at";
        let read = |row: &Row<'_>| {
            Ok(SignIn {
                provider: row.text(0)?,
                browser: row.maybe_hash(1)?.unwrap_or_default(),
                nonce: row.text(2)?,
                verifier: row.text(3)?,
                back: row.text(4)?,
                expires_at: row.integer(5)?,
            })
        };
        let found = self.keep(|session| session.one(sql, &values![hash_key(state)], read))?;
        Ok(found.filter(|sign_in| sign_in.expires_at > now()))
    }
}

fn read_credential(row: &Row<'_>) -> Result<Credential, StoreError> {
    let kind = match row.text(2)?.as_str() {
        "token" => CredentialKind::Token,
        "session" => CredentialKind::Session,
        other => {
            return Err(invalid(format!(
                "the database holds a {other:?}, which is no credential"
            )));
        }
    };
    Ok(Credential {
        id: row.text(0)?,
        user: row.text(1)?.into(),
        kind,
        name: row.text(3)?,
        created_at: row.integer(4)?,
        expires_at: row.maybe_integer(5)?,
    })
}

fn told(
    action: &'static str,
    before: Option<&Credential>,
    after: Option<&Credential>,
) -> Result<Change, StoreError> {
    let one = after.or(before);
    Ok(Change {
        action,
        kind: one.map_or("credential", |one| one.kind.as_str()),
        object: one.map(|one| one.id.clone()).unwrap_or_default(),
        before: before.map(serde_json::to_string).transpose()?,
        after: after.map(serde_json::to_string).transpose()?,
    })
}

#[cfg(test)]
pub(crate) mod tests {
    use secrecy::ExposeSecret;

    use super::*;
    use crate::holder::HolderSpec;

    #[test]
    fn credentials_are_good_for_whom_and_as_long_as_they_say() {
        check(&Store::open("sqlite::memory:").unwrap());
    }

    /// Fills an empty database and comes with credentials.
    pub(crate) fn check(store: &Store) {
        store
            .create_holder(
                &Actor::local(),
                HolderKind::User,
                Some("kim".to_owned()),
                HolderSpec::default(),
            )
            .unwrap();
        a_token_is_good_until_it_ends_or_its_user_does(store);
        of_too_many_sessions_the_oldest_ends_and_tokens_are_refused(store);
        a_sign_in_ends_once(store);
    }

    fn a_token_is_good_until_it_ends_or_its_user_does(store: &Store) {
        let (actor, kim) = (Actor::local(), UserId::from("kim"));
        let token = (CredentialKind::Token, "script");
        let (made, secret) = store.create_credential(&actor, &kim, token, None).unwrap();
        let secret = secret.expose_secret();
        let whose = |kind, secret: &str| store.credential(kind, secret).unwrap().map(|found| found.id);
        assert_eq!(whose(CredentialKind::Token, secret), Some(made.id.clone()));
        assert_eq!(whose(CredentialKind::Session, secret), None, "no other kind");
        assert_eq!(
            whose(CredentialKind::Token, &secret.replace("pmt-", "pms-")),
            None
        );
        assert_eq!(whose(CredentialKind::Token, ""), None);
        assert_eq!(store.credentials_of(&kim).unwrap(), std::slice::from_ref(&made));
        let disable = |disabled| {
            let set = |spec: &mut HolderSpec| {
                spec.disabled = disabled;
                Ok(())
            };
            store
                .update_holder(&actor, (HolderKind::User, "kim"), None, set)
                .unwrap();
        };
        disable(true);
        assert_eq!(whose(CredentialKind::Token, secret), None);
        disable(false);
        assert_eq!(whose(CredentialKind::Token, secret), Some(made.id.clone()));
        assert!(
            store
                .end_credential(&actor, &UserId::from("lee"), &made.id)
                .is_err()
        );
        store.end_credential(&actor, &kim, &made.id).unwrap();
        assert_eq!(whose(CredentialKind::Token, secret), None);
        let past = Some(now() - 1);
        assert!(store.create_credential(&actor, &kim, token, past).is_err());
        let audit = serde_json::to_string(&store.audit(0, 100).unwrap()).unwrap();
        assert!(audit.contains(&made.id) && !audit.contains(secret));
    }

    fn of_too_many_sessions_the_oldest_ends_and_tokens_are_refused(store: &Store) {
        let (actor, kim) = (Actor::local(), UserId::from("kim"));
        let make = |kind| store.create_credential(&actor, &kim, (kind, "x"), Some(now() + 60_000));
        for _ in 0..MAX_OF_USER + 3 {
            make(CredentialKind::Session).unwrap();
        }
        assert_eq!(store.credentials_of(&kim).unwrap().len() as i64, MAX_OF_USER);
        for _ in 0..MAX_OF_USER {
            make(CredentialKind::Token).unwrap();
        }
        assert!(matches!(make(CredentialKind::Token), Err(StoreError::Invalid(_))));
    }

    fn a_sign_in_ends_once(store: &Store) {
        let sign_in = SignIn {
            provider: "p".to_owned(),
            browser: [7; 32],
            nonce: "n".to_owned(),
            verifier: "v".to_owned(),
            back: "/".to_owned(),
            expires_at: now() + 60_000,
        };
        store.begin_sign_in("state", &sign_in).unwrap();
        assert!(store.take_sign_in("other").unwrap().is_none());
        assert!(store.take_sign_in("state").unwrap() == Some(sign_in.clone()));
        assert!(store.take_sign_in("state").unwrap().is_none());
        let late = SignIn {
            expires_at: now() - 1,
            ..sign_in
        };
        store.begin_sign_in("late", &late).unwrap();
        assert!(store.take_sign_in("late").unwrap().is_none());
    }
}

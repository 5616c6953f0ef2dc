//! What people prove with who they are to the admin API: tokens that they keep, and sessions of their browsers.

use serde::Serialize;

use crate::id::UserId;

/// What kind of credential.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum CredentialKind {
    /// For programs; sent as a bearer token.
    Token,
    /// Of a browser; sent as a cookie.
    Session,
}

impl CredentialKind {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Token => "token",
            Self::Session => "session",
        }
    }

    /// What its secrets begin with.
    pub(crate) fn prefix(self) -> &'static str {
        match self {
            Self::Token => "pmt-",
            Self::Session => "pms-",
        }
    }
}

/// A credential as it is kept: by the SHA-256 of its secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Credential {
    /// Its id, which is no secret.
    pub id: String,
    /// Whose it is.
    pub user: UserId,
    /// What it is.
    pub kind: CredentialKind,
    /// A name for people; of a session, the identity provider.
    pub name: String,
    /// Unix milliseconds.
    pub created_at: i64,
    /// When it ends, Unix milliseconds.
    pub expires_at: Option<i64>,
}

/// A sign-in that has begun: what its end is checked against. Neither state nor browser is kept as it is sent.
#[derive(Clone, PartialEq, Eq)]
pub struct SignIn {
    /// The identity provider, by its name in the configuration.
    pub provider: String,
    /// The SHA-256 of what the browser keeps meanwhile.
    pub browser: [u8; 32],
    /// What the provider's token must repeat.
    pub nonce: String,
    /// What proves that the code is asked for by whoever began (RFC 7636).
    pub verifier: String,
    /// The page to go back to.
    pub back: String,
    /// When it is too late, Unix milliseconds.
    pub expires_at: i64,
}

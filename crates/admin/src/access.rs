//! Who may use the admin API: whoever has the operator's token, and people with what their roles allow. Everything else is
//! denied.

mod caller;
mod rules;

use std::sync::Arc;

use http::uri::Authority;
use http::{HeaderMap, header};
use pointsman_store::{Actor, CredentialKind, Store, StoreError, hash_key};
use secrecy::{ExposeSecret, SecretString};
use subtle::ConstantTimeEq;

pub use caller::{Caller, Person};
pub use rules::{
    Needs, Object, admit, may_change, may_change_key, may_give, may_make, may_make_key, may_touch, reads,
    scope_place, sees_user, writes,
};

/// Where a browser keeps its session: over TLS, or on this machine, and for this host alone.
pub(crate) const SESSION_COOKIE: &str = "__Host-pointsman-session";
/// What a page of ours sends along with what changes something.
pub(crate) const CSRF_HEADER: &str = "x-pointsman-csrf";

/// Shorter tokens can be guessed.
const SHORTEST: usize = 16;

/// Who may use the admin API.
pub struct Access {
    store: Arc<Store>,
    /// The hash of the token that the environment sets; the password in the database counts when there is none.
    token: Option<[u8; 32]>,
    /// Names under which browsers may find this listener, beside addresses and `localhost`.
    hosts: Vec<String>,
}

/// Why a request goes no further.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Barred {
    /// It has no token, or a wrong one.
    Token,
    /// A page of somebody else's sends it.
    Origin,
    /// A browser sends it, and no page of ours has made it do so.
    Forged,
}

impl Access {
    /// What the environment says, and the password in the database. Makes a password when there is neither, and gives
    /// it along: the only time that it can be shown.
    ///
    /// # Errors
    /// When the database refuses.
    pub fn open(
        store: Arc<Store>,
        token: Option<SecretString>,
        hosts: &str,
    ) -> Result<(Self, Option<SecretString>), StoreError> {
        let token = token.filter(|token| !token.expose_secret().is_empty());
        if let Some(token) = &token
            && token.expose_secret().len() < SHORTEST
        {
            tracing::warn!(
                "POINTSMAN_ADMIN_TOKEN is short enough to be guessed: make it of at least {SHORTEST} characters of chance"
            );
        }
        let first = if token.is_none() && store.admin_password()?.is_none() {
            match store.make_admin_password(&Actor::local(), true) {
                Ok(password) => Some(password),
                // Another process has been faster; it has shown its password.
                Err(StoreError::Exists { .. }) => None,
                Err(error) => return Err(error),
            }
        } else {
            None
        };
        let hosts = hosts.split(',').map(|host| host.trim().to_ascii_lowercase());
        let access = Self {
            store,
            token: token.map(|token| hash_key(token.expose_secret())),
            hosts: hosts.filter(|host| !host.is_empty()).collect(),
        };
        Ok((access, first))
    }

    /// Whether the token of a request is the operator's. Reads the database, so that a new password counts at once.
    ///
    /// # Errors
    /// When the database refuses.
    pub(crate) fn knows(&self, presented: Option<&str>) -> Result<bool, StoreError> {
        let Some(presented) = presented else {
            return Ok(false);
        };
        let expected = match self.token {
            Some(token) => Some(token),
            None => self.store.admin_password()?,
        };
        Ok(expected.is_some_and(|expected| is_same(&hash_key(presented), &expected)))
    }

    /// Who a request comes from; nobody where it has no credential, or a wrong one. A token is asked for before a cookie,
    /// and where there is one, no cookie counts.
    ///
    /// # Errors
    /// When the database refuses.
    pub(crate) fn who(&self, headers: &HeaderMap) -> Result<Option<Caller>, StoreError> {
        let found = match presented(headers) {
            Some(token) if self.knows(Some(token))? => return Ok(Some(Caller::Operator)),
            Some(token) => self.store.credential(CredentialKind::Token, token)?,
            None if headers.contains_key(header::AUTHORIZATION) => None,
            None => match cookie(headers, SESSION_COOKIE) {
                Some(session) => self.store.credential(CredentialKind::Session, session)?,
                None => None,
            },
        };
        let person = found
            .map(|credential| Person::of(&self.store, credential))
            .transpose()?;
        Ok(person.map(Caller::Person))
    }

    /// Whether a browser may send this: pages of this listener's own may, at an address or a name that is known to be
    /// this listener's. Other clients do not say whose page they are.
    pub(crate) fn admits_origin(&self, headers: &HeaderMap) -> bool {
        let mut origins = headers.get_all(header::ORIGIN).iter();
        let Some(origin) = origins.next() else {
            return true;
        };
        let mut hosts = headers.get_all(header::HOST).iter();
        let (Ok(origin), Some(Ok(host))) = (origin.to_str(), hosts.next().map(|host| host.to_str())) else {
            return false;
        };
        let alone = origins.next().is_none() && hosts.next().is_none();
        let of_page = origin
            .strip_prefix("http://")
            .or_else(|| origin.strip_prefix("https://"));
        alone && of_page.is_some_and(|page| page.eq_ignore_ascii_case(host)) && self.is_ours(host)
    }

    fn is_ours(&self, host: &str) -> bool {
        let Ok(authority) = host.parse::<Authority>() else {
            return false;
        };
        let name = authority.host().to_ascii_lowercase();
        let bare = name.trim_start_matches('[').trim_end_matches(']');
        let is_address = bare.parse::<std::net::IpAddr>().is_ok();
        is_address || name == "localhost" || self.hosts.contains(&name)
    }
}

/// Compared by their digests, in a time that does not depend on what is in them.
fn is_same(one: &[u8; 32], other: &[u8; 32]) -> bool {
    one.ct_eq(other).into()
}

/// What a page of ours must say beside its session to change something: whoever cannot read our pages does not know it.
pub(crate) fn csrf_token(session: &str) -> String {
    let digest = hash_key(&format!("pointsman csrf v1\0{session}"));
    digest.iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}

/// Whether a request that comes with a cookie was made by a page of ours.
pub(crate) fn is_ours_by_csrf(headers: &HeaderMap) -> bool {
    let (Some(session), Some(said)) = (cookie(headers, SESSION_COOKIE), headers.get(CSRF_HEADER)) else {
        return false;
    };
    is_same(
        &hash_key(&csrf_token(session)),
        &hash_key(said.to_str().unwrap_or_default()),
    )
}

/// The cookie of a name; none where there are two, of which a neighbour of this host may have set one.
pub(crate) fn cookie<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    let all = headers.get_all(header::COOKIE).iter();
    let pairs = all
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(';'));
    let mut found = pairs.filter_map(|pair| {
        let (key, value) = pair.trim().split_once('=')?;
        (key == name).then_some(value)
    });
    let first = found.next()?;
    found
        .next()
        .is_none()
        .then_some(first)
        .filter(|value| !value.is_empty())
}

/// The token that a request comes with.
pub(crate) fn presented(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    let token = token.trim();
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then_some(token)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn access(token: Option<&str>, hosts: &str) -> (Access, Option<SecretString>) {
        let store = Arc::new(Store::open("sqlite::memory:").unwrap());
        Access::open(store, token.map(SecretString::from), hosts).unwrap()
    }

    #[test]
    fn tokens_are_compared_in_constant_time_by_their_digests() {
        let digest = hash_key("token");
        assert!(is_same(&digest, &digest));
        for bit in 0..256 {
            let mut other = digest;
            other[bit / 8] ^= 1 << (bit % 8);
            assert!(!is_same(&digest, &other), "bit {bit}");
        }
    }

    #[test]
    fn the_first_password_is_given_once_and_only_its_hash_is_kept() {
        let store = Arc::new(Store::open("sqlite::memory:").unwrap());
        let open = || Access::open(Arc::clone(&store), None, "").unwrap();
        let (access, first) = open();
        let first = first.unwrap();
        assert!(open().1.is_none());
        assert!(access.knows(Some(first.expose_secret())).unwrap());
        assert_eq!(
            store.admin_password().unwrap(),
            Some(hash_key(first.expose_secret()))
        );
        let next = store.make_admin_password(&Actor::local(), false).unwrap();
        assert!(!access.knows(Some(first.expose_secret())).unwrap());
        assert!(access.knows(Some(next.expose_secret())).unwrap());
        // With a token of the environment, nothing else counts.
        let (access, none) = Access::open(Arc::clone(&store), Some("0123456789abcdef".into()), "").unwrap();
        assert!(none.is_none() && !access.knows(Some(next.expose_secret())).unwrap());
        assert!(access.knows(Some("0123456789abcdef")).unwrap());
    }

    #[test]
    fn nothing_is_no_token() {
        let (access, _) = access(Some(""), "");
        for presented in [None, Some(""), Some(" ")] {
            assert!(!access.knows(presented).unwrap());
        }
    }

    #[test]
    fn pages_of_others_are_not_let_in_whatever_host_they_claim() {
        let (access, _) = access(Some("0123456789abcdef"), "gateway.example");
        for (origin, host, admitted) in [
            (None, "evil.example", true),
            (Some("http://127.0.0.1:9090"), "127.0.0.1:9090", true),
            (Some("http://localhost:9090"), "localhost:9090", true),
            (Some("http://[::1]:9090"), "[::1]:9090", true),
            (Some("https://gateway.example"), "gateway.example", true),
            (Some("http://evil.example"), "127.0.0.1:9090", false),
            // A name that an attacker has pointed at this machine.
            (Some("http://evil.example:9090"), "evil.example:9090", false),
            (Some("null"), "127.0.0.1:9090", false),
            (
                Some("http://127.0.0.1:9090@evil.example"),
                "127.0.0.1:9090@evil.example",
                false,
            ),
            (Some("http://127.0.0.1:9091"), "127.0.0.1:9090", false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(header::HOST, HeaderValue::from_str(host).unwrap());
            if let Some(origin) = origin {
                headers.insert(header::ORIGIN, HeaderValue::from_str(origin).unwrap());
            }
            assert_eq!(access.admits_origin(&headers), admitted, "{origin:?} {host}");
        }
    }
}

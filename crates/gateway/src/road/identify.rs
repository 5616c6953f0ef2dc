//! Stage *identify*: whose request is this?

use std::borrow::Cow;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::uri::Authority;
use http::{HeaderMap, header};
use pointsman_governance::jwt::{self, TokenError};
use pointsman_governance::{IdentifyError, Principal, Wanted};
use pointsman_store::{KeyId, aws_secret};
use pointsman_upstream::{PresentedSignature, SignatureError, SignedRequest};
use pointsman_wire::form::{Failure, FailureKind};
use pointsman_wire::format::Format;
use secrecy::SecretString;

use super::{Arrival, Refusal};
use crate::surface::query_value;
use crate::worker::Worker;
use crate::{tokens, vouched};

/// Where SDKs put their key, in the order in which they are looked at.
const KEY_HEADERS: [&str; 3] = ["x-api-key", "api-key", "x-goog-api-key"];

/// Who a caller says they are.
pub enum Claim {
    /// The credential itself proves it.
    Known(Arc<Principal>),
    /// A signature proves it, once the body is there.
    Signed {
        /// Whose key it is said to be.
        caller: Arc<Principal>,
        /// What that key's holder signs with.
        secret: SecretString,
    },
}

/// How long a request waits for its key to be looked up.
const PATIENCE: Duration = Duration::from_secs(5);
/// Requests that wait for that, at once.
pub const MAX_LOOKUPS: usize = 64;

/// Finds the principal behind the credential. A key that is not in memory is looked up once.
///
/// # Errors
/// 401 without a credential (unless anonymous callers are allowed) or with one that is unknown, revoked or expired; 503
/// where it would have to be looked up and cannot be, and for a token whose user cannot be taken up; 403 where it may not be
/// used for this, or from there.
pub async fn identify(worker: &Arc<Worker>, arrival: &Arrival) -> Result<Claim, Failure> {
    let claim = find(worker, arrival).await?;
    if let Claim::Known(caller) = &claim {
        may_come(arrival, caller)?;
    }
    Ok(claim)
}

/// Whether a caller may ask for this at all, and from there.
///
/// # Errors
/// 403 when it may not.
fn may_come(arrival: &Arrival, caller: &Principal) -> Result<(), Failure> {
    if !caller.allows_address(arrival.client) {
        let message = format!("this key may not be used from {}", arrival.client);
        return Err(Failure::new(FailureKind::PermissionDenied, message).coded("address_not_allowed"));
    }
    may_ask(caller, arrival.surface.path)
}

/// Whether a caller may ask for what is at a path, as the table of surfaces has it.
///
/// # Errors
/// 403 when it may not.
pub fn may_ask(caller: &Principal, path: &str) -> Result<(), Failure> {
    if caller.allows_surface(path) {
        return Ok(());
    }
    let message = format!("this key may not ask for {path}; whoever runs this gateway can allow it");
    Err(Failure::new(FailureKind::PermissionDenied, message).coded("surface_not_allowed"))
}

async fn find(worker: &Arc<Worker>, arrival: &Arrival) -> Result<Claim, Failure> {
    if let Some(token) = token(arrival) {
        let issuers = &arrival.snapshot.issuers;
        let identified = Box::pin(tokens::identify(worker, issuers, &token)).await;
        return identified.map(Claim::Known).map_err(wrong_token);
    }
    // Boxed: hardly any request comes there, and none has to carry it along.
    if !arrival.snapshot.vouchers.is_empty()
        && let Some(known) = Box::pin(by_somebody(worker, arrival)).await?
    {
        return known.map(Claim::Known).map_err(wrong_token);
    }
    match known(worker, arrival) {
        Ok(claim) => Ok(claim),
        Err(Unproved::Failure(failure)) => Err(failure),
        Err(Unproved::Unread(wanted)) => {
            look_up(worker, wanted).await?;
            known(worker, arrival).map_err(|unproved| match unproved {
                Unproved::Failure(failure) => failure,
                // Many keys that nobody has have pushed this one out already.
                Unproved::Unread(_) => unknown(),
            })
        }
    }
}

/// Who somebody else says that it is: an issuer of their token, asked about it; where they bring none, a proxy that has let
/// them in, or the authority of their certificate.
async fn by_somebody(
    worker: &Arc<Worker>,
    arrival: &Arrival,
) -> Result<Option<Result<Arc<Principal>, TokenError>>, Failure> {
    let snapshot = &arrival.snapshot;
    if signature(&arrival.headers).is_some() {
        return Ok(None);
    }
    let Some(presented) = credential(arrival) else {
        let by_proxy = snapshot.vouchers.proxy.as_ref();
        let by_proxy = by_proxy.filter(|_| snapshot.proxies.has(arrival.peer.ip()));
        if let Some(proxy) = by_proxy
            && let Some(known) = Box::pin(vouched::by_proxy(worker, proxy, &arrival.headers)).await
        {
            return Ok(Some(known));
        }
        return Ok(match (&snapshot.vouchers.certificate, &arrival.certificate) {
            (Some(config), Some(shown)) => Box::pin(vouched::by_certificate(worker, config, shown)).await,
            _ => None,
        });
    };
    by_issuer(worker, arrival, &presented).await
}

/// Who the issuer of a token says that it is for; nothing where it is a key, or of nobody who can be asked.
async fn by_issuer(
    worker: &Arc<Worker>,
    arrival: &Arrival,
    presented: &str,
) -> Result<Option<Result<Arc<Principal>, TokenError>>, Failure> {
    let mut all = arrival.snapshot.vouchers.introspectors.iter();
    let Some(introspector) = all.find(|one| one.is_meant(presented)) else {
        return Ok(None);
    };
    if !is_nobodys(worker, presented).await? {
        return Ok(None);
    }
    Ok(Some(Box::pin(introspector.identify(worker, presented)).await))
}

/// Whether this is no key of ours, whatever else it may be.
async fn is_nobodys(worker: &Worker, presented: &str) -> Result<bool, Failure> {
    let keys = &worker.shared.keys;
    Ok(match keys.identify(presented) {
        Err(IdentifyError::Unread) => {
            look_up(worker, Wanted::secret(presented)).await?;
            matches!(
                keys.identify(presented),
                Err(IdentifyError::Unknown | IdentifyError::Unread)
            )
        }
        known => matches!(known, Err(IdentifyError::Unknown)),
    })
}

/// What somebody comes with, where it is a token of an identity provider.
pub fn token(arrival: &Arrival) -> Option<Cow<'_, str>> {
    if arrival.snapshot.issuers.is_empty() || signature(&arrival.headers).is_some() {
        return None;
    }
    credential(arrival).filter(|presented| jwt::is_token(presented))
}

/// Whether somebody comes with anything.
pub fn has_credential(arrival: &Arrival) -> bool {
    credential(arrival).is_some()
}

/// What somebody comes with, in a header or in the query.
fn credential(arrival: &Arrival) -> Option<Cow<'_, str>> {
    let presented = presented(&arrival.headers).map(Cow::Borrowed);
    presented.or_else(|| in_query(arrival))
}

/// Why nobody is known behind a credential.
enum Unproved {
    Failure(Failure),
    Unread(Wanted),
}

impl From<Failure> for Unproved {
    fn from(failure: Failure) -> Self {
        Self::Failure(failure)
    }
}

/// Reads a key into memory, if anybody has it.
///
/// # Errors
/// 503 where the database does not answer, or too many ask.
pub async fn look_up(worker: &Worker, wanted: Wanted) -> Result<(), Failure> {
    let (keys, lookups) = (worker.shared.keys.clone(), worker.shared.lookups.clone());
    let looked = async move {
        // The place is held until the thread is done, also when nobody waits any more.
        let place = lookups.acquire_owned().await.ok()?;
        let looked = tokio::task::spawn_blocking(move || {
            let looked = keys.look_up(&wanted);
            drop(place);
            looked
        });
        looked.await.ok()
    };
    match tokio::time::timeout(PATIENCE, looked).await {
        Ok(Some(Ok(()))) => Ok(()),
        Ok(Some(Err(error))) => {
            tracing::debug!(%error, "a key could not be looked up");
            Err(unreachable())
        }
        _ => Err(unreachable()),
    }
}

/// The key may be good, but the database cannot be asked.
fn unreachable() -> Failure {
    Failure::new(
        FailureKind::Unavailable,
        "this key is not known here yet, and the database that may know it cannot be asked now; try again in a moment",
    )
    .coded("key_lookup_unavailable")
    .retry_after(Duration::from_secs(1))
}

/// Finds the principal behind the credential in memory.
fn known(worker: &Worker, arrival: &Arrival) -> Result<Claim, Unproved> {
    if let Some(signature) = signature(&arrival.headers) {
        return claim(worker, arrival, signature);
    }
    let keys = &worker.shared.keys;
    let Some(presented) = credential(arrival) else {
        return anonymous(arrival).ok_or_else(|| {
            Failure::new(
                FailureKind::Authentication,
                "no credential: send your key as `Authorization: Bearer pm-…` or `x-api-key: pm-…`",
            )
            .coded("missing_api_key")
            .into()
        });
    };
    match keys.identify(&presented) {
        Ok(principal) => Ok(Claim::Known(principal)),
        // Local tools must send some key; where anyone may come, a key that is not ours is nobody's.
        Err(IdentifyError::Unknown) if !presented.starts_with("pm-") => {
            anonymous(arrival).ok_or_else(|| unknown().into())
        }
        Err(IdentifyError::Unread) => Err(Unproved::Unread(Wanted::secret(&presented))),
        Err(error) => Err(not_accepted(error).into()),
    }
}

/// Finds the principal behind a key or token that somebody wrote into a form.
///
/// # Errors
/// As [`identify`]; 401 where it is nobody's.
pub async fn by_text(worker: &Arc<Worker>, arrival: &Arrival, text: &str) -> Result<Arc<Principal>, Failure> {
    let caller = of_text(worker, arrival, text).await?;
    may_come(arrival, &caller)?;
    Ok(caller)
}

async fn of_text(worker: &Arc<Worker>, arrival: &Arrival, text: &str) -> Result<Arc<Principal>, Failure> {
    if !arrival.snapshot.issuers.is_empty() && jwt::is_token(text) {
        let identified = Box::pin(tokens::identify(worker, &arrival.snapshot.issuers, text)).await;
        return identified.map_err(wrong_token);
    }
    if let Some(known) = by_issuer(worker, arrival, text).await? {
        return known.map_err(wrong_token);
    }
    let keys = &worker.shared.keys;
    match keys.identify(text) {
        Err(IdentifyError::Unread) => {
            look_up(worker, Wanted::secret(text)).await?;
            keys.identify(text).map_err(not_accepted)
        }
        known => known.map_err(not_accepted),
    }
}

/// Whoever comes without a key of ours, if anyone may.
fn anonymous(arrival: &Arrival) -> Option<Claim> {
    arrival.snapshot.anonymous.clone().map(Claim::Known)
}

/// Finds the key that a signature (AWS's SDKs) names.
fn claim(worker: &Worker, arrival: &Arrival, signature: &str) -> Result<Claim, Unproved> {
    let presented = PresentedSignature::parse(signature).map_err(wrong_signature)?;
    match worker.shared.keys.claimed(presented.key) {
        Ok((caller, hash)) => {
            let (Some(signing), Some(key)) = (&arrival.snapshot.signing, &caller.key) else {
                return Err(refused(
                    "signed requests are not accepted here: identity.signing_secret is not set",
                )
                .into());
            };
            let secret = aws_secret(signing, key, &hash);
            Ok(Claim::Signed { caller, secret })
        }
        Err(IdentifyError::Unknown) if !presented.key.starts_with("key_") => {
            anonymous(arrival).ok_or_else(|| unknown().into())
        }
        Err(IdentifyError::Unread) => Err(Unproved::Unread(Wanted::Id(KeyId::from(presented.key)))),
        Err(error) => Err(not_accepted(error).into()),
    }
}

impl Claim {
    /// A failure before the body could be read, with who asked where that is proved without it.
    pub fn refuse(&self, failure: Failure) -> Refusal {
        match self {
            Self::Known(caller) => Refusal::from(failure).of(caller),
            Self::Signed { .. } => failure.into(),
        }
    }

    /// The caller, now that the body is there as it was sent.
    ///
    /// # Errors
    /// 401 when the signature is not theirs.
    pub fn prove(self, arrival: &Arrival, body: &[u8]) -> Result<Arc<Principal>, Failure> {
        let (caller, secret) = match self {
            Self::Known(caller) => return Ok(caller),
            Self::Signed { caller, secret } => (caller, secret),
        };
        let signature = signature(&arrival.headers).unwrap_or_default();
        let said = arrival
            .headers
            .get(header::HOST)
            .and_then(|host| host.to_str().ok());
        // HTTP/2 has it in the target.
        let host = said.or_else(|| arrival.uri.authority().map(Authority::as_str));
        let request = SignedRequest {
            method: arrival.method.as_str(),
            path: arrival.uri.path(),
            query: arrival.uri.query().unwrap_or_default(),
            host: host.unwrap_or_default(),
            headers: &arrival.headers,
            body,
        };
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        PresentedSignature::parse(signature)
            .and_then(|presented| presented.verify(&request, secret, now.as_secs().cast_signed()))
            .map_err(wrong_signature)?;
        may_come(arrival, &caller)?;
        Ok(caller)
    }
}

fn wrong_token(error: TokenError) -> Failure {
    let kind = match error {
        TokenError::Unavailable => FailureKind::Unavailable,
        _ => FailureKind::Authentication,
    };
    Failure::new(kind, error.to_string()).coded("invalid_token")
}

fn signature(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    PresentedSignature::is_meant(value).then_some(value)
}

fn wrong_signature(error: SignatureError) -> Failure {
    Failure::new(FailureKind::Authentication, error.to_string()).coded("invalid_signature")
}

fn not_accepted(error: IdentifyError) -> Failure {
    match error {
        IdentifyError::Revoked => refused("this key was revoked"),
        IdentifyError::Expired => refused("this key has expired"),
        IdentifyError::Unknown | IdentifyError::Unread => unknown(),
        IdentifyError::Disabled => closed("this key is disabled"),
        IdentifyError::Closed(kind) => closed(&format!(
            "the {} of this key is disabled or deleted",
            kind.as_str()
        )),
    }
}

/// Refused, though the key itself is right: another one would be of no use.
fn closed(why: &str) -> Failure {
    Failure::new(
        FailureKind::Authentication,
        format!("{why}; whoever runs this gateway can enable it"),
    )
    .coded("key_disabled")
}

fn unknown() -> Failure {
    refused("this key is not known here")
}

fn refused(why: &str) -> Failure {
    Failure::new(
        FailureKind::Authentication,
        format!("{why}; create one with `pointsman key create`"),
    )
    .coded("invalid_api_key")
}

/// Google's clients may put their key into the query.
fn in_query(arrival: &Arrival) -> Option<Cow<'_, str>> {
    if arrival.surface.dialect != Format::GeminiGenerate {
        return None;
    }
    query_value(arrival.uri.query()?, "key").filter(|key| !key.is_empty())
}

/// The key that somebody comes with.
pub fn presented(headers: &HeaderMap) -> Option<&str> {
    if let Some(value) = headers.get(header::AUTHORIZATION) {
        let value = value.to_str().ok()?;
        let (scheme, token) = value.split_once(' ')?;
        return scheme
            .eq_ignore_ascii_case("bearer")
            .then(|| token.trim())
            .filter(|token| !token.is_empty());
    }
    KEY_HEADERS
        .iter()
        .find_map(|name| headers.get(*name)?.to_str().ok())
        .filter(|key| !key.is_empty())
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn with(name: &'static str, value: &'static str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(name, HeaderValue::from_static(value));
        headers
    }

    #[test]
    fn every_sdks_header_is_understood() {
        for (name, value) in [
            ("authorization", "Bearer pm-1"),
            ("authorization", "bearer  pm-1"),
            ("x-api-key", "pm-1"),
            ("api-key", "pm-1"),
            ("x-goog-api-key", "pm-1"),
        ] {
            assert_eq!(presented(&with(name, value)), Some("pm-1"), "{name}: {value}");
        }
    }

    #[test]
    fn nothing_is_not_a_key() {
        for (name, value) in [
            ("authorization", "Bearer "),
            ("authorization", "Basic eA=="),
            ("x-api-key", ""),
        ] {
            assert_eq!(presented(&with(name, value)), None, "{name}: {value}");
        }
    }
}

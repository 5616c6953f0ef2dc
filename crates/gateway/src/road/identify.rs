//! Stage *identify*: whose request is this?

use std::borrow::Cow;
use std::sync::Arc;

use http::{HeaderMap, header};
use pointsman_governance::{IdentifyError, Principal};
use pointsman_wire::form::{Failure, FailureKind};
use pointsman_wire::format::Format;

use super::Arrival;
use crate::surface::query_value;
use crate::worker::Worker;

/// Where SDKs put their key, in the order in which they are looked at.
const KEY_HEADERS: [&str; 3] = ["x-api-key", "api-key", "x-goog-api-key"];

/// Finds the principal behind the credential.
///
/// # Errors
/// 401 without a credential (unless anonymous callers are allowed) or with one that is unknown, revoked or expired.
pub fn identify(worker: &Worker, arrival: &Arrival) -> Result<Arc<Principal>, Failure> {
    let keys = &worker.shared.keys;
    let Some(presented) = presented(&arrival.headers)
        .map(Cow::Borrowed)
        .or_else(|| in_query(arrival))
    else {
        return arrival.snapshot.anonymous.clone().ok_or_else(|| {
            Failure::new(
                FailureKind::Authentication,
                "no credential: send your key as `Authorization: Bearer pm-…` or `x-api-key: pm-…`",
            )
            .coded("missing_api_key")
        });
    };
    match keys.identify(&presented) {
        Ok(principal) => Ok(principal),
        // Local tools must send some key; where anyone may come, a key that is not ours is nobody's.
        Err(IdentifyError::Unknown)
            if arrival.snapshot.anonymous.is_some() && !presented.starts_with("pm-") =>
        {
            arrival.snapshot.anonymous.clone().ok_or_else(unknown)
        }
        Err(IdentifyError::Revoked) => Err(refused("this key was revoked")),
        Err(IdentifyError::Expired) => Err(refused("this key has expired")),
        Err(_) => Err(unknown()),
    }
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

fn presented(headers: &HeaderMap) -> Option<&str> {
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

//! POSTs that are carried out once, however often they come: by `Idempotency-Key`.

use http::{HeaderName, HeaderValue, Method, StatusCode};
use pointsman_store::{Begun, Once};

use crate::call::{Answer, Call, Failed, Reply};
use crate::routes::Route;

/// The key that a client gives to a request.
const KEY: &str = "idempotency-key";
/// Told with an answer that was given before.
const REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");

/// Whether a route's requests may be made so.
pub fn may_repeat(route: &Route) -> bool {
    route.method == Method::POST && route.path.starts_with("/admin/v1/")
}

/// Answers a call; one that has a key and was carried out before, as it was answered then.
pub fn answered(call: &Call, (may_repeat, what): (bool, &str), answer: fn(&Call) -> Answer) -> Answer {
    let Some(said) = call.headers.get(KEY).filter(|_| may_repeat) else {
        return answer(call);
    };
    let key = said.to_str().ok().filter(|key| (16..=255).contains(&key.len()));
    let key = key.ok_or_else(|| {
        Failed::wrong("an Idempotency-Key has between 16 and 255 characters of ASCII; make one of chance, such as a UUID")
    })?;
    let once = Once::new(&call.actor.name, key, (what, &call.body))?;
    match call.store().begin_once(&once)? {
        Begun::New => {}
        Begun::Done(answer) => {
            let again = Reply::again(&answer).ok_or_else(|| {
                Failed::new(
                    StatusCode::INTERNAL_SERVER_ERROR,
                    "the answer that was given cannot be read",
                )
            })?;
            return Ok(again.with(REPLAYED, HeaderValue::from_static("true")));
        }
        Begun::Pending => {
            return Err(Failed::new(
                StatusCode::CONFLICT,
                "the same request is being carried out; try again in a moment",
            ));
        }
        Begun::Unknown => {
            return Err(Failed::new(
                StatusCode::CONFLICT,
                "the same request was begun and broken off: look whether it was carried out, and use another Idempotency-Key",
            ));
        }
        Begun::Other => {
            return Err(Failed::new(
                StatusCode::UNPROCESSABLE_ENTITY,
                "this Idempotency-Key was used with another request",
            ));
        }
    }
    let answered = answer(call);
    // What came to nothing may be tried again; so may what made something that cannot be told twice.
    let kept = answered.as_ref().ok().and_then(Reply::kept);
    if let Err(error) = call.store().end_once(&once, kept.as_deref()) {
        tracing::warn!(%error, "the answer to a request with an Idempotency-Key could not be kept");
    }
    answered
}

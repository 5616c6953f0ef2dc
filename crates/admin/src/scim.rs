//! Directories provision users and groups (SCIM 2.0, RFC 7643 and RFC 7644), each organization its own: a user is a user
//! of the organization, a group is a team of it, and whoever is in a group has the role `viewer` in the team.
//!
//! What a directory says beside that is kept as it says it, and shown again. Nothing that a directory has not made is
//! seen or changed here.

mod error;
mod filter;
mod group;
mod page;
mod patch;
mod resource;
mod schema;
mod user;

use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use pointsman_store::{DirectoryEntry, DirectoryKind, HolderKind, OrganizationId, Permission};
use serde_json::{Map, Value};

pub use error::ScimType;

use crate::access::{Needs, Object};
use crate::call::{Answer, Call, Failed, Reply};
use crate::routes::{Route, Takes, get, with};
use error::{Scim, wrong};

/// What SCIM's bodies are.
pub const MEDIA_TYPE: &str = "application/scim+json";

const PROVISION: Needs = Needs::At(
    Object::Holder(HolderKind::Organization),
    &[Permission::DirectoryWrite],
);

/// The six routes of a kind of resource.
macro_rules! resource_routes {
    ($of:ident, $all:literal, $one:literal) => {
        [
            get($all, PROVISION, "Lists what the directory has made.", $of::list),
            with(
                (Method::POST, $all),
                PROVISION,
                Takes::Scim,
                "Makes one.",
                $of::create,
            ),
            get($one, PROVISION, "Shows one.", $of::show),
            with(
                (Method::PUT, $one),
                PROVISION,
                Takes::Scim,
                "Says all of one anew.",
                $of::replace,
            ),
            with(
                (Method::PATCH, $one),
                PROVISION,
                Takes::Scim,
                "Changes one, operation by operation.",
                $of::patch,
            ),
            with(
                (Method::DELETE, $one),
                PROVISION,
                Takes::Nothing,
                "Deletes one, for good.",
                $of::delete,
            ),
        ]
    };
}

/// Their paths.
pub fn routes() -> Vec<Route> {
    let mut routes = Vec::new();
    routes.extend(resource_routes!(
        user,
        "/scim/v2/{organization}/Users",
        "/scim/v2/{organization}/Users/{resource}"
    ));
    routes.extend(resource_routes!(
        group,
        "/scim/v2/{organization}/Groups",
        "/scim/v2/{organization}/Groups/{resource}"
    ));
    routes.extend(schema::routes());
    routes
}

/// Whose directory it is about.
fn organization(call: &Call) -> OrganizationId {
    OrganizationId::from(call.segment(0))
}

/// What the directory says of whom the path names.
fn entry(call: &Call, kind: DirectoryKind) -> Result<DirectoryEntry, Failed> {
    let id = call.segment(1);
    let found = call.store().directory_entry(&organization(call), kind, id)?;
    found.ok_or_else(|| Failed::absent(format!("there is no {} {id:?} in this directory", word(kind))))
}

fn word(kind: DirectoryKind) -> &'static str {
    match kind {
        DirectoryKind::User => "user",
        DirectoryKind::Group => "group",
    }
}

/// Refuses a change of what has been changed since the client has seen it.
fn check_version(call: &Call, entry: &DirectoryEntry) -> Result<(), Failed> {
    if call.expected()?.is_none_or(|expected| expected == entry.version) {
        return Ok(());
    }
    Err(pointsman_store::StoreError::Changed.into())
}

fn tag(entry: &DirectoryEntry) -> String {
    format!("W/\"{}\"", entry.version)
}

/// A resource as an answer, with its version and place.
fn answer(call: &Call, entry: &DirectoryEntry, shown: &Map<String, Value>, made: bool) -> Answer {
    let projected = page::projected(call, shown)?;
    let reply = if made {
        Reply::made(projected)
    } else {
        Reply::of(projected)
    };
    let text = |text: &str| {
        HeaderValue::from_str(text).map_err(|_| {
            Failed::new(
                StatusCode::INTERNAL_SERVER_ERROR,
                "the answer could not be written",
            )
        })
    };
    let place = resource::location(call, entry.kind, &entry.id);
    let mut reply = reply
        .with(header::ETAG, text(&tag(entry))?)
        .with(header::LOCATION, text(&place)?);
    reply.speaks(MEDIA_TYPE);
    Ok(reply)
}

/// Whether the client has this version already.
fn is_known(headers: &HeaderMap, entry: &DirectoryEntry) -> bool {
    let known = headers
        .get(header::IF_NONE_MATCH)
        .and_then(|known| known.to_str().ok());
    let (own, strong) = (tag(entry), format!("\"{}\"", entry.version));
    known.is_some_and(|known| {
        let mut all = known.split(',').map(str::trim);
        all.any(|one| one == "*" || one == own || one == strong)
    })
}

/// The body, as far as it is an object.
fn body(call: &Call) -> Result<Map<String, Value>, Scim> {
    serde_json::from_slice(&call.body).map_err(|error| {
        wrong(
            ScimType::InvalidSyntax,
            format!("the body is no JSON object: {error}"),
        )
    })
}

/// What a directory has said, as it is kept.
fn kept(entry: &DirectoryEntry) -> Result<Map<String, Value>, Failed> {
    serde_json::from_str(&entry.resource).map_err(|error| {
        tracing::error!(%error, id = entry.id, "what a directory has said cannot be read");
        Failed::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "what was said of it cannot be read",
        )
    })
}

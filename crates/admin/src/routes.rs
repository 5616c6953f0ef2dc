//! Every path of the admin API, with who answers it. What is not here is not there.

use http::Method;
use pointsman_store::HolderKind;

use crate::call::{Answer, Call};
use crate::{cache, decisions, holders, keys, litellm, openapi, reports};

/// A path, and who answers it.
pub struct Route {
    /// The method.
    pub method: Method,
    /// The path; what stands in braces may be anything.
    pub path: &'static str,
    /// What it does, in a sentence.
    pub summary: &'static str,
    /// What its body is.
    pub takes: Takes,
    /// Who answers.
    pub answer: fn(&Call) -> Answer,
}

/// What a body is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Takes {
    /// There is none.
    Nothing,
    /// A holder's fields.
    Holder,
    /// A key's fields.
    Key,
    /// How a key is rotated.
    Rotation,
    /// What LiteLLM takes at this path.
    Litellm,
}

const fn get(path: &'static str, summary: &'static str, answer: fn(&Call) -> Answer) -> Route {
    Route {
        method: Method::GET,
        path,
        summary,
        takes: Takes::Nothing,
        answer,
    }
}

const fn with(
    method: Method,
    path: &'static str,
    takes: Takes,
    summary: &'static str,
    answer: fn(&Call) -> Answer,
) -> Route {
    Route {
        method,
        path,
        summary,
        takes,
        answer,
    }
}

/// The five routes of a kind of holder.
macro_rules! holder_routes {
    ($kind:ident, $all:literal, $one:literal) => {
        [
            get($all, "Lists them, page by page.", |call| {
                holders::list(call, HolderKind::$kind)
            }),
            with(Method::POST, $all, Takes::Holder, "Makes one.", |call| {
                holders::create(call, HolderKind::$kind)
            }),
            get($one, "Shows one, and how its budgets stand.", |call| {
                holders::get(call, HolderKind::$kind)
            }),
            with(
                Method::PATCH,
                $one,
                Takes::Holder,
                "Changes the fields that are given.",
                |call| holders::patch(call, HolderKind::$kind),
            ),
            with(
                Method::DELETE,
                $one,
                Takes::Nothing,
                "Deletes one; its keys are refused from now on.",
                |call| holders::delete(call, HolderKind::$kind),
            ),
        ]
    };
}

/// All of them.
pub fn all() -> Vec<Route> {
    let mut routes = Vec::new();
    routes.extend(holder_routes!(
        Organization,
        "/admin/v1/organizations",
        "/admin/v1/organizations/{id}"
    ));
    routes.extend(holder_routes!(Team, "/admin/v1/teams", "/admin/v1/teams/{id}"));
    routes.extend(holder_routes!(
        Project,
        "/admin/v1/projects",
        "/admin/v1/projects/{id}"
    ));
    routes.extend(holder_routes!(User, "/admin/v1/users", "/admin/v1/users/{id}"));
    routes.extend(holder_routes!(
        Plan,
        "/admin/v1/budgets",
        "/admin/v1/budgets/{id}"
    ));
    routes.extend(of_keys());
    routes.extend(of_reports());
    routes.extend(of_decisions());
    routes.extend(of_cache());
    routes.extend(litellm::routes());
    routes
}

fn of_keys() -> [Route; 6] {
    [
        get("/admin/v1/keys", "Lists keys, page by page.", keys::list),
        with(
            Method::POST,
            "/admin/v1/keys",
            Takes::Key,
            "Makes a key; its secret is shown this once.",
            keys::create,
        ),
        get(
            "/admin/v1/keys/{id}",
            "Shows a key, and how its budgets stand.",
            keys::get,
        ),
        with(
            Method::PATCH,
            "/admin/v1/keys/{id}",
            Takes::Key,
            "Changes the fields that are given.",
            keys::patch,
        ),
        with(
            Method::DELETE,
            "/admin/v1/keys/{id}",
            Takes::Nothing,
            "Revokes a key, for good.",
            keys::delete,
        ),
        with(
            Method::POST,
            "/admin/v1/keys/{id}/rotate",
            Takes::Rotation,
            "Gives a key a new secret, which is shown this once.",
            keys::rotate,
        ),
    ]
}

fn of_reports() -> [Route; 5] {
    [
        get(
            "/admin/v1/usage",
            "Sums usage up, by what `by` names: key, user, project, team, organization, model, provider, day.",
            reports::usage,
        ),
        get(
            "/admin/v1/ledger",
            "Lists requests, the newest first.",
            reports::ledger,
        ),
        get(
            "/admin/v1/audit",
            "Lists who changed what, the oldest first.",
            reports::audit,
        ),
        get(
            "/admin/v1/audit/verify",
            "Checks that nobody has changed the audit log.",
            reports::verify,
        ),
        get(openapi::PATH, "This description.", openapi::answer),
    ]
}

fn of_decisions() -> [Route; 3] {
    [
        get(
            "/admin/v1/decisions",
            "Lists recorded routing decisions, the newest first.",
            decisions::list,
        ),
        get(
            "/admin/v1/decisions/{request}",
            "Shows the recorded decision of a request.",
            decisions::get,
        ),
        get(
            "/admin/v1/learned",
            "Shows what was learned of models, by decision and domain.",
            decisions::learned,
        ),
    ]
}

fn of_cache() -> [Route; 5] {
    [
        get(
            "/admin/v1/cache",
            "Shows how many answers are remembered, and how the back end does.",
            cache::stats,
        ),
        get(
            "/admin/v1/cache/entries/{entry}",
            "Shows what is known of a remembered answer, by its `x-pointsman-cache-key`.",
            cache::get,
        ),
        with(
            Method::DELETE,
            "/admin/v1/cache/entries/{entry}",
            Takes::Nothing,
            "Deletes a remembered answer.",
            cache::delete,
        ),
        with(
            Method::DELETE,
            "/admin/v1/cache/entries",
            Takes::Nothing,
            "Deletes remembered answers by `tag`, `model`, `key`, `user`, `team`, `organization`: those that fit all that is given.",
            cache::delete_some,
        ),
        with(
            Method::POST,
            "/admin/v1/cache/flush",
            Takes::Nothing,
            "Deletes all remembered answers.",
            cache::flush,
        ),
    ]
}

/// Who answers a path, and what stands in it where the route has braces; or else the methods that it has.
pub fn find<'r>(
    routes: &'r [Route],
    method: &Method,
    path: &str,
) -> Result<(&'r Route, Vec<String>), Vec<Method>> {
    let mut others = Vec::new();
    for route in routes {
        let Some(segments) = fits(route.path, path) else {
            continue;
        };
        if route.method == *method {
            return Ok((route, segments));
        }
        others.push(route.method.clone());
    }
    Err(others)
}

/// What stands in a path where its pattern has braces; nothing where it is another path.
fn fits(pattern: &str, path: &str) -> Option<Vec<String>> {
    let mut found = Vec::new();
    let mut said = path.split('/');
    for expected in pattern.split('/') {
        let said = said.next()?;
        if expected.starts_with('{') {
            let said = crate::call::decoded(said).filter(|said| !said.is_empty())?;
            found.push(said.into_owned());
        } else if said != expected {
            return None;
        }
    }
    said.next().is_none().then_some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_fit_as_a_whole_or_not_at_all() {
        let pattern = "/admin/v1/keys/{id}";
        for (path, expected) in [
            ("/admin/v1/keys/a", Some("a")),
            ("/admin/v1/keys/a%40b", Some("a@b")),
            ("/admin/v1/keys/", None),
            ("/admin/v1/keys/a/", None),
            ("/admin/v1/keys", None),
            ("//admin/v1/keys/a", None),
            ("/admin/v1/keys/%ff", None),
            ("/ADMIN/v1/keys/a", None),
        ] {
            let found = fits(pattern, path);
            assert_eq!(found, expected.map(|id| vec![id.to_owned()]), "{path}");
        }
    }

    #[test]
    fn no_two_routes_are_the_same() {
        let routes = all();
        for (at, route) in routes.iter().enumerate() {
            let same = |other: &Route| (&other.method, other.path) == (&route.method, route.path);
            assert!(!routes[..at].iter().any(same), "{} {}", route.method, route.path);
        }
    }
}

//! Every path of the admin API, with who answers it. What is not here is not there.

use http::Method;
use pointsman_store::{HolderKind, Permission};

use crate::access::{Needs, Object, reads, writes};
use crate::call::{Answer, Call};
use crate::{
    cache, decisions, grants, holders, keys, litellm, members, openapi, people, reports, roles, running,
    scim, sign_in,
};

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
    /// What it demands of whoever calls: the access checks, the description and the tests read it here.
    pub needs: Needs,
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
    /// Which role somebody gets.
    Membership,
    /// What a role may do.
    Role,
    /// What a token is called, and when it ends.
    Token,
    /// What SCIM takes at this path.
    Scim,
    /// What LiteLLM takes at this path.
    Litellm,
}

pub(crate) const fn get(
    path: &'static str,
    needs: Needs,
    summary: &'static str,
    answer: fn(&Call) -> Answer,
) -> Route {
    Route {
        method: Method::GET,
        path,
        summary,
        takes: Takes::Nothing,
        needs,
        answer,
    }
}

pub(crate) fn with(
    (method, path): (Method, &'static str),
    needs: Needs,
    takes: Takes,
    summary: &'static str,
    answer: fn(&Call) -> Answer,
) -> Route {
    Route {
        method,
        path,
        summary,
        takes,
        needs,
        answer,
    }
}

/// One of these, at the place of a holder.
const fn at(kind: HolderKind, any: &'static [Permission]) -> Needs {
    Needs::At(Object::Holder(kind), any)
}

/// The five routes of a kind of holder.
macro_rules! holder_routes {
    ($kind:ident, $all:literal, $one:literal, $make:expr, $see:expr, $change:expr, $delete:expr) => {
        [
            get(
                $all,
                Needs::Somewhere(reads(HolderKind::$kind)),
                "Lists them, page by page.",
                |call| holders::list(call, HolderKind::$kind),
            ),
            with((Method::POST, $all), $make, Takes::Holder, "Makes one.", |call| {
                holders::create(call, HolderKind::$kind)
            }),
            get($one, $see, "Shows one, and how its budgets stand.", |call| {
                holders::get(call, HolderKind::$kind)
            }),
            with(
                (Method::PATCH, $one),
                $change,
                Takes::Holder,
                "Changes the fields that are given; limits, lists and budgets by whoever is above it.",
                |call| holders::patch(call, HolderKind::$kind),
            ),
            with(
                (Method::DELETE, $one),
                $delete,
                Takes::Nothing,
                "Deletes one; its keys are refused from now on.",
                |call| holders::delete(call, HolderKind::$kind),
            ),
        ]
    };
    // One that belongs to somebody.
    ($kind:ident, $all:literal, $one:literal, $read:ident, $write:ident) => {
        holder_routes!(
            $kind,
            $all,
            $one,
            Needs::Somewhere(writes(HolderKind::$kind)),
            at(HolderKind::$kind, &[Permission::$read]),
            at(HolderKind::$kind, &[Permission::$write, Permission::BudgetsWrite]),
            Needs::Above(Object::Holder(HolderKind::$kind), Permission::$write)
        )
    };
}

/// All of them.
pub fn all() -> Vec<Route> {
    let mut routes = Vec::new();
    routes.extend(holder_routes!(
        Organization,
        "/admin/v1/organizations",
        "/admin/v1/organizations/{id}",
        Needs::Operator,
        at(HolderKind::Organization, &[Permission::OrganizationsRead]),
        at(HolderKind::Organization, &[Permission::OrganizationsWrite]),
        Needs::Operator
    ));
    routes.extend(holder_routes!(
        Team,
        "/admin/v1/teams",
        "/admin/v1/teams/{id}",
        TeamsRead,
        TeamsWrite
    ));
    routes.extend(holder_routes!(
        Project,
        "/admin/v1/projects",
        "/admin/v1/projects/{id}",
        ProjectsRead,
        ProjectsWrite
    ));
    routes.extend(holder_routes!(
        User,
        "/admin/v1/users",
        "/admin/v1/users/{id}",
        UsersRead,
        UsersWrite
    ));
    routes.extend(of_labels());
    routes.extend(of_plans());
    routes.extend(of_keys());
    routes.extend(of_reports());
    routes.extend(of_decisions());
    routes.extend(of_cache());
    routes.extend(of_grants());
    routes.extend(running::routes());
    routes.extend(members::routes());
    routes.extend(roles::routes());
    routes.extend(people::routes());
    routes.extend(sign_in::routes());
    routes.extend(scim::routes());
    routes.extend(litellm::routes());
    routes
}

/// What requests name: end customers, agents, tags.
fn of_labels() -> Vec<Route> {
    let mut routes = Vec::new();
    routes.extend(holder_routes!(
        Customer,
        "/admin/v1/customers",
        "/admin/v1/customers/{id}",
        UsageRead,
        BudgetsWrite
    ));
    routes.extend(holder_routes!(
        Agent,
        "/admin/v1/agents",
        "/admin/v1/agents/{id}",
        UsageRead,
        BudgetsWrite
    ));
    routes.extend(holder_routes!(
        Tag,
        "/admin/v1/tags",
        "/admin/v1/tags/{id}",
        UsageRead,
        BudgetsWrite
    ));
    routes
}

/// Named budgets are everybody's and nobody's: the operator's alone.
fn of_plans() -> [Route; 5] {
    let mut routes = holder_routes!(
        Plan,
        "/admin/v1/budgets",
        "/admin/v1/budgets/{id}",
        Needs::Operator,
        Needs::Operator,
        Needs::Operator,
        Needs::Operator
    );
    for route in &mut routes {
        route.needs = Needs::Operator;
    }
    routes
}

fn of_keys() -> [Route; 6] {
    let change = Needs::At(Object::Key, &[Permission::KeysWrite]);
    [
        get(
            "/admin/v1/keys",
            Needs::Somewhere(Permission::KeysRead),
            "Lists keys, page by page.",
            keys::list,
        ),
        with(
            (Method::POST, "/admin/v1/keys"),
            Needs::Somewhere(Permission::KeysWrite),
            Takes::Key,
            "Makes a key; its secret is shown this once.",
            keys::create,
        ),
        get(
            "/admin/v1/keys/{id}",
            Needs::At(Object::Key, &[Permission::KeysRead]),
            "Shows a key, and how its budgets stand.",
            keys::get,
        ),
        with(
            (Method::PATCH, "/admin/v1/keys/{id}"),
            Needs::At(Object::Key, &[Permission::KeysWrite, Permission::BudgetsWrite]),
            Takes::Key,
            "Changes the fields that are given.",
            keys::patch,
        ),
        with(
            (Method::DELETE, "/admin/v1/keys/{id}"),
            change,
            Takes::Nothing,
            "Revokes a key, for good.",
            keys::delete,
        ),
        with(
            (Method::POST, "/admin/v1/keys/{id}/rotate"),
            change,
            Takes::Rotation,
            "Gives a key a new secret, which is shown this once.",
            keys::rotate,
        ),
    ]
}

fn of_reports() -> [Route; 5] {
    let usage = Needs::Somewhere(Permission::UsageRead);
    [
        get(
            "/admin/v1/usage",
            usage,
            "Sums usage up, by what `by` names: key, user, project, team, organization, customer, agent, tag, model, provider, day.",
            reports::usage,
        ),
        get(
            "/admin/v1/ledger",
            usage,
            "Lists requests, the newest first.",
            reports::ledger,
        ),
        get(
            "/admin/v1/audit",
            Needs::Operator,
            "Lists who changed what, the oldest first.",
            reports::audit,
        ),
        get(
            "/admin/v1/audit/verify",
            Needs::Operator,
            "Checks that nobody has changed the audit log.",
            reports::verify,
        ),
        get(
            openapi::PATH,
            Needs::Nothing,
            "This description.",
            openapi::answer,
        ),
    ]
}

fn of_decisions() -> [Route; 3] {
    let read = Needs::Somewhere(Permission::DecisionsRead);
    [
        get(
            "/admin/v1/decisions",
            read,
            "Lists recorded routing decisions, the newest first.",
            decisions::list,
        ),
        get(
            "/admin/v1/decisions/{request}",
            read,
            "Shows the recorded decision of a request.",
            decisions::get,
        ),
        get(
            "/admin/v1/learned",
            Needs::Operator,
            "Shows what was learned of models, by decision and domain.",
            decisions::learned,
        ),
    ]
}

fn of_grants() -> [Route; 2] {
    [
        get(
            "/admin/v1/mcp/grants",
            Needs::Operator,
            "Lists what users have granted at MCP servers, or at one (`server`); `next` goes into `after` for more.",
            grants::list,
        ),
        with(
            (Method::DELETE, "/admin/v1/mcp/grants/{server}/{owner}"),
            Needs::Operator,
            Takes::Nothing,
            "Takes a grant back, and has it revoked where its authorization server does that (RFC 7009).",
            grants::take_back,
        ),
    ]
}

fn of_cache() -> [Route; 5] {
    [
        get(
            "/admin/v1/cache",
            Needs::Operator,
            "Shows how many answers are remembered, and how the back end does.",
            cache::stats,
        ),
        get(
            "/admin/v1/cache/entries/{entry}",
            Needs::Operator,
            "Shows what is known of a remembered answer, by its `x-pointsman-cache-key`.",
            cache::get,
        ),
        with(
            (Method::DELETE, "/admin/v1/cache/entries/{entry}"),
            Needs::Operator,
            Takes::Nothing,
            "Deletes a remembered answer.",
            cache::delete,
        ),
        with(
            (Method::DELETE, "/admin/v1/cache/entries"),
            Needs::Operator,
            Takes::Nothing,
            "Deletes remembered answers by `tag`, `model`, `key`, `user`, `team`, `organization`: those that fit all that is given.",
            cache::delete_some,
        ),
        with(
            (Method::POST, "/admin/v1/cache/flush"),
            Needs::Operator,
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

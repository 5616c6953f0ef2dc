//! Roles: every route of the description for every role, at home and at another tenant's.

mod ways_up;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU32, Ordering};

use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use pointsman_store::{DecisionRow, RoutedBatch};
use serde_json::{Value, json};

use crate::admin::Site;
use crate::harness::{Answer, exchange, get, store};

/// What stands in all that is another tenant's.
const FOREIGN: &str = "zz-foreign";

const ALL: [&str; 17] = [
    "organizations.read",
    "organizations.write",
    "teams.read",
    "teams.write",
    "projects.read",
    "projects.write",
    "users.read",
    "users.write",
    "keys.read",
    "keys.write",
    "budgets.write",
    "usage.read",
    "decisions.read",
    "members.read",
    "members.write",
    "roles.write",
    "directory.write",
];

/// What each role may do, written down once more: not taken from what is tested.
fn permissions(role: &str) -> Vec<&'static str> {
    match role {
        "owner" => ALL.to_vec(),
        "admin" => {
            let not = ["organizations.write", "roles.write", "directory.write"];
            ALL.into_iter().filter(|name| !not.contains(name)).collect()
        }
        "billing" => vec![
            "organizations.read",
            "teams.read",
            "projects.read",
            "users.read",
            "keys.read",
            "usage.read",
            "budgets.write",
        ],
        "viewer" => ALL.into_iter().filter(|name| name.ends_with(".read")).collect(),
        "keykeeper" => vec!["keys.read", "keys.write"],
        _ => Vec::new(),
    }
}

/// Somebody with one role.
struct Person {
    role: &'static str,
    /// `organization` or `team`.
    scope: &'static str,
    token: String,
}

/// Two tenants of the same shape, and people of the first.
struct World {
    site: Site,
    people: Vec<Person>,
    /// The keys of both.
    keys: BTreeMap<&'static str, String>,
}

impl World {
    #[expect(clippy::too_many_lines, reason = "one world, made from beginning to end")]
    async fn open() -> Self {
        let site = Site::open().await;
        let mut keys = BTreeMap::new();
        for name in ["own", FOREIGN] {
            let team = format!("{name}-team");
            for (kind, body) in [
                ("organizations", json!({"id": name, "name": name})),
                ("teams", json!({"id": team, "organization": name, "name": name})),
                ("projects", json!({"id": format!("{name}-project"), "team": team})),
                (
                    "users",
                    json!({"id": format!("{name}-user"), "organization": name}),
                ),
                (
                    "customers",
                    json!({"id": format!("{name}-customer"), "organization": name, "name": name}),
                ),
                (
                    "agents",
                    json!({"id": format!("{name}-agent"), "organization": name, "name": name}),
                ),
                (
                    "tags",
                    json!({"id": format!("{name}-tag"), "organization": name, "name": name}),
                ),
            ] {
                site.does(Method::POST, &format!("/admin/v1/{kind}"), body).await;
            }
            for (role, may) in [
                ("nothing", json!([])),
                ("keykeeper", json!(permissions("keykeeper"))),
            ] {
                let path = format!("/admin/v1/organizations/{name}/roles/{role}");
                site.does(Method::PUT, &path, json!({"permissions": may})).await;
            }
            for scope in [format!("organizations/{name}"), format!("teams/{team}")] {
                let path = format!("/admin/v1/{scope}/members/{name}-user");
                site.does(Method::PUT, &path, json!({"role": "nothing"})).await;
            }
            let key = json!({"team": team, "name": format!("{name}-key")});
            let key = site.does(Method::POST, "/admin/v1/keys", key).await;
            let secret = key["secret"].as_str().unwrap();
            assert_eq!(site.chat(secret, "m").await.status, StatusCode::OK);
            keys.insert(name, key["id"].as_str().unwrap().to_owned());
        }
        site.ledger_has(2).await;
        let decision = |name: &str| DecisionRow {
            request: format!("req-{name}"),
            team: Some(format!("{name}-team")),
            decision: "d".to_owned(),
            outcome: "complete".to_owned(),
            record: "{}".to_owned(),
            ..DecisionRow::default()
        };
        let decisions = ["own", FOREIGN].map(|name| (decision(name), 100)).to_vec();
        let batch = RoutedBatch {
            decisions,
            ..RoutedBatch::default()
        };
        store(site.folder.path()).keep_routed(&batch).unwrap();
        let mut world = Self {
            site,
            people: Vec::new(),
            keys,
        };
        for role in ["owner", "admin", "billing", "viewer", "keykeeper", "none"] {
            for scope in ["organization", "team"] {
                let token = world.person(&format!("{role}-{scope}"), role, scope).await;
                world.people.push(Person { role, scope, token });
            }
        }
        world
    }

    /// A token of a new user of the first tenant with a role there.
    async fn person(&self, id: &str, role: &str, scope: &str) -> String {
        let user = json!({"id": id, "organization": "own"});
        self.site.does(Method::POST, "/admin/v1/users", user).await;
        if role != "none" {
            let place = if scope == "team" {
                "teams/own-team"
            } else {
                "organizations/own"
            };
            let path = format!("/admin/v1/{place}/members/{id}");
            self.site.does(Method::PUT, &path, json!({"role": role})).await;
        }
        let path = format!("/admin/v1/users/{id}/tokens");
        let made = self.site.does(Method::POST, &path, json!({"name": "test"})).await;
        made["secret"].as_str().unwrap().to_owned()
    }

    async fn call(&self, token: &str, method: Method, path: &str, body: Value, stale: bool) -> Answer {
        let mut headers = HeaderMap::new();
        headers.insert(header::AUTHORIZATION, format!("Bearer {token}").parse().unwrap());
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if stale {
            headers.insert(header::IF_MATCH, HeaderValue::from_static("\"0\""));
        }
        let body = if body.is_null() {
            String::new()
        } else {
            body.to_string()
        };
        let answer = exchange(self.site.house.admin, method, path, headers, body.into()).await;
        answer.unwrap()
    }

    /// A path with what a tenant has in the place of its braces.
    fn at(&self, path: &str, tenant: &'static str) -> String {
        let id = match path.split('/').nth(3).unwrap_or_default() {
            "keys" => self.keys[tenant].clone(),
            "organizations" => tenant.to_owned(),
            kind => format!("{tenant}-{}", kind.trim_end_matches('s')),
        };
        path.replace("{id}", &id)
            .replace("{user}", &format!("{tenant}-user"))
            .replace("{role}", "nothing")
            .replace("{request}", &format!("req-{tenant}"))
            .replace("{token}", "cred_none")
            .replace("{key}", &self.keys[tenant])
            .replace("{organization}", tenant)
            .replace("{resource}", "none")
            .replace("{provider}", "none")
            .replace("{name}", "none")
    }
}

/// How many names were made up.
static NAMES: AtomicU32 = AtomicU32::new(0);

/// What a route is asked with: what makes something at a tenant's.
fn body(method: &Method, path: &str, tenant: &str) -> Value {
    match (method.as_str(), path) {
        ("POST", "/admin/v1/teams" | "/admin/v1/users") => json!({"organization": tenant}),
        ("POST", "/admin/v1/customers" | "/admin/v1/agents" | "/admin/v1/tags") => {
            // Each has a name of its own.
            let number = NAMES.fetch_add(1, Ordering::Relaxed);
            json!({"organization": tenant, "name": format!("n{number}")})
        }
        ("POST", "/admin/v1/projects" | "/admin/v1/keys") => json!({"team": format!("{tenant}-team")}),
        ("PUT", path) if path.contains("/members/") => json!({"role": "nothing"}),
        ("PUT", path) if path.contains("/roles/") => json!({"permissions": []}),
        ("GET", _) => Value::Null,
        _ => json!({}),
    }
}

/// What must come of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Expected {
    Done,
    Forbidden,
    Hidden,
}

fn expected(needs: &Value, person: &Person, (method, path, tenant): (&Method, &str, &str)) -> Expected {
    let own = permissions(person.role);
    let any = needs["permissions"].as_array();
    let has = any.is_some_and(|any| any.iter().any(|name| own.contains(&name.as_str().unwrap())));
    let by_permission = |has| if has { Expected::Done } else { Expected::Forbidden };
    match (needs["by"].as_str().unwrap(), needs["object"].as_str()) {
        // Nobody is configured to sign in at.
        ("nobody", _) if path.contains("{provider}") => Expected::Hidden,
        ("nobody" | "anybody", _) => Expected::Done,
        ("operator" | "session", _) => Expected::Forbidden,
        ("role", Some(object)) => {
            let is_covered = person.scope == "organization" || ["team", "project", "key"].contains(&object);
            if person.role == "none" || tenant == FOREIGN || !is_covered {
                Expected::Hidden
            } else {
                let is_above = needs["above"] == true && object == "team" && person.scope == "team";
                by_permission(has && !is_above)
            }
        }
        ("role", None) if !has => Expected::Forbidden,
        ("role", None) => {
            let of_organizations = ["teams", "users", "customers", "agents", "tags"];
            let names_organization = path
                .strip_prefix("/admin/v1/")
                .is_some_and(|kind| of_organizations.contains(&kind));
            let is_beyond = tenant == FOREIGN || person.scope == "team" && names_organization;
            let names_it = method == Method::POST || path.contains('{');
            if names_it && is_beyond {
                Expected::Hidden
            } else {
                Expected::Done
            }
        }
        other => panic!("{other:?}: the test does not know what this demands"),
    }
}

fn found(answer: &Answer, path: &str) -> Option<Expected> {
    match answer.status.as_u16() {
        200 | 201 | 204 | 412 => Some(Expected::Done),
        403 => Some(Expected::Forbidden),
        // Who may provision is told what is wrong with an empty body, and that nothing is called so.
        400 if path.starts_with("/scim/") => Some(Expected::Done),
        404 if path.starts_with("/scim/v2/own/") && answer.text().contains("\\\"none\\\"") => {
            Some(Expected::Done)
        }
        // Who may end tokens is told that there is none of this id.
        404 if path.ends_with("/cred_none") && answer.text().contains("there is no token") => {
            Some(Expected::Done)
        }
        404 => Some(Expected::Hidden),
        _ => None,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_route_for_every_role_at_home_and_at_another_tenants() {
    let world = World::open().await;
    let document = get(world.site.house.admin, "/admin/openapi.json")
        .await
        .unwrap()
        .json();
    let (mut tried, mut seen, mut outcomes) = (0, BTreeSet::new(), BTreeMap::new());
    let mut wrong = Vec::new();
    for (path, operations) in document["paths"].as_object().unwrap() {
        for (method, operation) in operations.as_object().unwrap() {
            let method: Method = method.to_ascii_uppercase().parse().unwrap();
            let needs = &operation["x-pointsman-needs"];
            seen.insert(needs["by"].as_str().unwrap().to_owned());
            for person in &world.people {
                for tenant in ["own", FOREIGN] {
                    let asked = world.at(path, tenant);
                    let body = body(&method, path, tenant);
                    // What would change something is told that it comes too late, once it may.
                    let answer = world
                        .call(&person.token, method.clone(), &asked, body, true)
                        .await;
                    let expected = expected(needs, person, (&method, path, tenant));
                    let who = format!("{} of the {}: {method} {asked}", person.role, person.scope);
                    if found(&answer, &asked) != Some(expected) {
                        wrong.push(format!(
                            "{who}: {expected:?}, not {} {}",
                            answer.status,
                            answer.text()
                        ));
                    }
                    let is_told = answer.status.is_success() && answer.text().contains(FOREIGN);
                    if is_told && path != "/admin/openapi.json" {
                        wrong.push(format!("{who}: tells of another tenant: {}", answer.text()));
                    }
                    *outcomes.entry(expected).or_insert(0) += 1;
                    tried += 1;
                }
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "{} of {tried}:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
    assert!(tried > 1_500, "only {tried}");
    let all = ["anybody", "nobody", "operator", "role", "session"];
    assert!(seen.iter().eq(all), "{seen:?}");
    assert!(outcomes.values().all(|count| *count > 100), "{outcomes:?}");
    println!("{tried} calls: {outcomes:?}");
    // Nothing of the other tenant's has changed.
    for (kind, id) in [
        ("organizations", FOREIGN.to_owned()),
        ("teams", format!("{FOREIGN}-team")),
        ("projects", format!("{FOREIGN}-project")),
        ("users", format!("{FOREIGN}-user")),
        ("customers", format!("{FOREIGN}-customer")),
        ("agents", format!("{FOREIGN}-agent")),
        ("tags", format!("{FOREIGN}-tag")),
        ("keys", world.keys[FOREIGN].clone()),
    ] {
        let path = format!("/admin/v1/{kind}/{id}");
        let there = world.site.does(Method::GET, &path, Value::Null).await;
        assert_eq!(there["created_at"], there["updated_at"], "{path}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_hidden_reads_as_what_is_not_there() {
    let world = World::open().await;
    let owner = &world.people[0].token;
    for (path, name) in [
        ("/admin/v1/organizations/NAME", FOREIGN),
        ("/admin/v1/teams/NAME", "zz-foreign-team"),
        ("/admin/v1/projects/NAME", "zz-foreign-project"),
        ("/admin/v1/users/NAME", "zz-foreign-user"),
        ("/admin/v1/customers/NAME", "zz-foreign-customer"),
        ("/admin/v1/tags/NAME", "zz-foreign-tag"),
        ("/admin/v1/keys/NAME", world.keys[FOREIGN].as_str()),
        ("/admin/v1/decisions/NAME", "req-zz-foreign"),
    ] {
        let ask = |name: &str| {
            let path = path.replace("NAME", name);
            let world = &world;
            async move {
                let answer = world.call(owner, Method::GET, &path, Value::Null, false).await;
                (answer.status, answer.text().to_owned())
            }
        };
        let (hidden, absent) = (ask(name).await, ask("nobodys").await);
        assert_eq!(hidden.0, StatusCode::NOT_FOUND);
        assert_eq!(hidden.1.replace(name, "X"), absent.1.replace("nobodys", "X"));
    }
    // Filters that name another tenant find what filters find that name nobody.
    for path in [
        "keys?organization=",
        "teams?organization=",
        "projects?organization=",
        "users?organization=",
        "customers?organization=",
        "usage?by=team&organization=",
        "ledger?organization=",
    ] {
        let ask = |name: &'static str| {
            let path = format!("/admin/v1/{path}{name}");
            let world = &world;
            async move {
                world
                    .call(owner, Method::GET, &path, Value::Null, false)
                    .await
                    .json()
            }
        };
        assert_eq!(ask(FOREIGN).await, ask("nobodys").await, "{path}");
    }
}

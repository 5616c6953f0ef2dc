//! The ways up that must not be: nobody gets more than they were given.

use std::collections::BTreeSet;

use http::{Method, StatusCode};
use serde_json::{Value, json};

use super::World;

/// What comes of what somebody tries: status, role and where it is had, method, path below `/admin/v1/` (`OWN` is the
/// first tenant's key), body. They are tried in this order.
const TRIES: &str = r##"
# Roles: none that may do more than one's own, neither for others nor for oneself.
403 admin/organization     PUT    organizations/own/members/admin-organization {"role": "owner"}
403 admin/organization     PUT    organizations/own/members/own-user {"role": "owner"}
403 admin/organization     PUT    organizations/own/members/owner-organization {"role": "viewer"}
403 admin/organization     DELETE organizations/own/members/owner-organization
200 admin/organization     PUT    organizations/own/members/own-user {"role": "viewer"}
400 admin/organization     PUT    organizations/own/members/own-user {"role": "none-such"}
400 admin/organization     PUT    organizations/own/members/own-user {"role": "viewer", "user": "x"}
403 admin/organization     PUT    organizations/own/roles/mine {"permissions": ["keys.read"]}
400 owner/organization     PUT    organizations/own/roles/owner {"permissions": []}
404 owner/organization     PUT    organizations/own/members/zz-foreign-user {"role": "viewer"}
404 owner/team             PUT    organizations/own/members/owner-team {"role": "owner"}

# Who may do more is not disabled, deleted or signed out by who may do less.
403 admin/organization     PATCH  users/owner-organization {"disabled": true}
403 admin/organization     DELETE users/owner-organization
403 admin/organization     DELETE users/owner-organization/tokens/x
200 admin/organization     PATCH  users/viewer-organization {"name": "V"}

# Whoever has a token of somebody is that somebody.
403 owner/organization     POST   users/own-user/tokens {}
403 owner/organization     POST   me/tokens {}

# What a holder may use is decided above it.
403 owner/organization     PATCH  organizations/own {"budgets": [{"amount_usd": 1000000}]}
403 owner/organization     PATCH  organizations/own {"models": ["*"]}
200 owner/organization     PATCH  organizations/own {"name": "O"}
403 owner/team             PATCH  teams/own-team {"budgets": [{"amount_usd": 1000000}]}
403 owner/team             PATCH  teams/own-team {"models": ["m"]}
403 owner/team             PATCH  teams/own-team {"disabled": true}
403 owner/team             PATCH  teams/own-team {"organization": null}
200 owner/team             PATCH  teams/own-team {"name": "T"}
200 admin/organization     PATCH  teams/own-team {"budgets": [{"amount_usd": 1000000}]}
200 billing/organization   PATCH  teams/own-team {"budgets": []}
403 billing/organization   PATCH  teams/own-team {"budgets": [], "name": "B"}
200 billing/organization   PATCH  keys/OWN {"limits": {"requests_per_minute": 5}}
403 billing/organization   PATCH  keys/OWN {"models": ["m"]}
403 billing/organization   PATCH  keys/OWN {"disabled": true}
403 keykeeper/organization PATCH  keys/OWN {"limits": {"requests_per_minute": 500}}
200 keykeeper/organization PATCH  keys/OWN {"models": ["m"]}
403 keykeeper/organization POST   keys {"team": "own-team", "budgets": [{"amount_usd": 1}]}

# Nothing goes to another tenant, or comes from there.
404 owner/organization     PATCH  teams/own-team {"organization": "zz-foreign"}
404 owner/organization     PATCH  keys/OWN {"team": "zz-foreign-team"}
404 owner/organization     PATCH  keys/OWN {"project": "zz-foreign-project"}
404 owner/organization     PATCH  keys/OWN {"user": "zz-foreign-user"}
404 owner/organization     PATCH  keys/OWN {"organization": "zz-foreign"}
403 owner/organization     PATCH  keys/OWN {"team": null}
404 owner/organization     POST   keys {"team": "own-team", "user": "zz-foreign-user"}
404 owner/organization     POST   keys {"organization": "own", "team": "zz-foreign-team"}
404 owner/organization     POST   keys {"project": "zz-foreign-project"}
404 owner/organization     POST   projects {"organization": "own", "team": "zz-foreign-team"}
403 owner/organization     POST   keys {}
403 owner/organization     POST   keys {"team": "own-team", "budget": "none"}

# What is reserved for others is nobody's to take.
403 owner/organization     POST   keys {"team": "own-team", "priority": "first"}
403 owner/organization     POST   keys {"team": "own-team", "user": "viewer-organization"}
403 owner/organization     PATCH  keys/OWN {"priority": "first"}
403 owner/organization     PATCH  teams/own-team {"priority": "first"}
403 owner/team             PATCH  teams/own-team {"shares": {"first": 50}}
403 owner/organization     POST   teams {"id": "zz-foreign-team", "organization": "own"}
403 owner/organization     POST   organizations {}
"##;

/// One line of them.
struct Try {
    status: StatusCode,
    /// Role and scope.
    by: (&'static str, &'static str),
    method: Method,
    path: String,
    body: Value,
}

impl Try {
    fn read(line: &'static str, world: &World) -> Self {
        let mut words = line.splitn(2, ' ');
        let status = words.next().unwrap().parse().unwrap();
        let rest = words.next().unwrap();
        let (by, rest) = rest.split_once(' ').unwrap();
        let (method, rest) = rest.trim_start().split_once(' ').unwrap();
        let (path, body) = rest
            .trim_start()
            .split_once(' ')
            .unwrap_or((rest.trim_start(), "null"));
        Self {
            status,
            by: by.split_once('/').unwrap(),
            method: method.parse().unwrap(),
            path: format!("/admin/v1/{}", path.replace("OWN", &world.keys["own"])),
            body: serde_json::from_str(body).unwrap(),
        }
    }
}

impl World {
    /// The token of who has a role in a scope.
    fn token(&self, (role, scope): (&str, &str)) -> &str {
        let mut people = self.people.iter();
        let person = people.find(|person| (person.role, person.scope) == (role, scope));
        &person.unwrap().token
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_gets_more_than_they_were_given() {
    let world = World::open().await;
    let preferred = "/admin/v1/users/viewer-organization";
    let given = json!({"priority": "first"});
    world.site.does(Method::PATCH, preferred, given).await;
    let lines = TRIES
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'));
    let mut tried = 0;
    for line in lines {
        let one = Try::read(line, &world);
        let token = world.token(one.by);
        let answer = world.call(token, one.method, &one.path, one.body, false).await;
        assert_eq!(answer.status, one.status, "{line}: {}", answer.text());
        tried += 1;
    }
    assert_eq!(tried, 53);
    ends_with_the_user(&world).await;
}

/// Who has done what is written down by name; a token ends with its user, and a role is gone at once.
async fn ends_with_the_user(world: &World) {
    let audit = world
        .site
        .does(Method::GET, "/admin/v1/audit?limit=1000", Value::Null)
        .await;
    let actors: BTreeSet<_> = audit["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| row["actor"].as_str().unwrap())
        .collect();
    assert!(actors.contains("user:billing-organization"), "{actors:?}");
    let (billing, owner) = (("billing", "organization"), ("owner", "organization"));
    let (billing, owner) = (world.token(billing), world.token(owner));
    let who = world
        .call(billing, Method::GET, "/admin/v1/me", Value::Null, false)
        .await
        .json();
    assert_eq!(
        (&who["user"], &who["roles"][0]["role"]),
        (&json!("billing-organization"), &json!("billing"))
    );
    world
        .site
        .does(
            Method::DELETE,
            "/admin/v1/organizations/own/members/billing-organization",
            Value::Null,
        )
        .await;
    let after = world
        .call(
            billing,
            Method::GET,
            "/admin/v1/teams/own-team",
            Value::Null,
            false,
        )
        .await;
    assert_eq!(after.status, StatusCode::NOT_FOUND);
    let disabled = json!({"disabled": true});
    world
        .site
        .does(Method::PATCH, "/admin/v1/users/billing-organization", disabled)
        .await;
    let after = world
        .call(billing, Method::GET, "/admin/v1/me", Value::Null, false)
        .await;
    assert_eq!(after.status, StatusCode::UNAUTHORIZED);
    // A token of a user opens no model.
    assert_eq!(world.site.chat(owner, "m").await.status, StatusCode::UNAUTHORIZED);
}

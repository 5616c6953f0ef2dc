//! SCIM 2.0 as directories speak it: the standard's cases one by one, and what they do to holders, roles and keys.

use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use serde_json::{Value, json};

use crate::admin::Site;
use crate::harness::{Answer, exchange};

const USER: &str = "urn:ietf:params:scim:schemas:core:2.0:User";
const GROUP: &str = "urn:ietf:params:scim:schemas:core:2.0:Group";
const ENTERPRISE: &str = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";
const PATCH: &str = "urn:ietf:params:scim:api:messages:2.0:PatchOp";
const ERROR: &str = "urn:ietf:params:scim:api:messages:2.0:Error";

/// Two organizations, and the directory of the first.
struct Directory {
    site: Site,
    token: String,
}

impl Directory {
    async fn open() -> Self {
        let site = Site::open().await;
        for id in ["acme", "evil"] {
            site.does(Method::POST, "/admin/v1/organizations", json!({"id": id}))
                .await;
        }
        let token = person(&site, "directory", "acme", "owner").await;
        Self { site, token }
    }

    async fn ask(
        &self,
        method: Method,
        path: &str,
        body: Value,
        more: &[(header::HeaderName, &str)],
    ) -> Answer {
        self.ask_as(&self.token, (method, &format!("/scim/v2/acme{path}")), body, more)
            .await
    }

    async fn ask_as(
        &self,
        token: &str,
        (method, path): (Method, &str),
        body: Value,
        more: &[(header::HeaderName, &str)],
    ) -> Answer {
        let mut headers = HeaderMap::new();
        headers.insert(header::AUTHORIZATION, format!("Bearer {token}").parse().unwrap());
        headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/scim+json"),
        );
        for (name, value) in more {
            headers.insert(name, value.parse().unwrap());
        }
        let body = if body.is_null() {
            String::new()
        } else {
            body.to_string()
        };
        exchange(self.site.house.admin, method, path, headers, body.into())
            .await
            .unwrap()
    }

    /// Asks, and expects it to be done.
    async fn does(&self, method: Method, path: &str, body: Value) -> Value {
        let answer = self.ask(method.clone(), path, body, &[]).await;
        assert!(answer.status.is_success(), "{method} {path}: {}", answer.text());
        if answer.body.is_empty() {
            return Value::Null;
        }
        assert_eq!(answer.header("content-type"), "application/scim+json");
        answer.json()
    }

    async fn user(&self, name: &str, more: Value) -> String {
        let mut body = json!({"schemas": [USER], "userName": name});
        for (field, value) in more.as_object().unwrap() {
            body[field] = value.clone();
        }
        let made = self.does(Method::POST, "/Users", body).await;
        made["id"].as_str().unwrap().to_owned()
    }

    async fn patch(&self, path: &str, operations: Value) -> Answer {
        let change = json!({"schemas": [PATCH], "Operations": operations});
        self.ask(Method::PATCH, path, change, &[]).await
    }

    /// The names of those that a filter finds.
    async fn found(&self, filter: &str) -> Vec<String> {
        let filter: String = filter.bytes().map(|byte| format!("%{byte:02X}")).collect();
        let found = self
            .does(Method::GET, &format!("/Users?filter={filter}"), Value::Null)
            .await;
        let all = found["Resources"].as_array().unwrap();
        assert_eq!(found["totalResults"], all.len());
        all.iter()
            .map(|user| user["userName"].as_str().unwrap().to_owned())
            .collect()
    }
}

/// A token of a new user with a role.
async fn person(site: &Site, id: &str, organization: &str, role: &str) -> String {
    let user = json!({"id": id, "organization": organization});
    site.does(Method::POST, "/admin/v1/users", user).await;
    let path = format!("/admin/v1/organizations/{organization}/members/{id}");
    site.does(Method::PUT, &path, json!({"role": role})).await;
    let path = format!("/admin/v1/users/{id}/tokens");
    let made = site.does(Method::POST, &path, json!({})).await;
    made["secret"].as_str().unwrap().to_owned()
}

fn refused(answer: &Answer, status: u16, kind: Option<&str>) {
    assert_eq!(answer.status, status, "{}", answer.text());
    let error = answer.json();
    assert_eq!(error["schemas"], json!([ERROR]));
    assert_eq!(error["status"], status.to_string());
    assert_eq!(error["scimType"].as_str(), kind, "{error}");
    assert!(error["detail"].is_string());
}

#[expect(clippy::too_many_lines, reason = "the life of a user, from beginning to end")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_user_is_made_changed_disabled_and_deleted() {
    let directory = Directory::open().await;
    let kim = json!({
        "schemas": [USER, ENTERPRISE],
        "userName": "Kim@Acme.example",
        "externalId": "00u7",
        "name": {"givenName": "Kim", "familyName": "Jensen", "formatted": "Kim Jensen"},
        "emails": [{"value": "kim@acme.example", "type": "work", "primary": true}],
        "password": "t1meMa$heen",
        "roles": [{"value": "viewer"}],
        ENTERPRISE: {"department": "Rails"},
        "id": "chosen-by-the-client",
        "shoeSize": 40,
    });
    let made = directory.ask(Method::POST, "/Users", kim.clone(), &[]).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.text());
    let (tag, place) = (made.header("etag").to_owned(), made.header("location").to_owned());
    let user = made.json();
    let id = user["id"].as_str().unwrap().to_owned();
    assert!(id.starts_with("user_"), "ids are the service's: {id}");
    assert_eq!(user["schemas"], json!([USER, ENTERPRISE]));
    assert_eq!(
        (&user["userName"], &user["active"]),
        (&json!("Kim@Acme.example"), &json!(true))
    );
    assert_eq!(user[ENTERPRISE]["department"], "Rails");
    assert!(user.get("password").is_none() && user.get("shoeSize").is_none());
    let meta = &user["meta"];
    assert_eq!(
        (&meta["resourceType"], &meta["version"]),
        (&json!("User"), &json!(tag))
    );
    assert_eq!(meta["location"], json!(place));
    assert!(place.ends_with(&format!("/scim/v2/acme/Users/{id}")), "{place}");
    // The same, read again; and not again where the client has it.
    let path = format!("/Users/{id}");
    let read = directory.ask(Method::GET, &path, Value::Null, &[]).await;
    assert_eq!((read.json(), read.header("etag")), (user.clone(), tag.as_str()));
    let known = directory
        .ask(Method::GET, &path, Value::Null, &[(header::IF_NONE_MATCH, &tag)])
        .await;
    assert_eq!(known.status, StatusCode::NOT_MODIFIED);
    // A user of the organization, with a role in it.
    let holder = directory
        .site
        .does(Method::GET, &format!("/admin/v1/users/{id}"), Value::Null)
        .await;
    assert_eq!(
        (&holder["name"], &holder["organization"]),
        (&json!("Kim Jensen"), &json!("acme"))
    );
    let member = format!("/admin/v1/organizations/acme/members/{id}");
    let role = directory.site.does(Method::GET, &member, Value::Null).await;
    assert_eq!(
        (&role["role"], &role["source"]),
        (&json!("viewer"), &json!("directory"))
    );
    // No two of the same name, in letters of any size.
    let again = json!({"schemas": [USER], "userName": "kim@ACME.example"});
    refused(
        &directory.ask(Method::POST, "/Users", again, &[]).await,
        409,
        Some("uniqueness"),
    );
    // Replaced as a whole: what is not said is gone.
    let less = json!({"schemas": [USER], "userName": "kim@acme.example", "active": true});
    let stale = directory
        .ask(Method::PUT, &path, less.clone(), &[(header::IF_MATCH, "W/\"1\"")])
        .await;
    refused(&stale, 412, None);
    let put = directory
        .ask(Method::PUT, &path, less, &[(header::IF_MATCH, &tag)])
        .await;
    assert_eq!(put.status, StatusCode::OK, "{}", put.text());
    let replaced = put.json();
    assert!(replaced.get("name").is_none() && replaced.get("emails").is_none());
    assert_eq!(replaced["meta"]["created"], user["meta"]["created"]);
    let gone = directory.site.call(Method::GET, &member, Value::Null).await;
    assert_eq!(gone.status, StatusCode::NOT_FOUND, "the role was the directory's");
    // Disabled: keys are refused at once. Entra writes it so.
    let key = directory
        .site
        .does(Method::POST, "/admin/v1/keys", json!({"user": id}))
        .await;
    let secret = key["secret"].as_str().unwrap();
    assert_eq!(directory.site.chat(secret, "m").await.status, StatusCode::OK);
    for (active, status) in [("False", StatusCode::UNAUTHORIZED), ("True", StatusCode::OK)] {
        let done = directory
            .patch(
                &path,
                json!([{"op": "Replace", "path": "active", "value": active}]),
            )
            .await;
        assert_eq!(done.status, StatusCode::OK, "{}", done.text());
        assert_eq!(done.json()["active"], active == "True");
        assert_eq!(directory.site.chat(secret, "m").await.status, status);
    }
    // Deleted, for good.
    directory.does(Method::DELETE, &path, Value::Null).await;
    refused(
        &directory.ask(Method::GET, &path, Value::Null, &[]).await,
        404,
        None,
    );
    refused(
        &directory.ask(Method::DELETE, &path, Value::Null, &[]).await,
        404,
        None,
    );
    assert_eq!(
        directory.site.chat(secret, "m").await.status,
        StatusCode::UNAUTHORIZED
    );
    let anew = directory.user("kim@acme.example", json!({})).await;
    assert_ne!(anew, id);
}

#[expect(clippy::too_many_lines, reason = "a list of questions")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lists_are_filtered_and_turned_page_by_page() {
    let directory = Directory::open().await;
    for at in 0..7 {
        let more = json!({
            "externalId": format!("x{at}"), "active": at % 2 == 0,
            "emails": [{"value": format!("u{at}@acme.example"), "type": if at < 3 { "work" } else { "home" }}],
        });
        directory.user(&format!("u{at}"), more).await;
    }
    for (filter, expected) in [
        ("userName eq \"U3\"", &["u3"][..]),
        ("userName eq \"x3\"", &[]),
        ("externalId eq \"x3\"", &["u3"]),
        ("externalId eq \"X3\"", &[]),
        ("active eq false and emails[type eq \"work\"]", &["u1"]),
        (
            "emails.value ew \"acme.example\" and not (userName sw \"u\")",
            &[],
        ),
        ("userName gt \"u4\"", &["u5", "u6"]),
        (
            "meta.created gt \"2020-01-01T00:00:00Z\" and userName le \"u1\"",
            &["u0", "u1"],
        ),
        ("title pr", &[]),
    ] {
        assert_eq!(directory.found(filter).await, expected, "{filter}");
    }
    let page = |query: &'static str| {
        let directory = &directory;
        async move {
            let page = directory
                .does(Method::GET, &format!("/Users?{query}"), Value::Null)
                .await;
            let names: Vec<_> = page["Resources"]
                .as_array()
                .unwrap()
                .iter()
                .map(|user| user["userName"].clone())
                .collect();
            (
                page["totalResults"].clone(),
                page["startIndex"].clone(),
                page["itemsPerPage"].clone(),
                names,
            )
        }
    };
    // RFC 7644, section 3.4.2.4.
    for (query, start, names) in [
        ("startIndex=1&count=2", 1, json!(["u0", "u1"])),
        ("startIndex=6&count=5", 6, json!(["u5", "u6"])),
        ("startIndex=0&count=1", 1, json!(["u0"])),
        ("startIndex=-3&count=1", 1, json!(["u0"])),
        ("count=0", 1, json!([])),
        ("count=-1", 1, json!([])),
        ("startIndex=100", 100, json!([])),
    ] {
        let names: Vec<Value> = serde_json::from_value(names).unwrap();
        assert_eq!(
            page(query).await,
            (json!(7), json!(start), json!(names.len()), names),
            "{query}"
        );
    }
    // Only what is asked for, or all but what is not.
    let only = directory
        .does(
            Method::GET,
            "/Users?count=1&attributes=userName,emails.value",
            Value::Null,
        )
        .await;
    let mut fields: Vec<_> = only["Resources"][0]
        .as_object()
        .unwrap()
        .keys()
        .cloned()
        .collect();
    fields.sort();
    assert_eq!(fields, ["emails", "id", "schemas", "userName"]);
    assert_eq!(
        only["Resources"][0]["emails"],
        json!([{"value": "u0@acme.example"}])
    );
    let without = directory
        .does(
            Method::GET,
            "/Users?count=1&excludedAttributes=emails,id,meta",
            Value::Null,
        )
        .await;
    let shown = &without["Resources"][0];
    assert!(shown.get("emails").is_none() && shown.get("meta").is_none() && shown["id"].is_string());
    for (query, kind) in [
        ("filter=userName", "invalidFilter"),
        ("filter=%27%20OR%20%271%27=%271", "invalidFilter"),
        ("filter=groups.value%20pr", "invalidFilter"),
        ("count=many", "invalidValue"),
    ] {
        let answer = directory
            .ask(Method::GET, &format!("/Users?{query}"), Value::Null, &[])
            .await;
        refused(&answer, 400, Some(kind));
    }
}

#[expect(clippy::too_many_lines, reason = "the life of a group, from beginning to end")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn groups_are_teams_and_their_members_see_them() {
    let directory = Directory::open().await;
    let (a, b) = (
        directory.user("a", json!({})).await,
        directory.user("b", json!({})).await,
    );
    let group =
        json!({"schemas": [GROUP], "displayName": "Rails", "externalId": "g1", "members": [{"value": a}]});
    let made = directory.does(Method::POST, "/Groups", group.clone()).await;
    let id = made["id"].as_str().unwrap().to_owned();
    assert_eq!(made["members"][0]["value"], json!(a));
    assert!(
        made["members"][0]["$ref"]
            .as_str()
            .unwrap()
            .ends_with(&format!("/Users/{a}"))
    );
    refused(
        &directory.ask(Method::POST, "/Groups", group, &[]).await,
        409,
        Some("uniqueness"),
    );
    let team = directory
        .site
        .does(Method::GET, &format!("/admin/v1/teams/{id}"), Value::Null)
        .await;
    assert_eq!(
        (&team["name"], &team["organization"]),
        (&json!("Rails"), &json!("acme"))
    );
    let members = async || {
        let path = format!("/admin/v1/teams/{id}/members");
        let all = directory.site.does(Method::GET, &path, Value::Null).await;
        let own = |member: &Value| {
            (
                member["user"].as_str().unwrap().to_owned(),
                member["role"].as_str().unwrap().to_owned(),
            )
        };
        let mut all: Vec<_> = all["data"].as_array().unwrap().iter().map(own).collect();
        all.sort();
        all
    };
    let viewer = |user: &String| (user.clone(), "viewer".to_owned());
    assert_eq!(members().await, [viewer(&a)]);
    let shown = directory
        .does(Method::GET, &format!("/Users/{a}"), Value::Null)
        .await;
    assert_eq!(
        (&shown["groups"][0]["value"], &shown["groups"][0]["display"]),
        (&json!(id), &json!("Rails"))
    );
    // In and out, as Okta and Entra ask for it.
    let path = format!("/Groups/{id}");
    let mut expected = vec![viewer(&a), viewer(&b)];
    expected.sort();
    let done = directory
        .patch(
            &path,
            json!([{"op": "Add", "path": "members", "value": [{"value": b}]}]),
        )
        .await;
    assert_eq!(done.status, StatusCode::OK, "{}", done.text());
    assert_eq!(members().await, expected);
    let remove = format!("members[value eq \"{a}\"]");
    directory
        .patch(&path, json!([{"op": "remove", "path": remove}]))
        .await;
    assert_eq!(members().await, [viewer(&b)]);
    // Who was given more by hand keeps it, and is in the group.
    let by_hand = format!("/admin/v1/teams/{id}/members/{b}");
    directory
        .site
        .does(Method::PUT, &by_hand, json!({"role": "admin"}))
        .await;
    directory
        .patch(
            &path,
            json!([{"op": "remove", "path": "members", "value": [{"value": b}]}]),
        )
        .await;
    assert_eq!(members().await, [(b.clone(), "admin".to_owned())]);
    let replaced =
        json!({"schemas": [GROUP], "displayName": "Tracks", "members": [{"value": a}, {"value": b}]});
    let replaced = directory.does(Method::PUT, &path, replaced).await;
    assert_eq!(
        (
            &replaced["displayName"],
            replaced["members"].as_array().unwrap().len()
        ),
        (&json!("Tracks"), 2)
    );
    let team = directory
        .site
        .does(Method::GET, &format!("/admin/v1/teams/{id}"), Value::Null)
        .await;
    assert_eq!(team["name"], "Tracks");
    let without = directory
        .does(
            Method::GET,
            &format!("{path}?excludedAttributes=members"),
            Value::Null,
        )
        .await;
    assert!(without.get("members").is_none());
    // Whoever is deleted is in no group.
    directory
        .does(Method::DELETE, &format!("/Users/{a}"), Value::Null)
        .await;
    let left = directory.does(Method::GET, &path, Value::Null).await;
    assert_eq!(left["members"].as_array().unwrap().len(), 1);
    // Only users of this directory are members; no groups, and nobody that the directory has not made.
    let group_in = json!([{"value": id, "type": "Group"}]);
    for members in [
        json!([{"value": "directory"}]),
        json!([{"value": "none"}]),
        json!([{"display": "x"}]),
        group_in,
    ] {
        let answer = directory
            .patch(&path, json!([{"op": "add", "path": "members", "value": members}]))
            .await;
        refused(&answer, 400, Some("invalidValue"));
    }
    // The keys of a team go with it.
    let key = directory
        .site
        .does(Method::POST, "/admin/v1/keys", json!({"team": id}))
        .await;
    let secret = key["secret"].as_str().unwrap();
    assert_eq!(directory.site.chat(secret, "m").await.status, StatusCode::OK);
    directory.does(Method::DELETE, &path, Value::Null).await;
    assert_eq!(
        directory.site.chat(secret, "m").await.status,
        StatusCode::UNAUTHORIZED
    );
}

#[expect(clippy::too_many_lines, reason = "a list of what is refused")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_makes_no_sense_is_refused_in_the_standards_words() {
    let directory = Directory::open().await;
    let id = directory
        .user("kim", json!({"emails": [{"type": "work", "value": "k@x"}]}))
        .await;
    let user = format!("/Users/{id}");
    for (method, path, body, status, kind) in [
        (
            Method::POST,
            "/Users",
            json!({"userName": "x"}),
            400,
            Some("invalidSyntax"),
        ),
        (
            Method::POST,
            "/Users",
            json!({"schemas": [GROUP], "userName": "x"}),
            400,
            Some("invalidSyntax"),
        ),
        (
            Method::POST,
            "/Users",
            json!({"schemas": [USER]}),
            400,
            Some("invalidValue"),
        ),
        (
            Method::POST,
            "/Users",
            json!({"schemas": [USER], "userName": ""}),
            400,
            Some("invalidValue"),
        ),
        (
            Method::POST,
            "/Users",
            json!({"schemas": [USER], "userName": 7}),
            400,
            Some("invalidValue"),
        ),
        (
            Method::POST,
            "/Users",
            json!({"schemas": [USER], "userName": "x", "active": "perhaps"}),
            400,
            Some("invalidValue"),
        ),
        (Method::POST, "/Users", json!(["x"]), 400, Some("invalidSyntax")),
        (
            Method::POST,
            "/Groups",
            json!({"schemas": [GROUP]}),
            400,
            Some("invalidValue"),
        ),
        (
            Method::PUT,
            "/Users/none",
            json!({"schemas": [USER], "userName": "x"}),
            404,
            None,
        ),
        (Method::PATCH, "/Users/none", json!({}), 404, None),
        (Method::DELETE, "/Groups/none", Value::Null, 404, None),
        (
            Method::PATCH,
            user.as_str(),
            json!({}),
            400,
            Some("invalidSyntax"),
        ),
        (
            Method::PATCH,
            user.as_str(),
            json!({"schemas": [PATCH], "Operations": [{"op": "remove"}]}),
            400,
            Some("noTarget"),
        ),
        (
            Method::PATCH,
            user.as_str(),
            json!({"schemas": [PATCH], "Operations": [{"op": "remove", "path": "userName"}]}),
            400,
            Some("invalidValue"),
        ),
        (
            Method::PATCH,
            user.as_str(),
            json!({"schemas": [PATCH], "Operations": [{"op": "replace", "path": "id", "value": "x"}]}),
            400,
            Some("mutability"),
        ),
        (
            Method::PATCH,
            user.as_str(),
            json!({"schemas": [PATCH], "Operations": [{"op": "replace", "path": "emails[type eq \"home\"].value", "value": "x"}]}),
            400,
            Some("noTarget"),
        ),
        (Method::GET, "/Bulk", Value::Null, 404, None),
        (Method::DELETE, "/Users", Value::Null, 405, None),
    ] {
        let answer = directory.ask(method.clone(), path, body.clone(), &[]).await;
        assert_eq!(answer.status, status, "{method} {path} {body}: {}", answer.text());
        refused(&answer, status, kind);
    }
    // Of a change that is refused, nothing is done.
    let change = json!([{"op": "replace", "path": "displayName", "value": "K"}, {"op": "remove"}]);
    refused(&directory.patch(&user, change).await, 400, Some("noTarget"));
    let shown = directory.does(Method::GET, &user, Value::Null).await;
    assert!(shown.get("displayName").is_none());
    for path in [
        "/ServiceProviderConfig",
        "/ResourceTypes",
        "/ResourceTypes/User",
        "/Schemas",
    ] {
        directory.does(Method::GET, path, Value::Null).await;
    }
    let schema = directory
        .does(Method::GET, &format!("/Schemas/{USER}"), Value::Null)
        .await;
    assert_eq!(schema["name"], "User");
}

#[expect(clippy::too_many_lines, reason = "one story, told from beginning to end")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_directory_is_its_organizations_and_gives_no_more_than_its_token_has() {
    let directory = Directory::open().await;
    let id = directory.user("kim", json!({})).await;
    let evil = person(&directory.site, "evil-owner", "evil", "owner").await;
    let admin = person(&directory.site, "acme-admin", "acme", "admin").await;
    let get = |path: &str| (Method::GET, path.to_owned());
    for (token, (method, path), status) in [
        (&evil, get("/scim/v2/acme/Users"), 404),
        (&evil, get(&format!("/scim/v2/acme/Users/{id}")), 404),
        (&evil, get(&format!("/scim/v2/evil/Users/{id}")), 404),
        (&evil, (Method::DELETE, format!("/scim/v2/evil/Users/{id}")), 404),
        (&admin, get("/scim/v2/acme/Users"), 403),
        (&directory.token, get("/scim/v2/none/Users"), 404),
        (&"pmt-wrong".to_owned(), get("/scim/v2/acme/Users"), 401),
    ] {
        let answer = directory.ask_as(token, (method, &path), Value::Null, &[]).await;
        refused(&answer, status, None);
    }
    // The same name in another directory is another user, and neither learns of the other.
    let user = json!({"schemas": [USER], "userName": "kim"});
    let other = directory
        .ask_as(&evil, (Method::POST, "/scim/v2/evil/Users"), user, &[])
        .await;
    assert_eq!(other.status, StatusCode::CREATED);
    let member = json!({"schemas": [GROUP], "displayName": "g", "members": [{"value": id}]});
    let member = directory
        .ask_as(&evil, (Method::POST, "/scim/v2/evil/Groups"), member, &[])
        .await;
    refused(&member, 400, Some("invalidValue"));
    // A role for directories: it makes users, and none who may do more than it.
    let role = json!({"permissions": [
        "directory.write", "organizations.read", "teams.read", "projects.read", "users.read", "keys.read", "usage.read",
        "decisions.read", "members.read",
    ]});
    directory
        .site
        .does(
            Method::PUT,
            "/admin/v1/organizations/acme/roles/provisioner",
            role,
        )
        .await;
    let token = person(&directory.site, "okta", "acme", "provisioner").await;
    let make = |role: &str| {
        let body = json!({"schemas": [USER], "userName": format!("new-{role}"), "roles": [{"value": role}]});
        directory.ask_as(&token, (Method::POST, "/scim/v2/acme/Users"), body, &[])
    };
    assert_eq!(make("viewer").await.status, StatusCode::CREATED);
    // What no role is called gives nothing.
    let body =
        json!({"schemas": [USER], "userName": "new", "roles": [{"value": "none-such"}, {"value": "viewer"}]});
    let made = directory
        .ask_as(&token, (Method::POST, "/scim/v2/acme/Users"), body, &[])
        .await;
    let made = made.json();
    assert_eq!(made["roles"][0]["value"], "none-such");
    let path = format!(
        "/admin/v1/organizations/acme/members/{}",
        made["id"].as_str().unwrap()
    );
    let member = directory.site.does(Method::GET, &path, Value::Null).await;
    assert_eq!(member["role"], "viewer");
    for more in ["admin", "owner", "billing"] {
        refused(&make(more).await, 403, None);
    }
    // Nor does it end whoever may do more.
    let path = format!("/admin/v1/organizations/acme/members/{id}");
    directory
        .site
        .does(Method::PUT, &path, json!({"role": "owner"}))
        .await;
    let path = format!("/scim/v2/acme/Users/{id}");
    let gone = directory
        .ask_as(&token, (Method::DELETE, &path), Value::Null, &[])
        .await;
    refused(&gone, 403, None);
}

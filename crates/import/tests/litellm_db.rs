//! LiteLLM's database, made by its documented columns on a real PostgreSQL, and what becomes of it.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test says what it expects by failing"
)]

use pointsman_catalog::Money;
use pointsman_import::{Fate, litellm_db};
use pointsman_store::{Budget, BudgetWindow, HolderKind, Store, hash_key};
use pointsman_testbed::postgres::PostgresServer;
use serde_json::json;

/// Nothing that the rows keep secret may come out.
const SECRETS: [&str; 3] = ["lf-secret-1", "c2VjcmV0", "sk-clear-0000000000"];

fn source(server: &PostgresServer) -> String {
    let url = server.make("litellm").unwrap();
    for sql in [
        include_str!("litellm_db/schema.sql"),
        include_str!("litellm_db/rows.sql"),
    ] {
        server.query("litellm", sql).unwrap();
    }
    url
}

fn dollars(text: &str) -> Money {
    Money::parse(text).unwrap()
}

#[test]
#[expect(
    clippy::too_many_lines,
    clippy::cognitive_complexity,
    reason = "one database, looked at from all sides"
)]
fn keys_holders_budgets_and_spend_are_carried_over_and_the_rest_is_told() {
    let server = PostgresServer::start().unwrap();
    let url = source(&server);
    let migration = litellm_db(&format!("{url}?connection_limit=5&schema=public")).unwrap();
    let store = Store::open("sqlite::memory:").unwrap();
    let applied = migration.apply(&store).unwrap();
    assert_eq!(applied.refused, [""; 0]);
    assert_eq!((applied.keys, applied.there), (3, 0));

    let first = store
        .key_by_hash(hash_key("sk-first-0000000000"))
        .unwrap()
        .unwrap();
    let grant = &first.grant;
    let holders = [
        grant.organization.as_ref().map(|id| id.as_str()),
        grant.team.as_ref().map(|id| id.as_str()),
        grant.project.as_ref().map(|id| id.as_str()),
        grant.user.as_ref().map(|id| id.as_str()),
    ];
    assert_eq!(
        holders,
        [
            Some("acme"),
            Some("research"),
            Some("chatbot"),
            Some("me@example.com")
        ]
    );
    assert_eq!(
        (&*grant.name, &*first.hint, grant.requests_per_minute),
        ("first", "sk-...0000", Some(10))
    );
    assert_eq!(grant.models, [""; 0], "whatever the team may use");
    assert_eq!(grant.aliases.get("fast").map(String::as_str), Some("gpt-4o-mini"));
    assert_eq!(grant.budgets, [Budget::of(dollars("1.5"), BudgetWindow::Total)]);
    assert_eq!(grant.expires_at, Some(4_070_908_800_000));
    assert_eq!(first.metadata.get("note"), Some(&json!("kept")));
    assert_eq!(store.spent(&first.id, 0).unwrap(), dollars("0.3"));
    // What it was before it was rotated is good for as long as LiteLLM said.
    let before = store.key_by_hash(hash_key("sk-before-000000000")).unwrap();
    assert_eq!(before.map(|key| key.id), Some(first.id.clone()));
    assert_eq!(store.key_by_hash(hash_key("sk-older-0000000000")).unwrap(), None);

    let second = store
        .key_by_hash(hash_key("sk-second-000000000"))
        .unwrap()
        .unwrap();
    assert!(second.disabled_at.is_some(), "it was blocked");
    assert_eq!(second.grant.models, ["gpt-4o", "claude-*"]);
    assert_eq!(second.grant.plan.as_ref().map(|id| id.as_str()), Some("plan"));
    assert_eq!(
        second.grant.user.as_ref().map(|id| id.as_str()),
        Some("auth0+7C7")
    );
    // Its window was over before LiteLLM began it anew.
    assert_eq!(store.spent(&second.id, 1_600_000_000_000).unwrap(), Money::ZERO);
    assert_eq!(store.spent(&second.id, 0).unwrap(), dollars("9"));
    // A key in clear text works as any other, and is kept nowhere.
    let clear = store
        .key_by_hash(hash_key("sk-clear-0000000000"))
        .unwrap()
        .unwrap();
    assert_eq!(clear.grant.surfaces, ["/v1/chat/completions", "/v1/files*"]);
    for gone in [
        "sk-session-00000000",
        "sk-narrow-000000000",
        "sk-orphan-000000000",
    ] {
        assert_eq!(store.key_by_hash(hash_key(gone)).unwrap(), None, "{gone}");
    }

    let holder = |kind, id: &str| store.holder(kind, id).unwrap().unwrap();
    let acme = holder(HolderKind::Organization, "acme");
    let budget = Budget {
        soft: Some(dollars("800")),
        ..Budget::of(dollars("1000"), BudgetWindow::Month)
    };
    assert_eq!(
        (&*acme.spec.name, acme.spec.terms.budgets),
        ("Acme Inc.", vec![budget])
    );
    let research = holder(HolderKind::Team, "research");
    assert_eq!(research.spec.terms.tokens_per_minute, Some(200_000));
    assert_eq!(
        research.spec.metadata,
        *json!({"cost_center": 7}).as_object().unwrap()
    );
    assert!(holder(HolderKind::Team, "closed").spec.disabled);
    assert_eq!(
        holder(HolderKind::Plan, "plan").spec.terms.requests_per_minute,
        Some(60)
    );
    assert_eq!(
        holder(HolderKind::Project, "chatbot").spec.team.unwrap().as_str(),
        "research"
    );
    let me = holder(HolderKind::User, "me@example.com");
    assert_eq!(me.spec.organization.unwrap().as_str(), "acme");
    // To the nano-dollar, and each by itself.
    for (kind, id, spent) in [
        (HolderKind::Organization, "acme", "123.456789"),
        (HolderKind::Team, "research", "0.1"),
        (HolderKind::User, "me@example.com", "12.5"),
        (HolderKind::Project, "chatbot", "0"),
    ] {
        assert_eq!(store.spent_by(kind, id, 0).unwrap(), dollars(spent), "{id}");
    }

    // Again, nothing is made twice.
    let again = migration.apply(&store).unwrap();
    assert_eq!((again.keys, again.holders, again.balances), (0, 0, 0));
    assert_eq!(again.there, applied.keys + applied.holders + applied.balances);
    assert_eq!(store.spent(&first.id, 0).unwrap(), dollars("0.3"));

    let told = |table: &str, column: &str| {
        let mut told = migration.told().iter();
        let found = told.find(|told| told.table == table && told.column == column);
        found
            .unwrap_or_else(|| panic!("{table}.{column} is not told: {}", migration.text()))
            .clone()
    };
    assert_eq!(told("LiteLLM_UserTable", "password").fate, Fate::Secret);
    assert_eq!(
        told("LiteLLM_VerificationToken", "metadata.logging").fate,
        Fate::Secret
    );
    assert_eq!(
        told("LiteLLM_VerificationToken", "model_max_budget").examples,
        ["first"]
    );
    for (table, column) in [
        ("LiteLLM_TeamTable", ""),
        ("LiteLLM_TeamTable", "members_with_roles"),
        ("LiteLLM_TeamTable", "metadata.guardrails"),
        ("LiteLLM_UserTable", "user_role"),
        ("LiteLLM_TeamMembership", ""),
        ("LiteLLM_SpendLogs", ""),
    ] {
        told(table, column);
    }
    let keys = migration.told().iter();
    let keys = keys.filter(|told| told.table == "LiteLLM_VerificationToken" && told.column.is_empty());
    assert_eq!(
        keys.map(|told| told.rows).sum::<u64>(),
        3,
        "each key that is not carried over is told: {}",
        migration.text()
    );
    assert!(
        !migration.text().contains("LiteLLM_TagTable"),
        "an empty table says nothing"
    );
    let dump = format!(
        "{}{}{}{migration:?}",
        migration.text(),
        migration.json(),
        migration.markdown()
    );
    for secret in SECRETS {
        assert!(!dump.contains(secret), "{secret} is told");
    }
    // The database is as it was.
    assert_eq!(
        server
            .query("litellm", "SELECT count(*) FROM \"LiteLLM_VerificationToken\"")
            .unwrap(),
        "6"
    );
}

#[test]
fn what_is_no_database_of_litellm_is_refused_without_its_password() {
    let server = PostgresServer::start().unwrap();
    let url = server.make("empty").unwrap();
    let refused = litellm_db(&url).unwrap_err().to_string();
    assert!(refused.contains("it is not LiteLLM's database"), "{refused}");
    for url in [
        "mysql://me:hunter22@127.0.0.1/litellm",
        "postgres://me:hunter22@127.0.0.1:1/litellm",
    ] {
        let refused = litellm_db(url).unwrap_err().to_string();
        assert!(!refused.contains("hunter22"), "{refused}");
    }
}

//! The schema, step by step, each with its way back. One replica at a time takes steps; docs/stores.md says what the
//! tables hold.

use super::connection::Connection;
use super::{MIGRATION, SCHEMA_LOCK};
use crate::store::{Session, StoreError, now, values};

/// A step: what it does, and what undoes it. The first has no way back but to drop the database.
struct Step {
    forward: &'static str,
    back: Option<&'static str>,
}

/// Steps that are known.
pub(super) const KNOWN: u32 = STEPS.len() as u32;

const STEPS: [Step; 11] = [
    Step {
        forward: r#"
    CREATE TABLE sequence (one BIGINT PRIMARY KEY CHECK (one = 1), value BIGINT NOT NULL);
    INSERT INTO sequence VALUES (1, 1);
    CREATE TABLE keys (
        number BIGINT GENERATED ALWAYS AS IDENTITY UNIQUE, id TEXT COLLATE "C" PRIMARY KEY, hash BYTEA NOT NULL UNIQUE,
        hint TEXT NOT NULL, grant_json TEXT NOT NULL, created_at BIGINT NOT NULL, revoked_at BIGINT,
        changed BIGINT NOT NULL, updated_at BIGINT NOT NULL, disabled_at BIGINT, old_hash BYTEA, old_until BIGINT,
        metadata_json TEXT NOT NULL,
        name TEXT GENERATED ALWAYS AS (grant_json::jsonb ->> 'name') STORED,
        organization TEXT GENERATED ALWAYS AS (grant_json::jsonb ->> 'organization') STORED,
        team TEXT GENERATED ALWAYS AS (grant_json::jsonb ->> 'team') STORED,
        project TEXT GENERATED ALWAYS AS (grant_json::jsonb ->> 'project') STORED,
        "user" TEXT GENERATED ALWAYS AS (grant_json::jsonb ->> 'user') STORED,
        plan TEXT GENERATED ALWAYS AS (grant_json::jsonb ->> 'plan') STORED,
        expires_at BIGINT GENERATED ALWAYS AS ((grant_json::jsonb ->> 'expires_at')::bigint) STORED
    );
    CREATE INDEX keys_by_change ON keys (changed);
    CREATE INDEX keys_by_former ON keys (old_hash) WHERE old_hash IS NOT NULL;
    CREATE INDEX keys_by_name ON keys (name, number) WHERE name <> '';
    CREATE INDEX keys_by_organization ON keys (organization, number) WHERE organization IS NOT NULL;
    CREATE INDEX keys_by_team ON keys (team, number) WHERE team IS NOT NULL;
    CREATE INDEX keys_by_project ON keys (project, number) WHERE project IS NOT NULL;
    CREATE INDEX keys_by_user ON keys ("user", number) WHERE "user" IS NOT NULL;
    CREATE INDEX keys_by_plan ON keys (plan, number) WHERE plan IS NOT NULL;
    CREATE TABLE holders (
        number BIGINT GENERATED ALWAYS AS IDENTITY UNIQUE, kind TEXT NOT NULL, id TEXT COLLATE "C" NOT NULL,
        name TEXT NOT NULL, organization TEXT, team TEXT, terms_json TEXT NOT NULL, metadata_json TEXT NOT NULL,
        created_at BIGINT NOT NULL, updated_at BIGINT NOT NULL, disabled_at BIGINT, deleted_at BIGINT,
        changed BIGINT NOT NULL, PRIMARY KEY (kind, id)
    );
    CREATE INDEX holders_by_change ON holders (changed);
    CREATE TABLE settings (name TEXT PRIMARY KEY, value BYTEA NOT NULL);
    CREATE TABLE audit (
        number BIGINT PRIMARY KEY, at BIGINT NOT NULL, actor TEXT NOT NULL, source TEXT NOT NULL, action TEXT NOT NULL,
        kind TEXT NOT NULL, object TEXT NOT NULL, before_json TEXT, after_json TEXT, hash BYTEA NOT NULL
    );
    CREATE INDEX audit_by_object ON audit (kind, object);
    CREATE TABLE ledger (
        id TEXT COLLATE "C" NOT NULL, at BIGINT NOT NULL, key TEXT COLLATE "C", team TEXT COLLATE "C",
        "user" TEXT COLLATE "C", surface TEXT NOT NULL, model_requested TEXT NOT NULL, provider TEXT COLLATE "C", model TEXT COLLATE "C",
        decision TEXT, outcome TEXT NOT NULL, usage_json TEXT NOT NULL, input BIGINT NOT NULL, output BIGINT NOT NULL,
        estimated BOOLEAN NOT NULL, cost BIGINT NOT NULL, attempts BIGINT NOT NULL, streamed BOOLEAN NOT NULL,
        status BIGINT NOT NULL, latency_us BIGINT NOT NULL, ttft_us BIGINT, cache TEXT NOT NULL,
        organization TEXT COLLATE "C", project TEXT COLLATE "C", PRIMARY KEY (at, id)
    ) PARTITION BY RANGE (at);
    CREATE INDEX ledger_by_key ON ledger (key, at) WHERE key IS NOT NULL;
    CREATE INDEX ledger_by_team ON ledger (team, at) WHERE team IS NOT NULL;
    CREATE INDEX ledger_by_user ON ledger ("user", at) WHERE "user" IS NOT NULL;
    CREATE INDEX ledger_by_project ON ledger (project, at) WHERE project IS NOT NULL;
    CREATE INDEX ledger_by_organization ON ledger (organization, at) WHERE organization IS NOT NULL;
    CREATE TABLE ledger_lines (id TEXT COLLATE "C" PRIMARY KEY, at BIGINT NOT NULL);
    "#,
        back: None,
    },
    Step {
        forward: r#"
    CREATE TABLE usage_by_key (
        day BIGINT NOT NULL, key TEXT COLLATE "C" NOT NULL, "user" TEXT COLLATE "C" NOT NULL,
        project TEXT COLLATE "C" NOT NULL, team TEXT COLLATE "C" NOT NULL, organization TEXT COLLATE "C" NOT NULL,
        provider TEXT COLLATE "C" NOT NULL, model TEXT COLLATE "C" NOT NULL,
        requests BIGINT NOT NULL, failed BIGINT NOT NULL, input BIGINT NOT NULL, output BIGINT NOT NULL,
        cost BIGINT NOT NULL, PRIMARY KEY (day, key, "user", project, team, organization, provider, model)
    );
    CREATE INDEX usage_by_key_of_key ON usage_by_key (key, day) WHERE key <> '';
    CREATE INDEX usage_by_key_of_user ON usage_by_key ("user", day) WHERE "user" <> '';
    CREATE INDEX usage_by_key_of_project ON usage_by_key (project, day) WHERE project <> '';
    CREATE TABLE usage_by_team (
        day BIGINT NOT NULL, team TEXT COLLATE "C" NOT NULL, organization TEXT COLLATE "C" NOT NULL,
        provider TEXT COLLATE "C" NOT NULL, model TEXT COLLATE "C" NOT NULL,
        requests BIGINT NOT NULL, failed BIGINT NOT NULL, input BIGINT NOT NULL, output BIGINT NOT NULL,
        cost BIGINT NOT NULL, PRIMARY KEY (day, team, organization, provider, model)
    );
    CREATE INDEX usage_by_team_of_team ON usage_by_team (team, day) WHERE team <> '';
    CREATE INDEX usage_by_team_of_organization ON usage_by_team (organization, day) WHERE organization <> '';
    INSERT INTO usage_by_key
        SELECT at / 86400000, COALESCE(key, ''), COALESCE("user", ''), COALESCE(project, ''), COALESCE(team, ''),
            COALESCE(organization, ''), COALESCE(provider, ''), COALESCE(model, ''), COUNT(*),
            COUNT(*) FILTER (WHERE outcome IN ('blocked', 'refused', 'provider_failed')), SUM(input), SUM(output), SUM(cost)
        FROM ledger GROUP BY 1, 2, 3, 4, 5, 6, 7, 8;
    INSERT INTO usage_by_team
        SELECT day, team, organization, provider, model, SUM(requests), SUM(failed), SUM(input), SUM(output), SUM(cost)
        FROM usage_by_key GROUP BY 1, 2, 3, 4, 5;
    "#,
        back: Some("DROP TABLE usage_by_key; DROP TABLE usage_by_team;"),
    },
    Step {
        forward: r#"
    CREATE TABLE routed_requests (
        number BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY, request TEXT COLLATE "C" NOT NULL UNIQUE, at BIGINT NOT NULL,
        tenant TEXT NOT NULL, scope TEXT NOT NULL, model TEXT NOT NULL, domain TEXT, others TEXT NOT NULL,
        judged BOOLEAN NOT NULL
    );
    CREATE TABLE routed_sessions (id TEXT COLLATE "C" PRIMARY KEY, at BIGINT NOT NULL, turn TEXT NOT NULL);
    CREATE INDEX routed_sessions_by_time ON routed_sessions (at);
    CREATE TABLE learned (name TEXT PRIMARY KEY, version BIGINT NOT NULL, body BYTEA NOT NULL);
    CREATE TABLE decisions (
        number BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY, at BIGINT NOT NULL, request TEXT COLLATE "C" NOT NULL UNIQUE,
        key TEXT COLLATE "C", team TEXT COLLATE "C", "user" TEXT COLLATE "C", decision TEXT COLLATE "C" NOT NULL,
        model TEXT COLLATE "C", outcome TEXT NOT NULL, record TEXT NOT NULL
    );
    CREATE INDEX decisions_by_name ON decisions (decision, number);
    CREATE INDEX decisions_by_time ON decisions (at);
    "#,
        back: Some(
            "DROP TABLE routed_requests; DROP TABLE routed_sessions; DROP TABLE learned; DROP TABLE decisions;",
        ),
    },
    Step {
        forward: r#"
    CREATE TABLE memberships (
        "user" TEXT COLLATE "C" NOT NULL, kind TEXT NOT NULL, scope TEXT COLLATE "C" NOT NULL, role TEXT NOT NULL,
        source TEXT NOT NULL, created_at BIGINT NOT NULL, updated_at BIGINT NOT NULL, changed BIGINT NOT NULL,
        PRIMARY KEY ("user", kind, scope)
    );
    CREATE INDEX memberships_by_scope ON memberships (kind, scope, "user");
    CREATE TABLE admin_roles (
        organization TEXT COLLATE "C" NOT NULL, name TEXT COLLATE "C" NOT NULL, permissions_json TEXT NOT NULL,
        created_at BIGINT NOT NULL, updated_at BIGINT NOT NULL, changed BIGINT NOT NULL, PRIMARY KEY (organization, name)
    );
    CREATE TABLE credentials (
        hash BYTEA PRIMARY KEY, id TEXT COLLATE "C" NOT NULL UNIQUE, "user" TEXT COLLATE "C" NOT NULL, kind TEXT NOT NULL,
        name TEXT NOT NULL, created_at BIGINT NOT NULL, expires_at BIGINT
    );
    CREATE INDEX credentials_by_user ON credentials ("user", created_at);
    CREATE INDEX credentials_by_end ON credentials (expires_at) WHERE expires_at IS NOT NULL;
    CREATE TABLE sign_ins (
        state BYTEA PRIMARY KEY, provider TEXT NOT NULL, browser BYTEA NOT NULL, nonce TEXT NOT NULL,
        verifier TEXT NOT NULL, back TEXT NOT NULL, expires_at BIGINT NOT NULL
    );
    CREATE TABLE directory (
        number BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY, kind TEXT NOT NULL, id TEXT COLLATE "C" NOT NULL,
        organization TEXT COLLATE "C" NOT NULL, name TEXT COLLATE "C" NOT NULL, external_id TEXT COLLATE "C",
        resource_json TEXT NOT NULL, created_at BIGINT NOT NULL, updated_at BIGINT NOT NULL, changed BIGINT NOT NULL,
        UNIQUE (kind, id), UNIQUE (organization, kind, name)
    );
    CREATE INDEX directory_by_external_id ON directory (organization, kind, external_id) WHERE external_id IS NOT NULL;
    "#,
        back: Some(
            "DROP TABLE memberships; DROP TABLE admin_roles; DROP TABLE credentials; DROP TABLE sign_ins; DROP TABLE directory;",
        ),
    },
    Step {
        forward: r#"
    ALTER TABLE ledger ADD COLUMN saved BIGINT NOT NULL DEFAULT 0;
    ALTER TABLE usage_by_key ADD COLUMN cached BIGINT NOT NULL DEFAULT 0,
        ADD COLUMN cached_tokens BIGINT NOT NULL DEFAULT 0, ADD COLUMN saved BIGINT NOT NULL DEFAULT 0;
    ALTER TABLE usage_by_team ADD COLUMN cached BIGINT NOT NULL DEFAULT 0,
        ADD COLUMN cached_tokens BIGINT NOT NULL DEFAULT 0, ADD COLUMN saved BIGINT NOT NULL DEFAULT 0;
    UPDATE usage_by_key AS sums SET cached = found.cached, cached_tokens = found.tokens
        FROM (SELECT at / 86400000 AS day, COALESCE(key, '') AS key, COALESCE("user", '') AS "user",
                COALESCE(project, '') AS project, COALESCE(team, '') AS team, COALESCE(organization, '') AS organization,
                COALESCE(provider, '') AS provider, COALESCE(model, '') AS model, COUNT(*) AS cached,
                SUM(input + output) AS tokens
            FROM ledger WHERE outcome = 'cached' GROUP BY 1, 2, 3, 4, 5, 6, 7, 8) AS found
        WHERE (sums.day, sums.key, sums."user", sums.project, sums.team, sums.organization, sums.provider, sums.model)
            = (found.day, found.key, found."user", found.project, found.team, found.organization, found.provider, found.model);
    UPDATE usage_by_team AS sums SET cached = found.cached, cached_tokens = found.tokens
        FROM (SELECT day, team, organization, provider, model, SUM(cached) AS cached, SUM(cached_tokens) AS tokens
            FROM usage_by_key WHERE cached > 0 GROUP BY 1, 2, 3, 4, 5) AS found
        WHERE (sums.day, sums.team, sums.organization, sums.provider, sums.model)
            = (found.day, found.team, found.organization, found.provider, found.model);
    "#,
        back: Some(
            "ALTER TABLE usage_by_team DROP COLUMN cached, DROP COLUMN cached_tokens, DROP COLUMN saved;
             ALTER TABLE usage_by_key DROP COLUMN cached, DROP COLUMN cached_tokens, DROP COLUMN saved;
             ALTER TABLE ledger DROP COLUMN saved;",
        ),
    },
    Step {
        forward: r#"
    CREATE TABLE memories (
        id TEXT COLLATE "C" PRIMARY KEY, owner TEXT COLLATE "C" NOT NULL, at BIGINT NOT NULL, expires_at BIGINT,
        text TEXT NOT NULL, model TEXT, vector BYTEA
    );
    CREATE INDEX memories_by_owner ON memories (owner, at);
    CREATE INDEX memories_by_end ON memories (expires_at) WHERE expires_at IS NOT NULL;
    CREATE TABLE memory_consents (owner TEXT COLLATE "C" PRIMARY KEY, agrees BIGINT NOT NULL, at BIGINT NOT NULL);
    "#,
        back: Some("DROP TABLE memories; DROP TABLE memory_consents;"),
    },
    Step {
        forward: r#"
    ALTER TABLE ledger ADD COLUMN customer TEXT COLLATE "C", ADD COLUMN agent TEXT COLLATE "C", ADD COLUMN tags TEXT;
    CREATE INDEX ledger_by_customer ON ledger (customer, at) WHERE customer IS NOT NULL;
    CREATE INDEX ledger_by_agent ON ledger (agent, at) WHERE agent IS NOT NULL;
    CREATE INDEX ledger_by_tag ON ledger USING gin ((tags::jsonb)) WHERE tags IS NOT NULL;
    CREATE INDEX holders_by_name ON holders (kind, name) WHERE name <> '';
    "#,
        back: Some(
            "DROP INDEX holders_by_name; DROP INDEX ledger_by_tag; DROP INDEX ledger_by_agent;
             DROP INDEX ledger_by_customer;
             ALTER TABLE ledger DROP COLUMN customer, DROP COLUMN agent, DROP COLUMN tags;
             DELETE FROM holders WHERE kind IN ('customer', 'agent', 'tag');",
        ),
    },
    Step {
        forward: r#"
    CREATE TABLE collections (
        id TEXT COLLATE "C" PRIMARY KEY, owner TEXT COLLATE "C" NOT NULL, at BIGINT NOT NULL, version BIGINT NOT NULL,
        name TEXT NOT NULL, metadata TEXT NOT NULL, readers TEXT NOT NULL
    );
    CREATE INDEX collections_by_owner ON collections (owner, at);
    CREATE TABLE collection_files (
        collection TEXT COLLATE "C" NOT NULL, file TEXT COLLATE "C" NOT NULL, at BIGINT NOT NULL, name TEXT NOT NULL,
        bytes BIGINT NOT NULL, passages BIGINT NOT NULL, attributes TEXT NOT NULL, PRIMARY KEY (collection, file)
    );
    CREATE TABLE passages (
        collection TEXT COLLATE "C" NOT NULL, file TEXT COLLATE "C" NOT NULL, number BIGINT NOT NULL, text TEXT NOT NULL,
        model TEXT NOT NULL, vector BYTEA NOT NULL, PRIMARY KEY (collection, file, number)
    );
    "#,
        back: Some("DROP TABLE collections; DROP TABLE collection_files; DROP TABLE passages;"),
    },
    Step {
        forward: r#"
    CREATE TABLE secrets (
        name TEXT COLLATE "C" PRIMARY KEY, fields_json TEXT NOT NULL, master_key TEXT NOT NULL, wrapped BYTEA NOT NULL,
        sealed BYTEA NOT NULL, created_at BIGINT NOT NULL, updated_at BIGINT NOT NULL, changed BIGINT NOT NULL
    );
    CREATE TABLE repeats (id BYTEA PRIMARY KEY, request BYTEA NOT NULL, at BIGINT NOT NULL, answer BYTEA);
    CREATE INDEX repeats_by_time ON repeats (at);
    "#,
        back: Some("DROP TABLE repeats; DROP TABLE secrets;"),
    },
    // Tables have other names than before, so that no older version writes to some of them alone: what it has waits in its
    // journal.
    Step {
        forward: r#"
    SET LOCAL work_mem = '256MB';
    ALTER TABLE usage_by_key RENAME TO usage_by_key_day;
    ALTER TABLE usage_by_team RENAME TO usage_by_team_day;
    CREATE TABLE usage_by_key_month (LIKE usage_by_key_day INCLUDING ALL) WITH (fillfactor = 80);
    CREATE TABLE usage_by_team_month (LIKE usage_by_team_day INCLUDING ALL) WITH (fillfactor = 80);
    INSERT INTO usage_by_key_month
        SELECT (date_trunc('month', (DATE '1970-01-01' + day::integer)::timestamp)::date - DATE '1970-01-01'),
            key, "user", project, team, organization, provider, model,
            SUM(requests), SUM(failed), SUM(input), SUM(output), SUM(cost),
            SUM(cached), SUM(cached_tokens), SUM(saved)
        FROM usage_by_key_day GROUP BY 1, 2, 3, 4, 5, 6, 7, 8;
    INSERT INTO usage_by_team_month
        SELECT (date_trunc('month', (DATE '1970-01-01' + day::integer)::timestamp)::date - DATE '1970-01-01'),
            team, organization, provider, model,
            SUM(requests), SUM(failed), SUM(input), SUM(output), SUM(cost),
            SUM(cached), SUM(cached_tokens), SUM(saved)
        FROM usage_by_team_day GROUP BY 1, 2, 3, 4, 5;
    CREATE TABLE usage_by_customer_month (
        day BIGINT NOT NULL, customer TEXT COLLATE "C" NOT NULL, team TEXT COLLATE "C" NOT NULL,
        organization TEXT COLLATE "C" NOT NULL, provider TEXT COLLATE "C" NOT NULL, model TEXT COLLATE "C" NOT NULL,
        requests BIGINT NOT NULL, failed BIGINT NOT NULL, input BIGINT NOT NULL, output BIGINT NOT NULL,
        cost BIGINT NOT NULL, cached BIGINT NOT NULL, cached_tokens BIGINT NOT NULL, saved BIGINT NOT NULL,
        PRIMARY KEY (day, customer, team, organization, provider, model)
    ) WITH (fillfactor = 80);
    CREATE INDEX usage_by_customer_month_of_customer ON usage_by_customer_month (customer, day);
    CREATE TABLE usage_by_agent_month (LIKE usage_by_customer_month) WITH (fillfactor = 80);
    ALTER TABLE usage_by_agent_month RENAME COLUMN customer TO agent;
    ALTER TABLE usage_by_agent_month ADD PRIMARY KEY (day, agent, team, organization, provider, model);
    CREATE INDEX usage_by_agent_month_of_agent ON usage_by_agent_month (agent, day);
    CREATE TABLE usage_by_tag_month (LIKE usage_by_customer_month) WITH (fillfactor = 80);
    ALTER TABLE usage_by_tag_month RENAME COLUMN customer TO tag;
    ALTER TABLE usage_by_tag_month ADD PRIMARY KEY (day, tag, team, organization, provider, model);
    CREATE INDEX usage_by_tag_month_of_tag ON usage_by_tag_month (tag, day);
    CREATE TEMPORARY VIEW named AS
        SELECT (date_trunc('month', (DATE '1970-01-01' + (at / 86400000)::integer)::timestamp)::date - DATE '1970-01-01') AS day,
            COALESCE(customer, '') AS customer, COALESCE(agent, '') AS agent, tags, COALESCE(team, '') AS team,
            COALESCE(organization, '') AS organization, COALESCE(provider, '') AS provider, COALESCE(model, '') AS model,
            1 AS requests, (outcome IN ('blocked', 'refused', 'provider_failed'))::integer AS failed, input, output, cost,
            (outcome = 'cached')::integer AS cached, CASE WHEN outcome = 'cached' THEN input + output ELSE 0 END AS cached_tokens,
            saved
        FROM ledger;
    INSERT INTO usage_by_customer_month
        SELECT day, customer, team, organization, provider, model,
            SUM(requests), SUM(failed), SUM(input), SUM(output), SUM(cost),
            SUM(cached), SUM(cached_tokens), SUM(saved)
        FROM named GROUP BY 1, 2, 3, 4, 5, 6;
    INSERT INTO usage_by_agent_month
        SELECT day, agent, team, organization, provider, model,
            SUM(requests), SUM(failed), SUM(input), SUM(output), SUM(cost),
            SUM(cached), SUM(cached_tokens), SUM(saved)
        FROM named GROUP BY 1, 2, 3, 4, 5, 6;
    INSERT INTO usage_by_tag_month
        SELECT day, COALESCE(one.tag, ''), team, organization, provider, model,
            SUM(requests), SUM(failed), SUM(input), SUM(output), SUM(cost),
            SUM(cached), SUM(cached_tokens), SUM(saved)
        FROM named LEFT JOIN LATERAL jsonb_array_elements_text(named.tags::jsonb) AS one (tag) ON TRUE
        GROUP BY 1, 2, 3, 4, 5, 6;
    DROP VIEW named;
    "#,
        back: Some(
            "DROP TABLE usage_by_tag_month; DROP TABLE usage_by_agent_month; DROP TABLE usage_by_customer_month;
             DROP TABLE usage_by_team_month; DROP TABLE usage_by_key_month;
             ALTER TABLE usage_by_team_day RENAME TO usage_by_team; ALTER TABLE usage_by_key_day RENAME TO usage_by_key;",
        ),
    },
    // Sums by what requests name have other names than before, because under none they have something else: what those that
    // name something sum up to, as less than nothing. Pages of sums keep room, so that a row that grows stays on its page.
    Step {
        forward: r#"
    ALTER TABLE usage_by_key_day SET (fillfactor = 60);
    ALTER TABLE usage_by_team_day SET (fillfactor = 60);
    ALTER TABLE usage_by_key_month SET (fillfactor = 60);
    ALTER TABLE usage_by_team_month SET (fillfactor = 60);
    ALTER TABLE usage_by_customer_month RENAME TO usage_of_customer_month;
    ALTER TABLE usage_of_customer_month SET (fillfactor = 60);
    ALTER INDEX usage_by_customer_month_of_customer RENAME TO usage_of_customer_month_by_customer;
    INSERT INTO usage_of_customer_month AS old
        SELECT day, '', team, organization, provider, model,
            -requests, -failed, -input, -output, -cost, -cached, -cached_tokens, -saved
        FROM usage_by_team_month WHERE TRUE
        ON CONFLICT (day, customer, team, organization, provider, model) DO UPDATE SET
            requests = old.requests + excluded.requests, failed = old.failed + excluded.failed,
            input = old.input + excluded.input, output = old.output + excluded.output,
            cost = old.cost + excluded.cost, cached = old.cached + excluded.cached,
            cached_tokens = old.cached_tokens + excluded.cached_tokens, saved = old.saved + excluded.saved;
    DELETE FROM usage_of_customer_month WHERE customer = '' AND requests = 0;
    ALTER TABLE usage_by_agent_month RENAME TO usage_of_agent_month;
    ALTER TABLE usage_of_agent_month SET (fillfactor = 60);
    ALTER INDEX usage_by_agent_month_of_agent RENAME TO usage_of_agent_month_by_agent;
    INSERT INTO usage_of_agent_month AS old
        SELECT day, '', team, organization, provider, model,
            -requests, -failed, -input, -output, -cost, -cached, -cached_tokens, -saved
        FROM usage_by_team_month WHERE TRUE
        ON CONFLICT (day, agent, team, organization, provider, model) DO UPDATE SET
            requests = old.requests + excluded.requests, failed = old.failed + excluded.failed,
            input = old.input + excluded.input, output = old.output + excluded.output,
            cost = old.cost + excluded.cost, cached = old.cached + excluded.cached,
            cached_tokens = old.cached_tokens + excluded.cached_tokens, saved = old.saved + excluded.saved;
    DELETE FROM usage_of_agent_month WHERE agent = '' AND requests = 0;
    ALTER TABLE usage_by_tag_month RENAME TO usage_of_tag_month;
    ALTER TABLE usage_of_tag_month SET (fillfactor = 60);
    ALTER INDEX usage_by_tag_month_of_tag RENAME TO usage_of_tag_month_by_tag;
    INSERT INTO usage_of_tag_month AS old
        SELECT day, '', team, organization, provider, model,
            -requests, -failed, -input, -output, -cost, -cached, -cached_tokens, -saved
        FROM usage_by_team_month WHERE TRUE
        ON CONFLICT (day, tag, team, organization, provider, model) DO UPDATE SET
            requests = old.requests + excluded.requests, failed = old.failed + excluded.failed,
            input = old.input + excluded.input, output = old.output + excluded.output,
            cost = old.cost + excluded.cost, cached = old.cached + excluded.cached,
            cached_tokens = old.cached_tokens + excluded.cached_tokens, saved = old.saved + excluded.saved;
    DELETE FROM usage_of_tag_month WHERE tag = '' AND requests = 0;
    "#,
        back: Some(
            r#"
    ALTER TABLE usage_by_key_day RESET (fillfactor);
    ALTER TABLE usage_by_team_day RESET (fillfactor);
    ALTER TABLE usage_by_key_month SET (fillfactor = 80);
    ALTER TABLE usage_by_team_month SET (fillfactor = 80);
    INSERT INTO usage_of_customer_month AS old
        SELECT day, '', team, organization, provider, model,
            requests, failed, input, output, cost, cached, cached_tokens, saved
        FROM usage_by_team_month WHERE TRUE
        ON CONFLICT (day, customer, team, organization, provider, model) DO UPDATE SET
            requests = old.requests + excluded.requests, failed = old.failed + excluded.failed,
            input = old.input + excluded.input, output = old.output + excluded.output,
            cost = old.cost + excluded.cost, cached = old.cached + excluded.cached,
            cached_tokens = old.cached_tokens + excluded.cached_tokens, saved = old.saved + excluded.saved;
    DELETE FROM usage_of_customer_month WHERE customer = '' AND requests = 0;
    ALTER TABLE usage_of_customer_month RENAME TO usage_by_customer_month;
    ALTER TABLE usage_by_customer_month SET (fillfactor = 80);
    ALTER INDEX usage_of_customer_month_by_customer RENAME TO usage_by_customer_month_of_customer;
    INSERT INTO usage_of_agent_month AS old
        SELECT day, '', team, organization, provider, model,
            requests, failed, input, output, cost, cached, cached_tokens, saved
        FROM usage_by_team_month WHERE TRUE
        ON CONFLICT (day, agent, team, organization, provider, model) DO UPDATE SET
            requests = old.requests + excluded.requests, failed = old.failed + excluded.failed,
            input = old.input + excluded.input, output = old.output + excluded.output,
            cost = old.cost + excluded.cost, cached = old.cached + excluded.cached,
            cached_tokens = old.cached_tokens + excluded.cached_tokens, saved = old.saved + excluded.saved;
    DELETE FROM usage_of_agent_month WHERE agent = '' AND requests = 0;
    ALTER TABLE usage_of_agent_month RENAME TO usage_by_agent_month;
    ALTER TABLE usage_by_agent_month SET (fillfactor = 80);
    ALTER INDEX usage_of_agent_month_by_agent RENAME TO usage_by_agent_month_of_agent;
    INSERT INTO usage_of_tag_month AS old
        SELECT day, '', team, organization, provider, model,
            requests, failed, input, output, cost, cached, cached_tokens, saved
        FROM usage_by_team_month WHERE TRUE
        ON CONFLICT (day, tag, team, organization, provider, model) DO UPDATE SET
            requests = old.requests + excluded.requests, failed = old.failed + excluded.failed,
            input = old.input + excluded.input, output = old.output + excluded.output,
            cost = old.cost + excluded.cost, cached = old.cached + excluded.cached,
            cached_tokens = old.cached_tokens + excluded.cached_tokens, saved = old.saved + excluded.saved;
    DELETE FROM usage_of_tag_month WHERE tag = '' AND requests = 0;
    ALTER TABLE usage_of_tag_month RENAME TO usage_by_tag_month;
    ALTER TABLE usage_by_tag_month SET (fillfactor = 80);
    ALTER INDEX usage_of_tag_month_by_tag RENAME TO usage_by_tag_month_of_tag;
    "#,
        ),
    },
];

/// What a change of the schema may take.
fn patient() -> String {
    format!(
        "SET LOCAL statement_timeout = '{}s'; SET LOCAL lock_timeout = '60s'",
        MIGRATION.as_secs()
    )
}

/// How many steps are taken.
pub(super) fn taken(connection: &mut Connection) -> Result<u32, StoreError> {
    // Read, and not looked up by name: within a transaction that has waited for a lock the server may remember that there
    // was none.
    let there = "SELECT 1 FROM pg_class WHERE relname = 'pointsman_schema' AND pg_table_is_visible(oid)";
    let session: &mut dyn Session = connection;
    if !session.exists(there, &[])? {
        return Ok(0);
    }
    let step = session.one(
        "SELECT COALESCE(MAX(step), 0) FROM pointsman_schema",
        &[],
        |row| row.integer(0),
    )?;
    Ok(u32::try_from(step.unwrap_or_default()).unwrap_or(u32::MAX))
}

/// Takes the steps that are missing.
pub(super) fn migrate(connection: &mut Connection) -> Result<(), StoreError> {
    migrate_to(connection, KNOWN)
}

/// Takes steps until `step` are taken.
pub(super) fn migrate_to(connection: &mut Connection, step: u32) -> Result<(), StoreError> {
    while taken(connection)? < step {
        connection.locked(SCHEMA_LOCK, |connection| {
            // Another replica may have been faster.
            let taken = taken(connection)?;
            if taken < step {
                take(connection, taken)?;
            }
            Ok(())
        })?;
    }
    if taken(connection)? > KNOWN {
        return Err(StoreError::Newer);
    }
    Ok(())
}

/// Takes the step after those that are taken.
fn take(connection: &mut Connection, taken: u32) -> Result<(), StoreError> {
    let Some(step) = STEPS.get(taken as usize) else {
        return Ok(());
    };
    connection.batch(&patient())?;
    if taken == 0 {
        let steps = "CREATE TABLE pointsman_schema (step BIGINT PRIMARY KEY, taken_at BIGINT NOT NULL)";
        connection.batch(steps)?;
    }
    connection.batch(step.forward)?;
    let note = "INSERT INTO pointsman_schema (step, taken_at) VALUES (?1, ?2)";
    connection.execute(note, &values![i64::from(taken) + 1, now()])?;
    Ok(())
}

/// Takes steps back until only `step` are taken.
pub(super) fn revert(connection: &mut Connection, step: u32) -> Result<(), StoreError> {
    loop {
        let taken = connection.locked(SCHEMA_LOCK, |connection| {
            let taken = taken(connection)?;
            if taken > KNOWN {
                return Err(StoreError::Newer);
            }
            if taken > step {
                let back = STEPS.get(taken as usize - 1).and_then(|step| step.back);
                let back = back.ok_or_else(|| {
                    StoreError::Invalid(format!(
                        "step {taken} has no way back: it would take everything away"
                    ))
                })?;
                connection.batch(&patient())?;
                connection.batch(back)?;
                let note = "DELETE FROM pointsman_schema WHERE step = ?1";
                connection.execute(note, &values![i64::from(taken)])?;
            }
            Ok(taken)
        })?;
        if taken <= step + 1 {
            return Ok(());
        }
    }
}

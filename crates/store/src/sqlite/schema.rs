//! The schema, step by step.

use rusqlite::Connection;

use crate::store::StoreError;

/// Schema, step by step; a database remembers how many steps it has taken.
pub(crate) const MIGRATIONS: [&str; 14] = ["
    CREATE TABLE keys (
        id TEXT PRIMARY KEY, hash BLOB NOT NULL UNIQUE, hint TEXT NOT NULL, grant_json TEXT NOT NULL,
        created_at INTEGER NOT NULL, revoked_at INTEGER
    ) STRICT;
    CREATE TABLE ledger (
        id TEXT PRIMARY KEY, at INTEGER NOT NULL, key TEXT, team TEXT, user TEXT,
        surface TEXT NOT NULL, model_requested TEXT NOT NULL, provider TEXT, model TEXT, decision TEXT,
        outcome TEXT NOT NULL, usage_json TEXT NOT NULL, input INTEGER NOT NULL, output INTEGER NOT NULL,
        estimated INTEGER NOT NULL, cost INTEGER NOT NULL, attempts INTEGER NOT NULL, streamed INTEGER NOT NULL,
        status INTEGER NOT NULL, latency_us INTEGER NOT NULL, ttft_us INTEGER, cache TEXT NOT NULL
    ) STRICT;
    CREATE INDEX ledger_by_key ON ledger (key, at);
    CREATE INDEX ledger_by_time ON ledger (at);
", "
    CREATE TABLE files (
        number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, tenant TEXT NOT NULL, name TEXT NOT NULL,
        purpose TEXT NOT NULL, bytes INTEGER NOT NULL, created_at INTEGER NOT NULL, expires_at INTEGER,
        hidden INTEGER NOT NULL, state TEXT NOT NULL
    ) STRICT;
    CREATE INDEX files_by_tenant ON files (tenant, number);
    CREATE INDEX files_by_state ON files (state, expires_at);
    CREATE TABLE batches (
        number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, tenant TEXT NOT NULL, owner TEXT, api TEXT NOT NULL,
        endpoint TEXT NOT NULL, input TEXT NOT NULL, output TEXT, errors TEXT, metadata TEXT, problems TEXT,
        keep INTEGER NOT NULL, status TEXT NOT NULL, total INTEGER NOT NULL, completed INTEGER NOT NULL,
        failed INTEGER NOT NULL, created_at INTEGER NOT NULL, expires_at INTEGER NOT NULL, in_progress_at INTEGER,
        finalizing_at INTEGER, cancelling_at INTEGER, ended_at INTEGER
    ) STRICT;
    CREATE INDEX batches_by_tenant ON batches (tenant, number);
    CREATE INDEX batches_by_status ON batches (status, number);
", "
    ALTER TABLE batches ADD COLUMN handed TEXT;
", "
    -- In the order of time: rows come in that order, so they are put in at the end. An id that a request got is never
    -- given again, and an entry that comes twice has the same time, too. Lines of batches are looked up by their ids.
    CREATE TABLE ledger_in_order (
        id TEXT NOT NULL, at INTEGER NOT NULL, key TEXT, team TEXT, user TEXT,
        surface TEXT NOT NULL, model_requested TEXT NOT NULL, provider TEXT, model TEXT, decision TEXT,
        outcome TEXT NOT NULL, usage_json TEXT NOT NULL, input INTEGER NOT NULL, output INTEGER NOT NULL,
        estimated INTEGER NOT NULL, cost INTEGER NOT NULL, attempts INTEGER NOT NULL, streamed INTEGER NOT NULL,
        status INTEGER NOT NULL, latency_us INTEGER NOT NULL, ttft_us INTEGER, cache TEXT NOT NULL,
        PRIMARY KEY (at, id)
    ) STRICT, WITHOUT ROWID;
    INSERT INTO ledger_in_order SELECT * FROM ledger ORDER BY at, id;
    DROP TABLE ledger;
    ALTER TABLE ledger_in_order RENAME TO ledger;
    CREATE INDEX ledger_by_key ON ledger (key, at);
    CREATE UNIQUE INDEX ledger_of_batches ON ledger (id) WHERE id < 'req_' OR id >= 'req`';
", "
    -- One number for all changes of keys and holders: whoever has seen a change of them knows what is newer.
    CREATE TABLE sequence (one INTEGER PRIMARY KEY CHECK (one = 1), value INTEGER NOT NULL) STRICT;
    INSERT INTO sequence VALUES (1, 1);
    ALTER TABLE keys ADD COLUMN changed INTEGER NOT NULL DEFAULT 1;
    ALTER TABLE keys ADD COLUMN updated_at INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE keys ADD COLUMN disabled_at INTEGER;
    ALTER TABLE keys ADD COLUMN old_hash BLOB;
    ALTER TABLE keys ADD COLUMN old_until INTEGER;
    ALTER TABLE keys ADD COLUMN metadata_json TEXT NOT NULL DEFAULT '{}';
    UPDATE keys SET updated_at = created_at;
    UPDATE keys SET grant_json = json_set(grant_json, '$.budgets', json_array(json(grant_json -> '$.budget')))
        WHERE json_type(grant_json, '$.budget') = 'object';
    UPDATE keys SET grant_json = json_remove(grant_json, '$.budget');
    ALTER TABLE keys ADD COLUMN name TEXT GENERATED ALWAYS AS (grant_json ->> '$.name') VIRTUAL;
    ALTER TABLE keys ADD COLUMN organization TEXT GENERATED ALWAYS AS (grant_json ->> '$.organization') VIRTUAL;
    ALTER TABLE keys ADD COLUMN team TEXT GENERATED ALWAYS AS (grant_json ->> '$.team') VIRTUAL;
    ALTER TABLE keys ADD COLUMN project TEXT GENERATED ALWAYS AS (grant_json ->> '$.project') VIRTUAL;
    ALTER TABLE keys ADD COLUMN user TEXT GENERATED ALWAYS AS (grant_json ->> '$.user') VIRTUAL;
    ALTER TABLE keys ADD COLUMN plan TEXT GENERATED ALWAYS AS (grant_json ->> '$.plan') VIRTUAL;
    CREATE INDEX keys_by_change ON keys (changed);
    CREATE INDEX keys_by_name ON keys (name) WHERE name <> '';
    CREATE INDEX keys_by_organization ON keys (organization) WHERE organization IS NOT NULL;
    CREATE INDEX keys_by_team ON keys (team) WHERE team IS NOT NULL;
    CREATE INDEX keys_by_project ON keys (project) WHERE project IS NOT NULL;
    CREATE INDEX keys_by_user ON keys (user) WHERE user IS NOT NULL;
    CREATE INDEX keys_by_plan ON keys (plan) WHERE plan IS NOT NULL;
    CREATE TABLE holders (
        number INTEGER PRIMARY KEY, kind TEXT NOT NULL, id TEXT NOT NULL, name TEXT NOT NULL,
        organization TEXT, team TEXT, terms_json TEXT NOT NULL, metadata_json TEXT NOT NULL,
        created_at INTEGER NOT NULL, updated_at INTEGER NOT NULL, disabled_at INTEGER, deleted_at INTEGER,
        changed INTEGER NOT NULL, UNIQUE (kind, id)
    ) STRICT;
    CREATE INDEX holders_by_change ON holders (changed);
    -- Teams and users that keys only named until now.
    INSERT INTO holders (kind, id, name, terms_json, metadata_json, created_at, updated_at, changed)
        SELECT 'team', team, '', '{}', '{}', MIN(created_at), MIN(created_at), 1 FROM keys
        WHERE team IS NOT NULL GROUP BY team ORDER BY MIN(created_at);
    INSERT INTO holders (kind, id, name, terms_json, metadata_json, created_at, updated_at, changed)
        SELECT 'user', user, '', '{}', '{}', MIN(created_at), MIN(created_at), 1 FROM keys
        WHERE user IS NOT NULL GROUP BY user ORDER BY MIN(created_at);
    ALTER TABLE ledger ADD COLUMN organization TEXT;
    ALTER TABLE ledger ADD COLUMN project TEXT;
    CREATE INDEX ledger_by_team ON ledger (team, at) WHERE team IS NOT NULL;
    CREATE INDEX ledger_by_user ON ledger (user, at) WHERE user IS NOT NULL;
    CREATE INDEX ledger_by_project ON ledger (project, at) WHERE project IS NOT NULL;
    CREATE INDEX ledger_by_organization ON ledger (organization, at) WHERE organization IS NOT NULL;
    CREATE TABLE settings (name TEXT PRIMARY KEY, value BLOB NOT NULL) STRICT, WITHOUT ROWID;
    CREATE TABLE audit (
        number INTEGER PRIMARY KEY, at INTEGER NOT NULL, actor TEXT NOT NULL, source TEXT NOT NULL,
        action TEXT NOT NULL, kind TEXT NOT NULL, object TEXT NOT NULL, before_json TEXT, after_json TEXT,
        hash BLOB NOT NULL
    ) STRICT;
    CREATE INDEX audit_by_object ON audit (kind, object);
", "
    -- What decisions leave behind: requests that can be judged, sessions, what was learned, recorded decisions.
    CREATE TABLE routed_requests (
        number INTEGER PRIMARY KEY, request TEXT NOT NULL UNIQUE, at INTEGER NOT NULL, tenant TEXT NOT NULL,
        scope TEXT NOT NULL, model TEXT NOT NULL, domain TEXT, others TEXT NOT NULL, judged INTEGER NOT NULL
    ) STRICT;
    CREATE TABLE routed_sessions (id TEXT PRIMARY KEY, at INTEGER NOT NULL, turn TEXT NOT NULL) STRICT, WITHOUT ROWID;
    CREATE INDEX routed_sessions_by_time ON routed_sessions (at);
    CREATE TABLE learned (name TEXT PRIMARY KEY, version INTEGER NOT NULL, body BLOB NOT NULL) STRICT, WITHOUT ROWID;
    CREATE TABLE decisions (
        number INTEGER PRIMARY KEY AUTOINCREMENT, at INTEGER NOT NULL, request TEXT NOT NULL UNIQUE, key TEXT, team TEXT,
        user TEXT, decision TEXT NOT NULL, model TEXT, outcome TEXT NOT NULL, record TEXT NOT NULL
    ) STRICT;
    CREATE INDEX decisions_by_name ON decisions (decision, number);
    CREATE INDEX decisions_by_time ON decisions (at);
    -- A key is found by its former secret, too, without reading them all.
    CREATE INDEX keys_by_former ON keys (old_hash) WHERE old_hash IS NOT NULL;
", "
    -- People: their roles, what they prove who they are with, sign-ins that have begun, and what directories say of them.
    CREATE TABLE memberships (
        user TEXT NOT NULL, kind TEXT NOT NULL, scope TEXT NOT NULL, role TEXT NOT NULL, source TEXT NOT NULL,
        created_at INTEGER NOT NULL, updated_at INTEGER NOT NULL, changed INTEGER NOT NULL,
        PRIMARY KEY (user, kind, scope)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX memberships_by_scope ON memberships (kind, scope, user);
    CREATE TABLE admin_roles (
        organization TEXT NOT NULL, name TEXT NOT NULL, permissions_json TEXT NOT NULL, created_at INTEGER NOT NULL,
        updated_at INTEGER NOT NULL, changed INTEGER NOT NULL, PRIMARY KEY (organization, name)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE credentials (
        hash BLOB PRIMARY KEY, id TEXT NOT NULL UNIQUE, user TEXT NOT NULL, kind TEXT NOT NULL, name TEXT NOT NULL,
        created_at INTEGER NOT NULL, expires_at INTEGER
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX credentials_by_user ON credentials (user, created_at);
    CREATE INDEX credentials_by_end ON credentials (expires_at) WHERE expires_at IS NOT NULL;
    CREATE TABLE sign_ins (
        state BLOB PRIMARY KEY, provider TEXT NOT NULL, browser BLOB NOT NULL, nonce TEXT NOT NULL, verifier TEXT NOT NULL,
        back TEXT NOT NULL, expires_at INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE directory (
        number INTEGER PRIMARY KEY, kind TEXT NOT NULL, id TEXT NOT NULL, organization TEXT NOT NULL, name TEXT NOT NULL,
        external_id TEXT, resource_json TEXT NOT NULL, created_at INTEGER NOT NULL, updated_at INTEGER NOT NULL,
        changed INTEGER NOT NULL, UNIQUE (kind, id), UNIQUE (organization, kind, name)
    ) STRICT;
    CREATE INDEX directory_by_external_id ON directory (organization, kind, external_id) WHERE external_id IS NOT NULL;
", "
    -- What remembered answers would have cost.
    ALTER TABLE ledger ADD COLUMN saved INTEGER NOT NULL DEFAULT 0;
", "
    -- What is remembered of users, and whether they have agreed to it.
    CREATE TABLE memories (
        id TEXT PRIMARY KEY, owner TEXT NOT NULL, at INTEGER NOT NULL, expires_at INTEGER, text TEXT NOT NULL,
        model TEXT, vector BLOB
    ) STRICT;
    CREATE INDEX memories_by_owner ON memories (owner, at);
    CREATE INDEX memories_by_end ON memories (expires_at) WHERE expires_at IS NOT NULL;
    CREATE TABLE memory_consents (owner TEXT PRIMARY KEY, agrees INTEGER NOT NULL, at INTEGER NOT NULL) STRICT, WITHOUT ROWID;
", "
    -- What requests name beside their keys: their end customer, the agent they come from, their tags as a JSON array.
    ALTER TABLE ledger ADD COLUMN customer TEXT;
    ALTER TABLE ledger ADD COLUMN agent TEXT;
    ALTER TABLE ledger ADD COLUMN tags TEXT;
    CREATE INDEX ledger_by_customer ON ledger (customer, at) WHERE customer IS NOT NULL;
    CREATE INDEX ledger_by_agent ON ledger (agent, at) WHERE agent IS NOT NULL;
    CREATE INDEX ledger_with_tags ON ledger (at) WHERE tags IS NOT NULL;
    CREATE INDEX holders_by_name ON holders (kind, name) WHERE name <> '';
", "
    -- Collections of documents that are looked up.
    CREATE TABLE collections (
        id TEXT PRIMARY KEY, owner TEXT NOT NULL, at INTEGER NOT NULL, version INTEGER NOT NULL, name TEXT NOT NULL,
        metadata TEXT NOT NULL, readers TEXT NOT NULL
    ) STRICT;
    CREATE INDEX collections_by_owner ON collections (owner, at);
    CREATE TABLE collection_files (
        collection TEXT NOT NULL, file TEXT NOT NULL, at INTEGER NOT NULL, name TEXT NOT NULL, bytes INTEGER NOT NULL,
        passages INTEGER NOT NULL, attributes TEXT NOT NULL, PRIMARY KEY (collection, file)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE passages (
        collection TEXT NOT NULL, file TEXT NOT NULL, number INTEGER NOT NULL, text TEXT NOT NULL, model TEXT NOT NULL,
        vector BLOB NOT NULL, PRIMARY KEY (collection, file, number)
    ) STRICT;
", "
    -- Secrets, each sealed by a key that a master key wraps; and requests that are carried out once, with their answers.
    CREATE TABLE secrets (
        name TEXT PRIMARY KEY, fields_json TEXT NOT NULL, master_key TEXT NOT NULL, wrapped BLOB NOT NULL,
        sealed BLOB NOT NULL, created_at INTEGER NOT NULL, updated_at INTEGER NOT NULL, changed INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE repeats (
        id BLOB PRIMARY KEY, request BLOB NOT NULL, at INTEGER NOT NULL, answer BLOB
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX repeats_by_time ON repeats (at);
", "
    -- What the ledger sums up to, by days and months (a month by its first day), as far as it has been counted.
    CREATE TABLE usage_counted (one INTEGER PRIMARY KEY CHECK (one = 1), until INTEGER NOT NULL) STRICT;
    INSERT INTO usage_counted VALUES (1, 0);
    CREATE TABLE usage_by_team_day (
        day INTEGER NOT NULL, team TEXT NOT NULL, organization TEXT NOT NULL, provider TEXT NOT NULL,
        model TEXT NOT NULL,
        requests INTEGER NOT NULL, failed INTEGER NOT NULL, input INTEGER NOT NULL, output INTEGER NOT NULL,
        cost INTEGER NOT NULL, cached INTEGER NOT NULL, cached_tokens INTEGER NOT NULL, saved INTEGER NOT NULL,
        PRIMARY KEY (day, team, organization, provider, model)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX usage_by_team_day_of_team ON usage_by_team_day (team, day);
    CREATE INDEX usage_by_team_day_of_organization ON usage_by_team_day (organization, day);
    CREATE TABLE usage_by_key_day (
        day INTEGER NOT NULL, key TEXT NOT NULL, user TEXT NOT NULL, project TEXT NOT NULL, team TEXT NOT NULL,
        organization TEXT NOT NULL, provider TEXT NOT NULL, model TEXT NOT NULL,
        requests INTEGER NOT NULL, failed INTEGER NOT NULL, input INTEGER NOT NULL, output INTEGER NOT NULL,
        cost INTEGER NOT NULL, cached INTEGER NOT NULL, cached_tokens INTEGER NOT NULL, saved INTEGER NOT NULL,
        PRIMARY KEY (day, key, user, project, team, organization, provider, model)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX usage_by_key_day_of_key ON usage_by_key_day (key, day);
    CREATE INDEX usage_by_key_day_of_user ON usage_by_key_day (user, day);
    CREATE INDEX usage_by_key_day_of_project ON usage_by_key_day (project, day);
    CREATE TABLE usage_by_team_month (
        day INTEGER NOT NULL, team TEXT NOT NULL, organization TEXT NOT NULL, provider TEXT NOT NULL,
        model TEXT NOT NULL,
        requests INTEGER NOT NULL, failed INTEGER NOT NULL, input INTEGER NOT NULL, output INTEGER NOT NULL,
        cost INTEGER NOT NULL, cached INTEGER NOT NULL, cached_tokens INTEGER NOT NULL, saved INTEGER NOT NULL,
        PRIMARY KEY (day, team, organization, provider, model)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX usage_by_team_month_of_team ON usage_by_team_month (team, day);
    CREATE INDEX usage_by_team_month_of_organization ON usage_by_team_month (organization, day);
    CREATE TABLE usage_by_key_month (
        day INTEGER NOT NULL, key TEXT NOT NULL, user TEXT NOT NULL, project TEXT NOT NULL, team TEXT NOT NULL,
        organization TEXT NOT NULL, provider TEXT NOT NULL, model TEXT NOT NULL,
        requests INTEGER NOT NULL, failed INTEGER NOT NULL, input INTEGER NOT NULL, output INTEGER NOT NULL,
        cost INTEGER NOT NULL, cached INTEGER NOT NULL, cached_tokens INTEGER NOT NULL, saved INTEGER NOT NULL,
        PRIMARY KEY (day, key, user, project, team, organization, provider, model)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX usage_by_key_month_of_key ON usage_by_key_month (key, day);
    CREATE INDEX usage_by_key_month_of_user ON usage_by_key_month (user, day);
    CREATE INDEX usage_by_key_month_of_project ON usage_by_key_month (project, day);
    CREATE TABLE usage_by_customer_month (
        day INTEGER NOT NULL, customer TEXT NOT NULL, team TEXT NOT NULL, organization TEXT NOT NULL,
        provider TEXT NOT NULL, model TEXT NOT NULL,
        requests INTEGER NOT NULL, failed INTEGER NOT NULL, input INTEGER NOT NULL, output INTEGER NOT NULL,
        cost INTEGER NOT NULL, cached INTEGER NOT NULL, cached_tokens INTEGER NOT NULL, saved INTEGER NOT NULL,
        PRIMARY KEY (day, customer, team, organization, provider, model)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX usage_by_customer_month_of_customer ON usage_by_customer_month (customer, day);
    CREATE TABLE usage_by_agent_month (
        day INTEGER NOT NULL, agent TEXT NOT NULL, team TEXT NOT NULL, organization TEXT NOT NULL,
        provider TEXT NOT NULL, model TEXT NOT NULL,
        requests INTEGER NOT NULL, failed INTEGER NOT NULL, input INTEGER NOT NULL, output INTEGER NOT NULL,
        cost INTEGER NOT NULL, cached INTEGER NOT NULL, cached_tokens INTEGER NOT NULL, saved INTEGER NOT NULL,
        PRIMARY KEY (day, agent, team, organization, provider, model)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX usage_by_agent_month_of_agent ON usage_by_agent_month (agent, day);
    CREATE TABLE usage_by_tag_month (
        day INTEGER NOT NULL, tag TEXT NOT NULL, team TEXT NOT NULL, organization TEXT NOT NULL,
        provider TEXT NOT NULL, model TEXT NOT NULL,
        requests INTEGER NOT NULL, failed INTEGER NOT NULL, input INTEGER NOT NULL, output INTEGER NOT NULL,
        cost INTEGER NOT NULL, cached INTEGER NOT NULL, cached_tokens INTEGER NOT NULL, saved INTEGER NOT NULL,
        PRIMARY KEY (day, tag, team, organization, provider, model)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX usage_by_tag_month_of_tag ON usage_by_tag_month (tag, day);
", "
    -- Sums by what requests name know nothing of requests that name nothing: under none they have what the others sum up to,
    -- as less than nothing.
    ALTER TABLE usage_by_customer_month RENAME TO usage_of_customer_month;
    DROP INDEX usage_by_customer_month_of_customer;
    CREATE INDEX usage_of_customer_month_by_customer ON usage_of_customer_month (customer, day);
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
    DROP INDEX usage_by_agent_month_of_agent;
    CREATE INDEX usage_of_agent_month_by_agent ON usage_of_agent_month (agent, day);
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
    DROP INDEX usage_by_tag_month_of_tag;
    CREATE INDEX usage_of_tag_month_by_tag ON usage_of_tag_month (tag, day);
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
"];

/// Takes the steps that a database has not taken.
pub(crate) fn migrate(connection: &Connection) -> Result<(), StoreError> {
    let taken: i64 = connection.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    if taken > MIGRATIONS.len() as i64 {
        return Err(StoreError::Newer);
    }
    for (step, sql) in MIGRATIONS
        .iter()
        .enumerate()
        .skip(usize::try_from(taken).unwrap_or(0))
    {
        // Two processes may start at once: the second finds the step taken.
        connection.execute_batch("BEGIN IMMEDIATE")?;
        let taken: i64 = connection.query_row("PRAGMA user_version", [], |row| row.get(0))?;
        if taken <= step as i64 {
            connection.execute_batch(sql)?;
            connection.pragma_update(None, "user_version", step as i64 + 1)?;
        }
        connection.execute_batch("COMMIT")?;
    }
    Ok(())
}

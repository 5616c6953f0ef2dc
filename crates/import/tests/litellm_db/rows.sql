-- Somebody's rows. Keys are the SHA-256 of texts that the test knows.
INSERT INTO "LiteLLM_BudgetTable" ("budget_id", "max_budget", "soft_budget", "rpm_limit", "budget_duration") VALUES
    ('org-budget', 1000, 800, NULL, '30d'), ('plan', 5, NULL, 60, NULL), ('nobody', 1, NULL, NULL, NULL);
INSERT INTO "LiteLLM_OrganizationTable" ("organization_id", "organization_alias", "budget_id", "models", "spend") VALUES
    ('acme', 'Acme Inc.', 'org-budget', '{}', 123.456789);
INSERT INTO "LiteLLM_TeamTable" ("team_id", "team_alias", "organization_id", "max_budget", "budget_duration", "spend", "models",
    "tpm_limit", "blocked", "members_with_roles", "metadata") VALUES
    ('research', 'Research', 'acme', 100, '1d', 0.1, '{gpt-4o,all-proxy-models}', 200000, false,
        '[{"user_id": "me@example.com", "role": "admin"}]', '{"cost_center": 7, "guardrails": ["pii"]}'),
    ('closed', 'Closed', NULL, NULL, NULL, 0, '{}', NULL, true, '{}', '{}'),
    ('orphans', 'Orphans', 'gone', NULL, NULL, 0, '{}', NULL, false, '{}', '{}'),
    ('litellm-dashboard', NULL, NULL, NULL, NULL, 0, '{}', NULL, false, '{}', '{}');
INSERT INTO "LiteLLM_ProjectTable" ("project_id", "project_alias", "team_id", "budget_id", "description") VALUES
    ('chatbot', 'Chatbot', 'research', 'plan', 'The one on the site');
INSERT INTO "LiteLLM_UserTable" ("user_id", "user_email", "user_role", "organization_id", "max_budget", "spend", "password") VALUES
    ('me@example.com', 'me@example.com', 'proxy_admin', 'acme', 50, 12.5, 'scrypt:c2VjcmV0'),
    ('auth0|7', NULL, 'internal_user', NULL, NULL, 0, NULL);
INSERT INTO "LiteLLM_VerificationToken" ("token", "key_name", "key_alias", "spend", "user_id", "team_id", "project_id", "budget_id",
    "rpm_limit", "max_budget", "budget_duration", "budget_reset_at", "expires", "blocked", "models", "metadata", "allowed_routes",
    "model_max_budget", "organization_id") VALUES
    (encode(sha256('sk-first-0000000000'), 'hex'), 'sk-...0000', 'first', 0.30000000000000004, 'me@example.com', 'research', 'chatbot', NULL,
        10, 1.5, NULL, NULL, '2099-01-01 00:00:00', NULL, '{all-team-models}', '{"note": "kept", "logging": [{"callback_vars": {"key": "lf-secret-1"}}]}', '{}',
        '{"gpt-4o": {"budget_limit": 1}}', NULL),
    (encode(sha256('sk-second-000000000'), 'hex'), 'sk-...0001', NULL, 9, 'auth0|7', NULL, NULL, 'plan',
        NULL, NULL, '30d', '2020-01-01 00:00:00', NULL, true, '{gpt-4o,claude-*}', '{}', '{llm_api_routes}', '{}', NULL),
    (encode(sha256('sk-session-00000000'), 'hex'), 'sk-...0002', NULL, 0, 'me@example.com', 'litellm-dashboard', NULL, NULL,
        NULL, NULL, NULL, NULL, NULL, NULL, '{}', '{}', '{}', '{}', NULL),
    (encode(sha256('sk-narrow-000000000'), 'hex'), 'sk-...0003', 'narrow', 0, NULL, NULL, NULL, NULL,
        NULL, NULL, NULL, NULL, NULL, NULL, '{}', '{}', '{/v1/embeddings,/key/info}', '{}', NULL),
    (encode(sha256('sk-orphan-000000000'), 'hex'), 'sk-...0004', 'orphan', 3, NULL, 'orphans', NULL, NULL,
        NULL, NULL, NULL, NULL, NULL, NULL, '{}', '{}', '{}', '{}', NULL),
    ('sk-clear-0000000000', 'sk-...0005', 'clear', 0, 'somebody', NULL, NULL, NULL,
        NULL, NULL, NULL, NULL, NULL, NULL, '{}', '{}', '{/chat/completions,/v1/files*}', '{}', NULL);
INSERT INTO "LiteLLM_DeprecatedVerificationToken" ("id", "token", "active_token_id", "revoke_at") VALUES
    ('1', encode(sha256('sk-before-000000000'), 'hex'), encode(sha256('sk-first-0000000000'), 'hex'), '2099-01-01 00:00:00'),
    ('2', encode(sha256('sk-older-0000000000'), 'hex'), encode(sha256('sk-first-0000000000'), 'hex'), '2020-01-01 00:00:00');
UPDATE "LiteLLM_VerificationToken" SET "aliases" = '{"fast": "gpt-4o-mini"}' WHERE "key_alias" = 'first';
UPDATE "LiteLLM_VerificationToken" SET "aliases" = '{"a": "b", "b": "c"}' WHERE "key_alias" = 'clear';
INSERT INTO "LiteLLM_TeamMembership" VALUES ('me@example.com', 'research', 1, 'nobody');
INSERT INTO "LiteLLM_SpendLogs" VALUES ('chatcmpl-1', 0.1, '{"content": "a prompt"}');

//! Names of LiteLLM's tables.

pub(super) const BUDGETS: &str = "LiteLLM_BudgetTable";
pub(super) const ORGANIZATIONS: &str = "LiteLLM_OrganizationTable";
pub(super) const TEAMS: &str = "LiteLLM_TeamTable";
pub(super) const PROJECTS: &str = "LiteLLM_ProjectTable";
pub(super) const USERS: &str = "LiteLLM_UserTable";
pub(super) const KEYS: &str = "LiteLLM_VerificationToken";
pub(super) const FORMER: &str = "LiteLLM_DeprecatedVerificationToken";

/// What they all begin with.
pub(super) const PREFIX: &str = "LiteLLM_";

/// Those whose rows are read.
pub(super) const READ: [&str; 7] = [BUDGETS, ORGANIZATIONS, TEAMS, PROJECTS, USERS, KEYS, FORMER];

/// Why a table that has rows is not carried over; nothing where its rows say nothing that anybody would miss.
pub(super) fn why(table: &str) -> Option<&'static str> {
    let name = table.strip_prefix(PREFIX).unwrap_or(table);
    Some(match name {
        "SpendLogs" => {
            "requests of the past are not carried over one by one: what they have cost is, as the spend of their holders"
        }
        "EndUserTable" => "customers of callers hold no budgets here: give each a user",
        "TagTable" => "tags hold no budgets here: give what they stand for a project",
        "TeamMembership" => {
            "what a user may spend within a team is not bounded here: give them a key, or a project, with a budget"
        }
        "OrganizationMembership" => "roles within an organization are given anew here",
        "ProxyModelTable" | "ModelTable" | "CredentialsTable" | "Config" => {
            "models, credentials and settings of the dashboard belong to pointsman.yaml here: `pointsman import litellm` carries over what is in LiteLLM's file"
        }
        "GuardrailsTable" | "PolicyTable" | "PolicyAttachmentTable" => {
            "guardrails are in pointsman.yaml here"
        }
        "PromptTable" => "templates of prompts are in pointsman.yaml here",
        "MCPServerTable"
        | "MCPToolsetTable"
        | "MCPUserCredentials"
        | "MCPUserEnvVars"
        | "MCPServerOAuthClient" => "MCP servers are in pointsman.yaml here, and sign their users in anew",
        "AgentsTable" => "agents are in pointsman.yaml here (a2a.agents)",
        "ObjectPermissionTable" | "AccessGroupTable" => {
            "groups of permissions are not known here: give the allow-lists themselves"
        }
        "JWTKeyMapping" => "tokens are users here, by identity.jwt",
        "SSOConfig" => "signing in is set up anew here",
        "ManagedFileTable" | "ManagedObjectTable" | "ManagedFileContentTable" => {
            "files and batches stay with LiteLLM"
        }
        "ManagedVectorStoresTable" | "ManagedVectorStoreTable" | "ManagedVectorStoreIndexTable" => {
            "vector stores stay with LiteLLM"
        }
        "UserProviderCredentials" => "credentials of single users are not known here",
        // Sums, logs, and what LiteLLM needs for itself.
        name if name.starts_with("Daily")
            || name.starts_with("Deleted")
            || name.starts_with("SpendLog")
            || name.starts_with("HealthCheck")
            || matches!(
                name,
                "ErrorLogs"
                    | "AuditLog"
                    | "CronJob"
                    | "InvitationLink"
                    | "UserNotifications"
                    | "UISettings"
                    | "CacheConfig"
                    | "ProxyWorkerHeartbeat"
                    | "BudgetWindowSpend"
                    | "ConfigOverrides"
                    | "TelemetryReport"
            ) =>
        {
            return None;
        }
        _ => "it has no counterpart here",
    })
}

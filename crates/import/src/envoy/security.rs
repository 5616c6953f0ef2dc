//! `BackendSecurityPolicy`: how a backend lets us in.

use super::objects::Object;
use super::{Import, SecretKey};
use crate::source::Item;
use crate::yaml::{Map, Yaml};

/// What a policy says of a provider.
#[derive(Default)]
pub(super) struct Security {
    pub(super) auth: Map,
    pub(super) region: Option<Yaml>,
    pub(super) project: Option<Yaml>,
    pub(super) location: Option<Yaml>,
}

/// Reads a policy.
pub(super) fn read(import: &mut Import, policy: &Object) -> Security {
    let mut security = Security::default();
    let kind = policy.spec(&["type"]).and_then(Item::text).unwrap_or_default();
    let keys = [
        ("APIKey", "apiKey"),
        ("AzureAPIKey", "azureAPIKey"),
        ("AnthropicAPIKey", "anthropicAPIKey"),
    ];
    if let Some((_, field)) = keys.iter().find(|(name, _)| *name == kind) {
        let reference = policy.spec(&[field, "secretRef"]);
        let key = reference.and_then(|reference| import.secret(reference, &policy.namespace, "apiKey"));
        security.auth.put("api_key", key);
    }
    match kind {
        "AWSCredentials" => aws(import, policy, &mut security),
        "AzureCredentials" => azure(import, policy, &mut security),
        "GCPCredentials" => gcp(import, policy, &mut security),
        _ => {}
    }
    security
}

fn text(item: Option<&Item>) -> Option<Yaml> {
    item.and_then(Item::text).map(Yaml::text)
}

/// An OAuth server that issues a token; told when its address is not in the file.
fn oidc(import: &mut Import, exchange: &Item, namespace: &str) -> Option<Yaml> {
    let oidc = exchange.get("oidc")?;
    let endpoint = oidc.at_path(&["provider", "tokenEndpoint"]).and_then(Item::text);
    let Some(endpoint) = endpoint else {
        import.draft.report.lost(
            exchange,
            "the address of the token endpoint is not in the file, and it is not looked for at the issuer",
            "write oidc.token_url of the provider's auth",
        );
        return None;
    };
    let mut map = Map::default();
    map.set("token_url", Yaml::text(endpoint));
    oidc.at_path(&["provider", "issuer"]).map(Item::text);
    map.put("client_id", text(oidc.get("clientID")));
    let secret = oidc.get("clientSecret");
    let secret = secret.and_then(|reference| import.secret(reference, namespace, "client-secret"));
    map.put("client_secret", secret);
    let scopes: Vec<&str> = oidc
        .get("scopes")
        .map(Item::items)
        .unwrap_or_default()
        .iter()
        .filter_map(Item::text)
        .collect();
    if !scopes.is_empty() {
        map.set("scopes", Yaml::texts(scopes));
    }
    map.put("audience", text(exchange.get("aud")));
    if let Some(grant) = exchange.get("grantType")
        && grant.peek() == Some("client_credentials")
    {
        grant.accept();
    }
    Some(Yaml::Map(map))
}

fn aws(import: &mut Import, policy: &Object, security: &mut Security) {
    let mut aws = Map::default();
    security.region = text(policy.spec(&["awsCredentials", "region"]));
    if let Some(file) = policy.spec(&["awsCredentials", "credentialsFile"]) {
        if let Some(reference) = file.get("secretRef") {
            let name = reference
                .get("name")
                .and_then(Item::text)
                .unwrap_or_default()
                .to_owned();
            import.draft.report.tell(
                reference,
                crate::report::Fate::Secret,
                "what a Secret holds is not copied",
                format!("write what \"credentials\" of the Secret {name:?} holds to a file, and its path to AWS_SHARED_CREDENTIALS_FILE"),
            );
            let namespace = reference
                .get("namespace")
                .and_then(Item::text)
                .unwrap_or(&policy.namespace);
            import.secrets.push(SecretKey {
                namespace: namespace.to_owned(),
                name,
                key: "credentials".to_owned(),
                variable: "AWS_SHARED_CREDENTIALS_FILE".to_owned(),
            });
        }
        let profile = file.get("profile").and_then(Item::text);
        aws.put(
            "profile",
            profile.filter(|profile| *profile != "default").map(Yaml::text),
        );
    }
    if let Some(exchange) = policy.spec(&["awsCredentials", "oidcExchangeToken"]) {
        let role = text(exchange.get("awsRoleArn"));
        if let (Some(role), Some(oidc)) = (role, oidc(import, exchange, &policy.namespace)) {
            let mut identity = Map::default();
            identity.set("role_arn", role);
            identity.set("oidc", oidc);
            aws.put_map("web_identity", identity);
        }
    }
    security.auth.set("aws", Yaml::Map(aws));
}

fn azure(import: &mut Import, policy: &Object, security: &mut Security) {
    let mut entra = Map::default();
    entra.put("tenant", text(policy.spec(&["azureCredentials", "tenantID"])));
    entra.put("client", text(policy.spec(&["azureCredentials", "clientID"])));
    if let Some(reference) = policy.spec(&["azureCredentials", "clientSecretRef"]) {
        let secret = import.secret(reference, &policy.namespace, "client-secret");
        entra.put("secret", secret);
    }
    if let Some(exchange) = policy.spec(&["azureCredentials", "oidcExchangeToken"]) {
        let oidc = oidc(import, exchange, &policy.namespace);
        entra.put("oidc", oidc);
    }
    security.auth.set("entra", Yaml::Map(entra));
}

fn gcp(import: &mut Import, policy: &Object, security: &mut Security) {
    let field = |path: &[&str]| {
        let mut whole = vec!["gcpCredentials"];
        whole.extend(path);
        policy.spec(&whole)
    };
    security.project = text(field(&["projectName"]));
    security.location = text(field(&["region"]));
    if field(&["isPassthrough"]).and_then(Item::flag) == Some(true) {
        security.auth.set("passthrough", Yaml::plain(true));
        return;
    }
    let mut gcp = Map::default();
    if let Some(reference) = field(&["credentialsFile", "secretRef"]) {
        let credentials = import.secret(reference, &policy.namespace, "service_account.json");
        gcp.put("credentials", credentials);
    }
    if let Some(federation) = field(&["workloadIdentityFederationConfig"]) {
        let part = |name: &str| federation.get(name).and_then(Item::text);
        let parts = (
            part("projectID"),
            part("workloadIdentityPoolName"),
            part("workloadIdentityProviderName"),
        );
        let exchange = federation.get("oidcExchangeToken");
        let oidc = exchange.and_then(|exchange| oidc(import, exchange, &policy.namespace));
        if let ((Some(project), Some(pool), Some(provider)), Some(oidc)) = (parts, oidc) {
            let mut identity = Map::default();
            identity.set(
                "audience",
                Yaml::text(format!(
                    "//iam.googleapis.com/projects/{project}/locations/global/workloadIdentityPools/{pool}/providers/{provider}"
                )),
            );
            identity.set("oidc", oidc);
            gcp.put_map("workload_identity", identity);
        }
        if let Some(account) = federation
            .at_path(&["serviceAccountImpersonation", "serviceAccountName"])
            .and_then(Item::text)
        {
            let project = part("projectID").unwrap_or_default();
            let account = if account.contains('@') {
                account.to_owned()
            } else {
                format!("{account}@{project}.iam.gserviceaccount.com")
            };
            gcp.set("impersonate", Yaml::text(account));
        }
    }
    security.auth.set("gcp", Yaml::Map(gcp));
}

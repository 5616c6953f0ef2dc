//! From a deployment to its provider: who it is, where, and how it lets us in.

use pointsman_catalog::Provider;

use super::Import;
use super::deployment::Deployment;
use super::params::Params;
use crate::yaml::{Map, Yaml};

/// Whose model a bare name is, by how it begins; the rest is looked for in the catalog.
const BARE: [(&str, &str); 12] = [
    ("gpt-", "openai"),
    ("chatgpt-", "openai"),
    ("o1", "openai"),
    ("o3", "openai"),
    ("o4", "openai"),
    ("text-embedding-", "openai"),
    ("dall-e", "openai"),
    ("whisper", "openai"),
    ("tts-", "openai"),
    ("claude-", "anthropic"),
    ("gemini-", "vertex_ai"),
    ("command-", "cohere_chat"),
];

/// Variables that LiteLLM looks at where they are not the first that the catalog has for the provider.
const KEYS: [(&str, &str); 6] = [
    ("azure-openai", "AZURE_API_KEY"),
    ("together", "TOGETHERAI_API_KEY"),
    ("huggingface", "HUGGINGFACE_API_KEY"),
    ("perplexity", "PERPLEXITYAI_API_KEY"),
    ("nvidia", "NVIDIA_NIM_API_KEY"),
    ("replicate", "REPLICATE_API_KEY"),
];

/// A provider as LiteLLM names it, and its name of the model.
struct Named {
    prefix: String,
    model: String,
}

/// A provider in the making.
pub(super) struct Place {
    /// Its id in the catalog.
    pub(super) kind: String,
    /// The name it would like to have.
    pub(super) wish: String,
    /// Its block.
    pub(super) block: Map,
    /// Its name of the model.
    pub(super) model: String,
}

/// The provider of a deployment; told when there is none.
pub(super) fn place(import: &mut Import, deployment: &Deployment<'_>) -> Option<Place> {
    let params = deployment.params;
    let Some(named) = identify(import, params) else {
        import.draft.report.lost(
            deployment.item,
            "its model does not say which provider it is of",
            "write it as provider/model, or add a target by hand",
        );
        return None;
    };
    let catalog = import.draft.catalog;
    let prefix = if named.prefix == "vertex_ai_beta" {
        "vertex_ai"
    } else {
        named.prefix.as_str()
    };
    let facts = catalog.provider(prefix).filter(|facts| facts.is_spoken());
    let Some(facts) = facts else {
        import.draft.report.lost(
            deployment.item,
            format!("this version does not speak to the provider {:?}", named.prefix),
            "if it has an OpenAI-compatible address, write it as openai/MODEL with its api_base and import again",
        );
        return None;
    };
    let mut place = Place {
        kind: facts.id.clone(),
        wish: facts.id.clone(),
        block: Map::default(),
        model: named.model,
    };
    place.block.set("kind", Yaml::text(&place.kind));
    match facts.id.as_str() {
        "azure-openai" => azure(import, params, &mut place),
        "aws-bedrock" => bedrock(import, params, &mut place),
        "gcp-vertex" => vertex(import, params, &mut place),
        _ => plain(import, params, &mut place, facts),
    }
    limits(import, params, &mut place);
    place.block.put_map("health", import.policy.health.clone());
    if import.policy.drop_params {
        let mut request = Map::default();
        request.set("unsupported_params", Yaml::text("drop"));
        place.block.put_map("request", request);
    }
    Some(place)
}

/// Which provider a deployment is of.
fn identify(import: &Import, params: Params<'_>) -> Option<Named> {
    let model = params.get("model")?.text()?;
    let catalog = import.draft.catalog;
    if let Some(prefix) = params.get("custom_llm_provider").and_then(|item| item.text()) {
        let model = model.strip_prefix(prefix).and_then(|rest| rest.strip_prefix('/'));
        return Some(Named {
            prefix: prefix.to_owned(),
            model: model.or(params.get("model")?.text())?.to_owned(),
        });
    }
    if let Some((prefix, rest)) = model.split_once('/')
        && (catalog.provider(prefix).is_some()
            || prefix == "vertex_ai_beta"
            || !rest.is_empty() && !has_base(params))
    {
        return Some(Named {
            prefix: prefix.to_owned(),
            model: rest.to_owned(),
        });
    }
    let bare = BARE.iter().find(|(start, _)| model.starts_with(start));
    let prefix = match bare {
        Some((_, prefix)) => (*prefix).to_owned(),
        None if has_base(params) => "openai".to_owned(),
        None => catalog.find(model)?.0.id.clone(),
    };
    Some(Named {
        prefix,
        model: model.to_owned(),
    })
}

fn has_base(params: Params<'_>) -> bool {
    params.any(&["api_base", "base_url"]).is_some()
}

/// A URL without what OpenAI's SDK, not the operator, adds.
fn tidy(url: &str) -> String {
    let url = url.trim_end_matches('/');
    let url = url.strip_suffix("/chat/completions").unwrap_or(url);
    url.strip_suffix("/v1/messages").unwrap_or(url).to_owned()
}

/// A provider that wants a key and nothing else.
fn plain(import: &mut Import, params: Params<'_>, place: &mut Place, facts: &Provider) {
    let base = params.any(&["api_base", "base_url"]);
    let own_server = facts.id == "openai"
        && base.is_some_and(|base| base.peek().is_some_and(|url| !url.contains("://api.openai.com")));
    if own_server {
        place.kind = "openai-compatible".to_owned();
        place.wish = "openai-compatible".to_owned();
        place.block.set("kind", Yaml::text(&place.kind));
    }
    let local_v1 = facts.id == "ollama";
    match base {
        Some(base) => {
            let url = import.url(base, &format!("{}_API_BASE", place.wish), |url| {
                let url = tidy(url);
                if local_v1 && !url.ends_with("/v1") {
                    return format!("{url}/v1");
                }
                azure_ai_host(&url).unwrap_or(url)
            });
            place.block.put("base_url", url);
        }
        None if facts.fixed_url().is_none() => {
            let name = format!("{}_API_BASE", place.wish.to_ascii_uppercase().replace('-', "_"));
            place.block.set("base_url", import.draft.variables.known(&name));
        }
        None => {}
    }
    let mut auth = Map::default();
    let key = params.get("api_key");
    let usual = KEYS
        .iter()
        .find(|(kind, _)| *kind == facts.id)
        .map(|(_, name)| (*name).to_owned())
        .or_else(|| facts.env.first().cloned());
    let key = match key {
        Some(key) => import.secret(key, &format!("{}_API_KEY", place.wish)),
        None => usual
            .filter(|_| !facts.local)
            .map(|name| import.draft.variables.known(&name)),
    };
    auth.put("api_key", key);
    place.block.put_map("auth", auth);
    if let Some(organization) = params.get("organization")
        && let Some(value) = import.setting(organization)
    {
        place
            .block
            .update("headers", |headers| headers.set("openai-organization", value));
    }
}

/// The host of an address of Azure AI Foundry: the catalog knows the paths.
fn azure_ai_host(url: &str) -> Option<String> {
    let (scheme, rest) = url.split_once("://")?;
    let host = rest.split('/').next()?;
    host.ends_with(".services.ai.azure.com")
        .then(|| format!("{scheme}://{host}"))
}

fn azure(import: &mut Import, params: Params<'_>, place: &mut Place) {
    for family in ["o_series/", "gpt5_series/", "responses/"] {
        if let Some(rest) = place.model.strip_prefix(family) {
            place.model = rest.to_owned();
        }
    }
    let base = params.any(&["api_base", "base_url"]);
    let url = match base {
        Some(base) => import.url(base, "AZURE_API_BASE", |url| {
            let url = url.trim_end_matches('/');
            url.split_once("/openai/deployments")
                .map_or(url, |(host, _)| host)
                .to_owned()
        }),
        None => Some(import.draft.variables.known("AZURE_API_BASE")),
    };
    place.block.put("base_url", url);
    match params.get("api_version") {
        Some(version) => {
            let version = import.setting(version);
            place.block.put("api_version", version);
        }
        None => {
            import.draft.report.nearest(
                params.get("model").unwrap_or(params.own),
                "without api_version LiteLLM asks for a dated version of its own choice; here Azure's undated paths are used",
                "set api_version of the provider if the resource is older",
            );
        }
    }
    let mut auth = Map::default();
    let secret = params.get("client_secret");
    let identity = [("tenant", "tenant_id"), ("client", "client_id")];
    if let Some(key) = params.get("api_key") {
        auth.put("api_key", import.secret(key, "AZURE_API_KEY"));
    } else if let Some(token) = params.get("azure_ad_token") {
        azure_token(import, token, &mut auth);
    } else if secret.is_some() || import.policy.azure_entra {
        let mut entra = Map::default();
        for (name, key) in identity {
            let value = params.get(key).and_then(|item| import.setting(item));
            entra.put(name, value);
        }
        let secret = secret.and_then(|item| import.secret(item, "AZURE_CLIENT_SECRET"));
        entra.put("secret", secret);
        let scope = params.get("azure_scope").and_then(|item| import.setting(item));
        entra.put("scope", scope);
        auth.set("entra", Yaml::Map(entra));
    } else {
        auth.set("api_key", import.draft.variables.known("AZURE_API_KEY"));
    }
    place.block.put_map("auth", auth);
}

/// A token that somebody else renews.
fn azure_token(import: &mut Import, token: &crate::source::Item, auth: &mut Map) {
    if token.peek().is_some_and(|text| text.starts_with("oidc/")) {
        import.draft.report.nearest(
            token,
            "LiteLLM exchanges this token; here Entra ID's usual chain is asked (environment, workload identity, managed identity)",
            "write auth.entra with federated_token_file, or with oidc",
        );
        auth.set("entra", Yaml::Map(Map::default()));
        return;
    }
    auth.put("api_key", import.secret(token, "AZURE_AD_TOKEN"));
    auth.set("header", Yaml::text("authorization"));
    auth.set("prefix", Yaml::text("Bearer "));
    import.draft.report.nearest(
        token,
        "an Entra ID token ends after an hour or so, and nobody renews it",
        "write auth.entra, which fetches and renews tokens itself",
    );
}

fn bedrock(import: &mut Import, params: Params<'_>, place: &mut Place) {
    let mut region_of_path = None;
    for style in ["converse_like/", "converse/", "invoke/"] {
        if let Some(rest) = place.model.strip_prefix(style) {
            place.model = rest.to_owned();
        }
    }
    if let Some((first, rest)) = place.model.split_once('/') {
        if is_region(first) {
            region_of_path = Some(first.to_owned());
            place.model = rest.to_owned();
        } else if rest.starts_with("arn:") {
            // Which family an ARN's model is of: Converse does not ask.
            place.model = rest.to_owned();
        }
    }
    let region = params
        .any(&["aws_region_name", "aws_region", "region_name"])
        .and_then(|item| import.setting(item))
        .or_else(|| region_of_path.map(Yaml::text))
        .unwrap_or_else(|| import.draft.variables.known("AWS_REGION"));
    place.block.set("region", region);
    if let Some(base) = params.any(&["aws_bedrock_runtime_endpoint", "api_base"]) {
        let url = import.url(base, "AWS_BEDROCK_RUNTIME_ENDPOINT", tidy);
        place.block.put("base_url", url);
    }
    let mut aws = Map::default();
    let secrets = [
        ("access_key_id", "aws_access_key_id", "AWS_ACCESS_KEY_ID"),
        (
            "secret_access_key",
            "aws_secret_access_key",
            "AWS_SECRET_ACCESS_KEY",
        ),
        ("session_token", "aws_session_token", "AWS_SESSION_TOKEN"),
        ("bearer_token", "api_key", "AWS_BEARER_TOKEN_BEDROCK"),
    ];
    for (name, key, wish) in secrets {
        let value = params.get(key).and_then(|item| import.secret(item, wish));
        aws.put(name, value);
    }
    let mut settings = |aws: &mut Map, keys: &[(&str, &str)]| {
        for (name, key) in keys {
            let value = params.get(key).and_then(|item| import.setting(item));
            aws.put(name, value);
        }
    };
    settings(
        &mut aws,
        &[
            ("profile", "aws_profile_name"),
            ("sts_endpoint", "aws_sts_endpoint"),
        ],
    );
    if params.get("aws_role_name").is_some() && params.get("aws_web_identity_token").is_none() {
        let mut role = Map::default();
        let keys = [
            ("role_arn", "aws_role_name"),
            ("session_name", "aws_session_name"),
            ("external_id", "aws_external_id"),
        ];
        settings(&mut role, &keys);
        aws.put_map("assume_role", role);
    }
    let mut auth = Map::default();
    auth.set("aws", Yaml::Map(aws));
    place.block.put_map("auth", auth);
}

/// `eu-west-1`, `us-gov-east-1`.
fn is_region(text: &str) -> bool {
    let parts: Vec<&str> = text.split('-').collect();
    (3..=4).contains(&parts.len())
        && parts
            .last()
            .is_some_and(|last| last.len() == 1 && last.bytes().all(|digit| digit.is_ascii_digit()))
        && parts[..parts.len() - 1]
            .iter()
            .all(|part| part.bytes().all(|letter| letter.is_ascii_lowercase()))
}

fn vertex(import: &mut Import, params: Params<'_>, place: &mut Place) {
    if let Some(rest) = place.model.strip_prefix("gemini/") {
        place.model = rest.to_owned();
    }
    let project = params
        .any(&["vertex_project", "vertex_ai_project"])
        .and_then(|item| import.setting(item))
        .unwrap_or_else(|| import.draft.variables.known("VERTEXAI_PROJECT"));
    let location = params
        .any(&["vertex_location", "vertex_ai_location"])
        .and_then(|item| import.setting(item))
        .unwrap_or_else(|| import.draft.variables.known("VERTEXAI_LOCATION"));
    place.block.set("project", project);
    place.block.set("location", location);
    if let Some(base) = params.get("api_base") {
        let url = import.url(base, "VERTEXAI_API_BASE", tidy);
        place.block.put("base_url", url);
    }
    let mut gcp = Map::default();
    if let Some(credentials) = params.any(&["vertex_credentials", "vertex_ai_credentials"]) {
        let text = credentials.peek().unwrap_or_default();
        if !text.starts_with(super::VARIABLE) && !text.trim_start().starts_with('{') && !text.is_empty() {
            gcp.put("credentials_file", import.setting(credentials));
        } else if text.starts_with(super::VARIABLE) {
            gcp.put("credentials", import.variable(credentials));
            import.draft.report.nearest(
                credentials,
                "LiteLLM takes the content of a credentials file from this variable, or its path; here it is the content",
                "if it is a path, write auth.gcp.credentials_file in place of credentials",
            );
        } else {
            gcp.put("credentials", import.secret(credentials, "VERTEX_CREDENTIALS"));
        }
    }
    let mut auth = Map::default();
    auth.set("gcp", Yaml::Map(gcp));
    place.block.put_map("auth", auth);
}

/// Where `rpm` and `tpm` are limits, they become limits of the provider's key.
fn limits(import: &mut Import, params: Params<'_>, place: &mut Place) {
    if !import.policy.limits {
        return;
    }
    let found: Vec<_> = [("requests_per_minute", "rpm"), ("tokens_per_minute", "tpm")]
        .into_iter()
        .filter_map(|(name, key)| Some((name, params.get(key)?)))
        .collect();
    let Some(Yaml::Map(auth)) = place.block.get("auth").cloned() else {
        return;
    };
    let (Some(key), false) = (auth.get("api_key").cloned(), found.is_empty()) else {
        return;
    };
    let mut limited = Map::default();
    limited.set("key", key);
    for (name, item) in found {
        if let Some(limit) = item.whole().filter(|limit| *limit > 0) {
            limited.set(name, Yaml::plain(limit));
            import.draft.report.nearest(
                item,
                "it is a limit of the provider's key here, which all deployments with the same key and limit share",
                "",
            );
        }
    }
    place.block.update("auth", |auth| {
        auth.set("api_key", Yaml::list([Yaml::Map(limited)]));
    });
}

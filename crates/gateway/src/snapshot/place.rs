//! Where a provider is: its base URL, with region, project and location put in, and the path an operator may leave out.

use std::borrow::Cow;

use pointsman_config::ProviderConfig;
use pointsman_upstream::EndpointConfig;

/// Kinds whose base URL ends in a version and perhaps a project: an operator may give the host alone.
const COMPLETED: [&str; 3] = ["azure-openai", "gcp-vertex", "gemini"];

/// The servers of a provider of `kind`, which the catalog knows at `base`.
pub fn endpoints(config: &ProviderConfig, kind: &str, base: Option<&str>) -> Vec<EndpointConfig> {
    let base = base.map(|base| fill(base, config));
    let path = base
        .as_deref()
        .filter(|_| COMPLETED.contains(&kind))
        .map(|base| path_of(base).to_owned());
    let mut endpoints = config.endpoints.clone();
    if endpoints.is_empty() {
        endpoints.extend(config.base_url.as_deref().map(EndpointConfig::new));
    }
    if endpoints.is_empty() {
        return base.as_deref().map(EndpointConfig::new).into_iter().collect();
    }
    if let Some(path) = path {
        for endpoint in &mut endpoints {
            if path_of(&endpoint.url).trim_matches('/').is_empty() {
                endpoint.url = [endpoint.url.trim_end_matches('/'), &path].concat();
            }
        }
    }
    endpoints
}

/// The base URL with the provider's settings put in; Google's global location has a host of its own.
fn fill(base: &str, config: &ProviderConfig) -> String {
    let mut filled = base.to_owned();
    let settings = [
        ("{region}", &config.region),
        ("{project}", &config.project),
        ("{location}", &config.location),
    ];
    for (name, value) in settings {
        if let Some(value) = value {
            filled = filled.replace(name, value);
        }
    }
    if config.api_version.as_deref().is_some_and(is_dated)
        && let Some(before) = filled.strip_suffix("/openai/v1")
    {
        filled = [before, "/openai"].concat();
    }
    filled.replace("//global-aiplatform.", "//aiplatform.")
}

/// A path of Azure OpenAI, whose dated versions have the model (the deployment) in the path. Newer ones do not, and
/// need no version.
pub fn azure<'p>(path: &'p str, api_version: Option<&str>) -> Cow<'p, str> {
    match api_version {
        None | Some("v1" | "latest") => Cow::Borrowed(path),
        Some("preview") => Cow::Owned([path, "?api-version=preview"].concat()),
        Some(dated) if matches!(path, "/responses" | "/files" | "/batches") => {
            Cow::Owned([path, "?api-version=", dated].concat())
        }
        Some(dated) => Cow::Owned(["/deployments/{model}", path, "?api-version=", dated].concat()),
    }
}

/// A path of realtime sessions with the model in its query: Azure OpenAI's dated versions call it the deployment.
pub fn realtime(path: &str, kind: &str, api_version: Option<&str>) -> String {
    match api_version.filter(|_| kind == "azure-openai") {
        Some(dated) if is_dated(dated) => format!("{path}?api-version={dated}&deployment={{model}}"),
        Some("preview") => format!("{path}?api-version=preview&model={{model}}"),
        _ => format!("{path}?model={{model}}"),
    }
}

/// Whether a version of Azure OpenAI is one with deployments in its paths.
fn is_dated(api_version: &str) -> bool {
    api_version.starts_with(|letter: char| letter.is_ascii_digit())
}

/// The path of a URL.
fn path_of(url: &str) -> &str {
    let host = url.find("://").map_or(0, |at| at + 3);
    url[host..].find('/').map_or("", |at| &url[host + at..])
}

#[cfg(test)]
mod tests {
    use super::*;

    const VERTEX: &str =
        "https://{location}-aiplatform.googleapis.com/v1/projects/{project}/locations/{location}";

    fn url(config: &ProviderConfig, kind: &str, base: &str) -> String {
        endpoints(config, kind, Some(base))[0].url.clone()
    }

    #[test]
    fn settings_are_put_into_the_base_url() {
        let mut config = ProviderConfig {
            project: Some("p".to_owned()),
            location: Some("europe-west4".to_owned()),
            ..ProviderConfig::default()
        };
        assert_eq!(
            url(&config, "gcp-vertex", VERTEX),
            "https://europe-west4-aiplatform.googleapis.com/v1/projects/p/locations/europe-west4"
        );
        config.location = Some("global".to_owned());
        assert_eq!(
            url(&config, "gcp-vertex", VERTEX),
            "https://aiplatform.googleapis.com/v1/projects/p/locations/global"
        );
        config.base_url = Some("http://127.0.0.1:1/".to_owned());
        assert_eq!(
            url(&config, "gcp-vertex", VERTEX),
            "http://127.0.0.1:1/v1/projects/p/locations/global"
        );
    }

    #[test]
    fn dated_versions_of_azure_have_deployments() {
        let config = ProviderConfig {
            base_url: Some("https://x.openai.azure.com/".to_owned()),
            api_version: Some("2024-10-21".to_owned()),
            ..ProviderConfig::default()
        };
        let azure_base = "https://{resource}.openai.azure.com/openai/v1";
        assert_eq!(
            url(&config, "azure-openai", azure_base),
            "https://x.openai.azure.com/openai"
        );
        for (path, version, expected) in [
            ("/chat/completions", None, "/chat/completions"),
            ("/chat/completions", Some("v1"), "/chat/completions"),
            (
                "/chat/completions",
                Some("preview"),
                "/chat/completions?api-version=preview",
            ),
            (
                "/embeddings",
                Some("2024-10-21"),
                "/deployments/{model}/embeddings?api-version=2024-10-21",
            ),
            (
                "/responses",
                Some("2025-04-01-preview"),
                "/responses?api-version=2025-04-01-preview",
            ),
            ("/batches", Some("2024-10-21"), "/batches?api-version=2024-10-21"),
        ] {
            assert_eq!(azure(path, version), expected);
        }
    }

    #[test]
    fn realtime_sessions_have_the_model_in_the_query() {
        for (kind, version, expected) in [
            ("openai", None, "/realtime?model={model}"),
            ("xai", Some("2024-10-21"), "/realtime?model={model}"),
            ("azure-openai", None, "/realtime?model={model}"),
            ("azure-openai", Some("v1"), "/realtime?model={model}"),
            (
                "azure-openai",
                Some("preview"),
                "/realtime?api-version=preview&model={model}",
            ),
            (
                "azure-openai",
                Some("2024-10-01-preview"),
                "/realtime?api-version=2024-10-01-preview&deployment={model}",
            ),
        ] {
            assert_eq!(realtime("/realtime", kind, version), expected);
        }
    }

    #[test]
    fn only_a_host_is_completed() {
        let at = |base: &str| ProviderConfig {
            base_url: Some(base.to_owned()),
            ..ProviderConfig::default()
        };
        let azure = "https://{resource}.openai.azure.com/openai/v1";
        assert_eq!(
            url(&at("https://x.openai.azure.com"), "azure-openai", azure),
            "https://x.openai.azure.com/openai/v1"
        );
        assert_eq!(
            url(&at("https://x/mine"), "azure-openai", azure),
            "https://x/mine"
        );
        assert_eq!(
            url(&at("http://localhost"), "openai", "https://api.openai.com/v1"),
            "http://localhost"
        );
    }
}

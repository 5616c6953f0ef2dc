//! Asking providers which models they have. Bounded: one after the other, each with a time limit, and limits of the
//! size and the number of its pages.

mod page;

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, USER_AGENT};
use http::{HeaderName, HeaderValue, Method, Request, Uri};
use http_body_util::{BodyExt, Limited};
use pointsman_catalog::{Catalog, Provider};
use pointsman_config::{Config, ProviderConfig};
use pointsman_upstream::config::{ApiKeys, Secret};
use pointsman_upstream::{
    AuthStyle, Client, ClientOptions, Credential, Endpoint, EndpointConfig, HealthConfig, Timeouts,
    TimeoutsConfig,
};
use serde_json::{Value, json};

use self::page::Page;
use super::{List, show};
use crate::{console, zero};

/// How long a provider may take, all in all.
const PATIENCE: Duration = Duration::from_secs(30);
/// Most bytes of a page.
const MOST: usize = 16 * 1024 * 1024;
/// Most pages of a list.
const PAGES: usize = 100;

/// Lists what the providers say, with what the catalog knows of it.
pub(super) async fn list(list: &List, config: &Config, catalog: &Catalog) -> ExitCode {
    let asked = asked(list, config, catalog);
    if asked.is_empty() {
        return console::fail(
            "no provider to ask: name one with --provider, set its environment variable, or give a configuration",
        );
    }
    let client = match ClientOptions::compile(&config.upstream) {
        Ok(options) => Client::new(options),
        Err(error) => return console::fail(&error.to_string()),
    };
    let (mut all, mut failed) = (Vec::new(), false);
    for (name, facts, provider) in asked {
        match tokio::time::timeout(PATIENCE, ask(&client, facts, &provider)).await {
            Err(_) => {
                console::complain(format!("{name}: no answer within {} seconds", PATIENCE.as_secs()));
                failed = true;
            }
            Ok(Err(error)) => {
                console::complain(format!("{name}: {error}"));
                failed = true;
            }
            Ok(Ok(ids)) => all.extend(ids.into_iter().map(|id| (name.clone(), facts, id))),
        }
    }
    tell(list, catalog, &all);
    if failed {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    }
}

/// Whom to ask: the configured providers, or those whose key is in the environment; of them, those that were named.
fn asked<'a>(
    list: &List,
    config: &Config,
    catalog: &'a Catalog,
) -> Vec<(String, &'a Provider, ProviderConfig)> {
    if list.config.is_some() {
        let named = |name: &String| list.provider.is_empty() || list.provider.contains(name);
        return config
            .providers
            .iter()
            .filter(|(name, _)| named(name))
            .filter_map(|(name, provider)| {
                let kind = provider.kind.as_deref().unwrap_or(name);
                Some((name.clone(), catalog.provider(kind)?, provider.clone()))
            })
            .collect();
    }
    let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let mut found: Vec<_> = zero::keys(catalog, variable)
        .into_iter()
        .filter(|(facts, _)| list.of_provider(catalog, config, &facts.id))
        .map(|(facts, key)| {
            let mut provider = ProviderConfig::default();
            provider.auth.api_key = Some(ApiKeys::One(Secret::from(key)));
            (facts.id.clone(), facts, provider)
        })
        .collect();
    // A local server needs no key, but is asked only by name.
    let local = catalog
        .providers()
        .filter(|facts| facts.local && !list.provider.is_empty());
    found.extend(
        local
            .filter(|facts| list.of_provider(catalog, config, &facts.id))
            .map(|facts| (facts.id.clone(), facts, ProviderConfig::default())),
    );
    found
}

/// All models of a provider, page by page.
async fn ask(client: &Client, facts: &Provider, provider: &ProviderConfig) -> Result<Vec<String>, String> {
    let said = |error: &dyn std::fmt::Display| error.to_string();
    let first = provider.endpoints.first().cloned();
    let place = first
        .or_else(|| {
            provider
                .base_url
                .as_deref()
                .or(facts.fixed_url())
                .map(EndpointConfig::new)
        })
        .ok_or("it has no base_url")?;
    let endpoint = Endpoint::new(&place, &HealthConfig::default()).map_err(|error| said(&error))?;
    let style = match &facts.auth_header {
        None => AuthStyle::Bearer,
        Some(header) => {
            AuthStyle::Header(HeaderName::try_from(header.as_str()).map_err(|error| said(&error))?)
        }
    };
    let auth = provider.auth.clone().with_region(provider.region.as_deref());
    let credential = Credential::compile(&auth, &style).map_err(|error| said(&error))?;
    let first = facts.endpoint("models").unwrap_or("/models");
    let (mut all, mut path) = (Vec::new(), first.to_owned());
    for _ in 0..PAGES {
        let request = request(
            facts,
            provider,
            endpoint.uri(&path).map_err(|error| said(&error))?,
        )?;
        let page = page(client, (&endpoint, &credential), request, &path).await?;
        all.extend(page.ids);
        let Some(next) = page.next else { return Ok(all) };
        let next = next.path(endpoint.url(), first)?;
        if next == path {
            return Err(format!("{} leads to itself", place_of(endpoint.url(), &path)));
        }
        path = next;
    }
    Err(format!(
        "{} has more than {PAGES} pages",
        place_of(endpoint.url(), first)
    ))
}

fn request(facts: &Provider, provider: &ProviderConfig, uri: Uri) -> Result<Request<Bytes>, String> {
    let mut request = Request::new(Bytes::new());
    *request.method_mut() = Method::GET;
    *request.uri_mut() = uri;
    let headers = request.headers_mut();
    headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
    headers.insert(
        USER_AGENT,
        HeaderValue::from_static(concat!("pointsman/", env!("CARGO_PKG_VERSION"))),
    );
    let own = provider
        .headers
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()));
    let fixed = facts
        .headers
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()));
    for (name, value) in fixed.chain(own) {
        let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) else {
            return Err(format!("{name:?} is not a valid header"));
        };
        headers.insert(name, value);
    }
    Ok(request)
}

async fn page(
    client: &Client,
    (endpoint, credential): (&Arc<Endpoint>, &Credential),
    mut request: Request<Bytes>,
    path: &str,
) -> Result<Page, String> {
    let said = |error: &dyn std::fmt::Display| error.to_string();
    credential
        .authorize(client, endpoint, &mut request, 0)
        .await
        .map_err(|error| said(&error))?;
    let timeouts = Timeouts::from(&TimeoutsConfig::default());
    let response = client
        .send(endpoint, request, &timeouts)
        .await
        .map_err(|error| said(&error))?;
    let (head, body) = response.into_parts();
    let body = Limited::new(body, MOST)
        .collect()
        .await
        .map_err(|error| said(&error))?;
    let place = || place_of(endpoint.url(), path);
    if !head.status.is_success() {
        return Err(format!("{} answered {}", place(), head.status));
    }
    Page::read(&head.headers, &body.to_bytes()).ok_or_else(|| format!("{} is not a list of models", place()))
}

fn place_of(base: &str, path: &str) -> String {
    format!("{}{path}", base.trim_end_matches('/'))
}

fn tell(list: &List, catalog: &Catalog, all: &[(String, &Provider, String)]) {
    let rows = all.iter().filter_map(|(name, facts, id)| {
        let model = catalog.model(&facts.id, id);
        let wanted = match model {
            Some(model) => list.wants_facts(model),
            None => !list.asks_for_facts(),
        } && list.wants_name(id, facts);
        wanted.then_some((name, id, model))
    });
    let rows: Vec<_> = rows.collect();
    if list.json {
        let told: Vec<Value> = rows
            .iter()
            .map(|(name, id, model)| {
                let mut told =
                    model.map_or_else(|| json!({ "provider": name }), |model| show::facts(name, model));
                told["id"] = json!(id);
                told["listed"] = json!(model.is_some());
                told
            })
            .collect();
        console::say(serde_json::to_string_pretty(&told).unwrap_or_default());
        return;
    }
    for (name, id, model) in &rows {
        let note = match model {
            None => "not in the catalog: no price".to_owned(),
            Some(model) if !model.is_priced() => "no price".to_owned(),
            Some(_) => String::new(),
        };
        console::say(format!("{name}/{id}  {note}").trim_end());
    }
    console::say(format!("{} models", rows.len()));
}

//! Guardrails that are asked over the network: one guard whatever the service, bounded in time, size and number.

mod ask;
mod azure;
mod bedrock;
pub(crate) mod config;
mod entity;
mod finding;
mod http;
mod lakera;
mod litellm;
mod llm_guard;
mod model_armor;
mod nemo;
mod openai;
mod presidio;
mod service;

use std::sync::Arc;
use std::time::Duration;

use ::http::{HeaderMap, HeaderName, HeaderValue};
use pointsman_upstream::breaker::BreakerState;
use pointsman_upstream::{Credential, Endpoint, EndpointConfig, EndpointRegistry, HealthConfig};
use tokio::sync::Semaphore;

use crate::config::{Action, GuardrailConfig, OnError, Stage};
use crate::heard::PATIENCE;
use crate::placeholder::{Placeholders, Replacing};
use crate::stage::Wrong;
use crate::texts::Sort;
use config::{Asked, AzureCheck};
use service::Service;

pub(crate) use finding::{Finding, Span};
pub(crate) use service::Shown;

/// Requests to a service at once, when the configuration does not say.
const AT_ONCE: usize = 64;
/// Bytes of a text, when the configuration does not say.
const MOST_BYTES: usize = 1024 * 1024;

/// A compiled guardrail.
#[derive(Debug)]
pub(crate) struct RemoteGuard {
    pub(crate) name: String,
    pub(crate) action: Action,
    pub(crate) on_error: OnError,
    patience: Duration,
    pub(crate) restore: bool,
    service: Box<dyn Service>,
    endpoint: Arc<Endpoint>,
    credential: Credential,
    headers: HeaderMap,
    max_bytes: usize,
    places: Semaphore,
}

/// Why a text was not judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unjudged {
    /// The breaker lets nothing through: the service has failed before.
    Open,
    /// It took too long, or too many others were waiting.
    Late,
    /// There is no credential.
    Credential,
    /// It could not be reached, or the connection broke.
    Network,
    /// It answered with a status that is no success.
    Status,
    /// Its answer is not what its description says.
    Answer,
    /// The text is longer than the service is shown.
    Long,
    /// A model of this machine did not answer.
    Model,
}

impl Unjudged {
    /// As it is counted.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Late => "late",
            Self::Credential => "credential",
            Self::Network => "network",
            Self::Status => "status",
            Self::Answer => "answer",
            Self::Long => "long",
            Self::Model => "model",
        }
    }
}

impl RemoteGuard {
    /// Compiles a block that is of a service; `action` is what it does, which a dry run changes.
    pub(crate) fn compile(
        config: &GuardrailConfig,
        action: Action,
        registry: &EndpointRegistry,
    ) -> Result<Self, Wrong> {
        let Some(remote) = config.remote() else {
            return Err(("type", "it is asked over no network".to_owned()));
        };
        let asked = remote.asking();
        let service = service_of(config)?;
        check(config, service.as_ref())?;
        let Some(url) = asked.url.map(str::to_owned).or_else(|| service.url()) else {
            return Err(("url", "say where the service is".to_owned()));
        };
        let common = config.common();
        let mut place = EndpointConfig::new(url.trim_end_matches('/'));
        place
            .client_certificate
            .clone_from(&asked.auth.client_certificate);
        let endpoint = registry
            .endpoint(
                &format!("guardrail {}", common.name),
                &place,
                &HealthConfig::default(),
            )
            .map_err(|error| ("url", error.problem))?;
        let credential = Credential::compile(&auth(config, &asked), &service.style())
            .map_err(|error| ("auth", format!("{}: {}", error.field, error.problem)))?;
        Ok(Self {
            name: common.name.to_owned(),
            action,
            on_error: asked.on_error,
            patience: asked.timeout.map_or(PATIENCE, |timeout| timeout.get()),
            restore: restores(config),
            headers: headers(&asked)?,
            max_bytes: asked.max_bytes.unwrap_or(MOST_BYTES),
            places: Semaphore::new(asked.max_concurrent.map_or(AT_ONCE, |most| most.max(1) as usize)),
            service,
            endpoint,
            credential,
        })
    }

    /// Whether it judges texts of this sort.
    pub(crate) fn judges(&self, sort: Sort) -> bool {
        match sort {
            Sort::Definition => false,
            Sort::Foreign | Sort::Thought => true,
            Sort::Instruction | Sort::Model | Sort::Arguments => !self.service.judges_foreign_alone(),
        }
    }

    /// What its breaker is doing.
    pub(crate) fn breaker(&self) -> BreakerState {
        self.endpoint.breaker_state(std::time::Instant::now())
    }

    /// The text with placeholders for what was found in it, or as the service would have it.
    pub(crate) fn redacted(
        &self,
        text: &str,
        finding: &Finding,
        placeholders: &Placeholders,
    ) -> Option<String> {
        if finding.spans.is_empty() {
            return finding.rewritten.clone();
        }
        let mut out = String::with_capacity(text.len());
        let mut from = 0;
        for span in &finding.spans {
            // Places are of the text that was asked about, which is this one.
            let (before, value) = (text.get(from..span.start)?, text.get(span.start..span.end)?);
            out.push_str(before);
            out.push_str(&self.placeholder(span, value, placeholders));
            from = span.end;
        }
        out.push_str(text.get(from..)?);
        Some(out)
    }

    /// What stands for a value.
    pub(crate) fn placeholder(&self, span: &Span, value: &str, placeholders: &Placeholders) -> String {
        placeholders.of(
            &span.kind,
            value,
            Replacing {
                restorable: self.restore,
                synthetic: false,
            },
        )
    }
}

/// Whether originals are put back.
pub(crate) fn restores(config: &GuardrailConfig) -> bool {
    match config {
        GuardrailConfig::Pii(config) => config.restore,
        GuardrailConfig::Presidio(config) => config.restore,
        GuardrailConfig::Http(config) => config.restore,
        GuardrailConfig::BedrockGuardrails(config) => config.restore,
        GuardrailConfig::ModelArmor(config) => config.restore,
        GuardrailConfig::Lakera(config) => config.restore,
        _ => false,
    }
}

fn service_of(config: &GuardrailConfig) -> Result<Box<dyn Service>, Wrong> {
    Ok(match config {
        GuardrailConfig::Presidio(config) => Box::new(presidio::Presidio::new(config)),
        GuardrailConfig::Http(_) => Box::new(http::Http),
        GuardrailConfig::LiteLlm(config) => Box::new(litellm::LiteLlm::new(config)),
        GuardrailConfig::OpenAiModeration(config) => Box::new(openai::Moderation::new(config)),
        GuardrailConfig::BedrockGuardrails(config) => Box::new(bedrock::Bedrock::new(config)),
        GuardrailConfig::AzureContentSafety(config) => Box::new(azure::Azure::new(config)),
        GuardrailConfig::ModelArmor(config) => Box::new(model_armor::ModelArmor::new(config)),
        GuardrailConfig::Lakera(config) => Box::new(lakera::Lakera::new(config)),
        GuardrailConfig::LlmGuard(config) => Box::new(llm_guard::LlmGuard::new(config)),
        GuardrailConfig::Nemo(config) => Box::new(nemo::Nemo::new(config)),
        GuardrailConfig::Regex(_)
        | GuardrailConfig::Pii(_)
        | GuardrailConfig::Jailbreak(_)
        | GuardrailConfig::Harmful(_)
        | GuardrailConfig::Groundedness(_)
        | GuardrailConfig::Topics(_) => return Err(("type", "it is asked over no network".to_owned())),
    })
}

/// What cannot be carried out is refused by name.
fn check(config: &GuardrailConfig, service: &dyn Service) -> Result<(), Wrong> {
    let common = config.common();
    if common.action == Action::Redact && !service.redacts() {
        let message = "the service judges a text as a whole; use action: block, flag or route";
        return Err(("action", message.to_owned()));
    }
    let missing = |field: &'static str, value: &str| match value.is_empty() {
        true => Err((field, format!("{field} is missing"))),
        false => Ok(()),
    };
    match config {
        GuardrailConfig::BedrockGuardrails(config) => {
            missing("guardrail", &config.guardrail)?;
            missing("version", &config.version)
        }
        GuardrailConfig::ModelArmor(config) => {
            missing("project", &config.project)?;
            missing("location", &config.location)?;
            missing("template", &config.template)
        }
        GuardrailConfig::Nemo(config) => missing("model", &config.model),
        GuardrailConfig::AzureContentSafety(config)
            if config.checks.contains(&AzureCheck::PromptShields) && common.on.contains(&Stage::Output) =>
        {
            let message =
                "prompt shields look at what goes in; use two guardrails, this one without on: [output]";
            Err(("checks", message.to_owned()))
        }
        _ => Ok(()),
    }
}

/// How the service is let in by: what is written, and what the kind of service implies where nothing is.
fn auth(config: &GuardrailConfig, asked: &Asked<'_>) -> pointsman_upstream::AuthConfig {
    let mut auth = asked.auth.clone();
    match config {
        GuardrailConfig::BedrockGuardrails(config) => {
            if auth == pointsman_upstream::AuthConfig::default() {
                auth.aws = Some(pointsman_upstream::config::AwsConfig::default());
            }
            auth.with_region(config.region.as_deref())
        }
        GuardrailConfig::ModelArmor(_) if auth == pointsman_upstream::AuthConfig::default() => {
            auth.gcp = Some(pointsman_upstream::config::GcpConfig::default());
            auth
        }
        _ => auth,
    }
}

fn headers(asked: &Asked<'_>) -> Result<HeaderMap, Wrong> {
    let mut headers = HeaderMap::new();
    for (name, value) in asked.headers {
        let parsed = (
            HeaderName::try_from(name.as_str()),
            HeaderValue::try_from(value.expose()),
        );
        let (Ok(name), Ok(mut value)) = parsed else {
            return Err((
                "headers",
                format!("{name:?} is no header, or has no value that can be sent"),
            ));
        };
        value.set_sensitive(true);
        headers.insert(name, value);
    }
    Ok(headers)
}

#[cfg(test)]
mod tests;

//! The blocks of guardrails that are asked over the network.

use std::collections::BTreeMap;

use pointsman_upstream::config::Secret;
use pointsman_upstream::{AuthConfig, HumanDuration};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::config::{Action, OnError, Stage};

/// What all guardrails that are asked over the network have.
pub(crate) trait Remote {
    /// Where, how, and how patiently they are asked.
    fn asking(&self) -> Asked<'_>;
}

/// Where, how, and how patiently a service is asked.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asked<'a> {
    pub(crate) url: Option<&'a str>,
    pub(crate) auth: &'a AuthConfig,
    pub(crate) headers: &'a BTreeMap<String, Secret>,
    pub(crate) on_error: OnError,
    pub(crate) timeout: Option<HumanDuration>,
    pub(crate) max_concurrent: Option<u32>,
    pub(crate) max_bytes: Option<usize>,
}

/// A block with the fields that all have, and its own.
macro_rules! block {
    (
        $(#[$about:meta])*
        $name:ident { $( $(#[$field_about:meta])* $field:ident: $kind:ty, )* }
    ) => {
        $(#[$about])*
        #[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
        #[serde(default, deny_unknown_fields)]
        pub struct $name {
            /// Its name, told when it acts.
            pub name: String,
            /// Which texts it sees. For `output` the answer is held until it is whole.
            pub on: Vec<Stage>,
            /// What it does.
            pub action: Action,
            /// The model that answers instead, with `action: route`.
            pub to: Option<String>,
            /// Whether it acts on all requests (when absent), or only where a model, a team or a key names it.
            pub default_on: Option<bool>,
            /// It judges and changes nothing: what it would have done is noted.
            pub dry_run: bool,
            /// The share of requests that it sees, in percent; all when absent.
            #[schemars(range(min = 1, max = 100))]
            pub sample: Option<u8>,
            /// Where the service is. Only this address is asked; redirections are not followed.
            pub url: Option<String>,
            /// How to be let in.
            pub auth: AuthConfig,
            /// Headers that go with every request.
            pub headers: BTreeMap<String, Secret>,
            /// What happens to a text when the service can't be asked, or does not answer in time.
            pub on_error: OnError,
            /// How long the service may take for all texts of a request; 2 s when absent.
            pub timeout: Option<HumanDuration>,
            /// Most requests to the service at once, of each thread that serves; 32 when absent.
            #[schemars(range(min = 1, max = 4096))]
            pub max_concurrent: Option<u32>,
            /// Most bytes of a text that is shown to the service; what is longer counts as not judged. 1 MiB when absent.
            #[schemars(range(min = 1))]
            pub max_bytes: Option<usize>,
            $( $(#[$field_about])* pub $field: $kind, )*
        }

        impl Remote for $name {
            fn asking(&self) -> Asked<'_> {
                Asked {
                    url: self.url.as_deref(),
                    auth: &self.auth,
                    headers: &self.headers,
                    on_error: self.on_error,
                    timeout: self.timeout,
                    max_concurrent: self.max_concurrent,
                    max_bytes: self.max_bytes,
                }
            }
        }
    };
}

block! {
    /// A Microsoft Presidio analyzer. What it finds is replaced here, so that it can be put back.
    PresidioConfig {
        /// What it looks for: our names (`EMAIL_ADDRESS`, `NATIONAL_ID`, …) or Presidio's own; everything when empty.
        entities: Vec<String>,
        /// How sure a find must be, in percent; Presidio's own default when absent.
        #[schemars(range(min = 0, max = 100))]
        score_threshold: Option<u8>,
        /// The language of the texts; `en` when absent.
        language: Option<String>,
        /// With `redact`: what was replaced is put back into the answer.
        restore: bool,
    }
}

block! {
    /// A service of your own.
    HttpConfig {
        /// With `redact`: what was replaced is put back into the answer.
        restore: bool,
    }
}

block! {
    /// A service that speaks LiteLLM's generic guardrail API.
    LiteLlmConfig {
        /// Told to the service with every request (`additional_provider_specific_params`).
        params: BTreeMap<String, serde_json::Value>,
    }
}

block! {
    /// OpenAI's moderations, or whoever speaks like them. `https://api.openai.com/v1` when there is no `url`.
    ModerationConfig {
        /// The model; `omni-moderation-latest` when absent.
        model: Option<String>,
        /// Categories that count (`violence`, `self-harm/intent`, …); whatever is flagged when empty.
        categories: Vec<String>,
        /// From which score on a category counts, in percent; what the service flags when absent.
        #[schemars(range(min = 1, max = 100))]
        threshold: Option<u8>,
    }
}

block! {
    /// Amazon Bedrock Guardrails. The region's own address when there is no `url`.
    BedrockConfig {
        /// Id or ARN of the guardrail.
        guardrail: String,
        /// Its version: a number, or `DRAFT`.
        version: String,
        /// The AWS region.
        region: Option<String>,
        /// With `redact`: what was replaced is put back into the answer.
        restore: bool,
    }
}

block! {
    /// Azure AI Content Safety, at the `url` of the resource.
    AzureConfig {
        /// What is asked for: `harm` (the usual), `prompt_shields`, or both.
        checks: Vec<AzureCheck>,
        /// From which severity on a category counts: 2, 4 (when absent) or 6.
        #[schemars(range(min = 1, max = 7))]
        severity: Option<u8>,
        /// Categories that count: `Hate`, `SelfHarm`, `Sexual`, `Violence`; all when empty.
        categories: Vec<String>,
        /// Block lists of the resource.
        blocklists: Vec<String>,
        /// Version of the API; `2024-09-01` when absent.
        api_version: Option<String>,
    }
}

block! {
    /// Google Cloud Model Armor. The location's own address when there is no `url`.
    ModelArmorConfig {
        /// The project.
        project: String,
        /// The location, such as `europe-west4`.
        location: String,
        /// The template.
        template: String,
        /// With `redact`: what was replaced is put back into the answer.
        restore: bool,
    }
}

block! {
    /// Lakera Guard. `https://api.lakera.ai` when there is no `url`.
    LakeraConfig {
        /// The project whose policy counts.
        project: Option<String>,
        /// With `redact`: what was replaced is put back into the answer.
        restore: bool,
    }
}

block! {
    /// An LLM Guard API server.
    LlmGuardConfig {
        /// Scanners that are left out.
        suppress: Vec<String>,
    }
}

block! {
    /// A NeMo Guardrails server.
    NemoConfig {
        /// Its configuration; the server's own default when absent.
        config: Option<String>,
        /// The model that its rails may ask.
        model: String,
    }
}

/// What Azure AI Content Safety is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum AzureCheck {
    /// Harmful content, by category and severity.
    Harm,
    /// Attacks in what users say, and in documents.
    PromptShields,
}

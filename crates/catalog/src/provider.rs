//! Providers: where they are and how they want to be spoken to.

use std::collections::BTreeMap;

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::named::{Set, named};

named! {
    /// A way in which a provider differs from what its format says.
    Quirk: "quirk" {
        /// It takes the completion limit as `max_completion_tokens`.
        MaxCompletionTokens = "max_completion_tokens",
        /// It knows the role `developer`.
        DeveloperRole = "developer_role",
        /// It takes the content of a message as one text only.
        TextContent = "text_content",
        /// It wants `store: false`.
        StoreFalse = "store_false",
        /// It understands Anthropic's `cache_control` in OpenAI's format.
        CacheControl = "cache_control",
        /// It can be told to answer with a JSON object, but not with which.
        JsonObjectOnly = "json_object_only",
    }
}

named! {
    /// The shapes of a provider's own batches.
    BatchInterface: "batch interface" {
        /// A file of lines goes in, files of lines come out.
        OpenAi = "openai",
        /// Requests go in with the body, a stream of results comes out.
        Anthropic = "anthropic",
        /// Files as OpenAI's, and jobs that read and write them.
        Mistral = "mistral",
    }
}

/// What is known of a provider's own batches; where they are is among its endpoints: `batches`, `files`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BatchFacts {
    /// Their shapes.
    pub interface: BatchInterface,
    /// What tokens cost in a batch where a model has no rates for it, in percent of the usual.
    #[schemars(range(max = 100))]
    pub percent: u8,
    /// Most lines of one.
    pub max_lines: u32,
    /// Most bytes of one.
    pub max_bytes: u64,
    /// What stands before the path of a format in the `url` of a line.
    #[serde(default)]
    pub url_prefix: String,
}

/// A provider.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Provider {
    /// Its id, by which a configuration names it.
    pub id: String,
    /// What people call it.
    pub name: String,
    /// Other names by which a configuration may name it.
    #[serde(default)]
    pub aliases: Vec<String>,
    /// Where it is; absent for kinds of which everybody has their own. What stands in `{…}` is everybody's own, too.
    pub base_url: Option<String>,
    /// Environment variables that usually hold its key, the most usual first.
    #[serde(default)]
    pub env: Vec<String>,
    /// What it wants instead of a key that is sent as it is: `aws`, `gcp`, `ibm`, `oci` or `oauth`.
    pub credentials: Option<String>,
    /// Chat formats, the preferred one first, with their paths under the base URL. `{model}` stands for the model.
    #[serde(default)]
    pub formats: IndexMap<String, String>,
    /// Paths of everything else: `embeddings`, `rerank`, `images`, `speech`, `count_tokens`, …
    #[serde(default)]
    pub endpoints: IndexMap<String, String>,
    /// Its own batches, where it has them.
    pub batch: Option<BatchFacts>,
    /// The header that carries the key; `Authorization: Bearer` when absent.
    pub auth_header: Option<String>,
    /// Headers that go with every request.
    #[serde(default)]
    pub headers: IndexMap<String, String>,
    /// Where it differs from its formats.
    #[serde(default)]
    pub quirks: Set<Quirk>,
    /// Anthropic's features under test that it has (`anthropic-beta`), and what it calls them; any when absent.
    pub betas: Option<IndexMap<String, String>>,
    /// It takes models the catalog does not list.
    #[serde(default)]
    pub any_model: bool,
    /// It usually runs on the same machine and wants no key.
    #[serde(default)]
    pub local: bool,
    /// It passes requests on to providers it does not own.
    #[serde(default)]
    pub reseller: bool,
}

impl Provider {
    /// The path of an endpoint: `embeddings`, `rerank`, `images`, …
    #[must_use]
    pub fn endpoint(&self, name: &str) -> Option<&str> {
        self.endpoints.get(name).map(String::as_str)
    }

    /// Whether it is reached where the catalog says; else everybody has to say where theirs is.
    #[must_use]
    pub fn fixed_url(&self) -> Option<&str> {
        self.base_url.as_deref().filter(|url| !url.contains('{'))
    }

    /// Whether this version speaks anything that it understands.
    #[must_use]
    pub fn is_spoken(&self) -> bool {
        !self.formats.is_empty() || !self.endpoints.is_empty()
    }

    /// Whether a key is all that is needed to reach it.
    #[must_use]
    pub fn needs_only_a_key(&self) -> bool {
        self.fixed_url().is_some()
            && self.is_spoken()
            && !self.env.is_empty()
            && !self.local
            && self.credentials.is_none()
    }
}

/// What a configuration says of a provider. What it does not say is as the catalog has it, or absent.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ProviderFacts {
    /// What people call it.
    pub name: Option<String>,
    /// Other names by which a configuration may name it.
    pub aliases: Vec<String>,
    /// Where it is.
    pub base_url: Option<String>,
    /// Environment variables that usually hold its key.
    pub env: Option<Vec<String>>,
    /// Chat formats, the preferred one first, with their paths under the base URL; OpenAI's when absent.
    #[schemars(with = "Option<BTreeMap<String, String>>")]
    pub formats: Option<IndexMap<String, String>>,
    /// Paths of everything else: `embeddings`, `rerank`, `images`, `speech`, `count_tokens`, …
    #[schemars(with = "Option<BTreeMap<String, String>>")]
    pub endpoints: Option<IndexMap<String, String>>,
    /// Its own batches, where it has them.
    pub batch: Option<BatchFacts>,
    /// The header that carries the key; `Authorization: Bearer` when absent.
    pub auth_header: Option<String>,
    /// Headers that go with every request.
    #[schemars(with = "Option<BTreeMap<String, String>>")]
    pub headers: Option<IndexMap<String, String>>,
    /// Where it differs from its formats.
    pub quirks: Option<Set<Quirk>>,
    /// Anthropic's features under test that it has (`anthropic-beta`), and what it calls them; any when absent.
    #[schemars(with = "Option<BTreeMap<String, String>>")]
    pub betas: Option<IndexMap<String, String>>,
    /// Whether it takes models the catalog does not list; true for providers the catalog does not have.
    pub any_model: Option<bool>,
}

impl ProviderFacts {
    /// The provider `id` of these facts; what they do not say is as `known` has it.
    pub(crate) fn over(&self, id: &str, known: Option<&Provider>) -> Provider {
        let mut provider = known.cloned().unwrap_or_else(|| Provider {
            id: id.to_owned(),
            name: id.to_owned(),
            aliases: Vec::new(),
            base_url: None,
            env: Vec::new(),
            credentials: None,
            formats: IndexMap::from([("openai-chat".to_owned(), "/chat/completions".to_owned())]),
            endpoints: IndexMap::new(),
            batch: None,
            auth_header: None,
            headers: IndexMap::new(),
            quirks: Set::default(),
            betas: None,
            any_model: true,
            local: false,
            reseller: false,
        });
        provider.aliases.extend(self.aliases.iter().cloned());
        put(&mut provider.name, &self.name);
        put(&mut provider.env, &self.env);
        put(&mut provider.formats, &self.formats);
        put(&mut provider.endpoints, &self.endpoints);
        put(&mut provider.headers, &self.headers);
        put(&mut provider.quirks, &self.quirks);
        put(&mut provider.any_model, &self.any_model);
        if self.base_url.is_some() {
            provider.base_url.clone_from(&self.base_url);
        }
        if self.batch.is_some() {
            provider.batch.clone_from(&self.batch);
        }
        if self.betas.is_some() {
            provider.betas.clone_from(&self.betas);
        }
        if self.auth_header.is_some() {
            provider.auth_header.clone_from(&self.auth_header);
        }
        provider
    }
}

fn put<T: Clone>(place: &mut T, said: &Option<T>) {
    if let Some(said) = said {
        place.clone_from(said);
    }
}

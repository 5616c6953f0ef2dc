//! The plugin `rag`: what is looked up for the prompt, where, and how it is put into it.

use serde::Deserialize;

use crate::config::plugins::RagSettings;

/// What is looked up.
#[derive(Debug, Clone, PartialEq)]
pub struct Rag {
    /// Where.
    pub source: RagSource,
    /// The gateway's provider that is asked: its address, credential, times and health.
    pub provider: String,
    /// How likely it must be that facts are asked for; whatever is asked where absent.
    pub least_sure: Option<f64>,
    /// The least score that counts.
    pub least: Option<f64>,
    /// Most findings.
    pub most: usize,
    /// Most letters of all of them.
    pub longest: usize,
    /// How they are put into the request.
    pub place: RagPlace,
    /// What is done where nothing can be looked up.
    pub on_failure: OnFailure,
    /// Who may see what.
    pub access: RagAccess,
}

/// Where things are looked up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RagSource {
    /// A collection of Qdrant, by the vector of what the user says.
    Qdrant {
        /// The collection.
        collection: String,
        /// The field of a point's payload that holds its text.
        content: String,
        /// The model whose vectors the collection holds; the one that ships where absent.
        model: Option<String>,
    },
    /// A collection of Milvus, by the vector of what the user says.
    Milvus {
        /// The collection.
        collection: String,
        /// The field that holds texts.
        content: String,
        /// The field that holds vectors.
        vector: String,
        /// What else must hold of what is found, in Milvus's own words.
        filter: Option<String>,
        /// The model whose vectors the collection holds; the one that ships where absent.
        model: Option<String>,
    },
    /// A vector store of OpenAI, by what the user says.
    OpenAi {
        /// Its id.
        store: String,
    },
    /// A service of one's own, by what the user says.
    Http {
        /// The path below the provider's address.
        path: String,
    },
}

/// How findings are put into a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RagPlace {
    /// As what a tool has answered.
    Tool,
    /// As instructions.
    System,
}

/// What is done where nothing can be looked up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnFailure {
    /// The request goes on.
    Skip,
    /// The same, and it is logged.
    Warn,
    /// The request fails.
    Block,
}

/// Names of the fields that say who may see a finding; a caller sees those where one of them names their user, team or
/// one of their groups. Without any, all callers see all.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RagAccess {
    /// Of the user's id.
    pub user: Option<String>,
    /// Of the team's id.
    pub team: Option<String>,
    /// Of groups.
    pub groups: Option<String>,
}

impl RagAccess {
    /// Whether anybody is kept from anything.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.user.is_none() && self.team.is_none() && self.groups.is_none()
    }
}

#[derive(Deserialize, Default)]
#[serde(default, deny_unknown_fields)]
struct Backend {
    provider: Option<String>,
    access: RagAccess,
    // Qdrant and Milvus
    collection: Option<String>,
    content_field: Option<String>,
    metadata_field: Option<String>,
    reuse_cache_connection: bool,
    embedding_model: Option<String>,
    // Milvus
    vector_field: Option<String>,
    filter_expression: Option<String>,
    // OpenAI
    vector_store_id: Option<String>,
    // A service of one's own
    path: Option<String>,
}

/// Settings that are published and that no backend here carries out.
const PUBLISHED: [&str; 10] = [
    "request_format",
    "request_template",
    "headers",
    "server_name",
    "tool_name",
    "tool_arguments",
    "file_ids",
    "filter",
    "strategy",
    "timeout_seconds",
];

impl Backend {
    fn of(config: serde_json::Value) -> Result<Self, String> {
        let own = ["endpoint", "base_url", "url", "api_key"];
        if own.iter().any(|field| config.get(field).is_some()) {
            return Err(
                "a backend of rag with an address or a key of its own is not supported in this version; name one of \
                 `providers` as backend_config.provider"
                    .to_owned(),
            );
        }
        if let Some(field) = PUBLISHED.iter().find(|field| config.get(*field).is_some()) {
            return Err(format!(
                "rag.backend_config.{field} is not supported in this version"
            ));
        }
        if config.is_null() {
            return Ok(Self::default());
        }
        let backend: Self =
            serde_json::from_value(config).map_err(|error| format!("rag.backend_config: {error}"))?;
        if backend.reuse_cache_connection && backend.provider.is_none() {
            return Err(
                "rag.backend_config.reuse_cache_connection: the cache has no connection that others use; name one of \
                 `providers` as backend_config.provider"
                    .to_owned(),
            );
        }
        Ok(backend)
    }
}

const MOST: usize = 5;
const LONGEST: usize = 8_000;

impl Rag {
    pub(super) fn of(form: RagSettings) -> Result<Option<Self>, String> {
        if !form.enabled {
            return Ok(None);
        }
        let named = form.backend.as_deref().unwrap_or_default();
        if !["qdrant", "milvus", "openai", "external_api"].contains(&named) {
            return Err(format!(
                "the backend {named:?} of rag is not supported in this version; use qdrant, milvus, openai or \
                 external_api"
            ));
        }
        let refused = [
            ("rerank", form.rerank.is_some()),
            ("cache_results", form.cache_results),
        ];
        if let Some((name, _)) = refused.iter().find(|(_, used)| *used) {
            return Err(format!("rag.{name} is not supported in this version"));
        }
        let backend = Backend::of(form.backend_config.unwrap_or_default())?;
        let Some(provider) = backend.provider.clone().filter(|provider| !provider.is_empty()) else {
            return Err("rag.backend_config.provider: name one of `providers` that is asked".to_owned());
        };
        let access = backend.access.clone();
        let source = source(named, backend)?;
        let share = |field: &str, value: Option<f64>| match value {
            Some(value) if !(0.0..=1.0).contains(&value) => {
                Err(format!("rag.{field} is a number from 0 to 1"))
            }
            value => Ok(value),
        };
        let least = share("similarity_threshold", form.similarity_threshold)?;
        let least_sure = share("min_confidence_threshold", form.min_confidence_threshold)?;
        let most = form.top_k.unwrap_or(MOST as u64);
        if !(1..=100).contains(&most) {
            return Err("rag.top_k is a number from 1 to 100".to_owned());
        }
        let longest = form
            .max_context_length
            .and_then(|length| usize::try_from(length).ok());
        Ok(Some(Self {
            source,
            provider,
            least_sure,
            least,
            most: usize::try_from(most).unwrap_or(MOST),
            longest: longest.filter(|length| *length > 0).unwrap_or(LONGEST),
            place: match form.injection_mode.as_deref() {
                None | Some("tool_role") => RagPlace::Tool,
                Some("system_prompt") => RagPlace::System,
                Some(other) => {
                    return Err(format!(
                        "rag.injection_mode: unknown mode {other:?}; use tool_role or system_prompt"
                    ));
                }
            },
            on_failure: match form.on_failure.as_deref() {
                None | Some("skip") => OnFailure::Skip,
                Some("warn") => OnFailure::Warn,
                Some("block") => OnFailure::Block,
                Some(other) => {
                    return Err(format!(
                        "rag.on_failure: unknown value {other:?}; use skip, warn or block"
                    ));
                }
            },
            access,
        }))
    }

    /// The name by which the gateway knows what is asked: a provider, and what of it.
    #[must_use]
    pub fn name(&self) -> String {
        let what = match &self.source {
            RagSource::Qdrant { collection, .. } | RagSource::Milvus { collection, .. } => collection,
            RagSource::OpenAi { store } => store,
            RagSource::Http { path } => path.trim_start_matches('/'),
        };
        format!("{}/{what}", self.provider)
    }
}

/// A name that is part of a path or a query as it is.
fn wanted(value: Option<String>, field: &str) -> Result<String, String> {
    let plain = |text: &String| {
        !text.is_empty()
            && text
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
    };
    value
        .filter(plain)
        .ok_or_else(|| format!("rag.backend_config.{field}: a plain name is wanted"))
}

/// Refuses the first field that is used, and is another back end's.
fn strange(named: &str, used: &[(&str, bool)]) -> Result<(), String> {
    match used.iter().find(|(_, used)| *used) {
        Some((field, _)) => Err(format!(
            "rag.backend_config.{field} is none of the backend {named}'s"
        )),
        None => Ok(()),
    }
}

fn source(named: &str, backend: Backend) -> Result<RagSource, String> {
    let strange = |used: &[(&str, bool)]| strange(named, used);
    let of_qdrant = [
        ("collection", backend.collection.is_some()),
        ("content_field", backend.content_field.is_some()),
        ("metadata_field", backend.metadata_field.is_some()),
        ("embedding_model", backend.embedding_model.is_some()),
    ];
    let of_milvus = [
        ("vector_field", backend.vector_field.is_some()),
        ("filter_expression", backend.filter_expression.is_some()),
    ];
    let of_openai = [("vector_store_id", backend.vector_store_id.is_some())];
    let of_http = [("path", backend.path.is_some())];
    match named {
        "qdrant" => {
            strange(&of_milvus)?;
            strange(&of_openai)?;
            strange(&of_http)?;
            Ok(RagSource::Qdrant {
                collection: wanted(backend.collection, "collection")?,
                content: backend.content_field.unwrap_or_else(|| "content".to_owned()),
                model: backend.embedding_model,
            })
        }
        "milvus" => {
            strange(&of_openai)?;
            strange(&of_http)?;
            let field = |value: Option<String>, name: &str, usual: &str| match value {
                Some(value) => wanted(Some(value), name),
                None => Ok(usual.to_owned()),
            };
            Ok(RagSource::Milvus {
                collection: wanted(backend.collection, "collection")?,
                content: field(backend.content_field, "content_field", "content")?,
                vector: field(backend.vector_field, "vector_field", "embedding")?,
                filter: backend
                    .filter_expression
                    .filter(|filter| !filter.trim().is_empty()),
                model: backend.embedding_model,
            })
        }
        "openai" => {
            strange(&of_qdrant)?;
            strange(&of_milvus)?;
            strange(&of_http)?;
            Ok(RagSource::OpenAi {
                store: wanted(backend.vector_store_id, "vector_store_id")?,
            })
        }
        _ => {
            strange(&of_qdrant)?;
            strange(&of_milvus)?;
            strange(&of_openai)?;
            let path = backend.path.unwrap_or_else(|| "/search".to_owned());
            match path.starts_with('/') && !path.contains(['?', '#', ' ']) && !path.contains("..") {
                true => Ok(RagSource::Http { path }),
                false => Err("rag.backend_config.path is a path that begins with /".to_owned()),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn of(settings: serde_json::Value) -> Result<Option<Rag>, String> {
        Rag::of(serde_json::from_value(settings).unwrap())
    }

    #[test]
    fn backends_are_read_and_what_is_missing_is_told() {
        let known = of(json!({
            "enabled": true, "backend": "qdrant", "top_k": 3, "similarity_threshold": 0.5, "injection_mode": "system_prompt",
            "on_failure": "block",
            "backend_config": {"provider": "qdrant", "collection": "docs", "access": {"team": "team_id"}}
        }))
        .unwrap()
        .unwrap();
        assert_eq!((known.name().as_str(), known.most), ("qdrant/docs", 3));
        assert_eq!(
            (known.place, known.on_failure),
            (RagPlace::System, OnFailure::Block)
        );
        assert!(!known.access.is_open());
        assert_eq!((known.least, known.least_sure), (Some(0.5), None));
        let sure = of(json!({
            "enabled": true, "backend": "qdrant", "min_confidence_threshold": 0.55,
            "backend_config": {"provider": "qdrant", "collection": "docs"}
        }))
        .unwrap()
        .unwrap();
        assert_eq!((sure.least, sure.least_sure), (None, Some(0.55)));
        for wrong in [
            json!({"enabled": true, "backend": "mcp"}),
            json!({"enabled": true, "backend": "qdrant", "min_confidence_threshold": 1.1, "backend_config": {"provider": "q", "collection": "docs"}}),
            json!({"enabled": true, "backend": "milvus", "backend_config": {"provider": "m", "collection": "docs", "content_field": "a b"}}),
            json!({"enabled": true, "backend": "qdrant", "backend_config": {"provider": "q", "collection": "docs", "vector_field": "v"}}),
            json!({"enabled": true, "backend": "qdrant", "backend_config": {"collection": "docs"}}),
            json!({"enabled": true, "backend": "qdrant", "backend_config": {"provider": "q", "collection": "a/b"}}),
            json!({"enabled": true, "backend": "qdrant", "backend_config": {"collection": "docs", "reuse_cache_connection": true}}),
            json!({"enabled": true, "backend": "openai", "backend_config": {"provider": "o", "vector_store_id": "vs", "collection": "x"}}),
            json!({"enabled": true, "backend": "external_api", "backend_config": {"provider": "o", "path": "search"}}),
            json!({"enabled": true, "backend": "openai", "top_k": 0, "backend_config": {"provider": "o", "vector_store_id": "vs"}}),
        ] {
            assert!(of(wrong.clone()).is_err(), "{wrong}");
        }
        assert_eq!(of(json!({"enabled": false, "backend": "milvus"})), Ok(None));
    }
}

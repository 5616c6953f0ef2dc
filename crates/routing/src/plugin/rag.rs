//! The plugin `rag`: what is looked up for the prompt, where, and how it is put into it.

mod backend;

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::config::plugins::RagSettings;
use backend::{Backend, source};

/// What is looked up.
#[derive(Debug, Clone, PartialEq)]
pub struct Rag {
    /// Where.
    pub source: RagSource,
    /// The gateway's provider that is asked: its address, credential, times and health; none where nobody else is.
    pub provider: Option<String>,
    /// How likely it must be that facts are asked for; whatever is asked where absent.
    pub least_sure: Option<f64>,
    /// The least score that counts.
    pub least: Option<f64>,
    /// Most findings.
    pub most: usize,
    /// Who puts findings in order once more.
    pub rerank: Option<Rerank>,
    /// Most letters of all of them.
    pub longest: usize,
    /// How they are put into the request.
    pub place: RagPlace,
    /// What is done where nothing can be looked up.
    pub on_failure: OnFailure,
    /// Who may see what.
    pub access: RagAccess,
}

/// Who puts findings in order once more.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rerank {
    /// A model of the gateway that ranks documents.
    pub model: String,
    /// How many findings it is shown.
    #[serde(default = "shown")]
    pub candidates: usize,
}

fn shown() -> usize {
    20
}

/// Where things are looked up.
#[derive(Debug, Clone, PartialEq)]
pub enum RagSource {
    /// A collection that is kept here (`/v1/vector_stores`), by what the user says.
    Here {
        /// Its id.
        store: String,
        /// Files of it; all where absent.
        files: Option<Vec<String>>,
        /// What words count beside meaning, 0 to 1; as much as in a search where absent.
        words: Option<f32>,
    },
    /// A tool of an MCP server, whose answer is what is found.
    Mcp {
        /// One of `mcp.servers`.
        server: String,
        /// Its tool.
        tool: String,
        /// What it is called with; `{"query": …}`, what the user says, where empty.
        arguments: Map<String, Value>,
    },
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

const MOST: usize = 5;
const LONGEST: usize = 8_000;

impl Rag {
    pub(super) fn of(form: RagSettings) -> Result<Option<Self>, String> {
        if !form.enabled {
            return Ok(None);
        }
        let named = form.backend.as_deref().unwrap_or_default();
        if !["vectorstore", "qdrant", "milvus", "openai", "external_api", "mcp"].contains(&named) {
            return Err(format!(
                "the backend {named:?} of rag is not supported in this version; use vectorstore, qdrant, milvus, openai, \
                 external_api or mcp"
            ));
        }
        if form.cache_results {
            return Err("rag.cache_results is not supported in this version".to_owned());
        }
        let rerank = rerank(form.rerank)?;
        let backend = Backend::of(named, form.backend_config.unwrap_or_default())?;
        let provider = backend.provider.clone();
        let access = backend.access.clone().unwrap_or_default();
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
            rerank,
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

    /// The name by which the gateway knows what is asked: who, and what of it.
    #[must_use]
    pub fn name(&self) -> String {
        let what = match &self.source {
            RagSource::Qdrant { collection, .. } | RagSource::Milvus { collection, .. } => collection,
            RagSource::OpenAi { store } | RagSource::Here { store, .. } => store,
            RagSource::Http { path } => path.trim_start_matches('/'),
            RagSource::Mcp { tool, .. } => tool,
        };
        let who = match &self.source {
            RagSource::Here { .. } => "vector_stores",
            RagSource::Mcp { server, .. } => server,
            _ => self.provider.as_deref().unwrap_or_default(),
        };
        format!("{who}/{what}")
    }

    /// How many findings are asked for: more than go on, where somebody chooses among them.
    #[must_use]
    pub fn wanted(&self) -> usize {
        let shown = self.rerank.as_ref().map_or(0, |rerank| rerank.candidates);
        self.most.max(shown)
    }
}

fn rerank(form: Option<Value>) -> Result<Option<Rerank>, String> {
    let Some(form) = form.filter(|form| !form.is_null()) else {
        return Ok(None);
    };
    let rerank: Rerank = serde_json::from_value(form).map_err(|error| format!("rag.rerank: {error}"))?;
    if rerank.model.is_empty() || !(1..=100).contains(&rerank.candidates) {
        return Err("rag.rerank: a model of the gateway, and candidates from 1 to 100".to_owned());
    }
    Ok(Some(rerank))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn of(settings: Value) -> Result<Option<Rag>, String> {
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
            json!({"enabled": true, "backend": "hybrid"}),
            json!({"enabled": true, "backend": "vectorstore", "backend_config": {"vector_store_id": "vs", "provider": "p"}}),
            json!({"enabled": true, "backend": "vectorstore", "backend_config": {"vector_store_id": "vs", "access": {"team": "t"}}}),
            json!({"enabled": true, "backend": "vectorstore", "backend_config": {"vector_store_id": "vs", "text_weight": 1.5}}),
            json!({"enabled": true, "backend": "vectorstore", "rerank": {"model": ""}, "backend_config": {"vector_store_id": "vs"}}),
            json!({"enabled": true, "backend": "mcp", "backend_config": {"server_name": "s", "tool_name": "t", "tool_arguments": {"q": "${matched_domains}"}}}),
            json!({"enabled": true, "backend": "openai", "backend_config": {"provider": "o", "vector_store_id": "vs", "file_ids": ["f"]}}),
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

    #[test]
    fn what_is_kept_here_and_what_tools_know_needs_no_provider() {
        let here = of(json!({
            "enabled": true, "backend": "vectorstore", "top_k": 3, "rerank": {"model": "ranker"},
            "backend_config": {"vector_store_id": "vs_1", "file_ids": ["f"], "text_weight": 0.5}
        }))
        .unwrap()
        .unwrap();
        assert_eq!(
            (here.name().as_str(), here.provider.as_deref()),
            ("vector_stores/vs_1", None)
        );
        assert_eq!((here.most, here.wanted()), (3, 20));
        let mcp = of(json!({
            "enabled": true, "backend": "mcp",
            "backend_config": {"server_name": "docs", "tool_name": "search", "tool_arguments": {"q": "${user_content}", "limit": 3}}
        }))
        .unwrap()
        .unwrap();
        assert_eq!((mcp.name().as_str(), mcp.wanted()), ("docs/search", 5));
    }
}

//! `backend_config` of `rag`: what each back end needs, and nothing that another one does.

use serde::Deserialize;
use serde_json::{Map, Value};

use super::{RagAccess, RagSource};

#[derive(Deserialize, Default)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Backend {
    pub(super) provider: Option<String>,
    pub(super) access: Option<RagAccess>,
    // Qdrant and Milvus
    collection: Option<String>,
    content_field: Option<String>,
    metadata_field: Option<String>,
    reuse_cache_connection: bool,
    embedding_model: Option<String>,
    // Milvus
    vector_field: Option<String>,
    filter_expression: Option<String>,
    // OpenAI, and here
    vector_store_id: Option<String>,
    // Here
    file_ids: Option<Vec<String>>,
    text_weight: Option<f32>,
    // MCP
    server_name: Option<String>,
    tool_name: Option<String>,
    tool_arguments: Option<Map<String, Value>>,
    // A service of one's own
    path: Option<String>,
}

/// Settings that are published and that no backend here carries out.
const PUBLISHED: [&str; 6] = [
    "request_format",
    "request_template",
    "headers",
    "filter",
    "strategy",
    "timeout_seconds",
];

impl Backend {
    pub(super) fn of(named: &str, config: Value) -> Result<Self, String> {
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
        let backend = match config {
            Value::Null => Self::default(),
            config => {
                serde_json::from_value(config).map_err(|error| format!("rag.backend_config: {error}"))?
            }
        };
        if backend.reuse_cache_connection && backend.provider.is_none() {
            return Err(
                "rag.backend_config.reuse_cache_connection: the cache has no connection that others use; name one of \
                 `providers` as backend_config.provider"
                    .to_owned(),
            );
        }
        let is_named = backend
            .provider
            .as_ref()
            .is_some_and(|provider| !provider.is_empty());
        let is_own = ["vectorstore", "mcp"].contains(&named);
        if is_own && backend.provider.is_some() {
            return Err(format!(
                "rag.backend_config.provider is none of the backend {named}'s: it asks none"
            ));
        }
        if is_own && backend.access.is_some() {
            return Err(format!(
                "rag.backend_config.access is none of the backend {named}'s: who may read is said of the vector store \
                 itself, or by `mcp.access`"
            ));
        }
        if !is_own && !is_named {
            return Err("rag.backend_config.provider: name one of `providers` that is asked".to_owned());
        }
        Ok(backend)
    }
}

/// What stands for what the user says, and for the decision, in arguments of tools.
const KNOWN: [&str; 2] = ["${user_content}", "${decision_name}"];

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

/// Fields that only some back ends have: whether they are used, and whose they are.
fn fields(of: &Backend) -> [(&'static str, bool, &'static [&'static str]); 13] {
    let vectors: &[&str] = &["qdrant", "milvus"];
    [
        ("collection", of.collection.is_some(), vectors),
        ("content_field", of.content_field.is_some(), vectors),
        ("metadata_field", of.metadata_field.is_some(), vectors),
        ("embedding_model", of.embedding_model.is_some(), vectors),
        ("vector_field", of.vector_field.is_some(), &["milvus"]),
        ("filter_expression", of.filter_expression.is_some(), &["milvus"]),
        (
            "vector_store_id",
            of.vector_store_id.is_some(),
            &["openai", "vectorstore"],
        ),
        ("file_ids", of.file_ids.is_some(), &["vectorstore"]),
        ("text_weight", of.text_weight.is_some(), &["vectorstore"]),
        ("path", of.path.is_some(), &["external_api"]),
        ("server_name", of.server_name.is_some(), &["mcp"]),
        ("tool_name", of.tool_name.is_some(), &["mcp"]),
        ("tool_arguments", of.tool_arguments.is_some(), &["mcp"]),
    ]
}

/// Where a back end of this name looks things up.
///
/// # Errors
/// For a field that is another one's, and for one that is missing or makes no sense.
pub(super) fn source(named: &str, backend: Backend) -> Result<RagSource, String> {
    let strange = fields(&backend)
        .into_iter()
        .find(|(_, used, whose)| *used && !whose.contains(&named));
    if let Some((field, ..)) = strange {
        return Err(format!(
            "rag.backend_config.{field} is none of the backend {named}'s"
        ));
    }
    match named {
        "qdrant" => Ok(RagSource::Qdrant {
            collection: wanted(backend.collection, "collection")?,
            content: backend.content_field.unwrap_or_else(|| "content".to_owned()),
            model: backend.embedding_model,
        }),
        "milvus" => milvus(backend),
        "openai" => Ok(RagSource::OpenAi {
            store: wanted(backend.vector_store_id, "vector_store_id")?,
        }),
        "vectorstore" => {
            if backend
                .text_weight
                .is_some_and(|share| !(0.0..=1.0).contains(&share))
            {
                return Err("rag.backend_config.text_weight is a number from 0 to 1".to_owned());
            }
            Ok(RagSource::Here {
                store: wanted(backend.vector_store_id, "vector_store_id")?,
                files: backend.file_ids.filter(|files| !files.is_empty()),
                words: backend.text_weight,
            })
        }
        "mcp" => mcp(backend),
        _ => {
            let path = backend.path.unwrap_or_else(|| "/search".to_owned());
            match path.starts_with('/') && !path.contains(['?', '#', ' ']) && !path.contains("..") {
                true => Ok(RagSource::Http { path }),
                false => Err("rag.backend_config.path is a path that begins with /".to_owned()),
            }
        }
    }
}

fn milvus(backend: Backend) -> Result<RagSource, String> {
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

fn mcp(backend: Backend) -> Result<RagSource, String> {
    let arguments = backend.tool_arguments.unwrap_or_default();
    for (name, value) in &arguments {
        let text = value.as_str().unwrap_or_default();
        let rest = KNOWN
            .iter()
            .fold(text.to_owned(), |text, known| text.replace(known, ""));
        if rest.contains("${") {
            return Err(format!(
                "rag.backend_config.tool_arguments.{name}: only {} stand for something",
                KNOWN.join(" and ")
            ));
        }
    }
    let tool = backend.tool_name.filter(|tool| !tool.is_empty());
    Ok(RagSource::Mcp {
        server: wanted(backend.server_name, "server_name")?,
        tool: tool.ok_or("rag.backend_config.tool_name: name a tool of the server")?,
        arguments,
    })
}

//! What the language has, and what of it this version carries out: one line each.
//!
//! Everything here is parsed and checked. What is not carried out yet is refused at load, once, by its name: where it
//! is wired, its line says so.

use std::collections::BTreeMap;

use schemars::{JsonSchema, Schema, SchemaGenerator};

use crate::compile::CompileError;
use crate::config::plugins as settings;
use crate::config::{DecisionConfig, RoutingConfig};
use crate::declared::declared;
use crate::signal::AskedSignal;

/// A type of signal.
pub(crate) struct SignalKind {
    /// As rules name it.
    pub(crate) name: &'static str,
    /// Where it is declared.
    pub(crate) collection: &'static str,
    /// Whether it is carried out.
    pub(crate) supported: bool,
}

const fn signal(name: &'static str, collection: &'static str, supported: bool) -> SignalKind {
    SignalKind {
        name,
        collection,
        supported,
    }
}

/// All types of signals.
pub(crate) const SIGNALS: [SignalKind; 23] = [
    signal("keyword", "keywords", true),
    signal("context", "context", true),
    signal("structure", "structure", true),
    signal("conversation", "conversation", true),
    signal("metadata", "metadata", true),
    signal("event", "events", true),
    signal("authz", "role_bindings", true),
    signal("language", "language", true),
    signal("embedding", "embeddings", true),
    signal("domain", "domains", true),
    signal("fact_check", "fact_check", true),
    signal("user_feedback", "user_feedbacks", true),
    signal("reask", "reasks", true),
    signal("preference", "preferences", true),
    signal("complexity", "complexity", true),
    signal("modality", "modality", true),
    signal("jailbreak", "jailbreak", true),
    signal("safety", "safety", true),
    signal("hallucination", "hallucination", true),
    signal("pii", "pii", true),
    signal("kb", "kb", true),
    signal("classifier", "classifiers", true),
    signal("input_modality", "input_modality", true),
];

/// All ways to pick one of a decision's models, or to ask several.
pub(crate) const ALGORITHMS: [(&str, bool); 19] = [
    ("static", true),
    ("weighted", true),
    ("elo", true),
    ("thompson", true),
    ("router_dc", true),
    ("latency_aware", true),
    ("multi_factor", true),
    ("hybrid", true),
    ("automix", true),
    ("prompt", true),
    ("knn", true),
    ("kmeans", true),
    ("svm", true),
    ("mlp", true),
    ("confidence", true),
    ("ratings", true),
    ("remom", true),
    ("fusion", true),
    ("workflows", true),
];

/// A plugin.
pub(crate) struct PluginKind {
    /// Its name, and older ones.
    pub(crate) names: &'static [&'static str],
    /// Whether it is carried out.
    pub(crate) supported: bool,
    /// The form of its settings.
    pub(crate) schema: fn(&mut SchemaGenerator) -> Schema,
}

const fn plugin<T: JsonSchema>(names: &'static [&'static str], supported: bool) -> PluginKind {
    PluginKind {
        names,
        supported,
        schema: form::<T>,
    }
}

fn form<T: JsonSchema>(generator: &mut SchemaGenerator) -> Schema {
    generator.subschema_for::<T>()
}

/// All plugins.
pub(crate) const PLUGINS: [PluginKind; 17] = [
    plugin::<settings::FastResponseSettings>(&["fast_response"], true),
    plugin::<settings::SystemPromptSettings>(&["system_prompt"], true),
    plugin::<settings::HeaderMutationSettings>(&["header_mutation"], true),
    plugin::<settings::RequestParamsSettings>(&["request_params"], true),
    plugin::<settings::ResponseCacheSettings>(
        &[
            "response_cache",
            "semantic-cache",
            "semantic_cache",
            "response-cache",
        ],
        true,
    ),
    plugin::<settings::CompressionSettings>(&["context_compression"], true),
    plugin::<settings::MemorySettings>(&["memory"], true),
    plugin::<settings::ResponseJailbreakSettings>(&["response_jailbreak"], true),
    plugin::<settings::HallucinationSettings>(&["hallucination"], true),
    plugin::<settings::RouterReplaySettings>(&["router_replay"], true),
    plugin::<settings::RagSettings>(&["rag"], true),
    plugin::<settings::ImageGenSettings>(&["image_gen"], true),
    plugin::<settings::ToolsSettings>(&["tools"], true),
    plugin::<settings::ToolSelectionSettings>(&["tool_selection"], true),
    plugin::<settings::PromptCacheSettings>(&["prompt_cache"], true),
    plugin::<settings::ShadowSettings>(&["shadow_dispatch"], true),
    plugin::<settings::JudgeSettings>(&["llm_judge"], true),
];

/// The plugin of a name.
pub(crate) fn plugin_kind(name: &str) -> Option<&'static PluginKind> {
    PLUGINS.iter().find(|plugin| plugin.names.contains(&name))
}

/// What else the language has and this version does not carry out, as it is told, with where it stands; `None` where
/// it is not used.
type Part<T> = (&'static str, fn(&T) -> Option<&'static str>);

/// Parts of a recipe.
const RECIPE_PARTS: [Part<RoutingConfig>; 1] = [
    // Which model reads what is said where models are: `understanding.models`.
    ("model_bindings are", |config| {
        config.model_bindings.is_some().then_some("model_bindings")
    }),
];

/// Parts of a decision.
const DECISION_PARTS: [Part<DecisionConfig>; 1] = [("action is", |decision| {
    decision.action.is_some().then_some("action")
})];

/// Everything that a recipe asks for and this version does not carry out: one error for each.
/// Signals that somebody is said to answer are carried out.
pub(crate) fn refused(config: &RoutingConfig, asked: &[AskedSignal]) -> Vec<CompileError> {
    let mut found = Found::default();
    let declared = declared(&config.signals);
    let answered = |name: &str, kind: &str| {
        asked
            .iter()
            .any(|signal| signal.kind == kind && signal.name == name)
    };
    for kind in SIGNALS.iter().filter(|kind| !kind.supported) {
        let mut of_kind = declared.iter().filter(|signal| signal.kind == kind.name);
        if of_kind.any(|signal| !answered(&signal.name, kind.name)) {
            let path = format!("signals.{}", kind.collection);
            found.tell(path, format!("signals of type {:?} are", kind.name));
        }
    }
    for (what, used) in RECIPE_PARTS {
        if let Some(path) = used(config) {
            found.tell(path.to_owned(), what.to_owned());
        }
    }
    for (index, decision) in config.decisions.iter().enumerate() {
        let path = format!("decisions[{index}]");
        for (what, used) in DECISION_PARTS {
            if let Some(field) = used(decision) {
                found.tell(format!("{path}.{field}"), what.to_owned());
            }
        }
        if let Some(kind) = decision.algorithm.as_ref().and_then(algorithm_kind)
            && ALGORITHMS
                .iter()
                .any(|(known, supported)| *known == kind && !supported)
        {
            found.tell(format!("{path}.algorithm"), format!("the algorithm {kind} is"));
        }
        for (number, plugin) in decision.plugins.iter().enumerate() {
            let off = plugin.configuration.get("enabled") == Some(&serde_json::Value::Bool(false));
            if plugin_kind(&plugin.kind).is_some_and(|kind| !kind.supported) && !off {
                found.tell(
                    format!("{path}.plugins[{number}]"),
                    format!("the plugin {:?} is", plugin.kind),
                );
            }
        }
        if let Some(rules) = &decision.rules {
            leaves(rules, &format!("{path}.rules"), &answered, &mut found);
        }
    }
    found.errors()
}

/// The type of an algorithm.
pub(crate) fn algorithm_kind(algorithm: &serde_json::Value) -> Option<&str> {
    let named = algorithm.get("type").and_then(serde_json::Value::as_str);
    named.or(algorithm.as_str())
}

/// Types of signals that rules name without their being declared, and that nobody answers.
fn leaves(
    node: &crate::config::RuleNode,
    path: &str,
    answered: &impl Fn(&str, &str) -> bool,
    found: &mut Found,
) {
    if let Some(kind) = &node.kind
        && SIGNALS.iter().any(|known| known.name == kind && !known.supported)
        && !answered(node.name.as_deref().unwrap_or_default(), kind)
    {
        found.tell(format!("{path}.type"), format!("signals of type {kind:?} are"));
    }
    for (index, child) in node.conditions.iter().enumerate() {
        leaves(child, &format!("{path}.conditions[{index}]"), answered, found);
    }
}

/// What was found, by what it is: the first place, and how many others.
#[derive(Default)]
struct Found {
    parts: Vec<(String, String)>,
    times: BTreeMap<String, usize>,
}

impl Found {
    fn tell(&mut self, path: String, what: String) {
        let times = self.times.entry(what.clone()).or_default();
        *times += 1;
        if *times == 1 {
            self.parts.push((path, what));
        }
    }

    fn errors(self) -> Vec<CompileError> {
        let error = |(path, what): (String, String)| CompileError {
            path,
            message: format!("{what} not supported in this version"),
            suggestion: None,
        };
        self.parts.into_iter().map(error).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_is_refused_once() {
        let config: RoutingConfig = serde_json::from_value(serde_json::json!({
            "decisions": [
                {"name": "a", "action": {"type": "route"}},
                {"name": "b", "action": {"type": "route"},
                 "plugins": [{"type": "shadow_dispatch"}, {"type": "prompt_cache"}]},
                {"name": "c", "adaptations": {"mode": "bypass"}}
            ],
            "model_bindings": {"pii_classifier": {"deployment": "own"}}
        }))
        .unwrap();
        let told: Vec<(String, String)> = refused(&config, &[])
            .into_iter()
            .map(|error| {
                (
                    error.path,
                    error.message.replace(" not supported in this version", ""),
                )
            })
            .collect();
        let expected = [
            ("model_bindings", "model_bindings are"),
            ("decisions[0].action", "action is"),
        ];
        assert_eq!(
            told,
            expected.map(|(path, what)| (path.to_owned(), what.to_owned()))
        );
    }

    #[test]
    fn each_name_stands_once() {
        let mut names: Vec<&str> = SIGNALS.iter().map(|kind| kind.name).collect();
        names.extend(
            ALGORITHMS
                .iter()
                .map(|(name, _)| *name)
                .filter(|name| *name != "hallucination"),
        );
        let all = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), all);
        let mut plugins: Vec<&str> = PLUGINS
            .iter()
            .flat_map(|plugin| plugin.names.iter().copied())
            .collect();
        let all = plugins.len();
        plugins.sort_unstable();
        plugins.dedup();
        assert_eq!(plugins.len(), all);
    }
}

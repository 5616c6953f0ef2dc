//! The `routing` block of the configuration.

mod cards;
mod decisions;
mod knowledge;
mod learned;
mod learning;
mod loops;
pub mod plugins;
mod policy;
mod projections;
mod recipes;
mod signals;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use cards::{LoraCard, Modalities, ModelCard, ReasoningFamily, ReasoningKind};
pub use decisions::{
    Adaptation, Adaptations, CandidateIteration, DecisionConfig, EmitConfig, IterationOutput, ModelRef,
    PluginConfig, Protection, RetentionConfig, RuleNode,
};
pub use knowledge::{KnowledgeBase, KnowledgeMetric, KnowledgeSource};
pub use learned::{
    Aggregation, ClassConfig, ClassifierConfig, ComplexityConfig, ComplexityExamples, DomainConfig,
    EmbeddingConfig, HallucinationConfig, HazardConfig, InputModalityConfig, JailbreakConfig, KbConfig,
    KbTarget, ModelScore, PiiConfig, PreferenceConfig, PrototypeScoring, QueryModality, ReaskConfig,
    SafetyConfig,
};
pub use learning::{FeedbackFrom, LearningConfig};
pub use loops::{
    ChoiceSet, ConfidenceConfig, ContractConfig, ExtractConfig, FusionConfig, FusionOverride,
    GroundingConfig, HybridWeights, LoopBounds, LoopConfig, PostprocessConfig, RatingsConfig,
    ReferenceConfig, RemomConfig, RenderConfig, WorkflowFinal, WorkflowPlanner, WorkflowRole,
    WorkflowsConfig,
};
pub use policy::{DataPolicy, FallbackPolicy, Requirements};
pub use projections::{
    Band, CalibrationConfig, MappingConfig, PartitionConfig, ProjectionsConfig, ScoreConfig, ScoreInput,
};
pub use recipes::{Entrypoint, RecipeConfig, RecipeRouting};
pub use signals::{
    AuthzConfig, ContextConfig, ConversationConfig, EventConfig, Feature, KeywordConfig, KeywordMethod,
    LanguageConfig, MetadataConfig, MetadataPredicate, Operator, Predicate, SignalsConfig, Source,
    StructureConfig, Subject, TokenCount,
};

/// From a prompt to the model that serves it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RoutingConfig {
    /// Model names that enter here; `auto` when empty.
    pub names: Vec<String>,
    /// How the winner among matching decisions is found.
    pub strategy: Strategy,
    /// The model when no decision matches.
    pub default_model: Option<String>,
    /// What is known of the models.
    #[serde(rename = "modelCards")]
    pub model_cards: Vec<ModelCard>,
    /// What to look at.
    pub signals: SignalsConfig,
    /// What to make of it.
    pub projections: ProjectionsConfig,
    /// What to do.
    pub decisions: Vec<DecisionConfig>,
    /// Examples under labels, for signals and scores.
    pub knowledge_bases: Vec<KnowledgeBase>,
    /// Signals and decisions for other names of models.
    pub recipes: Vec<RecipeConfig>,
    /// Which names enter which recipe.
    pub entrypoints: Vec<Entrypoint>,
    /// What candidates must be able to do.
    pub candidate_requirements: Option<Requirements>,
    /// What may be recorded.
    pub data_policy: Option<DataPolicy>,
    /// Which models compute signals.
    pub model_bindings: Option<serde_json::Value>,
    /// What is done when a model fails.
    pub fallback: Option<FallbackPolicy>,
    /// What is learned of what really happened.
    pub learning: LearningConfig,
    /// How far decisions may go that ask several models for one answer.
    pub loops: LoopBounds,
    /// Rules of the only decision, where they are printed beside it.
    pub rules: Option<RuleNode>,
    /// Models of the only decision, where they are printed beside it.
    #[serde(rename = "modelRefs")]
    pub model_refs: Vec<ModelRef>,
}

impl RoutingConfig {
    /// Whether any decision, of recipes, too, remembers answers by a plugin of its own.
    #[must_use]
    pub fn caches_by_decision(&self) -> bool {
        let recipes = self.recipes.iter().flat_map(|recipe| &recipe.routing.decisions);
        let mut plugins = self
            .decisions
            .iter()
            .chain(recipes)
            .flat_map(|decision| &decision.plugins);
        plugins.any(|plugin| {
            let is_cache = crate::support::plugin_kind(&plugin.kind)
                .is_some_and(|kind| kind.names.first() == Some(&"response_cache"));
            is_cache && plugin.configuration.get("enabled") == Some(&serde_json::Value::Bool(true))
        })
    }

    /// Signals that compare no texts, of recipes, too: where they stand, and what they compare.
    #[must_use]
    pub fn media_signals(&self) -> Vec<(String, crate::signal::About)> {
        use crate::signal::About;
        let recipes = self.recipes.iter().enumerate().map(|(number, recipe)| {
            let path = format!("recipes[{number}].routing.");
            (path, &recipe.routing.signals)
        });
        let all = std::iter::once((String::new(), &self.signals)).chain(recipes);
        let each = all.flat_map(|(path, signals)| {
            signals
                .embeddings
                .iter()
                .enumerate()
                .filter_map(move |(index, signal)| {
                    let about = match signal.query_modality? {
                        QueryModality::Text => return None,
                        QueryModality::Image => About::Image,
                        QueryModality::Audio => About::Audio,
                    };
                    Some((format!("{path}signals.embeddings[{index}]"), about))
                })
        });
        each.collect()
    }

    /// Every model that may be chosen, with where it is named.
    #[must_use]
    pub fn candidates(&self) -> Vec<(String, &str)> {
        let mut all: Vec<(String, &str)> = Vec::new();
        if let Some(model) = &self.default_model {
            all.push(("default_model".to_owned(), model));
        }
        named("", &self.model_refs, &mut all);
        classifiers("", &self.signals, &mut all);
        for (index, decision) in self.decisions.iter().enumerate() {
            named(&format!("decisions[{index}]."), &decision.model_refs, &mut all);
            looped(&format!("decisions[{index}]."), decision, &mut all);
        }
        for (number, recipe) in self.recipes.iter().enumerate() {
            classifiers(
                &format!("recipes[{number}].routing."),
                &recipe.routing.signals,
                &mut all,
            );
            for (index, decision) in recipe.routing.decisions.iter().enumerate() {
                let path = format!("recipes[{number}].routing.decisions[{index}].");
                named(&path, &decision.model_refs, &mut all);
                looped(&path, decision, &mut all);
            }
        }
        all
    }
}

fn named<'a>(path: &str, references: &'a [ModelRef], all: &mut Vec<(String, &'a str)>) {
    let named = references.iter().enumerate();
    all.extend(named.map(|(at, one)| (format!("{path}modelRefs[{at}].model"), one.model.as_str())));
}

/// Models that classifiers ask.
fn classifiers<'a>(path: &str, signals: &'a SignalsConfig, all: &mut Vec<(String, &'a str)>) {
    for (index, classifier) in signals.classifiers.iter().enumerate() {
        if let Some(model) = classifier.model.as_deref().filter(|_| classifier.kind == "llm") {
            all.push((format!("{path}signals.classifiers[{index}].model"), model));
        }
    }
}

/// Models that a decision asks beside those that it names: of a loop, for images, for copies, and to judge answers.
fn looped<'a>(path: &str, decision: &'a DecisionConfig, all: &mut Vec<(String, &'a str)>) {
    let named = crate::loops::named(decision).into_iter();
    all.extend(named.map(|(at, model)| (format!("{path}{at}"), model)));
    for (index, plugin) in decision.plugins.iter().enumerate() {
        let on = plugin.configuration.get("enabled") == Some(&serde_json::Value::Bool(true));
        let model = plugin.configuration.pointer("/backend_config/model");
        let model = model.and_then(serde_json::Value::as_str);
        if let Some(model) = model.filter(|_| on && plugin.kind == "image_gen") {
            let at = format!("{path}plugins[{index}].configuration.backend_config.model");
            all.push((at, model));
        }
        let model = plugin
            .configuration
            .get("model")
            .and_then(serde_json::Value::as_str);
        let asks = matches!(plugin.kind.as_str(), "shadow_dispatch" | "llm_judge");
        if let Some(model) = model.filter(|_| on && asks) {
            all.push((format!("{path}plugins[{index}].configuration.model"), model));
        }
    }
}

/// How the winner among matching decisions is found.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Strategy {
    /// The highest priority; of equals, the most confident.
    #[default]
    Priority,
    /// The most confident.
    Confidence,
}

//! The signals that a configuration declares, whatever their type.

use crate::config::{DomainConfig, RoutingConfig, RuleNode, SignalsConfig};

/// A name that rules may refer to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Declared {
    /// The type under which rules name it.
    pub(crate) kind: &'static str,
    /// Its name; with its level, for `complexity`.
    pub(crate) name: String,
    /// Where it stands, such as `signals.keywords[2]`.
    pub(crate) path: String,
}

/// Levels of `complexity`.
pub(crate) const LEVELS: [&str; 3] = ["easy", "medium", "hard"];

/// All names, in the order of their collections.
pub(crate) fn declared(signals: &SignalsConfig) -> Vec<Declared> {
    let mut all = Vec::new();
    let mut add = |kind: &'static str, collection: &str, names: Vec<&str>| {
        for (index, name) in names.into_iter().enumerate() {
            all.push(Declared {
                kind,
                name: name.to_owned(),
                path: format!("signals.{collection}[{index}]"),
            });
        }
    };
    macro_rules! collections {
        ($($kind:literal $collection:literal $field:ident)*) => {
            $(add($kind, $collection, signals.$field.iter().map(|signal| signal.name.as_str()).collect());)*
        };
    }
    collections! {
        "keyword" "keywords" keywords
        "context" "context" context
        "structure" "structure" structure
        "conversation" "conversation" conversation
        "metadata" "metadata" metadata
        "event" "events" events
        "language" "language" language
        "embedding" "embeddings" embeddings
        "domain" "domains" domains
        "fact_check" "fact_check" fact_check
        "user_feedback" "user_feedbacks" user_feedbacks
        "reask" "reasks" reasks
        "preference" "preferences" preferences
        "modality" "modality" modality
        "jailbreak" "jailbreak" jailbreak
        "safety" "safety" safety
        "hallucination" "hallucination" hallucination
        "pii" "pii" pii
        "kb" "kb" kb
        "classifier" "classifiers" classifiers
        "input_modality" "input_modality" input_modality
    }
    let roles = signals
        .role_bindings
        .iter()
        .map(crate::config::AuthzConfig::signal);
    add("authz", "role_bindings", roles.collect());
    for (index, signal) in signals.complexity.iter().enumerate() {
        for level in LEVELS {
            all.push(Declared {
                kind: "complexity",
                name: format!("{}:{level}", signal.name),
                path: format!("signals.complexity[{index}]"),
            });
        }
    }
    all
}

/// Domains that rules or scores name where none is declared: they need no declaration.
pub(crate) fn undeclared_domains(config: &RoutingConfig) -> Vec<DomainConfig> {
    let mut names: Vec<&str> = Vec::new();
    if config.signals.domains.is_empty() {
        let rules = config
            .decisions
            .iter()
            .filter_map(|decision| decision.rules.as_ref());
        rules
            .chain(&config.rules)
            .for_each(|rule| mentioned(rule, &mut names));
        let inputs = config.projections.scores.iter().flat_map(|score| &score.inputs);
        names.extend(
            inputs
                .filter(|input| input.kind == "domain")
                .map(|input| input.name.as_str()),
        );
    }
    // Of others it is told that they are not there.
    names.retain(|name| crate::signal::domain_names().contains(name));
    names.sort_unstable();
    names.dedup();
    let domain = |name: &str| DomainConfig {
        name: name.to_owned(),
        ..DomainConfig::default()
    };
    names.into_iter().map(domain).collect()
}

/// Domains that a rule names.
fn mentioned<'r>(rule: &'r RuleNode, names: &mut Vec<&'r str>) {
    if rule.kind.as_deref() == Some("domain") {
        names.extend(rule.name.as_deref());
    }
    rule.conditions.iter().for_each(|child| mentioned(child, names));
}

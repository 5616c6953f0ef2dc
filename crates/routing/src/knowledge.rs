//! Knowledge bases, compiled: labels with their examples, read from the folder that the configuration names.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use serde::Deserialize;
use serde_json::json;

use crate::config::{KnowledgeBase, KnowledgeMetric};
use crate::signal::hash;

/// Least likeness of a label, where nothing is said.
const LIKE: f64 = 0.5;
/// The file of a folder, where nothing is said.
const MANIFEST: &str = "labels.json";
/// Most bytes of a manifest.
const MOST_BYTES: u64 = 16 << 20;
/// Most examples of all labels.
const MOST_EXAMPLES: usize = 20_000;

/// A knowledge base with its examples.
#[derive(Debug)]
pub(crate) struct Knowledge {
    pub(crate) config: KnowledgeBase,
    pub(crate) labels: Vec<Label>,
    /// Numbers of the labels that belong together.
    pub(crate) groups: BTreeMap<String, Vec<usize>>,
    /// Of all of it.
    pub(crate) print: u32,
}

/// A label.
#[derive(Debug)]
pub(crate) struct Label {
    pub(crate) name: String,
    pub(crate) examples: Vec<String>,
    /// The least likeness that counts.
    pub(crate) least: f64,
}

/// What is wrong with a knowledge base: the field, and what.
pub(crate) type Wrong = (&'static str, String);

impl Knowledge {
    /// Reads one.
    pub(crate) fn read(config: &KnowledgeBase) -> Result<Arc<Self>, Wrong> {
        let manifest = config.source.manifest.as_deref().unwrap_or(MANIFEST);
        let path = Path::new(&config.source.path).join(manifest);
        let examples = manifest_of(&path).map_err(|problem| ("source.path", problem))?;
        if examples.values().map(Vec::len).sum::<usize>() > MOST_EXAMPLES {
            return Err((
                "source.path",
                format!("{} has more than {MOST_EXAMPLES} examples", path.display()),
            ));
        }
        let print = hash(&json!([config, examples]));
        let usual = config.threshold.filter(|least| *least > 0.0).unwrap_or(LIKE);
        let labels: Vec<Label> = examples
            .into_iter()
            .map(|(name, examples)| Label {
                least: config.label_thresholds.get(&name).copied().unwrap_or(usual),
                name,
                examples,
            })
            .collect();
        if labels.is_empty() || labels.iter().any(|label| label.examples.is_empty()) {
            return Err((
                "source.path",
                format!("{} has no labels, or one without examples", path.display()),
            ));
        }
        let number = |name: &String| labels.iter().position(|label| label.name == *name);
        if let Some(unknown) = config.label_thresholds.keys().find(|name| number(name).is_none()) {
            return Err(("label_thresholds", format!("there is no label {unknown:?}")));
        }
        let mut groups = BTreeMap::new();
        for (group, members) in &config.groups {
            let mut numbers = Vec::new();
            for member in members {
                match number(member) {
                    Some(number) => numbers.push(number),
                    None => {
                        return Err((
                            "groups",
                            format!("there is no label {member:?} for the group {group:?}"),
                        ));
                    }
                }
            }
            groups.insert(group.clone(), numbers);
        }
        for metric in &config.metrics {
            metric_of(metric, &groups)?;
        }
        Ok(Arc::new(Self {
            config: config.clone(),
            labels,
            groups,
            print,
        }))
    }

    /// The number of a label.
    pub(crate) fn label(&self, name: &str) -> Option<usize> {
        self.labels.iter().position(|label| label.name == name)
    }

    /// A number that it gives, by its name.
    pub(crate) fn metric(&self, name: &str) -> Option<Metric> {
        match name {
            "best_score" => Some(Metric::Best),
            "best_matched_score" => Some(Metric::BestMatched),
            _ => {
                let metric = self.config.metrics.iter().find(|metric| metric.name == name)?;
                metric_of(metric, &self.groups).ok()
            }
        }
    }
}

/// A number that a knowledge base gives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Metric {
    /// The likeness to the likest label.
    Best,
    /// The same, of labels that are like enough; 0 where none is.
    BestMatched,
    /// The likeness to one group less that to another.
    Margin(Vec<usize>, Vec<usize>),
}

fn metric_of(metric: &KnowledgeMetric, groups: &BTreeMap<String, Vec<usize>>) -> Result<Metric, Wrong> {
    if metric.kind != "group_margin" {
        return Err((
            "metrics",
            format!("unknown type {:?}; use group_margin", metric.kind),
        ));
    }
    let group = |name: &Option<String>| {
        let name = name.as_deref().unwrap_or_default();
        let members = groups.get(name).cloned();
        members.ok_or_else(|| ("metrics", format!("{}: there is no group {name:?}", metric.name)))
    };
    Ok(Metric::Margin(
        group(&metric.positive_group)?,
        group(&metric.negative_group)?,
    ))
}

/// Examples by their labels: `{"labels": {"NAME": {"exemplars": ["…"]}}}`.
fn manifest_of(path: &Path) -> Result<BTreeMap<String, Vec<String>>, String> {
    #[derive(Deserialize)]
    struct Manifest {
        labels: BTreeMap<String, Labelled>,
    }
    #[derive(Deserialize)]
    struct Labelled {
        #[serde(default)]
        exemplars: Vec<String>,
    }
    let unread = |error: &dyn std::fmt::Display| format!("{} cannot be read: {error}", path.display());
    let size = std::fs::metadata(path).map_err(|error| unread(&error))?.len();
    if size > MOST_BYTES {
        return Err(format!("{} is larger than {MOST_BYTES} bytes", path.display()));
    }
    let text = std::fs::read_to_string(path).map_err(|error| unread(&error))?;
    let manifest: Manifest = serde_json::from_str(&text).map_err(|error| unread(&error))?;
    let labels = manifest.labels.into_iter();
    Ok(labels
        .map(|(name, labelled)| (name, labelled.exemplars))
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_is_told_where_it_stands() {
        let folder = tempfile::tempdir().unwrap();
        let labels = r#"{"labels": {"code": {"exemplars": ["fix my code"]}, "mail": {"exemplars": ["write a mail"]}}}"#;
        std::fs::write(folder.path().join("labels.json"), labels).unwrap();
        let read = |rest: serde_json::Value| {
            let mut config =
                json!({"name": "kb", "source": {"path": folder.path()}, "label_thresholds": {"code": 0.7}});
            let fields = rest.as_object().unwrap().clone();
            config.as_object_mut().unwrap().extend(fields);
            Knowledge::read(&serde_json::from_value(config).unwrap())
        };
        let whole = json!({
            "groups": {"work": ["code", "mail"], "code": ["code"]},
            "metrics": [{"name": "m", "type": "group_margin", "positive_group": "work", "negative_group": "code"}]
        });
        let known = read(whole).unwrap();
        assert_eq!((known.labels[0].least, known.labels[1].least), (0.7, LIKE));
        assert_eq!(known.metric("m"), Some(Metric::Margin(vec![0, 1], vec![0])));
        assert_eq!(known.metric("best_score"), Some(Metric::Best));
        for (wrong, at) in [
            (json!({"source": {"path": "/nowhere"}}), "source.path"),
            (json!({"groups": {"a": ["b"]}}), "groups"),
            (json!({"label_thresholds": {"b": 0.5}}), "label_thresholds"),
            (json!({"metrics": [{"name": "m", "type": "sum"}]}), "metrics"),
            (
                json!({"metrics": [{"name": "m", "type": "group_margin", "positive_group": "x"}]}),
                "metrics",
            ),
        ] {
            assert_eq!(read(wrong.clone()).unwrap_err().0, at, "{wrong}");
        }
    }
}

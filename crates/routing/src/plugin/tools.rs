//! The plugins `tools` and `tool_selection`: which tools the model sees, by their names and by what they are for.

use std::collections::HashSet;
use std::sync::Arc;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::config::plugins::{AdvancedFiltering, ToolSelectionSettings, ToolWeights, ToolsSettings};

/// Which of the client's tools the model sees. What may be called is for whoever runs the tools to say.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tools {
    /// None at all.
    pub none: bool,
    /// Only these, where there are any.
    pub allowed: Vec<String>,
    /// Not these.
    pub blocked: Vec<String>,
    /// Earlier calls and their results are left out.
    pub without_history: bool,
}

/// Tools that are chosen by what they are for.
#[derive(Debug, Clone, PartialEq)]
pub struct ToolChoice {
    /// Tools that may be added; where there are none, those of the request are chosen among.
    pub listed: Option<Arc<[ListedTool]>>,
    /// The least likeness of a tool's description to what the user says, by the cosine of their vectors.
    pub least: f32,
    /// Most tools.
    pub most: Option<usize>,
    /// So many of the likest stay in any case, of those that the request brings.
    pub preserved: usize,
    /// Where no tool is like enough, none is seen; else all stay as they are.
    pub or_none: bool,
    /// What counts beside likeness.
    pub weighing: Weighing,
}

/// A tool of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedTool {
    /// Its name.
    pub name: String,
    /// What it is for, as it is compared with what the user says.
    pub description: String,
    /// What sort of tool it is.
    pub category: String,
    /// Words for it.
    pub tags: Vec<String>,
    /// Its function as OpenAI has it: an object with `name`, `description` and `parameters`.
    pub function: String,
}

/// What makes a score of a tool.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Weighing {
    /// Weights of likeness, words, tags and name; likeness alone where all are zero.
    weights: [f32; 4],
    /// So many of the user's words must stand in the tool's.
    shared: usize,
    /// The least score.
    least: f32,
    allowed: Vec<String>,
    blocked: Vec<String>,
}

/// A tool, as it is weighed.
#[derive(Debug, Clone, Copy)]
pub struct WeighedTool<'a> {
    /// Its name.
    pub name: &'a str,
    /// What it is for.
    pub description: &'a str,
    /// What sort of tool it is.
    pub category: &'a str,
    /// Words for it.
    pub tags: &'a [String],
    /// How like its description is to what the user says; none where nobody could tell.
    pub likeness: Option<f32>,
}

/// Most tools that are added, where nothing is said.
const ADDED: usize = 3;
/// The least likeness of a tool that is added, where nothing is said.
const LIKE: f32 = 0.3;
/// The least likeness of a tool that stays, where nothing is said.
const RELEVANT: f32 = 0.25;
/// Most bytes of a list of tools.
const MOST_BYTES: u64 = 4 << 20;

impl Tools {
    /// Whether the model sees a tool.
    #[must_use]
    pub fn shows(&self, name: &str) -> bool {
        let is = |known: &String| known == name;
        !self.none && (self.allowed.is_empty() || self.allowed.iter().any(is)) && !self.blocked.iter().any(is)
    }

    /// Of its settings: by names, and by meaning; neither where they leave everything as it is.
    pub(super) fn of(form: ToolsSettings) -> Result<(Option<Self>, Option<ToolChoice>), String> {
        if !form.enabled {
            return Ok((None, None));
        }
        if form
            .strategy
            .as_deref()
            .is_some_and(|strategy| strategy != "default")
        {
            return Err("tools.strategy is not supported in this version but for default".to_owned());
        }
        let dynamic = form.dynamic_retrieval.as_ref();
        if dynamic.is_some_and(|retrieval| retrieval.get("enabled") != Some(&serde_json::Value::Bool(false)))
        {
            return Err("tools.dynamic_retrieval is not supported in this version".to_owned());
        }
        let mode = form.mode.as_deref().unwrap_or("passthrough");
        if form.strip_tool_history && mode != "none" {
            return Err("tools.strip_tool_history goes with mode none alone".to_owned());
        }
        let chosen = form.semantic_selection == Some(true) && mode != "none";
        let by_name = match mode {
            "passthrough" => None,
            "none" => Some(Self {
                none: true,
                without_history: form.strip_tool_history,
                ..Self::default()
            }),
            "filtered" => Some(Self {
                allowed: form.allow_tools,
                blocked: form.block_tools,
                ..Self::default()
            }),
            other => {
                return Err(format!(
                    "unknown mode {other:?}; use passthrough, filtered or none"
                ));
            }
        };
        Ok((by_name, chosen.then(ToolChoice::of_request)))
    }
}

impl ToolChoice {
    /// Among those that the request brings, where nothing else is said.
    fn of_request() -> Self {
        Self {
            listed: None,
            least: RELEVANT,
            most: None,
            preserved: 0,
            or_none: false,
            weighing: Weighing::default(),
        }
    }

    pub(super) fn of(form: ToolSelectionSettings) -> Result<Option<Self>, String> {
        if form
            .strategy
            .as_deref()
            .is_some_and(|strategy| strategy != "default")
        {
            return Err(
                "tool_selection.strategy is not supported in this version but for default".to_owned(),
            );
        }
        let likeness = |value: Option<f64>, usual: f32| match value {
            None => Ok(usual),
            Some(least) if (0.0..=1.0).contains(&least) => Ok(least as f32),
            Some(_) => Err("the least likeness of tool_selection is a number from 0 to 1".to_owned()),
        };
        let count = |value: Option<u64>| {
            value
                .filter(|value| *value > 0)
                .map(|value| usize::try_from(value).unwrap_or(usize::MAX))
        };
        let weighing = form
            .advanced_filtering
            .map(Weighing::of)
            .transpose()?
            .unwrap_or_default();
        let choice = match form.mode.as_deref() {
            Some("filter") => Self {
                least: likeness(form.relevance_threshold, RELEVANT)?,
                most: count(form.top_k),
                preserved: count(form.preserve_count).unwrap_or(0),
                or_none: form.fallback_to_empty == Some(true),
                weighing,
                listed: None,
            },
            None | Some("add") => {
                let Some(path) = form.tools_db_path.as_deref() else {
                    return Err(
                        "tool_selection with mode add needs tools_db_path, a file of tools".to_owned(),
                    );
                };
                // What is switched off need not have its file.
                let listed = if form.enabled { listed(path)? } else { Vec::new() };
                Self {
                    listed: Some(listed.into()),
                    least: likeness(form.similarity_threshold, LIKE)?,
                    most: Some(count(form.top_k).unwrap_or(ADDED)),
                    preserved: 0,
                    or_none: form.fallback_to_empty == Some(true),
                    weighing,
                }
            }
            Some(other) => return Err(format!("unknown mode {other:?}; use add or filter")),
        };
        Ok(form.enabled.then_some(choice))
    }

    /// Which of these tools are chosen, by their numbers, the best first. Of what the request brings, tools whose likeness
    /// nobody could tell stay; of a list they do not come.
    #[must_use]
    pub fn choose(&self, said: &str, tools: &[WeighedTool<'_>]) -> Vec<usize> {
        let words: HashSet<String> = words(said).collect();
        let adds = self.listed.is_some();
        let mut scored: Vec<(usize, f32, bool)> = Vec::new();
        for (index, tool) in tools.iter().enumerate() {
            if !self.weighing.admits(tool.name) {
                continue;
            }
            let Some(likeness) = tool.likeness else {
                if !adds {
                    scored.push((index, f32::INFINITY, true));
                }
                continue;
            };
            let score = self.weighing.score(&words, tool, likeness);
            let fits = likeness >= self.least && score.is_some();
            scored.push((index, score.unwrap_or(likeness), fits));
        }
        scored.sort_by(|left, right| right.1.total_cmp(&left.1).then(left.0.cmp(&right.0)));
        let most = self.most.unwrap_or(usize::MAX).max(self.preserved);
        let kept = scored.iter().enumerate();
        let kept = kept.filter(|(place, (.., fits))| *fits || *place < self.preserved);
        kept.map(|(_, (index, ..))| *index).take(most).collect()
    }
}

impl Weighing {
    fn of(form: AdvancedFiltering) -> Result<Self, String> {
        if !form.enabled {
            return Ok(Self::default());
        }
        let refused = [
            (
                "retrieval_strategy",
                form.retrieval_strategy
                    .is_some_and(|strategy| strategy != "weighted"),
            ),
            ("hybrid_history", form.hybrid_history.is_some()),
            ("use_category_filter", form.use_category_filter == Some(true)),
        ];
        if let Some((name, _)) = refused.iter().find(|(_, used)| *used) {
            return Err(format!(
                "tool_selection.advanced_filtering.{name} is not supported in this version"
            ));
        }
        let ToolWeights {
            embed,
            lexical,
            tag,
            name,
            category,
        } = form.weights.unwrap_or_default();
        if category.is_some_and(|weight| weight > 0.0) {
            return Err(
                "tool_selection.advanced_filtering.weights.category is not supported in this version"
                    .to_owned(),
            );
        }
        let weights = [embed, lexical, tag, name].map(|weight| weight.unwrap_or(0.0) as f32);
        if weights.iter().any(|weight| !weight.is_finite() || *weight < 0.0) {
            return Err("weights of tool_selection are not negative".to_owned());
        }
        Ok(Self {
            weights,
            shared: form
                .min_lexical_overlap
                .and_then(|least| usize::try_from(least).ok())
                .unwrap_or(0),
            least: form.min_combined_score.unwrap_or(0.0) as f32,
            allowed: form.allow_tools,
            blocked: form.block_tools,
        })
    }

    fn admits(&self, name: &str) -> bool {
        let is = |known: &String| known.eq_ignore_ascii_case(name);
        (self.allowed.is_empty() || self.allowed.iter().any(is)) && !self.blocked.iter().any(is)
    }

    /// The weighted mean of likeness, shared words, tags and name; none where the tool is not to be taken.
    fn score(&self, said: &HashSet<String>, tool: &WeighedTool<'_>, likeness: f32) -> Option<f32> {
        let named: Vec<String> = words(tool.name).collect();
        let all = words(tool.description)
            .chain(words(tool.category))
            .chain(named.iter().cloned());
        let shared = all.collect::<HashSet<_>>().intersection(said).count();
        if shared < self.shared {
            return None;
        }
        let part = |of: usize, among: usize| match among {
            0 => 0.0,
            among => (of as f32 / among as f32).min(1.0),
        };
        let tags: Vec<String> = tool.tags.iter().flat_map(|tag| words(tag)).collect();
        let among = |words: &[String]| {
            part(
                words.iter().filter(|word| said.contains(*word)).count(),
                words.len(),
            )
        };
        let parts = [
            likeness.clamp(0.0, 1.0),
            part(shared, said.len()),
            among(&tags),
            among(&named),
        ];
        let sum: f32 = self.weights.iter().sum();
        let score = match sum > 0.0 {
            true => {
                parts
                    .iter()
                    .zip(&self.weights)
                    .map(|(part, weight)| part * weight)
                    .sum::<f32>()
                    / sum
            }
            false => likeness,
        };
        (score >= self.least).then_some(score)
    }
}

/// Words in lower case.
fn words(text: &str) -> impl Iterator<Item = String> + '_ {
    let split = text.split(|letter: char| !letter.is_alphanumeric());
    split.filter(|word| !word.is_empty()).map(str::to_lowercase)
}

/// The tools of a file: a JSON list of `{tool: {type: function, function: {…}}, description, category, tags}`.
fn listed(path: &str) -> Result<Vec<ListedTool>, String> {
    #[derive(Deserialize)]
    struct Entry {
        tool: Wrapped,
        #[serde(default)]
        description: String,
        #[serde(default)]
        category: String,
        #[serde(default)]
        tags: Vec<String>,
    }
    #[derive(Deserialize)]
    struct Wrapped {
        function: Box<RawValue>,
    }
    #[derive(Deserialize)]
    struct Named {
        name: String,
        #[serde(default)]
        description: String,
    }
    let unread = |error: &dyn std::fmt::Display| format!("the tools of {path} cannot be read: {error}");
    let size = std::fs::metadata(path).map_err(|error| unread(&error))?.len();
    if size > MOST_BYTES {
        return Err(format!("the tools of {path} are more than {MOST_BYTES} bytes"));
    }
    let text = std::fs::read_to_string(path).map_err(|error| unread(&error))?;
    let entries: Vec<Entry> = serde_json::from_str(&text).map_err(|error| unread(&error))?;
    let mut tools = Vec::with_capacity(entries.len());
    for entry in entries {
        let function = entry.tool.function.get();
        let named: Named = serde_json::from_str(function).map_err(|error| unread(&error))?;
        tools.push(ListedTool {
            description: match entry.description.trim().is_empty() {
                true => named.description,
                false => entry.description,
            },
            name: named.name,
            category: entry.category,
            tags: entry.tags,
            function: function.to_owned(),
        });
    }
    Ok(tools)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn choice(settings: serde_json::Value) -> Result<Option<ToolChoice>, String> {
        ToolChoice::of(serde_json::from_value(settings).unwrap())
    }

    fn tool(name: &str, likeness: Option<f32>) -> WeighedTool<'_> {
        WeighedTool {
            name,
            description: "",
            category: "",
            tags: &[],
            likeness,
        }
    }

    #[test]
    fn of_the_requests_tools_the_like_and_the_best_stay() {
        let filter = choice(
            json!({"enabled": true, "mode": "filter", "relevance_threshold": 0.5, "preserve_count": 2}),
        );
        let filter = filter.unwrap().unwrap();
        let all = [
            tool("a", Some(0.1)),
            tool("b", Some(0.9)),
            tool("c", Some(0.2)),
            tool("d", None),
        ];
        assert_eq!(filter.choose("go", &all), [3, 1]);
        let none = [tool("a", Some(0.1)), tool("b", Some(0.2)), tool("c", Some(0.3))];
        assert_eq!(filter.choose("go", &none), [2, 1]);
    }

    #[test]
    fn words_and_names_weigh_where_they_are_to() {
        let filter = choice(json!({
            "enabled": true, "mode": "filter", "relevance_threshold": 0.0,
            "advanced_filtering": {"enabled": true, "min_combined_score": 0.4, "block_tools": ["Purge"],
                "weights": {"embed": 0.5, "name": 0.5}}
        }));
        let filter = filter.unwrap().unwrap();
        let all = [
            tool("get_weather", Some(0.3)),
            tool("send_mail", Some(0.3)),
            tool("purge", Some(1.0)),
        ];
        assert_eq!(filter.choose("Get the weather of Paris", &all), [0]);
    }

    #[test]
    fn a_list_is_read_and_its_likest_come() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let listed = json!([
            {"tool": {"type": "function", "function": {"name": "get_weather", "parameters": {"type": "object"}}},
             "description": "Weather anywhere", "tags": ["rain"]},
            {"tool": {"type": "function", "function": {"name": "search", "description": "Looks things up"}}}
        ]);
        std::fs::write(file.path(), listed.to_string()).unwrap();
        let add = choice(json!({"enabled": true, "mode": "add", "tools_db_path": file.path(), "top_k": 1}));
        let add = add.unwrap().unwrap();
        let known = add.listed.clone().unwrap();
        assert_eq!(known[1].description, "Looks things up");
        assert!(known[0].function.contains("parameters"));
        let weighed = [
            tool("get_weather", Some(0.6)),
            tool("search", Some(0.7)),
            tool("other", None),
        ];
        assert_eq!(add.choose("rain?", &weighed), [1]);
        for wrong in [
            json!({"enabled": true}),
            json!({"enabled": true, "mode": "swap"}),
            json!({"enabled": true, "tools_db_path": "/nowhere/tools.json"}),
            json!({"enabled": true, "mode": "filter", "relevance_threshold": 3.0}),
            json!({"enabled": true, "mode": "filter", "strategy": "mine"}),
        ] {
            assert!(choice(wrong.clone()).is_err(), "{wrong}");
        }
    }
}

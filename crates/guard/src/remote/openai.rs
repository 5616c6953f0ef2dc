//! OpenAI's moderations (`POST /moderations`).

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::json;

use super::config::ModerationConfig;
use super::finding::{Finding, Unreadable, names};
use super::service::{Question, Service, Shown, parsed};

/// What is asked when the configuration names none.
const MODEL: &str = "omni-moderation-latest";

#[derive(Debug)]
pub(crate) struct Moderation {
    model: String,
    categories: Vec<String>,
    threshold: Option<f64>,
}

#[derive(Deserialize)]
struct Answer {
    results: Vec<Judged>,
}

#[derive(Deserialize)]
struct Judged {
    flagged: bool,
    categories: BTreeMap<String, Option<bool>>,
    category_scores: BTreeMap<String, f64>,
}

impl Moderation {
    pub(crate) fn new(config: &ModerationConfig) -> Self {
        Self {
            model: config.model.clone().unwrap_or_else(|| MODEL.to_owned()),
            categories: config.categories.clone(),
            threshold: config.threshold.map(|percent| f64::from(percent) / 100.0),
        }
    }

    fn judge(&self, judged: &Judged) -> Finding {
        let counts = |name: &str| self.categories.is_empty() || self.categories.iter().any(|one| one == name);
        let held: Vec<&str> = match self.threshold {
            Some(threshold) => {
                let scores = judged.category_scores.iter();
                let over = scores.filter(|(name, score)| counts(name) && **score >= threshold);
                over.map(|(name, _)| name.as_str()).collect()
            }
            None => {
                let flags = judged.categories.iter();
                let set = flags.filter(|(name, flag)| counts(name) && **flag == Some(true));
                set.map(|(name, _)| name.as_str()).collect()
            }
        };
        let told = names(held.iter().copied());
        let unnamed = judged.flagged && self.categories.is_empty() && self.threshold.is_none();
        Finding {
            whole: match (told.is_empty(), unnamed) {
                (false, _) => Some(told),
                (true, true) => Some("the service flags it".to_owned()),
                (true, false) => None,
            },
            ..Finding::default()
        }
    }
}

impl Service for Moderation {
    fn url(&self) -> Option<String> {
        Some("https://api.openai.com/v1".to_owned())
    }

    fn most(&self) -> usize {
        32
    }

    fn redacts(&self) -> bool {
        false
    }

    fn judges_foreign_alone(&self) -> bool {
        true
    }

    fn ask(&self, _number: usize, shown: &[Shown<'_>]) -> Question {
        let texts: Vec<&str> = shown.iter().map(|one| one.text).collect();
        Question {
            path: "/moderations".to_owned(),
            body: json!({ "model": self.model, "input": texts }),
        }
    }

    fn read(&self, _number: usize, shown: &[Shown<'_>], answer: &[u8]) -> Result<Vec<Finding>, Unreadable> {
        let answer: Answer = parsed(answer)?;
        if answer.results.len() != shown.len() {
            return Err(Unreadable("there is not one result for each text"));
        }
        Ok(answer.results.iter().map(|judged| self.judge(judged)).collect())
    }
}

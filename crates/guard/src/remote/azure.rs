//! Azure AI Content Safety: harm by category (`text:analyze`) and attacks (`text:shieldPrompt`).

use serde::Deserialize;
use serde_json::{Value, json};

use super::config::{AzureCheck, AzureConfig};
use super::finding::{Finding, Unreadable, names};
use super::service::{Question, Service, Shown, header, only, parsed};
use crate::config::Stage;
use pointsman_upstream::AuthStyle;

const VERSION: &str = "2024-09-01";
/// Letters that both take at once.
const LONGEST: usize = 10_000;
/// From which severity on a category counts, when the configuration does not say: medium-low in four steps of two.
const SEVERITY: u8 = 4;

#[derive(Debug)]
pub(crate) struct Azure {
    checks: Vec<AzureCheck>,
    severity: u8,
    categories: Vec<String>,
    blocklists: Vec<String>,
    version: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Harm {
    categories_analysis: Vec<Category>,
    #[serde(default)]
    blocklists_match: Vec<Listed>,
}

#[derive(Deserialize)]
struct Category {
    category: String,
    #[serde(default)]
    severity: Option<u8>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Listed {
    blocklist_name: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Shields {
    #[serde(default)]
    user_prompt_analysis: Option<Attack>,
    #[serde(default)]
    documents_analysis: Option<Vec<Attack>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Attack {
    attack_detected: bool,
}

impl Azure {
    pub(crate) fn new(config: &AzureConfig) -> Self {
        let mut checks = config.checks.clone();
        if checks.is_empty() {
            checks.push(AzureCheck::Harm);
        }
        Self {
            checks,
            severity: config.severity.unwrap_or(SEVERITY),
            categories: config.categories.clone(),
            blocklists: config.blocklists.clone(),
            version: config.api_version.clone().unwrap_or_else(|| VERSION.to_owned()),
        }
    }

    fn check(&self, number: usize) -> AzureCheck {
        self.checks.get(number).copied().unwrap_or(AzureCheck::Harm)
    }

    fn harm(&self, text: &str) -> Value {
        let mut body = json!({ "text": text, "outputType": "FourSeverityLevels" });
        if !self.categories.is_empty() {
            body["categories"] = Value::from(self.categories.clone());
        }
        if !self.blocklists.is_empty() {
            body["blocklistNames"] = Value::from(self.blocklists.clone());
            body["haltOnBlocklistHit"] = Value::from(false);
        }
        body
    }
}

/// What users say is a prompt; what tools answer is a document.
fn shields(shown: Shown<'_>) -> Value {
    match shown.stage {
        Stage::ToolResult => json!({ "userPrompt": "", "documents": [shown.text] }),
        Stage::Input | Stage::Output => json!({ "userPrompt": shown.text, "documents": [] }),
    }
}

impl Service for Azure {
    fn style(&self) -> AuthStyle {
        header("ocp-apim-subscription-key")
    }

    fn longest(&self) -> Option<usize> {
        Some(LONGEST)
    }

    fn questions(&self) -> usize {
        self.checks.len()
    }

    fn redacts(&self) -> bool {
        false
    }

    fn judges_foreign_alone(&self) -> bool {
        true
    }

    fn ask(&self, number: usize, shown: &[Shown<'_>]) -> Question {
        let (name, body) = match self.check(number) {
            AzureCheck::Harm => ("analyze", self.harm(only(shown).text)),
            AzureCheck::PromptShields => ("shieldPrompt", shields(only(shown))),
        };
        Question {
            path: format!("/contentsafety/text:{name}?api-version={}", self.version),
            body,
        }
    }

    fn read(&self, number: usize, shown: &[Shown<'_>], answer: &[u8]) -> Result<Vec<Finding>, Unreadable> {
        let told = match self.check(number) {
            AzureCheck::Harm => {
                let harm: Harm = parsed(answer)?;
                let severe = harm.categories_analysis.iter();
                let severe = severe.filter(|one| one.severity.unwrap_or_default() >= self.severity);
                let listed = harm
                    .blocklists_match
                    .iter()
                    .map(|list| list.blocklist_name.as_str());
                names(severe.map(|one| one.category.as_str()).chain(listed))
            }
            AzureCheck::PromptShields => {
                let shields: Shields = parsed(answer)?;
                let documents = shields.documents_analysis.unwrap_or_default();
                let is_document = only(shown).stage == Stage::ToolResult;
                let judged = match (is_document, &shields.user_prompt_analysis) {
                    (true, _) if !documents.is_empty() => documents.iter().any(|one| one.attack_detected),
                    (false, Some(prompt)) => prompt.attack_detected,
                    _ => return Err(Unreadable("it does not say whether there is an attack")),
                };
                if judged {
                    "attack".to_owned()
                } else {
                    String::new()
                }
            }
        };
        Ok(vec![Finding {
            whole: Some(told).filter(|told| !told.is_empty()),
            ..Finding::default()
        }])
    }
}

//! `fusion`: a panel answers, a judge compares, and gives one answer.

use std::fmt::Write as _;

use serde::{Deserialize, Serialize};

use super::{Contract, FailedModel, Rules, Said, Terms, loose, name_of};
use crate::selection::Selected;

/// A panel and its judge.
#[derive(Debug, Clone, PartialEq)]
pub struct Fusion {
    /// Who compares, and answers.
    pub judge: Selected,
    /// Who answers first.
    pub panel: Vec<Panelist>,
    /// What the judge's calls change of the request.
    pub terms: Terms,
    /// How the panel is asked.
    pub rules: Rules,
    /// Whether the client is shown the comparison.
    pub show_analysis: bool,
    /// Whether the client is shown what the panel said.
    pub show: bool,
    pub(super) analysis_template: Option<String>,
    pub(super) synthesis_template: Option<String>,
    pub(super) version: String,
}

/// One of a panel.
#[derive(Debug, Clone, PartialEq)]
pub struct Panelist {
    /// The model.
    pub selected: Selected,
    /// What its call changes of the request.
    pub terms: Terms,
}

/// What a judge makes of a panel's answers.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Analysis {
    /// What they agree on.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub consensus: Vec<String>,
    /// Where they contradict one another.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub contradictions: Vec<String>,
    /// What only some of them treat.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub partial_coverage: Vec<String>,
    /// What only one of them saw.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub unique_insights: Vec<String>,
    /// What none of them saw.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub blind_spots: Vec<String>,
    /// What the judge said, where it was nothing of the kind.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub raw: Option<String>,
    /// Whether it was nothing of the kind.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub parse_failed: bool,
}

/// What the client is shown of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FusionTrace {
    /// The comparison.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub analysis: Option<Analysis>,
    /// What the panel said.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub responses: Vec<PanelAnswer>,
    /// Who did not answer.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub failed_models: Vec<FailedModel>,
    /// Who compared.
    pub judge_model: String,
    /// Who was on the panel.
    pub analysis_models: Vec<String>,
    /// The prompts' name.
    pub prompt_version: String,
}

/// What one of a panel said.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PanelAnswer {
    /// Who.
    pub model: String,
    /// What.
    pub content: String,
    /// What was thought before.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub reasoning: String,
}

impl Fusion {
    /// Its models: the panel, then the judge.
    pub fn models(&self) -> impl Iterator<Item = &Selected> {
        self.panel
            .iter()
            .map(|panelist| &panelist.selected)
            .chain([&self.judge])
    }

    /// What the judge is asked first.
    #[must_use]
    pub fn comparison(&self, original: &str, panel: &[Said]) -> String {
        if let Some(template) = &self.analysis_template {
            return fill(template, original, panel, None);
        }
        format!(
            "Compare the answers below, which a panel of assistants gave to the same question. Do not answer it \
             yourself.\n\nThe question:\n{original}\n\nThe answers:\n{}\n\nSay what you find as one JSON object and nothing \
             else, without a fence, with the keys consensus, contradictions, partial_coverage, unique_insights and \
             blind_spots. Each holds a list of at most two short sentences.",
            answers(panel)
        )
    }

    /// Reads what the judge says of the panel.
    #[must_use]
    pub fn read(said: &str) -> Analysis {
        loose::object(said).unwrap_or_else(|_| Analysis {
            raw: Some(said.to_owned()),
            parse_failed: true,
            ..Analysis::default()
        })
    }

    /// What the judge is asked last.
    #[must_use]
    pub fn question(
        &self,
        original: &str,
        (panel, analysis): (&[Said], Option<&Analysis>),
        contract: &Contract,
    ) -> String {
        if let Some(template) = &self.synthesis_template {
            return contract.append(fill(template, original, panel, analysis));
        }
        let compared = match analysis.filter(|analysis| !analysis.parse_failed) {
            Some(analysis) => told(analysis),
            None => "There is none: go by the answers alone.".to_owned(),
        };
        contract.append(format!(
            "Give the user the final answer. A panel of assistants has answered before you, and their answers were \
             compared. Where they contradict one another, decide who is right. Keep to the form that the user asks for. Say \
             nothing of the panel, of models or of how the answer came about, unless you are asked for it.\n\n\
             The question:\n{original}\n\nThe comparison:\n{compared}\n\nThe answers:\n{}\n\nThe final answer:",
            answers(panel)
        ))
    }

    /// What the client is shown, if anything.
    #[must_use]
    pub fn trace(
        &self,
        (panel, failed): (&[Said], &[FailedModel]),
        analysis: Option<Analysis>,
    ) -> Option<FusionTrace> {
        if !(self.show || self.show_analysis) && failed.is_empty() {
            return None;
        }
        let answer = |said: &Said| PanelAnswer {
            model: said.model.clone(),
            content: said.text.clone(),
            reasoning: said.reasoning.clone(),
        };
        let shown = if self.show { panel } else { &[] };
        Some(FusionTrace {
            analysis: analysis.filter(|_| self.show_analysis),
            responses: shown.iter().map(answer).collect(),
            failed_models: failed.to_vec(),
            judge_model: name_of(&self.judge).to_owned(),
            analysis_models: self
                .panel
                .iter()
                .map(|panelist| name_of(&panelist.selected).to_owned())
                .collect(),
            prompt_version: self.version.clone(),
        })
    }
}

fn fill(template: &str, original: &str, panel: &[Said], analysis: Option<&Analysis>) -> String {
    let parts = [
        ("{{original}}", original.to_owned()),
        ("{{responses}}", answers(panel)),
        ("{{analysis}}", analysis.map(told).unwrap_or_default()),
    ];
    // What is filled in may hold the same marks: it is not looked at again.
    let mut out = String::new();
    let mut rest = template;
    loop {
        let next = parts
            .iter()
            .filter_map(|(mark, part)| rest.find(mark).map(|at| (at, mark.len(), part)))
            .min_by_key(|(at, ..)| *at);
        let Some((at, length, part)) = next else {
            out.push_str(rest);
            return out;
        };
        out.push_str(&rest[..at]);
        out.push_str(part);
        rest = &rest[at + length..];
    }
}

fn answers(panel: &[Said]) -> String {
    let mut out = String::new();
    for (at, said) in panel.iter().enumerate() {
        let _ = write!(out, "Answer {} ({}):\n{}\n\n", at + 1, said.model, said.text);
        if !said.reasoning.is_empty() {
            let _ = write!(out, "Its reasoning:\n{}\n\n", said.reasoning);
        }
    }
    out.truncate(out.trim_end().len());
    out
}

fn told(analysis: &Analysis) -> String {
    serde_json::to_string_pretty(analysis).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::super::OnError;
    use super::*;

    fn fusion() -> Fusion {
        let selected = |name: &str| Selected {
            model: name.to_owned(),
            lora_name: None,
            reasoning: None,
            use_reasoning: None,
        };
        Fusion {
            judge: selected("judge"),
            panel: vec![Panelist {
                selected: selected("a"),
                terms: Terms::default(),
            }],
            terms: Terms::default(),
            rules: Rules {
                at_once: None,
                enough: None,
                time: None,
                on_error: OnError::Skip,
            },
            show_analysis: true,
            show: false,
            analysis_template: None,
            synthesis_template: None,
            version: "fusion-v1".to_owned(),
        }
    }

    fn panel() -> Vec<Said> {
        let said = |model: &str, text: &str, reasoning: &str| Said {
            model: model.to_owned(),
            text: text.to_owned(),
            reasoning: reasoning.to_owned(),
        };
        vec![said("a", "42", "six by seven"), said("b", "{{analysis}}", "")]
    }

    #[test]
    fn the_judge_is_asked_twice() {
        let mut fusion = fusion();
        let compared = fusion.comparison("6 × 7?", &panel());
        assert!(
            compared.contains("6 × 7?") && compared.contains("Answer 1 (a):\n42"),
            "{compared}"
        );
        let analysis = Fusion::read("```json\n{\"consensus\": [\"it is 42\"],}\n```");
        assert_eq!(analysis.consensus, ["it is 42"]);
        let contract = Contract::new(Some("A number."), None);
        let asked = fusion.question("6 × 7?", (&panel(), Some(&analysis)), &contract);
        assert!(
            asked.contains("it is 42") && asked.ends_with("A number."),
            "{asked}"
        );
        let nothing = Fusion::read("They agree.");
        assert!(nothing.parse_failed && nothing.raw.as_deref() == Some("They agree."));
        let asked = fusion.question("6 × 7?", (&panel(), Some(&nothing)), &Contract::default());
        assert!(asked.contains("There is none"), "{asked}");
        fusion.synthesis_template = Some("{{original}}|{{responses}}|{{analysis}}|{{other}}".to_owned());
        let asked = fusion.question(
            "{{responses}}?",
            (&panel(), Some(&analysis)),
            &Contract::default(),
        );
        assert!(
            asked.starts_with("{{responses}}?|Answer 1"),
            "what is filled in is not looked at again: {asked}"
        );
        assert!(
            asked.contains("{{analysis}}|{") && asked.ends_with("|{{other}}"),
            "{asked}"
        );
    }

    #[test]
    fn only_what_shall_be_shown_is() {
        let mut fusion = fusion();
        let trace = fusion.trace((&panel(), &[]), Some(Analysis::default())).unwrap();
        assert!(trace.responses.is_empty() && trace.analysis.is_some());
        (fusion.show_analysis, fusion.show) = (false, false);
        assert_eq!(fusion.trace((&panel(), &[]), None), None);
        let failed = FailedModel {
            model: "b".to_owned(),
            error: "too slow".to_owned(),
        };
        let trace = fusion.trace(
            (&panel(), std::slice::from_ref(&failed)),
            Some(Analysis::default()),
        );
        let trace = trace.unwrap();
        assert_eq!((trace.failed_models, trace.analysis), (vec![failed], None));
    }
}

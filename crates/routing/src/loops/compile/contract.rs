//! `output_contract` and `output_contract_spec`: the form an answer must have.

use super::super::contract::{Check, Contract, Source};
use super::Builder;
use crate::config::ContractConfig;

impl Builder<'_> {
    pub(super) fn contract(&mut self, kind: &str) -> Contract {
        let decision = self.around.decision;
        let check = decision.output_contract_spec.as_ref().and_then(|spec| {
            match serde_json::from_value::<ContractConfig>(spec.clone()) {
                Ok(spec) => self.check(kind, &spec),
                Err(error) => {
                    self.wrong("output_contract_spec", error.to_string());
                    None
                }
            }
        });
        Contract::new(decision.output_contract.as_deref(), check)
    }

    fn check(&mut self, kind: &str, spec: &ContractConfig) -> Option<Check> {
        let unsupported = [
            ("json_schema", spec.json_schema.is_some()),
            ("normalize", spec.normalize.is_some()),
            ("on_violation", spec.on_violation.is_some()),
        ];
        for (field, _) in unsupported.iter().filter(|(_, there)| *there) {
            let message = format!("{field} is not supported in this version");
            self.wrong(&format!("output_contract_spec.{field}"), message);
        }
        if !matches!(kind, "remom" | "fusion" | "workflows") {
            let message = format!("is for remom, fusion and workflows: {kind} gives answers as they are");
            self.wrong("output_contract_spec", message);
        }
        let sources = self.sources(spec);
        match spec.kind.trim() {
            "choice" => {
                let values = spec.choice_set.values.iter().map(|value| value.trim().to_owned());
                let values: Vec<String> = values.filter(|value| !value.is_empty()).collect();
                if values.is_empty() {
                    self.wrong(
                        "output_contract_spec.choice_set.values",
                        "says what may be chosen",
                    );
                }
                let template = spec.render.template.clone();
                let template = match spec.render.mode.as_deref() {
                    Some("template") => template,
                    _ => None,
                };
                Some(Check::Choice {
                    values,
                    template,
                    sources,
                })
            }
            "reference_selection" if kind == "remom" => self.reference(spec, sources),
            "reference_selection" => {
                self.wrong("output_contract_spec.type", "reference_selection is for remom");
                None
            }
            other => {
                let message = format!(
                    "{other:?} is not supported in this version; there are choice and reference_selection"
                );
                self.wrong("output_contract_spec.type", message);
                None
            }
        }
    }

    fn reference(&mut self, spec: &ContractConfig, sources: Vec<Source>) -> Option<Check> {
        let numbered = match spec.reference.id_format.as_deref() {
            None | Some("" | "index") => false,
            Some("reference_number") => true,
            Some(other) => {
                let message = format!("unknown id_format {other:?}; use index or reference_number");
                self.wrong("output_contract_spec.reference.id_format", message);
                false
            }
        };
        let named =
            |post: &crate::config::PostprocessConfig| post.kind.trim() == "dereference_selected_reference";
        if let Some(other) = spec.postprocess.iter().find(|post| !named(post)) {
            let message = format!("{:?} is not supported in this version", other.kind);
            self.wrong("output_contract_spec.postprocess", message);
        }
        // Unless it shall be put in its place, a number is an answer like any other.
        spec.postprocess
            .iter()
            .any(named)
            .then_some(Check::Reference { numbered, sources })
    }

    fn sources(&mut self, spec: &ContractConfig) -> Vec<Source> {
        if !matches!(spec.extract.mode.as_deref(), None | Some("" | "exact")) {
            self.wrong(
                "output_contract_spec.extract.mode",
                "only exact is supported in this version",
            );
        }
        let mut sources = Vec::new();
        for source in &spec.extract.sources {
            match source.trim() {
                "content" => sources.push(Source::Text),
                "reasoning_content" => sources.push(Source::Reasoning),
                other => {
                    let message = format!(
                        "{other:?} is not supported in this version; use content or reasoning_content"
                    );
                    self.wrong("output_contract_spec.extract.sources", message);
                }
            }
        }
        if sources.is_empty() {
            sources.push(Source::Text);
        }
        sources
    }
}

//! The block `fusion`: a panel and its judge.

use super::super::fusion::{Fusion, Panelist};
use super::super::{OnError, Rules, Terms, name_of};
use super::{Builder, MOST_AT_ONCE};
use crate::config::{FusionConfig, GroundingConfig};

impl Builder<'_> {
    pub(super) fn fusion(&mut self, config: &FusionConfig) -> Option<Fusion> {
        if config
            .grounding
            .as_ref()
            .is_some_and(|grounding: &GroundingConfig| grounding.enabled)
        {
            self.wrong(
                "algorithm.fusion.grounding.enabled",
                "grounding of a panel is not supported in this version",
            );
        }
        let terms = self.terms("fusion", config.temperature, config.max_completion_tokens);
        let panel = self.panel(config, terms);
        let judge = match config.model.as_deref().filter(|name| !name.trim().is_empty()) {
            Some(name) => self.model(name),
            None => panel.first()?.selected.clone(),
        };
        let said = |text: &Option<String>| text.clone().filter(|text| !text.trim().is_empty());
        Some(Fusion {
            judge,
            panel,
            terms,
            rules: Rules {
                at_once: self.count("fusion.max_concurrent", config.max_concurrent, MOST_AT_ONCE),
                enough: self.count(
                    "fusion.min_successful_responses",
                    config.min_successful_responses,
                    u32::MAX,
                ),
                time: self.seconds("fusion.round_timeout_seconds", config.round_timeout_seconds),
                on_error: self.on_error("fusion", config.on_error.as_deref(), OnError::Skip),
            },
            show_analysis: config.include_analysis.unwrap_or(true),
            show: config.include_intermediate_responses.unwrap_or(true),
            analysis_template: said(&config.analysis_template),
            synthesis_template: said(&config.synthesis_template),
            version: said(&config.judge_prompt_version).unwrap_or_else(|| "fusion-v1".to_owned()),
        })
    }

    fn panel(&mut self, config: &FusionConfig, terms: Terms) -> Vec<Panelist> {
        let mut names: Vec<&str> = Vec::new();
        for name in &config.analysis_models {
            let name = name.trim();
            if !name.is_empty() && !names.contains(&name) {
                names.push(name);
            }
        }
        let panel = match names.is_empty() {
            true => self.refs(),
            false => names.into_iter().map(|name| self.model(name)).collect(),
        };
        let mut panel: Vec<Panelist> = panel
            .into_iter()
            .map(|selected| Panelist { selected, terms })
            .collect();
        for (index, other) in config.analysis_overrides.iter().enumerate() {
            let block = format!("fusion.analysis_overrides[{index}]");
            let own = self.terms(&block, other.temperature, other.max_completion_tokens);
            let named = |panelist: &&mut Panelist| name_of(&panelist.selected) == other.model;
            match panel.iter_mut().find(named) {
                Some(panelist) => {
                    panelist.terms.temperature = own.temperature.or(panelist.terms.temperature);
                    panelist.terms.max_tokens = own.max_tokens.or(panelist.terms.max_tokens);
                }
                None => {
                    let message = format!("{:?} is not on the panel", other.model);
                    self.wrong(&format!("algorithm.{block}.model"), message);
                }
            }
        }
        self.bounded(
            "algorithm.fusion.analysis_models",
            panel.len(),
            MOST_AT_ONCE,
            "models",
        );
        panel
    }
}

//! The block `remom`: rounds, and what is shown from one to the next.

use super::super::remom::{self, Distribution, Remom};
use super::super::template::Template;
use super::super::{OnError, Rules};
use super::{Builder, MOST_AT_ONCE, MOST_STAGES};
use crate::config::RemomConfig;
use crate::selection::Selected;

impl Builder<'_> {
    pub(super) fn remom(&mut self, config: Option<RemomConfig>) -> Option<Remom> {
        // Without a block of its own, four answers and the last one.
        let config = config.unwrap_or_else(|| RemomConfig {
            breadth_schedule: vec![4],
            temperature: Some(1.0),
            shuffle_seed: Some(42),
            include_intermediate_responses: Some(true),
            ..RemomConfig::default()
        });
        self.schedule(&config.breadth_schedule);
        let distribution = self.distribution(config.model_distribution.as_deref());
        let compaction = self.compaction(&config);
        let synthesis = self.synthesis(config.synthesis_model.as_deref());
        let template = self.template(&config);
        let rules = Rules {
            at_once: self.count("remom.max_concurrent", config.max_concurrent, MOST_AT_ONCE),
            enough: self.count(
                "remom.min_successful_responses",
                config.min_successful_responses,
                u32::MAX,
            ),
            time: self.seconds("remom.round_timeout_seconds", config.round_timeout_seconds),
            on_error: self.on_error("remom", config.on_error.as_deref(), OnError::Skip),
        };
        let temperature = config.temperature.filter(|said| *said > 0.0);
        let candidates = self.around.candidates.iter();
        Some(Remom {
            models: candidates
                .map(|candidate| (candidate.selected.clone(), candidate.weight))
                .collect(),
            schedule: config
                .breadth_schedule
                .iter()
                .map(|breadth| *breadth as usize)
                .chain([1])
                .collect(),
            distribution,
            synthesis,
            template: template?,
            reasoning: config.include_reasoning,
            compaction,
            shown: self.count(
                "remom.max_responses_per_round",
                config.max_responses_per_round,
                u32::MAX,
            ),
            seed: config.shuffle_seed.unwrap_or(0).cast_unsigned(),
            show: config.include_intermediate_responses.unwrap_or(false),
            terms: self.terms("remom", temperature, config.max_completion_tokens),
            rules,
        })
    }

    fn distribution(&mut self, said: Option<&str>) -> Distribution {
        match said {
            None | Some("" | "weighted") => Distribution::Weighted,
            Some("equal") => Distribution::Equal,
            Some("round_robin") => Distribution::RoundRobin,
            Some("first_only") => Distribution::FirstOnly,
            Some(other) => {
                let message = format!(
                    "unknown model_distribution {other:?}; use weighted, equal, round_robin or first_only"
                );
                self.wrong("algorithm.remom.model_distribution", message);
                Distribution::Weighted
            }
        }
    }

    /// How many letters of an answer go on into the next round, where not all do.
    fn compaction(&mut self, config: &RemomConfig) -> Option<usize> {
        let tokens = config
            .compaction_tokens
            .filter(|tokens| *tokens > 0)
            .unwrap_or(1_000);
        match config.compaction_strategy.as_deref() {
            None | Some("" | "full") => None,
            Some("last_n_tokens") => Some(remom::letters(tokens)),
            Some(other) => {
                let message = format!("unknown compaction_strategy {other:?}; use full or last_n_tokens");
                self.wrong("algorithm.remom.compaction_strategy", message);
                None
            }
        }
    }

    fn synthesis(&mut self, said: Option<&str>) -> Option<Selected> {
        let said = said.filter(|name| !name.trim().is_empty());
        if let Some(name) = said
            && !self
                .around
                .decision
                .model_refs
                .iter()
                .any(|known| known.model == name)
        {
            let message = format!("{name:?} is none of modelRefs");
            self.wrong("algorithm.remom.synthesis_model", message);
        }
        said.map(|name| self.model(name))
    }

    fn schedule(&mut self, schedule: &[u32]) {
        let place = "algorithm.remom.breadth_schedule";
        if schedule.is_empty() {
            self.wrong(place, "says how many answers each round has, such as [4]");
        }
        if schedule.len() >= MOST_STAGES as usize {
            self.wrong(place, format!("has fewer than {MOST_STAGES} rounds"));
        }
        for breadth in schedule
            .iter()
            .filter(|breadth| !(1..=MOST_AT_ONCE).contains(*breadth))
        {
            self.wrong(place, format!("{breadth} is none of 1 to {MOST_AT_ONCE}"));
        }
    }

    fn template(&mut self, config: &RemomConfig) -> Option<Template> {
        let text = match config.synthesis_template.as_deref() {
            Some(text) if !text.trim().is_empty() => text,
            _ if config.include_reasoning => remom::USUAL_WITH_REASONING,
            _ => remom::USUAL,
        };
        Template::parse(text)
            .map_err(|error| self.wrong("algorithm.remom.synthesis_template", error))
            .ok()
    }
}

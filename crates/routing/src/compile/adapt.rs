//! What a decision says of the choice among its models beside the algorithm: how far learning may change it
//! (`adaptations`), what the models must be able to do (`candidate_requirements`), and lists of them
//! (`candidateIterations`).

use super::Compiler;
use crate::config::{Adaptations, CandidateIteration, DecisionConfig, Requirements};
use crate::selection::{Candidate, Needs, Protected, Selection};

/// How far something acts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    /// It changes what is done.
    Apply,
    /// It is only told.
    Observe,
    /// It does nothing.
    Bypass,
}

impl Compiler<'_> {
    /// The selection of a decision with what stands beside its algorithm; `looped` where several models are asked.
    pub(super) fn adapted(
        &mut self,
        path: &str,
        config: &DecisionConfig,
        (candidates, looped): (&[Candidate], bool),
        selection: Option<Selection>,
    ) -> Option<Selection> {
        self.iterations(path, config);
        let needs = self.needs();
        let mut selection = selection;
        if needs != Needs::default() && !candidates.is_empty() && !looped {
            let mut held = selection.unwrap_or_else(Selection::weighted);
            held.needs = needs;
            selection = Some(held);
        }
        match &config.adaptations {
            Some(adaptations) => self.adaptations(
                &format!("{path}.adaptations"),
                adaptations,
                (candidates, looped),
                selection,
            ),
            None => selection,
        }
    }

    /// What the recipe's models must be able to do.
    fn needs(&mut self) -> Needs {
        let Some(Requirements {
            capabilities,
            context,
        }) = &self.config.candidate_requirements
        else {
            return Needs::default();
        };
        let mut wanted = |field: &str, value: Option<&str>, known: &str| match value {
            None | Some("") => false,
            Some(value) if value == known => true,
            Some(other) => {
                let message = format!("there is no {other:?}; use {known}");
                self.wrong(format!("candidate_requirements.{field}"), message);
                false
            }
        };
        Needs {
            capabilities: wanted("capabilities", capabilities.as_deref(), "declared"),
            window: wanted("context", context.as_deref(), "known_limits"),
        }
    }

    fn adaptations(
        &mut self,
        path: &str,
        config: &Adaptations,
        (candidates, looped): (&[Candidate], bool),
        selection: Option<Selection>,
    ) -> Option<Selection> {
        let whole = self.mode(format!("{path}.mode"), config.mode.as_deref(), None);
        let adaptation = config.adaptation.as_ref();
        let set = adaptation.and_then(|form| form.candidate_set.as_deref());
        match set {
            None | Some("" | "decision") => {}
            Some("tier" | "global") => self.wrong(
                format!("{path}.adaptation.candidate_set"),
                "is not supported in this version beyond the decision: its models are all that it may take",
            ),
            Some(other) => self.wrong(
                format!("{path}.adaptation.candidate_set"),
                format!("there is no {other:?}; use decision"),
            ),
        }
        let learns = adaptation.map(|form| form.mode.as_deref());
        let learns = self.part(format!("{path}.adaptation.mode"), learns, whole);
        let stays = config.protection.as_ref().map(|form| form.mode.as_deref());
        let stays = self.part(format!("{path}.protection.mode"), stays, whole);
        let on = |mode: Option<Mode>| mode.filter(|mode| *mode != Mode::Bypass);
        if looped && (on(learns).is_some() || on(stays).is_some()) {
            self.wrong(path, "a decision that asks several models for one answer learns nothing: take it out, or use mode bypass");
            return selection;
        }
        if candidates.is_empty() {
            return selection;
        }
        let selection = self.learning(path, learns, selection);
        self.protection(path, config, stays, selection)
    }

    /// What is learned, of a decision whose algorithm may learn by itself.
    fn learning(
        &mut self,
        path: &str,
        mode: Option<Mode>,
        selection: Option<Selection>,
    ) -> Option<Selection> {
        let by_itself = selection
            .as_ref()
            .is_some_and(|selection| selection.algorithm.reads_outcomes());
        match mode {
            None => selection,
            Some(Mode::Apply) if by_itself => selection,
            Some(mode @ (Mode::Apply | Mode::Observe)) if !by_itself => {
                let held = selection.unwrap_or_else(Selection::weighted);
                Some(held.adapted(mode == Mode::Apply))
            }
            Some(_) if by_itself => {
                let message = "the algorithm learns by itself: take another one, or mode apply";
                self.wrong(format!("{path}.adaptation.mode"), message);
                selection
            }
            Some(_) => selection,
        }
    }

    /// How sessions stay with their model.
    fn protection(
        &mut self,
        path: &str,
        config: &Adaptations,
        mode: Option<Mode>,
        selection: Option<Selection>,
    ) -> Option<Selection> {
        let Some(mode) = mode else { return selection };
        let form = config.protection.clone().unwrap_or_default();
        let numbers = [
            ("stability_weight", form.stability_weight),
            ("switch_margin", form.switch_margin),
        ];
        for (field, value) in numbers {
            if value.is_some_and(|value| !(0.0..=1_000.0).contains(&value)) {
                self.wrong(format!("{path}.protection.{field}"), "is a number from 0 to 1000");
            }
        }
        if mode == Mode::Bypass {
            if selection.as_ref().is_some_and(Selection::holds_sessions) {
                let message = "the algorithm has a session block: take one of both out";
                self.wrong(format!("{path}.protection.mode"), message);
            }
            return selection;
        }
        let held = selection.unwrap_or_else(Selection::weighted);
        Some(held.protected(Protected {
            weight: form.stability_weight,
            margin: form.switch_margin,
            acts: mode == Mode::Apply,
        }))
    }

    /// The mode of a part: its own, within that of all; none where neither is said.
    fn part(&mut self, path: String, own: Option<Option<&str>>, whole: Option<Mode>) -> Option<Mode> {
        match own {
            None => whole,
            Some(own) => {
                let usual = whole.or(Some(Mode::Apply));
                let mode = self.mode(path.clone(), own, usual);
                let beyond = match whole {
                    Some(Mode::Bypass) => mode != Some(Mode::Bypass),
                    Some(Mode::Observe) => mode == Some(Mode::Apply),
                    Some(Mode::Apply) | None => false,
                };
                if beyond {
                    self.wrong(path, "does more than adaptations.mode lets it");
                }
                mode
            }
        }
    }

    fn mode(&mut self, path: String, said: Option<&str>, usual: Option<Mode>) -> Option<Mode> {
        match said {
            None | Some("") => usual,
            Some("apply") => Some(Mode::Apply),
            Some("observe") => Some(Mode::Observe),
            Some("bypass") => Some(Mode::Bypass),
            Some(other) => {
                let modes = ["apply", "observe", "bypass"];
                self.unknown(path, "mode", other, modes.into_iter());
                None
            }
        }
    }

    /// Lists of candidates are words for whoever reads the decision: its models are those of `modelRefs`, and a list of
    /// others would be one that nothing is done with.
    fn iterations(&mut self, path: &str, config: &DecisionConfig) {
        for (index, iteration) in config.candidate_iterations.iter().enumerate() {
            let path = format!("{path}.candidateIterations[{index}]");
            if let Some((field, message)) = wrong(iteration, config) {
                self.wrong(format!("{path}{field}"), message);
            }
        }
    }
}

/// What is wrong with a list of candidates, and where.
fn wrong(iteration: &CandidateIteration, config: &DecisionConfig) -> Option<(String, String)> {
    let variable = iteration.variable.trim();
    if variable.is_empty() {
        return Some((".variable".to_owned(), "needs a name".to_owned()));
    }
    let references = &config.model_refs;
    match iteration.source.trim() {
        "decision.candidates" if references.is_empty() => {
            return Some((".source".to_owned(), "the decision has no modelRefs".to_owned()));
        }
        "decision.candidates" => {}
        "models" => {
            let known = |name: &str| references.iter().any(|reference| reference.model == name);
            let other = iteration.models.iter().position(|model| !known(&model.model));
            if iteration.models.is_empty() {
                return Some((".models".to_owned(), "source models needs models".to_owned()));
            }
            if let Some(at) = other {
                let message =
                    "is none of the decision's modelRefs: put it there, where models are taken from"
                        .to_owned();
                return Some((format!(".models[{at}].model"), message));
            }
        }
        other => {
            let message = format!("there is no source {other:?}; use decision.candidates or models");
            return Some((".source".to_owned(), message));
        }
    }
    for (at, output) in iteration.outputs.iter().enumerate() {
        if output.kind != "model" {
            let message = format!("there is no output {:?}; use model", output.kind);
            return Some((format!(".outputs[{at}].type"), message));
        }
        if output.value.as_deref().map(str::trim) != Some(variable) {
            let message = format!("names the variable, {variable:?}");
            return Some((format!(".outputs[{at}].value"), message));
        }
    }
    None
}

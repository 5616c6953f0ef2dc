//! The plugin `response_jailbreak`: answers that show that the model was talked out of its instructions.

use crate::config::plugins::ResponseJailbreakSettings;

/// Least probability of an attack, where nothing is said.
const SURE: f64 = 0.7;

/// How answers are judged.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ResponseJailbreak {
    /// The least probability, 0 to 1, that counts.
    pub threshold: f64,
    /// What is done.
    pub action: AnswerAction,
}

/// What is done with an answer that should not be given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AnswerAction {
    /// It is held back, and the request fails.
    Block,
    /// It is given, and a header tells.
    Header,
    /// It is given; only the ledger's flags tell.
    Note,
}

impl ResponseJailbreak {
    pub(super) fn of(form: &ResponseJailbreakSettings) -> Result<Option<Self>, String> {
        let threshold = form.threshold.filter(|least| *least > 0.0).unwrap_or(SURE);
        if !(0.0..=1.0).contains(&threshold) {
            return Err("response_jailbreak.threshold is a number from 0 to 1".to_owned());
        }
        let action = match form.action.as_deref() {
            Some("block") => AnswerAction::Block,
            None | Some("header") => AnswerAction::Header,
            Some("none") => AnswerAction::Note,
            Some(other) => {
                return Err(format!(
                    "response_jailbreak.action: unknown action {other:?}; use block, header or none"
                ));
            }
        };
        Ok(form.enabled.then_some(Self { threshold, action }))
    }
}

//! What is done about answers that nothing supports: the plugin `hallucination`, and the signal of that name.

use crate::config::HallucinationConfig;
use crate::config::plugins::HallucinationSettings;

/// Looking at answers on their way back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hallucination {
    /// What happens where parts of the answer are not supported by what the model was given.
    pub found: Warning,
    /// The same where facts are asked for and there is nothing to compare with.
    pub unverified: Warning,
    /// Whether a warning says which parts, and why.
    pub details: bool,
    /// Whether it is told of each part that the context contradicts it.
    pub contradictions: bool,
    /// The operating point by name; the detector's usual one when absent.
    pub point: Option<String>,
}

/// How the client is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Warning {
    /// Not at all: it is noted for the operator.
    Silent,
    /// By a header; of a stream, by what stands before its end.
    Header,
    /// By words in the answer.
    Body,
    /// The answer is held back.
    Block,
}

impl Warning {
    fn named(field: &str, name: Option<&str>) -> Result<Self, String> {
        match name {
            None | Some("header") => Ok(Self::Header),
            Some("body") => Ok(Self::Body),
            Some("block") => Ok(Self::Block),
            Some("none") => Ok(Self::Silent),
            Some(other) => Err(format!(
                "hallucination.{field}: unknown action {other:?}; use header, body, block or none"
            )),
        }
    }
}

impl Hallucination {
    /// Of its settings; none where it does not act.
    pub(super) fn of(form: HallucinationSettings) -> Result<Option<Self>, String> {
        let found = Warning::named("hallucination_action", form.hallucination_action.as_deref())?;
        let unverified = Warning::named(
            "unverified_factual_action",
            form.unverified_factual_action.as_deref(),
        )?;
        if let Some(point) = &form.operating_point
            && !POINTS.contains(&point.as_str())
        {
            let known = POINTS.join(", ");
            return Err(format!(
                "hallucination.operating_point: there is no {point:?}; there are {known}"
            ));
        }
        Ok(form.enabled.then_some(Self {
            found,
            unverified,
            details: form.include_hallucination_details,
            contradictions: form.use_nli,
            point: form.operating_point,
        }))
    }

    /// Of declared signals, where no plugin says more: looked at, and noted.
    pub(crate) fn noted(signals: &[HallucinationConfig]) -> Option<Self> {
        (!signals.is_empty()).then(|| Self {
            found: Warning::Silent,
            unverified: Warning::Silent,
            details: false,
            contradictions: signals.iter().any(|signal| signal.use_nli),
            point: None,
        })
    }
}

/// Names of operating points of the detector (`semantics::grounded`).
const POINTS: [&str; 3] = ["fpr_1pct", "fpr_3pct", "fpr_10pct"];

#[cfg(test)]
mod tests {
    use super::*;

    fn read(settings: serde_json::Value) -> Result<Option<Hallucination>, String> {
        Hallucination::of(serde_json::from_value(settings).unwrap())
    }

    #[test]
    fn actions_are_headers_where_nothing_is_said() {
        let plain = read(serde_json::json!({"enabled": true})).unwrap().unwrap();
        assert_eq!(
            (plain.found, plain.unverified),
            (Warning::Header, Warning::Header)
        );
        assert!(!plain.details && !plain.contradictions);
        let said = serde_json::json!({"enabled": true, "hallucination_action": "block", "use_nli": true,
            "unverified_factual_action": "none", "include_hallucination_details": true, "operating_point": "fpr_1pct"});
        let said = read(said).unwrap().unwrap();
        assert_eq!((said.found, said.unverified), (Warning::Block, Warning::Silent));
        assert!(said.details && said.contradictions);
    }

    #[test]
    fn what_is_off_does_nothing_and_what_is_unknown_is_refused() {
        assert_eq!(read(serde_json::json!({})).unwrap(), None);
        let wrong = read(serde_json::json!({"enabled": true, "hallucination_action": "warn"}));
        assert!(wrong.unwrap_err().contains("unknown action \"warn\""));
        let wrong = read(serde_json::json!({"enabled": true, "operating_point": "balanced"}));
        assert!(wrong.unwrap_err().contains("there are fpr_1pct"));
    }
}

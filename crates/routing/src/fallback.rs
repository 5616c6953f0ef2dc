//! What is done when a decision's model fails (`fallback` of a recipe): how many others are asked, after what, for how long.

use std::time::Duration;

use serde_json::Value;

use crate::config::FallbackPolicy;

/// What is done when a model fails.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fallback {
    /// Most models that are asked for a request, the first included.
    pub most: usize,
    /// Until when one of them must have begun to answer, and how long each has.
    pub total: Option<Duration>,
    /// How long one of them may take to begin.
    pub each: Option<Duration>,
    /// Statuses after which another is asked; after all that a model alone is to blame for where empty. Connections that
    /// fail and times that pass always count.
    pub statuses: Vec<u16>,
}

/// Most models that are asked for a request.
const MOST: u64 = 8;
/// Longest time.
const LONGEST: Duration = Duration::from_secs(86_400);

impl Fallback {
    /// As the policy says; none where it is switched off.
    ///
    /// # Errors
    /// The field that makes no sense or is not carried out, and why.
    pub(crate) fn of(policy: &FallbackPolicy) -> Result<Option<Self>, (&'static str, String)> {
        let FallbackPolicy {
            version,
            enabled,
            max_attempts,
            total_timeout,
            per_attempt_timeout,
            retryable_status_codes,
            circuit_breaker,
        } = policy;
        if version.is_some_and(|version| version != 1) {
            return Err(("version", "is 1".to_owned()));
        }
        match enabled {
            Some(true) => {}
            Some(false) => return Ok(None),
            None => return Err(("enabled", "say true or false".to_owned())),
        }
        if circuit_breaker.is_some() {
            let message =
                "is not supported in this version: servers that fail rest by `health` of their provider";
            return Err(("circuit_breaker", message.to_owned()));
        }
        let most = max_attempts.unwrap_or(MOST);
        if !(1..=MOST).contains(&most) {
            return Err(("max_attempts", format!("is a number from 1 to {MOST}")));
        }
        if let Some(other) = retryable_status_codes
            .iter()
            .find(|code| !(400..=599).contains(*code))
        {
            return Err((
                "retryable_status_codes",
                format!("{other} is no status of a failure"),
            ));
        }
        Ok(Some(Self {
            most: usize::try_from(most).unwrap_or(1),
            total: time("total_timeout", total_timeout.as_ref())?,
            each: time("per_attempt_timeout", per_attempt_timeout.as_ref())?,
            statuses: retryable_status_codes.clone(),
        }))
    }
}

/// A time with its unit.
fn time(field: &'static str, value: Option<&Value>) -> Result<Option<Duration>, (&'static str, String)> {
    let Some(value) = value.filter(|value| !value.is_null()) else {
        return Ok(None);
    };
    let wrong = || {
        (
            field,
            "is a time with its unit, such as 30s, 500ms or 2m, of at most a day".to_owned(),
        )
    };
    let text = value.as_str().ok_or_else(wrong)?.trim();
    let units = [("ms", 0.001), ("s", 1.0), ("m", 60.0), ("h", 3_600.0)];
    let (number, unit) = units
        .into_iter()
        .find_map(|(unit, seconds)| Some((text.strip_suffix(unit)?, seconds)))
        .ok_or_else(wrong)?;
    let number: f64 = number.parse().map_err(|_| wrong())?;
    let time = Duration::try_from_secs_f64(number * unit).map_err(|_| wrong())?;
    match !time.is_zero() && time <= LONGEST {
        true => Ok(Some(time)),
        false => Err(wrong()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn of(policy: Value) -> Result<Option<Fallback>, &'static str> {
        Fallback::of(&serde_json::from_value(policy).unwrap()).map_err(|(field, _)| field)
    }

    #[test]
    fn policies_are_read_and_what_makes_no_sense_is_told() {
        let known = of(json!({
            "version": 1, "enabled": true, "max_attempts": 2, "total_timeout": "1.5m", "per_attempt_timeout": "250ms",
            "retryable_status_codes": [429, 503]
        }));
        let known = known.unwrap().unwrap();
        assert_eq!((known.most, known.statuses), (2, vec![429, 503]));
        assert_eq!(
            (known.total.unwrap().as_secs(), known.each.unwrap().as_millis()),
            (90, 250)
        );
        assert_eq!(of(json!({"enabled": false, "max_attempts": 99})), Ok(None));
        for (wrong, field) in [
            (json!({}), "enabled"),
            (json!({"enabled": true, "version": 2}), "version"),
            (json!({"enabled": true, "max_attempts": 0}), "max_attempts"),
            (json!({"enabled": true, "total_timeout": 30}), "total_timeout"),
            (json!({"enabled": true, "total_timeout": "0s"}), "total_timeout"),
            (
                json!({"enabled": true, "per_attempt_timeout": "soon"}),
                "per_attempt_timeout",
            ),
            (
                json!({"enabled": true, "retryable_status_codes": [200]}),
                "retryable_status_codes",
            ),
            (
                json!({"enabled": true, "circuit_breaker": {"consecutive_failures": 3}}),
                "circuit_breaker",
            ),
        ] {
            assert_eq!(of(wrong.clone()), Err(field), "{wrong}");
        }
    }
}

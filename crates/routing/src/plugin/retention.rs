//! `emits` of a decision: how long what its requests leave behind is kept.

use std::time::Duration;

use crate::config::EmitConfig;

/// What a turn of a conversation counts, as it is published.
const TURN: Duration = Duration::from_secs(60);

/// How long what a request leaves behind is kept.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Retention {
    /// Its answer is not remembered by the cache.
    pub drop: bool,
    /// Its answer is remembered no longer than this.
    pub ttl: Option<Duration>,
    /// The session stays with its model.
    pub keep_model: bool,
    /// The provider is told that the beginning of the prompt is worth keeping.
    pub prefer_prefix: bool,
}

impl Retention {
    /// Of what a decision emits; what is wrong with it, by the number of the directive.
    pub(crate) fn of(emits: &[EmitConfig]) -> Result<Self, (usize, String)> {
        for (index, emit) in emits.iter().enumerate() {
            if emit.kind != "retention" {
                return Err((index, format!("unknown kind {:?}; use retention", emit.kind)));
            }
            if index > 0 {
                return Err((index, "a decision emits one retention at most".to_owned()));
            }
        }
        let Some(said) = emits.first().and_then(|emit| emit.retention.as_ref()) else {
            return Ok(Self::default());
        };
        let drop = said.drop == Some(true);
        let turns = said.ttl_turns.filter(|turns| *turns > 0);
        if drop && turns.is_some() {
            let message = "drop and ttl_turns exclude one another: what is not kept has no time";
            return Err((0, message.to_owned()));
        }
        Ok(Self {
            drop,
            ttl: turns.map(|turns| TURN.saturating_mul(turns)),
            keep_model: said.keep_current_model == Some(true),
            prefer_prefix: said.prefer_prefix_retention == Some(true),
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn of(emits: serde_json::Value) -> Result<Retention, (usize, String)> {
        Retention::of(&serde_json::from_value::<Vec<EmitConfig>>(emits).unwrap())
    }

    #[test]
    fn directives_are_read_and_what_makes_no_sense_is_told() {
        let kept =
            of(json!([{"kind": "retention", "retention": {"ttl_turns": 3, "keep_current_model": true}}]));
        assert_eq!(
            kept.unwrap(),
            Retention {
                ttl: Some(Duration::from_secs(180)),
                keep_model: true,
                ..Retention::default()
            }
        );
        // No turns are no time that anybody has set.
        let none = of(json!([{"kind": "retention", "retention": {"ttl_turns": 0, "drop": true}}]));
        assert_eq!((none.as_ref().unwrap().drop, none.unwrap().ttl), (true, None));
        for wrong in [
            json!([{"kind": "else"}]),
            json!([{"kind": "retention"}, {"kind": "retention"}]),
            json!([{"kind": "retention", "retention": {"ttl_turns": 3, "drop": true}}]),
        ] {
            assert!(of(wrong.clone()).is_err(), "{wrong}");
        }
    }
}

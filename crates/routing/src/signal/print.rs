//! Prints of signals' configurations, by which a recorded reading is known to be of the same signal.

use serde_json::Value;

use super::{Print, Signal};
use crate::config::SignalsConfig;
use crate::support::SIGNALS;

/// Collections whose members are judged together, so that each depends on all.
const TOGETHER: [&str; 2] = ["preferences", "role_bindings"];

/// Gives every signal the print of its configuration.
pub(super) fn of(config: &SignalsConfig, signals: &mut [Signal]) {
    let Ok(value) = serde_json::to_value(config) else {
        return;
    };
    for signal in signals {
        let kind = SIGNALS.iter().find(|kind| kind.name == signal.kind);
        let Some(collection) = kind.and_then(|kind| value.get(kind.collection)) else {
            continue;
        };
        let together = kind.is_some_and(|kind| TOGETHER.contains(&kind.collection));
        let named = match signal.kind {
            "complexity" => signal
                .name
                .rsplit_once(':')
                .map_or(signal.name.as_str(), |(name, _)| name),
            _ => signal.name.as_str(),
        };
        let entry = collection.as_array().and_then(|entries| {
            let mut entries = entries.iter();
            entries.find(|entry| entry.get("name").and_then(Value::as_str) == Some(named))
        });
        let whole = if together { Some(collection) } else { entry };
        let Some(whole) = whole else { continue };
        let mut loose = whole.clone();
        if let Value::Object(fields) = &mut loose {
            fields.remove("threshold");
            if signal.kind == "structure" {
                fields.remove("predicate");
            }
        }
        signal.print = Print {
            whole: hash(whole),
            loose: hash(&loose),
        };
    }
}

/// A hash of a value (FNV-1a, folded): the same everywhere, and not for secrets.
pub(crate) fn hash(value: &Value) -> u32 {
    let text = value.to_string();
    let hash = text.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    u32::try_from((hash >> 32) ^ (hash & u64::from(u32::MAX))).unwrap_or(0)
}

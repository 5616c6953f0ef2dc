//! Algorithms that pick by what was fitted, and have nothing that was.

use super::{Conflict, ConflictKind, tell};
use crate::config::RoutingConfig;
use crate::support::algorithm_kind;

/// Types that need a file of `pointsman train`.
const FITTED: [&str; 4] = ["knn", "kmeans", "svm", "mlp"];

pub(super) fn check(config: &RoutingConfig, found: &mut Vec<Conflict>) {
    for (index, decision) in config.decisions.iter().enumerate() {
        let Some(algorithm) = &decision.algorithm else {
            continue;
        };
        let Some(kind) = algorithm_kind(algorithm).filter(|kind| FITTED.contains(kind)) else {
            continue;
        };
        let path = algorithm.get(kind).and_then(|block| block.get("pretrained_path"));
        if path
            .and_then(serde_json::Value::as_str)
            .is_some_and(|path| !path.is_empty())
        {
            continue;
        }
        let message = format!(
            "{kind} has nothing to go by and takes models as declared: pointsman train OUTCOMES --algorithm {kind} \
             --out FILE, then {kind}.pretrained_path"
        );
        tell(
            found,
            ConflictKind::Unfitted,
            format!("decisions[{index}].algorithm"),
            message,
        );
    }
}

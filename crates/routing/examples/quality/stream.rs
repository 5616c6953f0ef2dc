//! Targets, met over the stream of questions as they come.

use std::sync::Arc;

use pointsman_routing::learning::{Learner, LearnerConfig, Outcome};
use pointsman_routing::selection::{Algorithm, SelectionRequest};
use serde_json::json;

use super::curve::Point;
use super::fitted;
use super::pool::{Pool, Side, build};

/// What was asked for, and what came.
pub struct Streamed {
    pub target: String,
    pub point: Point,
}

pub fn targets(train: &Side, dev: &Side, pool: &Pool) -> Vec<Streamed> {
    let fitted = Arc::new(fitted(train, pool, Algorithm::Svm));
    let large = dev.point(&vec![2; dev.len()]);
    let mut all = Vec::new();
    for share in [0.2, 0.35, 0.5] {
        let dollars = share * large.dollars;
        let target = json!({"max_dollars_per_thousand": dollars});
        all.push(Streamed {
            target: format!(
                "at most ${dollars:.4} for a thousand ({:.0} % of the large model)",
                share * 100.0
            ),
            point: run(dev, pool, &fitted, target),
        });
    }
    for quality in [large.accuracy - 0.03, large.accuracy - 0.01] {
        all.push(Streamed {
            target: format!("accuracy of at least {:.1} %", quality * 100.0),
            point: run(dev, pool, &fitted, json!({"min_quality": quality})),
        });
    }
    all
}

fn run(
    dev: &Side,
    pool: &Pool,
    fitted: &Arc<pointsman_routing::selection::Fitted>,
    target: serde_json::Value,
) -> Point {
    let selection = build(
        pool,
        json!({"type": "svm", "svm": {"pretrained_path": "f"}, "target": target}),
        fitted,
    );
    let mut learner = Learner::new(LearnerConfig::default());
    let candidates = pool.candidates();
    let mut picks = Vec::with_capacity(dev.len());
    for (at, prompt) in dev.prompts.iter().enumerate() {
        let request = SelectionRequest {
            learned: Some(&learner),
            ..super::pool::request(pool, prompt)
        };
        let pick = selection.rank(&request, &candidates).first().unwrap().index;
        let outcome = Outcome {
            scope: pool.name,
            model: pool.models[pick].0,
            reward: Some(dev.right[at][pick]),
            cost: Some(dev.costs[at][pick]),
            at: at as u64,
            ..Outcome::default()
        };
        learner.record(&outcome).unwrap();
        picks.push(pick);
    }
    dev.point(&picks)
}

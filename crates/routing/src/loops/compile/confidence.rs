//! The blocks `confidence`: who is asked first, and how sure is sure enough.

use super::super::OnError;
use super::super::confidence::{Confidence, Judge, Method, Order, Rung, millions};
use super::{Builder, MOST_AT_ONCE};
use crate::config::ConfidenceConfig;

impl Builder<'_> {
    pub(super) fn confidence(&mut self, config: &ConfidenceConfig) -> Confidence {
        let rungs: Vec<Rung> = self
            .refs()
            .into_iter()
            .map(|selected| {
                let card = self.card(&selected.model);
                let size = card.and_then(|card| card.param_size.as_deref());
                Rung {
                    millions: size.map(millions).unwrap_or_default(),
                    quality: card.and_then(|card| card.quality_score),
                    selected,
                }
            })
            .collect();
        self.bounded("modelRefs", rungs.len(), MOST_AT_ONCE, "models");
        let tradeoff = self.unit("confidence.cost_quality_tradeoff", config.cost_quality_tradeoff);
        let order = match config.escalation_order.as_deref() {
            None | Some("" | "size" | "small_to_large") => Order::Size,
            Some("declared") => Order::Declared,
            Some("cost") => Order::Cost,
            Some("automix") => Order::Automix(tradeoff.filter(|said| *said > 0.0).unwrap_or(0.3)),
            Some(other) => {
                let message = format!(
                    "unknown escalation_order {other:?}; use size, small_to_large, declared, cost or automix"
                );
                self.wrong("algorithm.confidence.escalation_order", message);
                Order::Size
            }
        };
        let judge = self.judge(config);
        Confidence {
            rungs,
            order,
            judge,
            on_error: self.on_error("confidence", config.on_error.as_deref(), OnError::Skip),
        }
    }

    fn judge(&mut self, config: &ConfidenceConfig) -> Judge {
        let threshold = self
            .unit("confidence.threshold", config.threshold)
            .filter(|said| *said > 0.0);
        let (method, usual) = match config.confidence_method.as_deref() {
            // Every answer whose tokens are known is taken.
            None | Some("" | "avg_logprob") => (Method::Logprob, -1.0),
            Some("margin") => (Method::Margin, 0.5),
            Some("hybrid") => (Method::Hybrid, 0.5),
            Some("self_verify") => (Method::SelfVerify, 0.7),
            Some(other) => {
                let message = match other {
                    "automix_entailment" => {
                        "automix_entailment is not supported in this version: no verifier's server \
                                             is asked; use self_verify"
                            .to_owned()
                    }
                    _ => format!(
                        "unknown confidence_method {other:?}; use avg_logprob, margin, hybrid or self_verify"
                    ),
                };
                self.wrong("algorithm.confidence.confidence_method", message);
                (Method::Logprob, -1.0)
            }
        };
        let verifier = config
            .verifier_server_url
            .as_deref()
            .is_some_and(|url| !url.is_empty())
            || config.verifier_timeout_seconds.is_some_and(|seconds| seconds > 0);
        if verifier && config.confidence_method.as_deref() != Some("automix_entailment") {
            self.wrong(
                "algorithm.confidence.verifier_server_url",
                "a verifier's server is for automix_entailment, which is not supported in this version",
            );
        }
        let arguments = match config.token_filter.as_deref() {
            None | Some("" | "all") => false,
            Some("tool_call_args") => true,
            Some(other) => {
                let message = format!("unknown token_filter {other:?}; use all or tool_call_args");
                self.wrong("algorithm.confidence.token_filter", message);
                false
            }
        };
        let weights = config.hybrid_weights.unwrap_or_default();
        let mut weight = |name: &str, said: Option<f64>| {
            let said = self.unit(&format!("confidence.hybrid_weights.{name}"), said);
            said.filter(|said| *said > 0.0).unwrap_or(0.5)
        };
        Judge {
            weights: (
                weight("logprob_weight", weights.logprob_weight),
                weight("margin_weight", weights.margin_weight),
            ),
            method,
            threshold: threshold.unwrap_or(usual),
            arguments,
        }
    }
}

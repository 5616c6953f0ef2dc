//! `confidence`: from small models to large ones, until one is sure of its answer.

use std::cmp::Ordering;

use serde::Deserialize;

use super::evidence::{Evidence, Means};
use super::{OnError, loose};
use crate::selection::Selected;

/// The ladder, and who judges.
#[derive(Debug, Clone, PartialEq)]
pub struct Confidence {
    pub(super) rungs: Vec<Rung>,
    pub(super) order: Order,
    /// How sure an answer is.
    pub judge: Judge,
    /// What is done about a model that fails, or that cannot be judged.
    pub on_error: OnError,
}

/// A model, and what its place depends on.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Rung {
    pub(super) selected: Selected,
    /// Millions of parameters; 0 where nobody says.
    pub(super) millions: f64,
    pub(super) quality: Option<f64>,
}

/// Who comes first.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Order {
    /// The smallest.
    Size,
    /// As declared.
    Declared,
    /// The cheapest.
    Cost,
    /// The least worth, of quality and cost; cost counts so much.
    Automix(f64),
}

/// A model's name and, by it, the price of its prompt tokens.
pub type PriceOf<'a> = &'a dyn Fn(&str) -> Option<f64>;

impl Confidence {
    /// Its models, as declared.
    pub fn models(&self) -> impl Iterator<Item = &Selected> {
        self.rungs.iter().map(|rung| &rung.selected)
    }

    /// Its models in the order in which they are asked.
    #[must_use]
    pub fn ladder(&self, price: PriceOf<'_>) -> Vec<&Selected> {
        let key: Vec<f64> = match self.order {
            Order::Declared => self.rungs.iter().map(|_| 0.0).collect(),
            Order::Size => self.rungs.iter().map(|rung| rung.millions).collect(),
            // Whose price nobody knows comes last.
            Order::Cost => self
                .rungs
                .iter()
                .map(|rung| price(&rung.selected.model).unwrap_or(f64::INFINITY))
                .collect(),
            Order::Automix(tradeoff) => self.worth(tradeoff, price),
        };
        let mut places: Vec<usize> = (0..self.rungs.len()).collect();
        places.sort_by(|left, right| key[*left].partial_cmp(&key[*right]).unwrap_or(Ordering::Equal));
        places
            .into_iter()
            .map(|place| &self.rungs[place].selected)
            .collect()
    }

    /// What each is worth: quality, declared or by size, and cheapness between the dearest and the cheapest.
    fn worth(&self, tradeoff: f64, price: PriceOf<'_>) -> Vec<f64> {
        let prices: Vec<Option<f64>> = self
            .rungs
            .iter()
            .map(|rung| price(&rung.selected.model).filter(|price| *price > 0.0))
            .collect();
        let known = || prices.iter().flatten().copied();
        let low = known().fold(f64::INFINITY, f64::min);
        let range = known().fold(0.0, f64::max) - low;
        let worth = self.rungs.iter().zip(&prices).map(|(rung, price)| {
            let by_size = (rung.millions > 0.0).then(|| 0.3 + 0.7 * (rung.millions / 70_000.0).min(1.0));
            let quality = rung
                .quality
                .filter(|quality| *quality > 0.0)
                .or(by_size)
                .unwrap_or(0.5);
            let cheapness = price.map_or(0.5, |price| {
                if range > 0.0 {
                    1.0 - (price - low) / range
                } else {
                    1.0
                }
            });
            (1.0 - tradeoff) * quality + tradeoff * cheapness
        });
        worth.collect()
    }
}

/// Millions of parameters, as `8B`, `1.5b`, `350M` or a number of billions; 0 where it is something else.
pub(super) fn millions(size: &str) -> f64 {
    let size = size.trim().to_ascii_lowercase();
    let (number, factor) = match size.char_indices().last() {
        Some((at, 'b')) => (&size[..at], 1_000.0),
        Some((at, 'm')) => (&size[..at], 1.0),
        Some((at, 'k')) => (&size[..at], 0.001),
        _ => (size.as_str(), 1_000.0),
    };
    let number = number.parse::<f64>().unwrap_or(0.0);
    if number.is_finite() {
        (number * factor).max(0.0)
    } else {
        0.0
    }
}

/// How sure an answer is, and from where on it is taken.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Judge {
    pub(super) method: Method,
    pub(super) threshold: f64,
    /// Of the log probability and of the margin, in `hybrid`.
    pub(super) weights: (f64, f64),
    /// Whether only the arguments of a call count.
    pub(super) arguments: bool,
}

/// What is gone by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Method {
    Logprob,
    Margin,
    Hybrid,
    SelfVerify,
}

/// What came of judging.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Verdict {
    /// How sure it is, 0 to 1.
    pub confidence: f64,
    /// Whether that is enough.
    pub accepted: bool,
}

impl Judge {
    /// The method's name.
    #[must_use]
    pub fn method(&self) -> &'static str {
        match self.method {
            Method::Logprob => "avg_logprob",
            Method::Margin => "margin",
            Method::Hybrid => "hybrid",
            Method::SelfVerify => "self_verify",
        }
    }

    /// How many likeliest tokens the provider must tell at each place; none where it goes by the model's own word.
    #[must_use]
    pub fn top_logprobs(&self) -> Option<u64> {
        match self.method {
            Method::Logprob => Some(1),
            Method::Margin | Method::Hybrid => Some(2),
            Method::SelfVerify => None,
        }
    }

    /// Judges by OpenAI's `logprobs` of the answer.
    ///
    /// # Errors
    /// What is missing.
    pub fn assess(&self, logprobs: Option<&str>) -> Result<Verdict, String> {
        let evidence = logprobs.and_then(Evidence::read).ok_or_else(|| {
            format!(
                "the provider told no log probabilities, by which {} goes",
                self.method()
            )
        })?;
        let Means { logprob, margin } = evidence.means(self.arguments);
        let sure = |margin: Option<f64>| {
            margin.map(sureness_of_margin).ok_or_else(|| {
                format!(
                    "the provider told no other tokens, by which {} goes",
                    self.method()
                )
            })
        };
        let confidence = match self.method {
            Method::Logprob | Method::SelfVerify => sureness_of_logprob(logprob),
            Method::Margin => sure(margin)?,
            Method::Hybrid => self.weights.0 * sureness_of_logprob(logprob) + self.weights.1 * sure(margin)?,
        };
        Ok(self.verdict(confidence))
    }

    /// Judges by what a model says of an answer when it is asked with [`Judge::question`].
    ///
    /// # Errors
    /// When it says no number.
    pub fn hear(&self, answer: &str) -> Result<Verdict, String> {
        #[derive(Deserialize)]
        struct Told {
            confidence: f64,
        }
        let told: Option<f64> = match loose::object::<Told>(answer) {
            Ok(told) => Some(told.confidence),
            Err(_) if answer.contains('{') => None,
            Err(_) => first_number(answer).filter(|number| (0.0..=1.0).contains(number)),
        };
        told.filter(|told| told.is_finite())
            .map(|told| self.verdict(told.clamp(0.0, 1.0)))
            .ok_or_else(|| "the model did not say how sure it is".to_owned())
    }

    /// Asks a model what an answer of its own is worth.
    #[must_use]
    pub fn question(question: &str, answer: &str) -> String {
        format!(
            "Grade an answer that an assistant gave. Be strict: the grade decides whether somebody better is asked.\n\n\
             The question:\n{question}\n\nThe answer:\n{answer}\n\n\
             Give a number from 0 to 1. 1: right and complete. 0.8: right but for small things. 0.6: right in part, \
             something important is missing. 0.4: more wrong than right. 0.2: nearly all wrong or beside the point. \
             0: wrong or harmful.\n\nAnswer with a JSON object and nothing else: \
             {{\"confidence\": 0.0, \"reason\": \"one short sentence\"}}"
        )
    }

    fn verdict(&self, confidence: f64) -> Verdict {
        Verdict {
            confidence,
            accepted: confidence >= self.threshold,
        }
    }
}

/// A mean log probability as 0 to 1: -3 and less is 0.
fn sureness_of_logprob(mean: f64) -> f64 {
    ((mean + 3.0) / 3.0).clamp(0.0, 1.0)
}

/// A mean margin between the likeliest tokens as 0 to 1.
fn sureness_of_margin(mean: f64) -> f64 {
    (1.0 - (-mean / 3.0).exp()).clamp(0.0, 1.0)
}

fn first_number(text: &str) -> Option<f64> {
    let start = text.find(|letter: char| letter.is_ascii_digit())?;
    let rest = &text[start..];
    let end = rest
        .find(|letter: char| !letter.is_ascii_digit() && letter != '.')
        .unwrap_or(rest.len());
    rest[..end].trim_end_matches('.').parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judge(method: Method, threshold: f64) -> Judge {
        Judge {
            method,
            threshold,
            weights: (0.5, 0.5),
            arguments: false,
        }
    }

    fn ladder(order: Order) -> Vec<String> {
        let rung = |model: &str, size: &str, quality| Rung {
            selected: Selected {
                model: model.to_owned(),
                lora_name: None,
                reasoning: None,
                use_reasoning: None,
            },
            millions: millions(size),
            quality,
        };
        let confidence = Confidence {
            rungs: vec![
                rung("large", "70B", Some(0.9)),
                rung("small", "800m", Some(0.2)),
                rung("middle", "7b", None),
            ],
            order,
            judge: judge(Method::Logprob, 0.5),
            on_error: OnError::Skip,
        };
        let price = |model: &str| match model {
            "large" => Some(10.0),
            "middle" => Some(1.0),
            _ => None,
        };
        let ladder = confidence.ladder(&price);
        ladder
            .into_iter()
            .map(|selected| selected.model.clone())
            .collect()
    }

    #[test]
    fn ladders_are_in_the_order_that_is_asked_for() {
        assert_eq!(ladder(Order::Size), ["small", "middle", "large"]);
        assert_eq!(ladder(Order::Declared), ["large", "small", "middle"]);
        assert_eq!(
            ladder(Order::Cost),
            ["middle", "large", "small"],
            "no price comes last"
        );
        // By quality alone 0.2, 0.3 + 0.07, 0.9; by cheapness alone large, then nobody knows, then middle.
        assert_eq!(ladder(Order::Automix(0.0)), ["small", "middle", "large"]);
        assert_eq!(ladder(Order::Automix(1.0)), ["large", "small", "middle"]);
    }

    #[test]
    fn sizes_are_read_as_cards_write_them() {
        for (size, expected) in [
            ("8B", 8_000.0),
            ("1.5b", 1_500.0),
            ("350M", 350.0),
            ("500k", 0.5),
            ("7", 7_000.0),
        ] {
            assert!((millions(size) - expected).abs() < 1e-9, "{size}");
        }
        for none in ["", "huge", "b", "-3b", "1e999b"] {
            assert!(millions(none).abs() < f64::EPSILON, "{none}");
        }
    }

    #[test]
    fn answers_are_taken_from_the_threshold_on() {
        let sure = r#"{"content":[{"token":"a","logprob":-0.3,"top_logprobs":[{"logprob":-0.3},{"logprob":-6.3}]}]}"#;
        let logprob = judge(Method::Logprob, 0.9).assess(Some(sure)).unwrap();
        assert!((logprob.confidence - 0.9).abs() < 1e-9 && logprob.accepted);
        let margin = judge(Method::Margin, 0.9).assess(Some(sure)).unwrap();
        assert!((margin.confidence - (1.0 - (-2.0_f64).exp())).abs() < 1e-9 && !margin.accepted);
        let hybrid = judge(Method::Hybrid, 0.0).assess(Some(sure)).unwrap();
        assert!((hybrid.confidence - f64::midpoint(logprob.confidence, margin.confidence)).abs() < 1e-9);
        let alone = r#"{"content":[{"token":"a","logprob":-0.3}]}"#;
        assert!(
            judge(Method::Margin, 0.0)
                .assess(Some(alone))
                .unwrap_err()
                .contains("margin")
        );
        assert!(judge(Method::Logprob, 0.0).assess(None).is_err());
    }

    #[test]
    fn a_models_own_word_is_heard_as_it_is_said() {
        let judge = judge(Method::SelfVerify, 0.7);
        for (said, confidence) in [
            (r#"{"confidence": 0.8, "reason": "fine"}"#, 0.8),
            ("```json\n{\"confidence\": 7}\n```", 1.0),
            ("I am 0.65 sure.", 0.65),
            ("1.", 1.0),
        ] {
            let verdict = judge.hear(said).unwrap();
            assert!((verdict.confidence - confidence).abs() < 1e-9, "{said}");
            assert_eq!(verdict.accepted, confidence >= 0.7);
        }
        for nothing in ["", "very sure", "80 %", r#"{"sure": 1}"#] {
            assert!(judge.hear(nothing).is_err(), "{nothing}");
        }
    }
}

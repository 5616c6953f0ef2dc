//! The bodies of judgements and of what is told of them.

use pointsman_wire::form::{Failure, FailureKind};
use serde::{Deserialize, Serialize};

use super::wrong;
use crate::experience::Verdict;

/// A judgement: of a request by its id, or of two models. What the semantic router takes beside (the question, who asked)
/// is taken, and neither needed nor kept.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Feedback {
    /// The request, as `x-request-id` names it.
    pub request_id: Option<String>,
    /// -1 to 1.
    rating: Option<f64>,
    /// 0 to 1.
    score: Option<f64>,
    /// `up` or `down`.
    thumbs: Option<String>,
    /// `satisfied`, `need_clarification`, `want_different` or `wrong_answer`.
    feedback_type: Option<String>,
    /// How sure it is, 0 to 1.
    confidence: Option<f64>,
    winner_model: Option<String>,
    loser_model: Option<String>,
    /// Neither is preferred.
    pub tie: bool,
    /// The decision.
    pub decision_name: Option<String>,
    /// The decision, or what it was about.
    pub category: Option<String>,
    #[serde(rename = "model")]
    _model: Option<String>,
    #[serde(rename = "query")]
    _query: Option<String>,
    #[serde(rename = "user_id")]
    _user_id: Option<String>,
    #[serde(rename = "session_id")]
    _session_id: Option<String>,
    #[serde(rename = "conversation_id")]
    _conversation_id: Option<String>,
}

impl Feedback {
    /// How good the answer was, 0 to 1; what is not sure is nearer to the middle.
    pub fn reward(&self) -> Result<f64, Failure> {
        let within = |name: &'static str, value: f64, least: f64| match (least..=1.0).contains(&value) {
            true => Ok((value - least) / (1.0 - least)),
            false => Err(wrong(format!("{name} is a number from {least} to 1"), Some(name))),
        };
        let said = [
            self.rating.map(|rating| within("rating", rating, -1.0)),
            self.score.map(|score| within("score", score, 0.0)),
            self.thumbs.as_deref().map(thumbs),
            self.feedback_type.as_deref().map(kind),
        ];
        let mut said = said.into_iter().flatten();
        let (Some(reward), None) = (said.next(), said.next()) else {
            let message = "give one of rating (-1 to 1), score (0 to 1), thumbs (up, down) and feedback_type";
            return Err(wrong(message, None));
        };
        Ok(0.5 + (reward? - 0.5) * self.weight()?)
    }

    /// How much it counts.
    pub fn weight(&self) -> Result<f64, Failure> {
        let confidence = self.confidence.unwrap_or(1.0);
        match (0.0..=1.0).contains(&confidence) {
            true => Ok(confidence),
            false => Err(wrong("confidence is a number from 0 to 1", Some("confidence"))),
        }
    }

    /// Winner and loser.
    pub fn compared(&self) -> Result<(Option<&str>, Option<&str>), Failure> {
        let winner = some(self.winner_model.as_deref());
        let loser = some(self.loser_model.as_deref());
        if winner.is_none() && loser.is_none() {
            let message = "give request_id, or winner_model, loser_model or both";
            return Err(wrong(message, Some("request_id")));
        }
        if winner == loser {
            return Err(wrong(
                "winner_model and loser_model are the same",
                Some("loser_model"),
            ));
        }
        Ok((winner, loser))
    }
}

/// A name that is there.
fn some(name: Option<&str>) -> Option<&str> {
    name.map(str::trim).filter(|name| !name.is_empty())
}

fn thumbs(thumbs: &str) -> Result<f64, Failure> {
    match thumbs {
        "up" => Ok(1.0),
        "down" => Ok(0.0),
        _ => Err(wrong("thumbs are up or down", Some("thumbs"))),
    }
}

fn kind(kind: &str) -> Result<f64, Failure> {
    match kind {
        "satisfied" => Ok(1.0),
        "need_clarification" => Ok(0.5),
        "want_different" => Ok(0.25),
        "wrong_answer" => Ok(0.0),
        _ => Err(wrong(
            "feedback_type is satisfied, need_clarification, want_different or wrong_answer",
            Some("feedback_type"),
        )),
    }
}

/// What became of a judgement.
#[derive(Debug, Default, Serialize)]
pub struct Told {
    success: bool,
    #[serde(skip_serializing_if = "is_false")]
    duplicate: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    decision: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    model: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    winner_rating: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    loser_rating: Option<f64>,
    message: String,
    timestamp: String,
}

impl Told {
    /// Of a verdict.
    ///
    /// # Errors
    /// 404 where there is no such request, 400 where nothing is learned.
    pub fn of(verdict: Verdict, request: &str) -> Result<Self, Failure> {
        let told = Self {
            success: true,
            timestamp: timestamp(),
            ..Self::default()
        };
        match verdict {
            Verdict::Learned { scope, model } => Ok(Self {
                message: "learned".to_owned(),
                decision: Some(scope),
                model: Some(model),
                ..told
            }),
            Verdict::Again => Ok(Self {
                message: "this request was judged before; the first judgement stands".to_owned(),
                duplicate: true,
                ..told
            }),
            Verdict::Unknown => Err(unknown(request)),
            Verdict::Refused(reason) => Err(wrong(reason, None)),
        }
    }
}

impl Told {
    /// With how the two models stand now.
    pub fn rated(self, winner_rating: Option<f64>, loser_rating: Option<f64>) -> Self {
        Self {
            winner_rating,
            loser_rating,
            ..self
        }
    }
}

/// There is no such request.
pub fn unknown(request: &str) -> Failure {
    let message = format!(
        "there is no request {request:?} of yours that a learning decision has routed, or it was too long ago"
    );
    Failure::new(FailureKind::NotFound, message)
        .at("request_id")
        .coded("request_not_found")
}

/// What came of a request, as the semantic router takes it.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Outcome {
    /// The request.
    pub replay_id: String,
    source: Option<String>,
    target: String,
    #[serde(rename = "target_ref")]
    _target_ref: Option<String>,
    verdict: String,
    #[serde(rename = "reason")]
    _reason: Option<String>,
    score: Option<f64>,
    #[serde(rename = "metadata")]
    _metadata: Option<serde_json::Map<String, serde_json::Value>>,
}

/// What an outcome is about.
pub enum Judged {
    /// The model, and how good it was.
    Model(f64),
    /// Something else, of which nothing is learned.
    Elsewhere,
}

impl Outcome {
    /// What it is about.
    ///
    /// # Errors
    /// 400 for what the semantic router refuses, too.
    pub fn judged(&self) -> Result<Judged, Failure> {
        let one_of = |name: &'static str, value: &str, known: &[&str]| match known.contains(&value) {
            true => Ok(()),
            false => Err(wrong(
                format!("{name} must be one of {}", known.join(", ")),
                Some(name),
            )),
        };
        if self.replay_id.trim().is_empty() {
            return Err(wrong(
                "replay_id is required: the id of the request",
                Some("replay_id"),
            ));
        }
        if let Some(source) = &self.source {
            let known = ["user", "agent", "eval", "operator", "provider", "router"];
            one_of("source", source, &known)?;
        }
        let targets = ["model", "route", "policy", "stability", "provider", "router"];
        one_of("target", &self.target, &targets)?;
        let verdicts = ["good_fit", "underpowered", "overprovisioned", "failed"];
        one_of("verdict", &self.verdict, &verdicts)?;
        if self.score.is_some_and(|score| !(0.0..=1.0).contains(&score)) {
            return Err(wrong("score must be between 0.0 and 1.0", Some("score")));
        }
        if self.target != "model" {
            return Ok(Judged::Elsewhere);
        }
        let usual = match self.verdict.as_str() {
            "good_fit" => 1.0,
            // Good, and dearer than it had to be.
            "overprovisioned" => 0.5,
            _ => 0.0,
        };
        Ok(Judged::Model(self.score.unwrap_or(usual)))
    }
}

/// What became of an outcome.
#[derive(Debug, Serialize)]
pub struct OutcomeTold {
    success: bool,
    updated: u32,
    recorded: bool,
    #[serde(skip_serializing_if = "is_false")]
    duplicate: bool,
    timestamp: String,
}

impl OutcomeTold {
    /// So many models were learned of.
    pub fn of(updated: u32, duplicate: bool) -> Self {
        Self {
            success: true,
            updated,
            recorded: updated > 0,
            duplicate,
            timestamp: timestamp(),
        }
    }
}

/// How models stand.
#[derive(Debug, Serialize)]
pub struct Ratings {
    /// The decision or what it is about; empty for all.
    pub category: String,
    /// By decision and model.
    pub ratings: Vec<Rating>,
}

/// How a model stands in a decision.
#[derive(Debug, Serialize)]
pub struct Rating {
    pub decision: String,
    pub model: String,
    pub rating: f64,
    /// Comparisons, as far as they still count.
    pub games: u64,
    /// Outcomes, as far as they still count.
    pub outcomes: f64,
    pub failed: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mean_reward: Option<f64>,
}

fn timestamp() -> String {
    jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

fn is_false(flag: &bool) -> bool {
    !flag
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reward(body: serde_json::Value) -> Result<f64, String> {
        let feedback: Feedback = serde_json::from_value(body).map_err(|error| error.to_string())?;
        feedback.reward().map_err(|failure| failure.message)
    }

    #[test]
    fn rewards_of_all_forms() {
        for (body, expected) in [
            (serde_json::json!({"rating": 1}), 1.0),
            (serde_json::json!({"rating": -1}), 0.0),
            (serde_json::json!({"score": 0.75}), 0.75),
            (serde_json::json!({"thumbs": "up", "confidence": 0.5}), 0.75),
            (
                serde_json::json!({"feedback_type": "wrong_answer", "query": "kept nowhere"}),
                0.0,
            ),
        ] {
            assert_eq!(reward(body), Ok(expected));
        }
        for body in [
            serde_json::json!({}),
            serde_json::json!({"rating": 2}),
            serde_json::json!({"score": -0.1}),
            serde_json::json!({"score": 0.5, "thumbs": "up"}),
            serde_json::json!({"thumbs": "sideways"}),
            serde_json::json!({"thumbs": "up", "confidence": 7}),
            serde_json::json!({"thumb": "up"}),
        ] {
            assert!(reward(body.clone()).is_err(), "{body}");
        }
    }

    #[test]
    fn models_are_compared_with_others() {
        let compared = |body: serde_json::Value| {
            let feedback: Feedback = serde_json::from_value(body).unwrap();
            let compared = feedback.compared();
            compared.map(|(winner, loser)| (winner.map(str::to_owned), loser.map(str::to_owned)))
        };
        let both = compared(serde_json::json!({"winner_model": " a ", "loser_model": "b"})).unwrap();
        assert_eq!(both, (Some("a".to_owned()), Some("b".to_owned())));
        let one = compared(serde_json::json!({"winner_model": "a", "loser_model": ""})).unwrap();
        assert_eq!(one, (Some("a".to_owned()), None));
        assert!(compared(serde_json::json!({})).is_err());
        assert!(compared(serde_json::json!({"winner_model": "a", "loser_model": "a"})).is_err());
    }
}

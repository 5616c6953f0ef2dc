//! Recorded decisions, taken again by another configuration: which come out otherwise, why, and what that would cost.
//!
//! What a request used is taken to be the same whichever model answers it; what it would cost is that, at the price of the
//! model that would be asked first.

use pointsman_catalog::{Money, ServiceTier};
use pointsman_routing::learning::{Contribution, Learner};
use pointsman_routing::{Again, Replayed, Route, Router, why};
use pointsman_store::{DecisionRow, Store, StoreError};
use pointsman_wire::form::Usage;
use serde::Serialize;

use crate::experience::{Told, configured};
use crate::road::Prices;
use crate::snapshot::Snapshot;

/// Takes decisions again.
pub struct Retaker {
    now: Snapshot,
    before: Option<Snapshot>,
    learned: Learner,
}

/// A decision, taken again.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Retaken {
    /// What became of it.
    pub change: Change,
    /// The request.
    pub request: String,
    /// When it was settled, Unix milliseconds.
    pub at: i64,
    /// Where it went.
    pub from: Place,
    /// Where it would go.
    pub to: Place,
    /// Why.
    pub why: Vec<String>,
}

/// What became of a decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Change {
    /// The same decision and the same model.
    Same,
    /// Another decision, or another model.
    Changed,
    /// It depends on what was not recorded.
    Unknown,
}

/// A decision and a model, and what the request costs there.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Place {
    /// The decision; none where nothing answers.
    pub decision: Option<String>,
    /// The model; none where the decision answers itself, or where it may be one of several.
    pub model: Option<String>,
    /// In nano-dollars, where the price is known.
    pub cost: Option<i64>,
}

/// Why a decision cannot be taken again.
#[derive(Debug, thiserror::Error)]
pub enum Unreadable {
    /// The record is none.
    #[error("a recorded decision cannot be read: {0}")]
    Record(#[from] serde_json::Error),
}

impl Retaker {
    /// By this configuration; `before` is the one that took them, for what has changed of each rule.
    #[must_use]
    pub fn new(now: Snapshot, before: Option<Snapshot>) -> Self {
        let config = now.router.as_ref().map(|router| configured(router.learning()));
        Self {
            learned: Learner::new(config.unwrap_or_default()),
            now,
            before,
        }
    }

    /// Goes by what was learned until now.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn learn(&mut self, store: &Store) -> Result<(), StoreError> {
        if let Some((_, bytes)) = store.learned_after(0)? {
            let all = Contribution::stored(&bytes).map_err(|error| StoreError::Invalid(error.to_string()))?;
            self.learned.refreshed(all);
        }
        Ok(())
    }

    /// Takes a decision again.
    ///
    /// # Errors
    /// When its record cannot be read.
    pub fn retake(&self, row: &DecisionRow) -> Result<Retaken, Unreadable> {
        let told: Told = serde_json::from_str(&row.record)?;
        let from = Place {
            decision: Some(told.recorded.decision.clone()),
            model: told.recorded.model.clone(),
            cost: Some(told.cost),
        };
        let Some(router) = &self.now.router else {
            let why = vec!["no routing is configured any more".to_owned()];
            return Ok(retaken(Change::Changed, row, from, Place::default(), why));
        };
        let again = |snapshot: &Snapshot, router: &Router, traced: bool| -> Replayed {
            let models = Prices(snapshot);
            let again = Again {
                models: &models,
                learned: Some(&self.learned),
            };
            router.replay(&told.recorded, again, traced)
        };
        let now = again(&self.now, router, false);
        let (change, to) = self.place(&now.route, &from, &told.usage);
        if change == Change::Same {
            return Ok(retaken(change, row, from, to, Vec::new()));
        }
        // Rules are worth tracing only where something is to be told of them.
        let now = again(&self.now, router, true);
        let before = self.before.as_ref().and_then(|snapshot| {
            let router = snapshot.router.as_ref()?;
            Some(again(snapshot, router, true))
        });
        let why = why(&told.recorded, before.as_ref(), &now);
        Ok(retaken(change, row, from, to, why))
    }

    fn place(&self, route: &Route, from: &Place, usage: &Usage) -> (Change, Place) {
        match route {
            Route::Unknown { .. } => (Change::Unknown, Place::default()),
            Route::Nowhere => (Change::Changed, Place::default()),
            Route::Among { decision, .. } => {
                let same = from.decision.as_ref() == Some(decision);
                let to = Place {
                    decision: Some(decision.clone()),
                    ..Place::default()
                };
                (if same { Change::Unknown } else { Change::Changed }, to)
            }
            Route::Decided { decision, model } => {
                let model = model.as_ref().map(|selected| selected.model.clone());
                let same = from.decision.as_ref() == Some(decision) && from.model == model;
                let cost = match &model {
                    _ if same => from.cost,
                    None => Some(0),
                    Some(model) => self.cost(model, usage),
                };
                let to = Place {
                    decision: Some(decision.clone()),
                    model,
                    cost,
                };
                (if same { Change::Same } else { Change::Changed }, to)
            }
        }
    }

    /// What the usage costs at the target that is asked first.
    fn cost(&self, model: &str, usage: &Usage) -> Option<i64> {
        let model = self.now.resolve(model).ok()?;
        let first = model.targets.iter().min_by_key(|target| target.priority)?;
        let cost: Money = first.price.as_ref()?.cost(usage, ServiceTier::Standard);
        Some(cost.nanodollars())
    }
}

fn retaken(change: Change, row: &DecisionRow, from: Place, to: Place, why: Vec<String>) -> Retaken {
    Retaken {
        change,
        request: row.request.clone(),
        at: row.at,
        from,
        to,
        why,
    }
}

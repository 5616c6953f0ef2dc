//! Targets over a stream of requests: at most so much money, or at least so much quality.
//!
//! The price of what is short (money or quality) rises while a target is missed and falls while it is met: the dual of the
//! problem "the best answers for the money". How it stands is read from sums that replicas share.

use super::candidate::SelectionRequest;
use super::ranking::Ranked;

/// How fast the price follows, for each request's worth of debt.
const STEP: f64 = 0.05;

/// Debt or credit that counts, in requests' worth: what is further back is forgiven.
const HORIZON: f64 = 150.0;

/// The most that may be spent beyond the target at any time, in requests' worth.
const BURST: f64 = 50.0;

/// The price where a target stands exactly as it should.
const START: f64 = 0.2;

/// What is aimed at.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Target {
    /// At most this many nano-dollars a request, in the mean.
    Cost(f64),
    /// At least this quality, in the mean, for as little money as possible.
    Quality(f64),
}

impl Target {
    /// Changes scores by what is aimed at; says why where that can't be done or a candidate is too dear now.
    pub(crate) fn steer(
        &self,
        request: &SelectionRequest<'_>,
        ranked: &mut [Ranked],
    ) -> Option<&'static str> {
        let dearest = ranked
            .iter()
            .map(|ranked| ranked.cost)
            .collect::<Option<Vec<u64>>>();
        let Some(dearest) = dearest.and_then(|costs| costs.into_iter().max()) else {
            return Some("the target is not steered by: a candidate's price is not known");
        };
        if ranked.iter().any(|ranked| ranked.quality.is_none()) {
            return Some("the target is not steered by: a candidate's quality is not known");
        }
        match self {
            Self::Cost(most) => spend(*most, credit_of_cost(*most, request), ranked),
            Self::Quality(least) => {
                let debt = debt_of_quality(*least, request);
                let worth = (STEP * debt).exp() / START;
                for ranked in ranked {
                    let cost = ranked.cost.unwrap_or(0) as f64 / dearest.max(1) as f64;
                    let quality = ranked.quality.unwrap_or(0.0);
                    ranked.score = Some(worth * quality - cost);
                    ranked.parts = ranked.parts.with("quality_worth", worth);
                }
                None
            }
        }
    }
}

/// How many requests' worth of money is left.
fn credit_of_cost(most: f64, request: &SelectionRequest<'_>) -> f64 {
    let spent = request.learned.map(|learned| learned.together(request.scope));
    spent.map_or(0.0, |spent| spent.costed - spent.cost / most)
}

/// How many requests' worth of quality is missing, scaled so that it moves about as fast as money does.
fn debt_of_quality(least: f64, request: &SelectionRequest<'_>) -> f64 {
    let had = request.learned.map(|learned| learned.together(request.scope));
    let debt = had.map_or(0.0, |had| least * had.rewarded - had.reward);
    (4.0 * debt).clamp(-HORIZON, HORIZON)
}

fn spend(most: f64, credit: f64, ranked: &mut [Ranked]) -> Option<&'static str> {
    let price = START * (-STEP * credit.clamp(-HORIZON, HORIZON)).exp();
    let cheapest = ranked.iter().filter_map(|ranked| ranked.cost).min().unwrap_or(0);
    let mut note = None;
    for ranked in ranked {
        let cost = ranked.cost.unwrap_or(0);
        let multiple = cost as f64 / most;
        ranked.parts = ranked.parts.with("money_price", price);
        if cost > cheapest && multiple > credit + BURST {
            ranked.score = None;
            note = Some("the money for a dearer model is spent");
        } else {
            ranked.score = ranked.quality.map(|quality| quality - price * multiple);
        }
    }
    note
}

//! What the ledger knows of a budget or a quota: asked when it is used first, and where counters were lost.

use pointsman_store::{Store, StoreError};

use crate::account::Question;
use crate::budget::Rule;
use crate::pattern::fits;

/// What was used, replica by replica, in nano-dollars, requests or tokens. Blocks on the database.
pub(crate) fn used(store: &Store, question: &Question) -> Result<Vec<(String, i64)>, StoreError> {
    let Question {
        kind,
        id,
        rule,
        since,
    } = question;
    if let (Rule::Budget(_), []) = (rule, rule.models()) {
        let spent = store.spent_by_replica(*kind, id, *since)?;
        let spent = spent
            .into_iter()
            .map(|(replica, money)| (replica, money.nanodollars()));
        return Ok(spent.collect());
    }
    let mut used: Vec<(String, i64)> = Vec::new();
    for row in store.used_by_model((*kind, id), rule.counted(), *since)? {
        let models = rule.models();
        if !models.is_empty() && !models.iter().any(|pattern| fits(pattern, &row.model)) {
            continue;
        }
        match used.last_mut() {
            Some((replica, sum)) if *replica == row.replica => *sum = sum.saturating_add(row.amount),
            _ => used.push((row.replica, row.amount)),
        }
    }
    Ok(used)
}

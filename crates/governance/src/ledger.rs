//! What the ledger knows of a budget or a quota: asked when it is used first, and where counters were lost.

use std::collections::BTreeMap;

use pointsman_catalog::Money;
use pointsman_store::{Store, StoreError};

use crate::account::Question;
use crate::budget::Rule;
use crate::pattern::fits;
use crate::reservation::{Actual, Estimate};
use crate::unit::{Details, Unit, Used};
use crate::wanted::Tokens;

/// What was used, replica by replica, in nano-dollars, requests or tokens. Blocks on the database.
pub(crate) fn used(store: &Store, question: &Question) -> Result<Vec<(String, i64)>, StoreError> {
    let Question {
        kind,
        is_provider,
        id,
        rule,
        since,
    } = question;
    if *is_provider {
        return Ok(in_nanodollars(store.spent_at(id, *since)?));
    }
    if let (Rule::Budget(_), []) = (rule, rule.models()) {
        return Ok(in_nanodollars(store.spent_by_replica(*kind, id, *since)?));
    }
    if let Some(cel) = rule.cel() {
        return used_units(store, question, cel);
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

fn in_nanodollars(spent: Vec<(String, Money)>) -> Vec<(String, i64)> {
    let spent = spent.into_iter();
    spent
        .map(|(replica, money)| (replica, money.nanodollars()))
        .collect()
}

/// The same in units of one's own, request by request. Of an expression that is none any more nothing is known, and nothing
/// let through.
fn used_units(store: &Store, question: &Question, cel: &str) -> Result<Vec<(String, i64)>, StoreError> {
    let Ok(unit) = Unit::new(cel) else {
        return Ok(Vec::new());
    };
    let mut used = BTreeMap::<String, i64>::new();
    store.each_used((question.kind, &question.id), question.since, &mut |request| {
        if !question.rule.is_about(Some(&request.model)) {
            return;
        }
        let usage = request.usage;
        let spent = Used {
            actual: Actual {
                tokens: Tokens {
                    input: usage.input,
                    output: usage.output,
                },
                cost: request.cost,
            },
            details: Details {
                cached: usage.cache_read,
                cache_creation: usage.cache_write.saturating_add(usage.cache_write_1h),
                reasoning: usage.reasoning,
            },
        };
        let sum = used.entry(request.replica).or_default();
        *sum = sum.saturating_add(unit.charged(&spent, Estimate::NOTHING, Some(&request.model)));
    })?;
    Ok(used.into_iter().collect())
}

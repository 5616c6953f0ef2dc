//! What the ledger knows of a budget or a quota: asked when it is used first, and where counters were lost.

use std::collections::BTreeMap;

use pointsman_catalog::Money;
use pointsman_store::{Entries, HolderKind, Store, StoreError, ToldApart, UsedRequest};

use crate::budget::{Before, Rule};
use crate::reservation::{Actual, Estimate};
use crate::sliding::Grain;
use crate::unit::{Details, Unit, Used};
use crate::wanted::Tokens;

/// What the ledger is asked: how much of a rule a holder has used since a time, Unix milliseconds.
pub(crate) struct Question {
    /// A key where there is none, or a provider.
    pub(crate) kind: Option<HolderKind>,
    pub(crate) is_provider: bool,
    pub(crate) id: String,
    pub(crate) rule: Rule,
    pub(crate) since: i64,
    /// What is told apart.
    pub(crate) apart: Apart,
}

/// What the ledger is to tell apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Apart {
    /// Replicas.
    Replicas,
    /// Buckets of a window that slides.
    Buckets(Grain),
    /// Nothing: only what this replica has used.
    Own(String),
}

impl Apart {
    /// As a rule is counted.
    pub(crate) fn of(rule: &Rule) -> Self {
        rule.grain().map_or(Self::Replicas, Self::Buckets)
    }
}

/// What was used before a purse was there; `own` is this replica, where it is not alone. Blocks on the database.
pub(crate) fn before(store: &Store, question: &Question, own: Option<&str>) -> Result<Before, StoreError> {
    let mut before = Before::default();
    if let Apart::Buckets(grain) = question.apart {
        before.buckets = in_buckets(store, question, grain)?;
        return Ok(before);
    }
    for (replica, amount) in by_replica(store, question)? {
        let sum = &mut before.used[usize::from(own.is_some_and(|own| own != replica))];
        *sum = sum.saturating_add(amount);
    }
    Ok(before)
}

/// What was used, in nano-dollars, requests or tokens, with what is told apart. Blocks on the database.
pub(crate) fn used(store: &Store, question: &Question) -> Result<Vec<(String, i64)>, StoreError> {
    match &question.apart {
        Apart::Replicas => by_replica(store, question),
        Apart::Buckets(grain) => {
            let buckets = in_buckets(store, question, *grain)?.into_iter();
            Ok(buckets
                .map(|(bucket, amount)| (bucket.to_string(), amount))
                .collect())
        }
        Apart::Own(own) => {
            let all = by_replica(store, question)?.into_iter();
            let sum = all.filter(|(replica, _)| replica == own);
            let sum = sum.fold(0, |sum: i64, (_, amount)| sum.saturating_add(amount));
            Ok(vec![(String::new(), sum)])
        }
    }
}

/// By bucket of a window that slides, the oldest first.
fn in_buckets(store: &Store, question: &Question, grain: Grain) -> Result<Vec<(i64, i64)>, StoreError> {
    let rule = &question.rule;
    let mut used = BTreeMap::<i64, i64>::new();
    let mut add = |bucket: i64, amount: i64| {
        let sum = used.entry(bucket).or_default();
        *sum = sum.saturating_add(amount);
    };
    if rule.cel().is_some() {
        each_used(store, question, |request, amount| {
            add(grain.bucket(request.at), amount);
        })?;
        return Ok(used.into_iter().collect());
    }
    let entries = Entries {
        kind: question.kind,
        id: &question.id,
        is_provider: question.is_provider,
        since: question.since,
    };
    let apart = ToldApart {
        models: !rule.models().is_empty(),
        providers: !rule.providers().is_empty(),
    };
    for row in store.used_in_buckets(entries, rule.counted(), (grain.width, apart))? {
        if rule.is_about(Some(&row.model)) && rule.is_at(&row.provider) {
            add(row.bucket, row.amount);
        }
    }
    Ok(used.into_iter().collect())
}

/// Replica by replica.
fn by_replica(store: &Store, question: &Question) -> Result<Vec<(String, i64)>, StoreError> {
    let Question {
        kind,
        is_provider,
        id,
        rule,
        since,
        ..
    } = question;
    if *is_provider {
        return Ok(in_nanodollars(store.spent_at(id, *since)?));
    }
    if let (Rule::Budget(_), [], []) = (rule, rule.models(), rule.providers()) {
        return Ok(in_nanodollars(store.spent_by_replica(*kind, id, *since)?));
    }
    if rule.cel().is_some() {
        let mut used = BTreeMap::<String, i64>::new();
        each_used(store, question, |request, amount| {
            let sum = used.entry(request.replica).or_default();
            *sum = sum.saturating_add(amount);
        })?;
        return Ok(used.into_iter().collect());
    }
    let mut used: Vec<(String, i64)> = Vec::new();
    let by_provider = !rule.providers().is_empty();
    for row in store.used_by_model((*kind, id), rule.counted(), (*since, by_provider))? {
        if !rule.is_about(Some(&row.model)) || !rule.is_at(&row.provider) {
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

/// In units of one's own, request by request. Of an expression that is none any more nothing is known, and nothing let
/// through.
fn each_used(
    store: &Store,
    question: &Question,
    mut each: impl FnMut(UsedRequest, i64),
) -> Result<(), StoreError> {
    let Some(Ok(unit)) = question.rule.cel().map(Unit::new) else {
        return Ok(());
    };
    store.each_used((question.kind, &question.id), question.since, &mut |request| {
        if !question.rule.is_about(Some(&request.model)) || !question.rule.is_at(&request.provider) {
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
        let amount = unit.charged(&spent, Estimate::NOTHING, Some(&request.model));
        each(request, amount);
    })
}

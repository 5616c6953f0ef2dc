//! `model_list`: entries of one name are the targets of one model.

use super::deployment::{Deployment, timeouts};
use super::{Files, Import, catalog, price, provider};
use crate::decimal::Decimal;
use crate::source::Item;
use crate::yaml::{Map, Noted, Yaml};

/// A deployment that has found its provider.
struct Target<'a> {
    deployment: Deployment<'a>,
    provider: String,
    kind: String,
    model: String,
    price: Map,
}

/// Carries `model_list` over.
pub(super) fn carry(import: &mut Import, files: &Files) {
    let credentials = files.list("credential_list");
    let mut groups: Vec<(&str, Vec<Target<'_>>)> = Vec::new();
    for item in files.list("model_list") {
        let Some(target) = target(import, item, &credentials) else {
            continue;
        };
        let name = target.deployment.name;
        match groups.iter_mut().find(|(known, _)| *known == name) {
            Some((_, targets)) => targets.push(target),
            None => groups.push((name, vec![target])),
        }
    }
    for (name, targets) in groups {
        let model = model(import, name, &targets);
        import
            .draft
            .block("models", |models| models.set(name, Yaml::Map(model)));
    }
}

fn target<'a>(import: &mut Import, item: &'a Item, credentials: &[&'a Item]) -> Option<Target<'a>> {
    let deployment = Deployment::read(import, item, credentials)?;
    let place = provider::place(import, &deployment)?;
    let stars = deployment.name.matches('*').count();
    if stars > 1 || place.model.matches('*').count() > stars {
        import.draft.report.lost(
            item,
            "a name has one `*` at most, and a target none that its name has not",
            "write the names out, or one pattern for each",
        );
        return None;
    }
    let note = format!("{} (line {})", item.path, item.line);
    let price = price::read(import, &deployment);
    let provider = import.draft.provider(&place.wish, place.block, note);
    Some(Target {
        deployment,
        provider,
        kind: place.kind,
        model: place.model,
        price,
    })
}

/// The model of a name.
fn model(import: &mut Import, name: &str, targets: &[Target<'_>]) -> Map {
    let mut model = Map::default();
    let order = priorities(import, targets);
    let weights = weights(import, targets, &order);
    for (place, target) in targets.iter().enumerate() {
        let mut map = Map::default();
        map.set("provider", Yaml::text(&target.provider));
        map.set("model", Yaml::text(&target.model));
        if weights[place] != 1 {
            map.set("weight", Yaml::plain(weights[place]));
        }
        if order[place] != 0 {
            map.set("priority", Yaml::plain(order[place]));
        }
        map.put_map("timeouts", target.deployment.timeouts(import));
        map.put_map("request", target.deployment.request(import));
        let line = format!("line {}", target.deployment.item.line);
        model.push("targets", Noted::from(Yaml::Map(map)).note(line));
    }
    if let Some(policy) = import.policy.balance.filter(|_| targets.len() > 1) {
        let mut balance = Map::default();
        balance.set("policy", Yaml::text(policy));
        model.put_map("balance", balance);
    }
    let retry = retry(import, name, targets);
    model.put_map("retry", retry);
    let policy = &import.policy;
    model.put_map(
        "timeouts",
        timeouts(policy.timeout.clone(), policy.stream_timeout.clone()),
    );
    facts(import, targets, &mut model);
    model
}

/// One price for all targets is the model's; else each is the catalog's.
fn facts(import: &mut Import, targets: &[Target<'_>], model: &mut Map) {
    let Some(first) = targets.first() else { return };
    let shared = targets.iter().all(|target| target.price == first.price);
    if shared {
        model.put_map("price", first.price.clone());
    }
    for target in targets {
        let own = (!shared && !target.price.is_empty()).then(|| target.price.clone());
        if own.is_some() && target.model.contains('*') {
            import.draft.report.lost(
                target.deployment.item,
                "a price of one target among several needs a model's name, and this is a pattern",
                "write the model out",
            );
            continue;
        }
        catalog::add(import, &target.deployment, &target.kind, &target.model, own);
    }
}

/// LiteLLM's `order`; entries without one come last.
fn priorities(import: &mut Import, targets: &[Target<'_>]) -> Vec<u64> {
    let orders: Vec<Option<u64>> = targets
        .iter()
        .map(|target| target.deployment.params.get("order")?.whole())
        .collect();
    let mut distinct: Vec<u64> = orders.iter().copied().flatten().collect();
    distinct.sort_unstable();
    distinct.dedup();
    if !distinct.is_empty() {
        for (target, _) in targets.iter().zip(&orders).filter(|(_, order)| order.is_none()) {
            import.draft.report.nearest(
                target.deployment.item,
                "others of its name have an `order` and it has none: LiteLLM leaves it aside, here it comes last",
                "",
            );
        }
    }
    let place = |order: &Option<u64>| match order {
        Some(order) => distinct.iter().position(|known| known == order).unwrap_or(0) as u64,
        None => distinct.len() as u64,
    };
    orders.iter().map(place).collect()
}

/// Shares among targets of the same priority, by what LiteLLM goes by: the first that the first of them has of
/// `weight`, `rpm` and `tpm`.
fn weights(import: &mut Import, targets: &[Target<'_>], order: &[u64]) -> Vec<u64> {
    let mut weights = vec![1; targets.len()];
    let mut tiers = order.to_vec();
    tiers.sort_unstable();
    tiers.dedup();
    for tier in tiers {
        let members: Vec<usize> = (0..targets.len()).filter(|place| order[*place] == tier).collect();
        let params = |place: &usize| targets[*place].deployment.params;
        let Some(first) = members.first() else { continue };
        let keys = if import.policy.limits {
            &["weight"][..]
        } else {
            &["weight", "rpm", "tpm"][..]
        };
        let Some(key) = keys.iter().find(|key| params(first).get(key).is_some()) else {
            continue;
        };
        let items: Vec<Option<&Item>> = members.iter().map(|place| params(place).get(key)).collect();
        let values: Vec<Decimal> = items
            .iter()
            .map(|item| item.and_then(Item::decimal).or_else(|| Decimal::parse("0")))
            .collect::<Option<_>>()
            .unwrap_or_default();
        let shares = shares(&values);
        for (at, place) in members.iter().enumerate() {
            weights[*place] = shares[at];
            match items[at] {
                Some(item) if *key != "weight" => import.draft.report.nearest(
                    item,
                    "LiteLLM shares the traffic out by it; the target's weight does the same",
                    "to make it a limit, too: auth.api_key of the provider takes requests_per_minute and tokens_per_minute",
                ),
                None if members.len() > 1 => import.draft.report.nearest(
                    targets[*place].deployment.item,
                    format!("others of its name have a {key} and it has none: its share is nothing, as in LiteLLM"),
                    "",
                ),
                _ => {}
            }
        }
    }
    weights
}

/// Whole numbers in the same proportion; all one when there is nothing to go by.
fn shares(values: &[Decimal]) -> Vec<u64> {
    let places = values.iter().map(|value| value.places()).max().unwrap_or(0);
    let whole: Vec<u64> = values
        .iter()
        .map(|value| value.shifted(places).whole().unwrap_or(u64::from(u32::MAX)))
        .collect();
    let divisor = whole.iter().copied().fold(0, gcd);
    if divisor == 0 {
        return vec![1; values.len()];
    }
    let most = whole.iter().copied().max().unwrap_or(1) / divisor;
    let scale = most.div_ceil(1_000_000).max(1);
    whole
        .iter()
        .map(|value| match value / divisor {
            0 => 0,
            share => (share / scale).max(1),
        })
        .collect()
}

fn gcd(left: u64, right: u64) -> u64 {
    if right == 0 {
        left
    } else {
        gcd(right, left % right)
    }
}

/// How often it is tried again: as its own policy says, its deployments, or everybody's.
fn retry(import: &mut Import, name: &str, targets: &[Target<'_>]) -> Map {
    let items: Vec<&Item> = targets
        .iter()
        .filter_map(|target| target.deployment.params.any(&["max_retries", "num_retries"]))
        .collect();
    let own = items.iter().filter_map(|item| item.whole()).max();
    if let Some((_, retry)) = import.policy.retries.iter().find(|(known, _)| known == name) {
        let retry = retry.clone();
        for item in items {
            import.draft.report.lost(
                item,
                "model_group_retry_policy has a policy for its name, which wins",
                "",
            );
        }
        return retry;
    }
    let Some(retries) = own else {
        return import.policy.retry.clone();
    };
    for item in items.iter().filter(|item| item.whole() != Some(retries)) {
        import.draft.report.nearest(
            item,
            "retries are counted for the model, not for each target: the largest number counts",
            "",
        );
    }
    let mut retry = import.policy.retry.clone();
    retry.set("attempts", Yaml::plain(retries.saturating_add(1).min(100)));
    retry
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_whole_and_in_proportion() {
        let shares = |texts: &[&str]| {
            let values: Vec<Decimal> = texts.iter().map(|text| Decimal::parse(text).unwrap()).collect();
            shares(&values)
        };
        assert_eq!(shares(&["0.8", "0.2"]), [4, 1]);
        assert_eq!(shares(&["900", "100", "0"]), [9, 1, 0]);
        assert_eq!(shares(&["0", "0"]), [1, 1]);
        assert_eq!(shares(&["10000000", "1"]), [1_000_000, 1]);
        assert_eq!(shares(&[]), Vec::<u64>::new());
    }
}

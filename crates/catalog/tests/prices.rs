//! Prices, computed by hand: each case of `prices.json` says in `how` how its nano-dollars came about.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test says what it expects by failing"
)]

use pointsman_catalog::{Catalog, Context, Money, Price, RateKind, SearchSize, ServiceTier};
use pointsman_wire::form::Usage;
use serde::Deserialize;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    name: String,
    price: Option<Price>,
    model: Option<String>,
    usage: Usage,
    tier: Option<ServiceTier>,
    search: Option<SearchSize>,
    nano: i64,
    how: String,
}

fn cases() -> Vec<Case> {
    serde_json::from_str(include_str!("prices.json")).unwrap()
}

#[test]
fn every_case_costs_what_was_computed_by_hand() {
    let cases = cases();
    assert!(cases.len() >= 60, "{}", cases.len());
    for case in cases {
        let listed = || {
            let name = case.model.as_deref().unwrap();
            let (_, model) = Catalog::embedded().find(name).unwrap_or_else(|| panic!("{name}"));
            model.price.clone().unwrap()
        };
        let price = case.price.clone().unwrap_or_else(listed);
        let context = Context {
            tier: case.tier.unwrap_or(ServiceTier::Standard),
            search: case.search.unwrap_or(SearchSize::Medium),
        };
        let cost = price.cost(&case.usage, context);
        assert_eq!(cost.nanodollars(), case.nano, "{}: {}", case.name, case.how);
    }
}

#[test]
fn every_kind_of_rate_has_a_case() {
    let cases = cases();
    for kind in RateKind::ALL {
        let priced = cases
            .iter()
            .filter_map(|case| case.price.as_ref())
            .any(|price| price.entries().iter().any(|entry| entry.kind == *kind));
        assert!(priced, "no case has a price {kind}");
    }
    for tier in ServiceTier::ALL {
        assert!(
            *tier == ServiceTier::Standard || cases.iter().any(|case| case.tier == Some(*tier)),
            "no case is {tier}"
        );
    }
}

#[test]
fn huge_counts_saturate() {
    let price: Price = serde_json::from_str(r#"{"input":600,"output":600,"per_image_output":9000}"#).unwrap();
    let mut usage = Usage {
        input: u64::MAX,
        output: u64::MAX,
        ..Usage::default()
    };
    usage.units.images_out = u64::MAX;
    assert_eq!(price.cost(&usage, Context::default()), Money::MAX);
}

#[test]
fn a_price_that_says_nonsense_is_refused() {
    for (text, told) in [
        (r#"{"input":-1}"#, "not an amount"),
        (r#"{"input":"1,5"}"#, "not an amount"),
        (r#"{"inptu":1}"#, "is no rate here"),
        (r#"{"above":{"lots":{"input":1}}}"#, "no number of prompt tokens"),
        (r#"{"above":{"0":{"input":1}}}"#, "no number of prompt tokens"),
        (r#"{"above":{"9":{"above":{}}}}"#, "is no rate here"),
        (r#"{"flex":{"batch":{"input":1}}}"#, "is no rate here"),
        (r#"{"input":0.0000000001}"#, "not an amount"),
        (r#"{"input":true}"#, "an amount of dollars"),
    ] {
        let error = serde_json::from_str::<Price>(text).unwrap_err().to_string();
        assert!(error.contains(told), "{text}: {error}");
    }
}

//! Finding models by the names that people and SDKs write.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test says what it expects by failing"
)]

use std::collections::BTreeMap;

use pointsman_catalog::{Additions, Catalog, Money, RateKind};

fn id(provider: &str, name: &str) -> Option<String> {
    Catalog::embedded()
        .model(provider, name)
        .map(|model| model.id.to_string())
}

#[test]
fn every_way_to_write_a_name() {
    for (provider, name, found) in [
        ("openai", "gpt-5-mini", Some("gpt-5-mini")),
        // With its provider before it, by id and by alias.
        ("openai", "openai/gpt-5", Some("gpt-5")),
        (
            "fireworks_ai",
            "fireworks_ai/accounts/fireworks/models/glm-5p1",
            Some("accounts/fireworks/models/glm-5p1"),
        ),
        (
            "aws-bedrock",
            "bedrock/amazon.nova-pro-v1:0",
            Some("amazon.nova-pro-v1:0"),
        ),
        // A date that is listed is its own model; one that is not is the undated one.
        (
            "anthropic",
            "claude-haiku-4-5-20251001",
            Some("claude-haiku-4-5-20251001"),
        ),
        ("anthropic", "claude-haiku-4-5-20311001", Some("claude-haiku-4-5")),
        ("openai", "gpt-5-mini-2031-08-07", Some("gpt-5-mini")),
        ("openai", "gpt-5-minimal", None),
        ("openai", "", None),
        // Vertex.
        (
            "gcp-vertex",
            "claude-sonnet-5@default",
            Some("claude-sonnet-5@default"),
        ),
        ("gcp-vertex", "gemini-2.5-pro@002", Some("gemini-2.5-pro")),
        (
            "vertex_ai",
            "publishers/google/models/gemini-2.5-pro",
            Some("gemini-2.5-pro"),
        ),
        ("gemini", "models/gemini-2.5-pro", Some("gemini-2.5-pro")),
        ("google", "gemini/gemini-2.5-pro", Some("gemini-2.5-pro")),
        // Bedrock: a profile that is listed has its own price; one that is not is the model.
        (
            "bedrock",
            "eu.meta.llama3-2-3b-instruct-v1:0",
            Some("eu.meta.llama3-2-3b-instruct-v1:0"),
        ),
        (
            "bedrock",
            "apac.amazon.titan-text-lite-v1",
            Some("amazon.titan-text-lite-v1"),
        ),
        (
            "bedrock",
            "arn:aws:bedrock:eu-west-1:123456789012:inference-profile/eu.meta.llama3-2-3b-instruct-v1:0",
            Some("eu.meta.llama3-2-3b-instruct-v1:0"),
        ),
        (
            "bedrock",
            "arn:aws:bedrock:us-east-1::foundation-model/amazon.nova-pro-v1:0",
            Some("amazon.nova-pro-v1:0"),
        ),
        // Fine-tuned.
        (
            "openai",
            "ft:gpt-3.5-turbo-1106:acme:support:a1b2",
            Some("ft:gpt-3.5-turbo-1106"),
        ),
        ("nobody", "gpt-5", None),
    ] {
        assert_eq!(id(provider, name).as_deref(), found, "{provider} {name}");
    }
}

#[test]
fn a_region_has_its_own_price() {
    let catalog = Catalog::embedded();
    let inside = catalog
        .model_in("bedrock", "us-gov-west-1", "anthropic.claude-sonnet-5")
        .unwrap();
    assert_eq!(&*inside.id, "us-gov-west-1/anthropic.claude-sonnet-5");
    assert!(inside.variant);
    let elsewhere = catalog
        .model_in("bedrock", "xx-none-1", "anthropic.claude-sonnet-5")
        .unwrap();
    assert_eq!(&*elsewhere.id, "anthropic.claude-sonnet-5");
    let zone = catalog.model_in("azure", "eu", "gpt-5-2025-08-07").unwrap();
    assert_eq!(&*zone.id, "eu/gpt-5-2025-08-07");
}

#[test]
fn an_image_has_the_price_of_its_quality_and_size() {
    let catalog = Catalog::embedded();
    let price = |quality: &str, size: &str| {
        let model = catalog.image("openai", "gpt-image-1", quality, size).unwrap();
        (
            model.id.to_string(),
            model.price.as_ref().unwrap().listed(RateKind::PerImageOutput),
        )
    };
    let (name, rate) = price("high", "1024x1536");
    assert_eq!(name, "high/1024-x-1536/gpt-image-1");
    assert_eq!(rate.unwrap().each_decimal(), "0.25");
    assert_eq!(price("high", "77x77").0, "gpt-image-1");
    assert_eq!(
        price("", "a size that is no size, but a long text").0,
        "gpt-image-1"
    );
}

#[test]
fn a_name_may_say_its_provider() {
    let catalog = Catalog::embedded();
    let found = |name: &str| {
        catalog
            .find(name)
            .map(|(provider, model)| format!("{} {}", provider.id, model.id))
    };
    assert_eq!(found("gpt-5").as_deref(), Some("openai gpt-5"));
    assert_eq!(
        found("claude-sonnet-5").as_deref(),
        Some("anthropic claude-sonnet-5")
    );
    assert_eq!(
        found("azure/gpt-5-mini").as_deref(),
        Some("azure-openai gpt-5-mini")
    );
    assert_eq!(found("together_ai/nothing"), None);
}

#[test]
fn makers_come_before_resellers() {
    let catalog = Catalog::embedded();
    let makers = ["openai", "anthropic", "gemini", "mistral"].map(|name| catalog.rank(name));
    for provider in catalog.providers().filter(|provider| provider.reseller) {
        let rank = catalog.rank(&provider.id);
        assert!(makers.iter().all(|maker| *maker < rank), "{}", provider.id);
    }
    assert_eq!(catalog.rank("bedrock"), catalog.rank("aws-bedrock"));
}

#[test]
fn a_configuration_adds_and_overrides() {
    let provider =
        serde_json::from_str(r#"{"base_url":"https://llm.acme.example/v1","env":["ACME_API_KEY"]}"#);
    let mini = serde_json::from_str(r#"{"price":{"input":0.1,"output":1},"aliases":["our-mini"]}"#).unwrap();
    let own = serde_json::from_str(r#"{"kind":"embedding","context_window":8192}"#).unwrap();
    let additions = Additions {
        providers: BTreeMap::from([("acme".to_owned(), provider.unwrap())]),
        models: BTreeMap::from([
            (
                "openai".to_owned(),
                BTreeMap::from([("gpt-5-mini".to_owned(), mini)]),
            ),
            (
                "acme".to_owned(),
                BTreeMap::from([("acme-embed".to_owned(), own)]),
            ),
        ]),
    };
    let catalog = Catalog::with(&additions);
    let acme = catalog.provider("acme").unwrap();
    assert!(acme.needs_only_a_key() && acme.any_model);
    assert_eq!(
        catalog.model("acme", "acme/acme-embed").unwrap().context_window,
        Some(8192)
    );
    let mini = catalog.model("openai", "our-mini").unwrap();
    let stock = Catalog::embedded().model("openai", "gpt-5-mini").unwrap();
    // The price is replaced as a whole, the rest stays.
    let price = mini.price.as_ref().unwrap();
    assert_eq!(
        price.listed(RateKind::Input).unwrap().per_million(),
        Money::parse("0.1").unwrap()
    );
    assert_eq!(price.listed(RateKind::CacheRead), None);
    assert_eq!(
        (mini.context_window, mini.features),
        (stock.context_window, stock.features)
    );
    // Nothing else changed, nothing is there twice.
    let count = |catalog: &Catalog| catalog.models_of("openai").count();
    assert_eq!(count(&catalog), count(Catalog::embedded()));
    assert_eq!(
        catalog.model("openai", "gpt-5"),
        Catalog::embedded().model("openai", "gpt-5")
    );
    assert_eq!(
        catalog.providers().count(),
        Catalog::embedded().providers().count() + 1
    );
    assert!(Catalog::embedded().model("openai", "our-mini").is_none());
}

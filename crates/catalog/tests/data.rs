//! The data files make sense: what a person wrote wrong is told here, with the line's name.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test says what it expects by failing"
)]

use std::collections::{HashMap, HashSet};
use std::path::Path;

use pointsman_catalog::{BatchInterface, Catalog, Model, Provider, RateKind, ServiceTier};
use pointsman_wire::format::Format;

/// Paths that are no chat formats, but known shapes.
const ENDPOINTS: [&str; 31] = [
    "batches",
    "cohere_rerank",
    "detokenize",
    "gemini_embed",
    "mixedbread_rerank",
    "pooling",
    "score",
    "tei_detokenize",
    "tei_embed",
    "tei_rerank",
    "tei_tokenize",
    "tokenize",
    "vertex_predict",
    "voyage_rerank",
    "bedrock_invoke",
    "cohere_embed",
    "count_tokens",
    "embeddings",
    "files",
    "image_edits",
    "image_variations",
    "images",
    "models",
    "moderations",
    "ocr",
    "realtime",
    "rerank",
    "speech",
    "transcriptions",
    "translations",
    "videos",
];

fn all() -> impl Iterator<Item = (&'static Provider, &'static Model)> {
    let catalog = Catalog::embedded();
    catalog.providers().flat_map(|provider| {
        catalog
            .models_of(&provider.id)
            .map(move |model| (provider, model))
    })
}

#[test]
fn every_file_is_read_whole() {
    let catalog = Catalog::embedded();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("data/models");
    let mut files = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        let lines: Vec<serde_json::Value> = serde_json::from_str(&text).unwrap();
        let provider = catalog
            .provider(name)
            .unwrap_or_else(|| panic!("no provider {name}"));
        assert_eq!(provider.id, name, "a models file is named by the provider's id");
        assert_eq!(
            catalog.models_of(name).count(),
            lines.len(),
            "{name} cannot be read"
        );
        // One model a line: what changes is seen in a diff.
        assert_eq!(text.lines().count(), lines.len() + 2, "{name}");
        files += 1;
    }
    assert!(files > 100, "{files}");
}

#[test]
fn names_of_providers_are_unique() {
    let mut names = HashMap::new();
    for provider in Catalog::embedded().providers() {
        for name in std::iter::once(&provider.id).chain(&provider.aliases) {
            let other = names.insert(name.clone(), &provider.id);
            assert_eq!(other, None, "{name} names {} and {other:?}", provider.id);
            assert!(
                !name.contains(char::is_whitespace) && !name.contains('/'),
                "{name}"
            );
        }
    }
}

#[test]
fn providers_can_be_reached_or_say_why_not() {
    for provider in Catalog::embedded().providers() {
        let id = &provider.id;
        for (name, path) in &provider.formats {
            assert!(Format::from_name(name).is_some(), "{id}: {name}");
            assert!(path.starts_with('/'), "{id}: {path}");
        }
        for (name, path) in &provider.endpoints {
            assert!(ENDPOINTS.contains(&name.as_str()), "{id}: {name}");
            assert!(path.starts_with('/'), "{id}: {path}");
        }
        if let Some(url) = &provider.base_url {
            let whole =
                url.starts_with("https://") || (provider.local && url.starts_with("http://127.0.0.1"));
            assert!(whole || !provider.is_spoken(), "{id}: {url}");
            assert!(!url.ends_with('/'), "{id}: {url}");
        } else {
            // Who is spoken to but has no address must be one of which everybody has their own.
            let own = ["openai-compatible", "anthropic-compatible", "heroku", "gdc"];
            assert!(
                !provider.is_spoken() || own.contains(&id.as_str()),
                "{id} has no base_url"
            );
        }
        if let Some(credentials) = &provider.credentials {
            assert!(
                ["aws", "gcp", "ibm", "oci", "oauth"].contains(&credentials.as_str()),
                "{id}: {credentials}"
            );
        }
        for name in &provider.env {
            let good = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_';
            assert!(!name.is_empty() && name.bytes().all(good), "{id}: {name}");
        }
    }
}

#[test]
fn there_are_enough_of_them() {
    let reachable = Catalog::embedded()
        .providers()
        .filter(|provider| provider.needs_only_a_key())
        .count();
    let priced = all().filter(|(_, model)| model.is_priced()).count();
    println!("{reachable} providers by key alone, {priced} priced models");
    assert!(reachable >= 130, "{reachable}");
    assert!(priced >= 3_500, "{priced}");
}

#[test]
fn ids_of_models_are_unique_and_lead_to_them() {
    let mut seen = HashSet::new();
    for (provider, model) in all() {
        assert!(
            seen.insert((&provider.id, &model.id)),
            "{}/{} twice",
            provider.id,
            model.id
        );
        let found = Catalog::embedded().model(&provider.id, &model.id).unwrap();
        assert_eq!(found.id, model.id, "{}", provider.id);
        assert!(
            !model.id.is_empty() && !model.id.contains(char::is_whitespace),
            "{:?}",
            model.id
        );
        assert_ne!(model.max_output, Some(0), "{}", model.id);
    }
}

#[test]
fn prices_are_plausible() {
    for (provider, model) in all() {
        let Some(price) = &model.price else { continue };
        assert!(
            !price.entries().is_empty(),
            "{}/{}: a price without rates",
            provider.id,
            model.id
        );
        for entry in price.entries() {
            let at = format!("{}/{}: {}", provider.id, model.id, entry.kind);
            assert!(entry.rate.per_million().nanodollars() >= 0, "{at}");
            if !entry.kind.is_each() {
                // The dearest tokens there are cost hundreds of dollars for a million.
                assert!(entry.rate.per_million().nanodollars() < 2_000_000_000_000, "{at}");
            }
            let tiered = entry.tier != ServiceTier::Standard || entry.above > 0;
            let known = matches!(entry.kind, RateKind::Input | RateKind::Output);
            if tiered && known {
                assert!(
                    price.listed(entry.kind).is_some(),
                    "{at}: a tier of a rate that is not listed"
                );
            }
        }
    }
}

#[test]
fn successors_are_models() {
    let mut known = 0;
    for (provider, model) in all() {
        if let Some(successor) = &model.successor {
            known += 1;
            assert!(model.deprecated.is_some(), "{}: a successor but no day", model.id);
            let next = Catalog::embedded().model(&provider.id, successor);
            assert!(next.is_some(), "{}: {successor} is not listed", model.id);
        }
    }
    assert!(known >= 15, "{known}");
}

#[test]
fn what_is_read_is_written_the_same() {
    for (provider, model) in all() {
        let Some(price) = &model.price else { continue };
        let text = serde_json::to_string(price).unwrap();
        let again = serde_json::from_str(&text).unwrap();
        assert_eq!(*price, again, "{}/{}: {text}", provider.id, model.id);
    }
}

#[test]
fn batches_have_a_place_and_what_their_shape_needs() {
    let mut known = 0;
    for provider in Catalog::embedded().providers() {
        let Some(batch) = &provider.batch else { continue };
        known += 1;
        let (id, has) = (&provider.id, |name| provider.endpoint(name).is_some());
        assert!(has("batches"), "{id}");
        assert!((1..=100).contains(&batch.percent), "{id}");
        assert!(batch.max_lines > 0 && batch.max_bytes > 0, "{id}");
        let format = match batch.interface {
            BatchInterface::OpenAi | BatchInterface::Mistral => "openai-chat",
            BatchInterface::Anthropic => "anthropic-messages",
        };
        assert!(provider.formats.contains_key(format), "{id}");
        assert!(
            batch.interface == BatchInterface::Anthropic || has("files"),
            "{id}"
        );
    }
    assert!(known >= 5, "{known}");
}

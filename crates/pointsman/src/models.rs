//! `pointsman models`: what the catalog, and the providers themselves, know of models.

mod live;
mod own;
mod pull;
mod show;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Subcommand};
use pointsman_catalog::{Catalog, Feature, Kind, Model, Money, Provider, RateKind};
use pointsman_config::{Config, Environment};

use crate::console;

#[derive(Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Lists models with what they cost and can.
    List(List),
    /// Checks the weights that ship, or those of a folder or name, from end to end.
    Verify(own::Verify),
    /// Fetches a model from the Hugging Face hub into the hub's own cache. HF_ENDPOINT, HF_TOKEN and HF_HOME are heeded.
    Pull(pull::Pull),
}

#[derive(Args)]
struct List {
    /// Only models whose name, or whose provider's name, contains this.
    text: Option<String>,
    /// Only models of this provider; may be given several times.
    #[arg(long)]
    provider: Vec<String>,
    /// Only models with this feature, such as vision or function_calling; may be given several times.
    #[arg(long, value_parser = feature)]
    feature: Vec<Feature>,
    /// Only models for this: chat, embedding, image, speech, …
    #[arg(long, value_parser = kind)]
    kind: Option<Kind>,
    /// Only models that take at least so many prompt tokens.
    #[arg(long)]
    min_context: Option<u64>,
    /// Only models whose prompt tokens cost at most so many dollars for a million.
    #[arg(long, value_parser = Money::parse)]
    max_price: Option<Money>,
    /// Also what only has another price: regions, sizes of images.
    #[arg(long)]
    variants: bool,
    /// Prints JSON.
    #[arg(long, conflicts_with = "counts")]
    json: bool,
    /// Prints how many there are instead.
    #[arg(long)]
    counts: bool,
    /// Asks the providers themselves, with the key of the configuration or the environment.
    #[arg(long, conflicts_with = "counts")]
    live: bool,
    /// A configuration: its providers and its catalog.
    #[arg(short, long)]
    config: Option<PathBuf>,
}

fn feature(text: &str) -> Result<Feature, String> {
    named(text, Feature::from_name, Feature::ALL, |one| one.name())
}

fn kind(text: &str) -> Result<Kind, String> {
    named(text, Kind::from_name, Kind::ALL, |one| one.name())
}

fn named<T: Copy>(
    text: &str,
    find: impl Fn(&str) -> Option<T>,
    all: &[T],
    name: impl Fn(T) -> &'static str,
) -> Result<T, String> {
    let known = || all.iter().map(|one| name(*one)).collect::<Vec<_>>().join(", ");
    find(&text.replace('-', "_")).ok_or_else(|| format!("there are {}", known()))
}

pub(crate) async fn run(arguments: Arguments) -> ExitCode {
    let list = match arguments.command {
        Command::List(list) => list,
        Command::Verify(verify) => return own::verify(&verify),
        Command::Pull(pull) => return pull::run(&pull).await,
    };
    let config = match &list.config {
        None => Config::default(),
        Some(path) => match pointsman_config::load(path, &Environment::process()) {
            Ok(loaded) => loaded.config,
            Err(problems) => {
                problems
                    .iter()
                    .for_each(|problem| console::complain(problem.to_string()));
                return ExitCode::FAILURE;
            }
        },
    };
    let catalog = config.catalog.build();
    let known = |name: &&String| {
        catalog.provider(name).is_none() && !config.providers.contains_key(*name) && *name != own::HERE
    };
    if let Some(unknown) = list.provider.iter().find(known) {
        return console::fail(&format!(
            "there is no provider {unknown:?}; `pointsman models list` shows them"
        ));
    }
    if list.live {
        return live::list(&list, &config, &catalog).await;
    }
    let rows: Vec<(&Provider, &Model)> = catalog
        .providers()
        .flat_map(|provider| {
            catalog
                .models_of(&provider.id)
                .map(move |model| (provider, model))
        })
        .filter(|(provider, model)| list.wants(&catalog, &config, provider, model))
        .collect();
    if list.counts {
        show::counts(&list, &catalog, &rows);
    } else if list.json {
        show::json(&rows, &own::all(&list, &config));
    } else {
        show::table(&rows);
        own::tell(&own::all(&list, &config));
    }
    ExitCode::SUCCESS
}

impl List {
    /// Whether the model is one of those that were asked for.
    fn wants(&self, catalog: &Catalog, config: &Config, provider: &Provider, model: &Model) -> bool {
        self.of_provider(catalog, config, &provider.id)
            && (self.variants || self.counts || !model.variant)
            && self.wants_facts(model)
            && self.wants_name(&model.id, provider)
    }

    fn wants_facts(&self, model: &Model) -> bool {
        self.kind.is_none_or(|kind| model.kind == kind)
            && self.feature.iter().all(|feature| model.features.has(*feature))
            && self
                .min_context
                .is_none_or(|least| model.context_window >= Some(least))
            && self
                .max_price
                .is_none_or(|most| input_price(model).is_some_and(|price| price <= most))
    }

    fn wants_name(&self, id: &str, provider: &Provider) -> bool {
        self.text.as_ref().is_none_or(|text| {
            let text = text.to_lowercase();
            [id, &provider.id, &provider.name]
                .iter()
                .any(|name| name.to_lowercase().contains(&text))
        })
    }

    /// Whether the provider is one of those that were named, by a name of the catalog or of the configuration.
    fn of_provider(&self, catalog: &Catalog, config: &Config, id: &str) -> bool {
        self.provider.is_empty()
            || self.provider.iter().any(|name| {
                let kind = config
                    .providers
                    .get(name)
                    .and_then(|named| named.kind.as_deref())
                    .unwrap_or(name);
                catalog.provider(kind).is_some_and(|named| named.id == id)
            })
    }

    /// Whether something of the model itself is asked for, so that one without facts cannot be it.
    fn asks_for_facts(&self) -> bool {
        self.kind.is_some()
            || !self.feature.is_empty()
            || self.min_context.is_some()
            || self.max_price.is_some()
    }
}

/// What a million prompt tokens cost.
fn input_price(model: &Model) -> Option<Money> {
    Some(model.price.as_ref()?.listed(RateKind::Input)?.per_million())
}

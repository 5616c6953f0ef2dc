//! `pointsman key`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Subcommand;
use pointsman_catalog::Money;
use pointsman_config::Environment;
use pointsman_store::{Actor, Budget, BudgetWindow, KeyRecord, NewKey, Store, StoreError, aws_secret};
use secrecy::{ExposeSecret, SecretString};

use crate::console;
use crate::quota::{Limits, window};

const NO_SIGNING: &str = "no signing secret: set identity.signing_secret in the configuration (and give it with -c), or POINTSMAN_SIGNING_SECRET, to at least 32 characters such as from `openssl rand -hex 32`";

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// The configuration, for its database.
    #[arg(short, long, global = true)]
    config: Option<PathBuf>,
    /// The database, when there is no configuration.
    #[arg(long, global = true, default_value = "sqlite://pointsman.db")]
    database: String,
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    /// Makes a key and shows it, once.
    Create(Box<Create>),
    /// Shows the AWS access key that belongs to a key, for Bedrock's SDKs. Needs `identity.signing_secret` in the
    /// configuration, or POINTSMAN_SIGNING_SECRET.
    Aws {
        /// Id or name.
        key: String,
    },
    /// Lists the keys.
    List,
    /// Revokes a key, by id or name.
    Revoke {
        /// Id or name.
        key: String,
    },
    /// Gives a key a new secret and shows it, once; the old one is refused at once, or after a grace.
    Rotate {
        /// Id or name.
        key: String,
        /// For so many seconds the old secret stays good.
        #[arg(long, default_value_t = 0)]
        grace: u32,
    },
}

#[derive(clap::Args)]
struct Create {
    /// A name for people.
    #[arg(long, default_value = "")]
    name: String,
    /// The organization it belongs to.
    #[arg(long)]
    organization: Option<String>,
    /// The team it belongs to.
    #[arg(long)]
    team: Option<String>,
    /// The project it belongs to.
    #[arg(long)]
    project: Option<String>,
    /// The user it belongs to.
    #[arg(long)]
    user: Option<String>,
    /// A model it may use, `*` standing for any run of letters; may be given several times. All, when not given.
    #[arg(long = "model")]
    models: Vec<String>,
    /// A provider that may answer it, by its name in the configuration; may be given several times. All, when not
    /// given.
    #[arg(long = "provider")]
    providers: Vec<String>,
    /// A guardrail that acts beside those that always do, by its name in the configuration; may be given several times.
    #[arg(long = "guardrail")]
    guardrails: Vec<String>,
    /// A surface it may ask, by its path such as `/v1/chat/completions` or `/mcp*`; may be given several times. All, when not
    /// given.
    #[arg(long = "surface")]
    surfaces: Vec<String>,
    /// A network it may be used from, such as 10.0.0.0/8; may be given several times. Any, when not given.
    #[arg(long = "network")]
    networks: Vec<String>,
    /// The named budget whose terms hold where the key has none of its own.
    #[arg(long)]
    plan: Option<String>,
    /// Requests a minute.
    #[arg(long)]
    rpm: Option<u64>,
    /// Tokens a minute.
    #[arg(long)]
    tpm: Option<u64>,
    #[command(flatten)]
    limits: Limits,
    /// Requests at once.
    #[arg(long)]
    concurrency: Option<u64>,
    /// Dollars it may spend.
    #[arg(long)]
    budget: Option<String>,
    /// After which the budget begins anew: total, day, week, month, or seconds such as 3600s; or one that slides, such as
    /// "sliding 30d".
    #[arg(long, value_parser = window, default_value_t = BudgetWindow::Month)]
    budget_window: BudgetWindow,
    /// Roles; may be given several times.
    #[arg(long = "role")]
    roles: Vec<String>,
    /// Groups; may be given several times.
    #[arg(long = "group")]
    groups: Vec<String>,
    /// A name of its own for a model, such as `fast=gpt-5-mini`; may be given several times.
    #[arg(long = "alias", value_parser = alias)]
    aliases: Vec<(String, String)>,
    /// Its priority, for shares of limits that are reserved; that of its holders where it has none.
    #[arg(long)]
    priority: Option<String>,
    /// Shows the AWS access key that belongs to it, too, for Bedrock's SDKs. Needs `identity.signing_secret` in the
    /// configuration, or POINTSMAN_SIGNING_SECRET.
    #[arg(long)]
    aws: bool,
}

fn alias(text: &str) -> Result<(String, String), String> {
    let (alias, model) = text
        .split_once('=')
        .ok_or_else(|| format!("{text:?} is no alias: write it like fast=gpt-5-mini"))?;
    Ok((alias.to_owned(), model.to_owned()))
}

pub(crate) fn run(arguments: Arguments) -> ExitCode {
    let from_environment = || {
        std::env::var("POINTSMAN_SIGNING_SECRET")
            .ok()
            .map(SecretString::from)
    };
    let (url, signing) = match &arguments.config {
        None => (arguments.database, from_environment()),
        Some(path) => match pointsman_config::load(path, &Environment::process()) {
            Ok(loaded) => {
                let signing = loaded.config.identity.signing_secret;
                let signing = signing.map(|secret| SecretString::from(secret.expose()));
                (loaded.config.stores.database, signing.or_else(from_environment))
            }
            Err(problems) => {
                problems
                    .iter()
                    .for_each(|problem| console::complain(problem.to_string()));
                return ExitCode::FAILURE;
            }
        },
    };
    match Store::open(&url).and_then(|store| act(&store, signing.as_ref(), arguments.action)) {
        Ok(code) => code,
        Err(error) => console::fail(&error.to_string()),
    }
}

fn act(store: &Store, signing: Option<&SecretString>, action: Action) -> Result<ExitCode, StoreError> {
    match action {
        Action::Create(create) => {
            if create.aws && signing.is_none() {
                return Ok(console::fail(NO_SIGNING));
            }
            let aws = create.aws;
            let grant = match grant(*create) {
                Ok(grant) => grant,
                Err(message) => return Ok(console::fail(&message)),
            };
            let (record, secret) = store.create_key(grant)?;
            console::complain(format!(
                "key {} made; this is the only time it is shown:",
                record.id.as_str()
            ));
            console::say(secret.expose_secret());
            if let Some(signing) = signing.filter(|_| aws) {
                show_aws(signing, &record);
            }
        }
        Action::Aws { key } => match signing {
            None => return Ok(console::fail(NO_SIGNING)),
            Some(signing) => show_aws(signing, &store.find_key(&key)?),
        },
        Action::List => {
            for key in store.keys()? {
                let state = if key.revoked_at.is_some() {
                    "revoked"
                } else {
                    "active"
                };
                let models = if key.grant.models.is_empty() {
                    "all models".to_owned()
                } else {
                    key.grant.models.join(" ")
                };
                console::say(format!(
                    "{}  {}  {:<8} {:<20} {models}",
                    key.id.as_str(),
                    key.hint,
                    state,
                    key.grant.name
                ));
            }
        }
        Action::Revoke { key } => {
            store.revoke_key(&store.find_key(&key)?.id)?;
            console::say(format!("{key} is revoked"));
        }
        Action::Rotate { key, grace } => {
            let id = store.find_key(&key)?.id;
            let grace = i64::from(grace) * 1_000;
            let (_, secret) = store.rotate_key_as(&Actor::local(), &id, None, grace)?;
            console::complain(format!(
                "{key} has a new secret; this is the only time it is shown:"
            ));
            console::say(secret.expose_secret());
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// What AWS's SDKs read from the environment.
fn show_aws(signing: &SecretString, key: &KeyRecord) {
    let secret = aws_secret(signing, &key.id, &key.hash);
    console::say(format!("AWS_ACCESS_KEY_ID={}", key.id.as_str()));
    console::say(format!("AWS_SECRET_ACCESS_KEY={}", secret.expose_secret()));
}

fn grant(create: Create) -> Result<NewKey, String> {
    let budget = create.budget.map(|amount| Money::parse(&amount)).transpose();
    let budget = budget.map_err(|error| error.to_string())?;
    let budget = budget.map(|amount| Budget {
        models: create.limits.budget_models,
        providers: create.limits.budget_providers,
        ..Budget::of(amount, create.budget_window)
    });
    Ok(NewKey {
        input_tokens_per_minute: create.limits.input_tpm,
        output_tokens_per_minute: create.limits.output_tpm,
        quotas: create.limits.quotas,
        name: create.name,
        organization: create.organization.map(Into::into),
        team: create.team.map(Into::into),
        project: create.project.map(Into::into),
        user: create.user.map(Into::into),
        models: create.models,
        requests_per_minute: create.rpm,
        tokens_per_minute: create.tpm,
        concurrency: create.concurrency,
        budgets: budget.into_iter().collect(),
        plan: create.plan.map(Into::into),
        providers: create.providers,
        guardrails: create.guardrails,
        surfaces: create.surfaces,
        networks: create.networks,
        expires_at: None,
        roles: create.roles,
        groups: create.groups,
        aliases: create.aliases.into_iter().collect(),
        priority: create.priority,
    })
}

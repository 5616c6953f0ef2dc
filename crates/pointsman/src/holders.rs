//! `pointsman organization|team|project|user|customer|agent|tag|budget`, `pointsman admin`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Subcommand;
use pointsman_catalog::Money;
use pointsman_config::Environment;
use pointsman_store::{
    Actor, Budget, BudgetWindow, HolderFilter, HolderKind, HolderSpec, Listing, Store, StoreError, Terms,
};
use secrecy::ExposeSecret;

use crate::console;
use crate::quota::{Limits, window};

/// Rows of a list.
const MAX_ROWS: u32 = 10_000;

/// Where the database is.
#[derive(clap::Args)]
pub(crate) struct Database {
    /// The configuration, for its database.
    #[arg(short, long, global = true)]
    config: Option<PathBuf>,
    /// The database, when there is no configuration.
    #[arg(long, global = true, default_value = "sqlite://pointsman.db")]
    database: String,
}

impl Database {
    /// Opens it.
    pub(crate) fn open(self) -> Result<Store, String> {
        Store::open(&self.url()?).map_err(|error| error.to_string())
    }

    /// Its URL.
    pub(crate) fn url(self) -> Result<String, String> {
        Ok(match &self.config {
            None => self.database,
            Some(path) => {
                let loaded = pointsman_config::load(path, &Environment::process());
                let loaded = loaded.map_err(|problems| {
                    let problems: Vec<_> = problems.iter().map(ToString::to_string).collect();
                    problems.join("\n")
                })?;
                loaded.config.stores.database
            }
        })
    }
}

#[derive(clap::Args)]
pub(crate) struct Holders {
    #[command(flatten)]
    database: Database,
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    /// Makes one.
    Create(Box<Create>),
    /// Lists them.
    List,
    /// Refuses its keys until it is enabled.
    Disable {
        /// Its id.
        id: String,
    },
    /// Lets its keys in again.
    Enable {
        /// Its id.
        id: String,
    },
    /// Deletes it; its keys are refused for good.
    Delete {
        /// Its id.
        id: String,
    },
}

#[derive(clap::Args)]
struct Create {
    /// Its id; one is made up when it is not given.
    id: Option<String>,
    /// A name for people.
    #[arg(long, default_value = "")]
    name: String,
    /// The organization that it belongs to.
    #[arg(long)]
    organization: Option<String>,
    /// The team that a project belongs to.
    #[arg(long)]
    team: Option<String>,
    /// A model that may be used, `*` standing for any run of letters; may be given several times.
    #[arg(long = "model")]
    models: Vec<String>,
    /// A provider that may answer; may be given several times.
    #[arg(long = "provider")]
    providers: Vec<String>,
    /// A guardrail that acts beside those that always do, by its name in the configuration; may be given several times.
    #[arg(long = "guardrail")]
    guardrails: Vec<String>,
    /// A surface that may be asked, by its path such as `/v1/chat/completions` or `/mcp*`; may be given several times. All, when not
    /// given.
    #[arg(long = "surface")]
    surfaces: Vec<String>,
    /// A network that requests may come from, such as 10.0.0.0/8; may be given several times. Any, when not given.
    #[arg(long = "network")]
    networks: Vec<String>,
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
    /// Dollars that may be spent.
    #[arg(long)]
    budget: Option<String>,
    /// After which the budget begins anew: total, day, week, month, or seconds such as 3600s; or one that slides, such as
    /// "sliding 30d".
    #[arg(long, value_parser = window, default_value_t = BudgetWindow::Month)]
    budget_window: BudgetWindow,
    /// The time zone in which its days begin, such as Europe/Berlin.
    #[arg(long)]
    time_zone: Option<String>,
    /// The priority of its keys that have none of their own.
    #[arg(long)]
    priority: Option<String>,
    /// Hundredths of its rates that stay reserved for keys of a priority, such as `interactive=40`; may be given several
    /// times.
    #[arg(long = "share", value_parser = share)]
    shares: Vec<(String, u8)>,
}

fn share(text: &str) -> Result<(String, u8), String> {
    let read = text
        .split_once('=')
        .and_then(|(name, percent)| Some((name, percent.parse().ok()?)));
    let (name, percent) =
        read.ok_or_else(|| format!("{text:?} is no share: write it like interactive=40"))?;
    Ok((name.to_owned(), percent))
}

/// Manages holders of a kind.
pub(crate) fn run(kind: HolderKind, arguments: Holders) -> ExitCode {
    let store = match arguments.database.open() {
        Ok(store) => store,
        Err(message) => return console::fail(&message),
    };
    match act(&store, kind, arguments.action) {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => console::fail(&message),
    }
}

fn act(store: &Store, kind: HolderKind, action: Action) -> Result<(), String> {
    let told = |error: StoreError| error.to_string();
    let actor = Actor::local();
    let switch = |id: &str, disabled: bool| {
        let changed = store.update_holder(&actor, (kind, id), None, |spec| {
            spec.disabled = disabled;
            Ok(())
        });
        changed.map(drop).map_err(told)
    };
    match action {
        Action::Create(create) => {
            let (id, spec) = spec(*create)?;
            let made = store.create_holder(&actor, kind, id, spec).map_err(told)?;
            console::say(made.id);
        }
        Action::List => {
            let listing = Listing {
                limit: MAX_ROWS,
                ..Listing::default()
            };
            let (page, total) = store
                .holders_page(kind, &HolderFilter::default(), &listing)
                .map_err(told)?;
            for holder in &page.items {
                let state = if holder.spec.disabled {
                    "disabled"
                } else {
                    "active"
                };
                console::say(format!("{:<32} {state:<9} {}", holder.id, holder.spec.name));
            }
            if page.more {
                console::complain(format!("these are {MAX_ROWS} of {total}"));
            }
        }
        Action::Disable { id } => switch(&id, true)?,
        Action::Enable { id } => switch(&id, false)?,
        Action::Delete { id } => {
            store.delete_holder(&actor, (kind, &id), None).map_err(told)?;
        }
    }
    Ok(())
}

fn spec(create: Create) -> Result<(Option<String>, HolderSpec), String> {
    let amount = create.budget.map(|amount| Money::parse(&amount)).transpose();
    let amount = amount.map_err(|error| error.to_string())?;
    let budget = amount.map(|amount| Budget {
        zone: create.time_zone,
        models: create.limits.budget_models,
        providers: create.limits.budget_providers,
        ..Budget::of(amount, create.budget_window)
    });
    let terms = Terms {
        models: create.models,
        providers: create.providers,
        guardrails: create.guardrails,
        surfaces: create.surfaces,
        networks: create.networks,
        requests_per_minute: create.rpm,
        tokens_per_minute: create.tpm,
        concurrency: create.concurrency,
        input_tokens_per_minute: create.limits.input_tpm,
        output_tokens_per_minute: create.limits.output_tpm,
        budgets: budget.into_iter().collect(),
        quotas: create.limits.quotas,
        priority: create.priority,
        shares: create.shares.into_iter().collect(),
    };
    let spec = HolderSpec {
        name: create.name,
        organization: create.organization.map(Into::into),
        team: create.team.map(Into::into),
        terms,
        ..HolderSpec::default()
    };
    Ok((create.id, spec))
}

#[derive(clap::Args)]
pub(crate) struct Admin {
    #[command(flatten)]
    database: Database,
    #[command(subcommand)]
    action: AdminAction,
}

#[derive(Subcommand)]
enum AdminAction {
    /// Makes a new password for the admin API and shows it, once; the old one ends.
    Password,
}

/// Manages whoever manages.
pub(crate) fn admin(arguments: Admin) -> ExitCode {
    let AdminAction::Password = arguments.action;
    let made = arguments.database.open().and_then(|store| {
        let made = store.make_admin_password(&Actor::local(), false);
        made.map_err(|error| error.to_string())
    });
    match made {
        Err(message) => console::fail(&message),
        Ok(password) => {
            console::say(password.expose_secret());
            ExitCode::SUCCESS
        }
    }
}

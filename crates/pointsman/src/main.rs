//! The one binary: command line and wiring.

mod alarms;
mod audit;
mod bench;
mod check;
mod client;
mod console;
mod database;
mod demo;
mod eval;
mod exported;
mod holders;
mod import;
mod key;
mod mcp;
mod models;
mod quota;
mod replay;
mod resident;
mod route;
mod secret;
mod serve;
mod sim;
mod tend;
mod train;
mod usage;
mod watch;
mod zero;

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use pointsman_store::HolderKind;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// One binary between applications and AI models: AI gateway, semantic router, inference load balancer.
#[derive(Parser)]
#[command(version, about)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Serves. Without a configuration: every provider whose environment variable is set and every local model server
    /// that answers, on loopback.
    Serve(serve::Arguments),
    /// Shows the whole road on simulated providers, then stays up.
    Demo(demo::Arguments),
    /// Checks a configuration and tells everything that is wrong with it.
    Check(check::Arguments),
    /// Tells what is understood of a prompt, and how it is routed.
    Route(route::Arguments),
    /// Takes recorded decisions again by a configuration before it goes live: which requests would change, why, and what
    /// it would cost and save.
    Replay(replay::Arguments),
    /// Measures the understanding of prompts on labelled ones.
    Eval(eval::Arguments),
    /// Fits a model of which model answers what well, to recorded outcomes.
    Train(train::Arguments),
    /// Manages virtual keys.
    Key(key::Arguments),
    /// Lists, calls and pins the tools of MCP servers, and speaks to a gateway's /mcp over standard input and output.
    Mcp(mcp::Arguments),
    /// Manages organizations.
    #[command(alias = "org")]
    Organization(holders::Holders),
    /// Manages teams.
    Team(holders::Holders),
    /// Manages projects.
    Project(holders::Holders),
    /// Manages users.
    User(holders::Holders),
    /// Manages end customers that requests name (`x-pointsman-customer`, `user`), by their names.
    Customer(holders::Holders),
    /// Manages agents that requests say they come from (`x-pointsman-agent`), by their names.
    Agent(holders::Holders),
    /// Manages tags that requests bear (`x-pointsman-tags`), by their names.
    Tag(holders::Holders),
    /// Manages named budgets, whose terms many keys have.
    Budget(holders::Holders),
    /// Shows what was used and what it cost, and exports it.
    Usage(usage::Usage),
    /// Tells how far the schema of a PostgreSQL database is, and takes it back for an older version.
    Database(database::Arguments),
    /// Keeps secrets in the database, sealed by a master key: credentials of providers.
    Secret(secret::Arguments),
    /// Checks, exports and shortens the audit log.
    Audit(audit::Audit),
    /// Makes a new password for the admin API.
    Admin(holders::Admin),
    /// Carries another gateway's configuration or database over, and tells what could not be.
    Import(import::Arguments),
    /// Lists models, verifies those that are here, fetches those of the hub.
    Models(models::Arguments),
    /// Runs simulated providers on their own.
    Sim(sim::Arguments),
    /// Measures what the gateway adds, next to a direct call and nginx.
    Bench(bench::Arguments),
    /// Tells the version.
    Version,
}

impl Command {
    /// What the log tells: of a command that answers a question, nothing that stands in the way of the answer.
    fn tells(&self) -> &'static str {
        match self {
            Self::Route(_) => "warn",
            _ => "info",
        }
    }
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    console::log(arguments.command.tells());
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return console::fail(&format!("no runtime: {error}")),
    };
    match arguments.command {
        Command::Serve(arguments) => runtime.block_on(serve::run(arguments)),
        Command::Demo(arguments) => runtime.block_on(demo::run(arguments)),
        Command::Check(arguments) => check::run(&arguments),
        Command::Route(arguments) => runtime.block_on(route::run(&arguments)),
        Command::Replay(arguments) => replay::run(&arguments),
        Command::Eval(arguments) => runtime.block_on(eval::run(&arguments)),
        Command::Train(arguments) => train::run(&arguments),
        Command::Key(arguments) => key::run(arguments),
        Command::Mcp(arguments) => runtime.block_on(mcp::run(arguments)),
        Command::Organization(arguments) => holders::run(HolderKind::Organization, arguments),
        Command::Team(arguments) => holders::run(HolderKind::Team, arguments),
        Command::Project(arguments) => holders::run(HolderKind::Project, arguments),
        Command::User(arguments) => holders::run(HolderKind::User, arguments),
        Command::Customer(arguments) => holders::run(HolderKind::Customer, arguments),
        Command::Agent(arguments) => holders::run(HolderKind::Agent, arguments),
        Command::Tag(arguments) => holders::run(HolderKind::Tag, arguments),
        Command::Budget(arguments) => holders::run(HolderKind::Plan, arguments),
        Command::Usage(arguments) => usage::run(arguments),
        Command::Database(arguments) => database::run(arguments),
        Command::Secret(arguments) => secret::run(arguments),
        Command::Audit(arguments) => audit::run(arguments),
        Command::Admin(arguments) => holders::admin(arguments),
        Command::Import(arguments) => import::run(arguments),
        Command::Models(arguments) => runtime.block_on(models::run(arguments)),
        Command::Sim(arguments) => runtime.block_on(sim::run(arguments)),
        Command::Bench(arguments) => runtime.block_on(bench::run(arguments)),
        Command::Version => {
            console::say(concat!("pointsman ", env!("CARGO_PKG_VERSION")));
            ExitCode::SUCCESS
        }
    }
}

//! `pointsman database`: the schema of PostgreSQL, for whoever goes back to an older version.

use std::process::ExitCode;

use clap::Subcommand;
use pointsman_store::{Store, StoreError};

use crate::console;
use crate::holders::Database;

#[derive(clap::Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    database: Database,
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    /// Takes the steps that are missing, as every start does, and tells how many are taken.
    Migrate,
    /// Takes steps back, for an older version of pointsman: stop all that run on the database first.
    Revert {
        /// So many steps remain.
        #[arg(long)]
        to: u32,
    },
}

pub(crate) fn run(arguments: Arguments) -> ExitCode {
    let told = |error: StoreError| error.to_string();
    let done = arguments.database.url().and_then(|url| match arguments.action {
        Action::Migrate => Store::open(&url)
            .and_then(|store| store.schema_steps())
            .map(|(taken, known)| format!("{taken} of {known} steps are taken"))
            .map_err(told),
        Action::Revert { to } => Store::revert_schema(&url, to)
            .map(|()| format!("{to} steps are left; start nothing newer on it"))
            .map_err(told),
    });
    match done {
        Ok(line) => {
            console::say(line);
            ExitCode::SUCCESS
        }
        Err(message) => console::fail(&message),
    }
}

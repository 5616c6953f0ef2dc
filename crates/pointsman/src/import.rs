//! `pointsman import`.

mod database;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::ValueEnum;
use pointsman_import::{Imported, Report, envoy_ai_gateway, litellm, mcp_servers, openapi, semantic_router};

use crate::console;
use crate::holders::Database;

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Whose configuration it is.
    #[arg(value_enum)]
    kind: Kind,
    /// The configuration; of litellm-db the URL of the database, or a variable that holds it: '${DATABASE_URL}'.
    source: PathBuf,
    /// Where pointsman.yaml is written; standard output when not given. A file that is there is not overwritten.
    #[arg(short, long)]
    output: Option<PathBuf>,
    /// Where the list of what could not be carried over is written, too: as JSON when the name ends in `.json`, else as
    /// Markdown.
    #[arg(long)]
    report: Option<PathBuf>,
    /// Overwrites the output.
    #[arg(long)]
    force: bool,
    /// With litellm-db: carries over what was read, into the database of --config or --database. Without it nothing is
    /// changed.
    #[arg(long)]
    apply: bool,
    #[command(flatten)]
    database: Database,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Kind {
    /// LiteLLM's config.yaml.
    Litellm,
    /// LiteLLM's PostgreSQL database: keys, which go on working, teams, users, organizations, budgets, spend.
    LitellmDb,
    /// Resources of Envoy AI Gateway, all in one file.
    EnvoyAiGateway,
    /// The vLLM Semantic Router's config.yaml, v0.3, or a fragment of one.
    SemanticRouter,
    /// The file of an MCP client, with `mcpServers`.
    Mcp,
    /// An OpenAPI document, as an MCP server.
    Openapi,
}

pub(crate) fn run(arguments: Arguments) -> ExitCode {
    if arguments.kind == Kind::LitellmDb {
        return database::run(arguments);
    }
    if arguments.apply {
        return console::fail("only litellm-db is carried into a database: --apply means nothing");
    }
    file(&arguments)
}

fn file(arguments: &Arguments) -> ExitCode {
    let imported = match arguments.kind {
        Kind::LitellmDb => return console::fail("a database is no file"),
        Kind::Litellm => litellm(&arguments.source),
        Kind::EnvoyAiGateway => envoy_ai_gateway(&arguments.source),
        Kind::SemanticRouter => semantic_router(&arguments.source),
        Kind::Mcp => mcp_servers(&arguments.source),
        Kind::Openapi => openapi(&arguments.source),
    };
    let imported = match imported {
        Ok(imported) => imported,
        Err(problems) => {
            problems
                .iter()
                .for_each(|problem| console::complain(problem.to_string()));
            return ExitCode::FAILURE;
        }
    };
    if let Err(message) = write(arguments, &imported) {
        return console::fail(&message);
    }
    tell(&imported)
}

fn write(arguments: &Arguments, imported: &Imported) -> Result<(), String> {
    let cannot =
        |path: &PathBuf, error: std::io::Error| format!("{} cannot be written: {error}", path.display());
    match &arguments.output {
        None => console::say(imported.yaml.trim_end()),
        Some(path) if path.exists() && !arguments.force => {
            return Err(format!(
                "{} is there already; give another name, or --force",
                path.display()
            ));
        }
        Some(path) => std::fs::write(path, &imported.yaml).map_err(|error| cannot(path, error))?,
    }
    if let Some(path) = &arguments.report {
        let report: &Report = &imported.report;
        let text = if path.extension().is_some_and(|ending| ending == "json") {
            report.json()
        } else {
            report.markdown()
        };
        std::fs::write(path, text).map_err(|error| cannot(path, error))?;
    }
    Ok(())
}

/// Tells what could not be carried over; fails when the result is no good configuration.
fn tell(imported: &Imported) -> ExitCode {
    let report = &imported.report;
    let lines = report.text();
    if !lines.is_empty() {
        console::complain(lines.trim_end());
    }
    console::complain(format!(
        "{} key(s) told of, {} environment variable(s) to set",
        report.lines.len(),
        report.variables.len()
    ));
    if imported.problems.is_empty() {
        return ExitCode::SUCCESS;
    }
    console::complain("what was written is no good configuration yet:");
    imported
        .problems
        .iter()
        .for_each(|problem| console::complain(problem.to_string()));
    ExitCode::FAILURE
}

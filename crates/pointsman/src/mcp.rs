//! `pointsman mcp`: the tools of MCP servers from the command line, and a gateway's address for clients that run programs.

mod bridge;
mod pins;
mod reach;
mod told;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Subcommand;

use crate::console;

#[derive(clap::Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    /// Lists tools: those of the servers of a configuration, or those of a gateway.
    List {
        #[command(flatten)]
        whom: reach::Whom,
        /// Their whole definitions, as JSON.
        #[arg(long)]
        json: bool,
    },
    /// Calls a tool.
    Call {
        #[command(flatten)]
        whom: reach::Whom,
        /// The tool, as `list` names it.
        tool: String,
        /// Its arguments, as a JSON object.
        #[arg(default_value = "{}")]
        arguments: String,
    },
    /// Writes the definitions of all tools of a configuration down, to be approved: for `mcp.pins`.
    Pin {
        /// The configuration.
        #[arg(short, long)]
        config: PathBuf,
        /// The file that is written.
        file: PathBuf,
        /// Overwrites the file.
        #[arg(long)]
        force: bool,
    },
    /// Tells how the tools of a configuration differ from those that were written down; fails if they do.
    Diff {
        /// The configuration.
        #[arg(short, long)]
        config: PathBuf,
        /// The file with what was approved.
        file: PathBuf,
    },
    /// Passes on what a client says on standard input to a gateway's `/mcp`, and its answers back.
    Stdio {
        #[command(flatten)]
        gateway: reach::Gateway,
    },
}

pub(crate) async fn run(arguments: Arguments) -> ExitCode {
    let done = match arguments.action {
        Action::List { whom, json } => told::list(&whom, json).await,
        Action::Call {
            whom,
            tool,
            arguments,
        } => told::call(&whom, tool, &arguments).await,
        Action::Pin { config, file, force } => pins::pin(&config, &file, force).await,
        Action::Diff { config, file } => pins::diff(&config, &file).await,
        Action::Stdio { gateway } => bridge::run(&gateway).await,
    };
    done.unwrap_or_else(|why| console::fail(&why))
}

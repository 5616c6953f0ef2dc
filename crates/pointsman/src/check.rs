//! `pointsman check`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use pointsman_config::{Environment, Node};
use pointsman_gateway::snapshot::{self, Lasting};

use crate::console;

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// The configuration.
    #[arg(required_unless_present = "schema")]
    file: Option<PathBuf>,
    /// Prints the JSON Schema of pointsman.yaml instead.
    #[arg(long)]
    schema: bool,
}

pub(crate) fn run(arguments: &Arguments) -> ExitCode {
    if arguments.schema {
        console::say(serde_json::to_string_pretty(&pointsman_config::schema()).unwrap_or_default());
        return ExitCode::SUCCESS;
    }
    let Some(file) = &arguments.file else {
        return console::fail("give a file");
    };
    match pointsman_config::load(file, &Environment::process()) {
        Ok(loaded) => {
            let warnings = &loaded.warnings;
            warnings
                .iter()
                .for_each(|warning| console::complain(format!("warning: {warning}")));
            let config = loaded.config;
            // What reading cannot see: whether the whole can be carried out.
            if let Err(problems) = snapshot::compile(&config, &Lasting::default()) {
                let tree = tree(file);
                for problem in &problems {
                    let place = tree.as_ref().map_or_else(String::new, |tree| {
                        let place = tree.place_of(&problem.path);
                        format!(":{}:{}", place.line, place.column)
                    });
                    let problem = loaded.mask.apply(&problem.to_string());
                    console::complain(format!("{}{place}: {problem}", file.display()));
                }
                console::complain(format!("{} problem(s)", problems.len()));
                return ExitCode::FAILURE;
            }
            let (providers, models) = (config.providers.len(), config.models.len());
            console::say(format!(
                "{}: good ({providers} providers, {models} models)",
                file.display()
            ));
            ExitCode::SUCCESS
        }
        Err(problems) => {
            problems
                .iter()
                .for_each(|problem| console::complain(problem.to_string()));
            console::complain(format!("{} problem(s)", problems.len()));
            ExitCode::FAILURE
        }
    }
}

/// The file as it is written: where things stand in it.
fn tree(file: &Path) -> Option<Node> {
    let text = std::fs::read_to_string(file).ok()?;
    let documents = pointsman_config::read_documents(&text, "").ok()?;
    documents.into_iter().next()
}

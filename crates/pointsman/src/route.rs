//! `pointsman route`: what is understood of a prompt, and where it goes.

mod columns;
mod survey;
mod told;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use pointsman_config::{Config, Environment};
use pointsman_gateway::Prices;
use pointsman_gateway::signals::{self, Examples, Models, Shows};
use pointsman_gateway::snapshot::{self, Lasting};
use pointsman_routing::selection::KnownModels;
use pointsman_routing::{Explanation, Facts, MessageFacts, Router, Want};
use pointsman_understanding::{Nobody, Understanding};
use serde::Serialize;

use crate::console;
use survey::Survey;

/// The configuration that is looked at where none is named.
const USUAL: &str = "pointsman.yaml";

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// The prompt.
    prompt: String,
    /// The configuration; ./pointsman.yaml where there is one, and none is needed.
    #[arg(short, long)]
    config: Option<PathBuf>,
    /// The model's name that is asked for, where recipes have names of their own; `auto` when not given.
    #[arg(short, long)]
    model: Option<String>,
    /// As JSON.
    #[arg(long)]
    json: bool,
}

/// All that is known.
#[derive(Serialize)]
struct Told<'a> {
    /// How it is routed; nothing without a `routing` block.
    #[serde(flatten)]
    routed: Option<&'a Explanation>,
    /// What is understood of it.
    understanding: &'a Survey,
}

pub(crate) async fn run(arguments: &Arguments) -> ExitCode {
    let config = match configuration(arguments.config.as_deref()) {
        Ok(config) => config,
        Err(code) => return code,
    };
    let understanding = Understanding::new(&config.understanding);
    let routed = explained(
        &config,
        &understanding,
        &arguments.prompt,
        arguments.model.as_deref(),
    )
    .await;
    let routed = match routed {
        Ok(routed) => routed,
        Err(message) => return console::fail(&message),
    };
    let survey = match Survey::of(&config.understanding, &arguments.prompt).await {
        Ok(survey) => survey,
        Err(error) => return console::fail(&error.to_string()),
    };
    if arguments.json {
        let told = Told {
            routed: routed.as_ref(),
            understanding: &survey,
        };
        console::say(serde_json::to_string_pretty(&told).unwrap_or_default());
    } else {
        told::survey(&arguments.prompt, &survey);
        match &routed {
            Some(explanation) => told::routing(explanation),
            None => console::say("routing    none is configured"),
        }
    }
    ExitCode::SUCCESS
}

/// The configuration that is named, or the usual one where it is there, or none.
pub(crate) fn configuration(named: Option<&Path>) -> Result<Config, ExitCode> {
    let usual = Path::new(USUAL);
    let path = match named {
        Some(path) => path,
        None if usual.exists() => usual,
        None => return Ok(Config::default()),
    };
    match pointsman_config::load(path, &Environment::process()) {
        Ok(loaded) => Ok(loaded.config),
        Err(problems) => {
            problems
                .iter()
                .for_each(|problem| console::complain(problem.to_string()));
            Err(ExitCode::FAILURE)
        }
    }
}

/// How the prompt is routed, if routing is configured: by the recipe that is entered by this model's name, if it is given.
async fn explained(
    config: &Config,
    understanding: &Understanding,
    prompt: &str,
    model: Option<&str>,
) -> Result<Option<Explanation>, String> {
    let Some(routing) = &config.routing else {
        return Ok(None);
    };
    let router = Router::compile(routing).map_err(|errors| format!("routing: {errors:?}"))?;
    let examples = Examples::of(&router);
    let models = Models {
        understanding,
        remotes: &Nobody,
        examples: &examples,
        helper: None,
    };
    let router = match model.map(|model| router.entered(model)) {
        None => &router,
        Some(Some(entered)) => entered,
        Some(None) => return Err("no routing is entered by this model's name".to_owned()),
    };
    let snapshot = snapshot::compile(config, &Lasting::default()).map_err(|problems| {
        let all: Vec<String> = problems.iter().map(ToString::to_string).collect();
        all.join("\n")
    })?;
    let prompt = Prompt {
        text: prompt,
        prices: Some(Prices(&snapshot)),
    };
    Ok(Some(explain(router, &models, &prompt).await))
}

/// A prompt without a conversation.
pub(crate) struct Prompt<'a> {
    pub(crate) text: &'a str,
    /// What models cost, where it is asked which of them answers.
    pub(crate) prices: Option<Prices<'a>>,
}

impl Shows for Prompt<'_> {
    fn show<T>(&self, judge: impl FnOnce(Facts<'_>) -> T) -> T {
        let messages = [MessageFacts {
            role: "user",
            text: self.text,
            ..MessageFacts::default()
        }];
        judge(Facts {
            user_text: self.text,
            messages: &messages,
            estimated_tokens: pointsman_wire::tokens::estimate(self.text),
            completion_tokens: self
                .prices
                .as_ref()
                .map_or(0, |prices| prices.0.default_completion),
            models: self.prices.as_ref().map(|prices| prices as &dyn KnownModels),
            ..Facts::default()
        })
    }
}

/// How a router routes a prompt, with everything that it weighs.
pub(crate) async fn explain(router: &Router, models: &Models<'_>, prompt: &Prompt<'_>) -> Explanation {
    let everything = (router, Want::Everything);
    signals::decide(everything, models, prompt, |deciding| deciding.explain(0.0)).await
}

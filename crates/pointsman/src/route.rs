//! `pointsman route`.

use std::path::PathBuf;
use std::process::ExitCode;

use pointsman_config::Environment;
use pointsman_routing::{Explanation, Facts, MessageFacts, Router};

use crate::console;

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// The prompt.
    prompt: String,
    /// The configuration.
    #[arg(short, long, default_value = "pointsman.yaml")]
    config: PathBuf,
    /// The model's name that is asked for, where recipes have names of their own; `auto` when not given.
    #[arg(short, long)]
    model: Option<String>,
    /// As JSON.
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(arguments: &Arguments) -> ExitCode {
    let config = match pointsman_config::load(&arguments.config, &Environment::process()) {
        Ok(loaded) => loaded.config,
        Err(problems) => {
            problems
                .iter()
                .for_each(|problem| console::complain(problem.to_string()));
            return ExitCode::FAILURE;
        }
    };
    let Some(routing) = config.routing else {
        return console::fail("the configuration has no routing block");
    };
    let router = match Router::compile(&routing) {
        Ok(router) => router,
        Err(errors) => return console::fail(&format!("routing: {errors:?}")),
    };
    let router = match arguments.model.as_deref().map(|model| router.entered(model)) {
        None => &router,
        Some(Some(entered)) => entered,
        Some(None) => return console::fail("no routing is entered by this model's name"),
    };
    let messages = [MessageFacts {
        role: "user",
        text: &arguments.prompt,
        ..MessageFacts::default()
    }];
    let estimated_tokens = pointsman_wire::tokens::estimate(&arguments.prompt);
    let facts = Facts {
        user_text: &arguments.prompt,
        messages: &messages,
        estimated_tokens,
        ..Facts::default()
    };
    let explanation = router.explain(&facts, 0.0);
    if arguments.json {
        console::say(serde_json::to_string_pretty(&explanation).unwrap_or_default());
    } else {
        tell(&explanation);
    }
    ExitCode::SUCCESS
}

fn tell(explanation: &Explanation) {
    console::say("signals");
    for (name, confidence) in &explanation.signal_confidences {
        let metrics = &explanation.metrics[name];
        let value = explanation.signal_values.get(name).copied().unwrap_or(0.0);
        let mark = if *confidence > 0.0 { "✓" } else { "·" };
        console::say(format!(
            "  {mark} {name:<40} confidence {confidence:.3}  value {value:.3}  {:.1} µs",
            metrics.execution_time_us
        ));
    }
    for (name, score) in &explanation.projection_scores {
        console::say(format!("  = {name:<40} {score:.3}"));
    }
    for name in &explanation.projections {
        console::say(format!("  ✓ projection:{name}"));
    }
    console::say("decisions");
    for trace in &explanation.eval_trace {
        let mark = if trace.matched { "✓" } else { "·" };
        console::say(format!(
            "  {mark} {:<40} priority {}  tier {}  confidence {:.3}",
            trace.decision, trace.priority, trace.tier, trace.confidence
        ));
    }
    console::say(format!(
        "decision   {}",
        explanation.routing_decision.as_deref().unwrap_or("none")
    ));
    match &explanation.selected_model {
        Some(selected) => {
            let lora = selected
                .lora_name
                .as_ref()
                .map(|lora| format!(", adapter {lora}"))
                .unwrap_or_default();
            let reasoning = match selected.use_reasoning {
                Some(true) => ", reasoning on",
                Some(false) => ", reasoning off",
                None => "",
            };
            console::say(format!(
                "model      {}{lora}{reasoning} ({})",
                selected.model, explanation.selection_method
            ));
        }
        None => console::say("model      none"),
    }
    console::say(format!(
        "candidates {}",
        explanation.recommended_models.join(", ")
    ));
}

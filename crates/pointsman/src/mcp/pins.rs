//! Definitions of tools, written down and held against what was.

use std::path::Path;
use std::process::ExitCode;

use pointsman_mcp::catalog::Kind;
use pointsman_mcp::pin::{Approved, Difference};
use serde_json::Value;

use super::reach;
use crate::console;

/// The definitions of all tools of a configuration. Whoever gives no list is an error: its tools would seem gone.
async fn found(config: &Path) -> Result<Approved, String> {
    let (hub, client) = reach::configured(config)?;
    let view = hub.view(None).ok_or("there are no servers")?;
    let mut found = Approved::default();
    for server in view.servers() {
        server.refresh(&client, Kind::Tools).await;
        let (list, _) = server
            .known(Kind::Tools)
            .ok_or_else(|| format!("{}: gave no list", server.name))?;
        let tools = found.servers.entry(server.name.clone()).or_default();
        for item in list.iter() {
            let definition: Value =
                serde_json::from_str(item.object.raw().get()).map_err(|error| error.to_string())?;
            tools.insert(item.name.clone(), definition);
        }
    }
    Ok(found)
}

pub(super) async fn pin(config: &Path, file: &Path, force: bool) -> Result<ExitCode, String> {
    if file.exists() && !force {
        return Err(format!(
            "{} is there already; see what changed with `pointsman mcp diff`, then use --force",
            file.display()
        ));
    }
    let found = found(config).await?;
    let tools: usize = found.servers.values().map(|tools| tools.len()).sum();
    std::fs::write(file, found.text()).map_err(|error| format!("{}: {error}", file.display()))?;
    console::say(format!(
        "{tools} tools of {} servers are in {}",
        found.servers.len(),
        file.display()
    ));
    Ok(ExitCode::SUCCESS)
}

pub(super) async fn diff(config: &Path, file: &Path) -> Result<ExitCode, String> {
    let approved = Approved::read(file)?;
    let found = found(config).await?;
    let differences = approved.differences(&found);
    for difference in &differences {
        tell(difference);
    }
    Ok(if differences.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn tell(difference: &Difference) {
    let Difference {
        server,
        tool,
        before,
        after,
    } = difference;
    match (before, after) {
        (None, _) => console::say(format!("{server}/{tool}: new")),
        (_, None) => console::say(format!("{server}/{tool}: gone")),
        (Some(before), Some(after)) => {
            console::say(format!("{server}/{tool}: changed"));
            let empty = serde_json::Map::new();
            let (before, after) = (
                before.as_object().unwrap_or(&empty),
                after.as_object().unwrap_or(&empty),
            );
            for (field, value) in before
                .iter()
                .filter(|(field, value)| after.get(*field) != Some(*value))
            {
                console::say(format!("  - {field}: {}", shown(value)));
            }
            for (field, value) in after
                .iter()
                .filter(|(field, value)| before.get(*field) != Some(*value))
            {
                console::say(format!("  + {field}: {}", shown(value)));
            }
        }
    }
}

/// A value on one line, with nothing in it that a terminal would act on or hide.
fn shown(value: &Value) -> String {
    let written = value.to_string();
    let letters = written.chars().map(|letter| match letter {
        '"' | '\'' | '\\' => letter.to_string(),
        other => other.escape_debug().to_string(),
    });
    letters.collect()
}

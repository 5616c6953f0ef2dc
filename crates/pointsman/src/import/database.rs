//! `pointsman import litellm-db`.

use std::path::Path;
use std::process::ExitCode;

use pointsman_import::{Applied, Migration, litellm_db};

use super::Arguments;
use crate::console;

/// Reads the other database, tells what would become of it, and carries it over when that is asked for.
pub(super) fn run(arguments: Arguments) -> ExitCode {
    match carry(arguments) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(message) => console::fail(&message),
    }
}

/// Whether all went well.
fn carry(arguments: Arguments) -> Result<bool, String> {
    if arguments.output.is_some() || arguments.force {
        return Err("litellm-db writes no configuration: --output and --force mean nothing".to_owned());
    }
    let url = address(&arguments.source.to_string_lossy())?;
    let migration = litellm_db(&url).map_err(|error| error.to_string())?;
    console::say(migration.text().trim_end());
    if let Some(path) = &arguments.report {
        write(path, &migration)?;
    }
    if !arguments.apply {
        console::say(format!("it would be made: {}", migration.summary()));
        console::say("nothing was changed; run it again with --apply");
        return Ok(true);
    }
    let store = arguments.database.open()?;
    let applied = migration.apply(&store).map_err(|error| error.to_string())?;
    tell(&applied);
    Ok(applied.refused.is_empty())
}

/// A URL, or the variable that holds it, as in `${DATABASE_URL}`: what stands in a command line can be seen by others.
fn address(source: &str) -> Result<String, String> {
    let name = source.strip_prefix("${").and_then(|rest| rest.strip_suffix('}'));
    match name.or_else(|| source.strip_prefix("os.environ/")) {
        None => Ok(source.to_owned()),
        Some(name) => std::env::var(name).map_err(|_| format!("the variable {name} is not set")),
    }
}

fn write(path: &Path, migration: &Migration) -> Result<(), String> {
    let text = if path.extension().is_some_and(|ending| ending == "json") {
        migration.json()
    } else {
        migration.markdown()
    };
    std::fs::write(path, text).map_err(|error| format!("{} cannot be written: {error}", path.display()))
}

fn tell(applied: &Applied) {
    console::say(format!(
        "made: {} holder(s), {} key(s), {} balance(s); {} were there already",
        applied.holders, applied.keys, applied.balances, applied.there
    ));
    for refused in &applied.refused {
        console::complain(format!("not made: {refused}"));
    }
}

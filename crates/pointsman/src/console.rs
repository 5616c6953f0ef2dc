//! Talking to the person at the terminal.

use std::io::Write;
use std::process::ExitCode;

use tracing_subscriber::EnvFilter;

/// Says a line on standard output. A closed output is nobody to talk to, not an error.
pub(crate) fn say(line: impl AsRef<str>) {
    let _ = writeln!(std::io::stdout().lock(), "{}", line.as_ref());
}

/// Says a line on standard error.
pub(crate) fn complain(line: impl AsRef<str>) {
    let _ = writeln!(std::io::stderr().lock(), "{}", line.as_ref());
}

/// Complains, and fails.
pub(crate) fn fail(line: &str) -> ExitCode {
    complain(format!("pointsman: {line}"));
    ExitCode::FAILURE
}

/// Starts the diagnostic log, on standard error; `RUST_LOG` chooses what it tells, and this where it is not set.
pub(crate) fn log(usual: &str) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(usual));
    // A second start (tests) finds the log running.
    let _ = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .try_init();
}

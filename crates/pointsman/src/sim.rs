//! `pointsman sim`.

use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;

use pointsman_testbed::{Chunking, Fault, Schedule, SimOptions, SimServer};

use crate::console;

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Where it listens.
    #[arg(long, default_value = "127.0.0.1:9900")]
    address: SocketAddr,
    /// Milliseconds to the first token.
    #[arg(long, default_value_t = 0)]
    first_token_ms: u64,
    /// Milliseconds between tokens.
    #[arg(long, default_value_t = 0)]
    token_delay_ms: u64,
    /// Bytes of a piece of a stream; an event a piece when not given.
    #[arg(long)]
    chunk_bytes: Option<usize>,
    /// A fault of every request, such as `status:500` or `cut-abort`.
    #[arg(long)]
    fault: Option<Fault>,
    /// Replies made once, for benchmarks.
    #[arg(long)]
    bench: bool,
}

pub(crate) async fn run(arguments: Arguments) -> ExitCode {
    let options = SimOptions {
        first_token: Duration::from_millis(arguments.first_token_ms),
        token_delay: Duration::from_millis(arguments.token_delay_ms),
        chunking: arguments.chunk_bytes.map_or(Chunking::Events, Chunking::Bytes),
        bench: arguments.bench,
        ..SimOptions::default()
    };
    let server = match SimServer::start(arguments.address, options).await {
        Ok(server) => server,
        Err(error) => return console::fail(&format!("cannot listen on {}: {error}", arguments.address)),
    };
    server.set_faults(
        arguments
            .fault
            .map(|fault| (Schedule::Always, fault))
            .into_iter()
            .collect(),
    );
    console::say(format!(
        "simulated providers (OpenAI, Anthropic) on http://{}",
        server.address()
    ));
    // Until somebody stops it.
    let _ = tokio::signal::ctrl_c().await;
    ExitCode::SUCCESS
}

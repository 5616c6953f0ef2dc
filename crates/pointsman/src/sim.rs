//! `pointsman sim`.

use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;

use pointsman_testbed::mcp::{self, McpEra, McpServer};
use pointsman_testbed::{AwsAccount, BatchOptions, Chunking, Coding, Fault, Schedule, SimOptions, SimServer};

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
    /// How bodies are compressed: `gzip`, `deflate`, `br` or `zstd`, whatever the client accepts.
    #[arg(long, default_value = "none")]
    coding: Coding,
    /// Streams of text have CRLF line ends.
    #[arg(long)]
    crlf: bool,
    /// The only access key whose signatures Bedrock accepts; without one, any that is well made.
    #[arg(long, requires = "aws_secret_key")]
    aws_access_key: Option<String>,
    /// The secret key it signs with.
    #[arg(long, requires = "aws_access_key")]
    aws_secret_key: Option<String>,
    /// An MCP server in place of providers: `legacy`, `modern`, or `stdio`.
    #[arg(long)]
    mcp: Option<McpKind>,
    /// Replies made once, for benchmarks.
    #[arg(long)]
    bench: bool,
}

/// Which MCP server is simulated.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum McpKind {
    /// With sessions, over HTTP.
    Legacy,
    /// Without sessions, over HTTP.
    Modern,
    /// With sessions, over standard input and output.
    Stdio,
}

async fn mcp(kind: McpKind, address: SocketAddr) -> ExitCode {
    let era = match kind {
        McpKind::Stdio => {
            mcp::serve_stdio().await;
            return ExitCode::SUCCESS;
        }
        McpKind::Legacy => McpEra::Legacy,
        McpKind::Modern => McpEra::Modern,
    };
    let server = match McpServer::start(address, era).await {
        Ok(server) => server,
        Err(error) => return console::fail(&format!("cannot listen on {address}: {error}")),
    };
    console::say(format!("simulated MCP server on http://{}", server.address()));
    let _ = tokio::signal::ctrl_c().await;
    ExitCode::SUCCESS
}

pub(crate) async fn run(arguments: Arguments) -> ExitCode {
    if let Some(kind) = arguments.mcp {
        return mcp(kind, arguments.address).await;
    }
    let options = SimOptions {
        first_token: Duration::from_millis(arguments.first_token_ms),
        token_delay: Duration::from_millis(arguments.token_delay_ms),
        chunking: arguments.chunk_bytes.map_or(Chunking::Events, Chunking::Bytes),
        coding: arguments.coding,
        crlf: arguments.crlf,
        bench: arguments.bench,
        aws: arguments
            .aws_access_key
            .zip(arguments.aws_secret_key)
            .map(|(access_key, secret_key)| AwsAccount {
                access_key,
                secret_key,
            }),
        batches: BatchOptions::default(),
        models: Vec::new(),
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
        "simulated providers (OpenAI, Anthropic, Gemini, Bedrock, Cohere, model servers) on http://{}",
        server.address()
    ));
    // Until somebody stops it.
    let _ = tokio::signal::ctrl_c().await;
    ExitCode::SUCCESS
}

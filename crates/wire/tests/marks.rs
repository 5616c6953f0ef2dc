//! Marks for providers' own caches: conversations with marks, as they go to a provider, exactly.
//!
//! `LONG` stands for a text that is long enough to be cached. `UPDATE_GOLDEN=1` writes what came out; read the difference
//! before it is committed.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test says what it expects by failing"
)]

use std::fs;
use std::path::PathBuf;

use bytes::Bytes;
use pointsman_wire::form::MaxTokensName;
use pointsman_wire::format::{self, EncodeTarget, Format};
use pointsman_wire::marks::{self, Takes, Wish};
use serde_json::{Value, json};

use Format::{AnthropicMessages, BedrockConverse, OpenAiChat};

const ALL: Wish<'static> = Wish {
    tools: true,
    instructions: true,
    history: true,
    ttl: None,
};
const USUAL: Wish<'static> = Wish {
    history: false,
    ..ALL
};
const CLAUDE: Takes = Takes {
    least: 1_024,
    tools: true,
    parts: true,
};

fn path(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("tests/golden/marks")
        .join(format!("{name}.json"))
}

fn long() -> String {
    "one two three ".repeat(400)
}

fn read(name: &str) -> String {
    let path = path(name);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// What `source` becomes with marks, and how many were set.
fn check(
    golden: &str,
    (from, source): (Format, &str),
    (to, model): (Format, &str),
    (wish, takes): (Wish<'_>, Takes),
) {
    let body = Bytes::from(read(source).replace("LONG", &long()));
    let mut request = format::decode_request(from, &body).unwrap();
    let set = marks::mark(&mut request, &wish, takes);
    assert!(set <= marks::MOST);
    // Marks are set once.
    assert_eq!(set > 0, request.marks_cache() && marks_before(from, &body) == 0);
    let target = EncodeTarget {
        model,
        default_max_tokens: 4_096,
        max_tokens_name: MaxTokensName::MaxTokens,
        developer_role: false,
        stream_usage: true,
    };
    let encoded = format::encode_request(to, &request, &target).unwrap();
    let text = String::from_utf8(encoded.body.to_vec()).unwrap();
    let body: Value = serde_json::from_str(&text.replace(&long(), "LONG")).unwrap();
    let losses: Vec<String> = encoded.losses.iter().map(|loss| loss.field.to_string()).collect();
    let found = json!({"set": set, "body": body, "losses": losses});
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(path(golden), format!("{found:#}\n")).unwrap();
    }
    let expected: Value = serde_json::from_str(&read(golden)).unwrap();
    assert_eq!(found, expected, "{golden} became\n{found:#}");
}

/// How often the client itself has marked something.
fn marks_before(from: Format, body: &Bytes) -> usize {
    usize::from(format::decode_request(from, body).unwrap().marks_cache())
}

#[test]
fn the_beginning_is_marked_for_every_provider_that_takes_marks() {
    let agent = (OpenAiChat, "agent.in");
    let claude = (AnthropicMessages, "claude-sonnet-4-5");
    check("agent.anthropic", agent, claude, (ALL, CLAUDE));
    check(
        "agent.anthropic.usual",
        agent,
        claude,
        (
            Wish {
                ttl: Some("1h"),
                ..USUAL
            },
            CLAUDE,
        ),
    );
    let on_bedrock = (BedrockConverse, "anthropic.claude-sonnet-4-5-20250929-v1:0");
    check("agent.bedrock", agent, on_bedrock, (ALL, CLAUDE));
    let nova = Takes {
        tools: false,
        ..CLAUDE
    };
    check(
        "agent.nova",
        agent,
        (BedrockConverse, "amazon.nova-pro-v1:0"),
        (ALL, nova),
    );
    // OpenRouter takes over those on texts.
    let texts = Takes {
        tools: false,
        parts: false,
        ..CLAUDE
    };
    check(
        "agent.openai",
        agent,
        (OpenAiChat, "anthropic/claude-sonnet-4.5"),
        (ALL, texts),
    );
}

#[test]
fn history_is_marked_where_it_ends_now_and_where_it_ended_a_turn_ago() {
    let claude = (AnthropicMessages, "claude-sonnet-4-5");
    check(
        "turns.anthropic",
        (AnthropicMessages, "turns.in"),
        claude,
        (ALL, CLAUDE),
    );
    // What is too short for a model is not marked.
    let long = Takes {
        least: 4_096,
        ..CLAUDE
    };
    check(
        "turns.anthropic.opus",
        (AnthropicMessages, "turns.in"),
        claude,
        (ALL, long),
    );
}

#[test]
fn what_is_short_and_what_the_client_has_marked_stays_as_it_is() {
    let claude = (AnthropicMessages, "claude-sonnet-4-5");
    check("short.anthropic", (OpenAiChat, "short.in"), claude, (ALL, CLAUDE));
    check(
        "own.anthropic",
        (AnthropicMessages, "own.in"),
        claude,
        (ALL, CLAUDE),
    );
}

#[test]
fn the_same_beginning_has_the_same_key_and_a_short_one_has_none() {
    let read = |name: &str, end: &str| {
        let body = read(name).replace("And Rome?", end).replace("LONG", &long());
        format::decode_request(OpenAiChat, &Bytes::from(body)).unwrap()
    };
    let one = marks::key(&read("agent.in", "And Rome?")).unwrap();
    assert_eq!(marks::key(&read("agent.in", "And Oslo?")), Some(one));
    let mut other = read("agent.in", "And Rome?");
    other.tools.pop();
    assert_ne!(marks::key(&other), Some(one));
    assert_eq!(marks::key(&read("short.in", "")), None);
}

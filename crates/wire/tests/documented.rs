//! `docs/formats.md` says what the rules say: it is written from them. With `UPDATE_DOCS=1` it is written anew.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test says what it expects by failing"
)]

use std::fmt::Write as _;
use std::path::Path;

use pointsman_wire::format::Format;
use pointsman_wire::responses;
use pointsman_wire::rules::{self, Fate, Rule};

const INTRODUCTION: &str = "# Formats

A client speaks one format, a provider the same or another. Where both speak the same, a body passes through byte for \
byte, but for the fields that the gateway owns (the model's name, usage in streams); what Pointsman does not know passes, too. \
Where they differ, the request is read into one form and written as the provider's format, and the answer comes back the same way, \
whole or streamed, errors included.

No two formats can say the same things. What the provider's format cannot express has one of three fates:

- **nearest**: it is written as the nearest thing the format has;
- **left out**: the answer may differ a little without it;
- **refused**: without it the request would mean something else. The client gets a 400 that names the field.

Nothing is lost in silence: each thing that was written as something near or left out is told in the log, at level \
`debug`. Below is what becomes of what, by the format of the provider. Fields go by the names that OpenAI's format has for them, \
where it has one.

Signatures of reasoning and of tool calls go back to the provider that made them, and to no other, whichever format carries \
them meanwhile: [a proof says whose it is](decisions/0004-proofs-are-sealed.md).

This page is written from the rules in the code; a test compares them.
";

const TARGETS: [(Format, &str); 6] = [
    (Format::OpenAiChat, "OpenAI chat completions"),
    (Format::OpenAiResponses, "OpenAI responses"),
    (Format::AnthropicMessages, "Anthropic messages"),
    (Format::GeminiGenerate, "Gemini generateContent"),
    (Format::BedrockConverse, "Bedrock Converse"),
    (Format::CohereChat, "Cohere chat"),
];

fn table<'r>(page: &mut String, title: &str, rules: impl IntoIterator<Item = &'r Rule>) {
    let _ = write!(
        page,
        "\n## {title}\n\n| field | becomes | note |\n| --- | --- | --- |\n"
    );
    for rule in rules {
        let fate = match rule.fate {
            Fate::Nearest => "nearest",
            Fate::LeftOut => "left out",
            Fate::Refused => "refused",
        };
        let field = if rule.field.contains(' ') {
            rule.field.to_owned()
        } else {
            format!("`{}`", rule.field)
        };
        let _ = writeln!(page, "| {field} | {fate} | {} |", rule.note.replace('|', "\\|"));
    }
}

fn page() -> String {
    let mut page = INTRODUCTION.to_owned();
    table(&mut page, "Any provider of another format", rules::EVERYWHERE);
    let referring = responses::rules::REFERRING.iter();
    table(
        &mut page,
        "Clients of OpenAI responses, to providers of other formats",
        referring,
    );
    for (format, title) in TARGETS {
        table(&mut page, title, rules::of(format).iter().copied());
    }
    page
}

#[test]
fn the_page_on_formats_says_what_the_rules_say() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/formats.md");
    let page = page();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&file, &page).unwrap();
    }
    let found = std::fs::read_to_string(&file).unwrap();
    assert_eq!(found, page, "run it with UPDATE_DOCS=1");
}

#[test]
fn each_rule_is_told_once_for_its_format() {
    for (format, title) in TARGETS {
        let all = rules::of(format);
        assert!(!all.is_empty(), "{title}");
        for (index, rule) in all.iter().enumerate() {
            let same = |other: &&Rule| other.field == rule.field && other.note == rule.note;
            assert!(
                !all[index + 1..].iter().any(same),
                "{title}: {} twice",
                rule.field
            );
            assert!(!rule.field.is_empty() && !rule.note.is_empty());
        }
    }
}

//! Calls of tools as the client is told of them: items of OpenAI's Responses, or blocks of Anthropic's Messages.

use pointsman_wire::form::{Part, PartKind};
use pointsman_wire::format::Format;
use pointsman_wire::json::Json;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::super::mcp::Listed;

/// What ids of calls hold that were made here.
pub const MARK: &str = "_pm_";

/// Tells the client what was done.
#[derive(Debug, Clone, Copy)]
pub struct Teller<'a> {
    /// Its format.
    pub format: Format,
    /// The request's id, which ids are made of.
    pub id: &'a str,
}

/// A call that was made.
pub struct Made<'a> {
    /// Its number in the request.
    pub number: u32,
    /// Of which server.
    pub label: &'a str,
    /// The tool.
    pub name: &'a str,
    /// With what.
    pub arguments: &'a str,
    /// What came of it.
    pub outcome: &'a Result<String, String>,
    /// Under which id it was approved, if it had to be.
    pub approved: Option<&'a str>,
}

impl Teller<'_> {
    fn is_items(&self) -> bool {
        self.format == Format::OpenAiResponses
    }

    /// At most 40 letters: no more may ids of calls have that are told to providers of OpenAI's API again.
    fn own(&self, prefix: &str, number: u32) -> String {
        let of: Vec<char> = self.id.chars().filter(char::is_ascii_alphanumeric).collect();
        let id: String = of[of.len().saturating_sub(24)..].iter().collect();
        format!("{prefix}{MARK}{id}_{number}")
    }

    fn part(&self, value: &Value) -> Part {
        let kind = value["type"].as_str().unwrap_or_default().to_owned();
        Part::new(PartKind::Opaque {
            format: self.format,
            kind: kind.into(),
            json: Json::of(value).unwrap_or_else(|_| Json::null()),
        })
    }

    /// The tools of a server; Anthropic's clients are not told of them.
    pub fn listed(&self, number: u32, label: &str, tools: &[&Listed], error: Option<&str>) -> Option<Part> {
        if !self.is_items() {
            return None;
        }
        let tools = tools.iter().map(|tool| {
            json!({
                "name": tool.name, "description": tool.description, "input_schema": tool.schema,
                "annotations": tool.annotations,
            })
        });
        let item = json!({
            "id": self.own("mcpl", number), "type": "mcp_list_tools", "server_label": label,
            "tools": tools.collect::<Vec<_>>(), "error": error,
        });
        Some(self.part(&item))
    }

    /// A call that was made, and what came of it.
    pub fn made(&self, made: &Made<'_>) -> Vec<Part> {
        let (output, error) = match made.outcome {
            Ok(output) => (Some(output), None),
            Err(error) => (None, Some(error)),
        };
        if self.is_items() {
            let item = json!({
                "id": self.own("mcp", made.number), "type": "mcp_call", "server_label": made.label,
                "name": made.name, "arguments": made.arguments, "output": output, "error": error,
                "status": if error.is_some() { "failed" } else { "completed" },
                "approval_request_id": made.approved,
            });
            return vec![self.part(&item)];
        }
        let id = self.own("mcptoolu", made.number);
        let input: Option<&RawValue> = serde_json::from_str(made.arguments).ok();
        let said = output.or(error).map_or("", String::as_str);
        let asked = json!({
            "type": "mcp_tool_use", "id": id, "name": made.name, "server_name": made.label,
            "input": input.map_or_else(|| json!({}), |input| json!(input)),
        });
        let answered = json!({
            "type": "mcp_tool_result", "tool_use_id": id, "is_error": error.is_some(),
            "content": [{ "type": "text", "text": said }],
        });
        vec![self.part(&asked), self.part(&answered)]
    }

    /// A call that waits for approval.
    pub fn waits(&self, number: u32, (label, name, arguments): (&str, &str, &str)) -> Part {
        self.part(&json!({
            "id": self.own("mcpr", number), "type": "mcp_approval_request", "server_label": label,
            "name": name, "arguments": arguments,
        }))
    }
}

//! The plugin `tools`: tools that a model does not see, and earlier calls that it is not told of.

use pointsman_routing::Tools;
use pointsman_wire::form::{ChatRequest, PartKind, ToolChoice, ToolKind};

/// Takes away what the model is not to see; says whether that was anything.
pub fn take_away(request: &mut ChatRequest, tools: &Tools) -> bool {
    let before = request.tools.len();
    request.tools.retain(|tool| {
        tools.shows(match &tool.kind {
            ToolKind::Function { name, .. } => name,
            ToolKind::Opaque { kind, .. } => kind,
        })
    });
    let mut edited = request.tools.len() != before;
    // Nobody can be made to call what is not there.
    let chosen = match &request.tool_choice {
        Some(ToolChoice::Function(name)) => !tools.shows(name),
        Some(_) => request.tools.is_empty(),
        None => false,
    };
    if edited && chosen {
        request.tool_choice = None;
    }
    if request.tools.is_empty() && edited {
        request.parallel_tool_calls = None;
    }
    if tools.without_history {
        edited |= forget_calls(request);
    }
    edited
}

/// Leaves out calls and their results, and messages that hold nothing else.
fn forget_calls(request: &mut ChatRequest) -> bool {
    let mut edited = false;
    request.messages.retain_mut(|message| {
        let before = message.parts.len();
        message
            .parts
            .retain(|part| !matches!(part.kind, PartKind::ToolCall(_) | PartKind::ToolResult(_)));
        edited |= message.parts.len() != before;
        message.parts.len() == before || !message.parts.is_empty()
    });
    edited
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use pointsman_wire::format::{self, Format};
    use serde_json::json;

    use super::*;

    fn request() -> ChatRequest {
        let tool = |name: &str| json!({"type": "function", "function": {"name": name, "parameters": {"type": "object"}}});
        let body = json!({
            "model": "m", "tools": [tool("look"), tool("delete")], "parallel_tool_calls": true,
            "tool_choice": {"type": "function", "function": {"name": "delete"}},
            "messages": [
                {"role": "user", "content": "go"},
                {"role": "assistant", "content": null, "tool_calls": [{"id": "1", "type": "function", "function": {"name": "look", "arguments": "{}"}}]},
                {"role": "tool", "tool_call_id": "1", "content": "seen"},
                {"role": "user", "content": "and?"}
            ]
        });
        format::decode_request(Format::OpenAiChat, &Bytes::from(body.to_string())).unwrap()
    }

    #[test]
    fn tools_are_filtered_and_a_choice_of_what_is_gone_goes() {
        let mut asked = request();
        let tools = Tools {
            blocked: vec!["delete".to_owned()],
            ..Tools::default()
        };
        assert!(take_away(&mut asked, &tools));
        assert_eq!(
            (
                asked.tools.len(),
                asked.tool_choice.is_none(),
                asked.messages.len()
            ),
            (1, true, 4)
        );
        assert!(!take_away(&mut asked, &tools));
        let mut asked = request();
        let tools = Tools {
            allowed: vec!["delete".to_owned()],
            ..Tools::default()
        };
        assert!(take_away(&mut asked, &tools));
        assert!(asked.tool_choice.is_some());
    }

    #[test]
    fn without_tools_and_history_only_what_was_said_is_left() {
        let mut asked = request();
        let tools = Tools {
            none: true,
            without_history: true,
            ..Tools::default()
        };
        assert!(take_away(&mut asked, &tools));
        assert_eq!((asked.tools.len(), asked.messages.len()), (0, 2));
        assert!(asked.tool_choice.is_none() && asked.parallel_tool_calls.is_none());
    }
}

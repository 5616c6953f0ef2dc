//! The tool, the instructions and the request for mending.

use pointsman_wire::form::{ChatRequest, Extra, Message, Role, Text, Tool, ToolChoice, ToolKind};
use pointsman_wire::json::Json;

use super::{Flaw, Schema};

/// The tool's name where the schema has none that providers take.
const TOOL: &str = "structured_answer";
/// Longest name of a tool that every provider takes.
const MAX_NAME: usize = 64;
/// Most bytes of a wrong answer that is shown again.
const MAX_SHOWN: usize = 64 * 1024;

/// The tool's name for a schema called `name`.
pub fn tool_name(name: Option<&str>) -> Text {
    let fits = |name: &&str| {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
        let first = name.as_bytes().first().is_some_and(u8::is_ascii_alphabetic);
        first && name.len() <= MAX_NAME && name.bytes().all(plain)
    };
    Text::from(name.filter(fits).unwrap_or(TOOL))
}

/// Has the answer given as the arguments of a tool.
pub fn with_tool(request: &mut ChatRequest, schema: &Schema) {
    let description = schema
        .description
        .clone()
        .unwrap_or_else(|| "Gives the answer. Its arguments are the whole answer.".into());
    request.tools = vec![Tool {
        kind: ToolKind::Function {
            name: schema.name.clone(),
            description: Some(description),
            parameters: Some(schema.json.clone()),
            strict: None,
            extra: Extra::default(),
        },
        cache_control: None,
        extra: Extra::default(),
    }];
    request.tool_choice = Some(ToolChoice::Function(schema.name.clone()));
    request.parallel_tool_calls = None;
}

/// Says in the instructions what the answer must look like, behind those there are: what a provider remembers of them
/// stays good.
pub fn instruct(request: &mut ChatRequest, schema: Option<&Json>) {
    let text = match schema {
        Some(schema) => format!(
            "Answer with one JSON document that is valid for the JSON Schema below. Write nothing but the document: \
             no explanation, no code fence.\n\n{}",
            schema.as_str()
        ),
        None => "Answer with one JSON object. Write nothing but the object: no explanation, no code fence."
            .to_owned(),
    };
    let is_instruction = |message: &Message| matches!(message.role, Role::System | Role::Developer);
    let at = request
        .messages
        .iter()
        .take_while(|message| is_instruction(message))
        .count();
    request.messages.insert(at, Message::text(Role::System, text));
}

/// Shows the wrong answer and what is wrong with it, and asks for another.
pub fn mend(request: &mut ChatRequest, flaw: &Flaw) {
    let said = flaw.said.trim();
    if !said.is_empty() {
        let mut to = said.len().min(MAX_SHOWN);
        while !said.is_char_boundary(to) {
            to -= 1;
        }
        let shown = said[..to].to_owned();
        request.messages.push(Message::text(Role::Assistant, shown));
    }
    let place = if flaw.path.is_empty() {
        String::new()
    } else {
        format!(" at {}", flaw.path)
    };
    let text = format!(
        "This answer does not have the form that was asked for{place}: {}. Give the whole answer again, corrected, \
         in that form and with nothing around it.",
        flaw.message
    );
    request.messages.push(Message::text(Role::User, text));
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use pointsman_wire::format::{self, Format};

    use super::*;

    fn request() -> ChatRequest {
        let body = r#"{"model":"m","messages":[{"role":"system","content":"Be brief."},{"role":"user","content":"Hi"}]}"#;
        format::decode_request(Format::OpenAiChat, &Bytes::from_static(body.as_bytes())).unwrap()
    }

    fn roles(request: &ChatRequest) -> Vec<Role> {
        request.messages.iter().map(|message| message.role).collect()
    }

    #[test]
    fn instructions_stand_behind_those_there_are() {
        let mut request = request();
        instruct(&mut request, None);
        assert_eq!(roles(&request), [Role::System, Role::System, Role::User]);
        assert_ne!(request.messages[0], request.messages[1]);
    }

    #[test]
    fn mending_shows_what_was_said_and_where_it_is_wrong() {
        let mut request = request();
        let flaw = Flaw {
            said: "{\"n\":\"x\"}".to_owned(),
            path: "/n".to_owned(),
            message: "it is no number".to_owned(),
        };
        mend(&mut request, &flaw);
        assert_eq!(
            roles(&request)[2..],
            [Role::Assistant, Role::User],
            "behind the conversation"
        );
        let silent = Flaw {
            said: " ".to_owned(),
            ..flaw
        };
        mend(&mut request, &silent);
        assert_eq!(request.messages.len(), 5, "nothing was said, nothing is shown");
    }

    #[test]
    fn tools_have_names_that_every_provider_takes() {
        assert_eq!(tool_name(Some("city-2")), "city-2");
        for bad in [
            None,
            Some(""),
            Some("2x"),
            Some("a b"),
            Some("é"),
            Some(&*"a".repeat(65)),
        ] {
            assert_eq!(tool_name(bad), TOOL);
        }
    }
}

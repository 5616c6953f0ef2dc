//! What the calls of a loop ask: the client's request, changed as the loop says.

use pointsman_routing::loops::Terms;
use pointsman_wire::form::{ChatRequest, Message, PartKind, ResponseFormat, Role, StreamRequest, ToolChoice};
use serde_json::Number;

/// The client's request for one answer, which is read whole.
pub fn whole(request: &ChatRequest) -> ChatRequest {
    let mut request = request.clone();
    request.stream = StreamRequest::default();
    request.sampling.n = None;
    request.sampling.logprobs = None;
    request.sampling.top_logprobs = None;
    request
}

/// The same, under other terms.
pub fn under(mut request: ChatRequest, terms: Terms) -> ChatRequest {
    if let Some(temperature) = terms.temperature.and_then(Number::from_f64) {
        request.sampling.temperature = Some(temperature);
    }
    if let Some(tokens) = terms.max_tokens {
        request.sampling.max_tokens = Some(tokens);
    }
    request
}

/// The same, of somebody who shall call no tools. Where the conversation tells of calls, the tools stay there, because
/// some providers want to know what was called.
pub fn without_tools(mut request: ChatRequest) -> ChatRequest {
    if calls_tools(&request) {
        request.tool_choice = Some(ToolChoice::None);
    } else {
        request.tools.clear();
        request.tool_choice = None;
    }
    request.parallel_tool_calls = None;
    request
}

fn calls_tools(request: &ChatRequest) -> bool {
    let mut parts = request.messages.iter().flat_map(|message| &message.parts);
    parts.any(|part| matches!(part.kind, PartKind::ToolCall(_) | PartKind::ToolResult(_)))
}

/// The conversation, and a message behind it.
pub fn followed(mut request: ChatRequest, text: String) -> ChatRequest {
    request.messages.push(Message::text(Role::User, text));
    request
}

/// The conversation with other words in its last message; what else the user has sent with it stays.
pub fn instead(mut request: ChatRequest, text: String) -> ChatRequest {
    match request.messages.last_mut().filter(|last| last.role == Role::User) {
        Some(last) => {
            let mut said = Message::text(Role::User, text);
            let others = last.parts.drain(..);
            let others =
                others.filter(|part| !matches!(part.kind, PartKind::Text(_) | PartKind::ToolResult(_)));
            said.parts.extend(others);
            if said.parts.len() > 1 {
                said.shape = pointsman_wire::form::ContentShape::Parts;
            }
            *last = said;
        }
        None => request.messages.push(Message::text(Role::User, text)),
    }
    request
}

/// A question of the gateway's own, without the conversation.
pub fn alone(request: &ChatRequest, text: String) -> ChatRequest {
    let mut request = without_tools(whole(request));
    request.messages = vec![Message::text(Role::User, text)];
    request.tools.clear();
    request.tool_choice = None;
    request.response_format = None;
    request.sampling.stop.clear();
    request
}

/// The same, whose answer is any JSON object.
pub fn for_object(mut request: ChatRequest, wanted: bool) -> ChatRequest {
    request.response_format = wanted.then_some(ResponseFormat::JsonObject);
    request
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use pointsman_wire::format::{self, Format};
    use pointsman_wire::text;

    use super::*;

    fn request(body: &str) -> ChatRequest {
        format::decode_request(Format::OpenAiChat, &Bytes::from(body.to_owned())).unwrap()
    }

    #[test]
    fn tools_go_unless_the_conversation_tells_of_calls() {
        let tools =
            r#""tools": [{"type": "function", "function": {"name": "look"}}], "tool_choice": "required""#;
        let fresh = request(&format!(
            r#"{{"model": "m", "messages": [{{"role": "user", "content": "hi"}}], {tools}}}"#
        ));
        let fresh = without_tools(whole(&fresh));
        assert!(fresh.tools.is_empty() && fresh.tool_choice.is_none());
        let later = request(&format!(
            r#"{{"model": "m", "messages": [{{"role": "user", "content": "hi"}},
                {{"role": "assistant", "tool_calls": [{{"id": "c", "type": "function", "function": {{"name": "look", "arguments": "{{}}"}}}}]}},
                {{"role": "tool", "tool_call_id": "c", "content": "x"}}], {tools}}}"#
        ));
        let later = without_tools(whole(&later));
        assert_eq!(
            (later.tools.len(), later.tool_choice),
            (1, Some(ToolChoice::None))
        );
    }

    #[test]
    fn words_are_changed_and_pictures_stay() {
        let asked = request(
            r#"{"model": "m", "n": 3, "stream": true, "messages": [{"role": "user", "content": [
                {"type": "text", "text": "what is it?"},
                {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}]}]}"#,
        );
        let changed = instead(whole(&asked), "and this?".to_owned());
        assert_eq!(text::user_text(&changed), "and this?");
        assert!(matches!(changed.messages[0].parts[1].kind, PartKind::Image(_)));
        assert_eq!((changed.stream.enabled, changed.sampling.n), (false, None));
        let longer = followed(whole(&asked), "more".to_owned());
        assert_eq!(
            (longer.messages.len(), text::user_text(&longer).as_ref()),
            (2, "more")
        );
        assert_eq!(alone(&asked, "grade it".to_owned()).messages.len(), 1);
        let terms = Terms {
            temperature: Some(0.2),
            max_tokens: Some(7),
        };
        let bounded = under(whole(&asked), terms);
        assert_eq!(bounded.sampling.max_tokens, Some(7));
        assert_eq!(bounded.sampling.temperature.unwrap().to_string(), "0.2");
    }
}

//! Items of this format that come as a whole, told as if they had grown: what the gateway itself has called is one.

use crate::json::Json;

/// What a stream tells of an item before it is done.
pub(super) struct Steps {
    /// Its id.
    pub(super) id: String,
    /// The item as it begins.
    pub(super) beginning: String,
    /// What comes before its end.
    pub(super) between: Vec<Step>,
}

/// An event of an item.
pub(super) struct Step {
    /// Its type.
    pub(super) kind: &'static str,
    /// The field that it says, and what.
    pub(super) says: Option<(&'static str, String)>,
}

impl Step {
    fn plain(kind: &'static str) -> Self {
        Self { kind, says: None }
    }
}

/// The steps of an item; none of what is no item.
pub(super) fn steps(json: &Json) -> Option<Steps> {
    let mut item: serde_json::Value = json.read().ok()?;
    let kind = item.get("type")?.as_str()?.to_owned();
    let id = item.get("id")?.as_str()?.to_owned();
    let failed = item.get("error").is_some_and(|error| !error.is_null());
    let between = match kind.as_str() {
        "mcp_list_tools" => {
            item["tools"] = serde_json::json!([]);
            vec![
                Step::plain("response.mcp_list_tools.in_progress"),
                Step::plain(if failed {
                    "response.mcp_list_tools.failed"
                } else {
                    "response.mcp_list_tools.completed"
                }),
            ]
        }
        "mcp_call" => {
            let arguments = item["arguments"].as_str().unwrap_or_default().to_owned();
            item["arguments"] = serde_json::json!("");
            for unsaid in ["output", "error"] {
                item[unsaid] = serde_json::Value::Null;
            }
            item["status"] = serde_json::json!("in_progress");
            vec![
                Step::plain("response.mcp_call.in_progress"),
                Step {
                    kind: "response.mcp_call_arguments.delta",
                    says: Some(("delta", arguments.clone())),
                },
                Step {
                    kind: "response.mcp_call_arguments.done",
                    says: Some(("arguments", arguments)),
                },
                Step::plain(if failed {
                    "response.mcp_call.failed"
                } else {
                    "response.mcp_call.completed"
                }),
            ]
        }
        _ => Vec::new(),
    };
    Some(Steps {
        id,
        beginning: item.to_string(),
        between,
    })
}

#[cfg(test)]
mod tests {
    use bytes::BytesMut;

    use super::*;
    use crate::form::{FinishReason, PartStart, StreamEvent};
    use crate::format::{Format, StreamEncoderOptions};
    use crate::responses::stream::Encoder;

    /// The events of an answer that is one item, by their types, and the last one.
    fn told(item: &str) -> (Vec<String>, serde_json::Value) {
        let mut encoder = Encoder::new(StreamEncoderOptions {
            model: "m".into(),
            include_usage: false,
        });
        let mut out = BytesMut::new();
        let events = [
            StreamEvent::Start {
                id: "resp_1".into(),
                model: "m".into(),
                created: Some(1),
            },
            StreamEvent::PartStart {
                choice: 0,
                part: 0,
                start: PartStart::Opaque {
                    format: Format::OpenAiResponses,
                    json: Json::parse(item.to_owned()).unwrap(),
                },
            },
            StreamEvent::PartEnd { choice: 0, part: 0 },
            StreamEvent::Finish {
                choice: 0,
                reason: FinishReason::Stop,
                stop_sequence: None,
            },
            StreamEvent::End,
        ];
        events.iter().for_each(|event| encoder.encode(event, &mut out));
        let text = String::from_utf8(out.to_vec()).unwrap();
        let data = text.lines().filter_map(|line| line.strip_prefix("data: "));
        let all: Vec<serde_json::Value> = data.map(|data| serde_json::from_str(data).unwrap()).collect();
        let kinds = all.iter().map(|event| event["type"].as_str().unwrap().to_owned());
        (kinds.collect(), all.last().unwrap().clone())
    }

    #[test]
    fn a_call_is_told_by_the_events_of_its_kind() {
        let item = r#"{"id":"mcp_1","type":"mcp_call","server_label":"a","name":"t","arguments":"{}","output":"said","error":null,"status":"completed"}"#;
        let (kinds, last) = told(item);
        assert_eq!(
            kinds[2..8],
            [
                "response.output_item.added",
                "response.mcp_call.in_progress",
                "response.mcp_call_arguments.delta",
                "response.mcp_call_arguments.done",
                "response.mcp_call.completed",
                "response.output_item.done"
            ]
        );
        assert_eq!(last["response"]["output"][0]["output"], "said");
        assert_eq!(last["response"]["status"], "completed");
    }

    #[test]
    fn what_waits_for_approval_has_no_steps() {
        let item =
            r#"{"id":"mcpr_1","type":"mcp_approval_request","server_label":"a","name":"t","arguments":"{}"}"#;
        let (kinds, last) = told(item);
        assert_eq!(
            kinds[2..],
            [
                "response.output_item.added",
                "response.output_item.done",
                "response.completed"
            ]
        );
        assert_eq!(last["response"]["output"][0]["type"], "mcp_approval_request");
    }
}

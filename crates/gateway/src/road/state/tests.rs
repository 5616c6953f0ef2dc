//! What is read of requests, and what becomes of items and events.

use std::collections::HashSet;

use pointsman_store::StateItem;
use serde_json::{Value, json};

use super::said::Said;
use super::*;

/// Of a body that lives as long as the test.
fn said(body: &Value) -> Result<Said<'static>, Failure> {
    Said::read(Box::leak(Box::new(Bytes::from(body.to_string()))))
}

#[test]
fn ids_are_long_and_never_repeated() {
    let ids: HashSet<String> = (0..1000).map(|_| new_id("resp").unwrap()).collect();
    assert_eq!(ids.len(), 1000);
    assert!(ids.iter().all(|id| id.starts_with("resp_") && id.len() == 53));
}

#[test]
fn what_a_request_says_of_state_is_read() {
    let plain = said(&json!({"model": "m", "input": "hi"})).unwrap();
    assert!(plain.store.is_none() && !plain.background && !plain.goes_on());
    let on =
        said(&json!({"model": "m", "input": [], "conversation": {"id": "conv_1"}, "store": null})).unwrap();
    assert_eq!(on.conversation.as_deref(), Some("conv_1"));
    assert!(on.goes_on() && on.store.is_none());
    let named = said(&json!({"conversation": "conv_1"})).unwrap();
    assert_eq!(named.conversation.as_deref(), Some("conv_1"));
    assert!(
        said(&json!({"input": [{"type": "item_reference", "id": "msg_1"}]}))
            .unwrap()
            .goes_on()
    );
    for (body, param) in [
        (json!({"store": "yes"}), "store"),
        (json!({"background": 1}), "background"),
        (json!({"previous_response_id": 7}), "previous_response_id"),
        (json!({"conversation": {}}), "conversation"),
        (
            json!({"conversation": "c", "previous_response_id": "r"}),
            "previous_response_id",
        ),
    ] {
        let failure = said(&body).err().unwrap();
        assert_eq!(failure.param.as_deref(), Some(param), "{body}");
    }
    assert!(Said::read(&Bytes::from_static(b"[1")).is_err());
}

#[test]
fn items_get_ids_by_their_kind_and_keep_their_own() {
    let input = json!([
        {"role": "user", "content": "hi"},
        {"type": "function_call_output", "call_id": "c", "output": "1"},
        {"type": "message", "id": "msg_own", "role": "user", "content": []},
    ]);
    let items = items::read(Some(&input.to_string()), "seed").unwrap();
    let ids: Vec<&str> = items.iter().map(|item| item.id.as_str()).collect();
    assert_eq!(ids, ["msg_seed0000", "fco_seed0001", "msg_own"]);
    assert!(items::read(Some("7"), "seed").is_err());
    assert!(items::read(Some("[7]"), "seed").is_err());
    let text = items::read(Some(r#""a \"word\"""#), "seed").unwrap();
    assert!(text[0].json.contains(r#"a \"word\""#));
}

#[test]
fn what_only_one_provider_knows_is_not_told_again() {
    let message = json!({"type": "message", "id": "msg_1", "role": "assistant", "content": []}).to_string();
    assert!(!items::again(&message).unwrap().contains("msg_1"));
    let unproved = json!({"type": "reasoning", "id": "rs_1", "summary": []}).to_string();
    assert_eq!(items::again(&unproved), None);
    let proved =
        json!({"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "x"}).to_string();
    assert_eq!(items::again(&proved).as_deref(), Some(proved.as_str()));
}

#[test]
fn items_are_shown_in_full() {
    let item = StateItem {
        id: "msg_1".to_owned(),
        json: json!({"role": "assistant", "content": "yes"}).to_string(),
    };
    assert_eq!(
        items::shown(&item),
        json!({"role": "assistant", "content": [{"type": "output_text", "text": "yes", "annotations": []}],
               "id": "msg_1", "type": "message", "status": "completed"})
    );
}

#[test]
fn events_go_over_the_wire_line_by_line() {
    assert_eq!(told::event(Some("a"), "1\n2"), "event: a\ndata: 1\ndata: 2\n\n");
    assert_eq!(told::event(None, "1"), "data: 1\n\n");
    let changed = told::with(
        r#"{"type":"t","sequence_number":3,"response":{}}"#,
        Some(r#"{"id":"r"}"#),
        Some(7),
    );
    assert_eq!(
        changed,
        r#"{"type":"t","sequence_number":7,"response":{"id":"r"}}"#
    );
}

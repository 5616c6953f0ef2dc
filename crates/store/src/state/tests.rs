//! Responses and conversations in the database: chains, branches, tenants, what is deleted.

use super::*;

fn item(id: &str, text: &str) -> StateItem {
    StateItem {
        id: id.to_owned(),
        json: format!("{{\"type\":\"message\",\"content\":\"{text}\"}}"),
    }
}

fn response(id: &str, previous: Option<&str>) -> KeptResponse {
    KeptResponse {
        id: id.to_owned(),
        tenant: "a".to_owned(),
        created_at: 1,
        previous: previous.map(str::to_owned),
        status: "completed".to_owned(),
        body: "{}".to_owned(),
        input: vec![item(&format!("msg_{id}_in"), &format!("{id} asks"))],
        output: vec![item(&format!("msg_{id}_out"), &format!("{id} says"))],
        ..KeptResponse::default()
    }
}

fn ids(items: &[StateItem]) -> Vec<&str> {
    items.iter().map(|item| item.id.as_str()).collect()
}

fn memory() -> StateStore {
    StateStore::open("sqlite::memory:").unwrap()
}

#[test]
fn a_response_comes_back_as_it_was_kept() {
    let mut store = memory();
    let kept = response("r1", None);
    store.keep(&kept, &[], false).unwrap();
    assert_eq!(store.find("a", "r1").unwrap(), Some(kept));
    assert_eq!(
        store.find("b", "r1").unwrap(),
        None,
        "another tenant's is not there"
    );
    assert!(!store.delete("b", "r1").unwrap());
    assert!(store.delete("a", "r1").unwrap() && !store.delete("a", "r1").unwrap());
}

#[test]
fn a_chain_branches_and_says_what_is_missing() {
    let mut store = memory();
    for (id, previous) in [("r1", None), ("r2", Some("r1")), ("r3", Some("r1"))] {
        store.keep(&response(id, previous), &[], false).unwrap();
    }
    let history = store.history("a", "r3", 1 << 20).unwrap();
    assert_eq!(
        ids(&history),
        ["msg_r1_in", "msg_r1_out", "msg_r3_in", "msg_r3_out"]
    );
    assert_eq!(
        store.history("b", "r3", 1 << 20),
        Err(HistoryError::NoResponse("r3".into()))
    );
    assert_eq!(store.history("a", "r3", 10), Err(HistoryError::TooLong(10)));
    store.delete("a", "r1").unwrap();
    assert_eq!(
        store.history("a", "r2", 1 << 20),
        Err(HistoryError::Broken("r1".into()))
    );
    let failed = KeptResponse {
        status: "failed".to_owned(),
        ..response("r4", None)
    };
    store.keep(&failed, &[], false).unwrap();
    assert!(matches!(
        store.history("a", "r4", 1 << 20),
        Err(HistoryError::NotEnded { .. })
    ));
}

#[test]
fn a_conversation_grows_by_whole_turns() {
    let mut store = memory();
    let conversation = Conversation {
        id: "c".to_owned(),
        tenant: "a".to_owned(),
        created_at: 1,
        metadata: "{}".to_owned(),
    };
    store.begin(&conversation, &[item("m0", "first")]).unwrap();
    let turn = KeptResponse {
        conversation: Some("c".to_owned()),
        turns: 1,
        ..response("r1", None)
    };
    store.keep(&turn, &[], true).unwrap();
    store.add("a", "c", &[item("m9", "later")]).unwrap();
    let (items, next) = store.turns("a", "c", 1 << 20).unwrap();
    assert_eq!(ids(&items), ["m0", "msg_r1_in", "msg_r1_out", "m9"]);
    assert_eq!(next, 4);
    // Going on from the response, not from the conversation: what came later is not part of it.
    let history = store.history("a", "r1", 1 << 20).unwrap();
    assert_eq!(ids(&history), ["m0", "msg_r1_in", "msg_r1_out"]);
    // The same id twice is told apart.
    let again = store.add("a", "c", &[item("m9", "again")]).unwrap();
    assert_eq!(ids(&again), ["m9_4"]);
    assert_eq!(
        store.add("b", "c", &[item("x", "theirs")]),
        Err(HistoryError::NoConversation("c".into()))
    );
    store
        .connection
        .execute(
            "UPDATE state_turns SET position = ?1 WHERE id = 'm9_4'",
            [MAX_CONVERSATION_ITEMS - 2],
        )
        .unwrap();
    let two = [item("m10", "fits"), item("m11", "does not")];
    assert!(matches!(store.add("a", "c", &two), Err(HistoryError::Full(_))));
    assert_eq!(
        store.turns("a", "c", 1 << 20).unwrap().0.len(),
        5,
        "none of them is added"
    );
    assert!(!store.take_out("b", "c", "m0").unwrap() && store.take_out("a", "c", "m0").unwrap());
    assert!(!store.describe("b", "c", "{}").unwrap() && store.describe("a", "c", "{\"k\":\"v\"}").unwrap());
    assert_eq!(
        store.conversation("a", "c").unwrap().unwrap().metadata,
        "{\"k\":\"v\"}"
    );
    assert!(!store.end("b", "c").unwrap() && store.end("a", "c").unwrap());
    assert_eq!(
        store.turns("a", "c", 1 << 20),
        Err(HistoryError::NoConversation("c".into()))
    );
    assert_eq!(
        store.history("a", "r1", 1 << 20),
        Err(HistoryError::Broken("c".into()))
    );
}

#[test]
fn items_are_found_by_their_own_tenant_only() {
    let mut store = memory();
    store.keep(&response("r1", None), &[], false).unwrap();
    assert!(store.item("a", "msg_r1_out").unwrap().is_some());
    assert!(store.item("b", "msg_r1_out").unwrap().is_none());
}

#[test]
fn events_are_told_from_where_a_reader_stopped() {
    let mut store = memory();
    let events: Vec<KeptEvent> = (0..5)
        .map(|sequence| KeptEvent {
            sequence,
            event: format!("event {sequence}"),
        })
        .collect();
    store.keep(&response("r1", None), &events, false).unwrap();
    assert_eq!(store.events("r1", None).unwrap(), events);
    assert_eq!(store.events("r1", Some(2)).unwrap(), events[3..]);
    assert_eq!(store.events("r1", Some(u64::MAX)).unwrap(), []);
}

#[test]
fn the_sweep_takes_what_is_old_and_leaves_what_is_gone_back_to() {
    let mut store = memory();
    store.keep(&response("old", None), &[], false).unwrap();
    store.keep(&response("root", None), &[], false).unwrap();
    let running = KeptResponse {
        owner: Some("me".to_owned()),
        status: "in_progress".to_owned(),
        ..response("running", None)
    };
    store.keep(&running, &[], false).unwrap();
    store
        .connection
        .execute("UPDATE state_responses SET touched_at = 10", [])
        .unwrap();
    store.keep(&response("leaf", Some("root")), &[], false).unwrap();
    assert_eq!(store.sweep(11).unwrap(), 1);
    assert!(store.find("a", "old").unwrap().is_none());
    assert_eq!(store.history("a", "leaf", 1 << 20).unwrap().len(), 4);
    assert_eq!(store.unfinished().unwrap().len(), 1);
}

#[test]
fn what_is_deleted_is_not_in_the_files_any_more() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("p.db");
    let url = format!("sqlite://{}", path.display());
    let mut store = StateStore::open(&url).unwrap();
    let secret = "a-very-particular-sentence";
    let mut kept = response("r1", None);
    kept.output = vec![item("m1", &secret.repeat(500))];
    store.keep(&kept, &[], false).unwrap();
    store.keep(&response("r2", None), &[], false).unwrap();
    let holds = || {
        std::fs::read_dir(folder.path()).unwrap().any(|file| {
            let bytes = std::fs::read(file.unwrap().path()).unwrap();
            bytes
                .windows(secret.len())
                .any(|window| window == secret.as_bytes())
        })
    };
    assert!(holds());
    store.delete("a", "r1").unwrap();
    assert!(!holds());
    drop(store);
    assert!(StateStore::open(&url).unwrap().find("a", "r2").unwrap().is_some());
}

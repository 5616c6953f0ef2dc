//! The keeper: order, bounds, the dead and the living, locks, retention, runs that are followed.

use pointsman_store::Conversation;

use super::*;

fn response(id: &str, owner: Option<&str>) -> KeptResponse {
    KeptResponse {
        id: id.to_owned(),
        tenant: "a".to_owned(),
        status: if owner.is_some() {
            "in_progress"
        } else {
            "completed"
        }
        .to_owned(),
        owner: owner.map(str::to_owned),
        body: r#"{"id":"r","status":"in_progress","error":null}"#.to_owned(),
        ..KeptResponse::default()
    }
}

fn record(response: KeptResponse) -> Record {
    Record {
        response,
        events: Vec::new(),
        appended: false,
    }
}

const MONTH: Duration = Duration::from_secs(30 * 24 * 3600);

#[tokio::test]
async fn who_has_handed_over_finds_it() {
    let folder = tempfile::tempdir().unwrap();
    let keeper = Keeper::open("sqlite::memory:", folder.path(), MONTH).unwrap();
    for number in 0..200 {
        let id = format!("r{number}");
        assert!(keeper.keep(record(response(&id, None))));
        assert_eq!(keeper.find("a", &id).await.unwrap().id, id);
    }
    assert_eq!(
        keeper.find("b", "r1").await.unwrap_err().kind,
        FailureKind::NotFound
    );
    keeper.close();
    assert!(
        !keeper.keep(record(response("late", None))),
        "nobody writes it any more"
    );
}

#[tokio::test]
async fn too_much_at_once_is_refused_and_not_collected() {
    let folder = tempfile::tempdir().unwrap();
    let keeper = Keeper::open("sqlite::memory:", folder.path(), MONTH).unwrap();
    let large = KeptResponse {
        body: " ".repeat(QUEUED_BYTES + 1),
        ..response("r", None)
    };
    assert!(!keeper.keep(record(large)));
    assert_eq!(keeper.queued.load(Ordering::Relaxed), 0);
    keeper.close();
}

#[tokio::test]
async fn what_a_dead_process_ran_has_failed_and_what_a_living_one_runs_has_not() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}", folder.path().join("p.db").display());
    let living = Owner::new(folder.path()).unwrap();
    let mut store = StateStore::open(&url).unwrap();
    store.keep(&response("dead", Some("1-1")), &[], false).unwrap();
    store
        .keep(&response("alive", Some(living.token())), &[], false)
        .unwrap();
    drop(store);
    let keeper = Keeper::open(&url, folder.path(), MONTH).unwrap();
    let dead = keeper.find("a", "dead").await.unwrap();
    assert_eq!((dead.status.as_str(), dead.owner), ("failed", None));
    let body: serde_json::Value = serde_json::from_str(&dead.body).unwrap();
    assert_eq!(body["status"], "failed");
    assert_eq!(body["error"]["code"], "server_error");
    assert_eq!(keeper.find("a", "alive").await.unwrap().status, "in_progress");
    // It dies while this one lives.
    drop(living);
    assert_eq!(keeper.find("a", "alive").await.unwrap().status, "failed");
    keeper.close();
}

#[tokio::test]
async fn a_conversation_is_for_one_at_a_time() {
    let folder = tempfile::tempdir().unwrap();
    let keeper = Keeper::open("sqlite::memory:", folder.path(), MONTH).unwrap();
    let lock = keeper.lock("a", "c").await.unwrap();
    let refused = keeper.lock("a", "c").await.err().unwrap();
    assert_eq!(refused.code.as_deref(), Some("conversation_locked"));
    assert!(keeper.lock("a", "d").await.is_ok());
    drop(lock);
    assert!(keeper.lock("a", "c").await.is_ok());
    keeper.close();
}

#[tokio::test]
async fn a_conversation_is_for_one_process_at_a_time() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}", folder.path().join("p.db").display());
    let one = Keeper::open(&url, folder.path(), MONTH).unwrap();
    let other = Keeper::open(&url, folder.path(), MONTH).unwrap();
    let talk = Conversation {
        id: "c".to_owned(),
        tenant: "a".to_owned(),
        created_at: 1,
        metadata: "{}".to_owned(),
    };
    one.ask(move |store| store.begin(&talk, &[]))
        .await
        .unwrap()
        .unwrap();
    let lock = one.lock("a", "c").await.unwrap();
    let refused = other.lock("a", "c").await.err().unwrap();
    assert_eq!(refused.code.as_deref(), Some("conversation_locked"));
    drop(lock);
    // It is given back behind what was handed over for it.
    one.ask(|_| ()).await.unwrap();
    drop(other.lock("a", "c").await.unwrap());
    other.ask(|_| ()).await.unwrap();
    // Who has died has it no more.
    std::mem::forget(one.lock("a", "c").await.unwrap());
    assert!(other.lock("a", "c").await.is_err());
    other
        .ask(|store| store.seize(("a", "c"), "1-1", |_| false))
        .await
        .unwrap()
        .unwrap();
    assert!(other.lock("a", "c").await.is_ok());
    one.close();
    other.close();
}

#[tokio::test]
async fn retention_is_carried_out() {
    let folder = tempfile::tempdir().unwrap();
    let keeper = Keeper::open("sqlite::memory:", folder.path(), Duration::from_millis(1)).unwrap();
    assert!(keeper.keep(record(response("r", None))));
    let until = Instant::now() + Duration::from_secs(10);
    while keeper.find("a", "r").await.is_ok() {
        assert!(Instant::now() < until, "it is never deleted");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    keeper.close();
}

#[test]
fn who_follows_a_run_is_told_from_where_they_stopped() {
    let run = Run::new("r", "a", String::new(), true);
    for sequence in 0..3 {
        assert_eq!(run.next_number(), sequence);
        let event = sequence.to_string();
        run.tell(KeptEvent { sequence, event });
    }
    let told = |after| {
        let (events, more) = run.events(after);
        (
            events.iter().map(|event| event.sequence).collect::<Vec<_>>(),
            more,
        )
    };
    assert_eq!(told(None), (vec![0, 1, 2], true));
    assert_eq!(told(Some(1)), (vec![2], true));
    run.end();
    assert_eq!(told(Some(2)), (vec![], false));
}

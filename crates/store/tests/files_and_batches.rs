//! Files and batches in the database: nobody sees another's, nothing is left behind.

#![allow(clippy::unwrap_used, reason = "a test says what it expects by failing")]

use pointsman_store::{
    BatchApi, BatchStatus, Counts, Ended, FileId, NewBatch, NewFile, Page, Store, StoreError, Tenant,
};

fn file(tenant: &str, bytes: u64) -> NewFile {
    NewFile {
        id: None,
        tenant: Tenant::from(tenant),
        name: "input.jsonl".to_owned(),
        purpose: "batch".to_owned(),
        bytes,
        created_at: 1_000,
        expires_at: None,
        hidden: false,
    }
}

fn batch(tenant: &str) -> NewBatch {
    NewBatch {
        tenant: Tenant::from(tenant),
        owner: Some("key_1".into()),
        api: BatchApi::OpenAi,
        endpoint: "/v1/chat/completions".to_owned(),
        input: FileId::from("file-1"),
        metadata: Some("{}".to_owned()),
        keep: 3_600,
        total: 0,
        created_at: 1_000,
        expires_at: 2_000,
    }
}

fn page(limit: u32) -> Page {
    Page {
        limit,
        ..Page::default()
    }
}

fn store() -> Store {
    Store::open("sqlite::memory:").unwrap()
}

#[test]
fn nobody_sees_touches_or_counts_anothers_file() {
    let store = store();
    let (mine, theirs) = (Tenant::from("team:a"), Tenant::from("team:b"));
    let kept = store.announce_file(file("team:a", 10), Some(15)).unwrap();
    let seen = |tenant: &Tenant| store.file(tenant, &kept.id, (1_500, true)).unwrap();
    assert_eq!(seen(&mine), None, "it is not ready");
    store.file_ready(&kept.id).unwrap();
    assert_eq!(seen(&mine).unwrap(), kept);
    assert_eq!(seen(&theirs), None);
    assert!(
        store
            .files(&theirs, None, &page(10), 1_500)
            .unwrap()
            .items
            .is_empty()
    );
    assert!(!store.hide_file(&theirs, &kept.id, true).unwrap());
    assert!(matches!(
        store.announce_file(file("team:a", 6), Some(15)),
        Err(StoreError::Full(16))
    ));
    store.announce_file(file("team:b", 6), Some(15)).unwrap();
    assert!(store.hide_file(&mine, &kept.id, false).unwrap());
    assert_eq!(seen(&mine), None);
    assert_eq!(
        store.files_to_sweep(1_500, 9).unwrap(),
        std::slice::from_ref(&kept.id)
    );
    store.forget_file(&kept.id).unwrap();
    assert_eq!(store.kept_bytes(&mine).unwrap(), 0);
}

#[test]
fn files_expire_and_uploads_that_never_ended_are_swept() {
    let store = store();
    let mine = Tenant::from("team:a");
    let mut short = file("team:a", 1);
    short.expires_at = Some(1_100);
    let short = store.announce_file(short, None).unwrap();
    store.file_ready(&short.id).unwrap();
    let never = store.announce_file(file("team:a", 1), None).unwrap();
    assert!(store.file(&mine, &short.id, (1_099, false)).unwrap().is_some());
    assert!(store.file(&mine, &short.id, (1_100, false)).unwrap().is_none());
    assert_eq!(store.files(&mine, None, &page(9), 1_099).unwrap().items.len(), 1);
    assert!(
        store
            .files(&mine, None, &page(9), 1_100)
            .unwrap()
            .items
            .is_empty()
    );
    assert_eq!(store.files_to_sweep(1_099, 9).unwrap(), []);
    assert_eq!(store.files_to_sweep(1_100, 9).unwrap(), [short.id]);
    let day = 24 * 3600;
    assert!(store.files_to_sweep(1_001 + day, 9).unwrap().contains(&never.id));
}

#[test]
fn hidden_files_are_the_gateways_own() {
    let store = store();
    let mine = Tenant::from("team:a");
    let mut own = file("team:a", 1);
    own.hidden = true;
    let own = store.announce_file(own, None).unwrap();
    store.file_ready(&own.id).unwrap();
    assert!(store.file(&mine, &own.id, (1_500, false)).unwrap().is_none());
    assert!(store.file(&mine, &own.id, (1_500, true)).unwrap().is_some());
    assert!(
        store
            .files(&mine, None, &page(9), 1_500)
            .unwrap()
            .items
            .is_empty()
    );
    assert!(!store.hide_file(&mine, &own.id, false).unwrap());
}

#[test]
fn lists_are_turned_page_by_page_in_both_directions() {
    let store = store();
    let mine = Tenant::from("team:a");
    let mut ids = Vec::new();
    for number in 0..5 {
        let mut file = file("team:a", 1);
        file.purpose = if number == 2 { "vision" } else { "batch" }.to_owned();
        let kept = store.announce_file(file, None).unwrap();
        store.file_ready(&kept.id).unwrap();
        ids.push(kept.id);
    }
    let read = |purpose: Option<&str>, page: &Page| {
        let read = store.files(&mine, purpose, page, 1_500).unwrap();
        let at = |id: &FileId| ids.iter().position(|known| known == id).unwrap();
        let found: Vec<usize> = read.items.iter().map(|file| at(&file.id)).collect();
        (found, read.more)
    };
    let after = |at: usize, oldest_first: bool| Page {
        after: Some(ids[at].as_str().to_owned()),
        limit: 2,
        oldest_first,
        ..Page::default()
    };
    assert_eq!(read(None, &page(2)), (vec![4, 3], true));
    assert_eq!(read(None, &after(3, false)), (vec![2, 1], true));
    assert_eq!(read(None, &after(1, false)), (vec![0], false));
    assert_eq!(read(None, &after(1, true)), (vec![2, 3], true));
    assert_eq!(read(Some("vision"), &page(9)), (vec![2], false));
    let before = Page {
        before: Some(ids[0].as_str().to_owned()),
        limit: 2,
        ..Page::default()
    };
    assert_eq!(read(None, &before), (vec![2, 1], true));
}

#[test]
fn nobody_sees_or_cancels_anothers_batch() {
    let store = store();
    let (mine, theirs) = (Tenant::from("team:a"), Tenant::from("team:b"));
    let made = store.create_batch(batch("team:a"), 1).unwrap();
    let api = BatchApi::OpenAi;
    assert_eq!(store.batch(&mine, api, &made.id).unwrap().unwrap(), made);
    assert_eq!(store.batch(&theirs, api, &made.id).unwrap(), None);
    assert_eq!(store.batch(&mine, BatchApi::Anthropic, &made.id).unwrap(), None);
    assert!(store.batches(&theirs, api, &page(9)).unwrap().items.is_empty());
    assert_eq!(store.cancel_batch(&theirs, api, &made.id, 1_100).unwrap(), None);
    assert!(!store.batch_progress(&made.id, Counts::default()).unwrap());
    assert!(!store.delete_batch(&theirs, api, &made.id).unwrap());
    assert!(matches!(
        store.create_batch(batch("team:a"), 1),
        Err(StoreError::TooManyBatches(1))
    ));
    store.create_batch(batch("team:b"), 1).unwrap();
}

#[test]
fn a_batch_goes_its_way_and_its_files_are_seen_with_its_end() {
    let store = store();
    let mine = Tenant::from("team:a");
    let made = store.create_batch(batch("team:a"), 1).unwrap();
    let status = || store.batch(&mine, BatchApi::OpenAi, &made.id).unwrap().unwrap();
    store.begin_batch(&made.id, 3, 1_001).unwrap();
    assert_eq!(
        (status().status, status().counts.total),
        (BatchStatus::InProgress, 3)
    );
    store.finalize_batch(&made.id, 1_002).unwrap();
    assert_eq!(status().status, BatchStatus::Finalizing);
    let mut output = file("team:a", 5);
    output.id = Some(FileId::from("file-out"));
    let output = store
        .announce_file(output.clone(), None)
        .and(store.announce_file(output, None))
        .unwrap();
    let counts = Counts {
        total: 3,
        completed: 3,
        failed: 0,
    };
    let ended = Ended {
        output: Some(output.id.clone()),
        ..Ended::default()
    };
    store
        .end_batch(&made.id, BatchStatus::Completed, (counts, &ended), 1_003)
        .unwrap();
    let end = status();
    assert_eq!(
        (end.status, end.counts, end.outcome),
        (BatchStatus::Completed, counts, ended)
    );
    assert!(store.file(&mine, &output.id, (1_003, false)).unwrap().is_some());
    // What has ended cannot be cancelled.
    let same = store
        .cancel_batch(&mine, BatchApi::OpenAi, &made.id, 1_004)
        .unwrap();
    assert_eq!(same.unwrap().status, BatchStatus::Completed);
    assert!(store.open_batches(9).unwrap().is_empty());
    assert_eq!(
        made.request_id(7).as_str(),
        format!("{}-000007", made.id.as_str())
    );
}

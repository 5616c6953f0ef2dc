//! Files: kept as they came, within bounds, for nobody else to see.

use http::Method;
use pointsman_store::NewKey;

use crate::harness::{House, ask, folder, key, upload};

const BATCH: &[(&str, &str)] = &[("purpose", "batch")];

fn of_team(folder: &std::path::Path, team: &str) -> String {
    let grant = NewKey {
        team: Some(team.into()),
        ..NewKey::default()
    };
    key(folder, grant)
}

#[tokio::test]
async fn a_file_comes_back_as_it_went_and_goes_when_it_is_deleted() {
    let folder = folder("files: { max_size: 5000000, max_total: 6000000 }\n");
    let key = key(folder.path(), NewKey::default());
    let house = House::open(folder.path());
    let bytes: Vec<u8> = (0..4_000_000_u32).map(|at| (at * 7 % 256) as u8).collect();
    let kept = upload(house.address, &key, BATCH, &bytes).await.unwrap();
    assert_eq!(kept.status, 200, "{}", kept.text());
    let kept = kept.json();
    assert_eq!(
        (&kept["object"], &kept["bytes"]),
        (&"file".into(), &4_000_000.into())
    );
    assert_eq!(
        (&kept["filename"], &kept["purpose"]),
        (&"in.jsonl".into(), &"batch".into())
    );
    let path = format!("/v1/files/{}", kept["id"].as_str().unwrap());
    assert_eq!(
        ask(house.address, Method::GET, &path, &key).await.unwrap().json(),
        kept
    );
    let content = format!("{path}/content");
    assert!(
        ask(house.address, Method::GET, &content, &key)
            .await
            .unwrap()
            .body
            == bytes
    );
    let list = ask(
        house.address,
        Method::GET,
        "/v1/files?purpose=batch&limit=1",
        &key,
    )
    .await
    .unwrap()
    .json();
    assert_eq!((&list["data"][0], &list["has_more"]), (&kept, &false.into()));

    // Past the bounds: of one, of all, and again after a deletion.
    let large = upload(house.address, &key, BATCH, &[b'x'; 5_000_001])
        .await
        .unwrap();
    assert_eq!(large.status, 413, "{}", large.text());
    let full = upload(house.address, &key, BATCH, &[b'x'; 3_000_000])
        .await
        .unwrap();
    assert_eq!(
        (full.status.as_u16(), &full.json()["error"]["code"]),
        (413, &"file_storage_full".into())
    );
    let gone = ask(house.address, Method::DELETE, &path, &key).await.unwrap();
    assert_eq!(gone.json()["deleted"], true);
    for path in [&path, &content] {
        assert_eq!(
            ask(house.address, Method::GET, path, &key).await.unwrap().status,
            404
        );
    }
    assert_eq!(
        upload(house.address, &key, BATCH, &[b'x'; 3_000_000])
            .await
            .unwrap()
            .status,
        200
    );
    let left = std::fs::read_dir(folder.path().join("staging")).unwrap().count();
    assert_eq!(left, 0, "what was refused is not left on the disk");
}

#[tokio::test]
async fn no_other_tenant_ever_learns_of_a_file() {
    let folder = folder("");
    let (one, two) = (of_team(folder.path(), "one"), of_team(folder.path(), "two"));
    let colleague = of_team(folder.path(), "one");
    let alone = key(folder.path(), NewKey::default());
    let house = House::open(folder.path());
    let kept = upload(house.address, &one, BATCH, b"secret")
        .await
        .unwrap()
        .json();
    let path = format!("/v1/files/{}", kept["id"].as_str().unwrap());
    let content = format!("{path}/content");
    for stranger in [&two, &alone] {
        for (method, path) in [
            (Method::GET, &path),
            (Method::GET, &content),
            (Method::DELETE, &path),
        ] {
            let answer = ask(house.address, method.clone(), path, stranger).await.unwrap();
            assert_eq!(answer.status, 404, "{method} {path}");
            assert!(!answer.text().contains("secret"));
        }
        let list = ask(house.address, Method::GET, "/v1/files", stranger)
            .await
            .unwrap();
        assert_eq!(list.json()["data"], serde_json::json!([]));
        let after = format!("/v1/files?after={}", kept["id"].as_str().unwrap());
        let list = ask(house.address, Method::GET, &after, stranger).await.unwrap();
        assert_eq!(list.json()["data"], serde_json::json!([]));
        // Nor can it be run.
        let body = serde_json::json!({"input_file_id": kept["id"], "endpoint": "/v1/embeddings", "completion_window": "24h"});
        let batch = crate::harness::post(house.address, "/v1/batches", stranger, &body)
            .await
            .unwrap();
        assert_eq!(batch.status, 404, "{}", batch.text());
    }
    let shared = ask(house.address, Method::GET, &content, &colleague)
        .await
        .unwrap();
    assert_eq!(shared.text(), "secret");
    assert_eq!(
        ask(house.address, Method::GET, &content, "pm-nobody")
            .await
            .unwrap()
            .status,
        401
    );
}

#[tokio::test]
async fn what_makes_no_sense_is_refused_by_name() {
    let folder = folder("");
    let key = key(folder.path(), NewKey::default());
    let house = House::open(folder.path());
    for (fields, file, said) in [
        (&[("purpose", "party")][..], &b"x"[..], "purpose must be one of"),
        (&[], b"x", "purpose"),
        (BATCH, b"", "the file is empty"),
        (
            &[
                ("purpose", "batch"),
                ("expires_after[anchor]", "created_at"),
                ("expires_after[seconds]", "9"),
            ],
            b"x",
            "3600",
        ),
        (
            &[("purpose", "batch"), ("expires_after[anchor]", "yesterday")],
            b"x",
            "created_at",
        ),
    ] {
        let answer = upload(house.address, &key, fields, file).await.unwrap();
        assert_eq!(answer.status, 400, "{}", answer.text());
        assert!(answer.text().contains(said), "{}", answer.text());
    }
    let json = crate::harness::post(house.address, "/v1/files", &key, &serde_json::json!({}))
        .await
        .unwrap();
    assert!(
        json.status == 400 && json.text().contains("multipart/form-data"),
        "{}",
        json.text()
    );
    for path in ["/v1/files?limit=0", "/v1/files?order=up"] {
        assert_eq!(
            ask(house.address, Method::GET, path, &key).await.unwrap().status,
            400,
            "{path}"
        );
    }
    let fields = &[
        ("purpose", "batch"),
        ("expires_after[anchor]", "created_at"),
        ("expires_after[seconds]", "3600"),
    ];
    let kept = upload(house.address, &key, fields, b"x").await.unwrap().json();
    let lasts = kept["expires_at"].as_i64().unwrap() - kept["created_at"].as_i64().unwrap();
    assert_eq!(lasts, 3_600);
}

#[tokio::test]
async fn a_file_that_has_expired_is_gone_from_the_disk_too() {
    let folder = folder("files: { expires_after: 1s }\n");
    let key = key(folder.path(), NewKey::default());
    let house = House::open(folder.path());
    let kept = upload(house.address, &key, BATCH, b"x").await.unwrap().json();
    let path = format!("/v1/files/{}", kept["id"].as_str().unwrap());
    tokio::time::sleep(std::time::Duration::from_millis(2_100)).await;
    assert_eq!(
        ask(house.address, Method::GET, &path, &key).await.unwrap().status,
        404
    );
    house.stop();
    // Swept at the latest when the gateway starts.
    let house = House::open(folder.path());
    let blobs = || {
        let folders = std::fs::read_dir(folder.path().join("blobs")).unwrap();
        let files = folders.flat_map(|folder| std::fs::read_dir(folder.unwrap().path()).unwrap());
        files.count()
    };
    let until = std::time::Instant::now() + std::time::Duration::from_secs(10);
    while blobs() > 0 {
        assert!(std::time::Instant::now() < until, "{}", house.said());
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
}

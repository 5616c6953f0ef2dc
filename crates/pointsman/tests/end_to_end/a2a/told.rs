//! Addresses of clients, each time that they are told something.

use super::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn addresses_of_clients_lead_nowhere_each_time() {
    let agent = A2aAgent::local(&["rpc"]).await.unwrap();
    let (hook, told) = hook().await;
    let (folder, house, client, _) = reachable(&agent);
    let heard = || told.lock().unwrap().len();
    let begin = async || {
        let task = client.say("a", "wait").await["task"].clone();
        let mut params = push_config(hook);
        params["taskId"] = task["id"].clone();
        let made = client.ask("a", "CreateTaskPushNotificationConfig", params).await;
        assert!(made["result"].is_object(), "{made}");
        json!({ "id": task["id"] })
    };
    let (first, second) = (begin().await, begin().await);
    client.ask("a", "CancelTask", first).await;
    until(|| heard() == 1).await;
    // It was allowed when it was given, and is not any more.
    let path = folder.path().join("pointsman.yaml");
    let text = std::fs::read_to_string(&path).unwrap();
    let narrower = text.replace("private_hosts: [\"127.0.0.1\"], ", "");
    assert_ne!(narrower, text);
    std::fs::write(&path, narrower).unwrap();
    house.hears("the new configuration is in force");
    let ended = client.ask("a", "CancelTask", second).await;
    assert_eq!(
        ended["result"]["status"]["state"], "TASK_STATE_CANCELED",
        "{ended}"
    );
    // Longer than it is tried for.
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(heard(), 1);
}

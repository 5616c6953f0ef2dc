//! The future of a request stays small: there is one for every request in flight.

use crate::server::{client, endpoint, limits, post};
use pointsman_upstream::{EndpointConfig, UpstreamBody};

#[tokio::test]
async fn the_future_of_a_request_is_small() {
    let endpoint = endpoint(&EndpointConfig::new("http://127.0.0.1:1"));
    let (client, limits) = (client(), limits());
    let future = client.send(&endpoint, post(&endpoint, "{}"), &limits);
    let size = size_of_val(&future);
    assert!(size <= 4096, "{size} bytes");
    assert!(
        size_of::<UpstreamBody>() <= 256,
        "{} bytes",
        size_of::<UpstreamBody>()
    );
    drop(future);
}

#[test]
fn futures_and_bodies_may_move_between_threads() {
    fn is_send<T: Send>(_: &T) {}
    let endpoint = endpoint(&EndpointConfig::new("http://127.0.0.1:1"));
    let (client, limits) = (client(), limits());
    is_send(&client.send(&endpoint, post(&endpoint, "{}"), &limits));
    fn is_body<T: Send + Unpin>() {}
    is_body::<UpstreamBody>();
}

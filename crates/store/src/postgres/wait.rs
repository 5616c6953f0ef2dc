//! Waiting for a future on any thread, for a bounded time and without a runtime: what the future waits for is done by
//! the connections' own thread.

use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::Instant;

/// Wakes a thread that is parked.
struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// What the future gives, or nothing when that takes longer than `until`.
pub(super) fn wait<T>(future: impl Future<Output = T>, until: Instant) -> Option<T> {
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut context = Context::from_waker(&waker);
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
            return Some(output);
        }
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return None;
        }
        thread::park_timeout(left);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::sync::oneshot;

    use super::*;

    #[test]
    fn it_waits_for_another_thread_and_not_for_ever() {
        let (tell, told) = oneshot::channel();
        let other = thread::spawn(move || tell.send(7));
        let long = Instant::now() + Duration::from_secs(60);
        assert_eq!(wait(told, long).unwrap().unwrap(), 7);
        other.join().unwrap().unwrap();
        assert_eq!(wait(std::future::pending::<()>(), Instant::now()), None);
    }
}

//! One connection that all share: made in the background when it is wanted and there is none, so that whoever gives up
//! waiting does not take it along.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::BoxFuture;
use parking_lot::Mutex;
use tokio::runtime::Handle;
use tokio::sync::Notify;

use super::BackendError;

/// How long a server may take until it is connected to.
const PATIENCE: Duration = Duration::from_secs(5);
/// A connection that is younger is not given up for what others have waited for too long.
const YOUNG: Duration = Duration::from_secs(1);

/// Makes a connection.
type Connect<C> = Box<dyn Fn() -> BoxFuture<'static, Result<C, BackendError>> + Send + Sync>;

/// A connection, or the way to one.
pub struct Link<C> {
    connect: Connect<C>,
    runtime: Handle,
    inner: Arc<Inner<C>>,
}

struct Inner<C> {
    state: Mutex<State<C>>,
    /// Told whenever somebody is done with connecting.
    done: Notify,
}

enum State<C> {
    /// None, and why the last attempt failed.
    Down(Option<BackendError>),
    Connecting,
    Up(C, Instant),
}

impl<C: Clone + Send + 'static> Link<C> {
    /// Not connected yet.
    pub fn new(
        runtime: Handle,
        connect: impl Fn() -> BoxFuture<'static, Result<C, BackendError>> + Send + Sync + 'static,
    ) -> Self {
        Self {
            connect: Box::new(connect),
            runtime,
            inner: Arc::new(Inner {
                state: Mutex::new(State::Down(None)),
                done: Notify::new(),
            }),
        }
    }

    /// The connection.
    pub async fn get(&self) -> Result<C, BackendError> {
        let mut waited = false;
        loop {
            let done = self.inner.done.notified();
            tokio::pin!(done);
            // From here on nothing that is told is missed.
            done.as_mut().enable();
            if let Some(known) = self.look(waited) {
                return known;
            }
            done.await;
            waited = true;
        }
    }

    /// What is known: nothing while somebody connects, who is sent for it if nobody is under way.
    fn look(&self, waited: bool) -> Option<Result<C, BackendError>> {
        let mut state = self.inner.state.lock();
        match &*state {
            State::Up(connection, _) => return Some(Ok(connection.clone())),
            State::Connecting => return None,
            State::Down(Some(error)) if waited => return Some(Err(error.clone())),
            State::Down(_) => {}
        }
        *state = State::Connecting;
        drop(state);
        let (inner, connecting) = (Arc::clone(&self.inner), (self.connect)());
        self.runtime.spawn(async move {
            let made = tokio::time::timeout(PATIENCE, connecting).await;
            let made = made.unwrap_or_else(|_| Err(BackendError("it takes too long to connect".to_owned())));
            *inner.state.lock() = match made {
                Ok(connection) => State::Up(connection, Instant::now()),
                Err(error) => State::Down(Some(error)),
            };
            inner.done.notify_waiters();
        });
        None
    }

    /// The connection is not to be used any more.
    pub fn drop_connection(&self) {
        let mut state = self.inner.state.lock();
        if matches!(&*state, State::Up(_, since) if since.elapsed() > YOUNG) {
            *state = State::Down(None);
        }
    }

    /// The connection is broken, however young.
    pub fn is_broken(&self) {
        let mut state = self.inner.state.lock();
        if matches!(&*state, State::Up(..)) {
            *state = State::Down(None);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use futures_util::FutureExt;

    use super::*;

    #[tokio::test]
    async fn one_connects_for_all_and_the_next_after_a_failure() {
        let tries = Arc::new(AtomicU32::new(0));
        let counted = Arc::clone(&tries);
        let link = Link::new(Handle::current(), move || {
            let number = counted.fetch_add(1, Ordering::SeqCst);
            async move {
                tokio::time::sleep(Duration::from_millis(20)).await;
                if number == 0 {
                    Err(BackendError("not yet".to_owned()))
                } else {
                    Ok(number)
                }
            }
            .boxed()
        });
        let failed = futures_util::future::join_all((0..9).map(|_| link.get())).await;
        assert!(
            failed
                .iter()
                .all(|one| *one == Err(BackendError("not yet".to_owned())))
        );
        // Whoever gives up does not take the attempt along.
        let gone = tokio::time::timeout(Duration::from_millis(1), link.get()).await;
        assert!(gone.is_err());
        tokio::time::sleep(Duration::from_millis(60)).await;
        assert_eq!(link.get().await, Ok(1));
        assert_eq!(tries.load(Ordering::SeqCst), 2);
        link.drop_connection();
        assert_eq!(link.get().await, Ok(1), "it is young");
        link.is_broken();
        assert_eq!(link.get().await, Ok(2));
    }
}

//! The connections of this process: so many at once and no more, each lent for one piece of work.

use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};
use tokio::runtime::Runtime;

use super::address::Address;
use super::connection::Connection;
use crate::store::StoreError;

/// After a connection was refused, nobody tries again for so long: many who wait must not wait one after the other.
const REST: Duration = Duration::from_millis(500);

/// The connections.
pub(super) struct Pool {
    address: Address,
    /// The thread on which connections live.
    runtime: Option<Runtime>,
    state: Mutex<State>,
    /// Told when a connection comes back, or there is room for one.
    freed: Condvar,
}

#[derive(Default)]
struct State {
    idle: Vec<Connection>,
    /// Idle or lent.
    open: usize,
    /// Until when nobody tries, and why.
    down: Option<(Instant, String)>,
}

/// A place among those that may be open; free again when it is dropped.
struct Place<'a>(&'a Pool);

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.state.lock().open -= 1;
        self.0.freed.notify_one();
    }
}

impl Pool {
    pub(super) fn new(address: Address) -> Result<Self, StoreError> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("postgres")
            .enable_all()
            .build()?;
        Ok(Self {
            address,
            runtime: Some(runtime),
            state: Mutex::default(),
            freed: Condvar::new(),
        })
    }

    /// Lends a connection for work that takes `patience` at most, waiting for the connection included.
    pub(super) fn with<T>(
        &self,
        patience: Duration,
        work: impl FnOnce(&mut Connection) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let until = Instant::now() + patience;
        let idle = self.idle(until)?;
        let place = Place(self);
        let mut connection = match idle {
            Some(idle) => idle,
            None => self.connect(until)?,
        };
        connection.answer_by(until);
        let done = work(&mut connection);
        if connection.is_good() {
            std::mem::forget(place);
            self.state.lock().idle.push(connection);
            self.freed.notify_one();
        }
        done
    }

    /// One that is there, or room for one more: either is counted.
    fn idle(&self, until: Instant) -> Result<Option<Connection>, StoreError> {
        let mut state = self.state.lock();
        loop {
            while let Some(idle) = state.idle.pop() {
                if idle.is_good() {
                    return Ok(Some(idle));
                }
                state.open -= 1;
            }
            if state.open < self.address.connections {
                if let Some((until, why)) = &state.down
                    && *until > Instant::now()
                {
                    return Err(StoreError::Unreachable(why.clone()));
                }
                state.open += 1;
                return Ok(None);
            }
            if self.freed.wait_until(&mut state, until).timed_out() {
                let most = self.address.connections;
                return Err(StoreError::Unreachable(format!(
                    "all {most} connections are in use"
                )));
            }
        }
    }

    fn connect(&self, until: Instant) -> Result<Connection, StoreError> {
        let opened = match &self.runtime {
            Some(runtime) => Connection::open(&self.address, runtime.handle(), until),
            None => Err(StoreError::Unreachable("it is closed".to_owned())),
        };
        let mut state = self.state.lock();
        match &opened {
            Ok(_) => state.down = None,
            Err(error) => {
                let why = match error {
                    StoreError::Unreachable(why) => why.clone(),
                    other => other.to_string(),
                };
                state.down = Some((Instant::now() + REST, why));
            }
        }
        opened
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        // Where this is dropped nobody may be allowed to wait.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

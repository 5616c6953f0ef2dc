//! Counting together with other replicas: where, under which name, and what the metrics tell of it.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use pointsman_config::{Config, SharedDown};
use pointsman_governance::{Sharing, SharingCounts, WhenDown};
use pointsman_store::{Patience, RedisCounters, RedisSessions, Replica, SharedSessions, Store};
use secrecy::SecretString;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::server::StartError;

/// How long a replica that is silent is taken for alive.
const LIFE: Duration = Duration::from_secs(10);
/// How long a server that has lost everything is given until all replicas have told what they hold.
const GRACE: Duration = Duration::from_secs(3);

/// What this replica shares with others.
pub struct Together {
    /// Which one it is.
    pub replica: Replica,
    /// Counters.
    pub sharing: Arc<Sharing>,
    /// Sessions with MCP servers.
    pub sessions: Arc<dyn SharedSessions>,
}

/// The same, where a replica may be alone.
pub type Parts = (
    Option<Replica>,
    Option<Arc<Sharing>>,
    Option<Arc<dyn SharedSessions>>,
);

impl Together {
    /// Each by itself.
    pub fn parts(self) -> Parts {
        (Some(self.replica), Some(self.sharing), Some(self.sessions))
    }
}

/// What counts together, where the configuration says so: the replica that this is, and its counters.
///
/// # Errors
/// When the URL cannot be used, or there is no name to be had.
pub fn together(config: &Config, store: &Arc<Store>) -> Result<Option<Together>, StartError> {
    let stores = &config.stores;
    if !stores.is_shared() {
        return Ok(None);
    }
    let replica = Replica::open(&stores.folder()).map_err(StartError::Replica)?;
    let url = SecretString::from(stores.shared.expose());
    let patience = Patience {
        life: LIFE,
        grace: GRACE,
    };
    let counters = RedisCounters::new(&url, replica.name(), replica.processes(), patience)?;
    let when_down = match stores.shared_down {
        SharedDown::Closed => WhenDown::Closed,
        SharedDown::Local => WhenDown::Local {
            percent: stores.shared_local_percent,
        },
    };
    let sharing = Sharing::new(
        Arc::new(counters),
        Arc::clone(store),
        replica.name(),
        (when_down, LIFE),
    );
    let sessions = RedisSessions::new(&url, replica.processes()[0])?;
    Ok(Some(Together {
        replica,
        sharing,
        sessions: Arc::new(sessions),
    }))
}

/// The task that tells in rounds how this replica stands.
pub struct Counting {
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
    /// Nobody else has its name before it has given everything back.
    _replica: Option<Replica>,
}

impl Counting {
    /// Starts it.
    pub fn start(sharing: Arc<Sharing>, replica: Option<Replica>) -> Self {
        let (stop, stopped) = watch::channel(false);
        let task = tokio::spawn(async move { sharing.run(stopped).await });
        Self {
            stop,
            task,
            _replica: replica,
        }
    }

    /// Gives back what this replica holds.
    pub async fn stop(self) {
        let _ = self.stop.send(true);
        // A panic in it has been reported by the runtime.
        let _ = self.task.await;
    }
}

/// The metrics, in Prometheus' text format.
pub fn tell(counts: &SharingCounts, text: &mut String) {
    let metrics = [
        (
            "up",
            "gauge",
            "Whether the shared counters answer.",
            u64::from(counts.is_up),
        ),
        (
            "accounts",
            "gauge",
            "Holders that the shared counters are told of.",
            counts.accounts,
        ),
        (
            "failures_total",
            "counter",
            "Exchanges with the shared counters that failed.",
            counts.failed,
        ),
    ];
    for (name, kind, help, value) in metrics {
        // Writing to a string cannot fail.
        let _ = writeln!(
            text,
            "# HELP pointsman_shared_{name} {help}\n# TYPE pointsman_shared_{name} {kind}\npointsman_shared_{name} {value}"
        );
    }
    let _ = writeln!(
        text,
        "# HELP pointsman_shared_exchanges_total Exchanges with the shared counters: those a request waited for, and rounds.\n\
         # TYPE pointsman_shared_exchanges_total counter\n\
         pointsman_shared_exchanges_total{{for=\"request\"}} {}\n\
         pointsman_shared_exchanges_total{{for=\"round\"}} {}",
        counts.asked, counts.told
    );
}

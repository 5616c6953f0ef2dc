//! The gateway as a whole: started, reloaded, drained.

use std::fmt::Write as _;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::thread::JoinHandle;

use arc_swap::{ArcSwap, ArcSwapOption};
use parking_lot::Mutex;
use pointsman_cache::backend::BackendConfigError;
use pointsman_config::Config;
use pointsman_governance::KeyRing;
use pointsman_guard::{Stage, Tally};
use pointsman_store::blob::{self, BlobUrlError};
use pointsman_store::{Journal, JournalError, SharedError, Store, StoreError};
use pointsman_telemetry::Telemetry;
use pointsman_upstream::breaker::BreakerState;
use pointsman_upstream::{Client, ClientOptions, ConfigError, Environment};
use rustls::ServerConfig;
use tokio::sync::{Notify, Semaphore, watch};

use crate::collections::Collections;
use crate::counting::{self, Counting};
use crate::experience::Experience;
use crate::fleet::Fleet;
use crate::granted::Granted;
use crate::kept::{Kept, MAX_UPLOADS};
use crate::listener;
use crate::road::identify::MAX_LOOKUPS;
use crate::road::recall::{self, Answers};
use crate::road::{CopyLanes, Secrets};
use crate::snapshot::{self, Lasting, Problem, Snapshot};
use crate::state::Keeper;
use crate::tls::{self, TlsError};
use crate::worker::{self, WorkerHandle};

/// What all workers share.
pub struct Shared {
    /// The configuration, compiled.
    pub snapshot: ArcSwap<Snapshot>,
    /// Who may come in.
    pub keys: Arc<KeyRing>,
    /// Metrics, traces, log.
    pub telemetry: Arc<Telemetry>,
    /// Remembered answers.
    pub cache: Answers,
    /// Room for requests that wait for their key to be looked up.
    pub lookups: Arc<Semaphore>,
    /// State that outlives a configuration.
    pub lasting: Lasting,
    /// Responses and conversations.
    pub keeper: Arc<Keeper>,
    /// What really happened.
    pub experience: Arc<Experience>,
    /// Files and batches.
    pub kept: Kept,
    /// Collections of documents, in memory.
    pub collections: Collections,
    /// What servers of one's own serve.
    pub fleet: Fleet,
    /// Short-lived keys for realtime sessions.
    pub secrets: Secrets,
    /// Bytes that were left out of requests and can be read again.
    pub omitted: Arc<AtomicUsize>,
    /// Copies of requests that are under way and wait.
    pub shadows: CopyLanes,
    /// Requests of clients in flight, worker by worker.
    pub awaited: Vec<Arc<AtomicUsize>>,
}

impl Shared {
    /// Counts what guardrails did.
    pub fn judged(&self, tally: &Tally) {
        let guardrails = self.telemetry.metrics().guardrails();
        for note in tally.notes() {
            let stage = match note.stage {
                Stage::Input => "input",
                Stage::ToolResult => "tool_result",
                Stage::Output => "output",
            };
            guardrails.judged(&note.guard, (stage, note.done.name()), note.time);
            for why in &note.failures {
                guardrails.failed(&note.guard, why.name());
            }
        }
    }
}

/// What a gateway is built from, beside its configuration.
pub struct GatewayOptions {
    /// Keys and ledger.
    pub store: Arc<Store>,
    /// Metrics, traces, log.
    pub telemetry: Arc<Telemetry>,
    /// Where the usage journal is kept.
    pub journal: PathBuf,
}

/// Why a gateway did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The configuration is well-formed but cannot be carried out.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
    Config(Vec<Problem>),
    /// The address is taken or not ours.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// What replicas count together.
    #[error("stores.shared: {0}")]
    Shared(#[from] SharedError),
    /// Where answers are kept beside this process.
    #[error("cache.backend: {0}")]
    Backend(#[from] BackendConfigError),
    /// The name of this replica.
    #[error("this replica has no name: {0}")]
    Replica(#[source] io::Error),
    /// Certificate or key.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The usage journal.
    #[error("the usage journal cannot be opened: {0}")]
    Journal(#[from] JournalError),
    /// The blob store.
    #[error("stores.blobs {0}")]
    Blobs(#[from] BlobUrlError),
    /// The upstream client.
    #[error("the upstream client cannot be built: {0}")]
    Client(#[from] ConfigError),
    /// The keys.
    #[error("the keys cannot be read: {0}")]
    Keys(#[from] StoreError),
    /// Responses and conversations.
    #[error("the responses cannot be opened: {0}")]
    State(#[source] StoreError),
    /// A thread.
    #[error("a worker could not be started: {0}")]
    Worker(#[from] io::Error),
}

/// A running gateway.
pub struct Gateway {
    shared: Arc<Shared>,
    store: Arc<Store>,
    client: ClientOptions,
    address: SocketAddr,
    tls: Arc<ArcSwapOption<ServerConfig>>,
    stop: watch::Sender<bool>,
    /// Gone once it has been stopped.
    parts: Mutex<Option<Parts>>,
}

/// What ends with the gateway.
struct Parts {
    acceptor: tokio::task::JoinHandle<()>,
    workers: Vec<JoinHandle<()>>,
    journal: Journal,
    counting: Option<Counting>,
    /// Takes over what other replicas tell of remembered answers.
    follower: Option<tokio::task::JoinHandle<()>>,
}

/// Starts the threads that serve requests, and the one for batches.
fn employ(
    count: usize,
    (shared, client, journal): (&Arc<Shared>, &ClientOptions, &Journal),
    stopped: &watch::Receiver<bool>,
) -> Result<(Vec<WorkerHandle>, Vec<JoinHandle<()>>), StartError> {
    let mut handles = Vec::new();
    let mut workers = Vec::new();
    for index in 0..count {
        let client = Client::new(client.clone());
        let (handle, thread) = worker::start(
            index,
            Arc::clone(shared),
            client,
            journal.writer()?,
            stopped.clone(),
        )?;
        handles.push(handle);
        workers.push(thread);
    }
    workers.push(worker::start_for_batches(
        Arc::clone(shared),
        Client::new(client.clone()),
        journal.writer()?,
        stopped.clone(),
    )?);
    Ok((handles, workers))
}

/// What keeps files and batches.
fn kept(config: &Config, options: &GatewayOptions) -> Result<Kept, StartError> {
    Ok(Kept {
        store: Arc::clone(&options.store),
        blobs: blob::at(&config.stores.blobs, &Environment::process())?,
        folder: config.stores.folder(),
        begun: Notify::new(),
        uploads: Semaphore::new(MAX_UPLOADS),
    })
}

/// What keeps responses and conversations.
fn keeper(config: &Config, options: &GatewayOptions) -> Result<Arc<Keeper>, StartError> {
    let folder = options.journal.with_file_name("responses");
    Keeper::open(
        &config.stores.local_database(),
        &folder,
        config.responses.retention.get(),
    )
    .map_err(StartError::State)
}

impl Shared {
    /// The name of this replica, where several count together; empty where it is alone.
    pub fn replica(&self) -> &str {
        self.lasting
            .sharing
            .as_ref()
            .map_or("", |sharing| sharing.replica())
    }
}

impl Gateway {
    /// Starts listening. Must be called within a Tokio runtime, which accepts connections; requests are served by the
    /// workers' own threads.
    ///
    /// # Errors
    /// When the configuration cannot be carried out, or what it needs cannot be had.
    pub fn start(config: &Config, options: GatewayOptions) -> Result<Self, StartError> {
        let (replica, sharing, sessions) =
            counting::together(config, &options.store)?.map_or((None, None, None), counting::Together::parts);
        let grants = Arc::new(Granted(Arc::clone(&options.store)));
        let lasting = Lasting::counting(sharing.clone(), sessions, Some(grants));
        let snapshot = snapshot::compile(config, &lasting).map_err(StartError::Config)?;
        let listener = listener::bind(config.listeners.api.address).map_err(|source| StartError::Listen {
            address: config.listeners.api.address,
            source,
        })?;
        let address = listener.local_addr()?;
        let tls = config.listeners.api.tls.as_ref().map(tls::server).transpose()?;
        let tls = Arc::new(ArcSwapOption::from(tls));
        let journal = Journal::open(&options.journal, Arc::clone(&options.store))?;
        // After the journal: what an earlier process left there counts for the budgets.
        let limits = config.limits.default;
        lasting.read_budgets(&options.store)?;
        let keys = KeyRing::load_shared(Arc::clone(&options.store), limits, sharing.clone())?;
        let shared = Arc::new(Shared {
            kept: kept(config, &options)?,
            keeper: keeper(config, &options)?,
            experience: Experience::open(Arc::clone(&options.store), snapshot.router.as_ref())?,
            awaited: (0..config.server.workers()).map(|_| Arc::default()).collect(),
            cache: Answers::new(snapshot::cache_bounds(config), recall::connect(config)?),
            snapshot: ArcSwap::from_pointee(snapshot),
            keys: Arc::new(keys),
            lookups: Arc::new(Semaphore::new(MAX_LOOKUPS)),
            telemetry: options.telemetry,
            lasting,
            collections: Collections::default(),
            fleet: Fleet::default(),
            secrets: Secrets::default(),
            omitted: Arc::default(),
            shadows: CopyLanes::default(),
        });
        let client = ClientOptions::compile(&config.upstream)?;
        let (stop, stopped) = watch::channel(false);
        let counting = sharing.map(|sharing| Counting::start(sharing, replica));
        let follower = recall::start(&shared, &stopped);
        let (handles, workers) = employ(config.server.workers(), (&shared, &client, &journal), &stopped)?;
        let acceptor = tokio::spawn(listener::accept(
            listener,
            Arc::clone(&tls),
            handles.into(),
            stopped,
        ));
        Ok(Self {
            shared,
            store: options.store,
            client,
            address,
            tls,
            stop,
            parts: Mutex::new(Some(Parts {
                acceptor,
                workers,
                journal,
                counting,
                follower,
            })),
        })
    }

    /// A client for what is asked beside the requests of clients, on the runtime where it is used.
    #[must_use]
    pub fn client(&self) -> Client {
        Client::new(self.client.clone())
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Takes a new configuration over. Requests under way finish under the old one; counters, breakers and the cache
    /// go on as they are.
    ///
    /// # Errors
    /// When it cannot be carried out: then the old one stays.
    pub fn reload(&self, config: &Config) -> Result<(), StartError> {
        let snapshot = snapshot::compile(config, &self.shared.lasting).map_err(StartError::Config)?;
        let tls = config.listeners.api.tls.as_ref().map(tls::server).transpose()?;
        self.shared.keys.set_defaults(config.limits.default)?;
        // Last of what can fail: what a refused configuration says of providers must not hold.
        self.shared.lasting.read_budgets(&self.store)?;
        self.shared.cache.reconfigure(snapshot::cache_bounds(config));
        self.tls.store(tls);
        self.shared.keeper.keep_for(config.responses.retention.get());
        self.shared.experience.reconfigure(snapshot.router.as_ref());
        self.shared.snapshot.store(Arc::new(snapshot));
        recall::warm(&self.shared);
        Ok(())
    }

    /// Reads the keys again, if anybody has changed them. Blocks on the database.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn refresh_keys(&self) -> Result<(), StoreError> {
        self.shared.keys.refresh()
    }

    /// Metrics, traces, log.
    #[must_use]
    pub fn telemetry(&self) -> &Arc<Telemetry> {
        &self.shared.telemetry
    }

    /// The metrics in Prometheus' text format.
    #[must_use]
    pub fn metrics(&self) -> String {
        let telemetry = &self.shared.telemetry;
        if let Some((counts, waiting)) = self.shared.snapshot.load().understanding.counts() {
            let said = [waiting as u64, counts.read, counts.batches, counts.kept];
            telemetry.metrics().understandings().queue(said);
        }
        telemetry.metrics().caches().sizes(self.shared.cache.sizes());
        let mut text = telemetry.render();
        let snapshot = self.shared.snapshot.load();
        let state = |state| match state {
            BreakerState::Closed => 0,
            BreakerState::HalfOpen => 1,
            BreakerState::Open => 2,
        };
        let breakers = snapshot.guards.breakers();
        text.push_str(&pointsman_telemetry::breakers(
            breakers.map(|(name, breaker)| (name, state(breaker))),
        ));
        text.push_str(
            "# HELP pointsman_budgets_past_soft Holders that have spent more than a soft budget says.\n",
        );
        text.push_str("# TYPE pointsman_budgets_past_soft gauge\n");
        for (holder, count) in self.shared.keys.past_soft() {
            // Writing to a string cannot fail.
            let _ = writeln!(text, "pointsman_budgets_past_soft{{holder=\"{holder}\"}} {count}");
        }
        if let Some(sharing) = &self.shared.lasting.sharing {
            counting::tell(&sharing.counts(), &mut text);
        }
        if let Some(remote) = &self.shared.cache.remote {
            recall::tell(remote, &mut text);
        }
        text
    }

    /// The configuration as it is carried out now.
    #[must_use]
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.shared.snapshot.load_full()
    }

    /// Who may come in, and how their budgets stand.
    #[must_use]
    pub fn keys(&self) -> &Arc<KeyRing> {
        &self.shared.keys
    }

    /// Keys and ledger.
    #[must_use]
    pub fn store(&self) -> &Arc<Store> {
        &self.store
    }

    /// Remembered answers.
    pub(crate) fn answers(&self) -> &Answers {
        &self.shared.cache
    }

    /// What was learned of models.
    #[must_use]
    pub fn learner(&self) -> Arc<pointsman_routing::learning::Learner> {
        self.shared.experience.learner()
    }

    /// Whether it has been told to stop.
    #[must_use]
    pub fn is_stopping(&self) -> bool {
        *self.stop.borrow()
    }

    /// Stops accepting, lets open requests finish within the drain time, imports the journal, and hands out what
    /// telemetry still holds. Does nothing the second time.
    pub async fn stop(&self) {
        let Some(parts) = self.parts.lock().take() else {
            return;
        };
        let _ = self.stop.send(true);
        // The acceptor ends at once; a panic in it has been reported by the runtime.
        let _ = parts.acceptor.await;
        let telemetry = Arc::clone(&self.shared.telemetry);
        let keeper = Arc::clone(&self.shared.keeper);
        let (counting, follower) = (parts.counting, parts.follower);
        let experience = Arc::clone(&self.shared.experience);
        let ended = tokio::task::spawn_blocking(move || {
            for worker in parts.workers {
                if worker.join().is_err() {
                    tracing::error!("a worker panicked");
                }
            }
            parts.journal.close();
            keeper.close();
            experience.close();
            telemetry.flush();
        });
        let _ = ended.await;
        if let Some(counting) = counting {
            counting.stop().await;
        }
        if let Some(follower) = follower {
            // It has been told; a panic in it has been reported by the runtime.
            let _ = follower.await;
        }
        if let Some(remote) = &self.shared.cache.remote {
            remote.stop().await;
        }
    }
}

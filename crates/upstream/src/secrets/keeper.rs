//! Keeping what was read: once for all who name it, read again in the background, the last good value where a manager
//! does not answer.
//!
//! Managers are asked on a thread of their own, which begins with the first question: whoever loads a configuration waits
//! for it, and is no task.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak, mpsc as blocking};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use secrecy::SecretString;
use tokio::sync::mpsc;

use super::source::{Document, Reference, SecretSource};
use super::{SCHEMES, open};
use crate::config::SecretsConfig;
use crate::credential::{CredentialError, CredentialErrorKind, Environment};

/// How long a manager may take for one secret, tries included.
const PATIENCE: Duration = Duration::from_secs(20);
/// How soon it is tried again after it has failed, at most.
const AGAIN: Duration = Duration::from_secs(30);
/// How often it is looked whether it is time.
const LOOK: Duration = Duration::from_millis(200);
/// Questions that wait, at most.
const WAITING: usize = 64;
/// Secrets of a configuration, at most.
const MOST: usize = 1_000;

/// A manager and a path within it.
type Place = (String, String);
type Sources = BTreeMap<String, Arc<dyn SecretSource>>;
/// Opens a manager that is not known here, once it is asked for.
pub type Offer = Box<dyn Fn() -> Result<Arc<dyn SecretSource>, String>>;

/// All that was read of managers for the configuration in force.
pub struct Secrets(Arc<Shared>);

struct Shared {
    environment: Environment,
    state: Mutex<State>,
    changed: AtomicBool,
    /// All is to be read again now.
    hurried: AtomicBool,
}

#[derive(Default)]
struct State {
    config: SecretsConfig,
    sources: Sources,
    known: BTreeMap<Place, Kept>,
    tallies: BTreeMap<String, Tally>,
    tell: Option<mpsc::Sender<Question>>,
    /// Managers whose secrets are to be read again now.
    hurried: BTreeSet<&'static str>,
}

/// A document as it was read last.
#[derive(Clone)]
struct Kept {
    document: Arc<Document>,
    read: Instant,
}

/// How a manager has answered.
#[derive(Debug, Clone, Copy, Default)]
struct Tally {
    reads: u64,
    failures: u64,
}

/// How it stands with a manager.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// Which.
    pub scheme: String,
    /// Secrets that are kept of it.
    pub kept: usize,
    /// Since the one was read that was read longest ago.
    pub oldest: Duration,
    /// How often a secret was read.
    pub reads: u64,
    /// How often one could not be.
    pub failures: u64,
}

/// Something to be read, and who waits for it.
struct Question {
    source: Arc<dyn SecretSource>,
    path: String,
    answer: blocking::SyncSender<Result<Document, CredentialError>>,
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secrets({} places)", self.0.state.lock().known.len())
    }
}

impl Default for Secrets {
    fn default() -> Self {
        Self::new(Environment::process())
    }
}

impl Secrets {
    /// Nothing is read yet. Managers are looked for in this environment where the configuration does not say.
    #[must_use]
    pub fn new(environment: Environment) -> Self {
        Self(Arc::new(Shared {
            environment,
            state: Mutex::default(),
            changed: AtomicBool::new(false),
            hurried: AtomicBool::new(false),
        }))
    }

    /// Begins to read for a configuration. What was read for the one in force is taken over if it has the same managers.
    #[must_use]
    pub fn begin(&self, config: &SecretsConfig) -> SecretsSession<'_> {
        let state = self.0.state.lock();
        let is_same = state.config == *config;
        SecretsSession {
            secrets: self,
            config: config.clone(),
            sources: if is_same {
                state.sources.clone()
            } else {
                Sources::new()
            },
            before: if is_same {
                state.known.clone()
            } else {
                BTreeMap::new()
            },
            wanted: BTreeMap::new(),
            silent: BTreeSet::new(),
            offers: BTreeMap::new(),
        }
    }

    /// Has all that is known read again now, whenever it would be otherwise.
    pub fn hurry(&self) {
        self.0.hurried.store(true, Ordering::Release);
    }

    /// Has what is known of one manager read again now.
    pub fn hurry_one(&self, scheme: &'static str) {
        self.0.state.lock().hurried.insert(scheme);
    }

    /// Whether something has changed since this was asked: then the configuration is to be loaded again.
    #[must_use]
    pub fn changed(&self) -> bool {
        self.0.changed.swap(false, Ordering::AcqRel)
    }

    /// How it stands with each manager that was asked.
    #[must_use]
    pub fn standing(&self) -> Vec<Standing> {
        let state = self.0.state.lock();
        let stand = |(scheme, tally): (&String, &Tally)| {
            let of_it = state.known.iter().filter(|((of, _), _)| of == scheme);
            let ages: Vec<Duration> = of_it.map(|(_, kept)| kept.read.elapsed()).collect();
            Standing {
                scheme: scheme.clone(),
                kept: ages.len(),
                oldest: ages.into_iter().max().unwrap_or_default(),
                reads: tally.reads,
                failures: tally.failures,
            }
        };
        state.tallies.iter().map(stand).collect()
    }

    /// Asks a manager, and waits.
    fn ask(&self, source: &Arc<dyn SecretSource>, path: &str) -> Result<Document, CredentialError> {
        let failed = |message: &str| CredentialError::new(CredentialErrorKind::Unreachable, message);
        let tell = self.thread().map_err(|error| failed(&error))?;
        let (answer, answered) = blocking::sync_channel(1);
        let question = Question {
            source: Arc::clone(source),
            path: path.to_owned(),
            answer,
        };
        tell.try_send(question)
            .map_err(|_| failed("too many secrets are read at once"))?;
        answered
            .recv_timeout(PATIENCE + Duration::from_secs(1))
            .unwrap_or_else(|_| Err(failed("its manager did not answer in time")))
    }

    /// The thread that asks, which is begun if there is none.
    fn thread(&self) -> Result<mpsc::Sender<Question>, String> {
        let mut state = self.0.state.lock();
        if let Some(tell) = &state.tell {
            return Ok(tell.clone());
        }
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| error.to_string())?;
        let (tell, told) = mpsc::channel(WAITING);
        let shared = Arc::downgrade(&self.0);
        std::thread::Builder::new()
            .name("secrets".to_owned())
            .spawn(move || runtime.block_on(tend(shared, told)))
            .map_err(|error| error.to_string())?;
        state.tell = Some(tell.clone());
        Ok(tell)
    }
}

/// Secrets that a configuration names, while it is loaded.
pub struct SecretsSession<'a> {
    secrets: &'a Secrets,
    config: SecretsConfig,
    sources: Sources,
    before: BTreeMap<Place, Kept>,
    wanted: BTreeMap<Place, Kept>,
    /// Managers that did not answer: nobody waits for them twice.
    silent: BTreeSet<String>,
    offers: BTreeMap<&'static str, Offer>,
}

impl SecretsSession<'_> {
    /// Offers a manager that is not known here.
    pub fn offer(&mut self, scheme: &'static str, open: Offer) {
        self.offers.insert(scheme, open);
    }

    /// What a reference names: as it is known, or as its manager says.
    ///
    /// # Errors
    /// When it cannot be had, in words without a secret.
    pub fn get(&mut self, reference: &Reference) -> Result<SecretString, String> {
        let place = (reference.scheme.clone(), reference.path.clone());
        let known = self.wanted.get(&place).or_else(|| self.before.get(&place));
        let kept = match known {
            Some(kept) => kept.clone(),
            None => self
                .read(reference)
                .map_err(|why| format!("{reference}: {why}"))?,
        };
        let taken = kept.document.take(reference.field.as_deref());
        self.wanted.insert(place, kept);
        taken.map_err(|why| format!("{reference}: {why}"))
    }

    fn read(&mut self, reference: &Reference) -> Result<Kept, String> {
        let scheme = &reference.scheme;
        if self.silent.contains(scheme) {
            return Err("its manager did not answer before".to_owned());
        }
        if self.wanted.len() >= MOST {
            return Err(format!("a configuration may name {MOST} secrets"));
        }
        let source = match self.sources.get(scheme) {
            Some(source) => Arc::clone(source),
            None => {
                let source = match self.offers.get(scheme.as_str()) {
                    Some(offered) => offered()?,
                    None => open(scheme, &self.config, &self.secrets.0.environment)
                        .map_err(|error| error.to_string())?,
                };
                self.sources.insert(scheme.clone(), Arc::clone(&source));
                source
            }
        };
        let read = self.secrets.ask(&source, &reference.path);
        self.secrets.0.state.lock().count(scheme, read.is_ok());
        match read {
            Ok(document) => Ok(Kept {
                document: Arc::new(document),
                read: Instant::now(),
            }),
            Err(error) => {
                if error.kind() == CredentialErrorKind::Unreachable {
                    self.silent.insert(scheme.clone());
                }
                tracing::warn!(secret = %reference, %error, detail = error.detail(), "a secret could not be read");
                Err(error.to_string())
            }
        }
    }

    /// The configuration is in force: what it names is kept and read again, and nothing else.
    pub fn keep(self) {
        let mut state = self.secrets.0.state.lock();
        state.config = self.config;
        state.sources = self.sources;
        state.known = self.wanted;
    }
}

impl State {
    fn count(&mut self, scheme: &str, is_good: bool) {
        // Whatever a file may say, managers are few.
        if SCHEMES.contains(&scheme) {
            let tally = self.tallies.entry(scheme.to_owned()).or_default();
            tally.reads += u64::from(is_good);
            tally.failures += u64::from(!is_good);
        }
    }
}

/// Answers questions, and reads again what is known, for as long as anybody has the secrets.
async fn tend(shared: Weak<Shared>, mut told: mpsc::Receiver<Question>) {
    let mut due: Option<Instant> = None;
    loop {
        match tokio::time::timeout(LOOK, told.recv()).await {
            Ok(Some(question)) => {
                let document = patiently(&question.source, &question.path).await;
                // Whoever asked may have gone.
                let _ = question.answer.send(document);
                continue;
            }
            Ok(None) => return,
            Err(_) => {}
        }
        let Some(shared) = shared.upgrade() else { return };
        let (every, is_idle) = {
            let state = shared.state.lock();
            (state.config.refresh.get(), state.known.is_empty())
        };
        if shared.hurried.swap(false, Ordering::AcqRel) {
            due = Some(Instant::now());
        }
        let hurried = std::mem::take(&mut shared.state.lock().hurried);
        if !hurried.is_empty() {
            shared.refresh(|scheme| hurried.contains(scheme)).await;
        }
        match due {
            _ if is_idle => due = None,
            None => due = Some(Instant::now() + spread(every)),
            Some(at) if at > Instant::now() + every.mul_f64(1.1) => due = None,
            Some(at) if at <= Instant::now() => {
                let pause = if shared.refresh(|_| true).await {
                    every
                } else {
                    every.min(AGAIN)
                };
                due = Some(Instant::now() + spread(pause));
            }
            Some(_) => {}
        }
    }
}

/// Within the patience that there is.
async fn patiently(source: &Arc<dyn SecretSource>, path: &str) -> Result<Document, CredentialError> {
    let late = || {
        CredentialError::new(
            CredentialErrorKind::Unreachable,
            "its manager did not answer in time",
        )
    };
    let read = tokio::time::timeout(PATIENCE, source.read(path)).await;
    read.unwrap_or_else(|_| Err(late()))
}

/// Nearly so long: replicas do not ask together.
fn spread(pause: Duration) -> Duration {
    pause.mul_f64(0.9 + 0.2 * rand::random::<f64>())
}

impl Shared {
    /// Reads what is known of some managers again; whether all of it could be.
    async fn refresh(&self, is_meant: impl Fn(&str) -> bool) -> bool {
        let (places, sources) = {
            let state = self.state.lock();
            let places = state.known.keys().filter(|(scheme, _)| is_meant(scheme));
            let places: Vec<Place> = places.cloned().collect();
            (places, state.sources.clone())
        };
        let mut silent = BTreeSet::new();
        for (scheme, path) in places {
            let Some(source) = sources.get(&scheme).filter(|_| !silent.contains(&scheme)) else {
                continue;
            };
            match patiently(source, &path).await {
                Ok(document) => self.take_over((scheme, path), document),
                Err(error) => {
                    self.state.lock().count(&scheme, false);
                    tracing::warn!(secret = %format!("{scheme}:{path}"), %error, detail = error.detail(), "a secret could not be read again; it stays as it was");
                    silent.insert(scheme);
                }
            }
        }
        silent.is_empty()
    }

    fn take_over(&self, place: Place, document: Document) {
        let mut state = self.state.lock();
        state.count(&place.0, true);
        // It may have gone from the configuration meanwhile.
        let Some(kept) = state.known.get_mut(&place) else {
            return;
        };
        kept.read = Instant::now();
        if !kept.document.is(&document) {
            kept.document = Arc::new(document);
            tracing::info!(secret = %format!("{}:{}", place.0, place.1), "a secret has changed");
            self.changed.store(true, Ordering::Release);
        }
    }
}

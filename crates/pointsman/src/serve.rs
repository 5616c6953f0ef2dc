//! `pointsman serve`.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use pointsman_admin::{Access, Configuration};
use pointsman_config::{Config, Environment, Loaded, Mask, Problem, StoresConfig};
use pointsman_gateway::{Gateway, GatewayOptions};
use pointsman_store::{Store, StoreError};
use pointsman_telemetry::Telemetry;
use pointsman_upstream::{ClientOptions, Secrets};
use secrecy::{ExposeSecret, SecretString};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::alarms::Alarms;
use crate::tend::Tended;
use crate::watch::Watched;
use crate::{console, resident, zero};

/// How often keys and configuration are looked at for changes.
const LOOK: Duration = Duration::from_millis(300);
/// How often the ledger and the audit log are looked after.
const TEND: Duration = Duration::from_secs(3_600);
/// How long PostgreSQL is waited for at start.
const PATIENCE: Duration = Duration::from_secs(30);

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// The configuration.
    #[arg(short, long)]
    config: Option<PathBuf>,
}

pub(crate) async fn run(arguments: Arguments) -> ExitCode {
    let secrets = Arc::new(Secrets::default());
    let loaded = match &arguments.config {
        Some(path) => read(path.clone(), &secrets).await,
        None => Ok(Loaded {
            config: zero::config().await,
            files: Vec::new(),
            warnings: Vec::new(),
            mask: Mask::default(),
            shown: serde_json::Value::Null,
        }),
    };
    let loaded = match loaded {
        Ok(loaded) => loaded,
        Err(problems) => {
            problems
                .iter()
                .for_each(|problem| console::complain(problem.to_string()));
            return ExitCode::FAILURE;
        }
    };
    loaded
        .warnings
        .iter()
        .for_each(|warning| console::complain(format!("warning: {warning}")));
    let running = match Running::start(&loaded.config).await {
        Ok(running) => running,
        Err(message) => return console::fail(&loaded.mask.apply(&message)),
    };
    running.show_password();
    console::say(format!("listening on {}", running.gateway.address()));
    console::say(format!("metrics on http://{}/metrics", running.admin));
    if arguments.config.is_none() {
        console::say("no configuration file: callers without a key are let in, on loopback only");
    }
    running.show(arguments.config.as_deref(), loaded.shown, &loaded.warnings);
    let mut watched = Watched::default();
    watched.set(loaded.files);
    let source = arguments.config.as_deref().map(|path| Source {
        path,
        started: &loaded.config,
        secrets: &secrets,
    });
    until_stopped(&running, source, &mut watched).await;
    running.stop().await;
    ExitCode::SUCCESS
}

/// A gateway with all that belongs to it.
pub(crate) struct Running {
    pub(crate) gateway: Arc<Gateway>,
    pub(crate) admin: SocketAddr,
    /// What operators are shown of the configuration.
    configuration: Arc<Configuration>,
    /// Of the admin API, when this is the first start.
    password: Option<SecretString>,
    tasks: Vec<JoinHandle<()>>,
    /// Who tells of what goes wrong, and how they are told to stop.
    alarms: Option<Stoppable>,
}

impl Running {
    /// Starts everything that a configuration asks for.
    pub(crate) async fn start(config: &Config) -> Result<Self, String> {
        let store = open(&config.stores).await?;
        let telemetry = Telemetry::start(&config.telemetry).map_err(|error| error.to_string())?;
        let folder = config.stores.folder().join("journal");
        let options = GatewayOptions {
            store,
            telemetry,
            journal: folder,
        };
        let gateway = Arc::new(Gateway::start(config, options).map_err(|error| error.to_string())?);
        let listener = pointsman_admin::bind(config.listeners.admin.address)
            .await
            .map_err(|error| format!("cannot listen on {}: {error}", config.listeners.admin.address))?;
        let admin = listener.local_addr().map_err(|error| error.to_string())?;
        let (access, password) = access(&gateway).map_err(|error| error.to_string())?;
        let configuration = Arc::new(Configuration::default());
        let months = config.stores.ledger_months;
        let tasks = vec![
            tokio::spawn(pointsman_admin::serve(
                listener,
                (Arc::clone(&gateway), Arc::clone(&configuration)),
                access,
            )),
            tokio::spawn(watch_keys(Arc::clone(&gateway))),
            tokio::spawn(tend(Arc::clone(&gateway), months)),
            tokio::spawn(resident::give_back_code_of_the_start()),
        ];
        let alarms = alarms(&gateway, config)?;
        Ok(Self {
            gateway,
            admin,
            configuration,
            password,
            tasks,
            alarms,
        })
    }

    /// Says which configuration is in force.
    fn show(&self, file: Option<&Path>, shown: serde_json::Value, warnings: &[Problem]) {
        let warnings = warnings.iter().map(ToString::to_string).collect();
        self.configuration.replace(file, shown, warnings);
    }

    /// Shows the password of the first start, the only time that it can be.
    pub(crate) fn show_password(&self) {
        if let Some(password) = &self.password {
            console::say(format!(
                "admin password, shown only this once: {}",
                password.expose_secret()
            ));
        }
    }

    /// Lets open requests finish and stops. The admin listener tells how it goes until the end.
    pub(crate) async fn stop(self) {
        self.gateway.stop().await;
        if let Some((stop, task)) = self.alarms {
            let _ = stop.send(true);
            let _ = task.await;
        }
        for task in self.tasks {
            task.abort();
            let _ = task.await;
        }
    }
}

/// A task, and what ends it.
type Stoppable = (watch::Sender<bool>, JoinHandle<()>);

/// Whoever tells of what goes wrong, if anybody does.
fn alarms(gateway: &Arc<Gateway>, config: &Config) -> Result<Option<Stoppable>, String> {
    let options = ClientOptions::compile(&config.upstream).map_err(|error| error.to_string())?;
    let alarms =
        Alarms::new(Arc::clone(gateway), &config.alerts, &options).map_err(|error| error.to_string())?;
    Ok(alarms.map(|alarms| {
        let (stop, stopped) = watch::channel(false);
        (stop, tokio::spawn(alarms.run(stopped)))
    }))
}

/// Who may use the admin API.
fn access(gateway: &Gateway) -> Result<(Access, Option<SecretString>), StoreError> {
    let token = std::env::var("POINTSMAN_ADMIN_TOKEN")
        .ok()
        .map(SecretString::from);
    let hosts = std::env::var("POINTSMAN_ADMIN_HOSTS").unwrap_or_default();
    Access::open(Arc::clone(gateway.store()), token, &hosts)
}

/// Opens the database. PostgreSQL may start later than this: it is waited for, for a while.
async fn open(stores: &StoresConfig) -> Result<Arc<Store>, String> {
    let (url, local) = (stores.database.clone(), stores.local_database());
    let opened = tokio::task::spawn_blocking(move || Store::serve(&url, &local, PATIENCE));
    match opened.await {
        Ok(Ok(store)) => Ok(Arc::new(store)),
        Ok(Err(error)) => Err(format!("stores.database: {error}")),
        Err(error) => Err(error.to_string()),
    }
}

/// Takes over what others change of the keys. While the database does not answer, they stay as they are.
async fn watch_keys(gateway: Arc<Gateway>) {
    let mut is_down = false;
    loop {
        tokio::time::sleep(LOOK).await;
        let gateway = Arc::clone(&gateway);
        match tokio::task::spawn_blocking(move || gateway.refresh_keys()).await {
            Ok(Err(error)) if !is_down => {
                is_down = true;
                tracing::warn!(%error, "the keys could not be read again; they stay as they are until they can be");
            }
            Ok(Ok(())) if is_down => {
                is_down = false;
                tracing::info!("the keys are read again");
            }
            _ => {}
        }
    }
}

/// Has the ledger's months come and go, its sums grow, and rows of the audit log go.
async fn tend(gateway: Arc<Gateway>, months: Option<u32>) {
    let tended = Tended {
        every: TEND,
        store: Arc::clone(gateway.store()),
        months,
        keep_days: || gateway.snapshot().audit.keep_days,
        now: || jiff::Timestamp::now().as_millisecond(),
    };
    tended.run().await;
}

/// Where the configuration comes from, and how it was at the start.
#[derive(Clone, Copy)]
struct Source<'a> {
    path: &'a Path,
    started: &'a Config,
    secrets: &'a Arc<Secrets>,
}

/// Reads the file, and the secrets that it names: on a thread that may wait for them.
async fn read(path: PathBuf, secrets: &Arc<Secrets>) -> Result<Loaded, Vec<Problem>> {
    let (secrets, name) = (Arc::clone(secrets), path.display().to_string());
    let reading = tokio::task::spawn_blocking(move || {
        pointsman_config::load(&path, &Environment::process().with_secrets(secrets))
    });
    reading.await.unwrap_or_else(|error| {
        Err(vec![Problem {
            file: name,
            line: 0,
            column: 0,
            path: String::new(),
            message: format!("cannot be read: {error}"),
            suggestion: None,
        }])
    })
}

/// Waits for a signal to stop; takes over configurations that change meanwhile.
async fn until_stopped(running: &Running, source: Option<Source<'_>>, watched: &mut Watched) {
    let signals = (
        signal(SignalKind::terminate()),
        signal(SignalKind::interrupt()),
        signal(SignalKind::hangup()),
    );
    let (Ok(mut terminate), Ok(mut interrupt), Ok(mut hangup)) = signals else {
        console::complain("signals cannot be received; stop me the hard way");
        return std::future::pending().await;
    };
    let mut stored = Stored::default();
    loop {
        let forced = tokio::select! {
            _ = terminate.recv() => return,
            _ = interrupt.recv() => return,
            _ = hangup.recv() => true,
            () = tokio::time::sleep(LOOK) => false,
        };
        let Some(source) = source else { continue };
        tell_of(running, source.secrets);
        if forced {
            source.secrets.hurry();
        }
        if stored.have_changed(&running.gateway).await {
            source.secrets.hurry_one("store");
        }
        // Both are asked: each forgets what it has told.
        let (by_file, by_secret) = (watched.changed(), source.secrets.changed());
        if by_file || by_secret || forced {
            reload(running, source, watched).await;
        }
    }
}

/// Secrets of the database, as they were looked at last.
#[derive(Default)]
struct Stored {
    /// The last change of anything that was seen then.
    seen: Option<i64>,
    version: Option<(i64, i64)>,
}

impl Stored {
    /// Whether any has changed since this was asked. The database is asked only when something has changed at all.
    async fn have_changed(&mut self, gateway: &Arc<Gateway>) -> bool {
        let seen = gateway.keys().seen();
        if seen == self.seen {
            return false;
        }
        let store = Arc::clone(gateway.store());
        let version = tokio::task::spawn_blocking(move || store.secrets_version()).await;
        let Ok(Ok(version)) = version else {
            return false;
        };
        self.seen = seen;
        // What has changed between the start and the first look is found by that look.
        self.version.replace(version) != Some(version)
    }
}

/// How it stands with managers of secrets goes into the metrics.
fn tell_of(running: &Running, secrets: &Secrets) {
    let metrics = running.gateway.telemetry().metrics();
    for standing in secrets.standing() {
        metrics.secrets().stand(
            &standing.scheme,
            standing.kept,
            standing.oldest,
            (standing.reads, standing.failures),
        );
    }
}

async fn reload(running: &Running, source: Source<'_>, watched: &mut Watched) {
    let path = source.path;
    match read(path.to_owned(), source.secrets).await {
        Ok(loaded) => {
            watched.set(loaded.files);
            match running.gateway.reload(&loaded.config) {
                Ok(()) => {
                    running.show(Some(path), loaded.shown, &loaded.warnings);
                    tracing::info!(path = %path.display(), "the new configuration is in force");
                    for block in fixed(source.started, &loaded.config) {
                        tracing::warn!(
                            block,
                            "this part has changed; it is taken over only at the next start"
                        );
                    }
                }
                Err(error) => {
                    let error = loaded.mask.apply(&error.to_string());
                    running.configuration.refuse(vec![error.clone()]);
                    tracing::error!(%error, "the new configuration is refused; the old one stays");
                }
            }
        }
        Err(problems) => {
            problems
                .iter()
                .for_each(|problem| console::complain(problem.to_string()));
            let problems = problems.iter().map(ToString::to_string).collect();
            running.configuration.refuse(problems);
            tracing::error!(path = %path.display(), "the new configuration is refused; the old one stays");
        }
    }
}

/// Parts that differ and are read only at the start.
fn fixed(started: &Config, now: &Config) -> Vec<&'static str> {
    let parts = [
        (
            "listeners.api.address",
            started.listeners.api.address == now.listeners.api.address,
        ),
        ("listeners.admin", started.listeners.admin == now.listeners.admin),
        ("stores", started.stores == now.stores),
        ("cache.backend", started.cache.backend == now.cache.backend),
        ("server.workers", started.server.workers() == now.server.workers()),
        ("upstream", started.upstream == now.upstream),
        ("telemetry", started.telemetry == now.telemetry),
        ("alerts", started.alerts == now.alerts),
    ];
    parts
        .into_iter()
        .filter_map(|(part, same)| (!same).then_some(part))
        .collect()
}

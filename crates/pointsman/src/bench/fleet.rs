//! The processes of a benchmark.

use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use pointsman_catalog::Money;
use pointsman_store::{Budget, BudgetWindow, NewKey, Store};
use pointsman_testbed::{load, process};
use secrecy::ExposeSecret;
use tempfile::TempDir;

/// Which way requests go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Route {
    /// Straight to the provider.
    Direct,
    /// Through nginx as a plain proxy.
    Nginx,
    /// Through the gateway.
    Pointsman,
}

impl Route {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Direct => "direct",
            Self::Nginx => "nginx",
            Self::Pointsman => "pointsman",
        }
    }
}

/// Ends with its processes.
pub(crate) struct Fleet {
    provider: Process,
    slow: Process,
    tools: Process,
    nginx: Option<Process>,
    gateway: Process,
    key: String,
    _folder: TempDir,
}

struct Process {
    child: Child,
    address: SocketAddr,
}

impl Drop for Process {
    fn drop(&mut self) {
        // Asked first: nginx's master takes its workers along only then.
        let _ = Command::new("kill")
            .args(["-TERM", &self.child.id().to_string()])
            .status();
        for _ in 0..50 {
            if matches!(self.child.try_wait(), Ok(Some(_))) {
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Fleet {
    pub(crate) async fn start() -> Result<Self, String> {
        let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
        let provider = simulator(&["--bench"]).await?;
        let slow = simulator(&["--fault", "stall-mid-stream"]).await?;
        let tools = simulator(&["--mcp", "modern"]).await?;
        let nginx = nginx(folder.path(), (provider.address, tools.address)).await?;
        let database = format!("sqlite://{}/bench.db", folder.path().display());
        let key = make_key(&database)?;
        let places = [provider.address, slow.address, tools.address];
        let gateway = gateway(folder.path(), &database, places).await?;
        Ok(Self {
            provider,
            slow,
            tools,
            nginx,
            gateway,
            key,
            _folder: folder,
        })
    }

    pub(crate) fn routes(&self) -> Vec<Route> {
        let nginx = self.nginx.as_ref().map(|_| Route::Nginx);
        [Some(Route::Direct), nginx, Some(Route::Pointsman)]
            .into_iter()
            .flatten()
            .collect()
    }

    pub(crate) fn address(&self, route: Route) -> SocketAddr {
        match (route, &self.nginx) {
            (Route::Pointsman, _) => self.gateway.address,
            (Route::Nginx, Some(nginx)) => nginx.address,
            _ => self.provider.address,
        }
    }

    /// Where tools are called.
    pub(crate) fn tools(&self, route: Route) -> SocketAddr {
        if route == Route::Direct {
            self.tools.address
        } else {
            self.address(route)
        }
    }

    pub(crate) fn key(&self, route: Route) -> &str {
        if route == Route::Pointsman {
            &self.key
        } else {
            "sk-bench"
        }
    }

    pub(crate) fn gateway_pid(&self) -> u32 {
        self.gateway.child.id()
    }

    /// Processes whose CPU time is the route's.
    pub(crate) fn pids(&self, route: Route) -> Vec<u32> {
        match (route, &self.nginx) {
            (Route::Pointsman, _) => vec![self.gateway.child.id()],
            // The master does nothing; its workers do.
            (Route::Nginx, Some(nginx)) => {
                let master = nginx.child.id();
                process::children(master).into_iter().chain([master]).collect()
            }
            _ => Vec::new(),
        }
    }

    /// The simulator whose streams stop in the middle: it lives as long as the fleet.
    pub(crate) fn slow(&self) -> SocketAddr {
        self.slow.address
    }
}

fn free_address() -> Result<SocketAddr, String> {
    let listener = TcpListener::bind("127.0.0.1:0").map_err(|error| error.to_string())?;
    listener.local_addr().map_err(|error| error.to_string())
}

async fn spawn(mut command: Command, address: SocketAddr) -> Result<Process, String> {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let child = command.spawn().map_err(|error| format!("{command:?}: {error}"))?;
    let process = Process { child, address };
    let until = Instant::now() + Duration::from_secs(10);
    while load::connect(address).await.is_err() {
        if Instant::now() > until {
            return Err(format!("{command:?} does not answer on {address}"));
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Ok(process)
}

fn own() -> Result<Command, String> {
    std::env::current_exe()
        .map(Command::new)
        .map_err(|error| error.to_string())
}

async fn simulator(options: &[&str]) -> Result<Process, String> {
    let address = free_address()?;
    let mut command = own()?;
    command
        .args(["sim", "--address", &address.to_string()])
        .args(options);
    spawn(command, address).await
}

/// nginx as a plain proxy of the provider and the MCP server; none where it is not installed.
async fn nginx(
    folder: &Path,
    (provider, tools): (SocketAddr, SocketAddr),
) -> Result<Option<Process>, String> {
    let program = ["/usr/sbin/nginx", "/usr/bin/nginx"]
        .into_iter()
        .find(|path| Path::new(path).exists());
    let Some(program) = program else {
        crate::console::complain("nginx is not installed: it is left out of the comparison");
        return Ok(None);
    };
    let address = free_address()?;
    let root = folder.display();
    let config = format!(
        "daemon off; worker_processes 2; pid {root}/nginx.pid; error_log {root}/nginx.err crit;\n\
         events {{ worker_connections 4096; }}\n\
         http {{\n access_log off; client_body_temp_path {root}; proxy_temp_path {root}; fastcgi_temp_path {root};\n\
         uwsgi_temp_path {root}; scgi_temp_path {root}; keepalive_requests 1000000;\n\
         upstream provider {{ server {provider}; keepalive 128; keepalive_requests 1000000; }}\n\
         upstream tools {{ server {tools}; keepalive 128; keepalive_requests 1000000; }}\n\
         server {{ listen {address}; proxy_http_version 1.1; proxy_set_header Connection \"\"; proxy_buffering off;\n\
         location / {{ proxy_pass http://provider; }} location /mcp/ {{ proxy_pass http://tools; }} }}\n}}\n"
    );
    let path = folder.join("nginx.conf");
    std::fs::write(&path, config).map_err(|error| error.to_string())?;
    let mut command = Command::new(program);
    command
        .arg("-c")
        .arg(&path)
        .arg("-e")
        .arg(folder.join("nginx.start"));
    spawn(command, address).await.map(Some)
}

fn make_key(database: &str) -> Result<String, String> {
    let grant = NewKey {
        name: "bench".to_owned(),
        requests_per_minute: Some(100_000_000),
        tokens_per_minute: Some(1_000_000_000_000),
        concurrency: Some(10_000),
        budgets: vec![Budget::of(Money::MAX, BudgetWindow::Month)],
        ..NewKey::default()
    };
    let store = Store::open(database).map_err(|error| error.to_string())?;
    let (_, key) = store.create_key(grant).map_err(|error| error.to_string())?;
    Ok(key.expose_secret().to_owned())
}

async fn gateway(
    folder: &Path,
    database: &str,
    [provider, slow, tools]: [SocketAddr; 3],
) -> Result<Process, String> {
    let (address, admin) = (free_address()?, free_address()?);
    let root = folder.display();
    let config = format!(
        "listeners: {{ api: {{ address: \"{address}\" }}, admin: {{ address: \"{admin}\" }} }}\n\
         stores: {{ database: \"{database}\", blobs: \"file://{root}\" }}\n\
         providers:\n\
         \x20 bench: {{ kind: openai-compatible, base_url: \"http://{provider}/v1\", auth: {{ api_key: sk-bench }} }}\n\
         \x20 slow: {{ kind: openai-compatible, base_url: \"http://{slow}/v1\", auth: {{ api_key: sk-bench }} }}\n\
         models:\n\
         \x20 bench: {{ targets: [ {{ provider: bench, model: bench }} ], price: {{ input: 0.25, output: 2.00 }} }}\n\
         \x20 slow: {{ targets: [ {{ provider: slow, model: slow }} ], price: {{ input: 0.25, output: 2.00 }} }}\n\
         routing:\n\
         \x20 signals: {{ keywords: [ {{ name: math, keywords: [algebra, calculus, geometry] }}, {{ name: code, keywords: [rust, python] }} ] }}\n\
         \x20 decisions:\n\
         \x20   - {{ name: math, priority: 2, rules: {{ type: keyword, name: math }}, modelRefs: [ {{ model: bench }} ] }}\n\
         \x20   - {{ name: code, priority: 1, rules: {{ type: keyword, name: code }}, modelRefs: [ {{ model: bench }} ] }}\n\
         mcp: {{ servers: {{ tools: {{ url: \"http://{tools}/mcp\" }} }} }}\n\
         limits: {{ default: {{ requests_per_minute: 1000000 }} }}\n"
    );
    let path = folder.join("pointsman.yaml");
    std::fs::write(&path, config).map_err(|error| error.to_string())?;
    let mut command = own()?;
    command.arg("serve").arg("-c").arg(&path);
    spawn(command, address).await
}

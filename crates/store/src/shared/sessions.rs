//! Sessions that several processes share: fields, logs of events with numbers, and mail between processes.
//!
//! What a session is about is not known here. A log is written by one process at a time, its *holder*; what another
//! writes that has lost its place is refused, so that no event is there twice.

use std::collections::HashMap;
use std::fmt;
use std::time::Duration;

use futures_util::future::BoxFuture;

use super::SharedError;

/// Longest name of a session, a log or a field.
pub const MAX_NAME: usize = 512;

/// An event that is written to a log.
#[derive(Debug, Clone)]
pub struct Append<'a> {
    /// The session.
    pub session: &'a str,
    /// The log.
    pub log: &'a str,
    /// Who must hold the log; anyone may write where absent.
    pub holder: Option<&'a str>,
    /// The event.
    pub text: &'a str,
    /// Fields of the session that are set with it.
    pub marks: Vec<(String, String)>,
    /// Whether it is the last one.
    pub last: bool,
    /// How much of a log is kept.
    pub bounds: LogBounds,
}

/// How much of a log is kept; the oldest events go first.
#[derive(Debug, Clone, Copy)]
pub struct LogBounds {
    /// Most events.
    pub events: usize,
    /// Most bytes.
    pub bytes: usize,
    /// How long after the last event.
    pub life: Duration,
}

/// What was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Appended {
    /// The number of the event; the first one of a log has 1.
    pub number: u64,
    /// The field `listener` of the session.
    pub listener: Option<String>,
}

/// Events of a log.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Events {
    /// Numbers and texts.
    pub events: Vec<(u64, String)>,
    /// Whether there is nothing behind them, ever.
    pub over: bool,
    /// Who writes it.
    pub holder: Option<String>,
}

/// What is there of a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Log {
    /// The events that were asked for.
    Events(Events),
    /// There is no such log, or no such session.
    Unknown,
    /// Events that were asked for are not kept any more.
    Gone,
}

/// Sessions that several processes share.
pub trait SharedSessions: Send + Sync + fmt::Debug {
    /// The name of this process: no other ever has it.
    fn process(&self) -> &str;

    /// Makes a session with these fields.
    fn create<'a>(
        &'a self,
        session: &'a str,
        fields: &'a [(String, String)],
        life: Duration,
    ) -> BoxFuture<'a, Result<(), SharedError>>;

    /// All fields of a session, which lasts so long from now on; none where there is no such session.
    fn fields<'a>(
        &'a self,
        session: &'a str,
        life: Duration,
    ) -> BoxFuture<'a, Result<Option<HashMap<String, String>>, SharedError>>;

    /// Sets a field if it is what it was (absent: not there); takes it away where nothing is to be there. False where it
    /// is something else, or there is no such session.
    fn swap<'a>(
        &'a self,
        session: &'a str,
        field: &'a str,
        before: Option<&'a str>,
        after: Option<&'a str>,
    ) -> BoxFuture<'a, Result<bool, SharedError>>;

    /// Sets fields of a session that there is; says whether there is.
    fn set<'a>(
        &'a self,
        session: &'a str,
        fields: &'a [(String, String)],
    ) -> BoxFuture<'a, Result<bool, SharedError>>;

    /// Takes a field away; gives what it was.
    fn take<'a>(
        &'a self,
        session: &'a str,
        field: &'a str,
    ) -> BoxFuture<'a, Result<Option<String>, SharedError>>;

    /// Writes an event to a log; nothing where somebody else holds it, or there is no such session.
    fn append<'a>(&'a self, event: Append<'a>) -> BoxFuture<'a, Result<Option<Appended>, SharedError>>;

    /// Events of a log behind a number; some of them where there are many.
    fn events<'a>(
        &'a self,
        session: &'a str,
        log: &'a str,
        after: u64,
    ) -> BoxFuture<'a, Result<Log, SharedError>>;

    /// Makes this process the holder of a log that nobody, or another process, holds.
    fn hold<'a>(
        &'a self,
        session: &'a str,
        log: &'a str,
        before: Option<&'a str>,
    ) -> BoxFuture<'a, Result<bool, SharedError>>;

    /// Takes a log away, and these fields with it.
    fn forget<'a>(
        &'a self,
        session: &'a str,
        log: &'a str,
        fields: &'a [String],
    ) -> BoxFuture<'a, Result<(), SharedError>>;

    /// Takes a session away, and its logs.
    fn remove<'a>(&'a self, session: &'a str) -> BoxFuture<'a, Result<(), SharedError>>;

    /// Whether a process has told of itself of late.
    fn is_alive<'a>(&'a self, process: &'a str) -> BoxFuture<'a, Result<bool, SharedError>>;

    /// Sends a process mail; lost where it does not take it in time.
    fn mail<'a>(&'a self, process: &'a str, text: &'a str) -> BoxFuture<'a, Result<(), SharedError>>;

    /// The mail of this process, which tells of itself with it.
    fn letters(&self) -> BoxFuture<'_, Result<Vec<String>, SharedError>>;
}

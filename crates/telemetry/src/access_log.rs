//! The access log: one line for each request, written by a thread of its own.

use std::io::{self, BufWriter, Write};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, TrySendError, bounded};

use crate::config::AccessLogFormat;
use crate::record::OwnedRecord;

/// Lines that wait to be written.
const QUEUE: usize = 8_192;
/// How long lines are gathered: a thread that is woken for every line takes the core from the next request.
const GATHER: Duration = Duration::from_millis(20);

/// Writes lines to standard output.
pub struct AccessLog {
    lines: Sender<Line>,
}

enum Line {
    Of(Arc<OwnedRecord>),
    /// All before this has been written: says so.
    Flush(Sender<()>),
}

impl AccessLog {
    /// Starts the writer; none when the log is off.
    ///
    /// # Errors
    /// When the thread cannot be started.
    pub fn start(format: AccessLogFormat) -> io::Result<Option<Self>> {
        if format == AccessLogFormat::Off {
            return Ok(None);
        }
        let (lines, receiver) = bounded(QUEUE);
        // Ends when the last sender is gone.
        thread::Builder::new()
            .name("access-log".to_owned())
            .spawn(move || write_all(&receiver, format))?;
        Ok(Some(Self { lines }))
    }

    /// Queues a line; false when the queue is full and the line is lost.
    pub fn offer(&self, record: Arc<OwnedRecord>) -> bool {
        !matches!(self.lines.try_send(Line::Of(record)), Err(TrySendError::Full(_)))
    }

    /// Waits until what is queued has been written, or `limit` has passed.
    pub fn flush(&self, limit: Duration) {
        let (done, written) = bounded(1);
        if self.lines.send_timeout(Line::Flush(done), limit).is_ok() {
            let _ = written.recv_timeout(limit);
        }
    }
}

fn write_all(lines: &Receiver<Line>, format: AccessLogFormat) {
    while let Ok(first) = lines.recv() {
        if matches!(first, Line::Of(_)) {
            thread::sleep(GATHER);
        }
        // Whole lines at a time, and never for good: others have things to say there, too.
        let mut out = BufWriter::new(io::stdout().lock());
        let mut written = Ok(());
        let mut waiting = Vec::new();
        for line in std::iter::once(first).chain(lines.try_iter().take(QUEUE)) {
            match line {
                Line::Of(record) => written = written.and_then(|()| write_line(&mut out, format, &record)),
                Line::Flush(done) => waiting.push(done),
            }
        }
        // Standard output is gone: nobody reads, nothing to tell it to.
        if written.and_then(|()| out.flush()).is_err() {
            return;
        }
        // Who waited no longer is no loss.
        for done in waiting {
            let _ = done.try_send(());
        }
    }
}

fn write_line(out: &mut impl Write, format: AccessLogFormat, record: &OwnedRecord) -> io::Result<()> {
    match format {
        AccessLogFormat::Off => Ok(()),
        AccessLogFormat::Json => {
            serde_json::to_writer(&mut *out, record)?;
            out.write_all(b"\n")
        }
        AccessLogFormat::Text => writeln!(
            out,
            "{} {} {} {} key={} model={} via={}/{} tokens={}+{} cost=${:.6} {}us (own {}us){}",
            record.time,
            record.status,
            record.outcome,
            record.surface,
            record.key,
            // Written by a client: a line end in it must not begin a line of its own.
            record.model_requested.escape_debug(),
            record.provider.as_deref().unwrap_or("-"),
            record.model.as_deref().unwrap_or("-"),
            record.input_tokens,
            record.output_tokens,
            record.cost_nanodollars as f64 / 1e9,
            record.latency_us,
            record.overhead_us,
            failed(record),
        ),
    }
}

fn failed(record: &OwnedRecord) -> String {
    let Some(error) = record.error else {
        return String::new();
    };
    let code = record.code.as_deref().map(|code| format!(" code={code}"));
    let causes = (!record.causes.is_empty()).then(|| format!(" causes={:?}", record.causes.join("; ")));
    format!(
        " error={error}{}{}",
        code.unwrap_or_default(),
        causes.unwrap_or_default()
    )
}

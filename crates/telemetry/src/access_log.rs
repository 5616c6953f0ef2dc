//! The access log: one line for each request, written by a thread of its own.

use std::io::{self, BufWriter, Write};
use std::sync::Arc;
use std::thread;

use crossbeam_channel::{Receiver, Sender, TrySendError, bounded};

use crate::config::AccessLogFormat;
use crate::record::OwnedRecord;

/// Lines that wait to be written.
const QUEUE: usize = 8_192;

/// Writes lines to standard output.
pub struct AccessLog {
    lines: Sender<Arc<OwnedRecord>>,
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
            .spawn(move || write_all(&receiver, format, BufWriter::new(io::stdout().lock())))?;
        Ok(Some(Self { lines }))
    }

    /// Queues a line; false when the queue is full and the line is lost.
    pub fn offer(&self, record: Arc<OwnedRecord>) -> bool {
        !matches!(self.lines.try_send(record), Err(TrySendError::Full(_)))
    }
}

fn write_all(lines: &Receiver<Arc<OwnedRecord>>, format: AccessLogFormat, mut out: impl Write) {
    while let Ok(record) = lines.recv() {
        let mut written = write_line(&mut out, format, &record);
        while let Ok(record) = lines.try_recv() {
            written = written.and_then(|()| write_line(&mut out, format, &record));
        }
        // Standard output is gone: nobody reads, nothing to tell it to.
        if written.and_then(|()| out.flush()).is_err() {
            return;
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
            record.model_requested,
            record.provider.as_deref().unwrap_or("-"),
            record.model.as_deref().unwrap_or("-"),
            record.input_tokens,
            record.output_tokens,
            record.cost_nanodollars as f64 / 1e9,
            record.latency_us,
            record.overhead_us,
            record
                .error
                .as_deref()
                .map(|error| format!(" error={error:?}"))
                .unwrap_or_default(),
        ),
    }
}

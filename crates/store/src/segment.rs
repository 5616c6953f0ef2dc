//! Segments of the journal: files of lines, each a checksum and a ledger entry.
//!
//! `<CRC-32 of the JSON, 8 hex digits> <JSON>\n`. A line whose checksum does not fit, or that has no end, was being
//! written when the process died: its client never saw an answer's end, because that is sent after the line.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use crate::ledger::LedgerEntry;

/// A segment that this process writes.
#[derive(Debug)]
pub(crate) struct Segment {
    pub(crate) path: PathBuf,
    file: File,
    /// Bytes written so far.
    pub(crate) written: AtomicU64,
    /// Bytes that are in the database.
    pub(crate) imported: AtomicU64,
}

impl Segment {
    /// Creates a segment and locks it, so that other processes leave it alone while this one lives.
    pub(crate) fn create(path: PathBuf) -> io::Result<Self> {
        let file = OpenOptions::new().create_new(true).append(true).open(&path)?;
        file.lock()?;
        Ok(Self {
            path,
            file,
            written: AtomicU64::new(0),
            imported: AtomicU64::new(0),
        })
    }

    /// Appends lines with one write.
    pub(crate) fn append(&self, lines: &[u8]) -> io::Result<()> {
        (&self.file).write_all(lines)?;
        self.written.fetch_add(lines.len() as u64, Ordering::Release);
        Ok(())
    }

    /// Makes what was written survive a loss of power, too.
    pub(crate) fn sync(&self) -> io::Result<()> {
        self.file.sync_data()
    }
}

/// Writes an entry as a line to the end of `line`.
pub(crate) fn write_line(entry: &LedgerEntry, line: &mut Vec<u8>) -> io::Result<()> {
    let start = line.len();
    line.extend_from_slice(b"00000000 ");
    serde_json::to_writer(&mut *line, entry)?;
    let crc = format!("{:08x}", crc32fast::hash(&line[start + 9..]));
    line[start..start + 8].copy_from_slice(crc.as_bytes());
    line.push(b'\n');
    Ok(())
}

/// What a stretch of a segment holds.
#[derive(Debug, Default)]
pub(crate) struct Lines {
    pub(crate) entries: Vec<LedgerEntry>,
    /// Bytes up to the end of the last whole line.
    pub(crate) length: u64,
    /// Lines that could not be read.
    pub(crate) damaged: usize,
}

/// Reads whole lines of a segment from `offset` on, about `most` bytes of them; one line at least, if there is one.
pub(crate) fn read_lines(path: &Path, offset: u64, most: u64) -> io::Result<Lines> {
    let mut file = File::open(path)?;
    file.seek(SeekFrom::Start(offset))?;
    let mut bytes = Vec::new();
    while (&mut file).take(most).read_to_end(&mut bytes)? > 0 && !bytes.contains(&b'\n') {}
    let mut lines = Lines::default();
    let mut from = 0;
    while let Some(end) = bytes[from..].iter().position(|byte| *byte == b'\n') {
        match read_line(&bytes[from..from + end]) {
            Some(entry) => lines.entries.push(entry),
            None => lines.damaged += 1,
        }
        from += end + 1;
    }
    lines.length = from as u64;
    Ok(lines)
}

fn read_line(line: &[u8]) -> Option<LedgerEntry> {
    let (crc, json) = (line.get(..8)?, line.get(9..)?);
    let crc = u32::from_str_radix(std::str::from_utf8(crc).ok()?, 16).ok()?;
    if crc != crc32fast::hash(json) {
        return None;
    }
    serde_json::from_slice(json).ok()
}

//! Segments of the journal: files of lines, each a checksum and a ledger entry.
//!
//! `<CRC-32 of the JSON, 8 hex digits> <JSON>\n`. A line whose checksum does not fit, or that has no end, was being
//! written when the process died: its client never saw an answer's end, because that is sent after the line.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use crate::ledger::LedgerEntry;

/// Bytes of a line before its JSON: the checksum and a space.
const PREFIX: usize = 9;

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
    let crc = format!("{:08x}", crc32fast::hash(&line[start + PREFIX..]));
    line[start..start + 8].copy_from_slice(crc.as_bytes());
    line.push(b'\n');
    Ok(())
}

/// What a stretch of a segment holds.
#[derive(Debug, Default)]
pub(crate) struct Lines {
    bytes: Vec<u8>,
    /// Where the JSON of each line is, of which the checksum fits.
    whole: Vec<Range<usize>>,
    /// Bytes up to the end of the last line that has an end.
    pub(crate) length: u64,
    /// Lines of which the checksum does not fit.
    pub(crate) damaged: usize,
}

impl Lines {
    /// The entries, as they were written.
    pub(crate) fn entries(&self) -> impl Iterator<Item = &str> {
        let json = |range: &Range<usize>| {
            self.bytes
                .get(range.clone())
                .and_then(|json| str::from_utf8(json).ok())
        };
        self.whole.iter().filter_map(json)
    }

    /// How many there are.
    pub(crate) fn count(&self) -> usize {
        self.whole.len()
    }
}

/// Reads whole lines of a segment from `offset` on, about `most` bytes of them; one line at least, if there is one.
pub(crate) fn read_lines(path: &Path, offset: u64, most: u64) -> io::Result<Lines> {
    let mut file = File::open(path)?;
    file.seek(SeekFrom::Start(offset))?;
    let mut lines = Lines::default();
    let bytes = &mut lines.bytes;
    while (&mut file).take(most).read_to_end(bytes)? > 0 && !bytes.contains(&b'\n') {}
    let mut from = 0;
    for end in memchr::memchr_iter(b'\n', &lines.bytes) {
        if is_whole(&lines.bytes[from..end]) {
            lines.whole.push(from + PREFIX..end);
        } else {
            lines.damaged += 1;
        }
        from = end + 1;
    }
    lines.length = from as u64;
    Ok(lines)
}

fn is_whole(line: &[u8]) -> bool {
    let (Some(crc), Some(json)) = (line.get(..8), line.get(PREFIX..)) else {
        return false;
    };
    let crc = str::from_utf8(crc)
        .ok()
        .and_then(|crc| u32::from_str_radix(crc, 16).ok());
    crc == Some(crc32fast::hash(json)) && str::from_utf8(json).is_ok()
}

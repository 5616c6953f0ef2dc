//! Results of a batch while it runs: one file, appended to, and an index of it in memory.
//!
//! `<CRC-32 of the rest, 8 hex digits> <line> <+ or -> <JSON>\n`. A line counts as done once its result is in the
//! file: one `write`, so what the kernel has survives the process. What was being written when the process died has no
//! end or a wrong checksum: it is cut off, and the line is sent again.

use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;

/// Where a line's result is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Recorded {
    /// Whether it is an answer rather than an error.
    pub good: bool,
    offset: u64,
    length: u32,
}

/// The results of one batch.
#[derive(Debug)]
pub struct Results {
    file: File,
    end: u64,
    index: Vec<Option<Recorded>>,
    good: u64,
    bad: u64,
}

impl Results {
    /// Opens the results of a batch of `total` lines, and keeps other processes away from them. None when another
    /// process has them.
    ///
    /// # Errors
    /// When the file cannot be read or written.
    pub fn open(path: &Path, total: usize) -> io::Result<Option<Self>> {
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .open(path)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(std::fs::TryLockError::WouldBlock) => return Ok(None),
            Err(std::fs::TryLockError::Error(error)) => return Err(error),
        }
        let mut results = Self {
            file,
            end: 0,
            index: vec![None; total],
            good: 0,
            bad: 0,
        };
        results.scan()?;
        Ok(Some(results))
    }

    fn scan(&mut self) -> io::Result<()> {
        let mut reader = BufReader::with_capacity(1 << 18, self.file.try_clone()?);
        let mut record = Vec::new();
        loop {
            record.clear();
            let length = reader.read_until(b'\n', &mut record)? as u64;
            if record.last() != Some(&b'\n') {
                break;
            }
            if let Some((line, good, json)) = read(&record[..record.len() - 1]) {
                let offset = self.end + json as u64;
                self.note(line, good, (offset, record.len() - 1 - json));
            }
            self.end += length;
        }
        // A record without an end: the next one must not be glued to it.
        self.file.set_len(self.end)
    }

    fn note(&mut self, line: usize, good: bool, (offset, length): (u64, usize)) {
        let (Some(slot), Ok(length)) = (self.index.get_mut(line), u32::try_from(length)) else {
            return;
        };
        if slot.is_none() {
            *slot = Some(Recorded { good, offset, length });
            if good {
                self.good += 1;
            } else {
                self.bad += 1;
            }
        }
    }

    /// Records a line's result, one line of JSON; `line` counts from 0. When it returns, the result survives the death
    /// of the process. A line that has one keeps it.
    ///
    /// # Errors
    /// When the disk refuses it: then it is as if it had not been tried.
    pub fn record(&mut self, line: usize, good: bool, json: &[u8]) -> io::Result<()> {
        if json.contains(&b'\n') || line >= self.index.len() || u32::try_from(json.len()).is_err() {
            return Err(io::Error::from(io::ErrorKind::InvalidInput));
        }
        if self.index[line].is_some() {
            return Ok(());
        }
        let mut record = Vec::with_capacity(json.len() + 32);
        record.extend_from_slice(b"00000000 ");
        write!(record, "{line} {} ", if good { '+' } else { '-' })?;
        let head = record.len();
        record.extend_from_slice(json);
        let crc = format!("{:08x}", crc32fast::hash(&record[9..]));
        record[..8].copy_from_slice(crc.as_bytes());
        record.push(b'\n');
        if let Err(error) = self.file.write_all_at(&record, self.end) {
            // Half a record must not stay; if it does, its checksum tells.
            let _ = self.file.set_len(self.end);
            return Err(error);
        }
        self.note(line, good, (self.end + head as u64, json.len()));
        self.end += record.len() as u64;
        Ok(())
    }

    /// What is recorded of a line.
    #[must_use]
    pub fn of(&self, line: usize) -> Option<Recorded> {
        self.index.get(line).copied().flatten()
    }

    /// The JSON that was recorded.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn read(&self, recorded: Recorded) -> io::Result<Vec<u8>> {
        let mut json = vec![0; recorded.length as usize];
        self.file.read_exact_at(&mut json, recorded.offset)?;
        Ok(json)
    }

    /// How many lines have an answer, and how many an error.
    #[must_use]
    pub fn counts(&self) -> (u64, u64) {
        (self.good, self.bad)
    }

    /// Makes what was recorded survive a loss of power, too.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn sync(&self) -> io::Result<()> {
        self.file.sync_data()
    }
}

/// The line, its kind, and where in the record its JSON begins.
fn read(record: &[u8]) -> Option<(usize, bool, usize)> {
    let crc = u32::from_str_radix(std::str::from_utf8(record.get(..8)?).ok()?, 16).ok()?;
    let rest = record.get(9..)?;
    if crc != crc32fast::hash(rest) {
        return None;
    }
    let space = rest.iter().position(|byte| *byte == b' ')?;
    let line = std::str::from_utf8(&rest[..space]).ok()?.parse().ok()?;
    let good = *rest.get(space + 1)? == b'+';
    Some((line, good, 9 + space + 3))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(path: &Path) -> Results {
        Results::open(path, 5).unwrap().unwrap()
    }

    #[test]
    fn results_are_found_again_wherever_the_file_was_cut() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("results");
        let mut results = open(&path);
        for (line, good) in [(3, true), (0, false), (4, true)] {
            let json = format!("{{\"line\":{line}}}");
            results.record(line, good, json.as_bytes()).unwrap();
        }
        drop(results);
        let whole = std::fs::read(&path).unwrap();
        let ends: Vec<usize> = whole
            .iter()
            .enumerate()
            .filter(|(_, byte)| **byte == b'\n')
            .map(|(at, _)| at + 1)
            .collect();
        for cut in 0..=whole.len() {
            std::fs::write(&path, &whole[..cut]).unwrap();
            let mut results = open(&path);
            let there = ends.iter().filter(|end| **end <= cut).count();
            let found = [3, 0, 4].into_iter().take(there);
            for line in found {
                let json = results.read(results.of(line).unwrap()).unwrap();
                assert_eq!(json, format!("{{\"line\":{line}}}").into_bytes());
            }
            let (good, bad) = results.counts();
            assert_eq!((good + bad) as usize, there, "cut at {cut}");
            // What comes after a cut is found, too.
            results.record(1, true, b"{\"line\":1}").unwrap();
            drop(results);
            let again = open(&path);
            assert_eq!(again.read(again.of(1).unwrap()).unwrap(), b"{\"line\":1}");
            let (good, bad) = again.counts();
            assert_eq!((good + bad) as usize, there + 1, "cut at {cut}");
        }
    }

    #[test]
    fn a_line_keeps_its_first_result_and_one_process_has_them() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("results");
        let mut results = open(&path);
        results.record(2, true, b"1").unwrap();
        results.record(2, false, b"2").unwrap();
        assert_eq!(results.counts(), (1, 0));
        assert!(Results::open(&path, 5).unwrap().is_none());
        assert!(results.record(9, true, b"1").is_err());
        assert!(results.record(1, true, b"1\n2").is_err());
    }

    #[test]
    fn a_damaged_record_is_as_if_it_were_not_there() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("results");
        let mut results = open(&path);
        for line in 0..3 {
            results.record(line, true, b"{\"a\":1}").unwrap();
        }
        drop(results);
        let mut bytes = std::fs::read(&path).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        std::fs::write(&path, bytes).unwrap();
        let results = open(&path);
        assert_eq!(results.counts(), (2, 0));
        assert!(results.of(0).is_some() && results.of(1).is_none() && results.of(2).is_some());
    }
}

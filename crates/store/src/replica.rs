//! Which of several processes on the same stores this is: a name that outlasts it, for one process at a time.
//!
//! The file holds the name of the replica and that of its last process, so that who comes after knows whom they
//! succeed. A file that was copied to another machine is found out by that: two that live call each other strangers.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::path::Path;

/// Processes that may share a local folder.
const MOST: usize = 64;
/// Digits of a name, and of that of a process.
const DIGITS: usize = 8;
const PROCESS_DIGITS: usize = 16;

/// The name of this replica. As long as it is there, no other process on the same folder has the same; the next one
/// after it has.
#[derive(Debug)]
pub struct Replica {
    name: String,
    process: String,
    previous: String,
    // Its lock is what keeps others away.
    _file: File,
}

impl Replica {
    /// Takes the first name of `folder` that nobody has, or makes one.
    ///
    /// # Errors
    /// When the folder cannot be used, there is no chance to make a name from, or too many processes share the folder.
    pub fn open(folder: &Path) -> io::Result<Self> {
        std::fs::create_dir_all(folder)?;
        for number in 0..MOST {
            let path = folder.join(format!("replica-{number}"));
            let mut file = OpenOptions::new()
                .read(true)
                .write(true)
                .create(true)
                .truncate(false)
                .open(path)?;
            if file.try_lock().is_err() {
                continue;
            }
            let mut text = String::new();
            // What cannot be read is no name.
            let _ = (&mut file).take(64).read_to_string(&mut text);
            let (name, previous) = text.split_once('\n').unwrap_or_default();
            let name = if is_hex(name, DIGITS) {
                name.to_owned()
            } else {
                made_up(DIGITS)?
            };
            let previous = if is_hex(previous, PROCESS_DIGITS) {
                previous
            } else {
                ""
            };
            let process = made_up(PROCESS_DIGITS)?;
            file.rewind()?;
            file.set_len(0)?;
            file.write_all(format!("{name}\n{process}").as_bytes())?;
            file.sync_all()?;
            return Ok(Self {
                name,
                process,
                previous: previous.to_owned(),
                _file: file,
            });
        }
        Err(io::Error::other(format!(
            "more than {MOST} processes share the folder {}",
            folder.display()
        )))
    }

    /// Eight hexadecimal digits.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The name of this process of it, and of the one before; empty where there was none.
    #[must_use]
    pub fn processes(&self) -> [&str; 2] {
        [&self.process, &self.previous]
    }
}

fn is_hex(text: &str, digits: usize) -> bool {
    text.len() == digits && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// So many digits of chance.
fn made_up(digits: usize) -> io::Result<String> {
    let mut bytes = [0_u8; 8];
    getrandom::fill(&mut bytes).map_err(io::Error::other)?;
    let mut text = format!("{:016x}", u64::from_be_bytes(bytes));
    text.truncate(digits);
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_one_processes_at_a_time_and_outlasts_it() {
        let folder = tempfile::tempdir().unwrap();
        let first = Replica::open(folder.path()).unwrap();
        let second = Replica::open(folder.path()).unwrap();
        assert_ne!(first.name(), second.name());
        let name = first.name().to_owned();
        let [process, before] = first.processes().map(str::to_owned);
        assert_eq!(before, "");
        drop(first);
        let again = Replica::open(folder.path()).unwrap();
        assert_eq!(again.name(), name);
        assert_eq!(again.processes()[1], process);
        assert_ne!(again.processes()[0], process);
    }

    #[test]
    fn what_is_no_name_is_replaced() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("replica-0"), "x:y:z\nlonger than a name").unwrap();
        let replica = Replica::open(folder.path()).unwrap();
        assert!(is_hex(replica.name(), DIGITS));
        assert_eq!(replica.processes()[1], "");
        std::fs::write(folder.path().join("replica-1"), [0xff, 0xfe]).unwrap();
        assert!(is_hex(Replica::open(folder.path()).unwrap().name(), DIGITS));
    }
}

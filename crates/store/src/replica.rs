//! Which of several processes on the same stores this is: a name that outlasts it, for one process at a time.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::path::Path;

/// Processes that may share a local folder.
const MOST: usize = 64;
/// Digits of a name.
const DIGITS: usize = 8;

/// The name of this replica. As long as it is there, no other process on the same folder has the same; the next one
/// after it has.
#[derive(Debug)]
pub struct Replica {
    name: String,
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
            let mut name = String::new();
            (&mut file).take(64).read_to_string(&mut name)?;
            if !is_name(&name) {
                name = made_up()?;
                file.rewind()?;
                file.set_len(0)?;
                file.write_all(name.as_bytes())?;
                file.sync_all()?;
            }
            return Ok(Self { name, _file: file });
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
}

fn is_name(text: &str) -> bool {
    text.len() == DIGITS && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn made_up() -> io::Result<String> {
    let mut bytes = [0_u8; DIGITS / 2];
    getrandom::fill(&mut bytes).map_err(io::Error::other)?;
    Ok(format!("{:08x}", u32::from_be_bytes(bytes)))
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
        drop(first);
        assert_eq!(Replica::open(folder.path()).unwrap().name(), name);
    }

    #[test]
    fn what_is_no_name_is_replaced() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("replica-0"), "x:y:z\nlonger than a name").unwrap();
        let replica = Replica::open(folder.path()).unwrap();
        assert!(is_name(replica.name()));
        let name = replica.name().to_owned();
        drop(replica);
        assert_eq!(Replica::open(folder.path()).unwrap().name(), name);
    }
}

//! What of the binary stays in memory while the gateway waits.

use std::time::Duration;

/// By when a start is through with what only it needs: reading the configuration, opening stores, loading models.
const STARTED: Duration = Duration::from_secs(2);

/// Gives the code that only the start needed back to the system, once. What is needed after all comes back from the file,
/// most likely from the system's own copy of it.
///
/// Linux only (`MADV_DONTNEED`, madvise(2)); elsewhere the system finds out by itself.
pub(crate) async fn give_back_code_of_the_start() {
    tokio::time::sleep(STARTED).await;
    #[cfg(target_os = "linux")]
    if let Err(error) = linux::give_back() {
        tracing::debug!(%error, "code that is no longer needed stays in memory");
    }
}

#[cfg(target_os = "linux")]
mod linux {
    use std::io;
    use std::ops::Range;

    pub(super) fn give_back() -> io::Result<()> {
        let (maps, binary) = (
            std::fs::read_to_string("/proc/self/maps")?,
            std::fs::read_link("/proc/self/exe")?,
        );
        let binary = binary.to_string_lossy();
        maps.lines()
            .filter_map(|line| code_of(line, &binary))
            .try_for_each(advise)
    }

    /// Where code lies, if a line of proc_pid_maps(5) tells of code of this file: read and carried out, never written.
    fn code_of(line: &str, binary: &str) -> Option<Range<usize>> {
        let (addresses, rest) = line.split_once(' ')?;
        let path = rest.find('/').map(|at| &rest[at..]);
        let is_code = rest.starts_with("r-xp ") && path == Some(binary);
        let (start, end) = addresses.split_once('-')?;
        let address = |text| usize::from_str_radix(text, 16).ok();
        is_code.then_some(address(start)?..address(end)?)
    }

    #[expect(unsafe_code, reason = "no crate in use has this call")]
    fn advise(code: Range<usize>) -> io::Result<()> {
        // SAFETY: the range is a mapping of this very binary, page-aligned as the kernel tells it, that nobody may write to
        // and nobody has: the linker puts what a start relocates elsewhere. Its pages are those of the file, so what is read
        // or carried out after the call is what it was before. Code stays mapped until the process ends.
        let result = unsafe {
            libc::madvise(
                std::ptr::with_exposed_provenance_mut(code.start),
                code.len(),
                libc::MADV_DONTNEED,
            )
        };
        match result {
            0 => Ok(()),
            _ => Err(io::Error::last_os_error()),
        }
    }

    #[cfg(test)]
    mod tests {
        use std::fs::File;
        use std::io::{Read, Seek, SeekFrom};
        use std::ops::Range;

        use super::{code_of, give_back};

        #[test]
        fn only_code_of_this_file_is_given_back() {
            let line = |rights: &str, path: &str| format!("1000-3000 {rights} 00001000 fe:00 42      {path}");
            let found = |line: &str| code_of(line, "/opt/pointsman");
            assert_eq!(found(&line("r-xp", "/opt/pointsman")), Some(0x1000..0x3000));
            for other in [
                line("r--p", "/opt/pointsman"),
                line("rw-p", "/opt/pointsman"),
                line("rwxp", "/opt/pointsman"),
                line("r-xp", "/usr/lib/opt/pointsman"),
                line("r-xp", "/opt/pointsman (deleted)"),
                line("r-xp", ""),
                line("r-xp", "[vdso]"),
                String::new(),
            ] {
                assert_eq!(found(&other), None, "{other}");
            }
        }

        /// Where this file's code lies, and how much of it is in memory, in kB, by proc_pid_smaps(5).
        fn code() -> (Range<usize>, u64) {
            let maps = std::fs::read_to_string("/proc/self/smaps").unwrap();
            let binary = std::fs::read_link("/proc/self/exe").unwrap();
            let mut lines = maps.lines();
            let mut found = lines
                .by_ref()
                .filter_map(|line| code_of(line, &binary.to_string_lossy()));
            let code = found.next().unwrap();
            let resident = lines.find_map(|line| line.strip_prefix("Rss:")).unwrap();
            (code, resident.trim().trim_end_matches(" kB").parse().unwrap())
        }

        #[test]
        fn code_given_back_is_gone_from_memory_and_works_on() {
            // Who reads all of it has all of it in memory.
            let (code_lies, _) = code();
            let mut memory = File::open("/proc/self/mem").unwrap();
            memory.seek(SeekFrom::Start(code_lies.start as u64)).unwrap();
            let mut all = memory.take(code_lies.len() as u64);
            std::io::copy(&mut all, &mut std::io::sink()).unwrap();
            let (_, before) = code();
            give_back().unwrap();
            let (_, after) = code();
            assert!(after < before / 2, "{before} kB, {after} kB");
        }
    }
}

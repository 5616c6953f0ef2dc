//! How the kernel ranks a thread among others that want a core.

/// This thread takes a core only where nobody else wants it.
///
/// Where the kernel refuses, or is another one, the thread stays as it was: that costs time, and nothing else.
pub(crate) fn last() {
    #[cfg(target_os = "linux")]
    {
        // Of the calling thread: threads have priorities of their own on Linux (setpriority(2), "C library/kernel
        // differences").
        if let Err(error) = rustix::process::setpriority_process(None, 19) {
            tracing::debug!(%error, "the journal's thread keeps its priority");
        }
    }
}

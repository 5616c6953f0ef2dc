//! How long a thread may keep a core once it has it, which is how soon it gets one.

/// This thread is done with a core in a tenth of a millisecond at a time, and so comes before threads that want it for
/// longer: what waits for a worker is a client. Its share of the processor stays what it was.
///
/// Linux since 6.12 takes the wish (`sched_runtime` of a thread under the usual policy, sched_setattr(2)); an older kernel,
/// or another one, leaves everything as it is.
pub fn short() {
    #[cfg(target_os = "linux")]
    if let Err(error) = linux::wish(SLICE_NS) {
        tracing::debug!(%error, "the kernel takes no wish for a slice of time");
    }
}

/// The shortest that the kernel grants.
#[cfg(target_os = "linux")]
const SLICE_NS: u64 = 100_000;

#[cfg(target_os = "linux")]
mod linux {
    use std::io;

    #[expect(unsafe_code, reason = "no crate in use has this call")]
    pub(super) fn wish(nanoseconds: u64) -> io::Result<()> {
        // The call sets the priority, too: it shall stay.
        let nice = rustix::process::getpriority_process(None)?;
        let wish = libc::sched_attr {
            size: u32::try_from(size_of::<libc::sched_attr>()).unwrap_or_default(),
            sched_policy: libc::SCHED_OTHER.cast_unsigned(),
            sched_flags: 0,
            sched_nice: nice,
            sched_priority: 0,
            sched_runtime: nanoseconds,
            sched_deadline: 0,
            sched_period: 0,
        };
        let this_thread: libc::pid_t = 0;
        let no_flags: libc::c_uint = 0;
        // SAFETY: the kernel only reads `wish`, which outlives the call, and no more of it than its `size` says, which is
        // that of the structure. Nothing else is touched but the scheduling of the calling thread.
        let result =
            unsafe { libc::syscall(libc::SYS_sched_setattr, this_thread, &raw const wish, no_flags) };
        match result {
            0 => Ok(()),
            _ => Err(io::Error::last_os_error()),
        }
    }

    #[cfg(test)]
    mod tests {
        #[test]
        fn the_wish_leaves_the_priority_as_it_is() {
            let before = rustix::process::getpriority_process(None).unwrap();
            super::wish(super::super::SLICE_NS).unwrap();
            assert_eq!(rustix::process::getpriority_process(None).unwrap(), before);
        }
    }
}

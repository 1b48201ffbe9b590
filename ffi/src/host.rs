//! The host's abilities and limits, and requests to it for the whole process or one thread.

use crate::errors::{Outcome, check, last_errno};
use std::time::Instant;

/// Binds the calling thread to one CPU. EINVAL: no such CPU for this process.
pub fn pin_thread(cpu: u32) -> Outcome<i32> {
    if cpu as usize >= libc::CPU_SETSIZE as usize {
        return Err(libc::EINVAL);
    }
    // SAFETY: a zeroed set is empty; the index is in range.
    unsafe {
        let mut set: libc::cpu_set_t = std::mem::zeroed();
        libc::CPU_SET(cpu as usize, &mut set);
        check(libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &set))
    }
}

/// Writes the ids of the CPUs that the calling thread may run on; returns how many there are.
pub fn allowed_cpus(ids: &mut [u32]) -> Outcome<i32> {
    // SAFETY: the set is a local; indexes are in range.
    unsafe {
        let mut set: libc::cpu_set_t = std::mem::zeroed();
        check(libc::sched_getaffinity(0, size_of::<libc::cpu_set_t>(), &mut set))?;
        let mut count = 0;
        for cpu in 0..libc::CPU_SETSIZE as usize {
            if libc::CPU_ISSET(cpu, &set) {
                if let Some(slot) = ids.get_mut(count) {
                    *slot = cpu as u32;
                }
                count += 1;
            }
        }
        Ok(count as i32)
    }
}

/// Bytes that this process may lock; infinity without a limit (or with CAP_IPC_LOCK).
pub fn lockable_bytes() -> f64 {
    // SAFETY: locals only; the second call maps, tries and unmaps one range of its own.
    unsafe {
        let mut limit: libc::rlimit = std::mem::zeroed();
        if libc::getrlimit(libc::RLIMIT_MEMLOCK, &mut limit) != 0 {
            return 0.0;
        }
        if limit.rlim_cur == libc::RLIM_INFINITY || may_exceed(limit.rlim_cur) {
            return f64::INFINITY;
        }
        limit.rlim_cur as f64
    }
}

/// Whether locking one page more than the limit works: that is what CAP_IPC_LOCK means.
unsafe fn may_exceed(limit: u64) -> bool {
    let Ok(size) = usize::try_from(limit.saturating_add(4096)) else { return false };
    let kind = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
    // SAFETY: a range of our own; PROT_NONE and MLOCK_ONFAULT, so that no page is made for the trial.
    unsafe {
        let start = libc::mmap(std::ptr::null_mut(), size, libc::PROT_NONE, kind, -1, 0);
        if start == libc::MAP_FAILED {
            return false;
        }
        let locked = libc::mlock2(start, size, libc::MLOCK_ONFAULT) == 0;
        libc::munmap(start, size);
        locked
    }
}

/// 2 = transparent huge pages always, 1 = where asked for, 0 = never (or unknown).
pub fn huge_pages() -> i32 {
    match std::fs::read_to_string("/sys/kernel/mm/transparent_hugepage/enabled") {
        Ok(text) if text.contains("[always]") => 2,
        Ok(text) if text.contains("[madvise]") => 1,
        _ => 0,
    }
}

/// Whether a ring as we need it can be opened and used, without keeping it: all three of io_uring's
/// system calls are tried, because a seccomp profile may forbid any of them. Errors as `Ring::open`.
pub fn probe_uring() -> Outcome<i32> {
    let tried = || -> std::io::Result<()> {
        let mut uring: io_uring::IoUring =
            io_uring::IoUring::builder().setup_single_issuer().setup_defer_taskrun().build(4)?;
        uring.submitter().register_probe(&mut io_uring::Probe::new())?;
        let nop = io_uring::opcode::Nop::new().build();
        // SAFETY: a no-op points to nothing; a new ring has room for it.
        unsafe { uring.submission().push(&nop) }.map_err(std::io::Error::other)?;
        uring.submit_and_wait(1).map(|_| ())
    };
    tried().map(|()| 0).map_err(|error| error.raw_os_error().unwrap_or(libc::EIO))
}

/// Raises the soft limit of open files to the hard one where that is allowed; returns what it is then (cut to
/// an i32).
pub fn raise_file_limit() -> Outcome<i32> {
    // SAFETY: locals only.
    unsafe {
        let mut limit: libc::rlimit = std::mem::zeroed();
        if libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit) != 0 {
            return Err(last_errno());
        }
        let soft = limit.rlim_cur;
        limit.rlim_cur = limit.rlim_max;
        // Refused where the hard limit is above the sysctl fs.nr_open.
        if libc::setrlimit(libc::RLIMIT_NOFILE, &limit) != 0 {
            limit.rlim_cur = soft;
        }
        Ok(i32::try_from(limit.rlim_cur).unwrap_or(i32::MAX))
    }
}

/// Milliseconds of CLOCK_MONOTONIC since the first call in the process.
pub fn monotonic_ms() -> f64 {
    static START: std::sync::OnceLock<Instant> = std::sync::OnceLock::new();
    START.get_or_init(Instant::now).elapsed().as_nanos() as f64 / 1e6
}

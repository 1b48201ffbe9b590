//! The data directory: opened once, locked once; paths are relative to it.

use crate::errors::{Outcome, check, last_errno};
use std::ffi::CString;
use std::sync::atomic::{AtomicI32, Ordering};

static ROOT: AtomicI32 = AtomicI32::new(-1);

/// The data directory's descriptor. EBADF: none is set.
pub fn root() -> Outcome<i32> {
    let fd = ROOT.load(Ordering::Acquire);
    if fd < 0 { Err(libc::EBADF) } else { Ok(fd) }
}

/// Opens `path` as the data directory. ENOENT, ENOTDIR, EACCES: as `open(2)`.
///
/// A second call replaces it for operations that start later; the old descriptor stays open for
/// those under way (tests alone do that).
pub fn set_root(path: &[u8]) -> Outcome<i32> {
    let path = CString::new(path).map_err(|_| libc::EINVAL)?;
    let flags = libc::O_RDONLY | libc::O_DIRECTORY | libc::O_CLOEXEC;
    // SAFETY: a NUL-terminated path.
    let fd = check(unsafe { libc::open(path.as_ptr(), flags) })?;
    ROOT.store(fd, Ordering::Release);
    Ok(0)
}

/// Opens or creates the lock file `path` and locks it; returns the descriptor that holds the lock
/// until it is closed or the process ends. EWOULDBLOCK: another process holds it.
pub fn lock_file(path: &[u8]) -> Outcome<i32> {
    let path = CString::new(path).map_err(|_| libc::EINVAL)?;
    let flags = libc::O_RDWR | libc::O_CREAT | libc::O_CLOEXEC;
    // SAFETY: a NUL-terminated path; the descriptor is ours.
    unsafe {
        let fd = check(libc::openat(root()?, path.as_ptr(), flags, 0o644))?;
        if libc::flock(fd, libc::LOCK_EX | libc::LOCK_NB) != 0 {
            let errno = last_errno();
            libc::close(fd);
            return Err(errno);
        }
        Ok(fd)
    }
}

/// The alignment that direct transfers need in the data directory, of positions, lengths and memory
/// (bytes); 0 when the file system does not report it. EINVAL: it does not take direct transfers.
pub fn probe_direct() -> Outcome<i32> {
    let flags = libc::O_RDWR | libc::O_DIRECT | libc::O_TMPFILE | libc::O_CLOEXEC;
    // SAFETY: a NUL-terminated path; the file has no name, and is gone once closed.
    match check(unsafe { libc::openat(root()?, c".".as_ptr(), flags, 0o600) }) {
        Ok(fd) => {
            let alignment = direct_alignment(fd);
            // SAFETY: our descriptor.
            check(unsafe { libc::close(fd) })?;
            alignment
        }
        // No unnamed files there: nothing is known until real files are opened.
        Err(libc::EOPNOTSUPP | libc::EISDIR) => Ok(0),
        Err(errno) => Err(errno),
    }
}

fn direct_alignment(fd: i32) -> Outcome<i32> {
    // SAFETY: all-zero is a valid record; the call fills it, the path is empty: the descriptor itself.
    let status = unsafe {
        let mut status: libc::statx = std::mem::zeroed();
        let mask = libc::STATX_DIOALIGN;
        check(libc::statx(fd, c"".as_ptr(), libc::AT_EMPTY_PATH, mask, &mut status))?;
        status
    };
    if status.stx_mask & libc::STATX_DIOALIGN == 0 {
        return Ok(0);
    }
    match status.stx_dio_offset_align.max(status.stx_dio_mem_align) {
        0 => Err(libc::EINVAL),
        alignment => Ok(alignment as i32),
    }
}

/// Bytes of the file at `path`, or a negative errno.
pub fn size(path: &[u8]) -> f64 {
    let found = || -> Outcome<f64> {
        let path = CString::new(path).map_err(|_| libc::EINVAL)?;
        // SAFETY: a NUL-terminated path and a local buffer.
        unsafe {
            let mut status: libc::stat = std::mem::zeroed();
            check(libc::fstatat(root()?, path.as_ptr(), &mut status, 0))?;
            Ok(status.st_size as f64)
        }
    };
    found().unwrap_or_else(|errno| -f64::from(errno))
}

/// Bytes (free for us, in all) of the data directory's file system, or negative errnos.
pub fn space() -> (f64, f64) {
    let found = || -> Outcome<(f64, f64)> {
        // SAFETY: a local buffer.
        unsafe {
            let mut status: libc::statfs = std::mem::zeroed();
            check(libc::fstatfs(root()?, &mut status))?;
            let unit = status.f_bsize as f64;
            Ok((status.f_bavail as f64 * unit, status.f_blocks as f64 * unit))
        }
    };
    found().unwrap_or_else(|errno| (-f64::from(errno), -f64::from(errno)))
}

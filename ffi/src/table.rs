//! What any thread may know of the rings: their descriptors, their wake-up eventfds and their late
//! completions. Everything else of a ring belongs to the thread that opened it.

use crate::errors::Outcome;
use crate::op::Done;
use crate::ring::Ring;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicPtr, AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};

/// Most rings in a process.
pub const RINGS_MAX: usize = 256;

pub struct Entry {
    pub ring: AtomicPtr<Ring>,
    pub ring_fd: AtomicI32,
    pub wake_fd: AtomicI32,
    /// Set by `wake`, cleared by the ring's thread when it tells TypeScript.
    pub wake_asked: AtomicBool,
    /// How often a ring was opened here: what is late for an earlier one is dropped.
    pub life: AtomicU32,
    late: Mutex<Vec<Done>>,
}

static ENTRIES: [Entry; RINGS_MAX] = [const {
    Entry {
        ring: AtomicPtr::new(std::ptr::null_mut()),
        ring_fd: AtomicI32::new(-1),
        wake_fd: AtomicI32::new(-1),
        wake_asked: AtomicBool::new(false),
        life: AtomicU32::new(0),
        late: Mutex::new(Vec::new()),
    }
}; RINGS_MAX];

/// EINVAL: `ring` is not an index of the table.
pub fn entry(ring: u32) -> Outcome<&'static Entry> {
    ENTRIES.get(ring as usize).ok_or(libc::EINVAL)
}

/// The ring's descriptor, for doorbells. EBADF: it is not open.
pub fn ring_fd(ring: u32) -> Outcome<i32> {
    let fd = entry(ring)?.ring_fd.load(Ordering::Acquire);
    if fd < 0 { Err(libc::EBADF) } else { Ok(fd) }
}

/// Ends a sleeping turn of `ring`, from any thread. EBADF: it is not open.
pub fn wake(ring: u32) -> Outcome<i32> {
    let entry = entry(ring)?;
    entry.wake_asked.store(true, Ordering::Release);
    signal(entry)
}

/// Adds a completion from outside the ring; one for a ring that has been closed is dropped.
pub fn deliver_late(ring: u32, life: u32, done: Done) {
    if let Ok(entry) = entry(ring) {
        let mut late = entry.late.lock().unwrap_or_else(PoisonError::into_inner);
        if entry.life.load(Ordering::Relaxed) != life {
            return;
        }
        late.push(done);
        drop(late);
        // A closed ring has nobody to tell.
        let _ = signal(entry);
    }
}

/// Takes the late completions, on the ring's own thread.
pub fn take_late(entry: &Entry) -> Vec<Done> {
    std::mem::take(&mut *entry.late.lock().unwrap_or_else(PoisonError::into_inner))
}

/// Begins the life of a new ring, without what was meant for the one before.
pub fn begin_life(entry: &Entry) {
    let mut late = entry.late.lock().unwrap_or_else(PoisonError::into_inner);
    entry.life.fetch_add(1, Ordering::Relaxed);
    late.clear();
    entry.wake_asked.store(false, Ordering::Relaxed);
}

fn signal(entry: &Entry) -> Outcome<i32> {
    let fd = entry.wake_fd.load(Ordering::Acquire);
    if fd < 0 {
        return Err(libc::EBADF);
    }
    let one: u64 = 1;
    // SAFETY: writes eight bytes from a local. EAGAIN (a counter at its limit) is as good as success.
    unsafe { libc::write(fd, (&raw const one).cast(), 8) };
    Ok(0)
}

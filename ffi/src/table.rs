//! The state of the rings that any thread may use: their descriptors, their wake-up eventfds and their late
//! completions. Everything else of a ring belongs to the thread that opened it.

use crate::errors::Outcome;
use crate::op::Done;
use crate::ring::Ring;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicPtr, AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Most rings in a process.
pub const RINGS_MAX: usize = 256;

pub struct Entry {
    pub ring: AtomicPtr<Ring>,
    ring_fd: AtomicI32,
    /// Set by `wake`, cleared by the ring's thread when it notifies TypeScript.
    pub wake_asked: AtomicBool,
    /// How often a ring was opened here: what is late for an earlier one is dropped.
    pub life: AtomicU32,
    mail: Mutex<Mail>,
}

/// What other threads leave for a ring, and how they notify it.
struct Mail {
    /// The ring's eventfd; -1 while it is closed. Written to and closed under the lock alone: the number
    /// of a closed descriptor may be somebody else's file at once.
    wake_fd: i32,
    late: Vec<Done>,
}

static ENTRIES: [Entry; RINGS_MAX] = [const {
    Entry {
        ring: AtomicPtr::new(std::ptr::null_mut()),
        ring_fd: AtomicI32::new(-1),
        wake_asked: AtomicBool::new(false),
        life: AtomicU32::new(0),
        mail: Mutex::new(Mail { wake_fd: -1, late: Vec::new() }),
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
    signal(&mail_of(entry))
}

/// Adds a completion from outside the ring; one for a ring that has been closed is dropped.
pub fn deliver_late(ring: u32, life: u32, done: Done) {
    if let Ok(entry) = entry(ring) {
        let mut mail = mail_of(entry);
        if entry.life.load(Ordering::Relaxed) != life {
            return;
        }
        mail.late.push(done);
        // A closed ring has nobody to notify.
        let _ = signal(&mail);
    }
}

/// Takes the late completions, on the ring's own thread.
pub fn take_late(entry: &Entry) -> Vec<Done> {
    std::mem::take(&mut mail_of(entry).late)
}

/// Begins the life of a new ring, without what was meant for the one before. The entry owns `wake_fd`
/// until `end_life` closes it.
pub fn begin_life(entry: &Entry, ring_fd: i32, wake_fd: i32) {
    let mut mail = mail_of(entry);
    entry.life.fetch_add(1, Ordering::Relaxed);
    mail.late.clear();
    mail.wake_fd = wake_fd;
    entry.wake_asked.store(false, Ordering::Relaxed);
    entry.ring_fd.store(ring_fd, Ordering::Release);
}

/// Ends it: from here on nobody is notified.
pub fn end_life(entry: &Entry) {
    entry.ring_fd.store(-1, Ordering::Release);
    let mut mail = mail_of(entry);
    if mail.wake_fd >= 0 {
        // SAFETY: the entry's own descriptor.
        unsafe { libc::close(mail.wake_fd) };
    }
    mail.wake_fd = -1;
}

fn mail_of(entry: &Entry) -> MutexGuard<'_, Mail> {
    // A panic aborts the process, so a poisoned lock cannot be met.
    entry.mail.lock().unwrap_or_else(PoisonError::into_inner)
}

fn signal(mail: &Mail) -> Outcome<i32> {
    if mail.wake_fd < 0 {
        return Err(libc::EBADF);
    }
    let one: u64 = 1;
    // SAFETY: writes eight bytes from a local. EAGAIN (a counter at its limit) is as good as success.
    unsafe { libc::write(mail.wake_fd, (&raw const one).cast(), 8) };
    Ok(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::errors::check;
    use std::time::Duration;

    #[test]
    fn an_eventfd_is_not_closed_while_somebody_may_write_to_its_number() {
        static ENDED: AtomicBool = AtomicBool::new(false);
        const RING: u32 = 255;
        let entry = &ENTRIES[RING as usize];
        // SAFETY: plain call.
        let wake_fd = check(unsafe { libc::eventfd(0, libc::EFD_CLOEXEC) }).unwrap_or(-1);
        begin_life(entry, -1, wake_fd);
        assert_eq!(wake(RING), Ok(0));
        // As a thread that is about to write, and is not scheduled for a while.
        let mail = mail_of(entry);
        let ending = std::thread::spawn(move || {
            end_life(entry);
            ENDED.store(true, Ordering::Release);
        });
        std::thread::sleep(Duration::from_millis(50));
        assert!(!ENDED.load(Ordering::Acquire));
        assert_eq!(signal(&mail), Ok(0));
        let mut count: u64 = 0;
        // SAFETY: reads eight bytes into a local; were it another file by now, the count would differ.
        unsafe { libc::read(wake_fd, (&raw mut count).cast(), 8) };
        assert_eq!(count, 2);
        drop(mail);
        assert!(ending.join().is_ok());
        assert_eq!(wake(RING), Err(libc::EBADF));
    }
}

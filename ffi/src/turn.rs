//! One turn of a shard's loop: submit, wait, collect.
//!
//! A ring may *watch* a word of the region, by which other shards notify its thread of messages in
//! shared memory. Its states, and who changes them:
//!
//! ```text
//! 0 awake      the thread reads its mailboxes by itself
//! 2 polling    set by the thread before the turn; another shard that has a message exchanges it for 0
//! 1 sleeping   set here (2 -> 1) before the kernel call; the shard that exchanges it for 0 rings the doorbell
//! ```
//!
//! So a message between two busy shards costs neither of them a system call.

use crate::errors::Outcome;
use crate::region;
use crate::ring::{ENTER_GETEVENTS, Ring};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

const AWAKE: u32 = 0;
const SLEEPING: u32 = 1;
const POLLING: u32 = 2;

/// Iterations of the polling loop between two looks at the clock (some 25 ns each).
const SPINS_PER_CLOCK: u32 = 32;

impl Ring {
    /// Submits the first `ops` descriptors, then waits until `wanted` completions are there, at most
    /// `timeout_us`: polling in user space for the first `poll_us` of it, then asleep in the kernel.
    /// Returns how many completions the table holds. With `timeout_us` 0 it only collects.
    ///
    /// EINVAL: more ops than the table holds. EBUSY: the kernel accepts no requests for a second.
    /// EBADR: the kernel lost completions for want of memory. Errors of single ops are completions.
    pub fn turn(&mut self, ops: u32, wanted: u32, timeout_us: u32, poll_us: u32) -> Outcome<u32> {
        let count = self.wait_for(ops, wanted as usize, timeout_us, poll_us)?;
        // A wait that ended before it began has submitted nothing; entries must not outlive the turn,
        // for the names they point to do not.
        if self.unsubmitted() > 0 {
            self.submit_all(ENTER_GETEVENTS)?;
        }
        Ok(count as u32)
    }

    fn wait_for(
        &mut self,
        ops: u32,
        wanted: usize,
        timeout_us: u32,
        poll_us: u32,
    ) -> Outcome<usize> {
        self.arm_wake().or_else(|_| self.submit_all(0))?;
        self.prepare(ops)?;
        let sleeps_at_once = timeout_us > 0 && poll_us == 0;
        // Submitting and sleeping in one call saves one: possible when nothing is waiting already.
        if !sleeps_at_once || self.has_completions() || self.wants_enter() {
            if self.unsubmitted() > 0 {
                self.submit_all(ENTER_GETEVENTS)?;
            } else if self.wants_enter() {
                self.collect()?;
            }
        }
        let mut count = self.reap(0);
        if count >= wanted || timeout_us == 0 {
            return Ok(count);
        }
        let start = Instant::now();
        let deadline = start + Duration::from_micros(u64::from(timeout_us));
        if poll_us > 0 {
            self.poll(start + Duration::from_micros(u64::from(poll_us.min(timeout_us))))?;
            count = self.reap(count);
        }
        if count < wanted && !self.may_sleep() {
            return Ok(count);
        }
        while count < wanted {
            let now = Instant::now();
            if now >= deadline || !self.sleep(now, deadline, (wanted - count) as u32)? {
                return Ok(self.reap(count));
            }
            count = self.reap(count);
        }
        Ok(count)
    }

    /// Whether the watched word says that a message has come.
    fn is_told(&self) -> bool {
        self.watched().is_some_and(|word| word.load(Ordering::Acquire) == AWAKE)
    }

    /// From polling to sleeping; false when a message came first.
    fn may_sleep(&self) -> bool {
        let Some(word) = self.watched() else { return true };
        let changed = word.compare_exchange(POLLING, SLEEPING, Ordering::AcqRel, Ordering::Acquire);
        changed != Err(AWAKE)
    }

    fn watched(&self) -> Option<&AtomicU32> {
        // SAFETY: checked by `watch` to be an aligned word of the region, which is never unmapped.
        unsafe { self.watched_word.as_ref() }
    }

    /// Watches the word at `address` from now on. EFAULT: outside the region. EINVAL: not aligned.
    pub fn watch(&mut self, address: f64) -> Outcome<i32> {
        let word = region::resolve(address, size_of::<AtomicU32>())?.cast::<AtomicU32>();
        if !word.is_aligned() {
            return Err(libc::EINVAL);
        }
        self.watched_word = word;
        Ok(0)
    }

    /// Runs deferred work without waiting.
    fn collect(&mut self) -> Outcome<()> {
        match self.enter(0, 0, ENTER_GETEVENTS, None) {
            Ok(_) | Err(libc::EINTR | libc::EAGAIN | libc::EBUSY) => Ok(()),
            Err(errno) => Err(errno),
        }
    }

    /// Looks at the queue's tail, the kernel's hint and the watched word until one says that there is
    /// something to do, or `until` has come.
    fn poll(&mut self, until: Instant) -> Outcome<()> {
        loop {
            for _ in 0..SPINS_PER_CLOCK {
                if self.has_completions() || self.is_told() {
                    return Ok(());
                }
                if self.wants_enter() {
                    self.collect()?;
                    if self.has_completions() {
                        return Ok(());
                    }
                }
                std::hint::spin_loop();
            }
            let now = Instant::now();
            if now >= until || self.next_due().is_some_and(|due| due <= now) {
                return Ok(());
            }
        }
    }

    /// Submits what is queued and sleeps; says whether waiting on is worth while (not after a signal).
    fn sleep(&mut self, now: Instant, deadline: Instant, wait: u32) -> Outcome<bool> {
        let until = self.next_due().map_or(deadline, |due| due.min(deadline));
        let span = until.saturating_duration_since(now);
        let submit = self.unsubmitted();
        match self.enter(submit, wait, ENTER_GETEVENTS, Some(span)) {
            Ok(taken) => {
                if taken < submit {
                    self.submit_all(ENTER_GETEVENTS)?;
                }
                Ok(true)
            }
            Err(libc::ETIME) => Ok(true),
            Err(libc::EINTR) => Ok(false),
            Err(libc::EAGAIN | libc::EBUSY) => {
                self.submit_all(ENTER_GETEVENTS)?;
                Ok(true)
            }
            Err(errno) => Err(errno),
        }
    }
}
